"""What a proof shows is random: exempt rows, starts, terminals, chunks, mask and salts, each as much as the argument needs.

The argument is Haböck and Al Kindi's (ePrint 2024/1037): a column's values at points outside its trace domain are uniform as long as
they are not more than its random rows; here the tests look at the prover's own arrays, to see that those rows are what they should be.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.soundness.cheating import BALANCED, WIDE, after, committed, honest_statement, honest_tables
from zkvm.stark.air.table import Table
from zkvm.stark.field import extension
from zkvm.stark.field.extension import ONE, Ext, ext_mul, to_ext
from zkvm.stark.field.goldilocks import P, coset_shift, root_of_unity
from zkvm.stark.protocol.params import MIN_HEIGHT, PARAMETERS, Policy
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.prover import prove
from zkvm.stark.prover.randomness import Randomness
from zkvm.stark.verifier.verify import verify_proof

U64 = NDArray[np.uint64]
Seen = dict[str, U64]


def watched_proof(randomness: Randomness) -> tuple[Proof, Seen]:
    """A proof of the same witness, and the prover's arrays."""
    seen: Seen = {}

    def main(result: None, tables: list[Table]) -> None:
        for table in tables:
            seen[f"main {table.chip.name}"] = table.main.copy()

    def bus(result: Any, table: Table) -> Any:
        seen[f"bus {table.chip.name}"] = result[0].copy()
        return result

    def chunks(result: U64) -> U64:
        seen["chunks"] = result.copy()
        return result

    def salt(result: U64, tree: str) -> U64:
        seen[f"salt {tree}"] = result.copy()
        return result

    def masked(result: U64, coefficients: U64) -> U64:
        seen["mask"] = coefficients[-3:].copy()
        return result

    with pytest.MonkeyPatch.context() as patch:
        for name, change in (
            ("randomize_tables", main),
            ("bus_columns", bus),
            ("quotient_chunks", chunks),
            ("_salt", salt),
            ("evaluate_coset", masked),
        ):
            after(patch, name, change)
        tables = list(honest_tables().values())
        preprocessed = committed(WIDE, BALANCED.blowup)
        proof, _ = prove.prove_tables(WIDE, BALANCED, honest_statement(), tables, preprocessed, randomness=randomness)
    return proof, seen


@cache
def runs() -> tuple[tuple[Proof, Seen], ...]:
    """Two proofs of one witness with fresh randomness, and one without."""
    return watched_proof(Randomness()), watched_proof(Randomness()), watched_proof(Randomness.zeros())


@cache
def shape() -> ProofShape:
    return verify_proof(WIDE, honest_statement(), runs()[0][0], Policy())


def assert_fresh(first: U64, second: U64) -> None:
    """Values that look uniform and independent: none small, none repeated within a run or between runs."""
    both = np.concatenate([first.ravel(), second.ravel()])
    assert both.min() > 0
    assert len(np.unique(both)) == len(both)
    assert abs(float(np.mean(both.astype(np.float64) / P)) - 0.5) < 6 * 0.29 / np.sqrt(len(both))


@pytest.mark.parametrize("name", ["step", "audit", "squares"])
def test_exempt_rows_of_main_columns(name: str) -> None:
    """All of them, in every column; the last row's last start is determined by the others."""
    first, second = (seen[f"main {name}"][:, -BALANCED.exempt :] for _, seen in runs()[:2])
    assert_fresh(first, second)
    active, same = (seen[f"main {name}"][:, : -BALANCED.exempt] for _, seen in runs()[:2])
    assert np.array_equal(active, same)


@pytest.mark.parametrize("name", ["step", "audit", "squares"])
def test_exempt_rows_of_bus_columns(name: str) -> None:
    """A running column's row n - h is its public terminal; every other exempt cell is fresh."""
    code = next(table.code for table in shape().tables if table.code.chip.name == name)
    first, second = (seen[f"bus {name}"][:, -BALANCED.exempt :] for _, seen in runs()[:2])
    assert_fresh(first[:, 1:], second[:, 1:])
    helpers = [column for column in range(len(first)) if column not in code.next_columns]
    if helpers:
        assert_fresh(first[helpers], second[helpers])


