"""Checkpoints: one encoding, pages by content, and a clear refusal of whatever is damaged or of another run."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.sample import INPUT, sample_image
from zkvm.errors import CheckpointError
from zkvm.riscv.records import Image
from zkvm.riscv.vm.assemble import DATA, EXIT, TEXT, Item, assemble
from zkvm.riscv.vm.checkpoint import PAGE_BYTES, Checkpoint, first_checkpoint, restore
from zkvm.riscv.vm.cuts import SegmentedRun

PAGE = DATA // PAGE_BYTES


def pages_program() -> Image:
    """Writes the same to two pages of zeros, then changes a word of data and changes it back."""
    items: list[Item] = [("la", "s0", "data"), ("li", "t0", 77), ("addi", "s1", "sp", -2048), ("addi", "s1", "s1", -2048)]
    items += [("sw", "t0", "s1", 0), ("lui", "t1", 1), ("sub", "s2", "s1", "t1"), ("sw", "t0", "s2", 0)]
    items += [("lw", "t2", "s0", 4), ("sw", "t0", "s0", 4), ("sw", "t2", "s0", 4), ("li", "a0", 0), *EXIT]
    return assemble(items, data=bytes(range(16)))


def checkpoints(image: Image, stdin: bytes, cuts: list[int], pages: dict[bytes, bytes]) -> list[Checkpoint]:
    run = SegmentedRun(image, stdin, pages=pages)
    found = []
    for cut in cuts:
        run.segment(cut)
        found.append(run.at)
    return found


def test_bytes_and_back() -> None:
    pages: dict[bytes, bytes] = {}
    for checkpoint in (first_checkpoint(sample_image()), *checkpoints(sample_image(), INPUT, [3, 11, 620], pages)):
        assert Checkpoint.from_bytes(checkpoint.to_bytes()) == checkpoint
        assert checkpoint.time == 4 + 4 * checkpoint.cycles


def test_damaged_bytes_are_refused() -> None:
    (checkpoint,) = checkpoints(sample_image(), INPUT, [11], {})
    data = checkpoint.to_bytes()
    rng = random.Random(1)
    for place in [*range(12), *rng.sample(range(len(data)), 100), len(data) - 1]:
        with pytest.raises(CheckpointError, match="damaged"):
            Checkpoint.from_bytes(data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :])
    for length in (0, 7, 32, len(data) - 1):
        with pytest.raises(CheckpointError, match="damaged"):
            Checkpoint.from_bytes(data[:length])


def test_pages_in_disorder_are_refused() -> None:
    """With a hash that is right."""
    (checkpoint,) = checkpoints(pages_program(), b"", [10], {})
    assert len(checkpoint.pages) == 2
    turned = replace(checkpoint, pages=dict(list(checkpoint.pages.items())[::-1]))
    with pytest.raises(CheckpointError, match="ascending"):
        Checkpoint.from_bytes(turned.to_bytes())
    beyond = replace(checkpoint, pages={**checkpoint.pages, 1 << 20: bytes(32)})
    with pytest.raises(CheckpointError, match="ascending"):
        Checkpoint.from_bytes(beyond.to_bytes())


def test_equal_pages_are_kept_once_and_unchanged_ones_not_at_all() -> None:
    pages: dict[bytes, bytes] = {}
    early, changed, back = checkpoints(pages_program(), b"", [9, 11, 13], pages)
    assert len(early.pages) == 2
    assert len(set(early.pages.values())) == 1
    assert sorted(changed.pages) == sorted([*early.pages, PAGE])
    assert back.pages == early.pages
    assert len(pages) == 2
    assert {len(content) for content in pages.values()} == {PAGE_BYTES}


def test_a_checkpoint_does_not_depend_on_earlier_cuts() -> None:
    (direct,) = checkpoints(pages_program(), b"", [13], {})
    assert checkpoints(pages_program(), b"", [2, 9, 11, 12, 13], {})[-1].to_bytes() == direct.to_bytes()


def test_missing_and_damaged_pages_are_refused() -> None:
    pages: dict[bytes, bytes] = {}
    (checkpoint,) = checkpoints(pages_program(), b"", [13], pages)
    (digest,) = pages
    for content, what in ((None, "missing"), (pages[digest][:-1], "damaged"), (pages[digest][:-1] + b"\1", "damaged")):
        with pytest.raises(CheckpointError, match=f"page 0x.* of the checkpoint after 13 cycles is {what}"):
            restore(pages_program(), checkpoint, {} if content is None else {digest: content}, trace=True, max_memory=None)


def test_what_is_of_another_run_is_refused() -> None:
    pages: dict[bytes, bytes] = {}
    (checkpoint,) = checkpoints(sample_image(), INPUT, [620], pages)
    with pytest.raises(CheckpointError, match="it is of another input"):
        SegmentedRun(sample_image(), INPUT[:10], start=checkpoint, pages=pages)
    for changes, what in (
        ({"pc": 4}, "no instruction at 0x4"),
        ({"pc": 1 << 33}, "another program"),
        ({"registers": (1, 2)}, "another program"),
    ):
        with pytest.raises(CheckpointError, match=what):
            SegmentedRun(sample_image(), INPUT, start=replace(checkpoint, **changes), pages=pages)
    digest = next(iter(checkpoint.pages.values()))
    for page in (TEXT // PAGE_BYTES, 0):
        with pytest.raises(CheckpointError, match="it holds words that this one cannot write"):
            SegmentedRun(sample_image(), INPUT, start=replace(checkpoint, pages={page: digest}), pages=pages)
