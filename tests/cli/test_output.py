"""How sizes, journals and progress are printed."""

from __future__ import annotations

import io
import sys

import pytest

from zkvm.cli import output
from zkvm.cli.output import progress_bar, shown, size


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


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


def test_progress_goes_to_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with progress_bar(True) as progress:
        assert progress is None
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar(False) as progress:
        assert progress is None
    with progress_bar(True) as progress:
        assert progress is not None
        progress("execute", 0.02)
        progress("quotient", 0.5)
    assert terminal.getvalue() == "", "done before anybody would look"
    monkeypatch.setattr(output, "PATIENCE", -1.0)
    with progress_bar(True) as progress:
        assert progress is not None
        progress("execute", 0.02)
        assert terminal.getvalue() == ""
        progress("quotient", 0.5)
        progress("", 1.0)
    assert "100 %" in terminal.getvalue()
