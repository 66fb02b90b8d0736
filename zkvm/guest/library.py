"""The C and C++ libraries of guests: musl and libc++, whose sources come with the compiler, and this package's own files for what a
machine without operating system, threads and files does otherwise.

They are compiled once for each version of the compiler and of this package and kept in the user's cache. The same sources
give the same bytes on every machine: what a guest uses of them is part of its image ID.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from zkvm.errors import GuestError, UsageError

SDK = Path(__file__).resolve().parent
INCLUDE = SDK / "include"
OWN = SDK / "libc"
INTERNAL = OWN / "internal"
"""Headers that musl includes in place of its own for RV32."""

TARGET_FLAGS = ("-target", "riscv32-freestanding-none")
PROCESSOR_FLAGS = ("-mcpu=generic_rv32+m+relax",)
"""Base integers and multiplication only: no compressed instructions, no atomics, no floats. "relax" lets the linker shorten calls to one
instruction."""
CODE_FLAGS = (
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
)
"""What all code of a guest is compiled with, the libraries' too."""
BUILD_FLAGS = ("-OReleaseFast", "-fstrip", "-ffunction-sections", "-fdata-sections")

MUSL_FOLDERS = (
    *("complex", "conf", "ctype", "env", "errno", "exit", "fcntl", "fenv", "internal", "legacy", "locale", "math", "misc", "mman"),
    *("multibyte", "prng", "regex", "search", "select", "setjmp/riscv32", "signal", "stat", "stdio", "stdlib", "string"),
    *("thread", "time", "unistd"),
)
REPLACED = frozenset(
    {
        *("env/__init_tls.c", "env/__libc_start_main.c", "env/__reset_tls.c", "env/__stack_chk_fail.c", "exit/abort.c", "exit/atexit.c"),
        *("internal/libc.c", "internal/procfdname.c", "stdio/__stdio_exit.c", "stdio/__stdout_write.c", "stdio/tempnam.c"),
        *(
            "stdio/tmpfile.c",
            "stdio/tmpnam.c",
            "time/clock.c",
            "time/clock_gettime.c",
            "time/ftime.c",
            "time/gettimeofday.c",
            "time/time.c",
        ),
        # One thread: what would start another does not link.
        *("thread/clone.c", "thread/pthread_create.c", "thread/thrd_create.c", "thread/__set_thread_area.c", "thread/__unmapself.c"),
        *("thread/tls.c", "thread/__tls_get_addr.c", "thread/synccall.c", "thread/syscall_cp.c"),
    }
)
"""Files of musl that are not taken, because the machine has nothing of the kind or this package has its own."""
MUSL_FLAGS = ("-std=gnu17", "-nostdinc", "-ffreestanding", "-w", "-D_XOPEN_SOURCE=700")
OWN_C = ("state.c", "run.c", "stdio_exit.c", "atexit.c", "system.c", "malloc.c", "string.c")

CPP_WITHOUT = ("barrier", "condition_variable", "future", "mutex", "shared_mutex", "thread", "random.", "atomic.", "filesystem")
"""Beginnings of names of libc++'s files about threads, files and sources of chance."""
CPP_ABI_WITHOUT = {False: ("cxa_exception.", "cxa_personality", "cxa_thread_atexit"), True: ("cxa_noexception", "cxa_thread_atexit")}
"""Without exceptions, and with them."""
UNWINDER = ("libunwind.cpp", "UnwindLevel1.c", "UnwindLevel1-gcc-ext.c", "UnwindRegistersRestore.S", "UnwindRegistersSave.S")
UNWINDER_FLAGS = (
    *("-nostdinc", "-w", "-fexceptions", "-DNDEBUG", "-D_LIBUNWIND_IS_BAREMETAL", "-D_LIBUNWIND_IS_NATIVE_ONLY"),
    *("-D_LIBUNWIND_HAS_NO_THREADS", "-D_LIBUNWIND_HIDE_SYMBOLS"),
)
CPP_DEFINES = (
    "_LIBCPP_ABI_VERSION=1",
    "_LIBCPP_ABI_NAMESPACE=__1",
    "_LIBCPP_HAS_THREADS=0",
    "_LIBCPP_HAS_MONOTONIC_CLOCK=1",
    "_LIBCPP_HAS_TERMINAL=0",
    "_LIBCPP_HAS_MUSL_LIBC=1",
    "_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS=0",
    "_LIBCPP_HAS_FILESYSTEM=0",
    "_LIBCPP_HAS_RANDOM_DEVICE=0",
    "_LIBCPP_HAS_LOCALIZATION=1",
    "_LIBCPP_HAS_UNICODE=1",
    "_LIBCPP_HAS_WIDE_CHARACTERS=1",
    "_LIBCPP_HAS_TIME_ZONE_DATABASE=0",
    "_LIBCPP_HAS_NO_STD_MODULES",
    "_LIBCPP_DISABLE_VISIBILITY_ANNOTATIONS",
    "_LIBCPP_PSTL_BACKEND_SERIAL",
    "_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_NONE",
    "_LIBCPP_ASSERTION_SEMANTIC_DEFAULT=_LIBCPP_ASSERTION_SEMANTIC_IGNORE",
    "_LIBCXXABI_DISABLE_VISIBILITY_ANNOTATIONS",
    "_LIBCXXABI_HAS_NO_THREADS",
    # As the compiler does for operating systems: the library's headers need it.
    "_GNU_SOURCE",
)
"""What libc++ is configured with, here and wherever its headers are included."""
CPP_FLAGS = (
    *("-std=c++23", "-nostdinc", "-nostdinc++", "-w", "-fvisibility=hidden", "-DNDEBUG"),
    *("-D_LIBCPP_BUILDING_LIBRARY", "-D_LIBCXXABI_BUILDING_LIBRARY", "-DLIBCXX_BUILDING_LIBCXXABI"),
)


