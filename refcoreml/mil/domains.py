"""The types of elements that operations take, and parameters whose type depends on them."""

from __future__ import annotations

from collections.abc import Sequence

from refcoreml.mil.node import REQUIRED, Node
from refcoreml.ops.base import Op

__all__ = [
    "FLOATS",
    "INTEGERS",
    "NUMBERS",
    "SMALL",
    "VALUES",
    "expect",
    "expect_each",
    "floats",
    "parameter",
    "same",
    "weighted",
]

FLOATS = ("fp16", "fp32")
NUMBERS = (*FLOATS, "int32")
VALUES = (*NUMBERS, "bool")
#: Integers of 8 and 16 bits, which tensors have from CoreML7 on.
SMALL = ("int8", "uint8", "int16", "uint16")
INTEGERS = ("int32", *SMALL)


def expect(node: Node, domain: Sequence[str], *names: str) -> None:
    """Raise `InvalidModelError` unless tensors have elements of one type, which is in the domain."""
    found = {name: str(node.tensor(name).element) for name in names}
    for name, element in found.items():
        node.require(
            element in domain,
            f"parameter {name!r} has elements of type {element}, expected {', '.join(domain)}",
            "Convert it with cast",
        )
    node.require(
        len(set(found.values())) == 1,
        f"parameters {', '.join(map(repr, found))} have elements of types {', '.join(found.values())}, expected one",
        "Nothing is converted implicitly: convert one with cast",
    )


def expect_each(node: Node, domain: Sequence[str], name: str) -> None:
    """Raise `InvalidModelError` unless the elements of each tensor of a parameter have a type in the domain."""
    for value in node.values(name):
        element = value.type if value.tensor is None else value.tensor.element
        node.require(
            str(element) in domain,
            f"parameter {name!r} has elements of type {element}, expected {', '.join(domain)}",
            "Convert them with cast",
        )


def same(node: Node, domain: Sequence[str], op: Op) -> Op:
    """Return an operation on x, whose type must be in the domain."""
    expect(node, domain, "x")
    return op


def floats(node: Node, op: Op) -> Op:
    """Return an operation on x of floats."""
    return same(node, FLOATS, op)


def weighted(node: Node, *names: str) -> None:
    """Raise `InvalidModelError` unless x and tensors, of those that are given, are floats of one type.

    Since CoreML7 each of them may be of the other float type.
    """
    given = [name for name in names if node.has(name)]
    if node.entry.since == "CoreML7":
        for name in ("x", *given):
            expect(node, FLOATS, name)
    else:
        expect(node, FLOATS, "x", *given)


def parameter(node: Node, name: str, default: float = REQUIRED) -> float:
    """Return a number of the type of x, in which a default is rounded; since CoreML7 it may be of the other float type.

    So the default 1e-12 is 0 for x of fp16, but 1e-12 of fp32 is used as it is, also with such x.
    """
    if not node.has(name) and default is not REQUIRED:
        return float(node.element("x").type(default))
    number: float = node.number(name)
    mixed = node.entry.since == "CoreML7" and str(node.tensor("x").element) in FLOATS
    expect(node, FLOATS, name) if mixed else expect(node, NUMBERS, "x", name)
    return number
