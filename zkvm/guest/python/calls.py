"""Calls: Python's own functions, zkvm.guest, classes of numbers, records, methods, and functions of the program."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from zkvm.guest.python import arrays, guest_calls, numpy_functions, reductions, tensor_calls, tensors
from zkvm.guest.python.body import Body, integer
from zkvm.guest.python.expressions import constant, expression
from zkvm.guest.python.guest_calls import Rule, Words, bound_names
from zkvm.guest.python.scalars import binary, compare, converted, literal, unary
from zkvm.guest.python.types import BOOL, FLOAT, INT, Array, Scalar, Tensor, Tuple, Value, member, same_type, tuple_of

Fields = Callable[[type], tuple[str, ...] | None]


def call(body: Body, function: Any, node: ast.Call, fields: Fields) -> Value:
    """A call of something that exists before the program runs.

    Raises:
        RefusedError: guests do not have it, or not with these arguments.
    """
    if isinstance(function, Scalar) or function in (range, enumerate, zip, reversed):
        raise body.refusal("this call outside of for", "for name in range(...), enumerate(...), zip(...)")
    line = body.line
    given = [_argument(body, argument) for argument in node.args]
    words = {word.arg: _argument(body, word.value) for word in node.keywords if word.arg is not None}
    body.line = line
    rule = _rule(function)
    if rule is not None:
        return rule(body, given, words)
    if isinstance(function, tensors.Layer):
        return tensor_calls.layer(body, function, given, words)
    if isinstance(function, type):
        return _class_call(body, function, given, words, fields)
    original = getattr(function, "__wrapped__", function)
    home = getattr(original, "__module__", None) or ""
    if isinstance(original, FunctionType) and home.partition(".")[0] not in (sys.stdlib_module_names | {"numpy"}):
        return body.program.call_function(body, original, given, words)
    name = getattr(function, "__qualname__", getattr(function, "__name__", str(function)))
    package = "numpy" if home.startswith("numpy") else home  # not the file in which numpy keeps it
    raise body.refusal(f"{package + '.' if package not in ('', 'builtins') else ''}{name} is not there in a guest", _near(name))


INSTEAD = {
    "print": "zkvm.guest.log(...)",
    "str": "zkvm.guest.log takes texts and numbers",
    **dict.fromkeys(("open", "input", "frombuffer", "fromfile"), "zkvm.guest.read(dtype, shape)"),
    **dict.fromkeys(("nonzero", "argwhere"), "np.flatnonzero(...)"),
    **dict.fromkeys(("sorted", "lexsort", "partition", "argpartition"), 'np.sort, or np.argsort with kind="stable"'),
    **dict.fromkeys(("median", "percentile", "quantile"), "np.sort, and an element of it"),
    **dict.fromkeys(("einsum", "tensordot", "inner", "vdot", "kron"), "@, or operators and sum with axis="),
    **dict.fromkeys(("linspace", "logspace", "load", "loadtxt", "meshgrid"), "the same outside of functions: a constant"),
    **dict.fromkeys(("list", "tuple", "dict", "set", "map", "filter"), "an array: np.empty(n, dtype), filled in a loop"),
    "pow": "x ** n % m, or a loop",
    "pad": "np.zeros, and an assignment to a part of it",
    "average": "np.mean",
    "allclose": "np.all(np.abs(a - b) <= limit)",
    "convolve": "a loop over slices",
    "isin": "value in array, in a loop",
    "squeeze": "array[0]",
    "reduce": "np.sum, np.prod, np.min, np.max, or a loop",
    "accumulate": "np.cumsum, or a loop",
}
"""What to write instead of some names that people try."""


def _near(name: str) -> str:
    return INSTEAD.get(name.rpartition(".")[2], "a function of your own; docs/python-guests.md lists what there is")


def _argument(body: Body, node: ast.expr) -> Value:
    """An argument; a list is a tuple here, for ``np.array([...])`` and shapes."""
    if isinstance(node, ast.List):
        return tuple_of(tuple(_argument(body, item) for item in node.elts))
    return expression(body, node)


def _rule(function: Any) -> Rule | None:
    try:
        return RULES.get(function) or reductions.BY_OBJECT.get(function)
    except TypeError:
        return None


def _class_call(body: Body, cls: type, given: list[Value], words: Words, fields: Fields) -> Value:
    if issubclass(cls, np.generic):
        [value] = bound_names(body, cls.__name__, ("value",), given, words)
        return _number(body, numpy_functions.scalar_class(body, cls), value)
    names = fields(cls)
    if names is None and cls.__module__ == "builtins":
        raise body.refusal(f"{cls.__name__} is not there in a guest", _near(cls.__name__))
    if issubclass(cls, tensors.Layer):
        raise body.refusal("a layer made inside a function", "the same at the top of the file: its constants are the program's")
    if names is None:
        raise body.refusal(f"the class {cls.__name__}", "a NamedTuple, or a dataclass with frozen=True")
    if hasattr(cls, "__post_init__"):
        raise body.refusal(f"{cls.__name__} has a __post_init__", "a function that makes the record")
    return tuple_of(tuple(bound(body, cls, given, words)), cls, names)


def _number(body: Body, kind: Scalar, value: Value) -> Value:
    """``np.int8(value)``, ``int(value)``: a conversion that the program asks for."""
    if isinstance(value.type, Array):
        raise body.refusal(f"{kind}(...) of an array", f"array.astype({kind})")
    if not isinstance(value.type, Scalar):
        raise body.refusal(f"{kind}(...) of {value.type}", "a number")
    if value.is_known and kind == FLOAT and isinstance(value.known, int | float):
        return body.call(literal, float(value.known))
    return body.temporary(body.call(converted, value, kind, body.where, explicit=True))


def bound(body: Body, function: Any, given: list[Value], words: Words) -> list[Value]:
    """Arguments in the order of a function's parameters, defaults filled in.

    Raises:
        RefusedError: they are not the function's, or it takes any number of them.
    """
    signature = inspect.signature(function)
    if any(parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) for parameter in signature.parameters.values()):
        raise body.refusal(f"{function.__name__} takes any number of arguments", "parameters with names")
    try:
        found = signature.bind(*given, **words)
    except TypeError as error:
        raise body.refusal(f"{function.__name__}: {error}") from None
    return [
        found.arguments[name] if name in found.arguments else constant(body, parameter.default)
        for name, parameter in signature.parameters.items()
    ]


def call_method(body: Body, base: Value, name: str, node: ast.Call) -> Value:
    """A method of an array, a number or a record.

    Raises:
        RefusedError: it has none of this name in guests.
    """
    given = [_argument(body, argument) for argument in node.args]
    words = {word.arg: _argument(body, word.value) for word in node.keywords if word.arg is not None}
    if isinstance(base.type, Tuple):
        function = getattr(base.type.cls, name, None)
        if name == "_replace" and base.type.cls is not None:
            return _replace(body, [base], words)
        if isinstance(function, FunctionType) and base.type.cls is not None:
            return body.program.call_function(body, function, [base, *given], words)
        raise body.refusal(f"{base.type} has no method {name}")
    if isinstance(base.type, Scalar):
        if name in INTEGER_METHODS and base.type == INT:
            bound_names(body, name, (), given, words)
            return body.program.library(body, INTEGER_METHODS[name], base)
        if name == "item" and not base.type.weak:
            bound_names(body, name, (), given, words)
            return _number(body, FLOAT if base.type.kind == "f" else base.type if base.type == BOOL else INT, base)
        if name == "astype":
            [dtype] = bound_names(body, "astype", ("dtype",), given, words)
            return _number(body, numpy_functions.dtype_of(body, dtype), base)
        raise body.refusal(f"{base.type} has no method {name} in a guest")
    if isinstance(base.type, Tensor):
        if name == "numbers":
            bound_names(body, "numbers", (), given, words)
            return tensor_calls.numbers(body, base)
        raise body.refusal(f"tensors have no method {name} in a guest", "numbers()")
    rule = numpy_functions.METHODS.get(name)
    if rule is None:
        raise body.refusal(f"arrays have no method {name} in a guest", f"one of {', '.join(sorted(numpy_functions.METHODS))}")
    return rule(body, [base, *given], words)


INTEGER_METHODS = {"bit_length": "length_in_bits", "bit_count": "ones_in_bits"}


# Python's own functions.


def _len(body: Body, given: list[Value], words: Words) -> Value:
    [value] = bound_names(body, "len", ("value",), given, words)
    if isinstance(value.type, Tuple):
        return body.call(literal, len(value.type.items))
    if isinstance(value.type, Array):
        return body.temporary(Value(INT, f"{value.code}.shape[0]", natural=True))
    raise body.refusal(f"len of {value.type}")


def _to(kind: Scalar) -> Rule:
    def rule(body: Body, given: list[Value], words: Words) -> Value:
        [value] = bound_names(body, str(kind), ("value",), given, words)
        if kind == BOOL and isinstance(value.type, Scalar) and value.type.kind == "f":
            return body.temporary(Value(BOOL, f"({value.code} != 0)"))
        return _number(body, kind, value)

    return rule


def _extreme(sign: str) -> Rule:
    """``min`` and ``max`` of numbers, which have to be of one type."""

    def rule(body: Body, given: list[Value], words: Words) -> Value:
        if words or not given:
            raise body.refusal("min or max with these arguments", "two or more numbers")
        if len(given) == 1:
            if isinstance(given[0].type, Array):
                return body.program.numpy_call(body, "min" if sign == "<" else "max", given)
            if not isinstance(given[0].type, Tuple):
                raise body.refusal(f"min or max of {given[0].type}")
            given = [member(given[0], number) for number in range(len(given[0].type.items))]
        best = given[0]
        for value in given[1:]:
            kind = same_type(best.type, value.type)
            if not isinstance(kind, Scalar) or kind == BOOL:
                raise body.refusal(f"min or max of {best.type} and {value.type}", "numbers of one type")
            better = body.call(compare, sign, value, best, body.where)
            a, b = body.fit(value, kind), body.fit(best, kind)
            natural = (a.natural and b.natural) or (sign == ">" and (a.natural or b.natural))
            best = body.temporary(Value(kind, f"({better.code} ? {a.code} : {b.code})", natural=natural))
        return best

    return rule


def _abs(body: Body, given: list[Value], words: Words) -> Value:
    [value] = bound_names(body, "abs", ("value",), given, words)
    return arrays.elementwise(body, [value], lambda a: absolute(body, a))


def absolute(body: Body, value: Value) -> Value:
    """The absolute value of a number."""
    kind = value.type
    if not isinstance(kind, Scalar) or kind == BOOL:
        raise body.refusal(f"abs of {kind}", "a number")
    if kind.kind == "u":
        return value
    if kind.kind == "f":
        return Value(kind, f"__builtin_fabs({value.code})" if kind.width == 8 else f"__builtin_fabsf({value.code})")
    code = value.code if not value.is_known else body.call(converted, value, kind, body.where).code
    negative = body.call(unary, ast.USub, Value(kind, code), body.where)
    return Value(kind, f"({code} < 0 ? {negative.code} : {code})", natural=kind == INT)


def _sum(body: Body, given: list[Value], words: Words) -> Value:
    [values] = bound_names(body, "sum", ("values",), given, words)
    if isinstance(values.type, Array):
        raise body.refusal("sum of an array", "np.sum(array), or a loop")
    if not isinstance(values.type, Tuple):
        raise body.refusal(f"sum of {values.type}", "a loop")
    total = body.call(literal, 0)
    for number in range(len(values.type.items)):
        total = body.temporary(body.call(binary, "add", total, member(values, number), body.where))
    return total


def _divmod(body: Body, given: list[Value], words: Words) -> Value:
    a, b = bound_names(body, "divmod", ("a", "b"), given, words)
    return tuple_of(tuple(body.temporary(body.call(binary, op, a, b, body.where)) for op in ("floordiv", "mod")))


def _replace(body: Body, given: list[Value], words: Words) -> Value:
    if len(given) != 1 or not isinstance(given[0].type, Tuple) or given[0].type.cls is None:
        raise body.refusal("replace of what is no record")
    [record] = given
    kind = record.type
    assert isinstance(kind, Tuple)
    if wrong := sorted(set(words) - set(kind.names)):
        raise body.refusal(f"{kind} has no field {wrong[0]}")
    return tuple_of(tuple(words.get(name, member(record, number)) for number, name in enumerate(kind.names)), kind.cls, kind.names)


def _every(name: str) -> Rule:
    """``any`` and ``all`` of an array with one axis."""

    def rule(body: Body, given: list[Value], words: Words) -> Value:
        [values] = bound_names(body, name, ("values",), given, words)
        if not isinstance(values.type, Array) or values.type.ndim != 1:
            raise body.refusal(f"{name} of {values.type}", f"np.{name}(array)")
        return body.program.numpy_call(body, name, [values])

    return rule


def _round(body: Body, given: list[Value], words: Words) -> Value:
    [value] = bound_names(body, "round", ("number",), given, words)
    if value.type == INT:
        return value
    if value.type != FLOAT:
        raise body.refusal(f"round of {value.type}", "np.rint(...), or round(float(...))")
    return _number(body, INT, Value(FLOAT, f"py_rint({body.call(converted, value, FLOAT, body.where).code})"))


def _whole(name: str, parameters: tuple[str, ...]) -> Rule:
    """A function of the library of ints."""

    def rule(body: Body, given: list[Value], words: Words) -> Value:
        values = bound_names(body, name, parameters, given, words)
        return body.program.library(body, name, *(body.temporary(integer(body, value, "the argument")) for value in values))

    return rule


def _limits(kind: type) -> Rule:
    """``np.iinfo`` and ``np.finfo``, which the translator computes."""

    def rule(body: Body, given: list[Value], words: Words) -> Value:
        [dtype] = bound_names(body, kind.__name__, ("dtype",), given, words)
        return constant(body, kind(numpy_functions.dtype_of(body, dtype).dtype))

    return rule


def _math(name: str) -> Rule:
    def rule(body: Body, given: list[Value], words: Words) -> Value:
        [value] = bound_names(body, name, ("x",), given, words)
        if not isinstance(value.type, Scalar):
            raise body.refusal(f"math.{name} of {value.type}", f"np.{name}")
        code = f"{name}({body.call(converted, value, FLOAT, body.where).code})"
        if name in ("floor", "ceil", "trunc"):
            return _number(body, INT, Value(FLOAT, code))
        return body.temporary(Value(FLOAT, code))

    return rule


RULES: dict[Any, Rule] = {
    len: _len,
    int: _to(INT),
    float: _to(FLOAT),
    bool: _to(BOOL),
    min: _extreme("<"),
    max: _extreme(">"),
    abs: _abs,
    sum: _sum,
    divmod: _divmod,
    any: _every("any"),
    all: _every("all"),
    round: _round,
    math.gcd: _whole("greatest_divisor", ("a", "b")),
    math.isqrt: _whole("whole_root", ("n",)),
    np.iinfo: _limits(np.iinfo),
    np.finfo: _limits(np.finfo),
    dataclasses.replace: _replace,
    **guest_calls.RULES,
    **tensor_calls.RULES,
    **{getattr(math, name): _math(name) for name in ("sqrt", "exp", "log", "log2", "sin", "cos", "floor", "ceil", "trunc")},
}
"""What a guest may call of Python's own and of zkvm.guest."""