def compiler() -> tuple[str, ...]:
    """The command of the compiler, to be followed by ``cc``, say.

    Raises:
        UsageError: it is not installed.
    """
    if importlib.util.find_spec("ziglang") is None:
        raise UsageError("building a guest needs a compiler: pip install 'zkvm[guest]'")
    return (sys.executable, "-m", "ziglang")


def toolchain_folder() -> Path:
    """The folder of the compiler's headers and of its libraries' sources.

    Raises:
        UsageError: it is not installed.
    """
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise UsageError("building a guest needs a compiler: pip install 'zkvm[guest]'")
    return Path(spec.origin).resolve().parent / "lib"


def user_cache(name: str) -> Path | None:
    """The user's cache folder ``name``, which then exists and can be written; None if there is no such folder."""
    home = os.environ.get("HOME")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or (Path(home) / ".cache" if home else os.devnull)) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def compiler_environment(scratch: Path) -> dict[str, str]:
    """The compiler's variables. Temporary files are in ``scratch``, which goes with the build; so is its cache where there is no other."""
    variables = os.environ | {"TMPDIR": str(scratch)}
    if "ZIG_GLOBAL_CACHE_DIR" not in variables and user_cache("zig") is None:
        variables["ZIG_GLOBAL_CACHE_DIR"] = str(scratch / "cache")
    return variables


def include_flags(*, cpp: bool) -> list[str]:
    """The compiler's flags for sources that include headers of the libraries.

    Args:
        cpp: whether sources are C++.

    Raises:
        UsageError: the compiler is not installed.
    """
    lib = toolchain_folder()
    # libc++'s headers come before the compiler's own, which include them in turn; musl's come behind.
    own = [f"-I{lib / 'libcxx/include'}", f"-I{lib / 'libcxxabi/include'}", *(f"-D{name}" for name in CPP_DEFINES)] if cpp else []
    return [*own, *_musl_headers(lib)]


def archives(scratch: Path, *, cpp: bool, exceptions: bool = False, progress: Callable[[str], object] | None = None) -> list[Path]:
    """The libraries to link with, in this order. Those that are not in the user's cache are compiled.

    Args:
        scratch: an empty folder, for what is not kept.
        cpp: whether C++'s is needed.
        exceptions: whether C++'s is the one with exceptions.
        progress: called with a line of text before something that takes long.

    Raises:
        UsageError: the compiler is not installed.
        GuestError: it does not compile a library.
    """
    cache = user_cache("zkvm")
    folder = (cache or scratch) / f"guest-libraries-{_digest()}"
    wanted = [("libc.a", "the C library", _build_c)]
    if exceptions:
        unwinder = ("libunwind.a", "what exceptions need", _build_unwinder)
        wanted = [("libcpp-exceptions.a", "the C++ library with exceptions", partial(_build_cpp, exceptions=True)), unwinder, *wanted]
    elif cpp:
        wanted = [("libcpp.a", "the C++ library", partial(_build_cpp, exceptions=False)), *wanted]
    for name, words, make in wanted:
        if (folder / name).is_file():
            continue
        if progress is not None:
            progress(f"compiling {words}: once for each version of the compiler, about half a minute")
        with tempfile.TemporaryDirectory(dir=scratch) as work:
            built = make(Path(work))
            folder.mkdir(parents=True, exist_ok=True)
            # Whole or not at all, and whoever is last wins: others may build the same at this time.
            neighbour = folder / f"{name}.{os.getpid()}"
            shutil.copyfile(built, neighbour)
            neighbour.replace(folder / name)
    return [folder / name for name, _, _ in wanted]


