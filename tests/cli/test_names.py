"""An option has the same name in the command line and in Python; the exceptions are listed, each with its reason."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import zkvm
import zkvm.ml
from zkvm.cli.main import load
from zkvm.guest import toolchain

TERMINAL = {
    "--help": "of every command", "--json": "of every command", "--input": "a file; in Python the bytes or arrays themselves",
    "--sample": "of a file of inputs", "--out": "a file; in Python what a function returns is saved",
}  # fmt: skip
RUN_ONLY = {
    "--execute-only": "a function of its own: execute", "--all": "of a file of inputs", "--regime": "a part of policy",
    "--inputs": "a function of its own: prove_many", "--workers": "an address; in Python a client of the cluster too",
}  # fmt: skip
SWITCHES = {"--no-zk": "zk", "--no-runtime": "runtime", "--no-measure": "measure"}
"""What is on in Python is switched off in the command line."""
REPEATED = {"--shape": "shapes", "--define": "defines", "--include-directory": "include_directories"}
"""An option that can be given several times names one thing, the parameter of Python all of them."""
HOOKS = {"elf", "stdin", "progress", "stdout", "stderr", "warn", "sources", "model", "threads", "self"}
"""Of Python: arguments of commands, and functions that are called meanwhile."""
PAIRS: list[tuple[str, Callable[..., Any], Mapping[str, str], set[str]]] = [
    ("run", zkvm.prove, RUN_ONLY, {"policy", "verify", "client"}),
    ("profile", zkvm.profile, {"--top": "of what is printed"}, {"pad_to", "max_memory"}),
    ("check", zkvm.check, {}, set()),
    ("compile", zkvm.ml.compile, {}, set()),
    ("build", toolchain.build, {"--strip": "the other side of --debug-lines"}, {"output"}),
]


def long_options(command: str) -> set[str]:
    """The first long name of each option, and its negation's."""
    found = set()
    for option in load(command).params:
        if option.param_type_name == "option":
            found |= {next(name for name in names if name.startswith("--")) for names in (option.opts, option.secondary_opts) if names}
    return found


@pytest.mark.parametrize(("command", "function", "only_here", "only_there"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_one_name_for_one_option(command: str, function: Callable[..., Any], only_here: Mapping[str, str], only_there: set[str]) -> None:
    options = long_options(command) - set(TERMINAL) - set(only_here)
    names = {SWITCHES.get(name) or REPEATED.get(name) or name.removeprefix("--").replace("-", "_") for name in options}
    parameters = set(inspect.signature(function).parameters)
    assert names - parameters == set()
    assert parameters - names - HOOKS == only_there


def test_the_demands_of_a_verifier() -> None:
    names = {name.removeprefix("--").replace("-", "_") for name in long_options("verify")}
    assert names >= {"image_id", "exit_code"} & set(inspect.signature(zkvm.Receipt.verify).parameters)
    assert set(inspect.signature(zkvm.Policy).parameters) - names == set()
