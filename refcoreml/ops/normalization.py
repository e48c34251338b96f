"""Operations that make numbers comparable: softmax, and normalizations by mean and variance, length, and neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import normalization as kernels
from refcoreml.ops.base import Inplace, Op, axes_in, axis_in, check_floats, require
from refcoreml.types import Array, TensorType


@dataclass(frozen=True)
class Softmax(Op):
    """y = exp(x) / sum(exp(x)) along an axis, without overflow.

    x [*D] of floats; y has the type of x.
    """

    axis: int

    fresh = True
    definition = definitions.softmax

    def infer(self, x: TensorType) -> TensorType:
        check_floats(x)
        axis_in(self.axis, x.rank)
        return x

    def run(self, x: Array) -> Array:
        return kernels.softmax(x, self.axis)


def _check_channels(x: TensorType, axis: int, **attributes: Array) -> TensorType:
    check_floats(x)
    least = -axis if axis < 0 else axis + 1
    require(x.rank >= least, f"expected an input of rank {least} or more, got {x.shape}")
    given = x.shape[axis]
    for name, values in attributes.items():
        require(values.ndim == 1, f"{name} has the shape {values.shape}, expected a vector")
        require(given == len(values), f"the input {x.shape} has {given} channels, expected {len(values)}")
    return x


def _along(values: Array, axis: int, rank: int) -> Array:
    """Return values [C], shaped so that they broadcast along an axis."""
    return values.reshape(-1, *(1,) * (rank - 1 - axis % rank))


@dataclass(frozen=True, eq=False)
class BatchNormalization(Op):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, one number per channel in each attribute but epsilon.

    x [*A, C, *B] of floats with C at the axis; mean, variance, gamma and beta [C] of the same type; y has the type
    of x. NaN where the variance is below -epsilon.
    """

    mean: Array
    variance: Array
    gamma: Array
    beta: Array
    epsilon: float
    axis: int = -3

    fresh = True
    definition = definitions.batch_normalization

    @cached_property
    def factor(self) -> Array:
        """What x - mean is multiplied with: gamma / sqrt(variance + epsilon)."""
        return kernels.normalization_factor(self.gamma, self.variance, self.epsilon)

    def infer(self, x: TensorType) -> TensorType:
        given = {"mean": self.mean, "variance": self.variance, "gamma": self.gamma, "beta": self.beta}
        return _check_channels(x, self.axis, **given)

    def run(self, x: Array) -> Array:
        given = (self.mean, self.factor, self.beta)
        return kernels.batch_normalization(x, *(_along(values, self.axis, x.ndim) for values in given))

    @property
    def inplace(self) -> Inplace | None:  # type: ignore[override]
        """None for other axes than that of blocks [*, C, H, W]."""
        return self._overwrite if self.axis == -3 else None

    def _overwrite(self, block: Array, channels: slice) -> None:
        given = (self.mean[channels], self.factor[channels], self.beta[channels])
        kernels.batch_normalization(block, *(_along(values, 0, block.ndim) for values in given), out=block)


@dataclass(frozen=True, eq=False)
class InstanceNormalization(Op):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, with the mean and variance of x over some axes.

    x [*A, C, *B] of floats with C at the axis; gamma and beta [C] of the same type; y has the type of x. The variance
    is the mean square of x - mean, not n - 1.

    Attributes:
        batch: whether mean and variance are over *A and *B; else over *B alone, so that each instance has its own.
    """

    gamma: Array
    beta: Array
    epsilon: float
    axis: int = -3
    batch: bool = False

    fresh = True
    definition = definitions.instance_normalization

    def infer(self, x: TensorType) -> TensorType:
        return _check_channels(x, self.axis, gamma=self.gamma, beta=self.beta)

    def axes(self, rank: int) -> tuple[int, ...]:
        """Return the axes over which mean and variance are taken."""
        axis = self.axis % rank
        return (*(range(axis) if self.batch else ()), *range(axis + 1, rank))

    def run(self, x: Array) -> Array:
        y = kernels.standardize(x, self.axes(x.ndim), self.epsilon)
        y *= _along(self.gamma, self.axis, x.ndim)
        y += _along(self.beta, self.axis, x.ndim)
        return y


@dataclass(frozen=True)
class MeanVarianceNormalization(Op):
    """y = (x - mean) / sqrt(variance + epsilon), mean and variance being those of x along the axes.

    x [*D] of floats; y has the type of x. The variance is the mean square of x - mean, not n - 1.

    Attributes:
        epsilon: None for y = x - mean.
    """

    axes: tuple[int, ...]
    epsilon: float | None

    fresh = True
    definition = definitions.mean_variance_normalization

    def infer(self, x: TensorType) -> TensorType:
        check_floats(x)
        axes_in(self.axes, x.rank)
        return x

    def run(self, x: Array) -> Array:
        if self.epsilon is None:
            return kernels.center(x, self.axes)
        return kernels.standardize(x, self.axes, self.epsilon)


@dataclass(frozen=True, eq=False)
class LayerNormalization(Op):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, with the mean and variance of x along the axes.

    x [*D] of floats; gamma and beta of the same type have the lengths of x along the axes, in ascending order; y has
    the type of x. The variance is the mean square of x - mean, not n - 1.
    """

    gamma: Array
    beta: Array
    axes: tuple[int, ...]
    epsilon: float

    fresh = True
    definition = definitions.layer_normalization

    def infer(self, x: TensorType) -> TensorType:
        check_floats(x)
        lengths, axes = self.gamma.shape, self.axes
        require(self.beta.shape == lengths, f"gamma has the shape {lengths}, but beta {self.beta.shape}")
        fits = all(-x.rank <= axis < x.rank for axis in axes)
        require(
            fits and tuple(x.shape[axis] for axis in axes_in(axes, x.rank)) == lengths,
            f"expected an input of the lengths {lengths} along the axes {axes}, got {x.shape}",
        )
        return x

    def run(self, x: Array) -> Array:
        axes, last = axes_in(self.axes, x.ndim), range(-len(self.axes), 0)
        y = kernels.layer_normalization(np.moveaxis(x, axes, last), self.gamma, self.beta, self.epsilon)
        return np.moveaxis(y, last, axes)


@dataclass(frozen=True)
class L2Normalization(Op):
    """y = x / sqrt(sum x^2 + epsilon), the sum along the axes.

    x [*D] of floats; y has the type of x.
    """

    axes: tuple[int, ...]
    epsilon: float

    fresh = True
    definition = definitions.l2_normalization

    def infer(self, x: TensorType) -> TensorType:
        check_floats(x)
        axes_in(self.axes, x.rank)
        return x

    def run(self, x: Array) -> Array:
        return kernels.l2_normalize(x, self.axes, self.epsilon)


@dataclass(frozen=True)
class LocalResponseNormalization(Op):
    """y = x / (k + alpha / size * sum x^2)^beta, the sum over `size` neighbours along the axis.

    The window of place c is [c - size // 2, c + (size - 1) // 2], cut off at both ends; the divisor stays `size`.
    x [*D] of floats; y has the type of x.
    """

    size: int
    alpha: float
    beta: float
    k: float
    axis: int = -3

    fresh = True
    definition = definitions.local_response_normalization

    def __post_init__(self) -> None:
        require(self.size >= 1, f"size is {self.size}, expected a number of at least 1")

    def infer(self, x: TensorType) -> TensorType:
        check_floats(x)
        axis_in(self.axis, x.rank)
        return x

    def run(self, x: Array) -> Array:
        return kernels.local_response_normalization(x, self.axis, self.size, self.alpha, self.beta, self.k)
