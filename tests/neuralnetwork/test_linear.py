"""The layers innerProduct, embedding, dot and loadConstant."""

from __future__ import annotations

import numpy as np
import pytest
from support import integers, one_layer, run_layer

from refcoreml import definitions
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.neuralnetwork.network import Network
from refcoreml.spec import schema

PRECISIONS = ["float32", "float64"]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("shape", "made"),
    [
        ((24,), (7,)),
        ((3, 24), (3, 7)),
        ((2, 3, 24), (2, 3, 7)),
        ((3, 24, 1, 1), (3, 7, 1, 1)),
        ((5, 2, 3, 4), (5, 7, 1, 1)),
        ((5, 3, 2, 4, 3), (5, 3, 7, 1, 1)),
    ],
)
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.clause("innerProduct.S1", "innerProduct.S2")
def test_inner_product(shape, made, has_bias, precision):
    x, w, b = integers(shape), integers((7, 24), 1), integers((7,), 2)
    fields = {"weights": w, "hasBias": has_bias, "bias": b, "inputChannels": 24, "outputChannels": 7}
    y = run_layer("innerProduct", x, rank5=len(shape) == 5, precision=precision, **fields)
    assert y.shape == made
    np.testing.assert_array_equal(
        y.reshape(-1, 7), definitions.linear(x.reshape(-1, 24), w, b if has_bias else None, 1)
    )


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.clause("innerProduct.S4", "innerProduct.U1", "innerProduct.U2")
def test_inner_product_with_dynamic_quantization_is_the_float_product(has_bias):
    codes, x = integers((3, 5), 1).astype(np.int8), integers((2, 4, 5, 1, 1))
    weights = schema.WeightParams(int8RawValue=codes.tobytes())
    weights.quantization.numberOfBits = 8
    weights.quantization.linearQuantization.scale.append(0.25)
    fields = {"hasBias": True, "bias": [1, 2, 3]} if has_bias else {}
    y = run_layer(
        "innerProduct", x, weights=weights, int8DynamicQuantize=True, inputChannels=5, outputChannels=3, **fields
    )
    expected = definitions.linear(x.reshape(-1, 5), 0.25 * codes, np.array([1, 2, 3]) if has_bias else None, 1)
    np.testing.assert_array_equal(y.reshape(-1, 3), expected)


@pytest.mark.clause("innerProduct.U3")
def test_inner_product_with_dynamic_quantization_of_other_weights():
    fields = {"int8DynamicQuantize": True, "inputChannels": 3, "outputChannels": 2}
    weights = integers((2, 3))
    y = run_layer("innerProduct", np.eye(3), rank5=False, weights=weights, **fields)
    np.testing.assert_array_equal(y, weights.T)
    signed = schema.WeightParams(int8RawValue=integers((2, 3)).astype(np.int8).tobytes())
    signed.quantization.numberOfBits = 8
    signed.quantization.linearQuantization.scale.extend([2, 3])
    y = run_layer("innerProduct", np.eye(3), rank5=False, weights=signed, **fields)
    np.testing.assert_array_equal(y, (integers((2, 3)) * [[2], [3]]).T)


@pytest.mark.parametrize(("one", "other"), [(np.float16, np.float32), (np.float32, np.float16)])
@pytest.mark.clause("innerProduct.U4", "embedding.U2")
def test_weights_and_bias_of_different_precision(one, other):
    w, b = integers((2, 3)), integers((2,), 1)
    fields = {"weights": w.astype(one), "hasBias": True, "bias": b.astype(other), "outputChannels": 2}
    y = run_layer("innerProduct", np.eye(3), rank5=False, inputChannels=3, **fields)
    np.testing.assert_array_equal(y, w.T + b)
    y = run_layer("embedding", np.arange(3).reshape(3, 1, 1, 1), rank5=False, inputDim=3, **fields)
    np.testing.assert_array_equal(y.reshape(3, 2), w.T + b)


