"""Every ingredient on the page has tests, and they exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "zero-knowledge.md").read_text()


def test_every_ingredient_has_tests_that_exist() -> None:
    section = PAGE.split("## Ingredient by ingredient")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 10
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, row
        for path, function in named:
            assert f"\ndef {function}(" in (ROOT / path).read_text(), f"{path}::{function}"


def test_the_rule_on_the_page_is_that_of_the_parameter_sets() -> None:
    from zkvm.stark.protocol.params import PARAMETERS

    assert "h >= 2 (e + q) + 2" in PAGE
    for chosen in PARAMETERS:
        assert chosen.exempt >= 2 * (3 + chosen.queries) + 2
        assert chosen.chunk_blinding >= chosen.queries + 4
