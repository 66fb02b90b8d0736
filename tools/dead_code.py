"""Refuses names that nothing uses. Usage: ``python tools/dead_code.py``; exit code 1 if there are any.

vulture looks twice, by the settings in pyproject.toml: once at everything, and once without the tests, because what only tests use is
dead too, with tests that keep it from being noticed. It compares names and not what they mean: a dead name that something else shares
is not found. Attributes are left out: most of those that are only written belong to objects of other packages.

A name that is needed although no code mentions it stands in KEPT with the reason, and leaves it when that is no longer so.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vulture import Vulture

ROOT = Path(__file__).resolve().parent.parent
TESTS = "tests"
COMMAND = "a command, which the command line finds by its name"
IN_A_CHILD = "called by its name in a process of its own"
KEPT = {
    "check_joint": "the checker of joint buses: zkvm check does not cut runs",
    "compile_model": COMMAND,
    "completion": COMMAND,
    "disasm": COMMAND,
    "doctor": COMMAND,
    "soundness": COMMAND,
    "prove_in_turn": IN_A_CHILD,
    "prove_repeatedly": IN_A_CHILD,
    "send_group": IN_A_CHILD,
    "coordinator": "a field of a row that is written as a whole",
    "__getitem__": "what a reader of receipts asks of bytes that may lie on the disk",
    "assemble": "the assembler of the tests",
    "run_reference": "the kernel's readable twin",
    "from_header": "reads the committed weights for the test of the committed guest",
}


def unused(paths: Sequence[Path], settings: Mapping[str, list[str]]) -> dict[tuple[str, str], str]:
    """Names that nothing below the paths uses: (place, name) -> kind."""
    search = Vulture(ignore_names=settings["ignore_names"], ignore_decorators=settings["ignore_decorators"])
    search.scavenge([str(path) for path in paths], exclude=settings.get("exclude", []))
    found = {}
    for item in search.get_unused_code():
        if item.typ != "attribute":
            found[f"{item.filename}:{item.first_lineno}", str(item.name)] = str(item.typ)
    return found


def complaints(root: Path, settings: Mapping[str, list[str]], kept: Mapping[str, str]) -> Iterator[str]:
    """One line for every dead name, and for every kept one that needs no keeping."""
    everywhere = unused([root / name for name in settings["paths"]], settings)
    untested = unused([root / name for name in settings["paths"] if name != TESTS], settings)
    found = {key: f"unused {kind}" for key, kind in everywhere.items()}
    found |= {key: f"{kind} that nothing but tests uses" for key, kind in untested.items() if key not in everywhere}
    for (place, name), what in sorted(found.items()):
        if name not in kept:
            yield f"{place}: {what}: {name}"
    for name in sorted(set(kept) - {name for _, name in found}):
        yield f"{name} is used, or gone: take it out of the list of kept names"


def main() -> int:
    """The command."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["vulture"]
    found = list(complaints(ROOT, settings, KEPT))
    print("\n".join(found) if found else f"no dead names; {len(KEPT)} are kept")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
