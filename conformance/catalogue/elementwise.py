"""Layers that compute each element from elements at the same place: activations, functions, arithmetic, logic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.plan import FUNCTION, Array, Plan, W, family, layer

family("activation", "activation clampedReLU gelu")
family("elementwise", "unary add multiply average max min scale bias")
family(
    "functions",
    "clip ceil floor sign round exp2 sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf",
)
family(
    "broadcastable arithmetic",
    "modBroadcastable minBroadcastable maxBroadcastable addBroadcastable powBroadcastable divideBroadcastable "
    "floorDivBroadcastable multiplyBroadcastable subtractBroadcastable",
)
family(
    "logic",
    "equal notEqual lessThan lessEqual greaterThan greaterEqual logicalOr logicalXor logicalNot logicalAnd",
)

_LEGACY, _ND, _SMALL = (3, 5, 4), (4, 3, 5), (2, 7)


def _magnitude(x: Array) -> Array:
    return np.abs(x) + np.float32(0.25)


def _unit(x: Array) -> Array:
    return np.clip(x / 64, -1, 1).astype(np.float32)


def _above_one(x: Array) -> Array:
    return 1 + np.abs(x)


def _not_zero(x: Array) -> Array:
    return np.where(np.abs(x) < 0.25, np.float32(1.5), x)


def _small(x: Array) -> Array:
    """To where exponentials of half precision are finite."""
    return np.clip(x, -10, 10).astype(np.float32)


def plans() -> Iterator[Plan]:
    yield from _activations()
    yield from _unary()
    yield from _functions()
    yield from _arithmetic()
    yield from _logic()


def _activations() -> Iterator[Plan]:
    functions: dict[str, Any] = {
        "linear": {"alpha": 3, "beta": -2},
        "ReLU": {},
        "leakyReLU": {"alpha": 0.25},
        "thresholdedReLU": {"alpha": 2},
        "tanh": {},
        "scaledTanh": {"alpha": 1.75, "beta": 0.625},
        "sigmoid": {},
        "sigmoidHard": {"alpha": 0.25, "beta": 0.375},
        "ELU": {"alpha": 1.5},
        "softsign": {},
        "softplus": {},
    }
    compares = ("ReLU", "leakyReLU", "thresholdedReLU", "sigmoidHard", "ELU")  # what NaN gives there is open
    for name, fields in functions.items():
        data = "integers zero-mean wide special" + ("" if name in compares else " nan")
        yield from layer("activation", name, _LEGACY, data=data, **{name: fields})
    for name, fields in {
        "leakyReLU": {"alpha": -0.5},
        "ELU": {"alpha": -2},
        "linear": {"alpha": 0.3, "beta": 0.7},
    }.items():
        yield from layer("activation", f"{name}-other", _LEGACY, data="zero-mean wide", **{name: fields})
    for name in ("linear", "leakyReLU"):
        yield from layer("activation", f"{name}-unset", _LEGACY, data="integers", **{name: {}})
    yield from layer("activation", "leakyReLU-steep", _LEGACY, data="integers zero-mean", leakyReLU={"alpha": 1.5})
    for name in ("PReLU", "parametricSoftplus"):
        count = {"one": 1, "per-channel": 3}
        for label, n in count.items():
            weights = {"alpha": W((n,))} | ({"beta": W((n,))} if name == "parametricSoftplus" else {})
            yield from layer("activation", f"{name}-{label}", _LEGACY, data="integers zero-mean", **{name: weights})
        weights = {"alpha": W((5,))} | ({"beta": W((5,))} if name == "parametricSoftplus" else {})
        yield from layer("activation", f"{name}-rank-4", (2, 5, 4, 3), data="zero-mean", exact=True, **{name: weights})
        yield from layer("activation", f"{name}-rank-5", (2, 3, 5, 4, 6), data="zero-mean", **{name: weights})
    yield from layer("clampedReLU", "slopes", _ND, data=FUNCTION, alpha=0.25, beta=1.5)
    yield from layer("clampedReLU", "unset", _ND, data="integers zero-mean", alpha=0.5)
    yield from layer("clampedReLU", "negative-slope", _ND, data="integers zero-mean", alpha=-0.75, beta=2)
    for mode in ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"):
        yield from layer("gelu", mode.lower().replace("_", "-"), _ND, data="integers zero-mean wide", mode=mode)


#: What LOG adds if epsilon is unset is open.
_LOG: dict[str, Any] = {"type": "LOG", "epsilon": 1e-6}


def _unary() -> Iterator[Plan]:
    affine: dict[str, Any] = {"scale": 2, "shift": 0.5}
    for kind, domain in {
        "SQRT": _magnitude,
        "RSQRT": _magnitude,
        "INVERSE": _not_zero,
        "EXP": _small,
        "LOG": _magnitude,
        "ABS": None,
    }.items():
        name = kind.lower()
        fields = _LOG if kind == "LOG" else {"type": kind}
        yield from layer("unary", name, _LEGACY, data="integers zero-mean wide", domain=domain, **fields)
        yield from layer(
            "unary", f"{name}-affine", _LEGACY, data="integers zero-mean", domain=domain or np.abs, **fields, **affine
        )
    for kind in ("RSQRT", "INVERSE", "LOG"):
        yield from layer(
            "unary",
            f"{kind.lower()}-epsilon",
            _LEGACY,
            data="integers zero-mean",
            domain=np.abs,
            type=kind,
            epsilon=0.125,
        )
    yield from layer(
        "unary",
        "inverse-default-epsilon",
        np.array([0, 1e-6, -3e-6, 2e-6, 1e-5], np.float32),
        data="integers",
        type="INVERSE",
    )
    yield from layer(
        "unary",
        "rsqrt-default-epsilon",
        np.array([0, 1e-6, 3e-6, 2e-6, 1e-5], np.float32),
        data="integers",
        type="RSQRT",
    )
    for alpha in (2, 3, 0.5, -1.5):
        whole = alpha in (2, 3)
        yield from layer(
            "unary",
            f"power-{alpha}",
            _LEGACY,
            data="integers zero-mean",
            domain=None if whole else _magnitude,
            type="POWER",
            alpha=alpha,
        )
    yield from layer("unary", "threshold", _LEGACY, data="integers zero-mean special", type="THRESHOLD", alpha=0.75)
    yield from layer("unary", "threshold-affine", _LEGACY, data="zero-mean", type="THRESHOLD", alpha=-0.5, **affine)
    outside = np.array([-4, -1, -0.0, 0, 2, np.inf, np.nan], np.float32)
    yield from layer("unary", "sqrt-outside", outside, data="special", type="SQRT")
    yield from layer("unary", "log-outside", outside, data="special", **_LOG)
    yield from layer("unary", "power-outside", outside, data="special", type="POWER", alpha=0.5)


def _functions() -> Iterator[Plan]:
    yield from layer("clip", "both", _ND, data="integers zero-mean wide special", min_val=-1.5, max_val=2.5)
    yield from layer("clip", "unset", _ND, data="zero-mean", max_val=1.25)
    for kind in ("ceil", "floor", "round", "sign"):
        halves = "" if kind == "round" else " halves"  # to which side round takes them is open
        yield from layer(kind, "plain", _ND, data=f"integers zero-mean wide special{halves}")
    for kind, domain in {
        "exp2": _small,
        "sin": None,
        "cos": None,
        "tan": _small,
        "asin": _unit,
        "acos": _unit,
        "atan": None,
        "sinh": _small,
        "cosh": _small,
        "tanh": None,
        "asinh": None,
        "acosh": _above_one,
        "atanh": _unit,
        "erf": None,
    }.items():
        data = "integers zero-mean wide" + (" special" if kind in ("atan", "tanh", "asinh", "erf") else " cancellation")
        yield from layer(kind, "plain", _ND, data=data, domain=domain)
    ends = np.array([-2, -1, 0, -0.0, 1, 1.5, np.inf, -np.inf, np.nan], np.float32)
    for kind in ("asin", "acos", "acosh", "atanh", "exp2", "sinh", "cosh"):
        yield from layer(kind, "outside", ends, data="special")
    large = np.array([130, 300, -300, -130, 2], np.float32)
    for kind in ("exp2", "sinh", "cosh"):
        yield from layer(kind, "overflow", large, data="special")


def _arithmetic() -> Iterator[Plan]:
    for kind in ("add", "multiply"):
        yield from layer(kind, "two", _LEGACY, _LEGACY, data=FUNCTION)
        yield from layer(kind, "three", _LEGACY, _LEGACY, _LEGACY, data="integers zero-mean cancellation")
        yield from layer(kind, "alpha", _LEGACY, data="integers zero-mean", alpha=2.5)
        yield from layer(kind, "alpha-unset", _LEGACY, data="integers")
        yield from layer(kind, "channels", _LEGACY, (3, 1, 1), data="integers zero-mean", alpha=2.5)
        yield from layer(kind, "scalar", _LEGACY, (1,), data="integers", exact=False)
    for kind in ("average", "max", "min"):
        data = "integers zero-mean wide cancellation" if kind == "average" else "integers zero-mean special"
        yield from layer(kind, "two", _LEGACY, _LEGACY, data=data)
        yield from layer(kind, "three", _LEGACY, _LEGACY, _LEGACY, data="integers zero-mean")
    for label, shape in {"one": (1,), "channels": (3,), "pixels": (1, 5, 4), "all": (3, 5, 4)}.items():
        yield from layer("bias", label, _LEGACY, data="integers zero-mean", shape=list(shape), bias=W(shape))
        yield from layer("scale", label, _LEGACY, data="integers zero-mean", shape_scale=list(shape), scale=W(shape))
    yield from layer(
        "scale",
        "bias",
        _LEGACY,
        data="integers zero-mean wide cancellation",
        shape_scale=[3],
        scale=W((3,)),
        has_bias=True,
        shape_bias=[1, 5, 4],
        bias=W((1, 5, 4)),
    )
    yield from layer(
        "scale", "bias-unused", _LEGACY, data="integers", shape_scale=[3], scale=W((3,)), shape_bias=[3], bias=W((3,))
    )
    every = ["addBroadcastable", "subtractBroadcastable", "multiplyBroadcastable", "divideBroadcastable"]
    for kind in every:
        domain = _not_zero if kind == "divideBroadcastable" else None
        yield from layer(kind, "equal", _ND, _ND, data="integers zero-mean wide cancellation", domain=domain)
        yield from layer(kind, "broadcast", (4, 1, 5), (3, 1), data="integers zero-mean", domain=domain)
        yield from layer(kind, "special", _ND, (5,), data="nan")
    zeros = np.array([0, 0, 0, 4, 0], np.float32)
    yield from layer("divideBroadcastable", "by-zero", np.array([3, -2, 0, 8, 1], np.float32), zeros, data="special")
    for kind in ("maxBroadcastable", "minBroadcastable"):
        yield from layer(kind, "equal", _ND, _ND, data="integers zero-mean wide special")
        yield from layer(kind, "broadcast", (4, 1, 5), (3, 1), data="integers zero-mean")
    for kind in ("floorDivBroadcastable", "modBroadcastable"):
        yield from layer(kind, "equal", _ND, _ND, data="integers halves zero-mean", domain=_not_zero)
        yield from layer(kind, "broadcast", (4, 1, 5), (3, 1), data="integers", domain=_not_zero)
    yield from layer("powBroadcastable", "positive", _ND, _ND, data="integers zero-mean", domain=_magnitude)
    yield from layer("powBroadcastable", "broadcast", (4, 1, 5), (3, 1), data="integers zero-mean", domain=_magnitude)
    yield from layer(
        "powBroadcastable",
        "signs",
        np.array([-2, -2, -2, 3, 0, 0, -0.5, 4], np.float32),
        np.array([3, 2, 0.5, -1, 0, 2, -1, 0.5], np.float32),
        data="integers",
    )


def _logic() -> Iterator[Plan]:
    for kind in ("equal", "notEqual", "lessThan", "lessEqual", "greaterThan", "greaterEqual"):
        yield from layer(kind, "equal", _ND, _ND, data="ties zero-mean special")
        yield from layer(kind, "broadcast", (4, 1, 5), (3, 1), data="ties integers")
        yield from layer(kind, "alpha", _ND, data="ties", alpha=1)
        yield from layer(kind, "alpha-unset", _ND, data="ties")
    for kind in ("logicalOr", "logicalXor", "logicalAnd"):
        yield from layer(kind, "equal", _ND, _ND, data="bits integers")
        yield from layer(kind, "broadcast", (4, 1, 5), (3, 1), data="bits integers")
    yield from layer("logicalNot", "plain", _ND, data="bits integers ties")
    yield from layer("logicalNot", "vector", _SMALL[1:], data="bits")
