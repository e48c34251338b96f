"""Real networks, layer by layer, in single precision."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from support import shared_model

import refcoreml
from refcoreml.oracle import layer_answers


@pytest.mark.parametrize("name", ["gesture_lstm_turi", "mnist_r4ghu_cnn_380k"])
def test_layer_by_layer(name):
    model = refcoreml.load(shared_model(f"nn/{name}.mlmodel"))
    rng = np.random.default_rng(0)
    inputs = {}
    for feature in model.inputs:
        if feature.kind == "image":
            pixels = rng.integers(0, 256, feature.default_shape[1:]).astype(np.uint8)
            inputs[feature.name] = Image.fromarray(pixels)
        elif not feature.optional:
            inputs[feature.name] = rng.normal(size=feature.default_shape)
    steps = model.prepare().network.steps
    count = 0
    for step, layer in zip(steps, layer_answers(model, inputs), strict=True):
        results = step.op.run(*(value.astype(np.float32) for value in layer.inputs))
        results = results if isinstance(results, tuple) else (results,)
        for actual, bound in zip(results, layer.outputs.values(), strict=True):
            assert np.isfinite(bound.radius).all()
            assert (np.abs(actual - bound.value) <= bound.radius).all(), layer.name
            count += actual.size
    assert count > 1000
