"""The random layers: the right distribution, shapes, seeds and errors; the numbers are tested with the kernels."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from support import one_layer, run_layer

from refcoreml.errors import InputError, InvalidModelError

run_layer = partial(run_layer, rank5=False)

#: Parameters, mean and variance.
DISTRIBUTIONS = {
    "randomNormal": ({"mean": 3.0, "stdDev": 2.0}, 3, 4),
    "randomUniform": ({"minVal": -1.0, "maxVal": 5.0}, 2, 3),
    "randomBernoulli": ({"prob": 0.25}, 0.25, 0.1875),
}


def _run(kind, shape, **fields):
    """The like form; checks that the others draw the same numbers."""
    y = run_layer(f"{kind}Like", np.full(shape, np.nan), **fields)
    z = run_layer(f"{kind}Static", outputShape=shape, **fields)
    w = run_layer(f"{kind}Dynamic", shape, static=False, **fields)
    if fields.get("seed", 0) >= 0:
        np.testing.assert_array_equal(y, z)
        np.testing.assert_array_equal(y, w)
    else:
        assert (y != z).any()
        assert (z != w).any()
    assert y.shape == z.shape == w.shape == shape
    return y


@pytest.mark.clause("randomNormalLike.S1", "randomNormalLike.S2", "randomUniformLike.S1", "randomUniformLike.S2")
@pytest.mark.clause("randomBernoulliLike.S1", "randomBernoulliLike.S2", "randomNormalStatic.S1")
@pytest.mark.clause("randomNormalStatic.S2", "randomUniformStatic.S1", "randomUniformStatic.S2")
@pytest.mark.clause("randomBernoulliStatic.S1", "randomBernoulliStatic.S2", "randomNormalDynamic.S1")
@pytest.mark.clause("randomNormalDynamic.S2", "randomUniformDynamic.S1", "randomUniformDynamic.S2")
@pytest.mark.clause("randomBernoulliDynamic.S1", "randomBernoulliDynamic.S2")
@pytest.mark.parametrize("shape", [(40000,), (200, 201), (20, 40, 51), (5, 6, 30, 41), (3, 4, 5, 25, 26)])
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_moments(kind, shape):
    fields, mean, variance = DISTRIBUTIONS[kind]
    y = _run(kind, shape, seed=42, **fields)
    # 4 standard deviations of the estimates; the fourth central moment of all three is at most 3 variance^2 * 2
    assert abs(y.mean(dtype=np.float64) - mean) < 4 * np.sqrt(variance / y.size)
    assert abs(y.var(dtype=np.float64) - variance) < 4 * np.sqrt(6 * variance**2 / y.size)


@pytest.mark.clause("randomNormalLike.U3", "randomNormalLike.U1", "randomNormalLike.U2", "randomUniformLike.U3")
@pytest.mark.clause("randomUniformLike.U1", "randomUniformLike.U2", "randomBernoulliLike.U3", "randomBernoulliLike.U1")
@pytest.mark.clause("randomBernoulliLike.U2", "randomNormalStatic.U3", "randomNormalStatic.U1", "randomNormalStatic.U2")
@pytest.mark.clause("randomUniformStatic.U3", "randomUniformStatic.U1", "randomUniformStatic.U2")
@pytest.mark.clause("randomBernoulliStatic.U3", "randomBernoulliStatic.U1", "randomBernoulliStatic.U2")
@pytest.mark.clause("randomNormalDynamic.U4", "randomNormalDynamic.U1", "randomNormalDynamic.U2")
@pytest.mark.clause("randomUniformDynamic.U4", "randomUniformDynamic.U1", "randomUniformDynamic.U2")
@pytest.mark.clause("randomBernoulliDynamic.U4", "randomBernoulliDynamic.U1", "randomBernoulliDynamic.U2")
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_seeds(kind):
    fields = DISTRIBUTIONS[kind][0]
    draw = partial(_run, kind, (30, 5), **fields)
    np.testing.assert_array_equal(draw(seed=7), draw(seed=7))
    assert (draw(seed=7) != draw(seed=8)).any()
    assert (draw(seed=-1) != draw(seed=-1)).any()
    np.testing.assert_array_equal(draw(), draw(seed=0))  # an unset number reads 0
    draw(seed=2**63 - 1)
    draw(seed=-(2**63))


@pytest.mark.clause("randomNormalStatic.U3", "randomUniformStatic.U3", "randomBernoulliStatic.U3")
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_every_prediction_draws_anew_from_the_seed(kind):
    network = one_layer(f"{kind}Static", 0, outputShape=[100], seed=3, **DISTRIBUTIONS[kind][0])
    np.testing.assert_array_equal(network.run({})["y0"], network.run({})["y0"])


@pytest.mark.clause("randomBernoulliLike.U1", "randomBernoulliStatic.U1", "randomBernoulliDynamic.U1")
@pytest.mark.clause(
    "randomNormalLike.U1",
    "randomNormalStatic.U1",
    "randomNormalDynamic.U1",
    "randomUniformLike.U1",
    "randomUniformStatic.U1",
    "randomUniformDynamic.U1",
)
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_all_arithmetics_see_the_same_numbers(kind):
    fields = {"seed": 5, **DISTRIBUTIONS[kind][0]}
    double = _run(kind, (50, 3), precision="float64", **fields)
    np.testing.assert_array_equal(_run(kind, (50, 3), **fields), double.astype(np.float32))


@pytest.mark.clause("randomNormalLike.C1", "randomUniformLike.C1", "randomBernoulliLike.C1", "randomNormalStatic.C1")
@pytest.mark.clause("randomUniformStatic.C1", "randomBernoulliStatic.C1", "randomNormalDynamic.C1")
@pytest.mark.clause("randomUniformDynamic.C1", "randomBernoulliDynamic.C1")
@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("randomNormal", {"stdDev": -1.0}, "stdDev -1.0"),
        ("randomNormal", {"mean": np.nan}, "mean is nan"),
        ("randomUniform", {"minVal": 2.0, "maxVal": 1.0}, "minVal is 2.0, maxVal 1.0"),
        ("randomUniform", {"maxVal": np.inf}, "maxVal inf"),
        ("randomBernoulli", {"prob": 1.5}, "prob is 1.5, expected 0 to 1"),
        ("randomBernoulli", {"prob": -0.5}, "prob is -0.5"),
        ("randomBernoulli", {"prob": np.nan}, "prob is nan"),
    ],
)
def test_errors(kind, fields, message):
    for form, inputs, more in ("Like", 1, {}), ("Static", 0, {"outputShape": [2]}), ("Dynamic", 1, {}):
        with pytest.raises(InvalidModelError, match=rf"\({kind}{form}\).*{message}"):
            one_layer(kind + form, inputs, **fields, **more)


@pytest.mark.clause("randomNormalStatic.C2", "randomUniformStatic.C2", "randomBernoulliStatic.C2")
@pytest.mark.clause("randomNormalDynamic.C2", "randomUniformDynamic.C2", "randomBernoulliDynamic.C2")
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_shapes_that_are_none(kind):
    fields = DISTRIBUTIONS[kind][0]
    for shape in [], [0, 2], [1] * 6:
        with pytest.raises(InvalidModelError, match=rf"\({kind}Static\): outputShape is .*, expected 1 to 5 numbers"):
            one_layer(f"{kind}Static", 0, outputShape=shape, **fields)
    run = partial(run_layer, f"{kind}Dynamic", static=False, **fields)
    for blob in [[2, 3]], [1] * 6:
        with pytest.raises(InvalidModelError, match=r"expected a vector of 1 to 5 numbers"):
            run(blob)
    for blob, said in ([0, 2], "requests the shape"), ([np.nan], "holds .*nan"), ([2.0**30, 2.0**30], "bytes, limit"):
        with pytest.raises(InputError, match=said):
            run(blob)


@pytest.mark.clause("randomNormalDynamic.U3", "randomUniformDynamic.U3", "randomBernoulliDynamic.U3")
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_fractions_of_a_shape_are_cut_off(kind):
    assert run_layer(f"{kind}Dynamic", [2.9, 3.5], static=False, **DISTRIBUTIONS[kind][0]).shape == (2, 3)


def _counts(y, classes):
    return np.stack([np.bincount(row.astype(int), minlength=classes) for row in y.reshape(-1, y.shape[-1])])


@pytest.mark.clause("categoricalDistribution.S1", "categoricalDistribution.S2", "categoricalDistribution.S3")
@pytest.mark.parametrize("shape", [(4,), (2, 4), (1, 2, 4), (2, 1, 1, 4), (1, 2, 1, 1, 4)])
def test_categorical(shape):
    samples = 20_000
    probabilities = np.random.default_rng(0).random(shape)
    probabilities /= probabilities.sum(-1, keepdims=True)
    for x, logits, temperature in [
        (probabilities, False, 0.0),
        (3 * probabilities, False, 1.0),  # what counts is their ratio
        (np.log(probabilities) + 50, True, 1.0),
        (np.log(probabilities) * 2 - 3, True, 2.0),
        (probabilities**2, False, 2.0),
    ]:
        fields = {"numSamples": samples, "isLogits": logits, "temperature": temperature, "seed": 1}
        y = run_layer("categoricalDistribution", x, precision="float64", **fields)
        assert y.shape == (*shape[:-1], samples)
        p = probabilities.reshape(-1, 4)
        assert (np.abs(_counts(y, 4) / samples - p) < 4 * np.sqrt(p * (1 - p) / samples)).all()


@pytest.mark.clause("categoricalDistribution.S4", "categoricalDistribution.U3")
def test_categorical_epsilon_and_impossible_classes():
    fields = {"numSamples": 5000, "seed": 2}
    y = run_layer("categoricalDistribution", [0, 1, 0, 3], **fields)
    assert set(np.unique(y)) == {1, 3}  # 1e-10 is never drawn in 5000 times
    y = run_layer("categoricalDistribution", [0, 1, 0, 3], eps=1e6, **fields)
    counts = _counts(y, 4)[0] / 5000
    assert (np.abs(counts - 0.25) < 4 * np.sqrt(0.1875 / 5000)).all()
    y = run_layer("categoricalDistribution", [-np.inf, 1e30, -1e30, 1e30], isLogits=True, **fields)
    assert set(np.unique(y)) == {1, 3}


@pytest.mark.clause("categoricalDistribution.U1", "categoricalDistribution.U4", "categoricalDistribution.U5")
def test_categorical_seeds():
    draw = partial(run_layer, "categoricalDistribution", np.ones((3, 9)), numSamples=50)
    np.testing.assert_array_equal(draw(seed=1), draw(seed=1))
    assert (draw(seed=-1) != draw(seed=-1)).any()
    np.testing.assert_array_equal(draw(), draw(seed=0))  # an unset number reads 0


@pytest.mark.clause("categoricalDistribution.C2")
def test_class_numbers_stay_exact():
    build = partial(one_layer, "categoricalDistribution", numSamples=2, rank5=False)
    assert build().shapes({"x0": (3, 2**24)})["y0"] == (3, 2)
    with pytest.raises(InvalidModelError, match="along an axis of 16777217 elements, but float32 names only 16777216"):
        build().shapes({"x0": (3, 2**24 + 1)})
    build(precision="float64").shapes({"x0": (3, 2**24 + 1)})


@pytest.mark.clause("categoricalDistribution.C1")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"numSamples": 0}, "numSamples is 0"),
        ({"numSamples": -5}, "numSamples is -5"),
        ({"numSamples": 2, "temperature": -1}, "temperature is -1"),
        ({"numSamples": 2, "eps": -1}, "eps -1"),
        ({"numSamples": 2, "eps": np.nan}, "eps nan"),
        ({"numSamples": 2, "eps": np.inf}, "eps inf"),
        ({"numSamples": 2, "temperature": np.inf}, "temperature is inf"),
        ({"numSamples": 2**62}, "bytes, limit"),
    ],
)
def test_categorical_errors(fields, message):
    with pytest.raises(InvalidModelError, match=rf"\(categoricalDistribution\).*{message}"):
        run_layer("categoricalDistribution", np.ones((2, 3)), **fields)


@pytest.mark.clause("categoricalDistribution.U2")
@pytest.mark.parametrize(
    ("row", "logits"),
    [
        ([-1, 2, 3], False),
        ([np.nan, 1, 1], False),
        ([np.inf, 1, 1], False),
        ([np.nan, 1, 1], True),
        ([np.inf, 0, 0], True),
        ([-np.inf] * 3, True),
    ],
)
def test_categorical_input_that_is_no_distribution(row, logits):
    with pytest.raises(InputError, match=r"holds no valid (logits|probabilities) at \(1,\)"):
        run_layer("categoricalDistribution", [[1, 2, 3], row], numSamples=2, isLogits=logits)
