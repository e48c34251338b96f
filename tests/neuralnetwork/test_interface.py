"""Between features and blobs: the two worlds, shapes, preprocessing, outputs, classifiers, regressors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import refcoreml
from refcoreml import build
from refcoreml.errors import InputError, InvalidModelError, UnsupportedModelError
from refcoreml.features import Feature, RefCoreMLWarning, check_inputs, finish_output
from refcoreml.neuralnetwork.interface import Interface, is_legacy_layer
from refcoreml.spec import schema


def network_of(model: schema.Model) -> Any:
    return getattr(model, str(model.WhichOneof("Type")))


def interface(model: schema.Model, dtype: Any = np.float32) -> Interface:
    return Interface(model.description, network_of(model), dtype)


def passing(inputs: Any, outputs: Any = ("y",), **options: Any) -> schema.Model:
    """A network whose only layer is a ReLU from the first input to the first output."""
    net = build.Network(inputs, outputs, **options)
    net.add("activation", name="last", ReLU={}, outputs=next(iter(outputs)))
    return net.spec()


def blobs_of(model: schema.Model, values: dict[str, Any], dtype: Any = np.float32) -> dict[str, Any]:
    """Input blobs for the values, checked as a model checks them."""
    made = interface(model, dtype)
    features = [Feature.of(message) for message in model.description.input]
    return made.to_blobs(check_inputs(features, values, legacy_ranks=made.rank5))


def layer(kind: str, **fields: Any) -> schema.NeuralNetworkLayer:
    made = schema.NeuralNetworkLayer(name="one", input=["x"], output=["y"])
    getattr(made, kind).SetInParent()
    build.fill(getattr(made, kind), fields, "test")
    return made


# --- two worlds ------------------------------------------------------------------------------------------------------

# The layers that specification version 3 knows, as the validator of coremltools lists them.
LEGACY = [
    "convolution",
    "innerProduct",
    "batchnorm",
    "activation",
    "pooling",
    "padding",
    "concat",
    "lrn",
    "softmax",
    "split",
    "add",
    "multiply",
    "unary",
    "upsample",
    "bias",
    "l2normalize",
    "reshape",
    "flatten",
    "permute",
    "reduce",
    "loadConstant",
    "scale",
    "simpleRecurrent",
    "gru",
    "uniDirectionalLSTM",
    "biDirectionalLSTM",
    "crop",
    "average",
    "max",
    "min",
    "dot",
    "mvn",
    "embedding",
    "sequenceRepeat",
    "reorganizeData",
    "slice",
    "custom",
    "resizeBilinear",
    "cropResize",
]


def test_legacy_layers_are_those_of_specification_version_3() -> None:
    kinds = [member.name for member in schema.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields]
    assert len(kinds) > 100
    assert sorted(kind for kind in kinds if is_legacy_layer(layer(kind))) == sorted(LEGACY)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("innerProduct", {"int8DynamicQuantize": True}),
        ("upsample", {"linearUpsampleMode": "ALIGN_CORNERS_TRUE"}),
        ("upsample", {"fractionalScalingFactor": [1.5, 2.5]}),
        ("reorganizeData", {"mode": "PIXEL_SHUFFLE"}),
    ],
)
def test_new_parameters_make_a_layer_new(kind: str, fields: dict[str, Any]) -> None:
    assert is_legacy_layer(layer(kind))
    assert not is_legacy_layer(layer(kind, **fields))


@pytest.mark.clause("convolution.C5")
def test_convolution_with_weights_as_input_is_new() -> None:
    convolution = layer("convolution")
    convolution.input.append("weights")
    assert not is_legacy_layer(convolution)


def test_worlds() -> None:
    """N-D if a layer is new or a mapping is, else rank 5."""
    pictures = {"x": build.image(7, 5)}
    legacy = passing(pictures)
    assert interface(legacy).rank5
    new_layer = build.Network(pictures, ["y"])
    new_layer.add("softmaxND", axis=-1, outputs="y")
    assert not interface(new_layer.spec()).rank5
    for field, value in (
        ("arrayInputShapeMapping", schema.EXACT_ARRAY_MAPPING),
        ("imageInputShapeMapping", schema.RANK4_IMAGE_MAPPING),
    ):
        model = passing(pictures)
        setattr(model.neuralNetwork, field, value)
        assert not interface(model).rank5


def test_a_new_layer_with_rank5_arrays_is_invalid() -> None:
    net = build.Network({"x": (3,)}, ["y"])
    net.add("softmaxND", name="soft", axis=-1, outputs="y")
    with pytest.raises(InvalidModelError, match=r"neuralNetwork: .*'soft' \(softmaxND\).*EXACT_ARRAY_MAPPING"):
        interface(net.spec())


def test_rank4_images_with_rank5_arrays_are_invalid() -> None:
    model = passing({"x": (3,), "picture": build.image(7, 5)})
    model.neuralNetwork.imageInputShapeMapping = schema.RANK4_IMAGE_MAPPING
    with pytest.raises(InvalidModelError, match="EXACT_ARRAY_MAPPING"):
        interface(model)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 5, 7), (2, 3, 5, 7, 4)])
def test_rank5_arrays_have_rank_1_or_3(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidModelError, match=r"input 'x', MultiArray.*1 or 3 dimensions"):
        interface(passing({"x": shape}))
    assert interface(passing({"x": shape}, exact=True)).default_shapes() == {"x": shape}


# --- input blobs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "given_shape", "blob"),
    [
        ((3,), (3,), (1, 1, 3, 1, 1)),
        ((3, 5, 7), (3, 5, 7), (1, 1, 3, 5, 7)),
        ((3,), (2, 4, 3), (2, 4, 3, 1, 1)),
        ((3, 5, 7), (2, 4, 3, 5, 7), (2, 4, 3, 5, 7)),
        ((1, 1, 1), (15, 1, 1, 1, 1), (15, 1, 1, 1, 1)),
    ],
)
def test_rank5_array_blobs(declared: tuple[int, ...], given_shape: tuple[int, ...], blob: tuple[int, ...]) -> None:
    values = np.arange(np.prod(given_shape)).reshape(given_shape)
    result = blobs_of(passing({"x": declared}), {"x": values})["x"]
    assert result.shape == blob
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result.ravel(), values.ravel())


@given(shape=st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_exact_array_blobs(shape: list[int]) -> None:
    values = np.arange(np.prod(shape)).reshape(shape)
    result = blobs_of(passing({"x": shape}, exact=True), {"x": values})["x"]
    np.testing.assert_array_equal(result, values)
    assert result.shape == tuple(shape)


def test_image_blobs() -> None:
    """Raw 0..255 without preprocessing."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    model = passing({"x": build.image(7, 5)})
    result = blobs_of(model, {"x": Image.fromarray(pixels)})["x"]
    assert result.shape == (1, 1, 3, 5, 7)
    np.testing.assert_array_equal(result[0, 0], pixels.transpose(2, 0, 1))
    model.neuralNetwork.imageInputShapeMapping = schema.RANK4_IMAGE_MAPPING
    assert blobs_of(model, {"x": pixels})["x"].shape == (1, 3, 5, 7)
    model.neuralNetwork.imageInputShapeMapping = schema.RANK5_IMAGE_MAPPING
    model.neuralNetwork.arrayInputShapeMapping = schema.EXACT_ARRAY_MAPPING
    assert blobs_of(model, {"x": pixels})["x"].shape == (1, 1, 3, 5, 7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("exact", "shape"), [(False, (1,) * 5), (True, (1,))])
