"""Compiles C, C++ and assembly to RV32IM ELF files with the pinned Zig distribution of Clang and LLD.

The same sources give the same bytes in every directory and on every machine: paths are mapped away, nothing is dated, and
the compiler's version is pinned by the ``guest`` extra.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from zkvm.errors import GuestError, UsageError
from zkvm.files import write_atomically

SDK = Path(__file__).resolve().parent
INCLUDE = SDK / "include"
LINKER_SCRIPT = SDK / "runtime" / "link.ld"
RUNTIME_SOURCES = tuple(SDK / "runtime" / name for name in ("start.S", "zkvm.c", "memory.c", "tensor.c", "poseidon2.c", "blake3.c"))
CPP_SUFFIXES = (".cpp", ".cc", ".cxx")
SOURCE_SUFFIXES = (".c", ".S", ".s", *CPP_SUFFIXES)

TARGET_FLAGS = (
    "--target=riscv32-freestanding-none",
    # Base integers and multiplication only: no compressed instructions, no atomics, no floats. "relax" lets the linker
    # shorten calls to one instruction.
    "-mcpu=generic_rv32+m+relax",
    "-static",
)
C_FLAGS = ("-std=c11",)
CPP_FLAGS = (
    # The SDK's C files are part of the same command, so no language standard is named; C++20 only where it is C++.
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
    # Guests end with the exit call: destructors of static objects never run, so nothing has to register them.
    "-fno-c++-static-destructors",
    # The header's system call needs register variables.
    "-Wno-register",
)
"""Beside C++ sources: the parts of the language that need no run-time library."""
COMPILE_FLAGS = (
    "-ffreestanding",
    # All files are optimised together when they are linked: calls of the library are inlined, and what nobody calls is left out. What
    # the compiler itself calls (memcpy, 64-bit division) is resolved after that, so it is kept.
    "-flto",
    # Zig turns on the undefined-behaviour sanitizer unless told otherwise.
    "-fno-sanitize=all",
    "-fno-stack-protector",
    # Whatever moves the stack pointer further than a page touches every page on the way, so that no frame steps over the unmapped
    # words below the stack. The compiler's driver offers this for operating systems only; the compiler itself does it for all.
    "-Xclang",
    "-fstack-clash-protection",
    # A length of 2^31 bytes and more moves the stack pointer upwards, past the code that touches pages. Clearing such an array runs
    # into the end of memory. The second option exempts every variable whose size the compiler knows.
    "-ftrivial-auto-var-init=zero",
    "-ftrivial-auto-var-init-max-size=1",
    "-fomit-frame-pointer",
    "-fno-asynchronous-unwind-tables",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-Wextra",
    # Their lengths are often the input's, hence the prover's choice, and a size that wraps in 32 bits has no check.
    "-Werror=vla",
    "-Walloca",
)
LENGTH_NOTE = """\
note: an array that is larger than the stack traps, but only if its size in bytes fits 32 bits: 2^30 elements of 4 bytes and some more are
      few bytes to the compiler, and all of memory is then inside the array. Take an array of constant size or the heap; or compare the
      length with a constant before the declaration, and then write #pragma clang diagnostic ignored "-Wvla" before the function."""
"""What the compiler's error of a variable-length array does not say."""
LINK_FLAGS = ("-Wl,--gc-sections", "-Wl,--build-id=none", f"-Wl,-T,{LINKER_SCRIPT}")


