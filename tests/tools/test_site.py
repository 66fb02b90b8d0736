"""The site: builds without a warning, its tour and its pictures are current, and what is wrong with a page is noticed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

import zkvm
import zkvm.ml
from tools import build_site, draw, tour
from tools.svg import Picture
from zkvm.riscv.machine import machine

ROOT = Path(__file__).resolve().parents[2]


def test_the_tour_is_current_and_a_stale_one_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = tour.proven()
    for module in (tour, draw):
        monkeypatch.setattr(module, "proven", lambda: run)
    assert tour.run(["--check"]) == 0
    assert draw.run(["--check"]) == 0
    monkeypatch.setattr(tour, "ROOT", tmp_path)
    monkeypatch.setattr(tour, "PAGE", tmp_path / "tour.md")
    monkeypatch.setattr(draw, "ROOT", tmp_path)
    monkeypatch.setattr(draw, "FOLDER", tmp_path)
    shutil.copy(ROOT / "docs" / "pictures" / "measured.json", tmp_path)
    monkeypatch.setattr(draw, "wings", lambda: Picture(1, 1, "elsewhere"))
    assert tour.run(["--check"]) == draw.run(["--check"]) == 1
    assert tour.run([]) == draw.run([]) == 0
    assert tour.run(["--check"]) == draw.run(["--check"]) == 0


def test_the_tours_receipt_verifies() -> None:
    page = tour.PAGE.read_text()
    assert "| nothing | accepted |" in page
    assert len(re.findall(r"\| `(?:FORMAT|CLAIM|MERKLE|FRI)` \|", page)) == 4


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "pictures").glob("*.svg")), ids=lambda path: path.stem)
def test_pictures_are_well_formed_named_and_used(path: Path) -> None:
    picture = ElementTree.parse(path).getroot()
    names = {"svg": "http://www.w3.org/2000/svg"}
    title = picture.find("svg:title", names)
    assert title is not None
    assert title.text
    width, height = (float(picture.attrib[name]) for name in ("width", "height"))
    for words in picture.findall("svg:text", names):
        assert 0 <= float(words.attrib["x"]) <= width
        assert 0 <= float(words.attrib["y"]) <= height
    pages = [page.read_text() for page in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]]
    assert any(f"pictures/{path.name}" in page for page in pages)


def test_the_graph_of_the_buses_has_every_chip_and_every_bus() -> None:
    text = (ROOT / "docs" / "pictures" / "all-buses.svg").read_text()
    for chip in machine().chips:
        assert chip.first is not None or f">{chip.name}<" in text
    for bus in machine().buses:
        assert f">{'ranges' if bus.name in draw.RANGES else bus.name}<" in text


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    assert build_site.run(["--out", str(tmp_path / "site")]) == 0
    pages = {path.name for path in (tmp_path / "site").glob("*.html")}
    assert {path.with_suffix(".html").name for path in (ROOT / "docs").glob("*.md")} <= pages
    assert {Path(name).with_suffix(".html").name for name in build_site.ELSEWHERE.values()} <= pages
    for package, name in ((zkvm, "zkvm.html"), (zkvm.ml, "zkvm/ml.html")):
        text = (tmp_path / "site" / "reference" / name).read_text()
        for public in package.__all__:
            assert f'id="{public}"' in text, public


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "one.html").write_text(
        '<a href="two.html#there"></a><a href="two.html#not"></a><img src="gone.svg"><a href="https://x"></a>'
    )
    (tmp_path / "two.html").write_text('<h1 id="there"></h1><a href="#there"></a><a href="mailto:nobody"></a>')
    assert [*build_site.broken_links(tmp_path)] == ["one.html: two.html#not: no such place there", "one.html: gone.svg"]


def test_links_are_turned_to_where_pages_are_on_the_site() -> None:
    names = build_site.pages()
    page = ROOT / "docs" / "security.md"
    same = "[that](ml.md#data) [web](https://x.y) [here](#a) ![p](pictures/bytes.svg)"
    text = f"[how](../SECURITY.md#how-to-report) [code](../zkvm/api.py) {same}"
    turned = f"[how](reporting.md#how-to-report) code {same}"
    assert build_site.on_site(text, page, names) == turned
    outside = build_site.on_site("[page](../../docs/ml.md)", ROOT / "web" / "verifier" / "README.md", names)
    assert outside == "[page](ml.md)"
