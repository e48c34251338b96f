"""What a file or folder may be instead of a Core ML model, and what to do with it, for error messages."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_CONVERT = "convert the model that it was made of with coremltools"
_TORCH = "trace it with torch.jit.trace, and convert that with coremltools"

#: What files of a format begin with.
_STARTS = {
    b"version https://git-lfs": "a Git LFS pointer, fetch the file itself with 'git lfs pull'",
    b"\x89HDF": "an HDF5 file, perhaps a Keras model; load it with Keras, and convert it with coremltools",
    b"GGUF": f"a GGUF file, which holds the weights of a language model; {_CONVERT}",
    b"\x80": f"a Python pickle, perhaps a PyTorch checkpoint; build the network, load them into it, {_TORCH}",
    b"\x1f\x8b": "a gzip archive (.tar.gz), unpack it first",
    b"BZh": "a bzip2 archive, unpack it first",
    b"\xfd7zXZ": "an xz archive, unpack it first",
    b"7z\xbc\xaf": "a 7z archive, unpack it first",
    b"\x93NUMPY": "a NumPy array, an input perhaps",
    b"\x89PNG": "a picture, an input perhaps",
    b"\xff\xd8\xff": "a picture, an input perhaps",
    b"program(": "the text of an ML Program (model.mil), a part of a compiled model; give the .mlmodelc folder itself",
    b"<": "XML or HTML, perhaps a failed download",
}


def foreign_file(data: bytes) -> str:
    """Return what the bytes may be instead of a Core ML model, with what to do; empty if nothing is known."""
    for magic, what in _STARTS.items():
        if data.startswith(magic):
            return what
    if data.startswith(b"PK\x03\x04"):
        return _zip(data)
    if data[4:8] == b"TFL3":
        return f"a TensorFlow Lite model; {_CONVERT}"
    if data[257:262] == b"ustar":
        return "a tar archive, unpack it first"
    if data[8:10] == b'{"' and 2 <= int.from_bytes(data[:8], "little") <= len(data) - 8:
        return f"a safetensors file, which holds weights without a network; build it in PyTorch, load them, {_TORCH}"
    if data[64:68] == b"\xef\xbe\xad\xde":
        return "the weight file of a model package; give the .mlpackage folder itself"
    if data.lstrip()[:1] == b"{":
        manifest = b'"itemInfoEntries"' in data
        return "the manifest of a model package; give the .mlpackage folder itself" if manifest else "JSON"
    return _protobuf(data)


def foreign_folder(folder: Path) -> str:
    """Return what a folder without a manifest may be, with what to do; empty if nothing is known."""
    names = set()
    with suppress(OSError):
        names = {item.name for item in folder.iterdir()}
    if "saved_model.pb" in names:
        return "a TensorFlow SavedModel; convert it with coremltools.convert(PATH)"
    if "Data" in names:
        return "a model package whose Manifest.json is missing; copy the package again, as a whole"
    models = sorted(name for name in names if name.endswith((".mlmodel", ".mlpackage")))
    if models:
        return f"a folder that holds {', '.join(models[:3])}; give that path"
    if any(name.endswith(".safetensors") for name in names):
        return f"a folder of weights (safetensors); build the network in PyTorch, load them, {_TORCH}"
    return ""


def _zip(data: bytes) -> str:
    """Return what a zip archive is by the names in it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, RuntimeError):
        return "a damaged zip archive, perhaps a download that broke off"
    inside = {name.partition("/")[2] for name in names}
    if "data.pkl" in inside:
        if any(name.startswith("code/") for name in inside):
            return "a TorchScript model; convert it with coremltools.convert(torch.jit.load(PATH), inputs=...)"
        return f"a PyTorch checkpoint; build the network, load them into it, {_TORCH}"
    if "config.json" in names and any(name.endswith(".weights.h5") for name in names):
        return "a Keras model (.keras); load it with Keras, and convert it with coremltools"
    if names and all(name.endswith(".npy") for name in names):
        return "NumPy arrays (.npz), inputs perhaps"
    models = (name for name in names if name.endswith((".mlmodel", "Manifest.json", "coremldata.bin")))
    first = next(models, "")
    return f"a zip archive{f' that holds {first[:200]!r}' if first else ''}, unpack it first"


def _protobuf(data: bytes) -> str:
    """Return what a message of another schema is, by the numbers and types of its first fields."""
    fields = dict(_fields(data))
    onnx = fields.get(1) == 0 and fields.keys() & {7, 8} and all(fields.get(number, 2) == 2 for number in (2, 7, 8))
    if onnx:
        return f"an ONNX model, which coremltools no longer reads; {_CONVERT}, or run it with onnxruntime"
    if fields == {1: 0, 2: 2} and data[1:2] == b"\x01":
        return "a TensorFlow SavedModel (saved_model.pb); convert its folder with coremltools.convert(PATH)"
    return ""


def _fields(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield number and wire type of the fields at the top of a message, until something is no field."""
    place = 0
    for _ in range(1000):
        key, place = _varint(data, place)
        if key < 8:
            return
        kind = key & 7
        yield key >> 3, kind
        length, after = _varint(data, place)
        steps: Sequence[int] = (after, place + 8, after + max(length, 0), -1, -1, place + 4)
        place = steps[kind] if kind < len(steps) else -1
        if place < 0:
            return


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return the integer at a place and the place after it; -1 if there is none."""
    value = 0
    for index in range(min(10, len(data) - place)):
        byte = data[place + index]
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return value, place + index + 1
    return -1, place
