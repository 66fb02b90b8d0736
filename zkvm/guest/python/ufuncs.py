"""Functions of numpy that work element by element."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from zkvm.guest.python import arrays
from zkvm.guest.python.body import Body
from zkvm.guest.python.numpy_functions import rule
from zkvm.guest.python.scalars import binary, compare, converted, truth, unary
from zkvm.guest.python.types import BOOL, FLOAT64, Scalar, Value


def ufunc(body: Body, operands: Sequence[Value], operate: Callable[..., Value]) -> Value:
    """A function of numpy element by element. Of Python's numbers alone it makes numpy's: of an int one of 64 bits."""
    if all(isinstance(operand.type, Scalar) and (operand.type.weak or operand.type == BOOL) for operand in operands):
        operands = [
            body.temporary(body.call(converted, operand, operand.type.strong, body.where)) if isinstance(operand.type, Scalar) else operand
            for operand in operands
        ]
    return arrays.elementwise(body, operands, operate)


def _operator(name: str) -> Callable[..., Value]:
    def apply(body: Body, a: Value, b: Value) -> Value:
        return ufunc(body, [a, b], lambda x, y: body.call(binary, name, x, y, body.where))

    return apply


for _names, _op in (
    ("add", "add"), ("subtract", "sub"), ("multiply", "mul"), ("floor_divide", "floordiv"), ("mod remainder", "mod"), ("power", "pow"),
    ("left_shift", "lshift"), ("right_shift", "rshift"), ("bitwise_and", "and"), ("bitwise_or", "or"), ("bitwise_xor", "xor"),
    ("divide true_divide", "div"),
):  # fmt: skip
    rule(_names, "a b")(_operator(_op))


def _comparison(sign: str) -> Callable[..., Value]:
    def apply(body: Body, a: Value, b: Value) -> Value:
        return ufunc(body, [a, b], lambda x, y: body.call(compare, sign, x, y, body.where))

    return apply


for _names, _op in (("equal", "=="), ("not_equal", "!="), ("less", "<"), ("less_equal", "<="), ("greater", ">"), ("greater_equal", ">=")):
    rule(_names, "a b")(_comparison(_op))


def _logical(sign: str) -> Callable[..., Value]:
    def apply(body: Body, a: Value, b: Value) -> Value:
        return ufunc(body, [a, b], lambda x, y: Value(BOOL, f"({truth(x)} {sign} {truth(y)})"))

    return apply


rule("logical_and", "a b")(_logical("&&"))
rule("logical_or", "a b")(_logical("||"))


@rule("logical_not", "a")
def _logical_not(body: Body, a: Value) -> Value:
    return ufunc(body, [a], lambda x: body.call(unary, ast.Not, x, body.where))


@rule("logical_xor", "a b")
def _logical_xor(body: Body, a: Value, b: Value) -> Value:
    return ufunc(body, [a, b], lambda x, y: Value(BOOL, f"(!{truth(x)} != !{truth(y)})"))


@rule("invert bitwise_not", "a")
def _invert(body: Body, a: Value) -> Value:
    return ufunc(body, [a], lambda x: body.call(unary, ast.Invert, x, body.where))


@rule("negative", "a")
def _negative(body: Body, a: Value) -> Value:
    return ufunc(body, [a], lambda x: body.call(unary, ast.USub, x, body.where))


@rule("square", "a")
def _square(body: Body, a: Value) -> Value:
    return ufunc(body, [a], lambda x: body.call(binary, "mul", x, x, body.where))


def pick(body: Body, sign: str, a: Value, b: Value) -> Value:
    """The smaller or larger of two numbers, as numpy promotes them; NaN if one is NaN."""
    kind = body.call(binary, "add", a, b, body.where).type
    x, y = (body.temporary(body.call(converted, side, kind, body.where)) for side in (a, b))
    assert isinstance(kind, Scalar)
    nan = f"{x.code} != {x.code} || " if kind.kind == "f" else ""
    flipped = f" || {y.code} != {y.code}" if kind.kind == "f" else ""
    inner = f"{x.code} {sign} {y.code}"
    chosen = f"({nan}({inner} && !(0{flipped})) ? {x.code} : {y.code})"
    if kind.kind == "f":
        # Of equal ones the first: -0.0 and 0.0 are told apart by nobody but their bits.
        chosen = f"({nan}(!(0{flipped}) && {x.code} {sign}= {y.code}) ? {x.code} : {y.code})"
    return Value(kind, chosen, natural=x.natural and y.natural)


def _picked(sign: str) -> Callable[..., Value]:
    def apply(body: Body, a: Value, b: Value) -> Value:
        return ufunc(body, [a, b], lambda x, y: pick(body, sign, x, y))

    return apply


rule("minimum", "a b")(_picked("<"))
rule("maximum", "a b")(_picked(">"))


@rule("clip", "array low= high=", "clip")
def _clip(body: Body, array: Value, low: Value | None, high: Value | None) -> Value:
    for bound, sign in ((low, ">"), (high, "<")):
        if bound is not None:
            array = _picked(sign)(body, array, bound)
    return array


@rule("where", "condition a b")
def _where(body: Body, condition: Value, a: Value, b: Value) -> Value:
    def choose(c: Value, x: Value, y: Value) -> Value:
        both_bool = x.type == y.type == BOOL
        kind = BOOL if both_bool else body.call(binary, "add", x, y, body.where).type
        sides = [side if both_bool else body.call(converted, side, kind, body.where) for side in (x, y)]
        return Value(kind, f"({truth(c)} ? {sides[0].code} : {sides[1].code})")

    return ufunc(body, [condition, a, b], choose)


@rule("abs absolute", "a")
def _abs(body: Body, a: Value) -> Value:
    def absolute(x: Value) -> Value:
        kind = x.type
        if not isinstance(kind, Scalar) or kind.kind in "bu":
            return x
        if kind.kind == "f":
            return Value(kind, f"__builtin_fabs{'' if kind.width == 8 else 'f'}({x.code})")
        x = body.temporary(body.call(converted, x, kind, body.where))
        return Value(kind, f"({x.code} < 0 ? {body.call(unary, ast.USub, x, body.where).code} : {x.code})")

    return ufunc(body, [a], absolute)


@rule("sign", "a")
def _sign(body: Body, a: Value) -> Value:
    def sign(x: Value) -> Value:
        kind = x.type
        if kind == BOOL or not isinstance(kind, Scalar):
            raise body.refusal("sign of truth values", "numbers")
        sides = f"({x.code} > 0) - ({x.code} < 0)"
        if kind.kind == "f":
            return Value(kind, f"({x.code} != {x.code} ? {x.code} : ({kind.c})({sides}))")
        return Value(kind, f"(({kind.c})({sides}))" if kind.kind == "i" else f"(({kind.c})({x.code} != 0))")

    return ufunc(body, [a], sign)


def _real(function: str, keeps_integers: bool = False) -> Callable[..., Value]:
    """A function of floats; integers become np.float64, or stay as they are."""

    def apply(body: Body, a: Value) -> Value:
        def one(x: Value) -> Value:
            kind = x.type
            if kind == BOOL or not isinstance(kind, Scalar):
                raise body.refusal(f"{function} of truth values", "numbers")
            if kind.kind != "f":
                if keeps_integers:
                    return body.call(converted, x, kind.strong, body.where)
                if kind.width == 1:
                    raise body.refusal(f"{function} of 8-bit integers, which is np.float16", "x.astype(np.float32)")
                kind = Scalar("float32") if kind.width == 2 else FLOAT64
                x = body.call(converted, x, kind, body.where, explicit=True)
            single = kind.width == 4
            if function == "rint":
                return Value(kind.strong, f"(({kind.c})py_rint({x.code}))")
            return Value(kind.strong, f"{function}{'f' if single else ''}({x.code})")

        return ufunc(body, [a], one)

    return apply


for _function in ("sqrt", "exp", "log", "log2", "log10", "exp2", "sin", "cos", "tan"):
    rule(_function, "a")(_real(_function))
rule("rint", "a")(_real("rint"))
for _function in ("floor", "ceil", "trunc"):
    rule(_function, "a")(_real(_function, keeps_integers=True))


rule("round around", "a")(_real("rint", keeps_integers=True))  # halves to the even neighbour, all of them


def _kind_of_float(test: str) -> Callable[..., Value]:
    """Whether a number is of some kind, by C for x - x: 0, or NaN for NaN and infinities."""

    def apply(body: Body, a: Value) -> Value:
        return ufunc(body, [a], lambda x: Value(BOOL, test.replace("x", x.code)))

    return apply


rule("isnan", "a")(_kind_of_float("(x != x)"))
rule("isfinite", "a")(_kind_of_float("(x - x == 0)"))
rule("isinf", "a")(_kind_of_float("(x == x && x - x != 0)"))
