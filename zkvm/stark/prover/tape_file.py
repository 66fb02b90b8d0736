"""The tapes of a machine, kept in the cache directory: lowering them takes as long as a small proof.

Only the prover reads them. A verifier evaluates the constraints themselves, which are derived from the chips in every process; a wrong
tape makes a proof that it refuses. The file's name holds what a tape follows from: the machine's digest, which covers every
constraint, and the sources that lower them. Its checksum finds damage, not malice, as that of the kernels beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from itertools import islice
from pathlib import Path

import numpy as np

from zkvm.stark.air import machine as air
from zkvm.stark.air.machine import ChipCode, Machine
from zkvm.stark.air.tape import ROW, Tape
from zkvm.stark.kernels.manifest import cache_directory

KINDS = ("constraint_tape", "fraction_tape")
"""Properties of :class:`zkvm.stark.air.machine.ChipCode`."""
_DIGEST_BYTES, _LENGTH_BYTES = 32, 8


def recall_tapes(machine: Machine) -> bool:
    """Give the chips of this machine the tapes that are kept, or keep those that they have.

    Args:
        machine: its codes and its digest are derived, if they are not yet.

    Returns:
        Whether there were any; if not, or if they are damaged, all are lowered and written.
    """
    codes = _first_instances(machine)
    path = _path(machine)
    try:
        tapes = unpack(path.read_bytes())
    except OSError:
        tapes = None
    if tapes is None or len(tapes) != len(KINDS) * len(codes):
        _write(path, pack([getattr(code, kind) for code in codes for kind in KINDS]))
        return False
    kept = iter(tapes)
    for code in codes:
        vars(code).update(zip(KINDS, islice(kept, len(KINDS)), strict=True))
    return True


def _first_instances(machine: Machine) -> list[ChipCode]:
    """The others share their tapes."""
    return [code for code in machine.codes if code.first is None]


def _path(machine: Machine) -> Path:
    digest = hashlib.sha256(machine.digest)
    for source in sorted(Path(air.__file__).parent.glob("*.py")):
        content = source.read_bytes()
        digest.update(f"{source.name}:{len(content)}:".encode() + content)
    return cache_directory() / f"tapes-{digest.hexdigest()[:16]}"


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
