"""Programs that know the Linux ABI but not the SDK: other start-up code, the linker's own layout, calls that do not exist here."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import zkvm
from tests.guest.compiled import needs_compiler
from tools.emulator import emulate

SOURCE = Path(__file__).resolve().parent / "linux_abi.c"
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
