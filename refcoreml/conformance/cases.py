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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.storage.reading import MODEL_LIMIT, TEXT_LIMIT, Folder

#: The versions of the format that this file reads: 1 describes networks, 2 ML Programs.
FORMATS = (1, 2)

VERDICTS = ("returns", "malformed", "invalid", "unsupported-ok")
#: What texts are, and what they consist of. Names of arrays and files name a file on every system.
_ANY = ("printable text", r".*")
_NAME = ("a name of letters, digits and _", r"[A-Za-z0-9_]{1,200}")
_FILE = ("a file name of letters, digits, _ and .", r"[A-Za-z0-9_][A-Za-z0-9_.]{0,199}")
_PATH = ("a path of file names with / between them", r"[A-Za-z0-9_][A-Za-z0-9_.]*(/[A-Za-z0-9_][A-Za-z0-9_.]*){0,9}")
_ID = ("names of letters and digits with / between them", r"[A-Za-z0-9]+(/[A-Za-z0-9_.-]+)+")
#: By version of the format the types of inputs, the fewest axes of a shape, and the profiles.
_DTYPES = {1: ("float32", "float64", "int32", "float16"), 2: ("float32", "float16", "float64", "int32", "int8")}
_LEAST_AXES = {1: 1, 2: 0}
_PROFILES = {1: ("fp32", "fp16/acc32", "fp16/acc16"), 2: ("fp32", "declared")}
#: The most bytes of a case's file of arrays.
ARRAYS_LIMIT = 1 << 30
#: How often a case may ask to be run, and how many predictions it may be a sequence of.
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
            try:
                array = self._array_of(content)
            except SystemError:  # of CPython 3.11, where another thread parses Python at the same time
                array = self._array_of(content)
        except Exception as error:  # a wrong offset can make NumPy raise almost anything
            raise CaseError(f"{self.path.name} has no array at {self.offset}: {error}") from error
        if array.shape != self.shape or array.dtype.kind not in "fiub":
            raise CaseError(f"{self.path.name} at {self.offset} holds {array.dtype} {array.shape}, not {self.shape}")
        return array

    def _array_of(self, content: io.BytesIO) -> NDArray[Any]:
        content.seek(self.offset)
        array: NDArray[Any] = np.lib.format.read_array(content, allow_pickle=False)
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
        shape: its lengths.
        free_ones: whether dimensions of length 1 may be more or fewer, as networks of rank 5 leave it open.
        check: which kind of bound it is, for reports.
        profiles: what is expected, by profile.
        moments: for random numbers: (power, the mean of this power of all elements, how far it may be off).
        dtype: what the model declares; empty if the case does not say it.
        storage: of programs, in the profile ``declared``, the narrowest type that its numbers pass through.
        labels: of a classifier: the array holds the scores in this order, or, of a label, its place among them.
        folder: where it goes below the folder of outputs, the number of the step and a ``/`` if there are several.
    """

    name: str
    shape: tuple[int, ...]
    free_ones: bool
    check: str
    profiles: Mapping[str, Expected]
    moments: Sequence[tuple[int, float, float]] = ()
    dtype: str = ""
    storage: str = ""
    labels: Sequence[str | int] = ()
    folder: str = ""

    @property
    def place(self) -> str:
        """Its name behind the folder that it goes to, such as ``y0`` or, in the second of several steps, ``1/y0``."""
        return self.folder + self.name


@dataclass(frozen=True)
class Step:
    """A prediction: its inputs, and what is expected."""

    inputs: Sequence[Input]
    outputs: Sequence[Output]

    def read_inputs(self) -> dict[str, NDArray[Any]]:
        """Return the inputs by name, in the types that the model declares."""
        return {item.name: item.values.read().astype(item.dtype) for item in self.inputs}


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
        model: the file or, of a package, its folder.
        files: the checksums of the model's files, by their path from the case's folder.
        steps: predictions, one after the other, that share one state, which at first holds zeros.
        repeat: of networks, how often to predict with the same inputs; the last outputs count.
        operations, opset: of a program the types of operations in it, and its operation set; else nothing.
        function: the function of a program that predicts; empty for the one that the model says.
        format: the version of the format.
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
    files: Mapping[str, str]
    steps: Sequence[Step] = (Step((), ()),)
    repeat: int = 1
    operations: Sequence[str] = ()
    opset: str = ""
    function: str = ""
    format: int = 1

    @property
    def outputs(self) -> list[Output]:
        """The outputs of all steps."""
        return [output for step in self.steps for output in step.outputs]

    def supports(self, profile: str) -> bool:
        """Return whether the case says something about the profile."""
        return profile in _PROFILES[self.format] and all(profile in output.profiles for output in self.outputs)

    def read_inputs(self) -> dict[str, NDArray[Any]]:
        """Return the inputs of the first step by name, in the types that the model declares."""
        return self.steps[0].read_inputs()

    def check_model(self) -> Path:
        """Return the model's path; raise `CaseError` if its files are not those that were written."""
        if self.model.name not in self.files:
            found = _items(self.model)
            if {f"{self.model.name}/{name}" for name in found} != set(self.files):
                raise CaseError(f"{self.model.name} holds {', '.join(found)[:200]}, not the files that case.json lists")
        for name, sha256 in self.files.items():
            checked_file(self.folder / name, sha256, MODEL_LIMIT)
        return self.model


