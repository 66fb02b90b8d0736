"""The constant table of ranges, bytes, conjunctions and powers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.forge import forgery
from tests.riscv.chips.memory_rows import shape
from tests.sample import sample_run
from zkvm.riscv.chips.buses import AND, BYTES, POWER, RANGE7, RANGE14, RANGE15, RANGE16
from zkvm.riscv.chips.range import HEIGHT, SLOT, VIEWS, RangeChip
from zkvm.stark.air.builder import Bus
from zkvm.stark.air.evaluate import evaluate_columns
from zkvm.stark.air.expression import straighten
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.params import EXEMPT_MAX

CHIP = RangeChip()
PRE = {name: np.zeros(HEIGHT, np.uint64) for name in CHIP.preprocessed}
CHIP.fill_preprocessed(sample_run().image, PRE)
MATRIX = np.stack(list(PRE.values()))
ALL: list[tuple[int, ...]] = [(x, y) for y in range(256) for x in range(256)]
CONTENT: dict[Bus, list[tuple[int, ...]]] = {
    RANGE16: [(v,) for v in range(1 << 16)],
    RANGE15: [(v,) for v in range(1 << 15)],
    RANGE14: [(v,) for v in range(1 << 14)],
    RANGE7: [(v,) for v in range(1 << 7)],
    BYTES: ALL,
    AND: [(x, y, x & y) for y in range(256) for x in range(256)],
    POWER: [(s, 1 << s) for s in range(32)],
}


def test_shape() -> None:
    assert shape(CHIP) == (0, 0, 14, 35)
    assert CHIP.mandatory
    assert set(CHIP.serves) == set(CONTENT)
    assert SLOT + EXEMPT_MAX == HEIGHT


@pytest.mark.parametrize("bus", list(CONTENT), ids=lambda bus: bus.name)
def test_a_view_holds_each_of_its_tuples_once_and_nothing_else(bus: Bus) -> None:
    """Evaluated from the tuples and the preprocessed factors of the counts, with every multiplicity 1."""
    served = []
    ones = np.ones((len(CHIP.main), HEIGHT), np.uint64)
    for lookup in CHIP.air_buses.lookups:
        if lookup.message.bus is bus:
            *values, counts = evaluate_columns(straighten([*lookup.message.values, lookup.count]), ones, MATRIX)
            assert set(counts.tolist()) <= {0, 1}
            assert not counts[SLOT:].any()  # rows that may be random hold nothing
            served += list(zip(*(value[counts == 1].tolist() for value in values), strict=True))
    assert sorted(served) == sorted(CONTENT[bus])


@pytest.mark.parametrize("bus", list(CONTENT), ids=lambda bus: bus.name)
def test_each_tuple_is_counted_where_it_is(bus: Bus) -> None:
    content = np.array(CONTENT[bus], np.uint64)
    found = np.zeros(len(content), int)
    stem = next(stem for view, stem, _, _ in VIEWS if view is bus)
    for column, rows, mask in CHIP.serve_row(sample_run().image, bus, list(content.T)):
        found += mask
        slot = column.rsplit("_", 1)[1]
        assert column == f"{stem}_count_{slot}"
        value = PRE[f"x_{slot}"][rows[mask]] + np.uint64(256) * PRE[f"y_{slot}"][rows[mask]]
        first = content[mask, 0] + (np.uint64(256) * content[mask, 1] if bus in (BYTES, AND) else np.uint64(0))
        assert np.array_equal(value, first)
    assert (found == 1).all()


@pytest.mark.parametrize(
    ("bus", "values"),
    [
        (RANGE16, (1 << 16,)), (RANGE16, (P - 1,)), (RANGE15, (1 << 15,)), (RANGE15, (SLOT + EXEMPT_MAX,)),
        (RANGE14, (1 << 14,)), (RANGE7, (128,)),
        (BYTES, (256, 0)), (BYTES, (0, 256)), (BYTES, (P - 256, 1)), (AND, (256, 0, 0)), (AND, (3, 5, 7)), (AND, (3, 5, 0)),
        (POWER, (32, 1 << 32)), (POWER, (1, 1)), (POWER, (33, 0)), (POWER, (P - 1, 0)), (POWER, (64, 1)),
    ],
)  # fmt: skip
def test_what_is_not_in_a_view(bus: Bus, values: tuple[int, ...]) -> None:
    served = CHIP.serve_row(sample_run().image, bus, [np.array([value], np.uint64) for value in values])
    assert not any(mask.any() for _, _, mask in served)


def test_padding_is_mute_under_smaller_parameter_sets() -> None:
    """With fewer exempt rows, active rows follow the table's last entry: their multiplicities count for nothing."""
    forged = forgery(sample_run())
    table = forged.tables["range"]
    table.active = HEIGHT - 120
    table.main[:, SLOT : table.active] = 5
    assert forged.refusals(recount=False) == set()
