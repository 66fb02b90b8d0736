"""The soundness terms against published figures, and the claims of the parameter sets at the largest and smallest sizes.

The tables are those of a calculator that agrees with the Ethereum Foundation's soundcalc (github.com/ethereum/soundcalc) to the printed
digit; 300 batched functions, 800 constraints of degree 3, 60 fingerprints a row of at most 8 values, folding by 8. Its rows over a
quadratic extension are the same terms over a field smaller by a factor of p, so they check these terms too.
"""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import replace
from decimal import Decimal, getcontext
from pathlib import Path

import pytest

from zkvm.riscv.machine import machine
from zkvm.stark.air.builder import MAX_POWER
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.params import GRINDING_BITS, PARAMETERS, REGIMES, Parameters
from zkvm.stark.protocol.security import (
    EVENTS,
    FIELD,
    Size,
    Theorem,
    best_bound,
    bits,
    error_terms,
    johnson,
    johnson_bciks20,
    proven_bits,
    size_of,
    unique_decoding,
)
from zkvm.stark.protocol.shape import ProofShape

getcontext().prec = 60
HERE = Path(__file__).parent
PER_DEGREE = math.log2(P)
FUNCTIONS, CONSTRAINTS, FINGERPRINTS = 5300, 4750, 1450
"""More batched functions, constraints, and fingerprints (all tables together, per row of the tallest) than the machine has."""
every_set = pytest.mark.parametrize("chosen", PARAMETERS, ids=lambda chosen: f"{chosen.name}-{chosen.security_bits}")


def some(blowup: int, queries: int = 100) -> Parameters:
    return Parameters("test", blowup, queries, 0, 100)


def theorem_of(blowup: int, m: int | None, tallest: int = 1 << 20) -> Theorem:
    return unique_decoding(1 / blowup, tallest) if m is None else johnson(1 / blowup, m)


def probabilities(parameters: Parameters, size: Size, m: int | None) -> dict[str, float]:
    terms = error_terms(parameters, size, theorem_of(parameters.blowup, m, size.tallest))
    return {term.label: term.probability for term in terms}


def published_size(tallest: int) -> Size:
    """The tables' tuples have 8 values, counted as 8 + 2."""
    return Size(tallest, 300, 800, 60 * tallest, 8)


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
    terms = probabilities(some(blowup), published_size(1 << log), m)
    found = {
        name: bits(terms[name]) - (3 - degree) * PER_DEGREE for name in ("batching", "fold 1", "constraints", "out of domain", "buses")
    }
    found["buses"] += math.log2(list_size(blowup, m))  # this project counts every main trace that a list could hold
    if m is None:  # n exceptional challenges, not (1 - rho) / 2 n: the radius is all of unique decoding
        for name in ("batching", "fold 1"):
            found[name] -= math.log2((1 - 1 / blowup) / 2)
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
    found = [bits(probabilities(some(blowup, count), published_size(1 << 20), m)["query"]) for count in (queries, queries - 1)]
    assert found[0] >= target > found[1]


@every_set
@pytest.mark.parametrize("log", [15, 16, 20, 24])
def test_every_set_reaches_its_claim(chosen: Parameters, log: int) -> None:
    """All terms summed, with more of everything than the machine has."""
    tallest = 1 << log
    size = Size(tallest, FUNCTIONS, CONSTRAINTS, FINGERPRINTS * tallest, machine().arity, MAX_POWER)
    assert best_bound(chosen, size).bits >= chosen.security_bits


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
    folds = {f"fold {k}" for k in range(1, math.ceil(math.log(1 << 24, 8)) + 1)}
    cases: list[tuple[int | None, int, bool, set[str]]] = [(20, 0, False, {"weights"}), (None, 0, False, set())]
    cases += [(20, 127, False, {"weights", "sums"}), (None, 127, True, {"sums", "pin"}), (20, 0, True, {"weights", "pin"})]
    for m, power, pinned, further in cases:
        size = replace(published_size(1 << 24), power=power, pinned=pinned)
        terms = error_terms(chosen, size, theorem_of(chosen.blowup, m, 1 << 24))
        assert {term.label for term in terms} == {"batching", "query", "constraints", "out of domain", "buses"} | folds | further
        assert all(0 < term.probability < 1 and term.bits == -math.log2(term.probability) for term in terms)
        always = {name for name in EVENTS if name not in ("weights", "sums", "pin", "joint buses")}
        assert {term.event for term in terms} == {EVENTS[name] for name in always | further}


