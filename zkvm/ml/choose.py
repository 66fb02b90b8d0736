"""Which nodes of a model compute in floats: none where fixed point gives the same answers, all where floats cost little.

Floats need no ranges and give the float model's answers, at two to three times the instructions of fixed point. So a cheap model is in
floats. A dear one is tried in fixed point first: with layers as tensor calls, whose products cost next to nothing, and then without. While
the gate says that answers differ, the node where the error begins becomes a float one; then everything but its large layers; then
everything. Labels that did not differ but are likely to on other inputs, because the float model decides so closely (``margins.py``), are
as bad as differing ones.

With private weights nothing is tried, because what a trial finds would say something about them: the choice follows from the costs,
which follow from the architecture, and from what the user says.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from zkvm.errors import UsageError
from zkvm.ml.compilation import Arithmetic, Options, Precompiles
from zkvm.ml.gate import Agreement
from zkvm.ml.importer import ImportedModel
from zkvm.ml.ir import TENSORS_COST, Graph, Kind, View
from zkvm.ml.node import first_output
from zkvm.ml.quantize import Everything, quantize
from zkvm.ml.ranges import TensorInfo

CHEAP = 1 << 18
"""Instructions below which floats are taken without a trial: no proof is much cheaper than one of so many."""
PRIVATE_WORD = 20
"""Instructions that cost what it does to read and hash a private word: floats have one for each weight."""
WORTHWHILE = 0.8
"""Fixed point that costs more than this part of what floats cost is not worth its ranges."""
MAX_TRIALS, BUDGET = 8, 1 << 28
"""How many choices are tried at most, and instructions that they may take in one run each, together: a trial runs a model many times."""
LIKELY = 5e-5
"""Labels that may be expected to differ in an input that was not tried. Networks that nobody had trained decide closely: where ten times as
many were expected, labels did differ in one or two of a thousand inputs; where twice as many, of a trained perceptron, in one of two
thousand."""
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
ALWAYS = (("ai.onnx.ml", "TreeEnsembleRegressor"),)
"""Operators that compare inputs with numbers from the same data, so that a rounding takes the other branch; floats cost them nothing."""


class Lowered(Protocol):
    """How a choice becomes an integer model."""

    def __call__(self, floats: Container[str], calls: bool = False) -> Graph:
        """The model with these nodes in floats, and layers as tensor calls if they may be."""


@dataclass(frozen=True)
class Trial:
    """A choice that was tried.

    Attributes:
        float_nodes, nodes: how many compute in floats, of how many.
        holds: what the gate said. sure: whether differing labels are unlikely on other inputs.
        cost: instructions, roughly.
        tensor_operations: how many operations make tensors.
    """

    float_nodes: int
    nodes: int
    holds: bool
    sure: bool
    cost: int
    tensor_operations: int = 0

    def as_json(self) -> dict[str, Any]:
        """For the model card."""
        return {
            "float_nodes": self.float_nodes, "nodes": self.nodes, "holds": self.holds, "sure": self.sure, "cost": self.cost,
            "tensor_operations": self.tensor_operations,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """An integer model, its nodes in floats (by first output), what was tried, what the gate said of it if it was asked, and how it
    has tensor calls, if its weights are private."""

    graph: Graph
    floats: Container[str]
    trials: tuple[Trial, ...] = ()
    agreement: Agreement | None = None
    calls: bool = False

    def as_json(self) -> dict[str, Any]:
        """For the model card: how many of the operations are in floats, and what was tried before."""
        kinds = [operation.output.kind for operation in self.graph.operations if not isinstance(operation, View)]
        return {
            "float_operations": kinds.count(Kind.FLOAT),
            "fixed_operations": kinds.count(Kind.REAL),
            "tensor_operations": self.graph.tensor_operations,
            "estimated_instructions": self.graph.cost,
            "trials": [trial.as_json() for trial in self.trials],
        }


def choose(model: ImportedModel, tensors: Mapping[str, TensorInfo], options: Options, agreement: Callable[[Graph], Agreement]) -> Choice:
    """The cheapest integer model that gives the float model's answers, as far as the user leaves the choice.

    Args:
        model: the simplified model.
        tensors: ranges and kinds, by name.
        options: precision, privacy and arithmetic.
        agreement: the gate.

    Raises:
        UsageError: no lowering takes the model.
    """
    private = options.privacy.private_weights

    def lowered(floats: Container[str], calls: bool = False) -> Graph:
        return quantize(model, tensors, options.precision, private, floats, calls)

    calls = options.precompiles is Precompiles.AUTO
    if private and options.arithmetic is Arithmetic.FIXED:
        return Choice(lowered(frozenset(), calls), frozenset(), calls=calls)
    if options.arithmetic is Arithmetic.FIXED:
        return Choice(_cheaper(lowered, frozenset(), calls), frozenset())
    everything = Choice(lowered(Everything()), Everything())
    cost = everything.graph.cost + (PRIVATE_WORD * sum(array.size for array in model.constants.values()) if private else 0)
    if options.arithmetic is Arithmetic.FLOAT or cost <= CHEAP:
        return everything
    always = frozenset(first_output(node) for node in model.nodes if (node.domain, node.operator) in ALWAYS)
    if private:
        graph = lowered(always, calls)
        # Tables of calls are no part of it: whether loops would be cheaper is not asked, because weights may be too large for them.
        own = graph.cost - (TENSORS_COST if graph.tensor_operations else 0)
        return Choice(graph, always, calls=calls) if own <= WORTHWHILE * cost else everything
    return _tried(model, lowered, calls, agreement, always, everything)


def _cheaper(lowered: Lowered, floats: Container[str], calls: bool) -> Graph:
    """The integer model with tensor calls if it has any and is cheaper, or is the only one; else without."""
    with_calls = _if_possible(lowered, floats, calls) if calls else None
    if with_calls is None or not with_calls.tensor_operations:
        return lowered(floats)
    without = _if_possible(lowered, floats)
    return with_calls if without is None or with_calls.cost < without.cost else without


def _if_possible(lowered: Lowered, floats: Container[str], calls: bool = False) -> Graph | None:
    try:
        return lowered(floats, calls)
    except UsageError:
        return None


def _tried(
    model: ImportedModel,
    lowered: Lowered,
    calls: bool,
    agreement: Callable[[Graph], Agreement],
    always: frozenset[str],
    everything: Choice,
) -> Choice:
    """The first of the choices, from the cheapest on, that the gate lets pass; everything in floats if none does."""
    trials: list[Trial] = []
    all_but_layers = frozenset(first_output(node) for node in model.nodes if node.operator not in LAYERS)
    candidates = [(always, False), (all_but_layers | always, calls)]
    if calls:
        candidates.insert(0, (always, True))
    seen: set[tuple[frozenset[str], bool]] = set()
    spent = 0
    while candidates and len(trials) < MAX_TRIALS and spent < BUDGET:
        floats, tensors = candidates.pop(0)
        try:
            graph = _cheaper(lowered, floats, calls and tensors)
        except UsageError:
            continue
        if (floats, graph.tensor_operations > 0) in seen or graph.cost > WORTHWHILE * everything.graph.cost:
            continue
        seen.add((floats, graph.tensor_operations > 0))
        result = agreement(graph)
        spent += graph.work
        sure = result.expected_flips <= max(LIKELY, result.limits.max_flips)
        trials.append(Trial(len(floats), len(model.nodes), result.holds, sure, graph.cost, graph.tensor_operations))
        if result.holds and sure:
            return Choice(graph, floats, tuple(trials), result)
        if tensors and floats == always:
            continue  # the same with loops comes first
        if result.error > result.limits.max_error or result.saturated or result.outside:  # labels alone: every rounding has a part in it
            candidates.insert(0, (_wider(model, floats, result.begins), calls))
    return Choice(everything.graph, everything.floats, tuple(trials))


def _wider(model: ImportedModel, floats: frozenset[str], tensors: tuple[str, ...]) -> frozenset[str]:
    """More nodes in floats: those that compute the tensors where an error begins; if they are, what these are computed from, and so on."""
    producer = {name: node for node in model.nodes for name in node.outputs if name}
    inputs = {port.name for port in model.inputs}
    wanted = set(tensors)
    while True:
        chosen = {first_output(producer[name]) for name in wanted if name in producer}
        chosen |= {first_output(node) for node in model.nodes if wanted & inputs & set(node.inputs)}
        if not chosen <= floats:
            return floats | chosen
        before = {name for tensor in wanted if tensor in producer for name in producer[tensor].inputs if name in producer or name in inputs}
        if before <= wanted:
            return floats
        wanted |= before
