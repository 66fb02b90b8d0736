"""The table of error terms on the page is current, and says what the calculator says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from zkvm.stark.protocol.params import PARAMETERS

ROOT = Path(__file__).resolve().parents[2]


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("security_table", ROOT / "tools" / "security_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = load_tool()


def test_the_table_is_current() -> None:
    assert TOOL.run(["--check"]) == 0


def test_a_stale_table_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "security.md"
    page.write_text(TOOL.PAGE.read_text().replace("| unique |", "| lucky |").replace("| m = ", "| m > "))
    monkeypatch.setattr(TOOL, "PAGE", page)
    assert TOOL.run(["--check"]) == 1
    assert "not current" in capsys.readouterr().out
    assert TOOL.run([]) == 0
    assert TOOL.run(["--check"]) == 0
    assert TOOL.run(["--nonsense"]) == 2


def test_every_set_is_in_the_table_and_reaches_its_claim() -> None:
    lines = [line for line in TOOL.table().splitlines() if line.startswith("| ") and "**" in line]
    assert len(lines) == len(PARAMETERS) * len(TOOL.HEIGHTS)
    for line, entry in zip(lines, [entry for entry in PARAMETERS for _ in TOOL.HEIGHTS], strict=True):
        assert line.startswith(f"| {entry.name}, {entry.security_bits} |")
        assert float(line.split("**")[1]) >= entry.security_bits
