"""Frozen parameter sets and the verifier's policy.

The numbers, not the names, enter the transcript and the receipt. Query counts and exempt rows: ``docs/protocol.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from numbers import Integral

from zkvm.errors import RejectReason, UsageError, VerificationError

PROTOCOL_VERSION = 1
FOLDING = 8
"""FRI folding factor."""
FINAL_COEFFICIENTS = 64
"""FRI folds until at most this many coefficients are left."""
GRINDING_BITS = 20
"""Proof of work before the queries; there is no other grinding."""
EXEMPT_MAX = 468
"""Largest number of exempt rows of any parameter set: preprocessed tables leave that many rows free under all of them."""
MIN_HEIGHT = 512
MIN_TALLEST = 1 << 15
MAX_HEIGHT = 1 << 24
EXTRA_POINTS = 512
"""Points of the extra coset on which constraints are evaluated besides twice the height."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """A parameter set.

    Attributes:
        name: what users call it.
        blowup: points of the LDE domain per row of the trace.
        queries: FRI queries.
        exempt: random rows h at the end of every table, at least 2 (extension degree + queries) + 2.
        security_bits: proven bits that this set claims.
    """

    name: str
    blowup: int
    queries: int
    exempt: int
    security_bits: int

    @property
    def numbers(self) -> tuple[int, int, int]:
        """What enters transcript and receipt."""
        return self.blowup, self.queries, self.exempt

    @property
    def split_price(self) -> float:
        """What a second table of a chip has to save (:func:`zkvm.stark.tables.split_tables`): the prover's choice, by what the set is for.
        It has columns of its own to open, so ``fast`` has one wherever it saves time, and ``compact`` none. To ``balanced`` a part of the
        time is worth three times that part of the receipt."""
        return {"fast": 0.0, "compact": inf}.get(self.name, 1 / 3)

    @property
    def chunk_blinding(self) -> int:
        """h_p: number of coefficients of each polynomial that blinds a quotient chunk; it must be at least queries + 4."""
        return self.queries + 4


PARAMETERS = (
    Parameters("fast", 2, 164, 336, 100),
    Parameters("balanced", 4, 83, 174, 100),
    Parameters("compact", 8, 56, 120, 100),
    Parameters("fast", 2, 230, 468, 128),
    Parameters("balanced", 4, 113, 234, 128),
    Parameters("compact", 8, 76, 160, 128),
)
BLOWUPS = (2, 4, 8)
DEFAULT_SECURITY = 128
"""Proven bits of the set that proofs are made with if nothing is said."""
DEFAULT_DEMAND = 100
"""Proven bits that a verifier demands if nothing is said: what every known set has, so that no receipt is refused for its age."""
DEFAULT_SEGMENTS = 1 << 12
"""Segments that a verifier accepts if nothing is said."""
BEST, BCIKS20 = "best", "bciks20"
REGIMES = (BEST, BCIKS20, "unique")
"""Which theorems on proximity count (:mod:`zkvm.stark.protocol.security`): those of 2025 too; those of 2020; unique decoding alone."""


def parameters(name: str = "balanced", security: int = DEFAULT_SECURITY) -> Parameters:
    """The set called ``name`` with ``security`` proven bits.

    Args:
        name: fast, balanced or compact.
        security: 100 or 128.

    Returns:
        The set.

    Raises:
        UsageError: there is none.
    """
    for entry in PARAMETERS:
        if entry.name == name and entry.security_bits == security:
            return entry
    raise UsageError(f"no parameter set {name!r} with {security} bits: choose fast, balanced or compact and 100 or 128")


def parameters_from_numbers(numbers: tuple[int, int, int]) -> Parameters:
    """The known set with these numbers.

    Raises:
        VerificationError: POLICY, there is none: a proof cannot bring weaker parameters of its own.
    """
    for entry in PARAMETERS:
        if entry.numbers == numbers:
            return entry
    raise VerificationError(RejectReason.POLICY, f"unknown parameters (blowup, queries, exempt rows) = {numbers}")


def check_regime(regime: str) -> None:
    """Whether there is such a regime.

    Raises:
        UsageError: there is none.
    """
    if regime not in REGIMES:
        raise UsageError(f"no regime {regime!r}: choose one of {', '.join(REGIMES)}")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a verifier accepts; given by the caller, never by the proof.

    Attributes:
        min_security: proven bits that the proof's actual shape must reach.
        allow_dev: accept dev receipts, in which nothing is proven.
        regime: which theorems these bits may rest on: ``best`` (those of 2025 too), ``bciks20`` (those of 2020) or ``unique``
            (unique decoding alone).
        max_segments: of a run in segments; each is a proof to be verified.

    Raises:
        UsageError: there is no such regime, or a demand is of another type.
    """

    min_security: int = DEFAULT_DEMAND
    allow_dev: bool = False
    regime: str = BEST
    max_segments: int = DEFAULT_SEGMENTS

    def __post_init__(self) -> None:
        """What is misspelt or of another type must not become a weaker demand: a text that says false is true."""
        check_regime(self.regime)
        demands = (self.min_security, self.max_segments)
        if type(self.allow_dev) is not bool or any(type(own) is bool or not isinstance(own, Integral | float) for own in demands):
            raise UsageError("a policy's min_security and max_segments are numbers, its allow_dev is True or False")

    def check(self, bits: float) -> None:
        """Whether a proof with so many proven bits, under this regime, is enough.

        Raises:
            VerificationError: POLICY, it has fewer.
        """
        if not bits >= self.min_security:  # a demand that is no number is not met
            where = "" if self.regime == BEST else f" under regime {self.regime!r}"
            raise VerificationError(RejectReason.POLICY, f"{bits:.1f} proven bits for this shape{where}, {self.min_security} demanded")
