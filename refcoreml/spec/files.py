"""Model files: reading ``.mlmodel`` and ``.mlpackage``, writing both, recognising what is neither."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from google.protobuf.message import DecodeError, EncodeError, Message

from refcoreml.errors import MalformedModelError, ModelNotFoundError, UnsupportedModelError, UsageError
from refcoreml.spec import schema

#: The newest specification version that the schema describes.
NEWEST_SPECIFICATION = 10

_MANIFEST = "Manifest.json"
_MODEL_ITEM = "com.apple.CoreML/model.mlmodel"
_WEIGHTS_ITEM = "com.apple.CoreML/weights"
_PROTOBUF_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class ModelFile:
    """What a model was read from.

    Attributes:
        spec: the model.
        name: file name or kind of the source, for messages.
        weights: folder of a package that holds weight files, if there is one.
    """

    spec: schema.Model
    name: str
    weights: Path | None = None


def read_model(source: Any) -> ModelFile:
    """Reads a model from wherever it is.

    Args:
        source: a path to ``.mlmodel`` or ``.mlpackage``, bytes, a binary file object, a ``Model`` message of this or
            another protobuf pool, or anything with ``get_spec()``, such as coremltools' ``MLModel``.

    Raises:
        ModelNotFoundError: nothing at that path.
        MalformedModelError: no Core ML model, or a damaged one.
        UnsupportedModelError: a compiled model, or one from a newer specification.
    """
    if isinstance(source, (str, os.PathLike)):
        return _read_path(Path(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return ModelFile(parse_model(bytes(source), "bytes"), "bytes")
    if isinstance(source, schema.Model):
        copy = schema.Model()
        copy.CopyFrom(source)
        return ModelFile(_checked(copy, "message"), "message")
    if isinstance(source, Message):
        return ModelFile(parse_model(source.SerializeToString(), "message"), "message")
    if hasattr(source, "get_spec"):
        weights = getattr(source, "weights_dir", None)
        found = read_model(source.get_spec())
        return ModelFile(found.spec, "message", Path(weights) if weights else None)
    if hasattr(source, "read"):
        data = source.read()
        if not isinstance(data, bytes):
            raise UsageError("the file object gave text, expected bytes", remedy="Open the file in mode 'rb'")
        name = str(getattr(source, "name", "file object"))
        return ModelFile(parse_model(data, name), name)
    raise UsageError(
        f"cannot load a model from {type(source).__name__}",
        remedy="Give a path, bytes, a binary file object, a Model message or an object with get_spec()",
    )


def _read_path(path: Path) -> ModelFile:
    try:
        if not path.exists():
            raise ModelNotFoundError("no such file or folder", where=str(path))
        if path.is_dir():
            return _read_folder(path)
        if path.stat().st_size > _PROTOBUF_LIMIT:
            raise MalformedModelError("larger than 2 GiB, which no .mlmodel file can be", where=str(path))
        return ModelFile(parse_model(path.read_bytes(), str(path)), str(path))
    except (
        OSError,
        ValueError,
        RuntimeError,
    ) as error:  # ValueError: a NUL in the path; RuntimeError: links in a circle
        if isinstance(error, ModelNotFoundError):
            raise
        raise MalformedModelError(f"cannot be read: {error}", where=str(path)) from error


def parse_model(data: bytes, name: str = "") -> schema.Model:
    """Parses the bytes of a ``.mlmodel`` file; unknown fields are kept and written again."""
    if not data:
        raise MalformedModelError("the file is empty", where=name)
    try:
        model = schema.Model.FromString(data)
    except (DecodeError, RecursionError) as error:
        raise MalformedModelError(f"not a Core ML model, or a damaged one{_guess(data)}", where=name) from error
    return _checked(model, name, data)


def _checked(model: schema.Model, name: str, data: bytes = b"") -> schema.Model:
    version = model.specificationVersion
    if version > NEWEST_SPECIFICATION:
        raise UnsupportedModelError(
            f"specification version {version}, the newest known here is {NEWEST_SPECIFICATION}",
            where=name,
            remedy="A newer refcoreml may read it",
        )
    if version < 1 or model.WhichOneof("Type") is None:
        missing = "no specification version" if version < 1 else "no model type"
        raise MalformedModelError(f"not a Core ML model: it has {missing}{_guess(data)}", where=name)
    return model


def _guess(data: bytes) -> str:
    """What the file may be instead, for the message."""
    known = {
        b"PK\x03\x04": "a zip archive, unpack it first",
        b"version https://git-lfs": "a Git LFS pointer, fetch the file itself with 'git lfs pull'",
        b"\x89HDF": "an HDF5 file, perhaps a Keras model",
        b"\x80": "a Python pickle, perhaps a PyTorch checkpoint",
        b"<": "XML or HTML, perhaps a failed download",
        b"{": "JSON",
    }
    return next((f"; it looks like {what}" for magic, what in known.items() if data.startswith(magic)), "")


def _read_folder(folder: Path) -> ModelFile:
    if (folder / _MANIFEST).is_file():
        return _read_package(folder)
    if (
        (folder / "coremldata.bin").exists()
        or (folder / "model.mil").exists()
        or (folder / "model.espresso.net").exists()
    ):
        form = "ML Program" if (folder / "model.mil").exists() else "neural network or classic model"
        raise UnsupportedModelError(
            f"a compiled model ({form}, .mlmodelc), whose form is private to Apple's runtime",
            where=str(folder),
            remedy="Load the .mlmodel or .mlpackage that it was compiled from",
        )
    raise MalformedModelError(
        f"a folder without {_MANIFEST}, so not a model package",
        where=str(folder),
        remedy="Give the .mlpackage folder itself",
    )


def _read_package(folder: Path) -> ModelFile:
    where = str(folder / _MANIFEST)
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        entries = manifest["itemInfoEntries"]
        root = entries[manifest["rootModelIdentifier"]]["path"]
        others = [item["path"] for item in entries.values()]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedModelError(f"the manifest is damaged: {type(error).__name__}: {error}", where=where) from error
    model_path = _inside(folder, root, where)
    if not model_path.is_file():
        raise MalformedModelError(f"the manifest names {root!r} as the model, but there is no such file", where=where)
    weights = [_inside(folder, path, where) for path in others if path != root]
    found = next((path for path in weights if path.is_dir()), None)
    return ModelFile(parse_model(model_path.read_bytes(), str(model_path)), str(folder), found)


def _inside(folder: Path, item: Any, where: str) -> Path:
    """The path of a package's item; refuses one that leaves the package, by dots, from the root or through a link."""
    data = (folder / "Data").resolve()
    if isinstance(item, str) and item and "\0" not in item and not Path(item).is_absolute():
        path = (data / item).resolve()
        if path.is_relative_to(data) and data.is_relative_to(folder.resolve()):
            return path
    raise MalformedModelError(f"the item path {item!r} leads out of the package", where=where)


