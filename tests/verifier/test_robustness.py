"""Whatever a proof object holds, the verifier answers with a VerificationError, or accepts what is the same proof."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.soundness.cheating import WIDE, honest_statement, honest_tables, prove_tables
from zkvm.errors import RejectReason, VerificationError
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.params import PARAMETERS, Policy
from zkvm.stark.protocol.proof import LayerOpening, Proof, TreeOpening
from zkvm.stark.verifier.verify import verify_proof

ROOT = Path(__file__).resolve().parent.parent.parent
ARRAYS = ("terminals", "openings", "final")
ROOTS = ("main_root", "bus_root", "quotient_root")
TREES = ("preprocessed", "main", "bus", "quotient")


@cache
def honest_proof() -> Proof:
    return prove_tables(honest_tables())


def reason(proof: Any) -> RejectReason:
    """The verifier's refusal; any other exception, or acceptance, fails the test."""
    with pytest.raises(VerificationError) as caught:
        verify_proof(WIDE, honest_statement(), proof, Policy())
    return caught.value.reason


WRONG_ARRAYS: dict[str, Callable[[Any], Any]] = {
    "None": lambda array: None,
    "list": lambda array: array.tolist(),
    "float": lambda array: array.astype(np.float64),
    "signed": lambda array: array.astype(np.int64),
    "object": lambda array: array.astype(object),
    "big endian": lambda array: array.astype(array.dtype.newbyteorder(">")) if array.dtype.itemsize > 1 else array.astype(">u2"),
    "narrow": lambda array: array.astype(np.uint32),
    "flat": lambda array: array.reshape(-1),
    "transposed": lambda array: np.ascontiguousarray(array.T),
    "one row short": lambda array: array[:-1],
    "one row long": lambda array: np.concatenate([array, array[:1]]),
    "one column short": lambda array: array[:, :-1],
    "no rows": lambda array: array[:0],
    "scalar": lambda array: np.uint64(0),
    "extra axis": lambda array: array[None],
    "masked": lambda array: np.ma.MaskedArray(array, mask=False),
    "matrix": lambda array: array.view(np.matrix),
}
wrong_arrays = pytest.mark.parametrize("wrong", list(WRONG_ARRAYS))


@wrong_arrays
@pytest.mark.parametrize("name", ARRAYS)
def test_wrong_array(name: str, wrong: str) -> None:
    changed: dict[str, Any] = {name: WRONG_ARRAYS[wrong](getattr(honest_proof(), name))}
    assert reason(replace(honest_proof(), **changed)) is RejectReason.SHAPE


@wrong_arrays
@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("part", ["rows", "salts", "siblings"])
def test_wrong_array_in_a_tree(tree: str, part: str, wrong: str) -> None:
    opening: TreeOpening = getattr(honest_proof(), tree)
    if part == "rows":
        changed: dict[str, Any] = {"rows": (*opening.rows[:-1], WRONG_ARRAYS[wrong](opening.rows[-1]))}
    elif part == "salts" and opening.salts is None:
        changed = {"salts": WRONG_ARRAYS[wrong](opening.rows[0]) if wrong != "None" else opening.rows[0]}
    else:
        changed = {part: WRONG_ARRAYS[wrong](getattr(opening, part))}
    trees: dict[str, Any] = {tree: replace(opening, **changed)}
    assert reason(replace(honest_proof(), **trees)) is RejectReason.SHAPE


@wrong_arrays
@pytest.mark.parametrize("part", ["leaves", "siblings"])
def test_wrong_array_in_a_layer(part: str, wrong: str) -> None:
    first, *others = honest_proof().layers
    changed: dict[str, Any] = {part: WRONG_ARRAYS[wrong](getattr(first, part))}
    assert reason(replace(honest_proof(), layers=(replace(first, **changed), *others))) is RejectReason.SHAPE


@pytest.mark.parametrize("name", [field.name for field in fields(Proof)])
@pytest.mark.parametrize(
    "value", [None, "text", b"", 1.5, (), object(), -1, 1 << 80, (None,), [1, 2, 3], np.zeros(3)], ids=lambda value: repr(value)[:20]
)
def test_field_of_another_type(name: str, value: Any) -> None:
    changed: dict[str, Any] = {name: value}
    assert reason(replace(honest_proof(), **changed)) in (RejectReason.SHAPE, RejectReason.POLICY)


@pytest.mark.parametrize(
    "logs", [(-1, 11, 15), (11, 11, 1 << 40), (11, 25, 15), (8, 11, 15), (True, 11, 15), (11.0, 11, 15), (11, None, 15), (0, 0, 0)]
)
def test_impossible_heights(logs: Any) -> None:
    assert reason(replace(honest_proof(), log_heights=logs)) is RejectReason.SHAPE


def test_more_rows_than_the_machine_allows() -> None:
    """Said of an honest proof before anything of it is computed. The bound is not in the digest: all challenges are the same."""
    rows = sum(1 << log for log in honest_proof().log_heights if log)
    verify_proof(replace(WIDE, max_rows=rows + 1), honest_statement(), honest_proof(), Policy())
    with pytest.raises(VerificationError, match="too many rows") as caught:
        verify_proof(replace(WIDE, max_rows=rows), honest_statement(), honest_proof(), Policy())
    assert caught.value.reason is RejectReason.SHAPE


@pytest.mark.parametrize("name", ROOTS)
@pytest.mark.parametrize("root", [bytes(31), bytes(33), bytearray(32), "0" * 32, np.zeros(32, np.uint8)])
def test_root_of_another_size(name: str, root: Any) -> None:
    changed: dict[str, Any] = {name: root}
    assert reason(replace(honest_proof(), **changed)) is RejectReason.SHAPE


