"""The soundness terms against published figures, and the claims of the parameter sets at the largest and smallest sizes.

The tables are those of a calculator that agrees with the Ethereum Foundation's soundcalc (github.com/ethereum/soundcalc) to the printed
digit; 300 batched functions, 800 constraints of degree 3, 60 fingerprints a row of at most 8 values, folding by 8. Its rows over a
quadratic extension are the same terms over a field smaller by a factor of p, so they check these terms too.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from zkvm.riscv.machine import machine
from zkvm.stark.air.layout import MAX_ARITY
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.params import GRINDING_BITS, PARAMETERS, Parameters
from zkvm.stark.protocol.security import FIELD, Size, best_regime, bits, error_terms, proven_bits, size_of
from zkvm.stark.protocol.shape import ProofShape

PER_DEGREE = math.log2(P)
FUNCTIONS, CONSTRAINTS, FINGERPRINTS = 1600, 2000, 600
"""More batched functions, constraints, and fingerprints (all tables together, per row of the tallest) than the machine has."""
every_set = pytest.mark.parametrize("chosen", PARAMETERS, ids=lambda chosen: f"{chosen.name}-{chosen.security_bits}")


def some(blowup: int, queries: int = 100) -> Parameters:
    return Parameters("test", blowup, queries, 0, 100)


def published_size(tallest: int) -> Size:
    """The tables' tuples have 8 values, counted as 8 + 2; here MAX_ARITY + 2 are counted."""
    return Size(tallest, 300, 800, 60 * tallest * 10 // (MAX_ARITY + 2))


def list_size(blowup: int, m: int | None) -> float:
    return 1.0 if m is None else (m + 0.5) * math.sqrt(blowup)


# (m or None for unique decoding, extension degree, blowup, log2 N, batch, first fold, constraints, out of domain, buses, bits per query)
PUBLISHED = [
    (None, 2, 2, 20, 100.8, 109, 118, 106, 98.8, 0.415),
    (None, 2, 2, 22, 98.8, 107, 118, 104, 96.8, 0.415),
    (None, 2, 4, 20, 99.2, 107.6, 118, 106, 98.8, 0.678),
    (None, 2, 4, 22, 97.2, 105.6, 118, 104, 96.8, 0.678),
    (None, 2, 8, 20, 98.0, 106, 118, 106, 98.8, 0.830),
    (None, 2, 8, 22, 96.0, 104, 118, 104, 96.8, 0.830),
    (5, 2, 4, 20, 83.1, 91.5, 115, 102.5, 98.8, 0.862),
    (5, 2, 4, 22, 81.1, 89.5, 115, 100.5, 96.8, 0.862),
    (10, 2, 8, 20, 75.9, 84, 113, 101, 98.8, 1.430),
    (10, 2, 8, 22, 73.9, 82, 113, 99, 96.8, 1.430),
    (10, 2, 2, 20, 80.9, 89, 114, 102, 98.8, 0.430),
    (10, 2, 2, 22, 78.9, 87, 114, 100, 96.8, 0.430),
    (40, 3, 2, 20, 135, 144, 176, 164, 163, 0.482),
    (40, 3, 2, 22, 133, 142, 176, 162, 161, 0.482),
    (40, 3, 4, 20, 133, 141, 176, 164, 163, 0.982),
    (40, 3, 4, 22, 131, 139, 176, 162, 161, 0.982),
    (35, 3, 8, 20, 131, 139.5, 176, 163, 163, 1.480),
    (35, 3, 8, 22, 129, 137.5, 176, 161, 161, 1.480),
]


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"m={row[0]} degree {row[1]} blowup {row[2]} 2^{row[3]}")
def test_terms_are_the_published_ones(row: tuple[float | None, ...]) -> None:
    m, degree, blowup, log = (None if row[0] is None else int(row[0])), int(row[1] or 0), int(row[2] or 0), int(row[3] or 0)
    terms = error_terms(some(blowup), published_size(1 << log), m)
    found = {
        name: bits(terms[name]) - (3 - degree) * PER_DEGREE for name in ("batching", "fold 1", "constraints", "out of domain", "buses")
    }
    found["buses"] += math.log2(list_size(blowup, m))  # this project counts every main trace that a list could hold
    for name, expected in zip(found, row[4:9], strict=True):
        assert expected is not None
        assert found[name] == pytest.approx(expected, abs=0.55), name
    assert (bits(terms["query"]) - GRINDING_BITS) / 100 == pytest.approx(row[9], abs=0.0006)


