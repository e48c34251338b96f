"""From the operations of a function to steps that the engine runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from refcoreml.errors import InputError, InternalError, InvalidModelError, UsageError, at
from refcoreml.execution.control import Checked
from refcoreml.execution.limits import Allowed, refuse_memory
from refcoreml.execution.steps import Control, Region, Step, Store, closed_region
from refcoreml.mil.node import Call, Folded, Inner, Node, Parameters, Value, known
from refcoreml.mil.precision import PRECISIONS, Precision
from refcoreml.mil.registry import Entry
from refcoreml.mil.resolve import Block, Operation
from refcoreml.mil.values import DictionaryType, ListType, StateType
from refcoreml.ops.base import Adapted, Inplace, Op, Results, Types, invalid, require
from refcoreml.problems import RAISED, LeftOutError, Problems
from refcoreml.spec.mil_types import (
    DATA_TYPES,
    DataType,
    DeclaredDictionary,
    DeclaredList,
    DeclaredState,
    DeclaredTensor,
    DeclaredType,
)
from refcoreml.types import Array, TensorType, ValueType

__all__ = [
    "Preparer",
    "Typed",
    "call_of",
    "fold",
    "infer_outputs",
    "inferred",
    "require_allowed",
    "with_held_types",
]


@dataclass(frozen=True, eq=False)
class Typed(Adapted):
    """An operation on values of declared types, which it checks.

    Types are inferred as they are declared, and given and returned as they are held: see `Precision`. So an operation
    that makes numbers of a type of its own has the declared one as its attribute, and runs with the one that holds it.

    Attributes:
        op: the operation; types among its attributes are declared ones.
        inputs: the declared types of elements; None for values that are no tensors.
        outputs: the declared types of results.
        precision: how they are held.
    """

    inputs: Sequence[np.dtype[Any] | None]
    outputs: Sequence[DeclaredType]
    precision: Precision
    _looked: list[bool] = field(default_factory=list, init=False, repr=False)

    @cached_property
    def running(self) -> Op:
        """The operation whose attributes name the types that hold the declared ones."""
        return with_held_types(self.op, self.precision)

    @property
    def trusted(self) -> Callable[..., Results]:
        """What runs, since results have the declared types if these follow from those of the inputs."""
        return self.running.trusted

    @property
    def inplace(self) -> Inplace | None:  # type: ignore[override]
        """As the operation."""
        return self.running.inplace

    @property
    def fused(self) -> Callable[..., Array] | None:  # type: ignore[override]
        """As the operation."""
        return self.running.fused

    def prepare(self) -> None:
        """As the operation."""
        self.running.prepare()

    def _declared(self, types: Sequence[ValueType]) -> list[Any]:
        return [
            found.with_dtype(dtype) if isinstance(found, TensorType) and dtype is not None else found
            for found, dtype in zip(types, self.inputs, strict=True)
        ]

    def infer(self, *inputs: ValueType) -> Types | None:
        """Return what the operation infers from the declared types, if that is what the program declares."""
        return self._held(self.op.infer(*self._declared(inputs)))

    def infer_from(self, *inputs: Any) -> Types | None:
        """Return what the operation infers from values."""
        found = self.running.infer_from(*inputs)
        if found is None:
            return None
        types = found if isinstance(found, tuple) else (found,)
        self._check_count(len(types))
        for each, declared in zip(types, self.outputs, strict=True):
            if isinstance(each, TensorType):
                check_shape(each.shape, declared)
            else:
                _check_declared(each, declared)
        self._check_elements(inputs)
        return tuple(map(self._as_held, types))

    def _check_elements(self, inputs: Sequence[Any]) -> None:
        """Refuse results of other types than the program declares, where their shapes depend on values.

        Types of elements do not depend on values, so that one look is enough. It takes inputs of the declared types,
        which hold the same numbers; not so in precisions that do not round, in which floats have one type anyway.
        """
        if not self._looked:
            given = zip(inputs, self.inputs, strict=True)
            own = [each.astype(dtype) if dtype is not None and self.precision.rounds else each for each, dtype in given]
            found: Any = (self.op if self.precision.rounds else self.running).infer_from(*own)
            for each, declared in zip(found if isinstance(found, tuple) else (found,), self.outputs, strict=True):
                if isinstance(each, TensorType) and isinstance(declared, DeclaredTensor):
                    dtype = declared.element.dtype
                    expected = dtype if self.precision.rounds else self.precision.dtype(dtype)
                    require(each.dtype == expected, f"computes {each}, but an output is declared as {declared}")
            self._looked.append(True)

    def _held(self, found: Types | None) -> Types | None:
        if found is None:
            return None
        types = found if isinstance(found, tuple) else (found,)
        self._check_count(len(types))
        for each, declared in zip(types, self.outputs, strict=True):
            _check_declared(each, declared)
        return tuple(map(self._as_held, types))

    def _check_count(self, count: int) -> None:
        require(count == len(self.outputs), f"has {len(self.outputs)} outputs, expected {count}")

    def _as_held(self, found: ValueType) -> Any:
        return found.with_dtype(self.precision.dtype(found.dtype)) if isinstance(found, TensorType) else found

    def run(self, *inputs: Any) -> Results:
        """Return what the operation computes, if it has the declared types."""
        results: Any = self.running.run(*inputs)
        only = self._only
        if only is not None and not isinstance(results, tuple) and (results.dtype, results.shape) == only:
            return results  # type: ignore[no-any-return]
        listed = results if isinstance(results, tuple) else (results,)
        self._check_count(len(listed))
        for y, declared in zip(listed, self.outputs, strict=True):
            self._check_result(y, declared)
        return results  # type: ignore[no-any-return]

    @cached_property
    def _only(self) -> tuple[np.dtype[Any], tuple[int, ...]] | None:
        """The type and shape of the only result, as it is held, where the program declares both."""
        declared = self.outputs[0] if len(self.outputs) == 1 else None
        if not isinstance(declared, DeclaredTensor) or declared.known_shape is None:
            return None
        return self.precision.dtype(declared.element.dtype), declared.known_shape

    def _check_result(self, y: Any, declared: DeclaredType) -> None:
        if isinstance(declared, DeclaredTensor):
            dtype = self.precision.dtype(declared.element.dtype)
            if y.dtype != dtype:
                raise InternalError(f"computed {y.dtype}, expected {dtype}", remedy="Please report it")
            check_shape(y.shape, declared)


def _check_results(outputs: Sequence[DeclaredType], found: Sequence[ValueType | None]) -> None:
    """Refuse results of control flow that have other shapes than the program declares."""
    for each, declared in zip(found, outputs, strict=True):
        if isinstance(each, TensorType):
            check_shape(each.shape, declared)


def _check_declared(found: ValueType, declared: DeclaredType) -> None:
    """Refuse a result of another type than the program declares."""
    require(_is_declared(found, declared), f"computes {found}, but an output is declared as {declared}")


def _is_declared(found: ValueType, declared: DeclaredType) -> bool:
    """Return whether a program may declare a type so; of what is neither tensor nor list nothing is known."""
    if isinstance(found, TensorType):
        return isinstance(declared, DeclaredTensor) and declared.admits(found)
    if isinstance(found, ListType):
        return isinstance(declared, DeclaredList) and found.fits(declared)
    return True


def check_shape(shape: tuple[int, ...], declared: DeclaredType) -> None:
    """Refuse a result of another shape than the program declares."""
    if isinstance(declared, DeclaredTensor) and declared.shape is not None and shape != declared.shape:
        fits = len(shape) == len(declared.shape) and all(
            length in (None, given) for given, length in zip(shape, declared.shape, strict=True)
        )
        if not fits:
            invalid(f"makes the shape {shape}, but an output is declared as {declared}")


def with_held_types(op: Op, precision: Precision) -> Op:
    """Return an operation with the types among its attributes replaced by those that hold them."""
    assert is_dataclass(op)
    assert not isinstance(op, type)
    given = {item.name: getattr(op, item.name) for item in fields(op)}
    held = {name: precision.dtype(value) for name, value in given.items() if isinstance(value, np.dtype)}
    changed = {name: dtype for name, dtype in held.items() if dtype != given[name]}
    return replace(op, **changed) if changed else op


def element_type(value: Value) -> np.dtype[Any] | None:
    """Return the declared type of a tensor's elements; None for other values."""
    return value.tensor.element.dtype if value.tensor is not None else None