def write_model(file: ModelFile, target: str | os.PathLike[str]) -> None:
    """Writes a model; the old file, if any, stays until the new one is complete.

    Args:
        file: the model, with its weight folder if it has one.
        target: a path that ends in ``.mlmodel`` or ``.mlpackage``.

    Raises:
        UsageError: the name has another ending, or the file cannot be written there.
    """
    path = Path(target)
    if path.suffix not in (".mlmodel", ".mlpackage"):
        raise UsageError("the name must end in .mlmodel or .mlpackage", where=str(path))
    if path.suffix == ".mlmodel" and file.weights is not None:
        raise UsageError(
            "the model has weight files, which only a package can hold", where=str(path), remedy="Save as .mlpackage"
        )
    try:
        data = file.spec.SerializeToString()
    except (EncodeError, ValueError) as error:
        raise UsageError(f"the model cannot be serialized: {error}", where=str(path)) from error
    if path.is_dir() != (path.suffix == ".mlpackage") and path.exists():
        raise UsageError("something of the other kind (file or folder) is in the way", where=str(path))
    try:
        _replace(path, data, file.weights)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror or error}", where=str(path)) from error


def _replace(path: Path, data: bytes, weights: Path | None) -> None:
    # A sibling of the target, because a rename is atomic within one file system only.
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        if path.suffix == ".mlmodel":
            with (staging / path.name).open("wb") as stream:
                _write_through(stream, data)
            os.replace(staging / path.name, path)
            return
        _write_package(staging / path.name, data, weights)
        if path.exists():
            os.replace(path, staging / "old")
        os.replace(staging / path.name, path)
    finally:
        if (staging / "old").exists() and not path.exists():
            os.replace(staging / "old", path)
        shutil.rmtree(staging, ignore_errors=True)


def _write_package(folder: Path, data: bytes, weights: Path | None) -> None:
    model = folder / "Data" / _MODEL_ITEM
    model.parent.mkdir(parents=True)
    with model.open("wb") as stream:
        _write_through(stream, data)
    root = str(uuid.uuid4()).upper()
    entries = {root: _entry("model.mlmodel", "Core ML model specification", _MODEL_ITEM)}
    if weights is not None:
        shutil.copytree(weights, folder / "Data" / _WEIGHTS_ITEM)
        entries[str(uuid.uuid4()).upper()] = _entry("weights", "Core ML model weights", _WEIGHTS_ITEM)
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": entries, "rootModelIdentifier": root}
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=4) + "\n", encoding="utf-8")


def _entry(name: str, description: str, path: str) -> dict[str, str]:
    return {"author": "com.apple.CoreML", "description": description, "name": name, "path": path}


def _write_through(stream: IO[bytes], data: bytes) -> None:
    stream.write(data)
    stream.flush()
    os.fsync(stream.fileno())
