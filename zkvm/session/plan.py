"""A run that has been cut into segments: what every one of their proofs depends on, and its bytes."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import CheckpointError
from zkvm.riscv.records import Image, LastMemory
from zkvm.stark.crypto.hashes import blake3
from zkvm.stark.prover.randomness import Randomness

_MEMORY = ("ram_last", "ram_segment", "zero_address", "zero_last", "zero_segment")


@dataclass(frozen=True, slots=True)
class Cut:
    """A segment before it is proven.

    Attributes:
        begin: its checkpoint, as bytes.
        cycles: executed instructions, from the run's begin, at its end.
        gaps: of each word of its boundary.
        journal: what it writes.
        digest: what stands for it in the joint challenge, 32 bytes.
    """

    begin: bytes
    cycles: int
    gaps: NDArray[np.uint64]
    journal: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that has been cut, with everything that its proofs depend on.

    Attributes:
        secret: 32 bytes from which all randomness is derived.
        exit_code: of the run.
        cycles: executed instructions.
        cuts: its segments.
        memory: where its words stand at its end.
        memory_digest: what stands for the proof of memory in the joint challenge.
        output: what the guest wrote to fd 1 and 2.
        seconds: of the execution.
    """

    secret: bytes
    exit_code: int
    cycles: int
    cuts: tuple[Cut, ...]
    memory: LastMemory
    memory_digest: bytes
    output: tuple[bytes, bytes]
    seconds: float = 0.0

    @property
    def journal(self) -> list[bytes]:
        """What each segment writes."""
        return [cut.journal for cut in self.cuts]

    def seed(self, zk: bool, purpose: str, number: int, also: bytes = b"") -> Randomness:
        """The randomness of a part for one purpose; ``also``: what else it depends on."""
        if not zk:
            return Randomness.zeros()
        return Randomness(blake3(f"zkvm/segments/1:{purpose}:{number}:".encode() + also, self.secret))

    def to_bytes(self) -> bytes:
        """What :meth:`from_bytes` reads."""
        arrays: dict[str, NDArray[Any]] = {f"gaps {number}": cut.gaps for number, cut in enumerate(self.cuts)}
        arrays |= {name: getattr(self.memory, name) for name in _MEMORY}
        cuts = [[cut.begin.hex(), cut.cycles, cut.journal.hex(), cut.digest.hex()] for cut in self.cuts]
        text = {"secret": self.secret.hex(), "exit code": self.exit_code, "cycles": self.cycles, "cuts": cuts}
        text |= {"memory": self.memory_digest.hex(), "output": [part.hex() for part in self.output], "seconds": self.seconds}
        arrays["text"] = np.frombuffer(json.dumps(text).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, image: Image) -> Plan:
        """The plan that was written. Its bytes are those that were written: nothing is checked but that they are a plan.

        Raises:
            CheckpointError: they are not.
        """
        try:
            return cls._read(data, image)
        except (ValueError, LookupError, TypeError, OSError, zipfile.BadZipFile) as error:
            raise CheckpointError(f"the plan of the run is of another version of zkvm, or damaged ({error})") from error

    @classmethod
    def _read(cls, data: bytes, image: Image) -> Plan:
        with np.load(io.BytesIO(data)) as arrays:
            text = json.loads(arrays["text"].tobytes())
            words = LastMemory(image, *(arrays[name] for name in _MEMORY))
            cuts = tuple(
                Cut(bytes.fromhex(begin), cycles, arrays[f"gaps {number}"], bytes.fromhex(journal), bytes.fromhex(digest))
                for number, (begin, cycles, journal, digest) in enumerate(text["cuts"])
            )
        stdout, stderr = (bytes.fromhex(part) for part in text["output"])
        secret, digest = bytes.fromhex(text["secret"]), bytes.fromhex(text["memory"])
        return cls(secret, text["exit code"], text["cycles"], cuts, words, digest, (stdout, stderr), text["seconds"])
