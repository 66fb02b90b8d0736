"""read, write, and the calls that fail; tests of exit are in test_exit.py."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.forge import Forgery, RowModel, forgery
from tests.riscv.chips.call_rows import products_at
from tests.riscv.chips.memory_rows import shape
from tests.sample import sample_run
from zkvm.riscv.chips.buses import PROGRAM
from zkvm.riscv.chips.ecall import FLAGS, SERVED, EcallChip
from zkvm.riscv.isa import calls, opcodes
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.stark.air.builder import Lookup
from zkvm.stark.air.check import check_rows
from zkvm.stark.air.expression import CONST
from zkvm.stark.field.goldilocks import P

CHIP = EcallChip()
DATA = 0x80_0000
NUMBERS = (0, 1, 62, 63, 64, 65, 92, 95, 213, 215, 4095, 4096, 4100, 0xFFFF_FFFF)
DESCRIPTORS = (0, 1, 2, 3, 4, 5, 0xFFFF_FFFF)


@cache
def every_call() -> Execution:
    """Every number with every descriptor, four bytes each: the last result is kept in no register, only in the records."""
    items: list[Item] = []
    for number in NUMBERS:
        for descriptor in DESCRIPTORS:
            items += [("li", "a7", number), ("li", "a0", descriptor), ("li", "a1", DATA), ("li", "a2", 4), ("ecall",)]
    return execute(assemble([*items, *EXIT], data=bytes(range(8))), b"abcdefghij")


@pytest.fixture
def forged() -> Forgery:
    return forgery(every_call())


def test_shape() -> None:
    assert shape(CHIP) == (42, 7, 8, 55)


def test_results() -> None:
    """The executor's results, which the tables prove, against a table of what the ABI says."""
    run = every_call()
    delivered = [4, 4, 2, 0]
    for call in run.ecalls[:-1]:
        number, descriptor = int(call["a7"]), int(call["a0"])
        if number == 63:
            expected = delivered.pop(0) if descriptor == 0 else calls.EBADF
        elif number == 64:
            expected = 4 if descriptor in (1, 2, 3) else calls.EBADF
        elif number == 4096:
            expected = int(np.sum(np.concatenate([run.steps["time"], run.ecalls["time"]]) < call["time"]))
        else:
            expected = calls.ENOSYS
        assert int(call["result"]) == expected
    assert forgery(run).refusals() == set()


def test_kinds_are_exclusive_and_cover(forged: Forgery) -> None:
    used = forged.tables["ecall"].used
    flags = np.stack([forged[f"ecall.{name}"][:used] for name in FLAGS])
    assert (flags.sum(axis=0) == 1).all()
    assert flags.any(axis=1).all()


def test_the_list_of_served_numbers_is_complete() -> None:
    """Every chip that looks ECALL up proves calls of this list, and 'unknown' excludes all of it."""
    users = {chip.name for chip in machine().chips for lookup in chip.air_buses.lookups if _asks_for_ecall(lookup)}
    assert users == {
        "ecall",
        "brk",
        "tensor_call",
        "tensor_combine_call",
        "tensor_depthwise_call",
        "tensor_absorb_call",
        "permute",
        "blake3_call",
    }
    assert set(SERVED) == {63, 64, 93, 94, 214, 4096, 4097, 4098, 4099}


def _asks_for_ecall(lookup: Lookup) -> bool:
    item = lookup.message
    return item.bus is PROGRAM and item.values[1].kind == CONST and item.values[1].index == opcodes.ECALL


