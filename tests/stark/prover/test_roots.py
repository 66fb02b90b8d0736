"""Remembered roots of preprocessed columns: right ones are found again, damaged or foreign ones are not used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.toy import TOY
from zkvm.stark.protocol.params import BLOWUPS
from zkvm.stark.protocol.preprocessed import preprocess, preprocessed_roots
from zkvm.stark.prover import roots
from zkvm.stark.prover.roots import columns_key, recall, remember, roots_with

KEY = bytes(range(32))
ROOTS = (b"2" * 32, b"4" * 32, b"8" * 32)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setattr(roots, "cache_directory", lambda: tmp_path)
    return tmp_path / "roots"


def test_roots_are_those_computed_from_the_columns(folder: Path) -> None:
    columns = preprocess(TOY, None)
    expected = preprocessed_roots(TOY, columns)
    for blowup in BLOWUPS:
        committed, found = roots_with(TOY, columns, blowup)
        assert found == expected
        assert committed.root == expected[BLOWUPS.index(blowup)]
    assert [path.name for path in folder.iterdir()] == [columns_key(TOY, columns).hex()]


def test_a_wrong_memory_is_dropped() -> None:
    columns = preprocess(TOY, None)
    remember(columns_key(TOY, columns), ROOTS)
    assert roots_with(TOY, columns, 4)[1] == preprocessed_roots(TOY, columns)
    assert recall(columns_key(TOY, columns)) == preprocessed_roots(TOY, columns)


def test_other_columns_have_another_key() -> None:
    columns = preprocess(TOY, None)
    key = columns_key(TOY, columns)
    columns["squares"][0, 5] += np.uint64(1)
    assert columns_key(TOY, columns) != key


def test_remember_and_recall() -> None:
    assert recall(KEY) is None
    remember(KEY, ROOTS)
    assert recall(KEY) == ROOTS
    assert recall(KEY[::-1]) is None


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0", lambda data: b"x" + data[1:], lambda data: b""])
def test_a_damaged_file_is_ignored(change: object, folder: Path) -> None:
    remember(KEY, ROOTS)
    path = folder / KEY.hex()
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    assert recall(KEY) is None


def test_a_file_under_another_name_is_ignored(folder: Path) -> None:
    remember(KEY, ROOTS)
    (folder / KEY.hex()).rename(folder / KEY[::-1].hex())
    assert recall(KEY[::-1]) is None


def test_a_folder_that_cannot_be_written_is_no_error(folder: Path) -> None:
    folder.write_bytes(b"a file where the folder should be")
    remember(KEY, ROOTS)
    assert recall(KEY) is None
