"""Reads conformance cases: a folder with ``case.json``, a model, and a file with inputs, references and bounds.

Needs NumPy alone, and of refcoreml no more than ``storage/reading.py``, which needs nothing, so that these two and
``verify.py`` can be copied into any project. The format is described in ``docs/conformance.md`` and, formally, in
``conformance/case.schema.json``.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.storage.reading import MODEL_LIMIT, TEXT_LIMIT, Folder

#: The version of the format that this file reads.
FORMAT = 1

VERDICTS = ("returns", "malformed", "invalid", "unsupported-ok")
#: What texts are, and what they consist of. Names of arrays and files name a file on every system.
_ANY = ("printable text", r".*")
_NAME = ("a name of letters, digits and _", r"[A-Za-z0-9_]{1,200}")
_FILE = ("a file name of letters, digits, _ and .", r"[A-Za-z0-9_][A-Za-z0-9_.]{0,199}")
_ID = ("names of letters and digits with / between them", r"[A-Za-z0-9]+(/[A-Za-z0-9.-]+)+")
#: The most bytes of a case's file of arrays.
ARRAYS_LIMIT = 1 << 30
#: How often a case may ask to be run.
MOST_RUNS = 9


class CaseError(Exception):
    """The case itself is damaged: a file is missing, or is not what ``case.json`` says."""


@dataclass(frozen=True)
class Stored:
    """One of the arrays in a case's file of arrays, in which each stands in the ``.npy`` format behind the other.

    Attributes:
        path, sha256: the file and its checksum.
        offset: where the array begins in it, in bytes.
        shape: the shape it must have.
    """

    path: Path
    sha256: str
    offset: int
    shape: tuple[int, ...]

    def read(self) -> NDArray[Any]:
        """Return the array; raise `CaseError` if the file is not the one that was written."""
        content = io.BytesIO(checked_file(self.path, self.sha256, ARRAYS_LIMIT))
        try:
            content.seek(self.offset)
            array: NDArray[Any] = np.lib.format.read_array(content, allow_pickle=False)
        except Exception as error:  # a wrong offset can make NumPy raise almost anything
            raise CaseError(f"{self.path.name} has no array at {self.offset}: {error}") from error
        if array.shape != self.shape or array.dtype.kind not in "fiub":
            raise CaseError(f"{self.path.name} at {self.offset} holds {array.dtype} {array.shape}, not {self.shape}")
        return array


@dataclass(frozen=True)
class Expected:
    """An output under one profile: references and bounds, float64, of one shape.

    Attributes:
        reference: the exact value of each element.
        bound: the largest error of a conforming implementation; a number stands for all elements.
        deviation: of many sums in half precision the standard deviation of the rounding error.
        rounded: of products of integers, which any order of summation gives exactly, the bound if sums round.
    """

    reference: Stored
    bound: Stored | float
    deviation: Stored | None = None
    rounded: Stored | None = None


@dataclass(frozen=True)
class Input:
    """An input; ``dtype`` is what the model declares."""

    name: str
    dtype: str
    values: Stored


@dataclass(frozen=True)
class Output:
    """An output.

    Attributes:
        free_ones: whether dimensions of length 1 may be more or fewer, as networks of rank 5 leave it open.
        check: which kind of bound it is, for reports.
        profiles: what is expected, by profile.
        moments: for random numbers: (power, the mean of this power of all elements, how far it may be off).
    """

    name: str
    shape: tuple[int, ...]
    free_ones: bool
    check: str
    profiles: Mapping[str, Expected]
    moments: Sequence[tuple[int, float, float]] = ()


@dataclass(frozen=True)
class Case:
    """A case, as read by `read_case`.

    Attributes:
        id: its name, such as ``convolution/stride/integers``, unique in the suite.
        family, layers, data: a group of layers, for reports; the types in the model; the kind of data.
        clauses: labels of the specification's clauses that it tests.
        specification, features: the version that the model needs, and what else, such as ``float16 weights``.
        custom_layers: by the name of the class what a custom layer computes, for whoever runs the case to write.
        verdict, rule: one of `VERDICTS`; for an invalid model, the rule that it breaks.
        repeat: how often to run the model with the same inputs; the last outputs count.
    """

    folder: Path
    id: str
    family: str
    layers: Sequence[str]
    data: str
    clauses: Sequence[str]
    specification: int
    features: Sequence[str]
    custom_layers: Mapping[str, str]
    verdict: str
    rule: str
    model: Path
    model_sha256: str
    inputs: Sequence[Input] = field(default_factory=list)
    outputs: Sequence[Output] = field(default_factory=list)
    repeat: int = 1

    def supports(self, profile: str) -> bool:
        """Return whether the case says something about the profile."""
        return all(profile in output.profiles for output in self.outputs)

    def read_inputs(self) -> dict[str, NDArray[Any]]:
        """Return the inputs by name, in the types that the model declares."""
        return {item.name: item.values.read().astype(item.dtype) for item in self.inputs}

    def check_model(self) -> Path:
        """Return the model's path; raise `CaseError` if the file is not the one that was written."""
        checked_file(self.model, self.model_sha256, MODEL_LIMIT)
        return self.model


