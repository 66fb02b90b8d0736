"""Results, receipts and errors on their way between processes: pickled, compared, through pools."""

from __future__ import annotations

import concurrent.futures
import copy
import multiprocessing
import pickle
from collections.abc import Callable

import pytest

import zkvm
from tests.cli.running import guest
from tests.receipts import ECHO, HELLO, TEXT, dev_receipt, echo_receipt
from zkvm.errors import FormatError, GuestTrap, VerificationError, ZkvmError
from zkvm.riscv.vm.assemble import EXIT

TRAPPING = guest([("li", "t0", 0x10), ("lw", "t0", "t0", 0), *EXIT])


def reject() -> None:
    """Verify against another program."""
    dev_receipt().verify("00" * 32)


def malformed() -> None:
    zkvm.Receipt.from_bytes(b"nothing")


def trap() -> None:
    """Run a guest that accesses what is no memory."""
    zkvm.execute(TRAPPING)


def limited() -> None:
    zkvm.execute(HELLO, max_cycles=1)


def misused() -> None:
    zkvm.prove(HELLO, params="tiny")


JOBS: dict[Callable[[], None], type[ZkvmError]] = {
    reject: VerificationError, malformed: FormatError, trap: GuestTrap, limited: zkvm.LimitError, misused: zkvm.UsageError,
}  # fmt: skip


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_errors_come_back_from_pools_of_processes(start: str) -> None:
    """And the pool goes on. An error that could not be unpickled killed one kind of pool and hung the other."""
    context = multiprocessing.get_context(start)
    expected = {}
    for job in JOBS:
        with pytest.raises(ZkvmError) as here:
            job()
        expected[job] = here.value
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as futures, context.Pool(1) as pool:
        for job, kind in JOBS.items():
            for result in (futures.submit(job).result, pool.apply_async(job).get):
                with pytest.raises(kind) as there:
                    result(60)
                assert str(there.value) == str(expected[job])
                assert vars(there.value).keys() - {"__notes__"} == vars(expected[job]).keys() - {"__notes__"}
        assert futures.submit(len, "abc").result(60) == pool.apply_async(len, ("abc",)).get(60) == 3


def test_receipts_with_equal_bytes_are_equal() -> None:
    receipt = echo_receipt()
    others = [zkvm.Receipt.from_bytes(receipt.to_bytes()), pickle.loads(pickle.dumps(receipt)), copy.copy(receipt), copy.deepcopy(receipt)]
    for other in others:
        assert other == receipt
        assert hash(other) == hash(receipt)
        assert other.to_bytes() == receipt.to_bytes()
    assert len({receipt, *others}) == 1
    assert len({receipt.seal, *(other.seal for other in others)}) == 1
    assert len({receipt.claim, *(other.claim for other in others)}) == 1


def test_receipts_with_other_bytes_are_not() -> None:
    """Whatever differs: the run, the proof of the same run, a single word of it, or the shape of an array."""
    receipt = echo_receipt()
    seal = receipt.seal
    assert seal is not None
    openings = seal.openings.copy()
    openings[0, 0] ^= 1
    for other in (
        dev_receipt(),
        zkvm.prove(ECHO, TEXT, params="fast", verify=False).receipt,
        zkvm.prove(ECHO, b"other", dev=True).receipt,
        None,
        receipt.to_bytes(),
    ):
        assert receipt != other
    for changed in (openings, openings[:-1], openings.astype("f8"), "no array"):
        fields = {name: getattr(seal, name) for name in type(seal).__slots__}
        assert seal != type(seal)(**fields | {"openings": changed})
    assert seal.main != seal.bus
    assert seal.layers[0] != seal.layers[-1]


def test_results_and_environments_can_be_pickled() -> None:
    env = zkvm.ExecutorEnv(b"abc", max_cycles=10**6)
    info = zkvm.prove(HELLO, params="fast")
    profile = zkvm.profile(HELLO)
    for value in (env, info, info.session, info.receipt.claim, profile, profile.prediction, zkvm.Policy(128)):
        assert pickle.loads(pickle.dumps(value)) == value
        assert copy.deepcopy(value) == value
