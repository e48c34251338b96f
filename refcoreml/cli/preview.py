"""``refcoreml preview``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from refcoreml import values
from refcoreml.cli.console import check_target, nonempty, out, print_json
from refcoreml.cli.values import add_arguments, load_model, read_inputs
from refcoreml.errors import InputError, UsageError, harmless
from refcoreml.features import ImageFeature
from refcoreml.model import Model, state_of
from refcoreml.storage.reading import open_file
from refcoreml.storage.writing import write_picture
from refcoreml.visualize import KINDS, Preview, draw

_EPILOG = """\
examples:
  refcoreml preview DeepLab.mlmodel --input photo.jpg --resize fill -o overlay.png
  refcoreml preview Pose.mlmodel --input photo.jpg --resize fill -o pose.png
  refcoreml preview Portrait.mlmodel --input x=pixels.npy --photo photo.jpg --as segments -o portrait.png

Labels and colours of a segmentation come from the metadata that Xcode's preview reads:
com.apple.coreml.model.preview.type and com.apple.coreml.model.preview.parameters.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "preview",
        help="draw a model's output over its input picture",
        description="Run a model on a picture and draw its output over it: segments, heat maps, pictures, labels.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    parser.add_argument(
        "-o", "--output", type=nonempty, required=True, metavar="FILE", help="the picture to write, .png or .jpg"
    )
    parser.add_argument(
        "--show", type=nonempty, metavar="NAME", help="the output to draw, by default the first that can be drawn"
    )
    parser.add_argument(
        "--as", dest="kind", choices=KINDS, help="how to draw it, by default what its type and the metadata suggest"
    )
    parser.add_argument(
        "--photo", type=nonempty, metavar="FILE", help="the picture to draw over, by default the one among the inputs"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    target = Path(options.output)
    check_target(target, ".png", ".jpg", ".jpeg")
    model = load_model(options)
    inputs = read_inputs(model, options.input, options.resize)
    photo = _photo(model, inputs, options)
    outputs = model.predict(inputs, state_of(model))
    if options.show is not None and options.show not in outputs:
        raise UsageError(
            f"the model has no output {options.show!r}",
            remedy=f"{values.did_you_mean(options.show, outputs)}Its outputs are {', '.join(outputs)}",
        )
    name, preview = _first(
        model, outputs, [options.show] if options.show else _in_order(model, outputs), photo, options
    )
    write_picture(preview.image, target)
    if options.json:
        print_json(_facts(name, preview))
    else:
        _show(name, preview, target)
    return 0


def _in_order(model: Model, outputs: dict[str, Any]) -> list[str]:
    """Return output names, with the probabilities of a classifier before its label."""
    probabilities = model.description.predictedProbabilitiesName
    return sorted(outputs, key=lambda name: name != probabilities)


def _first(
    model: Model, outputs: dict[str, Any], names: list[str], photo: Any, options: argparse.Namespace
) -> tuple[str, Preview]:
    problems = []
    for name in names:
        try:
            return name, draw(outputs[name], photo, model.spec.description, kind=options.kind)
        except (UsageError, InputError) as error:
            if len(names) == 1:
                raise type(error)(error.problem, where=f"output {name!r}", remedy=error.remedy) from error
            problems.append(f"{name!r}: {error.problem}")
    raise UsageError(f"no output can be drawn: {'; '.join(problems)}")


def _photo(model: Model, inputs: dict[str, Any], options: argparse.Namespace) -> Any:
    """Return the picture below: --photo, or the file of the only image input, or what the model was given.

    Stretched outputs fit the whole file; where a part was cut out or borders were added, only the model's own input
    fits.
    """
    from PIL import Image

    images = [feature.name for feature in model.inputs if isinstance(feature, ImageFeature) and feature.name in inputs]
    path = options.photo
    if path is None and options.resize in (None, "fill") and len(images) == 1 and len(options.input) == 1:
        path = options.input[0].removeprefix(f"{images[0]}=")
    if path is None:
        return inputs[images[0]] if images else None
    try:
        with open_file(path) as stream, Image.open(stream) as picture:
            values.decode(picture, values.argument(str(path)))
            return picture.convert("RGB")
    except UsageError:
        raise
    except Exception as error:  # Pillow's decoders raise all sorts of things on damaged files
        raise UsageError(f"cannot be read as a picture: {values.unread(error)}", where=str(path)) from error


def _facts(name: str, preview: Preview) -> dict[str, Any]:
    return {
        "output": name,
        "kind": preview.kind,
        "segments": [{"index": s.index, "label": s.label, "share": s.share} for s in preview.segments],
        "scores": dict(preview.scores),
        "peaks": [dict(zip(("channel", "x", "y", "value"), peak, strict=True)) for peak in preview.peaks],
    }


def _show(name: str, preview: Preview, target: Path) -> None:
    what = {"segments": "segments", "heat": "heat map", "image": "picture", "label": "labels"}[preview.kind]
    out.print(
        f"{harmless(name)}: {what} {preview.image.width} x {preview.image.height}, written to {target}", markup=False
    )
    for segment in preview.segments:
        if segment.share >= 0.001:
            out.print(f"  {harmless(segment.label)}  {segment.share:.1%}", markup=False)
    for label, score in preview.scores:
        out.print(f"  {harmless(label)}  {score:.1%}", markup=False)
