"""Faults in packed numbers: bytes and bits of constants, compressed weights, quantized activations."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from conformance.faults.programs.ways import Array, kernel, method, operation, parameters, result, version
from refcoreml.kernels import bits, compression, narrow
from refcoreml.mil.node import Node
from refcoreml.spec import mil_elements, mil_values

affine, block, lut = "constexpr_affine_dequantize", "constexpr_blockwise_shift_scale", "constexpr_lut_to_dense"
sparse, joint, lut_sparse = (
    "constexpr_sparse_to_dense",
    "constexpr_sparse_blockwise_shift_scale",
    "constexpr_lut_to_sparse",
)
codes = f"{block} {lut} {sparse} {joint} {lut_sparse} package"

# ---- Bits and bytes ----


def unpacked(change: Any) -> Any:
    """Codes are read by ``change(f, data, bits, count, first)``, where they take less than a byte."""

    def fault(f: Any) -> Any:
        def faulty(data: Any, bits: int, count: int, *, first: str = "most") -> Array:
            found: Array = change(f, data, bits, count, first) if bits < 8 else f(data, bits, count, first=first)
            return found

        return faulty

    return fault


def _by_byte(f: Any, data: Any, width: int, count: int, first: str) -> Array:
    """Codes that do not cross the borders of bytes, of which the last bits are then left."""
    each = 8 // width
    stream = np.frombuffer(data, np.uint8)
    found = np.stack([(stream >> np.uint8(width * k)) & np.uint8((1 << width) - 1) for k in range(each)], axis=1)
    return np.resize(found.reshape(-1), count)


def _shifted(f: Any, data: Any, width: int, count: int, first: str) -> Array:
    """Codes of 3 bits as if they took 4, of 6 as if they took 8."""
    wide = {3: 4, 6: 8}.get(width, width)
    if wide == width:
        return f(data, width, count, first=first)  # type: ignore[no-any-return]
    enough = bytes(data) + bytes(count)
    return f(enough, wide, count, first=first) & np.uint8((1 << width) - 1)  # type: ignore[no-any-return]


kernel(
    "bits: the most significant bit of a byte first",
    codes,
    bits.unpack_codes,
    unpacked(lambda f, d, b, n, o: f(d, b, n, first="most")),
)
kernel("bits: codes do not cross the borders of bytes", codes, bits.unpack_codes, unpacked(_by_byte))
kernel("bits: codes of 3 and 6 bits are padded to 4 and 8", codes, bits.unpack_codes, unpacked(_shifted))
kernel(
    "bits: halves of a byte exchanged",
    codes,
    bits.unpack_codes,
    unpacked(
        lambda f, d, b, n, o: f(
            ((np.frombuffer(d, np.uint8) << 4) | (np.frombuffer(d, np.uint8) >> 4)).tobytes(), b, n, first=o
        )
    ),
)
kernel(
    "bits: the bits of a code in reverse",
    codes,
    bits.unpack_codes,
    unpacked(
        lambda f, d, b, n, o: sum(((f(d, b, n, first=o) >> k) & 1) << (b - 1 - k) for k in range(b)).astype(np.uint8)
    ),
)
kernel(
    "bits: signed codes of 4 bits are not extended",
    f"{block} {joint} package",
    bits.unpack_integers,
    lambda f: (
        lambda data, bits, count: f(data, bits, count) & np.int8((1 << bits) - 1) if bits < 8 else f(data, bits, count)
    ),
)
kernel(
    "bits: signed codes of 4 bits have an offset of 8",
    f"{block} {joint} package",
    bits.unpack_integers,
    lambda f: (
        lambda data, bits, count: (
            (f(data, bits, count) & np.int8((1 << bits) - 1)) - np.int8(1 << (bits - 1))
            if bits < 8
            else f(data, bits, count)
        )
    ),
)
kernel(
    "bits: signed codes of 4 bits are a sign and a magnitude",
    f"{block} {joint} package",
    bits.unpack_integers,
    lambda f: lambda data, bits, count: _sign_and_magnitude(f(data, bits, count), bits),
)


def _sign_and_magnitude(x: Array, width: int) -> Array:
    half = 1 << (width - 1)
    return np.where(x < 0, -(x & np.int8(half - 1)), x).astype(np.int8)


def _decoded(change: Any) -> Any:
    """Elements are read by ``change(f, element, data, count)``."""
    return lambda f: lambda element, data, count: change(f, element, data, count)


kernel(
    "bytes: unsigned bytes are signed",
    f"{affine} {block} {lut} {sparse} {joint} dequantize package",
    mil_elements.decode_elements,
    _decoded(
        lambda f, e, d, n: (
            f(e, d, n).view(np.int8).astype(np.float32).clip(0).astype(np.uint8) if e.name == "uint8" else f(e, d, n)
        )
    ),
)
kernel(
    "bytes: signed bytes are unsigned",
    f"{affine} {block} {joint} dequantize package",
    mil_elements.decode_elements,
    _decoded(lambda f, e, d, n: np.abs(f(e, d, n)) if e.name == "int8" else f(e, d, n)),
)
kernel(
    "bytes: half precision with its bytes exchanged",
    f"{affine} {block} {lut} constexpr_cast conv linear package",
    mil_elements.decode_elements,
    _decoded(lambda f, e, d, n: f(e, d, n).byteswap() if e.name == "fp16" else f(e, d, n)),
)
kernel(
    "bytes: half precision is bfloat16",
    f"{affine} {block} {lut} constexpr_cast conv linear package",
    mil_elements.decode_elements,
    _decoded(
        lambda f, e, d, n: (
            narrow.from_bfloat16(f(e, d, n).view(np.uint16)).astype(np.float16) if e.name == "fp16" else f(e, d, n)
        )
    ),
)
kernel(
    "bytes: subnormal numbers of half precision are 0",
    f"{affine} {block} {lut} constexpr_cast conv linear package",
    mil_elements.decode_elements,
    _decoded(
        lambda f, e, d, n: (
            np.where(np.abs(x) < 2.0**-14, np.float16(0), x)
            if e.name == "fp16" and len(x := f(e, d, n))
            else f(e, d, n)
        )
    ),
)
kernel(
    "bytes: elements are read one place late, the last one first",
    "package",
    mil_elements.decode_elements,
    _decoded(lambda f, e, d, n: np.roll(f(e, d, n), 1) if n > 1 else f(e, d, n)),
)
method(
    "values: numbers of a tensor in column-major order",
    "package conv linear matmul gather",
    mil_values,
    "_finished",
    lambda f: lambda flat, shape: f(np.asarray(flat).reshape(shape, order="F").reshape(-1), shape),
)

# ---- Integers with a scale ----

parameters(f"{affine}: the axis is always 0", affine, lambda node: {"axis": 0})
parameters(
    f"{affine}: negative axes count from one place later",
    affine,
    lambda node: {"axis": min(node.integer("axis") + 1, -1)} if node.integer("axis") < 0 else {},
)
result(
    f"{affine}: the zero point is ignored",
    f"{affine} dequantize",
    lambda node, run, x, scale, *z: run(x, scale, *(np.zeros_like(a) for a in z)),
)
result(
    f"{affine}: the zero point is added",
    affine,
    lambda node, run, x, scale, z: (
        2 * run(np.zeros_like(x), scale, np.zeros_like(z)) + 2 * run(x, scale, np.zeros_like(z)) - run(x, scale, z)
    ),
)
result(
    f"{affine}: the zero point is subtracted after scaling",
    affine,
    lambda node, run, x, scale, z: run(x, scale, np.zeros_like(z)) - z.astype(scale.dtype).reshape(_broad(node, x, z)),
)
result(
    f"{affine}: differences of 8 bits wrap around",
    f"{affine} dequantize",
    lambda node, run, x, scale, *z: (
        run(
            (x - z[0].reshape(_broad(node, x, z[0])).astype(x.dtype)).astype(x.dtype),
            scale,
            *(np.zeros_like(a) for a in z),
        )
        if z
        else run(x, scale)
    ),
)


def _broad(node: Node, x: Array, vector: Array) -> tuple[int, ...]:
    """The shape in which a vector along the axis broadcasts to x."""
    axis = node.integer("axis", 0) % max(x.ndim, 1)
    return tuple(-1 if k == axis and vector.ndim else 1 for k in range(x.ndim)) if x.ndim else ()


result(
    f"{affine}: the first scale for all",
    affine,
    lambda node, run, x, scale, z: run(x, np.full_like(scale, scale.reshape(-1)[0]), z),
)

grouped = f"{block} {joint}"
result(f"{block}: the offset is ignored", grouped, lambda node, run, *xs: run(*xs[: 3 if node.kind == joint else 2]))
result(
    f"{block}: the offset is added",
    block,
    lambda node, run, x, s, *o: 2 * run(x, s) - run(x, s, *o) if o else run(x, s),
)
result(
    f"{block}: the offset is subtracted after scaling",
    block,
    lambda node, run, x, s, *o: (
        run(x, s) - np.broadcast_to(_spread(o[0], x.shape), x.shape).astype(s.dtype) if o else run(x, s)
    ),
)


def _spread(values: Array, shape: tuple[int, ...]) -> Array:
    """One number for each element of the blocks."""
    for axis, (n, g) in enumerate(zip(shape, values.shape, strict=True)):
        values = np.repeat(values, n // g, axis)
    return values


kernel(
    "blocks: scales take turns along an axis",
    block,
    compression.shift_scale,
    lambda f: (
        lambda data, scale, offset=None: f(
            data, _tiled(scale, data.shape), None if offset is None else _tiled(offset, data.shape)
        )
    ),
)
kernel(
    "blocks: scales in reverse order along the last axis",
    block,
    compression.shift_scale,
    lambda f: lambda data, scale, offset=None: f(data, scale[..., ::-1].copy(), offset),
)
kernel(
    "blocks: one scale for a row",
    grouped,
    compression._spread,
    lambda f: lambda values, shape: f(np.broadcast_to(values[..., :1], values.shape), shape),
)
kernel(
    "blocks: one scale for a column",
    grouped,
    compression._spread,
    lambda f: lambda values, shape: f(np.broadcast_to(values[:1], values.shape), shape),
)


def _tiled(values: Array, shape: tuple[int, ...]) -> Array:
    return np.tile(values, [n // g for n, g in zip(shape, values.shape, strict=True)])


# ---- Lookup tables ----

tables = f"{lut} {lut_sparse}"
operation(
    f"{lut}: the vector axis is 0",
    tables,
    lambda node, op: replace(op, vector_axis=0) if op.vector_axis is not None else op,
)
operation(
    f"{lut}: the vector axis is the last",
    tables,
    lambda node, op: replace(op, vector_axis=-1) if op.vector_axis is not None else op,
)
kernel(
    f"{lut}: elements of vectors take turns",
    lut,
    compression.lut_to_dense,
    lambda f: (
        lambda i, table, axis=0: np.concatenate(
            [f(i, table[..., k : k + 1], axis) for k in range(table.shape[-1])], axis
        )
    ),
)
kernel(
    f"{lut}: elements of a vector in reverse",
    tables,
    compression.lut_to_dense,
    lambda f: lambda i, table, axis=0: f(i, table[..., ::-1], axis),
)
kernel(
    f"{lut}: the first table for all groups",
    tables,
    compression._first_entries,
    lambda f: lambda groups, entries, shape: f(groups, entries, shape) * 0,
)
kernel(
    f"{lut}: tables of groups in column-major order",
    tables,
    compression._first_entries,
    lambda f: (
        lambda groups, entries, shape: compression._spread(
            np.arange(math.prod(groups)).reshape(tuple(groups)[::-1]).T * entries, shape
        )
    ),
)
kernel(
    f"{lut}: tables of integers are signed",
    lut,
    compression.lut_to_dense,
    lambda f: (
        lambda i, table, axis=0: f(
            i, np.maximum(table.view(np.int8), 0).view(np.uint8) if table.dtype == np.uint8 else table, axis
        )
    ),
)
kernel(
    f"{lut}: numbers of single precision in a table are rounded to half precision",
    tables,
    compression.lut_to_dense,
    lambda f: (
        lambda i, table, axis=0: f(
            i, table.astype(np.float16).astype(table.dtype) if table.dtype == np.float32 else table, axis
        )
    ),
)
kernel(
    f"{lut}: entries in reverse",
    tables,
    compression.lut_to_dense,
    lambda f: lambda i, table, axis=0: f(i, table[..., ::-1, :], axis),
)
version(f"{lut}: indices are packed in CoreML8, as before", lut, "CoreML8", "CoreML7")
version(f"{sparse}: masks are packed in CoreML8, as before", sparse, "CoreML8", "CoreML7")
version(f"{lut}: indices are not packed in CoreML6, as later", lut, "CoreML6", "CoreML8")

# ---- Sparse numbers ----

kernel(
    "sparse: the mask is inverted",
    sparse,
    compression.sparse_to_dense,
    lambda f: lambda data, mask: f(np.resize(data, int((mask == 0).sum())), mask == 0),
)
kernel(
    "sparse: numbers in column-major order",
    f"{sparse} {lut_sparse}",
    compression.sparse_to_dense,
    lambda f: lambda data, mask: f(data, mask.T).T.copy(),
)
kernel(
    "sparse: numbers from the last place to the first",
    sparse,
    compression.sparse_to_dense,
    lambda f: lambda data, mask: f(data[::-1], mask),
)
kernel(
    "sparse: numbers at their own places, not one after another",
    sparse,
    compression.sparse_to_dense,
    lambda f: lambda data, mask: np.resize(data, mask.shape) * (mask != 0).astype(data.dtype),
)
kernel(
    "sparse: the scales of the first blocks, one after another",
    joint,
    compression.sparse_shift_scale,
    lambda f: (
        lambda mask, data, scale, offset=None: f(
            np.concatenate([np.ones(len(data)), np.zeros(mask.size - len(data))])
            .astype(mask.dtype)
            .reshape(mask.shape),
            data,
            scale,
            offset,
        )
    ),
)
kernel(
    "sparse: the mask of vectors is repeated as a whole",
    lut_sparse,
    compression.lut_to_sparse,
    lambda f: (
        lambda mask, indices, table, axis=0: (
            np.concatenate([mask] * table.shape[-1], axis),
            f(mask, indices, table, axis)[1],
        )
    ),
)
kernel(
    "sparse: vectors one after another, in the order of indices",
    lut_sparse,
    compression.lut_to_sparse,
    lambda f: (
        lambda mask, indices, table, axis=0: (
            f(mask, indices, table, axis)[0],
            table.reshape(-1, table.shape[-1]).take(indices, 0).reshape(-1)
            if table.shape[:-2] == (1,) * mask.ndim
            else f(mask, indices, table, axis)[1],
        )
    ),
)

# ---- Quantized activations ----


def _quantized(change: Any) -> Any:
    """Numbers are quantized by ``change(x, scale, zero, limits)``."""

    def fault(f: Any) -> Any:
        def faulty(x: Array, scale: Array, zero: Array | None, dtype: Any) -> Array:
            with np.errstate(all="ignore"):
                y = change(x, scale, 0.0 if zero is None else zero.astype(np.float64), np.iinfo(dtype))
            return np.nan_to_num(y).astype(np.int64).astype(dtype)

        return faulty

    return fault


kernel(
    "quantize: halves away from zero",
    "quantize",
    compression.quantize,
    _quantized(lambda x, s, z, m: np.clip(np.copysign(np.floor(np.abs(x / s) + 0.5), x / s) + z, m.min, m.max)),
    "a quotient is rounded, too, so that at a half either integer is within its bound",
)
kernel(
    "quantize: cut off toward zero",
    "quantize",
    compression.quantize,
    _quantized(lambda x, s, z, m: np.clip(np.trunc(x / s) + z, m.min, m.max)),
)
kernel(
    "quantize: wraps around",
    "quantize",
    compression.quantize,
    _quantized(lambda x, s, z, m: np.clip(np.rint(x / s) + z, -(2.0**40), 2.0**40)),
)
kernel(
    "quantize: cut to [-127, 127]",
    "quantize",
    compression.quantize,
    _quantized(lambda x, s, z, m: np.clip(np.rint(x / s) + z, max(m.min, -127), m.max)),
)
kernel(
    "quantize: the zero point is subtracted",
    "quantize",
    compression.quantize,
    _quantized(lambda x, s, z, m: np.clip(np.rint(x / s) - z, m.min, m.max)),
)
kernel(
    "quantize: the zero point is added before dividing",
    "quantize",
    compression.quantize,
    _quantized(lambda x, s, z, m: np.clip(np.rint((x + z) / s), m.min, m.max)),
)
kernel(
    "quantize: times the scale",
    "quantize",
    compression.quantize,
    _quantized(lambda x, s, z, m: np.clip(np.rint(x * s) + z, m.min, m.max)),
)
kernel(
    "quantize: cut to the range before the zero point is added",
    "quantize",
    compression.quantize,
    _quantized(lambda x, s, z, m: np.clip(np.clip(np.rint(x / s), m.min, m.max) + z, m.min, m.max)),
)
parameters(
    "dequantize: the last axis, whatever axis says",
    "dequantize quantize",
    lambda node: {"axis": -1} if node.has("axis") else {},
)
