"""Tables built with kernels and without are the same, and a missing tuple is named."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.proving import guest_image
from zkvm.errors import ProvingError
from zkvm.riscv.fills import fill_rows
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.executor import execute
from zkvm.stark import tables
from zkvm.stark.kernels.counting import count_values
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
    monkeypatch.setattr(tables, "_CHUNK", 1 << 9)
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
