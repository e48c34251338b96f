"""Model files: all sources that can be loaded, what is refused and in which words, saving that never half-happens."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import refcoreml
from refcoreml import build
from refcoreml.errors import MalformedModelError, ModelNotFoundError, RefCoreMLError, UnsupportedModelError, UsageError
from refcoreml.spec import files, schema
from refcoreml.spec.files import ModelFile, read_model, write_model
from refcoreml.storage import writing
from refcoreml.storage.reading import Folder


def small_model(label: str = "one") -> schema.Model:
    net = build.Network({"x": (3, 1, 1)}, ["y"])
    net.add("softmax", name=label, outputs="y")
    return net.spec()


def varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


def unknown_field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


# --- sources ----------------------------------------------------------------------------------------------------------


class Wrapper:
    """Like coremltools' ``MLModel``."""

    def __init__(self, spec: Any, weights_dir: str | None = None) -> None:
        self._spec, self.weights_dir = spec, weights_dir

    def get_spec(self) -> Any:
        return self._spec


@pytest.fixture
def mlmodel(tmp_path: Path) -> Path:
    path = tmp_path / "small.mlmodel"
    path.write_bytes(small_model().SerializeToString())
    return path


@pytest.mark.parametrize(
    "source",
    [
        lambda path: path,
        lambda path: str(path),
        lambda path: path.read_bytes(),
        lambda path: bytearray(path.read_bytes()),
        lambda path: memoryview(path.read_bytes()),
        lambda path: io.BytesIO(path.read_bytes()),
        lambda path: schema.Model.FromString(path.read_bytes()),
        lambda path: Wrapper(schema.Model.FromString(path.read_bytes())),
    ],
    ids=["Path", "str", "bytes", "bytearray", "memoryview", "BytesIO", "message", "get_spec"],
)
def test_sources(mlmodel: Path, source: Callable[[Path], Any]) -> None:
    assert read_model(source(mlmodel)).spec == small_model()
    assert refcoreml.load(source(mlmodel), prepare=False).spec == small_model()


def test_open_file(mlmodel: Path) -> None:
    with mlmodel.open("rb") as stream:
        found = read_model(stream)
    assert found.spec == small_model()
    assert found.name == str(mlmodel)


def test_messages_are_copied() -> None:
    spec = small_model()
    loaded = read_model(spec).spec
    spec.neuralNetwork.layers[0].name = "changed"
    assert loaded == small_model()


def test_coremltools_messages_and_models(mlmodel: Path) -> None:
    coremltools = pytest.importorskip("coremltools", reason="coremltools has messages of another pool")
    spec = coremltools.utils.load_spec(str(mlmodel))
    assert not isinstance(spec, schema.Model)
    assert read_model(spec).spec == small_model()
    assert read_model(coremltools.models.MLModel(spec, skip_model_load=True)).spec == small_model()


@pytest.mark.parametrize("source", [None, 3, 0.5, ["small.mlmodel"], {}, object()])
def test_other_sources_are_refused(source: Any) -> None:
    with pytest.raises(UsageError, match="path, bytes"):
        read_model(source)


def test_text_stream_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'rb'"):
        read_model(io.StringIO("text"))


# --- what is no model -------------------------------------------------------------------------------------------------


