"""Generated pages are current, and what the pages refer to exists."""

from __future__ import annotations

import importlib.util
import random
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.tiles import TILES
from tools.air_text import Names, number
from zkvm.riscv.machine import machine
from zkvm.stark.air.chip import Chip
from zkvm.stark.air.expression import ADD, CONST, MAIN, MUL, PRE, SUB, Expr
from zkvm.stark.field.goldilocks import P

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("findings/*.md"), *ROOT.glob("web/*/README.md")])


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = load_tool("describe_air")


def test_the_page_of_the_chips_is_current() -> None:
    result = subprocess.run([sys.executable, "tools/describe_air.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_stale_page_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(TOOL, "ROOT", tmp_path)
    monkeypatch.setattr(TOOL, "PAGE", tmp_path / "air.md")
    assert TOOL.run(["--check"]) == 1
    assert TOOL.run([]) == 0
    assert TOOL.run(["--check"]) == 0
    (tmp_path / "air.md").write_text((tmp_path / "air.md").read_text().replace("add*(add - 1)", "add*(add - 2)"))
    assert TOOL.run(["--check"]) == 1
    assert "is not current" in capsys.readouterr().out
    assert TOOL.run(["--nonsense"]) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (5, "5"), (P - 1, "-1"), (P - 5, "-5"), (256, "2^8"), (255, "(2^8 - 1)"),
        (2**32, "2^32"), (2**32 - 1, "(2^32 - 1)"),
        (P - 2**32, "-2^32"), (2**32 + 17, "(2^32 + 17)"), (1000, "1000"),
        (pow(2**16, -1, P), "1/2^16"), (P - pow(2**16, -1, P), "-1/2^16"),
    ],
)  # fmt: skip
def test_numbers_are_readable(value: int, text: str) -> None:
    assert number(value) == text


def value_of(expr: Expr, cells: dict[tuple[int, int], int]) -> int:
    if expr.kind == CONST:
        return expr.index
    if expr.kind in (MAIN, PRE):
        return cells[expr.kind, expr.index]
    left, right = (value_of(child, cells) for child in expr.children())
    return {ADD: left + right, SUB: left - right, MUL: left * right}[expr.kind] % P


def value_of_text(text: str, cells: dict[str, int]) -> int:
    """Evaluate a printed polynomial mod p; ``/2^k`` is a division in the field."""
    code = re.sub(r"/2\^(\d+)", lambda match: f"*{pow(2, -int(match[1]), P)}", text)
    return int(eval(code.replace("^", "**"), {"__builtins__": {}}, cells)) % P


@pytest.mark.parametrize("chip", [*machine().chips, *TILES.chips], ids=lambda chip: chip.name)
def test_printed_polynomials_mean_what_is_proven(chip: Chip) -> None:
    """Every named sum, constraint, tuple and count of the page, read back and evaluated on random cells."""
    rng = random.Random(1)
    names = Names(chip)
    expressions = [constraint.expr for constraint in chip.air_constraints]
    for pair in chip.air_buses.pairs:
        expressions += [value for item in (pair.receive, pair.send) if item for value in item.values]
        expressions += [pair.flag] if pair.flag is not None else []
    for lookup in chip.air_buses.lookups:
        expressions += [*lookup.message.values, lookup.count]
    factors = [factor for own in chip.air_buses.contributions for factor in own.factors]
    expressions += [value for own in chip.air_buses.contributions for value in own.message.values]
    for _ in range(3):
        by_place = {(MAIN, k): rng.randrange(P) for k in range(len(chip.main))}
        by_place |= {(PRE, k): rng.randrange(P) for k in range(len(chip.preprocessed))}
        by_name = {name: by_place[MAIN, k] for k, name in enumerate(names.main)}
        by_name |= {name: by_place[PRE, k] for k, name in enumerate(names.preprocessed)}
        by_name |= {name: value_of(expression, by_place) for name, expression in names.sums.items()}
        for name in names.sums:
            assert name not in re.findall(r"\w+", names.definition(name))
            assert value_of_text(names.definition(name), by_name) == by_name[name], name
        for expression in expressions:
            text = names.text(expression)
            assert value_of_text(text, by_name) == value_of(expression, by_place), text
        beta = rng.randrange(P)
        for factor in factors:
            expected = sum(pow(beta, power, P) * value_of(expr, by_place) for power, expr in factor) % P
            assert value_of_text(names.powers(factor), by_name | {"beta": beta}) == expected


def test_the_page_has_every_chip_column_claim_and_interaction() -> None:
    page = TOOL.PAGE.read_text()
    sections = dict(section.split("\n", 1) for section in page.split("\n## ")[1:])
    for chip in machine().chips:
        if chip.first is not None:
            assert f"two tables, {chip.first} and {chip.name}." in sections[chip.first]
            assert f"[{chip.first}](#{chip.first}) (two tables)" in sections["Summary"]
            continue
        section = sections[chip.name]
        for column in (*chip.main, *chip.preprocessed):
            assert f"| `{column}` |" in section
        labels = [constraint.label for constraint in chip.air_constraints]
        labels += [pair.label for pair in chip.air_buses.pairs] + [lookup.label for lookup in chip.air_buses.lookups]
        for label in labels:
            assert f"\n{label}  " in section
        for name in Names(chip).sums:
            used = re.findall(rf"(?<![\w`]){name}(?!\w)", section)
            assert not used or f"\n{name} " in section, name


def test_a_page_of_a_machine_with_sums() -> None:
    page = TOOL.page(TILES)
    assert "| 5 | tile sums | sum | (tile, half) |" in page
    assert "- **tile sums**: contributed to by mac, out" in page
    assert "3 lookups and 2 contributions in 3" in page
    out = page.split("## out")[1]
    for line in ("results      tile sums  adds to (tile, half)", "times (low0 + beta^41*low1)", "(-y0) + beta*(-y1)"):
        assert line in out


def test_lines_of_the_page_are_short() -> None:
    """But for a table's rows, which Markdown does not let us break: there the meaning of a column may take more."""
    lines = TOOL.PAGE.read_text().split("\n")
    assert max(len(line) for line in lines if not line.startswith("|")) <= TOOL.WIDTH
    assert TOOL.broken("first + second*(third - fourth) + fifth", 34) == ["first + second*(third - fourth)", "    + fifth"]
    assert TOOL.broken("(first, second - third + fourth)", 24) == ["(first, second - third", "    + fourth)"]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target or target.startswith("reference:"):  # those are followed when the site is built
            continue
        path, _, anchor = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        assert aim.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(aim), f"{page.name} links to {target}"


def test_named_tests_exist() -> None:
    """The page on the arithmetization says which test breaks each invariant."""
    text = (ROOT / "docs" / "arithmetization.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) >= 10
    for path, function in named:
        assert (ROOT / path).is_file(), path
        assert not function or load_tool("list_attacks").has_test(ROOT / path, function), f"{path}::{function}"
