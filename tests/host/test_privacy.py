"""What receipts of host applications show besides the journal: the heights of tables, which are the same whatever is private."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

import zkvm
from host import airdrop, backtest, biometric, credit, feed, one_model, weightless
from zkvm.riscv.machine import machine
from zkvm.session.bound import padding
from zkvm.session.run import ExecutorEnv, read_elf, run_image
from zkvm.stark.protocol.params import parameters
from zkvm.stark.tables import planned_heights

RUNS = 4


def words(values: Any) -> bytes:
    return np.asarray(values, np.int32).tobytes()


def private_inputs(name: str, rng: np.random.Generator) -> tuple[Any, list[bytes]]:
    """A program, and inputs that differ in all that is private."""
    salt = rng.bytes(64)
    if name == "credit":
        return credit.scorecard, [salt + words(rng.integers(0, 10_000, 5) * rng.integers(0, 2, 5)) for _ in range(RUNS)]
    if name == "biometric":
        eyes = [biometric.some_eye(rng) for _ in range(RUNS)]
        noises = zip(eyes, (0.0, 0.1, 0.2, 0.28), (0, 4, -4, 1), strict=True)
        return biometric.same_eye, [rng.bytes(32) + salt + eye.tobytes() + biometric.seen_again(eye, rng, turn, noise).tobytes()
                                    for eye, noise, turn in noises]  # fmt: skip
    if name == "airdrop":
        path = b"".join(zkvm.poseidon2_hash(bytes([level])) for level in range(airdrop.DEPTH))
        histories = ((36, 500, 100, 100_000), (12, 100, 20, 10_000), (0, 0, 0, 2**31 - 1), (30, 30, 30, 30))
        return airdrop.claim, [salt + rng.bytes(32) + words(history) + words(rng.integers(0, 1 << airdrop.DEPTH)) + path
                               for history in histories]  # fmt: skip
    if name == "backtest":
        prices = backtest.some_prices(300, seed=1)
        rules = ((1, 100, 0, 9999), (100, 1, 0, 0), (10, 50, 50, 800), (7, 7, 9999, 100))
        return backtest.backtest, [words(300) + words(prices) + salt[:32] + words(rule) for rule in rules]
    if name == "feed":
        posts = rng.integers(0, 72, (40, feed.POST))
        return feed.ranking, [
            salt + words(rng.integers(-100, 100, feed.TOPICS) * scale) + words(40) + words(posts) for scale in (0, 1, 9, 10)
        ]
    if name == "one_model":
        data: Any = load_breast_cancer()
        samples = ((data.data - data.data.mean(0)) / data.data.std(0)).astype(np.float32)
        answering = one_model.Provider(samples[:50], data.target[:50]).model
        return answering.elf, [answering.stdin(answering.quantize([sample])[0]) for sample in samples[-RUNS:]]
    pictures, labels, tests, _ = weightless.small_digits()
    model = weightless.train(pictures, labels, (1, 5, 9, 13), 12, 10)
    drawn = [tests[0], tests[1], np.zeros(64, np.uint8), np.full(64, 255, np.uint8)]
    return weightless.program_of(model, 64), [salt[:32] + picture.tobytes() for picture in drawn]


@pytest.mark.parametrize("name", ["credit", "one_model", "biometric", "airdrop", "backtest", "feed", "weightless"])
def test_heights_tell_nothing_of_what_is_private(name: str) -> None:
    program, inputs = private_inputs(name, np.random.default_rng(1))
    _, image = read_elf(program)
    seen = set()
    for stdin in inputs:
        run = run_image(b"", image, ExecutorEnv(stdin), trace=True)
        assert run.exit_code == 0, run.stderr
        seen.add(tuple(planned_heights(machine(), run, image, parameters().exempt, padding("program", run))))
    assert len(inputs) == RUNS
    assert len(seen) == 1
