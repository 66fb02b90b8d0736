"""Oracle: instead of running a network, a contract checks a receipt that somebody posted with the network's answer.

The network is public, so anybody can be the poster, and a wrong answer cannot be posted. The contract holds 32 bytes of the network (its
image ID) and 32 of each round's data (a digest that the data's publisher posts); the round's number is the salt of this digest.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

import zkvm
import zkvm.ml

SERIES, HOURS = 4, 64
INPUTS = SERIES * HOURS
HIDDEN = 512
Window = NDArray[np.float32]


def salt_of(number: int) -> bytes:
    """What makes the digest of a round's data this round's."""
    return number.to_bytes(32, "big")


def some_sizes(hours: int, seed: int) -> NDArray[np.float32]:
    """Sizes of hourly returns of four series for the demonstration, in per cent; they come in clusters, so they can be forecast."""
    rng = np.random.default_rng(seed)
    calm, noise = np.zeros(hours), rng.normal(0, 0.25, hours)
    for hour in range(1, hours):
        calm[hour] = 0.97 * calm[hour - 1] + noise[hour]
    return np.abs(np.exp(calm)[:, None] * rng.normal(0, 0.4, (hours, SERIES))).clip(0, 8).astype(np.float32)


def windows(sizes: NDArray[np.float32]) -> tuple[Window, NDArray[np.float64]]:
    """What the network sees, (samples, inputs), and what it is to forecast: their mean in the next 8 hours."""
    starts = np.arange(0, len(sizes) - HOURS - 8, 4)
    seen = np.stack([sizes[start : start + HOURS].reshape(-1) for start in starts])
    return seen, np.array([sizes[start + HOURS : start + HOURS + 8].mean() for start in starts])


def network(sizes: NDArray[np.float32]) -> ModelProto:
    """A wide layer of fixed random features, and an output that ridge regression fits to them: 131,000 weights."""
    rng = np.random.default_rng(1)
    seen, wanted = windows(sizes)
    first = rng.normal(0, 1 / np.sqrt(INPUTS), (INPUTS, HIDDEN)).astype(np.float32)
    bias = rng.normal(0, 0.5, HIDDEN).astype(np.float32)
    features = np.maximum(seen @ first + bias, 0).astype(np.float64)
    middle = features.mean(0)
    centred = features - middle
    output = np.linalg.solve(centred.T @ centred + 1000 * np.eye(HIDDEN), centred.T @ (wanted - wanted.mean()))
    constants = {"first": first, "bias": bias, "output": output[:, None].astype(np.float32)}
    constants["offset"] = np.array([wanted.mean() - middle @ output], np.float32)
    nodes = [
        helper.make_node("Gemm", ["window", "first", "bias"], ["sums"]),
        helper.make_node("Relu", ["sums"], ["features"]),
        helper.make_node("Gemm", ["features", "output", "offset"], ["volatility"]),
    ]
    graph = helper.make_graph(
        nodes,
        "volatility",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, [1, INPUTS])],
        [helper.make_tensor_value_info("volatility", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


class Refused(Exception):
    """The answer is not posted."""


@dataclass
class Contract:
    """Anybody may post to it. It holds the network's image ID, how its journals are read, and digests of data."""

    public: zkvm.ml.ModelInterface
    image_id: str
    published: dict[int, str] = field(default_factory=dict)
    """By round: what the publisher of the data posted."""
    answers: dict[int, float] = field(default_factory=dict)

    def post(self, number: int, sent: bytes) -> float:
        """Take the answer of a round.

        Raises:
            zkvm.VerificationError: no valid receipt of the network.
            Refused: it is not about this round's data, or there is an answer.
        """
        if number in self.answers:
            raise Refused("the round has its answer")
        said = self.public.verify(zkvm.Receipt.from_bytes(sent), self.image_id)
        if said.digests is None or said.digests["input"] != self.published.get(number):
            raise Refused("the answer is not about this round's data")
        self.answers[number] = float(said.tensors["volatility"].item())
        return self.answers[number]


def answer(model: zkvm.ml.CompiledModel, number: int, window: Window) -> bytes:
    """The poster's side: he has the network and the data."""
    return model.prove(window, salts={"input": salt_of(number)}).to_bytes()


def main() -> None:
    """Two rounds, and what is refused."""
    past, now = some_sizes(8000, seed=1), some_sizes(400, seed=2)
    file, calibration = network(past), windows(past)[0][:1000]
    model = zkvm.ml.compile(file, calibration, domain={"window": (0, 8)}, commit_input=True, arithmetic="fixed", max_error=0.02)
    contract = Contract(model.interface(), model.image_id())
    seen, wanted = windows(now)
    for number in (7, 8):
        contract.published[number] = model.input_digest(seen[number : number + 1], salt_of(number))

    sent = answer(model, 7, seen[7:8])
    print(f"round 7: volatility {contract.post(7, sent):.3f} %, it became {wanted[7]:.3f} %; {len(sent)} bytes")

    other = file.__class__.FromString(file.SerializeToString())
    tuned = numpy_helper.to_array(other.graph.initializer[2]) * np.float32(0.5)
    other.graph.initializer[2].CopyFrom(numpy_helper.from_array(tuned, "output"))
    suits = zkvm.ml.compile(other, calibration, domain={"window": (0, 8)}, commit_input=True, arithmetic="fixed", max_error=0.02)
    receipt = zkvm.Receipt.from_bytes(answer(model, 8, seen[8:9]))
    attacks = {
        "the answer of the round before": (8, sent),
        "data that never were": (8, answer(model, 8, seen[8:9] * np.float32(0.5))),
        "a network with halved weights": (8, answer(suits, 8, seen[8:9])),
        "a number that suits the poster": (8, replace(receipt, journal=receipt.journal[:-4] + bytes(4)).to_bytes()),
        "a second answer to round 7": (7, sent),
    }
    for name, (number, given) in attacks.items():
        try:
            contract.post(number, given)
        except (Refused, zkvm.VerificationError) as error:
            print(f"refused, {name}: {error}")
        else:
            raise SystemExit(f"accepted: {name}")
    print(f"round 8: volatility {contract.post(8, receipt.to_bytes()):.3f} %")


if __name__ == "__main__":
    main()
