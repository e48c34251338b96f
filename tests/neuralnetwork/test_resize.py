from __future__ import annotations

import numpy as np
import pytest
from support import integers, run_layer

from refcoreml.errors import InputError, InvalidModelError

THIRD = 1 / 3
ALIGN, HALF = "ALIGN_CORNERS_TRUE", "ALIGN_CORNERS_FALSE"


def near(y, expected, magnitude=4):
    """Equal up to the roundings of two float32 interpolations."""
    np.testing.assert_allclose(y, expected, rtol=0, atol=14 * 2.0**-24 * magnitude)


def line(*values):
    return np.array(values, float).reshape(1, 1, 1, 1, -1)


@pytest.mark.parametrize(("rank", "rank5"), [(5, True), (5, False), (4, False), (3, False)])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.clause("upsample.S1")
def test_nearest(rank, rank5, precision):
    x = integers((2, 3, 4, 5, 6)[-rank:], seed=1)
    y = run_layer("upsample", x, scalingFactor=[3, 2], rank5=rank5, precision=precision)
    assert y.shape == (2, 3, 4, 15, 12)[-rank:]
    for i, j in np.ndindex(15, 12):
        np.testing.assert_array_equal(y[..., i, j], x[..., i // 3, j // 2])


@pytest.mark.clause("upsample.S5")
def test_factors_of_zero_and_none_are_one():
    x = integers((1, 2, 3, 4, 5))
    for fields in (
        {},
        {"scalingFactor": [0, 0]},
        {"mode": "BILINEAR"},
        {"mode": "BILINEAR", "linearUpsampleMode": ALIGN},
    ):
        np.testing.assert_array_equal(run_layer("upsample", x, **fields), x)


@pytest.mark.parametrize("rank5", [True, False])
@pytest.mark.clause("upsample.S2", "upsample.S3", "upsample.S4")
def test_bilinear_figures(rank5):
    """Those of coremltools' tests, and of the docstring's table."""

    def upsample(x, mode, **fields):
        return run_layer("upsample", x, mode="BILINEAR", linearUpsampleMode=mode, rank5=rank5, **fields)[0, 0, 0]

    y = upsample(line(1, 2, 3), "DEFAULT", scalingFactor=[2, 3])
    near(y, [[1, 4 * THIRD, 5 * THIRD, 2, 7 * THIRD, 8 * THIRD, 3, 3, 3]] * 2)
    near(upsample(line(0, 1), ALIGN, scalingFactor=[1, 3]), [[0, 0.2, 0.4, 0.6, 0.8, 1]])
    near(upsample(line(0, 1), HALF, fractionalScalingFactor=[1, 2.6]), [[0, 0.1, 0.5, 0.9, 1]])
    near(upsample(line(1, 2, 3), ALIGN, scalingFactor=[1, 3]), [np.linspace(1, 3, 9)])
    near(
        upsample(line(1, 2, 3), HALF, scalingFactor=[1, 3]),
        [[1, 1, 4 * THIRD, 5 * THIRD, 2, 7 * THIRD, 8 * THIRD, 3, 3]],
    )


def test_the_type_is_kept():
    x = integers((1, 2, 3, 4, 5))
    y = run_layer("upsample", x, scalingFactor=[2, 3], mode="BILINEAR", precision="float64")
    near(y.astype(np.float32), run_layer("upsample", x, scalingFactor=[2, 3], mode="BILINEAR"))
    boxes = np.array([0, 1, 2, 3.0]).reshape(1, 1, 4, 1, 1)
    assert run_layer("cropResize", x[:1], boxes, precision="float64").shape == (1, 2, 3, 1, 1)
    assert run_layer("resizeBilinear", x, precision="float64").shape == (1, 2, 3, 1, 1)


@pytest.mark.parametrize("scale", [(1.0, 1.66), (2.32, 2.98), (2.98, 1.0), (0.5, 0.75), (3, 2)])
@pytest.mark.parametrize("size", [(2, 5), (4, 3), (5, 4), (10, 22)])
@pytest.mark.parametrize("align", [True, False])
def test_torch_agrees(scale, size, align):
    torch = pytest.importorskip("torch", reason="torch is the third opinion; Apple compares with it, too")
    x = integers((2, 3, *size), seed=2)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x), scale_factor=scale, mode="bilinear", align_corners=align, recompute_scale_factor=True
    ).numpy()
    field = "scalingFactor" if all(isinstance(s, int) for s in scale) else "fractionalScalingFactor"
    y = run_layer(
        "upsample",
        x,
        mode="BILINEAR",
        linearUpsampleMode=ALIGN if align else HALF,
        rank5=False,
        precision="float64",
        **{field: scale},
    )
    # torch rounds positions of up to 22 and both weights of each axis.
    np.testing.assert_allclose(y, expected, rtol=0, atol=40 * 2.0**-53 * 22 * 4)


