"""Images: pictures of the declared colours and size, and how any picture becomes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from refcoreml import values as given
from refcoreml.errors import InvalidModelError, RefCoreMLError, UsageError
from refcoreml.features.base import Feature
from refcoreml.features.numbers import convert, to_bytes, to_floats
from refcoreml.features.shapes import Shapes, checked_shapes, size_range, times
from refcoreml.spec import schema
from refcoreml.types import Shape

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ImageFeature", "Resize", "prepare_image"]

_COLORS = {
    schema.ImageFeatureType.RGB: "RGB",
    schema.ImageFeatureType.BGR: "BGR",
    schema.ImageFeatureType.GRAYSCALE: "Grayscale",
    schema.ImageFeatureType.GRAYSCALE_FLOAT16: "Grayscale Float16",
}
#: The modes of PIL.
_MODES = {"RGB": "RGB", "BGR": "RGB", "Grayscale": "L", "Grayscale Float16": "F"}

Resize = Literal["fill", "fit", "crop"]


@dataclass(frozen=True)
class ImageFeature(Feature, member="imageType"):
    """A picture: a PIL image in Python. Evaluators compute on [C, H, W] with channels in the declared order."""

    kind = "image"
    noun = "Image"

    @staticmethod
    def read_type(message: schema.FeatureType, where: str) -> tuple[str, Shapes]:
        return _image_type(message.imageType, where)

    @property
    def mode(self) -> str:
        """The mode of PIL: ``RGB``, ``L`` or ``F``."""
        return _MODES[self.element]

    @property
    def channels(self) -> int:
        """The channels of an image: 3 or 1."""
        return 3 if self.mode == "RGB" else 1

    @property
    def half(self) -> bool:
        return self.mode == "F"

    @property
    def default_shape(self) -> Shape | None:
        size = self.shapes.default
        return self._limited(None if size is None else (self.channels, size[1], size[0]))

    def size_of(self, checked: Any) -> Shape:
        _, height, width = checked.shape
        return width, height

    # --- what goes in --------------------------------------------------------------------------------------------

    def check(self, value: Any, *, legacy_ranks: bool = False) -> NDArray[np.float32]:
        pixels = self._pixels(value)
        if self.mode == "F":
            return np.ascontiguousarray(convert(pixels, np.float16, self.refuse)[None], np.float32)
        planes = pixels.transpose(2, 0, 1) if self.mode == "RGB" else pixels[None]
        return np.ascontiguousarray(planes[::-1] if self.element == "BGR" else planes, np.float32)

    def _pixels(self, value: Any) -> NDArray[Any]:
        from PIL import Image

        if given.is_a(value, Image.Image):
            if value.mode != self.mode:
                advice = f"Convert it: image.convert({self.mode!r}), or refcoreml.features.prepare_image"
                raise self.refuse(f"got a PIL image of mode {value.mode!r}, expected {self.mode!r}", advice)
            self._check_size(value.width, value.height)
            return given.pixels(value, self.refuse)
        if given.is_a(value, (str, bytes)) or hasattr(type(value), "__fspath__"):
            raise self.refuse(f"got {given.shown(value)}, expected an image", "Open the file: PIL.Image.open(path)")
        pixels = given.array(value, self.refuse)
        kind, shape = "floats" if self.mode == "F" else "uint8", "[H, W, 3]" if self.mode == "RGB" else "[H, W]"
        rank_fits = pixels.ndim == 3 and pixels.shape[2] == 3 if self.mode == "RGB" else pixels.ndim == 2
        type_fits = pixels.dtype.kind == "f" if self.mode == "F" else pixels.dtype == np.uint8
        if not (rank_fits and type_fits):
            wanted = f"a PIL image of mode {self.mode!r} or an array of {kind} and shape {shape}"
            raise self.refuse(f"got {given.shown(pixels)}, expected {wanted}")
        self._check_size(pixels.shape[1], pixels.shape[0])
        return pixels

    def _check_size(self, width: int, height: int) -> None:
        problem = self.shapes.problem((width, height), "Image size (width x height)")
        if problem:
            axes = "Dimension 0 is the width, 1 the height. " if self.shapes.ranges else ""
            raise self.refuse(f"got {width} x {height} (width x height): {problem}", f"{axes}Resize the image")

    def check_returned(self, value: Any) -> NDArray[np.float32]:
        from PIL import Image

        if given.is_a(value, Image.Image) and value.mode == "RGBA":
            try:
                value = value.convert("RGB")
            except Exception as error:  # Pillow's decoders raise all sorts of things on damaged files
                raise self.refuse(f"the image cannot be decoded: {given.reason(error)}") from error
        return self.check(value)

    def converted(self, value: Any) -> NDArray[np.float32]:
        return self.check_returned(value)

    def prepared(self, image: Any, resize: Resize | None = None) -> Image.Image:
        """Return the image in the mode, and if wished in the size, of this feature; see `prepare_image`."""
        from PIL import Image, ImageOps

        if resize is not None:
            given.choice(resize, ("fill", "fit", "crop"), given.argument("resize"))
        if not given.is_a(image, Image.Image):
            raise self.refuse(f"got {given.shown(image)}, expected a PIL image")
        given.decode(image, self.refuse)
        try:
            picture = self._in_mode(ImageOps.exif_transpose(image))
        except RefCoreMLError:
            raise
        except Exception as error:  # Pillow's decoders raise all sorts of things on damaged files
            raise self.refuse(f"an image of mode {image.mode!r} cannot be read: {given.reason(error)}") from error
        shape = self.default_shape
        if resize is None or shape is None or not self.shapes.problem(picture.size):
            return picture
        return _in_size(picture, (shape[2], shape[1]), resize)

    def _in_mode(self, image: Image.Image) -> Image.Image:
        from PIL import Image

        mode = self.mode
        if image.mode == mode:
            return image
        if image.mode == "I" or image.mode.startswith("I;16"):
            values = np.asarray(image)
            if values.size and (values.min() < 0 or values.max() > 0xFFFF):
                raise self.refuse(f"the image of mode {image.mode!r} holds values beyond 16 bits")
            image = Image.fromarray(values.astype(np.float32) / np.float32(257))
        if image.mode == "F":
            if mode == "F":
                return image
            image = Image.fromarray(to_bytes(np.asarray(image), f"input {self.name!r}"))
        if image.mode in ("P", "PA") or image.mode.endswith("a"):
            # Without this step Pillow warns about transparent palettes, and cannot leave premultiplied alpha at all.
            image = image.convert("LA" if image.mode == "La" else "RGBA")
        return image.convert(mode) if mode != "F" else image.convert("L").convert("F")

    # --- what comes out ------------------------------------------------------------------------------------------

    def _finished(self, value: Any) -> Image.Image:
        from PIL import Image

        planes = np.asarray(value)
        if planes.ndim != 3 or planes.shape[0] != self.channels:
            expected = f"{self.channels} x height x width"
            raise self._misfit(f"the model computes ({times(planes.shape)}), expected {expected}")
        height, width = planes.shape[1:]
        problem = self.shapes.problem((width, height), "Image size (width x height)")
        if problem:
            raise self._misfit(f"the model computes {width} x {height} (width x height): {problem}")
        if self.mode == "F":
            return Image.fromarray(to_floats(planes[0], np.float16, self._output).astype(np.float32))
        pixels = to_bytes(planes, self._output)
        if self.channels == 1:
            return Image.fromarray(np.ascontiguousarray(pixels[0]))
        colors = pixels[::-1] if self.element == "BGR" else pixels
        opaque = np.full((1, *pixels.shape[1:]), 255, np.uint8)
        return Image.fromarray(np.ascontiguousarray(np.concatenate([colors, opaque]).transpose(1, 2, 0)))

    def as_passed(self, value: Any) -> Image.Image:
        image: Image.Image = self.finish(value)
        return image.convert("RGB") if self.channels == 3 else image

    @property
    def cut(self) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
        return None if self.half else _to_pixels


def _to_pixels(values: NDArray[Any]) -> NDArray[Any]:
    rounded: NDArray[Any] = np.rint(np.clip(values, 0, 255))
    return rounded


def _image_type(message: schema.ImageFeatureType, where: str) -> tuple[str, Shapes]:
    if message.colorSpace not in _COLORS:
        raise InvalidModelError("the image has no color space, or an unknown one", where=where)
    element = _COLORS[message.colorSpace]
    default = (message.width, message.height) if message.width > 0 and message.height > 0 else None
    flexibility = message.WhichOneof("SizeFlexibility")
    if flexibility == "enumeratedSizes":
        listed = tuple((item.width, item.height) for item in message.enumeratedSizes.sizes)
        if not listed:
            raise InvalidModelError("the enumerated image sizes are missing", where=where)
        return element, checked_shapes(Shapes(default or listed[0], listed), where)
    if flexibility == "imageSizeRange":
        bounds = message.imageSizeRange
        ranges = tuple(size_range(item, where) for item in (bounds.widthRange, bounds.heightRange))
        default = default or (max(ranges[0][0], 1), max(ranges[1][0], 1))
        return element, checked_shapes(Shapes(default, ranges=ranges), where)
    if default is None:
        raise InvalidModelError(f"image size {message.width} x {message.height} is not positive", where=where)
    return element, Shapes(default)


def prepare_image(image: Image.Image, feature: Feature, resize: Resize | None = None) -> Image.Image:
    """Return the image in the mode, and if requested in the size, of an image input.

    The orientation noted in EXIF is applied, palettes and other colour models become RGB or gray (ITU-R 601 luma),
    16-bit gray (modes I;16 and I) becomes 8-bit by division by 257, and an alpha channel is ignored, as Core ML ignores
    it (ImageFeatureType.ColorSpace). For a float16 gray input pixels keep the scale 0..255.

    Args:
        image: any PIL image.
        feature: an image input.
        resize: what to do when the size is not allowed. None: leave it. ``fill``: stretch both sides to the declared
            default size. ``fit``: scale so that all of the image is inside, in the middle of black. ``crop``: scale so
            that the size is covered, and cut the middle out. Scaling is Pillow's BILINEAR, which averages over all
            pixels covered when it shrinks.

    Raises:
        InputError: the image cannot be read, or its mode cannot be converted.
        UsageError: the feature is no image, or ``resize`` is unknown.
    """
    if not isinstance(feature, ImageFeature):
        raise UsageError(f"feature {feature.name!r} is no image, but {feature.describe()}")
    return feature.prepared(image, resize)


def _in_size(image: Image.Image, size: tuple[int, int], resize: Resize) -> Image.Image:
    from PIL import Image

    bilinear = Image.Resampling.BILINEAR
    if resize == "fill":
        return image.resize(size, bilinear)
    across, down = size[0] / image.width, size[1] / image.height
    if resize == "crop":
        scale = max(across, down)
        left, top = (image.width - size[0] / scale) / 2, (image.height - size[1] / scale) / 2
        # Not outside by a rounding error: Pillow refuses such a box.
        left, top = max(left, 0.0), max(top, 0.0)
        box = (left, top, image.width - left, image.height - top)
        return image.resize(size, bilinear, box=box)
    scale = min(across, down)
    inner = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    result = Image.new(image.mode, size)
    result.paste(image.resize(inner, bilinear), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return result
