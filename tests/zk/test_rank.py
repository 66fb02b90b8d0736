"""Everything that a proof shows is a regular image of the prover's randomness: exactly, mod p, and not without any one ingredient.

The real prover runs once for each element of its randomness, with that element changed by one. At fixed challenges what it shows is
affine in the randomness, in three layers: main and bus columns; given these, the quotient's chunks; given both, the batched codeword. If
each layer has full rank then what a verifier sees is uniform, up to the equations that it checks, for every witness alike.

More is demanded than a proof shows. The chunks at a query determine the quotient there, and with it, through the constraints, the running
columns at the *next* row. So running columns are counted as if they were opened there too.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.zk.linear import rank
from tests.zk.small import QUERIED, QUERIES, SMALL, Chosen, Fixed, filled_tables, no_work, preprocessed, prove_small, shape
from zkvm.stark.air.layout import EXTENSION
from zkvm.stark.field import extension, goldilocks
from zkvm.stark.field.extension import Ext, ext_inv, ext_mul, to_ext
from zkvm.stark.field.goldilocks import P
from zkvm.stark.kernels.ntt import evaluate_coset
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.steps import Steps
from zkvm.stark.prover import prove
from zkvm.stark.prover.columns import Committed
from zkvm.stark.prover.deep import fold_layers, open_columns, opened_matrices

U64 = NDArray[np.uint64]
SEED = bytes(range(32))
ONE = np.uint64(1)
TALLEST = 1024
NEXT = tuple(position // TALLEST * TALLEST + (position + 1) % TALLEST for position in QUERIED)
SEEN_OF_A_COLUMN = EXTENSION + QUERIES
"""Base values: three coordinates at zeta, and one at each query."""

CODES = {entry.code.chip.name: entry.code for entry in shape().tables}
MAIN_COLUMNS = sum(entry.code.widths[1] for entry in shape().tables)
RUNNING = sum(len(entry.code.plan.running) for entry in shape().tables)
BUS_COLUMNS = sum(entry.code.widths[2] for entry in shape().tables)
HELPERS = BUS_COLUMNS - EXTENSION * RUNNING
FULL = (MAIN_COLUMNS + HELPERS + 2 * EXTENSION * RUNNING) * SEEN_OF_A_COLUMN + EXTENSION * (RUNNING - 2)
"""Values of the first layer, without the terminals that the two equations between terminals determine."""


def streams(seed: bytes = SEED) -> dict[str, U64]:
    """The randomness of the first layer, start values balanced."""
    given: dict[str, U64] = {}
    tables = {table.chip.name: table for table in filled_tables(0)}
    ordered = [tables[entry.code.chip.name] for entry in shape().tables]
    source = Chosen(seed, {})
    prove.randomize_tables(shape(), ordered, source)
    for entry, table in zip(shape().tables, ordered, strict=True):
        given[f"main rows {table.chip.name}"] = table.main[:, table.active :].copy()
        given[f"bus rows {table.chip.name}"] = source.elements(f"bus rows {table.chip.name}", (entry.code.widths[2], SMALL.exempt))
    return given


def first_layer(given: dict[str, U64]) -> U64:
    """All base values that main and bus columns show, and the terminals: rounds 1, 2 and 4 of the prover."""
    here = shape()
    tables = {table.chip.name: table for table in filled_tables(0)}
    committed = {name: Committed(table.chip, CODES[name], table.height, table.active) for name, table in tables.items()}
    ordered = [tables[entry.code.chip.name] for entry in here.tables]
    for table in ordered:
        table.main[:, table.active :] = given[f"main rows {table.chip.name}"]
    transcript = Fixed()
    prove.commit_main(here, ordered, committed, preprocessed(), Chosen(SEED, {}), 1)
    alpha, beta = transcript.draw_extension("alpha"), transcript.draw_extension("beta")
    _, terminals = prove.commit_bus(here, ordered, committed, alpha, beta, Chosen(SEED, given), 1)
    matrices = opened_matrices(here, committed, np.zeros((9, SMALL.blowup, TALLEST), np.uint64))
    openings = open_columns(here, matrices, transcript.draw_extension("zeta"), 1)
    values = [np.array([value for entry in here.tables for value in terminals[entry.code.chip.name]], np.uint64).ravel(), openings.ravel()]
    for entry in here.tables:
        shown = committed[entry.code.chip.name]
        for position in QUERIED + NEXT:
            coset, row = position // TALLEST, position % TALLEST % shown.height
            values += [shown.main_lde[:, coset, row]] if position in QUERIED else []
            columns = shown.bus_lde[:, coset, row]
            values.append(columns if position in QUERIED else columns[list(entry.code.next_columns)])
    return np.concatenate(values)


def start_cells() -> list[tuple[str, int, bool]]:
    """(table, first of its three columns, whether it starts a sum) of every running column; products first, the balancing one last."""
    cells = []
    for entry in shape().tables:
        plan = entry.code.plan
        for number, running in enumerate(plan.running):
            cells.append((entry.code.chip.name, EXTENSION * number, plan.has_sum and running == plan.extension_columns - 1))
    return cells


def tangent(start: Ext, last: Ext, unit: Ext, is_sum: bool) -> Ext:
    """How the balancing start moves when another moves by ``unit``: sums stay 0, products stay 1."""
    if is_sum:
        return extension.ext_sub((0, 0, 0), unit)
    return extension.ext_sub((0, 0, 0), ext_mul(last, ext_mul(unit, ext_inv(start))))


Direction = tuple[str, tuple[tuple[str, int, int, int], ...]]
"""Kind of randomness, and changes (stream, column, row, by how much)."""


def directions(base: dict[str, U64]) -> list[Direction]:
    """One for each element of randomness of the first layer: free cells alone, starts together with the one that balances them."""
    result: list[Direction] = []
    last_row = SMALL.exempt - 1
    taken = set()
    for is_sum in (False, True):
        cells = [(f"main rows {name}", column) for name, column, kind in start_cells() if kind == is_sum]
        taken |= {(stream, column + k) for stream, column in cells for k in range(EXTENSION)}
        value = {cell: to_ext(base[cell[0]][cell[1] : cell[1] + EXTENSION, last_row]) for cell in cells}
        for stream, column in cells[:-1]:
            for k in range(EXTENSION):
                unit = (int(k == 0), int(k == 1), int(k == 2))
                answer = tangent(value[stream, column], value[cells[-1]], unit, is_sum)
                partner = tuple((cells[-1][0], cells[-1][1] + j, last_row, answer[j]) for j in range(EXTENSION))
                result.append(("starts", ((stream, column + k, last_row, 1), *partner)))
    for stream, rows in base.items():
        table = stream.split()[-1]
        kept = set(CODES[table].next_columns) if stream.startswith("bus") else set()
        for column in range(rows.shape[0]):
            for row in range(rows.shape[1]):
                if not (column in kept and row == 0) and not (stream.startswith("main") and (stream, column) in taken and row == last_row):
                    kind = "main rows" if stream.startswith("main") else "running rows" if column in kept else "helper rows"
                    result.append((kind, ((stream, column, row, 1),)))
    return result


@cache
def layer() -> tuple[list[Direction], U64]:
    """Directions, and by how much each moves what is shown: (directions, values)."""
    base = streams()
    origin = first_layer(base)
    moved = []
    every = directions(base)
    for _, changes in every:
        given = {name: rows.copy() for name, rows in base.items()} if len(changes) > 1 else dict(base)
        for stream, column, row, delta in changes:
            given[stream] = given[stream].copy()
            given[stream][column, row] = (int(given[stream][column, row]) + delta) % P
        moved.append(goldilocks.sub(first_layer(given), origin))
    return every, np.stack(moved)


def rank_with(keep: set[str], rows: range | None = None) -> int:
    """Rank of the first layer if only some kinds of randomness, and of exempt rows only some, are random."""
    every, moved = layer()
    chosen = [
        number
        for number, (kind, changes) in enumerate(every)
        if kind in keep and (rows is None or kind == "starts" or changes[0][2] in rows)
    ]
    return rank(moved[chosen])


ALL = {"starts", "main rows", "running rows", "helper rows"}


def test_columns_have_full_rank() -> None:
    """Every opening, every queried row and every terminal but two is free; the two follow from the others, for every verifier."""
    assert rank_with(ALL) == FULL


@pytest.mark.parametrize("dropped", sorted(ALL))
def test_columns_lose_rank_without(dropped: str) -> None:
    lost = {
        "starts": EXTENSION * (RUNNING - 2),
        "main rows": MAIN_COLUMNS * SEEN_OF_A_COLUMN,
        "running rows": 2 * EXTENSION * RUNNING * SEEN_OF_A_COLUMN,
        "helper rows": HELPERS * SEEN_OF_A_COLUMN,
    }[dropped]
    found = rank_with(ALL - {dropped})
    assert found < FULL
    assert found <= FULL - lost + EXTENSION * RUNNING  # starts also move the openings of the columns that they are cells of


def test_exempt_rows_are_as_few_as_can_be() -> None:
    """Row n - h of a running column is its terminal, and one more row is spare: without two more, openings would depend on each other."""
    last = SMALL.exempt
    assert rank_with(ALL, range(1, last)) == FULL
    assert rank_with(ALL, range(2, last)) == FULL
    assert rank_with(ALL, range(3, last)) < FULL


def test_the_prover_draws_every_element() -> None:
    """Exempt rows are as many as the parameters say, and each cell of them is drawn anew: none is left as it was."""
    first, second = streams(), streams(bytes(32))
    for name, rows in first.items():
        assert rows.shape[1] == SMALL.exempt
        assert rows.all()
        assert not (rows == second[name]).any(), name


def test_what_is_shown_is_what_a_proof_shows() -> None:
    """The values above are those of the proof."""
    with no_work():
        proof = prove_small(Chosen(SEED, {}))
    shown = first_layer(streams())
    count = proof.terminals.size
    assert np.array_equal(shown[:count], proof.terminals.ravel())
    here = shape()
    quotient = slice(here.here_count - 9, here.here_count)
    opened = shown[count : count + proof.openings.size].reshape(-1, 3)
    assert not opened[quotient].any()
    assert np.array_equal(np.delete(opened, quotient, axis=0), np.delete(proof.openings, quotient, axis=0))
    rest = set(shown[count + proof.openings.size :].tolist())
    for opening in (proof.main, proof.bus):
        assert all(set(rows.ravel().tolist()) <= rest for rows in opening.rows)


# --- the second layer: the quotient's chunks, given all columns ------------------------------------------------------------------


def chunk_values(proof: Proof) -> U64:
    """Chunks at zeta (three coordinates each) and at the queries: (9, 3 + queries)."""
    openings = proof.openings[shape().here_count - 9 : shape().here_count]
    return np.concatenate([openings, proof.quotient.rows[0][:, :9].T], axis=1)


@cache
def chunk_layer() -> tuple[list[tuple[int, int]], U64]:
    """(chunk, coefficient) of each element of the blinding polynomials, and by how much it moves the chunks' values."""
    base = Chosen(SEED, {}).elements("quotient blinding", (2, EXTENSION, SMALL.chunk_blinding))
    with no_work():
        origin = chunk_values(prove_small(Chosen(SEED, {})))
        moved, names = [], []
        for index in np.ndindex(base.shape):
            changed = base.copy()
            changed[index] = goldilocks.add(changed[index], ONE)
            values = chunk_values(prove_small(Chosen(SEED, {"quotient blinding": changed})))
            moved.append(goldilocks.sub(values, origin).ravel())
            names.append((index[0], index[2]))
    return names, np.stack(moved)


