"""The configuration of nginx that the service's page shows, in front of the service: TLS, passwords, limits, events as they happen.

    python -m pytest -m slow tests/serve/test_proxy.py

It needs nginx and openssl, and is skipped without them.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.receipts import ECHO, TEXT, echo_receipt
from tests.serve.clients import SECONDS, images_in
from tests.serve.test_command import running
from tests.test_snippets import ROOT, snippets
from zkvm import api
from zkvm.verifier.receipt import Receipt

PAGE = (ROOT / "docs" / "serve.md").read_text()
NAME, USER, PASSWORD = "zkvm.example.org", "somebody", "a password"
TOOLS = ("nginx", "openssl")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {' and '.join(TOOLS)}"),
]
MIB = 1 << 20
AROUND = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {zone}
    {server}
}}
"""
"""What surrounds the page's block: places that need no rights, and the line that its comment names."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def openssl(*arguments: str | Path) -> str:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=True).stdout


def configuration(folder: Path, port: int, service: str) -> str:
    """The page's block with the places of this test, each of which must be there once."""
    (block,) = (snippet.code for snippet in snippets(PAGE) if snippet.language == "nginx")
    (zone,) = re.findall(r"# (limit_req_zone .*;)", block)
    for old, new in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/ssl/zkvm.pem", str(folder / "zkvm.pem")),
        ("/etc/ssl/zkvm.key", str(folder / "zkvm.key")),
        ("/etc/nginx/zkvm.passwords", str(folder / "zkvm.passwords")),
        ("http://127.0.0.1:8000", service),
    ):
        assert block.count(old) == 1, old
        block = block.replace(old, new)
    return AROUND.format(folder=folder, user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "", zone=zone, server=block)


@contextmanager
def proxy(folder: Path, service: str) -> Iterator[str]:
    """nginx with the page's configuration; its address."""
    names = ("-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", *names, "-keyout", folder / "zkvm.key", "-out", folder / "zkvm.pem")
    (folder / "zkvm.passwords").write_text(f"{USER}:{openssl('passwd', '-apr1', PASSWORD)}")
    port = free_port()
    (folder / "nginx.conf").write_text(configuration(folder, port, service))
    with (folder / "nginx.log").open("w") as log:
        process = subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf"], stderr=log)
    try:
        until_listening(process, port, folder / "nginx.log")
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)


def until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(500):
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Clients of the proxy and of the service behind it."""
    folder = tmp_path_factory.mktemp("proxy")
    options = ("--images", images_in(folder), "--state", folder / "state", "--allow-host", NAME)
    with running(folder / "log", *options) as (_, said, direct), proxy(folder, said["url"]) as url:
        trusted = ssl.create_default_context(cafile=str(folder / "zkvm.pem"))
        headers, auth = {"host": NAME}, (USER, PASSWORD)
        with httpx.Client(base_url=url, headers=headers, auth=auth, verify=trusted, timeout=SECONDS, trust_env=False) as client:
            yield client, direct


@pytest.fixture
def client(both: tuple[httpx.Client, httpx.Client]) -> httpx.Client:
    time.sleep(2.5)  # the rate of the test before is forgotten: 20 above it, 10 a second
    return both[0]


def test_who_may_ask_and_for_what(client: httpx.Client) -> None:
    for auth in (("", ""), (USER, "another")):
        assert client.get("/v1/images", auth=auth).status_code == 401
    answer = client.get("/v1/images")
    assert [image["name"] for image in answer.json()["images"]] == ["echo"]
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    for path in ("/health", "/metrics", "/openapi.json"):
        assert client.get(path).status_code == 404


def test_receipts_and_their_size(client: httpx.Client) -> None:
    data = echo_receipt().to_bytes()
    assert client.post("/v1/verify?image=echo", content=data).json()["accepted"] is True
    changed = data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]
    assert client.post("/v1/verify?image=echo", content=changed).json()["reason"] == "MERKLE"
    whole = client.post("/v1/verify?image=echo", content=bytes(16 * MIB))
    assert (whole.status_code, whole.json()["reason"]) == (200, "FORMAT")
    longer = client.post("/v1/verify?image=echo", content=bytes(16 * MIB + 1))
    assert longer.status_code == 413
    assert "nginx" in longer.text


def test_a_proof_and_its_events_as_they_happen(client: httpx.Client) -> None:
    job = client.post("/v1/proofs?image=echo&params=fast&security=100", content=TEXT)
    assert (job.status_code, job.headers["location"].startswith("/v1/proofs/")) == (202, True)
    place, shares, first_state = job.headers["location"], [], ""
    with client.stream("GET", f"{place}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data: "):
                view = json.loads(line.removeprefix("data: "))
                # What is asked for when the first event has come was not over when it came, unless events were kept back.
                first_state = first_state or client.get(place).json()["state"]
                shares.append(view["share"])
    assert first_state in ("waiting", "running")
    assert len(set(shares)) > 2
    assert shares == sorted(shares)
    receipt = Receipt.from_bytes(client.get(f"{place}/receipt").content)
    receipt.verify(api.compute_image_id(ECHO))
    assert receipt.journal == TEXT
    assert client.delete(place).status_code == 200


def test_a_client_that_asks_too_often(client: httpx.Client) -> None:
    statuses = [client.get("/v1/images").status_code for _ in range(60)]
    assert set(statuses[:20]) == {200}
    assert {200, 503} == set(statuses)


def test_another_name_is_refused_by_the_service(both: tuple[httpx.Client, httpx.Client]) -> None:
    assert both[1].get("/v1/images", headers={"host": NAME}).status_code == 200
    assert both[1].get("/v1/images", headers={"host": "other.example"}).status_code == 403
