"""What the oracle says of an output: `Answer`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from refcoreml.features import Feature, NumberFeature
from refcoreml.oracle.balls import Ball, Doubles, Rounding, ends
from refcoreml.oracle.radii import BlobBound

__all__ = ["Answer", "finished"]


@dataclass(frozen=True)
class Answer:
    """One output.

    An implementation y of the profile is right where y == value (infinities and NaN included) or
    |y - value| <= bound.

    Attributes:
        value: in double precision, from inputs and weights in the profile's storage type. Arrays have the shape of the
            output; images are [C, H, W] with channels as declared; numbers have no dimensions; dictionaries are the
            scores in the order of ``labels``; a predicted label is its place among them.
        bound: of the same shape; 0: exact; infinite: undetermined.
        check: the class of the bound: ``exact``, ``ulp``, ``dot``, ``func``, ``interval``, ``either``, the name of a
            layer that is a composite, or ``composite`` where several inexact layers follow one another.
        labels: the classes, of dictionaries of scores and predicted labels.
        deviation: of sums of exact numbers the standard deviation of the rounding error, for the statistical criterion
            by `refcoreml.oracle.deviation.spread` where the bound is too wide; else None.
    """

    value: Doubles
    bound: Doubles
    check: str
    labels: tuple[str | int, ...] = ()
    deviation: Doubles | None = None


def finished(feature: Feature, ball: Ball, bound: BlobBound, *, converted: bool = False) -> Answer:
    """Return what the conversion to the output's type makes of the interval.

    Args:
        feature: the output.
        ball: its numbers.
        bound: the blob that they are taken from.
        converted: whether they have the output's type already.
    """
    answer = _converted(feature, ball, bound.check, converted=converted)
    if bound.deviation is None or answer.check != bound.check:
        return answer
    return replace(answer, deviation=np.reshape(bound.deviation, answer.value.shape))


def _converted(feature: Feature, ball: Ball, check: str, *, converted: bool) -> Answer:
    shape = () if isinstance(feature, NumberFeature) else ball.mid.shape or (1,)
    ball = ball.map(lambda v: v.reshape(shape))
    cut = feature.cut
    if cut is not None and not converted:
        return Answer(cut(ball.mid), ends(cut, ball), "interval" if check != "exact" or ball.rad.any() else check)
    if feature.half and not converted:
        ball = Rounding.of(np.float16).stored(ball)
    return Answer(ball.mid, ball.rad, check)
