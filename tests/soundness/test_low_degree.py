"""Attacks on commitments, openings and the low-degree test, each by a prover whose transcript is consistent with its lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.soundness.cheating import (
    BALANCED,
    WIDE,
    after,
    first_chunk,
    honest_statement,
    honest_tables,
    prove_tables,
    refusal,
    skip_own_checks,
    sum_on_every_coset,
)
from zkvm.stark.field import goldilocks
from zkvm.stark.field.extension import Ext, ext_add, ext_from_base, ext_mul, ext_pow, ext_sub, to_ext
from zkvm.stark.field.goldilocks import P, add, coset_shift, root_of_unity
from zkvm.stark.protocol.params import Policy
from zkvm.stark.protocol.proof import LayerOpening, Proof, TreeOpening
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.prover import deep, prove
from zkvm.stark.prover.commit import MerkleTree
from zkvm.stark.verifier.fri import points_at
from zkvm.stark.verifier.verify import verify_proof

U64 = NDArray[np.uint64]
ONE = np.uint64(1)
OOD = "OOD: the constraints do not equal the quotient"
FINAL = "FRI: the final polynomial does not continue the last fold"
NOT_COMMITTED = "FRI: layer 0 does not continue what came before"
MERKLE = "MERKLE: "


@cache
def honest_proof() -> Proof:
    return prove_tables(honest_tables())


@cache
def honest_shape() -> ProofShape:
    return verify_proof(WIDE, honest_statement(), honest_proof(), Policy())


# --- quotient ------------------------------------------------------------------------------------------------------------------------


def test_quotient_chunks_of_too_high_degree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The right quotient, split too high: chunk 0 + X^M t, chunk 1 - t with a t so long that chunk 0 reaches degree N + 5."""
    shape = honest_shape()
    height, length, blowup = shape.tallest, shape.chunk_length, BALANCED.blowup
    top = height - length + 5
    x = points_at(height, blowup, coset_shift(height), np.arange(blowup * height))
    first, second = (goldilocks.pow_(x, power).reshape(blowup, height) for power in (length + top, top))

    def change(lde: U64) -> U64:
        lde[0] = add(lde[0], first)
        lde[3] = goldilocks.sub(lde[3], second)
        return lde

    def open_truly(values: U64, zeta: Ext) -> U64:
        """The prover's openings interpolate the first coset, where X^(N + 5) looks like s^N X^5."""
        seen = ext_mul(ext_from_base(pow(coset_shift(height), height, P)), ext_pow(zeta, 5))
        position = first_chunk(shape)
        values[position] = ext_add(to_ext(values[position]), ext_sub(ext_pow(zeta, height + 5), seen))
        return values

    sum_on_every_coset(monkeypatch)
    after(monkeypatch, "evaluate_coset", change)
    after(monkeypatch, "open_columns", open_truly)
    assert refusal(prove_tables(honest_tables())).startswith(FINAL)


@pytest.mark.parametrize("column", [0, 8, 9, 11], ids=["first chunk", "last chunk", "mask", "mask's last coordinate"])
def test_quotient_tree_holds_no_polynomial(monkeypatch: pytest.MonkeyPatch, column: int) -> None:
    """One coset of a chunk, or of the mask, belongs to another polynomial; the openings are those of the first coset."""

    def change(lde: U64) -> U64:
        lde[column, 1] = add(lde[column, 1], ONE)
        return lde

    sum_on_every_coset(monkeypatch)
    after(monkeypatch, "evaluate_coset", change)
    assert refusal(prove_tables(honest_tables())).startswith(FINAL)


# --- openings ------------------------------------------------------------------------------------------------------------------------


def opening_places() -> dict[str, int]:
    """One opening of each kind."""
    shape = honest_shape()
    preprocessed, main, bus = (sum(table.code.widths[tree] for table in shape.tables) for tree in range(3))
    return {
        "preprocessed": 0,
        "main": preprocessed,
        "bus": preprocessed + main,
        "quotient": preprocessed + main + bus,
        "next row": shape.here_count,
    }


