"""ELF files -> the segments that this machine can prove. Everything that is refused is refused here or in ``image.py``.

Files are read by pyelftools, which is imported when one is: a receipt can be verified without it. What enters an image is in the file's
header and its program headers; sections are looked at for the names of functions only, which messages and profiles show.
"""

from __future__ import annotations

import os
import struct
from io import BytesIO
from typing import TYPE_CHECKING

from zkvm.errors import ElfError, UsageError
from zkvm.files import read_kinds
from zkvm.riscv.records import Image
from zkvm.riscv.vm.demangle import readable
from zkvm.riscv.vm.image import MAX_SEGMENT_BYTES, TENSORS, Program, build_image
from zkvm.riscv.vm.segment import Segment

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

ELF_MAGIC = b"\x7fELF"
MAX_ELF_BYTES = 1 << 30
"""Far more than the code and data that the tables can hold; the rest is debug information."""
PF_EXECUTE, PF_WRITE = 1, 2
KIND_SHIFT, KIND_MASK = 20, 0xFF
"""Where p_flags mark a segment of constants of tensor calls: PF_MASKOS of the ELF specification."""
EF_RVC, EF_FLOAT_ABI, EF_RVE = 0x1, 0x6, 0x8
"""Bits of e_flags (RISC-V ELF psABI, version 1.0): compressed code, floating-point calling convention, 16 registers."""
SYMBOL = struct.Struct("<IIIBBH")
"""An entry of a symbol table: where its name is, value, size, kind, visibility, section. Thousands of them, which pyelftools is slow at."""
SYMBOL_TYPE, FUNCTION, UNDEFINED = 0xF, 2, 0
SECTIONS_AT, SECTION_COUNT_AT = 32, 48
"""Where a 32-bit file's header says where its sections are; their number and the index of their names follow each other."""
PROGRAM_HEADER_BYTES = 32
MAX_PROGRAM_HEADERS = 1 << 10
"""Far more than linkers make; a count that is written elsewhere because it does not fit the file's header is above this, too."""
MAX_DATA_BYTES = 1 << 28
"""Bound on the data of all segments together, which may share bytes of the file: more than the tables of an image can hold."""


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
        UsageError: pyelftools is not installed.
    """
    return build_image(parse_elf(file, symbols=symbols), tensors=tensors)


def parse_elf(file: bytes, *, symbols: bool = True) -> Program:
    """Loadable segments, entry and function symbols of an ELF file.

    Args:
        file: its content.
        symbols: whether to read the names of functions; without them no section is looked at.

    Raises:
        ElfError: says what is wrong and where.
        UsageError: pyelftools is not installed.
    """
    if file[:4] != ELF_MAGIC:
        raise ElfError("not an ELF file: the first four bytes are not 7f 45 4c 46")
    if len(file) < 52:
        raise ElfError(f"truncated: {len(file)} bytes are too few for an ELF header")
    try:
        from elftools.elf.elffile import ELFFile
    except ModuleNotFoundError as error:
        raise UsageError("reading an ELF file needs pyelftools, which is not installed: pip install pyelftools") from error
    try:
        elf = ELFFile(BytesIO(file[:SECTIONS_AT] + bytes(4) + file[SECTIONS_AT + 4 : SECTION_COUNT_AT] + bytes(4) + file[52:]))
        _check_header(elf)
        return Program(_segments(elf, file), int(elf["e_entry"]), _symbols(file) if symbols else ())
    except ElfError:
        raise
    except Exception as error:  # pyelftools raises many kinds on malformed files, and all mean the same
        raise ElfError(f"malformed ELF file: {type(error).__name__}: {error}") from error


def _check_header(elf: ELFFile) -> None:
    """Refuse every kind of ELF file but static RV32 executables without compressed instructions."""
    header = elf.header
    if elf.elfclass != 32:
        raise ElfError(f"a {elf.elfclass}-bit ELF file: this machine runs 32-bit programs (offset 4, EI_CLASS)")
    if not elf.little_endian:
        raise ElfError("a big-endian ELF file: this machine is little-endian (offset 5, EI_DATA)")
    if header["e_machine"] != "EM_RISCV":
        raise ElfError(f"built for {header['e_machine']}, not for RISC-V (offset 18, e_machine)")
    if header["e_type"] != "ET_EXEC":
        raise ElfError(f"type {header['e_type']}, not a static executable ET_EXEC: link with -static -no-pie (offset 16, e_type)")
    flags = int(header["e_flags"])
    if flags & EF_RVC:
        raise ElfError("contains compressed instructions: build with -march=rv32im (offset 36, e_flags)")
    if flags & EF_FLOAT_ABI:
        raise ElfError("uses the floating-point calling convention: build with -mabi=ilp32 (offset 36, e_flags)")
    if flags & EF_RVE:
        raise ElfError("built for RV32E, not for RV32IM (offset 36, e_flags)")
    count, size = int(header["e_phnum"]), int(header["e_phentsize"])
    if count > MAX_PROGRAM_HEADERS:
        raise ElfError(f"{count} program headers: the limit is {MAX_PROGRAM_HEADERS} (offset 44, e_phnum)")
    if count and size != PROGRAM_HEADER_BYTES:
        raise ElfError(f"program headers of {size} bytes: those of a 32-bit file have {PROGRAM_HEADER_BYTES} (offset 42, e_phentsize)")


def _segments(elf: ELFFile, file: bytes) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    left = MAX_DATA_BYTES
    for number, segment in enumerate(elf.iter_segments()):
        kind, offset, data_size = segment["p_type"], int(segment["p_offset"]), int(segment["p_filesz"])
        if kind in ("PT_INTERP", "PT_DYNAMIC"):
            raise ElfError(f"segment {number} is {kind}: the program is dynamically linked; link with -static -no-pie")
        if kind != "PT_LOAD":
            continue
        size, address, flags = int(segment["p_memsz"]), int(segment["p_vaddr"]), int(segment["p_flags"])
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


def _symbols(file: bytes) -> tuple[tuple[int, str], ...]:
    """Functions by address; of several names for one address, the first by name. None where the table of sections is damaged."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    names: dict[int, str] = {}
    try:
        table = ELFFile(BytesIO(file)).get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            return ()
        entries, texts = table.data(), table.stringtable.data() + b"\0"
    except Exception:  # pyelftools raises many kinds; tools that cut a file's end off leave such tables
        return ()
    for start, address, _, kind, _, section in SYMBOL.iter_unpack(entries[: len(entries) // SYMBOL.size * SYMBOL.size]):
        if kind & SYMBOL_TYPE == FUNCTION and section != UNDEFINED and start < len(texts):
            name = texts[start : texts.index(0, start)].decode(errors="replace")
            if name:
                names[address] = min(names.get(address, name), name)
    return tuple((address, readable(name)) for address, name in sorted(names.items()))
