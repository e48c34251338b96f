"""Features: what a model takes and gives, as Python values.

`Feature` reads the declaration of one input or output, `check_inputs` turns what a user passes into the values that an
evaluator computes on, `finish_output` turns what it computed into the types that Core ML returns in Python, and
`prepare_image` brings any picture to the mode and size that an image input wants.

============ ==================================================== ==============================================
kind         taken                                                given back
============ ==================================================== ==============================================
int64        int                                                  int
double       int, float                                           float
string       str                                                  str
image        PIL image of the declared mode and size, or an array PIL image: RGBA (colour), L (gray), F (float16)
array        whatever NumPy reads as an array of numbers          array of the declared type, FLOAT16 as float32
dictionary   dict of int or str to number                         dict of int or str to float
sequence     list of int or str                                   list of int or str
============ ==================================================== ==============================================
"""

from __future__ import annotations

import difflib
import math
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from refcoreml import values as given
from refcoreml.errors import (
    InputError,
    InvalidModelError,
    RefCoreMLError,
    UnsupportedModelError,
    UsageError,
    harmless,
)
from refcoreml.kernels._types import Shape
from refcoreml.spec import schema

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "Feature",
    "RefCoreMLWarning",
    "Shapes",
    "check_inputs",
    "check_value",
    "convert",
    "finish_output",
    "given_form",
    "prepare_image",
    "read_features",
]

#: The most elements of a shape that the model declares and nobody passed. A hostile file can declare any size at all.
ELEMENT_LIMIT = 1 << 28

_KINDS = {
    "int64Type": "int64",
    "doubleType": "double",
    "stringType": "string",
    "imageType": "image",
    "multiArrayType": "array",
    "dictionaryType": "dictionary",
    "sequenceType": "sequence",
    "stateType": "state",
}
_ARRAY_TYPES = {
    schema.ArrayFeatureType.DOUBLE: "Double",
    schema.ArrayFeatureType.FLOAT32: "Float32",
    schema.ArrayFeatureType.FLOAT16: "Float16",
    schema.ArrayFeatureType.INT32: "Int32",
    schema.ArrayFeatureType.INT8: "Int8",
}
_DTYPES: dict[str, type[Any]] = {
    "Double": np.float64,
    "Float32": np.float32,
    "Float16": np.float16,
    "Int32": np.int32,
    "Int8": np.int8,
}
_FLOATS = ("Double", "Float32", "Float16")
_COLORS = {
    schema.ImageFeatureType.RGB: "RGB",
    schema.ImageFeatureType.BGR: "BGR",
    schema.ImageFeatureType.GRAYSCALE: "Grayscale",
    schema.ImageFeatureType.GRAYSCALE_FLOAT16: "Grayscale Float16",
}
#: How many inputs an error lists.
_MOST_LISTED = 50
_MODES = {"RGB": "RGB", "BGR": "RGB", "Grayscale": "L", "Grayscale Float16": "F"}


class RefCoreMLWarning(UserWarning):
    """Something in a model or in its outputs that runs, but deserves a look."""

    def __str__(self) -> str:
        return harmless(super().__str__(), keep="\n")


def elements(shape: Shape, most: int) -> int:
    """Return the number of elements, or a number above ``most`` if there are more: a file may state any lengths.

    The product of a hundred thousand large lengths would take minutes.
    """
    if 0 in shape:
        return 0
    count = 1
    for length in shape:
        count *= length
        if count > most:
            break
    return count


@dataclass(frozen=True)
class Shapes:
    """The shapes that a feature allows: of an array as it is, of an image (width, height).

    Attributes:
        default: the declared or implied default; None if the model declares nothing, so that every shape will do.
        listed: the enumerated shapes, if the feature enumerates them.
        ranges: least and greatest length of each dimension, None for no upper limit, if the feature gives ranges.
    """

    default: Shape | None = None
    listed: tuple[Shape, ...] = ()
    ranges: tuple[tuple[int, int | None], ...] = ()

    def problem(self, shape: Shape, noun: str = "MultiArray Shape") -> str:
        """Why the shape is not allowed, in the words of Core ML where they are known; empty if it is allowed."""
        if self.listed:
            if shape in self.listed:
                return ""
            return f"{noun} ({_times(shape)}) was not in enumerated set of allowed shapes: {self}"
        if self.ranges:
            if len(shape) != len(self.ranges):
                return f"{noun} ({_times(shape)}) has {len(shape)} dimensions, expected {len(self.ranges)}: {self}"
            for axis, (size, (least, most)) in enumerate(zip(shape, self.ranges, strict=True)):
                if size < least or (most is not None and size > most):
                    return f"Size ({size}) of dimension ({axis}) is not in allowed range ({_span(least, most)})"
            return ""
        if self.default is None or shape == self.default:
            return ""
        return f"{noun} ({_times(shape)}) does not match the shape ({self}) specified in the model description"

    def __str__(self) -> str:
        if self.listed:
            return " | ".join(map(_times, self.listed))
        if self.ranges:
            return " x ".join(_span(least, most) for least, most in self.ranges)
        return _times(self.default or ())


