"""Sums of tree leaves' weights, reached by comparing features with thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zkvm.ml import float32
from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation


@dataclass(eq=False)
class Trees(Operation):
    """y = base + sum over trees of the reached leaf's weights, rounded once, as floats.

    Features are compared by their keys, of which that of NaN is the largest. There is a second copy of them if ``missing`` says so, where
    NaN is below all others; which one a node reads says where NaN goes. Every walk takes ``depth`` steps: a leaf's next node is itself.

    Attributes:
        nodes: (n, 4): feature, threshold (of a leaf its first row of ``leaves``), next node if x[feature] <= threshold, next node if not.
        roots: first node of each tree.
        leaves: (m, 2): output, weight in units of 2^exponent; each leaf has ``per_leaf`` rows, of which some add 0.
        base: (outputs,) of words.
    """

    nodes: IntArray
    roots: IntArray
    depth: int
    leaves: IntArray
    per_leaf: int
    exponent: int
    base: IntArray
    missing: bool

    @property
    def cost(self) -> int:
        """See :class:`Operation`."""
        rows = self.inputs[0].size // self.inputs[0].shape[-1]
        return len(self.roots) * (20 * self.depth + 20 * self.per_leaf) * rows + 20 * self.inputs[0].size + 100 * self.output.size

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        rows = float32.key(inputs[0].reshape(-1, self.inputs[0].shape[-1]))
        if self.missing:
            rows = np.concatenate([rows, np.where(rows == INT32_MAX, INT32_MIN, rows + 1)], axis=1)
        which = np.arange(len(rows))[:, None]
        places = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        for _ in range(self.depth):
            feature, threshold, yes, no = np.moveaxis(self.nodes[places], -1, 0)
            places = np.where(rows[which, feature] <= threshold, yes, no)
        first = self.nodes[places][..., 1]
        reached = self.leaves[first[..., None] + np.arange(self.per_leaf)]
        sums = np.zeros((len(rows), len(self.base)), np.int64)
        np.add.at(sums, (which[..., None], reached[..., 0]), reached[..., 1])
        return float32.add(float32.scaled(sums, self.exponent), self.base).reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`; whoever proves chooses the words of a private model, so every position among them is checked."""
        nodes = code.constant(self.nodes, label="nodes")
        roots = code.constant(self.roots, label="roots")
        leaves, base = code.constant(self.leaves, label="leaves"), code.constant(self.base, label="base")
        targets, features = len(self.base), self.inputs[0].shape[-1]
        count, copies = self.inputs[0].size // features, 2 if self.missing else 1
        exponent = code.number(self.exponent)
        code.line(f"const struct trees g = {{{copies * features}, {len(self.nodes)}, {len(self.roots)}, {self.depth}, {len(self.leaves)},")
        code.line(f"                          {self.per_leaf}, {targets}, {int(code.private_weights)}}};")
        code.line(f"for (int r = 0; r < {count}; r++) {{")
        code.line(f"    const int32_t *x = {code.pointer(self.inputs[0])} + r * {features};")
        code.line(f"    int32_t *y = {code.pointer(self.output)} + r * {targets};")
        code.line(f"    static uint64_t sums[{targets}];")
        code.line(f"    static int32_t keys[{copies * features}];")
        code.line(f"    for (int i = 0; i < {features}; i++) {{")
        code.line("        keys[i] = f32_key(x[i]);")
        if self.missing:
            code.line(f"        keys[{features} + i] = (int32_t)((uint32_t)keys[i] + 1);")
        code.line("    }")
        code.line(f"    for (int i = 0; i < {targets}; i++) sums[i] = 0;")
        code.line(f"    trees(g, keys, {nodes}, {roots}, {leaves}, sums);")
        code.line(f"    for (int i = 0; i < {targets}; i++) y[i] = f32_add(f32_scaled((int64_t)sums[i], {exponent}), {base}[i]);")
        code.line("}")
