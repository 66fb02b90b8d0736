"""The model card: what a compiled model is, how exact it is, and what a run costs."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.ml.codegen import GeneratedCode
from zkvm.ml.compilation import Compilation
from zkvm.ml.importer import ImportedModel
from zkvm.ml.ir import Graph, View
from zkvm.ml.package import Execute
from zkvm.ml.ranges import Precision
from zkvm.ml.samples import Sample


def static_card(imported: ImportedModel, graph: Graph, code: GeneratedCode, precision: Precision) -> dict[str, Any]:
    """What is known without running: operators, shapes, sizes, approximation errors, a SHA-256 of every weight.

    The card is the owner's; what of it is published of a model with private weights stands in ``package.py``.
    """
    layers = [
        {
            "name": operation.name,
            "kind": operation.kind,
            "output_shape": list(operation.output.shape),
            "macs": operation.macs,
            "scale": operation.output.scale,
        }
        for operation in graph.operations
        if not isinstance(operation, View)
    ]
    used = {name for node in imported.nodes for name in node.inputs}
    weights = {name: array for name, array in imported.constants.items() if name in used}
    return {
        "operators": dict(sorted(Counter(node.operator for node in imported.nodes).items())),
        "parameters": int(sum(array.size for array in weights.values() if np.issubdtype(array.dtype, np.floating))),
        "macs": graph.macs,
        "activation_bits": precision.activation_bits,
        "weight_bits": precision.weight_bits,
        "activation_words": code.activation_words,
        "constant_words": code.constant_words,
        "layers": layers,
        "approximation_errors": {name: round(error, 3) for name, error in graph.errors.items()},
        "weight_digests": {
            name: hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest() for name, array in sorted(weights.items())
        },
    }


def error_relative_to_range(integer: NDArray[Any], real: NDArray[Any]) -> float:
    """Largest difference over the range of the float output; over its magnitude if that has a single value."""
    if real.size == 0:
        return 0.0
    reals = real.astype(np.float64).reshape(-1)
    span = float(reals.max() - reals.min()) or float(np.abs(reals).max()) or 1.0
    return float(np.abs(integer.astype(np.float64).reshape(-1) - reals).max()) / span


def execution(compilation: Compilation, sample: Sample, execute: Execute) -> dict[str, Any]:
    """Cycles and cells of one run, by layer and multiply-accumulate; predicted time (s) and memory (bytes) of a proof.

    A layer's cycles are those of its own function, its cells those of what it calls too: of tensor calls the tables are the cost.
    """
    arrays, saturated = compilation.model.quantize([sample[port.name] for port in compilation.imported.inputs])
    run = execute(compilation.model.elf, compilation.model.stdin(arrays))
    operations = [operation for operation in compilation.graph.operations if not isinstance(operation, View)]
    layers = []
    for operation, (function, name) in zip(operations, compilation.code.functions, strict=True):
        spent = run.functions.get(function)
        cycles, cells = (0, 0) if spent is None else (spent.cycles, spent.total_cells)
        entry: dict[str, Any] = {"name": name, "kind": operation.kind, "function": function, "cycles": cycles, "cells": cells}
        if operation.macs:
            entry["cells_per_mac"] = round(cells / operation.macs, 3)
            if operation.kind in ("linear", "matrixproduct"):
                entry["cycles_per_mac"] = round(cycles / operation.macs, 3)
        layers.append(entry)
    return {
        "cycles": run.cycles,
        "cells": run.cells[0],
        "charged_cells": run.cells[1],
        "predicted_proof_seconds": run.proof_seconds,
        "predicted_proof_bytes_of_memory": run.proof_bytes,
        "saturated_inputs": saturated,
        "layers": layers,
    }
