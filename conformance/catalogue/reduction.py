"""The reductions of rank-5 and N-D networks, cumSum, and what orders elements: argMax, argMin, argSort, topK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.plan import SUMS, Array, Plan, family, layer

_ND = ["L1", "L2", "Max", "Min", "Sum", "Prod", "Mean", "LogSum", "SumSquare", "LogSumExp"]
family("reduction", "reduce cumSum " + " ".join(f"reduce{name}" for name in _ND))
family("order", "argMax argMin argSort topK")

_X = (3, 5, 4)


def _magnitude(x: Array) -> Array:
    return np.abs(x) + np.float32(0.25)


def _near_one(x: Array) -> Array:
    return (np.sign(x) + x / 64).astype(np.float32)


def plans() -> Iterator[Plan]:
    for mode in ["SUM", "AVG", "PROD", "LOGSUM", "SUMSQUARE", "L1", "L2", "MAX", "MIN", "ARGMAX"]:
        domain = {"LOGSUM": _magnitude, "PROD": _near_one}.get(mode)
        for axis in ("CHW", "HW", "C", "H", "W"):
            if mode == "ARGMAX" and axis in ("CHW", "HW"):
                continue
            data = (
                SUMS if (mode, axis) == ("SUM", "CHW") else "integers zero-mean" if axis in ("HW", "C") else "zero-mean"
            )
            yield from layer(
                "reduce", f"{mode.lower()}-{axis.lower()}", _X, data=data, domain=domain, mode=mode, axis=axis
            )
    yield from layer("reduce", "defaults", _X, data="integers")
    yield from layer("reduce", "logsum-epsilon", _X, data="integers", domain=np.abs, mode="LOGSUM", epsilon=0.25)
    yield from layer(
        "reduce", "logsum-default-epsilon", np.zeros((2, 1, 1), np.float32), data="integers", mode="LOGSUM", axis="HW"
    )
    yield from layer("reduce", "argmax-ties", (2, 9, 7), data="ties", mode="ARGMAX", axis="H")
    yield from layer("reduce", "rank-5", (2, 6, 3, 5, 4), data="integers", mode="SUM", axis="HW")
    for name in _ND:
        domain = {"LogSum": _magnitude, "Prod": _near_one}.get(name)
        kind = f"reduce{name}"
        yield from layer(kind, "one-axis", (4, 6, 5), data=SUMS, domain=domain, axes=[1])
        yield from layer(
            kind, "keep", (4, 6, 5), data="integers zero-mean", domain=domain, axes=[-1, 0], keep_dims=True
        )
        yield from layer(kind, "all", (4, 6, 5), data="integers zero-mean", domain=domain, axes=[1], reduce_all=True)
        yield from layer(kind, "rank-5", (2, 4, 3, 6, 5), data="zero-mean", domain=domain, axes=[1, 3])
    sums = np.array([[1, -1, 0, 0], [2, -3, 0.5, 0], [1, 2, 4, 1]], np.float32)
    yield from layer("reduceLogSum", "zero-and-below", sums, data="special", axes=[1])
    endless = np.array([[-np.inf, -np.inf], [1, np.inf], [2, -np.inf]], np.float32)
    yield from layer("reduceLogSumExp", "infinite", endless, data="special", axes=[1])
    options: dict[str, dict[str, Any]] = {
        "plain": {},
        "exclusive": {"exclude_final_sum": True},
        "reverse": {"reverse": True},
        "exclusive-reverse": {"exclude_final_sum": True, "reverse": True},
    }
    for label, fields in options.items():
        yield from layer("cumSum", label, (4, 6, 5), data="integers zero-mean", axis=1, **fields)
    yield from layer("cumSum", "last", (4, 6, 5), data="wide cancellation", axis=-1)
    yield from layer("cumSum", "axis-as-input", (4, 6, 5), np.array([-2.0]), data="integers")

    for kind in ("argMax", "argMin"):
        yield from layer(kind, "keep", (4, 6, 5), data="integers zero-mean", axis=1)
        yield from layer(kind, "remove", (4, 6, 5), data="integers zero-mean", axis=-1, remove_dim=True)
        yield from layer(kind, "vector", (7,), data="integers", axis=0, remove_dim=True)
        yield from layer(kind, "ties", (4, 6, 5), data="ties", axis=1)
    for descending in (False, True):
        label = "descending" if descending else "ascending"
        yield from layer("argSort", label, (4, 6, 5), data="zero-mean wide ties", axis=1, descending=descending)
        yield from layer("argSort", f"{label}-last", (4, 6, 5), data="zero-mean", axis=2, descending=descending)
    for bottom in (False, True):
        label = "smallest" if bottom else "largest"
        yield from layer(
            "topK", label, (4, 6, 5), data="zero-mean wide ties", outputs=2, axis=1, K=3, use_bottom_k=bottom
        )
        yield from layer(
            "topK", f"{label}-last", (4, 6, 5), data="zero-mean", outputs=2, axis=-1, K=5, use_bottom_k=bottom
        )
    yield from layer("topK", "k-as-input", (4, 6, 5), np.array([2.0]), data="zero-mean", outputs=2, axis=0, K=3)
