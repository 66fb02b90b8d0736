"""The page of the applications: every program has its row, its section and its figures, and is told from beginning to end."""

from __future__ import annotations

import re

from bench.applications import COLUMNS, NAMES
from tests.host.test_stories import PROGRAMS
from tests.test_layers import ROOT

PAGE = (ROOT / "docs" / "applications.md").read_text()
SMALLER = {"digits", "sudoku"} | {path.stem for path in (ROOT / "host").glob("python_*.py")}
"""Programs that are only a receipt; guests, guests in Python and command line are tested with them."""
SAYS = ("Proven", "Hidden", "Not proven", "Refused")


def test_every_program_is_on_the_page() -> None:
    programs = {path.stem for path in (ROOT / "host").glob("*.py")} - SMALLER
    assert programs == PROGRAMS.keys() == set(NAMES)
    rows = re.findall(r"^\| \[`(\w+)\.py`\]\(#([\w-]+)\) \|", PAGE, re.MULTILINE)
    assert [name for name, _ in rows] == list(NAMES)
    sections = dict(re.findall(r"^`python host/(\w+)\.py[^`]*`(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL))
    assert sections.keys() == programs
    for name, text in sections.items():
        assert all(f"**{word}**" in text for word in SAYS), name


def test_the_figures_are_of_all_programs() -> None:
    table = PAGE.split(COLUMNS)[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(NAMES)