def test_number_blobs(dtype: Any, exact: bool, shape: tuple[int, ...]) -> None:
    number = schema.FeatureType()
    number.doubleType.SetInParent()
    result = blobs_of(passing({"x": number}, exact=exact), {"x": 0.1}, dtype)["x"]
    assert (result.shape, result.dtype) == (shape, dtype)
    assert result.item() == dtype(0.1)


def test_blobs_have_the_arithmetics_type() -> None:
    model = passing({"x": build.array(3, data_type="DOUBLE")})
    assert blobs_of(model, {"x": [0.1, 0.2, 0.3]}, np.float64)["x"].ravel().tolist() == [0.1, 0.2, 0.3]
    assert blobs_of(model, {"x": [0.1, 0.2, 0.3]})["x"].dtype == np.float32
    with pytest.raises(InputError, match=r"input 'x'.*1e\+39 at \[1\] is beyond the range of float32"):
        blobs_of(model, {"x": [0.1, 1e39, 0.3]})


def optional(*shape: int) -> schema.FeatureType:
    feature = build.array(*shape)
    feature.isOptional = True
    return feature


def test_absent_states_are_zeros_of_the_declared_shape() -> None:
    """With the batch of the other inputs; states are [1, Batch, H, 1, 1]."""
    model = passing({"h": optional(4), "x": (3,)})
    result = blobs_of(model, {"x": np.ones((2, 5, 3))})
    np.testing.assert_array_equal(result["h"], np.zeros((1, 5, 4, 1, 1), np.float32))
    assert list(result) == ["h", "x"]
    exact = passing({"x": (2, 3), "h": optional(4, 5)}, exact=True)
    np.testing.assert_array_equal(blobs_of(exact, {"x": np.ones((2, 3))})["h"], np.zeros((4, 5)))


def test_absent_image_is_refused() -> None:
    picture = build.image(7, 5)
    picture.isOptional = True
    with pytest.raises(InputError, match=r"input 'p', Image \(RGB 7 x 5\)\?.*absent"):
        blobs_of(passing({"x": (3,), "p": picture}), {"x": np.ones(3)})


def test_missing_input_is_refused_even_unchecked() -> None:
    with pytest.raises(InputError, match="'x' is missing"):
        interface(passing({"x": (3,)})).to_blobs({})


def test_default_shapes() -> None:
    def flexible(**fields: Any) -> schema.FeatureType:
        return build.fill(schema.FeatureType(), {"multiArrayType": {"dataType": "FLOAT32", **fields}}, "test")

    ranged = flexible(shapeRange={"sizeRanges": [{"lowerBound": 3, "upperBound": -1}]})
    listed = flexible(enumeratedShapes={"shapes": [{"shape": [2, 4, 6]}, {"shape": [3, 5, 7]}]})
    inputs = {"a": (3,), "b": (3, 5, 7), "c": ranged, "d": listed, "e": flexible(), "f": build.image(7, 5, "GRAYSCALE")}
    assert interface(passing(inputs)).default_shapes() == {
        "a": (1, 1, 3, 1, 1),
        "b": (1, 1, 3, 5, 7),
        "c": (1, 1, 3, 1, 1),
        "d": (1, 1, 2, 4, 6),
        "f": (1, 1, 1, 5, 7),
    }
    exact = interface(passing(inputs, exact=True)).default_shapes()
    assert exact == {"a": (3,), "b": (3, 5, 7), "c": (3,), "d": (2, 4, 6), "f": (1, 1, 5, 7)}


