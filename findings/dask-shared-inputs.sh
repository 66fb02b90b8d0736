#!/bin/sh
# Software:   distributed 2026.8.0, dask 2026.8.0, numpy 2.4.6, Python 3.11, Linux x86-64
# Guess:      a task's input is a value: what the task does to the array that it is called with ends with the task, as with the pools of processes of
#             Python's library. Or the array is read-only.
# Behaviour:  it is the worker's own copy of the result, and writable. Later tasks of that worker see what earlier ones wrote into it, a worker that fetches
#             it later gets it as it is by then; a task that is tried again, and the result made anew after a worker's death, begin
#             elsewhere. No warning, no error: the answer depends on where tasks run, and in which order.
# Seen:       five tasks add 1 to zeros, on workers A A B B A: 1 2 3 4 3; A then holds 3
# Here:       workers and coordinator hand each other bytes, which nobody can change (zkvm/session/pool.py).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet 'distributed==2026.8.0' 'dask==2026.8.0' 'numpy==2.4.6' || exit 2
cd "$folder"
cat > shared.py <<'END'
import numpy as np
from distributed import Client, LocalCluster


def bump(values):
    values += 1
    return int(values[0])


if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        a, b = sorted(client.scheduler_info()["workers"])
        zeros = client.submit(np.zeros, 4, int, workers=[a], pure=False)
        seen = [client.submit(bump, zeros, workers=[worker], pure=False).result() for worker in (a, a, b, b, a)]
        held = client.submit(lambda values: int(values[0]), zeros, workers=[a], pure=False).result()
        print("five tasks add 1 to zeros, on workers A A B B A:", *seen, end="; ")
        print("A then holds", held)
END
seen=$(venv/bin/python shared.py 2>/dev/null)
echo "$seen"
[ "$seen" = "five tasks add 1 to zeros, on workers A A B B A: 1 2 3 4 3; A then holds 3" ]
