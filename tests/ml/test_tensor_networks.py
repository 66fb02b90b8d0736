"""Networks that stay in tensors from input to output: which calls they become, and that guest, integer model and float model agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.ml.models import Array, agreed, check, compiled, model_of, normal
from zkvm import api
from zkvm.ml.codegen import Privacy
from zkvm.ml.compiler import Arithmetic, Compilation, Options, Precision
from zkvm.ml.ir import View, evaluate
from zkvm.ml.layout import Layout
from zkvm.ml.operations.depthwise import TensorDepthwise
from zkvm.ml.operations.rearranging import TensorApply, TensorMaximum, TensorMove, TensorPeaks, TensorSums
from zkvm.ml.operations.tensor_combining import TensorCombine
from zkvm.ml.operations.tensors import RescalingCall, TensorExport, TensorLinear, TensorLoad
from zkvm.ml.operators import tensors
from zkvm.ml.samples import Sample
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute
from zkvm.session.profiling import profile

FIXED = Options(arithmetic=Arithmetic.FIXED)
Constants = dict[str, Any]
CALLS = (
    TensorLinear,
    TensorDepthwise,
    TensorLoad,
    TensorExport,
    TensorMove,
    TensorSums,
    TensorMaximum,
    TensorApply,
    TensorPeaks,
    TensorCombine,
)


def weights(*shape: int, seed: int = 0) -> Array:
    return normal(*shape, seed=seed, scale=0.3)


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], name=f"{operator}_{output}", **attributes)


def network(
    nodes: Sequence[onnx.NodeProto], shape: tuple[int, ...], constants: Constants, *, tolerance: float = 0.002, options: Options = FIXED
) -> Compilation:
    samples: list[Sample] = [{"x": normal(*shape, seed=seed)} for seed in range(5)]
    return check(model_of(nodes, samples[0], ["y"], constants), samples, tolerance, options)


def calls(made: Compilation) -> list[type]:
    """Without looks and movements, which must all be calls."""
    operations = [operation for operation in made.graph.operations if not isinstance(operation, View)]
    assert all(isinstance(operation, CALLS) for operation in operations), [type(operation) for operation in operations]
    return [type(operation) for operation in operations if not isinstance(operation, TensorMove | TensorPeaks | TensorExport)]


LENET = [
    node("Conv", "x w1 b1", "h1"), node("Relu", "h1", "r1"), node("MaxPool", "r1", "p1", kernel_shape=[2, 2], strides=[2, 2]),
    node("Conv", "p1 w2", "h2"), node("Relu", "h2", "r2"), node("Flatten", "r2", "f"), node("Gemm", "f w3", "y"),
]  # fmt: skip
LENET_WEIGHTS = {"w1": weights(6, 1, 5, 5), "b1": weights(6), "w2": weights(8, 6, 3, 3, seed=1), "w3": weights(72, 10, seed=2)}


def test_a_convolutional_network() -> None:
    """One gather for each operand that has another order, in front of it a Flatten or not."""
    made = network(LENET, (1, 1, 14, 14), LENET_WEIGHTS)
    assert calls(made) == [TensorLinear, TensorMaximum, TensorLinear, TensorLinear]
    assert sum(isinstance(operation, TensorMove) for operation in made.graph.operations) == 4
    assert {operation.name for operation in made.graph.operations} >= {"Conv_h1", "MaxPool_p1", "Conv_h2", "Gemm_y"}
    words = made.model.quantize([normal(1, 1, 14, 14)])[0]
    assert execute(load_image(made.model.elf), made.model.stdin(words), trace=False).cycles < 1500
    eight = network(LENET, (1, 1, 14, 14), LENET_WEIGHTS, tolerance=0.1, options=Options(precision=Precision(8, 8)))
    assert TensorLinear in [type(operation) for operation in eight.graph.operations]


UNNEEDED = {"compare", "bitwise", "multiply", "branch_less", "load_part", "store_part"}
"""Tables whose columns a receipt of a network in tensor calls does not have to open."""


def tables_of(made: Compilation, sample: Sample) -> set[str]:
    """The tables of a run."""
    words, _ = made.model.quantize([sample["x"]])
    return {chip.name for chip in profile(made.model.elf, made.model.stdin(words)).chips}


def test_tables_that_a_network_does_not_need() -> None:
    """Calls branch on equality, and so does what looks at how much they cut."""
    samples: list[Sample] = [{"x": normal(1, 1, 14, 14, seed=seed)} for seed in range(5)]
    made = compiled(model_of(LENET, samples[0], ["y"], LENET_WEIGHTS), samples, FIXED)
    assert any(any(operation.watched) for operation in made.graph.operations if isinstance(operation, TensorLinear))
    assert not tables_of(made, samples[0]) & UNNEEDED


@pytest.mark.parametrize(
    ("shape", "kernel", "attributes"),
    [
        ((1, 3, 9, 11), (8, 3, 3, 3), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
        ((1, 2, 13, 12), (9, 2, 3, 2), {"dilations": [2, 3]}),
        ((1, 16, 6, 4), (17, 16, 1, 1), {}),
        ((1, 5, 40), (12, 5, 4), {"pads": [3, 1], "strides": [3]}),
        ((1, 2, 5, 6, 5), (8, 2, 2, 3, 2), {"pads": [1, 1, 0, 0, 1, 0]}),
        ((1, 8, 10, 10), (16, 2, 3, 3), {"group": 4, "auto_pad": "SAME_UPPER"}),
        ((1, 12, 9, 9), (12, 1, 3, 3), {"group": 12}),
    ],
)  # fmt: skip
def test_convolutions(shape: tuple[int, ...], kernel: tuple[int, ...], attributes: dict[str, Any]) -> None:
    made = network(
        [node("Conv", "x w b", "h", **attributes), node("Clip", "h low high", "y")],
        shape,
        {"w": weights(*kernel), "b": weights(kernel[0]), "low": np.float32(-1), "high": np.float32(2)},
    )
    assert calls(made)[-1] is (TensorDepthwise if attributes.get("group") == kernel[0] else TensorLinear)
    moves = sum(isinstance(operation, TensorMove) for operation in made.graph.operations)
    assert moves == (1 if kernel[2:] == (1, 1) else 2), "the output is put in order once"


def test_a_residual_block() -> None:
    nodes = [
        node("Conv", "x w b", "h", pads=[1] * 4), node("Relu", "h", "r"), node("Conv", "r w2", "c", pads=[1] * 4), node("Add", "c r", "a"),
        node("Relu", "a", "ar"), node("Conv", "ar w3", "d"), node("Sub", "d ar", "s"), node("GlobalAveragePool", "s", "p"),
        node("Flatten", "p", "f"), node("Gemm", "f w4", "y"),
    ]  # fmt: skip
    constants = {
        "w": weights(8, 3, 3, 3), "b": weights(8), "w2": weights(8, 8, 3, 3, seed=1), "w3": weights(8, 8, 1, 1, seed=2),
        "w4": weights(8, 10, seed=3),
    }  # fmt: skip
    made = network(nodes, (1, 3, 12, 12), constants)
    assert calls(made).count(TensorLinear) == 4
    assert TensorLoad not in calls(made)


def test_functions_and_averages() -> None:
    nodes = [
        node("Conv", "x w b", "h", pads=[1] * 4), node("Sigmoid", "h", "s"), node("Conv", "s w2", "c", group=8, pads=[1] * 4),
        node("LeakyRelu", "c", "l"), node("AveragePool", "l", "p", kernel_shape=[2, 2], strides=[2, 2]), node("Flatten", "p", "f"),
        node("Gemm", "f w3", "y"),
    ]  # fmt: skip
    constants = {"w": weights(8, 3, 3, 3), "b": weights(8), "w2": weights(8, 1, 3, 3, seed=1), "w3": weights(288, 10, seed=2)}
    made = network(nodes, (1, 3, 12, 12), constants)
    expected = [TensorLinear, TensorApply, TensorDepthwise, TensorApply, TensorSums, TensorLinear]
    assert [kind for kind in calls(made) if kind is not TensorSums or kind in expected][-6:] == expected


def test_an_input_whose_maxima_are_read_in_memory() -> None:
    """It is words then: as a tensor that comes as it is it has an origin, which its maxima keep."""
    nodes = [
        node("MaxPool", "x", "p", kernel_shape=[2, 2], strides=[2, 2]), node("Sigmoid", "p", "s"),
        node("BatchNormalization", "s scale shift mean variance", "y"),
    ]  # fmt: skip
    constants = {name: np.full(2, value, np.float32) for value, name in enumerate(("mean", "scale", "shift", "variance"))}
    network(nodes, (1, 2, 10, 3), constants)


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_concatenations(parts: int) -> None:
    """Channels of several tensors, of scales that differ, in odd numbers, padded, turned and cut."""
    nodes = [node("Conv", f"x w{part}", f"h{part}", strides=[2, 2]) for part in range(parts)]
    nodes += [
        helper.make_node("Concat", [f"h{part}" for part in range(parts)], ["c"], name="concat", axis=1),
        node("Pad", "c pads", "q"), node("MaxPool", "q", "m", kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]),
        node("Transpose", "m", "t", perm=[0, 2, 3, 1]), node("Slice", "t start end axes", "s"), node("Reshape", "s flat", "f"),
        node("MatMul", "f g", "y"),
    ]  # fmt: skip
    channels = [5, 3, 1, 4][:parts]
    constants: Constants = {f"w{part}": weights(count, 3, 3, 3, seed=part) * (part + 1) for part, count in enumerate(channels)}
    size = 3 * 5 * sum(channels)
    constants |= {
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "start": np.array([1]), "end": np.array([4]), "axes": np.array([1]),
        "flat": np.array([1, size]), "g": weights(size, 30, seed=9),
    }  # fmt: skip
    made = network(nodes, (1, 3, 15, 15), constants)
    assert calls(made).count(TensorMaximum) == 1


def test_one_dimension_and_constants() -> None:
    nodes = [
        node("Conv", "x w b", "h", pads=[2, 2], dilations=[2]), node("BatchNormalization", "h s o m v", "n"), node("Mul", "n factor", "q"),
        node("Add", "q c", "e"), node("Sub", "number e", "t"), node("Mul", "t minus", "u"), node("Relu", "u", "r"),
        node("ReduceMax", "r axis", "z", keepdims=0), node("ReduceMean", "r axis", "k", keepdims=0), node("Add", "z k", "zk"),
        node("Gemm", "zk g", "y"),
    ]  # fmt: skip
    constants: Constants = {
        "w": weights(16, 4, 3), "b": weights(16), "s": np.abs(weights(16)) + 0.5, "o": weights(16), "m": weights(16),
        "v": np.abs(weights(16)) + 0.5, "factor": np.float32(0.7), "c": weights(1, 16, 1), "axis": np.array([2]), "g": weights(16, 10),
        "number": np.float32(0.3), "minus": np.float32(-1.7),
    }  # fmt: skip
    made = network(nodes, (1, 4, 50), constants, tolerance=0.004)
    assert any(isinstance(operation, TensorMaximum) for operation in made.graph.operations)


def test_an_input_that_is_words_too() -> None:
    """What has no call reads RAM, so the input is there, and loaded for the layer."""
    nodes = [node("Conv", "x w", "h"), node("Flatten", "h", "f"), node("Gemm", "f g", "a"), node("Mul", "a k", "y"), node("Exp", "i", "k")]
    nodes.insert(0, node("Softmax", "x", "soft", axis=1))
    nodes[-1], nodes[-2] = nodes[-2], node("ReduceMax", "soft", "k", keepdims=0)
    constants = {"w": weights(16, 3, 3, 3), "g": weights(16 * 64, 10, seed=1)}
    made = network(nodes, (1, 3, 10, 10), constants, tolerance=0.01)
    assert made.graph.inputs[0].layout is None
    assert any(isinstance(operation, TensorLoad) for operation in made.graph.operations)


def test_padding_of_an_input_whose_zero_is_not_zero() -> None:
    """Pixels have all int16 to themselves: zeros around them are there only after a rescaling."""
    made = network([node("Conv", "x w", "y", pads=[1] * 4)], (1, 2, 12, 12), {"w": weights(16, 2, 3, 3)})
    assert made.graph.inputs[0].origin
    assert isinstance(made.graph.operations[0], TensorSums)
    assert made.graph.operations[0].output.origin == 0


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("saturate", [False, True])
def test_looks(size: int, saturate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts tell what was cut, at both limits; but not where an import fills lanes as it likes."""
    monkeypatch.setattr(tensors, "GENEROUS", 0)
    samples: list[Sample] = [{"x": normal(1, 1200, size, 9, seed=seed).clip(-1, 1)} for seed in range(4)]
    nodes = [node("Conv", "x w", "h"), node("Conv", "h v", "y")]
    model = model_of(nodes, samples[0], ["y"], {"w": normal(32, 1200, 1, 1, seed=1), "v": weights(8, 32, 1, 1, seed=2)})
    made = compiled(model, samples, Options(privacy=Privacy(saturate=saturate), domain={"x": (-1.0, 1.0)}))
    ragged = size * 9 % 8 > 0
    assert any(isinstance(operation, RescalingCall) and all(operation.watched) for operation in made.graph.operations) == (not ragged)
    for sign in (1, -1):
        x = np.zeros((1, 1200, size, 9), np.float32)
        x[0, :, -1, -1] = sign * np.sign(normal(32, 1200, seed=1)[3])
        words = made.model.quantize([x])[0]
        saturated: dict[str, int] = {}
        evaluate(made.graph, words, saturated)
        assert "Conv_h" in saturated
        agreed(made, words)
    if ragged:
        words = made.model.quantize([samples[0]["x"]])[0]
        lanes = np.frombuffer(made.model.stdin(words), "<i2").reshape(-1, 1200, 8).copy()
        lanes[-1, :, size * 9 % 8 :] = np.where(normal(32, 1200, seed=1)[3] > 0, 32767, -32768)[:, None]
        run = execute(load_image(made.model.elf), lanes.tobytes(), trace=False)
        assert (run.exit_code, run.journal) == (0, made.journal(evaluate(made.graph, words), saturated=False))


def test_a_proof() -> None:
    samples: list[Sample] = [{"x": np.abs(normal(1, 1, 14, 14, seed=seed)).clip(0, 1)} for seed in range(20)]
    made = compiled(model_of(LENET, samples[0], ["y"], LENET_WEIGHTS), samples, Options())
    assert made.graph.inputs[0].layout == Layout(1, 196)
    receipt = made.model.prove(samples[0]["x"], params="fast")
    results = evaluate(made.graph, made.model.quantize([samples[0]["x"]])[0])
    assert (made.model.decode(receipt.journal).tensors["y"] == made.graph.outputs[0].dequantize(results[0])).all()
    receipt.verify(api.compute_image_id(made.model.elf))