def test_roots_and_layers_of_another_number() -> None:
    proof = honest_proof()
    for changed in (proof.fri_roots[:-1], (*proof.fri_roots, bytes(32)), (*proof.fri_roots[:-1], bytes(31))):
        assert reason(replace(proof, fri_roots=changed)) is RejectReason.SHAPE
    other: Any
    for other in (proof.layers[:-1], (*proof.layers, proof.layers[0]), (None, *proof.layers[1:]), list(proof.layers)):
        assert reason(replace(proof, layers=other)) is RejectReason.SHAPE


@pytest.mark.parametrize("name", ARRAYS)
def test_elements_that_are_not_canonical(name: str) -> None:
    """x + p is another encoding of x."""
    array = getattr(honest_proof(), name).copy()
    array.flat[1] = np.uint64(2**64 - 1)
    changed: dict[str, Any] = {name: array}
    assert reason(replace(honest_proof(), **changed)) is RejectReason.SHAPE


def test_elements_that_a_mask_hides() -> None:
    """What is not canonical, in an array of a kind of numpy's that leaves it out of its maximum."""
    array = honest_proof().openings.copy()
    array.flat[1] = np.uint64(2**64 - 1)
    hidden: Any = np.ma.MaskedArray(array, mask=array == 2**64 - 1)
    assert np.max(hidden) < P
    assert reason(replace(honest_proof(), openings=hidden)) is RejectReason.SHAPE


@pytest.mark.parametrize("tree", TREES)
def test_opened_rows_that_are_not_canonical(tree: str) -> None:
    opening: TreeOpening = getattr(honest_proof(), tree)
    rows = opening.rows[-1].copy()
    rows.flat[0] = np.uint64(2**64 - 1)
    changed: dict[str, Any] = {tree: replace(opening, rows=(*opening.rows[:-1], rows))}
    assert reason(replace(honest_proof(), **changed)) is RejectReason.SHAPE


def test_parameters_are_the_known_ones() -> None:
    for changed in ((4, 83, 173), (4, 82, 174), (1, 83, 174), (83, 4, 174), (4, 83), (4, 83, 174, 0), (0, 0, 0)):
        other: Any = changed
        assert reason(replace(honest_proof(), parameters=other)) is RejectReason.POLICY
    for entry in PARAMETERS[:3]:
        if entry.numbers != honest_proof().parameters:
            assert reason(replace(honest_proof(), parameters=entry.numbers)) is RejectReason.BUS


def test_policy_is_the_callers() -> None:
    with pytest.raises(VerificationError) as caught:
        verify_proof(WIDE, honest_statement(), honest_proof(), Policy(min_security=128))
    assert caught.value.reason is RejectReason.POLICY
    verify_proof(WIDE, honest_statement(), honest_proof(), Policy(min_security=0))


def paths() -> list[tuple[str, ...]]:
    """Every array of a proof, as a path of field names and indices."""
    proof = honest_proof()
    result: list[tuple[str, ...]] = [(name,) for name in ARRAYS]
    for tree in TREES:
        opening: TreeOpening = getattr(proof, tree)
        result += [(tree, "rows", str(level)) for level in range(len(opening.rows))]
        result += [(tree, "siblings"), *([(tree, "salts")] if opening.salts is not None else [])]
    return result + [("layers", str(number), part) for number in range(len(proof.layers)) for part in ("leaves", "siblings")]


def with_array(proof: Proof, path: tuple[str, ...], edit: Callable[[Any], Any]) -> Proof:
    """The proof with one array changed."""
    changed: dict[str, Any]
    if path[0] == "layers":
        number, part = int(path[1]), path[2]
        layers: list[LayerOpening] = list(proof.layers)
        changed = {part: edit(getattr(layers[number], part))}
        layers[number] = replace(layers[number], **changed)
        return replace(proof, layers=tuple(layers))
    if len(path) == 1:
        changed = {path[0]: edit(getattr(proof, path[0]))}
        return replace(proof, **changed)
    opening: TreeOpening = getattr(proof, path[0])
    if path[1] == "rows":
        level = int(path[2])
        rows = tuple(edit(own) if number == level else own for number, own in enumerate(opening.rows))
        changed = {path[0]: replace(opening, rows=rows)}
    else:
        own: dict[str, Any] = {path[1]: edit(getattr(opening, path[1]))}
        changed = {path[0]: replace(opening, **own)}
    return replace(proof, **changed)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_single_change_of_an_array_is_refused(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths()))

    def edit(array: Any) -> Any:
        result = array.copy()
        place = data.draw(st.integers(0, array.size - 1))
        limit = 2**8 - 1 if array.dtype == np.uint8 else 2**64 - 1
        value = data.draw(st.integers(0, limit).filter(lambda value: value != int(array.flat[place])))
        result.flat[place] = array.dtype.type(value)
        return result

    reason(with_array(honest_proof(), path, edit))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_arrays_of_any_shape_are_refused(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths()))
    shape = tuple(data.draw(st.lists(st.integers(0, 70), max_size=3)))
    kind = data.draw(st.sampled_from([np.uint64, np.uint8, np.int64, np.float64, np.bool_]))
    original: list[Any] = []

    def edit(array: Any) -> Any:
        original.append(array)
        return np.ones(shape, kind)

    proof = with_array(honest_proof(), path, edit)
    expected = RejectReason.SHAPE if original[0].shape != shape or original[0].dtype != kind else None
    assert reason(proof) is expected or expected is None


def test_verifier_imports_no_numba() -> None:
    code = "import sys, zkvm.stark.verifier.verify, zkvm.riscv.machine\n"
    code += "print([name for name in sys.modules if name.startswith(('numba', 'llvmlite'))])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"
