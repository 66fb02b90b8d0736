"""Models and data that cannot be compiled: every one a clear error before any long work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.ml.models import check, compiled, model_of, normal, single
from tests.ml.rewriting import same
from zkvm.errors import UsageError
from zkvm.ml.compiler import Options, Precision, Precompiles, compile_imported
from zkvm.ml.importer import MAX_FILE_BYTES, ImportedModel, fix_shapes, import_model, load_model

ROOT = Path(__file__).resolve().parents[2]


def gemm() -> onnx.ModelProto:
    return single("Gemm", {"x": normal(1, 4)}, {"w": normal(4, 3, seed=1)})


def with_open_dimension(position: int) -> onnx.ModelProto:
    model = single("Relu", {"x": normal(1, 4)})
    model.graph.input[0].type.tensor_type.shape.dim[position].dim_param = "n"
    return model


def test_corrupt_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\xff not a model")
    with pytest.raises(UsageError, match="not a"):
        load_model(path)


def test_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(gemm().SerializeToString()[:-20])
    with pytest.raises(UsageError, match="not a"):
        load_model(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_model(tmp_path / "absent.onnx")


def test_missing_external_data(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(single("Gemm", {"x": normal(1, 64)}, {"w": normal(64, 64)}), str(path), save_as_external_data=True, location="weights.bin")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(UsageError, match="external data is missing"):
        load_model(path)


def test_weights_that_are_not_numbers(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = single("Gemm", {"x": normal(1, 2)}, {"w": np.array([[np.nan], [1]], np.float32)})
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y0", onnx.TensorProto.FLOAT, [1, 1]))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UsageError, match="weight 'w' holds a NaN"):
        load_model(path)


def test_computed_constant_that_is_not_a_number() -> None:
    nodes = [
        helper.make_node("Log", ["c"], ["l"]),
        helper.make_node("Mul", ["x", "l"], ["y"]),
    ]
    with pytest.raises(UsageError, match="constant 'l' holds a NaN"):
        import_model(model_of(nodes, {"x": normal(1, 2)}, ["y"], {"c": np.float32(-1)}))


def test_first_open_dimension_is_one_sample() -> None:
    fixed = fix_shapes(with_open_dimension(0), {})
    assert [dimension.dim_value for dimension in fixed.graph.input[0].type.tensor_type.shape.dim] == [1, 4]


def test_other_open_dimensions_need_a_shape() -> None:
    with pytest.raises(UsageError, match=r"dimension 1 \(n\) is open"):
        fix_shapes(with_open_dimension(1), {})
    fixed = fix_shapes(with_open_dimension(1), {"x": (1, 9)})
    assert fixed.graph.input[0].type.tensor_type.shape.dim[1].dim_value == 9


@pytest.mark.parametrize(("shapes", "message"), [({"x": (1, 5)}, "is 4, not 5"), ({"x": (4,)}, "2 dimensions"), ({"y": (1,)}, "no input")])
def test_shapes_that_contradict(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fix_shapes(gemm(), shapes)


def test_unsupported_operator_is_named() -> None:
    with pytest.raises(UsageError, match=r"operator Det \(node 'node'.*supported: .*Conv"):
        import_model(single("Det", {"x": normal(3, 3)}))
    with pytest.raises(UsageError, match=r"operator NonZero \(node 'node'\) is not supported: how many elements"):
        import_model(single("NonZero", {"x": normal(3)}))


def test_accumulator_that_could_overflow_names_the_layer() -> None:
    """Many products of inputs that have 16 bits because something else reads them too: too few are left for the weights, unless the sum is
    one of a tensor call."""
    x = np.ones((1, 1 << 14), np.float32)
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], name="node"), helper.make_node("Neg", ["x"], ["z"])]
    model = model_of(nodes, {"x": x}, ["y", "z"], {"w": np.ones((1 << 14, 16), np.float32)})
    with pytest.raises(UsageError, match="node"):
        compiled(model, [{"x": x}], Options(precompiles=Precompiles.NONE))
    assert compiled(model, [{"x": x}]).graph.tensor_operations


@pytest.mark.parametrize("columns", [1 << 13, 1 << 50], ids=["activations", "absurd"])
def test_model_too_large_for_memory(columns: int) -> None:
    """Known from the shapes, before anything is computed."""
    constant = {"shape": np.array([1 << 14, columns])}
    with pytest.raises(UsageError, match=r"tensor 'y0' has shape \(16384, .*memory"):
        import_model(single("Expand", {"x": np.zeros((1, 1), np.float32)}, constant))


def test_all_activations_together_too_large_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zkvm.ml.compiler.MAX_WORDS", 15)
    with pytest.raises(UsageError, match=r"needs \d+ words for activations and \d+ for weights"):
        compiled(gemm(), [{"x": normal(1, 4)}])


def test_too_many_parameters(tmp_path: Path) -> None:
    """Refused by what the file says of them, before the data beside it are read."""
    path = tmp_path / "model.onnx"
    onnx.save(gemm(), str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    model = onnx.load(str(path), load_external_data=False)
    model.graph.initializer[0].dims[0] = 1 << 40
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UsageError, match="3298534883328 parameters"):
        load_model(path)


def test_huge_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # takes no space
    with pytest.raises(UsageError, match="models of at most"):
        load_model(path)


def test_first_model_of_a_process(tmp_path: Path) -> None:
    """Operators that the compiler rewrites are known before any model was imported: ONNX's own definition of them is not taken."""
    path = tmp_path / "model.onnx"
    onnx.save(single("PRelu", {"x": normal(1, 3, 4)}, {"slope": normal(3, 1, seed=1)}), str(path))
    code = "import sys, onnx; from zkvm.ml.importer import import_model; model = import_model(onnx.load(sys.argv[1]))"
    code += "; print(*(node.operator for node in model.nodes))"
    result = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert result.stdout.splitlines()[-1:] == ["Min Mul Less Relu Where"], result.stderr


