"""A service in this process, and clients for it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from tests.receipts import ECHO
from zkvm.serve.app import application
from zkvm.serve.endpoints import Service
from zkvm.serve.settings import Settings

SECONDS = 120.0
"""Nothing here takes as long, unless it hangs."""
OVER = ("done", "failed", "cancelled")


def images_in(folder: Path) -> Path:
    """A folder with one program, ``echo``."""
    images = folder / "images"
    images.mkdir(exist_ok=True)
    shutil.copy(ECHO, images / "echo.elf")
    return images


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[tuple[TestClient, Service]]:
    """A client of a service whose state is in the folder."""
    service = Service(Settings(**{"state": folder / "state", "images": images_in(folder)} | options))
    with TestClient(application(service), raise_server_exceptions=True) as client:
        yield client, service


def finished(client: TestClient, job: str) -> dict[str, Any]:
    """The view of a job that has ended."""
    deadline = time.monotonic() + SECONDS
    while (view := client.get(f"/v1/proofs/{job}").json())["state"] not in OVER:
        assert time.monotonic() < deadline, view
        time.sleep(0.05)
    return dict(view)


def code(response: Any) -> tuple[int, str]:
    """Status and code of an answer that says no; its shape is looked at, too."""
    view = response.json()
    assert set(view) == {"error"}
    assert set(view["error"]) == {"code", "message"}
    assert "Traceback" not in response.text
    return response.status_code, view["error"]["code"]
