"""Operations that take slices and windows of an array, or turn its order around."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, NoReturn, TypeAlias

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import gather as kernels
from refcoreml.ops.base import (
    Op,
    Settings,
    arrays_of,
    axis_in,
    bad_input,
    check_filled,
    check_rank,
    integers_in,
    invalid,
    numbers_in,
    remembered,
    require,
    settings_of,
)
from refcoreml.ops.gather import COUNTING, Indexing
from refcoreml.types import Array, Shape, TensorType

# ---- Slices ----


class Cut(NamedTuple):
    """What a slice takes of one axis: [begin:end:stride] as in Python, or one index.

    Negative begins and ends count from the end; those beyond the axis are cut to it.

    Attributes:
        begin, end, stride: the end is excluded, the stride not 0.
        from_first: whether to start where the direction of the stride starts, whatever `begin` is.
        to_last: whether to go on to the last element in that direction, whatever `end` is.
        squeeze: whether to take only the index `begin`, whatever the others are, so that the axis vanishes.
    """

    begin: int = 0
    end: int = 0
    stride: int = 1
    from_first: bool = False
    to_last: bool = False
    squeeze: bool = False

    def of(self, axis: int, length: int, strict: bool, fail: Callable[[str], NoReturn]) -> slice | int:
        """Return what NumPy takes for it; call ``fail`` where nothing is left.

        Args:
            axis, length: of the array.
            strict: whether an index out of range, and an end before the axis that a negative stride would pass, is an
                error; else the nearest index is taken, and index 0 included.
            fail: raises an error.
        """
        if self.squeeze:
            if strict and not -length <= self.begin < length:
                fail(
                    f"begin is {self.begin} on axis {axis} of {length} elements, which is squeezed, "
                    f"expected {-length} to {length - 1}"
                )
            return max(-length, min(self.begin, length - 1))
        if self.stride == 0:
            fail(f"the stride is 0 on axis {axis} of {length} elements")
        if strict and self.stride < 0 and self.end < -length and not self.to_last:
            fail(
                f"end is {self.end} on axis {axis} of {length} elements, "
                "where Core ML does not run down to index 0; use an end mask"
            )
        taken = slice(None if self.from_first else self.begin, None if self.to_last else self.end, self.stride)
        if not len(range(*taken.indices(length))):
            fail(
                f"the slice {self.begin}:{self.end}:{self.stride} of axis {axis} of {length} elements is empty "
                f"(masks {self.from_first}, {self.to_last})"
            )
        return taken


#: What NumPy takes of each axis.
Taken: TypeAlias = "tuple[slice | int, ...]"


class Region(NamedTuple):
    """What a slice takes of each axis of an array, and the shape of that."""

    taken: Taken
    shape: Shape

    @staticmethod
    def of(x: Shape, taken: Taken) -> Region:
        """Return what is taken of an array of some shape."""
        pairs = zip(taken, x, strict=True)
        return Region(taken, tuple([len(range(*s.indices(length))) for s, length in pairs if isinstance(s, slice)]))


#: A whole axis.
WHOLE = Cut(from_first=True, to_last=True)


def _region(x: Shape, cuts: Sequence[Cut], strict: bool, fail: Callable[[str], NoReturn] = invalid) -> Region:
    pairs = enumerate(zip(cuts, x, strict=True))
    return Region.of(x, tuple([cut.of(axis, length, strict, fail) for axis, (cut, length) in pairs]))


def _places(x: Array, taken: Taken) -> list[range | int]:
    """Return the places along each axis as non-negative numbers."""
    return [s % n if isinstance(s, int) else range(*s.indices(n)) for s, n in zip(taken, x.shape, strict=True)]


def _defined(x: Array, taken: Taken) -> Array:
    return definitions.strided_slice(x, _places(x, taken))


@dataclass(frozen=True)
class Slice(Op):
    """y[i...] = x[begin + i * stride...] on every axis.

    Input: x. Result: per axis the elements that are taken; squeezed axes vanish, so that the rank may be 0.

    Attributes:
        cuts: what is taken, one entry per axis.
        strict: see `Cut.of`.
    """

    cuts: tuple[Cut, ...]
    strict: bool = True

    moves = True

    @cached_property
    def _region(self) -> Callable[[Shape], Region]:
        return remembered(self._derive)

    def _derive(self, x: Shape) -> Region:
        require(len(self.cuts) == len(x), f"has {len(self.cuts)} slices, expected {len(x)}, the rank of {x}")
        return _region(x, self.cuts, self.strict)

    def infer(self, x: TensorType) -> TensorType:
        check_filled(x)
        return x.with_shape(self._region(x.shape).shape)

    def run(self, x: Array) -> Array:
        return kernels.slice_axes(x, self._region(x.shape).taken)

    def places(self, x: Array) -> list[range | int]:
        """Return which places are taken along each axis, or the one of an axis that vanishes."""
        return _places(x, self._region(x.shape).taken)

    def define(self, x: Array) -> Array:
        return _defined(x, self._region(x.shape).taken)


class _Chosen(Op):
    """A slice that inputs choose; what the same settings take of the same shape is derived once."""

    moves = True

    def _derive(self, x: Shape, settings: Settings) -> Region:
        raise NotImplementedError

    def _region(self, x: Array, settings: Sequence[Array]) -> Region:
        return self._remembered(x.shape, settings_of(settings))

    @cached_property
    def _remembered(self) -> Callable[[Shape, Settings], Region]:
        return remembered(self._derive)

    def infer_from(self, x: Array, *settings: Array) -> TensorType:
        return TensorType(x.dtype, self._region(x, settings).shape)


@dataclass(frozen=True)
class SliceDynamic(_Chosen):
    """y[i...] = x[begin + i * stride...] on every axis, with begin and more as inputs.

    Inputs: x of rank r; begin [r]; then, as far as given, end, stride, and the three masks, each [r], masks being true
    where not 0. Result: as of `Slice`.

    Attributes:
        end, stride, from_first, to_last, squeeze: as of `Cut`, in place of inputs that are not given; r entries, of
            which more are ignored, and masks may be empty for all false.
        strict: see `Cut.of`.
    """

    end: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    from_first: tuple[bool, ...] = ()
    to_last: tuple[bool, ...] = ()
    squeeze: tuple[bool, ...] = ()
    strict: bool = True

    def infer(self, x: TensorType, *settings: TensorType) -> None:
        for given in settings:
            if given.dtype.kind == "f":  # integers too small for an axis can name a part of it
                Indexing().check(given, *x.shape)

    def _derive(self, x: Shape, settings: Settings) -> Region:
        rank, given = len(x), arrays_of(settings)
        own = {"end": self.end, "stride": self.stride}
        masks = {"begin mask": self.from_first, "end mask": self.to_last, "squeeze mask": self.squeeze}
        columns: list[Sequence[int]] = [
            [value != 0 for value in numbers_in(values, name, rank)]
            if name in masks
            else integers_in(values, name, rank)
            for values, name in zip(given, ("begin", *own, *masks), strict=False)
        ]
        for name in ("begin", *own, *masks)[len(given) :]:
            entries: Sequence[int] = own[name] if name in own else masks[name] or (False,) * rank
            require(len(entries) >= rank, f"{name} has {len(entries)} entries, expected {rank}, the rank of {x}")
            columns.append(entries[:rank])
        cuts = [
            Cut(begin, end, stride, bool(first), bool(last), bool(squeeze))
            for begin, end, stride, first, last, squeeze in zip(*columns, strict=True)
        ]
        return _region(x, cuts, self.strict, bad_input)

    def run(self, x: Array, *settings: Array) -> Array:
        return kernels.slice_axes(x, self._region(x, settings).taken)

    def places(self, x: Array, *settings: Array) -> list[range | int]:
        """Return which places are taken along each axis, or the one of an axis that vanishes."""
        return _places(x, self._region(x, settings).taken)

    def define(self, x: Array, *settings: Array) -> Array:
        return _defined(x, self._region(x, settings).taken)


@dataclass(frozen=True)
class SliceBySize(_Chosen):
    """y[i...] = x[begin + i...], of a given size along one axis or along all.

    Inputs: x; begin, one element, or along all axes [r] for x of rank r, 0 to length - size each, if it is no
    attribute; then the sizes [r], if they are none. Result: size in place of the length.

    Attributes:
        axis: along which; None for all axes.
        size: 1 or more; along all axes r such numbers, or -1 for what is left after begin; None if they are an input.
        indexing: what begin means.
        from_end: whether a negative begin counts from the end of its axis.
        begin: r numbers; None if it is an input.
    """

    axis: int | None
    size: int | tuple[int, ...] | None
    indexing: Indexing = COUNTING
    from_end: bool = False
    begin: tuple[int, ...] | None = None

    def infer(self, x: TensorType, *settings: TensorType) -> TensorType | None:
        self._check_settings(x, settings)
        if self.size is None:
            return None
        sizes = self._sizes(x.shape, None)
        self._check_sizes(x.shape, sizes, invalid)
        if self.begin is not None:
            self._check_begin(x.shape, self.begin, sizes)
            return x.with_shape(self._remembered(x.shape, ()).shape)
        return None if self.axis is None and -1 in sizes else x.with_shape(sizes)

    def _check_settings(self, x: TensorType, settings: Sequence[TensorType]) -> None:
        names = [name for name, own in (("begin", self.begin), ("size", self.size)) if own is None]
        for name, given in zip(names, settings, strict=True):
            if name == "begin":
                self.indexing.check(given, *x.shape)
            if self.axis is None:
                fits = given.shape == (x.rank,)
                require(fits, f"{name} has the shape {given.shape}, expected {(x.rank,)} for {x.shape}")
            else:
                require(math.prod(given.shape) == 1, f"{name} has the shape {given.shape}, expected one element")

    def _check_begin(self, x: Shape, begin: Sequence[int], sizes: Shape) -> None:
        require(len(begin) == len(x), f"begin is {begin}, expected {len(x)} numbers for {x}")
        for axis, (start, size, length) in enumerate(zip(begin, sizes, x, strict=True)):
            last, first = length - abs(size), -length if self.from_end else 0
            fits = first <= start <= last and (start >= 0 or start + length <= last)
            require(fits, f"begin is {start} on axis {axis} of {length} elements, expected {first} to {last}")

    def _sizes(self, x: Shape, given: Array | None) -> Shape:
        """Return one size per axis, -1 for what is left."""
        if self.size is None:
            assert given is not None
            return tuple(integers_in(given, "size", len(x)))
        if isinstance(self.size, int):
            assert self.axis is not None
            axis = axis_in(self.axis, len(x))
            return (*x[:axis], self.size, *x[axis + 1 :])
        require(len(self.size) == len(x), f"size is {self.size}, expected {len(x)} numbers for {x}")
        return self.size

    def _check_sizes(self, x: Shape, sizes: Shape, fail: Callable[[str], NoReturn]) -> list[int]:
        """Return the sizes, 1 for what is left, of which there must be one element."""
        rests = [1 if size == -1 and self.axis is None else size for size in sizes]
        for axis, (size, length) in enumerate(zip(rests, x, strict=True)):
            if not 1 <= size <= length:
                fail(f"size is {size}, expected 1 to {length}, the length of axis {axis}")
        return rests

    def _derive(self, x: Shape, settings: Settings) -> Region:
        given = iter(arrays_of(settings))
        begin = next(given) if self.begin is None else np.array(self.begin)
        sizes = self._sizes(x, next(given, None))
        rests = self._check_sizes(x, sizes, invalid if self.size is not None else bad_input)
        axes = range(len(x)) if self.axis is None else [axis_in(self.axis, len(x))]
        taken = [slice(None)] * len(x)
        if axes:
            lengths = np.array([x[axis] for axis in axes])
            numbers = np.reshape(begin, -1)
            if self.from_end:
                numbers = np.where(numbers < 0, numbers + lengths, numbers)
            room = [x[axis] - rests[axis] + 1 for axis in axes]
            starts = self.indexing.places(numbers, room, "begin").tolist()
            for axis, start in zip(axes, starts, strict=True):
                taken[axis] = slice(start, None if sizes[axis] == -1 else start + sizes[axis])
        return Region.of(x, tuple(taken))

    def run(self, x: Array, *settings: Array) -> Array:
        return kernels.slice_axes(x, self._region(x, settings).taken)

    def define(self, x: Array, *settings: Array) -> Array:
        return _defined(x, self._region(x, settings).taken)


@dataclass(frozen=True)
class SliceUpdate(Op):
    """y = x, but for the places of a slice: there y[begin + i * stride...] = update[i...].

    Inputs: x; update, of x's type and of the shape that the slice takes; then what a `SliceDynamic` takes beside x.
    Result: the type of x.

    Attributes:
        taking: the slice.
    """

    taking: Slice | SliceDynamic

    fresh = True
    moves = True

    def infer(self, x: TensorType, update: TensorType, *settings: TensorType) -> TensorType:
        """Return the type of x, also where what is taken depends on values: `overwrite` checks the update then."""
        taken = self.taking.infer(x, *settings)
        require(update.dtype == x.dtype, f"the update is {update}, expected numbers of the type {x.dtype}")
        if taken is not None:
            self._check(update, taken, invalid)
        return x

    def _check(self, update: TensorType, taken: TensorType, fail: Callable[[str], NoReturn]) -> None:
        if update != taken:
            fail(f"the update is {update}, expected {taken}, which the slice takes")

    def run(self, x: Array, update: Array, *settings: Array) -> Array:
        y = x.copy()
        self.overwrite(y, update, *settings)
        return y

    def overwrite(self, x: Array, update: Array, *settings: Array) -> None:
        """Write the update into x itself: for a caller that alone has x, such as one that keeps a state."""
        region = self.taking.run(x, *settings)
        if update.shape != region.shape or update.dtype != region.dtype:
            self._check(TensorType.of(update), TensorType.of(region), bad_input)
        region[...] = update

    def define(self, x: Array, update: Array, *settings: Array) -> Array:
        return definitions.slice_update(x, update, self.taking.places(x, *settings))


# ---- Windows, reversal ----


@dataclass(frozen=True)
class SlidingWindows(Op):
    """y[a..., m, w, b...] = x[a..., m * step + w, b...].

    Input: x [*A, L, *B] with L at the axis. Result [*A, M, size, *B], M = floor((L - size) / step) + 1.
    """

    axis: int
    size: int
    step: int = 1

    moves = True

    def infer(self, x: TensorType) -> TensorType:
        axis, size = axis_in(self.axis, x.rank), self.size
        length = x.shape[axis]
        require(1 <= size <= length, f"the window size is {size}, expected 1 to {length}, the length of axis {axis}")
        windows = (length - size) // self.step + 1
        return check_rank(x.with_shape((*x.shape[:axis], windows, size, *x.shape[axis + 1 :])))

    def run(self, x: Array) -> Array:
        return kernels.sliding_windows(x, axis_in(self.axis, x.ndim), self.size, self.step)

    def define(self, x: Array) -> Array:
        return definitions.sliding_windows(x, axis_in(self.axis, x.ndim), self.size, self.step)


@dataclass(frozen=True)
class Reverse(Op):
    """y = x with the order along some axes reversed: y[..., i, ...] = x[..., L - 1 - i, ...].

    Attributes:
        axes: -rank to rank - 1 each; there may be none. None for all.
    """

    axes: tuple[int, ...] | None

    moves = True

    @cached_property
    def _taken(self) -> Callable[[int], Taken]:
        return remembered(self._derive)

    def _derive(self, rank: int) -> Taken:
        axes = set(range(rank)) if self.axes is None else {axis_in(axis, rank) for axis in self.axes}
        distinct = self.axes is None or len(axes) == len(self.axes)
        require(distinct, f"axes is {self.axes}, which names an axis of {rank} twice")
        return tuple([slice(None, None, -1 if axis in axes else 1) for axis in range(rank)])

    def infer(self, x: TensorType) -> TensorType:
        self._taken(x.rank)
        return x

    def run(self, x: Array) -> Array:
        return kernels.slice_axes(x, self._taken(x.ndim))

    def define(self, x: Array) -> Array:
        return _defined(x, self._taken(x.ndim))


@dataclass(frozen=True)
class ReverseSequence(Op):
    """y = x, but for each b the first n = lengths[b] entries reversed: y[b, t] = x[b, n-1-t] for t < n.

    Inputs: x of any shape with B at the batch axis and T at the sequence axis; lengths [B], 0 to T. Result: the shape
    of x.
    """

    batch_axis: int
    sequence_axis: int
    indexing: Indexing = COUNTING

    fresh = True
    moves = True

    def _axes(self, rank: int) -> tuple[int, int]:
        return axis_in(self.batch_axis, rank, "batch axis"), axis_in(self.sequence_axis, rank, "sequence axis")

    def infer(self, x: TensorType, lengths: TensorType) -> TensorType:
        batch, sequence = self._axes(x.rank)
        require(batch != sequence, f"the batch and the sequence lie both on axis {batch}")
        self.indexing.check(lengths, x.shape[sequence] + 1)
        expected = x.shape[batch : batch + 1]
        require(lengths.shape == expected, f"lengths have the shape {lengths.shape}, expected {expected} for {x.shape}")
        return x

    def run(self, x: Array, lengths: Array) -> Array:
        batch, sequence = self._axes(x.ndim)
        counts = self.indexing.places(lengths, x.shape[sequence] + 1, "lengths")
        return kernels.reverse_sequences(x, counts, batch, sequence)

    def define(self, x: Array, lengths: Array) -> Array:
        batch, sequence = self._axes(x.ndim)
        counts = self.indexing.places(lengths, x.shape[sequence] + 1, "lengths")
        return definitions.reverse_sequence(x, counts, batch, sequence)
