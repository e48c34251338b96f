"""Contact sheets: what a network makes of pictures at several numbers of bits, side by side. Needs Pillow alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from refcoreml.comparison.metrics import DifferenceSums
from refcoreml.comparison.outputs import decode_image
from refcoreml.errors import UsageError
from refcoreml.features import ImageFeature
from refcoreml.model import Model, as_model
from refcoreml.reporting.samples import Sample, Source
from refcoreml.studies.evaluate import quantized_as
from refcoreml.studies.records import Configuration, decibels

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["contact_sheet"]

_MARGIN, _CAPTION = 8, 20


class _Column(NamedTuple):
    """Pictures of all samples, with a caption under each."""

    title: str
    images: list[Any]
    captions: list[str]


def contact_sheet(
    model: Any,
    data: Any,
    bits: Sequence[int] = (32, 8, 6, 4, 3, 2, 1),
    mode: str = "kmeans",
    *,
    output: str = "",
    rows: int = 2,
    width: int = 240,
    resize: Any = None,
    select: Sequence[str] = (),
) -> Image.Image:
    """Draw what a model with an image output makes of the first samples, with its weights at several numbers of bits.

    A row for each sample: the input, if that is one picture, and then a column for each number of bits, with the PSNR
    to the output of the model as given. Pixels are the outputs' own, shrunk to the width if they are wider.

    Args:
        model: a `Model`, or anything that `load` takes.
        data: see `compare_models`.
        bits: the columns; 32 is the model as it is.
        mode: see `quantize_weights`.
        output: the image output to draw; by default the first.
        rows: how many samples.
        width: of a picture on the sheet, in pixels.
        resize: see `Source`.
        select: which weights to quantize, see `study`.

    Raises:
        UsageError: the model has no such output, or there is no data.
    """
    loaded = as_model(model)
    pictures = [feature.name for feature in loaded.outputs if isinstance(feature, ImageFeature)]
    if not pictures or (output and output not in pictures):
        raise UsageError(
            f"the model has no image output {output!r}" if output else "the model has no image output",
            remedy=f"Its image outputs are {', '.join(pictures)}" if pictures else "",
        )
    samples = list(islice(Source.of(data, resize=resize).samples(loaded), rows))
    return _drawn(_columns(loaded, samples, output or pictures[0], bits, mode, select), width)


def _columns(
    model: Model, samples: Sequence[Sample], name: str, bits: Sequence[int], mode: str, select: Sequence[str]
) -> list[_Column]:
    inputs = [sample.inputs for sample in samples]
    references = [result[name] for result in model.predict(inputs)]
    columns = []
    if given := _only_picture(model, samples):
        columns.append(_Column("input", given, [sample.name for sample in samples]))
    for number in bits:
        quantized = quantized_as(model, Configuration("sweep", number, mode if number < 16 else ""), select)
        results = references if number == 32 else [result[name] for result in quantized.predict(inputs)]
        captions = [
            "" if number == 32 else f"PSNR {decibels(_psnr(one, other))} dB"
            for one, other in zip(references, results, strict=True)
        ]
        columns.append(_Column(f"{number} bit" + "s" * (number != 1), results, captions))
    return columns


def _drawn(columns: Sequence[_Column], width: int) -> Image.Image:
    from PIL import Image, ImageDraw

    scale = min(1.0, width / max(image.width for column in columns for image in column.images))
    cells = [[_scaled(image, scale) for image in column.images] for column in columns]
    wide = max(image.width for images in cells for image in images)
    heights = [max(image.height for image in row) for row in zip(*cells, strict=True)]
    across = len(columns) * (wide + _MARGIN) + _MARGIN
    sheet = Image.new("RGB", (across, _CAPTION + _MARGIN + sum(heights) + len(heights) * (_CAPTION + _MARGIN)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, column in enumerate(columns):
        x, y = _MARGIN + index * (wide + _MARGIN), _MARGIN
        draw.text((x, y), column.title, fill="black", font=_font(14))
        y += _CAPTION
        for image, caption, height in zip(cells[index], column.captions, heights, strict=True):
            sheet.paste(image, (x, y))
            draw.text((x, y + height + 2), _short(caption, wide), fill="#555555", font=_font(11))
            y += height + _CAPTION + _MARGIN
    return sheet


def _only_picture(model: Model, samples: Sequence[Sample]) -> list[Any]:
    """Return the samples' pictures, if that is what a sample is."""
    names = [feature.name for feature in model.inputs if isinstance(feature, ImageFeature)]
    given = [sample.inputs.get(names[0]) for sample in samples] if len(names) == 1 else []
    return given if all(hasattr(image, "convert") for image in given) else []


def _psnr(reference: Any, result: Any) -> float:
    sums = DifferenceSums(255.0)
    sums.add(decode_image(reference), decode_image(result))
    return sums.result().psnr


def _scaled(image: Any, scale: float) -> Any:
    from PIL import Image

    flat = image.convert("L" if image.mode in ("L", "F") else "RGB")
    size = max(1, round(flat.width * scale)), max(1, round(flat.height * scale))
    return flat if scale == 1 else flat.resize(size, Image.Resampling.LANCZOS)


def _font(size: int) -> Any:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except TypeError:  # before Pillow 10.1 there is one size
        return ImageFont.load_default()


def _short(text: str, width: int) -> str:
    most = max(4, width // 6)
    return text if len(text) <= most else f"{text[: most - 3]}..."
