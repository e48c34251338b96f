"""Several steps run as one: elementwise ones overwrite the output of the step before, if nobody else needs it."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from refcoreml.execution.steps import Control, Step, changed, rewritten
from refcoreml.ops import Op
from refcoreml.ops.base import Inplace
from refcoreml.types import Array, TensorType


def fuse(steps: Sequence[Step], inputs: Sequence[str], outputs: Sequence[str]) -> tuple[Step, ...]:
    """Let elementwise steps overwrite an input where nobody else needs it, inside the step before if it can.

    Only neighbours are considered: converters write an activation, or the sum that closes a residual block, right after
    what it is applied to. Nothing passes an effect, or the place where results are brought into another form. Where
    there is control flow, or a value is written twice, all steps are left as they are.
    """
    if any(isinstance(step.op, Control) for step in steps) or rewritten(steps, inputs):
        return tuple(steps)
    uses = Counter(name for step in steps for name in step.inputs)
    uses.update(outputs)
    groups: list[list[Step]] = []
    for step in steps:
        if groups and _joins(groups[-1], step) and uses[groups[-1][-1].outputs[0]] == 1:
            groups[-1].append(step)
        else:
            groups.append([step])
    return tuple(_in_one(*group) if len(group) > 1 else group[0] for group in groups)


def _joins(group: Sequence[Step], step: Step) -> bool:
    """Return whether a step can overwrite what the steps before it made."""
    first, last = group[0], group[-1]
    return (
        len(step.inputs) <= 2
        and len(last.outputs) == 1
        and last.outputs[0] in step.inputs
        and bool(first.op.fused or first.op.fresh)
        and last.store is None
        and step.store is None
        and not (last.op.effect or step.op.effect)
        and step.op.inplace is not None
    )


def _in_one(first: Step, *rest: Step) -> Step:
    """Return a step and the elementwise ones after it as one, whose inputs are the first step's, then the others'."""
    parts = (first, *rest)
    passed = {name for step in parts[:-1] for name in step.outputs}
    others = [[name for name in step.inputs if name not in passed] for step in rest]
    freed = tuple([name for step in parts for name in step.last_uses if name not in passed])
    inputs = (*first.inputs, *itertools.chain.from_iterable(others))
    op = Fused(first, rest, tuple(map(len, others)))
    return changed(first, op=op, inputs=inputs, outputs=rest[-1].outputs, last_uses=freed, parts=parts, _known={})


@dataclass(frozen=True, eq=False)
class Fused(Op):
    """An operation and elementwise ones that overwrite its result, one after the other.

    Attributes:
        first: the operation whose result is overwritten.
        rest: the others.
        others: how many further inputs each of these has.
    """

    first: Step
    rest: tuple[Step, ...]
    others: tuple[int, ...]

    fresh = True

    @cached_property
    def _overwrites(self) -> list[tuple[Inplace, range]]:
        """How each of the others overwrites a block, and the places of its further inputs are counted."""
        forms = [step.op.inplace for step in self.rest]
        return [(form, range(count)) for form, count in zip(forms, self.others, strict=True) if form is not None]

    def infer(self, *inputs: TensorType) -> TensorType | None:
        """Return the type of the first result, if the others can overwrite it: if it is that of all values."""
        count = len(self.first.inputs)
        forecast = self.first.forecast(inputs[:count])
        if forecast is None:
            return None
        (made,) = forecast.types
        if not isinstance(made, TensorType) or any(other != made for other in inputs[count:]):
            return None
        for step in self.rest:
            after = step.forecast((made,) * len(step.inputs))
            if after is None or after.types != (made,):
                return None
        return made

    def run(self, *inputs: Array) -> Array:
        """Run the first operation, and the others on its result while it is in the cache, if it can do that."""
        count = len(self.first.inputs)
        given, more, op = inputs[:count], inputs[count:], self.first.op
        if op.fused is not None:
            listed = [x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:]) for x in more]
            return op.fused(
                *given, epilogue=lambda block, place: self._finish(block, place[1], (x[place] for x in listed))
            )
        y: Any = op.run(*given)
        block = channels_first(y)
        self._finish(block, slice(0, len(block)), map(channels_first, more))
        return y  # type: ignore[no-any-return]

    def _finish(self, block: Array, channels: slice, more: Iterator[Array]) -> None:
        for overwrite, places in self._overwrites:
            overwrite(block, channels, *(next(more) for _ in places))


def channels_first(x: Array) -> Array:
    """Return a view with the axis in front that operations take for channels: C of [..., C, H, W], else the last."""
    if x.ndim in (0, 1, 3):  # where it is in front already
        return x
    rest = list(range(x.ndim))
    return x.transpose(rest.pop(-3 if x.ndim >= 3 else -1), *rest)
