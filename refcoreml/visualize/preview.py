"""Draws a model's outputs over its input picture: segments, heat maps, pictures, class labels.

What Xcode's preview shows of a segmentation, with the labels and colours that the model's metadata name under
``com.apple.coreml.model.preview.type`` (``imageSegmenter``) and ``com.apple.coreml.model.preview.parameters``
(``{"labels": [...], "colors": ["#rrggbb", ...]}``).
"""

from __future__ import annotations

import colorsys
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from refcoreml import values as given
from refcoreml.errors import InputError, InvalidModelError, UsageError
from refcoreml.spec import schema

__all__ = ["KINDS", "Preview", "Segment", "draw", "palette", "segmentation_style"]

_TYPE = "com.apple.coreml.model.preview.type"
_PARAMETERS = "com.apple.coreml.model.preview.parameters"

#: Ways to draw an output.
KINDS = ("segments", "heat", "image", "label")

#: The longer side of a preview is at least, and its canvas at most, this many pixels.
_LEAST, _MOST = 512, 1280
#: The most numbers of an output that is drawn.
_MOST_NUMBERS = 1 << 26
#: The most pixels of all channels of heat together, and how many count for a channel besides: one to two seconds.
_MOST_HEAT, _HEAT_OVERHEAD = 1 << 27, 1 << 14
_OUTPUT = given.argument("the output", InputError)
_OPACITY = 0.55
_INK, _PAPER = (33, 37, 41), (255, 255, 255)

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Segment:
    """A class that a segmentation found.

    Attributes:
        index: the class.
        label: its name, or its number as text.
        share: the part of the picture that it covers, 0 to 1.
    """

    index: int
    label: str
    share: float


@dataclass(frozen=True)
class Preview:
    """A picture, and what it shows in words.

    Attributes:
        image: the picture.
        kind: one of `KINDS`.
        segments: the classes that were found, the largest first, for ``segments``.
        scores: labels and probabilities, the best first, for ``label``.
        peaks: (channel, x, y, value) of each channel's maximum, in pixels of the output, for ``heat``.
    """

    image: Image.Image
    kind: str
    segments: tuple[Segment, ...] = ()
    scores: tuple[tuple[str, float], ...] = ()
    peaks: tuple[tuple[int, int, int, float], ...] = ()


