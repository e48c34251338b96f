"""Operations that add borders or take them away."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from refcoreml import definitions
from refcoreml.kernels import padding as kernels
from refcoreml.kernels.padding import Edges, Mode
from refcoreml.ops.base import (
    Op,
    Settings,
    arrays_of,
    bad_input,
    check_filled,
    check_numbers,
    integers_in,
    invalid,
    remembered,
    require,
    settings_of,
)
from refcoreml.types import Array, Shape, TensorType


@dataclass(frozen=True)
class Pad(Op):
    """y = x with numbers before and after it along its last axes.

    Inputs: x; without amounts 2 * rank numbers in any shape: before_0, after_0, before_1, ... Result: per axis
    before + length + after.

    Attributes:
        amounts: (before, after) for each of the last axes; None if they are the second input.
        mode: ``constant``; ``reflect``, which mirrors without repeating the edge (3 2 | 1 2 3), so that each amount
            must be smaller than its axis; ``edge``, which repeats the edge (1 1 | 1 2 3).
        value: what fills the border in the first mode.
        to_size: whether amounts are the lengths that axes are to have, padded before x, or after it where the first of
            a pair is 0; lengths that x has or exceeds change nothing.
    """

    amounts: tuple[tuple[int, int], ...] | None
    mode: Mode = "constant"
    value: float = 0.0
    to_size: bool = False

    fresh = True

    @property
    def moves(self) -> bool:  # type: ignore[override]
        """Whether the border holds numbers of x, or 0."""
        return self.mode != "constant" or self.value == 0

    def _added(self, x: Shape, pairs: Sequence[tuple[int, int]], fail: Callable[[str], NoReturn]) -> Edges:
        """Return what is added to every axis of x."""
        leading = len(x) - len(pairs)
        require(leading >= 0, f"pads {len(pairs)} axes, but x {x} has fewer")
        if min(itertools.chain(*pairs), default=0) < 0:
            fail(f"amounts are {[*itertools.chain(*pairs)]}, expected none below 0")
        if self.to_size:
            for pair in pairs:
                if 0 not in pair:
                    fail(f"pads to a size before or after an axis, but the amounts {pair} pad on both sides")
            lengths = zip(x[leading:], pairs, strict=True)
            pairs = [(max(before - n, 0), max(after - n, 0)) for n, (before, after) in lengths]
        for axis, pair in enumerate(pairs, leading):
            require(
                self.mode != "reflect" or max(pair) < x[axis],
                f"reflects {max(pair)} elements along axis {axis}, expected fewer than its {x[axis]}",
            )
        return (*((0, 0),) * leading, *pairs)

    @cached_property
    def _edges(self) -> Callable[[Shape, Settings], Edges]:
        return remembered(self._derive)

    def _derive(self, x: Shape, amounts: Settings) -> Edges:
        if self.amounts is not None:
            return self._added(x, self.amounts, invalid)
        (values,) = arrays_of(amounts)
        given = integers_in(values, "amounts", 2 * len(x))
        return self._added(x, list(zip(given[::2], given[1::2], strict=True)), bad_input)

    def infer(self, x: TensorType, amounts: TensorType | None = None) -> TensorType | None:
        if self.mode == "edge":
            check_filled(x)
        if self.mode == "constant":
            check_numbers("the value of the border", self.value, x.dtype)
        return None if self.amounts is None else _padded(x, self._edges(x.shape, ()))

    def infer_from(self, x: Array, amounts: Array) -> TensorType:
        return _padded(TensorType.of(x), self._edges(x.shape, settings_of([amounts])))

    def run(self, x: Array, *amounts: Array) -> Array:
        return kernels.pad(x, self._edges(x.shape, settings_of(amounts)), self.mode, self.value)

    def define(self, x: Array, *amounts: Array) -> Array:
        return definitions.pad(x, self._edges(x.shape, settings_of(amounts)), self.mode, self.value)


def _padded(x: TensorType, edges: Edges) -> TensorType:
    return x.with_shape(tuple(before + n + after for n, (before, after) in zip(x.shape, edges, strict=True)))


class _Crop(Op):
    """What takes a part of x along its last axes."""

    moves = True

    def _edges(self, x: Shape, reference: Shape | None) -> Edges:
        raise NotImplementedError

    def infer(self, x: TensorType, reference: TensorType | None = None) -> TensorType:
        edges = self._edges(x.shape, None if reference is None else reference.shape)
        require(len(edges) <= x.rank, f"crops {len(edges)} axes, but x {x.shape} has fewer")
        require(min(map(min, edges), default=0) >= 0, f"crops {edges} of the last axes, expected none below 0")
        leading = x.rank - len(edges)
        sizes = x.shape[leading:]
        left = tuple(n - before - after for n, (before, after) in zip(sizes, edges, strict=True))
        require(min(left, default=1) >= 1, f"crops {edges} of the last axes, but x has {sizes} there")
        return x.with_shape((*x.shape[:leading], *left))

    def run(self, x: Array, reference: Array | None = None) -> Array:
        return kernels.crop(x, self._edges(x.shape, None if reference is None else reference.shape))

    def define(self, x: Array, reference: Array | None = None) -> Array:
        edges = self._edges(x.shape, None if reference is None else reference.shape)
        every = (*((0, 0),) * (x.ndim - len(edges)), *edges)
        places = [range(before, n - after) for n, (before, after) in zip(x.shape, every, strict=True)]
        return definitions.strided_slice(x, places)


@dataclass(frozen=True)
class Crop(_Crop):
    """y[..., i] = x[..., before + i], without what stands before and after along the last axes.

    Attributes:
        amounts: (before, after) for each of the last axes.
    """

    amounts: tuple[tuple[int, int], ...]

    def _edges(self, x: Shape, reference: Shape | None) -> Edges:
        return self.amounts


@dataclass(frozen=True)
class CropLike(_Crop):
    """y[..., i] = x[..., offset + i], as many as a reference has along the last axes; its values are not read.

    Inputs: x [*, *D]; the reference [*, *D'] of the same rank. Result [*, *D'].

    Attributes:
        offset: where the part begins, a number for each of the last axes.
    """

    offset: tuple[int, ...]

    def _edges(self, x: Shape, reference: Shape | None) -> Edges:
        assert reference is not None
        count = len(self.offset)
        axes = zip(self.offset, x[-count:], reference[-count:], strict=True)
        return tuple((start, size - start - wanted) for start, size, wanted in axes)

    def infer(self, x: TensorType, reference: TensorType | None = None) -> TensorType:
        assert reference is not None
        count, sizes, wanted = len(self.offset), x.shape, reference.shape
        require(reference.rank == x.rank, f"the inputs {sizes} and {wanted} have different ranks")
        require(count <= x.rank, f"crops {count} axes, but x {sizes} has fewer")
        require(
            all(after >= 0 for _, after in self._edges(sizes, wanted)),
            f"cannot take {wanted[-count:]} elements at {self.offset} from {sizes[-count:]}",
        )
        return super().infer(x, reference)
