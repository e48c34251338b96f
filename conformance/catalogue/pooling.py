"""pooling, pooling3d, globalPooling3d."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.catalogue.plan import SUMS, Plan, family, layer

family("pooling", "pooling pooling3d globalPooling3d")

_X = (3, 7, 10)


def _edges(*pairs: tuple[int, int]) -> dict[str, Any]:
    return {"borderAmounts": [{"startEdgeSize": start, "endEdgeSize": end} for start, end in pairs]}


def plans() -> Iterator[Plan]:
    for kind in ("MAX", "AVERAGE", "L2"):
        name = kind.lower()
        size: dict[str, Any] = {"type": kind, "kernel_size": [2, 4], "stride": [2, 3]}
        yield from layer("pooling", f"{name}-valid", _X, data=SUMS, valid={}, **size)
        yield from layer(
            "pooling",
            f"{name}-padding",
            _X,
            data="integers zero-mean",
            valid={"paddingAmounts": _edges((1, 0), (2, 3))},
            **size,
        )
        yield from layer("pooling", f"{name}-same", _X, data="integers zero-mean", same={}, **size)
        yield from layer(
            "pooling",
            f"{name}-same-top-left",
            _X,
            data="integers zero-mean",
            same={"asymmetryMode": "TOP_LEFT_HEAVY"},
            **size,
        )
        yield from layer(
            "pooling",
            f"{name}-include-last",
            _X,
            data="integers zero-mean",
            includeLastPixel={"paddingAmounts": [1, 1]},
            **{**size, "kernel_size": [3, 4], "stride": [2, 3]},
        )
        yield from layer(
            "pooling",
            f"{name}-include-last-unpadded",
            _X,
            data="integers zero-mean",
            includeLastPixel={},
            **{**size, "kernel_size": [2, 3], "stride": [2, 2]},
        )
        yield from layer(
            "pooling", f"{name}-global", _X, data="integers zero-mean", type=kind, global_pooling=True, valid={}
        )
    yield from layer("pooling", "max-defaults", (2, 5, 7), data="zero-mean special", type="MAX", valid={})
    yield from layer(
        "pooling", "max-leading-axes", (2, 4, 3, 5, 6), data="zero-mean", type="MAX", kernel_size=[2, 3], valid={}
    )
    yield from layer(
        "pooling",
        "max-include-last-trimmed",
        (2, 5, 8),
        data="integers",
        type="MAX",
        kernel_size=[2, 2],
        stride=[3, 3],
        includeLastPixel={"paddingAmounts": [1, 1]},
    )
    excluded: dict[str, Any] = {
        "type": "AVERAGE",
        "kernel_size": [3, 4],
        "stride": [2, 3],
        "avg_pool_exclude_padding": True,
    }
    yield from layer(
        "pooling",
        "average-exclude-padding",
        _X,
        data="integers zero-mean",
        valid={"paddingAmounts": _edges((1, 2), (2, 1))},
        **excluded,
    )
    yield from layer("pooling", "average-exclude-padding-same", _X, data="integers zero-mean", same={}, **excluded)
    yield from layer(
        "pooling",
        "average-exclude-padding-include-last",
        _X,
        data="integers",
        includeLastPixel={"paddingAmounts": [1, 1]},
        **excluded,
    )

    x = (2, 3, 6, 5, 7)
    named = {
        f"{name}_{axis}": n
        for name, three in {"kernel": (2, 3, 4), "stride": (2, 1, 3)}.items()
        for axis, n in zip(("depth", "height", "width"), three, strict=True)
    }
    custom = {
        f"custom_padding_{side}": n
        for side, n in zip(("front", "back", "top", "bottom", "left", "right"), (1, 0, 2, 1, 0, 3), strict=True)
    }
    for kind in ("MAX", "AVERAGE"):
        name = kind.lower()
        yield from layer(
            "pooling3d", f"{name}-valid", x, data="integers wide", type=kind, padding_type="VALID", **named
        )
        yield from layer(
            "pooling3d", f"{name}-same", x, data="integers zero-mean", type=kind, padding_type="SAME", **named
        )
        yield from layer(
            "pooling3d",
            f"{name}-custom",
            x,
            data="integers zero-mean",
            type=kind,
            padding_type="CUSTOM",
            **named,
            **custom,
        )
        yield from layer("globalPooling3d", name, x, data=SUMS, type=kind)
    for mode, border in {"CUSTOM": custom, "SAME": {}}.items():
        yield from layer(
            "pooling3d",
            f"average-exclude-padding-{mode.lower()}",
            x,
            data="integers zero-mean",
            type="AVERAGE",
            count_exclude_padding=True,
            padding_type=mode,
            **named,
            **border,
        )
