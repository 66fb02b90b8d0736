"""Loops: ``for``, ``while``, ``break``, ``continue``, and what ``for`` goes over."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from zkvm.guest.python import arrays, views
from zkvm.guest.python.body import Body, Loop, integer
from zkvm.guest.python.expressions import condition, expression
from zkvm.guest.python.statements import RULES, assign_to, both, known_int, statements, truth_of
from zkvm.guest.python.types import INT, Array, Scalar, Tuple, Value, member, tuple_of


def _while(body: Body, node: ast.While) -> None:
    loop = _open(body, node.orelse)
    body.emit("while (1) {")
    body.owned.append([])
    test = expression(body, node.test)
    endless = test.is_known and bool(test.known)
    if not endless:
        code = truth_of(test) if isinstance(test.type, Scalar) else condition(body, node.test)
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
        body.assigned = both(body.assigned, names)


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
    start = given[0] if len(given) > 1 else known_int(0)
    stop = given[0] if len(given) == 1 else given[1]
    step = given[2] if len(given) == 3 else known_int(1)
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
        if called is enumerate and len(node.args) == 2:
            first = body.keep(body.temporary(integer(body, expression(body, node.args[1]), "where enumerate begins")))
            item, length = iterable(body, node.args[0], _called(body, node.args[0]))
            return lambda counter: tuple_of((_count_from(body, first, counter), item(counter))), length
        if called is not zip and len(node.args) != 1:
            raise body.refusal(f"{called.__name__} of {len(node.args)} arguments")
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


def _count_from(body: Body, first: Value, counter: str) -> Value:
    add = "py_add_natural" if first.natural else "py_add"
    return body.temporary(Value(INT, f"{add}({first.code}, (int32_t){counter}, {body.where})", natural=first.natural))


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
    start, stop = (known_int(0), given[0]) if len(given) == 1 else (given[0], given[1])
    step = given[2] if len(given) == 3 else known_int(1)
    length = body.keep(body.temporary(Value(INT, f"py_range_length({start.code}, {stop.code}, {step.code}, {body.where})"))).code
    natural = _natural_range(start, stop, step)
    return lambda counter: Value(INT, f"(int32_t)((uint32_t){start.code} + {counter} * (uint32_t){step.code})", natural=natural), length


def _array_item(body: Body, value: Value, counter: str) -> Value:
    assert isinstance(value.type, Array)
    if value.type.ndim == 1:
        return body.temporary(Value(value.type.dtype, arrays.element(value, [counter])))
    index = Value(Scalar("uint32"), counter, natural=True)
    return views.view(body, value, views.expanded(body, value, [index]))


def function_body(body: Body, nodes: Sequence[ast.stmt]) -> None:
    """The statements of a function, loops among them.

    Raises:
        RefusedError: guests do not have one of them.
    """
    statements(body, nodes)


RULES |= {ast.While: _while, ast.For: _for, ast.Break: _jump, ast.Continue: _jump}
