"""Activations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import FUNCTION, C, ProgramPlan, X, op, refused

#: Parameters of functions that have some; alpha and beta are of the type of x, see `_numbers`.
_SETTINGS: dict[str, dict[str, dict[str, float]]] = {
    "leaky_relu": {"plain": {"alpha": 0.125}, "steep": {"alpha": 1.5}, "negative": {"alpha": -0.3}},
    "clamped_relu": {"plain": {"alpha": 0.125, "beta": 1.5}, "below": {"alpha": 0.5, "beta": -0.25}},
    "thresholded_relu": {"plain": {"alpha": 0.5}, "negative": {"alpha": -1.0}},
    "elu": {"plain": {"alpha": 1.0}, "other": {"alpha": 0.3}},
    "sigmoid_hard": {"plain": {"alpha": 0.25, "beta": 0.5}, "other": {"alpha": -0.3, "beta": 0.1}},
    "scaled_tanh": {"plain": {"alpha": 1.5, "beta": 0.5}, "other": {"alpha": -0.3, "beta": 0.7}},
    "linear_activation": {"plain": {"alpha": 0.5, "beta": 2.0}, "other": {"alpha": -0.3, "beta": 0.1}},
}


def plans() -> Iterator[ProgramPlan]:
    x, some = X(3, 4, 5), "zero-mean fp16:zero-mean"
    for kind in ("relu", "relu6"):
        yield from op(kind, "plain", kinds=f"integers {FUNCTION}", x=x)
    for kind in ("sigmoid", "tanh", "silu", "softsign", "softplus"):
        yield from op(kind, "plain", kinds=FUNCTION, x=x)
    for kind, settings in _SETTINGS.items():
        for label, numbers in settings.items():
            kinds = FUNCTION if label == "plain" else some
            yield from op(kind, label, kinds=kinds, x=x, **{name: C(value=value) for name, value in numbers.items()})
        given = {name: C(value=value, type="fp16") for name, value in settings["plain"].items()}
        yield from op(kind, "half-parameters", kinds="zero-mean", x=x, opset="CoreML7", **given)
        missing: dict[str, Any] = dict(list(given.items())[1:])
        yield from refused(kind, "no-alpha", "alpha is required", x=x, **missing)
        yield from refused(kind, "types", "before CoreML7 all are of one type", x=x, **given)
        wide = {name: replace(each, type="fp32") for name, each in given.items()}
        yield from op(kind, "single-parameters", kinds="fp16:zero-mean", x=x, opset="CoreML7", **wide)
    at = {"x": x, "alpha": C(value=2.0)}
    yield from op("thresholded_relu", "at-threshold", kinds="integers fp16:integers", **at)
    yield from op("gelu", "default", kinds=FUNCTION, x=x)
    for mode in ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"):
        yield from op("gelu", mode.lower().replace("_", "-"), kinds=FUNCTION, x=x, mode=mode)
    yield from op("gelu", "case", kinds="zero-mean", x=X(7), mode="Sigmoid_Approximation")
    yield from refused("gelu", "mode", "the mode is one that there is", x=x, mode="FAST")
    for kind, names in (("prelu", ("alpha",)), ("softplus_parametric", ("alpha", "beta"))):
        each = {name: C(3) for name in names}
        yield from op(kind, "rank-4", kinds=FUNCTION, x=X(2, 3, 4, 5), **each)
        # Apple's runtime refuses other ranks unless all channels have one number.
        equal = {name: C(3, change=lambda x: np.full_like(x, x[0])) for name in names}
        yield from op(kind, "rank-3", kinds=some, x=X(2, 3, 5), **equal)
        yield from op(kind, "rank-5", kinds=some, x=X(1, 3, 2, 4, 5), **equal)
        halves = {name: C(3, type="fp16") for name in names}
        yield from op(kind, "half-parameters", kinds="zero-mean", x=X(2, 3, 4, 5), opset="CoreML7", **halves)
        yield from refused(kind, "channels", "there is a number for each channel", x=X(2, 4, 3, 5), **each)
        yield from refused(kind, "rank", "x is of rank 3 to 5", x=X(2, 3), **each)
        yield from refused(kind, "types", "before CoreML7 all are of one type", x=X(2, 3, 4, 5), **halves)
    for kind in ("relu", "relu6", "sigmoid", "tanh", "silu", "softsign", "softplus", "gelu"):
        yield from refused(kind, "int", "x holds floats", kinds="int32:integers", x=X(3, 4))
