"""Expressions of a function: each gives a value, whose C code stands in a temporary by then."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np

from zkvm.guest.python import arrays, views
from zkvm.guest.python.body import Body, integer
from zkvm.guest.python.diagnostics import NODE_NAMES
from zkvm.guest.python.scalars import ARITHMETIC, COMPARISONS, binary, compare, literal, truth, unary
from zkvm.guest.python.types import BOOL, NONE, Array, Known, Scalar, Tensor, Tuple, Value, member, same_type, tuple_of


def expression(body: Body, node: ast.expr) -> Value:
    """The value of an expression.

    Raises:
        RefusedError: guests do not have it, or its operands do not go together.
    """
    body.at(node)
    rule = RULES.get(type(node))
    if rule is None:
        name, instead = NODE_NAMES.get(type(node), (type(node).__name__, ""))
        raise body.refusal(f"{name} has no translation", instead)
    return rule(body, node)


def scalar(body: Body, node: ast.expr, what: str = "the value") -> Value:
    """The value of an expression that has to be a number.

    Raises:
        RefusedError: it is none.
    """
    value = expression(body, node)
    if not isinstance(value.type, Scalar):
        raise body.refusal(f"{what} is {value.type}, not a number")
    return value


def condition(body: Body, node: ast.expr) -> str:
    """C for whether an expression counts as true."""
    value = expression(body, node)
    if isinstance(value.type, Array):
        raise body.refusal("the truth of an array", "np.any(...) or np.all(...)")
    if not isinstance(value.type, Scalar):
        raise body.refusal(f"the truth of {value.type}", "a comparison")
    return truth(value)


def _constant(body: Body, node: ast.Constant) -> Value:
    return constant(body, node.value)


def constant(body: Body, value: Any) -> Value:
    """A value that exists before the program runs."""
    if value is None:
        return Value(NONE, "0", None, True)
    if isinstance(value, str):
        return Value(Known(value, "text"), "0", value, True)
    if isinstance(value, bytes):
        value = np.frombuffer(value, np.uint8)
    if isinstance(value, np.ndarray):
        kind, code = body.program.constant_array(body, value)
        return Value(kind, code)
    if isinstance(value, tuple):
        parts = tuple(constant(body, part) for part in value)
        fields = getattr(type(value), "_fields", None)
        return tuple_of(parts, type(value), tuple(fields)) if fields else tuple_of(parts)
    if (names := body.program.record_fields(type(value))) is not None and not isinstance(value, type):
        return tuple_of(tuple(constant(body, getattr(value, name)) for name in names), type(value), names)
    if isinstance(value, bool | np.bool_ | int | float | np.integer | np.floating):
        return body.call(literal, value)
    if isinstance(value, list | dict | set):
        raise body.refusal(f"a {type(value).__name__} of the module", "a tuple or a numpy array")
    return Value(Known(value, _kind_of(value)), "0", value, True)


def _kind_of(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"the {type(value).__name__} {getattr(value, '__name__', '')}".rstrip()


def _name(body: Body, node: ast.Name) -> Value:
    value = body.read(node.id)
    if value is not None:
        return value
    return constant(body, body.program.global_value(body, node.id))


def _binary(body: Body, node: ast.BinOp) -> Value:
    left, right = expression(body, node.left), expression(body, node.right)
    return operate(body, node.op, left, right)


def operate(body: Body, op: ast.operator, left: Value, right: Value) -> Value:
    """An operator between two values."""
    if isinstance(op, ast.MatMult):
        return body.program.numpy_call(body, "matmul", [left, right])
    name = ARITHMETIC[type(op)]
    if isinstance(left.type, Tuple) and isinstance(right.type, Tuple) and name == "add":
        parts = [member(side, number) for side in (left, right) for number in range(len(_items(side)))]
        return tuple_of(tuple(parts))
    return arrays.elementwise(body, [left, right], lambda a, b: body.call(binary, name, a, b, body.where))


def _items(value: Value) -> tuple[Any, ...]:
    assert isinstance(value.type, Tuple)
    return value.type.items


def _unary(body: Body, node: ast.UnaryOp) -> Value:
    if isinstance(node.op, ast.Not):
        return body.temporary(Value(BOOL, f"(!{condition(body, node.operand)})"))
    value = expression(body, node.operand)
    return arrays.elementwise(body, [value], lambda a: body.call(unary, type(node.op), a, body.where))


def _compare(body: Body, node: ast.Compare) -> Value:
    left = expression(body, node.left)
    if len(node.ops) == 1:
        return comparison(body, node.ops[0], left, expression(body, node.comparators[0]))
    result = body.name()
    body.emit(f"bool {result} = 0;")
    depth = 0
    for number, (op, right_node) in enumerate(zip(node.ops, node.comparators, strict=True)):
        right = expression(body, right_node)
        found = comparison(body, op, left, right)
        if not isinstance(found.type, Scalar):
            raise body.refusal("a chain of comparisons of arrays", "(a < b) & (b < c)")
        if number == len(node.ops) - 1:
            body.emit(f"{result} = {found.code};")
        else:
            body.emit(f"if ({found.code}) {{")
            body.owned.append([])
            depth += 1
        left = right
    for _ in range(depth):
        body.release(body.owned.pop())
        body.emit("}")
    return Value(BOOL, result)


def comparison(body: Body, op: ast.cmpop, left: Value, right: Value) -> Value:
    """One comparison of two values."""
    if isinstance(op, ast.Is | ast.IsNot):
        if NONE not in (left.type, right.type):
            raise body.refusal("is", "==")
        return body.call(literal, (left.type == right.type) == isinstance(op, ast.Is))
    if isinstance(op, ast.In | ast.NotIn):
        return _contained(body, op, left, right)
    sign = COMPARISONS[type(op)]
    if isinstance(left.type, Tuple) and isinstance(right.type, Tuple):
        return _compare_tuples(body, sign, left, right)
    if left.is_known and right.is_known and isinstance(left.known, str) and isinstance(right.known, str) and sign in ("==", "!="):
        return body.call(literal, (left.known == right.known) == (sign == "=="))
    return arrays.elementwise(body, [left, right], lambda a, b: body.call(compare, sign, a, b, body.where))


def _contained(body: Body, op: ast.cmpop, left: Value, right: Value) -> Value:
    """``x in tuple``, ``x in array``."""
    if isinstance(right.type, Array) and isinstance(left.type, Scalar):
        same = arrays.elementwise(body, [left, right], lambda a, b: body.call(compare, "==", a, b, body.where))
        code = body.program.numpy_call(body, "any", [same]).code
    elif isinstance(right.type, Tuple):
        same_ones = [comparison(body, ast.Eq(), left, member(right, number)) for number in range(len(right.type.items))]
        code = " || ".join(found.code for found in same_ones) or "0"
    else:
        raise body.refusal(f"in of {right.type}", "a tuple or an array of numbers")
    return body.temporary(Value(BOOL, f"(!({code}))" if isinstance(op, ast.NotIn) else f"({code})"))


def _compare_tuples(body: Body, sign: str, left: Value, right: Value) -> Value:
    """Tuples of numbers, in their order."""
    count = len(_items(left))
    if count != len(_items(right)) or not all(isinstance(item, Scalar) for item in (*_items(left), *_items(right))):
        raise body.refusal("a comparison of tuples of other things than numbers, or of other lengths", "their members, one by one")
    pairs = [(member(left, number), member(right, number)) for number in range(count)]
    same = [body.temporary(body.call(compare, "==", a, b, body.where)).code for a, b in pairs]
    if sign in ("==", "!="):
        every = " && ".join(same) or "1"
        return body.temporary(Value(BOOL, f"(!({every}))" if sign == "!=" else f"({every})"))
    code = "1" if sign in ("<=", ">=") else "0"
    strict = sign[0]
    for (a, b), equal in zip(reversed(pairs), reversed(same), strict=True):
        code = f"({equal} ? {code} : {body.call(compare, strict, a, b, body.where).code})"
    return body.temporary(Value(BOOL, code))


def _boolean(body: Body, node: ast.BoolOp) -> Value:
    """``and`` and ``or``: later operands are computed only where they matter."""
    is_and = isinstance(node.op, ast.And)
    first = scalar(body, node.values[0], "an operand of and/or")
    kind = first.type
    result = body.name()
    place = len(body.lines)
    body.emit("")
    body.emit(f"{result} = {first.code};")
    depth = 0
    for operand in node.values[1:]:
        held = truth(Value(kind, result))
        body.emit(f"if ({held if is_and else '!' + held}) {{")
        body.owned.append([])
        depth += 1
        value = scalar(body, operand, "an operand of and/or")
        merged = same_type(kind, value.type)
        if merged != kind:
            raise body.refusal(f"and/or of {kind} and {value.type}", "comparisons on both sides")
        body.emit(f"{result} = {body.fit(value, kind).code};")
    for _ in range(depth):
        body.release(body.owned.pop())
        body.emit("}")
    body.lines[place] = f"{kind.c} {result};"
    return Value(kind, result)


def _conditional(body: Body, node: ast.IfExp) -> Value:
    """``a if c else b``: both are gone through once for their types, and again into the branches."""
    test = condition(body, node.test)
    sides = []
    for branch in (node.body, node.orelse):
        mark = (len(body.lines), body.count, len(body.owned[-1]))
        sides.append(expression(body, branch))
        del body.lines[mark[0] :]
        del body.owned[-1][mark[2] :]
        body.count = mark[1]
    kind = same_type(sides[0].type, sides[1].type)
    if kind is None or isinstance(kind, Known):
        raise body.refusal(f"{sides[0].type} if ... else {sides[1].type}", "one type on both sides")
    result = body.name()
    body.emit(f"{kind.c} {result} = {{0}};")
    with body.block(f"if ({test})"):
        body.store(result, kind, expression(body, node.body))
    with body.block("else"):
        body.store(result, kind, expression(body, node.orelse))
    return body.own(Value(kind, result, natural=sides[0].natural and sides[1].natural))


def _tuple(body: Body, node: ast.Tuple) -> Value:
    return tuple_of(tuple(expression(body, item) for item in node.elts))


def _attribute(body: Body, node: ast.Attribute) -> Value:
    base = expression(body, node.value)
    kind = base.type
    if isinstance(kind, Array):
        return views.attribute(body, base, node.attr)
    if isinstance(kind, Tensor) and node.attr == "shape":
        return tuple_of(tuple(body.call(literal, length) for length in kind.shape))
    if isinstance(kind, Tuple) and kind.cls is not None:
        if node.attr in kind.names:
            return member(base, kind.names.index(node.attr))
        found = getattr(kind.cls, node.attr, None)
        if isinstance(found, property) and found.fget is not None:
            return body.program.call_function(body, found.fget, [base], {})
        raise body.refusal(f"{kind.cls.__name__} has no field {node.attr}", f"one of {', '.join(kind.names)}")
    if isinstance(kind, Known) and kind.value is not None and not isinstance(kind.value, str):
        try:
            return constant(body, getattr(kind.value, node.attr))
        except AttributeError:
            raise body.refusal(f"{kind} has no {node.attr}") from None
    raise body.refusal(f"{kind} has no {node.attr} in a guest", "what docs/python-guests.md lists")


def _subscript(body: Body, node: ast.Subscript) -> Value:
    base = expression(body, node.value)
    if isinstance(base.type, Tuple):
        return _tuple_member(body, base, node.slice)
    if isinstance(base.type, Array):
        return views.subscript(body, base, views.indices(body, node.slice, expression))
    raise body.refusal(f"{base.type} has no elements")


def _tuple_member(body: Body, base: Value, node: ast.expr) -> Value:
    count = len(_items(base))
    if isinstance(node, ast.Slice):
        bounds = [None if part is None else expression(body, part) for part in (node.lower, node.upper, node.step)]
        if any(bound is not None and not (bound.is_known and isinstance(bound.known, int)) for bound in bounds):
            raise body.refusal("a slice of a tuple whose bounds are not constants", "an array")
        chosen = range(count)[slice(*(None if bound is None else bound.known for bound in bounds))]
        return tuple_of(tuple(member(base, number) for number in chosen))
    index = expression(body, node)
    if index.is_known and isinstance(index.known, int):
        if not -count <= index.known < count:
            raise body.refusal(f"index {index.known} of a tuple of {count}")
        return member(base, index.known % count)
    kinds = set(_items(base))
    if len(kinds) != 1 or not isinstance(kind := kinds.pop(), Scalar):
        raise body.refusal("an index of a tuple that is not a constant, where its members are not numbers of one type", "an array")
    place = f"py_index({integer(body, index, 'the index').code}, {count}, 0, {body.where})"
    values = ", ".join(member(base, number).code for number in range(count))
    return body.temporary(Value(kind, f"((const {kind.c}[]){{{values}}})[{place}]"))


def _call(body: Body, node: ast.Call) -> Value:
    line = body.line
    if any(isinstance(argument, ast.Starred) for argument in node.args) or any(word.arg is None for word in node.keywords):
        raise body.refusal("* or ** in a call", "the arguments one by one")
    if isinstance(node.func, ast.Attribute):
        base = expression(body, node.func.value)
        if isinstance(base.type, Array | Scalar | Tensor) or (isinstance(base.type, Tuple) and node.func.attr not in base.type.names):
            return body.program.call_method(body, base, node.func.attr, node)
    function = expression(body, node.func)
    body.line = line
    if not isinstance(function.type, Known):
        raise body.refusal(f"{function.type} is no function")
    return body.program.call(body, function.type.value, node)


RULES: dict[type[ast.expr], Callable[[Body, Any], Value]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.Compare: _compare,
    ast.BoolOp: _boolean,
    ast.IfExp: _conditional,
    ast.Tuple: _tuple,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.Call: _call,
}
"""What kinds of expressions there are."""
