"""What a guest in Python calls, as CPython runs it: private input, public journal, messages, panics.

The same functions in a guest are translated; here they work on the run that :func:`run` began.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, NoReturn

import numpy as np

from zkvm.errors import UsageError

INT_BYTES = 4


class Panic(Exception):
    """The guest gave up: the message of :func:`panic`."""


@dataclass(frozen=True)
class Run:
    """What a function did under CPython.

    Attributes:
        journal: what it committed.
        exit_code: what it returned, 0 for None; 1 if it raised an error.
        stdout: what it logged.
        error: the error's name and message; '' without one.
    """

    journal: bytes
    exit_code: int
    stdout: str
    error: str = ""


@dataclass
class _State:
    stdin: bytes
    at: int = 0
    journal: bytearray = field(default_factory=bytearray)
    logged: list[str] = field(default_factory=list)
    cuts: tuple[int, int] = (0, 0)


_state: ContextVar[_State] = ContextVar("zkvm_guest_run")


def run(function: Callable[[], int | None], stdin: bytes = b"") -> Run:
    """Run a guest's function under CPython, without the machine: for tests and debuggers.

    Args:
        function: without parameters, ``main`` of a guest.
        stdin: the private input.
    """
    state = _State(bytes(stdin))
    token = _state.set(state)
    code, error = 1, ""
    try:
        with np.errstate(all="ignore"):
            code = int(function() or 0)
    except Exception as caught:
        text = str(caught)
        error = text if isinstance(caught, Panic) else f"{type(caught).__name__}: {text}" if text else type(caught).__name__
    finally:
        _state.reset(token)
    return Run(bytes(state.journal), code, "".join(state.logged), error)


def _running() -> _State:
    try:
        return _state.get()
    except LookupError:
        raise UsageError("outside of a run: call zkvm.guest.run(main, stdin), or build a guest with zkvm build") from None


def note_cuts(above: int, below: int) -> None:
    """Keep how many elements a layer cut, for :func:`last_cuts`; outside of a run nobody asks."""
    state = _state.get(None)
    if state is not None:
        state.cuts = (above, below)


def last_cuts() -> tuple[int, int]:
    """What :func:`note_cuts` kept in this run."""
    return _running().cuts


def read(dtype: Any, shape: int | tuple[int, ...] | None = None) -> Any:
    """Read a number or an array from the private input, little-endian; panics if it ends before.

    Args:
        dtype: numpy's type of the number or of the elements: integers and floats.
        shape: of the array, in row-major order; None: one number.
    """
    kind = np.dtype(dtype)
    count = 1 if shape is None else int(np.prod(shape, dtype=np.int64))
    state = _running()
    data = state.stdin[state.at : state.at + count * kind.itemsize]
    if len(data) < count * kind.itemsize:
        raise Panic("the input ended early")
    state.at += len(data)
    values = np.frombuffer(data, kind.newbyteorder("<")).astype(kind)
    return values[0] if shape is None else values.reshape(shape)


def read_available(count: int) -> Any:
    """Up to ``count`` bytes of the private input, as many as it has, in an array of ``np.uint8``."""
    state = _running()
    data = state.stdin[state.at : state.at + count]
    state.at += len(data)
    return np.frombuffer(data, np.uint8).copy()


def commit(value: Any) -> None:
    """Append a value to the public journal, little-endian: a number in its width (an int in 4 bytes, a float in 8, a truth value in 1), an
    array's elements in row-major order, a tuple or record member by member.
    """
    _running().journal.extend(_encoded(value))


def _encoded(value: Any) -> bytes:
    if isinstance(value, tuple):
        return b"".join(map(_encoded, value))
    if is_dataclass(value) and not isinstance(value, type):
        return b"".join(_encoded(getattr(value, member.name)) for member in fields(value))
    if isinstance(value, bool):
        return bytes([value])
    if isinstance(value, int):
        return value.to_bytes(INT_BYTES, "little", signed=True)
    array = np.asarray(value)
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def log(*values: Any) -> None:
    """Show texts, integers and truth values on the host's standard output, with spaces between and a newline: for people, not proven."""
    shown = " ".join(str(int(value)) if isinstance(value, np.integer) else str(value) for value in values)
    _running().logged.append(shown + "\n")


def panic(message: str) -> NoReturn:
    """Show a constant text on the host's standard error and end the run with exit code 1."""
    _running()
    raise Panic(message)


def cycles() -> int:
    """How many instructions the guest has executed, proven; under CPython 0."""
    return 0
