"""Attention, sums, softmax and normalisation in tensors: which calls they become, and that guest, integer model and float model agree."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.ml.models import Array, check, compiled, model_of
from tests.ml.models import normal as drawn
from tests.ml.test_tensor_networks import FIXED, UNNEEDED, network, node, tables_of, weights
from zkvm import api
from zkvm.ml.compiler import Compilation
from zkvm.ml.ir import View, evaluate
from zkvm.ml.operations.matmul import MatrixProduct
from zkvm.ml.operations.rearranging import TensorMaximum
from zkvm.ml.operations.softmax import Softmax
from zkvm.ml.operations.tensor_combining import TensorCombine, TensorMultiply
from zkvm.ml.operations.tensor_products import TensorProduct
from zkvm.ml.operations.tensor_rows import RowDeviations, RowReciprocals
from zkvm.ml.operations.tensors import TensorExport, TensorLinear, TensorLoad
from zkvm.ml.operators import tensor_combining
from zkvm.ml.samples import Sample


@pytest.fixture(autouse=True)
def _cheap_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks this small do not pay for tables of elementwise calls."""
    monkeypatch.setattr(tensor_combining, "ELEMENTWISE_COST", -(1 << 30))


TOKENS, HEADS, WIDTH = 11, 3, 8
"""As many that nothing is a multiple of eight but the width of a head."""


def heads(name: str, result: str, order: list[int] | None = None) -> list[onnx.NodeProto]:
    """The projection of the input to heads."""
    return [
        node("MatMul", f"x {name}", f"{result}_flat"), node("Reshape", f"{result}_flat split", f"{result}_heads"),
        node("Transpose", f"{result}_heads", result, perm=order or [0, 2, 1, 3]),
    ]  # fmt: skip


def attention_weights(tokens: int = TOKENS) -> dict[str, Array]:
    size = HEADS * WIDTH
    return {
        "wq": weights(size, size), "wk": weights(size, size, seed=1), "wv": weights(size, size, seed=2), "wo": weights(size, size, seed=3),
        "split": np.array([1, tokens, HEADS, WIDTH]), "joined": np.array([1, tokens, size]),
    }  # fmt: skip


JOIN = [node("Transpose", "o", "turned", perm=[0, 2, 1, 3]), node("Reshape", "turned joined", "flat"), node("MatMul", "flat wo", "y")]


@pytest.mark.parametrize("tokens", [TOKENS, 16])
def test_products_of_heads(tokens: int) -> None:
    """A call for each head; between layers only movements, and tensors that are read as they are."""
    nodes = [
        *heads("wq", "q"), *heads("wk", "k", [0, 2, 3, 1]), *heads("wv", "v"), node("MatMul", "q k", "s"), node("MatMul", "s v", "o"), *JOIN
    ]  # fmt: skip
    # Ranges of products of three are wide, because inputs twice as large as those seen are inputs, too.
    made = network(nodes, (1, tokens, HEADS * WIDTH), attention_weights(tokens), tolerance=0.03)
    operations = [operation for operation in made.graph.operations if not isinstance(operation, View)]
    products = [operation for operation in operations if isinstance(operation, TensorProduct)]
    assert len(products) == 2 * HEADS
    assert not any(isinstance(operation, TensorLoad) for operation in operations)
    assert [operation.x_first for operation in products[:HEADS]] == [0, WIDTH, 2 * WIDTH], "queries are read where they are"
    assert [operation.x_first for operation in products[HEADS:]] == [0, 0, 0], "scores, too"
    assert operations[-1].output is made.graph.outputs[0].storage()
    assert isinstance(operations[-1], TensorExport)


def test_a_product_of_which_one_operand_is_in_memory() -> None:
    """It is loaded; a factor that all matrices of a batch share is read by all of them."""
    samples = [{"x": drawn(1, 12, 16, seed=seed), "z": drawn(2, 16, 10, seed=seed + 9)} for seed in range(4)]
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r z", "y")]
    made = check(model_of(nodes, samples[0], ["y"], {"w": weights(16, 16)}), samples, 0.002, FIXED)
    assert sum(isinstance(operation, TensorProduct) for operation in made.graph.operations) == 2


def test_sums_and_products_of_tensors() -> None:
    """Also with constants that are broadcast, or in front of the tensor."""
    nodes = [
        node("MatMul", "x w", "h"), node("MatMul", "x w2", "g"), node("Sub", "h g", "d"), node("Mul", "d h", "m"), node("Sub", "c m", "s"),
        node("Mul", "rows s", "t"), node("Add", "t x", "y"),
    ]  # fmt: skip
    constants = {"w": weights(24, 24), "w2": weights(24, 24, seed=1), "c": weights(9, 1, seed=2), "rows": weights(24, seed=3)}
    made = network(nodes, (1, 9, 24), constants, tolerance=0.02)
    kinds = [type(operation) for operation in made.graph.operations]
    assert kinds.count(TensorCombine) == 4
    assert kinds.count(TensorMultiply) == 1


def causal(tokens: int) -> Array:
    """Which keys come before a query, or are at its place."""
    return np.tril(np.ones((tokens, tokens), np.bool_))


def masking(kind: str, tokens: int) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """From scaled scores ``d`` to ``m``, in the ways of exporters."""
    visible = causal(tokens)
    if kind == "added":
        return [node("Add", "d mask", "m")], {"mask": np.where(visible, 0, -1e9).astype(np.float32)}
    if kind == "chosen":
        return [node("Where", "visible d lowest", "m")], {"visible": visible, "lowest": np.array(-np.inf, np.float32)}
    if kind == "filled":
        return [node("Where", "hidden lowest d", "m")], {"hidden": ~visible, "lowest": np.array(-1e4, np.float32)}
    return [node("Identity", "d", "m")], {}


