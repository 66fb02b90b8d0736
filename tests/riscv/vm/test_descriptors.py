"""Descriptors of tensor calls among a program's constants: all that a program has, and nothing else."""

from __future__ import annotations

import struct

import pytest

from tests.proving import GUESTS
from tests.riscv.vm.elf_files import READ, ElfSpec, Header
from zkvm.riscv.isa import tensors
from zkvm.riscv.isa.tensors import Descriptor
from zkvm.riscv.vm.descriptors import WORD_BYTES, find_descriptors, products
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

FILE = (GUESTS / "attention" / "attention.elf").read_bytes()
INPUT = bytes(16 * 3 * 64)


def found(file: bytes) -> tuple[Descriptor, ...]:
    descriptors = find_descriptors(file)
    assert descriptors is not None
    return descriptors


def encoded(descriptor: Descriptor) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in descriptor[: tensors.WORDS[descriptor.operation]])


def test_descriptors_are_those_of_the_calls_that_a_run_makes() -> None:
    """All of this program's are used by every run, that of the imports three times."""
    calls = [call.descriptor for call in execute(load_image(FILE), INPUT).tensor_calls]
    assert set(found(FILE)) == set(calls)
    assert len(found(FILE)) == len(set(calls)) == len(calls) - 2


@pytest.mark.parametrize("name", ["all_instructions", "digits", "echo", "hello", "mixed", "sudoku"])
def test_programs_without_tensor_calls_have_none(name: str) -> None:
    assert found((GUESTS / name / f"{name}.elf").read_bytes()) == ()


@pytest.mark.parametrize(
    ("operation", "word", "value"),
    [
        (tensors.LOAD, 2, 3),
        (tensors.LINEAR, 0, tensors.COMBINE),
        (tensors.LINEAR, 0, 15),
        (tensors.LINEAR, 2, 0),
        (tensors.LINEAR, 2, 1 << 16),
        (tensors.LINEAR, 4, 8),
        (tensors.LINEAR, 6, 8),
        (tensors.LINEAR, 8, 0),
        (tensors.LINEAR, 9, 0x00001000),
        (tensors.EXPORT, 3, 1),
        (tensors.EXPORT, 2, 2),
        (tensors.MAXIMUM, 6, 1),
        (tensors.APPLY, 2, 1),
    ],
)
def test_a_word_that_the_operation_cannot_have(operation: int, word: int, value: int) -> None:
    chosen = next(descriptor for descriptor in found(FILE) if descriptor.operation == operation)
    changed = bytearray(encoded(chosen))
    changed[WORD_BYTES * word : WORD_BYTES * (word + 1)] = value.to_bytes(4, "little")
    assert FILE.count(encoded(chosen)) == 1
    left = found(FILE.replace(encoded(chosen), bytes(changed)))
    assert left == tuple(descriptor for descriptor in found(FILE) if descriptor != chosen)


def test_constants_are_no_descriptors_where_the_library_has_no_such_function() -> None:
    renamed = FILE.replace(b"\0zkvm_tensor_maximum\0", b"\0zkvm_tensor_minimum\0")
    assert found(renamed) == tuple(descriptor for descriptor in found(FILE) if descriptor.operation != tensors.MAXIMUM)


@pytest.mark.parametrize(("rows", "byte_rows", "accepted"), [(1, 0, True), (2, 7, True), (0, 1, False), (0, 0, False)])
def test_digested_imports_without_a_row_of_int16_are_none(rows: int, byte_rows: int, accepted: bool) -> None:
    descriptor = Descriptor(tensors.DIGESTED, rows, byte_rows)
    spec = ElfSpec(symbols={"zkvm_tensor_import_digested": 0x1_0000, "weights": 0x2_0000})
    spec.segments.append(Header(0x2_0000, encoded(descriptor), READ))
    function, constant = (struct.pack("<IIBBH", 0x2_0000, size, kind, 0, 1) for size, kind in ((0, 0x12), (12, 0x11)))
    file = spec.build()
    assert file.count(function) == 1
    assert found(file.replace(function, constant)) == ((descriptor,) if accepted else ())


@pytest.mark.parametrize(
    ("descriptor", "expected"),
    [
        (Descriptor(tensors.LINEAR, 2, 10, 5), 2 * 8 * 10 * 5),
        (Descriptor(tensors.SCALED, 1, 1, 1), 8),
        (Descriptor(tensors.DEPTHWISE, 2, 3, 2), 2 * 8 * 3 * 2 * 15),
        (Descriptor(tensors.COMBINE, 2, 3, 1), 2 * 8 * 3 * 2),
        (Descriptor(tensors.MULTIPLY, 2, 3, 0), 2 * 8 * 3),
        (Descriptor(tensors.MAXIMUM, 2, 0, 9), 0),
    ],
)
def test_products(descriptor: Descriptor, expected: int) -> None:
    assert products(descriptor) == expected
