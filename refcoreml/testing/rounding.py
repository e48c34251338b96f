"""Bounds for a converted network against its source, by the rules of `refcoreml.oracle`.

What differs from the oracle: the network runs with the numbers that it stores, and these may be rounded copies of those
of the source; see `Constants`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np

from refcoreml.errors import UsageError
from refcoreml.execution.steps import Step
from refcoreml.model import Model
from refcoreml.oracle import bounds
from refcoreml.oracle.balls import Ball, Doubles, Rounding
from refcoreml.oracle.bounds import BlobBound, Undetermined
from refcoreml.oracle.inputs import known_inputs
from refcoreml.oracle.rules import RULES
from refcoreml.oracle.subjects import NetworkSubject

__all__ = [
    "RULES",
    "UNIT32",
    "UNIT64",
    "BlobBound",
    "Constants",
    "Doubles",
    "Undetermined",
    "blob_bounds",
    "content_of",
    "trace_bounds",
]

#: Unit roundoff of single precision, rounding to nearest.
UNIT32 = 2.0**-24
#: Stands for that of double precision, 2^-53, times 8: two computations are compared, and a bound's own arithmetic, in
#: double precision too, moves both ends of an interval.
UNIT64 = 2.0**-50
#: So many numbers of a tensor are looked up before all are.
_SAMPLE = 64


@dataclass(frozen=True)
class Constants:
    """How far the numbers stored in a network may be from those of its source.

    Attributes:
        known: values that the source holds, sorted: a tensor made of these alone is exact. None: all tensors are, and
            scalars are plain numbers.
        roundings: how many roundings to single precision a tensor with other values has seen. A batch norm folded into
            weights takes: variance + epsilon, root, quotient, product, and the storing; 8 are allowed.
        terms: the largest magnitude among the terms of a folded bias, whose roundings remain when the terms cancel.
        scalars: whether plain numbers in the model (epsilon, alpha, ...) were rounded when they were stored.
        stands: the numbers that tensors stand for, which are therefore known, by what they contain, see `content_of`.
    """

    known: Doubles | None = None
    roundings: int = 8
    terms: float = 0.0
    scalars: bool = True
    stands: Mapping[bytes, Doubles] = field(default_factory=dict)
    _exact: dict[bytes, bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    def standing_for(self, values: Doubles) -> Doubles | None:
        """Return what a tensor stands for in double precision; None if that is not known."""
        found = self.stands.get(content_of(values)) if self.stands else None
        return None if found is None else found.reshape(values.shape)

    def is_exact(self, values: Doubles) -> bool:
        """Return whether a tensor is as the source has it."""
        if self.known is None:
            return True
        content = content_of(values)  # several runs ask the same of all tensors
        if content not in self._exact:
            self._exact[content] = _are_among(values, self.known)
        return self._exact[content]

    def radius(self, values: Doubles, message: Any = None, channel_axis: int = 0) -> Doubles:
        """Return the radii of a tensor of weights."""
        if self.known is None and values.ndim == 0:
            return self.scalar(values).rad
        if self.is_exact(values):
            return np.zeros_like(values)
        size: Doubles = np.abs(values) + (self.terms if values.ndim == 1 else 0.0)
        return self.roundings * UNIT32 * size

    def scalar(self, value: Any) -> Ball:
        """Return plain numbers of the model: off by one rounding, unless they are small multiples of 2^-10."""
        ball = Ball.exact(value)
        rounded = self.scalars & (ball.mid * 1024 != np.rint(ball.mid * 1024))
        return Ball(ball.mid, np.where(rounded, np.abs(ball.mid) * UNIT32, 0.0))


#: A network as it stands: its own numbers are the truth.
AS_STORED = Constants(scalars=False)


def content_of(values: Any) -> bytes:
    """Return what distinguishes the numbers of a tensor from others, whatever its shape."""
    return blake2b(np.ascontiguousarray(values, np.float64).tobytes(), digest_size=16).digest()


def _are_among(values: Doubles, known: Doubles) -> bool:
    """Return whether all values are multiples of 2^-10 (zeros, ones, sizes, indices) or among the known ones."""
    flat_values = values.reshape(-1)
    plain = flat_values * 1024 == np.rint(flat_values * 1024)
    if not len(known):
        return bool(plain.all())
    few = slice(None, None, max(1, flat_values.size // _SAMPLE))  # among many parameters a search takes long
    return all(bool((plain[part] | _is_known(flat_values[part], known)).all()) for part in (few, slice(None)))


def _is_known(values: Doubles, known: Doubles) -> Any:
    places = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return known[places] == values


def blob_bounds(
    model: Model, inputs: Mapping[str, Any], *, unit: float = UNIT32, constants: Constants = AS_STORED
) -> dict[str, BlobBound]:
    """Return bounds for all blobs of a network; for a blob written several times, those of the last time.

    Args:
        model: a network loaded with ``precision="float64"``.
        inputs: its inputs, taken as exact.
        unit: the unit roundoff of the computation that is bounded.
        constants: how far the network's own numbers may be off.

    Raises:
        UnsupportedModelError: a layer has no rule.
    """
    return {name: bound for name, bound, _ in trace_bounds(model, inputs, unit=unit, constants=constants)}


def trace_bounds(
    model: Model, inputs: Mapping[str, Any], *, unit: float = UNIT32, constants: Constants = AS_STORED
) -> Iterator[tuple[str, BlobBound, Step]]:
    """Yield (blob, bound, step) as layers run; see `blob_bounds`."""
    if model.precision != "float64":
        raise UsageError(f"bounds need the network in float64, this is {model.precision}")
    layered = model.prepare().layered
    if layered is None:
        remedy = "assert_equivalent also takes ML Programs" if model.kind == "mlProgram" else ""
        raise UsageError(f"bounds are known for networks, not for models of type {model.kind}", remedy=remedy)
    interface, network = layered
    rounding = Rounding.of(np.float32) if unit >= UNIT32 else Rounding(unit, 2.0**-1000)
    inputs = known_inputs(interface, model.check_inputs(inputs), rounding, constants)
    for name, bound, step in bounds.trace_bounds(NetworkSubject(network, rounding, constants), inputs):
        # What is infinite in single precision may be a number in the double precision that it is compared with.
        unseen = np.isinf(bound.value) & (unit >= UNIT32)
        yield name, replace(bound, radius=np.where(unseen, np.inf, bound.radius)), step
