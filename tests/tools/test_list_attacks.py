"""The page of attacks is complete, and the check of it notices what is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("list_attacks", ROOT / "tools" / "list_attacks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = load_tool()
PAGE = TOOL.PAGE.read_text()


def test_the_page_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    assert TOOL.run(["--check"]) == 0
    assert capsys.readouterr().out == ""
    assert set(TOOL.rows(PAGE)) == set(TOOL.CLASSES)


def test_listing(capsys: pytest.CaptureFixture[str]) -> None:
    assert TOOL.run([]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(TOOL.CLASSES)
    assert TOOL.run(["--nonsense"]) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("| A3 |", "| A99 |", "class A3 has no row"),
        ("Does not apply: receipts make", "receipts make", "class E7 names no test"),
        ("test_a1_one_of_two_equal_operands", "test_gone", "::test_gone does not exist"),
        ("`tests/soundness/test_forgeries.py::test_a8_write_to_x0`", "", "test_a8_write_to_x0 is not on the page"),
    ],
)
def test_what_is_missing_is_noticed(old: str, new: str, message: str) -> None:
    assert old in PAGE
    assert any(message in line for line in TOOL.problems(PAGE.replace(old, new)))
