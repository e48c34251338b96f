"""convolution, convolution3d, and how their weights may be stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.catalogue.plan import Plan, W, family, layer

family("convolution", "convolution convolution3d")

#: 3 input and 4 output channels, kernels of 2 x 3, pixels of 7 x 9.
_X = (3, 7, 9)


def _edges(*pairs: tuple[int, int]) -> dict[str, Any]:
    return {"borderAmounts": [{"startEdgeSize": start, "endEdgeSize": end} for start, end in pairs]}


def _conv(
    label: str,
    x: Any = _X,
    *,
    data: str = "integers zero-mean",
    groups: int = 1,
    size: Any = (2, 3),
    out: int = 0,
    **fields: Any,
):
    channels = x[-3]
    deconvolves = fields.get("is_deconvolution", False)
    out = out or (10 if groups == 5 else 4)
    shape = (channels, out // groups, *size) if deconvolves else (out, channels // groups, *size)
    fields.setdefault("weights", W(shape))
    if fields.setdefault("has_bias", False):
        fields.setdefault("bias", W((out,)))
    return layer(
        "convolution",
        label,
        x,
        data=data,
        output_channels=out,
        kernel_channels=channels if deconvolves else channels // groups,
        n_groups=groups,
        kernel_size=list(size),
        **fields,
    )


def _conv3d(label: str, *, data: str = "integers zero-mean", groups: int = 1, deconvolves: bool = False, **fields: Any):
    sizes = {
        "kernel": (2, 3, 1),
        "stride": fields.pop("stride", (1, 1, 1)),
        "dilation": fields.pop("dilation", (1, 1, 1)),
    }
    named = {
        f"{name}_{axis}": n
        for name, three in sizes.items()
        for axis, n in zip(("depth", "height", "width"), three, strict=True)
    }
    shape = (4, 6 // groups, 2, 3, 1) if deconvolves else (6, 4 // groups, 2, 3, 1)
    if fields.setdefault("has_bias", False):
        fields.setdefault("bias", W((6,)))
    return layer(
        "convolution3d",
        label,
        (2, 4, 5, 6, 3),
        data=data,
        input_channels=4,
        output_channels=6,
        n_groups=groups,
        is_deconvolution=deconvolves,
        weights=W(shape),
        **named,
        **fields,
    )


def plans() -> Iterator[Plan]:
    every = "integers zero-mean wide cancellation"
    yield from _conv("valid", data=every, valid={})
    yield from _conv("valid-bias-padding", data=every, has_bias=True, valid={"paddingAmounts": _edges((1, 2), (3, 0))})
    yield from _conv("same-bottom-right", same={"asymmetryMode": "BOTTOM_RIGHT_HEAVY"}, size=(2, 4))
    yield from _conv("same-top-left", same={"asymmetryMode": "TOP_LEFT_HEAVY"}, size=(2, 4))
    yield from _conv("same-stride", same={}, stride=[3, 2], size=(4, 5), has_bias=True)
    yield from _conv("same-stride-top-left", same={"asymmetryMode": "TOP_LEFT_HEAVY"}, stride=[3, 2], size=(4, 5))
    yield from _conv("stride", valid={}, stride=[3, 2])
    yield from _conv("dilation", valid={}, dilation_factor=[3, 2])
    yield from _conv("same-dilation", same={}, dilation_factor=[3, 2], stride=[2, 1])
    yield from _conv("groups", (6, 7, 9), data=every, groups=2, valid={}, has_bias=True)
    yield from _conv("depthwise", (5, 7, 9), groups=5, same={}, has_bias=True)
    yield from _conv("pointwise", size=(1, 1), valid={}, has_bias=True)
    yield from _conv("leading-axes", (2, 5, 3, 4, 6), valid={}, has_bias=True)
    # Enough outputs for statistics of their errors, and sums so long that a dropped tap hides in the bound.
    yield from _conv(
        "many", (64, 11, 13), data="zero-mean", size=(3, 5), stride=[1, 1], valid={}, groups=1, has_bias=False, out=16
    )
    yield from _conv("deep", (40, 4, 5), data="integers zero-mean", size=(3, 2), valid={})
    yield from layer(
        "convolution",
        "defaults",
        (3, 7, 9),
        data="integers zero-mean",
        output_channels=4,
        kernel_channels=3,
        weights=W((4, 3, 3, 3)),
        valid={},
    )
    yield from layer(
        "convolution",
        "weights-as-input",
        (1, 3, 7, 9),
        (5, 3, 2, 4),
        data="integers zero-mean",
        output_channels=5,
        kernel_channels=3,
        n_groups=1,
        kernel_size=[2, 4],
        stride=[2, 1],
        valid={},
        has_bias=True,
        bias=W((5,)),
    )
    deconvolution: dict[str, Any] = {"is_deconvolution": True}
    yield from _conv("deconvolution", data=every, valid={}, stride=[2, 3], has_bias=True, **deconvolution)
    yield from _conv(
        "deconvolution-crop", valid={"paddingAmounts": _edges((1, 0), (2, 3))}, stride=[2, 3], **deconvolution
    )
    yield from _conv("deconvolution-same", same={}, stride=[2, 1], size=(3, 4), **deconvolution)
    yield from _conv(
        # Even numbers of pixels are cropped: on which side an odd one is, only the schema's rule for convolutions says.
        "deconvolution-same-top-left",
        same={"asymmetryMode": "TOP_LEFT_HEAVY"},
        size=(5, 3),
        **deconvolution,
    )
    yield from _conv("deconvolution-groups", (6, 5, 3), groups=2, valid={}, stride=[2, 1], **deconvolution)
    yield from _conv("deconvolution-dilation", (3, 5, 6), valid={}, dilation_factor=[2, 3], **deconvolution)
    yield from _conv(
        "deconvolution-output-shape",  # as Apple's converter from Keras writes it
        (3, 5, 6),
        same={},
        stride=[2, 3],
        size=(3, 4),
        output_shape=[10, 18],
        **deconvolution,
    )

    yield from _conv3d("valid", data=every, padding_type="VALID")
    yield from _conv3d("same", padding_type="SAME", stride=(2, 3, 1), has_bias=True)
    yield from _conv3d(
        "custom",
        padding_type="CUSTOM",
        has_bias=True,
        custom_padding_front=1,
        custom_padding_back=2,
        custom_padding_top=0,
        custom_padding_bottom=3,
        custom_padding_left=2,
        custom_padding_right=1,
    )
    yield from _conv3d("stride", padding_type="VALID", stride=(2, 1, 3))
    yield from _conv3d("groups-dilation", padding_type="VALID", groups=2, dilation=(2, 1, 1), stride=(1, 2, 1))
    yield from _conv3d("deconvolution", padding_type="VALID", deconvolves=True, stride=(2, 1, 3), has_bias=True)
    yield from _conv3d("deconvolution-groups-same", padding_type="SAME", deconvolves=True, groups=2, stride=(2, 1, 3))
    yield from _conv3d(
        "deconvolution-output-shape",
        padding_type="CUSTOM",
        custom_padding_front=1,
        custom_padding_bottom=1,
        custom_padding_left=1,
        deconvolves=True,
        stride=(2, 1, 3),
        output_shape=[9, 7, 6],  # what the padding leaves; where another size is cropped is not specified
    )