def reasons(claimed: str, number: int, fd: int) -> set[str]:
    """What refuses a call with this number and this a0 as a call of the claimed kind."""
    is_read, is_write = ("read calls have number 63", number == 63), ("write calls have number 64", number == 64)
    conditions = {
        "read": [is_read, ("read is from fd 0", fd == 0)],
        "journal": [is_write, ("journal is fd 3", fd == 3)],
        "output": [is_write, ("output is fd 1 or 2", fd in (1, 2))],
        "bad_read": [is_read, ("a bad read is not from fd 0", fd != 0)],
        "bad_write": [is_write, ("a bad write is not to fd 1, 2 or 3", fd not in (1, 2, 3))],
        "cycles": [("cycles has number 4096", number == 4096)],
        "unknown": [("an unknown number is none that is served", number not in SERVED)],
        "exit": [("exit has number 93 or 94", number in (93, 94))],
    }
    return {label for label, holds in conditions[claimed] if not holds}


def refusing(rows: RowModel, main: NDArray[np.uint64]) -> set[str]:
    """Labels of the constraints that a row violates, and of its lookups that no table answers."""
    pre = np.zeros((0, 1), np.uint64)
    found = {own.label for own, fails in zip(rows.constraints, rows.violated(main, pre), strict=True) if fails[0]}
    return found | {lookup.label for number, lookup in enumerate(rows.lookups) if rows.unanswered(number, main, pre)[0]}


def claim(forged: Forgery, row: int, claimed: str) -> None:
    """Say that a row is another kind of call, with the best witness: the inverse of whatever must not be 0, where it has one."""
    number, fd, length, count, time, pc = (forged.cell("ecall", row, name) for name in ("a7", "a0", "a2", "count", "t", "pc"))
    nonzero = {
        "unknown": np.prod([(number - served) % P for served in SERVED], dtype=object) % P,
        "bad_read": fd,
        "bad_write": (fd - 1) * (fd - 2) * (fd - 3) % P,
    }.get(claimed, 1)
    cycles = (time - opcodes.FIRST_TIME) // opcodes.TIME_STEP
    results = {"read": count, "journal": length, "output": length, "cycles": cycles, "unknown": calls.ENOSYS, "exit": fd}
    result = results.get(claimed, calls.EBADF)
    count = {"read": count, "journal": length}.get(claimed, 0)
    pointer = forged.cell("ecall", row, "journal_pointer")
    after = pointer + count if claimed == "journal" else pointer
    ends = claimed == "exit"
    times = {"t_a1": time - 1 + ends, "t_a2": time - 1 + ends, "t_journal": time - (claimed == "journal")}
    state = {"next_pc": opcodes.LAST_PC + fd, "next_t": opcodes.LAST_TIME} if ends else {"next_pc": pc + 4, "next_t": time + 4}
    forged.write("ecall", row, **dict.fromkeys(FLAGS, 0) | {claimed: 1})
    witness = (length - count) % (1 << 16) if claimed == "read" else pow(int(nonzero), P - 2, P)
    forged.write("ecall", row, result=result, count=count, pointer_after=after, witness=witness, **times, **state)


@pytest.mark.parametrize("claimed", FLAGS)
def test_no_call_passes_for_another_kind(claimed: str) -> None:
    """Rows of every kind claim another: number and descriptor refuse it, and nothing else of the chip does."""
    forged = forgery(every_call())
    table, rows = forged.tables["ecall"], RowModel(CHIP, machine().chips, forged.image)
    ending = forged.row("ecall", exit=1)
    for row in (*range(0, ending, 3), ending):
        before = table.main[:, row].copy()
        if forged.cell("ecall", row, claimed):
            continue
        claim(forged, row, claimed)
        expected = reasons(claimed, forged.cell("ecall", row, "a7"), forged.cell("ecall", row, "a0"))
        assert expected, (row, claimed)
        assert refusing(rows, table.main[:, [row]]) == expected, (row, claimed)
        table.main[:, row] = before


@pytest.mark.parametrize("kinds", list(combinations(FLAGS, 2)), ids="-".join)
def test_no_call_is_of_two_kinds(forged: Forgery, kinds: tuple[str, str]) -> None:
    for kind, other in (kinds, kinds[::-1]):
        row = forged.row("ecall", **{kind: 1})
        forged.write("ecall", row, **{other: 1})
        assert "at most one operation" in violated(forged)
        # Two that cancel each other would be no call.
        forged.write("ecall", row, **{other: -1})
        assert f"{other} is boolean" in violated(forged)
        forged.write("ecall", row, **{other: 0})
        assert not violated(forged)


