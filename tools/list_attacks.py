"""Check docs/attacks.md: every class of attack has its tests or says why it does not apply, and every named test exists.

    python tools/list_attacks.py            # the classes and the number of their tests
    python tools/list_attacks.py --check    # exit code 1 and the reasons, if the page is not complete

Tests called ``test_<class>_...`` in ``tests/soundness`` must be named in the row of their class, so a new attack is on the page.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "attacks.md"
LAST = {"A": 13, "B": 7, "C": 9, "D": 8, "E": 9, "F": 7, "G": 19, "H": 2, "I": 4}
CLASSES = tuple(f"{letter}{number}" for letter, last in LAST.items() for number in range(1, last + 1))
NO_ATTACK = "Does not apply"
"""How the reason of a class without tests begins."""


def rows(page: str) -> dict[str, str]:
    """Class -> the rest of its row; a row may name several classes (`C1-C9`)."""
    found: dict[str, str] = {}
    for first, last, rest in re.findall(r"^\| ([A-I]\d+)(?:-([A-I]\d+))? \|(.*)$", page, re.MULTILINE):
        for number in range(int(first[1:]), int((last or first)[1:]) + 1):
            found[f"{first[0]}{number}"] = rest
    return found


def named_tests(text: str) -> list[tuple[str, str]]:
    """(file, function) of every test that a text names."""
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)


def has_test(path: Path, function: str) -> bool:
    """Whether a file defines a test, or makes it of the attacks that it holds."""
    return path.is_file() and re.search(rf"^(def {function}\(|{function} = )", path.read_text(), re.MULTILINE) is not None


def tests_of_classes() -> dict[str, list[str]]:
    """Class -> names of the tests in tests/soundness that begin with it."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests" / "soundness").glob("test_*.py")):
        for name in re.findall(r"^def (test_[a-i]\d+_\w+)\(", path.read_text(), re.MULTILINE):
            found.setdefault(name.split("_")[1].upper(), []).append(name)
    return found


def problems(page: str) -> list[str]:
    """What the page lacks."""
    table = rows(page)
    result = [f"class {name} has no row" for name in CLASSES if name not in table]
    for name, rest in table.items():
        tests = named_tests(rest)
        if not tests and NO_ATTACK not in rest:
            result.append(f"class {name} names no test and does not say why")
        for file, function in tests:
            if not has_test(ROOT / file, function):
                result.append(f"class {name}: {file}::{function} does not exist")
    for name, functions in tests_of_classes().items():
        missing = set(functions) - {function for _, function in named_tests(table.get(name, ""))}
        result += [f"class {name}: {function} is not on the page" for function in sorted(missing)]
    return result


def run(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    page = PAGE.read_text()
    found = problems(page)
    for line in found:
        print(line)
    if not arguments:
        for name, rest in rows(page).items():
            print(f"{name:>4} {len(named_tests(rest)):>3} tests")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
