"""The loader takes what the machine can prove and refuses everything else with a reason."""

from __future__ import annotations

import contextlib
import random
import struct
import sys
import tracemalloc
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tests.riscv.vm.elf_files import EXECUTE, PT_DYNAMIC, PT_INTERP, READ, TEXT, WRITE, ElfSpec, Header, code
from zkvm.errors import ElfError, GuestTrap
from zkvm.riscv.vm.demangle import readable
from zkvm.riscv.vm.elf import MAX_NAME_BYTES, load_image, parse_elf
from zkvm.riscv.vm.executor import execute

GOOD = Header(TEXT, code(), READ | EXECUTE)


def test_a_minimal_file_runs() -> None:
    assert execute(load_image(ElfSpec().build())).exit_code == 7


def test_segments_entry_and_symbols() -> None:
    data = Header(0x2_0000, b"abc", READ | WRITE, size=100)
    program = parse_elf(ElfSpec([GOOD, data], symbols={"beta": TEXT + 4, "alpha": TEXT, "also_alpha": TEXT}).build())
    assert program.entry == TEXT
    assert program.symbols == ((TEXT, "alpha"), (TEXT + 4, "beta"))
    text, other = program.segments
    assert (text.address, text.data, text.size, text.writable, text.executable) == (TEXT, code(), len(code()), False, True)
    assert (other.address, other.data, other.size, other.writable, other.executable) == (0x2_0000, b"abc", 100, True, False)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ElfSpec(elf_class=2), "64-bit"),
        (ElfSpec(endian=2), "big-endian"),
        (ElfSpec(machine=62), "not for RISC-V"),
        (ElfSpec(kind=3), "ET_DYN"),
        (ElfSpec(kind=1), "ET_REL"),
        (ElfSpec(flags=1), "compressed instructions"),
        (ElfSpec(flags=4), "floating-point"),
        (ElfSpec(flags=8), "RV32E"),
        (ElfSpec([GOOD, Header(0, b"/lib/ld.so", READ, kind=PT_INTERP)]), "dynamically linked"),
        (ElfSpec([GOOD, Header(0, bytes(8), READ, kind=PT_DYNAMIC)]), "dynamically linked"),
        (ElfSpec([]), "no loadable segments"),
        (ElfSpec([replace(GOOD, offset=1 << 20)]), "past the end of the file"),
        (ElfSpec([replace(GOOD, data_size=1 << 20, size=1 << 20)]), "past the end of the file"),
        (ElfSpec([replace(GOOD, size=4)]), "do not fit its memory size"),
        (ElfSpec([GOOD, Header(0x2_0000, b"", READ | WRITE, size=(1 << 30) + 1)]), "above the limit"),
        (ElfSpec([GOOD, Header(0x2_0000, b"", READ, size=(1 << 27) + 1)]), "read-only segments have"),
        (ElfSpec([replace(GOOD, flags=READ | WRITE | EXECUTE)]), "both writable and executable"),
        (ElfSpec([GOOD, Header(TEXT + 8, bytes(16), READ)]), "overlap"),
        (ElfSpec([GOOD, Header(TEXT + len(code()) - 1, bytes(16), READ | WRITE)]), "overlap"),
        (ElfSpec([GOOD, Header(0x2_0000, b"a", READ), Header(0x2_0001, b"b", READ | WRITE)]), "share a word"),
        (ElfSpec([GOOD, Header(0x2_0000, b"a", READ | WRITE), Header(0x2_0002, b"b", READ)]), "share a word"),
        (ElfSpec([GOOD, Header(0xFFC, bytes(8), READ)]), "outside the memory"),
        (ElfSpec([GOOD, Header(0, bytes(8), READ | WRITE)]), "outside the memory"),
        (ElfSpec([GOOD, Header(0xF000_0000, bytes(4), READ | WRITE)]), "outside the memory"),
        (ElfSpec([GOOD, Header(0xEFFF_0000, bytes(4), READ | WRITE)]), "no room for a stack"),
        (ElfSpec([Header(0xFFFF_FFF0, code() + bytes(4), READ | EXECUTE)], entry=0xFFFF_FFF0), "pc \\+ 4"),
        (ElfSpec([Header(0xFFFF_FF00, bytes(8), READ, size=0x200), GOOD]), "outside the memory"),
        (ElfSpec([replace(GOOD, address=TEXT + 2)], entry=TEXT + 2), "not aligned to 4 bytes"),
        (ElfSpec(entry=TEXT + 2), "not an aligned address"),
        (ElfSpec(entry=TEXT + len(code())), "not an aligned address"),
        (ElfSpec([GOOD, Header(0x2_0000, code(), READ)], entry=0x2_0000), "executable segment"),
        (ElfSpec([Header(TEXT, b"\x01\x45\x01\x45", READ | EXECUTE)]), "holds no RV32IM instruction"),
    ],
)
def test_refused(spec: ElfSpec, message: str) -> None:
    with pytest.raises(ElfError, match=message):
        load_image(spec.build())


