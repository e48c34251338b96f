"""What a converter may make of a source's parameters, computed again in double precision.

A converter folds batch norms, scales and shifts into the weights and biases of convolutions and linear layers. Which
operators follow which is in what a torch module computes, so that the folded numbers follow from its parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from refcoreml.oracle.balls import Doubles
from refcoreml.testing.torch_modules import Parameter, Recorded, Result

__all__ = ["Derived", "derived_constants"]


@dataclass(frozen=True)
class Derived:
    """What a converter may make of parameters.

    Attributes:
        label: what it is, in words.
        values: the numbers.
        terms: the sums of the magnitudes of their terms, to which roundings are relative.
        defect: which known defect of the converter makes them, if they are wrong, see `DEFECTS`.
        scattered: whether a converter cuts them and puts them together in another order.
    """

    label: str
    values: Doubles
    terms: Doubles
    defect: str = ""
    scattered: bool = False


@dataclass(frozen=True)
class _Affine:
    """A value of the source that is linear in another one but for a factor and a shift for each channel.

    Attributes:
        label: the parameters that are in it.
        weights: those of the convolution or product, as they are.
        transposed: how many groups a transposed convolution has; 0 for others, whose first axis is that of channels.
        factor, shift, terms: for each channel; the magnitudes of the shift's terms.
        axis: that of the channels in the value.
        negated: the shift with what is subtracted added instead, as a known defect has it; None if nothing is.
    """

    label: str
    weights: Doubles
    transposed: int
    factor: Doubles
    shift: Doubles
    terms: Doubles
    axis: int
    negated: Doubles | None = None

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
        if self.negated is not None:
            yield Derived(f"bias of {self.label}", self.negated, self.terms, "convolution minus constant")
        if self.transposed > 1:
            turned = self.weights.swapaxes(0, 1)
            rows = turned.reshape(len(self.factor), -1) * self.factor[:, None]
            wrong = rows.reshape(turned.shape).swapaxes(0, 1)
            yield Derived(f"weights of {self.label}", wrong, np.abs(wrong), "transposed convolution in groups")

    def then(self, label: str, factor: Doubles, shift: Doubles, terms: Doubles, off: Any = None) -> _Affine:
        """Return this times a factor, plus a shift, in which ``off`` is subtracted."""
        size = np.abs(factor)
        before = self.shift if self.negated is None else self.negated
        negated = None if self.negated is None and off is None else before * factor + shift
        return replace(
            self,
            label=f"{self.label} and {label}",
            factor=self.factor * factor,
            shift=self.shift * factor + shift,
            terms=self.terms * size + terms,
            negated=negated if negated is None or off is None else negated + 2 * off,
        )


def derived_constants(recorded: Sequence[Recorded]) -> list[Derived]:
    """Return what a converter may make of the parameters of a source, from what it computed."""
    found: list[Derived] = []
    forms: dict[int, _Affine] = {}
    for place, item in enumerate(recorded):
        if not item.computed:  # such as a mask that the source makes anew
            found.append(Derived(f"a result of {item.name}", item.values, np.abs(item.values)))
        for given in item.arguments:
            if isinstance(given, Parameter):
                found.append(Derived(given.name or "a constant", given.values, np.abs(given.values)))
            elif isinstance(given, float):  # such as an epsilon
                found.append(Derived(f"a number of {item.name}", np.array(given), np.abs(given)))
        form = _affine(item, forms)
        if form is not None:
            forms[place] = form
            found.extend(form.derived())
    return [*found, *_sums_of_biases(recorded)]


def _sums_of_biases(recorded: Sequence[Recorded]) -> Iterator[Derived]:
    """Yield the sums of two biases of one module.

    A recurrent one has one for its input and one for its state; as both products are added, a converter keeps the sum.
    """
    biases: dict[str, dict[str, Parameter]] = {}
    for item in recorded:
        if item.name.startswith(("aten.addmm", "aten.add.", "aten.add_.")):
            for each in item.arguments:
                if isinstance(each, Parameter) and each.values.ndim == 1:
                    biases.setdefault(each.name.rpartition(".")[0], {})[each.name] = each
    pairs = (pair for module, own in biases.items() if module for pair in combinations(own.values(), 2))
    for one, other in pairs:
        if one.values.shape == other.values.shape:
            terms = np.abs(one.values) + np.abs(other.values)
            yield Derived(f"{one.name} + {other.name}", one.values + other.values, terms, scattered=True)


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
    return before.then(label, factor, shift - off, np.abs(shift) + np.abs(off), off)


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
    if name == "add":
        return before.then(label, zeros + 1, numbers, np.abs(numbers))
    return before.then(label, zeros + 1, -numbers, np.abs(numbers), numbers)
