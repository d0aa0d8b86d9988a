"""library.py - rates and ratios of the library's reader, and the cost of its waits."""
import json

TITLE = "the library: reading frames against a bare memcpy, waiting against spinning"


def need_bytes(_):
    return 0


def run(bed, section):
    rounds = 1 if bed.is_quick else 2 * bed.rounds
    rates = json.loads(bed.run("read_rate", "--json", "--rounds", rounds))
    for what, figure in rates.items():
        if figure["unit"]:  # the others are the ratios
            bare = rates.get(what.rpartition(": ")[0] + ": bare memcpy")
            is_bare = bare is None or bare is figure
            section.line(what, figure["values"], figure["unit"],
                         against=None if is_bare else bare["values"])
    cells = json.loads(bed.run("wait_cost", "--json", "--seconds", 0.02 if bed.is_quick else 0.7))
    section.note(f"{'wait for the next frame':<40} {'p50':>8} {'p99':>8} {'max':>8} us "
                 f"{'CPU':>7} %")
    for cell in cells:
        what = f"{cell['source']}: {cell['wait']}"
        section.note(f"{what:<40} {cell['p50_us']:>8.1f} {cell['p99_us']:>8.1f} "
                     f"{cell['max_us']:>8.0f}    {cell['cpu_percent']:>7.1f}")
    section.more["waits"] = cells
