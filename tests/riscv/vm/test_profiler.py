"""The recorder: cycles and cells by row and by call path, whatever the batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.sample import INPUT, sample_image
from zkvm.riscv.isa import opcodes
from zkvm.riscv.isa.calls import CYCLES
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Image
from zkvm.riscv.vm import executor, profiler
from zkvm.riscv.vm.assemble import EXIT, Item, assemble
from zkvm.riscv.vm.dwarf import InlinedCall, InlineTable
from zkvm.riscv.vm.executor import execute
from zkvm.riscv.vm.profiler import Costs, Recorder
from zkvm.session import profiling

Paths = dict[tuple[str, ...], int]


def record(
    image: Image,
    stdin: bytes = b"",
    costs: Costs | None = None,
    inlined: InlineTable | None = None,
    own_line: Callable[[int, int], bool] | None = None,
) -> Recorder:
    recorder = Recorder(image, costs or Costs.nothing(), inlined, own_line)
    recorder.finish(execute(image, stdin, runner=recorder.run))
    return recorder


def paths(recorder: Recorder) -> Paths:
    return {path: cycles for path, cycles, _ in profiling.call_paths(recorder.tree, recorder.names)}


def test_counts_are_those_of_the_records() -> None:
    image = sample_image()
    recorder, execution = record(image, INPUT, profiling.costs()), execute(image, INPUT)
    rows = np.concatenate([execution.steps["row"], execution.ecalls["row"]])
    assert np.array_equal(recorder.row_cycles, np.bincount(rows, minlength=len(image.program)))
    assert sum(recorder.tree.cycles) == execution.cycles
    assert sum(recorder.tree.cells) == recorder.row_cells.sum()


def test_every_used_row_is_charged_to_an_instruction() -> None:
    """Rows of every chip are those that the chip itself counts, and their cells add up to what the instructions are charged."""
    image = sample_image()
    recorder, execution = record(image, INPUT, profiling.costs()), execute(image, INPUT)
    used = profiling.used_rows(recorder, execution)
    assert used == {chip.name: chip.rows(execution) for chip in machine().chips if chip.first is None}
    columns = profiling.columns_of()
    charged = sum(used[chip.name] * columns[chip.name] for chip in machine().chips if chip.first is None and not len(chip.preprocessed))
    assert recorder.row_cells.sum() == charged - len(image.gaps) * columns["zero_init"]  # the row that ends each list is nobody's


def test_refreshes_and_first_touches_are_charged_where_they_happen() -> None:
    loop: list[Item] = [("li", "t0", 40_000), "loop", ("addi", "t0", "t0", -1), ("bnez", "t0", "loop")]
    image = assemble([("la", "s0", "bss"), *loop, "touch", ("sw", "s0", "s0", 0), ("lw", "a1", "s0", 0), *EXIT], bss=64)
    recorder, columns = record(image, costs=profiling.costs()), profiling.columns_of()
    touch = next(address for address, name in image.symbols if name == "touch")
    store = int(np.flatnonzero(image.program["pc"] == touch)[0])
    # The word (first touch) and s0 were last used 2^16 or more before: two refreshes; the second use of s0 by the same store is recent.
    assert recorder.row_cells[store] == columns["store_word"] + columns["zero_init"] + 2 * columns["refresh"]
    assert recorder.row_cells[store + 1] == columns["load_word"] + columns["refresh"]  # a1 was never used


CALLS: list[Item] = [
    "main", ("call", "twice"), ("call", "tail"), ("mv", "a0", "zero"), *EXIT,
    "twice", ("mv", "s1", "ra"), ("call", "leaf"), ("call", "leaf"), ("jr", "s1"),
    "leaf", ("nop",), ("ret",),
    "tail", ("nop",), ("j", "leaf"),
]  # fmt: skip


def test_call_paths() -> None:
    recorder = record(assemble(CALLS))
    assert paths(recorder) == {
        ("main",): 5,
        ("main", "twice"): 4,
        ("main", "twice", "leaf"): 4,
        ("main", "tail"): 2,
        ("main", "tail", "leaf"): 2,  # below the function that jumped to it
    }
    assert recorder.stack == []
    functions = {entry.name: (entry.cycles, entry.total_cycles) for entry in profiling.function_costs(recorder)}
    assert functions == {"main": (5, 17), "twice": (4, 8), "leaf": (6, 6), "tail": (2, 4)}


def test_jumps_from_function_to_function_are_paths_in_the_order_of_the_first_ones() -> None:
    """A jump back to where the same call has been before goes on there; a second call of the same function begins anew."""
    program: list[Item] = [
        "main", ("li", "a1", 3), ("call", "first"), ("li", "a1", 1), ("call", "second"), ("mv", "a0", "zero"), *EXIT,
        "first", ("nop",), ("j", "second"),
        "second", ("addi", "a1", "a1", -1), ("bnez", "a1", "first"), ("j", "third"),
        "third", ("ret",),
    ]  # fmt: skip
    recorder = record(assemble(program))
    assert paths(recorder) == {
        ("main",): 7,
        ("main", "first"): 6,
        ("main", "first", "second"): 7,
        ("main", "first", "second", "third"): 1,
        ("main", "second"): 3,
        ("main", "second", "third"): 1,
    }
    assert recorder.stack == []


def test_jumps_beyond_the_most_take_the_last_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "MAX_JUMPS", 2)
    names = ["first", "second", "third", "fourth"]
    parts: list[Item] = [item for name, following in zip(names, names[1:], strict=False) for item in (name, ("j", following))]
    recorder = record(assemble(["main", ("call", "first"), ("mv", "a0", "zero"), *EXIT, *parts, "fourth", ("ret",)]))
    assert paths(recorder) == {
        ("main",): 4,
        ("main", "first"): 1,
        ("main", "first", "second"): 1,
        ("main", "first", "second", "third"): 1,
        ("main", "first", "second", "fourth"): 1,
    }
    assert recorder.stack == []


def test_a_system_call_counts_for_the_innermost_line_of_the_guest_s_own() -> None:
    """Of a jump that ends a function as well as of a call. Where no line is the guest's own, that of the system call itself counts."""
    program: list[Item] = [
        "main", "called", ("call", "cycles"), ("call", "tail"), ("mv", "a0", "zero"), *EXIT,
        "tail", ("nop",), "jumped", ("j", "cycles"),
        "cycles", ("li", "a7", CYCLES.number), ("ecall",), ("ret",),
    ]  # fmt: skip
    image = assemble(program)
    row = {name: int(np.flatnonzero(image.program["pc"] == address)[0]) for address, name in image.symbols}
    cost = profiling.columns_of()["ecall"]
    ends, made = np.flatnonzero(image.program["op"] == opcodes.ECALL).tolist()
    library = int(image.program["pc"][row["cycles"]])
    found = record(image, costs=profiling.costs(), own_line=lambda pc, scope: pc < library).call_cells
    assert found == {(made, row["called"]): cost, (made, row["jumped"]): cost, (ends, ends): cost}
    found = record(image, costs=profiling.costs(), own_line=lambda pc, scope: False).call_cells
    assert found == {(made, made): 2 * cost, (ends, ends): cost}


