"""A receipt as people see it in Python: a line, in notebooks a small table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

SHOWN_BYTES = 64
"""Of a journal; the rest is told by its length."""


def html(view: Mapping[str, Any], more: Mapping[str, str] | None = None) -> str:
    """The table of what a receipt says; it has verified nothing, and says so.

    Args:
        view: of :meth:`zkvm.verifier.receipt.Receipt.to_json`.
        more: rows that follow, by name.
    """
    title = "Dev receipt: nothing is proven" if view["dev"] else "Receipt (not verified by showing it)"
    entries = (*_rows(view), *(more or {}).items())
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in entries)
    return f"<table><caption>{escape(title)}</caption>{rows}</table>"


def claim(image_id: bytes, exit_code: int, journal: bytes) -> str:
    """The statement in a line."""
    return f"image {image_id.hex()}, exit code {exit_code}, {len(journal)} bytes of journal"


def _rows(view: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "image ID", view["image_id"]
    yield "exit code", str(view["exit_code"])
    yield "journal", _bytes(bytes.fromhex(view["journal"]))
    if view["dev"]:
        return
    numbers = view["parameters"]
    yield "parameters", f"blowup {numbers['blowup']}, {numbers['queries']} queries"
    yield "zero knowledge", "yes, says the prover" if view["zk"] else "no"
    if "segments" in view["seal"]:
        yield "segments", str(len(view["seal"]["segments"]))
    yield "size", f"{view['receipt_bytes']:,} bytes"


def _bytes(data: bytes) -> str:
    if not data:
        return "(empty)"
    text = data[:SHOWN_BYTES].decode("ascii", "replace")
    readable = f"  {text!r}" if text.isprintable() and text.isascii() else ""
    more = f" ... ({len(data):,} bytes)" if len(data) > SHOWN_BYTES else ""
    return data[:SHOWN_BYTES].hex() + more + readable
