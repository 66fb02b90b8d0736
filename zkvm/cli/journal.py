"""What the journal of a compiled model says, for ``zkvm run`` and ``zkvm verify``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from zkvm.cli.errors import InputFileError
from zkvm.cli.output import line
from zkvm.errors import UsageError
from zkvm.ml.interface import ModelInterface

SHOWN_VALUES = 16


def read_model(path: Path) -> ModelInterface:
    """The public part of a compiled model: its directory or its ``model.json``.

    Raises:
        InputFileError: it is neither.
    """
    try:
        return ModelInterface.read(path)
    except UsageError as error:
        raise InputFileError(str(error)) from error


def decoded(model: ModelInterface, journal: bytes) -> dict[str, Any]:
    """The JSON keys that a compiled model adds: outputs as numbers, label, digests.

    Raises:
        VerificationError: MODEL, no journal of this model with its weights.
    """
    output = model.decode(journal)
    tensors = [{"name": name, "shape": list(array.shape), "values": array.reshape(-1).tolist()} for name, array in output.tensors.items()]
    view: dict[str, Any] = {"outputs": tensors}
    if output.label is not None:
        view["label"] = output.label
    if output.saturated is not None:
        view["saturated"] = output.saturated
    if output.digests:
        view["digests"] = output.digests
    return view


def show_decoded(view: dict[str, Any]) -> None:
    """The same as readable lines."""
    for tensor in view["outputs"]:
        values = np.asarray(tensor["values"])
        text = np.array2string(values[:SHOWN_VALUES], precision=5, separator=", ", max_line_width=120)
        line(tensor["name"], text + (" ..." if values.size > SHOWN_VALUES else ""))
    for key in ("label", "saturated", "digests", "salts"):
        if key in view:
            line(key, json.dumps(view[key]))
