"""A whole program: the functions that ``main`` leads to, each for the types that it is called with, and the arrays of the modules."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from zkvm.guest.python import calls, library, library_order, numpy_functions
from zkvm.guest.python.annotations import check_annotation, promised
from zkvm.guest.python.body import Body
from zkvm.guest.python.diagnostics import RefusedError, Source
from zkvm.guest.python.loops import function_body
from zkvm.guest.python.scalars import Mismatch, float_code, integer_code, numpy_scalar
from zkvm.guest.python.types import INT, NONE, Array, Known, Scalar, Tuple, Type, Value, identifier

PASSES = 10_000
"""Far more than a function's variables take to settle: each pass makes the type of one wider, or finds one that may be negative."""
DEEPEST = 200
"""Functions that lead to each other; more are one that calls itself with ever new types."""
LIBRARIES = (library, library_order)
LIBRARY_FILES = tuple(Path(str(module.__file__)) for module in LIBRARIES)
LIBRARY_NAME = "zkvm/python/library.py"
"""In profiles; panics name the line that calls it."""


@dataclasses.dataclass
class Specialization:
    """A function for certain types.

    Attributes:
        name: in C.
        types: of its parameters.
        naturals: which of them are never negative.
        result: its type; None as long as nobody knows.
        natural: the result is never negative.
        head: its declaration in C.
        text: in C.
        body: of its translation.
        promised: the result's type that another function was translated with before this one was done.
    """

    name: str
    types: tuple[Type, ...]
    naturals: tuple[bool, ...]
    result: Type | None = None
    natural: bool = False
    head: str = ""
    text: str = ""
    body: Body | None = None
    promised: Type | None = None


@dataclasses.dataclass(frozen=True)
class File:
    """A Python file: its lines, and its functions by line and name."""

    source: Source
    functions: dict[tuple[int, str], list[ast.FunctionDef | ast.Lambda]]


