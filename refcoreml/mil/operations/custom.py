"""Custom layers: code of the user's own, as `refcoreml.custom` describes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.custom import Code as Registered
from refcoreml.custom import layer_lines, what_to_write
from refcoreml.errors import CallbackError, UnsupportedModelError
from refcoreml.execution.code import Code, Form, Told, calling, turns_of, with_keywords
from refcoreml.mil.node import Call, Node
from refcoreml.mil.registry import operation
from refcoreml.spec import schema
from refcoreml.spec.mil_types import DeclaredTensor, agree
from refcoreml.types import Array, TensorType


@dataclass(frozen=True, eq=False)
class CustomOperation(ops.Op):
    """Code of the user's own, with results of declared types.

    Attributes:
        outputs: the declared types.
        make: makes what runs, an instance of the user's class among it; called once, when it is prepared.
    """

    outputs: Sequence[DeclaredTensor]
    make: Callable[[], Code]

    @property
    def repeatable(self) -> bool:
        """Nobody knows."""
        return False

    @cached_property
    def code(self) -> Code:
        """What runs."""
        return self.make()

    def prepare(self) -> None:
        """Make the instance."""
        _ = self.code

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...] | None:
        """Return the declared types, if all lengths are declared."""
        known = tuple(declared.tensor for declared in self.outputs if declared.tensor is not None)
        return known if len(known) == len(self.outputs) else None

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Run the code, and check what it returns."""
        results = self.code.run(*inputs)
        for index, (y, declared) in enumerate(zip(results, self.outputs, strict=True)):
            if not agree(replace(declared, shape=y.shape), declared):
                problem = f"returned the shape {y.shape} for outputs[{index}], but the program declares {declared}"
                raise CallbackError(f"{self.code.what} {problem}")
        return results


@operation("custom_layer")
def custom_layer(node: Node) -> Call:
    """y, ... = class_name(parameters).evaluate([x, ...]), or a function of the same; see `refcoreml.custom`.

    ``class_name`` names the code. ``input_order`` names the parameters that are its inputs, in order: tensors, which
    are read-only, with floats as the precision holds them. ``parameters`` names those that are handed to it as they
    are: numbers, texts, arrays. ``weights`` names those that it gets as a list of arrays, in their shapes.
    ``description`` has no effect. Results have the declared types, to which they are brought.
    Errors: `CallbackError` for whatever the code does wrong, results of other shapes than declared among it.
    Chosen: an instance of a class is made when the program first runs. Source: what coremltools writes for operations
    that are registered as custom.
    """
    name = node.text("class_name")
    node.parameters.known.update(node.parameters)  # they are whatever the code takes
    check_code([node])
    outputs = [declared for declared in node.outputs if isinstance(declared, DeclaredTensor)]
    node.require(len(outputs) == len(node.outputs), "has results that are no tensors, which no code can make")
    for given in _names(node, "input_order"):
        found = node.tensor(given)
        node.require(found.element.name != "string", f"parameter {given!r} is of type {found}, expected numbers")
    op = CustomOperation(outputs, partial(_code, node, node.custom_layers[name], name))
    return node.call(op, *_names(node, "input_order"))


def check_code(nodes: Sequence[Node]) -> None:
    """Raise `UnsupportedModelError` that names every class of custom layers without code, and tells what to write."""
    wanted: dict[str, list[Node]] = {}
    for node in nodes:
        if node.text("class_name") not in node.custom_layers:
            wanted.setdefault(node.text("class_name"), []).append(node)
    if not wanted:
        return
    listed = ", ".join(f"class {name!r} ({len(found)} x)" for name, found in sorted(wanted.items()))
    raise UnsupportedModelError(
        f"needs code that is not registered: {listed}",
        where=next(iter(wanted.values()))[0].where,
        remedy=what_to_write((_lines(found[0], name) for name, found in wanted.items()), len(wanted)),
    )


def _lines(node: Node, name: str) -> str:
    return layer_lines(_message(node, name), _names(node, "input_order"), _places(node))


def _code(node: Node, code: Registered, name: str) -> Code:
    """Return what runs."""
    parameters = {given: _parameter(node, given) for given in _names(node, "parameters")}
    weights: list[Array] = [node.array(given) for given in _names(node, "weights")]
    dtypes = [node.precision.dtype(declared.element.dtype) for declared in node.outputs]  # type: ignore[union-attr]
    form = Form(dict(zip(_places(node), dtypes, strict=True)), node.allowed.limits, scalars=True)
    if not isinstance(code, type):
        keywords = {**parameters, **({"weights": weights} if weights else {})}
        call = with_keywords(code, len(_names(node, "input_order")), keywords, node.where)
        return Code(form, f"function {getattr(code, '__name__', code)!r}", lambda inputs: call(*inputs))
    with calling(f"{name}.__init__", node.where):
        made = code(parameters)
    if weights and not hasattr(made, "set_weights"):
        problem = f"the operation has {len(weights)} weights, but class {name!r} has no method set_weights"
        raise CallbackError(problem, where=node.where)
    if hasattr(made, "set_weights"):
        with calling(f"{name}.set_weights", node.where):
            made.set_weights(weights)
    told = getattr(made, "output_shapes", None)
    tell = None if told is None else Told(form, f"{name}.output_shapes", told)
    return Code(form, f"{name}.evaluate", made.evaluate, tell, turns_of(made))


def _places(node: Node) -> list[str]:
    return [f"outputs[{index}]" for index in range(len(node.outputs))]


def _names(node: Node, attribute: str) -> list[str]:
    """Return the names of parameters that an attribute lists."""
    found = node.items(attribute)
    node.require(all(isinstance(name, str) for name in found), f"parameter {attribute!r} must be names, got {found}")
    return [name for name in found if name]


def _parameter(node: Node, name: str) -> Any:
    """Return a constant: a number or text as Python has it, else an array or list."""
    found = node.constant(name)
    return found.item() if isinstance(found, np.ndarray) and not found.ndim else found


def _message(node: Node, name: str) -> schema.CustomLayerParams:
    """Return what networks would hold, to write of it what the user is to write."""
    message = schema.CustomLayerParams(className=name, description=node.text("description", ""))
    for given in _names(node, "parameters"):
        value, parameter = _parameter(node, given), message.parameters[given]
        if isinstance(value, bool):
            parameter.boolValue = value
        elif isinstance(value, int):
            parameter.intValue = value
        elif isinstance(value, float):
            parameter.doubleValue = value
        else:
            parameter.stringValue = str(value)
    for _ in _names(node, "weights"):
        message.weights.add()
    return message