@dataclass
class Preparer:
    """Prepares operations; collects the constants that they take at run time.

    Attributes:
        opset: the number of the function's operation set.
        precision: how floats are held.
        strict: whether what the specification leaves undefined is an error.
        allowed: what values may be made.
        sketch: whether it is only a check, in which something small stands for large constants.
        custom_layers: the code of custom layers, by class name.
        constants: by name the constants that steps take as values.
        problems: where checks report; operations that have a problem are left out.
    """

    opset: int
    precision: Precision
    strict: bool = True
    allowed: Allowed = field(default_factory=Allowed)
    sketch: bool = False
    custom_layers: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    constants: dict[str, Value] = field(default_factory=dict)
    problems: Problems = RAISED

    def steps(self, block: Block) -> list[Step]:
        """Return the steps of a block."""
        if self.sketch:
            for operation in block.folded:
                with self.problems.part("operation.parameters", operation.where):
                    self._check_folded(operation)
        found = []
        for index, operation in enumerate(block.operations):
            with self.problems.part("operation.parameters", operation.where):
                found.append(self._step(index, operation))
        self._note(block.results)
        return found

    def region(self, block: Block) -> Region:
        """Return a block inside of an operation."""
        names = ([value.name for value in values] for values in (block.inputs, block.results))
        steps = self.steps(block)
        if len(steps) < len(block.operations):
            raise LeftOutError("has operations that cannot be prepared")
        return closed_region(steps, *names)

    def _step(self, index: int, operation: Operation) -> Step:
        blocks = [Inner(self.region(block), block.inputs, block.results) for block in operation.blocks]
        types = [value.type for value in operation.outputs]
        call = call_of(self.node(operation, types, blocks))
        with at(operation.where):
            self._note(call.values)
        op = call.op
        if isinstance(op, Control):
            op = Checked(op, partial(_check_results, types))
        else:
            op = Typed(op, tuple(map(element_type, call.values)), types, self.precision)
            if not self.sketch:
                op.prepare()
        return Step(
            index,
            operation.name,
            operation.kind,
            operation.where,
            op,
            tuple(value.name for value in call.values),
            tuple(value.name for value in operation.outputs),
            store=self._store(call.op, call.values, operation.outputs),
            allowed=self.allowed,
        )

    def node(self, operation: Operation, outputs: Sequence[DeclaredType], blocks: Sequence[Inner] = ()) -> Node:
        """Return what an adapter sees of an operation."""
        parameters = operation.parameters
        if self.sketch:
            parameters = {name: tuple(map(stand_in, values)) for name, values in parameters.items()}
        return node_of(operation.entry, parameters, outputs, operation.where, self, blocks)

    def _check_folded(self, operation: Operation) -> None:
        """Check the types of an operation that makes a constant, as far as they follow from those of its parameters."""
        call = call_of(self.node(operation, [value.type for value in operation.outputs]))
        types = list(map(_tensor_type, call.values))
        with at(operation.where):
            found = None if None in types else call.op.infer(*types)
            if found is not None:
                _check_made(_listed(found), operation.outputs)

    def _note(self, values: Sequence[Value]) -> None:
        """Keep the constants among values that a run takes, which has fewer forms of tensors than constants have."""
        for value in values:
            if value.constant:
                require_allowed(value, f"the constant {value.name!r} has", self.allowed)
                self.constants[value.name] = value

    def _store(self, op: Op, inputs: Sequence[Value], outputs: Sequence[Value]) -> Store | None:
        """Return what rounds the results of declared half precision; None if there are none, or none need it."""
        given = {dtype for value in inputs if (dtype := element_type(value)) is not None and dtype.kind == "f"}
        if op.moves and given <= {np.dtype(np.float16)}:
            return None
        types = map(element_type, outputs)
        forms = tuple(None if dtype is None else self.precision.form(dtype) for dtype in types)
        return Store(forms) if any(forms) else None


