"""Standard input in place of a file (``-``), ``0x`` before image IDs, and the version."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import zkvm
from tests.cli.running import invoke
from tests.receipts import ECHO, TEXT, echo_receipt
from zkvm.cli import model
from zkvm.errors import InputError, UsageError
from zkvm.ml.samples import read_samples
from zkvm.ml.tensor import Tensor
from zkvm.verifier.receipt import parse_image_id

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = zkvm.compute_image_id(ECHO)


def piped(data: bytes, *arguments: str | Path, module: str = "zkvm") -> subprocess.CompletedProcess[bytes]:
    """A command whose standard input is these bytes."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, input=data, capture_output=True, check=False, timeout=300)


def test_the_guests_input_from_standard_input() -> None:
    result = piped(TEXT, "run", ECHO, "--execute-only", "--json", "--input", "-")
    assert json.loads(result.stdout)["journal"] == TEXT.hex()


@pytest.mark.parametrize("module", ["zkvm", "zkvm.verifier"])
def test_a_receipt_from_standard_input(module: str) -> None:
    command = ["verify"] if module == "zkvm" else []
    data = echo_receipt().to_bytes()
    good = piped(data, *command, "-", "--image-id", f"0x{IDENTITY}", "--json", module=module)
    assert (good.returncode, json.loads(good.stdout)["image_id"]) == (0, IDENTITY)
    assert piped(data[:-1], *command, "-", "--image-id", IDENTITY, module=module).returncode == 1


def test_inspect_from_standard_input() -> None:
    view = json.loads(piped(echo_receipt().to_bytes(), "inspect", "-", "--json").stdout)
    assert (view["kind"], view["image_id"]) == ("receipt", IDENTITY)
    refused = piped(b"neither", "inspect", "-")
    assert refused.returncode == 3
    assert b"standard input: not a receipt" in refused.stderr


PORT = Tensor("x", (1, 3), "real", 1.0, -100, 100)
VALUES = [[1.0, 2.0, 3.0]]


def archived(save: str) -> bytes:
    stream = io.BytesIO()
    array = np.array(VALUES, np.float32)
    np.savez(stream, x=array) if save == "npz" else np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    "data", [archived("npy"), archived("npz"), json.dumps({"input_data": VALUES}).encode()], ids=["npy", "npz", "json"]
)
def test_the_content_tells_the_kind_of_samples(data: bytes) -> None:
    (sample,) = read_samples(data, [PORT], "standard input")
    assert sample["x"].tolist() == VALUES
    with pytest.raises(InputError, match="standard input: cannot be read"):
        read_samples(data[: len(data) // 2], [PORT], "standard input")


def test_samples_of_a_model_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, archived("npy"))
    os.close(writing)
    monkeypatch.setattr(model, "source", lambda path: reading)
    (sample,) = model.samples_in(Path("-"), [PORT])
    os.close(reading)
    assert sample["x"].tolist() == VALUES


def test_a_file_called_otherwise_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(archived("npy"))
    (sample,) = model.samples_in(tmp_path / "x.npy", [PORT])
    assert sample["x"].tolist() == VALUES


def test_image_ids_may_begin_with_0x() -> None:
    assert parse_image_id("0x" + IDENTITY) == parse_image_id(IDENTITY) == bytes.fromhex(IDENTITY)
    echo_receipt().verify("0x" + IDENTITY)
    for bad in ("0x" + IDENTITY[2:], "0X" + IDENTITY, "0x0x" + IDENTITY, "0x"):
        with pytest.raises(UsageError, match="64 hexadecimal digits"):
            parse_image_id(bad)


def test_version() -> None:
    result = piped(b"", "--version")
    assert (result.returncode, result.stdout.decode()) == (0, f"zkvm {zkvm.__version__}\n")
    assert re.fullmatch(r"\d+\.\d+\.\d+", zkvm.__version__)


def test_the_version_needs_no_command() -> None:
    assert invoke("--version").out == f"zkvm {zkvm.__version__}\n"
