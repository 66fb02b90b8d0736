"""The parts of a proof as frozen dataclasses; ``codec.py`` gives them bytes.

Column orders are derived, never sent: trees hold their tables by height, short to tall, tables of one height in machine order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
U8 = NDArray[np.uint8]


class ByContent:
    """Dataclasses that hold arrays: equal if all arrays have the same shape and elements, and everything else is equal."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and _content(self) == _content(other)

    def __hash__(self) -> int:
        return hash(_content(self))


def _content(value: Any) -> Any:
    """What two equal values have in common, of values that can be hashed."""
    if isinstance(value, ByContent):
        return tuple(_content(getattr(value, field.name)) for field in fields(value))  # type: ignore[arg-type]
    if isinstance(value, np.ndarray):
        little = value.dtype.newbyteorder("<")
        return value.shape, little.str, value.astype(little, copy=False).tobytes()
    return tuple(map(_content, value)) if isinstance(value, Sequence) and not isinstance(value, bytes | str) else value


@dataclass(frozen=True, slots=True, eq=False)
class TreeOpening(ByContent):
    """Rows of one tree at the query positions (unique, ascending).

    Attributes:
        rows: for each height, short to tall, (k, w) uint64.
        salts: (k, 2) uint64; None in the preprocessed tree.
        siblings: (m, 32) uint8 digests of the pruned multiproof, bottom level first, ascending.
    """

    rows: tuple[U64, ...]
    salts: U64 | None
    siblings: U8


@dataclass(frozen=True, slots=True, eq=False)
class LayerOpening(ByContent):
    """Leaves of one FRI layer at the query positions (unique, ascending).

    Attributes:
        leaves: (k, 24) uint64, eight points of three base values each.
        siblings: (m, 32) uint8 digests of the pruned multiproof.
    """

    leaves: U64
    siblings: U8


@dataclass(frozen=True, slots=True, eq=False)
class Proof(ByContent):
    """A proof for one statement.

    Attributes:
        parameters: (blowup, queries, exempt rows).
        zk: the prover's statement that its randomness was real.
        log_heights: for each chip of the machine, log2 of the table's height; 0: the table is absent.
        main_root: 32 bytes, root of the main columns' tree.
        bus_root: 32 bytes, root of the bus columns' tree.
        quotient_root: 32 bytes, root of the tree of quotient chunks and mask.
        terminals: (r, 3) uint64, last values of the running columns, by chip.
        openings: (k, 3) uint64 values at the out-of-domain point: preprocessed, main, bus, quotient columns in tree order,
            then the running bus columns at the next row.
        fri_roots: 32 bytes for each FRI layer.
        final: (c, 3) uint64 coefficients of the final polynomial, low first.
        nonce: the proof of work, a 64-bit integer.
        preprocessed: opening of the preprocessed columns' tree.
        main: opening of the main columns' tree.
        bus: opening of the bus columns' tree.
        quotient: opening of the tree of quotient chunks and mask.
        layers: opening of each FRI layer.
    """

    parameters: tuple[int, int, int]
    zk: bool
    log_heights: tuple[int, ...]
    main_root: bytes
    bus_root: bytes
    quotient_root: bytes
    terminals: U64
    openings: U64
    fri_roots: tuple[bytes, ...]
    final: U64
    nonce: int
    preprocessed: TreeOpening
    main: TreeOpening
    bus: TreeOpening
    quotient: TreeOpening
    layers: tuple[LayerOpening, ...]
