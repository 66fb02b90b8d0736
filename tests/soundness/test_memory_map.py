"""A run that uses words between heap and stack: no forged list of zero words opens one, and what refuses each attempt.

Under a memory map with one range for both, as another image might have, the same tables are honest.
"""

from __future__ import annotations

import dataclasses
from functools import cache

import pytest

from tests.forge import Forgery, forgery
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.riscv.vm.image import GUARD_BYTES

FLOOR = 1 << 28
LIMIT = FLOOR - GUARD_BYTES
ADDRESSES = [LIMIT, LIMIT + GUARD_BYTES // 2, FLOOR - 4]
guard_words = pytest.mark.parametrize("address", ADDRESSES, ids=hex)
VALUE = 0x1234_5678


@cache
def overflown(address: int) -> Execution:
    """A run that stores to ``address`` and reads it, as recorded where heap and stack are one range."""
    items: list[Item] = [("li", "s0", address), ("li", "a0", VALUE), ("sw", "a0", "s0", 0), ("lw", "a0", "s0", 0), *EXIT]
    image = assemble(items)
    assert (image.heap_limit, image.stack_floor) == (LIMIT, FLOOR)
    return execute(dataclasses.replace(image, gaps=((image.gaps[0][0], image.gaps[-1][1]),)))


def forged_run(address: int) -> Forgery:
    """Its tables for the real image: the list of zero words leaves the word out."""
    run = overflown(address)
    gaps = ((run.image.gaps[0][0], LIMIT // 4), (FLOOR // 4, run.image.gaps[0][1]))
    return forgery(dataclasses.replace(run, image=dataclasses.replace(run.image, gaps=gaps)))


def open_word(forged: Forgery, address: int, previous: int) -> None:
    """A row that opens the word after ``previous``, and closes it as the run left it."""
    last_time = overflown(address).zero_last_time[0]
    step = (address // 4 - previous - 1) % (1 << 16)
    row = forged.free_row("zero_init")
    forged.write("zero_init", row, previous=previous, word=address // 4, last=VALUE, last_time=int(last_time), step_low=step, real=1)


def move_end(forged: Forgery, end: int, previous: int) -> None:
    """Let the row that closes the range up to word ``end`` follow another word."""
    forged.write("zero_init", forged.row("zero_init", word=end, close=1), previous=previous, step_low=(end - previous - 1) % (1 << 16))


@guard_words
def test_it_is_the_memory_map_that_refuses(address: int) -> None:
    run = overflown(address)
    assert (run.exit_code, run.zero_address.tolist(), run.zero_last.tolist()) == (VALUE, [address // 4], [VALUE])
    assert forgery(run).refusals() == set()


@guard_words
def test_b3_a_word_of_the_guard_that_nobody_opens(address: int) -> None:
    """It is accessed, but no row produces its first tuple."""
    assert forged_run(address).refusals() == {"bus memory"}


@guard_words
def test_b3_a_word_of_the_guard_apart_from_the_lists(address: int) -> None:
    for previous in (address // 4 - 1, 0, LIMIT // 4 - 1):
        forged = forged_run(address)
        open_word(forged, address, previous)
        assert forged.refusals() == {"bus zero list"}


@guard_words
def test_b3_a_word_of_the_guard_after_the_heap(address: int) -> None:
    """The heap's list goes on into the guard, and has to come back to the heap's end."""
    forged = forged_run(address)
    start = forged.image.gaps[0][0] - 1
    open_word(forged, address, start)
    move_end(forged, LIMIT // 4, address // 4)
    assert forged.refusals() == {"zero_init: step high limb"}


@guard_words
def test_b3_a_word_of_the_guard_between_two_lists(address: int) -> None:
    """The heap's list goes on to the stack's end: the stack's then has to go down to the heap's."""
    forged = forged_run(address)
    open_word(forged, address, forged.image.gaps[0][0] - 1)
    move_end(forged, forged.image.gaps[1][1], address // 4)
    move_end(forged, LIMIT // 4, FLOOR // 4 - 1)
    assert forged.refusals() == {"zero_init: step high limb"}


@guard_words
def test_b3_a_word_of_the_guard_before_the_stack(address: int) -> None:
    """The stack's list begins one word below the stack; a step to that word, or to one below it, is none."""
    forged = forged_run(address)
    open_word(forged, address, FLOOR // 4 - 1)
    move_end(forged, forged.image.gaps[1][1], address // 4)
    assert forged.refusals() == {"zero_init: step high limb"}


def test_b3_the_end_of_the_heap_is_no_word() -> None:
    """The row that closes the heap's list names the guard's first word, and would have to open and close at once."""
    forged = forged_run(LIMIT)
    close = forged.row("zero_init", word=LIMIT // 4, close=1)
    last_time = int(overflown(LIMIT).zero_last_time[0])
    forged.write("zero_init", close, last=VALUE, last_time=last_time)
    assert forged.refusals() == {"zero_init: only a word has a last value", "zero_init: only a word has a last time"}
    forged.write("zero_init", close, real=1)
    assert "zero_init: kinds are exclusive" in forged.refusals()
    forged.write("zero_init", close, close=0)
    assert forged.refusals() == {"bus zero list"}