@dataclass(frozen=True)
class Feature:
    """One input or output of a model. Made by `Feature.of`.

    Attributes:
        name: its name; in a network also that of its blob.
        kind: ``int64``, ``double``, ``string``, ``image``, ``array``, ``dictionary``, ``sequence`` or ``state``.
        optional: whether a prediction may go without it.
        description: the author's words about it.
        element: what it holds: the data type of an array (``Float32``), the colours of an image (``RGB``), the type of
            the keys of a dictionary or of the items of a sequence (``Int64``, ``String``); empty for the other kinds.
        shapes: the allowed shapes of an array or state, the allowed sizes (width, height) of an image, the allowed
            lengths (length,) of a sequence.
        spec: a copy of the message.
    """

    name: str
    kind: str
    optional: bool
    description: str
    element: str
    shapes: Shapes
    spec: schema.FeatureDescription = field(repr=False, compare=False)

    @classmethod
    def of(cls, description: schema.FeatureDescription) -> Feature:
        """Reads a declaration.

        An array without a data type, which old files have, counts as one of doubles and causes a `RefCoreMLWarning`.

        Raises:
            InvalidModelError: the declaration has no type, or breaks a rule of its type.
        """
        name, kind = description.name, _KINDS.get(description.type.WhichOneof("Type") or "")
        where = f"description of feature {name!r}"
        if kind is None:
            raise InvalidModelError("it has no type, or one that came after specification version 10", where=where)
        element, shapes = "", Shapes()
        if kind == "image":
            element, shapes = _image_type(description.type.imageType, where)
        elif kind == "array":
            element, shapes = _array_type(description.type.multiArrayType, where)
        elif kind == "state":
            element, shapes = _array_type(description.type.stateType.arrayType, where)
        elif kind == "dictionary":
            element = _item_type(description.type.dictionaryType.WhichOneof("KeyType"), where)
        elif kind == "sequence":
            sequence = description.type.sequenceType
            element = _item_type(sequence.WhichOneof("Type"), where)
            if sequence.HasField("sizeRange"):
                shapes = Shapes(ranges=(_size_range(sequence.sizeRange, where),))
        copy = schema.FeatureDescription()
        copy.CopyFrom(description)
        return cls(name, kind, description.type.isOptional, description.shortDescription, element, shapes, copy)

    def describe(self) -> str:
        """The type in short, much as Xcode shows it: ``Image (RGB 224 x 224)``, ``MultiArray (Float32 1..5 x 3)``.

        Ranges read ``1..5`` or, without an upper limit, ``1..``; enumerated shapes ``2 x 4 | 3 x 9``; sizes of images
        are width x height; an optional feature ends in ``?``.
        """
        inside = " ".join(filter(None, [self.element, str(self.shapes)]))
        text = {
            "int64": "Int64",
            "double": "Double",
            "string": "String",
            "image": f"Image ({inside})",
            "array": f"MultiArray ({inside})",
            "state": f"State ({inside})",
            "dictionary": f"Dictionary ({self.element} -> Double)",
            "sequence": f"Sequence ({inside})",
        }[self.kind]
        return f"{text}?" if self.optional else text

    @property
    def holds_fractions(self) -> bool:
        """Whether a number or an array can hold fractions."""
        return self.kind == "double" or (self.kind == "array" and self.element in _FLOATS)

    @property
    def channels(self) -> int:
        """The channels of an image: 3 or 1."""
        return 3 if _MODES[self.element] == "RGB" else 1

    @property
    def default_shape(self) -> Shape | None:
        """The shape of an array, or [C, H, W] of an image, by default; None if the model does not declare one.

        Raises:
            InvalidModelError: the declared shape has more than `ELEMENT_LIMIT` elements.
        """
        shape = self.shapes.default
        if shape is not None and self.kind == "image":
            width, height = shape
            shape = (self.channels, height, width)
        if shape is not None and elements(shape, ELEMENT_LIMIT) > ELEMENT_LIMIT:
            raise InvalidModelError(
                f"the declared shape ({_times(shape)}) is too large", where=f"description of feature {self.name!r}"
            )
        return shape

    def refuse(self, problem: str, remedy: str = "") -> InputError:
        """The error to raise when a value does not fit this input; it says what was expected."""
        return InputError(problem, where=f"input {self.name!r}, {self.describe()}", remedy=remedy)


def read_features(descriptions: Iterable[schema.FeatureDescription], noun: str, where: str) -> list[Feature]:
    """Read the declarations of a model's inputs or outputs.

    Args:
        descriptions: the messages.
        noun: ``inputs`` or ``outputs``.
        where: the model's place, for errors.

    Raises:
        InvalidModelError: a declaration breaks a rule, or several have one name.
    """
    features = [Feature.of(description) for description in descriptions]
    for name, count in Counter(feature.name for feature in features).items():
        if count > 1:
            raise InvalidModelError(f"{count} {noun} have the name {name!r}", where=where)
    return features


