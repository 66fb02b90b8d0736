"""Proven security of a proof's shape, term by term.

Round-by-round soundness of DEEP-ALI with FRI and LogUp in the random oracle model. ``q = p^3``, rate ``rho``, dimension ``N``,
domain ``n = N / rho``. What can be proven depends on which theorems about proximity one accepts; a *regime* is a set of them, each a
part of the next:

- ``unique``: unique decoding, Ben-Sasson, Carmon, Ishai, Kopparty and Saraf (BCIKS20, ePrint 2020/654), theorem 6.1;
- ``bciks20``: also that paper's Johnson bound, theorems 6.2 and 7.2;
- ``best``: also the better constants of Ben-Sasson, Carmon, Haböck, Kopparty and Saraf (ePrint 2025/2055), theorems 1.5 and 4.2.

The bound of a regime is its best theorem's, at the best radius. The conjectured up-to-capacity regime is refuted and never used. What the
query phase needs of these theorems, and why, is in ``docs/security.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from zkvm.stark.air.layout import is_joint
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.params import BCIKS20, BEST, FOLDING, GRINDING_BITS, MAX_HEIGHT, MIN_TALLEST, Parameters, check_regime
from zkvm.stark.protocol.shape import ProofShape

FIELD = float(P) ** 3
"""Size of the extension field."""
ROWS_READ = 2
"""A column is read at most at this row and the next."""
CONSTRAINT_DEGREE = 3
SMALLEST_M, LARGEST_M = 3, 255
TALLEST_HEIGHTS = (MAX_HEIGHT // MIN_TALLEST).bit_length()
"""How many heights the tallest table of a proof may have."""
HASH_BITS = 128.0
"""Collision resistance of BLAKE3's 256-bit digests: no proof claims more."""

EVENTS = {
    "batching": "columns far from polynomials combine to something close to one",
    "fold": "a folded layer is closer to polynomials than the layer before",
    "weights": "it is closer on the points above which the earlier checks hold",
    "query": "all queries miss a codeword that is far away",
    "constraints": "a false constraint disappears in the combination of all",
    "out of domain": "different polynomials agree at zeta",
    "buses": "unbalanced buses balance at alpha, beta",
    "sums": "the same with the powers of beta in the coefficients of sums",
    "pin": "two sets of early columns that are both close to what is committed agree where they are pinned",
    "joint buses": "joint buses that do not balance over all proofs balance at the joint alpha, beta",
}
"""The bad event of each term; folds are numbered and share one."""


@dataclass(frozen=True, slots=True)
class Term:
    """A way in which a false proof could be accepted.

    Attributes:
        label: name.
        probability: that it happens; that of ``query`` already counts the proof of work.
        event: what happens, a sentence for readers.
    """

    label: str
    probability: float
    event: str

    @property
    def bits(self) -> float:
        """The probability in bits."""
        return bits(self.probability)


@dataclass(frozen=True, slots=True)
class Size:
    """What the error terms depend on.

    Attributes:
        tallest: height N of the tallest table.
        batched: functions in the FRI batch: every opening, and the mask.
        constraints: base-field constraints of all tables.
        interactions: fingerprints over all rows, and those of the statement's tuples.
        arity: most values in a tuple.
        power: largest power of beta in a coefficient of a sum; 0 without sums.
        pinned: whether it has early columns, which are joined with those of other proofs.
    """

    tallest: int
    batched: int
    constraints: int
    interactions: int
    arity: int
    power: int = 0
    pinned: bool = False


def size_of(shape: ProofShape, closing_tuples: int = 0) -> Size:
    """Sizes of a proof of this shape whose statement puts ``closing_tuples`` tuples on the buses."""
    machine, interactions = shape.machine, shape.interactions + closing_tuples
    batched, pinned = shape.opening_count + shape.pinned_count + 1, shape.pinned_count > 0
    return Size(shape.tallest, batched, shape.constraint_count, interactions, machine.arity, machine.largest_power, pinned)


