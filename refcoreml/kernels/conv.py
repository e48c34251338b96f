"""Convolution and deconvolution over the last two axes, and the arithmetic of their output sizes.

A convolution is a matrix product: the weights, a row per output channel, times the patches of the input, a column per
output pixel. BLAS does the product on all its threads; what is left to speed is to feed it cheaply:

* patches are gathered for a strip of output rows at a time, into scratch that each thread keeps;
* a row of ones below the patches lets the same product add the bias;
* where the stride allows it, patches of one kernel row serve all kernel rows, each with a product of its own: the next
  kernel row sees the same pixels one output row later;
* 1x1 kernels that narrow the channels need no patches at all: the image is the matrix;
* few output channels would make a product of few rows, which BLAS computes slowly, on several threads above all: there
  one product gives what each pixel adds to its neighbours, which is then added up, as a deconvolution does it;
* depthwise kernels are no matrix product: they are a multiply-add per tap over whole channels.

Threads of Python's own, each with a strip, were tried and left out: waking one takes as long as a small layer, and BLAS
must be kept to one thread meanwhile.

Everything is computed in the float type that is given; float16 is summed in float32 and rounded once.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from refcoreml.errors import UsageError
from refcoreml.kernels.threads import matmul
from refcoreml.types import Array

__all__ = [
    "Convolution",
    "Deconvolution",
    "convolution_output_size",
    "convolve",
    "deconvolution_output_size",
    "deconvolve",
    "leave",
    "same_crop",
    "same_padding",
]

Pair: TypeAlias = tuple[int, int]
#: ((top, bottom), (left, right))
Border: TypeAlias = tuple[Pair, Pair]
#: Where a block of an output ``[B, C, H, W]`` lies: the image and its channels.
Place: TypeAlias = tuple[int, slice]
#: Overwrites a finished block of an output.
Epilogue: TypeAlias = Callable[[Array, Place], None]

NO_BORDER: Border = ((0, 0), (0, 0))

#: Bytes of patches, or of whatever else is computed on the way, at a time: few enough for the cache, but enough for
#: BLAS to share out among threads, and for NumPy to be worth calling.
BLOCK_BYTES = 4 << 20

#: From so many input channels per output channel on, and in all, adding up is faster than gathering patches (measured).
FEW_OUTPUTS, MANY_INPUTS = 8, 32

#: Bytes of an output that are finished at a time, while they are in the cache.
FINISH_BYTES = 1 << 19


def convolution_output_size(size: int, kernel: int, stride: int = 1, dilation: int = 1, padding: Pair = (0, 0)) -> int:
    """floor((size + begin + end - ((kernel - 1) * dilation + 1)) / stride) + 1; below 1 if the kernel does not fit."""
    return (size + sum(padding) - _extent(kernel, dilation)) // stride + 1


def deconvolution_output_size(size: int, kernel: int, stride: int = 1, dilation: int = 1, crop: Pair = (0, 0)) -> int:
    """(size - 1) * stride + (kernel - 1) * dilation + 1 - begin - end; below 1 if nothing is left."""
    return (size - 1) * stride + _extent(kernel, dilation) - sum(crop)


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1, *, heavy_begin: bool = False) -> Pair:
    """Return the padding (begin, end) that makes the output of a convolution ceil(size / stride) long.

    An odd pixel goes to the end (BOTTOM_RIGHT_HEAVY), with ``heavy_begin`` to the beginning (TOP_LEFT_HEAVY).
    """
    outputs = _ceil_div(size, stride)
    return _split(max((outputs - 1) * stride + _extent(kernel, dilation) - size, 0), heavy_begin)


def same_crop(
    size: int, kernel: int, stride: int = 1, dilation: int = 1, *, output: int | None = None, heavy_begin: bool = False
) -> Pair:
    """Return the crop (begin, end) that makes the output of a deconvolution ``output`` long, by default size * stride.

    An odd pixel is cut at the end, with ``heavy_begin`` at the beginning. Where the full output is too short, the end
    is negative: pixels that no input reaches, which hold the bias, are added there.
    """
    wanted = size * stride if output is None else output
    surplus = deconvolution_output_size(size, kernel, stride, dilation) - wanted
    return _split(surplus, heavy_begin) if surplus > 0 else (0, surplus)


def _extent(kernel: int, dilation: int) -> int:
    """Return the number of pixels from the first to the last tap of a dilated kernel, both counted."""
    return (kernel - 1) * dilation + 1


def _split(total: int, heavy_begin: bool) -> Pair:
    small = total // 2
    return (total - small, small) if heavy_begin else (small, total - small)


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def _parts(total: int, most: int) -> list[slice]:
    """Cut range(total) into the fewest slices of at most ``most`` (but at least 1) each, of nearly equal length."""
    length = _ceil_div(total, _ceil_div(total, max(most, 1)))
    return [slice(start, min(start + length, total)) for start in range(0, total, length)]


def leave(block: Array, place: Place) -> None:
    """Change nothing: the empty epilogue."""


def _finish(outputs: Array, epilogue: Epilogue) -> None:
    """Apply an epilogue to all of [B, C, H, W]: channels as they lie in memory, since NumPy is slow across gaps."""
    if epilogue is not leave:
        most = FINISH_BYTES // (math.prod(outputs.shape[2:]) * outputs.itemsize)
        for place in itertools.product(range(len(outputs)), _parts(outputs.shape[1], most)):
            epilogue(outputs[place], place)


def convolve(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Pair = (1, 1),
    padding: Border = NO_BORDER,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """Return one call of a `Convolution` that is not worth keeping.

    >>> convolve(np.ones((1, 3, 3)), np.ones((1, 1, 2, 2)), padding=((1, 0), (0, 0)))
    array([[[2., 2.],
            [4., 4.],
            [4., 4.]]])
    """
    return Convolution(weight, bias, stride=stride, dilation=dilation, groups=groups)(x, padding)


def deconvolve(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Pair = (1, 1),
    crop: Border = NO_BORDER,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """Return one call of a `Deconvolution` that is not worth keeping.

    >>> deconvolve(np.array([[[1.0, 2.0]]]), np.ones((1, 1, 1, 2)), stride=(1, 2))
    array([[[1., 1., 2., 2.]]])
    """
    return Deconvolution(weight, bias, stride=stride, dilation=dilation, groups=groups)(x, crop)


class _Axis(NamedTuple):
    """One spatial axis of a convolution, freed of the taps that only ever see padding."""

    outputs: int
    stride: int
    dilation: int
    #: The first tap that sees a pixel of the image, and how many taps from there do.
    first: int
    taps: int
    #: Where the image begins, counted from what the first tap of the first output sees; negative if before it.
    begin: int

    @classmethod
    def of(cls, size: int, kernel: int, stride: int, dilation: int, padding: Pair) -> _Axis:
        outputs = convolution_output_size(size, kernel, stride, dilation, padding)
        if outputs < 1 or min(padding) < 0:
            raise UsageError(f"a kernel of {kernel} pixels, {dilation} apart, does not fit {size} padded by {padding}")
        # A tap sees the pixels tap * dilation - begin + range(0, reach + 1, stride). Keep those that meet range(size).
        reach = (outputs - 1) * stride
        first = max(_ceil_div(padding[0] - reach, dilation), 0)
        taps = max(min(_ceil_div(padding[0] + size, dilation), kernel) - first, 0)
        # Where there is one of a kind, the distance to the next can be any number at all, but shall not be huge.
        return cls(
            outputs,
            stride if outputs > 1 else 1,
            dilation if taps > 1 else 1,
            first,
            taps,
            padding[0] - first * dilation,
        )

    @property
    def extent(self) -> int:
        """Return the number of pixels from the first to the last that the outputs see."""
        return (self.outputs - 1) * self.stride + _extent(self.taps, self.dilation) if self.taps else 0


def _framed(image: Array, shape: tuple[int, int], rows: _Axis, columns: _Axis, dtype: Any) -> Array:
    """Return what outputs see of an image: ``shape`` pixels of each channel, zeros where they lie outside the image."""
    frame = np.zeros((len(image), *shape), dtype)
    source = image[
        :,
        max(-rows.begin, 0) : max(shape[0] - rows.begin, 0),
        max(-columns.begin, 0) : max(shape[1] - columns.begin, 0),
    ]
    top, left = max(rows.begin, 0), max(columns.begin, 0)
    frame[:, top : top + source.shape[1], left : left + source.shape[2]] = source
    return frame


def _gather(pixels: Array, groups: int, rows: _Axis, columns: _Axis, strip: slice, patches: Array) -> None:
    """Fill patches [groups, tap rows, C / groups, tap columns, output rows, output columns] for a strip of rows.

    ``pixels`` [C, H, W], contiguous, begins with the pixel that the first tap of the first output sees.
    """
    channel, row, column = pixels.strides
    strides: tuple[int, ...] = (
        len(pixels) // groups * channel,
        row * rows.dilation,
        channel,
        column * columns.dilation,
        row * rows.stride,
        column * columns.stride,
    )
    kind: np.dtype[Any] = pixels.dtype
    target: Any = patches
    if columns.stride == 1 < columns.outputs:
        # Rows are copied as single values of W numbers: NumPy sets out anew for each row of numbers.
        kind = np.dtype((np.void, columns.outputs * column))
        target, strides = patches.view(kind)[..., 0], strides[:-1]
    target[...] = np.ndarray(target.shape, kind, buffer=pixels, offset=strip.start * rows.stride * row, strides=strides)


class _Scratch(threading.local):
    """Memory of each thread for what is computed on the way, kept: fresh memory is slow, and far from the cache."""

    def __init__(self) -> None:
        self._kept: dict[str, Array] = {}

    def take(self, purpose: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return an array of any content, the thread's own until it takes another for the same purpose."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        buffer = self._kept.get(purpose)
        if buffer is None or len(buffer) < size:
            buffer = np.empty(size, np.uint8)
            if size <= 2 * BLOCK_BYTES:
                self._kept[purpose] = buffer
        return np.ndarray(shape, dtype, buffer=buffer)


_scratch = _Scratch()


class Convolution:
    """y[m, i, j] = bias[m] + sum of weight[m, c, p, q] * x[c, i * s + p * d - top, j * s' + q * d' - left].

    The sum is over c, p, q; pixels outside x are 0. With several groups, the output channels of group g see the input
    channels of group g only. Prepared once, with the weights laid out as the matrix product needs them; called once per
    input, from any number of threads.
    """

    def __init__(
        self,
        weight: Array,
        bias: Array | None = None,
        *,
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> None:
        """Check the parameters and lays out the weights.

        Args:
            weight: [C_out, C_in / groups, kernel height, kernel width].
            bias: [C_out], or None for none.
            stride: pixels from one output to the next, (vertical, horizontal), at least 1.
            dilation: pixels from one tap of the kernel to the next, (vertical, horizontal), at least 1.
            groups: number of groups, a divisor of C_out.

        Raises:
            UsageError: the shapes do not fit each other, or a number is out of range.
        """
        _check_parameters(weight, weight.shape[0], bias, stride, dilation, groups)
        self.stride, self.dilation, self.kernel = stride, dilation, weight.shape[2:]
        self.in_channels, self.out_channels = weight.shape[1] * groups, weight.shape[0]
        self._adjoint = self._as_deconvolution(weight, bias, groups)
        # [groups, C_out / groups, taps]: a tap is a (row, input channel, column), and the bias is one more of them.
        taps = weight.transpose(0, 2, 1, 3).reshape(len(weight), -1)
        columns = [taps, *([] if bias is None else [bias[:, None]])]
        self._matrix: Array = np.concatenate(columns, axis=1, dtype=_sum_type(weight)).reshape(
            groups, len(weight) // groups, -1
        )
        self._biases = len(columns) - 1

    @property
    def weight(self) -> Array:
        """The kernel as it was given, a view of the matrix that is kept."""
        taps = self._matrix.reshape(self.out_channels, -1)[:, : self._matrix.shape[2] - self._biases]
        rows, columns = self.kernel
        return taps.reshape(self.out_channels, rows, -1, columns).transpose(0, 2, 1, 3)

    def __call__(self, x: Array, padding: Border = NO_BORDER, epilogue: Epilogue = leave) -> Array:
        """[*B, C_in, H, W] -> [*B, C_out, H_out, W_out] in the type of x; see `convolution_output_size`.

        Args:
            x: the input.
            padding: ((top, bottom), (left, right)), rows and columns of zeros around x, at least 0.
            epilogue: elementwise arithmetic to apply in place to each block of the output while it is in the cache.
                Gives the same bits as applied to the whole output afterwards.

        Raises:
            UsageError: x has other channels than the weights, or is smaller than the kernel.
        """
        _check_input(x, self.in_channels)
        rows, columns = map(_Axis.of, x.shape[-2:], self.kernel, self.stride, self.dilation, padding)
        if self._adjoint is not None:
            reaches = (
                _extent(kernel, dilation) - 1 for kernel, dilation in zip(self.kernel, self.dilation, strict=True)
            )
            crop = [(reach - begin, reach - end) for reach, (begin, end) in zip(reaches, padding, strict=True)]
            return self._adjoint(x, (crop[0], crop[1]), epilogue)
        y = np.empty((*x.shape[:-3], self.out_channels, rows.outputs, columns.outputs), x.dtype)
        images, outputs = _listed(x), _listed(y)
        matrix = self._live_taps(rows, columns).astype(_sum_type(x, self._matrix), copy=False)
        depthwise = len(matrix) == self.in_channels > 1
        compute = self._shifts if depthwise else self._products
        compute(images, outputs, matrix, rows, columns, epilogue)
        return y

    def _as_deconvolution(self, weight: Array, bias: Array | None, groups: int) -> Deconvolution | None:
        """Return the deconvolution by the flipped kernel, equal for a stride of 1; None where it is slower."""
        outputs, inputs = len(weight) // groups, weight.shape[1]
        pays = inputs >= max(MANY_INPUTS, FEW_OUTPUTS * outputs)
        if self.stride != (1, 1) or self.kernel == (1, 1) or not pays:
            return None
        turned = weight.reshape(groups, outputs, *weight.shape[1:])[..., ::-1, ::-1].swapaxes(1, 2)
        return Deconvolution(
            turned.reshape(groups * inputs, outputs, *self.kernel), bias, dilation=self.dilation, groups=groups
        )

    def _live_taps(self, rows: _Axis, columns: _Axis) -> Array:
        """Return the matrix without the taps that only ever see padding."""
        if (rows.taps, columns.taps) == self.kernel:
            return self._matrix
        taps, bias = np.split(self._matrix, [self._matrix.shape[2] - self._biases], axis=2)
        taps = taps.reshape(*taps.shape[:2], self.kernel[0], -1, self.kernel[1])
        live = taps[:, :, rows.first :, :, columns.first :][:, :, : rows.taps, :, : columns.taps]
        return np.concatenate([live.reshape(*live.shape[:2], live[0, 0].size), bias], axis=2)

    def _products(
        self, images: Array, outputs: Array, matrix: Array, rows: _Axis, columns: _Axis, epilogue: Epilogue
    ) -> None:
        """Compute matrix [groups, C_out / groups, taps] @ patches [groups, taps, pixels], by strips of rows."""
        groups, per_group, taps = matrix.shape
        weights, width = taps - self._biases, columns.outputs
        results = outputs.reshape(len(outputs), groups, per_group, rows.outputs * width)
        pointwise = rows.taps == columns.taps == rows.stride == columns.stride == 1
        inside = (
            rows.begin == columns.begin == 0
            and rows.extent <= images.shape[2]
            and columns.extent <= images.shape[3]
            and images.dtype == matrix.dtype
        )
        # A bias costs a 1x1 kernel a pass over the output, or a copy of the input for the row of ones: do the less.
        if inside and pointwise and (not self._biases or self.in_channels > self.out_channels):
            for image, result in zip(images, results, strict=True):
                patches = image[:, : rows.outputs, :width].reshape(groups, weights, -1)
                matmul(matrix[..., :weights], patches, out=result)
                if self._biases:
                    result += matrix[..., weights:]
            _finish(outputs, epilogue)
            return

        def rows_that_fit(depth: int) -> int:
            row_bytes: int = groups * (depth + self._biases) * width * matrix.itemsize
            return BLOCK_BYTES // max(row_bytes, 1)

        # To share patches among kernel rows saves copies of pixels, but costs additions to the output, and strips must
        # overlap by what the kernel reaches: do what is less.
        products, depth, reach, seen_rows = 1, weights, 0, rows
        if rows.stride == 1 < rows.taps and per_group * rows.taps <= weights and outputs.dtype == matrix.dtype:
            overlap, fitting = (rows.taps - 1) * rows.dilation, rows_that_fit(weights // rows.taps)
            if fitting >= min(3 * overlap, overlap + rows.outputs):
                products, depth, reach = rows.taps, weights // rows.taps, overlap
                seen_rows = rows._replace(outputs=rows.outputs + overlap, taps=1, dilation=1)
        strips = _parts(rows.outputs, rows_that_fit(depth) - reach)
        for image, result in zip(images, results, strict=True):
            if inside:
                pixels = np.ascontiguousarray(image)
            else:
                pixels = _framed(image, (rows.extent, columns.extent), rows, columns, matrix.dtype)
            for strip in strips:
                seen = slice(strip.start, strip.stop + reach)
                columns_seen = (seen.stop - seen.start) * width
                patches = _scratch.take("patches", (groups, depth + self._biases, columns_seen), matrix.dtype)
                by_taps = groups, seen_rows.taps, len(image) // groups, columns.taps, seen.stop - seen.start, width
                _gather(pixels, groups, seen_rows, columns, seen, patches[:, :depth].reshape(by_taps))
                patches[:, depth:] = 1
                target = result[..., strip.start * width : strip.stop * width]
                for p in range(products):
                    biases = self._biases if p == products - 1 else 0
                    a = matrix[..., p * depth : (p + 1) * depth + biases]
                    b = patches[:, : depth + biases, p * rows.dilation * width :][..., : target.shape[-1]]
                    if p:
                        target += matmul(a, b, out=_scratch.take("term", target.shape, target.dtype))
                    else:
                        matmul(a, b, out=target)
        _finish(outputs, epilogue)

    def _shifts(
        self, images: Array, outputs: Array, matrix: Array, rows: _Axis, columns: _Axis, epilogue: Epilogue
    ) -> None:
        """Compute a depthwise convolution: the sum over taps of (weight per channel) * (image shifted by the tap).

        The rows of a frame are joined to one long line, on which a shift is an offset; what is computed across the ends
        of rows is thrown away. A stride splits the frame into phases, one per remainder of the position divided by the
        stride, so that neighbouring outputs see neighbours in one phase.
        """
        channels, per_group, taps = matrix.shape
        # Sizes of a phase: a pixel for each output, and those that the last taps see beyond.
        height, width = (
            axis.outputs + max(axis.taps - 1, 0) * axis.dilation // axis.stride for axis in (rows, columns)
        )
        line = (rows.outputs - 1) * width + columns.outputs
        # Tap rows this far apart see the same phase, `step` pixels further on its line.
        period = rows.stride // math.gcd(rows.stride, rows.dilation)
        step = period * rows.dilation // rows.stride * width

        frame_shape = height * rows.stride, width * columns.stride
        scratch_size = math.prod(frame_shape) + 2 * per_group * rows.outputs * width
        blocks = _parts(channels, BLOCK_BYTES // (scratch_size * matrix.itemsize))
        results = outputs.reshape(len(outputs), channels, per_group, rows.outputs, columns.outputs)
        weights = matrix[..., : taps - self._biases].reshape(channels, per_group, rows.taps, columns.taps)
        bias = matrix[..., taps - 1 :] if self._biases else np.zeros((channels, per_group, 1), matrix.dtype)

        for index, block in itertools.product(range(len(images)), blocks):
            count = block.stop - block.start
            frame = _framed(images[index, block], frame_shape, rows, columns, matrix.dtype)
            phases = frame.reshape(count, height, rows.stride, width, columns.stride).transpose(2, 4, 0, 1, 3)
            lines = np.ascontiguousarray(phases).reshape(rows.stride, columns.stride, count, height * width)
            total, term = np.zeros((2, count, per_group, rows.outputs * width), matrix.dtype)
            total += bias[block]
            for p, q in np.ndindex(min(period, rows.taps), columns.taps):
                down, row_phase = divmod(p * rows.dilation, rows.stride)
                right, column_phase = divmod(q * columns.dilation, columns.stride)
                weight = weights[block, :, p::period, q]
                shifted = np.ndarray(
                    (count, weight.shape[2], line),
                    lines.dtype,
                    buffer=lines[row_phase, column_phase],
                    offset=(down * width + right) * lines.itemsize,
                    strides=(lines.strides[2], step * lines.itemsize, lines.itemsize),
                )
                np.einsum("ntl,nmt->nml", shifted, weight, out=term[..., :line])
                total += term
            results[index, block] = total.reshape(count, per_group, rows.outputs, width)[..., : columns.outputs]
            place = index, _channels(block, slice(0, per_group), per_group)
            epilogue(outputs[place], place)


class Deconvolution:
    """y[m, i * s + p * d - top, j * s' + q * d' - left] = bias[m] + sum of weight[c, m, p, q] * x[c, i, j].

    The sum is over all c, i, j, p, q that lead to the same pixel of y: the adjoint of `Convolution`. What falls outside
    y is dropped. Group g of the outputs sees group g of the
    inputs only. Prepared once, called once per input, from any number of threads.
    """

    def __init__(
        self,
        weight: Array,
        bias: Array | None = None,
        *,
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> None:
        """Check the parameters and lays out the weights.

        Args:
            weight: [C_in, C_out / groups, kernel height, kernel width].
            bias: [C_out], or None for none.
            stride: pixels of the output from one input pixel to the next, (vertical, horizontal), at least 1.
            dilation: pixels from one tap of the kernel to the next, (vertical, horizontal), at least 1.
            groups: number of groups, a divisor of C_in.

        Raises:
            UsageError: the shapes do not fit each other, or a number is out of range.
        """
        _check_parameters(weight, weight.shape[1] * groups, bias, stride, dilation, groups)
        self.stride, self.dilation, self.kernel = stride, dilation, weight.shape[2:]
        self.in_channels, self.out_channels = weight.shape[0], weight.shape[1] * groups
        # [groups, C_out / groups, taps, C_in / groups]
        self._matrix: Array = np.ascontiguousarray(
            weight.reshape(groups, len(weight) // groups, weight.shape[1], -1).transpose(0, 2, 3, 1), _sum_type(weight)
        )
        self._bias: Array = np.zeros(self.out_channels, self._matrix.dtype) if bias is None else bias

    @property
    def weight(self) -> Array:
        """The kernel as it was given, a view of the matrix that is kept unless there are several groups."""
        groups, per_group, _, depth = self._matrix.shape
        return self._matrix.transpose(0, 3, 1, 2).reshape(groups * depth, per_group, *self.kernel)

    def __call__(self, x: Array, crop: Border = NO_BORDER, epilogue: Epilogue = leave) -> Array:
        """[*B, C_in, H, W] -> [*B, C_out, H_out, W_out] in the type of x; see `deconvolution_output_size`.

        Args:
            x: the input.
            crop: ((top, bottom), (left, right)), rows and columns to cut off the full output; negative to add some.
            epilogue: elementwise arithmetic to apply in place to each finished block of the output.

        Raises:
            UsageError: x has other channels than the weights, or nothing is left of the output.
        """
        _check_input(x, self.in_channels)
        size = tuple(map(deconvolution_output_size, x.shape[-2:], self.kernel, self.stride, self.dilation, crop))
        if min(size) < 1:
            raise UsageError(f"nothing is left of the output when {crop} is cut off it: it would be {size}")
        y = np.empty((*x.shape[:-3], self.out_channels, *size), x.dtype)
        images, outputs = _listed(x), _listed(y)
        matrix = self._matrix.astype(_sum_type(x, self._matrix), copy=False)
        groups, per_group, taps, depth = matrix.shape
        height, width = x.shape[-2:]

        # A product is made for as many whole rows, then channels, then groups at a time as fit.
        row_bytes = taps * width * matrix.itemsize
        strips = _parts(height, BLOCK_BYTES // row_bytes)
        block_bytes = row_bytes * strips[0].stop
        parts = _parts(per_group, BLOCK_BYTES // block_bytes)
        families = _parts(groups, BLOCK_BYTES // (block_bytes * per_group))
        results = outputs.reshape(len(outputs), groups, per_group, *size)
        biases = self._bias.reshape(groups, per_group, 1, 1)
        images = images.reshape(len(images), groups, depth, height, width)

        for index, family, part in itertools.product(range(len(images)), families, parts):
            block, weights = results[index, family, part], matrix[family, part]
            total = block if block.dtype == matrix.dtype else np.empty(block.shape, matrix.dtype)
            total[...] = biases[family, part]
            for strip in strips:
                pixels = images[index, family, :, strip].reshape(len(weights), depth, -1)
                products = matmul(weights.reshape(len(weights), -1, depth), pixels)
                self._scatter(products.reshape(*total.shape[:2], *self.kernel, -1, width), strip.start, crop, total)
            if total is not block:
                block[...] = total
            place = index, _channels(family, part, per_group)
            epilogue(outputs[place], place)
        return y

    def _scatter(self, products: Array, first_row: int, crop: Border, total: Array) -> None:
        """Add products [..., kernel height, kernel width, rows, columns] to where they fall in total [..., H, W]."""
        for p, q in np.ndindex(*self.kernel):
            above = crop[0][0] - p * self.dilation[0] - first_row * self.stride[0]
            left = crop[1][0] - q * self.dilation[1]
            rows, to_rows = _landing(products.shape[-2], total.shape[-2], self.stride[0], above)
            columns, to_columns = _landing(products.shape[-1], total.shape[-1], self.stride[1], left)
            total[..., to_rows, to_columns] += products[..., p, q, rows, columns]


def _landing(count: int, length: int, stride: int, begin: int) -> tuple[slice, slice]:
    """Return which i of range(count) have i * stride - begin in range(length), and the slice of those places."""
    first = max(_ceil_div(begin, stride), 0)
    stop = max(min(_ceil_div(begin + length, stride), count), first)
    place = first * stride - begin
    return slice(first, stop), slice(place, place + (stop - first - 1) * stride + 1 if stop > first else place, stride)


def _listed(x: Array) -> Array:
    """[*B, C, H, W] as [B, C, H, W]."""
    return x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:])


def _channels(family: slice, members: slice, per_group: int) -> slice:
    """Return the channels that some groups and members of groups are: all members, or those of one group."""
    return slice(family.start * per_group + members.start, (family.stop - 1) * per_group + members.stop)


def _sum_type(*arrays: Array) -> np.dtype[Any]:
    """Return the type in which products are summed: the widest of the arrays' types, at least float32."""
    return np.result_type(np.float32, *(array.dtype for array in arrays))


def _check_parameters(
    weight: Array, outputs: int, bias: Array | None, stride: Pair, dilation: Pair, groups: int
) -> None:
    if weight.ndim != 4 or 0 in weight.shape:
        raise UsageError(f"weights need 4 dimensions, none of them 0, but have the shape {weight.shape}")
    if groups < 1 or len(weight) % groups:
        raise UsageError(f"weights of the shape {weight.shape} cannot be divided into {groups} groups")
    if bias is not None and bias.shape != (outputs,):
        raise UsageError(f"the bias needs one value for each of {outputs} output channels, but has shape {bias.shape}")
    if min(*stride, *dilation) < 1:
        raise UsageError(f"stride {stride} and dilation {dilation} must be at least 1")


def _check_input(x: Array, channels: int) -> None:
    if x.ndim < 3 or x.shape[-3] != channels:
        raise UsageError(f"the input needs the shape [..., {channels}, H, W], but has {x.shape}")