def _times(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))


def _span(least: int, most: int | None) -> str:
    return str(least) if least == most else f"{least}..{'' if most is None else most}"


def _item_type(member: str | None, where: str) -> str:
    if member is None:
        raise InvalidModelError("the feature declares no type of its keys or items, Int64 or String", where=where)
    return "Int64" if member.startswith("int64") else "String"


def _size_range(message: schema.SizeRange, where: str) -> tuple[int, int | None]:
    """Bounds of a range. An upper bound of 0, which would allow nothing, is unset: no limit, like a negative one."""
    least, most = message.lowerBound, message.upperBound
    if 0 < most < least:
        raise InvalidModelError(f"size range ({least}, {most}) is empty", where=where)
    return least, most if most > 0 else None


def _checked_shapes(shapes: Shapes, where: str) -> Shapes:
    for shape in filter(None, (shapes.default, *shapes.listed)):
        if any(size < 0 for size in shape):
            raise InvalidModelError(f"shape ({_times(shape)}) has a negative size", where=where)
    if shapes.default is not None and shapes.problem(shapes.default):
        raise InvalidModelError(f"the default shape is not allowed: {shapes.problem(shapes.default)}", where=where)
    return shapes


def _array_type(message: schema.ArrayFeatureType, where: str) -> tuple[str, Shapes]:
    if message.dataType and message.dataType not in _ARRAY_TYPES:
        raise InvalidModelError(f"unknown array data type {message.dataType}", where=where)
    if not message.dataType:
        warnings.warn(f"{where}: the array has no data type; taken as DOUBLE", RefCoreMLWarning, stacklevel=3)
    element = _ARRAY_TYPES.get(message.dataType, "Double")
    default = tuple(message.shape) or None
    flexibility = message.WhichOneof("ShapeFlexibility")
    if flexibility == "enumeratedShapes":
        listed = tuple(tuple(item.shape) for item in message.enumeratedShapes.shapes)
        if not listed or not all(listed):
            raise InvalidModelError("the enumerated shapes are missing or empty", where=where)
        return element, _checked_shapes(Shapes(default or listed[0], listed), where)
    if flexibility == "shapeRange":
        ranges = tuple(_size_range(item, where) for item in message.shapeRange.sizeRanges)
        # No blob may be empty, so that a lower bound of 0 leaves 1 as the least length.
        default = default or tuple(max(least, 1) for least, _ in ranges) or None
        return element, _checked_shapes(Shapes(default, ranges=ranges), where)
    return element, _checked_shapes(Shapes(default), where)


def _image_type(message: schema.ImageFeatureType, where: str) -> tuple[str, Shapes]:
    if message.colorSpace not in _COLORS:
        raise InvalidModelError("the image has no color space, or an unknown one", where=where)
    element = _COLORS[message.colorSpace]
    default = (message.width, message.height) if message.width > 0 and message.height > 0 else None
    flexibility = message.WhichOneof("SizeFlexibility")
    if flexibility == "enumeratedSizes":
        listed = tuple((item.width, item.height) for item in message.enumeratedSizes.sizes)
        if not listed:
            raise InvalidModelError("the enumerated image sizes are missing", where=where)
        return element, _checked_shapes(Shapes(default or listed[0], listed), where)
    if flexibility == "imageSizeRange":
        bounds = message.imageSizeRange
        ranges = tuple(_size_range(item, where) for item in (bounds.widthRange, bounds.heightRange))
        default = default or (max(ranges[0][0], 1), max(ranges[1][0], 1))
        return element, _checked_shapes(Shapes(default, ranges=ranges), where)
    if default is None:
        raise InvalidModelError(f"image size {message.width} x {message.height} is not positive", where=where)
    return element, Shapes(default)


# --- what goes in ----------------------------------------------------------------------------------------------------


