"""Control flow: a choice between two blocks, and a loop.

Blocks read all values that stand before the operation; what they define themselves is theirs. They may return
constants, values of their surroundings, and one value several times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcoreml.execution.control import Choice, Decision, Loop
from refcoreml.execution.steps import Control
from refcoreml.mil.node import Inner, Node, Value
from refcoreml.mil.registry import operation
from refcoreml.spec.mil_types import DeclaredTensor, DeclaredType, agree


@operation("cond", "pred", blocks=2)
def cond(node: Node) -> Control:
    """Return the results of the first block if ``pred`` is true, else those of the second; only that one runs.

    pred: bool of rank 0, or of one element. Blocks: two, which are given nothing and return as many values as there
    are results, of their types.
    """
    _check_bool(node, "parameter 'pred'", node.value("pred").type)
    yes, no = _blocks(node, given=())
    for name, block in (("blocks[0]", yes), ("blocks[1]", no)):
        _check_types(node, f"{name} returns", block.results, "results", node.outputs)
    return Choice(_decision("pred"), (yes.region, no.region))


@operation("while_loop", "*loop_vars", blocks=2)
def while_loop(node: Node) -> Control:
    """Run the second block again and again, as long as the first one returns true; return what its last run returned.

    Both blocks are given the same values: at first ``loop_vars``, then what the second block returned; if it never
    runs, the results are loop_vars. The first returns a bool of rank 0, or of one element. Types stay as they are
    declared; unknown lengths may change from round to round.

    Open: loops without end. Chosen: an error after as many rounds as `refcoreml.execution.control.LOOP_LIMIT` says.
    """
    values = node.values("loop_vars")
    condition, body = _blocks(node, given=[value.type for value in values])
    node.require(len(condition.results) == 1, f"blocks[0] returns {len(condition.results)} values, expected a bool")
    _check_bool(node, "what blocks[0] returns", condition.results[0].type)
    endless = condition.results[0].constant and bool(np.all(condition.results[0].known))
    node.require(not endless, "blocks[0] returns true always: it never ends")
    _check_types(node, "blocks[1] returns", body.results, "values that it is given", [x.type for x in body.inputs])
    _check_types(node, "the loop is given", values, "results", node.outputs)
    return Loop(body.region, condition.region, _decision("what blocks[0] returns"))


def _decision(what: str) -> Decision[bool]:
    return Decision(what, bool)


def _blocks(node: Node, given: Sequence[DeclaredType]) -> Sequence[Inner]:
    """Return the two blocks, which must take values of these types."""
    for index, block in enumerate(node.blocks):
        _check_types(node, f"blocks[{index}] takes", block.inputs, "values that it is given", given)
    return node.blocks


def _check_types(
    node: Node, what: str, values: Sequence[Value], expected: str, declared: Sequence[DeclaredType]
) -> None:
    node.require(len(values) == len(declared), f"{what} {len(values)} values, but there are {len(declared)} {expected}")
    for value, other in zip(values, declared, strict=True):
        node.require(
            agree(value.type, other),
            f"{what} {value.name!r}, declared as {value.type}, where {other} is expected, by the {expected}",
        )


def _check_bool(node: Node, what: str, found: DeclaredType) -> None:
    single = isinstance(found, DeclaredTensor) and set(found.shape or ()) <= {1, None}
    fits = isinstance(found, DeclaredTensor) and found.element.name == "bool" and single
    node.require(fits, f"{what} is declared as {found}, expected a single bool")
