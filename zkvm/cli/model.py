"""What commands do with a compiled model: its program, its input, and what its journal says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zkvm import api
from zkvm.cli.errors import InputFileError
from zkvm.cli.journal import decoded, read_model, show_decoded
from zkvm.cli.options import named, source
from zkvm.cli.output import emit, line
from zkvm.errors import InexactError, UsageError
from zkvm.files import read_at_most
from zkvm.ml.interface import FLAG, METADATA, SATURATED_EXIT
from zkvm.ml.package import GUEST, SATURATION_ADVICE, CompiledModel
from zkvm.ml.samples import MAX_FILE_BYTES, Port, Sample, load_samples, read_samples
from zkvm.ml.tensor import tensor_json

NO_INPUT = "a compiled model needs an input: --input x.npy, x.npz, x.json or -"


@contextmanager
def bad_input() -> Iterator[None]:
    """What a model or its data is refused for is a bad input file, not wrong usage."""
    try:
        yield
    except UsageError as error:
        raise InputFileError(str(error)) from error


def program_of(path: Path) -> Path:
    """The program that a path names: itself, or that of a compiled model.

    Raises:
        InputFileError: a directory without a compiled model.
    """
    if not path.is_dir():
        return path
    if not (path / METADATA).is_file():
        raise InputFileError(f"{path}: Is a directory, and holds no compiled model (zkvm compile writes one)")
    return path / GUEST


def model_view(directory: Path) -> dict[str, Any]:
    """What is public of a compiled model, but for its card."""
    model = read_model(directory)
    return {
        "inputs": [tensor_json(tensor) for tensor in model.inputs],
        "outputs": [tensor_json(tensor) for tensor in model.outputs],
        "weights": model.weights,
        "weights_digest": model.weights_digest,
        "input_mode": model.input_mode,
        "output_mode": model.output_mode,
        "saturation": model.saturation,
        "interface_digest": model.digest.hex(),
    }


def show_model(view: dict[str, Any]) -> None:
    """The same as readable lines."""
    for name in ("input", "output"):
        for tensor in view[f"{name}s"]:
            scale = tensor["scale"] if tensor["kind"] == "real" else None
            limits = "" if tensor["kind"] == "float" else f", {tensor['lo']} to {tensor['hi']}" + (f" times {scale:g}" if scale else "")
            classes = f", {len(tensor['labels'])} classes" if "labels" in tensor else ""
            line(name, f"{tensor['name']}: {tensor['kind']} {tensor['shape']}{limits}{classes}")
    line("weights", " ".join(filter(None, (view["weights"], view["weights_digest"]))))
    line("journal", f"output {view['output_mode']}, digest of the input: {'yes' if view['input_mode'] == 'digest' else 'no'}")
    line("saturation", view["saturation"])


@dataclass(frozen=True, slots=True)
class ModelRun:
    """A compiled model with an input: what the guest reads, and what its journal means.

    Attributes:
        model: what the journal means.
        elf: path of the guest.
        stdin: its private input.
        saturated: elements of the input that were cut to what the model was compiled for.
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
        if self.model.saturation == FLAG:
            return
        session = api.execute(self.elf, self.stdin, max_cycles=max_cycles, max_memory=max_memory, stderr=lambda data: None)
        if session.exit_code == SATURATED_EXIT:
            raise InexactError(f"{session.stderr.decode(errors='replace').strip()}; nothing was proven. {SATURATION_ADVICE}")

    def view(self, journal: bytes) -> dict[str, Any]:
        """The JSON keys that a compiled model adds."""
        extra = decoded(self.model, journal) | {"saturated_inputs": self.saturated}
        return extra | ({"salts": {name: salt.hex() for name, salt in self.salts.items()}} if self.salts else {})

    def show(self, journal: bytes) -> None:
        """Readable lines."""
        if self.saturated:
            line("warning", f"{self.saturated} input values were outside what the model was compiled for, and cut")
        show_decoded(self.view(journal))


