"""Shell completion: the scripts of three shells, and what they are answered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.cli.running import invoke
from zkvm.cli.completion import SHELLS
from zkvm.cli.main import COMMANDS, COMPLETE_VARIABLE


def answers(line: str) -> list[str]:
    """What bash gets when it asks how the last word of a line could go on."""
    words = line.split(" ")
    asked = {COMPLETE_VARIABLE: "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    code = "import sys; sys.argv[0] = 'zkvm'; from zkvm.cli.main import main; main()"
    result = subprocess.run([sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True, check=False, timeout=120)
    assert result.stderr == ""
    return result.stdout.split()


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_of_their_shell(shell: str) -> None:
    script = invoke("completion", shell).out
    assert f"{COMPLETE_VARIABLE}=complete_{shell}" in script
    assert invoke("completion", shell, "--json").json == {"shell": shell, "script": script[:-1]}
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=script, text=True, check=False, capture_output=True, timeout=60).returncode == 0


def test_an_unknown_shell_is_refused() -> None:
    outcome = invoke("completion", "tcsh")
    assert outcome.code == 2
    assert "choose one of bash, zsh, fish" in outcome.err


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("zkvm ver", {"verify"}),
        ("zkvm ", set(COMMANDS)),
        ("zkvm run --seg", {"--segment-cycles"}),
        ("zkvm run --params ", {"fast", "balanced", "compact"}),
        ("zkvm verify --regime u", {"unique"}),
    ],
)
def test_what_could_come_next(line: str, expected: set[str]) -> None:
    assert set(answers(line)) == expected
