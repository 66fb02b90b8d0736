"""The tables on the page are current and say what the calculation says; the entry for the public calculator is current."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import security_table, soundcalc
from zkvm.stark.protocol.params import PARAMETERS

CASES = [(entry, log) for entry in PARAMETERS for log in soundcalc.HEIGHTS]


def test_the_tables_are_current() -> None:
    assert security_table.run(["--check"]) == 0


@pytest.mark.parametrize("old", ["| fast, 100 |", "all queries miss", "(below the claim)", " / 101 |"])
def test_a_stale_table_is_noticed(old: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "security.md"
    text = security_table.PAGE.read_text()
    assert old in text
    page.write_text(text.replace(old, "| lucky |"))
    monkeypatch.setattr(security_table, "PAGE", page)
    assert security_table.run(["--check"]) == 1
    assert "not current" in capsys.readouterr().out
    assert security_table.run([]) == 0
    assert page.read_text() == text
    assert security_table.run(["--nonsense"]) == 2


def cells(table: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:] if line.startswith("|")]


def test_every_set_is_in_the_table_and_reaches_its_claim() -> None:
    for (entry, log), row in zip(CASES, cells(security_table.terms_table()), strict=True):
        assert row[:4] == [f"{entry.name}, {entry.security_bits}", str(entry.blowup), str(entry.queries), f"2^{log}"]
        assert float(row[-1].strip("*")) >= entry.security_bits


def test_a_claim_that_a_regime_does_not_reach_is_named() -> None:
    for (entry, _), row in zip(CASES, cells(security_table.regimes_table()), strict=True):
        for cell in (row[2], row[3], row[5]):
            assert ("below the claim" in cell) == (float(cell.split()[0]) < entry.security_bits)
    assert sum("below" in row[3] for row in cells(security_table.regimes_table())) == 13
    assert not any("below" in row[2] for row in cells(security_table.regimes_table()))


def test_the_entry_for_the_calculator_is_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert soundcalc.run(["--check"]) == 0
    assert soundcalc.run(["--nonsense"]) == 2
    stale = tmp_path / "soundcalc.toml"
    monkeypatch.setattr(soundcalc, "ENTRY", stale)
    assert soundcalc.run(["--check"]) == 1
    stale.write_text(soundcalc.entry().replace("num_queries = 164", "num_queries = 165"))
    assert soundcalc.run(["--check"]) == 1
    assert soundcalc.run([]) == 0
    assert soundcalc.run(["--check"]) == 0
