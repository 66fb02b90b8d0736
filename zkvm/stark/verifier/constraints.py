"""The buses' closing equation, and the constraints at the out-of-domain point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, chain

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import RejectReason, VerificationError
from zkvm.stark.air.builder import Argument
from zkvm.stark.air.evaluate import evaluate_point
from zkvm.stark.air.expression import BUS, BUS_NEXT, MAIN, PRE
from zkvm.stark.air.layout import EXTENSION
from zkvm.stark.air.table import Closing
from zkvm.stark.field import extension, goldilocks
from zkvm.stark.field.extension import ONE, ZERO, Ext, ext_add, ext_from_base, ext_inv, ext_mul, ext_pow, ext_sub, to_ext
from zkvm.stark.field.goldilocks import P, coset_shift, root_of_unity
from zkvm.stark.protocol.joint import Joined, all_params
from zkvm.stark.protocol.shape import (
    BUS_TREE,
    EARLY_TREE,
    MAIN_TREE,
    OPENING_ORDER,
    PREPROCESSED,
    QUOTIENT_CHUNKS,
    ProofShape,
    params_of,
    tree_width,
)
from zkvm.stark.verifier.lockstep import Checks, powers_for_all

_KINDS = {PREPROCESSED: PRE, EARLY_TREE: MAIN, MAIN_TREE: MAIN, BUS_TREE: BUS}
"""What a tree's columns are in constraints: main columns are the early ones, then the others."""
CLOSING_BLOCK = 1 << 14
"""Tuples of the verifier that are worked on at once: a long journal takes time, but no memory beyond its own tuples."""


def terminals_by_table(shape: ProofShape, terminals: NDArray[np.uint64]) -> list[list[Ext]]:
    """The published terminals, split by table."""
    values = [to_ext(row) for row in terminals]
    result, first = [], 0
    for table in shape.tables:
        count = len(table.code.plan.running)
        result.append(values[first : first + count])
        first += count
    return result


def check_buses(shape: ProofShape, terminals: Sequence[Sequence[Ext]], closings: Sequence[Closing], alpha: Ext, beta: Ext) -> None:
    """Product of all product terminals and of what the verifier sent over what it received is 1; sum of all sums is 0.

    Terminals of joint buses are left to :func:`zkvm.stark.verifier.joint.check_joint_buses`.

    Args:
        shape: of the proof.
        terminals: for each table those of its running columns.
        closings: the tuples that the verifier puts on the buses.
        alpha: the first challenge of the fingerprints.
        beta: the second.

    Raises:
        VerificationError: BUS. A zero terminal or closing factor is refused, not divided by.
    """
    product, total = ONE, ZERO
    for table, values in zip(shape.tables, terminals, strict=True):
        products = values[:-1] if table.code.plan.has_sum else values
        for value in products[table.code.plan.joint :]:
            product = ext_mul(product, value)
        if table.code.plan.has_sum:
            total = ext_add(total, values[-1])
    received = ONE
    for closing in closings:
        for first in range(0, len(closing.values), CLOSING_BLOCK):
            block = replace(closing, values=closing.values[first : first + CLOSING_BLOCK])
            prints = closing_fingerprints(block, alpha, beta)
            if not prints.any(axis=1).all():
                raise VerificationError(RejectReason.BUS, f"a closing factor of bus {closing.bus.name} is zero")
            if closing.bus.argument is Argument.PRODUCT:
                factor = to_ext(_products(prints[None])[0])
                product, received = (ext_mul(product, factor), received) if closing.sent else (product, ext_mul(received, factor))
            else:
                fractions = _sum_of_inverses(prints)
                total = ext_sub(total, fractions) if closing.sent else ext_add(total, fractions)
    if product == ZERO:
        raise VerificationError(RejectReason.BUS, "a product terminal is zero")
    if product != received:
        raise VerificationError(RejectReason.BUS, "the grand product does not close")
    if total != ZERO:
        raise VerificationError(RejectReason.BUS, "the lookup sums do not cancel")


