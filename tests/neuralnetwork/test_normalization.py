"""Normalization layers: softmax, batchnorm, mvn, l2normalize, lrn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support import integers, one_layer, run_layer

from refcoreml.errors import InvalidModelError

PRECISIONS = ["float32", "float64"]
SHAPES = [(2, 3, 4, 5, 6), (3, 4, 5, 6)]


def unit(y):
    return np.finfo(y.dtype).eps / 2


def _parameters(count, **fields):
    given = {"gamma": integers((count,), 1), "beta": integers((count,), 2), "channels": count}
    return {**given, **fields}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("epsilon", [0, 0.75])
@pytest.mark.clause("batchnorm.S1", "batchnorm.S3")
def test_batchnorm(shape, epsilon, precision):
    x, mean, variance = integers(shape), integers((4,), 3), np.array([0.25, 1.0, 3.25, 8.25])
    p = _parameters(4, mean=mean, variance=variance, epsilon=epsilon)
    y = run_layer("batchnorm", x, rank5=len(shape) == 5, precision=precision, **p)
    for index, value in np.ndenumerate(x):
        c = index[-3]
        expected = p["gamma"][c] * (value - mean[c]) / math.sqrt(variance[c] + (epsilon or 1e-5))
        # The terms of the last sum are at most 32 * 2 and 4; three roundings before it, itself the fourth
        assert abs(y[index] - (expected + p["beta"][c])) <= unit(y) * (4 * abs(expected) + abs(p["beta"][c]) + 1e-9)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("instance", [False, True])
@pytest.mark.parametrize("epsilon", [0, 0.5])
@pytest.mark.clause("batchnorm.S2", "batchnorm.S3")
def test_batchnorm_with_computed_statistics(shape, instance, epsilon, precision):
    x = integers(shape)
    p = _parameters(4, computeMeanVar=True, instanceNormalization=instance, epsilon=epsilon)
    y = run_layer("batchnorm", x, rank5=len(shape) == 5, precision=precision, **p)
    groups = {}
    for index, value in np.ndenumerate(x):
        groups.setdefault((index[-3], index[:-3] if instance else ()), []).append(value)
    for index, value in np.ndenumerate(x):
        values = groups[index[-3], index[:-3] if instance else ()]
        mean = math.fsum(values) / len(values)
        variance = math.fsum((v - mean) ** 2 for v in values) / len(values)
        factor = p["gamma"][index[-3]] / math.sqrt(variance + (epsilon or 1e-5))
        expected = factor * (value - mean) + p["beta"][index[-3]]
        # Values up to 8, deviations near 2.6: a mean within 2 ulp of 4, a variance within 180 roundings
        assert abs(y[index] - expected) <= unit(y) * (100 * abs(factor * (value - mean)) + 8 * abs(factor) + 4)


@pytest.mark.clause("batchnorm.S2")
def test_stored_statistics_are_not_those_of_an_instance():
    x = integers((2, 4, 5, 3))
    p = _parameters(4, mean=integers((4,), 3), variance=np.array([0.25, 1.0, 3.25, 8.25]))
    y = run_layer("batchnorm", x, rank5=False, instanceNormalization=True, **p)
    np.testing.assert_array_equal(y, run_layer("batchnorm", x, rank5=False, **p))


@pytest.mark.clause("batchnorm.U1")
def test_batchnorm_of_mixed_precisions():
    x = integers((4, 5, 3))
    p = _parameters(4, mean=integers((4,), 3), variance=np.array([0.25, 1.0, 3.25, 8.25]))
    mixed = p | {"gamma": np.array(p["gamma"], np.float16), "variance": p["variance"].astype(np.float16)}
    y = run_layer("batchnorm", x, rank5=False, **mixed)
    np.testing.assert_array_equal(y, run_layer("batchnorm", x, rank5=False, **p))


def test_torch_agrees_on_batchnorm():
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    x = np.random.default_rng(0).normal(1, 3, (3, 4, 5, 6))
    p = _parameters(4, computeMeanVar=True, instanceNormalization=True, epsilon=0.01)
    weight, bias = torch.from_numpy(p["gamma"]), torch.from_numpy(p["beta"])
    theirs = torch.nn.functional.instance_norm(torch.from_numpy(x), weight=weight, bias=bias, eps=0.01)
    y = run_layer("batchnorm", x, rank5=False, precision="float64", **p)
    # epsilon travels as a float32, which moves the result by about 2^-25 * 0.01 / variance
    np.testing.assert_allclose(y, theirs.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("shape", "fields", "message"),
    [
        ((1, 2, 4, 5, 6), {"channels": 0}, "channels is 0"),
        ((1, 2, 4, 5, 6), {"gamma": np.zeros(3)}, "gamma: holds 3 values"),
        ((1, 2, 4, 5, 6), {"channels": 2**60}, "gamma: holds 4 values"),
        ((1, 2, 4, 5, 6), {}, "mean: holds 0 values"),
        ((1, 2, 5, 4, 6), {"computeMeanVar": True}, r"\(1, 2, 5, 4, 6\) has 5 channels, expected 4"),
        ((5, 4), {"computeMeanVar": True}, "rank 3 or more"),
    ],
)
@pytest.mark.clause("batchnorm.C1")
def test_batchnorm_errors(shape, fields, message):
    with pytest.raises(InvalidModelError, match=rf"\(batchnorm\).*{message}"):
        run_layer("batchnorm", integers(shape), rank5=len(shape) == 5, **_parameters(4, **fields))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [*SHAPES, (4, 5, 6)])
@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("variance", [False, True])
@pytest.mark.parametrize("epsilon", [0, 0.5])
@pytest.mark.clause("mvn.S1", "mvn.S2", "mvn.S3", "mvn.U1")
def test_mvn(shape, across, variance, epsilon, precision):
    x = integers(shape)
    fields = {"acrossChannels": across, "normalizeVariance": variance, "epsilon": epsilon}
    y = run_layer("mvn", x, rank5=len(shape) == 5, precision=precision, **fields)
    kept = len(shape) - (3 if across else 2)
    for index in np.ndindex(shape[:kept]):
        values = x[index].reshape(-1).tolist()
        mean = math.fsum(values) / len(values)
        root = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values) + (epsilon or 1e-6))
        expected = np.array([(v - mean) / (root if variance else 1) for v in values])
        # A mean within 2 ulp of 4; a variance within 120 roundings
        np.testing.assert_allclose(y[index].reshape(-1), expected, rtol=70 * unit(y), atol=8 * unit(y))


@pytest.mark.clause("mvn.U2")
def test_mvn_as_layer_norm_of_a_matrix():
    x = integers((4, 1, 6))
    y = run_layer("mvn", x, rank5=False, precision="float64", normalizeVariance=True)
    for row, out in zip(x[:, 0], y[:, 0], strict=True):
        np.testing.assert_allclose(out, (row - row.mean()) / np.sqrt(row.var() + 1e-6), rtol=1e-9)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [*SHAPES, (4, 5, 6)])
@pytest.mark.parametrize("epsilon", [0, 5.75])
@pytest.mark.clause("l2normalize.S1", "l2normalize.S2")
def test_l2_normalize(shape, epsilon, precision):
    x = integers(shape)
    y = run_layer("l2normalize", x, rank5=len(shape) == 5, precision=precision, epsilon=epsilon)
    for index in np.ndindex(shape[:-3]):
        norm = math.sqrt(sum(v * v for v in x[index].reshape(-1).tolist()) + (epsilon or 1e-6))
        np.testing.assert_allclose(y[index], x[index] / norm, rtol=4 * unit(y))


@pytest.mark.clause("l2normalize.S2")
def test_l2_normalize_of_zeros():
    np.testing.assert_array_equal(run_layer("l2normalize", np.zeros((1, 1, 2, 3, 4))), 0)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [*SHAPES, (4, 5, 6)])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 2**60])
@pytest.mark.parametrize("k", [0, 2.5])
@pytest.mark.clause("lrn.S1", "lrn.S2", "lrn.S3", "lrn.U1")
def test_lrn(shape, size, k, precision):
    x = integers(shape)
    fields = {"localSize": size, "alpha": 0.5, "beta": 0.75, "k": k}
    y = run_layer("lrn", x, rank5=len(shape) == 5, precision=precision, **fields)
    channels = shape[-3]
    for index, value in np.ndenumerate(x):
        *lead, c, h, w = index
        window = range(max(c - size // 2, 0), min(c + (size - 1) // 2 + 1, channels))
        total = sum(x[(*lead, j, h, w)] ** 2 for j in window)
        expected = value / ((k or 1) + 0.5 / size * total) ** 0.75
        assert abs(y[index] - expected) <= 6 * unit(y) * abs(expected)


@pytest.mark.parametrize(("fields", "message"), [({}, "localSize is 0"), ({"localSize": 3, "k": -1}, "k is -1.0")])
@pytest.mark.clause("lrn.C1")
def test_lrn_errors(fields, message):
    with pytest.raises(InvalidModelError, match=message):
        run_layer("lrn", integers((1, 1, 2, 3, 4)), **fields)


@pytest.mark.parametrize(("kind", "fields"), [("mvn", {}), ("l2normalize", {}), ("lrn", {"localSize": 3})])
@pytest.mark.clause("mvn.C1", "l2normalize.C1", "lrn.C1")
def test_rank_3_is_needed(kind, fields):
    with pytest.raises(
        InvalidModelError, match=rf"\({kind}\): expected an input \[\*, C, H, W\] of rank 3 or more, got \(3, 4\)"
    ):
        run_layer(kind, integers((3, 4)), rank5=False, **fields)


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        # What Apple's tests of these layers expect of the framework, to the digits that they give
        (
            "l2normalize",
            {"epsilon": 1e-10},
            [[0.08304548, -0.58131838], [0.41522741, -0.4982729], [-0.24913645, -0.41522741]],
        ),
        (
            "lrn",
            {"localSize": 3, "alpha": 1e-4, "beta": 0.75, "k": 1},
            [[0.99997497, -6.99143696], [4.99687672, -5.99460602], [-2.99932504, -4.99687672]],
        ),
        (
            "lrn",
            {"localSize": 2, "alpha": 1e-4, "beta": 0.75, "k": 1},
            [[0.99996257, -6.98716545], [4.99531746, -5.99191284], [-2.99898791, -4.99531746]],
        ),
    ],
)
@pytest.mark.clause("l2normalize.S1", "lrn.S1", "lrn.S3", "lrn.U1")
def test_apples_values_for_rank_3(kind, fields, expected):
    x = [[[1.0, -7.0], [5.0, -6.0], [-3.0, -5.0]]]
    y = run_layer(kind, x, rank5=False, **fields)
    np.testing.assert_allclose(y[0], expected, rtol=2e-7)


@pytest.mark.parametrize(
    ("shape", "axis"), [((2, 3, 4, 5, 6), -3), ((3, 4, 5, 6), -3), ((4, 5, 6), -1), ((5, 6), -1), ((5,), -1)]
)
@pytest.mark.clause("softmax.S1", "softmax.U1", "softmax.U2")
def test_softmax(shape, axis):
    x = integers(shape)
    y = run_layer("softmax", x, rank5=len(shape) == 5, precision="float64")
    powers = np.exp(x)
    np.testing.assert_allclose(y, powers / powers.sum(axis, keepdims=True), rtol=20 * 2**-53)


def test_infinite_parameters_are_prepared_in_silence():
    """What follows from them is NaN, as in a prediction, and no warning of NumPy's."""
    infinite = np.array([np.inf, 1.0], np.float32)
    parameters = {"gamma": [0, 1], "beta": [2, 3], "mean": infinite, "variance": [4, 5]}
    fields = {name: np.array(values, np.float32) for name, values in parameters.items()}
    y = one_layer("batchnorm", channels=2, **fields).run({"x0": np.ones((1, 1, 2, 3, 4), np.float32)})["y0"]
    assert np.isnan(y[0, 0, 0]).all()
    assert np.isfinite(y[0, 0, 1]).all()
