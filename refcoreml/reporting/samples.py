"""Where samples come from: a folder of pictures, an ``.npz``, a folder of those, a list of dicts, any iterable.

Samples are read one at a time, so that a data set may be larger than the memory.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from refcoreml import features, values
from refcoreml.errors import InputError, RefCoreMLError, UsageError, within
from refcoreml.features import ArrayFeature, Feature, ImageFeature, ScalarFeature
from refcoreml.model import Model
from refcoreml.storage.arrays import read_npy, read_npz
from refcoreml.storage.reading import open_file, read_json, read_text

__all__ = ["Label", "Sample", "Source", "checked", "each", "fingerprint", "read_image", "read_labels"]

Label: TypeAlias = "str | int"

#: Files of a folder with these endings, in lower or upper case, are pictures.
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
#: Files of arrays, which no picture is read from.
_ARRAYS = (".npy", ".npz", ".json")

#: What `Source.labels` is when each picture's folder says what it shows.
FOLDERS = "folders"


class _BrokenFileError(UsageError):
    """A file that cannot be read at all, which `Source.skip_broken` leaves out."""


@dataclass(frozen=True)
class Sample:
    """One set of inputs.

    Attributes:
        name: the file that holds it, or its number.
        inputs: values by input name, as `Model.predict` takes them.
        label: what it truly is, if that is known.
    """

    name: str
    inputs: dict[str, Any]
    label: Label | None = None


@dataclass(frozen=True)
class Source:
    """Data as the user describes it, not yet read. Can be sent to another process if ``data`` can.

    Attributes:
        data: one of

            * the path of a folder: its pictures, those in folders below included but hidden files not, in the order of
              their names; or, if there are none, its ``.npz`` files;
            * the path of an ``.npz``: arrays by input name, each with one more dimension than the input, samples
              first; or without, one sample. If the model has one input, its only array may have any name;
            * an iterable of dicts of inputs, or of pairs (dict, true label).
        labels: the true labels: a sequence as long as the data; a dict from names of samples (a file's path below the
            folder, or its last part) to labels; ``"folders"``, where the folder of each picture is its label; or the
            name of an array in the ``.npz``.
        resize: what to do with pictures of another size than the model's: see `features.prepare_image`.
        skip_broken: whether to leave out files that cannot be read, and note their names, instead of raising.
    """

    data: Any
    labels: Sequence[Label] | Mapping[str, Label] | str | None = None
    resize: features.Resize | None = None
    skip_broken: bool = False

    @classmethod
    def of(cls, data: Any, **options: Any) -> Source:
        """Return the data as a source, which it may be already; then the options that are given count."""
        if not values.is_a(data, Source):
            return cls(data, **options)
        given = {name: value for name, value in options.items() if value is not None and value is not False}
        source: Source = replace(data, **given)
        return source

    def samples(self, model: Model, skipped: list[str] | None = None) -> Iterator[Sample]:
        """Read the samples, each when it is requested.

        Args:
            model: whose inputs they are to be.
            skipped: gets the names of files that could not be read, if ``skip_broken``.

        Raises:
            UsageError: there is no data, a file cannot be read, or labels do not match the samples.
            InputError: an input is not what the model declares.
        """
        labels, by_name = self._labels()
        if values.is_a(self.labels, str) and not values.is_a(self.data, (str, Path)):
            raise UsageError(f"labels={values.quoted(self.labels)} needs a folder or an .npz as data", where="labels")
        count = 0
        for sample in self._unlabelled(model, skipped if skipped is not None else []):
            count += 1
            if labels is not None:
                if count > len(labels):
                    raise UsageError(f"there are {len(labels)} labels, but more samples", where="labels")
                sample = Sample(sample.name, sample.inputs, labels[count - 1])
            elif by_name is not None:
                sample = Sample(sample.name, sample.inputs, _label_of(sample.name, by_name))
            yield sample
        if count == 0:
            raise UsageError("there are no samples" + _after(skipped), where=_named(self.data))
        if labels is not None and count != len(labels):
            raise UsageError(f"there are {len(labels)} labels for {count} samples{_after(skipped)}", where="labels")

    def _labels(self) -> tuple[list[Label] | None, dict[str, Label] | None]:
        """Return the labels as a list in the order of the samples, or by name; checked."""
        refuse = values.argument("labels")
        if self.labels is None or values.is_a(self.labels, str):
            return None, None
        if values.is_a(self.labels, Mapping):
            named = values.mapping(self.labels, refuse)
            return None, {str(values.text(name, refuse)): _label(label, refuse) for name, label in named.items()}
        return [_label(label, refuse) for label in values.items(self.labels, refuse)], None

    def _unlabelled(self, model: Model, skipped: list[str]) -> Iterator[Sample]:
        if values.is_a(self.data, (str, Path)):
            if os.path.isdir(self.data):
                yield from self._folder(Path(self.data), model, skipped)
            elif Path(self.data).suffix.lower() == ".npz":
                yield from self._archive(Path(self.data), model, "")
            else:
                there = os.path.exists(self.data)
                problem = "is neither a folder nor an .npz" if there else "there is no such file or folder"
                is_array = there and Path(self.data).suffix.lower() == ".npy"
                name = model.inputs[0].name if model.inputs else "x"
                remedy = f"Store it with others, samples first: np.savez('data.npz', **{{{name!r}: array}})"
                raise UsageError(problem, where=str(self.data), remedy=remedy if is_array else "")
            return
        if values.is_a(self.data, Mapping) or not values.is_a(self.data, Iterable):
            raise UsageError(
                f"cannot take samples from {values.shown(self.data)}",
                remedy="Give a folder, an .npz, or an iterable of dicts of inputs; a single dict in a list",
            )
        for index, item in enumerate(each(self.data)):
            refuse = values.argument(f"sample {index}")
            pair = values.is_a(item, tuple) and tuple.__len__(item) == 2
            inputs, label = tuple.__iter__(item) if pair else (item, None)
            checked = values.mapping(inputs, refuse, "a dict of inputs or (dict, label)")
            yield Sample(str(index), dict(checked), None if label is None else _label(label, refuse))

    def _folder(self, folder: Path, model: Model, skipped: list[str]) -> Iterator[Sample]:
        try:
            files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        except OSError as error:
            raise UsageError(f"cannot be read: {values.unread(error)}", where=str(folder)) from error
        pictures = [path for path in files if path.suffix.lower() in PICTURES]
        if not pictures:
            archives = [path for path in files if path.suffix.lower() == ".npz"]
            if not archives:
                raise UsageError("holds neither pictures nor .npz files", where=str(folder))
            for path in archives:
                try:
                    yield from self._archive(path, model, f"{path.relative_to(folder).as_posix()} ")
                except _BrokenFileError:
                    if not self.skip_broken:
                        raise
                    skipped.append(path.relative_to(folder).as_posix())
            return
        if len(model.inputs) != 1 or not isinstance(model.inputs[0], ImageFeature):
            listed = ", ".join(f"{feature.name}: {feature.describe()}" for feature in model.inputs)
            raise UsageError(
                f"a folder of pictures suits models with one image input, this one has {listed}",
                remedy="Give an .npz or dicts",
            )
        if values.is_a(self.labels, str) and self.labels != FOLDERS:
            raise UsageError(
                f"labels={self.labels!r} means an array of an .npz, but these are pictures",
                where=str(folder),
                remedy=f"Give {FOLDERS!r}, a list or a dict",
            )
        feature = model.inputs[0]
        for path in pictures:
            name = path.relative_to(folder).as_posix()
            try:
                image = read_image(feature, path, self.resize)
            except _BrokenFileError:
                if not self.skip_broken:
                    raise
                skipped.append(name)
                continue
            yield Sample(name, {feature.name: image}, path.parent.name if self.labels == FOLDERS else None)

    def _archive(self, path: Path, model: Model, prefix: str) -> Iterator[Sample]:
        try:
            arrays = read_npz(path)
        except (OSError, ValueError, MemoryError) as error:
            raise _BrokenFileError(f"cannot be read: {values.unread(error)}", where=str(path)) from error
        labels = None
        if values.is_a(self.labels, str):
            if self.labels not in arrays:
                raise UsageError(f"holds {', '.join(arrays)}, but no labels {self.labels!r}", where=str(path))
            labels = arrays.pop(self.labels)
        arrays = _by_input(arrays, model, path)
        stacked = {name: _is_stack(feature, arrays[name], model) for name, feature in _inputs_in(model, arrays)}
        if len(set(stacked.values())) > 1:
            raise UsageError(f"some arrays hold several samples and some one: {stacked}", where=str(path))
        if stacked and not any(stacked.values()):
            arrays = {name: array[None] for name, array in arrays.items()}
            labels = np.reshape(labels, 1) if labels is not None and np.size(labels) == 1 else labels
        counts = {name: len(array) for name, array in arrays.items()}
        if labels is not None:
            counts["labels"] = len(np.atleast_1d(labels))
        if len(set(counts.values())) > 1:
            raise UsageError(f"the arrays differ in their number of samples: {counts}", where=str(path))
        for index in range(next(iter(counts.values()), 0)):
            inputs = {
                feature.name: _value(feature, arrays[feature.name][index], self.resize)
                for _, feature in _inputs_in(model, arrays)
            }
            label = None if labels is None else _label(np.atleast_1d(labels)[index], values.argument(str(path)))
            yield Sample(f"{prefix}{index}", inputs, label)


def _inputs_in(model: Model, arrays: Mapping[str, Any]) -> Iterator[tuple[str, Feature]]:
    return ((feature.name, feature) for feature in model.inputs if feature.name in arrays)


def _by_input(arrays: dict[str, Any], model: Model, path: Path) -> dict[str, Any]:
    names = [feature.name for feature in model.inputs]
    found = {name: arrays[name] for name in names if name in arrays}
    if not found and len(arrays) == 1 and len(names) == 1:
        found = {names[0]: next(iter(arrays.values()))}
    missing = [feature.name for feature in model.inputs if feature.name not in found and not feature.optional]
    if missing or not found:
        raise UsageError(
            f"holds {', '.join(arrays) or 'nothing'}, but the model's inputs are {', '.join(names)}", where=str(path)
        )
    return found


def _is_stack(feature: Feature, array: Any, model: Model) -> bool:
    """Return whether an array holds samples one after another: its first item fits the input, or the whole does not."""
    if array.ndim == 0:
        return False
    if isinstance(feature, ImageFeature):
        colored = feature.channels == 3 and array.shape[-1] in (3, 4)
        return bool(array.ndim > (3 if colored else 2))
    if not isinstance(feature, ArrayFeature):
        return True
    legacy = model.prepare().legacy_ranks

    def fits(value: Any) -> bool:
        try:
            features.check_inputs([feature], {feature.name: value}, legacy_ranks=legacy)
        except InputError:
            return False
        return True

    return len(array) > 0 and (fits(array[0]) or not fits(array))


def _value(feature: Feature, value: Any, resize: Any) -> Any:
    if isinstance(feature, ImageFeature) and value.dtype == np.uint8:
        from PIL import Image

        try:
            return features.prepare_image(Image.fromarray(value), feature, resize)
        except RefCoreMLError:
            raise
        except Exception as error:  # Pillow raises all sorts of things for shapes that it does not know
            raise feature.refuse(f"an array of shape {value.shape} is no picture") from error
    return value.item() if isinstance(feature, ScalarFeature) and value.size == 1 else value


def each(data: Iterable[Any]) -> Iterator[Any]:
    """Yield the items of an iterable of the user's, whose own errors say where they were raised."""
    count = 0
    try:
        for item in data:
            yield item
            count += 1
    except RefCoreMLError:
        raise
    except Exception as error:
        raise UsageError(f"the data cannot be read: {values.reason(error)}", where=f"sample {count}") from error


