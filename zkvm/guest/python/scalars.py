"""Operators and conversions of numbers: the type that Python and numpy give the result, and C for it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np

from zkvm.guest.python.types import BOOL, FLOAT, INT, Scalar, Value

ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "floordiv", ast.Mod: "mod", ast.Pow: "pow",
    ast.LShift: "lshift", ast.RShift: "rshift", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.Div: "div",
}  # fmt: skip
BITS = {"and": "&", "or": "|", "xor": "^"}
FLOAT_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
COMPARISONS: dict[type[ast.cmpop], str] = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
PYTHON: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "floordiv": lambda a, b: a // b,
    "mod": lambda a, b: a % b, "pow": lambda a, b: a**b, "lshift": lambda a, b: a << b, "rshift": lambda a, b: a >> b,
    "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b, "div": lambda a, b: a / b,
}  # fmt: skip


class Mismatch(Exception):
    """Operands that do not go together: what is wrong, and what to write instead."""

    def __init__(self, text: str, instead: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.instead = instead


def literal(value: Any) -> Value:
    """A number that the translator knows.

    Raises:
        Mismatch: an int beyond 64 bits, or a number of a type that guests have not.
    """
    if isinstance(value, bool | np.bool_):
        return Value(BOOL, "1" if value else "0", bool(value), True)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise Mismatch("an integer beyond 64 bits", "several np.uint64")
        return Value(INT, integer_code(value), value, True, natural=value >= 0)
    if isinstance(value, float) and not isinstance(value, np.floating):
        return Value(FLOAT, float_code(value), value, True)
    if isinstance(value, np.integer | np.floating):
        kind = numpy_scalar(value.dtype)
        code = integer_code(int(value)) if isinstance(value, np.integer) else float_code(float(value))
        # Known, but not as what Python would compute with: it is numpy's.
        return Value(kind, f"(({kind.c}){code})", natural=isinstance(value, np.integer) and int(value) >= 0)
    raise Mismatch(f"a value of type {type(value).__name__}", "an integer, a float, a tuple, a numpy array or a frozen dataclass")


def integer_code(value: int) -> str:
    """C for an integer of up to 64 bits."""
    if -(2**31) < value < 2**31:
        return str(value) if value >= 0 else f"({value})"
    return f"((int64_t)(-{-value - 1}LL - 1))" if value < 0 else f"{value}ULL"


def float_code(value: float) -> str:
    """C for a float, exactly."""
    if np.isnan(value):
        return '__builtin_nan("")'
    if np.isinf(value):
        return "__builtin_inf()" if value > 0 else "(-__builtin_inf())"
    return f"({float(value).hex()})"


def numpy_scalar(dtype: Any) -> Scalar:
    """The type of an array's elements.

    Raises:
        Mismatch: guests do not have it.
    """
    name = np.dtype(dtype).name
    scalar = BOOL if name == "bool" else Scalar(name)
    try:
        scalar.c  # noqa: B018
    except KeyError:
        raise Mismatch(f"the type np.{name}", "integers of 8 to 64 bits, bool, np.float32 or np.float64") from None
    return scalar


def result_type(op: str, left: Scalar, right: Scalar) -> Scalar:
    """What numpy 2 makes of two numbers.

    Raises:
        Mismatch: Python or numpy refuse it, or it means something else for truth values.
    """
    if BOOL in (left, right):
        if left == right and op in BITS:
            return BOOL
        if left == right or left.weak or right.weak:  # Python's truth values add up to ints, numpy's do not
            raise Mismatch(f"{op} of {left} and {right}", "int(...) around the truth value")
    floats = "f" in (left.kind, right.kind)
    if floats and op in (*BITS, "lshift", "rshift"):
        raise Mismatch(f"{op} of {left} and {right}", "integers")
    if left.weak and right.weak:
        return FLOAT if floats or op == "div" else INT
    samples = [(0 if side == INT else 0.0) if side.weak else np.dtype(side.dtype) for side in (left, right)]
    result = numpy_scalar(np.result_type(*samples))
    if op == "div" and result.kind != "f":
        return Scalar("float64")
    if result.kind == "f" and op in (*BITS, "lshift", "rshift"):
        raise Mismatch(f"{op} of {left} and {right}, which numpy would make floats", "the same type on both sides: np.int64(...)")
    return result


def converted(value: Value, kind: Scalar, where: str, explicit: bool = False) -> Value:
    """A number as one of another type.

    Args:
        value: the number.
        kind: the type.
        where: the place that a panic names.
        explicit: the program asks for it: integers of numpy wrap, floats lose their fraction.

    Raises:
        Mismatch: it cannot be, or the known number does not fit.
    """
    own = value.type
    assert isinstance(own, Scalar)
    if own == kind and not (value.is_known and kind == INT):
        return value
    if value.is_known and own == INT:
        return _fitting(value, kind)
    if kind == BOOL:
        return Value(BOOL, f"({value.code} != 0)")
    if own.kind == "f" and kind.kind in "iu":
        if not explicit:
            raise Mismatch(f"{own} where {kind} is wanted", f"{kind}(...)")
        if kind == Scalar("uint64"):
            return Value(kind, f"py_whole_uint64({value.code}, {where})")
        info = np.iinfo(kind.dtype)
        above, below = float_code(float(info.min) - 1), float_code(float(info.max) + 1)
        if kind == Scalar("int64"):  # one below the smallest is no float: the next one
            above = float_code(float(np.nextafter(np.float64(info.min), -np.inf)))
        return Value(kind, f"(({kind.c})py_whole({value.code}, {above}, {below}, {where}))")
    if kind.kind in "iu" and (own.weak or kind.weak) and own != BOOL and not _always_fits(value, kind):
        return Value(kind, f"PY_FIT({kind.c}, {value.code}, {where})", natural=value.natural)
    return Value(kind, f"(({kind.c}){value.code})", natural=value.natural and _always_fits(value, kind))


def _fitting(value: Value, kind: Scalar) -> Value:
    """A known int as a number of a type."""
    if kind.kind == "f":
        return Value(kind, f"(({kind.c}){float_code(float(value.known))})", float(value.known), kind.weak)
    if kind == BOOL:
        return Value(BOOL, "1" if value.known else "0", bool(value.known), True)
    info = np.iinfo(kind.dtype)
    if not info.min <= value.known <= info.max:
        raise Mismatch(f"{value.known} is out of bounds for {kind}", "a wider type" if kind != INT else "np.int64(...) or np.uint64(...)")
    if kind == INT:
        return value
    return Value(kind, f"(({kind.c}){integer_code(value.known)})", natural=value.natural)


def _always_fits(value: Value, kind: Scalar) -> bool:
    """Whether every integer of a value's type is one of another."""
    own = value.type
    assert isinstance(own, Scalar)
    if own == BOOL:
        return True
    if "f" in (own.kind, kind.kind):
        return False
    mine, theirs = np.iinfo(own.dtype), np.iinfo(kind.dtype)
    return bool((mine.min >= theirs.min or value.natural) and mine.max <= theirs.max)


