"""A filled table and the tuples that the verifier itself puts on the buses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.builder import Argument, Bus
from zkvm.stark.air.chip import Chip


@dataclass(slots=True)
class Table:
    """One chip's trace.

    Attributes:
        chip: the chip.
        height: number of rows n, a power of two.
        active: rows [0, active) are bound by constraints, the rest is exempt.
        used: rows [0, used) mean something; rows [used, active) are padding.
        main: (w, n) uint64, the main columns.
        pre: (v, n) uint64, the preprocessed columns.
    """

    chip: Chip
    height: int
    active: int
    used: int
    main: NDArray[np.uint64]
    pre: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Closing:
    """Tuples that the verifier itself contributes to a bus.

    Attributes:
        bus: the bus.
        values: (k, arity) uint64, the tuples.
        sent: whether the verifier produces them (product) or serves them (LogUp); else it consumes or asks for them.
    """

    bus: Bus
    values: NDArray[np.uint64]
    sent: bool

    def __post_init__(self) -> None:
        if self.bus.argument is Argument.SUM:
            raise ValueError(f"bus {self.bus.name}: the verifier contributes to no sum")


def closing(bus: Bus, *tuples: tuple[int, ...], sent: bool) -> Closing:
    """A closing from Python tuples."""
    return Closing(bus, np.array(tuples, np.uint64).reshape(len(tuples), bus.arity), sent)