@pytest.mark.parametrize("kind", ["stringType", "dictionaryType"])
def test_inputs_of_other_types_are_invalid(kind: str) -> None:
    fields: dict[str, Any] = {kind: {"stringKeyType": {}} if kind == "dictionaryType" else {}}
    with pytest.raises(InvalidModelError, match="input 'x'"):
        interface(passing({"x": build.fill(schema.FeatureType(), fields, "test")}))


def test_states_are_unsupported() -> None:
    state = build.fill(
        schema.FeatureType(), {"stateType": {"arrayType": {"shape": [3], "dataType": "FLOAT16"}}}, "test"
    )
    with pytest.raises(UnsupportedModelError, match="input 's'"):
        interface(passing({"x": (3,), "s": state}))


def test_feature_names_are_unique() -> None:
    model = passing({"x": (3,)})
    model.description.input.add().CopyFrom(model.description.input[0])
    with pytest.raises(InvalidModelError, match="2 inputs have the name 'x'"):
        interface(model)


# --- preprocessing ---------------------------------------------------------------------------------------------------

PIXELS = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
BIASES = {"red_bias": -1.0, "green_bias": 2.0, "blue_bias": 0.5, "gray_bias": 16.0}


def preprocessed(color: str, *steps: dict[str, Any], name: str = "x") -> schema.Model:
    net = build.Network({"x": build.image(7, 5, color)}, ["y"])
    net.add("activation", ReLU={}, outputs="y")
    for step in steps:
        net.preprocess(name, **step)
    return net.spec()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scaler(dtype: Any) -> None:
    """Y = scale * x + bias; the bias is not scaled and follows its colour. Powers of two: exact."""
    red, green, blue = (PIXELS[..., channel].astype(dtype) for channel in range(3))
    step = {"channel_scale": 0.25, **BIASES}
    rgb = blobs_of(preprocessed("RGB", step), {"x": PIXELS}, dtype)["x"]
    bgr = blobs_of(preprocessed("BGR", step), {"x": PIXELS}, dtype)["x"]
    wanted = [red * 0.25 - 1, green * 0.25 + 2, blue * 0.25 + 0.5]
    assert rgb.dtype == bgr.dtype == dtype
    np.testing.assert_array_equal(rgb[0, 0], wanted)
    np.testing.assert_array_equal(bgr[0, 0], wanted[::-1])
    gray = blobs_of(preprocessed("GRAYSCALE", step), {"x": PIXELS[..., 0]}, dtype)["x"]
    np.testing.assert_array_equal(gray[0, 0], [red * 0.25 + 16])


def test_scaler_on_known_numbers() -> None:
    """What Apple expects of a device in coremltools' test_multiarray_to_image_input_util."""
    model = passing({"x": build.image(1, 1)}, exact=True)
    scaler = model.neuralNetwork.preprocessing.add(featureName="x").scaler
    build.fill(scaler, {"channel_scale": 10, "red_bias": -5, "green_bias": -6, "blue_bias": -2.5}, "test")
    result = blobs_of(model, {"x": np.array([[[4, 2, 5]]], np.uint8)})["x"]
    assert result.ravel().tolist() == [35.0, 14.0, 47.5]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scaler_computes_in_the_arithmetics_type(dtype: Any) -> None:
    step = {"channel_scale": 1 / 255, "red_bias": -0.485, "green_bias": -0.456, "blue_bias": -0.406}
    result = blobs_of(preprocessed("RGB", step), {"x": PIXELS}, dtype)["x"][0, 0]
    scale = dtype(np.float32(1 / 255))
    for channel, bias in enumerate((-0.485, -0.456, -0.406)):
        np.testing.assert_array_equal(
            result[channel], PIXELS[..., channel].astype(dtype) * scale + dtype(np.float32(bias))
        )


def test_scale_of_one_is_meant() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = blobs_of(preprocessed("RGB", {"channel_scale": 1.0}), {"x": PIXELS})["x"]
    np.testing.assert_array_equal(result[0, 0], PIXELS.transpose(2, 0, 1))


def test_scale_of_zero_is_taken_as_written_with_a_warning() -> None:
    model = preprocessed("RGB", {"red_bias": 7.0})
    with pytest.warns(RefCoreMLWarning, match=r"neuralNetwork\.preprocessing\[0\]\.scaler: channelScale is 0"):
        result = blobs_of(model, {"x": PIXELS})["x"]
    np.testing.assert_array_equal(result[0, 0], np.broadcast_to([[[7]], [[0]], [[0]]], (3, 5, 7)))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([{"channel_scale": np.inf}], [np.nan, np.inf]),
        ([{"channel_scale": 3e38}], [0, np.inf]),
        ([{"channel_scale": 3e38}, {"mean_image": [[1, np.inf]]}], [-1, np.nan]),
    ],
)
def test_numbers_beyond_the_range_become_infinite_without_a_warning(steps: Any, expected: Any) -> None:
    net = build.Network({"x": build.image(2, 1, "GRAYSCALE")}, ["y"])
    net.add("activation", ReLU={}, outputs="y")
    for step in steps:
        net.preprocess("x", **step)
    blob = blobs_of(net.spec(), {"x": np.array([[0, 7]], np.uint8)})["x"]
    np.testing.assert_array_equal(blob.ravel(), np.array(expected, np.float32))


