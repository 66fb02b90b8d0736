"""The digits guest against its numpy reference, and the accuracy that its page states."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from tools import train_digits as digits
from tools.build_guests import elf_path, load_cases
from tools.emulator import emulate
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

ELF = elf_path(digits.GUEST)


@pytest.fixture(scope="module")
def model() -> digits.IntegerModel:
    return digits.from_header((digits.GUEST / "weights.h").read_text())


@pytest.fixture(scope="module")
def data() -> digits.Digits:
    return digits.load_digits()


def test_header_round_trip(model: digits.IntegerModel) -> None:
    assert digits.to_header(model) == (digits.GUEST / "weights.h").read_text()
    assert model.weights1.shape == (digits.HIDDEN, digits.PIXELS)
    assert model.weights2.shape == (digits.LABELS, digits.HIDDEN)


def test_no_allowed_image_overflows(model: digits.IntegerModel) -> None:
    digits.check_bounds(model)


def test_overflow_would_be_noticed(model: digits.IntegerModel) -> None:
    wide = digits.IntegerModel(model.weights1, model.bias1, model.multiplier1 * 2**6, model.weights2, model.bias2)
    with pytest.raises(ValueError, match="overflow"):
        digits.check_bounds(wide)


def test_guest_equals_reference(model: digits.IntegerModel, data: digits.Digits) -> None:
    image = load_image(ELF.read_bytes())
    extremes = np.array([[0] * 64, [16] * 64, [0, 16] * 32], dtype=np.uint8)
    inputs = np.concatenate([extremes, data.held_images])
    for pixels, logits in zip(inputs, digits.infer(model, inputs), strict=True):
        assert execute(image, pixels.tobytes(), trace=False).journal == digits.journal(logits)


def test_stated_accuracy(model: digits.IntegerModel, data: digits.Digits) -> None:
    measured = digits.accuracy(digits.infer(model, data.held_images), data.held_labels)
    stated = re.search(r"([\d.]+) % in integers", (digits.GUEST / "README.md").read_text())
    assert stated is not None
    assert f"{measured:.2%}" == f"{stated[1]}%"


def test_committed_examples_were_not_trained_on(data: digits.Digits) -> None:
    examples = json.loads((digits.GUEST / "held_out.json").read_text())
    assert examples == digits.held_out_examples(data)
    assert [bytes(example["pixels"]).hex() for example in examples] == [case["input"] for case in load_cases(digits.GUEST)]
    trained = {bytes(pixels) for pixels in data.train_images}
    assert not any(bytes(example["pixels"]) in trained for example in examples)


@pytest.mark.parametrize("place", [0, 63])
def test_pixels_out_of_range_are_refused(place: int) -> None:
    pixels = bytearray(64)
    pixels[place] = 17
    seen = emulate(ELF, bytes(pixels))
    assert (seen.exit_code, seen.journal, seen.stderr) == (1, b"", b"a pixel is not in 0..16\n")