def find_cases(root: Path, patterns: Sequence[str] = (), without: Sequence[str] = ()) -> list[Path]:
    """Return the folders of all cases below ``root`` whose path from there fits one of the patterns, sorted.

    Args:
        root: a folder.
        patterns: with ``*`` for any text; ``convolution`` fits everything below a folder of that name, too.
        without: patterns of cases to leave out.
    """
    folders = sorted(path.parent for path in root.rglob("case.json"))

    def fits(folder: Path, patterns: Sequence[str]) -> bool:
        name = folder.relative_to(root).as_posix()
        forms = (form for pattern in patterns for form in (pattern, f"{pattern.rstrip('/')}/*"))
        return any(fnmatch.fnmatch(name, form) for form in forms)

    return [folder for folder in folders if (not patterns or fits(folder, patterns)) and not fits(folder, without)]


def read_case(folder: Path) -> Case:
    """Read ``case.json``; files are read when they are requested.

    Raises:
        CaseError: the file is missing, is no JSON, lacks something, or is of another format.
    """
    try:
        with Folder(folder) as opened:
            text = json.loads(opened.read("case.json", TEXT_LIMIT).decode("utf-8"))
        version = text["format"]
        if version not in FORMATS:
            raise CaseError(f"case.json is of format {version!r}, this reader knows {' and '.join(map(str, FORMATS))}")
        if text["verdict"] not in VERDICTS:
            raise CaseError(f"the verdict is {text['verdict']!r}, expected one of {', '.join(VERDICTS)}")
        repeat, steps = int(text.get("repeat", 1)), text["steps"] if version > 1 else [text]
        for count in (repeat, len(steps)):
            if not 1 <= count <= MOST_RUNS:
                raise CaseError(f"the model is to run {count} times, expected 1 to {MOST_RUNS}")
        if text["verdict"] == "returns" and not any(step["outputs"] for step in steps):
            raise CaseError("the model returns, but no output is listed, so that nothing would be compared")
        arrays = (Path(), "")
        if any(step["inputs"] or step["outputs"] for step in steps):
            arrays = folder / _text(text["arrays"]["file"], _FILE), _text(text["arrays"]["sha256"])
        name = _text(text["model"]["file"], _FILE)
        listed = text["model"].get("files") if version > 1 else None
        files = {name: text["model"]["sha256"]} if listed is None else {f"{name}/{k}": v for k, v in listed.items()}
        return Case(
            folder=folder,
            id=_text(text["id"], _ID),
            family=_text(text["family"]),
            layers=[_text(name) for name in text["layers"]] if version == 1 else [],
            data=_text(text["data"]),
            clauses=[_text(label) for label in text["clauses"]],
            specification=int(text["requires"]["specification"]),
            features=[_text(name) for name in text["requires"]["features"]],
            custom_layers={_text(k): _text(v) for k, v in text["requires"].get("custom_layers", {}).items()},
            verdict=text["verdict"],
            rule=_text(text.get("rule", "")),
            model=folder / name,
            files={_text(path, _PATH): _text(sha256) for path, sha256 in files.items()},
            steps=[
                _step(version, arrays, step, f"{number}/" if len(steps) > 1 else "")
                for number, step in enumerate(steps)
            ],
            repeat=repeat,
            operations=[_text(name) for name in text["operations"]] if version > 1 else [],
            opset=_text(text["opset"]) if version > 1 else "",
            function=_text(text.get("function", "")),
            format=version,
        )
    except CaseError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise CaseError(f"case.json cannot be read: {type(error).__name__}: {error}") from error


def _step(version: int, arrays: tuple[Path, str], step: Any, folder: str) -> Step:
    inputs, outputs = step["inputs"], step["outputs"]
    if any(len({str(item["name"]).lower() for item in items}) < len(items) for items in (inputs, outputs)):
        raise CaseError("names of inputs or of outputs are equal, or differ in case alone")
    return Step(
        [_input(version, arrays, item) for item in inputs], [_output(version, arrays, item, folder) for item in outputs]
    )


def _input(version: int, arrays: tuple[Path, str], item: Any) -> Input:
    dtype, shape = str(item["dtype"]), _shape(item["shape"], _LEAST_AXES[version])
    if dtype not in _DTYPES[version]:
        raise CaseError(f"input {item['name']!r} has the type {dtype!r}")
    return Input(_text(item["name"], _NAME), dtype, Stored(*arrays, int(item["values"]["at"]), shape))


def _output(version: int, arrays: tuple[Path, str], item: Any, folder: str) -> Output:
    shape = _shape(item["shape"], _LEAST_AXES[version])

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
    dtype = str(item["dtype"]) if version > 1 else ""
    if dtype and dtype not in _DTYPES[version]:
        raise CaseError(f"output {item['name']!r} has the type {dtype!r}")
    return Output(
        _text(item["name"], _NAME),
        shape,
        bool(item.get("free_ones", False)),
        _text(item["check"]),
        profiles,
        [(int(m["power"]), float(m["reference"]), float(m["bound"])) for m in item.get("moments", [])],
        dtype,
        _text(item.get("storage", dtype)),
        [label if isinstance(label, int) else _text(label) for label in item.get("labels", [])],
        folder,
    )


def _text(value: Any, kind: tuple[str, str] = _ANY) -> str:
    """Return a text that can be shown and written anywhere."""
    what, pattern = kind
    if not isinstance(value, str) or not value.isprintable() or not re.fullmatch(pattern, value):
        raise CaseError(f"expected {what}, got {ascii(value)[:200]}")
    return value


def _shape(lengths: Any, least: int) -> tuple[int, ...]:
    shape = tuple(map(int, lengths))
    if not least <= len(shape) <= 5 or min(shape, default=1) < 1:
        raise CaseError(f"expected a shape of {least} to 5 lengths of at least 1, got {str(lengths)[:200]}")
    return shape


def _items(package: Path) -> list[str]:
    """Return the files of a package; raise `CaseError` if it holds anything else, such as links."""
    try:
        with Folder(package) as folder:
            return [name for name, _ in folder.files()]
    except OSError as error:
        raise CaseError(f"{package.name} cannot be read: {error.strerror}") from error


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
