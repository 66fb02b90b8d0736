"""The linked list of touched zero-initialised words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.forge import Forgery, forgery
from tests.riscv.chips.memory_rows import Rows, shape
from tests.sample import sample_run
from zkvm.riscv.chips.zero_init import ZeroInitChip
from zkvm.riscv.records import Execution
from zkvm.stark.field.goldilocks import P

CHIP = ZeroInitChip()


def run(gaps: tuple[tuple[int, int], ...], words: list[int]) -> Execution:
    """An execution that touched these words of these gaps."""
    image = dataclasses.replace(sample_run().image, gaps=gaps)
    values = np.array(words, np.uint64)
    return dataclasses.replace(sample_run(), image=image, zero_address=values, zero_last=values + 7, zero_last_time=values + 9)


def test_shape() -> None:
    assert shape(CHIP) == (6, 2, 2, 13)
    assert CHIP.mandatory


@pytest.mark.parametrize(
    ("gaps", "words"),
    [
        (((5, 9),), []),
        (((5, 9),), [5, 6, 7, 8]),
        (((1, 2), (4, 1 << 30)), [1, 4, (1 << 30) - 1]),
        (((1, 3), (10, 20), (40, 41)), [2, 10, 19]),
        (((1, 1 << 30),), [1 << 29]),
        ((), []),
    ],
)
def test_lists(gaps: tuple[tuple[int, int], ...], words: list[int]) -> None:
    rows = Rows(CHIP, run(gaps, words))
    assert not rows.refused().any()
    received, sent = rows.received("list").T.tolist(), rows.sent("list").T.tolist()
    starts, ends = [[start - 1, 0] for start, _ in gaps], [[end, 1] for _, end in gaps]
    assert sorted(starts + sent) == sorted(received + ends)
    opened = [4 * word for word in words]
    assert sorted(rows.sent("word").T.tolist()) == sorted([[word, 0, 0] for word in opened] + [[0, 0, 0]] * len(gaps))
    closed = [[4 * word, word + 7, word + 9] for word in words]
    assert sorted(rows.received("word").T.tolist()) == sorted(closed + [[0, 0, 0]] * len(gaps))


@pytest.mark.parametrize("step", [0, -1, -(1 << 20), (1 << 30) + 1, 1 << 31, P // 2])
def test_steps_are_positive_and_short(step: int) -> None:
    rows = Rows(CHIP, run(((1, 100),), [50]))
    for row in range(2):
        changed = Rows(CHIP, run(((1, 100),), [50]))
        before = int(rows.column("previous")[row])
        changed.column("word")[row] = (before + step) % P
        for low in ((step - 1) % P % (1 << 16), (step - 1) % (1 << 16), 0, 0xFFFF):
            changed.column("step_low")[row] = low
            assert changed.refused().tolist() == [k == row for k in range(2)]


def test_the_last_step_reaches_exactly_2_30() -> None:
    rows = Rows(CHIP, run(((1, 1 << 30),), []))
    assert rows.column("word").tolist() == [1 << 30]
    assert not rows.refused().any()


@pytest.fixture
def forged() -> Forgery:
    return forgery(sample_run())


def test_a_word_row_can_not_close(forged: Forgery) -> None:
    row = forged.row("zero_init", real=1)
    forged.write("zero_init", row, real=0, close=1)
    assert {"bus zero list", "zero_init: only a word has a last time"} <= forged.refusals()


def test_a_chain_from_nowhere(forged: Forgery) -> None:
    """A word row whose list tuple nobody else uses: both its ends are left over."""
    row = forged.free_row("zero_init")
    forged.write("zero_init", row, previous=1, word=3, step_low=1, real=1)
    assert forged.refusals() == {"bus zero list"}
