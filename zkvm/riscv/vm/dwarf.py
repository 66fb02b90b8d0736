"""What debug information says about addresses: source lines, and calls that the compiler inlined.

Line tables are DWARF (version 5, section 6.2; earlier versions too), inlined calls the entries DW_TAG_inlined_subroutine (section 3.3.8.2),
both read by pyelftools. They are in no segment, so the image ID does not depend on them, and nothing that is proven does: what
cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from elftools.dwarf.ranges import BaseAddressEntry
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray

from zkvm.riscv.vm.image import LOWEST_ADDRESS

MOST_ORIGINS = 8
"""Entries that may refer to each other for one name."""


@dataclass(frozen=True)
class LineTable:
    """Source lines by address.

    Attributes:
        starts: (k,) byte addresses, ascending: an entry holds up to the next one's.
        files: (k,) indices into ``names``, -1 where nothing is known.
        lines: (k,) line numbers.
        names: paths of source files.
    """

    starts: NDArray[np.uint64]
    files: NDArray[np.int64]
    lines: NDArray[np.int64]
    names: tuple[str, ...]

    def find(self, addresses: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """File index (-1: unknown) and line of each address."""
        if not len(self.starts):
            return np.full(len(addresses), -1, np.int64), np.zeros(len(addresses), np.int64)
        place = np.searchsorted(self.starts, addresses, side="right") - 1
        known = place >= 0
        return np.where(known, self.files[place], -1), np.where(known, self.lines[place], 0)

    def place(self, pc: int) -> tuple[str, int]:
        """File and line of one address; ('', 0) if unknown."""
        file, line = (int(values[0]) for values in self.find(np.array([pc], np.uint64)))
        return (self.names[file], line) if file >= 0 else ("", 0)


@dataclass(frozen=True, slots=True)
class InlinedCall:
    """One call that was replaced by the function's code.

    Attributes:
        parent: number of the inlined call around it, 0 if there is none.
        function: name of what was called.
        file: of the call; '' if unknown.
        line: of the call; 0 if unknown.
    """

    parent: int
    function: str
    file: str
    line: int


@dataclass(frozen=True)
class InlineTable:
    """Inlined calls by address.

    Attributes:
        calls: by number; number 0 stands for none.
        starts: (r,) first byte addresses of ranges of code, inner ranges after those around them.
        ends: (r,) byte addresses after them.
        numbers: (r,) whose code it is: numbers of calls.
    """

    calls: tuple[InlinedCall, ...]
    starts: NDArray[np.uint64]
    ends: NDArray[np.uint64]
    numbers: NDArray[np.int64]

    @classmethod
    def empty(cls) -> InlineTable:
        """Nothing was inlined, as far as is known."""
        return cls((InlinedCall(0, "", "", 0),), np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.int64))

    def find(self, addresses: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Number of the innermost inlined call of each address, 0 for none."""
        order = np.argsort(addresses, kind="stable")
        found = np.zeros(len(addresses), np.int64)
        first, last = np.searchsorted(addresses[order], [self.starts, self.ends])
        for begin, end, number in zip(first.tolist(), last.tolist(), self.numbers.tolist(), strict=True):
            found[begin:end] = number
        result = np.empty_like(found)
        result[order] = found
        return result

    def outwards(self, number: int) -> Iterator[InlinedCall]:
        """An inlined call and those around it, innermost first."""
        while number:
            yield self.calls[number]
            number = self.calls[number].parent


@dataclass(frozen=True)
class DebugInformation:
    """Both tables of one ELF file."""

    lines: LineTable
    inlined: InlineTable

    def places(self, pc: int, inlined: int) -> Iterator[tuple[str, int]]:
        """File and line of an address, then those of the inlined calls that it is in, innermost first; ('', 0) where unknown.

        Args:
            pc: the address.
            inlined: number of the innermost inlined call there, as :meth:`InlineTable.find` finds it.
        """
        yield self.lines.place(pc)
        for call in self.inlined.outwards(inlined):
            yield call.file, call.line


def read_debug(file: bytes) -> DebugInformation:
    """The tables of an ELF file; empty where it has none, or one that cannot be read."""
    names: dict[str, int] = {}
    rows: list[tuple[int, int, int, int]] = []  # address, 0 for the end of a sequence, file, line
    inlined = _Inlined()
    try:
        elf = ELFFile(BytesIO(file))
        if elf.has_dwarf_info():
            dwarf = elf.get_dwarf_info()
            for unit in dwarf.iter_CUs():
                program = dwarf.line_program_for_CU(unit)
                if program is not None:
                    files = _file_names(program.header)
                    numbers = {number: names.setdefault(name, len(names)) for number, name in files.items()}
                    rows += _unit_rows(program, numbers)
                    inlined.add_unit(dwarf, unit, files)
    except Exception:  # pyelftools raises many kinds on malformed tables; a guest without line numbers is still a guest
        names, rows, inlined = {}, [], _Inlined()
    rows.sort(key=lambda row: row[:2])
    last = {row[0]: row for row in rows}  # of several rows for one address the last says what runs there
    kept = [last[address] for address in sorted(last)]
    columns = np.array(kept, np.int64).reshape(-1, 4)
    return DebugInformation(LineTable(columns[:, 0].astype(np.uint64), columns[:, 2], columns[:, 3], tuple(names)), inlined.table())


