"""Writes the page that verifies receipts, ``web/page/verify.html``, from ``web/page/src`` and ``web/verifier``: one file, works from disk.

``python tools/web_page.py`` writes it, ``--check`` compares. Modules are joined to one script: each becomes a function that is called once
and returns what it exports, in the order of their imports. It understands the forms that these modules use, and refuses others.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "web" / "page" / "src"
TARGET = ROOT / "web" / "page" / "verify.html"
IMPORT = re.compile(r'^import \{(?P<names>[^}]*)\} from "(?P<path>\.[^"]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?P<kind>function\*?|class|const) (?P<rest>.*)$", re.MULTILINE)
CONSTANT = re.compile(r"(?:^|, )(\w+) = ")


class Bundle:
    """Modules joined to one script."""

    def __init__(self) -> None:
        self.exports: dict[Path, list[str]] = {}
        self.parts: list[str] = []

    def name(self, path: Path) -> str:
        """The variable that holds a module's exports."""
        return "module_" + re.sub(r"\W", "_", str(path.relative_to(ROOT / "web").with_suffix("")))

    def add(self, path: Path) -> None:
        """Append a module, after those that it imports.

        Raises:
            ValueError: it has a form of import or export that is not understood.
        """
        if path in self.exports:
            return
        source, exported = path.read_text(), []

        def imported(match: re.Match[str]) -> str:
            target = (path.parent / match["path"]).resolve()
            self.add(target)
            names = [name.strip().split(" as ") for name in match["names"].split(",") if name.strip()]
            missing = [name[0] for name in names if name[0] not in self.exports[target]]
            if missing:
                raise ValueError(f"{path}: {match['path']} does not export {missing}")
            return f"const {{ {', '.join(': '.join(name) for name in names)} }} = {self.name(target)};\n"

        def exporting(match: re.Match[str]) -> str:
            exported.extend(CONSTANT.findall(match["rest"]) if match["kind"] == "const" else re.findall(r"^\w+", match["rest"]))
            return f"{match['kind']} {match['rest']}"

        source = EXPORT.sub(exporting, IMPORT.sub(imported, source))
        if re.search(r"^(import|export)\b", source, re.MULTILINE):
            raise ValueError(f"{path}: an import or export that this tool does not understand")
        self.exports[path] = exported
        self.parts.append(f"const {self.name(path)} = (() => {{\n{source}return {{ {', '.join(exported)} }};\n}})();\n")

    def script(self) -> str:
        """All modules."""
        return '"use strict";\n' + "".join(self.parts)


def bundled(path: Path) -> str:
    """A module with everything that it imports, as one script.

    Raises:
        ValueError: a module cannot be joined, or would end the element that holds the script.
    """
    bundle = Bundle()
    bundle.add(path)
    script = bundle.script()
    if "</script" in script or "<!--" in script:
        raise ValueError(f"{path}: the script would end its element")
    return script


def page() -> str:
    """The whole file."""
    parts = {"page.css": (SOURCES / "page.css").read_text().rstrip("\n")}
    parts |= {name: bundled(SOURCES / name).rstrip("\n") for name in ("worker.js", "page.js")}
    return re.sub(r"\{\{(.*?)\}\}", lambda match: parts[match[1]], (SOURCES / "page.html").read_text())


def main(arguments: list[str]) -> int:
    """Write the page, or compare."""
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    content = page()
    if arguments:
        current = TARGET.is_file() and TARGET.read_text() == content
        if not current:
            print(f"{TARGET.relative_to(ROOT)} is not current: run python tools/web_page.py")
        return int(not current)
    TARGET.write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
