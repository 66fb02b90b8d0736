"""What a run in segments is predicted to take, without proving it."""

from __future__ import annotations

from pathlib import Path

import pytest

import zkvm
from tests.cli.running import invoke
from tests.session.test_segments import LENGTH, PROGRAM
from zkvm.errors import LimitError
from zkvm.forecast import finished_after, forecast
from zkvm.session.run import ExecutorEnv


def test_what_is_predicted_is_what_is_cut() -> None:
    said: list[bytes] = []
    env = ExecutorEnv(stdout=said.append)
    expected = forecast(PROGRAM, env, params="fast", segment_cycles=LENGTH, threads=1)
    info = zkvm.prove(PROGRAM, params="fast", segment_cycles=LENGTH, threads=1)
    assert expected.segments == info.receipt.segments == 3
    assert expected.cycles == LENGTH
    assert expected.receipt_bytes == pytest.approx(len(info.receipt.to_bytes()), rel=0.1)
    assert not said
    assert expected.seconds == pytest.approx(expected.cut_seconds + expected.proof_seconds)
    shared = forecast(PROGRAM, env, params="fast", segment_cycles=LENGTH, workers=4)
    assert shared.seconds < shared.proof_seconds
    assert (shared.workers, shared.threads) == (4, 1)
    with pytest.raises(LimitError, match="raise --max-memory"):
        forecast(PROGRAM, ExecutorEnv(max_memory=1), params="fast", workers=2)


def test_pieces_go_to_who_is_free_first() -> None:
    assert finished_after([3, 2, 2, 1], 2) == 4
    assert finished_after([1.0] * 10, 1) == 10
    assert finished_after([5, 1, 1], 3) == 5


def test_the_command_tells_it(tmp_path: Path) -> None:
    program = tmp_path / "guest.elf"
    program.write_bytes(PROGRAM)
    command = ("run", program, "--execute-only", "--params", "fast")
    assert invoke(*command, "--json").json["segments"] is None
    view = invoke(*command, "--segment-cycles", str(LENGTH), "--jobs", "3", "--json").json["segments"]
    assert (view["segments"], view["workers"], view["threads"]) == (3, 3, 1)
    outcome = invoke(*command, "--segment-cycles", str(LENGTH))
    assert "3 segments of up to 8000 cycles" in outcome.out
