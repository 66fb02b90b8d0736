"""Writes the table of constructs in docs/python-guests.md from the tests that compare each with CPython.

Usage: ``python tools/python_constructs.py [--check]``; with ``--check`` nothing is written, and the exit code is 1 if the page is not
current.

A row is a function of ``tests/guest/python/*_cases.py``: the first line of its docstring, and the example in its last.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "python-guests.md"
CASES = ROOT / "tests" / "guest" / "python"
FILES = {"Language": "language_cases", "Numbers": "numbers_cases", "Arrays": "array_cases", "Tensors": "tensor_cases"}
BEGIN, END = "<!-- constructs: tools/python_constructs.py writes from here -->\n", "<!-- to here -->\n"


def rows(file: Path) -> list[tuple[str, str]]:
    """What each function of a file of cases shows, and an example."""
    found = []
    for node in ast.parse(file.read_text()).body:
        text = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
        if text is not None:
            lines = text.splitlines()
            found.append((lines[0], lines[-1] if len(lines) > 1 else ""))
    return found


def table() -> str:
    """The tables."""
    parts = []
    for title, name in FILES.items():
        lines = [f"### {title}", "", "| what | for example |", "|---|---|"]
        lines += [
            f"| {what.replace('|', chr(92) + '|')} | {example.replace('|', chr(92) + '|')} |"
            for what, example in rows(CASES / f"{name}.py")
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def page(text: str) -> str:
    """The page with the tables as they should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    """The command."""
    text = PAGE.read_text()
    if page(text) == text:
        return 0
    if "--check" in sys.argv[1:]:
        print(f"{PAGE.relative_to(ROOT)} is not current: python tools/python_constructs.py")
        return 1
    PAGE.write_text(page(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
