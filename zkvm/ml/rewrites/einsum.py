"""Einsum as batched matrix products, sums and diagonals."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters

import numpy as np

from zkvm.ml.node import Node
from zkvm.ml.rewrites.builder import Builder, rewrites


@rewrites("Einsum")
def rewrite_einsum(builder: Builder, node: Node) -> bool:
    """One operand after the other; a letter is summed over as soon as nothing else needs it."""
    parts, result = _letters(builder, node)
    sizes: dict[str, int] = {}
    for part, name in zip(parts, node.inputs, strict=True):
        for letter, size in zip(part, builder.shapes[name], strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    operands = [_plain(builder, name, part, sizes) for name, part in zip(node.inputs, parts, strict=True)]
    name, letters = operands[0]
    for position, (other, part) in enumerate(operands[1:], 1):
        needed = set(result).union(*(letters for _, letters in operands[position + 1 :]))
        name, letters = _product(builder, (name, letters), (other, part), needed, sizes)
    name, letters = _summed(builder, name, letters, set(result))
    if result:
        builder.node("Transpose", [name], node.outputs[0], perm=[letters.index(letter) for letter in result])
    else:
        builder.node("Identity", [name], node.outputs[0])
    return True


def _letters(builder: Builder, node: Node) -> tuple[list[str], str]:
    """One letter per axis of the operands and of the result; dots are letters of their own."""
    equation = node.attributes["equation"].replace(" ", "")
    terms, arrow, result = equation.partition("->")
    free = [letter for letter in ascii_letters if letter not in equation]
    parts, most = [], 0
    for term, name in zip(terms.split(","), node.inputs, strict=True):
        hidden = len(builder.shapes[name]) - len(term.replace("...", ""))
        most = max(most, hidden if "..." in term else 0)
        parts.append((term, hidden))
    dots = "".join(free[:most])
    if not arrow:
        letters = terms.replace("...", "").replace(",", "")
        result = ("..." if "..." in terms else "") + "".join(sorted(letter for letter in letters if letters.count(letter) == 1))
    return [term.replace("...", dots[most - hidden :] if hidden else "") for term, hidden in parts], result.replace("...", dots)


def _plain(builder: Builder, name: str, part: str, sizes: dict[str, int]) -> tuple[str, str]:
    """An operand without repeated letters, and with all axes of full size."""
    shape = builder.shapes[name]
    full = [sizes[letter] for letter in part]
    if list(shape) != full:
        name = builder.node("Expand", [name, builder.integers(*full)])
    once = "".join(dict.fromkeys(part))
    if once == part:
        return name, part
    numbers = np.arange(int(np.prod(full))).reshape(full)
    diagonal = np.einsum(numbers, [once.index(letter) for letter in part], list(range(len(once))))
    return builder.node("Gather", [builder.reshape(name, [-1]), builder.constant(diagonal, np.int64)], axis=0), once


def _summed(builder: Builder, name: str, letters: str, needed: set[str]) -> tuple[str, str]:
    axes = [axis for axis, letter in enumerate(letters) if letter not in needed]
    if not axes:
        return name, letters
    return builder.reduce("ReduceSum", name, axes, 0), "".join(letter for letter in letters if letter in needed)


def _product(builder: Builder, left: tuple[str, str], right: tuple[str, str], needed: set[str], sizes: dict[str, int]) -> tuple[str, str]:
    """The product of two operands, summed over letters that only they have."""
    first, letters = _summed(builder, *left, needed | set(right[1]))
    second, others = _summed(builder, *right, needed | set(letters))
    batch = [letter for letter in letters if letter in others and letter in needed]
    shared = [letter for letter in letters if letter in others and letter not in needed]
    rows, columns = ([letter for letter in part if letter not in batch + shared] for part in (letters, others))

    def matrix(name: str, part: str, groups: Sequence[Sequence[str]]) -> str:
        order = [letter for group in groups for letter in group]
        turned = builder.node("Transpose", [name], perm=[part.index(letter) for letter in order]) if order else name
        extents = [int(np.prod([sizes[letter] for letter in group], dtype=np.int64)) for group in groups[1:]]
        return builder.reshape(turned, [*(sizes[letter] for letter in groups[0]), *extents])

    factors = [matrix(first, letters, (batch, rows, shared)), matrix(second, others, (batch, shared, columns))]
    joined = "".join(batch + rows + columns)
    return builder.reshape(builder.node("MatMul", factors), [sizes[letter] for letter in joined]), joined
