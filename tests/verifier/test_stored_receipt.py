"""Receipts of runs in segments where they lie: few proofs in memory at a time, the same reasons, and nothing that changes unseen."""

from __future__ import annotations

import gc
import random
import weakref
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.running import invoke
from tests.verifier.test_segmented_receipt import bump, flip, proven, refusal, seal_of, with_seal
from zkvm.errors import FormatError, RejectReason, UsageError, VerificationError
from zkvm.files import FileBytes
from zkvm.riscv.machine import memory_machine, segment_machine
from zkvm.riscv.segments import segmented_statement
from zkvm.stark.air.machine import Machine
from zkvm.stark.protocol import codec, joint_codec
from zkvm.stark.protocol.codec import Reader
from zkvm.stark.protocol.joint import PartProof
from zkvm.stark.protocol.joint_codec import StoredProofs, encode_part
from zkvm.stark.protocol.params import Policy, parameters
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.verifier import joint as verifying
from zkvm.verifier.__main__ import main
from zkvm.verifier.receipt import Claim, Receipt, open_receipt, read_receipt, verdict


@pytest.fixture
def path(tmp_path: Path) -> Path:
    result = tmp_path / "run.receipt"
    proven().receipt.save(result)
    return result


def test_a_file_and_its_bytes_say_the_same(path: Path) -> None:
    data = path.read_bytes()
    expected = verdict(data, proven().image_id)
    assert expected["accepted"]
    with open_receipt(path) as stored:
        assert isinstance(stored, FileBytes)
        receipt = Receipt.from_bytes(stored)
        assert receipt == proven().receipt
        assert receipt.to_bytes() == data
        assert receipt.to_json() == proven().receipt.to_json()
        assert verdict(stored, proven().image_id) == expected


def test_damaged_files_and_their_bytes_say_the_same(path: Path) -> None:
    honest, chosen = path.read_bytes(), random.Random(1)
    for number in range(60):
        data = bytearray(honest)
        place = chosen.randrange(len(data))
        data[place] ^= 1 << chosen.randrange(8)
        path.write_bytes(data[: place + 1] if number % 3 == 0 else data)
        with open_receipt(path) as stored:
            answer = verdict(stored, proven().image_id, threads=1 + number % 2)
        assert answer == verdict(path.read_bytes(), proven().image_id)
        assert not answer["accepted"]


def test_other_kinds_are_read(path: Path) -> None:
    """What is no regular file, or no run in segments."""
    with path.open("rb") as file, open_receipt(file.fileno()) as data:
        assert data == path.read_bytes()
    path.write_bytes(b"ZKVMRCPT" + bytes(10))
    with open_receipt(path) as data:
        assert data == read_receipt(path)