def closing_fingerprints(closing: Closing, alpha: Ext, beta: Ext) -> NDArray[np.uint64]:
    """alpha - (id + beta x1 + ...) of each of the verifier's tuples: (k, 3)."""
    start = ext_sub(alpha, ext_from_base(closing.bus.id))
    prints = np.tile(extension.from_ext(start), (len(closing.values), 1))
    power = beta
    for column in closing.values.T:
        prints = extension.sub(prints, extension.mul_base(np.tile(extension.from_ext(power), (len(column), 1)), column))
        power = ext_mul(power, beta)
    return prints


def _sum_of_inverses(values: NDArray[np.uint64]) -> Ext:
    """Sum of 1 / v over the rows (k, 3), none of them zero, with one inversion: fractions are added in pairs."""
    above, below = np.tile(extension.from_ext(ONE), (len(values), 1)), values
    while len(below) > 1:
        even = len(below) // 2 * 2
        crossed = extension.mul(above[:even].reshape(-1, 2, EXTENSION), below[:even].reshape(-1, 2, EXTENSION)[:, ::-1])
        above = np.concatenate([extension.total(crossed, axis=1), above[even:]])
        below = np.concatenate([extension.mul(below[0:even:2], below[1:even:2]), below[even:]])
    return ext_mul(to_ext(above[0]), ext_inv(to_ext(below[0])))


