"""The custom layer of the spatial transformer: samples a picture through a grid, in NumPy.

refcoreml predict spatial_transformer.mlmodel --input digit.png --custom grid_sampler.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import refcoreml


def grid_sample(image: NDArray[Any], grid: NDArray[Any], align_corners: bool = False) -> NDArray[Any]:
    """Bilinear samples of an image; outside of it, everything is 0.

    Args:
        image: [N, C, H, W].
        grid: where to sample, [N, H', W', 2]: x and y, -1 and 1 being the borders of the image.
        align_corners: whether the borders run through the middle of the outermost pixels; otherwise around them.

    Returns:
        [N, C, H', W'], in the type of the image. The same as torch.nn.functional.grid_sample by default.
    """
    count, channels, height, width = image.shape
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1))).reshape(count, channels, -1)
    (x, x_part), (y, y_part) = (
        _places(grid[..., axis].reshape(count, 1, -1), size, align_corners) for axis, size in ((0, width), (1, height))
    )
    corner = y * (width + 2) + x
    top, top_right, bottom, bottom_right = (
        np.take_along_axis(padded, corner + offset, axis=2) for offset in (0, 1, width + 2, width + 3)
    )
    upper = top + x_part * (top_right - top)
    lower = bottom + x_part * (bottom_right - bottom)
    return (upper + y_part * (lower - upper)).reshape(count, channels, *grid.shape[1:3])


def _places(where: NDArray[Any], size: int, align_corners: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pixels of the padded image, each with the way to the next one, 0 to 1."""
    places = (where + 1) / 2 * (size - 1) if align_corners else ((where + 1) * size - 1) / 2
    places = np.clip(places + 1, 0, size + 1)  # what lies farther outside is as empty as the border
    first = np.minimum(places.astype(np.intp), size)
    return first, (places - first).astype(where.dtype)


@refcoreml.custom_layer("GridSampler")
class GridSampler:
    """Inputs: image [N, C, H, W] and grid [N, H', W', 2]. Output: [N, C, H', W']. Parameter: ``align_corners``."""

    thread_safe = True

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.align_corners = parameters.get("align_corners", False)

    def output_shapes(self, input_shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """As many channels as the image, as many pixels as the grid."""
        image, grid = input_shapes
        return [(*image[:2], *grid[1:3])]

    def evaluate(self, inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Samples."""
        image, grid = inputs
        return [grid_sample(image, grid, self.align_corners)]