RECURSION: list[Item] = [
    "main", ("li", "a0", 300), ("call", "down"), ("mv", "a0", "zero"), *EXIT,
    "down", ("beqz", "a0", "end"), ("addi", "sp", "sp", -16), ("sw", "ra", "sp", 0), ("addi", "a0", "a0", -1), ("call", "other"),
    ("lw", "ra", "sp", 0), ("addi", "sp", "sp", 16), "end", ("ret",),
    "other", ("addi", "sp", "sp", -16), ("sw", "ra", "sp", 0), ("call", "down"), ("lw", "ra", "sp", 0), ("addi", "sp", "sp", 16), ("ret",),
]  # fmt: skip


def test_deep_recursion_ends_at_the_greatest_depth_and_comes_back() -> None:
    recorder = record(assemble(RECURSION))
    assert max(recorder.tree.depths) == profiler.MAX_DEPTH
    assert recorder.stack == []
    assert paths(recorder)[("main",)] == 5
    main = next(entry for entry in profiling.function_costs(recorder) if entry.name == "main")
    assert main.total_cycles == sum(recorder.tree.cycles)


@pytest.mark.parametrize("program", [CALLS, RECURSION, None])
def test_batches_do_not_matter(program: list[Item] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    image = sample_image() if program is None else assemble(program)
    whole = record(image, INPUT, profiling.costs())
    monkeypatch.setattr(profiler, "BATCH", 7)
    monkeypatch.setattr(executor, "TIME_SLICE", 5)
    parts = record(image, INPUT, profiling.costs())
    assert np.array_equal(whole.row_cells, parts.row_cells)
    assert np.array_equal(whole.used, parts.used)
    assert whole.refreshes == parts.refreshes
    assert whole.tree.cells == parts.tree.cells
    assert paths(whole) == paths(parts)
    assert whole.stack == parts.stack


def test_too_many_call_paths_count_for_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "MAX_NODES", 3)
    assert paths(record(assemble(CALLS))) == {("main",): 9, ("main", "twice"): 8}


def test_a_longjmp_drops_the_frames_between() -> None:
    program: list[Item] = [
        "main", ("call", "outer"), "back", ("mv", "a0", "zero"), *EXIT,
        "outer", ("mv", "s1", "ra"), ("call", "inner"), ("jr", "s1"),
        "inner", ("mv", "ra", "s1"), ("ret",),
    ]  # fmt: skip
    recorder = record(assemble(program))
    assert recorder.stack == []
    assert paths(recorder) == {("main",): 1, ("main", "back"): 3, ("main", "outer"): 2, ("main", "outer", "inner"): 2}


def test_inlined_calls_are_paths_below_the_function_that_they_are_in() -> None:
    """Of main's call of twice, the instruction itself is of an inlined function; of leaf, its first instruction is of two."""
    image = assemble(CALLS)
    address = {name: start for start, name in image.symbols}
    calls = (InlinedCall(0, "", "", 0), InlinedCall(0, "outer", "", 0), InlinedCall(0, "middle", "", 0), InlinedCall(2, "inner", "", 0))
    starts = np.array([address["main"], address["leaf"], address["leaf"]], np.uint64)
    recorder = record(image, costs=profiling.costs(), inlined=InlineTable(calls, starts, starts + np.uint64(4), np.array([1, 2, 3])))
    leaf = ("middle (inlined)", "inner (inlined)")
    assert paths(recorder) == {
        ("main",): 4,
        ("main", "outer (inlined)"): 1,
        ("main", "outer (inlined)", "twice"): 4,
        ("main", "outer (inlined)", "twice", "leaf"): 2,
        ("main", "outer (inlined)", "twice", "leaf", *leaf): 2,
        ("main", "tail"): 2,
        ("main", "tail", "leaf"): 1,
        ("main", "tail", "leaf", *leaf): 1,
    }
    assert recorder.stack == []
    functions = {entry.name: (entry.cycles, entry.total_cycles) for entry in profiling.function_costs(recorder)}
    assert functions["inner (inlined)"] == (3, 3)
    assert functions["middle (inlined)"] == (0, 3)
    assert functions["leaf"] == (3, 6)
    assert dict(recorder.cycles_by_function()) == {name: own for name, (own, _) in functions.items() if own}
    assert sum(recorder.tree.cells) == recorder.row_cells.sum()
