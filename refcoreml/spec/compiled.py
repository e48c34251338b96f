"""Compiled ML Programs, ``.mlmodelc``: the model that was compiled, from the text of its program and its metadata.

Such a folder holds ``model.mil``, the program as text, ``weights/``, and ``metadata.json``, which says what the
description of the model said. The rest (``coremldata.bin``, ``analytics/``) is in a form private to Apple, and is not
needed. Where there are no metadata, the description follows from the program: images are arrays then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from refcoreml.errors import InvalidModelError, MalformedModelError, at
from refcoreml.spec import schema
from refcoreml.spec.mil_text import parse_program
from refcoreml.spec.mil_types import (
    DATA_TYPES,
    DeclaredDictionary,
    DeclaredState,
    DeclaredTensor,
    DeclaredType,
    read_type,
)
from refcoreml.spec.mil_values import read_value

__all__ = ["compiled_model"]

_ARRAY = schema.ArrayFeatureType
#: Types of arrays by the types of elements in programs, and by the names that metadata have for them.
_ARRAY_TYPES = {
    "fp16": _ARRAY.FLOAT16,
    "fp32": _ARRAY.FLOAT32,
    "fp64": _ARRAY.DOUBLE,
    "int8": _ARRAY.INT8,
    "int32": _ARRAY.INT32,
    "Float16": _ARRAY.FLOAT16,
    "Float32": _ARRAY.FLOAT32,
    "Double": _ARRAY.DOUBLE,
    "Int8": _ARRAY.INT8,
    "Int32": _ARRAY.INT32,
}
_IMAGE = schema.ImageFeatureType
_COLOURS = {
    "RGB": _IMAGE.RGB,
    "BGR": _IMAGE.BGR,
    "Grayscale": _IMAGE.GRAYSCALE,
    "Grayscale16Half": _IMAGE.GRAYSCALE_FLOAT16,
}
#: The first specification version that has a set of operations.
_VERSIONS = {"CoreML5": 6, "CoreML6": 7, "CoreML7": 8, "CoreML8": 9, "CoreML9": 10}
_NEWEST_NUMBER = 2**31 - 1
_MOST_DIGITS = 18
_MAIN = "main"


def compiled_model(text: str, metadata: str | None, where: str = "") -> schema.Model:
    """Return the model whose program a text holds.

    Args:
        text: what ``model.mil`` holds.
        metadata: what ``metadata.json`` holds, if there is one.
        where: the folder, for errors.

    Raises:
        MalformedModelError: the text or the metadata are damaged.
        InvalidModelError: a function returns what no operation makes.
        UnsupportedModelError: the program is from a newer system.
    """
    program = parse_program(text, f"{where}/model.mil")
    with at(f"{where}/metadata.json"):
        schemas = _parse_metadata(metadata)
    model = schema.Model(mlProgram=program)
    opsets = [function.opset for function in program.functions.values()]
    version = _number(schemas.get("specificationVersion")) or max(
        (_VERSIONS.get(opset, 6) for opset in opsets), default=6
    )
    model.specificationVersion = min(version, _NEWEST_NUMBER)
    _describe(model, schemas, where)
    _describe_origin(model.description.metadata, schemas)
    return model


def _parse_metadata(metadata: str | None) -> Mapping[str, Any]:
    if metadata is None:
        return {}
    try:
        found = json.loads(metadata)
    except (ValueError, RecursionError) as error:
        raise MalformedModelError(f"the metadata are damaged: {type(error).__name__}: {error}") from error
    first = found[0] if isinstance(found, list) and found else found
    if not isinstance(first, dict):
        raise MalformedModelError("the metadata are damaged: expected a list with an object in it")
    return first


def _describe(model: schema.Model, schemas: Mapping[str, Any], where: str) -> None:
    functions, description = model.mlProgram.functions, model.description
    several = list(functions) != [_MAIN]
    if several:
        default = _text(schemas, "defaultFunctionName")
        description.defaultFunctionName = default if default in functions else min(functions, default="")
    of_functions = {_text(entry, "name"): entry for entry in _entries(schemas, "functions")}
    for name in sorted(functions):
        target = description.functions.add(name=name) if several else description
        with at(f"{where}/model.mil, function {name!r}"):
            _describe_function(target, functions[name], of_functions.get(name, schemas))


def _describe_function(target: Any, function: schema.MILSpec.Function, schemas: Mapping[str, Any]) -> None:
    shapes = _flexible_shapes(function)
    known = {name: _by_name(schemas, name) for name in ("inputSchema", "outputSchema", "stateSchema")}
    for item in function.inputs:
        declared = read_type(item.type)
        group, kind = (
            (target.state, "stateSchema") if isinstance(declared, DeclaredState) else (target.input, "inputSchema")
        )
        feature = group.add(name=item.name)
        _describe_feature(feature.type, declared, known[kind].get(item.name, {}), shapes.get(item.name, {}))
        feature.shortDescription = _text(known[kind].get(item.name, {}), "shortDescription")
    block = function.block_specializations[function.opset]
    made = {output.name: output.type for operation in block.operations for output in operation.outputs}
    made.update({item.name: item.type for item in function.inputs})
    for name in block.outputs:
        if name not in made:
            raise InvalidModelError(f"returns {name!r}, which nothing in it makes")
        feature = target.output.add(name=name)
        entry = known["outputSchema"].get(name, {})
        _describe_feature(feature.type, read_type(made[name]), entry, {})
        feature.shortDescription = _text(entry, "shortDescription")
    for operation in block.operations:
        if operation.type == "classify" and len(operation.outputs) == 2:
            target.predictedFeatureName, target.predictedProbabilitiesName = (item.name for item in operation.outputs)


def _describe_feature(
    target: schema.FeatureType, declared: DeclaredType, entry: Mapping[str, Any], flexible: Mapping[str, Any]
) -> None:
    """Fill the type of a feature in: from its metadata where they say more than the program does."""
    target.isOptional = entry.get("isOptional") == "1"
    if isinstance(declared, DeclaredState):
        _describe_array(target.stateType.arrayType, declared.wrapped, entry, {})
    elif isinstance(declared, DeclaredDictionary):
        of_texts = declared.key == DeclaredTensor(DATA_TYPES["string"], ())
        (target.dictionaryType.stringKeyType if of_texts else target.dictionaryType.int64KeyType).SetInParent()
    elif declared == DeclaredTensor(DATA_TYPES["string"], ()):
        target.stringType.SetInParent()
    elif declared == DeclaredTensor(DATA_TYPES["int64"], ()):
        target.int64Type.SetInParent()
    elif entry.get("type") == "Image":
        _describe_image(target.imageType, entry)
    else:
        _describe_array(target.multiArrayType, declared, entry, flexible)


def _describe_array(
    target: schema.ArrayFeatureType, declared: DeclaredType, entry: Mapping[str, Any], flexible: Mapping[str, Any]
) -> None:
    if not isinstance(declared, DeclaredTensor):
        raise InvalidModelError(f"takes or returns a value of type {declared}, which a feature cannot be")
    element = _text(entry, "dataType") if _text(entry, "dataType") in _ARRAY_TYPES else declared.element.name
    target.dataType = _ARRAY_TYPES.get(element, _ARRAY.FLOAT32)
    lengths = declared.shape or (() if declared.shape is None else (1,))  # a scalar is described as an array of one
    shape = (
        _numbers(entry.get("shape")) or list(flexible.get("DefaultShapes", ())) or [length or 1 for length in lengths]
    )
    target.shape.extend(shape)
    ranges = _pairs(entry.get("shapeRange")) or list(flexible.get("RangeDims", ()))
    choices = _lists(entry.get("enumeratedShapes")) or list(flexible.get("EnumeratedShapes", ()))
    if choices:
        for choice in choices:
            target.enumeratedShapes.shapes.add(shape=choice)
    elif None in lengths or ranges:
        for low, high in ranges or [(length or 1, length or -1) for length in lengths]:
            target.shapeRange.sizeRanges.add(lowerBound=max(low, 0), upperBound=high)


def _describe_image(target: schema.ImageFeatureType, entry: Mapping[str, Any]) -> None:
    target.width, target.height = _number(entry.get("width")), _number(entry.get("height"))
    colour = _text(entry, "colorspace")
    if colour not in _COLOURS:
        raise MalformedModelError(f"an image has the colour space {colour!r}, known are {', '.join(_COLOURS)}")
    target.colorSpace = _COLOURS[colour]
    sizes, ranges = _lists(entry.get("enumeratedSizes")), _pairs(entry.get("sizeRange"))
    for size in sizes:
        if len(size) == 2:
            target.enumeratedSizes.sizes.add(width=max(size[0], 0), height=max(size[1], 0))
    if len(ranges) == 2 and not sizes:
        for limits, (low, high) in zip(
            (target.imageSizeRange.widthRange, target.imageSizeRange.heightRange), ranges, strict=True
        ):
            limits.lowerBound, limits.upperBound = max(low, 0), high


def _flexible_shapes(function: schema.MILSpec.Function) -> dict[str, dict[str, Any]]:
    """Return by input what an attribute of compiled functions says about its shape; nothing where it is unclear."""
    found: dict[str, dict[str, Any]] = {}
    if "FlexibleShapeInformation" not in function.attributes:
        return found
    value = read_value(function.attributes["FlexibleShapeInformation"]).get()
    for part in value if isinstance(value, tuple) else ():
        if not (isinstance(part, tuple) and len(part) == 2 and isinstance(part[1], dict)):
            continue
        kind, by_name = str(part[0]), part[1]
        if kind == "EnumeratedShapes":  # by a name of the combination, then by input
            for shapes in by_name.values():
                for name, shape in shapes.items() if isinstance(shapes, dict) else ():
                    found.setdefault(name, {}).setdefault(kind, []).append(_integers(shape))
            continue
        for name, item in by_name.items():
            numbers = [_integers(limits) for limits in item] if isinstance(item, list) else _integers(item)
            if kind != "RangeDims" or all(isinstance(pair, list) and len(pair) == 2 for pair in numbers):
                found.setdefault(name, {})[kind] = numbers
    return found


def _integers(value: Any) -> list[int]:
    """Return the integers of a vector; none for anything else."""
    is_vector = isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iu"
    return [int(number) for number in value] if is_vector else []


def _describe_origin(target: schema.Metadata, schemas: Mapping[str, Any]) -> None:
    target.shortDescription = _text(schemas, "shortDescription")
    target.versionString = _text(schemas, "version")
    target.author, target.license = _text(schemas, "author"), _text(schemas, "license")
    defined = schemas.get("userDefinedMetadata")
    for name, value in defined.items() if isinstance(defined, dict) else ():
        target.userDefined[_clean(name)] = _clean(str(value))


def _entries(schemas: Mapping[str, Any], name: str) -> Iterable[Mapping[str, Any]]:
    found = schemas.get(name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _by_name(schemas: Mapping[str, Any], name: str) -> dict[str, Mapping[str, Any]]:
    return {_text(entry, "name"): entry for entry in _entries(schemas, name)}


def _text(entry: Mapping[str, Any], name: str) -> str:
    found = entry.get(name, "")
    return _clean(found) if isinstance(found, str) else ""


def _clean(text: str) -> str:
    """Return a text of JSON without what is no character, which messages do not take."""
    return text.encode("utf-8", "replace").decode()


def _number(value: Any) -> int:
    found = _numbers(value)
    return found[0] if found else 0


def _numbers(value: Any) -> list[int]:
    """Return the integers in what metadata have: a number, or a text such as "[1, 10]"."""
    digits = re.findall(r"-?[0-9]+", str(value)) if isinstance(value, (str, int)) else []
    if any(len(number) > _MOST_DIGITS for number in digits):
        raise MalformedModelError(f"the metadata are damaged: they hold a number of {max(map(len, digits))} digits")
    return [int(number) for number in digits]


def _lists(value: Any) -> list[list[int]]:
    """Return the lists in a text such as "[[1, 10], [1, 20]]"."""
    inner = re.findall(r"\[([^\[\]]*)\]", value) if isinstance(value, str) else []
    return [_numbers(numbers) for numbers in inner]


def _pairs(value: Any) -> list[tuple[int, int]]:
    return [(pair[0], pair[1]) for pair in _lists(value) if len(pair) == 2]