def build(
    sources: Sequence[Path | str],
    output: Path | str,
    *,
    include_directories: Sequence[Path | str] = (),
    defines: Mapping[str, str] | None = None,
    optimization: str = "3",
    debug_lines: bool = False,
    runtime: bool = True,
    warn: Callable[[str], object] | None = None,
) -> Path:
    """Compiles and links ``sources`` into one static executable.

    Args:
        sources: C (``.c``), C++ (``.cpp``, ``.cc``, ``.cxx``) and assembly (``.S``, ``.s``) files; the order is the link order. C++
            without exceptions, run-time types, the standard library and destructors of static objects.
        output: the ELF file to write; replaced only if everything succeeds.
        include_directories: further directories for ``#include``.
        defines: preprocessor macros.
        optimization: Clang's level: ``0``, ``1``, ``2``, ``3``, ``s`` or ``z``.
        debug_lines: keep line tables (not loaded, not part of the image ID).
        runtime: link the SDK's start-up code and library; without it the sources define ``_start``.
        warn: called with the compiler's warnings, if there are any.

    Returns:
        The path of the ELF file.

    Raises:
        UsageError: no compiler is installed, no source, or a source that is missing or of another kind.
        GuestError: the sources do not compile or link; the message is the compiler's.
    """
    paths = [_checked_source(source) for source in sources]
    if not paths:
        raise UsageError("nothing to compile: name at least one C, C++ or assembly file")
    target = Path(output)
    command = [
        *_compiler(),
        *TARGET_FLAGS,
        *(CPP_FLAGS if any(path.suffix in CPP_SUFFIXES for path in paths) else C_FLAGS),
        *COMPILE_FLAGS,
        f"-O{optimization}",
        *_prefix_maps(paths),
        *(f"-D{name}={value}" for name, value in (defines or {}).items()),
        f"-I{INCLUDE}",
        *(f"-I{Path(directory).resolve()}" for directory in include_directories),
        *LINK_FLAGS,
        # Without an explicit level Zig drops the symbol table, which messages and profiles need.
        "-gline-tables-only" if debug_lines else "-g0",
        *map(str, (*(RUNTIME_SOURCES if runtime else ()), *paths)),
    ]
    with tempfile.TemporaryDirectory() as scratch:
        linked = Path(scratch) / "guest.elf"
        # The working directory is recorded in line tables, so it is always the same one.
        environment = _environment(Path(scratch))
        result = subprocess.run([*command, "-o", str(linked)], cwd=SDK, env=environment, capture_output=True, text=True, check=False)
        if result.returncode != 0 or not linked.exists():
            note = f"\n{LENGTH_NOTE}" if "[-Werror,-Wvla" in result.stderr else ""
            raise GuestError(f"the guest does not compile:\n{result.stderr.strip()}{note}")
        write_atomically(target, linked.read_bytes())
    warnings = result.stderr.strip()
    if warn is not None and warnings:
        warn(warnings)
    return target


def _checked_source(source: Path | str) -> Path:
    path = Path(source)
    if path.suffix not in SOURCE_SUFFIXES:
        raise UsageError(f"{path}: not a C, C++ or assembly file (known endings: {', '.join(SOURCE_SUFFIXES)})")
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    return path.resolve()


def _compiler() -> tuple[str, ...]:
    if importlib.util.find_spec("ziglang") is None:
        raise UsageError("building a guest needs a compiler: pip install 'zkvm[guest]'")
    return (sys.executable, "-m", "ziglang", "cc")


def _environment(scratch: Path) -> dict[str, str]:
    """The compiler's variables. Temporary files are in a directory that goes with the build; so is its cache where there is no other."""
    variables = os.environ | {"TMPDIR": str(scratch)}
    if "ZIG_GLOBAL_CACHE_DIR" not in variables:
        home = variables.get("HOME")
        cache = Path(variables.get("XDG_CACHE_HOME") or (Path(home) / ".cache" if home else os.devnull)) / "zig"
        try:
            cache.mkdir(parents=True, exist_ok=True)
            usable = os.access(cache, os.W_OK)
        except OSError:
            usable = False
        if not usable:
            variables["ZIG_GLOBAL_CACHE_DIR"] = str(scratch / "cache")
    return variables


def _prefix_maps(paths: Sequence[Path]) -> list[str]:
    """Flags that replace directories by fixed names wherever the compiler would record them."""
    maps = {**{str(path.parent): "." for path in paths}, str(SDK): "zkvm"}
    return [f"-ffile-prefix-map={old}={new}" for old, new in maps.items()]
