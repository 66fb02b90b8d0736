"""What a terminal shows during the work: cycles, then a bar; nothing anywhere else, and nothing over what the guest writes."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.running import guest
from zkvm.cli import run, screen
from zkvm.cli.screen import guest_environment
from zkvm.riscv.vm.assemble import EXIT, Item

LONG: list[Item] = [("li", "t0", 1 << 20), "loop", ("addi", "t0", "t0", -1), ("bne", "t0", "zero", "loop"), ("li", "a0", 0), *EXIT]
"""Two slices of instructions."""


class Terminal(io.StringIO):
    """Says that it is one; ``buffer`` is what the guest writes to."""

    buffer = property(lambda self: self)

    def isatty(self) -> bool:
        return True

    def write(self, text: str | bytes) -> int:
        return super().write(text if isinstance(text, str) else text.decode())


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error and output are one terminal, whose user is shown everything at once."""
    shown = Terminal()
    monkeypatch.setattr(screen, "sys", SimpleNamespace(stdout=shown, stderr=shown))  # pytest sets its own in every phase of a test
    monkeypatch.setattr(screen, "PATIENCE", -1.0)
    monkeypatch.setattr(screen, "INTERVAL", -1.0)
    return shown


def visible(text: str) -> str:
    """What the last line of a terminal shows after this."""
    line: list[str] = []
    at = 0
    for character in text:
        if character == "\r":
            at = 0
        elif character == "\n":
            line, at = [], 0
        else:
            line[at : at + 1] = character
            at += 1
    return "".join(line).rstrip()


def test_progress_goes_to_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with screen.screen(True) as view:
        assert not view.on
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with screen.screen(False) as view:
        assert not view.on
    with screen.screen(True) as view:
        assert view.on
        view.cycles(1 << 20)
        view.phase("quotient", 0.5)
    assert terminal.getvalue() == "", "done before anybody would look"


def test_cycles_and_then_a_bar(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal)  # where the bar is drawn
    with screen.screen(True) as view:
        view.phase("execute", 0.02)
        assert terminal.getvalue() == ""
        view.cycles(1 << 20)
        assert visible(terminal.getvalue()).startswith("execute  1,048,576 cycles")
        view.cycles(3)
        assert visible(terminal.getvalue()).startswith("execute  3 cycles")
        view.phase("quotient", 0.5)
        view.phase("", 1.0)
    assert "100 %" in terminal.getvalue()


def test_the_line_is_gone_at_the_end(terminal: Terminal) -> None:
    """After an error too."""

    def interrupted() -> None:
        with screen.screen(True) as view:
            view.cycles(1 << 20)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert visible(terminal.getvalue()) == ""


def test_nothing_is_shown_over_what_the_guest_writes(terminal: Terminal) -> None:
    with screen.screen(True) as view:
        env = guest_environment(b"", view, as_json=False)
        assert env.stdout is not None
        view.cycles(1 << 20)
        env.stdout(b"the guest asks: ")
        assert visible(terminal.getvalue()) == "the guest asks:"
        view.cycles(2 << 20)
        assert visible(terminal.getvalue()) == "the guest asks:"
        env.stdout(b"and ends its line\n")
        view.cycles(3 << 20)
        assert visible(terminal.getvalue()).startswith("execute  3,145,728")


@pytest.mark.parametrize("command", ["run", "check", "profile"])
def test_every_command_that_runs_a_guest_shows_cycles(command: str, tmp_path: Path, terminal: Terminal) -> None:
    """As far as the guest runs: until its end, or its limit."""
    from zkvm.cli.profile import profile

    (tmp_path / "guest.elf").write_bytes(guest(LONG))
    calls = {
        "run": lambda: run.run(tmp_path / "guest.elf", execute_only=True, pad_to=""),
        "check": lambda: run.check(tmp_path / "guest.elf", max_cycles=(1 << 20) + 5),
        "profile": lambda: profile(tmp_path / "guest.elf"),
    }
    with pytest.raises(Exception, match=r"^(0|)$|1048581 cycles"):
        calls[command]()
    assert "execute  1,048,576 cycles" in terminal.getvalue()


def test_json_shows_nothing(tmp_path: Path, terminal: Terminal) -> None:
    (tmp_path / "guest.elf").write_bytes(guest(LONG))
    with pytest.raises(Exception, match=r"^(0|)$"):
        run.run(tmp_path / "guest.elf", execute_only=True, as_json=True)
    assert "execute" not in terminal.getvalue().partition("{")[0]
