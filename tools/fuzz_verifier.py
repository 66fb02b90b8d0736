"""Fuzz the verifier: changed receipts and proofs must be refused with a typed error, fast, and without much memory.

    python tools/fuzz_verifier.py bytes --runs 10000000      # decoding and shape checks of changed bytes
    python tools/fuzz_verifier.py proofs --runs 20000        # changed proofs that reach the arithmetic
    python tools/fuzz_verifier.py bytes --coverage corpus/   # coverage-guided, needs the `atheris` package

A *program* is a byte string that says what to change, eight bytes for each change; random programs, Hypothesis and atheris use the same
ones, so a finding is a short string. Proofs are also checked with the honest proof's challenges: then a change does not end at the first
check that a new challenge breaks, but at the one that is there for it. Anything but a refusal is a finding: it is printed and the
exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
if "--coverage" in sys.argv:
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["zkvm.codec", "zkvm.receipt", "zkvm.shape", "zkvm.verifier"]):
        import zkvm.receipt  # noqa: F401  (first of all imports, so that branches are seen)

from tests.receipts import dev_receipt, toy_proof
from tests.soundness.replay import Frozen, Recorder
from tests.toy import TOY
from zkvm.air.machine import Statement
from zkvm.codec import decode_proof, encode_proof
from zkvm.errors import FormatError, VerificationError
from zkvm.field.goldilocks import P
from zkvm.params import Policy
from zkvm.proof import Proof
from zkvm.receipt import Receipt
from zkvm.verifier.shape import check_shape
from zkvm.verifier.verify import verify_proof

CHANGE_BYTES = 8
HEAD_BYTES = 512
SPECIAL = (0, 1, P - 1, P, P + 1, 2**64 - 1, 2**63, 2**32, 2**32 - 1, 2**31)
SLOW_SECONDS = 10.0
"""Processor time that no single check may take: honest ones take a tenth of a second."""


REPORT_SECONDS = 60.0
"""How often a long run says how far it is."""


class Finding(Exception):
    """The verifier accepted something false, or failed in a way that is no refusal."""


def changes(program: bytes) -> Iterator[tuple[int, int, int]]:
    """(operation, place, value) of each change."""
    for start in range(0, len(program) - CHANGE_BYTES + 1, CHANGE_BYTES):
        change = program[start : start + CHANGE_BYTES]
        yield change[0], int.from_bytes(change[1:5], "little"), int.from_bytes(change[5:], "little")


def changed_bytes(base: bytes, program: bytes) -> bytes:
    """The bytes after all changes: replaced, inserted, removed and repeated bytes, special numbers; half of them in the head."""
    data = bytearray(base)
    for operation, place, value in changes(program):
        length = min(len(data), HEAD_BYTES) if operation & 8 else len(data)
        at = place % (length + 1)
        match operation & 7:
            case 0:
                data[at : at + 1] = bytes([value & 255])
            case 1:
                data[at : at + 1] = bytes([data[at] ^ 1 << value % 8]) if at < len(data) else b""
            case 2:
                del data[at:]
            case 3:
                data[at:at] = value.to_bytes(3, "little")[: 1 + value % 3]
            case 4:
                del data[at : at + value % 64]
            case 5:
                data[at:at] = data[at : at + value % 64]
            case 6:
                data[at : at + 8] = SPECIAL[value % len(SPECIAL)].to_bytes(8, "little")
            case _:
                data[at : at + 4] = (SPECIAL[value % len(SPECIAL)] & 0xFFFF_FFFF).to_bytes(4, "little")
    return bytes(data)


@cache
def honest_bytes() -> tuple[bytes, bytes]:
    """A receipt without a seal, and a seal of the toy machine: everything that is decoded, at a size that decodes fast."""
    return dev_receipt().to_bytes(), encode_proof(toy_proof()[1])


def check_bytes(program: bytes) -> str:
    """Decode changed bytes, and check the shape of what decodes; returns how it ended.

    Raises:
        Finding: another error than a refusal, or bytes that decode to something with another encoding.
    """
    which = bool(program) and program[0] >= 224  # seals are a thousand times longer: one run in eight
    base = honest_bytes()[which]
    data = changed_bytes(base, program)
    try:
        if not which:
            receipt = Receipt.from_bytes(data)
            require(receipt.to_bytes() == data, "two encodings of one receipt", program)
            receipt.verify(dev_receipt().claim.image_id, policy=Policy(allow_dev=True))
            require(receipt.claim == dev_receipt().claim, "accepted with another claim", program)
            return "decoded"
        proof = decode_proof(TOY, data)
        require(encode_proof(proof) == data, "two encodings of one proof", program)
        check_shape(TOY, toy_proof()[0], proof)
        return "decoded"
    except FormatError:
        return "not decoded"
    except VerificationError as error:
        return error.reason.name
    except Finding:
        raise
    except Exception as error:
        raise Finding(f"{type(error).__name__}: {error} on bytes program {program.hex()}") from error


def require(condition: bool, message: str, program: bytes) -> None:
    """Raise a finding unless the condition holds."""
    if not condition:
        raise Finding(f"{message}: program {program.hex()}")


@dataclass(frozen=True)
class Slot:
    """A value of a proof, and how to put another in its place."""

    path: str
    value: Any
    put: Callable[[Any], Any]


def slots(value: Any, put: Callable[[Any], Any], path: str = "") -> Iterator[Slot]:
    """Every array, number, flag and root of a proof."""
    if is_dataclass(value):
        for field in fields(value):

            def put_field(new: Any, name: str = field.name) -> Any:
                return put(replace(value, **{name: new}))  # type: ignore[type-var]

            yield from slots(getattr(value, field.name), put_field, f"{path}.{field.name}".lstrip("."))
    elif isinstance(value, tuple) and value and not isinstance(value[0], int):
        for number, item in enumerate(value):

            def put_item(new: Any, number: int = number) -> Any:
                return put((*value[:number], new, *value[number + 1 :]))

            yield from slots(item, put_item, f"{path}[{number}]")
    else:
        yield Slot(path, value, put)


def changed_value(value: Any, operation: int, place: int, argument: int) -> Any:
    """Another value of the same type, mostly of the same shape."""
    if isinstance(value, np.ndarray):
        return changed_array(value, operation, place, argument)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return (value ^ 1 << place % 64) if operation & 1 else SPECIAL[argument % len(SPECIAL)]
    if isinstance(value, bytes):
        at = place % max(len(value), 1)
        return value[:at] + bytes([value[at] ^ 1 << argument % 8]) + value[at + 1 :]
    if isinstance(value, tuple):
        at = place % max(len(value), 1)
        return (*value[:at], argument % 32, *value[at + 1 :])
    return value


def changed_array(value: Any, operation: int, place: int, argument: int) -> Any:
    """Single elements moved, replaced or swapped; rows swapped, copied or cleared; one row fewer; an element that is not canonical."""
    if not value.size:
        return value
    result = value.copy()
    flat, at = result.reshape(-1), place % value.size
    other = (place // 7 + argument) % value.size
    row, other_row = place % len(value), argument % len(value)
    modulus = P if value.dtype == np.uint64 else 256
    match operation & 7:
        case 0:
            flat[at] = (int(flat[at]) + 1) % modulus
        case 1:
            flat[at] = SPECIAL[argument % 3] % modulus
        case 2:
            flat[at] = argument * (2**40 + 1) % modulus
        case 3:
            flat[[at, other]] = flat[[other, at]]
        case 4:
            result[[row, other_row]] = result[[other_row, row]]
        case 5:
            result[row] = result[other_row]
        case 6:
            flat[at] = (modulus - int(flat[at])) % modulus
        case _:
            if argument % 4:
                result[row] = 0
            elif argument % 8:
                return result[:-1]
            elif value.dtype == np.uint64:
                flat[at] = P
    return result


def changed_proof(proof: Proof, program: bytes) -> tuple[Proof, list[str]]:
    """The proof after all changes, and which values were changed."""
    paths = []
    for operation, place, argument in changes(program):
        found = list(slots(proof, lambda new: new))
        slot = found[(operation >> 3) * 31 % len(found) if operation & 128 else place % len(found)]
        proof = slot.put(changed_value(slot.value, operation, place // len(found), argument))
        paths.append(slot.path)
    return proof, paths


def same(first: Proof, second: Proof) -> bool:
    """Whether two proofs hold equal values."""
    return all(
        np.array_equal(left.value, right.value) if isinstance(left.value, np.ndarray) else left.value == right.value
        for left, right in zip(slots(first, lambda new: new), slots(second, lambda new: new), strict=True)
    )


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


def random_program(rng: random.Random) -> bytes:
    """One to four changes, mostly one."""
    return rng.randbytes(CHANGE_BYTES * rng.choice((1, 1, 1, 2, 3, 4)))


def fuzz(target: str, runs: int, seed: int, seconds: float = float("inf")) -> Counter[str]:
    """Random programs; how often each end was reached.

    Raises:
        Finding: see the checks.
    """
    rng = random.Random(seed)
    check = CHECKS[target]
    ends: Counter[str] = Counter()
    now = time.monotonic()
    stop, report = now + seconds, now + REPORT_SECONDS
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
    for end, count in sorted(ends.items(), key=lambda item: -item[1]):
        print(f"{count:>10}  {end}")
    print(f"{ends.total()} runs in {time.perf_counter() - started:.1f} s, no finding")
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
