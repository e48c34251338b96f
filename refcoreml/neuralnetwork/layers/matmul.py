"""Matrix products of blobs; ``innerProduct`` is in ``linear.py``."""

from __future__ import annotations

from refcoreml import ops
from refcoreml.neuralnetwork.registry import Node, layer


@layer("batchedMatmul", inputs=(1, 2))
def batched_matmul(node: Node) -> ops.Op:
    """y = a @ b, a matrix product for each place in the leading axes; b is an input, or ``weights`` with a ``bias``.

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
    params = node.params
    if len(node.inputs) == 2:
        node.require(not params.hasBias, "has a bias, which is allowed only with weights", "Add it in its own layer")
        node.require(not params.int8DynamicQuantize, "quantizes dynamically, which is allowed only with weights")
        return ops.MatMul(params.transposeA, params.transposeB)
    depth, columns = int(params.weightMatrixFirstDimension), int(params.weightMatrixSecondDimension)
    for field, value in ("weightMatrixFirstDimension", depth), ("weightMatrixSecondDimension", columns):
        node.require(value >= 1, f"{field} is {value}, expected 1 or more")
    # Column by column means row by row of the transposed matrix, the layout of an inner product's weights.
    weights = node.weights("weights", (columns, depth))
    bias = node.weights("bias", (columns,)) if params.hasBias else None
    return ops.Linear(weights, bias, int8_inputs=params.int8DynamicQuantize)
