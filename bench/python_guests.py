"""Guests in Python beside the same programs in C. Usage: ``python bench/python_guests.py [NAME...]``; prints one JSON object.

Both are compiled with -O3 and run on the same input in one process: cycles of each and their ratio, which no machine changes. The
programs are in ``bench/python_guests/``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.common import Figures
from zkvm.api import execute
from zkvm.guest import toolchain
from zkvm.guest.python.build import build, load

PROGRAMS = Path(__file__).resolve().parent / "python_guests"
SIZES = {"dot": (4096,), "convolution": (64, 64), "sorting": (1024,), "tree": (256, 16)}
"""Shape of the input, whose first length is the number that the programs read first."""


def stdin_of(name: str) -> bytes:
    """The input of a program."""
    shape = SIZES[name]
    values = np.random.default_rng(1).integers(-1000, 1000, (2, *shape) if name == "dot" else shape, dtype=np.int32)
    return np.uint32(shape[0]).tobytes() + values.tobytes()


def compare(name: str) -> Figures:
    """Cycles of both programs; they have to commit the same."""
    module = load(PROGRAMS / f"{name}.py")
    tables = {table: ",".join(map(str, getattr(module, table))) for table in ("FEATURES", "THRESHOLDS") if hasattr(module, table)}
    with tempfile.TemporaryDirectory() as scratch:
        python = build(PROGRAMS / f"{name}.py", Path(scratch) / "python.elf")
        c = toolchain.build([PROGRAMS / f"{name}.c"], Path(scratch) / "c.elf", defines=tables)
        sessions = [execute(elf, stdin_of(name)) for elf in (python, c)]
    if sessions[0].journal != sessions[1].journal or sessions[0].exit_code or sessions[1].exit_code:
        raise SystemExit(f"{name}: the programs disagree: {sessions[0].stderr!r} {sessions[1].stderr!r}")
    cycles = [session.cycles for session in sessions]
    return {"python_cycles": cycles[0], "c_cycles": cycles[1], "ratio": round(cycles[0] / cycles[1], 3)}


def main() -> None:
    """Measure the named programs, all by default."""
    parser = argparse.ArgumentParser(description="Compare guests in Python with the same programs in C.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(SIZES)}; all by default")
    chosen = parser.parse_args().names or list(SIZES)
    unknown = [name for name in chosen if name not in SIZES]
    if unknown:
        parser.error(f"no program called {', '.join(unknown)}: choose from {', '.join(SIZES)}")
    print(json.dumps({name: compare(name) for name in chosen}, indent=2))


if __name__ == "__main__":
    main()