def check_inputs(
    features: Sequence[Feature], values: Mapping[str, Any], *, legacy_ranks: bool = False
) -> dict[str, Any]:
    """Checks the inputs of one prediction and brings them to the types that evaluators compute on.

    ========== =======================================================================================================
    kind       result
    ========== =======================================================================================================
    int64      int
    double     float; NaN stands for a missing value
    string     str
    image      float32 array [C, H, W] of 0..255, channels in the declared order (BGR: blue first); float16 gray as it
               is, each value rounded to half precision
    array      contiguous array of the declared type (Float16: float32 that holds half-precision values)
    dictionary dict of int or str to finite float
    sequence   list of int or str
    ========== =======================================================================================================

    Arrays are taken from anything NumPy can read as booleans, integers or floats, among them torch tensors and nested
    lists, and in every type from which the declared one can be reached without loss of meaning: a fraction or NaN for
    an integer array is an error, and so is a finite number beyond the range of the type. Where the declared shape is
    (1,) a plain number will do. Colour images are taken in PIL mode RGB, gray ones in L, float16 gray ones in F, all in
    the declared size, or as an array: uint8 [H, W, 3] in the order red, green, blue; uint8 [H, W]; float [H, W].

    Args:
        features: the declared inputs.
        values: the values by name. Optional inputs may be absent or None; those with a declared default value then get
            it, the others are missing in the result.
        legacy_ranks: whether arrays become static rank-5 blobs (``RANK5_ARRAY_MAPPING``), so that they may also come as
            [Seq, Batch, C, H, W], or as [Seq, Batch, C] where rank 1 is declared.

    Raises:
        InputError: a name is unknown or missing, or a value does not fit its feature.
    """
    passed = _by_name(features, values)
    result: dict[str, Any] = {}
    for feature in features:
        value = passed.get(feature.name)
        if value is not None:
            result[feature.name] = _checked(feature, value, legacy_ranks)
        elif not feature.optional:
            came = "is None" if feature.name in passed else "is missing"
            raise InputError(f"input {feature.name!r} {came}", remedy=f"The model's inputs: {_declared(features)}")
        else:
            default = _default_value(feature)
            if default is not None:
                result[feature.name] = default
    _warn_of_mixed_enumerations(features, result)
    return result


def _by_name(features: Sequence[Feature], values: Any) -> dict[str, Any]:
    """The values as a dict whose keys are all names of inputs."""
    known = {feature.name for feature in features}
    passed = {}
    for key, value in given.mapping(values, given.argument(kind=InputError), "inputs as a dict by name").items():
        name = str.__str__(key) if given.is_a(key, str) else None
        if name is None or name not in known:
            hint = _similar_name(name or "", features)
            raise InputError(
                f"the model has no input {given.quoted(key)}", remedy=f"{hint}Its inputs: {_declared(features)}"
            )
        passed[name] = value
    return passed


def _similar_name(name: str, features: Sequence[Feature]) -> str:
    lowered = {feature.name.lower(): feature.name for feature in features}
    close = difflib.get_close_matches(name.lower(), lowered, n=1) if len(name) < 200 else []
    return f"Did you mean {lowered[close[0]]!r}? " if close else ""


def _declared(features: Sequence[Feature]) -> str:
    shown = ", ".join(f"{feature.name!r}, {feature.describe()}" for feature in features[:_MOST_LISTED]) or "none"
    return shown if len(features) <= _MOST_LISTED else f"{shown} and {len(features) - _MOST_LISTED} more"


def check_value(feature: Feature, value: Any, *, legacy_ranks: bool = False) -> Any:
    """One value, as `check_inputs`; also takes what `finish_output` gives, a colour image with alpha."""
    from PIL import Image

    if feature.kind == "image" and given.is_a(value, Image.Image) and value.mode == "RGBA":
        try:
            value = value.convert("RGB")
        except Exception as error:  # Pillow's decoders raise all sorts of things on damaged files
            raise feature.refuse(f"the image cannot be decoded: {given.reason(error)}") from error
    return _checked(feature, value, legacy_ranks)


def converted(feature: Feature, value: Any) -> Any:
    """A value that another model made, in the type that a feature of the same kind declares; shapes are left alone.

    Raises:
        InputError: the type cannot hold it.
    """
    if feature.kind == "array":
        return _to_declared_type(feature, np.asarray(value))
    return check_value(feature, value) if feature.kind == "image" else value


def given_form(feature: Feature, value: Any) -> Any:
    """A value that `check_inputs` has checked, or that an evaluator computed, in the form in which people pass it.

    It is what `finish_output` gives, but for colour images, which have no alpha.
    """
    result = finish_output(feature, value)
    return result.convert("RGB") if feature.kind == "image" and feature.channels == 3 else result


def _checked(feature: Feature, value: Any, legacy_ranks: bool) -> Any:
    if feature.kind == "array":
        return _check_array(feature, value, legacy_ranks)
    if feature.kind == "image":
        return _check_image(feature, value)
    if feature.kind == "dictionary":
        return _check_dictionary(feature, value)
    if feature.kind == "sequence":
        return _check_sequence(feature, value)
    if feature.kind == "state":
        raise UnsupportedModelError("states cannot be passed as inputs", where=f"input {feature.name!r}")
    return _check_scalar(feature, value, {"int64": "Int64", "double": "Double", "string": "String"}[feature.kind])


