"""The text of ML Programs, ``model.mil`` in compiled models, parsed to the message that a ``.mlpackage`` holds.

The grammar, with * for any number of, and ? for one or none::

    program    = "program" "(" number ")" attributes? "{" function* "}"
    function   = "func" name "<" opset ">" "(" (type name),* ")" attributes? body ";"?
    body       = "{" operation* "}" "->" "(" name,* ")"
    operation  = ((type name),+ "=")? name "(" (name "=" argument),* ")" attributes? (block ","?)* ";"
    block      = ("(" (type name),* ")")? attributes? body
    argument   = binding | "(" binding,* ")"
    binding    = name | value
    attributes = "[" (name "=" value),* "]"
    value      = type "(" literal ")" | type "(" "BLOBFILE" "(" "path" "=" value "," "offset" "=" value ")" ")"
    literal    = number | text | "true" | "false" | "[" literal,* "]" | "(" literal,* ")"
               | "{" ("{" literal "," literal "}"),* "}"
    type       = "tensor" "<" element "," "[" length,* "]" ">" | element | "list" "<" type "," length ">"
               | "tuple" "<" type,* ">" | "dict" "<" type "," type ">" | "state" "<" type ">"
    length     = number | "?"

Apple has published no grammar. All but the form of blocks is known from files; blocks are taken in every form that is
likely: with or without names for their inputs, with or without commas between them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np

from refcoreml.errors import MalformedModelError, UnsupportedModelError, UsageError
from refcoreml.spec import schema
from refcoreml.spec.mil_types import (
    DATA_TYPES,
    MOST_AXES,
    DeclaredDictionary,
    DeclaredList,
    DeclaredState,
    DeclaredTensor,
    DeclaredTuple,
    DeclaredType,
    type_message,
)
from refcoreml.spec.mil_values import value_message

__all__ = ["NAME", "OPSETS", "parse_program"]

#: What the text calls the sets of operations, and what the message does.
OPSETS = {
    "ios13": "CoreML3",
    "ios14": "CoreML4",
    "ios15": "CoreML5",
    "ios16": "CoreML6",
    "ios17": "CoreML7",
    "ios18": "CoreML8",
    "ios26": "CoreML9",
}
#: What a name is: converters make nothing but letters, digits, ``_`` and ``@``.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_@.:/]*")

#: Deeper than that, messages could not be read again from bytes.
_DEEPEST_BLOCK = 24
_DEEPEST_LITERAL = 8

_T = TypeVar("_T")
_TOKEN = re.compile(
    rf"""\s*(?:
        (?P<name>{NAME.pattern})
      | (?P<number>[-+]?(?:0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*(?:[pP][-+]?\d+)?
                         |(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?
                         |(?i:inf(?:inity)?|nan)\b))
      | (?P<text>"[^"\\]*(?:\\.[^"\\]*)*")
      | (?P<mark>->|[(){{}}\[\]<>,;=?])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_SPACE = re.compile(r"\s*")
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|([0-7]{1,3})|(.))", re.DOTALL)
_ESCAPED = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))


def parse_program(text: str, where: str = "") -> schema.MILSpec.Program:
    """Return the program that a text describes.

    Args:
        text: what ``model.mil`` holds.
        where: its place, for errors.

    Raises:
        MalformedModelError: it is not such a text; says the line, the column, and what was expected there.
        UnsupportedModelError: it is of a version, or names a set of operations, that is not known here.
    """
    return _Parser(text, where).program()


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


