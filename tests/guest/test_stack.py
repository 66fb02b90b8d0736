"""A stack that grows too far traps and overwrites nothing, whatever the input chooses: depths, lengths of arrays, big frames."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.cli.running import invoke
from tests.guest.compiled import compiled, needs_compiler
from zkvm.api import execute as run
from zkvm.errors import GuestTrap
from zkvm.riscv.isa.opcodes import REGISTER_COUNT
from zkvm.riscv.records import Image
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute, run_kernel
from zkvm.riscv.vm.image import INITIAL_STACK_BYTES, STACK_BYTES
from zkvm.riscv.vm.memory import DATA, PAGE_WORDS, ZERO
from zkvm.riscv.vm.state import MachineState

pytestmark = needs_compiler

START = r"""
#include <zkvm.h>
#define KEEP(pointer) __asm__ volatile("" ::"r"(pointer) : "memory")
#define SEPARATE __attribute__((noinline))
static uint32_t sealed[] = {0x5ea15ea1, 0x5ea15ea1, 0x5ea15ea1, 0x5ea15ea1}, flags[64];
"""
"""What keeps the compiler from removing a frame or the data below the heap."""
RECURSION = (
    START
    + r"""
SEPARATE static uint32_t descend(uint32_t depth) {
    volatile uint8_t room[200];
    room[0] = 1;
    uint32_t lowest = depth ? descend(depth - 1) : (uint32_t)(uintptr_t)room;
    KEEP(room);
    return lowest;
}
int main(void) {
    KEEP(sealed);
    KEEP(flags);
    uint32_t depth = zkvm_read_u32(), bytes = zkvm_read_u32();
    uint32_t *end = (uint32_t *)((uintptr_t)zkvm_allocate(bytes) + bytes);
    if (bytes) for (int i = 1; i <= 64; i++) end[-i] = 0x5ea15ea1;
    zkvm_commit_u32(descend(depth));
    if (bytes) for (int i = 1; i <= 64; i++) zkvm_assert(end[-i] == 0x5ea15ea1);
    return 0;
}
"""
)
MUTUAL = (
    START
    + r"""
SEPARATE uint32_t odd(uint32_t left);
SEPARATE uint32_t even(uint32_t left) {
    uint8_t room[64];
    KEEP(room);
    uint32_t result = left ? odd(left - 1) : 1;
    KEEP(room);
    return result;
}
SEPARATE uint32_t odd(uint32_t left) {
    uint8_t room[96];
    KEEP(room);
    uint32_t result = left ? even(left - 1) : 0;
    KEEP(room);
    return result;
}
int main(void) {
    KEEP(sealed);
    KEEP(flags);
    zkvm_commit_u32(even(zkvm_read_u32()));
    return 0;
}
"""
)
CPP = (
    START
    + r"""
struct Node {
    uint32_t values[50];
    SEPARATE uint32_t walk(uint32_t depth) {
        Node next;
        KEEP(&next);
        uint32_t steps = depth ? next.walk(depth - 1) + 1 : 0;
        KEEP(&next);
        return steps;
    }
};
int main() {
    KEEP(sealed);
    KEEP(flags);
    Node first;
    zkvm_commit_u32(first.walk(zkvm_read_u32()));
    return 0;
}
"""
)
ARRAY = (
    START
    + r"""
#pragma clang diagnostic ignored "-Wvla"
SEPARATE static uint32_t fill(uint32_t length, uint32_t index) {
    ALLOCATE;
    if (index >= length) return 0;
    array[index] = 7;
    KEEP(array);
    return array[index];
}
int main(void) {
    KEEP(sealed);
    KEEP(flags);
    uint32_t length = zkvm_read_u32(), index = zkvm_read_u32();
    zkvm_commit_u32(fill(length, index));
    return 0;
}
"""
)
"""The index is inside the array, always."""
FRAME = (
    START
    + r"""
