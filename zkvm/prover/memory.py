"""How much memory a proof will take, from its shape, before it starts."""

from __future__ import annotations

from zkvm.crypto.hashes import DIGEST_BYTES
from zkvm.crypto.merkle import SALT_WORDS
from zkvm.field.extension import DEGREE
from zkvm.shape import MASK_COLUMNS, QUOTIENT_COLUMNS, ProofShape

WORD_BYTES = 8
PROCESS_BYTES = 420 << 20
"""Interpreter, numpy, numba and the kernels, their compilation at the first use included (measured)."""
CODEWORDS = 5
"""Extension-field arrays over the largest domain that the DEEP quotient holds at once: result, sum, points, differences, inverses."""


def predicted_bytes(shape: ProofShape, record_bytes: int = 0) -> int:
    """Peak memory of proving tables of this shape.

    Args:
        record_bytes: of the execution's records, which stay alive, as does their sorted copy.
    """
    blowup = shape.parameters.blowup
    points = blowup * shape.tallest
    cells = sum(sum(table.code.widths) * table.height for table in shape.tables)
    quotient = QUOTIENT_COLUMNS + MASK_COLUMNS
    columns = (1 + blowup) * cells + (2 + blowup) * quotient * shape.tallest
    salts = 3 * SALT_WORDS * points
    trees = 3 * 2 * DIGEST_BYTES * points
    codewords = CODEWORDS * DEGREE * points
    return PROCESS_BYTES + 2 * record_bytes + trees + WORD_BYTES * (columns + salts + codewords)
