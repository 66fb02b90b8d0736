"""zkvm: run a RISC-V program, prove the run, verify the receipt.

The public names are those in ``__all__``; they are loaded when first used, so that importing a part of the package, such as the
field or the kernels, does not load the whole.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zkvm.api import ProveInfo, check, compute_image_id, execute, load_image, prove
    from zkvm.errors import (
        Cancelled,
        ElfError,
        FormatError,
        Frame,
        GuestError,
        GuestTrap,
        LimitError,
        ProvingError,
        RejectReason,
        UsageError,
        VerificationError,
        WorkerError,
        ZkvmError,
    )
    from zkvm.many import Proven, prove_many
    from zkvm.poseidon2 import poseidon2_compress, poseidon2_hash
    from zkvm.progress import ProgressBar
    from zkvm.session.prediction import Prediction
    from zkvm.session.profiling import Profile, profile
    from zkvm.session.run import ExecutorEnv, Session
    from zkvm.stark.protocol.params import Policy
    from zkvm.verifier.receipt import Claim, Receipt

__version__ = "0.1.0"

_HOMES = {
    "zkvm.api": ("ProveInfo", "check", "compute_image_id", "execute", "load_image", "prove"),
    "zkvm.errors": (
        "Cancelled", "ElfError", "FormatError", "Frame", "GuestError", "GuestTrap", "LimitError", "ProvingError", "RejectReason",
        "UsageError", "VerificationError", "WorkerError", "ZkvmError",
    ),
    "zkvm.many": ("Proven", "prove_many"),
    "zkvm.poseidon2": ("poseidon2_compress", "poseidon2_hash"),
    "zkvm.progress": ("ProgressBar",),
    "zkvm.stark.protocol.params": ("Policy",),
    "zkvm.session.prediction": ("Prediction",),
    "zkvm.session.profiling": ("Profile", "profile"),
    "zkvm.verifier.receipt": ("Claim", "Receipt"),
    "zkvm.session.run": ("ExecutorEnv", "Session"),
}  # fmt: skip

__all__ = [
    "Cancelled",
    "Claim",
    "ElfError",
    "ExecutorEnv",
    "FormatError",
    "Frame",
    "GuestError",
    "GuestTrap",
    "LimitError",
    "Policy",
    "Prediction",
    "Profile",
    "ProgressBar",
    "ProveInfo",
    "Proven",
    "ProvingError",
    "Receipt",
    "RejectReason",
    "Session",
    "UsageError",
    "VerificationError",
    "WorkerError",
    "ZkvmError",
    "check",
    "compute_image_id",
    "execute",
    "load_image",
    "poseidon2_compress",
    "poseidon2_hash",
    "profile",
    "prove",
    "prove_many",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it; ``guest`` is one itself."""
    if name == "guest":
        return import_module("zkvm.guest")
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'zkvm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
