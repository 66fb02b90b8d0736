"""Journals of compiled models mean in JavaScript what they mean in Python, and are refused for the same reason."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.web.judge import Judge, needs_node
from zkvm.errors import UsageError, VerificationError
from zkvm.ml.interface import ModelInterface, check_weights

pytestmark = needs_node

DIGEST = "5a" * 32


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    started = Judge()
    yield started
    started.close()


def tensor(name: str = "y", **changes: Any) -> dict[str, Any]:
    return {"name": name, "shape": [1, 3], "kind": "real", "scale": 0.1, "lo": -(2**31), "hi": 2**31 - 1} | changes


def metadata(**changes: Any) -> dict[str, Any]:
    plain = {
        "format": 6, "inputs": [tensor("x", shape=[2], scale=1 / 3, lo=-5, hi=90)], "outputs": [tensor()], "weights": "public",
        "input_mode": "none", "output_mode": "full", "saturation": "refuse", "card": {"title": "a model"}, "weights_digest": "",
    }  # fmt: skip
    return plain | changes


LABELS = ["setosa", 'a "quoted" one', "back\\slash", "line\nbreak\t\u007f\u0001", "\u00e4\u2028\U0001f600", "\ud800", ""]
LABELLED = tensor("label", kind="integer", scale=1.0, shape=[1], labels=LABELS)
MODELS = {
    "real": metadata(),
    "kinds": metadata(
        outputs=[tensor(), tensor("i", kind="integer", scale=1, shape=[2, 2]), tensor("b", kind="boolean", scale=1.0, shape=[])]
    ),
    "floats": metadata(outputs=[tensor(kind="float", scale=1.0)]),
    "names": metadata(outputs=[LABELLED, tensor("scores\u00fc", scale=1e-300)]),
    "top1": metadata(output_mode="top1", outputs=[LABELLED]),
    "top1 without names": metadata(output_mode="top1", outputs=[tensor()]),
    "digest": metadata(output_mode="digest", input_mode="digest", saturation="flag"),
    "private": metadata(weights="private", weights_digest=DIGEST, input_mode="digest", outputs=[tensor(scale=None), tensor("z")]),
    "flag": metadata(saturation="flag", outputs=[tensor("big", shape=[40, 3], scale=2.0**-40)]),
    "committed layout": metadata(
        input_mode="digest",
        inputs=[
            tensor("x", shape=[4, 6], lo=0, hi=65535, layout={"channels": 4, "positions": 6, "channels_first": True}),
            tensor("y", shape=[7], lo=-32768, hi=32767, layout={"channels": 7, "positions": 1, "channels_first": False}),
            tensor("z", shape=[7], lo=-32768, hi=32767),
        ],
    ),
    "layout": metadata(inputs=[tensor("x", shape=[4, 6], lo=0, hi=65535, layout={"channels": 4, "positions": 6, "channels_first": True})]),
}


def read(path: Path, described: dict[str, Any]) -> tuple[ModelInterface, str]:
    text = json.dumps(described)
    path.write_text(text)
    return ModelInterface.read(path), text


def journals(model: ModelInterface) -> Iterator[bytes]:
    """An honest one, then wrong ones."""
    rng = random.Random(1)
    start = model.digest + (bytes.fromhex(DIGEST) if model.weights == "private" else b"")
    start += bytes(32) if model.input_mode == "digest" else b""
    flag = (1).to_bytes(4, "little") if model.saturation == "flag" else b""
    scales = np.full(sum(own.scale is None for own in model.outputs), 0.25, "<f8").tobytes()
    size = {"full": 4 * sum(own.size for own in model.outputs), "top1": 4, "digest": 32}[model.output_mode]
    scales = scales if model.output_mode == "full" else b""
    for body in (bytes(size), rng.randbytes(size), b"\x01\x00\x00\x00" * (size // 4), b"\xff" * size, b"\x00\x00\xc0\x7f" * (size // 4)):
        yield start + flag + scales + body
        yield start + flag + scales + body + b"\0"
        yield start + flag + scales + body[:-1]
        yield bytes([start[0] ^ 1]) + start[1:] + flag + scales + body
        yield start[:32] + bytes(len(start) - 32) + flag + scales + body
        yield start + flag[:1] * 4 + scales + body
    for scale in (0.0, -1.0, math.inf, math.nan):
        yield start + flag + np.full(len(scales) // 8, scale, "<f8").tobytes() + bytes(size)
    yield b""
    yield start[:40]


def shown(output: Any) -> dict[str, Any]:
    """An output of Python as JavaScript shows it."""
    tensors = {
        name: {"shape": list(array.shape), "values": [_value(value) for value in array.reshape(-1).tolist()]}
        for name, array in output.tensors.items()
    }
    return {
        "tensors": tensors, "label": output.label, "labelName": output.label_name, "digests": output.digests or {},
        "saturated": output.saturated,
    }  # fmt: skip


def _value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def decoded(model: ModelInterface, journal: bytes, published: str | None = None) -> dict[str, Any]:
    """What Python says, in the words of JavaScript."""
    try:
        if published is not None:
            check_weights(journal, published)
        return {"digest": model.digest.hex(), "output": shown(model.decode(journal))}
    except VerificationError as error:
        return {"accepted": False, "reason": error.reason, "detail": error.detail.partition("scale")[0]}
    except UsageError:
        return {"usage": True}


def answered(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer of JavaScript; numbers in messages about scales are written in other ways."""
    if "usage" in answer:
        return {"usage": True}
    return answer | ({"detail": answer["detail"].partition("scale")[0]} if "detail" in answer else {})


