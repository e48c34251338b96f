"""The whole cases: a segmentation network and a loop that completes sentences, converted and equal to torch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import refcoreml
from refcoreml.testing import assert_equivalent

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def script(name):
    pytest.importorskip("torch", reason="needs torch, of the extra oracles")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("coremltools", reason="needs coremltools, of the extra oracles")
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / name / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")
def test_a_segmentation_that_returns_a_dictionary_equals_torch():
    example = script("segmentation")
    network = example.train(2)
    picture, _ = example.scene(np.random.default_rng(5))
    plain = refcoreml.load(example.convert(network, fold=False), precision="float64")
    given = {"reference_inputs": [example.prepared(picture)], "widest": example.WIDEST}
    scores = example.Scores(network).eval()
    assert assert_equivalent(plain, scores, {"image": picture}, **given).double < example.WIDEST
    folded = refcoreml.load(example.convert(network), precision="float64")
    one, other = (model.predict({"image": picture})["scores"] for model in (folded, plain))
    # Each weight that holds a batch norm is off by up to 8 roundings to single precision, in each of 7 layers.
    np.testing.assert_allclose(one, other, rtol=0, atol=7 * 8 * 2.0**-24 * np.abs(other).max())


@pytest.mark.filterwarnings("ignore")
def test_a_loop_of_words_equals_torch_word_by_word():
    torch = pytest.importorskip("torch", reason="needs torch, of the extra oracles")
    example = script("completion")
    network = example.train(150)
    spec = example.convert(network)
    assert "loop" in {layer.WhichOneof("layer") for layer in spec.neuralNetwork.layers}
    reference = example.Completion(example.Step(network)).eval().requires_grad_(False)
    for start in ("the cat", "rain"):
        tokens = example.padded(example.encode(start))
        completed = refcoreml.load(spec).predict({"tokens": tokens})["completed"]
        np.testing.assert_array_equal(completed, reference(torch.from_numpy(tokens))[0].numpy())
        assert assert_equivalent(spec, reference, {"tokens": tokens}).double < 1e-2


def test_the_committed_model_completes_a_sentence():
    command = [sys.executable, EXAMPLES / "completion" / "complete.py", EXAMPLES / "completion" / "completion.mlmodel"]
    found = subprocess.run([*command, "a", "bird", "sings"], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "a bird sings in the old tree ."
    refused = subprocess.run([*command, "spaceship"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "the model knows these words only" in refused.stderr
