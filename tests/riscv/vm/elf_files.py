"""Tiny ELF files, built field by field so that each can be wrong in one way."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from zkvm.riscv.vm.assemble import EXIT, assemble_words

TEXT = 0x1_0000
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
READ, WRITE, EXECUTE = 4, 2, 1


def code() -> bytes:
    """exit(7)."""
    words, _ = assemble_words([("li", "a0", 7), *EXIT], TEXT, {})
    return b"".join(word.to_bytes(4, "little") for word in words)


@dataclass
class Header:
    """One program header; offset and data size follow from the data unless given."""

    address: int
    data: bytes
    flags: int
    size: int | None = None
    kind: int = PT_LOAD
    offset: int | None = None
    data_size: int | None = None


@dataclass
class ElfSpec:
    """A file; the defaults are right."""

    segments: list[Header] = field(default_factory=lambda: [Header(TEXT, code(), READ | EXECUTE)])
    entry: int = TEXT
    elf_class: int = 1
    endian: int = 1
    machine: int = 243
    kind: int = 2
    flags: int = 0
    symbols: dict[str, int] = field(default_factory=dict)

    def build(self) -> bytes:
        """The bytes of the file."""
        order = "<" if self.endian == 1 else ">"
        contents, headers = b"", b""
        start = 52 + 32 * len(self.segments)
        for segment in self.segments:
            offset = start + len(contents) if segment.offset is None else segment.offset
            data_size = len(segment.data) if segment.data_size is None else segment.data_size
            size = data_size if segment.size is None else segment.size
            place = (offset, segment.address, segment.address, data_size, size, segment.flags, 4)
            headers += struct.pack(order + "8I", segment.kind, *place)
            contents += segment.data
        body = headers + contents
        sections, section_offset, section_count = self._sections(52 + len(body)) if self.symbols else (b"", 0, 0)
        ident = b"\x7fELF" + bytes([self.elf_class, self.endian, 1]) + bytes(9)
        places = (self.entry, 52, section_offset, self.flags, 52, 32, len(self.segments), 40, section_count, max(section_count - 1, 0))
        return ident + struct.pack(order + "HHI3II6H", self.kind, self.machine, 1, *places) + body + sections

    def _sections(self, offset: int) -> tuple[bytes, int, int]:
        """Symbol table, its strings, section names; then the section headers."""
        strings, table = b"\0", bytes(16)
        for name, value in self.symbols.items():
            table += struct.pack("<IIIBBH", len(strings), value, 0, 0x12, 0, 1)
            strings += name.encode() + b"\0"
        names = b"\0.symtab\0.strtab\0.shstrtab\0"
        at = [offset, offset + len(table), offset + len(table) + len(strings)]
        headers = bytes(40)
        headers += struct.pack("<10I", 1, 2, 0, 0, at[0], len(table), 2, 1, 4, 16)
        headers += struct.pack("<10I", 9, 3, 0, 0, at[1], len(strings), 0, 0, 1, 0)
        headers += struct.pack("<10I", 17, 3, 0, 0, at[2], len(names), 0, 0, 1, 0)
        content = table + strings + names
        return content + headers, offset + len(content), 4