@pytest.mark.parametrize("name", MODELS)
def test_journals(judge: Judge, tmp_path: Path, name: str) -> None:
    model, text = read(tmp_path / "model.json", MODELS[name])
    answers = [(decoded(model, journal), answered(judge.journal(text, journal))) for journal in journals(model)]
    assert [ours for ours, _ in answers] == [theirs for _, theirs in answers]
    assert any("output" in ours for ours, _ in answers)
    assert any("reason" in ours for ours, _ in answers)


@pytest.mark.parametrize("published", [DIGEST, DIGEST.upper(), "00" * 32, "5a", "zz" * 32, ""])
def test_published_digests_of_weights(judge: Judge, tmp_path: Path, published: str) -> None:
    model, text = read(tmp_path / "model.json", MODELS["private"])
    for journal in list(journals(model))[:5]:
        assert answered(judge.journal(text, journal, published)) == decoded(model, journal, published)


WRONG_LAYOUTS = [
    {"channels": 4, "positions": 5, "channels_first": True}, {"channels": 4, "positions": 6, "channels_first": 1},
    {"channels": 4.5, "positions": 6, "channels_first": True}, {"channels": "4", "positions": 6, "channels_first": True},
    {"channels": -4, "positions": -6, "channels_first": True}, {"channels": 4, "positions": 6}, [], None,
]  # fmt: skip
BROKEN: list[dict[str, Any]] = [
    {"format": 4}, {"format": None}, {"weights": "secret"}, {"input_mode": "full"}, {"output_mode": ""}, {"saturation": None}, {"card": 7},
    {"outputs": [tensor(), tensor()]}, {"outputs": [tensor(shape=[0])]}, {"outputs": [tensor(shape=[2**16, 2**16])]},
    {"outputs": [tensor(kind="double")]}, {"outputs": [tensor(scale=0)]}, {"outputs": [tensor(scale=-1.0)]},
    {"outputs": [tensor(scale=None)]}, {"outputs": [tensor(scale="x")]}, {"outputs": [tensor(labels=["a"])]},
    {"outputs": [tensor(kind="integer", scale=1, labels="ab")]},
    {"outputs": [tensor(kind="integer", scale=1, labels=[7])]}, {"inputs": [tensor(kind="integer", scale=1, labels=["a"])]},
    {"weights": "private", "weights_digest": "12"}, {"weights": "private", "weights_digest": None},
    {"inputs": [tensor("x", layout={"channels": 1, "positions": 1, "channels_first": True})]}, {"inputs": [7]}, {"outputs": None},
    *({"private_rows": rows} for rows in ([1], [1, 2, 3], [-1, 2], [0.5, 1], "12", None)),
    *({"inputs": [tensor("x", shape=[4, 6], lo=0, hi=65535, layout=wrong)]} for wrong in WRONG_LAYOUTS),
]  # fmt: skip


@pytest.mark.parametrize("change", BROKEN, ids=lambda change: json.dumps(change)[:60])
def test_files_that_no_compilation_writes(judge: Judge, tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        read(tmp_path / "model.json", metadata(**change))
    assert "usage" in judge.journal(json.dumps(metadata(**change)), b"")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"text"', "{}"])
def test_texts_that_are_no_model(judge: Judge, text: str) -> None:
    assert "usage" in judge.journal(text, b"")
