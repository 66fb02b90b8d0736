"""A thousand uploads at one time, of good, tampered and garbage receipts: every answer is right, and memory stays bounded."""

from __future__ import annotations

import asyncio
import random
import resource
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil
import pytest

from tests.receipts import ECHO, TEXT, dev_receipt, echo_receipt
from tests.serve.test_command import running
from zkvm import api
from zkvm.verifier.receipt import verdict

UPLOADS = 1000
DISTINCT = 100
MIB = 1 << 20
SERVICE, CHILD = 400 * MIB, 600 * MIB
"""Most resident memory of the service itself, and of each process that verifies."""
TRIES = 100


def files(rng: random.Random) -> list[bytes]:
    """Receipts and what looks like them."""
    good = echo_receipt().to_bytes()
    found = [
        good,
        dev_receipt().to_bytes(),
        b"",
        bytes(17 * MIB),
        api.prove(ECHO, TEXT, params="balanced", security=128).receipt.to_bytes(),
    ]
    while len(found) < DISTINCT:
        kind, changed = len(found) % 4, bytearray(good)
        if kind == 0:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[rng.randrange(len(changed)) :]
        elif kind == 2:
            changed = bytearray(rng.randbytes(rng.randrange(1, 2 * MIB)))
        found.append(bytes(changed))
    return found


@dataclass
class Load:
    """What the uploads find.

    Attributes:
        client: sends.
        answers: by the number of the upload.
        statuses: of all requests; 0: the connection broke.
    """

    client: httpx.AsyncClient
    answers: dict[int, Any] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)

    async def upload(self, number: int, data: bytes, image_id: str) -> None:
        """Until the service has time for it."""
        for _ in range(TRIES):
            try:
                response = await self.client.post("/v1/verify", params={"image_id": image_id}, content=data)
            except httpx.TransportError:
                self.statuses[0] += 1  # refused, and not done with sending within the time for that
                continue
            self.statuses[response.status_code] += 1
            if response.status_code != 503:
                self.answers[number] = (response.status_code, response.json())
                return
            await asyncio.sleep(float(response.headers["Retry-After"]) * random.random())


async def watched(load: Load, uploads: list[bytes], image_id: str, process: psutil.Process) -> tuple[int, int]:
    """All uploads at one time; the largest resident sizes of the service and of a child meanwhile."""
    tasks = [asyncio.create_task(load.upload(number, data, image_id)) for number, data in enumerate(uploads)]
    service = child = 0
    while not all(task.done() for task in tasks):
        service = max(service, process.memory_info().rss)
        for own in process.children(recursive=True):
            try:
                child = max(child, own.memory_info().rss)
            except psutil.NoSuchProcess:
                continue
        await asyncio.sleep(0.05)
    await asyncio.gather(*tasks)
    return service, child


@pytest.mark.slow
def test_a_thousand_uploads_at_one_time(tmp_path: Path) -> None:
    rng, image_id = random.Random(5), api.compute_image_id(ECHO)
    kinds = files(rng)
    expected = [(413, None) if len(data) > 16 * MIB else (200, verdict(data, image_id)) for data in kinds]
    chosen = [number % DISTINCT for number in range(UPLOADS)]
    rng.shuffle(chosen)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4 * UPLOADS:
        pytest.skip(f"{hard} open files are allowed, {4 * UPLOADS} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4 * UPLOADS), hard))

    async def attack(url: str, process: psutil.Process) -> tuple[Load, tuple[int, int]]:
        limits = httpx.Limits(max_connections=UPLOADS)
        async with httpx.AsyncClient(base_url=url, timeout=600, limits=limits, trust_env=False) as client:
            load = Load(client)
            return load, await watched(load, [kinds[number] for number in chosen], image_id, process)

    with running(tmp_path / "log") as (process, said, client):
        load, (service, child) = asyncio.run(attack(said["url"], psutil.Process(process.pid)))
        assert process.poll() is None
        assert client.get("/health").json()["status"] == "ok"
        metrics = client.get("/metrics").text
    assert "ERROR" not in (tmp_path / "log").read_text()
    for number, kind in enumerate(chosen):
        status, answer = load.answers[number]
        assert status == expected[kind][0]
        assert expected[kind][1] in (None, answer)
    print(f"\n{dict(load.statuses)}, service {service / MIB:.0f} MiB, child {child / MIB:.0f} MiB")
    print("\n".join(line for line in metrics.splitlines() if line.startswith(("zkvm_verdicts_total", "process_cpu"))))
    assert 'zkvm_verifications{state="running"} 0.0' in metrics
    assert service < SERVICE
    assert child < CHILD