def _check_scalar(feature: Feature, value: Any, wanted: str, what: str = "") -> int | float | str:
    """A number or string of the wanted type; ``what`` says which part of the feature's value it is."""

    def refuse(problem: str, remedy: str = "") -> InputError:
        return feature.refuse(f"{what}{problem}", remedy)

    if given.is_a(value, (bool, np.bool_)):
        number = "" if wanted == "String" else f"Pass {int(value)} if the number is meant"
        raise refuse(f"got the boolean {value}, expected {wanted}", number)
    if wanted == "String" and given.is_a(value, str):
        return given.text(value, refuse)
    if wanted == "Int64" and given.is_a(value, (int, np.integer)):
        return given.integer(value, refuse)
    if wanted == "Double" and given.is_a(value, (int, float, np.integer, np.floating)):
        return given.number(value, refuse)
    remedy = "Pass int(value) if that is meant" if wanted == "Int64" and given.is_a(value, (float, np.floating)) else ""
    if given.is_a(value, np.ndarray) and value.size == 1:
        remedy = "Pass value.item()"
    raise refuse(f"got {given.shown(value)}, expected {wanted}", remedy)


def _check_dictionary(feature: Feature, value: Any) -> dict[Any, float]:
    result: dict[Any, float] = {}
    for key, number in given.mapping(value, feature.refuse).items():
        name = given.quoted(key)
        checked = float(_check_scalar(feature, number, "Double", f"value of {name}: "))
        if not math.isfinite(checked):
            raise feature.refuse(f"value of {name}: {checked} is not finite")
        result[_check_scalar(feature, key, feature.element, f"key {name}: ")] = checked
    return result


def _check_sequence(feature: Feature, value: Any) -> list[Any]:
    listed = given.items(value, feature.refuse)
    problem = feature.shapes.problem((len(listed),), "Sequence length")
    if problem:
        raise feature.refuse(problem)
    return [_check_scalar(feature, item, feature.element, f"item {index}: ") for index, item in enumerate(listed)]


def _default_value(feature: Feature) -> Any:
    """The declared value of an absent optional array; None if there is none."""
    if feature.kind != "array":
        return None
    member = feature.spec.type.multiArrayType.WhichOneof("defaultOptionalValue")
    if member is None or feature.default_shape is None:
        return None
    number = np.asarray(getattr(feature.spec.type.multiArrayType, member))
    try:
        value = _to_declared_type(feature, number)
    except InputError as error:
        where = f"description of feature {feature.name!r}"
        raise InvalidModelError(f"{member}: {error.problem}", where=where) from None
    return np.full(feature.default_shape, value)


def _warn_of_mixed_enumerations(features: Sequence[Feature], result: Mapping[str, Any]) -> None:
    """Core ML pairs the enumerated shapes of several inputs by position (apple/coremltools#2271)."""
    positions: dict[str, set[int]] = {}
    for feature in features:
        listed = feature.shapes.listed
        if listed and feature.name in result:
            shape = result[feature.name].shape
            shape = (shape[2], shape[1]) if feature.kind == "image" else shape
            positions[feature.name] = {index for index, allowed in enumerate(listed) if allowed == shape}
    found = [places for places in positions.values() if places]
    if found and not set.intersection(*found):
        warnings.warn(
            f"inputs {', '.join(map(repr, positions))} enumerate their shapes, and the shapes given stand at different "
            "positions of the enumerations; Core ML refuses such a mixture",
            RefCoreMLWarning,
            stacklevel=3,
        )


# --- arrays ----------------------------------------------------------------------------------------------------------


def _check_array(feature: Feature, value: Any, legacy_ranks: bool) -> NDArray[Any]:
    array = given.array(value, feature.refuse, lambda shape: _check_shape(feature, shape, legacy_ranks))
    if array.ndim == 0:
        array = array.reshape(1)
    return np.require(_to_declared_type(feature, array), requirements=["C", "A"])


def _check_shape(feature: Feature, shape: Shape, legacy_ranks: bool) -> None:
    if 0 in shape:
        raise feature.refuse(f"MultiArray Shape ({_times(shape)}) holds nothing, every dimension must be at least 1")
    if shape == () and not feature.shapes.problem((1,)):
        shape = (1,)
    if legacy_ranks:
        if rank5_shape(feature.shapes, shape) is None:
            problem = feature.shapes.problem(shape) or f"MultiArray Shape ({_times(shape)}) has {len(shape)} dimensions"
            raise feature.refuse(problem, _legacy_forms(feature.shapes))
    elif feature.shapes.problem(shape):
        raise feature.refuse(feature.shapes.problem(shape), _shape_hint(feature.shapes, shape))


def _shape_hint(shapes: Shapes, shape: Shape) -> str:
    """What to do about a shape that is nearly right."""
    if shapes.default is None or len(shape) == len(shapes.default):
        return ""
    if not shapes.problem((1, *shape)):
        return "Add a leading dimension: value[None]"
    if shape[:1] == (1,) and not shapes.problem(shape[1:]):
        return "Take the leading dimension away: value[0]"
    return ""


def _legacy_forms(shapes: Shapes) -> str:
    if shapes.default is None:
        return "Networks of this kind take arrays with 1, 3 or 5 dimensions: [C], [C, H, W], [Seq, Batch, C, H, W]"
    if len(shapes.default) == 1:
        return f"Pass ({shapes}), or [Seq, Batch, C] or [Seq, Batch, C, 1, 1] with such a C"
    return f"Pass ({shapes}), or [Seq, Batch, C, H, W] that ends so"


