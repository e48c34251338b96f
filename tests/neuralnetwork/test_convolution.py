"""The convolution layer: what its fields mean, what is refused. The arithmetic is tested with its kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import integers, one_layer, run_layer

from refcoreml.errors import InvalidModelError, LimitError
from refcoreml.kernels.conv import convolve, deconvolve
from refcoreml.neuralnetwork.network import Network
from refcoreml.spec import schema

X = integers((2, 3, 4, 9, 7), 1)
WEIGHTS, BIAS = integers((6, 4, 3, 2), 2), integers((6,), 3)
FIELDS: dict[str, Any] = {
    "weights": WEIGHTS,
    "outputChannels": 6,
    "kernelChannels": 4,
    "kernelSize": [3, 2],
    "valid": {},
}
DECONVOLUTION: dict[str, Any] = {**FIELDS, "weights": integers((4, 6, 3, 2), 4), "isDeconvolution": True}


def borders(top: int, bottom: int, left: int, right: int) -> dict[str, Any]:
    edges = [{"startEdgeSize": top, "endEdgeSize": bottom}, {"startEdgeSize": left, "endEdgeSize": right}]
    return {"paddingAmounts": {"borderAmounts": edges}}


CONVOLUTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "bias": ({"bias": BIAS, "hasBias": True}, {"bias": BIAS}),
    "bias not announced": ({"bias": BIAS}, {}),
    "stride": ({"stride": [2, 3]}, {"stride": (2, 3)}),
    "dilation": ({"dilationFactor": [3, 2]}, {"dilation": (3, 2)}),
    "padding": ({"valid": borders(2, 1, 0, 3)}, {"padding": ((2, 1), (0, 3))}),
    # 9 rows, stride 2: 5 outputs see 11 rows. 7 columns, stride 3: 3 outputs see 8 columns.
    "same": ({"same": {}, "stride": [2, 3]}, {"stride": (2, 3), "padding": ((1, 1), (0, 1))}),
    "same, heavy at the top left": (
        {"same": {"asymmetryMode": "TOP_LEFT_HEAVY"}, "stride": [2, 3]},
        {"stride": (2, 3), "padding": ((1, 1), (1, 0))},
    ),
    # The dilated kernel is 5 by 4.
    "same, dilation": ({"same": {}, "dilationFactor": [2, 3]}, {"dilation": (2, 3), "padding": ((2, 2), (1, 2))}),
    "groups": (
        {"nGroups": 2, "kernelChannels": 2, "weights": WEIGHTS[:, :2]},
        {"groups": 2, "weight": WEIGHTS[:, :2]},
    ),
    "outputShape, which is not read": ({"outputShape": [5]}, {}),
    "kernel 3x3 if not set": (
        {"kernelSize": [], "weights": integers((6, 4, 3, 3))},
        {"weight": integers((6, 4, 3, 3))},
    ),
}

DECONVOLUTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "bias, stride": ({"bias": BIAS, "hasBias": True, "stride": [3, 2]}, {"bias": BIAS, "stride": (3, 2)}),
    "dilation": ({"dilationFactor": [3, 2]}, {"dilation": (3, 2)}),
    "crop": ({"valid": borders(2, 1, 0, 3)}, {"crop": ((2, 1), (0, 3))}),
    # 9 rows, stride 2: 19 rows, 18 wanted. 7 columns, stride 3: 20 columns, 21 wanted.
    "same": ({"same": {}, "stride": [2, 3]}, {"stride": (2, 3), "crop": ((0, 1), (0, -1))}),
    "same, heavy at the top left": (
        {"same": {"asymmetryMode": "TOP_LEFT_HEAVY"}, "stride": [2, 3]},
        {"stride": (2, 3), "crop": ((1, 0), (0, -1))},
    ),
    # 11 rows, 8 wanted; 8 columns, 5 wanted, whatever the padding says.
    "outputShape": ({"outputShape": [8, 5], "valid": borders(1, 1, 1, 1)}, {"crop": ((1, 2), (1, 2))}),
    # 11 rows, 14 wanted; 8 columns, 9 wanted.
    "outputShape beyond": (
        {"outputShape": [14, 9], "bias": BIAS, "hasBias": True},
        {"crop": ((0, -3), (0, -1)), "bias": BIAS},
    ),
    "outputShape and same": (
        {"outputShape": [8, 5], "same": {"asymmetryMode": "TOP_LEFT_HEAVY"}},
        {"crop": ((1, 2), (1, 2))},
    ),
    "groups": (
        {"nGroups": 2, "weights": DECONVOLUTION["weights"][:, :3]},
        {"groups": 2, "weight": DECONVOLUTION["weights"][:, :3]},
    ),
}


@pytest.mark.parametrize(("fields", "options"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
@pytest.mark.parametrize("precision", ["float32", "float64", "float16"])
@pytest.mark.clause("convolution.S1", "convolution.S2", "convolution.S3", "convolution.S4", "convolution.S7")
def test_convolution(fields: dict[str, Any], options: dict[str, Any], precision: str) -> None:
    y = run_layer("convolution", X, precision=precision, **_merged(FIELDS, fields))
    np.testing.assert_array_equal(y, convolve(X, **{"weight": WEIGHTS, **options}))


@pytest.mark.parametrize(("fields", "options"), DECONVOLUTIONS.values(), ids=DECONVOLUTIONS)
@pytest.mark.clause("convolution.S5", "convolution.U1", "convolution.U2", "convolution.U3")
def test_deconvolution(fields: dict[str, Any], options: dict[str, Any]) -> None:
    y = run_layer("convolution", X, **_merged(DECONVOLUTION, fields))
    np.testing.assert_array_equal(y, deconvolve(X, **{"weight": DECONVOLUTION["weights"], **options}))


def _merged(fields: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    merged = {**fields, **more}
    if "same" in more:
        del merged["valid"]
    return merged


@pytest.mark.clause("convolution.S8")
def test_weights_from_an_input() -> None:
    fields = {name: value for name, value in FIELDS.items() if name != "weights"}
    y = run_layer("convolution", X[0], WEIGHTS, rank5=False, stride=[1, 2], **fields)
    np.testing.assert_array_equal(y, convolve(X[0], WEIGHTS, stride=(1, 2)))


@pytest.mark.clause("convolution.U4")
def test_weights_from_an_input_with_groups_and_a_bias() -> None:
    fields = {**FIELDS, "nGroups": 2, "kernelChannels": 2, "hasBias": True, "bias": BIAS}
    del fields["weights"]
    y = run_layer("convolution", X[0], WEIGHTS[:, :2], rank5=False, **fields)
    np.testing.assert_array_equal(y, convolve(X[0], WEIGHTS[:, :2], BIAS, groups=2))


@pytest.mark.parametrize(("one", "other"), [(np.float16, np.float32), (np.float32, np.float16)])
@pytest.mark.clause("convolution.U5")
def test_weights_and_bias_of_different_precision(one: Any, other: Any) -> None:
    fields = {**FIELDS, "weights": WEIGHTS.astype(one), "hasBias": True, "bias": BIAS.astype(other)}
    np.testing.assert_array_equal(run_layer("convolution", X, **fields), convolve(X, WEIGHTS, BIAS))


@pytest.mark.parametrize("deconvolves", [False, True])
@pytest.mark.clause("convolution.S6")
def test_scales_of_quantized_weights_run_along_the_output_channels(deconvolves: bool) -> None:
    shape = (4, 6, 3, 2) if deconvolves else (6, 4, 3, 2)
    codes = np.random.default_rng(0).integers(0, 256, shape)
    scale, zero = np.arange(1.0, 7.0), -np.arange(6.0)
    quantized = schema.WeightParams(rawValue=codes.astype(np.uint8).tobytes())
    quantized.quantization.numberOfBits = 8
    quantized.quantization.linearQuantization.scale.extend(scale)
    quantized.quantization.linearQuantization.bias.extend(zero)
    y = run_layer("convolution", X, **{**FIELDS, "weights": quantized, "isDeconvolution": deconvolves})
    along = (1, 6, 1, 1) if deconvolves else (6, 1, 1, 1)
    weights = codes * scale.reshape(along) + zero.reshape(along)
    np.testing.assert_array_equal(y, (deconvolve if deconvolves else convolve)(X, weights))


@pytest.mark.parametrize("deconvolves", [False, True])
def test_fused_with_the_next_layer_it_gives_the_same_bits(deconvolves: bool) -> None:
    network = one_layer("convolution", **{**FIELDS, "isDeconvolution": deconvolves, "weights": np.resize(WEIGHTS, 144)})
    activation = schema.NeuralNetworkLayer(name="relu", input=["y0"], output=["z"])
    activation.activation.ReLU.SetInParent()
    layers = [next(iter(network.nodes.values())).spec, activation]
    both = Network(layers, inputs=["x0"], outputs=["z"], rank5=True)
    blobs = {"x0": X.astype(np.float32)}
    shown: list[np.ndarray[Any, Any]] = []
    both.run(blobs, observe=lambda step, inputs, outputs: shown.append(outputs[0]))
    np.testing.assert_array_equal(both.run(blobs)["z"], shown[-1])
    assert len(shown) == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"valid": None}, "no kind of padding"),
        ({"valid": None, "isDeconvolution": True, "outputShape": [8, 5]}, "no kind of padding"),
        ({"same": {"asymmetryMode": 7}}, "asymmetryMode is 7, which the schema does not define"),
        ({"outputChannels": 0}, "outputChannels is 0"),
        ({"kernelChannels": 0}, "kernelChannels is 0"),
        ({"nGroups": 4}, "nGroups is 4, which does not divide outputChannels, 6"),
        ({"nGroups": 3, "isDeconvolution": True}, "nGroups is 3, which does not divide kernelChannels, 4"),
        ({"kernelSize": [3]}, "kernelSize has 1 numbers, expected 2"),
        ({"kernelSize": [3, 0]}, r"kernelSize is \(3, 0\), expected 1"),
        ({"stride": [0, 1]}, "stride is"),
        ({"dilationFactor": [1, 2**31]}, "dilationFactor is"),
        ({"valid": borders(0, 2**60, 0, 0)}, "paddingAmounts"),
        ({"valid": {"paddingAmounts": {"borderAmounts": [{"startEdgeSize": 1}]}}}, "paddingAmounts has 1 entries"),
        ({"kernelSize": [3, 3]}, "holds 144 values, the declared shape 6 x 4 x 3 x 3 needs 216"),
        ({"kernelSize": [2**31 - 1] * 2, "outputChannels": 2**60}, "holds 144 values"),
        ({"hasBias": True}, "bias: holds 0 values"),
        ({"isDeconvolution": True, "outputShape": [5]}, "outputShape has 1 numbers"),
    ],
)
@pytest.mark.clause("convolution.C1", "convolution.C2", "convolution.C3")
def test_invalid_parameters(fields: dict[str, Any], message: str) -> None:
    merged = {name: value for name, value in {**FIELDS, **fields}.items() if value is not None}
    with pytest.raises(InvalidModelError, match=message):
        one_layer("convolution", **merged)


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        ({}, (2, 3, 5, 9, 7), r"expected an input \[\*, 4, H, W\]"),
        ({}, (4, 9, 7), "rank 4 or more"),
        ({}, (2, 3, 4, 2, 7), "the kernel does not fit"),
        ({"dilationFactor": [2**31 - 1, 1]}, (2, 3, 4, 9, 7), "the kernel does not fit"),
        ({"isDeconvolution": True, "valid": borders(9, 9, 0, 0)}, (2, 3, 4, 9, 7), "the crop is too large"),
        ({"valid": borders(2**31 - 1, 2**31 - 1, 0, 0)}, (2, 3, 4, 9, 7), "limit"),
        ({"isDeconvolution": True, "stride": [2**31 - 1] * 2}, (2, 3, 4, 9, 7), "limit"),
    ],
)
@pytest.mark.clause("convolution.C4")
def test_inputs_that_do_not_fit(fields: dict[str, Any], shape: tuple[int, ...], message: str) -> None:
    network = one_layer("convolution", **{**FIELDS, **fields})
    with pytest.raises(InvalidModelError, match=message):
        network.run({"x0": np.zeros(shape, np.float32)})


@pytest.mark.clause("convolution.C5")
def test_weights_from_an_input_are_limited_as_specified() -> None:
    fields = {name: value for name, value in FIELDS.items() if name != "weights"}
    with pytest.raises(InvalidModelError, match="a deconvolution cannot"):
        one_layer("convolution", 2, rank5=False, isDeconvolution=True, **fields)
    with pytest.raises(InvalidModelError, match="dilation"):
        one_layer("convolution", 2, rank5=False, dilationFactor=[2, 1], **fields)
    network = one_layer("convolution", 2, rank5=False, **fields)
    with pytest.raises(InvalidModelError, match="expected weights of the shape"):
        network.run({"x0": np.zeros((3, 4, 9, 7), np.float32), "x1": np.zeros((6, 4, 3, 3), np.float32)})


@pytest.mark.clause("convolution.U2")
def test_a_deconvolution_keeps_padding_that_gives_the_wanted_shape():
    x, w = integers((1, 1, 2, 4, 5)), integers((2, 3, 3, 2), 1)
    fields = {"isDeconvolution": True, "outputChannels": 3, "kernelChannels": 2, "kernelSize": [3, 2], "weights": w}
    border = {"paddingAmounts": {"borderAmounts": [{"startEdgeSize": 2}, {"endEdgeSize": 1}]}}
    y = run_layer("convolution", x, valid=border, **fields)
    np.testing.assert_array_equal(run_layer("convolution", x, valid=border, outputShape=y.shape[-2:], **fields), y)
    even = run_layer("convolution", x, valid=border, outputShape=[y.shape[-2], y.shape[-1] - 1], **fields)
    assert even.shape[-2:] == (y.shape[-2], y.shape[-1] - 1)


def test_a_padded_input_beyond_all_memory_is_refused():
    border = {"paddingAmounts": {"borderAmounts": [{"startEdgeSize": 2**30, "endEdgeSize": 2**30}] * 2}}
    with pytest.raises(LimitError, match=r"\(convolution\): needs for itself 3.7e\+19 bytes, limit"):
        run_layer(
            "convolution",
            integers((1, 1, 2, 4, 5)),
            valid=border,
            outputChannels=3,
            kernelChannels=2,
            stride=[2**29, 2**29],
            kernelSize=[1, 2],
            weights=integers((3, 2, 1, 2)),
        )
