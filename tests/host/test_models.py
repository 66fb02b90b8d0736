"""Models of host applications: what their journals say is what the model that they were made of says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier

import zkvm
import zkvm.ml
from host import contest, fraud, oracle, picture

SALT = {"input": bytes(range(32))}


def test_the_oracle_forecasts() -> None:
    """Much better than the mean does, on hours that the network was not fitted to."""
    seen, wanted = oracle.windows(oracle.some_sizes(3000, seed=5))
    session = onnxruntime.InferenceSession(oracle.network(oracle.some_sizes(8000, seed=1)).SerializeToString())
    forecast = np.array([session.run(None, {"window": window[None]})[0].item() for window in seen])
    assert np.mean((forecast - wanted) ** 2) < 0.5 * np.var(wanted)


@pytest.fixture(scope="module")
def forest() -> RandomForestClassifier:
    transactions, wrong = fraud.some_transactions(1000, seed=1)
    return RandomForestClassifier(5, max_depth=4, random_state=1).fit(transactions, wrong)


def test_alarms_are_those_of_the_forest(forest: RandomForestClassifier) -> None:
    days = [fraud.some_transactions(fraud.BATCH, seed)[0] for seed in range(2, 6)]
    model = zkvm.ml.compile(fraud.monitor(forest), [{"X": day} for day in days], commit_input=True)
    for day in days:
        said = model.decode(model.execute(day, salts=SALT).journal)
        assert said.tensors["alarms"] == forest.predict(day).sum()
        assert said.digests == {"input": model.input_digest(day, SALT["input"])}


@pytest.fixture(scope="module")
def contestants() -> list[tuple[MLPClassifier, zkvm.ml.CompiledModel]]:
    """Two networks of the announced architecture, one of them untrained; and both compiled."""
    rows, labels = contest.public_rows()
    networks = contest.trained(rows, labels), contest.trained(rows, np.random.default_rng(1).permutation(labels))
    return [(network, contest.compiled(network)) for network in networks]


def test_the_count_is_that_of_the_network(contestants: Any) -> None:
    rows, labels = contest.all_rows()
    for network, model in contestants:
        for start in (0, contest.TRAINING):
            taken = slice(start, start + contest.TESTS)
            tests = contest.TestSet(rows[taken], labels[taken], SALT["input"])
            said = model.decode(model.execute(tests.inputs, salts=SALT).journal)
            assert abs(said.tensors["count"] - (network.predict(tests.rows) == tests.truth).sum()) <= 1


def test_weights_change_neither_the_program_nor_what_is_announced(contestants: Any) -> None:
    (_, alice), (_, template) = contestants
    assert alice.elf == template.elf
    announced = replace(template.interface(), weights_digest=alice.weights_digest)
    assert announced == replace(alice.interface(), card=announced.card)
    assert alice.weights_digest != template.weights_digest


@pytest.mark.usefixtures("unproven")
def test_only_what_was_committed_counts(contestants: Any) -> None:
    (_, alice), (_, template) = contestants
    rows, labels = contest.all_rows()
    tests = contest.TestSet(rows[-contest.TESTS :], labels[-contest.TESTS :])
    organiser = contest.Organiser(template.interface(), template.image_id(), template.input_digest(tests.inputs, tests.salt))
    organiser.committed["alice"] = alice.weights_digest
    assert organiser.score("alice", contest.enter(alice, tests)) > 56
    with pytest.raises(contest.Refused, match="no weights were committed in time"):
        organiser.score("bob", contest.enter(alice, tests))
    with pytest.raises(zkvm.VerificationError, match="MODEL: the run's private weights have the digest"):
        organiser.score("alice", contest.enter(template, tests))
    for other in (replace(tests, truth=~tests.truth), replace(tests, salt=bytes(32)), replace(tests, rows=rows[: contest.TESTS])):
        with pytest.raises(contest.Refused, match="these are not the test rows"):
            organiser.score("alice", contest.enter(alice, other))


def test_the_gallery_sees_what_the_generator_draws() -> None:
    """What is shown is what the owner of the weights computes, to a hundredth, which is what `compile` allows."""
    model, content = picture.generator(), json.loads(picture.WEIGHTS.read_text())
    first, first_bias, second, second_bias = (np.array(content[name]) / content["scale"] for name in list(content)[1:])
    for seed in (3, 8):
        latent = picture.some_latent(seed)
        strokes = np.maximum(latent @ first + first_bias, 0) @ second + second_bias
        said = model.decode(model.execute(latent, salts=SALT).journal)
        assert said.digests is not None
        assert said.digests["input"] == model.input_digest(latent, SALT["input"])
        assert np.abs(picture.pixels_of(said).reshape(-1) - 255 / (1 + np.exp(-strokes))).max() < 255 / 100 + 0.5


def test_a_model_returns_a_challenge() -> None:
    """As the page says: for verifiers who do not know the input."""
    shapes = {"x": (TensorProto.FLOAT, [1, 4]), "challenge": (TensorProto.INT32, [8])}
    outputs = {"y": (TensorProto.FLOAT, [1, 4]), "same": (TensorProto.INT32, [8])}
    nodes = [helper.make_node("Tanh", ["x"], ["y"]), helper.make_node("Identity", ["challenge"], ["same"])]
    given, returned = ([helper.make_tensor_value_info(name, *info) for name, info in group.items()] for group in (shapes, outputs))
    file = helper.make_model(helper.make_graph(nodes, "g", given, returned), opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    x, drawn = np.full((1, 4), 0.5, np.float32), np.frombuffer(SALT["input"][::-1] + bytes([255]) * 4, "<i4")
    model = zkvm.ml.compile(file, {"x": x, "challenge": drawn[:8]}, domain={"x": (-1, 1), "challenge": (-(2**31), 2**31 - 1)})
    for challenge in (drawn[:8], drawn[1:]):
        assert model.run({"x": x, "challenge": challenge}).tensors["same"].tolist() == challenge.tolist()
