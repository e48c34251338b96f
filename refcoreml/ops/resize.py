"""Operations that resize images: nearest neighbour, bilinear, and bilinear of boxes cut out of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import resize as kernels
from refcoreml.kernels.resize import Sampling
from refcoreml.ops.base import Op, bad_input, require
from refcoreml.types import Array, Shape, TensorType


def _image(x: TensorType) -> TensorType:
    require(x.rank >= 2, f"expected an input [*, H, W], got {x.shape}")
    return x


@dataclass(frozen=True)
class UpsampleNearest(Op):
    """y[..., i, j] = x[..., floor(i / vertical), floor(j / horizontal)].

    Input: x [*, H, W]. Result [*, H * vertical, W * horizontal].

    Attributes:
        factors: (vertical, horizontal), 1 or more each.
    """

    factors: tuple[int, int]

    fresh = True
    definition = definitions.upsample_nearest

    def infer(self, x: TensorType) -> TensorType:
        *batch, height, width = _image(x).shape
        vertical, horizontal = self.factors
        return x.with_shape((*batch, height * vertical, width * horizontal))

    def run(self, x: Array) -> Array:
        return kernels.upsample_nearest(x, self.factors)


class _Bilinear(Op):
    """What reads whole images bilinearly."""

    sampling: Sampling

    fresh = True

    def size(self, x: Shape) -> tuple[int, int]:
        """Return H' and W' for an input."""
        raise NotImplementedError

    def infer(self, x: TensorType) -> TensorType:
        return x.with_shape((*_image(x).shape[:-2], *self.size(x.shape)))

    def run(self, x: Array) -> Array:
        return kernels.resize_bilinear(x, self.size(x.shape), self.sampling)

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
        height, width = (
            pixels * factor if isinstance(factor, int) else int(np.float32(pixels) * np.float32(factor))
            for pixels, factor in zip(x[-2:], self.factors, strict=True)
        )
        return height, width


@dataclass(frozen=True)
class CropResize(Op):
    """y[n] = box n of the images, read bilinearly at H' x W' positions.

    Inputs: x [B, C, H, W]; boxes [N, 4], each taken out of all images, or [N, 5], whose first number says which image,
    0 to B - 1. Result [N, B, C, H', W'], or with five numbers [N, 1, C, H', W'].

    Attributes:
        target: (H', W').
        sampling: which positions are read within a box, both corners of which belong to it.
        centers: whether boxes are (center, center, size, size), else (first corner, last corner).
        width_first: whether the horizontal number of each pair comes first.
        normalized: whether coordinates are multiplied by H - 1 and W - 1, else they are pixels.
        scale: multiplies all coordinates.
    """

    target: tuple[int, int]
    sampling: Sampling
    centers: bool = False
    width_first: bool = False
    normalized: bool = False
    scale: float = 1.0

    fresh = True

    def infer(self, x: TensorType, boxes: TensorType) -> TensorType:
        require(x.rank == 4, f"expected images [B, C, H, W], got {x.shape}")
        require(boxes.rank == 2 and boxes.shape[1] in (4, 5), f"expected boxes [N, 4] or [N, 5], got {boxes.shape}")
        batch, channels = x.shape[:2]
        return x.with_shape((boxes.shape[0], batch if boxes.shape[1] == 4 else 1, channels, *self.target))

    def _images(self, x: Array, boxes: Array) -> Array | None:
        """Return the image of each box; None if each is taken out of all of them."""
        if boxes.shape[1] == 4:
            return None
        numbers = boxes[:, 0]
        wrong = ~np.isin(numbers, np.arange(len(x)))
        if wrong.any():
            bad_input(
                f"box {wrong.argmax()} is to be taken out of image {numbers[wrong][0]}, expected 0 to {len(x) - 1}"
            )
        return numbers.astype(np.int64)

    def run(self, x: Array, boxes: Array) -> Array:
        images, rows = self._images(x, boxes), boxes[:, -4:]
        corners = self.scale * kernels.box_corners(rows, centers=self.centers, width_first=self.width_first)
        if self.normalized:
            height, width = x.shape[-2:]
            corners *= (height - 1, width - 1, height - 1, width - 1)
        return kernels.crop_resize(x, corners, self.target, self.sampling, images)

    def define(self, x: Array, boxes: Array) -> Array:
        images, (height, width) = self._images(x, boxes), x.shape[-2:]
        units = (height - 1, width - 1) if self.normalized else (1, 1)
        corners = [
            definitions.box_corners(box, self.centers, self.width_first, tuple(self.scale * unit for unit in units))
            for box in boxes[:, -4:]
        ]
        chosen = [x if images is None else x[[images[n]]] for n in range(len(boxes))]
        return definitions.crop_resize(chosen, corners, self.target, self.sampling.name)
