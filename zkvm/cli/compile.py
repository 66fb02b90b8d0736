"""``zkvm compile``, and what ``zkvm run`` does with a compiled model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from zkvm.api import execute
from zkvm.cli.errors import InputFileError
from zkvm.cli.journal import decoded, show_decoded
from zkvm.cli.output import emit, line
from zkvm.errors import GuestError, InexactError, UsageError
from zkvm.ml.interface import METADATA, SATURATED_EXIT
from zkvm.ml.package import GUEST, OWNERS_CARD, SHOWN_OF_PRIVATE, WEIGHTS, CompiledModel, GuestRun
from zkvm.ml.samples import load_samples
from zkvm.session.profiling import profile as profile_run
from zkvm.session.run import ExecutorEnv

MISSING = "compiling a model needs onnx, onnxruntime and onnxslim: pip install 'zkvm[ml]'"


def compile_model(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="the model", show_default=False)],
    calibration: Annotated[
        Path,
        typer.Option("--calibration", metavar="DATA", help='typical inputs: .npy, .npz or {"input_data": [[...]]}', show_default=False),
    ],
    directory: Annotated[Path, typer.Option("-o", "--directory", metavar="DIR", help="the directory to write", show_default=False)],
    shape: Annotated[
        list[str] | None, typer.Option("--shape", metavar="NAME=D,D,...", help="shape of an input with open dimensions")
    ] = None,
    method: Annotated[str, typer.Option("--method", metavar="minmax|percentile|mse", help="how ranges follow from the data")] = "minmax",
    activation_bits: Annotated[int, typer.Option("--activation-bits", metavar="8|16", help="8 is faster, 16 more exact")] = 16,
    weight_bits: Annotated[int, typer.Option("--weight-bits", metavar="2..16", help="at most; fewer where sums need room")] = 16,
    weights: Annotated[str, typer.Option("--weights", metavar="public|private", help="private: input, with a salted digest")] = "public",
    domain: Annotated[
        list[str] | None,
        typer.Option("--domain", metavar="NAME=lo:hi", help="what an input, or NAME[column], can be; or a JSON file of these"),
    ] = None,
    max_error: Annotated[
        float,
        typer.Option("--max-error", metavar="PART", help="largest error of an output, as a part of its range, that is accepted", min=0),
    ] = 0.01,
    max_flips: Annotated[int, typer.Option("--max-flips", metavar="N", help="differing labels that are accepted", min=0)] = 0,
    accept_inexact: Annotated[bool, typer.Option("--accept-inexact", help="write the model whatever the comparison finds")] = False,
    saturate: Annotated[
        bool, typer.Option("--saturate", help="cut values inside that are too large, and say so in the journal, instead of ending the run")
    ] = False,
    commit_input: Annotated[bool, typer.Option("--commit-input", help="commit a salted digest of the input")] = False,
    output: Annotated[str, typer.Option("--output", metavar="full|top1|digest", help="what the journal says")] = "full",
    measure: Annotated[bool, typer.Option("--measure/--no-measure", help="run the guest once for the model card")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")] = False,
) -> None:
    """Compile an ONNX model to a guest, quantized by typical inputs."""
    try:
        from zkvm.ml import compile as compiler
        from zkvm.ml.calibrate import Method
        from zkvm.ml.domain import parse_domain
    except ImportError as error:
        raise UsageError(MISSING) from error
    for name, value, allowed in (
        ("--method", method, tuple(Method)),
        ("--weights", weights, ("public", "private")),
        ("--output", output, tuple(compiler.OutputMode)),
        ("--activation-bits", activation_bits, (8, 16)),
        ("--weight-bits", weight_bits, range(2, 17)),
    ):
        if value not in allowed:
            raise UsageError(f"{name} {value}: choose one of {', '.join(map(str, allowed))}")
    options = compiler.Options(
        shapes=dict(_shape(text) for text in shape or []),
        method=Method(method),
        precision=compiler.Precision(activation_bits, weight_bits),
        privacy=compiler.Privacy(weights == "private", commit_input, compiler.OutputMode(output), saturate),
        domain=parse_domain(domain or []),
        limits=compiler.Limits(max_error, max_flips, accept_inexact),
    )
    with bad_input():
        imported = compiler.import_file(model, options)
        samples = load_samples(calibration, imported.inputs)
        compilation = compiler.compile_imported(imported, samples, options)
    found = compiler.add_measurements(compilation, samples, profiled_run if measure else None)
    found.demand()
    compilation.save(directory)
    _show(compilation.model, directory, as_json)


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, equals, dimensions = text.rpartition("=")
    try:
        return name, tuple(int(part) for part in dimensions.split(",")) if equals else ()
    except ValueError as error:
        raise UsageError(f"--shape {text}: write NAME=1,3,32,32") from error


def profiled_run(elf: bytes, stdin: bytes) -> GuestRun:
    """Cycles by function of one run, and what a proof of it is predicted to take."""
    profile = profile_run(elf, ExecutorEnv(stdin))
    if profile.session.exit_code:
        raise GuestError(f"the compiled model failed: {profile.session.stderr.decode(errors='replace')}")
    functions = {entry.name: entry.cycles for entry in profile.functions}
    prediction = profile.prediction
    if prediction is None:
        return GuestRun(profile.session.journal, profile.session.cycles, functions, None, None)
    return GuestRun(profile.session.journal, profile.session.cycles, functions, prediction.seconds, prediction.memory_bytes)


def _show(model: CompiledModel, directory: Path, as_json: bool) -> None:
    card = model.card
    if as_json:
        emit({"directory": str(directory), "card": card, "weights_digest": model.weights_digest})
        return
    line("model", directory)
    line("operators", ", ".join(f"{name} {count}" for name, count in card["operators"].items()))
    line("parameters", card["parameters"])
    line("multiplications", card["macs"])
    _show_accuracy(card["accuracy"])
    if "execution" in card:
        _show_execution(card["execution"])
    if model.weights == "private":
        line("public", f"{SHOWN_OF_PRIVATE}; not for others: {WEIGHTS}, {OWNERS_CARD}")
        line("weights digest", f"{model.weights_digest} (publish it: verifiers refuse runs with other weights)")


def _show_accuracy(accuracy: dict[str, Any]) -> None:
    inputs = f"{accuracy['samples']} samples and {accuracy['drawn']} drawn inputs"
    for name, error in accuracy["largest_relative_error"].items():
        line("largest error", f"{100 * error:.4f} % of the range of {name} on {inputs}")
    differing, ties = (sum(accuracy[key].values()) for key in ("label_disagreements", "ties"))
    line("labels", f"{differing} differ" + (f", and {ties} that the float model does not decide" if ties else ""))
    if accuracy["undefined"]:
        line("undefined", f"{accuracy['undefined']} drawn inputs, for which the float model has no numbers")
    if accuracy["accepted_inexact"]:
        line("warning", "these are not the float model's answers (--accept-inexact); the model card says so")


def _show_execution(execution: dict[str, Any]) -> None:
    line("cycles", execution["cycles"])
    for layer in execution["layers"]:
        if "cycles_per_mac" in layer:
            line("layer", f"{layer['name']}: {layer['cycles']} cycles, {layer['cycles_per_mac']:.2f} per multiplication")
    if execution["predicted_proof_seconds"] is not None:
        line("proof", f"about {execution['predicted_proof_seconds']:.1f} s (predicted, default parameters)")


@contextmanager
def bad_input() -> Iterator[None]:
    """What a model or its data is refused for is a bad input file, not wrong usage."""
    try:
        yield
    except UsageError as error:
        raise InputFileError(str(error)) from error


@dataclass(frozen=True, slots=True)
class ModelRun:
    """A compiled model with an input: what the guest reads, and what its journal means.

    Attributes:
        model: what the journal means.
        elf: path of the guest.
        stdin: its private input.
        saturated: elements of the input that were outside the calibrated range.
        salts: of the digests of input and output, as far as there are: needed to show later what was hashed.
    """

    model: CompiledModel
    elf: Path
    stdin: bytes
    saturated: int
    salts: dict[str, bytes]

    def refuse_saturation(self, max_cycles: int | None, max_memory: int | None) -> None:
        """Run the guest once without a proof, unless it goes on when a value inside saturates.

        Raises:
            InexactError: one does; names the layer.
        """
        if self.model.saturation != "refuse":
            return
        session = execute(self.elf, self.stdin, max_cycles=max_cycles, max_memory=max_memory, stderr=lambda data: None)
        if session.exit_code == SATURATED_EXIT:
            raise InexactError(
                f"{session.stderr.decode(errors='replace').strip()}; nothing was proven. Compile with data or a --domain that hold "
                "inputs like this one, or with --saturate"
            )

    def view(self, journal: bytes) -> dict[str, Any]:
        """The JSON keys that a compiled model adds."""
        extra = decoded(self.model, journal) | {"saturated_inputs": self.saturated}
        return extra | ({"salts": {name: salt.hex() for name, salt in self.salts.items()}} if self.salts else {})

    def show(self, journal: bytes) -> None:
        """Readable lines."""
        if self.saturated:
            line("warning", f"{self.saturated} input values were outside the calibrated range and saturated")
        show_decoded(self.view(journal))


def model_run(directory: Path, input_file: Path | None) -> ModelRun:
    """Load a compiled model and its input; of a file with several samples the first.

    Raises:
        UsageError: no input.
        InputFileError: not a compiled model, or the input does not fit it.
    """
    if not (directory / METADATA).is_file():
        raise InputFileError(f"{directory}: Is a directory, and holds no compiled model (zkvm compile writes one)")
    if input_file is None:
        raise UsageError("a compiled model needs an input: --input x.npy, x.npz or x.json")
    with bad_input():
        model = CompiledModel.load(directory)
        sample = load_samples(input_file, model.inputs)[0]
        integers, saturated = model.quantize([sample[tensor.name] for tensor in model.inputs])
        if saturated and model.saturation == "refuse":
            raise UsageError(f"{input_file}: {saturated} values are outside of the range that the model was compiled for: {_ranges(model)}")
    salts = model.fresh_salts()
    return ModelRun(model, directory / GUEST, model.stdin(integers, salts), saturated, salts)


def _ranges(model: CompiledModel) -> str:
    """What the inputs can be, for messages."""
    texts = []
    for tensor in model.inputs:
        scale = tensor.scale if tensor.kind == "real" and tensor.scale is not None else 1
        texts.append(f"{tensor.name} from {tensor.lo * scale:.6g} to {tensor.hi * scale:.6g}")
    return f"{', '.join(texts)} (compile --domain says what can be)"
