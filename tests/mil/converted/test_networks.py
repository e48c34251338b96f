"""Networks that coremltools converts from torch, against torch: each operation set, both precisions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from mil.converted import conversion, networks
from PIL import Image
from profiles import THOROUGH

import refcoreml
from refcoreml.spec import schema

torch: Any = pytest.importorskip("torch", reason="torch has the networks")
ct: Any = pytest.importorskip("coremltools", reason="coremltools converts them")

pytestmark = pytest.mark.filterwarnings("ignore")  # of coremltools and torch, whose versions are not ours to choose

CASES = [
    (name, precision, target)
    for name in conversion.NETWORKS
    for precision in conversion.PRECISIONS
    for target in conversion.TARGETS
]


def sample(cases: list[Any], every: int) -> list[Any]:
    """Return some of the cases, in which each network, precision and target occurs; all of them when thorough."""
    return cases if THOROUGH else cases[::every]


def operations(block: schema.MILSpec.Block) -> Counter[str]:
    """Return how often each operation occurs."""
    found = Counter(operation.type for operation in block.operations)
    for operation in block.operations:
        for inner in operation.blocks:
            found += operations(inner)
    return found


@pytest.mark.parametrize(("name", "precision", "target"), sample(CASES, 7))
def test_converted_networks_compute_what_torch_computes(name: str, precision: str, target: str) -> None:
    model = conversion.converted(name, precision, target)
    function = refcoreml.load(model).spec.mlProgram.functions["main"]
    counts = operations(function.block_specializations[function.opset])
    assert set(counts) >= conversion.NETWORKS[name].holds
    attention = name in ("listener", "speaker", "patches", "noise", "growing") and function.opset >= "CoreML8"
    assert ("scaled_dot_product_attention" in counts) == attention
    conversion.check(name, model, conversion.made(name).double(), precision, stored=True)


@pytest.mark.parametrize("target", ["iOS18", "iOS26"])
@pytest.mark.parametrize("precision", conversion.PRECISIONS)
def test_a_decoder_that_keeps_keys_and_values(precision: str, target: str) -> None:
    """Seven tokens with one state, which holds half precision as declared, and more in the other precisions.

    With operations in single precision one of the numbers kept may be rounded to the other side than torch's, which
    their spread does not know: 1e-4 of the scale.
    """
    model = conversion.converted("stateful", precision, target)
    module = conversion.made("stateful").double()
    steps = [
        {"token": np.int32([[token]]), "position": np.int32([position])}
        for position, token in enumerate(conversion.integers(19, 7))
    ]

    def run() -> list[Any]:
        for cell in networks.Stateful.cells():
            getattr(module, cell).zero_()
        return [np.stack([conversion.computed(module, inputs)[0] for inputs in steps])]

    (moved,) = conversion.spread(run, module, conversion.ROUNDING[precision], stored=True)
    for kind in ("float64", "float32", "declared"):
        module.halves = kind == "declared"
        (wanted,) = run()
        scale = abs(wanted).max()
        bound = max(conversion.MARGIN * moved, 1e-4 * scale * module.halves)
        assert bound < conversion.LARGEST["FLOAT16"] * scale
        loaded = refcoreml.load(model, precision=kind)
        state = loaded.make_state()
        found = np.stack([loaded.predict(inputs, state=state)["logits"] for inputs in steps])
        assert found.shape == wanted.shape
        assert abs(found - wanted).max() <= bound
        kept = state.read("kept_keys_1")
        assert abs(kept[:, :, 6]).max() > 0
        assert not kept[:, :, 7:].any()


@pytest.mark.parametrize(("precision", "target"), [("FLOAT32", "iOS15"), ("FLOAT16", "iOS18")])
def test_a_decoder_generates(precision: str, target: str) -> None:
    """The outputs of each step are inputs of the next, whose shapes grow."""
    loaded = refcoreml.load(conversion.converted("growing", precision, target))
    module = conversion.made("growing").double()
    kept = [np.zeros((2, 4, 1, 6), np.float32)] * 2
    expected = [np.zeros((2, 4, 1, 6))] * 2
    token = 3
    for position in range(1, 8):
        inputs = {"token": np.int32([[token]]), "position": np.int32([position])}
        outputs = loaded.predict({**inputs, "keys": kept[0], "values": kept[1]})
        logits, *expected = conversion.computed(module, {**inputs, "keys": expected[0], "values": expected[1]})
        kept = [outputs["new_keys"], outputs["new_values"]]
        assert kept[0].shape == (2, 4, position + 1, 6)
        token = int(logits.argmax())
        assert int(outputs["logits"].argmax()) == token


@pytest.mark.parametrize(("precision", "target"), [("FLOAT32", "iOS15"), ("FLOAT16", "iOS17")])
def test_an_image_classifier(precision: str, target: str) -> None:
    """Pixels are scaled as declared, blue first; labels and probabilities are outputs."""
    labels = [f"kind {index}" for index in range(7)]
    image = ct.ImageType("image", (1, 3, 20, 30), scale=1 / 64, bias=[-2, -1.5, -1], color_layout=ct.colorlayout.BGR)
    module = conversion.made("patches")
    model = ct.convert(
        torch.jit.trace(module, torch.zeros(1, 3, 20, 30), check_trace=False),
        inputs=[image],
        classifier_config=ct.ClassifierConfig(labels),
        convert_to="mlprogram",
        minimum_deployment_target=getattr(ct.target, target),
        compute_precision=getattr(ct.precision, precision),
        skip_model_load=True,
    )
    pixels = np.random.default_rng(5).integers(0, 256, (20, 30, 3), np.uint8)
    blue_first = pixels[:, :, ::-1].transpose(2, 0, 1)[None] / 64 + np.reshape([-2, -1.5, -1], (3, 1, 1))
    inputs = {"image": blue_first.astype(np.float64)}
    (wanted,) = conversion.computed(module.double(), inputs)
    (moved,) = conversion.spread(
        lambda: conversion.computed(module, inputs), module, conversion.ROUNDING[precision], stored=True
    )
    found = refcoreml.load(model).predict({"image": Image.fromarray(pixels)})
    assert found["classLabel"] == labels[wanted.argmax()]
    (probabilities,) = [value for value in found.values() if isinstance(value, dict)]
    assert list(probabilities) == labels
    assert abs(np.array(list(probabilities.values())) - wanted[0]).max() <= conversion.MARGIN * moved
