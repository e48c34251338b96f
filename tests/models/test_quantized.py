"""Real models: what quantization does to their size and weights."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from profiles import THOROUGH
from support import shared_model

import refcoreml
from refcoreml.quantization import selectors, weight_changes, weight_tensors

LARGE = [
    "gesture_lstm_turi",
    "mnist_mlp_784",
    "mnist_r4ghu_cnn_380k",
    "style_fritz_starry_night_025",
    "style_vangogh_custom_layers",
    "tiny_drawing_embedding",
    "waifu2x_anime_noise0",
    "waifu2x_up_photo_scale2x",
]
#: More of their files is structure, not weights, than 8-bit codes leave room for.
WORDY = ["pose_cpm", "seg_sinet_portrait"]
OTHERS = ["es2en_bidir_gru_encoder_f16", "seg_deeplabv3_int8lut"]


def load(name):
    return refcoreml.load(shared_model(f"nn/{name}.mlmodel"), prepare=False)


@pytest.mark.parametrize("name", LARGE)
def test_eight_bits_give_a_file_of_at_most_27_per_cent(name):
    model = load(name)
    assert refcoreml.quantize_weights(model, 8).spec.ByteSize() <= 0.27 * model.spec.ByteSize()


@pytest.mark.parametrize("name", WORDY)
def test_eight_bits_where_structure_is_most_of_the_rest(name):
    """Even codes alone, without a single scale, would leave more than 27 per cent; but no weight takes 3 bytes."""
    model = load(name)
    tensors = weight_tensors(model)
    structure = model.spec.ByteSize() - sum(tensor.stored_bytes for tensor in tensors)
    count = sum(tensor.count for tensor in tensors)
    assert structure + count > 0.27 * model.spec.ByteSize()
    assert refcoreml.quantize_weights(model, 8).spec.ByteSize() < structure + 2 * count


@pytest.mark.parametrize(("mode", "fit"), [("kmeans", "minmax"), ("linear", "mse")])
@pytest.mark.parametrize("name", LARGE + WORDY + OTHERS)
def test_the_error_does_not_grow_with_the_bits(name, mode, fit):
    """Of all tensors but the smallest, for time's sake."""
    model, large = load(name), selectors.at_least(count=2000)
    noises = []
    for bits in range(1, 9) if THOROUGH else (2, 4):
        changes = weight_changes(model, refcoreml.quantize_weights(model, bits, mode, fit=fit, selector=large))
        noises.append(sum(change.noise * change.count for change in changes))
    assert noises == sorted(noises, reverse=True)
    assert noises[0] > noises[-1]


@pytest.mark.parametrize("name", ["mnist_r4ghu_cnn_380k", "gesture_lstm_turi", "seg_sinet_portrait"])
@pytest.mark.parametrize(("bits", "mode"), [(8, "linear"), (3, "kmeans"), (16, "linear")])
def test_predictions_are_those_of_the_dequantized_model(name, bits, mode):
    smaller = refcoreml.quantize_weights(load(name), bits, mode)
    full = refcoreml.dequantize_weights(smaller)
    rng = np.random.default_rng(0)
    inputs = {}
    for feature in smaller.inputs:
        if feature.kind == "image":
            width, height = feature.shapes.default
            pixels = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
            inputs[feature.name] = Image.fromarray(pixels).convert("RGB" if feature.element == "RGB" else "L")
        elif not feature.optional:
            inputs[feature.name] = rng.standard_normal(feature.shapes.default)
    one, other = smaller.predict(inputs), full.predict(inputs)
    assert one.keys() == other.keys()
    for output in one:
        if isinstance(one[output], (dict, str)):
            assert one[output] == other[output]
        else:
            np.testing.assert_array_equal(np.asarray(one[output]), np.asarray(other[output]))
