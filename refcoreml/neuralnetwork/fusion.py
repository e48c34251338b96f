"""Several layers run as one: elementwise ones overwrite the output of the layer before, if nobody else needs it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from refcoreml.neuralnetwork.registry import Op, channels_first
from refcoreml.neuralnetwork.steps import Step
from refcoreml.types import Array, Shape


def fuse(steps: Sequence[Step], outputs: Sequence[str]) -> list[Step]:
    """Lets elementwise layers overwrite an input where nobody else needs it, inside the layer before if it can.

    Only neighbours are considered: converters write an activation, or the sum that closes a residual block, right after
    what it is applied to. Networks with branches, loops or blobs written twice are left as they are.
    """
    if any(step.kind in ("branch", "loop", "copy") for step in steps):
        return list(steps)
    uses = Counter(name for step in steps for name in step.inputs)
    uses.update(outputs)
    groups: list[list[Step]] = []
    for step in steps:
        passed = groups[-1][-1].outputs if groups else ()
        if (
            step.op.inplace is not None
            and len(step.inputs) <= 2
            and len(passed) == 1
            and passed[0] in step.inputs
            and uses[passed[0]] == 1
            and (groups[-1][0].op.fused or groups[-1][0].op.fresh)
        ):
            groups[-1].append(step)
        else:
            groups.append([step])
    return [_in_one(*group) if len(group) > 1 else group[0] for group in groups]


def _in_one(first: Step, *rest: Step) -> Step:
    """A layer and the elementwise ones after it as one step, whose inputs are the first layer's, then the others'."""
    parts = (first, *rest)
    passed = {name for step in parts[:-1] for name in step.outputs}
    others = [[name for name in step.inputs if name not in passed] for step in rest]
    overwrites = [step.op.inplace for step in rest]
    count = len(first.inputs)

    def shape(*shapes: Shape) -> Shape | None:
        """The shape of the first layer's output, if the others can overwrite it: if it is that of all blobs."""
        forecast = first.forecast(shapes[:count])
        if forecast is None or any(other != forecast.shapes[0] for other in shapes[count:]):
            return None
        made = forecast.shapes[0]
        for step in rest:
            after = step.forecast((made,) * len(step.inputs))
            if after is None or after.shapes != (made,):
                return None
        return made

    def finish(block: Array, channels: slice, more: Iterator[Array]) -> None:
        for overwrite, names in zip(overwrites, others, strict=True):
            assert overwrite is not None
            overwrite(block, channels, *(next(more) for _ in names))

    def run(*inputs: Array) -> Array:
        given, more = inputs[:count], inputs[count:]
        if first.op.fused is not None:
            listed = [x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:]) for x in more]
            return first.op.fused(
                *given, epilogue=lambda block, place: finish(block, place[1], (x[place] for x in listed))
            )
        run_first: Any = first.op.run
        y: Array = run_first(*given)
        block = channels_first(y)
        finish(block, slice(0, len(block)), map(channels_first, more))
        return y

    freed = tuple(name for step in parts for name in step.last_uses if name not in passed)
    inputs = (*first.inputs, *(name for names in others for name in names))
    op = Op(run, shape, fresh=True)
    return replace(first, op=op, inputs=inputs, outputs=rest[-1].outputs, last_uses=freed, parts=parts)
