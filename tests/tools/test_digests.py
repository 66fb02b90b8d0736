"""The digests that are written down are what the chips give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tools import digests
from zkvm.riscv.machine import machine, memory_machine, segment_machine
from zkvm.stark.air.machine import Machine
from zkvm.stark.crypto.hashes import blake3


@pytest.mark.parametrize("written", [machine(), segment_machine(), memory_machine()], ids=lambda own: own.name)
def test_a_machine_is_bound_to_all_its_constraints(written: Machine) -> None:
    assert written.digest == written.written == blake3(replace(written, written=None).description.encode())


def test_the_module_is_as_it_would_be_written() -> None:
    assert digests.PAGE.read_text() == digests.page()


def test_a_digest_that_is_not_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    changed = tmp_path / "digests.py"
    monkeypatch.setattr(digests, "PAGE", changed)
    for arguments, text, result in (["--check"], "DIGESTS = {}", 1), ([], "", 0), (["--check"], None, 0):
        if text is not None:
            changed.write_text(text)
        monkeypatch.setattr("sys.argv", ["digests.py", *arguments])
        assert digests.main() == result
    assert "run tools/digests.py" in capsys.readouterr().err
    assert changed.read_text() == digests.page()
