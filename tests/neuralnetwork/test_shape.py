from __future__ import annotations

import itertools

import numpy as np
import pytest
from support import integers, run_layer

from refcoreml.errors import InvalidModelError

X = np.arange(2 * 3 * 4 * 5 * 6.0).reshape(2, 3, 4, 5, 6)
RANKS = [(5, True), (5, False), (4, False), (3, False)]


@pytest.mark.parametrize(
    ("mode", "row"),
    [
        ("DEPTH_TO_SPACE", "1 5 2 6 9 13 10 14 3 7 4 8 11 15 12 16"),
        ("PIXEL_SHUFFLE", "1 3 2 4 5 7 6 8 9 11 10 12 13 15 14 16"),
    ],
)
@pytest.mark.clause("reorganizeData.S2", "reorganizeData.S3")
def test_the_example_of_the_schema(mode, row):
    x = np.arange(1.0, 17).reshape(1, 1, 8, 1, 2)
    y = run_layer("reorganizeData", x, mode=mode, blockSize=2)
    expected = np.array(row.split(), float).reshape(1, 1, 2, 2, 4)
    np.testing.assert_array_equal(y, expected)
    if mode == "DEPTH_TO_SPACE":
        np.testing.assert_array_equal(run_layer("reorganizeData", expected, mode="SPACE_TO_DEPTH", blockSize=2), x)


@pytest.mark.parametrize(("rank", "rank5"), RANKS)
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.clause("reorganizeData.S1", "reorganizeData.S2", "reorganizeData.S3")
def test_reorganizing_any_rank(rank, rank5, precision):
    options = {"rank5": rank5, "precision": precision, "blockSize": 2}
    deep = integers((2, 3, 20, 6, 7)[-rank:], seed=1)
    wide = run_layer("reorganizeData", deep, mode="DEPTH_TO_SPACE", **options)
    assert wide.shape == (2, 3, 5, 12, 14)[-rank:]
    for i, j in np.ndindex(2, 2):
        np.testing.assert_array_equal(wide[..., i::2, j::2], deep[..., (2 * i + j) * 5 : (2 * i + j + 1) * 5, :, :])
    np.testing.assert_array_equal(run_layer("reorganizeData", wide, **options), deep)
    shuffled = run_layer("reorganizeData", deep, mode="PIXEL_SHUFFLE", **options)
    for i, j in np.ndindex(2, 2):
        np.testing.assert_array_equal(shuffled[..., i::2, j::2], deep[..., 2 * i + j :: 4, :, :])


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_onnxruntime_agrees(mode):
    onnx = pytest.importorskip("onnx", reason="onnx writes the model of the third opinion")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is the third opinion")
    helper = onnx.helper
    x = integers((2, 45, 4, 7), seed=2).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=3, mode=mode)],
        "blocks",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    name = {"DCR": "DEPTH_TO_SPACE", "CRD": "PIXEL_SHUFFLE"}[mode]
    np.testing.assert_array_equal(run_layer("reorganizeData", x, mode=name, blockSize=3, rank5=False), expected)


def channels_last(x):
    return np.moveaxis(x, -3, -1)


@pytest.mark.parametrize("rank5", [True, False])
@pytest.mark.clause("reshape.S1", "reshape.S2", "reshape.U1")
def test_reshape(rank5):
    for target, full in [((8, 5, 3), (2, 8, 5, 3)), ((4, 3, 10, 2), (4, 3, 10, 2))]:
        y = run_layer("reshape", X, targetShape=target, rank5=rank5)
        z = run_layer("reshape", X, targetShape=target, mode="CHANNEL_LAST", rank5=rank5)
        assert y.shape == z.shape == (full[0], 3, *full[1:])
        for n in range(3):
            np.testing.assert_array_equal(y[:, n].ravel(), X[:, n].ravel())
            np.testing.assert_array_equal(channels_last(z[:, n]).ravel(), channels_last(X[:, n]).ravel())


def test_reshape_of_apple():
    x = integers((1, 1, 1, 2, 5), seed=3)
    for target in ((10, 1, 1), (1, 10, 1, 1)):
        np.testing.assert_array_equal(run_layer("reshape", x, targetShape=target), x.reshape(1, 1, 10, 1, 1))


@pytest.mark.parametrize(("rank", "rank5"), RANKS)
@pytest.mark.clause("flatten.S1", "flatten.S2")
def test_flatten(rank, rank5):
    x = X[(0,) * (5 - rank)]
    lead = x.shape[:-3]
    np.testing.assert_array_equal(run_layer("flatten", x, rank5=rank5), x.reshape(*lead, 120, 1, 1))
    y = run_layer("flatten", x, mode="CHANNEL_LAST", rank5=rank5)
    np.testing.assert_array_equal(y, channels_last(x).reshape(*lead, 120, 1, 1))