@pytest.mark.parametrize("kind", ["preprocessed", "main", "bus", "quotient", "next row"])
def test_one_opening_is_wrong(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    place = opening_places()[kind]

    def change(values: U64) -> U64:
        values[place] = ext_add(to_ext(values[place]), (1, 0, 0))
        return values

    after(monkeypatch, "open_columns", change)
    assert refusal(prove_tables(honest_tables())).startswith(OOD)


def test_openings_are_wrong_along_the_kernel_of_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two chunks' values move so that the quotient's value stays: only the low-degree test can notice."""

    def change(values: U64, shape: ProofShape, zeta: Ext) -> U64:
        position = first_chunk(shape)
        values[position] = ext_add(to_ext(values[position]), ext_pow(zeta, shape.chunk_length))
        values[position + 3] = ext_sub(to_ext(values[position + 3]), (1, 0, 0))
        return values

    after(monkeypatch, "open_columns", change)
    assert refusal(prove_tables(honest_tables())).startswith(FINAL)


# --- commitments ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tree", [0, 1, 2], ids=["main", "bus", "quotient"])
def test_committed_columns_are_not_those_that_were_used(monkeypatch: pytest.MonkeyPatch, tree: int) -> None:
    """The prover computes with one matrix and commits another that differs in one column."""
    calls: list[int] = []

    class Committer:
        @staticmethod
        def commit(levels: Sequence[Any], salt: U64 | None, threads: int) -> MerkleTree:
            calls.append(len(levels))
            if len(calls) - 1 == tree:
                tall = [levels[-1]] if isinstance(levels[-1], np.ndarray) else list(levels[-1])
                other = tall[0].copy()
                other[0] = add(other[0], ONE)
                levels = [*levels[:-1], [other, *tall[1:]]]
            return MerkleTree.commit(levels, salt, threads)

    monkeypatch.setattr(prove, "MerkleTree", Committer)
    assert refusal(prove_tables(honest_tables())).startswith(NOT_COMMITTED)
    assert len(calls) == 3


def swapped(array: NDArray[Any]) -> NDArray[Any]:
    result = array.copy()
    result[[0, 1]] = result[[1, 0]]
    return result


def swap_rows(opening: TreeOpening, salts: bool) -> TreeOpening:
    own = swapped(opening.salts) if salts and opening.salts is not None else opening.salts
    return replace(opening, rows=tuple(swapped(rows) for rows in opening.rows), salts=own)


@pytest.mark.parametrize("tree", ["preprocessed", "main", "bus", "quotient"])
@pytest.mark.parametrize("salts", [False, True])
def test_rows_swapped_between_queries(tree: str, salts: bool) -> None:
    changed: dict[str, Any] = {tree: swap_rows(getattr(honest_proof(), tree), salts)}
    assert refusal(replace(honest_proof(), **changed)).startswith(MERKLE)


def test_rows_of_one_height_swapped_between_queries() -> None:
    """Only the short tables' rows move: the chain of leaves binds them to the tall ones."""
    main = honest_proof().main
    assert len(main.rows) == 2
    changed = replace(main, rows=(swapped(main.rows[0]), main.rows[1]))
    assert refusal(replace(honest_proof(), main=changed)).startswith(MERKLE)


@pytest.mark.parametrize(
    "change",
    [
        lambda opening: replace(opening, salts=add(opening.salts, ONE)),
        lambda opening: replace(opening, siblings=swapped(opening.siblings)),
        lambda opening: replace(opening, rows=(add(opening.rows[0], ONE), *opening.rows[1:])),
    ],
    ids=["salts", "siblings", "rows"],
)
@pytest.mark.parametrize("tree", ["main", "bus", "quotient"])
def test_opening_is_changed(tree: str, change: Callable[[TreeOpening], TreeOpening]) -> None:
    changed: dict[str, Any] = {tree: change(getattr(honest_proof(), tree))}
    assert refusal(replace(honest_proof(), **changed)).startswith(MERKLE)


# --- layers and final polynomial -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("part", ["leaves swapped", "leaves", "siblings"])
def test_layer_opening_is_changed(number: int, part: str) -> None:
    layers = list(honest_proof().layers)
    leaves, siblings = layers[number].leaves, layers[number].siblings
    changes = {
        "leaves swapped": LayerOpening(swapped(leaves), siblings),
        "leaves": LayerOpening(add(leaves, ONE), siblings),
        "siblings": LayerOpening(leaves, swapped(siblings)),
    }
    layers[number] = changes[part]
    assert refusal(replace(honest_proof(), layers=tuple(layers))).startswith(MERKLE)


def plus_one(codeword: U64) -> U64:
    """Another codeword of the same degree."""
    codeword[0] = add(codeword[0], ONE)
    return codeword


def test_first_layer_is_another_codeword(monkeypatch: pytest.MonkeyPatch) -> None:
    after(monkeypatch, "deep_codeword", plus_one)
    assert refusal(prove_tables(honest_tables())).startswith(NOT_COMMITTED)


@pytest.mark.parametrize(("fold", "reason"), [(0, "FRI: layer 1 does not"), (1, "FRI: layer 2 does not"), (2, FINAL)])
def test_a_layer_is_another_codeword(monkeypatch: pytest.MonkeyPatch, fold: int, reason: str) -> None:
    """From one fold on, everything belongs to another low-degree polynomial."""
    calls: list[int] = []

    def change(codeword: U64) -> U64:
        calls.append(len(calls))
        return plus_one(codeword) if calls[-1] == fold else codeword

    after(monkeypatch, "fold8", change, deep)
    assert refusal(prove_tables(honest_tables())).startswith(reason)
    assert len(calls) == 3


@pytest.mark.parametrize("coefficient", [0, 1, 63])
def test_final_polynomial_has_a_wrong_coefficient(monkeypatch: pytest.MonkeyPatch, coefficient: int) -> None:
    def change(result: Any) -> Any:
        layers, final = result
        final[coefficient, 2] = add(final[coefficient, 2], ONE)
        return layers, final

    after(monkeypatch, "fold_layers", change)
    assert refusal(prove_tables(honest_tables())).startswith(FINAL)


def test_batched_codeword_of_degree_n(monkeypatch: pytest.MonkeyPatch) -> None:
    """One degree too many everywhere: X^N - s^N vanishes on the first coset, which the prover interpolates."""
    height, blowup = honest_shape().tallest, BALANCED.blowup
    shift = pow(coset_shift(height), height, P)
    step = root_of_unity(blowup)
    excess = np.array([(shift * pow(step, coset, P) - shift) % P for coset in range(blowup)], np.uint64)
    assert excess[0] == 0
    assert excess[1:].all()

    def change(lde: U64) -> U64:
        lde[9] = add(lde[9], excess[:, None])  # the mask is in the batch as it is
        return lde

    sum_on_every_coset(monkeypatch)
    after(monkeypatch, "evaluate_coset", change)
    skip_own_checks(monkeypatch)
    assert refusal(prove_tables(honest_tables())).startswith(FINAL)
