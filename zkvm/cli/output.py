"""What commands print: readable lines, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SIZE_UNITS = ("B", "KiB", "MiB", "GiB")


def emit(view: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json.dumps(view))


def line(label: str, value: object) -> None:
    """A labelled line."""
    print(f"{label:<16}{value}")


def shown(data: bytes) -> str:
    """Bytes as hexadecimal digits, and as text if all of it can be printed."""
    if not data:
        return "(empty)"
    text = data.decode("ascii", "replace")
    return data.hex() + (f"  {text!r}" if text.isprintable() and text.isascii() else "")


def by_regime(bits: Mapping[str, float]) -> str:
    """Proven bits under every set of theorems."""
    return ", ".join(f"{value:g} {regime}" for regime, value in bits.items())


def committed(cells: int, charged: int) -> str:
    """Cells of a proof, of which so many are charged to instructions and calls; 0 of a run that is too long for one."""
    if not cells:
        return f"{charged} used"
    return f"{cells} committed, {100 * charged / cells:.0f} % charged below, the rest is fixed tables and padding"


def size(count: float) -> str:
    """Bytes with a unit."""
    unit = 0
    while count >= 1024 and unit < len(SIZE_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} {SIZE_UNITS[unit]}" if unit == 0 else f"{count:.1f} {SIZE_UNITS[unit]}"
