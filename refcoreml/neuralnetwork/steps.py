"""From nodes to steps: every layer prepared, at its place, with the steps of the networks inside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

from refcoreml.execution.limits import Allowed, Limits
from refcoreml.execution.steps import Step, Store
from refcoreml.neuralnetwork.registry import LAYERS, Node, Vectors, prepare_layer
from refcoreml.ops import Op
from refcoreml.problems import RAISED, Problems


def may_be_scalars(nodes: Iterable[Node]) -> frozenset[str]:
    """Return the blobs that may have rank 0, of all layers of a network."""
    makers = [node for node in nodes if LAYERS[node.kind].makes_scalars and not node.rank5]
    return frozenset(name for node in makers for name in node.outputs)


def operation(node: Node, scalars: frozenset[str]) -> Op:
    """Return the operation of a layer among blobs of which some may have rank 0."""
    op = prepare_layer(node)
    return op if scalars.isdisjoint(node.inputs) or LAYERS[node.kind].scalars else Vectors(op)


def prepared(nodes: Sequence[Node], scalars: frozenset[str], problems: Problems = RAISED) -> tuple[Step, ...]:
    """Return the steps of a network: all, or those before the first that has a problem."""
    steps: list[Step] = []
    for index, node in enumerate(nodes):
        step = _step(index, node, scalars, problems)
        if step is not None and len(steps) == index:
            steps.append(step)
    return tuple(steps)


def _step(index: int, node: Node, scalars: frozenset[str], problems: Problems) -> Step | None:
    if node.bodies:
        steps = {field: prepared(body, scalars, problems) for field, body in node.bodies.items()}
        if any(len(steps[field]) < len(body) for field, body in node.bodies.items()):
            return None
        node = replace(node, steps=steps)
    if problems.sound(node.where):
        with problems.part("layer.parameters", node.where):
            return _made(index, node, scalars)
    return None


def _made(index: int, node: Node, scalars: frozenset[str]) -> Step:
    op = operation(node, scalars)
    op.prepare()
    return Step(
        index,
        node.spec.name,
        node.kind,
        node.where,
        op,
        node.inputs,
        node.outputs,
        store=None if node.round is None else Store((node.round,) * len(node.outputs)),
        allowed=_allowed(node.limits),
    )


@lru_cache(maxsize=16)
def _allowed(limits: Limits) -> Allowed:
    return Allowed(limits)
