"""Descriptions of inputs and outputs, for builders: images, arrays of several shapes, optional ones."""

from __future__ import annotations

from collections.abc import Sequence

from refcoreml.build.fields import fill
from refcoreml.errors import UsageError, within
from refcoreml.features import ArrayFeature, Feature, ImageFeature
from refcoreml.spec import schema
from refcoreml.spec.mil_types import DATA_TYPES, DeclaredTensor
from refcoreml.types import Shape

__all__ = ["array", "image", "tensor_of"]

#: How the description names types of elements.
FEATURE_TYPES = {"fp32": "FLOAT32", "fp16": "FLOAT16", "fp64": "DOUBLE", "int32": "INT32", "int8": "INT8"}
#: By type of an array feature the type of elements that a program takes or returns for it.
_ELEMENTS = {"Float32": "fp32", "Float16": "fp16", "Double": "fp32", "Int32": "int32", "Int8": "int8"}
#: The fields of default values.
_DEFAULTS = {"FLOAT32": "floatDefaultValue", "DOUBLE": "doubleDefaultValue", "INT32": "intDefaultValue"}


def image(width: int, height: int, color_space: str = "RGB", *, optional: bool = False) -> schema.FeatureType:
    """Return an image feature.

    Args:
        width, height: its size.
        color_space: RGB, BGR, GRAYSCALE or GRAYSCALE_FLOAT16.
        optional: whether a prediction may go without it.
    """
    feature = schema.FeatureType(isOptional=optional)
    fill(feature.imageType, {"width": width, "height": height, "colorSpace": color_space}, "image")
    return feature


def array(
    *shape: int,
    data_type: str = "FLOAT32",
    choices: Sequence[Sequence[int]] = (),
    ranges: Sequence[tuple[int, int]] = (),
    optional: bool = False,
    default: float | None = None,
) -> schema.FeatureType:
    """Return a multi-array feature.

    Args:
        shape: the default shape.
        data_type: FLOAT32, DOUBLE, INT32, FLOAT16 or INT8.
        choices: all shapes that it may have, if they are several.
        ranges: instead, for each axis the smallest and the largest length, -1 for any.
        optional: whether a prediction may go without it.
        default: the number that it then consists of.
    """
    feature = schema.FeatureType(isOptional=optional)
    fields: dict[str, object] = {"shape": shape, "dataType": data_type}
    if choices:
        fields["enumeratedShapes"] = {"shapes": [{"shape": list(choice)} for choice in choices]}
    if ranges:
        bounds = [{"lowerBound": least, "upperBound": most} for least, most in ranges]
        fields["shapeRange"] = {"sizeRanges": bounds}
    if default is not None:
        if data_type not in _DEFAULTS:
            raise UsageError(f"an array of {data_type} has no default value", where="array", remedy="Leave it out")
        fields[_DEFAULTS[data_type]] = default
    fill(feature.multiArrayType, fields, "array")
    return feature


def tensor_of(name: str, message: schema.FeatureType, element: str = "") -> DeclaredTensor:
    """Return the type that a program has for a feature.

    Args:
        name: its name.
        message: its type.
        element: the type of elements; by default the one that suits it.
    """
    with within(f"feature {name!r}"):
        feature = Feature.of(schema.FeatureDescription(name=name, type=message))
        if isinstance(feature, ImageFeature):
            sizes = [(1, feature.channels, *reversed(size)) for size in _shapes(feature)]
            own = "fp16" if feature.half else "fp32"
        elif isinstance(feature, ArrayFeature):
            sizes, own = _shapes(feature), _ELEMENTS[feature.element]
        else:
            raise UsageError(f"is {feature.describe()}, programs take arrays and images")
        if len({len(size) for size in sizes}) != 1:
            raise UsageError("has no shape, or shapes of several ranks")
        lengths = tuple(lengths[0] if len(set(lengths)) == 1 else None for lengths in zip(*sizes, strict=True))
    return DeclaredTensor(DATA_TYPES[element or own], lengths)


def _shapes(feature: Feature) -> list[Shape]:
    """Return shapes that differ in each axis that may have several lengths."""
    shapes = feature.shapes
    if shapes.ranges:
        ends = [(least, least + 1 if most is None else most) for least, most in shapes.ranges]
        return [tuple(least for least, _ in ends), tuple(most for _, most in ends)]
    return list(shapes.listed) or ([shapes.default] if shapes.default else [])
