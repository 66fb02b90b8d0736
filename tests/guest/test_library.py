"""The guest library against Python, under the emulator and under this project's executor."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tools.emulator import emulate
from zkvm.api import check
from zkvm.guest.toolchain import build
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

SOURCE = Path(__file__).with_name("library_calls.c")
BUFFER = 128


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build([SOURCE], tmp_path_factory.mktemp("library") / "library.elf")


def model(buffer: bytearray, request: bytes) -> bytes:
    """What one request does to the buffer, and what it commits."""
    operation, target, source, length, value = request
    if operation in (0, 1):
        buffer[target : target + length] = bytes(buffer[source : source + length])
    elif operation == 2:
        buffer[target : target + length] = bytes([value]) * length
    else:
        left, right = buffer[target : target + length], buffer[source : source + length]
        different = next((a - b for a, b in zip(left, right, strict=True) if a != b), 0)
        return (different & 0xFFFF_FFFF).to_bytes(4, "little")
    return b""


def random_request(generator: random.Random, buffer: bytearray) -> bytes:
    operation = generator.randrange(4)
    length = generator.choice([0, 1, 2, 3, 4, 5, 7, 8, 31, 32, 33, generator.randrange(64)])
    target, source = (generator.randrange(BUFFER - length + 1) for _ in range(2))
    if operation == 0 and abs(target - source) < length:
        operation = 1  # memcpy's regions must not overlap
    if operation == 3 and generator.randrange(2):
        source = target  # equal regions, which chance would not give
    return bytes([operation, target, source, length, generator.randrange(256)])


def test_library_functions(elf: Path) -> None:
    generator = random.Random(1)
    start = bytearray(generator.randrange(2) for _ in range(BUFFER))  # two values only, so that memcmp goes far
    buffer, commits, requests = bytearray(start), b"", b""
    count = 600
    for _ in range(count):
        request = random_request(generator, buffer)
        requests += request
        commits += model(buffer, request)
    stdin = bytes(start) + count.to_bytes(4, "little") + requests
    seen = emulate(elf, stdin)
    assert seen.journal == commits + bytes(buffer)
    assert seen.stdout == b"lowest -2147483648\nzero 0\nend\n"
    assert seen.exit_code == 7
    own = execute(load_image(elf.read_bytes()), stdin)
    assert (own.journal, own.stdout, own.exit_code, own.cycles) == (seen.journal, seen.stdout, 7, seen.cycles)


def test_cycles_count_the_instructions_before_the_call(tmp_path: Path) -> None:
    source = tmp_path / "cycles.c"
    source.write_text(
        "#include <zkvm.h>\nint main(void) {\n    uint64_t first = zkvm_cycles();\n    volatile uint32_t x = zkvm_read_u32();\n"
        "    for (uint32_t i = x; i != 0; i--) x = x * 5 + 1;\n    uint64_t spent = zkvm_cycles() - first;\n"
        "    zkvm_commit(&first, 8);\n    zkvm_commit(&spent, 8);\n    return 0;\n}\n"
    )
    elf = build([source], tmp_path / "cycles.elf")
    spent = []
    for rounds in (1, 100):
        stdin = rounds.to_bytes(4, "little")
        own, seen = execute(load_image(elf.read_bytes()), stdin), emulate(elf, stdin)
        assert (own.journal, own.cycles) == (seen.journal, seen.cycles)
        first, count = (int.from_bytes(own.journal[at : at + 8], "little") for at in (0, 8))
        times = own.ecalls["time"][own.ecalls["a7"] == 4096]
        assert [first, first + count] == [(int(time) - 4) // 4 for time in times]
        assert first + count < own.cycles
        spent.append(count)
    assert (spent[1] - spent[0]) % 99 == 0
    assert check(elf, (3).to_bytes(4, "little")) == []


def test_input_that_ends_early_is_a_panic(elf: Path) -> None:
    seen = emulate(elf, bytes(BUFFER - 1))
    assert (seen.exit_code, seen.journal, seen.stderr) == (1, b"", b"the input ended early\n")


def test_allocation_stops_at_the_heap_limit(tmp_path: Path) -> None:
    source = tmp_path / "allocate.c"
    source.write_text("#include <zkvm.h>\nint main(void) { zkvm_allocate(zkvm_read_u32()); return 0; }\n")
    image = load_image(build([source], tmp_path / "allocate.elf").read_bytes())
    room = image.heap_limit - image.heap_start
    for length, code in ((0, 0), (room, 0), (room + 1, 1), (2**32 - 1, 1)):
        own = execute(image, length.to_bytes(4, "little"))
        assert own.exit_code == code
        assert own.stderr == (b"out of memory\n" if code else b"")


COPIED_POINTERS = r"""
#include <zkvm.h>
struct pair { uint32_t *at; float weight; };
static uint32_t values[2] = {7, 9};
static float nothing;
int main(void) {
    struct pair one = {values + (zkvm_read_u32() & 1), 2.5f}, two = {0, 0}, three = {0, 0};
    CALL(&two, &one, sizeof two);
    CALL(&three, &two, sizeof three);
    if (memcmp(&one, &three, sizeof one) != 0) zkvm_panic("not copied");
    zkvm_commit_u32(*three.at);
    zkvm_commit(&three.weight, sizeof three.weight);
    memset(&one, 0, sizeof one);
    if (two.weight == nothing || one.at != 0) zkvm_panic("wrong");
    return 0;
}
"""


@pytest.mark.parametrize("call", ["memcpy", "memmove"])
def test_copies_of_pointers_and_floats_are_seen_where_the_copy_is_inlined(tmp_path: Path, call: str) -> None:
    (tmp_path / "main.c").write_text(COPIED_POINTERS)
    elf = build([tmp_path / "main.c"], tmp_path / "out.elf", defines={"CALL": call})
    seen = emulate(elf, (1).to_bytes(4, "little"))
    assert (seen.exit_code, seen.journal) == (0, (9).to_bytes(4, "little") + bytes.fromhex("00002040"))