@pytest.mark.parametrize("file", [b"", b"\x7fELF", b"#!/bin/sh\n" * 20, b"MZ" + bytes(100)])
def test_not_an_elf_file(file: bytes) -> None:
    with pytest.raises(ElfError, match="ELF"):
        load_image(file)


def test_every_truncation_is_refused_but_of_what_is_not_loaded() -> None:
    """Tools that strip a file may leave a table of sections that is no longer there; nothing that is proven depends on it."""
    file = ElfSpec([GOOD, Header(0x2_0000, b"data", READ | WRITE)], symbols={"main": TEXT}).build()
    whole, loaded = load_image(file), 52 + 2 * 32 + len(code()) + 4
    for length in range(loaded):
        with pytest.raises(ElfError):
            load_image(file[:length])
    for length in range(loaded, len(file)):
        assert load_image(file[:length]).content_id == whole.content_id
    stale = struct.pack("<I", 0xFFFF_FFF0)
    assert load_image(file[:E_SHOFF] + stale + file[E_SHOFF + 4 :]).content_id == whole.content_id


PT_NOTE, PT_TLS, PT_GNU_STACK, PT_GNU_RELRO, PT_RISCV_ATTRIBUTES = 4, 7, 0x6474_E551, 0x6474_E552, 0x7000_0003


@pytest.mark.parametrize("kind", [PT_NOTE, PT_TLS, PT_GNU_STACK, PT_GNU_RELRO, PT_RISCV_ATTRIBUTES])
def test_headers_that_load_nothing_are_passed_over(kind: int) -> None:
    file = ElfSpec([GOOD, Header(0x9_0000, b"anything", READ | WRITE, kind=kind, size=1 << 31)]).build()
    assert load_image(file).content_id == load_image(ElfSpec([GOOD]).build()).content_id


@pytest.mark.parametrize(
    ("word", "what"),
    [
        (0x0000_4501, "compressed code: compile with -march=rv32im, without the C extension"),
        (0x1005_A52F, "an atomic instruction"),
        (0x0005_2507, "a floating-point instruction: compile with -march=rv32im -mabi=ilp32"),
        (0x02A5_7553, "a floating-point instruction"),
        (0x3000_2573, "a control register"),
        (0x0205_6007, "a floating-point instruction"),
        (0x5E05_3057, "a vector instruction"),
        (0xC000_1073, "unimp, which compilers put where execution must not arrive"),
        (0, "zeros: no instruction"),
        (0xFFFF_FFFF, "not RV32IM"),
    ],
)
def test_foreign_instructions_are_named(word: int, what: str) -> None:
    nop, foreign = (value.to_bytes(4, "little") for value in (0x13, word))
    with pytest.raises(ElfError, match=f"holds no RV32IM instruction but {what}"):
        load_image(ElfSpec([Header(TEXT, foreign, READ | EXECUTE)]).build())
    with pytest.raises(GuestTrap, match=f"illegal instruction at 0x00010004: {what}") as caught:
        execute(load_image(ElfSpec([Header(TEXT, nop + foreign, READ | EXECUTE)]).build()))
    assert caught.value.kind == "illegal_instruction"


