"""Statements of a function."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from zkvm.guest.python import arrays, views
from zkvm.guest.python.body import Body, Loop, integer
from zkvm.guest.python.diagnostics import NODE_NAMES
from zkvm.guest.python.expressions import condition, expression, operate
from zkvm.guest.python.types import INT, NONE, Array, Known, Scalar, Tuple, Value, is_shared, member, owners, tuple_of


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
        body.emit(f'#line {body.line} "{body.source.name}"')
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
        value = tuple_of(tuple(views.subscript(body, value, [body.call(_number, n)]) for n in range(count)))
    if not isinstance(value.type, Tuple):
        raise body.refusal(f"{value.type} cannot be unpacked", "a tuple")
    if len(value.type.items) != len(target.elts):
        raise body.refusal(f"{len(value.type.items)} values for {len(target.elts)} names")
    # All are read before the first is written: a, b = b, a.
    parts = [held(body, member(value, number)) for number in range(len(target.elts))]
    for name, part in zip(target.elts, parts, strict=True):
        assign_to(body, name, part)


def _number(value: int) -> Value:
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
    arrays.fill(body, views.view(body, array, views.expanded(body, array, parts)), value)


def _store_chosen(body: Body, array: Value, chosen: Value, value: Value) -> None:
    """``array[flags] = number``, and ``array[indices] = numbers``."""
    assert isinstance(array.type, Array)
    assert isinstance(chosen.type, Array)
    if array.type.constant:
        raise body.refusal("an assignment to an array of the module, which is constant", "a copy: array.copy()")
    flags = chosen.type.dtype.kind == "b"
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
    code = f"({condition(body, node.test)})" if not isinstance(test.type, Scalar) else f"({_truth(test)})"
    body.end_statement()
    before = None if body.assigned is None else set(body.assigned)
    body.emit(f"if {code} {{")
    statements(body, node.body)
    after = body.assigned
    body.assigned = before
    body.emit("} else {")
    statements(body, node.orelse)
    body.emit("}")
    body.assigned = _both(after, body.assigned)


def _truth(value: Value) -> str:
    return value.code if value.type == Scalar("bool") else f"{value.code} != 0"


def _both(left: set[str] | None, right: set[str] | None) -> set[str] | None:
    """What is surely assigned after two ways that meet; None: neither arrives."""
    if left is None or right is None:
        return right if left is None else left
    return left & right


def _while(body: Body, node: ast.While) -> None:
    loop = _open(body, node.orelse)
    body.emit("while (1) {")
    body.owned.append([])
    test = expression(body, node.test)
    endless = test.is_known and bool(test.known)
    if not endless:
        code = _truth(test) if isinstance(test.type, Scalar) else condition(body, node.test)
        finished = body.temporary(Value(Scalar("bool"), f"!({code})"))
        body.end_statement()
        body.emit(f"if ({finished.code}) break;")
    before = None if body.assigned is None else set(body.assigned)
    _loop_body(body, loop, node.body)
    body.owned.pop()
    body.emit("}")
    _close(body, loop, None if endless else before, node.orelse)


def _open(body: Body, orelse: Sequence[ast.stmt]) -> Loop:
    loop = Loop(flag=body.name("broke") if orelse else "")
    if loop.flag:
        body.emit(f"bool {loop.flag} = 0;")
    return loop


def _loop_body(body: Body, loop: Loop, nodes: Sequence[ast.stmt]) -> None:
    body.loops.append(loop)
    statements(body, nodes)
    body.loops.pop()


def _close(body: Body, loop: Loop, finished: set[str] | None, orelse: Sequence[ast.stmt]) -> None:
    """After a loop: ``finished`` is what is surely assigned when it ends by itself; None if it never does."""
    body.assigned = finished
    if orelse:
        body.emit(f"if (!{loop.flag}) {{")
        statements(body, orelse)
        body.emit("}")
    for names in loop.left:
        body.assigned = _both(body.assigned, names)


def _jump(body: Body, node: ast.Break | ast.Continue) -> None:
    loop = body.loops[-1]
    if isinstance(node, ast.Break):
        assert body.assigned is not None
        loop.left.append(set(body.assigned))
        if loop.flag:
            body.emit(f"{loop.flag} = 1;")
        body.emit("break;")
    else:
        body.emit("continue;")
    body.assigned = None


def _for(body: Body, node: ast.For) -> None:
    from_range = isinstance(node.iter, ast.Call) and isinstance(node.iter.func, ast.Name) and body.read(node.iter.func.id) is None
    called = body.program.global_value(body, node.iter.func.id) if from_range else None  # type: ignore[attr-defined]
    loop = _open(body, node.orelse)
    before = None if body.assigned is None else set(body.assigned)
    if called is range:
        _range_loop(body, node)
    else:
        assign, length = iterable(body, node.iter, called)
        body.end_statement()
        counter = body.name("k")
        body.emit(f"for (uint32_t {counter} = 0; {counter} < (uint32_t){length}; {counter}++) {{")
        body.owned.append([])
        assign_to(body, node.target, assign(counter))
        body.end_statement()
    _loop_body(body, loop, node.body)
    body.owned.pop()
    body.emit("}")
    _close(body, loop, before, node.orelse)


def _range_loop(body: Body, node: ast.For) -> None:
    """The head of ``for name in range(...)``."""
    assert isinstance(node.iter, ast.Call)
    if not isinstance(node.target, ast.Name) or node.iter.keywords or not 1 <= len(node.iter.args) <= 3:
        raise body.refusal("range with these arguments, or into more than one name", "for name in range(start, stop, step)")
    given = [body.keep(integer(body, expression(body, argument), "an argument of range")) for argument in node.iter.args]
    body.end_statement()
    start = given[0] if len(given) > 1 else _number(0)
    stop = given[0] if len(given) == 1 else given[1]
    step = given[2] if len(given) == 3 else _number(1)
    counter = body.name("k")
    natural = _natural_range(start, stop, step)
    if step.is_known and step.known == 1:
        body.emit(f"for (int32_t {counter} = {start.code}; {counter} < {stop.code}; {counter}++) {{")
        item = counter
    else:
        length = body.keep(body.temporary(Value(INT, f"py_range_length({start.code}, {stop.code}, {step.code}, {body.where})")))
        body.emit(f"for (int32_t {counter} = 0; {counter} < {length.code}; {counter}++) {{")
        item = f"(int32_t)((uint32_t){start.code} + (uint32_t){counter} * (uint32_t){step.code})"
    body.owned.append([])
    body.assign(node.target.id, body.temporary(Value(INT, item, natural=natural)))


def iterable(body: Body, node: ast.expr, called: Any) -> tuple[Callable[[str], Value], str]:
    """What a loop goes over: the item of a counter, and how many there are, in C."""
    if called in (enumerate, zip, reversed, range) and isinstance(node, ast.Call):
        strict = [word.value for word in node.keywords if called is zip and word.arg == "strict"]
        if len(strict) != len(node.keywords):
            raise body.refusal(f"{called.__name__} with names of arguments", "without them")
        if called is range:
            return _range_items(body, node)
        parts = [iterable(body, argument, _called(body, argument)) for argument in node.args]
        if called is enumerate:
            [(item, length)] = parts
            return lambda counter: tuple_of((Value(INT, f"(int32_t){counter}", natural=True), item(counter))), length
        if called is reversed:
            [(item, length)] = parts
            return lambda counter: item(f"((uint32_t){length} - 1 - {counter})"), length
        lengths = [length for _, length in parts]
        shortest = lengths[0]
        for length in lengths[1:]:
            if strict and expression(body, strict[0]).known:
                body.emit(f"if (PY_RARE((int32_t){length} != (int32_t){shortest})) py_length_panic({body.where}, {length}, {shortest});")
            shortest = f"({shortest} < {length} ? {shortest} : {length})"
        return lambda counter: tuple_of(tuple(item(counter) for item, _ in parts)), body.keep(body.temporary(Value(INT, shortest))).code
    value = body.keep(body.temporary(expression(body, node)))
    kind = value.type
    if isinstance(kind, Array):
        return lambda counter: _array_item(body, value, counter), f"{value.code}.shape[0]"
    if isinstance(kind, Tuple) and len(set(kind.items)) == 1 and isinstance(kind.items[0], Scalar):
        listed = ", ".join(member(value, number).code for number in range(len(kind.items)))
        return lambda counter: Value(kind.items[0], f"((const {kind.items[0].c}[]){{{listed}}})[{counter}]"), str(len(kind.items))
    raise body.refusal(f"a loop over {kind}", "range, an array, a tuple of numbers of one type, enumerate, zip or reversed")


def _called(body: Body, node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and body.read(node.func.id) is None:
        return body.program.global_value(body, node.func.id)
    return None


def _natural_range(start: Value, stop: Value, step: Value) -> bool:
    """Whether no number of a range is negative."""
    if not step.is_known:
        return False
    return start.natural if step.known > 0 else stop.natural or (stop.is_known and stop.known >= -1)


def _range_items(body: Body, node: ast.Call) -> tuple[Callable[[str], Value], str]:
    given = [body.keep(integer(body, expression(body, argument), "an argument of range")) for argument in node.args]
    start, stop = (_number(0), given[0]) if len(given) == 1 else (given[0], given[1])
    step = given[2] if len(given) == 3 else _number(1)
    length = body.keep(body.temporary(Value(INT, f"py_range_length({start.code}, {stop.code}, {step.code}, {body.where})"))).code
    natural = _natural_range(start, stop, step)
    return lambda counter: Value(INT, f"(int32_t)((uint32_t){start.code} + {counter} * (uint32_t){step.code})", natural=natural), length


def _array_item(body: Body, value: Value, counter: str) -> Value:
    assert isinstance(value.type, Array)
    if value.type.ndim == 1:
        return body.temporary(Value(value.type.dtype, arrays.element(value, [counter])))
    index = Value(Scalar("uint32"), counter, natural=True)
    return views.view(body, value, views.expanded(body, value, [index]))


def _return(body: Body, node: ast.Return) -> None:
    body.leave(None if node.value is None else expression(body, node.value))


def _assert(body: Body, node: ast.Assert) -> None:
    test = condition(body, node.test)
    message = _message(body, node.msg)
    body.emit(f"if (PY_RARE(!{test})) py_panic({body.where}, {_quoted(f'AssertionError: {message}' if message else 'AssertionError')});")


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
    body.emit(f"py_panic({body.where}, {_quoted(f'{name}: {message}' if message else name)});")
    body.assigned = None


def _message(body: Body, node: ast.expr | None) -> str:
    if node is None:
        return ""
    value = expression(body, node)
    if not (value.is_known and isinstance(value.known, str)):
        raise body.refusal("a message that is not a constant text", "a constant text, and zkvm.guest.log for values")
    return value.known


def _quoted(text: str) -> str:
    """A C string."""
    return quoted(text)


def quoted(text: str) -> str:
    """A text as a C string, every byte but plain ones by its number."""
    plain = "".join(chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?%' else f"\\{byte:03o}" for byte in text.encode())
    return f'"{plain}"'


def _pass(body: Body, node: ast.Pass) -> None:
    """Nothing."""


RULES: dict[type[ast.stmt], Callable[[Body, Any], None]] = {
    ast.Expr: _expression,
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.If: _if,
    ast.While: _while,
    ast.For: _for,
    ast.Break: _jump,
    ast.Continue: _jump,
    ast.Return: _return,
    ast.Assert: _assert,
    ast.Raise: _raise,
    ast.Pass: _pass,
}
"""What kinds of statements there are."""
