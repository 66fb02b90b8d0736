"""Lists every memory access that an execution's records stand for, and checks that they tell one consistent story."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa import calls as syscalls
from zkvm.riscv.isa import opcodes, semantics
from zkvm.riscv.isa.tensors import RESCALING
from zkvm.riscv.records import Execution

MAX_GAP = 1 << 16
ACCESS = np.dtype(
    [(name, np.uint64) for name in ("address", "before", "after", "t_prev", "time")] + [("refresh", np.bool_)],
)
"""One access: it consumes (address, before, t_prev) and produces (address, after, time)."""


def _accesses(address: Any, before: Any, after: Any, t_prev: Any, time: Any, *, refresh: bool = False) -> NDArray[Any]:
    out = np.zeros(len(np.atleast_1d(address)), ACCESS)
    out["address"], out["before"], out["after"], out["t_prev"], out["time"] = address, before, after, t_prev, time
    out["refresh"] = refresh
    return out


def all_accesses(execution: Execution) -> NDArray[Any]:
    """(n,) ACCESS by address, then time."""
    steps, rows = execution.steps, execution.image.program[execution.steps["row"]]
    parts = []
    for name, value, t_prev, delay in (("rs1", "v1", "t1", 0), ("rs2", "v2", "t2", 1)):
        used = rows[name] >= opcodes.REGISTER_BASE
        at = steps[used]
        parts.append(_accesses(rows[name][used], at[value], at[value], at[t_prev], at["time"] + delay))
    used = rows["rd"] != 0
    at = steps[used]
    parts.append(_accesses(rows["rd"][used], at["vd_prev"], at["vd"], at["td"], at["time"] + 3))
    used = np.isin(rows["op"], [*semantics.LOADS, *semantics.STORES]) & (steps["rom"] == 0)
    at = steps[used]
    after = [
        semantics.store(int(op), int(step["mem"]), int(step["address"]), int(step["v2"])) if op in semantics.STORES else int(step["mem"])
        for op, step in zip(rows["op"][used].tolist(), at, strict=True)
    ]
    parts.append(_accesses(at["address"] & np.uint32(0xFFFF_FFFC), at["mem"], after, at["tm"], at["time"] + 2))
    refreshes = execution.refreshes
    parts.append(
        _accesses(refreshes["address"], refreshes["value"], refreshes["value"], refreshes["t_prev"], refreshes["time"], refresh=True)
    )
    parts += _call_accesses(execution)
    for chain in (execution.reads, execution.writes):
        at = chain[chain["rom"] == 0]
        parts.append(_accesses(at["address"] & np.uint32(0xFFFF_FFFC), at["old"], at["new"], at["t_prev"], at["time"] + 1))
    for call in execution.tensor_calls:
        at = call.words
        parts.append(_accesses(at["address"], at["old"], at["new"], at["t_prev"], execution.ecalls["time"][call.ecall] + np.uint64(1)))
    permuting = execution.ecalls["time"][execution.ecalls["a7"] == syscalls.PERMUTE.number]
    for time, at in zip(permuting, execution.permuted, strict=True):
        parts.append(_accesses(at["address"], at["old"], at["new"], at["t_prev"], time + np.uint64(1)))
    for compression in execution.blake3_calls:
        before, final = compression["words"], compression["final"]
        output = np.concatenate([final[:8] ^ final[8:], before[8:]])
        addresses = int(compression["address"]) + 4 * np.arange(len(before), dtype=np.uint64)
        parts.append(_accesses(addresses, before, output, compression["t_prev"], compression["time"] + np.uint64(1)))
    together = np.concatenate(parts)
    return together[np.lexsort((together["time"], together["address"]))]


def _call_accesses(execution: Execution) -> list[NDArray[Any]]:
    calls = execution.ecalls
    base = opcodes.REGISTER_BASE
    # Exit, brk and permute access a7 and a0 only.
    longer = ~np.isin(calls["a7"], [call.number for call in syscalls.CALLS if not call.arguments])
    parts = []
    left = {name: calls[name].copy() for name in ("a1", "a2")}  # unless a tensor call rescaled, what was there
    for call in execution.tensor_calls:
        if call.descriptor.operation in RESCALING:
            left["a1"][call.ecall], left["a2"][call.ecall] = call.cuts.sum(axis=0)
    left |= {"a7": calls["a7"], "a0": calls["result"]}
    for name, number in (("a7", 17), ("a0", 10), ("a1", 11), ("a2", 12)):
        taken = longer if name in ("a1", "a2") else np.ones(len(calls), np.bool_)
        at = calls[taken]
        parts.append(_accesses(np.full(len(at), base + number), at[name], left[name][taken], at[f"t_{name}"], at["time"]))
    at = calls[(calls["a7"] == syscalls.WRITE.number) & (calls["a0"] == syscalls.FD_JOURNAL)]
    pointer = at["journal_pointer"]
    parts.append(_accesses(np.full(len(at), opcodes.JOURNAL_POINTER), pointer, pointer + at["a2"], at["t_journal"], at["time"]))
    at = calls[calls["a7"] == syscalls.BRK.number]
    for name, after, t_prev, address in (
        ("break_", "result", "t_break", opcodes.BREAK),
        ("heap_start", "heap_start", "t_heap_start", opcodes.HEAP_START),
        ("heap_limit", "heap_limit", "t_heap_limit", opcodes.HEAP_LIMIT),
    ):
        parts.append(_accesses(np.full(len(at), address), at[name], at[after], at[t_prev], at["time"]))
    return parts


def check_memory_bus(execution: Execution) -> None:
    """Every access consumes what the last one of its address produced, strictly later and not too late; ends and starts match the image."""
    accesses = all_accesses(execution)
    assert np.all(accesses["time"] > accesses["t_prev"])
    gaps = accesses["time"] - accesses["t_prev"] - np.uint64(1)
    assert np.all(gaps[~accesses["refresh"]] < MAX_GAP)
    assert np.all(gaps < 1 << 32)
    same = accesses["address"][1:] == accesses["address"][:-1]
    assert np.all(accesses["t_prev"][1:][same] == accesses["time"][:-1][same])
    assert np.all(accesses["before"][1:][same] == accesses["after"][:-1][same])
    first = np.concatenate([[True], ~same])
    last = np.concatenate([~same, [True]])
    assert np.all(accesses["t_prev"][first] == 0)
    touched = accesses["address"][first]
    image = execution.image
    origins = {int(a): (int(v), int(e), int(t)) for a, v, e, t in zip(
        image.ram_address, image.ram_value, execution.ram_last, execution.ram_last_time, strict=True)}  # fmt: skip
    zeros = zip(execution.zero_address, execution.zero_last, execution.zero_last_time, strict=True)
    listed = {int(a): (int(v), int(t)) for a, v, t in zeros}
    for address, before, after, time in zip(
        touched.tolist(), accesses["before"][first].tolist(), accesses["after"][last].tolist(), accesses["time"][last].tolist(), strict=True
    ):
        if address in origins:
            assert origins.pop(address) == (before, after, time)
        else:
            assert before == 0
            assert listed.pop(address // 4) == (after, time)
            assert any(start <= address // 4 < end for start, end in image.gaps)
    assert not listed, "zero-initialised words that nothing touched"
    assert all(initial == value and time == 0 for initial, value, time in origins.values())
    assert np.all(np.diff(execution.zero_address.astype(np.int64)) > 0)


def check_state_bus(execution: Execution) -> None:
    """The instructions form one chain of (pc, time) from the entry to the exit."""
    program, steps, calls = execution.image.program, execution.steps, execution.ecalls
    rows = np.concatenate([steps["row"], calls["row"]])
    times = np.concatenate([steps["time"], calls["time"]])
    index = np.concatenate([np.arange(len(steps)), np.full(len(calls), -1)])
    order = np.argsort(times)
    pc, time = execution.image.entry, opcodes.FIRST_TIME
    for position in order.tolist():
        row = program[rows[position]]
        assert (int(row["pc"]), int(times[position])) == (pc, time)
        op, imm = int(row["op"]), int(row["imm"])
        pc, time = pc + 4, time + opcodes.TIME_STEP
        if index[position] >= 0:
            step = steps[index[position]]
            v1, v2 = int(step["v1"]), int(step["v2"])
            if op == opcodes.JAL or (op in semantics.TAKEN and semantics.TAKEN[op](v1, v2)):
                pc = imm
            elif op == opcodes.JALR:
                pc = semantics.jalr_target(v1, imm)
        else:
            assert op == opcodes.ECALL
    assert execution.cycles == len(steps) + len(calls)
    assert calls[-1]["a7"] in (syscalls.EXIT.number, syscalls.EXIT_GROUP.number)
    assert calls[-1]["a0"] == calls[-1]["result"] == execution.exit_code


def check_results(execution: Execution) -> None:
    """Every step's result is what its operation computes from the values that it records."""
    program = execution.image.program
    for step in execution.steps:
        row = program[step["row"]]
        op, imm, v1, v2 = int(row["op"]), int(row["imm"]), int(step["v1"]), int(step["v2"])
        if op in semantics.COMPUTE:
            expected = semantics.COMPUTE[op](v1, v2)
        elif op in semantics.REGISTER_FORM:
            expected = semantics.COMPUTE[semantics.REGISTER_FORM[op]](v1, imm)
        elif op in semantics.LOADS:
            expected = semantics.load(op, int(step["mem"]), int(step["address"]))
        elif op in (opcodes.JAL, opcodes.JALR):
            expected = int(row["rs1" if op == opcodes.JAL else "rs2"])
        else:
            expected = 0
        assert step["vd"] == expected, opcodes.NAMES[op]
        if op in semantics.LOADS or op in semantics.STORES:
            assert step["address"] == (v1 + imm) & semantics.MASK32
        else:
            assert step["address"] == step["mem"] == step["rom"] == step["tm"] == 0
