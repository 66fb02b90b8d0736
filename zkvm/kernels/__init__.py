"""Compiled kernels: arrays in, preallocated arrays out. Only the prover and the executor import this package.

What is compiled is kept in a directory named by a digest of the kernel sources: ``$NUMBA_CACHE_DIR/<digest>`` if the user set that
variable, else ``$XDG_CACHE_HOME/zkvm/<digest>`` (``~/.cache/zkvm/<digest>``).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def cache_directory() -> Path:
    """Where the compiled kernels of exactly these sources live."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.name}:{len(content)}:".encode())
        digest.update(content)
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = Path(chosen) if chosen else user_cache / "zkvm"
    return base / digest.hexdigest()[:16]
