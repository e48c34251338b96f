"""Six ways to break the dialect of ML Programs, each of which registers a fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from conformance.faults.fault import Mutation, NeverFused, changed, replaced
from refcoreml.mil import registry
from refcoreml.mil.node import Call, Entry, Node, Parameters, Value
from refcoreml.mil.prepare import with_held_types
from refcoreml.mil.resolve import is_folded
from refcoreml.ops import Op
from refcoreml.spec.mil_types import DATA_TYPES, DeclaredTensor

Array: TypeAlias = NDArray[Any]
#: What takes the place of parameters: an array, several, or None for one that is forgotten.
Given: TypeAlias = Mapping[str, Any]

MUTATIONS: list[Mutation] = []


def _register(name: str, kinds: str, inject: Callable[[], Any], unseen: str = "") -> None:
    MUTATIONS.append(Mutation(f"mil.{name}", tuple(kinds.split()), inject, unseen, program=True))


# ---- What an adapter is given, and what it returns ----


def parameters(name: str, kinds: str, change: Callable[[Node], Given], unseen: str = "") -> None:
    """The adapter reads other parameters: those of ``change(node)`` take the place of its own."""

    def adapt(entry: Entry, node: Node) -> Op | Call:
        given = dict(node.parameters) | {key: _bound(key, value) for key, value in change(node).items()}
        return entry.adapt(replace(node, parameters=Parameters({key: each for key, each in given.items() if each})))

    _register(name, kinds, lambda: _adapted(kinds, adapt), unseen)


def _bound(name: str, value: Any) -> Sequence[Value]:
    """Return a constant as an adapter sees it."""
    if value is None:
        return ()
    if isinstance(value, Value):
        return (value,)
    array = np.asarray(value, object if isinstance(value, str) else None)
    array = array.astype(np.int32) if array.dtype == np.int64 else array
    element = DATA_TYPES["string"] if array.dtype == object else _element(array)
    return (Value(DeclaredTensor(element, array.shape), f"faulty {name}", lambda: array),)


def _element(array: Array) -> Any:
    return next(each for each in DATA_TYPES.values() if each.native and each.dtype == array.dtype)


def operation(name: str, kinds: str, change: Callable[[Node, Any], Any], unseen: str = "") -> None:
    """The adapter returns another operation: ``change(node, operation)``."""

    def adapt(entry: Entry, node: Node) -> Op | Call:
        found = entry.adapt(node)
        if isinstance(found, Call):
            return replace(found, op=change(node, found.op))
        made: Op = change(node, found)
        return made

    _register(name, kinds, lambda: _adapted(kinds, adapt), unseen)


def version(name: str, kind: str, opset: str, other: str, unseen: str = "") -> None:
    """An operation set means by the name of an operation what another one means by it."""
    mine, wrong = (registry.opset_number(each, "") for each in (opset, other))

    def fault(find: Callable[[str, int], Entry | None]) -> Callable[[str, int], Entry | None]:
        return lambda name, number: find(name, wrong if name == kind and number == mine else number)

    _register(name, kind, lambda: replaced(registry.find, fault(registry.find)), unseen)


# ---- What an operation computes ----


@dataclass(frozen=True)
class _Faulty(NeverFused):
    """An operation that computes ``fault(node, run, *inputs)``, and is never fused."""

    fault: Callable[..., Any]
    node: Node

    @property
    def _folded(self) -> bool:
        return is_folded(self.node.kind)

    @cached_property
    def _honest(self) -> Callable[..., Any]:
        """The correct computation, on arrays as they are held."""
        return (self.op if self._folded else with_held_types(self.op, self.node.precision)).run

    def run(self, *xs: Any) -> Any:
        """What the fault makes of the correct computation, in the types that the program declares."""
        y = self.fault(self.node, self._honest, *xs)
        if not isinstance(y, tuple):
            return self._as_declared(y, 0)
        return tuple(self._as_declared(each, index) for index, each in enumerate(y))

    def _as_declared(self, y: Any, index: int) -> Any:
        declared = self.node.outputs[index]
        if not isinstance(declared, DeclaredTensor) or not isinstance(y, (np.ndarray, np.generic)):
            return y
        dtype = declared.element.dtype
        return np.asarray(y, dtype if self._folded else self.node.precision.dtype(dtype))


def result(name: str, kinds: str, fault: Callable[..., Any], unseen: str = "") -> None:
    """The operation computes ``fault(node, run, *inputs)``, where ``run`` is the correct computation."""
    operation(name, kinds, lambda node, op: _Faulty(op, fault, node), unseen)


# ---- Functions and methods ----


def kernel(name: str, kinds: str, function: Callable[..., Any], fault: Callable[[Any], Any], unseen: str = "") -> None:
    """A function is ``fault(function)``, wherever the package refers to it."""
    _register(name, kinds, lambda: replaced(function, fault(function)), unseen)


def method(name: str, kinds: str, owner: Any, attribute: str, fault: Callable[[Any], Any], unseen: str = "") -> None:
    """A method of a class, or what a module refers to, is ``fault(it)``."""
    _register(name, kinds, lambda: changed(owner, attribute, fault), unseen)


def _adapted(kinds: str, adapt: Callable[[Entry, Node], Op | Call]) -> Any:
    """The adapters of some operations are ``adapt(entry, node)``."""
    concerned = kinds.split()

    def find(name: str, opset: int) -> Entry | None:
        entry = honest(name, opset)
        if entry is None or name not in concerned:
            return entry
        return replace(entry, adapt=lambda node: adapt(entry, replace(node, entry=entry)))

    honest = registry.find
    return replaced(honest, find)
