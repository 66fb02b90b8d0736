"""The preprocessed roots of an image under all blowups, remembered between proofs.

A proof needs the commitment under its own blowup only; the other roots enter the image ID and never change for an image. They are
kept in the user's cache directory under a digest of the columns themselves. The memory is a speed-up of the prover: it is dropped
when it does not agree with the root just computed, and nothing that decides whether to trust a program reads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.machine import Machine
from zkvm.stark.crypto.hashes import DIGEST_BYTES
from zkvm.stark.kernels.manifest import cache_directory
from zkvm.stark.protocol.params import BLOWUPS, PROTOCOL_VERSION
from zkvm.stark.prover.preprocessed import Preprocessed, commit_preprocessed

Matrices = dict[str, NDArray[np.uint64]]


def columns_key(machine: Machine, columns: Matrices) -> bytes:
    """32 bytes that name these columns of this machine."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update(PROTOCOL_VERSION.to_bytes(8, "little") + machine.digest)
    for name, matrix in columns.items():
        digest.update(f"{name} {matrix.shape};".encode())
        digest.update(np.ascontiguousarray(matrix).data)
    return digest.digest()


def _path(key: bytes) -> Path:
    return cache_directory() / "roots" / key.hex()


def _checksum(key: bytes, roots: bytes) -> bytes:
    return hashlib.blake2b(key + roots, digest_size=DIGEST_BYTES).digest()


def recall(key: bytes) -> tuple[bytes, ...] | None:
    """The remembered roots, in the order of :data:`BLOWUPS`; None if there are none or the file is damaged."""
    try:
        data = _path(key).read_bytes()
    except OSError:
        return None
    roots = data[: DIGEST_BYTES * len(BLOWUPS)]
    if len(data) != DIGEST_BYTES * (len(BLOWUPS) + 1) or data[len(roots) :] != _checksum(key, roots):
        return None
    return tuple(roots[start : start + DIGEST_BYTES] for start in range(0, len(roots), DIGEST_BYTES))


def remember(key: bytes, roots: tuple[bytes, ...]) -> None:
    """Keep the roots, whole or not at all; a directory that cannot be written is no error."""
    path, joined = _path(key), b"".join(roots)
    scratch = path.with_name(f"{path.name}.{os.getpid()}.part")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            scratch.write_bytes(joined + _checksum(key, joined))
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)


def roots_with(machine: Machine, columns: Matrices, blowup: int, threads: int = 1) -> tuple[Preprocessed, tuple[bytes, ...]]:
    """The commitment under ``blowup``, and the roots under every blowup, remembered ones if they agree with it."""
    committed = commit_preprocessed(machine, columns, blowup, threads)
    key = columns_key(machine, columns)
    roots = recall(key)
    if roots is None or roots[BLOWUPS.index(blowup)] != committed.root:
        roots = tuple(
            committed.root if other == blowup else commit_preprocessed(machine, columns, other, threads).root for other in BLOWUPS
        )
        remember(key, roots)
    return committed, roots
