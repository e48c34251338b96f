"""Resizing layers: adapters over `refcoreml.kernels.resize`."""

from __future__ import annotations

import numpy as np

from refcoreml.errors import InputError
from refcoreml.kernels import resize as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.kernels.resize import Sampling
from refcoreml.neuralnetwork.layers.elementwise import enum_name
from refcoreml.neuralnetwork.registry import Node, Op, layer
from refcoreml.spec import schema

_METHODS = {
    schema.SamplingMode.STRICT_ALIGN_ENDPOINTS_MODE: Sampling.STRICT_ALIGN_ENDPOINTS,
    schema.SamplingMode.ALIGN_ENDPOINTS_MODE: Sampling.ALIGN_ENDPOINTS,
    schema.SamplingMode.UPSAMPLE_MODE: Sampling.UPSAMPLE,
    schema.SamplingMode.ROI_ALIGN_MODE: Sampling.ROI_ALIGN,
}
_LINEAR_MODES = {
    "DEFAULT": Sampling.UPSAMPLE,
    "ALIGN_CORNERS_TRUE": Sampling.STRICT_ALIGN_ENDPOINTS,
    "ALIGN_CORNERS_FALSE": Sampling.HALF_PIXEL,
}
#: (given by center and size, width first)
_COORDINATES = {
    schema.BoxCoordinatesMode.CORNERS_HEIGHT_FIRST: (False, False),
    schema.BoxCoordinatesMode.CORNERS_WIDTH_FIRST: (False, True),
    schema.BoxCoordinatesMode.CENTER_SIZE_HEIGHT_FIRST: (True, False),
    schema.BoxCoordinatesMode.CENTER_SIZE_WIDTH_FIRST: (True, True),
}


def _sampling(node: Node) -> Sampling:
    return _METHODS[node.params.mode.samplingMethod]


def _target_size(node: Node) -> tuple[int, int]:
    size = tuple(node.params.targetSize) or (1, 1)
    node.require(len(size) == 2, f"targetSize has {len(size)} numbers, expected 2, for H and W")
    return size[0] or 1, size[1] or 1


@layer("upsample")
def upsample(node: Node) -> Op:
    """Y[i, j] = x read at (i, j) divided by the scaling factors: the nearest pixel before it, or bilinearly.

    Input: x [*, H, W], rank 3 or more. Output: [*, H', W'] = [*, H * a, W * b] with ``scalingFactor`` (a, b), or
    [*, floor(H * a), floor(W * b)] with ``fractionalScalingFactor``; default (1, 1), and 0 is 1 in the first.
    Fields:
        ``mode`` NN: pixel floor(i / a). Whole factors only.
        ``mode`` BILINEAR with ``linearUpsampleMode``, for X pixels that become N, positions kept within 0 to X - 1:

        ===================  ===============================  ========================
        mode                 position of output i             1 2 3 becomes, for a = 3
        ===================  ===============================  ========================
        DEFAULT              i * X / N                        1 4/3 5/3 2 7/3 8/3 3 3 3
        ALIGN_CORNERS_TRUE   i * (X - 1) / (N - 1), 0 if N=1  1 5/4 6/4 7/4 2 9/4 ... 3
        ALIGN_CORNERS_FALSE  (i + 1 / 2) * X / N - 1 / 2      1 1 4/3 5/3 2 7/3 8/3 3 3
        ===================  ===============================  ========================

        Fractional factors need one of the last two; the ratio X / N is that of the whole sizes.
    Errors: both kinds of factors; a number of factors other than 0 and 2; fractional factors, or a
    ``linearUpsampleMode``, that do not go with the mode; factors that are not positive, or 2**31 and more.
    Chosen: H * a is computed in float32, the type of the field, so that 10 * 1.3 is 13 although the nearest float32 to
    1.3 is smaller than 1.3.
    Source: ``UpsampleLayerParams``.
    """
    params = node.params
    nearest = enum_name(node, "mode") == "NN"
    sampling = _LINEAR_MODES[enum_name(node, "linearUpsampleMode")]
    whole, fractional = tuple(params.scalingFactor), tuple(params.fractionalScalingFactor)
    node.require(not (whole and fractional), "has both scalingFactor and fractionalScalingFactor, expected one of them")
    factors = whole or fractional or (1, 1)
    node.require(len(factors) == 2, f"has {len(factors)} scaling factors, expected 2, for H and W")
    default = sampling is Sampling.UPSAMPLE
    node.require(
        not fractional or not (nearest or default),
        "fractionalScalingFactor needs the mode BILINEAR and the linearUpsampleMode ALIGN_CORNERS_TRUE or _FALSE",
    )
    node.require(default or not nearest, "linearUpsampleMode needs the mode BILINEAR")
    node.require(
        all(0 < factor < 2**31 for factor in fractional),
        f"fractionalScalingFactor is {fractional}, expected positive numbers below 2**31",
    )
    if not fractional:
        factors = factors[0] or 1, factors[1] or 1

    def size(x: Shape) -> tuple[int, int]:
        height, width = (
            int(np.float32(pixels) * np.float32(factor)) if fractional else pixels * int(factor)
            for pixels, factor in zip(x[-2:], factors, strict=True)
        )
        return height, width

    def shape(x: Shape) -> Shape:
        node.require(len(x) >= 3, f"expected an input [*, C, H, W], came {x}")
        return *x[:-2], *size(x)

    if nearest:
        return Op(lambda x: kernels.upsample_nearest(x, factors), shape, fresh=True)
    return Op(lambda x: kernels.resize_bilinear(x, size(x.shape), sampling), shape, fresh=True)


