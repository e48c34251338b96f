"""What the scripts share that train networks on scikit-learn's digits: the data, the model's words, and what of the
differences between PyTorch and refcoreml rounding explains.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import refcoreml
from refcoreml.spec import schema

SPLIT_SEED = 0
HELD_OUT = 360  # 20 %, in every class; the same people wrote both parts

#: One gray level, as Core ML's preprocessing stores it.
SCALE = float(np.float32(1 / 255))


def digits_split() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Count [N, 8, 8] for training and for the test, then the labels of both."""
    data = load_digits()
    counts, labels = data.images.astype(np.uint8), data.target
    parts = train_test_split(counts, labels, test_size=HELD_OUT, stratify=labels, random_state=SPLIT_SEED)
    return parts[0], parts[1], parts[2], parts[3]


def parameter(values: Tensor | None) -> NDArray[Any]:
    """Return the values of a parameter that the layer is known to have."""
    assert values is not None
    return np.asarray(values.detach().numpy())


def describe(description: schema.ModelDescription, image: str, summary: str) -> None:
    """Fill in what a reader of the model file wants to know."""
    about = {
        "image": image,
        "probabilities": "How likely each digit is",
        "classLabel": "The most likely digit",
    }
    for feature in [*description.input, *description.output]:
        feature.shortDescription = about[feature.name]
    metadata = description.metadata
    metadata.shortDescription = summary
    metadata.versionString = "1"
    metadata.author = "The refcoreml project"
    metadata.license = (
        "BSD-3-Clause. Trained on Optical Recognition of Handwritten Digits by E. Alpaydin and C. Kaynak (1998), "
        "UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, CC BY 4.0"
    )


def carried(layers: nn.Sequential, x: Tensor, error: Tensor, roundoff: float) -> tuple[Tensor, Tensor]:
    """Return what layers make of numbers and of their errors."""
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            terms = layer.weight[0].numel() + 1
            positive = copy.deepcopy(layer)
            for values in positive.parameters():
                values.abs_()
            made = positive(x.abs() + 2 * error) * (terms * roundoff / (1 - terms * roundoff))
            parameter(positive.bias)[:] = 0
            error = positive(error) + made
        elif not isinstance(layer, nn.ReLU):
            error = layer(error)
        x = layer(x)
    return x, error


def softmax_error(logits: Tensor, error: Tensor, roundoff: float) -> Tensor:
    """Return how far the softmax of logits that have an error is off.

    An error d of the logits is a factor of exp(2 d), to which the subtraction of the maximum, two exponentials (4 units
    in the last place each), the sum of ten and the division add theirs.
    """
    spread = (logits.amax(1) - logits.amin(1))[:, None]
    exponent = 2 * (error.amax(1, keepdim=True) + roundoff * spread) + 27 * roundoff
    return 2 * logits.softmax(1) * exponent.expm1()


def compare(
    model: Path,
    pictures: Sequence[Image.Image],
    probabilities: Callable[[torch.dtype], NDArray[Any]],
    bound: Callable[[float], NDArray[Any]],
) -> None:
    """Compare refcoreml's probabilities with PyTorch's, in single and in double precision.

    Args:
        model: the file.
        pictures: its inputs.
        probabilities: PyTorch's, in a type.
        bound: how far two computations with a unit roundoff may differ.
    """
    inputs = [{"image": picture} for picture in pictures]
    for precision, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        outputs = refcoreml.load(model, precision=precision).predict(inputs)
        ours = np.array([[output["probabilities"][digit] for digit in range(10)] for output in outputs])
        theirs, allowed = probabilities(dtype), bound(torch.finfo(dtype).eps / 2)
        difference = np.abs(ours - theirs)
        assert (difference <= allowed).all(), f"{precision}: off by {(difference / allowed).max():.2g} times the bound"
        assert (ours.argmax(1) == theirs.argmax(1)).all(), f"{precision}: the labels differ"
        most = min(allowed.max(), 1)
        print(f"{precision}: off PyTorch by at most {difference.max():.1e}, allowed {most:.1e}; same labels")