@pytest.mark.clause("upsample.S3", "upsample.U2")
def test_aligned_corners_of_one_pixel():
    x = integers((1, 1, 2, 3, 4))
    y = run_layer("upsample", x, mode="BILINEAR", linearUpsampleMode=ALIGN, fractionalScalingFactor=[0.5, 1])
    np.testing.assert_array_equal(y, x[..., :1, :])


@pytest.mark.clause("upsample.U1")
def test_fractional_sizes_are_rounded_in_single_precision():
    x = integers((1, 1, 2, 10, 5))
    y = run_layer("upsample", x, mode="BILINEAR", linearUpsampleMode=HALF, fractionalScalingFactor=[1.3, 2.2])
    assert y.shape == (1, 1, 2, 13, 11)


@pytest.mark.parametrize(
    ("mode", "x", "expected"),
    [
        ("STRICT_ALIGN_ENDPOINTS_MODE", (0, 1), (0, 0.25, 0.5, 0.75, 1)),
        ("ALIGN_ENDPOINTS_MODE", (0, 1), (0, 0.25, 0.5, 0.75, 1)),
        ("UPSAMPLE_MODE", (0, 1), (0, 0.4, 0.8, 1, 1)),
        ("ROI_ALIGN_MODE", (0, 1), (0.1, 0.3, 0.5, 0.7, 0.9)),
        ("STRICT_ALIGN_ENDPOINTS_MODE", (1, 2, 4, 3), (1,)),
        ("ALIGN_ENDPOINTS_MODE", (1, 2, 4, 3), (3,)),
        ("UPSAMPLE_MODE", (1, 2, 4, 3), (1,)),
        ("ROI_ALIGN_MODE", (1, 2, 4, 3), (3,)),
        ("UPSAMPLE_MODE", (1, 2, 4, 3), (1, 4)),
        ("ROI_ALIGN_MODE", (1, 2, 4, 3), (1.75, 3.75)),
        ("ROI_ALIGN_MODE", (5,), (5, 5)),
    ],
)
@pytest.mark.clause("resizeBilinear.S1", "resizeBilinear.S2", "resizeBilinear.S3")
def test_figures_of_resize_bilinear(mode, x, expected):
    for blob, size in ((line(*x), (1, len(expected))), (line(*x).swapaxes(-1, -2), (len(expected), 1))):
        y = run_layer("resizeBilinear", blob, targetSize=size, mode={"samplingMethod": mode})
        assert y.shape == (1, 1, 1, *size)
        near(y.ravel(), expected)


@pytest.mark.parametrize(("rank", "rank5"), [(5, True), (5, False), (4, False), (3, False)])
@pytest.mark.clause("resizeBilinear.S4")
def test_resize_bilinear_of_any_rank(rank, rank5):
    x = integers((2, 3, 4, 5, 6)[-rank:], seed=3)
    y = run_layer("resizeBilinear", x, targetSize=[9, 11], rank5=rank5)
    np.testing.assert_array_equal(y[..., ::2, ::2], x)
    np.testing.assert_array_equal(y[..., 1::2, ::2], (x[..., :-1, :] + x[..., 1:, :]) / 2)


@pytest.mark.clause("resizeBilinear.S4")
def test_target_sizes_of_zero_and_none_are_one():
    x = integers((1, 2, 3, 4, 5))
    for fields in ({}, {"targetSize": [0, 0]}):
        np.testing.assert_array_equal(run_layer("resizeBilinear", x, **fields), x[..., :1, :1])


