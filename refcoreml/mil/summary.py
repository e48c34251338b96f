"""What a function of a program consists of, from its message alone: also where it cannot be run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from refcoreml.spec import schema
from refcoreml.spec.mil_types import DeclaredTensor, read_type

__all__ = ["custom_classes", "operation_counts", "weight_counts"]

#: How deep blocks are looked into, as in a function that runs.
_DEEPEST = 24
#: Constants of fewer elements are parameters, not weights.
_LEAST = 10
_FOLDED = "constexpr_"
#: The parameters of operations on compressed constants that hold the codes, and before them those with a table.
_CODES = ("indices", "indices_nonzero_data", "quantized_data", "data", "nonzero_data", "source_val")


def operation_counts(function: schema.MILSpec.Function) -> dict[str, int]:
    """Return how many operations of each kind there are, the most frequent first; constants are left out."""
    counts = Counter(operation.type for operation in _operations(function) if operation.type != "const")
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def custom_classes(function: schema.MILSpec.Function) -> dict[tuple[str, str], int]:
    """Return by class and description how many custom layers there are; those without a class are left out."""
    custom = (operation for operation in _operations(function) if operation.type == "custom_layer")
    return dict(
        Counter(found for each in custom if (found := (_text(each, "class_name"), _text(each, "description")))[0])
    )


def _text(operation: schema.MILSpec.Operation, name: str) -> str:
    """Return a parameter that is a text; an empty one for anything else."""
    values = [operation.attributes[name]] if name in operation.attributes else []
    values += [binding.value for binding in operation.inputs[name].arguments] if name in operation.inputs else []
    texts = [text for value in values for text in value.immediateValue.tensor.strings.values]
    return texts[0] if len(texts) == 1 else ""


def weight_counts(function: schema.MILSpec.Function) -> dict[str, int]:
    """Return how many weights there are in each kind of storage: a type, or how they are compressed, with the bits.

    A weight that is compressed twice is counted once, as the last operation on it says, with the bits of its codes.
    """
    operations = list(_operations(function))
    taken = {name for operation in operations if operation.type.startswith(_FOLDED) for name in _names(operation)}
    makers = {output.name: operation for operation in operations for output in operation.outputs}
    counts: Counter[str] = Counter()
    for operation in operations:
        holds = operation.type == "const" or operation.type.startswith(_FOLDED)
        if not holds or not operation.outputs or operation.outputs[0].name in taken:
            continue
        declared = read_type(operation.outputs[0].type)
        if not isinstance(declared, DeclaredTensor) or declared.known_shape is None:
            continue
        count = math.prod(declared.known_shape)
        if operation.type != "const":
            counts[f"{operation.type.removeprefix(_FOLDED)}, {_bits(operation, makers)} bits"] += count
        elif declared.element.dtype.kind == "f" and count >= _LEAST:
            counts[declared.element.name] += count
    return dict(counts)


def _operations(function: schema.MILSpec.Function) -> Iterator[schema.MILSpec.Operation]:
    for block in function.block_specializations.values():
        yield from _in_block(block, 0)


def _in_block(block: schema.MILSpec.Block, depth: int) -> Iterator[schema.MILSpec.Operation]:
    for operation in block.operations:
        yield operation
        for inner in operation.blocks if depth < _DEEPEST else ():
            yield from _in_block(inner, depth + 1)


def _names(operation: schema.MILSpec.Operation) -> Iterator[str]:
    for argument in operation.inputs.values():
        yield from (binding.name for binding in argument.arguments if binding.WhichOneof("binding") == "name")


def _bits(
    operation: schema.MILSpec.Operation, makers: dict[str, schema.MILSpec.Operation], depth: int = 0
) -> int | str:
    """Return the bits of a code."""
    if "lut" in operation.attributes:  # codes are packed there, and the table says how wide they are
        table = read_type(operation.attributes["lut"].type)
        if isinstance(table, DeclaredTensor) and table.known_shape:
            return max(table.known_shape[-1] - 1, 1).bit_length()
    for name in _CODES:
        if name in operation.attributes:
            return _element_bits(operation.attributes[name].type)
        for binding in operation.inputs[name].arguments if name in operation.inputs else ():
            if binding.WhichOneof("binding") == "value":
                return _element_bits(binding.value.type)
            maker = makers.get(binding.name)
            if maker is None or depth > _DEEPEST:
                return "?"
            if maker.type.startswith(_FOLDED):
                return _bits(maker, makers, depth + 1)
            return _element_bits(maker.outputs[0].type)
    return "?"


def _element_bits(message: schema.MILSpec.ValueType) -> int | str:
    declared = read_type(message)
    return declared.element.bits if isinstance(declared, DeclaredTensor) else "?"
