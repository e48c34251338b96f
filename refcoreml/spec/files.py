"""Model files: ``.mlmodel`` and ``.mlpackage``, read and written; compiled ML Programs, read; what is none of these."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError, EncodeError, Message

from refcoreml import values
from refcoreml.errors import MalformedModelError, ModelNotFoundError, UnsupportedModelError, UsageError
from refcoreml.spec import schema
from refcoreml.spec.blobs import BlobFiles
from refcoreml.spec.compiled import compiled_model
from refcoreml.spec.foreign import foreign_file, foreign_folder
from refcoreml.storage.reading import (
    DATA_LIMIT,
    MODEL_LIMIT,
    TEXT_LIMIT,
    FileRefusedError,
    Folder,
    LinkError,
    item_parts,
    read_file,
)
from refcoreml.storage.writing import NewFolder, check_writable, replacing_folder, write_file

#: The newest specification version that the schema describes.
NEWEST_SPECIFICATION = 10

_MANIFEST = "Manifest.json"
_MODEL_ITEM = "com.apple.CoreML/model.mlmodel"
_WEIGHTS_NAME = "weights"
_WEIGHTS_ITEM = f"com.apple.CoreML/{_WEIGHTS_NAME}"
_COMPILED = "model.mil"
#: Where a compiled pipeline holds its first model, and how many of its models a message names.
_FIRST_COMPILED, _MOST_PARTS = "model0", 8
#: How often to begin again when a package is replaced while it is read.
_ATTEMPTS = 100


@dataclass(frozen=True)
class Package:
    """The package that a model was read from; whatever it holds beside the model is saved with the model.

    Attributes:
        path: its folder.
        manifest: the manifest as it was read, with the names, authors and descriptions of all items.
        model: the model's path from the folder, with ``/`` between its parts.
        others: the same of the other items.
    """

    path: Path
    manifest: bytes
    model: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelFile:
    """What a model was read from.

    Attributes:
        spec: the model.
        name: file name or kind of the source, for messages.
        weights: the folder of its files of weights, if there is one; or their contents by their paths in it.
        package: the package, if it was one.
    """

    spec: schema.Model
    name: str
    weights: Path | Mapping[str, bytes] | None = None
    package: Package | None = None

    def blob_files(self) -> BlobFiles | None:
        """Return the files of weights of an ML Program, none of them opened yet; None if there is no place for them."""
        if self.package is not None:
            return BlobFiles(partial(_map_in_package, self.package))
        if self.weights is None:
            return None
        return BlobFiles(partial(_weights_in, self.weights))


def is_package_of(file: ModelFile, path: str | os.PathLike[str]) -> bool:
    """Return whether a path leads to the package that a model was read from."""
    if file.package is None:
        return False
    try:
        return os.path.samefile(file.package.path, path)
    except OSError:
        return False


def _map_in_package(package: Package, item: str) -> mmap.mmap:
    """Map a file by its path from the model's folder."""
    with Folder(package.path) as folder:
        if folder.read(_MANIFEST, TEXT_LIMIT) != package.manifest:
            raise MalformedModelError(
                "the package has changed since the model was read from it",
                where=str(package.path),
                remedy="Load the model again",
            )
        return folder.map(f"{package.model.rpartition('/')[0]}/{item}")


def _weights_in(weights: Path | Mapping[str, bytes], item: str) -> mmap.mmap | bytes:
    """Return a file by its path from the model's folder; all are in the folder ``weights`` there."""
    folder, _, inner = item.partition("/")
    if folder != _WEIGHTS_NAME or (not isinstance(weights, Path) and inner not in weights):
        raise FileNotFoundError(item)
    if not isinstance(weights, Path):
        return weights[inner]
    with Folder(weights) as opened:
        return opened.map(inner)


