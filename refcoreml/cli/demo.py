"""``refcoreml demo``: the embedded digit classifier on its sample pictures."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.columns import Columns
from rich.panel import Panel
from rich.text import Text

from refcoreml import demo
from refcoreml.cli.console import out, print_json
from refcoreml.model import load

_SHADES = " ░▒▓█"
#: The same where the output's encoding has no such characters, as in a file under Windows.
_PLAIN_SHADES = " .:*#"


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="run the embedded classifier of handwritten digits on its samples",
        description="Run the embedded classifier of handwritten digits on a few pictures outside its training set.",
    )
    parser.add_argument("--json", action="store_true", help="print labels and probabilities as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    path = demo.digits_model_path()
    model = load(path)
    samples = demo.samples()
    feature = model.inputs[0].name
    results = model.predict([{feature: picture} for picture, _ in samples])
    if options.json:
        print_json([{"truth": label, **result} for (_, label), result in zip(samples, results, strict=True)])
        return 0
    probabilities, label = (
        model.spec.description.predictedProbabilitiesName,
        model.spec.description.predictedFeatureName,
    )
    shades = _shades(out.encoding)
    out.print(
        Columns(
            [
                _card(picture, truth, result[label], result[probabilities], shades)
                for (picture, truth), result in zip(samples, results, strict=True)
            ],
            padding=(0, 1),
        )
    )
    right = sum(str(result[label]) == str(truth) for (_, truth), result in zip(samples, results, strict=True))
    out.print(f"{right} of {len(samples)} right")
    out.print(f"next: {_command()} inspect {typed(path)}", soft_wrap=True)
    return 0


def _shades(encoding: str) -> str:
    """Return the characters from dark to light that an encoding has."""
    try:
        _SHADES.encode(encoding)
    except UnicodeEncodeError:
        return _PLAIN_SHADES
    return _SHADES


def _command() -> str:
    """Return how refcoreml is called from here: by its name if that is on the path."""
    return "refcoreml" if shutil.which("refcoreml") else f"{typed(Path(sys.executable))} -m refcoreml"


def typed(path: Path) -> str:
    """Return the path as it is typed from here."""
    text = str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    return f'"{text}"' if " " in text else text


def _card(picture: Any, truth: Any, label: Any, probabilities: dict[Any, float], shades: str) -> Panel:
    text = Text(drawing(picture, shades) + "\n")
    for name, probability in sorted(probabilities.items(), key=lambda item: -item[1])[:3]:
        bar = shades[-1] * round(8 * probability)
        text.append(f"{name} {bar:<8} {probability:6.1%}\n", style="bold" if str(name) == str(truth) else "")
    text.rstrip()
    correct = str(label) == str(truth)
    return Panel(
        text, title=f"{label}" if correct else f"{label} (is {truth})", border_style="green" if correct else "red"
    )


def drawing(picture: Any, shades: str = _SHADES) -> str:
    """Return a gray picture as 8 lines of 16 characters, from its darkest to its lightest."""
    brightness = np.asarray(picture.resize((16, 8)), int)
    brightness -= brightness.min()
    levels = brightness * (len(shades) - 1) // max(brightness.max(), 1)
    return "\n".join("".join(shades[level] for level in row) for row in levels)