def palette(count: int) -> list[Color]:
    """Return distinguishable colours, by steps of the golden angle; the first, the background, is black."""
    colors: list[Color] = [(0, 0, 0)]
    for index in range(count - 1):
        hue = (0.58 + index * 0.61803398875) % 1
        strength = (0.75, 0.95, 0.6)[index % 3]
        r, g, b = colorsys.hsv_to_rgb(hue, strength, (0.95, 0.85, 1.0)[index // 3 % 3])
        colors.append((round(255 * r), round(255 * g), round(255 * b)))
    return colors[:count]


def segmentation_style(description: schema.ModelDescription, classes: int) -> tuple[list[str], list[Color]]:
    """Return labels and colours of a segmentation's classes, from the metadata if there, else numbers and `palette`.

    Raises:
        InvalidModelError: the metadata is no JSON object, or its lists are not of texts and colours.
    """
    where = f"metadata {_PARAMETERS}"
    text = description.metadata.userDefined.get(_PARAMETERS, "")
    try:
        parameters = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise InvalidModelError(f"is no JSON: {error}", where=where) from error
    if not isinstance(parameters, dict):
        raise InvalidModelError(f"expected an object, got {text[:60]!r}", where=where)
    labels, colors = parameters.get("labels", []), parameters.get("colors", [])
    for name, values in ("labels", labels), ("colors", colors):
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise InvalidModelError(f"{name} must be a list of texts", where=where)
    named = [*labels, *map(str, range(len(labels), classes))]
    return named[:classes], [*map(_color, colors), *palette(max(classes, len(colors)))[len(colors) :]][:classes]


def _has_colors(description: schema.ModelDescription) -> bool:
    return "colors" in description.metadata.userDefined.get(_PARAMETERS, "")


def _color(text: str) -> Color:
    match = re.fullmatch(r"#?([0-9a-fA-F]{6})", text.strip())
    if match is None:
        raise InvalidModelError(f"{text!r} is no colour such as #ff8000", where=f"metadata {_PARAMETERS}")
    value = int(match[1], 16)
    return value >> 16, value >> 8 & 255, value & 255


def kind_of(value: Any, description: schema.ModelDescription) -> str:
    """Return how to draw an output if nobody says: by its type, its shape, and the model's metadata."""
    if given.is_a(value, Image.Image):
        return "image"
    if given.is_a(value, (dict, str)):
        return "label"
    array = given.array(value, _OUTPUT)
    if description.metadata.userDefined.get(_TYPE) == "imageSegmenter":
        return "segments"
    planes = array.reshape([n for n in array.shape if n != 1] or [1])
    if planes.ndim == 2 and np.issubdtype(array.dtype, np.integer):
        return "segments"
    if planes.ndim in (2, 3):
        return "heat"
    raise UsageError(
        f"an output of shape {array.shape} is no picture", remedy="Choose another with --show, or use predict"
    )


def draw(
    value: Any, photo: Image.Image | None, description: schema.ModelDescription, *, kind: str | None = None
) -> Preview:
    """Draw one output.

    Args:
        value: what ``Model.predict`` returned under one name: an array [.., H, W] of classes, an array [.., C, H, W] of
            scores a class or of heat, a picture, a dictionary of probabilities, a label.
        photo: the picture below; white if there is none.
        description: the model's description, for labels and colours.
        kind: how to draw it, one of `KINDS`; by default what suits it.

    Raises:
        UsageError: the output cannot be drawn so.
        InputError: the output holds NaN or infinities, or classes that are not integers.
        InvalidModelError: the preview metadata is damaged.
    """
    if kind is not None and (not given.is_a(kind, str) or kind not in KINDS):
        raise UsageError(f"unknown kind {given.quoted(kind)}, choose one of {', '.join(KINDS)}")
    if photo is not None:
        if not given.is_a(photo, Image.Image):
            raise UsageError(f"got {given.shown(photo)}, expected a PIL image", where="photo")
        given.decode(photo, given.argument("photo", InputError))
    if given.is_a(value, Image.Image):
        given.decode(value, _OUTPUT)
    chosen = kind or kind_of(value, description)
    if chosen == "image":
        return _draw_image(value)
    if chosen == "label":
        return _draw_label(value, photo)
    array = _planes(value)
    return (_draw_segments if chosen == "segments" else _draw_heat)(array, photo, description)


def _planes(value: Any) -> NDArray[Any]:
    """Return the array as [C, H, W]; leading dimensions must be 1."""
    array = given.array(value, _OUTPUT)
    if array.dtype.kind not in "iuf" or array.ndim < 2 or array.size == 0:
        raise UsageError(f"an output of {given.shown(array)} has no height and width")
    if array.size > _MOST_NUMBERS or array.shape[-1] * array.shape[-2] > given.PICTURE_LIMIT:
        raise UsageError(f"an output of {given.shown(array)} is too large for a picture")
    if array.ndim > 3:
        if any(length != 1 for length in array.shape[:-3]):
            raise UsageError(f"an output of shape {array.shape} holds more than one picture")
        array = array.reshape(array.shape[-3:])
    if not np.isfinite(array).all():
        raise InputError("the output holds NaN or infinities, which a picture cannot show")
    return array if array.ndim == 3 else array[None]


def _draw_segments(scores: NDArray[Any], photo: Image.Image | None, description: schema.ModelDescription) -> Preview:
    classes = scores.argmax(0) if len(scores) > 1 else np.rint(np.clip(scores[0], -1, 0x10000)).astype(np.int64)
    if len(scores) == 1 and (np.abs(scores[0] - classes) > 1e-3).any():  # the probability of a foreground
        if (scores[0] < 0).any() or (scores[0] > 1).any():
            raise InputError("the output holds neither integers nor probabilities", remedy="Add --as heat")
        classes = (scores[0] >= 0.5).astype(np.int64)
    if classes.min() < 0 or classes.max() > 0xFFFF:
        raise InputError(f"classes from {classes.min()} to {classes.max()}, expected 0 to 65535")
    count = max(len(scores), int(classes.max()) + 1, 2)
    labels, colors = segmentation_style(description, count)
    found = [int(index) for index in np.unique(classes) if index]
    if not _has_colors(description):  # fewer classes have more distinct colours
        for index, color in zip(found, palette(len(found) + 1)[1:], strict=True):
            colors[index] = color
    base = _base(photo, classes.shape)
    mask = np.asarray(Image.fromarray(classes.astype(np.int32), "I").resize(base.size, Image.Resampling.NEAREST))
    pixels = np.asarray(base, np.float32)
    painted = mask != 0
    tint = np.asarray(colors, np.float32)[mask]
    pixels = np.where(painted[..., None], pixels + _OPACITY * (tint - pixels), pixels)
    edges = _edges(mask)
    pixels[edges] = 255
    shares = np.bincount(classes.reshape(-1), minlength=count) / classes.size
    order = sorted(np.flatnonzero(shares), key=lambda index: -shares[index])
    segments = tuple(Segment(int(i), labels[i], float(shares[i])) for i in order)
    entries = [
        (colors[s.index], f"{given.short(s.label)}  {s.share:.0%}") for s in segments if s.index and s.share >= 0.001
    ]
    return Preview(_with_legend(_image(pixels), entries), "segments", segments)


def _edges(mask: NDArray[Any]) -> NDArray[np.bool_]:
    edges = np.zeros(mask.shape, bool)
    edges[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edges[1:] |= mask[1:] != mask[:-1]
    return edges


def _draw_heat(heat: NDArray[Any], photo: Image.Image | None, description: schema.ModelDescription) -> Preview:
    """Draw one colour per channel; its opacity is the value as a share of the largest. Maxima get a ring."""
    channels, height, width = heat.shape
    base = _base(photo, (height, width))
    most = _MOST_HEAT // (base.width * base.height + _HEAT_OVERHEAD)
    if channels > most:
        raise UsageError(
            f"{channels} channels are too many for one picture of {base.width} x {base.height}, at most {most}",
            remedy="Draw some of them: an array of fewer channels",
        )
    colors = palette(channels + 1)[1:]
    highest = float(heat.max())
    pixels = np.asarray(base, np.float32) * (0.7 if photo is not None else 1.0)
    opacity = np.zeros(pixels.shape[:2], np.float32)
    blended = np.zeros_like(pixels)
    for plane, color in zip(heat, colors, strict=True):
        scaled = np.clip(plane / highest, 0, 1) if highest > 0 else np.zeros_like(plane)
        large = Image.fromarray(scaled.astype(np.float32), "F").resize(base.size, Image.Resampling.BILINEAR)
        share = np.clip(np.asarray(large), 0, 1)
        share = np.where(share > 0.1, share, 0)  # the floor of most heat maps is not quite 0
        blended += share[..., None] * np.asarray(color, np.float32)
        opacity += share
    mixed = blended / np.maximum(opacity, 1e-6)[..., None]
    alpha = np.minimum(opacity, 1)[..., None] * 0.85
    image = _image(pixels + alpha * (mixed - pixels))
    peaks = []
    pen, ring = ImageDraw.Draw(image), max(4, max(image.size) // 110)
    for channel, plane in enumerate(heat):
        row, column = np.unravel_index(int(plane.argmax()), plane.shape)
        peaks.append((channel, int(column), int(row), float(plane[row, column])))
        if channels > 1 and highest > 0 and plane[row, column] > 0.25 * highest:
            x, y = (column + 0.5) * image.width / width, (row + 0.5) * image.height / height
            pen.ellipse((x - ring, y - ring, x + ring, y + ring), fill=colors[channel], outline=_PAPER, width=2)
    entries: list[tuple[Color, str]] = []
    if 1 < channels <= 24:
        entries = [(colors[c], f"{c}  {value:.2f}") for c, _, _, value in peaks]
    return Preview(_with_legend(image, entries), "heat", peaks=tuple(peaks))


def _draw_image(value: Any) -> Preview:
    if not given.is_a(value, Image.Image):
        raise UsageError(f"the output is {given.shown(value)}, not a picture")
    return Preview(value.convert("L" if value.mode in ("L", "F") else "RGB"), "image")


def _draw_label(value: Any, photo: Image.Image | None) -> Preview:
    """Draw the five best labels below the picture, with a bar for each."""
    if not given.is_a(value, (dict, str)):
        raise UsageError(f"the output is {given.shown(value)}, not a label or a dictionary of probabilities")
    entries = given.mapping(value, _OUTPUT) if isinstance(value, dict) else {value: 1.0}
    known = [(_label(label), given.number(score, _OUTPUT)) for label, score in entries.items()]
    scores = tuple(sorted(known, key=lambda item: -item[1])[:5])
    base = _base(photo, (_LEAST, _LEAST))
    font, line = _font(base.width)
    image = Image.new("RGB", (base.width, base.height + line * len(scores) + line // 2), _PAPER)
    image.paste(base, (0, 0))
    pen = ImageDraw.Draw(image)
    for position, (label, score) in enumerate(scores):
        top = base.height + line // 4 + position * line
        length = np.clip(score, 0, 1) if np.isfinite(score) else 0
        pen.rectangle((0, top + 2, int(image.width * length), top + line - 3), fill=(206, 222, 245))
        text = f"{label}  {score:.1%}" if isinstance(value, dict) else label
        pen.text((line // 2, top + line // 6), text, fill=_INK, font=font)
    return Preview(image, "label", scores=scores)


def _label(label: Any) -> str:
    """Return a label as it is drawn: a line of text."""
    if given.is_a(label, (int, np.integer)) and not given.is_a(label, bool):
        return str(given.integer(label, _OUTPUT))
    return given.short(given.text(label, _OUTPUT))


def _base(photo: Image.Image | None, shape: tuple[int, ...]) -> Image.Image:
    """Return the picture below, of a size that can be looked at."""
    image = photo.convert("RGB") if photo is not None else Image.new("RGB", (shape[1], shape[0]), _PAPER)
    longest = max(image.size)
    scale = _LEAST / longest if longest < _LEAST else min(1.0, _MOST / longest)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC) if size != image.size else image


def _image(pixels: NDArray[Any]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), "RGB")


def _font(width: int) -> tuple[Any, int]:
    """Return a font, and the height of a line."""
    size = max(12, width // 40)
    try:
        return ImageFont.load_default(size), size * 3 // 2
    except TypeError:  # Pillow before 10.1 has one size
        return ImageFont.load_default(), 16


def _with_legend(image: Image.Image, entries: Sequence[tuple[Color, str]]) -> Image.Image:
    """Return the picture with a line of colour fields and texts below, broken as often as needed."""
    if not entries:
        return image
    font, line = _font(image.width)
    measure = ImageDraw.Draw(image)
    places, x, y = [], line // 2, line // 3
    for color, text in entries:
        needed = line + int(measure.textlength(text, font=font)) + line
        if x + needed > image.width and x > line // 2:
            x, y = line // 2, y + line
        places.append((x, y, color, text))
        x += needed
    canvas = Image.new("RGB", (image.width, image.height + y + line + line // 3), _PAPER)
    canvas.paste(image, (0, 0))
    pen = ImageDraw.Draw(canvas)
    for x, y, color, text in places:
        top = image.height + y
        side = line * 2 // 3
        pen.rectangle((x, top + line // 6, x + side, top + line // 6 + side), fill=color, outline=(120, 120, 120))
        pen.text((x + line, top + line // 6), text, fill=_INK, font=font)
    return canvas
