"""Stores the spatial transformer's weights in fewer bits and counts what it still reads.

    pip install -e ".[train]"
    python examples/spatial_transformer/quantize.py

On the 360 held-out pictures, which the training script draws anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import train
from PIL import Image

import refcoreml

MODEL = Path(__file__).resolve().parent / "spatial_transformer.mlmodel"


def main() -> None:
    """Quantizes, predicts, counts."""
    pictures, labels = train.held_out()
    inputs = [{"image": Image.fromarray(picture[0].numpy().astype(np.uint8))} for picture in pictures]
    whole = refcoreml.load(MODEL)
    versions = [("float32", "", whole)]
    for mode in ("linear", "kmeans"):
        versions += [(f"{bits} bits", mode, refcoreml.quantize_weights(whole, bits, mode)) for bits in (8, 4, 2)]
    for bits, mode, model in versions:
        outputs = model.predict(inputs)
        right = sum(output["classLabel"] == label for output, label in zip(outputs, labels.tolist(), strict=True))
        size = len(model.spec.SerializeToString())
        print(
            f"{bits:<8} {mode:<8} {size:>8,} bytes  {right} of {len(outputs)}, {right / len(outputs):.1%}", flush=True
        )


if __name__ == "__main__":
    main()
