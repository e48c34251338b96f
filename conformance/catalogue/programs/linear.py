"""linear, matmul, einsum and scaled_dot_product_attention."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.catalogue.programs.plan import SUMS, C, ProgramPlan, X, op, refused

_SHORT = "integers zero-mean fp16:zero-mean"


def plans() -> Iterator[ProgramPlan]:
    yield from _linear()
    yield from _matmul()
    yield from _einsum()
    yield from _attention()


def _linear() -> Iterator[ProgramPlan]:
    x, w, b = X(3, 7), C(5, 7), C(5)
    yield from op("linear", "plain", kinds=SUMS, x=x, weight=w)
    yield from op("linear", "bias", kinds=_SHORT, x=x, weight=w, bias=b)
    yield from op("linear", "vector", kinds=_SHORT, x=X(7), weight=w, bias=b)
    yield from op("linear", "rank-4", kinds=_SHORT, x=X(2, 3, 4, 7), weight=w, bias=b)
    yield from op("linear", "many", kinds=_SHORT, x=X(11, 7), weight=w, bias=b)
    yield from op("linear", "deep", kinds="integers zero-mean fp16:zero-mean", x=X(2, 200), weight=C(3, 200))
    yield from op(
        "linear", "halves", kinds="integers zero-mean", x=x, weight=C(5, 7, type="fp16"), bias=b, opset="CoreML7"
    )
    yield from op(
        "linear",
        "integers-as-weights",
        kinds="integers zero-mean fp16:zero-mean",
        x=x,
        weight=C(5, 7, type="int32"),
        bias=C(5, type="int32"),
        opset="CoreML7",
    )
    yield from refused("linear", "input", "x has D_in numbers in its last axis", x=X(3, 6), weight=w, bias=b)
    yield from refused("linear", "bias", "bias has D_out numbers", x=x, weight=w, bias=C(4))
    yield from refused("linear", "rank", "weight is a matrix", x=x, weight=C(1, 5, 7))
    yield from refused("linear", "types", "before CoreML7 all are of one type", x=x, weight=C(5, 7, type="fp16"))


def _matmul() -> Iterator[ProgramPlan]:
    yield from op("matmul", "plain", kinds=f"{SUMS} int32:integers", x=X(3, 5), y=X(5, 4))
    yield from op("matmul", "transpose-x", kinds=_SHORT, x=X(5, 3), y=X(5, 4), transpose_x=True)
    yield from op("matmul", "transpose-y", kinds=_SHORT, x=X(3, 5), y=X(4, 5), transpose_y=True)
    yield from op("matmul", "transpose-both", kinds=_SHORT, x=X(5, 3), y=X(4, 5), transpose_x=True, transpose_y=True)
    yield from op("matmul", "batches", kinds=_SHORT, x=X(2, 3, 4, 5), y=X(2, 3, 5, 6))
    yield from op("matmul", "broadcast", kinds=_SHORT, x=X(2, 1, 4, 5), y=X(3, 5, 6))
    yield from op("matmul", "constant", kinds=_SHORT, x=X(2, 3, 5), y=C(5, 4))
    yield from op("matmul", "constant-first", kinds=_SHORT, x=C(3, 5), y=X(2, 5, 4))
    yield from op("matmul", "wraps", kinds="int32:full", x=X(3, 5), y=X(5, 4))
    yield from op("matmul", "halves", kinds="integers zero-mean", x=X(3, 5), y=C(5, 4, type="fp16"), opset="CoreML7")
    yield from op(
        "matmul", "integers-constant", kinds="integers zero-mean", x=X(3, 5), y=C(5, 4, type="int32"), opset="CoreML7"
    )
    yield from refused("matmul", "lengths", "both have K numbers to sum over", x=X(3, 5), y=X(4, 6))
    yield from refused("matmul", "batches", "leading axes broadcast", x=X(2, 3, 5), y=X(3, 5, 4))
    yield from refused("matmul", "types", "both are of one type", x=X(3, 5), y=X(5, 4, type="fp16"))
    yield from refused("matmul", "bool", "both hold numbers", kinds="bool:bits", x=X(3, 5), y=X(5, 4))


def _einsum() -> Iterator[ProgramPlan]:
    yield from op("einsum", "rank-4", kinds=SUMS, values=[X(2, 3, 4, 5), X(2, 5, 4, 6)], equation="nchw,nwhu->nchu")
    yield from op("einsum", "rank-3", kinds=_SHORT, values=[X(2, 3, 4), X(4, 3, 5)], equation="chw,whr->chr")
    yield from op("einsum", "letters", kinds=_SHORT, values=[X(2, 3, 4, 5), X(2, 5, 4, 6)], equation="abcd,adce->abce")
    yield from op(
        "einsum", "broadcast", kinds=_SHORT, values=[X(2, 3, 4, 5), X(1, 5, 1, 6)], equation="nchw,nwhu->nchu"
    )
    yield from op("einsum", "constant", kinds=_SHORT, values=[X(2, 3, 4), C(4, 3, 5)], equation="chw,whr->chr")
    given = {"values": [X(2, 3, 4), X(4, 3, 5)]}
    yield from refused("einsum", "ranks", "values have the letters' ranks", equation="chw,whru->chr", **given)
    yield from refused(
        "einsum", "lengths", "lengths of a letter agree", values=[X(2, 3, 4), X(5, 3, 6)], equation="chw,whr->chr"
    )
    yield from refused("einsum", "no-arrow", "the equation says what is returned", equation="chw", **given)


def _attention() -> Iterator[ProgramPlan]:
    kind, kinds = "scaled_dot_product_attention", "integers zero-mean fp16:integers fp16:zero-mean"
    q, k, v = X(2, 3, 4), X(2, 5, 4), X(2, 5, 6)
    given = {"query": q, "key": k, "value": v}
    lowest = np.where(np.arange(15).reshape(3, 5) % 4 == 1, -np.inf, 0)
    yield from op(kind, "plain", kinds=f"{kinds} wide", **given)
    yield from op(kind, "heads", kinds=kinds, query=X(2, 3, 4, 5), key=X(2, 3, 6, 5), value=X(2, 3, 6, 7))
    yield from op(kind, "mask", kinds=kinds, attn_mask=X(3, 5), **given)
    yield from op(kind, "mask-infinite", kinds=kinds, attn_mask=C(value=lowest), **given)
    yield from op(kind, "mask-bool", kinds=kinds, attn_mask=C(value=lowest == 0, type="bool"), **given)
    yield from op(kind, "mask-computed-bool", kinds=kinds, attn_mask=X(value=lowest == 0, type="bool"), **given)
    yield from refused(kind, "batches", "leading axes are equal", query=q, key=X(1, 5, 4), value=v)
    yield from refused(kind, "lengths", "query and key have E numbers", query=q, key=X(2, 5, 3), value=v)
    yield from refused(kind, "types", "all are of one type", query=q, key=k, value=X(2, 5, 6, type="fp16"))
    yield from refused(kind, "rank", "there is a leading axis", query=X(3, 4), key=X(5, 4), value=X(5, 6))
    yield from refused(kind, "mask-int", "the mask is added, or boolean", attn_mask=X(3, 5, type="int32"), **given)
