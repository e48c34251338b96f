"""Runs a network in double precision and, beside each blob, how far rounding can move it: a forward error bound.

Beside each blob runs a radius: what rounding in the layer itself can add, and what the radii of the layer's inputs
become on their way through it. The rules, one per layer, are in `refcoreml.oracle.rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.errors import UnsupportedModelError
from refcoreml.execution.control import Choice, Loop
from refcoreml.execution.steps import Step, walk
from refcoreml.neuralnetwork.layers.control import TRUE_BEYOND
from refcoreml.neuralnetwork.network import Network
from refcoreml.oracle.balls import Ball, Doubles, Rounding
from refcoreml.oracle.deviation import deviation
from refcoreml.oracle.rules import CHECKS, RULES, kind_of
from refcoreml.oracle.rules.table import Constants, Layer
from refcoreml.oracle.storage import flushed
from refcoreml.types import TensorType

__all__ = ["BlobBound", "Undetermined", "trace_bounds", "trace_layers"]


_WITHOUT_BOUNDS = {
    "random": "draws random numbers, of which only the distribution is specified",
    "unknown": "is of a kind whose rounding errors are not known",
}


@dataclass(frozen=True)
class BlobBound:
    """A blob in double precision and how far another computation of it may be away.

    Attributes:
        layer, kind: the layer that produced it last, and its type.
        value: the blob in double precision.
        radius: the bound, place by place; infinite where the value is undetermined, such as a comparison of numbers
            that rounding may exchange.
        check: the class of the bound, see `CHECKS`; of a blob that several inexact layers lead to, ``composite``.
        deviation: of a sum of exact numbers the standard deviation of its error, see `refcoreml.oracle.deviation`.
    """

    layer: str
    kind: str
    value: Doubles
    radius: Doubles
    check: str = "exact"
    deviation: Doubles | None = None


def trace_bounds(
    network: Network,
    inputs: Mapping[str, Ball],
    rounding: Rounding,
    constants: Constants,
    storage: Rounding | None = None,
) -> Iterator[tuple[str, BlobBound, Step]]:
    """Yield bounds for each blob as its layer runs: (blob, bound, step).

    Args:
        network: in double precision.
        inputs: its input blobs.
        rounding: the arithmetic within layers.
        constants: how far the network's own numbers may be off.
        storage: how blobs are rounded when they are stored, if that is not the arithmetic's type.

    Raises:
        UnsupportedModelError: a layer draws random numbers, or is one of the user's own.
        Undetermined: rounding may turn a branch or loop either way.
    """
    judge = _Judge(network, rounding, constants, storage)
    radii = {name: ball.rad for name, ball in inputs.items()}
    checks: dict[str, str] = {}
    decisions = dict(_conditions(network.steps))
    for name, kind in decisions.items():
        if name in inputs and not _decided(kind, inputs[name]):
            raise Undetermined(f"input {name!r}")
    for step, arguments, results, _ in network.trace({name: ball.mid for name, ball in inputs.items()}):
        balls = [
            Ball(np.asarray(value, np.float64), radii[name]) for name, value in zip(step.inputs, arguments, strict=True)
        ]
        before = [checks.get(name, "exact") for name in step.inputs]
        found = judge.bounds(step, balls, results, before)
        for name, result, bound in zip(step.outputs, results, found, strict=True):
            # An infinity that double precision does not see leaves all that follows open.
            unseen = np.isinf(bound.value) & np.isfinite(result)
            radii[name], checks[name] = np.where(unseen, np.inf, bound.radius), bound.check
            if name in decisions and not _decided(decisions[name], Ball(np.asarray(result, np.float64), radii[name])):
                raise Undetermined(step.where)
            yield name, bound, step
        for name in step.last_uses:
            radii.pop(name, None)


def trace_layers(
    network: Network,
    inputs: Mapping[str, Ball],
    rounding: Rounding,
    constants: Constants,
    storage: Rounding | None = None,
) -> Iterator[tuple[Step, list[Doubles], list[BlobBound]]]:
    """Yield each layer by itself: (step, its inputs, bounds of its outputs).

    The inputs are those of the run in double precision, rounded to the type in which blobs are stored and exact from
    there, so that bounds do not grow from layer to layer. Arguments and errors as of `trace_bounds`.
    """
    judge = _Judge(network, rounding, constants, storage)
    stored = (storage or rounding).format
    for step, arguments, *_ in network.trace({name: ball.mid for name, ball in inputs.items()}):
        with np.errstate(all="ignore"):
            given = [np.asarray(value).astype(stored).astype(np.float64) for value in arguments]
            results: Any = step.op.run(*given)
        results = results if isinstance(results, tuple) else (results,)
        exact = [Ball(value, flushed(value, storage or rounding)) for value in given]
        yield step, given, judge.bounds(step, exact, results, ["exact"] * len(given))


class _Judge:
    """Bounds for single layers of a network."""

    def __init__(
        self, network: Network, rounding: Rounding, constants: Constants, storage: Rounding | None = None
    ) -> None:
        self._network, self._rounding, self._constants, self._storage = network, rounding, constants, storage
        steps = list(walk(network.steps))
        for step in steps:
            reason = _WITHOUT_BOUNDS.get(CHECKS.get(kind_of(step) or "", "unknown"))
            if reason:
                raise UnsupportedModelError(reason, where=step.where)
        # What a layer has prepared for its bounds is kept only where it may run again.
        self._again = any(isinstance(step.op, Loop) for step in steps)
        self._variants: dict[int, dict[str, Any]] = {}

    def bounds(self, step: Step, balls: list[Ball], results: Sequence[Any], before: Sequence[str]) -> list[BlobBound]:
        """Return bounds of the outputs, from the balls and classes of the inputs, and the results at midpoints."""
        storage, own = self._storage, kind_of(step)
        assert own is not None
        kind = CHECKS[own]
        taken = zip(*(step.op.taken([getattr(ball, part) for ball in balls]) for part in ("mid", "rad")), strict=True)
        balls = [Ball(mid, rad) for mid, rad in taken]
        variants = self._variants.setdefault(id(step), {}) if self._again else {}
        types = [TensorType.of(ball.mid) for ball in balls]
        layer = Layer(step, self._network, self._rounding, self._constants, storage, variants, types)
        values = [np.asarray(result, np.float64) for result in results]
        check = joined(step.kind if kind == "composite" else kind, before)
        certain = all(ball.certain for ball in balls)
        with np.errstate(all="ignore"):
            found = RULES[own](layer, balls, values)
            usual = deviation(layer, balls, values[0]) if kind == check == "dot" else None
        bounds = []
        for value, radius in zip(values, found, strict=True):
            ball = Ball(value, np.broadcast_to(radius, value.shape))
            over = _overflows(ball, kind, certain, self._rounding, storage)
            if kind != "exact" and storage is not None:
                ball = storage.stored(ball)
            shown = np.where(over, np.copysign(np.inf, ball.mid), ball.mid)
            rad = np.where(over, 0.0, np.where(np.isnan(ball.rad), np.inf, ball.rad))
            bounds.append(BlobBound(step.name, step.kind, shown, rad, check, usual))
        return bounds


def _overflows(
    ball: Ball, check: str, certain: bool, rounding: Rounding, storage: Rounding | None
) -> NDArray[np.bool_]:
    """Return where a result is certainly infinite.

    In storage: all of the ball rounds to infinity. In arithmetic: the layer is a single operation or function of exact
    numbers, whose relative error is far below 1/2, and twice the largest number is not reached.
    """
    over, size = np.zeros(ball.mid.shape, bool), np.abs(ball.mid)
    if check != "exact" and storage is not None:
        over = np.isfinite(ball.rad) & (size > ball.rad + storage.largest * (1 + storage.unit))
    if check in ("ulp", "func") and certain:
        over |= size > 2 * rounding.largest
    return over


def joined(check: str, before: Sequence[str]) -> str:
    """Return the class of a blob, from those of the layer that makes it and of the blobs that go into the layer."""
    inexact = {*before, check} - {"exact"}
    if check != "exact" and set(before) - {"exact"}:
        return "composite"
    return min(inexact) if len(inexact) == 1 else "composite" if inexact else "exact"


class Undetermined(Exception):  # noqa: N818 (no failure: the sample decides nothing)
    """Rounding may turn a branch or a loop the other way, so that nothing can be said about what follows."""


def _conditions(steps: Sequence[Step]) -> Iterator[tuple[str, str]]:
    """Return the names of the blobs that branches and loops decide by, with what is decided: truth, or a count."""
    for step in walk(steps):
        if isinstance(step.op, Choice):
            yield step.inputs[0], "truth"
        elif isinstance(step.op, Loop):
            if step.op.rounds is not None:
                yield step.inputs[0], "count"
            if step.op.condition is not None:
                yield step.op.condition.outputs[0], "truth"


def _decided(kind: str, ball: Ball) -> bool:
    """Return whether all values of a ball give the same decision."""
    if kind == "count":
        return bool((np.trunc(ball.mid - ball.rad) == np.trunc(ball.mid + ball.rad)).all())
    size = np.abs(ball.mid)
    return bool(((size - ball.rad > TRUE_BEYOND) | (size + ball.rad <= TRUE_BEYOND)).all())
