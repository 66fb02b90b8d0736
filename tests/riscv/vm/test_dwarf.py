"""Line tables and inlined calls of debug information."""

from __future__ import annotations

import numpy as np
import pytest

import zkvm
from tests.cli.running import guest
from tests.guest.compiled import compiled, needs_compiler
from tests.riscv.vm.test_debug import INLINED, SOURCE, line_of
from zkvm.riscv.vm.assemble import EXIT
from zkvm.riscv.vm.dwarf import InlinedCall, InlineTable, read_debug


def test_files_without_any() -> None:
    table = read_debug(guest([*EXIT]))
    assert (table.lines.names, table.lines.place(0x10000), table.inlined.calls[1:]) == ((), ("", 0), ())
    assert read_debug(b"not an ELF file").lines.names == ()


@needs_compiler
def test_line_tables() -> None:
    elf = compiled(SOURCE)
    table = read_debug(elf).lines
    assert {"main.c", "zkvm/runtime/zkvm.c"} <= set(table.names)
    assert np.all(np.diff(table.starts.astype(np.int64)) > 0)
    assert table.place(0) == ("", 0)
    image = zkvm.load_image(elf)
    addresses = {name: address for address, name in image.symbols}
    assert table.place(addresses["load"]) == ("main.c", line_of("int load(int i)"))
    assert table.place(int(image.program["pc"][-1]) + 4096) == ("", 0)  # past the end of the last sequence


@needs_compiler
def test_inlined_calls() -> None:
    elf = compiled(INLINED)
    table = read_debug(elf).inlined
    load = next(call for call in table.calls if call.function == "load")
    around = table.calls[load.parent]
    assert (load.file, load.line) == ("main.c", line_of("total += load", INLINED))
    assert (around.function, around.file, around.line) == ("sum", "main.c", line_of("sum(n)", INLINED))
    pcs = zkvm.load_image(elf).program["pc"]
    of_load = [number for number, call in enumerate(table.calls) if call == load]
    assert np.isin(table.find(pcs), of_load).any()
    assert table.find(pcs[::-1]).tolist() == table.find(pcs).tolist()[::-1]
    assert table.find(np.array([0, 1 << 32], np.uint64)).tolist() == [0, 0]


@needs_compiler
@pytest.mark.parametrize("version", [4, 5])
def test_versions_of_the_format(version: int) -> None:
    """Other toolchains write version 5, with other forms of ranges, names and files."""
    table = read_debug(compiled(INLINED, flags=(f"-gdwarf-{version}",)))
    load = next(call for call in table.inlined.calls if call.function == "load")
    assert (load.file, table.inlined.calls[load.parent].function) == ("main.c", "sum")
    assert {"main.c", "zkvm/include/zkvm.h", "zkvm/runtime/start.S"} <= set(table.lines.names)


def test_the_innermost_call_of_an_address() -> None:
    calls = (InlinedCall(0, "", "", 0), InlinedCall(0, "outer", "a.c", 5), InlinedCall(1, "inner", "b.c", 7))
    bounds = np.array([[0x10010, 0x10020], [0x10014, 0x10018], [0x1001C, 0x10020]], np.uint64)
    table = InlineTable(calls, bounds[:, 0], bounds[:, 1], np.array([1, 2, 2]))
    pcs = np.arange(0x1000C, 0x10028, 4, dtype=np.uint64)
    assert table.find(pcs).tolist() == [0, 1, 2, 1, 2, 0, 0]
    assert [call.function for call in table.outwards(2)] == ["inner", "outer"]
    assert list(table.outwards(0)) == []


@needs_compiler
@pytest.mark.parametrize("cut", [0.35, 0.5, 0.65, 0.8])
def test_damaged_tables_are_no_error(cut: float) -> None:
    """Nothing that is proven depends on them."""
    elf = bytearray(compiled(SOURCE))
    place = int(len(elf) * cut)
    elf[place : place + 64] = bytes(range(191, 255))
    table = read_debug(bytes(elf)).lines
    assert np.all(np.diff(table.starts.astype(object)) > 0)  # whatever is left of it can still be searched
