"""What the project's own files say of each other: version, changelog, targets, and that continuous integration runs them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import zkvm

ROOT = Path(__file__).resolve().parent.parent
CONTRIBUTING = (ROOT / "docs" / "contributing.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def test_the_version_stands_in_one_place() -> None:
    """The installed record is compared where it is fresh, in `make wheel`: an editable one is as old as its installation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "zkvm.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", zkvm.__version__)


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "docs" / "changelog.md").read_text(), re.MULTILINE)
    assert re.fullmatch(rf"\[{re.escape(zkvm.__version__)}\] - (unreleased|\d{{4}}-\d\d-\d\d)", headings[0])


def test_continuous_integration_ends_with_the_tests() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert re.findall(r"^make ([\w-]+)", script, re.MULTILINE) == ["lint", "wheel", "test"]
    assert script.rstrip().splitlines()[-1].startswith("make test ")


def test_the_hook_is_a_target() -> None:
    entry = re.search(r"entry: make ([\w-]+)$", (ROOT / ".pre-commit-config.yaml").read_text(), re.MULTILINE)
    assert entry is not None
    assert f"\n{entry[1]}: setup\n" in MAKEFILE


def test_every_target_is_described() -> None:
    targets = set(re.findall(r"^([\w-]+): setup$", MAKEFILE, re.MULTILINE))
    assert targets == set(re.findall(r"^\| `make ([\w-]+)` \|", CONTRIBUTING, re.MULTILINE))
    assert targets == set(re.findall(r'^\t@echo "make ([\w-]+) ', MAKEFILE, re.MULTILINE))
