"""pad and crop."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.catalogue.programs.plan import C, ProgramPlan, X, op, refused

_KINDS = "nan fp16:zero-mean"


def plans() -> Iterator[ProgramPlan]:
    x, one = X(2, 3, 4, 5), [1, 2, 0, 3]
    yield from op("pad", "default", kinds=_KINDS, x=x, pad=one)
    yield from op(
        "pad", "constant", kinds="integers fp16:integers", x=x, pad=one, mode="constant", constant_val=C(value=2.5)
    )
    yield from op("pad", "reflect", kinds=_KINDS, x=x, pad=[1, 2, 4, 3], mode="reflect")
    yield from op("pad", "replicate", kinds=_KINDS, x=x, pad=[1, 2, 4, 3], mode="replicate")
    yield from op("pad", "all-axes", kinds="integers", x=X(2, 3), pad=[1, 0, 2, 1])
    yield from op(
        "pad",
        "computed",
        kinds="integers",
        x=X(2, 3),
        pad=X(value=np.array([1, 0, 2, 1]), type="int32"),
        results=[("fp32", (None, None))],
    )
    yield from op("pad", "infinite", kinds="integers", x=x, pad=one, constant_val=C(value=-np.inf))
    yield from refused("pad", "odd", "there are two numbers for each axis", x=x, pad=[1, 2, 3])
    yield from refused("pad", "many", "there are no more pairs than axes", x=X(3, 4), pad=[1, 0, 0, 0, 1, 1])
    yield from refused("pad", "reflect", "a reflection is smaller than its axis", x=x, pad=[0, 4, 0, 0], mode="reflect")
    yield from refused("pad", "mode", "the mode is one that there is", x=x, pad=one, mode="wrap")
    yield from refused("pad", "int", "x holds floats", kinds="int32:integers", x=x, pad=one)
    yield from op("crop", "both", kinds=_KINDS, x=x, crop_height=[1, 0], crop_width=[1, 2])
    yield from op("crop", "none", kinds="integers", x=x, crop_height=[0, 0], crop_width=[0, 0])
    yield from op("crop", "one-pixel", kinds="integers", x=x, crop_height=[1, 2], crop_width=[0, 4])
    yield from refused("crop", "all", "a pixel is left", x=x, crop_height=[2, 2], crop_width=[0, 0])
    yield from refused("crop", "negative", "none is negative", x=x, crop_height=[-1, 0], crop_width=[0, 0])
    yield from refused("crop", "rank", "x is of rank 3 or more", x=X(4, 5), crop_height=[1, 0], crop_width=[0, 0])
