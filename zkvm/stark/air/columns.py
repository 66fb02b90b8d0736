"""Column declarations: name, width and a one-line meaning; traces and constraints use names, never positions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zkvm.stark.air.expression import MAIN, PRE, Expr, column


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``bits`` is the width its constraints enforce (1: boolean), None for an unbounded field element."""

    meaning: str
    bits: int | None = None


def bit(meaning: str) -> Column:
    """A boolean column: the chip must register ``assert_bool`` for it."""
    return Column(meaning, 1)


def limb(bits: int, meaning: str) -> Column:
    """A range-checked limb: the chip must look it up in a range view."""
    return Column(meaning, bits)


def word(meaning: str) -> Column:
    """A 32-bit word, by the chip's own range checks or because everything on the bus that it comes from is one."""
    return Column(meaning, 32)


def cell(meaning: str) -> Column:
    """Any field element."""
    return Column(meaning)


class Columns:
    """An ordered set of named columns; ``columns.index(name)`` is the position in the trace matrix."""

    def __init__(self, **columns: Column) -> None:
        self._columns = dict(columns)
        self._index = {name: number for number, name in enumerate(columns)}

    def __len__(self) -> int:
        return len(self._columns)

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __getitem__(self, name: str) -> Column:
        return self._columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def index(self, name: str) -> int:
        """Position of a column."""
        return self._index[name]

    def extended(self, **more: Column) -> Columns:
        """These columns followed by others."""
        return Columns(**self._columns, **more)


class Row:
    """The columns of one row as expressions: ``row.name`` for main and preprocessed columns alike."""

    def __init__(self, main: Columns, preprocessed: Columns) -> None:
        clash = [name for name in main if name in preprocessed]
        if clash:
            raise ValueError(f"columns declared twice: {clash}")
        self._expressions = {name: column(MAIN, main.index(name)) for name in main}
        self._expressions |= {name: column(PRE, preprocessed.index(name)) for name in preprocessed}

    def __getattr__(self, name: str) -> Expr:
        try:
            return self._expressions[name]
        except KeyError:
            raise AttributeError(f"no column {name!r}") from None

    def __getitem__(self, name: str) -> Expr:
        return self._expressions[name]