@pytest.mark.parametrize(
    ("target", "blowup", "m", "queries"),
    [
        (100, 2, None, 193), (100, 4, None, 118), (100, 8, None, 97), (128, 2, None, 261), (128, 4, None, 160), (128, 8, None, 131),
        (100, 2, 233, 161), (100, 4, 59, 81), (100, 8, 39, 54), (128, 2, 313, 217), (128, 4, 79, 109), (128, 8, 35, 73),
    ],
)  # fmt: skip
def test_query_counts_are_the_published_ones(target: int, blowup: int, m: int | None, queries: int) -> None:
    size = published_size(1 << 20)
    assert (
        bits(error_terms(some(blowup, queries), size, m)["query"])
        >= target
        > bits(error_terms(some(blowup, queries - 1), size, m)["query"])
    )


@every_set
@pytest.mark.parametrize("log", [15, 16, 20, 24])
def test_every_set_reaches_its_claim(chosen: Parameters, log: int) -> None:
    """All terms summed, with more of everything than the machine has."""
    tallest = 1 << log
    _, terms = best_regime(chosen, Size(tallest, FUNCTIONS, CONSTRAINTS, FINGERPRINTS * tallest))
    assert bits(sum(terms.values())) >= chosen.security_bits


@every_set
def test_the_machine_reaches_every_claim_at_its_largest(chosen: Parameters) -> None:
    """Every table present, each of the largest height: more than the verifier's bound on rows admits."""
    shape = ProofShape(machine(), chosen, (24,) * len(machine().chips))
    size = size_of(shape, closing_tuples=1 << 30)
    assert size.batched <= FUNCTIONS
    assert size.constraints <= CONSTRAINTS
    assert size.interactions <= FINGERPRINTS * shape.tallest
    assert proven_bits(shape, closing_tuples=1 << 30) >= chosen.security_bits


@every_set
def test_every_round_has_its_term(chosen: Parameters) -> None:
    terms = error_terms(chosen, published_size(1 << 24), 20)
    folds = math.ceil(math.log(1 << 24, 8))
    assert set(terms) == {"batching", "query", "constraints", "out of domain", "buses", *(f"fold {k}" for k in range(1, folds + 1))}
    assert all(0 < value < 1 for value in terms.values())


@every_set
def test_each_quantity_counts(chosen: Parameters) -> None:
    """More of anything means fewer bits, in the term that it belongs to and in no other."""
    size = Size(1 << 20, 300, 800, 60 << 20)
    base = error_terms(chosen, size, 30)
    for name, changed in {
        "batching": replace(size, batched=600),
        "constraints": replace(size, constraints=1600),
        "buses": replace(size, interactions=120 << 20),
    }.items():
        terms = error_terms(chosen, changed, 30)
        assert [term for term in base if terms[term] != base[term]] == [name]
        assert terms[name] > base[name]
    fewer = error_terms(replace(chosen, queries=chosen.queries - 1), size, 30)
    assert fewer["query"] > base["query"]
    taller = error_terms(chosen, replace(size, tallest=1 << 21), 30)
    assert all(taller[term] > base[term] for term in ("batching", "fold 1", "out of domain"))


@every_set
@pytest.mark.parametrize("log", [15, 20, 24])
def test_the_better_regime_counts(chosen: Parameters, log: int) -> None:
    size = Size(1 << log, 300, 800, 60 << log)
    m, terms = best_regime(chosen, size)
    assert terms == error_terms(chosen, size, m)
    for other in (None, *range(3, 256)):
        assert sum(terms.values()) <= sum(error_terms(chosen, size, other).values()) * (1 + 1e-12)


def test_unique_decoding_is_a_regime() -> None:
    """With many queries at a high rate, the simpler bound is enough; its list is one."""
    size = published_size(1 << 20)
    terms = error_terms(some(2), size, None)
    assert terms["constraints"] == 800 / FIELD
    assert terms["query"] == pytest.approx(0.75**100 * 2.0**-GRINDING_BITS)


def test_hashes_cap_the_claim() -> None:
    """No proof claims more than the collision resistance of a 256-bit hash."""
    strong = Parameters("test", 8, 1000, 0, 128)
    shape = ProofShape(machine(), strong, (15,) * len(machine().chips))
    _, terms = best_regime(strong, size_of(shape))
    assert bits(sum(terms.values())) > 128
    assert proven_bits(shape) == 128.0


@every_set
def test_exempt_rows_and_blinding_cover_what_is_seen(chosen: Parameters) -> None:
    """Haböck and Al Kindi (ePrint 2024/1037), equations 16 and 17: 2 (degree n_F + n_D) random rows, less the start and terminal rows.

    A running column is seen at zeta, at w zeta, and through the quotient at the next row of every query; its row n - h is its public
    terminal. A chunk's base column is seen at zeta (three base values) and at the queries.
    """
    assert chosen.exempt - 2 >= 2 * (3 + chosen.queries)
    assert chosen.chunk_blinding >= 3 + chosen.queries
