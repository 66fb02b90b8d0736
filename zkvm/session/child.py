"""A process that works for another one: it takes calls from standard input, one at a time, and answers on standard output.

``python -m zkvm.session.child`` is started by :mod:`zkvm.session.queue` and of no use by itself. It ends when its standard input does,
whatever it is doing: no child outlives its parent.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import IO

from zkvm.session.resources import peak_memory_bytes

LENGTH_BYTES = 8
PROGRESS, DONE, FAILED = "progress", "done", "failed"
"""Kinds of answers: (phase, share); (value, seconds, processor seconds, peak of the process in bytes); (the exception,)."""


def send(stream: IO[bytes], message: bytes) -> None:
    """Write a message.

    Raises:
        OSError: nobody reads.
    """
    stream.write(len(message).to_bytes(LENGTH_BYTES, "little") + message)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """The next message; None at the end, also in the middle of one."""
    head = stream.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "little")
    message = stream.read(length)
    return message if len(message) == length else None


def main() -> None:
    """Answer calls until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal: the parent says what comes of it
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a function prints is no answer
    calls: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, calls), daemon=True).start()
    while True:
        _answer(calls.get(), answers)


def _listen(stream: IO[bytes], calls: SimpleQueue[bytes]) -> None:
    while (message := receive(stream)) is not None:
        calls.put(message)
    os._exit(0)


def _answer(call: bytes, answers: IO[bytes]) -> None:
    def progress(phase: str, share: float) -> None:
        send(answers, pickle.dumps((PROGRESS, phase, share)))

    started, used = time.perf_counter(), time.process_time()
    try:
        function, arguments = pickle.loads(call)
        value = function(*arguments, progress)
        answer = pickle.dumps((DONE, value, time.perf_counter() - started, time.process_time() - used, peak_memory_bytes()))
    except BaseException as error:  # the parent raises it again
        answer = _failure(error)
    send(answers, answer)


def _failure(error: BaseException) -> bytes:
    """The answer that carries an exception, if it can be sent, else its text."""
    dumps: list[Callable[[], BaseException]] = [lambda: error, lambda: RuntimeError(f"{type(error).__name__}: {error}")]
    for exception in dumps:
        try:
            answer = pickle.dumps((FAILED, exception()))
            pickle.loads(answer)
        except Exception:
            continue
        return answer
    return pickle.dumps((FAILED, RuntimeError("an error that cannot be sent")))


if __name__ == "__main__":
    main()
