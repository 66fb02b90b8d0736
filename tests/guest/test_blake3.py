"""BLAKE3 in guests: by the call, in C, and under the emulator, against published vectors and the reference implementation's package."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import blake3 as reference
import pytest

import zkvm
from tests.guest.compiled import needs_compiler
from tools.emulator import emulate
from zkvm.guest.toolchain import build
from zkvm.riscv.isa.calls import BLAKE3_WORDS
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute
from zkvm.stark.crypto.compression import BLOCK_BYTES, compress_scalar

pytestmark = needs_compiler
SOURCE = Path(__file__).with_name("blake3_script.c")

# From test_vectors/test_vectors.json of github.com/BLAKE3-team/BLAKE3 (input byte i is i mod 251): length, first 32 bytes of "hash".
PUBLISHED = [
    (0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
    (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
    (1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11"),
    (1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"),
    (1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"),
    (2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a"),
    (2049, "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030"),
    (3072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2"),
    (3073, "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3"),
    (4097, "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995"),
    (7169, "a003fc7a51754a9b3c7fae0367ab3d782dccf28855a03d435f8cfe74605e7817"),
]
BOUNDARIES = sorted({length + delta for length in (4, 64, 128, 960, 1024, 2048, 4096, 8000) for delta in (-1, 0, 1)})


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    warnings: list[str] = []
    built = build([SOURCE], tmp_path_factory.mktemp("blake3") / "script.elf", warn=warnings.append)
    assert warnings == []
    return built


def pattern(length: int) -> bytes:
    return bytes(k % 251 for k in range(length))


def hashing(data: bytes, piece: int = 0, offset: int = 0) -> bytes:
    return struct.pack("<4I", 1, len(data), piece, offset) + data


def outputs(elf: Path, commands: list[bytes], calls: int | None = None) -> bytes:
    """The journal, under the executor and the emulator alike."""
    stdin = struct.pack("<I", len(commands)) + b"".join(commands)
    execution = execute(load_image(elf.read_bytes()), stdin)
    assert execution.exit_code == 0, execution.stderr
    assert calls is None or len(execution.blake3_calls) == calls
    assert emulate(elf, stdin).journal == execution.journal
    return execution.journal


def test_published_vectors(elf: Path) -> None:
    journal = outputs(elf, [hashing(pattern(length)) for length, _ in PUBLISHED])
    assert [journal[k : k + 32].hex() for k in range(0, len(journal), 32)] == [digest for _, digest in PUBLISHED]


def test_lengths_pieces_and_places(elf: Path) -> None:
    """Every boundary of blocks, chunks and subtrees, with pieces and addresses that are no multiples of a word."""
    generator = random.Random(4)
    commands, expected = [], b""
    for length in BOUNDARIES:
        data = generator.randbytes(length)
        for piece, offset in ((0, 0), (generator.randrange(1, 200), generator.randrange(4)), (64, 0), (1024, 2)):
            commands.append(hashing(data, piece, offset))
            expected += reference.blake3(data).digest()
    assert outputs(elf, commands) == expected


def test_compressions(elf: Path) -> None:
    """Any words: the call, the library's C and Python's integers."""
    generator = random.Random(5)
    edges = [[value] * BLAKE3_WORDS for value in (0, 1, (1 << 32) - 1, 1 << 31, 0x5555_5555)]
    inputs = [*edges, *([generator.randrange(1 << 32) for _ in range(BLAKE3_WORDS)] for _ in range(12))]
    journal = outputs(elf, [struct.pack(f"<{1 + BLAKE3_WORDS}I", 0, *words) for words in inputs], calls=len(inputs))
    expected = []
    for words in inputs:
        low, high, length, flags = words[24:]
        result = compress_scalar(words[:8], words[8:24], low + (high << 32), length, flags)[:8] + words[8:]
        expected += [*result, *result]
    assert list(struct.unpack(f"<{len(journal) // 4}I", journal)) == expected


def test_a_hash_is_proven(elf: Path) -> None:
    """From C to a receipt."""
    data = pattern(1025)
    stdin = struct.pack("<I", 1) + hashing(data)
    info = zkvm.prove(elf, stdin, params="fast", security=100)
    info.receipt.verify(zkvm.compute_image_id(elf), policy=zkvm.Policy(100))
    assert info.receipt.journal == reference.blake3(data).digest()
    assert len(data) > 16 * BLOCK_BYTES


def test_the_profile_counts_the_rows_of_calls(elf: Path) -> None:
    """Twice as many compressions, twice as many rows; the call is charged to who makes it."""
    rows = []
    for blocks in (16, 32):
        profile = zkvm.profile(elf, struct.pack("<I", 1) + hashing(pattern(64 * blocks)))
        assert profile.charged_cells < profile.cells
        rows.append({chip.name: chip.rows for chip in profile.chips})
    for name, each in (("blake3_call", 1), ("blake3_words", 8), ("blake3_mixing", 56)):
        assert [used[name] for used in rows] == [16 * each, 33 * each]
