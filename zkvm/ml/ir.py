"""The integer model: values, operations, graph. What the operations compute here *is* the model; the guest agrees bit for bit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.value import Kind, Value

__all__ = ["Graph", "Kind", "Operation", "Value", "View", "evaluate", "evaluate_all"]


TENSORS_COST = 1 << 13
"""What a proof pays for having tables of tensors at all, in instructions."""


@dataclass(eq=False)
class Operation(ABC):
    """One step of the integer model: inputs to one output.

    Attributes:
        name: of the ONNX node that it comes from, for messages and profiles.
        inputs: activations and constants that it reads.
    """

    name: str
    inputs: tuple[Value, ...]
    output: Value

    @property
    def kind(self) -> str:
        """Short name of the operation, for the model card and for function names."""
        return type(self).__name__.lower()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return 0

    @property
    def cost(self) -> int:
        """Instructions of one run, roughly: enough to compare two ways to compute the same."""
        return 4 * self.macs + 10 * self.output.size

    def saturated(self, inputs: Sequence[IntArray], result: IntArray) -> int:
        """How many numbers may have been cut that should not be."""
        return self.output.saturated(result)

    @abstractmethod
    def evaluate(self, *inputs: IntArray) -> IntArray:
        """The output's integers, of the output's shape, from the inputs' integers."""

    @abstractmethod
    def emit(self, code: CodeWriter) -> None:
        """Append C statements that do the same in the guest."""


@dataclass(eq=False)
class View(Operation):
    """The same integers in the same order under another shape, scale or kind. Costs nothing."""

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        return 0

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        return inputs[0].reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""


@dataclass
class Graph:
    """An integer model: operations in order of execution.

    Attributes:
        errors: largest errors that approximations make, by operation name, in units of the output's scale.
        tensors: which value an ONNX tensor is, by name, for comparisons with the float model.
    """

    inputs: list[Value]
    outputs: list[Value]
    operations: list[Operation] = field(default_factory=list)
    errors: dict[str, float] = field(default_factory=dict)
    tensors: dict[str, Value] = field(default_factory=dict)

    @property
    def tensor_operations(self) -> int:
        """How many operations make tensors: they are calls, and no loops of instructions."""
        return sum(operation.output.layout is not None and not isinstance(operation, View) for operation in self.operations)

    @property
    def cost(self) -> int:
        """Instructions of one run, roughly."""
        return sum(operation.cost for operation in self.operations) + (TENSORS_COST if self.tensor_operations else 0)

    @property
    def work(self) -> int:
        """What one run of the model in numpy takes, in the same unit: products of tensors are not cheaper there."""
        return max(self.cost, 4 * self.macs)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return sum(operation.macs for operation in self.operations)

    def constants(self) -> list[Value]:
        """Every constant that an operation or an output reads, once."""
        read = [value for operation in self.operations for value in operation.inputs] + self.outputs
        return list({id(value.storage()): value.storage() for value in read if value.storage().data is not None}.values())


def evaluate(graph: Graph, inputs: Sequence[IntArray], saturated: dict[str, int] | None = None) -> list[IntArray]:
    """Run the integer model: the reference that the guest is compared with.

    Args:
        graph: the integer model.
        inputs: one array of integers per input of the graph, within its bounds.
        saturated: filled with how many results may have been cut, by the operation's name, if there are any.
    """
    held = evaluate_all(graph, inputs, saturated)
    return [held[id(value)].reshape(value.shape) if value.data is None else value.data.reshape(value.shape) for value in graph.outputs]


def evaluate_all(graph: Graph, inputs: Sequence[IntArray], saturated: dict[str, int] | None = None) -> dict[int, IntArray]:
    """Run the integer model: the integers of every value that is not constant, by its ``id``. See :func:`evaluate`."""
    held: dict[int, IntArray] = {id(value): array.reshape(value.shape) for value, array in zip(graph.inputs, inputs, strict=True)}

    def read(value: Value) -> IntArray:
        return held[id(value)] if value.data is None else value.data.reshape(value.shape)

    for operation in graph.operations:
        arrays = list(map(read, operation.inputs))
        result = held[id(operation.output)] = operation.evaluate(*arrays)
        count = operation.saturated(arrays, result) if saturated is not None else 0
        if saturated is not None and count:
            saturated[operation.name] = saturated.get(operation.name, 0) + count
    return held
