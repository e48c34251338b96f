"""Control flow: copies over existing blobs, branches, loops; see `refcoreml.execution.control`."""

from __future__ import annotations

from refcoreml import ops
from refcoreml.execution.control import LOOP_LIMIT, BreakSignal, Choice, ContinueSignal, Decision, Leave, Loop
from refcoreml.execution.steps import Region
from refcoreml.neuralnetwork.registry import Node, layer

#: A condition is true if it is farther from 0 than this.
TRUE_BEYOND = 1e-6


@layer("copy", scalars=True, makes_scalars=True)
def copy(node: Node) -> ops.Op:
    """y = x. The only layer that may write a blob that exists already, with another shape too.

    Input: x [*D]. Output: y [*D], the same numbers (blobs are never written to, so that none need be copied).
    Source: ``CopyLayerParams`` (no fields).
    """
    name = node.outputs[0]
    node.require(name != node.inputs[0], f"copies blob {name!r} to itself")
    return ops.Identity()


@layer("branch", outputs=0, scalars=True)
def branch(node: Node) -> ops.Op:
    """Run ``ifBranch`` if abs(x) > 1e-6, else ``elseBranch`` if there is one.

    Input: x, a single number. No outputs: the blobs that both networks produce exist afterwards.
    Errors: an empty ``ifBranch``; a condition of more than one number or NaN.
    Source: ``BranchLayerParams``.
    """
    node.require("ifBranch" in node.bodies, "its ifBranch is empty")

    regions = _region(node, "ifBranch"), _region(node, "elseBranch")
    return Choice(_truth(node.inputs[0]), regions)


@layer("loop", inputs=(0, 1), outputs=0, scalars=True)
def loop(node: Node) -> ops.Op:
    """Run ``bodyNetwork`` again and again.

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

    return Loop(
        body=_region(node, "bodyNetwork"),
        condition=_region(node, "conditionNetwork", params.conditionVar) if conditional else None,
        decision=_truth(params.conditionVar) if conditional else None,
        rounds=_count(node.inputs[0]) if node.inputs else None,
        most=int(params.maxLoopIterations) or None,
    )


@layer("loopBreak", inputs=0, outputs=0)
def loop_break(node: Node) -> ops.Op:
    """Leave the innermost loop. No inputs, no outputs. Source: ``LoopBreakLayerParams`` (no fields)."""
    return Leave(BreakSignal)


@layer("loopContinue", inputs=0, outputs=0)
def loop_continue(node: Node) -> ops.Op:
    """Continue with the next round of the innermost loop, from its condition. Source: ``LoopContinueLayerParams``."""
    return Leave(ContinueSignal)


def _region(node: Node, field: str, *outputs: str) -> Region:
    return Region(node.steps.get(field, ()), outputs=outputs)


def _truth(name: str) -> Decision[bool]:
    return Decision(f"blob {name!r}", lambda value: _holds(value))


def _count(name: str) -> Decision[int]:
    return Decision(f"blob {name!r}", lambda value: _rounds(value))


def _holds(value: float) -> bool:
    return abs(value) > TRUE_BEYOND


def _rounds(value: float) -> int:
    return int(min(max(value, 0), LOOP_LIMIT + 1))
