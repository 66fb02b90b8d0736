"""Sums of tree leaves' weights, reached by comparing features with thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml.arithmetic import IntArray, Rescale
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation


@dataclass(eq=False)
class Trees(Operation):
    """y = requantize(base + sum over trees of the reached leaf's weights). Every walk takes ``depth`` steps: a leaf's next node is itself.

    Attributes:
        nodes: (n, 4): feature, threshold (of a leaf its first row of ``leaves``), next node if x[feature] <= threshold, next node if not.
        roots: first node of each tree.
        leaves: (m, 2): output, weight; each leaf has ``per_leaf`` rows, of which some add 0.
        base: (outputs,).
    """

    nodes: IntArray
    roots: IntArray
    depth: int
    leaves: IntArray
    per_leaf: int
    base: IntArray
    rescaling: Rescale

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        rows = inputs[0].reshape(-1, self.inputs[0].shape[-1])
        which = np.arange(len(rows))[:, None]
        places = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        for _ in range(self.depth):
            feature, threshold, yes, no = np.moveaxis(self.nodes[places], -1, 0)
            places = np.where(rows[which, feature] <= threshold, yes, no)
        first = self.nodes[places][..., 1]
        reached = self.leaves[first[..., None] + np.arange(self.per_leaf)]
        result = np.broadcast_to(self.base, (len(rows), len(self.base))).copy()
        np.add.at(result, (which[..., None], reached[..., 0]), reached[..., 1])
        return self.rescaling.apply(result).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`; whoever proves chooses the words of a private model, so every position among them is checked."""
        nodes = code.constant(self.nodes, label="nodes")
        roots = code.constant(self.roots, label="roots")
        leaves, base = code.constant(self.leaves, label="leaves"), code.constant(self.base, label="base")
        targets, features = len(self.base), self.inputs[0].shape[-1]
        count = self.inputs[0].size // features
        code.line(f"const struct trees g = {{{features}, {len(self.nodes)}, {len(self.roots)}, {self.depth}, {len(self.leaves)},")
        code.line(f"                          {self.per_leaf}, {targets}, {int(code.private_weights)}}};")
        code.line(f"for (int r = 0; r < {count}; r++) {{")
        code.line(f"    int32_t *y = {code.pointer(self.output)} + r * {targets};")
        code.line(f"    for (int i = 0; i < {targets}; i++) y[i] = {base}[i];")
        code.line(f"    trees(g, {code.pointer(self.inputs[0])} + r * {features}, {nodes}, {roots}, {leaves}, y);")
        code.line(f"    for (int i = 0; i < {targets}; i++) y[i] = {code.rescaled(self.rescaling, 'y[i]')};")
        code.line("}")
