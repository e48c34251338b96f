"""The private schema: equal to coremltools', side by side with it, up to date, and kind to files of newer versions."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import refcoreml
from refcoreml.spec import schema

ROOT = Path(__file__).resolve().parents[1]
SPEC = Path(schema.__file__).parent
Field = descriptor_pb2.FieldDescriptorProto
Messages = dict[str, descriptor_pb2.DescriptorProto]


def descriptor_set() -> descriptor_pb2.FileDescriptorSet:
    return descriptor_pb2.FileDescriptorSet.FromString((SPEC / "schema.binpb").read_bytes())


def editable_schema() -> tuple[descriptor_pb2.FileDescriptorSet, Messages]:
    """The schema for making a variant of it: all files, and the top-level messages in them by name."""
    files = descriptor_set()
    return files, {message.name: message for file in files.file for message in file.message_type}


def pool_of(files: descriptor_pb2.FileDescriptorSet) -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


# --- equal to coremltools' schema ------------------------------------------------------------------------------------


def with_dependencies(file: Any) -> dict[str, Any]:
    """The file and all files that it imports, by name."""
    found: dict[str, Any] = {}
    waiting = [file]
    while waiting:
        file = waiting.pop()
        if file.name not in found:
            found[file.name] = file
            waiting += file.dependencies
    return found


def is_repeated(field: Any) -> bool:
    """Protobuf 6 brought is_repeated, and 7 took label away."""
    return bool(field.is_repeated) if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def is_packed(field: Any) -> bool:
    """Read off the wire: whether two elements share one length-delimited record."""
    if not is_repeated(field) or field.type in (field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_MESSAGE):
        return False
    message = message_factory.GetMessageClass(field.containing_type)()
    getattr(message, field.name).extend([1, 1])
    data = message.SerializeToString()
    shift = tag = 0
    for byte in data:
        tag |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    assert tag >> 3 == field.number
    return tag & 7 == 2


def field_facts(field: Any) -> dict[str, Any]:
    return {
        "number": field.number,
        "type": field.type,
        "repeated": is_repeated(field),
        "packed": is_packed(field),
        "presence": field.has_presence,
        "oneof": field.containing_oneof.name if field.containing_oneof else None,
        "message": field.message_type.full_name if field.message_type else None,
        "enum": field.enum_type.full_name if field.enum_type else None,
        "default": None if is_repeated(field) or field.message_type else field.default_value,
        "json": field.json_name,
    }


def enum_facts(enum: Any) -> Iterator[tuple[str, Any]]:
    yield f"enum {enum.full_name}", [(value.name, value.number) for value in enum.values]


def message_facts(message: Any) -> Iterator[tuple[str, Any]]:
    yield (
        f"message {message.full_name}",
        {
            "map": message.GetOptions().map_entry,
            "oneofs": {oneof.name: sorted(field.name for field in oneof.fields) for oneof in message.oneofs},
            "extendable": message.is_extendable,
        },
    )
    for field in message.fields:
        yield f"field {message.full_name}.{field.name}", field_facts(field)
    for enum in message.enum_types:
        yield from enum_facts(enum)
    for nested in message.nested_types:
        yield from message_facts(nested)


def facts(root: Any) -> dict[str, Any]:
    """Whatever a schema says that could change the meaning of a file, under one name each."""
    found: dict[str, Any] = {}
    for file in with_dependencies(root).values():
        entries = [
            (
                f"file {file.name}",
                {
                    "package": file.package,
                    "imports": sorted(dependency.name for dependency in file.dependencies),
                    "public imports": sorted(dependency.name for dependency in file.public_dependencies),
                    "messages": sorted(file.message_types_by_name),
                    "enums": sorted(file.enum_types_by_name),
                },
            )
        ]
        for enum in file.enum_types_by_name.values():
            entries += enum_facts(enum)
        for message in file.message_types_by_name.values():
            entries += message_facts(message)
        for name, fact in entries:
            assert name not in found, f"{name} appears twice"
            found[name] = fact
    return found


@pytest.fixture(scope="module")
def coremltools_model() -> Any:
    pytest.importorskip("coremltools", reason="coremltools holds the schema to compare with")
    from coremltools.proto import Model_pb2

    return Model_pb2


def test_equals_coremltools(coremltools_model: Any) -> None:
    ours = facts(schema.pool.FindFileByName("Model.proto"))
    theirs = facts(coremltools_model.DESCRIPTOR)
    assert len(theirs) > 1000
    assert sum(fact.get("packed", False) for fact in theirs.values() if isinstance(fact, dict)) > 50
    different = {
        name: (ours.get(name), theirs.get(name))
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    }
    assert different == {}


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        (lambda messages: None, set()),
        (lambda messages: field_of(messages, "probA").__setattr__("number", 9), {"field probA"}),
        (lambda messages: field_of(messages, "probA").__setattr__("name", "probC"), {"field probA", "field probC"}),
        (lambda messages: field_of(messages, "rho").__setattr__("type", Field.TYPE_FLOAT), {"field rho"}),
        (lambda messages: field_of(messages, "rho").__setattr__("label", Field.LABEL_OPTIONAL), {"field rho"}),
        (lambda messages: field_of(messages, "rho").options.__setattr__("packed", False), {"field rho"}),
        (
            lambda messages: field_of(messages, "kernel").__setattr__("type_name", ".CoreML.Specification.RBFKernel"),
            {"field kernel"},
        ),
        (
            lambda messages: field_of(messages, "denseSupportVectors").ClearField("oneof_index"),
            {"field denseSupportVectors", "message SupportVectorClassifier"},
        ),
        (lambda messages: messages["Normalizer"].enum_type[0].value[2].__setattr__("number", 7), {"enum NormType"}),
        (lambda messages: messages["Scaler"].nested_type.add(name="Extra"), {"message Extra"}),
    ],
)
def test_comparison_notices(change: Callable[[Messages], object], noticed: set[str]) -> None:
    """The comparison with coremltools is worth something only if no change slips through it."""
    files, messages = editable_schema()
    change(messages)
    before, after = (facts(pool.FindFileByName("Model.proto")) for pool in (schema.pool, pool_of(files)))
    different = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert {f"{name.split()[0]} {name.rpartition('.')[2]}" for name in different} == noticed


def field_of(messages: Messages, name: str) -> Field:
    return next(field for field in messages["SupportVectorClassifier"].field if field.name == name)


# --- in one process with coremltools ---------------------------------------------------------------------------------

EXCHANGE = """
import coremltools
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder
from refcoreml.spec import schema

