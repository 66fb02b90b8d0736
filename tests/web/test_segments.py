"""The verifier in JavaScript says of every receipt of a run in segments what the one in Python says."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.soundness.joined import prove_composite
from tests.soundness.manifest import Row, flip, mutated
from tests.soundness.segment_forging import honest
from tests.verifier.test_segmented_receipt import INPUT, PROGRAM, ROWS, SEAL_ROWS, proven
from tests.web.differential import agreed
from tests.web.joined import (
    Recording,
    both_replayed,
    compare_many,
    image,
    other_cut,
    receipt,
    recorded,
    seal_of,
    with_seal,
)
from tests.web.judge import ROOT, Judge, needs_node
from zkvm import api
from zkvm.errors import UsageError, VerificationError
from zkvm.riscv.machine import memory_machine, segment_machine
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.codec import encode_proof
from zkvm.stark.protocol.joint_codec import encode_part
from zkvm.stark.protocol.params import PARAMETERS, REGIMES, Parameters, Policy
from zkvm.stark.protocol.security import joined_bits
from zkvm.stark.protocol.shape import ProofShape
from zkvm.verifier.receipt import Receipt, journal_digest

pytestmark = needs_node


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    started = Judge()
    yield started
    started.close()


@cache
def other_run() -> Receipt:
    """The program of the tamper rows with another input."""
    return api.prove(PROGRAM, b"abce", params="fast", segment_cycles=13, threads=2).receipt


def reason(judge: Judge, changed: Receipt, **demands: Any) -> str:
    """Why both refuse a receipt."""
    answer = agreed(judge, changed.to_bytes(), changed.header.image_id().hex(), **demands)
    assert not answer["accepted"]
    return str(answer["reason"])


# --- honest ones --------------------------------------------------------------------------------------------------------------------


def test_whole_answers(judge: Judge) -> None:
    for own in (receipt(), other_cut(), proven().receipt):
        data, trusted = own.to_bytes(), own.claim.image_id.hex()
        assert agreed(judge, data, trusted)["accepted"]
        assert agreed(judge, data, trusted, exit_code=1)["reason"] == "POLICY"
        assert agreed(judge, data, "00" * 32)["reason"] == "IMAGE_ID"
    assert agreed(judge, proven().receipt.to_bytes(), proven().image_id)["journal"] == (INPUT[:3] + INPUT + b"\0").hex()


@pytest.mark.parametrize("regime", REGIMES)
def test_policies(judge: Judge, regime: str) -> None:
    data = receipt().to_bytes()
    ends = [agreed(judge, data, image(), Policy(demand, regime=regime))["accepted"] for demand in (66, 67, 102, 103, 104, 129)]
    assert ends == sorted(ends, reverse=True)
    assert (ends[0], ends[-1]) == (True, False)


def test_number_of_segments(judge: Judge) -> None:
    data = receipt().to_bytes()
    ends = [agreed(judge, data, image(), Policy(max_segments=most))["accepted"] for most in (0, 1, 2, 3, 4096)]
    assert ends == [False, False, False, True, True]


@pytest.mark.parametrize("chosen", PARAMETERS, ids=lambda chosen: f"{chosen.name}-{chosen.security_bits}")
def test_proven_bits(judge: Judge, chosen: Parameters) -> None:
    """Of few proofs and many, short and tall: the same number but for rounding."""
    rng = random.Random(chosen.queries)

    def shape(machine: Any) -> ProofShape:
        tallest = rng.randint(15, 24)
        logs = [rng.choice((0, rng.randint(9, tallest))) for _ in machine.chips]
        logs[machine.chip_number("range")] = tallest
        return ProofShape(machine, chosen, tuple(logs))

    for count in (1, 2, 7, 40):
        shapes = [shape(memory_machine()), *(shape(segment_machine()) for _ in range(count))]
        tuples = [rng.choice((0, 4, 1 << 20)) for _ in shapes]
        ours = [joined_bits(shapes, tuples, 2, regime)[0] for regime in REGIMES]
        assert judge.joined_bits(shapes, tuples, 2) == pytest.approx(ours, abs=1e-9)


# --- changed ones -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [*ROWS, *SEAL_ROWS], ids=lambda row: f"{row.path}: {row.why}")
def test_tamper_rows(judge: Judge, row: Row) -> None:
    """One change for each field. Of those that bytes can hold, the reason is the row's or the format's."""
    changed: Receipt = mutated(proven().receipt, row.path, row.mutation)
    try:
        data = changed.to_bytes()
    except (UsageError, AttributeError, TypeError):
        with pytest.raises(VerificationError):
            changed.verify(proven().image_id)
        return
    answer = agreed(judge, data, proven().image_id)
    assert data == proven().receipt.to_bytes() or not answer["accepted"]
    if row in ROWS and not answer["accepted"]:
        assert answer["reason"] in (row.reason, "FORMAT")


def test_proofs_left_out_exchanged_and_repeated(judge: Judge) -> None:
    memory, first, second, third = seal_of(receipt()).proofs
    one, two, three = seal_of(receipt()).lengths
    orders: list[tuple[tuple[Any, ...], tuple[int, ...]]] = [
        ((memory, second, first, third), (one, two, three)), ((memory, first, third, second), (one, two, three)),
        ((memory, first, first, third), (one, two, three)), ((memory, first, second, second), (one, two, three)),
        ((memory, first, second, third, third), (one, two, three, 0)), ((memory, first, second, second, third), (one, two, 0, three)),
        ((memory, first, third), (one, three)), ((memory, second, third), (two, three)), ((memory, first, second), (one, three)),
    ]  # fmt: skip
    for proofs, lengths in orders:
        assert reason(judge, with_seal(proofs=proofs, lengths=lengths)) == "BUS"
    for proofs in ((first, memory, second, third), (memory, memory, second, third), (first, first, second, third)):
        assert reason(judge, with_seal(proofs=proofs)) == "FORMAT"


def test_segments_of_other_runs_and_other_cuts(judge: Judge) -> None:
    memory, first, second = seal_of(proven().receipt).proofs
    other = seal_of(other_run()).proofs
    for mixed in ((other[0], first, second), (memory, other[1], second), (memory, first, other[2]), (memory, *other[1:])):
        changed = replace(proven().receipt, segmented=replace(seal_of(proven().receipt), proofs=mixed))
        assert reason(judge, changed) == "BUS"
    cut = seal_of(other_cut())
    for place in range(1, 4):
        proofs = list(seal_of(receipt()).proofs)
        proofs[place] = cut.proofs[min(place, 2)]
        assert reason(judge, with_seal(proofs=tuple(proofs))) == "BUS"
    assert reason(judge, with_seal(proofs=(cut.proofs[0], *seal_of(receipt()).proofs[1:]))) == "BUS"
    # proofs of a run of another program, with other parameters, are no receipt of this claim
    assert reason(judge, replace(receipt(), segmented=seal_of(proven().receipt))) == "CLAIM"
    foreign = seal_of(proven().receipt).proofs
    assert reason(judge, with_seal(proofs=(*seal_of(receipt()).proofs[:3], foreign[1]))) == "SHAPE"


def test_whole_proofs_and_parts_are_told_apart(judge: Judge) -> None:
    """The seal of a whole run is no part, a part is no seal, and the magic bytes say what follows."""
    data, seal = receipt().to_bytes(), seal_of(receipt())
    parts = [encode_part(own) for own in seal.proofs]
    head = data[: len(data) - sum(map(len, parts))]
    assert b"".join([head, *parts]) == data
    alone = encode_proof(seal.proofs[1].proof)
    whole = of_one_proof().to_bytes()
    files = [
        head + parts[0] + alone + b"".join(parts[2:]), head + b"".join(parts[:3]), head + b"".join([*parts, parts[3]]), head,
        b"ZKVMRCPT" + data[8:], data[:8] + b"\2\0" + data[10:], data[:10] + b"\1\0" + data[12:], data + b"\0", data[:-1],
        b"ZKVMSEGS" + whole[8:], whole[:-100] + parts[1],
    ]  # fmt: skip
    for changed in files:
        assert agreed(judge, changed, image())["reason"] == "FORMAT"


@cache
def of_one_proof() -> Receipt:
    """The run in one proof."""
    return Receipt.load(ROOT / "tests" / "vectors" / "hello.receipt")


def test_other_claims(judge: Judge) -> None:
    """Other journals, exit codes and images, each with the hashes that its forger can make."""
    honest_one = receipt()
    for journal in (b"hellO", b"ohell"):
        claim = replace(honest_one.claim, journal_digest=journal_digest(journal))
        assert reason(judge, replace(honest_one, journal=journal, claim=claim)) == "BUS"
    claim = replace(honest_one.claim, journal_digest=journal_digest(b"hell"))
    assert reason(judge, replace(honest_one, journal=b"hell", claim=claim)) in ("FORMAT", "CLAIM")
    for code in (1, 2**31, 2**32 - 1):
        forged = replace(honest_one, claim=replace(honest_one.claim, exit_code=code))
        assert reason(judge, forged, exit_code=code) == "BUS"
    changes: list[tuple[str, Any]] = [
        ("entry", lambda entry: entry + 4), ("initial_sp", lambda sp: sp - 16), ("gaps", lambda gaps: ()),
        ("heights", lambda heights: (2 * heights[0], *heights[1:])), ("heights", lambda heights: (0, *heights[1:])),
        ("roots", lambda roots: (*roots[:2], flip(roots[2]))), ("roots", lambda roots: (flip(roots[0]), *roots[1:])),
    ]  # fmt: skip
    for name, change in changes:
        header = replace(honest_one.header, **{name: change(getattr(honest_one.header, name))})
        forged = replace(honest_one, header=header, claim=replace(honest_one.claim, image_id=header.image_id()))
        assert reason(judge, forged) in ("BUS", "SHAPE", "CLAIM", "MERKLE")
    for numbers in ((8, 76, 160), (2, 164, 336)):
        assert reason(judge, replace(honest_one, claim=replace(honest_one.claim, parameters=numbers))) == "CLAIM"


def test_random_programs(judge: Judge) -> None:
    ends = compare_many(judge, 60, 1)
    assert {"FORMAT", "CLAIM", "BUS", "MERKLE"} <= ends.keys()


@pytest.mark.slow
def test_5000_changed_receipts(judge: Judge) -> None:
    """``python -m pytest -m slow tests/web/test_segments.py -k 5000 -s`` prints how they ended."""
    ends = compare_many(judge, 5000, 2)
    print(f"\n{ends.total()} changed receipts of runs in segments, on which both agree: {dict(ends.most_common())}")
    assert {"FORMAT", "CLAIM", "IMAGE_ID", "SHAPE", "BUS", "OOD", "GRINDING", "MERKLE", "FRI"} <= ends.keys()


# --- under recorded challenges ------------------------------------------------------------------------------------------------------


def changed_draw(label: str, number: int) -> list[dict[str, Any]]:
    """The challenges of the receipt, one of them another."""
    draws = [dict(own) for own in recorded()]
    value = draws[number][label]
    draws[number][label] = (value + 1) % 512 if isinstance(value, np.ndarray) else ((value[0] + 1) % P, *value[1:])
    return draws


@pytest.mark.parametrize(
    ("label", "number", "expected"),
    [
        ("pin", 0, "FRI"), ("pin", 2, "FRI"), ("joint alpha", 4, "BUS"), ("joint beta", 4, "BUS"), ("beta", 7, "OOD"),
        ("beta", 8, "BUS"), ("zeta", 6, "OOD"),
        ("batching challenge", 8, "FRI"), ("folding challenge 1", 5, "FRI"), ("query positions", 6, "MERKLE"),
    ],
)  # fmt: skip
def test_each_challenge_is_needed(judge: Judge, label: str, number: int, expected: str) -> None:
    """Transcripts 0 to 3 are those of the early columns, 4 is the joint one, 5 to 8 are those of the parts."""
    assert both_replayed(judge, receipt(), recorded()) == "accepted"
    assert both_replayed(judge, receipt(), changed_draw(label, number)) in (expected, "SHAPE")


def test_pinned_values_are_batched(judge: Judge) -> None:
    """Another pinned value, while every challenge stays: only the folds notice."""
    for number, own in enumerate(seal_of(receipt()).proofs):
        for place in (0, own.pinned.size - 1):
            pinned = own.pinned.copy()
            pinned.flat[place] = (int(pinned.flat[place]) + 1) % P
            proofs = list(seal_of(receipt()).proofs)
            proofs[number] = replace(own, pinned=pinned)
            assert both_replayed(judge, with_seal(proofs=tuple(proofs)), recorded()) == "FRI"


def test_proofs_of_a_run_that_is_made_of_tables(judge: Judge) -> None:
    """Proofs that no receipt holds, of one segment, and the draws that Python records are those of JavaScript."""
    joint = prove_composite(honest(()))
    recording = Recording()
    joint.verify(recording)
    for draws in (None, recording.draws):
        assert judge.joint(joint.statement, joint.parts, joint.proofs, Policy(128), draws)["accepted"]
    assert judge.joint(joint.statement, joint.parts, joint.proofs, Policy(129))["reason"] == "POLICY"