class _Parser:
    """A recursive descent, one method a rule; it looks one token ahead."""

    def __init__(self, text: str, where: str) -> None:
        self._text, self._where = text, where
        self._position = 0
        self._next = self._read()

    # --- tokens ---

    def _read(self) -> _Token:
        found = _TOKEN.match(self._text, self._position)
        if found is None:
            start = _SPACE.match(self._text, self._position).end()  # type: ignore[union-attr]
            what = "a text that does not end" if self._text[start] == '"' else "what begins here"
            raise self._error(f"{what} cannot be part of a program", start)
        kind = str(found.lastgroup)
        self._position = found.end()
        return _Token(kind, found[kind], found.start(kind))

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._next = self._read()
        return token

    def _is(self, *texts: str) -> bool:
        return self._next.kind in ("mark", "name") and self._next.text in texts

    def _took(self, text: str) -> bool:
        """Take the token if it is that one."""
        if self._is(text):
            self._take()
            return True
        return False

    def _expect(self, text: str) -> _Token:
        if not self._is(text):
            raise self._unexpected(f"'{text}'")
        return self._take()

    def _name(self, what: str) -> str:
        if self._next.kind != "name":
            raise self._unexpected(what)
        return self._take().text

    def _unexpected(self, expected: str) -> MalformedModelError:
        token = self._next
        found = "the end" if token.kind == "end" else _shown(token.text)
        return self._error(f"expected {expected}, got {found}", token.start)

    def _error(self, problem: str, position: int) -> MalformedModelError:
        return MalformedModelError(problem, where=self._place(position))

    def _place(self, position: int) -> str:
        line = self._text.count("\n", 0, position) + 1
        column = position - self._text.rfind("\n", 0, position)
        where = f"line {line}, column {column}"
        return f"{self._where}, {where}" if self._where else where

    def _list(self, opening: str, closing: str, item: Callable[[], _T]) -> list[_T]:
        """Items between marks, with commas between them."""
        self._expect(opening)
        found: list[_T] = []
        while not self._took(closing):
            if found and not self._took(","):
                raise self._unexpected(f"',' or '{closing}'")
            found.append(item())
        return found

    # --- programs, functions, blocks ---

    def program(self) -> schema.MILSpec.Program:
        self._expect("program")
        self._expect("(")
        version = self._take()
        if version.kind != "number":
            raise self._error(f"expected the version of the text, got {_shown(version.text)}", version.start)
        if version.text.partition(".")[0] != "1":
            raise UnsupportedModelError(
                f"the text is of version {_shown(version.text)}, known are versions 1.0 to 1.3",
                where=self._place(version.start),
            )
        self._expect(")")
        program = schema.MILSpec.Program(version=1)
        self._attributes(program.attributes)
        self._expect("{")
        while not self._took("}"):
            self._function(program)
        if self._next.kind != "end":
            raise self._unexpected("the end")
        return program

    def _function(self, program: schema.MILSpec.Program) -> None:
        self._expect("func")
        start = self._next.start
        name = self._name("the name of a function")
        if name in program.functions:
            raise self._error(f"there are two functions called {_shown(name)}", start)
        function = program.functions[name]
        self._expect("<")
        function.opset = self._opset()
        self._expect(">")
        function.inputs.extend(self._list("(", ")", self._named_type))
        self._attributes(function.attributes)
        self._body(function.block_specializations[function.opset], 0)
        self._took(";")

    def _opset(self) -> str:
        start = self._next.start
        name = self._name("a set of operations, such as ios16")
        if name in OPSETS.values():
            return name
        if name not in OPSETS:
            problem = f"the set of operations {_shown(name)} is not known here, known are {', '.join(OPSETS)}"
            raise UnsupportedModelError(problem, where=self._place(start))
        return OPSETS[name]

    def _named_type(self) -> schema.MILSpec.NamedValueType:
        declared = self._type()
        return schema.MILSpec.NamedValueType(name=self._name("a name"), type=type_message(declared))

    def _body(self, block: schema.MILSpec.Block, depth: int) -> None:
        if depth > _DEEPEST_BLOCK:
            raise self._error(f"blocks are nested more than {_DEEPEST_BLOCK} levels deep", self._next.start)
        self._expect("{")
        while not self._took("}"):
            self._operation(block.operations.add(), depth)
        self._expect("->")
        block.outputs.extend(self._list("(", ")", lambda: self._name("the name of an output")))

    def _operation(self, operation: schema.MILSpec.Operation, depth: int) -> None:
        operation.outputs.extend(self._outputs())
        operation.type = self._name("an operation")
        for name, argument in self._list("(", ")", self._named_argument):
            if name.text in operation.inputs:
                raise self._error(f"the parameter {_shown(name.text)} is given twice", name.start)
            operation.inputs[name.text].CopyFrom(argument)
        self._attributes(operation.attributes)
        while not self._took(";"):
            if not (operation.blocks and self._took(",")) and not self._is("(", "[", "{"):
                raise self._unexpected("';'")
            self._block(operation.blocks.add(), depth + 1)

    def _outputs(self) -> list[schema.MILSpec.NamedValueType]:
        """Take what stands before "="; nothing where an operation has no outputs."""
        found: list[schema.MILSpec.NamedValueType] = []
        if self._is("("):
            found = self._list("(", ")", self._named_type)
        elif self._is(*_TYPE_WORDS):
            found.append(self._named_type())
            while self._took(","):
                found.append(self._named_type())
        if found:
            self._expect("=")
        return found

    def _block(self, block: schema.MILSpec.Block, depth: int) -> None:
        if self._is("("):
            block.inputs.extend(self._list("(", ")", self._named_type))
        self._attributes(block.attributes)
        self._body(block, depth)

    def _named_argument(self) -> tuple[_Token, schema.MILSpec.Argument]:
        name = self._next
        self._name("the name of a parameter")
        self._expect("=")
        argument = schema.MILSpec.Argument()
        argument.arguments.extend(self._list("(", ")", self._binding) if self._is("(") else [self._binding()])
        return name, argument

    def _binding(self) -> schema.MILSpec.Argument.Binding:
        if self._is(*_TYPE_WORDS):
            return schema.MILSpec.Argument.Binding(value=self._value())
        return schema.MILSpec.Argument.Binding(name=self._name("a name or a value with its type"))

    def _attributes(self, attributes: Any) -> None:
        """Add named values to a map of a message, if there are any."""
        if not self._is("["):
            return
        for name, value in self._list("[", "]", self._named_value):
            if name.text in attributes:
                raise self._error(f"the attribute {_shown(name.text)} is given twice", name.start)
            attributes[name.text].CopyFrom(value)

    def _named_value(self) -> tuple[_Token, schema.MILSpec.Value]:
        name = self._next
        self._name("the name of an attribute")
        self._expect("=")
        return name, self._value()

    # --- types and values ---

    def _type(self, depth: int = 0) -> DeclaredType:
        start = self._next.start
        if depth > _DEEPEST_LITERAL:
            raise self._error(f"types are nested more than {_DEEPEST_LITERAL} levels deep", start)
        name = self._name("a type")
        if name in DATA_TYPES:
            return DeclaredTensor(DATA_TYPES[name], ())
        match name:
            case "tensor":
                return self._tensor_type()
            case "list":
                self._expect("<")
                element = self._type(depth + 1)
                length = self._length() if self._took(",") else None
                self._expect(">")
                return DeclaredList(element, length)
            case "tuple":
                return DeclaredTuple(tuple(self._list("<", ">", lambda: self._type(depth + 1))))
            case "dict":
                self._expect("<")
                key = self._type(depth + 1)
                self._expect(",")
                value = self._type(depth + 1)
                self._expect(">")
                return DeclaredDictionary(key, value)
            case "state":
                self._expect("<")
                wrapped = self._type(depth + 1)
                self._expect(">")
                return DeclaredState(wrapped)
        raise self._error(f"expected a type, got {_shown(name)}", start)

    def _tensor_type(self) -> DeclaredTensor:
        self._expect("<")
        start = self._next.start
        name = self._name("a type of elements")
        if name not in DATA_TYPES:
            raise self._error(f"expected a type of elements ({', '.join(DATA_TYPES)}), got {_shown(name)}", start)
        self._expect(",")
        shape: tuple[int | None, ...] | None = None
        if not self._took("?"):
            shape = tuple(self._list("[", "]", self._length))
            if len(shape) > MOST_AXES:
                raise self._error(f"a tensor has {len(shape)} axes, at most {MOST_AXES} are allowed", start)
        self._expect(">")
        return DeclaredTensor(DATA_TYPES[name], shape)

    def _length(self) -> int | None:
        if self._took("?"):
            return None
        token = self._next
        if token.kind != "number" or not token.text.isdecimal() or len(token.text) > 18:
            raise self._unexpected("a length or '?'")
        return int(self._take().text)

    def _value(self) -> schema.MILSpec.Value:
        start = self._next.start
        declared = self._type()
        self._expect("(")
        if self._is("BLOBFILE"):
            value = self._blob(declared)
        else:
            items = self._literal_of(declared)
            try:
                value = value_message(declared, items)
            except UsageError as error:
                raise self._error(error.problem, start) from error
        self._expect(")")
        return value

    def _blob(self, declared: DeclaredType) -> schema.MILSpec.Value:
        self._take()
        value = schema.MILSpec.Value(type=type_message(declared))
        given = {}
        for name, item in self._list("(", ")", self._named_value):
            given[name.text] = list(item.immediateValue.tensor.strings.values) or _integers(item)
        path, offset = given.get("path"), given.get("offset")
        if not (path and isinstance(path[0], str) and offset and isinstance(offset[0], int) and offset[0] >= 0):
            raise self._unexpected("a path and an offset in BLOBFILE(path = …, offset = …)")
        value.blobFileValue.fileName, value.blobFileValue.offset = path[0], offset[0]
        return value

    def _literal_of(self, declared: DeclaredType, depth: int = 0) -> Any:
        """Return a literal as the Python value that `value_message` takes for its type."""
        if depth > _DEEPEST_LITERAL:
            raise self._error(f"values are nested more than {_DEEPEST_LITERAL} levels deep", self._next.start)
        match declared:
            case DeclaredTensor():
                return self._tensor_literal(declared)
            case DeclaredList(element, _):
                marks = ("(", ")") if self._is("(") else ("[", "]")
                return self._list(*marks, lambda: self._literal_of(element, depth + 1))
            case DeclaredTuple(types):
                if self._is(")"):
                    return ()
                inner = iter(types)
                return tuple(self._list("(", ")", lambda: self._next_of(inner, depth + 1)))
            case DeclaredDictionary(key, value):
                pairs = self._list("{", "}", lambda: self._pair(key, value, depth + 1))
                found = dict(pairs)
                if len(found) < len(pairs):
                    raise self._error("a dictionary has a key twice", self._next.start)
                return found
        raise self._error(f"there are no values of type {declared}", self._next.start)

    def _next_of(self, types: Iterator[DeclaredType], depth: int) -> Any:
        declared = next(types, None)
        if declared is None:
            raise self._error("a tuple has more values than types", self._next.start)
        return self._literal_of(declared, depth)

    def _pair(self, key: DeclaredType, value: DeclaredType, depth: int) -> tuple[Any, Any]:
        self._expect("{")
        name = self._literal_of(key, depth)
        if isinstance(name, list):
            raise self._error("the key of a dictionary is a number or a text", self._next.start)
        self._expect(",")
        item = self._literal_of(value, depth)
        self._expect("}")
        return name, item

    def _tensor_literal(self, declared: DeclaredTensor) -> Any:
        """Return a scalar, or the elements of a tensor in nested lists; one list will do for several axes."""
        if not self._is("["):
            return self._scalar(declared)
        start, shape = self._next.start, declared.known_shape
        items = self._nested(declared, MOST_AXES)
        if shape is None or len(shape) < 2 or (items and isinstance(items[0], list)):
            return items
        if len(items) != math.prod(shape):
            raise self._error(f"holds {len(items)} elements, but {declared} has {math.prod(shape)}", start)
        return _folded(items, shape) if items else np.empty(shape, declared.element.dtype)

    def _nested(self, declared: DeclaredTensor, most: int) -> list[Any]:
        if not most:
            raise self._error(f"lists are nested more than {MOST_AXES} levels deep", self._next.start)
        return self._list(
            "[", "]", lambda: self._nested(declared, most - 1) if self._is("[") else self._scalar(declared)
        )

    def _scalar(self, declared: DeclaredTensor) -> str | int | float | bool:
        token, kind = self._next, declared.element.dtype.kind
        found: str | int | float | bool | None = None
        if kind == "O":
            found = self._text_of(token) if token.kind == "text" else None
        elif kind == "b":
            found = {"true": True, "false": False}.get(token.text)
        elif kind == "f":
            found = _float(token.text) if token.kind in ("number", "name") else None
        elif token.kind == "number":
            found = _integer(token.text)
        if found is None:
            raise self._unexpected(f"an element of type {declared.element}")
        self._take()
        return found

    def _text_of(self, token: _Token) -> str:
        if "\\" not in token.text:
            return token.text[1:-1]
        try:
            return _ESCAPE.sub(_unescaped, token.text[1:-1].encode()).decode()
        except UnicodeError as error:
            raise self._error("a text is no UTF-8", token.start) from error


#: What types begin with; converters call no value so.
_TYPE_WORDS = (*DATA_TYPES, "tensor", "list", "tuple", "dict", "state")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return bytes([int(found[1], 16)])
    if found[2]:
        return chr(int(found[2], 16)).encode()
    if found[3]:
        return bytes([int(found[3], 8) & 0xFF])
    return bytes([_ESCAPED.get(found[4][0], found[4][0])])


def _float(text: str) -> float | None:
    """Return the number, in decimal or hexadecimal digits, or None."""
    try:
        return float.fromhex(text) if "x" in text.lower() else float(text)
    except (ValueError, OverflowError):
        return None


def _integer(text: str) -> int | None:
    try:
        return int(text, 16 if "x" in text.lower() else 10) if len(text) < 40 else None
    except ValueError:
        return None


def _integers(value: schema.MILSpec.Value) -> list[int]:
    tensor = value.immediateValue.tensor
    return list(tensor.longInts.values) or list(tensor.ints.values)


def _folded(items: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Return a list of all elements as lists of lists."""
    for length in reversed(shape[1:]):
        items = [items[start : start + length] for start in range(0, len(items), length)]
    return items
