"""Reads what is sent: never more than is allowed, never longer than is allowed, and of only so many requests at a time."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from zkvm.serve.refusals import Refusal, bad_request, busy


class Gate:
    """Lets so many in at a time; others wait, a bounded number of them. A waiting request's body is not read yet."""

    def __init__(self, slots: int, waiting: int, seconds: float) -> None:
        """All slots are free.

        Args:
            slots: requests inside at a time.
            waiting: requests that may wait.
            seconds: that one waits at most.
        """
        self.inside = self.waiting = 0
        self._limit, self._seconds = waiting, seconds
        self._free = asyncio.Semaphore(slots)

    async def __aenter__(self) -> None:
        """Wait for a slot.

        Raises:
            Refusal: too many wait, or it took too long.
        """
        if self._free.locked() and self.waiting >= self._limit:
            raise busy(f"{self.waiting} requests wait already: try again later")
        self.waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            raise busy(f"no free place within {self._seconds:g} s: try again later") from None
        finally:
            self.waiting -= 1
        self.inside += 1

    async def __aexit__(self, *exception: object) -> None:
        """Give the slot back."""
        self.inside -= 1
        self._free.release()


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The body of a request.

    Args:
        request: whose body was not read.
        limit: most bytes.
        seconds: that it may take to arrive.

    Raises:
        Refusal: it is longer, slower, empty or packed.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Refusal(415, "unsupported", f"content encoding {encoding!r}: send the bytes as they are")
    announced = request.headers.get("content-length", "")
    too_large = Refusal(413, "too_large", f"more than {limit} bytes: this service takes no larger uploads", {"Connection": "close"})
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > limit):
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                if len(body) + len(chunk) > limit:
                    raise too_large
                body += chunk
    except TimeoutError:
        raise Refusal(408, "timeout", f"the upload took more than {seconds:g} s", {"Connection": "close"}) from None
    return bytes(body)


class Query:
    """The parameters of a request: each is known, and given once."""

    def __init__(self, request: Request, known: tuple[str, ...]) -> None:
        """Look at all of them.

        Raises:
            Refusal: one is unknown or given twice: a demand that is misspelt must not become none.
        """
        pairs = request.query_params.multi_items()
        self._given = dict(pairs)
        for name, _ in pairs:
            if name not in known:
                raise bad_request(f"unknown parameter {name!r}: there are {', '.join(known) or 'none'}")
        if len(pairs) > len(self._given):
            raise bad_request("a parameter is given twice")

    def text(self, name: str, default: str | None = None) -> str:
        """A parameter as it is.

        Raises:
            Refusal: it is missing, and has no default.
        """
        value = self._given.get(name, default)
        if value is None:
            raise bad_request(f"parameter {name!r} is missing")
        return value

    def optional(self, name: str) -> str | None:
        """A parameter as it is; None: it is not given."""
        return self._given.get(name)

    def number(self, name: str, default: int, most: int = (1 << 32) - 1) -> int:
        """A number from 0 to ``most``.

        Raises:
            Refusal: it is none.
        """
        text = self._given.get(name, str(default))
        if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= most):
            raise bad_request(f"{name} = {text!r}: a whole number from 0 to {most} is needed")
        return int(text)

    def switch(self, name: str, default: bool) -> bool:
        """True or false.

        Raises:
            Refusal: it is neither.
        """
        text = self._given.get(name, str(default).lower())
        if text not in ("true", "false"):
            raise bad_request(f"{name} = {text!r}: true or false is needed")
        return text == "true"
