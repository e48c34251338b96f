"""ML Programs and their files of weights: packages of any layout, what is saved, let go of, and not read whole."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refcoreml
from refcoreml.errors import MalformedModelError, RefCoreMLError
from refcoreml.model import Model
from refcoreml.spec import schema
from refcoreml.spec.blobs import BlobFiles, BlobWriter
from refcoreml.spec.compiled import compiled_model
from refcoreml.spec.files import ModelFile, parse_model
from refcoreml.spec.mil_print import print_program
from refcoreml.spec.mil_types import DeclaredTensor, type_message
from refcoreml.spec.mil_values import read_value, value_message

MODELS = Path(os.environ.get("REFCOREML_MODELS", Path(__file__).resolve().parents[3] / "shared" / "models"))
NUMBERS = np.arange(12, dtype=np.float16).reshape(3, 4)


def program(path: str = "@model_path/weights/weight.bin") -> tuple[schema.Model, bytes]:
    """A model that returns a weight, and its file of weights."""
    writer = BlobWriter()
    model = schema.Model(specificationVersion=7)
    function = model.mlProgram.functions["main"]
    model.mlProgram.version, function.opset = 1, "CoreML6"
    block = function.block_specializations["CoreML6"]
    operation = block.operations.add(type="const")
    operation.outputs.add(name="w", type=type_message(DeclaredTensor.of(NUMBERS)))
    operation.attributes["val"].CopyFrom(value_message(DeclaredTensor.of(NUMBERS), NUMBERS, writer, path))
    block.outputs.append("w")
    output = model.description.output.add(name="w")
    output.type.multiArrayType.shape.extend(NUMBERS.shape)
    output.type.multiArrayType.dataType = schema.ArrayFeatureType.FLOAT16
    return model, writer.to_bytes()


def weight(model: Model) -> Any:
    operation = model.spec.mlProgram.functions["main"].block_specializations["CoreML6"].operations[0]
    return read_value(operation.attributes["val"], model.weight_files).get()


def write_package(folder: Path, model: str, weights: str, path: str) -> Path:
    spec, content = program(path)
    items = {"A": {"path": model, "author": "x", "name": "m"}, "B": {"path": weights, "author": "x", "name": "w"}}
    for item, data in ((model, spec.SerializeToString()), (f"{weights}/weight.bin", content)):
        (folder / "Data" / item).parent.mkdir(parents=True, exist_ok=True)
        (folder / "Data" / item).write_bytes(data)
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": items, "rootModelIdentifier": "A"}
    (folder / "Manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def package(tmp_path: Path) -> Path:
    place = "com.apple.CoreML"
    path = "@model_path/weights/weight.bin"
    return write_package(tmp_path / "m.mlpackage", f"{place}/model.mlmodel", f"{place}/weights", path)


LAYOUTS = {
    "coremltools": ("com.apple.CoreML/model.mlmodel", "com.apple.CoreML/weights", "@model_path/weights/weight.bin"),
    "at the top": ("model.mlmodel", "weights", "@model_path/weights/weight.bin"),
    "other names": ("a/b/net", "a/b/data/numbers", "@model_path/data/numbers/weight.bin"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_packages_of_any_layout(layout: str, tmp_path: Path) -> None:
    folder = write_package(tmp_path / "m.mlpackage", *LAYOUTS[layout])
    model = refcoreml.load(folder, prepare=False)
    assert model.kind == "mlProgram"
    np.testing.assert_array_equal(weight(model), NUMBERS)
    model.save(tmp_path / "copy.mlpackage")
    shutil.rmtree(folder)
    np.testing.assert_array_equal(weight(refcoreml.load(tmp_path / "copy.mlpackage", prepare=False)), NUMBERS)


def test_a_model_saved_over_itself(package: Path) -> None:
    model = refcoreml.load(package, prepare=False)
    before = weight(model)
    changed = schema.Model()
    changed.CopyFrom(model.spec)
    changed.description.metadata.author = "new"
    model.with_spec(changed).save(package)
    model.save(package)
    assert model.weight_files is not None
    assert not model.weight_files.are_open
    np.testing.assert_array_equal(weight(model), NUMBERS)
    np.testing.assert_array_equal(before, NUMBERS)  # what is held stays good
    assert refcoreml.load(package, prepare=False).spec == model.spec


def test_files_are_released(package: Path) -> None:
    model = refcoreml.load(package, prepare=False)
    weight(model)
    assert model.weight_files is not None
    assert model.weight_files.are_open
    model.release()
    assert not model.weight_files.are_open
    np.testing.assert_array_equal(weight(model), NUMBERS)


def test_a_package_that_has_changed(package: Path) -> None:
    model = refcoreml.load(package, prepare=False)
    (package / "Manifest.json").write_text((package / "Manifest.json").read_text().replace('"m"', '"n"'))
    with pytest.raises(MalformedModelError, match=r"has changed since the model was read.*Load the model again"):
        weight(model)


def test_a_package_that_has_gone(package: Path) -> None:
    model = refcoreml.load(package, prepare=False)
    shutil.rmtree(package)
    with pytest.raises(MalformedModelError, match="is not there"):
        weight(model)


def test_models_can_be_pickled(package: Path) -> None:
    model = refcoreml.load(package, prepare=False)
    weight(model)
    np.testing.assert_array_equal(weight(pickle.loads(pickle.dumps(model))), NUMBERS)


def test_without_a_package(package: Path, tmp_path: Path) -> None:
    spec, _ = program()
    (tmp_path / "bare.mlmodel").write_bytes(spec.SerializeToString())
    for source in (spec, spec.SerializeToString(), tmp_path / "bare.mlmodel"):
        model = refcoreml.load(source, prepare=False)
        assert model.weight_files is None
        with pytest.raises(MalformedModelError, match=r"was not loaded from a package.*Load the \.mlpackage"):
            weight(model)


def test_objects_that_name_a_folder_of_weights(package: Path) -> None:
    class Wrapper:
        weights_dir = str(package / "Data" / "com.apple.CoreML" / "weights")

        def get_spec(self) -> Any:
            return program()[0]

    np.testing.assert_array_equal(weight(refcoreml.load(Wrapper(), prepare=False)), NUMBERS)


def test_weights_in_memory_are_saved(tmp_path: Path) -> None:
    spec, content = program()
    model = Model(ModelFile(spec, "message", {"weight.bin": content}))
    np.testing.assert_array_equal(weight(model), NUMBERS)
    model.save(tmp_path / "m.mlpackage")
    np.testing.assert_array_equal(weight(refcoreml.load(tmp_path / "m.mlpackage", prepare=False)), NUMBERS)
    other, _ = program("@model_path/other/weight.bin")
    with pytest.raises(MalformedModelError, match="is not there"):
        weight(Model(ModelFile(other, "message", {"weight.bin": content})))
    with pytest.raises(RefCoreMLError, match="only a package can hold"):
        model.save(tmp_path / "m.mlmodel")


@pytest.mark.parametrize("name", ["../../secret.bin", "../../../secret.bin", "/secret.bin", "weights/../../secret.bin"])
def test_paths_stay_in_the_package(name: str, package: Path) -> None:
    spec, content = program(f"@model_path/{name}")
    for folder in (package, package.parent):
        (folder / "secret.bin").write_bytes(content)
    (package / "Data" / "com.apple.CoreML" / "model.mlmodel").write_bytes(spec.SerializeToString())
    with pytest.raises(MalformedModelError, match="leads out of the package"):
        weight(refcoreml.load(package, prepare=False))


_LOAD = """
import resource, sys, time
import refcoreml
from refcoreml.spec.mil_values import read_value
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
model = refcoreml.load(sys.argv[1], prepare=False)
operation = model.spec.mlProgram.functions["main"].block_specializations["CoreML6"].operations[0]
value = read_value(operation.attributes["val"], model.weight_files).get()
assert value.shape == (2**15, 2**14)
print(time.process_time() - started, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux does, with a file that is sparse there")
def test_a_package_of_a_gigabyte(package: Path) -> None:
    spec, _ = program()
    operation = spec.mlProgram.functions["main"].block_specializations["CoreML6"].operations[0]
    large = DeclaredTensor(DeclaredTensor.of(NUMBERS).element, (2**15, 2**14))
    operation.attributes["val"].type.CopyFrom(type_message(large))
    place = package / "Data" / "com.apple.CoreML"
    (place / "model.mlmodel").write_bytes(spec.SerializeToString())
    with open(place / "weights" / "weight.bin", "wb") as stream:
        stream.write(struct.pack("<II56xIIQQQ32x", 1, 2, 0xDEADBEEF, 1, 2**30, 128, 0))
        stream.truncate(128 + 2**30)
    child = subprocess.run(
        [sys.executable, "-c", _LOAD, str(package)], check=True, capture_output=True, text=True, timeout=60
    )
    seconds, megabytes = map(float, child.stdout.split())
    assert seconds < 1
    assert megabytes < 50


# --- mutations --------------------------------------------------------------------------------------------------------


def read_all(spec: schema.Model, content: bytes) -> int:
    """Read every value of a program; returns how many there are."""
    files, count = BlobFiles.of_bytes({"weights/weight.bin": content}), 0
    for function in spec.mlProgram.functions.values():
        for operation in function.block_specializations[function.opset].operations:
            bound = [item for argument in operation.inputs.values() for item in argument.arguments]
            inline = [item.value for item in bound if item.WhichOneof("binding") == "value"]
            for value in [*operation.attributes.values(), *inline]:
                read_value(value, files).get()
                count += 1
    return count


def flipped(data: bytes, places: Sequence[int], draw: random.Random) -> bytes:
    """Return bytes with one to three of them changed, at the places or a few after them."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 3)):
        place = min(draw.choice(places) + draw.randint(0, 31), len(data) - 1)
        changed[place] = draw.choice([0, 1, 127, 128, 255, draw.randint(0, 255)])
    return bytes(changed)


def mutations(spec: schema.Model, content: bytes, rounds: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what reads mutations of a program's message, of its text, and of its file of weights."""
    draw = random.Random(3)
    message, text = spec.SerializeToString(), print_program(spec.mlProgram)
    records = [0, *(at for at in range(0, len(content), 64) if content[at : at + 4] == b"\xef\xbe\xad\xde")]
    for _ in range(rounds):
        yield "weights", partial(read_all, spec, flipped(content, records, draw))
        changed = flipped(message, range(len(message)), draw)
        yield "message", lambda changed=changed: read_all(parse_model(changed), content)
        place = draw.randrange(len(text))
        words = text[:place] + draw.choice("0129abx_ \n([{<,") + text[place + draw.randint(0, 2) :]
        yield "text", lambda words=words: read_all(compiled_model(words, None), content)


def check_mutations(spec: schema.Model, content: bytes, rounds: int) -> None:
    """All are read or refused, promptly; both happen, so that they test something."""
    assert read_all(spec, content)
    outcomes: Counter[tuple[str, bool]] = Counter()
    for kind, read in mutations(spec, content, rounds):
        started = time.process_time()
        try:
            read()
            outcomes[kind, True] += 1
        except RefCoreMLError:
            outcomes[kind, False] += 1
        assert time.process_time() - started < 2
    for kind in ("weights", "message", "text"):
        assert min(outcomes[kind, True], outcomes[kind, False]) > rounds // 30, outcomes


def test_mutations_of_a_program() -> None:
    check_mutations(*program(), rounds=300)


REAL = [path for path in sorted(MODELS.rglob("*.mlpackage")) if list(path.rglob("weight.bin"))]


@pytest.mark.skipif(not REAL, reason="no packages of ML Programs; name a folder of models in REFCOREML_MODELS")
def test_mutations_of_real_packages() -> None:
    for path in REAL:
        content = next(path.rglob("weight.bin")).read_bytes()
        check_mutations(refcoreml.load(path, prepare=False).spec, content, rounds=60)