def _foldable(op: str, right: int) -> bool:
    """Whether the translator computes an operator of two known ints, in any width; what raises an error is left to the run."""
    if op in ("lshift", "rshift", "pow"):
        return 0 <= right < 64
    return op != "div" and not (op in ("floordiv", "mod") and right == 0)


def binary(op: str, left: Value, right: Value, where: str) -> Value:
    """An operator between two numbers.

    Raises:
        Mismatch: the operands do not go together.
    """
    assert isinstance(left.type, Scalar)
    assert isinstance(right.type, Scalar)
    if left.is_known and right.is_known and left.type == right.type == INT and _foldable(op, right.known):
        return literal(PYTHON[op](left.known, right.known))
    kind = result_type(op, left.type, right.type)
    if kind == FLOAT and op == "div" and left.type == right.type == INT:
        left, right = converted(left, INT, where), converted(right, INT, where)
    if op == "pow" and kind.kind == "f":
        return _float_power(left, right, kind, where)
    a, b = converted(left, kind, where).code, converted(right, kind, where).code
    if op in BITS:
        natural = left.natural and right.natural or (op == "and" and (left.natural or right.natural))
        return Value(kind, f"(({kind.c})({a} {BITS[op]} {b}))", natural=natural)
    if kind.kind == "f":
        return _float_operator(op, a, b, kind, where)
    if kind == INT:
        return _int_operator(op, left, right, where)
    return Value(kind, f"py_{op}_{kind.c}({a}, {b}, {where})", natural=kind.kind == "u")


