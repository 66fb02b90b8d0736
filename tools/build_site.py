"""Builds the site from the pages of ``docs/``. Usage: ``python tools/build_site.py [--external] [--out DIR]``; exit code 1 for any warning.

The pages are written for people who read them in the repository too. Some that lie elsewhere belong to the site, so all are copied into
one folder first, with their links turned to where the pages are then. Sphinx builds the site, pdoc the reference beside it, and at the
end every link of every page is followed. ``--external`` instead asks every server that pages link to.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
OUT = ROOT / "build" / "site"
ELSEWHERE = {
    "SECURITY.md": "reporting.md",
    "findings/README.md": "findings.md",
    "web/verifier/README.md": "javascript-verifier.md",
    "web/page/README.md": "browser-page.md",
}
"""Pages of the site that lie outside docs/, and their names there."""
MODULES = ("zkvm", "zkvm.guest", "zkvm.guest.toolchain", "zkvm.ml")
LINK = re.compile(r"(?P<text>!?\[[^\]]*\])\((?P<target>[^)\s]+)\)")


def pages() -> dict[Path, str]:
    """Every page's file, and its name on the site."""
    found = {path: path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md"))}
    return found | {ROOT / path: name for path, name in ELSEWHERE.items()}


def on_site(text: str, page: Path, names: dict[Path, str]) -> str:
    """A page's text with its links as the site needs them; a link to what is not on the site leaves its text.

    Args:
        text: of the page.
        page: its file.
        names: of :func:`pages`.
    """
    folder = Path(names[page]).parent

    def turned(match: re.Match[str]) -> str:
        path, hash_sign, anchor = match["target"].partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        aim = (page.parent / path).resolve()
        if aim in names:
            return f"{match['text']}({os.path.relpath(names[aim], folder)}{hash_sign}{anchor})"
        return match[0] if aim.is_relative_to(DOCS) else match["text"].removeprefix("[").removesuffix("]")

    return LINK.sub(turned, text)


def stage(folder: Path) -> None:
    """Copy what the site is made of into a folder."""
    names = pages()
    for page, name in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(on_site(page.read_text(), page, names))
    shutil.copy(DOCS / "conf.py", folder)
    shutil.copytree(DOCS / "pictures", folder / "pictures")


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element links to and what it is called."""
        for name, value in attrs:
            if value and name in ("id", "name"):
                self.anchors.add(value)
            elif value and name in ("href", "src"):
                self.links.append(value)


def broken_links(site: Path) -> Iterator[str]:
    """Links within a site that lead nowhere."""
    read = {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    for path, page in read.items():
        if path.is_relative_to(site / "reference"):
            continue  # pdoc's own, and large
        for link in page.links:
            target, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", target) or target.startswith("//"):
                continue
            aim = (path.parent / unquote(target.partition("?")[0])).resolve() if target else path
            if not aim.exists():
                yield f"{path.relative_to(site)}: {link}"
            elif anchor and aim in read and unquote(anchor) not in read[aim].anchors:
                yield f"{path.relative_to(site)}: {link}: no such place there"


def build(out: Path, external: bool) -> int:
    """Build the site; returns an exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        source, fresh = Path(scratch) / "pages", Path(scratch) / "site"
        source.mkdir()
        stage(source)
        if external:
            front = on_site((ROOT / "README.md").read_text(), ROOT / "README.md", pages() | {ROOT / "README.md": "front.md"})
            (source / "front.md").write_text(f"---\norphan: true\n---\n\n{front}")
        builder = "linkcheck" if external else "html"
        command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-b", builder, str(source), str(fresh)]
        if subprocess.run(command, check=False).returncode:
            return 1
        if external:
            return 0
        reference = [sys.executable, "-W", "error", "-m", "pdoc", "-d", "google", "-o", str(fresh / "reference"), *MODULES]
        if subprocess.run(reference, cwd=ROOT, check=False).returncode:
            return 1
        broken = [*broken_links(fresh)]
        print("".join(f"{entry}\n" for entry in broken), end="")
        if broken:
            return 1
        shutil.rmtree(fresh / ".doctrees", ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(fresh, out)
    print(f"{out / 'index.html'}")
    return 0


def run(arguments: Sequence[str]) -> int:
    """Entry point of the script, with exit code."""
    parser = argparse.ArgumentParser(prog="build_site.py", description="Build the site.")
    parser.add_argument("--external", action="store_true", help="ask the servers that pages link to, and build nothing")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the site (default build/site)")
    options = parser.parse_args(arguments)
    return build(options.out.resolve(), options.external)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