def _file_names(header: Any) -> dict[int, str]:
    """Source files by their number in a unit."""
    first = 0 if header["version"] >= 5 else 1
    files: dict[int, str] = {}
    for number, entry in enumerate(header["file_entry"]):
        name = entry.name.decode("utf-8", "replace")
        folder = int(entry.dir_index)  # 0: where the compiler ran
        if 0 < folder < len(header["include_directory"]) + first and not name.startswith("/"):
            directory = header["include_directory"][folder - first].decode("utf-8", "replace")
            name = f"{directory}/{name}" if directory not in ("", ".") else name
        files[number + first] = name.removeprefix("./")
    return files


def _unit_rows(program: Any, files: dict[int, int]) -> list[tuple[int, int, int, int]]:
    rows: list[tuple[int, int, int, int]] = []
    begin = 0
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if state.end_sequence:
            rows.append((int(state.address), 0, -1, 0))
            if rows[begin][0] < LOWEST_ADDRESS:  # a function that the linker dropped: its lines are left, at address 0
                del rows[begin:]
            begin = len(rows)
        elif state.line:  # line 0: made by the compiler, belongs to what is before it
            rows.append((int(state.address), 1, files.get(int(state.file), -1), int(state.line)))
    return rows


class _Inlined:
    """Collects the inlined calls of all units."""

    def __init__(self) -> None:
        self.calls = [InlinedCall(0, "", "", 0)]
        self.ranges: list[tuple[int, int, int]] = []

    def table(self) -> InlineTable:
        """What was found."""
        columns = np.array(self.ranges, np.int64).reshape(-1, 3)
        return InlineTable(tuple(self.calls), columns[:, 0].astype(np.uint64), columns[:, 1].astype(np.uint64), columns[:, 2])

    def add_unit(self, dwarf: Any, unit: Any, files: dict[int, str]) -> None:
        """Add those of one compilation unit, outer before inner ones."""
        top = unit.get_top_DIE()
        base = int(top.attributes["DW_AT_low_pc"].value) if "DW_AT_low_pc" in top.attributes else 0
        open_entries = [(top, 0)]
        while open_entries:
            entry, around = open_entries.pop()
            number = around
            if entry.tag == "DW_TAG_inlined_subroutine":
                number = len(self.calls)
                file, line = (int(_value(entry, name)) for name in ("DW_AT_call_file", "DW_AT_call_line"))
                self.calls.append(InlinedCall(around, _name(entry), files.get(file, ""), line))
                self.ranges += [(start, end, number) for start, end in _ranges(dwarf, entry, base) if LOWEST_ADDRESS <= start < end]
            if entry.has_children:
                open_entries += [(child, number) for child in entry.iter_children()]


def _value(entry: Any, name: str) -> Any:
    return entry.attributes[name].value if name in entry.attributes else 0


def _name(entry: Any) -> str:
    """Name of a function, from the entry that describes it in general."""
    for _ in range(MOST_ORIGINS):
        if "DW_AT_name" in entry.attributes:
            return str(_value(entry, "DW_AT_name").decode("utf-8", "replace"))
        link = next((name for name in ("DW_AT_abstract_origin", "DW_AT_specification") if name in entry.attributes), None)
        if link is None:
            break
        entry = entry.get_DIE_from_attribute(link)
    return "?"


def _ranges(dwarf: Any, entry: Any, base: int) -> list[tuple[int, int]]:
    """Addresses [start, end) of an entry's code; ``base``: of its unit."""
    if "DW_AT_low_pc" in entry.attributes and "DW_AT_high_pc" in entry.attributes:
        start, high = int(_value(entry, "DW_AT_low_pc")), entry.attributes["DW_AT_high_pc"]
        return [(start, int(high.value) + (0 if high.form == "DW_FORM_addr" else start))]
    if "DW_AT_ranges" not in entry.attributes:
        return []
    found = []
    for item in dwarf.range_lists().get_range_list_at_offset(_value(entry, "DW_AT_ranges"), cu=entry.cu):
        if isinstance(item, BaseAddressEntry):
            base = int(item.base_address)
        else:
            offset = 0 if item.is_absolute else base
            found.append((int(item.begin_offset) + offset, int(item.end_offset) + offset))
    return found
