"""batchedMatmul of two inputs, and of an input and weights."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import integers, one_layer, run_layer

from refcoreml import definitions
from refcoreml.errors import InvalidModelError
from refcoreml.spec import schema

run_layer = partial(run_layer, rank5=False)
matmul = partial(definitions.matmul, transpose_x=False, transpose_y=False, drop=False)


@st.composite
def batches(draw):
    common = draw(st.lists(st.integers(1, 3), max_size=3).map(tuple))
    short = draw(st.integers(0, len(common)))
    pair = [tuple(draw(st.sampled_from([1, n])) for n in common[len(common) - rank :]) for rank in (len(common), short)]
    return pair if draw(st.booleans()) else pair[::-1]


@pytest.mark.clause("batchedMatmul.S1", "batchedMatmul.S2")
@settings(max_examples=50)
@given(batches(), st.booleans(), st.booleans(), st.sampled_from(["float32", "float64"]))
def test_two_inputs(batch, transpose_a, transpose_b, precision):
    a, b = integers((*batch[0], 2, 4)), integers((*batch[1], 4, 3), seed=1)
    y = run_layer(
        "batchedMatmul",
        a.swapaxes(-1, -2) if transpose_a else a,
        b.swapaxes(-1, -2) if transpose_b else b,
        precision=precision,
        transposeA=transpose_a,
        transposeB=transpose_b,
    )
    np.testing.assert_array_equal(y, matmul(a, b))


@pytest.mark.clause("batchedMatmul.S3", "batchedMatmul.U1")
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((5,), (5,), (1, 1)),
        ((4, 5), (5,), (4, 1)),
        ((5,), (5, 3), (1, 3)),
        ((5,), (2, 5, 3), (2, 1, 3)),
        ((2, 3, 4, 5), (5,), (2, 3, 4, 1)),
        ((1, 3, 4), (3, 2, 4, 5), (3, 2, 3, 5)),
        ((1, 3, 1, 2, 3), (1, 4, 3, 2), (1, 3, 4, 2, 2)),
        ((2, 3, 1, 3, 4), (2, 1, 2, 4, 5), (2, 3, 2, 3, 5)),
    ],
)
def test_vectors_and_ranks(a, b, expected, transpose):
    x, y = integers(a), integers(b, seed=1)
    z = matmul(x if x.ndim > 1 else x[None], y if y.ndim > 1 else y[:, None])
    # The transposition of a vector is not read
    fields = {"transposeA": transpose and len(a) == 1, "transposeB": transpose and len(b) == 1}
    result = run_layer("batchedMatmul", x, y, **fields)
    assert result.shape == expected
    np.testing.assert_array_equal(result, z)


@pytest.mark.clause("batchedMatmul.S4")
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("shape", [(7,), (5, 7), (2, 3, 7), (2, 3, 5, 7), (2, 3, 1, 5, 7)])
def test_weights_are_stored_by_columns(shape, has_bias):
    x, weights, bias = integers(shape), integers((7, 4), seed=1), integers((4,), seed=2)
    fields = {"hasBias": True, "bias": bias} if has_bias else {}
    y = run_layer(
        "batchedMatmul",
        x,
        weightMatrixFirstDimension=7,
        weightMatrixSecondDimension=4,
        weights=weights.ravel(order="F"),
        transposeA=True,
        transposeB=True,
        **fields,
    )
    expected = matmul(x.reshape(-1, 7), weights).reshape(*shape[:-1], 4) + bias * has_bias
    assert y.shape == expected.shape
    np.testing.assert_array_equal(y, expected)


@pytest.mark.clause("batchedMatmul.S5")
def test_scales_of_quantized_weights_run_along_the_output():
    codes = np.random.default_rng(0).integers(0, 256, (7, 4))
    quantized = schema.WeightParams(rawValue=codes.astype(np.uint8).tobytes(order="F"))
    quantized.quantization.numberOfBits = 8
    quantized.quantization.linearQuantization.scale.extend([1, 2, 3, 4])
    quantized.quantization.linearQuantization.bias.extend([-4, -3, -2, -1])
    x = integers((2, 7))
    fields = {"weightMatrixFirstDimension": 7, "weightMatrixSecondDimension": 4}
    y = run_layer("batchedMatmul", x, weights=quantized, **fields)
    np.testing.assert_array_equal(y, matmul(x, codes * np.array([1, 2, 3, 4]) + np.array([-4, -3, -2, -1])))


@pytest.mark.clause("batchedMatmul.U2", "batchedMatmul.U3")
def test_dynamic_quantization_computes_with_dequantized_weights():
    codes = np.random.default_rng(0).integers(-127, 128, (7, 4))
    quantized = schema.WeightParams(int8RawValue=codes.astype(np.int8).tobytes(order="F"))
    quantized.quantization.numberOfBits = 8
    quantized.quantization.linearQuantization.scale.append(0.5)
    x, bias = integers((2, 7)), integers((4,))
    fields = {"weightMatrixFirstDimension": 7, "weightMatrixSecondDimension": 4, "int8DynamicQuantize": True}
    y = run_layer("batchedMatmul", x, weights=quantized, **fields)
    np.testing.assert_array_equal(y, matmul(x, codes * 0.5))
    y = run_layer("batchedMatmul", x, weights=quantized, hasBias=True, bias=bias, **fields)
    np.testing.assert_array_equal(y, matmul(x, codes * 0.5) + bias)


@pytest.mark.clause("batchedMatmul.U5")
def test_dynamic_quantization_of_weights_stored_otherwise():
    fields = {"weightMatrixFirstDimension": 3, "weightMatrixSecondDimension": 2, "int8DynamicQuantize": True}
    x, codes = integers((4, 3)), np.array([[1, -2, 3], [-4, 5, 6]])
    stored = schema.WeightParams(int8RawValue=codes.astype(np.int8).tobytes())
    stored.quantization.numberOfBits = 8
    stored.quantization.linearQuantization.scale.extend([0.5, 2])
    np.testing.assert_array_equal(
        run_layer("batchedMatmul", x, weights=stored, **fields), matmul(x, codes.T * [0.5, 2])
    )
    y = run_layer("batchedMatmul", x, weights=codes.astype(np.float32).ravel(), **fields)
    np.testing.assert_array_equal(y, matmul(x, codes.T))


@pytest.mark.clause("batchedMatmul.U6")
@pytest.mark.parametrize("types", [(np.float16, np.float32), (np.float32, np.float16)])
def test_weights_and_bias_of_mixed_precisions(types):
    x, weights, bias = integers((4, 3)), integers((2, 3), seed=1), np.array([0.5, -1])
    fields = {"weightMatrixFirstDimension": 3, "weightMatrixSecondDimension": 2, "hasBias": True}
    y = run_layer("batchedMatmul", x, weights=weights.astype(types[0]), bias=bias.astype(types[1]), **fields)
    np.testing.assert_array_equal(y, matmul(x, weights.T) + bias)


@pytest.mark.clause("batchedMatmul.S1")
def test_two_inputs_leave_weights_unread():
    a, b = integers((2, 3)), integers((3, 4), seed=1)
    unread = {"weightMatrixFirstDimension": 9, "weightMatrixSecondDimension": 7, "weights": [1], "bias": [5]}
    np.testing.assert_array_equal(run_layer("batchedMatmul", a, b, **unread), matmul(a, b))


@pytest.mark.clause("batchedMatmul.C1", "batchedMatmul.C2", "batchedMatmul.U4")
@pytest.mark.parametrize(
    ("a", "b", "fields", "message"),
    [
        ((2, 3), (4, 5), {}, r"cannot multiply \(2, 3\) by \(4, 5\): rows of 3 numbers, columns of 4"),
        ((2, 3), (3, 5), {"transposeA": True}, r"\(2, 3\) transposed by \(3, 5\): rows of 2 numbers"),
        ((3,), (4,), {}, "rows of 3 numbers, columns of 4"),
        ((2, 4, 3), (5, 3, 4), {}, r"leading axes of \(2, 4, 3\) and \(5, 3, 4\) do not broadcast"),
        ((2, 3), (3, 5), {"hasBias": True}, "bias, which is allowed only with weights"),
        ((2, 3), (3, 5), {"int8DynamicQuantize": True}, "allowed only with weights"),
    ],
)
def test_errors_of_two_inputs(a, b, fields, message):
    with pytest.raises(InvalidModelError, match=rf"\(batchedMatmul\).*{message}"):
        run_layer("batchedMatmul", np.ones(a), np.ones(b), **fields)


@pytest.mark.clause("batchedMatmul.C3")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weightMatrixFirstDimension": 0}, "weightMatrixFirstDimension is 0"),
        ({"weightMatrixSecondDimension": 0}, "weightMatrixSecondDimension is 0"),
        ({"weightMatrixSecondDimension": 5}, "holds 12 values"),
        ({"weightMatrixFirstDimension": 2**62, "weightMatrixSecondDimension": 2**62}, "holds 12 values"),
        ({"hasBias": True, "bias": np.ones(3)}, r"bias.*holds 3 values"),
        ({"hasBias": True}, r"bias.*holds 0 values"),
    ],
)
def test_errors_of_weights(fields, message):
    sizes = {"weightMatrixFirstDimension": 3, "weightMatrixSecondDimension": 4}
    with pytest.raises(InvalidModelError, match=message):
        one_layer("batchedMatmul", **{**sizes, "weights": np.ones(12), **fields})
    with pytest.raises(InvalidModelError, match=r"the input \(2, 4\) has 4 values a row, the weights are for 3"):
        run_layer("batchedMatmul", np.ones((2, 4)), weights=np.ones(12), **sizes)
