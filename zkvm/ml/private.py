"""What a guest with private weights reads before its input: a salt, words, and vectors with their digest."""

from __future__ import annotations

import os

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.codegen import GeneratedCode
from zkvm.ml.package import SALT_BYTES


def private_input(code: GeneratedCode) -> tuple[bytes, int]:
    """The private input with a fresh salt, and how many vectors of it there are, with those of their digest.

    Raises:
        UsageError: there are vectors, and the ``prove`` extra, which digests them, is missing.
    """
    words, vectors = os.urandom(SALT_BYTES) + code.private_words.astype("<i4").tobytes(), code.private_tensor
    if not len(vectors):
        return words, 0
    try:
        from zkvm.riscv.vm.digest import digest_of
    except ModuleNotFoundError as error:
        raise UsageError(
            "private weights in tensor calls are digested by the prover's kernels: pip install 'zkvm[prove]', or compile with "
            "--precompiles none"
        ) from error
    vectors = np.concatenate([vectors, digest_of(vectors)])
    return words + vectors.astype("<i2").tobytes(), len(vectors)
