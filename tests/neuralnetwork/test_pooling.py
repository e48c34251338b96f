from __future__ import annotations

import numpy as np
import pytest
from support import integers, run_layer

from refcoreml import definitions
from refcoreml.errors import InvalidModelError

DTYPES = {"float32": np.float32, "float64": np.float64}


def amounts(top, bottom, left, right):
    edges = [{"startEdgeSize": top, "endEdgeSize": bottom}, {"startEdgeSize": left, "endEdgeSize": right}]
    return {"paddingAmounts": {"borderAmounts": edges}}


def pool(x, kind="MAX", **fields):
    return run_layer("pooling", x, type=kind, **({"valid": {}} | fields if not _padded(fields) else fields))


def _padded(fields):
    return {"valid", "same", "includeLastPixel"} & set(fields)


def transcription(kind, x, kernel, stride, begin, count, exclude=False):
    return definitions.pooling(x, kind.lower(), kernel, stride, begin, count, exclude)


KINDS = [("MAX", False), ("L2", False), ("AVERAGE", False), ("AVERAGE", True)]


def check(x, kernel, stride, begin, count, **fields):
    for kind, exclude in KINDS:
        for precision, dtype in DTYPES.items():
            y = pool(
                x, kind, kernel_size=kernel, stride=stride, avgPoolExcludePadding=exclude, precision=precision, **fields
            )
            expected = transcription(kind, x, kernel, stride, begin, count, exclude)
            # Sums of small integers are exact; what is left is one rounding, of the quotient or the root.
            np.testing.assert_array_equal(y, expected.astype(dtype))


X = integers((2, 3, 4, 9, 11), seed=1)
BLOBS = [(X, True), (X, False), (X[0], False)]


@pytest.mark.parametrize(("x", "rank5"), BLOBS)
@pytest.mark.clause("pooling.S1", "pooling.S2", "pooling.S3")
def test_valid(x, rank5):
    check(x, (2, 3), (3, 2), (0, 0), (3, 5), rank5=rank5)
    check(x, (4, 3), (1, 2), (3, 0), (12, 6), rank5=rank5, valid=amounts(3, 3, 0, 2))


@pytest.mark.parametrize(("x", "rank5"), BLOBS)
@pytest.mark.clause("pooling.S2", "pooling.S4")
def test_same(x, rank5):
    # H: 9, stride 2, kernel 4: ceil(9 / 2) = 5, pads 4 * 2 + 4 - 9 = 3. W: 11, stride 3, kernel 3: 4, pads 1.
    check(x, (4, 3), (2, 3), (1, 0), (5, 4), rank5=rank5, same={})
    check(x, (4, 3), (2, 3), (2, 1), (5, 4), rank5=rank5, same={"asymmetryMode": "TOP_LEFT_HEAVY"})


@pytest.mark.parametrize(("x", "rank5"), BLOBS)
@pytest.mark.clause("pooling.S5")
def test_include_last_pixel(x, rank5):
    # H: ceil((9 - 2) / 4) + 1 = 3, the last window starts at 8. W: ceil((11 - 4) / 3) + 1 = 4.
    check(x, (2, 4), (4, 3), (0, 0), (3, 4), rank5=rank5, includeLastPixel={})
    # H: ceil((9 + 2 - 2) / 4) + 1 = 4, one less, as the last would start at 12 >= 10. W: ceil((11 - 4) / 3) + 1.
    padding = {"paddingAmounts": [1, 0]}
    check(x, (2, 4), (4, 3), (1, 0), (3, 4), rank5=rank5, includeLastPixel=padding)


@pytest.mark.clause("pooling.S2", "pooling.S5", "pooling.U4")
def test_padding_of_one_axis_trims_the_other():
    x = integers((1, 2, 3, 4, 5), seed=2)
    # W: ceil((5 - 1) / 6) + 1 = 2; the second window would start at 6 >= 5.
    untrimmed = pool(x, kernel_size=[3, 1], stride=[1, 6], includeLastPixel={})
    assert untrimmed.shape == (1, 2, 3, 2, 2)
    assert (untrimmed[..., 1] == -np.inf).all()
    trimmed = pool(x, kernel_size=[3, 1], stride=[1, 6], includeLastPixel={"paddingAmounts": [1, 0]})
    assert trimmed.shape == (1, 2, 3, 4, 1)