SEPARATE static uint32_t descend(uint32_t depth) {
    uint8_t room[ROOM];
    KEEP(room);
    room[0] = (uint8_t)depth; /* the rest of the frame stays untouched */
    uint32_t sum = depth ? descend(depth - 1) : 0;
    KEEP(room);
    return sum + room[0];
}
int main(void) {
    KEEP(sealed);
    KEEP(flags);
    zkvm_commit_u32(descend(zkvm_read_u32()));
    return 0;
}
"""
)
ARRAYS = {"variable length": "uint8_t array[length]", "alloca": "uint8_t *array = __builtin_alloca(length)"}
levels = pytest.mark.parametrize("optimization", ["0", "1", "3", "s"])


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def changed(image: Image, state: MachineState) -> dict[int, int]:
    """Words of data and heap that are not those of the start, by address."""
    memory = state.memory
    pages = np.array(memory.page_of_slot, np.int64)
    places = (pages[:, None] * PAGE_WORDS + np.arange(PAGE_WORDS)).ravel() * 4
    values, origins = memory.values[: len(places)].astype(np.uint64), memory.origins[: len(places)]
    owned = ((origins == ZERO) | (origins == DATA)) & (places < image.heap_limit)
    data = slice(0, len(image.ram_address) - REGISTER_COUNT)
    initial = np.zeros(len(places), np.uint64)
    initial[memory.locate((image.ram_address[data] // np.uint64(4)).astype(np.int64))] = image.ram_value[data]
    assert 0x5EA1_5EA1 in initial
    found = owned & (values != initial)
    return dict(zip(places[found].tolist(), values[found].tolist(), strict=True))


def trapped(elf: bytes, stdin: bytes) -> tuple[GuestTrap, dict[int, int]]:
    """Run to the trap; what it had changed of data and heap then."""
    image, states = load_image(elf), list[MachineState]()

    def watched(state: MachineState, limit: int) -> int:
        states[:] = [state]
        return run_kernel(state, limit)

    with pytest.raises(GuestTrap) as caught:
        execute(image, stdin, trace=False, runner=watched)
    return caught.value, changed(image, states[0])


@levels
@pytest.mark.parametrize("depth", [70_000, 1_000_000, 2**32 - 1])
def test_recursion_whose_depth_is_input(optimization: str, depth: int) -> None:
    trap, overwritten = trapped(compiled(RECURSION, optimization=optimization), words(depth, 0))
    assert (trap.kind, overwritten) == ("stack_overflow", {})


@levels
def test_the_whole_stack_can_be_used_and_nothing_more(optimization: str) -> None:
    elf = compiled(RECURSION, optimization=optimization)
    image = load_image(elf)
    shallow, deeper = (struct.unpack("<I", execute(image, words(depth, 0), trace=False).journal)[0] for depth in (0, 1))
    depth = (shallow - image.stack_floor) // (shallow - deeper)
    lowest = struct.unpack("<I", execute(image, words(depth, 0), trace=False).journal)[0]
    assert 0 <= lowest - image.stack_floor < shallow - deeper < 400
    assert image.initial_sp - image.stack_floor == STACK_BYTES - INITIAL_STACK_BYTES
    trap, overwritten = trapped(elf, words(depth + 1, 0))
    assert (trap.kind, overwritten) == ("stack_overflow", {})


def test_a_full_heap_below_a_full_stack() -> None:
    elf = compiled(RECURSION)
    image = load_image(elf)
    room = image.heap_limit - image.heap_start & -256
    assert room > 240 << 20
    assert execute(image, words(30_000, room), trace=False).exit_code == 0
    trap, overwritten = trapped(elf, words(70_000, room))
    end = image.heap_start + room
    assert (trap.kind, overwritten) == ("stack_overflow", dict.fromkeys(range(end - 256, end, 4), 0x5EA1_5EA1))  # by the program itself


def test_cpp() -> None:
    elf = compiled(CPP, name="main.cpp")
    assert execute(load_image(elf), words(1000), trace=False).journal == words(1000)
    trap, overwritten = trapped(elf, words(2**31))
    assert (trap.kind, overwritten) == ("stack_overflow", {})


@levels
@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_whose_length_is_input(kind: str, optimization: str) -> None:
    elf = compiled(ARRAY.replace("ALLOCATE", ARRAYS[kind]), optimization=optimization)
    image = load_image(elf)
    for length in (1, 15, 16, 100, 5000, 1 << 20, 7 << 20):
        for index in (0, length // 2, length - 1):
            assert execute(image, words(length, index), trace=False).journal == words(7)
    data = image.initial_sp - image.heap_start
    for length in (STACK_BYTES, 2 * STACK_BYTES, 3 * STACK_BYTES, data, data + 0x400, 1 << 28, 2**31 - 1, 2**31, 0x9000_0000):
        for index in (0, length - 0x300, length - 1):
            trap, overwritten = trapped(elf, words(length, index))
            assert (trap.kind, overwritten) == ("stack_overflow", {}), length
    # Subtracting one of these moves the stack pointer up, or so far down that the compiler's signed comparison takes it for that.
    for length in (0x9080_0000, 2**32 - data, 2**32 - STACK_BYTES, 2**32 - 4096, 2**32 - 300, 2**32 - 16, 2**32 - 1):
        for index in (0, length // 2, data - STACK_BYTES, length - 1):
            trap, overwritten = trapped(elf, words(length, index))
            assert (trap.kind, overwritten) == ("outside_memory", {}), length


@pytest.mark.parametrize("room", [5000, 65536, 3 << 20])
def test_frames_that_step_over_pages(room: int) -> None:
    elf = compiled(FRAME.replace("ROOM", str(room)))
    deepest = STACK_BYTES // (room + 64) - 1
    expected = sum(depth & 255 for depth in range(deepest + 1))
    assert execute(load_image(elf), words(deepest), trace=False).journal == words(expected)
    trap, overwritten = trapped(elf, words(deepest + 2 + deepest // 50))
    assert (trap.kind, overwritten) == ("stack_overflow", {})


@pytest.mark.parametrize("room", [9 << 20, 17 << 20, 250 << 20, 255 << 20])
def test_one_frame_that_is_larger_than_stack_and_guard(room: int) -> None:
    trap, overwritten = trapped(compiled(FRAME.replace("ROOM", str(room))), words(0))
    assert (trap.kind, overwritten) == ("stack_overflow", {})


def test_the_message_shows_the_path_with_repeated_calls_written_once() -> None:
    elf = compiled(RECURSION)
    with pytest.raises(GuestTrap) as caught:
        run(elf, words(70_000, 0))
    trap, lines = caught.value, str(caught.value).splitlines()
    floor = load_image(elf).stack_floor
    assert lines[0].startswith("stack overflow: access of address 0x0fff")
    assert lines[0].endswith(f"which is outside memory; the stack reaches down to 0x{floor:08x}")
    stack = lines[lines.index(f"  call stack of {len(trap.frames):,} calls, innermost first:") :]
    names = [line.split()[1].split("+")[0] for line in stack[1:]]
    assert names == ["descend", "descend", "this", "main", "_start"]
    assert stack[3] == f"    ... this call {len(trap.frames) - 4:,} times more"
    assert STACK_BYTES // 400 < len(trap.frames) < STACK_BYTES // 200


def test_functions_that_call_one_another_are_shortened_too() -> None:
    with pytest.raises(GuestTrap) as caught:
        run(compiled(MUTUAL), words(2**32 - 1))
    stack = str(caught.value).partition("innermost first:\n")[2].splitlines()
    names = [line.split()[1].split("+")[0] for line in stack]
    first, second = sorted(names[1:3])
    assert (first, second) == ("even", "odd")
    assert names[3:] == ["these", *names[4:]]
    assert stack[3].startswith("    ... these 2 calls ")
    assert names[-2:] == ["main", "_start"]
    assert len(names) < 9


def test_the_command_line_says_stack_overflow(tmp_path: Path) -> None:
    (tmp_path / "g.elf").write_bytes(compiled(RECURSION))
    (tmp_path / "in").write_bytes(words(70_000, 0))
    outcome = invoke("run", tmp_path / "g.elf", "--input", tmp_path / "in", "--json")
    assert (outcome.code, outcome.json["trap"]) == (4, "stack_overflow")
    assert "zkvm: stack overflow: access of address" in outcome.err
    assert outcome.json["depth"] > STACK_BYTES // 400
    assert len(outcome.json["frames"]) == 1000
