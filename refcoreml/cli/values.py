"""Inputs as people write them on a command line, read into the values that `Model.predict` takes."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from refcoreml import features
from refcoreml.cli.console import nonempty
from refcoreml.cli.custom import add_custom_argument
from refcoreml.errors import UsageError
from refcoreml.model import Model, load
from refcoreml.reporting.samples import PICTURES, read_image
from refcoreml.storage.arrays import read_npy, read_npz
from refcoreml.storage.reading import read_json
from refcoreml.values import did_you_mean, quoted, unread

#: What ``--precision`` takes.
PRECISIONS = ("declared", "float32", "float64", "float16")

_HELP = """\
an input of the model: NAME=PATH of a picture, a .npy, .npz or .json file, or NAME=VALUE with a number, a list such
as 1,2,3 or JSON; NAME= is optional if the model has one input; a .npz or .json file without a name holds several
"""


def add_arguments(parser: argparse.ArgumentParser, *, precision: bool = True) -> None:
    """Add the arguments that say on what to run which model, and if ``precision`` in which arithmetic."""
    parser.add_argument(
        "model", type=nonempty, metavar="MODEL", help="a .mlmodel file, a .mlpackage or .mlmodelc folder"
    )
    parser.add_argument("-i", "--input", action="append", default=[], metavar="NAME=VALUE", help=_HELP)
    parser.add_argument(
        "--resize",
        choices=("fill", "fit", "crop"),
        help="resize pictures to the model's input size: fill (stretch), fit (black borders), crop (centre)",
    )
    add_custom_argument(parser)
    if not precision:
        return
    parser.add_argument("--function", type=nonempty, metavar="NAME", help="the function of an ML Program")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="declared",
        help="arithmetic: declared (default) as an ML Program says, of networks float32; float32 as a CPU; float64 as"
        " the oracle; of networks float16 storage with float32 sums",
    )


def load_model(options: argparse.Namespace) -> Model:
    """Return the model that the arguments name."""
    return load(options.model, precision=options.precision, function=options.function or "")


def read_inputs(model: Model, given: Sequence[str], resize: Any) -> dict[str, Any]:
    """Read every ``--input``.

    Raises:
        UsageError: a file cannot be read, a name is not an input of the model, is missing, or is given twice.
    """
    values: dict[str, Any] = {}
    for text in given:
        read = _read_input({feature.name: feature for feature in model.inputs}, text, resize)
        twice = sorted(values.keys() & read.keys())
        if twice:
            raise UsageError("is given twice", where=f"input {quoted(twice[0])}")
        values.update(read)
    return values


def _read_input(known: dict[str, features.Feature], text: str, resize: Any) -> dict[str, Any]:
    """Return what one ``--input`` gives, by name."""
    name, separator, value = text.partition("=")
    if separator and name in known:
        return {name: _value(known[name], value, resize)}
    if text.endswith(".npz") or (text.endswith(".json") and len(known) != 1):
        loaded = _several(Path(text))
        return {key: _value(known[key], item, resize) if key in known else item for key, item in loaded.items()}
    if separator and not os.path.exists(text):
        raise UsageError(
            f"the model has no input {name!r}", remedy=f"{did_you_mean(name, known)}Its inputs are {', '.join(known)}"
        )
    if len(known) == 1:
        return {next(iter(known)): _value(next(iter(known.values())), text, resize)}
    raise UsageError(f"no input is named for {text!r}", remedy=f"Write NAME=VALUE; the inputs are {', '.join(known)}")


def _several(path: Path) -> dict[str, Any]:
    loaded = _read(str(path))
    if not isinstance(loaded, dict):
        raise UsageError("expected an object with one entry per input", where=str(path))
    return loaded


def _read(path: str) -> Any:
    """Return the content of a file of data: an array, a dict of arrays, or a JSON value."""
    readers: dict[str, Callable[[str], Any]] = {".npy": read_npy, ".npz": read_npz, ".json": read_json}
    try:
        return readers[Path(path).suffix](path)
    except (OSError, ValueError, MemoryError) as error:
        raise UsageError(f"cannot be read: {unread(error)}", where=path) from error


def _value(feature: features.Feature, value: Any, resize: Any) -> Any:
    if not isinstance(value, str):
        return value
    if isinstance(feature, features.ImageFeature):
        return read_image(feature, value, resize)
    if isinstance(feature, features.StringFeature):
        return value
    suffix = Path(value).suffix
    if suffix not in (".npy", ".npz", ".json"):
        return _literal(feature, value)
    found = _read(value)
    if suffix == ".npz" and feature.name not in found:
        if len(found) != 1:
            raise UsageError(f"holds {', '.join(found) or 'nothing'}, but not {feature.name!r}", where=value)
        return next(iter(found.values()))
    return _typed(feature, found.get(feature.name, found) if isinstance(found, dict) else found)


def _literal(feature: features.Feature, text: str) -> Any:
    for form in (text, f"[{text}]"):
        try:
            return _typed(feature, json.loads(form))
        except (ValueError, RecursionError):
            continue
    if Path(text).suffix.lower() in PICTURES:
        raise UsageError(
            f"got the picture {quoted(text)}, but this is no image input: it is {feature.describe()}",
            where=f"input {feature.name!r}",
        )
    raise UsageError(
        f"{quoted(text)} is neither a number, a list, JSON nor a file that ends in .npy, .npz or .json",
        where=f"input {feature.name!r}",
    )


def _typed(feature: features.Feature, value: Any) -> Any:
    """Return a value from JSON: a number is an array of one, and the keys of a dictionary may be integers."""
    if isinstance(feature, features.ArrayFeature) and isinstance(value, (int, float)):
        return [value]
    if isinstance(feature, features.DictionaryFeature) and feature.element == "Int64" and isinstance(value, dict):
        return {int(key) if _is_integer(key) else key: item for key, item in value.items()}
    return value


def _is_integer(key: str) -> bool:
    return len(key) < 30 and key.lstrip("+-").isdecimal()
