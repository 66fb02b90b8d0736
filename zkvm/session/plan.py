"""A run that has been cut into segments: what every one of their proofs depends on, and its bytes."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import CheckpointError
from zkvm.riscv.records import Image, LastMemory
from zkvm.riscv.vm.checkpoint import Checkpoint
from zkvm.session.pieces import Piece, Stretch, Terms, source
from zkvm.stark.crypto.hashes import blake3
from zkvm.stark.field.extension import Ext
from zkvm.stark.protocol.joint import Challenges
from zkvm.stark.prover.joint import last_share, share_of
from zkvm.stark.tables import Padding

_MEMORY = ("ram_last", "ram_segment", "zero_address", "zero_last", "zero_segment")


@dataclass(frozen=True, slots=True, repr=False)
class Cut:
    """A segment before it is proven.

    Attributes:
        begin: its checkpoint, as bytes.
        cycles: executed instructions, from the run's begin, at its end.
        read: bytes of the input that are read by then.
        gaps: of each word of its boundary.
        journal: what it writes.
        padding: of its tables.
    """

    begin: bytes
    cycles: int
    read: int
    gaps: NDArray[np.uint64]
    journal: bytes
    padding: Padding


def derived_seed(secret: bytes, purpose: str, number: int, also: bytes = b"") -> bytes:
    """The seed of a part for one purpose, 32 bytes; ``also``: what else it depends on. Nothing leads from it to the secret."""
    return blake3(f"zkvm/segments/1:{purpose}:{number}:".encode() + also, secret)


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """A run that has been cut, with everything that its proofs depend on.

    Attributes:
        secret: 32 bytes from which all randomness is derived.
        exit_code: of the run.
        cycles: executed instructions.
        cuts: its segments.
        memory: where its words stand at its end.
        output: what the guest wrote to fd 1 and 2.
        seconds: of the execution.
        digests: what stands for each proof in the joint challenge, 32 bytes, memory first; empty as long as they are not known.
        padding: of memory's tables.
    """

    secret: bytes
    exit_code: int
    cycles: int
    cuts: tuple[Cut, ...]
    memory: LastMemory
    output: tuple[bytes, bytes]
    seconds: float = 0.0
    digests: tuple[bytes, ...] = ()
    padding: Padding = 0

    @property
    def journal(self) -> list[bytes]:
        """What each segment writes."""
        return [cut.journal for cut in self.cuts]

    def piece(
        self, number: int, terms: Terms, stdin: bytes, pages: MutableMapping[bytes, bytes], challenges: Challenges | None = None
    ) -> Piece:
        """What one proof is made from.

        Args:
            number: of the proof; 0: of the run's memory.
            terms: of all proofs.
            stdin: the private input.
            pages: contents of pages by their hash.
            challenges: of all proofs; None: they are not known yet.
        """
        digest = self.digests[number] if self.digests else b""
        rest = b"" if challenges is None else derived_seed(self.secret, "rest", number, challenges.digest)
        early = derived_seed(self.secret, "early", number)
        if not number:
            words = tuple(getattr(self.memory, name) for name in _MEMORY)
            shares = [self._share(terms.zk, own) for own in range(1, len(self.cuts) + 1)]
            return Piece(number, terms, words, last_share(shares), early, self.padding, rest, digest, challenges)
        cut, before = self.cuts[number - 1], self.cuts[: number - 1]
        start = Checkpoint.from_bytes(cut.begin)
        first = sum(len(own.journal) for own in before)
        stretch = Stretch(cut.begin, cut.cycles, cut.gaps, pages, stdin[start.position : cut.read], cut.journal, first)
        return Piece(number, terms, stretch, self._share(terms.zk, number), early, cut.padding, rest, digest, challenges)

    def _share(self, zk: bool, number: int) -> Ext:
        return share_of(source(zk, derived_seed(self.secret, "share", number)))

    def to_bytes(self) -> bytes:
        """What :meth:`from_bytes` reads."""
        arrays: dict[str, NDArray[Any]] = {f"gaps {number}": cut.gaps for number, cut in enumerate(self.cuts)}
        arrays |= {name: getattr(self.memory, name) for name in _MEMORY}
        cuts = [[cut.begin.hex(), cut.cycles, cut.read, cut.journal.hex(), cut.padding] for cut in self.cuts]
        text: dict[str, Any] = {"secret": self.secret.hex(), "exit code": self.exit_code, "cycles": self.cycles, "cuts": cuts}
        text |= {
            "digests": [digest.hex() for digest in self.digests],
            "output": [part.hex() for part in self.output],
            "seconds": self.seconds,
            "padding": self.padding,
        }
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
                Cut(bytes.fromhex(begin), cycles, read, arrays[f"gaps {number}"], bytes.fromhex(journal), padding)
                for number, (begin, cycles, read, journal, padding) in enumerate(text["cuts"])
            )
        stdout, stderr = (bytes.fromhex(part) for part in text["output"])
        digests = tuple(map(bytes.fromhex, text["digests"]))
        secret, counts = bytes.fromhex(text["secret"]), (text["exit code"], text["cycles"])
        return cls(secret, *counts, cuts, words, (stdout, stderr), text["seconds"], digests, text["padding"])
