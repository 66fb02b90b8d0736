"""Tables in the documentation that scripts write: what stands between two comments that name them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "ml.md"


def table(heading: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def put(name: str, text: str, document: Path = DOCUMENT) -> None:
    """Replace what stands between ``<!-- NAME -->`` and ``<!-- end of NAME -->``.

    Raises:
        ValueError: the document has no such comments.
    """
    before, start, rest = document.read_text().partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    if not (start and end):
        raise ValueError(f"{document} has no place for {name!r}")
    document.write_text(f"{before}{start}\n{text.strip()}\n\n{end}{after}")
