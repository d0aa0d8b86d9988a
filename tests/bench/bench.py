#!/usr/bin/env python3
"""Measure daorec side by side with the bare thing, alternating, in one run: `make bench`.

    bench.py [--only NAME,...] [--rounds N] [--quick] [--work DIR] [-o DIR] [--json FILE]

Prints a table: medians over the rounds, lowest and highest, the ratio to what it is compared with
(of the same round), the goal and whether the median meets it. All of it is in DIR/bench.json, too.
Needs the programs of `make bench`. Exit status 0: measured, whatever came out; 1: it could not be;
2: wrong usage. The sections are modules: TITLE, need_bytes(bed), run(bed, section).
"""
import argparse
import importlib
import json
import os
import sys
import time

import bed as b
import machine
import table

SECTIONS = ("disk", "habits", "vectors", "kilohertz", "disturbance", "rolling", "losses",
            "ring", "library", "replay", "extraction")
NUMBERED = 7  # those that have a number


def chosen(text):
    """Names, or numbers of sections."""
    names = []
    for word in text.split(","):
        name = SECTIONS[int(word) - 1] if word.isdigit() and 0 < int(word) <= NUMBERED else word
        if name not in SECTIONS:
            raise argparse.ArgumentTypeError(
                f"'{word}' is no section; there are {', '.join(SECTIONS)}, and 1 to {NUMBERED}")
        names.append(name)
    return [name for name in SECTIONS if name in names]


def at_least_one(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}': give a number of at least 1")
    return int(text)


def parse():
    parser = argparse.ArgumentParser(
        prog="bench.py", description="Measure daorec side by side with the bare thing.",
        epilog=f"sections: {', '.join(SECTIONS)}")
    parser.add_argument("--only", type=chosen, default=list(SECTIONS), metavar="NAME,...",
                        help=f"these sections, by name or (the first {NUMBERED}) by number")
    parser.add_argument("--rounds", type=at_least_one, metavar="N",
                        default=int(os.environ.get("BENCH_ROUNDS", "3")),
                        help="alternating rounds of each (3)")
    parser.add_argument("--quick", action="store_true",
                        help="one round with next to no data: does it work? The figures mean "
                        "nothing")
    parser.add_argument("--work", default=os.environ.get("BENCH_DIR", "."), metavar="DIR",
                        help="a folder on the disk that is measured (the current one)")
    parser.add_argument("-o", "--output", default=os.path.join("build", "bench"), metavar="DIR",
                        help="results: bench.txt, bench.json, losses.png (build/bench)")
    parser.add_argument("--json", metavar="FILE", help="the results as JSON here, too")
    options = parser.parse_args()
    if options.quick:
        options.rounds = 1
    return options


class Results:
    """What is shown, and what is kept of it."""

    def __init__(self, options):
        self.options, self.text, self.begin = options, [], time.time()
        self.all = {"complete": False, "begin": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                    "rounds": options.rounds, "quick": options.quick, "sections": []}
        os.makedirs(options.output, exist_ok=True)

    def say(self, text):
        self.text.append(text)
        print(text, flush=True)

    def write(self):
        """Also of a run that was stopped: what there is by then."""
        self.all["seconds"] = round(time.time() - self.begin, 1)
        text = json.dumps(self.all, indent=1, allow_nan=False) + "\n"
        files = {os.path.join(self.options.output, "bench.json"): text,
                 os.path.join(self.options.output, "bench.txt"): "\n".join(self.text) + "\n"}
        if self.options.json:
            files[self.options.json] = text
        for path, content in files.items():
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)


def measure(bed, results):
    modules = {name: importlib.import_module(name) for name in results.options.only}
    bed.check_room(max(module.need_bytes(bed) for module in modules.values()))
    results.all["machine"] = machine.describe(bed.output)
    results.say(machine.as_text(results.all["machine"]))
    results.say(f"{results.all['machine']['daorec']}, {results.all['begin']}, {bed.rounds} round"
                f"{'s' * (bed.rounds > 1)}{', QUICK: the figures mean nothing' * bed.is_quick}")
    for name, module in modules.items():
        number = SECTIONS.index(name) + 1
        title = f"{number}. {module.TITLE}" if number <= NUMBERED else module.TITLE
        section = table.Section(name, title, results.say)
        module.run(bed, section)
        results.all["sections"].append(section.as_dict())
    results.all["complete"] = True
    results.say(f"\n{(time.time() - results.begin) / 60:.1f} minutes; results in "
                f"{results.options.output}")


def main():
    options = parse()
    bed = None
    b.catch_signals()
    try:
        results = Results(options)
        bed = b.Bed(options.work, options.rounds, options.quick, options.output)
        try:
            measure(bed, results)
        finally:
            if results.all["sections"]:
                results.write()
    except (b.Failure, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if bed:
            bed.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
