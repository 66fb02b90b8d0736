"""How sizes and journals are printed."""

from __future__ import annotations

import pytest

from zkvm.cli.output import shown, size


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 19, "1.5 MiB"), (5 << 40, "5120.0 GiB")]
)
def test_size(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("data", "text"), [(b"", "(empty)"), (b"hi", "6869  'hi'"), (b"\0\1", "0001"), (b"a\x1b[2J", "611b5b324a"), (b"\xff", "ff")]
)
def test_only_printable_text_is_shown_as_text(data: bytes, text: str) -> None:
    assert shown(data) == text
