"""Constants that a converter computed from a source's parameters, computed again in double precision.

A converter folds batch norms, scales and shifts into the weights and biases of convolutions and linear layers. Which
operators follow which is in what a torch module computes, so that the folded numbers follow from its parameters. A
constant of the model that is one of them but for a few roundings stands for it: in double precision the model is run
with the numbers that it stands for. One of which most numbers are so, and some are not, is a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from refcoreml.oracle.balls import Doubles
from refcoreml.testing.defects import DEFECTS
from refcoreml.testing.rounding import UNIT32, Constants, content_of
from refcoreml.testing.shaking import LEAST16, UNIT16, Stored
from refcoreml.testing.torch_modules import Parameter, Recorded, Result
from refcoreml.types import without_ones

__all__ = ["Derived", "Verified", "derived_constants", "verify"]

#: So many roundings to single precision a folded number has seen, in terms of what it is the sum of.
_ROUNDINGS = 8
#: A constant is taken for a faulty copy if such a part of its numbers, and so many of them, are right.
_ESTABLISHED, _LEAST = 3 / 4, 3
#: So many numbers are compared first, and more than that only if such a part of them is right.
_SAMPLE, _LIKELY = 64, 1 / 2


@dataclass(frozen=True)
class Derived:
    """What a converter may make of parameters.

    Attributes:
        label: what it is, in words.
        values: the numbers.
        terms: the sums of the magnitudes of their terms, to which roundings are relative.
        defect: which known defect of the converter makes them, if they are wrong, see `DEFECTS`.
    """

    label: str
    values: Doubles
    terms: Doubles
    defect: str = ""


@dataclass(frozen=True)
class _Affine:
    """A value of the source that is linear in another one but for a factor and a shift for each channel.

    Attributes:
        label: the parameters that are in it.
        weights: those of the convolution or product, as they are.
        transposed: how many groups a transposed convolution has; 0 for others, whose first axis is that of channels.
        factor, shift, terms: for each channel; the magnitudes of the shift's terms.
        axis: that of the channels in the value.
    """

    label: str
    weights: Doubles
    transposed: int
    factor: Doubles
    shift: Doubles
    terms: Doubles
    axis: int

    def scaled(self) -> Doubles:
        """Return the weights times the factor."""
        rest = (1,) * (self.weights.ndim - 2)
        if not self.transposed:
            return self.weights * self.factor.reshape(-1, 1, *rest)
        by_group = self.factor.reshape(self.transposed, -1)
        rows = len(self.weights) // self.transposed
        return self.weights * np.repeat(by_group, rows, axis=0).reshape(*self.weights.shape[:2], *rest)

    def derived(self) -> Iterator[Derived]:
        """Yield weights and bias."""
        weights = self.scaled()
        yield Derived(f"weights of {self.label}", weights, np.abs(weights))
        yield Derived(f"bias of {self.label}", self.shift, self.terms)
        if self.transposed > 1:
            turned = self.weights.swapaxes(0, 1)
            rows = turned.reshape(len(self.factor), -1) * self.factor[:, None]
            wrong = rows.reshape(turned.shape).swapaxes(0, 1)
            yield Derived(f"weights of {self.label}", wrong, np.abs(wrong), "transposed convolution in groups")

    def then(self, label: str, factor: Doubles, shift: Doubles, terms: Doubles) -> _Affine:
        """Return this times a factor, plus a shift."""
        size = np.abs(factor)
        return replace(
            self,
            label=f"{self.label} and {label}",
            factor=self.factor * factor,
            shift=self.shift * factor + shift,
            terms=self.terms * size + terms,
        )


def derived_constants(recorded: Sequence[Recorded]) -> list[Derived]:
    """Return what a converter may make of the parameters of a source, from what it computed."""
    found: list[Derived] = []
    forms: dict[int, _Affine] = {}
    for place, item in enumerate(recorded):
        for given in item.arguments:
            if isinstance(given, Parameter) and given.values.ndim:
                found.append(Derived(given.name or "a constant", given.values, np.abs(given.values)))
        form = _affine(item, forms)
        if form is not None:
            forms[place] = form
            found.extend(form.derived())
    return found


def _affine(item: Recorded, forms: Mapping[int, _Affine]) -> _Affine | None:
    """Return the form of a result, if it has one."""
    name, given = item.name.removeprefix("aten.").split(".")[0], list(item.arguments)
    if name == "convolution":
        return _convolution(given)
    if name in ("addmm", "mm"):
        return _product(given if name == "addmm" else [None, *given])
    before = _form_of(given[:1], forms)
    if before is None and name in ("mul", "add"):
        before = _form_of(given[1:2], forms)
        given[:2] = given[1::-1]
    if before is None:
        return None
    if name in ("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"):
        return _normalized(before, given)
    if name in ("mul", "add", "sub", "div"):
        return _shifted(before, name, given, item.values.ndim)
    if name in ("view", "_unsafe_view", "unsqueeze", "squeeze", "clone", "detach", "alias"):
        same = before.axis == -1 and item.values.ndim and item.values.shape[-1] == len(before.factor)
        return before if same or name in ("clone", "detach", "alias") else None
    return None


def _form_of(given: Sequence[object], forms: Mapping[int, _Affine]) -> _Affine | None:
    return next((forms.get(each.place) for each in given if isinstance(each, Result)), None)


def _convolution(given: Sequence[object]) -> _Affine | None:
    weights, bias, transposed, groups = given[1], given[2], given[6], given[8]
    if not isinstance(weights, Parameter) or not isinstance(groups, int):
        return None
    channels = weights.values.shape[1] * groups if transposed else weights.values.shape[0]
    return _linear(weights, bias, channels, groups if transposed else 0, axis=1)


def _product(given: Sequence[object]) -> _Affine | None:
    bias, _, weights = given[:3]
    if not isinstance(weights, Parameter) or weights.values.ndim != 2:
        return None
    turned = Parameter(weights.name, weights.values.T)
    return _linear(turned, bias, turned.values.shape[0], 0, axis=-1)


def _linear(weights: Parameter, bias: object, channels: int, transposed: int, axis: int) -> _Affine | None:
    shift = np.zeros(channels)
    label = weights.name or "a product"
    if isinstance(bias, Parameter):
        if bias.values.shape != (channels,):
            return None
        shift = bias.values
    elif bias is not None:
        return None
    return _Affine(label, weights.values, transposed, np.ones(channels), shift, np.abs(shift), axis)


def _normalized(before: _Affine, given: Sequence[object]) -> _Affine | None:
    gamma, beta, mean, variance = given[1:5]
    epsilon = given[-1]
    if not isinstance(mean, Parameter) or not isinstance(variance, Parameter) or not isinstance(epsilon, float):
        return None
    if len(mean.values) != len(before.factor):
        return None
    factor = 1 / np.sqrt(variance.values + epsilon)
    if isinstance(gamma, Parameter):
        factor = factor * gamma.values
    shift = beta.values if isinstance(beta, Parameter) else np.zeros(len(factor))
    label = mean.name.rpartition(".")[0] or "a batch norm"
    off = mean.values * factor
    return before.then(label, factor, shift - off, np.abs(shift) + np.abs(off))


def _shifted(before: _Affine, name: str, given: Sequence[object], rank: int) -> _Affine | None:
    """Return a form times, plus or minus numbers of which there is one, or one for each channel."""
    if len(given) != 2:  # with a factor alpha of its own
        return None
    other = given[1]
    label = "a number"
    if isinstance(other, Parameter):
        values, label = other.values, other.name or "a constant"
        axis = before.axis % rank
        shape = (1,) * (rank - values.ndim) + values.shape
        if values.ndim > rank or any(length != 1 for place, length in enumerate(shape) if place != axis):
            return None
        if shape[axis] not in (1, len(before.factor)):
            return None
        numbers = np.broadcast_to(values.reshape(-1), before.factor.shape)
    elif isinstance(other, (int, float)):
        numbers = np.full(before.factor.shape, float(other))
    else:
        return None
    zeros = np.zeros(numbers.shape)
    with np.errstate(all="ignore"):
        if name in ("mul", "div"):
            return before.then(label, numbers if name == "mul" else 1 / numbers, zeros, zeros)
    return before.then(label, zeros + 1, numbers if name == "add" else -numbers, np.abs(numbers))


# ---- What is stored ----


@dataclass(frozen=True)
class Verified:
    """What was found of the constants of a model.

    Attributes:
        constants: how far they may be from the source: those that are explained, not at all.
        count: how many numbers are explained.
        findings: constants that are faulty copies, in sentences.
        names: the layers or operations that have them.
    """

    constants: Constants
    count: int = 0
    findings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def verify(stored: Sequence[Stored], derived: Sequence[Derived], constants: Constants) -> Verified:
    """Compare the constants of a model with what a converter may have made of the source's parameters."""
    by_size: dict[int, list[Derived]] = {}
    for made in derived:
        by_size.setdefault(made.values.size, []).append(made)
    stands: dict[bytes, Doubles] = {}
    findings: list[str] = []
    names: list[str] = []
    count = 0
    for each in stored:
        content = content_of(each.values)
        if content in stands or (not each.half and constants.is_exact(each.values)):
            continue
        made_so = by_size.get(each.values.size, [])
        forms = [form for turned in (False, True) for made in made_so for form in _forms(made, each, turned)]
        forms = [form for form in forms if form.right(form.sample).mean() >= _LIKELY]
        right = next((form for form in forms if form.right().all()), None)
        if right is not None and right.defect:
            defect = DEFECTS[right.defect]
            findings.append(
                f"{each.owner}, whose {each.field} are the {right.label}, folded wrongly\nknown defect of the "
                f"converter, {right.defect}: {defect.title} ({defect.why})"
            )
        elif right is not None:
            stands[content] = right.values
            count += each.values.size
        else:
            findings.extend(_finding(each, forms))
        names += [each.name] * (len(findings) - len(names))
    return Verified(replace(constants, stands=stands), count, tuple(findings), tuple(names))


