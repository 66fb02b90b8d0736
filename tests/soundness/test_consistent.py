"""No chip has a consistent forgery: with the same inputs every accepted row has the same outputs (see tests/soundness/consistent.py).

And the search is not blind: take a line away, and it finds what that line is there to refuse.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.forge import RowModel, forgery, model
from tests.sample import long_run, sample_run
from tests.soundness.consistent import Search, weakened
from zkvm.riscv.machine import machine
from zkvm.stark.air.expression import Expr, total

TABLES = [chip.name for chip in machine().chips if chip.serves and len(chip.preprocessed)]
CHIPS = [chip.name for chip in machine().chips if chip.name not in TABLES and chip.first is None]
MOST_ROWS = 4


def free(rows: RowModel) -> list[Expr]:
    """What a chip leaves to the prover on purpose, or takes from others: input, how a chain is cut, which words are touched, ..."""
    row = rows.chip.row
    match rows.chip.name:
        case "read_rows":
            masks = [row[f"mask_{k}"] for k in range(4)]
            return [total(*masks), *(mask * row[f"new_{k}"] for k, mask in enumerate(masks))]
        case "write_rows":
            return [total(*(row[f"mask_{k}"] for k in range(4)))]
        case "zero_init":
            return [row.word, row.real, row.close]
        case "refresh":
            return [row.address, row.time]
        case "tensor_call":  # how blocks are dealt to tiles
            return [row.two_blocks]
        case "tensor_import":
            return [row.multiplicity, *(row[f"x{k}"] for k in range(8))]
        case "tensor_words":  # what an export writes is looked up
            return [row.multiplicity, *((1 - row.load) * row[f"x{k}"] for k in range(8))]
        case "tensor_tiles":  # what the next tile is; one of 16 channels that says falsely that more follow has no end
            return [row.last, row.next_two_blocks]
        case "tensor_products":
            return [row[f"{stem}{k}"] for stem in "abcd" for k in range(8)]
        case "tensor_wide_products":  # how far it is to the tiles of the next positions: a false one has no path
            return [row.across, *(row[f"{stem}{k}"] for stem in "abcdefgh" for k in range(8))]
        case "tensor_results":
            return [row.multiplicity, row.bias, row.multiplier, *(row[f"sum{k}"] for k in range(8))]
        case "tensor_combine":  # what it looks up, and where a block ends: a false end has no path
            return [row.last, *(row[f"{stem}{k}"] for stem in "xwyv" for k in range(8))]
        case "tensor_depthwise":  # what it looks up, and where a channel and a block end: a false end has no path
            return [row.last, row.end, *(row[f"{stem}{k}"] for stem in "abcdefghiwv" for k in range(8))]
        case "tensor_elements" | "tensor_gather" | "tensor_maxima" | "tensor_apply":
            return free_in_moves(rows)
        case "permute":  # what it looks up: the elements, not their words
            return [row[f"after{2 * k}"] + row[f"after{2 * k + 1}"] * (1 << 32) for k in range(12)]
        case "tensor_channels":  # which vector it looks up, and by which limit whoever asks for its channel rescales
            return [row[name] for name in ("real", "tensor", "index", "bias_low", "bias_high", "factor", "scale", "multiplicity")]
        case "tensor_digest":  # what a row that absorbs looks up; one with none left that says that it is one has no end
            return [row.absorb, *(row[f"lane{k}"] for k in range(24)), *(row.absorb * row[f"after{k}"] for k in range(12))]
        case "tensor_absorb_bytes" | "tensor_absorb" | "tensor_absorb_call":
            return free_in_digested_imports(rows)
        case "poseidon2":
            return [row[f"in{k}"] for k in range(12)]
    return []


def free_in_digested_imports(rows: RowModel) -> list[Expr]:
    """The private input, what a permutation makes, whether the last row says it: if not, nobody does. The digest that a call says."""
    row = rows.chip.row
    names = list(rows.chip.columns)
    read = [row[name] for name in names if name.startswith("multiplicity")]
    if rows.chip.name == "tensor_absorb_call":
        return read + [total(*(row[f"lane{4 * k + i}"] * (1 << 16 * i) for i in range(4))) for k in range(4)]
    return read + [row[name] for name in names if name.startswith(("lane", "after")) or name == "final"]


def free_in_moves(rows: RowModel) -> list[Expr]:
    """What the chips that move elements look up, and how often what they make is read."""
    row = rows.chip.row
    lanes: dict[str, tuple[str, ...]] = {"tensor_elements": ("x", "multiplicity"), "tensor_gather": ("place", "x"), "tensor_maxima": ("x",)}
    lanes["tensor_apply"] = ("x", "m", "y")
    found = [row[f"{stem}{k}"] for stem in lanes[rows.chip.name] for k in range(8)]
    if rows.chip.name == "tensor_elements":
        return [row.tensor, row.index, row.zeros, row.real, *found]
    chosen = {"tensor_gather": ["of_second"], "tensor_maxima": ["last"], "tensor_apply": ["real", "last"]}
    return [row[name] for name in ("multiplicity", *chosen.get(rows.chip.name, ["real"]))] + found


def searches(rows: RowModel, most: int = MOST_ROWS, **cells: int) -> list[Search]:
    """Searches from used rows that differ in their bits, a padding row last; ``cells``: from rows with these values only."""
    forged = forgery(long_run() if rows.chip.name == "refresh" else sample_run())
    table = forged.tables[rows.chip.name]
    bits = [k for k, name in enumerate(rows.chip.main) if rows.chip.main[name].bits == 1]
    kinds: dict[bytes, int] = {}
    for number in range(table.used):
        if all(forged.cell(rows.chip.name, number, name) == value for name, value in cells.items()):
            kinds.setdefault(table.main[bits, number].tobytes(), number)
    chosen = list(kinds.values())
    if len(chosen) > most:
        chosen = np.random.default_rng(0).permutation(chosen)[:most].tolist()
    assert chosen
    return [Search(rows, table.main[:, [number]], table.pre[:, [number]], free(rows)) for number in chosen]


@pytest.mark.parametrize("chip", CHIPS)
def test_no_consistent_forgery(chip: str) -> None:
    for search in searches(model(chip, sample_run()), most=2):
        assert list(search.run(3000)) == []


def test_the_number_of_cycles_cannot_be_chosen() -> None:
    (search,) = searches(model("ecall", sample_run()), cycles=1)
    assert list(search.run(3000)) == []


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS)
def test_no_consistent_forgery_in_many(chip: str) -> None:
    for search in searches(model(chip, sample_run()), most=6):
        assert list(search.run(20000, rounds=3)) == []


@pytest.mark.parametrize(
    ("chip", "line", "cells"),
    [
        ("add", "result: high limb", {}),
        ("add_immediate", "result: low limb", {}),
        ("compare", "difference: high limb", {}),
        ("store_part", "high half of v2", {}),
        ("store_part", "byte: bytes 0 and 1", {}),
        ("store_part", "only the part changes", {}),
        ("load_word", "address: high limb", {}),
        ("ecall", "read returns count", {"read": 1}),
        ("ecall", "a bad descriptor returns -EBADF", {"bad_write": 1}),
        ("ecall", "cycles returns the instructions before it", {"cycles": 1}),
        ("ecall", "next pc", {"exit": 1}),
        ("ecall", "next time", {"journal": 1}),
        ("ecall", "exit keeps a0", {"exit": 1}),
        ("brk", "first: high limb", {"below": 1}),
        ("brk", "inside moves the break", {"inside": 1}),
        ("write_rows", "byte: bytes 0 and 1", {}),
        ("read_rows", "byte 1 changes under the mask only", {"mask_1": 0}),
        ("tensor_words", "x0 is an int16 of that sign", {"load": 1}),
        ("tensor_words", "a load keeps word 0", {"load": 1}),
        ("tensor_words", "x3 of a load without a word for it is 0", {"load": 1, "wide": 0}),
        ("tensor_results", "v0 has 16 bits", {"above0": 1}),
        ("tensor_results", "lane 0 is divided", {"multiplicity": 1}),
        ("tensor_results", "lane 0 is cut", {"multiplicity": 1}),
        ("tensor_combine", "u3 is the sum", {}),
        ("tensor_combine", "w of the next row", {}),
        ("tensor_depthwise", "u3 is the sum", {}),
        ("tensor_depthwise", "t5 is the sum", {}),
        ("tensor_depthwise", "windows of the next channel", {}),
        ("tensor_depthwise", "back to all channels", {}),
        ("tensor_tiles", "w of the next tile", {}),
        ("tensor_maxima", "y0 is m0 or x0", {"first": 0}),
        ("tensor_maxima", "y3 of the first is x3", {"first": 1}),
        ("tensor_maxima", "vector of the next row", {}),
        ("tensor_maxima", "taps of the next result", {}),
        ("tensor_gather", "the operand", {}),
        ("tensor_channels", "bias", {}),
        ("tensor_channels", "scale and step are powers of two", {}),
        ("tensor_digest", "element 3 comes from a permutation", {"last": 1}),
        ("tensor_absorb_call", "lane 0 is an int16", {}),
        ("tensor_absorb_call", "lane 13 is an int16", {}),
        ("tensor_tiles", "over the second block's results", {}),
        ("poseidon2", "out3 is what it follows from", {}),
    ],
)
def test_search_finds_what_a_line_refuses(chip: str, line: str, cells: dict[str, int]) -> None:
    rows = weakened(model(chip, sample_run()), line)
    count = 120_000 if chip == "tensor_results" else 12_000  # two flags of sixteen at once are few of all pairs
    assert any(True for search in searches(rows, most=1, **cells) for _ in search.run(count))
