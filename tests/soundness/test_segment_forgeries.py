"""Attacks on runs in segments, each a consistent change: what refuses them are the segment itself or the joint buses.

Tables are held against the machines' own equations; that the verifier demands these of every proof is the business of the protocol's tests.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.riscv.vm.programs import ProgramWriter
from tests.sample import INPUT, sample_image
from tests.soundness.segment_forging import (
    CUTS,
    S0,
    S2,
    T0,
    T1,
    Composite,
    composite,
    copied,
    honest,
    idle_segment,
    memory_of,
    tables_of,
)
from zkvm.riscv.isa.opcodes import LAST_PC, REGISTER_COUNT
from zkvm.riscv.vm.assemble import DATA, EXIT, Item, assemble
from zkvm.riscv.vm.checkpoint import Checkpoint
from zkvm.riscv.vm.cuts import SegmentedRun, survey
from zkvm.riscv.vm.executor import execute
from zkvm.stark.field.goldilocks import P

STATE, WORD = "bus segment state", "bus segment word"
ASK: tuple[Item, ...] = (
    ("la", "s0", "data"), ("li", "a7", 63), ("li", "a0", 0), ("mv", "a1", "s0"), ("li", "a2", 4), ("ecall",),
    ("li", "a7", 4096), ("ecall",), ("sw", "a0", "s0", 4),
    ("li", "a7", 64), ("li", "a0", 3), ("mv", "a1", "s0"), ("li", "a2", 8), ("ecall",), ("li", "a0", 0), *EXIT,
)  # fmt: skip
"""Reads four bytes; the second segment writes them to the journal, and the number of instructions before."""
BSS = DATA + 16
ASKED = 7
"""Instructions of the first segment."""


def forged_from(stdin: bytes, change: Callable[[Checkpoint], Checkpoint]) -> Composite:
    """A run of :data:`ASK` whose second segment goes on from another checkpoint than the first one ended with: consistent in itself."""
    image = assemble(list(ASK), data=bytes(16))
    pages: dict[bytes, bytes] = {}
    run = SegmentedRun(image, stdin, pages=pages)
    first = tables_of(run, ASKED)
    other = SegmentedRun(image, stdin, start=change(run.at), number=1, pages=pages)
    other.visited = run.visited
    second = tables_of(other, 1 << 24)
    result = Composite(memory_of(other), [first, second], ())
    result.relink()
    result.claim()
    return result


# --- the honest composite ----------------------------------------------------------------------------------------------------------


def test_honest_tables_are_accepted() -> None:
    assert honest().refusals() == set()
    assert honest(()).refusals() == set()
    assert honest((1, 2, 3)).refusals() == set()
    assert forged_from(b"abcd", lambda at: at).refusals() == set()
    _, last = survey(sample_image(), INPUT).living[0]
    assert composite(sample_image(), (5, 11, last + 1, last + 9), INPUT, exit_code=7).refusals() == set()


@pytest.mark.parametrize("seed", range(3))
def test_random_programs_in_segments(seed: int) -> None:
    """Wherever they are cut, their tables are consistent."""
    image = ProgramWriter(100 + seed).write()
    cycles, rng = execute(image).cycles, random.Random(seed)
    cuts = sorted(rng.sample(range(1, cycles), min(4, cycles - 1)))
    assert composite(image, cuts).refusals() == set()


# --- C1: segments dropped, repeated, in another order, of other runs ----------------------------------------------------------------


@pytest.mark.parametrize("relinked", [False, True])
def test_c1_a_segment_dropped(relinked: bool) -> None:
    for number in range(4):
        forged = honest()
        del forged.segments[number]
        forged.claim()
        if relinked:
            forged.relink()
        # Without the last one words are as some segment left them: what is missing is the exit.
        assert forged.refusals() == ({STATE} if relinked and number == 3 else {STATE, WORD})


@pytest.mark.parametrize("relinked", [False, True])
def test_c1_a_segment_twice(relinked: bool) -> None:
    for number in range(4):
        forged = honest()
        forged.segments.insert(number, copied(forged.segments[number]))
        forged.claim()
        if relinked:
            forged.relink()
        assert {STATE, WORD} <= forged.refusals()


def test_c1_segments_swapped() -> None:
    for number, other in ((0, 1), (1, 2), (2, 3), (0, 3)):
        forged = honest()
        segments = forged.segments
        segments[number], segments[other] = segments[other], segments[number]
        forged.relink()
        assert forged.refusals() == {STATE, WORD}


def test_c1_a_segment_of_another_run() -> None:
    """Of the same program, with another input: its state is the same."""
    image = assemble(list(ASK), data=bytes(16))
    forged, other = (composite(image, (ASKED,), stdin) for stdin in (b"abcd", b"abce"))
    forged.segments[1] = other.segments[1]
    assert forged.refusals() == {WORD}
    forged.relink()
    assert forged.refusals() == {WORD}


# --- C2: another state at a segment's begin -----------------------------------------------------------------------------------------


def test_c2_a_segment_begins_elsewhere() -> None:
    assert forged_from(b"abcd", lambda at: replace(at, pc=at.pc + 4)).refusals() == {STATE}


def test_c2_a_register_changes_between_segments() -> None:
    def change(at: Checkpoint) -> Checkpoint:
        return replace(at, registers=(*at.registers[:8], at.registers[8] + 4, *at.registers[9:]))

    assert forged_from(b"abcd", change).refusals() == {WORD}


def test_c2_the_journal_pointer_changes_between_segments() -> None:
    """The verifier believes a journal that begins with the byte 4."""
    forged = forged_from(b"abcd", lambda at: replace(at, registers=(*at.registers[:33], 4, *at.registers[34:])))
    tuples = forged[2].closings[0].values.copy()
    tuples[:, 0] += np.uint64(4)
    forged[2].closings = (replace(forged[2].closings[0], values=tuples),)
    assert forged.refusals() == {WORD}


def test_c2_a_word_of_memory_changes_between_segments() -> None:
    image = assemble(list(ASK), data=bytes(16))
    pages: dict[bytes, bytes] = {}
    other = SegmentedRun(image, b"xxxx", pages=pages)
    other.segment(ASKED)
    run = SegmentedRun(image, b"abcd", pages=pages)
    first = tables_of(run, ASKED)
    assert run.at.pages != other.at.pages
    forger = SegmentedRun(image, b"abcd", start=other.at, number=1, pages=pages)
    forger.visited = run.visited
    forged = Composite(first, [first, tables_of(forger, 1 << 24)], ())
    forged.memory = memory_of(forger)
    forged.claim()
    assert forged.refusals() == {WORD}


def test_c2_another_number_of_instructions() -> None:
    """All times of the second segment are later, and so is what ``cycles`` returns."""
    forged = forged_from(b"abcd", lambda at: replace(at, cycles=at.cycles + 1000))
    row = forged[2].row("ecall", cycles=1)
    assert forged[2].cell("ecall", row, "result") > 1000
    assert forged.refusals() == {STATE}


def test_c2_a_segment_that_steps_back_in_time() -> None:
    forged = forged_from(b"abcd", lambda at: replace(at, cycles=0))
    assert forged.refusals() == {STATE}


# --- C3: the first segment ----------------------------------------------------------------------------------------------------------


def test_c3_the_run_does_not_begin_at_the_entry() -> None:
    """The first two instructions are left out; what they wrote is said to have been there."""
    forged = honest((2, *CUTS))
    del forged.segments[0]
    forged.relink()
    forged.claim()
    row = forged.word(1, S0)
    assert forged.refusals() == {STATE, WORD}
    forged.memory.write("ram_image", forged.memory.row("ram_image", address=S0), value=forged[1].cell("boundary", row, "before"))
    assert forged.refusals() == {STATE}


@pytest.mark.parametrize("address", [DATA, BSS + 8, T0])
def test_c3_memory_begins_with_other_words(address: int) -> None:
    forged = honest()
    row = forged.word(1, address)
    forged[1].pass_on(address, forged[1].cell("boundary", row, "first"), 12345)
    forged[1].write("boundary", row, before=12345)
    assert forged.refusals() == {WORD}


def test_c3_a_word_that_belongs_to_nothing() -> None:
    """A segment says that it took over a word of the null page from before the run."""
    forged = honest()
    row = forged[2].free_row("boundary")
    forged[2].write("boundary", row, address=64, before=1, after=1, gap=2, first=1, last=1, real=1)
    assert forged.refusals() == {WORD}


# --- C4: one path a word ------------------------------------------------------------------------------------------------------------


def test_c4_a_word_from_a_later_segment() -> None:
    """Two segments feed each other, and memory knows of nothing."""
    forged = honest()
    for number, gap, before in ((1, P - 1, 21), (2, 1, 20)):
        row = forged.word(number, S2)
        forged[number].pass_on(S2, forged[number].cell("boundary", row, "first"), before)
        forged[number].write("boundary", row, gap=gap, before=before)
    forged.memory.write("ram_image", forged.memory.row("ram_image", address=S2), last=0, last_segment=0)
    assert forged.refusals() == {"1 boundary: an earlier segment"}


def test_c4_a_word_from_the_segment_itself() -> None:
    """A circle of one segment."""
    forged = honest()
    row = forged.word(1, S2)
    forged[1].pass_on(S2, forged[1].cell("boundary", row, "first"), 20)
    forged[1].write("boundary", row, gap=0, before=20)
    forged[2].write("boundary", forged.word(2, S2), gap=2, before=0)
    forged[2].pass_on(S2, forged[2].cell("boundary", forged.word(2, S2), "first"), 0)
    assert forged.refusals() == {"1 boundary: an earlier segment"}


@pytest.mark.parametrize("number", [2, 3])
def test_c4_a_stale_word(number: int) -> None:
    """A segment takes a word over as an earlier one left it, past the one between."""
    address = {2: T1, 3: DATA}[number]
    forged = honest()
    row = forged.word(number, address)
    before = forged[number].cell("boundary", row, "before")
    forged[number].add("boundary", row, gap=1)
    assert forged.refusals() == {WORD}
    forged[number].write("boundary", row, before=before)
    assert forged.refusals() == {WORD}


def test_c4_a_word_opened_twice_by_memory() -> None:
    forged = honest()
    memory = forged.memory
    source = memory.row("zero_init", word=(BSS + 8) // 4)
    memory.copy_row("zero_init", source)
    assert {"0 bus zero list", WORD} <= forged.refusals()
    row = forged.memory.tables["zero_init"].used - 1
    previous = forged.memory.cell("zero_init", row, "word")
    memory.write("zero_init", row, previous=previous, step_low=0xFFFF, last=0, last_segment=0)
    assert forged.refusals() == {"0 zero_init: step high limb"}


def test_c4_a_last_value_that_is_not_the_last() -> None:
    forged = honest()
    row = forged.memory.row("ram_image", address=DATA)
    forged.memory.add("ram_image", row, last=1)
    assert forged.refusals() == {WORD}
    forged = honest()
    forged.memory.write("ram_image", row, last=5, last_segment=1)  # as segment 1 left it
    assert forged.refusals() == {WORD}


def test_c4_a_register_left_out() -> None:
    """The segment reads s0 as it likes."""
    forged = honest()
    forged[3].erase("boundary", forged.word(3, S0))
    assert forged.refusals() == {"3 bus memory", WORD}
    forged.relink()
    assert forged.refusals() == {"3 bus memory"}


def test_c4_a_word_twice_in_a_segment() -> None:
    """The second row for the same word, from before the run: reads would have a choice."""
    forged = honest()
    row = forged[2].copy_row("boundary", forged.word(2, T1))
    forged[2].write("boundary", row, gap=2, before=0, after=0, first=1, last=1)
    assert forged.refusals() == {WORD}


# --- C5: the end --------------------------------------------------------------------------------------------------------------------


def test_c5_two_runs_at_once() -> None:
    """A second row that takes over the state: from the same segment, or made up."""
    forged = honest()
    forged[2].copy_row("hand_over", 0)
    assert forged.refusals() == {"2 bus state", STATE}
    forged = honest()
    row = forged[2].free_row("hand_over")
    forged[2].write("hand_over", row, pc=7, next_pc=7, t=8, next_t=8, real=1)
    assert forged.refusals() == {STATE}


def test_c5_no_state_is_taken_over() -> None:
    forged = honest()
    forged[2].erase("hand_over", 0)
    assert forged.refusals() == {"2 bus state", STATE}


def test_c5_a_segment_after_the_exit() -> None:
    """One that executes something is refused; one that executes nothing and hands the last state on says nothing false."""
    again = honest()
    again.segments.append(copied(again.segments[0]))
    again.relink()
    again.claim()
    assert {STATE, WORD} <= again.refusals()
    idle = honest()
    idle.segments.append(idle_segment(LAST_PC))
    idle.claim()
    assert idle.refusals() == set()
    idle.claim(exit_code=1)
    assert idle.refusals() == {STATE}


def test_c5_an_exit_in_an_earlier_segment() -> None:
    """The run ends in segment 2 with code 1 and goes on in segment 3 from where it would have been."""
    exits: list[Item] = [("li", "t0", 1), ("li", "a0", 1), ("li", "a7", 93), ("ecall",), ("li", "a0", 0), *EXIT]
    image = assemble(exits, data=bytes(16))
    run = SegmentedRun(image)
    segments = [tables_of(run, 2), tables_of(run, 1 << 24)]
    registers = tuple(run._state.registers[:REGISTER_COUNT].tolist())
    jump = replace(run.at, cycles=4, pc=int(image.program["pc"][4]), registers=registers)
    other = SegmentedRun(image, start=jump, number=2)
    other.visited = run.visited
    segments.append(tables_of(other, 1 << 24))
    forged = Composite(memory_of(other), segments, ())
    forged.relink()
    forged.claim()
    assert forged.refusals() == {STATE}


def test_c5_no_exit() -> None:
    """The last segment ends before the exit, and says that it has exited."""
    forged = honest((*CUTS, 30))
    del forged.segments[4]
    forged.relink()
    forged.claim()
    assert forged.refusals() == {STATE}
    forged[4].write("hand_over", 0, next_pc=LAST_PC, next_t=0)
    assert forged.refusals() == {"4 bus state"}


# --- C6: memory's ranges ------------------------------------------------------------------------------------------------------------


def test_c6_a_range_without_its_list() -> None:
    """A word is opened outside the list of its range, or the list does not reach the range's end."""
    forged = honest()
    row = forged.memory.row("zero_init", word=(BSS + 8) // 4)
    forged.memory.write("zero_init", row, previous=forged.memory.cell("zero_init", row, "word") - 1, step_low=0)
    assert forged.refusals() == {"0 bus zero list"}
    forged = honest()
    closes = forged.memory.row("zero_init", close=1)
    forged.memory.erase("zero_init", closes)
    assert forged.refusals() == {"0 bus zero list"}


def test_c6_a_word_of_the_image_left_out() -> None:
    """All of them are preprocessed: only the verifier's believing another table could leave one out."""
    forged = honest()
    forged.memory.write("ram_image", forged.memory.row("ram_image", address=DATA), real=0, address=0, value=0, last=0, last_segment=0)
    assert forged.refusals() == {WORD}
