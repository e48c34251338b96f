"""Which weights to quantize: predicates of a `WeightTensor` that combine with ``&``, ``|`` and ``~``.

Any other callable that takes a `WeightTensor` will do as well::

    quantize_weights(model, 4, "kmeans", selector=matrices & ~by_name("head*") & at_least(count=4096))
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from refcoreml import values
from refcoreml.errors import CallbackError, RefCoreMLError, UsageError
from refcoreml.quantization.tensors import WeightTensor

_LONGEST_PATTERN = 10_000

__all__ = ["Selector", "at_least", "at_most", "by_field", "by_kind", "by_name", "everything", "matrices", "parse"]


class Selector:
    """A predicate of weights.

    Attributes:
        chooses: the function that decides.
    """

    def __init__(self, chooses: Callable[[WeightTensor], bool]) -> None:
        self.chooses = chooses

    def __call__(self, tensor: WeightTensor) -> bool:
        """Return whether the tensor is chosen; raise `CallbackError` if a function of the user's cannot say."""
        try:
            return bool(self.chooses(tensor))
        except RefCoreMLError:
            raise
        except Exception as error:
            raise CallbackError(f"the selector failed: {values.reason(error)}", where=tensor.where) from error

    def __and__(self, other: Callable[[WeightTensor], bool]) -> Selector:
        _check_callable(other)
        return Selector(lambda tensor: self(tensor) and other(tensor))

    def __or__(self, other: Callable[[WeightTensor], bool]) -> Selector:
        _check_callable(other)
        return Selector(lambda tensor: self(tensor) or other(tensor))

    def __invert__(self) -> Selector:
        return Selector(lambda tensor: not self(tensor))


def _check_callable(selector: Any) -> None:
    if not callable(selector):
        raise UsageError(f"got {values.shown(selector)}, expected a function of a tensor", where="selector")


everything = Selector(lambda tensor: True)
#: Matrices and kernels; not vectors, such as biases and the parameters of normalizations.
matrices = Selector(lambda tensor: len(tensor.shape) > 1)


def by_kind(*kinds: str) -> Selector:
    """Select weights of layers of these types, such as ``convolution``, as the schema calls them."""
    chosen = frozenset(values.texts(kinds, values.argument("kinds")))
    return Selector(lambda tensor: tensor.kind in chosen)


def by_name(*patterns: str) -> Selector:
    """Select weights of layers whose name fits a pattern, in which ``*`` and ``?`` stand for any characters."""
    matches = _any_of(patterns)
    return Selector(lambda tensor: matches(tensor.layer))


def by_field(*patterns: str) -> Selector:
    """Select weights in fields whose name fits a pattern, such as ``weights`` or ``*RecursionMatrix``."""
    matches = _any_of(patterns)
    return Selector(lambda tensor: matches(tensor.field))


def _any_of(patterns: Sequence[str]) -> Callable[[str], bool]:
    refuse = values.argument("patterns")
    checked = values.texts(patterns, refuse)
    if any(len(pattern) > _LONGEST_PATTERN for pattern in checked):
        raise refuse(f"a pattern has more than {_LONGEST_PATTERN} characters")
    return lambda name: any(fnmatchcase(name, pattern) for pattern in checked)


def at_least(*, count: int = 0, channels: int = 0) -> Selector:
    """Select tensors of at least so many weights and output channels."""
    values.integer(count, values.argument("count"))
    values.integer(channels, values.argument("channels"))
    return Selector(lambda tensor: tensor.count >= count and tensor.channels >= channels)


def at_most(*, count: float = float("inf"), channels: float = float("inf")) -> Selector:
    """Select tensors of at most so many weights and output channels."""
    values.number(count, values.argument("count"))
    values.number(channels, values.argument("channels"))
    return Selector(lambda tensor: tensor.count <= count and tensor.channels <= channels)


_TERM = re.compile(r"\s*(kind|name|field|count|channels)\s*(!=|>=|<=|=)\s*(.+?)\s*")


def parse(text: str) -> Selector:
    """Read a selector: ``matrices``, or ``kind``, ``name``, ``field``, ``count``, ``channels`` with a comparison.

    ``kind=convolution,innerProduct``, ``name!=head*``, ``field=weights``, ``count>=4096``, ``channels<=16``.

    Raises:
        UsageError: the text is none of these.
    """
    text = values.text(text, values.argument("selector"))
    if len(text) > _LONGEST_PATTERN:
        raise UsageError(f"has more than {_LONGEST_PATTERN} characters", where="selector")
    if text.strip() == "matrices":
        return matrices
    match = _TERM.fullmatch(text)
    if match is not None:
        subject, comparison, value = match.groups()
        if subject in ("kind", "name", "field") and comparison in ("=", "!="):
            made = {"kind": by_kind, "name": by_name, "field": by_field}[subject](*re.split(r"\s*,\s*", value))
            return made if comparison == "=" else ~made
        if subject in ("count", "channels") and comparison in (">=", "<=") and value.isdecimal():
            return (at_least if comparison == ">=" else at_most)(**{subject: int(value)})
    raise UsageError(
        f"cannot read the selector {text!r}",
        remedy="Write matrices, kind=convolution, name!=head*, field=weights, count>=4096 or channels<=16",
    )
