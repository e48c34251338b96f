"""Operations that take elements from, or put them at, places that indices name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import gather as kernels
from refcoreml.kernels.gather import Combine, Positions
from refcoreml.kernels.integers import divide
from refcoreml.ops.base import Op, axis_in, bad_input, check_filled, check_kinds, check_places, check_rank, require
from refcoreml.types import Array, Shape, TensorType


@dataclass(frozen=True)
class Indexing:
    """What indices mean.

    Indices are integers, or floats whose fractions are cut off toward zero. -L..-1 count from the end of an axis of
    length L, if they `wrap`. Others, and NaN, are errors if `strict`; else the nearest index in range is taken, and 0
    for NaN.
    """

    wrap: bool = True
    strict: bool = True

    def check(self, indices: TensorType, *lengths: int) -> None:
        """Refuse axes so long that the type of the indices cannot name every place; integers need not be able to."""
        check_kinds(indices, "fiu")
        if indices.dtype.kind == "f":
            check_places(indices.dtype, *lengths)

    def places(self, indices: Array, lengths: int | Sequence[int], name: str = "indices") -> Positions:
        """Return the places that indices name along axes of the given lengths.

        Args:
            indices: [*I], or [*I, K] for several lengths.
            lengths: of the axis, or of K axes.
            name: what errors call the indices.
        """
        if _surely_within(indices, lengths):
            return indices.astype(np.intp, copy=False)
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


def _surely_within(indices: Array, lengths: int | Sequence[int]) -> bool:
    """Return whether all are integers from 0 on within their axes, as nearly always: there is nothing to do then."""
    if indices.dtype.kind == "f" or not indices.size or indices.min() < 0:
        return False
    if isinstance(lengths, int):
        return bool(indices.max() < lengths)
    highest = indices.reshape(-1, len(lengths)).max(axis=0)
    return all(index < length for index, length in zip(highest.tolist(), lengths, strict=True))


#: Of what cannot be counted from the end: numbers of elements, or where a slice of some length begins.
COUNTING = Indexing(wrap=False)


def _check_batch(x: TensorType, indices: TensorType, batch: int, most: int) -> None:
    """Refuse first axes that x and indices do not share."""
    require(0 <= batch <= most, f"shares {batch} axes, expected 0 to {most} for {x.shape} and {indices.shape}")
    require(
        x.shape[:batch] == indices.shape[:batch],
        f"x {x.shape} and indices {indices.shape} differ in their first {batch} axes, which they share",
    )


@dataclass(frozen=True)
class Gather(Op):
    """y[n..., a..., i..., b...] = x[n..., a..., indices[n..., i...], b...], without n as numpy.take.

    x [*N, *A, L, *B] with L at the axis; indices [*N, *I]. Result [*N, *A, *I, *B].

    Attributes:
        axis: -rank to rank - 1.
        indexing: what indices mean.
        batch: how many axes N has.
    """

    axis: int
    indexing: Indexing = Indexing()
    batch: int = 0

    fresh = True
    moves = True

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        check_filled(x, indices)
        axis = axis_in(self.axis, x.rank)
        _check_batch(x, indices, self.batch, min(axis, indices.rank))
        self.indexing.check(indices, x.shape[axis])
        return check_rank(x.with_shape((*x.shape[:axis], *indices.shape[self.batch :], *x.shape[axis + 1 :])))

    def run(self, x: Array, indices: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        places = self.indexing.places(indices, x.shape[axis])
        return kernels.gather_batches(x, places, axis, self.batch) if self.batch else kernels.gather(x, places, axis)

    def define(self, x: Array, indices: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        return definitions.gather(x, self.indexing.places(indices, x.shape[axis]), axis, self.batch)


def _addressed(x: TensorType, indices: TensorType, indexing: Indexing, batch: int = 0) -> Shape:
    """Return the axes of x after the first ones, which the last axis of indices addresses."""
    require(indices.rank >= 1, f"expected indices [*I, K], got {indices.shape}")
    count, left = indices.shape[-1], x.rank - batch
    require(count <= left, f"indices {indices.shape} address {count} axes, but x {x.shape} has only {left}")
    indexing.check(indices, *x.shape[batch : batch + count])
    return x.shape[batch : batch + count]


@dataclass(frozen=True)
class GatherND(Op):
    """y[n..., i..., b...] = x[n..., indices[n..., i..., 0], ..., indices[n..., i..., K-1], b...].

    x [*N, L_0, ..., L_K-1, *B]; indices [*N, *I, K]. Result [*N, *I, *B].

    Attributes:
        indexing: what indices mean.
        batch: how many axes N has.
    """

    indexing: Indexing = Indexing()
    batch: int = 0

    fresh = True
    moves = True

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        check_filled(x, indices)
        _check_batch(x, indices, self.batch, min(x.rank, max(indices.rank - 1, 0)))
        addressed = _addressed(x, indices, self.indexing, self.batch)
        return check_rank(x.with_shape((*indices.shape[:-1], *x.shape[self.batch + len(addressed) :])))

    def run(self, x: Array, indices: Array) -> Array:
        return np.asarray(kernels.gather_nd(x, self._places(x, indices), self.batch))

    def _places(self, x: Array, indices: Array) -> Positions:
        return self.indexing.places(indices, x.shape[self.batch : self.batch + indices.shape[-1]])

    def define(self, x: Array, indices: Array) -> Array:
        return definitions.gather_nd(x, self._places(x, indices), self.batch)


def _along(axis: int, x: TensorType, indices: TensorType, indexing: Indexing) -> int:
    """Return the axis, the only one along which indices may differ from x."""
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
    moves = True

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        check_filled(x, indices)
        _along(self.axis, x, indices, self.indexing)
        return x.with_shape(indices.shape)

    def run(self, x: Array, indices: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        return kernels.gather_along_axis(x, self.indexing.places(indices, x.shape[axis]), axis)

    def define(self, x: Array, indices: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        return definitions.gather_along_axis(x, self.indexing.places(indices, x.shape[axis]), axis)


#: How an old value o and an update u become one: the kernel's function, None for u itself.
_COMBINATIONS: dict[str, Combine] = {
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
            Repeated indices apply in row-major order, so that the last one wins for ``update``. Of integers ``div``
            is as in `refcoreml.ops.Divide`: each quotient is cut off, and 0 for a divisor of 0.
    """

    mode: str = "update"
    indexing: Indexing = Indexing()

    fresh = True
    modes: ClassVar[tuple[str, ...]] = tuple(_COMBINATIONS)

    @property
    def moves(self) -> bool:  # type: ignore[override]
        """Whether numbers are updates, or those before."""
        return self.mode in ("update", "max", "min")

    def _combine(self, x: Array) -> Combine:
        whole = self.mode == "div" and x.dtype.kind in "iu"
        return divide if whole else _COMBINATIONS[self.mode]

    def _combine_numbers(self, x: Array) -> Callable[[float, float], Any]:
        if self.mode == "div" and x.dtype.kind in "iu":
            return lambda old, new: math.trunc(old / new) if new else 0
        combine: Callable[[Any, Any], Any] | None = _COMBINATIONS[self.mode]
        return combine or (lambda old, new: new)


