"""The page that verifies receipts: its file is current, and it does in a real browser what it should; also with a real model."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from tests.cli.running import invoke
from tests.ml.models import compiled, model_of, normal
from tests.web.judge import PACKAGE, ROOT, needs_node, node
from tools import web_page
from zkvm import api
from zkvm.ml.compiler import Options, Privacy

PAGE = ROOT / "web" / "page"
SOURCES = sorted([*(PAGE / "src").iterdir(), *(PAGE / "support").iterdir(), *(PAGE / "test").iterdir()])
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
needs_browser = pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason=f"needs one of {', '.join(BROWSERS)}")


def test_the_page_is_current() -> None:
    result = subprocess.run([sys.executable, "tools/web_page.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_page_names_no_other_place() -> None:
    """Nothing is loaded: the only address is that of a namespace."""
    text = (PAGE / "verify.html").read_text()
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in text
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|sendBeacon|EventSource)\b", text)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_sources(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 400
    if path.suffix == ".js":
        assert [number for number, line in enumerate(lines, 1) if len(line) > 140] == []


@pytest.mark.parametrize(
    "source",
    [
        "export default 1;\n",
        'import a from "./other.js";\n',
        'import { absent } from "./other.js";\n',
        "export let a = 1;\n",
        'const a = "</script>";\n',
    ],
)
def test_what_cannot_be_joined_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.setattr(web_page, "ROOT", tmp_path)
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "other.js").write_text("export const here = 1;\n")
    (tmp_path / "web" / "main.js").write_text(source)
    with pytest.raises(ValueError, match=r"main\.js"):
        web_page.bundled(tmp_path / "web" / "main.js")


def run_page_tests(**environment: str) -> str:
    """Output of the page's own tests."""
    command = [str(node()), "--test", "--test-reporter=tap", "test/"]
    own = os.environ | environment
    result = subprocess.run(command, cwd=PAGE, capture_output=True, text=True, check=False, timeout=600, env=own)
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr
    return result.stdout


@needs_node
@needs_browser
@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
def test_in_a_browser(tmp_path: Path, private: bool) -> None:
    """All states of the page; with the receipt of a compiled model, of which the command says the same as ours. One run is in segments."""
    files = prove_model(tmp_path, private)
    arguments = [files["receipt"], "--image-id", files["imageId"], "--model", files["model"], "--json"]
    command = [str(node()), str(PACKAGE / "bin" / "zkvm-verify.js"), *arguments]
    theirs = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    ours = invoke("verify", *arguments).json
    for view in (ours, theirs):
        view.pop("seconds")
    assert theirs == ours
    values = [f"{value:.7g}" for value in ours["outputs"][0]["values"]]
    output = run_page_tests(PAGE_MODEL=json.dumps(files | {"expected": ["scores", *values]}))
    assert "# skipped 0" in output


def prove_model(folder: Path, private: bool) -> dict[str, Any]:
    """Files of a small model and a proof of its run."""
    x = normal(1, 4)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["scores"], name="scores")]
    options = Options(privacy=Privacy(private_weights=private, saturate=True))
    made = compiled(model_of(nodes, {"x": x}, ["scores"], {"w": normal(4, 3, seed=1)}), [{"x": x}], options)
    made.save(folder / "model")
    integers, _ = made.model.quantize([x])
    cycles = 600 if private else None
    info = api.prove(made.model.elf, made.model.stdin(integers), params="compact", security=100, segment_cycles=cycles)
    assert (info.receipt.segments > 1) == private
    info.receipt.save(folder / "model.receipt")
    return {"receipt": str(folder / "model.receipt"), "model": str(folder / "model" / "model.json"), "imageId": info.image_id}
