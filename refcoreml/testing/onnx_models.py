"""ONNX models as references: what they compute, in double precision, node by node. Needs the package onnx.

The numbers of a model in single or half precision are taken as they are, and all is computed in double precision by the
reference implementation of onnx.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refcoreml import values as passed
from refcoreml.errors import CallbackError, UsageError
from refcoreml.oracle.balls import Doubles
from refcoreml.storage.reading import read_file
from refcoreml.testing.extras import onnx, onnx_reference
from refcoreml.testing.rounding import UNIT32, Constants
from refcoreml.testing.torch_modules import Parameter, Recorded, Result

__all__ = ["OnnxModel", "OnnxSource"]

#: The types of floats narrower than double precision, and that of double precision, as `onnx.TensorProto` counts them.
_NARROW, _DOUBLE = (1, 10, 16), 11

#: How far results may be off: numbers such as the root of 2 that an exporter has written out were rounded to single
#: precision, once or twice.
_UNIT = 4 * UNIT32


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX model as it was given."""

    model: Any

    @classmethod
    def of(cls, given: Any) -> OnnxModel | None:
        """Return what a user passed, a message or the path of a file; None if it is none of these."""
        if isinstance(given, cls):
            return given
        if passed.is_a(given, (str, Path)) and Path(given).suffix.lower() == ".onnx":
            return cls.read(given)
        kind = type(given)
        named = kind.__name__ == "ModelProto" and kind.__module__.split(".")[0] in ("onnx", "onnx_ml_pb2")
        return cls(given) if named else None

    @classmethod
    def read(cls, path: str | Path) -> OnnxModel:
        """Read a file, whose weights are inside."""
        try:
            return cls(onnx.ModelProto.FromString(read_file(path)))
        except UsageError:  # without the package
            raise
        except OSError as error:
            raise UsageError(f"cannot be read: {passed.unread(error)}", where=str(path)) from error
        except Exception as error:  # what protobuf raises for damaged messages
            raise UsageError(f"cannot be read as ONNX: {passed.reason(error)}", where=str(path)) from error

    def given(self, arguments: Sequence[Any]) -> OnnxSource:
        """Return the model in double precision with its arguments, in the order of its inputs.

        Raises:
            UsageError: there are more or fewer, or weights are in other files.
        """
        model = copy.deepcopy(self.model)
        for tensor in _tensors(model.graph):
            if len(tensor.external_data):
                raise UsageError("weights of the ONNX model are in other files", remedy="Save it with its weights")
            if tensor.data_type in _NARROW:
                wide = onnx.numpy_helper.to_array(tensor).astype(np.float64)
                tensor.CopyFrom(onnx.numpy_helper.from_array(wide, tensor.name))
        for graph in _graphs(model.graph):
            del graph.value_info[:]
            for value in (*graph.input, *graph.output):
                kind = value.type.tensor_type
                if kind.elem_type in _NARROW:
                    kind.elem_type = _DOUBLE
            for node in graph.node:
                for attribute in node.attribute:
                    if node.op_type in ("Cast", "EyeLike") and attribute.name in ("to", "dtype"):
                        attribute.i = _DOUBLE if attribute.i in _NARROW else attribute.i
        weights = {tensor.name for tensor in model.graph.initializer}
        names = [value.name for value in model.graph.input if value.name not in weights]
        if len(names) != len(arguments):
            raise UsageError(
                f"the ONNX model takes {len(names)} inputs, got {len(arguments)}", where="reference_inputs"
            )
        arrays = [passed.array(value, passed.argument("reference_inputs")) for value in arguments]
        feeds = {
            name: array.astype(np.float64) if array.dtype.kind == "f" else array
            for name, array in zip(names, arrays, strict=True)
        }
        return OnnxSource(model, feeds)


@dataclass(frozen=True)
class OnnxSource:
    """An ONNX model in double precision, and its inputs."""

    model: Any
    feeds: Mapping[str, Any]
    unit: float = _UNIT

    def _run(self) -> dict[str, Any]:
        """Return all values by name."""
        try:
            evaluator = onnx_reference.ReferenceEvaluator(self.model)
            return dict(
                evaluator.run(None, {name: array.copy() for name, array in self.feeds.items()}, intermediate=True)
            )
        except Exception as error:  # the evaluator raises what NumPy and its operators do
            raise CallbackError(f"raised {passed.reason(error)}", where="the ONNX model") from error

    def outputs(self) -> Any:
        """Return what it returns: a tuple, or its only output."""
        values = self._run()
        found = tuple(values[value.name] for value in self.model.graph.output)
        return found[0] if len(found) == 1 else found

    def record(self) -> list[Recorded]:
        """Return the results of all nodes of its graph, in order."""
        values = self._run()
        parameters = {each.name: onnx.numpy_helper.to_array(each) for each in self.model.graph.initializer}
        computed, places = set(self.feeds), dict[str, int]()
        found: list[Recorded] = []
        for node in self.model.graph.node:
            depends = any(name in computed for name in node.input) or any(_graphs_of(node))
            arguments = tuple(_argument(name, computed, places, parameters) for name in node.input)
            for name in node.output:
                value = values.get(name)
                if not isinstance(value, np.ndarray | np.generic) or np.asarray(value).dtype.kind not in "biuf":
                    continue
                if depends:
                    computed.add(name)
                places[name] = len(found)
                label = f"{node.op_type} {node.name!r}" if node.name else node.op_type
                found.append(Recorded(label, np.array(value, np.float64), depends, arguments))
        return found

    def _weights(self) -> Iterator[Any]:
        return (tensor for tensor in _tensors(self.model.graph) if tensor.data_type == _DOUBLE)

    def constants(self) -> Constants:
        """Return how far the constants of a converted network may be from the model's.

        See `refcoreml.testing.torch_modules.source_constants`.
        """
        by_name = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in self._weights()}
        known = np.unique(np.concatenate([np.zeros(1), *(array.reshape(-1) for array in by_name.values())]))
        largest, factor = float(np.abs(known).max()), 1.0
        for node in self.model.graph.node:
            if node.op_type == "BatchNormalization" and node.input[4] in by_name:
                epsilon = next((each.f for each in node.attribute if each.name == "epsilon"), 1e-5)
                scale = np.abs(by_name[node.input[1]]).max() if node.input[1] in by_name else 1.0
                factor = max(factor, float(scale / np.sqrt(by_name[node.input[4]].min() + epsilon)))
        return Constants(known, terms=2 * largest * factor + largest)

    def round_parameters(self, stored: Sequence[Doubles]) -> None:
        """Round those parameters to half precision whose numbers are then among those of stored arrays."""
        known = np.unique(np.concatenate([np.zeros(1), *(array.reshape(-1) for array in stored)]))
        for tensor in self._weights():
            with np.errstate(over="ignore"):
                rounded = onnx.numpy_helper.to_array(tensor).astype(np.float16).astype(np.float64)
            if np.isin(rounded, known).all():
                tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, tensor.name))


def _argument(name: str, computed: set[str], places: Mapping[str, int], parameters: Mapping[str, Any]) -> object:
    if name in computed:
        return Result(places.get(name, -1))
    value = parameters.get(name)
    return Parameter(name, np.asarray(value, np.float64)) if value is not None and value.dtype.kind == "f" else None


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and all inside it."""
    yield graph
    for node in graph.node:
        for inner in _graphs_of(node):
            yield from _graphs(inner)


def _graphs_of(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _tensors(graph: Any) -> Iterator[Any]:
    """Yield all constants."""
    for each in _graphs(graph):
        yield from each.initializer
        for node in each.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