@layer("resizeBilinear")
def resize_bilinear(node: Node) -> Op:
    """Y[i, j] = x read bilinearly at the positions that `refcoreml.kernels.resize.Sampling` gives, H x W pixels in all.

    Input: x [*, H, W], rank 3 or more. Output: [*, H', W'] with ``targetSize`` (H', W'), default (1, 1), 0 is 1.
    Fields: ``mode``: STRICT_ALIGN_ENDPOINTS_MODE (TensorFlow 1 with align_corners), ALIGN_ENDPOINTS_MODE,
    UPSAMPLE_MODE (TensorFlow 1 without), ROI_ALIGN_MODE.
    Errors: a number of sizes other than 0 and 2; an unknown mode.
    Source: ``ResizeBilinearLayerParams``.
    """
    size = _target_size(node)
    sampling = _sampling(node)

    def shape(x: Shape) -> Shape:
        node.require(len(x) >= 3, f"expected an input [*, C, H, W], came {x}")
        return *x[:-2], *size

    return Op(lambda x: kernels.resize_bilinear(x, size, sampling), shape, fresh=True)


@layer("cropResize", inputs=2)
def crop_resize(node: Node) -> Op:
    """Y[n] = box n of the image, read bilinearly at H' x W' positions.

    Inputs: x [1, B, C, H, W]; boxes [N, 1, 4, 1, 1], each taken out of all B images, or [N, 1, 5, 1, 1], whose first
    number says which image, 0 to B - 1.
    Output: [N, B, C, H', W'] or, with five numbers, [N, 1, C, H', W']; ``targetSize`` (H', W'), default (1, 1), 0 is 1.
    Fields:
        ``boxIndicesMode``: corners (top, left, bottom, right), or center and size (center - size / 2 to
        center + size / 2); height or width first.
        ``normalizedCoordinates``: coordinates are multiplied by H - 1 and W - 1; otherwise they are pixels.
        ``spatialScale``: multiplies all coordinates; 0 is 1.
        ``mode``: positions within the box, see `refcoreml.kernels.resize.Sampling`. Both corners belong to the box.
    Errors: shapes other than these; an unknown mode; at run time a number of an image that does not exist.
    Chosen: what lies outside of the image is read at its edge. A box that ends before it begins is mirrored, in all
    modes (Apple tests this in one). The size of a box is the distance of its corners. Coordinates are computed in
    float64, so that the boxes are as good as their numbers in every arithmetic; corners that are not finite give NaN.
    Source: ``CropResizeLayerParams``.
    """
    params = node.params
    size = _target_size(node)
    sampling = _sampling(node)
    centers, width_first = _COORDINATES[params.boxIndicesMode.boxMode]
    scale = params.spatialScale or 1.0

    def shape(x: Shape, boxes: Shape) -> Shape:
        node.require(len(x) == 5 and x[0] == 1, f"expected images [1, B, C, H, W], came {x}")
        node.require(
            len(boxes) == 5 and boxes[1:] in ((1, 4, 1, 1), (1, 5, 1, 1)),
            f"expected boxes [N, 1, 4, 1, 1] or [N, 1, 5, 1, 1], came {boxes}",
        )
        return boxes[0], x[1] if boxes[2] == 4 else 1, x[2], *size

    def run(x: Array, boxes: Array) -> Array:
        x, boxes = x[0], boxes.reshape(len(boxes), -1)
        images = None
        if boxes.shape[1] == 5:
            numbers, boxes = boxes[:, 0], boxes[:, 1:]
            wrong = ~np.isin(numbers, np.arange(len(x)))
            if wrong.any():
                raise InputError(
                    f"box {wrong.argmax()} is to be taken out of image {numbers[wrong][0]}, expected 0 to {len(x) - 1}",
                    where=node.where,
                )
            images = numbers.astype(np.int64)
        corners = scale * kernels.box_corners(boxes, centers=centers, width_first=width_first)
        if params.normalizedCoordinates:
            height, width = x.shape[-2:]
            corners *= (height - 1, width - 1, height - 1, width - 1)
        return kernels.crop_resize(x, corners, size, sampling, images)

    return Op(run, shape, fresh=True)
