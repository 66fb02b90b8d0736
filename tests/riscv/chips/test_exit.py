"""The end of a run: the ecall's row after which no instruction comes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.forge import Forgery, forgery
from tests.riscv.chips.call_rows import products_at
from tests.sample import sample_run
from zkvm.riscv.chips.buses import MEMORY, STATE
from zkvm.riscv.isa.opcodes import LAST_PC, LAST_TIME, REGISTER_BASE
from zkvm.riscv.vm.assemble import EXIT, TEXT, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.stark.air.evaluate import evaluate_columns
from zkvm.stark.air.expression import straighten
from zkvm.stark.air.table import closing
from zkvm.stark.field.goldilocks import P

T0 = REGISTER_BASE + 5


@pytest.fixture
def forged() -> Forgery:
    return forgery(sample_run())


def the_exit(forged: Forgery) -> int:
    """Its row."""
    return forged.row("ecall", exit=1)


@pytest.mark.parametrize("number", [93, 94])
@pytest.mark.parametrize("code", [0, 1, 0xFFFF_FFFF])
def test_both_calls_and_every_code(number: int, code: int) -> None:
    run = execute(assemble([("li", "a7", number), ("li", "a0", code), ("ecall",)]))
    assert run.exit_code == code
    assert forgery(run).refusals() == set()
    assert forgery(run, exit_code=code ^ 1).refusals() == {"bus state"}


@pytest.mark.parametrize("number", [0, 64, 92, 95, 214, 4096, P - 93])
def test_no_other_call_ends_the_run(forged: Forgery, number: int) -> None:
    forged.write("ecall", the_exit(forged), a7=number, **products_at(number))
    assert forged.refusals() == {"ecall: exit has number 93 or 94", "bus memory"}


def test_only_an_ecall_ends_the_run(forged: Forgery) -> None:
    """Put the exit one instruction earlier, where the program says something else."""
    row = the_exit(forged)
    time = forged.cell("ecall", row, "t") - 4
    forged.add("ecall", row, pc=-4)
    forged.write("ecall", row, t=time, t_a1=time, t_a2=time, t_journal=time)
    assert {"ecall: instruction", "bus state"} <= forged.refusals()


def test_times_and_code_are_tied(forged: Forgery) -> None:
    row = the_exit(forged)
    for name in ("t_a7", "t_a0"):
        forged.write("ecall", row, **{name: forged.cell("ecall", row, "t")})
        assert f"ecall: {name[2:]} is later" in forged.refusals()
    forged = forgery(sample_run(), exit_code=3)
    forged.write("ecall", row, a0=3, result=3, next_pc=LAST_PC + 3, descriptor=6)
    assert forged.refusals() == {"bus memory"}


def test_padding_can_not_exit(forged: Forgery) -> None:
    row = forged.copy_row("ecall", the_exit(forged))
    forged.write("ecall", row, exit=0)
    neutral = {f"ecall: {name} keeps its time unless live" for name in ("a7", "a0")}
    assert forged.refusals() == {*neutral, "ecall: next pc", "ecall: next time", "bus memory", "bus state"}
    # As neutral as it must be, it takes no state.
    time, pc = (forged.cell("ecall", row, name) for name in ("t", "pc"))
    forged.write("ecall", row, t_a7=time, t_a0=time, next_pc=pc, next_t=time)
    assert forged.refusals() == set()


def test_the_exit_code_is_a0(forged: Forgery) -> None:
    """The state says another code, and the verifier is told it."""
    lie = forgery(sample_run(), exit_code=3)
    lie.write("ecall", the_exit(lie), next_pc=LAST_PC + 3)
    assert lie.refusals() == {"ecall: next pc"}
    # a0 itself is said to be another, and nobody reads it any more.
    row = the_exit(forged)
    forged.pass_on(REGISTER_BASE + 10, forged.cell("ecall", row, "t"), 3)
    forged.write("ecall", row, result=3)
    assert forged.refusals() == {"ecall: exit keeps a0"}


def test_an_exit_does_not_go_on(forged: Forgery) -> None:
    row = the_exit(forged)
    time, pc = (forged.cell("ecall", row, name) for name in ("t", "pc"))
    forged.write("ecall", row, next_pc=pc + 4, next_t=time + 4)
    assert forged.refusals() == {"ecall: next pc", "ecall: next time", "bus state"}


def test_another_call_does_not_end(forged: Forgery) -> None:
    """A write leaves the last state: refused by its row, and two states are then the last."""
    row = forged.row("ecall", journal=1)
    forged.write("ecall", row, next_pc=LAST_PC + 7, next_t=LAST_TIME)
    assert forged.refusals() == {"ecall: next pc", "ecall: next time", "bus state"}


def test_nothing_is_executed_behind_the_end(forged: Forgery) -> None:
    """After the exit a row takes the last state as its own and ends in it again: the program has no instruction there."""
    row = forged.copy_row("jump", 0)
    time = forged.cell("jump", row, "t")
    forged.write("jump", row, pc=LAST_PC + 7, target=LAST_PC + 7, t=LAST_TIME, td=forged.cell("jump", row, "td") - time)
    assert {"jump: instruction", "bus state"} <= forged.refusals()


def test_a_code_that_is_no_word_would_be_a_pc(forged: Forgery) -> None:
    """With a0 = pc - 2^32 the last state would be one from which the program goes on: memory has no such value."""
    row, pc = the_exit(forged), sample_run().image.entry
    code = pc - LAST_PC
    descriptor = (code - 1) * (code - 2) * (code - 3) + 6
    forged.write("ecall", row, a0=code, result=code, next_pc=pc, descriptor=descriptor)
    assert forged.refusals() == {"bus memory", "bus state"}


def take_out(forged: Forgery, chip: str, row: int) -> None:
    """Erase a row with its accesses: whoever comes after them consumes what they consumed."""
    table = forged.tables[chip]
    cells = table.main[:, [row]]
    for pair in reversed([pair for pair in table.chip.air_buses.pairs if pair.receive and pair.receive.bus is MEMORY]):
        assert pair.receive
        assert pair.send
        code = straighten([*pair.receive.values, *pair.send.values])
        tuples = evaluate_columns(code, cells, np.zeros((0, 1), np.uint64))
        address, before, previous, _, value, time = (int(column[0]) for column in tuples)
        if time == previous:
            continue  # a pair that is neutral
        if value != before:
            forged.pass_on(address, time, before)
        forged.follow(address, time, previous)
    forged.erase(chip, row)


def test_a_jump_out_of_the_program_is_no_exit() -> None:
    """A run without a call that ends it: it jumps to 2^32, which a row of the jump could say, as if it exited with code 0."""
    items: list[Item] = [("lui", "t0", TEXT >> 12), ("jalr", "zero", "t0", 8), ("li", "a0", 0), *EXIT]
    forged = forgery(execute(assemble(items)))
    assert forged.refusals() == set()
    take_out(forged, "ecall", 0)
    for row in reversed(range(forged.tables["add_immediate"].used)):
        if forged.cell("add_immediate", row, "rd") != T0:
            take_out(forged, "add_immediate", row)
    loads = forged.row("add_immediate", rd=T0)
    forged.program(forged.cell("add_immediate", loads, "pc"), imm=0xFFFF_FFF8)
    forged.write("add_immediate", loads, imm=0xFFFF_FFF8, vd=0xFFFF_FFF8, vd_low=0xFFF8)
    forged.spread(T0, forged.cell("add_immediate", loads, "t") + 3, 0xFFFF_FFF8)
    assert forged.refusals() == {"bus state"}
    # It is the time that is wrong: no jump arrives at LAST_TIME.
    time = forged.cell("jump_register", 0, "t") + 4
    start, _, *others = forged.closings
    forged.closings = (start, closing(STATE, (LAST_PC, time), sent=False), *others)
    assert forged.refusals() == set()
