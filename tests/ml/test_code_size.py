"""Generated code stays small where models are not: what the compiler of C gets does not grow with groups and repetitions."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from tests.ml.models import check, model_of, normal, positive, single
from zkvm.ml.compiler import Compilation, Options, Precompiles, Privacy


def statements(made: Compilation) -> int:
    """Lines of the source behind the constants."""
    return made.code.source.split("static __attribute__", 1)[1].count("\n")


LOOPS = [Options(privacy=Privacy(private_weights=private), precompiles=Precompiles.NONE) for private in (False, True)]


def depthwise(channels: int, private: bool) -> Compilation:
    model = single(
        "Conv",
        {"x": normal(1, channels, 5, 5)},
        {"k": normal(channels, 1, 3, 3, seed=1), "b": normal(channels, seed=2)},
        group=channels,
    )
    return check(model, [{"x": normal(1, channels, 5, 5)}], options=LOOPS[private])


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
def test_groups_are_a_loop(private: bool) -> None:
    few, many = depthwise(3, private), depthwise(24, private)
    assert statements(few) == statements(many)


def test_groups_of_several_channels_that_blocks_do_not_divide() -> None:
    constants = {"k": normal(14, 2, 3, 3, seed=1) * np.arange(1, 15).reshape(14, 1, 1, 1).astype(np.float32), "b": normal(14, seed=2)}
    check(single("Conv", {"x": normal(1, 4, 6, 6)}, constants, group=2), [{"x": normal(1, 4, 6, 6)}])


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize(
    ("constant", "words"),
    [((), 1), ((3, 1, 1), 3), ((20,), 20), ((2, 1, 1, 1), 2), ((4, 20), 80), ((2, 1, 4, 1), 8), ((2, 3, 4, 20), 480)],
    ids=str,
)
@pytest.mark.parametrize("operator", ["Add", "Mul", "Div"])
def test_a_constant_is_not_repeated(operator: str, constant: tuple[int, ...], words: int, private: bool) -> None:
    x, k = positive(2, 3, 4, 20), np.asarray(positive(*constant, seed=1), np.float32)
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node(operator, ["r", "k"], ["y"], name="node"),
    ]
    made = check(model_of(nodes, {"x": x}, ["y"], {"k": k}), [{"x": x}], 0.01, Options(privacy=Privacy(private_weights=private)))
    plain = 16  # numbers of a rescaling, scales of an output
    assert made.code.constant_words <= words + plain


@pytest.mark.parametrize("operator", ["Less", "Greater", "Max", "Min"])
def test_integers(operator: str) -> None:
    x = np.random.default_rng(0).integers(-50, 50, (3, 2, 16))
    check(single(operator, {"x": x}, {"k": np.array([[3], [-7]])}), [{"x": x}])


def test_short_rows_are_repeated() -> None:
    """A loop for each row of three would cost more than the repeated constant."""
    x = normal(4, 5, 3)
    made = check(single("Add", {"x": x}, {"k": normal(5, 1, seed=1)}), [{"x": x}])
    assert made.code.constant_words >= x.size
    assert made.code.source.count("for (int i0") == 0
