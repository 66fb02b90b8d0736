"""Runs proven by a Dask cluster: real schedulers and workers as processes, and what goes wrong with them.

The default tests kill a worker. The others, which take minutes: ``pytest -m slow tests/session/test_cluster.py``.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

import zkvm
from tests.cli.running import invoke
from tests.receipts import ECHO
from tests.session.clusters import LocalCluster, free_port, local_cluster, wait_for
from tests.session.test_segments import PROGRAM, counter, proofs_in
from zkvm.errors import Cancelled, UsageError, WorkerError
from zkvm.session import cluster as cluster_module
from zkvm.session.cluster import Cluster
from zkvm.session.segmented import ATTEMPTS

LENGTH = 4000
"""Six segments."""
LONG = counter(1 << 14)
CORRUPT = """
from zkvm.session import pieces
from zkvm.stark.protocol.joint_codec import encode_part as encode
def corrupt(part):
    data = bytearray(encode(part))
    data[len(data) // 2] ^= 1
    return bytes(data)
pieces.encode_part = corrupt
"""
WRONG_PIN = """
from zkvm.session import pieces
pieces.pin_work = lambda program, data, progress: bytes(32)
"""
GARBLED = """
from zkvm.session import cluster
own = cluster._hash
cluster._hash = lambda data: bytes(32)
"""
OTHER_VERSION = """
import zkvm
zkvm.__version__ = "9.9.9"
"""


def prove(cluster: LocalCluster, program: bytes = PROGRAM, **options: object) -> zkvm.ProveInfo:
    given: dict[str, object] = {"params": "fast", "segment_cycles": LENGTH, "client": cluster.address} | options
    return zkvm.prove(program, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Two workers; what kills one starts another."""
    with local_cluster(tmp_path_factory.mktemp("cluster"), 2) as started:
        yield started


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody here comes back after minutes."""
    monkeypatch.setattr(cluster_module, "LOOK", 0.5)


# --- in every run of the tests -------------------------------------------------------------------------------------------------------


def test_a_worker_is_killed_in_the_middle(cluster: LocalCluster, tmp_path: Path) -> None:
    killed: list[str] = []

    def kill(phase: str, share: float) -> None:
        if phase == "2 of 7 proofs" and not killed:
            killed.append(phase)
            cluster.workers[0].send_signal(signal.SIGKILL)

    work = tmp_path / "work"
    info = prove(cluster, progress=kill, work_dir=work)
    assert killed
    assert info.receipt.segments == 6
    info.receipt.verify(zkvm.compute_image_id(PROGRAM))
    assert info.accounts is not None
    assert sorted(part.number for part in info.accounts.parts) == list(range(7))
    assert all(part.worker.startswith("tcp://127.0.0.1:") for part in info.accounts.parts)
    assert len(proofs_in(work)) == 7
    cluster.workers[0].wait()
    here = zkvm.prove(PROGRAM, params="fast", segment_cycles=LENGTH, work_dir=work, threads=2)
    assert here.receipt.to_bytes() == info.receipt.to_bytes()


def test_what_others_made_is_what_is_made_here(cluster: LocalCluster, tmp_path: Path) -> None:
    """Half of the proofs by workers, half here, from one plan: each is the same whoever makes it."""
    work = tmp_path / "work"
    first = prove(cluster, work_dir=work)
    for path in sorted(work.glob("proof-*"))[::2]:
        path.unlink()
    again = zkvm.prove(PROGRAM, params="fast", segment_cycles=LENGTH, work_dir=work, threads=2)
    assert again.receipt.to_bytes() == first.receipt.to_bytes()


def test_many_runs_by_workers(cluster: LocalCluster) -> None:
    inputs = [("short", b"ab"), ("long", b"abc" * 50), ("other", b"")]
    made = {own.name: own for own in zkvm.prove_many(ECHO, inputs, params="fast", client=cluster.address, max_cycles=10_000)}
    assert sorted(made) == ["long", "other", "short"]
    for name, stdin in inputs:
        info = made[name].info
        assert info is not None
        assert info.session.journal == zkvm.execute(ECHO, stdin).journal
        info.receipt.verify(zkvm.compute_image_id(ECHO))
    with Client(cluster.address, set_as_default=False) as client:
        failed = list(zkvm.prove_many(ECHO, [b"x"], params="fast", client=client, max_cycles=10))
        assert client.status == "running"
    assert isinstance(failed[0].error, zkvm.LimitError)


def test_a_caller_who_has_had_enough(cluster: LocalCluster) -> None:
    env = zkvm.ExecutorEnv(cancel=lambda: True)
    with pytest.raises(Cancelled):
        zkvm.prove(PROGRAM, env, params="fast", segment_cycles=LENGTH, client=cluster.address)


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 1.0)
    with pytest.raises(WorkerError, match="no Dask scheduler answers at"):
        zkvm.prove(PROGRAM, params="fast", client=f"127.0.0.1:{free_port()}")
    with pytest.raises(UsageError, match="choose one"):
        zkvm.prove(PROGRAM, client="127.0.0.1:1", jobs=1)


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:8786", "cluster:8786"])
def test_unencrypted_addresses_are_warned_of(address: str) -> None:
    with pytest.warns(UserWarning, match="is not encrypted: whoever sees the network sees the guest's input"):
        Cluster(address, lambda: None)._warn_unencrypted()


@pytest.mark.parametrize("address", ["tls://cluster:8786", "127.0.0.1:8786", "tcp://localhost:8786"])
def test_others_are_not(address: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Cluster(address, lambda: None)._warn_unencrypted()


# --- slow ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make certificates with")
def test_tls(tmp_path: Path) -> None:
    """As docs/cluster.md says, with one certificate for all."""
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=zkvm", "-keyout", "key.pem", "-out"]
    subprocess.run([*request, "cert.pem"], cwd=tmp_path, check=True, capture_output=True)
    pair = f"{{cert: {tmp_path}/cert.pem, key: {tmp_path}/key.pem}}"
    settings = f"distributed: {{comm: {{require-encryption: true, tls: {{ca-file: {tmp_path}/cert.pem, "
    settings += f"scheduler: {pair}, worker: {pair}, client: {pair}}}}}}}"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "tls.yaml").write_text(settings)
    program = tmp_path / "guest.elf"
    program.write_bytes(PROGRAM)
    environment = {"DASK_CONFIG": str(tmp_path / "config")}
    with local_cluster(tmp_path, scheme="tls", DASK_CONFIG=environment["DASK_CONFIG"]) as cluster:
        cluster.start_workers(1, wait=False)
        command = [sys.executable, "-m", "zkvm", "run", str(program), "--out", str(tmp_path / "r"), "--params", "fast", "--json"]
        command += ["--segment-cycles", str(LENGTH), "--workers"]
        answer = subprocess.run([*command, cluster.address], capture_output=True, text=True, check=False, env=os.environ | environment)
        assert answer.returncode == 0, answer.stderr
        assert all(part["worker"].startswith("tls://") for part in json.loads(answer.stdout)["accounts"]["parts"])
        answer = subprocess.run([*command, cluster.address], capture_output=True, text=True, check=False)
        assert (answer.returncode, answer.stderr.count("\n")) == (6, 1)
    zkvm.Receipt.load(tmp_path / "r").verify(zkvm.compute_image_id(PROGRAM))


@pytest.mark.slow
def test_a_worker_that_makes_wrong_proofs(tmp_path: Path) -> None:
    """Beside a good one: the receipt is right. Alone: it is named."""
    with local_cluster(tmp_path) as cluster:
        cluster.start_workers(1, CORRUPT)
        with pytest.raises(WorkerError, match=rf"made by tcp://.*(does not verify|is no proof).*after {ATTEMPTS} attempts"):
            prove(cluster)
        cluster.start_workers(1)
        info = prove(cluster, LONG, work_dir=tmp_path / "work")
        info.receipt.verify(zkvm.compute_image_id(LONG))


@pytest.mark.slow
def test_a_worker_that_commits_wrongly(tmp_path: Path) -> None:
    """Whoever proves what it committed to notices; nothing of that plan can be used."""
    with local_cluster(tmp_path) as cluster:
        cluster.start_workers(1, WRONG_PIN)
        cluster.start_workers(1)
        with pytest.raises(WorkerError, match=r"is no proof of what was committed to.*begin again, in another directory, without it"):
            prove(cluster)


@pytest.mark.slow
def test_results_that_are_damaged_on_their_way(tmp_path: Path) -> None:
    with local_cluster(tmp_path) as cluster:
        cluster.start_workers(1, GARBLED)
        with pytest.raises(WorkerError, match="the result did not arrive as it was sent"):
            prove(cluster)


@pytest.mark.slow
def test_a_worker_that_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not dead, and says nothing any more: what it has is given to another one."""
    monkeypatch.setattr(cluster_module, "SLOW_SECONDS", 2.0)
    with local_cluster(tmp_path, 2) as cluster:
        stopped: list[float] = []

        def stop(phase: str, share: float) -> None:
            if phase == "1 of 7 proofs" and not stopped:
                stopped.append(share)
                cluster.workers[0].send_signal(signal.SIGSTOP)

        info = prove(cluster, progress=stop)
        assert stopped
        info.receipt.verify(zkvm.compute_image_id(PROGRAM))


@pytest.mark.slow
def test_workers_of_another_version(tmp_path: Path) -> None:
    """One that is there from the begin is named; one that comes later gets nothing more."""
    with local_cluster(tmp_path) as cluster:
        cluster.start_workers(1, OTHER_VERSION)
        with pytest.raises(WorkerError, match=r"the worker tcp://\S+ has zkvm 9\.9\.9 .*install the same version everywhere"):
            prove(cluster)
    with local_cluster(tmp_path, 1) as cluster:
        started: list[float] = []

        def start(phase: str, share: float) -> None:
            if phase.startswith("cut") and not started:
                started.append(share)
                cluster.start_workers(1, OTHER_VERSION)

        info = prove(cluster, LONG, progress=start)
        info.receipt.verify(zkvm.compute_image_id(LONG))


@pytest.mark.slow
def test_workers_with_kernels_of_another_width(tmp_path: Path) -> None:
    """As on another processor: their proofs are the same, byte by byte. The kernels are compiled once, which takes a minute or two."""
    work = tmp_path / "work"
    with local_cluster(tmp_path) as cluster:
        cluster.start_workers(
            1, NUMBA_CPU_NAME="generic", NUMBA_CACHE_DIR=str(tmp_path / "kernels"), ZKVM_CACHE_DIR=str(tmp_path / "kernels")
        )
        info = prove(cluster, work_dir=work)
    info.receipt.verify(zkvm.compute_image_id(PROGRAM))
    for path in work.glob("proof-*"):
        path.unlink()
    assert zkvm.prove(PROGRAM, params="fast", segment_cycles=LENGTH, work_dir=work, threads=2).receipt == info.receipt


@pytest.mark.slow
def test_a_scheduler_that_comes_back(tmp_path: Path) -> None:
    """Killed with all that it knew, and its workers with it, as Dask's end without one; both are started again."""
    with local_cluster(tmp_path, 2) as cluster:
        killed: list[float] = []

        def restart(phase: str, share: float) -> None:
            if phase == "2 of 7 proofs" and not killed:
                killed.append(share)
                for process in (cluster.scheduler, *cluster.workers):
                    process.kill()
                    process.wait()
                cluster.start_scheduler()
                cluster.start_workers(2, wait=False)

        info = prove(cluster, progress=restart)
        assert killed
        info.receipt.verify(zkvm.compute_image_id(PROGRAM))


@pytest.mark.slow
def test_a_cluster_that_does_not_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the same command goes on, with another one."""
    monkeypatch.setattr(cluster_module, "PATIENCE", 3.0)
    work = tmp_path / "work"
    with local_cluster(tmp_path, 1) as cluster:

        def kill(phase: str, share: float) -> None:
            if phase == "2 of 7 proofs":
                for process in (cluster.scheduler, *cluster.workers):
                    process.kill()

        with pytest.raises(WorkerError, match="no Dask scheduler answers"):
            prove(cluster, progress=kill, work_dir=work)
    before = proofs_in(work)
    assert len(before) >= 2
    with local_cluster(tmp_path, 1) as cluster:

        def leave(phase: str, share: float) -> None:
            if phase == "4 of 7 proofs":
                cluster.workers[0].kill()

        with pytest.raises(WorkerError, match="no worker is left"):
            prove(cluster, progress=leave, work_dir=work)
        cluster.start_workers(1)
        info = prove(cluster, work_dir=work)
    assert {name: proofs_in(work)[name] for name in before} == before
    info.receipt.verify(zkvm.compute_image_id(PROGRAM))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_everybody_is_killed_at_random_moments(tmp_path: Path, seed: int) -> None:
    """The coordinator, or a worker, again and again: the command that is given again ends with the right receipt."""
    generator = random.Random(seed)
    program, receipt = tmp_path / "guest.elf", tmp_path / "guest.receipt"
    program.write_bytes(LONG)
    with local_cluster(tmp_path, 2) as cluster:
        command = [sys.executable, "-m", "zkvm", "run", str(program), "--out", str(receipt), "--params", "fast", "--json"]
        command += ["--segment-cycles", "6000", "--workers", cluster.address]
        for _ in range(4):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(generator.uniform(0.5, 6))
            if generator.random() < 0.5 and len(cluster.running()) > 1:
                generator.choice(cluster.running()).kill()
                time.sleep(generator.uniform(0.5, 3))
            process.kill()
            process.wait()
            cluster.start_workers(2 - len(cluster.running()))
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["receipt"] == str(receipt)
    zkvm.Receipt.load(receipt).verify(zkvm.compute_image_id(LONG))
    assert not receipt.with_name("guest.receipt.segments").exists()


@pytest.mark.slow
def test_the_command_says_how_it_goes_on(tmp_path: Path) -> None:
    """Exit code 6, one sentence, and the directory."""
    program = tmp_path / "guest.elf"
    program.write_bytes(PROGRAM)
    with local_cluster(tmp_path) as cluster:
        cluster.start_workers(1, GARBLED)
        outcome = invoke("run", program, "--out", tmp_path / "r", "--params", "fast", "--workers", cluster.address)
    assert outcome.code == 6
    assert "the result did not arrive as it was sent" in outcome.err
    assert "goes on" in outcome.err
    wait_for(tmp_path, "r.segments/run")
