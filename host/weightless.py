"""Weightless network: a camera proves which digit a private picture shows, by a WiSARD of Bloom filters, without one multiplication.

The network is the one of Z. Susskind and others (Weightless Neural Networks for Efficient Edge Inference, 2022): bits of the picture in a
random order, cut into tuples; a tuple is hashed, and each class has filters that know which tuples were seen in training. The class most
of whose filters know theirs wins. Filters are constants of the program, so the image ID is the model.

``python host/weightless.py`` trains on the 8 x 8 digits that come with scikit-learn; ``python host/weightless.py FOLDER`` on MNIST's files.
"""

from __future__ import annotations

import gzip
import secrets
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import zkvm
from zkvm import guest

CLASSES = 10
HASHES = 2
"""Places of a filter that one tuple has; it is known if all of them are."""
ADDRESS = 16
"""Bits of a hash in a word that holds both."""
ON_MNIST = ((64, 128), 28, 12)
"""Levels, bits of a tuple, bits of an address."""
DIGEST = 32
JOURNAL = np.dtype([("picture", np.uint8, DIGEST), ("label", "<i4")])
Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Model:
    """A trained network.

    Attributes:
        levels: a pixel is one bit for each level that it reaches.
        order: the bits of a picture in the order in which they make tuples, (tuples, bits of a tuple).
        hashes: for each bit of a tuple what it changes in both addresses, uint32.
        filters: (tuples, addresses): bit c is set if class c knows the address, uint16.
    """

    levels: NDArray[np.uint8]
    order: NDArray[np.uint16]
    hashes: NDArray[np.uint32]
    filters: NDArray[np.uint16]

    def addresses(self, pictures: Pictures) -> NDArray[np.int64]:
        """Of each picture's tuples, (pictures, tuples, 2)."""
        bits = (pictures[:, :, None] >= self.levels).reshape(len(pictures), -1)
        mixed = np.bitwise_xor.reduce(np.where(bits[:, self.order], self.hashes, np.uint32(0)), axis=2)
        return np.stack([mixed & np.uint32((1 << ADDRESS) - 1), mixed >> np.uint32(ADDRESS)], 2).astype(np.int64)

    def labels(self, pictures: Pictures) -> NDArray[np.int64]:
        """What the network says; the guest says the same."""
        known = np.bitwise_and.reduce(self.filters[np.arange(len(self.order))[:, None], self.addresses(pictures)], axis=2)
        votes = (known[:, :, None] >> np.arange(CLASSES, dtype=np.uint16)) & np.uint16(1)
        best: NDArray[np.int64] = votes.sum(1, dtype=np.int64).argmax(1)
        return best