@pytest.mark.parametrize("kind", FLAGS)
def test_a_call_of_no_kind_does_nothing(forged: Forgery, kind: str) -> None:
    """A row without a flag that does anything is refused; with all of it taken away, the call is not made."""
    row = forged.row("ecall", **{kind: 1})
    forged.write("ecall", row, **{kind: 0})
    live = {"a7", "a0"} | (set() if kind == "exit" else {"a1", "a2"}) | ({"journal_pointer"} if kind == "journal" else set())
    expected = {f"{name} keeps its time unless live" for name in live} | {"next pc", "next time"}
    assert violated(forged) - OF_VALUES == expected
    time, pc, value, pointer = (forged.cell("ecall", row, name) for name in ("t", "pc", "a0", "journal_pointer"))
    times = dict.fromkeys(("t_a7", "t_a0", "t_a1", "t_a2", "t_journal", "next_t"), time)
    forged.write("ecall", row, next_pc=pc, result=value, count=0, pointer_after=pointer, **times)
    assert {"bus state", "bus memory"} <= forged.refusals() <= {"bus state", "bus memory", "bus chain"}


OF_VALUES = {"a0 keeps its value unless live", "journal_pointer keeps its value unless live", "only read and journal move bytes"}


def violated(forged: Forgery) -> set[str]:
    """Labels of the chip's constraints that its rows violate."""
    return {failure.label for failure in check_rows(forged.tables["ecall"])}


@pytest.mark.parametrize(
    ("name", "label"), [("read", "read returns count"), ("journal", "write returns len"), ("output", "write returns len")]
)
def test_the_result_is_a_function(name: str, label: str) -> None:
    forged = forgery(every_call())
    row = forged.row("ecall", **{name: 1})
    value = forged.cell("ecall", row, "result") + 1
    forged.pass_on(opcodes.REGISTER_BASE + 10, forged.cell("ecall", row, "t"), value)
    forged.write("ecall", row, result=value)
    assert forged.refusals() == {f"ecall: {label}"}


@pytest.mark.parametrize("result", [0, calls.ENOSYS - 1, calls.EBADF])
def test_unknown_calls_return_enosys(forged: Forgery, result: int) -> None:
    row = forged.row("ecall", unknown=1, a7=95)
    forged.pass_on(opcodes.REGISTER_BASE + 10, forged.cell("ecall", row, "t"), result)
    forged.write("ecall", row, result=result)
    assert forged.refusals() == {"ecall: an unknown number returns -ENOSYS"}


def test_a_read_delivers_at_most_len() -> None:
    """One byte more than asked, with a chain row that moves it: only len - count objects."""
    items: list[Item] = [("li", "a7", 63), ("li", "a0", 0), ("li", "a1", DATA), ("li", "a2", 3), ("ecall",), ("li", "a0", 0), *EXIT]
    forged = forgery(execute(assemble(items, data=bytes(8)), b"abcd"))
    forged.add("read_rows", 0, left=1, mask_3=1, new_3=7)
    row = forged.row("ecall", read=1)
    forged.add("ecall", row, count=1, result=1)
    forged.pass_on(opcodes.REGISTER_BASE + 10, forged.cell("ecall", row, "t"), 4)
    forged.pass_on(DATA, forged.cell("ecall", row, "t") + 1, 0x0763_6261)
    assert forged.refusals() == {"ecall: len - count: high limb"}
    forged.write("ecall", row, witness=P - 1)
    assert forged.refusals() == {"ecall: len - count: low limb"}


