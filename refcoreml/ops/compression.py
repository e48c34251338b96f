"""Operations of compressed constants and of quantized numbers.

Codes, indices and masks come unpacked, one to an element. A mask is booleans or integers, of which any but 0 is true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import compression as kernels
from refcoreml.ops.base import Op, axis_in, bad_input, check_filled, check_kinds, require
from refcoreml.types import Array, Shape, TensorType

# ---- Integers with a scale ----


class _Along(Op):
    """What has a scale, and optionally a zero point, for all numbers or for each place along an axis."""

    axis: int | None

    fresh = True

    def _check(self, x: TensorType, scale: TensorType, zero_point: TensorType | None) -> None:
        check_kinds(scale, "f")
        for name, value in (("scale", scale), ("zero point", zero_point)):
            if value is None or not value.rank:
                continue
            require(self.axis is not None, f"the {name} is a vector {value.shape}, but no axis is given for it")
            expected = (x.shape[axis_in(self.axis or 0, x.rank)],)
            require(value.shape == expected, f"the {name} has the shape {value.shape}, expected () or {expected}")

    def _along(self, values: Array | None, rank: int) -> Array | None:
        """Return the values, so that they broadcast along the axis."""
        if values is None:
            return None
        shape = [1] * rank
        if values.ndim:
            shape[self.axis or 0] = -1
        return values.reshape(shape)

    def _defined(self, scale: Array, zero_point: Array | None, rank: int) -> tuple[Array, Array, int]:
        """Return the parameters and the axis for a definition."""
        zero = np.asarray(0.0 if zero_point is None else zero_point, np.float64)
        return np.asarray(scale, np.float64), zero, axis_in(self.axis, rank) if self.axis is not None else 0


@dataclass(frozen=True)
class Dequantize(_Along):
    """y = scale * (x - zero point).

    Inputs: x of integers; scale of floats, and optionally a zero point of any type, each of rank 0 or a vector of the
    length that x has along the axis. Result: the shape of x, the type of the scale.

    The difference of integers is exact; that with a float is rounded to the widest type of the three. The product is
    rounded once to the type of the scale.

    Attributes:
        axis: -rank to rank - 1; None where both parameters are of rank 0.
    """

    axis: int | None = None

    def infer(self, x: TensorType, scale: TensorType, zero_point: TensorType | None = None) -> TensorType:
        check_kinds(x, "iu")
        self._check(x, scale, zero_point)
        return x.with_dtype(scale.dtype)

    def run(self, x: Array, scale: Array, zero_point: Array | None = None) -> Array:
        scales = self._along(scale, x.ndim)
        assert scales is not None
        zeros = self._along(zero_point, x.ndim)
        if zeros is not None:
            zeros, scales = np.broadcast_arrays(zeros, scales)
        return kernels.shift_scale(x, scales, zeros)

    def define(self, x: Array, scale: Array, zero_point: Array | None = None) -> Array:
        return definitions.dequantize(np.asarray(x, np.float64), *self._defined(scale, zero_point, np.ndim(x)))


@dataclass(frozen=True)
class Quantize(_Along):
    """y = clip(round(x / scale) + zero point), halves rounded to even, to the range of y's type.

    Inputs: x of floats; scale of floats, and optionally a zero point of y's type, each of rank 0 or a vector of the
    length that x has along the axis. Result: the shape of x.

    The quotient is rounded to the type of x. NaN, also that of 0 / 0, becomes 0, which is not specified.

    Attributes:
        result: int8 or uint8.
        axis: -rank to rank - 1; None where both parameters are of rank 0.
    """

    result: np.dtype[Any]
    axis: int | None = None

    def infer(self, x: TensorType, scale: TensorType, zero_point: TensorType | None = None) -> TensorType:
        check_kinds(x, "f")
        self._check(x, scale, zero_point)
        require(
            zero_point is None or zero_point.dtype == self.result,
            f"the zero point is {zero_point}, expected {self.result}, the type of the result",
        )
        return x.with_dtype(self.result)

    def run(self, x: Array, scale: Array, zero_point: Array | None = None) -> Array:
        scales = self._along(scale, x.ndim)
        assert scales is not None
        return kernels.quantize(x, scales, self._along(zero_point, x.ndim), self.result)

    def define(self, x: Array, scale: Array, zero_point: Array | None = None) -> Array:
        limits = np.iinfo(self.result)
        given = self._defined(scale, zero_point, np.ndim(x))
        return definitions.quantize(np.asarray(x, np.float64), *given, limits.min, limits.max)


def _check_groups(name: str, groups: Sequence[int], shape: Shape) -> None:
    require(
        len(groups) == len(shape) and all(g and n % g == 0 for n, g in zip(shape, groups, strict=True)),
        f"the {name} has the shape {tuple(groups)}, expected the rank of {shape} and lengths that divide those",
    )


def _check_blocks(shape: Shape, scale: TensorType, offset: TensorType | None) -> None:
    check_kinds(scale, "f")
    _check_groups("scale", scale.shape, shape)
    require(
        offset is None or offset.shape == scale.shape,
        f"the offset is {offset}, expected the shape {scale.shape} of the scale",
    )


@dataclass(frozen=True)
class BlockwiseShiftScale(Op):
    """y[i...] = scale[g...] * (data[i...] - offset[g...]), g the block of i.

    Inputs: data [*D] of integers or floats; scale [*G] of floats, of the same rank, whose lengths divide those of the
    data, so that g_a = floor(i_a / (D_a / G_a)) along each axis; optionally an offset as the scale, of any type. Result
    [*D] in the type of the scale.

    Rounding is that of `Dequantize`.
    """

    fresh = True
    definition = definitions.blockwise_shift_scale

    def infer(self, data: TensorType, scale: TensorType, offset: TensorType | None = None) -> TensorType:
        check_kinds(data, "iuf")
        _check_blocks(data.shape, scale, offset)
        return data.with_dtype(scale.dtype)

    def run(self, data: Array, scale: Array, offset: Array | None = None) -> Array:
        return kernels.shift_scale(data, scale, offset)


# ---- Sparse numbers ----


def _check_count(mask: Array, count: int) -> None:
    kept = int(np.count_nonzero(mask))
    if kept != count:
        bad_input(f"the mask keeps {kept} of its {mask.size} elements, but {count} are given")


def _check_sparse(data: TensorType, mask: TensorType) -> None:
    check_kinds(mask, "biu")
    require(data.rank == 1, f"expected a vector of the elements that the mask keeps, got {data.shape}")


@dataclass(frozen=True)
class SparseToDense(Op):
    """y = the numbers of data, one after another, where the mask is true, in row-major order; 0 elsewhere.

    Inputs: data [n] of any type; mask [*D], true n times. Result [*D] in the type of data.
    """

    fresh = True
    definition = definitions.sparse_to_dense

    def infer(self, data: TensorType, mask: TensorType) -> TensorType:
        _check_sparse(data, mask)
        return data.with_shape(mask.shape)

    def run(self, data: Array, mask: Array) -> Array:
        _check_count(mask, len(data))
        return kernels.sparse_to_dense(data, mask)


@dataclass(frozen=True)
class SparseBlockwiseShiftScale(Op):
    """The numbers of `BlockwiseShiftScale` for those data only that a mask keeps: see there.

    Inputs: mask [*D]; data [n], in row-major order of the mask, which is true n times; scale [*G]; optionally an offset
    [*G]. Results: the mask; [n] in the type of the scale.
    """

    definition = definitions.sparse_blockwise_shift_scale

    def infer(
        self, mask: TensorType, data: TensorType, scale: TensorType, offset: TensorType | None = None
    ) -> tuple[TensorType, TensorType]:
        check_kinds(data, "iuf")
        _check_sparse(data, mask)
        _check_blocks(mask.shape, scale, offset)
        return mask, data.with_dtype(scale.dtype)

    def run(self, mask: Array, data: Array, scale: Array, offset: Array | None = None) -> tuple[Array, Array]:
        _check_count(mask, len(data))
        return mask, kernels.sparse_shift_scale(mask, data, scale, offset)


# ---- Lookup tables ----


@dataclass(frozen=True)
class _Lut(Op):
    """What looks entries up in tables, one for each group of indices.

    Attributes:
        vector_axis: where the elements of an entry lie one after another, -rank to rank - 1; None where entries have
            one element.
    """

    vector_axis: int | None = None

    def _check_lut(self, indices: TensorType, shape: Shape, lut: TensorType) -> None:
        check_kinds(indices, "iu")
        check_filled(lut)
        require(len(shape) > 0, "expected indices of rank 1 or more, got a scalar")
        require(lut.rank == len(shape) + 2, f"the table has the shape {lut.shape}, expected {len(shape) + 2} axes")
        _check_groups("table without its last two axes", lut.shape[:-2], shape)
        require(
            self.vector_axis is not None or lut.shape[-1] == 1,
            f"the table {lut.shape} has entries of {lut.shape[-1]} elements, but no vector axis is given",
        )
        self._axis(len(shape))

    def _axis(self, rank: int) -> int:
        return axis_in(self.vector_axis or 0, rank, "vector axis")

    def _expanded(self, shape: Shape, size: int) -> Shape:
        axis = self._axis(len(shape))
        return (*shape[:axis], shape[axis] * size, *shape[axis + 1 :])


def _check_indices(indices: Array, entries: int) -> None:
    if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < entries:
        bad_input(f"indices are {indices.min()} to {indices.max()}, but the table has {entries} entries")


@dataclass(frozen=True)
class LutToDense(_Lut):
    """y[..., i * V + k, ...] = lut[g..., indices[..., i, ...], k], 0 <= k < V, i at the vector axis.

    Inputs: indices [*D] of integers, 0 to P - 1; lut [*G, P, V] of any type, of two more axes, where lengths of *G
    divide those of *D, so that g_a = floor(i_a / (D_a / G_a)) along each axis. Result [*D] in the type of the table, V
    times as long at the vector axis.
    """

    fresh = True

    def infer(self, indices: TensorType, lut: TensorType) -> TensorType:
        check_filled(indices)
        self._check_lut(indices, indices.shape, lut)
        return lut.with_shape(self._expanded(indices.shape, lut.shape[-1]))

    def run(self, indices: Array, lut: Array) -> Array:
        _check_indices(indices, lut.shape[-2])
        return kernels.lut_to_dense(indices, lut, self._axis(indices.ndim))

    def define(self, indices: Array, lut: Array) -> Array:
        return definitions.lut_to_dense(indices, lut, self._axis(indices.ndim))


@dataclass(frozen=True)
class LutToSparse(_Lut):
    """The numbers of `LutToDense` for those indices only that a mask keeps: see there.

    Inputs: mask [*D]; indices [n], in row-major order of the mask, which is true n times; lut [*G, P, V]. Results: the
    mask, each element V times along the vector axis; [n * V] numbers in row-major order of it.
    """

    def infer(self, mask: TensorType, indices: TensorType, lut: TensorType) -> tuple[TensorType, TensorType]:
        _check_sparse(indices, mask)
        self._check_lut(indices, mask.shape, lut)
        size = lut.shape[-1]
        return mask.with_shape(self._expanded(mask.shape, size)), lut.with_shape((indices.shape[0] * size,))

    def run(self, mask: Array, indices: Array, lut: Array) -> tuple[Array, Array]:
        _check_count(mask, len(indices))
        _check_indices(indices, lut.shape[-2])
        return kernels.lut_to_sparse(mask, indices, lut, self._axis(mask.ndim))

    def define(self, mask: Array, indices: Array, lut: Array) -> tuple[Array, Array]:
        return definitions.lut_to_sparse(mask, indices, lut, self._axis(mask.ndim))
