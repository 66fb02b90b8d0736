"""``zkvm doctor``: what it shows, and what it finds wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import zkvm
from tests.cli.running import invoke
from tests.test_layers import run_without_extras
from zkvm.cli import doctor
from zkvm.session import memory
from zkvm.stark.kernels.library import library_path

WITHOUT_EXTRAS = """
from importlib import metadata
found = metadata.version
def version(name):
    if name not in ("numpy", "pyelftools", "rich", "typer"):
        raise metadata.PackageNotFoundError(name)
    return found(name)
metadata.version = version
sys.argv = ["zkvm", "doctor", "--json"]
from zkvm.cli.main import main
main()
"""


def test_this_machine_is_well() -> None:
    outcome = invoke("doctor", "--json")
    view = outcome.json
    assert (outcome.code, view["problems"], view["zkvm"]) == (0, [], zkvm.__version__)
    assert view["extras"] == dict.fromkeys(("prove", "guest", "ml", "cluster", "serve"), True)
    proving = {"numpy", "pyelftools", "rich", "typer", "numba", "ziglang", "onnx", "onnxruntime", "onnxslim"}
    assert set(view["packages"]) == proving | {"dask", "distributed", "prometheus-client", "starlette", "uvicorn"}
    assert view["processor"]["vector_bits"] in (256, 512)
    assert view["kernels"]["file"] == str(library_path())
    assert 0 < view["memory"]["available_bytes"] <= view["memory"]["total_bytes"]
    assert view["compiler"] == view["packages"]["ziglang"]


def test_readable_form() -> None:
    lines = invoke("doctor").out.splitlines()
    assert lines[0].startswith(f"zkvm            {zkvm.__version__}, Python ")
    assert lines[-1] == "problems        none"


def test_without_extras() -> None:
    result = run_without_extras(WITHOUT_EXTRAS, base=True)
    assert result.returncode == 0, result.stderr
    assert '"extras": {"prove": false, "guest": false, "ml": false, "cluster": false, "serve": false}' in result.stdout
    assert '"kernels": null' in result.stdout
    assert '"target": null' in result.stdout


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("2.4.6", ">=2.0,<3", True), ("3.0.0", ">=2.0,<3", False), ("1.26.4", "<3,>=2.0", False), ("0.17.1", "==0.17.1", True),
        ("0.17.2", "==0.17.1", False), ("0.70", ">=0.61,<0.70", False), ("0.69.9", ">=0.61,<0.70", True), ("2", ">=2.0", True),
        ("0.70.0rc1", ">=0.61,<0.70", False), ("5", "", True),
    ],
)  # fmt: skip
def test_ranges(version: str, wanted: str, fits: bool) -> None:
    assert doctor.in_range(version, wanted) is fits


def test_what_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 20)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.1" if name == "numba" else "99" if name == "ziglang" else "1.0")
    monkeypatch.setattr(doctor, "compiler_version", lambda: None)
    outcome = invoke("doctor", "--json")
    assert outcome.code == 1
    problems: list[Any] = outcome.json["problems"]
    for text in ("numba 0.1 is installed", "ziglang 99", "set NUMBA_CACHE_DIR", "1.0 MiB of memory", "does not start"):
        assert any(text in problem for problem in problems), text


def test_kernels_that_are_damaged_or_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    found = doctor.kernel_cache()
    assert found is not None
    assert (found["bytes"], found["ready"], found["state"], found["writable"]) == (0, False, "compiled at the next start", True)
    library_path().parent.mkdir()
    library_path().write_bytes(b"damaged")
    found = doctor.kernel_cache()
    assert found is not None
    assert found["state"].startswith("damaged")
