"""Networks with private weights run in tensor calls: the same bits in every execution, and nothing published that other weights change."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.ml.models import agreed, compiled, model_of, normal
from tests.ml.private_networks import NETWORKS, node
from tests.ml.test_private import counts_by_chip
from tools.emulator import emulate
from zkvm.errors import UsageError
from zkvm.ml.card import error_relative_to_range
from zkvm.ml.code import ROW_BYTES, ROW_VECTORS
from zkvm.ml.compiler import Compilation, Options, Privacy, float_outputs
from zkvm.ml.ir import View
from zkvm.ml.layout import LANES
from zkvm.ml.operations.tensor_rows import RowDeviations, RowReciprocals
from zkvm.ml.operations.tensors import TensorExport, TensorLoad
from zkvm.ml.operators import secret_functions, tensor_combining
from zkvm.ml.operators.secret import NARROWEST, TOP, set_bounds
from zkvm.ml.package import SALT_BYTES
from zkvm.ml.samples import Sample
from zkvm.ml.value import Value
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

PRIVATE = Options(privacy=Privacy(private_weights=True, saturate=True))
SOME = [pytest.param(name, marks=pytest.mark.slow if name == "chosen" else ()) for name in NETWORKS]
"""``make test`` leaves out those that are like another one."""
FIRST, OTHERS = (0, 1.0), [(2, 3.0), *(pytest.param(*draw, marks=pytest.mark.slow) for draw in ((1, 1.0), (3, 0.3)))]
"""Seeds and sizes of weights."""
LOOPS = {"gated": ["Neg_opposite", "Softmax_y"]}
"""What has no call, and reads what a Clip leaves; what does not pay for calls, and reads a tensor of which what is cut below is nothing."""
ROWS = (TensorExport, TensorLoad, RowDeviations, RowReciprocals)
"""What instructions do: a root or a quotient for each row, and the ways there and back."""


@pytest.fixture(autouse=True)
def _cheap_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks this small do not pay for tables."""
    monkeypatch.setattr(tensor_combining, "ELEMENTWISE_COST", -(1 << 30))
    monkeypatch.setattr(secret_functions, "WORD_INSTRUCTIONS", 1 << 30)


@cache
def made(name: str, seed: int = 0, size: float = 1.0) -> Compilation:
    return compiled(*NETWORKS[name](seed, size), PRIVATE)


@pytest.mark.parametrize("name", NETWORKS)
def test_all_executions_agree(name: str, tmp_path: Path) -> None:
    """Integer model, machine, and the calls as C under an emulator; the float model within 0.2 %. All but rows' numbers are calls."""
    compilation, samples = made(name), NETWORKS[name](0, 1.0)[1]
    loops = [operation for operation in compilation.graph.operations if operation.output.layout is None]
    assert [operation.name for operation in loops if not isinstance(operation, (View, *ROWS))] == LOOPS.get(name, [])
    for sample, expected in zip(samples, float_outputs(compilation.imported, samples), strict=True):
        results = agreed(compilation, compilation.model.quantize([sample["x"]])[0])
        for value, result, real in zip(compilation.graph.outputs, results, expected, strict=True):
            assert error_relative_to_range(value.dequantize(result), real) < 0.002
    stdin = compilation.model.stdin(compilation.model.quantize([samples[0]["x"]])[0])
    run = execute(load_image(compilation.model.elf), stdin, trace=False)
    assert run.exit_code == 0
    assert execute(load_image(compilation.model.elf, tensors=False), stdin, trace=False).journal == run.journal
    (tmp_path / "guest.elf").write_bytes(compilation.model.elf)
    assert emulate(tmp_path / "guest.elf", stdin).journal == run.journal


@pytest.mark.parametrize(("seed", "size"), OTHERS)
@pytest.mark.parametrize("name", SOME)
def test_nothing_of_the_weights_is_public(name: str, seed: int, size: float, tmp_path: Path) -> None:
    """Other weights, larger and smaller, and other bounds of a Clip: the same bytes but for the digest."""
    published = []
    for number, draw in enumerate((FIRST, (seed, size))):
        model = made(name, *draw).model
        model.save(tmp_path / str(number))
        metadata = json.loads((tmp_path / str(number) / "model.json").read_text())
        assert metadata.pop("weights_digest") == model.weights_digest
        published.append((model.elf, model.source, metadata))
    assert published[0] == published[1]
    assert made(name).model.weights_digest != made(name, seed, size).model.weights_digest