class Program:
    """Translates functions as they are called, and writes one file of C."""

    def __init__(self, root: Path) -> None:
        """``root``: the folder that names of files in messages begin in."""
        self.root = root
        self.files: dict[str, File] = {}
        self.functions: dict[tuple[Any, ...], Specialization] = {}
        self.arrays: dict[int, tuple[Any, Array, str, str]] = {}
        self.definitions: dict[Any, tuple[str, str]] = {}
        self.tuples: dict[str, Tuple] = {}
        self.names: set[str] = set()
        self.depth = 0

    # What a function's translation asks for.

    def note(self, kind: Type) -> None:
        """A type that the C file needs."""
        if isinstance(kind, Tuple) and kind.c not in self.tuples:
            for item in kind.items:
                self.note(item)
            self.tuples[kind.c] = kind

    def global_value(self, body: Body, name: str) -> Any:
        """The value of a name that is no variable of the function."""
        try:
            return body.lookup(name)
        except KeyError:
            raise body.refusal(f"{name} is not defined") from None

    def constant_array(self, body: Body, value: Any) -> tuple[Array, str]:
        """Type of an array of the module, and C for it: read-only data of the program."""
        if id(value) not in self.arrays:
            try:
                dtype = numpy_scalar(value.dtype)
            except Mismatch as mismatch:
                raise body.refusal(f"an array of {value.dtype}", mismatch.instead) from None
            if value.ndim == 0:
                raise body.refusal("an array without axes", "a number: array.item()")
            kind, name = Array(dtype, value.ndim, True, True), f"c{len(self.arrays)}"
            self.arrays[id(value)] = (value, kind, name, constant_text(name, kind, np.ascontiguousarray(value)))
        _, kind, name, _ = self.arrays[id(value)]
        return kind, name

    def define(self, key: Any, text: Callable[[str], str]) -> str:
        """The C name of a constant of tensor calls, which is there once for each key."""
        if key not in self.definitions:
            name = f"tensor{len(self.definitions)}"
            # What the text needs is defined before it.
            self.definitions[key] = (name, text(name))
        return self.definitions[key][0]

    def record_fields(self, cls: type) -> tuple[str, ...] | None:
        """Names of the fields of a frozen dataclass or NamedTuple; None for another class."""
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            return tuple(cls._fields)
        if dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            return tuple(field.name for field in dataclasses.fields(cls))
        return None

    def call(self, body: Body, function: Any, node: ast.Call) -> Value:
        """A call of something that exists before the program runs."""
        return calls.call(body, function, node, self.record_fields)

    def call_method(self, body: Body, base: Value, name: str, node: ast.Call) -> Value:
        """A call of a method of an array, a number or a record."""
        return calls.call_method(body, base, name, node)

    def library(self, body: Body, name: str, *arguments: Value) -> Value:
        """A call of a function of the library."""
        return self.call_function(body, _library(name), list(arguments), {})

    def library_function(self, name: str) -> Value:
        """A function of the library, as a value."""
        function = _library(name)
        return Value(Known(function, f"the function {name}"), "0", function, True)

    def numpy_call(self, body: Body, name: str, arguments: list[Value]) -> Value:
        """A call of a function of numpy."""
        return numpy_functions.RULES[name](body, arguments, {})

    def call_function(self, body: Body, function: Any, arguments: list[Value], words: dict[str, Value]) -> Value:
        """A call of a function in Python, translated for these types when it is first called."""
        values = calls.bound(body, function, arguments, words)
        line = body.line
        for (name, parameter), value in zip(inspect.signature(function).parameters.items(), values, strict=True):
            check_annotation(body, f"{function.__name__}'s {name}", hints(function).get(parameter.name), value.type)
        special = self.specialization(function, values)
        body.line = line
        if special.result is None and special.body is not None:
            special.result = special.body.result  # it calls itself: by the returns before this call
        if special.result is None:
            raise body.refusal(f"{function.__name__} calls itself before a return says of which type it is", "an annotation: -> np.int64")
        if not special.text and special.body is not body:
            special.promised = special.result
        if special.result == Known("never", "never"):
            body.assigned = None
        codes = [body.fit(value, kind).code for value, kind in zip(values, special.types, strict=True) if not isinstance(kind, Known)]
        if _is_library(function):
            codes.append(body.where)
        call = f"{special.name}({', '.join(codes)})"
        if isinstance(special.result, Known):
            body.emit(f"{call};")
            return Value(NONE, "0", None, True)
        result = body.temporary(Value(special.result, call, natural=special.natural))
        return body.own(result)

    # Functions.

    def specialization(self, function: Any, values: list[Value]) -> Specialization:
        """A function for the types of these values."""
        types = tuple(value.type for value in values)
        naturals = tuple(value.type == INT and value.natural for value in values)
        key = (function, *types, *naturals)
        if key not in self.functions:
            self.functions[key] = special = Specialization(self._name(function), types, naturals)
            self.depth += 1
            if self.depth > DEEPEST:
                node, source = self.definition(function)
                raise source.refusal(node.lineno, f"{function.__name__} calls itself with ever new types", "arguments of one type")
            self._translate(function, special)
            self.depth -= 1
        return self.functions[key]

    def _name(self, function: Any) -> str:
        stem = identifier(f"{Path(function.__code__.co_filename).stem}_{function.__name__}")
        if re.match(r"(py|zkvm|array|tuple|[a-z])\d*_", stem):  # names of the runtime and of variables
            stem = f"guest_{stem}"
        name, number = stem, 1
        while name in self.names:
            number += 1
            name = f"{stem}_{number}"
        self.names.add(name)
        return name

    def _translate(self, function: Any, special: Specialization) -> None:
        node, source = self.definition(function)
        names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        body = Body(self, source, lookup_of(function), "py_where" if _is_library(function) else "")
        special.body = body
        body.locals = frozenset(names) | written_names(node)
        special.result = body.result = promised(hints(function).get("return"))
        changed = written_names(node)
        for _ in range(PASSES):
            body.restart()
            for name, kind, natural in zip(names, special.types, special.naturals, strict=True):
                body.parameter(name, kind, name in changed, natural)
            function_body(body, node.body)
            if body.assigned is not None:
                if body.result not in (None, NONE):
                    raise source.refusal(node.lineno, f"{node.name} ends without a return on some way", "a return at its end")
                body.leave(None)
            special.result = body.result if body.result is not None else Known("never", "never")
            if not body.changed:
                break
        else:
            raise source.refusal(node.lineno, f"the types of {node.name}'s variables do not settle", "one type for each variable")
        if special.promised not in (None, special.result):
            raise source.refusal(node.lineno, f"{node.name} is called before its result's type is known", "an annotation: -> np.int64")
        assert special.result is not None
        special.natural = body.natural_result and special.result == INT
        body.at(node)
        check_annotation(body, f"{function.__name__}'s result", hints(function).get("return"), special.result)
        parameters = [
            f"{kind.c} {body.parameter_name(name)}" for name, kind in zip(names, special.types, strict=True) if not isinstance(kind, Known)
        ]
        if _is_library(function):
            parameters.append("const char *py_where")
        result = "void" if isinstance(special.result, Known) else special.result.c
        special.head = f"static {result} {special.name}({', '.join(parameters) or 'void'})"
        special.text = body.text(special.head)

    def definition(self, function: Any) -> tuple[ast.FunctionDef, Source]:
        """Where a function is written.

        Raises:
            RefusedError: nobody knows.
        """
        path = inspect.getsourcefile(function)
        if path is None or not Path(path).is_file():
            raise RefusedError(f"{function.__name__}: its source is not in a file; guests are translated from their source")
        if path not in self.files:
            self.files[path] = read_file(Path(path), self.root)
        file = self.files[path]
        found = file.functions.get((function.__code__.co_firstlineno, function.__name__), [])
        if len(found) != 1:
            raise file.source.refusal(function.__code__.co_firstlineno, f"{function.__name__} has no definition of its own here", "a def")
        if isinstance(found[0], ast.Lambda):
            raise file.source.refusal(found[0].lineno, "lambda has no translation", "a function with def")
        return found[0], file.source

    # The C file.

    def text(self, main: Callable[[], Any]) -> str:
        """C for a program that runs ``main``.

        Raises:
            RefusedError: something has no translation.
        """
        node, source = self.definition(main)
        if inspect.signature(main).parameters:
            raise source.refusal(node.lineno, f"{main.__name__} has parameters", "zkvm.guest.read(...) inside it")
        special = self.specialization(main, [])
        known = isinstance(special.result, Known)
        if not known and not (isinstance(special.result, Scalar) and special.result.kind in "iu"):
            raise source.refusal(node.lineno, f"{main.__name__} returns {special.result}", "nothing, or an int: the exit code")
        functions = list(self.functions.values())
        texts = [function.text for function in functions]
        call = f"{special.name}(); PY_END(); return 0;" if known else f"int code = (int){special.name}(); PY_END(); return code;"
        constants = [text for _, _, _, text in self.arrays.values()]
        tensors = [text for _, text in self.definitions.values()]
        return "\n".join(
            [
                '#include "python.h"',
                *(["#include <zkvm_tensor.h>"] if tensors else []),
                *self._definitions([*texts, *constants]),
                *constants,
                *tensors,
                *(f"{function.head};" for function in functions),
                *texts,
                f'#line 1 "{LIBRARY_NAME}"',
                f"int main(void) {{ {call} }}",
                "",
            ]
        )

    def _definitions(self, texts: Iterable[str]) -> list[str]:
        everything = "\n".join([*texts, *(kind.c_definition() for kind in self.tuples.values())])
        names = sorted(set(re.findall(r"(?<![A-Za-z])array_([a-z]+\d*)_(\d+)\b", everything)))
        arrays = [Array(Scalar(dtype), int(ndim)).c_definition() for dtype, ndim in names]
        return [*arrays, *(kind.c_definition() for kind in self.tuples.values())]


