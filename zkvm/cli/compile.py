"""``zkvm compile``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from zkvm.cli.model import bad_input, samples_in
from zkvm.cli.options import JsonOption
from zkvm.cli.output import committed, emit, line
from zkvm.errors import UsageError
from zkvm.ml import MISSING
from zkvm.ml.package import OWNERS_CARD, SHOWN_OF_PRIVATE, WEIGHTS, CompiledModel, profiled_run

CalibrationOption = Annotated[
    Path,
    typer.Option(
        "--calibration",
        metavar="DATA|-",
        help='typical inputs: .npy, .npz or {"input_data": [[...]]}; - is standard input',
        show_default=False,
    ),
]
ShapeOption = Annotated[list[str] | None, typer.Option("--shape", metavar="NAME=D,D,...", help="shape of an input with open dimensions")]
ArithmeticOption = Annotated[
    str, typer.Option("--arithmetic", metavar="auto|fixed|float", help="what real numbers become; auto: floats unless that is dear")
]
PrecompilesOption = Annotated[
    str, typer.Option("--precompiles", metavar="auto|none", help="auto: layers are tensor calls where that is cheaper")
]
DomainOption = Annotated[
    list[str] | None,
    typer.Option("--domain", metavar="NAME=lo:hi", help="what an input, or NAME[column], can be; or a JSON file of these"),
]
MaxErrorOption = Annotated[
    float,
    typer.Option("--max-error", metavar="PART", help="largest error of an output, as a part of its range, that is accepted", min=0),
]
SaturateOption = Annotated[
    bool, typer.Option("--saturate", help="cut values inside that are too large, and say so in the journal, instead of ending the run")
]
WORTH_A_LINE = 0.01
"""Part of the cells that instructions and calls are charged: what a layer has at least that is shown."""
RARE = 1e-6
"""Labels that are expected to differ less often are not worth a line."""


def compile_model(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="the model", show_default=False)],
    calibration: CalibrationOption,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="the directory to write", show_default=False)],
    shape: ShapeOption = None,
    method: Annotated[str, typer.Option("--method", metavar="minmax|percentile|mse", help="how ranges follow from the data")] = "minmax",
    activation_bits: Annotated[int, typer.Option("--activation-bits", metavar="8|16", help="8 is faster, 16 more exact")] = 16,
    weight_bits: Annotated[int, typer.Option("--weight-bits", metavar="2..16", help="at most; fewer where sums need room")] = 16,
    arithmetic: ArithmeticOption = "auto",
    precompiles: PrecompilesOption = "auto",
    weights: Annotated[str, typer.Option("--weights", metavar="public|private", help="private: input, with a salted digest")] = "public",
    domain: DomainOption = None,
    max_error: MaxErrorOption = 0.01,
    max_flips: Annotated[int, typer.Option("--max-flips", metavar="N", help="differing labels that are accepted", min=0)] = 0,
    accept_inexact: Annotated[bool, typer.Option("--accept-inexact", help="write the model whatever the comparison finds")] = False,
    saturate: SaturateOption = False,
    commit_input: Annotated[bool, typer.Option("--commit-input", help="commit a salted digest of the input")] = False,
    output: Annotated[str, typer.Option("--output", metavar="full|top1|digest", help="what the journal says")] = "full",
    measure: Annotated[bool, typer.Option("--measure/--no-measure", help="run the guest once for the model card")] = True,
    as_json: JsonOption = False,
) -> None:
    """Compile an ONNX model to a guest whose answers are the model's."""
    try:
        from zkvm.ml import compiler
        from zkvm.ml.calibrate import Method
        from zkvm.ml.domain import parse_domain
    except ImportError as error:
        raise UsageError(MISSING) from error
    for name, value, allowed in (
        ("--method", method, tuple(Method)),
        ("--weights", weights, ("public", "private")),
        ("--output", output, tuple(compiler.OutputMode)),
        ("--arithmetic", arithmetic, tuple(compiler.Arithmetic)),
        ("--precompiles", precompiles, tuple(compiler.Precompiles)),
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
        arithmetic=compiler.Arithmetic(arithmetic),
        precompiles=compiler.Precompiles(precompiles),
    )
    with bad_input():
        imported = compiler.import_file(model, options)
        samples = samples_in(calibration, imported.inputs)
        compilation = compiler.compile_imported(imported, samples, options)
    found = compiler.add_measurements(compilation, samples, profiled_run if measure else None)
    found.demand()
    compilation.save(out)
    _show(compilation.model, out, as_json)


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, equals, dimensions = text.rpartition("=")
    try:
        return name, tuple(int(part) for part in dimensions.split(",")) if equals else ()
    except ValueError as error:
        raise UsageError(f"--shape {text}: write NAME=1,3,32,32") from error


