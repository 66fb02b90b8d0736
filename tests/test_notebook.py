"""In a notebook: a receipt as a table, and a progress bar; the bar elsewhere."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from xml.etree import ElementTree

import pytest

import zkvm
from tests.receipts import ECHO, TEXT, dev_receipt, echo_receipt
from zkvm.progress import in_notebook


def texts_of(table: str) -> list[str]:
    """The texts of a table's cells, the caption first; the table must be well formed."""
    return [element.text for element in ElementTree.fromstring(table).iter() if element.text]


def test_a_receipt_is_a_table() -> None:
    texts = texts_of(echo_receipt()._repr_html_())
    rows = dict(zip(texts[1::2], texts[2::2], strict=True))
    assert texts[0] == "Receipt (not verified by showing it)"
    assert rows["image ID"] == zkvm.compute_image_id(ECHO)
    assert rows["journal"] == f"{TEXT.hex()}  {TEXT.decode()!r}"
    assert rows["size"] == f"{len(echo_receipt().to_bytes()):,} bytes"


def test_a_dev_receipt_says_so_and_a_journal_cannot_be_markup() -> None:
    receipt = replace(dev_receipt(), journal=b"<b>bold</b>")
    text = receipt._repr_html_()
    assert texts_of(text)[0] == "Dev receipt: nothing is proven"
    assert "<b>" not in text
    long = texts_of(replace(receipt, journal=bytes(1000))._repr_html_())
    assert any("(1,000 bytes)" in entry for entry in long)


def test_a_receipt_is_one_line() -> None:
    identity = zkvm.compute_image_id(ECHO)
    start = f"<Receipt: image {identity}, exit code 0, {len(TEXT)} bytes of journal, "
    assert repr(echo_receipt()) == f"{start}one proof>"
    assert repr(dev_receipt()) == f"{start}dev: nothing is proven>"


def test_what_prove_returns_is_a_table_and_a_line() -> None:
    info = zkvm.prove(ECHO, TEXT, dev=True)
    texts = texts_of(info._repr_html_())
    rows = dict(zip(texts[1::2], texts[2::2], strict=True))
    assert texts[0] == "Dev receipt: nothing is proven"
    assert (rows["cycles"], rows["proven bits"]) == (f"{info.cycles:,}", "0")
    assert rows["seconds"] == f"{info.seconds['total']:.2f}"
    assert repr(info).startswith(f"<ProveInfo: {info.receipt!r}, cycles {info.cycles:,}, proven bits 0, seconds ")


class Notebook:
    """What of IPython is used: cells' outputs that can be updated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[str] = []
        ipython, display = ModuleType("IPython"), ModuleType("IPython.display")
        ipython.__dict__["get_ipython"] = lambda: SimpleNamespace(kernel=object())
        display.__dict__["display"] = self.display
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        monkeypatch.setitem(sys.modules, "IPython.display", display)

    def display(self, content: dict[str, str], *, raw: bool, display_id: bool) -> Notebook:
        assert raw
        assert display_id
        self.update(content, raw=raw)
        return self

    def update(self, content: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(content["text/html"])


def test_a_bar_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not in_notebook()
    notebook = Notebook(monkeypatch)
    assert in_notebook()
    zkvm.compute_image_id(ECHO, progress=zkvm.ProgressBar())
    assert len(notebook.shown) >= 2
    assert notebook.shown[0].startswith('<progress max="1" value="0.')
    assert notebook.shown[-1] == ""


def test_a_bar_that_an_error_ends_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook, bar = Notebook(monkeypatch), zkvm.ProgressBar()
    bar("trace", 0.5)
    bar.close()
    assert notebook.shown == ['<progress max="1" value="0.500"></progress> 50 % trace', ""]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal_and_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for stream, visible in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        bar = zkvm.ProgressBar()
        bar("quotient", 0.25)
        bar("", 1.0)
        assert ("quotient" in stream.getvalue()) is visible
