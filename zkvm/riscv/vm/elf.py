"""ELF files -> the segments that this machine can prove. Everything that is refused is refused here or in ``image.py``.

What enters an image is in the file's header and its program headers; sections are looked at for the names of functions only, which
messages and profiles show. All are tables of numbers (System V ABI, chapter "Object Files"), so that they are read here: whoever trusts an
image ID that was computed from a program trusts these lines, and no library.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from zkvm.errors import ElfError
from zkvm.files import read_kinds
from zkvm.riscv.records import Image
from zkvm.riscv.vm.demangle import readable
from zkvm.riscv.vm.image import MAX_SEGMENT_BYTES, TENSORS, Program, build_image
from zkvm.riscv.vm.segment import Segment

ELF_MAGIC = b"\x7fELF"
MAX_ELF_BYTES = 1 << 30
"""Far more than the code and data that the tables can hold; the rest is debug information."""
CLASS_AT, CLASSES = 4, {1: 32, 2: 64}
ENDIAN_AT, LITTLE_ENDIAN = 5, 1
HEADER = struct.Struct("<16s2H4x4I2x4H2x")
"""Without e_version, e_ehsize and e_shstrndx."""
EXECUTABLE, RISCV = 2, 243
"""Of e_type and e_machine."""
TYPES = {1: "ET_REL", 3: "ET_DYN", 4: "ET_CORE"}
PROGRAM_HEADER, SECTION_HEADER = struct.Struct("<8I"), struct.Struct("<10I")
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DYNAMIC = {PT_DYNAMIC: "PT_DYNAMIC", PT_INTERP: "PT_INTERP"}
PF_EXECUTE, PF_WRITE = 1, 2
KIND_SHIFT, KIND_MASK = 20, 0xFF
"""Where p_flags mark a segment of constants of tensor calls: PF_MASKOS of the ELF specification."""
EF_RVC, EF_FLOAT_ABI, EF_RVE = 0x1, 0x6, 0x8
"""Bits of e_flags (RISC-V ELF psABI, version 1.0): compressed code, floating-point calling convention, 16 registers."""
SYMBOL = struct.Struct("<IIIBBH")
"""An entry of a symbol table: where its name is, value, size, kind, visibility, section."""
SYMBOL_TYPE, OBJECT, FUNCTION, UNDEFINED = 0xF, 1, 2, 0
SHT_SYMTAB = 2
MAX_NAME_BYTES = 1 << 10
"""Of a function's name; the rest of a longer one is not shown. Names may share bytes of the file, and are far longer than it together."""
MAX_PROGRAM_HEADERS = 1 << 10
"""Far more than linkers make; a count that is written elsewhere because it does not fit the file's header is above this, too."""
MAX_DATA_BYTES = 1 << 28
"""Bound on the data of all segments together, which may share bytes of the file: more than the tables of an image can hold."""


class _Header(NamedTuple):
    """The file's header, names as in the specification."""

    ident: bytes
    kind: int
    machine: int
    entry: int
    phoff: int
    shoff: int
    flags: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int


def read_program(path: str | os.PathLike[str]) -> bytes:
    """The content of a program's file; of what is no ELF file only the beginning.

    Raises:
        ElfError: it cannot be read, or is too long.
    """
    try:
        content = read_kinds(path, {ELF_MAGIC: MAX_ELF_BYTES})
    except OSError as error:
        raise ElfError(f"{os.fspath(path)}: {error.strerror}") from error
    if content is None:
        raise ElfError(f"{os.fspath(path)}: more than {MAX_ELF_BYTES} bytes: no program of this machine is that long")
    return content


def load_image(file: bytes, *, symbols: bool = True, tensors: bool = TENSORS) -> Image:
    """The image of an ELF file.

    Args:
        file: its content.
        symbols: whether to read the names of functions: only messages and profiles need them.
        tensors: whether the machine has tensor calls.

    Raises:
        ElfError: not a static little-endian RV32IM executable, or one that this machine cannot prove.
    """
    return build_image(parse_elf(file, symbols=symbols), tensors=tensors)


def parse_elf(file: bytes, *, symbols: bool = True) -> Program:
    """Loadable segments, entry and function symbols of an ELF file.

    Args:
        file: its content.
        symbols: whether to read the names of functions; without them no section is looked at.

    Raises:
        ElfError: says what is wrong and where.
    """
    if file[:4] != ELF_MAGIC:
        raise ElfError("not an ELF file: the first four bytes are not 7f 45 4c 46")
    if len(file) < HEADER.size:
        raise ElfError(f"truncated: {len(file)} bytes are too few for an ELF header")
    header = _Header._make(HEADER.unpack_from(file))
    _check_header(header)
    return Program(_segments(header, file), header.entry, _symbols(header, file) if symbols else ())


