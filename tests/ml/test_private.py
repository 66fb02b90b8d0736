"""Private weights: the public files are the same for all weights, and the guest is safe for any private words."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray
from onnx import helper

from tests.ml.models import agreed, compiled, model_of, normal, run_guest
from tests.ml.test_classical import boosted
from tests.ml.weights import DRAWS, FAMILIES, KINDS
from zkvm.errors import GuestError, GuestTrap, UsageError, VerificationError
from zkvm.ml import compiler, residence
from zkvm.ml.card import error_relative_to_range
from zkvm.ml.code import PRIVATE, CodeWriter
from zkvm.ml.compiler import Compilation, Options, OutputMode, Precompiles, Privacy, add_measurements, build_guest, float_outputs
from zkvm.ml.interface import ModelInterface
from zkvm.ml.ir import evaluate
from zkvm.ml.operations.binary import Sum, elementwise
from zkvm.ml.operations.rearranging import TensorConstant
from zkvm.ml.operations.select import Lookup
from zkvm.ml.operations.tensor_private import TensorPrivate
from zkvm.ml.operations.trees import Trees
from zkvm.ml.operators import sums
from zkvm.ml.package import CompiledModel, profiled_run
from zkvm.ml.twin import refuse_leaks
from zkvm.riscv.isa import opcodes
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

PRIVATE_WEIGHTS = Options(privacy=Privacy(private_weights=True, saturate=True))
PUBLIC_FILES = ("model.c", "model.elf", "model.json")


@pytest.fixture(autouse=True)
def twins(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Each source is built once; twins, which would find the leaks that most of these tests look for, are left out until this is called."""
    monkeypatch.setattr(compiler, "build_guest", BUILD)
    monkeypatch.setattr(compiler, "refuse_leaks", lambda *arguments: None)
    return lambda: monkeypatch.setattr(compiler, "refuse_leaks", refuse_leaks)


BUILD = cache(build_guest)


def private(name: str, draw: str = "other", options: Options = PRIVATE_WEIGHTS) -> Compilation:
    return compiled(*FAMILIES[name](DRAWS[draw]()), options)


def some(names: Iterable[str], every: int = 4) -> list[Any]:
    """All names, of which ``make test`` takes one of ``every``, and ``make test-long`` the others too."""
    return [pytest.param(name, marks=() if number % every == 0 else pytest.mark.slow) for number, name in enumerate(names)]


def public_files(made: Compilation, directory: Path) -> dict[str, bytes]:
    """What is published, without the salted digest of the private words."""
    made.save(directory)
    files = {name: (directory / name).read_bytes() for name in PUBLIC_FILES}
    metadata = json.loads(files["model.json"])
    assert metadata.pop("weights_digest") == made.model.weights_digest
    assert "execution" not in metadata["card"]
    files["model.json"] = json.dumps(metadata).encode()
    return files


def secrets(made: Compilation) -> bytes:
    """What the guest reads of the weights, but for the salt and the digest of the vectors."""
    return made.code.private_words.tobytes() + made.code.private_tensor.tobytes()


@pytest.mark.parametrize("name", FAMILIES)
def test_public_files_are_the_same_for_all_weights(name: str, tmp_path: Path) -> None:
    """The ranges inside the network differ too: they follow from the weights."""
    first = private(name)
    published = public_files(first, tmp_path / "first")
    assert PRIVATE.encode() in published["model.c"]
    for draw in list(DRAWS)[1:]:
        other = private(name, draw)
        assert secrets(other) != secrets(first), "the weights are others"
        assert public_files(other, tmp_path / draw) == published, draw


def test_measurements_publish_only_the_digest(tmp_path: Path) -> None:
    files = []
    for draw in ("other", "large"):
        model, samples = FAMILIES["scalars"](DRAWS[draw]())
        made = compiled(model, samples, PRIVATE_WEIGHTS)
        add_measurements(made, samples, profiled_run)
        assert {"accuracy", "weight_digests", "approximation_errors"} <= set(made.model.card)
        files.append(public_files(made, tmp_path / draw))
        owners = CompiledModel.load(tmp_path / draw)
        assert owners.card == json.loads(json.dumps(made.model.card))
        public = ModelInterface.read(tmp_path / draw)
        assert public.weights_digest == owners.weights_digest
        assert "execution" not in public.card
        shown = made.model.interface()
        assert (type(shown), replace(shown, card=public.card)) == (ModelInterface, public)
        assert json.loads(json.dumps(shown.card)) == public.card
    assert files[0] == files[1]


