"""Image building: every word has one origin, and registers start where they should."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import blake3
import numpy as np
import pytest

from tests.riscv.vm.elf_files import TEXT, code
from zkvm.errors import ElfError
from zkvm.riscv.header import MAX_GAPS
from zkvm.riscv.isa import opcodes
from zkvm.riscv.records import Image
from zkvm.riscv.vm.image import (
    GUARD_BYTES,
    HIGHEST_FLOOR,
    INITIAL_STACK_BYTES,
    MAX_RANGES,
    STACK_BYTES,
    Program,
    build_image,
    check_gaps,
    content_id,
)
from zkvm.riscv.vm.segment import Segment

CODE = Segment(TEXT, code(), len(code()), writable=False, executable=True)
LIMIT, FLOOR, TOP = (1 << 28) - GUARD_BYTES, 1 << 28, (1 << 28) + STACK_BYTES
STACK = (FLOOR // 4, TOP // 4)


def build(*segments: Segment) -> Image:
    """An image of the code and more segments."""
    return build_image(Program((*segments, CODE), TEXT))


def data_rows(image: Image) -> dict[int, int]:
    """Address -> value of the RAM image without registers."""
    pairs = zip(image.ram_address.tolist(), image.ram_value.tolist(), strict=True)
    return {address: value for address, value in pairs if address < opcodes.REGISTER_BASE}


def test_registers_close_the_ram_image() -> None:
    image = build(Segment(0x2_0000, b"abcd", 4, writable=True, executable=False))
    assert image.ram_address[-37:].tolist() == [opcodes.REGISTER_BASE + index for index in range(37)]
    values = dict(zip(image.ram_address[-37:].tolist(), image.ram_value[-37:].tolist(), strict=True))
    assert values.pop(opcodes.REGISTER_BASE + 2) == image.initial_sp == TOP - INITIAL_STACK_BYTES
    assert values.pop(opcodes.BREAK) == values.pop(opcodes.HEAP_START) == image.heap_start == 0x2_0010
    assert values.pop(opcodes.HEAP_LIMIT) == image.heap_limit == LIMIT
    assert set(values.values()) == {0}
    assert image.initial_sp % 16 == 0


def test_text_is_rom_and_program() -> None:
    image = build()
    assert image.rom_address.tolist() == [TEXT, TEXT + 4, TEXT + 8]
    assert b"".join(int(value).to_bytes(4, "little") for value in image.rom_value) == code()
    assert image.program["pc"].tolist() == [TEXT, TEXT + 4, TEXT + 8]
    assert image.gaps == (((TEXT + len(code())) // 4, LIMIT // 4), STACK)
    assert image.entry == TEXT


def test_a_word_of_data_and_bss_belongs_to_the_ram_image() -> None:
    image = build(Segment(0x2_0002, b"abcde", 100, writable=True, executable=False))
    assert data_rows(image) == {0x2_0000: 0x6261_0000, 0x2_0004: 0x0065_6463}
    assert image.gaps == ((0x2_0008 // 4, LIMIT // 4), STACK)
    assert image.heap_start == 0x2_0070


def test_segments_that_share_a_word() -> None:
    first = Segment(0x2_0000, b"ab", 2, writable=True, executable=False)
    second = Segment(0x2_0002, b"cd", 2, writable=True, executable=False)
    assert data_rows(build(first, second)) == {0x2_0000: int.from_bytes(b"abcd", "little")}
    bss = replace(first, data=b"", size=2)
    assert data_rows(build(bss, second)) == {0x2_0000: int.from_bytes(b"\0\0cd", "little")}
    assert build(bss, second).gaps == ((0x2_0004 // 4, LIMIT // 4), STACK)
    readable = [replace(segment, writable=False) for segment in (first, second)]
    assert build(*readable).rom_value.tolist()[-1] == int.from_bytes(b"abcd", "little")


def test_bss_between_segments_is_a_gap_of_its_own() -> None:
    low = Segment(0x2_0000, b"", 10, writable=True, executable=False)
    high = Segment(0x3_0000, b"abcdefgh", 9, writable=True, executable=False)
    image = build(low, high)
    assert image.gaps == ((0x2_0000 // 4, 0x2_000C // 4), (0x3_0008 // 4, LIMIT // 4), STACK)


@pytest.mark.parametrize(("start", "size"), [(1, 2), (2, 2), (2, 6), (3, 1), (3, 2), (0, 3)])
def test_bss_may_begin_within_a_word(start: int, size: int) -> None:
    """Linkers put a section of bytes wherever the one before ended: all of its words are zeros, and no others."""
    image = build(Segment(0x2_0000 + start, b"", size, writable=True, executable=False), Segment(0x3_0000, b"a", 1, True, False))
    assert image.gaps == ((0x2_0000 // 4, -(-(0x2_0000 + start + size) // 4)), (0x3_0004 // 4, LIMIT // 4), STACK)
    below = Segment(0x2_0000, b"z", 1, writable=True, executable=False)
    taken = build(below, Segment(0x2_0001, b"", 6, writable=True, executable=False))
    assert data_rows(taken) == {0x2_0000: ord("z")}
    assert taken.gaps == ((0x2_0004 // 4, LIMIT // 4), STACK)


def test_zeros_behind_read_only_data_are_rom() -> None:
    image = build(Segment(0x2_0000, b"abcd", 12, writable=False, executable=False))
    assert image.rom_address.tolist()[-3:] == [0x2_0000, 0x2_0004, 0x2_0008]
    assert image.rom_value.tolist()[-2:] == [0, 0]


def data_up_to(end: int) -> Segment:
    return Segment(end - 4, b"abcd", 4, writable=True, executable=False)


@pytest.mark.parametrize(
    ("end", "floor"),
    [
        (0x2_0000, FLOOR),
        (FLOOR - 2 * GUARD_BYTES, FLOOR),
        (FLOOR - 2 * GUARD_BYTES + 4, 2 * FLOOR),
        (FLOOR + 4, 2 * FLOOR),
        (0x8000_0004, 0x9000_0000),
        (HIGHEST_FLOOR - 2 * GUARD_BYTES, HIGHEST_FLOOR),
    ],
)
def test_stack_heap_and_data_never_meet(end: int, floor: int) -> None:
    """Wherever the program is linked: the guard is as large as the stack, the heap at least."""
    image = build(data_up_to(end))
    assert image.gaps[-2:] == ((end // 4, (floor - GUARD_BYTES) // 4), (floor // 4, (floor + STACK_BYTES) // 4))
    assert (image.heap_limit, image.stack_floor) == (floor - GUARD_BYTES, floor)
    assert image.initial_sp == floor + STACK_BYTES - INITIAL_STACK_BYTES
    assert image.heap_start + GUARD_BYTES - 16 <= image.heap_limit
    assert GUARD_BYTES == STACK_BYTES == 8 << 20


def test_a_program_linked_too_high_is_refused() -> None:
    with pytest.raises(ElfError, match="no room for a stack"):
        build(data_up_to(HIGHEST_FLOOR - 2 * GUARD_BYTES + 4))


def test_a_program_in_too_many_pieces_is_refused() -> None:
    pieces = [Segment(0x10_0000 + 0x1000 * k, b"abcd", 8, writable=True, executable=False) for k in range(MAX_RANGES)]
    assert len(build(*pieces[1:]).gaps) == MAX_RANGES == MAX_GAPS
    with pytest.raises(ElfError, match="65 zero-initialised ranges; the limit is 64"):
        build(*pieces)


@pytest.mark.parametrize(
    "gaps",
    [((10, 10),), ((10, 9),), ((10, 20), (15, 30)), ((30, 40), (10, 20)), ((10, (1 << 30) + 1),), ((0, 5),)],
)
def test_bad_gaps_are_refused(gaps: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ElfError, match="out of order"):
        check_gaps(gaps, np.empty(0, np.int64))


def test_a_word_with_two_origins_is_refused() -> None:
    with pytest.raises(ElfError, match="holds words"):
        check_gaps(((10, 20),), np.array([19]))
    with pytest.raises(ElfError, match="RAM and to ROM"):
        check_gaps(((10, 20),), np.array([20, 5, 20]))


def test_content_id_is_blake3_of_the_segments() -> None:
    program = Program((Segment(0x2_0000, b"abc", 8, writable=True, executable=False), CODE), TEXT)
    expected = b"zkvm/content/1" + TEXT.to_bytes(4, "little")
    for address, size, data, permissions in ((TEXT, len(code()), code(), 2), (0x2_0000, 8, b"abc", 1)):
        expected += b"".join(number.to_bytes(8, "little") for number in (address, size, len(data), permissions)) + data
    assert content_id(program) == blake3.blake3(expected).digest() == build_image(program).content_id


def test_content_id_depends_on_everything_but_symbols() -> None:
    segment = Segment(0x2_0000, b"abc", 8, writable=True, executable=False)
    program = Program((CODE, segment), TEXT)
    changes: list[dict[str, Any]] = [{"address": 0x2_0004}, {"data": b"abd"}, {"size": 9}, {"writable": False}]
    variants = [replace(segment, **change) for change in changes]
    others = [replace(program, segments=(CODE, variant)) for variant in variants] + [replace(program, entry=TEXT + 4)]
    assert len({content_id(other) for other in (program, *others)}) == 6
    assert content_id(replace(program, symbols=((TEXT, "main"),))) == content_id(program)
    assert content_id(replace(program, segments=(segment, CODE))) == content_id(program)
