"""Several proofs verified in lockstep: what is worked out for one alone with many short numpy calls is worked out for all with as many.

A verification is a generator that does a proof's checks in their order. Where it needs something that can be worked out for several proofs
at once it yields what, and is sent the result. So each proof is checked as if it were alone, and nothing of another one enters.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeAlias, TypeVar

from zkvm.errors import VerificationError
from zkvm.stark.field import extension
from zkvm.stark.field.extension import Ext
from zkvm.stark.field.goldilocks import FieldArray

T = TypeVar("T")
Work: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]
"""Works something out for several proofs: from an argument for each, a result for each."""
Checks: TypeAlias = Generator[tuple[Work, Any], Any, T]
"""The checks of a proof: yields work and its own argument, is sent its own result, returns a T or raises a :class:`VerificationError`."""


def in_lockstep(tasks: Sequence[Checks[T]]) -> list[T]:
    """What the checks of each proof return.

    Raises:
        VerificationError: of several proofs that are refused, that of the first in their order, whichever was refused first, and of that
            proof the error that it has alone: bytes that cannot be decoded are an error like others. What is no VerificationError leaves
            at once, whatever is said of the proofs before it, and so does every error of work, which is of no one proof: checks refuse
            what work would stumble over before they yield it.
    """
    results: dict[int, T] = {}
    waiting: dict[int, tuple[Work, Any]] = {}
    refused: VerificationError | None = None
    answers: dict[int, Any] = dict.fromkeys(range(len(tasks)))
    while answers:
        for number, answer in answers.items():
            try:
                waiting[number] = tasks[number].send(answer)
            except StopIteration as end:
                results[number] = end.value
            except VerificationError as error:  # those before it may still be refused, those behind it no longer matter
                refused = error
                break
        answers = dict(sorted(_worked_out(waiting).items()))
        waiting.clear()
    if refused is not None:
        raise refused
    return [results[number] for number in range(len(tasks))]


def _worked_out(waiting: dict[int, tuple[Work, Any]]) -> dict[int, Any]:
    """The result of each; the same work is done at once."""
    numbers: dict[Work, list[int]] = {}
    for number, (work, _) in waiting.items():
        numbers.setdefault(work, []).append(number)
    return {
        number: result
        for work, own in numbers.items()
        for number, result in zip(own, work([waiting[number][1] for number in own]), strict=True)
    }


def powers_for_all(wanted: Sequence[tuple[Ext, int]]) -> list[FieldArray]:
    """For each element and count the powers 0 to count - 1: (count, 3)."""
    most = max(count for _, count in wanted)
    table = extension.power_table([element for element, _ in wanted], most)
    return [powers[:count] for powers, (_, count) in zip(table, wanted, strict=True)]
