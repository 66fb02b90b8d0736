"""Digests of tensors and channels in vectors in the executor: results against plain integers, and everything that traps."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.riscv.vm.digest_programs import random_bytes, random_digested, random_digests, with_digest
from tests.riscv.vm.random_tensors import random_layer, random_vectors
from tests.riscv.vm.tensor_programs import CONSTANTS, Script, bounds, digest_of, meaning, outcome, program
from zkvm.errors import GuestTrap, LimitError
from zkvm.riscv.isa.poseidon2 import permute
from zkvm.riscv.isa.tensors import CHANNEL, DIGEST, DIGESTED, SCALED, Descriptor, channels_in, is_scale
from zkvm.riscv.vm import digest
from zkvm.riscv.vm.executor import execute

ALL = bounds(-(2**15), 2**15 - 1)


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 40])
def test_digests_agree_with_plain_integers(rows: int) -> None:
    script = random_digests(random.Random(rows), rows)
    execution = execute(program(script), script.stdin)
    assert outcome(execution) == meaning(script)
    states = execution.permutations
    assert len(states) == sum(call.descriptor.blocks for call in execution.tensor_calls if call.descriptor.operation == DIGEST)


def test_the_kernel_absorbs_as_its_twin_permutes() -> None:
    """Random and extreme vectors: states before and after each permutation."""
    rng = random.Random(1)
    vectors = random_vectors(rng, 30) + [[-(2**15)] * 8] * 3 + [[2**15 - 1] * 8] * 3
    before, after = digest.states_of(np.array(vectors, np.int16))
    assert [permute(state) for state in before.tolist()] == after.tolist()
    assert (before[1:, 8:] == after[:-1, 8:]).all()
    assert digest.digest_of(np.array(vectors, np.int16)).tolist() == digest_of(vectors)


def test_digests_differ_by_lane_and_by_length() -> None:
    """Zeros appended, a lane changed, and lanes exchanged."""
    rng = random.Random(2)
    vectors = np.array(random_vectors(rng, 6), np.int16)
    found = {digest.digest_of(vectors).tobytes(), digest.digest_of(np.concatenate([vectors, np.zeros((3, 8), np.int16)])).tobytes()}
    for place in range(48):
        changed = vectors.copy()
        changed.reshape(-1)[place] ^= 1
        found.add(digest.digest_of(changed).tobytes())
    assert len(found) == 50


@pytest.mark.parametrize(("rows", "byte_rows"), [(1, 0), (1, 1), (5, 0), (2, 9), (30, 4)])
def test_digested_imports_agree_with_plain_integers(rows: int, byte_rows: int) -> None:
    script = random_digested(random.Random(rows), rows, byte_rows)
    execution = execute(program(script), script.stdin)
    assert outcome(execution) == meaning(script)
    sizes = [call.descriptor.blocks + call.descriptor.channels for call in execution.tensor_calls if len(call.permuted[0])]
    assert len(execution.permutations) == sum(sizes)


def test_the_kernel_absorbs_bytes_as_its_twin_permutes() -> None:
    """Random and extreme bytes, then int16: states before and after each permutation, and the digest."""
    rng = random.Random(5)
    vectors = random_bytes(rng, 14) + [[-(2**15)] * 8] * 7 + [[2**15 - 2**8] * 8] * 7 + random_vectors(rng, 6)
    before, after = digest.states_of(np.array(vectors, np.int16), 4)
    assert [permute(state) for state in before.tolist()] == after.tolist()
    assert before[0, 8:].tolist() == [0x7A6B, 2, 4, 0]
    assert before[2, :8].tolist() == [0] * 8
    assert before[3, :8].tolist() == [2**56 - 1] * 8
    assert digest.digest_of(np.array(vectors, np.int16), 4).tolist() == digest_of(vectors, 4)


def test_digests_differ_by_what_are_bytes() -> None:
    """The same 21 vectors, as rows of either kind."""
    vectors = np.array(random_bytes(random.Random(6), 21), np.int16)
    assert len({digest.digest_of(vectors, byte_rows).tobytes() for byte_rows in (0, 3)}) == 2


@pytest.mark.parametrize(
    ("words", "given", "message"),
    [
        ((0, 1), 56, "it has no row of int16, of which the last makes the digest"),
        ((0, 0), 0, "it has no row of int16"),
        ((1, 1), 103, "the private input ended: 103 bytes are left, and its rows take 104"),
        ((2, 0), 48, "the private input ended: 48 bytes are left, and its rows take 96"),
    ],
)
def test_digested_imports_that_trap(words: tuple[int, int], given: int, message: str) -> None:
    script = Script()
    script.add(Descriptor(DIGESTED, *words))
    with pytest.raises(GuestTrap, match=message):
        execute(program(script), bytes(given))


@pytest.mark.parametrize("words", [(1, 2**32 - 1), (2**32 - 1, 0), (2**32 - 1, 2**32 - 1)])
def test_digested_imports_that_no_proof_holds(words: tuple[int, int]) -> None:
    script = Script()
    script.add(Descriptor(DIGESTED, *words))
    with pytest.raises(LimitError, match="rows of one table"):
        execute(program(script), b"")


@pytest.mark.parametrize("seed", range(12))
def test_layers_with_their_own_channels(seed: int) -> None:
    rng = random.Random(seed)
    script = random_layer(rng, rng.randrange(1, 20), rng.randrange(1, 20), rng.randrange(1, 12), scaled=True)
    assert outcome(execute(program(script), script.stdin)) == meaning(script)


def test_channels_keep_within_the_bounds_of_a_channel() -> None:
    """The extremes of every limit: what a loader asks of channels in an image holds for those in vectors."""
    ends = np.array(
        [[low, high, factor] for low in (-(2**15), 2**15 - 1) for high in (-(2**15), 2**15 - 1) for factor in (-(2**15), 2**15 - 1)]
    )
    for power in range(15, 30):
        found = channels_in(ends.astype(np.int16), 2**power)
        assert found.dtype == CHANNEL
        for bias, multiplier, limit in found.tolist():
            assert abs(multiplier) <= limit < 2**31
            assert abs(bias) < 2**48
            assert abs(bias * multiplier) <= 2**61
    assert [limit for limit in (0, 1, 2**14, 3 * 2**15, 2**15 + 1, 2**30, 2**31) if is_scale(limit)] == []


def scaled(blocks: int = 1, taps: int = 2, limit: int = 2**20, at: int = 32, channel: tuple[int, ...] = (1, 2, 3)) -> Script:
    """One layer of one channel, whose vector is the third of its weights."""
    script = Script()
    x = script.add_import([[1] * 8] * 2)
    w = script.add_import([[1] + [0] * 7] * 2 + [[*channel, *[0] * (8 - len(channel))]])
    script.add(Descriptor(SCALED, blocks, 1, taps, 0, taps, 0, taps, at, ALL, limit), x, w)
    return script


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (scaled(limit=2**14), "the limit 16384 of its channels is not 2\\^15 to 2\\^29 and a power of two"),
        (scaled(limit=2**20 + 1), "the limit 1048577 of its channels is not"),
        (scaled(limit=2**30), "the limit 1073741824 of its channels is not"),
        (scaled(limit=2**32 - 1), "2 taps times the limit 4294967295 of its multipliers is not between 1 and 2\\^32"),
        (scaled(limit=0), "2 taps times the limit 0 of its multipliers"),
        (scaled(blocks=0, limit=0), "2 taps times the limit 0 of its multipliers"),
        (scaled(channel=(1, 2, 3, 4)), "vectors of its channels have lanes behind the first 3 that are not 0"),
        (scaled(channel=(0, 0, 0, 0, 0, 0, 0, 1)), "vectors of its channels have lanes behind the first 3"),
        (scaled(at=33), "an operand begins at 0x21, which is not a multiple of 16"),
        (scaled(at=48), "it reads vectors 3 to 3 of tensor"),
    ],
)
def test_channels_that_are_none_trap(script: Script, message: str) -> None:
    with pytest.raises(GuestTrap, match=message):
        execute(program(script), script.stdin)


def test_a_layer_of_nothing_reads_no_channels() -> None:
    script = scaled(blocks=0, limit=2**31, at=5)
    assert outcome(execute(program(script), script.stdin)) == meaning(script)


@pytest.mark.parametrize("lane", [0, 5, 16, 23, 24, 39])
def test_a_wrong_digest_traps(lane: int) -> None:
    vectors = with_digest(random_vectors(random.Random(3), 3))
    vectors[lane // 8][lane % 8] ^= 1
    script = Script()
    script.add(Descriptor(DIGEST, 1), script.add_import(vectors))
    with pytest.raises(GuestTrap, match="the two vectors behind the 3 that it digests are not their digest"):
        execute(program(script), script.stdin)


def test_a_digest_that_is_not_there_traps() -> None:
    script = Script()
    script.add(Descriptor(DIGEST, 1), script.add_import(with_digest(random_vectors(random.Random(4), 3))[:-1]))
    with pytest.raises(GuestTrap, match="it reads vectors 0 to 4 of tensor"):
        execute(program(script), script.stdin)
    assert CONSTANTS < 0
