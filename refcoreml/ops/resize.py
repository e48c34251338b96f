"""Operations that resize images and other arrays: nearest neighbour, linear, and bilinear of boxes cut out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import resize as kernels
from refcoreml.kernels.resize import Sampling
from refcoreml.ops.base import (
    Op,
    bad_input,
    check_filled,
    check_floats,
    check_kinds,
    check_per_axis,
    invalid,
    require,
    vector_in,
)
from refcoreml.types import Array, Shape, TensorType


def _image(x: TensorType) -> TensorType:
    check_filled(x)
    require(x.rank >= 2, f"expected an input [*, H, W], got {x.shape}")
    return x


#: What products of factors that are floats, in float32, cannot reach.
_LARGEST = float(np.finfo(np.float32).max)


def _enlarged(x: Shape, factors: tuple[int, int] | tuple[float, float]) -> tuple[int, int]:
    """Return floor(H * vertical) and floor(W * horizontal), with floats in float32."""
    check_per_axis("factors", factors, 2)
    require(all(0 < factor < math.inf for factor in factors), f"factors are {factors}, expected finite numbers above 0")
    require(
        all(isinstance(f, int) or pixels * f < _LARGEST for pixels, f in zip(x[-2:], factors, strict=True)),
        f"factors {factors} make {x} larger than an axis can be",
    )
    height, width = (
        pixels * factor if isinstance(factor, int) else int(np.float32(pixels) * np.float32(factor))
        for pixels, factor in zip(x[-2:], factors, strict=True)
    )
    require(
        height > 0 and width > 0,
        f"factors {factors} make {x} {height} x {width} pixels large, expected at least 1 each",
    )
    return height, width


@dataclass(frozen=True)
class UpsampleNearest(Op):
    """y[..., i, j] = x[..., floor(i * H / H'), floor(j * W / W')], with integer factors floor(i / vertical) and so on.

    Input: x [*, H, W]. Result [*, H', W'] with H' = floor(H * vertical), W' = floor(W * horizontal); with factors that
    are floats the products are computed in float32, and the ratio H / H' may be another one than the factor.

    Attributes:
        factors: (vertical, horizontal), integers from 1 on, or floats above 0.
    """

    factors: tuple[int, int] | tuple[float, float]

    fresh = True
    moves = True
    definition = definitions.upsample_nearest

    def infer(self, x: TensorType) -> TensorType:
        return x.with_shape((*_image(x).shape[:-2], *_enlarged(x.shape, self.factors)))

    def run(self, x: Array) -> Array:
        vertical, horizontal = self.factors
        if isinstance(vertical, int) and isinstance(horizontal, int):
            return kernels.upsample_nearest(x, (vertical, horizontal))
        return kernels.resize_nearest(x, _enlarged(x.shape, self.factors), Sampling.UPSAMPLE, down=True)

    def define(self, x: Array) -> Array:
        return definitions.upsample_nearest(x, _enlarged(x.shape, self.factors))


def _check_target(target: tuple[int, int]) -> None:
    check_per_axis("the target", target, 2)
    require(min(target) >= 1, f"the target is {target}, expected numbers of at least 1")


class _Bilinear(Op):
    """What reads whole images bilinearly."""

    sampling: Sampling

    fresh = True

    def size(self, x: Shape) -> tuple[int, int]:
        """Return H' and W' for an input."""
        raise NotImplementedError

    def infer(self, x: TensorType) -> TensorType:
        check_kinds(x, "fiu")
        return x.with_shape((*_image(x).shape[:-2], *self.size(x.shape)))

    def run(self, x: Array) -> Array:
        return kernels.resize_linear(x, self.size(x.shape), self.sampling)

    def define(self, x: Array) -> Array:
        return definitions.resize_bilinear(x, self.size(x.shape), self.sampling.name)


@dataclass(frozen=True)
class ResizeBilinear(_Bilinear):
    """y[..., i, j] = x read bilinearly at the position (i, j) of H' x W'.

    Input: x [*, H, W]. Result [*, H', W'].

    Attributes:
        target: (H', W').
        sampling: which positions are read.
    """

    target: tuple[int, int]
    sampling: Sampling

    def size(self, x: Shape) -> tuple[int, int]:
        _check_target(self.target)
        return self.target


@dataclass(frozen=True)
class UpsampleBilinear(_Bilinear):
    """y[..., i, j] = x read bilinearly at the position (i, j) of floor(H * vertical) x floor(W * horizontal).

    Input: x [*, H, W]. Result [*, floor(H * vertical), floor(W * horizontal)]; with factors that are floats the
    products are computed in float32, so that 10 * 1.3 is 13.

    Attributes:
        factors: (vertical, horizontal), above 0.
        sampling: which positions are read.
    """

    factors: tuple[int, int] | tuple[float, float]
    sampling: Sampling

    def size(self, x: Shape) -> tuple[int, int]:
        return _enlarged(x, self.factors)


@dataclass(frozen=True)
class Resize(Op):
    """y[..., i, j, ...] = x read at the positions (p[i], q[j], ...) along its last axes, linearly or at the nearest.

    Inputs: x [*B, *D]; the target, a vector of integers, if it is no attribute. Result [*B, *D'].

    The nearest element is x[floor(p + 1 / 2)], p the position of `Sampling.HALF_PIXEL` also for `Sampling.UPSAMPLE`, so
    that for both y[i] = x[floor((i + 1 / 2) * X / N)]. Apple's tests expect this of the latter; what others do is not
    specified. Neither is what becomes of integers that are read linearly: here they are computed in double precision
    and rounded to the nearest, halves to even.

    Attributes:
        target: the lengths of the last axes, at least as many as are resized, of which those before are ignored; 0 is
            the length that x has. None if it is the second input.
        axes: how many axes are resized, 1 to the rank of x.
        sampling: which positions are read.
        nearest: whether the nearest element is taken.
    """

    target: Shape | None
    axes: int
    sampling: Sampling = Sampling.UPSAMPLE
    nearest: bool = False

    fresh = True

    def infer(self, x: TensorType, target: TensorType | None = None) -> TensorType | None:
        check_filled(x)
        require(1 <= self.axes <= x.rank, f"{self.axes} axes are to be resized, expected 1 to {x.rank} of {x.shape}")
        require(self.nearest or x.dtype.kind in "fiu", f"takes numbers, got {x.dtype}")
        return None if self.target is None else self._type(x, self._size(x.shape, self.target, invalid))

    def infer_from(self, x: Array, target: Array) -> TensorType:
        return self._type(TensorType.of(x), self._size_from(x, target))

    def _type(self, x: TensorType, size: Shape) -> TensorType:
        return x.with_shape((*x.shape[: x.rank - self.axes], *size))

    def _size_from(self, x: Array, target: Array | None) -> Shape:
        if self.target is not None:
            return self._size(x.shape, self.target, invalid)
        assert target is not None
        return self._size(x.shape, vector_in(target, "target"), bad_input)

    def _size(self, x: Shape, target: Shape, fail: Callable[[str], NoReturn]) -> Shape:
        if not self.axes <= len(target) <= len(x) or min(target) < 0:
            fail(f"the target is {target}, expected {self.axes} to {len(x)} numbers of at least 0 for {x}")
        pairs = zip(target[-self.axes :], x[-self.axes :], strict=True)
        return tuple(wanted or length for wanted, length in pairs)

    @property
    def _nearest_sampling(self) -> Sampling:
        return Sampling.HALF_PIXEL if self.sampling is Sampling.UPSAMPLE else self.sampling

    def run(self, x: Array, target: Array | None = None) -> Array:
        size = self._size_from(x, target)
        if self.nearest:
            return kernels.resize_nearest(x, size, self._nearest_sampling)
        if x.dtype.kind == "f":
            return kernels.resize_linear(x, size, self.sampling)
        return np.rint(kernels.resize_linear(x.astype(np.float64), size, self.sampling)).astype(x.dtype)

    def define(self, x: Array, target: Array | None = None) -> Array:
        sampling = self._nearest_sampling if self.nearest else self.sampling
        y = definitions.resize(x, self._size_from(x, target), sampling.name, self.nearest)
        return y if np.asarray(x).dtype.kind == "f" else np.round(y)


@dataclass(frozen=True)
class CropResize(Op):
    """y[n] = box n of the images, read bilinearly at H' x W' positions.

    Inputs: x [B, C, H, W]; boxes [N, 4], each taken out of all images, or [N, 5], whose first number says which image,
    0 to B - 1; optionally for boxes [N, 4] a vector [N] of these numbers. Result [N, B, C, H', W']; with five numbers
    [N, 1, C, H', W']; with the vector [N, C, H', W'].

    Attributes:
        target: (H', W').
        sampling: which positions are read within a box, both corners of which belong to it.
        centers: whether boxes are (center, center, size, size), else (first corner, last corner).
        width_first: whether the horizontal number of each pair comes first.
        normalized: whether coordinates are multiplied by H - 1 and W - 1, else they are pixels.
        scale: multiplies all coordinates.
        outside: the result at positions outside of the image, whichever pixels are near; None for the nearest edge.
    """

    target: tuple[int, int]
    sampling: Sampling
    centers: bool = False
    width_first: bool = False
    normalized: bool = False
    scale: float = 1.0
    outside: float | None = None

    fresh = True

    def infer(self, x: TensorType, boxes: TensorType, images: TensorType | None = None) -> TensorType:
        check_floats(x)
        check_kinds(boxes, "fiu")
        check_filled(boxes)
        _check_target(self.target)
        require(x.rank == 4, f"expected images [B, C, H, W], got {x.shape}")
        require(boxes.rank == 2 and boxes.shape[1] in (4, 5), f"expected boxes [N, 4] or [N, 5], got {boxes.shape}")
        batch, channels = x.shape[:2]
        if images is not None:
            require(boxes.shape[1] == 4, f"expected boxes [N, 4] beside the numbers of their images, got {boxes.shape}")
            require(images.shape == boxes.shape[:1], f"got {boxes.shape} boxes, but {images.shape} numbers of images")
            return x.with_shape((boxes.shape[0], channels, *self.target))
        return x.with_shape((boxes.shape[0], batch if boxes.shape[1] == 4 else 1, channels, *self.target))

    def _images(self, x: Array, boxes: Array, images: Array | None) -> Array | None:
        """Return the image of each box; None if each is taken out of all of them."""
        if images is None and boxes.shape[1] == 4:
            return None
        numbers = boxes[:, 0] if images is None else images
        wrong = ~np.isin(numbers, np.arange(len(x)))
        if wrong.any():
            bad_input(
                f"box {wrong.argmax()} is to be taken out of image {numbers[wrong][0]}, expected 0 to {len(x) - 1}"
            )
        return numbers.astype(np.int64)

    def run(self, x: Array, boxes: Array, images: Array | None = None) -> Array:
        numbers, extent = self._images(x, boxes, images), (x.shape[2], x.shape[3])
        rows = boxes[:, -4:]
        corners = self.scale * kernels.box_corners(rows, centers=self.centers, width_first=self.width_first)
        if self.normalized:
            height, width = extent
            corners *= (height - 1, width - 1, height - 1, width - 1)
        y = kernels.crop_resize(x, corners, self.target, self.sampling, numbers)
        if self.outside is not None:
            beyond = kernels.outside_of_images(corners, extent, self.target, self.sampling)
            np.copyto(y, self.outside, where=beyond[:, None, None])
        return y if images is None else y[:, 0]

    def define(self, x: Array, boxes: Array, images: Array | None = None) -> Array:
        numbers, (height, width) = self._images(x, boxes, images), x.shape[-2:]
        units = (height - 1, width - 1) if self.normalized else (1, 1)
        corners = [
            definitions.box_corners(box, self.centers, self.width_first, tuple(self.scale * unit for unit in units))
            for box in boxes[:, -4:]
        ]
        chosen = [x if numbers is None else x[[numbers[n]]] for n in range(len(boxes))]
        y = definitions.crop_resize(chosen, corners, self.target, self.sampling.name, self.outside)
        return y if images is None else y[:, 0]
