"""Classifies a private handwritten digit by the dense layers of LeNet-5, 400-120-84-10, as tensor calls.

Input: 64 pixels from 0 to 16. Journal: the label (int64), ten logits (int32).
"""

from pathlib import Path

import numpy as np

from zkvm import guest
from zkvm.guest import tensors

MODEL = np.load(Path(__file__).parent / "weights.npz")
SMALL, LARGE, WHITE = 8, 20, 16
PIXEL_UNIT = 1024  # elements count pixels in steps of 1/1024, so that the first layer's sums are worth their rounding

NEAREST = np.arange(LARGE) * SMALL // LARGE
ENLARGED = tensors.Gather((NEAREST[:, None] * SMALL + NEAREST).ravel())
LAYERS = [tensors.Linear(MODEL[f"w{i}"], MODEL[f"s{i}"], MODEL[f"b{i}"], low=-32768 if i == 3 else 0) for i in (1, 2, 3)]
DENSE1, DENSE2, DENSE3 = LAYERS


def main() -> None:
    """What is proven."""
    pixels = guest.read(np.uint8, SMALL * SMALL)
    assert np.all(pixels <= WHITE), "a pixel is from 0 to 16"
    image = ENLARGED(tensors.load(pixels.astype(np.int16) * PIXEL_UNIT, SMALL * SMALL))
    hidden = DENSE2(DENSE1(image))
    logits = DENSE3(hidden).numbers()
    guest.commit((np.argmax(logits), logits))
