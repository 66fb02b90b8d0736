"""What raises under CPython ends a guest with the same error, on the same line, proven; and what only guests refuse to compute."""

from __future__ import annotations

import traceback
from pathlib import Path

import numpy as np
import pytest

import zkvm
from tests.cli.running import invoke
from tests.guest.compiled import needs_compiler
from tests.guest.python.dispatch import cases_of, elf_of, module_of, stdin_of
from tests.guest.python.sources import built
from zkvm import guest
from zkvm.guest.python import io

FILE = "panic_cases"
DATA = np.full(64, 7, np.int32).tobytes()


def line_of(case: str) -> int:
    """Where the error is raised under CPython: the last line in the file of the cases."""
    found = 0

    def watched() -> None:
        nonlocal found
        try:
            getattr(module_of(FILE), case)()
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            found = [frame.lineno or 0 for frame in frames if Path(frame.filename).stem == FILE][-1]
            raise

    assert io.run(watched, DATA).exit_code == 1
    return found


@needs_compiler
@pytest.mark.parametrize("case", [case for case in cases_of(FILE) if case != "number"])
def test_a_guest_panics_where_cpython_raises(case: str) -> None:
    expected = guest.run(getattr(module_of(FILE), case), DATA)
    session = zkvm.execute(elf_of(FILE), stdin_of(FILE, case, DATA))
    said = session.stderr.decode()
    assert (session.exit_code, session.journal) == (expected.exit_code, expected.journal) == (1, expected.journal), said
    assert said.startswith(f"{FILE}.py:{line_of(case)}: "), said
    name, colon, text = expected.error.partition(": ")
    assert f" {name}" in said
    if case in ("failed_assertion", "raised", "panicked", "end_of_input"):
        assert said.endswith(f": {name}{colon}{text}\n")


@needs_compiler
def test_panics_are_proven() -> None:
    assert zkvm.check(elf_of(FILE), stdin_of(FILE, "index_beyond", DATA)) == []


ONLY_GUESTS = {
    "n = int(guest.read(np.uint32)) * 65536 * 65536": "OverflowError: an int beyond 32 bits",
    "n = int(guest.read(np.uint32)) << 40": "OverflowError: an int beyond 32 bits",
    "n = int(guest.read(np.uint32)) + 2147483647": "OverflowError: an int beyond 32 bits",
    "n = 0 - int(guest.read(np.uint32)) - 2147483647": "OverflowError: an int beyond 32 bits",
    "n = int(guest.read(np.uint32)) ** 40": "OverflowError: an int beyond 32 bits",
    "n = guest.read(np.int32) // np.int32(0)": "ZeroDivisionError: division by zero",
    "n = np.int32(np.float64(guest.read(np.uint32)) * 1e9)": "OverflowError: the number is out of bounds for the type",
    "n = int(np.sqrt(-np.float64(guest.read(np.uint32))))": "OverflowError: the number is out of bounds for the type",
    "n = np.zeros(int(guest.read(np.uint32)) * 100000000, np.uint8)": "MemoryError: the array is larger than the heap",
    "n = np.zeros((int(guest.read(np.uint32)) * 100000, 100000), np.uint8)": "MemoryError: the array is larger than the heap",
}


@needs_compiler
def test_what_would_not_be_cpythons_answer_is_a_panic() -> None:
    lines = ["import numpy as np", "from zkvm import guest", "def main():", "    case = guest.read(np.uint32)"]
    for number, text in enumerate(ONLY_GUESTS):
        lines += [f"    if case == {number}:", f"        {text.replace('n = ', f'n{number} = ', 1)}", f"        guest.commit(n{number})"]
    elf = built("\n".join(lines))
    for number, (text, message) in enumerate(ONLY_GUESTS.items()):
        session = zkvm.execute(elf, np.array([number, 7], np.uint32).tobytes())
        line = 3 * number + 6
        assert (session.exit_code, session.journal) == (1, b""), text
        assert session.stderr.decode().startswith(f"main.py:{line}: {message}"), text


WRAPPING = {
    "x + y": "leaves its width",
    "-x - y": "leaves its width",
    "x * y": "leaves its width",
    "x << np.int32(2)": "leaves its width",
    "x ** np.int32(3)": "leaves its width",
    "np.full(3, x) + y": "leaves its width",
    "np.sum(np.full(3, x), dtype=np.int32)": "leaves its width",
    "-np.int32(-x - 1)": "leaves its width",
    "(np.int64(x) + y)": "",
    "np.uint32(x) * np.uint32(y)": "",
    "x - y": "",
    "np.int32(3) ** np.int32(19)": "",
    "np.int32(-1) << np.int32(31)": "",
}


@needs_compiler
def test_checks_panic_where_signed_integers_wrap(tmp_path: Path) -> None:
    lines = [
        "import numpy as np",
        "from zkvm import guest",
        "def main():",
        "    case, x, y = guest.read(np.uint32), guest.read(np.int32), guest.read(np.int32)",
    ]
    for number, text in enumerate(WRAPPING):
        lines += [f"    if case == {number}:", f"        guest.commit({text})"]
    source = tmp_path / "main.py"
    source.write_text("\n".join(lines))
    assert invoke("build", source, "-o", tmp_path / "checked.elf", "--checks").code == 0
    checked, plain = (tmp_path / "checked.elf").read_bytes(), built(source.read_text())
    for number, (text, message) in enumerate(WRAPPING.items()):
        stdin = np.array([number, 2**31 - 1, 2**31 - 2], np.int32).tobytes()
        session, wrapped = zkvm.execute(checked, stdin), zkvm.execute(plain, stdin)
        assert (wrapped.exit_code, wrapped.stderr) == (0, b""), text
        if message:
            assert session.stderr.decode().startswith(f"main.py:{2 * number + 6}: OverflowError: "), text
            assert (session.exit_code, message in session.stderr.decode()) == (1, True), text
        else:
            assert session.journal == wrapped.journal, text


@needs_compiler
def test_memory_that_is_used_up_is_a_panic() -> None:
    text = """
import numpy as np
from zkvm import guest
def main():
    first = np.empty(120000000, np.uint8)
    second = np.empty(120000000, np.uint8)
    guest.commit((first[5], second[5]))
"""
    session = zkvm.execute(built(text), b"")
    assert session.exit_code == 1
    assert session.stderr.startswith(b"main.py:6: MemoryError: ")
