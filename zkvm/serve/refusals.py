"""Answers that say no: one shape for all of them, ``{"error": {"code", "message"}}``, and never a traceback."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from zkvm.errors import (
    Cancelled,
    ElfError,
    GuestTrap,
    InexactError,
    InputError,
    LimitError,
    UsageError,
    WorkerError,
    ZkvmError,
)

RETRY_SECONDS = 5
"""What a client that comes too early is told to wait."""
INTERNAL = "internal"


class Refusal(Exception):
    """A request that is not done.

    Attributes:
        status: of HTTP.
        code: for programs.
        message: for people.
        headers: of the answer.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """The answer."""
        return JSONResponse({"error": {"code": self.code, "message": self.message}}, self.status, self.headers)


def bad_request(message: str) -> Refusal:
    """Parameters or a body that mean nothing here."""
    return Refusal(400, "bad_request", message)


def busy(message: str) -> Refusal:
    """Too much is asked for at this moment."""
    return Refusal(503, "busy", message, {"Retry-After": str(RETRY_SECONDS)})


def described(error: BaseException) -> dict[str, str]:
    """What is said of a job that failed: of a bug only that there is one, as its text may show what is not the caller's."""
    match error:
        case Cancelled():
            code = "cancelled"
        case GuestTrap():
            code = "guest_trap"
        case LimitError():
            code = "limit"
        case WorkerError():
            code = "worker"
        case InexactError():
            code = "inexact"
        case InputError() | UsageError():
            code = "bad_input"
        case ElfError():
            code = "bad_image"
        case ZkvmError():
            code = "failed"
        case MemoryError():
            return {"code": "limit", "message": "out of memory"}
        case _:
            return {"code": INTERNAL, "message": "an error inside the service: its log says more"}
    return {"code": code, "message": str(error)}