@dataclass(frozen=True, slots=True)
class Theorem:
    """A theorem about correlated agreement at one radius.

    Words far from the code combine, ``u_0 + z u_1 + ... + z^l u_l``, to a word near it for at most ``l exceptional(n)`` of the q
    challenges z, n the length of the domain. If points have weights with a common denominator M, ``l weighted (M n + 1)`` more.

    Attributes:
        label: what readers see.
        distance: relative radius.
        decoded: most codewords within it of one word.
        exceptional: challenges for which a line of far words comes near, as a function of n.
        weighted: the further ones for weights, by point of the largest domain; 0 where the theorem covers weights as it is.
        m: parameter of the Johnson bound; None for unique decoding.
    """

    label: str
    distance: float
    decoded: float
    exceptional: Callable[[float], float]
    weighted: float
    m: int | None


def unique_decoding(rate: float, tallest: int) -> Theorem:
    """Unique decoding: BCIKS20 theorems 4.1 and 6.1, n exceptional challenges of a line up to the radius (1 - rho) / 2.

    An opened column is ``value + (X - point) quotient``, of degree N, one more than the code's words: the radius is smaller by 1 / 2n so
    that these are unique too.
    """
    return Theorem("unique decoding", (1 - rate - rate / tallest) / 2, 1.0, lambda n: n, 0.0, None)


def johnson_bciks20(rate: float, m: int) -> Theorem:
    """The Johnson bound with the constants of BCIKS20: (m + 1/2)^7 n^2 / (3 rho^1.5), theorems 5.1 and 6.2; weights: theorem 7.2."""
    root, half = math.sqrt(rate), m + 0.5
    scale = half**7 / (3 * rate * root)
    return Theorem(f"Johnson bound of 2020, m = {m}", _radius(rate, m), half / root, lambda n: scale * n**2, 2 * half / root, m)


def johnson(rate: float, m: int) -> Theorem:
    """The Johnson bound with the constants of ePrint 2025/2055, theorems 1.5 and 4.2.

    ((2 (m + 1/2)^5 + 3 (m + 1/2) distance rho) n / (3 rho^1.5) + (m + 1/2) / sqrt(rho)). Its factor theorem is that of BCIKS20, whose
    term for weights is therefore added here too.
    """
    root, half, distance = math.sqrt(rate), m + 0.5, _radius(rate, m)
    scale = (2 * half**5 + 3 * half * distance * rate) / (3 * rate * root)
    return Theorem(f"Johnson bound, m = {m}", distance, half / root, lambda n: scale * n + half / root, 2 * half / root, m)


def _radius(rate: float, m: int) -> float:
    return 1 - math.sqrt(rate) * (1 + 1 / (2 * m))


def error_terms(parameters: Parameters, size: Size, theorem: Theorem) -> tuple[Term, ...]:
    """Error probability of every round.

    Args:
        parameters: blowup and queries.
        size: of the proof.
        theorem: on proximity, at the code's rate.

    Returns:
        The terms, in order of the rounds but for the first: it is the batching's, which the folds continue.
    """
    rate, tallest, domain = 1.0 / parameters.blowup, size.tallest, size.tallest * parameters.blowup
    errors = {"batching": (size.batched - 1) * theorem.exceptional(tallest / rate) / FIELD}
    dimension, folds = tallest / FOLDING, 0
    while dimension >= 1:
        folds += 1
        errors[f"fold {folds}"] = (FOLDING - 1) * theorem.exceptional(dimension / rate) / FIELD
        dimension /= FOLDING
    if theorem.weighted:
        # A point's weight is a share of the points of the largest domain above it: M n is that domain's length in every fold.
        errors["weights"] = folds * (FOLDING - 1) * theorem.weighted * (domain + 1) / FIELD
    errors["query"] = (1 - theorem.distance) ** parameters.queries * 2.0**-GRINDING_BITS
    errors["constraints"] = theorem.decoded * size.constraints / FIELD
    degree = CONSTRAINT_DEGREE * (tallest + ROWS_READ - 1) + tallest - 1
    errors["out of domain"] = theorem.decoded * degree / (FIELD - tallest - domain)
    # Any of the main columns that the prover may still decode to could be the one for which alpha and beta are unlucky.
    errors["buses"] = theorem.decoded * size.interactions * (size.arity + 2) / FIELD
    if size.power:
        # A coefficient is a numerator of this degree where a count has none: the cleared total's degree grows by it, once.
        errors["sums"] = theorem.decoded * size.power / FIELD
    if size.pinned:
        # The height of the whole proof is chosen after the pin: the early columns may decode under each that there is.
        errors["pin"] = (TALLEST_HEIGHTS * theorem.decoded) ** 2 * MAX_HEIGHT / (2 * FIELD)
    return tuple(Term(label, error, EVENTS[label.rstrip(" 0123456789")]) for label, error in errors.items())


