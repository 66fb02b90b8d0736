"""One model for all: a provider whose weights are secret proves to each customer that he is answered by the same model as the others.

The provider publishes a description of the model (names, shapes, scales, the salted digest of the weights) and the image ID, which follows
from the architecture alone. A customer draws a challenge, which becomes the salt of his input's digest: so an answer is for his question,
and new.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer
from sklearn.neural_network import MLPClassifier

import zkvm
import zkvm.ml

SALT = 32
NAMES = ("malignant", "benign")
Sample = NDArray[np.float32]


class Provider:
    """Holds the weights; answers with receipts."""

    def __init__(self, samples: Sample, labels: NDArray[np.int64]) -> None:
        network = MLPClassifier(hidden_layer_sizes=(16,), solver="lbfgs", alpha=1.0, max_iter=1000, random_state=1)
        model = to_onnx(network.fit(samples, labels), samples[:1], options={"zipmap": False})
        hidden: dict[str, Any] = {"weights": "private", "commit_input": True, "output": "top1"}
        # In fixed point the heights of tables do not follow from the sample, as they may in floats.
        self.model = zkvm.ml.compile(model, samples, domain={"X": (-20, 20)}, arithmetic="fixed", **hidden)

    def publish(self) -> tuple[zkvm.ml.ModelInterface, str]:
        """What everybody gets: the description, which is ``model.json`` where models are saved, and the image ID."""
        return self.model.interface(), self.model.image_id()

    def answer(self, sample: Sample, challenge: bytes) -> bytes:
        """The receipt for a customer's question."""
        return self.model.prove(sample, salts={"input": challenge}).to_bytes()


class Refused(Exception):
    """The answer is to another question."""


@dataclass
class Customer:
    """Has what the provider published, and his own sample."""

    public: zkvm.ml.ModelInterface
    image_id: str
    sample: Sample
    challenge: bytes = field(default_factory=lambda: secrets.token_bytes(SALT))
    weights: str = ""
    """The digest of the weights that answered, for comparison with other customers."""

    def read(self, sent: bytes) -> str:
        """The model's answer.

        Raises:
            zkvm.VerificationError: no valid receipt of a run of the published model with the published weights.
            Refused: it is about another sample, or was made for another challenge.
        """
        said = self.public.verify(zkvm.Receipt.from_bytes(sent), self.image_id)
        assert said.digests is not None
        assert said.label is not None
        if said.digests["input"] != self.public.input_digest(self.sample, self.challenge):
            raise Refused("the answer is about another sample, or was made before")
        self.weights = said.digests["weights"]
        return NAMES[said.label]


def main() -> None:
    """Two customers, and what they refuse."""
    data: Any = load_breast_cancer()
    samples, labels = ((data.data - data.data.mean(0)) / data.data.std(0)).astype(np.float32), data.target
    provider, cheap = Provider(samples[:400], labels[:400]), Provider(samples[:50], labels[:50])
    public, image_id = provider.publish()
    alice, bob = Customer(public, image_id, samples[450]), Customer(public, image_id, samples[460])

    sent = provider.answer(alice.sample, alice.challenge)
    print(f"alice is told {alice.read(sent)}, bob {bob.read(provider.answer(bob.sample, bob.challenge))}")
    print(f"both by the weights with the digest {alice.weights[:16]}...: {alice.weights == bob.weights}")

    later = Customer(public, image_id, alice.sample)
    attacks = {
        "bob is answered by a model that was trained less": (bob, cheap.answer(bob.sample, bob.challenge)),
        "bob gets the answer to alice's question": (bob, sent),
        "bob is answered for a slightly other sample": (bob, provider.answer(bob.sample * np.float32(1.01), bob.challenge)),
        "alice asks again, and gets the old answer": (later, sent),
    }
    for name, (customer, given) in attacks.items():
        try:
            customer.read(given)
        except (Refused, zkvm.VerificationError) as error:
            print(f"refused, {name}: {error}")
        else:
            raise SystemExit(f"accepted: {name}")


if __name__ == "__main__":
    main()