@pytest.mark.parametrize("axis", list(itertools.permutations(range(4))))
@pytest.mark.clause("permute.S1")
def test_permute(axis):
    y = run_layer("permute", X, axis=axis)
    # An independent statement of the rule: the number at (s, c, h, w) moves to where its axes went.
    for place in [(0, 0, 0, 0), (1, 3, 4, 5), (1, 0, 2, 0), (0, 2, 3, 1)]:
        moved = [place[a] for a in axis]
        np.testing.assert_array_equal(
            y[moved[0], :, moved[1], moved[2], moved[3]], X[place[0], :, place[1], place[2], place[3]]
        )


@pytest.mark.parametrize(
    ("axis", "shape"),
    [([0, 3, 1, 2], (2, 3, 6, 4, 5)), ([3, 1, 2, 0], (6, 3, 4, 5, 2)), ([0, 3, 2, 1], (2, 3, 6, 5, 4)), ([], X.shape)],
)
@pytest.mark.clause("permute.S1", "permute.U1")
def test_shapes_of_the_schemas_examples(axis, shape):
    assert run_layer("permute", X, axis=axis, rank5=False).shape == shape


@pytest.mark.parametrize(
    ("shape", "axis", "rank5"),
    [((2, 3, 4, 5, 6), 2, True), ((2, 3, 4, 5, 6), 2, False), ((3, 4, 5, 6), 1, False), ((3, 4, 5), 0, False)],
)
@pytest.mark.clause("concat.S1", "concat.U1", "split.S1", "split.U1")
def test_concat_and_split_go_along_the_channels(shape, axis, rank5):
    longer = [*shape]
    longer[axis] = 7
    a, b = integers(shape, seed=4), integers(longer, seed=5)
    y = run_layer("concat", a, b, a, rank5=rank5)
    np.testing.assert_array_equal(y, np.concatenate([a, b, a], axis))
    doubled = np.concatenate([a, a + 10, a + 20], axis)
    for part, expected in zip(
        run_layer("split", doubled, nOutputs=3, outputs=3, rank5=rank5), (a, a + 10, a + 20), strict=True
    ):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("rank5", [True, False])
@pytest.mark.clause("concat.S2", "sequenceRepeat.S1")
def test_concat_and_repeat_go_along_the_sequence(rank5):
    b = integers((7, 3, 4, 5, 6), seed=6)
    np.testing.assert_array_equal(run_layer("concat", X, b, sequenceConcat=True, rank5=rank5), np.concatenate([X, b]))
    y = run_layer("sequenceRepeat", X, nRepetitions=3, rank5=rank5)
    np.testing.assert_array_equal(y, np.concatenate([X, X, X]))
    np.testing.assert_array_equal(run_layer("sequenceRepeat", X, rank5=rank5), X)


@pytest.mark.parametrize("axis", ["CHANNEL_AXIS", "HEIGHT_AXIS", "WIDTH_AXIS"])
@pytest.mark.parametrize("start", [0, 1, 2, 5, -3, -20])
@pytest.mark.parametrize("end", [5, 100, 7, -1, -2, -4, 0])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.clause("slice.C2", "slice.S1", "slice.U1", "slice.U2")
def test_slice(axis, start, end, stride):
    x = integers((2, 3, 8, 9, 7), seed=7)
    along = {"CHANNEL_AXIS": 2, "HEIGHT_AXIS": 3, "WIDTH_AXIS": 4}[axis]
    expected = np.take(x, range(x.shape[along])[start : end or None : stride], along)
    fields = {"startIndex": start, "endIndex": end, "stride": stride, "axis": axis}
    if expected.size == 0:
        with pytest.raises(InvalidModelError, match=r"layers\[0\] 'slice0' \(slice\): the slice .* is empty"):
            run_layer("slice", x, **fields)
    else:
        np.testing.assert_array_equal(run_layer("slice", x, **fields), expected)


@pytest.mark.clause("slice.C1", "slice.S2")
def test_slice_of_low_ranks():
    x = integers((4, 7), seed=8)
    fields = {"startIndex": 1, "endIndex": -1, "stride": 2, "rank5": False}
    np.testing.assert_array_equal(run_layer("slice", x[0], axis="WIDTH_AXIS", **fields), x[0, 1:-1:2])
    np.testing.assert_array_equal(run_layer("slice", x, axis="HEIGHT_AXIS", **fields), x[1:-1:2])
    with pytest.raises(InvalidModelError, match="rank 3 or more"):
        run_layer("slice", x, axis="CHANNEL_AXIS", **fields)


