"""Guests of host applications: what they commit, on right and wrong input, in the machine and under CPython."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zkvm
from host import airdrop, backtest, biometric, credit, feed, weightless
from zkvm import guest

SALT = bytes(range(32))
CHALLENGE = bytes([7]) * 32


def journal_of(program: Any, stdin: bytes) -> bytes:
    """What a guest commits in the machine, which is what it commits under CPython."""
    session, run = zkvm.execute(program, stdin), guest.run(program, stdin)
    assert (session.journal, session.exit_code) == (run.journal, run.exit_code)
    assert session.exit_code == 0, session.stderr
    return session.journal


def refusal(program: Any, stdin: bytes) -> str:
    """Why a guest panics, in the machine as under CPython; it commits nothing then that a verifier would read."""
    session, run = zkvm.execute(program, stdin), guest.run(program, stdin)
    assert session.exit_code == run.exit_code == 1
    said = session.stderr.decode().strip().split(": ", 2)[-1]
    assert run.error.endswith(said)
    return said


def words(*values: int) -> bytes:
    return np.array(values, np.int32).tobytes()


@pytest.mark.parametrize(
    ("finances", "score", "grade"),
    [
        ((0, 0, 0, 0, 0), 500, 1),
        ((3600, 450, 70, 0, 35), 500 + 40 + 50 + 45 - 15 + 15 + 25 + 30 - 10, 3),
        ((1200, 950, 8, 3, 95), 500 + 40 - 15 - 25 - 40 + 15 - 60 - 50 - 10 - 20 - 35 - 50, 0),
        ((1000, 500, 0, 0, 0), 500, 1),
        ((999, 200, 6, 0, 30), 490, 1),
        ((999, 200, 0, 0, 30), 475, 0),
    ],
)
def test_the_scorecard_adds_the_points_of_all_edges_that_are_reached(finances: tuple[int, ...], score: int, grade: int) -> None:
    assert credit.score_of(np.array(finances, np.int32)) == score
    said = np.frombuffer(journal_of(credit.scorecard, CHALLENGE + SALT + words(*finances)), credit.JOURNAL)[0]
    digest = credit.digest_of(np.frombuffer(SALT, np.uint8), np.array(finances, np.int32)).tobytes()
    assert (said["challenge"].tobytes(), said["finances"].tobytes(), said["grade"]) == (CHALLENGE, digest, grade)


@pytest.mark.parametrize("figure", [-1, credit.MOST + 1])
def test_figures_out_of_range_have_no_score(figure: int) -> None:
    assert refusal(credit.scorecard, CHALLENGE + SALT + words(0, figure, 0, 0, 0)) == "a figure is out of range"


def eyes(noise: float, turn: int) -> tuple[bytes, bytes]:
    rng = np.random.default_rng(3)
    eye = biometric.some_eye(rng)
    return eye.tobytes(), biometric.seen_again(eye, rng, turn, noise).tobytes()


@pytest.mark.parametrize(("noise", "turn"), [(0.0, 0), (0.25, 4), (0.28, -4)])
def test_an_eye_is_known_again(noise: float, turn: int) -> None:
    template, probe = eyes(noise, turn)
    said = np.frombuffer(journal_of(biometric.same_eye, CHALLENGE + SALT + CHALLENGE + template + probe), biometric.JOURNAL)[0]
    irises = [np.frombuffer(iris, np.uint16).reshape(2, -1) for iris in (template, probe)]
    assert said["template"].tobytes() == biometric.Iris(irises[0], SALT).digest
    assert said["probe"].tobytes() == biometric.Iris(irises[1], CHALLENGE).digest


@pytest.mark.parametrize(("noise", "turn"), [(0.36, 0), (0.5, 2), (0.1, 5), (0.1, -5)])
def test_what_differs_too_much_is_no_match(noise: float, turn: int) -> None:
    template, probe = eyes(noise, turn)
    assert refusal(biometric.same_eye, CHALLENGE + 2 * SALT + template + probe) == "not the same eye"


@pytest.mark.parametrize("angles", [0, 43])
def test_a_covered_eye_matches_nobody(angles: int) -> None:
    """Not even itself: else whoever covers his eye would be everybody."""
    eye = biometric.some_eye(np.random.default_rng(1))
    eye[1] = np.where(np.arange(biometric.ANGLES) < angles, 0xFFFF, 0)
    assert refusal(biometric.same_eye, CHALLENGE + 2 * SALT + 2 * eye.tobytes()) == "not the same eye"


def test_bits_are_counted() -> None:
    for word in (0, 1, 0x80000000, 0xFFFFFFFF, 0x12345678):
        assert int(biometric.ones(np.uint32(word))) == bin(word).count("1")


HISTORY = np.array([20, 200, 50, 30_000], np.int32)


def claim(history: Any = HISTORY, index: int = 2, secret: bytes = SALT, **changes: bytes) -> bytes:
    """The claimant's input, in a tree of five accounts."""
    others = [airdrop.Account(HISTORY + k, bytes([k]) * 32) for k in range(4)]
    leaves = [account.leaf for account in others]
    snapshot = airdrop.Snapshot.of([*leaves[:2], airdrop.Account(HISTORY, SALT).leaf, *leaves[2:]])
    path = changes["path"] if "path" in changes else snapshot.path(index)
    return CHALLENGE + changes.get("recipient", SALT) + secret + np.asarray(history, np.int32).tobytes() + words(index) + path


