"""Runs the service: an ASGI server, what it says at its begin, and its end."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Callable

import uvicorn

from zkvm.errors import UsageError
from zkvm.serve.app import application
from zkvm.serve.endpoints import Service

END_SECONDS = 10
"""What requests in hand have to be answered, at the end."""
BACKLOG = 2048
"""Connections that the system keeps until they are taken."""


class _Server(uvicorn.Server):
    """A server that tells its service when it begins to end."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections, streams of events among them."""
        self._service.stop()
        await super().shutdown(sockets)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: name or address.
        port: 0: any that is free.

    Raises:
        UsageError: it cannot.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(BACKLOG)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    return found


def serve(service: Service, sock: socket.socket, begun: Callable[[], object]) -> None:
    """Answer requests until a signal ends the process: what is in hand is answered first.

    Args:
        service: to be run; it is closed afterwards.
        sock: listens.
        begun: called when it is about to answer.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("zkvm.serve")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    config = uvicorn.Config(
        application(service), log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=END_SECONDS, lifespan="on",
        proxy_headers=False,
    )  # fmt: skip
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)  # the server raises them again when everything is closed
    begun()
    _Server(config, service).run([sock])


def _end(number: int, frame: object) -> None:
    """A signal is how a service ends: no failure, and what was made for it is cleaned up."""
    raise SystemExit(0)
