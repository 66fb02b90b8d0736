"""The quotient: constraints on the LDE, divided by the vanishing polynomials, as three blinded chunks.

A table of height n has h exempt rows. The combined quotient Q of all tables of this height has degree at most 2 n + h - 3. It is
evaluated on 2 n points (two of the LDE's cosets, which are s <w_2n>) and on one extra coset of 512 points:
``Q = Q0 + (X^2n - s^2n) T`` with Q0 interpolated on the 2 n points and T on the 512.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import ProvingError
from zkvm.stark.air.layout import EXTENSION
from zkvm.stark.field import extension, goldilocks
from zkvm.stark.field.extension import Ext
from zkvm.stark.field.goldilocks import P, coset_shift, root_of_unity
from zkvm.stark.kernels.columns import accumulate, base_batch_inverse, base_powers
from zkvm.stark.kernels.combine import combine_groups
from zkvm.stark.kernels.ntt import evaluate_coset, interpolate_coset, interpolate_cosets
from zkvm.stark.kernels.parallel import TASK_WORDS, run_ranges
from zkvm.stark.kernels.scratch import scratch
from zkvm.stark.protocol.joint import Joined, all_params
from zkvm.stark.protocol.params import EXTRA_POINTS
from zkvm.stark.protocol.shape import QUOTIENT_CHUNKS, ProofShape, params_of
from zkvm.stark.prover import tapes
from zkvm.stark.prover.columns import Committed, extra_shift
from zkvm.stark.prover.randomness import Randomness
from zkvm.stark.prover.tasks import share_out

U64 = NDArray[np.uint64]


_CHUNK = 1 << 12
"""Rows whose constraints of all tables are summed while the sums are in cache."""
_SUMS = 9
"""Outputs of an accumulating tape: three groups of constraints, three coordinates."""


@lru_cache(maxsize=32)
def exempt_polynomial(height: int, exempt: int) -> U64:
    """Coefficients of E(X), the product of X - w^i over the exempt rows: (exempt + 1,) uint64, low first.

    The rows are a geometric sequence r, r w, ..., so this is Gauss's q-binomial theorem: the coefficient of X^(h-k) is
    (-r)^k w^(k(k-1)/2) times the Gaussian binomial of h over k, each of them the one before times (1 - w^(h-k+1)) / (1 - w^k).
    """
    root = root_of_unity(height)
    powers = goldilocks.powers(root, exempt + 1).tolist()
    row = pow(root, height - exempt, P)
    inverses = goldilocks.inv(np.array([(1 - power) % P for power in powers[1:]], np.uint64)).tolist()
    coefficients = [1]
    for k in range(1, exempt + 1):
        ratio = (1 - powers[exempt - k + 1]) * inverses[k - 1]
        coefficients.append(-coefficients[-1] * row * powers[k - 1] * ratio % P)
    return np.array(coefficients[::-1], np.uint64)


def _exempt_values(height: int, exempt: int, size: int, shift: int, scale: int) -> U64:
    """E(X) times ``scale`` on the coset shift <w_size>, natural order: (size,)."""
    padded = np.zeros((1, size), np.uint64)
    padded[0, : exempt + 1] = goldilocks.mul(exempt_polynomial(height, exempt), np.uint64(scale))
    values: U64 = evaluate_coset(padded, size, 1, shift)[0, 0]
    return values


def _inverse_selectors(points: U64, active: U64, height: int, exempt: int) -> U64:
    """(3, m): what each group of constraints is multiplied by at the points.

    ``active``, which is E / (x^n - 1) there; 1 / (x - w^(n-1)); 1 / (x - w^(n-h)).
    """
    root = root_of_unity(height)
    out = np.empty((3, len(points)), np.uint64)
    out[0] = active
    for number, row in ((1, height - 1), (2, height - exempt)):
        base_batch_inverse(goldilocks.sub(points, np.uint64(pow(root, row, P))), out[number])
    return out


@lru_cache(maxsize=64)
def coset_selectors(height: int, exempt: int, shift: int) -> U64:
    """Inverse selectors on the coset shift <w_n>, natural order: (3, n)."""
    points = base_powers(root_of_unity(height), height, shift)
    scale = pow(pow(shift, height, P) - 1, -1, P)  # x^n is the same everywhere on the coset
    return _inverse_selectors(points, _exempt_values(height, exempt, height, shift, scale), height, exempt)


@lru_cache(maxsize=64)
def extra_selectors(height: int, exempt: int) -> U64:
    """Inverse selectors on the extra coset g <w_512>, natural order: (3, 512)."""
    shift = extra_shift(height)
    points = base_powers(root_of_unity(EXTRA_POINTS), EXTRA_POINTS, shift)
    vanishing = goldilocks.sub(goldilocks.pow_(points, height), np.uint64(1))
    active = goldilocks.mul(_exempt_values(height, exempt, EXTRA_POINTS, shift, 1), base_batch_inverse(vanishing))
    return _inverse_selectors(points, active, height, exempt)


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
    """Coefficients of the combined quotient of all tables of one height.

    Args:
        shape: of the proof.
        height: rows n of the tables.
        tables: the tables of this height.
        powers: for each chip its slice of the constraint challenge's powers, (k, 3).
        params: for each chip its runtime constants.
        threads: at most this many.

    Returns:
        (3, 2 n + 512) uint64, low first.

    Raises:
        ProvingError: the quotient has too high a degree: some constraint does not hold.
    """
    blowup, exempt = shape.parameters.blowup, shape.parameters.exempt
    shift = coset_shift(height)
    selectors = [coset_selectors(height, exempt, shift * pow(root_of_unity(2 * height), half, P) % P) for half in range(2)]
    bound = [tapes.bind(table.code.constraint_tape, params[table.chip.name], powers[table.chip.name]) for table in tables]
    values = np.zeros((EXTENSION, 2 * height), np.uint64)
    chunk = min(_CHUNK, height)

    def work(first: int, last: int) -> None:
        for begin in range(first, last, chunk):
            half, start = divmod(begin, height)
            sums = _no_sums(chunk)
            for table, tape in zip(tables, bound, strict=True):
                _add_sums_on_coset(table, tape, half * (blowup // 2), start, sums)
            _add_quotients(sums, selectors[half], start, values, begin)

    run_ranges(work, 2 * height, TASK_WORDS, threads, chunk)  # cosets 0 and B/2 of the LDE: the domain s <w_2n>
    extra = np.zeros((EXTENSION, EXTRA_POINTS), np.uint64)
    sums = _no_sums(EXTRA_POINTS)
    for table, tape in zip(tables, bound, strict=True):
        _add_sums_on_extra(table, tape, sums)
    _add_quotients(sums, extra_selectors(height, exempt), 0, extra, 0)
    known = interpolate_cosets(values.reshape(EXTENSION, 2, height), shift, threads)
    top = _top_part(height, exempt, known, extra)
    result = np.concatenate([known, top], axis=1)
    correction = goldilocks.mul(top, np.uint64(pow(shift, 2 * height, P)))
    result[:, :EXTRA_POINTS] = goldilocks.sub(result[:, :EXTRA_POINTS], correction)
    return result


def _no_sums(rows: int) -> U64:
    """Zeros (9, rows) in scratch space: sums of no constraints, by group and coordinate."""
    sums = scratch("constraint sums", (_SUMS, rows))
    sums[:] = 0
    return sums


def _add_sums_on_coset(table: Committed, tape: tapes.Bound, coset: int, start: int, sums: U64) -> None:
    """Add one table's constraints by group, times the challenge's powers, on rows of an LDE coset to sums (9, rows)."""
    main, pre = tapes.columns_of(table.main_lde, coset), tapes.columns_of(table.pre_lde, coset)
    bus = tapes.columns_of(table.bus_lde, coset)
    tape.run(main, pre, sums, table.height, bus=bus, following=bus, start=start)


def _add_sums_on_extra(table: Committed, tape: tapes.Bound, sums: U64) -> None:
    """Add one table's constraints by group, times the challenge's powers, on the extra coset to sums (9, 512)."""
    main, pre, bus = tapes.columns_of(table.main_extra), tapes.columns_of(table.pre_extra), tapes.columns_of(table.bus_extra)
    tape.run(main, pre, sums, EXTRA_POINTS, bus=bus, following=tapes.columns_of(table.next_extra), shift=0)


def _add_quotients(sums: U64, inverses: U64, start: int, out: U64, first: int) -> None:
    """Add (9, m) sums, times inverse selectors (3, n) from row ``start``, to columns first to first + m of ``out`` (3, k)."""
    rows = sums.shape[1]
    flat_inverses, flat_out = inverses.reshape(-1)[start:], out.reshape(-1)[first:]
    combine_groups(sums.reshape(-1), rows, flat_inverses, inverses.shape[1], flat_out, out.shape[1], 0, rows)


def _top_part(height: int, exempt: int, known: U64, extra: U64) -> U64:
    """T = (Q - Q0) / (X^2n - s^2n) by its values on the extra coset.

    Args:
        height: rows n of the tables.
        exempt: exempt rows h.
        known: (3, 2 n) coefficients of Q0.
        extra: (3, 512) values of Q on the extra coset.

    Returns:
        (3, 512) coefficients, low first.
    """
    g = extra_shift(height)
    # coefficients of Q0 modulo X^512 - g^512: blocks of 512 times powers of g^512
    blocks = known.reshape(EXTENSION, -1, EXTRA_POINTS)
    weights = np.zeros((blocks.shape[1], EXTENSION), np.uint64)
    weights[:, 0] = goldilocks.powers(pow(g, EXTRA_POINTS, P), blocks.shape[1])
    folded = np.zeros((EXTENSION, EXTRA_POINTS), np.uint64)
    for coordinate in range(EXTENSION):
        sums = np.zeros((EXTENSION, EXTRA_POINTS), np.uint64)
        accumulate([blocks[coordinate]], weights, sums)
        folded[coordinate] = sums[0]
    reduced = evaluate_coset(folded, EXTRA_POINTS, 1, g)[:, 0]
    divisor = pow(g, 2 * height, P) - pow(coset_shift(height), 2 * height, P)  # one for all points: 512 divides 2 n
    values = goldilocks.mul(goldilocks.sub(extra, reduced), np.uint64(pow(divisor, -1, P)))
    top = interpolate_coset(np.ascontiguousarray(values), g)
    require_zero(top[:, max(exempt - 2, 0) :], f"the quotient of the tables of height {height} has too high a degree: a constraint fails")
    return top


def lifted_quotient(shape: ProofShape, per_height: dict[int, U64], threads: int = 1) -> U64:
    """Sum of Q_n(X^(N/n)) over the heights: (3, 3 M) coefficients, as many as three chunks of length M hold.

    Raises:
        ProvingError: a coefficient beyond the chunks is not zero.
    """
    length = QUOTIENT_CHUNKS * shape.chunk_length
    total = np.zeros((EXTENSION, length), np.uint64)

    def work(first: int, last: int) -> None:
        own = total[first:last]
        for height, coefficients in sorted(per_height.items(), reverse=True):
            step = shape.tallest // height
            used = -(-length // step)
            require_zero(coefficients[first:last, used:], "the quotient does not fit its chunks: a constraint fails")
            part = coefficients[first:last, :used]
            target = own[:, : part.shape[1] * step : step]
            added = part[:, : target.shape[1]]
            target[:] = goldilocks.add(target, added) if step > 1 else added  # the tallest comes first, to zeros

    run_ranges(work, EXTENSION, length, threads)
    return total


def blinded_chunks(shape: ProofShape, quotient: U64, randomness: Randomness) -> U64:
    """Chunks q_0 + X^M t_0, q_1 + X^M t_1 - t_0, q_2 - t_1 with uniform t_i: (9, N) coefficients, chunk by chunk.

    The sum of X^(i M) times chunk i is the quotient that was cut into the q_i, since the t_i cancel.
    """
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
    joined: Joined | None = None,
) -> U64:
    """Coefficients of the nine blinded quotient columns: (9, N)."""
    all_powers = extension.powers(challenge, shape.constraint_count)
    shared = all_params(shape.machine, alpha, beta, joined)
    powers: dict[str, U64] = {}
    params: dict[str, list[int]] = {}
    first = 0
    for entry in shape.tables:
        count, name = len(entry.code.groups), entry.code.chip.name
        powers[name] = all_powers[first : first + count]
        params[name] = params_of(shared, terminals[name])
        first += count
    per_height: dict[int, U64] = {}
    groups = [[table for table in tables if table.height == height] for height in shape.heights]

    def work(number: int, threads: int) -> None:
        height = shape.heights[number]
        per_height[height] = height_quotient(shape, height, groups[number], powers, params, threads)
        for table in groups[number]:
            table.drop_extra()

    share_out(work, [sum(sum(table.code.widths) * table.height for table in group) for group in groups], threads)
    return blinded_chunks(shape, lifted_quotient(shape, per_height, threads), randomness)