@pytest.mark.clause("pooling.U4")
def test_padding_never_is_the_greatest():
    x = np.array([-3.0, -5, -7]).reshape(1, 1, 1, 1, 3)
    y = pool(x, kernel_size=[1, 2], stride=[1, 2], valid=amounts(0, 0, 2, 1))
    np.testing.assert_array_equal(y.ravel(), [-np.inf, -3, -7])


def test_a_kernel_of_the_whole_image_gives_one_pixel():
    x = integers((1, 1, 2, 7, 7), seed=3)
    y = pool(x, "AVERAGE", kernel_size=[7, 7], stride=[7, 7], includeLastPixel={})
    np.testing.assert_array_equal(y, x.mean(axis=(-2, -1), keepdims=True).astype(np.float32))


@pytest.mark.clause("pooling.U1")
def test_what_overflows_counts_as_padding():
    x = np.arange(1.0, 6).reshape(1, 1, 1, 1, 5)  # windows of 3 at 0, 2 and, beyond the end by one, ... 4
    fields = {"kernel_size": [1, 4], "stride": [1, 2], "includeLastPixel": {}}
    np.testing.assert_array_equal(pool(x, "AVERAGE", **fields).ravel(), [10 / 4, 12 / 4])
    np.testing.assert_array_equal(pool(x, "AVERAGE", avgPoolExcludePadding=True, **fields).ravel(), [10 / 4, 12 / 3])


@pytest.mark.clause("pooling.S7")
def test_defaults_are_3x3_and_stride_1():
    x = integers((1, 2, 3, 5, 7), seed=4)
    np.testing.assert_array_equal(pool(x), transcription("MAX", x, (3, 3), (1, 1), (0, 0), (3, 5)))


@pytest.mark.parametrize("rank5", [True, False])
@pytest.mark.clause("pooling.C2", "pooling.S6")
def test_global_pooling_reads_no_sizes(rank5):
    x = integers((2, 3, 4, 5, 8), seed=5)
    fields = {
        "globalPooling": True,
        "kernel_size": [0, 99],
        "stride": [0],
        "rank5": rank5,
        "valid": amounts(1, 2, 3, 4),
    }
    for kind, expected in [
        ("MAX", x.max((-2, -1))),
        ("AVERAGE", x.sum((-2, -1)) / 40),
        ("L2", np.sqrt((x * x).sum((-2, -1)))),
    ]:
        y = pool(x, kind, avgPoolExcludePadding=True, **fields)
        np.testing.assert_array_equal(y, expected[..., None, None].astype(np.float32))


A, B = [[-10.80291205, -6.42076184], [-7.07910997, 9.1913279]], [[-3.18181497, 0.9132147], [11.9785544, 7.92449539]]


@pytest.mark.clause("pooling.S1", "pooling.U3")
def test_what_apple_expects():
    """The figures of coremltools' tests of 1-D and 2-D pooling."""
    line = np.arange(1.0, 8).reshape(1, 1, 1, 7)
    x = np.array([[A, B]])
    wide = {"kernel_size": [1, 3], "stride": [1, 3], "same": {}, "avgPoolExcludePadding": True, "rank5": False}
    tall = {"kernel_size": [1, 2], "stride": [2, 1], "rank5": False}
    same = {"kernel_size": [2, 3], "stride": [1, 3], "same": {}, "avgPoolExcludePadding": True, "rank5": False}
    for kind, blob, fields, expected in [
        ("AVERAGE", line, {"kernel_size": [1, 1], "stride": [1, 2], "rank5": False}, [1, 3, 5, 7]),
        ("AVERAGE", line, wide, [1.5, 4, 6.5]),
        ("MAX", line, wide, [2, 5, 7]),
        ("L2", line, wide, [2.236068, 7.071068, 9.219544]),
        ("AVERAGE", x, tall, [-8.611837, -1.1343001]),
        ("AVERAGE", x, same, [-3.7778642, 1.056109, 4.4086123, 9.951525]),
        ("MAX", x, tall, [-6.42076184, 0.9132147]),
        ("MAX", x, same, [9.191328, 9.191328, 11.978555, 11.978555]),
    ]:
        np.testing.assert_allclose(pool(blob, kind, **fields).ravel(), expected, rtol=2e-7)
    squares = np.array([[[[-10.0, -6], [-7, 9]], [[-3, 0], [11, 7]]]])
    np.testing.assert_allclose(pool(squares, "L2", **tall).ravel(), [11.66190338, 3], rtol=2e-7)
    expected = [16.309507, 11.401754, 13.379088, 13.038404]
    np.testing.assert_allclose(pool(squares, "L2", **same).ravel(), expected, rtol=2e-7)
    lower = {"kernel_size": [2, 2], "same": {"asymmetryMode": "TOP_LEFT_HEAVY"}, "rank5": False}
    counted = np.arange(1.0, 5).reshape(1, 1, 2, 2)
    np.testing.assert_array_equal(pool(counted, "AVERAGE", **lower).ravel(), [0.25, 0.75, 1, 2.5])
    np.testing.assert_array_equal(pool(counted, "MAX", **lower).ravel(), [1, 2, 3, 4])
    np.testing.assert_allclose(pool(counted, "L2", **lower).ravel(), [1, 2.236068, 3.162278, 5.477226], rtol=2e-7)


