"""Poseidon2 in compiled guests: the call, the C code under an emulator, and Python compute the same digests."""

from __future__ import annotations

import random
import re
import struct
from pathlib import Path

import pytest

import zkvm
from tests.guest.compiled import needs_compiler
from tests.states import EDGES, before, state_bytes
from tools.emulator import emulate
from zkvm.errors import UsageError
from zkvm.guest.library import INCLUDE, SDK
from zkvm.guest.toolchain import build
from zkvm.poseidon2 import BLOCK_BYTES, poseidon2_compress, poseidon2_hash
from zkvm.riscv.isa.calls import PERMUTE
from zkvm.riscv.isa.poseidon2 import CONSTANTS, INNER_DIAGONAL, WIDTH, permute
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute
from zkvm.stark.field.goldilocks import P

SOURCE = Path(__file__).with_name("poseidon2_script.c")
LENGTHS = (0, 1, 3, 55, 56, 57, 63, 64, 111, 112, 113, 168, 300)
EMPTY = "baeddf1eec605400317e44f45e250fd497f3e0ee88ccac00731a5d59400375e5"
REPEATED = "5035a978bdb9cd6850dcf48c556392df7da7b3d6936864c7b1c1aef1e488232a"
COMPRESSED = "58d78689404f232cac4d630de065c7df5726b390c87c8a0d86b082a4129f7010"
ELEMENTS = (0, 1, P - 1, P, P + 1, 2**64 - 1, 2**32 - 1, 2**64 - 2**32)


def messages() -> list[tuple[int, bytes, int, int]]:
    """Domain, data, place in a word, bytes of a part (0: all at once)."""
    rng = random.Random(7)
    found = [(0, rng.randbytes(length), 0, 0) for length in LENGTHS]
    found += [(rng.randrange(2**32), rng.randbytes(length), rng.randrange(4), rng.randrange(1, 130)) for length in LENGTHS]
    found += [(5, rng.randbytes(224), 0, 56), (5, rng.randbytes(224), 0, 112), (2**32 - 1, b"\xff" * 200, 0, 57)]
    return [*found, (0, struct.pack("<8Q", *ELEMENTS), 0, 0), (0, struct.pack("<8Q", *ELEMENTS), 1, 0)]


def script() -> tuple[bytes, bytes]:
    """Input and journal."""
    stdin, journal, last = b"", b"", bytes(32)
    for domain, data, place, part in messages():
        stdin += struct.pack("<4I", domain, len(data), place, part) + data
        digest = poseidon2_hash(data, domain)
        journal += digest + poseidon2_compress(last, digest) + poseidon2_compress(digest, last)
        last = digest
    state = [2**64 - 1, *before(EDGES)[1:]]
    return stdin + struct.pack("<4I", 0, 2**32 - 1, 0, 0) + state_bytes(state), journal + bytes(4) + state_bytes(permute(state))


@needs_compiler
def test_every_opinion_is_the_same(tmp_path: Path) -> None:
    warnings: list[str] = []
    elf = build([SOURCE], tmp_path / "script.elf", warn=warnings.append)
    assert warnings == []
    stdin, journal = script()
    called = execute(load_image(elf.read_bytes()), stdin)
    assert called.exit_code == 0, called.stderr
    assert called.journal == journal
    assert (called.ecalls["a7"] == PERMUTE.number).sum() > 4 * len(LENGTHS)
    assert emulate(elf, stdin).journal == journal


def test_public_names() -> None:
    assert zkvm.poseidon2_hash(b"abc") == poseidon2_hash(b"abc")
    assert zkvm.poseidon2_compress(bytes(32), bytes(32)) == poseidon2_compress(bytes(32), bytes(32))


def test_digests_stay() -> None:
    """What receipts hold is checked by later versions."""
    assert poseidon2_hash(b"").hex() == EMPTY
    assert poseidon2_hash(b"zkvm" * 100, 7).hex() == REPEATED
    assert poseidon2_compress(poseidon2_hash(b""), bytes(32)).hex() == COMPRESSED


def test_what_differs_has_different_digests() -> None:
    """Lengths, zeros at the end, elements that are the same mod p, domains, and what is compressed."""
    same_mod_p = [struct.pack("<7Q", *(value + P * (k == place) for k, value in enumerate(range(7)))) for place in range(7)]
    data = [bytes(length) for length in range(2 * BLOCK_BYTES + 2)] + [struct.pack("<7Q", *range(7)), *same_mod_p, b"\1", b"\1\0"]
    data += [block + b"\0" for block in same_mod_p]
    digests = [poseidon2_hash(own) for own in data] + [poseidon2_hash(b"\1", domain) for domain in (1, 2, 2**32 - 1)]
    digests += [poseidon2_compress(a, b) for a in digests[:2] for b in digests[:2]]
    digests += [poseidon2_compress(bytes(32), bytes(32)), poseidon2_hash(bytes(64))]
    digests.pop()  # zeros of that length are among the data
    assert len(set(digests)) == len(digests)
    assert all(max(struct.unpack("<4Q", digest)) < P for digest in digests)


def test_what_is_no_digest() -> None:
    good, bad = bytes(32), struct.pack("<4Q", 0, P, 0, 0)
    for left, right in ((good, good[1:]), (good + b"\0", good), (bad, good), (good, bad)):
        with pytest.raises(UsageError, match="digest"):
            poseidon2_compress(left, right)
    for domain in (-1, 1 << 32):
        with pytest.raises(UsageError, match="domain"):
            poseidon2_hash(b"", domain)


def test_the_c_code_has_the_same_numbers() -> None:
    source = (SDK / "runtime" / "poseidon2.c").read_text()
    numbers = [int(number, 16) for number in re.findall(r"0x([0-9a-f]{16})u", source)]
    outer = [number for added in CONSTANTS if len(added) == WIDTH for number in added]
    inner = [number for added in CONSTANTS if len(added) == 1 for number in added]
    assert numbers == [P, *outer, *inner, *INNER_DIAGONAL]
    (call,) = re.findall(r"ZKVM_SYS_PERMUTE (\d+)", (INCLUDE / "zkvm_poseidon2.h").read_text())
    assert int(call) == PERMUTE.number
