"""Programs that know the Linux ABI but not the SDK: other start-up code, the linker's own layout, calls that do not exist here."""

from __future__ import annotations

import collections
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

import zkvm
from tests.guest.compiled import needs_compiler
from tools.emulator import emulate
from zkvm.errors import ElfError, GuestTrap
from zkvm.guest.toolchain import build

SOURCE = Path(__file__).resolve().parent / "linux_abi.c"
LIBRARY = SOURCE.parent / "library"
ZIG = (sys.executable, "-m", "ziglang")
RUST_TARGET = "riscv32im-unknown-none-elf"
PLAIN = ("--target=riscv32-freestanding-none", "-mcpu=generic_rv32+m", "-static", "-nostdlib", "-ffreestanding", "-fno-sanitize=all")
TEXT = b"Input Of Another Program"
CHECKS = (1 << 11) - 1
"""Every check of the source holds."""
JOURNAL = bytes(byte ^ 32 for byte in TEXT) + CHECKS.to_bytes(4, "little")


@cache
def elf(folder: Path, optimization: str) -> Path:
    """Built without the SDK: no header, no start-up code, no linker script, no symbols of ours."""
    target = folder / "guest.elf"
    command = [sys.executable, "-m", "ziglang", "cc", *PLAIN, optimization, "-g", str(SOURCE), "-o", str(target)]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return target


@needs_compiler
@pytest.mark.parametrize("optimization", ["-O0", "-O2"])
def test_executor_and_emulator_agree(optimization: str, tmp_path: Path) -> None:
    guest = elf(tmp_path, optimization)
    session, seen = zkvm.execute(guest, TEXT), emulate(guest, TEXT)
    assert session.journal == seen.journal == JOURNAL
    assert session.stdout == b"hello from another libc\n"
    assert session.exit_code == seen.exit_code == 0
    assert session.cycles == seen.cycles


@needs_compiler
def test_missing_calls_are_proven(tmp_path: Path) -> None:
    guest = elf(tmp_path, "-O2")
    assert zkvm.check(guest, TEXT) == []
    receipt = zkvm.prove(guest, TEXT, params="fast").receipt
    receipt.verify(zkvm.compute_image_id(guest))
    assert receipt.journal == JOURNAL


@cache
def missing(*command: str) -> str:
    """Why a compiler cannot be used; empty if it can."""
    if shutil.which(command[0]) is None:
        return f"{command[0]} is not installed"
    return "" if subprocess.run(command, capture_output=True, check=False).returncode == 0 else f"{' '.join(command)} fails"


def compile_or_skip(probe: tuple[str, ...], command: Sequence[object], folder: Path) -> None:
    if reason := missing(*probe):
        pytest.skip(reason)
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


GCC = "riscv64-unknown-elf-gcc"
BARE = ("-mabi=ilp32", "-O2", "-static", "-nostdlib", "-ffreestanding", "-Wl,--build-id=none")
RELRO = ("-Wl,-z,relro", "-Wl,-z,noexecstack")
COMPILERS: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "clang": ((*ZIG, "version"), [*ZIG, "cc", *PLAIN, "-O2"]),
    "clang with Zmmul": (
        (*ZIG, "version"),
        [*ZIG, "cc", *PLAIN[:1], "-mcpu=generic_rv32+zmmul", *PLAIN[2:], "-O2"],
    ),
    "gcc": ((GCC, "--version"), [GCC, "-march=rv32im", *BARE, *RELRO]),
    "gcc without optimisation": ((GCC, "--version"), [GCC, "-march=rv32im", *BARE, "-O0"]),
    "gcc, one segment page by page": ((GCC, "--version"), [GCC, "-march=rv32im", *BARE, "-Wl,-z,separate-code"]),
}


