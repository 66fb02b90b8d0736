"""A Dask cluster on this machine's loopback: a scheduler and workers, each a process that can be stopped and killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

START_SECONDS = 120.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class LocalCluster:
    """Starts what it is asked for, as the command ``dask`` does, and ends it."""

    def __init__(self, folder: Path, scheme: str = "tcp", **environment: str) -> None:
        self._folder, self._environment = folder, environment
        self.address = f"{scheme}://127.0.0.1:{free_port()}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()

    def start_scheduler(self) -> None:
        place, port = self.address.rsplit(":", 1)
        self.scheduler = self._start("scheduler", "--host", place, "--port", port)

    def start_workers(self, count: int, preload: str = "", wait: bool = True, **environment: str) -> None:
        """Workers of one thread; ``preload``: Python that each of them runs first."""
        before, options = len(self.running()), ["--nthreads", "1", "--no-nanny", "--memory-limit", "4GiB"]
        if preload:
            script = self._folder / f"preload{len(self.workers)}.py"
            script.write_text(preload)
            options += ["--preload", str(script)]
        self.workers += [self._start("worker", self.address, *options, **environment) for _ in range(count)]
        if wait:
            with Client(self.address, timeout=START_SECONDS, set_as_default=False) as client:
                client.wait_for_workers(before + count, timeout=START_SECONDS)

    def running(self) -> list[subprocess.Popen[bytes]]:
        return [worker for worker in self.workers if worker.poll() is None]

    def _start(self, kind: str, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + kind, *options, "--no-dashboard"]
        settings = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30s"}
        log = open(self._folder / f"{kind}{len(self.workers)}.log", "ab")
        with log:
            return subprocess.Popen(
                command, env=os.environ | settings | self._environment | environment, stdout=log, stderr=log, cwd=self._folder
            )

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)  # one that was stopped
                process.kill()
            process.wait()


@contextmanager
def local_cluster(folder: Path, workers: int = 0, scheme: str = "tcp", **environment: str) -> Iterator[LocalCluster]:
    """A scheduler and workers, for as long as they are needed."""
    cluster = LocalCluster(folder, scheme, **environment)
    try:
        if workers:
            cluster.start_workers(workers)
        yield cluster
    finally:
        cluster.close()


def wait_for(path: Path, pattern: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Until there are files of this pattern, or the process has ended."""
    deadline = time.monotonic() + START_SECONDS
    while not list(path.glob(pattern)) and (process is None or process.poll() is None):
        assert time.monotonic() < deadline
        time.sleep(0.01)