def test_mean_image() -> None:
    """Subtracted as [C, H, W]."""
    mean = np.random.default_rng(2).integers(0, 256, (3, 5, 7))
    result = blobs_of(preprocessed("BGR", {"mean_image": mean}), {"x": PIXELS})["x"]
    np.testing.assert_array_equal(result[0, 0], PIXELS.transpose(2, 0, 1)[::-1].astype(np.float32) - mean)


def test_mean_image_of_another_size() -> None:
    with pytest.raises(InvalidModelError, match=r"preprocessing\[0\]\.meanImage.*104 values.*105"):
        interface(preprocessed("RGB", {"mean_image": np.zeros(104)}))
    with pytest.raises(InvalidModelError, match=r"preprocessing\[0\]\.meanImage.*90 values.*105"):
        interface(any_size(preprocessed("RGB", {"mean_image": np.zeros(90)})))


def any_size(model: schema.Model) -> schema.Model:
    """The model with an image input of every size, by default the declared one."""
    bounds = {"lowerBound": 1, "upperBound": -1}
    image_type = model.description.input[0].type.imageType
    build.fill(image_type, {"imageSizeRange": {"widthRange": bounds, "heightRange": bounds}}, "test")
    return model


def test_mean_image_and_a_picture_of_another_size() -> None:
    """As many values are not enough: the picture must have the mean image's own width and height."""
    mean = np.arange(105)
    flexible = any_size(preprocessed("RGB", {"mean_image": mean}))
    result = blobs_of(flexible, {"x": PIXELS})["x"]
    np.testing.assert_array_equal(result[0, 0], PIXELS.transpose(2, 0, 1) - mean.reshape(3, 5, 7))
    for turned in (PIXELS.reshape(7, 5, 3), PIXELS.reshape(1, 35, 3), PIXELS[:, :6]):
        size = f"{turned.shape[1]} x {turned.shape[0]}"
        with pytest.raises(InputError, match=rf"input 'x'.*got {size} \(width x height\).*mean image is 7 x 5"):
            blobs_of(flexible, {"x": turned})


def test_preprocessing_steps_follow_each_other() -> None:
    mean = np.full((3, 5, 7), 4.0)
    first = blobs_of(preprocessed("RGB", {"mean_image": mean}, {"channel_scale": 0.5}), {"x": PIXELS})["x"]
    np.testing.assert_array_equal(first[0, 0], (PIXELS.transpose(2, 0, 1) - 4.0) * 0.5)
    second = blobs_of(preprocessed("RGB", {"channel_scale": 0.5}, {"mean_image": mean}), {"x": PIXELS})["x"]
    np.testing.assert_array_equal(second[0, 0], PIXELS.transpose(2, 0, 1) * 0.5 - 4.0)


def test_preprocessing_leaves_the_checked_input_alone() -> None:
    made = interface(preprocessed("RGB", {"channel_scale": 0.5}))
    planes = np.ones((3, 5, 7), np.float32)
    made.to_blobs({"x": planes})
    np.testing.assert_array_equal(planes, 1)


def test_feature_name_of_the_only_image_may_be_empty() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = blobs_of(preprocessed("RGB", {"channel_scale": 0.5}, name=""), {"x": PIXELS})["x"]
    np.testing.assert_array_equal(result[0, 0], PIXELS.transpose(2, 0, 1) * 0.5)


def test_feature_name_from_before_a_renaming() -> None:
    with pytest.warns(RefCoreMLWarning, match=r"preprocessing\[0\]: there is no image input 'old'; applied to 'x'"):
        result = blobs_of(preprocessed("RGB", {"channel_scale": 0.5}, name="old"), {"x": PIXELS})["x"]
    np.testing.assert_array_equal(result[0, 0], PIXELS.transpose(2, 0, 1) * 0.5)


def test_preprocessing_of_one_of_two_images() -> None:
    net = build.Network({"x": build.image(7, 5), "z": build.image(7, 5)}, ["y"])
    net.add("activation", ReLU={}, inputs="x", outputs="y")
    net.preprocess("z", channel_scale=0.5)
    result = blobs_of(net.spec(), {"x": PIXELS, "z": PIXELS})
    np.testing.assert_array_equal(result["x"] * 0.5, result["z"])
    for name in ("", "old"):
        net.preprocess(name, channel_scale=0.5)
        with pytest.raises(InvalidModelError, match=r"preprocessing\[\d\].*'x', 'z'"):
            interface(net.spec())


def test_preprocessing_without_an_image_or_a_kind() -> None:
    model = passing({"x": (3,)})
    model.neuralNetwork.preprocessing.add(featureName="x").scaler.channelScale = 1
    with pytest.raises(InvalidModelError, match=r"preprocessing\[0\].*none"):
        interface(model)
    model = passing({"x": build.image(7, 5)})
    model.neuralNetwork.preprocessing.add(featureName="x")
    with pytest.raises(InvalidModelError, match=r"preprocessing\[0\].*neither"):
        interface(model)


