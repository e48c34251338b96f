"""From nodes to steps: every layer prepared, at its place, with the steps of the networks inside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from refcoreml.execution.limits import Allowed
from refcoreml.execution.steps import Step
from refcoreml.neuralnetwork.registry import Node, Round, prepare_layer
from refcoreml.types import Array


def prepared(nodes: Sequence[Node]) -> tuple[Step, ...]:
    """Return the steps of a network."""
    return tuple(_step(index, node) for index, node in enumerate(nodes))


def _step(index: int, node: Node) -> Step:
    if node.bodies:
        node = replace(node, steps={field: prepared(body) for field, body in node.bodies.items()})
    op = prepare_layer(node)
    op.prepare()
    return Step(
        index,
        node.spec.name,
        node.kind,
        node.where,
        op,
        tuple(node.inputs),
        tuple(node.outputs),
        store=None if node.round is None else partial(_stored, node.round),
        allowed=Allowed(node.limits),
    )


def _stored(round: Round, results: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(map(round, results))
