"""Builds ML Programs in Python, operation by operation, with the names of the operation sets.

::

    program = build.Program({"x": (1, 3, 32, 32)}, opset="CoreML7")
    y = program.add("conv", x=program["x"], weight=w, bias=b, pad_type="same")
    y = program.add("relu", x=y)
    y = program.add("softmax", x=y, axis=1, name="probabilities")
    program.output(y)
    model = program.model()          # ready to predict
    program.save("small.mlpackage")

A parameter is the result of an operation or an input of the program (`Result`), a list of such, or a constant: an array
as it is, Python's bool, int (int32), float (fp32, or fp16 as ``np.float16``), str, or a list of these. A list of texts
or of ``np.int64``, which classifiers have as labels, remains one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from refcoreml import values
from refcoreml.build.features import FEATURE_TYPES, image, tensor_of
from refcoreml.errors import UsageError, within
from refcoreml.mil.node import Value, folded
from refcoreml.mil.precision import PRECISIONS
from refcoreml.mil.prepare import Preparer, fold, infer_outputs
from refcoreml.mil.registry import OPSETS, find, opset_number
from refcoreml.mil.resolve import Operation, is_folded
from refcoreml.mil.scope import Names
from refcoreml.model import Model, load
from refcoreml.spec import schema
from refcoreml.spec.blobs import WEIGHT_FILE, BlobWriter
from refcoreml.spec.files import ModelFile, write_model
from refcoreml.spec.mil_types import (
    DATA_TYPES,
    DataType,
    DeclaredDictionary,
    DeclaredList,
    DeclaredState,
    DeclaredTensor,
    DeclaredTuple,
    DeclaredType,
    type_message,
)
from refcoreml.spec.mil_values import value_message
from refcoreml.types import Array

#: The specification version that introduced each operation set.
_VERSIONS = {name: number for number, name in enumerate(OPSETS, 6)}

#: Since this operation set parameters of operations that make constants are inputs.
_CONSTANT_INPUTS = opset_number("CoreML8", "")

#: Constants of so many elements are in a file of weights when the program is saved, as coremltools has it.
_IN_FILE = 10

#: Parameters that are attributes in each operation set.
_ATTRIBUTES = {"custom_layer": {"class_name", "input_order", "parameters", "weights", "description"}}

#: By operation the parameters whose elements the results have, where NumPy lacks a type that these may be of.
_ELEMENTS = {
    "constexpr_sparse_to_dense": ["nonzero_data"],
    "constexpr_lut_to_sparse": ["indices_mask", "lut"],
    "constexpr_sparse_blockwise_shift_scale": ["data_mask", "scale"],
}

#: Operations whose result is of the type of a parameter, also where types alone do not say so.
_SAME_TYPE = {"identity": "x", "list_write": "ls", "list_scatter": "ls"}


@dataclass(frozen=True, eq=False)
class Result:
    """What an operation makes, or an input of the program."""

    value: Value

    @property
    def name(self) -> str:
        """Its name in the program."""
        return self.value.name

    @property
    def type(self) -> DeclaredType:
        """Its type."""
        return self.value.type

    def __repr__(self) -> str:
        return f"<{self.type} {self.name}>"


@dataclass(frozen=True, eq=False)
class Known:
    """A constant in a type that NumPy lacks, such as ``Known(codes, "int4")``.

    Attributes:
        values: an array, in the type in which such elements are decoded.
        element: the type, by its name in ``model.mil``.
    """

    values: Array
    element: str


class Program:
    """Collects the operations of a function.

    Args:
        inputs: by name the shape of an fp32 tensor (None: unknown length), or a type as in ``model.mil`` in two parts,
            ``("fp16", (2, None))``; or a feature, see `image` and `array`, for pictures, optional inputs and inputs of
            several shapes, also with the type of elements, ``("fp16", build.image(28, 28))``.
        states: likewise, what the function keeps from one prediction to the next.
        opset: the operation set.
    """

    def __init__(
        self,
        inputs: Mapping[str, Any],
        *,
        states: Mapping[str, Any] | None = None,
        opset: str = "CoreML7",
    ) -> None:
        self._opset, self.opset = opset_number(opset, "opset"), opset
        self._names = Names("_")
        self._inputs: dict[str, Result] = {}
        self._states: dict[str, Result] = {}
        self._operations: list[schema.MILSpec.Operation] = []
        self._weights: dict[str, tuple[DeclaredTensor, Array]] = {}
        self._outputs: list[Result] = []
        self._features: dict[str, schema.FeatureType] = {}
        for name, given in values.mapping(inputs, values.argument("inputs")).items():
            element, feature = given if _is_pair(given) else ("", given)
            if values.is_a(feature, schema.FeatureType):
                self._features[name] = feature
                self._inputs[name] = self._given(name, tensor_of(name, feature, element))
            else:
                self._inputs[name] = self._given(name, _declared(given, f"inputs[{name!r}]"))
        for name, given in values.mapping(states or {}, values.argument("states")).items():
            self._states[name] = self._given(name, DeclaredState(_declared(given, f"states[{name!r}]")))

    def _given(self, name: str, declared: DeclaredType) -> Result:
        return Result(Value(declared, self._names.unique(name)))

    def __getitem__(self, name: str) -> Result:
        """Return an input or a state."""
        found = {**self._inputs, **self._states}
        if name not in found:
            raise UsageError(f"there is no input {name!r}", remedy=f"Inputs: {', '.join(map(repr, found))}")
        return found[name]

    def constant(self, value: Any, name: str = "") -> Result:
        """Add a constant and return it; `add` does it for constants among its parameters."""
        declared, stored = _known(value)
        name = self._names.unique(name or f"const_{len(self._names)}")
        return self._constant(declared, stored, name)

    def _constant(self, declared: DeclaredType, stored: Any, name: str) -> Result:
        message = self._message("const", name)
        message.attributes["val"].CopyFrom(value_message(declared, stored))
        if isinstance(declared, DeclaredTensor) and declared.element.blob is not None and np.size(stored) >= _IN_FILE:
            self._weights[name] = declared, stored
        self._declare(message, name, declared)
        return Result(Value(declared, name, lambda: stored))

    def _message(self, kind: str, name: str) -> schema.MILSpec.Operation:
        message = schema.MILSpec.Operation(type=kind)
        message.attributes["name"].CopyFrom(_text(name))
        self._operations.append(message)
        return message

    def _declare(self, message: schema.MILSpec.Operation, name: str, declared: DeclaredType) -> None:
        output = message.outputs.add(name=name)
        output.type.CopyFrom(type_message(declared))

    def add(
        self,
        kind: str,
        *,
        name: str | Sequence[str] = "",
        outputs: Sequence[Any] | None = None,
        blocks: Sequence[Callable[..., Any]] = (),
        **parameters: Any,
    ) -> Any:
        """Add an operation; return its result, a tuple of them if it has several, None if it has none.

        Args:
            kind: its name in the operation set, such as ``conv``.
            name: what to call it and its result, of several results a list of names; by default its kind and a number.
            outputs: the types of its results, where they do not follow from the types of the parameters.
            blocks: of control flow, functions that add the operations of a block: called with the values that the block
                is given, each returns its result or a list of results.
            parameters: by name results, lists of results, or constants; None for one that is not given. Those of
                ``constexpr_...`` must be constants, which become attributes before CoreML8; so are their results.
        """
        names = [] if isinstance(name, str) else list(name)
        name = self._names.unique((name if isinstance(name, str) else "") or f"{kind}_{len(self._names)}")
        with within(f"operation {name!r} ({kind})"):
            entry = find(kind, self._opset)
            if entry is None:
                raise UsageError(f"the operation set {self.opset} has no such operation, or it cannot be run yet")
            given = {key: self._bound(f"{name}_{key}", value) for key, value in parameters.items() if value is not None}
            bound: dict[str, list[Value]] = {
                key: [item.value for item in (found if isinstance(found, list) else [found])]
                for key, found in given.items()
            }
            inner = [self._block(f"{name}_{index}", build, bound) for index, build in enumerate(blocks)]
            message = self._message(kind, name)
            makes_constants = is_folded(kind)
            attributes = set(bound) if makes_constants and self._opset < _CONSTANT_INPUTS else _ATTRIBUTES.get(kind, ())
            for key, listed in bound.items():
                if key in attributes:
                    message.attributes[key].CopyFrom(value_message(listed[0].type, _stored(key, listed[0])))
                    continue
                for value in listed:
                    message.inputs[key].arguments.add(name=value.name)
            for block in inner:
                message.blocks.append(block[0])
            if outputs is not None:
                types = [_declared(item, "outputs") for item in outputs]
            elif inner:
                types = [value.type for value in inner[-1][1]]
            elif _SAME_TYPE.get(kind) in bound:
                types = [bound[_SAME_TYPE[kind]][0].type]
            else:
                types = _with_elements(kind, infer_outputs(entry, bound, self._opset), bound)
            if names and len(names) != len(types):
                raise UsageError(f"got {len(names)} names for {len(types)} results", where="name")
            if len(types) != 1 or names:
                made_names = [
                    self._names.unique(each) for each in names or [f"{name}_{index}" for index in range(len(types))]
                ]
            else:
                made_names = [name]
            made = [Value(declared, each) for declared, each in zip(types, made_names, strict=True)]
            for value in made:
                self._declare(message, value.name, value.type)
            if makes_constants:
                given_values = {key: tuple(listed) for key, listed in bound.items()}
                operation = Operation(kind, name, name, entry, given_values, tuple(made))
                settings = Preparer(self._opset, PRECISIONS["declared"])
                made = folded(made, partial(fold, operation, settings), bound)
            results = [Result(value) for value in made]
        return results[0] if len(results) == 1 else tuple(results) or None

    def _bound(self, name: str, value: Any) -> Result | list[Result]:
        if isinstance(value, Result):
            return value
        if isinstance(value, (list, tuple)) and any(isinstance(item, Result) for item in value):
            return [item if isinstance(item, Result) else self.constant(item, name) for item in value]
        return self.constant(value, name)

    def _block(
        self, name: str, build: Callable[..., Any], bound: Mapping[str, Sequence[Value]]
    ) -> tuple[schema.MILSpec.Block, list[Value]]:
        """Build a block; return it and the values that it returns."""
        outer, self._operations = self._operations, []
        try:
            inputs = [self._given(f"{name}_{value.name}", value.type) for value in bound.get("loop_vars", ())]
            made = build(*inputs)
            results = [item.value for item in (made if isinstance(made, (list, tuple)) else [made])]
            block = schema.MILSpec.Block(operations=self._operations, outputs=[value.name for value in results])
        finally:
            self._operations = outer
        for result in inputs:
            message = block.inputs.add(name=result.name)
            message.type.CopyFrom(type_message(result.type))
        return block, results

    def output(self, *results: Result, colors: str = "") -> None:
        """Make results the outputs of the function.

        Args:
            results: what operations make.
            colors: RGB, BGR, GRAYSCALE or GRAYSCALE_FLOAT16 for results [1, C, H, W] that are pictures.
        """
        for result in results:
            if colors:
                shape = result.type.known_shape if isinstance(result.type, DeclaredTensor) else None
                if shape is None or len(shape) != 4:
                    raise UsageError(f"{result.type} is no picture", where=f"output {result.name!r}")
                self._features[result.name] = image(shape[3], shape[2], colors)
            self._outputs.append(result)

    def function(self) -> schema.MILSpec.Function:
        """Return the function as a message."""
        function = schema.MILSpec.Function(opset=self.opset)
        for result in (*self._inputs.values(), *self._states.values()):
            message = function.inputs.add(name=result.name)
            message.type.CopyFrom(type_message(result.type))
        block = function.block_specializations[self.opset]
        block.operations.extend(self._operations)
        block.outputs.extend(result.name for result in self._outputs)
        return function

    def spec(self) -> schema.Model:
        """Return the model as a message, with its weights in it."""
        model = schema.Model(specificationVersion=_VERSIONS[self.opset])
        model.mlProgram.version = 1
        model.mlProgram.functions["main"].CopyFrom(self.function())
        self._describe(model.description)
        return model

    def _describe(self, description: Any) -> None:
        for result in self._inputs.values():
            feature = description.input.add(name=result.name).type
            if result.name in self._features:
                feature.CopyFrom(self._features[result.name])
            else:
                _describe_array(feature.multiArrayType, result.type)
        for result in self._outputs:
            if result.name in self._features:
                description.output.add(name=result.name).type.CopyFrom(self._features[result.name])
            else:
                _describe_output(description, result)
        for result in self._states.values():
            assert isinstance(result.type, DeclaredState)
            feature = description.state.add(name=result.name)
            _describe_array(feature.type.stateType.arrayType, result.type.wrapped)

    def model(self, **options: Any) -> Model:
        """Return the model, loaded with the options of `refcoreml.load`."""
        return load(self.spec(), **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model as ``.mlpackage``, with large weights in a file of their own."""
        spec, writer = self.spec(), BlobWriter()
        self.move_weights(spec.mlProgram.functions["main"], writer)
        _save(spec, writer, path)

    def move_weights(self, function: schema.MILSpec.Function, writer: BlobWriter) -> None:
        """Let the large constants of a message of this program refer to a file of weights."""
        for block in function.block_specializations.values():
            self._move_weights(block, writer)

    def _move_weights(self, block: schema.MILSpec.Block, writer: BlobWriter) -> None:
        """Let the constants of a block refer to a file of weights."""
        for operation in block.operations:
            if operation.type == "const" and operation.outputs[0].name in self._weights:
                declared, stored = self._weights[operation.outputs[0].name]
                operation.attributes["val"].CopyFrom(value_message(declared, stored, writer))
            for inner in operation.blocks:
                self._move_weights(inner, writer)


