"""Operations that give numbers another shape or order: reshaping, axes of length 1, transposing, blocks of pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn, TypeAlias

from refcoreml import definitions
from refcoreml.kernels import shape as kernels
from refcoreml.ops.base import (
    MAX_RANK,
    Op,
    Settings,
    arrays_of,
    axes_in,
    bad_input,
    check_filled,
    check_per_axis,
    check_rank,
    invalid,
    remembered,
    require,
    settings_of,
    vector_in,
)
from refcoreml.types import Array, Shape, TensorType

# ---- The same order, another shape ----


@dataclass(frozen=True)
class Identity(Op):
    """y = x, of any type, which is handed on as it is."""

    moves = True
    definition = definitions.identity

    def infer(self, x: TensorType) -> TensorType:
        return x

    def run(self, x: Array) -> Array:
        return x


@dataclass(frozen=True)
class Reshape(Op):
    """y = the numbers of x, in row-major order, in another shape.

    Inputs: x [*D]; without a target a vector that holds it. Result: the target.

    Attributes:
        target: the shape, of which one number may be -1 for what is left; None if it is the second input.
        zero_keeps: whether 0 in it is the length that x has at that place, else it is an error.
        from_last: whether such places are counted from the last axis on; a 0 before the first axis of x then is 1.
    """

    target: Shape | None
    zero_keeps: bool = False
    from_last: bool = False

    moves = True

    def infer(self, x: TensorType, target: TensorType | None = None) -> TensorType | None:
        return None if self.target is None else x.with_shape(self._shape(x.shape, ()))

    def infer_from(self, x: Array, target: Array) -> TensorType:
        return TensorType(x.dtype, self._shape(x.shape, settings_of([target])))

    @cached_property
    def _shape(self) -> Callable[[Shape, Settings], Shape]:
        return remembered(self._derive)

    def _derive(self, x: Shape, target: Settings) -> Shape:
        if self.target is not None:
            return self._filled(x, self.target, invalid)
        (values,) = arrays_of(target)
        return self._filled(x, vector_in(values, "shape"), bad_input)

    def _filled(self, x: Shape, target: Shape, fail: Callable[[str], NoReturn]) -> Shape:
        """Return the target with lengths in place of 0 and -1; call ``fail`` where x cannot take that shape."""
        lengths = self._kept(x, target) if self.zero_keeps else target
        if len(lengths) > MAX_RANK or min(lengths, default=1) < -1 or 0 in lengths or lengths.count(-1) > 1:
            fail(
                f"the shape {target} is requested, expected 1 to {MAX_RANK} numbers of at least 1, "
                "one of which may be -1"
            )
        count, known = math.prod(x), math.prod(length for length in lengths if length != -1)
        if count % known or (-1 not in lengths and count != known):
            fail(f"the shape {target} is requested, which the {count} numbers of {x} do not fill")
        return tuple(count // known if length == -1 else length for length in lengths)

    def _kept(self, x: Shape, target: Shape) -> Shape:
        """Return the target with lengths in place of 0."""
        missing = len(target) - len(x) if self.from_last else 0
        source = (1,) * missing + x[max(-missing, 0) :]
        return tuple(source[k] if length == 0 and k < len(source) else length for k, length in enumerate(target))

    def run(self, x: Array, *target: Array) -> Array:
        return x.reshape(self._shape(x.shape, settings_of(target)))

    def define(self, x: Array, *target: Array) -> Array:
        return definitions.reshape(x, self._shape(x.shape, settings_of(target)))


@dataclass(frozen=True)
class ReshapeLike(Op):
    """y = the numbers of x, in row-major order, in a shape put together from those of other inputs.

    Inputs: x, then at least one more, whose values are not read and whose type is any. Result: their shapes, or the
    taken parts of these, one after another.

    Attributes:
        parts: for each further input the axes taken from its shape, (begin, end) as in Python, the end None for all
            that follow; None for whole shapes.
    """

    parts: tuple[tuple[int, int | None], ...] | None = None

    moves = True

    def _shape(self, *others: Shape) -> Shape:
        parts = ((0, None),) * len(others) if self.parts is None else self.parts
        require(
            len(parts) == len(others) > 0,
            f"takes parts of {len(parts)} shapes, but has {len(others)} inputs beside x that have one",
        )
        return tuple(length for shape, (begin, end) in zip(others, parts, strict=True) for length in shape[begin:end])

    def infer(self, x: TensorType, *others: TensorType) -> TensorType:
        return Reshape(self._shape(*(other.shape for other in others))).infer(x) or x

    def run(self, x: Array, *others: Array) -> Array:
        return x.reshape(self._shape(*(other.shape for other in others)))

    def define(self, x: Array, *others: Array) -> Array:
        return definitions.reshape(x, self._shape(*(other.shape for other in others)))


class _Reshaping(Op):
    """What gives x a shape that follows from its own; subclasses say which, in `_derive`."""

    moves = True

    def _derive(self, x: Shape) -> Shape:
        raise NotImplementedError

    @cached_property
    def _shape(self) -> Callable[[Shape], Shape]:
        return remembered(self._derive)

    def infer(self, x: TensorType) -> TensorType:
        check_filled(x)
        return check_rank(x.with_shape(self._shape(x.shape)))

    def run(self, x: Array) -> Array:
        return x.reshape(self._shape(x.shape))

    def define(self, x: Array) -> Array:
        return definitions.reshape(x, self._shape(x.shape))


@dataclass(frozen=True)
class Flatten2D(_Reshaping):
    """y = x as a matrix: [d_0, ..., d_r-1] becomes [d_0 * ... * d_axis-1, d_axis * ... * d_r-1].

    Attributes:
        axis: -r to r; for 0 the first length is 1, for r the second.
    """

    axis: int

    def _derive(self, x: Shape) -> Shape:
        rank, axis = len(x), self.axis
        require(-rank <= axis <= rank, f"axis is {axis}, expected {-rank} to {rank} for rank {rank}")
        place = axis + rank if axis < 0 else axis
        return math.prod(x[:place]), math.prod(x[place:])


@dataclass(frozen=True)
class ExpandDims(_Reshaping):
    """y = x with further axes of length 1.

    Attributes:
        axes: where the result has them, -rank to rank - 1 for its rank, none twice.
    """

    axes: tuple[int, ...]

    def _derive(self, x: Shape) -> Shape:
        rank = len(x) + len(self.axes)
        axes, lengths = axes_in(self.axes, rank), iter(x)
        return tuple(1 if axis in axes else next(lengths) for axis in range(rank))


@dataclass(frozen=True)
class Squeeze(_Reshaping):
    """y = x without some axes of length 1.

    Attributes:
        axes: which, -rank to rank - 1, none twice; None for all of length 1.
        strict: whether one of another length is an error; else it stays.
    """

    axes: tuple[int, ...] | None = None
    strict: bool = True

    def _derive(self, x: Shape) -> Shape:
        axes = range(len(x)) if self.axes is None else axes_in(self.axes, len(x))
        if self.strict and self.axes is not None:
            for axis in axes:
                require(x[axis] == 1, f"axis {axis} of {x} has the length {x[axis]}, only one of 1 can be squeezed")
        return tuple(length for axis, length in enumerate(x) if axis not in axes or length != 1)


# ---- Another order ----


@dataclass(frozen=True)
class Transpose(Op):
    """y = x with its axes in another order: axis i of y is axis axes[i] of x.

    Attributes:
        axes: a permutation of 0, ..., rank - 1, which may be counted from the end, as -rank, ..., -1.
    """

    axes: tuple[int, ...]

    moves = True
    definition = definitions.transpose

    def infer(self, x: TensorType) -> TensorType:
        expected = tuple(range(x.rank))
        places = (axis + x.rank if axis < 0 else axis for axis in self.axes)
        require(
            tuple(sorted(places)) == expected,
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

    moves = True
    definition = definitions.flatten_image

    def infer(self, x: TensorType) -> TensorType:
        check_filled(x)
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

    moves = True

    def _whole(self, x: Shape) -> Shape:
        return self.target if len(self.target) == 4 else (x[0], *self.target)

    def infer(self, x: TensorType) -> TensorType:
        check_filled(x)
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

    moves = True

    def _check_block(self) -> None:
        require(self.block >= 1, f"the block is {self.block}, expected a number of at least 1")


class _ToDepth(_Blocks):
    def infer(self, x: TensorType) -> TensorType:
        channels, height, width = _image(x)
        self._check_block()
        block = self.block
        require(
            height % block == 0 and width % block == 0, f"blocks of {block} do not divide H and W of {x.shape} evenly"
        )
        return x.with_shape((*x.shape[:-3], channels * block**2, height // block, width // block))


@dataclass(frozen=True)
class SpaceToDepth(_ToDepth):
    """y[(i * b + j) * C + c, h, w] = x[c, h * b + i, w * b + j], 0 <= i, j < b, as TensorFlow.

    Input: x [*, C, H, W], H and W multiples of b. Result [*, C * b**2, H / b, W / b].
    """

    definition = definitions.space_to_depth

    def run(self, x: Array) -> Array:
        return kernels.space_to_depth(x, self.block)


@dataclass(frozen=True)
class PixelUnshuffle(_ToDepth):
    """y[c * b**2 + i * b + j, h, w] = x[c, h * b + i, w * b + j], 0 <= i, j < b, as torch: `PixelShuffle` undone.

    Input: x [*, C, H, W], H and W multiples of b. Result [*, C * b**2, H / b, W / b].
    """

    definition = definitions.pixel_unshuffle

    def run(self, x: Array) -> Array:
        return kernels.pixel_unshuffle(x, self.block)


class _ToSpace(_Blocks):
    def infer(self, x: TensorType) -> TensorType:
        channels, height, width = _image(x)
        self._check_block()
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


# ---- Blocks of pixels and the batch ----

#: What is added or cut off along H and W: ((top, bottom), (left, right)).
Margins: TypeAlias = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class _BatchBlocks(Op):
    """What moves the pixels of blocks, one each, into the batch or back; the block's pixels are the slower index.

    Attributes:
        block: (b_h, b_w), 1 or more each.
        margins: ((top, bottom), (left, right)), 0 or more each.
    """

    block: tuple[int, int]
    margins: Margins = ((0, 0), (0, 0))

    moves = True

    def _lengths(self, x: TensorType) -> Shape:
        """Check the attributes and return x's shape."""
        check_filled(x)
        require(x.rank == 4, f"expected an input [N, C, H, W], got {x.shape}")
        for name, values in (("the block", self.block), ("the margins", self.margins)):
            check_per_axis(name, values, 2)
        require(min(self.block) >= 1, f"the block is {self.block}, expected numbers of at least 1")
        least = min(map(min, self.margins))
        require(least >= 0, f"{self.margins} pixels are to be added or cut off, expected numbers of at least 0")
        return x.shape

    @property
    def _margin(self) -> tuple[int, int]:
        """Return how many pixels are added or cut off vertically and horizontally."""
        (top, bottom), (left, right) = self.margins
        return top + bottom, left + right