def test_damaged_files_raise_nothing_else() -> None:
    """Any damaged file either loads or is an ElfError: no other exception, no large allocation."""
    rng = random.Random(5)
    file = ElfSpec([GOOD, Header(0x2_0000, b"data", READ | WRITE, size=64)], symbols={"main": TEXT, "other": TEXT + 4}).build()
    refused = 0
    for _ in range(1500):
        damaged = bytearray(file)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(4, len(file))] = rng.choice((0, 0xFF, rng.randrange(256)))
        try:
            load_image(bytes(damaged))
        except ElfError:
            refused += 1
    assert refused > 300


def changed(file: bytes, offset: int, form: str, *values: int) -> bytes:
    """A file with other numbers at an offset."""
    data = bytearray(file)
    struct.pack_into(f"<{form}", data, offset, *values)
    return bytes(data)


E_SHOFF, E_PHENTSIZE, E_PHNUM = 32, 42, 44
ONE_MEBIBYTE = Header(0x2_0000, b"", READ, offset=0, data_size=1 << 20, size=1 << 20)
"""A segment that has the file's own first bytes as data."""


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (changed(ElfSpec().build(), E_PHENTSIZE, "H", 0), "program headers of 0 bytes"),
        (changed(ElfSpec().build(), E_PHENTSIZE, "HH", 0, 0xFFFF), "65535 program headers"),
        (changed(ElfSpec().build(), E_PHENTSIZE, "H", 56), "program headers of 56 bytes"),
        (changed(ElfSpec().build(), E_PHNUM, "H", 1025), "1025 program headers"),
        (ElfSpec([GOOD, *[ONE_MEBIBYTE] * 300]).build() + bytes(1 << 20), "bytes of data together"),
    ],
    ids=["headers without size", "count in a section", "headers of another class", "many headers", "bytes used many times"],
)
def test_files_that_ask_for_much(file: bytes, message: str) -> None:
    """Small files whose numbers stand for endless work or memory are refused at once."""
    with pytest.raises(ElfError, match=message):
        load_image(file)


def many_names() -> bytes:
    """Thousands of symbols with long names, all of them tails of one string, at addresses of their own."""
    count, length = 5000, 100_000
    file = ElfSpec(symbols={"x": TEXT}).build()
    names = b"\0.symtab\0.strtab\0.shstrtab\0"
    table = b"".join(struct.pack("<IIIBBH", number % length, TEXT + number, 0, 0x12, 0, 1) for number in range(count))
    strings = b"x" * length + b"\0"
    at = [len(file), len(file) + len(table), len(file) + len(table) + len(strings)]
    headers = bytes(40)
    headers += struct.pack("<10I", 1, 2, 0, 0, at[0], len(table), 2, 1, 4, 16)
    headers += struct.pack("<10I", 9, 3, 0, 0, at[1], len(strings), 0, 0, 1, 0)
    headers += struct.pack("<10I", 17, 3, 0, 0, at[2], len(names), 0, 0, 1, 0)
    return changed(file + table + strings + names + headers, E_SHOFF, "I", at[2] + len(names))