def find_cases(root: Path, patterns: Sequence[str] = ()) -> list[Path]:
    """Return the folders of all cases below ``root`` whose path from there fits one of the patterns, sorted.

    Args:
        root: a folder.
        patterns: with ``*`` for any text; ``convolution`` fits everything below a folder of that name, too.
    """
    folders = sorted(path.parent for path in root.rglob("case.json"))
    names = {folder: folder.relative_to(root).as_posix() for folder in folders}
    wanted = [form for pattern in patterns for form in (pattern, f"{pattern.rstrip('/')}/*")]
    return [folder for folder in folders if not wanted or any(fnmatch.fnmatch(names[folder], p) for p in wanted)]


def read_case(folder: Path) -> Case:
    """Read ``case.json``; files are read when they are requested.

    Raises:
        CaseError: the file is missing, is no JSON, lacks something, or is of another format.
    """
    try:
        with Folder(folder) as opened:
            text = json.loads(opened.read("case.json", TEXT_LIMIT).decode("utf-8"))
        if text["format"] != FORMAT:
            raise CaseError(f"case.json is of format {text['format']!r}, this reader knows {FORMAT}")
        if text["verdict"] not in VERDICTS:
            raise CaseError(f"the verdict is {text['verdict']!r}, expected one of {', '.join(VERDICTS)}")
        repeat = int(text.get("repeat", 1))
        if not 1 <= repeat <= MOST_RUNS:
            raise CaseError(f"the model is to run {repeat} times, expected 1 to {MOST_RUNS}")
        arrays = (Path(), "")
        if text["inputs"] or text["outputs"]:
            arrays = folder / _text(text["arrays"]["file"], _FILE), _text(text["arrays"]["sha256"])
        inputs, outputs = ([item["name"] for item in text[key]] for key in ("inputs", "outputs"))
        if any(len({str(name).lower() for name in names}) < len(names) for names in (inputs, outputs)):
            raise CaseError("names of inputs or of outputs are equal, or differ in case alone")
        return Case(
            folder=folder,
            id=_text(text["id"], _ID),
            family=_text(text["family"]),
            layers=[_text(name) for name in text["layers"]],
            data=_text(text["data"]),
            clauses=[_text(label) for label in text["clauses"]],
            specification=int(text["requires"]["specification"]),
            features=[_text(name) for name in text["requires"]["features"]],
            custom_layers={_text(k): _text(v) for k, v in text["requires"].get("custom_layers", {}).items()},
            verdict=text["verdict"],
            rule=_text(text.get("rule", "")),
            model=folder / _text(text["model"]["file"], _FILE),
            model_sha256=_text(text["model"]["sha256"]),
            inputs=[_input(arrays, item) for item in text["inputs"]],
            outputs=[_output(arrays, item) for item in text["outputs"]],
            repeat=repeat,
        )
    except CaseError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise CaseError(f"case.json cannot be read: {type(error).__name__}: {error}") from error


def _input(arrays: tuple[Path, str], item: Any) -> Input:
    dtype = str(item["dtype"])
    if dtype not in ("float32", "float64", "int32", "float16"):
        raise CaseError(f"input {item['name']!r} has the type {dtype!r}")
    return Input(_text(item["name"], _NAME), dtype, Stored(*arrays, int(item["values"]["at"]), _shape(item["shape"])))


def _output(arrays: tuple[Path, str], item: Any) -> Output:
    shape = _shape(item["shape"])

    def stored(place: Any) -> Stored:
        return Stored(*arrays, int(place["at"]), shape)

    profiles = {
        str(profile): Expected(
            stored(given["reference"]),
            float(given["bound"]) if isinstance(given["bound"], (int, float)) else stored(given["bound"]),
            *(stored(given[key]) if key in given else None for key in ("deviation", "rounded")),
        )
        for profile, given in item["profiles"].items()
    }
    return Output(
        _text(item["name"], _NAME),
        shape,
        bool(item.get("free_ones", False)),
        _text(item["check"]),
        profiles,
        [(int(m["power"]), float(m["reference"]), float(m["bound"])) for m in item.get("moments", [])],
    )


def _text(value: Any, kind: tuple[str, str] = _ANY) -> str:
    """Return a text that can be shown and written anywhere."""
    what, pattern = kind
    if not isinstance(value, str) or not value.isprintable() or not re.fullmatch(pattern, value):
        raise CaseError(f"expected {what}, got {ascii(value)[:200]}")
    return value


def _shape(lengths: Any) -> tuple[int, ...]:
    shape = tuple(map(int, lengths))
    if not 1 <= len(shape) <= 5 or min(shape) < 1:
        raise CaseError(f"expected a shape of 1 to 5 lengths of at least 1, got {str(lengths)[:200]}")
    return shape


def checked_file(path: Path, sha256: str, limit: int) -> bytes:
    """Return the content of a regular file; raise `CaseError` if it is missing, too large, or has another checksum."""
    try:
        with Folder(path.parent) as folder:
            content = folder.read(path.name, limit)
    except OSError as error:
        raise CaseError(f"{path.name} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise CaseError(f"{path.name} is damaged: its SHA-256 is not the one in case.json")
    return content