def counts_by_chip(made: Compilation, integers: list[NDArray[np.int64]]) -> dict[str, int]:
    """Rows of every chip, which the heights of a proof's tables tell roughly.

    Which words of a private table are read depends on the input, and a word that is read again after long is refreshed; so there the
    chip that does this is left out.
    """
    run = execute(load_image(made.model.elf), made.model.stdin(integers))
    assert run.exit_code == 0
    chosen = any(isinstance(operation, Lookup | Trees) or getattr(operation, "secret", False) for operation in made.graph.operations)
    return {chip.name: chip.rows(run) for chip in machine().chips if chip.first is None and not (chosen and chip.name == "refresh")}


@pytest.mark.parametrize("name", some(KINDS))
def test_counts_are_the_same_for_all_weights_and_inputs(name: str) -> None:
    random = np.random.default_rng(0)
    counts = []
    for draw in ("other", "small", "large"):
        made = private(name, draw)
        bounds = [(value.shape, value.lo, value.hi) for value in made.graph.inputs]
        counts.append(counts_by_chip(made, [np.full(shape, lo) for shape, lo, _ in bounds]))
        counts.append(counts_by_chip(made, [np.full(shape, hi) for shape, _, hi in bounds]))
        counts.append(counts_by_chip(made, [np.full(shape, max(lo, 0)) for shape, lo, _ in bounds]))
        counts += [counts_by_chip(made, [random.integers(lo, hi + 1, shape) for shape, lo, hi in bounds]) for _ in range(3)]
    assert counts[0]["multiply"] + counts[0]["add"] > 0
    assert all(count == counts[0] for count in counts)


@pytest.mark.parametrize("bits", [pytest.param(8, marks=pytest.mark.slow), 16])
@pytest.mark.parametrize("name", some(KINDS))
def test_guest_and_integer_model_agree(name: str, bits: int, twins: Callable[[], None]) -> None:
    """Also where a scale in the journal says what the integers mean; and twins have nothing against the model."""
    twins()
    model, samples = FAMILIES[name](DRAWS["other"]())
    options = Options(precision=compiler.Precision(bits, bits), privacy=Privacy(private_weights=True, saturate=True))
    public = Options(precision=compiler.Precision(bits, bits), privacy=Privacy(saturate=True))
    made, open_ = compiled(model, samples, options), compiled(model, samples, public)
    for sample, expected in zip(samples, float_outputs(made.imported, samples), strict=True):
        integers, _ = made.model.quantize([sample[port.name] for port in made.imported.inputs])
        results = agreed(made, integers)
        decoded = made.model.decode(made.journal(results)).tensors
        for tensor, value, result in zip(made.model.outputs, made.graph.outputs, results, strict=True):
            np.testing.assert_array_equal(decoded[tensor.name], value.dequantize(result))
        worst = worst_error(made, integers, expected)
        assert worst <= max(0.002 if bits == 16 else 0.05, 2 * worst_error(open_, open_.model.quantize(list(sample.values()))[0], expected))


def worst_error(made: Compilation, integers: list[NDArray[np.int64]], expected: list[NDArray[np.generic]]) -> float:
    results = evaluate(made.graph, integers)
    pairs = zip(made.graph.outputs, results, expected, strict=True)
    return max(error_relative_to_range(value.dequantize(result), real) for value, result, real in pairs)


