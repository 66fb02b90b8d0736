"""BLAKE3 calls: what they compute, the accesses that they record, and what they refuse."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.forge import forgery
from tests.riscv.vm.memory_bus import check_memory_bus
from zkvm.errors import GuestTrap
from zkvm.riscv.isa.calls import BLAKE3, BLAKE3_OUTPUTS, BLAKE3_WORDS
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import DATA, EXIT, RODATA, TEXT, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.stark.crypto.compression import compress_scalar

BYTES = 4 * BLAKE3_WORDS
TOP = 0x1080_0000


def compressed(words: list[int]) -> list[int]:
    low, high, length, flags = words[24:]
    return compress_scalar(words[:8], words[8:24], low + (high << 32), length, flags)[:BLAKE3_OUTPUTS] + words[BLAKE3_OUTPUTS:]


def call(address: int) -> list[Item]:
    return [("li", "a0", address), ("li", "a7", BLAKE3.number), ("ecall",)]


def run(words: list[int], items: list[Item], *, trace: bool = True) -> Execution:
    return execute(assemble([*items, *EXIT], data=b"".join(word.to_bytes(4, "little") for word in words), bss=BYTES), trace=trace)


def written(execution: Execution, count: int) -> list[int]:
    """The last values of the first words of the data."""
    first = int(np.flatnonzero(execution.image.ram_address == DATA)[0])
    return [int(value) for value in execution.ram_last[first : first + count]]


@pytest.mark.parametrize("seed", range(8))
def test_the_first_eight_words_are_replaced_and_the_result_is_0(seed: int) -> None:
    rng = random.Random(seed)
    edges = (0, 1, (1 << 32) - 1, 1 << 31)
    words = [rng.choice((*edges, rng.randrange(1 << 32), rng.randrange(1 << 32))) for _ in range(BLAKE3_WORDS)]
    execution = run(words, [*call(DATA), *call(DATA)])
    assert execution.exit_code == 0
    assert written(execution, BLAKE3_WORDS) == compressed(compressed(words))
    assert execution.ecalls["result"].tolist()[:2] == [0, 0]
    check_memory_bus(execution)
    assert forgery(execution).refusals() == set()


def test_words_across_segments_and_zero_words() -> None:
    """Words that the image holds and words that were never written."""
    words = [7 * k + 1 for k in range(20)]
    execution = run(words, call(DATA))
    assert written(execution, 20) == compressed([*words, *[0] * 8])[:20]
    assert len(execution.zero_address) == 8
    check_memory_bus(execution)
    assert forgery(execution).refusals() == set()


def test_a_word_that_rested_long_is_refreshed() -> None:
    items: list[Item] = [*call(DATA), ("li", "t0", 9000), "loop", ("addi", "t0", "t0", -1), ("bnez", "t0", "loop"), *call(DATA)]
    execution = run(list(range(BLAKE3_WORDS)), items)
    assert len(execution.refreshes) >= BLAKE3_WORDS
    check_memory_bus(execution)
    assert forgery(execution).refusals() == set()


def test_without_records_memory_is_the_same() -> None:
    words = list(range(100, 100 + BLAKE3_WORDS))
    items: list[Item] = [*call(DATA), ("li", "t0", DATA), ("lw", "a0", "t0", 4)]
    execution = run(words, items, trace=False)
    assert execution.exit_code == compressed(words)[1]
    assert not len(execution.blake3_calls)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        (DATA + 1, "misaligned_access"),
        (DATA + 2, "misaligned_access"),
        (DATA - 4, "outside_memory"),
        (TOP - BYTES + 4, "outside_memory"),
        ((1 << 32) - BYTES + 4, "outside_memory"),
        ((1 << 32) - 4, "outside_memory"),
        (0, "outside_memory"),
        (RODATA, "store_to_rom"),
        (TEXT, "store_to_rom"),
    ],
)
@pytest.mark.parametrize("trace", [False, True])
def test_refused(address: int, kind: str, trace: bool) -> None:
    image = assemble([*call(address), *[("nop",)] * 28, *EXIT], data=bytes(BYTES), rodata=bytes(BYTES))
    with pytest.raises(GuestTrap) as caught:
        execute(image, trace=trace)
    assert caught.value.kind == kind


def test_the_end_of_memory_is_in_reach() -> None:
    image = assemble([*call(TOP - BYTES), *EXIT])
    assert forgery(execute(image)).refusals() == set()
