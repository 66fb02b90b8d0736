"""The error tree: everything this package raises on purpose derives from :class:`ZkvmError`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple


class ZkvmError(Exception):
    """Base of every error of this package. All of them can be copied, pickled and sent between processes."""

    def __reduce__(self) -> tuple[Any, ...]:
        """How to make it again: without ``__init__``, whose arguments are not those that the message was made of."""
        return _blank, (type(self), self.args), self.__dict__ or None


def _blank(kind: type[ZkvmError], arguments: tuple[object, ...]) -> ZkvmError:
    """An error with its message and nothing else yet."""
    return kind.__new__(kind, *arguments)


class UsageError(ZkvmError):
    """The caller's arguments do not fit together, or an optional dependency is missing."""


class InputError(UsageError):
    """Data do not fit the inputs of a model: another shape, layout or type, or outside its domain; names the input and the place."""


class GuestError(ZkvmError):
    """The guest program cannot be loaded, run or proven."""


class InexactError(ZkvmError):
    """A compiled model's answers are not those of the float model, within what the caller accepts: says where, and what to change."""


class ElfError(GuestError):
    """The file is not an executable that this machine can prove: says what is wrong and where."""


class Frame(NamedTuple):
    """One function that the guest is in.

    Attributes:
        function: name and offset.
        pc: of the instruction that traps, or of the call.
        file: in which the source is; '' if unknown.
        line: in that file; 0 if unknown.
        inlined: the compiler put its code into the next frame's function.
    """

    function: str
    pc: int
    file: str
    line: int
    inlined: bool = False


class GuestTrap(GuestError):
    """The guest did something unprovable (illegal instruction, bad access): carries the place.

    Attributes:
        kind: short machine-readable name.
        pc: address of the instruction.
        cycle: instructions executed before it.
        frames: the calls that lead there, innermost first; empty if nobody looked.
    """

    frames: tuple[Frame, ...] = ()

    def __init__(self, kind: str, message: str, pc: int, cycle: int) -> None:
        super().__init__(message)
        self.kind = kind
        self.pc = pc
        self.cycle = cycle


class CheckpointError(ZkvmError):
    """What a run in segments goes on from is missing, damaged, or of another run: says which part."""


class WorkerError(ZkvmError):
    """A process or machine that works for this one died, cannot be reached, is of another version, or made what is no proof: says which."""


class Cancelled(ZkvmError):
    """The caller asked to stop: nothing was produced and nothing is left running."""


class LimitError(GuestError):
    """A limit set by the caller (cycles, memory) was reached: says which and what to change."""


class RunTooLong(LimitError):
    """A run does not fit one proof, or not here: it can be proven in segments."""


class ProvingError(ZkvmError):
    """The trace does not satisfy the machine, or the prover cannot go on: a bug or a resource limit, never a bad guest."""


class RejectReason(StrEnum):
    """Language-neutral reason why a verifier rejects a proof or receipt."""

    FORMAT = "FORMAT"
    """The bytes are not a well-formed receipt of this version."""
    POLICY = "POLICY"
    """Parameters, proven security, exit code or dev mode are not what the caller accepts."""
    IMAGE_ID = "IMAGE_ID"
    """The receipt is for another program."""
    CLAIM = "CLAIM"
    """Claim and receipt disagree (journal digest, image fields)."""
    MODEL = "MODEL"
    """The journal is not one of this compiled model: another interface, or other private weights."""
    SHAPE = "SHAPE"
    """Presence, heights, counts or lengths are impossible for this machine, image and parameters."""
    BUS = "BUS"
    """The buses do not balance, or a terminal or closing factor is zero."""
    OOD = "OOD"
    """Constraints do not hold at the out-of-domain point, or the point is inadmissible."""
    MERKLE = "MERKLE"
    """An opened row is not under its root."""
    FRI = "FRI"
    """The low-degree test fails."""
    GRINDING = "GRINDING"
    """The proof of work is missing."""


class VerificationError(ZkvmError):
    """A receipt is refused. ``reason`` is for programs, the message for people."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


class FormatError(VerificationError):
    """The bytes do not decode: raised before any arithmetic."""

    def __init__(self, detail: str) -> None:
        super().__init__(RejectReason.FORMAT, detail)
