"""All inputs of a prediction, and what becomes of an output."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from refcoreml import values as given
from refcoreml.errors import InputError, RefCoreMLWarning
from refcoreml.features.base import Feature
from refcoreml.types import Shape

__all__ = ["check_inputs", "chosen_positions", "finish_output", "shape_at"]

#: How many inputs an error lists.
_MOST_LISTED = 50


def check_inputs(
    features: Sequence[Feature], values: Mapping[str, Any], *, legacy_ranks: bool = False, coupled_shapes: bool = False
) -> dict[str, Any]:
    """Check the inputs of one prediction and bring them to the types that evaluators compute on.

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
            it, the others are missing in the result. Beside inputs that enumerate their shapes, with
            ``coupled_shapes``, it is of the shape at their position.
        legacy_ranks: whether arrays become static rank-5 blobs (``RANK5_ARRAY_MAPPING``), so that they may also come as
            [Seq, Batch, C, H, W], or as [Seq, Batch, C] where rank 1 is declared.
        coupled_shapes: whether inputs that enumerate their shapes must have those of one position; otherwise a mixture
            causes a `RefCoreMLWarning`.

    Raises:
        InputError: a name is unknown or missing, a value does not fit its feature, or shapes are mixed.
    """
    passed = _by_name(features, values)
    result: dict[str, Any] = {}
    absent = []
    for feature in features:
        value = passed.get(feature.name)
        if value is not None:
            result[feature.name] = feature.check(value, legacy_ranks=legacy_ranks)
        elif not feature.optional:
            problem = "is None" if feature.name in passed else "is missing"
            raise InputError(f"input {feature.name!r} {problem}", remedy=f"The model's inputs: {_declared(features)}")
        else:
            absent.append(feature)
    shared = chosen_positions(features, result) if coupled_shapes else set()
    for feature in absent:
        default = feature.default_value(shape_at(feature, shared))
        if default is not None:
            result[feature.name] = default
    mixed = _mixed_enumerations(features, result)
    if mixed and coupled_shapes:
        raise InputError(mixed, remedy="Give all of them the shapes of one position")
    if mixed:
        warnings.warn(f"{mixed}; Core ML refuses such a mixture", RefCoreMLWarning, stacklevel=2)
    return result


def _by_name(features: Sequence[Feature], values: Any) -> dict[str, Any]:
    """Return the values as a dict whose keys are all names of inputs."""
    known = dict.fromkeys(feature.name for feature in features)
    passed = {}
    for key, value in given.mapping(values, given.argument(kind=InputError), "inputs as a dict by name").items():
        name = key if type(key) is str else str.__str__(key) if given.is_a(key, str) else None
        if name is None or name not in known:
            hint = given.did_you_mean(name or "", known)
            raise InputError(
                f"the model has no input {given.quoted(key)}", remedy=f"{hint}Its inputs: {_declared(features)}"
            )
        passed[name] = value
    return passed


def _declared(features: Sequence[Feature]) -> str:
    shown = ", ".join(f"{feature.name!r}, {feature.describe()}" for feature in features[:_MOST_LISTED]) or "none"
    return shown if len(features) <= _MOST_LISTED else f"{shown} and {len(features) - _MOST_LISTED} more"


def _mixed_enumerations(features: Sequence[Feature], result: Mapping[str, Any]) -> str:
    """Return what is wrong with enumerated shapes of several inputs, which are paired (apple/coremltools#2271)."""
    found = _positions(features, result)
    if not found or set.intersection(*found.values()):
        return ""
    return (
        f"inputs {', '.join(map(repr, found))} enumerate their shapes, and the shapes given stand at different "
        "positions of the enumerations"
    )


def _positions(features: Sequence[Feature], result: Mapping[str, Any]) -> dict[str, set[int]]:
    """Return by input, of those that enumerate their shapes, at which positions the shape given stands."""
    found = {}
    for feature in features:
        listed = feature.shapes.listed
        if listed and feature.name in result:
            shape = feature.size_of(result[feature.name])
            positions = {index for index, allowed in enumerate(listed) if allowed == shape}
            if positions:
                found[feature.name] = positions
    return found


def chosen_positions(features: Sequence[Feature], result: Mapping[str, Any]) -> set[int]:
    """Return the positions at which the shapes of all inputs stand that are given and enumerate theirs."""
    found = _positions(features, result)
    return set.intersection(*found.values()) if found else set()


def shape_at(feature: Feature, positions: set[int]) -> Shape | None:
    """Return the enumerated shape that an absent input has beside others that stand at these positions, if it has."""
    listed = feature.shapes.listed
    return next((listed[index] for index in sorted(positions) if index < len(listed)), None)


def finish_output(feature: Feature, value: Any) -> Any:
    """Return what an evaluator computed for an output, in the type in which Core ML returns it in Python.

    * arrays: a new array of the declared type; Float16 comes as float32 that holds half-precision values. The shape
      stays, but a number without dimensions gets the shape (1,). For integer types fractions are cut off; the
      specification does not say so, but it is what a conversion in C does. What does not fit saturates, or becomes
      infinite in types of floats, and NaN becomes 0 in those of integers. Each of these, but the rounding of floats,
      causes a `RefCoreMLWarning`.
    * images, given as [C, H, W] with channels in the declared order: limited to 0..255 and rounded to the nearest
      integer, halves to even (no specification says how to round); NaN becomes 0 with a warning. Colour comes as PIL
      mode RGBA with alpha 255, gray as L, float16 gray as F, unlimited, rounded to half precision.
    * int64, double, string, dictionaries and sequences: int (as in arrays of integers), float, str, dict with float
      values, list. Keys and items must have the declared type already.

    Source: FeatureTypes.proto; the types returned: the binding of coremltools.

    Raises:
        InvalidModelError: the value has another form than the declared type.
    """
    return feature.finish(value)
