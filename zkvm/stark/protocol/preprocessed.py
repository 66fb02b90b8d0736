"""Preprocessed tables: the columns that are fixed before any run, and the roots that commit to them.

Whoever trusts a program computes these roots from it, with numpy alone; the prover's kernels compute the same ones. The roots of all
blowups come from the same hashes. The extension of a table of height n under blowup B has its values on the cosets
``s_n w_(Bn)^j <w_n>``, j < B, and leaf ``j n + k`` belongs to entry k of coset j, n being the tallest height. So the leaves of a coset
are all those under one node of the tree; and coset j under blowup B is coset ``j B' / B`` under a larger blowup B'. It is enough to
compute one node for each coset under the largest blowup: the roots follow from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.chip import Chip
from zkvm.stark.air.machine import Machine
from zkvm.stark.crypto.merkle import chain_level, subtree_root
from zkvm.stark.field.goldilocks import P, coset_shift, root_of_unity
from zkvm.stark.field.transform import evaluate, interpolate
from zkvm.stark.protocol.params import BLOWUPS, EXEMPT_MAX, MIN_HEIGHT

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
Progress = Callable[[str, float], None]
"""Called with the phase that begins and the share of the work done before it, in [0, 1]; at the end with ('', 1.0)."""


def table_height(used: int, exempt: int) -> int:
    """Smallest power of two, at least MIN_HEIGHT, that leaves room for the exempt rows."""
    return max(MIN_HEIGHT, 1 << (used + exempt - 1).bit_length())


def preprocessed_height(chip: Chip, image: Any) -> int:
    """Height that the image fixes for a chip with preprocessed columns; 0 if the chip has none or its table would be empty."""
    if not len(chip.preprocessed):
        return 0
    used = chip.preprocessed_rows(image)
    return table_height(used, EXEMPT_MAX) if used or chip.mandatory else 0


def preprocess(machine: Machine, image: Any) -> dict[str, U64]:
    """Preprocessed columns of every chip that has some and is present: name -> (v, n) uint64."""
    result: dict[str, U64] = {}
    for chip in machine.chips:
        height = preprocessed_height(chip, image)
        if height:
            matrix = np.zeros((len(chip.preprocessed), height), np.uint64)
            chip.fill_preprocessed(image, {name: matrix[k] for k, name in enumerate(chip.preprocessed)})
            result[chip.name] = matrix
    return result


def commitment_order(machine: Machine, columns: Mapping[str, U64]) -> list[str]:
    """Names of the tables that have columns, in the order in which a tree holds them: by height, then in machine order."""
    return sorted((name for name in columns if len(columns[name])), key=lambda name: (columns[name].shape[1], machine.chip_number(name)))


def preprocessed_roots(machine: Machine, columns: Mapping[str, U64], progress: Progress | None = None) -> tuple[bytes, ...]:
    """Roots of the preprocessed columns under all blowups.

    Args:
        machine: says the order of the tables.
        columns: name -> (v, n) uint64, as :func:`preprocess` returns them.
        progress: told of every part of the work.

    Returns:
        32 bytes for each of :data:`zkvm.stark.protocol.params.BLOWUPS`, in that order.

    Raises:
        ValueError: there are no tables.
    """
    tables = [columns[name] for name in commitment_order(machine, columns)]
    levels = [np.concatenate(list(group)) for _, group in groupby(tables, lambda table: table.shape[1])]
    cosets = max(BLOWUPS)
    work = _Work(progress, (1 + 2 * cosets) * sum(level.size for level in levels))
    for level in levels:
        for column in level:
            work.begin("extend", column.size)
            column[:] = interpolate(column)
    nodes = np.concatenate([_coset_node(levels, cosets, coset, work) for coset in range(cosets)])
    work.end()
    return tuple(subtree_root(nodes[:: cosets // blowup]).tobytes() for blowup in BLOWUPS)


def _coset_node(levels: Sequence[U64], blowup: int, coset: int, work: _Work) -> U8:
    """The node over all leaves of one coset: (1, 32) uint8.

    Args:
        levels: coefficients of all columns of each height, (v, n) uint64, from short to tall.
        blowup: of the extension.
        coset: its number, below the blowup.
        work: told of every part.
    """
    digests: U8 | None = None
    for level in levels:
        height = level.shape[1]
        shift = coset_shift(height) * pow(root_of_unity(blowup * height), coset, P) % P
        values = np.empty_like(level)
        for column, out in zip(level, values, strict=True):
            work.begin("extend", column.size)
            out[:] = evaluate(column, shift)
        work.begin("hash", values.size)
        digests = chain_level(digests, values)
    if digests is None:
        raise ValueError("a commitment needs at least one table")
    return subtree_root(digests)


class _Work:
    """How much of the work is done, for whoever wants to know."""

    def __init__(self, progress: Progress | None, whole: int) -> None:
        self.progress = progress
        self.whole = whole
        self.done = 0

    def begin(self, phase: str, part: int) -> None:
        """A part of so many elements begins."""
        if self.progress is not None:
            self.progress(phase, self.done / self.whole)
        self.done += part

    def end(self) -> None:
        """Everything is done."""
        if self.progress is not None:
            self.progress("", 1.0)
