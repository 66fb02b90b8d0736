"""One proof of a run in segments, with all that it takes to make it: a pure function of bytes, whoever computes it.

A piece holds the keys that are derived for its number, never the secret that they come from, and of the input and the guest's memory what
its segment reads. It goes to other processes and machines as bytes that begin with what made them, so that another version refuses them.
"""

from __future__ import annotations

import pickle
import sys
import threading
from collections import ChainMap
from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import ProvingError, WorkerError
from zkvm.riscv.machine import machine, memory_machine, segment_machine
from zkvm.riscv.records import Execution, LastMemory
from zkvm.riscv.segments import memory_part, segment_part
from zkvm.riscv.vm.checkpoint import Checkpoint
from zkvm.riscv.vm.cuts import SegmentedRun
from zkvm.riscv.vm.elf import load_image
from zkvm.session.preparing import committed_image, prepare_prover
from zkvm.session.resources import Progress
from zkvm.session.setting import Setting
from zkvm.stark.crypto.hashes import blake3
from zkvm.stark.field.extension import Ext
from zkvm.stark.protocol.joint import Challenges, Part, PartProof
from zkvm.stark.protocol.joint_codec import encode_part
from zkvm.stark.protocol.params import PROTOCOL_VERSION, parameters
from zkvm.stark.prover.joint import Early, commit_early, prove_part
from zkvm.stark.prover.randomness import Randomness
from zkvm.stark.tables import Padding

PIECE_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Terms:
    """What a setting is made of, beside the program.

    Attributes:
        params: name of the parameter set.
        security: bits that it claims.
        zk: whether the proofs hide their witness.
        threads: workers of a proof.
    """

    params: str
    security: int
    zk: bool
    threads: int


@dataclass(frozen=True, slots=True, repr=False)
class Stretch:
    """What a segment is executed from.

    Attributes:
        begin: its checkpoint, as bytes.
        cycles: executed instructions, from the run's begin, at its end.
        gaps: of each word of its boundary.
        pages: contents of pages by their hash, those of the checkpoint among them.
        stdin: the input that it reads.
        journal: what it writes.
        first: bytes that are written before it.
    """

    begin: bytes
    cycles: int
    gaps: NDArray[np.uint64]
    pages: MutableMapping[bytes, bytes]
    stdin: bytes
    journal: bytes
    first: int


@dataclass(frozen=True, slots=True, repr=False)
class Piece:
    """One of the proofs.

    Attributes:
        number: of the proof; 0 is the run's memory.
        terms: of all proofs.
        record: what the segment is executed from; or the arrays of :class:`zkvm.riscv.records.LastMemory`, in order.
        share: what the starts of its joint products multiply to.
        early: seed of its early columns.
        padding: of its tables.
        rest: seed of everything else; empty before the joint challenges are known.
        digest: what stands for it in the joint challenge; empty before it is pinned.
        challenges: those of all proofs; None before they are known.
    """

    number: int
    terms: Terms
    record: Stretch | tuple[NDArray[np.uint64], ...]
    share: Ext
    early: bytes
    padding: Padding
    rest: bytes = b""
    digest: bytes = b""
    challenges: Challenges | None = None

    def to_bytes(self) -> bytes:
        """What :meth:`from_bytes` reads. Of the pages those of the checkpoint, as far as they are there."""
        record = self.record
        if isinstance(record, Stretch):
            needed = set(Checkpoint.from_bytes(record.begin).pages.values())
            contents = {digest: record.pages.get(digest) for digest in needed}
            pages = {digest: content for digest, content in contents.items() if content is not None}
            record = replace(record, pages=pages)
        return identity() + pickle.dumps(replace(self, record=record))

    @classmethod
    def from_bytes(cls, data: bytes) -> Piece:
        """The piece that this version wrote, in arrays of its own.

        Raises:
            WorkerError: another version wrote it.
        """
        check_identity(data)
        piece = pickle.loads(data[len(identity()) :])
        assert isinstance(piece, Piece)
        return piece


def version() -> str:
    """Of this package. It is loaded when anything of it is."""
    return str(sys.modules[__name__.partition(".")[0]].__version__)


@cache
def identity() -> bytes:
    """What has to be the same in all processes that work on a run: version, and a digest of the protocol and the machines."""
    digests = machine().digest + segment_machine().digest + memory_machine().digest
    return version().encode().ljust(16) + blake3(f"{PROTOCOL_VERSION} {PIECE_FORMAT}".encode() + digests)


def check_identity(data: bytes) -> None:
    """Refuse what begins with another identity than that of this process.

    Raises:
        WorkerError: it does.
    """
    own = identity()
    theirs = data[: len(own)]
    if theirs != own:
        named = theirs[:16].decode("ascii", "replace").strip()
        what = "with another protocol or machine" if named == version() else f"zkvm {named}"
        raise WorkerError(
            f"this worker has zkvm {version()}, and the run is proven by {what}: install the same version everywhere, and start the "
            "workers again"
        )


