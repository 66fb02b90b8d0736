"""Fraud monitor: a bank proves how many alarms the agreed model raises in a day's transactions, and shows no transaction.

The model is a forest of decision trees that bank and supervisor agreed on. The bank gives the supervisor a salted digest of each batch when
the day is over; the count that it reports later is then of this batch, whole and unchanged, and of no other.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier

import zkvm
import zkvm.ml

BATCH = 64
COLUMNS = ("amount", "hour", "new payee", "payments today", "distance, km", "age of account, months")
SALT = 32
Batch = NDArray[np.float32]


def some_transactions(count: int, seed: int) -> tuple[Batch, NDArray[np.int64]]:
    """Transactions for the demonstration, and which are fraud: large ones to new payees, or many, from far away, in the night."""
    rng = np.random.default_rng(seed)
    fraud = rng.random(count) < 0.08
    columns = [
        rng.lognormal(np.where(fraud, 6, 3.5), 1).clip(1, 20_000),
        np.where(fraud & (rng.random(count) < 0.6), rng.integers(0, 6, count), rng.integers(6, 24, count)),
        rng.random(count) < np.where(fraud, 0.9, 0.15),
        rng.poisson(np.where(fraud, 6, 2)).clip(0, 40),
        rng.exponential(np.where(fraud, 900, 30)).clip(0, 10_000),
        rng.integers(1, 240, count),
    ]
    return np.stack(columns, axis=1).astype(np.float32).round(2), fraud.astype(np.int64)


def monitor(forest: RandomForestClassifier) -> Any:
    """The forest as a model of a whole batch, whose only output is the number of alarms."""
    model = to_onnx(forest, np.zeros((1, len(COLUMNS)), np.float32), options={"zipmap": False}, target_opset=17)
    graph, label = model.graph, model.graph.output[0].name
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = BATCH
    graph.node.append(helper.make_node("ReduceSum", [label], ["alarms"], keepdims=0))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("alarms", TensorProto.INT64, []))
    return model


def agreed(trees: int = 15, depth: int = 6, weight: float = 3.0) -> zkvm.ml.CompiledModel:
    """The model, compiled so that the batch's digest is shown. What is agreed on is the ONNX file: from it all get the same image ID."""
    transactions, fraud = some_transactions(4000, seed=1)
    forest = RandomForestClassifier(trees, max_depth=depth, class_weight={0: 1, 1: weight}, random_state=1).fit(transactions, fraud)
    samples = list(transactions[: 8 * BATCH].reshape(-1, BATCH, len(COLUMNS)))
    return zkvm.ml.compile(monitor(forest), [{"X": sample} for sample in samples], commit_input=True)


@dataclass
class Bank:
    """Has the transactions, and a salt for each day."""

    model: zkvm.ml.CompiledModel
    salts: dict[str, bytes] = field(default_factory=dict)

    def close(self, day: str, transactions: Batch) -> str:
        """The end of a day: the digest that the supervisor gets."""
        self.salts[day] = secrets.token_bytes(SALT)
        return self.model.input_digest(transactions, self.salts[day])

    def report(self, day: str, transactions: Batch) -> bytes:
        """The receipt for a day's alarms."""
        return self.model.prove(transactions, salts={"input": self.salts[day]}).to_bytes()


class Refused(Exception):
    """The report is not about this day."""


@dataclass
class Supervisor:
    """Has the image ID of the agreed model, how its journals are read, and the digests of the days."""

    public: zkvm.ml.ModelInterface
    image_id: str
    closed: dict[str, str] = field(default_factory=dict)

    def alarms(self, day: str, sent: bytes) -> int:
        """How many alarms the model raised in a day's transactions.

        Raises:
            zkvm.VerificationError: no valid receipt of the agreed model.
            Refused: of other transactions than those of the day.
        """
        said = self.public.verify(zkvm.Receipt.from_bytes(sent), self.image_id)
        if said.digests is None or said.digests["input"] != self.closed.get(day):
            raise Refused("these are not the transactions of the day")
        return int(said.tensors["alarms"])


def main() -> None:
    """A day, and what is refused."""
    model = agreed()
    bank, supervisor = Bank(model), Supervisor(model.interface(), model.image_id())
    days: dict[str, Any] = {"monday": some_transactions(BATCH, seed=2), "tuesday": some_transactions(BATCH, seed=3)}
    for day, (transactions, _) in days.items():
        supervisor.closed[day] = bank.close(day, transactions)

    sent = bank.report("monday", days["monday"][0])
    alarms, frauds = supervisor.alarms("monday", sent), int(days["monday"][1].sum())
    print(f"monday: {alarms} alarms in {BATCH} transactions ({frauds} were fraud), {len(sent)} bytes")

    transactions, fraud = days["tuesday"]
    hidden = np.where(fraud[:, None] == 1, transactions[np.argmin(fraud)], transactions)
    attacks = {
        "frauds replaced by a harmless payment": bank.report("tuesday", hidden),
        "monday's report once more": sent,
        "a model that sees less": Bank(agreed(weight=0.01), bank.salts).report("tuesday", transactions),
    }
    for name, given in attacks.items():
        try:
            supervisor.alarms("tuesday", given)
        except (Refused, zkvm.VerificationError) as error:
            print(f"refused, {name}: {error}")
        else:
            raise SystemExit(f"accepted: {name}")
    print(f"tuesday: {supervisor.alarms('tuesday', bank.report('tuesday', transactions))} alarms ({fraud.sum()} were fraud)")


if __name__ == "__main__":
    main()