def functions(programs: Mapping[str, Program], *, default: str, path: str | os.PathLike[str]) -> None:
    """Write a model whose functions are several programs, as ``.mlpackage``; they share equal weights.

    Args:
        programs: by name, of one operation set.
        default: the one that predicts if none is named.
        path: where to.
    """
    spec, writer = schema.Model(), BlobWriter()
    spec.mlProgram.version = 1
    spec.description.defaultFunctionName = default
    for name, program in programs.items():
        own = program.spec()
        spec.specificationVersion = max(spec.specificationVersion, own.specificationVersion)
        program.move_weights(own.mlProgram.functions["main"], writer)
        spec.mlProgram.functions[name].CopyFrom(own.mlProgram.functions["main"])
        described = spec.description.functions.add(name=name)
        described.input.extend(own.description.input)
        described.output.extend(own.description.output)
        described.state.extend(own.description.state)
        described.predictedFeatureName = own.description.predictedFeatureName
        described.predictedProbabilitiesName = own.description.predictedProbabilitiesName
    _save(spec, writer, path)


def _save(spec: schema.Model, writer: BlobWriter, path: str | os.PathLike[str]) -> None:
    weights = {WEIGHT_FILE.rpartition("/")[2]: writer.to_bytes()} if len(writer) else None
    write_model(ModelFile(spec, "program", weights), path)


