"""The tapes of a chip, kept in the cache directory: lowering those of all tables takes as long as a small proof.

Only the prover reads them. A verifier evaluates the constraints themselves, which are derived from the chips in every process; a wrong
tape makes a proof that it refuses. A file's name is a digest of what the tapes follow from: the chip's constraints and the sources that
lower them. Its checksum finds damage, not malice, as that of the kernels beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import marshal
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np

from zkvm.stark.air import machine as air
from zkvm.stark.air.machine import ChipCode
from zkvm.stark.air.tape import ROW, Tape
from zkvm.stark.kernels.manifest import cache_directory

KINDS = ("constraint_tape", "fraction_tape")
"""Properties of :class:`zkvm.stark.air.machine.ChipCode`."""
_DIGEST_BYTES, _LENGTH_BYTES = 32, 8
_PLAIN = 2
"""The last version of ``marshal`` that writes equal values as equal bytes: later ones write what occurs twice as a reference."""


def recall_tapes(codes: Iterable[ChipCode]) -> int:
    """Give chips the tapes that are kept, or keep those that they have.

    Args:
        codes: of the chips; a second instance stands for the first, whose tapes it shares.

    Returns:
        How many chips had none that were kept, or damaged ones: theirs are lowered and written.
    """
    lowered = 0
    for code in {id(owner): owner for owner in (code.first or code for code in codes)}.values():
        if all(kind in vars(code) for kind in KINDS):
            continue
        path = _path(code)
        try:
            tapes = unpack(path.read_bytes())
        except OSError:
            tapes = None
        if tapes is None or len(tapes) != len(KINDS):
            lowered += 1
            _write(path, pack([getattr(code, kind) for kind in KINDS]))
        else:
            vars(code).update(zip(KINDS, tapes, strict=True))
    return lowered


def _path(code: ChipCode) -> Path:
    constraints = marshal.dumps((code.powers, code.straight.nodes, code.straight.outputs, code.groups), _PLAIN)
    digest = hashlib.sha256(_sources().encode() + constraints)
    return cache_directory() / "tapes" / digest.hexdigest()[:32]


@cache
def _sources() -> str:
    digest = hashlib.sha256()
    for source in sorted(Path(air.__file__).parent.glob("*.py")):
        content = source.read_bytes()
        digest.update(f"{source.name}:{len(content)}:".encode() + content)
    return digest.hexdigest()


def pack(tapes: list[Tape]) -> bytes:
    """The content of the file: a checksum, the length of the header, the header (JSON), and of every tape its code and its pool's nodes."""
    header = json.dumps([[len(tape.code), len(tape.uniform), tape.registers, tape.outputs] for tape in tapes]).encode()
    parts = [len(header).to_bytes(_LENGTH_BYTES, "little"), header]
    for tape in tapes:
        parts += [tape.code.astype("<i4").tobytes(), tape.uniform.astype("<u8").tobytes()]
    content = b"".join(parts)
    return hashlib.sha256(content).digest() + content


def unpack(data: bytes) -> list[Tape] | None:
    """What :func:`pack` packed; None if it is damaged."""
    content = memoryview(data)[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != data[:_DIGEST_BYTES]:
        return None
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    tapes = []
    for rows, nodes, registers, outputs in json.loads(bytes(content[_LENGTH_BYTES:start])):
        code = np.frombuffer(content, "<i4", ROW * rows, start).reshape(rows, ROW).astype(np.int32)
        start += 4 * ROW * rows
        uniform = np.frombuffer(content, "<u8", 3 * nodes, start).reshape(nodes, 3).astype(np.uint64)
        start += 8 * 3 * nodes
        tapes.append(Tape(code, registers, uniform, outputs))
    return tapes


def _write(path: Path, data: bytes) -> None:
    """Keep it, whole or not at all; a directory that cannot be written is no error."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}.part")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            scratch.write_bytes(data)
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)