@pytest.mark.parametrize(("threads", "lockstep"), [(1, 1), (2, 1), (1, 2), (1, verifying.LOCKSTEP)])
def test_few_proofs_are_in_memory_at_a_time(path: Path, threads: int, lockstep: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One while the file is read; while it is verified so many as are in lockstep, for each thread."""
    count, most, read = [0], [0], joint_codec.read_part

    def gone() -> None:
        count[0] -= 1

    def counting(machine: Any, reader: Reader) -> PartProof:
        own = read(machine, reader)
        weakref.finalize(own.proof.main.rows[0], gone)
        count[0] += 1
        most[0] = max(most[0], count[0])
        return own

    monkeypatch.setattr(joint_codec, "read_part", counting)
    monkeypatch.setattr(verifying, "LOCKSTEP", lockstep)
    with open_receipt(path) as stored:
        receipt = Receipt.from_bytes(stored)
        assert (count[0], most[0]) == (0, 1)
        receipt.verify(proven().image_id, threads=threads)
    gc.collect()
    assert most[0] <= threads * lockstep + 1  # the next one, before the last one is let go
    assert count[0] == 0


@pytest.mark.parametrize("lockstep", [1, 2, verifying.LOCKSTEP])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_first_wrong_proof_decides(threads: int, lockstep: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "LOCKSTEP", lockstep)
    memory, first, second = seal_of(proven().receipt).proofs
    opened = replace(first, early=replace(first.early, siblings=bump(first.early.siblings)))
    folded = replace(second, proof=replace(second.proof, final=bump(second.proof.final)))
    ground = replace(first, proof=replace(first.proof, main_root=flip(first.proof.main_root)))

    def reason(*proofs: PartProof) -> RejectReason | None:
        try:
            with_seal(proofs=proofs).verify(proven().image_id, threads=threads)
        except VerificationError as error:
            return error.reason
        return None

    alone = [reason(memory, opened, second), reason(memory, first, folded), reason(memory, ground, second)]
    assert len(set(alone)) == 3
    assert None not in alone
    assert reason(memory, opened, folded) is alone[0]
    assert reason(memory, ground, folded) is alone[2]
    assert refusal(with_seal(proofs=(memory, opened, folded))) is alone[0]


def test_a_file_that_changes_is_refused(path: Path) -> None:
    """While it is verified: what its proofs have in common would be another proof's."""
    honest = path.read_bytes()
    with open_receipt(path) as stored:
        receipt = Receipt.from_bytes(stored)
        proofs = seal_of(receipt).proofs
        assert isinstance(proofs, StoredProofs)
        place = len(honest) - proofs.sizes[-1] // 2
        with path.open("r+b") as file:
            file.seek(place)
            file.write(flip(honest[place : place + 1]))
        with pytest.raises(FormatError, match="proof 2: its bytes are not what they were, the file has changed"):
            receipt.verify(proven().image_id)
        path.write_bytes(honest)
        receipt.verify(proven().image_id)
        with path.open("r+b") as file:
            file.truncate(place)
        with pytest.raises(FormatError, match="are gone, the file has changed"):
            receipt.verify(proven().image_id)


def test_what_was_accepted_is_said_of_a_file_that_changes_then(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is about the bytes that were verified; it does not read the file again."""
    expected = verdict(path.read_bytes(), proven().image_id)
    verify = Receipt.verify

    def verify_and_change(receipt: Receipt, *demands: Any, **options: Any) -> Claim:
        claim = verify(receipt, *demands, **options)
        path.write_bytes(b"")
        return claim

    monkeypatch.setattr(Receipt, "verify", verify_and_change)
    with open_receipt(path) as stored:
        assert verdict(stored, proven().image_id) == expected
        assert path.read_bytes() == b""


def test_stored_proofs_are_a_sequence() -> None:
    seal = seal_of(Receipt.from_bytes(proven().receipt.to_bytes()))
    own = seal_of(proven().receipt)
    assert isinstance(seal.proofs, StoredProofs)
    assert len(seal.proofs) == 3
    assert [encode_part(proof) for proof in seal.proofs] == [encode_part(proof) for proof in own.proofs]
    assert seal.proofs[1:] == own.proofs[1:]
    assert seal.proofs[-1] == own.proofs[2]
    assert seal.log_heights() == own.log_heights()
    assert seal == own
    assert np.array_equal(seal.proofs.sizes, [len(encode_part(proof)) for proof in own.proofs])
    with pytest.raises(IndexError):
        seal.proofs[3]


def test_threads_that_are_none(path: Path) -> None:
    with pytest.raises(UsageError, match="0 threads: at least 1 is needed"):
        proven().receipt.verify(proven().image_id, threads=0)
    assert main([str(path), "--image-id", proven().image_id, "--threads", "0"]) == 2
    assert main([str(path), "--image-id", proven().image_id, "--threads", "1"]) == 0
    assert invoke("verify", path, "--image-id", proven().image_id, "--threads", "2").code == 0
    assert invoke("verify", path, "--image-id", proven().image_id, "--threads", "0").code == 2
    proven().receipt.verify(proven().image_id, policy=Policy(128), threads=3)


def test_what_is_kept_is_what_was_hashed() -> None:
    """A file with other bytes while it is decoded than when they are hashed: what is kept is from the latter."""
    own, machine = seal_of(proven().receipt).proofs[0], memory_machine()
    encoded = encode_part(own)
    place = encoded.index(own.root)

    class Changing:
        def __len__(self) -> int:
            return len(encoded)

        def __getitem__(self, part: slice) -> bytes:
            whole = encoded[part]
            inside = part.start <= place < part.stop and len(whole) < len(encoded)
            return whole.replace(own.root, flip(own.root)) if inside else whole

    assert joint_codec.read_part(machine, Reader(Changing())).root == flip(own.root)
    assert StoredProofs([machine], Reader(Changing())).beginnings[0].root == own.root


def test_no_bytes_are_left_behind_a_proof() -> None:
    """A file in which a proof is longer while its end is looked for than when its bytes are kept: an honest one, and others behind it."""
    own, machine = seal_of(proven().receipt).proofs[0], memory_machine()
    honest = encode_part(own)
    longer = encode_part(replace(own, early=replace(own.early, siblings=np.concatenate([own.early.siblings, own.early.siblings[-1:]]))))
    padded = honest + bytes(len(longer) - len(honest))

    class Changing:
        def __len__(self) -> int:
            return len(longer)

        def __getitem__(self, part: slice) -> bytes:
            return (padded if part == slice(0, len(padded)) else longer)[part]

    with pytest.raises(FormatError, match=f"^FORMAT: 32 bytes too many at offset {len(honest)}$"):
        StoredProofs([machine], Reader(Changing()))
    assert joint_codec.decode_part(machine, honest) == own
    with pytest.raises(FormatError, match="^FORMAT: 32 bytes too many"):
        joint_codec.decode_part(machine, padded)


def held(value: Any) -> int:
    """Bytes that the arrays of a proof keep in memory, of views all that they are views of."""
    if isinstance(value, np.ndarray):
        return value.nbytes if value.base is None else held(value.base)
    if isinstance(value, bytes):
        return len(value)
    parts = value if isinstance(value, tuple) else [getattr(value, own.name) for own in fields(value)] if is_dataclass(value) else []
    return sum(map(held, parts))


def sparse(machine: Machine, log: int) -> bytes:
    """A proof of which most is sent before its queries: each tree opens one leaf. It can be decoded."""
    chosen = parameters("compact", 128)
    shape = ProofShape(machine, chosen, (log,) * len(machine.chips))
    counts = ((1, 0),) * (2 + len(shape.fri_heights))
    head = [codec.MAGIC, *(number.to_bytes(2, "little") for number in (1, 0, *chosen.numbers)), bytes(shape.log_heights)]
    one = (1).to_bytes(2, "little") + bytes(4)
    body, early = (bytes(sum(part.size for part in own)) for own in (codec.layout(shape, counts), joint_codec.layout(shape, 1, 0)))
    return b"".join([*head, one * len(counts), body, one, early])


def test_what_is_kept_is_little_whatever_the_file_is(path: Path) -> None:
    """Views of nothing that was read, and no openings, which a forger can make most of a proof."""
    with open_receipt(path) as stored:
        proofs = seal_of(Receipt.from_bytes(stored)).proofs
        assert isinstance(proofs, StoredProofs)
        assert 0 < sum(map(held, proofs.beginnings)) < sum(proofs.sizes) // 50
    for machine in (memory_machine(), segment_machine()):
        for log in (15, 24):
            data = sparse(machine, log)
            own = joint_codec.decode_part(machine, data)
            assert held(own.proof.openings) > len(data) // 3
            assert 0 < sum(map(held, StoredProofs([machine] * 3, Reader(3 * data)).beginnings)) < 3 * len(data) // 10


def test_beginnings_say_what_proofs_have_in_common() -> None:
    """The shapes of what is not kept are those of the proof: the same checks of it pass."""
    seal = seal_of(Receipt.from_bytes(proven().receipt.to_bytes()))
    assert isinstance(seal.proofs, StoredProofs)
    _, parts = segmented_statement(proven().receipt.header, proven().receipt.parameters, [b"abc", b"abcd\0"], 0)
    whole, zk = verifying.check_parts(parts, list(seal.proofs))
    kept, same_zk = verifying.check_parts(parts, seal.proofs.beginnings)
    assert zk == same_zk
    for one, other in zip(whole, kept, strict=True):
        assert (one.shape, one.root) == (other.shape, other.root)
        assert np.array_equal(one.pinned, other.pinned)
        assert np.array_equal(one.terminals, other.terminals)