def test_a_claim_shows_root_nullifier_and_amount() -> None:
    said = np.frombuffer(journal_of(airdrop.claim, claim()), airdrop.JOURNAL)[0]
    other = np.frombuffer(zkvm.execute(airdrop.claim, claim(recipient=CHALLENGE)).journal, airdrop.JOURNAL)[0]
    assert said["amount"] == 200
    assert said["nullifier"].tobytes() == zkvm.poseidon2_hash(SALT + CHALLENGE) == other["nullifier"].tobytes()
    assert said["root"].tobytes() == other["root"].tobytes()
    assert (said["recipient"].tobytes(), other["recipient"].tobytes()) == (SALT, CHALLENGE)


@pytest.mark.parametrize("change", [{"history": HISTORY + 1}, {"secret": CHALLENGE}, {"index": 3}, {"path": bytes(640)}], ids=str)
def test_whatever_is_not_in_the_snapshot_has_another_root(change: dict[str, Any]) -> None:
    right, wrong = (np.frombuffer(zkvm.execute(airdrop.claim, stdin).journal, airdrop.JOURNAL)[0] for stdin in (claim(), claim(**change)))
    assert right["root"].tobytes() != wrong["root"].tobytes()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"history": np.array([-1, 500, 100, 10**5])}, "a figure is negative"),
        ({"history": np.array([2, 10, 4, 50])}, "this history earns nothing"),
        ({"index": 1 << airdrop.DEPTH, "path": bytes(640)}, "no place in the tree"),
    ],
)
def test_claims_that_end(change: dict[str, Any], reason: str) -> None:
    assert refusal(airdrop.claim, claim(**change)) == reason


def report(prices: Any, rule: Any) -> bytes:
    return words(len(prices)) + np.asarray(prices, np.int32).tobytes() + SALT + words(*rule)


def independent(prices: Any, rule: tuple[int, ...]) -> tuple[float, int]:
    """Wealth and trades of the rule in floats, written from its description."""
    fast, slow, entry, stop = rule
    wealth, trades, inside, top = 1.0, 0, False, 0
    for day in range(backtest.LONGEST, len(prices)):
        before = prices[:day]
        top = max(top, before[-1]) if inside else before[-1]
        wanted = before[-fast:].mean() > before[-slow:].mean() * (1 + entry / 1e4) and before[-1] >= top * (1 - stop / 1e4)
        if wanted != inside:
            wealth, trades, inside = wealth * (1 - 10 / 1e4), trades + 1, wanted
        if inside:
            wealth *= prices[day] / before[-1]
    return wealth, trades


@pytest.mark.parametrize("rule", [(1, 100, 0, 9999), (10, 50, 50, 800), (5, 20, 13, 300)])
def test_a_backtest_earns_what_the_rule_says(rule: tuple[int, ...]) -> None:
    prices = backtest.some_prices(260, seed=5)
    said = np.frombuffer(journal_of(backtest.backtest, report(prices, rule)), backtest.RESULT)[0]
    wealth, trades = independent(prices, rule)
    assert said["trades"] == trades > 0
    assert abs(said["earned"] - (wealth - 1) * 1e6) < 40
    assert said["prices"].tobytes() == guest.blake3(prices).tobytes()
    assert said["rule"].tobytes() == backtest.Rule(rule, SALT).digest


def test_tomorrow_does_not_change_today() -> None:
    """A change of the last price moves wealth by at most that day's return, and no trade."""
    prices = backtest.some_prices(200, seed=5)
    higher = np.append(prices[:-1], prices[-1] * 2)
    results = [backtest.simulate(series, np.array([10, 50, 0, 9999], np.int32)) for series in (prices, higher)]
    assert results[0][3] == results[1][3]


@pytest.mark.parametrize(
    ("prices", "rule", "reason"),
    [
        ([100] * 100, (1, 2, 0, 0), "too few or too many days"),
        ([100] * 100 + [0], (1, 2, 0, 0), "a price is out of range"),
        ([100] * 101, (0, 2, 0, 0), "a mean is out of range"),
        ([100] * 101, (1, 101, 0, 0), "a mean is out of range"),
        ([100] * 101, (1, 2, -1, 0), "entry or stop is out of range"),
        ([1] * 99 + [2, 65], (1, 2, 0, 0), "a price leaps"),
        ([1] * 99 + [2, 64, 2048, 4096], (1, 2, 0, 0), "no rule earns so much"),
    ],
)
def test_backtests_that_end(prices: Any, rule: Any, reason: str) -> None:
    assert refusal(backtest.backtest, report(prices, rule)) == reason


