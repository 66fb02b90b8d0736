"""The real prover at a size at which linear algebra over the whole of its randomness is feasible.

Tables of 1024 and 512 rows, two queries, and as many exempt rows as the rule of the parameter sets gives for them. Challenges are
fixed (an honest verifier's, drawn beforehand), so that what a proof shows is a function of the prover's randomness.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.soundness.cheating import WideStepChip
from tests.toy import MAX_ROWS, AuditChip, SquaresChip, Walk, toy_statement
from zkvm.stark.air.builder import Argument, Bus, BusBuilder
from zkvm.stark.air.chip import Trace
from zkvm.stark.air.columns import Row
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Table
from zkvm.stark.crypto.hashes import blake3
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.field.extension import Ext
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.params import EXEMPT_MAX, Parameters
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.prover import prove, tapes
from zkvm.stark.prover.preprocessed import Preprocessed, commit_preprocessed
from zkvm.stark.prover.randomness import Randomness
from zkvm.stark.tables import build_tables

U64 = NDArray[np.uint64]
QUERIES: Final = 2
SMALL: Final = Parameters("small", 2, QUERIES, 2 * (3 + QUERIES) + 2, 0)
"""Two queries, and the exempt rows that the rule gives for them."""
ENTRIES, STEPS = 512 - EXEMPT_MAX, 600
QUERIED: Final = (77, 1024 + 301)
"""Query positions j N + k: one on each coset, with different rows also in the table of 512 rows."""


SUMS = Bus("small sums", 5, 1, Argument.SUM, "(index)", power=9)


class SummingStepChip(WideStepChip):
    """A step that also adds its square to a sum, with a coefficient over the extension."""

    name = "step"

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        super().interactions(buses, row)
        buses.contribute("square", SUMS, (row.index,), [(0, row.real)], [(2, row.real), (9, row.square)])


class SummingAuditChip(AuditChip):
    """An audit that takes it away again: a product, and a running sum of coefficients alone, of degree 3."""

    name = "audit"

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        super().interactions(buses, row)
        buses.contribute("square", SUMS, (row.index,), [(0, row.real)], [(0, -row.real)], [(2, row.real), (9, row.square)])


class ShortSquaresChip(SquaresChip):
    """The lookup table with few entries: a table of 512 rows."""

    name = "squares"

    def rows(self, execution: Walk) -> int:
        return ENTRIES

    def preprocessed_rows(self, image: object) -> int:
        return ENTRIES

    def fill_preprocessed(self, image: object, trace: Trace) -> None:
        values = np.arange(ENTRIES, dtype=np.uint64)
        trace["value"][:ENTRIES], trace["value_square"][:ENTRIES], trace["used"][:ENTRIES] = values, values**2, 1

    def serve_row(self, image, bus, values):  # type: ignore[no-untyped-def]
        inside = (values[0] < ENTRIES) & (values[1] == values[0] ** 2)
        return [("multiplicity", np.where(inside, values[0].astype(np.int64), 0), inside)]


MACHINE: Final = Machine("small toy", (SummingStepChip(), SummingAuditChip(), ShortSquaresChip()), MAX_ROWS)


class Fixed(Transcript):
    """Challenges and positions that depend on nothing; asks for no work."""

    def __init__(self, positions: tuple[int, ...] = QUERIED, challenges: str = "") -> None:
        super().__init__("fixed")
        self._positions, self._challenges = positions, challenges

    def draw_extension(self, label: str) -> Ext:
        words = np.frombuffer(blake3(f"{self._challenges}{label}".encode(), length=24), "<u8")
        return int(words[0]) % P, int(words[1]) % P, int(words[2]) % P

    def draw_indices(self, label: str, count: int, bound: int) -> NDArray[np.int64]:
        return np.array(self._positions, np.int64)

    def grind_check(self, label: str, nonce: int, bits: int) -> None:
        pass


class Chosen(Randomness):
    """The streams of ``seed``, except those in ``given``."""

    def __init__(self, seed: bytes, given: dict[str, U64]) -> None:
        super().__init__(seed)
        self._given = given

    def elements(self, stream: str, shape: int | tuple[int, ...], threads: int = 1) -> U64:
        drawn = super().elements(stream, shape, threads)
        return self._given[stream].reshape(drawn.shape).copy() if stream in self._given else drawn


def walk(seed: int) -> Walk:
    """One of many witnesses of equal heights: 600 numbers below ENTRIES, with a sum of squares that does not depend on the seed."""
    half = np.random.default_rng(seed).permutation(np.arange(STEPS, dtype=np.uint64) % np.uint64(ENTRIES - 1) + np.uint64(1))
    return Walk(half)


@cache
def preprocessed() -> Preprocessed:
    """The lookup table."""
    return commit_preprocessed(MACHINE, preprocess(MACHINE, None), SMALL.blowup)


def statement() -> Statement:
    """What is public: the same for all witnesses."""
    return toy_statement(STEPS, int(walk(0).sums[-1]), preprocessed().root, 512)


def filled_tables(seed: int, exempt: int = SMALL.exempt) -> list[Table]:
    """The tables of a witness."""
    return build_tables(MACHINE, walk(seed), None, exempt, evaluate=tapes.evaluate_columns)


def shape() -> ProofShape:
    """Heights 1024, 1024, 512."""
    return ProofShape(MACHINE, SMALL, (10, 10, 9))


@contextmanager
def no_work() -> Iterator[pytest.MonkeyPatch]:
    """The prover without its proof of work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prove, "search_nonce", lambda *arguments: 0)
        yield patch


def prove_small(randomness: Randomness, witness: int = 0, transcript: Transcript | None = None, parameters: Parameters = SMALL) -> Proof:
    """A proof of a witness (inside :func:`no_work`)."""
    tables = filled_tables(witness, parameters.exempt)
    options: dict[str, Any] = {"randomness": randomness, "transcript": transcript or Fixed()}
    return prove.prove_tables(MACHINE, parameters, statement(), tables, preprocessed(), **options)[0]
