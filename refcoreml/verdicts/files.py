"""Recorded arrays in files: an ``.npz`` of one prediction or of several, an ``.npy`` of the only output, a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from refcoreml.errors import UsageError
from refcoreml.model import Model
from refcoreml.storage.arrays import read_npy, read_npz
from refcoreml.values import quoted, unread
from refcoreml.verdicts.recordings import KEYS

__all__ = ["recorded_arrays"]

#: What NumPy calls the only array that was saved without a name.
_UNNAMED = "arr_0"


def recorded_arrays(path: str | Path, model: Model, samples: Sequence[str]) -> list[dict[str, Any]]:
    """Read what was recorded for each of the samples.

    An archive holds arrays by name; of several samples each has one more dimension, samples first. A folder holds an
    archive for each file of inputs, under the same name but for its ending.

    Args:
        path: the file or folder.
        model: what was run; if it has one output, that may be the only array of a file, without a name.
        samples: the names of the samples, as `refcoreml.reporting.samples.Source` gives them.

    Raises:
        UsageError: a file cannot be read, or does not hold what the samples need.
    """
    if not os.path.isdir(path):
        return _split(_read(Path(path), model), len(samples), Path(path))
    found: list[dict[str, Any]] = []
    of: dict[Path, str] = {}
    for name, group in groupby(samples, _file_of):
        file = Path(path) / Path(name).with_suffix(".npz")
        if of.setdefault(file, name) != name:
            raise UsageError(
                f"is of both {quoted(of[file])} and {quoted(name)}",
                where=str(file),
                remedy="Give files of inputs names that differ without their endings",
            )
        found += _split(_read(file, model), len(list(group)), file)
    return found


def _file_of(sample: str) -> str:
    """Return the file that a sample is from: of an archive it has a number."""
    file, _, number = sample.rpartition(" ")
    return file if number.isdecimal() and file.lower().endswith(".npz") else sample


def _read(path: Path, model: Model) -> dict[str, Any]:
    try:
        arrays = {_UNNAMED: read_npy(path)} if path.suffix.lower() == ".npy" else read_npz(path)
    except (OSError, ValueError, MemoryError) as error:
        raise UsageError(f"cannot be read: {unread(error)}", where=str(path)) from error
    if list(arrays) == [_UNNAMED] and len(model.outputs) == 1:
        return {model.outputs[0].name: arrays[_UNNAMED]}
    if not arrays:
        raise UsageError("holds nothing", where=str(path))
    return arrays


def _split(arrays: Mapping[str, Any], count: int, path: Path) -> list[dict[str, Any]]:
    """Return the arrays of each sample."""
    if count == 1:
        return [dict(arrays)]
    for name, array in arrays.items():
        if not name.endswith(KEYS) and (array.ndim == 0 or len(array) != count):
            raise UsageError(
                f"array {name!r} has the shape {array.shape}, expected {count} samples first", where=str(path)
            )
    return [
        {name: array if name.endswith(KEYS) else array[index] for name, array in arrays.items()}
        for index in range(count)
    ]
