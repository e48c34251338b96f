"""softmax and the normalizations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import C, ProgramPlan, X, op, refused

_ALL = "integers zero-mean wide fp16:integers fp16:zero-mean"
_SHORT = "zero-mean fp16:zero-mean"


def _positive(x: Any) -> Any:
    return np.abs(x) + 0.25


def plans() -> Iterator[ProgramPlan]:
    x = X(2, 3, 5, 4)
    yield from op("softmax", "last", kinds=f"{_ALL} ties", x=X(3, 7))
    yield from op("softmax", "axis", kinds=_SHORT, x=X(2, 5, 3), axis=1)
    yield from op("softmax", "default-axis", kinds=_SHORT, x=X(2, 5, 3))
    yield from op("softmax", "negative-axis", kinds=_SHORT, x=X(2, 5, 3), axis=-3)
    yield from op("softmax", "large", kinds="zero-mean fp16:zero-mean", x=X(3, 7, change=lambda x: x * 200))
    yield from op("softmax", "vector", kinds=_SHORT, x=X(7))
    yield from refused("softmax", "axis", "the axis exists", x=X(3, 7), axis=2)
    yield from refused("softmax", "int", "x holds floats", kinds="int32:integers", x=X(3, 7))
    yield from _batch_norm()
    gamma, beta = C(3), C(3)
    yield from op("instance_norm", "plain", kinds=_ALL, x=x)
    yield from op("instance_norm", "gamma-beta", kinds=_SHORT, x=x, gamma=gamma, beta=beta)
    yield from op("instance_norm", "gamma", kinds=_SHORT, x=x, gamma=gamma)
    yield from op("instance_norm", "beta", kinds=_SHORT, x=x, beta=beta)
    yield from op("instance_norm", "epsilon", kinds="zero-mean", x=x, epsilon=0.5)
    yield from op("instance_norm", "rank-3", kinds=_SHORT, x=X(2, 3, 7), gamma=gamma, beta=beta)
    yield from op(
        "instance_norm",
        "halves",
        kinds="zero-mean",
        x=x,
        gamma=C(3, type="fp16"),
        beta=C(3, type="fp16"),
        opset="CoreML7",
    )
    yield from refused("instance_norm", "rank", "x is of rank 3 or 4", x=X(2, 3))
    yield from refused("instance_norm", "gamma", "gamma has C numbers", x=x, gamma=C(4), beta=C(4))
    yield from _layer_norm()
    yield from op("l2_norm", "rank-3", kinds=_ALL, x=X(3, 4, 5))
    yield from op("l2_norm", "rank-5", kinds=_SHORT, x=X(2, 3, 4, 5, 6))
    yield from op("l2_norm", "epsilon", kinds="zero-mean", x=X(2, 3, 4, 5), epsilon=0.5)
    yield from op("l2_norm", "small", kinds="zero-mean", x=X(2, 3, 4, 5, change=lambda x: x * 2.0**-10))
    yield from refused("l2_norm", "rank", "x is of rank 3 or more", x=X(4, 5))
    given: dict[str, Any] = {"x": X(2, 7, 3, 4), "size": 3}
    strong: dict[str, Any] = {"alpha": 0.5, "beta": 0.5, "k": 2.0}
    yield from op("local_response_norm", "defaults", kinds=_ALL, **given)
    yield from op("local_response_norm", "strong", kinds="integers zero-mean", **given, **strong)
    yield from op("local_response_norm", "even", kinds="zero-mean", x=X(2, 7, 3, 4), size=4, **strong)
    yield from op("local_response_norm", "rank-3", kinds="zero-mean", x=X(5, 3, 4), size=3, **strong)
    yield from op("local_response_norm", "beyond", kinds="zero-mean", x=X(2, 3, 4, 5), size=9, **strong)
    yield from refused("local_response_norm", "size", "size is 1 or more", x=X(2, 7, 3, 4), size=0)
    yield from refused("local_response_norm", "rank", "x is of rank 3 to 5", x=X(7, 3), size=3)


def _batch_norm() -> Iterator[ProgramPlan]:
    x = X(2, 3, 5, 4)
    moments: dict[str, Any] = {"mean": C(3), "variance": C(3, change=_positive)}
    both = {"gamma": C(3), "beta": C(3)}
    yield from op("batch_norm", "plain", kinds=_ALL, x=x, **moments)
    yield from op("batch_norm", "gamma-beta", kinds=_SHORT, x=x, **moments, **both)
    yield from op("batch_norm", "gamma", kinds=_SHORT, x=x, **moments, gamma=C(3))
    yield from op("batch_norm", "beta", kinds=_SHORT, x=x, **moments, beta=C(3))
    yield from op("batch_norm", "epsilon", kinds="zero-mean", x=x, **moments, epsilon=0.5)
    yield from op("batch_norm", "rank-3", kinds=_SHORT, x=X(2, 3, 7), **moments, **both)
    yield from op("batch_norm", "rank-5", kinds=_SHORT, x=X(1, 3, 2, 4, 5), **moments, **both)
    halves = {name: C(3, type="fp16", change=item.change) for name, item in {**moments, **both}.items()}
    yield from op("batch_norm", "halves", kinds="zero-mean", x=x, **halves, opset="CoreML7")
    yield from refused("batch_norm", "channels", "mean and variance have C numbers", x=X(2, 4, 5, 3), **moments)
    yield from refused("batch_norm", "lengths", "mean and variance have one length", x=x, mean=C(3), variance=C(4))
    yield from refused("batch_norm", "rank", "x is of rank 3 to 5", x=X(2, 3), **moments)


def _layer_norm() -> Iterator[ProgramPlan]:
    x, kind = X(2, 3, 5, 4), "layer_norm"
    yield from op(kind, "all-axes", kinds=_ALL, x=X(2, 3, 4))
    yield from op(kind, "last", kinds=_SHORT, x=x, axes=[-1], gamma=C(4), beta=C(4))
    yield from op(kind, "last-two", kinds=_SHORT, x=x, axes=[2, 3], gamma=C(5, 4), beta=C(5, 4))
    yield from op(kind, "others", kinds=_SHORT, x=x, axes=[1], gamma=C(3), beta=C(3))
    yield from op(kind, "gamma", kinds=_SHORT, x=x, axes=[-1], gamma=C(4))
    yield from op(kind, "beta", kinds=_SHORT, x=x, axes=[-1], beta=C(4))
    yield from op(kind, "epsilon", kinds="zero-mean", x=x, axes=[-1], epsilon=0.5)
    yield from op(
        kind,
        "halves",
        kinds="zero-mean",
        x=x,
        axes=[-1],
        gamma=C(4, type="fp16"),
        beta=C(4, type="fp16"),
        opset="CoreML7",
    )
    yield from refused(kind, "axes", "the axes exist", x=x, axes=[4])
    yield from refused(
        kind, "gamma", "gamma has the lengths of x along the axes", x=x, axes=[-1], gamma=C(5), beta=C(5)
    )
    yield from refused(kind, "twice", "no axis is named twice", x=x, axes=[1, -3])
