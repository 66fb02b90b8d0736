"""What a proof is about."""

from __future__ import annotations

from dataclasses import dataclass

from zkvm.stark.air.table import Closing


@dataclass(frozen=True, slots=True)
class Statement:
    """What a proof is about: absorbed before anything else.

    Attributes:
        fields: labelled bytes, absorbed in order; everything below is a function of them.
        preprocessed_heights: for each chip the height of its preprocessed table, 0 without one (such a chip is absent if it has
            preprocessed columns).
        preprocessed_root: 32 bytes, the root under the proof's blowup.
        closings: the tuples that the verifier puts on the buses.
    """

    fields: tuple[tuple[str, bytes], ...]
    preprocessed_heights: tuple[int, ...]
    preprocessed_root: bytes
    closings: tuple[Closing, ...]

    @property
    def closing_tuples(self) -> int:
        """Tuples that the verifier puts on the buses: some hundred, and one for every byte of a journal."""
        return sum(len(closing.values) for closing in self.closings)
