"""C text under construction: constants, private words, and the body of one function per operation.

A number in the text of a model with private weights follows from the architecture, the shapes, the bit widths and the options alone.
Everything else an operation asks for as :meth:`CodeWriter.number` or :meth:`CodeWriter.constant`, and gets a place among the private
words. ``twin.py`` compares the text with that of other weights, so an operation that forgets it compiles no private model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zkvm.ml.arithmetic import Rescale
from zkvm.ml.layout import LANES
from zkvm.ml.value import Value

WORDS_PER_LINE = 16
PRIVATE, PRIVATE_TENSOR = "private_words", "private_tensor"
"""The array of the guest that holds all private words, and the tensor of private vectors."""
INT16_PLACE, INT16_LANE = "PRIVATE_INT16", "PRIVATE_INT16_LANE"
"""Where its vectors of int16 begin, behind those of bytes: in bytes, and in lanes."""
ROW_BYTES, ROW_VECTORS, BYTE_ROW_VECTORS, DIGEST_VECTORS = 16, 3, 7, 2
"""Bytes of a vector, vectors of int16 and of bytes that a digest takes at a time, and those of a digest."""
BYTE_BITS, BYTE_STEP = 8, 1 << 8
"""Bits of a byte, and what it counts in its lane: it is the upper one of an int16."""


NO_RESULT = -(1 << 31)
"""An integer that no result with a limit of its own is: those have symmetric bounds, or this one as a limit."""


def _literal(number: str) -> str:
    """A number as C takes it."""
    return "INT32_MIN" if number == str(NO_RESULT) else number


def _rows(rows: Sequence[Sequence[object]]) -> str:
    """Rows of numbers as C has them."""
    return "{\n    " + ",\n    ".join("{" + ", ".join(map(str, row)) + "}" for row in rows) + "}"


def _filled(vectors: Sequence[NDArray[np.int64]], row: int) -> NDArray[np.int16]:
    """Vectors behind one another, and zeros up to whole rows of so many."""
    joined = np.concatenate([np.zeros((0, LANES), np.int64), *vectors]).astype(np.int16)
    return np.concatenate([joined, np.zeros((-len(joined) % row, LANES), np.int16)])


def identifier(text: str) -> str:
    """A C identifier that looks like ``text``."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_") or "unnamed"