def starts(seen: Seen) -> tuple[list[Ext], list[Ext]]:
    """Start values of products and of sums."""
    products: list[Ext] = []
    sums: list[Ext] = []
    for table in shape().tables:
        plan = table.code.plan
        for rank in range(len(plan.running)):
            value = to_ext(seen[f"main {table.code.chip.name}"][3 * rank : 3 * rank + 3, -1])
            (sums if plan.has_sum and rank == len(plan.running) - 1 else products).append(value)
    return products, sums


@pytest.mark.parametrize("run", [0, 1, 2])
def test_starts_cancel(run: int) -> None:
    products, sums = starts(runs()[run][1])
    product = ONE
    for value in products:
        product = ext_mul(product, value)
    assert product == ONE
    assert not extension.total(np.array(sums, np.uint64)).any()


def test_terminals_say_nothing_by_themselves() -> None:
    """Another set of terminals each time for the same witness; only their product and their sum are fixed."""
    first, second = (proof.terminals for proof, _ in runs()[:2])
    assert_fresh(first, second)


def test_quotient_chunks_are_blinded() -> None:
    """Two blinding polynomials with q + 4 coefficients for each base column, at the top of one chunk and the bottom of the next."""
    length, blinding = shape().chunk_length, BALANCED.chunk_blinding
    first, second = (seen["chunks"].reshape(3, 3, -1) for _, seen in runs()[:2])
    assert_fresh(first[:2, :, length:], second[:2, :, length:])
    assert first[:2, :, length:].shape[2] == blinding
    assert not first[2, :, length:].any()
    without = runs()[2][1]["chunks"].reshape(3, 3, -1)
    assert not without[:2, :, length:].any()


def test_mask_has_every_coefficient() -> None:
    """Uniform over the extension and of the batch's full degree; a mask of lower degree would leave the top of the batch bare."""
    first, second = (seen["mask"] for _, seen in runs()[:2])
    assert first.shape == (3, shape().tallest)
    assert_fresh(first, second)


def test_every_leaf_of_every_tree_has_a_salt_of_its_own() -> None:
    salts = [seen[f"salt {tree}"] for _, seen in runs()[:2] for tree in ("main", "bus", "quotient")]
    assert all(salt.size == 2 * BALANCED.blowup * shape().tallest for salt in salts)
    assert_fresh(np.stack(salts[:3]), np.stack(salts[3:]))


def test_without_zero_knowledge_everything_is_zero() -> None:
    proof, seen = runs()[2]
    assert not proof.zk
    for name, array in seen.items():
        if name.startswith("main"):
            exempt = array[:, -BALANCED.exempt : -1]
            assert not exempt.any()
        elif name.startswith("salt") or name == "mask":
            assert not array.any()


@pytest.mark.parametrize("chosen", PARAMETERS, ids=lambda chosen: f"{chosen.name}-{chosen.security_bits}")
@pytest.mark.parametrize("log", [9, 12, 15, 20, 24])
def test_no_opened_point_is_a_row(chosen: Any, log: int) -> None:
    """LDE domains miss the trace domain: x^n is 1 on one and s^n w_B^j on the other; otherwise a query would open a cell."""
    height = 1 << log
    assert height >= MIN_HEIGHT
    on_cosets = {pow(coset_shift(height), height, P) * pow(root_of_unity(chosen.blowup), coset, P) % P for coset in range(chosen.blowup)}
    assert len(on_cosets) == chosen.blowup
    assert 1 not in on_cosets


def test_a_short_table_opens_no_more_rows_than_there_are_queries() -> None:
    """Positions of the tall domain fold onto the short one; its column is seen at no more points than its exempt rows cover."""
    proof = runs()[0][0]
    assert len(proof.main.rows[0]) <= BALANCED.queries
    assert 2 * (3 + BALANCED.queries) <= BALANCED.exempt - 2
