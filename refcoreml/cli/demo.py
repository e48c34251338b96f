"""``refcoreml demo``: the embedded digit classifier on its sample pictures."""

from __future__ import annotations

import argparse
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


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="run the embedded classifier of handwritten digits on its samples",
        description="Runs the embedded classifier of handwritten digits on a few pictures that it was not trained on.",
    )
    parser.add_argument("--json", action="store_true", help="print labels and probabilities as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs the command."""
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
    out.print(
        Columns(
            [
                _card(picture, truth, result[label], result[probabilities])
                for (picture, truth), result in zip(samples, results, strict=True)
            ],
            padding=(0, 1),
        )
    )
    right = sum(str(result[label]) == str(truth) for (_, truth), result in zip(samples, results, strict=True))
    out.print(f"{right} of {len(samples)} right")
    out.print(f"next: refcoreml inspect {_near(path)}", soft_wrap=True)
    return 0


def _near(path: Path) -> str:
    """The path as it is typed from here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _card(picture: Any, truth: Any, label: Any, probabilities: dict[Any, float]) -> Panel:
    text = Text(drawing(picture) + "\n")
    for name, probability in sorted(probabilities.items(), key=lambda item: -item[1])[:3]:
        bar = "█" * round(8 * probability)
        text.append(f"{name} {bar:<8} {probability:6.1%}\n", style="bold" if str(name) == str(truth) else "")
    text.rstrip()
    correct = str(label) == str(truth)
    return Panel(
        text, title=f"{label}" if correct else f"{label} (is {truth})", border_style="green" if correct else "red"
    )


def drawing(picture: Any) -> str:
    """A gray picture as 8 lines of 16 characters, from its darkest to its lightest."""
    brightness = np.asarray(picture.resize((16, 8)), int)
    brightness -= brightness.min()
    shades = brightness * (len(_SHADES) - 1) // max(brightness.max(), 1)
    return "\n".join("".join(_SHADES[shade] for shade in row) for row in shades)