@pytest.mark.parametrize(
    ("color", "steps", "lines"),
    [
        ("RGB", [], ["red = x", "green = x", "blue = x"]),
        (
            "RGB",
            [{"channel_scale": 0.0078, "red_bias": -1, "green_bias": 0.5}],
            ["red = 0.0078 * x - 1", "green = 0.0078 * x + 0.5", "blue = 0.0078 * x"],
        ),
        (
            "BGR",
            [{"channel_scale": 1, "red_bias": -123.68, "blue_bias": -103.939}],
            ["blue = x - 103.939", "green = x", "red = x - 123.68"],
        ),
        ("GRAYSCALE", [{"channel_scale": 1 / 255, "gray_bias": -0.5}], ["gray = 0.003921569 * x - 0.5"]),
        ("GRAYSCALE", [{"mean_image": np.zeros(35)}, {"channel_scale": 2}], ["gray = 2 * (x - mean image)"]),
        ("GRAYSCALE", [{"channel_scale": 1e-20}], ["gray = 1e-20 * x"]),
    ],
)
def test_preprocessing_formula(color: str, steps: list[dict[str, Any]], lines: list[str]) -> None:
    assert interface(preprocessed(color, *steps)).preprocessing_formula() == {"x": lines}


def test_arrays_have_no_preprocessing_formula() -> None:
    assert interface(passing({"x": (3,)})).preprocessing_formula() == {}


# --- outputs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "blob", "shape"),
    [
        ((6,), (1, 1, 6, 1, 1), (6,)),
        ((6, 1, 1), (1, 1, 6, 1, 1), (6, 1, 1)),
        ((2, 3), (1, 1, 6, 1, 1), (2, 3)),
        ((), (1, 1, 6, 1, 1), (6,)),
        ((), (1, 1, 6, 5, 1), (6, 5, 1)),
        ((), (1, 1, 1, 1, 1), (1,)),
        ((), (4, 1, 6, 1, 1), (4, 1, 6, 1, 1)),
        ((), (1, 4, 6, 1, 1), (1, 4, 6, 1, 1)),
        ((5,), (1, 1, 6, 1, 1), (6,)),
        ((6,), (4, 1, 6, 1, 1), (4, 1, 6, 1, 1)),
    ],
)
def test_rank5_outputs(declared: tuple[int, ...], blob: tuple[int, ...], shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(blob), dtype=np.float32).reshape(blob)
    result = interface(passing({"x": (3,)}, {"y": declared})).from_blobs({"y": values})["y"]
    assert result.shape == shape
    np.testing.assert_array_equal(result.ravel(), values.ravel())


