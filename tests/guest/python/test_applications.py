"""The committed guests in Python: what they compute, and that their hosts prove and verify it."""

from __future__ import annotations

import importlib.util
import itertools
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import zkvm
from tools import train_python_guests as training
from tools.train_digits import load_digits
from zkvm import guest
from zkvm.guest.python.build import load

ROOT = Path(__file__).resolve().parents[3]
GUESTS = ROOT / "guest_programs"


def program(name: str) -> Any:
    return load(GUESTS / name / "main.py")


def host(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"host_{name}", ROOT / "host" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def same_in_the_machine(name: str, stdin: bytes) -> bytes:
    """The journal of a run under CPython, which is that of the committed ELF."""
    run, session = guest.run(program(name).main, stdin), zkvm.execute(GUESTS / name / f"{name}.elf", stdin)
    assert (session.journal, session.exit_code) == (run.journal, run.exit_code)
    return run.journal


def test_dense_layers_are_as_good_as_their_page_says() -> None:
    digits, main = load_digits(), program("python_dense").main
    runs = [guest.run(main, image.tobytes()) for image in digits.held_images]
    labels = np.array([np.frombuffer(run.journal[:8], np.int64)[0] for run in runs])
    stated = re.search(r"([\d.]+) % of 360 images", (ROOT / "docs" / "python-guests.md").read_text())
    assert stated is not None
    assert f"{np.mean(labels == digits.held_labels):.1%}" == f"{stated[1]}%"
    for image in digits.held_images[:5]:
        same_in_the_machine("python_dense", image.tobytes())


def test_dense_layers_in_floating_point() -> None:
    """The same products without rounding have the same labels, and logits that differ by little."""
    model = np.load(GUESTS / "python_dense" / "weights.npz")
    images = load_digits().held_images[:50]
    values = training.enlarged(images) * training.WHITE * training.PIXEL_UNIT
    for number in (1, 2, 3):
        values = (values @ model[f"w{number}"].T.astype(np.float64) + model[f"b{number}"]) * float(model[f"s{number}"])
        values = values if number == 3 else np.maximum(values, 0)
    main = program("python_dense").main
    found = np.array([np.frombuffer(guest.run(main, image.tobytes()).journal[8:], np.int32) for image in images])
    assert np.abs(found - values).max() < 16
    assert np.array_equal(found.argmax(axis=1), values.argmax(axis=1))


def test_the_tree_is_the_one_that_was_trained() -> None:
    from sklearn.datasets import load_breast_cancer
    from sklearn.tree import DecisionTreeClassifier

    arrays, rows, diagnoses = training.tree()
    committed = np.load(GUESTS / "python_tree" / "tree.npz")
    module = program("python_tree")
    labels = np.array([module.classify(row) for row in rows])
    if all(np.array_equal(arrays[name], committed[name]) for name in arrays):  # of this version of scikit-learn
        data = load_breast_cancer()
        order = np.random.default_rng(training.SEED).permutation(len(data.data))[training.HELD_OUT :]
        model = DecisionTreeClassifier(max_depth=training.DEPTH, random_state=training.SEED).fit(
            data.data[order].astype(np.float32), data.target[order]
        )
        assert np.array_equal(labels, model.predict(rows))
    count = np.uint32(len(rows)).tobytes()
    journal = same_in_the_machine("python_tree", count + bytes(32) + rows.tobytes() + diagnoses.tobytes())
    assert np.frombuffer(journal[32:], np.int32).tolist() == [len(rows), int(np.sum(labels == diagnoses))]


def test_a_stranger_has_another_root() -> None:
    keys = [bytes([number]) * 32 for number in range(5)]
    tree = host("python_merkle").layers([zkvm.poseidon2_hash(key) for key in keys])
    for place in range(5):
        siblings = b"".join(layer[(place >> level) ^ 1] for level, layer in enumerate(tree[:-1]))
        for key in (keys[place], b"\x07" * 32):
            stdin = np.uint32(3).tobytes() + key + np.uint32(place).tobytes() + siblings
            assert (same_in_the_machine("python_merkle", stdin)[:32] == tree[-1][0]) == (key in keys)


def test_answers_of_mastermind() -> None:
    answer, score = program("python_mastermind").answer, host("python_mastermind").score
    codes = [bytes(code) for code in itertools.product(range(6), repeat=4)]
    rng = np.random.default_rng(1)
    for one, other in rng.integers(0, len(codes), (300, 2)):
        found = answer(np.frombuffer(codes[one], np.uint8), np.frombuffer(codes[other], np.uint8))
        assert bytes(map(int, found)) == score(codes[one], codes[other])


@pytest.mark.parametrize("name", ["python_dense", "python_tree", "python_merkle", "python_mastermind", "sudoku"])
def test_hosts_prove_and_verify(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [name])
    host(name).main()
    assert "proven" in capsys.readouterr().out