def _label(label: Any, refuse: values.Refuse) -> Label:
    """Return a true label as a plain string or integer."""
    if values.is_a(label, np.generic):
        label = label.item()
    if values.is_a(label, str):
        return values.text(label, refuse)
    if values.is_a(label, bool) or not values.is_a(label, int):
        raise refuse(f"a label must be a string or an integer, got {values.shown(label)}")
    return values.integer(label, refuse)


def _label_of(name: str, labels: Mapping[str, Label]) -> Label:
    for key in (name, name.rsplit("/", 1)[-1]):
        if key in labels:
            return labels[key]
    raise UsageError("there is no label for this sample", where=name)


def _named(data: Any) -> str:
    return str(data) if isinstance(data, (str, Path)) else "data"


def _after(skipped: list[str] | None) -> str:
    return f" ({len(skipped)} files were skipped as broken)" if skipped else ""


def read_image(feature: Feature, path: str | Path, resize: features.Resize | None) -> Any:
    """Open a picture and bring it to the colours of an image input and, if asked, to its size.

    Raises:
        UsageError: the file cannot be read as a picture, or has another size.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with open_file(path) as file, Image.open(file) as picture:
            prepared = features.prepare_image(picture, feature, resize)
    except Exception as error:  # Pillow's decoders raise all sorts of things on damaged files
        if isinstance(error, UsageError):
            raise
        if isinstance(error, UnidentifiedImageError) and Path(path).suffix.lower() in _ARRAYS:
            raise UsageError("is a file of arrays, but an image input takes a picture", where=str(path)) from error
        raise _BrokenFileError(f"cannot be read as a picture: {values.unread(error)}", where=str(path)) from error
    try:
        features.check_inputs([feature], {feature.name: prepared})
    except InputError as error:
        raise UsageError(
            error.problem,
            where=f"{path}, {error.where}",
            remedy="Add --resize fill, fit or crop (resize=... in Python)",
        ) from error
    return prepared


def read_labels(path: str | Path) -> list[Label] | dict[str, Label]:
    """Return the true labels that a file holds.

    ``.json`` holds a list, or an object from sample to label; ``.npy`` a list; ``.csv`` two columns, sample and label;
    any other text one label a line.

    Raises:
        UsageError: the file cannot be read as such.
    """
    if not values.is_a(path, (str, Path)):
        raise UsageError(f"got {values.shown(path)}, expected a path", where="labels")
    path = Path(path)
    try:
        if path.suffix.lower() == ".npy":
            return _checked(read_npy(path).reshape(-1).tolist(), path)
        if path.suffix.lower() == ".json":
            loaded = read_json(path)
            if not isinstance(loaded, (list, dict)):
                raise UsageError("expected a list of labels or an object from sample to label", where=str(path))
            return _checked(loaded, path)
        text = read_text(path)
        if path.suffix.lower() == ".csv":
            return {name: label for name, label in csv.reader(text.splitlines())}
        return [line.strip() for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, MemoryError, csv.Error) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"cannot be read as labels: {values.unread(error)}", where=str(path)) from error


def _checked(labels: Any, path: Path) -> list[Label] | dict[str, Label]:
    refuse = values.argument(str(path))
    if isinstance(labels, dict):
        return {name: _label(label, refuse) for name, label in labels.items()}
    return [_label(label, refuse) for label in labels]


def checked(samples: Iterable[Sample], model: Model) -> Iterator[Sample]:
    """Yield the samples; raise `InputError` for one that does not fit the model."""
    model.prepare()
    for sample in samples:
        with within(f"sample {sample.name!r}"):
            model.check_inputs(sample.inputs)
        yield sample


def fingerprint(samples: Iterable[Sample]) -> str:
    """Return a digest of names, values and labels of samples: equal if and only if (but for collisions) these are."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(repr((sample.name, sample.label, sorted(sample.inputs))).encode())
        for name in sorted(sample.inputs):
            value = sample.inputs[name]
            if isinstance(value, (str, int, float, Mapping)):
                digest.update(repr(value).encode())
            else:
                array = np.asarray(value)
                digest.update(f"{array.dtype} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
