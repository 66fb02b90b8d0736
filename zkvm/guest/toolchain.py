"""Compiles C, C++ and assembly to RV32IM ELF files with the pinned Zig distribution of Clang and LLD.

The same sources give the same bytes in every directory and on every machine: paths are mapped away, nothing is dated, and
the compiler's version is pinned by the ``guest`` extra.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from zkvm.errors import GuestError, UsageError
from zkvm.files import write_atomically
from zkvm.guest.library import (
    CODE_FLAGS,
    INCLUDE,
    PROCESSOR_FLAGS,
    SDK,
    archives,
    compiler,
    compiler_environment,
    include_flags,
    toolchain_folder,
)
from zkvm.riscv.vm.elf import load_image

LINKER_SCRIPT = SDK / "runtime" / "link.ld"
RUNTIME_SOURCES = tuple(
    SDK / "runtime" / name
    for name in ("start.S", "zkvm.c", "print.c", "memory.c", "atomics.c", "tensor.c", "tensor_digest.c", "poseidon2.c", "blake3.c")
)
THREAD_POINTER = SDK / "runtime" / "tls.S"
CHECKS = SDK / "runtime" / "checks.c"
NO_ARGUMENTS = SDK / "runtime" / "arguments.S"
DIVISION = SDK / "runtime" / "division.c"
DIVISIONS = ("__divsf3", "__divdf3")
LAST_CONSTRUCTORS = ("__zkvm_run", "no_arguments")
"""Functions that call main with no arguments, or prepare that."""
CPP_SUFFIXES = (".cpp", ".cc", ".cxx")
OBJECT_SUFFIXES = (".o", ".a")
SOURCE_SUFFIXES = (".c", ".S", ".s", *CPP_SUFFIXES, *OBJECT_SUFFIXES)

TARGET_FLAGS = ("--target=riscv32-freestanding-none", *PROCESSOR_FLAGS, "-static")
C_FLAGS = {"musl": ("-std=gnu17",), "none": ("-std=c11",)}
CPP_FLAGS = (
    "-std=gnu++23",
    "-fno-threadsafe-statics",
    # Guests end with the exit call: destructors of static objects never run, so nothing has to register them.
    "-fno-c++-static-destructors",
    # The header's system call needs register variables.
    "-Wno-register",
)
LIBRARY_FLAGS = {
    # The compiler knows what the library's functions do, and that main returns 0. Zig would take assertions out of optimised programs.
    "musl": ("-fhosted", "-UNDEBUG"),
    "none": ("-ffreestanding", "-fno-rtti"),
}
COMPILE_FLAGS = (
    *CODE_FLAGS,
    # All files are optimised together when they are linked: calls of the SDK's library are inlined, and what nobody calls is left out.
    # What the compiler itself calls (memcpy, 64-bit division) is resolved after that, so it is kept.
    "-flto",
    "-Wall",
    "-Wextra",
    # Their lengths are often the input's, hence the prover's choice, and a size that wraps in 32 bits has no check.
    "-Werror=vla",
    "-Walloca",
    # They are plain loads and stores here.
    "-Wno-atomic-alignment",
)
LENGTH_NOTE = """\
note: an array that is larger than the stack traps, but only if its size in bytes fits 32 bits: 2^30 elements of 4 bytes and some more are
      few bytes to the compiler, and all of memory is then inside the array. Take an array of constant size or the heap; or compare the
      length with a constant before the declaration, and then write #pragma clang diagnostic ignored "-Wvla" before the function."""
"""What the compiler's error of a variable-length array does not say."""
CHECK_FLAGS = (
    "-fsanitize=signed-integer-overflow,integer-divide-by-zero,shift,bounds,null,alignment,pointer-overflow",
    "-fsanitize=float-cast-overflow,bool,enum,builtin,nonnull-attribute,unreachable,return",
    "-fno-sanitize-recover=all",
    # Of a path only the file's name: where the sources lie must not be part of the program.
    "-fsanitize-undefined-strip-path-components=-1",
)
"""Undefined behaviour that the compiler can look for becomes a panic (runtime/checks.c)."""
NOTES = {
    "[-Werror,-Wvla": LENGTH_NOTE,
    "with exceptions disabled": """\
note: exceptions need --exceptions. Without, an error that nobody handles ends the run: return a value that says what happened
      (std::optional, std::expected, an error code), or end with zkvm_panic("why").""",
    "undefined symbol": "note: a guest has one thread, no processes, sockets, directories or randomness: functions for them do not exist.",
    "file not found": "note: headers of the C library are found unless --libc none is given; a folder of your own needs -I.",
}
"""What is said below a message of the compiler that contains the key."""
EXCEPTIONS = {False: "-fno-exceptions", True: "-fexceptions"}
EXCEPTION_TABLES = {
    " *(.eh_frame .eh_frame_hdr)": "",
    "    /* Addresses of functions": """\
    .eh_frame : ALIGN(4) { __eh_frame_start = .; KEEP(*(.eh_frame)) __eh_frame_end = .; } :constants
    .eh_frame_hdr : { __eh_frame_hdr_start = .; KEEP(*(.eh_frame_hdr)) __eh_frame_hdr_end = .; } :constants
    .gcc_except_table : { *(.gcc_except_table .gcc_except_table.*) } :constants
    /* Addresses of functions""",
}
"""What of the linker script is otherwise with exceptions."""
LINK_FLAGS = ("-Wl,--gc-sections", "-Wl,--build-id=none")


