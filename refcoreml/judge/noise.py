"""How large the rounding error of one operation usually is, of implementations that round to nearest.

`usual_errors` gives standard deviations, where the rules of `refcoreml.oracle` give bounds. Operations whose class of
bounds is ``exact``, ``interval`` or ``either`` make no rounding error, nor do those that only move numbers, nor is
there one where the arithmetic can hold a result. For all others there is a rule here, by the class of the operation.
The derivations are in docs/judge.md; in short, with the unit roundoff u:

* one rounding of y is uniform within u |y|, which has the standard deviation u |y| / sqrt(3);
* a sum of n products has that of its partial sums, in the order in which they are added one after another;
* an elementary function is off by 1.25 u |y|, and by half of what a relative error u of its argument changes;
* what is computed once for many places, such as the mean of a normalization, is the same error for all of them;
* recurrent operations and attention, inside of which errors pass through functions, run again with disturbed weights
  or inputs, see `disturbed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from refcoreml import ops
from refcoreml.errors import UnsupportedModelError
from refcoreml.execution.steps import Control, Step
from refcoreml.judge.draws import Draws
from refcoreml.kernels.recurrent import GateWeights
from refcoreml.mil.operations.classify import Classify
from refcoreml.mil.operations.lists import ListGather, ListLength, ListRead, ListScatter, ListWrite, MakeList
from refcoreml.mil.operations.state import WriteState
from refcoreml.mil.prepare import Typed
from refcoreml.ops.base import Adapted, Op, axes_in
from refcoreml.ops.reduce import Reduction
from refcoreml.oracle import CHECKS
from refcoreml.oracle.balls import Ball, Doubles, Rounding, quantum
from refcoreml.oracle.rules import kind_of
from refcoreml.spec.mil_types import DeclaredTensor
from refcoreml.types import Array, TensorType

__all__ = [
    "FLAT",
    "Error",
    "Local",
    "check_known",
    "disturbed",
    "ends_of",
    "jumps",
    "operation_of",
    "stored_error",
    "usual_errors",
]


class Error(NamedTuple):
    """A rounding error in every place of a result.

    Attributes:
        size: its standard deviation; an array that broadcasts to the result.
        shared: axes along which it is one error, relative to the size.
    """

    size: Doubles
    shared: tuple[int, ...] = ()


@dataclass(frozen=True)
class Local:
    """An operation as it ran in double precision.

    Attributes:
        step: it, at its place.
        inputs, result: its values; of several results the first.
        rounding: the arithmetic.
    """

    step: Step
    inputs: Sequence[Doubles]
    result: Doubles
    rounding: Rounding

    @cached_property
    def op(self) -> Any:
        """The operation that rules speak of."""
        return operation_of(self.step, self.inputs)

    @property
    def unit(self) -> float:
        """The unit roundoff."""
        return self.rounding.unit

    @property
    def once(self) -> float:
        """The standard deviation of one rounding, relative to a number."""
        return float(self.rounding.unit / np.sqrt(3))

    @cached_property
    def terms(self) -> int:
        """How many products or numbers go into a sum."""
        found = self.op.terms([TensorType.of(x) for x in self.inputs])
        return int(found or 1)

    def run(self, *inputs: Array) -> Doubles:
        """Return the first result of the operation, in the form of its dialect, for other inputs."""
        made: Any = _untyped(self.step.op).run(*inputs)
        return np.asarray(made[0] if isinstance(made, tuple) else made)

    def remade(self, change: Callable[[Any], Op]) -> Op:
        """Return the operation with another one inside of what the dialect puts around it."""
        return _remade(self.step.op, change, self.inputs)


def operation_of(step: Step, inputs: Sequence[Any]) -> Op:
    """Return the operation of a step as it is meant for some inputs."""
    op = _untyped(step.op)
    return op.resolve(*(TensorType.of(x) for x in op.taken(inputs)))


def _untyped(op: Op) -> Op:
    """Return an operation of a program without the checks of declared types."""
    return op.running if isinstance(op, Typed) else op


def _remade(op: Op, change: Callable[[Any], Op], inputs: Sequence[Array]) -> Op:
    op = _untyped(op)
    if isinstance(op, Adapted):
        return replace(op, op=_remade(op.op, change, op.taken(inputs)))
    return change(op.resolve(*map(TensorType.of, inputs)))


Rule: TypeAlias = Callable[[Local], list[Error]]

#: The rules by the class of the operation.
_RULES: dict[type[Op], Rule] = {}

#: An elementary function is off by so many units roundoff. Vector libraries promise 1 to 4 units in the last place and
#: are within half of them mostly; compositions of a few operations, such as sigmoid, add up to as much.
_FUNCTION = 1.25
#: The relative error of an argument, which is scaled by a rounded factor, in units roundoff.
_ARGUMENT = 0.5
#: Comparisons, which are exact and yet jump.
_QUESTIONS = (ops.Equal, ops.NotEqual, ops.Less, ops.LessEqual, ops.Greater, ops.GreaterEqual)
_LOGIC = (ops.LogicalAnd, ops.LogicalOr, ops.LogicalXor, ops.LogicalNot, ops.NonZero, ops.OneHot, ops.ThresholdedReLU)
#: Functions with a flat side, on which numbers near its end do not seem to deviate.
FLAT = (ops.ReLU, ops.Clip, ops.Threshold, ops.ClampedReLU, ops.HardSigmoid)
#: Classes of bounds that say that nothing is rounded.
_EXACT = ("exact", "interval", "either", "control")


def _rule(*kinds: type[Op]) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(kinds, function))
        return function

    return register


def _class_of(step: Step) -> str | None:
    kind = kind_of(step)
    return None if kind is None else CHECKS[kind]


def check_known(step: Step) -> None:
    """Refuse an operation whose rounding errors nobody knows.

    Raises:
        UnsupportedModelError: it draws random numbers, is of the user's own, or has no rule.
    """
    found = _class_of(step)
    if found == "random":
        problem = "draws random numbers, of which only the distribution is specified"
        raise UnsupportedModelError(problem, where=step.where, remedy="Judge a model without them")
    kind = step.op.kind
    if not (
        isinstance(step.op, Control) or kind in _RULES or step.op.moves or found in _EXACT or not _makes_floats(step)
    ):
        problem = f"is of a kind whose rounding errors nobody knows, {kind.__name__}"
        raise UnsupportedModelError(problem, where=step.where, remedy="Judge a model without it")


def _makes_floats(step: Step) -> bool:
    """Return whether an operation may make numbers: not those on lists, states and labels, nor those of integers."""
    if (
        step.op.kind in (Classify, MakeList, ListWrite, ListScatter, ListRead, ListGather, ListLength, WriteState)
        or not step.outputs
    ):
        return False
    return not isinstance(step.op, Typed) or any(map(_is_float, step.op.outputs))


def _is_float(declared: Any) -> bool:
    return isinstance(declared, DeclaredTensor) and declared.element.dtype.kind == "f"


def jumps(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[bool, ...]:
    """Return for each result whether it jumps where a number passes another one: places, truths, integers."""
    if step.op.moves and step.op.kind is not ops.TopK:
        return (False,) * len(outputs)
    if not any(_kind(x) == "f" for x in inputs):
        return (False,) * len(outputs)
    if step.op.kind is ops.TopK:
        return tuple(position == 1 for position in range(len(outputs)))
    found = _class_of(step)
    if found in ("either", "interval") or step.op.kind in (*_QUESTIONS, *_LOGIC):
        return (step.op.kind is not ops.Modulo,) * len(outputs)
    return tuple(_kind(y) not in ("f", "") for y in outputs)


def decides(step: Step) -> bool:
    """Return whether an operation may jump, or choose what runs, whatever it is given."""
    return _class_of(step) in ("either", "interval", "control") or step.op.kind in (*_QUESTIONS, *_LOGIC)


def ends_of(op: Op) -> tuple[float, ...]:
    """Return where the flat sides of an operation of `FLAT` may end; other numbers among them do no harm."""
    match op:
        case ops.Clip(low=low, high=high):
            return (low, high)
        case ops.Threshold(alpha=alpha):
            return (alpha,)
        case ops.ClampedReLU(alpha=alpha, beta=beta):
            return (0.0, beta, beta / alpha) if alpha else (0.0, beta)
        case ops.HardSigmoid(alpha=alpha, beta=beta):
            return (-beta / alpha, (1 - beta) / alpha) if alpha else ()
        case _:
            return (0.0,)


def _kind(value: Any) -> str:
    return str(value.dtype.kind) if isinstance(value, np.ndarray | np.generic) else ""


def usual_errors(
    step: Step, inputs: Sequence[Any], outputs: Sequence[Any], rounding: Rounding, storage: Sequence[Rounding | None]
) -> list[list[Error]]:
    """Return the usual rounding errors of an operation that ran in double precision.

    Args:
        step: the operation.
        inputs, outputs: its values.
        rounding: the arithmetic within it.
        storage: for each output, how it is rounded when it is stored; None for not at all.

    Returns:
        For each output its errors; none where nothing is rounded.
    """
    found: list[list[Error]] = []
    moves = step.op.moves or step.op.kind not in _RULES
    for position, (y, store) in enumerate(zip(outputs, storage, strict=True)):
        errors: list[Error] = []
        if isinstance(y, np.ndarray | np.generic) and y.dtype.kind == "f" and y.size:
            y = np.asarray(y)
            with np.errstate(all="ignore"):
                if not moves:
                    errors = _within(step, inputs, y, rounding, position)
                if store is not None:
                    errors = _with_storage(errors, y, store)
                errors = [Error(_signed(error.size, y), error.shared) for error in errors]
        found.append(errors)
    return found


def _within(step: Step, inputs: Sequence[Any], y: Doubles, rounding: Rounding, position: int) -> list[Error]:
    rule = _RULES[step.op.kind]
    local = Local(step, inputs, y, rounding)
    if position and rule is not _recurrent:
        return []
    off, sums = _distance(y, rounding), step.op.kind in _SUMS
    if not off.any() and (not sums or _adds_exactly(local)):
        return []
    return [
        Error(_limited(error.size, y, off, rounding, (off == 0) & (not sums)), error.shared) for error in rule(local)
    ]


def _distance(y: Doubles, rounding: Rounding) -> Doubles:
    """Return how far numbers are from the nearest ones that the type holds; 0 for NaN and what is out of range."""
    with np.errstate(over="ignore"):
        nearest = y.astype(rounding.format)
    off = np.abs(nearest - y)
    return np.where(np.isfinite(off), off, 0.0)


#: Operations that add up many numbers: a result that the type can hold may be the rest of larger partial sums.
_SUMS = (
    *(ops.Convolution, ops.Deconvolution, ops.Linear, ops.MatMul, ops.Einsum, ops.DotProduct, ops.Pooling),
    *(ops.ReduceSum, ops.ReduceMean, ops.CumulativeSum, ops.ReduceL1),
    *(ops.InstanceNormalization, ops.MeanVarianceNormalization, ops.LayerNormalization),
)


def _adds_exactly(local: Local) -> bool:
    """Return whether all partial sums are exact in any order: small multiples of what all terms are multiples of."""
    op: Any = local.op
    factors = [np.asarray(x, np.float64) for x in local.inputs]
    if getattr(op, "weights", None) is not None:
        factors.append(np.asarray(op.weights, np.float64))
    n = local.terms if local.terms > 1 else max((x.size for x in factors), default=1)
    largest, least = float(n + 1), 1.0
    for array in factors:
        largest *= float(np.abs(array).max(initial=0.0))
        least *= quantum(Ball.exact(array))
    bias = getattr(op, "bias", None)
    if bias is not None:
        largest += float(np.abs(bias).max(initial=0.0))
        least = min(least, quantum(Ball.exact(bias)))
    return largest * local.unit <= least


#: A number that is stored nearer to one that the type holds than this part of a unit roundoff becomes that one.
_HELD = 1 / 32


def _limited(size: Doubles, y: Doubles, off: Doubles, rounding: Rounding, held: Array | bool) -> Doubles:
    """Return the sizes of errors that are no larger where numbers are held, nor near the ends of a type.

    The largest number, as a mask, absorbs what is added to it. Below the least normal number, results may be 0.
    """
    magnitude = np.abs(y)
    size = np.where(held | (magnitude > rounding.largest / 4), np.minimum(size, off), size)
    below = (magnitude < 2 * rounding.tiny) & (y != 0)
    return np.where(below, np.maximum(size, magnitude / np.sqrt(3)), size) if below.any() else size


def _signed(size: Doubles, y: Doubles) -> Doubles:
    """Return finite sizes with the signs of the numbers, since -y is rounded as y is."""
    return np.copysign(np.where(np.isfinite(size), size, 0.0), y)


def _with_storage(errors: list[Error], y: Doubles, storage: Rounding) -> list[Error]:
    """Return the errors with that of rounding to a narrower type, uniform within half a unit in the last place.

    Numbers below the least normal one may be flushed to 0.
    """
    stored = _of_storage(y, storage)
    off = _distance(y, storage)
    stored = _limited(stored, y, off, storage, off <= _HELD * storage.unit * np.abs(y))
    rest = [error for error in errors if error.shared]
    own = [error.size**2 for error in errors if not error.shared]
    return [*rest, Error(np.sqrt(sum(own, stored**2)))]


def _of_storage(y: Doubles, storage: Rounding) -> Doubles:
    """Return the standard deviation of rounding to a type, uniform within half a unit in the last place."""
    _, exponent = np.frexp(np.maximum(np.abs(y), storage.tiny))
    return np.asarray(np.ldexp(2 * storage.unit / np.sqrt(12), exponent - 1))


def stored_error(y: Array, storage: Rounding) -> Doubles | None:
    """Return the size of the error of numbers that were rounded when they were stored; None where none are rounded.

    A zero is one that was stored as such.
    """
    if y.dtype.kind != "f" or not y.size:
        return None
    with np.errstate(all="ignore"):
        return _signed(np.where(y == 0, 0.0, _of_storage(y, storage)), y)


# ---- Sums ----

#: An error is within half a unit in the last place, u 2^e of a number y from 2^e to 2^(e+1), which is less than u |y|.
#: So much smaller is the mean of its square where the logarithms of many y are spread evenly: 2^2e / y^2 on average,
#: weighted by y^2. Where partial sums grow evenly to their end, it depends on the end, and is at most the second one.
_SPREAD, _GROWING = 2 * np.log(2) / 3, 49 / 81


def _sum_variance(unit: float, n: Any, total: Doubles, squares: Doubles) -> Doubles:
    """Return the variance of a sum of n rounded terms, one after another, see `refcoreml.oracle.deviation`.

    Where terms differ by less than the spacing of partial sums, roundings go the same way again and again: then the
    error is up to u times the sum of the partial sums.
    """
    q = np.maximum(squares / n - (total / n) ** 2, 0)
    spread = squares + n * (n + 1) / 6 * q
    growing = (n + 1) * (2 * n + 1) / (6 * n) * total**2
    variance = unit**2 / 3 * (_SPREAD * spread + _GROWING * growing)
    stuck = q < (2 * unit * total) ** 2
    return np.asarray(np.where(stuck, np.maximum(variance, (unit * n / 2 * total) ** 2 / 3), variance))


def _scaled(array: Array) -> tuple[Array, float]:
    """Return an array in single precision, divided by a power of 2, so that squares neither overflow nor vanish."""
    largest = max(float(np.max(array, initial=0.0)), -float(np.min(array, initial=0.0)))
    if not np.isfinite(largest):
        largest = float(np.max(np.abs(array), where=np.isfinite(array), initial=0.0))
    scale = float(2.0 ** np.ceil(np.log2(largest))) if largest else 1.0
    return (array / scale).astype(np.float32), scale


def _squared_weights(op: Any, given: float) -> Any:
    """Return an operation with the squares of its weights, for inputs that were divided by a number."""
    weights, scale = _scaled(op.weights)
    changed: dict[str, Any] = {"weights": weights**2}
    if op.bias is not None:
        changed["bias"] = ((op.bias / (scale * given)) ** 2).astype(np.float32)
    return replace(op, **changed)


@_rule(ops.Convolution, ops.Deconvolution, ops.Linear)
def _weighted(local: Local) -> list[Error]:
    """W x + b."""
    op, (x, *others) = local.op, local.inputs
    small, scale = _scaled(x)
    if op.weights is None:
        weights, factor = _scaled(others[0])
        given = [weights**2]
        if len(others) > 1:
            given.append(((others[1] / (factor * scale)) ** 2).astype(np.float32))
        squares = local.run(small**2, *given)
        n = local.terms
    else:
        _, factor = _scaled(op.weights)
        squares = np.asarray(local.remade(partial(_squared_weights, given=scale)).run(small**2))
        n = min(local.terms, _most_nonzero(op.weights)) if isinstance(op, ops.Convolution | ops.Linear) else local.terms
    return [_of_sum(local, n + 1, squares.astype(np.float64) * (scale * factor) ** 2)]


def _most_nonzero(weights: Array) -> int:
    return int(np.count_nonzero(weights.reshape(len(weights), -1), 1).max(initial=1))


def _of_sum(local: Local, n: Any, squares: Doubles) -> Error:
    variance = _sum_variance(local.unit, n, local.result, squares) + (local.once * local.result) ** 2
    return Error(np.sqrt(variance + n * _least(local) ** 2))


def _least(local: Local) -> float:
    """Return the standard deviation of a rounding among the smallest numbers, which have one spacing."""
    return float(2 * local.rounding.tiny * local.unit / np.sqrt(12))


@_rule(ops.MatMul, ops.Einsum, ops.DotProduct)
def _products(local: Local) -> list[Error]:
    """Add up products of two or more inputs."""
    if isinstance(local.op, ops.DotProduct) and local.op.cosine:
        n = local.terms
        x, y = (np.sqrt(np.square(v).sum(local.op.axis, keepdims=True)) for v in local.inputs)
        squares = np.square(local.inputs[0] * local.inputs[1]).sum(local.op.axis, keepdims=True) / (x * y) ** 2
        own = np.sqrt(_sum_variance(local.unit, n, local.result, squares))
        return [Error(own + local.unit * (_positive(n) + 2) * np.abs(local.result))]
    scaled = [_scaled(x) for x in local.inputs]
    squares = local.run(*(small**2 for small, _ in scaled)).astype(np.float64)
    return [_of_sum(local, local.terms, squares * np.prod([scale for _, scale in scaled]) ** 2)]


@_rule(ops.ReduceSum, ops.ReduceMean, ops.CumulativeSum, ops.ReduceL1)
def _summed(local: Local) -> list[Error]:
    x, *rest = local.inputs
    mean, op = isinstance(local.op, ops.ReduceMean), local.op
    n = op.count(x.shape) if isinstance(op, Reduction) else x.shape[op.axis]
    if isinstance(op, ops.ReduceL1):
        squares = np.asarray(local.remade(lambda op: ops.ReduceSum(op.axes, op.keepdims)).run(x**2))
        return [_of_sum(local, n, squares)]
    squares = local.run(x**2, *rest)
    return [_of_mean(local, n, squares)] if mean else [_of_sum(local, n, squares)]


def _of_mean(local: Local, n: int, squares: Doubles) -> Error:
    variance = _sum_variance(local.unit, n, local.result * n, squares * n) / n**2
    return Error(np.sqrt(variance + 2 * (local.once * local.result) ** 2))


def _positive(n: Any) -> Any:
    """Return the usual relative error of a sum of n numbers of one sign, in units roundoff."""
    return np.sqrt(n) / 3


@_rule(ops.Pooling)
def _pooled(local: Local) -> list[Error]:
    op, (x,) = local.op, local.inputs
    if op.mode == "max":
        return []
    n = op.size(x.shape)
    if op.mode == "l2":
        return [Error(local.unit * (_positive(n) / 2 + _FUNCTION) * np.abs(local.result))]
    return [_of_mean(local, n, local.run(x**2))]


@_rule(ops.Scale, ops.Affine)
def _scale_and_shift(local: Local) -> list[Error]:
    """Compute a x + b, with the product rounded before the sum."""
    op = local.op
    factor, shift = (op.scale, op.shift) if isinstance(op, ops.Affine) else (op.scale, op.bias)
    product = local.result - (0.0 if shift is None else shift)
    parts = local.result**2 if factor is None or shift is None else local.result**2 + product**2
    return [Error(local.once * np.sqrt(parts))]


@_rule(ops.CropResize, ops.Resample, ops.WarpAffine)
def _read(local: Local) -> list[Error]:
    """Add up four neighbours, at positions that are rounded: each as much as the last one, times the largest step."""
    x, *rest = local.inputs
    if getattr(local.op, "nearest", False):
        return []
    variance = 4 * np.square(local.run(np.abs(x), *rest))
    for axis in (-2, -1):
        variance = variance + np.square(x.shape[axis] * np.abs(np.diff(x, axis=axis)).max(initial=0.0))
    return [Error(local.once * np.sqrt(variance))]


@_rule(ops.UpsampleBilinear, ops.ResizeBilinear, ops.Resize)
def _interpolated(local: Local) -> list[Error]:
    """Add up a few neighbours, at positions that are rounded: i times the step between two results."""
    op, y = local.op, local.result
    if getattr(op, "nearest", False):
        return []
    x, *rest = local.inputs
    space = op.axes if isinstance(op, ops.Resize) else 2
    variance = 4 * np.square(local.run(np.abs(x), *rest))
    for axis in range(y.ndim - space, y.ndim):
        length = y.shape[axis]
        if length > 1:
            shape = (length, *(1,) * (y.ndim - 1 - axis))
            variance = variance + np.square(np.arange(length).reshape(shape) * np.gradient(y, axis=axis))
    return [Error(local.once * np.sqrt(variance))]


# ---- A few operations ----


@_rule(ops.Add, ops.Subtract, ops.Average)
def _added(local: Local) -> list[Error]:
    """One rounding for each sum."""
    count = max(len(local.inputs) - 1, 1)
    if count == 1 and not isinstance(local.op, ops.Average):
        return [Error(local.once * np.abs(local.result))]
    sizes = sum(np.square(x) for x in local.inputs)
    return [Error(local.once * np.sqrt(count * sizes + 2 * local.result**2))]


@_rule(ops.Multiply)
def _multiplied(local: Local) -> list[Error]:
    return [Error(local.once * np.sqrt(max(len(local.inputs) - 1, 1)) * np.abs(local.result) + _least(local))]


@_rule(ops.Divide)
def _divided(local: Local) -> list[Error]:
    """By the reciprocal, two roundings."""
    return [Error(local.once * np.sqrt(2) * np.abs(local.result) + _least(local))]


@_rule(ops.Modulo)
def _remainder(local: Local) -> list[Error]:
    """Return a - b floor(a / b), whose product is about a."""
    return [Error(local.once * np.hypot(local.inputs[0] - local.result, local.result))]


@_rule(ops.Range, ops.Scatter, ops.ScatterND, ops.ScatterAlongAxis, ops.Embedding, ops.ClampedReLU, ops.LeakyReLU)
def _rounded(local: Local) -> list[Error]:
    """Two roundings; exact numbers are left alone by `usual_errors`."""
    return [Error(local.once * np.sqrt(2) * np.abs(local.result))]


@_rule(ops.Dequantize, ops.BlockwiseShiftScale, ops.SparseBlockwiseShiftScale, ops.HardSigmoid)
def _few(local: Local) -> list[Error]:
    """Return those of a sum and a product, each in terms of the larger part."""
    return [Error(local.unit * np.maximum(np.abs(local.result), 0.5 if isinstance(local.op, ops.HardSigmoid) else 0))]


@_rule(
    *(ops.Cast, ops.Identity, ops.FillLike, ops.Threshold, ops.ThresholdedReLU),
    *(ops.SparseToDense, ops.LutToDense, ops.LutToSparse),
)
def _chosen(local: Local) -> list[Error]:
    """Choose or look up numbers; a conversion to a narrower type rounds as its result is stored."""
    return []


# ---- Functions ----

_FUNCTIONS = (
    *(ops.Exp, ops.Exp2, ops.Log, ops.Sin, ops.Cos, ops.Tan, ops.Asin, ops.Acos, ops.Atan, ops.Sinh, ops.Cosh),
    *(ops.Asinh, ops.Acosh, ops.Atanh, ops.Erf, ops.Sqrt, ops.Rsqrt, ops.Inverse, ops.Tanh, ops.Sigmoid, ops.Softsign),
    *(ops.ScaledTanh, ops.SiLU, ops.ReduceProduct),
)


@_rule(*_FUNCTIONS)
def _function(local: Local) -> list[Error]:
    """Its own error, and what an error of its argument changes."""
    return [Error(_function_size(local))]


def _function_size(local: Local) -> Doubles:
    step, (x, *rest) = 2.0**-20, local.inputs
    y = local.result
    moved = (local.run(x * (1 + step), *rest) - y) / step
    slope = np.where(np.isfinite(moved), moved, y)
    return np.asarray(local.unit * np.sqrt((_FUNCTION * y) ** 2 + (_ARGUMENT * slope) ** 2))


@_rule(ops.Power)
def _power(local: Local) -> list[Error]:
    """e^(y ln x), whose exponent is rounded; small whole exponents are products."""
    y = np.abs(local.result)
    base, other = local.inputs[0], local.op.other if local.op.other is not None else local.inputs[1]
    exponent = np.abs(np.asarray(other) * np.log(np.abs(base)))
    few = (np.asarray(other) == np.rint(other)) & (np.abs(other) <= 4)
    exponent = np.where(few | ~np.isfinite(exponent), 0.0, exponent)
    return [Error(local.unit * y * np.sqrt(_FUNCTION**2 + _ARGUMENT * exponent**2))]


@_rule(ops.GELU, ops.GELUTanh, ops.GELUSigmoid)
def _gelu(local: Local) -> list[Error]:
    """x times a gate, in which 1 + erf cancels where x is negative, so that its error is absolute."""
    return [Error(np.hypot(_FUNCTION * local.unit * local.result, local.unit * local.inputs[0]))]


@_rule(ops.ELU, ops.Softplus, ops.ParametricSoftplus)
def _cancelling(local: Local) -> list[Error]:
    """e^x - 1 and ln(1 + e^x) round in terms of 1."""
    size = _function_size(local)
    factor = np.abs(getattr(local.op, "alpha", 1.0))
    rounds = local.inputs[0] < 0 if isinstance(local.op, ops.ELU) else True
    return [Error(np.where(rounds, np.hypot(size, local.unit * factor), 0.0))]


@_rule(ops.Chain)
def _chain(local: Local) -> list[Error]:
    """One after another: an error goes through the parts that follow."""
    (x,), size = local.inputs, np.zeros(())
    for part in local.op.parts:
        y = np.asarray(part.run(x))
        own = _RULES.get(part.kind)
        carried = np.abs(np.asarray(part.run(x + size)) - y)
        inner = Local(replace(local.step, op=part), [x], y, local.rounding)
        added = [error.size for error in own(inner)] if own is not None else []
        x, size = y, np.sqrt(sum((np.square(each) for each in added), np.square(carried)))
    return [Error(size)]


# ---- Composites ----


@_rule(ops.Softmax)
def _softmax(local: Local) -> list[Error]:
    """e^(x - max) / sum: the sum is one error along the axis, in a term also that of the difference."""
    (x,), y, axis = local.inputs, local.result, local.op.axis
    reach = x - x.max(axis, keepdims=True)
    reach = np.where(np.isfinite(reach), reach, 0.0)
    own = local.unit * y * np.sqrt(_FUNCTION**2 + (2 / 3 + _ARGUMENT**2) + (1 / 3 + _ARGUMENT**2) * reach**2)
    return [Error(own), Error(local.unit * y * _positive(y.shape[axis]), (axis % y.ndim,))]


@_rule(ops.BatchNormalization)
def _batch_normalization(local: Local) -> list[Error]:
    """f x + (beta - f mean), f = gamma / sqrt(variance + epsilon): f and the shift are the same for a channel."""
    (x,), op, y = local.inputs, local.op, local.result
    axis = op.axis % y.ndim

    def along(values: Array) -> Array:
        return np.asarray(values).reshape(-1, *(1,) * (y.ndim - 1 - axis))

    factor, mean, beta = along(op.factor), along(op.mean), along(op.beta)
    shared = tuple(place for place in range(y.ndim) if place != axis)
    own = local.once * np.sqrt(np.square(factor * x) + np.square(y))
    scale = local.unit * _FUNCTION * np.abs(factor * (x - mean))
    shift = local.once * np.sqrt(2 * np.square(factor * mean) + np.square(beta))
    return [Error(own), Error(scale, shared), Error(np.broadcast_to(shift, y.shape), shared)]


def _standardized(local: Local, axes: Sequence[int], epsilon: float | None, gamma: Any, beta: Any) -> list[Error]:
    """(x - mean) / sqrt(variance + epsilon) gamma + beta: mean and root are the same along the axes."""
    x, y = local.inputs[0], local.result
    along = axes_in(axes, x.ndim)
    n = int(np.prod([x.shape[axis] for axis in along]))
    mean, squares = x.mean(along, keepdims=True), np.square(x).mean(along, keepdims=True)
    off = np.sqrt(_sum_variance(local.unit, n, mean * n, squares * n)) / n + local.once * np.abs(mean)
    if epsilon is None:
        return [Error(local.once * np.abs(y)), Error(np.broadcast_to(off, y.shape), along)]
    factor = gamma / np.sqrt(np.maximum(squares - mean**2, 0) + epsilon)
    scaled = y - beta
    own = local.once * np.sqrt(np.square(factor * x) + 2 * np.square(scaled) + np.square(y))
    root = local.unit * (_positive(n) / 2 + _FUNCTION) * np.abs(scaled)
    return [Error(own), Error(root, along), Error(np.broadcast_to(np.abs(factor) * off, y.shape), along)]


@_rule(ops.InstanceNormalization)
def _instance_normalization(local: Local) -> list[Error]:
    op, rank = local.op, local.result.ndim
    gamma, beta = (v.reshape(-1, *(1,) * (rank - 1 - op.axis % rank)) for v in (op.gamma, op.beta))
    return _standardized(local, op.axes(rank), op.epsilon, gamma, beta)


@_rule(ops.MeanVarianceNormalization)
def _mean_variance_normalization(local: Local) -> list[Error]:
    return _standardized(local, local.op.axes, local.op.epsilon, 1.0, 0.0)


@_rule(ops.LayerNormalization)
def _layer_normalization(local: Local) -> list[Error]:
    op, x = local.op, local.inputs[0]
    axes = axes_in(op.axes, x.ndim)
    shape = [n if axis in axes else 1 for axis, n in enumerate(x.shape)]
    return _standardized(local, op.axes, op.epsilon, op.gamma.reshape(shape), op.beta.reshape(shape))


@_rule(ops.L2Normalization)
def _l2_normalization(local: Local) -> list[Error]:
    (x,), size = local.inputs, np.abs(local.result)
    along = axes_in(local.op.axes, x.ndim)
    n = int(np.prod([x.shape[axis] for axis in along]))
    return [Error(local.once * np.sqrt(2) * size), Error(local.unit * (_positive(n) / 2 + _FUNCTION) * size, along)]


@_rule(ops.LocalResponseNormalization)
def _local_response_normalization(local: Local) -> list[Error]:
    op, size = local.op, np.abs(local.result)
    return [Error(local.unit * size * (_FUNCTION * 2 + abs(op.beta) * (_positive(op.size) + 1)))]


@_rule(ops.ReduceL2)
def _l2(local: Local) -> list[Error]:
    n = local.op.count(local.inputs[0].shape)
    return [Error(local.unit * (_positive(n) / 2 + _FUNCTION) * np.abs(local.result))]


@_rule(ops.ReduceSumSquare)
def _sum_square(local: Local) -> list[Error]:
    n = local.op.count(local.inputs[0].shape)
    return [Error(local.unit * (_positive(n) + 1) * np.abs(local.result))]


@_rule(ops.ReduceLogSum)
def _log_sum(local: Local) -> list[Error]:
    """ln of a sum, whose relative error is an absolute one of the result."""
    (x,) = local.inputs
    total = local.remade(lambda op: ops.ReduceSum(op.axes, op.keepdims))
    n, squares = local.op.count(x.shape), np.asarray(total.run(x**2))
    value = np.asarray(total.run(x))
    relative = np.sqrt(_sum_variance(local.unit, n, value, squares)) / np.abs(value)
    return [Error(np.hypot(_FUNCTION * local.unit * local.result, relative))]


@_rule(ops.ReduceSumLog)
def _sum_log(local: Local) -> list[Error]:
    """Add up logarithms, each of which is off by a rounding of its argument."""
    (x,), op = local.inputs, local.op
    logs, n = np.log(x + op.epsilon), op.count(x.shape)
    squares = np.asarray(local.remade(lambda op: ops.ReduceSum(op.axes, op.keepdims)).run(np.square(logs)))
    variance = _sum_variance(local.unit, n, local.result, squares) + n * (local.unit * _ARGUMENT) ** 2
    return [Error(np.sqrt(variance + (_FUNCTION * local.unit) ** 2 * squares))]


@_rule(ops.ReduceLogSumExp)
def _log_sum_exp(local: Local) -> list[Error]:
    """Max + ln of a sum."""
    n = local.op.count(local.inputs[0].shape)
    largest = np.asarray(local.remade(lambda op: ops.ReduceMax(op.axes, op.keepdims)).run(local.inputs[0]))
    log = np.log(n)
    return [Error(local.unit * np.sqrt((_positive(n) + _FUNCTION * (1 + log)) ** 2 + largest**2 / 3 + local.result**2))]


@_rule(ops.SimpleRecurrent, ops.GRU, ops.LSTM, ops.BidirectionalLSTM)
def _recurrent(local: Local) -> list[Error]:
    """Round the results; the rest is `disturbed` within."""
    return [Error(_FUNCTION * local.unit * np.abs(local.result))]


@_rule(ops.ScaledDotProductAttention)
def _attention(local: Local) -> list[Error]:
    """Round the results; the rest is `disturbed` within."""
    return [Error(local.once * np.sqrt(2) * np.abs(local.result))]


# ---- Errors that arise within an operation ----

#: Relative errors of a shape, drawn by a name.
Draw: TypeAlias = Callable[[str, Array], NDArray[np.float64]]


def disturbed(step: Step, inputs: Sequence[Any], rounding: Rounding, draws: Draws, run: int) -> tuple[Any, ...] | None:
    """Return the results of an operation whose errors pass through functions within it; None for all others.

    Recurrent operations: each weight is off by as much as the sum that it goes into, about 0.3 sqrt(n) units roundoff,
    and one more. It is the same error in every step, which is more than there is. Attention: so are keys and values.
    """
    kind = step.op.kind
    if kind is ops.ScaledDotProductAttention:
        query, key, value, *mask = inputs
        key = key * (1 + _of_terms(key.shape[-1], rounding) * draws.normals(key, "key", run))
        value = value * (1 + _of_terms(value.shape[-2], rounding) * draws.normals(value, "value", run))
        made: Any = step.op.run(query, key, value, *mask)
    elif kind in (ops.SimpleRecurrent, ops.GRU, ops.LSTM, ops.BidirectionalLSTM):
        change = partial(_with_disturbed_gates, rounding=rounding, draws=draws, run=run)
        made = _remade(step.op, change, inputs).run(*inputs)
    else:
        return None
    return made if isinstance(made, tuple) else (made,)


def _of_terms(n: int, rounding: Rounding) -> float:
    """Return by how much each factor is off if their sum is as usual, for n products of both signs; and one unit more.

    The unit is for the roundings of the functions and products behind the sum.
    """
    one = np.ones(())
    return float(np.sqrt(_sum_variance(rounding.unit, n, one, one)) + rounding.unit)


def _with_disturbed_gates(op: Any, rounding: Rounding, draws: Draws, run: int) -> Any:
    if isinstance(op, ops.BidirectionalLSTM):
        parts = (op.forward, op.backward)
        forward, backward = (_with_disturbed_gates(part, rounding, draws, run) for part in parts)
        return replace(op, forward=forward, backward=backward)
    gates = op.gates
    size = _of_terms(gates.inputs.shape[1] + gates.recursion.shape[1], rounding)

    def moved(weights: Array | None, name: str) -> Array | None:
        return None if weights is None else weights * (1 + size * draws.normals(weights, name, run))

    inputs, recursion = moved(gates.inputs, "inputs"), moved(gates.recursion, "recursion")
    assert inputs is not None
    assert recursion is not None
    changed: dict[str, Any] = {"gates": GateWeights(inputs, recursion, moved(gates.bias, "bias"))}
    for name in ("recurrent_bias", "peepholes"):
        if getattr(op, name, None) is not None:
            changed[name] = moved(getattr(op, name), name)
    return replace(op, **changed)