@needs_compiler
@pytest.mark.parametrize("name", COMPILERS)
def test_programs_without_a_library(name: str, tmp_path: Path) -> None:
    probe, command = COMPILERS[name]
    guest = tmp_path / "guest.elf"
    compile_or_skip(probe, [*command, LIBRARY / "plain.c", "-o", guest], tmp_path)
    numbers = [0, 6, 7, 2**32 - 1, 123456789]
    stdin = struct.pack("<5I", *numbers)
    session, seen = zkvm.execute(guest, stdin), emulate(guest, stdin)
    total = sum(number * (i + 1) for i, number in enumerate(numbers)) % 2**32
    assert session.journal == seen.journal == struct.pack("<6I", *(number // 7 for number in numbers), total)
    assert (session.exit_code, session.cycles) == (0, seen.cycles)
    assert zkvm.check(guest, stdin) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-march=rv32imc", "-mabi=ilp32"), "contains compressed instructions: build with -march=rv32im"),
        (("-march=rv32imf", "-mabi=ilp32f"), "floating-point calling convention"),
        (("-march=rv64im", "-mabi=lp64"), "64-bit"),
    ],
)
def test_programs_for_other_machines_are_named(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    guest = tmp_path / "guest.elf"
    (tmp_path / "main.c").write_text("void _start(void) { for (;;) {} }\n")
    compile_or_skip((GCC, "--version"), [GCC, *arguments, *BARE[1:], "main.c", "-o", guest], tmp_path)
    with pytest.raises(ElfError, match=message):
        zkvm.compute_image_id(guest)


@needs_compiler
def test_an_atomic_instruction_is_named_where_it_is_reached(tmp_path: Path) -> None:
    guest = tmp_path / "guest.elf"
    (tmp_path / "main.c").write_text("int x;\nvoid _start(void) { __atomic_fetch_add(&x, 1, 5); for (;;) {} }\n")
    command = [*ZIG, "cc", *PLAIN[:1], "-mcpu=generic_rv32+m+a", *PLAIN[2:], "-O2", "main.c", "-o", guest]
    compile_or_skip((*ZIG, "version"), command, tmp_path)
    with pytest.raises(GuestTrap, match="an atomic instruction: compile with -march=rv32im"):
        zkvm.execute(guest)


WORDS = "the proof of the run and the input of the proof"


@needs_compiler
def test_rust_on_the_runtime_and_the_c_library(tmp_path: Path) -> None:
    probe = ("rustc", "--target", RUST_TARGET, "--print", "target-libdir")
    if not missing(*probe):
        folder = subprocess.run(probe, capture_output=True, text=True, check=True).stdout.strip()
        if not Path(folder).is_dir():
            pytest.skip(f"Rust has no library for {RUST_TARGET}: rustup target add {RUST_TARGET}")
    flags = ["--edition=2021", "--crate-type=staticlib", "--target", RUST_TARGET, "-Cpanic=abort", "-Copt-level=3"]
    compile_or_skip(probe, ["rustc", *flags, LIBRARY / "rust_main.rs", "-o", "librust.a"], tmp_path)
    guest = build([tmp_path / "librust.a"], tmp_path / "guest.elf")
    session = zkvm.execute(guest, WORDS.encode())
    expected = "".join(f"{word} {count}\n" for word, count in sorted(collections.Counter(WORDS.split()).items()))
    assert (session.journal.decode(), session.exit_code) == (expected, 0)
    assert zkvm.check(guest, WORDS.encode()) == []
    failed = zkvm.execute(guest, b"\xff")
    assert failed.exit_code == 134
    assert failed.stderr.startswith(b"panicked at ")
    assert b"text in UTF-8: FromUtf8Error" in failed.stderr


@needs_compiler
def test_go_on_the_runtime_and_the_c_library(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module words\n\ngo 1.21\n")
    for name in ("go_main.go", "tinygo.json"):
        shutil.copy(LIBRARY / name, tmp_path)
    compile_or_skip(("tinygo", "version"), ["tinygo", "build", "-target", "./tinygo.json", "-o", "words.o", "."], tmp_path)
    guest = build([tmp_path / "words.o", LIBRARY / "tinygo_runtime.c"], tmp_path / "guest.elf")
    session = zkvm.execute(guest, WORDS.encode())
    expected = "".join(f"{word} {count}\n" for word, count in sorted(collections.Counter(WORDS.split()).items()))
    assert (session.journal.decode(), session.exit_code, session.stdout) == (expected, 0, b"6 words\n")
    assert zkvm.check(guest, WORDS.encode()) == []
    failed = zkvm.execute(guest, b"\xff")
    assert (failed.exit_code, failed.stdout) == (134, b"panic: text in ASCII\n")


@needs_compiler
def test_zig_on_the_runtime(tmp_path: Path) -> None:
    flags = ["-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m", "-OReleaseSmall", "-fsingle-threaded", "-fstrip"]
    compile_or_skip((*ZIG, "version"), [*ZIG, "build-obj", LIBRARY / "zig_main.zig", *flags, "--name", "program"], tmp_path)
    guest = build([tmp_path / "program.o"], tmp_path / "guest.elf")
    numbers = [9, 1, 2**32 - 1, 30]
    session = zkvm.execute(guest, struct.pack("<4I", *numbers))
    total = (3 + sum(number // 3 for number in numbers)) % 2**32
    assert session.journal == struct.pack("<5I", *sorted(numbers), total)
    assert session.exit_code == 0


@needs_compiler
def test_objects_of_gcc_beside_sources(tmp_path: Path) -> None:
    (tmp_path / "part.c").write_text("int seven(int x) { return x / 7; }\nint table[3] = {1, 2, 3};\n")
    compile_or_skip((GCC, "--version"), [GCC, "-march=rv32im", "-mabi=ilp32", "-O2", "-c", "part.c"], tmp_path)
    (tmp_path / "main.c").write_text("int seven(int);\nextern int table[];\nint main(void) { return seven(100) + table[2]; }\n")
    guest = build([tmp_path / "main.c", tmp_path / "part.o"], tmp_path / "guest.elf")
    assert zkvm.execute(guest).exit_code == 17
