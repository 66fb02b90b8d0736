"""ELF files -> the segments that this machine can prove. Everything that is refused is refused here or in ``image.py``."""

from __future__ import annotations

from io import BytesIO

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from zkvm.errors import ElfError
from zkvm.riscv.records import Image
from zkvm.riscv.vm.image import MAX_SEGMENT_BYTES, Program, Segment, build_image

ELF_MAGIC = b"\x7fELF"
PF_EXECUTE, PF_WRITE = 1, 2
EF_RVC, EF_FLOAT_ABI, EF_RVE = 0x1, 0x6, 0x8
"""Bits of e_flags (RISC-V ELF psABI, version 1.0): compressed code, floating-point calling convention, 16 registers."""


def load_image(file: bytes) -> Image:
    """The image of an ELF file.

    Raises:
        ElfError: not a static little-endian RV32IM executable, or one that this machine cannot prove.
    """
    return build_image(parse_elf(file))


def parse_elf(file: bytes) -> Program:
    """Loadable segments, entry and function symbols of an ELF file.

    Raises:
        ElfError: says what is wrong and where.
    """
    if file[:4] != ELF_MAGIC:
        raise ElfError("not an ELF file: the first four bytes are not 7f 45 4c 46")
    if len(file) < 52:
        raise ElfError(f"truncated: {len(file)} bytes are too few for an ELF header")
    try:
        elf = ELFFile(BytesIO(file))
        _check_header(elf)
        return Program(_segments(elf, file), int(elf["e_entry"]), _symbols(elf))
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


def _segments(elf: ELFFile, file: bytes) -> tuple[Segment, ...]:
    segments = []
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
        writable, executable = bool(flags & PF_WRITE), bool(flags & PF_EXECUTE)
        segments.append(Segment(address, file[offset : offset + data_size], size, writable, executable))
    if not segments:
        raise ElfError("no loadable segments")
    return tuple(segments)


def _symbols(elf: ELFFile) -> tuple[tuple[int, str], ...]:
    """Functions by address; of several names for one address, the first by name."""
    table = elf.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        return ()
    names: dict[int, str] = {}
    for symbol in table.iter_symbols():
        if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF" and symbol.name:
            address = int(symbol["st_value"])
            names[address] = min(names.get(address, symbol.name), symbol.name)
    return tuple(sorted(names.items()))
