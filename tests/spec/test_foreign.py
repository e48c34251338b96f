"""Files and folders of other formats: each error says what it looks like, and what to do."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import refcoreml
from refcoreml.errors import MalformedModelError, UnsupportedModelError
from refcoreml.spec import schema


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"content of the entry")
    return file.getvalue()


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.mlmodel"))
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(3))
    return file.getvalue()


def field(number: int, content: bytes | int) -> bytes:
    """One short field of a protobuf message."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    return bytes([number << 3 | 2, len(content)]) + content


OPERATORS = field(8, field(1, b"") + field(2, 17))
GRAPH = field(7, field(2, b"main_graph"))
FILES = {
    "an ONNX file with a producer": (field(1, 8) + field(2, b"pytorch") + field(3, b"2.1") + GRAPH + OPERATORS, "ONNX"),
    "a new ONNX file": (field(1, 13) + OPERATORS + GRAPH, "ONNX"),
    "TensorFlow Lite": (b"\x1c\x00\x00\x00TFL3" + bytes(40), "TensorFlow Lite"),
    "SavedModel": (field(1, 1) + field(2, field(2, b"graph")), "SavedModel"),
    "Keras, HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(90), "Keras"),
    "Keras 3": (zipped("metadata.json", "config.json", "model.weights.h5"), r"Keras model \(.keras\)"),
    "safetensors": ((50).to_bytes(8, "little") + b'{"w":{"dtype":"F32"}}' + bytes(60), "safetensors"),
    "GGUF": (b"GGUF\x03\x00\x00\x00" + bytes(90), "GGUF"),
    "PyTorch": (zipped("archive/data.pkl", "archive/version", "archive/data/0"), "PyTorch checkpoint; build"),
    "TorchScript": (zipped("net/data.pkl", "net/code/__torch__.py", "net/constants.pkl"), "TorchScript"),
    "old PyTorch": (b"\x80\x02\x8a\nl\xfc", "PyTorch checkpoint"),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(40), "unpack it first"),
    "tar": (tar(), "unpack it first"),
    "a zipped package": (zipped("Net.mlpackage/Manifest.json"), "holds 'Net.mlpackage/Manifest.json', unpack it"),
    "a zipped model": (zipped("readme", "Net.mlmodel"), "holds 'Net.mlmodel', unpack it first"),
    "half a zip": (zipped("Net.mlmodel")[:-20], "broke off"),
    "arrays": (zipped("x.npy", "y.npy"), r"\.npz"),
    "an array": (npy(), "NumPy"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "picture"),
    "the weights of a package": (b"\x01\x00\x00\x00\x02\x00\x00\x00" + bytes(56) + b"\xef\xbe\xad\xde", "weight file"),
    "the manifest of a package": (json.dumps({"itemInfoEntries": {}}).encode(), "manifest.*folder itself"),
    "the text of an ML Program": (b"program(1.0)\n[buildInfo]", "model.mil"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "a failed download": (b"<!DOCTYPE html>", "failed download"),
    "JSON": (b' {"layers": []}', "JSON"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_other_formats_are_recognized(name: str) -> None:
    data, words = FILES[name]
    with pytest.raises(MalformedModelError, match=f"(?s)not a Core ML model.*looks like.*{words}"):
        refcoreml.load(data)


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_of_other_formats_are_refused_in_words(name: str) -> None:
    data, _ = FILES[name]
    for end in range(1, min(len(data), 300)):
        with pytest.raises((MalformedModelError, UnsupportedModelError)):
            refcoreml.load(data[:end])


def test_a_torch_file_is_not_to_be_unpacked() -> None:
    for name in ("PyTorch", "TorchScript", "Keras 3", "arrays"):
        with pytest.raises(MalformedModelError) as error:
            refcoreml.load(FILES[name][0])
        assert "unpack" not in str(error.value)


def test_a_model_of_a_newer_specification_is_still_one() -> None:
    """A type that this schema does not know, in a model with a description."""
    spec = schema.Model(specificationVersion=11)
    spec.description.metadata.author = "a"
    unknown = spec.SerializeToString() + b"\xa2\x3e\x02\x08\x01"  # field 1000
    with pytest.raises(UnsupportedModelError, match="specification version 11"):
        refcoreml.load(unknown)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["saved_model.pb", "variables"], "SavedModel"),
        (["Data"], "Manifest.json is missing"),
        (["Net.mlpackage", "readme"], "holds Net.mlpackage; give that path"),
        (["model.safetensors", "config.json"], "safetensors"),
        (["readme"], "Give the .mlpackage folder itself"),
    ],
)
def test_folders_of_other_formats_are_recognized(tmp_path: Path, names: list[str], words: str) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(MalformedModelError, match=words):
        refcoreml.load(tmp_path)


def test_types_that_do_not_run_are_refused_without_a_remedy_that_is_none() -> None:
    scaler = schema.Model(specificationVersion=1)
    scaler.scaler.shiftValue.append(1.0)
    with pytest.raises(UnsupportedModelError) as error:
        refcoreml.load(scaler)
    assert "neuralnetwork" not in str(error.value)
