"""The program break."""

from __future__ import annotations

from functools import cache

import pytest

from tests.forge import Forgery, forgery
from tests.riscv.chips.memory_rows import shape
from zkvm.riscv.chips.brk import BrkChip
from zkvm.riscv.isa import opcodes
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.stark.field.goldilocks import P

CHIP = BrkChip()
A0 = opcodes.REGISTER_BASE + 10


@cache
def calls() -> Execution:
    """Below, at, inside, at the other end of, and above the heap; each result is overwritten, not read."""
    image = assemble([*EXIT], bss=8)
    start, limit = image.heap_start, image.heap_limit
    items: list[Item] = [("li", "a7", 214)]
    for asked in (0, start - 1, start, start + 5, limit, limit + 1, start + 16, 0xFFFF_FFFF, 0):
        items += [("li", "a0", asked), ("ecall",)]
    run = execute(assemble([*items, ("li", "a0", 0), *EXIT], bss=8))
    assert (run.image.heap_start, run.image.heap_limit) == (start, limit)
    return run


@pytest.fixture
def forged() -> Forgery:
    return forgery(calls())


def test_shape() -> None:
    assert shape(CHIP) == (16, 6, 10, 42)


def test_results(forged: Forgery) -> None:
    assert forged.refusals() == set()
    start, limit = calls().image.heap_start, calls().image.heap_limit
    expected = [start, start, start, start + 5, limit, limit, start + 16, start + 16, start + 16]
    assert forged["brk.after"][:9].tolist() == expected


def result(forged: Forgery, row: int, value: int) -> None:
    """Claim another break; tell the next writers of a0 and of the break."""
    time = forged.cell("brk", row, "t")
    forged.pass_on(A0, time, value)
    forged.write("brk", row, after=value)


@pytest.mark.parametrize(("row", "kind"), [(0, "below"), (1, "below"), (5, "above"), (7, "above"), (8, "below")])
def test_out_of_range_can_not_move_the_break(row: int, kind: str) -> None:
    """Claim 'inside' with each difference as well written as it can be."""
    forged = forgery(calls())
    asked, start, limit = (forged.cell("brk", row, name) for name in ("a0", "heap_start", "heap_limit"))
    forged.write("brk", row, **{kind: 0}, inside=1, first=asked - start, first_low=(asked - start) % P % (1 << 16))
    forged.write("brk", row, second_low=(limit - asked) % P % (1 << 16))
    result(forged, row, asked)
    label = "brk: first: high limb" if kind == "below" else "brk: limit - asked: high limb"
    assert label in forged.refusals()
    # A difference that is another word is refused by its definition.
    forged.write("brk", row, first=0, first_low=0)
    assert "brk: inside: first is asked - start" in forged.refusals() or kind == "above"


@pytest.mark.parametrize("kind", ["below", "above"])
@pytest.mark.parametrize("row", [2, 3, 4, 6])
def test_in_range_must_move_the_break(row: int, kind: str) -> None:
    forged = forgery(calls())
    asked, start, limit = (forged.cell("brk", row, name) for name in ("a0", "heap_start", "heap_limit"))
    first = start - asked - 1 if kind == "below" else asked - limit - 1
    forged.write("brk", row, **{kind: 1}, inside=0, first=first, first_low=first % P % (1 << 16))
    forged.write("brk", row, after=forged.cell("brk", row, "break_"))
    assert "brk: first: high limb" in forged.refusals()
    forged.write("brk", row, first_low=first)
    assert "brk: first: low limb" in forged.refusals()


def test_result_is_asked_or_the_old_break(forged: Forgery) -> None:
    result(forged, 3, forged.cell("brk", 3, "a0") + 4)
    assert {"brk: inside moves the break"} <= forged.refusals()
    forged = forgery(calls())
    result(forged, 5, forged.cell("brk", 5, "a0"))
    assert {"brk: outside keeps the break"} <= forged.refusals()


def test_flags(forged: Forgery) -> None:
    forged.write("brk", 3, below=1)
    assert "brk: at most one operation" in forged.refusals()
    forged.write("brk", 3, below=0, inside=0)
    assert "brk: a0 keeps its time unless live" in forged.refusals()


def test_number_and_bounds_are_read(forged: Forgery) -> None:
    forged.add("brk", 4, heap_limit=16)
    assert "bus memory" in forged.refusals()
    forged = forgery(calls())
    forged.add("brk", 0, heap_start=-16)
    assert "bus memory" in forged.refusals()
    pairs = {pair.label: pair for pair in CHIP.air_buses.pairs}
    for name in ("heap_start", "heap_limit"):
        pair = pairs[f"{name} access"]
        assert pair.receive is not None
        assert pair.send is not None
        assert pair.receive.values[1] is pair.send.values[1]
