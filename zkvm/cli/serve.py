"""``zkvm serve``."""

from __future__ import annotations

import ipaddress
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zkvm.cli.options import JsonOption
from zkvm.cli.output import emit, line
from zkvm.cli.start import load_committer
from zkvm.errors import UsageError
from zkvm.session.memory import GIB, available_bytes
from zkvm.session.resources import thread_count

if TYPE_CHECKING:
    from zkvm.serve.images import Images

SHARE = 0.9
"""Part of the free memory that the processes may take together, if nothing else is said."""


def serve(
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="programs that it proves: ELF files and compiled models; without it, it verifies"),
    ] = None,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="where it listens")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0: any that is free")] = 8000,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="DIR", help="jobs and receipts, kept; without it, they end with the service")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="proofs at a time")] = 1,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", metavar="N", min=1, help="verifications at a time (default: cores)", show_default=False)
    ] = None,
    max_queue: Annotated[int, typer.Option("--max-queue", metavar="N", min=1, help="proofs that may wait, and so many uploads")] = 100,
    max_upload: Annotated[int, typer.Option("--max-upload", metavar="MIB", min=1, help="a receipt or an input")] = 16,
    max_memory: Annotated[
        float | None,
        typer.Option("--max-memory", metavar="GIB", help="of one process (default: shares of what is free)", show_default=False),
    ] = None,
    max_seconds: Annotated[float, typer.Option("--max-seconds", metavar="N", min=1, help="that one proof may take")] = 3600,
    max_kept: Annotated[int, typer.Option("--max-kept", metavar="N", min=1, help="ended jobs that are kept")] = 100,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", metavar="NAME", help="what requests may call it, beside this machine's own names")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Answer requests over HTTP: verify receipts, prove runs of known programs."""
    from zkvm.serve.settings import LOOPBACK, MIB, Settings

    with _serve_extra():
        from zkvm.serve.endpoints import Service
        from zkvm.serve.server import listening
        from zkvm.serve.server import serve as run
    if max_memory is not None and not max_memory > 0:
        raise UsageError(f"--max-memory {max_memory}: a positive number of GiB is needed")
    if images is not None:
        load_committer()
    cores, local = thread_count(None), _is_loopback(host)
    names = tuple(name.lower() for name in allow_host or ())
    share = int(SHARE * available_bytes() / (jobs if images is not None else 1))
    with ExitStack() as stack:
        folder = state or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zkvm-serve-")))
        settings = Settings(
            state=folder,
            images=images,
            jobs=jobs,
            concurrency=concurrency or cores,
            max_queue=max_queue,
            max_upload=max_upload * MIB,
            max_memory=share if max_memory is None else int(min(max_memory, 1 << 20) * GIB),
            max_seconds=max_seconds,
            max_kept=max_kept,
            hosts=(*LOOPBACK, host.lower(), *names) if local or names else (),
        )
        sock = stack.enter_context(listening(host, port))
        service = Service(settings)
        if not local:
            _warn(host)
        run(service, sock, partial(_announce, sock, service.images, folder, state is not None, as_json))


@contextmanager
def _serve_extra() -> Iterator[None]:
    """Says what to install if the extra ``serve`` is missing."""
    from zkvm.serve.settings import MISSING

    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "prometheus_client"):
            raise
        raise UsageError(MISSING) from error


def _warn(host: str) -> None:
    warning = f"{host} is not this machine alone, and the service asks nobody who they are, without encryption"
    print(f"zkvm: warning: {warning}: put it behind a proxy (docs/serve.md)", file=sys.stderr)


def _announce(sock: socket.socket, images: Images, state: Path, is_kept: bool, as_json: bool) -> None:
    """Say where the service listens, what it knows and where its state is."""
    address, number = sock.getsockname()[:2]
    known = [image.view() for image in images.all]
    url = f"http://[{address}]:{number}" if ":" in address else f"http://{address}:{number}"
    if as_json:
        emit({"url": url, "images": known, "state": str(state)})
    else:
        line("service", url)
        line("state", state if is_kept else "not kept (--state DIR keeps it)")
        for image in known:
            line(image["kind"], f"{image['name']} {image['image_id']}")
    sys.stdout.flush()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