def _int_operator(op: str, left: Value, right: Value, where: str) -> Value:
    """Of two ints: with the check that costs least."""
    a, b = converted(left, INT, where).code, converted(right, INT, where).code
    both = left.natural and right.natural
    if op == "add" and both:
        return Value(INT, f"py_add_natural({a}, {b}, {where})", natural=True)
    if op == "mul":
        if left.is_known:
            left, right, a, b = right, left, b, a
        if right.is_known and right.known > 0:
            return Value(INT, f"py_mul_known{'_natural' if both else ''}({a}, {b}, {where})", natural=both)
    natural = (both and op != "sub") or (op == "mod" and right.natural)
    return Value(INT, f"py_{op}({a}, {b}, {where})", natural=natural)


def _float_operator(op: str, a: str, b: str, kind: Scalar, where: str) -> Value:
    if kind.weak and op in ("div", "floordiv", "mod"):
        b = f"py_nonzero({b}, {where})"
    if op in FLOAT_SIGNS:
        return Value(kind, f"({a} {FLOAT_SIGNS[op]} {b})")
    return Value(kind, f"py_float_{op}_{kind.c}({a}, {b})")


def _float_power(left: Value, right: Value, kind: Scalar, where: str) -> Value:
    base = converted(left, kind, where)
    if right.is_known and right.known in (1, 2):
        return Value(kind, base.code if right.known == 1 else f"({base.code} * {base.code})")
    raise Mismatch("a power of a float other than 2", "products, or np.exp and np.log")


def unary(op: type[ast.unaryop], value: Value, where: str) -> Value:
    """An operator before a number.

    Raises:
        Mismatch: there is none for its type.
    """
    kind = value.type
    assert isinstance(kind, Scalar)
    if op is ast.Not:
        return Value(BOOL, f"(!{truth(value)})")
    if kind == BOOL:
        if op is ast.Invert:
            return Value(BOOL, f"(!{value.code})")
        raise Mismatch("a sign before a truth value", "int(...)")
    if op is ast.Invert and kind.kind == "f":
        raise Mismatch("~ of a float", "an integer")
    if value.is_known:
        return literal(-value.known if op is ast.USub else ~value.known if op is ast.Invert else value.known)
    if op is ast.UAdd:
        return value
    if op is ast.Invert:
        return Value(kind, f"(({kind.c})~{value.code})")
    if kind.kind == "f":
        return Value(kind, f"(-{value.code})")
    if kind == INT:
        return Value(INT, f"py_sub(0, {value.code}, {where})")
    return Value(kind, f"py_sub_{kind.c}(0, {value.code}, {where})")


def truth(value: Value) -> str:
    """C for whether a number counts as true."""
    return value.code if value.type == BOOL else f"({value.code} != 0)"


def compare(op: str, left: Value, right: Value, where: str) -> Value:
    """Two numbers side by side: integers by their values whatever their types, floats as numpy promotes them."""
    a, b = left.type, right.type
    assert isinstance(a, Scalar)
    assert isinstance(b, Scalar)
    if left.is_known and right.is_known:
        known = {"==": left.known == right.known, "!=": left.known != right.known}
        if op in known:
            return literal(known[op])
    if "f" in (a.kind, b.kind):
        kind = FLOAT if a == b == FLOAT else result_type("add", *(INT if side == BOOL else side for side in (a, b)))
        return Value(BOOL, f"({converted(left, kind, where).code} {op} {converted(right, kind, where).code})")
    wide = {_wide(side) for side in (left, right)} - {"any"}
    if wide == {"int64_t", "uint64_t"} or wide == {"int32_t", "uint64_t"}:
        flipped = _wide(left) != "uint64_t"
        signs = f"py_compare_mixed({right.code}, {left.code})" if flipped else f"py_compare_mixed({left.code}, {right.code})"
        return Value(BOOL, f"(0 {op} {signs})" if flipped else f"({signs} {op} 0)")
    common = wide.pop() if len(wide) == 1 else "uint64_t" if "uint64_t" in wide else "int64_t" if wide else "int32_t"
    return Value(BOOL, f"(({common}){left.code} {op} ({common}){right.code})")


def _wide(value: Value) -> str:
    """The C type that has all values of a number's type, of four; "any" if each of the four has them."""
    kind = value.type
    assert isinstance(kind, Scalar)
    if value.is_known and kind == INT:
        bounds = (("any", 0, 2**31), ("int32_t", -(2**31), 0), ("uint32_t", 0, 2**32), ("int64_t", -(2**63), 2**63), ("uint64_t", 0, 2**64))
        return next(name for name, low, high in bounds if low <= value.known < high)
    if kind == BOOL or (kind.kind == "u" and kind.width < 4) or (value.natural and kind.kind == "i" and kind.width <= 4):
        return "any"
    return "int32_t" if kind.width < 4 else kind.c
