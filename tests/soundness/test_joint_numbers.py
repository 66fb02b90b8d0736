"""Of proofs that are joined: where their early columns are pinned, the root of the parts, the challenges of each, and proven bits."""

from __future__ import annotations

import pytest

from tests.soundness.joined import FIXED, proven
from zkvm.errors import VerificationError
from zkvm.stark.field.extension import ext_from_base
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.joint import Challenges, check_pin, parts_root
from zkvm.stark.protocol.params import MAX_HEIGHT, Policy
from zkvm.stark.protocol.security import best_bound, bits, joined_bits, joint_term, size_of
from zkvm.stark.verifier import joint as verifying


def test_a_pin_in_a_domain_is_refused() -> None:
    root = pow(7, (P - 1) // MAX_HEIGHT, P)
    shifted = pow(7, (1 << 30) // MAX_HEIGHT, P) * pow(7, (P - 1) // (2 * MAX_HEIGHT), P) % P
    for value in (1, root, shifted):
        with pytest.raises(VerificationError, match="the point that pins the early columns lies in a domain"):
            check_pin(2, ext_from_base(value))
    check_pin(2, (5, 6, 7))


def test_the_root_of_the_parts_is_a_tree() -> None:
    digests = [bytes([k]) * 32 for k in range(1, 6)]
    roots = [parts_root(digests[:count]) for count in range(1, 6)]
    assert len(set(roots)) == 5
    assert roots[0] == digests[0]
    assert all(len(root) == 32 for root in roots)


# --- numbers ------------------------------------------------------------------------------------------------------------------------


def test_numbers_count_from_the_proof() -> None:
    """alpha of proof i is alpha - i beta: a tuple of segment i has one fingerprint, whichever proof it is in."""
    challenges = Challenges(b"", *FIXED)
    assert challenges.alpha_of(0) == FIXED[0]
    for number in (1, 7):
        assert challenges.alpha_of(number) == tuple((a - number * b) % P for a, b in zip(*FIXED, strict=True))


def test_bits_are_those_of_the_likeliest_error() -> None:
    joint = proven()
    shapes = joint.verify()
    tuples = [part.statement.closing_tuples for part in joint.parts]
    largest, together = joined_bits(shapes, tuples, 2)
    bounds = [best_bound(shape.parameters, size_of(shape, count)) for shape, count in zip(shapes, tuples, strict=True)]
    assert all(any(term.label == "pin" for term in bound.terms) for bound in bounds)
    errors = [*(bound.probability for bound in bounds), joint_term(shapes, 2).probability]
    assert largest == min(bits(max(errors)), 128.0)
    assert together == min(bits(sum(errors)), 128.0)
    many, summed = joined_bits(shapes * 8, tuples * 8, 2)
    assert many == pytest.approx(largest, abs=1e-6)
    assert summed == pytest.approx(min(bits(8 * sum(errors[:-1])), 128.0), abs=0.01)
    with pytest.raises(VerificationError, match="demanded"):
        joint.verify(policy=Policy(129))


def test_too_few_bits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "joined_bits", lambda *arguments: (127.9, 100.0))
    with pytest.raises(VerificationError, match="127.9 proven bits for these shapes, but their parameters claim 128"):
        proven().verify()
