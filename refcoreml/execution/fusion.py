"""Several steps run as one: elementwise ones overwrite the output of the step before, if nobody else needs it."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from refcoreml.execution.steps import Control, Step, changed, rewritten
from refcoreml.ops import Op
from refcoreml.ops.base import Inplace
from refcoreml.types import Array, TensorType, ValueType


def fuse(
    steps: Sequence[Step], inputs: Sequence[str], outputs: Sequence[str], types: Mapping[str, ValueType]
) -> tuple[Step, ...]:
    """Let elementwise steps overwrite an input where nobody else needs it, inside the step before if it can.

    Only neighbours are considered: converters write an activation, or the sum that closes a residual block, right after
    what it is applied to. Nothing passes an effect. All values must be of one type, which is known. Where there is
    control flow, or a value is written twice, all steps are left as they are.
    """
    if any(isinstance(step.op, Control) for step in steps) or rewritten(steps, inputs):
        return tuple(steps)
    uses = Counter(name for step in steps for name in step.inputs)
    uses.update(outputs)
    groups: list[list[Step]] = []
    for step in steps:
        if groups and _joins(groups[-1], step, types) and uses[groups[-1][-1].outputs[0]] == 1:
            groups[-1].append(step)
        else:
            groups.append([step])
    return tuple(_in_one(*group) if len(group) > 1 else group[0] for group in groups)


def _joins(group: Sequence[Step], step: Step, types: Mapping[str, ValueType]) -> bool:
    """Return whether a step can overwrite what the steps before it made."""
    first, last = group[0], group[-1]
    return (
        0 < len(step.inputs) <= 2
        and len(last.outputs) == len(step.outputs) == 1
        and last.outputs[0] in step.inputs
        and isinstance(made := types.get(last.outputs[0]), TensorType)
        and made.rank > 0
        and all(types.get(name) == made for name in step.inputs + step.outputs)
        and bool(first.op.fused or first.op.fresh)
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
    made = rest[-1].outputs
    return changed(first, op=op, inputs=inputs, outputs=made, last_uses=freed, parts=parts, store=None, _known={})


@dataclass(frozen=True, eq=False)
class Fused(Op):
    """An operation and elementwise ones that overwrite its result, one after the other, each as it is to be kept.

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
    def _overwrites(self) -> list[tuple[Inplace, int]]:
        """What is done to a block after the first operation, and how many further inputs that takes."""
        found = list(_keeping(self.first))
        for step, count in zip(self.rest, self.others, strict=True):
            form = step.op.inplace
            assert form is not None
            found += [(form, count), *_keeping(step)]
        return found

    def run(self, *inputs: Array) -> Array:
        """Run the first operation, and the others on its result while it is in the cache, if it can do that."""
        count = len(self.first.inputs)
        given, more, fused = inputs[:count], inputs[count:], self._fused
        if fused is not None:
            listed = [x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:]) for x in more]
            return fused(
                *given, epilogue=lambda block, place: self._finish(block, place[1], (x[place] for x in listed))
            )
        y: Any = self._first(*given)
        if not y.flags.c_contiguous:  # as results of their own would be, which sums later go through in that order
            return self._one_by_one(y, iter(more))
        block = channels_first(y)
        self._finish(block, slice(0, len(block)), map(channels_first, more))
        return y  # type: ignore[no-any-return]

    @cached_property
    def _fused(self) -> Callable[..., Array] | None:
        return self.first.op.fused

    @cached_property
    def _first(self) -> Callable[..., Any]:
        return self.first.op.trusted

    def _one_by_one(self, y: Array, more: Iterator[Array]) -> Array:
        y = self.first.stored((y,))[0]
        for step, count in zip(self.rest, self.others, strict=True):
            y = step.direct(y, *[next(more) for _ in range(count)])
        return y

    def _finish(self, block: Array, channels: slice, more: Iterator[Array]) -> None:
        for overwrite, count in self._overwrites:
            overwrite(block, channels, *[next(more) for _ in range(count)])


def _keeping(step: Step) -> Iterator[tuple[Inplace, int]]:
    """Yield what brings a result into the form in which it is kept, if it is not in it."""
    form = None if step.store is None else step.store.forms[0]
    if form is None:
        return

    def keep(block: Array, channels: slice) -> None:
        form(block, out=block)

    yield keep, 0


def channels_first(x: Array) -> Array:
    """Return a view with the axis in front that operations take for channels: C of [..., C, H, W], else the last."""
    if x.ndim in (0, 1, 3):  # where it is in front already
        return x
    rest = list(range(x.ndim))
    return x.transpose(rest.pop(-3 if x.ndim >= 3 else -1), *rest)
