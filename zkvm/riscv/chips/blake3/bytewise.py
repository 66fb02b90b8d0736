"""What the chips of a compression share: words in bytes, their exclusive or, and the tuples of a state word and of a message word."""

from __future__ import annotations

from collections.abc import Sequence

from zkvm.riscv.chips.buses import AND, BLAKE3_WIRE
from zkvm.riscv.chips.memory_access import BYTE_WEIGHTS
from zkvm.stark.air.builder import BusBuilder
from zkvm.stark.air.columns import Row
from zkvm.stark.air.expression import Expr, weighted_sum
from zkvm.stark.crypto.compression import MESSAGE_PERMUTATION

STATE_WORDS, CHAINING_WORDS, BLOCK_WORDS, TAIL_WORDS = 16, 8, 16, 4
MESSAGE_SLOT = STATE_WORDS
"""Slot on the wires of the first message word; below it are the words of the state."""
STAGES = 14
"""Of the state: each round has one for its columns and one for its diagonals."""
NEXT_SLOT = tuple(MESSAGE_PERMUTATION.index(k) for k in range(BLOCK_WORDS))
"""Where a round hands its k-th message word on to: word i of a round is word ``MESSAGE_PERMUTATION[i]`` of the round before."""


def bytes_of_row(row: Row, stem: str) -> list[Expr]:
    """The four byte columns of a word, lowest first."""
    return [row[f"{stem}_{k}"] for k in range(4)]


def word_of_bytes(parts: Sequence[Expr]) -> Expr:
    """The word of four bytes."""
    return weighted_sum(list(parts), BYTE_WEIGHTS)


def exclusive(left: Sequence[Expr], right: Sequence[Expr], both: Sequence[Expr]) -> list[Expr]:
    """Bytes of ``left ^ right``, where ``both`` is ``left & right``: x ^ y = x + y - 2 (x & y)."""
    return [x + y - z * 2 for x, y, z in zip(left, right, both, strict=True)]


def check_conjunction(buses: BusBuilder, label: str, left: Sequence[Expr], right: Sequence[Expr], both: Sequence[Expr], real: Expr) -> None:
    """All are bytes, and ``both`` is ``left & right``."""
    for k, values in enumerate(zip(left, right, both, strict=True)):
        buses.lookup(f"{label}: bytes {k}", AND, values, real)


def connect_word(buses: BusBuilder, label: str, time: Expr, *, receive: tuple[Expr, Expr, Expr], send: tuple[Expr, Expr, Expr]) -> None:
    """A word of the state or of the message arrives and leaves; both are (slot, stage, word)."""
    buses.pair(label, BLAKE3_WIRE, receive=(time, *receive), send=(time, *send))
