"""Builds the committed guest programs and records what they do.

For each folder of ``guest_programs``: ``main.c``, ``main.cpp``, ``main.S`` or ``main.py`` becomes ``<name>.elf``, and every case of
``expected.json`` (a name and an input, hexadecimal) gets the journal, exit code and number of instructions that an independent emulator
sees. ``--check`` writes nothing and fails if anything committed differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that it also runs as a plain script

from tools.emulator import emulate
from zkvm.guest.python.build import build as build_python
from zkvm.guest.toolchain import build

GUEST_PROGRAMS = ROOT / "guest_programs"


def guest_folders() -> list[Path]:
    """Folders of the committed guests, in order of their names."""
    return sorted(path.parent for path in GUEST_PROGRAMS.glob("*/main.*"))


def elf_path(folder: Path) -> Path:
    """The committed executable of a guest."""
    return folder / f"{folder.name}.elf"


def load_cases(folder: Path) -> list[dict[str, Any]]:
    """The recorded cases of a guest: ``name``, ``input``, ``journal`` (hexadecimal), ``exit_code``, ``cycles``."""
    cases: list[dict[str, Any]] = json.loads((folder / "expected.json").read_text())["cases"]
    return cases


def build_guest(folder: Path, output: Path) -> Path:
    """Compiles the guest of ``folder`` to ``output``."""
    sources = sorted(folder.glob("main.*"))
    return build_python(sources[0], output) if sources[0].suffix == ".py" else build(sources, output)


def observe(elf: Path, case: dict[str, Any]) -> dict[str, Any]:
    """The case with what the emulator saw."""
    result = emulate(elf, bytes.fromhex(case["input"]))
    return {
        "name": case["name"],
        "input": case["input"],
        "journal": result.journal.hex(),
        "exit_code": result.exit_code,
        "cycles": result.cycles,
    }


def expected_text(cases: list[dict[str, Any]]) -> str:
    """Content of ``expected.json``: one line per case."""
    lines = ",\n".join("    " + json.dumps(case) for case in cases)
    return f'{{\n  "cases": [\n{lines}\n  ]\n}}\n'


def differences(folder: Path, scratch: Path) -> list[str]:
    """What of a guest's committed files does not follow from its sources, in words."""
    found = []
    built = build_guest(folder, scratch / f"{folder.name}.elf")
    if built.read_bytes() != elf_path(folder).read_bytes():
        found.append(f"{elf_path(folder).relative_to(ROOT)} is not what the sources build")
    observed = [observe(built, case) for case in load_cases(folder)]
    if expected_text(observed) != (folder / "expected.json").read_text():
        found.append(f"{(folder / 'expected.json').relative_to(ROOT)} is not what the guest does")
    return found


def main() -> int:
    """Command line; 1 if ``--check`` finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("names", nargs="*", help="guests to build; all if none is named")
    arguments = parser.parse_args()
    folders = [folder for folder in guest_folders() if not arguments.names or folder.name in arguments.names]
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for folder in folders:
            if arguments.check:
                problems += differences(folder, Path(scratch))
                continue
            elf = build_guest(folder, elf_path(folder))
            observed = [observe(elf, case) for case in load_cases(folder)]
            (folder / "expected.json").write_text(expected_text(observed))
            print(f"{folder.name}: {elf.stat().st_size} bytes, cycles {[case['cycles'] for case in observed]}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
