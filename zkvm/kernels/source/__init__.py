"""What numba compiles: intrinsics, inlined helpers and kernels. Python drivers and callers are one package above.

Importing it names numba's own cache, before any decorator runs: numba looks at the file of the function only and would go on using
code compiled from an older callee in another file.
"""

from __future__ import annotations

import numba

from zkvm.kernels import cache_directory

numba.config.CACHE_DIR = str(cache_directory())  # type: ignore[attr-defined]
