"""Constant vectors and channels: preprocessed, so they are in the image ID.

**Sound.** Tuples and presence are preprocessed; only multiplicities are the prover's. The loader checks of every channel that
|multiplier| <= limit < 2^31 and |bias multiplier| <= 2^61, and refuses the file else, so these bounds are as certain as the image ID.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import CHANNEL, VECTOR
from zkvm.riscv.chips.tensor.lanes import elements, lane_columns, put, vector
from zkvm.riscv.chips.tensor.uses import channel_uses, vector_uses
from zkvm.riscv.records import Execution, Image
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell


class ConstantVectorsChip(Chip):
    """Serves the vectors of tensor 0. Present exactly when the image has some."""

    name = "constant_vectors"
    columns = Columns(multiplicity=cell("times the vector is read"))
    preprocessed = Columns(
        index=cell("address / 16"), **lane_columns("x", "constant"), present=bit("1 if the row holds a vector, 0 on padding")
    )
    counted = (VECTOR,)

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """None: everything but the multiplicity is preprocessed."""

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """One served tuple."""
        buses.serve("vector", VECTOR, (0, row.index, *vector(row, "x")), row.present * row.multiplicity)

    def rows(self, execution: Execution) -> int:
        """One a vector."""
        return self.preprocessed_rows(execution.image)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """How often each vector is read."""
        constants = execution.image.tensors
        if constants is not None and len(constants.vectors):
            trace["multiplicity"][: len(constants.vectors)] = vector_uses(execution)[0]

    def preprocessed_rows(self, image: Image) -> int:
        """One a vector."""
        return 0 if image.tensors is None else len(image.tensors.vectors)

    def fill_preprocessed(self, image: Image, trace: Trace) -> None:
        """Write the vectors."""
        if image.tensors is not None:
            count = len(image.tensors.vectors)
            trace["index"][:count] = image.tensors.first_vector + np.arange(count, dtype=np.uint64)
            put(trace, "x", image.tensors.vectors)
            trace["present"][:count] = 1


class ChannelsChip(Chip):
    """Serves the channels. Present exactly when the image has some."""

    name = "channels"
    columns = Columns(multiplicity=cell("times the channel is read"))
    preprocessed = Columns(
        index=cell("address / 16"),
        bias=cell("added to the sum"),
        multiplier=cell("what 2^32 outputs of a sum of 1 would be"),
        limit=cell("bound of |multiplier|, below 2^31"),
        present=bit("1 if the row holds a channel, 0 on padding"),
    )
    counted = (CHANNEL,)

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """None: everything but the multiplicity is preprocessed."""

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """One served tuple."""
        buses.serve("channel", CHANNEL, (row.index, row.bias, row.multiplier, row.limit), row.present * row.multiplicity)

    def rows(self, execution: Execution) -> int:
        """One a channel."""
        return self.preprocessed_rows(execution.image)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """How often each channel is read."""
        uses: NDArray[np.int64] = channel_uses(execution)
        trace["multiplicity"][: len(uses)] = uses

    def preprocessed_rows(self, image: Image) -> int:
        """One a channel."""
        return 0 if image.tensors is None else len(image.tensors.channels)

    def fill_preprocessed(self, image: Image, trace: Trace) -> None:
        """Write the channels."""
        if image.tensors is not None:
            channels = image.tensors.channels
            trace["index"][: len(channels)] = image.tensors.first_channel + np.arange(len(channels), dtype=np.uint64)
            for name in ("bias", "multiplier", "limit"):
                trace[name][: len(channels)] = elements(channels[name])
            trace["present"][: len(channels)] = 1
