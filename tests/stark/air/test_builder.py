"""What a chip may not say: each mistake is refused when the chip is read, before any proof."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from tests.toy import MAX_ROWS, TOY, StepChip
from zkvm.stark.air.builder import MAX_DEGREE, MAX_POWER, AirBuilder, Argument, Bus, BusBuilder, PowerSum
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell, limb, word
from zkvm.stark.air.expression import MAIN, PARAM, PRE, Operand, column
from zkvm.stark.air.layout import EXTENSION
from zkvm.stark.air.machine import Machine, chip_code
from zkvm.stark.air.table import closing
from zkvm.stark.protocol.params import parameters
from zkvm.stark.protocol.shape import ProofShape

THREADS = 4
PAIRS = Bus("pairs", 1, 2, Argument.PRODUCT, "(a, b)")
LOOKUPS = Bus("lookups", 2, 1, Argument.LOGUP, "(a)")
SUMS = Bus("sums", 3, 1, Argument.SUM, "(a)", power=9)
X, Y = column(MAIN, 0), column(MAIN, 1)


def chip_of(lookup_counts: int = 0, **attributes: object) -> Chip:
    """A chip with one column and that many lookups."""

    class Small(Chip):
        name = "small"
        columns = Columns(x=cell("anything"))

        def constraints(self, air: AirBuilder, row: Row) -> None:
            pass

        def interactions(self, buses: BusBuilder, row: Row) -> None:
            for number in range(lookup_counts):
                buses.lookup(f"lookup {number}", LOOKUPS, (row.x,), row.x)

        def rows(self, execution: object) -> int:
            return 1

        def fill(self, execution: object, trace: Trace) -> None:
            pass

    for name, value in attributes.items():
        setattr(Small, name, value)
    return Small()


def test_a_constraint_above_degree_three() -> None:
    air = AirBuilder()
    air.assert_zero("fits", X * X * X)
    with pytest.raises(ValueError, match="too high: degree 4 exceeds 3"):
        air.assert_zero("too high", X * X * X * X)
    with pytest.raises(ValueError, match="degree 4"):
        air.assert_bool("too high a flag", X * X)


def test_two_constraints_of_one_name() -> None:
    air = AirBuilder()
    air.assert_bool("flag", X)
    with pytest.raises(ValueError, match="two constraints are called 'flag'"):
        air.assert_equal("flag", X, Y)


def test_assertions_say_what_they_mean() -> None:
    air = AirBuilder()
    air.assert_equal("five", X, 5)
    assert [constraint.label for constraint in air.constraints] == ["five"]
    assert air.constraints[0].expr.degree == 1


def test_a_bus_is_used_by_its_own_argument() -> None:
    buses = BusBuilder()
    with pytest.raises(ValueError, match="bus lookups is proven by logup"):
        buses.pair("wrong", LOOKUPS, receive=(X,), send=(Y,))
    with pytest.raises(ValueError, match="bus pairs is proven by product"):
        buses.lookup("wrong", PAIRS, (X, Y), 1)
    with pytest.raises(ValueError, match="bus pairs is proven by product"):
        buses.serve("wrong", PAIRS, (X, Y), X)


def test_a_tuple_has_the_arity_of_its_bus() -> None:
    buses = BusBuilder()
    with pytest.raises(ValueError, match="takes 2 values, not 1"):
        buses.receive_if("short", PAIRS, (X,), Y)
    with pytest.raises(ValueError, match="takes 1 values, not 2"):
        buses.lookup("long", LOOKUPS, (X, Y), 1)


def test_a_tuple_is_linear() -> None:
    with pytest.raises(ValueError, match="linear"):
        BusBuilder().send_if("square", PAIRS, (X * X, Y), X)


def test_a_bus_has_as_many_values_as_a_machine_may_have_powers_of_beta() -> None:
    assert Bus("wide", 3, MAX_POWER, Argument.LOGUP, "much").arity == MAX_POWER
    for arity in (0, MAX_POWER + 1):
        with pytest.raises(ValueError, match=f"bus wide: arity {arity} is not within 1 and 127"):
            Bus("wide", 3, arity, Argument.LOGUP, "too much")
    for power in (-1, MAX_POWER + 1):
        with pytest.raises(ValueError, match=f"power {power} is not within 0 and 127"):
            Bus("steep", 3, 1, Argument.SUM, "too much", power=power)
    with pytest.raises(ValueError, match="only coefficients of a sum"):
        Bus("lookups", 3, 1, Argument.LOGUP, "no sum", power=1)


def test_powers_are_what_the_buses_of_a_machine_need() -> None:
    """The most values of a tuple, or the largest power of a coefficient; terminals stand behind them."""
    for bus, expected in (
        (Bus("wide", 3, 20, Argument.LOGUP, ""), (20, 0, 20)),
        (Bus("steep", 3, 2, Argument.SUM, "", power=30), (2, 30, 30)),
        (Bus("both", 3, 36, Argument.SUM, "", power=30), (36, 30, 36)),
    ):

        def interactions(self: Chip, buses: BusBuilder, row: Row, bus: Bus = bus) -> None:
            if bus.argument is Argument.SUM:
                buses.contribute("sum", bus, (row.x,) * bus.arity, [(bus.power, row.x)])
            else:
                buses.lookup("lookup", bus, (row.x,) * bus.arity, row.x)

        own = Machine("m", (chip_of(interactions=interactions),), MAX_ROWS)
        assert (own.arity, own.largest_power, own.powers) == expected
        constants = {a for kind, a, _ in own.codes[0].straight.nodes if kind == PARAM}
        assert max(constants) == 3 * (1 + own.powers) + 2
        with pytest.raises(ValueError, match=f"small: its buses need {own.powers} powers of beta, not {own.powers - 1}"):
            chip_code(own.chips[0], own.powers - 1)


def test_a_sum_takes_contributions_only() -> None:
    buses = BusBuilder()
    for wrong in (LOOKUPS, PAIRS):
        with pytest.raises(ValueError, match=f"bus {wrong.name} is proven by"):
            buses.contribute("wrong", wrong, (X,) * wrong.arity, [(0, X)])
    with pytest.raises(ValueError, match="wrong: bus sums is proven by sum"):
        buses.lookup("wrong", SUMS, (X,), 1)
    with pytest.raises(ValueError, match="wrong: bus sums is proven by sum"):
        buses.serve("wrong", SUMS, (X,), X)
    with pytest.raises(ValueError, match="bus sums is proven by sum"):
        buses.send_if("wrong", SUMS, (X,), X)
    with pytest.raises(ValueError, match="bus sums: the verifier contributes to no sum"):
        closing(SUMS, (1,), sent=True)


@pytest.mark.parametrize(
    ("key", "factors", "message"),
    [
        ((X, Y), ([(0, X)],), "takes 1 values, not 2"),
        ((X * Y,), ([(0, X)],), "a tuple must be linear"),
        ((X,), (), "one to 3 factors, not 0"),
        ((X,), ([(0, X)],) * (MAX_DEGREE + 1), "one to 3 factors, not 4"),
        ((X,), ([(0, X * Y)],), "a factor must be linear"),
        ((X,), ([(0, X)], []), "the powers of a factor are"),
        ((X,), ([(-1, X)],), r"the powers of a factor are \[-1\]"),
        ((X,), ([(2, X), (2, Y)],), r"the powers of a factor are \[2, 2\]"),
        ((X,), ([(0, X), (10, Y)],), r"beta\^10 in a coefficient, but bus sums has powers up to 9"),
        ((X,), ([(4, X)], [(3, X)], [(3, X)]), r"beta\^10 in a coefficient"),
    ],
)  # fmt: skip
def test_what_is_no_contribution(key: tuple[Operand, ...], factors: tuple[PowerSum, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BusBuilder().contribute("wrong", SUMS, key, *factors)


def test_a_contribution_keeps_its_structure() -> None:
    buses = BusBuilder()
    buses.contribute("flag times sum", SUMS, (X,), [(0, X), (8, Y)], [(1, 1)], [(0, X - 1)])
    (own,) = buses.contributions
    assert [[power for power, _ in factor] for factor in own.factors] == [[0, 8], [1], [0]]
    assert own.degree == 2
    assert buses.buses == {SUMS}


def test_a_count_of_too_high_degree() -> None:
    """Two lookups share a column, so a count may have degree 2 and no more."""

    def interactions(self: Chip, buses: BusBuilder, row: Row) -> None:
        buses.lookup("one", LOOKUPS, (row.x,), row.x)
        buses.lookup("two", LOOKUPS, (row.x,), row.x * row.x * row.x)

    with pytest.raises(ValueError, match=r"degree above 3 in \['sum advances \[0\]"):
        chip_code(chip_of(interactions=interactions), 1)


def test_bus_ids_are_unique_and_not_zero() -> None:
    def uses(*buses_used: Bus) -> Machine:
        def interactions(self: Chip, buses: BusBuilder, row: Row) -> None:
            for number, bus in enumerate(buses_used):
                buses.lookup(f"lookup {number}", bus, (row.x,), row.x)

        return Machine("m", (chip_of(interactions=interactions),), MAX_ROWS)

    for bad in (
        uses(Bus("zero", 0, 1, Argument.LOGUP, "")),
        uses(LOOKUPS, Bus("another", LOOKUPS.id, 1, Argument.LOGUP, "")),
    ):
        with pytest.raises(ValueError, match="zero or used twice"):
            _ = bad.digest


def test_columns_have_names_and_widths() -> None:
    columns = Columns(flag=bit("a"), low=limb(14, "b"), value=word("c"), free=cell("d"))
    assert [columns[name].bits for name in columns] == [1, 14, 32, None]
    assert [columns.index(name) for name in columns] == [0, 1, 2, 3]
    row = Row(columns, Columns(entry=cell("e")))
    assert (row.low.kind, row.low.index) == (MAIN, 1)
    assert (row["entry"].kind, row["entry"].index) == (PRE, 0)
    with pytest.raises(AttributeError, match="no column 'missing'"):
        _ = row.missing
    with pytest.raises(ValueError, match="declared twice"):
        Row(columns, Columns(flag=bit("again")))


def test_fillers_make_room_for_random_starts() -> None:
    """One running column needs three main cells; a filler is zero on active rows by constraint."""
    chip = chip_of(lookup_counts=1)
    assert list(chip.main) == ["x", "filler_0", "filler_1"]
    assert [constraint.label for constraint in chip.air_constraints] == ["filler_0 is zero", "filler_1 is zero"]
    assert list(chip_of(lookup_counts=0).main) == ["x"]
    enough = chip_of(1, columns=Columns(x=cell("a"), y=cell("b"), z=cell("c")))
    assert list(enough.main) == ["x", "y", "z"]


def test_the_digest_changes_with_every_part() -> None:
    """Name, order, presence rule, columns, constraints and tuples of a machine all enter its digest."""

    def interactions(self: Chip, buses: BusBuilder, row: Row) -> None:
        buses.lookup("lookup 0", LOOKUPS, (row.x + 1,), row.x)

    def constraints(self: Chip, air: AirBuilder, row: Row) -> None:
        air.assert_bool("flag", row.x)

    renamed = Bus("renamed", LOOKUPS.id, 1, Argument.LOGUP, "")

    def on_renamed(self: Chip, buses: BusBuilder, row: Row) -> None:
        buses.lookup("lookup 0", renamed, (row.x,), row.x)

    chips = [
        chip_of(1), chip_of(2), chip_of(1, mandatory=True), chip_of(1, name="other"), chip_of(interactions=interactions),
        chip_of(1, constraints=constraints), chip_of(1, columns=Columns(x=cell("a"), y=cell("b"), z=cell("c"), u=cell("d"))),
        chip_of(1, preprocessed=Columns(p=cell("entry"))), chip_of(interactions=on_renamed),
    ]  # fmt: skip
    machines = [Machine("m", (chip,), MAX_ROWS) for chip in chips]
    machines += [Machine("n", (chip_of(1),), MAX_ROWS), TOY, Machine(TOY.name, TOY.chips[::-1], MAX_ROWS)]
    digests = [machine.digest for machine in machines]
    assert len(set(digests)) == len(digests)
    assert Machine("m", (chip_of(1),), MAX_ROWS).digest == digests[0]


def test_only_what_is_asked_for_is_derived() -> None:
    """A machine whose digest is written down derives the tables of a proof and no others, and each once."""
    digest = bytes(range(32))
    own = replace(TOY, written=digest)
    assert own.digest == digest
    shape = ProofShape(own, parameters("fast", 100), (0, 9, 0))
    assert [table.code.chip.name for table in shape.tables] == [TOY.chips[1].name]
    assert list(vars(own)["_derived"]) == [1]
    assert own.code(1) is shape.tables[0].code
    assert [code.text for code in own.codes] == [code.text for code in TOY.codes]


def test_closings_hold_tuples_of_their_bus() -> None:
    assert closing(PAIRS, sent=True).values.shape == (0, 2)
    assert closing(PAIRS, (1, 2), (3, 4), sent=False).values.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="reshape"):
        closing(PAIRS, (1, 2, 3), sent=True)


def test_code_of_a_chip_names_every_constraint_once() -> None:
    code = chip_code(StepChip(), TOY.powers)
    labels = code.body.labels
    assert len(set(labels)) == len(labels) == len(code.body.groups)
    assert len(code.groups) == len(code.straight.outputs) == len(labels) + EXTENSION * len(code.plan.running)


def test_threads_that_derive_at_once_get_the_same_code() -> None:
    """Tapes are kept with a code: with two of them, one thread would miss what another has made."""
    start = Barrier(THREADS)

    def derived(own: Machine) -> list[int]:
        start.wait()
        return [id(code) for code in own.codes]

    with ThreadPoolExecutor(THREADS) as threads:
        for _ in range(20):
            own = replace(TOY)
            assert len({tuple(ids) for ids in threads.map(derived, [own] * THREADS)}) == 1
            assert not vars(replace(own))["_derived"]
