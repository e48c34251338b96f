"""Operations that give numbers another shape or order: reshaping, axes of length 1, transposing, blocks of pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from refcoreml import definitions
from refcoreml.kernels import shape as kernels
from refcoreml.ops.base import MAX_RANK, Op, axes_in, bad_input, check_rank, invalid, require, vector_in
from refcoreml.types import Array, Shape, TensorType

# ---- The same order, another shape ----


@dataclass(frozen=True)
class Reshape(Op):
    """y = the numbers of x, in row-major order, in another shape.

    Inputs: x [*D]; without a target a vector that holds it. Result: the target.

    Attributes:
        target: the shape, of which one number may be -1 for what is left; None if it is the second input.
        zero_keeps: whether 0 in it is the length that x has at that place, else it is an error.
    """

    target: Shape | None
    zero_keeps: bool = False

    def infer(self, x: TensorType, target: TensorType | None = None) -> TensorType | None:
        return None if self.target is None else x.with_shape(self._filled(x.shape, self.target, invalid))

    def infer_from(self, x: Array, target: Array) -> TensorType:
        return TensorType(x.dtype, self._shape(x, target))

    def _shape(self, x: Array, target: Array | None) -> Shape:
        if self.target is not None:
            return self._filled(x.shape, self.target, invalid)
        assert target is not None
        return self._filled(x.shape, vector_in(target, "shape"), bad_input)

    def _filled(self, x: Shape, target: Shape, fail: Callable[[str], NoReturn]) -> Shape:
        """The target with the lengths for which 0 and -1 stand; calls ``fail`` where x cannot take that shape."""
        lengths = target
        if self.zero_keeps:
            lengths = tuple(x[k] if length == 0 and k < len(x) else length for k, length in enumerate(target))
        if len(lengths) > MAX_RANK or min(lengths, default=1) < -1 or 0 in lengths or lengths.count(-1) > 1:
            fail(
                f"the shape {target} is asked for, expected 1 to {MAX_RANK} numbers of at least 1, "
                "one of which may be -1"
            )
        count, known = math.prod(x), math.prod(length for length in lengths if length != -1)
        if count % known or (-1 not in lengths and count != known):
            fail(f"the shape {target} is asked for, which the {count} numbers of {x} do not fill")
        return tuple(count // known if length == -1 else length for length in lengths)

    def run(self, x: Array, target: Array | None = None) -> Array:
        return x.reshape(self._shape(x, target))

    def define(self, x: Array, target: Array | None = None) -> Array:
        return definitions.reshape(x, self._shape(x, target))


@dataclass(frozen=True)
class ReshapeLike(Op):
    """y = the numbers of x, in row-major order, in the shape of another input, whose values are not read."""

    def infer(self, x: TensorType, like: TensorType) -> TensorType:
        return Reshape(like.shape).infer(x) or x

    def run(self, x: Array, like: Array) -> Array:
        return x.reshape(like.shape)

    def define(self, x: Array, like: Array) -> Array:
        return definitions.reshape(x, like.shape)


class _Reshaping(Op):
    """What gives x a shape that follows from its own; subclasses say which, in `infer`."""

    def infer(self, x: TensorType) -> TensorType:
        raise NotImplementedError

    def run(self, x: Array) -> Array:
        return x.reshape(self.infer(TensorType.of(x)).shape)

    def define(self, x: Array) -> Array:
        return definitions.reshape(x, self.infer(TensorType.of(x)).shape)


@dataclass(frozen=True)
class Flatten2D(_Reshaping):
    """y = x as a matrix: [d_0, ..., d_r-1] becomes [d_0 * ... * d_axis-1, d_axis * ... * d_r-1].

    Attributes:
        axis: -r to r; for 0 the first length is 1, for r the second.
    """

    axis: int

    def infer(self, x: TensorType) -> TensorType:
        rank, axis = x.rank, self.axis
        require(-rank <= axis <= rank, f"axis is {axis}, expected {-rank} to {rank} for rank {rank}")
        place = axis + rank if axis < 0 else axis
        return x.with_shape((math.prod(x.shape[:place]), math.prod(x.shape[place:])))


@dataclass(frozen=True)
class ExpandDims(_Reshaping):
    """y = x with further axes of length 1.

    Attributes:
        axes: where the result has them, -rank to rank - 1 for its rank, none twice.
    """

    axes: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        rank = x.rank + len(self.axes)
        axes, lengths = axes_in(self.axes, rank), iter(x.shape)
        return check_rank(x.with_shape(tuple(1 if axis in axes else next(lengths) for axis in range(rank))))


@dataclass(frozen=True)
class Squeeze(_Reshaping):
    """y = x without some axes of length 1.

    Attributes:
        axes: which, -rank to rank - 1, none twice; None for all of length 1.
    """

    axes: tuple[int, ...] | None = None

    def infer(self, x: TensorType) -> TensorType:
        if self.axes is None:
            return x.with_shape(tuple(length for length in x.shape if length != 1))
        axes = axes_in(self.axes, x.rank)
        for axis in axes:
            length = x.shape[axis]
            require(length == 1, f"axis {axis} of {x.shape} has the length {length}, only one of 1 can be squeezed")
        return x.with_shape(tuple(length for axis, length in enumerate(x.shape) if axis not in axes))


# ---- Another order ----


@dataclass(frozen=True)
class Transpose(Op):
    """y = x with its axes in another order: axis i of y is axis axes[i] of x.

    Attributes:
        axes: a permutation of 0, ..., rank - 1.
    """

    axes: tuple[int, ...]

    definition = definitions.transpose

    def infer(self, x: TensorType) -> TensorType:
        expected = tuple(range(x.rank))
        require(
            tuple(sorted(self.axes)) == expected,
            f"axes is {self.axes}, expected a permutation of {expected} for {x.shape}",
        )
        return x.with_shape(tuple(x.shape[axis] for axis in self.axes))

    def run(self, x: Array) -> Array:
        return x.transpose(self.axes)


def _image(x: TensorType) -> tuple[int, int, int]:
    require(x.rank >= 3, f"expected an input [*, C, H, W], got {x.shape}")
    channels, height, width = x.shape[-3:]
    return channels, height, width


@dataclass(frozen=True)
class FlattenImage(Op):
    """[*, C, H, W] -> [*, C * H * W, 1, 1].

    Attributes:
        channel_last: whether numbers are taken in the order (H, W, C) instead of (C, H, W).
    """

    channel_last: bool = False

    definition = definitions.flatten_image

    def infer(self, x: TensorType) -> TensorType:
        return x.with_shape((*x.shape[:-3], math.prod(_image(x)), 1, 1))

    def run(self, x: Array) -> Array:
        return kernels.flatten(x, channel_last=self.channel_last)


@dataclass(frozen=True)
class ReshapeSequence(Op):
    """y = the numbers of each batch element of x [Seq, B, C, H, W] in another shape [Seq', B, C', H', W'].

    Attributes:
        target: (C', H', W'), or (Seq', C', H', W').
        channel_last: whether numbers are taken in the order (Seq, H, W, C) and filled in as (Seq', H', W', C'), else
            in the order of the axes.
    """

    target: Shape
    channel_last: bool = False

    def _whole(self, x: Shape) -> Shape:
        return self.target if len(self.target) == 4 else (x[0], *self.target)

    def infer(self, x: TensorType) -> TensorType:
        require(x.rank == 5, f"expected an input [Seq, B, C, H, W], got {x.shape}")
        batch = x.shape[1]
        sequence, *rest = target = self._whole(x.shape)
        count, wanted = math.prod(x.shape) // batch, math.prod(target)
        require(
            count == wanted,
            f"cannot fill {self.target}, {wanted} numbers, from {x.shape}, {count} for each in the batch",
        )
        return x.with_shape((sequence, batch, *rest))

    def run(self, x: Array) -> Array:
        return kernels.reshape(x, self._whole(x.shape), channel_last=self.channel_last)

    def define(self, x: Array) -> Array:
        return definitions.reshape_sequence(x, self._whole(x.shape), self.channel_last)


# ---- Blocks of pixels and channels ----


@dataclass(frozen=True)
class _Blocks(Op):
    """What moves blocks of b * b pixels into channels or back.

    Attributes:
        block: b.
    """

    block: int


@dataclass(frozen=True)
class SpaceToDepth(_Blocks):
    """y[(i * b + j) * C + c, h, w] = x[c, h * b + i, w * b + j], 0 <= i, j < b, as TensorFlow.

    Input: x [*, C, H, W], H and W multiples of b. Result [*, C * b**2, H / b, W / b].
    """

    definition = definitions.space_to_depth

    def infer(self, x: TensorType) -> TensorType:
        channels, height, width = _image(x)
        block = self.block
        require(
            height % block == 0 and width % block == 0, f"blocks of {block} do not divide H and W of {x.shape} evenly"
        )
        return x.with_shape((*x.shape[:-3], channels * block**2, height // block, width // block))

    def run(self, x: Array) -> Array:
        return kernels.space_to_depth(x, self.block)


class _ToSpace(_Blocks):
    def infer(self, x: TensorType) -> TensorType:
        channels, height, width = _image(x)
        block = self.block
        require(channels % block**2 == 0, f"{channels} channels cannot be divided into blocks of {block} * {block}")
        return x.with_shape((*x.shape[:-3], channels // block**2, height * block, width * block))


@dataclass(frozen=True)
class DepthToSpace(_ToSpace):
    """y[c, h * b + i, w * b + j] = x[(i * b + j) * C' + c, h, w], 0 <= i, j < b: the inverse of `SpaceToDepth`.

    Input: x [*, C, H, W], C a multiple of b**2. Result [*, C', H * b, W * b], C' = C / b**2.
    """

    definition = definitions.depth_to_space

    def run(self, x: Array) -> Array:
        return kernels.depth_to_space(x, self.block)


@dataclass(frozen=True)
class PixelShuffle(_ToSpace):
    """y[c, h * b + i, w * b + j] = x[c * b**2 + i * b + j, h, w], 0 <= i, j < b, as torch.

    Input: x [*, C, H, W], C a multiple of b**2. Result [*, C / b**2, H * b, W * b].
    """

    definition = definitions.pixel_shuffle

    def run(self, x: Array) -> Array:
        return kernels.pixel_shuffle(x, self.block)