def node_of(
    entry: Entry,
    parameters: Mapping[str, Sequence[Value]],
    outputs: Sequence[DeclaredType],
    where: str,
    settings: Preparer,
    blocks: Sequence[Inner] = (),
) -> Node:
    """Return what an adapter sees."""
    return Node(
        entry.name,
        where,
        settings.opset,
        Parameters(parameters),
        outputs,
        entry,
        settings.precision,
        settings.strict,
        tuple(blocks),
        settings.allowed,
        settings.custom_layers,
    )


def call_of(node: Node) -> Call:
    """Return the operation that a node stands for, with the values that it takes."""
    with at(node.where), np.errstate(all="ignore"):
        found = node.entry.adapt(node)
    call = found if isinstance(found, Call) else Call(found, _operands(node))
    node.refuse_unknown()
    return call


def _operands(node: Node) -> tuple[Value, ...]:
    """Return the values that an operation takes, as its entry in the table names them."""
    values: list[Value] = []
    for operand in node.entry.operands:
        if operand.startswith("*"):
            values += node.values(operand[1:])
        elif operand.endswith("?"):
            values += node.parameters.get(operand[:-1], ())
        else:
            values.append(node.value(operand))
    return tuple(values)


def fold(operation: Operation, settings: Preparer) -> tuple[Any, ...]:
    """Return the results of an operation whose values are all constants, in the declared types."""
    call = call_of(settings.node(operation, [value.type for value in operation.outputs]))
    with at(operation.where), np.errstate(all="ignore"):
        arrays = known(call.values)
        types = _listed(call.op.infer(*map(TensorType.of, arrays)))
        _check_made(types, operation.outputs)
        for made in types:
            refuse_memory(f"a constant would be {made},", made.nbytes, settings.allowed.limits, operation.where)
        try:
            return _listed(call.op.run(*arrays))
        except InputError as error:  # the model holds what the operation is given
            raise InvalidModelError(error.problem, remedy=error.remedy) from error


