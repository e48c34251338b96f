"""max_pool, avg_pool and l2_pool."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.catalogue.programs.plan import ProgramPlan, X, op, refused

_KINDS = {
    "max_pool": "integers zero-mean ties special fp16:zero-mean",
    "avg_pool": "integers zero-mean wide fp16:integers fp16:zero-mean",
    "l2_pool": "integers zero-mean wide fp16:integers fp16:zero-mean",
}


def plans() -> Iterator[ProgramPlan]:
    for kind in _KINDS:
        yield from _pool(kind)
    x = X(1, 2, 7, 9)
    more: dict[str, Any] = {"kinds": "integers fp16:zero-mean", "x": x, "kernel_sizes": [2, 3]}
    exclude = {"exclude_padding_from_average": True}
    yield from op("avg_pool", "exclude-custom", pad_type="custom", pad=[1, 0, 1, 2], **more, **exclude)
    yield from op("avg_pool", "exclude-same", pad_type="same", strides=[2, 2], **more, **exclude)
    yield from op(
        "avg_pool",
        "exclude-ceil",
        pad_type="custom",
        pad=[1, 1, 1, 1],
        strides=[2, 2],
        ceil_mode=True,
        **more,
        **exclude,
    )


def _pool(kind: str) -> Iterator[ProgramPlan]:
    x, short = X(2, 3, 7, 9), "integers fp16:zero-mean"
    sizes: dict[str, Any] = {"kernel_sizes": [2, 3]}
    yield from op(kind, "valid", kinds=_KINDS[kind], x=x, pad_type="valid", **sizes)
    yield from op(kind, "strides", kinds=short, x=x, pad_type="valid", strides=[3, 2], **sizes)
    yield from op(kind, "custom", kinds=short, x=x, pad_type="custom", pad=[1, 0, 1, 2], strides=[2, 1], **sizes)
    yield from op(kind, "valid-pad", kinds=short, x=x, pad_type="valid", pad=[1, 0, 1, 2], **sizes)
    yield from op(kind, "same", kinds=short, x=x, pad_type="same", strides=[2, 2], kernel_sizes=[2, 4])
    yield from op(kind, "same-lower", kinds=short, x=x, pad_type="same_lower", kernel_sizes=[2, 4], opset="CoreML6")
    yield from op(kind, "ceil", kinds=short, x=x, pad_type="valid", strides=[3, 2], ceil_mode=True, kernel_sizes=[2, 4])
    yield from op(
        kind, "ceil-pad", kinds=short, x=x, pad_type="custom", pad=[1, 1, 1, 1], strides=[2, 3], ceil_mode=True, **sizes
    )
    yield from op(
        kind, "line", kinds=short, x=X(2, 3, 11), pad_type="custom", pad=[1, 2], kernel_sizes=[4], strides=[3]
    )
    if kind != "l2_pool":
        yield from op(kind, "volume", kinds=short, x=X(1, 2, 4, 5, 6), pad_type="valid", kernel_sizes=[2, 3, 1])
    else:
        yield from refused(
            kind,
            "volume",
            "x has one or two axes in space",
            x=X(1, 2, 4, 5, 6),
            pad_type="valid",
            kernel_sizes=[2, 3, 1],
        )
    yield from refused(kind, "no-pad-type", "pad_type has no default", x=x, **sizes)
    yield from refused(
        kind, "sizes", "kernel_sizes has a number for each axis", x=x, pad_type="valid", kernel_sizes=[2]
    )
    yield from refused(kind, "window", "a window fits into the padded x", x=x, pad_type="valid", kernel_sizes=[8, 2])
    yield from refused(kind, "int", "x holds floats", kinds="int32:integers", x=x, pad_type="valid", **sizes)
    yield from refused(
        kind,
        "ceil-uneven",
        "with ceil_mode begin and end are equal",
        x=x,
        pad_type="custom",
        pad=[1, 0, 0, 0],
        ceil_mode=True,
        **sizes,
    )
    yield from refused(
        kind, "ceil-same", "ceil_mode does not go with same", x=x, pad_type="same", ceil_mode=True, **sizes
    )
