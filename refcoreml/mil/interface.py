"""Between features and values: what a function is given of a model's inputs, and what its results become."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcoreml.errors import InvalidModelError
from refcoreml.features import ArrayFeature, DictionaryFeature, Feature, ImageFeature, StateFeature, read_features
from refcoreml.features.classifier import named_output
from refcoreml.features.inputs import chosen_positions, shape_at
from refcoreml.features.shapes import span
from refcoreml.mil.node import Value
from refcoreml.mil.precision import Precision
from refcoreml.mil.program import Program
from refcoreml.mil.values import Dictionary, StateCell, StateType
from refcoreml.problems import RAISED, LeftOutError, Problems
from refcoreml.spec import schema
from refcoreml.spec.functions import Description
from refcoreml.spec.mil_types import DATA_TYPES, DeclaredDictionary, DeclaredState, DeclaredTensor, DeclaredType
from refcoreml.types import Array, Shape, TensorType, ValueType

__all__ = ["Interface"]

#: By type of an array feature the types of elements that a function may have for it.
_ELEMENTS = {
    "Float32": ("fp32",),
    "Float16": ("fp16",),
    "Double": ("fp64", "fp32"),
    "Int32": ("int32",),
    "Int8": ("int8",),
}
#: Those for the pixels of an image.
_PIXELS = ("fp32", "fp16")
_TEXT, _INTEGER = DeclaredTensor(DATA_TYPES["string"], ()), DeclaredTensor(DATA_TYPES["int64"], ())
#: What a label is, by kind of feature.
_LABELS = {"string": _TEXT, "int64": _INTEGER}


class Interface:
    """The way from checked inputs to values, and from results to outputs.

    A value is named like its feature, and has the feature's shape, but for

    * arrays of one number, which may be of rank 0 in the program,
    * images, which are [1, C, H, W]: pixels of 0..255, channels in the declared order. Whatever else is done to pixels,
      the program does.

    Optional inputs that are absent become their declared default value, else zeros; in the enumerated shape at the
    position that the shapes of others have.

    Attributes:
        states: what the function keeps from one prediction to the next.
        open_shapes: whether an input may have a range of shapes, or any.
        complete: whether it knows what the function takes, which is so if there is no problem.
    """

    def __init__(self, description: Description, program: Program, problems: Problems = RAISED) -> None:
        """Read the declarations.

        Args:
            description: what describes the function.
            program: the function.
            problems: where checks report; features that have a problem are left out.

        Raises:
            InvalidModelError: they break a rule, or do not fit what the function takes and returns.
        """
        self._where = program.where
        self._precision = program.precision
        self._inputs = self._ports(description.input, program.inputs, "input", problems)
        outputs = self._ports(description.output, program.results, "output", problems)
        self._outputs = {port.feature.name: port for port in outputs}
        if len(outputs) == len(description.output):
            with problems.part("program.outputs"):
                self._check_predicted(description)
        self._cells: dict[str, TensorType] = {}
        self.states: tuple[StateFeature, ...] = ()
        with problems.part("program.states"):
            self._cells.update(
                (name, _state_type(name, value.type, self._where))
                for name, value in program.inputs.items()
                if isinstance(value.type, DeclaredState)
            )
            self.states = self._described_states(description, problems)
        self.complete = program.inputs.keys() <= {*(port.feature.name for port in self._inputs), *self._cells}
        if len(self._inputs) == len(description.input):
            with problems.part("program.inputs"):
                self._check_complete(program)
        self.open_shapes = any(port.is_open for port in self._inputs)

    # --- reading the declarations --------------------------------------------------------------------------------

    def _ports(
        self,
        descriptions: Iterable[schema.FeatureDescription],
        values: Mapping[str, Value],
        noun: str,
        problems: Problems,
    ) -> list[_Port]:
        """Return how the inputs or outputs become values, of those that fit them."""
        whole, found = problems.sound(self._where), []
        for feature in read_features(descriptions, f"{noun}s", self._where, problems):
            with problems.part(f"program.{noun}s"):
                if feature.name not in values and not whole:  # the value may be one of those that have a problem
                    raise LeftOutError(feature.name)
                port = _Port(feature, _declared(feature, values, noun, self._where), self._precision)
                port.check(noun)
                found.append(port)
        return found

    def _check_predicted(self, description: Description) -> None:
        outputs = [port.feature for port in self._outputs.values()]
        for field in ("predictedFeatureName", "predictedProbabilitiesName"):
            if getattr(description, field):
                named_output(outputs, field, getattr(description, field), (), self._where)

    def _described_states(self, description: Description, problems: Problems) -> tuple[StateFeature, ...]:
        found = []
        for feature in read_features(description.state, "states", self._where, problems):
            where = f"{self._where}, state {feature.name!r}, {feature.describe()}"
            with problems.part("program.states"):
                if not isinstance(feature, StateFeature):
                    raise InvalidModelError("expected a feature of type state", where=where)
                declared = self._cells.get(feature.name)
                if declared is None:
                    raise InvalidModelError("the function has no state of this name", where=where)
                if not _fits(_ELEMENTS[feature.element], feature.shapes.default, declared):
                    raise InvalidModelError(f"the function declares {declared}", where=where)
                found.append(feature)
        return tuple(found)

    def _check_complete(self, program: Program) -> None:
        known = {*(port.feature.name for port in self._inputs), *self._cells}
        for name, value in program.inputs.items():
            if name not in known and not isinstance(value.type, DeclaredState):
                problem = f"takes {name!r}, {value.type}, but the model describes no such input"
                raise InvalidModelError(problem, where=self._where)

    # --- features to values --------------------------------------------------------------------------------------

    def to_values(self, checked: Mapping[str, Any]) -> dict[str, Any]:
        """Make values from inputs that `features.check_inputs` has checked.

        Arrays are new ones where the function has states, so that no state shares memory with what a user passed.

        Raises:
            InputError: an input has a shape that the function cannot take, or is absent without a shape of its own.
        """
        values = {}
        positions: set[int] | None = None
        for port in self._inputs:
            name = port.feature.name
            if name in checked:
                values[name] = port.value(checked[name])
            else:
                if positions is None:
                    positions = chosen_positions([port.feature for port in self._inputs], checked)
                values[name] = port.absent(shape_at(port.feature, positions))
            if self._cells and np.may_share_memory(values[name], checked.get(name, np.empty(0))):
                values[name] = values[name].copy()
        return values

    def cells(self) -> dict[str, StateCell]:
        """Make places for the states, filled with zeros."""
        return {
            name: StateCell(tensor, np.zeros(tensor.shape, self._precision.dtype(tensor.dtype)))
            for name, tensor in self._cells.items()
        }

    def hold(self, array: Array) -> Array:
        """Return an array of a declared type as it is held."""
        return self._precision.hold(array)

    def types(self, shapes: Mapping[str, Shape]) -> dict[str, ValueType] | None:
        """Return the types of the values that the function is given, from shapes of inputs or else the declared ones.

        None if a shape is not known.
        """
        found: dict[str, ValueType] = {name: StateType(tensor) for name, tensor in self._cells.items()}
        for port in self._inputs:
            name = port.feature.name
            shape = shapes.get(name, port.default_shape)
            if shape is None:
                return None
            found[name] = TensorType(port.held, port.checked_shape(shape))
        return found

    # --- results to features -------------------------------------------------------------------------------------

    def from_results(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """Make outputs from results; `features.finish_output` then brings them to their types.

        * arrays: as the function computes them;
        * images: [C, H, W] of the only image that there must be;
        * labels: a text or an integer; dictionaries: by key a number.
        """
        return {name: self.from_result(name, results[name]) for name in self._outputs}

    def from_result(self, name: str, result: Any) -> Any:
        """Make an output from its result; see `from_results`."""
        return self._outputs[name].output(result)


def _declared(feature: Feature, values: Mapping[str, Any], noun: str, where: str) -> DeclaredType:
    if feature.name not in values:
        known = ", ".join(map(repr, values)) or "none"
        raise InvalidModelError(
            f"the function has no {noun} {feature.name!r}, which the model describes",
            where=where,
            remedy=f"It has {known}",
        )
    found: DeclaredType = values[feature.name].type
    return found


def _state_type(name: str, declared: DeclaredState, where: str) -> TensorType:
    wrapped = declared.wrapped
    if not isinstance(wrapped, DeclaredTensor) or wrapped.tensor is None or wrapped.element.dtype.kind not in "fiu":
        raise InvalidModelError(f"state {name!r} is {declared}, expected numbers of a known shape", where=where)
    return wrapped.tensor


def _fits(elements: Sequence[str], shape: Shape | None, found: TensorType) -> bool:
    """Return whether a description of an array fits a tensor."""
    return any(DATA_TYPES[name].dtype == found.dtype for name in elements) and shape in (None, found.shape or (1,))


@dataclass(frozen=True)
class _Port:
    """How a feature becomes a value, or a result the feature.

    Attributes:
        feature: the feature.
        declared: the type that the function declares.
        precision: how floats are held.
    """

    feature: Feature
    declared: DeclaredType
    precision: Precision

    # --- declarations --------------------------------------------------------------------------------------------

    def check(self, noun: str) -> None:
        """Refuse an ``input`` that the function cannot take, or an ``output`` that it does not return."""
        if noun == "input":
            self._check_input()
        else:
            self._check_output()

    def _check_input(self) -> None:
        if not isinstance(self.feature, (ArrayFeature, ImageFeature)):
            raise self._misfit("input", "inputs of ML Programs are arrays and images")
        self._check_tensor("input")
        for shape in filter(None, (self.default_shape, *map(self._tensor_shape, self.feature.shapes.listed))):
            if not self._admits(shape):
                raise self._misfit("input", f"the function takes {self.declared}")
        self._check_ranges()

    def _check_output(self) -> None:
        feature, declared = self.feature, self.declared
        if isinstance(feature, (ArrayFeature, ImageFeature)):
            self._check_tensor("output")
            flexible = feature.shapes.listed or feature.shapes.ranges
            if not flexible and self.default_shape is not None and not self._admits(self.default_shape):
                raise self._misfit("output", f"the function returns {declared}")
        elif isinstance(feature, DictionaryFeature):
            key = _LABELS["string" if feature.element == "String" else "int64"]
            if not isinstance(declared, DeclaredDictionary) or declared.key != key:
                raise self._misfit("output", f"the function returns {declared}")
        elif _LABELS.get(feature.kind) != declared:
            raise self._misfit("output", f"the function returns {declared}")

    def _check_tensor(self, noun: str) -> None:
        elements = _PIXELS if isinstance(self.feature, ImageFeature) else _ELEMENTS[self.feature.element]
        declared = self.declared
        if not isinstance(declared, DeclaredTensor) or declared.element.name not in elements:
            does = "takes" if noun == "input" else "returns"
            raise self._misfit(
                noun, f"the function {does} {declared}, expected elements of type {' or '.join(elements)}"
            )

    def _check_ranges(self) -> None:
        ranges = list(self.feature.shapes.ranges)
        if isinstance(self.feature, ImageFeature) and ranges:
            ranges = [(1, 1), (self.feature.channels,) * 2, *reversed(ranges)]
        if not ranges or self._lengths is None:
            return
        fixed = len(ranges) == len(self._lengths) and all(
            length is None or length == least == most
            for length, (least, most) in zip(self._lengths, ranges, strict=True)
        )
        if not fixed:
            shown = " x ".join(span(least, most) for least, most in ranges)
            raise self._misfit("input", f"the function takes {self.declared}, not all of {shown}")

    def _misfit(self, noun: str, problem: str) -> InvalidModelError:
        return InvalidModelError(problem, where=f"{noun} {self.feature.name!r}, {self.feature.describe()}")

    @property
    def _lengths(self) -> tuple[int | None, ...] | None:
        """The lengths that the function declares, a number as an array of one."""
        assert isinstance(self.declared, DeclaredTensor)
        return None if self.declared.shape is None else self.declared.shape or (1,)

    def _admits(self, shape: Shape) -> bool:
        lengths = self._lengths
        return lengths is None or (
            len(lengths) == len(shape)
            and all(length in (None, given) for length, given in zip(lengths, shape, strict=True))
        )

    # --- shapes --------------------------------------------------------------------------------------------------

    def _tensor_shape(self, shape: Shape) -> Shape:
        """Return the shape of the value of an array of a shape, or of an image of a size (width, height)."""
        if isinstance(self.feature, ImageFeature):
            return (1, self.feature.channels, *reversed(shape))
        return shape

    @property
    def default_shape(self) -> Shape | None:
        """The declared default shape, else the one that the function declares."""
        shape = self.feature.default_shape
        if shape is not None:
            return (1, *shape) if isinstance(self.feature, ImageFeature) else shape
        lengths = self._lengths if isinstance(self.declared, DeclaredTensor) else None
        return None if lengths is None or None in lengths else tuple(length for length in lengths if length is not None)

    @property
    def is_open(self) -> bool:
        """Whether an input may have a range of shapes, or any."""
        return bool(self.feature.shapes.ranges) or self.default_shape is None

    @property
    def held(self) -> np.dtype[Any]:
        """The type of the arrays that hold its value."""
        assert isinstance(self.declared, DeclaredTensor)
        return self.precision.dtype(self.declared.element.dtype)

    def checked_shape(self, shape: Shape) -> Shape:
        """Return the value's shape for one of an input; raise `InputError` if the function cannot take it."""
        if not self._admits(shape):
            raise self.feature.refuse(f"has the shape {shape}, but the function takes {self.declared}")
        assert isinstance(self.declared, DeclaredTensor)
        return () if self.declared.shape == () else shape

    # --- values --------------------------------------------------------------------------------------------------

    def value(self, checked: Any) -> Array:
        """Return the value of a checked input."""
        array = np.asarray(checked, self.held)
        if isinstance(self.feature, ImageFeature):
            array = array[None]
        return array.reshape(self.checked_shape(array.shape))

    def absent(self, shape: Shape | None) -> Array:
        """Return the value of an absent optional input without a default: zeros, in a shape or the default one."""
        shape = self.default_shape if shape is None else self._tensor_shape(shape)
        if shape is None:
            raise self.feature.refuse("is absent, and the model declares no shape for it", "Pass a value")
        return np.zeros(self.checked_shape(shape), self.held)

    def output(self, result: Any) -> Any:
        """Return what `features.finish_output` takes for a result."""
        if isinstance(result, Dictionary):
            return dict(zip(result.keys, result.numbers.tolist(), strict=True))
        if isinstance(self.feature, ImageFeature):
            if result.ndim != 4 or len(result) != 1:
                raise self._misfit("output", f"the function returns the shape {result.shape}, which is not one image")
            return result[0]
        return result if isinstance(self.feature, ArrayFeature) else result.item()
