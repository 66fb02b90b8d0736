"""The ROM table."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.riscv.chips.memory_rows import shape
from tests.sample import sample_run
from zkvm.riscv.chips.buses import ROM
from zkvm.riscv.chips.rom import RomChip
from zkvm.riscv.records import Image

CHIP = RomChip()


def test_shape() -> None:
    assert shape(CHIP) == (1, 0, 2, 6)
    assert not CHIP.mandatory  # present exactly when the image has ROM words
    assert CHIP.serves == (ROM,)


def image(words: int) -> Image:
    addresses = np.arange(words, dtype=np.uint64) * np.uint64(8) + np.uint64(64)
    return dataclasses.replace(sample_run().image, rom_address=addresses, rom_value=addresses * np.uint64(5))


@pytest.mark.parametrize("words", [0, 1, 2, 7, 8])
def test_entries(words: int) -> None:
    source = image(words)
    height = max(CHIP.preprocessed_rows(source), 1) + 2
    pre = {name: np.zeros(height, np.uint64) for name in CHIP.preprocessed}
    CHIP.fill_preprocessed(source, pre)
    entries = [
        (int(pre[f"address_{k}"][row]), int(pre[f"value_{k}"][row])) for row in range(height) for k in range(2) if pre[f"real_{k}"][row]
    ]
    assert entries == list(zip(source.rom_address.tolist(), source.rom_value.tolist(), strict=True))
    served = CHIP.serve_row(source, ROM, [source.rom_address, source.rom_value])
    found = np.zeros(words, int)
    for column, rows, mask in served:
        k = column[-1]
        assert np.array_equal(pre[f"address_{k}"][rows[mask]], source.rom_address[mask])
        found += mask
    assert (found == 1).all()


def test_other_words_are_not_found() -> None:
    source = image(7)
    for address, value in ((0, 0), (64, 321), (65, 320), (68, 340), (1 << 32, 0), (112, 0), (120, 600)):
        served = CHIP.serve_row(source, ROM, [np.array([address], np.uint64), np.array([value], np.uint64)])
        assert not any(mask.any() for _, _, mask in served)
