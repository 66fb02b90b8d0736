"""Models: ONNX in, a guest that computes them in integers out, its proofs, and what its journals say. See ``docs/ml.md``.

>>> model = zkvm.ml.compile("model.onnx", calibration)
>>> receipt = model.prove(x)
>>> zkvm.ml.ModelInterface.read("model.json").verify(receipt, image_id).tensors

The names in ``__all__`` are loaded when first used: whoever verifies needs numpy only, whoever runs and proves no onnx.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from zkvm.errors import UsageError

_HOMES = {
    "CompiledModel": "zkvm.ml.package",
    "compile": "zkvm.ml.compiler",
    "ModelInterface": "zkvm.ml.interface",
    "Output": "zkvm.ml.interface",
    "Tensor": "zkvm.ml.tensor",
    "load_samples": "zkvm.ml.samples",
}

__all__ = ["CompiledModel", "ModelInterface", "Output", "Tensor", "compile", "load_samples"]

MISSING = "compiling a model needs onnx, onnxruntime and onnxslim: pip install 'zkvm[ml]'"


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'zkvm.ml' has no attribute {name!r}")
    try:
        value = getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        raise UsageError(MISSING) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
