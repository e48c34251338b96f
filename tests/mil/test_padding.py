"""Borders added and taken away, in all operation sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mil.support import run

from refcoreml.errors import InputError, InvalidModelError

OPSETS = ["CoreML5", "CoreML6", "CoreML7", "CoreML8", "CoreML9"]
FLOATS = [np.float16, np.float32]
MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
X = np.arange(1, 61).reshape(3, 4, 5)
OPEN = [("fp32", (None, None, None))]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.clause("mil.pad.C1", "mil.pad.S1", "mil.pad.S2", "programs.U43")
def test_pad_is_that_of_numpy(mode: str, dtype: Any, opset: str) -> None:
    x = X.astype(dtype)
    for pairs in [[(1, 0), (2, 3), (0, 4)], [(3, 1), (2, 0)], [(2, 1)], [(0, 0)]]:
        edges = [(0, 0)] * (3 - len(pairs)) + pairs
        rest: Any = {"constant_values": 7} if mode == "constant" else {}
        expected = np.pad(x, edges, MODES[mode], **rest)
        flat = np.array(pairs, np.int32).ravel()
        y = run("pad", {"x": x}, pad=flat, mode=mode, constant_val=dtype(7), opset=opset)
        np.testing.assert_array_equal(y, expected)
        if len(pairs) == 3:
            outputs = [("fp16" if dtype is np.float16 else "fp32", (None, None, None))]
            given = {"x": x, "pad": flat}
            y = run("pad", given, mode=mode, constant_val=dtype(7), opset=opset, outputs=outputs)
            np.testing.assert_array_equal(y, expected)


@pytest.mark.clause("programs.U42")
def test_an_edge_is_repeated_more_often_than_the_axis_is_long() -> None:
    y = run("pad", {"x": X[0].astype(np.float32)}, pad=[5, 0, 0, 7], mode="replicate")
    np.testing.assert_array_equal(y, np.pad(X[0], [(5, 0), (0, 7)], "edge"))


@pytest.mark.clause("mil.pad.S3")
def test_borders_are_constant_and_0_by_default() -> None:
    x = X.astype(np.float32)
    y = run("pad", {"x": x}, pad=[1, 2])
    np.testing.assert_array_equal(y, np.pad(x, [(0, 0), (0, 0), (1, 2)]))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (dict(pad=[1, 2, 3]), "'pad' has 3 elements, expected two for each axis"),
        (dict(pad=[1, -2]), "expected none below 0"),
        (dict(pad=[1, 5], mode="reflect"), "reflects 5 elements along axis 2, expected fewer than its 5"),
        (dict(pad=[1] * 8), "pads 4 axes, but x .* has fewer"),
        (dict(pad=[1, 1], mode="wrap"), "'mode' is 'wrap', expected one of 'constant', 'reflect', 'replicate'"),
        (dict(pad=[1, 1], constant_val=np.float16(1)), "'x', 'constant_val' have elements of types fp32, fp16"),
        (dict(pad=[1.0, 1.0]), "'pad' has elements of type fp32, expected int32"),
        ({}, "parameter 'pad' is missing"),
    ],
)
@pytest.mark.clause("mil.pad.C1", "mil.pad.C2", "mil.pad.C3")
def test_paddings_that_core_ml_does_not_have(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidModelError, match=rf"made.*\(pad\).*{words}"):
        run("pad", {"x": X.astype(np.float32)}, **parameters)


@pytest.mark.parametrize(
    ("amounts", "fault", "words"),
    [
        ([0, 0, 0, 0, 1, -2], InputError, "expected none below 0"),
        ([0, 0, 1, 2], InvalidModelError, "amounts has the shape .4,., expected 6"),
    ],
)
@pytest.mark.clause("mil.pad.C2")
def test_computed_paddings_that_core_ml_does_not_have(amounts: list[int], fault: type[Exception], words: str) -> None:
    given = {"x": X.astype(np.float32), "pad": np.array(amounts, np.int32)}
    with pytest.raises(fault, match=rf"made.*\(pad\).*{words}"):
        run("pad", given, outputs=OPEN)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.clause("mil.crop.S1")
def test_crop(dtype: Any, opset: str) -> None:
    x = np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7).astype(dtype)
    for given in (x, x[0], x[None]):
        y = run("crop", {"x": given}, crop_height=[1, 3], crop_width=[0, 2], opset=opset)
        np.testing.assert_array_equal(y, given[..., 1:2, :5])


@pytest.mark.parametrize(
    ("height", "width", "words"),
    [
        ([3, 2], [0, 0], "crops .* of the last axes, but x has .5, 7. there"),
        ([0, 0], [-1, 0], "expected none below 0"),
        ([0], [0, 0], "'crop_height' has 1 elements, expected 2"),
    ],
)
@pytest.mark.clause("mil.crop.C2")
def test_crops_that_leave_nothing(height: list[int], width: list[int], words: str) -> None:
    x = np.zeros((2, 3, 5, 7), np.float32)
    with pytest.raises(InvalidModelError, match=rf"made.*\(crop\).*{words}"):
        run("crop", {"x": x}, crop_height=height, crop_width=width)


@pytest.mark.clause("mil.crop.C1", "mil.pad.C1")
def test_crops_are_of_images() -> None:
    with pytest.raises(InvalidModelError, match="x has rank 2, expected 3 or more"):
        run("crop", {"x": X[0].astype(np.float32)}, crop_height=[0, 1], crop_width=[0, 1])
    for kind, parameters in [("crop", dict(crop_height=[0, 1], crop_width=[0, 1])), ("pad", dict(pad=[1, 1]))]:
        with pytest.raises(InvalidModelError, match="'x' has elements of type int32, expected fp16, fp32"):
            run(kind, {"x": X.astype(np.int32)[None]}, **parameters)