@every_set
def test_each_quantity_counts(chosen: Parameters) -> None:
    """More of anything means fewer bits, in the term that it belongs to and in no other."""
    size = Size(1 << 20, 300, 800, 60 << 20, 8, 50)
    base = probabilities(chosen, size, 30)
    for name, changed in {
        "batching": replace(size, batched=600),
        "constraints": replace(size, constraints=1600),
        "buses": replace(size, interactions=120 << 20),
        "buses ": replace(size, arity=20),
        "sums": replace(size, power=127),
    }.items():
        name = name.strip()
        terms = probabilities(chosen, changed, 30)
        assert [term for term in base if terms[term] != base[term]] == [name]
        assert terms[name] > base[name]
    fewer = probabilities(replace(chosen, queries=chosen.queries - 1), size, 30)
    assert fewer["query"] > base["query"]
    taller = probabilities(chosen, replace(size, tallest=1 << 21), 30)
    assert all(taller[term] > base[term] for term in ("batching", "fold 1", "weights", "out of domain"))


@every_set
@pytest.mark.parametrize("log", [15, 20, 24])
def test_the_best_theorem_of_a_regime_counts(chosen: Parameters, log: int) -> None:
    size, rate = Size(1 << log, 300, 800, 60 << log, 8), 1 / chosen.blowup
    theorems = {"unique": [unique_decoding(rate, size.tallest)]}
    theorems["bciks20"] = theorems["unique"] + [johnson_bciks20(rate, m) for m in range(3, 256)]
    theorems["best"] = theorems["bciks20"] + [johnson(rate, m) for m in range(3, 256)]
    bounds = {regime: best_bound(chosen, size, regime) for regime in REGIMES}
    for regime, bound in bounds.items():
        assert bound.terms == error_terms(chosen, size, bound.theorem)
        sums = [sum(term.probability for term in error_terms(chosen, size, theorem)) for theorem in theorems[regime]]
        assert bound.probability == pytest.approx(min(sums), rel=1e-12)
    assert bounds["best"].bits >= bounds["bciks20"].bits >= bounds["unique"].bits


@every_set
@pytest.mark.parametrize("log", [15, 20, 24])
def test_the_sums_in_exact_arithmetic(chosen: Parameters, log: int) -> None:
    """Written again from the theorems' statements, with 60 decimal digits."""
    size = size_of(ProofShape(machine(), chosen, (log,) * len(machine().chips)))
    q, rows, half_up = Decimal(P) ** 3, Decimal(2) ** log, Decimal("0.5")
    points, rate = rows * chosen.blowup, 1 / Decimal(chosen.blowup)
    for regime in REGIMES:
        bound = best_bound(chosen, size, regime)
        if (m := bound.theorem.m) is None:
            radius, decoded, weighted = (1 - rate - 1 / points) / 2, Decimal(1), Decimal(0)
            line = dict.fromkeys(range(20), Decimal(1))  # exceptional challenges by point of the domain
        else:
            x = m + half_up
            radius, decoded = 1 - rate.sqrt() - rate.sqrt() / (2 * m), x / rate.sqrt()
            weighted = (2 * m + 1) / rate.sqrt() * (points + 1) / q
            cube = 3 * rate * rate.sqrt()
            if regime == "bciks20":
                line = {k: x**7 / cube * points / Decimal(8) ** k for k in range(20)}
            else:
                line = {k: (2 * x**5 + 3 * x * radius * rate) / cube + decoded * Decimal(8) ** k / points for k in range(20)}
        total = (size.batched - 1) * line[0] * points / q
        for k in range(1, log // 3 + 1):
            total += 7 * line[k] * points / Decimal(8) ** k / q + 7 * weighted
        total += (1 - radius) ** chosen.queries / 2**GRINDING_BITS
        total += decoded * (size.constraints + size.interactions * (size.arity + 2)) / q
        total += decoded * (3 * (rows + 1) + rows - 1) / (q - rows - points)
        assert bound.probability == pytest.approx(float(total), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "claim", "log", "expected"), [("fast", 100, 20, 98.6), ("fast", 100, 24, 96.3), ("compact", 128, 20, 116.5)]
)
def test_the_theorem_of_2020_as_others_counted_it(name: str, claim: int, log: int, expected: float) -> None:
    chosen = next(entry for entry in PARAMETERS if (entry.name, entry.security_bits) == (name, claim))
    shape = ProofShape(machine(), chosen, (log,) * len(machine().chips))
    assert proven_bits(shape, regime="bciks20") == pytest.approx(expected, abs=0.05)


