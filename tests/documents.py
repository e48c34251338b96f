"""The files that the commands and snippets of README.md and docs/ speak of, under the names that they have there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import refcoreml
from refcoreml import build, demo
from refcoreml.reporting.samples import Source
from refcoreml.spec import schema

RNG = np.random.default_rng(0)

CUSTOM = """
import numpy as np
import refcoreml

@refcoreml.custom_layer("Swish")
def swish(x, beta):
    return x / (1 + np.exp(-beta * x))
"""


def _numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def _classifier() -> build.Network:
    net = build.Network({"image": build.image(224, 224)}, ["classLabelProbs"], classes=["tabby", "lynx"])
    shape = {"kernel_size": [32, 32], "stride": [32, 32], "output_channels": 4, "kernel_channels": 3, "n_groups": 1}
    net.add("convolution", name="conv1", weights=_numbers(4, 3, 32, 32) / 1e4, valid={}, **shape)
    net.add("innerProduct", name="fc", weights=_numbers(2, 196), input_channels=196, output_channels=2)
    net.add("softmax", outputs="classLabelProbs")
    return net


def _pixelwise(inputs: str, outputs: dict[str, schema.FeatureType | None], channels: int) -> build.Network:
    net = build.Network({inputs: build.image(20, 12)}, outputs)
    (output,) = outputs
    shape = {"kernel_size": [1, 1], "output_channels": channels, "kernel_channels": 3, "n_groups": 1}
    net.add("convolution", outputs=output, weights=_numbers(channels, 3, 1, 1), valid={}, **shape)
    return net


def _vectors() -> build.Network:
    net = build.Network({"x": (3,), "state": (4,)}, ["y", "state_out"])
    net.add("innerProduct", inputs="x", outputs="y", weights=_numbers(2, 3), input_channels=3, output_channels=2)
    net.add("activation", inputs="state", outputs="state_out", ReLU={})
    return net


def _swish() -> build.Network:
    net = build.Network({"x": (3,)}, {"y": (3,)}, exact=True)
    net.add("custom", outputs="y", class_name="Swish", parameters={"beta": 1.0})
    return net


def _decoder() -> build.Program:
    program = build.Program({"tokens": ("int32", (1, 1))}, states={"cache": ("fp16", (1, 1))}, opset="CoreML8")
    tokens = program.add("cast", x=program["tokens"], dtype="fp16")
    logits = program.add("add", x=program.add("read_state", input=program["cache"]), y=tokens, name="logits")
    program.add("write_state", input=program["cache"], data=logits)
    program.output(logits)
    return program


def write_files(folder: Path) -> None:
    """Write them all."""
    _classifier().model().save(folder / "MobileNet.mlmodel")
    _pixelwise("photo", {"styled": build.image(20, 12)}, 3).model().save(folder / "Style.mlmodel")
    _pixelwise("photo", {"segments": None}, 5).model().save(folder / "DeepLab.mlmodel")
    _vectors().model().save(folder / "Net.mlmodel")
    (folder / "Swish.mlmodel").write_bytes(_swish().spec().SerializeToString())
    build.functions({"decode": _decoder()}, default="decode", path=folder / "Decoder.mlpackage")
    np.savez(folder / "tokens.npz", tokens=np.arange(4, dtype=np.int32).reshape(4, 1, 1))
    (folder / "mylayers.py").write_text(CUSTOM, encoding="utf-8")
    refcoreml.load(demo.digits_model_path()).save(folder / "Digits.mlmodel")
    images, labels = demo.held_out()
    np.savez(folder / "digits.npz", image=np.stack([np.asarray(i) for i in images[:6]]), label=np.array(labels[:6]))
    np.save(folder / "state.npy", np.arange(4.0, dtype=np.float32))
    (folder / "photos").mkdir()
    for index in range(3):
        picture = Image.fromarray(RNG.integers(0, 256, (150, 170, 3)).astype(np.uint8))
        picture.save(folder / "photos" / f"{index}.jpg")
    picture.save(folder / "photo.jpg")
    (folder / "recorded").mkdir()
    model = refcoreml.load(folder / "MobileNet.mlmodel")
    for sample in Source(folder / "photos", resize="crop").samples(model):
        scores = np.array(list(model.predict(sample.inputs)["classLabelProbs"].values()))
        np.savez((folder / "recorded" / sample.name).with_suffix(".npz"), classLabelProbs=scores)
