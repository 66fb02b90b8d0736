"""Runs commands in processes of their own: as an ordinary user, with closed streams, little memory, other variables."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from tests.test_layers import ROOT
from zkvm.stark.kernels import library

COMMAND = "from zkvm.cli.main import console; console()"
UNCOMPILED = """
from pathlib import Path
from zkvm.stark.kernels import file
from zkvm.stark.kernels.source import build
build.compile_kernels = lambda: file.read(Path({path!r}))
"""
"""Compiling takes minutes: a copy of what was compiled stands for it."""
DROPPED_CAPABILITIES = (1, 2, 3)
"""CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_FOWNER: with them the superuser writes what nobody may."""
_PR_CAPBSET_DROP = 24


def become_ordinary() -> None:
    """Permissions hold for this process and its children, also if it is the superuser's. It keeps its user, who may read the checkout."""
    if os.geteuid() == 0:
        for capability in DROPPED_CAPABILITIES:
            if ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
                raise PermissionError("the superuser cannot become an ordinary user here")


def run_command(
    arguments: Sequence[str | Path],
    *,
    closed: Sequence[int] = (),
    compiled: bool = True,
    variables: dict[str, str | None] | None = None,
    limits: dict[int, int] | None = None,
    **streams: IO[Any],
) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line.

    Args:
        arguments: the command and its options.
        closed: numbers of the standard streams that it starts without.
        compiled: whether the compiled kernels are where it looks for them; otherwise it believes that it compiles.
        variables: of its environment; None: not there.
        limits: of its resources.
        streams: ``stdin``, ``stdout`` and ``stderr`` as :mod:`subprocess` takes them.
    """
    path = library.library_path()
    library.load()  # makes the file
    values: dict[str, str | None] = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **(variables or {})}
    if compiled:
        values.setdefault("NUMBA_CACHE_DIR", str(path.parents[1]))
    environment = {name: value for name, value in (os.environ | values).items() if value is not None}
    code = ("" if compiled else UNCOMPILED.format(path=str(path))) + COMMAND

    def prepare() -> None:
        become_ordinary()
        for limit, value in (limits or {}).items():
            resource.setrlimit(limit, (value, value))
        for number in closed:
            os.close(number)

    given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, preexec_fn=prepare, text=True, timeout=600, check=False, **given)


def need_ordinary_user(folder: Path) -> None:
    """Skip the test where permissions do not hold for us and we cannot change that."""
    folder.chmod(0o555)
    code = "import sys; open(sys.argv[1], 'w')"
    try:
        result = subprocess.run(
            [sys.executable, "-c", code, str(folder / "probe")], preexec_fn=become_ordinary, capture_output=True, text=True, check=False
        )
    except subprocess.SubprocessError:
        pytest.skip("the superuser cannot become an ordinary user here")
    assert "PermissionError" in result.stderr
