"""The low-degree test: opened rows under their roots, the batched DEEP quotient at the query positions, the folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import RejectReason, VerificationError
from zkvm.stark.air.layout import EXTENSION
from zkvm.stark.crypto.merkle import OpenedTrees, verify_trees
from zkvm.stark.field import extension, goldilocks
from zkvm.stark.field.extension import Ext, ext_mul, ext_scale, from_ext
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

Array = NDArray[np.uint64]


def points_at(height: int, blowup: int, shift: int, positions: NDArray[np.int64]) -> Array:
    """x = shift w^(j + B k) for flat positions j n + k of a domain of B cosets of n points: (k,) base field."""
    exponents = positions // height + blowup * (positions % height)
    root = root_of_unity(height * blowup)
    return np.array([shift * pow(root, exponent, P) % P for exponent in exponents.tolist()], np.uint64)


def check_trees(
    shape: ProofShape, proof: Proof, preprocessed_root: bytes, positions: NDArray[np.int64], joined: Joined | None = None
) -> None:
    """All opened rows of the trees and all opened leaves of the FRI layers are under their roots.

    Raises:
        VerificationError: MERKLE.
    """
    blowup, tallest = shape.parameters.blowup, shape.tallest

    def opened(names: Sequence[str], roots: Sequence[bytes], height: int, trees: Sequence[TreeOpening]) -> OpenedTrees:
        """Trees over one domain."""
        indices = opened_positions(positions, tallest, height)
        rows, salts, siblings = zip(*((tree.rows, tree.salts, tree.siblings) for tree in trees), strict=True)
        return OpenedTrees(names, roots, blowup * height, indices, rows, salts, siblings)

    groups = [
        opened(["the preprocessed tree"], [preprocessed_root], shape.levels(PREPROCESSED)[-1][0], [proof.preprocessed]),
        opened(
            ["the main tree", "the bus tree", "the quotient tree"],
            [proof.main_root, proof.bus_root, proof.quotient_root],
            tallest,
            [proof.main, proof.bus, proof.quotient],
        ),
    ]
    if joined is not None:
        groups.append(opened(["the early tree"], [joined.root], shape.early_height, [joined.tree]))
    for number, (height, root, layer) in enumerate(zip(shape.fri_heights, proof.fri_roots, proof.layers, strict=True)):
        groups.append(opened([f"FRI layer {number}"], [root], height // FOLDING, [TreeOpening((layer.leaves,), None, layer.siblings)]))
    verify_trees(groups)


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
) -> Array:
    """R(x) + sum_e gamma^(e+1) (F_e(x) - v_e) / (x - point_e) at the point x of every query position: (k, 3).

    R is the mask; F_e is column e, lifted to height N; v_e its value at point_e, which is zeta or, at the next row, w_N zeta, or, of early
    columns once more, where they were pinned.
    """
    x = points_at(shape.tallest, shape.parameters.blowup, coset_shift(shape.tallest), positions)
    columns, result = opened_columns(shape, proof, positions, joined)
    weights = extension.powers(batching, shape.opening_count + shape.pinned_count + 1)[1:]
    here, following, pinned = np.split(weights, [shape.here_count, shape.opening_count])
    groups = [
        (columns, here, proof.openings[: shape.here_count], zeta),
        (columns[:, next_positions(shape)], following, proof.openings[shape.here_count :], ext_scale(zeta, shape.root())),
    ]
    if joined is not None:
        groups.append((columns[:, shape.early], pinned, joined.pinned, lifted_pin(shape, joined.point)))
    for rows, coefficients, values, point in groups:
        constant = extension.dot(coefficients, values)
        numerator = extension.sub(goldilocks.matmul(rows, coefficients), constant)
        denominator = extension.sub(extension.embed(x), from_ext(point))
        result = extension.add(result, extension.mul(numerator, extension.inv(denominator)))
    return result


def fold(leaves: Array, x: Array, challenge: Ext) -> Array:
    """Fold eight values each: with f(X) = sum_r X^r f_r(X^8), the value sum_r beta^r f_r(x^8).

    By halving three times: with f(X) = e(X^2) + X o(X^2), twice e + beta o at x^2 is f(x) + f(-x) + beta (f(x) - f(-x)) / x. The second
    halving does so at x^2 with beta^2, the third at x^4 with beta^4.

    Args:
        leaves: (k, 8, 3), values at x w_8^m.
        x: (k,) base field, non-zero.
        challenge: beta.

    Returns:
        (k, 3).
    """
    root, values = root_of_unity(FOLDING), leaves
    inverses = goldilocks.mul(goldilocks.inv(x)[:, None], goldilocks.powers(pow(root, -1, P), FOLDING // 2))  # of x w_8^m, m < 4
    while (half := values.shape[1] // 2) > 0:
        here, opposite = values[:, :half], values[:, half:]  # w_8^4 = -1
        odd = extension.mul_base(extension.sub(here, opposite), inverses[:, :half])
        values = extension.add(extension.add(here, opposite), extension.mul(odd, from_ext(challenge)))
        inverses, challenge = goldilocks.mul(inverses, inverses), ext_mul(challenge, challenge)
    return extension.mul_base(values[:, 0], np.uint64(pow(FOLDING, -1, P)))


def check_low_degree(shape: ProofShape, proof: Proof, positions: NDArray[np.int64], values: Array, challenges: list[Ext]) -> None:
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
        values = fold(leaves, x, challenge)
        positions, x = indices, goldilocks.pow_(x, FOLDING)
    if not np.array_equal(goldilocks.matmul(goldilocks.power_table(x, shape.final_length), proof.final), values):
        raise VerificationError(RejectReason.FRI, "the final polynomial does not continue the last fold")
