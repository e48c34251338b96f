"""Pooling: one number for each window that slides over the axes in space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from refcoreml import definitions
from refcoreml.kernels import pool as kernels
from refcoreml.kernels.pool import Windows
from refcoreml.ops.base import Op, check_floats, require
from refcoreml.ops.convolution import SPACE, Pixels, Same
from refcoreml.types import Array, Shape, TensorType


@dataclass(frozen=True)
class Complete:
    """So many pixels at both edges of each axis, and at the end as many more as complete the last window.

    If there is padding along any axis, a last window that would begin beyond the input and its first edge is left out.

    Attributes:
        amounts: pixels at both edges, a number per axis in space.
        each_axis: whether this depends on the padding along the same axis alone.
    """

    amounts: tuple[int, ...]
    each_axis: bool = False


@dataclass(frozen=True)
class Pooling(Op):
    """y = maximum, average, or root of the sum of squares, of each window that slides over the last axes.

    Input: x [*B, C, *D]. Result [*B, C, *D'].

    Attributes:
        mode: one of `modes`; "l2" does not divide by the number of pixels.
        kernel: pixels of a window, a number per axis in space; None for all pixels of an axis, without padding.
        stride: pixels from one window to the next; None for 1.
        padding: what lies around x: -Inf to a maximum, 0 to the others; None for nothing.
        exclude_padding: whether an average is divided by the number of pixels inside x instead of all in the window.
            What `Complete` adds counts as padding. Of padding alone the average then is 0 / 0 = NaN.
    """

    mode: str
    kernel: tuple[int | None, ...]
    stride: tuple[int, ...] | None = None
    padding: Pixels | Same | Complete | None = None
    exclude_padding: bool = False

    modes: ClassVar[tuple[str, ...]] = ("max", "average", "l2")
    fresh = True

    @property
    def moves(self) -> bool:  # type: ignore[override]
        """Whether it takes a maximum."""
        return self.mode == "max"

    def __post_init__(self) -> None:
        space = len(self.kernel)
        require(self.mode in self.modes, f"mode is {self.mode}, expected {', '.join(self.modes)}")
        require(space in SPACE, f"the kernel {self.kernel} is not for 1 to 3 axes in space")
        given: dict[str, Sequence[Any] | None] = {"stride": self.stride, "padding": None}
        if isinstance(self.padding, Pixels | Complete):
            given["padding"] = self.padding.edges if isinstance(self.padding, Pixels) else self.padding.amounts
        for name, value in given.items():
            require(value is None or len(value) == space, f"{name} {value} is not for the {space} axes of the kernel")
        lengths = [length for length in (*self.kernel, *(self.stride or ())) if length is not None]
        require(
            min(lengths, default=1) >= 1, f"kernel is {self.kernel}, stride {self.stride}, expected at least 1 each"
        )

    def windows(self, x: Shape) -> list[Windows]:
        """Return where windows lie along each axis in space."""
        stride = self.stride or (1,) * len(self.kernel)
        sizes = x[len(x) - len(self.kernel) :]
        return [self._along(axis, *found) for axis, found in enumerate(zip(sizes, self.kernel, stride, strict=True))]

    def _along(self, axis: int, size: int, kernel: int | None, stride: int) -> Windows:
        if kernel is None:
            return kernels.global_windows(size)
        match self.padding:
            case Pixels(edges):
                return kernels.valid_windows(size, kernel, stride, edges[axis])
            case Same(heavy_begin):
                return kernels.same_windows(size, kernel, stride, heavy_begin=heavy_begin)
            case Complete(amounts, each_axis):
                trim = amounts[axis] > 0 if each_axis else any(amounts)
                return kernels.complete_windows(size, kernel, stride, amounts[axis], trim=trim)
            case None:
                return kernels.valid_windows(size, kernel, stride)

    def infer(self, x: TensorType) -> TensorType:
        check_floats(x)
        space = len(self.kernel)
        axes = SPACE[space]
        require(x.rank >= space + 2, f"expected an input [*, C, {axes}] of rank {space + 2} or more, got {x.shape}")
        windows = self.windows(x.shape)
        for axis, size, w in zip(axes.split(", "), x.shape[-space:], windows, strict=True):
            require(
                w.count >= 1,
                f"a window of {w.kernel} does not fit into the {size} pixels along {axis} and their padding",
            )
        return x.with_shape((*x.shape[:-space], *(w.count for w in windows)))

    def run(self, x: Array) -> Array:
        windows = self.windows(x.shape)
        if self.mode == "average":
            return kernels.average_pool(x, windows, exclude_padding=self.exclude_padding)
        return kernels.max_pool(x, windows) if self.mode == "max" else kernels.l2_pool(x, windows)

    def size(self, x: Shape) -> int:
        """Return how many pixels a window has, padding included."""
        return math.prod(w.kernel for w in self.windows(x))

    def terms(self, inputs: Sequence[TensorType]) -> int | None:
        """Return the pixels of a window, for an average."""
        return self.size(inputs[0].shape) if self.mode == "average" else None

    def define(self, x: Array) -> Array:
        windows = self.windows(x.shape)
        kernel, stride, begin, count = zip(*((w.kernel, w.stride, w.begin, w.count) for w in windows), strict=True)
        return definitions.pooling(x, self.mode, kernel, stride, begin, count, self.exclude_padding)
