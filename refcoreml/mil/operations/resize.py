"""Images resized, cut out, and read at other places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from refcoreml import ops
from refcoreml.kernels.resize import Sampling
from refcoreml.kernels.sampling import Coordinates, Padding
from refcoreml.mil.domains import FLOATS, NUMBERS, SMALL, expect, parameter
from refcoreml.mil.node import Call, Node
from refcoreml.mil.registry import operation
from refcoreml.ops.base import Adapted, Op, Results, Types, require
from refcoreml.types import Array, TensorType

#: The positions that a mode reads, see `Sampling`.
_SAMPLING: Mapping[str, Sampling] = {
    "default": Sampling.UPSAMPLE,
    "strict_align_corners": Sampling.STRICT_ALIGN_ENDPOINTS,
    "align_corners": Sampling.ALIGN_ENDPOINTS,
    "offset_corners": Sampling.ROI_ALIGN,
    "unalign_corners": Sampling.HALF_PIXEL,
}


def _images(node: Node, op: Op) -> Op:
    """Return an operation on x [*D, H, W], rank 3 or more, of floats."""
    expect(node, FLOATS, "x")
    shape = node.tensor("x").shape
    node.require(shape is None or len(shape) >= 3, f"x is of type {node.tensor('x')}, expected rank 3 or more")
    return op


# ---- Upsampling ----


def _factors(node: Node) -> tuple[int, int] | tuple[float, float]:
    """Return ``scale_factor_height`` and ``scale_factor_width``, integers or fp32, by default 1."""
    names = ("scale_factor_height", "scale_factor_width")
    for name in filter(node.has, names):
        expect(node, ("int32", "fp32"), name)
    if all(not node.has(name) or node.element(name).kind == "i" for name in names):
        return node.integer(names[0], 1), node.integer(names[1], 1)
    return float(node.number(names[0], 1.0)), float(node.number(names[1], 1.0))


@operation("upsample_nearest_neighbor", "x")
def upsample_nearest_neighbor(node: Node) -> Op:
    """y[..., i, j] = x[..., floor(i * H / H'), floor(j * W / W')].

    x [*D, H, W]: fp16 or fp32. y [*D, H', W'], H' = floor(H * ``scale_factor_height``), W' likewise; the products of
    factors that are fp32 are computed in fp32.

    The ratio H / H' is what positions follow, not the factor: 3 columns times 1.12 stay what they are (Apple's test).
    """
    return _images(node, ops.UpsampleNearest(_factors(node)))


@operation("upsample_bilinear", "x")
def upsample_bilinear(node: Node) -> Op:
    """y[..., i, j] = x read bilinearly at the positions p_i along H, q_j along W.

    x [*D, H, W]: fp16 or fp32. y [*D, H', W'], H' and W' as of `upsample_nearest_neighbor`.

    With ``align_corners`` (default true) p_i = i * (H - 1) / (H' - 1), 0 for H' = 1; without, p_i = (i + 1/2) * H / H'
    - 1/2, at least 0 and at most H - 1.
    """
    aligned = node.flag("align_corners", True)
    return _images(
        node,
        ops.UpsampleBilinear(_factors(node), Sampling.STRICT_ALIGN_ENDPOINTS if aligned else Sampling.HALF_PIXEL),
    )


@operation("upsample_bilinear", "x", since="CoreML6")
def upsample_bilinear_half_pixel(node: Node) -> Op:
    """As in CoreML5, with ``half_pixel_centers``, by default true where ``align_corners`` (default true) is false.

    With neither, p_i = i * H / H', at most H - 1. Both are an error.
    """
    aligned = node.flag("align_corners", True)
    centered = node.flag("half_pixel_centers", not aligned)
    node.require(not (aligned and centered), "'align_corners' and 'half_pixel_centers' are both true")
    unaligned = Sampling.HALF_PIXEL if centered else Sampling.UPSAMPLE
    sampling = Sampling.STRICT_ALIGN_ENDPOINTS if aligned else unaligned
    return _images(node, ops.UpsampleBilinear(_factors(node), sampling))


# ---- Resizing ----


@operation("resize_bilinear", "x")
def resize_bilinear(node: Node) -> Op:
    """y[..., i, j] = x read bilinearly at the positions p_i along H, q_j along W.

    x [*D, H, W]: fp16 or fp32. y [*D, H', W'], H' = ``target_size_height``, W' = ``target_size_width`` (default 1).

    p by ``sampling_mode``, at most H - 1, q likewise::

        DEFAULT (default)      i * H / H'
        STRICT_ALIGN_CORNERS   i * (H - 1) / (H' - 1), 0 for H' = 1
        ALIGN_CORNERS          the same, (H - 1) / 2 for H' = 1
        OFFSET_CORNERS         (i + 1/2) * max(1, H - 1) / H'
        UNALIGN_CORNERS        (i + 1/2) * H / H' - 1/2, at least 0
    """
    target = node.integer("target_size_height", 1), node.integer("target_size_width", 1)
    return _images(node, ops.ResizeBilinear(target, node.choice("sampling_mode", _SAMPLING, "default")))


@operation("resize_nearest_neighbor", "x")
def resize_nearest_neighbor(node: Node) -> Op:
    """y[..., i, j] = x[..., floor((i + 1/2) * H / H'), floor((j + 1/2) * W / W')].

    x [*D, H, W]: fp16 or fp32. y [*D, H', W'], H' = ``target_size_height``, W' = ``target_size_width``.

    The documentation does not say where pixels lie; Apple's tests of `resize` say so, and TensorFlow's half pixel
    centers are converted to this operation.
    """
    target = node.integer("target_size_height"), node.integer("target_size_width")
    node.require(min(target) >= 1, f"the target is {target}, expected numbers of at least 1")
    return _images(node, ops.Resize(target, 2, nearest=True))


@operation("resize", since="CoreML7")
def resize(node: Node) -> Call:
    """y = x read at other places along its last ``resized_dims`` axes, linearly or at the nearest element.

    x: fp16, fp32 or int32, of any rank; ``shape``: int32, int16, uint16 or uint32, computed or constant, at least
    resized_dims numbers and at most as many as x has axes, the last of which are the lengths of these axes; 0 stands
    for the length of x. y in the type of x.

    ``interpolation_mode``: ``LINEAR`` (default), at the positions of `resize_bilinear` by ``sampling_mode`` (default
    DEFAULT); or ``NEAREST_NEIGHBOR``: floor(p + 1/2), with the p of UNALIGN_CORNERS for DEFAULT too, as Apple's tests
    expect: [a, b] becomes [a, b, b] with three elements.

    Open: the nearest element in other modes. Chosen: the same rounding. Open: int32 read linearly. Chosen: computed
    exactly and rounded to the nearest, halves to even.
    """
    expect(node, NUMBERS, "x")
    expect(node, ("int32", "int16", "uint16", "uint32"), "shape")
    axes = node.integer("resized_dims")
    nearest = node.choice("interpolation_mode", {"linear": False, "nearest_neighbor": True}, "linear")
    sampling = node.choice("sampling_mode", _SAMPLING, "default")
    target = node.integers("shape") if node.is_constant("shape") else None
    return node.call(ops.Resize(target, axes, sampling, nearest), "x", *(() if target is not None else ("shape",)))


# ---- Boxes ----

#: Whether boxes are given by center and size, and whether the horizontal number of each pair comes first.
_BOXES = {
    "corners_height_first": (False, False),
    "corners_width_first": (False, True),
    "center_size_height_first": (True, False),
    "center_size_width_first": (True, True),
}


@dataclass(frozen=True)
class _Regions(Adapted):
    """Boxes that come as [N, 1, K, 1, 1]."""

    def infer(self, x: TensorType, boxes: TensorType) -> Types | None:  # type: ignore[override]
        fits = boxes.rank == 5 and boxes.shape[1:2] + boxes.shape[3:] == (1, 1, 1)
        require(fits, f"expected boxes [N, 1, 4 or 5, 1, 1], got {boxes.shape}")
        return self.op.infer(x, boxes.with_shape(boxes.shape[::2][:2]))

    def run(self, x: Array, boxes: Array) -> Results:  # type: ignore[override]
        return self.op.run(x, boxes.reshape(len(boxes), -1))


@dataclass(frozen=True)
class _OwnImages(Adapted):
    """Box n is taken out of image n."""

    def infer(self, x: TensorType, boxes: TensorType) -> Types | None:  # type: ignore[override]
        count = boxes.shape[:1]
        require(count <= x.shape[:1], f"{boxes.shape} boxes are taken out of an image each, but x {x.shape} has fewer")
        return self.op.infer(x, boxes, TensorType(np.dtype(np.int64), count))

    def run(self, x: Array, boxes: Array) -> Results:  # type: ignore[override]
        return self.op.run(x, boxes, np.arange(len(boxes)))


def _boxes(node: Node, outside: float | None) -> ops.CropResize:
    """Return the operation that reads boxes, with the parameters that `crop_resize` describes."""
    if node.has("spatial_scale"):
        expect(node, FLOATS, "spatial_scale")
    centers, width_first = node.choice("box_coordinate_mode", _BOXES, "corners_height_first")
    return ops.CropResize(
        (node.integer("target_height", 1), node.integer("target_width", 1)),
        node.choice("sampling_mode", _SAMPLING, "default"),
        centers,
        width_first,
        node.flag("normalized_coordinates", False),
        node.number("spatial_scale", 1.0),
        outside,
    )


@operation("crop_resize", "x", "roi")
def crop_resize(node: Node) -> Op:
    """y[n] = box n of the images, read bilinearly at ``target_height`` x ``target_width`` positions (default 1).

    x [B, C, H, W]: fp16 or fp32; roi: of the type of x, computed or constant, boxes [N, 1, 4, 1, 1], each taken out of
    all images, or [N, 1, 5, 1, 1], whose first number says which image. y [N, B, C, h, w], or [N, 1, C, h, w].

    Positions in a box follow ``sampling_mode`` as of `resize_bilinear` (default DEFAULT), with the distance from its
    first to its last pixel in place of H - 1. ``box_coordinate_mode``: CORNERS_HEIGHT_FIRST (default), [top, left,
    bottom, right], both corners included; CORNERS_WIDTH_FIRST, [left, top, right, bottom]; CENTER_SIZE_HEIGHT_FIRST,
    [vertical center, horizontal center, height, width]; CENTER_SIZE_WIDTH_FIRST. Coordinates are multiplied by
    ``spatial_scale`` (default 1), and if ``normalized_coordinates`` (default false) by H - 1 and W - 1.

    Open: positions outside of the image. Chosen: the nearest pixel of its edge.
    """
    expect(node, FLOATS, "x", "roi")
    return _Regions(_boxes(node, None))


@operation("crop_resize", "x", "roi", since="CoreML6")
def crop_resize_padded(node: Node) -> Op:
    """As in CoreML5, but positions outside of the image are ``pad_value`` (default 0), whichever pixels are near."""
    expect(node, FLOATS, "x", "roi")
    return _Regions(_boxes(node, parameter(node, "pad_value", 0.0)))


@operation("crop_resize", "x", "boxes", "box_indices?", since="CoreML7")
def crop_resize_of_boxes(node: Node) -> Op:
    """As in CoreML6, but with boxes and their images as inputs of their own.

    x [B, C, H, W]: fp16 or fp32; boxes [N, 4]: fp16, fp32 or uint16, which cannot be normalized; box_indices [N]: int32
    or uint16, of each box which image it is taken out of, by default 0, 1, ... y [N, C, h, w] in the type of x.
    """
    expect(node, FLOATS, "x")
    expect(node, (*FLOATS, "uint16"), "boxes")
    op = _boxes(node, parameter(node, "pad_value", 0.0))
    node.require(not op.normalized or node.element("boxes").kind == "f", "normalized boxes must be fp16 or fp32")
    if not node.has("box_indices"):
        return _OwnImages(op)
    expect(node, ("int32", "uint16"), "box_indices")
    return op


# ---- Other places ----

_COORDINATES = {
    "unnormalized": Coordinates.PIXELS,
    "normalized_zero_to_one": Coordinates.ZERO_TO_ONE,
    "normalized_minus_one_to_one": Coordinates.MINUS_ONE_TO_ONE,
}
_PADDING = {
    "constant": Padding.CONSTANT,
    "border": Padding.EDGE,
    "reflection": Padding.REFLECTION,
    "symmetric": Padding.SYMMETRIC,
}
#: By operation set the types of coordinates.
_PLACES = {
    "CoreML5": ("int32", "fp32"),
    "CoreML6": ("int32", *FLOATS),
    "CoreML7": ("int32", *SMALL, *FLOATS),
}


@operation("affine", "x", "transform_matrix")
def affine(node: Node) -> Op:
    """y[b, c, i, j] = x[b, c] read bilinearly at (a_0 s + a_1 t + a_2, a_3 s + a_4 t + a_5), a = transform_matrix[b].

    (s, t) is the place of column j and row i, and what is read a place in x, both from -1 to 1.

    x [B, C, H, W]: fp16 or fp32; transform_matrix [B, 6] or [1, 6]: of the type of x, computed or constant.
    y [B, C, h, w], h = ``output_height``, w = ``output_width``.

    With ``align_corners`` -1 and 1 are the centers of the pixels at the corners, else their outer edges. Each neighbour
    beyond the edges is ``padding_value``, as Apple's test expects. ``sampling_mode`` is bilinear, ``padding_mode``
    constant, ``coordinates_mode`` normalized_minus_one_to_one. All are required.

    The documentation describes other paddings than 0 and corners that are not aligned, and says that they are not
    supported; here they are. Open: the place of one column or row with aligned corners. Chosen: 0.
    """
    expect(node, FLOATS, "x", "transform_matrix")
    for name, only in (("sampling_mode", "bilinear"), ("padding_mode", "constant")):
        node.choice(name, {only: only})
    node.choice("coordinates_mode", {"normalized_minus_one_to_one": Coordinates.MINUS_ONE_TO_ONE})
    target = node.integer("output_height"), node.integer("output_width")
    return ops.WarpAffine(target, node.flag("align_corners"), parameter(node, "padding_value"))


@operation("resample", "x", "coordinates", since="CoreML7")
@operation("resample", "x", "coordinates", since="CoreML6")
@operation("resample", "x", "coordinates")
def resample(node: Node) -> Op:
    """y[b, c, i, j] = x[b, c] read at the place (column, row) that coordinates[b, i, j] name.

    x [B, C, H, W]: fp16 or fp32; coordinates [B, h, w, 2]: fp32 or int32, since CoreML6 fp16 as well, since CoreML7 8-
    and 16-bit integers as well; computed or constant. y [B, C, h, w] in the type of x.

    ``coordinates_mode``: ``unnormalized``, pixels; ``normalized_zero_to_one`` or ``normalized_minus_one_to_one``, where
    the ends are the centers of the first and last pixel with ``align_corners``, else their outer edges.
    ``padding_mode``: ``constant``, each neighbour beyond the edges is ``padding_value``; ``border``, the nearest pixel
    of the edge; ``reflection``, mirrored without repeating the edge; ``symmetric``, mirrored with it.
    ``sampling_mode``: ``bilinear`` or ``nearest``. All are required.

    Open: the nearest of two pixels, and whether the padding replaces neighbours or the whole sample, of which there are
    reports. Chosen: halves to even; neighbours, as Apple's tests expect.
    """
    expect(node, FLOATS, "x")
    expect(node, _PLACES[node.entry.since], "coordinates")
    return ops.Resample(
        node.choice("coordinates_mode", _COORDINATES),
        node.flag("align_corners"),
        node.choice("padding_mode", _PADDING),
        parameter(node, "padding_value"),
        node.choice("sampling_mode", {"bilinear": False, "nearest": True}),
    )
