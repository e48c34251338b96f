"""A small classifier of handwritten digits, samples for it, and the digits that its training never saw.

The digits come from scikit-learn's copy of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak
(UCI Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49, CC BY 4.0): 8 x 8 counts of ink from 0 to 16,
each of a 4 x 4 block of a bitmap of 32 x 32. The model takes 32 x 32 again, see `digit_image`. All files of this folder
were made by ``examples/digits/train.py``; the model tells 360 of its 360 held-out digits right.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from refcoreml.storage.arrays import read_npz
from refcoreml.storage.reading import open_file, read_text

__all__ = ["digit_image", "digits_model_path", "held_out", "samples"]

#: Width and height of the model's input.
IMAGE_SIZE = 32
#: The largest count of ink, which becomes white.
_MOST_INK = 16

_FOLDER = Path(__file__).parent


def digits_model_path() -> Path:
    """Return the model: from ``image`` (32 x 32, gray, light ink on black) to ``classLabel`` and ``probabilities``."""
    return _FOLDER / "digits.mlmodel"


def samples() -> list[tuple[Image.Image, int]]:
    """Return one digit of each class and the two hardest ones, all from the held-out part, with their labels."""
    return [
        (_opened(_FOLDER / "samples" / entry["file"]), entry["label"])
        for entry in json.loads(read_text(_FOLDER / "samples.json"))
    ]


def held_out() -> tuple[list[Image.Image], list[int]]:
    """Return the 360 digits that training never saw, ready for the model, and their labels."""
    data = read_npz(_FOLDER / "held_out.npz")
    return [digit_image(counts) for counts in data["counts"]], data["labels"].tolist()


def digit_image(counts: ArrayLike) -> Image.Image:
    """Return the image that the model takes for a digit of the data set.

    Grays are round(counts * 255 / 16), ink is light; then bicubic interpolation from 8 x 8 to 32 x 32.

    Args:
        counts: [8, 8], from 0 (paper) to 16 (ink).
    """
    grays: NDArray[Any] = np.rint(np.asarray(counts) * (255 / _MOST_INK)).astype(np.uint8)
    return Image.fromarray(grays).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)


def _opened(path: Path) -> Image.Image:
    with open_file(path) as stream, Image.open(stream) as image:
        image.load()
        return image
