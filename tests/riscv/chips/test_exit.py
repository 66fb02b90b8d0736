"""The end of a run."""

from __future__ import annotations

import pytest

from tests.forge import Forgery, forgery
from tests.riscv.chips.memory_rows import shape
from tests.sample import sample_run
from zkvm.riscv.chips.exit import ExitChip
from zkvm.riscv.vm.assemble import assemble
from zkvm.riscv.vm.executor import execute
from zkvm.stark.field.goldilocks import P

CHIP = ExitChip()


@pytest.fixture
def forged() -> Forgery:
    return forgery(sample_run())


def test_shape() -> None:
    assert shape(CHIP) == (6, 3, 4, 21)


@pytest.mark.parametrize("number", [93, 94])
@pytest.mark.parametrize("code", [0, 1, 0xFFFF_FFFF])
def test_both_calls_and_every_code(number: int, code: int) -> None:
    run = execute(assemble([("li", "a7", number), ("li", "a0", code), ("ecall",)]))
    assert run.exit_code == code
    assert forgery(run).refusals() == set()
    assert forgery(run, exit_code=code ^ 1).refusals() == {"bus exit"}


@pytest.mark.parametrize("number", [0, 64, 92, 95, 214, P - 93])
def test_no_other_call_ends_the_run(forged: Forgery, number: int) -> None:
    forged.write("exit", 0, a7=number)
    assert forged.refusals() == {"exit: the call is exit or exit_group", "bus memory"}


def test_only_an_ecall_ends_the_run(forged: Forgery) -> None:
    """Put the exit one instruction earlier, where the program says something else."""
    forged.add("exit", 0, pc=-4, t=-4)
    assert {"exit: instruction", "bus state"} <= forged.refusals()


def test_times_and_code_are_tied(forged: Forgery) -> None:
    for name in ("t_a7", "t_a0"):
        forged.write("exit", 0, **{name: forged.cell("exit", 0, "t")})
        assert f"exit: {name[2:]} is later" in forged.refusals()
    forged = forgery(sample_run(), exit_code=3)
    forged.write("exit", 0, a0=3)
    assert forged.refusals() == {"bus memory"}


def test_padding_can_not_exit(forged: Forgery) -> None:
    row = forged.copy_row("exit", 0)
    forged.write("exit", row, real=0)
    assert forged.refusals() == {"exit: a7 keeps its time unless live", "exit: a0 keeps its time unless live", "bus memory"}