@pytest.mark.parametrize("extreme", [2**63 - 1, -(2**63)])
def test_extreme_slices(extreme):
    x = integers((1, 1, 1, 1, 7))
    y = run_layer("slice", x, startIndex=min(extreme, 0), endIndex=max(extreme, 1), stride=2**64 - 1, axis="WIDTH_AXIS")
    np.testing.assert_array_equal(y, x[..., :1])


@pytest.mark.parametrize(
    ("kind", "shapes", "fields", "message"),
    [
        ("reorganizeData", [(2, 4, 6)], {"blockSize": 1}, "blockSize is 1"),
        ("reorganizeData", [(2, 4, 6)], {"blockSize": 2, "mode": 5}, "mode is 5"),
        ("reorganizeData", [(2, 4, 6)], {"blockSize": 4}, "do not divide H and W"),
        ("reorganizeData", [(2, 4, 6)], {"blockSize": 2, "mode": "DEPTH_TO_SPACE"}, "2 channels cannot be divided"),
        ("reorganizeData", [(2, 4, 6)], {"blockSize": 2**63, "mode": "PIXEL_SHUFFLE"}, "channels cannot be divided"),
        ("reorganizeData", [(4, 6)], {"blockSize": 2}, "expected an input"),
        ("reshape", [(1, 1, 2, 3, 4)], {"targetShape": [24]}, "has 1 numbers, expected 3 or 4"),
        ("reshape", [(1, 1, 2, 3, 4)], {"targetShape": [-1, 3, 4]}, "numbers of at least 1"),
        ("reshape", [(1, 1, 2, 3, 4)], {"targetShape": [2, 3, 5]}, "cannot fill"),
        ("reshape", [(3, 1, 2, 3, 4)], {"targetShape": [2, 2, 3, 4]}, "cannot fill"),
        ("reshape", [(1, 2, 3, 4)], {"targetShape": [2, 3, 4]}, r"\[Seq, B, C, H, W\]"),
        ("reshape", [(1, 1, 2, 3, 4)], {"targetShape": [2, 3, 4], "mode": 2}, "mode is 2"),
        ("flatten", [(3, 4)], {}, "expected an input"),
        ("flatten", [(2, 3, 4)], {"mode": 3}, "mode is 3"),
        ("permute", [(1, 1, 2, 3, 4)], {"axis": [0, 1, 2]}, "expected a permutation"),
        ("permute", [(1, 1, 2, 3, 4)], {"axis": [0, 1, 2, 2]}, "expected a permutation"),
        ("permute", [(2, 3, 4)], {}, r"\[Seq, B, C, H, W\]"),
        ("concat", [(2, 3, 4), (2, 5, 4)], {}, r"cannot join \(2, 5, 4\) to \(2, 3, 4\)"),
        ("concat", [(2, 3, 4), (1, 2, 3, 4)], {}, "cannot join"),
        ("concat", [(2, 3, 4)], {}, "has 1 inputs, expected at least 2"),
        ("concat", [(3, 4), (3, 4)], {}, "rank 3 or more"),
        ("concat", [(2, 3, 4, 5), (2, 3, 4, 5)], {"sequenceConcat": True}, r"\[Seq, B, C, H, W\]"),
        ("split", [(1, 6, 2, 3)], {"nOutputs": 3, "outputs": 2}, "nOutputs is 3, but there are 2 outputs"),
        ("split", [(1, 6, 2, 3)], {"nOutputs": 1, "outputs": 1}, "has 1 outputs, expected at least 2"),
        ("split", [(1, 7, 2, 3)], {"nOutputs": 2, "outputs": 2}, "cannot be divided into 2 equal parts"),
        ("split", [(2, 4)], {"nOutputs": 2, "outputs": 2}, "expected an input"),
        ("sequenceRepeat", [(2, 3, 4)], {}, r"\[Seq, B, C, H, W\]"),
        ("sequenceRepeat", [(1, 1, 2, 3, 4)], {"nRepetitions": 2**63}, "limit"),
        ("slice", [(2, 3, 4)], {"endIndex": 2}, "stride is 0"),
        ("slice", [(2, 3, 4)], {"stride": 1, "axis": 3}, "axis is 3"),
    ],
)
@pytest.mark.clause(
    "reorganizeData.C1",
    "reorganizeData.C2",
    "reshape.C1",
    "reshape.C2",
    "flatten.C1",
    "permute.C1",
    "concat.C1",
    "split.C1",
    "sequenceRepeat.C1",
    "slice.C1",
)
def test_errors_name_the_layer(kind, shapes, fields, message):
    with pytest.raises(InvalidModelError, match=rf"layers\[0\] '{kind}0' \({kind}\).*" + message):
        run_layer(kind, *map(np.zeros, shapes), rank5=False, **fields)
