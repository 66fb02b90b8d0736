"""What an instruction chip does to fill a row, recorded as integer code that a kernel runs over many rows.

A chip's ``fill_steps`` is numpy code on whole columns, and numpy lets other types take part in its functions: run once on
:class:`Value` instead of arrays, it leaves a list of operations. So the chip stays the one definition of its columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from zkvm.riscv.chips.steps import FROM_PROGRAM, FROM_STEP, StepChip, Steps
from zkvm.riscv.operations import (
    ADD,
    AND,
    CONSTANT,
    DIFFERENT,
    DIVIDE,
    EQUAL,
    INVERSE,
    LEFT,
    LESS,
    MULTIPLY,
    OR,
    PROGRAM_WORD,
    REMAINDER,
    RIGHT,
    STEP_HIGH,
    STEP_LOW,
    STEP_WORD,
    STORE,
    SUBTRACT,
    WHERE,
    XOR,
)
from zkvm.riscv.records import PROGRAM_ROW, STEP
from zkvm.stark.air.chip import Trace

_UFUNCS = {
    "add": ADD, "subtract": SUBTRACT, "multiply": MULTIPLY, "floor_divide": DIVIDE, "remainder": REMAINDER,
    "bitwise_and": AND, "bitwise_or": OR, "bitwise_xor": XOR, "left_shift": LEFT, "right_shift": RIGHT,
    "less": LESS, "equal": EQUAL, "not_equal": DIFFERENT,
}  # fmt: skip
_BOOLEAN = (LESS, EQUAL, DIFFERENT)
_LOGIC = (AND, OR, XOR)
ROW = 4
"""Integers of an operation: its kind and three operands."""


@dataclass(frozen=True, slots=True)
class FillCode:
    """The code of one chip.

    Attributes:
        code: (k, 4) int64 rows (kind, a, b, c); operands are positions of earlier rows unless the kind says otherwise.
        constants: (c,) uint64, which CONSTANT operations name by position.
    """

    code: NDArray[np.int64]
    constants: NDArray[np.uint64]


class Value(NDArrayOperatorsMixin):
    """A column that is not computed yet: takes part in numpy's elementwise functions by recording them."""

    def __init__(self, recorder: _Recorder, position: int, boolean: bool) -> None:
        self.recorder, self.position, self.boolean = recorder, position, boolean

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            return NotImplemented
        if ufunc is np.invert:
            ones = 1 if self.boolean else (1 << 64) - 1
            return self.recorder.apply(XOR, self, ones)
        if ufunc is np.greater:
            return self.recorder.apply(LESS, *inputs[::-1])
        kind = _UFUNCS.get(ufunc.__name__)
        return NotImplemented if kind is None else self.recorder.apply(kind, *inputs)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        if function is np.where and not options:
            return self.recorder.apply(WHERE, *arguments)
        if function is np.select and not options:  # the first condition that holds
            result: Any = 0
            for condition, choice in list(zip(*arguments, strict=True))[::-1]:
                result = self.recorder.apply(WHERE, condition, choice, result)
            return result
        return NotImplemented

    def astype(self, kind: type) -> Value:
        """The same: every value is a 64-bit word."""
        return self


class _Recorder:
    """Operations so far; equal ones are one."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, ...]] = []
        self.positions: dict[tuple[int, ...], int] = {}
        self.constants: list[int] = []

    def emit(self, kind: int, *operands: int) -> int:
        """Position of an operation."""
        row = (kind, *operands, *(0,) * (ROW - 1 - len(operands)))
        if row not in self.positions:
            self.positions[row] = len(self.rows)
            self.rows.append(row)
        return self.positions[row]

    def value_of(self, operand: Any) -> Value:
        """An operand as a value; numbers and numpy's numbers become constants.

        Raises:
            TypeError: it is neither.
        """
        if isinstance(operand, Value):
            return operand
        if isinstance(operand, bool | int | np.integer | np.bool_) and operand >= 0:
            if int(operand) not in self.constants:
                self.constants.append(int(operand))
            return Value(self, self.emit(CONSTANT, self.constants.index(int(operand))), isinstance(operand, bool | np.bool_))
        raise TypeError(f"a recorded fill cannot compute with {operand!r}")

    def apply(self, kind: int, *operands: Any) -> Value:
        """The value of an operation."""
        values = [self.value_of(operand) for operand in operands]
        boolean = kind in _BOOLEAN or (kind in _LOGIC and all(value.boolean for value in values))
        if kind == WHERE:
            boolean = values[1].boolean and values[2].boolean
        return Value(self, self.emit(kind, *(value.position for value in values)), boolean)


class _RecordedSteps(Steps):
    """Steps whose fields are :class:`Value`."""

    def __init__(self, columns: list[str]) -> None:
        self.recorder, self.columns = _Recorder(), columns

    def field(self, name: str) -> Any:
        if name in FROM_PROGRAM:
            return self._loaded(PROGRAM_WORD, PROGRAM_ROW, name)
        name = FROM_STEP.get(name, name)
        if STEP[name].itemsize == 8:
            return self._loaded(STEP_WORD, STEP, name)
        return self._loaded(STEP_HIGH if _offset(STEP, name) % 8 else STEP_LOW, STEP, name)

    def _loaded(self, kind: int, record: np.dtype[Any], name: str) -> Value:
        return Value(self.recorder, self.recorder.emit(kind, _offset(record, name) // 8), False)

    def is_op(self, *operations: int) -> Any:
        operation = self.field("op")
        result = operation == operations[0]
        for number in operations[1:]:
            result = result | (operation == number)
        return result

    def put(self, trace: Trace, **columns: Any) -> None:
        for name, values in columns.items():
            self.recorder.emit(STORE, self.columns.index(name), self.recorder.value_of(values).position)

    def inverses(self, values: Any) -> Any:
        return self.recorder.apply(INVERSE, values)


def _offset(record: np.dtype[Any], name: str) -> int:
    """Byte offset of a field."""
    assert record.fields is not None
    return record.fields[name][1]


@cache
def fill_code(chip: StepChip) -> FillCode:
    """What ``chip.fill_steps`` does.

    Raises:
        TypeError: it does something that cannot be recorded.
    """
    steps = _RecordedSteps(list(chip.columns))
    chip.fill_steps(steps, {})
    return FillCode(np.array(steps.recorder.rows, np.int64), np.array(steps.recorder.constants or [0], np.uint64))
