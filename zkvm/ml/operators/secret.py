"""Results of a private model's tensor calls: which integers they have, none of which says anything about the weights.

The bounds of a call are in the image. So a result has all int16 but one, or those that are not negative behind a Relu; behind a Clip those
from -1 on, which stands for its lower bound, to the one for its upper bound. What these integers are is in private scales and origins.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml.ir import Value
from zkvm.ml.layout import OFFSET
from zkvm.ml.lowering import Context
from zkvm.ml.operators.layers import Layer
from zkvm.ml.operators.secret_layers import keeps_steps
from zkvm.ml.ranges import Precision, quantization

TOP = OFFSET - 1
FAR = 17.0
"""What lies so far below the others of its row is nothing after a softmax, and a little more."""
DISTANT = 4096.0
"""How many times wider than what was seen the range of a Clip may be: it takes as many of the integers."""
NARROWEST = 2.0**-100
"""The least difference of bounds."""
MOST_OFFSET, LEAST_LIMIT = 2.0**24, 2.0**18
"""How far from the middle of a Clip's bounds a layer's offset may be, in integers of the result; the limit of a call over the factors that
its weights may be in these."""
GIVEN_STEPS = 255
"""Differences of integers of 8 bits."""
LEAST_GIVEN = -384
"""What a tensor holds for the least of these, which is more than 255 less than 0: so no origin is 0, whatever their zero point is."""


def secret_target(context: Context, result: str, *, clips: bool = True) -> tuple[str, Value, tuple[bool, bool]]:
    """What a call computes that computes a tensor, or what the Relu or Clip that is its only reader makes of it.

    Args:
        context: of the lowering.
        result: the tensor.
        clips: whether a Clip is merged, too.

    Returns:
        Its name, or that of what the reader makes of it; the value, bound to it, without a layout; and which of its limits are looked at.
    """
    fusion = context.fused.get(result)
    if fusion is not None and (not (fusion.known or (fusion.bounded and clips)) or fusion.output in context.given):
        fusion = None
    name = result if fusion is None else fusion.output
    info, floor = replace(context.info(name), guarded=(True, True), tight=name in context.only_layers, most=0), False
    reader = context.followers.get(name)
    if fusion is None and reader is not None and reader.operator == "Softmax" and not reader.domain:
        reach, floor = max(-info.low, info.high) + FAR, True
        info = replace(info, low=-reach, high=reach)
        context.floors.add(name)
    context.tensors[name] = info
    scale, _, _ = quantization(info, Precision())
    output = context.fresh(info.shape, -TOP if fusion is None else 0, TOP, scale, label=name)
    guarded = fusion is None and not floor, True
    if fusion is not None:
        context.done.add(name)
    if fusion is None or fusion.known:
        context.published.add(output.name)
    else:
        set_bounds(output, name, (fusion.low, fusion.high), max(-info.low, info.high))
        guarded = False, False
    context.bind(name, output)
    return name, output, guarded


def is_given(context: Context, name: str) -> bool:
    """Whether the model itself says in which 8 bits a tensor is held, and everybody reads it as real numbers."""
    _, low, high = context.given.get(name, (1.0, 0, 0))
    return high - low == GIVEN_STEPS and name in context.only_real


def given_target(context: Context, name: str) -> Value:
    """The value, bound to it and without a layout, of a tensor of which :func:`is_given` holds: its zero point is in the origin."""
    scale, low, high = context.given[name]
    output = context.fresh(context.info(name).shape, low, high, scale, label=name)
    output.origin = low - LEAST_GIVEN
    context.done.add(name)
    context.bind(name, output)
    return output


def counted(layer: Layer, output: Value, source: Value, limit: int) -> Layer:
    """A layer whose results count from the output's origin.

    The bounds of a Clip may be so close that from one integer of the source to the next its result is beyond both. No call of a limit has
    such factors. Then results change less around the middle of both bounds, and nothing else: as if the source were a few integers off.
    """
    if not output.origin:
        return layer
    if keeps_steps(layer):
        return replace(layer, bias=layer.bias - output.origin * output.scale)
    middle = output.scale * (output.lo + output.hi) / 2
    distance = np.abs(layer.bias + source.origin * source.scale * layer.weights.sum(axis=1) - middle) / (output.scale * MOST_OFFSET)
    gain = np.abs(layer.weights).max(axis=1) * source.scale / (output.scale * limit / LEAST_LIMIT)
    excess = np.maximum(np.maximum(distance, gain), 1.0)
    bias = middle + (layer.bias + source.origin * source.scale * layer.weights.sum(axis=1) - middle) / excess
    weights = layer.weights / excess[:, None]
    bias -= source.origin * source.scale * weights.sum(axis=1)
    return replace(layer, weights=weights, bias=bias - output.origin * output.scale)


def set_bounds(output: Value, name: str, bounds: tuple[float, float], seen: float) -> None:
    """Give a value the scale and the origin with which -1 and 2^15 - 2 in its tensor are the bounds of a Clip.

    Args:
        output: the value.
        name: of what the Clip gives, for messages.
        bounds: real numbers.
        seen: how large what it gives was.

    Raises:
        UsageError: they are not finite, or much wider than what was seen.
    """
    low, width = bounds[0], bounds[1] - bounds[0]
    if not np.isfinite(width) or (seen and width > max(DISTANT * seen, abs(low))):
        raise UsageError(
            f"the bounds of the Clip to {name!r} are too far from what it cuts for it to be private in tensor calls; use precompiles none"
        )
    output.scale = max(width, abs(low) / OFFSET, NARROWEST) / TOP
    output.origin = round(low / output.scale) + 1 or 1  # never 0: who needs a 0 for 0 has to make it, whatever the bounds are
    output.lo, output.hi = output.origin - 1, output.origin + TOP - 1
