"""Fuzz the verifier: changed receipts and proofs must be refused with a typed error, fast, and without much memory.

    python tools/fuzz_verifier.py bytes --runs 10000000      # decoding and shape checks of changed bytes
    python tools/fuzz_verifier.py proofs --runs 20000        # changed proofs that reach the arithmetic
    python tools/fuzz_verifier.py bytes --coverage corpus/   # coverage-guided, needs the `atheris` package

A *program* is a byte string that says what to change (``tests/fuzz/mutations.py``), so a finding is a short string. Changed bytes are
those of a dev receipt, of a seal, and of a whole receipt. Proofs are also checked with the honest proof's challenges: then a change
does not end at the first check that a new challenge breaks, but at the one that is there for it. Anything but a refusal is a finding: it
is printed and the exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import blake3

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
if "--coverage" in sys.argv:
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(
        include=["zkvm.stark.protocol.codec", "zkvm.verifier.receipt", "zkvm.stark.protocol.shape", "zkvm.stark.verifier"]
    ):
        import zkvm.verifier.receipt  # noqa: F401  (first of all imports, so that branches are seen)

from tests.fuzz.mutations import CHANGE_BYTES, changed_bytes, changed_proof, same
from tests.receipts import dev_receipt, toy_proof
from tests.soundness.replay import Frozen, Recorder
from tests.toy import TOY
from zkvm.errors import FormatError, VerificationError
from zkvm.riscv.header import run_statement
from zkvm.riscv.machine import machine
from zkvm.stark.protocol.codec import decode_proof, encode_proof
from zkvm.stark.protocol.params import Policy
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.verifier.shape import check_shape
from zkvm.stark.verifier.verify import verify_proof
from zkvm.verifier.receipt import Receipt

SLOW_SECONDS = 10.0
"""Processor time that no single check may take: honest ones take a tenth of a second."""


REPORT_SECONDS = 60.0
"""How often a long run says how far it is."""


class Finding(Exception):
    """The verifier accepted something false, or failed in a way that is no refusal."""


def read_dev_receipt(data: bytes) -> bytes:
    """Decode a receipt without a seal and verify it; returns its encoding.

    Raises:
        VerificationError: it is refused.
        Finding: it is accepted with another claim.
    """
    receipt, honest = Receipt.from_bytes(data), dev_receipt().claim
    encoded = receipt.to_bytes()
    receipt.verify(honest.image_id, policy=Policy(allow_dev=True))
    if receipt.seal is None and receipt.claim != honest:
        raise Finding("accepted with another claim")
    return encoded


def read_receipt(data: bytes) -> bytes:
    """Decode a receipt and check everything that is checked before arithmetic, but for its image; returns its encoding.

    Raises:
        VerificationError: it is refused.
    """
    receipt = Receipt.from_bytes(data)
    encoded = receipt.to_bytes()
    statement = run_statement(receipt.header, receipt.parameters, receipt.journal, receipt.claim.exit_code)
    if receipt.seal is not None:
        check_shape(machine(), statement, receipt.seal)
    return encoded


def read_seal(data: bytes) -> bytes:
    """Decode a proof of the toy machine and check its shape; returns its encoding.

    Raises:
        VerificationError: it is refused.
    """
    proof = decode_proof(TOY, data)
    encoded = encode_proof(proof)
    check_shape(TOY, toy_proof(name="compact")[0], proof)
    return encoded


@dataclass(frozen=True)
class Base:
    """Honest bytes to change, and what reads them: it returns their encoding, so that a second encoding of one thing is noticed."""

    name: str
    data: bytes
    read: Callable[[bytes], bytes]


@cache
def bases() -> tuple[Base, Base, Base, Base]:
    """From short and fast to long and slow; the last one is of the real machine from the first byte to the last."""
    seal = encode_proof(toy_proof(name="compact")[1])
    return (
        Base("dev receipt", dev_receipt().to_bytes(), read_dev_receipt),
        Base("head of a seal", seal[:SEAL_HEAD_BYTES], read_seal),
        Base("toy seal", seal, read_seal),
        Base("receipt", (ROOT / "tests" / "compat" / "hello-compact-100.receipt").read_bytes(), read_receipt),
    )


def base_of(program: bytes) -> Base:
    """Seven programs in eight change the dev receipt; of the others half a seal's head alone, an eighth the receipt: it is the slowest."""
    if not program or program[0] < 224:
        return bases()[0]
    return bases()[1 if program[-1] >= 128 else 3 if program[-1] >= 96 else 2]


SEAL_HEAD_BYTES = 51
"""Of the toy's seal: up to the counts of the last tree."""
BODY = re.compile(r"the body must have (\d+) bytes, not (\d+)")
NUMBERS = re.compile(r"\d+")


def read_fitted(base: Base, data: bytes, fit: bool) -> tuple[bytes, bytes]:
    """Read changed bytes; with ``fit``, a body whose length its head contradicts gets that length, so that a changed head is not the end.

    Returns:
        The bytes that were read, and the encoding of what they hold.

    Raises:
        VerificationError: they are refused.
    """
    try:
        return data, base.read(data)
    except FormatError as error:
        found = BODY.search(error.detail)
        if not fit or found is None:
            raise
    missing = int(found[1]) - int(found[2])
    data = data + bytes(missing) if missing > 0 else data[:missing]
    return data, base.read(data)


