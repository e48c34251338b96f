"""Weights in every encoding: float16, linear and lookup tables of 1 to 8 bits, signed int8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.catalogue.plan import Plan, W, layer

_FAMILY = "stored weights"


def plans() -> Iterator[Plan]:
    dense = {"input_channels": 7, "output_channels": 5}
    every = "integers zero-mean"

    def product(label: str, encoding: str, data: str = every, **options: Any) -> Iterator[Plan]:
        return layer(
            "innerProduct", label, (7,), data=data, family=_FAMILY, weights=W((5, 7), encoding, **options), **dense
        )

    yield from product("float16", "float16")
    for bits in range(1, 9):
        yield from product(f"linear-{bits}-bits", f"linear{bits}")
        yield from product(f"linear-{bits}-bits-per-channel", f"linear{bits}c")
        yield from product(f"lookup-{bits}-bits", f"lut{bits}")
    yield from product("lookup-3-bits-longer", "lut3", "integers", long=3)
    yield from product("linear-5-bits-longer", "linear5c", "integers", long=2)
    # With one scale only: Core ML refuses more where the layer quantizes dynamically.
    yield from layer(
        "innerProduct",
        "int8",
        (7,),
        data=every,
        family=_FAMILY,
        weights=W((5, 7), "int8"),
        int8_dynamic_quantize=True,
        **dense,
    )
    yield from layer(
        "batchedMatmul",
        "int8",
        (4, 7),
        data="integers",
        family=_FAMILY,
        weights=W((5, 7), "int8"),
        weight_matrix_first_dimension=7,
        weight_matrix_second_dimension=5,
        int8_dynamic_quantize=True,
    )
    for encoding in ("float16", "linear3", "linear6c", "lut2", "lut5"):
        convolution = {"output_channels": 4, "kernel_channels": 3, "n_groups": 1, "kernel_size": [2, 3], "valid": {}}
        yield from layer(
            "convolution",
            encoding,
            (3, 5, 7),
            data=every,
            family=_FAMILY,
            has_bias=True,
            weights=W((4, 3, 2, 3), encoding),
            bias=W((4,), encoding.rstrip("c")),
            **convolution,
        )
        yield from layer(
            "convolution",
            f"deconvolution-{encoding}",
            (3, 5, 7),
            data=every,
            family=_FAMILY,
            is_deconvolution=True,
            weights=W((3, 4, 2, 3), encoding, axis=1),
            **convolution,
        )
        yield from layer(
            "embeddingND",
            encoding,
            lambda source, kind: source.integers((6, 1), 0, 7),
            data=every,
            family=_FAMILY,
            vocab_size=8,
            embedding_size=5,
            weights=W((5, 8), encoding),
        )
        yield from layer(
            "embedding",
            encoding,
            lambda source, kind: source.integers((1, 1, 1), 0, 7),
            data=every,
            family=_FAMILY,
            input_dim=8,
            output_channels=5,
            weights=W((5, 8), encoding),
        )
        yield from layer(
            "batchedMatmul",
            encoding,
            (4, 7),
            data=every,
            family=_FAMILY,
            weights=W((5, 7), encoding),
            weight_matrix_first_dimension=7,
            weight_matrix_second_dimension=5,
        )
    whole = ["float16", "linear4", "lut3"]
    for encoding in whole:
        yield from layer(
            "scale",
            encoding,
            (3, 5, 4),
            data=every,
            family=_FAMILY,
            shape_scale=[3],
            scale=W((3,), encoding),
            has_bias=True,
            shape_bias=[3],
            bias=W((3,), encoding),
        )
        yield from layer(
            "loadConstantND", encoding, data=every, family=_FAMILY, shape=[3, 7], stored=W((3, 7), encoding)
        )
        yield from layer(
            "simpleRecurrent",
            encoding,
            (4, 2, 3, 1, 1),
            (1, 2, 5, 1, 1),
            data="integers",
            outputs=2,
            family=_FAMILY,
            domain=lambda x: x / 4,
            input_vector_size=3,
            output_vector_size=5,
            activation={"sigmoidHard": {}},
            sequence_output=True,
            weight_matrix=W((5, 3), encoding),
            recursion_matrix=W((5, 5), encoding),
        )
    for encoding in ("linear7c", "lut4"):
        yield from layer(
            "convolution",
            f"groups-{encoding}",
            (4, 5, 7),
            data=every,
            family=_FAMILY,
            output_channels=6,
            kernel_channels=2,
            n_groups=2,
            kernel_size=[2, 3],
            valid={},
            weights=W((6, 2, 2, 3), encoding),
        )
        yield from layer(
            "convolution",
            f"deconvolution-groups-{encoding}",
            (4, 5, 7),
            data=every,
            family=_FAMILY,
            output_channels=6,
            kernel_channels=4,
            n_groups=2,
            kernel_size=[2, 3],
            valid={},
            is_deconvolution=True,
            weights=W((4, 3, 2, 3), encoding, axis=1),
        )
    half = {
        "channels": 3,
        "gamma": W((3,), "float16"),
        "beta": W((3,), "float16"),
        "mean": W((3,), "float16"),
        "variance": W((3,), "float16", positive=True),
        "epsilon": 0.25,
    }
    yield from layer("batchnorm", "float16", (3, 5, 4), data="zero-mean", family=_FAMILY, **half)
    yield from layer(
        "activation", "PReLU-float16", (3, 5, 4), data="zero-mean", family=_FAMILY, PReLU={"alpha": W((3,), "float16")}
    )
