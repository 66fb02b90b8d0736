"""C text under construction: constant arrays and the body of one function per operation."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zkvm.ml.value import Value

WORDS_PER_LINE = 16


def identifier(text: str) -> str:
    """A C identifier that looks like ``text``."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_") or "unnamed"


@dataclass
class CodeWriter:
    """Collects what operations emit.

    Attributes:
        pointer_of: C expression of the first word of an activation.
        private_weights: whether constants that depend on the weights are read from the input instead of lying in the program.
        tables: (name, words, private) of every constant array, in order.
    """

    pointer_of: Callable[[Value], str]
    private_weights: bool = False
    tables: list[tuple[str, NDArray[np.int32], bool]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    _named: dict[tuple[bytes, bool], str] = field(default_factory=dict)

    def line(self, text: str) -> None:
        """Append one statement to the function of the current operation."""
        self.lines.append(f"    {text}")

    def constant(self, values: NDArray[np.integer], *, private: bool = True, label: str = "k") -> str:
        """The C name of a constant array of words; equal arrays share one.

        Args:
            values: int32 or uint32 range; flattened in C order.
            private: whether it says something about the weights.
            label: how its name begins.
        """
        words = (np.asarray(values, np.int64).reshape(-1) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
        key = (words.tobytes(), private)
        if key not in self._named:
            self._named[key] = f"{label}{len(self.tables)}"
            self.tables.append((self._named[key], words, private))
        return self._named[key]

    def pointer(self, value: Value) -> str:
        """C expression of the first word of a value."""
        stored = value.storage()
        if stored.data is not None:
            return self.constant(stored.data, private=stored.private)
        return self.pointer_of(stored)

    def declarations(self) -> str:
        """C definitions of all constant arrays."""
        parts = []
        for name, words, private in self.tables:
            if private and self.private_weights:
                parts.append(f"static int32_t {name}[{len(words)}];")
                continue
            texts = [str(word) if word != -(1 << 31) else "(-2147483647 - 1)" for word in words.tolist()]
            rows = [", ".join(texts[start : start + WORDS_PER_LINE]) for start in range(0, len(texts), WORDS_PER_LINE)]
            parts.append(f"static const int32_t {name}[{len(words)}] = {{\n    " + ",\n    ".join(rows) + "};")
        return "\n".join(parts) + "\n"

    def private_words(self) -> NDArray[np.int32]:
        """The words that a private model reads as input, in the order in which it reads them."""
        parts = [words for _, words, private in self.tables if private and self.private_weights]
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)
