"""A program before anything is prepared: its functions, blocks and operations, with names resolved to values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from refcoreml.errors import InvalidModelError, UnsupportedModelError
from refcoreml.mil.node import Folded, Value, folded
from refcoreml.mil.registry import OPSETS, Entry, find, opset_number
from refcoreml.mil.scope import Scope
from refcoreml.problems import RAISED, LeftOutError, Problems
from refcoreml.spec import schema
from refcoreml.spec.blobs import BlobFiles
from refcoreml.spec.mil_types import read_type
from refcoreml.spec.mil_values import read_value

__all__ = ["Block", "Function", "Operation", "is_folded", "resolve", "walk"]

#: How deep blocks may lie within one another.
DEEPEST_NESTING = 24
#: How many operations that make constants of constants may depend on one another; compression needs four.
DEEPEST_CHAIN = 16
#: The only version of a program that there is.
_VERSION = 1


@dataclass(frozen=True, eq=False)
class Operation:
    """An operation at its place; constants are `Value`s, not operations.

    Attributes:
        kind: its name in the table, such as ``conv``.
        name: what the converter calls it, which users know; the values that it makes have names of their own.
        where: its place in the model.
        entry: what the table says of it.
        parameters: the values by parameter.
        outputs: the values that it makes.
        blocks: its blocks, of control flow.
    """

    kind: str
    name: str
    where: str
    entry: Entry
    parameters: Mapping[str, tuple[Value, ...]]
    outputs: tuple[Value, ...]
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, eq=False)
class Block:
    """Operations in their order, with the values that the block is given and those that it returns.

    Attributes:
        inputs: what it is given.
        operations: its operations.
        results: what it returns.
        folded: the operations that make constants of constants, which are no steps of a run.
    """

    inputs: tuple[Value, ...]
    operations: tuple[Operation, ...]
    results: tuple[Value, ...]
    folded: tuple[Operation, ...] = ()


@dataclass(frozen=True, eq=False)
class Function:
    """A function of a program.

    Attributes:
        name: its name, ``main`` where there is one only.
        opset: its operation set, such as ``CoreML7``.
        inputs: what it is given, states among it.
        body: the block that runs, whose results it returns.
        results: the names of the results as the block has them, in order.
    """

    name: str
    opset: str
    inputs: tuple[Value, ...]
    body: Block
    results: tuple[str, ...]


#: Computes the results of an operation whose inputs are all constants.
Fold = Callable[[Operation, int], Sequence[Any]]


def walk(block: Block) -> Iterator[Operation]:
    """Yield all operations of a block, those of inner blocks after the one that holds them."""
    for operation in block.operations:
        yield operation
        for inner in operation.blocks:
            yield from walk(inner)


def resolve(
    program: schema.MILSpec.Program, name: str, files: BlobFiles | None, fold: Fold, problems: Problems = RAISED
) -> Function:
    """Return a function of a program.

    Args:
        program: the message.
        name: the function.
        files: where constants lie that are not in the message.
        fold: computes the constants that operations make of constants (``constexpr_...``).
        problems: where checks report; operations that have a problem, and those that need their results, are left out.

    Raises:
        UnsupportedModelError: the program has a version that is not known, or operations that have no adapter; names
            them all.
        InvalidModelError: there is no such function, or a rule about names, blocks or types is broken.
    """
    where = f"mlProgram.functions[{name!r}]"
    if program.version != _VERSION:
        problem = f"the program has version {program.version}, known is {_VERSION}"
        raise UnsupportedModelError(problem, where="mlProgram")
    if name not in program.functions:
        known = ", ".join(map(repr, sorted(program.functions))) or "none"
        raise InvalidModelError(f"there is no function {name!r}", where="mlProgram", remedy=f"Its functions: {known}")
    message = program.functions[name]
    opset = opset_number(message.opset, where)
    if message.opset not in message.block_specializations:
        raise InvalidModelError(f"it has no block for its operation set {message.opset!r}", where=where)
    block = message.block_specializations[message.opset]
    with problems.part("operation.code"):
        _check_known(block, opset, message.opset, where)
    resolver = _Resolver(opset, files, fold, problems)
    scope = Scope()
    inputs = resolver.bound(message.inputs, scope, where)
    body = resolver.block(block, scope, where, inputs)
    return Function(
        name, message.opset, inputs, body, tuple(output for output in block.outputs if output not in scope.lost)
    )


def _check_known(block: schema.MILSpec.Block, opset: int, name: str, where: str) -> None:
    """Raise `UnsupportedModelError` that names all operations without an adapter."""
    kinds = Counter(message.type for message in _messages(block, where))
    missing = {kind: count for kind, count in kinds.items() if kind != "const" and find(kind, opset) is None}
    if missing:
        listed = ", ".join(f"{kind} ({count} x)" for kind, count in sorted(missing.items()))
        raise UnsupportedModelError(
            f"{sum(missing.values())} of {sum(kinds.values())} operations are not in the operation set {name} "
            f"({OPSETS[name]}), or cannot be run yet: {listed}",
            where=where,
        )


def _messages(block: schema.MILSpec.Block, where: str, depth: int = 0) -> Iterator[schema.MILSpec.Operation]:
    if depth > DEEPEST_NESTING:
        raise InvalidModelError(f"blocks lie more than {DEEPEST_NESTING} deep in one another", where=where)
    for message in block.operations:
        yield message
        for inner in message.blocks:
            yield from _messages(inner, where, depth + 1)


class _Resolver:
    """Goes through the blocks of a function; the depth of blocks has been checked."""

    def __init__(self, opset: int, files: BlobFiles | None, fold: Fold, problems: Problems) -> None:
        self._opset, self._files, self._fold, self._problems = opset, files, fold, problems

    def bound(self, inputs: Sequence[schema.MILSpec.NamedValueType], scope: Scope, where: str) -> tuple[Value, ...]:
        """Define the values that a function or block is given."""
        found = []
        for message in inputs:
            with self._problems.part("operation.values", where) as part:
                value = Value(read_type(message.type, f"{where}.inputs[{message.name!r}]"), scope.unique(message.name))
                scope.define(message.name, value, where)
                found.append(value)
            if part.failed:
                scope.lose([message.name])
        return tuple(found)

    def block(self, message: schema.MILSpec.Block, scope: Scope, where: str, inputs: tuple[Value, ...] = ()) -> Block:
        """Resolve a block, whose inputs have been defined."""
        operations: list[Operation] = []
        folded: list[Operation] = []
        for index, operation in enumerate(message.operations):
            found = None
            with self._problems.part("operation.values") as part:
                found = self._operation(operation, scope, f"{where}.operations[{index}]")
            if part.failed:
                scope.lose(declared.name for declared in operation.outputs)
            if found is not None:
                (folded if is_folded(found.kind) else operations).append(found)
        results = []
        for name in message.outputs:
            with self._problems.part("operation.values", where) as part:
                results.append(scope.find(name, f"{where}.outputs"))
            if part.failed:
                scope.lose([name])
        return Block(inputs, tuple(operations), tuple(results), tuple(folded))

    def _operation(self, message: schema.MILSpec.Operation, scope: Scope, place: str) -> Operation | None:
        """Resolve an operation and define its results; None for one that is a constant."""
        name = _name(message)
        where = f"{place} {name!r} ({message.type})"
        if message.type == "const":
            _check_blocks(message, 0, where)
            self._constant(message, scope, where)
            return None
        parameters = self._parameters(message, scope, where)
        entry = find(message.type, self._opset)
        if entry is None:  # which has been reported
            raise LeftOutError("has no adapter", where=where)
        _check_blocks(message, entry.blocks, where)
        blocks = []
        for index, inner in enumerate(message.blocks):
            nested, block_place = scope.inner(), f"{where}.blocks[{index}]"
            inputs = self.bound(inner.inputs, nested, block_place)
            blocks.append(self.block(inner, nested, block_place, inputs))
            if not self._problems.sound(block_place):
                raise LeftOutError("has no results", where=block_place)
        outputs = []
        for declared in message.outputs:
            type_ = read_type(declared.type, f"{where}.outputs[{declared.name!r}]")
            outputs.append(Value(type_, scope.unique(declared.name)))
        operation = Operation(message.type, name, where, entry, parameters, tuple(outputs), tuple(blocks))
        if is_folded(message.type):
            self._check_constants(operation)
            outputs = self._folded(operation)
        for declared, value in zip(message.outputs, outputs, strict=True):
            scope.define(declared.name, value, where)
        return operation

    def _folded(self, operation: Operation) -> list[Value]:
        outputs = folded(operation.outputs, partial(self._fold, operation, self._opset), operation.parameters)
        for value in outputs:
            if isinstance(value.read, Folded) and value.read.depth > DEEPEST_CHAIN:
                problem = f"constants that operations make are made of one another more than {DEEPEST_CHAIN} deep"
                raise InvalidModelError(problem, where=operation.where)
        return outputs

    def _check_constants(self, operation: Operation) -> None:
        for name, values in operation.parameters.items():
            if not all(value.constant for value in values):
                raise InvalidModelError(
                    f"parameter {name!r} must be a constant, as must all that make a constant", where=operation.where
                )

    def _constant(self, message: schema.MILSpec.Operation, scope: Scope, where: str) -> None:
        if "val" not in message.attributes or len(message.outputs) != 1:
            raise InvalidModelError("a constant needs the attribute 'val' and one output", where=where)
        declared = message.outputs[0]
        value = self._inline(message.attributes["val"], scope.unique(declared.name), where)
        expected = read_type(declared.type, where)
        if value.type != expected:
            raise InvalidModelError(f"is declared as {expected}, but holds {value.type}", where=where)
        scope.define(declared.name, value, where)

    def _inline(self, message: schema.MILSpec.Value, name: str, where: str) -> Value:
        stored = read_value(message, self._files, where)
        return Value(stored.type, name, stored.get)

    def _parameters(self, message: schema.MILSpec.Operation, scope: Scope, where: str) -> dict[str, tuple[Value, ...]]:
        """Return the parameters, which are inputs that are bound to names or hold values, or else attributes."""
        found: dict[str, tuple[Value, ...]] = {}
        for name, argument in message.inputs.items():
            values = []
            for binding in argument.arguments:
                place = f"{where}.inputs[{name!r}]"
                if binding.WhichOneof("binding") == "name":
                    values.append(scope.find(binding.name, place))
                else:
                    values.append(self._inline(binding.value, scope.unique(f"{_name(message)}.{name}"), place))
            found[name] = tuple(values)
        for name, attribute in message.attributes.items():
            if name != "name" and name not in found:
                place = f"{where}.attributes[{name!r}]"
                found[name] = (self._inline(attribute, scope.unique(f"{_name(message)}.{name}"), place),)
        return found


def _check_blocks(message: schema.MILSpec.Operation, count: int, where: str) -> None:
    if len(message.blocks) != count:
        raise InvalidModelError(f"has {len(message.blocks)} blocks, expected {count}", where=where)


def is_folded(kind: str) -> bool:
    """Return whether operations of a kind make constants of constants."""
    return kind.startswith("constexpr_")


def _name(message: schema.MILSpec.Operation) -> str:
    """Return the operation's name: its attribute, else the name of its first result, else its type."""
    strings = message.attributes["name"].immediateValue.tensor.strings.values if "name" in message.attributes else ()
    if strings:
        return str(strings[0])
    return str(message.outputs[0].name) if message.outputs else str(message.type)