def test_every_round_is_the_public_calculators() -> None:
    """soundcalc on our entry: floor of our bits, but for the differences that the page explains."""
    entries = {entry["name"]: entry for entry in tomllib.loads((HERE / "soundcalc.toml").read_text())["circuits"]}
    answer = json.loads((HERE / "soundcalc.json").read_text())["circuits"]
    assert set(answer) == set(entries)
    assert len(answer) == 18
    for name, levels in answer.items():
        kind, height = name.split(" 2^")
        chosen = next(entry for entry in PARAMETERS if f"{entry.name}-{entry.security_bits}" == kind)
        shape = ProofShape(machine(), chosen, (int(height),) * len(machine().chips))
        best, unique = (best_bound(chosen, size_of(shape), regime) for regime in ("best", "unique"))
        johnsons, uniques = ({term.label: term.bits for term in bound.terms} for bound in (best, unique))
        m = best.theorem.m
        assert m is not None
        lists = math.log2((m / (1 / chosen.blowup)) / best.theorem.decoded)  # its list of codewords against ours
        assert levels["JBR"]["batching"] == math.floor(johnsons["batching"])
        assert levels["JBR"]["query phase"] == math.floor(johnsons["query"])
        assert levels["JBR"]["ALI"] == math.floor(johnsons["constraints"] - lists)
        assert levels["JBR"]["DEEP"] == math.floor(johnsons["out of domain"] - lists)
        assert levels["JBR"]["buses"] == math.floor(johnsons["buses"] + math.log2(best.theorem.decoded))
        assert levels["UDR"]["query phase"] == math.floor(uniques["query"])
        assert levels["UDR"]["batching"] == math.floor(uniques["batching"] - math.log2((1 - 1 / chosen.blowup) / 2))
        rounds = [levels["JBR"][f"commit round {k + 1}"] for k in range(len(shape.fri_heights))]
        assert rounds == [math.floor(johnsons[f"fold {k + 1}"]) for k in range(len(shape.fri_heights))]
        assert "weights" not in levels["JBR"]
        assert levels["JBR"]["total"] - math.log2(len(best.terms)) - 1 <= bits(best.probability) < levels["JBR"]["total"] + 1


def test_unique_decoding_is_a_regime() -> None:
    """With many queries at a high rate, the simpler bound is enough; its list is one."""
    size = published_size(1 << 20)
    terms = probabilities(some(2), size, None)
    assert terms["constraints"] == 800 / FIELD
    assert terms["query"] == pytest.approx((0.75 + 2**-22) ** 100 * 2.0**-GRINDING_BITS)


def test_what_is_opened_is_unique_in_the_unique_regime() -> None:
    """Two polynomials of degree N within the radius of one word agree on more than N points."""
    for blowup in (2, 4, 8):
        points, radius = blowup << 15, unique_decoding(1 / blowup, 1 << 15).distance
        assert points - 2 * math.floor(radius * points) > 1 << 15


def test_a_column_that_is_opened_twice_has_one_polynomial() -> None:
    """The set of agreement has more points than a polynomial of degree N has roots, whatever the theorem."""
    for blowup in (2, 4, 8):
        for theorem in (unique_decoding(1 / blowup, 1 << 15), johnson(1 / blowup, 3), johnson(1 / blowup, 255)):
            assert (1 - theorem.distance) * (blowup << 15) > (1 << 15) + 1


def test_hashes_cap_the_claim() -> None:
    """No proof claims more than the collision resistance of a 256-bit hash."""
    strong = Parameters("test", 8, 1000, 0, 128)
    shape = ProofShape(machine(), strong, (15,) * len(machine().chips))
    assert bits(best_bound(strong, size_of(shape)).probability) > 128
    assert proven_bits(shape) == 128.0


@every_set
def test_exempt_rows_and_blinding_cover_what_is_seen(chosen: Parameters) -> None:
    """Haböck and Al Kindi (ePrint 2024/1037), equations 16 and 17: 2 (degree n_F + n_D) random rows, less the start and terminal rows.

    A running column is seen at zeta, at w zeta, and through the quotient at the next row of every query; its row n - h is its public
    terminal. A chunk's base column is seen at zeta (three base values) and at the queries.
    """
    assert chosen.exempt - 2 >= 2 * (3 + chosen.queries)
    assert chosen.chunk_blinding >= 3 + chosen.queries
