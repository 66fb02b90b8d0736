"""Generated picture: an artist proves that a picture came out of the announced generator, from a latent vector that only the artist knows.

A gallery sees the picture and a receipt. The latent vector stays secret, with a salted digest in the receipt: whoever opens it later shows
that the picture is his. Weights are private too: the generator is known by the digest that its owner published.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import zkvm
import zkvm.ml

LATENT, WIDTH = 10, 8
WEIGHTS = Path(__file__).with_suffix(".json")
SALT = 32
SHADES = " .:-=+*#%@"
Vector = NDArray[np.float32]


def generator(contrast: float = 1.0) -> zkvm.ml.CompiledModel:
    """A small GAN for digits: from ten normal numbers to 64 pixels; ``tools/train_generator.py`` trained it.

    Args:
        contrast: what the last layer is multiplied with: not 1, it is another generator.
    """
    content = json.loads(WEIGHTS.read_text())
    names = ("first", "first_bias", "second", "second_bias")
    weights = {name: np.array(content[name], np.float32) / content["scale"] for name in names}
    weights["second"] *= np.float32(contrast)
    shape = [1, 1, WIDTH, WIDTH]  # an image, in which no place is a label
    nodes = [
        helper.make_node("Gemm", ["latent", "first", "first_bias"], ["sums"]),
        helper.make_node("Relu", ["sums"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "second", "second_bias"], ["strokes"]),
        helper.make_node("Sigmoid", ["strokes"], ["pixels"]),
        helper.make_node("Reshape", ["pixels", "shape"], ["picture"]),
    ]
    graph = helper.make_graph(
        nodes,
        "generator",
        [helper.make_tensor_value_info("latent", TensorProto.FLOAT, [1, LATENT])],
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()] + [numpy_helper.from_array(np.array(shape), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    drawn = np.random.default_rng(1).standard_normal((200, LATENT)).astype(np.float32)
    return zkvm.ml.compile(model, drawn, domain={"latent": (-6, 6)}, arithmetic="fixed", weights="private", commit_input=True)


def some_latent(seed: int) -> Vector:
    """What to draw: ten normal numbers."""
    return np.random.default_rng(seed).standard_normal(LATENT).astype(np.float32)


def pixels_of(said: zkvm.ml.Output) -> NDArray[np.uint8]:
    """The picture that a journal holds: its one output, in 256 shades."""
    picture: NDArray[np.uint8] = np.rint(np.clip(said.tensors["picture"], 0, 1) * 255).astype(np.uint8).reshape(WIDTH, WIDTH)
    return picture


@dataclass(frozen=True)
class Artist:
    """Has the generator, and a latent vector with its salt for each picture."""

    model: zkvm.ml.CompiledModel
    latent: Vector
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(SALT))

    def submit(self) -> tuple[NDArray[np.uint8], bytes]:
        """A picture, and the receipt for it."""
        receipt = self.model.prove(self.latent, salts={"input": self.salt})
        return pixels_of(self.model.decode(receipt.journal)), receipt.to_bytes()


class Refused(Exception):
    """The picture is not hung, or is not that artist's."""


@dataclass
class Gallery:
    """Has the generator's image ID and what its owner published: no weights, no latent vector."""

    public: zkvm.ml.ModelInterface
    image_id: str
    hung: dict[str, bytes] = field(default_factory=dict)
    """Pictures by the digest of what they were made of."""

    def hang(self, picture: NDArray[np.uint8], sent: bytes) -> str:
        """Accept a picture; its title is the digest of its latent vector.

        Raises:
            zkvm.VerificationError: no valid receipt of the generator.
            Refused: for another picture, or for one that hangs.
        """
        said = self.public.verify(zkvm.Receipt.from_bytes(sent), self.image_id)
        assert said.digests is not None
        if not np.array_equal(pixels_of(said), picture):
            raise Refused("this is not the picture that the generator made")
        title = said.digests["input"]
        if title in self.hung or picture.tobytes() in self.hung.values():
            raise Refused("the picture hangs already")
        self.hung[title] = picture.tobytes()
        return title

    def owner(self, title: str, latent: Vector, salt: bytes) -> None:
        """Whoever knows what a picture was made of is its artist.

        Raises:
            Refused: he does not know.
        """
        if title not in self.hung or self.public.input_digest(latent, salt) != title:
            raise Refused("this is not what the picture was made of")


def draw(picture: NDArray[np.uint8]) -> str:
    """The picture as text, two characters a pixel."""
    return "\n".join("  " + "".join(SHADES[int(pixel) * (len(SHADES) - 1) // 255] * 2 for pixel in row) for row in picture)


def main() -> None:
    """A picture is hung and claimed, and what is refused."""
    model, other = generator(), generator(contrast=0.9)
    artist, forger = Artist(model, some_latent(seed=4)), Artist(other, some_latent(seed=7))
    gallery = Gallery(model.interface(), model.image_id())

    picture, sent = artist.submit()
    title = gallery.hang(picture, sent)
    gallery.owner(title, artist.latent, artist.salt)
    print(f"{draw(picture)}\nhangs as {title[:16]}..., by {len(sent)} bytes; the artist has shown that it is his")

    mended = picture.copy()
    mended[0] = 255
    second = replace(artist, latent=artist.latent + np.float32(0.5))
    attacks: dict[str, Callable[[], object]] = {
        "a picture that was painted over": lambda: gallery.hang(mended, second.submit()[1]),
        "a picture of another generator": lambda: gallery.hang(*forger.submit()),
        "the same picture once more": lambda: gallery.hang(picture, sent),
        "the same picture with another salt": lambda: gallery.hang(*replace(artist, salt=bytes(SALT)).submit()),
        "somebody else claims it": lambda: gallery.owner(title, forger.latent, forger.salt),
    }
    for name, attempt in attacks.items():
        try:
            attempt()
        except (Refused, zkvm.VerificationError) as error:
            print(f"refused, {name}: {error}")
        else:
            raise SystemExit(f"accepted: {name}")


if __name__ == "__main__":
    main()