@pytest.mark.parametrize("transform", ["asymmetric", "align_corners", "half_pixel"])
def test_onnxruntime_agrees(transform):
    onnx = pytest.importorskip("onnx", reason="onnx writes the model of the third opinion")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is the third opinion")
    helper, tensor = onnx.helper, onnx.TensorProto
    x = integers((2, 3, 4, 5), seed=4).astype(np.float32)
    node = helper.make_node(
        "Resize", ["x", "", "", "sizes"], ["y"], mode="linear", coordinate_transformation_mode=transform
    )
    graph = helper.make_graph(
        [node],
        "resize",
        [helper.make_tensor_value_info("x", tensor.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", tensor.FLOAT, None)],
        [helper.make_tensor("sizes", tensor.INT64, [4], [2, 3, 12, 10])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    mode = {"asymmetric": "DEFAULT", "align_corners": ALIGN, "half_pixel": HALF}[transform]
    y = run_layer("upsample", x, scalingFactor=[3, 2], mode="BILINEAR", linearUpsampleMode=mode, rank5=False)
    # onnxruntime computes positions of up to 5 in float32.
    np.testing.assert_allclose(y, expected, rtol=0, atol=40 * 2.0**-24 * 5 * 4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scalingFactor": [2]}, "has 1 scaling factors"),
        ({"scalingFactor": [2, 2], "fractionalScalingFactor": [1.5, 1]}, "both scalingFactor and fractional"),
        ({"fractionalScalingFactor": [1.5, 1]}, "needs the mode BILINEAR"),
        ({"fractionalScalingFactor": [1.5, 1], "mode": "BILINEAR"}, "ALIGN_CORNERS_TRUE"),
        ({"linearUpsampleMode": HALF}, "linearUpsampleMode needs the mode BILINEAR"),
        ({"fractionalScalingFactor": [-1, 1], "mode": "BILINEAR", "linearUpsampleMode": HALF}, "positive"),
        ({"fractionalScalingFactor": [np.nan, 1], "mode": "BILINEAR", "linearUpsampleMode": HALF}, "positive"),
        ({"fractionalScalingFactor": [1, np.inf], "mode": "BILINEAR", "linearUpsampleMode": HALF}, "positive"),
        ({"fractionalScalingFactor": [1e-3, 1], "mode": "BILINEAR", "linearUpsampleMode": HALF}, "at least 1"),
        ({"fractionalScalingFactor": [1, 3e38], "mode": "BILINEAR", "linearUpsampleMode": HALF}, "below 2"),
        ({"fractionalScalingFactor": [1, 2e9], "mode": "BILINEAR", "linearUpsampleMode": HALF}, "limit"),
        ({"scalingFactor": [2**63, 1]}, "limit"),
        ({"mode": 7}, "mode is 7"),
        ({"mode": "BILINEAR", "linearUpsampleMode": 7}, "linearUpsampleMode is 7"),
        ({"rank5": False, "shape": (4, 5)}, r"expected an input \[\*, C, H, W\] of rank 3 or more, got \(4, 5\)"),
    ],
)
@pytest.mark.clause("upsample.C1", "upsample.C2", "upsample.C3")
def test_errors_of_upsample(fields, message):
    shape = fields.get("shape", (1, 1, 2, 4, 5))
    fields = {key: value for key, value in fields.items() if key != "shape"}
    with pytest.raises(InvalidModelError, match=r"layers\[0\] 'upsample0' \(upsample\).*" + message):
        run_layer("upsample", np.zeros(shape), **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"targetSize": [3]}, "targetSize has 1 numbers"),
        ({"targetSize": [2**40, 2**40]}, "limit"),
        ({"mode": {"samplingMethod": 4}}, "samplingMethod is 4"),
        ({"rank5": False, "shape": (4, 5)}, r"expected an input \[\*, C, H, W\] of rank 3 or more, got \(4, 5\)"),
    ],
)
@pytest.mark.clause("resizeBilinear.C1")
def test_errors_of_resize_bilinear(fields, message):
    shape = fields.get("shape", (1, 1, 2, 4, 5))
    fields = {key: value for key, value in fields.items() if key != "shape"}
    with pytest.raises(InvalidModelError, match=r"layers\[0\] 'resizeBilinear0' \(resizeBilinear\).*" + message):
        run_layer("resizeBilinear", np.zeros(shape), **fields)


