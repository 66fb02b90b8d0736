"""Proofs over HTTP: from an input to a receipt that verifies; errors, limits, cancelling, events; jobs that outlive the service."""

from __future__ import annotations

import json
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import zkvm.ml
from tests.cli.running import guest
from tests.guest.compiled import needs_compiler
from tests.ml.models import normal, single
from tests.receipts import ECHO, TEXT
from tests.serve import jobs
from tests.serve.clients import SECONDS, code, finished, images_in, serving
from zkvm import api
from zkvm.errors import UsageError, ZkvmError
from zkvm.serve import proofs
from zkvm.serve.images import Images
from zkvm.serve.proofs import BEGUN_MOST
from zkvm.serve.records import RECORD
from zkvm.serve.work import INPUT
from zkvm.verifier.receipt import Receipt

IMAGE_ID = api.compute_image_id(ECHO)
FAST = "image=echo&params=fast&security=100"
Work = Callable[..., dict[str, Any]]


def submitted(client: TestClient, query: str = FAST, data: bytes = TEXT) -> str:
    response = client.post(f"/v1/proofs?{query}", content=data)
    assert response.status_code == 202, response.text
    assert response.headers["location"] == f"/v1/proofs/{response.json()['id']}"
    return str(response.json()["id"])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def begun(folder: Path, job: str) -> bool:
    return (folder / "state" / "jobs" / job / jobs.BEGUN).exists()


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream."""
    blocks = [block.split("\n") for block in text.strip().split("\n\n") if not block.startswith(":")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Callable[[Work], None]:
    """Puts other work in the place of proofs."""
    return lambda work: monkeypatch.setattr(proofs, "prove_work", work)


def test_a_run_is_proven_and_its_receipt_verifies(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, _):
        job = submitted(client)
        told = events(client.get(f"/v1/proofs/{job}/events").text)
        assert [name for name, _ in told[:-1]] == ["progress"] * (len(told) - 1)
        shares = [view["share"] for _, view in told]
        assert shares == sorted(shares)
        name, view = told[-1]
        assert (name, view["state"], view["share"], view["error"]) == ("end", "done", 1.0, None)
        assert (bytes.fromhex(view["journal"]), view["exit_code"], view["image_id"]) == (TEXT, 0, IMAGE_ID)
        assert view == client.get(f"/v1/proofs/{job}").json()
        data = client.get(f"/v1/proofs/{job}/receipt").content
        assert len(data) == view["receipt_bytes"]
        assert Receipt.from_bytes(data).verify(IMAGE_ID).exit_code == 0
        assert client.post("/v1/verify?image=echo", content=data).json()["accepted"] is True

        folder = tmp_path / "state" / "jobs" / job
        assert not (folder / INPUT).exists()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
        assert client.delete(f"/v1/proofs/{job}").json()["deleted"] is True
        assert not folder.exists()
        assert code(client.get(f"/v1/proofs/{job}")) == (404, "not_found")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (400, "bad_request")), ("image=other", (404, "unknown_image")), ("image=../echo", (404, "unknown_image")),
        ("image=echo&params=best", (400, "bad_request")), ("image=echo&security=99", (400, "bad_request")),
        ("image=echo&pad_to=3", (400, "bad_request")), ("image=echo&pad_to=all", (400, "bad_request")),
        ("image=echo&max_cycles=0", (400, "bad_request")), ("image=echo&zk=1", (400, "bad_request")),
        ("image=echo&work_dir=/", (400, "bad_request")),
    ],
)  # fmt: skip
def test_requests_that_mean_nothing_are_refused(query: str, expected: tuple[int, str], shared: TestClient) -> None:
    assert code(shared.post(f"/v1/proofs?{query}", content=b"x")) == expected


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("serve")
    (images_in(folder) / "trap.elf").write_bytes(guest([("lw", "a0", "zero", 1)]))
    with serving(folder, max_upload=1000) as (client, _):
        yield client


def test_inputs_are_bounded(shared: TestClient) -> None:
    assert code(shared.post("/v1/proofs?image=echo", content=bytes(1001))) == (413, "too_large")


@pytest.mark.parametrize(("query", "expected"), [("image=trap&dev=true", "guest_trap"), ("image=echo&dev=true&max_cycles=5", "limit")])
def test_a_run_that_fails_says_why(query: str, expected: str, shared: TestClient) -> None:
    job = submitted(shared, query)
    view = finished(shared, job)
    assert (view["state"], view["error"]["code"]) == ("failed", expected)
    assert code(shared.get(f"/v1/proofs/{job}/receipt")) == (409, "no_receipt")
    assert job not in view["error"]["message"]


@pytest.mark.parametrize("what", ["", "/receipt", "/events"])
def test_jobs_that_are_not_there(what: str, shared: TestClient) -> None:
    assert code(shared.get(f"/v1/proofs/{'0' * 32}{what}")) == (404, "not_found")
    assert code(shared.get(f"/v1/proofs/..%2f..{what}")) == (404, "not_found")
    assert code(shared.delete("/v1/proofs/nothing")) == (404, "not_found")


def test_a_running_and_a_waiting_job_are_cancelled(tmp_path: Path, replaced: Callable[[Work], None]) -> None:
    replaced(jobs.wait_work)
    with serving(tmp_path, max_queue=1) as (client, _):
        running = submitted(client)
        until(lambda: begun(tmp_path, running))
        waiting = submitted(client)
        full = client.post(f"/v1/proofs?{FAST}", content=b"")
        assert code(full) == (503, "busy")
        assert int(full.headers["retry-after"]) > 0
        assert 'zkvm_proofs{state="running"} 1.0' in client.get("/metrics").text
        assert code(client.get(f"/v1/proofs/{running}/receipt")) == (409, "no_receipt")
        view = client.get(f"/v1/proofs/{running}").json()
        assert (view["state"], view["phase"], view["share"]) == ("running", "waiting", 0.5)
        for job in (waiting, running):
            assert client.delete(f"/v1/proofs/{job}").json()["state"] == "cancelled"
            view = finished(client, job)
            assert (view["state"], view["error"]["code"]) == ("cancelled", "cancelled")
            assert not (tmp_path / "state" / "jobs" / job / INPUT).exists()
        replaced(jobs.quick_work)
        assert finished(client, submitted(client))["state"] == "done"


def test_a_stream_follows_a_job_until_it_is_cancelled(tmp_path: Path, replaced: Callable[[Work], None]) -> None:
    replaced(jobs.wait_work)
    with serving(tmp_path) as (client, _):
        job = submitted(client)
        stopper = threading.Timer(0.5, lambda: client.delete(f"/v1/proofs/{job}"))
        stopper.start()
        told = events(client.get(f"/v1/proofs/{job}/events").text)
        stopper.join()
        assert (told[-1][0], told[-1][1]["state"]) == ("end", "cancelled")


def test_limits_of_time_bugs_and_deaths_end_a_job_and_not_the_service(
    tmp_path: Path, replaced: Callable[[Work], None], caplog: pytest.LogCaptureFixture
) -> None:
    works = ((jobs.broken_work, 3600.0, "internal"), (jobs.dying_work, 3600.0, "worker"), (jobs.wait_work, 0.5, "limit"))
    for work, seconds, expected in works:
        replaced(work)
        with serving(tmp_path, max_seconds=seconds) as (client, _):
            view = finished(client, submitted(client))
            assert (view["state"], view["error"]["code"]) == ("failed", expected)
            assert "secret" not in view["error"]["message"]
            assert client.get("/health").status_code == 200
    assert "a secret" in caplog.text


def test_jobs_outlive_the_service(tmp_path: Path, replaced: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(jobs.quick_work)
    with serving(tmp_path) as (client, _):
        done = submitted(client)
        assert finished(client, done)["state"] == "done"
        replaced(jobs.wait_work)
        running, waiting = submitted(client), submitted(client, "image=echo&dev=true", b"other words")
        until(lambda: begun(tmp_path, running))
    left = tmp_path / "state" / "jobs"
    for job in (running, waiting):
        assert json.loads((left / job / RECORD).read_bytes())["state"] == "waiting"
    (left / ".new-0").mkdir()
    (left / ("0" * 32)).mkdir()
    (left / ("0" * 32) / RECORD).write_text('{"state": "done"')
    monkeypatch.undo()
    with serving(tmp_path) as (client, _):
        assert client.get(f"/v1/proofs/{done}/receipt").content == b"a receipt"
        assert bytes.fromhex(finished(client, running)["journal"]) == TEXT
        assert bytes.fromhex(finished(client, waiting)["journal"]) == b"other words"
        assert Receipt.from_bytes(client.get(f"/v1/proofs/{running}/receipt").content).verify(IMAGE_ID)
        assert {path.name for path in left.iterdir()} == {done, running, waiting}


def test_a_job_that_brings_services_down_is_given_up(tmp_path: Path, replaced: Callable[[Work], None]) -> None:
    replaced(jobs.wait_work)
    with serving(tmp_path) as (client, _):
        job = submitted(client)
        until(lambda: begun(tmp_path, job))
    path = tmp_path / "state" / "jobs" / job / RECORD
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps(record | {"begun": BEGUN_MOST, "state": "running"}))
    with serving(tmp_path) as (client, _):
        view = client.get(f"/v1/proofs/{job}").json()
        assert (view["state"], view["error"]["code"]) == ("failed", "worker")


def test_a_job_whose_program_is_gone_or_changed_fails(
    tmp_path: Path, replaced: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced(jobs.wait_work)
    images = images_in(tmp_path)
    with serving(tmp_path) as (client, _):
        job = submitted(client)
    monkeypatch.undo()
    (tmp_path / "none").mkdir()
    with serving(tmp_path, images=tmp_path / "none") as (client, _):
        assert finished(client, job)["error"]["code"] == "bad_image"
    with serving(tmp_path) as (client, _):
        (images / "echo.elf").write_bytes(guest([("ecall",)]))
        assert finished(client, submitted(client))["error"]["code"] == "bad_image"


def test_only_so_many_ended_jobs_are_kept(tmp_path: Path, replaced: Callable[[Work], None]) -> None:
    replaced(jobs.quick_work)
    with serving(tmp_path, max_kept=2) as (client, _):
        all_jobs = []
        for _ in range(4):
            all_jobs.append(submitted(client))
            finished(client, all_jobs[-1])
        assert [client.get(f"/v1/proofs/{job}").status_code for job in all_jobs] == [404, 404, 200, 200]
        assert len(list((tmp_path / "state" / "jobs").iterdir())) == 2


def test_a_state_has_one_service(tmp_path: Path) -> None:
    with serving(tmp_path), pytest.raises(UsageError, match="another service uses it"), serving(tmp_path):
        pass


def test_folders_of_images(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        Images(tmp_path / "none")
    images = images_in(tmp_path)
    (images / "notes.txt").write_text("no program")
    assert [image.view() for image in Images(images).all] == [{"name": "echo", "image_id": IMAGE_ID, "kind": "program"}]
    (images / "bad.elf").write_text("no program")
    with pytest.raises(ZkvmError, match=r"bad\.elf"):
        Images(images)


@needs_compiler
def test_a_compiled_model_takes_data(tmp_path: Path) -> None:
    samples, weights = normal(4, 6), normal(6, 3, seed=1)
    images = images_in(tmp_path)
    model = zkvm.ml.compile(single("Gemm", {"x": samples[:1]}, {"w": weights}), samples, commit_input=True)
    model.save(images / "layer")
    with serving(tmp_path) as (client, service):
        assert {"name": "layer", "image_id": model.image_id(), "kind": "model"} in client.get("/v1/images").json()["images"]
        sample = json.dumps({"input_data": [samples[0].tolist()]}).encode()
        view = finished(client, submitted(client, "image=layer&dev=true&pad_to=0", sample))
        assert view["state"] == "done", view
        output = model.decode(bytes.fromhex(view["journal"]))
        np.testing.assert_allclose(next(iter(output.tensors.values())).reshape(-1), samples[0] @ weights, atol=1e-3)
        assert set(view["salts"]) == {"input"}
        for wrong in (b"", b"raw bytes", json.dumps({"input_data": [samples.reshape(-1).tolist()]}).encode(), b'{"input_data": [[1]]}'):
            view = finished(client, submitted(client, "image=layer&dev=true&pad_to=0", wrong))
            assert (view["state"], view["error"]["code"]) == ("failed", "bad_input")
        assert service.images.find("layer") is service.images.find(f"0x{model.image_id()}")
