"""``compatible="coremltools"`` against coremltools' own functions, and our models read by it."""

from __future__ import annotations

import numpy as np
import pytest
from quantized_networks import pictures, sequences, vectors, w

import refcoreml
from refcoreml import build
from refcoreml.quantization import weight_tensors

utils = pytest.importorskip(
    "coremltools.models.neural_network.quantization_utils", reason="needs coremltools (the extra oracles)"
)


def small_ranges():
    """Channels below, at and above the range where coremltools gives up; no normalization that it would merge."""
    values = w(5, 30)
    values[0] *= 1e-6
    values[1] *= 1e-4
    values[2] = 0.25
    net = build.Network({"x": (30,)}, ["y"], exact=True)
    net.add(
        "innerProduct", name="fc", outputs="y", inputChannels=30, outputChannels=5, weights=values, hasBias=True,
        bias=1e-7 * w(5),
    )  # fmt: skip
    return net.model()


def plain_pictures():
    """Without the layers that coremltools merges into others before it quantizes."""
    net = build.Network({"x": (8, 13, 11)}, ["y"])
    net.add(
        "convolution", name="conv", outputChannels=12, kernelChannels=4, nGroups=2, kernelSize=[3, 5],
        weights=w(12, 4, 3, 5), hasBias=True, bias=w(12), same={},
    )  # fmt: skip
    net.add("activation", name="relu", ReLU={})
    net.add(
        "convolution", name="up", isDeconvolution=True, outputChannels=10, kernelChannels=12, nGroups=2,
        kernelSize=[2, 3], weights=w(12, 5, 2, 3), valid={},
    )  # fmt: skip
    net.add("activation", name="relu2", ReLU={})
    net.add("bias", name="bias", shape=[10, 14, 13], bias=w(10, 14, 13), outputs="z")
    net.add("loadConstant", name="constant", inputs=[], outputs="c", shape=[10, 14, 13], data=w(10, 14, 13))
    net.add("add", inputs=["z", "c"], outputs="y")
    return net.model()


def theirs(model, bits, mode):
    import coremltools
    from coremltools.proto import Model_pb2

    names = {
        "linear": "_QUANTIZATION_MODE_LINEAR_QUANTIZATION",
        "linear_symmetric": "_QUANTIZATION_MODE_LINEAR_SYMMETRIC",
        "linear_lut": "_QUANTIZATION_MODE_LOOKUP_TABLE_LINEAR",
    }
    spec = Model_pb2.Model.FromString(model.spec.SerializeToString())
    utils._quantize_spec_weights(spec, bits, getattr(coremltools.models, names[mode]))
    return refcoreml.load(spec, prepare=False)


MODES = [(bits, mode) for bits in (1, 3, 4, 8) for mode in ("linear", "linear_lut")] + [(8, "linear_symmetric")]


@pytest.mark.parametrize(("bits", "mode"), MODES)
@pytest.mark.parametrize("make", [small_ranges, plain_pictures, vectors, sequences])
def test_codes_scales_and_biases_are_the_same_bits(make, bits, mode):
    model = make()
    ours = weight_tensors(refcoreml.quantize_weights(model, bits, mode, compatible="coremltools"))
    expected = weight_tensors(theirs(model, bits, mode))
    compared = 0
    for mine, other in zip(ours, expected, strict=True):
        assert mine.name == other.name
        assert mine.message.SerializeToString() == other.message.SerializeToString(), mine.name
        compared += mine.encoding.bits == bits
    assert compared >= 2


def test_small_ranges_collapse_as_they_do_there():
    (weights, bias) = weight_tensors(refcoreml.quantize_weights(small_ranges(), 8, compatible="coremltools"))
    assert [len(np.unique(row)) > 1 for row in weights.values()] == [False, True, False, True, True]
    assert len(np.unique(bias.values())) == 1


@pytest.mark.parametrize(
    ("bits", "mode"), [(8, "linear"), (3, "linear"), (4, "kmeans"), (5, "linear_lut"), (16, "linear")]
)
@pytest.mark.parametrize("make", [pictures, vectors, sequences])
def test_coremltools_reads_and_dequantizes_our_models(make, bits, mode, tmp_path):
    """Its own decoding, in float64, gives what ours gives in float32, up to two roundings."""
    import coremltools

    smaller = refcoreml.quantize_weights(make(), bits, mode)
    path = tmp_path / "model.mlmodel"
    smaller.save(path)
    spec = coremltools.utils.load_spec(str(path))
    assert spec.SerializeToString(deterministic=True) == smaller.spec.SerializeToString(deterministic=True)
    for tensor in weight_tensors(smaller):
        if tensor.encoding.bits > 8:
            continue
        message = type(spec.neuralNetwork.layers[0].innerProduct.weights).FromString(tensor.message.SerializeToString())
        scales = len(message.quantization.linearQuantization.scale)
        shape = tensor.shape if scales > 1 else (tensor.count,)
        utils._dequantize_wp(message, shape, axis=tensor.channel_axis if scales > 1 else 0)
        expected = np.array(message.floatValue).reshape(tensor.shape)
        largest = np.abs(expected).max()
        np.testing.assert_allclose(tensor.values(), expected, rtol=0, atol=2 * 2.0**-24 * largest)