builder = NeuralNetworkBuilder([("x", datatypes.Array(3, 5, 7))], [("y", datatypes.Array(3, 5, 7))])
builder.add_activation("half", "LINEAR", "x", "y", [0.5, 2.0])
model = schema.Model.FromString(builder.spec.SerializeToString())
assert type(model) is not type(builder.spec)
assert list(model.description.input[0].type.multiArrayType.shape) == [3, 5, 7]
assert model.description.input[0].type.multiArrayType.dataType == schema.ArrayFeatureType.DOUBLE
(layer,) = model.neuralNetwork.layers
assert layer.WhichOneof("layer") == "activation"
assert (layer.name, layer.activation.linear.alpha, layer.activation.linear.beta) == ("half", 0.5, 2.0)
back = coremltools.proto.Model_pb2.Model.FromString(model.SerializeToString())
assert back == builder.spec
print("exchanged")
"""


@pytest.mark.parametrize(
    "first",
    ["from refcoreml.spec import schema; schema.Model()", "import coremltools; coremltools.proto.Model_pb2.Model()"],
    ids=["refcoreml first", "coremltools first"],
)
def test_lives_beside_coremltools(first: str) -> None:
    if importlib.util.find_spec("coremltools") is None:
        pytest.skip("coremltools is the other one in the process")
    paths = [str(Path(refcoreml.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-c", first + EXCHANGE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "exchanged"


def test_nothing_enters_the_global_pool() -> None:
    code = (
        "from google.protobuf import descriptor_pool\n"
        "from refcoreml.spec import schema\n"
        "schema.Model(specificationVersion=4)\n"
        "try:\n"
        "    descriptor_pool.Default().FindFileByName('Model.proto')\n"
        "except KeyError:\n"
        "    print('clean')\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(refcoreml.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "clean"


# --- what compile.py wrote is what proto/ says -----------------------------------------------------------------------


def compiler(folder: Path) -> ModuleType:
    """The script compile.py of a ``proto`` folder as a module."""
    spec = importlib.util.spec_from_file_location("proto_compile", folder / "compile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def renumber_scale_value(folder: Path) -> None:
    path = folder / "Scaler.proto"
    text = path.read_text(encoding="utf-8")
    assert "scaleValue = 2;" in text
    path.write_text(text.replace("scaleValue = 2;", "scaleValue = 3;"), encoding="utf-8")


@pytest.fixture
def proto_copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    return tmp_path / "proto"


def test_fingerprint_is_current() -> None:
    recorded = (SPEC / "schema.sha256").read_text(encoding="ascii")
    assert recorded == compiler(ROOT / "proto").fingerprint() + "\n", "proto/ has changed: run python proto/compile.py"


def test_descriptor_set_and_stubs_are_current() -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools brings the protobuf compiler")
    module = compiler(ROOT / "proto")
    data = module.descriptor_set()
    compiled = {file.name: file for file in descriptor_pb2.FileDescriptorSet.FromString(data).file}
    assert compiled == {file.name: file for file in descriptor_set().file}
    assert module.stubs(data) == (SPEC / "schema.pyi").read_text(encoding="utf-8")


def test_stubs_follow_from_the_descriptor_set() -> None:
    stubs = compiler(ROOT / "proto").stubs((SPEC / "schema.binpb").read_bytes())
    assert stubs == (SPEC / "schema.pyi").read_text(encoding="utf-8")


def test_changed_source_is_noticed(proto_copy: Path) -> None:
    original = compiler(ROOT / "proto").fingerprint()
    assert compiler(proto_copy).fingerprint() == original
    renumber_scale_value(proto_copy)
    assert compiler(proto_copy).fingerprint() != original


def test_fingerprint_covers_names_and_ignores_line_endings(proto_copy: Path) -> None:
    original = compiler(proto_copy).fingerprint()
    for path in proto_copy.glob("*.proto"):
        path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert compiler(proto_copy).fingerprint() == original
    (proto_copy / "Scaler.proto").rename(proto_copy / "Scaling.proto")
    assert compiler(proto_copy).fingerprint() != original


def test_changed_source_changes_the_descriptor_set(proto_copy: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools brings the protobuf compiler")
    renumber_scale_value(proto_copy)
    compiled = descriptor_pb2.FileDescriptorSet.FromString(compiler(proto_copy).descriptor_set())
    ours = {file.name: file for file in descriptor_set().file}
    assert [file.name for file in compiled.file if file != ours[file.name]] == ["Scaler.proto"]


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "full_name"),
    [
        ("Model", "CoreML.Specification.Model"),
        ("MILSpec.Program", "CoreML.Specification.MILSpec.Program"),
        ("CoreMLModels.TextClassifier", "CoreML.Specification.CoreMLModels.TextClassifier"),
        ("TreeEnsembleParameters.TreeNode", "CoreML.Specification.TreeEnsembleParameters.TreeNode"),
        ("MILSpec.Value.BlobFileValue", "CoreML.Specification.MILSpec.Value.BlobFileValue"),
    ],
)
def test_message_names_resolve(name: str, full_name: str) -> None:
    assert resolve(name).DESCRIPTOR.full_name == full_name
    assert resolve(name) is resolve(name)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("ReduceLayerParams.SUMSQUARE", 4),
        ("ArrayFeatureType.FLOAT16", 0x10000 | 16),
        ("ImageFeatureType.ColorSpace.BGR", 30),
        ("TreeEnsembleParameters.TreeNode.LeafNode", 6),
        ("Classification_SoftMaxWithZeroClassReference", 3),
        ("MILSpec.FLOAT16", 10),
        ("CoreMLModels.VisionFeaturePrint.Scene.SCENE_VERSION_2", 2),
    ],
)
def test_enum_values_resolve(name: str, number: int) -> None:
    assert resolve(name) == number


def test_enums_resolve() -> None:
    assert schema.MILSpec.DataType.Value("BFLOAT16") == 13
    assert schema.MILSpec.DataType.Name(24) == "INT64"
    assert schema.TreeEnsemblePostEvaluationTransform.Name(2) == "Regression_Logistic"


def test_every_top_level_name_resolves() -> None:
    for file in descriptor_set().file:
        package = file.package.removeprefix("CoreML.Specification").lstrip(".")
        for item in [*file.message_type, *file.enum_type]:
            found = resolve(".".join(filter(None, [package, item.name])))
            assert found.DESCRIPTOR.full_name == f"{file.package}.{item.name}"
        for enum in file.enum_type:
            for value in enum.value:
                assert resolve(".".join(filter(None, [package, value.name]))) == value.number


@pytest.mark.parametrize(
    "name", ["NoSuchLayerParams", "MILSpec.Programme", "CoreMLModels.Model", "model", "CoreML", "", "__path__"]
)
def test_unknown_names_are_named(name: str) -> None:
    package, _, last = name.rpartition(".")
    holder = resolve(package) if package else schema
    with pytest.raises(AttributeError) as caught:
        getattr(holder, last)
    assert name in str(caught.value)
    assert not hasattr(holder, last)


def resolve(name: str) -> Any:
    found: Any = schema
    for part in name.split("."):
        found = getattr(found, part)
    return found


# --- files of a newer schema -----------------------------------------------------------------------------------------


def test_unknown_fields_survive() -> None:
    """What a newer schema adds (a field, a nested message, a layer, an enum value) passes through ours untouched."""
    files, messages = editable_schema()
    optional = Field.LABEL_OPTIONAL
    messages["Model"].field.add(name="seal", number=77, label=optional, type=Field.TYPE_STRING)
    messages["Metadata"].field.add(name="colours", number=78, label=Field.LABEL_REPEATED, type=Field.TYPE_SINT64)
    layer = messages["NeuralNetworkLayer"]
    layer.field.add(
        name="telepathy",
        number=9001,
        label=optional,
        type=Field.TYPE_MESSAGE,
        type_name=".CoreML.Specification.WeightParams",
        oneof_index=[oneof.name for oneof in layer.oneof_decl].index("layer"),
    )
    newer = message_factory.GetMessageClass(pool_of(files).FindMessageTypeByName("CoreML.Specification.Model"))

    sent = newer(specificationVersion=99, seal="wax")
    sent.description.metadata.author = "someone"
    sent.description.metadata.colours.extend([-1, 2**40])
    described = sent.description.input.add(name="x")
    described.type.imageType.colorSpace = 12345
    sent.neuralNetwork.layers.add(name="mind").telepathy.floatValue.append(0.5)

    ours = schema.Model.FromString(sent.SerializeToString())
    assert ours.specificationVersion == 99
    assert ours.description.metadata.author == "someone"
    assert ours.description.input[0].type.imageType.colorSpace == 12345
    assert ours.neuralNetwork.layers[0].name == "mind"
    assert ours.neuralNetwork.layers[0].WhichOneof("layer") is None
    assert newer.FromString(ours.SerializeToString()) == sent

    copy = schema.Model()
    copy.CopyFrom(ours)
    copy.specificationVersion = 100
    sent.specificationVersion = 100
    assert newer.FromString(copy.SerializeToString()) == sent


def test_a_class_belongs_to_the_schema_whoever_meets_it_first() -> None:
    program = "from refcoreml.spec import schema; inner = schema.PoolingLayerParams().same; print(schema.SamePadding)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "<class 'refcoreml.spec.schema.SamePadding'>"
