"""Private contest: contestants prove how many of the organiser's test rows their models get right, and nobody sees a weight.

The organiser announces an architecture, and compiles it with weights of no value: program and image ID are those of every contestant. They
commit to their weights first (the digest in what they compile); then the test set is revealed, whose digest was published at the start.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_breast_cancer
from sklearn.neural_network import MLPClassifier

import zkvm
import zkvm.ml

TRAINING, TESTS = 400, 64
HIDDEN = 8
SALT = 32
Rows = NDArray[np.float32]
Labels = NDArray[np.bool_]


def counting(network: MLPClassifier) -> Any:
    """The announced architecture as a model that takes the test set, rows and true labels, and gives one number: how many it gets right."""
    (first, second), (bias, threshold) = network.coefs_, network.intercepts_
    weights = {"first": first, "bias": bias, "second": second[:, 0], "threshold": -threshold[0]}
    nodes = [
        helper.make_node("Gemm", ["X", "first", "bias"], ["sums"]),
        helper.make_node("Relu", ["sums"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "second"], ["scores"]),
        helper.make_node("Greater", ["scores", "threshold"], ["label"]),
        helper.make_node("Equal", ["label", "truth"], ["right"]),
        helper.make_node("Cast", ["right"], ["ones"], to=TensorProto.INT32),
        helper.make_node("ReduceSum", ["ones"], ["count"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "contest",
        [
            helper.make_tensor_value_info("X", TensorProto.FLOAT, [TESTS, len(first)]),
            helper.make_tensor_value_info("truth", TensorProto.BOOL, [TESTS]),
        ],
        [helper.make_tensor_value_info("count", TensorProto.INT32, [])],
        [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def trained(rows: Rows, labels: Labels, alpha: float = 1.0) -> MLPClassifier:
    """A network of the announced architecture."""
    return MLPClassifier(hidden_layer_sizes=(HIDDEN,), solver="lbfgs", alpha=alpha, max_iter=5000, random_state=1).fit(rows, labels)


def compiled(network: MLPClassifier) -> zkvm.ml.CompiledModel:
    """The program that counts, with private weights; it shows the digest of the test set, and of the weights."""
    options: dict[str, Any] = {"arithmetic": "fixed", "weights": "private", "commit_input": True, "domain": {"X": (-20, 20)}}
    # Where numbers are rounded a row on the border may turn over; the contest is between the networks as they are after that.
    return zkvm.ml.compile(counting(network), announced_data(), accept_inexact=True, **options)


def announced_data() -> Any:
    """What inputs look like, for the compiler: the public training rows, as many at a time as there will be test rows."""
    rows, labels = public_rows()
    starts = range(0, TRAINING - TESTS + 1, TESTS)
    return [{"X": rows[start : start + TESTS], "truth": labels[start : start + TESTS]} for start in starts]


def all_rows() -> tuple[Rows, Labels]:
    """The data, in units of their spread in the public rows."""
    data: Any = load_breast_cancer()
    public = data.data[:TRAINING]
    return ((data.data - public.mean(0)) / public.std(0)).astype(np.float32), data.target == 1


def public_rows() -> tuple[Rows, Labels]:
    """What everybody may train on."""
    rows, labels = all_rows()
    return rows[:TRAINING], labels[:TRAINING]


@dataclass(frozen=True)
class TestSet:
    """The organiser's secret until all contestants have committed."""

    rows: Rows
    truth: Labels
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(SALT))

    @property
    def inputs(self) -> dict[str, Any]:
        """As the model takes it."""
        return {"X": self.rows, "truth": self.truth}


def enter(model: zkvm.ml.CompiledModel, tests: TestSet) -> bytes:
    """A contestant's side, when the test set is known."""
    return model.prove(tests.inputs, salts={"input": tests.salt}).to_bytes()


class Refused(Exception):
    """The entry does not count."""


@dataclass
class Organiser:
    """Has the announced program, the digests that contestants sent in time, and the test set: no weights."""

    announced: zkvm.ml.ModelInterface
    image_id: str
    tests_digest: str
    committed: dict[str, str] = field(default_factory=dict)

    def score(self, contestant: str, sent: bytes) -> int:
        """How many test rows the contestant's model gets right.

        Raises:
            zkvm.VerificationError: no valid receipt of the announced program with the weights that the contestant committed to.
            Refused: of other test rows, or the contestant committed to nothing.
        """
        if contestant not in self.committed:
            raise Refused("no weights were committed in time")
        public = replace(self.announced, weights_digest=self.committed[contestant])
        said = public.verify(zkvm.Receipt.from_bytes(sent), self.image_id)
        if said.digests is None or said.digests["input"] != self.tests_digest:
            raise Refused("these are not the test rows")
        return int(said.tensors["count"])


def main() -> None:
    """A contest of two, and what is refused."""
    hidden = slice(TRAINING, TRAINING + TESTS)
    rows, labels = all_rows()
    tests = TestSet(rows[hidden], labels[hidden])
    rows, labels = public_rows()

    template = compiled(trained(rows, np.random.default_rng(1).permutation(labels)))
    organiser = Organiser(template.interface(), template.image_id(), template.input_digest(tests.inputs, tests.salt))
    alice, bob = compiled(trained(rows, labels)), compiled(trained(rows[:40], labels[:40], alpha=0.01))
    organiser.committed |= {"alice": alice.weights_digest, "bob": bob.weights_digest}

    for name, model in (("alice", alice), ("bob", bob)):  # the test set is out
        sent = enter(model, tests)
        print(f"{name}: {organiser.score(name, sent)} of {TESTS} right, {len(sent)} bytes")

    fitted = compiled(trained(tests.rows, tests.truth, alpha=0.01))
    easy = TestSet(tests.rows, np.zeros(TESTS, bool), tests.salt)
    attacks = {
        "a model that was fitted to the test set": ("bob", enter(fitted, tests)),
        "labels that suit the model": ("bob", enter(bob, easy)),
        "bob sends alice's receipt": ("bob", enter(alice, tests)),
        "somebody who did not commit": ("carol", enter(fitted, tests)),
    }
    for name, (contestant, given) in attacks.items():
        try:
            organiser.score(contestant, given)
        except (Refused, zkvm.VerificationError) as error:
            print(f"refused, {name}: {error}")
        else:
            raise SystemExit(f"accepted: {name}")


if __name__ == "__main__":
    main()
