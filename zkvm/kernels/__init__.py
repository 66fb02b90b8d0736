"""Compiled kernels: arrays in, preallocated arrays out. Only the prover and the executor import this package.

What is compiled is kept in a directory named by a digest of the kernel sources: ``$NUMBA_CACHE_DIR/<digest>`` if the user set that
variable, else ``$XDG_CACHE_HOME/zkvm/<digest>`` (``~/.cache/zkvm/<digest>``).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

CONSTANTS = ("records.py", "isa/opcodes.py", "field/goldilocks.py")
"""Other sources whose constants are compiled into kernels."""


def cache_directory() -> Path:
    """Where the compiled kernels of exactly these sources live."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in (*sorted(folder.rglob("*.py")), *(folder.parent / name for name in CONSTANTS)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder.parent).as_posix()}:{len(content)}:".encode())
        digest.update(content)
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        base = Path(chosen)
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zkvm"
    return base / digest.hexdigest()[:16]
