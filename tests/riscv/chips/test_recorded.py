"""Fills recorded as kernels' programs: what is recorded, that every column is stored, what cannot be recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from zkvm.riscv.chips.recorded import fill_code
from zkvm.riscv.chips.steps import StepChip, Steps
from zkvm.riscv.isa.opcodes import ADDI
from zkvm.riscv.machine import machine
from zkvm.riscv.operations import ADD, CONSTANT, INVERSE, LESS, PROGRAM_WORD, STEP_HIGH, STEP_LOW, STEP_WORD, STORE, WHERE, XOR
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Columns, cell


class Sample(StepChip):
    """Fills its columns in every way that can be recorded."""

    name = "sample"
    operations = (ADDI,)
    columns = Columns(sum=cell("v1 + imm, twice"), smaller=cell("chosen"), inverse=cell("1 / t"), negated=cell("not v1 < v2"))

    def fill_steps(self, steps: Steps, trace: Trace) -> None:
        total = steps.field("v1") + steps.field("imm")
        steps.put(trace, sum=total)
        less = steps.field("v2") > steps.field("v1")
        steps.put(trace, sum=steps.field("v1") + steps.field("imm"), smaller=np.where(less, steps.field("v1"), steps.field("v2")))
        steps.put(trace, inverse=steps.inverses(steps.field("t")), negated=~less)


def test_what_is_recorded() -> None:
    """Operations in order, equal ones once; ``>`` is ``<`` the other way; a negated condition is its exclusive or with 1."""
    recorded = fill_code(Sample())
    assert recorded.code.tolist() == [
        [STEP_HIGH, 0, 0, 0], [PROGRAM_WORD, 5, 0, 0], [ADD, 0, 1, 0], [STORE, 0, 2, 0],
        [STEP_LOW, 1, 0, 0], [LESS, 0, 4, 0], [WHERE, 5, 0, 4], [STORE, 1, 6, 0],
        [STEP_WORD, 4, 0, 0], [INVERSE, 8, 0, 0], [CONSTANT, 0, 0, 0], [XOR, 5, 10, 0], [STORE, 2, 9, 0], [STORE, 3, 11, 0],
    ]  # fmt: skip
    assert recorded.constants.tolist() == [1]


@pytest.mark.parametrize("chip", [chip for chip in machine().chips if isinstance(chip, StepChip)], ids=lambda chip: chip.name)
def test_every_column_is_stored(chip: StepChip) -> None:
    code = fill_code(chip).code
    assert set(code[code[:, 0] == STORE, 1].tolist()) == set(range(len(chip.columns)))


@pytest.mark.parametrize("bad", ["sort", "float", "negative", "reduce"])
def test_what_cannot_be_recorded_is_refused(bad: str) -> None:
    class Bad(Sample):
        name = f"bad {bad}"

        def fill_steps(self, steps: Steps, trace: Trace) -> None:
            value = steps.field("v1")
            what: dict[str, Callable[[], Any]] = {
                "sort": lambda: np.sort(value),
                "float": lambda: value * 0.5,
                "negative": lambda: value + -1,
                "reduce": lambda: np.add.reduce(value),
            }
            steps.put(trace, sum=what[bad]())

    with pytest.raises(TypeError):
        fill_code(Bad())
