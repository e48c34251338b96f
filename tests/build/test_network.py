"""Building models in Python: every name checked against the schema, every value stored as it was given."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcoreml import build
from refcoreml.build import fields
from refcoreml.errors import RefCoreMLError, UsageError
from refcoreml.spec import schema
from refcoreml.spec.weights import decode_weights, encode_floats

LAYERS = schema.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields


def one(kind: str, **fields: Any) -> Any:
    """The message of a layer built with these fields."""
    net = build.Network({"x": (2, 3, 5)}, ["y"])
    net.add(kind, outputs="y", **fields)
    (layer,) = net.spec().neuralNetwork.layers
    assert layer.WhichOneof("layer") == kind
    return getattr(layer, kind)


# --- features ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "number"), [("RGB", 20), ("BGR", 30), ("GRAYSCALE", 10), ("GRAYSCALE_FLOAT16", 40)])
def test_image_feature(name: str, number: int) -> None:
    image = build.image(7, 5, name).imageType
    assert (image.width, image.height, image.colorSpace) == (7, 5, number)


def test_image_feature_is_rgb_by_default() -> None:
    assert build.image(7, 5).imageType.colorSpace == schema.ImageFeatureType.RGB


@pytest.mark.parametrize(
    ("name", "number"),
    [("FLOAT32", 65568), ("DOUBLE", 65600), ("INT32", 131104), ("FLOAT16", 65552), ("INT8", 131080)],
)
def test_array_feature(name: str, number: int) -> None:
    array = build.array(2, 3, 5, data_type=name).multiArrayType
    assert (list(array.shape), array.dataType) == ([2, 3, 5], number)


@pytest.mark.parametrize(
    ("make", "named"),
    [(lambda: build.image(7, 5, "GREY"), "GRAYSCALE"), (lambda: build.array(3, data_type="FLOAT64"), "FLOAT32")],
)
def test_unknown_feature_types_are_named(make: Any, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        make()


def test_inputs_and_outputs_of_a_network() -> None:
    """A shape stands for a float32 array; an output without a type for an array of open shape; types stay as given."""
    net = build.Network({"a": (2, 3), "b": build.image(7, 5)}, {"c": (11,), "d": None, "e": build.array(3)})
    description = net.spec().description
    types = {feature.name: feature.type for feature in [*description.input, *description.output]}
    assert list(types) == ["a", "b", "c", "d", "e"]
    assert list(types["a"].multiArrayType.shape) == [2, 3]
    assert types["a"].multiArrayType.dataType == schema.ArrayFeatureType.FLOAT32
    assert types["b"].imageType.width == 7
    assert list(types["c"].multiArrayType.shape) == [11]
    assert types["d"].WhichOneof("Type") == "multiArrayType"
    assert list(types["d"].multiArrayType.shape) == []
    assert types["e"] == build.array(3)


# --- names of layers and fields ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [field.name for field in LAYERS])
def test_every_layer_of_the_schema_can_be_added(kind: str) -> None:
    """Even one whose message has no fields: it must be there."""
    net = build.Network({"x": (3,)}, ["y"])
    assert net.add(kind) == f"{kind}0"
    assert net.layers[0].WhichOneof("layer") == kind


def test_no_field_is_hidden_by_an_argument_of_add() -> None:
    fields = {field.name for layer in LAYERS for field in layer.message_type.fields}
    assert not fields & {"kind", "name", "inputs", "outputs"}


@pytest.mark.parametrize("name", ["kernelSize", "kernel_size"])
def test_camel_and_snake(name: str) -> None:
    assert list(one("convolution", **{name: [3, 5]}).kernelSize) == [3, 5]


def test_snake_case_reaches_every_field() -> None:
    """An underscore before each capital: two fields of a message never share a Python spelling."""
    for kind in LAYERS:
        for field in kind.message_type.fields:
            python = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in field.name)
            assert fields._camel(python) == field.name


@pytest.mark.parametrize(
    ("wrong", "suggested"), [("convolutoin", "convolution"), ("inner_product", "innerProduct"), ("Softmax", "softmax")]
)
def test_unknown_layer_is_named_with_the_nearest(wrong: str, suggested: str) -> None:
    net = build.Network({"x": (3,)}, ["y"])
    with pytest.raises(UsageError) as caught:
        net.add(wrong)
    assert repr(wrong) in caught.value.problem
    assert suggested in caught.value.remedy.replace(",", "").split()
    assert net.layers == []


@pytest.mark.parametrize(
    ("kind", "fields", "place", "problem", "suggested"),
    [
        ("convolution", {"kernel_sise": [3, 5]}, "(convolution)", "'kernel_sise'", "kernelSize"),
        ("activation", {"ReLu": {}}, "(activation)", "'ReLu'", "ReLU"),
        ("activation", {"leakyReLU": {"alfa": 1}}, "(activation).leakyReLU", "'alfa'", "alpha"),
        ("pooling", {"type": "MAXIMUM"}, "(pooling).type", "'MAXIMUM'", "MAX"),
        (
            "convolution",
            {"valid": {"paddingAmounts": {"borderAmounts": [{"start": 1}]}}},
            "(convolution).valid.paddingAmounts.borderAmounts",
            "'start'",
            "startEdgeSize",
        ),
    ],
)
def test_unknown_field_is_placed_and_named_with_the_nearest(
    kind: str, fields: dict[str, Any], place: str, problem: str, suggested: str
) -> None:
    net = build.Network({"x": (3,)}, ["y"])
    with pytest.raises(UsageError) as caught:
        net.add(kind, name="here", **fields)
    assert problem in caught.value.problem
    assert suggested in caught.value.remedy
    assert f"'here' {place}" in caught.value.where
    assert net.layers == [], "a layer that failed must not stay"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("convolution", {"kernel_size": 3}),
        ("convolution", {"kernel_size": [3.5, 2]}),
        ("convolution", {"kernel_size": [2, 3.5, 2]}),
        ("convolution", {"output_channels": -1}),
        ("convolution", {"output_channels": 2**64}),
        ("convolution", {"output_channels": "many"}),
        ("convolution", {"weights": [[1, 2], [3]]}),
        ("convolution", {"weights": "many"}),
        ("convolution", {"valid": schema.SamePadding()}),
        ("activation", {"ReLU": True}),
        ("activation", {"linear": {"alpha": "one"}}),
        ("padding", {"paddingAmounts": {"borderAmounts": 3}}),
        ("padding", {"paddingAmounts": {"borderAmounts": [3, 5]}}),
        ("pooling", {"type": 1.5}),
        ("softmaxND", {"axis": 2**31 * 2**32}),
    ],
)
def test_values_that_do_not_fit_are_refused(kind: str, fields: dict[str, Any]) -> None:
    net = build.Network({"x": (3,)}, ["y"])
    with pytest.raises(UsageError, match=next(iter(fields)).replace("_s", "S").replace("_c", "C")):
        net.add(kind, **fields)
    assert net.layers == []


@pytest.mark.parametrize("names", [{"inputs": [3, "x"]}, {"inputs": 7}, {"outputs": ["a", None]}, {"name": 5}])
def test_names_are_strings(names: dict[str, Any]) -> None:
    net = build.Network({"x": (3,)}, ["y"])
    with pytest.raises(UsageError, match=next(iter(names)).rstrip("s")):
        net.add("softmax", **names)
    assert net.layers == []


# --- values -----------------------------------------------------------------------------------------------------------


def test_enums_take_names_and_numbers() -> None:
    assert one("pooling", type="AVERAGE") == one("pooling", type=schema.PoolingLayerParams.AVERAGE)
    assert one("pooling", type="L2").type == 2


def test_nested_messages_take_dicts_and_messages() -> None:
    edges = [{"startEdgeSize": 1, "endEdgeSize": 2}, {"start_edge_size": 3, "end_edge_size": 5}]
    expected = schema.BorderAmounts(
        borderAmounts=[
            schema.BorderAmounts.EdgeSizes(startEdgeSize=1, endEdgeSize=2),
            schema.BorderAmounts.EdgeSizes(startEdgeSize=3, endEdgeSize=5),
        ]
    )
    built = one("padding", constant={"value": 0.5}, padding_amounts={"border_amounts": edges})
    assert built.paddingAmounts == expected
    assert built.constant.value == 0.5
    assert one("padding", paddingAmounts=expected).paddingAmounts == expected
    assert one("padding", paddingAmounts={"borderAmounts": list(expected.borderAmounts)}).paddingAmounts == expected


def test_an_empty_dict_sets_a_message() -> None:
    """Presence alone has a meaning: ``valid={}`` is a choice of padding."""
    built = one("convolution", valid={})
    assert built.WhichOneof("ConvolutionPaddingType") == "valid"
    assert one("activation", ReLU={}).WhichOneof("NonlinearityType") == "ReLU"
    assert one("convolution").WhichOneof("ConvolutionPaddingType") is None


def test_numpy_scalars_and_arrays_are_plain_values() -> None:
    built = one("convolution", kernel_size=np.array([3, 5]), output_channels=np.int64(7), has_bias=np.bool_(True))
    assert (list(built.kernelSize), built.outputChannels, built.hasBias) == ([3, 5], 7, True)
    assert one("activation", linear={"alpha": np.float32(0.1)}).linear.alpha == np.float32(0.1)


@given(st.lists(st.floats(width=32), min_size=1), st.sampled_from(["float32", "float16", "float64", "int64"]))
def test_weights_keep_their_bits(values: list[float], dtype: str) -> None:
    """float16 arrays as float16, all others as float32; NaN, infinities and the sign of zero included."""
    with np.errstate(all="ignore"):
        array = np.array(values).astype(dtype)
        expected = array.astype(np.float32)
    stored = one("innerProduct", weights=array).weights
    if dtype == "float16":
        assert not stored.floatValue
        assert stored.float16Value == struct.pack(f"<{len(array)}H", *array.view(np.uint16).tolist())
    else:
        assert not stored.float16Value
        found = np.array(list(stored.floatValue), np.float32)
        same = (found.view(np.uint32) == expected.view(np.uint32)) | (np.isnan(found) & np.isnan(expected))
        assert same.all()


def test_weights_are_stored_row_by_row_whatever_their_layout() -> None:
    weights = np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5)
    strided = np.asfortranarray(weights)
    for given_weights in (weights, strided, strided.astype(np.float16), weights.tolist()):
        stored = one("innerProduct", weights=given_weights).weights
        np.testing.assert_array_equal(decode_weights(stored, (2, 3, 5)), weights)


def test_weight_messages_are_taken_as_they_are() -> None:
    quantized = schema.WeightParams(rawValue=b"\x12", quantization={"numberOfBits": 4})
    built = one("innerProduct", weights=quantized)
    assert built.weights == quantized
    assert built.weights is not quantized


def test_weights_within_nested_messages() -> None:
    built = one("activation", PReLU={"alpha": np.array([0.25, 0.5], np.float16)})
    assert built.PReLU.alpha == encode_floats(np.array([0.25, 0.5], np.float16))


# --- the chain of layers ----------------------------------------------------------------------------------------------


def test_layers_are_chained_by_default() -> None:
    net = build.Network({"x": (3,), "unused": (5,)}, ["y"])
    first = net.add("softmax")
    second = net.add("split", outputs=["a", "b"])
    third = net.add("activation", name="last", ReLU={})
    fourth = net.add("add", inputs=["x", third], outputs="y")
    assert (first, second, third, fourth) == ("softmax0", ("a", "b"), "last", "y")
    assert [(layer.name, list(layer.input), list(layer.output)) for layer in net.spec().neuralNetwork.layers] == [
        ("softmax0", ["x"], ["softmax0"]),
        ("split1", ["softmax0"], ["a", "b"]),
        ("last", ["a"], ["last"]),
        ("add3", ["x", "last"], ["y"]),
    ]


def test_spec_is_a_snapshot() -> None:
    net = build.Network({"x": (3,)}, ["y"])
    net.add("softmax")
    before = net.spec()
    net.add("softmax", outputs="y")
    assert len(before.neuralNetwork.layers) == 1
    before.neuralNetwork.layers[0].name = "changed"
    assert net.spec().neuralNetwork.layers[0].name == "softmax0"


def test_preprocessing() -> None:
    net = build.Network({"x": build.image(2, 1)}, ["y"])
    net.preprocess("x", channel_scale=0.5, red_bias=1, green_bias=2, blue_bias=3)
    net.preprocess(mean_image=np.arange(6).reshape(3, 1, 2))
    scaler, mean = net.spec().neuralNetwork.preprocessing
    assert scaler.featureName == "x"
    assert scaler.scaler == schema.NeuralNetworkImageScaler(channelScale=0.5, redBias=1, greenBias=2, blueBias=3)
    assert mean.featureName == ""
    assert list(mean.meanImage.meanImage) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(UsageError, match="channelScale"):
        net.preprocess("x", chanel_scale=1)


def test_a_scaler_without_numbers_is_still_a_scaler() -> None:
    net = build.Network({"x": build.image(2, 1)}, ["y"])
    net.preprocess()
    assert net.spec().neuralNetwork.preprocessing[0].WhichOneof("preprocessor") == "scaler"


# --- kinds of models --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "field", "label", "key"),
    [
        (["no", "yes"], "stringClassLabels", "stringType", "stringKeyType"),
        ([5, -3], "int64ClassLabels", "int64Type", "int64KeyType"),
        (range(3), "int64ClassLabels", "int64Type", "int64KeyType"),
    ],
)
def test_classifier(classes: Any, field: str, label: str, key: str) -> None:
    net = build.Network({"x": (3,)}, ["p", "other"], classes=classes)
    net.add("softmax", outputs="p")
    net.add("activation", ReLU={}, outputs="other")
    model = net.spec()
    classifier = model.neuralNetworkClassifier
    assert classifier.WhichOneof("ClassLabels") == field
    assert list(getattr(classifier, field).vector) == list(classes)
    assert classifier.labelProbabilityLayerName == "p"
    assert [layer.name for layer in classifier.layers] == ["softmax0", "activation1"]
    types = {output.name: output.type for output in model.description.output}
    assert types["p"].WhichOneof("Type") == "dictionaryType"
    assert types["p"].dictionaryType.WhichOneof("KeyType") == key
    assert types["other"].WhichOneof("Type") == "multiArrayType"
    assert types["classLabel"].WhichOneof("Type") == label
    assert model.description.predictedFeatureName == "classLabel"
    assert model.description.predictedProbabilitiesName == "p"


def test_regressor() -> None:
    net = build.Network({"x": (3,)}, ["price"], regressor=True)
    net.add("softmax", outputs="price")
    model = net.spec()
    assert model.WhichOneof("Type") == "neuralNetworkRegressor"
    assert model.description.predictedFeatureName == "price"
    assert [layer.name for layer in model.neuralNetworkRegressor.layers] == ["softmax0"]


def test_exact_shapes() -> None:
    legacy, exact = (build.Network({"x": (3,)}, ["y"], exact=exact).spec().neuralNetwork for exact in (False, True))
    assert legacy.arrayInputShapeMapping == schema.RANK5_ARRAY_MAPPING
    assert legacy.imageInputShapeMapping == schema.RANK5_IMAGE_MAPPING
    assert exact.arrayInputShapeMapping == schema.EXACT_ARRAY_MAPPING
    assert exact.imageInputShapeMapping == schema.RANK4_IMAGE_MAPPING


@pytest.mark.parametrize(
    ("kinds", "exact", "version"),
    [
        ([], False, 3),
        (["softmax", "convolution"], False, 3),
        (["custom"], False, 3),
        (["softmax"], True, 4),
        (["softmax", "softmaxND", "convolution"], False, 4),
        (["clampedReLU"], True, 5),
        (["clampedReLU", "softmaxND"], False, 5),
    ],
)
def test_version_follows_the_newest_layer(kinds: list[str], exact: bool, version: int) -> None:
    net = build.Network({"x": (3,)}, ["y"], exact=exact)
    for kind in kinds:
        net.add(kind)
    assert net.spec().specificationVersion == version


@pytest.mark.parametrize(
    "make",
    [
        lambda: build.Network({"x": (3,)}, ["y"], classes=["one", 2]).spec(),
        lambda: build.Network({"x": (3,)}, ["y"], classes=[1.5]).spec(),
        lambda: build.Network({"x": (3,)}, [], classes=["one"]).spec(),
        lambda: build.Network({"x": (3,)}, [], regressor=True).spec(),
        lambda: build.Network({"x": (3,)}, ["y"], classes=["one"], regressor=True).spec(),
        lambda: build.Network({"x": (3.5,)}, ["y"]).spec(),  # type: ignore[dict-item]
        lambda: build.Network({"x": "three"}, ["y"]).spec(),
        lambda: build.Network({"x": (3,)}, ["y"]).preprocess(mean_image="grey"),
        lambda: build.Network({"x": (3,)}, ["y"]).preprocess(mean_image=[1], channel_scale=2),
    ],
)
def test_arguments_that_make_no_sense(make: Any) -> None:
    with pytest.raises(RefCoreMLError):
        make()


def test_model_predicts() -> None:
    """Softmax of equal numbers: each exp(0) / 4, exactly."""
    net = build.Network({"x": (4, 1, 1)}, ["y"], classes=["a", "b", "c", "d"])
    net.add("softmax", outputs="y")
    outputs = net.model(precision="float64").predict({"x": np.full((4, 1, 1), 7.0)})
    assert outputs == {"y": dict.fromkeys("abcd", 0.25), "classLabel": "a"}


def test_coremltools_agrees() -> None:
    """The same network from coremltools' builder and from ours, field by field."""
    coremltools = pytest.importorskip("coremltools", reason="coremltools' builder is the other opinion")
    weights = np.arange(2 * 3 * 5 * 7, dtype=np.float32).reshape(2, 3, 5, 7)
    bias = np.array([0.5, -1], np.float32)
    array = coremltools.models.datatypes.Array
    theirs = coremltools.models.neural_network.NeuralNetworkBuilder(
        [("x", array(3, 11, 13))], [("y", None)], disable_rank5_shape_mapping=False
    )
    theirs.add_convolution(
        "conv", 3, 2, 5, 7, 1, 2, "valid", 1, weights.transpose(2, 3, 1, 0), bias, True, input_name="x", output_name="c"
    )
    theirs.add_activation("relu", "LEAKYRELU", "c", "r", [0.25])
    theirs.add_flatten("flat", 0, "r", "y")

    ours = build.Network({"x": (3, 11, 13)}, ["y"])
    ours.add(
        "convolution",
        name="conv",
        outputs="c",
        output_channels=2,
        kernel_channels=3,
        n_groups=1,
        kernel_size=[5, 7],
        stride=[1, 2],
        dilation_factor=[1, 1],
        valid={"padding_amounts": {"border_amounts": [{}, {}]}},
        has_bias=True,
        weights=weights,
        bias=bias,
    )
    ours.add("activation", name="relu", outputs="r", leakyReLU={"alpha": 0.25})
    ours.add("flatten", name="flat", outputs="y", mode="CHANNEL_FIRST")
    expected = schema.Model.FromString(theirs.spec.SerializeToString())
    assert list(ours.spec().neuralNetwork.layers) == list(expected.neuralNetwork.layers)
