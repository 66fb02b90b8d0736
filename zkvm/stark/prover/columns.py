"""A table on its way through the phases: low-degree extensions, values on the extra coset."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.chip import Chip
from zkvm.stark.air.machine import ChipCode
from zkvm.stark.field.goldilocks import GENERATOR, P, coset_shift, root_of_unity
from zkvm.stark.kernels.ntt import lde_plan
from zkvm.stark.protocol.params import EXTRA_POINTS
from zkvm.stark.protocol.shape import BUS_TREE, EARLY_TREE, MAIN_TREE, PREPROCESSED

U64 = NDArray[np.uint64]
_NONE: U64 = np.zeros((0, 0), np.uint64)


def extra_shift(height: int) -> int:
    """Shift g = 7 s_n of the extra coset g <w_512>: outside H and outside every LDE coset.

    7 generates the whole group, of order 2^32 (2^32 - 1): g / s_n = 7 is no root of unity of order 2^k, so g is on no LDE coset and
    X^2n - s_n^2n has no root there; g^n = 7^(n + 2^30) is not 1, so the coset misses H.
    """
    return GENERATOR * coset_shift(height) % P


@dataclass(slots=True)
class Committed:
    """A table on its way through the phases. What a phase has not made yet is empty.

    Attributes:
        chip: the table's chip.
        code: what is derived from it.
        height: number of rows n.
        active: rows [0, active) are bound by constraints.
        pre_lde: (v, B, n), the extension of the preprocessed columns.
        main_lde: (w, B, n), that of the main columns.
        bus_lde: (b, B, n), that of the bus columns.
        pre_extra: (v, 512), the preprocessed columns on the extra coset.
        main_extra: (w, 512), the main columns there.
        bus_extra: (b, 512), the bus columns there.
        next_extra: (b, 512), the bus columns at the row after each point of the extra coset.
    """

    chip: Chip
    code: ChipCode
    height: int
    active: int
    pre_lde: U64 = field(default_factory=lambda: _NONE)
    main_lde: U64 = field(default_factory=lambda: _NONE)
    bus_lde: U64 = field(default_factory=lambda: _NONE)
    pre_extra: U64 = field(default_factory=lambda: _NONE)
    main_extra: U64 = field(default_factory=lambda: _NONE)
    bus_extra: U64 = field(default_factory=lambda: _NONE)
    next_extra: U64 = field(default_factory=lambda: _NONE)

    def of_tree(self, tree: int) -> U64:
        """The extension of the columns that a tree holds, a view."""
        early = self.chip.early
        return {PREPROCESSED: self.pre_lde, EARLY_TREE: self.main_lde[:early], MAIN_TREE: self.main_lde[early:], BUS_TREE: self.bus_lde}[
            tree
        ]

    def drop_extra(self) -> None:
        """Nothing needs the values on the extra coset once they are in the quotient."""
        self.pre_extra = self.main_extra = self.bus_extra = self.next_extra = _NONE


def extend(columns: U64, blowup: int, threads: int, with_next: bool = False) -> tuple[U64, U64, U64]:
    """Low-degree extension of a trace.

    Args:
        columns: (w, n) values on H, the powers of w_n.
        blowup: number of cosets B.
        threads: at most this many.
        with_next: also evaluate on the extra coset at the next row.

    Returns:
        (w, B, n) extension, (w, 512) values on the extra coset, (w, 512) values at w_n times it (empty without ``with_next``).
    """
    width, height = columns.shape
    shift = extra_shift(height)
    shifts = (shift, shift * root_of_unity(height) % P) if with_next else (shift,)
    out = np.empty((width, blowup, height), np.uint64)
    extra = np.empty((width, len(shifts), EXTRA_POINTS), np.uint64)
    lde_plan(height, blowup, coset_shift(height), shifts).run(columns, out, threads, extra)
    following = np.ascontiguousarray(extra[:, 1]) if with_next else _NONE
    return out, np.ascontiguousarray(extra[:, 0]), following
