"""Resizing layers."""

from __future__ import annotations

from refcoreml import ops
from refcoreml.kernels.resize import Sampling
from refcoreml.neuralnetwork.layers._checks import enum_name, of_images
from refcoreml.neuralnetwork.registry import Node, layer
from refcoreml.ops.base import Adapted, Results, Types, require
from refcoreml.spec import schema
from refcoreml.types import Array, TensorType

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
def upsample(node: Node) -> ops.Op:
    """y[i, j] = x read at (i, j) divided by the scaling factors: the nearest pixel before it, or bilinearly.

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
    if fractional:
        return of_images(ops.UpsampleBilinear((fractional[0], fractional[1]), sampling))
    scale = int(factors[0]) or 1, int(factors[1]) or 1
    return of_images(ops.UpsampleNearest(scale) if nearest else ops.UpsampleBilinear(scale, sampling))


@layer("resizeBilinear")
def resize_bilinear(node: Node) -> ops.Op:
    """y[i, j] = x read bilinearly at the positions that `refcoreml.kernels.resize.Sampling` gives, H x W pixels in all.

    Input: x [*, H, W], rank 3 or more. Output: [*, H', W'] with ``targetSize`` (H', W'), default (1, 1), 0 is 1.
    Fields: ``mode``: STRICT_ALIGN_ENDPOINTS_MODE (TensorFlow 1 with align_corners), ALIGN_ENDPOINTS_MODE,
    UPSAMPLE_MODE (TensorFlow 1 without), ROI_ALIGN_MODE.
    Errors: a number of sizes other than 0 and 2; an unknown mode.
    Source: ``ResizeBilinearLayerParams``.
    """
    return of_images(ops.ResizeBilinear(_target_size(node), _sampling(node)))


@layer("cropResize", inputs=2)
def crop_resize(node: Node) -> ops.Op:
    """y[n] = box n of the image, read bilinearly at H' x W' positions.

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
    centers, width_first = _COORDINATES[params.boxIndicesMode.boxMode]
    return _CropResize(
        ops.CropResize(
            _target_size(node),
            _sampling(node),
            centers,
            width_first,
            params.normalizedCoordinates,
            params.spatialScale or 1.0,
        )
    )


class _CropResize(Adapted):
    """Takes images [1, B, C, H, W] and boxes [N, 1, 4 or 5, 1, 1]."""

    def infer(self, *inputs: TensorType) -> Types | None:
        x, boxes = inputs
        require(x.rank == 5 and x.shape[0] == 1, f"expected images [1, B, C, H, W], got {x.shape}")
        require(
            boxes.rank == 5 and boxes.shape[1:] in ((1, 4, 1, 1), (1, 5, 1, 1)),
            f"expected boxes [N, 1, 4, 1, 1] or [N, 1, 5, 1, 1], got {boxes.shape}",
        )
        return self.op.infer(x.with_shape(x.shape[1:]), boxes.with_shape((boxes.shape[0], boxes.shape[2])))

    def run(self, *inputs: Array) -> Results:
        x, boxes = inputs
        return self.op.run(x[0], boxes.reshape(len(boxes), -1))