@dataclass(frozen=True)
class SpaceToBatch(_BatchBlocks):
    """y[(i * b_w + j) * N + n, c, h, w] = p[n, c, h * b_h + i, w * b_w + j], p = x with zeros around it, as TensorFlow.

    Input: x [N, C, H, W]; with the margins H and W are multiples of b_h and b_w. Result [N * b_h * b_w, C,
    (H + top + bottom) / b_h, (W + left + right) / b_w].
    """

    fresh = True
    definition = definitions.space_to_batch

    def infer(self, x: TensorType) -> TensorType:
        batch, channels, *sides = self._lengths(x)
        (height, width), block = (side + more for side, more in zip(sides, self._margin, strict=True)), self.block
        require(
            height % block[0] == 0 and width % block[1] == 0,
            f"blocks of {block} do not divide the {(height, width)} pixels of {x.shape} with its margins evenly",
        )
        return x.with_shape((batch * math.prod(block), channels, height // block[0], width // block[1]))

    def run(self, x: Array) -> Array:
        return kernels.space_to_batch(x, self.block, self.margins)


@dataclass(frozen=True)
class BatchToSpace(_BatchBlocks):
    """y[n, c, h * b_h + i - top, w * b_w + j - left] = x[(i * b_w + j) * N' + n, c, h, w]: `SpaceToBatch` undone.

    Input: x [N, C, H, W], N a multiple of b_h * b_w. Result [N', C, H * b_h - top - bottom, W * b_w - left - right], N'
    = N / (b_h * b_w); at least one pixel is left.
    """

    definition = definitions.batch_to_space

    def infer(self, x: TensorType) -> TensorType:
        batch, channels, *sides = self._lengths(x)
        pixels, height, width = (
            math.prod(self.block),
            *(side * b - less for side, b, less in zip(sides, self.block, self._margin, strict=True)),
        )
        require(batch % pixels == 0, f"a batch of {batch} cannot be divided into blocks of {self.block}")
        require(height > 0 and width > 0, f"of {x.shape} in blocks of {self.block}, {self.margins} leaves no pixel")
        return x.with_shape((batch // pixels, channels, height, width))

    def run(self, x: Array) -> Array:
        return kernels.batch_to_space(x, self.block, self.margins)
