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

from refcoreml.conformance.cases import Case, Output
from refcoreml.storage.arrays import read_npy


def write_inputs(case: Case, folder: Path) -> None:
    """Write the inputs into a new folder."""
    folder.mkdir()
    for name, array in case.read_inputs().items():
        np.save(folder / f"{name}.npy", array)


def write_outputs(case: Case, outputs: Mapping[str, Any], folder: Path) -> str:
    """Write the outputs that the case knows; return what is wrong with others, which the verifier will miss."""
    wrong = []
    for output in case.outputs:
        if output.name not in outputs:
            continue
        try:
            value = np.asarray(outputs[output.name])
        except Exception as error:  # an object may raise anything when it is made an array
            wrong.append(f"output {output.name!r} is no array: {type(error).__name__}: {error}")
            continue
        if value.nbytes > most_bytes(output):  # a view of one number can be as large as it likes
            wrong.append(f"output {output.name!r} has the shape {value.shape}, which is not written")
        elif value.dtype.hasobject:
            wrong.append(f"output {output.name!r} is an array of objects")
        else:
            np.save(folder / f"{output.name}.npy", value, allow_pickle=False)
    return "; ".join(wrong)


def read_output(output: Output, folder: Path) -> NDArray[Any]:
    """Return an output; raise `OSError` or `ValueError` if it was not written as it should be."""
    # By the list of names: where a system ignores case, Y.npy could be opened as y.npy, and fail elsewhere.
    file, written = f"{output.name}.npy", os.listdir(folder)
    if file not in written:
        alike = [other for other in written if other.lower() == file.lower()]
        raise ValueError(f"was not written, but {alike[0]!r} was, in other letters" if alike else "was not written")
    array = read_npy(folder / file, most_bytes(output))
    if array.dtype.kind not in "fiub":
        raise ValueError(f"holds {array.dtype}, expected real numbers")
    return array


def most_bytes(output: Output) -> int:
    """Return how many bytes an output may have: 16 an element; a wrong shape is read, too, unless it is far larger."""
    return max(16 * math.prod(output.shape), 1 << 24) + (1 << 16)