def source(zk: bool, seed: bytes) -> Randomness:
    """The randomness of a seed; without zero knowledge there is none."""
    return Randomness(seed) if zk else Randomness.zeros()


def terms_of(setting: Setting, threads: int) -> Terms:
    """A setting's terms, for workers of so many threads."""
    return Terms(setting.chosen.name, setting.chosen.security_bits, setting.zk, threads)


def part_of(setting: Setting, piece: Piece) -> Part:
    """What the proof says."""
    record = piece.record
    if isinstance(record, Stretch):
        return segment_part(setting.header, setting.chosen, record.journal, record.first)
    return memory_part(setting.header, setting.chosen)


def record_of(setting: Setting, piece: Piece) -> Execution | LastMemory:
    """What the proof is about: its segment, executed again, or the run's memory.

    Raises:
        CheckpointError: the checkpoint or a page is missing or damaged, or they are of another run.
    """
    record = piece.record
    if not isinstance(record, Stretch):
        return LastMemory(setting.image, *record)
    start = Checkpoint.from_bytes(record.begin)
    stdin = bytes(start.position) + record.stdin  # what was read before is not read again
    run = SegmentedRun(setting.image, stdin, start=start, number=piece.number - 1, pages=ChainMap({}, record.pages))
    return run.segment(record.cycles, record.gaps)


def commit_piece(setting: Setting, piece: Piece, record: Execution | LastMemory) -> Early:
    """Commit and pin the early columns."""
    part = part_of(setting, piece)
    tables = setting.early_tables(part.machine, record, piece.padding)
    early = source(setting.zk, piece.early)
    return commit_early(part, piece.number, setting.chosen, tables, piece.share, early, setting.threads)


def prove_piece(setting: Setting, piece: Piece, progress: Progress | None = None) -> PartProof:
    """Make the proof: the same bytes whoever does it, however often.

    Args:
        setting: of all proofs.
        piece: with the challenges.
        progress: told of the proof's phases.

    Raises:
        CheckpointError: the checkpoint or a page is missing or damaged.
        ProvingError: the part came out otherwise than when its early columns were committed.
    """
    assert piece.challenges is not None
    part = part_of(setting, piece)
    tables = setting.tables(part.machine, record_of(setting, piece), piece.padding)
    early = source(setting.zk, piece.early)
    committed = commit_early(part, piece.number, setting.chosen, tables, piece.share, early, setting.threads)
    if committed.digest != piece.digest:
        raise ProvingError(f"part {piece.number} of the run came out otherwise than before: was the program executed by another version?")
    rest = source(setting.zk, piece.rest)
    proof, _ = prove_part(
        part, committed, piece.challenges, setting.chosen, tables, setting.committed, rest, threads=setting.threads, progress=progress
    )
    return proof


class _Settings:
    """The setting that was used last: a worker proves many pieces of one run, or of one program, and commits its image once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[Any, ...] = ()
        self._setting: Setting | None = None

    def get(self, program: bytes, terms: Terms) -> Setting:
        """That of a program and terms."""
        with self._lock:
            key = (program, replace(terms, threads=0))
            if self._setting is None or self._key != key:
                self._key, self._setting = (), None
                self._key, self._setting = key, setting_of(program, terms)
            return replace(self._setting, threads=terms.threads)


_settings = _Settings()


def setting_of(program: bytes, terms: Terms) -> Setting:
    """The setting of a program, from nothing.

    Args:
        program: the content of the ELF file.
        terms: of all proofs.
    """
    prepare_prover(segment_machine(), memory_machine())
    image, chosen = load_image(program), parameters(terms.params, terms.security)
    header, _, committed = committed_image(image, chosen.blowup, terms.threads)
    return Setting(image, header, committed, chosen, terms.zk, terms.threads, 0)


def prepare_work(program: bytes, data: bytes, progress: Progress) -> bytes:
    """What a worker can do before there is a piece: ``data`` are the terms that pieces will have, pickled."""
    _settings.get(program, pickle.loads(data))
    return b""


def pin_work(program: bytes, data: bytes, progress: Progress) -> bytes:
    """What a worker does first: 32 bytes that stand for a piece in the joint challenge.

    Raises:
        WorkerError: another version made the piece.
    """
    piece = Piece.from_bytes(data)
    setting = _settings.get(program, piece.terms)
    return commit_piece(setting, piece, record_of(setting, piece)).digest


def prove_work(program: bytes, data: bytes, progress: Progress) -> bytes:
    """What a worker does then: the proof of a piece, as bytes.

    Raises:
        WorkerError: another version made the piece.
    """
    piece = Piece.from_bytes(data)
    return encode_part(prove_piece(_settings.get(program, piece.terms), piece, progress))