def _musl_headers(lib: Path) -> list[str]:
    names = ("riscv32-linux-musl", "generic-musl")
    return [flag for name in names for flag in ("-isystem", str(lib / "libc/include" / name))]


def _digest() -> str:
    """Of everything that the libraries are made of."""
    digest = hashlib.sha256(importlib.metadata.version("ziglang").encode())
    for path in sorted([Path(__file__), *INCLUDE.glob("*.h"), *OWN.rglob("*.*")]):
        content = path.read_bytes()
        digest.update(f"\0{path.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _build_c(work: Path) -> Path:
    lib = toolchain_folder()
    musl = lib / "libc/musl"
    includes = [INTERNAL, *(musl / name for name in ("arch/riscv32", "arch/generic", "src/include", "src/internal", "include", "src"))]
    flags = [
        *MUSL_FLAGS,
        *CODE_FLAGS,
        f"-ffile-prefix-map={lib}=toolchain",
        *(f"-I{path}" for path in includes),
        f"-I{INCLUDE}",
        "-isystem",
        str(lib / "include"),
        *_musl_headers(lib),
    ]
    sources = [path for folder in MUSL_FOLDERS for path in sorted((musl / "src" / folder).glob("*.[cS]"))]
    kept = [path for path in sources if str(path.relative_to(musl / "src")) not in REPLACED]
    own = [OWN / name for name in OWN_C]
    # This package's files come first, because the first definition in a library counts.
    return _archive(work, "c", flags, [*own, *kept], [_build_zig(lib, work)])


def _build_zig(lib: Path, work: Path) -> Path:
    """What the toolchain has of the C library in Zig, as an object file."""
    shutil.copytree(lib / "c", work / "c")
    shutil.copyfile(OWN / "c.zig", work / "c.zig")
    target = ("-target", "riscv32-linux-musl", *PROCESSOR_FLAGS, "-lc", "-fsingle-threaded")
    _run([*compiler(), "build-obj", "c.zig", *target, *BUILD_FLAGS, "--name", "zig_c"], work)
    return work / "zig_c.o"


def _build_cpp(work: Path, *, exceptions: bool) -> Path:
    lib = toolchain_folder()
    cxx, abi = lib / "libcxx", lib / "libcxxabi"
    includes = [cxx / "src", abi / "src", cxx / "libc", cxx / "include", abi / "include"]
    flags = [
        *CPP_FLAGS,
        "-fexceptions" if exceptions else "-fno-exceptions",
        *CODE_FLAGS,
        f"-ffile-prefix-map={lib}=toolchain",
        *(f"-D{name}" for name in CPP_DEFINES),
        *(f"-I{path}" for path in includes),
        *("-isystem", str(lib / "include")),
        *_musl_headers(lib),
    ]
    sources = [
        *_without((cxx / "src").glob("*.cpp"), CPP_WITHOUT),
        *_without((cxx / "src/ryu").glob("*.cpp"), ()),
        *_without((abi / "src").glob("*.cpp"), CPP_ABI_WITHOUT[exceptions]),
    ]
    return _archive(work, "cpp", flags, sources, [])


def _build_unwinder(work: Path) -> Path:
    """What finds the handler of an exception."""
    lib = toolchain_folder()
    folder = lib / "libunwind"
    includes = [f"-I{folder / 'include'}", f"-I{folder / 'src'}", "-isystem", str(lib / "include"), *_musl_headers(lib)]
    flags = [*UNWINDER_FLAGS, *CODE_FLAGS, f"-ffile-prefix-map={lib}=toolchain", *includes]
    return _archive(work, "unwind", flags, [folder / "src" / name for name in UNWINDER], [])


def _without(paths: Iterable[Path], beginnings: tuple[str, ...]) -> list[Path]:
    return sorted(path for path in paths if not path.name.startswith(beginnings))


def _archive(work: Path, name: str, flags: Sequence[str], sources: Sequence[Path], objects: Sequence[Path]) -> Path:
    command = [*compiler(), "build-lib", "-static", *TARGET_FLAGS, *PROCESSOR_FLAGS, *BUILD_FLAGS, "--name", name]
    _run([*command, "-cflags", *flags, "--", *map(str, sources), *map(str, objects)], work)
    return work / f"lib{name}.a"


def _run(command: Sequence[str], work: Path) -> None:
    environment = compiler_environment(work)
    result = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        text = "\n".join(line for line in result.stderr.splitlines() if "error:" in line)[:2000] or result.stderr[-2000:]
        raise GuestError(f"the guest's library does not compile:\n{text}")
