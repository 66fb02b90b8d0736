"""The low-degree test: opened rows under their roots, the batched DEEP quotient at the query positions, the folds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.air.layout import EXTENSION
from zkvm.crypto.merkle import chain_leaves, verify_multiproof, verify_multiproofs
from zkvm.errors import RejectReason, VerificationError
from zkvm.field import extension, goldilocks
from zkvm.field.extension import Ext, ext_mul, ext_scale, from_ext
from zkvm.field.goldilocks import P, root_of_unity
from zkvm.params import FOLDING
from zkvm.proof import Proof
from zkvm.shape import BUS_TREE, MAIN_TREE, PREPROCESSED, QUOTIENT_COLUMNS, ProofShape, coset_shift
from zkvm.verifier.shape import tree_positions

Array = NDArray[np.uint64]


def points_at(height: int, blowup: int, shift: int, positions: NDArray[np.int64]) -> Array:
    """x = shift w^(j + B k) for flat positions j n + k of a domain of B cosets of n points: (k,) base field."""
    exponents = positions // height + blowup * (positions % height)
    size = height * blowup
    root = root_of_unity(size)
    result = np.full(len(positions), shift, np.uint64)
    for bit in range(size.bit_length() - 1):
        factor = np.where((exponents >> bit) & 1, np.uint64(pow(root, 1 << bit, P)), np.uint64(1))
        result = goldilocks.mul(result, factor)
    return result


def check_trees(shape: ProofShape, proof: Proof, preprocessed_root: bytes, positions: NDArray[np.int64]) -> None:
    """All opened rows of the four trees are under their roots.

    Raises:
        VerificationError: MERKLE.
    """
    blowup, tallest = shape.parameters.blowup, shape.tallest
    height = shape.levels(PREPROCESSED)[-1][0]
    indices = np.unique(tree_positions(positions, tallest, height))
    verify_multiproof(preprocessed_root, blowup * height, indices, chain_leaves(proof.preprocessed.rows, None), proof.preprocessed.siblings)
    openings = (proof.main, proof.bus, proof.quotient)
    leaves = np.stack([chain_leaves(opening.rows, opening.salts) for opening in openings])
    siblings = np.stack([opening.siblings for opening in openings])
    verify_multiproofs((proof.main_root, proof.bus_root, proof.quotient_root), blowup * tallest, positions, leaves, siblings)


def opened_columns(shape: ProofShape, proof: Proof, positions: NDArray[np.int64]) -> tuple[Array, Array]:
    """Opened values at each position: (k, here_count) in opening order, and the mask (k, 3)."""
    height = shape.levels(PREPROCESSED)[-1][0]
    inside = tree_positions(positions, shape.tallest, height)
    rank = np.searchsorted(np.unique(inside), inside)
    quotient = proof.quotient.rows[0]
    parts = [rows[rank] for rows in proof.preprocessed.rows] + [*proof.main.rows, *proof.bus.rows, quotient[:, :QUOTIENT_COLUMNS]]
    return np.concatenate(parts, axis=1), quotient[:, QUOTIENT_COLUMNS:]


def next_positions(shape: ProofShape) -> NDArray[np.int64]:
    """Of the columns opened at the next row: their positions among all columns of the opening order."""
    first = sum(table.code.widths[PREPROCESSED] + table.code.widths[MAIN_TREE] for table in shape.tables)
    result = []
    for table in shape.tables:
        result += [first + column for column in table.code.next_columns]
        first += table.code.widths[BUS_TREE]
    return np.array(result, np.int64)


def _combine(rows: Array, coefficients: Array) -> Array:
    """Sum over columns of coefficient times value: (k, w) base and (w, 3) to (k, 3)."""
    return np.stack([extension.total(goldilocks.mul(rows, coefficients[:, c]).T[..., None])[..., 0] for c in range(EXTENSION)], axis=-1)


def deep_values(shape: ProofShape, proof: Proof, positions: NDArray[np.int64], zeta: Ext, batching: Ext) -> Array:
    """R(x) + sum_e gamma^(e+1) (F_e(x) - v_e) / (x - point_e) at every query position: (k, 3)."""
    x = points_at(shape.tallest, shape.parameters.blowup, coset_shift(shape.tallest), positions)
    columns, result = opened_columns(shape, proof, positions)
    weights = extension.powers(batching, shape.opening_count + 1)[1:]
    here, following = weights[: shape.here_count], weights[shape.here_count :]
    next_columns = columns[:, next_positions(shape)]
    groups = (
        (columns, here, proof.openings[: shape.here_count], zeta),
        (next_columns, following, proof.openings[shape.here_count :], ext_scale(zeta, shape.root())),
    )
    for rows, coefficients, values, point in groups:
        constant = extension.dot(coefficients, values)
        numerator = extension.sub(_combine(rows, coefficients), constant)
        denominator = extension.sub(extension.embed(x), from_ext(point))
        result = extension.add(result, extension.mul(numerator, extension.inv(denominator)))
    return result


def fold(leaves: Array, x: Array, challenge: Ext) -> Array:
    """Fold eight values each: with f(X) = sum_r X^r f_r(X^8), the value sum_r beta^r f_r(x^8).

    Args:
        leaves: (k, 8, 3), values at x w_8^m. x: (k,) base field, non-zero.
    """
    eighth = pow(FOLDING, -1, P)
    inverse_root = pow(root_of_unity(FOLDING), -1, P)
    inverse_x = goldilocks.inv(x)
    scale: Array = np.full(len(x), eighth, np.uint64)  # x^-r / 8
    power: Ext = (1, 0, 0)
    result = np.zeros((len(x), EXTENSION), np.uint64)
    for r in range(FOLDING):
        roots = np.array([pow(inverse_root, r * m, P) for m in range(FOLDING)], np.uint64)
        part = extension.total(goldilocks.mul(leaves, roots[None, :, None]), axis=1)
        term = extension.mul(extension.mul_base(part, scale), from_ext(power))
        result = extension.add(result, term)
        scale = goldilocks.mul(scale, inverse_x)
        power = ext_mul(power, challenge)
    return result


def check_low_degree(shape: ProofShape, proof: Proof, positions: NDArray[np.int64], values: Array, challenges: list[Ext]) -> None:
    """The batched values at the query positions fold, layer by layer, to the final polynomial.

    Args:
        values: (k, 3), the batched codeword at the positions.

    Raises:
        VerificationError: MERKLE for a layer's leaves, FRI for an inconsistent fold.
    """
    blowup = shape.parameters.blowup
    shift = coset_shift(shape.tallest)
    for number, (height, layer, root, challenge) in enumerate(
        zip(shape.fri_heights, proof.layers, proof.fri_roots, challenges, strict=True)
    ):
        short = height // FOLDING
        targets = tree_positions(positions, height, short)
        indices, rank = np.unique(targets, return_inverse=True)
        verify_multiproof(root, blowup * short, indices, chain_leaves([layer.leaves], None), layer.siblings)
        leaves = layer.leaves.reshape(len(indices), FOLDING, EXTENSION)
        slots = positions % height // short
        if not np.array_equal(leaves[rank, slots], values):
            raise VerificationError(RejectReason.FRI, f"layer {number} does not continue what came before")
        base = indices // short * height + indices % short
        values = fold(leaves, points_at(height, blowup, shift, base), challenge)
        positions = indices
        shift = pow(shift, FOLDING, P)
    _check_final(shape, proof, positions, values, shift)


def _check_final(shape: ProofShape, proof: Proof, positions: NDArray[np.int64], values: Array, shift: int) -> None:
    x = points_at(shape.final_length, shape.parameters.blowup, shift, positions)
    expected = np.zeros_like(values)
    for coefficient in proof.final[::-1]:
        expected = extension.add(extension.mul_base(expected, x), coefficient)
    if not np.array_equal(expected, values):
        raise VerificationError(RejectReason.FRI, "the final polynomial does not continue the last fold")
