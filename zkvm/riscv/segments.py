"""What the proofs of a run in segments state: its memory, number 0, then each segment, and all of them together."""

from __future__ import annotations

from collections.abc import Sequence

from zkvm.errors import RejectReason, VerificationError
from zkvm.riscv.chips.buses import STATE
from zkvm.riscv.chips.segments.hand_over import HandOverChip
from zkvm.riscv.header import ImageHeader, joint_closings, journal_closing, memory_closings, preprocessed_chips
from zkvm.riscv.machine import memory_machine, segment_machine
from zkvm.stark.air.chip import Chip
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Closing
from zkvm.stark.crypto.hashes import blake3
from zkvm.stark.protocol.joint import MAX_PARTS, JointStatement, Part
from zkvm.stark.protocol.params import BLOWUPS, Parameters
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.protocol.statement import Statement

MAX_INSTRUCTIONS = (1 << 30) - 2
"""Fewer instructions than this in all segments together. Their number, and that of a tensor, which is one more, are words, and keys of
channels in vectors stay below those of lists that are not aligned (:mod:`zkvm.riscv.chips.tensor.channels`): from tensor 2^30 - 1 on
they would meet."""


def segmented_statement(
    header: ImageHeader, parameters: Parameters, journal: Sequence[bytes], exit_code: int
) -> tuple[JointStatement, list[Part]]:
    """What a proof of a run in segments states: this image, run from its entry, exits once with this code and these bytes of journal.

    Args:
        header: of the image.
        parameters: of all proofs.
        journal: what each segment writes to it.
        exit_code: of the run.

    Returns:
        What all proofs say together, and what each says, memory first.

    Raises:
        VerificationError: CLAIM, for an impossible header or exit code, or number of segments.
    """
    header.check()
    if not 0 <= exit_code < 1 << 32:
        raise VerificationError(RejectReason.CLAIM, f"exit code {exit_code} is not a 32-bit word")
    if not 1 <= len(journal) < MAX_PARTS:
        raise VerificationError(RejectReason.CLAIM, f"{len(journal)} segments; there are 1 to {MAX_PARTS - 1}")
    fields = (
        ("machine digests", segment_machine().digest + memory_machine().digest),
        ("image header", header.to_bytes()),
        ("exit code", exit_code.to_bytes(8, "little")),
    )
    parts = [memory_part(header, parameters)]
    first = 0
    for own in journal:
        parts.append(segment_part(header, parameters, own, first))
        first += len(own)
    return JointStatement(fields, joint_closings(header, len(journal), exit_code)), parts


def memory_part(header: ImageHeader, parameters: Parameters) -> Part:
    """What the proof of a run's memory says: where the image's words and those of its gaps begin, and where they end."""
    return _part(memory_machine(), header, parameters, (), memory_closings(header))


def segment_part(header: ImageHeader, parameters: Parameters, journal: bytes, first: int) -> Part:
    """What the proof of a segment says: these bytes of the journal, from an index on, are what it writes."""
    label = first.to_bytes(8, "little") + len(journal).to_bytes(8, "little") + blake3(journal)
    return _part(segment_machine(), header, parameters, (("journal part", label),), (journal_closing(journal, first),))


def _part(
    machine: Machine, header: ImageHeader, parameters: Parameters, fields: tuple[tuple[str, bytes], ...], closings: tuple[Closing, ...]
) -> Part:
    heights = dict(zip(preprocessed_chips(), header.heights, strict=True))
    preprocessed = tuple(heights.get(chip.name, 0) for chip in machine.chips)
    return Part(machine, Statement(fields, preprocessed, header.roots[BLOWUPS.index(parameters.blowup)], closings))


def consumes_state(chip: Chip) -> bool:
    """Whether rows of a chip are instructions."""
    if chip.name == HandOverChip.name:
        return False
    return any(pair.receive is not None and pair.receive.bus is STATE for pair in chip.air_buses.pairs)


def instruction_rows(shape: ProofShape) -> int:
    """For how many instructions a proof has rows."""
    return sum(table.height for table in shape.tables if consumes_state(table.code.chip))


def check_instructions(shapes: Sequence[ProofShape]) -> None:
    """All proofs together have rows for fewer than :data:`MAX_INSTRUCTIONS` instructions.

    Raises:
        VerificationError: SHAPE, they have more.
    """
    rows = sum(map(instruction_rows, shapes))
    if rows >= MAX_INSTRUCTIONS:
        raise VerificationError(RejectReason.SHAPE, f"{rows} rows of instructions in all segments; there are fewer than {MAX_INSTRUCTIONS}")