def _check_updates(x: TensorType, updates: TensorType, *expected: Shape) -> None:
    require(x.dtype == updates.dtype, f"x holds {x.dtype}, but the updates {updates.dtype}", "Convert them to one type")
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
        check_filled(x, indices)
        axis = axis_in(self.axis, x.rank)
        self.indexing.check(indices, x.shape[axis])
        _check_updates(x, updates, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
        return x

    def run(self, x: Array, indices: Array, updates: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        return kernels.scatter(x, self.indexing.places(indices, x.shape[axis]), updates, axis, self._combine(x))

    def define(self, x: Array, indices: Array, updates: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        places = self.indexing.places(indices, x.shape[axis])
        return definitions.scatter(x, places, updates, axis, self._combine_numbers(x))


@dataclass(frozen=True)
class ScatterND(_Scatter):
    """y = x, then y[indices[i..., 0], ..., indices[i..., K-1], b...] becomes it (mode) updates[i..., b...].

    x [L_0, ..., L_K-1, *B]; indices [*I, K]; updates [*I, *B]. Result: the shape of x.
    """

    def infer(self, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        check_filled(x, indices)
        addressed = _addressed(x, indices, self.indexing)
        expected = (*indices.shape[:-1], *x.shape[len(addressed) :])
        _check_updates(x, updates, expected, *([] if expected else [(1,)]))
        return x

    def run(self, x: Array, indices: Array, updates: Array) -> Array:
        return kernels.scatter_nd(x, self._places(x, indices), updates, self._combine(x))

    def _places(self, x: Array, indices: Array) -> Positions:
        return self.indexing.places(indices, x.shape[: indices.shape[-1]])

    def define(self, x: Array, indices: Array, updates: Array) -> Array:
        places = self._places(x, indices)
        shaped = np.reshape(updates, (*indices.shape[:-1], *x.shape[indices.shape[-1] :]))
        return definitions.scatter_nd(x, places, shaped, self._combine_numbers(x))


@dataclass(frozen=True)
class ScatterAlongAxis(_Scatter):
    """y = x, then y[a..., indices[a..., i, b...], b...] becomes it (mode) updates[a..., i, b...].

    x [*A, L, *B] with L at the axis; indices and updates [*A, I, *B]. Result: the shape of x.
    """

    axis: int = 0

    def infer(self, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        check_filled(x, indices)
        _along(self.axis, x, indices, self.indexing)
        _check_updates(x, updates, indices.shape)
        return x

    def run(self, x: Array, indices: Array, updates: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        places = self.indexing.places(indices, x.shape[axis])
        return kernels.scatter_along_axis(x, places, updates, axis, self._combine(x))

    def define(self, x: Array, indices: Array, updates: Array) -> Array:
        axis = axis_in(self.axis, x.ndim)
        places = self.indexing.places(indices, x.shape[axis])
        return definitions.scatter_along_axis(x, places, updates, axis, self._combine_numbers(x))
