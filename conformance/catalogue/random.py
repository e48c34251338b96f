"""Layers that draw random numbers. Core ML's generator is not published, so that a case demands what any must keep:

parameters that leave nothing to chance; a range; the mean and the mean square of many numbers within six standard
errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.plan import Plan, family, layer

family(
    "random",
    " ".join(
        f"random{name}{form}" for name in ("Normal", "Uniform", "Bernoulli") for form in ("Like", "Static", "Dynamic")
    )
    + " categoricalDistribution",
)

_SHAPE = (4, 50, 7)


def _expect(
    reference: float,
    bound: float,
    mean: float = 0.0,
    deviation: float | None = None,
    shape: Any = _SHAPE,
    kurtosis: float = 0.0,
):
    """References and bounds; with a deviation also the mean, and with a kurtosis the mean square, within six errors."""

    def make() -> dict[str, Any]:
        count = float(np.prod(shape))
        moments = [] if deviation is None else [(1, mean, 6 * deviation / count**0.5)]
        if deviation is not None and kurtosis:
            spread = ((kurtosis - 1) * deviation**4 + 4 * mean**2 * deviation**2) ** 0.5
            moments.append((2, mean**2 + deviation**2, 6 * spread / count**0.5))
        return {"y0": (np.full(shape, reference), np.full(shape, bound), moments)}

    return make


def plans() -> Iterator[Plan]:
    for plan in _distributions():
        # With a seed the same numbers come in every prediction.
        plan.repeat = 2 if plan.id.split("/")[1] == "seed" else 1
        yield plan


def _distributions() -> Iterator[Plan]:
    # A normal number is beyond eight standard deviations once in 10^15.
    cases: dict[str, dict[str, tuple[dict[str, float], Any]]] = {
        "Normal": {
            "no-deviation": ({"mean": 2.5}, _expect(2.5, 0)),
            "moments": ({"mean": 3, "std_dev": 0.5}, _expect(3, 4, 3, 0.5, kurtosis=3)),
            "negative-mean": ({"mean": -8, "std_dev": 1}, _expect(-8, 8, -8, 1, kurtosis=3)),
            "wide": ({"mean": 0, "std_dev": 16}, _expect(0, 128, 0, 16, kurtosis=3)),
            "seed": ({"mean": 1, "std_dev": 2}, _expect(1, 16, 1, 2, kurtosis=3)),
        },
        "Uniform": {
            "no-width": ({"min_val": 1.5, "max_val": 1.5}, _expect(1.5, 0)),
            "moments": ({"min_val": -1, "max_val": 3}, _expect(1, 2, 1, 4 / 12**0.5, kurtosis=1.8)),
            "narrow": ({"min_val": 5, "max_val": 5.25}, _expect(5.125, 0.125, 5.125, 0.25 / 12**0.5, kurtosis=1.8)),
            "negative": ({"min_val": -9, "max_val": -1}, _expect(-5, 4, -5, 8 / 12**0.5, kurtosis=1.8)),
            "seed": ({"min_val": -2, "max_val": 2}, _expect(0, 2, 0, 4 / 12**0.5, kurtosis=1.8)),
        },
        "Bernoulli": {
            "never": ({"prob": 0}, _expect(0, 0)),
            "always": ({"prob": 1}, _expect(1, 0)),
            "seldom": ({"prob": 0.2}, _expect(0.5, 0.5, 0.2, 0.4)),
            "often": ({"prob": 0.9}, _expect(0.5, 0.5, 0.9, 0.3)),
            "seed": ({"prob": 0.5}, _expect(0.5, 0.5, 0.5, 0.5)),
        },
    }
    for name, configurations in cases.items():
        for label, (fields, expected) in configurations.items():
            yield from layer(f"random{name}Like", label, _SHAPE, data="zero-mean", seed=7, expected=expected, **fields)
            yield from layer(
                f"random{name}Static",
                label,
                data="zero-mean",
                seed=7,
                output_shape=list(_SHAPE),
                expected=expected,
                **fields,
            )
            yield from layer(
                f"random{name}Dynamic", label, np.array(_SHAPE), data="zero-mean", seed=7, expected=expected, **fields
            )
    certain = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]], np.float32)
    wanted = np.broadcast_to(np.array([1.0, 0, 2, 1])[:, None], (4, 6))

    def sure() -> dict[str, Any]:
        return {"y0": (wanted, np.zeros((4, 6)), [])}

    yield from layer(
        "categoricalDistribution", "certain", certain, data="zero-mean", seed=7, num_samples=6, expected=sure
    )
    yield from layer(
        "categoricalDistribution",
        "certain-logits",
        certain * 200 - 100,
        data="zero-mean",
        seed=7,
        num_samples=6,
        is_logits=True,
        expected=sure,
    )
    even = np.full((5, 4), 0.25, np.float32)
    for label in ("even", "seed"):
        yield from layer(
            "categoricalDistribution",
            label,
            even,
            data="zero-mean",
            seed=7,
            num_samples=200,
            expected=_expect(1.5, 1.5, 1.5, 1.25**0.5, (5, 200)),
        )
    skewed = np.tile(np.array([0.7, 0.1, 0.2], np.float32), (5, 1))
    yield from layer(
        "categoricalDistribution",
        "skewed",
        skewed,
        data="zero-mean",
        seed=7,
        num_samples=200,
        expected=_expect(1, 1, 0.5, 0.65**0.5, (5, 200)),
    )
    yield from layer(
        "categoricalDistribution",
        "levelled",
        np.tile(np.array([0, 1], np.float32), (5, 1)),
        data="zero-mean",
        seed=7,
        num_samples=200,
        eps=1,
        expected=_expect(0.5, 0.5, 2 / 3, (2 / 9) ** 0.5, (5, 200)),
    )
    logits = np.tile(np.array([0, 2 * np.log(3)], np.float32), (5, 1))
    yield from layer(
        "categoricalDistribution",
        "temperature",
        logits,
        data="zero-mean",
        seed=7,
        num_samples=200,
        is_logits=True,
        temperature=2,
        expected=_expect(0.5, 0.5, 0.75, 0.1875**0.5, (5, 200)),
    )
