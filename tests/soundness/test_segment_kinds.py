"""Attacks on runs in segments: proofs of one kind as another, a prefix as the whole, and what else ties a segment to its run."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.forge import Forgery
from tests.sample import INPUT, sample_image
from tests.soundness.segment_forging import (
    S1,
    S3,
    T2,
    honest,
    times,
)
from tests.soundness.test_segment_forgeries import STATE, WORD
from zkvm.riscv.header import journal_closing
from zkvm.riscv.machine import memory_machine, segment_machine
from zkvm.riscv.vm.cuts import SegmentedRun, survey
from zkvm.stark.protocol.params import EXEMPT_MAX
from zkvm.stark.tables import build_tables

# --- C8, C9 -------------------------------------------------------------------------------------------------------------------------


def test_c8_what_each_machine_can_say() -> None:
    """No segment can open a word, and the proof of memory has no state: the chips are not in their machines."""
    segment = {chip.name: chip for chip in segment_machine().chips}
    memory = {chip.name: chip for chip in memory_machine().chips}
    assert "zero_init" not in segment
    assert not {"boundary", "hand_over", "ecall"} & set(memory)
    assert not segment["ram_image"].air_buses.buses
    assert {name for name, chip in memory.items() if chip.air_buses.buses} == {"ram_image", "zero_init", "range"}
    assert len({segment_machine().digest, memory_machine().digest}) == 2
    for machine in (segment_machine(), memory_machine()):
        assert [own.name for own in machine.buses if own.joint]


def test_c8_a_segment_as_the_proof_of_memory() -> None:
    """With number 0 its words would be the run's first ones."""
    forged = honest()
    forged.memory, forged.segments = forged.segments[0], forged.segments[1:]
    forged.joint = honest().joint
    assert {STATE, WORD} <= forged.refusals()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_c9_a_prefix_as_the_whole_run(count: int) -> None:
    forged = honest()
    del forged.segments[count:]
    forged.relink()
    forged.claim()
    assert forged.refusals() == {STATE}


# --- what else ties a segment to the run --------------------------------------------------------------------------------------------


def test_journal_bytes_moved_to_the_next_segment() -> None:
    forged = honest()
    parts = [proof.closings[0].values for proof in forged.segments]
    assert [len(part) for part in parts] == [0, 0, 8, 8]
    journal = bytes(np.concatenate(parts)[:, 1].astype(np.uint8))
    for count in (7, 9):
        forged[3].closings, forged[4].closings = (journal_closing(journal[:count]),), (journal_closing(journal[count:], count),)
        assert forged.refusals() == {"3 bus journal", "4 bus journal"}
    forged[3].closings, forged[4].closings = (journal_closing(journal[8:]),), (journal_closing(journal[:8], 8),)
    assert forged.refusals() == {"3 bus journal", "4 bus journal"}


def test_a_tensor_of_an_earlier_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An executor that remembers it has nobody to serve it, unless the call that made it is in the segment too: at another time."""
    (first, last), *_ = survey(sample_image(), INPUT).living
    begin = SegmentedRun._begin

    def remember(run: SegmentedRun) -> None:
        made = run._host.tensors.made
        begin(run)
        run._host.tensors.made.update(made)

    monkeypatch.setattr(SegmentedRun, "_begin", remember)
    run = SegmentedRun(sample_image(), INPUT)
    earlier, execution = run.segment(first), run.segment(last + 1)
    calls = [replace(call, ecall=call.ecall + len(earlier.ecalls)) for call in execution.tensor_calls]
    again = replace(
        execution, ecalls=np.concatenate([earlier.ecalls, execution.ecalls]), tensor_calls=(*earlier.tensor_calls, *calls)
    )  # fmt: skip
    tables = {table.chip.name: table for table in build_tables(segment_machine(), again, sample_image(), EXEMPT_MAX)}
    forged = Forgery(sample_image(), tables, (journal_closing(execution.journal),))
    assert forged.refusals() == {"bus state", "bus memory"}
    call = forged.row("tensor_call", t=4 * first)
    forged.erase("tensor_call", call)
    assert forged.refusals() == {"bus import path"}


def test_addresses_of_the_boundary_are_those_of_memory() -> None:
    """Times of a word's accesses in a segment are its own, between both ends of its row."""
    forged = honest()
    for number in range(1, 5):
        for row in range(forged[number].tables["boundary"].used):
            found = times(forged[number], forged[number].cell("boundary", row, "address"))
            assert all(before < after for before, after in pairwise(found))
    assert {S1, S3, T2} <= set(np.concatenate([forged[number]["boundary.address"] for number in range(1, 5)]).tolist())