def test_chunks_have_full_rank() -> None:
    """Two of three chunks are free at every opened point; the third is then the quotient's value, which the constraints determine."""
    names, moved = chunk_layer()
    assert rank(moved) == 2 * EXTENSION * SEEN_OF_A_COLUMN
    needed = EXTENSION + QUERIES
    assert rank(moved[[number for number, name in enumerate(names) if name[1] < needed]]) == 2 * EXTENSION * needed


def test_chunks_lose_rank_without_some_of_their_blinding() -> None:
    names, moved = chunk_layer()
    fewer = [number for number, name in enumerate(names) if name[1] < EXTENSION + QUERIES - 1]
    assert rank(moved[fewer]) < 2 * EXTENSION * SEEN_OF_A_COLUMN
    for chunk in range(2):
        one = [number for number, name in enumerate(names) if name[0] == chunk]
        assert rank(moved[one]) == EXTENSION * SEEN_OF_A_COLUMN


def test_blinding_does_not_move_the_quotient() -> None:
    """What the blinding adds to the chunks cancels in the quotient: at zeta and at each query."""
    _, moved = chunk_layer()
    length = shape().chunk_length
    zeta = Fixed().draw_extension("zeta")
    points: list[Ext] = [extension.ext_pow(zeta, length)]
    for change in moved[:: len(moved) // 5].reshape(-1, 3, EXTENSION, SEEN_OF_A_COLUMN):
        for coordinate in range(EXTENSION):
            total = (0, 0, 0)
            for chunk in range(3):
                factor = extension.ext_pow(points[0], chunk)
                total = extension.ext_add(total, ext_mul(factor, to_ext(change[chunk, coordinate, :EXTENSION])))
            assert total == (0, 0, 0)


# --- the third layer: the batched codeword, given everything else -------------------------------------------------------------------


def low_degree_values(mask: U64) -> U64:
    """What the low-degree test shows of a batched codeword that is the mask alone: opened leaves of all layers and the final polynomial."""
    codeword = evaluate_coset(mask, TALLEST, SMALL.blowup)
    layers, final = fold_layers(shape(), codeword, Steps(Fixed()), 1)
    opened = prove.open_layers(layers, np.array(QUERIED, np.int64), shape())
    return np.concatenate([*(layer.leaves.ravel() for layer in opened), final.ravel()])


LEAVES = 2 * QUERIES * 8 * EXTENSION
FREE_VALUES = LEAVES - QUERIES * EXTENSION + 16 * EXTENSION - QUERIES * EXTENSION
"""Leaves of two layers and 16 final coefficients, less one fold for each query in the second layer and in the final polynomial."""


def mask_rank(degree: int, count: int) -> int:
    """Rank of the low-degree test's values over masks of a degree, by the images of random ones."""
    rng = np.random.default_rng(5)
    images = []
    for _ in range(count):
        mask = np.zeros((EXTENSION, TALLEST), np.uint64)
        mask[:, :degree] = rng.integers(0, P, (EXTENSION, degree), dtype=np.uint64)
        images.append(low_degree_values(mask))
    return rank(np.stack(images))


def test_the_mask_enters_the_codeword_unchanged() -> None:
    """What the low-degree test shows of a proof moves with the mask as if the mask were alone."""
    base, change = (np.random.default_rng(seed).integers(0, P, (EXTENSION, TALLEST), dtype=np.uint64) for seed in (1, 2))
    with no_work():
        proofs = [prove_small(Chosen(SEED, {"mask": mask})) for mask in (base, goldilocks.add(base, change))]
    first, second = (np.concatenate([*(layer.leaves.ravel() for layer in proof.layers), proof.final.ravel()]) for proof in proofs)
    assert np.array_equal(goldilocks.sub(second, first), low_degree_values(change))


def test_the_mask_has_full_rank() -> None:
    """The low-degree test shows what a uniform polynomial would show, whatever the columns are."""
    assert mask_rank(TALLEST, FREE_VALUES + 2) == FREE_VALUES


def test_a_mask_of_half_the_degree_loses_rank() -> None:
    """Folding halves its degree with the codeword's: the top of the final polynomial would be bare."""
    assert mask_rank(TALLEST // 2, FREE_VALUES + 2) == FREE_VALUES - 8 * EXTENSION
