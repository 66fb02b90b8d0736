"""The protocol of proofs that are joined: one challenge from the early columns of all of them, and what a prover could do otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.proving import header_of
from tests.soundness.cheating import skip_own_checks
from tests.soundness.joined import CHOSEN, FIXED, Joint, frozen, prove_composite, proven, seeded, zeros
from tests.soundness.segment_forging import T0, Composite, honest
from tests.soundness.test_segment_forgeries import STATE, WORD
from tests.soundness.test_segment_lines import LINES
from zkvm.errors import RejectReason, VerificationError
from zkvm.riscv.machine import machine
from zkvm.riscv.segments import check_instructions, segmented_statement
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.field.extension import ONE, Ext, ext_inv, ext_mul, ext_scale, from_ext, to_ext
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.joint import joint_challenges, joint_product, part_digest, pin_transcript
from zkvm.stark.protocol.params import parameters
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.prover.preprocessed import commit_preprocessed
from zkvm.stark.verifier.constraints import closing_fingerprints, terminals_by_table


def refusal(joint: Joint, begin: Callable[[str], Transcript] = Transcript) -> RejectReason | None:
    """Why the verifier refuses; None if it accepts."""
    try:
        joint.verify(begin)
    except VerificationError as error:
        return error.reason
    return None


def changed(values: np.ndarray, row: int) -> np.ndarray:
    """One coordinate of an element more."""
    result = values.copy()
    result[row, 0] = (int(result[row, 0]) + 1) % P
    return result


# --- honest proofs ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [(), (10, 15, 24)], ids=["one segment", "four"])
def test_honest_proofs_are_accepted(cuts: tuple[int, ...]) -> None:
    joint = prove_composite(honest(cuts))
    assert len(joint.verify()) == len(cuts) + 2


def test_proofs_without_zero_knowledge_are_accepted() -> None:
    joint = prove_composite(honest((15,)), seeds=zeros)
    joint.verify()
    assert not any(own.proof.zk for own in joint.proofs)


def test_a_proof_is_the_same_whatever_the_threads_and_again() -> None:
    """So a part may be proven again, elsewhere: its early tree is opened by one proof."""
    once, again = prove_composite(honest((15,)), threads=1), proven()
    assert once.proofs == again.proofs
    assert [one.digest for one in once.early] == [one.digest for one in again.early]


def test_early_columns_do_not_depend_on_the_rest() -> None:
    def other(purpose: str, number: int) -> object:
        return seeded(purpose if purpose != "rest" else "another", number)

    joint = prove_composite(honest((15,)), seeds=other)  # type: ignore[arg-type]
    assert [own.root for own in joint.proofs] == [own.root for own in proven().proofs]
    assert all((own.pinned == known.pinned).all() for own, known in zip(joint.proofs, proven().proofs, strict=True))
    assert all(own.proof.main_root != known.proof.main_root for own, known in zip(joint.proofs, proven().proofs, strict=True))


def test_starts_of_joint_products_hide_the_terminals() -> None:
    """Other shares, other joint terminals: by themselves they say nothing."""
    joint = prove_composite(honest((15,)), seeds=lambda purpose, number: seeded(purpose + "!" * (purpose == "share"), number))
    joint.verify()
    for own, known in zip(joint.proofs, proven().proofs, strict=True):
        assert (own.proof.terminals[0] != known.proof.terminals[0]).all()


# --- forged tables ------------------------------------------------------------------------------------------------------------------


def spliced() -> Composite:
    """The second segment takes a register over with another value than the first one left."""
    forged = honest((15,))
    row = forged.word(2, T0)
    before = forged[2].cell("boundary", row, "before")
    forged[2].spread(T0, forged[2].cell("boundary", row, "first"), before + 1)
    forged[2].write("boundary", row, before=before + 1)
    return forged


def dropped() -> Composite:
    forged = honest((10, 15))
    del forged.segments[1]
    forged.relink()
    forged.claim()
    return forged


def prefix() -> Composite:
    forged = honest((10, 15))
    del forged.segments[1:]
    forged.relink()
    forged.claim()
    return forged


@pytest.mark.parametrize(
    ("forge", "labels"), [(spliced, {WORD}), (dropped, {STATE, WORD}), (prefix, {STATE})], ids=["spliced", "dropped", "prefix"]
)
def test_joint_buses_refuse(forge: Callable[[], Composite], labels: set[str]) -> None:
    forged = forge()
    assert forged.refusals() == labels
    assert refusal(prove_composite(forged)) is RejectReason.BUS


ONE_LINE = ["3 boundary: an earlier segment", "3 hand_over: padding keeps the pc"]


def refused_line(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forged = LINES[line]()
    assert forged.refusals() == {line}
    skip_own_checks(monkeypatch)
    lookup = line.endswith("an earlier segment")
    assert refusal(prove_composite(forged)) is (RejectReason.BUS if lookup else RejectReason.OOD)


@pytest.mark.parametrize("line", ONE_LINE)
def test_a_line_refuses_what_is_proven(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused_line(line, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in LINES if line not in ONE_LINE])
def test_every_line_refuses_what_is_proven(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused_line(line, monkeypatch)


# --- C7: the joint challenge covers everything --------------------------------------------------------------------------------------


def test_c7_starts_chosen_after_the_challenge() -> None:
    """With joint challenges that are known beforehand the start of one product makes up for what does not balance."""
    honestly = refusal(prove_composite(spliced(), begin=frozen), frozen)
    assert honestly is RejectReason.BUS

    first = prove_composite(spliced(), begin=frozen)
    surplus = joint_surplus(first)
    assert surplus != ONE

    def repaired(shares: list[Ext]) -> list[Ext]:
        return [ext_mul(shares[0], ext_inv(surplus)), *shares[1:]]

    forged = prove_composite(spliced(), begin=frozen, shares=repaired)
    assert refusal(forged, frozen) is None
    assert refusal(forged) is RejectReason.BUS


def joint_surplus(joint: Joint) -> Ext:
    """What the joint buses come to; 1 if they balance."""
    product = ONE
    for part, own in zip(joint.parts, joint.proofs, strict=True):
        shape = ProofShape(part.machine, CHOSEN, own.proof.log_heights)
        product = ext_mul(product, joint_product(shape, terminals_by_table(shape, own.proof.terminals)))
    for closing in joint.statement.closings:
        for value in closing_fingerprints(closing, *FIXED):
            product = ext_mul(product, to_ext(value) if closing.sent else ext_inv(to_ext(value)))
    return product


def test_c7_every_field_moves_the_joint_challenges() -> None:
    joint = proven()
    statement, parts, early = joint.statement, joint.parts, joint.early
    shapes = joint.verify()

    def challenges(**changes: object) -> tuple[Ext, Ext]:
        digests = [digest(number, **(changes if number == 1 else {})) for number in range(len(parts))]
        own = changes.get("statement", statement)
        chosen = changes.get("parameters", CHOSEN)
        result = joint_challenges(own, chosen, bool(changes.get("zk", True)), changes.get("digests", digests))  # type: ignore[arg-type]
        return result.alpha, result.beta

    def digest(own: int, **changes: object) -> bytes:
        machine = changes.get("machine", parts[own].machine)
        logs = changes.get(
            "logs", bytes(log for chip, log in zip(parts[own].machine.chips, shapes[own].log_heights, strict=True) if chip.early)
        )
        place, root = changes.get("number", own), changes.get("root", early[own].tree.root)
        transcript, _ = pin_transcript(machine, CHOSEN, place, logs, root)  # type: ignore[arg-type]
        part = replace(parts[own].statement, fields=changes.get("fields", parts[own].statement.fields))  # type: ignore[arg-type]
        return part_digest(transcript, changes.get("pinned", early[own].pinned), part)  # type: ignore[arg-type]

    honest_ones = challenges()
    assert honest_ones == (joint.challenges.alpha, joint.challenges.beta)
    fields = statement.fields
    variants: list[dict[str, object]] = [
        {"root": bytes(32)}, {"logs": b"\x0a\x0a"}, {"number": 2}, {"machine": parts[0].machine}, {"fields": ()}, {"zk": False},
        {"parameters": parameters("fast", 100)}, {"digests": [one.digest for one in early[:2]]},
        {"digests": [early[1].digest, early[0].digest, early[2].digest]}, {"digests": [*(one.digest for one in early), bytes(32)]},
    ]  # fmt: skip
    variants += [{"pinned": changed(early[1].pinned, row)} for row in range(len(early[1].pinned))]
    for k, (label, data) in enumerate(fields):
        variants.append({"statement": replace(statement, fields=(*fields[:k], (label, data + b"."), *fields[k + 1 :]))})
    seen = {challenges(**variant) for variant in variants}
    assert len(seen) == len(variants)
    assert honest_ones not in seen


def test_c7_every_field_moves_the_pin() -> None:
    joint = proven()
    machine = joint.parts[1].machine
    given = (machine, CHOSEN, 1, b"\x09\x09", joint.early[1].tree.root)
    variants = [given]
    for place, other in enumerate((joint.parts[0].machine, parameters("fast", 100), 2, b"\x09\x0a", bytes(32))):
        variants.append((*given[:place], other, *given[place + 1 :]))  # type: ignore[arg-type]
    assert len({pin_transcript(*variant)[1] for variant in variants}) == len(variants)


def test_c7_steps_of_the_transcripts() -> None:
    """Both sides take exactly these steps: label, kind, and bytes absorbed or words drawn."""
    logs: dict[str, list[Transcript]] = {}

    def begin(domain: str) -> Transcript:
        logs.setdefault(domain, []).append(Transcript(domain))
        return logs[domain][-1]

    prove_composite(honest((15,)), begin=begin).verify(begin)
    numbers = ["protocol version | INTEGER | 8", "blowup | INTEGER | 8", "queries | INTEGER | 8", "exempt rows | INTEGER | 8"]
    early = [*numbers, "machine digest | BYTES | 32", "number | INTEGER | 8", "early log heights | BYTES | 2", "early root | BYTES | 32"]
    early += ["pin | EXTENSION | 3"]
    joint = [*numbers, "zk | INTEGER | 8", "machine digests | BYTES | 64", None, "exit code | BYTES | 8", "number of parts | INTEGER | 8"]
    joint += ["root of the parts | BYTES | 32", "joint alpha | EXTENSION | 3", "joint beta | EXTENSION | 3"]
    steps = {domain: [[f"{s.label} | {s.kind.name} | {s.length}" for s in log.log[1:]] for log in found] for domain, found in logs.items()}
    assert list(steps) == ["zkvm early columns", "zkvm joint", "zkvm part"]
    for domain, found in steps.items():
        half = len(found) // 2
        assert found[:half] == found[half:], domain
    memory, segment, *_ = steps["zkvm early columns"]
    assert memory == [*early, "pinned | ELEMENTS | 144"]
    assert segment == [*early, "pinned | ELEMENTS | 216", "journal part | BYTES | 48"]
    (prover, _) = steps["zkvm joint"]
    assert [step for step, known in zip(prover, joint, strict=True) if known is not None] == [known for known in joint if known is not None]
    for part in steps["zkvm part"]:
        assert part[:2] == ["joint digest | BYTES | 32", "number | INTEGER | 8"]


# --- one proof among others ---------------------------------------------------------------------------------------------------------


def test_c1_proofs_exchanged() -> None:
    joint = prove_composite(honest((10, 15)))
    for first, second in ((1, 2), (2, 3)):
        proofs = list(joint.proofs)
        proofs[first], proofs[second] = proofs[second], proofs[first]
        assert refusal(replace(joint, proofs=proofs)) is RejectReason.BUS
    assert refusal(replace(joint, proofs=joint.proofs[:3])) is RejectReason.SHAPE
    assert refusal(replace(joint, proofs=[joint.proofs[0], *joint.proofs[:3]])) is RejectReason.SHAPE


def test_c8_a_part_of_another_joint_challenge() -> None:
    """The same segment, proven with the same early columns beside others: its number and all else are right."""
    other = prove_composite(honest((15,)), seeds=lambda purpose, number: seeded(purpose + "!" * (number == 2), number))
    assert other.early[1].digest == proven().early[1].digest
    assert refusal(replace(proven(), proofs=[proven().proofs[0], other.proofs[1], proven().proofs[2]])) is RejectReason.BUS


def test_c8_a_proof_of_another_kind_or_number() -> None:
    """With frozen joint challenges and the terminals that belong, what is left is the number in the transcript."""
    joint = prove_composite(honest((15,)), begin=frozen)
    assert refusal(joint, frozen) is None
    proofs = [joint.proofs[0], joint.proofs[2], joint.proofs[1]]
    parts = [joint.parts[0], joint.parts[2], joint.parts[1]]
    assert refusal(replace(joint, proofs=proofs, parts=parts), frozen) is not None
    assert refusal(replace(joint, proofs=[joint.proofs[1], joint.proofs[0], joint.proofs[2]])) is RejectReason.SHAPE


def test_joint_terminals_changed_so_that_the_product_holds() -> None:
    joint = prove_composite(honest((15,)), begin=frozen)
    factor = (5, 6, 7)

    def scaled(number: int, by: Ext) -> np.ndarray:
        terminals = joint.proofs[number].proof.terminals.copy()
        rank = joint_rank(joint, number)
        terminals[rank] = from_ext(ext_mul(to_ext(terminals[rank]), by))
        return terminals

    proofs = list(joint.proofs)
    for number, by in ((1, factor), (2, ext_inv(factor))):
        proofs[number] = replace(proofs[number], proof=replace(proofs[number].proof, terminals=scaled(number, by)))
    forged = replace(joint, proofs=proofs)
    assert joint_surplus(forged) == ONE
    assert refusal(forged, frozen) is RejectReason.OOD


def joint_rank(joint: Joint, number: int) -> int:
    """Place of the first joint terminal of a proof."""
    shape = ProofShape(joint.parts[number].machine, CHOSEN, joint.proofs[number].proof.log_heights)
    rank = 0
    for table in shape.tables:
        if table.code.plan.joint:
            return rank
        rank += len(table.code.plan.running)
    raise AssertionError("there is one")


def test_a_joint_terminal_of_zero() -> None:
    joint = proven()
    terminals = joint.proofs[1].proof.terminals.copy()
    terminals[joint_rank(joint, 1)] = 0
    assert refusal(joint.with_proof(1, proof=replace(joint.proofs[1].proof, terminals=terminals))) is RejectReason.BUS


def test_shares_that_do_not_give_one() -> None:
    forged = prove_composite(honest((15,)), shares=lambda shares: [ext_scale(shares[0], 2), *shares[1:]])
    assert refusal(forged) is RejectReason.BUS


@pytest.mark.parametrize("number", [0, 1])
def test_pinned_values_are_those_of_the_columns(number: int) -> None:
    """A frozen joint challenge accepts another pinned value until the openings are checked."""
    joint = prove_composite(honest((15,)), begin=frozen)
    for row in (0, len(joint.proofs[number].pinned) - 1):
        forged = joint.with_proof(number, pinned=changed(joint.proofs[number].pinned, row))
        assert refusal(forged, frozen) is not None
        assert refusal(forged) is RejectReason.BUS


def test_what_the_early_tree_opens() -> None:
    joint = proven()
    early = joint.proofs[1].early
    rows = [own.copy() for own in early.rows]
    rows[0][0, 0] = (int(rows[0][0, 0]) + 1) % P
    assert early.salts is not None
    salts = early.salts.copy()
    salts[0, 0] ^= np.uint64(1)
    for forged, reason in (
        (replace(early, rows=tuple(rows)), RejectReason.MERKLE),
        (replace(early, salts=salts), RejectReason.MERKLE),
        (replace(early, salts=None), RejectReason.SHAPE),
        (replace(early, rows=()), RejectReason.SHAPE),
        (replace(early, siblings=early.siblings[:-1]), RejectReason.SHAPE),
        (None, RejectReason.SHAPE),
    ):
        assert refusal(joint.with_proof(1, early=forged)) is reason
    assert refusal(joint.with_proof(1, root=bytes(32))) is RejectReason.BUS
    assert refusal(joint.with_proof(1, root=bytes(31))) is RejectReason.SHAPE
    assert refusal(joint.with_proof(1, root=None)) is RejectReason.SHAPE
    assert refusal(joint.with_proof(1, pinned=joint.proofs[1].pinned[:-1])) is RejectReason.SHAPE
    assert refusal(joint.with_proof(1, proof=None)) is RejectReason.SHAPE


def test_all_proofs_have_one_set_of_parameters() -> None:
    joint = proven()
    assert refusal(joint.with_proof(1, proof=replace(joint.proofs[1].proof, zk=False))) is RejectReason.SHAPE
    numbers = parameters("balanced", 128).numbers
    assert refusal(joint.with_proof(1, proof=replace(joint.proofs[1].proof, parameters=numbers))) is RejectReason.SHAPE


def test_instructions_of_all_segments_are_counted() -> None:
    shapes = proven().verify()
    check_instructions(shapes)
    with pytest.raises(VerificationError, match="there are fewer than 1073741822"):
        check_instructions([shapes[1]] * (1 << 21))


def test_impossible_claims() -> None:
    image = honest().memory.image
    header = header_of(image, commit_preprocessed(machine(), preprocess(machine(), image), CHOSEN.blowup), CHOSEN)
    for journal, code, what in (([b""], 1 << 32, "32-bit"), ([], 0, "0 segments"), ([b""] * ((1 << 16) + 1), 0, "65537 segments")):
        with pytest.raises(VerificationError, match=what):
            segmented_statement(header, CHOSEN, journal, code)
