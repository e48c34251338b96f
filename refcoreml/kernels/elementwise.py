"""Arithmetic place by place: affine maps, unary functions, sums and extrema of several arrays.

Functions with ``out`` write there if it is given; ``out`` may be ``x`` itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from refcoreml.kernels import integers
from refcoreml.kernels.threads import for_each, scratch
from refcoreml.types import Array, Shape

#: Numbers in a block of `by_blocks`. A few such blocks stay in the second-level cache, and a step on one takes so long
#: (10 microseconds) that threads seldom wait for the interpreter's lock, which each needs between two steps.
_BLOCK = 1 << 16


def like(value: float | Array, x: Array) -> Array:
    """Return the number or array in the type of x, so that no arithmetic with x leaves that type."""
    return np.asarray(value, x.dtype)


def in_double(function: np.ufunc, x: Array, *rest: Array, out: Array | None = None) -> Array:
    """function(x, *rest), each value computed in double precision and rounded once to the type of x.

    For functions that NumPy's vectorised single precision gives less exactly, and differently on each processor:
    ``exp`` within 2.5 ulp, ``log`` within 3.9, with AVX-512 most others within 4. NumPy converts block by block,
    without a large temporary.

    x: [*D] float. Returns [*D] in the type of x.
    """
    y: Array = function(x, *rest, out=np.empty_like(x) if out is None else out, dtype=np.float64, casting="same_kind")
    return y


def affine(x: Array, scale: float | Array, shift: float | Array, *, out: Array | None = None) -> Array:
    """y = scale * x + shift, the product rounded before the sum.

    x: [*D] float; scale, shift: numbers, or arrays that broadcast to [*D]. Returns [*D] in the type of x.
    """
    y: Array = np.multiply(x, like(scale, x), out=out)
    y += like(shift, x)
    return y


def scale(x: Array, factor: Array | None, bias: Array | None, *, out: Array | None = None) -> Array:
    """y = factor * x + bias, with arrays that broadcast to [*D]; None for a factor of 1, and for a bias of 0."""
    if bias is None:
        return np.positive(x, out=out) if factor is None else np.multiply(x, like(factor, x), out=out)
    return np.add(x, like(bias, x), out=out) if factor is None else affine(x, factor, bias, out=out)


def exp(x: Array, *, out: Array | None = None) -> Array:
    """y = e^x."""
    return in_double(np.exp, x, out=out)


def exp2(x: Array, *, out: Array | None = None) -> Array:
    """y = 2^x; of integers as `integers.power` has it."""
    if x.dtype.kind == "f":
        return in_double(np.exp2, x, out=out)
    return integers.power(like(2, x), x, out=out)


def log(x: Array, epsilon: float = 0.0, *, out: Array | None = None) -> Array:
    """y = ln(x + epsilon): -Inf at -epsilon, NaN below."""
    return by_blocks(lambda v: np.log(v + epsilon), x, out=out) if epsilon else in_double(np.log, x, out=out)


def inverse(x: Array, epsilon: float, *, out: Array | None = None) -> Array:
    """y = 1 / (x + epsilon)."""
    y: Array = np.add(x, like(epsilon, x), out=out)
    return np.divide(like(1, x), y, out=y)


def inverse_sqrt(x: Array, epsilon: float, *, out: Array | None = None) -> Array:
    """y = 1 / sqrt(x + epsilon): Inf at -epsilon, NaN below."""
    y: Array = np.add(x, like(epsilon, x), out=out)
    np.sqrt(y, out=y)
    return np.divide(like(1, x), y, out=y)


def power(x: Array, alpha: float | Array, *, out: Array | None = None) -> Array:
    """y = x^alpha: NaN for a negative base with a fractional exponent; x^0 and 1^alpha are 1.

    Of integers as `integers.power` has it. Where alpha is an array that makes x broadcast, ``out`` must be given.
    """
    if np.ndim(alpha) == 0 and alpha == 2:
        return np.square(x, out=out)
    if x.dtype.kind != "f":
        return integers.power(x, like(alpha, x), out=out)
    return in_double(np.power, x, like(alpha, x), out=out)


def divide(a: Array, b: Array, *, out: Array | None = None) -> Array:
    """y = a / b; of integers as `integers.divide` has it."""
    return np.divide(a, b, out=out) if a.dtype.kind == "f" else integers.divide(a, b, out=out)


def floor_divide(a: Array, b: Array, *, out: Array | None = None) -> Array:
    """y = the largest integer that is not above a / b; of integers 0 for b = 0."""
    return np.floor_divide(a, b, out=out) if a.dtype.kind == "f" else integers.floor_divide(a, b, out=out)


def remainder(a: Array, b: Array, *, out: Array | None = None) -> Array:
    """y = a - b * floor(a / b); of integers 0 for b = 0."""
    return np.remainder(a, b, out=out) if a.dtype.kind == "f" else integers.remainder(a, b, out=out)


def cast(x: Array, dtype: np.dtype[Any]) -> Array:
    """Return the numbers of x in another type, a view or x itself where they need no change.

    To booleans whether they differ from 0 (NaN does); to integers as `integers.saturate` has it; to floats the nearest,
    Inf and -Inf beyond the largest.
    """
    if x.dtype == dtype:
        return x
    if dtype.kind in "iu":
        return integers.saturate(x, dtype)
    with np.errstate(over="ignore"):
        return x != 0 if dtype.kind == "b" else x.astype(dtype)


def threshold(x: Array, alpha: float, *, out: Array | None = None) -> Array:
    """y = max(alpha, x). NaN stays NaN."""
    if x.dtype.kind != "f":
        return np.maximum(x, like(alpha, x), out=out)
    return np.clip(x, like(alpha, x), like(np.inf, x), out=out)


def clip(x: Array, low: float, high: float, *, out: Array | None = None) -> Array:
    """y = min(max(x, low), high). NaN stays NaN."""
    y = np.maximum(x, like(low, x), out=out)
    return np.minimum(y, like(high, x), out=y)


def logical_not(x: Array, *, out: Array | None = None) -> Array:
    """y = 1 where x is 0, else 0, in the type of x or of ``out``."""
    y: Array = np.logical_not(x, out=np.empty_like(x) if out is None else out)
    return y


@lru_cache(maxsize=256)
def broadcast_shape(*shapes: Shape) -> Shape:
    """Return the common shape by NumPy's rule: shapes are aligned at the last axis, and 1 fits any length.

    Raises:
        ValueError: two lengths differ and neither is 1.
    """
    rank = max(map(len, shapes))
    result = [1] * rank
    for shape in shapes:
        for axis, length in enumerate(shape, rank - len(shape)):
            if length != 1 and result[axis] not in (1, length):
                raise ValueError(f"shapes {', '.join(map(str, shapes))} do not broadcast")
            if length != 1:  # 0 too
                result[axis] = length
    return tuple(result)


def combine(function: Callable[..., Any], xs: Sequence[Array], dtype: np.dtype[Any] | None = None) -> Array:
    """y = function(... function(x_0, x_1) ..., x_n), from left to right, with NumPy's broadcasting.

    Args:
        function: of two arrays and ``out``, such as ``np.add``.
        xs: one or more arrays of one type whose shapes broadcast.
        dtype: the type of the result, that of the arrays unless given.

    Returns:
        A new array of the common shape; for one array, its copy.
    """
    shapes = [x.shape for x in xs]
    shape = shapes[0] if shapes.count(shapes[0]) == len(xs) else broadcast_shape(*shapes)
    y: Array = np.empty(shape, dtype or xs[0].dtype)
    if len(xs) == 1:
        np.copyto(y, xs[0])
    else:
        function(xs[0], xs[1], out=y)
        for x in xs[2:]:
            function(y, x, out=y)
    return y


def average(xs: Sequence[Array]) -> Array:
    """y = (x_0 + ... + x_n) / (n + 1), with NumPy's broadcasting: every array counts at every place."""
    y = combine(np.add, xs)
    y /= like(len(xs), y)
    return y


