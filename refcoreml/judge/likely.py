"""Likely bounds: how far honest rounding carries through a whole model, with a stated probability.

The model runs once in double precision, and six times more in which every result of every operation is moved at random
by as much as an honest implementation's usually is off (`refcoreml.judge.noise`). How far numbers of the disturbed runs
lie from those of the first is their spread; pooled (`refcoreml.judge.spread`), it gives a bound. One more, the *plain*
run, says how much honest runs deviate before flat sides, such as that of a ReLU. All runs go in lock-step, so that only
values that are still needed are in memory.

    bounds = likely_bounds("Net.mlmodel", {"x": x}, profile="fp32")
    abs(y - bounds["y"].value) <= bounds["y"].radius    # everywhere, of 9,999 in 10,000 honest y

The method, and the study that shows how good it is, are in docs/judge.md.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from refcoreml import values as passed
from refcoreml.errors import RefCoreMLError, UsageError
from refcoreml.execution.engine import Trace
from refcoreml.execution.steps import Step, walk
from refcoreml.features import Feature
from refcoreml.judge import noise
from refcoreml.judge.draws import RUNS, Bits, Draws
from refcoreml.judge.noise import Error
from refcoreml.judge.spread import factor, moderated
from refcoreml.judge.subjects import Subject, subject_of
from refcoreml.model import Model, as_model
from refcoreml.ops.base import Op
from refcoreml.oracle.balls import Doubles, Rounding
from refcoreml.types import Array, without_ones

__all__ = ["PROBABILITY", "Ensemble", "LikelyBound", "likely_bounds"]

#: Says of a value, by its name, and its bound whether a run goes on from the value of a reference.
Accept: TypeAlias = "Callable[[str, LikelyBound], bool]"

#: How often a value of an honest implementation may be outside of its bounds.
PROBABILITY = 1e-4
#: Where a decision is taken, deviations count so many times: what an honest run could decide in another way, of six
#: runs at least one does.
_DECISIVE = 8.0
#: So many deviations from the end of a flat side are near.
_NEAR = 8.0
#: A number that deviates so many times more where a decision was another one depends on this decision.
_DEPENDENT = 16.0
#: So many numbers of one run tell how large deviations are.
_MANY = 64
#: So many numbers of a value tell how large its noise is.
_SAMPLE = 4096
#: Bounds are up to this part wider than the spread says, since the sizes of errors are rules of thumb: by half of it
#: with as few degrees of freedom as runs, when Student's quantile has room of its own.
_SLACK = 0.5
#: The unit roundoff of half precision.
UNIT16 = 2.0**-11
#: Noise of this part of a value is no news.
_ILL = 1e-2


@dataclass(frozen=True)
class LikelyBound:
    """A value in double precision, and how far honest implementations are likely to be away.

    Attributes:
        step: the place of the operation that made it; empty for an output as a whole.
        value: in double precision, from inputs and weights in the storage type.
        deviation: the standard deviation of each number; infinite where it is undetermined.
        radius: the bound, place by place; 0: exact, as NaN and infinities are that all runs have; infinite:
            undetermined.
        reason: why numbers are undetermined; empty if none are.
        labels: of scores and predicted labels, the classes; a label is its place among them.
    """

    step: str
    value: Doubles
    deviation: Doubles
    radius: Doubles
    reason: str = ""
    labels: tuple[str | int, ...] = ()

    @property
    def determined(self) -> NDArray[np.bool_]:
        """Where there is a bound."""
        return np.isfinite(self.radius)

    @cached_property
    def noise(self) -> float:
        """The size of the deviations relative to that of the value, both as root mean squares; 1 or more: no digit."""
        known = self.determined & np.isfinite(self.value)
        size = float(np.mean(np.square(self.value, where=known, out=np.zeros(known.shape))))
        off = float(np.mean(np.square(self.deviation, where=known, out=np.zeros(known.shape))))
        return float(np.sqrt(off / size)) if size else (np.inf if off else 0.0)

    def explains(self, actual: Array) -> NDArray[np.bool_]:
        """Return where numbers are explained by rounding: within their bounds, or the same infinity or NaN.

        An undetermined number is explained by anything, which shows nothing: see `determined`.

        Raises:
            UsageError: the array has another shape.
        """
        given = passed.array(actual, passed.argument("actual")).astype(np.float64)
        if given.shape != self.value.shape:
            raise UsageError(f"has the shape {given.shape}, expected {self.value.shape}", where="actual")
        with np.errstate(invalid="ignore"):
            near = np.abs(given - self.value) <= self.radius
        same = (given == self.value) | (np.isnan(given) & np.isnan(self.value))
        explained: NDArray[np.bool_] = near | same | np.isinf(self.radius)
        return explained


def likely_bounds(
    model: Any, inputs: Mapping[str, Any], profile: str = "", *, probability: float = PROBABILITY
) -> dict[str, LikelyBound]:
    """Return likely bounds of the outputs of a model.

    Args:
        model: a network or an ML Program, anything that `refcoreml.load` takes, or a loaded one.
        inputs: as for `refcoreml.Model.predict`.
        profile: of networks ``fp32`` (default), ``fp16/acc32`` or ``fp16/acc16``, see `refcoreml.oracle.PROFILES`; of
            ML Programs ``declared`` (default): each result is rounded to its declared type, sums are in single
            precision; ``fp32``: all floats are in single precision; or ``fp16/acc32``: all floats, inputs and constants
            among them, are stored in half precision whatever is declared, as devices do that compute in it.
        probability: how often a whole output of an honest implementation may have a number outside.

    Raises:
        UnsupportedModelError: another type of model, or operations that draw random numbers or are of the user's own.
        UsageError: there is no such profile.
        InputError: inputs that do not fit.
    """
    return Ensemble(model, profile, probability=probability).bounds(inputs)


@dataclass
class _Local:
    """The step that all runs have reached.

    Attributes:
        step: it.
        inputs, raw: those of the base run, and what it made, numbers beyond the largest one included.
        made: what each run made, the base first.
        errors: for each output the sizes of errors, with their random bits.
        jumps: for each output whether it jumps.
        draws: the random numbers of the step.
        plain: what the plain run was given, and what it has made; nothing if there is none.
    """

    step: Step
    inputs: Sequence[Any]
    raw: tuple[Any, ...]
    made: list[tuple[Any, ...]]
    errors: list[list[tuple[Error, Bits]]]
    jumps: tuple[bool, ...]
    draws: Draws
    plain: tuple[Sequence[Any], tuple[Any, ...]] = (), ()

    @cached_property
    def flat(self) -> Op:
        """The operation, if it has a flat side."""
        return noise.operation_of(self.step, self.inputs)

    def at_kinks(self, own: Array, made: Array) -> Array:
        """Return what a disturbed run makes of its input at a flat side, see `_at_kinks`."""
        base = self.inputs[0]
        if own.shape != base.shape or made.shape != self.raw[0].shape:  # a finding of its own
            return made
        off = own - base
        if self.honest is not None:
            np.clip(off, -self.honest, self.honest, out=off)
        return _at_kinks(self, _NEAR * off, made)

    @cached_property
    def honest(self) -> Doubles | None:
        """How far the input of the plain run deviates at most, in each channel of a picture; None if few numbers tell.

        It is no less than the root mean square of all: what follows from a rare event deviates in no plain run.
        """
        base = self.inputs[0]
        if not self.plain[0] or np.shape(self.plain[0][0]) != base.shape or base.size < _MANY:
            return None
        off = np.abs(self.plain[0][0] - base)
        known = np.isfinite(off)
        axes = tuple(axis for axis in range(off.ndim) if off.ndim < 3 or axis != off.ndim - 3)
        usual = np.sqrt(np.mean(np.square(off), where=known)) if known.any() else 0.0
        return np.asarray(np.maximum(off.max(axes, keepdims=True, initial=0.0, where=known), usual))

    @cached_property
    def to_end(self) -> Doubles:
        """How far the numbers of the input are from the nearest end of a flat side."""
        x = self.inputs[0]
        nearest = np.full(x.shape, np.inf)
        for end in noise.ends_of(self.flat):
            np.minimum(nearest, np.abs(x - end), out=nearest)
        return nearest


class _TurnedError(Exception):
    """A disturbed run went another way; says where."""


@dataclass
class _Turned:
    """What decisions were others in disturbed runs.

    Attributes:
        runs: which.
        where: the first place.
        names: the values that are such decisions.
    """

    runs: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(RUNS, bool))
    where: str = ""
    names: set[str] = field(default_factory=set)


class Ensemble:
    """A model that runs once in double precision and six or, with flat sides, seven times disturbed.

    States of ML Programs stay from one run to the next, in each of the runs its own.
    """

    def __init__(
        self,
        model: Any,
        profile: str = "",
        *,
        probability: float = PROBABILITY,
        seed: int = 0,
        rounded_inputs: bool = False,
    ) -> None:
        """Prepare the runs.

        Args:
            model, profile, probability: as of `likely_bounds`.
            seed: of all random numbers.
            rounded_inputs: whether inputs count as rounded once more where anything is stored in half precision: an
                implementation may have rounded them, or the weights that they are multiplied by, in another way.
                Inputs that hold integers are exact, since they may be indices.
        """
        self.rounded_inputs = rounded_inputs
        loaded: Model = as_model(model)
        self.subject: Subject = subject_of(loaded, profile)
        for step in self.subject.steps:
            noise.check_known(step)
        self._probability = passed.number(probability, passed.argument("probability"))
        if not 0 < self._probability < 1:
            raise UsageError(f"is {probability}, expected a number between 0 and 1", where="probability")
        self._seed = passed.integer(seed, passed.argument("seed"), 0)
        self._states = [self.subject.states() for _ in range(RUNS + 2)]
        #: By value how large its noise is, relative to it, in the last run.
        self.noise: dict[str, float] = {}
        #: By place how much larger the noise of its result is than that of its inputs.
        self.growth: dict[str, float] = {}

    def bounds(self, inputs: Mapping[str, Any]) -> dict[str, LikelyBound]:
        """Return bounds of the outputs, by name."""
        run = _Run(self, inputs)
        for _ in run.steps():
            run.note_noise()
        return run.outputs()

    def trace(
        self, inputs: Mapping[str, Any], seeds: Mapping[str, Array] | None = None, accept: Accept | None = None
    ) -> Generator[tuple[str, LikelyBound, Step], None, dict[str, LikelyBound]]:
        """Yield (value, bound, step) for every value as it is made, up to where a disturbed run goes another way.

        Args:
            inputs: the inputs.
            seeds: values of a reference by name. After its bound was yielded such a value is taken from there in all
                runs, so that what follows is judged as a segment of its own. It counts as rounded once: the reference
                may have gone on from what it was before it was stored.
            accept: says of a value and its bound whether it is taken from the seeds; by default all are.

        Returns:
            The bounds of the outputs, as `bounds` does.
        """
        run = _Run(self, inputs, self._checked(seeds))
        for step in run.steps():
            run.note_noise()
            begun = []
            for position, name in enumerate(step.outputs):
                bound = run.bound(position)
                if bound is not None:
                    yield name, bound, step
                    if name in run.seeds and (accept is None or accept(name, bound)):
                        begun.append(position)
            for position in begun:
                run.begin_again(position)
        return run.outputs()

    def _checked(self, seeds: Mapping[str, Array] | None) -> dict[str, Array]:
        given = {} if seeds is None else passed.mapping(seeds, passed.argument("seeds"))
        known = {name for step in walk(self.subject.steps) for name in step.outputs}
        for name in given:
            if name not in known:
                raise UsageError(
                    f"no step makes a value {passed.quoted(name)}",
                    where="seeds",
                    remedy=passed.did_you_mean(name, known) if passed.is_a(name, str) else "",
                )
        return {name: passed.array(value, passed.argument(f"seeds[{name!r}]")) for name, value in given.items()}

    @property
    def probability(self) -> float:
        """How often a value may be outside of its bounds."""
        return self._probability

    def amplifier(self) -> str:
        """Return the place of the step of the last run at which the relative noise grew most; empty if none did."""
        place = max(self.growth, key=lambda each: self.growth[each], default="")
        return place if max(self.noise.values(), default=0.0) > _ILL else ""


class _Run:
    """One base run and the disturbed ones, in lock-step."""

    def __init__(self, ensemble: Ensemble, inputs: Mapping[str, Any], seeds: Mapping[str, Array] | None = None) -> None:
        self._ensemble, self._subject, self.seeds = ensemble, ensemble.subject, seeds or {}
        self._turned = _Turned()
        self._local: _Local | None = None
        self._results: list[dict[str, Any]] = []
        self._left = ""
        given = self._given(inputs)
        changes = [self._base, *map(self._disturbing, range(RUNS)), self._plainly]
        traces: list[Trace] = [
            self._subject.trace({**values, **states}, change)
            for values, states, change in zip([*given, given[1]], ensemble._states, changes, strict=True)
        ]
        *self._traces, plain = traces
        self._plain = plain if any(step.op.kind in noise.FLAT for step in self._subject.steps) else None
        ensemble.noise.clear()
        ensemble.growth.clear()

    def _given(self, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the inputs of all runs; preprocessing disturbs those of images."""
        base, sizes = self._subject.inputs(inputs)
        if self._ensemble.rounded_inputs and self._subject.unit >= UNIT16:
            half = Rounding.of(np.float16)
            arrays = {name: x for name, x in base.items() if isinstance(x, np.ndarray) and (x != np.rint(x)).any()}
            found = {name: noise.stored_error(x, half) for name, x in arrays.items()}
            sizes = {**{name: error for name, error in found.items() if error is not None}, **sizes}
        given = [base]
        for run in range(RUNS):
            values = dict(base)
            for name, size in sizes.items():
                draws = Draws(self._ensemble._seed, name)
                values[name] = base[name] + size * Draws.of_run(draws.bits(base[name]), run)
            given.append(values)
        return given

    # ---- Running ----

    def steps(self) -> Iterator[Step]:
        """Run all in lock-step; yield each step that all have run, up to where one goes another way."""
        base, *others = self._traces
        while True:
            ended, event = _next(base)
            if ended is not None and not self._left:
                self._results.append(ended)
            if not self._left:
                self._follow(others, last=ended is not None)
            if ended is not None:
                if self._left and not self._results:
                    self._results = [ended]
                return
            if not self._left:
                yield event.step

    def _follow(self, others: Sequence[Trace], last: bool) -> None:
        """Let the disturbed runs take the step that the base has taken; note if one does not."""
        if self._plain is not None:
            try:
                next(self._plain, None)
            except (_TurnedError, RefCoreMLError):
                self._plain = None
        for run, other in enumerate(others):
            try:
                ended, _ = _next(other)
            except _TurnedError as turned:
                ended, self._left = None, str(turned)
            except RefCoreMLError as error:
                ended, self._left = None, error.where or (self._local.step.where if self._local else "")
            else:
                if (ended is not None) != last:
                    self._left = self._left or (self._local.step.where if self._local else "")
            if self._left:
                self._turned.runs[run] = True
                self._turned.where = self._turned.where or self._left
                for each in others:
                    each.close()
                return
            if ended is not None:
                self._results.append(ended)

    def _base(self, step: Step, inputs: Sequence[Any], outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Note what the step has made, and how large its errors are."""
        if self._left:
            return outputs
        storage = self._subject.storage(step)
        raw, outputs = outputs, tuple(map(self._subject.in_range, outputs, storage))
        draws = Draws(self._ensemble._seed, step.where)
        found = noise.usual_errors(step, inputs, outputs, self._subject.rounding, storage)
        errors = [
            [(error, draws.bits(y, error.shared, salt)) for salt, error in enumerate(each)]
            for y, each in zip(outputs, found, strict=True)
        ]
        jumps = noise.jumps(step, inputs, outputs)
        self._turned.names.update(name for name, jump in zip(step.outputs, jumps, strict=True) if jump)
        outputs = self._own(step, outputs)
        self._local = _Local(step, inputs, raw, [outputs], errors, jumps, draws)
        return outputs

    def _disturbing(self, run: int) -> Callable[[Step, Sequence[Any], tuple[Any, ...]], tuple[Any, ...]]:
        def change(step: Step, inputs: Sequence[Any], outputs: tuple[Any, ...]) -> tuple[Any, ...]:
            local = self._local
            if local is None or step is not local.step:
                raise _TurnedError(step.where)
            if any(local.jumps):
                outputs = self._decided(local, inputs, outputs, run)
            if step.op.kind in noise.FLAT:
                outputs = (local.at_kinks(inputs[0], outputs[0]),)
            made = self._disturbed(local, inputs, outputs, run)
            local.made.append(made)
            return made

        return change

    def _plainly(self, step: Step, inputs: Sequence[Any], outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Disturb as in the first disturbed run, but add nothing at flat sides and decisions."""
        local = self._local
        if local is None or step is not local.step:
            raise _TurnedError(step.where)
        made = self._disturbed(local, inputs, outputs, 0)
        local.plain = inputs, made
        return made

    def _disturbed(self, local: _Local, inputs: Sequence[Any], outputs: tuple[Any, ...], run: int) -> tuple[Any, ...]:
        """Return results with the errors of a run."""
        inner = noise.disturbed(local.step, inputs, self._subject.rounding, local.draws, run)
        made = tuple(self._moved(y, errors, run) for y, errors in zip(inner or outputs, local.errors, strict=True))
        return self._own(local.step, tuple(map(self._in_range, local.raw, made, self._subject.storage(local.step))))

    @staticmethod
    def _moved(y: Any, errors: Sequence[tuple[Error, Bits]], run: int) -> Any:
        for error, bits in errors:
            if bits.ndim != np.ndim(y) or any(n not in (1, m) for n, m in zip(bits.shape, y.shape, strict=True)):
                break  # another shape than in the base run, which is a finding of its own
            off = Draws.of_run(bits, run)
            if off.shape == y.shape and off.ndim:  # in place, since fresh memory costs more than the sum
                off *= error.size
                off += y
                y = off
            else:
                y = y + error.size * off
        return y

    def _in_range(self, base: Any, made: Any, storage: Rounding | None) -> Any:
        """Return a result with infinities where larger deviations pass the largest number, either way."""
        if not isinstance(made, np.ndarray) or made.dtype.kind != "f" or not made.size:
            return made
        large = (storage or self._subject.rounding).largest / 2
        if np.max(made) < large and np.min(made) > -large:
            return made
        found = self._subject.in_range(made, storage)
        if made.shape != np.shape(base):
            return found
        decided = self._subject.in_range(_amplified(base, made), storage)
        return np.where(np.isfinite(made) & (np.isinf(decided) | np.isinf(found)), decided, found)

    def _decided(self, local: _Local, inputs: Sequence[Any], outputs: tuple[Any, ...], run: int) -> tuple[Any, ...]:
        """Return results that jump as they are where deviations are larger, either way; note if they are others."""
        base, made = local.made[0], []
        for sign in (1, -1):
            larger = [_amplified(x, own, sign) for x, own in zip(local.inputs, inputs, strict=True)]
            made.append(local.step.stored(local.step.run(larger)))
        decided = tuple(map(_joined, base, *made))
        same = [not jump or _same(mine, other) for jump, mine, other in zip(local.jumps, decided, base, strict=True)]
        if all(same):
            return outputs
        self._turned.runs[run] = True
        self._turned.where = self._turned.where or local.step.where
        return tuple(mine if jump else own for jump, mine, own in zip(local.jumps, decided, outputs, strict=True))

    def _own(self, step: Step, outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return results of which those that may be taken from a reference share their memory with no others."""
        if self.seeds.keys().isdisjoint(step.outputs):
            return outputs
        return tuple(
            np.array(y) if name in self.seeds and isinstance(y, np.ndarray | np.generic) else y
            for name, y in zip(step.outputs, outputs, strict=True)
        )

    def begin_again(self, position: int) -> None:
        """Take a result of the current step from the reference in all runs, rounded once in those that are disturbed.

        Dimensions of length 1 may be more or fewer.
        """
        local = self._local
        assert local is not None
        step, base, name = local.step, local.made[0][position], local.step.outputs[position]
        if not isinstance(base, np.ndarray):
            return
        seed = self.seeds[name]
        if without_ones(seed.shape) != without_ones(base.shape):
            raise UsageError(f"seeds[{name!r}] has the shape {seed.shape}, the value {base.shape}", where=step.where)
        with np.errstate(invalid="ignore"):
            values = np.asarray(seed, base.dtype).reshape(base.shape)
        error = noise.stored_error(values, self._subject.recorded(step)[position])
        if error is not None:  # what every run makes alike is not rounded
            same = [_same_places(base, made[position]) for made in local.made[1:]]
            error = np.where(np.all(same, axis=0), 0.0, error)
        bits = local.draws.bits(values, salt=len(local.errors[position])) if error is not None else None
        plain = [(1, local.plain[1])] if local.plain[1] else []
        for run, made in (*enumerate(local.made), *plain):
            if made[position].shape != values.shape:
                continue  # another shape than in the base run, which is a finding of its own
            made[position][...] = values
            if run and error is not None and bits is not None:
                made[position][...] += error * Draws.of_run(bits, run - 1)

    # ---- What is found ----

    def note_noise(self) -> None:
        """Note how large the noise of the current step's first result is, relative to it."""
        assert self._local is not None
        if not self._local.step.outputs:
            return
        arrays = [_array(made[0]) for made in self._local.made]
        base = arrays[0]
        if base is None or base.dtype.kind != "f" or any(y is None or y.shape != base.shape for y in arrays):
            return
        every = max(1, base.size // _SAMPLE)
        sample = [np.ravel(y)[::every] for y in arrays if y is not None]
        with np.errstate(all="ignore"):
            offs, sizes = np.square(np.subtract(sample[1:], sample[0])), np.square(sample[0])
        known = np.isfinite(offs), np.isfinite(sizes)
        if not all(each.any() for each in known):
            return
        off, size = (float(np.mean(values, where=each)) for values, each in zip((offs, sizes), known, strict=True))
        if size > 0 or off > 0:
            step, noise = self._local.step, self._ensemble.noise
            before = max((noise[name] for name in step.inputs if name in noise), default=0.0)
            noise[step.outputs[0]] = float(np.sqrt(off / size)) if size else np.inf
            self._ensemble.growth[step.where] = noise[step.outputs[0]] / max(before, self._subject.unit)

    def bound(self, position: int) -> LikelyBound | None:
        """Return the bound of a result of the current step; None for values without numbers."""
        local = self._local
        assert local is not None
        values = [made[position] for made in local.made]
        bound = self._bound(local.step.where, values, jump=local.jumps[position])
        if bound is None or local.step.outputs[position] not in self.seeds:
            return bound
        return replace(bound, value=bound.value.copy())  # `begin_again` writes to the array

    def outputs(self) -> dict[str, LikelyBound]:
        """Return the bounds of all outputs, in their shapes."""
        found = {}
        for name, output in self._subject.outputs(self._results[0]).items():
            values = [self._subject.outputs(result)[name].value for result in self._results]
            if self._left:
                value = np.asarray(values[0], np.float64)
                open_ = np.full(value.shape, np.inf)
                bound = LikelyBound("", value, open_, open_, f"{self._left} may go another way")
            elif output.labels and output.label:
                bound = self._label(values)
            else:
                made = self._bound("", values, jump=output.source in self._turned.names)
                assert made is not None
                bound = _finished(made, output.feature, narrow=self._subject.unit >= UNIT16)
            found[name] = replace(bound, labels=output.labels)
        return found

    def _label(self, values: Sequence[Doubles]) -> LikelyBound:
        """Return the place of the largest score, undetermined if larger deviations make it another one."""
        places = [int(np.argmax(_amplified(values[0], scores, sign))) for scores in values for sign in (1, -1)]
        sure = len(set(places)) == 1
        radius = np.asarray(0.0 if sure else np.inf)
        return LikelyBound("", np.asarray(float(places[0])), radius, radius, "" if sure else "scores are too close")

    def _bound(self, where: str, values: Sequence[Any], *, jump: bool) -> LikelyBound | None:
        arrays = [_array(value) for value in values]
        base = arrays[0]
        if base is None:
            return None
        value = np.asarray(base, np.float64)
        reason = f"depends on {self._turned.where}, where rounding may decide" if self._turned.where else ""
        if any(y is None or y.shape != base.shape for y in arrays):
            unknown = np.full(value.shape, np.inf)
            return LikelyBound(where, value, unknown, unknown, reason or "its shape depends on rounding")
        others = [np.asarray(y, np.float64) for y in arrays[1:]]
        with np.errstate(all="ignore"):
            off = [_deviations(value, other) for other in others]
        open_ = np.zeros(value.shape, bool)
        if jump:
            open_ = np.any(off, axis=0)
        elif self._turned.where:
            open_ = self._dependent(off)
        if open_.any():
            off = [np.where(open_, np.inf, each) for each in off]
        deviation, degrees = moderated(off)
        slack = 1 + _SLACK * degrees / (degrees + RUNS)
        radius = slack * deviation * factor(self._ensemble.probability, degrees, value.size)
        undetermined = bool(np.isinf(deviation).any())
        return LikelyBound(where, value, deviation, radius, (reason or "is not finite in all runs") * undetermined)

    def _dependent(self, off: Sequence[Doubles]) -> NDArray[np.bool_]:
        """Return where numbers differ because of a decision, not of rounding, as far as runs without it tell."""
        turned = self._turned.runs
        if (~turned).sum() < 2:
            return np.zeros(off[0].shape, bool)
        squares = [np.square(each) for each in off]
        usual = np.mean([each for each, other in zip(squares, turned, strict=True) if not other], axis=0)
        most = np.max([each for each, other in zip(squares, turned, strict=True) if other], axis=0)
        typical = float(np.median(usual[usual > 0])) if (usual > 0).any() else 0.0
        found: NDArray[np.bool_] = most > _DEPENDENT**2 * np.maximum(usual, typical)
        return found


def _finished(bound: LikelyBound, feature: Feature, *, narrow: bool) -> LikelyBound:
    """Return the bound of what the conversion to the output's type makes of a value."""
    cut, radius = feature.cut, bound.radius
    if cut is not None:
        value = np.asarray(cut(bound.value), np.float64)
        with np.errstate(invalid="ignore"):
            low, high = (np.asarray(cut(bound.value + sign * radius), np.float64) for sign in (-1, 1))
        radius = np.where(np.isfinite(radius), np.maximum(np.abs(high - value), np.abs(low - value)), radius)
        return replace(bound, value=value, radius=radius)
    if feature.half and not narrow:
        held = Rounding.of(np.float16).holds(bound.value) & (radius == 0)
        return replace(bound, radius=radius + np.where(held, 0.0, UNIT16 * np.abs(bound.value)))
    return bound


def _next(trace: Trace) -> tuple[dict[str, Any] | None, Any]:
    """Return the outputs at the end, else the event."""
    try:
        return None, next(trace)
    except StopIteration as end:
        return end.value, None


def _array(value: Any) -> Array | None:
    """Return the numbers of a value; None if it has none."""
    array = np.asarray(getattr(value, "array", value))
    return array if array.dtype.kind in "biuf" else None


def _deviations(base: Doubles, other: Doubles) -> Doubles:
    """Return deviations: 0 for the same infinities and NaN, infinite for others."""
    off = np.asarray(other - base)
    undefined = ~np.isfinite(off)
    if undefined.any():
        same = (base == other) | (np.isnan(base) & np.isnan(other))
        off = np.where(same, 0.0, np.where(undefined, np.inf, off))
    return off


def _amplified(base: Any, own: Any, sign: int = 1) -> Any:
    """Return a float that deviates more, in the same or the other direction; other values as they are."""
    if not isinstance(base, np.ndarray) or base.dtype.kind != "f" or base.shape != np.shape(own):
        return own
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(base) & np.isfinite(own), base + sign * _DECISIVE * (own - base), own)


def _joined(base: Any, one: Any, other: Any) -> Any:
    """Return the decisions of two runs: in each place that of the run which decides in another way than the base."""
    if _same(base, one):
        return other
    return np.where(one == base, other, one) if np.shape(base) == np.shape(one) == np.shape(other) else one


def _at_kinks(local: _Local, off: Doubles, made: Array) -> Array:
    """Return a result that deviates also where the input is on the flat side, but near its end.

    A ReLU of a number that is negative by less than its noise may be positive in an honest run, though in none of six.
    So it deviates there by what larger deviations ``off``, either way, make of it, divided by how much larger they are;
    with either sign, so that such deviations do not add up in sums.
    """
    base, y = local.inputs[0], local.raw[0]
    near = np.flatnonzero(np.abs(off) > local.to_end)
    near = near[made.take(near) == y.take(near)]
    base, y, off = (each.take(near) for each in (base, y, off))
    ends = [np.asarray(local.flat.run(base + sign * off)) for sign in (-1, 1)]
    made = np.array(made, order="C")
    made.reshape(-1)[near] = y + np.copysign(((ends[0] - y) + (ends[1] - y)) / _NEAR, off)
    return made


def _same_places(one: Array, other: Array) -> NDArray[np.bool_]:
    """Return where numbers are the same; nowhere if there are others."""
    if one.shape != other.shape:
        return np.zeros(one.shape, bool)
    same: NDArray[np.bool_] = (one == other) | (np.isnan(one) & np.isnan(other))
    return same


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.shape != other.shape:
            return False
        return bool((_same_places(one, other) if one.dtype.kind == "f" else one == other).all())
    return True