def test_missing_path(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "missing.mlmodel"
    with pytest.raises(ModelNotFoundError, match="no such file") as caught:
        read_model(path)
    assert isinstance(caught.value, FileNotFoundError)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("path", ["a\0b.mlmodel", "x" * 5000], ids=["NUL", "too long"])
def test_impossible_paths(path: str) -> None:
    with pytest.raises(MalformedModelError):
        read_model(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(mlmodel: Path) -> None:
    mlmodel.chmod(0)
    with pytest.raises(MalformedModelError, match="cannot be read"):
        read_model(mlmodel)


@pytest.mark.parametrize(
    ("data", "guess"),
    [
        (b"", "empty"),
        (b"PK\x03\x04" + bytes(30), "zip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n" + bytes(30), "HDF5"),
        (b"\x80\x02}q\x00.", "pickle"),
        (b"<!DOCTYPE html>", "HTML"),
        (b'{"a": 1}', "JSON"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"\xff" * 40, "damaged"),
        (b"\x08\x04", "no model type"),
    ],
)
def test_other_formats_are_guessed(tmp_path: Path, data: bytes, guess: str) -> None:
    path = tmp_path / "other.mlmodel"
    path.write_bytes(data)
    for source in (path, data):
        with pytest.raises(MalformedModelError, match=guess):
            read_model(source)


def test_half_a_file(mlmodel: Path) -> None:
    data = mlmodel.read_bytes()
    mlmodel.write_bytes(data[: len(data) // 2])
    with pytest.raises(MalformedModelError, match=r"small\.mlmodel"):
        read_model(mlmodel)


def test_version_zero() -> None:
    spec = small_model()
    spec.specificationVersion = 0
    for source in (spec, spec.SerializeToString()):
        with pytest.raises(MalformedModelError, match="version"):
            read_model(source)


@pytest.mark.parametrize("version", [files.NEWEST_SPECIFICATION + 1, 2**31 - 1])
def test_version_from_the_future(version: int) -> None:
    spec = small_model()
    spec.specificationVersion = version
    with pytest.raises(UnsupportedModelError, match=rf"{version}.*newest known here is {files.NEWEST_SPECIFICATION}"):
        read_model(spec)


@pytest.mark.parametrize("version", [1, files.NEWEST_SPECIFICATION])
def test_first_and_newest_version(version: int) -> None:
    spec = small_model()
    spec.specificationVersion = version
    assert read_model(spec).spec.specificationVersion == version


@pytest.mark.parametrize(
    ("inside", "form"),
    [
        (["coremldata.bin", "model.espresso.net", "model.espresso.weights"], "a compiled neural network"),
        (["coremldata.bin"], "a compiled model"),
    ],
)
def test_compiled_models_are_recognised(tmp_path: Path, inside: list[str], form: str) -> None:
    folder = tmp_path / "compiled.mlmodelc"
    for name in inside:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0")
    with pytest.raises(UnsupportedModelError, match=form) as caught:
        read_model(folder)
    assert "compiled" in caught.value.problem
    assert ".mlmodel or .mlpackage" in caught.value.remedy


def test_a_compiled_model_without_a_program(tmp_path: Path) -> None:
    (tmp_path / "empty.mlmodelc").mkdir()
    with pytest.raises(MalformedModelError, match=r"no compiled model: model\.mil, the ML Program, is missing"):
        read_model(tmp_path / "empty.mlmodelc")


# --- packages ---------------------------------------------------------------------------------------------------------

MODEL_ITEM = "com.apple.CoreML/model.mlmodel"
WEIGHTS_ITEM = "com.apple.CoreML/weights"


def make_package(folder: Path, model: Any = MODEL_ITEM, weights: Any = WEIGHTS_ITEM) -> Path:
    """A package as coremltools writes it, with any text as the paths of its items."""
    (folder / "Data" / WEIGHTS_ITEM).mkdir(parents=True)
    (folder / "Data" / WEIGHTS_ITEM / "weight.bin").write_bytes(b"weights")
    (folder / "Data" / MODEL_ITEM).write_bytes(small_model().SerializeToString())
    items = {
        "A1": {"author": "com.apple.CoreML", "description": "", "name": "weights", "path": weights},
        "B2": {"author": "com.apple.CoreML", "description": "", "name": "model.mlmodel", "path": model},
    }
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": items, "rootModelIdentifier": "B2"}
    (folder / "Manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize("name", ["some.mlpackage", "renamed"])
def test_package(tmp_path: Path, name: str) -> None:
    folder = make_package(tmp_path / name)
    found = read_model(folder)
    assert found.spec == small_model()
    assert found.weights is not None
    assert (found.weights / "weight.bin").read_bytes() == b"weights"


def test_package_through_a_linked_folder(tmp_path: Path) -> None:
    """The package itself may lie behind a link; only its items must stay within."""
    folder = make_package(tmp_path / "real.mlpackage")
    link = tmp_path / "link.mlpackage"
    symlink(link, folder)
    assert read_model(link).spec == small_model()


def symlink(link: Path, target: Path | str) -> None:
    try:
        link.symlink_to(target)
    except OSError as error:
        pytest.skip(f"this system makes no symbolic links here: {error}")


@pytest.mark.parametrize("which", ["model", "weights"])
@pytest.mark.parametrize(
    "path",
    [
        "../outside/model.mlmodel",
        "../../outside/model.mlmodel",
        "com.apple.CoreML/../../Manifest.json",
        "com.apple.CoreML/../../../outside",
        "/etc/passwd",
        "{outside}",
        "",
        "a\0b",
        3,
        None,
        ["com.apple.CoreML"],
        {},
    ],
)
def test_items_outside_the_package_are_refused(tmp_path: Path, which: str, path: Any) -> None:
    outside = tmp_path / "outside" / "model.mlmodel"
    outside.parent.mkdir()
    outside.write_bytes(small_model("foreign").SerializeToString())
    if path == "{outside}":
        path = str(outside)
    folder = make_package(tmp_path / "evil.mlpackage", **{which: path})
    with pytest.raises(MalformedModelError, match=r"Manifest\.json"):
        read_model(folder)


@pytest.mark.parametrize("linked", ["Data", "Data/com.apple.CoreML", f"Data/{MODEL_ITEM}", f"Data/{WEIGHTS_ITEM}"])
def test_links_out_of_the_package_are_refused(tmp_path: Path, linked: str) -> None:
    outside = make_package(tmp_path / "outside")
    folder = make_package(tmp_path / "evil.mlpackage")
    (folder / linked).rename(tmp_path / "away")
    symlink(folder / linked, outside / linked)
    with pytest.raises(MalformedModelError, match="a link, but a package must hold its files itself"):
        read_model(folder)


@pytest.mark.parametrize("linked", ["Data", "Data/com.apple.CoreML", f"Data/{MODEL_ITEM}", f"Data/{WEIGHTS_ITEM}"])
def test_links_in_a_circle(tmp_path: Path, linked: str) -> None:
    folder = make_package(tmp_path / "evil.mlpackage")
    (folder / linked).rename(tmp_path / "away")
    symlink(folder / linked, Path(linked).name)
    with pytest.raises(MalformedModelError, match="a link"):
        read_model(folder)


def test_links_within_the_package_are_refused(tmp_path: Path) -> None:
    """Which file a link leads to can change between a look at it and its use, so none is followed."""
    for item in (f"Data/{MODEL_ITEM}", "Manifest.json"):
        folder = make_package(tmp_path / f"{Path(item).name}.mlpackage")
        (folder / item).rename(folder / "other")
        symlink(folder / item, folder / "other")
        with pytest.raises(MalformedModelError, match="a link") as caught:
            read_model(folder)
        assert "cp -RL" in caught.value.remedy


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


@needs_pipes
def test_a_pipe_is_no_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mlmodel")
    with pytest.raises(MalformedModelError, match="is a pipe, expected a regular file"):
        read_model(tmp_path / "pipe.mlmodel")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_a_device_is_no_model(tmp_path: Path) -> None:
    link = tmp_path / "device.mlmodel"
    symlink(link, "/dev/zero")
    for path in ("/dev/zero", link):
        with pytest.raises(MalformedModelError, match="is a device, expected a regular file"):
            read_model(path)


@needs_pipes
@pytest.mark.parametrize("item", [f"Data/{MODEL_ITEM}", "Manifest.json"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "sparse"])
def test_packages_of_other_than_regular_bounded_files(tmp_path: Path, item: str, kind: str) -> None:
    folder = make_package(tmp_path / "odd.mlpackage")
    (folder / item).unlink()
    if kind == "pipe":
        os.mkfifo(folder / item)
    elif kind == "folder":
        (folder / item).mkdir()
    else:
        with (folder / item).open("wb") as stream:
            stream.truncate(2**34)
    with pytest.raises(MalformedModelError, match="at most" if kind == "sparse" else f"is a {kind}"):
        read_model(folder)


def test_a_sparse_file_is_no_model(tmp_path: Path) -> None:
    with (tmp_path / "sparse.mlmodel").open("wb") as stream:
        stream.truncate(2**34)
    with pytest.raises(MalformedModelError, match=r"17,179,869,184 bytes, at most 2,147,483,647"):
        read_model(tmp_path / "sparse.mlmodel")


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"3",
        b"\xff\xfe",
        b'{"itemInfoEntries": {}}',
        b'{"itemInfoEntries": {}, "rootModelIdentifier": "A"}',
        b'{"itemInfoEntries": [], "rootModelIdentifier": 0}',
        b'{"itemInfoEntries": {"A": {"path": "x"}}, "rootModelIdentifier": ["A"]}',
        b'{"itemInfoEntries": {"A": {}}, "rootModelIdentifier": "A"}',
        b'{"itemInfoEntries": {"A": null}, "rootModelIdentifier": "A"}',
        b'{"itemInfoEntries": {"A": {"path": "com.apple.CoreML/missing"}}, "rootModelIdentifier": "A"}',
        b'{"itemInfoEntries": {"A": {"path": "com.apple.CoreML"}}, "rootModelIdentifier": "A"}',
        b"[" * 100_000,
    ],
)
def test_damaged_manifests(tmp_path: Path, manifest: bytes) -> None:
    folder = make_package(tmp_path / "damaged.mlpackage")
    (folder / "Manifest.json").write_bytes(manifest)
    with pytest.raises(MalformedModelError, match="manifest"):
        read_model(folder)


def test_package_with_a_damaged_model(tmp_path: Path) -> None:
    folder = make_package(tmp_path / "damaged.mlpackage")
    (folder / "Data" / MODEL_ITEM).write_bytes(b"\xff" * 10)
    with pytest.raises(MalformedModelError, match=r"model\.mlmodel"):
        read_model(folder)


@pytest.mark.parametrize("name", ["some.mlpackage", "folder"])
def test_folder_without_manifest(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(MalformedModelError, match=r"without Manifest\.json"):
        read_model(tmp_path / name)


# --- saving -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["saved.mlmodel", "saved.mlpackage"])
def test_saved_models_load(tmp_path: Path, name: str) -> None:
    refcoreml.load(small_model(), prepare=False).save(tmp_path / name)
    assert read_model(tmp_path / name).spec == small_model()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    refcoreml.load(small_model("two"), prepare=False).save(str(tmp_path / name))
    assert read_model(tmp_path / name).spec == small_model("two")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_saved_file_is_what_was_read(tmp_path: Path, mlmodel: Path) -> None:
    refcoreml.load(mlmodel, prepare=False).save(tmp_path / "again.mlmodel")
    assert (tmp_path / "again.mlmodel").read_bytes() == mlmodel.read_bytes()
    os.umask(mask := os.umask(0))
    assert (tmp_path / "again.mlmodel").stat().st_mode & 0o777 == 0o666 & ~mask or os.name == "nt"


def test_package_keeps_its_weights(tmp_path: Path) -> None:
    found = read_model(make_package(tmp_path / "first.mlpackage"))
    write_model(found, tmp_path / "second.mlpackage")
    write_model(found, tmp_path / "first.mlpackage")
    for name in ("first.mlpackage", "second.mlpackage"):
        again = read_model(tmp_path / name)
        assert again.spec == small_model()
        assert again.weights is not None
        assert (again.weights / "weight.bin").read_bytes() == b"weights"
    with pytest.raises(UsageError, match=r"\.mlpackage"):
        write_model(found, tmp_path / "third.mlmodel")


def with_more_items(folder: Path) -> dict[str, bytes]:
    """Adds a third item, words of one's own, and files without an entry; gives all files but the model's."""
    manifest = json.loads((folder / "Manifest.json").read_text())
    manifest["itemInfoEntries"]["C3"] = {
        "author": "someone",
        "description": "what the features mean",
        "name": "FeatureDescriptions.json",
        "path": "com.example/FeatureDescriptions.json",
    }
    manifest["itemInfoEntries"]["B2"] |= {"author": "me", "description": "a model of mine"}
    manifest["more"] = ["a newer", "format's"]
    (folder / "Manifest.json").write_text(json.dumps(manifest))
    (folder / "Data" / "com.example").mkdir()
    (folder / "Data" / "com.example" / "FeatureDescriptions.json").write_bytes(b"{}")
    (folder / "Data" / WEIGHTS_ITEM / "deep").mkdir()
    (folder / "Data" / WEIGHTS_ITEM / "deep" / "more.bin").write_bytes(b"more")
    (folder / "LICENSE").write_bytes(b"terms")
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not name.endswith("model.mlmodel")}


@pytest.mark.parametrize("target", ["first", "second"])
def test_everything_else_in_a_package_stays(tmp_path: Path, target: str) -> None:
    expected = with_more_items(make_package(tmp_path / "first.mlpackage"))
    model = refcoreml.load(tmp_path / "first.mlpackage", prepare=False)
    model.spec.description.metadata.author = "new"
    for made in (model, pickle.loads(pickle.dumps(model)), refcoreml.quantization.quantize._copy(model)):
        made.save(tmp_path / f"{target}.mlpackage")
        assert contents(tmp_path / f"{target}.mlpackage") == expected
        assert read_model(tmp_path / f"{target}.mlpackage").spec.description.metadata.author == "new"


def test_a_model_inside_another_item(tmp_path: Path) -> None:
    """Such as in the folder of weights: it is written once, with what it says now."""
    folder = make_package(tmp_path / "odd.mlpackage", model=f"{WEIGHTS_ITEM}/model.mlmodel")
    (folder / "Data" / MODEL_ITEM).rename(folder / "Data" / WEIGHTS_ITEM / "model.mlmodel")
    write_model(replace(read_model(folder), spec=small_model("new")), folder)
    assert read_model(folder).spec == small_model("new")
    assert contents(folder).keys() == {"Manifest.json", f"Data/{WEIGHTS_ITEM}/weight.bin"}


@pytest.mark.parametrize("kind", ["file", "folder", "device", "pipe"])
def test_links_and_pipes_among_weights_are_not_copied(tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_bytes(b"key")
    folder = make_package(tmp_path / "evil.mlpackage")
    planted = folder / "Data" / WEIGHTS_ITEM / "planted"
    if kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("this system has no named pipes")
        os.mkfifo(planted)
    else:
        targets = {"file": tmp_path / "secret" / "key", "folder": tmp_path / "secret", "device": "/dev/zero"}
        symlink(planted, targets[kind])
    found = read_model(folder)
    assert found.weights is not None
    for file in (found, ModelFile(found.spec, "message", found.weights)):
        with pytest.raises(MalformedModelError, match=r"planted is a (link|pipe)"):
            write_model(file, tmp_path / "copy.mlpackage")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.mlpackage", "secret"]


def test_more_weights_than_fit(tmp_path: Path) -> None:
    folder = make_package(tmp_path / "large.mlpackage")
    with (folder / "Data" / WEIGHTS_ITEM / "sparse.bin").open("wb") as stream:
        stream.truncate(2**36)
    found = read_model(folder)
    with pytest.raises(UsageError, match="are free"):
        write_model(found, tmp_path / "copy.mlpackage")
    assert [path.name for path in tmp_path.iterdir()] == ["large.mlpackage"]


def test_a_package_that_has_changed_since(tmp_path: Path) -> None:
    found = read_model(make_package(tmp_path / "first.mlpackage"))
    write_model(ModelFile(small_model("other"), "message"), tmp_path / "first.mlpackage")
    with pytest.raises(UsageError, match=r"changed since.*Load the model again"):
        write_model(found, tmp_path / "second.mlpackage")
    other = read_model(tmp_path / "first.mlpackage")
    shutil.rmtree(tmp_path / "first.mlpackage")
    write_model(other, tmp_path / "second.mlpackage")  # which needs nothing of the old one
    assert read_model(tmp_path / "second.mlpackage").spec == small_model("other")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only there folders are exchanged in one step")
def test_a_package_is_there_after_every_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_package(tmp_path / "busy.mlpackage")
    found = read_model(path)
    seen = []

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def watch(*arguments: Any, **options: Any) -> Any:
            try:
                return call(*arguments, **options)
            finally:
                seen.append((call.__name__, (path / "Manifest.json").exists()))

        return watch

    for name in ("mkdir", "fsync", "replace", "rename", "unlink", "rmdir"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    write_model(replace(found, spec=small_model("new")), path)
    monkeypatch.undo()
    assert len(seen) > 5
    assert [name for name, there in seen if not there] == []
    assert read_model(path).spec == small_model("new")


def test_a_package_that_is_replaced_while_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes save one model in its own place: both succeed, and nothing of it is lost."""
    path = make_package(tmp_path / "busy.mlpackage")
    expected = with_more_items(path)
    found = read_model(path)
    real, turns = Folder.open, []

    def meanwhile(folder: Folder, item: str, limit: int = 2**30) -> Any:
        if item.endswith("LICENSE") and not turns:
            turns.append(item)
            write_model(replace(found, spec=small_model("other")), path)
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", item)
        return real(folder, item, limit)

    monkeypatch.setattr(Folder, "open", meanwhile)
    write_model(replace(found, spec=small_model("new")), path)
    assert turns
    assert contents(path) == expected
    assert read_model(path).spec == small_model("new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["busy.mlpackage"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only there folders are exchanged in one step")
def test_loads_during_saves(tmp_path: Path) -> None:
    """Every load gets one of the models with its own weights, however often the package is saved meanwhile."""
    path = make_package(tmp_path / "busy.mlpackage")
    found = read_model(path)
    done, failures, loads = threading.Event(), [], 0

    def save() -> None:
        for turn in range(25):
            write_model(replace(found, spec=small_model(f"turn {turn}")), path)
        done.set()

    writer = threading.Thread(target=save)
    writer.start()
    while not done.is_set():
        try:
            assert read_model(path).weights is not None
            loads += 1
        except RefCoreMLError as error:
            failures.append(error)
    writer.join()
    assert not failures
    assert loads > 10
    assert [entry.name for entry in tmp_path.iterdir()] == ["busy.mlpackage"]


def test_coremltools_reads_what_is_saved(tmp_path: Path) -> None:
    coremltools = pytest.importorskip("coremltools", reason="coremltools reads packages too")
    for name in ("saved.mlmodel", "saved.mlpackage"):
        write_model(ModelFile(small_model(), "message"), tmp_path / name)
        spec = coremltools.models.MLModel(str(tmp_path / name), skip_model_load=True).get_spec()
        assert spec.SerializeToString() == small_model().SerializeToString()


@pytest.mark.parametrize("name", ["model", "model.mlmodelc", "model.MLMODEL", "model.onnx", ".mlmodel"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.mlmodel or \.mlpackage"):
        write_model(ModelFile(small_model(), "message"), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_something_of_the_other_kind_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "folder.mlmodel").mkdir()
    (tmp_path / "file.mlpackage").write_bytes(b"old")
    for name in ("folder.mlmodel", "file.mlpackage"):
        with pytest.raises(UsageError, match="in the way"):
            write_model(ModelFile(small_model(), "message"), tmp_path / name)
    assert (tmp_path / "file.mlpackage").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["saved.mlmodel", "saved.mlpackage"])
def test_missing_folder_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"nowhere.*cannot be written"):
        write_model(ModelFile(small_model(), "message"), tmp_path / "nowhere" / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["saved.mlmodel", "saved.mlpackage"])
@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_failure_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, failing: str) -> None:
    """The disk is full after the data were written, or the rename fails: the old model is there, and nothing else."""
    path = tmp_path / name
    write_model(ModelFile(small_model("old"), "message"), path)
    calls = []

    def fail(*arguments: Any) -> None:
        calls.append(arguments)
        raise OSError(errno.ENOSPC, "No space left on device")

    if failing == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(os, "replace", fail)
        monkeypatch.setattr(writing, "_exchange", fail)
    with pytest.raises(UsageError, match="No space left"):
        write_model(ModelFile(small_model("new"), "message"), path)
    assert calls
    assert read_model(path).spec == small_model("old")
    assert [found.name for found in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["saved.mlmodel", "saved.mlpackage"])
def test_interruption_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = tmp_path / name
    write_model(ModelFile(small_model("old"), "message"), path)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_model(ModelFile(small_model("new"), "message"), path)
    assert read_model(path).spec == small_model("old")
    assert [found.name for found in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["saved.mlmodel", "saved.mlpackage"])
def test_death_while_writing_leaves_the_old_model(tmp_path: Path, name: str) -> None:
    """The process ends, without clean-up, when the data are written but not yet in place."""
    path = tmp_path / name
    write_model(ModelFile(small_model("old"), "message"), path)
    (tmp_path / "new.bin").write_bytes(small_model("new").SerializeToString())
    code = (
        "import os, sys, pathlib\n"
        "from refcoreml.spec.files import read_model, write_model\n"
        "os.fsync = lambda _: os._exit(7)\n"
        "write_model(read_model(pathlib.Path(sys.argv[1]).read_bytes()), sys.argv[2])\n"
    )
    paths = [str(Path(refcoreml.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "new.bin"), str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        timeout=120,
        check=False,
    )
    assert done.returncode == 7
    assert read_model(path).spec == small_model("old")


def test_new_file_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    for name in ("saved.mlmodel", "saved.mlpackage"):
        with pytest.raises((RefCoreMLError, OSError)):
            write_model(ModelFile(small_model(), "message"), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


# --- unknown fields ---------------------------------------------------------------------------------------------------


def test_unknown_fields_survive_loading_and_saving(tmp_path: Path) -> None:
    """A field, and a layer's field, of a schema that came later."""
    spec = small_model()
    spec.neuralNetwork.layers[0].MergeFromString(unknown_field(90_001, b"a newer field of a layer"))
    data = spec.SerializeToString() + unknown_field(90_002, b"a newer field of the model")
    for name in ("saved.mlmodel", "saved.mlpackage"):
        refcoreml.load(data, prepare=False).save(tmp_path / name)
        saved = read_model(tmp_path / name).spec.SerializeToString()
        assert b"a newer field of a layer" in saved
        assert unknown_field(90_002, b"a newer field of the model") in saved
        assert len(saved) == len(data)


def test_a_folder_that_is_no_package_is_not_replaced(tmp_path: Path) -> None:
    net = build.Network({"x": (3,)}, ["y"])
    net.add("activation", outputs="y", ReLU={})
    folder = tmp_path / "mine.mlpackage"
    folder.mkdir()
    net.model().save(folder)  # empty, so nothing is lost
    (folder / "Manifest.json").write_text("")
    net.model().save(folder)  # a damaged package is still one
    (folder / "Manifest.json").unlink()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"mine.mlpackage: a folder that is no model package is in the way"):
        net.model().save(folder)
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("path", [None, 3, b"m.mlmodel"])
def test_what_is_no_path_is_refused(path: Any) -> None:
    net = build.Network({"x": (3,)}, ["y"])
    net.add("activation", outputs="y", ReLU={})
    with pytest.raises(UsageError, match="path: got"):
        net.model().save(path)
