"""The file that keeps the compiled kernels: what the compiler writes and the library loads.

It is :data:`MAGIC`, the SHA-256 of what follows, the length of the header (8 bytes), the header (JSON: the parameters of every kernel
and the lengths of the object files) and the object files. The checksum finds damage, not malice: whoever can write to the cache directory
can run code, as with Python's own bytecode cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MAGIC = b"zkvm kernels 1\r\n"
DIGEST_BYTES = 32
LENGTH_BYTES = 8
FAILED = -(2**63)
"""Result of a kernel that raised an exception, which none may."""


class Parameter(NamedTuple):
    """What a kernel takes: kind ``int64``, ``uint64``, ``bool``, or ``array`` with these properties."""

    kind: str
    dtype: np.dtype[Any] | None
    ndim: int
    writable: bool


class Compiled(NamedTuple):
    """What the compiler made: object files, and the parameters of every kernel in them."""

    objects: tuple[bytes, ...]
    parameters: dict[str, list[Parameter]]


def symbol(name: str) -> str:
    """Name of the kernel's function in the object file."""
    return "zkvm_" + name.replace(".", "_")


def read(path: Path) -> Compiled | None:
    """The content of a file; None if there is none or it is damaged."""
    try:
        return unpack(path.read_bytes())
    except OSError:
        return None


def unpack(data: bytes) -> Compiled | None:
    """What :func:`pack` packed; None if it is damaged."""
    start = len(MAGIC) + DIGEST_BYTES
    if data[: len(MAGIC)] != MAGIC or data[len(MAGIC) : start] != hashlib.sha256(memoryview(data)[start:]).digest():
        return None
    length = int.from_bytes(data[start : start + LENGTH_BYTES], "little")
    first = start + LENGTH_BYTES + length
    header = json.loads(data[start + LENGTH_BYTES : first])
    objects = []
    for size in header["objects"]:
        objects.append(data[first : first + size])
        first += size
    return Compiled(tuple(objects), {name: [_from_json(value) for value in values] for name, values in header["kernels"].items()})


def pack(compiled: Compiled) -> bytes:
    """The content of the file that keeps them."""
    kernels = {name: [_to_json(value) for value in values] for name, values in compiled.parameters.items()}
    header = json.dumps({"kernels": kernels, "objects": [len(code) for code in compiled.objects]}).encode()
    content = b"".join([len(header).to_bytes(LENGTH_BYTES, "little"), header, *compiled.objects])
    return MAGIC + hashlib.sha256(content).digest() + content


def write(path: Path, compiled: Compiled) -> None:
    """Keep them in a file, whole or not at all; two processes may do so at once.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pack(compiled))
        os.replace(scratch, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(scratch)
        raise


def _to_json(value: Parameter) -> list[Any]:
    dtype = value.dtype
    if dtype is None:
        return [value.kind]
    described: Any = dtype.str
    if dtype.fields is not None:
        names = list(dtype.names or ())
        fields = [dtype.fields[name] for name in names]
        described = {"names": names, "formats": [field[0].str for field in fields], "offsets": [field[1] for field in fields]}
        described["itemsize"] = dtype.itemsize
    return [value.kind, described, value.ndim, value.writable]


def _from_json(value: list[Any]) -> Parameter:
    if len(value) == 1:
        return Parameter(value[0], None, 0, False)
    return Parameter(value[0], np.dtype(value[1]), value[2], value[3])
