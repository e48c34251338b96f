"""The Core ML schema as message classes: ``schema.Model``, ``schema.MILSpec.Program``,
``schema.ReduceLayerParams.AVG``.

The descriptors come from ``schema.binpb``, which ``proto/compile.py`` makes from ``proto/*.proto``, and live in a pool
of their own. Nothing is registered in protobuf's global pool, so refcoreml and any version of coremltools can be
imported into one process, in either order, with any protobuf runtime from 4.25 on. Message classes are made on first
use: most programs touch few of the schema's several hundred.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper

from refcoreml.storage.reading import MODEL_LIMIT, read_file

ROOT_PACKAGE = "CoreML.Specification"


class _Package:
    """Looks names up in one protobuf package: messages, enums, enum values and packages below it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        found = _find(self._name, name)
        setattr(self, name, found)
        return found


def _load() -> tuple[descriptor_pool.DescriptorPool, set[str], dict[str, str]]:
    data = read_file(Path(__file__).with_name("schema.binpb"), MODEL_LIMIT)
    pool = descriptor_pool.DescriptorPool()
    packages: set[str] = set()
    enum_values: dict[str, str] = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.Add(file)
        packages.add(file.package)
        for enum in file.enum_type:
            # In protobuf the values of a top-level enum are names of the package.
            enum_values.update((f"{file.package}.{value.name}", f"{file.package}.{enum.name}") for value in enum.value)
    return pool, packages, enum_values


def _find(package: str, name: str) -> Any:
    full_name = f"{package}.{name}"
    if full_name in _packages:
        return _Package(full_name)
    if full_name in _enum_values:
        return pool.FindEnumTypeByName(_enum_values[full_name]).values_by_name[name].number
    try:
        return _message_class(pool.FindMessageTypeByName(full_name))
    except KeyError:
        pass
    try:
        return enum_type_wrapper.EnumTypeWrapper(pool.FindEnumTypeByName(full_name))
    except KeyError:
        raise AttributeError(f"the Core ML schema has no {full_name}") from None


def _message_class(descriptor: Any) -> Any:
    found = message_factory.GetMessageClass(descriptor)
    # A class that the runtime makes when a field is read would belong to the module that happened to read it first.
    found.__module__ = __name__
    # The upb runtime finds nested messages by itself; the pure Python one leaves that to generated code.
    for nested in descriptor.nested_types:
        if not hasattr(found, nested.name):
            setattr(found, nested.name, _message_class(nested))
    return found


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    found = _find(ROOT_PACKAGE, name)
    globals()[name] = found
    return found


pool, _packages, _enum_values = _load()