SQUARE = np.arange(1.0, 17).reshape(1, 1, 1, 4, 4)


def boxes(*rows):
    return np.array(rows, float).reshape(len(rows), 1, -1, 1, 1)


@pytest.mark.parametrize("rank5", [True, False])
@pytest.mark.clause("cropResize.S2", "cropResize.S4", "cropResize.U2")
def test_figures_of_crop_resize(rank5):
    """Those of coremltools' test, whose normalized box names its image."""

    def crop(box, size, **fields):
        mode = {"samplingMethod": "ALIGN_ENDPOINTS_MODE"}
        return run_layer("cropResize", SQUARE, boxes(box), targetSize=size, mode=mode, rank5=rank5, **fields)[0, 0, 0]

    near(crop((1, 1, 2, 2), (2, 2)), [[6, 7], [10, 11]], 16)
    grid = 6 + np.arange(4)[:, None] * 4 * THIRD + np.arange(4) * THIRD
    near(crop((1, 1, 2, 2), (4, 4)), grid, 16)
    near(crop((1, 1, 2, 2), (1, 1)), [[8.5]], 16)
    near(crop((0, 0, 0, THIRD, THIRD), (2, 2), normalizedCoordinates=True), [[1, 2], [5, 6]], 16)
    near(crop((2, 2, 1, 1), (2, 2)), [[11, 10], [7, 6]], 16)


X = integers((1, 3, 2, 6, 9), seed=5)
CORNERS = np.array([[1, 2, 4, 8], [0, 3, 5, 4], [2, 2, 3, 5]], float)  # top, left, bottom, right


@pytest.mark.clause("cropResize.S1", "cropResize.S2")
def test_each_box_of_each_image():
    y = run_layer("cropResize", X, boxes(*CORNERS), targetSize=[2, 3], mode={"samplingMethod": "ALIGN_ENDPOINTS_MODE"})
    assert y.shape == (3, 3, 2, 2, 3)
    np.testing.assert_array_equal(y[0], X[0][..., 1:5:3, 2:9:3])
    middle = (X[0][..., 0:6:5, 3:4] + X[0][..., 0:6:5, 4:5]) / 2
    np.testing.assert_array_equal(y[1][..., 1:2], middle)


@pytest.mark.clause("cropResize.S1")
def test_boxes_that_name_their_image():
    numbered = np.column_stack([[2, 0, 2], CORNERS])
    fields = {"targetSize": [2, 4], "mode": {"samplingMethod": "ALIGN_ENDPOINTS_MODE"}}
    y = run_layer("cropResize", X, boxes(*numbered), **fields)
    every = run_layer("cropResize", X, boxes(*CORNERS), **fields)
    assert y.shape == (3, 1, 2, 2, 4)
    np.testing.assert_array_equal(y[:, 0], every[[0, 1, 2], [2, 0, 2]])


CENTERS = np.column_stack([(CORNERS[:, :2] + CORNERS[:, 2:]) / 2, CORNERS[:, 2:] - CORNERS[:, :2]])
SWAP = [1, 0, 3, 2]