@pytest.mark.parametrize("heavy", ["BOTTOM_RIGHT_HEAVY", "TOP_LEFT_HEAVY"])
@pytest.mark.parametrize(("kind", "exclude"), [("MAX", False), ("AVERAGE", False), ("AVERAGE", True)])
def test_onnxruntime_agrees(heavy, kind, exclude):
    onnx = pytest.importorskip("onnx", reason="onnx writes the model of the third opinion")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is the third opinion")
    x = integers((2, 3, 9, 11), seed=6)
    attributes = {"kernel_shape": [4, 3], "strides": [2, 3]}
    attributes["auto_pad"] = "SAME_UPPER" if heavy == "BOTTOM_RIGHT_HEAVY" else "SAME_LOWER"
    if kind == "AVERAGE":
        attributes["count_include_pad"] = int(not exclude)
    node = onnx.helper.make_node("MaxPool" if kind == "MAX" else "AveragePool", ["x"], ["y"], **attributes)
    float32 = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node],
        "pool",
        [onnx.helper.make_tensor_value_info("x", float32, x.shape)],
        [onnx.helper.make_tensor_value_info("y", float32, None)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x.astype(np.float32)})
    y = pool(
        x,
        kind,
        avgPoolExcludePadding=exclude,
        kernel_size=[4, 3],
        stride=[2, 3],
        same={"asymmetryMode": heavy},
        rank5=False,
    )
    np.testing.assert_array_max_ulp(y, expected, 1)


BLOB = np.zeros((1, 1, 2, 5, 7))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel_size": [3, 3]}, "no kind of padding"),
        ({"valid": {}, "type": 9}, "type is 9"),
        ({"valid": {}, "kernel_size": [3]}, "kernelSize has 1 numbers"),
        ({"valid": {}, "kernel_size": [0, 2]}, r"kernelSize is \(0, 2\)"),
        ({"valid": {}, "stride": [2, 0]}, r"stride is \(2, 0\)"),
        ({"valid": {}, "kernel_size": [2**40, 2]}, "kernelSize is .1099511627776, 2"),
        ({"valid": {}, "kernel_size": [6, 2]}, "window of 6 does not fit into the 5 pixels along H"),
        ({"valid": amounts(0, 2**40, 0, 0)}, "paddingAmounts are"),
        ({"valid": {"paddingAmounts": {"borderAmounts": [{}]}}}, "paddingAmounts has 1 entries"),
        ({"includeLastPixel": {"paddingAmounts": [1]}}, "paddingAmounts has 1 numbers"),
        ({"includeLastPixel": {"paddingAmounts": [0, 2**40]}}, "paddingAmounts is"),
        ({"same": {"asymmetryMode": 2}}, "asymmetryMode is 2"),
        ({"valid": amounts(2**30, 2**30, 2**30, 2**30)}, "bytes, limit"),
        ({"valid": {}, "blob": np.zeros((2, 5, 7)), "rank5": False}, "rank 4 or more"),
    ],
)
@pytest.mark.clause("pooling.C1", "pooling.C2", "pooling.C3")
def test_errors_name_the_layer_and_the_field(fields, message):
    blob = fields.pop("blob", BLOB) if "blob" in fields else BLOB
    fields = {key: value for key, value in fields.items() if key != "blob"}
    with pytest.raises(InvalidModelError, match=r"layers\[0\] 'pooling0' \(pooling\).*" + message):
        run_layer("pooling", blob, **fields)


def test_hostile_sizes_that_fit_run():
    y = pool(
        integers((1, 1, 2, 5, 7)),
        kernel_size=[2**31 - 1, 2],
        stride=[2**31 - 1, 1],
        valid=amounts(2**31 - 6, 2**31 - 1, 0, 0),
    )
    assert y.shape == (1, 1, 2, 2, 6)
    assert (y[..., 1, :] == -np.inf).all()
