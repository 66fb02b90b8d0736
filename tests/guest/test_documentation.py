"""The page on guests: its examples compile without a warning and do what they say, and it names everything that the header has."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import zkvm
from tests.guest.compiled import compiled, needs_compiler
from zkvm.guest.library import INCLUDE
from zkvm.guest.toolchain import build
from zkvm.stark.crypto.hashes import blake3

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "guests.md").read_text()
EXAMPLES = re.findall(r"```c\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_names_every_function_of_the_header() -> None:
    header = (INCLUDE / "zkvm.h").read_text()
    functions = set(re.findall(r"^(?!#|//| \*).*?\b(zkvm_\w+|mem\w+|strlen)\(.*[;{]$", header, re.MULTILINE)) | {"zkvm_assert"}
    assert {"zkvm_cycles", "zkvm_read_exact", "zkvm_vprintf", "zkvm_panic", "memcpy"} <= functions
    assert [name for name in sorted(functions) if not re.search(rf"\b{name}\b", PAGE)] == []


@needs_compiler
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_compile_without_a_warning(number: int, tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(EXAMPLES[number])
    warnings: list[str] = []
    build([tmp_path / "main.c"], tmp_path / "guest.elf", warn=warnings.append)
    assert warnings == []


@needs_compiler
def test_examples_do_what_they_say() -> None:
    square, bulk, lines, hashed = (compiled(source) for source in EXAMPLES)
    assert zkvm.execute(square, (12).to_bytes(4, "little")).journal == (144).to_bytes(4, "little")
    values = np.array([5, -6, 7, 8, 9], np.int32)
    session = zkvm.execute(bulk, zkvm.ExecutorEnv().write_u32(len(values)).write(values))
    assert session.journal == (values * np.array([3, 1, 4, 1, 3], np.int32)).tobytes()
    assert re.fullmatch(r"5 values, \d+ cycles each\n", session.stderr.decode())
    sorted_lines = zkvm.execute(lines, b"three\na\nbb\n")
    assert (sorted_lines.journal, sorted_lines.stdout) == (b"a\nbb\nthree\n", b"3 lines\n")
    data = bytes(k % 256 for k in range(1024))
    assert zkvm.execute(hashed, data).journal == blake3(data)
    failed = zkvm.execute(bulk, zkvm.ExecutorEnv().write_u32(1_000_001))
    assert (failed.exit_code, failed.journal) == (1, b"")
