"""The service as an ASGI application: routes, and what happens around every request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zkvm.serve.endpoints import Service
from zkvm.serve.refusals import INTERNAL, Refusal

LOG = logging.getLogger("zkvm.serve")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
TRACEBACK_VARIABLE = "ZKVM_TRACEBACK"
"""Set to log the Python traceback of an internal error."""
CODES = {404: "not_found", 405: "method_not_allowed"}
NO_ROUTE = "none"
"""The route of a request for what is not there, in logs and metrics: what is asked for could be anything."""
LINGER_SECONDS = 5.0
"""What a client that is refused has to send the rest."""
CLIENT_GONE = 499
"""What is logged for a client that went away before its answer."""


def application(service: Service) -> Starlette:
    """The application around a service, which it closes at its end."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            service.close()

    app = Starlette(
        routes=[Route(own.path, own.endpoint, methods=[own.method]) for own in service.operations()],
        lifespan=lifespan,
        middleware=[Middleware(Around, service=service)],
        exception_handlers={HTTPException: _no_route},
    )
    app.router.redirect_slashes = False
    return app


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{error.detail}: GET /openapi.json describes what there is"
    raise Refusal(error.status_code, CODES.get(error.status_code, "bad_request"), message, error.headers)


class Upload:
    """The body of a request, of which a refusal has perhaps not read everything."""

    def __init__(self, receive: Receive, headers: Headers) -> None:
        """Nothing is read yet.

        Args:
            receive: gives the parts.
            headers: of the request.
        """
        self._receive = receive
        length = headers.get("content-length", "")
        self._announced = int(length) if length.isdecimal() and len(length) < 19 else None
        asks = headers.get("expect", "").lower() == "100-continue"
        self._left = bool(self._announced or "transfer-encoding" in headers) and not asks

    async def receive(self) -> Message:
        """The next part."""
        message = await self._receive()
        self._left = self._left and message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def drain(self, limit: int) -> None:
        """Read what is left and forget it: a client that is still sending would be cut off before it sees why it is refused.

        Args:
            limit: about twice as many bytes are read at most; what announces more is cut off.
        """
        if self._announced is not None and self._announced > 2 * limit:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while self._left and limit > 0:
                    limit -= len((await self.receive()).get("body", b""))


class Around:
    """Around every request: who may ask, an ID, a line of the log, counters, and an answer whatever goes wrong."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        """Around an application.

        Args:
            app: answers.
            service: whose application it is.
        """
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, headers = time.perf_counter(), Headers(scope=scope)
        given = headers.get("x-request-id", "")
        name = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update({"X-Request-ID": name, "X-Content-Type-Options": "nosniff"})
            await send(message)

        upload = Upload(receive, headers)
        try:
            self._check(headers)
            await self._app(scope, upload.receive, answer)
        except Refusal as refusal:
            await upload.drain(self._service.settings.max_upload)
            await refusal.response()(scope, receive, answer)
        except ClientDisconnect:
            status = CLIENT_GONE
        except Exception as error:
            LOG.error("internal error: %s: %s (request %s)", type(error).__name__, error, name)
            if os.environ.get(TRACEBACK_VARIABLE):
                traceback.print_exception(error)
            if not status:
                await Refusal(500, INTERNAL, f"an error inside the service: its log says more, request {name}").response()(
                    scope, receive, answer
                )
        finally:
            self._count(scope, status or CLIENT_GONE, time.perf_counter() - started, name)

    def _check(self, headers: Headers) -> None:
        """Refuse what a browser sends on behalf of a page from elsewhere: this service asks nobody for a password."""
        host, hosts = headers.get("host", ""), self._service.settings.hosts
        if hosts and _without_port(host) not in hosts:
            raise Refusal(403, "forbidden", "the header Host names another service: zkvm serve --allow-host adds a name")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise Refusal(403, "forbidden", "a page of another site may not use this service")

    def _count(self, scope: Scope, status: int, seconds: float, name: str) -> None:
        route = _route(scope, self._service)
        method = scope["method"] if route != NO_ROUTE else "any"
        self._service.metrics.requests.labels(method, route, str(status)).inc()
        self._service.metrics.seconds.labels(route).observe(seconds)
        LOG.info("%s %s %d %.0f ms (request %s)", method, route, status, 1000 * seconds, name)


def _route(scope: Scope, service: Service) -> str:
    """The path of a request as the routes have it: without a job's ID, which is for its owner."""
    path = re.sub(r"^/v1/proofs/[^/]+", "/v1/proofs/{job}", scope["path"])
    known = {(own.method, own.path) for own in service.operations()}
    return path if (scope["method"], path) in known else NO_ROUTE


def _without_port(host: str) -> str:
    return re.sub(r":\d+$", "", host).lower()
