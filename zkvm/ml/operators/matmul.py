"""MatMul: a layer if one factor is constant, else a product of two activations."""

from __future__ import annotations

import numpy as np

from zkvm.ml.ir import Kind
from zkvm.ml.lowering import Context, lowers, lowers_float
from zkvm.ml.node import Node
from zkvm.ml.operations.floatmatmul import FloatProduct
from zkvm.ml.operations.matmul import MatrixProduct
from zkvm.ml.operators.common import broadcast, fused_target
from zkvm.ml.operators.integer_sums import lower_integer_product
from zkvm.ml.operators.integers import has_integers
from zkvm.ml.operators.linear import matmul_constant_left, matmul_constant_right
from zkvm.ml.operators.tensor_products import product_in_tensors
from zkvm.ml.operators.tensors import lower_to_tensors


@lowers_float("MatMul")
@lowers("MatMul")
def lower_matmul(context: Context, node: Node) -> None:
    """Matrix product: a linear layer if one factor is constant, else a product of activations."""
    if lower_to_tensors(context, node):
        return
    left, right = (context.constants.get(name) for name in node.inputs)
    if has_integers(context, node):
        lower_integer_product(context, node)
    elif right is not None and right.ndim == 2:
        matmul_constant_right(context, node, right)
    elif left is not None and left.ndim == 2 and len(context.info(node.inputs[1]).shape) == 2:
        matmul_constant_left(context, node, left)
    elif not product_in_tensors(context, node):
        lower_product(context, node)


def lower_product(context: Context, node: Node) -> None:
    """MatMul of two activations, of any ranks."""
    left, right = (context.operand(name) for name in node.inputs)
    if len(left.shape) == 1:
        left = context.view(left, (1, *left.shape))
    if len(right.shape) == 1:
        right = context.view(right, (*right.shape, 1))
    batch = tuple(np.broadcast_shapes(left.shape[:-2], right.shape[:-2]))
    left = broadcast(context, node.name, left, (*batch, *left.shape[-2:]))
    right = broadcast(context, node.name, right, (*batch, *right.shape[-2:]))
    if left.kind is Kind.FLOAT:
        product = FloatProduct(node.name, (left, right), context.float_value(context.info(node.outputs[0]).shape, node.name))
        context.bind(node.outputs[0], context.add(product))
        return
    output = fused_target(context, node.outputs[0])
    total = left.magnitude * right.magnitude * left.shape[-1]
    drop = max(0, total.bit_length() - 30)
    bound = (total >> drop) + 1
    factor = context.rescale(left.scale * right.scale * 2.0**drop / output.scale, bound, output, node.name)
    context.add(MatrixProduct(node.name, (left, right), output, drop, factor))
