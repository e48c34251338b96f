"""Operations at their places: `Step`, what types say about it, which values it is the last to use; and `Region`.

Values have names. A dialect gives every value a name of its own, so that one dictionary serves all scopes; only what
regions of a loop make is made anew in each round.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import ChainMap, defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from refcoreml.errors import InternalError, InvalidModelError, RefCoreMLError, at
from refcoreml.execution.limits import LAYER_WORK, NUMBER_WORK, Allowed, refuse_memory
from refcoreml.ops import Op
from refcoreml.types import Array, Form, Shape, TensorType, ValueType

Item = TypeVar("Item")

#: For so many types of inputs are the types of values remembered: a stream of ever new ones must not fill the memory.
MOST_TYPES = 64

#: So many inputs are named in an error.
_MOST_NAMED = 8

#: What finds a forecast again: of an array its type and shape, which compare faster than a `TensorType`.
Key: TypeAlias = "tuple[np.dtype[Any], Shape] | ValueType"
#: What is known of values, by name; None where nothing is. Each region has a map of its own for what it changes.
Types: TypeAlias = "ChainMap[str, ValueType | None]"
#: All types that are written under a name.
Written: TypeAlias = "defaultdict[str, set[ValueType | None]]"
#: Runs a region on some values; returns its results.
Enter: TypeAlias = "Callable[[Region, Sequence[Any]], Generator[Any, None, list[Any]]]"


@dataclass(frozen=True)
class Store:
    """The form in which the results of a step are kept.

    Attributes:
        forms: for each of them; None where it is that of the computed one.
    """

    forms: tuple[Form | None, ...]

    def __call__(self, computed: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return new arrays, or results that stay as they are."""
        with np.errstate(all="ignore"):
            return tuple([y if form is None else form(y) for y, form in zip(computed, self.forms, strict=True)])


def keys_of(values: Sequence[Any]) -> tuple[Key, ...]:
    """Return the keys of values at hand."""
    return tuple([(x.dtype, x.shape) if isinstance(x, (np.ndarray, np.generic)) else _type(x) for x in values])


def _type(value: Any) -> ValueType:
    found: ValueType = value.type
    return found


def key_of(found: ValueType) -> Key:
    """Return the key of a type."""
    return (found.dtype, found.shape) if isinstance(found, TensorType) else found


def typed(key: Key) -> ValueType:
    """Return the type of a key."""
    return TensorType(*key) if isinstance(key, tuple) else key


def types_of(values: Sequence[Any]) -> tuple[ValueType, ...]:
    """Return the types of values at hand."""
    return tuple(map(typed, keys_of(values)))


def _kept(run: Callable[..., Any], form: Form, *given: Any) -> Array:
    results = run(*given)
    return form(results[0] if isinstance(results, tuple) else results)


def _kept_in_place(run: Callable[..., Array], form: Form, *given: Any) -> Array:
    y = run(*given)
    return form(y, out=y)


class Forecast(NamedTuple):
    """What follows from the types of a step's inputs: the outputs' types, their bytes, and the work of a run."""

    types: tuple[ValueType, ...]
    sizes: tuple[int, ...]
    work: int


