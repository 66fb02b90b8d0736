"""Out-of-domain openings, the batched DEEP quotient, and its FRI layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.layout import EXTENSION
from zkvm.stark.field import extension, goldilocks
from zkvm.stark.field.extension import Ext, ext_scale
from zkvm.stark.field.goldilocks import P, coset_shift, root_of_unity
from zkvm.stark.kernels.columns import accumulate, barycentric_weights, base_powers, deep_divide_add, dot, inverse_differences
from zkvm.stark.kernels.fri_fold import fold8
from zkvm.stark.kernels.ntt import evaluate_coset, interpolate_coset
from zkvm.stark.kernels.parallel import run_ranges
from zkvm.stark.protocol.joint import Joined, lifted_pin
from zkvm.stark.protocol.params import FOLDING
from zkvm.stark.protocol.shape import EARLY_TREE, OPENING_ORDER, ProofShape
from zkvm.stark.protocol.steps import Steps
from zkvm.stark.prover.columns import Committed
from zkvm.stark.prover.commit import MerkleTree
from zkvm.stark.prover.tasks import share_out

U64 = NDArray[np.uint64]
HERE, NEXT, PIN = range(3)
"""Where columns are opened: at zeta, at the next row, and, early columns, where they were pinned."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Columns that are opened together.

    Attributes:
        height: rows of their table, n.
        lde: (w, B, n), their extension.
        position: of the first column among all openings.
        at: HERE, NEXT or PIN.
    """

    height: int
    lde: U64
    position: int
    at: int

    @property
    def flat(self) -> U64:
        """(w, B n): the first n of each row are the values on the first coset."""
        return self.lde.reshape(len(self.lde), -1)


def opened_matrices(shape: ProofShape, tables: dict[str, Committed], quotient_lde: U64) -> list[Opened]:
    """Every matrix that is opened, with the position of its first column among the openings, the pinned ones behind all others."""
    result: list[Opened] = []
    position = 0
    for tree in OPENING_ORDER:
        for entry in shape.tables:
            table = tables[entry.code.chip.name]
            lde = table.of_tree(tree)
            if len(lde):
                result.append(Opened(table.height, lde, position, HERE))
                position += len(lde)
    result.append(Opened(shape.tallest, quotient_lde, position, HERE))
    position = shape.here_count
    for entry in shape.tables:
        table = tables[entry.code.chip.name]
        for first, count in _runs(entry.code.next_columns):
            result.append(Opened(table.height, table.bus_lde[first : first + count], position, NEXT))
            position += count
    for entry in shape.tables:
        table = tables[entry.code.chip.name]
        if len(early := table.of_tree(EARLY_TREE)):
            result.append(Opened(table.height, early, position, PIN))
            position += len(early)
    return result


def _runs(columns: tuple[int, ...]) -> list[tuple[int, int]]:
    """Consecutive columns as (first, count)."""
    runs: list[tuple[int, int]] = []
    for column in columns:
        if runs and sum(runs[-1]) == column:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((column, 1))
    return runs


def open_columns(shape: ProofShape, matrices: list[Opened], zeta: Ext, threads: int) -> U64:
    """Values of all columns at zeta^(N/n), running columns also at w_n zeta^(N/n): (openings, 3).

    Taken from the extension's first coset: f on s <w_n> is f(s X) on <w_n>.
    """
    values = np.zeros((shape.opening_count, EXTENSION), np.uint64)
    wanted = [matrix for matrix in matrices if matrix.at != PIN]
    weights: dict[tuple[int, int], U64] = {}
    for height, at in dict.fromkeys((matrix.height, matrix.at) for matrix in wanted):
        point = extension.ext_pow(zeta, shape.tallest // height)
        weights[height, at] = point_weights(height, ext_scale(point, root_of_unity(height)) if at == NEXT else point, threads)

    def work(number: int, threads: int) -> None:
        matrix = wanted[number]
        opened = dot(matrix.flat, weights[matrix.height, matrix.at], threads)
        values[matrix.position : matrix.position + len(matrix.lde)] = opened

    share_out(work, [len(matrix.lde) * matrix.height for matrix in wanted], threads)
    return values


def point_weights(height: int, point: Ext, threads: int) -> U64:
    """What the values of a column on the extension's first coset are multiplied with for its value at a point: (3, n)."""
    return barycentric_weights(height, ext_scale(point, pow(coset_shift(height), -1, P)), threads)


