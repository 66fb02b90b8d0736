"""The model compiler: ONNX and calibration data in, guest and model card out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.guest.toolchain import build, sources_folder
from zkvm.ml import card, onnx_runtime
from zkvm.ml.calibrate import Method, calibrate
from zkvm.ml.candidate import GraphModel
from zkvm.ml.choose import Choice, choose
from zkvm.ml.codegen import OutputMode, Privacy, generate, interface_of
from zkvm.ml.compilation import Arithmetic, Compilation, Options, Precompiles
from zkvm.ml.domain import MAX_DRAWN, Declared, drawn_count, input_domain
from zkvm.ml.gate import Agreement, Limits, as_array, measure
from zkvm.ml.importer import MAX_WORDS, ImportedModel, import_model, load_model
from zkvm.ml.ir import Graph
from zkvm.ml.package import CompiledModel, Execute, profiled_run, weights_digest
from zkvm.ml.private import private_input
from zkvm.ml.ranges import Precision, TensorInfo
from zkvm.ml.samples import Data, Sample, fitted, load_samples, samples_of
from zkvm.ml.twin import Original, refuse_leaks

RUNTIME = Path(__file__).resolve().parent / "runtime"
MEASURED = 1 << 27
"""Estimated instructions up to which a guest is run for its card: it takes half a minute, and a run ends at 2^28 if nothing is said."""
A_LOOK = 32
"""Samples, and drawn inputs, that a trial is judged by before it is judged by all."""
Value = TypeVar("Value", str, int)


def compile(
    model: str | os.PathLike[str] | onnx.ModelProto,
    calibration: str | os.PathLike[str] | Data,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    method: str = "minmax",
    activation_bits: int = 16,
    weight_bits: int = 16,
    arithmetic: str = "auto",
    precompiles: str = "auto",
    domain: Declared | None = None,
    weights: str = "public",
    commit_input: bool = False,
    output: str = "full",
    saturate: bool = False,
    max_error: float = 0.01,
    max_flips: int = 0,
    accept_inexact: bool = False,
    measure: bool = False,
) -> CompiledModel:
    """Compile an ONNX model to a guest, as ``zkvm compile`` does.

    Args:
        model: an ONNX file, or the model itself.
        calibration: typical inputs, one or more samples: a file, an array, a dictionary of arrays by name, a list of arrays in order, or
            a list of dictionaries.
        shapes: of inputs whose dimensions are open, by name.
        method: how ranges follow from the data: ``minmax``, ``percentile`` or ``mse``.
        activation_bits: 8 or 16.
        weight_bits: 2 to 16, at most; fewer where sums need room.
        arithmetic: what real numbers become: ``auto``, ``fixed`` or ``float``.
        precompiles: ``auto``: layers are tensor calls where that is cheaper; ``none``: everything is instructions.
        domain: what inputs, or their columns, can be: name or ``name[column]`` -> lowest and highest number; else what the data say.
        weights: ``public``, or ``private``: input of the guest, with a salted digest.
        commit_input: commit a salted digest of the input.
        output: what the journal says: ``full``, ``top1`` or ``digest``.
        saturate: go on when a value inside saturates, and say so in the journal; else the run ends without an answer.
        max_error: largest error of an output, as a part of its range, that is accepted.
        max_flips: differing labels that are accepted.
        accept_inexact: accept everything; the card says what it is.
        measure: run the guest once, for cycles in the model card; needs the ``prove`` extra.

    Returns:
        The compiled model, with accuracy on the samples in its card.

    Raises:
        InexactError: the answers are not those of the float model, within what is accepted.
        InputError: the data do not fit the model.
        UsageError: the model cannot be compiled (says why, and names the node), an option has no such value, or an extra is missing.
    """
    private = _choice("weights", weights, ("public", "private")) == "private"
    options = Options(
        shapes=dict(shapes or {}),
        method=Method(_choice("method", method, tuple(Method))),
        precision=Precision(_choice("activation_bits", activation_bits, (8, 16)), _choice("weight_bits", weight_bits, range(2, 17))),
        privacy=Privacy(private, commit_input, OutputMode(_choice("output", output, tuple(OutputMode))), saturate),
        domain=dict(domain or {}),
        limits=Limits(max_error, max_flips, accept_inexact),
        arithmetic=Arithmetic(_choice("arithmetic", arithmetic, tuple(Arithmetic))),
        precompiles=Precompiles(_choice("precompiles", precompiles, tuple(Precompiles))),
    )
    return _compiled(model, calibration, options, profiled_run if measure else None)


def _choice(name: str, value: Value, allowed: Sequence[Value]) -> Value:
    if value not in allowed:
        raise UsageError(f"{name} {value!r}: choose one of {', '.join(map(str, allowed))}")
    return value


def _compiled(
    model: str | os.PathLike[str] | onnx.ModelProto, calibration: str | os.PathLike[str] | Data, options: Options, execute: Execute | None
) -> CompiledModel:
    imported = import_file(model if isinstance(model, onnx.ModelProto) else Path(model), options)
    if isinstance(calibration, (str, os.PathLike)):
        samples = load_samples(Path(calibration), imported.inputs)
    else:
        samples = samples_of(calibration, imported.inputs)
    compilation = compile_imported(imported, samples, options)
    add_measurements(compilation, samples, execute).demand()
    return compilation.model


def import_file(source: Path | onnx.ModelProto, options: Options) -> ImportedModel:
    """Read, check, fix shapes and simplify.

    Raises:
        UsageError: the model cannot be compiled; says why.
    """
    model = load_model(source) if isinstance(source, Path) else source
    return import_model(model, options.shapes, simplify=not options.privacy.private_weights)


def compile_imported(imported: ImportedModel, samples: Sequence[Sample], options: Options) -> Compilation:
    """Calibrate, choose the arithmetic, generate code, build.

    Raises:
        UsageError: the model cannot be compiled; names the node.
    """
    if options.privacy.private_weights and imported.simplified:
        raise UsageError("private weights: the model was imported for public ones: import it with the same options")
    choice, tensors = integer_model(imported, samples, options)
    graph = choice.graph
    interface = interface_of([port.name for port in imported.inputs], imported.outputs, graph, options.privacy, imported.labels)
    for sample in samples:
        for tensor in interface.inputs:
            fitted(sample[tensor.name], tensor)  # a NaN is a number for some kinds of inputs only, which are known now
    code = generate(graph, options.privacy, interface.digest)
    if options.privacy.private_weights:
        refuse_leaks(Original(imported, graph, choice.floats, choice.calls, code, tensors), samples, options)
    if code.activation_words + code.constant_words > MAX_WORDS:
        raise UsageError(
            f"the model needs {code.activation_words} words for activations and {code.constant_words} for weights; "
            f"a guest's memory holds {MAX_WORDS}"
        )
    elf = build_guest(code.source)
    private, rows = private_input(code) if options.privacy.private_weights else (b"", (0, 0))
    public = {
        "card": card.static_card(imported, graph, code, options.precision) | {"arithmetic": choice.as_json()},
        "weights_digest": weights_digest(private, rows) if options.privacy.private_weights else "",
        "private_rows": rows,
    }
    model = CompiledModel(**vars(interface) | public, elf=elf, private_weights=private, source=code.source)
    return Compilation(imported, graph, code, model, options, choice.agreement)


def integer_model(imported: ImportedModel, samples: Sequence[Sample], options: Options) -> tuple[Choice, dict[str, TensorInfo]]:
    """What a guest of the model computes, without the guest, and the ranges from which it follows.

    Raises:
        UsageError: the model cannot be compiled; names the node.
    """
    tensors = calibrate(imported, samples, options.method, options.precision.activation_bits, options.domain)
    return choose(imported, tensors, options, lambda graph: _trial(imported, graph, samples, options)), tensors


def _trial(imported: ImportedModel, graph: Graph, samples: Sequence[Sample], options: Options) -> Agreement:
    """What the gate says of a graph; most of those that fail do so on a few inputs."""
    found = agreement(imported, graph, samples, options, A_LOOK)
    return agreement(imported, graph, samples, options) if found.holds else found


def build_guest(source: str) -> bytes:
    """The ELF of generated C code.

    Raises:
        UsageError: no compiler is installed. GuestError: a bug of the code generator.
    """
    with sources_folder() as folder:
        path = folder / "model.c"
        path.write_text(source)
        return build([path], folder / "model.elf", include_directories=[RUNTIME], libc="none").read_bytes()


def float_outputs(imported: ImportedModel, samples: Sequence[Sample]) -> list[list[NDArray[Any]]]:
    """What the original model computes in floating point, per sample."""
    runner = onnx_runtime.session(onnx_runtime.centred(imported.original), optimize=True)
    results = []
    for sample in samples:
        outputs = onnx_runtime.run_session(runner, sample)
        results.append([_numbers(outputs[name], imported.labels.get(name)) for name in imported.outputs])
    return results


def _numbers(value: Any, labels: Sequence[str] | None) -> NDArray[Any]:
    """An output as an array, class names as their numbers."""
    array = as_array(value)
    if labels is None or array.dtype.kind not in "OSU":
        return array
    return np.array([labels.index(name) for name in array.reshape(-1)], np.int64).reshape(array.shape)


def agreement(imported: ImportedModel, graph: Graph, samples: Sequence[Sample], options: Options, at_most: int | None = None) -> Agreement:
    """An integer model against the float model, on the samples and on drawn inputs, at most so many of each."""
    domain, limits = input_domain(imported, samples, options.domain), replace(options.limits, saturate=options.privacy.saturate)
    drawn = min(drawn_count(graph.work), at_most or MAX_DRAWN)
    return measure(GraphModel(graph, imported.inputs), imported, samples[:at_most], domain, drawn, limits)


def add_measurements(compilation: Compilation, samples: Sequence[Sample], execute: Execute | None) -> Agreement:
    """Put the agreement with the float model, and with ``execute`` cycles, into the model card; returns the former."""
    imported, graph, options = compilation.imported, compilation.graph, compilation.options
    found = compilation.agreement or agreement(imported, graph, samples, options)
    compilation.model.card["accuracy"] = found.as_json() | {"domain": input_domain(imported, samples, options.domain).describe()}
    runs = options.privacy.saturate or not GraphModel(graph, imported.inputs).evaluate(samples[0]).saturated
    if execute is not None and runs:
        if graph.cost > MEASURED:
            compilation.model.card["not_executed"] = f"about {graph.cost} instructions: only what has at most {MEASURED} is run here"
        else:
            compilation.model.card["execution"] = card.execution(compilation, samples[0], execute)
    return found


__all__ = [
    "Arithmetic", "Compilation", "Limits", "Options", "OutputMode", "Precision", "Precompiles", "Privacy", "add_measurements", "agreement",
    "compile", "compile_imported", "import_file", "integer_model",
]  # fmt: skip
