"""softmax, batchnorm, mvn, l2normalize, lrn, softmaxND, layerNormalization."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.catalogue.plan import Plan, W, family, layer

family("normalization", "batchnorm mvn l2normalize softmax lrn softmaxND layerNormalization")

_X, _DATA = (3, 5, 4), "integers zero-mean wide cancellation"


def plans() -> Iterator[Plan]:
    yield from layer("softmax", "chw", _X, data=_DATA)
    yield from layer("softmax", "overflow", _X, data="integers", domain=lambda x: 64 * x)
    yield from layer("softmax", "vector", (7,), data="integers zero-mean")
    yield from layer("softmax", "rank-4", (2, 6, 3, 4), data="zero-mean")
    yield from layer("softmax", "rank-3", (3, 4, 6), data="zero-mean", exact=True)
    for axis in (0, 1, -1):
        yield from layer("softmaxND", f"axis{axis}", (4, 6, 5), data="integers zero-mean", axis=axis)
    yield from layer("softmaxND", "overflow", (4, 6, 5), data="integers wide", domain=lambda x: 64 * x, axis=1)
    yield from layer("softmaxND", "large", (2, 4, 6, 3, 5), data="wide cancellation", axis=-3)

    moments = {"channels": 3, "gamma": W((3,)), "beta": W((3,)), "mean": W((3,)), "variance": W((3,), positive=True)}
    yield from layer("batchnorm", "stored", _X, data=_DATA, epsilon=0.5, **moments)
    yield from layer("batchnorm", "default-epsilon", _X, data="zero-mean", **moments)
    tiny = {**moments, "variance": [1e-5, 2e-5, 0]}
    yield from layer("batchnorm", "tiny-variance", _X, data="zero-mean", **tiny)
    yield from layer("batchnorm", "rank-5", (2, 4, 3, 5, 6), data="integers zero-mean", epsilon=0.25, **moments)
    computed = {"channels": 3, "gamma": W((3,)), "beta": W((3,)), "compute_mean_var": True}
    yield from layer("batchnorm", "computed", (2, 3, 5, 4), data="zero-mean wide", epsilon=0.5, **computed)
    yield from layer(
        "batchnorm",
        "instance",
        (2, 3, 5, 4),
        data="zero-mean wide",
        epsilon=0.5,
        instance_normalization=True,
        **computed,
    )
    yield from layer(
        "batchnorm",
        "instance-default-epsilon",
        _X,
        data="zero-mean",
        domain=lambda x: x / 256,
        instance_normalization=True,
        **computed,
    )

    for across in (False, True):
        for variance in (False, True):
            label = f"{'all' if across else 'each'}-channel{'-variance' if variance else ''}"
            yield from layer(
                "mvn",
                label,
                _X,
                data="integers zero-mean wide",
                across_channels=across,
                normalize_variance=variance,
                epsilon=0.25,
            )
    yield from layer("mvn", "default-epsilon", _X, data="zero-mean", domain=lambda x: x / 512, normalize_variance=True)
    yield from layer("mvn", "rank-5", (2, 4, 3, 5, 6), data="zero-mean", normalize_variance=True, across_channels=True)
    yield from layer("l2normalize", "epsilon", _X, data=_DATA, epsilon=0.25)
    yield from layer("l2normalize", "default-epsilon", _X, data="zero-mean", domain=lambda x: x / 4096)
    yield from layer("l2normalize", "rank-5", (2, 4, 3, 5, 6), data="integers zero-mean", epsilon=0.25)
    x = (7, 3, 4)
    yield from layer("lrn", "odd", x, data=_DATA, local_size=3, alpha=0.5, beta=0.75, k=2)
    yield from layer("lrn", "even", x, data="zero-mean wide", local_size=4, alpha=0.75, beta=0.5, k=1.5)
    yield from layer("lrn", "default-k", x, data="zero-mean", local_size=5, alpha=0.5, beta=1.25)
    yield from layer("lrn", "whole", x, data="zero-mean", local_size=20, alpha=0.5, beta=0.75, k=1)

    for label, shape in {"last": (5,), "last-two": (4, 5)}.items():
        yield from layer(
            "layerNormalization",
            label,
            (3, 4, 5),
            data="integers zero-mean wide",
            eps=0.125,
            normalized_shape=list(shape),
            gamma=W(shape),
            beta=W(shape),
        )
    yield from layer(
        "layerNormalization",
        "no-epsilon-small",
        (2, 4, 5),
        data="zero-mean",
        domain=lambda x: x / 4096,
        normalized_shape=[5],
        gamma=W((5,)),
        beta=W((5,)),
    )
    yield from layer(
        "layerNormalization",
        "no-epsilon",
        (2, 4, 5),
        data="zero-mean",
        normalized_shape=[4, 5],
        gamma=W((4, 5)),
        beta=W((4, 5)),
    )
