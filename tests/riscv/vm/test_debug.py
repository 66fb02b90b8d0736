"""Traps for people: place in the source, instructions around it, call stack, last words."""

from __future__ import annotations

from pathlib import Path

import pytest

import zkvm
from tests.cli.running import guest, invoke
from tests.guest.compiled import compiled, needs_compiler
from zkvm.errors import GuestTrap
from zkvm.riscv.vm import debug
from zkvm.riscv.vm.assemble import EXIT

SOURCE = r"""#include <zkvm.h>
static int table[4];
__attribute__((noinline)) int *pick(int i) { zkvm_log("picking"); return i == 3 ? (int *)0 : &table[i]; }
__attribute__((noinline)) int load(int i) {
    int *at = pick(i);
    __asm__ volatile("" ::: "memory");
    return *(volatile int *)at + 1;
}
__attribute__((noinline)) int sum(int n) {
    int total = 0;
    for (int i = 0; i < n; i++) total += load(i);
    return total + 1;
}
int main(void) {
    zkvm_syscall(ZKVM_SYS_WRITE, ZKVM_FD_ERROR, (uint32_t)"last words\n", 11);
    zkvm_commit_u32(sum(zkvm_read_u32()));
    return 0;
}
"""
INLINED = r"""#include <zkvm.h>
static int table[4];
static inline int *pick(int i) { return i == 3 ? (int *)0 : &table[i]; }
static inline int load(int i) { return *(volatile int *)pick(i); }
static inline int sum(int n) {
    int total = 0;
    for (int i = 0; i < n; i++) total += load(i);
    return total;
}
int main(void) {
    int n = (int)zkvm_read_u32();
    zkvm_commit_u32((uint32_t)sum(n));
    return 0;
}
"""
FOUR = (4).to_bytes(4, "little")


def line_of(text: str, source: str = SOURCE) -> int:
    return next(number for number, line in enumerate(source.splitlines(), 1) if text in line)


def trap_of(elf: bytes, stdin: bytes = b"", env: zkvm.ExecutorEnv | None = None) -> GuestTrap:
    with pytest.raises(GuestTrap) as caught:
        zkvm.execute(elf, env or stdin)
    return caught.value


@needs_compiler
def test_a_null_pointer_shows_source_and_calls() -> None:
    trap = trap_of(compiled(SOURCE), FOUR)
    assert trap.kind == "outside_memory"
    assert [(frame.function.split("+")[0], frame.file, frame.line) for frame in trap.frames] == [
        ("load", "main.c", line_of("volatile int *)at")),
        ("sum", "main.c", line_of("total += load")),
        ("main", "main.c", line_of("zkvm_commit_u32(sum")),
        ("_start", "zkvm/runtime/start.S", trap.frames[-1].line),
    ]
    text = str(trap)
    assert text.startswith("access of address 0x00000000, which is outside memory\n")
    assert f"main.c:{line_of('volatile int *)at')}, after {trap.cycle} cycles" in text
    assert f"-> 0x{trap.pc:08x}  lw a0, 0(a0)" in text
    assert "a0 = 0x00000000" in text
    assert text.endswith("the guest's last words:\n    last words")


@needs_compiler
def test_inlined_functions_are_named_above_the_one_that_they_are_in(monkeypatch: pytest.MonkeyPatch) -> None:
    trap = trap_of(compiled(INLINED), FOUR)
    expected = [
        ("load", True, "main.c", line_of("int load(", INLINED)),
        ("sum", True, "main.c", line_of("total += load", INLINED)),
        ("main", False, "main.c", line_of("sum(n)", INLINED)),
    ]
    assert [(frame.function.split("+")[0], frame.inlined, frame.file, frame.line) for frame in trap.frames[:3]] == expected
    assert {frame.pc for frame in trap.frames[:3]} == {trap.pc}
    assert f"    0x{trap.pc:08x}  load (inlined), main.c:{line_of('int load(', INLINED)}\n" in str(trap)
    monkeypatch.setattr(debug, "MAX_REPLAY", 1)
    assert trap_of(compiled(INLINED), FOUR).frames == trap.frames[:3]  # without the run's repetition, the calls are not known


@needs_compiler
def test_words_that_somebody_saw_are_not_repeated() -> None:
    seen: list[bytes] = []
    trap = trap_of(compiled(SOURCE), env=zkvm.ExecutorEnv(FOUR, stderr=seen.append))
    assert b"".join(seen) == b"last words\n"  # once, although the run is repeated for the call stack
    assert "last words" not in str(trap)


@needs_compiler
def test_without_line_tables_the_remedy_is_named() -> None:
    trap = trap_of(compiled(SOURCE, debug_lines=False), FOUR)
    assert trap.frames[0].file == ""
    assert trap.frames[0].function.startswith("load+")
    assert "zkvm build keeps it" in str(trap)


@needs_compiler
def test_proving_and_the_command_line_tell_the_same(tmp_path: Path) -> None:
    elf = compiled(SOURCE)
    with pytest.raises(GuestTrap) as caught:
        zkvm.prove(elf, FOUR)
    assert str(caught.value) == str(trap_of(elf, FOUR))
    (tmp_path / "g.elf").write_bytes(elf)
    (tmp_path / "in").write_bytes(FOUR)
    outcome = invoke("run", tmp_path / "g.elf", "--input", tmp_path / "in", "--execute-only", "--json")
    assert outcome.code == 4
    assert [frame["function"].split("+")[0] for frame in outcome.json["frames"]] == ["load", "sum", "main", "_start"]


def test_a_call_to_nowhere_is_shown_where_it_is_made() -> None:
    trap = trap_of(guest([("nop",), ("jalr", "ra", "zero", 0), *EXIT]))
    assert trap.kind == "jump_outside_program"
    assert [frame.pc for frame in trap.frames] == [trap.pc]
    assert f"-> 0x{trap.pc:08x}  jalr ra, 0(zero)" in str(trap)


def test_an_illegal_instruction_after_a_call_shows_the_caller() -> None:
    trap = trap_of(guest([("call", "bad"), *EXIT, "bad", (".word", 0xFFFF_FFFF)]))
    assert [frame.pc for frame in trap.frames] == [trap.pc, trap.pc - 12]


def test_a_long_run_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debug, "MAX_REPLAY", 1)
    trap = trap_of(guest([("nop",), ("nop",), ("lw", "a0", "zero", 0), *EXIT]))
    assert len(trap.frames) == 1
    assert "no call stack: the run is longer than 1 cycles" in str(trap)
