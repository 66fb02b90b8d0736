"""Guests that run one of a file's functions: the first number of the input says which."""

from __future__ import annotations

import ast
import importlib.util
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

from zkvm.guest.python.build import build

FOLDER = Path(__file__).resolve().parent


def cases_of(name: str) -> list[str]:
    """Names of the functions that are cases: those that have a docstring."""
    nodes = ast.parse((FOLDER / f"{name}.py").read_text()).body
    return [node.name for node in nodes if isinstance(node, ast.FunctionDef) and ast.get_docstring(node)]


@cache
def module_of(name: str) -> ModuleType:
    """The file, imported as CPython does."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def elf_text(name: str) -> str:
    """A main that runs the case whose number it reads first."""
    lines = [
        "import numpy as np",
        "from zkvm import guest",
        f"import {name} as cases",
        "",
        "def main():",
        "    case = guest.read(np.uint32)",
    ]
    for number, case in enumerate(cases_of(name)):
        lines += [f"    if case == {number}:", f"        cases.{case}()"]
    return "\n".join([*lines, ""])


@cache
def elf_of(name: str, optimization: str = "3") -> bytes:
    """The program of all cases of a file."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{name}.py").write_text((FOLDER / f"{name}.py").read_text())
        (Path(folder) / "main.py").write_text(elf_text(name))
        return build(Path(folder) / "main.py", Path(folder) / "main.elf", optimization=optimization, debug_lines=True).read_bytes()


def stdin_of(name: str, case: str, data: bytes) -> bytes:
    """The input that makes the program run a case on these data."""
    return np.uint32(cases_of(name).index(case)).tobytes() + data