def rank5_shape(shapes: Shapes, shape: Shape) -> Shape | None:
    """The blob [Seq, Batch, C, H, W] that an array becomes under ``RANK5_ARRAY_MAPPING``; None if it is not allowed.

    =========== =============== ===============
    declared    given           blob
    =========== =============== ===============
    [C]         [C]             [1, 1, C, 1, 1]
    [C]         [S, B, C]       [S, B, C, 1, 1]
    [C]         [S, B, C, 1, 1] [S, B, C, 1, 1]
    [C, H, W]   [C, H, W]       [1, 1, C, H, W]
    [C, H, W]   [S, B, C, H, W] [S, B, C, H, W]
    =========== =============== ===============

    Without a declared shape, three dimensions are [C, H, W].

    Source: NeuralNetworkMultiArrayShapeMapping; that three dimensions mean (Seq, Batch, C) where one is declared:
    apple/coremltools#303, #164; that there are 1, 3 or 5 dimensions: apple/coremltools#329.
    """
    if len(shape) == 5:
        image, vector = shape[2:], shape[2:3]
        fits = not shapes.problem(image) or (shape[3:] == (1, 1) and not shapes.problem(vector))
        return shape if fits else None
    if len(shape) not in (1, 3):
        return None
    if not shapes.problem(shape):
        return (1, 1, *shape) if len(shape) == 3 else (1, 1, *shape, 1, 1)
    if len(shape) == 3 and not shapes.problem(shape[2:]):
        return (*shape, 1, 1)
    return None


def _to_declared_type(feature: Feature, array: NDArray[Any]) -> NDArray[Any]:
    converted = convert(array, _DTYPES[feature.element], feature)
    return converted.astype(np.float32) if feature.element == "Float16" else converted


def convert(array: NDArray[Any], dtype: DTypeLike, feature: Feature) -> NDArray[Any]:
    """The array in another type; floats are rounded to nearest, integers must come out exactly.

    Raises:
        InputError: a finite number is beyond the range of the type, or an integer type meets a fraction or NaN.
    """
    target = np.dtype(dtype)
    if array.dtype == target:
        return array
    if target.kind == "f":
        with np.errstate(over="ignore"):
            result = array.astype(target)
        if not np.isfinite(result).all():
            _refuse_where(np.isinf(result) & np.isfinite(array), array, f"is beyond the range of {target}", feature)
        return result
    if array.dtype.kind == "f":
        _refuse_where(~np.isfinite(array) | (np.trunc(array) != array), array, "is not an integer", feature)
    limits = np.iinfo(target)
    if array.size and not (limits.min <= array.min().item() and array.max().item() <= limits.max):
        # In float64 the limits of 32 bits are exact, and comparisons do not depend on the type given.
        wide = array.astype(np.float64)
        _refuse_where((wide < limits.min) | (wide > limits.max), array, f"is beyond the range of {target}", feature)
    return array.astype(target)


def _refuse_where(bad: Any, array: NDArray[Any], why: str, feature: Feature) -> None:
    if bad.any():
        index = tuple(map(int, np.unravel_index(int(np.argmax(bad)), array.shape)))
        place = f" at {list(index)}" if index else ""
        raise feature.refuse(f"the value {array[index]}{place} {why}")


# --- images ----------------------------------------------------------------------------------------------------------


def _check_image(feature: Feature, value: Any) -> NDArray[np.float32]:
    from PIL import Image

    mode = _MODES[feature.element]
    if given.is_a(value, Image.Image):
        if value.mode != mode:
            advice = f"Convert it: image.convert({mode!r}), or refcoreml.features.prepare_image"
            raise feature.refuse(f"got a PIL image of mode {value.mode!r}, expected {mode!r}", advice)
        _check_size(feature, value.width, value.height)
        pixels = given.pixels(value, feature.refuse)
    elif given.is_a(value, (str, bytes)) or hasattr(type(value), "__fspath__"):
        raise feature.refuse(f"got {given.shown(value)}, expected an image", "Open the file: PIL.Image.open(path)")
    else:
        pixels = given.array(value, feature.refuse)
        wanted = "an array of uint8 and shape [H, W, 3]" if mode == "RGB" else "an array of uint8 and shape [H, W]"
        wanted = "an array of floats and shape [H, W]" if mode == "F" else wanted
        rank_fits = pixels.ndim == 3 and pixels.shape[2] == 3 if mode == "RGB" else pixels.ndim == 2
        type_fits = pixels.dtype.kind == "f" if mode == "F" else pixels.dtype == np.uint8
        if not (rank_fits and type_fits):
            raise feature.refuse(f"got {given.shown(pixels)}, expected a PIL image of mode {mode!r} or {wanted}")
        _check_size(feature, pixels.shape[1], pixels.shape[0])
    if mode == "F":
        return np.ascontiguousarray(convert(pixels, np.float16, feature)[None], np.float32)
    planes = pixels.transpose(2, 0, 1) if mode == "RGB" else pixels[None]
    return np.ascontiguousarray(planes[::-1] if feature.element == "BGR" else planes, np.float32)


