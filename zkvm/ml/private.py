"""What a guest with private weights reads before its input: a salt, words, and vectors, first those of bytes."""

from __future__ import annotations

import os

from zkvm.ml.code import BYTE_BITS, BYTE_ROW_VECTORS, ROW_VECTORS
from zkvm.ml.codegen import GeneratedCode
from zkvm.ml.package import SALT_BYTES


def private_input(code: GeneratedCode) -> tuple[bytes, tuple[int, int]]:
    """The private input with a fresh salt, and how many rows its vectors of bytes and of int16 fill."""
    words, end = os.urandom(SALT_BYTES) + code.private_words.astype("<i4").tobytes(), BYTE_ROW_VECTORS * code.private_byte_rows
    small, large = code.private_tensor[:end] >> BYTE_BITS, code.private_tensor[end:]
    return words + small.astype("i1").tobytes() + large.astype("<i2").tobytes(), (code.private_byte_rows, len(large) // ROW_VECTORS)