def by_blocks(function: Callable[[Array], Array], x: Array, *, out: Array | None = None) -> Array:
    """function(x), computed in double precision block by block, and rounded once to the type of x.

    As `in_double`, for functions that take several steps: the intermediate results of a block stay in the cache.
    Blocks of a large x are shared among threads.

    Args:
        function: elementwise, from float64 [n], which it may write to, to an array.
        x: [*D] float.
        out: where to write, may be x itself.

    Returns:
        [*D] in the type of x.
    """
    y = np.empty_like(x) if out is None else out
    if not (x.flags.c_contiguous and y.flags.c_contiguous):
        _by_buffers(function, x, y)
        return y
    source, target = x.reshape(-1), y.reshape(-1)

    def run(start: int) -> None:
        part = slice(start, start + _BLOCK)
        with scratch(1, min(_BLOCK, x.size - start)) as (block,):
            np.copyto(block, source[part])
            target[part] = function(block)

    for_each(run, range(0, x.size, _BLOCK))
    return y


def _by_buffers(function: Callable[[Array], Array], x: Array, y: Array) -> None:
    """Do it in any layout of memory, without a large temporary."""
    with np.nditer(
        [x, y],
        ["external_loop", "buffered", "zerosize_ok"],
        [["readonly"], ["writeonly"]],
        [np.float64, np.float64],
        casting="same_kind",
        buffersize=_BLOCK,
    ) as blocks:
        for source, target in blocks:
            target[...] = function(source.copy())