def constant_text(name: str, kind: Array, value: Any) -> str:
    """An array of the module in C."""
    if kind.dtype.kind == "f":
        items = [float_code(float(item)) for item in value.ravel()]
    else:
        items = [integer_code(int(item)) for item in value.ravel()]
    lines = [", ".join(items[start : start + 32]) for start in range(0, len(items), 32)]
    steps = [int(np.prod(value.shape[axis + 1 :], dtype=np.int64)) for axis in range(value.ndim)]
    shape, step = ", ".join(map(str, value.shape)), ", ".join(map(str, steps))
    data = f"static const {kind.dtype.c} {name}_data[] = {{{(',' + chr(10)).join(lines) or '0'}}};"
    return f"{data}\nstatic const {kind.c} {name} = {{NULL, (py_item_{kind.dtype.c} *){name}_data, {{{shape}}}, {{{step}}}}};"


def read_file(path: Path, root: Path) -> File:
    """A Python file with its functions."""
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    if path in LIBRARY_FILES:
        name = f"zkvm/python/{path.name}"
    functions: dict[tuple[int, str], list[ast.FunctionDef | ast.Lambda]] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            functions.setdefault((line, node.name), []).append(node)
        elif isinstance(node, ast.Lambda):
            functions.setdefault((node.lineno, "<lambda>"), []).append(node)
    return File(Source(name, tuple(text.splitlines())), functions)


def hints(function: Any) -> dict[str, Any]:
    """A function's annotations; those that lead nowhere are left out."""
    try:
        return typing.get_type_hints(function)
    except (NameError, AttributeError, TypeError):
        return {}


def lookup_of(function: FunctionType) -> Callable[[str], Any]:
    """Where a function finds names that are not its variables: closure, module, builtins."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))

    def lookup(name: str) -> Any:
        if name in cells:
            return cells[name].cell_contents
        if name in function.__globals__:
            return function.__globals__[name]
        return vars(builtins)[name]

    return lookup


def written_names(node: ast.AST) -> frozenset[str]:
    """Names that a function assigns."""
    return frozenset(name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store))


def _is_library(function: Any) -> bool:
    return Path(function.__code__.co_filename) in LIBRARY_FILES


def _library(name: str) -> Any:
    """A function of the library."""
    return next(getattr(module, name) for module in LIBRARIES if hasattr(module, name))
