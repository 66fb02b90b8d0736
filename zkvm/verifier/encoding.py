"""What stands before the seal in a receipt's bytes: the image's header and the numbers of a claim."""

from __future__ import annotations

from zkvm.errors import FormatError, UsageError
from zkvm.riscv.header import MAX_GAP_WORD, MAX_GAPS, ImageHeader, preprocessed_chips
from zkvm.stark.crypto.hashes import DIGEST_BYTES
from zkvm.stark.protocol.codec import Reader
from zkvm.stark.protocol.params import BLOWUPS, MAX_HEIGHT, PARAMETERS


def little(width: int, *numbers: int) -> bytes:
    """Little-endian integers of so many bytes each.

    Raises:
        OverflowError: one does not fit.
    """
    return b"".join(number.to_bytes(width, "little") for number in numbers)


def encode_header(header: ImageHeader) -> bytes:
    """The bytes of an image's header.

    Raises:
        UsageError: a height is no power of two.
        OverflowError: a number does not fit its field.
    """
    edges = [edge for gap in header.gaps for edge in gap]
    logs = [height.bit_length() - 1 if height else 0 for height in header.heights]
    if tuple(1 << log if log else 0 for log in logs) != header.heights:
        raise UsageError(f"preprocessed heights {header.heights} are not powers of two")
    return (
        little(4, header.entry, header.initial_sp)
        + little(1, len(header.gaps))
        + little(4, *edges)
        + little(1, *logs)
        + b"".join(header.roots)
    )


def read_header(reader: Reader) -> ImageHeader:
    """The image's header; that its numbers are admissible for an image is checked by :meth:`ImageHeader.check`.

    Raises:
        FormatError: the bytes encode none.
    """
    entry, initial_sp = reader.integer(4, "entry"), reader.integer(4, "initial stack pointer")
    count = reader.integer(1, "number of gaps", 0, MAX_GAPS)
    gaps = tuple(
        (reader.integer(4, "start of a gap", 1, MAX_GAP_WORD), reader.integer(4, "end of a gap", 1, MAX_GAP_WORD)) for _ in range(count)
    )
    logs = [reader.integer(1, f"log height of {name}", 0, MAX_HEIGHT.bit_length() - 1) for name in preprocessed_chips()]
    heights = tuple(1 << log if log else 0 for log in logs)
    return ImageHeader(entry, initial_sp, gaps, heights, tuple(reader.take(DIGEST_BYTES, "preprocessed root") for _ in BLOWUPS))


def read_parameters(reader: Reader) -> tuple[int, int, int]:
    """The parameters of a claim, which must be those of a known set.

    Raises:
        FormatError: they are not.
    """
    numbers = reader.integer(2, "blowup"), reader.integer(2, "queries"), reader.integer(2, "exempt rows")
    if numbers not in [entry.numbers for entry in PARAMETERS]:
        raise FormatError(f"unknown parameters (blowup, queries, exempt rows) = {numbers}")
    return numbers