@pytest.mark.parametrize("name", SOME)
def test_counts_are_the_same_for_all_weights_and_inputs(name: str) -> None:
    """Rows of every chip, which the heights of a proof's tables tell roughly."""
    counts, random = [], np.random.default_rng(0)
    for draw in (FIRST, (2, 3.0)):
        compilation = made(name, *draw)
        (value,) = compilation.graph.inputs
        for part in (1.0, 0.3, 0.0):
            reach = part * random.uniform(-1, 1, value.shape)
            integers = np.round(np.where(reach < 0, -reach * value.lo, reach * value.hi)).astype(np.int64)
            counts.append(counts_by_chip(compilation, [integers]))
    assert counts[1:] == counts[:1] * (len(counts) - 1)


@pytest.mark.parametrize("name", SOME)
def test_any_private_numbers_end_the_run(name: str, tmp_path: Path) -> None:
    """Whoever proves chooses them: the guest stays within its arrays, and the calls as C say the same."""
    compilation, random = made(name), np.random.default_rng(0)
    model, (small, rows) = compilation.model, compilation.model.private_rows
    assert not small
    start = len(model.private_weights) - ROW_BYTES * ROW_VECTORS * rows
    vectors = np.frombuffer(model.private_weights[start:], "<i2").reshape(-1, LANES)
    drawn = np.where(vectors != 0, random.integers(-(1 << 15), 1 << 15, vectors.shape), 0).astype(np.int16)
    words = random.integers(0, 256, start - SALT_BYTES, np.uint8).tobytes()
    changed = model.private_weights[:SALT_BYTES] + words + drawn.astype("<i2").tobytes()
    stdin = replace(model, private_weights=changed).stdin(model.quantize([NETWORKS[name](0, 1.0)[1][0]["x"]])[0])
    run = execute(load_image(model.elf), stdin, trace=False)
    assert run.exit_code == 0
    (tmp_path / "guest.elf").write_bytes(model.elf)
    assert emulate(tmp_path / "guest.elf", stdin).journal == run.journal


@pytest.mark.parametrize("name", NETWORKS)
def test_published_scales_are_powers_of_two(name: str) -> None:
    """Those of outputs, which the journal shows: none is a product of scales inside, or follows from the bounds of a Clip."""
    for value in made(name).graph.outputs:
        assert np.log2(value.scale) == round(np.log2(value.scale))


@pytest.mark.parametrize(
    "name", ["transformer", *(pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS if name != "transformer")]
)
def test_a_proof_says_what_the_integer_model_does(name: str) -> None:
    compilation, samples = made(name), NETWORKS[name](0, 1.0)[1]
    results = agreed(compilation, compilation.model.quantize([samples[0]["x"]])[0])
    receipt = compilation.model.prove(samples[0], params="fast")
    shown = compilation.model.interface().verify(receipt, compilation.model.image_id())
    assert receipt.journal == compilation.journal(results)
    assert shown.digests == {"weights": compilation.model.weights_digest}


def test_bounds_of_a_clip_are_the_same_integers() -> None:
    """Whatever they are, and with an origin that is never 0: who needs a 0 for 0 has to make it for all of them."""
    for low, high in (
        (0.0, 6.0),
        (-1.0, 1.0),
        (-1 / TOP, 1.0 - 1 / TOP),
        (3.0, 3.5),
        (-7.0, -6.0),
        (2.0, 2.0),
        (0.0, 0.0),
        (-1e-30, 1e-30),
    ):
        output = Value("y", (1,), 0, TOP)
        set_bounds(output, "y", (low, high), 5.0)
        assert output.origin != 0
        assert (output.lo - output.origin, output.hi - output.origin) == (-1, TOP - 1)
        assert abs(output.lo * output.scale - low) <= output.scale
        assert abs(output.hi * output.scale - high) <= max(1.5 * output.scale, abs(high) / TOP, NARROWEST)
    for low, high in ((0.0, np.inf), (-np.inf, 1.0), (0.0, 1e6)):
        with pytest.raises(UsageError, match="too far from what it cuts"):
            set_bounds(Value("y", (1,), 0, TOP), "y", (low, high), 5.0)


def test_bounds_of_a_clip_may_be_the_wrong_way_round() -> None:
    """The upper one wins. Which is larger says something of them, so nothing is made of it."""
    published = []
    for low, high in ((-0.25, 0.5), (2.0, -3.0), (0.5, -0.25)):
        constants = {"w": normal(8, 16), "low": np.float32(low), "high": np.float32(high)}
        nodes = [node("MatMul", "x w", "a"), node("Clip", "a low high", "y")]
        samples: list[Sample] = [{"x": normal(4, 8, seed=number)} for number in range(4)]
        compilation = compiled(model_of(nodes, samples[0], ["y"], constants), samples, PRIVATE)
        published.append(compilation.model.source)
        (result,), (value,) = agreed(compilation, compilation.model.quantize([samples[0]["x"]])[0]), compilation.graph.outputs
        (expected,) = float_outputs(compilation.imported, samples[:1])[0]
        assert np.abs(value.dequantize(result).reshape(expected.shape) - expected).max() < 0.001
    assert published[1:] == published[:1] * 2
