"""Operations that read images at positions which inputs say, or which follow from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import sampling as kernels
from refcoreml.kernels.sampling import Coordinates, Padding
from refcoreml.ops.base import Op, check_floats, check_kinds, check_per_axis, require
from refcoreml.types import Array, TensorType


def _check_images(x: TensorType) -> None:
    check_floats(x)
    require(x.rank == 4, f"expected images [B, C, H, W], got {x.shape}")


@dataclass(frozen=True)
class Resample(Op):
    """y[b, c, i, j] = x[b, c] read at the place that coordinates[b, i, j] name, bilinearly or at the nearest pixel.

    Inputs: x [B, C, H, W] of floats; coordinates [B, H', W', 2] of floats or integers, the place along W first. Result
    [B, C, H', W'].

    The nearest pixel is that at the position rounded to the nearest, halves to even, which is not specified. With a
    constant, each neighbour beyond the edges is that number, as Apple's tests expect; there are reports of systems that
    give it for the whole sample then. NaN gives NaN, and so does infinity where the image is mirrored.

    Attributes:
        coordinates: what coordinates mean.
        align_corners: whether the first and the last coordinate are the centers of the pixels at the corners, else
            their outer edges; of no effect for `Coordinates.PIXELS`.
        padding: what lies beyond the edges.
        value: the number for `Padding.CONSTANT`.
        nearest: whether the nearest pixel is taken.
    """

    coordinates: Coordinates
    align_corners: bool = False
    padding: Padding = Padding.CONSTANT
    value: float = 0.0
    nearest: bool = False

    fresh = True

    def infer(self, x: TensorType, coordinates: TensorType) -> TensorType:
        _check_images(x)
        check_kinds(coordinates, "fiu")
        require(
            coordinates.rank == 4 and coordinates.shape[0] == x.shape[0] and coordinates.shape[3] == 2,
            f"expected coordinates [{x.shape[0]}, H', W', 2], got {coordinates.shape}",
        )
        return x.with_shape((*x.shape[:2], *coordinates.shape[1:3]))

    def run(self, x: Array, coordinates: Array) -> Array:
        columns, rows = (
            kernels.positions(coordinates[..., k], length, self.coordinates, align_corners=self.align_corners)
            for k, length in enumerate(x.shape[:1:-1])
        )
        return kernels.resample(x, rows, columns, self.padding, self.value, nearest=self.nearest)

    def define(self, x: Array, coordinates: Array) -> Array:
        how = self.coordinates.name, self.align_corners, self.padding.name, self.value, self.nearest
        return definitions.resample(x, np.asarray(coordinates, np.float64), *how)


@dataclass(frozen=True)
class WarpAffine(Op):
    """y[b, c, i, j] = x[b, c] read bilinearly at (a_0 s + a_1 t + a_2, a_3 s + a_4 t + a_5), a = matrix[b].

    (s, t) is the place of column j and row i, and what is read a place in x, both from -1 to 1. With one column or row
    and aligned corners it is 0, which is not specified.

    Inputs: x [B, C, H, W] of floats; matrix [B, 6], or [1, 6] for all. Result [B, C, H', W']. Beyond the edges lies a
    number; positions are computed in double precision.

    Attributes:
        target: (H', W').
        align_corners: whether -1 and 1 are the centers of the pixels at the corners, else their outer edges.
        value: what lies beyond the edges, as for `Resample`.
    """

    target: tuple[int, int]
    align_corners: bool = True
    value: float = 0.0

    fresh = True

    def infer(self, x: TensorType, matrix: TensorType) -> TensorType:
        _check_images(x)
        check_kinds(matrix, "f")
        check_per_axis("the target", self.target, 2)
        require(min(self.target) >= 1, f"the target is {self.target}, expected numbers of at least 1")
        batch = x.shape[0]
        expected = f"[{batch}, 6]" if batch == 1 else f"[{batch}, 6] or [1, 6]"
        require(matrix.shape in ((batch, 6), (1, 6)), f"expected a matrix {expected}, got {matrix.shape}")
        return x.with_shape((*x.shape[:2], *self.target))

    def run(self, x: Array, matrix: Array) -> Array:
        rows, columns = kernels.affine_positions(
            matrix, (x.shape[2], x.shape[3]), self.target, align_corners=self.align_corners
        )
        shape = (len(x), *self.target)
        places = np.broadcast_to(rows, shape), np.broadcast_to(columns, shape)
        return kernels.resample(x, *places, Padding.CONSTANT, self.value)

    def define(self, x: Array, matrix: Array) -> Array:
        return definitions.warp_affine(x, matrix, self.target, self.align_corners, self.value)