def _check_size(feature: Feature, width: int, height: int) -> None:
    problem = feature.shapes.problem((width, height), "Image size (width x height)")
    if problem:
        axes = "Dimension 0 is the width, 1 the height. " if feature.shapes.ranges else ""
        raise feature.refuse(f"got {width} x {height} (width x height): {problem}", f"{axes}Resize the image")


Resize = Literal["fill", "fit", "crop"]


def prepare_image(image: Image.Image, feature: Feature, resize: Resize | None = None) -> Image.Image:
    """The image in the mode, and if wished in the size, that an image input wants.

    The orientation noted in EXIF is applied, palettes and other colour models become RGB or gray (ITU-R 601 luma),
    16-bit gray (modes I;16 and I) becomes 8-bit by division by 257, and an alpha channel is ignored, as Core ML ignores
    it (ImageFeatureType.ColorSpace). For a float16 gray input pixels keep the scale 0..255.

    Args:
        image: any PIL image.
        feature: an image input.
        resize: what to do when the size is not allowed. None: leave it. ``fill``: stretch both sides to the declared
            default size. ``fit``: scale so that all of the image is inside, in the middle of black. ``crop``: scale so
            that the size is covered, and cut the middle out. Scaling is Pillow's BILINEAR, which averages over all
            pixels covered when it shrinks.

    Raises:
        InputError: the image cannot be read, or its mode cannot be converted.
        UsageError: the feature is no image, or ``resize`` is unknown.
    """
    from PIL import Image, ImageOps

    if feature.kind != "image":
        raise UsageError(f"feature {feature.name!r} is no image, but {feature.describe()}")
    if resize is not None:
        given.choice(resize, ("fill", "fit", "crop"), given.argument("resize"))
    if not given.is_a(image, Image.Image):
        raise feature.refuse(f"got {given.shown(image)}, expected a PIL image")
    given.decode(image, feature.refuse)
    try:
        image = _in_mode(feature, ImageOps.exif_transpose(image))
    except RefCoreMLError:
        raise
    except Exception as error:  # Pillow's decoders raise all sorts of things on damaged files
        raise feature.refuse(f"an image of mode {image.mode!r} cannot be read: {given.reason(error)}") from error
    shape = feature.default_shape
    if resize is None or shape is None or not feature.shapes.problem(image.size):
        return image
    return _in_size(image, (shape[2], shape[1]), resize)


def _in_mode(feature: Feature, image: Image.Image) -> Image.Image:
    from PIL import Image

    mode = _MODES[feature.element]
    if image.mode == mode:
        return image
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image)
        if values.size and (values.min() < 0 or values.max() > 0xFFFF):
            raise feature.refuse(f"the image of mode {image.mode!r} holds values beyond 16 bits")
        image = Image.fromarray(values.astype(np.float32) / np.float32(257))
    if image.mode == "F":
        if mode == "F":
            return image
        image = Image.fromarray(_to_bytes(np.asarray(image), f"input {feature.name!r}"))
    if image.mode in ("P", "PA") or image.mode.endswith("a"):
        # Without this step Pillow warns about transparent palettes, and cannot leave premultiplied alpha at all.
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    return image.convert(mode) if mode != "F" else image.convert("L").convert("F")


