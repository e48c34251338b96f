"""The layer ``activation``: every member of its oneof."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support import integers, run_layer

from refcoreml.errors import InvalidModelError, UnsupportedModelError
from refcoreml.neuralnetwork.layers.activation import ACTIVATIONS
from refcoreml.spec import schema

SHAPES = [(2, 3, 4, 5, 6), (3, 4, 5, 6), (4, 5, 6), (5, 6), (7,)]

MEMBERS = {
    "linear": ({"alpha": 2, "beta": -3}, lambda x: 2 * x - 3),
    "ReLU": ({}, lambda x: max(x, 0.0)),
    "leakyReLU": ({"alpha": 0.25}, lambda x: x if x >= 0 else 0.25 * x),
    "thresholdedReLU": ({"alpha": 2}, lambda x: x if x >= 2 else 0.0),
    "tanh": ({}, math.tanh),
    "scaledTanh": ({"alpha": 1.5, "beta": 0.5}, lambda x: 1.5 * math.tanh(0.5 * x)),
    "sigmoid": ({}, lambda x: 1 / (1 + math.exp(-x))),
    "sigmoidHard": ({"alpha": 0.25, "beta": 0.5}, lambda x: min(max(0.25 * x + 0.5, 0), 1)),
    "ELU": ({"alpha": 0.75}, lambda x: x if x >= 0 else 0.75 * math.expm1(x)),
    "softsign": ({}, lambda x: x / (1 + abs(x))),
    "softplus": ({}, lambda x: math.log1p(math.exp(x))),
}


def test_the_table_is_complete():
    oneof = schema.ActivationParams.DESCRIPTOR.oneofs_by_name["NonlinearityType"]
    assert set(ACTIVATIONS) == {member.name for member in oneof.fields}


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.clause("activation.S1", "activation.S2", "activation.S3")
def test_members_without_weights(name, shape, precision):
    fields, formula = MEMBERS[name]
    x = integers(shape)
    y = run_layer("activation", x, rank5=len(shape) == 5, precision=precision, **{name: fields})
    expected = np.array([formula(v) for v in x.reshape(-1).tolist()]).reshape(shape)
    unit = np.finfo(y.dtype).eps / 2
    np.testing.assert_allclose(y, expected, rtol=5 * unit, atol=0)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES[:2])
@pytest.mark.clause("activation.S4")
def test_prelu(shape, precision):
    x, alpha = integers(shape), integers((shape[-3],), 1)
    y = run_layer("activation", x, rank5=len(shape) == 5, precision=precision, PReLU={"alpha": alpha})
    for index, value in np.ndenumerate(x):
        assert y[index] == (value if value >= 0 else alpha[index[-3]] * value)
    one = run_layer("activation", x, rank5=len(shape) == 5, precision=precision, PReLU={"alpha": [0.5]})
    np.testing.assert_array_equal(one, np.where(x >= 0, x, 0.5 * x))


def test_prelu_with_weights_in_other_encodings():
    x = integers((2, 3, 4, 5, 6))
    codes = schema.WeightParams(rawValue=bytes([0, 2, 4, 6]))
    codes.quantization.numberOfBits = 8
    codes.quantization.linearQuantization.scale.append(0.5)
    expected = np.where(x >= 0, x, np.reshape([0, 1, 2, 3], (4, 1, 1)) * x)
    for alpha in (codes, np.arange(4, dtype=np.float16)):
        np.testing.assert_array_equal(run_layer("activation", x, PReLU={"alpha": alpha}), expected)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("lengths", [(4, 4), (4, 1), (1, 4), (1, 1)])
@pytest.mark.clause("activation.S4")
def test_parametric_softplus(lengths, precision):
    x = integers((2, 3, 4, 5, 6))
    alpha, beta = integers((lengths[0],), 1), 0.5 * integers((lengths[1],), 2)
    y = run_layer("activation", x, precision=precision, parametricSoftplus={"alpha": alpha, "beta": beta})
    a, b = np.broadcast_to(alpha, 4), np.broadcast_to(beta, 4)
    unit = np.finfo(y.dtype).eps / 2
    for index, value in np.ndenumerate(x):
        c = index[2]
        expected = a[c] * math.log1p(math.exp(b[c] * value))
        assert abs(y[index] - expected) <= 4 * unit * abs(expected)


@pytest.mark.clause("activation.S4", "activation.U4")
def test_parametric_softplus_with_weights_in_two_encodings():
    x, alpha, beta = integers((2, 3, 4, 5, 6)), np.arange(4), np.arange(1, 5)
    same = run_layer("activation", x, parametricSoftplus={"alpha": alpha, "beta": beta})
    mixed = {"alpha": alpha.astype(np.float16), "beta": beta}
    np.testing.assert_array_equal(run_layer("activation", x, parametricSoftplus=mixed), same)


@pytest.mark.clause("activation.S6")
def test_unset_numbers_read_zero():
    x = integers((1, 1, 2, 3, 4))
    np.testing.assert_array_equal(run_layer("activation", x, leakyReLU={}), np.maximum(x, 0))
    np.testing.assert_array_equal(run_layer("activation", x, sigmoidHard={}), 0 * x)
    np.testing.assert_array_equal(run_layer("activation", x, linear={}), 0 * x)


@pytest.mark.parametrize(("shape", "axis"), [((4,), 0), ((3, 4), 1), ((4, 3, 5), 0), ((2, 4, 3, 5), 1)])
@pytest.mark.clause("activation.S5", "activation.U2")
def test_prelu_of_any_rank(shape, axis):
    x, alpha = integers(shape), integers((4,), 1)
    along = np.moveaxis(np.broadcast_to(alpha, np.moveaxis(x, axis, -1).shape), -1, axis)
    y = run_layer("activation", x, rank5=False, PReLU={"alpha": alpha})
    np.testing.assert_array_equal(y, np.where(x < 0, along * x, x))


@pytest.mark.clause("activation.C2")
def test_prelu_wants_channels():
    with pytest.raises(InvalidModelError, match=r"alpha of shape \(3, 1, 1\) .* expected lengths of 1 or \(4, 5, 6\)"):
        run_layer("activation", integers((2, 3, 4, 5, 6)), PReLU={"alpha": [1, 2, 3]})
    with pytest.raises(InvalidModelError, match="beta is empty"):
        run_layer("activation", integers((2, 3, 4, 5, 6)), parametricSoftplus={"alpha": [1.0]})


@pytest.mark.clause("activation.C1")
def test_no_function():
    with pytest.raises(InvalidModelError, match=r"no activation function is chosen.*ReLU"):
        run_layer("activation", integers((1, 1, 2, 3, 4)))


@pytest.mark.clause("activation.C2")
def test_weights_of_unknown_number():
    codes = schema.WeightParams(rawValue=bytes([0x12, 0x34]))
    codes.quantization.numberOfBits = 4
    codes.quantization.linearQuantization.scale.append(1)
    with pytest.raises(UnsupportedModelError, match="alpha is stored in codes of 4 bits"):
        run_layer("activation", integers((2, 1, 3, 5, 6)), PReLU={"alpha": codes})


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.clause("activation.S7", "activation.U3")
def test_nan_propagates(name):
    assert np.isnan(run_layer("activation", np.full((1, 1, 2, 3, 4), np.nan), **{name: MEMBERS[name][0]})).all()


@pytest.mark.clause("activation.S7", "activation.U3")
def test_nan_propagates_through_functions_with_weights():
    x = np.full((1, 1, 2, 3, 4), np.nan)
    assert np.isnan(run_layer("activation", x, parametricSoftplus={"alpha": [2], "beta": [3]})).all()
    assert np.isnan(run_layer("activation", x, PReLU={"alpha": [2]})).all()
