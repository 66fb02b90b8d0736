"""Padded runs: every table is present and has one height, so the shape of a proof does not tell what the program did."""

from __future__ import annotations

import pytest

from tests.proving import GUESTS
from tests.sample import sample_run
from zkvm import api
from zkvm.errors import LimitError, UsageError
from zkvm.riscv.header import ImageHeader, closings, preprocessed_chips
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.stark.air.check import check_tables
from zkvm.stark.protocol.params import parameters
from zkvm.stark.tables import build_tables, heights_for, planned_heights

EXEMPT = parameters("fast", 100).exempt
OPTIONAL = [chip for chip in machine().chips if not len(chip.preprocessed) and chip.first is None]
SECOND = [chip for chip in machine().chips if chip.first is not None]

BRANCHES: tuple[Item, ...] = (
    ("li", "a7", 63), ("li", "a0", 0), ("la", "a1", "data"), ("li", "a2", 1), ("ecall",), ("la", "a1", "data"), ("lbu", "t0", "a1", 0),
    ("beqz", "t0", "end"), ("mul", "t1", "t0", "t0"), ("divu", "t1", "t1", "t0"), ("sll", "t2", "t1", "t0"),
    "end", ("li", "a0", 0), *EXIT,
)  # fmt: skip
"""Reads a byte and does more, with other instructions, if it is not 0."""


def both_ways() -> tuple[Execution, Execution]:
    image = assemble(list(BRANCHES), data=bytes(4))
    return execute(image, b"\0"), execute(image, b"\5")


def test_heights_tell_a_branch_and_padded_heights_do_not() -> None:
    first, second = both_ways()
    assert planned_heights(machine(), first, first.image, EXEMPT) != planned_heights(machine(), second, second.image, EXEMPT)
    padded = [planned_heights(machine(), run, run.image, EXEMPT, 1 << 12) for run in (first, second)]
    assert padded[0] == padded[1]


def test_every_optional_table_is_present_and_padded() -> None:
    run = sample_run()
    plain = dict(zip((chip.name for chip in machine().chips), planned_heights(machine(), run, run.image, EXEMPT), strict=True))
    padded = dict(zip(plain, planned_heights(machine(), run, run.image, EXEMPT, 1 << 12), strict=True))
    assert all(padded[chip.name] == 1 << 12 for chip in OPTIONAL)
    assert not any(padded[chip.name] for chip in SECOND)
    fixed = set(plain) - {chip.name for chip in (*OPTIONAL, *SECOND)}
    assert {name: plain[name] for name in fixed} == {name: padded[name] for name in fixed}


def test_tables_of_calls_that_are_not_made_stay_absent() -> None:
    """They would be hundreds of columns in every padded receipt."""
    run = both_ways()[0]
    padded = dict(zip((chip.name for chip in machine().chips), planned_heights(machine(), run, run.image, EXEMPT, 1 << 12), strict=True))
    assert {padded[chip.name] for chip in OPTIONAL if chip.by_call} == {0}
    assert {padded[chip.name] for chip in OPTIONAL if not chip.by_call} == {1 << 12}
    named = {"tensor_call", "tensor_results", "tensor_elements", "tensor_channels", "permute", "poseidon2", "blake3_mixing"}
    assert named <= {chip.name for chip in OPTIONAL if chip.by_call}


def test_a_longer_table_keeps_its_height_and_is_not_split() -> None:
    run = sample_run()
    rows = {chip.name: 0 for chip in machine().chips if chip.first is None} | {"add": 5000}
    heights = dict(zip((chip.name for chip in machine().chips), heights_for(machine(), rows, run.image, EXEMPT, 1 << 12), strict=True))
    assert heights["add"] == 1 << 13
    unpadded = dict(zip(heights, heights_for(machine(), rows, run.image, EXEMPT), strict=True))
    assert not any(heights[chip.name] for chip in SECOND)
    assert unpadded["add"] == (1 << 12 if any(chip.first == "add" for chip in SECOND) else 1 << 13)


def test_padded_tables_satisfy_the_machine() -> None:
    """Tables without a single used row, too."""
    for run in (*both_ways(), sample_run()):
        tables = build_tables(machine(), run, run.image, EXEMPT, pad_to=1 << 10)
        heights = {table.chip.name: table.height for table in tables}
        header = ImageHeader(
            run.image.entry, run.image.initial_sp, run.image.gaps, tuple(heights.get(name, 0) for name in preprocessed_chips()), ()
        )
        assert check_tables(tables, closings(header, run.journal, run.exit_code)) == []
        assert {chip.name for chip in OPTIONAL if not chip.by_call} <= set(heights)


def test_padding_beyond_the_bound_on_rows() -> None:
    run = sample_run()
    with pytest.raises(LimitError, match="rows"):
        planned_heights(machine(), run, run.image, EXEMPT, 1 << 30)


def test_a_padded_proof_verifies() -> None:
    elf = GUESTS / "echo" / "echo.elf"
    info = api.prove(elf, b"abc", params="fast", pad_to=1 << 9)
    assert info.receipt.seal is not None
    logs = dict(zip((chip.name for chip in machine().chips), info.receipt.seal.log_heights, strict=True))
    assert all(logs[chip.name] >= 9 for chip in OPTIONAL if not chip.by_call)
    info.receipt.verify(info.image_id)


@pytest.mark.parametrize("pad_to", [-1, 1, 3, 256, 1000, 1 << 25])
def test_padding_is_a_height(pad_to: int) -> None:
    with pytest.raises(UsageError, match="power of two"):
        api.prove(GUESTS / "echo" / "echo.elf", b"abc", pad_to=pad_to)