def read_model(source: Any) -> ModelFile:
    """Read a model from wherever it is.

    Args:
        source: a path to ``.mlmodel`` or ``.mlpackage``, or to ``.mlmodelc`` if an ML Program is in it; bytes, a binary
            file object, a ``Model`` message of this or another protobuf pool, or anything with ``get_spec()``, such as
            coremltools' ``MLModel``.

    Raises:
        ModelNotFoundError: nothing at that path.
        MalformedModelError: no Core ML model, or a damaged one.
        UnsupportedModelError: a compiled model that is no ML Program, or one from a newer specification.
    """
    if values.is_a(source, (str, os.PathLike)):
        return _read_path(values.path(source, values.argument("source")))
    if values.is_a(source, (bytes, bytearray, memoryview)):
        return ModelFile(parse_model(bytes(source), "bytes"), "bytes")
    if values.is_a(source, schema.Model):
        copy = schema.Model()
        copy.CopyFrom(source)
        return ModelFile(check_model(copy, "message"), "message")
    if values.is_a(source, Message):
        return ModelFile(parse_model(source.SerializeToString(), "message"), "message")
    if _asked("get_spec", lambda: hasattr(source, "get_spec")):
        spec = _asked("get_spec()", source.get_spec)
        if not values.is_a(spec, Message):
            raise UsageError(f"get_spec() returned {values.shown(spec)}, expected a message")
        weights = _asked("weights_dir", lambda: getattr(source, "weights_dir", None))
        found = read_model(spec)
        return ModelFile(found.spec, "message", Path(weights) if values.is_a(weights, (str, Path)) else None)
    if _asked("read", lambda: hasattr(source, "read")):
        data = _asked("read()", source.read)
        if not values.is_a(data, bytes):
            raise UsageError(
                f"the file object gave {values.shown(data)}, expected bytes", remedy="Open the file in mode 'rb'"
            )
        name = _asked("name", lambda: str(getattr(source, "name", "file object")))
        return ModelFile(parse_model(data, name), name)
    raise UsageError(
        f"cannot load a model from {values.shown(source)}",
        remedy="Give a path, bytes, a binary file object, a Model message or an object with get_spec()",
    )


def _asked(what: str, question: Callable[[], Any]) -> Any:
    """Return what a foreign object answers, which may raise anything."""
    try:
        return question()
    except Exception as error:
        raise UsageError(f"cannot load a model: {what} raised {values.reason(error)}") from error


def _read_path(path: Path) -> ModelFile:
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            return _read_folder(path)
        return ModelFile(parse_model(read_file(path, MODEL_LIMIT), str(path)), str(path))
    except FileNotFoundError as error:
        raise ModelNotFoundError("no such file or folder", where=str(path)) from error
    except FileRefusedError as error:
        raise MalformedModelError(str(error), where=str(path)) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        problem = getattr(error, "strerror", None) or error
        raise MalformedModelError(f"cannot be read: {problem}", where=str(path)) from error


def parse_model(data: bytes, name: str = "") -> schema.Model:
    """Parse the bytes of a ``.mlmodel`` file; unknown fields are kept and written again."""
    if not data:
        raise MalformedModelError("the file is empty", where=name)
    try:
        model = schema.Model.FromString(data)
    except (DecodeError, RecursionError) as error:
        raise MalformedModelError(f"not a Core ML model, or a damaged one{_guess(data)}", where=name) from error
    return check_model(model, name, data)


def check_model(model: schema.Model, name: str = "", data: bytes = b"") -> schema.Model:
    """Return a model that has a type and a specification version known here.

    Args:
        model: the model, or one inside a pipeline.
        name: its place, for messages.
        data: the bytes that it was parsed from.

    Raises:
        UnsupportedModelError: it is from a newer specification.
        MalformedModelError: it has no version or no type.
    """
    version = model.specificationVersion
    guess = _guess(data) if model.WhichOneof("Type") is None else ""
    if version > NEWEST_SPECIFICATION and not guess:
        raise UnsupportedModelError(
            f"specification version {version}, the newest known here is {NEWEST_SPECIFICATION}",
            where=name,
            remedy="A newer refcoreml may read it",
        )
    if version < 1 or model.WhichOneof("Type") is None:
        missing = "it has no specification version" if version < 1 else "it has no model type"
        raise MalformedModelError(f"not a Core ML model{guess or f': {missing}'}", where=name)
    return model


def _guess(data: bytes) -> str:
    """Return what the file may be instead, for the message."""
    found = foreign_file(data)
    return f"; it looks like {found}" if found else ""


def _read_folder(path: Path) -> ModelFile:
    """Read a package; begins again with the new one if another takes its place meanwhile."""
    for _ in range(_ATTEMPTS):
        with Folder(path) as folder:
            try:
                return _read_package(folder)
            except (OSError, MalformedModelError):
                if not folder.was_replaced():
                    raise
    raise MalformedModelError("was replaced repeatedly while it was read", where=str(path))


