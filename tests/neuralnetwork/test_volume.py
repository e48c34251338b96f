"""Convolution and pooling over depth, height and width."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import integers, one_layer, run_layer

from refcoreml import definitions
from refcoreml.errors import InvalidModelError
from refcoreml.kernels.conv3d import Convolution3d, Deconvolution3d
from refcoreml.spec import schema

run_layer = partial(run_layer, rank5=False)

_AXES = ("Depth", "Height", "Width")
_SIDES = ("Front", "Back", "Top", "Bottom", "Left", "Right")


def _triples(**prefixes):
    return {f"{prefix}{axis}": n for prefix, triple in prefixes.items() for axis, n in zip(_AXES, triple, strict=True)}


def _padding(border):
    return {f"customPadding{side}": n for side, n in zip(_SIDES, [n for pair in border for n in pair], strict=True)}


def _fields(x, weights, bias=None, *, groups=1, stride=(1, 1, 1), dilation=(1, 1, 1), deconvolves=False, **fields):
    outputs = weights.shape[1] * groups if deconvolves else len(weights)
    if bias is not None:
        fields |= {"hasBias": True, "bias": bias}
    return {
        "inputChannels": x.shape[1],
        "outputChannels": outputs,
        "nGroups": groups,
        "isDeconvolution": deconvolves,
        "weights": weights,
        **_triples(kernel=weights.shape[2:], stride=stride, dilation=dilation),
        **fields,
    }


def _convolution(x, weights, bias=None, **fields):
    return run_layer("convolution3d", x, **_fields(x, weights, bias, **fields))


STRIDE, DILATION = (1, 2, 3), (2, 1, 1)
OPTIONS = {"stride": STRIDE, "dilation": DILATION}
X = integers((2, 4, 5, 6, 7))
BORDER = ((0, 1), (2, 0), (1, 3))


@pytest.mark.clause("convolution3d.S1", "convolution3d.S2", "convolution3d.S3", "convolution3d.S4")
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("groups", [1, 2])
def test_convolution(groups, precision):
    weights, bias = integers((6, 4 // groups, 2, 3, 1), seed=1), integers((6,), seed=2)
    run = partial(_convolution, X, weights, bias, groups=groups, precision=precision, **OPTIONS)
    expected = Convolution3d(weights, bias, groups=groups, **OPTIONS)
    np.testing.assert_array_equal(run(**_padding(BORDER)), expected(X, BORDER))
    np.testing.assert_array_equal(run(paddingType="VALID", **_padding(BORDER)), expected(X))
    # ceil(size / stride): 5, 3, 3; that needs 2, 1, 0 voxels of padding, an odd one at the end
    same = run(paddingType="SAME")
    assert same.shape == (2, 6, 5, 3, 3)
    np.testing.assert_array_equal(same, expected(X, ((1, 1), (0, 1), (0, 0))))
    np.testing.assert_array_equal(
        _convolution(X, weights, groups=groups, paddingType="VALID"), Convolution3d(weights, groups=groups)(X)
    )


@pytest.mark.clause("convolution3d.S5", "convolution3d.U1", "convolution3d.U2", "convolution3d.U3")
@pytest.mark.parametrize("groups", [1, 2])
def test_deconvolution(groups):
    weights, bias = integers((4, 6 // groups, 2, 3, 1), seed=1), integers((6,), seed=2)
    run = partial(_convolution, X, weights, bias, groups=groups, deconvolves=True, **OPTIONS)
    expected = Deconvolution3d(weights, bias, groups=groups, **OPTIONS)
    np.testing.assert_array_equal(run(**_padding(BORDER)), expected(X, BORDER))
    np.testing.assert_array_equal(run(paddingType="VALID"), expected(X))
    # size * stride: 5, 12, 21 of the full 7, 13, 19
    same = run(paddingType="SAME")
    assert same.shape == (2, 6, 5, 12, 21)
    np.testing.assert_array_equal(same, expected(X, ((1, 1), (0, 1), (0, -2))))
    # What agrees with the padding is cropped by the padding, what does not is cropped evenly.
    full = [n - a - b for n, (a, b) in zip((7, 13, 19), BORDER, strict=True)]
    np.testing.assert_array_equal(run(outputShape=full, **_padding(BORDER)), expected(X, BORDER))
    np.testing.assert_array_equal(
        run(outputShape=[4, 11, 21], **_padding(BORDER)), expected(X, ((1, 2), (1, 1), (0, -2)))
    )


@pytest.mark.clause("convolution3d.S5", "convolution3d.U1")
def test_deconvolution_against_torch():
    torch = pytest.importorskip("torch", reason="torch gives a third opinion on deconvolutions")
    weights = integers((4, 3, 2, 3, 1), seed=1)
    # The layout of the weights is torch's.
    expected = torch.nn.functional.conv_transpose3d(
        torch.from_numpy(X), torch.from_numpy(weights), None, STRIDE, (0, 1, 0), 0, 2, DILATION
    ).numpy()
    y = _convolution(
        X,
        weights,
        groups=2,
        deconvolves=True,
        **OPTIONS,
        **_padding(((0, 0), (1, 1), (0, 0))),
        outputShape=expected.shape[2:],
    )
    np.testing.assert_array_equal(y, expected)


@pytest.mark.clause("convolution3d.U4")
def test_weights_and_bias_of_mixed_precisions():
    weights, bias = integers((6, 4, 2, 3, 1), seed=1), integers((6,), seed=2)
    expected = _convolution(X, weights, bias, paddingType="VALID")
    for types in (np.float16, np.float32), (np.float32, np.float16):
        y = _convolution(X, weights.astype(types[0]), bias.astype(types[1]), paddingType="VALID")
        np.testing.assert_array_equal(y, expected)


@pytest.mark.clause("convolution3d.S3")
def test_same_padding_as_the_specification_shows_it():
    y = _convolution(np.ones((1, 3, 3, 8, 8)), np.ones((2, 3, 3, 3, 3)), stride=(2, 2, 2), paddingType="SAME")
    assert y.shape == (1, 2, 2, 4, 4)
    # Depth is padded by 1 and 1, height and width by 0 and 1.
    assert y[0, 0, 0, 0, 0] == 3 * 2 * 3 * 3
    assert y[0, 0, 1, 3, 3] == 3 * 2 * 2 * 2


@pytest.mark.clause("convolution3d.C1", "convolution3d.C2", "convolution3d.C3")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inputChannels": 0}, "inputChannels is 0"),
        ({"outputChannels": -1}, "outputChannels is -1"),
        ({"nGroups": 0}, "nGroups is 0"),
        ({"nGroups": 3}, "nGroups is 3, which does not divide inputChannels, 4"),
        ({"kernelHeight": 0}, r"kernelDepth, kernelHeight and kernelWidth are \(2, 0, 1\)"),
        ({"strideDepth": 0}, "strideDepth"),
        ({"dilationWidth": -1}, "dilationDepth"),
        ({"customPaddingLeft": -1}, "expected none to be negative"),
        ({"paddingType": 7}, "paddingType is 7"),
        ({"outputShape": [1, 2, 3]}, "only a deconvolution"),
        ({"outputShape": [1, 2], "isDeconvolution": True}, "expected 3 numbers"),
        ({"outputShape": [1, 2, 0], "isDeconvolution": True}, "expected 3 numbers of at least 1"),
        ({"outputChannels": 7}, "holds 144 values"),
        ({"kernelDepth": 2**31 - 1, "kernelHeight": 2**31 - 1}, "holds 144 values"),
        ({"hasBias": True}, r"bias.*holds 0 values"),
        ({"hasBias": True, "bias": np.ones(5)}, r"bias.*holds 5 values"),
        ({"dilationDepth": 2**31 - 1}, "the kernel does not fit"),
        ({"customPaddingLeft": 2**31 - 1}, "bytes, limit"),
        ({"customPaddingLeft": 10, "isDeconvolution": True}, "the crop is too large"),
    ],
)
def test_convolution_errors(fields, message):
    weights = integers((6, 4, 2, 3, 1))
    if fields.get("isDeconvolution"):
        weights = integers((4, 6, 2, 3, 1))
    with pytest.raises(InvalidModelError, match=rf"\(convolution3d\).*{message}"):
        _convolution(X, weights, **{"outputChannels": 6, **fields})


@pytest.mark.clause("convolution3d.C2", "convolution3d.C3")
def test_inputs_of_other_shapes():
    weights = integers((6, 4, 2, 3, 1))
    for shape in (2, 3, 5, 6, 7), (4, 5, 6, 7):
        with pytest.raises(InvalidModelError, match=r"expected an input \[\*, 4, D, H, W\]"):
            _convolution(np.ones(shape), weights, inputChannels=4)
    quantized = schema.WeightParams(rawValue=bytes(144))
    quantized.quantization.numberOfBits = 8
    quantized.quantization.linearQuantization.scale.append(1)
    with pytest.raises(InvalidModelError, match=r"weights are quantized \(linear\)"):
        run_layer("convolution3d", X, **{**_fields(X, weights), "weights": quantized})


def test_far_padding_and_dilation_of_the_depth_are_cheap():
    far = {"stride": (2**30, 1, 1), "dilation": (2**30, 1, 1), **_padding(((2**30, 2**30), (0, 0), (0, 0)))}
    y = _convolution(np.ones((1, 1, 1, 2, 2)), np.ones((1, 1, 2, 1, 1)), **far)
    np.testing.assert_array_equal(y, np.ones((1, 1, 2, 2, 2)))
    # Of the full output, 2^31 + 2^30 + 1 deep, the planes 2^30 and 2^30 + 1
    x = np.arange(12).reshape(1, 1, 3, 2, 2)
    far |= _padding(((2**30, 2**31 - 1), (0, 0), (0, 0)))
    y = _convolution(x, np.array([2, 3]).reshape(1, 1, 2, 1, 1), deconvolves=True, **far)
    np.testing.assert_array_equal(y[0, 0], [2 * x[0, 0, 1] + 3 * x[0, 0, 0], 0 * x[0, 0, 0]])


# ---- Pooling ----


def _loop_pooling(x, kernel, stride, padding, average, exclude):
    counts = [(n + sum(p) - k) // s + 1 for n, k, s, p in zip(x.shape[2:], kernel, stride, padding, strict=True)]
    begin = [p[0] for p in padding]
    return definitions.pooling(x, "average" if average else "max", kernel, stride, begin, counts, exclude)


TRIPLES = st.tuples(*[st.integers(1, 4)] * 3)


@pytest.mark.clause("pooling3d.S1", "pooling3d.S2", "pooling3d.S4", "pooling3d.C3", "pooling3d.U1", "pooling3d.U2")
@settings(max_examples=60)
@given(
    TRIPLES,
    TRIPLES,
    st.tuples(*[st.integers(1, 3)] * 3),
    st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 3),
    st.booleans(),
    st.booleans(),
)
def test_pooling(size, kernel, stride, padding, average, exclude):
    x = integers((2, 3, *size), low=-9, high=-1) * 840  # whole numbers after any division by up to 8
    expected_counts = [(n + sum(p) - k) // s + 1 for n, k, s, p in zip(size, kernel, stride, padding, strict=True)]
    fields = {
        "type": "AVERAGE" if average else "MAX",
        "countExcludePadding": exclude,
        **_triples(kernel=kernel, stride=stride),
    }
    if min(expected_counts) < 1:
        with pytest.raises(InvalidModelError, match="does not fit"):
            run_layer("pooling3d", x, **fields, **_padding(padding))
        return
    y = run_layer("pooling3d", x, precision="float64", **fields, **_padding(padding))
    np.testing.assert_array_equal(y, _loop_pooling(x, kernel, stride, padding, average, exclude))
    if not any(map(any, padding)):
        valid = run_layer("pooling3d", x, precision="float64", paddingType="VALID", **fields)
        np.testing.assert_array_equal(valid, y)


@pytest.mark.clause("pooling3d.S3", "pooling3d.U3")
def test_same_pooling():
    x = integers((2, 3, 5, 6, 7), low=-9, high=-1)
    kernel, stride = (2, 3, 4), (1, 2, 3)
    # ceil(size / stride): 5, 3, 3; padding 1, 1, 3, the odd voxel at the end
    for kind, average in ("MAX", False), ("AVERAGE", True):
        y = run_layer(
            "pooling3d",
            x,
            type=kind,
            paddingType="SAME",
            countExcludePadding=True,
            precision="float64",
            **_triples(kernel=kernel, stride=stride),
        )
        assert y.shape == (2, 3, 5, 3, 3)
        np.testing.assert_array_equal(y, _loop_pooling(x, kernel, stride, ((0, 1), (0, 1), (1, 2)), average, True))


def test_pooling_as_the_specification_shows_it():
    x = np.concatenate([np.arange(1, 10), np.arange(10, 19)]).reshape(1, 1, 2, 3, 3)
    y = run_layer("pooling3d", x, paddingType="VALID", **_triples(kernel=(2, 2, 2), stride=(1, 1, 1)))
    np.testing.assert_array_equal(y, [[[[[14, 15], [17, 18]]]]])
    np.testing.assert_array_equal(run_layer("globalPooling3d", x), [[[[[18]]]]])


@pytest.mark.clause("globalPooling3d.S1")
def test_global_pooling():
    x = integers((2, 3, 4, 5, 6)) * 120
    for kind, function in ("MAX", max), ("AVERAGE", lambda values: sum(values) / 120):
        y = run_layer("globalPooling3d", x, type=kind)
        assert y.shape == (2, 3, 1, 1, 1)
        np.testing.assert_array_equal(y.ravel(), [function(block.ravel().tolist()) for block in x.reshape(6, 4, 5, 6)])


@pytest.mark.clause("pooling3d.U1", "pooling3d.U2")
def test_windows_of_padding_alone():
    fields = {**_triples(kernel=(1, 1, 2), stride=(1, 1, 2)), **_padding(((0, 0), (0, 0), (2, 1)))}
    x = np.array([[[[[-3, -5, -7]]]]])
    np.testing.assert_array_equal(run_layer("pooling3d", x, **fields), [[[[[-np.inf, -3, -7]]]]])
    y = run_layer("pooling3d", x, type="AVERAGE", countExcludePadding=True, **fields)
    np.testing.assert_array_equal(y, [[[[[np.nan, -4, -7]]]]])
    y = run_layer("pooling3d", x, type="AVERAGE", **fields)
    np.testing.assert_array_equal(y, [[[[[0, -4, -3.5]]]]])


@pytest.mark.clause("pooling3d.C1", "pooling3d.C2", "pooling3d.C3")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": 3}, "type is 3"),
        ({"paddingType": 3}, "paddingType is 3"),
        ({"kernelWidth": 0}, "kernelDepth, kernelHeight and kernelWidth"),
        ({"strideWidth": 0}, "strideDepth"),
        ({"customPaddingBack": -1}, "expected none to be negative"),
        ({"customPaddingBack": 1, "paddingType": "SAME"}, "but the paddingType SAME"),
        ({"kernelDepth": 2**31 - 1}, "a window of 2147483647 does not fit into the 2 pixels along D"),
        ({"customPaddingBack": 2**31 - 1}, "bytes, limit"),
    ],
)
def test_pooling_errors(fields, message):
    fields = {**_triples(kernel=(1, 2, 1), stride=(1, 1, 1)), **fields}
    with pytest.raises(InvalidModelError, match=rf"\(pooling3d\).*{message}"):
        run_layer("pooling3d", np.ones((2, 3, 2, 4, 5)), **fields)


@pytest.mark.clause("pooling3d.C3", "globalPooling3d.C1")
def test_pooling_of_other_ranks():
    fields = _triples(kernel=(1, 2, 1), stride=(1, 1, 1))
    with pytest.raises(InvalidModelError, match="expected an input"):
        run_layer("pooling3d", np.ones((3, 2, 4, 5)), **fields)
    with pytest.raises(InvalidModelError, match="expected an input"):
        run_layer("globalPooling3d", np.ones((3, 2, 4, 5)))
    with pytest.raises(InvalidModelError, match="type is 3"):
        one_layer("globalPooling3d", type=3)
