"""The verifier's equations against their definitions: domains, selectors, folds, positions, and what it refuses to divide by."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import pytest

from tests.soundness.cheating import BALANCED, SQUARES_BUS, WIDE, honest_statement
from tests.toy import LAST, STATE
from zkvm.errors import RejectReason, VerificationError
from zkvm.riscv.machine import machine
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Closing, closing
from zkvm.stark.field import extension, goldilocks
from zkvm.stark.field.extension import ONE, ZERO, Ext, ext_add, ext_from_base, ext_inv, ext_mul, ext_pow, ext_scale, ext_sub, to_ext
from zkvm.stark.field.goldilocks import FieldArray, P, coset_shift, root_of_unity
from zkvm.stark.protocol.params import FOLDING, PARAMETERS, Parameters, parameters
from zkvm.stark.protocol.shape import BUS_TREE, MAIN_TREE, PREPROCESSED, ProofShape, tree_positions
from zkvm.stark.verifier.constraints import (
    admissible,
    check_buses,
    check_constraints,
    closing_fingerprints,
    combined_constraints,
    quotient_value,
    selectors,
    split_openings,
)
from zkvm.stark.verifier.fri import fold, fold_for_all, points_at
from zkvm.stark.verifier.lockstep import in_lockstep
from zkvm.stark.verifier.shape import check_presence, check_sums

SHAPE = ProofShape(WIDE, BALANCED, (11, 11, 15))
POINT: Ext = (3, 5, 7)
ALPHA: Ext = (11, 13, 17)
BETA: Ext = (19, 23, 29)


def refused(reason: RejectReason, detail: str = "") -> AbstractContextManager[object]:
    return pytest.raises(VerificationError, match=f"^{reason.value}: .*{detail}")


# --- domains -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", PARAMETERS, ids=lambda chosen: f"{chosen.name}-{chosen.security_bits}")
@pytest.mark.parametrize("height", [15, 16, 20, 24])
def test_points_of_the_domains_are_inadmissible(chosen: Parameters, height: int) -> None:
    shape = ProofShape(WIDE, chosen, (11, 11, height))
    size = shape.tallest * shape.parameters.blowup
    for power in (0, 1, shape.tallest - 1):
        assert not admissible(shape, ext_from_base(pow(root_of_unity(shape.tallest), power, P)))
    for power in (0, 1, size - 1):
        assert not admissible(shape, ext_from_base(coset_shift(shape.tallest) * pow(root_of_unity(size), power, P) % P))
    assert admissible(shape, POINT)
    assert admissible(shape, ext_from_base(7))


def test_a_point_of_a_domain_is_refused() -> None:
    openings = np.zeros((SHAPE.opening_count, 3), np.uint64)
    with refused(RejectReason.OOD, "lies in a domain"):
        in_lockstep([check_constraints(SHAPE, openings, [[ONE] * 3, [ONE], [ONE]], ALPHA, BETA, POINT, ONE)])


@pytest.mark.parametrize(("height", "exempt"), [(512, 468), (512, 120), (1024, 234)])
def test_selectors(height: int, exempt: int) -> None:
    """1 / Z of the active rows is the inverse product of X - w^i over exactly the rows [0, n - h)."""
    root = root_of_unity(height)
    product = ONE
    for row in range(height - exempt):
        product = ext_mul(product, ext_sub(POINT, ext_from_base(pow(root, row, P))))
    [(active, start, terminal), (other, _, _)] = in_lockstep([selectors([height, 2 * height], exempt, [POINT, BETA])])[0]
    assert ext_mul(active, product) == ONE
    assert [other] == [factors[0] for factors in in_lockstep([selectors([2 * height], exempt, [BETA])])[0]]
    assert ext_inv(start) == ext_sub(POINT, ext_from_base(pow(root, height - 1, P)))
    assert ext_inv(terminal) == ext_sub(POINT, ext_from_base(pow(root, height - exempt, P)))


@pytest.mark.parametrize("height", [1 << 9, 1 << 12, 1 << 15])
@pytest.mark.parametrize("blowup", [2, 4, 8])
def test_lifting_maps_positions_to_powers_of_their_points(height: int, blowup: int) -> None:
    """x^(N/n) at a position of the tall domain is the point at the folded position of the short one."""
    tallest = 1 << 15
    positions = np.random.default_rng(1).integers(0, blowup * tallest, 50)
    tall = points_at(tallest, blowup, coset_shift(tallest), positions)
    short = points_at(height, blowup, coset_shift(height), tree_positions(positions, tallest, height))
    assert np.array_equal(goldilocks.pow_(tall, tallest // height), short)


def test_fold_is_the_combination_of_the_eight_parts() -> None:
    """With f = sum_r X^r f_r(X^8), the fold of f's values is the codeword of sum_r beta^r f_r."""
    count, blowup, shift = 64, 4, coset_shift(1 << 15)
    coefficients = np.random.default_rng(2).integers(0, P, (count, 3), dtype=np.uint64)
    short = count // FOLDING
    indices = np.arange(blowup * short)
    base = indices // short * count + indices % short
    eighth_root = root_of_unity(FOLDING)
    x = points_at(count, blowup, shift, base)
    powers_of_root = [pow(eighth_root, m, P) for m in range(FOLDING)]
    leaves = np.stack([evaluate(coefficients, goldilocks.mul(x, np.uint64(power))) for power in powers_of_root], axis=1)
    parts = coefficients.reshape(short, FOLDING, 3)
    weights = extension.powers(BETA, FOLDING)
    folded = np.stack([extension.dot(part, weights) for part in parts])
    targets = points_at(short, blowup, pow(shift, FOLDING, P), indices)
    assert np.array_equal(fold(leaves, x, np.tile(extension.from_ext(BETA), (len(x), 1))), evaluate(folded, targets))
    assert np.array_equal(fold_for_all([(leaves, x, BETA)])[0], evaluate(folded, targets))


