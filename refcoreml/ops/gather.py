"""Operations that take elements from, or put them at, places that indices name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import gather as kernels
from refcoreml.kernels.gather import Positions
from refcoreml.ops.base import Op, axis_in, bad_input, check_places, check_rank, require
from refcoreml.types import Array, Shape, TensorType


@dataclass(frozen=True)
class Indexing:
    """What indices mean.

    Fractions are cut off toward zero, where indices are floats. -L..-1 count from the end of an axis of length L, if
    they `wrap`. Others, and NaN, are errors if `strict`; else the nearest index in range is taken, and 0 for NaN.
    """

    wrap: bool = True
    strict: bool = True

    def check(self, indices: TensorType, *lengths: int) -> None:
        """Refuse axes so long that the type of the indices cannot name every place."""
        check_places(indices.dtype, *lengths)

    def places(self, indices: Array, lengths: int | Sequence[int], name: str = "indices") -> Positions:
        """Return the places that indices name along axes of the given lengths.

        Args:
            indices: [*I], or [*I, K] for several lengths.
            lengths: of the axis, or of K axes.
            name: what errors call the indices.
        """
        limits = lengths if isinstance(lengths, int) else np.array(lengths, np.intp)
        wrong = kernels.out_of_range(indices, limits, wrap=self.wrap)
        if self.strict and wrong.any():
            place = tuple(int(i) for i in np.unravel_index(wrong.argmax(), wrong.shape))
            length = lengths if isinstance(lengths, int) else lengths[place[-1]]
            bad_input(
                f"{name} hold {indices[place]:g} at {place}, "
                f"expected an index in [{-length if self.wrap else 0}, {length - 1}]",
                f"{int(wrong.sum())} of the {indices.size} indices are out of range; "
                "Core ML's result would be undefined",
            )
        return kernels.positions(indices, limits, wrap=self.wrap)


#: Of what cannot be counted from the end: numbers of elements, or where a slice of some length begins.
COUNTING = Indexing(wrap=False)


@dataclass(frozen=True)
class Gather(Op):
    """y[a..., i..., b...] = x[a..., indices[i...], b...], as numpy.take.

    x [*A, L, *B] with L at the axis; indices [*I]. Result [*A, *I, *B].
    """

    axis: int
    indexing: Indexing = Indexing()

    fresh = True

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        axis = axis_in(self.axis, x.rank)
        self.indexing.check(indices, x.shape[axis])
        return check_rank(x.with_shape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])))

    def run(self, x: Array, indices: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        return kernels.gather(x, self.indexing.places(indices, x.shape[axis]), axis)

    def define(self, x: Array, indices: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        return definitions.gather(x, self.indexing.places(indices, x.shape[axis]), axis)


def _addressed(x: TensorType, indices: TensorType, indexing: Indexing) -> Shape:
    """The first axes of x, which the last axis of indices addresses."""
    require(indices.rank >= 1, f"expected indices [*I, K], got {indices.shape}")
    count = indices.shape[-1]
    require(count <= x.rank, f"indices {indices.shape} address {count} axes, but x {x.shape} has only {x.rank}")
    indexing.check(indices, *x.shape[:count])
    return x.shape[:count]


@dataclass(frozen=True)
class GatherND(Op):
    """y[i..., b...] = x[indices[i..., 0], ..., indices[i..., K-1], b...].

    x [L_0, ..., L_K-1, *B]; indices [*I, K]. Result [*I, *B].
    """

    indexing: Indexing = Indexing()

    fresh = True

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        addressed = _addressed(x, indices, self.indexing)
        return check_rank(x.with_shape((*indices.shape[:-1], *x.shape[len(addressed) :])))

    def run(self, x: Array, indices: Array) -> Array:
        return np.asarray(kernels.gather_nd(x, self._places(x, indices)))

    def _places(self, x: Array, indices: Array) -> Positions:
        return self.indexing.places(indices, x.shape[: indices.shape[-1]])

    def define(self, x: Array, indices: Array) -> Array:
        return definitions.gather_nd(x, self._places(x, indices))


def _along(axis: int, x: TensorType, indices: TensorType, indexing: Indexing) -> int:
    """The axis, the only one along which indices may differ from x."""
    axis = axis_in(axis, x.rank)
    others = (i == n for k, (i, n) in enumerate(zip(indices.shape, x.shape, strict=False)) if k != axis)
    require(
        indices.rank == x.rank and all(others),
        f"indices {indices.shape} differ from x {x.shape} along other axes than {axis}",
    )
    indexing.check(indices, x.shape[axis])
    return axis


@dataclass(frozen=True)
class GatherAlongAxis(Op):
    """y[a..., i, b...] = x[a..., indices[a..., i, b...], b...], as numpy.take_along_axis.

    x [*A, L, *B] with L at the axis; indices [*A, I, *B]. Result [*A, I, *B].
    """

    axis: int
    indexing: Indexing = Indexing()

    fresh = True

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        _along(self.axis, x, indices, self.indexing)
        return x.with_shape(indices.shape)

    def run(self, x: Array, indices: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        return kernels.gather_along_axis(x, self.indexing.places(indices, x.shape[axis]), axis)

    def define(self, x: Array, indices: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        return definitions.gather_along_axis(x, self.indexing.places(indices, x.shape[axis]), axis)


#: How an old value o and an update u become one: the kernel's function, None for u itself.
_COMBINATIONS: dict[str, np.ufunc | None] = {
    "update": None,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
}


@dataclass(frozen=True)
class _Scatter(Op):
    """What the three forms have in common.

    Attributes:
        mode: ``update``, ``add``, ``sub``, ``mul``, ``div``, ``max`` or ``min`` of the value before and the update.
            Repeated indices apply in row-major order, so that the last one wins for ``update``.
    """

    mode: str = "update"
    indexing: Indexing = Indexing()

    fresh = True
    modes: ClassVar[tuple[str, ...]] = tuple(_COMBINATIONS)

    @property
    def _combine(self) -> np.ufunc | None:
        return _COMBINATIONS[self.mode]

    @property
    def _combine_numbers(self) -> Callable[[float, float], Any]:
        return self._combine or (lambda old, new: new)


def _check_updates(updates: TensorType, *expected: Shape) -> None:
    require(
        updates.shape in expected,
        f"updates have the shape {updates.shape}, expected {' or '.join(map(str, expected))}",
    )


@dataclass(frozen=True)
class Scatter(_Scatter):
    """y = x, then y[a..., indices[i...], b...] becomes it (mode) updates[a..., i..., b...], for one i after another.

    x [*A, L, *B] with L at the axis; indices [*I]; updates [*A, *I, *B]. Result: the shape of x.
    """

    axis: int = 0

    def infer(self, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        axis = axis_in(self.axis, x.rank)
        self.indexing.check(indices, x.shape[axis])
        _check_updates(updates, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
        return x

    def run(self, x: Array, indices: Array, updates: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        return kernels.scatter(x, self.indexing.places(indices, x.shape[axis]), updates, axis, self._combine)

    def define(self, x: Array, indices: Array, updates: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        places = self.indexing.places(indices, x.shape[axis])
        return definitions.scatter(x, places, updates, axis, self._combine_numbers)


@dataclass(frozen=True)
class ScatterND(_Scatter):
    """y = x, then y[indices[i..., 0], ..., indices[i..., K-1], b...] becomes it (mode) updates[i..., b...].

    x [L_0, ..., L_K-1, *B]; indices [*I, K]; updates [*I, *B]. Result: the shape of x.
    """

    def infer(self, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        addressed = _addressed(x, indices, self.indexing)
        expected = (*indices.shape[:-1], *x.shape[len(addressed) :])
        _check_updates(updates, expected, *([] if expected else [(1,)]))
        return x

    def run(self, x: Array, indices: Array, updates: Array) -> Array:
        return kernels.scatter_nd(x, self._places(x, indices), updates, self._combine)

    def _places(self, x: Array, indices: Array) -> Positions:
        return self.indexing.places(indices, x.shape[: indices.shape[-1]])

    def define(self, x: Array, indices: Array, updates: Array) -> Array:
        places = self._places(x, indices)
        shaped = np.reshape(updates, (*indices.shape[:-1], *x.shape[indices.shape[-1] :]))
        return definitions.scatter_nd(x, places, shaped, self._combine_numbers)


@dataclass(frozen=True)
class ScatterAlongAxis(_Scatter):
    """y = x, then y[a..., indices[a..., i, b...], b...] becomes it (mode) updates[a..., i, b...].

    x [*A, L, *B] with L at the axis; indices and updates [*A, I, *B]. Result: the shape of x.
    """

    axis: int = 0

    def infer(self, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        _along(self.axis, x, indices, self.indexing)
        _check_updates(updates, indices.shape)
        return x

    def run(self, x: Array, indices: Array, updates: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        places = self.indexing.places(indices, x.shape[axis])
        return kernels.scatter_along_axis(x, places, updates, axis, self._combine)

    def define(self, x: Array, indices: Array, updates: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        places = self.indexing.places(indices, x.shape[axis])
        return definitions.scatter_along_axis(x, places, updates, axis, self._combine_numbers)
