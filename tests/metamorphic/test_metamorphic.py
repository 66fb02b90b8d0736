"""Equivalent programs and faults of the executor: a bounded slice of what ``tools/metamorphic.py`` looks for."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.metamorphic import faults
from tests.metamorphic.equivalent import IMMEDIATE, OPPOSITE, T1, T2, T3, THREE, pair, rewritten_access
from tests.metamorphic.faults import MISTAKES, WRONG_OPERATIONS, WRONG_OUTPUT, Outcome, injected, refusals
from tests.riscv.vm.programs import CORNERS, IMMEDIATE_OPS, LOAD_SIZES, REGION, SHIFT_OPS, STORE_SIZES, label_address, run_unicorn
from zkvm.riscv.isa import opcodes
from zkvm.riscv.isa.semantics import COMPUTE
from zkvm.riscv.vm.assemble import DATA, EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute

ROOT = Path(__file__).resolve().parents[2]


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("metamorphic_tool", ROOT / "tools" / "metamorphic.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["metamorphic_tool"] = module
    spec.loader.exec_module(module)
    return module


TOOL: Any = load_tool()
DUMP: list[Item] = [("li", "a0", 3), ("la", "a1", "bss"), ("li", "a2", 4), ("li", "a7", 64), ("ecall",), ("li", "a0", 0), *EXIT]


def values_of(items: list[Item]) -> bytes:
    """What ``items`` leave in t0, for all pairs of corners in a0 and a1."""
    text: list[Item] = [("la", "a3", "bss")]
    for a in CORNERS:
        for b in CORNERS:
            text += [("li", "a0", a), ("li", "a1", b), *items, ("sw", "t0", "a3", 0), ("addi", "a3", "a3", 4)]
    count = 4 * len(CORNERS) ** 2
    dump = [("li", "a2", count) if item == ("li", "a2", 4) else item for item in DUMP]
    return execute(assemble([*text, *dump], bss=count), trace=False).journal


@pytest.mark.parametrize("name", sorted(THREE))
def test_a_rewriting_computes_the_same_on_corners(name: str) -> None:
    assert values_of(THREE[name]("t0", "a0", "a1")) == values_of([(name, "t0", "a0", "a1")])


def test_everything_has_a_rewriting() -> None:
    assert set(IMMEDIATE) == {*IMMEDIATE_OPS, *SHIFT_OPS}
    assert set(OPPOSITE.values()) == set(OPPOSITE)
    assert [name for name in (*LOAD_SIZES, *STORE_SIZES) if not rewritten_access(name, "t0", "s0", 0)] == ["sb"]
    assert len({T1, T2, T3}) == 3


@pytest.mark.parametrize("seed", range(12))
def test_equivalent_programs_have_the_known_output(seed: int) -> None:
    first, second = pair(seed)
    expected = run_unicorn(first, label_address(first, "commit"), DATA, REGION)
    assert first.program.tobytes() != second.program.tobytes()
    assert execute(first, trace=False).journal == expected
    assert execute(second, trace=False).journal == expected


@pytest.mark.parametrize("seed", range(2))
def test_equivalent_programs_are_accepted(seed: int) -> None:
    for image in pair(seed):
        assert refusals(execute(image)) == set()


def outcomes(kind: str, count: int) -> list[Outcome]:
    """Runs of one program with a mistake at different places, those that end."""
    image, _ = pair(1)
    cycles = execute(image, trace=False).cycles
    rng = random.Random(kind)
    found = [injected(image, kind, rng.randrange(cycles), seed) for seed in range(count)]
    return [outcome for outcome in found if outcome is not None]


@pytest.mark.parametrize("kind", [*MISTAKES, WRONG_OUTPUT])
def test_no_wrong_output_is_accepted(kind: str) -> None:
    """And mistakes do happen: something is refused."""
    expected = execute(pair(1)[0], trace=False).journal
    ended = outcomes(kind, 4)
    assert all(outcome.refused or outcome.journal == expected for outcome in ended)
    assert any(outcome.refused for outcome in ended)


@pytest.mark.parametrize("number", sorted(WRONG_OPERATIONS))
def test_a_misunderstood_operation_is_refused(number: int) -> None:
    """On operands where it matters."""
    a, b = next(
        (a, b) for a in CORNERS for b in CORNERS if COMPUTE[number](a, b) & 0xFFFF_FFFF != WRONG_OPERATIONS[number](a, b) & 0xFFFF_FFFF
    )
    names = {getattr(opcodes, name.upper()): name for name in (*THREE, "div")}
    items: list[Item] = [("li", "a0", a), ("li", "a1", b), (names[number], "t0", "a0", "a1")]
    items += [("la", "a3", "bss"), ("sw", "t0", "a3", 0), *DUMP]
    image = assemble(items, bss=8)
    outcome = injected(image, f"operation {number}", 0, 0)
    assert outcome is not None
    assert outcome.journal != execute(image, trace=False).journal
    assert outcome.refused


def test_some_real_proofs() -> None:
    """One honest run and one with a mistake, by a prover that does not check itself."""
    image, _ = pair(1)
    found = TOOL.Findings()
    expected = execute(image, trace=False).journal
    TOOL.check_proof(image, expected, None, found)
    TOOL.check_proof(image, expected, (WRONG_OUTPUT, 0, 5), found)
    assert found.lines == []
    assert found.done == {"proofs accepted": 1, "proofs refused": 1}


def test_an_accepted_wrong_output_is_a_finding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A machine that refuses nothing is found out."""
    monkeypatch.setattr(faults, "refusals", lambda execution: frozenset())
    monkeypatch.setattr(TOOL, "KINDS", (WRONG_OUTPUT,))
    assert TOOL.run(["--programs", "1", "--faults", "2"]) == 1
    assert "ACCEPTED WRONG OUTPUT: wrong_output" in capsys.readouterr().out


@pytest.mark.slow
def test_many_programs_and_faults() -> None:
    found = TOOL.search(500, 20, 0.01, 1000, seconds=1200)
    assert found.lines == []
