"""Who makes the proofs, as the caller says it: this process, child processes, or a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zkvm.errors import UsageError
from zkvm.session.pool import Pool, Processes
from zkvm.session.run import ExecutorEnv

Client = Any
"""The address of a Dask scheduler, or a ``distributed.Client``: this package imports distributed only to use it."""


def check_workers(client: Client | None, jobs: int | None) -> bool:
    """Whether there are workers besides this process.

    Raises:
        UsageError: two kinds of them, or less than one.
    """
    if client is not None and jobs is not None:
        raise UsageError("worker processes here (jobs) and those of a cluster (client, --workers): choose one")
    if jobs is not None and jobs < 1:
        raise UsageError(f"{jobs} worker processes: at least 1 is needed")
    return client is not None or jobs is not None


@contextmanager
def workers_of(client: Client | None, jobs: int | None, env: ExecutorEnv) -> Iterator[Pool | None]:
    """Workers for as long as they are needed.

    Args:
        client: of a cluster; None: none.
        jobs: child processes; None: none.
        env: says what each may take, and whether to go on.

    Raises:
        WorkerError: there are none.
        UsageError: distributed is not installed.
    """
    if client is not None:
        from zkvm.session.cluster import Cluster

        with Cluster(client, env.check, env.max_memory) as cluster:
            yield cluster
    elif jobs is not None:
        with Processes(jobs, env.check, env.max_memory) as processes:
            yield processes
    else:
        yield None
