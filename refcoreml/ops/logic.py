"""Questions about each element, answered with true or false: comparisons and logic.

Inputs broadcast as in NumPy. A number is true where it is not 0: NaN is true, differs from every number and from
itself, and is neither less nor greater.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import elementwise as kernels
from refcoreml.ops.base import Combination, Elementwise

_ALL = "fiub"
_BOOL = np.dtype(bool)


@dataclass(frozen=True)
class _Question(Combination):
    """What they have in common.

    Attributes:
        result: the type of the answers; None for that of the inputs, with 1 for true and 0 for false.
    """

    result: np.dtype[Any] | None = _BOOL

    kinds = _ALL


@dataclass(frozen=True)
class Equal(_Question):
    """y = true where a = b."""

    function = np.equal
    definition = definitions.equal


@dataclass(frozen=True)
class NotEqual(_Question):
    """y = true where a and b differ."""

    function = np.not_equal
    definition = definitions.not_equal


@dataclass(frozen=True)
class Less(_Question):
    """y = true where a < b."""

    function = np.less
    definition = definitions.less


@dataclass(frozen=True)
class LessEqual(_Question):
    """y = true where a <= b."""

    function = np.less_equal
    definition = definitions.less_equal


@dataclass(frozen=True)
class Greater(_Question):
    """y = true where a > b."""

    function = np.greater
    definition = definitions.greater


@dataclass(frozen=True)
class GreaterEqual(_Question):
    """y = true where a >= b."""

    function = np.greater_equal
    definition = definitions.greater_equal


@dataclass(frozen=True)
class LogicalAnd(_Question):
    """y = true where a and b are true."""

    function = np.logical_and
    definition = definitions.logical_and


@dataclass(frozen=True)
class LogicalOr(_Question):
    """y = true where a or b is true."""

    function = np.logical_or
    definition = definitions.logical_or


@dataclass(frozen=True)
class LogicalXor(_Question):
    """y = true where one of a and b is true and the other is not."""

    function = np.logical_xor
    definition = definitions.logical_xor


@dataclass(frozen=True)
class LogicalNot(Elementwise):
    """y = true where x is false.

    Attributes:
        result: the type of the answers; None for that of x, with 1 for true and 0 for false.
    """

    result: np.dtype[Any] | None = _BOOL

    kinds = _ALL
    kernel = staticmethod(kernels.logical_not)
    definition = definitions.logical_not
