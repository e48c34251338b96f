"""``refcoreml predict``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from refcoreml.cli.console import check_target, nonempty, out, print_json, shape_text
from refcoreml.cli.values import add_arguments, load_model, read_inputs
from refcoreml.errors import UsageError, harmless, within
from refcoreml.evaluators.state import State
from refcoreml.features import ImageFeature
from refcoreml.model import Model, state_of
from refcoreml.reporting.tables import Table
from refcoreml.storage.arrays import read_npz, write_npz
from refcoreml.storage.writing import write_picture
from refcoreml.values import quoted, unread

_EPILOG = """\
examples:
  refcoreml predict MobileNet.mlmodel --input image=photo.jpg --resize crop --top 3
  refcoreml predict Style.mlmodel --input photo.jpg --resize fill --output styled.png
  refcoreml predict Net.mlmodel --input x=1,2,3 --input state=state.npy --output y.npz --json
  refcoreml predict Decoder.mlpackage --function decode --sequence tokens.npz --output logits.npz
  refcoreml predict Net.mlmodel --input x=x.npy --custom mylayers.py      (a file of yours that registers custom layers)
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "predict",
        help="run a model once and show its outputs",
        description="Run a model once and show its outputs. States begin with zeros; --sequence keeps them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    parser.add_argument(
        "--sequence",
        type=nonempty,
        metavar="FILE",
        help="predict step by step, with one state: a .npz file of inputs whose first axis counts the steps; outputs"
        " are stacked likewise",
    )
    parser.add_argument("--top", type=_positive, default=5, metavar="N", help="how many classes to show (default 5)")
    parser.add_argument("--json", action="store_true", help="print every output in full as JSON")
    parser.add_argument(
        "-o",
        "--output",
        type=nonempty,
        metavar="FILE",
        help="also write the outputs: all to .npz, the only image to .png or .jpg",
    )
    parser.set_defaults(run=run)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    check_target(options.output, ".npz", ".png", ".jpg", ".jpeg")
    model = load_model(options)
    if options.output:
        _check_pictures(model, options.output)
    inputs, state = read_inputs(model, options.input, options.resize), state_of(model)
    outputs = _sequence(model, inputs, options.sequence, state) if options.sequence else model.predict(inputs, state)
    if options.json:
        print_json(outputs)
    else:
        for name, value in outputs.items():
            _show(name, value, options.top)
    if options.output:
        _write(outputs, Path(options.output))
        if not options.json:
            out.print(f"written to {options.output}", markup=False, soft_wrap=True)
    return 0


def _sequence(model: Model, fixed: dict[str, Any], path: str, state: State | None) -> dict[str, Any]:
    """Predict step by step with one state; return the outputs of all steps, stacked."""
    try:
        given = read_npz(path)
    except (OSError, ValueError, MemoryError) as error:
        raise UsageError(f"cannot be read: {unread(error)}", where=path) from error
    twice = sorted(fixed.keys() & given.keys())
    if twice:
        raise UsageError(f"is given twice: by --input and in {path}", where=f"input {quoted(twice[0])}")
    lengths = {name: len(array) if array.ndim else 0 for name, array in given.items()}
    if len({*lengths.values()}) != 1 or not min(lengths.values()):
        found = ", ".join(f"{harmless(name)} {array.shape}" for name, array in given.items()) or "nothing"
        raise UsageError(f"holds {found}, expected arrays whose first axis has one length, the steps", where=path)
    steps: list[dict[str, Any]] = []
    for step in range(min(lengths.values())):
        with within(f"step {step}"):
            steps.append(model.predict({**fixed, **{name: array[step] for name, array in given.items()}}, state))
    return {name: _stacked(name, [outputs[name] for outputs in steps]) for name in steps[0]}


def _stacked(name: str, values: list[Any]) -> Any:
    """Return the values of an output at all steps as one array; of scores by label those of each, by label."""
    if hasattr(values[0], "mode"):
        raise UsageError("pictures of several steps are no array", where=f"output {name!r}")
    if isinstance(values[0], dict):
        return np.array([list(value.values()) for value in values])
    return np.array(values)


def _show(name: str, value: Any, top: int) -> None:
    name = harmless(name)
    if isinstance(value, dict):
        best = sorted(value.items(), key=lambda item: -item[1])
        ranking = Table(name, "", right=("",))
        for label, probability in best[:top]:
            ranking.add_row(str(label), f"{probability:.4f}")
        out.print(ranking)
        if len(best) > top:
            out.print(f"[dim]and {len(best) - top} more[/]")
    elif isinstance(value, np.ndarray):
        numbers = np.array2string(value, threshold=24, precision=6, max_line_width=min(out.width, 100))
        out.print(Text.assemble((name, "bold"), f"  {value.dtype} {shape_text(value.shape)}"))
        out.print(numbers, markup=False)
    elif hasattr(value, "mode"):
        out.print(Text.assemble((name, "bold"), f"  picture, {value.mode}, {value.width} x {value.height}"))
    else:
        out.print(Text.assemble((name, "bold"), f"  {harmless(str(value))}"))


def _check_pictures(model: Model, path: str) -> None:
    """Refuse a picture as a file for outputs of which none, or several, are one."""
    count = sum(isinstance(feature, ImageFeature) for feature in model.outputs)
    if Path(path).suffix.lower() != ".npz" and count != 1:
        raise UsageError(f"the model has {count} image outputs, a picture can hold one", remedy="Write a .npz")


def _write(outputs: dict[str, Any], path: Path) -> None:
    if path.suffix.lower() == ".npz":
        write_npz(_arrays(outputs), path)
        return
    pictures = [value for value in outputs.values() if hasattr(value, "mode")]
    write_picture(pictures[0].convert("RGB" if pictures[0].mode == "RGBA" else "L"), path)


def _arrays(outputs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in outputs.items():
        if isinstance(value, dict):
            yield f"{name}.keys", np.array(list(value))
            yield name, np.array(list(value.values()))
        else:
            yield name, np.asarray(value)
