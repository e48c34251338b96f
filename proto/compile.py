"""Compiles ``proto/*.proto`` into what the package ships: a descriptor set, its fingerprint and type stubs.

Run it after every change of a ``.proto`` file (needs the ``dev`` extra, which brings the protobuf compiler)::

    python proto/compile.py

It writes three files into ``refcoreml/spec/``: ``schema.binpb`` (all files of the schema as one serialized
``FileDescriptorSet``), ``schema.sha256`` (fingerprint of the sources, with which a test notices a stale set) and
``schema.pyi`` (what editors and mypy know of the messages).
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2

HERE = Path(__file__).resolve().parent
SPEC = HERE.parent / "refcoreml" / "spec"
ROOT_PACKAGE = "CoreML.Specification"

Field = descriptor_pb2.FieldDescriptorProto
Message = descriptor_pb2.DescriptorProto
Enum = descriptor_pb2.EnumDescriptorProto

SCALARS = {
    Field.TYPE_DOUBLE: "float",
    Field.TYPE_FLOAT: "float",
    Field.TYPE_BOOL: "bool",
    Field.TYPE_STRING: "str",
    Field.TYPE_BYTES: "bytes",
}


def sources() -> list[Path]:
    """Return the schema's files in a fixed order."""
    return sorted(HERE.glob("*.proto"))


def fingerprint() -> str:
    """SHA-256 over names and contents of the sources, the same whatever the line endings of the checkout."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def descriptor_set() -> bytes:
    """Return the serialized ``FileDescriptorSet`` of the sources, dependencies first, without source comments."""
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "schema.binpb"
        names = [path.name for path in sources()]
        status = protoc.main(["protoc", f"-I{HERE}", f"--descriptor_set_out={target}", "--include_imports", *names])
        if status:
            raise SystemExit(f"protoc failed with status {status}")
        return target.read_bytes()


def stubs(data: bytes) -> str:
    """Return a ``.pyi`` in which every package below ``CoreML.Specification`` is a class that holds its messages."""
    lines = [
        '"""Type stubs of the Core ML schema. Written by proto/compile.py; do not edit."""',
        "",
        "from abc import ABCMeta",
        "from collections.abc import Iterable, Mapping, MutableMapping, MutableSequence",
        "from typing import ClassVar, Literal, TypeVar, overload",
        "",
        "from google.protobuf.descriptor import Descriptor, EnumDescriptor",
        "from google.protobuf.message import Message",
        "",
        '_M = TypeVar("_M", bound=Message)',
        '_K = TypeVar("_K")',
        "",
        "class _Messages(MutableSequence[_M], metaclass=ABCMeta):  # a repeated field of messages",
        "    def add(self, **fields: object) -> _M: ...",
        "    def MergeFrom(self, other: Iterable[_M]) -> None: ...",
        "",
        "class _MessageMap(MutableMapping[_K, _M], metaclass=ABCMeta):  # a map field with messages as values",
        "    def get_or_create(self, key: _K) -> _M: ...",
        "",
    ]
    files = descriptor_pb2.FileDescriptorSet.FromString(data).file
    packages: dict[str, list[str]] = {}
    for file in files:
        body = packages.setdefault(file.package, [])
        indent = "" if file.package == ROOT_PACKAGE else "    "
        for enum in file.enum_type:
            body += _enum(enum, indent)
        for message in file.message_type:
            body += _message(message, indent, f".{file.package}")
    for package in sorted(packages, key=lambda name: (name == ROOT_PACKAGE, name)):
        if package != ROOT_PACKAGE:
            lines.append(f"class {package.removeprefix(ROOT_PACKAGE + '.')}:")
        lines += packages[package]
    return "\n".join(lines).rstrip() + "\n"


def _enum(enum: Enum, indent: str) -> list[str]:
    lines = [f"{indent}class {enum.name}:", f"{indent}    DESCRIPTOR: ClassVar[EnumDescriptor]"]
    lines += [f"{indent}    {value.name}: ClassVar[int]" for value in enum.value]
    lines += [f"{indent}    @staticmethod", f"{indent}    def Name(number: int) -> str: ..."]
    lines += [f"{indent}    @staticmethod", f"{indent}    def Value(name: str) -> int: ..."]
    # Values stand beside their enum as well, as everywhere in protobuf.
    return lines + [f"{indent}{value.name}: int" for value in enum.value] + [""]


def _message(message: Message, indent: str, scope: str) -> list[str]:
    inner = indent + "    "
    full_name = f"{scope}.{message.name}"
    lines = [f"{indent}class {message.name}(Message):", f"{inner}DESCRIPTOR: Descriptor"]
    maps = {f"{full_name}.{nested.name}": nested for nested in message.nested_type if nested.options.map_entry}
    for enum in message.enum_type:
        lines += _enum(enum, inner)
    for nested in message.nested_type:
        if not nested.options.map_entry:
            lines += _message(nested, inner, full_name)
    arguments = []
    for field in message.field:
        read, write = _types(field, maps)
        arguments.append(f"{field.name}: {write} = ...")
        is_plain = field.label != Field.LABEL_REPEATED and field.type != Field.TYPE_MESSAGE
        lines.append(f"{inner}{field.name}: {read}" if is_plain else f"{inner}@property")
        if not is_plain:
            lines.append(f"{inner}def {field.name}(self) -> {read}: ...")
    separator = ", *, " if arguments else ""
    lines.append(f"{inner}def __init__(self{separator}{', '.join(arguments)}) -> None: ...")
    which = [
        (oneof.name, [f.name for f in message.field if f.HasField("oneof_index") and f.oneof_index == index])
        for index, oneof in enumerate(message.oneof_decl)
    ]
    for name, members in which:
        literal = ", ".join(f'"{member}"' for member in members)
        if len(which) > 1:
            lines.append(f"{inner}@overload")
        lines.append(f'{inner}def WhichOneof(self, oneof_group: Literal["{name}"]) -> Literal[{literal}] | None: ...')
    return [*lines, ""]


def _types(field: Field, maps: dict[str, Message]) -> tuple[str, str]:
    """Return the type that reading a field gives, and the type that the constructor takes."""
    if field.type_name in maps:
        key, value = maps[field.type_name].field
        kinds = f"{_single(key)}, {_single(value)}"
        holder = "_MessageMap" if value.type == Field.TYPE_MESSAGE else "MutableMapping"
        return f"{holder}[{kinds}]", f"Mapping[{kinds}]"
    single = _single(field)
    if field.label == Field.LABEL_REPEATED:
        holder = "_Messages" if field.type == Field.TYPE_MESSAGE else "MutableSequence"
        return f"{holder}[{single}]", f"Iterable[{single}]"
    return single, f"{single} | None" if field.type == Field.TYPE_MESSAGE else single


def _single(field: Field) -> str:
    if field.type == Field.TYPE_MESSAGE:
        return field.type_name.removeprefix(f".{ROOT_PACKAGE}.")
    return SCALARS.get(field.type, "int")


def main() -> None:
    """Write the three files."""
    data = descriptor_set()
    (SPEC / "schema.binpb").write_bytes(data)
    (SPEC / "schema.sha256").write_text(fingerprint() + "\n", encoding="ascii", newline="\n")
    (SPEC / "schema.pyi").write_text(stubs(data), encoding="utf-8", newline="\n")
    sys.stdout.write(f"wrote {SPEC / 'schema.binpb'} ({len(data)} bytes), schema.sha256 and schema.pyi\n")


if __name__ == "__main__":
    main()
