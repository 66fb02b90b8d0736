"""The call permute in the executor: what memory holds afterwards, what is recorded, what it refuses."""

from __future__ import annotations

import pytest

from tests.proving import prove_and_verify
from tests.riscv.vm.memory_bus import check_memory_bus, check_state_bus
from tests.states import EDGES, before, state_bytes
from zkvm.errors import GuestTrap
from zkvm.riscv.isa.calls import PERMUTE
from zkvm.riscv.isa.poseidon2 import WIDTH, permute
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import DATA, EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.stark.field.goldilocks import P

CODE = 0x1_0000
STATES = [[2**64 - 1 - k for k in range(WIDTH)], before(EDGES), [0] * WIDTH, [P] * WIDTH]
WRITE_JOURNAL: list[Item] = [("li", "a7", 64), ("li", "a0", 3)]


def program(*addresses: int) -> list[Item]:
    items: list[Item] = [("li", "a7", PERMUTE.number)]
    for address in addresses:
        items += [("li", "a0", address), ("ecall",), ("add", "s0", "s0", "a0")]
    return items


def run(*addresses: int, trace: bool = True) -> Execution:
    data = b"".join(map(state_bytes, STATES))
    items = [
        *program(*addresses),
        *WRITE_JOURNAL,
        ("li", "a1", DATA),
        ("li", "a2", len(data)),
        ("ecall",),
        ("mv", "a0", "s0"),
        *EXIT,
        *[("nop",)] * 24,
    ]
    return execute(assemble(items, data=data, rodata=bytes(200), bss=64), trace=trace)


def test_states_in_memory() -> None:
    addresses = [DATA + 96 * k for k in range(len(STATES))]
    for trace in (True, False):
        execution = run(*addresses, addresses[0], trace=trace)
        after = [permute(state) for state in STATES]
        after[0] = permute(after[0])
        assert execution.journal == b"".join(map(state_bytes, after))
        assert after[1] == list(EDGES)
        assert execution.exit_code == 0  # what a0 was each time
        assert len(execution.permuted) == len(execution.permutations) == (len(STATES) + 1 if trace else 0)


def test_records_and_a_proof() -> None:
    """Two states that are the same mod p; a state that lies across two others; words whose last access is long ago."""
    wait: list[Item] = [("li", "t6", 20_000), ("addi", "t6", "t6", -1), ("bnez", "t6", -4)]
    items = [*program(DATA + 192, DATA + 288), *wait, *program(DATA + 44, DATA + 44)]
    items += [("addi", "a0", "sp", -96), ("ecall",), ("li", "a0", 0), *EXIT]
    execution, _ = prove_and_verify(assemble(items, data=b"".join(map(state_bytes, STATES))))
    check_memory_bus(execution)
    check_state_bus(execution)
    assert len(execution.permutations) == 5
    assert [not state.any() for state in execution.permutations] == [True, True, False, False, True]
    assert len(execution.refreshes) >= 24


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        (DATA + 2, "misaligned_access"),
        (DATA + 1, "misaligned_access"),
        (DATA - 4, "outside_memory"),
        (0, "outside_memory"),
        (0xFFFF_FFFC, "outside_memory"),
        (0xFFFF_FFA4, "outside_memory"),
        (CODE, "store_to_rom"),
    ],
)
def test_refused(address: int, kind: str) -> None:
    with pytest.raises(GuestTrap) as caught:
        run(address)
    assert caught.value.kind == kind
    assert "permute" in str(caught.value)
