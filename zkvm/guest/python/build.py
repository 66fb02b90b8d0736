"""A Python file, or a function, to a program for the machine: translated to C, compiled as C guests are."""

from __future__ import annotations

import importlib.util
import inspect
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zkvm.errors import GuestError, UsageError
from zkvm.guest import toolchain
from zkvm.guest.python.program import Program

RUNTIME = Path(__file__).resolve().parent / "runtime"
MAIN = "main"
FRAMES = 20_000
MODULE = "zkvm_guest_main"
"""The name under which a guest's file is imported: not ``__main__``, so that what stands under ``if __name__ == ...`` does not run."""


def build(source: Path | str, output: Path | str, *, optimization: str = "3", debug_lines: bool = False, checks: bool = False) -> Path:
    """Translate and compile a Python file with a function ``main``.

    The file is imported, so its constants are computed by CPython; ``main`` and what it calls are translated.

    Args:
        source: the Python file.
        output: the ELF file to write; replaced only if everything succeeds.
        optimization: Clang's level: ``0``, ``1``, ``2``, ``3``, ``s`` or ``z``.
        debug_lines: keep line tables (not loaded, not part of the image ID).
        checks: signed integers of numpy that leave their width panic.

    Returns:
        The path of the ELF file.

    Raises:
        UsageError: no compiler is installed, or no such file.
        GuestError: the file cannot be imported, has no ``main``, or cannot be a guest: file, line, and what to write instead.
    """
    path = Path(source)
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    module = load(path.resolve())
    main = getattr(module, MAIN, None)
    if not callable(main):
        raise GuestError(f"{path}: no function {MAIN}: it is where a guest begins")
    return build_function(main, output, optimization=optimization, debug_lines=debug_lines, checks=checks)


def build_function(
    function: Callable[[], Any], output: Path | str, *, optimization: str = "3", debug_lines: bool = False, checks: bool = False
) -> Path:
    """The same for a function without parameters, whatever its name.

    Raises:
        UsageError: no compiler is installed.
        GuestError: it cannot be a guest.
    """
    function = inspect.unwrap(function)
    with toolchain.sources_folder() as folder:
        path = folder / "guest.c"
        path.write_text(translate(function), encoding="utf-8")
        return toolchain.build(
            [path],
            output,
            include_directories=[RUNTIME],
            defines={"PY_CHECKS": "1"} if checks else {},
            optimization=optimization,
            debug_lines=debug_lines,
            libc="none",
        )


def versions() -> dict[str, str]:
    """What a program depends on besides its source: the translator, the compiler, and what computes the constants of its modules."""
    return {
        "zkvm": sys.modules["zkvm"].__version__,
        "ziglang": version("ziglang"),
        "numpy": version("numpy"),
        "python": platform.python_version(),
    }


def translate(function: Callable[[], Any]) -> str:
    """C for a function without parameters and all that it calls.

    Raises:
        GuestError: it cannot be a guest.
    """
    root = Path(inspect.getsourcefile(function) or ".").resolve().parent
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, FRAMES))  # a call in the guest is some thirty calls here
    try:
        return Program(root).text(function)
    except RecursionError:
        raise GuestError(f"{function.__name__}: expressions or statements are nested too deeply to be translated") from None
    finally:
        sys.setrecursionlimit(limit)


def load(path: Path) -> Any:
    """Import a file as a module that nobody else sees; its folder comes first where modules are looked for.

    Raises:
        GuestError: importing it raises an error.
    """
    spec = importlib.util.spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        raise GuestError(f"{path}: not a Python file (its name ends with .py)")
    module = importlib.util.module_from_spec(spec)
    before, known = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(path.parent))
    sys.modules[MODULE] = module  # dataclasses look there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise GuestError(f"{path}: importing it failed: {_place(error, path)}{type(error).__name__}: {error}") from error
    finally:
        sys.path[:] = before
        for name in [name for name in sys.modules if name.partition(".")[0] not in known and _lies_in(name, path.parent)]:
            del sys.modules[name]  # a guest of another folder may have a module of this name
    return module


def _lies_in(name: str, folder: Path) -> bool:
    """Whether a module belongs to a guest's folder, and is not installed there."""
    file = getattr(sys.modules[name], "__file__", None)
    return file is not None and Path(file).is_relative_to(folder) and "site-packages" not in Path(file).parts


def _place(error: BaseException, path: Path) -> str:
    """Line of the file in a traceback."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"line {line}: " if line else ""
