"""Arrays that pass between a case and an implementation: files ``NAME.npy`` in a folder.

Names are those of the case, which `refcoreml.conformance.cases` has checked to be letters, digits and ``_``. What an
implementation wrote is read with limits, since it may be anything.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.conformance.cases import Case, Output, Step
from refcoreml.storage.arrays import read_npy


def write_inputs(case: Case, folder: Path) -> None:
    """Write the inputs into a new folder, those of several steps into folders in it, 0, 1, and so on."""
    for step, place in zip(case.steps, step_folders(case, folder), strict=True):
        place.mkdir(parents=True)
        for name, array in step.read_inputs().items():
            np.save(place / f"{name}.npy", array)


def step_folders(case: Case, folder: Path) -> list[Path]:
    """Return where the arrays of each step are: in the folder, or in one for each step in it if there are several."""
    count = len(case.steps)
    return [folder / str(number) for number in range(count)] if count > 1 else [folder]


def write_outputs(step: Step, outputs: Mapping[str, Any], folder: Path) -> str:
    """Write the outputs that a step knows; return what is wrong with others, which the verifier will miss."""
    wrong = []
    folder.mkdir(exist_ok=True)
    for output in step.outputs:
        if output.name not in outputs:
            continue
        try:
            value = as_array(output, outputs[output.name])
        except Exception as error:  # an object may raise anything when it is made an array
            wrong.append(f"output {output.place!r} is no array: {type(error).__name__}: {error}")
            continue
        if value.nbytes > most_bytes(output):  # a view of one number can be as large as it likes
            wrong.append(f"output {output.place!r} has the shape {value.shape}, which is not written")
        elif value.dtype.hasobject:
            wrong.append(f"output {output.place!r} is an array of objects")
        else:
            np.save(folder / f"{output.name}.npy", np.asarray(value, order="C"), allow_pickle=False)
    return "; ".join(wrong)


def as_array(output: Output, value: Any) -> NDArray[Any]:
    """Return an output as an array: scores by label in the order of the labels, a label as its place among them."""
    if output.labels and isinstance(value, Mapping):
        return np.array([value[label] for label in output.labels])
    if output.labels and isinstance(value, (str, int, np.integer)):
        return np.array([output.labels.index(value)])
    return np.asarray(value)


def read_output(output: Output, folder: Path) -> NDArray[Any]:
    """Return an output; raise `OSError` or `ValueError` if it was not written as it should be."""
    # By the list of names: where a system ignores case, Y.npy could be opened as y.npy, and fail elsewhere.
    place = folder / output.folder
    file, written = f"{output.name}.npy", os.listdir(place)
    if file not in written:
        alike = [other for other in written if other.lower() == file.lower()]
        raise ValueError(f"was not written, but {alike[0]!r} was, in other letters" if alike else "was not written")
    array = read_npy(place / file, most_bytes(output))
    if array.dtype.kind not in "fiub":
        raise ValueError(f"holds {array.dtype}, expected real numbers")
    return array


def most_bytes(output: Output) -> int:
    """Return how many bytes an output may have: 16 an element; a wrong shape is read, too, unless it is far larger."""
    return max(16 * math.prod(output.shape), 1 << 24) + (1 << 16)
