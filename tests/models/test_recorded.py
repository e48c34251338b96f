"""Real models against what their manifest records, and what pictures show."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from support import shared_model

import refcoreml

#: Classes of PASCAL VOC that DeepLab was trained on.
BICYCLE, BIRD, CAR, DOG, HORSE, PERSON = 2, 3, 7, 12, 13, 15


def load(name, **options):
    return refcoreml.load(shared_model(f"nn/{name}.mlmodel"), **options)


def photo(name, width, height):
    return Image.open(shared_model(f"images/{name}")).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)


@pytest.fixture(scope="module")
def digits():
    with np.load(shared_model("recorded/mnist/mnist_t10k_first1000.npz")) as archive:
        return archive["images"], archive["labels"]


def test_mnist_convolutional_network_reads_989_of_1000(digits):
    images, labels = digits
    results = load("mnist_r4ghu_cnn_380k").predict([{"image": Image.fromarray(image)} for image in images])
    assert sum(int(result["classLabel"]) == label for result, label in zip(results, labels, strict=True)) == 989


def test_mnist_perceptron_reads_983_of_1000(digits):
    images, labels = digits
    results = load("mnist_mlp_784").predict([{"input1": image.reshape(-1) / 255} for image in images])
    assert sum(int(result["output1"].argmax()) == label for result, label in zip(results, labels, strict=True)) == 983


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("dog.jpg", {DOG, BICYCLE, CAR}),
        ("person.jpg", {PERSON, DOG, HORSE}),
        ("eagle.jpg", {BIRD}),
        ("horses.jpg", {HORSE}),
    ],
)
def test_segmentation_finds_what_the_photo_shows(name, shown):
    classes = load("seg_deeplabv3_int8lut").predict({"image": photo(name, 513, 513)})["semanticPredictions"]
    assert classes.dtype == np.int32
    assert classes.shape == (513, 513)
    counts = np.bincount(classes.reshape(-1), minlength=21)
    found = {int(label) for label in np.flatnonzero(counts > 5000)} - {0}
    assert shown <= found, f"found {found}"


def test_pose_finds_head_above_hips_above_feet():
    heat = next(iter(load("pose_cpm").predict({"image__0": photo("person.jpg", 192, 192)}).values()))
    assert heat.shape == (14, 96, 96)
    rows = [np.unravel_index(part.argmax(), part.shape)[0] for part in heat]
    columns = [np.unravel_index(part.argmax(), part.shape)[1] for part in heat]
    head, hips, ankles = rows[0], min(rows[8], rows[11]), max(rows[10], rows[13])
    assert head < hips < ankles
    # The person stands in the left half of the photo, at about a third of its width.
    assert 25 <= np.median(columns) <= 45


def test_identity_network_returns_the_picture():
    picture = photo("car.jpg", 256, 256)
    result = load("image2image_identity_scaler").predict({"image": picture})["generatedImage"]
    scale = load("image2image_identity_scaler").spec.neuralNetwork.preprocessing[0].scaler
    expected = np.clip(
        np.rint(np.asarray(picture, np.float32) * np.float32(scale.channelScale) + scale.redBias), 0, 255
    )
    assert scale.redBias == scale.greenBias == scale.blueBias
    np.testing.assert_array_equal(np.asarray(result)[..., :3], expected)


def test_style_transfer_keeps_the_scene_and_changes_the_colours():
    picture = photo("dog.jpg", 480, 640)
    styled = np.asarray(load("style_fritz_starry_night_025").predict({"image": picture})["stylizedImage"])[..., :3]
    before, after = (np.asarray(image, float).mean(axis=2) for image in (picture, styled))
    assert np.corrcoef(before.reshape(-1), after.reshape(-1))[0, 1] > 0.6
    assert np.abs(np.asarray(picture, float) - styled).mean() > 20


@pytest.mark.parametrize(
    ("name", "factor", "border"), [("waifu2x_anime_noise0", 1, 7), ("waifu2x_up_photo_scale2x", 2, 7)]
)
def test_upscaling_keeps_the_picture(name, factor, border):
    size = {1: 142, 2: 156}[factor]
    inner = size - 2 * border
    x = np.asarray(photo("1face.png", size, size), float).transpose(2, 0, 1) / 255
    y = next(iter(load(name).predict({"input": x}).values()))
    assert y.shape == (3, factor * inner, factor * inner)
    expected = np.repeat(np.repeat(x[:, border:-border, border:-border], factor, 1), factor, 2)
    mean_error = np.abs(y - expected).mean()
    assert mean_error < 0.05, "a picture in 0..1 came out as another picture"


@pytest.mark.parametrize("precision", ["float32", "float64", "float16"])
def test_sequences_of_houses(precision):
    model = load("s4tf_house_v1_no_train", precision=precision)
    inputs = {"input1": np.linspace(0, 1, 11), "input2": np.array([0.0, 1]).reshape(2, 1, 1)}
    inputs["input3"] = np.arange(9.0).reshape(9, 1, 1)
    assert np.isfinite(model.predict(inputs)["output1"]).all()


def test_a_sum_of_two_inputs_is_exact():
    a, b = np.arange(64.0), np.arange(64.0)[::-1] * 3
    (total,) = load("toy_add_two_inputs").predict({"image": a, "image2": b}).values()
    assert total.dtype == np.float64
    np.testing.assert_array_equal(total, a + b)


def test_a_dense_layer_flattens_in_the_order_of_keras():
    model = load("keras_dense_3x3x3", precision="float64")
    flatten, dense = model.spec.neuralNetwork.layers
    assert flatten.flatten.mode == 1, "channels last"
    weights = np.array(dense.innerProduct.weights.floatValue).reshape(2, 27)
    x = np.arange(27.0).reshape(3, 3, 3) - 11
    expected = weights @ x.transpose(1, 2, 0).reshape(-1) + np.array(dense.innerProduct.bias.floatValue)
    bound = 28 * 2.0**-53 * (np.abs(weights) @ np.abs(x.reshape(-1)) + 1)
    assert (np.abs(model.predict({"input1": x})["output1"] - expected) <= bound).all()


def test_a_drawing_becomes_an_embedding():
    drawing = Image.fromarray(np.random.default_rng(5).integers(0, 256, (28, 28)).astype(np.uint8))
    (embedding,) = load("tiny_drawing_embedding").predict({"drawing": drawing}).values()
    assert embedding.shape == (128,)
    assert (embedding >= 0).all(), "the last layer is a ReLU"
    assert embedding.any()


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("custom_swish_NeuralMcNeuralNet", ["Swish"]),
        ("style_vangogh_custom_layers", ["ResCropBlockLambda", "RescaleOutputLambda"]),
    ],
)
def test_custom_layers_are_named(name, classes):
    with pytest.raises(refcoreml.UnsupportedModelError) as caught:
        load(name)
    for class_name in classes:
        assert f"custom layer of class {class_name!r}" in str(caught.value)
    needs = refcoreml.inspect(load(name, prepare=False)).needs
    assert [need.class_name for need in needs] == classes
    assert not any(need.met for need in needs)


def test_the_swish_network_runs_with_its_function():
    """Held against the network written out: convolution 3 x 3, x / (1 + exp(-beta x)), mean, product, softmax."""
    picture = photo("cat_sculpture_cc0.jpg", 256, 256)
    code = {"Swish": lambda x, beta: x / (1 + np.exp(-beta * x))}
    path = shared_model("nn/custom_swish_NeuralMcNeuralNet.mlmodel")
    model = refcoreml.load(path, custom_layers=code, precision="float64")
    (output,) = model.predict({"image": picture}).values()

    layers = {layer.name: layer for layer in model.spec.neuralNetwork.layers}
    assert layers["swish_1"].custom.parameters["beta"].doubleValue == 0.01
    convolution, dense = layers["conv2d_1"].convolution, layers["dense_1"].innerProduct
    x = np.asarray(picture, np.float64).transpose(2, 0, 1)
    kernel = np.array(convolution.weights.floatValue).reshape(convolution.outputChannels, 3, *convolution.kernelSize)
    assert convolution.WhichOneof("ConvolutionPaddingType") == "same"
    assert (convolution.kernelSize, convolution.stride) == ([3, 3], [1, 1])
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), (1, 2))
    y = np.einsum("chwij,ocij->ohw", windows, kernel) + np.array(convolution.bias.floatValue)[:, None, None]
    y = (y / (1 + np.exp(-0.01 * y))).mean((1, 2))
    logits = np.array(dense.weights.floatValue).reshape(dense.outputChannels, -1) @ y + dense.bias.floatValue
    scores = np.exp(logits - logits.max())
    # Double precision: sums of 65,536 terms in another order, and logits of up to some hundreds in the exponent.
    np.testing.assert_allclose(output, scores / scores.sum(), rtol=65536 * 2.0**-53 * max(1, np.abs(logits).max()))


def test_the_starry_night_network_runs_with_its_classes():
    """Looked at: a picture in blue and yellow brush strokes in which dog and bicycle are where they were."""

    class ResCrop:
        def __init__(self, parameters):
            pass

        def output_shapes(self, input_shapes):
            return [(*shape[:-2], shape[-2] - 4, shape[-1] - 4) for shape in input_shapes]

        def evaluate(self, inputs):
            return [x[..., 2:-2, 2:-2] for x in inputs]

    code = {"ResCropBlockLambda": ResCrop, "RescaleOutputLambda": lambda x: (x + 1) * 127.5}
    path = shared_model("nn/style_vangogh_custom_layers.mlmodel")
    model = refcoreml.load(path, custom_layers=code)
    picture = photo("dog.jpg", 320, 320)
    styled = np.asarray(model.predict({"image": picture})["output"].convert("RGB"), np.float64)
    assert model.shapes()["res_crop_4_output"] == model.shapes()["add_5_output"], "the class tells its shapes"
    red, green, blue = styled.reshape(-1, 3).mean(0)
    assert blue > green > red, "it is a night"
    assert np.corrcoef(styled.mean(2).ravel(), np.asarray(picture.convert("L"), np.float64).ravel())[0, 1] > 0.4


def test_portrait_segmentation_separates_the_person_from_the_background():
    """Means and deviations are those of the network's training, colours blue first."""
    pixels = np.asarray(photo("portrait_orig.jpg", 320, 320), np.float32)[..., ::-1]
    mean, deviation = (102.890434, 111.25247, 126.91212), (62.93292, 62.82138, 66.355705)
    x = ((pixels - np.float32(mean)) / np.float32(deviation) / 255).transpose(2, 0, 1)[None]
    (scores,) = load("seg_sinet_portrait").predict({"input.54": x}).values()
    assert scores.shape == (1, 2, 320, 320)
    person = scores[0].argmax(axis=0)
    face, suit, flag, wall = person[60:220, 110:200], person[290:, 40:280], person[:120, :40], person[:120, 280:]
    assert face.all()
    assert suit.all()
    assert not flag.any()
    assert not wall.any()
