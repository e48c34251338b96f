"""Random numbers, of which a case demands what any generator must keep; see `conformance.catalogue.random`.

Parameters that leave nothing to chance; a range; the mean and the mean square of many numbers within six standard
errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import C, Making, ProgramPlan, X, op, program, refused

_SHAPE = (4, 50, 7)


def plans() -> Iterator[ProgramPlan]:
    # A normal number is beyond eight standard deviations once in 10^15.
    yield from _drawn("random_uniform", "no-width", 1.5, 0, low=1.5, high=1.5)
    yield from _drawn("random_uniform", "default", 0.5, 0.5, (0.5, 1 / 12**0.5, 1.8))
    yield from _drawn("random_uniform", "moments", 1, 2, (1, 4 / 12**0.5, 1.8), low=-1.0, high=3.0)
    yield from _drawn("random_uniform", "negative", -5, 4, (-5, 8 / 12**0.5, 1.8), low=-9.0, high=-1.0)
    yield from _drawn("random_normal", "no-deviation", 2.5, 0, mean=2.5, stddev=0.0)
    yield from _drawn("random_normal", "default", 0, 8, (0, 1, 3))
    yield from _drawn("random_normal", "moments", 3, 4, (3, 0.5, 3), mean=3.0, stddev=0.5)
    yield from _drawn("random_normal", "wide", 0, 128, (0, 16, 3), mean=0.0, stddev=16.0)
    yield from _drawn("random_bernoulli", "never", 0, 0, prob=0.0)
    yield from _drawn("random_bernoulli", "always", 1, 0, prob=1.0)
    yield from _drawn("random_bernoulli", "default", 0.5, 0.5, (0.5, 0.5, 0))
    yield from _drawn("random_bernoulli", "seldom", 0.5, 0.5, (0.2, 0.4, 0), prob=0.2)
    yield from _categorical()
    wrong: dict[str, Any] = {"shape": X(value=np.array([2, 3]), type="int32"), "results": [("fp32", (None, None))]}
    yield from refused("random_uniform", "order", "low is at most high", low=C(value=1.0), high=C(value=0.0), **wrong)
    yield from refused("random_normal", "deviation", "stddev is not negative", stddev=C(value=-1.0), **wrong)
    yield from refused("random_bernoulli", "probability", "prob lies in 0 to 1", prob=C(value=1.5), **wrong)


def _expected(
    name: str, shape: tuple[int, ...], middle: float, width: float, moments: tuple[float, float, float] | None
) -> Callable[[], dict[str, Any]]:
    """References and bounds, and from a mean, deviation and kurtosis what the mean and the mean square must be."""
    found: list[tuple[int, float, float]] = []
    if moments is not None:
        (mean, deviation, kurtosis), count = moments, float(np.prod(shape))
        found.append((1, mean, 6 * deviation / count**0.5))
        if kurtosis:
            spread = ((kurtosis - 1) * deviation**4 + 4 * mean**2 * deviation**2) ** 0.5
            found.append((2, mean**2 + deviation**2, 6 * spread / count**0.5))
    return lambda: {name: (np.full(shape, float(middle)), np.full(shape, float(width)), found)}


def _drawn(
    kind: str, label: str, middle: float, width: float, moments: Any = None, **numbers: float
) -> Iterator[ProgramPlan]:
    given = {name: C(value=value) for name, value in numbers.items()}
    shape = X(value=np.array(_SHAPE), type="int32")
    expected = _expected("result", _SHAPE, middle, width, moments)
    yield from op(
        kind, label, kinds="zero-mean", shape=shape, results=[("fp32", (None,) * 3)], seed=7, expected=expected, **given
    )

    def constant(p: Making) -> Any:
        made = p.add(kind, shape=list(_SHAPE), seed=7, **given)
        return p.program.add("mul", x=made, y=p["one"], name="result")

    one = {"one": X(value=np.ones(1))}
    yield from program(kind, f"{label}-constant-shape", constant, one, kinds="zero-mean", expected=expected)


def _categorical() -> Iterator[ProgramPlan]:
    kind, count = "random_categorical", 3000
    certain = np.full((2, 4), -np.inf)
    certain[[0, 1], [2, 1]] = 0
    two: dict[str, Any] = {"x": X(value=certain), "size": 5, "seed": 7}
    places = np.repeat([[2.0], [1.0]], 5, axis=1)
    yield from op(
        kind, "certain", kinds="zero-mean", expected=lambda: {"result": (places, np.zeros((2, 5)), [])}, **two
    )
    yield from op(
        kind,
        "certain-probabilities",
        kinds="zero-mean",
        mode="probs",
        expected=lambda: {"result": (places, np.zeros((2, 5)), [])},
        **{**two, "x": X(value=np.exp(certain))},
    )
    odds = np.array([[0.5, 0.25, 0.25]])
    deviation = (odds @ [0, 1, 4] - (odds @ [0, 1, 2]) ** 2).item() ** 0.5
    for label, mode, x in (("logits", "logits", np.log(odds)), ("probabilities", "probs", odds * 3)):
        expected = _expected("result", (1, count), 1, 1, (0.75, deviation, 0))
        yield from op(kind, label, kinds="zero-mean", x=X(value=x), mode=mode, size=count, seed=7, expected=expected)
    yield from refused(kind, "size", "size is 1 or more", x=X(2, 4), size=0)
    yield from refused(kind, "mode", "the mode is one that there is", x=X(2, 4), mode="odds")