@pytest.mark.clause("embedding.S2")
def test_embedding_with_a_scale_for_each_output():
    weights = schema.WeightParams(rawValue=bytes(range(6)))
    weights.quantization.numberOfBits = 8
    weights.quantization.linearQuantization.scale.extend([1, 10])
    x = np.arange(3).reshape(3, 1, 1, 1)
    y = run_layer("embedding", x, rank5=False, weights=weights, inputDim=3, outputChannels=2)
    np.testing.assert_array_equal(y.reshape(3, 2).T, [[0, 1, 2], [30, 40, 50]])


@pytest.mark.clause("innerProduct.S3")
def test_inner_product_with_a_scale_for_each_output():
    weights = schema.WeightParams(rawValue=bytes(range(6)))
    weights.quantization.numberOfBits = 8
    weights.quantization.linearQuantization.scale.extend([1, 10])
    y = run_layer("innerProduct", np.eye(3), rank5=False, weights=weights, inputChannels=3, outputChannels=2)
    np.testing.assert_array_equal(y.T, [[0, 1, 2], [30, 40, 50]])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inputChannels": 4, "outputChannels": 0, "weights": []}, "outputChannels is 0"),
        ({"inputChannels": 0, "outputChannels": 3, "weights": []}, "inputChannels is 0"),
        (
            {"inputChannels": 4, "outputChannels": 3, "weights": np.zeros(11)},
            r"weights: holds 11 .* 3 x 4 needs 12",
        ),
        ({"inputChannels": 2**60, "outputChannels": 2**60, "weights": np.zeros(11)}, "holds 11 values"),
        ({"inputChannels": 4, "outputChannels": 3, "weights": np.zeros(12), "hasBias": True}, "bias: holds 0 values"),
        ({"inputChannels": 5, "outputChannels": 3, "weights": np.zeros(15)}, r"\(1, 2, 4, 1, 1\) has 4 x 1 x 1 values"),
    ],
)
@pytest.mark.clause("innerProduct.C1", "innerProduct.C2")
def test_inner_product_errors(fields, message):
    with pytest.raises(InvalidModelError, match=rf"\(innerProduct\).*{message}"):
        run_layer("innerProduct", integers((1, 2, 4, 1, 1)), **fields)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("lead", [(3, 2), (5,)])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.clause("embedding.S1")
def test_embedding(lead, has_bias, precision):
    x = integers((*lead, 1, 1, 1), low=0, high=7)
    w, b = integers((4, 7), 1), integers((4,), 2)
    fields = {"inputDim": 7, "outputChannels": 4, "weights": w, "hasBias": has_bias, "bias": b}
    y = run_layer("embedding", x, rank5=len(lead) == 2, precision=precision, **fields)
    assert y.shape == (*lead, 4, 1, 1)
    for index in np.ndindex(lead):
        expected = w[:, int(x[index].item())] + (b if has_bias else 0)
        np.testing.assert_array_equal(y[index].reshape(-1), expected)


@pytest.mark.parametrize("index", [-1, 7, 1e30, np.nan, np.inf, -np.inf])
@pytest.mark.clause("embedding.C3")
def test_embedding_index_out_of_range(index):
    x = np.array([0, 6, index]).reshape(3, 1, 1, 1, 1)
    with pytest.raises(InputError, match=r"\(embedding\): indices hold .* at \(2, 0, .* in \[0, 6\]"):
        run_layer("embedding", x, inputDim=7, outputChannels=4, weights=np.zeros((4, 7)))


@pytest.mark.clause("embedding.C3")
def test_embedding_takes_the_nearest_index_if_not_strict():
    (node,) = one_layer("embedding", inputDim=3, outputChannels=1, weights=[10, 20, 30]).nodes.values()
    spec = node.spec
    network = Network([spec], inputs=["x0"], outputs=["y0"], rank5=True, strict=False)
    x = np.array([-1, 3, np.inf, np.nan], np.float32).reshape(4, 1, 1, 1, 1)
    np.testing.assert_array_equal(network.run({"x0": x})["y0"].reshape(-1), [10, 30, 30, 10])


@pytest.mark.clause("embedding.U1")
def test_embedding_cuts_fractions_off():
    x = np.array([1.9, 0.2, -0.9]).reshape(3, 1, 1, 1, 1)
    y = run_layer("embedding", x, inputDim=3, outputChannels=1, weights=[10, 20, 30])
    np.testing.assert_array_equal(y.reshape(-1), [20, 10, 10])


