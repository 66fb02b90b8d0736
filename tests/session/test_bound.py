"""Rows that no run of a program exceeds which takes the same loops; and compiled models whose heights tell nothing of their input."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ml.models import compiled
from tests.ml.networks import NETWORKS
from zkvm import api
from zkvm.errors import UsageError
from zkvm.ml.compiler import Options, Privacy
from zkvm.ml.interface import SATURATED_EXIT
from zkvm.ml.package import CompiledModel
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.session.blocks import find_blocks
from zkvm.session.bound import bounded_rows, check_padding, padding, room
from zkvm.session.run import ExecutorEnv, read_elf, run_image
from zkvm.stark.protocol.params import parameters
from zkvm.stark.tables import planned_heights

KINDS = ("random", "positive", "small", "sparse", "lowest", "highest", "zero")


def branching(value: int) -> Execution:
    """Five turns of a loop; in each, two additions if a0 is 0, else one bitwise operation and, if it is also above 4, a jump around one."""
    items: list[Item] = [
        ("li", "a0", value), ("li", "t0", 5), ("li", "t3", 4),
        "loop",
        ("bne", "a0", "x0", "other"),
        ("add", "t1", "t1", "t1"), ("add", "t1", "t1", "t1"), ("j", "meet"),
        "other",
        ("bge", "t3", "a0", "small"), ("j", "meet"),
        "small",
        ("xor", "t1", "t1", "t1"),
        "meet",
        ("addi", "t0", "t0", -1),
        ("bne", "t0", "x0", "loop"),
        ("li", "a0", 0), *EXIT,
    ]  # fmt: skip
    return execute(assemble(items))


def test_the_longest_way_of_each_chip_counts() -> None:
    runs = [branching(value) for value in (0, 3, 9)]
    bounds = [bounded_rows(run) for run in runs]
    assert bounds[0] == bounds[1] == bounds[2]
    assert (bounds[0]["add"], bounds[0]["bitwise"]) == (10, 5)
    chips = {chip.name: chip for chip in machine().chips}
    assert [chips["bitwise"].rows(run) for run in runs] == [0, 5, 0]
    assert all(chips[name].rows(run) <= bound for run in runs for name, bound in bounds[0].items())


def test_loops_are_not_regions() -> None:
    """A branch that leads back, and one whose ways meet only after a call, are counted as the run did them."""
    items: list[Item] = [
        ("li", "t0", 3), "loop", ("addi", "t0", "t0", -1), ("bne", "t0", "x0", "loop"),
        ("beq", "t0", "t1", "over"), ("jal", "ra", "called"), "over", ("li", "a0", 0), *EXIT,
        "called", ("add", "t1", "t1", "t1"), ("jalr", "x0", "ra", 0),
    ]  # fmt: skip
    run = execute(assemble(items))
    assert bounded_rows(run)["add"] == 0
    blocks = find_blocks(run.image)
    assert [block.calls for block in blocks].count(True) >= 1
    assert sum(block.end - block.first for block in blocks) == len(run.image.program)


def test_what_is_no_padding() -> None:
    for bad in (3, 256, 1 << 25, "rows"):
        with pytest.raises(UsageError, match="padding to"):
            check_padding(bad)
    for good in (0, 512, 1 << 24, "program"):
        check_padding(good)


def test_bounds_that_differ_a_little_become_equal() -> None:
    assert room({"a": 0, "b": 1000, "c": 1030}) == {"a": 0, "b": 1152, "c": 1152}
    assert all(count <= rows for count, rows in ((count, room({"x": count})["x"]) for count in range(1, 5000)))


def inputs(model: CompiledModel, kind: str, random: np.random.Generator) -> list[np.ndarray]:
    result = []
    for tensor in model.inputs:
        lo, hi, size = max(tensor.lo, -(1 << 30)), min(tensor.hi, 1 << 30), tensor.size
        zero = min(max(0, lo), hi)
        drawn = random.integers(lo, hi + 1, size)
        choices = {
            "random": drawn,
            "positive": np.maximum(drawn, zero),
            "small": np.clip(drawn // 64, lo, hi),
            "sparse": np.where(random.random(size) < 0.1, drawn, zero),
            "lowest": np.full(size, lo),
            "highest": np.full(size, hi),
            "zero": np.full(size, zero),
        }
        result.append(choices[kind].astype(np.int64))
    return result


def heights_seen(model: CompiledModel, count: int, params: str = "balanced") -> set[tuple[int, ...]]:
    """Heights of proofs of that many runs, of all kinds of inputs; nothing is proven of those in which a value saturates."""
    program, random = read_elf(model.elf), np.random.default_rng(count)
    seen, proven = set(), 0
    for number in range(count):
        stdin = model.stdin(inputs(model, KINDS[number % len(KINDS)], random))
        run = run_image(*program, ExecutorEnv(stdin), trace=True)
        if run.exit_code == SATURATED_EXIT:
            continue
        assert run.exit_code == 0
        proven += 1
        seen.add(planned_heights(machine(), run, program[1], parameters(params).exempt, padding("program", run)))
    assert 2 * proven > count
    return seen


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize("name", NETWORKS)
def test_heights_tell_nothing_of_the_input(name: str, private: bool) -> None:
    model, samples = NETWORKS[name]()
    assert len(heights_seen(compiled(model, samples, Options(privacy=Privacy(private_weights=private))).model, 2 * len(KINDS))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize("name", NETWORKS)
def test_forty_inputs(name: str, private: bool) -> None:
    model, samples = NETWORKS[name]()
    assert len(heights_seen(compiled(model, samples, Options(privacy=Privacy(private_weights=private))).model, 40)) == 1


def test_a_proof_has_these_heights() -> None:
    made = compiled(*NETWORKS["dense"]())
    info = api.prove(
        made.model.elf, made.model.stdin(inputs(made.model, "random", np.random.default_rng(1))), params="fast", pad_to="program"
    )
    assert info.receipt.seal is not None
    (expected,) = heights_seen(made.model, 1, "fast")
    assert tuple(1 << log if log else 0 for log in info.receipt.seal.log_heights) == expected
