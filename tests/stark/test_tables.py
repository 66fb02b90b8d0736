"""Tables built with kernels and without are the same, and a missing tuple is named."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import inf
from typing import Any

import numpy as np
import pytest

from tests.proving import guest_image
from tests.toy import MAX_ROWS, AuditChip, SquaresChip, StepChip, toy_statement, toy_walk
from zkvm.errors import ProvingError
from zkvm.riscv.fills import fill_rows
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.executor import execute
from zkvm.stark import multiplicities, tables
from zkvm.stark.air.check import check_tables
from zkvm.stark.air.chip import second_instance
from zkvm.stark.air.machine import Machine
from zkvm.stark.kernels.counting import count_values
from zkvm.stark.protocol.params import parameters
from zkvm.stark.protocol.preprocessed import table_height
from zkvm.stark.prover.counting import merge_tuples
from zkvm.stark.prover.tapes import evaluate_columns

EXEMPT = 336
KERNELS: dict[str, Any] = {"evaluate": evaluate_columns, "count": count_values, "merge": merge_tuples, "fill": fill_rows}


@cache
def run(name: str) -> Execution:
    return execute(guest_image(name), bytes(64))


@pytest.mark.parametrize("name", ["all_instructions", "digits"])
@pytest.mark.parametrize("threads", [1, 2])
def test_kernels_build_the_same_tables(name: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole tables, second instances among them, row ranges that end in the middle of a table."""
    monkeypatch.setattr(tables, "SPLIT_MINIMUM", 1 << 9)
    monkeypatch.setattr(tables, "_ROWS", 100)
    monkeypatch.setattr(multiplicities, "_CHUNK", 1 << 9)
    execution = run(name)
    built = [
        tables.build_tables(machine(), execution, execution.image, EXEMPT, **options) for options in ({**KERNELS, "threads": threads}, {})
    ]
    assert name != "digits" or any(table.chip.first for table in built[0])
    for fast, plain in zip(*built, strict=True):
        assert (fast.chip.name, fast.used) == (plain.chip.name, plain.used)
        assert np.array_equal(fast.main, plain.main), fast.chip.name
        assert not fast.main[:, fast.used :].any() or fast.chip.serves


@pytest.mark.parametrize("bus", ["program", "range16"])
def test_a_missing_tuple_is_named(bus: str) -> None:
    """The first one, with its row, whether found while counting or when the slots are served."""
    execution = run("all_instructions")
    image, steps = execution.image, execution.steps.copy()
    if bus == "program":
        image = replace(image, program=image.program.copy())
        image.program["imm"] ^= np.uint64(1)
    else:
        steps["t1"] += np.uint64(1 << 20)
    messages = []
    for options in (KERNELS, {}):
        with pytest.raises(ProvingError, match=rf"row 0 asks for \[.*\], which is not in bus {bus}") as caught:
            tables.build_tables(machine(), replace(execution, steps=steps), image, EXEMPT, **options)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(("room", "expected"), [(7500, (1 << 13, 0)), (10_000, (1 << 13, 1 << 12)), (20_000, (1 << 14, 1 << 13))])
def test_runs_that_fit_have_the_heights_of_the_room(room: int, expected: tuple[int, int]) -> None:
    """Tables as of a run with so many rows: also where the second instance then stays empty, or the first is not full."""
    machine = Machine("toy split", (StepChip(), AuditChip(), SquaresChip(), second_instance(StepChip)), MAX_ROWS)
    for count in (1, 3999, min(room, 9999), room):
        walk = toy_walk(count)
        filled = tables.build_tables(machine, walk, None, EXEMPT, pad_to={"step": room, "audit": 20_000})
        heights = {table.chip.name: table.height for table in filled}
        assert (heights["step"], heights.get("step_2", 0)) == expected
        assert heights["audit"] == table_height(20_000, EXEMPT)
        assert sum(table.used for table in filled if table.chip.name.startswith("step")) == count
        closings = toy_statement(count, int(walk.sums[-1]), bytes(32)).closings
        assert check_tables(filled, closings) == []


def test_a_run_that_does_not_fit_has_its_own_heights() -> None:
    machine = Machine("toy", (StepChip(), AuditChip(), SquaresChip()), MAX_ROWS)
    rows = {"step": 5000, "audit": 5000, "squares": 0}
    assert tables.heights_for(machine, rows, None, EXEMPT, {"step": 100}) == tables.heights_for(machine, rows, None, EXEMPT)


@pytest.mark.parametrize(
    ("name", "others", "rows", "expected"),
    [
        ("fast", 0, 5000, (4096, 2048)),
        ("balanced", 0, 5000, (8192, 0)),  # of this run's cells it would save less than it added to the columns
        ("balanced", 300, 40_000, (32_768, 8192)),
        ("compact", 300, 40_000, (65_536, 0)),
    ],
)
def test_a_second_instance_saves_more_than_its_columns(name: str, others: int, rows: int, expected: tuple[int, int]) -> None:
    """How much it has to save is the prover's choice, and a set says what it is for."""
    chosen = parameters(name)
    used = {chip.name: others for chip in machine().chips if chip.first is None} | {"add": rows}
    heights = tables.heights_for(machine(), used, guest_image("hello"), chosen.exempt, split_price=chosen.split_price)
    found = dict(zip((chip.name for chip in machine().chips), heights, strict=True))
    assert (found["add"], found["add_2"]) == expected


def test_what_a_second_instance_saves_is_weighed() -> None:
    """More rows than all columns have on average, times the price."""
    machine = Machine("toy split", (StepChip(), AuditChip(), SquaresChip(), second_instance(StepChip)), MAX_ROWS)
    rows = {"step": 10_000, "audit": 20_000, "squares": 0}
    widths = {code.chip.name: sum(code.widths[1:]) for code in machine.codes}
    one = tables.heights_for(machine, rows, None, EXEMPT, split_price=inf)
    two = tables.heights_for(machine, rows, None, EXEMPT)
    present = [(widths[chip.name], height) for chip, height in zip(machine.chips, one, strict=True) if height]
    average = sum(width * height for width, height in present) / sum(width for width, _ in present)
    price = (sum(one) - sum(two)) / average
    assert price > 0
    assert tables.heights_for(machine, rows, None, EXEMPT, split_price=0.999 * price) == two
    assert tables.heights_for(machine, rows, None, EXEMPT, split_price=1.001 * price) == one
