"""The site: builds without a warning, its tour and its pictures are current, and what is wrong with a page is noticed."""

from __future__ import annotations

import re
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit
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


EXTERNAL = re.compile(r"""\b[a-z]+://[^\s)>"'`\\]+""")
OWN_MACHINE = "127.0.0.1"


def test_links_to_other_places_are_addresses() -> None:
    """Whether they lead anywhere only a machine with a network can tell: ``make links``."""
    found = set()
    for page in (*build_site.pages(), ROOT / "README.md"):
        found |= {link.rstrip(".,;") for link in EXTERNAL.findall(page.read_text())}
    places = {link: urlsplit(link) for link in found}
    others = {link: place for link, place in places.items() if place.hostname != OWN_MACHINE and place.scheme in ("http", "https")}
    assert len(others) > 10
    for link, place in others.items():
        assert place.scheme == "https", link
        assert re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", place.netloc), link
        assert "//" not in place.path, link


class Server(BaseHTTPRequestHandler):
    """Has one page, /here."""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/here" else 404)
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize(("path", "code"), [("here", 0), ("gone", 1)])
def test_links_to_other_places_are_asked_for(path: str, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = ThreadingHTTPServer((OWN_MACHINE, 0), Server)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        (tmp_path / "README.md").write_text(f"# Front\n\n[a page](http://{OWN_MACHINE}:{server.server_port}/{path})\n")
        (tmp_path / "index.md").write_text("# Pages\n")
        monkeypatch.setattr(build_site, "ROOT", tmp_path)
        monkeypatch.setattr(build_site, "pages", lambda: {tmp_path / "index.md": "index.md"})
        monkeypatch.setenv("NO_PROXY", OWN_MACHINE)
        assert build_site.run(["--external"]) == code
    finally:
        server.shutdown()
        server.server_close()


def test_links_are_turned_to_where_pages_are_on_the_site() -> None:
    names = build_site.pages()
    page = ROOT / "docs" / "security.md"
    same = "[that](ml.md#data) [web](https://x.y) [here](#a) ![p](pictures/bytes.svg)"
    text = f"[how](../SECURITY.md#how-to-report) [code](../zkvm/api.py) {same}"
    turned = f"[how](reporting.md#how-to-report) code {same}"
    assert build_site.on_site(text, page, names) == turned
    outside = build_site.on_site("[page](../../docs/ml.md)", ROOT / "web" / "verifier" / "README.md", names)
    assert outside == "[page](ml.md)"
