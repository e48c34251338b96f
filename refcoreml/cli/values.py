"""Inputs as people write them on a command line, read into the values that `Model.predict` takes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refcoreml import features
from refcoreml.cli.custom import add_custom_argument
from refcoreml.comparison.data import read_image
from refcoreml.errors import UsageError
from refcoreml.model import Model

_HELP = """\
an input of the model: NAME=PATH of a picture, a .npy, .npz or .json file, or NAME=VALUE with a number, a list such
as 1,2,3 or JSON; NAME= may be left out if the model has one input; a .npz or .json file without a name holds several
"""


def add_arguments(parser: argparse.ArgumentParser, *, precision: bool = True) -> None:
    """Adds the arguments that say on what to run which model, and if ``precision`` in which arithmetic."""
    parser.add_argument("model", metavar="MODEL", help="a .mlmodel file or .mlpackage folder")
    parser.add_argument("-i", "--input", action="append", default=[], metavar="NAME=VALUE", help=_HELP)
    parser.add_argument(
        "--resize",
        choices=("fill", "fit", "crop"),
        help="bring pictures to the size that the model wants: fill (stretch), fit (black borders), crop (centre)",
    )
    if not precision:
        return
    parser.add_argument(
        "--precision",
        choices=("float32", "float64", "float16"),
        default="float32",
        help="arithmetic: float32 as a CPU (default), float64 as the oracle, float16 storage with float32 sums",
    )
    add_custom_argument(parser)


def read_inputs(model: Model, given: Sequence[str], resize: Any) -> dict[str, Any]:
    """Reads every ``--input``.

    Raises:
        UsageError: a file cannot be read, a name is not an input of the model, or a name is missing.
    """
    known = {feature.name: feature for feature in model.inputs}
    values: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if separator and name in known:
            values[name] = _value(known[name], value, resize)
        elif text.endswith((".npz", ".json")) and not (len(known) == 1 and text.endswith(".npz") is False):
            loaded = _several(Path(text))
            values.update(
                {key: _value(known[key], item, resize) if key in known else item for key, item in loaded.items()}
            )
        elif separator and not Path(text).exists():
            raise UsageError(f"the model has no input {name!r}", remedy=f"Its inputs are {', '.join(known)}")
        elif len(known) == 1:
            values[next(iter(known))] = _value(next(iter(known.values())), text, resize)
        else:
            raise UsageError(f"which input is {text!r}", remedy=f"Write NAME=VALUE; the inputs are {', '.join(known)}")
    return values


def _several(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return dict(archive)
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path)) from error
    if not isinstance(loaded, dict):
        raise UsageError("expected an object with one entry per input", where=str(path))
    return loaded


def _value(feature: features.Feature, value: Any, resize: Any) -> Any:
    if not isinstance(value, str):
        return value
    if feature.kind == "image":
        return read_image(feature, value, resize)
    if feature.kind == "string":
        return value
    path = Path(value)
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                if feature.name in archive:
                    return archive[feature.name]
                if len(archive.files) == 1:
                    return archive[archive.files[0]]
                raise UsageError(f"holds {', '.join(archive.files)}, but not {feature.name!r}", where=value)
        if path.suffix == ".json":
            loaded = json.loads(path.read_text(encoding="utf-8"))
            return loaded.get(feature.name, loaded) if isinstance(loaded, dict) else loaded
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"cannot be read: {error}", where=value) from error
    return _literal(feature, value)


def _literal(feature: features.Feature, text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        try:
            value = json.loads(f"[{text}]")
        except ValueError:
            raise UsageError(
                f"{text!r} is neither a number, a list, JSON nor a file that ends in .npy, .npz or .json",
                where=f"input {feature.name!r}",
            ) from None
    if feature.kind == "array":
        return np.atleast_1d(np.asarray(value))
    if feature.kind == "dictionary" and feature.spec.type.dictionaryType.HasField("int64KeyType"):
        return {int(key): item for key, item in value.items()}
    return value
