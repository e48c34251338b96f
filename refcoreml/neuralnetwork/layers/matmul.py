"""Matrix products of blobs: adapters over `refcoreml.kernels.linear`. (``innerProduct`` is in ``linear.py``.)"""

from __future__ import annotations

import math
from collections.abc import Sequence

from refcoreml.kernels import linear as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.kernels.elementwise import broadcast_shape
from refcoreml.neuralnetwork.registry import Node, Op, layer


@layer("batchedMatmul", inputs=(1, 2))
def batched_matmul(node: Node) -> Op:
    """Y = a @ b, a matrix product for each place in the leading axes; b is an input, or ``weights`` with a ``bias``.

    Inputs: two, a [*B, N, K] and b [*B', K, M], where *B and *B' broadcast as in NumPy; a vector stands for [1, K] as
    a, for [K, 1] as b. Or one, a [*B, X1], rank 1 to 5.
    Output: of two inputs [*B'', N, M], rank 2 or more; of one [*B, X2], y = a @ weights + bias.
    Parameters:
        ``transposeA``, ``transposeB``, for two inputs: a is [*B, K, N], b [*B', M, K].
        ``weightMatrixFirstDimension`` X1; ``weightMatrixSecondDimension`` X2; ``weights`` [X1, X2], stored column by
        column; ``bias`` [X2] if ``hasBias``; all of them for one input.
    Errors: sizes that do not fit; weights of another size; a bias or int8DynamicQuantize with two inputs.
    Source: ``BatchedMatMulLayerParams``.
    Chosen: the transposition of a vector changes nothing; coremltools' converter refuses that of a.
    ``int8DynamicQuantize`` as in `refcoreml.neuralnetwork.layers.linear.inner_product`.
    """
    return _of_two_inputs(node) if len(node.inputs) == 2 else _with_weights(node)


def _of_two_inputs(node: Node) -> Op:
    params = node.params
    node.require(not params.hasBias, "has a bias, which is allowed only with weights", "Add it in a layer of its own")
    node.require(not params.int8DynamicQuantize, "quantizes dynamically, which is allowed only with weights")

    def shape(a: Shape, b: Shape) -> Shape:
        *batch_a, rows, depth = _matrix_shape(a, params.transposeA, 0)
        *batch_b, depth_b, columns = _matrix_shape(b, params.transposeB, 1)
        node.require(
            depth == depth_b,
            f"cannot multiply {a}{' transposed' * params.transposeA} by {b}{' transposed' * params.transposeB}: "
            f"rows of {depth} numbers, columns of {depth_b}",
        )
        try:
            return *broadcast_shape((), tuple(batch_a), tuple(batch_b)), rows, columns
        except ValueError:
            node.invalid(f"the leading axes of {a} and {b} do not broadcast")

    def run(a: Array, b: Array) -> Array:
        return kernels.batched_matmul(_matrix(a, params.transposeA, 0), _matrix(b, params.transposeB, 1))

    def work(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        return math.prod(outputs[0]) * _matrix_shape(inputs[0], params.transposeA, 0)[-1]

    return Op(run, shape, fresh=True, work=work)


def _matrix_shape(x: Shape, transpose: bool, new_axis: int) -> Shape:
    if len(x) == 1:
        return (1, *x) if new_axis == 0 else (*x, 1)
    return (*x[:-2], x[-1], x[-2]) if transpose else x


def _matrix(x: Array, transpose: bool, new_axis: int) -> Array:
    """X with its last two axes exchanged, if wanted; a vector gets a second axis."""
    if x.ndim == 1:
        return x.reshape(_matrix_shape(x.shape, transpose, new_axis))
    return x.swapaxes(-1, -2) if transpose else x


def _with_weights(node: Node) -> Op:
    params = node.params
    depth, columns = int(params.weightMatrixFirstDimension), int(params.weightMatrixSecondDimension)
    for field, value in ("weightMatrixFirstDimension", depth), ("weightMatrixSecondDimension", columns):
        node.require(value >= 1, f"{field} is {value}, expected 1 or more")
    # Column by column means row by row of the transposed matrix, the layout of an inner product's weights.
    weights = node.weights("weights", (columns, depth))
    bias = node.weights("bias", (columns,)) if params.hasBias else None

    def shape(a: Shape) -> Shape:
        node.require(a[-1] == depth, f"the input {a} has rows of {a[-1]} numbers, expected {depth}")
        return *a[:-1], columns

    def run(a: Array) -> Array:
        return kernels.inner_product(a.reshape(-1, depth), weights, bias).reshape(shape(a.shape))

    return Op(run, shape, fresh=True, work=lambda inputs, outputs: math.prod(inputs[0]) * columns)
