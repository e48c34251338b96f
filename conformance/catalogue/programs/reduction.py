"""Reductions, places of extremes, and running totals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.catalogue.data import Source
from conformance.catalogue.plan import Array
from conformance.catalogue.programs.plan import Drawn, ProgramPlan, X, op, refused

_KINDS = {
    "reduce_sum": "integers zero-mean cancellation wide fp16:integers fp16:zero-mean int32:full",
    "reduce_mean": "integers zero-mean fp16:integers fp16:zero-mean",
    "reduce_prod": "integers zero-mean fp16:zero-mean int32:integers",
    "reduce_max": "integers special fp16:zero-mean int32:full",
    "reduce_min": "integers special fp16:zero-mean int32:full",
    "reduce_l1_norm": "integers zero-mean wide fp16:zero-mean int32:integers",
    "reduce_l2_norm": "integers zero-mean wide fp16:zero-mean",
    "reduce_sum_square": "integers zero-mean wide fp16:integers fp16:zero-mean int32:integers",
    "reduce_log_sum": "integers zero-mean fp16:zero-mean",
    "reduce_log_sum_exp": "integers zero-mean wide fp16:integers fp16:zero-mean",
}


def _positive(x: Array) -> Array:
    return np.abs(x) + 0.25


def distinct(shape: tuple[int, ...]) -> Drawn:
    """Return an input whose numbers are all different, so that their order is certain."""

    def made(source: Source, kind: str) -> Array:
        order = np.argsort(source.uniform(shape), axis=None)
        return (order.reshape(shape) - order.size // 2) / (1 if kind == "integers" else 4)

    return X(*shape, value=made)


def plans() -> Iterator[ProgramPlan]:
    for kind, kinds in _KINDS.items():
        change = _positive if kind == "reduce_log_sum" else None
        short = "integers fp16:zero-mean"
        yield from op(kind, "axis", kinds=kinds, x=X(3, 4, 5, change=change), axes=[1], keep_dims=False)
        yield from op(kind, "keep", kinds=short, x=X(3, 4, 5, change=change), axes=[0, 2], keep_dims=True)
        yield from op(kind, "negative", kinds=short, x=X(3, 4, 5, change=change), axes=[-1])
        yield from op(kind, "negative-middle", kinds="integers", x=X(3, 4, 5, change=change), axes=[-2])
        yield from op(kind, "all", kinds=short, x=X(3, 4, change=change))
        yield from op(kind, "all-keep", kinds="integers", x=X(3, 4, change=change), keep_dims=True)
        yield from refused(kind, "axis", "the axes exist", x=X(3, 4), axes=[2])
        yield from refused(kind, "twice", "the axes differ", x=X(3, 4), axes=[0, -2])
        yield from refused(kind, "bool", "x holds numbers", kinds="bool:bits", x=X(3, 4), axes=[0])
    sums = X(value=np.array([[1, -1, 0], [2, -3, 0.5], [1, 2, 4]]))
    yield from op("reduce_log_sum", "edges", kinds="special fp16:special", x=sums, axes=[1])
    endless = X(value=np.array([[-np.inf, -np.inf], [1, np.inf], [2, -np.inf]]))
    yield from op("reduce_log_sum_exp", "endless", kinds="special fp16:special", x=endless, axes=[1])
    large = X(3, 4, change=lambda x: x * 200)
    yield from op("reduce_log_sum_exp", "large", kinds="zero-mean fp16:zero-mean", x=large, axes=[1])
    for kind in ("reduce_prod", "reduce_l1_norm", "reduce_sum_square"):
        yield from op(kind, "wraps", kinds="int32:full", x=X(3, 4), axes=[1])
    for kind in ("reduce_argmax", "reduce_argmin"):
        x = distinct((3, 4, 5))
        yield from op(kind, "last", kinds="integers fp16:halves int32:integers", x=x)
        yield from op(kind, "axis", kinds="integers", x=x, axis=1)
        yield from op(kind, "keep", kinds="integers", x=x, axis=-3, keep_dims=True)
        yield from op(kind, "newer", kinds="integers", x=x, axis=0, output_dtype="int32", opset="CoreML7")
        yield from op(kind, "uint16", kinds="integers", x=x, axis=0, output_dtype="uint16", opset="CoreML7")
        edges = X(value=np.array([[-np.inf, 1, -2], [3, np.inf, -1]]))
        yield from op(kind, "infinite", kinds="special fp16:special", x=edges)
        yield from refused(kind, "axis", "the axis exists", x=X(3, 4), axis=2, results=[("int32", (None,))])
        yield from refused(
            kind,
            "old",
            "the type of indices is a parameter since CoreML7",
            x=X(3, 4),
            output_dtype="int32",
            opset="CoreML6",
            results=[("int32", (3,))],
        )
        yield from refused(
            kind,
            "dtype",
            "indices are int32 or uint16",
            x=X(3, 4),
            output_dtype="int8",
            opset="CoreML7",
            results=[("int8", (3,))],
        )
    yield from op("cumsum", "plain", kinds="integers zero-mean cancellation fp16:zero-mean int32:full", x=X(4, 5))
    yield from op("cumsum", "axis", kinds="integers fp16:integers", x=X(2, 5, 3), axis=1)
    yield from op("cumsum", "exclusive", kinds="integers zero-mean", x=X(2, 5), axis=-1, exclusive=True)
    yield from op("cumsum", "reverse", kinds="integers zero-mean", x=X(2, 5), axis=1, reverse=True)
    yield from op("cumsum", "both", kinds="integers", x=X(2, 5), axis=1, exclusive=True, reverse=True)
    endless = X(value=np.array([2, np.inf, 3]))
    yield from op("cumsum", "endless", kinds="special", x=endless, exclusive=True)
    yield from refused("cumsum", "axis", "the axis exists", x=X(2, 5), axis=2)
    yield from refused("cumsum", "bool", "x holds numbers", kinds="bool:bits", x=X(2, 5))
