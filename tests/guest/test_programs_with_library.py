"""Programs that use the C or C++ library as programs do, one of each kind; what they commit is compared with Python's own."""

from __future__ import annotations

import hashlib
import json
import random
import re
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import zkvm
from tests.guest.compiled import compiled, needs_compiler
from tools.emulator import Emulator

SOURCES = Path(__file__).resolve().parent / "library"
pytestmark = needs_compiler


def program(name: str) -> bytes:
    return compiled((SOURCES / name).read_text(), name=name)


def journal(name: str, stdin: bytes) -> bytes:
    session = zkvm.execute(program(name), stdin)
    assert session.exit_code == 0, session.stderr
    return session.journal


@cache
def prose(length: int) -> bytes:
    """Text that repeats itself as texts do."""
    generator = random.Random(5)
    words = ["the", "proof", "of", "a", "run", "is", "short", "and", "who", "reads", "it", "needs", "no", "input"]
    return " ".join(generator.choice(words) for _ in range(length)).encode()[:length]


@pytest.mark.parametrize("count", [0, 1, 2, 17, 300])
def test_sorting(count: int) -> None:
    generator = random.Random(count)
    values = [generator.randrange(-50, 50) * generator.choice([1, 1, 40_000_000]) for _ in range(count)]
    got = journal("sorting.cpp", struct.pack(f"<I{count}i", count, *values))
    stable = sorted(values, key=lambda value: abs(value) % 10)
    expected = [*sorted(values) * 2, *stable, *sorted(values, reverse=True), *sorted(values)]
    assert got == struct.pack(f"<{5 * count}i", *expected)


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("length", [0, 1, 4000])
def test_decompression(level: int, length: int) -> None:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    packed = packer.compress(prose(length)) + packer.flush()
    assert journal("inflate.c", packed) == prose(length)


def test_decompression_with_fixed_codes_and_of_damaged_data() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_FIXED)
    packed = packer.compress(prose(500)) + packer.flush()
    assert journal("inflate.c", packed) == prose(500)
    cut = zkvm.execute(program("inflate.c"), packed[:-2])
    assert (cut.exit_code, cut.journal) == (1, b"")
    assert cut.stderr == f"damaged at byte {len(packed) - 2}: the data end early\n".encode()


@pytest.mark.parametrize("length", [0, 3, 55, 56, 64, 1000])
def test_hashing(length: int) -> None:
    data = bytes(i * 7 % 256 for i in range(length))
    assert journal("hashing.c", data).decode() == f"{hashlib.sha256(data).hexdigest()} {zlib.crc32(data):08X}\n"


DOCUMENT: dict[str, Any] = {
    "name": 'a "quoted" \\ line\nand another',
    "list": [1, -2, 1 << 40, True, False, None, [], {}, [[0]]],
    "numbers": {"half": 0.5, "tenth": 0.1, "large": 1.5e300, "small": -2.5e-7},
    "b": {"z": 1, "a": {"": "empty key"}},
}


def test_json() -> None:
    text = json.dumps(DOCUMENT, indent=3)
    got = journal("json.cpp", text.encode()).decode()
    assert json.loads(got) == DOCUMENT
    whole = {key: value for key, value in DOCUMENT.items() if key != "numbers"}
    assert journal("json.cpp", json.dumps(whole).encode()).decode() == json.dumps(whole, sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "byte 0: no value"), ('{"a" 1}', "byte 5: : is missing"), ("[1, 2", "byte 5: ] is missing"), ("1 2", "byte 2: something behind")],
)
def test_json_that_is_none(text: str, message: str) -> None:
    session = zkvm.execute(program("json.cpp"), text.encode())
    assert (session.exit_code, session.journal) == (1, b"")
    assert session.stderr.decode().startswith(message)


TEXTS = ["", "abc", "a1b22", "x = 12;", "2026-11-29", "aaaa", "ab" * 20, "foo.bar@example.org", "tab\there"]


