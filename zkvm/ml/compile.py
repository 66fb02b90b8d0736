"""The model compiler: ONNX and calibration data in, guest and model card out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.guest.toolchain import build
from zkvm.ml import card, onnx_runtime
from zkvm.ml.calibrate import calibrate
from zkvm.ml.codegen import OutputMode, Privacy, generate, interface_of
from zkvm.ml.compilation import Compilation, Options
from zkvm.ml.importer import MAX_WORDS, ImportedModel, import_model, load_model
from zkvm.ml.interface import weights_digest
from zkvm.ml.lowering import Precision
from zkvm.ml.package import SALT_BYTES, CompiledModel, Execute
from zkvm.ml.quantize import quantize
from zkvm.ml.samples import Sample
from zkvm.ml.twin import Original, refuse_leaks

RUNTIME = Path(__file__).resolve().parent / "runtime"


def import_file(source: Path | onnx.ModelProto, options: Options) -> ImportedModel:
    """Read, check, fix shapes and simplify.

    Raises:
        UsageError: the model cannot be compiled; says why.
    """
    model = load_model(source) if isinstance(source, Path) else source
    return import_model(model, options.shapes, simplify=not options.privacy.private_weights)


def compile_imported(imported: ImportedModel, samples: Sequence[Sample], options: Options) -> Compilation:
    """Calibrate, quantize, generate code, build.

    Raises:
        UsageError: the model cannot be compiled; names the node.
    """
    if options.privacy.private_weights and imported.simplified:
        raise UsageError("private weights: the model was imported for public ones: import it with the same options")
    tensors = calibrate(imported, samples, options.method, options.precision.activation_bits)
    private = options.privacy.private_weights
    graph = quantize(imported, tensors, options.precision, private)
    interface = interface_of([port.name for port in imported.inputs], imported.outputs, graph, options.privacy)
    code = generate(graph, options.privacy, interface.digest)
    if private:
        refuse_leaks(Original(imported, graph, code, tensors), samples, options)
    if code.activation_words + code.constant_words > MAX_WORDS:
        raise UsageError(
            f"the model needs {code.activation_words} words for activations and {code.constant_words} for weights; "
            f"a guest's memory holds {MAX_WORDS}"
        )
    elf = build_guest(code.source)
    words = os.urandom(SALT_BYTES) + code.private_words.astype("<i4").tobytes() if private else b""
    public = {
        "card": card.static_card(imported, graph, code, options.precision),
        "weights_digest": weights_digest(words) if private else "",
    }
    model = CompiledModel(**vars(interface) | public, elf=elf, private_weights=words)
    return Compilation(imported, graph, code, model)


def build_guest(source: str) -> bytes:
    """The ELF of generated C code.

    Raises:
        UsageError: no compiler is installed. GuestError: a bug of the code generator.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.c"
        path.write_text(source)
        return build([path], Path(scratch) / "model.elf", include_directories=[RUNTIME]).read_bytes()


def float_outputs(imported: ImportedModel, samples: Sequence[Sample]) -> list[list[NDArray[Any]]]:
    """What the original model computes in floating point, per sample."""
    runner = onnx_runtime.session(imported.original, optimize=True)
    results = []
    for sample in samples:
        outputs = onnx_runtime.run_session(runner, sample)
        results.append([_as_array(outputs[name], imported.labels.get(name)) for name in imported.outputs])
    return results


def _as_array(value: Any, labels: Sequence[str] | None) -> NDArray[Any]:
    """An output as an array; a list of dictionaries (class probabilities) as their values, and class names as their numbers."""
    if isinstance(value, list):
        return np.array([list(entry.values()) for entry in value])
    array = np.asarray(value)
    if labels is None or array.dtype.kind not in "OSU":
        return array
    return np.array([labels.index(name) for name in array.reshape(-1)], np.int64).reshape(array.shape)


def add_measurements(compilation: Compilation, samples: Sequence[Sample], execute: Execute | None) -> None:
    """Put accuracy on the samples, and with ``execute`` cycles, into the model card."""
    compilation.model.card["accuracy"] = card.accuracy(compilation, samples, float_outputs(compilation.imported, samples))
    if execute is not None:
        compilation.model.card["execution"] = card.execution(compilation, samples[0], execute)


__all__ = ["Compilation", "Options", "OutputMode", "Precision", "Privacy", "add_measurements", "compile_imported", "import_file"]