def train(pictures: Pictures, labels: NDArray[np.int64], levels: Any, tuple_bits: int, address_bits: int, seed: int = 1) -> Model:
    """One pass over the pictures, which counts; an address is known that was seen often enough, as held-back pictures tell."""
    rng = np.random.default_rng(seed)
    bits = pictures.shape[1] * len(levels)
    order = rng.permutation(bits)[: bits // tuple_bits * tuple_bits].reshape(-1, tuple_bits).astype(np.uint16)
    places = rng.integers(0, 1 << address_bits, (HASHES, tuple_bits), dtype=np.uint32)
    hashes = places[0] | places[1] << np.uint32(ADDRESS)
    blank = Model(np.array(levels, np.uint8), order, hashes, np.zeros((len(order), 1 << address_bits), np.uint16))
    counts = np.zeros((CLASSES, *blank.filters.shape), np.int64)
    learnt = len(pictures) * 9 // 10
    addresses = blank.addresses(pictures[:learnt])
    for hashed in range(HASHES):
        np.add.at(counts, (labels[:learnt, None], np.arange(len(order)), addresses[:, :, hashed]), 1)
    powers = (1 << np.arange(CLASSES))[:, None, None]
    tried = [replace(blank, filters=((counts >= least) * powers).sum(0).astype(np.uint16)) for least in range(1, 40)]
    return max(tried, key=lambda model: float(np.mean(model.labels(pictures[learnt:]) == labels[learnt:])))


def digest_of(salt: NDArray[np.uint8], picture: NDArray[np.uint8]) -> Any:
    """What is known of a picture."""
    return guest.blake3(np.concatenate((salt, guest.blake3(picture))))


def program_of(model: Model, pixels: int) -> guest.GuestFunction:
    """The program that is proven, with a network's filters as its constants."""
    levels, order, hashes, filters = model.levels, model.order, model.hashes, model.filters
    low = np.uint32((1 << ADDRESS) - 1)

    @guest.program
    def classify() -> None:
        """Private: salt and picture. Public: the picture's digest and the label."""
        salt, picture = guest.read(np.uint8, DIGEST), guest.read(np.uint8, pixels)
        bits = np.zeros((pixels, len(levels)), np.uint32)
        for pixel in range(pixels):
            for k, level in enumerate(levels):
                bits[pixel, k] = np.uint32(0) - np.uint32(picture[pixel] >= level)
        flat = bits.reshape(-1)
        votes = np.zeros(CLASSES, np.uint32)
        for row, known in zip(order, filters, strict=True):
            mixed = np.uint32(0)
            for place, change in zip(row, hashes, strict=True):
                mixed ^= flat[place] & change
            both = np.uint32(known[mixed & low] & known[mixed >> np.uint32(ADDRESS)])
            for label in range(CLASSES):
                votes[label] += (both >> np.uint32(label)) & np.uint32(1)
        guest.commit(digest_of(salt, picture))
        guest.commit(int(np.argmax(votes)))

    return classify


@dataclass(frozen=True)
class Camera:
    """Takes pictures, keeps them, and says what it saw; its word on digests is what a chip would sign."""

    program: guest.GuestFunction
    vouched: set[bytes] = field(default_factory=set)

    def take(self, picture: Pictures) -> bytes:
        """A picture: the digest is vouched for, the receipt says what it shows."""
        salt = secrets.token_bytes(DIGEST)
        self.vouched.add(digest_of(np.frombuffer(salt, np.uint8), picture).tobytes())
        return self.prove(salt, picture)

    def prove(self, salt: bytes, picture: Pictures) -> bytes:
        """The receipt for any picture."""
        return zkvm.prove(self.program, salt + picture.tobytes(), pad_to="program").receipt.to_bytes()


class Refused(Exception):
    """Nobody took this picture."""


def label_of(sent: bytes, image_id: str, vouched: set[bytes]) -> int:
    """The other side: the label of a picture that the camera took; a picture counts once.

    Raises:
        zkvm.VerificationError: no valid receipt of this network.
        Refused: the camera took no such picture, or it was counted before.
    """
    receipt = zkvm.Receipt.from_bytes(sent)
    receipt.verify(image_id)
    said = np.frombuffer(receipt.journal, JOURNAL)[0]
    if said["picture"].tobytes() not in vouched:
        raise Refused("the camera took no such picture, or it was counted before")
    vouched.remove(said["picture"].tobytes())
    return int(said["label"])


def mnist(folder: Path) -> Any:
    """MNIST's files: pictures and labels to train on, and to test with; of the test files alone, the last 2,000 are to test with."""

    def content(name: str, header: int) -> NDArray[np.uint8]:
        path = folder / name
        data = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(name + ".gz").read_bytes())
        return np.frombuffer(data[header:], np.uint8)

    def part(name: str) -> Any:
        return content(f"{name}-images-idx3-ubyte", 16).reshape(-1, 784), content(f"{name}-labels-idx1-ubyte", 8).astype(np.int64)

    if any(folder.glob("train-images*")):
        return *part("train"), *part("t10k")
    pictures, labels = part("t10k")
    return pictures[:-2000], labels[:-2000], pictures[-2000:], labels[-2000:]


def small_digits() -> Any:
    """The same of the digits of 8 x 8 pixels, 0 to 16, that come with scikit-learn."""
    from sklearn.datasets import load_digits

    pictures, labels = load_digits(return_X_y=True)
    chosen = np.random.default_rng(0).permutation(len(pictures))
    pictures, labels = pictures[chosen].astype(np.uint8), labels[chosen]
    return pictures[:1437], labels[:1437], pictures[1437:], labels[1437:]


def main() -> None:
    """Train, prove one picture, and show what is refused."""
    if len(sys.argv) > 1:
        pictures, labels, tests, answers = mnist(Path(sys.argv[1]))
        model = train(pictures, labels, *ON_MNIST)
    else:
        pictures, labels, tests, answers = small_digits()
        model = train(pictures, labels, (1, 5, 9, 13), 12, 10)
    right = float(np.mean(model.labels(tests) == answers))
    print(f"{len(model.order)} tuples, {model.filters.nbytes} bytes of filters, right on {right:.2%} of {len(tests)} pictures")

    program = program_of(model, tests.shape[1])
    image_id, camera = zkvm.compute_image_id(program), Camera(program)
    sent = camera.take(tests[0])
    print(f"the picture shows a {label_of(sent, image_id, camera.vouched)} ({answers[0]}), proven in {len(sent)} bytes")

    spoilt = replace(model, filters=np.roll(model.filters, 1, axis=0))
    receipt = zkvm.Receipt.from_bytes(camera.take(tests[1]))
    other = Camera(program_of(spoilt, tests.shape[1]), camera.vouched)
    attacks = {
        "the same picture once more": sent,
        "a picture from elsewhere": camera.prove(bytes(DIGEST), tests[2]),
        "a network with other filters": other.take(tests[1]),
        "another label in the journal": replace(
            receipt, journal=receipt.journal[:-4] + bytes([receipt.journal[-4] ^ 1, 0, 0, 0])
        ).to_bytes(),
    }
    for name, given in attacks.items():
        try:
            label_of(given, image_id, camera.vouched)
        except (Refused, zkvm.VerificationError) as error:
            print(f"refused, {name}: {error}")
        else:
            raise SystemExit(f"accepted: {name}")


if __name__ == "__main__":
    main()