def check_bytes(program: bytes) -> str:
    """Decode changed bytes, and check the shape of what decodes; returns which base they come from and how it ended.

    Raises:
        Finding: another error than a refusal, or bytes that decode to something with another encoding.
    """
    base = base_of(program)
    try:
        data, encoded = read_fitted(base, changed_bytes(base.data, program), bool(program) and program[0] & 16 != 0)
    except VerificationError as error:
        where = NUMBERS.sub("#", error.detail.partition(":")[0]) if isinstance(error, FormatError) else "decoded"
        return f"{base.name}: {error.reason.name}, {where}"
    except Finding as finding:
        raise Finding(f"{finding}: program {program.hex()}") from finding
    except Exception as error:
        raise Finding(f"{type(error).__name__}: {error} on bytes program {program.hex()}") from error
    require(encoded == data, "two encodings of one thing", program)
    return f"{base.name}: passed, {'unchanged' if data == base.data else 'changed'}"


def require(condition: bool, message: str, program: bytes) -> None:
    """Raise a finding unless the condition holds."""
    if not condition:
        raise Finding(f"{message}: program {program.hex()}")


@cache
def recorded() -> tuple[Statement, Proof, dict[str, Any]]:
    """An honest proof and the challenges of its verification."""
    statement, proof = toy_proof()
    recorder = Recorder()
    verify_proof(TOY, statement, proof, Policy(), recorder)
    return statement, proof, recorder.draws


HARMLESS_REPLAYED = {"nonce", "zk"}
"""Values that only the challenges depend on: with replayed ones nothing else can notice a change."""


def check_proof(program: bytes) -> str:
    """Verify a changed proof, with fresh challenges or with the honest ones; returns the refusal's reason.

    Raises:
        Finding: it is accepted, or fails otherwise, or takes too long.
    """
    statement, honest, draws = recorded()
    replayed = bool(program) and program[0] & 64 != 0
    started = time.process_time()
    try:
        proof, paths = changed_proof(honest, program)
        if same(honest, proof) or (replayed and HARMLESS_REPLAYED & set(paths)):
            return "unchanged"
        verify_proof(TOY, statement, proof, Policy(), Frozen(draws) if replayed else None)
    except VerificationError as error:
        require(time.process_time() - started < SLOW_SECONDS, "slow", program)
        return f"{error.reason.name}{' (replayed challenges)' if replayed else ''}"
    except Exception as error:
        raise Finding(f"{type(error).__name__}: {error} on proof program {program.hex()}") from error
    raise Finding(f"accepted with {paths} changed: proof program {program.hex()}")


CHECKS = {"bytes": check_bytes, "proofs": check_proof}


def quick_hashes(target: str) -> ExitStack:
    """While changed bytes are read, image IDs and digests of journals come from the `blake3` package: it agrees with ours, which
    ``tests/stark/crypto`` compares, and takes a thousandth of the time. Proofs are verified with our own."""
    stack = ExitStack()
    if target == "bytes":
        for module in ("zkvm.riscv.header", "zkvm.verifier.receipt"):
            stack.enter_context(patch(f"{module}.blake3", lambda data: blake3.blake3(data).digest()))
    return stack


def random_program(rng: random.Random) -> bytes:
    """One to four changes, mostly one."""
    return rng.randbytes(CHANGE_BYTES * rng.choice((1, 1, 1, 2, 3, 4)))


def fuzz(target: str, runs: int, seed: int, seconds: float = float("inf")) -> Counter[str]:
    """Random programs, until all have run, the time is over or somebody interrupts; how often each end was reached.

    Raises:
        Finding: see the checks.
    """
    rng = random.Random(seed)
    check = CHECKS[target]
    ends: Counter[str] = Counter()
    check(bytes(CHANGE_BYTES))  # makes what is changed, outside of the time
    now = time.monotonic()
    stop, report = now + seconds, now + REPORT_SECONDS
    with quick_hashes(target), suppress(KeyboardInterrupt):
        for _ in range(runs):
            ends[check(random_program(rng))] += 1
            now = time.monotonic()
            if now > stop:
                break
            if now > report:
                print(f"{ends.total()} runs", file=sys.stderr, flush=True)
                report = now + REPORT_SECONDS
    return ends


def fuzz_with_coverage(target: str, arguments: list[str]) -> None:
    """Hand over to atheris (libFuzzer), which does not return; ``arguments`` are libFuzzer's, the corpus folder among them."""
    CHECKS[target](bytes(CHANGE_BYTES))  # makes what is changed, outside of the time that libFuzzer measures
    with quick_hashes(target):
        atheris.Setup([sys.argv[0], *arguments], lambda data: None if CHECKS[target](data) else None)
        atheris.Fuzz()


def run(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=sorted(CHECKS))
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--program", help="run one program, in hexadecimal digits")
    parser.add_argument("--coverage", nargs=argparse.REMAINDER, help="with atheris: the corpus folder and options of libFuzzer, last")
    chosen = parser.parse_args(arguments)
    if chosen.coverage:
        fuzz_with_coverage(chosen.target, chosen.coverage)
    started = time.perf_counter()
    try:
        if chosen.program is not None:
            ends = Counter([CHECKS[chosen.target](bytes.fromhex(chosen.program))])
        else:
            ends = fuzz(chosen.target, chosen.runs, chosen.seed, chosen.seconds)
    except Finding as finding:
        print(f"FINDING: {finding}")
        return 1
    for end, count in ends.most_common():
        print(f"{count:>10}  {end}")
    print(f"{ends.total()} runs in {time.perf_counter() - started:.1f} s, no finding")
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