@pytest.mark.parametrize("kind", ["plain", "added", "chosen", "filled"])
@pytest.mark.parametrize("tokens", [TOKENS, 16])
def test_attention(kind: str, tokens: int) -> None:
    """All heads stay in tensors from the input to the output but for sums of rows and their reciprocals."""
    nodes, constants = masking(kind, tokens)
    nodes = [
        *heads("wq", "q"), *heads("wk", "k", [0, 2, 3, 1]), *heads("wv", "v"), node("MatMul", "q k", "s"), node("Div", "s root", "d"),
        *nodes, node("Softmax", "m", "p", axis=-1), node("MatMul", "p v", "o"), *JOIN,
    ]  # fmt: skip
    constants |= attention_weights(tokens) | {"root": np.array(np.sqrt(WIDTH), np.float32)}
    made = network(nodes, (1, tokens, HEADS * WIDTH), constants, tolerance=0.006)
    kinds = [type(operation) for operation in made.graph.operations]
    assert kinds.count(TensorProduct) == 2 * HEADS
    assert kinds.count(RowReciprocals) == HEADS
    assert kinds.count(TensorMaximum) == HEADS
    assert not any(issubclass(kind, Softmax | MatrixProduct) for kind in kinds)


@pytest.mark.parametrize(("length", "sharpness"), [(16, 1.0), (33, 1.0), (100, 0.01), (300, 30.0), (70, 1e-6)])
def test_softmax_of_rows(length: int, sharpness: float) -> None:
    """Of equal elements, where the sum is largest, and of one that is far above the others."""
    nodes = [node("MatMul", "x w", "h"), node("Softmax", "h", "p"), node("MatMul", "p v", "y")]
    made = network(nodes, (1, 9, 16), {"w": weights(16, length) * sharpness, "v": weights(length, 8, seed=1)}, tolerance=0.01)
    assert RowReciprocals in [type(operation) for operation in made.graph.operations]


@pytest.mark.parametrize("operator", ["LayerNormalization", "RMSNormalization"])
@pytest.mark.parametrize(("tokens", "width", "epsilon"), [(11, 24, 1e-5), (8, 50, 0.1), (1, 3, 1e-5), (17, 64, 1e-12)])
def test_normalisation(operator: str, tokens: int, width: int, epsilon: float) -> None:
    """Gains of both signs, of an input that is a tensor as it comes, between layers."""
    nodes = [node(operator, "x g b" if operator[0] == "L" else "x g", "n", axis=-1, epsilon=epsilon), node("MatMul", "n w", "y")]
    gains = np.where(np.arange(width) % 3 == 0, -1, 1) * (1 + 0.3 * np.abs(drawn(width)))
    constants = {"g": gains.astype(np.float32), "b": weights(width, seed=1), "w": weights(width, 16, seed=2)}
    samples = [{"x": drawn(1, tokens, width, seed=seed)} for seed in range(5)]
    made = check(model_of(nodes, samples[0], ["y"], constants, opset=23), samples, 0.003, FIXED)
    kinds = [type(operation) for operation in made.graph.operations]
    assert RowDeviations in kinds or made.graph.tensor_operations == 0
    assert tokens == 1 or RowDeviations in kinds


def test_lowest_scores_are_looked_at() -> None:
    """A row of which all scores were cut to the same number would be refused, and not made uniform."""
    nodes = [node("MatMul", "x w", "h"), node("Softmax", "h", "p"), node("MatMul", "p v", "y")]
    samples = [{"x": drawn(1, 8, 64, seed=seed)} for seed in range(5)]
    constants = {"w": weights(64, 40), "v": weights(40, 8, seed=1)}
    made = check(model_of(nodes, samples[0], ["y"], constants), samples, 0.01, FIXED)
    assert RowReciprocals in [type(operation) for operation in made.graph.operations]
    (layer,) = (operation for operation in made.graph.operations if isinstance(operation, TensorLinear) and operation.name == "MatMul_h")
    assert layer.watched[0]


NORMALIZED = [
    node("LayerNormalization", "x g b", "n", axis=-1),
    node("MatMul", "n w", "h"),
    node("Softmax", "h", "p"),
    node("MatMul", "p v", "y"),
]


def normalized() -> tuple[Compilation, list[Sample]]:
    """Rows that are normalised, and products of their softmax."""
    constants = {"g": weights(24) + 1, "b": weights(24, seed=4), "w": weights(24, 32), "v": weights(32, 8, seed=1)}
    samples: list[Sample] = [{"x": drawn(1, 8, 24, seed=seed)} for seed in range(5)]
    return compiled(model_of(NORMALIZED, samples[0], ["y"], constants), samples, FIXED), samples


def test_tables_that_rows_do_not_need() -> None:
    """Reciprocals of sums and of roots take shifts, sums and quotients: neither comparisons nor logic, nor products of words."""
    made, samples = normalized()
    assert {RowDeviations, RowReciprocals} <= {type(operation) for operation in made.graph.operations}
    assert not tables_of(made, samples[0]) & UNNEEDED


def test_a_proof() -> None:
    made, samples = normalized()
    assert TensorMultiply in [type(operation) for operation in made.graph.operations]
    receipt = made.model.prove(samples[0]["x"], params="fast")
    results = evaluate(made.graph, made.model.quantize([samples[0]["x"]])[0])
    assert (made.model.decode(receipt.journal).tensors["y"] == made.graph.outputs[0].dequantize(results[0])).all()
    receipt.verify(api.compute_image_id(made.model.elf))
