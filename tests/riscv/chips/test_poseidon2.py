"""Poseidon2: the permutation against a public vector, its three definitions against each other, and rows that permute otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.sample import sample_run
from tools.poseidon2_constants import constants
from zkvm.riscv.chips.buses import PERMUTATION
from zkvm.riscv.chips.poseidon2 import Poseidon2Chip, boxes, permuted_columns
from zkvm.riscv.isa.poseidon2 import CONSTANTS, INNER_DIAGONAL, WIDTH, mix_inner, mix_outer, permute
from zkvm.riscv.vm.permuting import permute_kernel
from zkvm.stark.air.check import check_rows
from zkvm.stark.air.evaluate import evaluate_columns
from zkvm.stark.air.expression import straighten
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Table
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.params import EXEMPT_MAX
from zkvm.stark.tables import build_tables

CHIP = Poseidon2Chip()
EDGES = (0, 1, 2**32 - 1, 2**32, 2**63, P - 2**32, P - 1)
COUNTING = tuple(range(WIDTH))
PLONKY3 = (
    0xF292AB67C0F14B03, 0x0A32F1B37656544C, 0x053C61AB895498DE, 0x02FF92E55B196FFB, 0x58176E8F6F58CAB2, 0xB0AA1206E7AEC0F8,
    0xE90C13F3DCE83CA4, 0xF4DA15333EDF39C2, 0x23B701C053C2CA6C, 0xD233D593DCDFBF58, 0x4EFFA5F9516FB52E, 0x0AAF4489F1F40166,
)  # fmt: skip
"""What 0 .. 11 becomes, in the test ``test_default_goldilocks_poseidon2_width_12`` of Plonky3's ``goldilocks/src/poseidon2.rs``."""


def states() -> NDArray[Any]:
    """Edge values in every place, and random ones."""
    edges = [[EDGES[(k + shift) % len(EDGES)] for k in range(WIDTH)] for shift in range(len(EDGES))]
    alike = [[value] * WIDTH for value in EDGES]
    drawn = np.random.default_rng(12).integers(0, P, (9, WIDTH), np.uint64)
    return np.concatenate([np.array([*edges, *alike, COUNTING], np.uint64), drawn])


def table() -> Table:
    """Rows for the states, one of them asked for twice."""
    asked = np.concatenate([states(), states()[:1]])
    alone = Machine("permutations", (Poseidon2Chip(),), max_rows=1 << 20)
    (built,) = build_tables(alone, replace(sample_run(), permutations=asked), sample_run().image, EXEMPT_MAX)
    return built


def test_public_vector() -> None:
    assert permute(COUNTING) == list(PLONKY3)
    assert permute([value + P for value in COUNTING]) == list(PLONKY3)


def test_constants_follow_from_the_public_rule() -> None:
    assert [number for added in CONSTANTS for number in added] == constants()
    assert [len(added) for added in CONSTANTS] == [WIDTH] * 4 + [1] * 22 + [WIDTH] * 4


def test_layers_are_the_matrices() -> None:
    """Against the matrices as the paper writes them."""
    block = [[2, 3, 1, 1], [1, 2, 3, 1], [1, 1, 2, 3], [3, 1, 1, 2]]
    outer = [[block[r % 4][c % 4] * (2 if r // 4 == c // 4 else 1) for c in range(WIDTH)] for r in range(WIDTH)]
    inner = [[1 + (INNER_DIAGONAL[r] if r == c else 0) for c in range(WIDTH)] for r in range(WIDTH)]
    for state in states().tolist():
        for matrix, mix in ((outer, mix_outer), (inner, mix_inner)):
            assert [sum(a * b for a, b in zip(row, state, strict=True)) % P for row in matrix] == [value % P for value in mix(state)]


def test_columns_are_the_permutation() -> None:
    columns = permuted_columns(states())
    for number, state in enumerate(states().tolist()):
        assert columns[-WIDTH:, number].tolist() == permute(state)
    assert len(columns) + 1 == len(CHIP.columns)


def test_the_kernel_makes_the_same_columns() -> None:
    for own in (states(), states()[:1], states()[:0]):
        assert np.array_equal(permute_kernel(own), permuted_columns(own))
    assert sample_run().permuter is permute_kernel


def test_rows_are_accepted_and_what_is_asked_for_twice_has_two() -> None:
    built = table()
    assert built.used == len(states()) + 1
    assert not check_rows(built)
    assert built.main[:, 0].tolist() == built.main[:, built.used - 1].tolist()


def test_no_cell_of_a_row_is_a_choice() -> None:
    """Every element, every S-box and the flag: another value alone breaks a constraint."""
    built = table()
    row = built.main[:, 3].tolist()
    names = list(CHIP.columns)
    changes = [(CHIP.main.index(name), delta) for name in names for delta in (1, P - 1, 1 << 32)]
    main = np.array([row] * len(changes), np.uint64)
    for number, (place, delta) in enumerate(changes):
        main[number, place] = (row[place] + delta) % P
    code = straighten([constraint.expr for constraint in CHIP.air_constraints])
    broken = np.stack(evaluate_columns(code, main.T.copy(), np.zeros((0, len(changes)), np.uint64)))
    assert np.any(broken != 0, axis=0).all()


def test_a_padding_row_serves_nothing() -> None:
    """A row without constants is accepted as padding; it is not the permutation, and real is how often it is served."""
    built = table()
    plain = mix_outer([value % P for value in COUNTING])
    cells = {f"in{k}": value for k, value in enumerate(COUNTING)}
    for r, added in enumerate(CONSTANTS):
        for k in range(len(added)):
            cells |= {f"c{r}_{k}": pow(plain[k], 3, P)} | ({f"x{r}_{k}": plain[k] % P} if r else {})
            plain[k] = pow(plain[k], 7, P)
        plain = [value % P for value in (mix_outer if len(added) == WIDTH else mix_inner)(plain)]
    cells |= {f"out{k}": value for k, value in enumerate(plain)}
    for name, value in cells.items():
        built.main[CHIP.main.index(name), built.used] = value
    (served,) = CHIP.air_buses.lookups
    assert served.count is CHIP.row.real
    assert not check_rows(built)
    built.main[CHIP.main.index("real"), built.used] = 1
    assert {f"x1_{k} is what it follows from" for k in range(WIDTH)} <= {failure.label for failure in check_rows(built)}


def test_shape() -> None:
    (served,) = CHIP.air_buses.lookups
    assert served.message.bus is PERMUTATION
    assert len(list(boxes())) == 8 * WIDTH + 22
    assert max(constraint.expr.degree for constraint in CHIP.air_constraints) == 3