def test_an_operation_that_forgets_is_found(twins: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A number in the text, or a choice of code by a weight: the twin's code differs, and nothing is compiled."""
    twins()
    options = replace(PRIVATE_WEIGHTS, precompiles=Precompiles.NONE)
    private("sum of layers", options=options)

    def literal(self: Sum, code: CodeWriter) -> None:
        elementwise(code, self, f"(a * {self.left} + b * {self.right}) >> {code.shift(self.shift)}")

    def chosen(self: Sum, code: CodeWriter) -> None:
        elementwise(code, self, "a + b" if self.left > self.right else "b + a")
        code.number(self.left)

    model, samples = FAMILIES["sum of layers"](DRAWS["other"]())
    for leaking in (literal, chosen):
        monkeypatch.setattr(Sum, "emit", leaking)
        with pytest.raises(GuestError, match="would tell something"):
            compiled(model, samples, options)


def test_a_call_that_forgets_is_found(twins: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum of tensors whose weights are in the image: the twin's differ, and nothing is compiled."""
    twins()
    model, samples = FAMILIES["sum of layers"](DRAWS["other"]())
    compiled(model, samples, PRIVATE_WEIGHTS)

    secret_sum = sums.secret_sum
    monkeypatch.setattr(sums, "secret_sum", lambda *arguments: replace(secret_sum(*arguments), limit=0))
    with pytest.raises(GuestError, match="would tell something"):
        compiled(model, samples, PRIVATE_WEIGHTS)


def test_a_constant_in_the_image_is_found(twins: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    twins()
    nodes = [helper.make_node("MatMul", ["x", "w"], ["s"], name="scores"), helper.make_node("Add", ["s", "b"], ["y"], name="shifted")]
    samples = [{"x": normal(6, 32, seed=number)} for number in range(3)]
    model = model_of(
        [*nodes, helper.make_node("Relu", ["s"], ["r"], name="cut")], samples[0], ["y", "r"], {"w": normal(32, 40), "b": normal(40)}
    )
    assert any(isinstance(operation, TensorPrivate) for operation in compiled(model, samples, PRIVATE_WEIGHTS).graph.operations)
    monkeypatch.setattr(residence, "TensorPrivate", TensorConstant)
    with pytest.raises(GuestError, match="would tell something"):
        compiled(model, samples, PRIVATE_WEIGHTS)


HOSTILE: dict[str, Callable[[np.random.Generator, int], NDArray[Any]]] = {
    "largest": lambda random, size: np.full(size, 0x7FFFFFFF),
    "ones": lambda random, size: np.full(size, -1),
    "smallest": lambda random, size: np.full(size, -(1 << 31)),
    "zeros": lambda random, size: np.zeros(size),
    "random": lambda random, size: random.integers(-(1 << 31), 1 << 31, size),
    "random bits": lambda random, size: random.integers(0, 1 << 31, size) >> random.integers(0, 31, size),
    "mixed": lambda random, size: random.choice([-(1 << 31), -1, 0, 1, 31, 32, 63, 64, 0x7FFFFFFF], size),
}


def objects(elf: bytes) -> dict[str, tuple[int, int]]:
    """First and last address of everything that the guest's symbol table calls an object."""
    table: Any = ELFFile(io.BytesIO(elf)).get_section_by_name(".symtab")
    entries = [entry for entry in table.iter_symbols() if entry["st_info"]["type"] == "STT_OBJECT" and entry["st_size"]]
    return {entry.name: (entry["st_value"], entry["st_value"] + entry["st_size"]) for entry in entries}


def stay_inside(made: Compilation, run: Execution) -> None:
    """Every access is to an object or to the stack; every store of the layers to an activation, or to what they keep for themselves."""
    known = objects(made.model.elf)
    arena = known["arena"]
    # A message that a panic shows is no object.
    steps = run.steps[(run.steps["rom"] == 0) | (run.exit_code == 0)]
    operations = run.image.program["op"][steps["row"]]
    stack = int(steps["address"][np.isin(operations, STORES)].max(initial=0)) if len(steps) else 0
    for codes, allowed in ((LOADS, list(known.values())), (STORES, [place for name, place in known.items() if name != PRIVATE])):
        addresses = steps["address"][np.isin(operations, codes)].astype(np.int64)
        inside = np.zeros(len(addresses), bool)
        for start, end in allowed:
            inside |= (addresses >= start) & (addresses < end)
        outside = addresses[~inside]
        assert (outside > max(end for _, end in known.values())).all(), "between the objects"
        assert (outside >= stack - STACK_BYTES).all(), "neither an object nor the stack"
    assert arena[1] > arena[0]


LOADS = [opcodes.LW, opcodes.LB, opcodes.LBU, opcodes.LH, opcodes.LHU]
STORES = [opcodes.SW, opcodes.SB, opcodes.SH]
STACK_BYTES = 1 << 14


def hostile_vectors(made: Compilation, random: np.random.Generator) -> bytes:
    """Other private vectors. Lanes that are 0 for all weights stay so: with others there is no proof."""
    vectors = made.code.private_tensor
    assert not made.code.private_byte_rows
    drawn = random.integers(-(1 << 15), 1 << 15, vectors.shape).astype(np.int16)
    changed = np.where(vectors != 0, drawn, vectors)
    return bytes(changed.astype("<i2").tobytes())


@pytest.mark.parametrize("name", some(KINDS))
def test_any_private_words_are_safe(name: str) -> None:
    """Whoever proves chooses them: the run ends with 0 or a panic, and stays within its arrays; it traps only where a tensor is loaded."""
    made = private(name)
    image = load_image(made.model.elf)
    random = np.random.default_rng(0)
    size = len(made.code.private_words)
    drawn = [random.integers(value.lo, value.hi + 1, value.shape) for value in made.graph.inputs]
    inputs = b"".join(tensor.encoded(words) for tensor, words in zip(made.model.inputs, drawn, strict=True))
    for words in HOSTILE.values():
        stdin = bytes(32) + words(random, size).astype(np.int64).astype("<i4").tobytes() + hostile_vectors(made, random)
        run, trap = None, ""
        try:
            run = execute(image, stdin + inputs)
        except GuestTrap as error:
            trap = str(error)
        assert "which is no int16" in trap or run is not None
        if run is None:  # what private words say is no element of a tensor: there is no proof
            continue
        assert run.exit_code in (0, 1)
        stay_inside(made, run)


def test_trees_refuse_positions_outside() -> None:
    """One word after the other: features, next nodes, first rows and outputs; the run that panics has written nothing."""
    made = private("tree classifier")
    image, words = load_image(made.model.elf), made.code.private_words
    inputs = b"".join(np.zeros(value.size, "<i4").tobytes() for value in made.graph.inputs)
    refused = 0
    for place in range(len(words)):
        for word in (1 << 20, -5):
            changed = words.copy()
            changed[place] = word
            run = execute(image, bytes(32) + changed.tobytes() + inputs)
            stay_inside(made, run)
            refused += run.exit_code
            assert run.exit_code == 0 or b"points outside its trees" in run.stderr
    assert refused > 20


def test_boosted_trees_of_any_shape() -> None:
    made = compiled(boosted("xgboost", False), [{"x": normal(1, 10, scale=0.05)}], PRIVATE_WEIGHTS)
    agreed(made, made.model.quantize([normal(1, 10, scale=0.05)])[0])


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_secrets_are_the_owners_alone(tmp_path: Path) -> None:
    """Also if they replace files that everybody could read, and whatever the process's mask is."""
    made = private("0-Gemm")
    (tmp_path / "weights.bin").write_bytes(b"old")
    (tmp_path / "weights.bin").chmod(0o666)
    mask = os.umask(0)
    try:
        made.save(tmp_path)
    finally:
        os.umask(mask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"model.elf": 0o666, "model.c": 0o666, "model.json": 0o666, "weights.bin": 0o600, "card.private.json": 0o600}


def test_secrets_are_never_readable_while_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails leaves the old file and nothing else."""
    made = private("0-Gemm")
    made.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    seen: list[int] = []

    def fail(source: Path, target: Path) -> None:
        seen.append(stat.S_IMODE(Path(source).stat().st_mode))
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        made.save(tmp_path)
    assert seen == [0o600]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def scores(*nodes: onnx.NodeProto, outputs: list[str], constants: dict[str, NDArray[np.generic]]) -> Compilation:
    sample = {"x": normal(1, 8)}
    return compiled(model_of(nodes, sample, outputs, constants), [sample], Options(privacy=Privacy(output=OutputMode.TOP1)))


LAYER = helper.make_node("MatMul", ["x", "w"], ["s"], name="scores")
BEST = helper.make_node("ArgMax", ["s"], ["i"], name="best", axis=1, keepdims=0)
NAMED = helper.make_node("Gather", ["labels", "i"], ["l"], name="named")
WEIGHTS = {"w": normal(8, 4, seed=3), "labels": np.array([7, -2, 30, 4])}


@pytest.mark.parametrize("outputs", [["s"], ["i"], ["l"], ["s", "l"], ["l", "s"], ["s", "i"]])
def test_top1_is_the_label_that_the_model_gives(outputs: list[str]) -> None:
    made = scores(LAYER, BEST, NAMED, outputs=outputs, constants=WEIGHTS)
    seen = set()
    for seed in range(12):
        x = normal(1, 8, seed=seed)
        integers, _ = made.model.quantize([x])
        best = int(evaluate(scores(LAYER, outputs=["s"], constants=WEIGHTS).graph, integers)[0].argmax())
        label = made.model.decode(run_guest(made, integers)[0]).label
        assert label == (int(WEIGHTS["labels"][best]) if "l" in outputs else best)
        seen.add(label)
    assert len(seen) > 1


def test_top1_of_equal_scores_is_the_first() -> None:
    made = scores(LAYER, outputs=["s"], constants={"w": np.ones((8, 4), np.float32)})
    assert made.model.decode(run_guest(made, made.model.quantize([normal(1, 8)])[0])[0]).label == 0


def test_top1_without_a_single_label_is_refused() -> None:
    single = helper.make_node("ReduceSum", ["x"], ["y"], name="value")
    rows = helper.make_node("Reshape", ["x", "shape"], ["y"], name="rows")
    for node, constants, shape in ((single, {}, "1, 1"), (rows, {"shape": np.array([2, 4])}, "2, 4")):
        with pytest.raises(UsageError, match=rf"no single label: y \[{shape}\] \("):
            scores(node, outputs=["y"], constants=constants)


def test_scales_in_the_journal_are_checked() -> None:
    made = private("0-Gemm")
    assert [tensor.scale for tensor in made.model.outputs] == [None]
    journal, _ = run_guest(made, [np.zeros(value.shape, np.int64) for value in made.graph.inputs])
    assert made.model.decode(journal).tensors
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(VerificationError, match="scale"):
            made.model.decode(journal[:68] + np.float64(scale).tobytes() + journal[76:])
