"""What every operation has: `Op`; and the checks that operations of all families share.

Operations know no dialect, no names and no files. Their errors say what was expected and what was got; whoever runs the
operation adds the place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar, NoReturn, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np

from refcoreml.errors import InputError, InvalidModelError
from refcoreml.kernels import elementwise as kernels
from refcoreml.kernels.gather import longest_axis
from refcoreml.types import Array, Shape, TensorType

#: The most axes that a result may have.
MAX_RANK = 5

#: What an operation returns: an array, or a tuple with an array per result.
Results: TypeAlias = Array | tuple[Array, ...]
#: The types of these.
Types: TypeAlias = TensorType | tuple[TensorType, ...]
#: Overwrites a block ``[C', ...]`` of a value, channels first: called with the block, the slice of channels that it
#: holds, and the blocks of further inputs.
Inplace: TypeAlias = Callable[..., None]


def _unknown(op: Op, *inputs: Array) -> None:
    return None


class Op:
    """An operation. Subclasses are frozen dataclasses; their fields are its attributes.

    Class attributes, which subclasses define as methods:
        infer: types in, types out, without arithmetic; raises `InvalidModelError` for types that do not fit. None
            where a result's shape depends on values.
        infer_from: inputs in, the types out that `infer` cannot know, before anything of that size is made; raises
            `InputError` for values that are out of range. None where nothing is known before a run.
        run: arrays in, arrays out. Never writes to its inputs; may return a view of one unless `fresh`.
        definition: the formula as one plain function in double precision, see `refcoreml.definitions`; called with the
            inputs and all fields.
        inplace: for elementwise operations of one or two inputs, the same arithmetic written over an input, block by
            block. Of two inputs either may come first.
        fused: ``run`` with a keyword ``epilogue``, which is applied to each block of the result while it is in the
            cache, and must give the same bits as afterwards.
        fresh: whether the result is always a new array, never a view of an input or of a field.
        moves: whether all numbers of the results are numbers of the inputs, up to their signs, or 0, or infinite: a
            result needs no rounding to the type of the inputs.
        effect: whether a run does more than to compute results, such as writing a state: it keeps its place among
            other operations, whether or not anything reads its results.
    """

    infer: ClassVar[Callable[..., Types | None]]
    infer_from: ClassVar[Callable[..., Types | None]] = _unknown
    run: ClassVar[Callable[..., Results]]
    definition: ClassVar[Callable[..., Any]]
    inplace: ClassVar[Inplace | None] = None
    fused: ClassVar[Callable[..., Array] | None] = None
    fresh: ClassVar[bool] = False
    moves: ClassVar[bool] = False
    effect: ClassVar[bool] = False

    @property
    def repeatable(self) -> bool:
        """Whether a run on equal inputs gives equal results, and does nothing else."""
        return not self.effect

    @property
    def trusted(self) -> Callable[..., Results]:
        """`run`, without checks of what follows from the types of inputs, for those whose types have been checked."""
        return self.run

    def resolve(self, *inputs: TensorType) -> Op:
        """Return the operation that is meant for inputs of these types: this one, but for those of `ByType`."""
        return self

    def taken(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Return inputs in the form in which the operation that `resolve` returns takes them."""
        return inputs

    @property
    def kind(self) -> type[Op]:
        """The class whose rules apply, also where `resolve` has yet to choose the operation."""
        return type(self)

    def terms(self, inputs: Sequence[TensorType]) -> int | None:
        """Return how many products or numbers go into a sum at most; None for operations that are no sums."""
        return None

    def work(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        """Return how many multiplications a run takes, if they are more than a few per number read or written."""
        return 0

    def scratch(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> int:
        """Return how many bytes a run needs for itself, if they can be many more than those of inputs and outputs."""
        return 0

    def prepare(self) -> None:
        """Lay out what a run needs, ahead of the first one; by default there is nothing to lay out."""

    def define(self, *inputs: Any) -> Any:
        """Compute the results as the definition words them: slowly, in double precision."""
        assert is_dataclass(self)
        attributes = {item.name: getattr(self, item.name) for item in fields(self)}
        return cut_off(type(self).definition(*(np.asarray(x, np.float64) for x in inputs), **attributes), *inputs)


@dataclass(frozen=True)
class Adapted(Op):
    """An operation in the form that a dialect has of it; rules see the operation itself.

    Subclasses say what differs, in `infer` and `run`.
    """

    op: Op

    @property
    def fresh(self) -> bool:  # type: ignore[override]
        """As the operation."""
        return self.op.fresh

    @property
    def moves(self) -> bool:  # type: ignore[override]
        """As the operation."""
        return self.op.moves

    @property
    def effect(self) -> bool:  # type: ignore[override]
        """As the operation."""
        return self.op.effect

    @property
    def repeatable(self) -> bool:
        """As the operation."""
        return self.op.repeatable

    def prepare(self) -> None:
        """As the operation."""
        self.op.prepare()

    @property
    def kind(self) -> type[Op]:
        """The operation's class."""
        return self.op.kind

    def resolve(self, *inputs: TensorType) -> Op:
        """Return the operation itself, for rules that speak of its attributes."""
        return self.op.resolve(*inputs)

    def infer(self, *inputs: TensorType) -> Types | None:
        """Return what the operation infers."""
        return self.op.infer(*inputs)

    def infer_from(self, *inputs: Array) -> Types | None:
        """Return what the operation infers from values."""
        return self.op.infer_from(*inputs)

    def run(self, *inputs: Array) -> Results:
        """Return what the operation computes."""
        return self.op.run(*inputs)

    def terms(self, inputs: Sequence[TensorType]) -> int | None:
        """As the operation."""
        return self.op.terms(inputs)

    def work(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        """As the operation."""
        return self.op.work(inputs, outputs)

    def scratch(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> int:
        """As the operation."""
        return self.op.scratch(inputs, outputs)


class ByType(Op):
    """An operation that is another one for each rank of its first input, as some layers of old have it.

    Subclasses say which: ``choose(rank)``.
    """

    choose: ClassVar[Callable[..., Op]]

    @property
    def inplace(self) -> Inplace | None:  # type: ignore[override]
        """That of the operations to choose from: blocks come channels first, whatever the rank."""
        return self.choose(MAX_RANK).inplace

    @property
    def repeatable(self) -> bool:
        """As the operations to choose from."""
        return self.choose(MAX_RANK).repeatable

    @property
    def kind(self) -> type[Op]:
        """The class of the operations to choose from."""
        return type(self.choose(MAX_RANK))

    def resolve(self, *inputs: TensorType) -> Op:
        """Return the operation for the rank of the first input."""
        return self.choose(inputs[0].rank)

    def infer(self, *inputs: TensorType) -> Types | None:
        """Return what the chosen operation infers."""
        return self.choose(inputs[0].rank).infer(*inputs)

    def infer_from(self, *inputs: Array) -> Types | None:
        """Return what the chosen operation infers from values."""
        return self.choose(inputs[0].ndim).infer_from(*inputs)

    def run(self, *inputs: Array) -> Results:
        """Run the chosen operation."""
        return self.choose(inputs[0].ndim).run(*inputs)

    def terms(self, inputs: Sequence[TensorType]) -> int | None:
        """Return what the chosen operation says."""
        return self.choose(inputs[0].rank).terms(inputs)

    def work(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        """Return what the chosen operation says."""
        return self.choose(len(inputs[0])).work(inputs, outputs)

    def scratch(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> int:
        """Return what the chosen operation says."""
        return self.choose(inputs[0].rank).scratch(inputs, outputs)

    def define(self, *inputs: Any) -> Any:
        """Compute what the chosen operation defines."""
        return self.choose(np.ndim(inputs[0])).define(*inputs)


#: The names of attributes, by class; `fields` is slow.
_ATTRIBUTE_NAMES: dict[type[Elementwise], tuple[str, ...]] = {}


class Elementwise(Op):
    """An operation on one input: a number of the result depends on x at that place and on the attributes alone.

    Subclasses are frozen dataclasses; each attribute is a number, or an array that broadcasts to x.

    Class attributes:
        kernel: called with x, all attributes in order, and optionally ``out``, where it writes, which may be x itself;
            without it the result has the type of x.
        kinds: the kinds of numbers that it takes, as in ``numpy.dtype.kind``.
        result: the type of the result's numbers; None for that of x.
    """

    kernel: ClassVar[Callable[..., Array]]
    kinds: ClassVar[str] = "f"
    result: np.dtype[Any] | None = None
    fresh = True

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """The attributes that the kernel and the definition take, by name."""
        return {name: getattr(self, name) for name in _attribute_names(type(self))}

    @cached_property
    def _values(self) -> tuple[Any, ...]:
        return tuple(self.attributes.values())

    def infer(self, x: TensorType) -> TensorType:
        check_kinds(x, self.kinds)
        for name in _attribute_names(type(self)):
            value = getattr(self, name)
            _check_fits(name, np.shape(value), x)
            check_numbers(name, value, x.dtype)
        return x if self.result is None else x.with_dtype(self.result)

    def run(self, x: Array) -> Array:
        if x.ndim and self.result is None:
            return self.compute(x)
        y = np.empty_like(x, self.result)
        self.compute(_rank_1(x), out=_rank_1(y))
        return y

    def compute(self, x: Array, *, out: Array | None = None) -> Array:
        """Run the kernel on an array of rank 1 or more, into ``out`` if it is given."""
        return type(self).kernel(x, *self._values, out=out)

    @property
    def inplace(self) -> Inplace | None:  # type: ignore[override]
        """None if an attribute varies within a channel, or the result has a type of its own."""
        given = [getattr(self, name) for name in _attribute_names(type(self))]
        if self.result is not None or not all(map(_per_channel, given)):
            return None
        kernel, values = type(self).kernel, list(map(_as_number, given))

        def overwrite(block: Array, channels: slice) -> None:
            kernel(block, *values, out=block)

        def overwrite_by_channel(block: Array, channels: slice) -> None:
            kernel(block, *(_in_block(value, block, channels) for value in values), out=block)

        return overwrite_by_channel if any(map(np.ndim, values)) else overwrite

    def define(self, x: Array) -> Any:
        return cut_off(type(self).definition(np.asarray(x, np.float64), *self._values), x)


def _attribute_names(kind: type[Elementwise]) -> tuple[str, ...]:
    names = _ATTRIBUTE_NAMES.get(kind)
    if names is None:
        assert is_dataclass(kind)
        names = _ATTRIBUTE_NAMES[kind] = tuple(item.name for item in fields(kind) if item.name != "result")
    return names


def _rank_1(x: Array) -> Array:
    """x, or a view [1] of a number, since NumPy's functions make numbers, which are no arrays, of rank 0."""
    return x if x.ndim else x.reshape(1)


def _per_channel(value: Any) -> bool:
    """Return whether an attribute is one number, or one for each channel: [C, 1, 1]."""
    return np.size(value) == 1 or np.shape(value)[1:] == (1, 1)


def _as_number(value: Any) -> Any:
    """Return an attribute, as an array of rank 0 if it is an array of one number."""
    return value.reshape(()) if isinstance(value, np.ndarray) and value.size == 1 else value


def _in_block(value: Any, block: Array, channels: slice) -> Any:
    """Return a number, or those of the block's channels, along its first axis."""
    return value[channels].reshape(-1, *(1,) * (block.ndim - 1)) if np.ndim(value) else value


def _check_fits(name: str, shape: Shape, x: TensorType) -> None:
    rank = len(shape)
    require(x.rank >= rank, f"takes inputs of rank {rank} or more, got {x.shape}")
    wanted = x.shape[x.rank - rank :]
    require(
        all(length in (1, other) for length, other in zip(shape, wanted, strict=True)),
        f"{name} of shape {shape} does not fit the input {x.shape}, expected lengths of 1 or {wanted}",
    )


class Broadcast(Op):
    """An operation on several inputs of one type that broadcast as in NumPy, place by place.

    Class attributes:
        kinds: the kinds of numbers that it takes, as in ``numpy.dtype.kind``.
        result: the type of the result's numbers; None for that of the inputs.
    """

    kinds: ClassVar[str] = "f"
    result: np.dtype[Any] | None = None
    fresh = True

    def infer(self, *inputs: TensorType) -> TensorType:
        for x in inputs:
            check_kinds(x, self.kinds)
        found = common_type(*inputs)
        return found if self.result is None else found.with_dtype(self.result)


@dataclass(frozen=True)
class Combination(Broadcast):
    """A function of two inputs, or folded over several from left to right.

    Attributes:
        other: a number that takes the place of the second input.

    Class attributes:
        function: called with two arrays and ``out``.
        several: whether one input (a copy) and more than two make sense as well.
        commutes: whether the inputs can be exchanged.
    """

    other: float | None = None

    function: ClassVar[Callable[..., Any]]
    several: ClassVar[bool] = False
    commutes: ClassVar[bool] = False

    def infer(self, *inputs: TensorType) -> TensorType:
        count = len(inputs) + (self.other is not None)
        require(count == 2 or self.several, f"takes two inputs, or one and a number, got {len(inputs)}")
        if self.other is not None:
            check_numbers("the second operand", self.other, inputs[0].dtype)
        return super().infer(*inputs)

    def run(self, *inputs: Array) -> Array:
        return kernels.combine(type(self).function, self._operands(*inputs), self.result)

    @property
    def inplace(self) -> Inplace | None:  # type: ignore[override]
        """None if the inputs cannot be exchanged, or the result has a type of its own."""
        if self.result is not None:
            return None
        function = type(self).function

        def overwrite(block: Array, channels: slice, *others: Array) -> None:
            for other in others:
                function(block, other, out=block)

        def overwrite_with_number(block: Array, channels: slice) -> None:
            self.compute(block, out=block)

        if self.other is not None:
            return overwrite_with_number
        return overwrite if self.commutes else None

    def compute(self, x: Array, *, out: Array | None = None) -> Array:
        """Combine an array of rank 1 or more with `other`, into ``out`` if it is given."""
        y: Array = type(self).function(*self._operands(x), out=out)
        return y

    def _operands(self, *inputs: Array) -> tuple[Array, ...]:
        return inputs if self.other is None else (*inputs, kernels.like(self.other, inputs[0]))

    def define(self, *inputs: Array) -> Any:
        operands = self._operands(*(np.asarray(x, np.float64) for x in inputs))
        return cut_off(type(self).definition(*operands), *inputs)


def cut_off(y: Any, *inputs: Array) -> Any:
    """Return what a definition gives, without fractions if the inputs are integers."""
    from_integers = inputs and all(np.asarray(x).dtype.kind in "iu" for x in inputs)
    return np.trunc(y) if from_integers and isinstance(y, np.ndarray) and y.dtype.kind == "f" else y


def common_type(*inputs: TensorType) -> TensorType:
    """Return the type of arrays that broadcast as in NumPy: aligned at the last axis, lengths are equal or 1."""
    require(
        len({x.dtype for x in inputs}) == 1,
        f"inputs of types {', '.join(str(x.dtype) for x in inputs)} do not fit together",
        "Convert them to one type",
    )
    try:
        return inputs[0].with_shape(kernels.broadcast_shape(*(x.shape for x in inputs)))
    except ValueError:
        invalid(
            f"inputs of shapes {', '.join(str(x.shape) for x in inputs)} do not fit together",
            "Counted from the last axis, lengths must be equal or 1",
        )


#: What kinds of numbers are called.
_KINDS = {"f": "floats", "i": "integers", "u": "unsigned integers", "b": "booleans"}


def check_kinds(x: TensorType, kinds: str) -> None:
    """Refuse numbers of other kinds, given as in ``numpy.dtype.kind``."""
    if x.dtype.kind not in kinds:
        invalid(f"takes {' or '.join(_KINDS[kind] for kind in kinds)}, got {x.dtype}")


def check_filled(*inputs: TensorType) -> None:
    """Refuse inputs without elements, of which there is nothing to compute."""
    for x in inputs:
        if 0 in x.shape:
            invalid(f"got the shape {x.shape}, which holds no elements")


def check_floats(*inputs: TensorType) -> None:
    """Refuse inputs of other numbers than floats, and those without elements."""
    for x in inputs:
        check_kinds(x, "f")
    check_filled(*inputs)


def check_per_axis(name: str, values: Sequence[Any], count: int) -> None:
    """Refuse an attribute that does not have a value for each of so many axes."""
    require(len(values) == count, f"{name} {tuple(values)} is not for {count} axes")


def check_numbers(name: str, values: float | Array, dtype: np.dtype[Any]) -> None:
    """Refuse numbers that an integer type cannot represent; floats are rounded instead."""
    if dtype.kind not in "iub":
        return
    limits = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for value in np.ravel(values).tolist():
        require(
            limits[0] <= value <= limits[1] and value == int(value),
            f"{name} is {value}, which {dtype} cannot represent",
        )


def invalid(problem: str, remedy: str = "") -> NoReturn:
    """Raise `InvalidModelError`; whoever runs the operation adds the place."""
    raise InvalidModelError(problem, remedy=remedy)


def require(condition: bool, problem: str, remedy: str = "") -> None:
    """Raise `InvalidModelError` unless the condition holds."""
    if not condition:
        invalid(problem, remedy)


def check_rank(found: TensorType) -> TensorType:
    """Return the type of a result, which no dialect may have with more than `MAX_RANK` axes."""
    require(
        found.rank <= MAX_RANK,
        f"the result would have the shape {found.shape}, but none may have a rank above {MAX_RANK}",
    )
    return found


def bad_input(problem: str, remedy: str = "") -> NoReturn:
    """Raise `InputError`, for values that a model cannot be blamed for."""
    raise InputError(problem, remedy=remedy)


def axis_in(axis: int, rank: int, name: str = "axis") -> int:
    """Return the axis 0..rank-1 that -rank..rank-1 names."""
    require(-rank <= axis < rank, f"{name} is {axis}, expected {-rank} to {rank - 1} for rank {rank}")
    return axis % rank


def axes_in(axes: Sequence[int], rank: int, name: str = "axes") -> Shape:
    """Return the axes 0..rank-1, in ascending order, that numbers from -rank to rank-1 name."""
    given = tuple(map(int, axes))
    require(len(given) > 0, f"{name} is empty")
    require(all(-rank <= axis < rank for axis in given), f"{name} is {given}, expected {-rank} to {rank - 1} each")
    found = sorted({axis % rank for axis in given})
    require(len(found) == len(given), f"{name} is {given}, which names an axis of {rank} twice")
    return tuple(found)


def most_places(numbers: np.dtype[Any]) -> int:
    """Return how many places numbers of a type can name."""
    if numbers.kind not in "fiu":
        invalid(f"has indices, which {numbers} cannot hold")
    return longest_axis(numbers) if numbers.kind == "f" else int(np.iinfo(numbers).max) + 1


def check_places(numbers: np.dtype[Any], *lengths: int) -> None:
    """Refuse axes so long that numbers of a type cannot name every place."""
    longest = most_places(numbers)
    for length in lengths:
        require(
            length <= longest,
            f"has indices along an axis of {length} elements, but {numbers} names only {longest} exactly",
            "Use a wider arithmetic, or split the axis",
        )


# ---- What follows from shapes ----

P = ParamSpec("P")
R = TypeVar("R")

#: For so many shapes, or values of settings, an operation remembers what it derived.
_MOST_REMEMBERED = 64


def remembered(derive: Callable[P, R]) -> Callable[P, R]:
    """Return a function of shapes and the like that remembers its latest results; errors are raised anew.

    Operations keep it as a `cached_property`, so that each remembers its own.
    """
    return cast("Callable[P, R]", lru_cache(maxsize=_MOST_REMEMBERED)(derive))


#: Small arrays as a key of what was derived from them.
Settings: TypeAlias = "tuple[tuple[np.dtype[Any], Shape, bytes], ...]"


def settings_of(arrays: Sequence[Array]) -> Settings:
    """Return arrays that hold settings, as begins of slices, as a key."""
    return tuple([(array.dtype, array.shape, array.tobytes()) for array in arrays])


def arrays_of(settings: Settings) -> list[Array]:
    """Return the arrays of a key, read-only."""
    return [np.frombuffer(data, dtype).reshape(shape) for dtype, shape, data in settings]


# ---- Numbers that inputs hold ----


def numbers_in(values: Array, name: str, count: int) -> list[float]:
    """Return the numbers in an input of ``count`` elements; NaN is an error."""
    require(values.size == count, f"{name} has the shape {values.shape}, expected {count} element(s)")
    flat = values.reshape(-1).tolist()
    if values.dtype.kind == "f" and any(map(math.isnan, flat)):
        bad_input(f"{name} holds {flat}, expected numbers")
    return flat


def integers_in(values: Array, name: str, count: int) -> list[int]:
    """Return the numbers as `numbers_in` does, truncated to integers; infinity is an error, too."""
    numbers = numbers_in(values, name, count)
    if values.dtype.kind in "iu":
        return cast("list[int]", numbers)
    if any(map(math.isinf, numbers)):
        bad_input(f"{name} holds {numbers}, expected integers")
    return [int(number) for number in numbers]


def vector_in(values: Array, name: str) -> Shape:
    """Return the integers, at most `MAX_RANK`, in an input of rank 1: a shape, or a number for each axis."""
    require(
        values.ndim == 1 and len(values) <= MAX_RANK,
        f"{name} has the shape {values.shape}, expected a vector of 1 to {MAX_RANK} numbers",
    )
    return tuple(integers_in(values, name, len(values)))


def shape_in(values: Array, name: str) -> Shape:
    """Return the shape that an input holds."""
    found = vector_in(values, name)
    if min(found, default=0) < 1:
        bad_input(f"{name} requests the shape {found}, expected numbers of at least 1")
    return found


@dataclass(frozen=True, kw_only=True)
class OfShape(Op):
    """A new array, whose shape is requested.

    Input: the shape, a vector, if it is no attribute; fractions are cut off.

    Attributes:
        shape: the shape of y; None if it is an input.
        dtype: the type of its numbers.
    """

    shape: Shape | None
    dtype: np.dtype[Any]

    fresh = True

    def infer(self, shape: TensorType | None = None) -> TensorType | None:
        if self.shape is None:
            return None
        require(min(self.shape, default=1) >= 1, f"the shape {self.shape} is requested, expected numbers of at least 1")
        return check_rank(TensorType(self.dtype, self.shape))

    def infer_from(self, shape: Array) -> TensorType:
        return TensorType(self.dtype, shape_in(shape, "shape"))

    def requested(self, given: Array | None) -> Shape:
        """Return the shape, from the input if it is no attribute."""
        if self.shape is not None:
            return self.shape
        assert given is not None
        return shape_in(given, "shape")
