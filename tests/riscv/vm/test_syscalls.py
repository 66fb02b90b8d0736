"""The table of calls: what follows from it, in the executor, the chips and the guest's header."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from zkvm.guest.library import SDK
from zkvm.riscv.chips import ecall
from zkvm.riscv.isa import calls
from zkvm.riscv.machine import machine
from zkvm.riscv.records import ECALL, Execution
from zkvm.riscv.vm import syscalls
from zkvm.session.profiling import serving_chips


def test_every_call_has_a_host_function_and_a_chip() -> None:
    assert set(syscalls.HOST) == {*calls.CALLS, calls.UNKNOWN}
    assert {call.chip for call in calls.CALLS} <= {chip.name for chip in machine().chips}
    assert len(calls.BY_NUMBER) == len(calls.CALLS)


def test_the_chip_of_the_table_has_the_rows() -> None:
    """Asked of the chips: each counts its own calls and no others."""
    served = serving_chips()[1]
    by_operation = {calls.TENSOR: ""}  # two chips have rows of this call
    assert {call.number: by_operation.get(call, call.chip) for call in calls.CALLS}.items() <= served.items()
    assert served[1 << 31] == calls.UNKNOWN.chip


def test_records_have_a_time_for_every_register_that_is_accessed() -> None:
    for call in (*calls.CALLS, calls.UNKNOWN):
        assert {f"t_{name}" for name in ("a7", "a0", *call.arguments)} <= set(ECALL.names or ())
        assert call.moves is None or call.moves in Execution.__dataclass_fields__


def test_the_unknown_call_excludes_every_number() -> None:
    """By factors of the product columns; no constraint has a higher degree than 3."""
    assert tuple(number for factors in ecall.FACTORS for number in factors) == tuple(call.number for call in calls.CALLS)
    first, *middle, last = ecall.FACTORS
    assert len(first) == 3
    assert all(len(factors) == 2 for factors in middle)
    assert len(last) in (1, 2)


@pytest.mark.parametrize("call", calls.CALLS, ids=lambda call: call.name)
def test_the_guest_header_has_the_same_numbers(call: calls.Call) -> None:
    names = ("zkvm.h", "zkvm_tensor.h", "zkvm_poseidon2.h", "zkvm_blake3.h")
    header = "".join((Path(SDK) / "include" / name).read_text() for name in names)
    found = dict(re.findall(r"ZKVM_SYS_(\w+)\s*=?\s*(\d+)", header))
    if call is not calls.EXIT_GROUP:  # the runtime ends with exit
        assert int(found[call.name.upper()]) == call.number


def test_results_of_failing_calls_are_negative_words() -> None:
    assert np.array([calls.ENOSYS, calls.EBADF], np.uint32).astype(np.int32).tolist() == [-38, -9]
