"""The quotient: constraints on the LDE, divided by the vanishing polynomials, as three blinded chunks.

Per height n, the combined quotient has degree at most 2 n + h - 3. It is evaluated on 2 n points (two of the LDE's cosets) and on
one extra coset of 512 points: ``Q = Q0 + (X^2n - s^2n) T`` with Q0 interpolated on the 2 n points and T on the 512.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from zkvm.air.chip import Chip
from zkvm.air.layout import EXTENSION, MAX_ARITY
from zkvm.air.machine import ChipCode, chip_code
from zkvm.air.tape import Tape, lower
from zkvm.errors import ProvingError
from zkvm.field import extension, goldilocks
from zkvm.field.extension import Ext
from zkvm.field.goldilocks import P, root_of_unity
from zkvm.kernels.columns import accumulate, base_batch_inverse
from zkvm.kernels.combine import combine_groups
from zkvm.kernels.ntt import evaluate_coset, interpolate_coset, interpolate_cosets
from zkvm.kernels.parallel import run_ranges
from zkvm.params import EXTRA_POINTS
from zkvm.prover import tapes
from zkvm.prover.columns import Committed, extra_shift
from zkvm.prover.randomness import Randomness
from zkvm.prover.scratch import scratch
from zkvm.shape import QUOTIENT_CHUNKS, ProofShape, coset_shift, params_of

U64 = NDArray[np.uint64]


@lru_cache(maxsize=64)
def constraint_tape(chip: Chip) -> tuple[ChipCode, Tape]:
    """The chip's constraints as an accumulating tape."""
    code = chip_code(chip)
    return code, lower(code.code, code.groups)


@lru_cache(maxsize=32)
def exempt_polynomial(height: int, exempt: int) -> U64:
    """Coefficients of E(X), the product of X - w^i over the exempt rows: (exempt + 1,) uint64, low first."""
    root = root_of_unity(height)
    row = pow(root, height - exempt, P)
    coefficients = np.ones(1, np.uint64)
    for _ in range(exempt):
        shifted = np.concatenate([np.zeros(1, np.uint64), coefficients])
        scaled = np.concatenate([goldilocks.mul(coefficients, np.uint64(row)), np.zeros(1, np.uint64)])
        coefficients = goldilocks.sub(shifted, scaled)
        row = row * root % P
    return coefficients


def _inverse_selectors(points: U64, vanishing: U64, exempt_values: U64, height: int, exempt: int) -> U64:
    """(3, m): E / (x^n - 1), 1 / (x - w^(n-1)), 1 / (x - w^(n-h)) at the points, in the order of the groups."""
    root = root_of_unity(height)
    out = np.empty((3, len(points)), np.uint64)
    scratch = np.empty(len(points), np.uint64)
    for number, denominators in enumerate(
        (
            vanishing,
            goldilocks.sub(points, np.uint64(pow(root, height - 1, P))),
            goldilocks.sub(points, np.uint64(pow(root, height - exempt, P))),
        )
    ):
        base_batch_inverse(np.ascontiguousarray(denominators), scratch)
        out[number] = scratch
    out[0] = goldilocks.mul(out[0], exempt_values)
    return out


@lru_cache(maxsize=64)
def coset_selectors(height: int, exempt: int, shift: int) -> U64:
    """Inverse selectors on the coset shift <w_n>, natural order: (3, n)."""
    points = goldilocks.mul(goldilocks.powers(root_of_unity(height), height), np.uint64(shift))
    vanishing = np.full(height, (pow(shift, height, P) - 1) % P, np.uint64)
    padded = np.zeros((1, height), np.uint64)
    padded[0, : exempt + 1] = exempt_polynomial(height, exempt)
    values = evaluate_coset(padded, height, 1, shift)[0, 0]
    return _inverse_selectors(points, vanishing, values, height, exempt)


def extra_points(height: int) -> U64:
    """The extra coset g <w_512> of a height: (512,)."""
    powers = goldilocks.powers(root_of_unity(EXTRA_POINTS), EXTRA_POINTS)
    return goldilocks.mul(powers, np.uint64(extra_shift(height)))


