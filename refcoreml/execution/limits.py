"""Limits on the memory and time of a model: `Limits`, and the meter that adds up what it uses.

A file of a hundred bytes can require any amount of both. So what a layer takes is computed from shapes before the layer
runs, and refused at the first layer that would go beyond a limit.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from refcoreml.errors import InvalidModelError, LimitError, UsageError
from refcoreml.ops.base import MAX_RANK
from refcoreml.types import TensorType, ValueType

#: A number that is read or written counts as so many multiplications: about the time that it takes.
NUMBER_WORK = 32
#: A layer counts as so many multiplications, however small its values are.
LAYER_WORK = 1 << 17

_ENVIRONMENT = {"memory": "REFCOREML_MEMORY", "work": "REFCOREML_WORK"}


@dataclass(frozen=True)
class Limits:
    """Limits above which a model is refused with a `LimitError`; ``math.inf`` for none.

    The same model is refused on every machine: nothing is measured, all is computed from shapes.

    Attributes:
        memory: bytes of the decoded weights and of all values that exist at a time, views of others included. What a
            layer needs for itself while it runs is not counted.
        work: multiplications in one prediction. Layers that do few count as `NUMBER_WORK` for each number that they
            read or write, and each layer as `LAYER_WORK` in addition, so that 10^11 of them take some seconds.
    """

    memory: float = 4 << 30
    work: float = 1e12

    def __post_init__(self) -> None:
        for name in _ENVIRONMENT:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise UsageError(f"{name} is {value!r}, expected a number above 0", where="limits")

    @staticmethod
    def given(limits: Limits | None) -> Limits:
        """Return the limits that a caller passes; by default `of_environment`."""
        if limits is None:
            return Limits.of_environment()
        if not isinstance(limits, Limits):
            raise UsageError(f"got {type(limits).__name__}, expected refcoreml.Limits", where="limits")
        return limits

    @staticmethod
    def of_environment() -> Limits:
        """Return the limits of ``REFCOREML_MEMORY`` (bytes) and ``REFCOREML_WORK``, such as ``16e9``, or defaults."""
        given = {}
        for name, variable in _ENVIRONMENT.items():
            if text := os.environ.get(variable):
                try:
                    given[name] = float(text)
                except ValueError:
                    raise UsageError(f"expected a number such as 16e9, got {text!r}", where=variable) from None
        return Limits(**given)


def beyond(size: int, limits: Limits) -> str:
    """Return how large something is that is larger than the limit of memory; empty if it is not."""
    return f"{_number(size):.2g} bytes, limit {limits.memory:.2g}" if size > limits.memory else ""


def _number(count: float) -> float:
    """Return a count as a float; one that no float can hold, since a shape may be anything, as 1e300."""
    return float(min(count, 10**300))


def remedy(name: str, needed: float) -> str:
    """Return how to raise one of the limits so far that a need is met."""
    value = f"{1.2 * _number(needed):.0e}".replace("+", "")
    return (
        f"If you trust the model, allow more: refcoreml.load(..., limits=refcoreml.Limits({name}={value})), "
        f"or set {_ENVIRONMENT[name]}={value} in the environment"
    )


def refuse_memory(what: str, size: int, limits: Limits, where: str) -> None:
    """Raise `LimitError` if something of so many bytes is too large."""
    if found := beyond(size, limits):
        raise LimitError(f"{what} {found}", where=where, remedy=remedy("memory", size))


class Budget:
    """What the networks of one model share: the limits, and the bytes of weights decoded so far."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.weights = 0

    def decode(self, size: int, where: str) -> None:
        """Count weights of so many bytes; to be called before they are decoded."""
        self.weights += size
        refuse_memory("with these, the decoded weights take", self.weights, self.limits, where)


class Meter:
    """Adds up what one prediction takes, layer by layer; raises `LimitError` at the layer that goes beyond a limit.

    Always counts layers as if none were fused, so that whether a model is refused does not depend on that.
    """

    def __init__(self, budget: Budget) -> None:
        self._limits = budget.limits
        self._live, self._work = budget.weights, 0
        self._sizes: dict[str, int] = {}

    def spend(self, work: int, where: str) -> None:
        """Count the work of a layer that is to run."""
        self._work += work
        if self._work > self._limits.work:
            raise LimitError(
                f"up to this layer, a prediction takes as long as {_number(self._work):.3g} multiplications, "
                f"the limit is {self._limits.work:.3g}",
                where=where,
                remedy=remedy("work", self._work),
            )

    def hold(self, names: Iterable[str], sizes: Iterable[int], where: str) -> None:
        """Count values, of so many bytes, that are to be made; those of these names before are gone."""
        known = self._sizes
        for name, size in zip(names, sizes, strict=True):
            before = known.get(name, 0)
            if size == before:  # in a loop the usual case
                continue
            self._live += size - before
            known[name] = size
            if self._live > self._limits.memory:
                what = f"with output {name!r}, weights and values take"
                refuse_memory(what, self._live, self._limits, where)

    def free(self, names: Iterable[str]) -> None:
        """Count values no longer, if they were counted."""
        for name in names:
            self._live -= self._sizes.pop(name, 0)


def size_of(shape: tuple[int, ...], itemsize: int) -> int:
    """Return the bytes of an array."""
    return math.prod(shape) * itemsize


@dataclass(frozen=True)
class Allowed:
    """What values a dialect allows.

    Attributes:
        limits: how much memory one may take.
        rank: the most axes.
        empty: whether an axis may have the length 0.
    """

    limits: Limits = field(default_factory=Limits)
    rank: int = MAX_RANK
    empty: bool = False

    def check(self, found: ValueType, size: int, name: str) -> None:
        """Refuse an output, of so many bytes, that nobody may make; whoever knows the place adds it."""
        if not isinstance(found, TensorType):
            return
        if problem := self.problem(found.shape):
            raise InvalidModelError(f"output {name!r} would have {problem}")
        if size > self.limits.memory:
            refuse_memory(f"output {name!r} would have the shape {found.shape},", size, self.limits, "")

    def problem(self, shape: Sequence[int]) -> str:
        """Return what no value may have; empty if it may have the shape."""
        if len(shape) > self.rank:
            return f"{len(shape)} dimensions, but no value has more than {self.rank}"
        if shape and min(shape) < (0 if self.empty else 1):
            return f"the shape {tuple(shape)}, but every dimension must be at least 1"
        return ""