def build(
    sources: Sequence[Path | str],
    output: Path | str,
    *,
    include_directories: Sequence[Path | str] = (),
    defines: Mapping[str, str] | None = None,
    optimization: str = "3",
    debug_lines: bool = False,
    runtime: bool = True,
    libc: str = "musl",
    exceptions: bool = False,
    checks: bool = False,
    warn: Callable[[str], object] | None = None,
) -> Path:
    """Compiles and links ``sources`` into one static executable.

    Args:
        sources: C (``.c``), C++ (``.cpp``, ``.cc``, ``.cxx``) and assembly (``.S``, ``.s``) files, and objects and archives
            (``.o``, ``.a``) of any compiler for RV32IM; the order is the link order. C++ without destructors of static objects.
        output: the ELF file to write; replaced only if everything succeeds.
        include_directories: further directories for ``#include``.
        defines: preprocessor macros.
        optimization: Clang's level: ``0``, ``1``, ``2``, ``3``, ``s`` or ``z``.
        debug_lines: keep line tables (not loaded, not part of the image ID).
        runtime: link the SDK's start-up code and library; without it the sources define ``_start``, and there is no C library.
        libc: ``musl``, the whole C library and C++'s, of which is linked what is used; or ``none``.
        exceptions: C++ with exceptions, whose tables are part of the program.
        checks: code of the sources that overflows, divides by zero or leaves an array panics with file and line.
        warn: called with the compiler's warnings, if there are any, and before a library is compiled, which takes a while.

    Returns:
        The path of the ELF file.

    Raises:
        UsageError: no compiler is installed, no source, or a source that is missing or of another kind; an unknown library.
        GuestError: the sources do not compile or link; the message is the compiler's.
        ElfError: the program that they make cannot be loaded.
    """
    libc = _checked_library(libc, runtime=runtime, exceptions=exceptions, checks=checks)
    paths = [_checked_source(source) for source in sources]
    if not paths:
        raise UsageError("nothing to compile: name at least one C, C++, assembly or object file")
    flags = [
        *TARGET_FLAGS,
        *LIBRARY_FLAGS[libc],
        *COMPILE_FLAGS,
        *(CHECK_FLAGS if checks else ()),
        f"-O{optimization}",
        *_prefix_maps(paths),
        *(f"-D{name}={value}" for name, value in (defines or {}).items()),
        *(f"-I{Path(directory).resolve()}" for directory in (INCLUDE, *include_directories)),
        # Without an explicit level Zig drops the symbol table, which messages and profiles need.
        "-gline-tables-only" if debug_lines else "-g0",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        job = _Build(Path(scratch), flags, libc, any(path.suffix in CPP_SUFFIXES for path in paths), runtime, exceptions, warn)
        program = job.run([*paths, CHECKS] if checks else paths).read_bytes()
    load_image(program, symbols=False)  # what no run would take is not built: constants of tensor calls that break their rules, say
    write_atomically(Path(output), program)
    return Path(output)


@contextmanager
def sources_folder() -> Iterator[Path]:
    """A new folder for generated sources, which is removed afterwards. All those of a thread have the same name, so none is inside another.

    The compiler keeps what it compiled by its flags, which name the sources' folder (``_prefix_maps``): under another name it would
    compile the SDK's library again with every program. That is the price where somebody else has taken the name since.
    """
    folder = _folder_of(os.getpid(), threading.get_ident())
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        folder = Path(tempfile.mkdtemp(prefix=folder.name, dir=folder.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@cache
def _folder_of(process: int, thread: int) -> Path:
    """A name that no other thread has, nor a process that was forked from this one."""
    folder = tempfile.mkdtemp(prefix="zkvm-sources-")
    os.rmdir(folder)
    return Path(folder)


@dataclass
class _Build:
    """One program on its way; ``flags`` are those of all languages."""

    scratch: Path
    flags: list[str]
    libc: str
    cpp: bool
    runtime: bool
    exceptions: bool
    warn: Callable[[str], object] | None

    def run(self, paths: Sequence[Path]) -> Path:
        """The linked program."""
        # The compiler has one language standard for all files of a command, so C++ comes first, by itself.
        warnings = ""
        inputs: list[str] = []
        for number, path in enumerate(paths):
            inputs.append(str(self.scratch / f"{number}.o") if path.suffix in CPP_SUFFIXES else str(path))
            if path.suffix in CPP_SUFFIXES:
                warnings += self._checked(
                    [*CPP_FLAGS, EXCEPTIONS[self.exceptions], *self._headers(cpp=True), "-c", str(path), "-o", inputs[-1]]
                )
        linked = self.scratch / "guest.elf"
        command = [
            *C_FLAGS[self.libc],
            *self._headers(cpp=False),
            *LINK_FLAGS,
            *(("-Wl,--eh-frame-hdr",) if self.exceptions else ()),
            f"-Wl,-T,{self._script()}",
            *map(str, RUNTIME_SOURCES if self.runtime else ()),
            *inputs,
        ]
        warnings += self._link([*command, "-o", str(linked)], linked)
        if self.warn is not None and warnings.strip():
            self.warn(warnings.strip())
        return linked

    def _link(self, command: Sequence[str], linked: Path) -> str:
        """Links the program; the compiler's warnings.

        What few programs need is linked in only when a first attempt shows that this one does, so that the others do not change by it,
        nor wait for it: the libraries, division of floats, the thread pointer, and main's arguments after constructors.
        """
        warnings = ""
        extra: list[str] = []
        while True:
            result = self._compiler([*command, *extra])
            # The compiler keeps what it compiled: the next attempt repeats no warning.
            warnings += result.stderr.partition("ld.lld:")[0]
            if result.returncode != 0 or not linked.exists():
                if self.libc == "none" or extra or "undefined symbol" not in result.stderr:
                    raise _refusal(result.stderr)
                extra = [str(path) for path in archives(self.scratch, cpp=self.cpp, exceptions=self.exceptions, progress=self.warn)]
                continue
            missing = [item for item in (_needed(linked) if self.runtime else []) if item not in extra]
            if not missing:
                return warnings
            extra += missing

    def _script(self) -> Path:
        """The linker script; with exceptions, another that keeps the tables of who handles what."""
        if not self.exceptions:
            return LINKER_SCRIPT
        text = LINKER_SCRIPT.read_text()
        for old, new in EXCEPTION_TABLES.items():
            text = text.replace(old, new)
        script = self.scratch / LINKER_SCRIPT.name
        script.write_text(text)
        return script

    def _headers(self, *, cpp: bool) -> list[str]:
        return include_flags(cpp=cpp) if self.libc != "none" else []

    def _checked(self, arguments: Sequence[str]) -> str:
        result = self._compiler(arguments)
        if result.returncode != 0:
            raise _refusal(result.stderr)
        return result.stderr

    def _compiler(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        # The working directory is recorded in line tables, so it is always the same one.
        command = [*compiler(), "cc", *self.flags, *arguments]
        environment = compiler_environment(self.scratch)
        return subprocess.run(command, cwd=SDK, env=environment, capture_output=True, text=True, check=False)


def _refusal(text: str) -> GuestError:
    notes = "".join(f"\n{note}" for key, note in NOTES.items() if key in text)
    return GuestError(f"the guest does not compile:\n{text.strip()}{notes}")


def _needed(program: Path) -> list[str]:
    """What the linker has to be given for this program beside what it names."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    with program.open("rb") as stream:
        elf = ELFFile(stream)
        table, symbols = elf.get_section_by_name(".init_array"), elf.get_section_by_name(".symtab")
        constructors = table is not None and table["sh_size"] != 0
        prepared = isinstance(symbols, SymbolTableSection) and any(symbols.get_symbol_by_name(name) for name in LAST_CONSTRUCTORS)
        divides = isinstance(symbols, SymbolTableSection) and any(symbols.get_symbol_by_name(name) for name in DIVISIONS)
        threads = any(segment["p_memsz"] != 0 for segment in elf.iter_segments("PT_TLS"))
    return [str(DIVISION)] * divides + [str(THREAD_POINTER)] * threads + [str(NO_ARGUMENTS)] * (constructors and not prepared)


def _checked_library(libc: str, *, runtime: bool, exceptions: bool, checks: bool) -> str:
    """The library to link with, after a look at the options that need it."""
    if libc not in LIBRARY_FLAGS:
        raise UsageError(f"libc {libc}: choose {' or '.join(LIBRARY_FLAGS)}")
    if exceptions and (libc == "none" or not runtime):
        raise UsageError("exceptions need the C++ library: not with --libc none or --no-runtime")
    if checks and not runtime:
        raise UsageError("checks need the runtime: not with --no-runtime")
    return libc if runtime else "none"


def _checked_source(source: Path | str) -> Path:
    path = Path(source)
    if path.suffix not in SOURCE_SUFFIXES:
        raise UsageError(f"{path}: not a C, C++, assembly or object file (known endings: {', '.join(SOURCE_SUFFIXES)})")
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    return path.resolve()


def _prefix_maps(paths: Sequence[Path]) -> list[str]:
    """Flags that replace directories by fixed names wherever the compiler would record them."""
    maps = {**{str(path.parent): "." for path in paths}, str(SDK): "zkvm", str(toolchain_folder()): "toolchain"}
    return [f"-ffile-prefix-map={old}={new}" for old, new in maps.items()]
