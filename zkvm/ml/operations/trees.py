"""Sums of tree leaves' weights, reached by comparing features with thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import IntArray, Rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation

LEAF = -1


@dataclass(eq=False)
class Trees(Operation):
    """y = requantize(base + sum over trees of the reached leaf's weights).

    Attributes:
        nodes: (n, 4): feature (or -1: a leaf), threshold (or first row of ``leaves``), next node if x[feature] <= threshold, next
            node if not (or the number of rows of ``leaves``).
        roots: first node of each tree.
        leaves: (m, 2): output, weight.
        base: (outputs,).
    """

    nodes: IntArray
    roots: IntArray
    leaves: IntArray
    base: IntArray
    rescaling: Rescale

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        features = len(self.base)
        rows = inputs[0].reshape(-1, self.inputs[0].shape[-1])
        result = np.zeros((len(rows), features), np.int64)
        for number, row in enumerate(rows):
            sums = self.base.copy()
            for root in self.roots:
                node = self.nodes[root]
                while node[0] != LEAF:
                    node = self.nodes[node[2] if row[node[0]] <= node[1] else node[3]]
                for target, weight in self.leaves[node[1] : node[1] + node[3]]:
                    sums[target] += weight
            result[number] = sums
        return self.rescaling.apply(result).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        nodes = code.constant(self.nodes, label="nodes")
        roots = code.constant(self.roots, label="roots")
        leaves, base = code.constant(self.leaves, label="leaves"), code.constant(self.base, label="base")
        targets, features = len(self.base), self.inputs[0].shape[-1]
        count = self.inputs[0].size // features
        code.line(f"for (int r = 0; r < {count}; r++) {{")
        code.line(f"    int32_t *y = {code.pointer(self.output)} + r * {targets};")
        code.line(f"    for (int i = 0; i < {targets}; i++) y[i] = {base}[i];")
        code.line(f"    trees({code.pointer(self.inputs[0])} + r * {features}, {nodes}, {roots}, {len(self.roots)}, {leaves}, y);")
        code.line(f"    for (int i = 0; i < {targets}; i++) y[i] = {self.rescaling.expression('y[i]')};")
        code.line("}")
