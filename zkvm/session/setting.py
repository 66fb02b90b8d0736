"""What the proofs of all segments of a run have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zkvm.riscv.fills import fill_rows
from zkvm.riscv.header import ImageHeader
from zkvm.riscv.machine import machine, memory_machine, segment_machine
from zkvm.riscv.records import Execution, Image, LastMemory
from zkvm.session.bound import PadTo
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Table
from zkvm.stark.crypto.hashes import blake3
from zkvm.stark.kernels.counting import count_values
from zkvm.stark.protocol.params import PROTOCOL_VERSION, Parameters
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.prover.counting import merge_tuples
from zkvm.stark.prover.preprocessed import Preprocessed
from zkvm.stark.prover.tapes import evaluate_columns
from zkvm.stark.tables import Padding, build_tables, planned_heights


@dataclass(frozen=True, slots=True)
class Setting:
    """What the proofs of all segments have in common.

    Attributes:
        image: the program.
        header: its header.
        committed: its preprocessed columns, committed under the blowup of the parameters.
        chosen: the parameters.
        zk: whether the proofs hide their witness.
        threads: workers.
        max_journal: most bytes of a receipt's journal.
        pad_to: what the tables of each part are padded to.
    """

    image: Image
    header: ImageHeader
    committed: Preprocessed
    chosen: Parameters
    zk: bool
    threads: int
    max_journal: int
    pad_to: PadTo = 0

    def tables(self, machine: Machine, record: Execution | LastMemory, padding: Padding) -> list[Table]:
        """Filled tables of a part; ``padding``: see :func:`zkvm.stark.tables.heights_for`."""
        return build_tables(
            machine,
            record,
            self.image,
            self.chosen.exempt,
            preprocessed=self.committed.columns,
            evaluate=evaluate_columns,
            count=count_values,
            merge=merge_tuples,
            fill=fill_rows,
            threads=self.threads,
            pad_to=padding,
            split_price=self.chosen.split_price,
        )

    def early_tables(self, machine: Machine, record: Execution | LastMemory, padding: Padding) -> list[Table]:
        """Those with early columns, as they are in :meth:`tables`."""
        early = Machine(machine.name, tuple(chip for chip in machine.chips if chip.early), machine.max_rows)
        return build_tables(early, record, self.image, self.chosen.exempt, preprocessed=self.committed.columns, pad_to=padding)

    def shape(self, machine: Machine, record: Execution | LastMemory, padding: Padding) -> ProofShape:
        """Of the proof of a part.

        Raises:
            LimitError: a table would be too tall.
        """
        heights = planned_heights(machine, record, self.image, self.chosen.exempt, padding, split_price=self.chosen.split_price)
        return shape_of(machine, self.chosen, heights)


def shape_of(machine: Machine, chosen: Parameters, heights: Sequence[int]) -> ProofShape:
    """The shape of a proof with these heights, 0 for absent tables."""
    return ProofShape(machine, chosen, tuple(height.bit_length() - 1 if height else 0 for height in heights))


def run_identity(setting: Setting, stdin: bytes, length: int | None) -> bytes:
    """32 bytes that name a run and its proofs: whatever their bytes follow from, but for the cuts that follow from memory."""
    digests = machine().digest + segment_machine().digest + memory_machine().digest + setting.header.to_bytes()
    text = f"{PROTOCOL_VERSION} {setting.chosen.numbers} {setting.zk} {setting.pad_to} {length} {len(stdin)}"
    return blake3(digests + blake3(stdin) + text.encode())
