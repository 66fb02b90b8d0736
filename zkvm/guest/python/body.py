"""One function while it is translated: C lines, temporaries, variables and who owns memory.

Every operation becomes a temporary of its own, in Python's order of evaluation. A statement's temporaries that own memory are let go at
its end; variables and results hold what they got themselves. The function is gone through until its variables' types stay the same.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from zkvm.guest.python.diagnostics import RefusedError, Source, quoted
from zkvm.guest.python.scalars import Mismatch, converted
from zkvm.guest.python.types import INT, NONE, Array, Known, Scalar, Tuple, Type, Value, identifier, is_shared, member, owners, same_type


class Translator(Protocol):
    """What a function's translation asks of the whole program's."""

    def note(self, kind: Type) -> None:
        """A type that the C file needs."""

    def global_value(self, body: Body, name: str) -> Any:
        """The value of a name that is no variable of the function."""

    def constant_array(self, body: Body, value: Any) -> tuple[Array, str]:
        """Type of an array of the module, and C for it."""

    def define(self, key: Any, text: Callable[[str], str]) -> str:
        """The C name of a constant outside of functions; ``text`` defines one of a name. It is there once for each key."""

    def record_fields(self, cls: type) -> tuple[str, ...] | None:
        """Names of the fields of a class whose values are records; None if it is no such class."""

    def call(self, body: Body, function: Any, node: ast.Call) -> Value:
        """A call of something that exists before the program runs."""

    def call_method(self, body: Body, base: Value, name: str, node: ast.Call) -> Value:
        """A call of a method of an array, a number or a record."""

    def call_function(self, body: Body, function: Any, arguments: list[Value], words: dict[str, Value]) -> Value:
        """A call of a function of the program."""

    def library(self, body: Body, name: str, *arguments: Value) -> Value:
        """A call of a function of the library, which is in Python too."""

    def library_function(self, name: str) -> Value:
        """A function of the library, as a value."""

    def numpy_call(self, body: Body, name: str, arguments: list[Value]) -> Value:
        """A call of a function of numpy."""


@dataclass
class Loop:
    """A loop while its body is translated.

    Attributes:
        left: names that were surely assigned at each ``break``.
        flag: C variable that a ``break`` sets, for an ``else``; '' without one.
    """

    left: list[set[str]] = field(default_factory=list)
    flag: str = ""


class Body:
    """What a function's translation has so far."""

    def __init__(self, program: Translator, source: Source, lookup: Callable[[str], Any], where: str = "") -> None:
        """``lookup``: a global's or closure's value by name. ``where``: C for the place of panics, if it is not the line itself."""
        self.program = program
        self.source = source
        self.lookup = lookup
        self.fixed_where = where
        self.variables: dict[str, Type] = {}
        self.result: Type | None = None
        self.locals: frozenset[str] = frozenset()
        self.taken: dict[str, str] = {}
        self.borrowed: set[str] = set()
        self.signed: set[str] = set()
        self.restart()

    def restart(self) -> None:
        """Begin again, with the types found so far."""
        self.lines: list[str] = []
        self.assigned: set[str] | None = set()
        self.hidden: dict[str, Type] = {}
        self.owned: list[list[str]] = [[]]
        self.loops: list[Loop] = []
        self.count = 0
        self.line = 0
        self.changed = False
        self.natural_result = True

    # Places and refusals.

    def at(self, node: ast.AST) -> None:
        """Go on with a node: what is refused or panics from now on names its line."""
        self.line = getattr(node, "lineno", self.line)

    @property
    def where(self) -> str:
        """C for the place that a panic names."""
        return self.fixed_where or quoted(f"{self.source.name}:{self.line}")

    def refusal(self, text: str, instead: str = "") -> RefusedError:
        """The error for the present line."""
        return self.source.refusal(self.line, text, instead)

    def call(self, function: Callable[..., Value], *arguments: Any, **options: Any) -> Value:
        """A rule of numbers, whose mismatch becomes a refusal of the present line."""
        try:
            return function(*arguments, **options)
        except Mismatch as mismatch:
            raise self.refusal(mismatch.text, mismatch.instead) from None

    # Lines and temporaries.

    def emit(self, text: str) -> None:
        """Append a line of C."""
        self.lines.append(text)

    def name(self, stem: str = "t") -> str:
        """A name that C does not have yet in this function."""
        self.count += 1
        return f"{stem}{self.count}"

    def temporary(self, value: Value) -> Value:
        """The value in a C variable of its own, computed now."""
        if value.is_known or isinstance(value.type, Known):
            return value
        self.program.note(value.type)
        name = self.name()
        self.emit(f"{value.type.c} {name} = {value.code};")
        return Value(value.type, name, natural=value.natural, parts=value.parts)

    def own(self, value: Value) -> Value:
        """Say that a temporary's memory was counted for it."""
        self.owned[-1] += owners(value.type, value.code)
        return value

    def release(self, codes: list[str]) -> None:
        """Let memory go."""
        for code in codes:
            self.emit(f"py_release({code});")

    @contextmanager
    def block(self, head: str = "") -> Iterator[None]:
        """C lines in braces; what they own ends with them."""
        self.emit(f"{head} {{" if head else "{")
        self.owned.append([])
        yield
        self.release(self.owned.pop())
        self.emit("}")

    def end_statement(self) -> None:
        """Let go of the statement's temporaries."""
        if self.assigned is not None:
            self.release(self.owned[-1])
        self.owned[-1] = []

    # Variables.

    def assign(self, name: str, value: Value) -> None:
        """A value to a variable, whose type may widen."""
        kind = value.type
        if isinstance(kind, Known) and kind.value is not None:
            raise self.refusal(f"a variable that is {kind}", "the name itself, where it is used")
        known = self.variables.get(name)
        merged = kind if known is None else same_type(known, kind)
        if merged is None:
            raise self.refusal(f"{name} is {known}, and {kind} here", self._advice(known, kind))
        if merged != known:
            self.variables[name] = merged
            self.changed = True
        if not value.natural and name not in self.signed:
            # Variables count as never negative until something that may be is assigned to them.
            self.signed.add(name)
            self.changed = True
        self.store(f"v_{identifier(name)}", merged, value)
        if self.assigned is not None:
            self.assigned.add(name)

    @staticmethod
    def _advice(known: Type | None, kind: Type) -> str:
        if isinstance(known, Scalar) and isinstance(kind, Scalar):
            first = "float(...) or 0.0" if kind.weak else f"{kind}(...)"
            return f"begin with the type that it has later: {first}; or another name"
        return "another name"

    def parameter(self, name: str, kind: Type, written: bool, natural: bool) -> None:
        """A parameter of the function: as it is if nothing else is assigned to it, else the first value of a variable."""
        if not natural:
            self.signed.add(name)
        self.taken[name] = f"p_{identifier(name)}" if written else f"v_{identifier(name)}"
        if written:
            self.assign(name, Value(kind, self.taken[name], natural=natural))
            return
        self.variables[name] = kind
        self.borrowed.add(name)
        if self.assigned is not None:
            self.assigned.add(name)

    def parameter_name(self, name: str) -> str:
        """A parameter's name in C."""
        return self.taken[name]

    def store(self, target: str, kind: Type, value: Value) -> None:
        """A value to a C variable of a type that has it; the variable's memory before is let go, the new one is counted."""
        self.program.note(kind)
        value = self.fit(value, kind)
        if isinstance(kind, Known):
            return
        if is_shared(kind):
            for owner in owners(kind, value.code):
                self.emit(f"py_retain({owner});")
            for owner in owners(kind, target):
                self.emit(f"py_release({owner});")
        self.emit(f"{target} = {value.code};")

    def fit(self, value: Value, kind: Type) -> Value:
        """A value as one of a type that it can have without the program asking for it.

        Raises:
            RefusedError: it cannot.
        """
        if value.type == kind and not value.is_known:
            return value
        if isinstance(kind, Scalar) and isinstance(value.type, Scalar):
            if same_type(value.type, kind) != kind:
                raise self.refusal(f"{value.type} where {kind} is wanted", f"{kind}(...)")
            return self.call(converted, value, kind, self.where)
        if isinstance(kind, Tuple) and isinstance(value.type, Tuple) and same_type(value.type, kind) == kind:
            items = [self.fit(member(value, number), item).code for number, item in enumerate(kind.items)]
            return Value(kind, f"(({kind.c}){{{', '.join(items) or '0'}}})")
        if isinstance(kind, Array) and isinstance(value.type, Array) and same_type(value.type, kind) == kind:
            return Value(kind, value.code)
        if value.type == kind:
            return value
        raise self.refusal(f"{value.type} where {kind} is wanted", "")

    def keep(self, value: Value) -> Value:
        """A value in a variable of the function without a name in Python, for loops: it lives until the function ends."""
        if isinstance(value.type, Known) or value.is_known:
            return value
        name = self.name("h")
        self.hidden[name] = value.type
        self.store(name, value.type, value)
        return Value(value.type, name, natural=value.natural)

    def read(self, name: str) -> Value | None:
        """A variable's value; None if the function has none of that name.

        Raises:
            RefusedError: it may not have been assigned.
        """
        if name not in self.locals:
            return None
        if self.assigned is not None and name not in self.assigned:
            raise self.refusal(f"{name} may not have a value here", f"assign {name} before, on every way that leads here")
        kind = self.variables[name]
        if isinstance(kind, Known):
            return Value(kind, "0", kind.value, True)
        return Value(kind, f"v_{identifier(name)}", natural=kind == INT and name not in self.signed)

    # The end of the function.

    def leave(self, value: Value | None) -> None:
        """Return from the function."""
        kind: Type = NONE if value is None else value.type
        merged = kind if self.result is None else same_type(self.result, kind)
        if merged is None:
            raise self.refusal(f"the function returns {self.result}, and {kind} here", "one type for all returns")
        if merged != self.result:
            self.result = merged
            self.changed = True
        self.natural_result = self.natural_result and value is not None and value.natural
        if value is not None and not isinstance(merged, Known):
            name = self.name("r")
            self.emit(f"{merged.c} {name} = {{0}};")
            self.store(name, merged, value)
        for level in self.owned:
            self.release(level)
        self.emit("PY_LEAVE")
        self.emit("return;" if value is None or isinstance(merged, Known) else f"return {name};")
        self.assigned = None

    def text(self, head: str) -> str:
        """The whole function in C."""
        own = {f"v_{identifier(name)}": kind for name, kind in self.variables.items() if name not in self.borrowed} | self.hidden
        declared = [f"{kind.c} {name} = {{0}};" for name, kind in own.items() if not isinstance(kind, Known)]
        released = [f"py_release({owner});" for name, kind in own.items() for owner in owners(kind, name)]
        lines: list[str] = []
        for line in self.lines:
            lines += released if line == "PY_LEAVE" else [line]
        # A statement of Python is a line of C, which therefore has its number.
        first = next((line for line in lines if line.startswith("#")), "")
        text = "".join(f"\n{line}\n" if line.startswith("#") else f"{line} " for line in lines)
        return "\n".join([first, f"{head} {{ {' '.join(declared)}", text, "}"])


def integer(body: Body, value: Value, what: str) -> Value:
    """A value as an int of 32 bits: an index or a length.

    Raises:
        RefusedError: it is no integer.
    """
    if not isinstance(value.type, Scalar) or value.type.kind not in "iu":
        raise body.refusal(f"{what} is {value.type}", "an integer: int(...)")
    return body.call(converted, value, INT, body.where)
