"""What precision costs: cycles of the same models in fixed point of 8 and 16 bits, in floats, and in what the compiler chooses.

Beside the cycles of a guest, which are exact, stands what the agreement gate found: the largest error, and labels that differ among all
inputs that it looked at; a choice that it refuses is marked. ``--write`` puts the table into docs/ml.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, parser

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.ml.tables import put, table  # noqa: E402
from tools.train_mnist import load_mnist  # noqa: E402
from zkvm import api  # noqa: E402
from zkvm.errors import UsageError  # noqa: E402
from zkvm.ml import compiler  # noqa: E402
from zkvm.ml.samples import Sample  # noqa: E402

CALIBRATION = 100
CHOICES = {
    "8 bits": compiler.Options(arithmetic=compiler.Arithmetic.FIXED, precision=compiler.Precision(8, 8)),
    "16 bits": compiler.Options(arithmetic=compiler.Arithmetic.FIXED),
    "floats": compiler.Options(arithmetic=compiler.Arithmetic.FLOAT),
    "chosen": compiler.Options(),
}
WIDTH, TOKENS, HEADS, CLASSES = 32, 16, 2, 10
UNITS, STEPS, FEATURES = 32, 20, 8
Models = Iterator[tuple[str, onnx.ModelProto, list[Sample]]]


def measured(model: onnx.ModelProto, samples: Sequence[Sample], options: compiler.Options) -> str:
    """Cycles, error, labels; or why there are none."""
    from zkvm.riscv.vm.executor import execute

    try:
        imported = compiler.import_file(model, options)
        made = compiler.compile_imported(imported, samples, options)
    except UsageError as error:
        return f"refused: {error}"
    gate = compiler.add_measurements(made, samples, None)
    words, _ = made.model.quantize([samples[0][port.name] for port in imported.inputs])
    run = execute(api.load_image(made.model.elf), made.model.stdin(words), trace=False)
    kinds = [made.model.card["arithmetic"][f"{kind}_operations"] for kind in ("float", "fixed")]
    cycles = f"{run.cycles:,}" if run.exit_code == 0 else f"ends with exit code {run.exit_code}"
    mixed = f", {kinds[0]} of {sum(kinds)} operations in floats" if options.arithmetic is compiler.Arithmetic.AUTO else ""
    return f"{'' if gate.holds else '**refused** '}{cycles} ({100 * gate.error:.2g} %, {gate.flips}{mixed})"


def _model(nodes: Sequence[str], shape: Sequence[int], constants: dict[str, NDArray[Any]]) -> onnx.ModelProto:
    graph = helper.make_graph(
        [parser.parse_node(node) for node in nodes],
        "model",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def transformer() -> tuple[onnx.ModelProto, list[Sample]]:
    """One block with attention, a layer of four times its width, and a classifier of the mean; random weights."""
    random = np.random.default_rng(0)

    def weights(*shape: int) -> NDArray[np.float32]:
        return np.asarray(random.standard_normal(shape) / np.sqrt(shape[0]), np.float32)

    constants: dict[str, NDArray[Any]] = {f"w{name}": weights(WIDTH, WIDTH) for name in "qkvo"}
    constants |= {"up": weights(WIDTH, 4 * WIDTH), "down": weights(4 * WIDTH, WIDTH), "out": weights(WIDTH, CLASSES)}
    constants |= {"heads": np.array([TOKENS, HEADS, WIDTH // HEADS]), "whole": np.array([TOKENS, WIDTH]), "first": np.array([0])}
    constants |= {"root": np.array((WIDTH / HEADS) ** 0.5, np.float32), "one": np.ones(WIDTH, np.float32)}
    nodes = [
        "n = LayerNormalization<axis=-1>(x, one)",
        *(f"{name} = MatMul(n, w{name})" for name in "qkv"),
        *(f"r{name} = Reshape({name}, heads)" for name in "qkv"),
        "tq = Transpose<perm=[1, 0, 2]>(rq)", "tk = Transpose<perm=[1, 2, 0]>(rk)", "tv = Transpose<perm=[1, 0, 2]>(rv)",
        "s = MatMul(tq, tk)", "d = Div(s, root)", "p = Softmax<axis=-1>(d)", "a = MatMul(p, tv)", "ta = Transpose<perm=[1, 0, 2]>(a)",
        "ra = Reshape(ta, whole)", "o = MatMul(ra, wo)", "h = Add(x, o)", "m = LayerNormalization<axis=-1>(h, one)", "u = MatMul(m, up)",
        "g = Gelu(u)", "e = MatMul(g, down)", "f = Add(h, e)", "c = ReduceMean<keepdims=1>(f, first)", "y = MatMul(c, out)",
    ]  # fmt: skip
    samples = [{"x": random.standard_normal((TOKENS, WIDTH)).astype(np.float32)} for _ in range(CALIBRATION)]
    return _model(nodes, [TOKENS, WIDTH], constants), samples


def lstm() -> tuple[onnx.ModelProto, list[Sample]]:
    """A layer over a sequence, and a classifier of its last state; random weights."""
    random = np.random.default_rng(1)
    constants: dict[str, NDArray[Any]] = {
        "w": (random.standard_normal((1, 4 * UNITS, FEATURES)) / np.sqrt(FEATURES)).astype(np.float32),
        "r": (random.standard_normal((1, 4 * UNITS, UNITS)) / np.sqrt(UNITS)).astype(np.float32),
        "out": (random.standard_normal((UNITS, CLASSES)) / np.sqrt(UNITS)).astype(np.float32),
        "row": np.array([1, UNITS]),
    }
    nodes = [f"s, h = LSTM<hidden_size={UNITS}>(x, w, r)", "t = Reshape(h, row)", "y = MatMul(t, out)"]
    samples = [{"x": random.standard_normal((STEPS, 1, FEATURES)).astype(np.float32)} for _ in range(CALIBRATION)]
    return _model(nodes, [STEPS, 1, FEATURES], constants), samples


def models(folder: Path, data: Path) -> Models:
    """The models, by name, with samples."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    images = [{"image": image[None]} for image in load_mnist(data)[0][:CALIBRATION]]
    yield "perceptron 784-56-10", onnx.load(str(folder / "perceptron.onnx")), images
    yield "LeNet-5", onnx.load(str(folder / "lenet5.onnx")), images
    table_of, classes = load_breast_cancer(return_X_y=True)
    numbers = table_of.astype(np.float32)
    rows = [{"X": row[None]} for row in numbers[:CALIBRATION]]
    forest = RandomForestClassifier(20, max_depth=6, random_state=0)
    for name, estimator in (("logistic regression", make_pipeline(StandardScaler(), LogisticRegression())), ("forest of 20 trees", forest)):
        converted = to_onnx(estimator.fit(numbers, classes), numbers[:1], options={"zipmap": False}, target_opset={"": 20, "ai.onnx.ml": 3})
        yield f"{name} (breast cancer)", converted, rows
    yield f"transformer block ({TOKENS} tokens of {WIDTH})", *transformer()
    yield f"LSTM ({UNITS} units, {STEPS} steps)", *lstm()


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("models", type=Path, help="folder that tools/train_mnist.py wrote")
    arguments.add_argument("data", type=Path, help="folder of the idx files")
    arguments.add_argument("--write", action="store_true", help="put the table into docs/ml.md")
    chosen = arguments.parse_args()
    rows = []
    for name, model, samples in models(chosen.models, chosen.data):
        rows.append([name, *(measured(model, samples, options) for options in CHOICES.values())])
        print(*rows[-1], sep="  ", flush=True)
    text = table(["model", *CHOICES], rows)
    print(f"\n{text}")
    if chosen.write:
        put("precision", text)


if __name__ == "__main__":
    main()