def _in_size(image: Image.Image, size: tuple[int, int], resize: Resize) -> Image.Image:
    from PIL import Image

    bilinear = Image.Resampling.BILINEAR
    if resize == "fill":
        return image.resize(size, bilinear)
    across, down = size[0] / image.width, size[1] / image.height
    if resize == "crop":
        scale = max(across, down)
        left, top = (image.width - size[0] / scale) / 2, (image.height - size[1] / scale) / 2
        # Not outside by a rounding error: Pillow refuses such a box.
        left, top = max(left, 0.0), max(top, 0.0)
        box = (left, top, image.width - left, image.height - top)
        return image.resize(size, bilinear, box=box)
    scale = min(across, down)
    inner = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    result = Image.new(image.mode, size)
    result.paste(image.resize(inner, bilinear), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return result


# --- what comes out --------------------------------------------------------------------------------------------------


def finish_output(feature: Feature, value: Any) -> Any:
    """What an evaluator computed for an output, in the type in which Core ML returns it in Python.

    * arrays: a new array of the declared type; Float16 comes as float32 that holds half-precision values. The shape
      stays, but a number without dimensions gets the shape (1,). For integer types fractions are cut off; the
      specification does not say so, but it is what a conversion in C does. What does not fit saturates, or becomes
      infinite in types of floats, and NaN becomes 0 in those of integers, with a `RefCoreMLWarning`.
    * images, given as [C, H, W] with channels in the declared order: limited to 0..255 and rounded to the nearest
      integer, halves to even (no specification says how to round); NaN becomes 0 with a warning. Colour comes as PIL
      mode RGBA with alpha 255, gray as L, float16 gray as F, unlimited, rounded to half precision.
    * int64, double, string, dictionaries and sequences: int, float, str, dict with float values, list. Keys and items
      must have the declared type already.

    Source: FeatureTypes.proto; the types returned: the binding of coremltools.

    Raises:
        InvalidModelError: the value has another form than the declared type.
    """
    try:
        return _finished(feature, value)
    except InputError as error:
        raise _misfit(feature, f"the model computes something else: {error.problem}") from error


def _finished(feature: Feature, value: Any) -> Any:
    if feature.kind in ("array", "state"):
        return _finish_array(feature, np.asarray(value))
    if feature.kind == "image":
        return _finish_image(feature, np.asarray(value))
    if feature.kind == "dictionary":
        return {_check_scalar(feature, key, feature.element, "key: "): float(item) for key, item in value.items()}
    if feature.kind == "sequence":
        return _check_sequence(feature, value)
    if feature.kind == "string":
        return _check_scalar(feature, value, "String")
    number = np.asarray(value)
    if number.size != 1:
        raise _misfit(feature, f"the model computes {number.size} numbers where it declares one")
    if feature.kind == "double":
        return float(number.item())
    return int(_to_integers(number, np.int64, f"output {feature.name!r}").item())


def _misfit(feature: Feature, problem: str) -> InvalidModelError:
    return InvalidModelError(problem, where=f"output {feature.name!r}, {feature.describe()}")


def _finish_array(feature: Feature, array: NDArray[Any]) -> NDArray[Any]:
    array = array.reshape(array.shape or (1,))
    dtype = _DTYPES[feature.element]
    if issubclass(dtype, np.integer):
        return _to_integers(array, dtype, f"output {feature.name!r}")
    result = _to_floats(array, dtype, f"output {feature.name!r}")
    return result.astype(np.float32) if dtype is np.float16 else result


def _to_floats(values: NDArray[Any], dtype: type[Any], where: str) -> NDArray[Any]:
    """Round to a new array; what is too large becomes an infinity, with a warning."""
    with np.errstate(over="ignore"):
        result = np.array(values, dtype, order="C")
    if not np.can_cast(values.dtype, dtype) and (np.isinf(result) & np.isfinite(values)).any():
        _warn_of_values(where, f"holds values beyond {np.dtype(dtype)}, now infinite")
    return result


def _to_integers(values: NDArray[Any], dtype: type[Any], where: str) -> NDArray[Any]:
    """Cuts fractions off; saturates, and makes 0 of NaN, with a warning."""
    if np.can_cast(values.dtype, dtype):
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    # -2**63 and its likes are exact in float64, 2**63 - 1 is not: compare with the power of two itself.
    low, beyond = float(limits.min), -float(limits.min)
    cut = np.trunc(values.astype(np.float64))
    fits = (cut >= low) & (cut < beyond)
    result = np.where(fits, cut, 0).astype(dtype)
    if not fits.all():
        _warn_of_values(where, f"holds NaN, now 0, or values beyond {np.dtype(dtype)}, now its nearest limit")
        result[cut >= beyond] = limits.max
        result[cut < low] = limits.min
    return result


def _to_bytes(values: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """Limits to 0..255 and rounds to nearest, halves to even; NaN becomes 0 with a warning."""
    missing = np.isnan(values)
    if missing.any():
        _warn_of_values(where, "holds NaN, shown as 0")
        values = np.where(missing, 0, values)
    rounded: NDArray[np.uint8] = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return rounded


def _warn_of_values(where: str, what: str) -> None:
    warnings.warn(f"{where} {what}", RefCoreMLWarning, stacklevel=5)


def _finish_image(feature: Feature, planes: NDArray[Any]) -> Image.Image:
    from PIL import Image

    if planes.ndim != 3 or planes.shape[0] != feature.channels:
        expected = f"{feature.channels} x height x width"
        raise _misfit(feature, f"the model computes ({_times(planes.shape)}), expected {expected}")
    problem = feature.shapes.problem((planes.shape[2], planes.shape[1]), "Image size (width x height)")
    if problem:
        raise _misfit(feature, f"the model computes {planes.shape[2]} x {planes.shape[1]} (width x height): {problem}")
    if _MODES[feature.element] == "F":
        return Image.fromarray(_to_floats(planes[0], np.float16, f"output {feature.name!r}").astype(np.float32))
    pixels = _to_bytes(planes, f"output {feature.name!r}")
    if feature.channels == 1:
        return Image.fromarray(np.ascontiguousarray(pixels[0]))
    colors = pixels[::-1] if feature.element == "BGR" else pixels
    opaque = np.full((1, *pixels.shape[1:]), 255, np.uint8)
    return Image.fromarray(np.ascontiguousarray(np.concatenate([colors, opaque]).transpose(1, 2, 0)))
