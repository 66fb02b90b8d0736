"""Data for models: every form that is taken gives the same numbers, and what would have to be reinterpreted is refused by name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.ml.models import compiled, normal, single
from zkvm.errors import InputError, UsageError
from zkvm.ml.onnx_model import Port
from zkvm.ml.samples import MAX_FILE_BYTES, Data, load_samples, one_sample, samples_of
from zkvm.ml.tensor import Tensor

IMAGE = Port("x", (1, 3, 2, 2), np.dtype(np.float32))
ROW = Port("x", (1, 4), np.dtype(np.float32))
PLAIN = Port("x", (2, 3), np.dtype(np.float32))
SCALAR = Port("x", (), np.dtype(np.float32))
SINGLE = Port("x", (1,), np.dtype(np.float32))
PAIR = (Port("a", (1, 2), np.dtype(np.float32)), Port("b", (3,), np.dtype(np.int64)))


def row(dtype: Any) -> Port:
    return Port("x", (1, 4), np.dtype(dtype))


def numbers(*shape: int) -> np.ndarray:
    return np.arange(1, 1 + int(np.prod(shape)), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("port", "shape", "count"),
    [
        (IMAGE, (1, 3, 2, 2), 1), (IMAGE, (3, 2, 2), 1), (IMAGE, (12,), 1), (IMAGE, (5, 3, 2, 2), 5), (IMAGE, (5, 1, 3, 2, 2), 5),
        (ROW, (4,), 1), (ROW, (4, 4), 4), (ROW, (1, 1, 4), 1), (PLAIN, (2, 3), 1), (PLAIN, (6,), 1), (PLAIN, (4, 2, 3), 4),
        (SCALAR, (), 1), (SCALAR, (5,), 5), (SINGLE, (1,), 1), (SINGLE, (5,), 5), (SINGLE, (5, 1), 5), (SINGLE, (), 1),
    ],
)  # fmt: skip
def test_arrays_that_are_taken(tmp_path: Path, port: Port, shape: tuple[int, ...], count: int) -> None:
    """In order, nothing left out, from a file, from Python, by name, and as lists."""
    array = numbers(*shape)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", x=array, y=array)
    (tmp_path / "x.json").write_text(json.dumps({"input_data": {"x": array.tolist()}}))
    forms = [load_samples(tmp_path / name, [port]) for name in ("x.npy", "x.npz", "x.json")]
    forms += [samples_of(data, [port]) for data in (array, {"x": array}, [array], {"other": array}, [{"x": array}])]
    for samples in forms:
        assert len(samples) == count
        assert {sample["x"].shape for sample in samples} == {port.shape}
        np.testing.assert_array_equal(np.concatenate([sample["x"].reshape(-1) for sample in samples]), array.reshape(-1))


@pytest.mark.parametrize(
    ("port", "shape"),
    [
        (IMAGE, (1, 2, 2, 3)), (IMAGE, (2, 2, 3)), (IMAGE, (5, 2, 2, 3)), (IMAGE, (1, 12)), (IMAGE, (24,)), (IMAGE, (2, 12)),
        (IMAGE, (1, 1, 1, 3, 2, 2)), (ROW, (2, 5)), (ROW, (8,)), (ROW, (4, 1)), (PLAIN, (3, 2)), (PLAIN, (2, 6)), (PLAIN, (1, 3)),
        (ROW, (0, 4)), (ROW, (0,)), (SCALAR, (2, 2)),
    ],
)  # fmt: skip
def test_arrays_of_another_shape_are_refused(tmp_path: Path, port: Port, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.float32))
    said = re.escape(f"an array of shape {shape}: {int(np.prod(shape))} numbers for input 'x', whose shape {port.shape} takes")
    with pytest.raises(InputError, match=said):
        load_samples(tmp_path / "x.npy", [port])


def test_what_is_said_of_another_layout() -> None:
    with pytest.raises(InputError, match=r"several of shape \(N, 3, 2, 2\); the axes are in another order: transpose them"):
        samples_of(numbers(1, 2, 2, 3), [IMAGE])
    with pytest.raises(InputError, match=r"several of shape \(N, 3, 2, 2\)$"):
        samples_of(numbers(1, 2, 2, 2), [IMAGE])


FLAT = [1, 2, 3, 4]
TWO = [FLAT, [5, 6, 7, 8]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"input_data": [FLAT]}, [FLAT]),
        ({"input_data": FLAT}, [FLAT]),
        ({"input_data": [[FLAT]]}, [FLAT]),
        ({"input_data": [[[FLAT]]]}, [FLAT]),
        ({"input_data": [FLAT], "input_shapes": [[4]], "output_data": [["?"]]}, [FLAT]),
        ({"input_data": [FLAT], "input_shapes": [[7, 7], [9]]}, [FLAT]),
        ({"input_data": [[*TWO[0], *TWO[1]]]}, TWO),
        ({"input_data": TWO}, TWO),
        ({"input_data": [TWO]}, TWO),
        ({"input_data": [[[row] for row in TWO]]}, TWO),
        ({"input_data": {"x": TWO}}, TWO),
        ({"input_data": [{"x": row} for row in TWO]}, TWO),
        ({"x": TWO}, TWO),
        (TWO, TWO),
        ({"input_data": [[True, False, 1, 0.5]]}, [[1, 0, 1, 0.5]]),
        ({"input_data": [[2**70, -1, 0, 1e-3]]}, [[2.0**70, -1, 0, 1e-3]]),
    ],
    ids=json.dumps,
)
def test_json_in_all_its_forms(tmp_path: Path, content: Any, expected: list[list[float]]) -> None:
    (tmp_path / "input.json").write_text(json.dumps(content))
    samples = load_samples(tmp_path / "input.json", [ROW])
    np.testing.assert_array_equal([sample["x"][0] for sample in samples], np.array(expected, np.float32))


@pytest.mark.parametrize(
    "content",
    [
        {"input_data": [[1, 2], [7, 8, 9]]},
        {"input_data": {"b": [7, 8, 9], "a": [[1, 2]], "not used": ["?"]}},
        {"a": [1, 2], "b": [7, 8, 9]},
        [{"a": [1, 2], "b": [7, 8, 9]}],
    ],
    ids=json.dumps,
)
def test_json_for_two_inputs(tmp_path: Path, content: Any) -> None:
    (tmp_path / "input.json").write_text(json.dumps(content))
    (sample,) = load_samples(tmp_path / "input.json", PAIR)
    assert (sample["a"].tolist(), sample["b"].tolist()) == ([[1, 2]], [7, 8, 9])
    assert [str(sample[name].dtype) for name in "ab"] == ["float32", "int64"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("7", "is no list"),
        ('{"data": []}', r'no "input_data", and no arrays by the names of the inputs \(x\)'),
        ('{"input_data": 7}', "is no list"),
        ('{"input_data": []}', "takes 4"),
        ('{"input_data": [[1, 2, 3]]}', "takes 4"),
        ('{"input_data": [[1, 2], [3, 4]]}', r"shape \(2, 2\)"),
        ('{"input_data": [[1, 2, 3, 4], [3, 4]]}', "lists of different lengths"),
        ('{"input_data": [["a", "b", "c", "d"]]}', "not an array of numbers: it holds texts, such as 'a'"),
        ('{"input_data": [["1", "2", "3", "4"]]}', "it holds texts, such as '1'"),
        ('{"input_data": [[1, 2, 3, null]]}', "it holds None or other objects"),
        ('{"input_data": [["0x01", 2, 3, 4]]}', "it holds texts, such as '0x01'"),
        ('{"input_data": {"y": [1, 2, 3, 4], "z": [1]}}', "no array called 'x'; there are y, z"),
        ('{"input_data": {"rpc": "http://localhost", "calls": []}}', "no array called 'x'"),
        ('{"input_data": [[1e300, 2, 3, 4]]}', r"place \[0, 0\]: 1e\+300 is too large for the input, float32"),
    ],
)
def test_bad_json(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=f"{re.escape(str(path))}: .*{message}"):
        load_samples(path, [ROW])


def test_stated_shapes_with_the_axes_in_another_order(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"input_data": [numbers(12).tolist()], "input_shapes": [[2, 2, 3]]}))
    with pytest.raises(InputError, match="another order of axes"):
        load_samples(path, [IMAGE])
    path.write_text(json.dumps({"input_data": [numbers(12).tolist()], "input_shapes": [[3, 2, 2]]}))
    assert load_samples(path, [IMAGE])[0]["x"].shape == (1, 3, 2, 2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([numbers(2)], "1 arrays for 2 inputs"),
        (numbers(2), r"one array for 2 inputs \(a, b\)"),
        ({"a": numbers(2)}, "no array called 'b'"),
        ([numbers(2, 2), numbers(3)], r"different numbers of samples: \[2, 1\]"),
        ([], "0 arrays for 2 inputs"),
        ({"a": numbers(2), "b": "text"}, "texts, such as 'text'"),
        ({"a": numbers(2) * 1j, "b": numbers(3)}, "its type is complex"),
    ],
)
def test_data_for_two_inputs_that_do_not_fit(data: Data, message: str) -> None:
    with pytest.raises(InputError, match=message):
        samples_of(data, PAIR)


def test_one_sample() -> None:
    assert one_sample(numbers(4), [ROW])["x"].shape == (1, 4)
    with pytest.raises(InputError, match="3 samples; one run takes one"):
        one_sample(numbers(3, 4), [ROW])


@pytest.mark.parametrize(
    ("dtype", "values", "message"),
    [
        (np.uint8, [0, 0.5, 1, 0.25], r"place \[0, 1\]: 0.5 is no integer, and the input takes integers \(uint8\) \(1 more\)"),
        (np.uint8, [0, 300, 1, 2], r"place \[0, 1\]: 300 does not fit the input, uint8: 0 to 255"),
        (np.uint8, [0, 1, 2, -1], r"place \[0, 3\]: -1 does not fit"),
        (np.int8, [0, 1, 128, -128], r"place \[0, 2\]: 128 does not fit the input, int8: -128 to 127"),
        (np.int64, [0, 1, 2, 2**31], r"place \[0, 3\]: 2147483648 does not fit the input, int64: -2147483648 to 2147483647 in a guest"),
        (np.uint32, [0, 1, 2, 2**31], "uint32: 0 to 2147483647"),
        (np.uint64, [0, 1, 2, 2**63], "uint64: 0 to 2147483647 in a guest"),
        (np.int64, [0, 1, 2, 2**70], "does not fit"),
        (np.int32, [0, np.nan, 2, 3], r"place \[0, 1\]: nan is no integer"),
        (np.int32, [0, 1, np.inf, 3], r"place \[0, 2\]: inf is no integer"),
        (np.bool_, [0, 1, 2, 1], r"place \[0, 2\]: 2 is neither true nor false"),
        (np.bool_, [0, 1, 0.5, 1], "0.5 is neither true nor false"),
        (np.float16, [0, 1, 2, 1e6], "is too large for the input, float16"),
    ],
)
def test_numbers_that_the_type_does_not_hold(dtype: Any, values: list[float], message: str) -> None:
    for data in (values, [values], {"x": np.array([values])}):
        with pytest.raises(InputError, match=message):
            samples_of(data, [row(dtype)])


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (np.uint8, np.array([0, 1, 254, 255], np.float64)),
        (np.int8, np.array([-128, 1, 2, 127], np.int64)),
        (np.int64, np.array([-(2**31), 0, 1, 2**31 - 1], np.float64)),
        (np.int32, np.array([0, 1, 2, 3], np.uint64)),
        (np.bool_, np.array([0, 1, 1, 0], np.float32)),
        (np.bool_, np.array([True, False, True, False])),
        (np.float32, np.array([True, False, True, False])),
        (np.float32, np.array([0, 1, 2, 255], np.uint8)),
        (np.float64, np.array([0.1, 1e30, -0.0, 5e-324])),
    ],
)
def test_numbers_that_the_type_holds(dtype: Any, values: np.ndarray) -> None:
    (sample,) = samples_of(values, [row(dtype)])
    assert sample["x"].dtype == dtype
    np.testing.assert_array_equal(sample["x"][0].astype(np.float64), values.astype(np.float64))


def test_the_place_of_a_bad_number_among_samples() -> None:
    values = np.zeros((3, 4))
    values[2, 1] = 0.5
    with pytest.raises(InputError, match=r"input 'x', sample 2, place \[0, 1\]: 0.5"):
        samples_of(values, [row(np.int64)])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinities_are_numbers_for_floats_only(bad: float) -> None:
    values = np.array([[0, 1, bad, 2]])
    of_kind = {kind: Tensor("x", (1, 4), kind, 1.0, -(2**31), 2**31 - 1) for kind in ("float", "real", "integer", "boolean")}
    (sample,) = samples_of(values, [of_kind["float"]])
    np.testing.assert_array_equal(sample["x"], values.astype(np.float32))
    assert len(samples_of(values, [ROW])) == 1, "whether the model takes it is known when it is compiled"
    for kind in ("real", "integer", "boolean"):
        with pytest.raises(InputError, match=r"place \[0, 2\]: -?(nan|inf) "):
            samples_of(values, [of_kind[kind]])


def test_fixed_point_is_not_calibrated_with_a_nan() -> None:
    x = normal(1, 4)
    sample = {"x": np.array([[0, 1, np.nan, 2]], np.float32)}
    with pytest.raises(InputError, match=r"input 'x', place \[0, 2\]: nan is a NaN or an infinity, which this model"):
        compiled(single("Gemm", {"x": x}, {"w": normal(4, 3, seed=1)}), [{"x": x}, sample])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content in (("x.npy", b""), ("x.npy", b"\x93NUMPY"), ("x.npz", b"PK\x03\x04" + bytes(40)), ("x.json", b"\xff")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            load_samples(tmp_path / name, [ROW])
    np.save(tmp_path / "x.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read"):
        load_samples(tmp_path / "x.npy", [ROW])
    with pytest.raises(InputError, match="No such file"):
        load_samples(tmp_path / "absent.npy", [ROW])


def test_huge_data(tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # takes no space
    with pytest.raises(InputError, match="files of at most"):
        load_samples(tmp_path / "x.npy", [ROW])