def _with_elements(
    kind: str, types: Sequence[DeclaredType], bound: Mapping[str, Sequence[Value]]
) -> list[DeclaredType]:
    """Return the types of results, of few bits to an element where those of parameters are."""
    found = list(types)
    for index, name in enumerate(_ELEMENTS.get(kind, ())):
        made, given = found[index], bound[name][0].tensor
        if isinstance(made, DeclaredTensor) and given is not None:
            found[index] = replace(made, element=given.element)
    return found


def _is_pair(given: Any) -> bool:
    """Return whether a type of elements and a shape, or a feature, are given."""
    return isinstance(given, (tuple, list)) and len(given) == 2 and isinstance(given[0], str)


def _declared(given: Any, where: str) -> DeclaredType:
    """Return the type that a user describes: a shape, or an element and a shape."""
    if isinstance(given, (DeclaredTensor, DeclaredList, DeclaredState, DeclaredTuple, DeclaredDictionary)):
        return given
    element, shape = given if _is_pair(given) else ("fp32", given)
    if element not in DATA_TYPES:
        raise UsageError(f"there is no type {element!r}", where=where, remedy=f"Types: {', '.join(DATA_TYPES)}")
    refuse = values.argument(where)
    lengths = values.items(shape, refuse, "a shape, such as (2, None)")
    return DeclaredTensor(
        DATA_TYPES[element],
        tuple([None if length is None else values.integer(length, refuse, least=0) for length in lengths]),
    )


