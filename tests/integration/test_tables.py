#!/usr/bin/env python3
"""The tables of tests/README.md speak of tests that there are, and that are run.

In a table `name` is a test, `name_*` at least one that begins so, `test_x.c` or `dir/program` a
file under tests/. After "`file`:" the names up to the next semicolon or stop must be in that file.
"""
import os
import re
import sys

TESTS = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
C_TEST = re.compile(r"^START_TEST\((\w+)\)", re.M)
PYTHON_TEST = re.compile(r"^def ([a-z]\w*)\(\):", re.M)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def tests_of(path):
    """The tests of a program that it also runs."""
    text = read(path)
    if not path.endswith(".py"):
        added = set(re.findall(r"tcase_add_(?:\w+)\(\s*\w+,\s*(\w+)", text))
        return {name for name in C_TEST.findall(text) if name in added}
    names = set(PYTHON_TEST.findall(text))
    if "globals()" in text:  # all that there are
        return names
    return {name for name in names if len(re.findall(rf"\b{name}\b", text)) > 1}


def find_tests():
    """{file below tests/: its tests}"""
    found = {}
    for folder, _, files in os.walk(TESTS):
        for name in files:
            path = os.path.join(folder, name)
            is_program = name.startswith("test_") and name.endswith((".c", ".cpp", ".py"))
            found[os.path.relpath(path, TESTS)] = tests_of(path) if is_program else set()
    return found


TESTS_OF = find_tests()


def file_named(name):
    """The file that a table means, by its name or the end of its path; None: there is none."""
    return next((path for path in TESTS_OF if ("/" + path).endswith("/" + name)), None)


def is_among(name, tests):
    if name.endswith("*"):
        return any(test.startswith(name[:-1]) for test in tests)
    return name in tests


def is_file(token):
    return "." in token or "/" in token or token.startswith("run-")


def rows_of(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def tokens_of(row):
    """What stands in backticks and can be the name of a test or of a program."""
    return [token for token in re.findall(r"`([^`]+)`", row)
            if re.fullmatch(r"[a-z]\w*_\w*\*?|test_\w+\.(c|cpp|py)|[\w/]+/[\w.-]+|run-\w+", token)]


def complaints_about(row):
    all_tests = set().union(*TESTS_OF.values())
    for token in tokens_of(row):
        if is_file(token):
            if not file_named(token):
                yield f"no such file: {token}"
        elif not is_among(token, all_tests):
            yield f"no such test: {token}"
    for program, names in re.findall(r"`(test_\w+\.(?:c|cpp|py))`: ((?:`\w+\*?`(?:, )?)+)", row):
        for name in re.findall(r"`([^`]+)`", names):
            if not is_among(name, TESTS_OF.get(file_named(program), ())):
                yield f"{program} does not have or does not run {name}"


def missing_in_the_table(rows):
    """Tests that were written from the reference page, but stand in no row."""
    named = {token for row in rows for token in tokens_of(row)}
    for path, names in sorted(TESTS_OF.items()):
        if re.match(r"(unit|integration)/test_reference", path):
            for name in sorted(names - named):
                if not path.endswith(".py") or re.match("the_|python_", name):
                    yield f"{path}: {name} is in no row"


def main():
    rows = rows_of(read(os.path.join(TESTS, "README.md")))
    assert len(rows) > 50, "the tables were not found"
    complaints = [text for row in rows for text in complaints_about(row)]
    complaints += missing_in_the_table(rows)
    for complaint in complaints:
        print(complaint)
    print(f"{len(rows)} rows, {len(complaints)} complaints")
    sys.exit(1 if complaints else 0)


main()