def test_an_image_does_not_depend_on_sections() -> None:
    """Without the names nothing of the sections is read, right or wrong, and the image is the same."""
    right = ElfSpec(symbols={"main": TEXT, "other": TEXT + 4}).build()
    expected = load_image(right)
    for file in (right, changed(right, E_SHOFF, "I", 7), changed(right, E_SHOFF, "I", 0xFFFF_FFF0), many_names()):
        tracemalloc.start()
        image = load_image(file, symbols=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert image.symbols == ()
        assert image.content_id == expected.content_id
        assert image.program.tobytes() == expected.program.tobytes()
        assert peak < 10 * len(file) + (1 << 20)


def test_names_that_share_their_bytes_take_little_memory() -> None:
    """As many copies of one long string as there are symbols would be a thousand times the file."""
    file = many_names()
    tracemalloc.start()
    symbols = load_image(file).symbols
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [address for address, _ in symbols] == list(range(TEXT, TEXT + 5000))
    assert {name for _, name in symbols} == {"x" * MAX_NAME_BYTES}
    assert peak < 2 * len(symbols) * MAX_NAME_BYTES + 10 * len(file)


def test_damaged_files_without_names_raise_nothing_else() -> None:
    """The same damage as above, and numbers at the places where the file says how much there is."""
    rng = random.Random(6)
    file = ElfSpec([GOOD, Header(0x2_0000, b"data", READ | WRITE, size=64)], symbols={"main": TEXT}).build()
    refused = 0
    for _ in range(1500):
        damaged = bytearray(file)
        for _ in range(rng.randrange(1, 4)):
            place = rng.randrange(16, 116) if rng.randrange(2) else rng.randrange(4, len(file))
            damaged[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        try:
            load_image(bytes(damaged), symbols=False)
        except ElfError:
            refused += 1
    assert refused > 500


def read_by_pyelftools(file: bytes) -> tuple[int, list[tuple[int, bytes, int, int]], list[tuple[int, str]]]:
    """Entry, loadable segments and functions as another reader has them."""
    elf = ELFFile(BytesIO(file))
    segments = [(s["p_vaddr"], s.data(), s["p_memsz"], s["p_flags"]) for s in elf.iter_segments("PT_LOAD")]
    names: dict[int, str] = {}
    table = elf.get_section_by_name(".symtab")
    for symbol in table.iter_symbols() if isinstance(table, SymbolTableSection) else []:
        if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF" and symbol.name:
            names[symbol["st_value"]] = min(names.get(symbol["st_value"], symbol.name), symbol.name)
    return elf["e_entry"], segments, sorted(names.items())


GUESTS = sorted(Path(__file__).resolve().parents[3].glob("guest_programs/*/*.elf"))


@pytest.mark.parametrize("path", GUESTS, ids=lambda path: path.stem)
def test_another_reader_sees_the_same(path: Path) -> None:
    file = path.read_bytes()
    program, (entry, segments, names) = parse_elf(file), read_by_pyelftools(file)
    assert program.entry == entry
    assert [(s.address, s.data, s.size, bool(s.writable), bool(s.executable)) for s in program.segments] == [
        (address, data, size, bool(flags & WRITE), bool(flags & EXECUTE)) for address, data, size, flags in segments
    ]
    assert list(program.symbols) == [(address, readable(name)) for address, name in names]
    assert len(names) >= 2


def test_another_reader_sees_the_same_in_damaged_files() -> None:
    """Whatever is taken is what pyelftools takes; what it refuses is in the sections, or refused here, too."""
    rng = random.Random(7)
    file = ElfSpec([GOOD, Header(0x2_0000, b"data", READ | WRITE, size=64)], symbols={"main": TEXT}).build()
    taken = 0
    for _ in range(600):
        damaged = bytearray(file)
        damaged[rng.randrange(16, 52 + 64)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        with contextlib.suppress(ElfError):
            program = parse_elf(bytes(damaged), symbols=False)
            entry, segments, _ = read_by_pyelftools(bytes(damaged[:32]) + bytes(4) + bytes(damaged[36:48]) + bytes(4) + bytes(damaged[52:]))
            assert (program.entry, [(s.address, s.data, s.size) for s in program.segments]) == (entry, [s[:3] for s in segments])
            taken += 1
    assert taken > 100


def test_no_library_reads_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "elftools"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "elftools", None)
    assert execute(load_image(ElfSpec().build())).exit_code == 7