def _read_package(folder: Folder) -> ModelFile:
    where = str(folder.path / _MANIFEST)
    try:
        content = folder.read(_MANIFEST, TEXT_LIMIT)
    except FileNotFoundError:
        if (folder.path / _COMPILED).exists():
            return _read_compiled(folder)
        raise _no_package(folder.path) from None
    except FileRefusedError as error:
        raise _refused(error, where) from error
    try:
        manifest = json.loads(content)
        entries = manifest["itemInfoEntries"]
        root = entries[manifest["rootModelIdentifier"]]["path"]
        others = [item["path"] for item in entries.values()]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedModelError(f"the manifest is damaged: {type(error).__name__}: {error}", where=where) from error
    model = _item(root, where)
    items = tuple(_item(path, where) for path in others if path != root)
    try:
        weights = next((item for item in items if folder.is_folder(item)), None)
        data = folder.read(model, MODEL_LIMIT)
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = f"the manifest names {root!r} as the model, but there is no such file"
        raise MalformedModelError(problem, where=where) from error
    except FileRefusedError as error:
        raise _refused(error, where) from error
    return ModelFile(
        parse_model(data, str(folder.path / model)),
        str(folder.path),
        None if weights is None else folder.path / weights,
        Package(folder.path, content, model, items),
    )


def _read_compiled(folder: Folder) -> ModelFile:
    where = str(folder.path)
    try:
        text = folder.read(_COMPILED, TEXT_LIMIT).decode()
        try:
            metadata = folder.read("metadata.json", TEXT_LIMIT).decode()
        except FileNotFoundError:
            metadata = None
        weights = folder.path / _WEIGHTS_NAME if folder.is_folder(_WEIGHTS_NAME) else None
    except FileRefusedError as error:
        raise _refused(error, where) from error
    except UnicodeDecodeError as error:
        raise MalformedModelError(f"its program or its metadata are no UTF-8: {error}", where=where) from error
    return ModelFile(check_model(compiled_model(text, metadata, where), where), where, weights)


def _refused(error: FileRefusedError, where: str) -> MalformedModelError:
    remedy = ""
    if isinstance(error, LinkError):
        # The usual one is in the cache of huggingface_hub, which holds links to all its files.
        remedy = "Copy the package with what its links lead to ('cp -RL'), or download it into a folder of your own"
    return MalformedModelError(f"the item {error}", where=where, remedy=remedy)


def _no_package(folder: Path) -> MalformedModelError | UnsupportedModelError:
    """Return the error for a folder that has no manifest, and no program."""
    if any((folder / name).exists() for name in ("coremldata.bin", "model.espresso.net")):
        if (folder / _FIRST_COMPILED).is_dir():
            programs = [part for part in sorted(folder.glob("model[0-9]*")) if (part / _COMPILED).exists()]
            parts = f", or the ML Programs in it one by one: {', '.join(part.name for part in programs[:_MOST_PARTS])}"
            return UnsupportedModelError(
                "a compiled pipeline (.mlmodelc), which only Apple's runtime reads as a whole",
                where=str(folder),
                remedy=f"Load the .mlmodel or .mlpackage that it was compiled from{parts if programs else ''}",
            )
        network = (folder / "model.espresso.net").exists()
        return UnsupportedModelError(
            f"a compiled {'neural network' if network else 'model'} (.mlmodelc), which only Apple's runtime reads; of"
            " compiled models, ML Programs alone can be read here",
            where=str(folder),
            remedy="Load the .mlmodel or .mlpackage that it was compiled from",
        )
    if folder.suffix.lower() == ".mlmodelc":
        return MalformedModelError(
            f"no compiled model: {_COMPILED}, the ML Program, is missing",
            where=str(folder),
            remedy="Copy the whole folder, or load the .mlpackage that it was compiled from",
        )
    found = foreign_folder(folder)
    return MalformedModelError(
        f"a folder without {_MANIFEST}, so not a model package{f'; it looks like {found}' if found else ''}",
        where=str(folder),
        remedy="" if found else "Give the .mlpackage folder itself",
    )


def _item(path: Any, where: str) -> str:
    """Return the path of an item from the package's folder; refuse one that leads out of it."""
    try:
        if isinstance(path, str):
            return "/".join(("Data", *item_parts(path)))
    except FileRefusedError:
        pass
    raise MalformedModelError(f"the item path {path!r} leads out of the package", where=where)


def write_model(file: ModelFile, target: str | os.PathLike[str]) -> None:
    """Write a model; the old file, if any, stays until the new one is complete.

    A package keeps what the model's own package holds beside the model.

    Args:
        file: the model, with its weight folder or package if it has one.
        target: a path that ends in ``.mlmodel`` or ``.mlpackage``.

    Raises:
        UsageError: the name has another ending, or the file cannot be written there.
        MalformedModelError: the model's own package holds links, or what is no regular file.
    """
    path = check_target(file, target)
    try:
        data = file.spec.SerializeToString()
    except (EncodeError, ValueError) as error:
        raise UsageError(f"the model cannot be serialized: {error}", where=str(path)) from error
    if path.suffix == ".mlmodel":
        write_file(data, path)
        return
    for _ in range(_ATTEMPTS):
        with suppress(_ReplacedError), replacing_folder(path) as new:
            if file.package is not None:
                _write_again(new, data, file.package, path)
            else:
                _write_new(new, data, file.weights, path)
            break
    else:
        raise UsageError("was replaced repeatedly while it was copied", where=file.name)