def _listed(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def _check_made(found: Sequence[TensorType], outputs: Sequence[Value]) -> None:
    """Refuse constants of other types than the program declares."""
    require(len(found) == len(outputs), f"has {len(outputs)} outputs, expected {len(found)}")
    for made, value in zip(found, outputs, strict=True):
        fits = value.tensor is not None and value.tensor.admits(made)
        require(fits, f"computes {made}, but an output is declared as {value.type}")


#: Constants of more elements are not decoded while a program is only checked.
_LARGE = 1 << 12


def _tensor_type(value: Value) -> TensorType | None:
    """Return the declared type of a tensor of a known shape; None for other values."""
    return None if value.tensor is None else value.tensor.tensor


def is_large(value: Value) -> bool:
    """Return whether a value is a constant that is not decoded before it must be: of many elements, or compressed."""
    tensor = _tensor_type(value)
    if tensor is None or not value.constant or tensor.dtype.kind == "O":
        return False
    return math.prod(tensor.shape) > _LARGE or isinstance(value.read, Folded)


def stand_in(value: Value) -> Value:
    """Return what takes the place of a large constant in a check: one number for all places; else the value."""
    if not is_large(value):
        return value
    tensor = _tensor_type(value)
    assert tensor is not None
    number = np.ones((), tensor.dtype) if tensor.dtype.kind == "f" else np.zeros((), tensor.dtype)
    return replace(value, read=lambda: np.broadcast_to(number, tensor.shape))


def require_allowed(value: Value, what: str, allowed: Allowed) -> None:
    """Refuse a value declared as a tensor, or a state of one, that no run can have; lengths may be unknown."""
    declared = value.type.wrapped if isinstance(value.type, DeclaredState) else value.type
    shape = declared.shape if isinstance(declared, DeclaredTensor) else None
    problem = allowed.problem([1 if length is None else length for length in shape or ()])
    require(not problem, f"{what} {problem}")


def infer_outputs(entry: Entry, parameters: Mapping[str, Sequence[Value]], opset: int) -> list[DeclaredType]:
    """Return the types of an operation's results, for a program that is being written.

    Raises:
        UsageError: they do not follow from the types of the parameters.
    """
    settings = Preparer(opset, PRECISIONS["declared"])
    found = inferred(call_of(node_of(entry, parameters, (), entry.name, settings)))
    if found is None:
        raise UsageError("the types of its results do not follow from those of its parameters", remedy="Pass outputs")
    return found


def inferred(call: Call) -> list[DeclaredType] | None:
    """Return the types of the results of a call; None where they do not follow from the types of its values."""
    types = list(map(_value_type, call.values))
    found: Any = None if None in types else call.op.infer(*types)
    return None if found is None else list(map(_declaration, _listed(found)))


def _declaration(found: ValueType) -> DeclaredType:
    """Return how a program declares a tensor, list or dictionary."""
    if isinstance(found, ListType):
        return DeclaredList(found.element, None if found.grows else found.length)
    if isinstance(found, DictionaryType):
        key = DATA_TYPES["string" if found.texts else "int64"]
        return DeclaredDictionary(DeclaredTensor(key, ()), DeclaredTensor(DATA_TYPES["fp64"], ()))
    assert isinstance(found, TensorType)
    return DeclaredTensor(DataType.of(found.dtype), found.shape)


def _value_type(value: Value) -> ValueType | None:
    """Return the declared type of a tensor or state of a known shape; None for other values."""
    if isinstance(value.type, DeclaredState) and isinstance(value.type.wrapped, DeclaredTensor):
        wrapped = value.type.wrapped.tensor
        return None if wrapped is None else StateType(wrapped)
    return _tensor_type(value)
