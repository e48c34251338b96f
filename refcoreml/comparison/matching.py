"""Which layers of two models are the same: by the names of what they make, or, of ML Programs, by their source names.

A converter that makes a program of half precision calls what is ``y`` in one of single precision ``y_cast_fp16``, and
puts casts between. Both have the source name ``y``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from refcoreml.errors import UsageError
from refcoreml.execution.steps import Step, walk
from refcoreml.model import Model

__all__ = ["Match", "Names", "Steps"]

#: The values that a step makes, by which it is known.
Names: TypeAlias = "tuple[str, ...]"

_CAST = "cast"
_OF_CASTS = re.compile(r"_(?:cast|to)_fp(?:16|32)")


def source_name(name: str) -> str:
    """Return the name that a value has in its source, without what casts of a converter add."""
    return _OF_CASTS.sub("", name)


class Steps:
    """The steps of a model, those in control flow included.

    Attributes:
        evaluator: what runs them.
        by_names: the steps that make something.
    """

    def __init__(self, model: Model) -> None:
        self.evaluator = model.prepare()
        if not self.evaluator.steps:
            remedy = "Compare its models, see Model.models" if model.models else "compare_models compares outputs"
            raise UsageError(f"a model of type {model.kind} has no layers that could be compared", remedy=remedy)
        self.by_names: dict[Names, Step] = {step.outputs: step for step in walk(self.evaluator.steps) if step.outputs}
        self._makers = {name: step for step in self.by_names.values() for name in step.outputs}

    def is_constant(self, name: str) -> bool:
        """Return whether a value is a constant."""
        return name in self.evaluator.constants

    def uncast(self, name: str) -> str:
        """Return the value that a value is cast from, or the value itself."""
        while (maker := self._makers.get(name)) is not None and maker.kind == _CAST and len(maker.inputs) == 1:
            name = maker.inputs[0]
        return name

    def maker(self, name: str) -> Step | None:
        """Return the step that makes a value; None for an input, or what a loop hands on."""
        return self._makers.get(name)


class Match:
    """Which steps of two models are the same, and which values.

    Attributes:
        names: by what a step of the reference makes, what the same step of the candidate makes.
        back: the reverse.
    """

    def __init__(self, mine: Steps, others: Steps) -> None:
        self._mine, self._others = mine, others
        found = _matched(mine.by_names.values(), others.by_names.values())
        self.names = {key: found[key] for key in mine.by_names if key in found}
        self.back = {names: key for key, names in self.names.items()}

    def takes_the_same(self, key: Names) -> bool:
        """Return whether a step is of the same type in both and takes the same values; constants count as the same."""
        step, other = self._mine.by_names[key], self._others.by_names[self.names[key]]
        if step.kind != other.kind or len(step.inputs) != len(other.inputs):
            return False
        return all(
            self._mine_as_known(one) == self._other_as_known(another)
            or (self._mine.is_constant(one) and self._others.is_constant(another))
            for one, another in zip(step.inputs, other.inputs, strict=True)
        )

    def _mine_as_known(self, name: str) -> str:
        """Return what a value of the reference is known by: its name if its step is matched, else its source name."""
        name = self._mine.uncast(name)
        maker = self._mine.maker(name)
        return name if maker is not None and maker.outputs in self.names else source_name(name)

    def _other_as_known(self, name: str) -> str:
        """Return what a value of the candidate is known by: the name in the reference if its step is matched."""
        name = self._others.uncast(name)
        maker = self._others.maker(name)
        if maker is None or maker.outputs not in self.back:
            return source_name(name)
        return self.back[maker.outputs][maker.outputs.index(name)]


def _matched(mine: Iterable[Step], others: Iterable[Step]) -> dict[Names, Names]:
    """Return for steps of one model the same ones of another.

    First those of the same type that make values of equal names, then of equal source names, then those that have
    equal source names themselves; then those of another type that make values of equal names.
    """
    free = {step.outputs: step for step in others}
    found: dict[Names, Names] = {}
    left = list(mine)
    ways: tuple[Callable[[Step], object], ...] = (
        lambda step: (step.outputs, step.kind),
        lambda step: (tuple(map(source_name, step.outputs)), step.kind),
        lambda step: (source_name(step.name), step.kind, len(step.outputs)),
        lambda step: step.outputs,
    )
    for way in ways:
        known = _first(free, way)
        for step in left:
            other = known.pop(way(step), None)
            if other is not None:
                found[step.outputs] = other
                del free[other]
        left = [step for step in left if step.outputs not in found]
    return found


def _first(steps: Mapping[Names, Step], way: Callable[[Step], object]) -> dict[object, Names]:
    """Return by what is to be equal the first of some steps."""
    known: dict[object, Names] = {}
    for names, step in steps.items():
        known.setdefault(way(step), names)
    return known