def check_target(file: ModelFile, target: str | os.PathLike[str]) -> Path:
    """Return the path to which `write_model` would write; raises what it would raise about the path, before any work.

    Raises:
        UsageError: the name has another ending, or what is there now is in the way.
    """
    path = values.path(target, values.argument("path"))
    if path.suffix not in (".mlmodel", ".mlpackage"):
        raise UsageError("the name must end in .mlmodel or .mlpackage", where=str(path))
    if path.suffix == ".mlmodel" and file.weights is not None:
        raise UsageError(
            "the model has weight files, which only a package can hold", where=str(path), remedy="Save as .mlpackage"
        )
    check_writable(path, "file" if path.suffix == ".mlmodel" else "folder")
    if path.is_dir() and not _may_be_replaced(path):
        raise UsageError(
            "a folder that is no model package is in the way",
            where=str(path),
            remedy="Remove it, or choose another name",
        )
    return path


def _may_be_replaced(folder: Path) -> bool:
    """Return whether a folder is a model package, if a damaged one, or empty: anything else in it would be lost."""
    try:
        return (folder / "Manifest.json").exists() or not any(folder.iterdir())
    except OSError:  # who cannot look into it cannot say
        return False


class _ReplacedError(Exception):
    """The package that was being copied has made way for another one."""


def _write_again(new: NewFolder, data: bytes, package: Package, target: Path) -> None:
    """Write the package that a model was read from, with its present message."""
    new.write(_MANIFEST, package.manifest)
    new.write(package.model, data)
    if not _copy_others(package, new, target) and package.others:
        raise UsageError(
            "the package that the model was read from has changed since, so its other items cannot be copied",
            where=str(package.path),
            remedy="Load the model again",
        )


def _copy_others(package: Package, new: NewFolder, target: Path) -> bool:
    """Copy what else the package holds; return False if it is no longer the one that was read."""
    try:
        old = Folder(package.path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    with old:
        try:
            if old.read(_MANIFEST, TEXT_LIMIT) != package.manifest:
                return False
            _copy(old, "", new, target, leave_out=(_MANIFEST, package.model))
            return True
        except FileRefusedError as error:
            raise _refused(error, str(package.path)) from error
        except FileNotFoundError as error:
            if old.was_replaced():
                raise _ReplacedError from error
            return False


def _write_new(new: NewFolder, data: bytes, weights: Path | Mapping[str, bytes] | None, target: Path) -> None:
    root = str(uuid.uuid4()).upper()
    entries = {root: _entry("model.mlmodel", "Core ML model specification", _MODEL_ITEM)}
    new.write(f"Data/{_MODEL_ITEM}", data)
    if isinstance(weights, Path):
        try:
            with Folder(weights) as old:
                _copy(old, f"Data/{_WEIGHTS_ITEM}/", new, target)
        except FileRefusedError as error:
            raise _refused(error, str(weights)) from error
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MalformedModelError(f"the weight files cannot be read: {error}", where=str(weights)) from error
    elif weights is not None:
        for item, content in weights.items():
            new.write(f"Data/{_WEIGHTS_ITEM}/{item}", content)
    if weights is not None:
        entries[str(uuid.uuid4()).upper()] = _entry("weights", "Core ML model weights", _WEIGHTS_ITEM)
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": entries, "rootModelIdentifier": root}
    new.write(_MANIFEST, f"{json.dumps(manifest, indent=4)}\n".encode())


def _copy(old: Folder, prefix: str, new: NewFolder, target: Path, leave_out: tuple[str, ...] = ()) -> None:
    """Copy the files of a folder, but not before it is clear that they fit."""
    files = {item: size for item, size in old.files() if item not in leave_out}
    free = min(shutil.disk_usage(target.resolve().parent).free, DATA_LIMIT)
    if sum(files.values()) > free:
        raise UsageError(
            f"the other files of the model take {sum(files.values()):,} bytes, {free:,} are free", where=str(target)
        )
    for item in files:
        with old.open(item) as stream:
            new.copy(prefix + item, stream)


def _entry(name: str, description: str, path: str) -> dict[str, str]:
    return {"author": "com.apple.CoreML", "description": description, "name": name, "path": path}
