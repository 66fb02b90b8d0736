"""Statements of a function."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from zkvm.guest.python import arrays, reductions, views
from zkvm.guest.python.body import Body
from zkvm.guest.python.diagnostics import NODE_NAMES, quoted
from zkvm.guest.python.expressions import condition, expression, operate
from zkvm.guest.python.types import INT, Array, Scalar, Tuple, Value, is_shared, member, owners, tuple_of


def statements(body: Body, nodes: Sequence[ast.stmt]) -> None:
    """Statements in their order; what comes after a jump is left out.

    Raises:
        RefusedError: guests do not have one of them.
    """
    for node in nodes:
        if body.assigned is None:
            return
        body.at(node)
        rule = RULES.get(type(node))
        if rule is None:
            name, instead = NODE_NAMES.get(type(node), (type(node).__name__, ""))
            raise body.refusal(f"{name} has no translation", instead)
        body.emit(f"#line {body.line} {quoted(body.source.name)}")
        rule(body, node)
        body.end_statement()


def _expression(body: Body, node: ast.Expr) -> None:
    if not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):
        expression(body, node.value)


def _assign(body: Body, node: ast.Assign) -> None:
    value = expression(body, node.value)
    for target in node.targets:
        assign_to(body, target, value)


def _annotated(body: Body, node: ast.AnnAssign) -> None:
    if node.value is not None:
        assign_to(body, node.target, expression(body, node.value))


def assign_to(body: Body, target: ast.expr, value: Value) -> None:
    """A value to a target: a name, names in a tuple, or elements of an array."""
    if isinstance(target, ast.Name):
        body.assign(target.id, value)
    elif isinstance(target, ast.Tuple):
        _unpack(body, target, value)
    elif isinstance(target, ast.Subscript):
        array = expression(body, target.value)
        store(body, array, views.indices(body, target.slice, expression), value)
    elif isinstance(target, ast.Attribute):
        raise body.refusal("an assignment to a field", "dataclasses.replace(...) or a new record: records are frozen")
    else:
        raise body.refusal("an assignment to this", "a name, a tuple of names, or array[...]")


def _unpack(body: Body, target: ast.Tuple, value: Value) -> None:
    if isinstance(value.type, Array):
        count = len(target.elts)
        length = f"{value.code}.shape[0]"
        body.emit(f"if (PY_RARE({length} != {count})) py_length_panic({body.where}, {length}, {count});")
        value = tuple_of(tuple(views.subscript(body, value, [known_int(n)]) for n in range(count)))
    if not isinstance(value.type, Tuple):
        raise body.refusal(f"{value.type} cannot be unpacked", "a tuple")
    if len(value.type.items) != len(target.elts):
        raise body.refusal(f"{len(value.type.items)} values for {len(target.elts)} names")
    # All are read before the first is written: a, b = b, a.
    parts = [held(body, member(value, number)) for number in range(len(target.elts))]
    for name, part in zip(target.elts, parts, strict=True):
        assign_to(body, name, part)


def known_int(value: int) -> Value:
    """A natural number that the translator knows."""
    return Value(INT, str(value), value, True, natural=True)


def held(body: Body, value: Value) -> Value:
    """A value in a temporary that holds its memory until the statement ends."""
    value = body.temporary(value)
    if is_shared(value.type):
        for owner in owners(value.type, value.code):
            body.emit(f"py_retain({owner});")
        body.own(value)
    return value


def store(body: Body, array: Value, parts: list[views.Index], value: Value) -> None:
    """``array[...] = value``."""
    if not isinstance(array.type, Array):
        raise body.refusal(f"an assignment to a member of {array.type}", "a new tuple")
    places = views.element_places(body, array, parts)
    if places is not None:
        if array.type.constant:
            raise body.refusal("an assignment to an array of the module, which is constant", "a copy: array.copy()")
        if not isinstance(value.type, Scalar):
            raise body.refusal(f"{value.type} into an element")
        body.emit(f"{arrays.element(array, places)} = {arrays.cast(body, value, array.type.dtype).code};")
        return
    if len(parts) == 1 and isinstance(parts[0], Value) and isinstance(parts[0].type, Array):
        _store_chosen(body, array, parts[0], value)
        return
    if any(isinstance(part, Value) and isinstance(part.type, Array) for part in parts):
        raise body.refusal("an index array beside other indices", "a loop, or one index array")
    target = views.view(body, array, views.expanded(body, array, parts))
    if isinstance(value.type, Tuple):
        _store_items(body, target, value)
        return
    arrays.fill(body, target, value)


def _store_items(body: Body, target: Value, value: Value) -> None:
    """``array[...] = (x, y)``: each number as if it were assigned alone."""
    kind = target.type
    assert isinstance(kind, Array)
    assert isinstance(value.type, Tuple)
    count = len(value.type.items)
    if kind.constant:
        raise body.refusal("an assignment to an array of the module, which is constant", "a copy: array.copy()")
    if kind.ndim != 1 or not all(isinstance(item, Scalar) for item in value.type.items):
        raise body.refusal(f"{value.type} into an array with {kind.ndim} axes", "numbers, into one axis")
    body.emit(f"if (PY_RARE({target.code}.shape[0] != {count})) py_length_panic({body.where}, {count}, {target.code}.shape[0]);")
    items = [body.temporary(arrays.cast(body, member(value, number), kind.dtype)).code for number in range(count)]
    for number, item in enumerate(items):
        body.emit(f"{arrays.element(target, [f'{number}u'])} = {item};")


def _store_chosen(body: Body, array: Value, chosen: Value, value: Value) -> None:
    """``array[flags] = number``, and ``array[indices] = numbers``."""
    assert isinstance(array.type, Array)
    assert isinstance(chosen.type, Array)
    if array.type.constant:
        raise body.refusal("an assignment to an array of the module, which is constant", "a copy: array.copy()")
    flags = chosen.type.dtype.kind == "b"
    if array.type.ndim > 1 and chosen.type.ndim == 1 and chosen.type.dtype.kind in "biu":
        reductions.put_rows(body, array, reductions.flagged(body, array, chosen) if flags else chosen, value)
        return
    if not array.type.dense or (array.type.ndim != chosen.type.ndim if flags else array.type.ndim != 1):
        raise body.refusal("an assignment by flags or indices to this array", "a loop")
    if isinstance(value.type, Scalar):
        value = body.temporary(arrays.cast(body, value, array.type.dtype))
        name = "put_flags" if flags else "put_indices"
    else:
        name = "put_flags_from" if flags else "put_indices_from"
    sides = (arrays.flat(body, array), arrays.flat(body, chosen))
    body.program.library(body, name, *sides, value)


def _augmented(body: Body, node: ast.AugAssign) -> None:
    if isinstance(node.target, ast.Name):
        old = expression(body, node.target)
        value = expression(body, node.value)
        if not isinstance(old.type, Array):
            body.assign(node.target.id, operate(body, node.op, old, value))
            return
        _in_place(body, node.op, old, value)
        return
    if not isinstance(node.target, ast.Subscript):
        raise body.refusal("an assignment to a field", "dataclasses.replace(...) or a new record: records are frozen")
    array = expression(body, node.target.value)
    if not isinstance(array.type, Array):
        raise body.refusal(f"an assignment to a member of {array.type}", "a new tuple")
    parts = views.indices(body, node.target.slice, expression)
    places = views.element_places(body, array, parts)
    if places is None:
        chosen = [part for part in parts if isinstance(part, Value) and isinstance(part.type, Array)]
        if chosen:
            store(body, array, parts, operate(body, node.op, views.subscript(body, array, parts), expression(body, node.value)))
            return
        target = views.view(body, array, views.expanded(body, array, parts))
        _in_place(body, node.op, target, expression(body, node.value))
        return
    if array.type.constant:
        raise body.refusal("an assignment to an array of the module, which is constant", "a copy: array.copy()")
    element = body.temporary(Value(array.type.dtype, arrays.element(array, places)))
    value = operate(body, node.op, element, expression(body, node.value))
    if not isinstance(value.type, Scalar):
        raise body.refusal(f"{value.type} into an element")
    body.emit(f"{arrays.element(array, places)} = {arrays.cast(body, value, array.type.dtype).code};")


def _in_place(body: Body, op: ast.operator, target: Value, value: Value) -> None:
    """``array += value``: the array itself changes, for whoever has it."""
    result = operate(body, op, target, value)
    assert isinstance(target.type, Array)
    if not isinstance(result.type, Array) or result.type.ndim != target.type.ndim:
        raise body.refusal("an operation in place whose result has other axes", "an assignment")
    arrays.same_kind(body, result.type.dtype, target.type.dtype)
    arrays.fill(body, target, result)


def _if(body: Body, node: ast.If) -> None:
    test = expression(body, node.test)
    if test.is_known and isinstance(test.known, bool | int):
        body.end_statement()
        statements(body, node.body if test.known else node.orelse)
        return
    code = f"({condition(body, node.test)})" if not isinstance(test.type, Scalar) else f"({truth_of(test)})"
    body.end_statement()
    before = None if body.assigned is None else set(body.assigned)
    body.emit(f"if {code} {{")
    statements(body, node.body)
    after = body.assigned
    body.assigned = before
    body.emit("} else {")
    statements(body, node.orelse)
    body.emit("}")
    body.assigned = both(after, body.assigned)


def truth_of(value: Value) -> str:
    """C for a condition."""
    return value.code if value.type == Scalar("bool") else f"{value.code} != 0"


def both(left: set[str] | None, right: set[str] | None) -> set[str] | None:
    """What is surely assigned after two ways that meet; None: neither arrives."""
    if left is None or right is None:
        return right if left is None else left
    return left & right


def _return(body: Body, node: ast.Return) -> None:
    body.leave(None if node.value is None else expression(body, node.value))


def _assert(body: Body, node: ast.Assert) -> None:
    test = condition(body, node.test)
    message = _message(body, node.msg)
    body.emit(f"if (PY_RARE(!{test})) py_panic({body.where}, {quoted(f'AssertionError: {message}' if message else 'AssertionError')});")


def _raise(body: Body, node: ast.Raise) -> None:
    error, message = node.exc, ""
    if isinstance(error, ast.Call):
        if len(error.args) > 1 or error.keywords:
            raise body.refusal("an error with several arguments", "one constant text")
        message = _message(body, error.args[0] if error.args else None)
        error = error.func
    found = expression(body, error) if error is not None else None
    if found is None or not isinstance(found.known, type) or not issubclass(found.known, BaseException):
        raise body.refusal("raise of this", 'raise ValueError("text")')
    name = found.known.__name__
    body.emit(f"py_panic({body.where}, {quoted(f'{name}: {message}' if message else name)});")
    body.assigned = None


def _message(body: Body, node: ast.expr | None) -> str:
    if node is None:
        return ""
    value = expression(body, node)
    if not (value.is_known and isinstance(value.known, str)):
        raise body.refusal("a message that is not a constant text", "a constant text, and zkvm.guest.log for values")
    return value.known


def _pass(body: Body, node: ast.Pass) -> None:
    """Nothing."""


RULES: dict[type[ast.stmt], Callable[[Body, Any], None]] = {
    ast.Expr: _expression,
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.If: _if,
    ast.Return: _return,
    ast.Assert: _assert,
    ast.Raise: _raise,
    ast.Pass: _pass,
}
"""What kinds of statements there are; ``loops.py`` adds its own."""