def _show(model: CompiledModel, directory: Path, as_json: bool) -> None:
    card = model.card
    if as_json:
        emit({"directory": str(directory), "card": card, "weights_digest": model.weights_digest})
        return
    line("model", directory)
    line("operators", ", ".join(f"{name} {count}" for name, count in card["operators"].items()))
    line("parameters", card["parameters"])
    line("multiplications", card["macs"])
    _show_arithmetic(card["arithmetic"])
    _show_accuracy(card["accuracy"])
    if "execution" in card:
        _show_execution(card["execution"])
    if "not_executed" in card:
        line("cycles", f"not counted: {card['not_executed']}")
    if model.weights == "private":
        line("public", f"{SHOWN_OF_PRIVATE}; not for others: {WEIGHTS}, {OWNERS_CARD}")
        line("weights digest", f"{model.weights_digest} (publish it: verifiers refuse runs with other weights)")


def _show_arithmetic(chosen: dict[str, Any]) -> None:
    floats, fixed = chosen["float_operations"], chosen["fixed_operations"]
    calls = chosen["tensor_operations"]
    texts = ((floats, f"{floats} operations in floats"), (fixed, f"{fixed} in fixed point"), (calls, f"{calls} of them tensor calls"))
    kinds = [text for count, text in texts if count]
    line("arithmetic", f"{', '.join(kinds) or 'integers'}; about {chosen['estimated_instructions']} instructions")
    for trial in chosen["trials"]:
        same = "gives the same answers" if trial["sure"] else "labels are likely to differ on other inputs"
        result = same if trial["holds"] else "does not give the same answers"
        calls = f", {trial['tensor_operations']} tensor calls" if trial["tensor_operations"] else ""
        line("tried", f"{trial['float_nodes']} of {trial['nodes']} nodes in floats{calls}, about {trial['cost']} instructions: {result}")


def _show_accuracy(accuracy: dict[str, Any]) -> None:
    inputs = f"{accuracy['samples']} samples and {accuracy['drawn']} drawn inputs"
    for name, error in accuracy["largest_relative_error"].items():
        line("largest error", f"{100 * error:.4f} % of the range of {name} on {inputs}")
    differing, ties = (sum(accuracy[key].values()) for key in ("label_disagreements", "ties"))
    line("labels", f"{differing} differ" + (f", and {ties} that the float model does not decide" if ties else ""))
    likely = sum(accuracy["expected_disagreements"].values())
    if likely > RARE:
        line("expected", f"on other inputs a label differs about once in {round(1 / likely)}, where the float model hardly decides")
    if accuracy["undefined"]:
        line("undefined", f"{accuracy['undefined']} drawn inputs, for which the float model has no numbers")
    if accuracy["accepted_inexact"]:
        line("warning", "these are not the float model's answers (--accept-inexact); the model card says so")


def _show_execution(execution: dict[str, Any]) -> None:
    line("cycles", execution["cycles"])
    line("cells", committed(execution["cells"], execution["charged_cells"]))
    for layer in execution["layers"]:
        if layer["cells"] >= WORTH_A_LINE * execution["charged_cells"]:
            costs = [f"{layer[unit]} {unit}{_per_product(layer, unit)}" for unit in ("cells", "cycles")]
            line("layer", f"{layer['name']} ({layer['kind']}): {'; '.join(costs)}")
    if execution["predicted_proof_seconds"] is not None:
        line("proof", f"about {execution['predicted_proof_seconds']:.1f} s (predicted, default parameters)")


def _per_product(layer: dict[str, Any], unit: str) -> str:
    found = layer.get(f"{unit}_per_mac")
    return "" if found is None else f", {found:.2f} per multiplication"
