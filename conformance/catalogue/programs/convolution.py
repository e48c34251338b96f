"""conv and conv_transpose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.catalogue.programs.plan import SUMS, C, ProgramPlan, X, op, refused

_X, _W, _B = X(2, 3, 7, 9), C(4, 3, 2, 5), C(4)


def plans() -> Iterator[ProgramPlan]:
    yield from _convolutions()
    yield from _transposed()


def _conv(label: str, kinds: str = "integers zero-mean fp16:zero-mean", **given: Any) -> Iterator[ProgramPlan]:
    return op("conv", label, kinds=kinds, **{"x": _X, "weight": _W, **given})


def _convolutions() -> Iterator[ProgramPlan]:
    yield from _conv("valid", SUMS)
    yield from _conv("custom", bias=_B, pad_type="custom", pad=[1, 2, 3, 0])
    yield from _conv("valid-pad", pad_type="valid", pad=[1, 2, 3, 0])
    yield from _conv("same", weight=C(4, 3, 4, 2), pad_type="same", strides=[2, 1])
    yield from _conv("same-strides", weight=C(4, 3, 3, 4), pad_type="same", strides=[2, 3], bias=_B)
    yield from _conv("same-lower", weight=C(4, 3, 4, 2), pad_type="same_lower", opset="CoreML6")
    yield from _conv("strides-dilations", weight=C(4, 3, 2, 3), strides=[3, 2], dilations=[2, 3])
    yield from _conv("same-dilations", weight=C(4, 3, 2, 3), pad_type="same", dilations=[3, 2])
    yield from _conv("groups", SUMS, x=X(2, 6, 5, 7), weight=C(4, 3, 2, 3), bias=_B, groups=2)
    yield from _conv("depthwise", x=X(1, 5, 7, 9), weight=C(10, 1, 2, 3), groups=5)
    yield from _conv("pointwise", x=X(2, 3, 5, 7), weight=C(6, 3, 1, 1), bias=C(6))
    yield from _conv("line", x=X(2, 3, 11), weight=C(4, 3, 5), bias=_B, strides=[2], pad_type="custom", pad=[1, 3])
    yield from _conv("volume", x=X(1, 2, 4, 5, 6), weight=C(3, 2, 2, 3, 1), strides=[1, 2, 3], dilations=[2, 1, 1])
    yield from _conv("deep", "integers zero-mean fp16:integers fp16:zero-mean", x=X(1, 40, 4, 5), weight=C(3, 40, 2, 3))
    yield from _conv("weights-computed", weight=X(4, 3, 2, 5), strides=[2, 1])
    yield from _conv("all-computed", weight=X(4, 3, 2, 5), bias=X(4), opset="CoreML7")
    yield from _conv("halves", "integers zero-mean", weight=C(4, 3, 2, 5, type="fp16"), bias=_B, opset="CoreML7")
    yield from _conv(
        "singles", "fp16:integers fp16:zero-mean", weight=C(4, 3, 2, 5, type="fp32"), bias=_B, opset="CoreML7"
    )
    yield from refused("conv", "channels", "weight has C_in / groups channels", x=_X, weight=C(4, 2, 2, 5), bias=_B)
    yield from refused("conv", "rank", "weight has the rank of x", x=_X, weight=C(4, 3, 5))
    yield from refused("conv", "pad-type", "pad_type is one that there is", x=_X, weight=_W, pad_type="full")
    yield from refused("conv", "same-lower", "same_lower exists since CoreML6", x=_X, weight=_W, pad_type="same_lower")
    yield from refused("conv", "groups", "groups divides C_out", x=X(2, 9, 7, 8), weight=C(4, 3, 2, 5), groups=3)
    yield from refused(
        "conv", "pad", "pad has two numbers for each axis", x=_X, weight=_W, pad_type="custom", pad=[1, 2]
    )
    yield from refused("conv", "bias", "bias has C_out numbers", x=_X, weight=_W, bias=C(3))
    yield from refused("conv", "types", "before CoreML7 all are of one type", x=_X, weight=C(4, 3, 2, 5, type="fp16"))
    yield from refused("conv", "kernel", "the kernel fits into the padded x", x=X(2, 3, 1, 9), weight=_W)
    yield from refused(
        "conv",
        "dilations-computed",
        "dilations are 1 for computed weights",
        x=_X,
        weight=X(4, 3, 2, 5),
        dilations=[2, 1],
    )


def _back(label: str, kinds: str = "integers zero-mean fp16:zero-mean", **given: Any) -> Iterator[ProgramPlan]:
    return op("conv_transpose", label, kinds=kinds, **{"x": X(2, 3, 5, 7), "weight": C(3, 4, 2, 3), **given})


def _transposed() -> Iterator[ProgramPlan]:
    yield from _back("valid", SUMS, strides=[2, 3])
    yield from _back("custom", bias=_B, strides=[2, 3], pad_type="custom", pad=[1, 0, 2, 1])
    yield from _back("same", weight=C(3, 4, 3, 4), pad_type="same", strides=[2, 3])
    yield from _back("same-odd", weight=C(3, 4, 4, 3), pad_type="same", strides=[1, 2], bias=_B)
    yield from _back("dilations", dilations=[2, 3], strides=[3, 1])
    yield from _back("groups", x=X(2, 6, 4, 5), weight=C(6, 2, 2, 3), groups=2, bias=_B, strides=[2, 1])
    yield from _back(
        "output-shape",
        weight=C(3, 4, 3, 4),
        pad_type="custom",
        pad=[1, 1, 1, 2],
        strides=[2, 3],
        output_shape=[2, 4, 10, 20],
    )
    yield from _back("line", x=X(2, 3, 7), weight=C(3, 4, 5), strides=[2], bias=_B)
    yield from _back("volume", x=X(1, 2, 3, 4, 5), weight=C(2, 3, 2, 1, 3), strides=[2, 1, 3])
    yield from _back("computed", weight=X(3, 4, 2, 5), bias=X(4), strides=[2, 1], opset="CoreML7")
    yield from _back("halves", "integers zero-mean", weight=C(3, 4, 2, 3, type="fp16"), opset="CoreML7")
    x, w = X(2, 3, 5, 7), C(3, 4, 2, 3)
    kind = "conv_transpose"
    yield from refused(kind, "channels", "weight has C_in rows", x=x, weight=C(2, 4, 2, 3), bias=_B)
    yield from refused(
        kind, "output-shape", "output_shape begins with N, C_out", x=x, weight=w, output_shape=[2, 3, 6, 9]
    )
    yield from refused(kind, "computed", "before CoreML7 weights are constants", x=x, weight=X(3, 4, 2, 3))
    yield from refused(
        kind, "same-lower", "there is no same_lower", x=x, weight=w, pad_type="same_lower", opset="CoreML6"
    )
