from __future__ import annotations

import numpy as np
import pytest
from support import integers, run_layer

from refcoreml.errors import InvalidModelError

X = np.arange(1.0, 13).reshape(1, 1, 1, 3, 4)


def amounts(top, bottom, left, right):
    return {
        "borderAmounts": [{"startEdgeSize": top, "endEdgeSize": bottom}, {"startEdgeSize": left, "endEdgeSize": right}]
    }


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            {"constant": {"value": -1}},
            "-1 -1 -1 -1 -1 -1|-1 -1 -1 -1 -1 -1|-1 -1 1 2 3 4|-1 -1 5 6 7 8|-1 -1 9 10 11 12",
        ),
        ({"constant": {}}, "0 0 0 0 0 0|0 0 0 0 0 0|0 0 1 2 3 4|0 0 5 6 7 8|0 0 9 10 11 12"),
        ({"reflection": {}}, "11 10 9 10 11 12|7 6 5 6 7 8|3 2 1 2 3 4|7 6 5 6 7 8|11 10 9 10 11 12"),
        ({"replication": {}}, "1 1 1 2 3 4|1 1 1 2 3 4|1 1 1 2 3 4|5 5 5 6 7 8|9 9 9 10 11 12"),
    ],
)
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "rank5"), [((1, 1, 1), True), ((1, 1, 1), False), ((1, 1), False), ((), False)])
@pytest.mark.clause("padding.S1", "padding.S2", "padding.S3")
def test_the_example_of_the_schema(kind, expected, precision, shape, rank5):
    x = X.reshape(*shape, 3, 4)
    y = run_layer("padding", x, paddingAmounts=amounts(2, 0, 2, 0), precision=precision, rank5=rank5, **kind)
    np.testing.assert_array_equal(
        y, np.array([row.split() for row in expected.split("|")], float).reshape(*shape, 5, 6)
    )


@pytest.mark.clause("padding.S4")
def test_bottom_and_right():
    x = integers((2, 3, 4, 5, 6), seed=1)
    y = run_layer("padding", x, paddingAmounts=amounts(0, 1, 2, 3), constant={"value": 7})
    assert y.shape == (2, 3, 4, 6, 11)
    np.testing.assert_array_equal(y[..., :5, 2:8], x)
    y[..., :5, 2:8] = 7
    assert (y == 7).all()


@pytest.mark.clause("padding.S4")
def test_no_amounts_are_no_border():
    x = integers((2, 3, 4, 5, 6))
    np.testing.assert_array_equal(run_layer("padding", x, reflection={}), x)


def test_what_apple_expects():
    """The figures of coremltools' tests of constant and replicated borders."""
    x = np.arange(1.0, 7).reshape(1, 1, 1, 2, 3)
    y = run_layer("padding", x, paddingAmounts=amounts(2, 0, 1, 0), constant={"value": -1})
    np.testing.assert_array_equal(y[0, 0, 0], [[-1] * 4, [-1] * 4, [-1, 1, 2, 3], [-1, 4, 5, 6]])
    y = run_layer("padding", x, paddingAmounts=amounts(2, 0, 1, 0), replication={})
    np.testing.assert_array_equal(y[0, 0, 0], [[1, 1, 2, 3]] * 3 + [[4, 4, 5, 6]])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"paddingAmounts": amounts(1, 1, 1, 1)}, "no kind of padding"),
        ({"constant": {}, "paddingAmounts": {"borderAmounts": [{}, {}, {}]}}, "paddingAmounts has 3 entries"),
        ({"reflection": {}, "paddingAmounts": amounts(0, 3, 0, 0)}, "reflects 3 elements along axis 3"),
        ({"reflection": {}, "paddingAmounts": amounts(0, 0, 4, 0)}, "reflects 4 elements along axis 4"),
        ({"replication": {}, "paddingAmounts": amounts(2**63, 2**63, 0, 0)}, "bytes, limit"),
    ],
)
@pytest.mark.clause("padding.C1", "padding.C2", "padding.U1")
def test_errors_of_padding(fields, message):
    with pytest.raises(InvalidModelError, match=r"layers\[0\] 'padding0' \(padding\).*" + message):
        run_layer("padding", X, **fields)


@pytest.mark.clause("padding.C2")
def test_padding_needs_two_axes():
    with pytest.raises(InvalidModelError, match=r"expected an input \[\*, H, W\], got \(4,\)"):
        run_layer("padding", np.zeros(4), constant={}, rank5=False)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("rank", "rank5"), [(5, True), (5, False), (4, False), (3, False)])
@pytest.mark.clause("crop.S1")
def test_crop_by_amounts(precision, rank, rank5):
    x = integers((2, 3, 4, 7, 9)[-rank:], seed=2)
    y = run_layer("crop", x, cropAmounts=amounts(1, 2, 3, 0), precision=precision, rank5=rank5)
    np.testing.assert_array_equal(y, x[..., 1:5, 3:])


@pytest.mark.parametrize(("rank", "rank5"), [(5, True), (5, False), (4, False), (3, False)])
@pytest.mark.clause("crop.S2")
def test_crop_to_a_reference(rank, rank5):
    x, reference = integers((2, 3, 4, 7, 9)[-rank:], seed=2), np.zeros((2, 3, 6, 4, 5)[-rank:])
    y = run_layer("crop", x, reference, offset=[3, 2], cropAmounts=amounts(9, 9, 9, 9), rank5=rank5)
    np.testing.assert_array_equal(y, x[..., 3:7, 2:7])


def test_crop_of_apple():
    x = np.arange(1.0, 17).reshape(1, 1, 4, 4)
    y = run_layer("crop", x, cropAmounts=amounts(0, 1, 1, 1), rank5=False)
    np.testing.assert_array_equal(y.ravel(), [2, 3, 6, 7, 10, 11])


@pytest.mark.parametrize(
    ("shapes", "fields", "message"),
    [
        ([(1, 3, 4)], {}, "needs cropAmounts of 2 entries"),
        ([(1, 3, 4)], {"offset": [1, 1]}, "needs cropAmounts of 2 entries"),
        ([(1, 3, 4)], {"cropAmounts": amounts(2, 1, 0, 0)}, r"crops \(\(2, 1\), \(0, 0\)\) of the last axes"),
        ([(1, 3, 4)], {"cropAmounts": amounts(0, 0, 2**63, 0)}, r"\(9223372036854775808, 0\)\) of the last"),
        ([(3, 4)], {"cropAmounts": amounts(0, 0, 1, 0)}, r"expected an input \[\*, C, H, W\]"),
        ([(1, 3, 4), (1, 2, 2)], {}, "has 0 numbers in offset"),
        ([(1, 3, 4), (1, 2, 2)], {"offset": [2, 0]}, r"cannot take \(2, 2\) elements at \(2, 0\)"),
        ([(1, 3, 4), (1, 2, 2)], {"offset": [0, 2**63]}, "cannot take"),
        ([(1, 3, 4), (1, 1, 2, 2)], {"offset": [0, 0]}, "different ranks"),
    ],
)
@pytest.mark.clause("crop.C1", "crop.C2", "crop.C3")
def test_errors_of_crop(shapes, fields, message):
    with pytest.raises(InvalidModelError, match=r"layers\[0\] 'crop0' \(crop\).*" + message):
        run_layer("crop", *map(np.zeros, shapes), rank5=False, **fields)
