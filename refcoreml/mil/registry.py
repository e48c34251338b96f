"""The table of MIL operations: each name with the operation sets from which on it means what an adapter says.

An adapter is a function from a `Node` (an operation of a program, with its parameters) to an operation of
`refcoreml.ops`. It reads the parameters and returns the operation; the values that the operation then takes at run time
are the operands that the decorator names::

    @operation("softmax", "x")
    def softmax(node: Node) -> Op:
        return ops.Softmax(node.integer("axis", -1))

Where that depends on the program (a shape may be a constant or computed) the adapter returns ``node.call(op, "x",
"shape")`` instead, with the names of the parameters that the operation takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from refcoreml.errors import InvalidModelError
from refcoreml.execution.table import Table
from refcoreml.mil.node import Call, Entry, Node
from refcoreml.ops.base import Op

__all__ = ["OPERATIONS", "OPSETS", "Entry", "find", "operation", "opset_number"]

#: The operation sets, oldest first, and the systems that introduced them.
OPSETS = {"CoreML5": "iOS15", "CoreML6": "iOS16", "CoreML7": "iOS17", "CoreML8": "iOS18", "CoreML9": "iOS26"}
_NUMBERS = {name: number for number, name in enumerate(OPSETS)}

Adapter: TypeAlias = Callable[[Node], "Op | Call"]


OPERATIONS: Table[Entry] = Table("operation")


def operation(name: str, *operands: str, since: str = "CoreML5", blocks: int = 0) -> Callable[[Adapter], Adapter]:
    """Register an adapter for a name from an operation set on; see `Entry`."""

    def register(adapt: Adapter) -> Adapter:
        OPERATIONS.add(name, Entry(name, since, operands, adapt, blocks), _NUMBERS[since])
        return adapt

    return register


def opset_number(opset: str, where: str) -> int:
    """Return the place of an operation set in their order; raise `InvalidModelError` for an unknown one."""
    if opset not in _NUMBERS:
        known = ", ".join(f"{name} ({system})" for name, system in OPSETS.items())
        raise InvalidModelError(f"the operation set {opset!r} is unknown", where=where, remedy=f"Known: {known}")
    return _NUMBERS[opset]


def find(name: str, opset: int) -> Entry | None:
    """Return the newest entry of a name that is not newer than an operation set; None if there is none."""
    return OPERATIONS.find(name, opset)
