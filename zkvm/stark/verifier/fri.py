"""The low-degree test: opened rows under their roots, the batched DEEP quotient at the query positions, the folds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import RejectReason, VerificationError
from zkvm.stark.air.layout import EXTENSION
from zkvm.stark.crypto.merkle import OpenedTree, check_roots, opened_roots
from zkvm.stark.field import extension, goldilocks
from zkvm.stark.field.extension import Ext, ext_scale, from_ext
from zkvm.stark.field.goldilocks import P, coset_shift, root_of_unity
from zkvm.stark.protocol.joint import Joined, lifted_pin
from zkvm.stark.protocol.params import FOLDING
from zkvm.stark.protocol.proof import Proof, TreeOpening
from zkvm.stark.protocol.shape import (
    BUS_TREE,
    OPENING_ORDER,
    PREPROCESSED,
    QUOTIENT_COLUMNS,
    ProofShape,
    distinct,
    opened_positions,
    tree_positions,
    tree_width,
)
from zkvm.stark.verifier.lockstep import Checks, powers_for_all

Array = NDArray[np.uint64]


def points_at(height: int, blowup: int, shift: int, positions: NDArray[np.int64]) -> Array:
    """x = shift w^(j + B k) for flat positions j n + k of a domain of B cosets of n points: (k,) base field."""
    exponents = positions // height + blowup * (positions % height)
    low, high = _root_powers(height * blowup)
    return goldilocks.mul(goldilocks.mul(high[exponents // len(low)], low[exponents % len(low)]), np.uint64(shift))


@lru_cache(maxsize=8)
def _root_powers(order: int) -> tuple[Array, Array]:
    """Powers of w with exponents below about the root of the order, and with multiples of their number. Shared: only to be read."""
    root, count = root_of_unity(order), 1 << order.bit_length() // 2
    return goldilocks.powers(root, count), goldilocks.powers(pow(root, count, P), -(-order // count))


def check_trees(
    shape: ProofShape, proof: Proof, preprocessed_root: bytes, positions: NDArray[np.int64], joined: Joined | None = None
) -> Checks[None]:
    """All opened rows of the trees and all opened leaves of the FRI layers are under their roots.

    Raises:
        VerificationError: MERKLE.
    """
    blowup, tallest = shape.parameters.blowup, shape.tallest

    def opened(name: str, root: bytes, height: int, tree: TreeOpening) -> OpenedTree:
        """A tree over a domain."""
        indices = opened_positions(positions, tallest, height)
        return OpenedTree(name, root, blowup * height, indices, tree.rows, tree.salts, tree.siblings)

    trees = [
        opened("the preprocessed tree", preprocessed_root, shape.levels(PREPROCESSED)[-1][0], proof.preprocessed),
        opened("the main tree", proof.main_root, tallest, proof.main),
        opened("the bus tree", proof.bus_root, tallest, proof.bus),
        opened("the quotient tree", proof.quotient_root, tallest, proof.quotient),
    ]
    if joined is not None:
        trees.append(opened("the early tree", joined.root, shape.early_height, joined.tree))
    for number, (height, root, layer) in enumerate(zip(shape.fri_heights, proof.fri_roots, proof.layers, strict=True)):
        trees.append(opened(f"FRI layer {number}", root, height // FOLDING, TreeOpening((layer.leaves,), None, layer.siblings)))
    check_roots(trees, (yield opened_roots, trees))


def opened_columns(shape: ProofShape, proof: Proof, positions: NDArray[np.int64], joined: Joined | None = None) -> tuple[Array, Array]:
    """Opened values at each position: (k, here_count) in opening order, and the mask (k, 3)."""

    def spread(tree: TreeOpening, height: int) -> list[Array]:
        """Rows of a tree that is shorter than the largest domain, at each position."""
        inside = tree_positions(positions, shape.tallest, height)
        rank = np.searchsorted(distinct(inside), inside)
        return [rows[rank] for rows in tree.rows]

    quotient = proof.quotient.rows[0]
    parts = spread(proof.preprocessed, shape.levels(PREPROCESSED)[-1][0])
    parts += [] if joined is None else spread(joined.tree, shape.early_height)
    parts += [*proof.main.rows, *proof.bus.rows, quotient[:, :QUOTIENT_COLUMNS]]
    return np.concatenate(parts, axis=1), quotient[:, QUOTIENT_COLUMNS:]


def next_positions(shape: ProofShape) -> NDArray[np.int64]:
    """Of the columns opened at the next row: their positions among all columns of the opening order."""
    first = sum(tree_width(table.code, tree) for table in shape.tables for tree in OPENING_ORDER if tree != BUS_TREE)
    result = []
    for table in shape.tables:
        result += [first + column for column in table.code.next_columns]
        first += tree_width(table.code, BUS_TREE)
    return np.array(result, np.int64)


def deep_values(
    shape: ProofShape, proof: Proof, positions: NDArray[np.int64], zeta: Ext, batching: Ext, joined: Joined | None = None
) -> Checks[Array]:
    """R(x) + sum_e gamma^(e+1) (F_e(x) - v_e) / (x - point_e) at the point x of every query position: (k, 3).

    R is the mask; F_e is column e, lifted to height N; v_e its value at point_e, which is zeta or, at the next row, w_N zeta, or, of early
    columns once more, where they were pinned.
    """
    x = points_at(shape.tallest, shape.parameters.blowup, coset_shift(shape.tallest), positions)
    columns, mask = opened_columns(shape, proof, positions, joined)
    weights = yield powers_for_all, (batching, shape.opening_count + shape.pinned_count + 1)
    here, following, pinned = np.split(weights[1:], [shape.here_count, shape.opening_count])
    groups = [
        (columns, here, proof.openings[: shape.here_count], zeta),
        (columns[:, next_positions(shape)], following, proof.openings[shape.here_count :], ext_scale(zeta, shape.root())),
    ]
    if joined is not None:
        groups.append((columns[:, shape.early], pinned, joined.pinned, lifted_pin(shape, joined.point)))
    numerators, denominators = [], []
    for rows, coefficients, values, point in groups:
        constant = extension.dot(coefficients, values)
        numerators.append(extension.sub(goldilocks.matmul(rows, coefficients), constant))
        denominators.append(extension.sub(extension.embed(x), from_ext(point)))
    quotients = yield divide_for_all, (np.stack(numerators), np.stack(denominators))
    return extension.add(mask, extension.total(quotients))


def divide_for_all(wanted: Sequence[tuple[Array, Array]]) -> list[Array]:
    """For each (g, k, 3) numerators and denominators, none of them zero, their quotients."""
    above, below = (np.concatenate([part.reshape(-1, EXTENSION) for part in parts]) for parts in zip(*wanted, strict=True))
    quotients = extension.mul(above, extension.inv(below))
    ends = list(accumulate(numerators.size // EXTENSION for numerators, _ in wanted))
    return [own.reshape(like.shape) for own, (like, _) in zip(np.split(quotients, ends[:-1]), wanted, strict=True)]


def fold(leaves: Array, x: Array, challenges: Array) -> Array:
    """Fold eight values each: with f(X) = sum_r X^r f_r(X^8), the value sum_r beta^r f_r(x^8).

    By halving three times: with f(X) = e(X^2) + X o(X^2), twice e + beta o at x^2 is f(x) + f(-x) + beta (f(x) - f(-x)) / x. The second
    halving does so at x^2 with beta^2, the third at x^4 with beta^4.

    Args:
        leaves: (k, 8, 3), values at x w_8^m.
        x: (k,) base field, non-zero.
        challenges: (k, 3), beta of each.

    Returns:
        (k, 3).
    """
    root, values = root_of_unity(FOLDING), leaves
    inverses = goldilocks.mul(goldilocks.inv(x)[:, None], goldilocks.powers(pow(root, -1, P), FOLDING // 2))  # of x w_8^m, m < 4
    while (half := values.shape[1] // 2) > 0:
        here, opposite = values[:, :half], values[:, half:]  # w_8^4 = -1
        odd = extension.mul_base(extension.sub(here, opposite), inverses[:, :half])
        values = extension.add(extension.add(here, opposite), extension.mul(odd, challenges[:, None]))
        inverses, challenges = goldilocks.mul(inverses, inverses), extension.mul(challenges, challenges)
    return extension.mul_base(values[:, 0], np.uint64(pow(FOLDING, -1, P)))


def fold_for_all(wanted: Sequence[tuple[Array, Array, Ext]]) -> list[Array]:
    """:func:`fold` of the leaves and points of each, with its one challenge."""
    counts = [len(x) for _, x, _ in wanted]
    challenges = np.repeat(np.array([challenge for _, _, challenge in wanted], np.uint64), counts, axis=0)
    folded = fold(np.concatenate([leaves for leaves, _, _ in wanted]), np.concatenate([x for _, x, _ in wanted]), challenges)
    return np.split(folded, list(accumulate(counts))[:-1])


def check_low_degree(shape: ProofShape, proof: Proof, positions: NDArray[np.int64], values: Array, challenges: list[Ext]) -> Checks[None]:
    """The batched values at the query positions fold, layer by layer, to the final polynomial.

    Args:
        shape: of the proof.
        proof: its opened layers and final polynomial.
        positions: (k,) int64, the query positions.
        values: (k, 3), the batched codeword at the positions.
        challenges: the folding challenge of each layer.

    Raises:
        VerificationError: FRI.
    """
    x = points_at(shape.tallest, shape.parameters.blowup, coset_shift(shape.tallest), positions)
    eighth_roots = goldilocks.powers(pow(root_of_unity(FOLDING), -1, P), FOLDING)
    for number, (height, layer, challenge) in enumerate(zip(shape.fri_heights, proof.layers, challenges, strict=True)):
        short = height // FOLDING
        inside = tree_positions(positions, height, short)
        indices = distinct(inside)
        rank = np.searchsorted(indices, inside)
        leaves = layer.leaves.reshape(len(indices), FOLDING, EXTENSION)
        slots = positions % height // short
        if not np.array_equal(leaves[rank, slots], values):
            raise VerificationError(RejectReason.FRI, f"layer {number} does not continue what came before")
        x, above = np.empty(indices.shape, np.uint64), x
        x[rank] = goldilocks.mul(above, eighth_roots[slots])  # a leaf's slot m is at its slot 0 times w_8^m: all of a leaf agree
        values = yield fold_for_all, (leaves, x, challenge)
        positions, x = indices, goldilocks.pow_(x, FOLDING)
    if not np.array_equal(goldilocks.matmul(goldilocks.power_table(x, shape.final_length), proof.final), values):
        raise VerificationError(RejectReason.FRI, "the final polynomial does not continue the last fold")
