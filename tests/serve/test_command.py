"""The command ``zkvm serve``: what it prints, where it listens, how it ends, and jobs that survive a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.cli.running import guest, invoke
from tests.receipts import TEXT, dev_receipt
from tests.serve.clients import SECONDS, images_in

ENDLESS = guest(["loop", ("j", "loop")])


@contextmanager
def running(log: Path, *arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any], httpx.Client]]:
    """A service in a process of its own that writes its log into a file, what it said at its begin, and a client."""
    command = [sys.executable, "-m", "zkvm", "serve", "--port", "0", "--json", *map(str, arguments)]
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        with httpx.Client(base_url=said["url"], timeout=SECONDS, trust_env=False) as client:
            yield process, said, client
    finally:
        process.kill()
        process.wait()


def until_running(client: httpx.Client, job: str) -> None:
    deadline = time.monotonic() + SECONDS
    while client.get(f"/v1/proofs/{job}").json()["state"] != "running":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_job_survives_a_kill_and_streams_end_with_the_service(tmp_path: Path) -> None:
    images = images_in(tmp_path)
    (images / "endless.elf").write_bytes(ENDLESS)
    options = ("--images", images, "--state", tmp_path / "state")
    with running(tmp_path / "log", *options) as (process, said, client):
        assert [image["name"] for image in said["images"]] == ["echo", "endless"]
        assert client.post("/v1/verify?image=echo&allow_dev=true", content=dev_receipt().to_bytes()).json()["accepted"] is True
        endless = client.post("/v1/proofs?image=endless&dev=true&max_cycles=4294967295", content=b"").json()["id"]
        waiting = client.post("/v1/proofs?image=echo&dev=true", content=TEXT).json()["id"]
        until_running(client, endless)
        process.kill()
    with running(tmp_path / "log", *options) as (process, _, client):
        until_running(client, endless)
        assert client.get(f"/v1/proofs/{waiting}").json()["state"] == "waiting"
        with client.stream("GET", f"/v1/proofs/{endless}/events") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: progress"
            process.send_signal(signal.SIGTERM)
            assert not any("event: end" in line for line in lines)
        process.wait(timeout=SECONDS)
        log = (tmp_path / "log").read_text()
        assert "Traceback" not in log
        assert "POST" not in log
        assert "GET /v1/proofs/{job} 200 " in log
        assert endless not in log
    with running(tmp_path / "log", *options) as (_, _, client):
        assert client.delete(f"/v1/proofs/{endless}").json()["state"] == "cancelled"
        with client.stream("GET", f"/v1/proofs/{waiting}/events") as stream:
            *_, last = (json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line.startswith("data: "))
        assert bytes.fromhex(last["journal"]) == TEXT


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_hosts_that_are_not_this_machine_bring_a_warning(ending: signal.Signals, tmp_path: Path) -> None:
    with running(tmp_path / "log", "--host", "0.0.0.0") as (process, said, client):
        port = said["url"].rpartition(":")[2]
        assert client.get(f"http://127.0.0.1:{port}/health", headers={"host": "public.example"}).status_code == 200
        state = Path(said["state"])
        assert state.is_dir()
        process.send_signal(ending)
        process.wait(timeout=SECONDS)
        log = (tmp_path / "log").read_text()
        assert process.returncode == 0
        assert "warning: 0.0.0.0 is not this machine alone" in log
        assert not state.exists()


def test_only_its_own_names_are_answered_to(tmp_path: Path) -> None:
    with running(tmp_path / "log", "--allow-host", "public.example") as (_, _, client):
        assert client.get("/health", headers={"host": "public.example"}).status_code == 200
        assert client.get("/health", headers={"host": "other.example"}).status_code == 403


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--images", "/nowhere"), "/nowhere: No such file or directory"),
        (("--host", "192.0.2.1"), "cannot listen on 192.0.2.1, port 8000"),
        (("--state", "/dev/null"), "/dev/null"),
        (("--max-memory", "nan"), "--max-memory nan: a positive number"),
    ],
)
def test_what_cannot_be_served_is_refused(arguments: tuple[str, ...], said: str) -> None:
    outcome = invoke("serve", "--port", "0" if "--host" not in arguments else "8000", *arguments)
    assert outcome.code == 2
    assert said in outcome.err
