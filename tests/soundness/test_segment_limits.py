"""What bounds a run in segments as a whole: arguments that are about one proof elsewhere hold for all segments together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sample import INPUT, sample_image
from tests.soundness.joined import proven
from tests.soundness.private_forging import key_of
from tests.soundness.segment_forging import tables_of
from zkvm.errors import VerificationError
from zkvm.riscv import segments
from zkvm.riscv.chips.tensor.channels import TENSOR_KEYS
from zkvm.riscv.isa.opcodes import FIRST_TIME, TIME_STEP
from zkvm.riscv.machine import MAX_ROWS
from zkvm.riscv.segments import MAX_INSTRUCTIONS, check_instructions, instruction_rows
from zkvm.riscv.vm.checkpoint import first_checkpoint
from zkvm.riscv.vm.cuts import MAX_CYCLES, SegmentedRun
from zkvm.riscv.vm.executor import execute
from zkvm.stark.field.goldilocks import P

MAX_CHANNELS = 1 << 16
SIXTEENTH = pow(16, -1, P)
"""Channels of a list have keys address / 16, an element of the field where the address is no multiple of 16."""


def test_keys_of_channels_do_not_meet_in_any_segment() -> None:
    """The number of a tensor is at most that of all instructions, those of earlier segments among them."""
    largest = key_of(MAX_INSTRUCTIONS, MAX_ROWS)
    for remainder in range(1, 16):
        first, last = (address * SIXTEENTH % P for address in (remainder, (1 << 32) - 16 + remainder))
        assert largest < first
        assert largest < last
        assert last + key_of(MAX_INSTRUCTIONS, MAX_CHANNELS) < P, "lists of channels in vectors do not lead back either"


def test_with_more_instructions_keys_would_meet() -> None:
    """A list at 2^32 - 1, of constants or of another tensor, would be read from the vectors of tensor 2^30 - 1."""
    assert ((1 << 32) - 1) * SIXTEENTH % P == key_of(TENSOR_KEYS - 1, 0)
    assert MAX_INSTRUCTIONS < TENSOR_KEYS - 1


def test_the_executor_stops_where_verifiers_do() -> None:
    assert MAX_CYCLES == MAX_INSTRUCTIONS - 1


@pytest.mark.parametrize("room", [0, 1, 1 << 20])
def test_every_chip_at_the_end_of_the_longest_run(room: int) -> None:
    """Times and numbers of tensors are the largest that there are, and nothing wraps: as if segments before had executed so much."""
    image = sample_image()
    cycles = execute(image, INPUT).cycles
    begin = replace(first_checkpoint(image), cycles=MAX_CYCLES - room - cycles)
    run = SegmentedRun(image, INPUT, start=begin)
    tables = tables_of(run, MAX_CYCLES)
    assert run.ended
    assert tables.cell("hand_over", 0, "t") == FIRST_TIME + TIME_STEP * begin.cycles
    assert tables.refusals() == set()


def test_rows_of_all_segments_count(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = proven().verify()
    rows = [instruction_rows(shape) for shape in shapes]
    assert rows[0] == 0, "memory has no instructions"
    assert min(rows[1:]) > 0
    monkeypatch.setattr(segments, "MAX_INSTRUCTIONS", sum(rows) + 1)
    check_instructions(shapes)
    monkeypatch.setattr(segments, "MAX_INSTRUCTIONS", sum(rows))
    with pytest.raises(VerificationError, match=f"SHAPE: {sum(rows)} rows of instructions in all segments"):
        check_instructions(shapes)
