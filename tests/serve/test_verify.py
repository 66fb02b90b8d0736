"""Verification over HTTP: right answers, and a clear refusal of everything else; limits of size, time and number."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from tests.receipts import ECHO, TEXT, dev_receipt, echo_receipt
from tests.serve.clients import code, serving
from zkvm import api
from zkvm.errors import UsageError
from zkvm.serve.bodies import Gate, read_body
from zkvm.serve.endpoints import Service
from zkvm.serve.refusals import Refusal
from zkvm.serve.settings import LOOPBACK, Settings
from zkvm.session import queue
from zkvm.verifier.receipt import verdict

LIMIT = 2 << 20
IMAGE_ID = api.compute_image_id(ECHO)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Service]]:
    with serving(tmp_path_factory.mktemp("serve"), max_upload=LIMIT) as both:
        yield both


@pytest.fixture
def client(service: tuple[TestClient, Service]) -> TestClient:
    return service[0]


def tampered(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_a_receipt_is_accepted_and_shown(client: TestClient) -> None:
    data = echo_receipt().to_bytes()
    for query in (f"image_id={IMAGE_ID}", f"image_id=0x{IMAGE_ID.upper()}", "image=echo", f"image=0x{IMAGE_ID}"):
        response = client.post(f"/v1/verify?{query}", content=data)
        assert response.status_code == 200
        assert response.json() == verdict(data, IMAGE_ID)
    assert bytes.fromhex(response.json()["journal"]) == TEXT


@pytest.mark.parametrize("place", [0, 20, 100, 300, 5000, -1])
def test_a_tampered_receipt_is_rejected_with_the_verifiers_reason(client: TestClient, place: int) -> None:
    data = tampered(echo_receipt().to_bytes(), place % len(echo_receipt().to_bytes()))
    answer = client.post(f"/v1/verify?image_id={IMAGE_ID}", content=data)
    assert answer.status_code == 200
    assert answer.json() == verdict(data, IMAGE_ID)
    assert answer.json()["accepted"] is False


@pytest.mark.parametrize("data", [b"", b"garbage", bytes(1000)])
def test_garbage_is_no_receipt(client: TestClient, data: bytes) -> None:
    answer = client.post(f"/v1/verify?image_id={IMAGE_ID}", content=data).json()
    assert (answer["accepted"], answer["reason"]) == (False, "FORMAT")


def test_the_policy_is_the_callers(client: TestClient) -> None:
    def reason(receipt: Any, query: str) -> str:
        return str(client.post(f"/v1/verify?image=echo&{query}", content=receipt.to_bytes()).json().get("reason", "accepted"))

    assert reason(dev_receipt(), "allow_dev=false") == "POLICY"
    assert reason(dev_receipt(), "allow_dev=true") == "accepted"
    assert reason(echo_receipt(), "min_security=100&regime=best") == "accepted"
    assert reason(echo_receipt(), "min_security=120") == "POLICY"
    assert reason(echo_receipt(), "regime=unique") == "POLICY"
    assert reason(echo_receipt(), "exit_code=1") == "POLICY"
    assert client.post(f"/v1/verify?image_id={'00' * 32}", content=echo_receipt().to_bytes()).json()["reason"] == "IMAGE_ID"


@pytest.mark.parametrize(
    "query",
    [
        "", "image_id=12", "image_id=" + "g" * 64, f"image=echo&image_id={'0' * 64}", "image=echo&regime=weak",
        "image=echo&min_security=-1",
        "image=echo&min_security=1e2", "image=echo&min_security=99999999999999999999", "image=echo&min_security=", "image=echo&exit_code=x",
        "image=echo&allow_dev=yes", "image=echo&min_securty=128", "image=echo&exit_code=0&exit_code=1", "image=echo&max_segments=²",
    ],
)  # fmt: skip
def test_demands_that_mean_nothing_are_refused(client: TestClient, query: str) -> None:
    assert code(client.post(f"/v1/verify?{query}", content=b"x")) == (400, "bad_request")


def test_requests_for_what_is_not_there(client: TestClient) -> None:
    assert code(client.post("/v1/verify?image=other", content=b"")) == (400, "unknown_image")
    assert code(client.get("/v2")) == (404, "not_found")
    assert code(client.get("/v1/images/")) == (404, "not_found")
    refused = client.get("/v1/verify")
    assert code(refused) == (405, "method_not_allowed")
    assert refused.headers["allow"] == "POST"


def test_uploads_are_bounded_whether_they_say_their_length_or_not(client: TestClient) -> None:
    taken: list[int] = []

    def endless() -> Iterator[bytes]:
        while sum(taken) < 100 * LIMIT:
            taken.append(1 << 16)
            yield bytes(1 << 16)

    assert code(client.post("/v1/verify?image=echo", content=bytes(LIMIT + 1))) == (413, "too_large")
    assert code(client.post("/v1/verify?image=echo", content=endless())) == (413, "too_large")
    assert code(client.post("/v1/verify?image=echo", content=b"x", headers={"content-length": "9" * 400})) == (413, "too_large")
    assert client.post("/v1/verify?image=echo", content=bytes(LIMIT)).status_code == 200
    assert code(client.post("/v1/verify?image=echo", content=b"x", headers={"content-encoding": "gzip"})) == (415, "unsupported")


def test_an_upload_is_stopped_at_the_limit_and_after_its_time() -> None:
    read = 0

    async def chunks() -> dict[str, Any]:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": bytes(1000), "more_body": True}

    async def silence() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    scope = {"type": "http", "headers": [], "method": "POST"}
    with pytest.raises(Refusal, match="more than 2500 bytes"):
        asyncio.run(read_body(Request(scope, chunks), 2500, 60))
    assert read == 3
    with pytest.raises(Refusal, match="took more than") as refused:
        asyncio.run(read_body(Request(scope, silence), 2500, 0.01))
    assert refused.value.status == 408


def test_a_gate_lets_some_in_lets_some_wait_and_refuses_the_others() -> None:
    async def story() -> list[str]:
        gate, leave, told = Gate(1, 1, 60), asyncio.Event(), []

        async def visit(name: str) -> None:
            try:
                async with gate:
                    told.append(f"{name} in")
                    await leave.wait()
            except Refusal as refusal:
                told.append(f"{name} {refusal.status} {refusal.headers['Retry-After']}")

        visits = [asyncio.create_task(visit(name)) for name in "abc"]
        await asyncio.sleep(0.01)
        assert (gate.inside, gate.waiting) == (1, 1)
        leave.set()
        await asyncio.gather(*visits)
        assert (gate.inside, gate.waiting) == (0, 0)
        return told

    assert asyncio.run(story()) == ["a in", "c 503 5", "b in"]


def test_who_waits_too_long_is_refused() -> None:
    async def story() -> None:
        gate = Gate(1, 1, 0.01)
        async with gate:
            with pytest.raises(Refusal, match="no free place"):
                async with gate:
                    pass
        async with gate:  # the slot is free again
            assert gate.inside == 1

    asyncio.run(story())


def test_pages_of_other_sites_are_refused(client: TestClient, tmp_path: Path) -> None:
    assert code(client.post("/v1/verify?image=echo", content=b"", headers={"origin": "https://other.example"})) == (403, "forbidden")
    assert client.get("/health", headers={"origin": "http://testserver"}).status_code == 200
    with serving(tmp_path, hosts=LOOPBACK) as (local, _):
        assert code(local.get("/health")) == (403, "forbidden")
        for name in ("localhost:8000", "127.0.0.1", "[::1]:1"):
            assert local.get("/health", headers={"host": name}).status_code == 200


def test_an_error_inside_is_answered_without_its_text(
    service: tuple[TestClient, Service], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client, own = service

    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(own._queue, "submit", broken)
    response = client.post("/v1/verify?image=echo", content=b"x", headers={"x-request-id": "mine"})
    assert code(response) == (500, "internal")
    assert "secret" not in response.text
    assert response.headers["x-request-id"] == "mine"
    monkeypatch.undo()
    assert client.post("/v1/verify?image=echo", content=b"x").status_code == 200
    assert "Traceback" not in capsys.readouterr().err


def test_a_verification_that_takes_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "WATCH_SECONDS", 0.001)
    with serving(tmp_path, max_seconds=0.001) as (client, _):
        assert code(client.post("/v1/verify?image=echo", content=echo_receipt().to_bytes())) == (422, "limit")


@pytest.mark.parametrize("name", ["jobs", "concurrency", "max_queue", "max_upload", "max_memory", "max_seconds", "max_kept"])
def test_limits_that_allow_nothing_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=name):
        Settings(tmp_path, **cast(Any, {name: 0}))
