"""Poseidon2 permutations: one a row, served as one tuple of what goes in and what comes out.

**Sound.** An S-box has its argument x and the cube c = x^3 in columns, so x^7 = c c x has degree 3; what lies between S-boxes is linear.
The first arguments are linear in ``in0 .. in11``, every later one and ``out0 .. out11`` are fixed by a constraint of their own, from
columns before them: also where the sum of a state is read off the next argument, for the constraint of that argument has fixed it. So a row
with ``real`` = 1 has exactly one completion of its 12 inputs, the permutation (:mod:`zkvm.riscv.isa.poseidon2`, whose layers the
constraints use). Elements are those of the field: what they mean as bytes is for who asks to prove.

In and out are one tuple, so an output cannot be exchanged for that of another row, and a second row for the same input says the same:
rows need neither order nor a name. ``real`` multiplies the round constants, so that the row of zeros is padding. It is also how often a
row serves: once, or not at all. A padding row permutes without constants, and serves nothing.

What is asked for twice has two rows. With one, the table's height would tell how many different states a run permutes, which may be a
secret: it tells how many it permutes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.chips.buses import PERMUTATION
from zkvm.riscv.isa.poseidon2 import CONSTANTS, INNER_DIAGONAL, WIDTH, mix_fours, mix_inner, mix_outer, spread
from zkvm.riscv.records import Execution
from zkvm.stark.air.builder import AirBuilder, BusBuilder
from zkvm.stark.air.chip import Chip, Trace
from zkvm.stark.air.columns import Columns, Row, bit, cell
from zkvm.stark.air.expression import Expr, total
from zkvm.stark.field.goldilocks import add, mul
from zkvm.stark.field.goldilocks import total as field_total


def boxes() -> Iterator[tuple[int, int]]:
    """Round and element of every S-box, in order."""
    return ((number, k) for number, added in enumerate(CONSTANTS) for k in range(len(added)))


def inputs_and_outputs(row: Row) -> list[Expr]:
    """The tuple."""
    return [row[f"{stem}{k}"] for stem in ("in", "out") for k in range(WIDTH)]


class Poseidon2Chip(Chip):
    """One permutation a row."""

    name = "poseidon2"
    by_call = True
    columns = Columns(
        **{f"in{k}": cell(f"element {k} before the permutation") for k in range(WIDTH)},
        **{f"x{r}_{k}": cell(f"argument of the S-box of element {k} in round {r}") for r, k in boxes() if r},
        **{f"c{r}_{k}": cell(f"the cube of what the S-box of element {k} in round {r} takes") for r, k in boxes()},
        **{f"out{k}": cell(f"element {k} after it") for k in range(WIDTH)},
        real=bit("the row is used, and served once"),
    )
    counted = (PERMUTATION,)

    def states(self, row: Row) -> dict[str, Expr]:
        """What every S-box takes and the last layer leaves, as it follows from columns before it: ``x0_0`` and so on, ``out0`` and so on.

        And the state before a round, without its constants: element 1 of round 5 is ``s5_1``, and ``m5_1`` halfway there. Between inner
        rounds the sum of the state is read off the next argument's column: so an expression grows by a few terms a round, where it
        would double.
        """
        mixed = mix_fours([row[f"in{k}"] for k in range(WIDTH)])
        found = {f"m0_{k}": element for k, element in enumerate(mixed)}
        state = spread(mixed)
        for r, added in enumerate(CONSTANTS):
            found |= {f"s{r}_{k}": element for k, element in enumerate(state)}
            found |= {f"x{r}_{k}": state[k] + row.real * constant for k, constant in enumerate(added)}
            for k in range(len(added)):
                cube = row[f"c{r}_{k}"]
                state[k] = cube * cube * (row[f"x{r}_{k}"] if r else found[f"x{r}_{k}"])
            if len(added) == WIDTH:
                mixed = mix_fours(state)
                found |= {f"m{r + 1}_{k}": element for k, element in enumerate(mixed)}
                state = spread(mixed)
            else:
                first = state[0] * INNER_DIAGONAL[0]
                after = row[f"x{r + 1}_0"] - row.real * CONSTANTS[r + 1][0]
                state = [total(*state) + first, *mix_inner(state, after - first)[1:]]
        return found | {f"out{k}": state[k] for k in range(WIDTH)}

    def constraints(self, air: AirBuilder, row: Row) -> None:
        """Every S-box and every layer between two."""
        air.assert_bool("real is boolean", row.real)
        states = self.states(row)
        for name, expr in states.items():
            if name in self.columns:
                air.assert_equal(f"{name} is what it follows from", row[name], expr)
        for r, k in boxes():
            x = row[f"x{r}_{k}"] if r else states[f"x{r}_{k}"]
            air.assert_equal(f"c{r}_{k} is the cube", row[f"c{r}_{k}"], x * x * x)

    def interactions(self, buses: BusBuilder, row: Row) -> None:
        """The permutation is served."""
        buses.serve("permutation", PERMUTATION, tuple(inputs_and_outputs(row)), row.real)

    def rows(self, execution: Execution) -> int:
        """One each time that a permutation is asked for."""
        return len(execution.permutations)

    def fill(self, execution: Execution, trace: Trace) -> None:
        """Permute."""
        count = len(execution.permutations)
        columns = (execution.permuter or permuted_columns)(execution.permutations)
        for name, values in zip(self.columns, [*columns, np.ones(count, np.uint64)], strict=True):
            trace[name][:count] = values


def permuted_columns(states: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The columns of rows that permute, but for ``real``.

    Args:
        states: (n, 12) uint64, canonical.

    Returns:
        (248, n) uint64, in the order of the chip's columns.
    """
    inputs = np.ascontiguousarray(states.T)
    state, arguments, cubes = _mixed_outer(inputs), [], []
    for added in CONSTANTS:
        boxed = slice(0, len(added))
        x = add(state[boxed], np.array(added, np.uint64)[:, None])
        cube = mul(mul(x, x), x)
        arguments.append(x)
        cubes.append(cube)
        state[boxed] = mul(mul(cube, cube), x)
        state = _mixed_outer(state) if len(added) == WIDTH else _mixed_inner(state)
    return np.concatenate([inputs, *arguments[1:], *cubes, state])


_OUTER = np.array([mix_outer([int(k == j) for j in range(WIDTH)]) for k in range(WIDTH)], np.uint64).T
"""The outer matrix: (12, 12), entries up to 6."""


def _mixed_outer(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return np.stack([field_total(mul(state, factors[:, None])) for factors in _OUTER])


def _mixed_inner(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return add(mul(state, np.array(INNER_DIAGONAL, np.uint64)[:, None]), field_total(state))
