"""Products and tables: innerProduct, dot, batchedMatmul, the embeddings, loadConstant."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.catalogue.data import Source
from conformance.catalogue.plan import SUMS, Array, Plan, W, family, layer

family("products", "innerProduct dot batchedMatmul")
family("tables", "embedding embeddingND")


def _indices(*shape: int, below: int):
    def make(source: Source, kind: str) -> Array:
        return source.integers(shape, 0, below - 1)

    return make


def plans() -> Iterator[Plan]:
    sizes = {"input_channels": 6, "output_channels": 5}
    yield from layer("innerProduct", "vector", (6,), data=SUMS, weights=W((5, 6)), **sizes)
    yield from layer("innerProduct", "bias", (6,), data=SUMS, weights=W((5, 6)), has_bias=True, bias=W((5,)), **sizes)
    yield from layer("innerProduct", "bias-unused", (6,), data="integers", weights=W((5, 6)), bias=W((5,)), **sizes)
    for label, shape in {
        "rank-2": (4, 6),
        "rank-3": (3, 4, 6),
        "rank-4": (4, 3, 1, 2),
        "rank-5": (7, 4, 3, 1, 2),
    }.items():
        yield from layer(
            "innerProduct",
            label,
            shape,
            data="integers zero-mean",
            exact=True,
            weights=W((5, 6)),
            has_bias=True,
            bias=W((5,)),
            **sizes,
        )
    yield from layer("innerProduct", "chw", (3, 1, 2), data="integers zero-mean", weights=W((5, 6)), **sizes)
    yield from layer(
        "innerProduct",
        "deep",
        (400,),
        data="integers zero-mean cancellation",
        weights=W((3, 400)),
        input_channels=400,
        output_channels=3,
    )
    for cosine in (False, True):
        label = "cosine" if cosine else "product"
        data = "integers zero-mean wide" + ("" if cosine else " cancellation")
        yield from layer("dot", label, (7, 1, 1), (7, 1, 1), data=data, cosine_similarity=cosine)
        yield from layer(
            "dot", f"{label}-batch", (2, 3, 7, 1, 1), (2, 3, 7, 1, 1), data="zero-mean", cosine_similarity=cosine
        )
    yield from layer("batchedMatmul", "matrices", (4, 6), (6, 5), data=SUMS)
    yield from layer("batchedMatmul", "batches", (2, 3, 4, 6), (3, 6, 5), data="integers zero-mean")
    yield from layer("batchedMatmul", "many", (31, 400), (400, 35), data="zero-mean")
    yield from layer("batchedMatmul", "transpose-a", (3, 6, 4), (3, 6, 5), data="integers zero-mean", transpose_a=True)
    yield from layer("batchedMatmul", "transpose-b", (3, 4, 6), (3, 5, 6), data="integers zero-mean", transpose_b=True)
    yield from layer(
        "batchedMatmul", "transpose-both", (6, 4), (5, 6), data="integers", transpose_a=True, transpose_b=True
    )
    yield from layer("batchedMatmul", "vector-left", (6,), (6, 5), data="integers zero-mean")
    yield from layer("batchedMatmul", "vector-right", (4, 6), (6,), data="integers zero-mean")
    yield from layer(
        "batchedMatmul",
        "weights",
        (3, 4, 6),
        data=SUMS,
        weights=W((5, 6)),
        weight_matrix_first_dimension=6,
        weight_matrix_second_dimension=5,
        has_bias=True,
        bias=W((5,)),
    )
    table = {"input_dim": 7, "output_channels": 5}
    for label, shape in {"one": (1, 1, 1), "rank-5": (3, 2, 1, 1, 1)}.items():
        yield from layer(
            "embedding", label, _indices(*shape, below=7), data="integers zero-mean", weights=W((5, 7)), **table
        )
        yield from layer(
            "embedding",
            f"{label}-bias",
            _indices(*shape, below=7),
            data="integers zero-mean",
            weights=W((5, 7)),
            has_bias=True,
            bias=W((5,)),
            **table,
        )
    table = {"vocab_size": 7, "embedding_size": 5}
    for label, shape in {"rank-2": (4, 1), "rank-4": (2, 3, 4, 1)}.items():
        yield from layer(
            "embeddingND", label, _indices(*shape, below=7), data="integers zero-mean", weights=W((5, 7)), **table
        )
        yield from layer(
            "embeddingND",
            f"{label}-bias",
            _indices(*shape, below=7),
            data="integers zero-mean",
            weights=W((5, 7)),
            has_bias=True,
            bias=W((5,)),
            **table,
        )
    yield from layer(
        "embeddingND", "ends", np.array([[0.0], [6.0], [3.0]]), data="zero-mean", weights=W((5, 7)), **table
    )
