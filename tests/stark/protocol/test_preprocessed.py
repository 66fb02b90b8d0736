"""Roots of preprocessed tables: numpy, the kernels and the definitions give the same, whatever the tables' shapes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.stark.trees import tree_levels
from tests.toy import TOY
from zkvm.riscv.machine import machine
from zkvm.stark.crypto.merkle import chain_leaves
from zkvm.stark.field.goldilocks import P, coset_shift
from zkvm.stark.protocol.params import BLOWUPS
from zkvm.stark.protocol.preprocessed import preprocess, preprocessed_roots
from zkvm.stark.prover import twins
from zkvm.stark.prover.preprocessed import commit_preprocessed, compiled_roots

U64 = NDArray[np.uint64]
EDGES = np.array([0, 1, 2**32 - 1, 2**32, 2**63, P - 2**32, P - 1], dtype=np.uint64)
NAMES = [chip.name for chip in machine().chips]


def tables(shapes: list[tuple[int, int]], seed: int = 0) -> dict[str, U64]:
    """Random columns for the first tables of the machine, entered in another order than the machine's."""
    rng = np.random.default_rng(seed)
    columns = {}
    for name, shape in zip(NAMES, shapes, strict=False):
        matrix = rng.integers(0, P, shape, dtype=np.uint64)
        matrix[:, : len(EDGES)] = EDGES[: shape[1]]
        matrix[-1, -1] = P - 1
        columns[name] = matrix
    return dict(sorted(columns.items(), reverse=True))


def defined_root(columns: dict[str, U64], blowup: int) -> bytes:
    """From the definitions, leaf by leaf: values by Horner's rule; leaf j n + k sees row k modulo a table's height of coset j."""
    groups: dict[int, list[U64]] = {}
    for name in sorted(columns, key=NAMES.index):
        height = columns[name].shape[1]
        groups.setdefault(height, []).append(twins.lde(columns[name], blowup, coset_shift(height)))
    tallest = max(groups)
    coset, inner = np.divmod(np.arange(blowup * tallest), tallest)
    rows = [np.concatenate([table[:, coset, inner % height].T for table in groups[height]], axis=1) for height in sorted(groups)]
    return bytes(tree_levels(chain_leaves(rows, None))[-1][0])


@pytest.mark.parametrize("shapes", [[(1, 1)], [(2, 8)], [(3, 4), (1, 32), (2, 4)], [(2, 64), (17, 2), (5, 64), (1, 1), (130, 16)]])
def test_small_tables_against_the_definitions(shapes: list[tuple[int, int]]) -> None:
    columns = tables(shapes)
    assert preprocessed_roots(machine(), columns) == tuple(defined_root(columns, blowup) for blowup in BLOWUPS)


SHAPES = {
    "one column": [(1, 512)],
    "one table": [(7, 1024)],
    "one height": [(3, 512), (7, 512), (6, 512)],
    "falling": [(7, 4096), (3, 1024), (6, 512)],
    "rising": [(7, 512), (3, 2048), (6, 8192), (16, 32768)],
    "equal ones between": [(2, 2048), (9, 512), (1, 2048), (4, 512), (5, 8192)],
    "leaves of several chunks": [(140, 512), (129, 1024), (3, 2048)],
    "far apart": [(2, 1 << 17), (3, 512)],
    "the tallest is narrow": [(20, 512), (1, 1 << 16)],
}


@pytest.mark.parametrize("name", SHAPES)
def test_kernels_and_numpy_agree(name: str) -> None:
    columns = tables(SHAPES[name], seed=len(name))
    before = {key: matrix.copy() for key, matrix in columns.items()}
    expected = tuple(commit_preprocessed(machine(), columns, blowup, threads=2).root for blowup in BLOWUPS)
    assert preprocessed_roots(machine(), columns) == expected
    assert compiled_roots(machine(), columns, threads=1) == expected
    assert all(np.array_equal(columns[key], before[key]) for key in columns)


def test_another_machine() -> None:
    columns = preprocess(TOY, None)
    assert preprocessed_roots(TOY, columns) == compiled_roots(TOY, columns)


def test_every_value_and_place_counts() -> None:
    """A changed entry, a swapped column, a table under another name, a taller one: another root under every blowup."""
    columns = tables([(3, 512), (2, 512), (4, 1024)])
    first, second, third = sorted(columns, key=NAMES.index)
    changes = []
    for row, entry in ((0, 0), (2, 511), (1, 300)):
        changed = columns[first].copy()
        changed[row, entry] ^= np.uint64(1)
        changes.append(columns | {first: changed})
    changes.append(columns | {third: columns[third][::-1].copy()})
    changes.append({first: columns[second], second: columns[first], third: columns[third]})
    changes.append(columns | {first: np.concatenate([columns[first]] * 2, axis=1)})
    changes.append({first: columns[first], third: columns[third]})
    found = [preprocessed_roots(machine(), changed) for changed in (columns, *changes)]
    for roots in zip(*found, strict=True):
        assert len(set(roots)) == len(found)


def test_progress() -> None:
    told: list[tuple[str, float]] = []
    columns = tables([(2, 512), (1, 1024)])
    preprocessed_roots(machine(), columns, lambda phase, share: told.append((phase, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert (told[0], told[-1]) == (("extend", 0.0), ("", 1.0))
    assert {phase for phase, _ in told} == {"extend", "hash", ""}
    assert shares[-2] < 1
    told.clear()
    compiled_roots(machine(), columns, lambda phase, share: told.append((phase, share)))
    assert told == [("commit", 0.0), ("commit", 1 / 3), ("commit", 2 / 3), ("", 1.0)]


def test_no_tables() -> None:
    with pytest.raises(ValueError, match="at least one table"):
        preprocessed_roots(machine(), {})
