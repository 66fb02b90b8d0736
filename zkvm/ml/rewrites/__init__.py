"""Composite operators written as simpler ones, in ONNX, before calibration: ranges are then known of every step.

Importing this package registers the rewriting of every operator.
"""

from zkvm.ml.rewrites import (
    classical,
    composite,
    control,
    einsum,
    elementwise,
    geometry,
    microsoft,
    pools,
    quantized,
    recurrent,
    trees,
    vector_machines,
)
from zkvm.ml.rewrites.builder import REWRITES
from zkvm.ml.rewrites.passes import rewrite

__all__ = [
    "REWRITES",
    "classical",
    "composite",
    "control",
    "einsum",
    "elementwise",
    "geometry",
    "microsoft",
    "pools",
    "quantized",
    "recurrent",
    "rewrite",
    "trees",
    "vector_machines",
]