@dataclass(frozen=True, eq=False)
class Step:
    """An operation at its place.

    Attributes:
        index: position in the list that it is in.
        name: what the model calls it.
        kind: its type, as the dialect calls it.
        where: its place in the model, which no other step has.
        op: what to run.
        inputs, outputs: names of the values.
        last_uses: the values that nobody needs after this step.
        model: the model inside a pipeline that it belongs to.
        parts: the steps that this one runs as one, see `refcoreml.execution.fusion`; none for a single operation.
        store: makes the form in which results are kept of those that were computed; None where it is the same.
        allowed: what values the dialect allows.
    """

    index: int
    name: str
    kind: str
    where: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    last_uses: tuple[str, ...] = ()
    model: str = ""
    parts: tuple[Step, ...] = ()
    store: Store | None = None
    allowed: Allowed = field(default_factory=Allowed)
    _known: dict[tuple[Key, ...], Forecast | None] = field(default_factory=dict, init=False, repr=False)

    def __repr__(self) -> str:
        return f"<{self.where}>"

    @property
    def regions(self) -> tuple[Region, ...]:
        """The steps inside of this one; none but for control flow."""
        return self.op.regions if isinstance(self.op, Control) else ()

    @cached_property
    def reads(self) -> frozenset[str]:
        """The values that must exist before it: its inputs, and what its regions take from their surroundings."""
        return frozenset(self.inputs).union(*(region.reads for region in self.regions))

    @cached_property
    def writes(self) -> frozenset[str]:
        """The values that it makes, those in its regions included."""
        return frozenset(self.outputs).union(*(region.writes for region in self.regions))

    # ---- What types say ----

    def forecast(self, inputs: Sequence[ValueType]) -> Forecast | None:
        """Return what follows from the inputs' types, checked; None if the outputs' types depend on values.

        Of several operations that run as one it is None if they cannot, on inputs of these types.
        """
        return self._recall(tuple(map(key_of, inputs)), inputs)

    def forecast_of(self, arguments: Sequence[Any]) -> Forecast | None:
        """Return the forecast, as `forecast` does, for given inputs."""
        return self._recall(keys_of(arguments))

    def _recall(self, keys: tuple[Key, ...], types: Sequence[ValueType] | None = None) -> Forecast | None:
        try:
            return self._known[keys]
        except KeyError:
            found = self._forecast(tuple(map(typed, keys)) if types is None else types)
            if len(self._known) >= MOST_TYPES:
                self._known.clear()
            self._known[keys] = found
            return found

    def _forecast(self, given: Sequence[Any]) -> Forecast | None:
        try:
            types = self.op.infer(*given)
            if types is None:
                return None
            found = types if isinstance(types, tuple) else (types,)
            refuse_memory("needs for itself", self.op.scratch(given, found), self.allowed.limits, self.where)
            return self._made(given, found)
        except RefCoreMLError as error:  # costs nothing where nothing is raised, unlike a context
            self._complete(error, given)
            raise

    def check_values(self, arguments: Sequence[Any]) -> None:
        """Raise `LimitError` for inputs whose values require outputs that are too large, before these are made.

        To be called where `forecast` knows nothing.
        """
        try:
            types = self.op.infer_from(*arguments)
        except RefCoreMLError as error:
            self._complete(error, types_of(arguments))
            raise
        for found in types if isinstance(types, tuple) else (types,) if types else ():
            what = f"an output would have the shape {found.shape},"
            refuse_memory(what, found.nbytes, self.allowed.limits, self.where)

    def made(self, inputs: Sequence[ValueType], outputs: Sequence[ValueType]) -> Forecast:
        """Return the forecast once the outputs' types are known; refuse those that no value may have."""
        with at(self.where):
            return self._made(inputs, outputs)

    def _made(self, inputs: Sequence[ValueType], outputs: Sequence[ValueType]) -> Forecast:
        sizes = tuple([found.nbytes for found in outputs])
        for name, found, size in zip(self.outputs, outputs, sizes, strict=True):
            self.allowed.check(found, size, name)
        given, results = _shapes(inputs), _shapes(outputs)
        numbers = sum(map(math.prod, given + results))
        work = LAYER_WORK + NUMBER_WORK * numbers + self.op.work(given, results)
        return Forecast(tuple(outputs), sizes, work)

    # ---- Running ----

    def run(self, arguments: Sequence[Any]) -> tuple[Any, ...]:
        """Run the operation, no control flow, on inputs whose types have been checked."""
        try:
            with np.errstate(all="ignore"):
                results: Any = self.op.run(*arguments)
        except Exception as error:
            self.blame(error, arguments)
            raise
        return results if isinstance(results, tuple) else (results,)

    @property
    def direct(self) -> Callable[..., Any]:
        """What computes results as they are kept, of inputs of which all has been checked; not of control flow."""
        run: Callable[..., Any] = self.op.trusted
        store = self.store
        if store is None:
            return run
        if len(store.forms) > 1:
            return lambda *given: store(run(*given))
        form = store.forms[0]
        assert form is not None
        return partial(_kept_in_place if self.op.fresh else _kept, run, form)

    def blame(self, error: Exception, arguments: Sequence[Any]) -> None:
        """Note this place in an error of the operation; raise another one for an error that is not ours.

        Of steps that run as one only the first refuses values: the others overwrite numbers one by one.
        """
        if self.parts:
            first = self.parts[0]
            first.blame(error, arguments[: len(first.inputs)])
            return
        if isinstance(error, RefCoreMLError):
            self._complete(error, types_of(arguments))
            return
        if isinstance(error, MemoryError):
            raise InvalidModelError(f"not enough memory for {self._given(arguments)}", where=self.where) from error
        raise InternalError(
            f"failed on {self._given(arguments)}: {type(error).__name__}: {error}",
            where=self.where,
            remedy="Please report it",
        ) from error

    def _complete(self, error: RefCoreMLError, given: Sequence[ValueType]) -> None:
        """Note this place in an error of the operation, and what its inputs are called, which it does not know."""
        if error.where:
            return
        error.where = self.where
        names = self.inputs[: len(given)]
        if names and not any(repr(name) in error.problem for name in (*names, *self.outputs)):
            called = [f"{name!r} {_shown(found)}" for name, found in zip(names[:_MOST_NAMED], given, strict=False)]
            more = f" and {len(names) - len(called)} more" if len(names) > len(called) else ""
            error.problem += f" (inputs: {', '.join(called)}{more})"

    def run_alone(self, arguments: Sequence[Any]) -> tuple[Any, ...]:
        """Check the types of some values, run the operation on them, and return the results as they are kept."""
        if self.forecast_of(arguments) is None:
            self.check_values(arguments)
        return self.stored(self.run(arguments))

    def stored(self, computed: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return results in the form in which they are kept."""
        return computed if self.store is None else self.store(computed)

    def _given(self, arguments: Sequence[Any]) -> str:
        given = zip(self.inputs, arguments, strict=True)
        return ", ".join(f"{name} {getattr(value, 'shape', type(value).__name__)}" for name, value in given)


def _shown(found: ValueType) -> str:
    return str(found.shape if isinstance(found, TensorType) else found)


def _shapes(types: Sequence[ValueType]) -> list[Shape]:
    return [found.shape if isinstance(found, TensorType) else () for found in types]


# ---- Steps inside of steps ----


@dataclass(frozen=True, eq=False)
class Region:
    """Steps that a control operation runs, any number of times.

    All values of the surroundings can be read. What an open region makes exists afterwards in the surroundings; of a
    closed one only the results do, see `closed_region`.

    Attributes:
        steps: in order.
        inputs: names of the values that it is given whenever it runs.
        outputs: names of its results, of its own values or others.
        closed: whether nothing else of it is used outside.
    """

    steps: Sequence[Step] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    closed: bool = False

    @cached_property
    def reads(self) -> frozenset[str]:
        """The values that it takes from its surroundings."""
        known, taken = set(self.inputs), set[str]()
        for step in self.steps:
            taken |= step.reads - known
            known.update(step.outputs)  # not what its regions write, since one of a choice may not
        return frozenset(taken | (set(self.outputs) - known))

    @cached_property
    def writes(self) -> frozenset[str]:
        """The values that it makes or is given."""
        return frozenset(self.inputs).union(*(step.writes for step in self.steps))


def closed_region(steps: Sequence[Step], inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> Region:
    """Return a region whose values, but for the results, are freed after their last use."""
    region = Region(tuple(steps), tuple(inputs), tuple(outputs), closed=True)
    return replace(region, steps=with_last_uses(steps, outputs, region.writes))


class Inferring(Protocol):
    """The inference that a control operation takes part in.

    Attributes:
        notes: what operations have learned, by their identity, since one within a loop is looked at many times.
    """

    notes: dict[int, Any]

    @property
    def rewritten(self) -> frozenset[str]:
        """The values that more than one step writes."""

    def region(self, region: Region, given: Sequence[ValueType | None], types: Types) -> list[ValueType | None]:
        """Return what is known of a region's results; note in ``types`` what is known of its values."""

    def writing(self) -> AbstractContextManager[Written]:
        """Return, within a context, by name all types that steps write meanwhile; None for one that is not known."""


class Control(Op):
    """An operation that runs steps: it decides which, how often, and with which values.

    Class attributes, which subclasses define as fields or methods:
        regions: the steps, in parts that it runs as a whole.
        flow: run them, by ``enter(region, values)``, on the inputs at hand; yield what `enter` yields, return the
            outputs.
        flow_types: what is known of the outputs, from what is known of the inputs (None: nothing); ``types`` are those
            of the surroundings, which it updates by what regions change there.
    """

    regions: ClassVar[tuple[Region, ...]] = ()

    @abstractmethod
    def flow(self, given: Sequence[Any], enter: Enter) -> Generator[Any, None, Sequence[Any]]:
        """Run."""

    @abstractmethod
    def flow_types(
        self, given: Sequence[ValueType | None], types: Types, inferring: Inferring
    ) -> Sequence[ValueType | None]:
        """Infer."""


def walk(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield all steps, each before those in its regions, at any depth."""
    for step in steps:
        yield step
        if isinstance(step.op, Control):
            for region in step.op.regions:
                yield from walk(region.steps)


def results_within(step: Step) -> tuple[str, ...]:
    """Return the names of the results of all regions of a step, of which its own are some; empty for others."""
    regions = step.op.regions if isinstance(step.op, Control) else ()
    return tuple(name for region in regions for name in region.outputs)


def handed_on(steps: Sequence[Step]) -> dict[str, tuple[str, str]]:
    """Return for what regions are given, by name: what it is in the first round, and what in those that follow."""
    found: dict[str, tuple[str, str]] = {}
    for step in walk(steps):
        regions = step.op.regions if isinstance(step.op, Control) else ()
        for region in regions:
            first = step.inputs[len(step.inputs) - len(region.inputs) :]
            found.update(zip(region.inputs, zip(first, regions[-1].outputs, strict=False), strict=False))
    return found


def rewritten(steps: Sequence[Step], inputs: Iterable[str]) -> frozenset[str]:
    """Return the values that more than one step writes, or that a step writes over an input."""
    made, again = set(inputs), set[str]()
    for step in walk(steps):
        for name in step.outputs:
            (again if name in made else made).add(name)
    return frozenset(again)


def changed(item: Item, **fields: Any) -> Item:
    """Return a copy of an item with other fields, as `dataclasses.replace`, which is several times slower."""
    made = object.__new__(type(item))
    made.__dict__.update(item.__dict__, **fields)
    return made


def with_last_uses(
    steps: Sequence[Step], outputs: Sequence[str], among: Collection[str] | None = None
) -> tuple[Step, ...]:
    """Note at each step the values that can be freed after it: those not used later, nor wanted as outputs.

    Inside an open region nothing is freed, since another round may need it.

    Args:
        steps: in order.
        outputs: what is wanted in the end.
        among: the names that may be freed; None for all.
    """
    needed = set(outputs)
    result = []
    for step in reversed(steps):
        names = step.inputs + step.outputs
        if isinstance(step.op, Control):
            names += tuple(sorted(step.reads | step.writes))
        last = [name for name in dict.fromkeys(names) if name not in needed and (among is None or name in among)]
        needed.update(last)
        result.append(changed(step, last_uses=tuple(last)))
    return tuple(result[::-1])
