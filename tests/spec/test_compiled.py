"""Compiled ML Programs: what they were compiled from, with and without metadata; what is damaged in them."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refcoreml
from refcoreml.errors import InvalidModelError, MalformedModelError, RefCoreMLError, UnsupportedModelError
from refcoreml.spec import schema
from refcoreml.spec.blobs import BlobWriter
from refcoreml.spec.compiled import compiled_model
from refcoreml.spec.mil_values import read_value

ARRAY, IMAGE = schema.ArrayFeatureType, schema.ImageFeatureType

SCALE = """program(1.0)
{
    func main<ios16>(tensor<fp16, [3, 5]> x) {
        tensor<fp16, [5]> w = const()[name = string("w"), val = tensor<fp16, [5]>(BLOBFILE(
            path = string("@model_path/weights/weight.bin"), offset = uint64(64)))];
        tensor<fp16, [3, 5]> y = mul(x = x, y = w)[name = string("scaled")];
    } -> (y);
}
"""


def feature(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "MultiArray", "shortDescription": f"about {name}", "isOptional": "0", **more}


METADATA = {
    "inputSchema": [feature("x", dataType="Float16", shape="[3, 5]")],
    "outputSchema": [feature("y", dataType="Float16", shape="[3, 5]")],
    "specificationVersion": 7,
    "shortDescription": "scales",
    "author": "us",
    "license": "free",
    "version": "1.2",
    "userDefinedMetadata": {"made by": "hand"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "scale.mlmodelc"
    (folder / "weights").mkdir(parents=True)
    writer = BlobWriter()
    writer.add(np.arange(5, dtype=np.float16))
    (folder / "weights" / "weight.bin").write_bytes(writer.to_bytes())
    (folder / "model.mil").write_text(SCALE)
    (folder / "metadata.json").write_text(json.dumps([METADATA]))
    (folder / "coremldata.bin").write_bytes(b"private")
    return folder


def weight(model: refcoreml.Model) -> Any:
    """The value of the first operation."""
    function = model.spec.mlProgram.functions["main"]
    operation = function.block_specializations[function.opset].operations[0]
    return read_value(operation.attributes["val"], model.weight_files).get()


def described(text: str, **metadata: Any) -> Any:
    return compiled_model(text, json.dumps([metadata]) if metadata else None, "m.mlmodelc").description


def program(inputs: str, body: str = "", outputs: str = "", opset: str = "ios17") -> str:
    return f"program(1.3) {{ func main<{opset}>({inputs}) {{ {body} }} -> ({outputs}); }}"


def test_a_compiled_program_is_loaded(folder: Path) -> None:
    model = refcoreml.load(folder, prepare=False)
    assert (model.kind, model.spec.specificationVersion, model.name) == ("mlProgram", 7, str(folder))
    assert [(item.name, item.describe()) for item in model.inputs] == [("x", model.outputs[0].describe())]
    assert model.spec.description.input[0].type.multiArrayType == ARRAY(shape=[3, 5], dataType=ARRAY.FLOAT16)
    assert model.spec.description.input[0].shortDescription == "about x"
    metadata = model.spec.description.metadata
    assert (metadata.shortDescription, metadata.author, metadata.license) == ("scales", "us", "free")
    assert (metadata.versionString, dict(metadata.userDefined)) == ("1.2", {"made by": "hand"})
    assert weight(model).tolist() == [0, 1, 2, 3, 4]


def test_without_metadata_the_program_describes_itself(folder: Path) -> None:
    with_metadata = refcoreml.load(folder, prepare=False).spec
    (folder / "metadata.json").unlink()
    model = refcoreml.load(folder, prepare=False).spec
    assert model.specificationVersion == 7
    for mine, other in zip(model.description.input, with_metadata.description.input, strict=True):
        assert (mine.name, mine.type) == (other.name, other.type)
    assert model.description.output[0].type == with_metadata.description.output[0].type


def test_it_is_saved_as_a_package_with_its_weights(folder: Path, tmp_path: Path) -> None:
    model = refcoreml.load(folder, prepare=False)
    model.save(tmp_path / "again.mlpackage")
    again = refcoreml.load(tmp_path / "again.mlpackage", prepare=False)
    assert again.spec == model.spec
    np.testing.assert_array_equal(weight(again), weight(model))
    with pytest.raises(RefCoreMLError, match="only a package can hold"):
        model.save(tmp_path / "again.mlmodel")


def test_a_compiled_pipeline_is_refused_and_its_programs_are_loaded_one_by_one(folder: Path, tmp_path: Path) -> None:
    pipeline = tmp_path / "pipeline.mlmodelc"
    (pipeline / "model0").mkdir(parents=True)
    (pipeline / "coremldata.bin").write_bytes(b"private")
    (pipeline / "model0" / "model.espresso.net").write_text("{}")
    with pytest.raises(UnsupportedModelError, match=r"a compiled pipeline.*that it was compiled from$"):
        refcoreml.load(pipeline)
    folder.rename(pipeline / "model1")
    with pytest.raises(UnsupportedModelError, match=r"or the ML Programs in it one by one: model1$"):
        refcoreml.load(pipeline)
    assert refcoreml.load(pipeline / "model1").kind == "mlProgram"


def test_a_compiled_program_without_weights(folder: Path) -> None:
    (folder / "weights" / "weight.bin").unlink()
    model = refcoreml.load(folder, prepare=False)
    with pytest.raises(MalformedModelError, match="is not there"):
        weight(model)
    (folder / "weights").rmdir()
    with pytest.raises(MalformedModelError, match="not loaded from a package"):
        weight(refcoreml.load(folder, prepare=False))


# --- descriptions -----------------------------------------------------------------------------------------------------


def test_images() -> None:
    text = program("tensor<fp32, [1, 3, 7, 5]> x", outputs="x")
    image = {"name": "x", "type": "Image", "width": "5", "height": "7", "colorspace": "BGR", "isColor": "1"}
    found = described(text, inputSchema=[image]).input[0].type.imageType
    assert found == IMAGE(width=5, height=7, colorSpace=IMAGE.BGR)
    found = described(text, inputSchema=[{**image, "sizeRange": "[[1, 9], [2, -1]]"}]).input[0].type.imageType
    assert (found.imageSizeRange.widthRange.upperBound, found.imageSizeRange.heightRange.lowerBound) == (9, 2)
    sizes = "[[5, 7], [10, 14]]"
    found = described(text, inputSchema=[{**image, "enumeratedSizes": sizes}]).input[0].type.imageType
    assert [(size.width, size.height) for size in found.enumeratedSizes.sizes] == [(5, 7), (10, 14)]


def test_flexible_shapes_in_metadata() -> None:
    text = program("tensor<int32, [1, ?]> x", outputs="x")
    entry = feature("x", dataType="Int32", shape="[1, 4]")
    found = described(text, inputSchema=[{**entry, "shapeRange": "[[1, 1], [2, 64]]"}]).input[0].type.multiArrayType
    assert list(found.shape) == [1, 4]
    assert [(item.lowerBound, item.upperBound) for item in found.shapeRange.sizeRanges] == [(1, 1), (2, 64)]
    choices = {**entry, "enumeratedShapes": "[[1, 4], [1, 8]]"}
    found = described(text, inputSchema=[choices]).input[0].type.multiArrayType
    assert [list(item.shape) for item in found.enumeratedShapes.shapes] == [[1, 4], [1, 8]]


def test_flexible_shapes_in_the_program() -> None:
    kinds = "string, dict<string, tensor<int32, [?]>>", "string, dict<string, list<tensor<int32, [2]>, ?>>"
    values = '("DefaultShapes", {{"x", [1, 4]}}), ("RangeDims", {{"x", [[1, 1], [2, 64]]}})'
    flexible = f"[FlexibleShapeInformation = tuple<tuple<{kinds[0]}>, tuple<{kinds[1]}>>(({values}))]"
    text = f"program(1.3) {{ func main<ios17>(tensor<int32, [1, ?]> x) {flexible} {{ }} -> (x); }}"
    found = described(text).input[0].type.multiArrayType
    assert list(found.shape) == [1, 4]
    assert [(item.lowerBound, item.upperBound) for item in found.shapeRange.sizeRanges] == [(1, 1), (2, 64)]

    kind = "string, dict<string, dict<string, tensor<int32, [?]>>>"
    values = '("EnumeratedShapes", {{"a", {{"x", [1, 4]}}}, {"b", {{"x", [1, 8]}}}})'
    flexible = f"[FlexibleShapeInformation = tuple<tuple<{kind}>>(({values}))]"
    text = f"program(1.3) {{ func main<ios17>(tensor<int32, [1, ?]> x) {flexible} {{ }} -> (x); }}"
    found = described(text).input[0].type.multiArrayType
    assert [list(item.shape) for item in found.enumeratedShapes.shapes] == [[1, 4], [1, 8]]


def test_shapes_of_which_nothing_is_known() -> None:
    found = described(program("tensor<fp16, [2, ?]> x, fp32 s", outputs="x, s"))
    array = found.input[0].type.multiArrayType
    assert [(item.lowerBound, item.upperBound) for item in array.shapeRange.sizeRanges] == [(2, 2), (1, -1)]
    assert found.input[1].type.multiArrayType == ARRAY(shape=[1], dataType=ARRAY.FLOAT32)


def test_classifiers() -> None:
    body = """string label, dict<string, fp32> label_probs = classify(probabilities = x,
        classes = list<string, 2>(["a", "b"]))[name = string("c")];"""
    found = described(program("tensor<fp32, [2]> x", body, "label, label_probs"))
    assert (found.predictedFeatureName, found.predictedProbabilitiesName) == ("label", "label_probs")
    assert [item.type.WhichOneof("Type") for item in found.output] == ["stringType", "dictionaryType"]
    assert found.output[1].type.dictionaryType.WhichOneof("KeyType") == "stringKeyType"
    body = body.replace("string label,", "int64 label,").replace("dict<string,", "dict<int64,")
    found = described(program("tensor<fp32, [2]> x", body, "label, label_probs"))
    assert [item.type.WhichOneof("Type") for item in found.output] == ["int64Type", "dictionaryType"]


def test_states_and_optional_inputs() -> None:
    text = program("state<tensor<fp16, [3, 4]>> kv, tensor<fp16, [3]> x", outputs="x", opset="ios18")
    model = compiled_model(text, json.dumps([{"inputSchema": [feature("x", isOptional="1")]}]))
    assert model.specificationVersion == 9
    assert [item.name for item in model.description.input] == ["x"]
    assert model.description.input[0].type.isOptional
    (state,) = model.description.state
    assert (state.name, list(state.type.stateType.arrayType.shape)) == ("kv", [3, 4])


def test_several_functions() -> None:
    functions = "func {}<ios18>(tensor<fp16, [{}]> x) {{ }} -> (x);"
    text = f"program(1.3) {{ {functions.format('b', 2)} {functions.format('a', 3)} }}"
    metadata = {"functions": [{"name": "b", "inputSchema": [feature("x", dataType="Float32")]}]}
    found = described(text, defaultFunctionName="b", **metadata)
    assert (found.defaultFunctionName, [item.name for item in found.functions]) == ("b", ["a", "b"])
    arrays = [item.input[0].type.multiArrayType for item in found.functions]
    assert arrays == [ARRAY(shape=[3], dataType=ARRAY.FLOAT16), ARRAY(shape=[2], dataType=ARRAY.FLOAT32)]
    assert not found.input
    assert described(text).defaultFunctionName == "a"


# --- what is wrong ----------------------------------------------------------------------------------------------------


def test_a_damaged_text_says_where(folder: Path) -> None:
    (folder / "model.mil").write_text(SCALE.replace("mul(x = x", "mul(x = "))
    with pytest.raises(MalformedModelError, match="expected a name or a value with its type, got ','") as caught:
        refcoreml.load(folder)
    assert caught.value.where == f"{folder}/model.mil, line 6, column 42"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("model.mil", b"", "expected 'program', got the end"),
        ("model.mil", b"\xff\xfe", "no UTF-8"),
        ("metadata.json", b"\xff", "no UTF-8"),
        ("metadata.json", b"{", "the metadata are damaged"),
        ("metadata.json", b"[" * 100_000, "the metadata are damaged"),
        ("metadata.json", b"[]", "expected a list with an object"),
        ("metadata.json", b'[{"inputSchema": [{"name": "x", "shape": "[1' + b"0" * 30 + b']"}]}]', "31 digits"),
        ("metadata.json", b'[{"inputSchema": [{"name": "x", "type": "Image", "colorspace": "CMYK"}]}]', "'CMYK'"),
        ("metadata.json", b'[{"specificationVersion": 99}]', "version 99"),
    ],
)
def test_damaged_folders(name: str, content: bytes, problem: str, folder: Path) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises((MalformedModelError, UnsupportedModelError), match=problem) as caught:
        refcoreml.load(folder)
    assert caught.value.where.startswith(str(folder))


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("name", ["model.mil", "metadata.json", "weights"])
def test_links_are_refused(name: str, folder: Path) -> None:
    (folder / name).rename(folder.parent / "outside")
    (folder / name).symlink_to(folder.parent / "outside")
    with pytest.raises(MalformedModelError, match="link"):
        refcoreml.load(folder)


def test_an_output_that_nothing_makes() -> None:
    with pytest.raises(InvalidModelError, match="returns 'z', which nothing in it makes") as caught:
        described(program("tensor<fp16, [2]> x", outputs="z"))
    assert caught.value.where == "m.mlmodelc/model.mil, function 'main'"


def test_a_list_is_no_feature() -> None:
    with pytest.raises(InvalidModelError, match="which a feature cannot be"):
        described(program("list<tensor<fp16, [2]>, 2> x", outputs="x"))


def test_any_json_is_refused_or_read() -> None:
    """Values in the metadata replaced by others, at every place."""
    draw = random.Random(5)
    others: list[Any] = [None, True, -1, 1.5, "", "[[-1, 3], [2]]", "\ud800", [], [[]], {}, [{"name": []}], 10**30]

    def mutated(value: Any) -> Any:
        if draw.random() < 0.1:
            return draw.choice(others)
        if isinstance(value, dict):
            return {key: mutated(item) for key, item in value.items()}
        return [mutated(item) for item in value] if isinstance(value, list) else value

    image = {"name": "x", "type": "Image", "width": "5", "height": "7", "colorspace": "RGB", "sizeRange": "[[1, 2]]"}
    ranges = feature("x", shape="[3, 5]", shapeRange="[[1, 3], [5, 5]]", enumeratedShapes="[[3, 5]]", dataType="Int32")
    refused = 0
    for index in range(600):
        changed = mutated([{**METADATA, "inputSchema": [image if index % 2 else ranges]}])
        try:
            compiled_model(SCALE, json.dumps(changed))
        except RefCoreMLError:
            refused += 1
    assert 0 < refused < 500


# --- a model that Apple compiled --------------------------------------------------------------------------------------

MODELS = Path(os.environ.get("REFCOREML_MODELS", Path(__file__).resolve().parents[3] / "shared" / "models"))
COMPILED = sorted(path.parent for path in MODELS.rglob("model.mil"))


@pytest.mark.skipif(not COMPILED, reason="no compiled models; name a folder of models in REFCOREML_MODELS")
def test_real_descriptions_are_what_was_compiled() -> None:
    """The private file holds the messages of the features as they were."""
    for folder in COMPILED:
        model = refcoreml.load(folder, prepare=False)
        private = (folder / "coremldata.bin").read_bytes()
        described = model.spec.description
        for item in [*described.input, *described.output, *described.state]:
            assert item.SerializeToString() in private
