"""softmaxND and layerNormalization."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import integers, one_layer, run_layer

from refcoreml.errors import InvalidModelError
from refcoreml.spec import schema

run_layer = partial(run_layer, rank5=False)

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple)


@pytest.mark.clause("softmaxND.S1")
@settings(max_examples=50)
@given(SHAPES, st.data(), st.integers(0, 9))
def test_softmax(shape, data, seed):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = integers(shape, seed)
    y = run_layer("softmaxND", x, precision="float64", axis=axis)
    for place in np.ndindex(*shape):
        line = (slice(None) if k == axis % len(shape) else i for k, i in enumerate(place))
        total = sum(math.exp(v - x[place]) for v in x[tuple(line)].tolist())
        # Up to 5 terms of a few ulp each, in either computation
        assert abs(y[place] * total - 1) < 40 * 2**-53


@pytest.mark.clause("softmaxND.S2")
def test_softmax_of_large_numbers():
    np.testing.assert_array_equal(run_layer("softmaxND", [[1e8, 0, -1e8], [3e38, 3e38, 0]], axis=1)[0], [1, 0, 0])


@pytest.mark.clause("softmaxND.C1")
def test_softmax_errors():
    for axis in 2, -3, 2**63 - 1:
        with pytest.raises(InvalidModelError, match=rf"\(softmaxND\).*axis is {axis}, expected -2 to 1"):
            run_layer("softmaxND", np.ones((2, 3)), axis=axis)


@pytest.mark.clause("layerNormalization.S1")
@settings(max_examples=50)
@given(st.permutations([2, 3, 4, 5, 1]), st.integers(1, 5), st.data(), st.integers(0, 9))
def test_layer_normalization(dims, rank, data, seed):
    shape = tuple(dims[:rank])
    normalized = shape[-data.draw(st.integers(1, rank)) :]
    x = integers(shape, seed)
    gamma, beta = integers(normalized, seed + 1), integers(normalized, seed + 2)
    y = run_layer(
        "layerNormalization", x, precision="float64", normalizedShape=normalized, gamma=gamma, beta=beta, eps=0.25
    )
    count = math.prod(normalized)
    for block, result in zip(x.reshape(-1, count), y.reshape(-1, count), strict=True):
        mean = math.fsum(block) / count
        variance = math.fsum((v - mean) ** 2 for v in block) / count
        for v, g, b, r in zip(block, gamma.ravel(), beta.ravel(), result, strict=True):
            # Numbers of at most 5, so that |x - mean| is below 10, its quotient with the root of 0.25 below 20, and the
            # product with gamma below 80; sums of up to 120 numbers, added in pairs or in order.
            assert abs(r - (g * (v - mean) / math.sqrt(variance + 0.25) + b)) < 120 * 80 * 2**-52


@pytest.mark.clause("layerNormalization.S1")
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_layer_normalization_against_torch(precision):
    torch = pytest.importorskip("torch", reason="torch gives a third opinion on layer normalization")
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 7))
    gamma, beta = np.random.default_rng(1).standard_normal((2, 5, 7)).astype(np.float32)
    y = run_layer("layerNormalization", x, precision=precision, normalizedShape=(5, 7), gamma=gamma, beta=beta, eps=0.5)
    parameters = [torch.from_numpy(p.astype(np.float64)) for p in (gamma, beta)]
    expected = torch.nn.functional.layer_norm(torch.from_numpy(x), (5, 7), *parameters, 0.5).numpy()
    # x, its mean and its spread each have some roundings; |x|, |gamma| and 1 / sqrt(0.5) are below 4, 4 and 1.5
    unit = np.finfo(y.dtype).eps
    np.testing.assert_allclose(y, expected, rtol=0, atol=35 * 4 * 4 * 1.5 * unit)


@pytest.mark.clause("layerNormalization.S2")
def test_unset_epsilon_is_0():
    y = run_layer("layerNormalization", [[1.0, 3.0]], normalizedShape=[2], gamma=np.ones(2), beta=np.zeros(2))
    np.testing.assert_array_equal(y, [[-1, 1]])


@pytest.mark.clause("layerNormalization.U2")
def test_parameters_of_layer_normalization_in_half_precision():
    gamma, beta = np.array([1, 0.5, -2], np.float16), np.array([0.25, 0, 3], np.float16)
    fields = {"normalizedShape": [3], "eps": 0.5}
    y = run_layer("layerNormalization", integers((2, 3)), gamma=gamma, beta=beta, **fields)
    wide = {"gamma": gamma.astype(np.float32), "beta": beta.astype(np.float32)}
    np.testing.assert_array_equal(y, run_layer("layerNormalization", integers((2, 3)), **wide, **fields))


@pytest.mark.clause("layerNormalization.C1", "layerNormalization.C2", "layerNormalization.C3")
def test_layer_normalization_errors():
    def run(shape, normalized, gamma, beta=None):
        return run_layer(
            "layerNormalization",
            np.ones(shape),
            normalizedShape=normalized,
            gamma=gamma,
            beta=np.ones(gamma.shape) if beta is None else beta,
        )

    with pytest.raises(InvalidModelError, match=r"of the lengths \(3, 4\) along the axes \(-2, -1\), got \(2, 4, 3\)"):
        run((2, 4, 3), (3, 4), np.ones(12))
    with pytest.raises(InvalidModelError, match=r"lengths \(2, 3\) along the axes \(-2, -1\), got \(3,\)"):
        run((3,), (2, 3), np.ones(6))
    with pytest.raises(InvalidModelError, match=r"normalizedShape is \(\)"):
        run((3,), (), np.ones(6))
    with pytest.raises(InvalidModelError, match=r"normalizedShape is \(-3,\)"):
        run((3,), (-3,), np.ones(3))
    with pytest.raises(InvalidModelError, match=r"gamma.*holds 4 values"):
        run((3,), (3,), np.ones(4))
    with pytest.raises(InvalidModelError, match=r"beta.*holds 2 values"):
        run((3,), (3,), np.ones(3), np.ones(2))
    with pytest.raises(InvalidModelError, match=r"beta.*holds 0 values"):
        one_layer("layerNormalization", normalizedShape=[3], gamma=np.ones(3))
    quantized = schema.WeightParams(rawValue=b"abc")
    quantized.quantization.numberOfBits = 8
    quantized.quantization.linearQuantization.scale.append(1)
    with pytest.raises(InvalidModelError, match=r"beta are quantized \(linear\)"):
        one_layer("layerNormalization", normalizedShape=[3], gamma=np.ones(3), beta=quantized)