def deep_codeword(
    shape: ProofShape,
    matrices: list[Opened],
    mask_lde: U64,
    openings: U64,
    zeta: Ext,
    batching: Ext,
    threads: int,
    joined: Joined | None = None,
) -> U64:
    """R + sum_e gamma^(e+1) (F_e - v_e) / (X - point_e) on the LDE domain: (3, B, N).

    R is the mask; F_e is column e, lifted to height N; v_e its value at point_e, which is zeta or, at the next row, w_N zeta, or, of
    early columns once more, where they were pinned. Sums are taken at each height and repeated when moving up, so no table costs more
    than its own size.
    """
    blowup, tallest = shape.parameters.blowup, shape.tallest
    # (F - v) / (x - point) = (v - F) / (point - x): the kernels subtract from the point, so the weights are negated
    weights = goldilocks.neg(extension.powers(batching, shape.opening_count + shape.pinned_count + 1)[1:])
    result = mask_lde.reshape(EXTENSION, -1).copy()
    points = domain_points(tallest, blowup, threads)
    here, following, pinned = (slice(0, shape.here_count), slice(shape.here_count, shape.opening_count), slice(shape.opening_count, None))
    groups = [(HERE, weights[here], openings[here], zeta), (NEXT, weights[following], openings[following], ext_scale(zeta, shape.root()))]
    if joined is not None:
        groups.append((PIN, weights[pinned], joined.pinned, lifted_pin(shape, joined.point)))
    for at, own, values, point in groups:
        total = lifted_sum([matrix for matrix in matrices if matrix.at == at], weights, blowup, tallest, threads)
        constant = extension.dot(own, values)
        inverse = inverse_differences(point, points, threads=threads)
        deep_divide_add(total, constant, inverse, result, threads)
    return result.reshape(EXTENSION, blowup, tallest)


def lifted_sum(matrices: list[Opened], weights: U64, blowup: int, tallest: int, threads: int) -> U64:
    """Weighted sum of all columns on the tallest domain: (3, B N).

    The sum is taken on the first coset, whose values determine it like every column, and extended to the others.
    """
    total = np.zeros((EXTENSION, 0), np.uint64)
    for height in sorted({matrix.height for matrix in matrices} | {tallest}):
        total = _lifted(total, height)
        own = [matrix for matrix in matrices if matrix.height == height]
        own_weights = [weights[matrix.position : matrix.position + len(matrix.lde)] for matrix in own]
        accumulate([matrix.flat for matrix in own], np.concatenate([*own_weights, weights[:0]]), total, threads)
    coefficients = interpolate_coset(total, coset_shift(tallest), threads)
    return evaluate_coset(coefficients, tallest, blowup, threads=threads).reshape(EXTENSION, -1)


def _lifted(total: U64, height: int) -> U64:
    """(3, m) values on the first coset repeated until it has n rows: (3, n); zeros if there are none yet."""
    return np.tile(total, height // total.shape[1]) if total.size else np.zeros((EXTENSION, height), np.uint64)


def domain_points(height: int, blowup: int, threads: int = 1) -> U64:
    """The LDE domain, coset by coset: (B n,)."""
    shift, step = coset_shift(height), root_of_unity(height * blowup)
    points = np.empty((blowup, height), np.uint64)

    def work(first: int, last: int) -> None:
        for coset in range(first, last):
            base_powers(root_of_unity(height), height, shift * pow(step, coset, P) % P, points[coset])

    run_ranges(work, blowup, height, threads)
    return points.reshape(-1)


def fold_layers(shape: ProofShape, codeword: U64, steps: Steps, threads: int) -> tuple[list[MerkleTree], U64]:
    """Commit and fold until the final polynomial: the trees and its coefficients (c, 3)."""
    trees: list[MerkleTree] = []
    shift = coset_shift(shape.tallest)
    for number in range(len(shape.fri_heights)):
        tree = MerkleTree.commit_fri(codeword, threads)
        trees.append(tree)
        challenge = steps.layer(number, tree.root)
        codeword = fold8(codeword, challenge, shift, threads=threads)
        shift = pow(shift, FOLDING, P)
    first_coset = np.ascontiguousarray(codeword[:, 0])
    coefficients = interpolate_small(first_coset, shift)
    return trees, np.ascontiguousarray(coefficients.T)


def interpolate_small(values: U64, shift: int) -> U64:
    """Values (3, c) on shift <w_c> to coefficients (3, c), for c <= 64 by the definition of the inverse transform."""
    count = values.shape[1]
    if count >= 64:
        return interpolate_coset(values, shift)
    inverse_root = pow(root_of_unity(count), -1, P)
    matrix = np.array([[pow(inverse_root, row * column, P) for column in range(count)] for row in range(count)], np.uint64)
    sums = extension.total(goldilocks.mul(matrix[:, :, None], values.T[None, :, :]), axis=1)
    scale = [pow(count, -1, P) * pow(shift, -row, P) % P for row in range(count)]
    return np.ascontiguousarray(goldilocks.mul(sums, np.array(scale, np.uint64)[:, None]).T)