@pytest.mark.clause("embedding.C1", "embedding.C2")
def test_embedding_errors():
    fields = {"inputDim": 3, "outputChannels": 1, "weights": [1, 2, 3]}
    with pytest.raises(InvalidModelError, match=r"takes blobs .* got \(1, 1, 2, 1, 1\)"):
        run_layer("embedding", np.zeros((1, 1, 2, 1, 1)), **fields)
    with pytest.raises(InvalidModelError, match=r"got \(1, 1, 1\)"):
        run_layer("embedding", np.zeros((1, 1, 1)), rank5=False, **fields)
    with pytest.raises(InvalidModelError, match="inputDim is 0"):
        run_layer("embedding", np.zeros((1, 1, 1, 1, 1)), outputChannels=1)
    with pytest.raises(InvalidModelError, match="outputChannels is 0"):
        run_layer("embedding", np.zeros((1, 1, 1, 1, 1)), inputDim=3)
    with pytest.raises(InvalidModelError, match="weights: holds 3 values"):
        run_layer("embedding", np.zeros((1, 1, 1, 1, 1)), **{**fields, "outputChannels": 2})
    with pytest.raises(InvalidModelError, match="bias: holds 0 values"):
        run_layer("embedding", np.zeros((1, 1, 1, 1, 1)), hasBias=True, **fields)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("lead", [(2, 3), (3,), ()])
@pytest.mark.clause("dot.S1", "dot.S2")
def test_dot(lead, precision):
    x1, x2 = integers((*lead, 5, 1, 1)), integers((*lead, 5, 1, 1), 1)
    y = run_layer("dot", x1, x2, rank5=len(lead) == 2, precision=precision)
    assert y.shape == (*lead, 1, 1, 1)
    cosine = run_layer("dot", x1, x2, rank5=len(lead) == 2, precision=precision, cosineSimilarity=True)
    for index in np.ndindex(lead):
        a, b = x1[index].reshape(-1).tolist(), x2[index].reshape(-1).tolist()
        product = sum(p * q for p, q in zip(a, b, strict=True))
        lengths = (sum(p * p for p in a) * sum(q * q for q in b)) ** 0.5
        assert y[index].item() == product
        unit = np.finfo(y.dtype).eps / 2
        assert cosine[index].item() == pytest.approx(product / lengths, rel=6 * float(unit), abs=0)


@pytest.mark.parametrize("shapes", [((1, 1, 4, 1, 1), (1, 1, 5, 1, 1)), ((1, 1, 4, 2, 1), (1, 1, 4, 2, 1))])
@pytest.mark.clause("dot.C1")
def test_dot_errors(shapes):
    with pytest.raises(InvalidModelError, match=r"\(dot\): takes two equal shapes"):
        run_layer("dot", *(np.ones(shape) for shape in shapes))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("rank5", [False, True])
@pytest.mark.clause("loadConstant.S1")
def test_load_constant(rank5, precision):
    data = integers((2, 3, 4))
    y = run_layer("loadConstant", rank5=rank5, precision=precision, shape=[2, 3, 4], data=data)
    assert y.shape == (1, 1, 2, 3, 4)
    np.testing.assert_array_equal(y[0, 0], data)


def test_load_constant_cannot_be_overwritten():
    network = one_layer("loadConstant", 0, shape=[1, 2, 3], data=np.ones(6))
    with pytest.raises(ValueError, match="read-only"):
        network.run({})["y0"][...] = 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shape": [2, 3], "data": np.zeros(6)}, r"shape is \(2, 3\), expected \[C, H, W\]"),
        ({"shape": [2, 0, 3], "data": []}, r"shape is \(2, 0, 3\)"),
        ({"shape": [2, 3, 4], "data": np.zeros(6)}, "data: holds 6 values"),
        ({"shape": [2**60, 3, 4], "data": np.zeros(6)}, "data: holds 6 values"),
    ],
)
@pytest.mark.clause("loadConstant.C1")
def test_load_constant_errors(fields, message):
    with pytest.raises(InvalidModelError, match=message):
        run_layer("loadConstant", **fields)
