"""Precision float16: numbers that rounding makes infinite or 0 are named, with their layer."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import refcoreml
from refcoreml import build
from refcoreml.features import RefCoreMLWarning

X = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)


def batchnorm(**changes: Any) -> Any:
    """A model of one batch normalization of two channels."""
    fields: dict[str, Any] = {"gamma": [1, 2], "beta": [0.5, 1], "mean": [3, 4], "variance": [1, 4], **changes}
    net = build.Network({"x": X.shape}, ["y"])
    net.add("batchnorm", name="bn", channels=2, outputs="y", **fields)
    return net.spec()


def warned(spec: Any, **options: Any) -> list[str]:
    """The texts of the warnings at load."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        refcoreml.load(spec, precision="float16", **options)
    assert all(issubclass(one.category, RefCoreMLWarning) for one in caught)
    return [str(one.message) for one in caught]


def test_a_variance_that_becomes_infinite_is_named() -> None:
    """65504 is the largest half precision number; without a word the channel would be the constant beta."""
    spec = batchnorm(variance=[1, 105288])
    (text,) = warned(spec)
    assert "precision 'float16' loses numbers of 1 fields of weights" in text
    assert "layers[0] 'bn' (batchnorm).variance: number [1] is 105288, the largest half precision number" in text
    with pytest.warns(RefCoreMLWarning):
        result = refcoreml.load(spec, precision="float16").predict({"x": X})["y"]
    np.testing.assert_array_equal(result[1], np.ones((3, 4)))


@pytest.mark.parametrize(
    ("changes", "place", "what"),
    [
        ({"gamma": [1, 1e-9]}, "gamma", "number [1] is 1e-09, too small for half precision (1 become 0)"),
        ({"variance": [2e-8, 1]}, "variance", "number [0] is 2e-08, too small"),
        ({"mean": [-7e4, 1]}, "mean", "number [0] is -70000, the largest half precision number is 65504"),
        # 1e-4 and 3000 are half precision numbers, 3000 / sqrt(1e-10) is none.
        ({"gamma": [3000, 1], "variance": [0, 1], "epsilon": 1e-10}, "gamma / sqrt(variance + epsilon)", "is 3e+08"),
        ({"variance": [1, 0], "epsilon": 1e-12}, "variance + epsilon", "number [1] is 1e-12, too small"),
        ({"beta": [6e4, 1], "mean": [-6e4, 1]}, "beta - mean * gamma / sqrt(variance + epsilon)", "is 120000"),
    ],
)
def test_every_parameter_and_what_follows_from_them(changes: dict[str, Any], place: str, what: str) -> None:
    text = "\n".join(warned(batchnorm(**changes)))
    assert f"'bn' (batchnorm).{place}: number" in text
    assert what in text


def test_numbers_that_fit_cause_no_warning() -> None:
    """Among them an exact 0, the largest number and the smallest one."""
    assert warned(batchnorm(beta=[0, 65504], gamma=[2.0**-24, 1])) == []


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_other_arithmetics_lose_nothing(precision: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refcoreml.load(batchnorm(variance=[1e-30, 105288]), precision=precision)


def test_layers_are_counted_and_the_first_shown() -> None:
    net = build.Network({"x": (5,)}, ["y"])
    for index in range(6):
        net.add("bias", name=f"b{index}", shape=[1], bias=[1e-9], outputs="y" if index == 5 else f"y{index}")
    (text,) = warned(net.spec())
    assert "loses numbers of 6 fields of weights" in text
    assert [f"'b{index}' (bias).bias" in text for index in range(6)] == [True] * 3 + [False] * 3
    assert text.endswith("; and 3 more")


def test_weights_of_custom_layers_count() -> None:
    net = build.Network({"x": (3,)}, ["y"])
    net.add("custom", name="mine", className="Mine", outputs="y", weights=[{"floatValue": [1.0, 1e6]}])
    (text,) = warned(net.spec(), custom_layers={"Mine": lambda x, weights: x * weights[0][0]})
    assert "'mine' (custom).weights[0]: number [1] is 1e+06" in text


def test_inputs_that_half_precision_cannot_hold_are_named() -> None:
    net = build.Network({"x": (3,)}, ["y"])
    net.add("activation", name="same", ReLU={}, outputs="y")
    model = refcoreml.load(net.spec(), precision="float16")
    with pytest.warns(
        RefCoreMLWarning, match=r"float16' loses numbers of input 'x': number \[0, 0, 1, 0, 0\] is 70000"
    ):
        model.predict({"x": [1, 7e4, 2]})
    with pytest.warns(RefCoreMLWarning, match=r"input 'x': number \[0, 0, 2, 0, 0\] is 1e-09, too small"):
        model.predict({"x": [1, 0, 1e-9]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict({"x": [1, 0, 65504]})


def test_a_trace_shows_outputs_before_and_after_rounding() -> None:
    net = build.Network({"x": (3,)}, ["y"])
    net.add("activation", name="third", linear={"alpha": 1 / 3, "beta": 0}, outputs="y")
    (half,) = refcoreml.load(net.spec(), precision="float16").trace({"x": [1, 2, 3e-6]})
    exact = np.float32(1 / 3) * np.array([1, 2, np.float16(3e-6)], np.float32)
    np.testing.assert_array_equal(half.computed["y"].ravel(), exact)
    np.testing.assert_array_equal(half.outputs["y"].ravel(), exact.astype(np.float16))
    (single,) = refcoreml.load(net.spec()).trace({"x": [1, 2, 3e-6]})
    assert single.computed["y"] is single.outputs["y"]