def evaluate(coefficients: FieldArray, points: FieldArray) -> FieldArray:
    """Horner: (c, 3) at (k,) to (k, 3)."""
    values = np.zeros((len(points), 3), np.uint64)
    for coefficient in coefficients[::-1]:
        values = extension.add(extension.mul_base(values, points), coefficient)
    return values


def test_quotient_value_joins_chunks_at_the_split() -> None:
    columns = [(0, 0, 0)] * 9
    length = SHAPE.tallest - (BALANCED.queries + 4)
    for chunk in range(3):
        for coordinate, basis in enumerate((ONE, extension.X, ext_mul(extension.X, extension.X))):
            alone = list(columns)
            alone[3 * chunk + coordinate] = (5, 0, 0)
            assert quotient_value(SHAPE, alone, POINT) == ext_scale(ext_mul(ext_pow(POINT, chunk * length), basis), 5)


def test_split_openings_gives_every_opening_one_place() -> None:
    openings = np.zeros((SHAPE.opening_count, 3), np.uint64)
    openings[:, 0] = np.arange(1, SHAPE.opening_count + 1)
    leaves, quotient = split_openings(SHAPE, openings)
    seen = [value[0] for columns in leaves for kind in columns.values() for value in kind if value != ZERO] + [
        value[0] for value in quotient
    ]
    assert sorted(seen) == list(range(1, SHAPE.opening_count + 1))
    by_table = [table.code.widths for table in SHAPE.tables]
    assert [len(columns[kind]) for columns in leaves for kind in sorted(columns)][:2] == [by_table[0][MAIN_TREE], by_table[0][PREPROCESSED]]
    assert len(quotient) == 9
    assert sum(width[BUS_TREE] for width in by_table) == 18


def test_constraints_are_divided_by_the_polynomials_of_their_own_table() -> None:
    """One table's code says of a constraint more, and the next one's of one less where it holds: as many as there are, all together."""
    first, second, third = SHAPE.tables
    shape = ProofShape(WIDE, BALANCED, SHAPE.log_heights)
    more = replace(first, code=replace(first.code, groups=(*first.code.groups, second.code.groups[0])))
    less = replace(second, code=replace(second.code, groups=second.code.groups[1:]))
    leaves, _ = split_openings(shape, np.zeros((shape.opening_count, 3), np.uint64))
    terminals = [[ONE] * len(table.code.plan.running) for table in shape.tables]
    in_lockstep([combined_constraints(shape, leaves, terminals, ALPHA, BETA, POINT, POINT)])
    shape.__dict__["tables"] = (more, less, third)
    assert shape.constraint_count == SHAPE.constraint_count
    count, name = len(first.code.groups), first.code.chip.name
    with pytest.raises(ValueError, match=f"^{name}: {count} constraints, {count + 1} groups$"):
        in_lockstep([combined_constraints(shape, leaves, terminals, ALPHA, BETA, POINT, POINT)])


# --- buses ---------------------------------------------------------------------------------------------------------------------------


def test_fingerprint_of_a_closing() -> None:
    expected = ext_sub(ALPHA, ext_from_base(STATE.id))
    expected = ext_sub(expected, ext_scale(BETA, 21))
    expected = ext_sub(expected, ext_scale(ext_mul(BETA, BETA), 22))
    assert to_ext(closing_fingerprints(closing(STATE, (21, 22), sent=True), ALPHA, BETA)[0]) == expected


