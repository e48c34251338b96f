"""Products and lookups, and the constant that they are often fed with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcoreml import ops
from refcoreml.neuralnetwork.registry import Node, Restricted, layer
from refcoreml.ops.base import ByType, require
from refcoreml.ops.gather import Indexing
from refcoreml.types import Array, Shape


@layer("innerProduct")
def inner_product(node: Node) -> ops.Op:
    """y = weights @ x + bias.

    Input and output by rank: (C_in) -> (C_out); (N, C_in) -> (N, C_out); (M, N, C_in) -> (M, N, C_out);
    (N, C, H, W) -> (N, C_out, 1, 1); (M, N, C, H, W) -> (M, N, C_out, 1, 1), with C * H * W = C_in, in row-major
    order. Blobs of rank-5 networks have rank 5.
    Parameters: ``inputChannels`` C_in; ``outputChannels`` C_out; ``weights`` [C_out, C_in]; ``bias`` [C_out] if
    ``hasBias``.
    Errors: channels of 0; weights of another size; an input that does not have C_in values.
    Source: ``InnerProductLayerParams``.
    Chosen: ``int8DynamicQuantize`` computes in floating point with dequantized weights, since the rule by which a
    runtime quantizes the input is not published; Apple's own test asks only for 40 dB between the two. Such a layer
    may have a bias, against the schema's comment, as one in Apple's tests has.
    """
    params = node.params
    inputs, outputs = _sizes(node, "inputChannels", "outputChannels")
    weights = node.weights("weights", (outputs, inputs))
    bias = node.weights("bias", (outputs,)) if params.hasBias else None
    return _InnerProduct(weights, bias, params.int8DynamicQuantize)


@dataclass(frozen=True, eq=False)
class _InnerProduct(ByType):
    weights: Array
    bias: Array | None
    int8_inputs: bool

    fresh = True

    def choose(self, rank: int) -> ops.Op:
        return ops.Linear(self.weights, self.bias, 3 if rank >= 4 else 1, self.int8_inputs)


@layer("embedding")
def embedding(node: Node) -> ops.Op:
    """y = weights[:, x] + bias: the column that the number x chooses.

    Input: x [*, 1, 1, 1], rank 4 or 5, numbers in [0, inputDim - 1]. Output: [*, outputChannels, 1, 1].
    Parameters: ``inputDim``; ``outputChannels``; ``weights`` [outputChannels, inputDim]; ``bias`` [outputChannels]
    if ``hasBias``.
    Errors: sizes of 0; weights of another size; an input of another shape; indices out of range, as in ``embeddingND``.
    Source: ``EmbeddingLayerParams``.
    Chosen: a fraction is cut off; the specification is silent, and no runtime's rule is known.
    """
    vocabulary, size = _sizes(node, "inputDim", "outputChannels")
    return Restricted(embedding_of(node, vocabulary, size, axis=-3), _check_indices)


def embedding_of(node: Node, vocabulary: int, size: int, *, axis: int) -> ops.Embedding:
    """Return the lookup in ``weights`` [size, vocabulary], with ``bias`` if ``hasBias``."""
    table = np.ascontiguousarray(node.weights("weights", (size, vocabulary)).T)
    bias = node.weights("bias", (size,)) if node.params.hasBias else None
    return ops.Embedding(table, bias, axis, Indexing(wrap=False, strict=node.strict))


def _check_indices(x: Shape) -> None:
    require(len(x) in (4, 5) and x[-3:] == (1, 1, 1), f"takes blobs [N, 1, 1, 1] or [M, N, 1, 1, 1], got {x}")


@layer("dot", inputs=2)
def dot(node: Node) -> ops.Op:
    """y = sum over c of x1[c] * x2[c]; if ``cosineSimilarity``, divided by the lengths of both vectors.

    Inputs: x1, x2 [*, C, 1, 1] of equal shapes, rank 3 or more. Output: [*, 1, 1, 1].
    Errors: shapes that differ, or are of another form.
    Source: ``DotProductLayerParams``.
    Chosen: the cosine with a vector of zeros is NaN; no constant against division by zero is specified.
    """
    return Restricted(ops.DotProduct(-3, node.params.cosineSimilarity), _check_vectors)


def _check_vectors(x1: Shape, x2: Shape) -> None:
    require(x1 == x2 and len(x1) >= 3 and x1[-2:] == (1, 1), f"takes two equal shapes [*, C, 1, 1], got {x1} and {x2}")


@layer("loadConstant", inputs=0)
def load_constant(node: Node) -> ops.Op:
    """y = data.

    Output: [1, 1, C, H, W], in N-D networks too.
    Parameters: ``shape`` [C, H, W]; ``data``, as many values.
    Errors: a shape of another rank; a number of values that differs from its product.
    Source: ``LoadConstantLayerParams``.
    """
    dims = tuple(node.params.shape)
    node.require(len(dims) == 3 and min(dims) > 0, f"shape is {dims}, expected [C, H, W]")
    return ops.Constant(node.weights("data", dims).reshape(1, 1, *dims))


def _sizes(node: Node, *fields: str) -> tuple[int, ...]:
    sizes = tuple(int(getattr(node.params, field)) for field in fields)
    for field, size in zip(fields, sizes, strict=True):
        node.require(size > 0, f"{field} is 0, expected 1 or more")
    return sizes