@lru_cache(maxsize=64)
def extra_selectors(height: int, exempt: int) -> U64:
    """Inverse selectors on the extra coset: (3, 512)."""
    points = extra_points(height)
    vanishing = goldilocks.sub(goldilocks.pow_(points, height), np.uint64(1))
    values = np.zeros(EXTRA_POINTS, np.uint64)
    for coefficient in exempt_polynomial(height, exempt)[::-1]:
        values = goldilocks.add(goldilocks.mul(values, points), coefficient)
    return _inverse_selectors(points, vanishing, values, height, exempt)


def require_zero(coefficients: U64, message: str) -> None:
    """The prover's own check that a quotient is a polynomial; attack tests replace it to forge on.

    Raises:
        ProvingError: a coefficient is not zero.
    """
    if coefficients.any():
        raise ProvingError(message)


def height_quotient(
    shape: ProofShape, height: int, tables: list[Committed], powers: dict[str, U64], params: dict[str, list[int]], threads: int
) -> U64:
    """Coefficients of the combined quotient of all tables of one height: (3, 2 n + 512) uint64, low first.

    Args:
        powers: per chip its slice of the constraint challenge's powers, (k, 3). params: per chip its runtime constants.

    Raises:
        ProvingError: the quotient has too high a degree: some constraint does not hold.
    """
    blowup, exempt = shape.parameters.blowup, shape.parameters.exempt
    shift = coset_shift(height)
    half_step = root_of_unity(2 * height)
    values = np.zeros((2, EXTENSION, height), np.uint64)
    extra = np.zeros((EXTENSION, EXTRA_POINTS), np.uint64)
    for half in range(2):  # cosets 0 and B/2 of the LDE: the domain s <w_2n>
        inverses = coset_selectors(height, exempt, shift * pow(half_step, half, P) % P)
        for table in tables:
            _accumulate(table, half * (blowup // 2), powers, params, inverses, values[half], threads)
    for table in tables:
        _accumulate(table, -1, powers, params, extra_selectors(height, exempt), extra, threads)
    known = interpolate_cosets(np.ascontiguousarray(values.transpose(1, 0, 2)), shift, threads)
    top = _top_part(height, exempt, known, extra)
    result = np.zeros((EXTENSION, 2 * height + EXTRA_POINTS), np.uint64)
    result[:, : 2 * height] = known
    result[:, 2 * height :] = top
    correction = goldilocks.mul(top, np.uint64(pow(shift, 2 * height, P)))
    result[:, :EXTRA_POINTS] = goldilocks.sub(result[:, :EXTRA_POINTS], correction)
    return result


def _accumulate(
    table: Committed, coset: int, powers: dict[str, U64], params: dict[str, list[int]], inverses: U64, out: U64, threads: int
) -> None:
    """Add one table's share of the quotient on an LDE coset, or on the extra coset (-1), to ``out`` (3, m)."""
    _, tape = constraint_tape(table.chip)
    name = table.chip.name
    rows = out.shape[1]
    if coset < 0:
        sets = (tapes.columns_of(table.main_extra), tapes.columns_of(table.pre_extra), tapes.columns_of(table.bus_extra))
        following, shift = tapes.columns_of(table.next_extra), 0
    else:
        sets = (tapes.columns_of(table.main_lde, coset), tapes.columns_of(table.pre_lde, coset), tapes.columns_of(table.bus_lde, coset))
        following, shift = sets[2], 1
    sums = scratch("constraint sums", (9, rows))
    main, pre, bus = sets
    tapes.run(tape, params[name], main, pre, sums, rows, bus=bus, following=following, shift=shift, powers=powers[name], threads=threads)
    flat_inverses, flat_out = inverses.reshape(-1), out.reshape(-1)

    def work(start: int, stop: int) -> None:
        combine_groups(sums.reshape(-1), rows, flat_inverses, rows, flat_out, rows, start, stop)

    run_ranges(work, rows, 12, threads, 8)


def _top_part(height: int, exempt: int, known: U64, extra: U64) -> U64:
    """T = (Q - Q0) / (X^2n - s^2n) by its values on the extra coset: (3, 512) coefficients.

    Args:
        known: (3, 2 n) coefficients of Q0. extra: (3, 512) values of Q on the extra coset.
    """
    g = extra_shift(height)
    # coefficients of Q0 modulo X^512 - g^512: blocks of 512 times powers of g^512
    blocks = known.reshape(EXTENSION, -1, EXTRA_POINTS)
    weights = np.zeros((blocks.shape[1], EXTENSION), np.uint64)
    weights[:, 0] = goldilocks.powers(pow(g, EXTRA_POINTS, P), blocks.shape[1])
    folded = np.zeros((EXTENSION, EXTRA_POINTS), np.uint64)
    for coordinate in range(EXTENSION):
        sums = np.zeros((EXTENSION, EXTRA_POINTS), np.uint64)
        accumulate(blocks[coordinate], weights, sums)
        folded[coordinate] = sums[0]
    reduced = evaluate_coset(folded, EXTRA_POINTS, 1, g)[:, 0]
    points = extra_points(height)
    divisor = goldilocks.sub(goldilocks.pow_(points, 2 * height), np.uint64(pow(coset_shift(height), 2 * height, P)))
    values = goldilocks.mul(goldilocks.sub(extra, reduced), goldilocks.inv(divisor)[None, :])
    top = interpolate_coset(np.ascontiguousarray(values), g)
    require_zero(top[:, max(exempt - 2, 0) :], f"the quotient of the tables of height {height} has too high a degree: a constraint fails")
    return top


def lifted_quotient(shape: ProofShape, per_height: dict[int, U64]) -> U64:
    """Sum of Q_n(X^(N/n)) over the heights: (3, 3 M) coefficients.

    Raises:
        ProvingError: a coefficient beyond the chunks is not zero.
    """
    length = QUOTIENT_CHUNKS * shape.chunk_length
    total = np.zeros((EXTENSION, length), np.uint64)
    for height, coefficients in per_height.items():
        step = shape.tallest // height
        used = -(-length // step)
        require_zero(coefficients[:, used:], "the quotient does not fit its chunks: a constraint fails")
        part = coefficients[:, :used]
        target = total[:, : part.shape[1] * step : step]
        total[:, : part.shape[1] * step : step] = goldilocks.add(target, part[:, : target.shape[1]])
    return total


def blinded_chunks(shape: ProofShape, quotient: U64, randomness: Randomness) -> U64:
    """Chunks q_0 + X^M t_0, q_1 + X^M t_1 - t_0, q_2 - t_1 with uniform t_i: (9, N) coefficients, chunk by chunk."""
    length, blinding = shape.chunk_length, shape.parameters.chunk_blinding
    noise = randomness.elements("quotient blinding", (QUOTIENT_CHUNKS - 1, EXTENSION, blinding))
    chunks = np.zeros((QUOTIENT_CHUNKS, EXTENSION, shape.tallest), np.uint64)
    for number in range(QUOTIENT_CHUNKS):
        chunks[number, :, :length] = quotient[:, number * length : (number + 1) * length]
        if number < QUOTIENT_CHUNKS - 1:
            chunks[number, :, length:] = noise[number]
        if number:
            chunks[number, :, :blinding] = goldilocks.sub(chunks[number, :, :blinding], noise[number - 1])
    return chunks.reshape(QUOTIENT_CHUNKS * EXTENSION, shape.tallest)


def quotient_chunks(
    shape: ProofShape,
    tables: list[Committed],
    alpha: Ext,
    beta: Ext,
    challenge: Ext,
    terminals: dict[str, list[Ext]],
    randomness: Randomness,
    threads: int,
) -> U64:
    """Coefficients of the nine blinded quotient columns: (9, N)."""
    all_powers = extension.powers(challenge, shape.constraint_count)
    powers: dict[str, U64] = {}
    params: dict[str, list[int]] = {}
    first = 0
    for entry in shape.tables:
        count, name = len(entry.code.constraints), entry.code.chip.name
        powers[name] = all_powers[first : first + count]
        params[name] = params_of(alpha, beta, MAX_ARITY, terminals[name])
        first += count
    per_height = {
        height: height_quotient(shape, height, [table for table in tables if table.height == height], powers, params, threads)
        for height in shape.heights
    }
    return blinded_chunks(shape, lifted_quotient(shape, per_height), randomness)
