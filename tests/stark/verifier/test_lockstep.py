"""Proofs in lockstep: each says what it says alone, the first wrong one is named, and what is worked out for all is what it is for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.soundness.cheating import BALANCED, WIDE, honest_statement, honest_tables, prove_tables
from zkvm.errors import FormatError, RejectReason, VerificationError
from zkvm.stark.crypto.hashes import blake3, hash_together, message_steps
from zkvm.stark.field import extension
from zkvm.stark.field.extension import ONE, Ext, ext_inv, ext_mul, ext_pow, to_ext
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.params import Parameters, Policy, parameters
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.verifier.constraints import products_for_all
from zkvm.stark.verifier.fri import divide_for_all, fold, fold_for_all
from zkvm.stark.verifier.lockstep import Checks, in_lockstep, powers_for_all
from zkvm.stark.verifier.verify import checks, verify_proof

# --- the order of refusals, on checks that are made up --------------------------------------------------------------------------------


def doubled(numbers: Sequence[int]) -> list[int]:
    return [2 * number for number in numbers]


def negated(numbers: Sequence[int]) -> list[int]:
    return [-number for number in numbers]


def made_up(number: int, rounds: int, refused_in: int | None, log: list[tuple[int, int]]) -> Checks[int]:
    """So many rounds of work, odd ones of another kind; refused at the beginning of one."""
    for own in range(rounds + 1):
        log.append((number, own))
        if own == refused_in:
            raise VerificationError(RejectReason.FRI, f"proof {number} in round {own}")
        if own < rounds:
            work = doubled if (number + own) % 2 else negated
            assert (yield work, number) == (2 * number if work is doubled else -number)
    return 10 * number


def refusing(error: Exception) -> Checks[int]:
    """Checks that raise at once."""
    yield from ()
    raise error


def test_results_are_in_order() -> None:
    assert in_lockstep([made_up(number, rounds, None, []) for number, rounds in enumerate((3, 0, 5, 1))]) == [0, 10, 20, 30]
    assert in_lockstep([]) == []


@pytest.mark.parametrize("early", [0, 1, 3])
@pytest.mark.parametrize("late", [0, 1, 3])
@pytest.mark.parametrize(("first", "second"), [(0, 1), (0, 3), (1, 2), (2, 3)])
def test_the_first_refused_proof_is_named(first: int, second: int, early: int, late: int) -> None:
    """Whichever of the two is found to be wrong first; what comes behind a refused proof is left."""
    log: list[tuple[int, int]] = []
    refused = {first: late, second: early}
    with pytest.raises(VerificationError, match=f"^FRI: proof {first} in round {late}$"):
        in_lockstep([made_up(number, 3, refused.get(number), log) for number in range(4)])
    assert [own for number, own in log if number == first] == list(range(late + 1))
    assert all(own < min(early, late) for number, own in log if number > second)


def test_what_cannot_be_decoded_is_an_error_like_others() -> None:
    for tasks, expected in [
        ([made_up(0, 3, None, []), refusing(FormatError("no proof")), made_up(2, 3, 0, [])], "^FORMAT: no proof$"),
        ([made_up(0, 3, 3, []), refusing(FormatError("no proof"))], "^FRI: proof 0 in round 3$"),
    ]:
        with pytest.raises(VerificationError, match=expected):
            in_lockstep(tasks)


def test_other_errors_leave_at_once() -> None:
    """Those of work, which is done for all together, and bugs: a proof that would be refused later, and before, is not waited for."""

    def failing(numbers: Sequence[int]) -> list[int]:
        raise VerificationError(RejectReason.MERKLE, f"work of {list(numbers)}")

    def asks(number: int) -> Checks[int]:
        result: int = yield failing, number
        return result

    log: list[tuple[int, int]] = []
    with pytest.raises(VerificationError, match=r"^MERKLE: work of \[1, 2\]$"):
        in_lockstep([made_up(0, 3, 1, log), asks(1), asks(2)])
    with pytest.raises(OSError, match="^unreadable$"):
        in_lockstep([made_up(0, 3, 1, log), refusing(OSError("unreadable"))])
    assert log == [(0, 0), (0, 0)]


# --- proofs ---------------------------------------------------------------------------------------------------------------------------


@cache
def honest(steps: int, chosen: Parameters) -> tuple[Statement, Proof]:
    statement = honest_statement(WIDE, chosen, steps)
    return statement, prove_tables(honest_tables(WIDE, chosen, steps), statement, WIDE, chosen)


def different() -> list[tuple[Statement, Proof]]:
    """Of several heights and parameters, two of them alike."""
    return [honest(1000, BALANCED), honest(40_000, BALANCED), honest(1000, parameters("compact", 128)), honest(1000, BALANCED)]


def bump(values: Any) -> Any:
    """One more in the last place, canonical."""
    changed = values.copy()
    changed.ravel()[-1] = (int(changed.ravel()[-1]) + 1) % (P if values.dtype == np.uint64 else 256)
    return changed


WRONG: dict[str, Callable[[Proof], Proof]] = {
    "SHAPE": lambda proof: replace(proof, openings=proof.openings[:-1]),
    "BUS": lambda proof: replace(proof, terminals=bump(proof.terminals)),
    "OOD": lambda proof: replace(proof, openings=bump(proof.openings)),
    "GRINDING": lambda proof: replace(proof, nonce=proof.nonce ^ 1),
    "MERKLE": lambda proof: replace(proof, bus=replace(proof.bus, siblings=bump(proof.bus.siblings))),
    "MERKLE: .* FRI layer 0": lambda proof: replace(
        proof, layers=(replace(proof.layers[0], leaves=bump(proof.layers[0].leaves)), *proof.layers[1:])
    ),
}


def alone(statement: Statement, proof: Proof) -> str:
    with pytest.raises(VerificationError) as caught:
        verify_proof(WIDE, statement, proof, Policy(0))
    return str(caught.value)


def together(proofs: Sequence[tuple[Statement, Proof]]) -> list[Any]:
    return in_lockstep([checks(WIDE, statement, proof, Policy(0)) for statement, proof in proofs])


def test_proofs_of_any_shapes_are_accepted_together() -> None:
    shapes = together(different())
    assert shapes == [verify_proof(WIDE, statement, proof, Policy(0)) for statement, proof in different()]
    assert len({(shape.tallest, shape.parameters) for shape in shapes}) == 3


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("reason", WRONG)
def test_a_wrong_proof_at_every_place(reason: str, place: int) -> None:
    """With its own reason, also if all that follow are wrong in other ways."""
    proofs = different()
    statement, proof = proofs[place]
    proofs[place] = statement, WRONG[reason](proof)
    expected = alone(*proofs[place])
    for others in [[], *([[other] * 4] for other in WRONG)]:
        mixed = list(proofs)
        for names in others:
            for number in range(place + 1, 4):
                mixed[number] = mixed[number][0], WRONG[names[number]](mixed[number][1])
        with pytest.raises(VerificationError, match=f"^{reason}") as caught:
            together(mixed)
        assert str(caught.value) == expected


# --- what is worked out for all ------------------------------------------------------------------------------------------------------

EDGES = (0, 1, 2**32 - 1, 2**32, 2**63, P - 2**32, P - 1)


def elements(count: int, seed: int) -> Any:
    """(count, 3), the edges and the largest element among them."""
    values = np.random.default_rng(seed).integers(0, P, (count, 3), dtype=np.uint64)
    values[: len(EDGES), 0] = EDGES[:count]
    values[-1:] = P - 1
    return values


def rows(values: Any) -> Iterator[Ext]:
    return map(to_ext, values.reshape(-1, 3))


def test_powers() -> None:
    wanted: list[tuple[Ext, int]] = [((P - 1, P - 1, P - 1), 9), ((0, 0, 0), 3), ((5, 2**63, 1), 700), (ONE, 1)]
    for (element, count), found in zip(wanted, powers_for_all(wanted), strict=True):
        assert list(rows(found)) == [ext_pow(element, exponent) for exponent in range(count)]


def test_quotients() -> None:
    wanted = [(elements(2 * count, 1).reshape(2, count, 3), elements(2 * count, 2).reshape(2, count, 3)) for count in (7, 400, 1)]
    for (above, below), found in zip(wanted, divide_for_all(wanted), strict=True):
        assert found.shape == above.shape
        expected = [ext_mul(a, ext_inv(b)) for a, b in zip(rows(above), rows(below), strict=True)]
        assert list(rows(found)) == expected


@pytest.mark.parametrize("lengths", [(5, 5, 5), (336, 336), (1, 1), (4, 7)])
def test_products(lengths: tuple[int, ...]) -> None:
    wanted = [elements(3 * length, length).reshape(3, length, 3) for length in lengths]
    for values, found in zip(wanted, products_for_all(wanted), strict=True):
        for own, product in zip(values, rows(found), strict=True):
            expected = ONE
            for value in rows(own):
                expected = ext_mul(expected, value)
            assert product == expected


def test_folds() -> None:
    challenges: list[Ext] = [(P - 1, P - 1, P - 1), (0, 0, 0), (1, 2, 3)]
    points = [np.array([1, P - 1, 2**32, 7, P - 2**32], np.uint64)[:count] for count in (5, 1, 3)]
    wanted = [(elements(8 * len(x), len(x)).reshape(-1, 8, 3), x, own) for x, own in zip(points, challenges, strict=True)]
    for (leaves, x, challenge), found in zip(wanted, fold_for_all(wanted), strict=True):
        assert np.array_equal(found, fold(leaves, x, np.tile(extension.from_ext(challenge), (len(x), 1))))


def test_hashes() -> None:
    messages = [bytes([255]) * length for length in (0, 1, 1024, 2048, 2049, 30_000, 30_000, 5000)]
    assert hash_together([message_steps(message) for message in messages]) == [blake3(message) for message in messages]