def test_buses_close_or_not() -> None:
    """One table with a product and one with a sum, against closings on both kinds of bus."""
    first, last, served = (to_ext(closing_fingerprints(entry, ALPHA, BETA)[0]) for entry in closings())
    products: list[list[Ext]] = [[last, ext_inv(first), ZERO], [ONE], [ext_inv(served)]]
    check_buses(SHAPE, products, closings(), ALPHA, BETA)
    with refused(RejectReason.BUS, "grand product"):
        check_buses(SHAPE, [[last, last, ZERO], *products[1:]], closings(), ALPHA, BETA)
    with refused(RejectReason.BUS, "lookup sums"):
        check_buses(SHAPE, [*products[:2], [ext_add(ext_inv(served), ONE)]], closings(), ALPHA, BETA)
    with refused(RejectReason.BUS, "terminal is zero"):
        check_buses(SHAPE, [products[0], [ZERO], products[2]], closings(), ALPHA, BETA)


def closings() -> tuple[Closing, ...]:
    return (closing(STATE, (0, 0), sent=True), closing(STATE, (9, 81), sent=False), closing(LAST, (81,), sent=True))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_closing_factor_of_zero_is_refused(number: int) -> None:
    """alpha hits one of the verifier's own tuples: never divided by, never multiplied away."""
    entry = closings()[number]
    alpha = ext_sub(ZERO, to_ext(closing_fingerprints(entry, ZERO, BETA)[0]))
    assert to_ext(closing_fingerprints(entry, alpha, BETA)[0]) == ZERO
    with refused(RejectReason.BUS, "closing factor"):
        check_buses(SHAPE, [[ZERO, ONE, ZERO], [ONE], [ONE]], closings(), alpha, BETA)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, (1 << 14) - 1, 1 << 14, (1 << 14) + 1])
def test_long_closings_count_every_tuple_once(count: int) -> None:
    """The verifier's own side of both arguments, tuple by tuple: a long journal is no different from a short one."""
    values = np.random.default_rng(count).integers(0, P, (count, 2), dtype=np.uint64)
    for bus, sent in ((STATE, True), (STATE, False), (SQUARES_BUS, True), (SQUARES_BUS, False)):
        entry = Closing(bus, values, sent)
        product, total = ONE, ZERO
        for tuple_ in values.tolist():
            own = ext_sub(
                ext_sub(ALPHA, ext_from_base(bus.id)), ext_add(ext_scale(BETA, tuple_[0]), ext_scale(ext_mul(BETA, BETA), tuple_[1]))
            )
            product, total = ext_mul(product, own), ext_add(total, ext_inv(own))
        is_product = bus is STATE
        terminal = (ext_inv(product) if sent else product) if is_product else ONE
        sums = (total if sent else ext_sub(ZERO, total)) if not is_product else ZERO
        check_buses(SHAPE, [[terminal, ONE, ZERO], [ONE], [sums]], (entry,), ALPHA, BETA)
        wrong = [[ext_scale(terminal, 2), ONE, ZERO], [ONE], [sums]] if is_product else [[ONE, ONE, ZERO], [ONE], [ext_add(sums, ONE)]]
        with refused(RejectReason.BUS):
            check_buses(SHAPE, wrong, (entry,), ALPHA, BETA)


# --- presence and bounds -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("logs", [(11, 0, 15), (0, 0, 15), (24, 9, 15)])
def test_optional_tables_may_be_absent(logs: tuple[int, ...]) -> None:
    check_presence(WIDE, honest_statement(), logs)


@pytest.mark.parametrize("logs", [(11, 11, 14), (11, 11, 0), (11, 8, 15), (11, 25, 15), (11, 11), (11, 11, 15, 0), (-3, 11, 15)])
def test_presence_and_heights_are_fixed(logs: tuple[int, ...]) -> None:
    with refused(RejectReason.SHAPE):
        check_presence(WIDE, honest_statement(), logs)


def test_a_mandatory_table_is_present_even_if_the_image_says_it_is_empty() -> None:
    statement = replace(honest_statement(), preprocessed_heights=(0, 0, 0))
    with refused(RejectReason.SHAPE, "mandatory"):
        check_presence(WIDE, statement, (15, 11, 0))


@pytest.mark.parametrize("of", [machine(), WIDE], ids=lambda of: of.name)
def test_the_bound_on_rows_is_the_machines(of: Machine) -> None:
    logs = (15,) * len(of.chips)
    rows = len(logs) << 15
    check_sums(ProofShape(replace(of, max_rows=rows + 1), BALANCED, logs))
    with refused(RejectReason.SHAPE, "too many rows"):
        check_sums(ProofShape(replace(of, max_rows=rows), BALANCED, logs))


def test_too_many_rows_are_refused() -> None:
    """The real machine's bound, which its digest does not cover: the largest sum of heights below 2^28 - 2^8, and the next one."""
    most = (24,) * 15 + tuple(range(9, 24))  # 2^28 - 2^9 rows
    rest = len(machine().chips) - len(most)
    check_sums(ProofShape(machine(), parameters("fast", 100), most + (0,) * rest))
    with refused(RejectReason.SHAPE, "too many rows"):
        check_sums(ProofShape(machine(), parameters("fast", 100), (*most, 9) + (0,) * (rest - 1)))
