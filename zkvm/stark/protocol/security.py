"""Proven security of a proof's shape, term by term.

Round-by-round soundness of DEEP-ALI with FRI and LogUp in the random oracle model. ``q = p^3``, rate ``rho``, dimension ``N``,
domain ``n = N / rho``. Two proven regimes, the better one counts: unique decoding (proximity ``(1 - rho) / 2``, list 1) and the Johnson
bound with the constants of Ben-Sasson, Carmon, Haböck, Kopparty and Saraf (ePrint 2025/2055, theorem 4.2) for every ``m``. The
conjectured up-to-capacity regime is refuted and never used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from zkvm.stark.air.layout import MAX_ARITY
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.params import FOLDING, GRINDING_BITS, Parameters
from zkvm.stark.protocol.shape import ProofShape

FIELD = float(P) ** 3
"""Size of the extension field."""
ROWS_READ = 2
"""A column is read at most at this row and the next."""
CONSTRAINT_DEGREE = 3
LARGEST_M = 256


@dataclass(frozen=True, slots=True)
class Size:
    """What the error terms depend on.

    Attributes:
        tallest: height N of the tallest table.
        batched: functions in the FRI batch: every opening, and the mask.
        constraints: base-field constraints of all tables.
        interactions: fingerprints over all rows, and those of the statement's tuples.
    """

    tallest: int
    batched: int
    constraints: int
    interactions: int


def size_of(shape: ProofShape, closing_tuples: int = 0) -> Size:
    """Sizes of a proof of this shape whose statement puts ``closing_tuples`` tuples on the buses."""
    return Size(shape.tallest, shape.opening_count + 1, shape.constraint_count, shape.interactions + closing_tuples)


def error_terms(parameters: Parameters, size: Size, m: int | None) -> dict[str, float]:
    """Error probability of every round.

    Args:
        parameters: blowup and queries.
        size: of the proof.
        m: the Johnson bound's parameter (at least 3), or None for unique decoding.

    Returns:
        For each term its name and probability. ``query`` already counts the proof of work.
    """
    rate = 1.0 / parameters.blowup
    root = math.sqrt(rate)
    if m is None:
        distance, decoded = (1 - rate) / 2, 1.0
    else:
        distance, decoded = 1 - root * (1 + 1 / (2 * m)), (m + 0.5) / root

    def linear(dimension: float) -> float:
        """Error of one random linear combination (correlated agreement) at this dimension."""
        domain = dimension / rate
        if m is None:
            return (distance * domain + 1) / FIELD
        return ((2 * (m + 0.5) ** 5 + 3 * (m + 0.5) * distance * rate) * domain / (3 * rate * root) + (m + 0.5) / root) / FIELD

    tallest, domain = size.tallest, size.tallest * parameters.blowup
    terms = {"batching": (size.batched - 1) * linear(tallest)}
    dimension, number = tallest / FOLDING, 1
    while dimension >= 1:
        terms[f"fold {number}"] = (FOLDING - 1) * linear(dimension)
        dimension, number = dimension / FOLDING, number + 1
    terms["query"] = (1 - distance) ** parameters.queries * 2.0**-GRINDING_BITS
    terms["constraints"] = decoded * size.constraints / FIELD
    degree = CONSTRAINT_DEGREE * (tallest + ROWS_READ - 1) + tallest - 1
    terms["out of domain"] = decoded * degree / (FIELD - tallest - domain)
    # Any of the main columns that the prover may still decode to could be the one for which alpha and beta are unlucky.
    terms["buses"] = decoded * size.interactions * (MAX_ARITY + 2) / FIELD
    return terms


def bits(probability: float) -> float:
    """The probability in bits: -log2 of it."""
    return -math.log2(probability)


def best_regime(parameters: Parameters, size: Size) -> tuple[int | None, dict[str, float]]:
    """The regime (m, or None for unique decoding) whose summed error is smallest, and its terms."""
    low, high = 3, LARGEST_M - 1
    # Every term is convex in m: queries fail less with a larger m, all else more. So sums fall up to the best m and then rise.
    while low < high:
        middle = (low + high) // 2
        here, larger = (sum(error_terms(parameters, size, m).values()) for m in (middle, middle + 1))
        low, high = (middle + 1, high) if larger < here else (low, middle)
    unique, johnson = (error_terms(parameters, size, m) for m in (None, low))
    return (low, johnson) if sum(johnson.values()) < sum(unique.values()) else (None, unique)


def proven_bits(shape: ProofShape, closing_tuples: int = 0) -> float:
    """Proven security in bits of a proof with this shape: all terms summed, capped by BLAKE3's collision resistance."""
    _, terms = best_regime(shape.parameters, size_of(shape, closing_tuples))
    return min(bits(sum(terms.values())), 128.0)
