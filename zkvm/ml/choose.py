"""Which nodes of a model compute in floats: none where fixed point gives the same answers, all where floats cost little.

Floats need no ranges and give the float model's answers, at two to three times the instructions of fixed point. So a cheap model is in
floats. A dear one is tried in fixed point first; while the gate says that answers differ, the node where the error begins becomes a float
one; then everything but its large layers; then everything. Labels that did not differ but are likely to on other inputs, because the float
model decides so closely (``margins.py``), are as bad as differing ones.

With private weights nothing is tried, because what a trial finds would say something about them: the choice follows from the costs,
which follow from the architecture, and from what the user says.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

from zkvm.errors import UsageError
from zkvm.ml.compilation import Arithmetic, Options
from zkvm.ml.gate import Agreement
from zkvm.ml.importer import ImportedModel
from zkvm.ml.ir import Graph, Kind, View
from zkvm.ml.quantize import Everything, first_output, quantize
from zkvm.ml.ranges import TensorInfo

CHEAP = 1 << 18
"""Instructions below which floats are taken without a trial: no proof is much cheaper than one of so many."""
WORTHWHILE = 0.8
"""Fixed point that costs more than this part of what floats cost is not worth its ranges."""
MAX_TRIALS, BUDGET = 8, 1 << 28
"""How many choices are tried at most, and instructions that they may take in one run each, together: a trial runs a model many times."""
LIKELY = 1e-3
"""Labels that may be expected to differ in an input that was not tried."""
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
ALWAYS = (("ai.onnx.ml", "TreeEnsembleRegressor"),)
"""Operators that compare inputs with numbers from the same data, so that a rounding takes the other branch; floats cost them nothing."""


@dataclass(frozen=True)
class Trial:
    """A choice that was tried.

    Attributes:
        float_nodes, nodes: how many compute in floats, of how many.
        holds: what the gate said. sure: whether differing labels are unlikely on other inputs.
        cost: instructions, roughly.
    """

    float_nodes: int
    nodes: int
    holds: bool
    sure: bool
    cost: int

    def as_json(self) -> dict[str, Any]:
        """For the model card."""
        return {"float_nodes": self.float_nodes, "nodes": self.nodes, "holds": self.holds, "sure": self.sure, "cost": self.cost}


@dataclass(frozen=True, slots=True)
class Choice:
    """An integer model, its nodes in floats (by first output), what was tried, and what the gate said of it if it was asked."""

    graph: Graph
    floats: Container[str]
    trials: tuple[Trial, ...] = ()
    agreement: Agreement | None = None

    def as_json(self) -> dict[str, Any]:
        """For the model card: how many of the operations are in floats, and what was tried before."""
        kinds = [operation.output.kind for operation in self.graph.operations if not isinstance(operation, View)]
        return {
            "float_operations": kinds.count(Kind.FLOAT),
            "fixed_operations": kinds.count(Kind.REAL),
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

    def lowered(floats: Container[str]) -> Graph:
        return quantize(model, tensors, options.precision, private, floats)

    if options.arithmetic is Arithmetic.FIXED:
        return Choice(lowered(frozenset()), frozenset())
    everything = Choice(lowered(Everything()), Everything())
    if options.arithmetic is Arithmetic.FLOAT or everything.graph.cost <= CHEAP:
        return everything
    always = frozenset(first_output(node) for node in model.nodes if (node.domain, node.operator) in ALWAYS)
    if private:
        graph = lowered(always)
        return Choice(graph, always) if graph.cost <= WORTHWHILE * everything.graph.cost else everything
    return _tried(model, lowered, agreement, always, everything)


def _tried(
    model: ImportedModel,
    lowered: Callable[[Container[str]], Graph],
    agreement: Callable[[Graph], Agreement],
    always: frozenset[str],
    everything: Choice,
) -> Choice:
    """The first of the choices, from the cheapest on, that the gate lets pass; everything in floats if none does."""
    trials: list[Trial] = []
    all_but_layers = frozenset(first_output(node) for node in model.nodes if node.operator not in LAYERS)
    candidates = [always, all_but_layers | always]
    seen: set[frozenset[str]] = set()
    while candidates and len(trials) < MAX_TRIALS and sum(trial.cost for trial in trials) < BUDGET:
        floats = candidates.pop(0)
        if floats in seen:
            continue
        seen.add(floats)
        try:
            graph = lowered(floats)
        except UsageError:
            continue
        if graph.cost > WORTHWHILE * everything.graph.cost:
            continue
        result = agreement(graph)
        sure = result.expected_flips <= max(LIKELY, result.limits.max_flips)
        trials.append(Trial(len(floats), len(model.nodes), result.holds, sure, graph.cost))
        if result.holds and sure:
            return Choice(graph, floats, tuple(trials), result)
        if result.error > result.limits.max_error or result.saturated or result.outside:  # labels alone: every rounding has a part in it
            candidates.insert(0, _wider(model, floats, result.begins))
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
