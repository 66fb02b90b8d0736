"""The search for dead names finds them, by kind, and notices when a kept name needs no keeping."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "dead_code.py"
SETTINGS = {"paths": ["package", "tests"], "ignore_names": ["wanted_by_*"], "ignore_decorators": ["@enters"]}
PACKAGE = """
LIMIT = 3
ALONE = 4

def enters(function):
    return function

@enters
def entered():
    return LIMIT

def tested():
    return 1

def wanted_by_others():
    return 2

class Box:
    def open(self):
        self.seen = True
"""
TEST = "from package.code import tested\ntested()\n"


def load_tool() -> ModuleType:
    specification = importlib.util.spec_from_file_location("dead_code", TOOL)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


tool = load_tool()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in (("package/code.py", PACKAGE), ("tests/test_code.py", TEST)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    return tmp_path


def test_names_that_nothing_or_only_tests_use(tree: Path) -> None:
    found = [line.removeprefix(f"{tree}/package/") for line in tool.complaints(tree, SETTINGS, {})]
    assert found == [
        "code.py:12: function that nothing but tests uses: tested",
        "code.py:18: unused class: Box",
        "code.py:19: unused method: open",
        "code.py:3: unused variable: ALONE",
    ]


def test_what_is_kept_is_kept_as_long_as_it_must_be(tree: Path) -> None:
    kept = dict.fromkeys(("ALONE", "tested", "Box", "open"), "a reason")
    assert list(tool.complaints(tree, SETTINGS, kept)) == []
    with (tree / "package" / "code.py").open("a") as file:
        file.write("print(ALONE)\n")
    assert list(tool.complaints(tree, SETTINGS, kept)) == ["ALONE is used, or gone: take it out of the list of kept names"]


def test_every_kept_name_has_a_reason() -> None:
    assert all(len(reason.split()) > 2 for reason in tool.KEPT.values())