def _products(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Product along the second axis: (m, k, 3) to (m, 3)."""
    while (count := values.shape[1]) > 1:
        half = extension.mul(values[:, 0 : count - count % 2 : 2], values[:, 1:count:2])
        values = np.concatenate([half, values[:, count - count % 2 :]], axis=1)
    return values[:, 0] if count else np.tile(extension.from_ext(ONE), (len(values), 1))


def admissible(shape: ProofShape, zeta: Ext) -> bool:
    """zeta is neither in the trace domain nor in the LDE domain (whose points x have x^(BN) = s_N^(BN))."""
    size = shape.tallest * shape.parameters.blowup
    return ext_pow(zeta, shape.tallest) != ONE and ext_pow(zeta, size) != ext_from_base(pow(coset_shift(shape.tallest), size, P))


def selectors(heights: Sequence[int], exempt: int, points: Sequence[Ext]) -> Checks[list[tuple[Ext, Ext, Ext]]]:
    """1 / vanishing polynomial of the groups ACTIVE, START and TERMINAL: of the active rows, of row n - 1 and of row n - h.

    The active rows' polynomial is (X^n - 1) / E(X), E the product of X - w_n^i over the exempt rows.

    Args:
        heights: rows n of tables.
        exempt: exempt rows h of each.
        points: the out-of-domain point in the domain of each: zeta^(N/n).

    Returns:
        The three factors for each height.
    """
    rows = np.stack([_exempt_rows(height, exempt) for height in heights])
    factors = extension.sub(np.array(points, np.uint64)[:, None], extension.embed(rows))
    products = yield products_for_all, factors
    result = []
    for height, point, product, own in zip(heights, points, products, factors, strict=True):
        active = ext_mul(to_ext(product), ext_inv(ext_sub(ext_pow(point, height), ONE)))
        result.append((active, ext_inv(to_ext(own[0])), ext_inv(to_ext(own[-1]))))
    return result


@lru_cache(maxsize=32)
def _exempt_rows(height: int, exempt: int) -> NDArray[np.uint64]:
    """w_n^(n - 1) down to w_n^(n - h). Shared: only to be read."""
    return goldilocks.powers(pow(root_of_unity(height), -1, P), exempt + 1)[1:]


def products_for_all(wanted: Sequence[NDArray[np.uint64]]) -> list[NDArray[np.uint64]]:
    """:func:`_products` of several arrays."""
    if len({values.shape[1] for values in wanted}) > 1:  # parameters differ
        return [_products(values) for values in wanted]
    return np.split(_products(np.concatenate(wanted)), list(accumulate(map(len, wanted)))[:-1])


def split_openings(shape: ProofShape, openings: NDArray[np.uint64]) -> tuple[list[dict[int, list[Ext]]], list[Ext]]:
    """Openings as leaves of each table's code, and the quotient's columns."""
    values: list[Ext] = [(a0, a1, a2) for a0, a1, a2 in openings.tolist()]
    leaves: list[dict[int, list[Ext]]] = [{} for _ in shape.tables]
    position = 0
    for tree in OPENING_ORDER:
        for table, columns in zip(shape.tables, leaves, strict=True):
            width, kind = tree_width(table.code, tree), _KINDS[tree]
            columns[kind] = columns.get(kind, []) + values[position : position + width]
            position += width
    quotient = values[position : shape.here_count]
    position = shape.here_count
    for table, columns in zip(shape.tables, leaves, strict=True):
        following = [ZERO] * table.code.widths[2]
        for column in table.code.next_columns:
            following[column] = values[position]
            position += 1
        columns[BUS_NEXT] = following
    return leaves, quotient


def combined_constraints(
    shape: ProofShape,
    leaves: Sequence[dict[int, list[Ext]]],
    terminals: Sequence[Sequence[Ext]],
    alpha: Ext,
    beta: Ext,
    challenge: Ext,
    zeta: Ext,
    joined: Joined | None = None,
) -> Checks[Ext]:
    """Sum of lambda^i C_i / (its vanishing polynomial) over the lifted tables, at zeta; ``leaves`` of :func:`split_openings`.

    Raises:
        ValueError: a table's code says of more or fewer constraints where they hold than it has.
    """
    points = [ext_pow(zeta, shape.tallest // height) for height in shape.heights]
    inverses = dict(zip(shape.heights, (yield from selectors(shape.heights, shape.parameters.exempt, points)), strict=True))
    shared = all_params(shape.machine, alpha, beta, joined)
    values: list[Ext] = []
    vanishing = []
    for table, columns, own in zip(shape.tables, leaves, terminals, strict=True):
        constraints = evaluate_point(table.code.straight, columns, params_of(shared, own))
        if len(constraints) != len(table.code.groups):  # those of the next table would be divided by this one's polynomials
            raise ValueError(f"{table.code.chip.name}: {len(constraints)} constraints, {len(table.code.groups)} groups")
        values += constraints
        vanishing.append(np.array(inverses[table.height], np.uint64)[list(table.code.groups)])
    powers = yield powers_for_all, (challenge, len(values))
    numbers = np.fromiter(chain.from_iterable(values), np.uint64, EXTENSION * len(values)).reshape(-1, EXTENSION)
    return to_ext(extension.dot(numbers, extension.mul(powers, np.concatenate(vanishing))))


def check_constraints(
    shape: ProofShape,
    openings: NDArray[np.uint64],
    terminals: Sequence[Sequence[Ext]],
    alpha: Ext,
    beta: Ext,
    challenge: Ext,
    zeta: Ext,
    joined: Joined | None = None,
) -> Checks[None]:
    """The combined constraints of every lifted table over their vanishing polynomials equal the opened quotient at zeta.

    Args:
        shape: of the proof.
        openings: (k, 3) uint64, the values at zeta.
        terminals: for each table those of its running columns.
        alpha: the first challenge of the fingerprints.
        beta: the second.
        challenge: lambda, whose powers combine the constraints.
        zeta: the out-of-domain point.
        joined: of a proof that is joined with others, what it has from them.

    Raises:
        VerificationError: OOD.
    """
    if not admissible(shape, zeta):
        raise VerificationError(RejectReason.OOD, "the out-of-domain point lies in a domain")
    leaves, quotient = split_openings(shape, openings)
    combined = yield from combined_constraints(shape, leaves, terminals, alpha, beta, challenge, zeta, joined)
    if combined != quotient_value(shape, quotient, zeta):
        raise VerificationError(RejectReason.OOD, "the constraints do not equal the quotient at the out-of-domain point")


def quotient_value(shape: ProofShape, columns: Sequence[Ext], zeta: Ext) -> Ext:
    """The quotient at zeta: sum of zeta^(i M) (q_i0 + q_i1 x + q_i2 x^2), M the length of a chunk and x the extension's root.

    Nine base-field columns make three chunks over the extension.
    """
    step = ext_pow(zeta, shape.chunk_length)
    value, scale = ZERO, ONE
    for chunk in range(QUOTIENT_CHUNKS):
        basis = ONE
        for c in range(EXTENSION):
            value = ext_add(value, ext_mul(scale, ext_mul(basis, columns[EXTENSION * chunk + c])))
            basis = ext_mul(basis, extension.X)
        scale = ext_mul(scale, step)
    return value
