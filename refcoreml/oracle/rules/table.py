"""The table of rules: for each operation the class of its bound, and the function that computes it.

Classes:

* ``exact``: values moved about, chosen or compared; no rounding;
* ``ulp``: one or a few rounded operations a value;
* ``dot``: sums of n terms in any order, judged by the sum of their magnitudes;
* ``func``: elementary functions;
* ``interval``: results that jump, such as rounding to integers: all that the argument's interval gives;
* ``either``: one of several answers where rounding may exchange candidates, such as the order of nearly equal numbers;
* ``random``: no bound, since only a distribution is specified; ``control``: branches and loops, whose layers count;
* ``composite``: of the above, by ball arithmetic on its formula; shown by the layer's own name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, Protocol, TypeAlias

import numpy as np
from google.protobuf.message import Message

from refcoreml import ops as operations
from refcoreml.execution.steps import Step
from refcoreml.neuralnetwork.registry import LAYERS
from refcoreml.oracle.balls import Ball, Doubles, Rounding, farther, quantum

CLASSES = ("exact", "ulp", "dot", "func", "interval", "either", "random", "control", "composite")


class Constants(Protocol):
    """How far an implementation's copy of a model's own numbers may be from those of the reference."""

    def radius(self, values: Doubles, message: Message | None = None, channel_axis: int = 0) -> Doubles:
        """Return the radii of a tensor of weights that was decoded from a ``WeightParams`` message."""

    def scalar(self, value: Any) -> Ball:
        """Return plain numbers of the model, such as epsilon or alpha."""


#: From weights, their radii, and whether they are a bias to other weights.
Change: TypeAlias = Callable[[Doubles, Doubles, bool], Doubles]

#: With which weights rules run a layer again.
VARIANTS: dict[str, Change] = {
    "magnitudes": lambda w, radius, bias: np.zeros_like(w) if bias else np.abs(w),
    "radii": lambda w, radius, bias: radius,
    "sizes": lambda w, radius, bias: np.abs(w) + radius,
    "squares": lambda w, radius, bias: w**2,
}


@dataclass(frozen=True)
class Layer:
    """What a rule sees of a layer, or an operation of a program: what it computes, and with which arithmetic.

    ``op`` is the operation as it is meant for the inputs, see `refcoreml.ops.Op.resolve`.

    Attributes:
        form: the operation in the form that the dialect has of it, on arrays in double precision.
        prepare: prepares it again, with changed weights.
        rounding: the arithmetic within.
        constants: how far its numbers may be off.
        storage: how results are rounded when they are stored, if that is not the arithmetic's type.
        variants: what was prepared with changed weights, by the name of the change.
        inputs: the types of the inputs.
        integers: whether results are integers or booleans, which nothing rounds.
    """

    form: operations.Op
    prepare: Callable[[Change], operations.Op]
    rounding: Rounding
    constants: Constants
    storage: Rounding | None
    variants: dict[str, Any]
    inputs: Sequence[Any]
    integers: bool = False

    @cached_property
    def op(self) -> operations.Op:
        """The operation."""
        return self.form.resolve(*self.inputs)

    def run(self, *arrays: Any) -> Any:
        """Return the layer itself."""
        return self.form.run(*arrays)

    def run_variant(self, name: str, *arrays: Any) -> Any:
        """Run the layer with other weights, see `VARIANTS`; it is prepared once with each."""
        return self._variant(name).run(*arrays)

    def _variant(self, name: str) -> operations.Op:
        if name not in self.variants:
            self.variants[name] = self.prepare(VARIANTS[name])
        found: operations.Op = self.variants[name]
        return found

    def constant(self, name: str) -> Ball:
        """Return an attribute of the operation, as far as others know it: a plain number, or decoded weights.

        Of an attribute within another the name is a path, such as ``gates.bias``. The radii of weights stand in the
        same place of the layer that is prepared with radii for weights.
        """
        find = attrgetter(name)
        value = find(self.op)
        if not isinstance(value, np.ndarray):
            return self._plain(value)
        radii = self._variant("radii").resolve(*self.inputs)
        return Ball(np.asarray(value, np.float64), np.asarray(find(radii), np.float64))

    def quanta(self) -> tuple[float, float]:
        """`quantum` of the weights and of the biases."""
        if "quanta" not in self.variants:
            found = {False: np.inf, True: np.inf}

            def look(values: Doubles, radius: Doubles, bias: bool) -> Doubles:
                found[bias] = min(found[bias], quantum(Ball(values, radius)))
                return values

            self.prepare(look)
            self.variants["quanta"] = found[False], found[True]
        quanta: tuple[float, float] = self.variants["quanta"]
        return quanta

    def _plain(self, value: float) -> Ball:
        """Return a plain number of the model."""
        return Ball.exact(float(value)) if self.integers else self.constants.scalar(float(value))

    def keep(self, ball: Ball) -> Ball:
        """Return a ball as it is stored in a blob."""
        return (self.storage or self.rounding).stored(ball)

    def stored(self, value: float) -> Ball:
        """Return a plain number of the message as it stands in a blob."""
        ball = self._plain(value)
        return ball if self.storage is None else self.storage.stored(ball)


def at_ends(layer: Layer, balls: Sequence[Ball], count: int) -> list[Doubles]:
    """Return how far each output moves when all inputs move to either end; the first ``count`` inputs hold values.

    The bound of any layer that rises in all of its inputs, or falls in all of them.
    """

    def at(move: Callable[[Ball], Doubles]) -> tuple[Any, ...]:
        outputs = layer.run(*(move(ball) if i < count else ball.mid for i, ball in enumerate(balls)))
        return outputs if isinstance(outputs, tuple) else (outputs,)

    middle = at(lambda ball: ball.mid)
    if all(ball.certain for ball in balls[:count]):
        return [np.zeros(np.shape(output)) for output in middle]
    low, high = at(lambda ball: ball.mid - ball.rad), at(lambda ball: ball.mid + ball.rad)
    found = [farther(*outputs) for outputs in zip(middle, low, high, strict=True)]
    if all(np.isfinite(ball.rad).all() for ball in balls[:count]):
        return found
    # What is open may be NaN as well.
    spoilt = at(lambda ball: np.where(np.isinf(ball.rad), np.nan, ball.mid))
    return [np.where(np.isnan(other), np.inf, rad) for other, rad in zip(spoilt, found, strict=True)]


#: From a layer, its inputs and its results in double precision to the radii of the results.
Rule: TypeAlias = Callable[[Layer, list[Ball], list[Doubles]], Sequence[Any]]

#: What a rule is for: an operation, or control flow, by the name of its layer.
Kind: TypeAlias = str | type[operations.Op]

RULES: dict[Kind, Rule] = {}
CHECKS: dict[Kind, str] = {}


def kind_of(step: Step) -> Kind | None:
    """Return under which of its two kinds a layer has a class of bounds; None if it has none."""
    return next((kind for kind in (step.op.kind, step.kind) if kind in CHECKS), None)


def check_of(step: Step) -> str:
    """Return the class of a layer's bounds, ``unknown`` if it has none: that of its kind, but for conversions.

    A conversion to floats may round; one to integers or booleans jumps.
    """
    kind = kind_of(step)
    if kind is operations.Cast:
        op: Any = step.op.resolve()
        return CHECKS[kind] if op.result.kind == "f" else "interval"
    return "unknown" if kind is None else CHECKS[kind]


def _check_new(kind: Kind) -> None:
    if kind in CHECKS or (isinstance(kind, str) and kind not in LAYERS):
        raise ValueError(f"{kind!r} has a rule, or is no layer")


def bounded(check: str, *kinds: Kind) -> Callable[[Rule], Rule]:
    """Register the class and the rule of some kinds."""
    if check not in CLASSES:
        raise ValueError(f"{check!r} is no class of bounds")

    def register(function: Rule) -> Rule:
        for kind in kinds:
            _check_new(kind)
            RULES[kind], CHECKS[kind] = function, check
        return function

    return register


def unbounded(check: str, *kinds: Kind) -> None:
    """Register kinds of a class that has no bounds."""
    for kind in kinds:
        _check_new(kind)
        CHECKS[kind] = check
