"""Types of a guest in Python, and how C writes them.

``int`` and ``float`` are Python's: *weak* beside numpy's scalars, as numpy has it. An ``int`` is exact within 32 bits, and leaving them
is a panic; a ``float`` has 64 bits. numpy's scalars have their width, and integers wrap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

C_NAMES = {
    "bool": "bool", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "int64": "int64_t",
    "uint8": "uint8_t", "uint16": "uint16_t", "uint32": "uint32_t", "uint64": "uint64_t", "float32": "float", "float64": "double",
}  # fmt: skip


@dataclass(frozen=True)
class Scalar:
    """A number or truth value.

    Attributes:
        dtype: numpy's name of how it is stored.
        weak: Python's int or float, which take the type of the numpy scalar beside them.
    """

    dtype: str
    weak: bool = False

    def __str__(self) -> str:
        if self.weak:
            return "int" if self.dtype == "int32" else "float"
        return "bool" if self.dtype == "bool" else f"np.{self.dtype}"

    @property
    def c(self) -> str:
        """C's name."""
        return C_NAMES[self.dtype]

    @property
    def width(self) -> int:
        """Bytes."""
        return np.dtype(self.dtype).itemsize

    @property
    def kind(self) -> str:
        """numpy's letter: b bool, i signed, u unsigned, f float."""
        return np.dtype(self.dtype).kind

    @property
    def strong(self) -> Scalar:
        """The numpy scalar that an array of such values has: of an int one of 64 bits."""
        return (INT64 if self == INT else FLOAT64) if self.weak else self


INT, FLOAT, BOOL = Scalar("int32", weak=True), Scalar("float64", weak=True), Scalar("bool")
INT64, FLOAT64, UINT8 = Scalar("int64"), Scalar("float64"), Scalar("uint8")


@dataclass(frozen=True)
class Array:
    """An array of numpy.

    Attributes:
        dtype: of its elements.
        ndim: number of axes, 1 or more.
        dense: its elements lie one after the other in row-major order.
        constant: it belongs to the program, and nobody may write to it.
    """

    dtype: Scalar
    ndim: int
    dense: bool = True
    constant: bool = False

    def __str__(self) -> str:
        return f"{'constant ' if self.constant else ''}array of {self.dtype}, {self.ndim} axes"

    @property
    def c(self) -> str:
        """C's name."""
        return f"array_{self.dtype.dtype}_{self.ndim}"

    def c_definition(self) -> str:
        """The structure: who owns the elements, where they are, lengths of the axes and steps along them, in elements."""
        data = f"py_item_{self.dtype.c} *data; int32_t shape[{self.ndim}]; int32_t step[{self.ndim}];"
        return f"typedef struct {{ py_block *owner; {data} }} {self.c};"


@dataclass(frozen=True)
class Tuple:
    """A tuple, or a record (``cls`` is its class, ``names`` are its fields)."""

    items: tuple[Type, ...]
    cls: type | None = None
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.cls.__name__ if self.cls else f"({', '.join(map(str, self.items))})"

    @property
    def c(self) -> str:
        """C's name."""
        parts = "_".join(re.sub(r"\W", "", item.c) for item in self.items)
        return f"{identifier(self.cls.__name__) if self.cls else 'tuple'}{len(self.items)}_{parts}_"

    def c_definition(self) -> str:
        """The structure; an empty one has a member too, as C wants it."""
        members = "".join(f" {item.c} item{number};" for number, item in enumerate(self.items))
        return f"typedef struct {{{members or ' char nothing;'} }} {self.c};"


@dataclass(frozen=True)
class Known:
    """What exists while the program is translated only: a function, a module, a class, a text, None."""

    value: Any
    kind: str

    def __str__(self) -> str:
        return "None" if self.value is None else self.kind

    @property
    def c(self) -> str:
        """It takes no room: a byte, where C wants something."""
        return "char"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Known) and (self.value is other.value or (self.kind == other.kind == "text" and self.value == other.value))

    def __hash__(self) -> int:
        return hash(self.kind)


@dataclass(frozen=True)
class Tensor:
    """A tensor of :mod:`zkvm.guest.python.tensors`: its shape is known when the program is translated."""

    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"tensor of {' x '.join(map(str, self.shape))}"

    @property
    def c(self) -> str:
        """C's name: a handle."""
        return "zkvm_tensor"


Type = Scalar | Array | Tuple | Known | Tensor
NONE = Known(None, "None")


@dataclass(frozen=True)
class Value:
    """What an expression is.

    Attributes:
        type: its type.
        code: C for it, without effects.
        known: its value, where the translator has it (``is_known``).
        is_known: it does.
        natural: an integer that is never negative.
        parts: the members of a tuple that was just written down; () if there is no such tuple.
    """

    type: Type
    code: str
    known: Any = None
    is_known: bool = False
    natural: bool = False
    parts: tuple[Value, ...] = ()


def tuple_of(parts: tuple[Value, ...], cls: type | None = None, names: tuple[str, ...] = ()) -> Value:
    """A tuple or record with these members."""
    kind = Tuple(tuple(part.type for part in parts), cls, names)
    return Value(kind, f"(({kind.c}){{{', '.join(part.code for part in parts) or '0'}}})", parts=parts)


def member(value: Value, number: int) -> Value:
    """A member of a tuple."""
    assert isinstance(value.type, Tuple)
    return value.parts[number] if value.parts else Value(value.type.items[number], f"{value.code}.item{number}")


def is_shared(kind: Type) -> bool:
    """Whether values hold memory that is counted."""
    return isinstance(kind, Array) or (isinstance(kind, Tuple) and any(map(is_shared, kind.items)))


def owners(kind: Type, code: str) -> list[str]:
    """C for each owner of memory in a value."""
    if isinstance(kind, Array):
        return [f"{code}.owner"]
    if isinstance(kind, Tuple):
        return [owner for number, item in enumerate(kind.items) for owner in owners(item, f"{code}.item{number}")]
    return []


def identifier(name: str) -> str:
    """A name as C may have it; others are spelled by their code points."""
    return "".join(c if c.isascii() and (c.isalnum() or c == "_") else f"u{ord(c):x}_" for c in name)


def same_type(left: Type, right: Type) -> Type | None:
    """The type of a variable that gets values of both; None if there is none."""
    if left == right:
        return left
    if isinstance(left, Scalar) and isinstance(right, Scalar):
        for weak, other in ((left, right), (right, left)):
            if weak == INT and not other.weak and other.kind in "iu":
                return other
            if weak == FLOAT and not other.weak and other.kind == "f":
                return other
        return None
    if isinstance(left, Array) and isinstance(right, Array) and (left.dtype, left.ndim) == (right.dtype, right.ndim):
        return Array(left.dtype, left.ndim, left.dense and right.dense, left.constant or right.constant)
    if isinstance(left, Tuple) and isinstance(right, Tuple) and left.cls is right.cls and len(left.items) == len(right.items):
        items = [same_type(a, b) for a, b in zip(left.items, right.items, strict=True)]
        if all(item is not None for item in items):
            return Tuple(tuple(item for item in items if item is not None), left.cls, left.names)
    return None
