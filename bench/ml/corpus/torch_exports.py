"""PyTorch: small seeded networks, each through the exporter that traces and the one that follows ``torch.export``."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from typing import Any

import numpy as np

from bench.ml.adapter import Array
from bench.ml.corpus.entry import CALIBRATION, Absent, Entry, Made, generator

FAMILY = "torch_exports"
TOKENS = 64
OPSETS = {"cnn-opset11": 11, "gelu-opset11": 11, "attention-opset14": 14, "layernorm-opset13": 13}
"""Models that are exported as an old version would."""


def entries() -> Iterator[Entry]:
    """Every network once; every other one through the older exporter, and what both export differently through both."""
    try:
        import torch

        from bench.ml.corpus.torch_networks import BOTH, NETWORKS
    except ImportError as error:
        yield Entry(FAMILY, "all", partial(_absent, f"{error.name} is not installed"))
        return
    torch.set_num_threads(1)
    for name, (make, shape, kind) in NETWORKS.items():
        if name in BOTH or name in OPSETS:
            yield Entry(FAMILY, f"{name}-traced", partial(_exported, name, make, shape, kind, False))
        if name in BOTH or name not in OPSETS:
            yield Entry(FAMILY, name, partial(_exported, name, make, shape, kind, True))


def _absent(reason: str, count: int) -> Made:
    raise Absent(reason)


def _exported(name: str, make: Callable[[], Any], shape: tuple[int, ...], kind: str, dynamo: bool, count: int) -> Made:
    import torch

    torch.manual_seed(0)
    model = make().eval()
    random = generator(name)
    calibration, inputs = (drawn(kind, wanted, shape, random) for wanted in (CALIBRATION, count))
    buffer = io.BytesIO()
    names: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"]}
    example = (torch.from_numpy(calibration[0]),)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        if dynamo:
            program = torch.onnx.export(model, example, dynamo=True, **names)
            assert program is not None
            exported = program.model_proto.SerializeToString()
        else:
            torch.onnx.export(model, example, buffer, dynamo=False, opset_version=OPSETS.get(name, 17), **names)
            exported = buffer.getvalue()
    scores = "y" if kind.endswith("-classes") else ""
    return Made(exported, {"x": calibration}, {"x": inputs}, scores)


def drawn(kind: str, count: int, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Inputs of a network.

    Args:
        kind: ``normal``, ``tokens``, or ``image`` (0 to 1, smooth); ``-classes`` after it says that the output is one score a class.
        count: how many.
        shape: of one.
        random: where they come from.
    """
    if kind.startswith("tokens"):
        # Few ids are frequent, as in texts: what one sample holds is far from all of them.
        return np.minimum(random.geometric(0.06, (count, *shape)) - 1, TOKENS - 1).astype(np.int64)
    values = random.standard_normal((count, *shape))
    if kind.startswith("image"):
        values = 0.5 + np.cumsum(values, axis=-1) / (4 * np.sqrt(shape[-1]))
        return np.asarray(np.clip(values, 0, 1).astype(np.float32))
    return np.asarray(values.astype(np.float32))
