"""Numbers of few bits: constants that are stored compressed, and quantized activations.

All parameters of a ``constexpr_`` operation are constants, and so is what it makes: it is decoded when an operation
reads it, and not kept. Up to CoreML7 the parameters are attributes, since CoreML8 they are inputs, which other
``constexpr_`` operations may have made. What only feeds such operations may have more axes than tensors of a run have.

Arithmetic is in the type of the scale: differences of integers are exact, and each product is rounded once. That is a
choice: how Apple's devices round is not specified.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.kernels.bits import packed_size, unpack_codes
from refcoreml.mil.domains import FLOATS, expect
from refcoreml.mil.node import Call, Node, Value
from refcoreml.mil.registry import operation
from refcoreml.spec.mil_types import DATA_TYPES, DeclaredTensor
from refcoreml.types import Array, Shape

_BYTES = ("int8", "uint8")
_STORED = (*_BYTES, *FLOATS)
_SHIFTED = ("int4", "uint4", *_STORED)
_INDICES = ("uint1", "uint2", "uint3", "uint4", "uint6", "uint8")
#: By the number of entries of a table the width of an index in bits, up to CoreML7.
_WIDTHS = {2: 1, 4: 2, 16: 4, 64: 6, 256: 8}


# ---- Constants: integers with a scale ----


@operation("constexpr_affine_dequantize", "quantized_data", "scale", "zero_point", since="CoreML6")
def affine_dequantize(node: Node) -> ops.Op:
    """y = scale * (quantized_data - zero_point).

    quantized_data: int8 or uint8 of rank 1 or more. scale (fp16 or fp32) and zero_point (int8, uint8, fp16 or fp32):
    each a number, or a vector with an element for each place along ``axis``, -rank to rank - 1. y: of scale's type.
    """
    expect(node, _BYTES, "quantized_data")
    expect(node, FLOATS, "scale")
    expect(node, _STORED, "zero_point")
    return ops.Dequantize(node.axis("axis", node.rank("quantized_data")))


@operation("constexpr_blockwise_shift_scale", "data", "scale", "offset?", since="CoreML8")
def blockwise_shift_scale(node: Node) -> ops.Op:
    """y = scale * (data - offset), the scale and the offset of each element's block.

    data: int4, uint4, int8, uint8, fp16 or fp32 of rank 1 or more. scale: fp16 or fp32 of the same rank, whose lengths
    divide those of data, so that a block is data.shape / scale.shape long, along several axes at once. offset: of the
    shape of scale, of data's type, fp16 or fp32; 0 by default. y: of scale's type.
    """
    _check_shift_scale(node, "data")
    return ops.BlockwiseShiftScale()


def _check_shift_scale(node: Node, data: str) -> None:
    expect(node, _SHIFTED, data)
    expect(node, FLOATS, "scale")
    if node.has("offset"):
        found = str(node.tensor("offset").element)
        allowed = (str(node.tensor(data).element), *FLOATS)
        node.require(found in allowed, f"parameter 'offset' has elements of type {found}, expected {_either(allowed)}")


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(dict.fromkeys(names))


# ---- Constants: lookup tables ----


@operation("constexpr_lut_to_dense", since="CoreML6")
def lut_to_dense(node: Node) -> Call:
    """y[i] = lut[indices[i]], in row-major order, in the ``shape`` given.

    lut: a vector of 2, 4, 16, 64 or 256 elements, int8, uint8, fp16 or fp32. indices: uint8 [M], 1, 2, 4, 6 or 8 bits
    for each element, one after another, the least significant bit first, across the borders of bytes, so that M =
    ceil(bits * elements / 8). shape: uint32. y: of lut's type.
    """
    expect(node, _BYTES[1:], "indices")
    expect(node, _STORED, "lut")
    shape = _shape(node)
    entries = node.tensor("lut").known_shape
    if entries is None or len(entries) != 1 or entries[0] not in _WIDTHS:
        node.invalid(f"parameter 'lut' is a {node.tensor('lut')}, expected a vector of {_either_of(_WIDTHS)} elements")
    indices = _unpacked(node, "indices", _WIDTHS[entries[0]], shape)
    lut = _as(node.value("lut"), str(node.tensor("lut").element), (*(1,) * len(shape), *entries, 1))
    return Call(ops.LutToDense(), (indices, lut))


@operation("constexpr_lut_to_dense", "indices", "lut", since="CoreML8")
def lut_to_dense_8(node: Node) -> ops.Op:
    """y[..., i * V + k, ...] = lut[g..., indices[..., i, ...], k], 0 <= k < V, i at ``vector_axis``, g the group.

    indices: uint1, uint2, uint3, uint4, uint6 or uint8, of rank 1 or more. lut [*G, 2^bits, V]: int8, uint8, fp16 or
    fp32, of two more axes; its first lengths divide those of indices, each group having a table of its own.
    vector_axis: -rank to rank - 1, needed for V > 1 only. y: of lut's type.
    """
    return ops.LutToDense(_checked_table(node, "indices"))


@operation("constexpr_lut_to_sparse", "indices_mask", "indices_nonzero_data", "lut", since="CoreML8")
def lut_to_sparse(node: Node) -> ops.Op:
    """Return what constexpr_lut_to_dense makes of those indices only that a mask keeps.

    indices_mask: uint1; indices_nonzero_data: a vector with an index for each 1 of the mask, in row-major order; types,
    lut and vector_axis as of constexpr_lut_to_dense. Results: the mask, each element V times along vector_axis; a
    vector of lut's type, in row-major order of that mask.
    """
    expect(node, _INDICES[:1], "indices_mask")
    return ops.LutToSparse(_checked_table(node, "indices_nonzero_data"))


def _checked_table(node: Node, indices: str) -> int | None:
    """Check types and the number of entries; return the vector axis."""
    expect(node, _INDICES, indices)
    expect(node, _STORED, "lut")
    entries, expected = node.length("lut", -2), 1 << node.tensor(indices).element.bits
    node.require(
        entries in (None, expected),
        f"parameter 'lut' has tables of {entries} entries, expected {expected} for {indices} of "
        f"{node.tensor(indices).element}",
    )
    axis: int | None = node.integer("vector_axis", None)
    return axis


# ---- Constants: sparse numbers ----


@operation("constexpr_sparse_to_dense", since="CoreML6")
def sparse_to_dense(node: Node) -> Call:
    """y = the numbers of nonzero_data, one after another, where the mask is 1, else 0, in the ``shape`` given.

    nonzero_data: a vector of int8, uint8, fp16 or fp32, an element for each 1 of the mask. mask: uint8 [M], a bit for
    each element in row-major order, the least significant first, so that M = ceil(elements / 8); what is left of the
    last byte has no effect. shape: uint32. y: of nonzero_data's type.
    """
    expect(node, _STORED, "nonzero_data")
    expect(node, _BYTES[1:], "mask")
    return Call(ops.SparseToDense(), (node.value("nonzero_data"), _unpacked(node, "mask", 1, _shape(node))))


@operation("constexpr_sparse_to_dense", "nonzero_data", "mask", since="CoreML8")
def sparse_to_dense_8(node: Node) -> ops.Op:
    """y = the numbers of nonzero_data, one after another, where the mask is 1, in row-major order; else 0.

    nonzero_data: a vector of int4, uint4, int8, uint8, fp16 or fp32, an element for each 1 of the mask. mask: uint1.
    y: of the mask's shape and nonzero_data's type.
    """
    expect(node, _SHIFTED, "nonzero_data")
    expect(node, _INDICES[:1], "mask")
    return ops.SparseToDense()


@operation("constexpr_sparse_blockwise_shift_scale", "data_mask", "nonzero_data", "scale", "offset?", since="CoreML8")
def sparse_blockwise_shift_scale(node: Node) -> ops.Op:
    """Return what constexpr_blockwise_shift_scale makes of those numbers only that a mask keeps.

    data_mask: uint1; nonzero_data: a vector with a number for each 1 of the mask, in row-major order; types, scale and
    offset as of constexpr_blockwise_shift_scale. Results: the mask; a vector of scale's type.
    """
    expect(node, _INDICES[:1], "data_mask")
    _check_shift_scale(node, "nonzero_data")
    return ops.SparseBlockwiseShiftScale()


# ---- Constants: half precision ----


@operation("constexpr_cast", "source_val", since="CoreML8")
@operation("constexpr_cast", "source_val", since="CoreML6")
def cast(node: Node) -> ops.Op:
    """y = source_val, of fp16, in ``output_dtype``: fp32, the only one there is."""
    expect(node, FLOATS[:1], "source_val")
    return ops.Cast(node.choice("output_dtype", {"fp32": np.dtype(np.float32)}))


# ---- Packed constants ----


def _shape(node: Node) -> Shape:
    """Return the shape of a constant that was packed."""
    shape: Shape = node.integers("shape")
    node.require(min(shape, default=0) > 0, f"parameter 'shape' is {shape}, expected lengths of 1 or more")
    return shape


def _unpacked(node: Node, name: str, bits: int, shape: Shape) -> Value:
    """Return a constant of few bits to an element that is packed in bytes, as one that is not."""
    value, count = node.value(name), math.prod(shape)
    expected = packed_size(count, bits)
    node.require(
        node.tensor(name).shape == (expected,),
        f"parameter {name!r} is a {node.tensor(name)}, expected {expected} bytes for the shape {shape} in {bits} bits",
    )

    def unpack(packed: Array) -> Array:
        return unpack_codes(packed, bits, count, first="least")

    return _as(value, f"uint{bits}", shape, unpack)


def _as(value: Value, element: str, shape: Shape, convert: Callable[[Array], Array] | None = None) -> Value:
    """Return a constant in another form."""

    def read() -> Any:
        found = value.known
        return (found if convert is None else convert(found)).reshape(shape)

    return Value(DeclaredTensor(DATA_TYPES[element], shape), value.name, read)


def _either_of(numbers: dict[int, int]) -> str:
    return _either(tuple(map(str, numbers)))


# ---- Activations ----


@operation("quantize", "input", "scale", "zero_point?", since="CoreML7")
def quantize(node: Node) -> ops.Op:
    """y = clip(round(input / scale) + zero_point), halves rounded to even, to the range of y's type.

    input and scale: fp16 or fp32, of one type; zero_point: of y's type, 0 by default; ``output_dtype``: int8 or uint8.
    scale and zero_point are constants, each a number or a vector with an element for each place along ``axis``.

    Open: NaN. Chosen: 0.
    """
    expect(node, FLOATS, "input", "scale")
    dtypes = {name: np.dtype(name) for name in _BYTES}
    return ops.Quantize(node.choice("output_dtype", dtypes), _scale_axis(node))


@operation("dequantize", "input", "scale", "zero_point?", since="CoreML7")
def dequantize(node: Node) -> ops.Op:
    """y = scale * (input - zero_point).

    input: int8 or uint8; zero_point: of input's type, 0 by default; scale: fp16 or fp32, the type of y. scale and
    zero_point are constants, each a number or a vector with an element for each place along ``axis``.
    """
    expect(node, _BYTES, "input", *(["zero_point"] if node.has("zero_point") else []))
    expect(node, FLOATS, "scale")
    return ops.Dequantize(_scale_axis(node))


def _scale_axis(node: Node) -> int | None:
    """Return the axis that vectors of scales lie along; the parameters must be constants."""
    for name in ("scale", "zero_point"):
        node.constant(name, None)
    return node.axis("axis", node.rank("input")) if node.has("axis") else None


# ---- Convolution ----


@operation("conv_quantized", "x")
def conv_quantized(node: Node) -> ops.Op:
    """Refused: no converter writes it, and nothing says what it computes.

    coremltools calls it experimental. Its description (weight * quant_scale + quant_bias) speaks of integers for
    "linear", but not of the table that "lut" would need, nor of how codes of less than 8 bits are packed.
    """
    node.unsupported(
        "is experimental: how its weights are packed, and which table 'lut' means, is not specified",
        "Use conv with weights that a constexpr_ operation makes",
    )