@pytest.mark.parametrize(
    ("order", "rows"),
    [
        ("CORNERS_WIDTH_FIRST", CORNERS[:, SWAP]),
        ("CENTER_SIZE_HEIGHT_FIRST", CENTERS),
        ("CENTER_SIZE_WIDTH_FIRST", CENTERS[:, SWAP]),
    ],
)
@pytest.mark.clause("cropResize.S3", "cropResize.S4", "cropResize.U4")
def test_all_notations_of_a_box(order, rows):
    expected = run_layer("cropResize", X, boxes(*CORNERS), targetSize=[3, 5])
    y = run_layer("cropResize", X, boxes(*rows), targetSize=[3, 5], boxIndicesMode={"boxMode": order})
    np.testing.assert_array_equal(y, expected)
    # A scale of 1/4 and coordinates four times as large, all of them exact.
    y = run_layer(
        "cropResize", X, boxes(*rows * 4), targetSize=[3, 5], boxIndicesMode={"boxMode": order}, spatialScale=0.25
    )
    np.testing.assert_array_equal(y, expected)
    normalized = rows / np.array([8, 5, 8, 5] if "WIDTH" in order else [5, 8, 5, 8])
    y = run_layer(
        "cropResize",
        X,
        boxes(*normalized),
        targetSize=[3, 5],
        boxIndicesMode={"boxMode": order},
        normalizedCoordinates=True,
        precision="float64",
    )
    np.testing.assert_allclose(
        y, expected, rtol=0, atol=1e-5
    )  # float32 against float64: 14 * 2**-24 * 4 and 1 position


@pytest.mark.parametrize(
    ("mode", "columns"),
    [
        ("STRICT_ALIGN_ENDPOINTS_MODE", (2, 3.5, 5)),
        ("ALIGN_ENDPOINTS_MODE", (2, 3.5, 5)),
        ("UPSAMPLE_MODE", (2, 2 + 4 * THIRD, 2 + 8 * THIRD)),
        ("ROI_ALIGN_MODE", (2.5, 3.5, 4.5)),
    ],
)
@pytest.mark.clause("cropResize.S5", "cropResize.U2")
def test_sampling_within_a_box(mode, columns):
    x = line(*range(9))
    y = run_layer("cropResize", x, boxes((0, 2, 0, 5)), targetSize=[1, 3], mode={"samplingMethod": mode})
    near(y.ravel(), columns, 9)
    y = run_layer("cropResize", x, boxes((0, 5, 0, 2)), targetSize=[1, 3], mode={"samplingMethod": mode})
    near(y.ravel(), 7 - np.array(columns), 9)


@pytest.mark.clause("cropResize.U1")
def test_outside_of_the_image_is_its_edge():
    x = line(*range(1, 10))
    y = run_layer("cropResize", x, boxes((-3, -2, 7, 10)), targetSize=[1, 4])
    np.testing.assert_array_equal(y.ravel(), [1, 3, 7, 9])


@pytest.mark.parametrize("number", [-1, 3, 0.5, np.nan])
@pytest.mark.clause("cropResize.C3")
def test_an_image_that_does_not_exist(number):
    with pytest.raises(InputError, match=r"layers\[0\] 'cropResize0' .cropResize.: box 1 .* expected 0 to 2"):
        run_layer("cropResize", X, boxes((0, 1, 2, 3, 4), (number, 1, 2, 3, 4)))


@pytest.mark.parametrize(
    ("shapes", "fields", "message"),
    [
        ([(2, 3, 2, 6, 9), (1, 1, 4, 1, 1)], {}, r"expected images \[1, B, C, H, W\]"),
        ([(1, 3, 2, 6, 9), (1, 1, 6, 1, 1)], {}, "expected boxes"),
        ([(1, 3, 2, 6, 9), (1, 2, 4, 1, 1)], {}, "expected boxes"),
        ([(1, 3, 2, 6, 9), (1, 1, 4, 1, 1)], {"targetSize": [1, 2, 3]}, "targetSize has 3 numbers"),
        ([(1, 3, 2, 6, 9), (1, 1, 4, 1, 1)], {"mode": {"samplingMethod": 9}}, "samplingMethod is 9"),
        ([(1, 3, 2, 6, 9), (1, 1, 4, 1, 1)], {"boxIndicesMode": {"boxMode": 4}}, "boxMode is 4"),
        ([(1, 3, 2, 6, 9), (1, 1, 4, 1, 1)], {"targetSize": [2**40, 2**40]}, "limit"),
    ],
)
@pytest.mark.clause("cropResize.C1", "cropResize.C2")
def test_errors_of_crop_resize(shapes, fields, message):
    with pytest.raises(InvalidModelError, match=r"layers\[0\] 'cropResize0' \(cropResize\).*" + message):
        run_layer("cropResize", *map(np.zeros, shapes), **fields)