@pytest.mark.parametrize(
    ("declared", "blob", "shape"),
    [
        ((3, 1, 1), (1, 3, 1, 1), (3, 1, 1)),
        ((1, 1, 3), (1, 3, 1, 1), (1, 1, 3)),
        ((6,), (1, 1, 6), (6,)),
        ((), (1, 1, 6), (1, 1, 6)),
        ((6,), (1,), (1,)),
        ((6,), (1, 1, 2, 3, 1), (1, 1, 2, 3, 1)),
    ],
)
def test_exact_outputs(declared: tuple[int, ...], blob: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """A blob that differs from the declared shape by dimensions of 1 only takes it; every other stays as it is."""
    made = interface(passing({"x": (3,)}, {"y": declared}, exact=True))
    assert made.from_blobs({"y": np.zeros(blob, np.float32)})["y"].shape == shape


@pytest.mark.parametrize(
    ("exact", "declared", "computed", "explained"),
    [
        (True, (1, 10), (1, 7), False),
        (True, (10,), (1, 7), False),
        (True, (2, 5), (5, 2), False),
        (True, (7,), (1, 7, 1), True),
        (True, (2, 5), (2, 1, 5), True),
        (True, (), (2, 5), True),
        (False, (10,), (1, 1, 7, 1, 1), False),
        (False, (3, 5, 7), (1, 1, 3, 7, 4), False),
        (False, (5, 3, 7), (1, 1, 3, 5, 7), True),  # returned so
        (False, (6,), (4, 2, 6, 1, 1), True),  # Seq and Batch are never declared (apple/coremltools#162)
        (False, (3, 5, 7), (4, 2, 3, 5, 7), True),
        (False, (6,), (4, 2, 5, 1, 1), False),
    ],
)
def test_false_shapes_of_outputs_cause_a_warning(
    exact: bool, declared: tuple[int, ...], computed: tuple[int, ...], explained: bool
) -> None:
    made = interface(passing({"x": (3,)}, {"y": build.array(*declared)}, exact=exact))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made.check_outputs({"y": computed})
    texts = [str(one.message) for one in caught]
    assert [text.startswith("output 'y' is declared as MultiArray (Float32") for text in texts] == [True] * (
        not explained
    )
    assert all(f"but the network computes {' x '.join(map(str, computed))};" in text for text in texts)


def test_false_shapes_are_seen_at_load_where_the_input_has_one_shape_else_at_a_prediction() -> None:
    with pytest.warns(
        RefCoreMLWarning, match=r"output 'y' is declared as MultiArray \(Float32 1 x 10\).*computes 1 x 7"
    ):
        exact = refcoreml.load(passing({"x": (1, 7)}, {"y": build.array(1, 10)}, exact=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert exact.predict({"x": np.ones((1, 7))})["y"].shape == (1, 7)
        rank5 = refcoreml.load(passing({"x": (7,)}, {"y": build.array(10)}))
    with pytest.warns(RefCoreMLWarning, match="declared as .*10.*computes 1 x 1 x 7 x 1 x 1"):
        assert rank5.predict({"x": np.ones(7)})["y"].shape == (7,)


def test_where_inputs_have_several_shapes_outputs_have_too() -> None:
    flexible = build.array(1, 7)
    flexible.multiArrayType.shapeRange.sizeRanges.add(lowerBound=1, upperBound=1)
    flexible.multiArrayType.shapeRange.sizeRanges.add(lowerBound=1, upperBound=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = refcoreml.load(passing({"x": flexible}, {"y": build.array(1, 7)}, exact=True))
        assert model.predict({"x": np.ones((1, 9))})["y"].shape == (1, 9)


def test_outputs_may_allow_several_shapes() -> None:
    several = build.array(1, 7)
    several.multiArrayType.enumeratedShapes.shapes.add(shape=[1, 7])
    several.multiArrayType.enumeratedShapes.shapes.add(shape=[1, 9])
    made = interface(passing({"x": (3,)}, {"y": several}, exact=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.check_outputs({"y": (9, 1)})
    with pytest.warns(RefCoreMLWarning, match=r"1 x 7 \| 1 x 9"):
        made.check_outputs({"y": (1, 8)})


@pytest.mark.parametrize("leading", [(), (1,), (1, 1)])
def test_image_outputs(leading: tuple[int, ...]) -> None:
    made = interface(passing({"x": (3,)}, {"y": build.image(7, 5)}, exact=True))
    planes = PIXELS.transpose(2, 0, 1).astype(np.float32)
    result = made.from_blobs({"y": planes.reshape(leading + planes.shape)})["y"]
    np.testing.assert_array_equal(result, planes)


@pytest.mark.parametrize("shape", [(2, 1, 3, 5, 7), (1, 2, 3, 5, 7), (5, 7)])
def test_outputs_that_are_not_one_image(shape: tuple[int, ...]) -> None:
    made = interface(passing({"x": (3,)}, {"y": build.image(7, 5)}))
    with pytest.raises(InvalidModelError, match=r"output 'y', Image \(RGB 7 x 5\).*not one image"):
        made.from_blobs({"y": np.zeros(shape, np.float32)})


@pytest.mark.parametrize("color", ["RGB", "BGR", "GRAYSCALE", "GRAYSCALE_FLOAT16"])
@pytest.mark.parametrize("exact", [False, True])
def test_images_pass_a_network_unchanged(color: str, exact: bool) -> None:
    model = passing({"x": build.image(7, 5, color)}, {"y": build.image(7, 5, color)}, exact=exact)
    pixels: Any = PIXELS if "GRAY" not in color else PIXELS[..., 0]
    pixels = pixels.astype(np.float32) if color.endswith("16") else pixels
    blob = blobs_of(model, {"x": Image.fromarray(np.ascontiguousarray(pixels))})["x"]
    output = finish_output(Feature.of(model.description.output[0]), interface(model).from_blobs({"y": blob})["y"])
    result = np.asarray(output)
    np.testing.assert_array_equal(result[..., :3] if result.ndim == 3 else result, pixels)


def test_outputs_of_other_types_are_invalid() -> None:
    text = build.fill(schema.FeatureType(), {"stringType": {}}, "test")
    with pytest.raises(InvalidModelError, match="output 'y', String"):
        interface(passing({"x": (3,)}, {"y": text}))


# --- classifiers and regressors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [["cat", "dog", "emu"], [10, -20, 30]])
def test_classifier(labels: list[Any]) -> None:
    """Label of the greatest score; scores pass through unchanged."""
    made = interface(passing({"x": (3,)}, ["p"], classes=labels))
    assert (made.inputs, made.outputs) == (("x",), ("p",))
    scores = np.array([-1.5, 7.0, 0.25], np.float32).reshape(1, 1, 3, 1, 1)
    result = made.from_blobs({"p": scores})
    assert result == {"p": dict(zip(labels, [-1.5, 7.0, 0.25], strict=True)), "classLabel": labels[1]}
    assert type(result["classLabel"]) is type(labels[1])
    assert all(type(score) is float for score in result["p"].values())


def test_first_of_equal_scores_wins() -> None:
    made = interface(passing({"x": (3,)}, ["p"], classes=["a", "b", "c"]))
    assert made.from_blobs({"p": np.array([0, 2, 2], np.float32).reshape(1, 1, 3, 1, 1)})["classLabel"] == "b"


def test_scores_may_have_any_shape_of_their_count() -> None:
    made = interface(passing({"x": (3,)}, ["p"], classes=["a", "b", "c"], exact=True))
    for shape in ((3,), (1, 3), (1, 3, 1, 1), (1, 1, 1, 3)):
        assert made.from_blobs({"p": np.array([1, 0, 2], np.float32).reshape(shape)})["classLabel"] == "c"


def test_empty_probability_name_means_the_last_layers_output() -> None:
    model = passing({"x": (3,)}, ["p"], classes=["a", "b"])
    model.neuralNetworkClassifier.labelProbabilityLayerName = ""
    made = interface(model)
    assert made.outputs == ("p",)
    assert made.from_blobs({"p": np.array([1.0, 2.0])[None, None, :, None, None]})["classLabel"] == "b"


def test_probability_blob_under_another_name_than_its_output() -> None:
    model = passing({"x": (3,)}, ["blob"], classes=["a", "b"])
    model.description.output[0].name = model.description.predictedProbabilitiesName = "scores"
    made = interface(model)
    assert made.outputs == ("blob",)
    result = made.from_blobs({"blob": np.array([1.0, 2.0])[None, None, :, None, None]})
    assert result == {"scores": {"a": 1.0, "b": 2.0}, "classLabel": "b"}


def test_probabilities_may_be_left_out() -> None:
    model = passing({"x": (3,)}, ["p"], classes=["a", "b"])
    del model.description.output[0]
    model.description.predictedProbabilitiesName = ""
    made = interface(model)
    assert made.outputs == ("p",)
    assert made.from_blobs({"p": np.array([3.0, 2.0])[None, None, :, None, None]}) == {"classLabel": "a"}


def test_probabilities_as_an_array() -> None:
    model = passing({"x": (3,)}, ["p"], classes=["a", "b"])
    model.description.output[0].type.CopyFrom(build.array(2))
    result = interface(model).from_blobs({"p": np.array([3.0, 2.0])[None, None, :, None, None]})
    assert result["classLabel"] == "a"
    np.testing.assert_array_equal(result["p"], [3.0, 2.0])


def feature_type(**fields: Any) -> schema.FeatureType:
    return build.fill(schema.FeatureType(), fields, "test")


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        (build.array(2, data_type="INT32"), r"MultiArray \(Int32 2\)"),
        (build.array(2, data_type="INT8"), r"MultiArray \(Int8 2\)"),
        (feature_type(sequenceType={"int64Type": {}}), r"Sequence \(Int64\)"),
        (feature_type(dictionaryType={"int64KeyType": {}}), r"Dictionary \(Int64 -> Double\)"),
        (feature_type(doubleType={}), "Double"),
        (feature_type(int64Type={}), "Int64"),
        (build.image(7, 5), r"Image \(RGB 7 x 5\)"),
    ],
)
def test_scores_need_a_type_that_holds_fractions_by_label(output: schema.FeatureType, shown: str) -> None:
    """Scores of 0.2 and 0.8 as integers would be [0, 0]."""
    model = passing({"x": (2,)}, ["p"], classes=["a", "b"])
    model.description.output[0].type.CopyFrom(output)
    expected = rf"the scores 'p' are {shown}, expected Dictionary \(String -> Double\) or an array of floats"
    with pytest.raises(InvalidModelError, match=f"neuralNetworkClassifier: {expected}"):
        refcoreml.load(model)


def test_scores_of_integer_labels_have_integer_keys() -> None:
    model = passing({"x": (2,)}, ["p"], classes=[4, 7])
    assert interface(model).from_blobs({"p": np.array([0.25, 0.75]).reshape(1, 1, 2, 1, 1)})["p"] == {4: 0.25, 7: 0.75}
    model.description.output[0].type.CopyFrom(feature_type(dictionaryType={"stringKeyType": {}}))
    with pytest.raises(InvalidModelError, match=r"the scores 'p' are Dictionary \(String -> Double\), expected.*Int"):
        interface(model)


def test_classifier_with_one_more_output() -> None:
    net = build.Network({"x": (2,)}, ["p", "features"], classes=["a", "b"])
    net.add("activation", ReLU={}, inputs="x", outputs="features")
    net.add("activation", ReLU={}, inputs="features", outputs="p")
    made = interface(net.spec())
    assert set(made.outputs) == {"p", "features"}
    blob = np.array([3.0, 2.0])[None, None, :, None, None]
    result = made.from_blobs({"p": blob, "features": -blob})
    np.testing.assert_array_equal(result["features"], [-3.0, -2.0])


def test_scores_and_labels_must_be_as_many() -> None:
    made = interface(passing({"x": (3,)}, ["p"], classes=["a", "b"]))
    with pytest.raises(InvalidModelError, match=r"neuralNetworkClassifier: blob 'p' holds 3 scores for 2 labels"):
        made.from_blobs({"p": np.zeros((1, 1, 3, 1, 1), np.float32)})
    with pytest.raises(InvalidModelError, match=r"neuralNetworkClassifier: blob 'p' holds 5 scores for 2 labels"):
        refcoreml.load(passing({"x": (5,)}, ["p"], classes=["a", "b"], exact=True))


def test_a_batch_has_no_single_label() -> None:
    made = interface(passing({"x": (2,)}, ["p"], classes=["a", "b"]))
    with pytest.raises(InputError, match=r"Seq 1 and Batch 4.*one at a time"):
        made.from_blobs({"p": np.zeros((1, 4, 2, 1, 1), np.float32)})


@pytest.mark.parametrize(
    ("name", "problem"), [("nothing", "'nothing' is not an output"), ("last", "name of a layer; its output is 'p'")]
)
def test_probability_name_must_be_a_blob(name: str, problem: str) -> None:
    model = passing({"x": (3,)}, ["p"], classes=["a", "b"])
    model.neuralNetworkClassifier.labelProbabilityLayerName = name
    with pytest.raises(InvalidModelError, match=f"neuralNetworkClassifier: labelProbabilityLayerName.*{problem}"):
        interface(model)


@pytest.mark.parametrize(
    ("kind", "part"),
    [("branch", "ifBranch"), ("branch", "elseBranch"), ("loop", "bodyNetwork"), ("loop", "conditionNetwork")],
)
def test_probability_blob_may_come_from_an_inner_network(kind: str, part: str) -> None:
    model = passing({"x": build.image(7, 5)}, ["p"], classes=["a", "b"])
    network = model.neuralNetworkClassifier
    network.ClearField("layers")
    inner = getattr(getattr(network.layers.add(name="outer", input=["x"]), kind), part)
    inner.layers.add(name="inner", input=["x"], output=["p"]).activation.ReLU.SetInParent()
    assert interface(model).outputs == ("p",)


def test_classifier_without_labels() -> None:
    model = passing({"x": (3,)}, ["p"], classes=["a", "b"])
    model.neuralNetworkClassifier.ClearField("stringClassLabels")
    with pytest.raises(InvalidModelError, match="no class labels"):
        interface(model)


def test_label_output_must_fit_the_labels() -> None:
    model = passing({"x": (3,)}, ["p"], classes=[1, 2])
    model.description.output[1].type.stringType.SetInParent()
    with pytest.raises(InvalidModelError, match="'classLabel' is String, expected int64"):
        interface(model)
    model.description.predictedFeatureName = "label"
    with pytest.raises(InvalidModelError, match="predictedFeatureName 'label' is not among the outputs"):
        interface(model)


def test_equal_labels_cause_a_warning() -> None:
    model = passing({"x": (3,)}, ["p"], classes=["crane", "emu", "crane"])
    with pytest.warns(RefCoreMLWarning, match="2 classes have the label 'crane'"):
        made = interface(model)
    result = made.from_blobs({"p": np.array([5.0, 1.0, 2.0])[None, None, :, None, None]})
    assert result == {"p": {"crane": 2.0, "emu": 1.0}, "classLabel": "crane"}


def test_nan_scores_cause_a_warning() -> None:
    made = interface(passing({"x": (3,)}, ["p"], classes=["a", "b"]))
    with pytest.warns(RefCoreMLWarning, match="NaN"):
        made.from_blobs({"p": np.array([np.nan, 1.0])[None, None, :, None, None]})


@pytest.mark.parametrize("kind", ["doubleType", "multiArrayType"])
def test_regressor(kind: str) -> None:
    output = build.fill(schema.FeatureType(), {kind: {} if kind == "doubleType" else {"dataType": "DOUBLE"}}, "test")
    model = passing({"x": (3,)}, {"y": output}, regressor=True)
    result = interface(model).from_blobs({"y": np.full((1, 1, 1, 1, 1), 0.5, np.float32)})["y"]
    finished = finish_output(Feature.of(model.description.output[0]), result)
    assert finished == 0.5
    assert isinstance(finished, float) if kind == "doubleType" else finished.shape == (1,)


def test_regressor_needs_its_feature() -> None:
    model = passing({"x": (3,)}, ["y"], regressor=True)
    model.description.predictedFeatureName = "z"
    with pytest.raises(InvalidModelError, match="neuralNetworkRegressor: predictedFeatureName 'z'"):
        interface(model)
    model = passing({"x": (3,)}, {"y": build.image(7, 5)}, regressor=True)
    with pytest.raises(InvalidModelError, match="expected double or array"):
        interface(model)


def test_changes_to_the_message_come_too_late() -> None:
    model = passing({"x": (3,)}, ["p"], classes=["a", "b"])
    made = interface(model)
    model.neuralNetworkClassifier.stringClassLabels.vector[:] = ["c", "d"]
    model.description.input[0].name = "z"
    assert made.inputs == ("x",)
    assert made.from_blobs({"p": np.array([1.0, 2.0])[None, None, :, None, None]})["classLabel"] == "b"


def test_the_least_shape_of_a_range_need_not_fit():
    # As coremltools converts a convolution in two groups of an input whose channels are left open.
    feature = build.array(1, 1, 6, 7)
    sizes = [{"lowerBound": size, "upperBound": most} for size, most in ((1, 1), (1, -1), (6, 6), (7, 7))]
    build.fill(feature.multiArrayType, {"shapeRange": {"sizeRanges": sizes}}, "x")
    net = build.Network({"x": feature}, ["y"], exact=True)
    net.add("convolution", outputs="y", weights=np.ones((2, 2, 3, 2)), kernel_size=[3, 2], output_channels=2,
            kernel_channels=2, n_groups=2, valid={})  # fmt: skip
    model = net.model()
    assert model.predict({"x": np.ones((1, 4, 6, 7))})["y"].shape == (1, 2, 4, 6)
    with pytest.raises(InputError, match=r"expected an input \[\*, 4, H, W\]"):
        model.predict({"x": np.ones((1, 1, 6, 7))})