def joint_term(shapes: Sequence[ProofShape], closing_tuples: int) -> Term:
    """The error of the joint buses of proofs with these shapes. Pinned columns are one, so nothing multiplies it.

    Args:
        shapes: of the proofs.
        closing_tuples: the verifier's tuples on the joint buses.
    """
    joint = [
        (table.height, pair) for shape in shapes for table in shape.tables for pair in table.code.chip.air_buses.pairs if is_joint(pair)
    ]
    interactions = 2 * sum(height for height, _ in joint) + closing_tuples
    arity = max(shape.machine.joint_powers for shape in shapes)
    return Term("joint buses", interactions * (arity + 2) / FIELD, EVENTS["joint buses"])


def bits(probability: float) -> float:
    """The probability in bits: -log2 of it."""
    return -math.log2(probability)


@dataclass(frozen=True, slots=True)
class Bound:
    """What is proven of a proof.

    Attributes:
        theorem: that was used.
        terms: the error terms under it.
    """

    theorem: Theorem
    terms: tuple[Term, ...]

    @property
    def probability(self) -> float:
        """All terms summed."""
        return sum(term.probability for term in self.terms)

    @property
    def bits(self) -> float:
        """All terms summed, in bits, capped by the hash's collision resistance."""
        return min(bits(self.probability), HASH_BITS)


@lru_cache(maxsize=256)
def best_bound(parameters: Parameters, size: Size, regime: str = BEST) -> Bound:
    """The smallest summed error that the theorems of a regime prove. Remembered: most of many segments are alike.

    Args:
        parameters: blowup and queries.
        size: of the proof.
        regime: ``best``, ``bciks20`` or ``unique``.

    Raises:
        UsageError: there is no such regime.
    """
    check_regime(regime)
    rate = 1.0 / parameters.blowup

    def under(theorem: Theorem) -> Bound:
        return Bound(theorem, error_terms(parameters, size, theorem))

    bounds = [under(unique_decoding(rate, size.tallest))]
    if regime in (BEST, BCIKS20):
        # The constants of 2025 are the smaller ones for every m and n.
        family = johnson if regime == BEST else johnson_bciks20
        low, high = SMALLEST_M, LARGEST_M
        # Every term is convex in m: queries fail less with a larger m, all else more. So sums fall up to the best m and then rise.
        while low < high:
            middle = (low + high) // 2
            here, larger = (under(family(rate, m)).probability for m in (middle, middle + 1))
            low, high = (middle + 1, high) if larger < here else (low, middle)
        bounds.append(under(family(rate, low)))
    return min(bounds, key=lambda bound: bound.probability)


def proven_bits(shape: ProofShape, closing_tuples: int = 0, regime: str = BEST) -> float:
    """Proven security in bits of a proof with this shape: all terms summed, capped by BLAKE3's collision resistance.

    Args:
        shape: of the proof.
        closing_tuples: how many tuples its statement puts on the buses.
        regime: which theorems count: ``best``, ``bciks20`` or ``unique``.
    """
    return best_bound(shape.parameters, size_of(shape, closing_tuples), regime).bits


def joined_bits(shapes: Sequence[ProofShape], tuples: Sequence[int], joint_tuples: int, regime: str = BEST) -> tuple[float, float]:
    """Proven bits of proofs that are joined: of the likeliest way in which a false one is accepted, and of all of them summed.

    The first number is what t hashes buy: each belongs to one round of one proof, as a proof's transcript begins with its number, and can
    save that proof alone, and as long as one of them is false all are refused. So t hashes, dealt to the proofs as one likes, succeed with
    at most t times the largest error. The sum bounds the error of challenges that are drawn once, by an interactive verifier.

    Args:
        shapes: of the proofs.
        tuples: how many the statement of each puts on its own buses.
        joint_tuples: how many the verifier puts on the joint buses.
        regime: which theorems count: ``best``, ``bciks20`` or ``unique``.
    """
    sizes = [(shape.parameters, size_of(shape, own)) for shape, own in zip(shapes, tuples, strict=True)]
    errors = [*(best_bound(*each, regime).probability for each in sizes), joint_term(shapes, joint_tuples).probability]
    return min(bits(max(errors)), HASH_BITS), min(bits(sum(errors)), HASH_BITS)