def test_shape_and_constants_are_folded() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "one"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "zero"], ["m"]),
        helper.make_node("Concat", ["m", "minus"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    constants = {"one": np.array(1), "zero": np.array([0]), "minus": np.array([-1])}
    x = normal(2, 3)
    made = check(model_of(nodes, {"x": x}, ["y"], constants), [{"x": x}])
    assert made.model.outputs[0].shape == (3, 2)


def test_calibration_needs_samples() -> None:
    with pytest.raises(UsageError, match="at least one sample"):
        compile_imported(import_model(gemm()), [], Options(precision=Precision()))


def scaled_convolution(shape: tuple[int, ...]) -> ImportedModel:
    """Six channels of 6 x 6, times a constant, compared with the file's model."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Mul", ["c", "k"], ["y"])]
    x = normal(1, 4, 8, 8)
    model = model_of(nodes, {"x": x}, ["y"], {"w": normal(6, 4, 3, 3, seed=1), "k": normal(*shape, seed=2)})
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 6, 6, 6]))
    return same(model, [{"x": x}])


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_factors_of_rows_and_columns_behind_a_convolution(shape: tuple[int, ...]) -> None:
    """Of as many as there are channels: the simplifier takes them for factors of channels (findings/conv-mul-onnxslim.sh)."""
    assert [node.operator for node in scaled_convolution(shape).nodes] == ["Conv", "Mul"]


def test_factors_of_channels_behind_a_convolution() -> None:
    """What the simplifier does right is taken from it."""
    assert [node.operator for node in scaled_convolution((6, 1, 1)).nodes] == ["Conv"]


@pytest.mark.parametrize("least", [1, 2])
def test_factors_beside_what_has_no_answer_to_zeros(least: int) -> None:
    """What the simplifier makes of a model is not taken unseen: neither where only zeros have no answer, nor where ones have none."""
    x, rows = normal(1, 4, 6, 6), np.full(6, least)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"], name="conv", pads=[1] * 4), helper.make_node("Mul", ["h", "k"], ["y"], name="scale"),
        helper.make_node("Sub", ["rows", "one"], ["less"], name="less"),
        helper.make_node("Mod", ["seven", "rows" if least == 1 else "less"], ["z"], name="rest"),
    ]  # fmt: skip
    constants = {"w": normal(6, 4, 3, 3, seed=1), "k": normal(6, seed=2), "one": np.array([1]), "seven": np.array([7])}
    model = model_of(nodes, {"x": x, "rows": rows}, ["y", "z"], constants)
    for output, kind in zip(model.graph.output, (onnx.TensorProto.FLOAT, onnx.TensorProto.INT64), strict=True):
        output.type.tensor_type.elem_type = kind
    imported = import_model(model)
    assert [node.operator for node in imported.nodes if node.operator in ("Conv", "Mul")] == ["Conv", "Mul"]
