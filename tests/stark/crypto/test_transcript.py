"""The transcript: re-derived by hand, sensitive to every input, unbiased draws, grinding."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import blake3 as reference
import numpy as np
import pytest

from zkvm.errors import FormatError, RejectReason, VerificationError
from zkvm.stark.crypto import transcript as module
from zkvm.stark.crypto.transcript import Kind, Transcript, proof_of_work_holds

P = 2**64 - 2**32 + 1


def frame(state: bytes, label: bytes, kind: int, data: bytes) -> bytes:
    return state + len(label).to_bytes(8, "little") + label + bytes([kind]) + len(data).to_bytes(8, "little") + data


def sample() -> Transcript:
    transcript = Transcript("test/1")
    transcript.absorb_bytes("journal", b"abc")
    transcript.absorb_elements("opening", np.array([[1, P - 1], [2**63, 0]], dtype=np.uint64))
    transcript.absorb_int("height", 2**64 - 1)
    return transcript


def test_states_and_draws_follow_the_definition() -> None:
    transcript = sample()
    state = reference.blake3(b"zkvm/transcript/1").digest()
    elements = b"".join(value.to_bytes(8, "little") for value in (1, P - 1, 2**63, 0))
    steps = [(b"domain", 0, b"test/1"), (b"journal", 1, b"abc"), (b"opening", 2, elements), (b"height", 3, b"\xff" * 8)]
    for label, kind, data in steps:
        state = reference.blake3(frame(state, label, kind, data)).digest()
    assert transcript.state == state

    output = reference.blake3(frame(state, b"alpha", 16, b"")).digest(length=56)
    words = [int.from_bytes(output[i : i + 8], "little") for i in range(32, 56, 8)]
    assert all(word < P for word in words)
    assert transcript.draw_extension("alpha") == tuple(words)
    assert transcript.state == output[:32]

    parameters = (5).to_bytes(8, "little") + (1 << 20).to_bytes(8, "little")
    output = reference.blake3(frame(transcript.state, b"queries", 17, parameters)).digest(length=72)
    expected = [int.from_bytes(output[i : i + 8], "little") % 2**20 for i in range(32, 72, 8)]
    indices = transcript.draw_indices("queries", 5, 1 << 20)
    assert indices.dtype == np.int64
    assert indices.tolist() == expected
    assert transcript.state == output[:32]


def test_log_lists_every_step_in_order() -> None:
    transcript = sample()
    transcript.draw_extension("alpha")
    transcript.draw_indices("queries", 4, 8)
    assert [(step.label, step.kind, step.length) for step in transcript.log] == [
        ("domain", Kind.DOMAIN, 6),
        ("journal", Kind.BYTES, 3),
        ("opening", Kind.ELEMENTS, 32),
        ("height", Kind.INTEGER, 8),
        ("alpha", Kind.EXTENSION, 3),
        ("queries", Kind.INDICES, 4),
    ]


def test_different_histories_give_different_states() -> None:
    def play(*steps: Callable[[Transcript], object]) -> bytes:
        transcript = Transcript("d")
        for step in steps:
            step(transcript)
        return transcript.state

    one = np.array([1], dtype=np.uint64)
    histories = [
        play(),
        Transcript("D").state,
        play(lambda t: t.absorb_bytes("a", b"")),
        play(lambda t: t.absorb_bytes("a", b"b")),
        play(lambda t: t.absorb_bytes("ab", b"")),
        play(lambda t: t.absorb_bytes("", b"ab")),
        play(lambda t: t.absorb_bytes("a", b"\1" + bytes(7))),
        play(lambda t: t.absorb_elements("a", one)),
        play(lambda t: t.absorb_int("a", 1)),
        play(lambda t: t.absorb_int("a", 1), lambda t: t.absorb_int("a", 1)),
        play(lambda t: t.absorb_elements("a", np.array([1, 1], dtype=np.uint64))),
        play(lambda t: t.absorb_int("a", 1), lambda t: t.absorb_int("b", 1)),
        play(lambda t: t.absorb_int("b", 1), lambda t: t.absorb_int("a", 1)),
        play(lambda t: t.draw_extension("a")),
        play(lambda t: t.draw_extension("a"), lambda t: t.draw_extension("a")),
        play(lambda t: t.draw_indices("a", 3, 8)),
        play(lambda t: t.draw_indices("a", 3, 16)),
        play(lambda t: t.draw_indices("a", 4, 8)),
    ]
    assert all(a != b for a, b in itertools.combinations(histories, 2))


def test_equal_draws_in_a_row_differ() -> None:
    transcript = sample()
    assert transcript.draw_extension("a") != transcript.draw_extension("a")
    assert transcript.draw_indices("b", 4, 2**40).tolist() != transcript.draw_indices("b", 4, 2**40).tolist()


def test_words_of_p_and_more_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = [P, 5, 2**64 - 1, P + 1, 0, P - 1, 7, 8]

    def fake(data: bytes, key: bytes | None = None, length: int = 32) -> bytes:
        return (bytes(32) + b"".join(word.to_bytes(8, "little") for word in stream))[:length]

    transcript = sample()
    monkeypatch.setattr(module, "blake3", fake)
    assert transcript.draw_extension("a") == (5, 0, P - 1)


def test_draws_spread_over_the_field_and_the_bound() -> None:
    transcript = sample()
    words = np.array([transcript.draw_extension("a") for _ in range(400)], dtype=np.uint64)
    assert words.max() < P
    top_bits = np.bincount((words >> np.uint64(61)).reshape(-1).astype(np.int64), minlength=8)
    assert top_bits.min() > 90  # mean 150, standard deviation 11.5
    indices = transcript.draw_indices("b", 1600, 16)
    counts = np.bincount(indices, minlength=16)
    assert counts.size == 16
    assert counts.min() > 50  # mean 100, standard deviation 9.7


def test_draw_bounds() -> None:
    transcript = sample()
    assert transcript.draw_indices("one", 3, 1).tolist() == [0, 0, 0]
    assert transcript.draw_indices("none", 0, 8).size == 0
    for count, bound in ((1, 0), (1, 3), (1, 2**63), (-1, 8)):
        with pytest.raises(ValueError, match="cannot draw"):
            transcript.draw_indices("bad", count, bound)


@pytest.mark.parametrize("value", [P, 2**64 - 1])
def test_elements_must_be_canonical(value: int) -> None:
    transcript = sample()
    before = transcript.state
    with pytest.raises(FormatError, match="canonical"):
        transcript.absorb_elements("x", np.array([0, value], dtype=np.uint64))
    assert transcript.state == before


@pytest.mark.parametrize("value", [-1, 2**64])
def test_integers_must_have_64_bits(value: int) -> None:
    with pytest.raises(FormatError, match="64-bit"):
        sample().absorb_int("x", value)


def test_proof_of_work_counts_leading_zero_bits_of_the_first_word() -> None:
    seed = bytes(range(32))
    for nonce in range(50):
        word = int.from_bytes(reference.blake3(seed + nonce.to_bytes(8, "little")).digest()[:8], "little")
        zeros = 64 - word.bit_length()
        assert proof_of_work_holds(seed, nonce, zeros)
        assert not proof_of_work_holds(seed, nonce, zeros + 1)
        assert proof_of_work_holds(seed, nonce, 0)


def test_grinding() -> None:
    transcript = sample()
    before = transcript.state
    seed = transcript.grinding_seed("queries")
    assert transcript.state == before
    assert seed != transcript.grinding_seed("other")
    nonces = (nonce for nonce in itertools.count())
    good = next(nonce for nonce in nonces if proof_of_work_holds(seed, nonce, 6))
    bad = next(nonce for nonce in nonces if not proof_of_work_holds(seed, nonce, 6))
    transcript.grind_check("queries", good, 6)
    assert transcript.state == reference.blake3(frame(before, b"queries", 19, good.to_bytes(8, "little"))).digest()
    for nonce in (bad, -1, 2**64):
        other = sample()
        with pytest.raises(VerificationError) as caught:
            other.grind_check("queries", nonce, 6)
        assert caught.value.reason is RejectReason.GRINDING
    for bits in (-1, 65):
        with pytest.raises(ValueError, match="bits of work"):
            sample().grind_check("queries", 0, bits)


def test_a_subclass_can_replay_challenges() -> None:
    class Replay(Transcript):
        def draw_extension(self, label: str) -> tuple[int, int, int]:
            super().draw_extension(label)
            return (1, 2, 3)

    replay, fresh = Replay("d"), Transcript("d")
    assert replay.draw_extension("a") == (1, 2, 3)
    fresh.draw_extension("a")
    assert replay.state == fresh.state
    assert "steps=2" in repr(replay)
