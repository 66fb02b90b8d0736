"""Everything about a proof that follows from the machine, the parameters and the heights: sizes, orders, tree levels.

Letters, as in ``docs/protocol.md``: a table has n rows, of which the last h are exempt; N is the height of the tallest table, B the blowup,
and w_n the root of unity whose powers are the domain of n points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.layout import EXTENSION
from zkvm.stark.air.machine import ChipCode, Machine
from zkvm.stark.field.extension import Ext, ext_mul
from zkvm.stark.field.goldilocks import root_of_unity
from zkvm.stark.protocol.params import FINAL_COEFFICIENTS, FOLDING, Parameters

QUOTIENT_CHUNKS = 3
QUOTIENT_COLUMNS = EXTENSION * QUOTIENT_CHUNKS
MASK_COLUMNS = EXTENSION
PREPROCESSED, MAIN_TREE, BUS_TREE, EARLY_TREE = range(4)
"""Trees that hold the tables. The quotient tree holds chunks and mask at the full height. Only machines with joint buses have an early
tree; its columns are not in the main tree."""
OPENING_ORDER = (PREPROCESSED, EARLY_TREE, MAIN_TREE, BUS_TREE)
"""Of the trees' columns among the openings."""


def tree_width(code: ChipCode, tree: int) -> int:
    """Columns of a chip's table in a tree."""
    preprocessed, main, bus = code.widths
    return (preprocessed, main - code.chip.early, bus, code.chip.early)[tree]


@dataclass(frozen=True, slots=True)
class TableShape:
    """A present table.

    Attributes:
        number: position of its chip in the machine.
        code: what is derived from its chip.
        height: number of rows n.
    """

    number: int
    code: ChipCode
    height: int


@dataclass(frozen=True)
class ProofShape:
    """Sizes of a proof with these heights.

    Attributes:
        machine: the machine.
        parameters: the parameter set.
        log_heights: for each chip of the machine, log2 of the table's height; 0: the table is absent.
    """

    machine: Machine
    parameters: Parameters
    log_heights: tuple[int, ...]

    @cached_property
    def tables(self) -> tuple[TableShape, ...]:
        """Present tables, short to tall, in machine order among equals: the order of everything in a proof."""
        present = [
            TableShape(number, self.machine.code(number), 1 << log)
            for number, (_, log) in enumerate(zip(self.machine.chips, self.log_heights, strict=True))
            if log
        ]
        return tuple(sorted(present, key=lambda table: (table.height, table.number)))

    @cached_property
    def tallest(self) -> int:
        """N: the height of the tallest table, to which all shorter ones are lifted."""
        return self.tables[-1].height

    @cached_property
    def heights(self) -> tuple[int, ...]:
        """The heights that occur, each once, ascending."""
        return tuple(sorted({table.height for table in self.tables}))

    def levels(self, tree: int) -> list[tuple[int, int]]:
        """(height, width) of the levels of a tree, short to tall, without empty ones."""
        return [(height, widths[tree]) for height, widths in self._widths.items() if widths[tree]]

    @cached_property
    def _widths(self) -> dict[int, list[int]]:
        """For each height, short to tall, the columns of its tables in each tree."""
        widths = {table.height: [0, 0, 0, 0] for table in self.tables}
        for table in self.tables:
            widths[table.height] = [width + tree_width(table.code, tree) for tree, width in enumerate(widths[table.height])]
        return widths

    @property
    def chunk_length(self) -> int:
        """M = N - h_p: how many coefficients of the quotient a chunk holds; with its h_p blinding ones it has as many as a column."""
        return self.tallest - self.parameters.chunk_blinding

    @cached_property
    def fri_heights(self) -> tuple[int, ...]:
        """Number of coefficients that each committed FRI layer stands for: N, N / 8, ...; the final polynomial has 1/8 of the last."""
        heights = []
        height = self.tallest
        while height > FINAL_COEFFICIENTS:
            heights.append(height)
            height //= FOLDING
        return tuple(heights)

    @property
    def final_length(self) -> int:
        """Number of coefficients of the final polynomial."""
        return self.fri_heights[-1] // FOLDING

    @cached_property
    def terminal_count(self) -> int:
        """Number of running columns, and so of published terminals."""
        return sum(len(table.code.plan.running) for table in self.tables)

    @cached_property
    def constraint_count(self) -> int:
        """Number of base-field constraints, and so of powers of the constraint challenge."""
        return sum(len(table.code.groups) for table in self.tables)

    @cached_property
    def interactions(self) -> int:
        """Fingerprints over all rows."""
        return sum(table.height * table.code.chip.air_buses.fingerprints for table in self.tables)

    @cached_property
    def here_count(self) -> int:
        """Number of columns opened at the out-of-domain point itself."""
        return sum(sum(table.code.widths) for table in self.tables) + QUOTIENT_COLUMNS

    @cached_property
    def next_count(self) -> int:
        """Number of columns opened at the next row as well."""
        return sum(len(table.code.next_columns) for table in self.tables)

    @property
    def opening_count(self) -> int:
        """Number of all openings at the out-of-domain point and at the next row."""
        return self.here_count + self.next_count

    @property
    def early(self) -> slice:
        """The early columns among the openings."""
        first = sum(tree_width(table.code, PREPROCESSED) for table in self.tables)
        return slice(first, first + self.pinned_count)

    @cached_property
    def pinned_count(self) -> int:
        """Number of early columns, which were opened before the joint challenges at a point of their own."""
        return sum(tree_width(table.code, EARLY_TREE) for table in self.tables)

    @property
    def early_height(self) -> int:
        """Height of the tallest table with early columns; 0 without any."""
        return max((height for height, _ in self.levels(EARLY_TREE)), default=0)

    def root(self) -> int:
        """w_N: times it, a point of the tallest table's domain moves to the next row."""
        return root_of_unity(self.tallest)


def tree_positions(positions: NDArray[np.int64], tallest: int, height: int) -> NDArray[np.int64]:
    """Where the query positions (coset j, row k; flat j N + k) lie in a tree of a smaller height: j n + (k mod n)."""
    return positions // tallest * height + positions % tallest % height


def opened_positions(positions: NDArray[np.int64], tallest: int, height: int) -> NDArray[np.int64]:
    """What is opened there for all queries: the distinct positions, ascending."""
    return distinct(tree_positions(positions, tallest, height))


def distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The values of an array, ascending, each once: ``numpy.unique``, which would import numpy's masked arrays at a verifier's start."""
    ordered = np.sort(values)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if ordered.size else ordered


def shared_params(alpha: Ext, beta: Ext, powers: int) -> list[int]:
    """Runtime constants that all chips of a machine with so many powers share: alpha, beta, ... beta^powers, flattened."""
    values: list[Ext] = [alpha]
    power = beta
    for _ in range(powers):
        values.append(power)
        power = ext_mul(power, beta)
    return [part for value in values for part in value]


def params_of(shared: Sequence[int], terminals: Sequence[Ext]) -> list[int]:
    """Runtime constants of a chip's code: the shared ones, then the terminals of its own, flattened."""
    return [*shared, *(part for value in terminals for part in value)]
