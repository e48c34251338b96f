"""ML Programs written as text, the reverse of `mil_text`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from refcoreml.errors import InvalidModelError, UsageError
from refcoreml.spec import schema
from refcoreml.spec.mil_text import NAME, OPSETS
from refcoreml.spec.mil_types import DeclaredDictionary, DeclaredList, DeclaredTensor, DeclaredType, read_type
from refcoreml.spec.mil_values import read_value

__all__ = ["print_program"]

_OPSET_WORDS = {name: word for word, name in OPSETS.items()}
_INDENT = "    "
#: The sets of operations whose programs are written with scalars as in ``int32(1)``; older ones have
#: ``tensor<int32, []>(1)``.
_SHORT = ("CoreML8", "CoreML9")
#: A text, or the type of a scalar.
_SCALAR = re.compile(r'"(?:[^"\\]|\\.)*"|tensor<(\w+), \[\]>')
#: Escaped in a text: what ends it, and controls.
_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f]')


def print_program(program: schema.MILSpec.Program) -> str:
    """Return a program as ``model.mil`` has it.

    As Apple's compiler has it, types of scalars are short where a function has an operation set since CoreML8.

    Comments (``docString``), and attributes of functions' blocks and of types, which no converter writes, are left out.

    Raises:
        InvalidModelError: a function has no block for its set of operations, or a value does not fit its type.
        UsageError: a name cannot be written in such a text.
    """
    short = any(function.opset in _SHORT for function in program.functions.values())
    lines = [f"program({'1.3' if short else '1.0'})"]
    if program.attributes:
        lines.append(_attributes(program.attributes))
    lines.append("{")
    for name in sorted(program.functions):
        lines.extend(_function(name, program.functions[name]))
    text = "\n".join([*lines, "}", ""])
    return _SCALAR.sub(lambda found: found[1] or found[0], text) if short else text


def _function(name: str, function: schema.MILSpec.Function) -> Iterator[str]:
    if function.opset not in function.block_specializations:
        known = ", ".join(map(repr, sorted(function.block_specializations)))
        raise InvalidModelError(
            f"has no block for its set of operations {function.opset!r}, there are {known or 'none'}",
            where=f"function {name!r}",
        )
    block = function.block_specializations[function.opset]
    opset = _OPSET_WORDS.get(function.opset) or _checked(function.opset)
    inputs = ", ".join(_declarations(function.inputs))
    attributes = f" {_attributes(function.attributes)}" if function.attributes else ""
    yield f"{_INDENT}func {_checked(name)}<{opset}>({inputs}){attributes} {{"
    yield from _body(block, 2)
    yield f"{_INDENT}}} -> ({', '.join(map(_checked, block.outputs))});"


def _body(block: schema.MILSpec.Block, depth: int) -> Iterator[str]:
    for operation in block.operations:
        yield from _operation(operation, depth)


def _operation(operation: schema.MILSpec.Operation, depth: int) -> Iterator[str]:
    indent = _INDENT * depth
    outputs = ", ".join(_declarations(operation.outputs))
    arguments = ", ".join(
        f"{_checked(name)} = {_argument(operation.inputs[name])}" for name in sorted(operation.inputs)
    )
    attributes = _attributes(operation.attributes) if operation.attributes else ""
    head = f"{indent}{f'{outputs} = ' if outputs else ''}{_checked(operation.type)}({arguments}){attributes}"
    if not operation.blocks:
        yield f"{head};"
        return
    yield head
    for index, block in enumerate(operation.blocks):
        last = index == len(operation.blocks) - 1
        yield f"{indent}({', '.join(_declarations(block.inputs))}){_attributes(block.attributes)} {{"
        yield from _body(block, depth + 1)
        yield f"{indent}}} -> ({', '.join(map(_checked, block.outputs))}){';' if last else ','}"


def _declarations(named: Iterable[schema.MILSpec.NamedValueType]) -> Iterator[str]:
    for item in named:
        yield f"{read_type(item.type, repr(item.name))} {_checked(item.name)}"


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise UsageError(f"the name {name!r} cannot be written in the text of a program")
    return name


def _argument(argument: schema.MILSpec.Argument) -> str:
    bindings = [
        _value(binding.value) if binding.WhichOneof("binding") == "value" else _checked(binding.name)
        for binding in argument.arguments
    ]
    return bindings[0] if len(bindings) == 1 else f"({', '.join(bindings)})"


def _attributes(attributes: Mapping[str, schema.MILSpec.Value]) -> str:
    return f"[{', '.join(f'{_checked(name)} = {_value(attributes[name])}' for name in sorted(attributes))}]"


def _value(message: schema.MILSpec.Value) -> str:
    if message.WhichOneof("value") == "blobFileValue":
        path, offset = message.blobFileValue.fileName, message.blobFileValue.offset
        place = f"path = tensor<string, []>({_quoted(path)}), offset = tensor<uint64, []>({offset})"
        return f"{read_type(message.type)}(BLOBFILE({place}))"
    stored = read_value(message)
    return f"{stored.type}({_literal(stored.type, stored.get())})"


def _literal(declared: DeclaredType, value: Any) -> str:
    match declared:
        case DeclaredTensor():
            array = np.asarray(value, declared.element.dtype)
            return _elements(array.tolist()) if array.size else "[]"
        case DeclaredList(element, _):
            return f"[{', '.join(_literal(element, item) for item in value)}]"
        case DeclaredDictionary(key, item_type):
            pairs = (f"{{{_literal(key, name)}, {_literal(item_type, item)}}}" for name, item in value.items())
            return f"{{{', '.join(pairs)}}}"
    items = map(_literal, getattr(declared, "types", ()), value)
    return f"({', '.join(items)})"


def _elements(items: Any) -> str:
    """Elements in lists of lists, or one alone."""
    if isinstance(items, list):
        return f"[{', '.join(map(_elements, items))}]"
    if isinstance(items, str):
        return _quoted(items)
    if isinstance(items, bool):
        return "true" if items else "false"
    return _hexadecimal(items) if isinstance(items, float) else str(items)


def _hexadecimal(number: float) -> str:
    """Return the number in C's hexadecimal digits, without zeros at the end."""
    return re.sub(r"\.?0*p", "p", number.hex())


def _quoted(text: str) -> str:
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return short.get(found[0], f"\\x{ord(found[0]):02x}")
