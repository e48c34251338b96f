"""What faults of ML Programs are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from conformance.faults.programs.ways import Array, Given
from refcoreml.mil.node import Node, Value


def given(**values: Any) -> Callable[[Node], Given]:
    """Parameters are others, whatever the program says; numbers of the type that they are of."""
    return lambda node: {name: _like(node, name, value) for name, value in values.items() if node.has(name)}


def default(**values: Any) -> Callable[[Node], Given]:
    """Parameters that are not given have other defaults."""
    return lambda node: {name: value for name, value in values.items() if not node.has(name)}


def _like(node: Node, name: str, value: Any) -> Any:
    return np.asarray(value, node.element(name)) if isinstance(value, (int, float)) else value


def forgotten(*names: str) -> Callable[[Node], Given]:
    """Parameters are not read."""
    return lambda node: dict.fromkeys(names)


def exchanged(one: str, other: str) -> Callable[[Node], Given]:
    """Each of two parameters is taken for the other."""

    def change(node: Node) -> Given:
        return {one: _bound(node, other), other: _bound(node, one)}

    return change


def _bound(node: Node, name: str) -> Value | None:
    return node.value(name) if node.has(name) else None


def turned(*names: str) -> Callable[[Node], Given]:
    """Numbers of vectors are read in reverse order, H for W."""
    return changing(lambda x: x[::-1].copy(), *names)


def changing(change: Callable[[Array], Any], *names: str) -> Callable[[Node], Given]:
    """Constants are changed, where they are given."""
    return lambda node: {name: np.asarray(change(node.constant(name))) for name in names if node.is_constant(name)}


def with_fields(**fields: Any) -> Callable[[Node, Any], Any]:
    """The operation has other attributes."""
    return lambda node, op: replace(op, **fields)


def without_default(name: str, **fields: Any) -> Callable[[Node, Any], Any]:
    """The operation has other attributes, where a parameter is not given."""
    return lambda node, op: op if node.has(name) else replace(op, **fields)