@dataclass(frozen=True)
class _Form:
    """A constant beside what it may be, in its shape."""

    stored: Stored
    label: str
    values: Doubles
    terms: Doubles
    defect: str

    @property
    def sample(self) -> slice:
        """Some places, to look at first."""
        return slice(None, None, max(1, self.values.size // _SAMPLE))

    def allowed(self, places: slice = slice(None)) -> Doubles:
        """Return how far each number may be off, in the order in which they lie."""
        allowed: Doubles = _ROUNDINGS * UNIT32 * self.terms.reshape(-1)[places]
        return allowed + UNIT16 * np.abs(self.values.reshape(-1)[places]) + LEAST16 if self.stored.half else allowed

    def right(self, places: slice = slice(None)) -> NDArray[np.bool_]:
        """Return which numbers are the same but for rounding."""
        mine, other = (array.reshape(-1)[places] for array in (self.stored.values, self.values))
        with np.errstate(invalid="ignore"):
            same: NDArray[np.bool_] = (np.abs(mine - other) <= self.allowed(places)) | (mine == other)
        return same

    def telling(self) -> int:
        """Return how many numbers are right that are so by no chance."""
        scaled = self.values.reshape(-1) * 1024
        return int((self.right() & (scaled != np.rint(scaled))).sum())


def _forms(made: Derived, stored: Stored, turned: bool) -> Iterator[_Form]:
    """Yield numbers in the shape of a constant: as they lie, or with axes in another order."""
    shape = stored.values.shape
    wanted, short = without_ones(shape), without_ones(made.values.shape)
    orders: Iterable[tuple[int, ...]] = permutations(range(len(short))) if turned and len(wanted) > 1 else ()
    for axes in orders if turned else [tuple(range(len(short)))]:
        if not turned or (axes != tuple(range(len(short))) and tuple(short[axis] for axis in axes) == wanted):
            values, terms = (part.reshape(short).transpose(axes).reshape(shape) for part in (made.values, made.terms))
            yield _Form(stored, made.label, values, terms, made.defect)


def _finding(stored: Stored, forms: Sequence[_Form]) -> Iterator[str]:
    """Yield what is off in a constant most numbers of which are right; zeros and ones are right by chance."""
    forms = [form for form in forms if not form.defect]
    best = max(forms, key=lambda form: form.telling(), default=None)
    if best is None or best.telling() < max(_LEAST, _ESTABLISHED * stored.values.size):
        return
    numbers, right = stored.values.reshape(-1), best.right()
    off = np.where(right, 0.0, np.abs(numbers - best.values.reshape(-1)))
    worst = int(off.argmax())
    where = [int(index) for index in np.unravel_index(worst, stored.values.shape)]
    yield (
        f"{stored.owner}, whose {stored.field} at {where} is {numbers[worst]:.9g}, expected "
        f"{best.values.reshape(-1)[worst]:.9g} as in {best.label}, off by {off[worst]:.3g}, allowed "
        f"{best.allowed()[worst]:.3g} ({int((~right).sum())} of {right.size} numbers)"
    )