def _check_header(header: _Header) -> None:
    """Refuse every kind of ELF file but static RV32 executables without compressed instructions."""
    bits = CLASSES.get(header.ident[CLASS_AT])
    if bits != 32:
        known = f"a {bits}-bit ELF file" if bits else f"class {header.ident[CLASS_AT]}"
        raise ElfError(f"{known}: this machine runs 32-bit programs (offset 4, EI_CLASS)")
    if header.ident[ENDIAN_AT] != LITTLE_ENDIAN:
        raise ElfError("a big-endian ELF file: this machine is little-endian (offset 5, EI_DATA)")
    if header.machine != RISCV:
        raise ElfError(f"built for machine {header.machine}, not for RISC-V, which is {RISCV} (offset 18, e_machine)")
    if header.kind != EXECUTABLE:
        name = TYPES.get(header.kind, header.kind)
        raise ElfError(f"type {name}, not a static executable ET_EXEC: link with -static -no-pie (offset 16, e_type)")
    flags = header.flags
    if flags & EF_RVC:
        raise ElfError("contains compressed instructions: build with -march=rv32im (offset 36, e_flags)")
    if flags & EF_FLOAT_ABI:
        raise ElfError("uses the floating-point calling convention: build with -mabi=ilp32 (offset 36, e_flags)")
    if flags & EF_RVE:
        raise ElfError("built for RV32E, not for RV32IM (offset 36, e_flags)")
    count, size = header.phnum, header.phentsize
    if count > MAX_PROGRAM_HEADERS:
        raise ElfError(f"{count} program headers: the limit is {MAX_PROGRAM_HEADERS} (offset 44, e_phnum)")
    if count and size != PROGRAM_HEADER.size:
        raise ElfError(f"program headers of {size} bytes: those of a 32-bit file have {PROGRAM_HEADER.size} (offset 42, e_phentsize)")


def _segments(header: _Header, file: bytes) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    left = MAX_DATA_BYTES
    if header.phoff + header.phnum * PROGRAM_HEADER.size > len(file):
        where = f"{header.phnum} program headers at file offset 0x{header.phoff:x}"
        raise ElfError(f"truncated: {where} reach past the end of the file ({len(file)} bytes)")
    for number in range(header.phnum):
        kind, offset, address, _, data_size, size, flags, _ = PROGRAM_HEADER.unpack_from(file, header.phoff + number * PROGRAM_HEADER.size)
        if kind in DYNAMIC:
            raise ElfError(f"segment {number} is {DYNAMIC[kind]}: the program is dynamically linked; link with -static -no-pie")
        if kind != PT_LOAD:
            continue
        where = f"segment {number} at file offset 0x{offset:x}, address 0x{address:x}"
        if offset + data_size > len(file):
            raise ElfError(f"truncated: {where}: {data_size} bytes of data reach past the end of the file ({len(file)} bytes)")
        if data_size > size:
            raise ElfError(f"{where}: {data_size} bytes of data do not fit its memory size {size}")
        if size > MAX_SEGMENT_BYTES:
            raise ElfError(f"{where}: memory size {size} is above the limit of {MAX_SEGMENT_BYTES} bytes")
        left -= data_size
        if left < 0:
            raise ElfError(f"{where}: the segments have more than {MAX_DATA_BYTES} bytes of data together")
        writable, executable = bool(flags & PF_WRITE), bool(flags & PF_EXECUTE)
        mark = flags >> KIND_SHIFT & KIND_MASK
        segments.append(Segment(address, file[offset : offset + data_size], size, writable, executable, mark))
    if not segments:
        raise ElfError("no loadable segments")
    return tuple(segments)


def _symbols(header: _Header, file: bytes) -> tuple[tuple[int, str], ...]:
    """Functions by address; of several names for one address, the first by name."""
    entries, texts = _symbol_table(header, file) or (b"", b"")
    names: dict[int, str] = {}
    for start, address, _, kind, _, section in SYMBOL.iter_unpack(entries):
        if kind & SYMBOL_TYPE == FUNCTION and section != UNDEFINED and start < len(texts):
            name = texts[start : start + MAX_NAME_BYTES].partition(b"\0")[0].decode(errors="replace")
            if name:
                names[address] = min(names.get(address, name), name)
    return tuple((address, readable(name)) for address, name in sorted(names.items()))


def object_symbols(file: bytes) -> tuple[tuple[int, int], ...] | None:
    """(address, size) of every variable and constant that a symbol of an ELF file names, by address; None without a table of symbols.

    Args:
        file: what :func:`parse_elf` takes.
    """
    table = _symbol_table(_Header._make(HEADER.unpack_from(file)), file)
    if table is None:
        return None
    found = {
        (address, size)
        for _, address, size, kind, _, section in SYMBOL.iter_unpack(table[0])
        if kind & SYMBOL_TYPE == OBJECT and section != UNDEFINED
    }
    return tuple(sorted(found))


def _symbol_table(header: _Header, file: bytes) -> tuple[bytes, bytes] | None:
    """Entries of the table of symbols, and the names that they point to. None if there is none, or the table of sections is damaged.

    Tools that cut a file's end off leave such tables.
    """
    if header.shentsize != SECTION_HEADER.size or header.shoff + header.shnum * SECTION_HEADER.size > len(file):
        return None
    sections = list(SECTION_HEADER.iter_unpack(file[header.shoff : header.shoff + header.shnum * SECTION_HEADER.size]))
    table = next((section for section in sections if section[1] == SHT_SYMTAB), None)
    if table is None or table[6] >= len(sections):
        return None
    entries, texts = (file[section[4] : section[4] + section[5]] for section in (table, sections[table[6]]))
    return entries[: len(entries) // SYMBOL.size * SYMBOL.size], texts
