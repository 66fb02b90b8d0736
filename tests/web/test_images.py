"""The image ID of a program is the same in JavaScript: computed from its ELF file, whose tables are compared one by one."""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.mutations import CHANGE_BYTES, changed_bytes
from tests.riscv.vm.elf_files import EXECUTE, READ, TEXT, WRITE, ElfSpec, Header, code
from tests.web.judge import ROOT, Answer, Judge, needs_node
from zkvm import api
from zkvm.errors import ElfError, LimitError
from zkvm.riscv.isa.rv32im import ENCODINGS
from zkvm.stark.crypto.hashes import blake3
from zkvm.verifier.image import image_columns, read_image

pytestmark = needs_node

GUESTS = sorted((ROOT / "guest_programs").glob("*/*.elf"))
MOST_ROWS = 1 << 20
REFUSED = "refused"
SAME_FOR_ALL = "range"
"""A table that does not depend on the program, and is long: compared by the image IDs."""


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    started = Judge()
    yield started
    started.close()


def ours(program: bytes) -> Answer | str:
    """What Python says of a program: as the judge, or that it is refused."""
    try:
        image = read_image(program)
        columns = {name: matrix for name, matrix in image_columns(image).items() if name != SAME_FOR_ALL}
        tables = {name: [matrix.shape[1], blake3(matrix.astype("<u8").tobytes()).hex()] for name, matrix in columns.items()}
    except (ElfError, LimitError):
        return REFUSED
    if max(height for height, _ in tables.values()) > MOST_ROWS:
        return REFUSED
    return {"entry": image.entry, "stackPointer": image.initial_sp, "gaps": [list(gap) for gap in image.gaps], "tables": tables}


def compare(judge: Judge, program: bytes) -> str:
    """Both must say the same; returns what."""
    theirs = judge.image(program)
    expected = ours(program)
    assert theirs == expected or (expected == REFUSED and "usage" in theirs), (theirs, expected)
    return REFUSED if expected == REFUSED else "accepted"


@pytest.mark.parametrize("path", GUESTS, ids=lambda path: path.stem)
def test_committed_guests(judge: Judge, path: Path) -> None:
    assert compare(judge, path.read_bytes()) == "accepted"


def test_the_guests_have_all_kinds_of_constants(judge: Judge) -> None:
    """So what is compared above are also vectors, channels, patterns and functions of real models."""
    found = {name for path in GUESTS if path.stem in ("attention", "python_dense") for name in judge.image(path.read_bytes())["tables"]}
    assert found >= {"constant_vectors", "channels", "patterns", "functions"}


def test_every_instruction(judge: Judge) -> None:
    """All encodings with random fields, at random places; and words that are none."""
    rng = random.Random(1)
    words = [encoding.match | rng.getrandbits(32) & ~encoding.mask for encoding in ENCODINGS for _ in range(40)]
    words += [rng.getrandbits(32) for _ in range(1000)]
    rng.shuffle(words)
    text = code() + b"".join(word.to_bytes(4, "little") for word in words)
    for address in (TEXT, 0x7FFF_F000, 0xDFF0_0000):
        assert compare(judge, ElfSpec([Header(address, text, READ | EXECUTE)], entry=address).build()) == "accepted"


def test_shared_words_and_gaps(judge: Judge) -> None:
    """Segments that share words, end within them, have zeros behind them, or none of a file's bytes."""
    rng = random.Random(2)
    seen: Counter[str] = Counter()
    for _ in range(120):
        at, segments = 0x2_0000, [Header(TEXT, code(), READ | EXECUTE)]
        for _ in range(rng.randrange(6)):
            at += rng.choice((0, 0, 1, 2, 4, 7, 64))
            data, zeros = rng.randbytes(rng.randrange(12)), rng.choice((0, 0, 1, 3, 30))
            segments.append(Header(at, data, READ | rng.choice((0, 0, WRITE)), size=len(data) + zeros))
            at += len(data) + zeros
        rng.shuffle(segments)
        seen[compare(judge, ElfSpec(segments).build())] += 1
    assert min(seen["accepted"], seen[REFUSED]) > 20, seen


@pytest.mark.parametrize("count", [160, pytest.param(5000, marks=pytest.mark.slow)])
def test_changed_files(judge: Judge, count: int) -> None:
    """Half of the changes are in the headers."""
    rng = random.Random(3)
    bases = [ElfSpec([Header(TEXT, code(), READ | EXECUTE), Header(0x2_0000, b"data", READ | WRITE, size=9)]).build()]
    bases += [path.read_bytes() for path in GUESTS if path.stem in ("echo", "attention")]
    seen: Counter[str] = Counter()
    for _ in range(count):
        program = bytearray(rng.randbytes(CHANGE_BYTES * rng.choice((1, 1, 2))))
        seen[compare(judge, changed_bytes(rng.choice(bases), bytes(program)))] += 1
    print(dict(seen))
    assert min(seen["accepted"], seen[REFUSED]) > 20, seen


def test_marked_segments(judge: Judge) -> None:
    """Constants at and beyond their bounds."""
    rng = random.Random(4)
    seen: Counter[str] = Counter()
    edges = (0, 1, -1, 2**31 - 1, -(2**31), 2**30, 2**47, 2**48 - 1, 2**48, -(2**48), 2**61, -(2**63))
    for _ in range(80):
        multiplier = rng.choice([edge for edge in edges if -(2**31) <= edge < 2**31])
        channel = struct.pack("<qiI", rng.choice(edges), multiplier, rng.choice((1, 2**30, 2**31 - 1, 2**31)))
        second = rng.choice((0, 0, 2**31))
        row = struct.pack("<8I", *(second + rng.randrange(2**31) for _ in range(7)), rng.choice((second, second, 2**31)))
        contents = ((1, rng.randbytes(32)), (2, channel), (3, row), (4, rng.randbytes(16)))
        segments = [Header(TEXT, code(), READ | EXECUTE)]
        for kind, data in rng.sample(contents, rng.randrange(1, 5)):
            segments.append(Header(0x10_0000 * kind + rng.choice((0, 0, 0, 0, 8)), data, READ | kind << 20))
        seen[compare(judge, ElfSpec(segments).build())] += 1
    assert min(seen["accepted"], seen[REFUSED]) > 10, seen


def test_an_image_id(judge: Judge) -> None:
    """The commitment, of a program whose constants are taller than the machine's own table."""
    rng = np.random.default_rng(5)
    segments = [Header(TEXT, code(), READ | EXECUTE), Header(0x10_0000, rng.bytes(4 * 2**16 + 4), READ)]
    program = ElfSpec(segments).build()
    assert judge.image_id(program) == {"imageId": api.compute_image_id(program)}
    large = [segments[0], Header(0x10_0000, b"", READ, size=2**24)]
    assert "too large" in judge.image_id(ElfSpec(large).build())["usage"]
