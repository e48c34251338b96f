"""Draws what the spatial transformer does: the picture, where its sampler looks, what it sees, what it says.

python examples/spatial_transformer/picture.py          # writes looks.png and digit.png beside this script
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from grid_sampler import GridSampler
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import refcoreml

HERE = Path(__file__).resolve().parent
SHOWN, ZOOM, MARGIN = 8, 3, 8
RIGHT, WRONG, FRAME = (120, 220, 120), (255, 110, 110), (255, 200, 0)


def corners(grid: NDArray[Any], size: int) -> list[tuple[float, float]]:
    """Return the outermost places of the grid [H', W', 2], in pixels of the picture."""
    places = ((grid + 1) * size - 1) / 2
    return [(float(x), float(y)) for x, y in places[[0, 0, -1, -1], [0, -1, -1, 0]]]


def main() -> None:
    """Draws."""
    model = refcoreml.load(HERE / "spatial_transformer.mlmodel", custom_layers={"GridSampler": GridSampler})
    with np.load(HERE / "expected.npz") as archive:
        pictures, labels = archive["pictures"][:SHOWN], archive["labels"][:SHOWN]
    Image.fromarray(pictures[0]).save(HERE / "digit.png")
    side = pictures.shape[1] * ZOOM
    sheet = Image.new("RGB", (SHOWN * (side + MARGIN) + MARGIN, 2 * side + 3 * MARGIN + 14), (24, 24, 24))
    draw = ImageDraw.Draw(sheet)
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left = MARGIN + index * (side + MARGIN)
        image = Image.fromarray(picture)
        layers = {layer.name: layer for layer in model.trace({"image": image})}
        grid, seen = layers["look"].inputs["grid"][0], layers["look"].outputs["look"][0, 0]
        output = model.predict({"image": image})
        told = output["classLabel"]
        sheet.paste(image.resize((side, side), Image.Resampling.NEAREST), (left, MARGIN))
        frame = [(left + (x + 0.5) * ZOOM, MARGIN + (y + 0.5) * ZOOM) for x, y in corners(grid, picture.shape[1])]
        draw.line([*frame, frame[0]], fill=FRAME, width=2)
        draw.line(frame[:2], fill=WRONG, width=2)  # its upper edge
        look = Image.fromarray(np.rint(seen * 255).clip(0, 255).astype(np.uint8))
        sheet.paste(look.resize((side, side), Image.Resampling.NEAREST), (left, 2 * MARGIN + side))
        draw.rectangle((left - 1, 2 * MARGIN + side - 1, left + side, 2 * MARGIN + 2 * side), outline=FRAME)
        text = f"{told}  {output['probabilities'][told]:.0%}" + ("" if told == label else f"  (is {label})")
        draw.text((left, 2 * side + 3 * MARGIN), text, fill=RIGHT if told == label else WRONG)
    sheet.save(HERE / "looks.png", optimize=True)
    print(f"wrote {HERE / 'looks.png'}, {(HERE / 'looks.png').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
