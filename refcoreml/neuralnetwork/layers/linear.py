"""Products and lookups: adapters over `refcoreml.kernels.linear`, and the constant that they are often fed with."""

from __future__ import annotations

import math

import numpy as np

from refcoreml.kernels import linear as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.neuralnetwork.layers.gather import check_addressable, places_of
from refcoreml.neuralnetwork.registry import Node, Op, layer


@layer("innerProduct")
def inner_product(node: Node) -> Op:
    """Y = weights @ x + bias.

    Input and output by rank: (C_in) -> (C_out); (N, C_in) -> (N, C_out); (M, N, C_in) -> (M, N, C_out);
    (N, C, H, W) -> (N, C_out, 1, 1); (M, N, C, H, W) -> (M, N, C_out, 1, 1), with C * H * W = C_in, in row-major
    order. Blobs of the rank-5 world have rank 5.
    Parameters: ``inputChannels`` C_in; ``outputChannels`` C_out; ``weights`` [C_out, C_in]; ``bias`` [C_out] if
    ``hasBias``.
    Errors: channels of 0; weights of another size; an input that does not have C_in values.
    Source: ``InnerProductLayerParams``.
    Chosen: ``int8DynamicQuantize`` computes in floating point with dequantized weights, since the rule by which a
    runtime quantizes the input is not published; Apple's own test asks only for 40 dB between the two. Such a layer
    may have a bias, against the schema's comment, as one in Apple's tests has.
    """
    params = node.params
    size_in, size_out = _sizes(node, "inputChannels", "outputChannels")
    weights = node.weights("weights", (size_out, size_in))
    bias = node.weights("bias", (size_out,)) if params.hasBias else None

    def shape(x: Shape) -> Shape:
        features = x[-3:] if len(x) >= 4 else x[-1:]
        node.require(
            math.prod(features) == size_in,
            f"the input {x} has {' x '.join(map(str, features))} values a row, inputChannels is {size_in}",
        )
        return (*x[:-3], size_out, 1, 1) if len(x) >= 4 else (*x[:-1], size_out)

    return Op(
        lambda x: kernels.inner_product(x.reshape(-1, size_in), weights, bias).reshape(shape(x.shape)),
        shape,
        fresh=True,
        work=lambda inputs, outputs: math.prod(inputs[0]) * size_out,
    )


@layer("embedding")
def embedding(node: Node) -> Op:
    """Y = weights[:, x] + bias: the column that the number x chooses.

    Input: x [*, 1, 1, 1], rank 4 or 5, numbers in [0, inputDim - 1]. Output: [*, outputChannels, 1, 1].
    Parameters: ``inputDim``; ``outputChannels``; ``weights`` [outputChannels, inputDim]; ``bias`` [outputChannels]
    if ``hasBias``.
    Errors: sizes of 0; weights of another size; an input of another shape; indices out of range, as in ``embeddingND``.
    Source: ``EmbeddingLayerParams``.
    Chosen: a fraction is cut off; the specification is silent, and no runtime's rule is known.
    """
    vocabulary, size = _sizes(node, "inputDim", "outputChannels")
    check_addressable(node, vocabulary)
    table = np.ascontiguousarray(node.weights("weights", (size, vocabulary)).T)
    bias = node.weights("bias", (size,)) if node.params.hasBias else None

    def shape(x: Shape) -> Shape:
        node.require(len(x) in (4, 5) and x[-3:] == (1, 1, 1), f"takes blobs [N, 1, 1, 1] or [M, N, 1, 1, 1], got {x}")
        return (*x[:-3], size, 1, 1)

    def run(x: Array) -> Array:
        places = places_of(node, x, vocabulary, wrap=False, which=0)
        return kernels.embedding(places.reshape(-1), table, bias).reshape(shape(x.shape))

    return Op(run, shape, fresh=True)


@layer("dot", inputs=2)
def dot(node: Node) -> Op:
    """Y = sum over c of x1[c] * x2[c]; if ``cosineSimilarity``, divided by the lengths of both vectors.

    Inputs: x1, x2 [*, C, 1, 1] of equal shapes, rank 3 or more. Output: [*, 1, 1, 1].
    Errors: shapes that differ, or are of another form.
    Source: ``DotProductLayerParams``.
    Chosen: the cosine with a vector of zeros is NaN; no constant against division by zero is specified.
    """
    cosine = node.params.cosineSimilarity

    def shape(x1: Shape, x2: Shape) -> Shape:
        node.require(
            x1 == x2 and len(x1) >= 3 and x1[-2:] == (1, 1), f"takes two equal shapes [*, C, 1, 1], got {x1} and {x2}"
        )
        return (*x1[:-3], 1, 1, 1)

    return Op(lambda x1, x2: kernels.dot(x1, x2, -3, normalize=cosine), shape, fresh=True)


@layer("loadConstant", inputs=0)
def load_constant(node: Node) -> Op:
    """Y = data.

    Output: [1, 1, C, H, W], in the N-D world too.
    Parameters: ``shape`` [C, H, W]; ``data``, as many values.
    Errors: a shape of another rank; a number of values that differs from its product.
    Source: ``LoadConstantLayerParams``.
    """
    dims = tuple(node.params.shape)
    node.require(len(dims) == 3 and min(dims) > 0, f"shape is {dims}, expected [C, H, W]")
    data = node.weights("data", dims).reshape(1, 1, *dims)
    data.setflags(write=False)  # the network hands this very array out
    return Op(lambda: data, lambda: data.shape)


def _sizes(node: Node, *fields: str) -> tuple[int, ...]:
    sizes = tuple(int(getattr(node.params, field)) for field in fields)
    for field, size in zip(fields, sizes, strict=True):
        node.require(size > 0, f"{field} is 0, expected 1 or more")
    return sizes