@dataclass
class CodeWriter:
    """Collects what operations emit.

    Attributes:
        pointer_of: C expression of the first word of an activation.
        private_weights: whether what depends on the weights is read from the input instead of lying in the program.
        goes_on: whether a run in which a value saturated goes on.
        tables: (name, words) of every constant array of the program, in order.
        guard: which limits of the current operation's output count as saturation: 1 the lower, 2 the upper one. watched: whether all its
            results went through a cut that looks; only if the weights are public.
        tensor_words: of the constants that tensor calls read.
    """

    pointer_of: Callable[[Value], str]
    private_weights: bool = False
    goes_on: bool = False
    tables: list[tuple[str, NDArray[np.int32]]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    guard: int = 0
    watched: bool = False
    tensor_words: int = 0
    _tensors: dict[int, str] = field(default_factory=dict)
    _declared: dict[str, str] = field(default_factory=dict)
    _named: dict[tuple[bytes, bool], str] = field(default_factory=dict)
    _placed: dict[int, str] = field(default_factory=dict)
    _private: list[NDArray[np.int32]] = field(default_factory=list)
    _private_count: int = 0
    _private_vectors: list[NDArray[np.int64]] = field(default_factory=list)
    _private_bytes: list[NDArray[np.int64]] = field(default_factory=list)

    def line(self, text: str) -> None:
        """Append one statement to the function of the current operation."""
        self.lines.append(f"    {text}")

    @staticmethod
    def text(name: str) -> str:
        """A C literal that shows a name; what is not printable ASCII as question marks."""
        shown = "".join(letter if " " <= letter <= "~" else "?" for letter in name[:80])
        return '"' + shown.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?") + '"'

    def constant(self, values: NDArray[np.integer], *, private: bool = True, label: str = "k") -> str:
        """The C expression of a constant array of words. Equal arrays share one, unless they are read: who is equal says something.

        Args:
            values: int32 or uint32 range; flattened in C order.
            private: whether it says something about the weights.
            label: how its name begins.
        """
        words = (np.asarray(values, np.int64).reshape(-1) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
        if private and self.private_weights:
            place = f"({PRIVATE} + {self._private_count})"
            self._private.append(words)
            self._private_count += len(words)
            return place
        key = (words.tobytes(), private)
        if key not in self._named:
            self._named[key] = f"{label}{len(self.tables)}"
            self.tables.append((self._named[key], words))
        return self._named[key]

    def number(self, value: int, secret: bool = True) -> str:
        """The C expression of a number of 32 bits: itself, or a private word if it says something about private weights."""
        if not (secret and self.private_weights):
            return str(value)
        return f"{self.constant(np.array([value]))}[0]"

    def wide_number(self, value: int) -> str:
        """The C expression of a non-negative number of 64 bits that says something about the weights."""
        if not self.private_weights:
            return f"{value}ull"
        words = self.constant(np.array([value & 0xFFFFFFFF, value >> 32]))
        return f"((uint64_t)(uint32_t){words}[1] << 32 | (uint32_t){words}[0])"

    def shift(self, value: int) -> str:
        """The C expression of a number of bits to shift by: whoever proves chooses private words, so the guest masks them."""
        return f"({self.number(value)} & 31)" if self.private_weights else str(value)

    def cut(self, expression: str, output: Value) -> str:
        """C expression cut to what the output is cut to."""
        low, high = (self.number(limit, output.cut is not None) for limit in output.limits)
        if self.private_weights:
            return f"bounded({expression}, {low}, {high})"
        self.watched = True
        return f"clamp({expression}, {low}, {high}, {self.guard})"

    def rescaling(self, factor: Rescale) -> str:
        """The trailing arguments of the runtime's ``requantize``: left shift, right shift, bounds, and of public ones which are guarded."""
        numbers = (factor.left, factor.shift + factor.left, factor.lo, factor.hi)
        texts = [self.number(number, factor.secret) for number in numbers]
        self.watched = not factor.secret
        return ", ".join(texts if factor.secret else [*texts, str(self.guard)])

    def rescaled(self, factor: Rescale, accumulator: str, multiplier: str | None = None) -> str:
        """C expression of the rescaled accumulator, the operation's result."""
        if factor.identity:
            return accumulator
        function = "requantize_secret" if factor.secret else "requantize"
        chosen = multiplier or self.number(factor.multipliers[0], factor.secret)
        return f"{function}({accumulator}, {chosen}, {self.rescaling(factor)})"

    def watch(self, output: Value) -> None:
        """Append what looks for saturated results, unless it was done where they were cut.

        Of a private model which limits are guarded may say something of the weights: where this could be, both are compared with private
        words, which are a limit or something that no result is.
        """
        if not self.private_weights and (self.watched or not any(output.guarded)):
            return
        if self.private_weights and output.cut is None and not any(output.guarded):
            return
        numbers = [limit if guarded else NO_RESULT for limit, guarded in zip(output.limits, output.guarded, strict=True)]
        low, high = (self.number(number, output.cut is not None) for number in numbers)
        self.line(f"watch({self.pointer(output)}, {output.size}, {_literal(low)}, {_literal(high)});")

    def pointer(self, value: Value) -> str:
        """C expression of the first word of a value."""
        stored = value.storage()
        if stored.data is None:
            return self.pointer_of(stored)
        if not (stored.private and self.private_weights):
            return self.constant(stored.data, private=stored.private)
        if id(stored) not in self._placed:
            self._placed[id(stored)] = self.constant(stored.data)
        return self._placed[id(stored)]

    @property
    def has_tensors(self) -> bool:
        """Whether the program makes tensor calls."""
        return bool(self._tensors)

    def tensor(self, value: Value) -> str:
        """The C variable that holds the handle of a value's tensor."""
        stored = value.storage()
        assert stored.layout is not None
        return self._tensors.setdefault(id(stored), f"tensor{len(self._tensors)}")

    def private_vectors(self, lanes: NDArray[np.int64], *, small: bool = False) -> str:
        """The C expression of where vectors begin in the tensor of private weights, in bytes.

        Args:
            lanes: (n, 8) int16.
            small: whether all are bytes, 2^8 times: that may not follow from what they are.
        """
        if not small:
            return f"{INT16_PLACE} + {ROW_BYTES * self._place(self._private_vectors, lanes)}"
        assert not (lanes % BYTE_STEP).any()
        return str(ROW_BYTES * self._place(self._private_bytes, lanes))

    def private_lanes(self, lanes: NDArray[np.int64]) -> str:
        """The name of a constant pattern that gathers private vectors, (n, 8) int16, from the tensor of private weights."""
        first = LANES * self._place(self._private_vectors, lanes)
        return self._pattern(
            [[f"{INT16_LANE} + {1 + first + place}u" for place in row] for row in np.arange(lanes.size).reshape(lanes.shape)]
        )

    @staticmethod
    def _place(vectors: list[NDArray[np.int64]], lanes: NDArray[np.int64]) -> int:
        vectors.append(lanes)
        return sum(map(len, vectors[:-1]))

    def vectors(self, lanes: NDArray[np.int64]) -> str:
        """The name of constant vectors: (n, 8) int16. Equal ones share one. They are in the image."""
        return self._declare("vectors", "ZKVM_VECTORS({}) = ", _rows(lanes.tolist()), lanes.size // 2)

    def channels(self, bias: NDArray[np.int64], multipliers: NDArray[np.int64]) -> str:
        """The name of a constant list of channels, whose limit is the largest multiplier."""
        limit = int(np.abs(multipliers).max())
        rows = [[f"{offset}ll", multiplier, limit] for offset, multiplier in zip(bias.tolist(), multipliers.tolist(), strict=True)]
        return self._declare("channels", "ZKVM_CHANNELS({}) = ", _rows(rows), 4 * len(rows))

    def pattern(self, places: NDArray[np.int64]) -> str:
        """The name of a constant pattern: (n, 8) places."""
        return self._pattern([[f"{place}u" for place in row] for row in places.tolist()])

    def _pattern(self, places: list[list[str]]) -> str:
        return self._declare("pattern", "ZKVM_PATTERN({}) = ", _rows(places), LANES * len(places))

    def function(self, entries: NDArray[np.int64]) -> str:
        """The name of a constant function of an int16: 2^16 entries. Equal ones share one."""
        texts = [", ".join(map(str, row)) for row in entries.reshape(-1, WORDS_PER_LINE).tolist()]
        return self._declare("function", "ZKVM_FUNCTION({}) = ", "{\n    " + ",\n    ".join(texts) + "}", entries.size // 2)

    def descriptor(self, operation: str, fields: str, variant: str = "") -> str:
        """The name of the descriptor of a tensor call, or of a variant that has the same fields."""
        made = f"ZKVM_{(variant or operation).upper()}({fields})"
        return self._declare(variant or operation, f"static const zkvm_{operation} {{}} = ", made, 0)

    def _declare(self, label: str, head: str, content: str, words: int) -> str:
        text = f"{head}\0{content}"
        if text not in self._declared:
            self._declared[text] = f"{label}_{len(self._declared)}"
            self.tensor_words += words
        return self._declared[text]

    def declarations(self) -> str:
        """C definitions of all constant arrays, of the array of private words, and of what tensor calls read."""
        parts = [f"static int32_t {PRIVATE}[{self._private_count}];"] if self._private_count else []
        if self._private_vectors:
            first = BYTE_ROW_VECTORS * self.private_byte_rows
            parts.append(f"enum {{ {INT16_PLACE} = {ROW_BYTES * first}, {INT16_LANE} = {LANES * first} }};")
        for name, words in self.tables:
            texts = [str(word) if word != -(1 << 31) else "(-2147483647 - 1)" for word in words.tolist()]
            rows = [", ".join(texts[start : start + WORDS_PER_LINE]) for start in range(0, len(texts), WORDS_PER_LINE)]
            parts.append(f"static const int32_t {name}[{len(words)}] = {{\n    " + ",\n    ".join(rows) + "};")
        for text, name in self._declared.items():
            head, content = text.split("\0")
            parts.append(f"{head.format(name)}{content};")
        parts += [f"static zkvm_tensor {name};" for name in self._tensors.values()]
        parts += [f"static zkvm_tensor {PRIVATE_TENSOR};"] if self._private_vectors else []
        return "\n".join(parts) + "\n"

    @property
    def private_byte_rows(self) -> int:
        """Rows of a digest that the private vectors of bytes fill."""
        return -(-sum(map(len, self._private_bytes)) // BYTE_ROW_VECTORS)

    def private_tensor(self) -> NDArray[np.int16]:
        """The vectors that a private model reads as input behind its words, those of bytes first, filled up to rows of a digest."""
        parts = zip((self._private_bytes, self._private_vectors), (BYTE_ROW_VECTORS, ROW_VECTORS), strict=True)
        return np.concatenate([_filled(vectors, row) for vectors, row in parts])

    def private_words(self) -> NDArray[np.int32]:
        """The words that a private model reads as input, in the order in which it reads them."""
        return np.concatenate(self._private) if self._private else np.zeros(0, np.int32)