def _known(value: Any) -> tuple[DeclaredType, Any]:
    """Return the type of a constant, and the constant as it is stored."""
    if isinstance(value, Known):
        element = DATA_TYPES[value.element]
        return DeclaredTensor(element, value.values.shape), value.values.astype(element.dtype)
    for kind, label in ((str, "string"), (np.int64, "int64")):
        if isinstance(value, (list, tuple)) and value and all(isinstance(item, kind) for item in value):
            return DeclaredList(DeclaredTensor(DATA_TYPES[label], ()), len(value)), list(value)
    array = value if isinstance(value, (np.ndarray, np.generic)) else _plain(value)
    array = np.asarray(array, object) if array.dtype.kind == "U" else np.asarray(array)
    return DeclaredTensor(DataType.of(array.dtype), array.shape), array


def _plain(value: Any) -> Array:
    """Return a Python value as an array: integers are int32, floats fp32."""
    array = np.asarray(value)
    narrow = {"i": np.int32, "f": np.float32}.get(array.dtype.kind)
    return array if narrow is None else array.astype(narrow)


def _stored(name: str, value: Value) -> Any:
    """Return a constant as it is stored."""
    if not value.constant:
        raise UsageError(f"parameter {name!r} must be a constant")
    return value.known


def _text(text: str) -> schema.MILSpec.Value:
    return value_message(DeclaredTensor(DATA_TYPES["string"], ()), text)


def _describe_output(description: Any, result: Result) -> None:
    """Describe an array, or what a classifier returns."""
    feature = description.output.add(name=result.name).type
    match result.type:
        case DeclaredDictionary(DeclaredTensor(element), _):
            description.predictedProbabilitiesName = result.name
            dictionary = feature.dictionaryType
            (dictionary.stringKeyType if element.name == "string" else dictionary.int64KeyType).SetInParent()
        case DeclaredTensor(element, ()) if element.name in ("string", "int64"):
            description.predictedFeatureName = result.name
            (feature.stringType if element.name == "string" else feature.int64Type).SetInParent()
        case _:
            _describe_array(feature.multiArrayType, result.type)


def _describe_array(message: Any, declared: DeclaredType) -> None:
    if not isinstance(declared, DeclaredTensor) or declared.element.name not in FEATURE_TYPES:
        raise UsageError(f"{declared} cannot be an input or output of a model", remedy="Add a cast")
    message.dataType = getattr(schema.ArrayFeatureType, FEATURE_TYPES[declared.element.name])
    if declared.known_shape is not None:
        message.shape.extend(declared.known_shape or (1,))
