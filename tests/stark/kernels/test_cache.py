"""The compiled kernels are kept between processes, under a directory named by their sources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zkvm.stark.kernels import file, library

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
import numpy as np
from zkvm.stark.kernels import library
from zkvm.stark.kernels.columns import dot
assert (dot(np.ones((2, 64), dtype=np.uint64), np.ones((3, 64), dtype=np.uint64)) == 64).all()
print(library.library_path(), "numba" in sys.modules)
"""
ONE_KERNEL = """
from zkvm.stark.kernels.source import build, dots
build.compile_kernels = lambda: build.compile_entries({"dots.dot_columns": build.ENTRIES["dots.dot_columns"]})
"""
"""One kernel is enough: the tests of this file ask where compiled code is kept, not what it does."""
WARNS = """
import warnings
from zkvm.stark.kernels import library
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    library.load()
print(*[warning.category.__name__ for warning in caught if "cannot be kept" in str(warning.message)])
"""


def run(environment: dict[str, str], program: str = PROGRAM) -> list[str]:
    """What the program prints in a process with these variables."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    variables = {**inherited, "PYTHONPATH": path, **environment}
    done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("variable", ["NUMBA_CACHE_DIR", "XDG_CACHE_HOME"])
def test_a_second_process_compiles_nothing_and_needs_no_numba(variable: str, tmp_path: Path) -> None:
    name, compiled = run({variable: str(tmp_path)}, ONE_KERNEL + PROGRAM)
    assert compiled == "True"
    assert Path(name).is_file()
    assert Path(name).parents[1] == (tmp_path if variable == "NUMBA_CACHE_DIR" else tmp_path / "zkvm")
    assert run({variable: str(tmp_path)}) == [name, "False"]


def test_a_whole_proof_imports_no_numba() -> None:
    library.load()  # so that the file is there
    guest = str(ROOT / "guest_programs" / "echo" / "echo.elf")
    program = f"""
import sys, zkvm
zkvm.prove({guest!r}, b"abc", params="fast").receipt.verify(zkvm.compute_image_id({guest!r}))
print([name for name in sys.modules if name.partition(".")[0] == "numba"])
"""
    ours = {name: value for name, value in os.environ.items() if name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    assert run(ours, program) == ["[]"]


def test_a_damaged_file_is_replaced_and_one_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    variables = {"NUMBA_CACHE_DIR": str(tmp_path)}
    path = Path(run(variables, ONE_KERNEL + PROGRAM)[0])
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"?")
    assert run(variables, ONE_KERNEL + PROGRAM) == [str(path), "True"]
    assert file.read(path) is not None
    assert run(variables) == [str(path), "False"]
    path.unlink()
    path.mkdir()
    assert run(variables, ONE_KERNEL + WARNS + PROGRAM) == ["RuntimeWarning", str(path), "True"]
