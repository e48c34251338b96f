"""Control flow: copies over existing blobs, branches, loops. The engine runs the networks inside them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refcoreml.errors import InputError
from refcoreml.neuralnetwork.registry import Blobs, Node, Op, RunBody, layer, same_shape

#: The most times that a loop may run before it is taken for one that never ends.
LOOP_LIMIT = 100_000

#: A condition is true if it is farther from 0 than this.
TRUE_BEYOND = 1e-6


class _Break(Exception):  # noqa: N818 (a signal, no error)
    """Leaves the innermost loop."""


class _Continue(Exception):  # noqa: N818 (a signal, no error)
    """Goes to the next round of the innermost loop."""


@layer("copy", scalars=True)
def copy(node: Node) -> Op:
    """Y = x. The only layer that may write a blob that exists already, with another shape too.

    Input: x [*D]. Output: y [*D], the same numbers (blobs are never written to, so that none need be copied).
    Source: ``CopyLayerParams`` (no fields).
    """
    name = node.outputs[0]
    node.require(name != node.inputs[0], f"copies blob {name!r} to itself")
    return Op(lambda x: x, same_shape)


@layer("branch", outputs=0)
def branch(node: Node) -> Op:
    """Runs ``ifBranch`` if abs(x) > 1e-6, else ``elseBranch`` if there is one.

    Input: x, a single number. No outputs: the blobs that both networks produce exist afterwards.
    Errors: an empty ``ifBranch``; a condition of more than one number or NaN.
    Source: ``BranchLayerParams``.
    """
    node.require("ifBranch" in node.bodies, "its ifBranch is empty")

    def control(blobs: Blobs, run: RunBody) -> Iterator[object]:
        chosen = "ifBranch" if _holds(node, blobs, node.inputs[0]) else "elseBranch"
        if chosen in node.bodies:
            yield from run(chosen)

    return Op(None, None, control=control)


@layer("loop", inputs=(0, 1), outputs=0)
def loop(node: Node) -> Op:
    """Runs ``bodyNetwork`` again and again.

    Before each round, the first included, and after the last, ``conditionNetwork`` runs if there is one; the loop ends
    when abs(conditionVar) is not above 1e-6. It also ends after n rounds, n being the input if there is one, else
    ``maxLoopIterations``; with a condition network, ``maxLoopIterations`` = 0 means no such limit.

    Input: optionally n, a single number, fractions cut off. No outputs: the blobs of the condition network, or without
    one those of the body, exist afterwards.
    Errors: an empty body; neither condition nor count; a condition network that does not produce ``conditionVar``;
    more than `LOOP_LIMIT` rounds.
    Source: ``LoopLayerParams``. Chosen: the 1e-6 of ``branch``, where the schema says only close to 0; which blobs
    exist afterwards, as Apple's validator has it, where the schema's comment has those of the body too.
    """
    params = node.params
    conditional = "conditionNetwork" in node.bodies
    node.require("bodyNetwork" in node.bodies, "its bodyNetwork is empty")
    node.require(
        conditional == bool(params.conditionVar), "conditionNetwork and conditionVar must be given both or neither"
    )
    node.require(
        conditional or params.maxLoopIterations > 0 or len(node.inputs) == 1,
        "has no input, no conditionNetwork and no maxLoopIterations: nothing ends it",
    )

    def control(blobs: Blobs, run: RunBody) -> Iterator[object]:
        most = _rounds(node, blobs) if node.inputs else params.maxLoopIterations
        bounded = bool(node.inputs) or most > 0
        rounds = 0
        while not bounded or rounds < most or conditional:
            if conditional:
                yield from run("conditionNetwork")
                if not _holds(node, blobs, params.conditionVar) or (bounded and rounds >= most):
                    return
            if rounds >= LOOP_LIMIT:
                raise InputError(
                    f"still runs after {LOOP_LIMIT} rounds, taken for a loop without end", where=node.where
                )
            rounds += 1
            try:
                yield from run("bodyNetwork")
            except _Break:
                return
            except _Continue:
                continue

    return Op(None, None, control=control)


@layer("loopBreak", inputs=0, outputs=0)
def loop_break(node: Node) -> Op:
    """Leaves the innermost loop. No inputs, no outputs. Source: ``LoopBreakLayerParams`` (no fields)."""

    def control(blobs: Blobs, run: RunBody) -> Iterator[object]:
        raise _Break
        yield

    return Op(None, None, control=control)


@layer("loopContinue", inputs=0, outputs=0)
def loop_continue(node: Node) -> Op:
    """Goes on with the next round of the innermost loop, from its condition. Source: ``LoopContinueLayerParams``."""

    def control(blobs: Blobs, run: RunBody) -> Iterator[object]:
        raise _Continue
        yield

    return Op(None, None, control=control)


def _number(node: Node, blobs: Blobs, name: str) -> float:
    blob = blobs[name]
    if blob.size != 1:
        node.invalid(f"blob {name!r} must be a single number, got the shape {blob.shape}")
    if np.isnan(blob).any():
        raise InputError(f"blob {name!r} must be a single number, got NaN", where=node.where)
    return float(blob.reshape(-1)[0])


def _holds(node: Node, blobs: Blobs, name: str) -> bool:
    return abs(_number(node, blobs, name)) > TRUE_BEYOND


def _rounds(node: Node, blobs: Blobs) -> int:
    count = _number(node, blobs, node.inputs[0])
    return int(min(max(count, 0), LOOP_LIMIT + 1))