def model_run(directory: Path, input_file: Path | None, sample: int | None = None) -> ModelRun:
    """Load a compiled model and its input.

    Args:
        directory: of the model.
        input_file: holds one sample, or several.
        sample: which of them, from 0; None: there is one.

    Raises:
        UsageError: no input.
        InputFileError: not a compiled model, or the input does not fit it, or holds another number of samples.
    """
    model, samples = model_and_samples(directory, input_file)
    if sample is None and len(samples) > 1:
        raise InputFileError(
            f"{_named(input_file)}: {len(samples)} samples, and a run takes one: choose it with --sample N, from 0 to {len(samples) - 1}, "
            "or see all of them with zkvm run --execute-only --all"
        )
    if sample is not None and sample >= len(samples):
        raise InputFileError(f"{_named(input_file)}: no sample {sample}: there are {len(samples)}, numbered from 0")
    return _with_input(model, directory, samples[sample or 0], _named(input_file))


def model_and_samples(directory: Path, input_file: Path | None) -> tuple[CompiledModel, list[Sample]]:
    """A compiled model, and all samples of a file.

    Raises:
        UsageError: no input.
        InputFileError: not a compiled model, or the input does not fit it.
    """
    program_of(directory)
    if input_file is None:
        raise UsageError(NO_INPUT)
    with bad_input():
        model = CompiledModel.load(directory)
        return model, samples_in(input_file, model.inputs)


def samples_in(path: Path, inputs: Sequence[Port]) -> list[Sample]:
    """All samples of a file, or of the standard input, where the content tells its kind.

    Raises:
        UsageError: they cannot be read, or do not fit the inputs.
    """
    if source(path) == path:
        return load_samples(path, inputs)
    data = read_at_most(source(path), MAX_FILE_BYTES)
    if data is None:
        raise UsageError(f"{named(path)}: more than {MAX_FILE_BYTES} bytes")
    return read_samples(data, inputs, named(path))


def _named(path: Path | None) -> str:
    return "" if path is None else named(path)


def _with_input(model: CompiledModel, directory: Path, sample: Sample, named: str) -> ModelRun:
    try:
        integers, saturated = model.words(sample)
    except UsageError as error:
        raise InputFileError(f"{named}: {error}") from error
    salts = model.fresh_salts()
    return ModelRun(model, directory / GUEST, model.stdin(integers, salts), saturated, salts)


def all_runs(directory: Path, input_file: Path) -> list[ModelRun]:
    """A compiled model with every sample of a file.

    Raises:
        InputFileError: not a compiled model, or a sample does not fit it.
    """
    model, samples = model_and_samples(directory, input_file)
    single = len(samples) == 1
    said = named(input_file)
    names = [said if single else f"{said}, sample {number}" for number in range(len(samples))]
    return [_with_input(model, directory, sample, name) for sample, name in zip(samples, names, strict=True)]


def refused_exits(directory: Path) -> dict[int, str]:
    """Exit codes of runs of a compiled model that are not proven, and what is said of them.

    Raises:
        InputFileError: not a compiled model.
    """
    with bad_input():
        return CompiledModel.load(directory).refused_exits()


def execute_all(directory: Path, input_file: Path | None, limits: tuple[int | None, int | None], as_json: bool) -> bool:
    """Run a compiled model on every sample of a file, without proving, and print what it gives; whether all runs ended well.

    Every sample is looked at before the first one runs.

    Args:
        directory: of the model.
        input_file: of the samples.
        limits: cycles and bytes of a run.
        as_json: one JSON object, else lines.

    Raises:
        UsageError: no input.
        InputFileError: not a compiled model, or a sample does not fit it.
    """
    program_of(directory)
    if input_file is None:
        raise UsageError(NO_INPUT)
    runs = all_runs(directory, input_file)
    program, views = runs[0].model.elf, []
    for number, run in enumerate(runs):
        session = api.execute(program, run.stdin, max_cycles=limits[0], max_memory=limits[1])
        view = {"exit_code": session.exit_code, "journal": session.journal.hex(), "cycles": session.cycles}
        views.append(view if session.exit_code else view | run.view(session.journal))
        if not as_json:
            line("sample", f"{number}: exit code {session.exit_code}, {session.cycles} cycles")
            if session.exit_code:
                line("error", session.stderr.decode(errors="replace").strip())
            else:
                run.show(session.journal)
    if as_json:
        emit({"samples": views})
    return all(view["exit_code"] == 0 for view in views)