@pytest.mark.parametrize(
    "pattern", ["a+", "([a-z]+)([0-9]+)", "^[0-9]{4}-([0-9]{2})-([0-9]{2})$", "(ab)*$", "[[:space:]]", r"\.(b|c)", "(a*)*b?"]
)
def test_regular_expressions(pattern: str) -> None:
    got = journal("expressions.c", "\n".join([pattern, *TEXTS, ""]).encode()).decode().splitlines()
    python = re.compile(pattern.replace("[[:space:]]", r"\s"))
    for text, line in zip(TEXTS, got, strict=True):
        match = python.search(text)
        # What a group captures that repeats an empty match is not the same in POSIX: the whole is.
        groups = 1 if pattern == "(a*)*b?" else python.groups + 1
        expected = [f"{match.start(i)}:{match.end(i)}" for i in range(groups)] if match else ["-"]
        assert line.split()[:groups] == expected, (pattern, text)


def test_a_pattern_that_is_none() -> None:
    session = zkvm.execute(program("expressions.c"), b"a(b\nab\n")
    assert (session.exit_code, session.journal, session.stderr) == (1, b"", b"a(b: Missing ')'\n")


def solved(rows: list[list[float]]) -> list[float]:
    """What matrices.c does, operation by operation: doubles are the same everywhere."""
    n, determinant, a = len(rows), 1.0, [list(row) for row in rows]
    for column in range(n):
        best = max(range(column, n), key=lambda row: (abs(a[row][column]), -row))
        pivot = a[best][column]
        a[best], a[column] = a[column], a[best]
        determinant *= pivot if best == column else -pivot
        for row in range(n):
            if row != column:
                factor = a[row][column] / pivot
                a[row][column:] = [x - factor * y for x, y in zip(a[row][column:], a[column][column:], strict=True)]
    return [determinant, *(a[i][n] / a[i][i] for i in range(n))]


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_matrices(n: int) -> None:
    generator = random.Random(n)
    rows = [[generator.choice([generator.uniform(-9, 9), generator.randrange(-3, 4), 1e-9, 7e12]) for _ in range(n + 1)] for _ in range(n)]
    text = f"{n}\n" + "\n".join(" ".join(map(repr, row)) for row in rows)
    lines = journal("matrices.c", text.encode()).decode().split()
    assert [float.fromhex(line) for line in lines] == solved([[float(x) for x in row] for row in rows])


def test_a_matrix_without_inverse_and_one_without_end() -> None:
    assert zkvm.execute(program("matrices.c"), b"2 1 2 3 2 4 6").exit_code == 1
    short = zkvm.execute(program("matrices.c"), b"2 1 2 3")
    assert short.exit_code == 134
    assert short.stderr.startswith(b"Assertion failed: scanf(")


@pytest.mark.parametrize(("a", "b", "m"), [(0, 0, 7), (1, 1, 10), (2**64 - 1, 65537, 10**18 + 9), (3**120, 2**70 + 5, 2**127 - 1)])
def test_large_integers(a: int, b: int, m: int) -> None:
    got = journal("integers.cpp", f"{a} {b}\n{m}\n".encode()).decode().split()
    assert list(map(int, got)) == [a + b, a * b, pow(a, b, m)]


@pytest.mark.parametrize(
    ("name", "stdin"),
    [
        ("sorting.cpp", struct.pack("<I3i", 3, 5, -1, 2)),
        ("expressions.c", b"b+\nabbc\n"),
        ("matrices.c", b"1 2 4"),
        ("json.cpp", b'{"a": [1.5]}'),
    ],
)
def test_every_row_is_proven_and_another_machine_agrees(name: str, stdin: bytes, tmp_path: Path) -> None:
    elf, path = program(name), tmp_path / "guest.elf"
    path.write_bytes(elf)
    session, seen = zkvm.execute(elf, stdin), Emulator(path, stdin, heap_bytes=4 << 20).run()
    assert session.journal == seen.journal != b""
    assert (session.exit_code, session.stdout, session.cycles) == (seen.exit_code, seen.stdout, seen.cycles)
    assert zkvm.check(elf, stdin) == []
