"""The spatial transformer in examples/: its sampler, its committed model, what PyTorch says of both."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import integers

import refcoreml
from refcoreml import custom
from refcoreml.cli import main

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "spatial_transformer"
MODEL = FOLDER / "spatial_transformer.mlmodel"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
#: Unit roundoff of double precision.
U = 2.0**-53


def script(name):
    """A script of the folder as a module; the scripts import each other from where they are."""
    spec = importlib.util.spec_from_file_location(f"spatial_transformer_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(FOLDER))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


@pytest.fixture(scope="module")
def sampler():
    with custom.scope():
        return script("grid_sampler")


@pytest.fixture(scope="module")
def expected():
    with np.load(FOLDER / "expected.npz") as archive:
        return dict(archive)


def load(sampler, **options):
    return refcoreml.load(MODEL, custom_layers={"GridSampler": sampler.GridSampler}, **options)


def images(expected):
    return [{"image": Image.fromarray(picture)} for picture in expected["pictures"]]


# --- the sampler -----------------------------------------------------------------------------------------------------


def sampled_by_hand(image, grid, align_corners):
    """A loop over places and their four neighbours; pixels outside count 0."""
    count, channels, height, width = image.shape
    result = np.zeros((count, channels, *grid.shape[1:3]))
    for n in range(count):
        for i in range(grid.shape[1]):
            for j in range(grid.shape[2]):
                x, y = (
                    (g + 1) / 2 * (size - 1) if align_corners else (g + 1) / 2 * size - 0.5
                    for g, size in zip(grid[n, i, j], (width, height), strict=True)
                )
                for row in (math.floor(y), math.floor(y) + 1):
                    for column in (math.floor(x), math.floor(x) + 1):
                        if 0 <= row < height and 0 <= column < width:
                            share = (1 - abs(x - column)) * (1 - abs(y - row))
                            result[n, :, i, j] += share * image[n, :, row, column]
    return result


@pytest.mark.parametrize("align_corners", [False, True])
def test_the_sampler_does_what_its_definition_says(sampler, align_corners):
    """Places are multiples of 1/64 up to 2, sizes 4 and 8 (or 5 and 9): every number on the way is exact."""
    height, width = (5, 9) if align_corners else (4, 8)
    image = integers((2, 3, height, width), seed=1)
    grid = integers((2, 6, 7, 2), seed=2, low=-128, high=129) / 64
    found = sampler.grid_sample(image, grid, align_corners)
    np.testing.assert_array_equal(found, sampled_by_hand(image, grid, align_corners))
    assert sampler.grid_sample(image.astype(np.float32), grid.astype(np.float32), align_corners).dtype == np.float32


@pytest.mark.parametrize("align_corners", [False, True])
def test_the_sampler_agrees_with_torch(sampler, align_corners):
    """A place, in pixels, is off by at most 4 roundoffs of |g + 1| / 2 times the size, in each computation; the sample
    by that times the largest difference of neighbours along either axis, and eleven operations on numbers up to
    max |x|.
    """
    torch = pytest.importorskip("torch", reason="torch has a sampler of its own")
    random = np.random.default_rng(3)
    image, grid = random.standard_normal((2, 3, 11, 7)), random.uniform(-1.5, 1.5, (2, 13, 5, 2))
    theirs = torch.nn.functional.grid_sample(
        torch.from_numpy(image), torch.from_numpy(grid), align_corners=align_corners
    ).numpy()
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    slopes = sum(size * np.abs(np.diff(padded, axis=axis)).max() for axis, size in ((3, 7), (2, 11)))
    bound = 2 * (4 * U * 1.25 * slopes + 11 * U * np.abs(image).max())
    np.testing.assert_allclose(sampler.grid_sample(image, grid, align_corners), theirs, rtol=0, atol=bound)


def test_far_outside_everything_is_0(sampler):
    image = np.ones((1, 1, 3, 4))
    grid = np.array([[[[1e30, 0.0], [0.0, -1e30], [-5.0, 5.0], [0.0, 0.0]]]])
    np.testing.assert_array_equal(sampler.grid_sample(image, grid)[0, 0, 0], [0, 0, 0, 1])


# --- the model -------------------------------------------------------------------------------------------------------


def test_probabilities_are_pytorchs(sampler, expected):
    """In double precision, within what rounding can do in this network (derived in train.py)."""
    outputs = load(sampler, precision="float64").predict(images(expected))
    found = np.array([[output["probabilities"][digit] for digit in range(10)] for output in outputs])
    assert (np.abs(found - expected["probabilities"]) <= expected["probabilities_bound"]).all()
    assert expected["probabilities_bound"].max() < 1e-5, "the bound says something"


def test_single_and_half_precision_tell_the_same_digits(sampler, expected):
    told = expected["probabilities"].argmax(1)
    single = [output["classLabel"] for output in load(sampler).predict(images(expected))]
    np.testing.assert_array_equal(single, told)
    # Blobs off by 2^-11 of themselves, layer after layer, can turn near ties, but nothing that is clear.
    half = [output["classLabel"] for output in load(sampler, precision="float16").predict(images(expected))]
    top = np.sort(expected["probabilities"], axis=1)
    sure = top[:, -1] - top[:, -2] > 0.1
    np.testing.assert_array_equal(np.array(half)[sure], told[sure])
    right = np.mean(told == expected["labels"])
    assert right > 0.8, f"{right:.0%} of the kept pictures are right"


def test_where_it_looks_and_what_it_sees_are_pytorchs(sampler, expected):
    model = load(sampler, precision="float64")
    for index, inputs in enumerate(images(expected)[: len(expected["grid"])]):
        layers = {layer.name: layer for layer in model.trace(inputs)}
        assert layers["look"].kind == "custom"
        grid, seen = layers["look"].inputs["grid"], layers["look"].outputs["look"]
        np.testing.assert_allclose(grid[0], expected["grid"][index], rtol=0, atol=expected["grid_bound"][index])
        np.testing.assert_allclose(seen[0], expected["seen"][index], rtol=0, atol=expected["seen_bound"][index])
    assert model.shapes()["look"] == (1, 1, 20, 20)


def test_torch_computes_what_was_recorded():
    pytest.importorskip("torch", reason="torch computes the expectations anew")
    pytest.importorskip("sklearn", reason="the training script reads scikit-learn's digits")
    with custom.scope():
        train = script("train")
    spec = refcoreml.load(MODEL, prepare=False).spec
    network = train.from_core_ml(spec)
    assert train.to_core_ml(network) == spec
    levels, (pictures, labels) = train.held_out_levels()[0].numpy(), train.held_out()
    with np.load(FOLDER / "expected.npz") as archive:
        kept = len(archive["labels"])
        # Levels are sampled at places up to 40 pixels away in single precision, in an order that depends on the
        # processor: 16 roundings of a place, each of 2^-24 * 40 pixels, where a pixel is worth at most 255 levels.
        off = 16 * 2.0**-24 * 40 * 255
        assert (np.abs(archive["pictures"] - levels[:kept, 0].astype(np.float64)) <= 0.5 + off).all()
        np.testing.assert_array_equal(archive["labels"], labels[:kept].numpy())
        pictures[:kept, 0] = train.torch.from_numpy(archive["pictures"])
        anew = train.expected(network, pictures[:kept], labels[:kept])
        assert (np.abs(anew["probabilities"] - archive["probabilities"]) <= archive["probabilities_bound"]).all()
    assert round(360 * train.accuracy(network, pictures, labels)) == 321, "as the page says"


def test_eight_bits_tell_the_same_digits_where_it_is_sure(sampler, expected):
    quantized = refcoreml.quantize_weights(load(sampler), 8, "linear")
    assert quantized.spec.ByteSize() < 40_000
    told = np.array([output["classLabel"] for output in quantized.predict(images(expected))])
    top = np.sort(expected["probabilities"], axis=1)
    sure = top[:, -1] - top[:, -2] > 0.5
    assert sure.sum() > 20
    np.testing.assert_array_equal(told[sure], expected["probabilities"].argmax(1)[sure])


def test_on_the_command_line(expected, tmp_path, capsys):
    Image.fromarray(expected["pictures"][0]).save(tmp_path / "digit.png")
    command = [str(MODEL), "--input", str(tmp_path / "digit.png"), "--json"]
    assert main(["predict", *command, "--custom", str(FOLDER / "grid_sampler.py")]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["classLabel"] == expected["probabilities"][0].argmax()
    assert main(["predict", *command]) == 4
    assert "class GridSampler:" in capsys.readouterr().err


def test_the_files_are_small():
    assert MODEL.stat().st_size < 200_000
    assert (FOLDER / "looks.png").stat().st_size < 100_000


def test_the_page_counts_right_and_has_its_picture(sampler, expected):
    """Of the eight pictures that are shown, as many are read wrong as the page says; digit.png is the first."""
    model = load(sampler)
    predicted = [output["classLabel"] for output in model.predict(images(expected)[:8])]
    wrong = sum(label != truth for label, truth in zip(predicted, expected["labels"][:8].tolist(), strict=True))
    said = ["None", "One", "Two", "Three"].index(re.search(r"(\w+) of the eight\s+predictions", PAGE)[1])
    assert said == wrong
    with Image.open(FOLDER / "digit.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected["pictures"][0])
