"""Preprocessed columns of an image: extensions, tree, and the roots that make the image ID."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.machine import Machine
from zkvm.stark.protocol.params import BLOWUPS
from zkvm.stark.protocol.preprocessed import Progress, commitment_order
from zkvm.stark.prover.columns import extend
from zkvm.stark.prover.commit import MerkleTree

U64 = NDArray[np.uint64]


@dataclass(frozen=True)
class Preprocessed:
    """One image's preprocessed tables under one blowup.

    Attributes:
        columns: name -> (v, n) uint64, the columns.
        lde: name -> (v, B, n), their extensions.
        extra: name -> (v, 512), their values on the extra coset.
        tree: over the extensions; unsalted, as its data is public.
    """

    columns: dict[str, U64]
    lde: dict[str, U64]
    extra: dict[str, U64]
    tree: MerkleTree

    @property
    def root(self) -> bytes:
        """32 bytes."""
        return self.tree.root


def commit_preprocessed(machine: Machine, columns: dict[str, U64], blowup: int, threads: int = 1) -> Preprocessed:
    """Extend and commit the preprocessed columns; tables in the order of :func:`commitment_order`."""
    lde, extra = {}, {}
    for name, matrix in columns.items():
        lde[name], extra[name], _ = extend(matrix, blowup, threads)
    levels = by_height([lde[name] for name in commitment_order(machine, columns)])
    return Preprocessed(columns, lde, extra, MerkleTree.commit(levels, None, threads))


def compiled_roots(machine: Machine, columns: Mapping[str, U64], progress: Progress | None = None, threads: int = 1) -> tuple[bytes, ...]:
    """The same as :func:`zkvm.stark.protocol.preprocessed.preprocessed_roots`, by kernels.

    Args:
        machine: says the order of the tables.
        columns: name -> (v, n) uint64.
        progress: told of every blowup.
        threads: workers.
    """
    roots = []
    for number, blowup in enumerate(BLOWUPS):
        if progress is not None:
            progress("commit", number / len(BLOWUPS))
        roots.append(commit_preprocessed(machine, dict(columns), blowup, threads).root)
    if progress is not None:
        progress("", 1.0)
    return tuple(roots)


def by_height(matrices: Sequence[U64]) -> list[list[U64]]:
    """Extensions (w, B, n), sorted by height, as one group per height; those without columns are left out."""
    levels: list[list[U64]] = []
    for matrix in matrices:
        if not len(matrix):
            continue
        if levels and levels[-1][0].shape[2] == matrix.shape[2]:
            levels[-1].append(matrix)
        else:
            levels.append([matrix])
    return levels