def posts(count: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    columns = rng.integers(0, 4, (count, 1)), rng.integers(0, 72, (count, 1)), rng.integers(0, 100, (count, feed.TOPICS))
    return np.concatenate(columns, axis=1).astype(np.int32)


def request(pool: Any, interests: Any) -> bytes:
    return CHALLENGE + SALT + words(*interests) + words(len(pool)) + words(*pool.reshape(-1))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_feed_is_the_announced_ranking(seed: int) -> None:
    pool, interests = posts(25, seed), np.random.default_rng(seed).integers(-50, 100, feed.TOPICS).astype(np.int32)
    said = np.frombuffer(journal_of(feed.ranking, request(pool, interests)), feed.JOURNAL)[0]
    shown: list[int] = []
    for _ in range(feed.SHOWN):
        left = [k for k in range(len(pool)) if k not in shown]
        again = [sum(pool[other, 0] == pool[k, 0] for other in shown) for k in range(len(pool))]
        scores = [int(pool[k, 2:] @ interests) - 25 * int(pool[k, 1]) - 2000 * int(again[k]) for k in range(len(pool))]
        shown.append(max(left, key=lambda k: (scores[k], -k)))
    assert said["feed"].tolist() == shown
    assert said["profile"].tobytes() == feed.Profile(interests, SALT).digest


@pytest.mark.parametrize(
    ("count", "change", "interest", "reason"),
    [
        (9, None, 0, "too few or too many posts"),
        (10, None, 1001, "an interest is out of range"),
        (10, (4, 1), 0, "an age or a topic is out of range"),
        (10, (9, 17), 0, "an age or a topic is out of range"),
    ],
)
def test_feeds_that_end(count: int, change: tuple[int, int] | None, interest: int, reason: str) -> None:
    pool = posts(count, 1)
    if change is not None:
        pool[change] = 10_001
    assert refusal(feed.ranking, request(pool, [interest] * feed.TOPICS)) == reason


@pytest.fixture(scope="module")
def digits() -> tuple[weightless.Model, Any, Any]:
    """A trained network, and pictures to test it with."""
    pictures, labels, tests, answers = weightless.small_digits()
    return weightless.train(pictures, labels, (1, 5, 9, 13), 12, 10), tests, answers


def test_the_weightless_network_reads_digits(digits: Any) -> None:
    model, tests, answers = digits
    assert np.mean(model.labels(tests) == answers) > 0.94


def test_its_guest_says_what_it_says(digits: Any) -> None:
    model, tests, _ = digits
    program = weightless.program_of(model, tests.shape[1])
    labels = model.labels(tests)
    for picture, label in zip(tests[:40], labels[:40], strict=True):
        said = np.frombuffer(zkvm.execute(program, SALT + picture.tobytes()).journal, weightless.JOURNAL)[0]
        assert said["label"] == label
    said = np.frombuffer(journal_of(program, SALT + tests[0].tobytes()), weightless.JOURNAL)[0]
    assert said["picture"].tobytes() == weightless.digest_of(np.frombuffer(SALT, np.uint8), tests[0]).tobytes()


def written(folder: Path, name: str, pictures: Any, labels: Any, pack: Any) -> None:
    """MNIST's two files of a part, as they are or packed."""
    ending = "" if pack is bytes else ".gz"
    header = b"".join(size.to_bytes(4, "big") for size in (2051, len(pictures), 28, 28))
    (folder / f"{name}-images-idx3-ubyte{ending}").write_bytes(pack(header + pictures.tobytes()))
    (folder / f"{name}-labels-idx1-ubyte{ending}").write_bytes(pack(header[:8] + labels.tobytes()))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "packed"])
def test_the_files_of_mnist_are_read(pack: Any, tmp_path: Path) -> None:
    """With and without the part to train on, of which the test files then have all but the last 2,000."""
    rng = np.random.default_rng(1)
    parts = [(rng.integers(0, 256, (count, 784), np.uint8), rng.integers(0, 10, count, np.uint8)) for count in (30, 2005)]
    written(tmp_path, "t10k", *parts[1], pack)
    alone = weightless.mnist(tmp_path)
    written(tmp_path, "train", *parts[0], pack)
    both = weightless.mnist(tmp_path)
    expected = ((*(part[:5] for part in parts[1]), *(part[5:] for part in parts[1])), (*parts[0], *parts[1]))
    for found, wanted in zip((alone, both), expected, strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))


@pytest.mark.skipif("MNIST" not in os.environ, reason="MNIST in the environment names no folder of its four files")
def test_the_weightless_network_reads_mnist() -> None:
    pictures, labels, tests, answers = weightless.mnist(Path(os.environ["MNIST"]))
    assert (len(pictures), len(tests)) == (60_000, 10_000)
    right = np.mean(weightless.train(pictures, labels, *weightless.ON_MNIST).labels(tests) == answers)
    assert right == pytest.approx(0.9406, abs=0.001)