def test_a_read_may_deliver_less() -> None:
    """The prover is free to end the input earlier: that is the one choice it has."""
    items: list[Item] = [("li", "a7", 63), ("li", "a0", 0), ("li", "a1", DATA), ("li", "a2", 3), ("ecall",), ("li", "a0", 0), *EXIT]
    forged = forgery(execute(assemble(items, data=bytes(8)), b"abcd"))
    forged.add("read_rows", 0, left=-1, mask_2=-1)
    forged.write("read_rows", 0, new_2=0)
    row = forged.row("ecall", read=1)
    forged.add("ecall", row, count=-1, result=-1, witness=1)
    forged.pass_on(opcodes.REGISTER_BASE + 10, forged.cell("ecall", row, "t"), 2)
    forged.pass_on(DATA, forged.cell("ecall", row, "t") + 1, 0x0000_6261)
    assert forged.refusals() == set()


def test_the_journal_pointer_counts() -> None:
    forged = forgery(sample_run())
    rows = [row for row in range(forged.tables["ecall"].used) if forged.cell("ecall", row, "journal")]
    pointers = [(forged.cell("ecall", row, "journal_pointer"), forged.cell("ecall", row, "pointer_after")) for row in rows]
    assert pointers[0][0] == 0
    assert [after for _, after in pointers[:-1]] == [before for before, _ in pointers[1:]]
    assert pointers[-1][1] == len(sample_run().journal)
    forged.pass_on(opcodes.JOURNAL_POINTER, forged.cell("ecall", rows[-1], "t"), pointers[-1][1] - 1)
    forged.add("ecall", rows[-1], pointer_after=-1)
    assert forged.refusals() == {"ecall: journal pointer grows by count"}


def test_a_call_without_bytes_starts_no_chain(forged: Forgery) -> None:
    row = forged.row("ecall", unknown=1)
    forged.write("ecall", row, count=4)
    assert forged.refusals() == {"ecall: only read and journal move bytes", "bus chain"}


def test_cycles_is_the_number_of_instructions_before(forged: Forgery) -> None:
    """Any other number is refused by the one line that says so."""
    row = forged.row("ecall", cycles=1)
    time, honest = forged.cell("ecall", row, "t"), forged.cell("ecall", row, "result")
    assert 4 * honest + 4 == time
    for result in (0, honest - 1, honest + 1, calls.ENOSYS):
        forged.pass_on(opcodes.REGISTER_BASE + 10, time, result)
        forged.write("ecall", row, result=result)
        assert forged.refusals() == {"ecall: cycles returns the instructions before it"}


SERVED_ELSEWHERE = (calls.TENSOR, calls.PERMUTE, calls.BLAKE3, calls.EXIT, calls.EXIT_GROUP)


@pytest.mark.parametrize("number", [call.number for call in (calls.CYCLES, *SERVED_ELSEWHERE)])
def test_a_served_number_is_no_unknown_one(forged: Forgery, number: int) -> None:
    """The inverse has no witness at a number that is served, whatever the prover puts there."""
    row = forged.row("ecall", cycles=1)
    forged.pass_on(opcodes.REGISTER_BASE + 10, forged.cell("ecall", row, "t"), calls.ENOSYS)
    forged.write("ecall", row, cycles=0, unknown=1, result=calls.ENOSYS)
    forged.write("ecall", row, a7=number, **products_at(number))
    for inverse in (0, 1, P - 1, 1 << 32):
        forged.write("ecall", row, witness=inverse)
        others = set() if number == calls.CYCLES.number else {"bus memory"}
        assert forged.refusals() == {"ecall: an unknown number is none that is served", *others}


def test_unknown_numbers_have_an_inverse(forged: Forgery) -> None:
    row = forged.row("ecall", unknown=1)
    before = forged.cell("ecall", row, "witness")
    forged.write("ecall", row, witness=0)
    assert forged.refusals() == {"ecall: an unknown number is none that is served"}
    forged.write("ecall", row, witness=before)
    assert forged.refusals() == set()
