"""Normalizations as programs have them: channels along axis 1, any axes, and numbers known to be exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.errors import InvalidModelError
from refcoreml.types import TensorType

#: Each value rounds some ten times in single precision, of numbers up to 30; sums of 12 to 60 of them, once more each.
TOLERANCE = {"rtol": 0, "atol": 30 * (10 + 60) * 2.0**-24}


def checked(op: ops.Op, x: Any) -> Any:
    found = op.run(x)
    assert op.infer(TensorType.of(x)) == TensorType.of(found) == TensorType.of(x)
    return found


def standardized(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    wide = x.astype(np.float64)
    return (wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + epsilon)


def parameters(shape: tuple[int, ...]) -> tuple[Any, Any]:
    rng = np.random.default_rng(7)
    return rng.uniform(-2, 2, shape).astype(np.float32), rng.uniform(-2, 2, shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 4, 3, 5), (2, 4, 3, 5, 6)])
def test_channels_lie_along_axis_1(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).uniform(-9, 9, shape).astype(np.float32)
    gamma, beta = parameters((4,))
    mean, variance = np.arange(4, dtype=np.float32), np.array([0.25, 4, 1, 9], np.float32)
    along = (-1, *(1,) * (len(shape) - 2))
    g, b, m, v = (values.reshape(along).astype(np.float64) for values in (gamma, beta, mean, variance))
    found = checked(ops.BatchNormalization(mean, variance, gamma, beta, 1e-3, axis=1), x)
    np.testing.assert_allclose(found, g * (x - m) / np.sqrt(v + 1e-3) + b, **TOLERANCE)
    if len(shape) < 5:
        found = checked(ops.InstanceNormalization(gamma, beta, 1e-3, axis=1), x)
        spatial = tuple(range(2, len(shape)))
        np.testing.assert_allclose(found, g * standardized(x, spatial, 1e-3) + b, **TOLERANCE)


def test_length_over_the_last_three_axes() -> None:
    x = np.random.default_rng(0).uniform(-9, 9, (2, 4, 3, 5)).astype(np.float32)
    found = checked(ops.L2Normalization((-3, -2, -1), 0.5), x)
    sums = np.square(x.astype(np.float64)).sum((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(found, x / np.sqrt(sums + 0.5), **TOLERANCE)


@pytest.mark.parametrize("axes", [(3,), (-1, 2), (1,), (0, 2), (1, 3), (0, 1, 2, 3)])
def test_layers_along_any_axes(axes: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).uniform(-9, 9, (2, 4, 3, 5)).astype(np.float32)
    ordered = tuple(sorted(axis % 4 for axis in axes))
    gamma, beta = parameters(tuple(x.shape[axis] for axis in ordered))
    around = [n if axis in ordered else 1 for axis, n in enumerate(x.shape)]
    expected = gamma.reshape(around) * standardized(x, ordered, 1e-3) + beta.reshape(around)
    np.testing.assert_allclose(checked(ops.LayerNormalization(gamma, beta, axes, 1e-3), x), expected, **TOLERANCE)
    plain = checked(ops.MeanVarianceNormalization(axes, 1e-3), x)
    np.testing.assert_allclose(plain, standardized(x, ordered, 1e-3), **TOLERANCE)


def test_parameters_of_another_shape() -> None:
    with pytest.raises(InvalidModelError, match=r"expected an input of the lengths \(4,\) along the axes \(2,\)"):
        ops.LayerNormalization(np.ones(4), np.ones(4), (2,), 1e-3).infer(TensorType(np.dtype(np.float32), (2, 4, 3)))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_neighbours_along_axis_1(size: int) -> None:
    x = np.random.default_rng(0).uniform(-9, 9, (2, 6, 3, 5)).astype(np.float32)
    found = checked(ops.LocalResponseNormalization(size, 0.5, 0.75, 2.0, axis=1), x)
    padded = np.pad(np.square(x.astype(np.float64)), [(0, 0), (size // 2, (size - 1) // 2), (0, 0), (0, 0)])
    sums = sum(padded[:, k : k + 6] for k in range(size))
    np.testing.assert_allclose(found, x / (2.0 + 0.5 / size * sums) ** 0.75, **TOLERANCE)
