"""How far rounding can move each blob of a network: a forward error bound, derived layer by layer.

The network runs in double precision. Beside each blob runs a radius: what rounding in the layer itself can add, and
what the radii of the layer's inputs become on their way through it. One rule a layer:

* layers that move values about, and those that rise in all of their inputs (pooling, means, interpolation, most
  activations): the layer is run at the ends of the interval;
* linear layers (convolution, products): the layer is run with the absolute values of its weights, on the radii and on
  the absolute values of its input, whose sum times n * unit bounds rounding in a sum of n terms in any order;
* products, norms, softmax, recurrent layers: ball arithmetic (`refcoreml.testing.balls`) on the layer's formula;
* comparisons, arg max, sorting: exact where the intervals do not touch, else undetermined (an infinite radius).

A layer without a rule is an error (`UnsupportedModelError`), never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

import numpy as np

from refcoreml.errors import UnsupportedModelError, UsageError
from refcoreml.kernels import recurrent
from refcoreml.model import Model
from refcoreml.neuralnetwork.graph import flat
from refcoreml.neuralnetwork.layers.recurrent import recurrent_functions
from refcoreml.neuralnetwork.network import Step
from refcoreml.neuralnetwork.registry import LAYERS, Node, Op, channel_axis
from refcoreml.testing.balls import FUNCTION, Ball, Doubles, Rounding, ends, farther

__all__ = ["RULES", "BlobBound", "Constants", "blob_bounds"]

#: Unit roundoff of single precision, rounding to nearest.
UNIT32 = 2.0**-24
#: Stands for that of double precision, 2^-53, times 8: two computations are compared, and a bound's own arithmetic, in
#: double precision too, moves both ends of an interval.
UNIT64 = 2.0**-50


@dataclass(frozen=True)
class Constants:
    """How far the numbers stored in a network may be from those of its source.

    Attributes:
        known: values that the source holds, sorted: a tensor made of these alone is exact. None: all tensors are.
        roundings: how many roundings to single precision a tensor with other values has seen. A batch norm folded into
            weights takes: variance + epsilon, root, quotient, product, and the storing; 8 are allowed.
        terms: the greatest magnitude among the terms of a folded bias, whose roundings remain when the terms cancel.
        scalars: whether plain numbers in the model (epsilon, alpha, ...) were rounded when they were stored.
    """

    known: Doubles | None = None
    roundings: int = 8
    terms: float = 0.0
    scalars: bool = True

    def radius(self, values: Doubles) -> Doubles:
        """The radii of a tensor of weights."""
        if self.known is None or _are_among(values, self.known):
            return np.zeros_like(values)
        size: Doubles = np.abs(values) + (self.terms if values.ndim <= 1 else 0.0)
        return self.roundings * UNIT32 * size

    def scalar(self, value: float) -> Ball:
        """A plain number of the model: off by one rounding, unless it is a small multiple of 2^-10."""
        ball = Ball.exact(value)
        if not self.scalars or value * 1024 == round(value * 1024):
            return ball
        return Ball(ball.mid, np.abs(ball.mid) * UNIT32)


#: A network as it stands: its own numbers are the truth.
AS_STORED = Constants(scalars=False)


def _are_among(values: Doubles, known: Doubles) -> bool:
    """Whether all values are multiples of 2^-10 (zeros, ones, sizes, indices) or among the known ones."""
    flat_values = values.reshape(-1)
    plain = flat_values * 1024 == np.rint(flat_values * 1024)
    if not len(known):
        return bool(plain.all())
    places = np.minimum(np.searchsorted(known, flat_values), len(known) - 1)
    return bool((plain | (known[places] == flat_values)).all())


@dataclass(frozen=True)
class BlobBound:
    """A blob in double precision and how far another computation of it may be away.

    Attributes:
        layer, kind: the layer that produced it last, and its type.
        value: the blob in double precision.
        radius: the bound, place by place; infinite where the value is undetermined, such as a comparison of numbers
            that rounding may exchange.
    """

    layer: str
    kind: str
    value: Doubles
    radius: Doubles


def blob_bounds(
    model: Model, inputs: Mapping[str, Any], *, unit: float = UNIT32, constants: Constants = AS_STORED
) -> dict[str, BlobBound]:
    """Bounds for all blobs of a network; of a blob written several times, those of the last time.

    Args:
        model: a network loaded with ``precision="float64"``.
        inputs: its inputs, taken as exact.
        unit: the unit roundoff of the computation that is bounded.
        constants: how far the network's own numbers may be off.

    Raises:
        UnsupportedModelError: a layer has no rule.
    """
    return {name: bound for name, bound, _ in trace_bounds(model, inputs, unit=unit, constants=constants)}


def trace_bounds(
    model: Model, inputs: Mapping[str, Any], *, unit: float = UNIT32, constants: Constants = AS_STORED
) -> Iterator[tuple[str, BlobBound, Step]]:
    """Yields (blob, bound, step) as layers run; see `blob_bounds`."""
    if model.precision != "float64":
        raise UsageError(f"bounds need the network in float64, this is {model.precision}")
    evaluator: Any = model.prepare()
    rounding = Rounding(unit, 2.0**-149 if unit >= UNIT32 else 2.0**-1000)
    overflow = float(np.finfo(np.float32).max) if unit >= UNIT32 else np.inf
    variants: dict[int, dict[str, Op]] = {}
    radii = _image_radii(model, inputs, unit, constants)
    decisions = set(_conditions([step.node for step in evaluator.network.steps]))
    for step, arguments, results in evaluator.trace(model._checked(evaluator, inputs)):
        rule = RULES.get(step.kind)
        if rule is None:
            raise UnsupportedModelError("there is no rule for its rounding errors", where=step.node.where)
        balls = [
            Ball(np.asarray(value, np.float64), radii.get(name, np.zeros(value.shape)))
            for name, value in zip(step.inputs, arguments, strict=True)
        ]
        layer = Layer(step, rounding, constants, variants.setdefault(id(step), {}))
        with np.errstate(all="ignore"):
            exact = _counts(step.node) and all(map(_is_counting, (*balls, *map(Ball.exact, results))))
            found = [0.0] * len(results) if exact else rule(layer, balls, list(results))
        for name, value, radius in zip(step.outputs, results, found, strict=True):
            unknown = np.isnan(radius) | (np.abs(value) + radius > overflow)
            radius = np.broadcast_to(np.where(unknown, np.inf, radius), value.shape)
            if name in decisions and (radius >= 0.5).any():
                raise Undetermined(step.node.where)
            radii[name] = radius
            yield name, BlobBound(step.name, step.kind, np.asarray(value, np.float64), radius), step


def _image_radii(model: Model, inputs: Mapping[str, Any], unit: float, constants: Constants) -> dict[str, Doubles]:
    """What preprocessing does to images: y = s x + b rounds s x and the sum, and s and b when they were stored.

    With |s x| <= |y| + |b|, each step adds at most (2 unit + 2 stored) * (|y| + |b|); a mean image counts as b.
    """
    message = getattr(model.spec, model.kind)
    evaluator: Any = model.prepare()
    blobs = evaluator.interface.to_blobs(model._checked(evaluator, inputs))
    radii: dict[str, Doubles] = {}
    for feature in model.inputs:
        if feature.kind != "image" or feature.name not in blobs:
            continue
        size = np.abs(blobs[feature.name])
        radii[feature.name] = np.zeros(size.shape)
        for step in message.preprocessing:
            if step.featureName not in ("", feature.name):
                continue
            scaler = step.scaler
            bias = max(map(abs, (scaler.redBias, scaler.greenBias, scaler.blueBias, scaler.grayBias)))
            if step.WhichOneof("preprocessor") == "meanImage":
                bias = max(map(abs, step.meanImage.meanImage), default=0.0)
            factor = 2 * unit + (2 * UNIT32 if constants.scalars else 0.0)
            radii[feature.name] = abs(scaler.channelScale or 1.0) * radii[feature.name] + factor * (size + bias)
    return radii


#: Layers that are exact on whole numbers below 2^24, as long as their results are such numbers: loops count so.
_EXACT_ON_INTEGERS = {
    *("add", "addBroadcastable", "subtractBroadcastable", "multiply", "multiplyBroadcastable", "reduceSum", "cumSum"),
    *("modBroadcastable", "floorDivBroadcastable"),
}


def _counts(node: Node) -> bool:
    """Whether the layer is exact on whole numbers."""
    if node.kind == "activation" and node.params.WhichOneof("NonlinearityType") == "linear":
        numbers = node.params.linear.alpha, node.params.linear.beta
        return all(number == round(number) for number in numbers)
    return node.kind in _EXACT_ON_INTEGERS


def _is_counting(ball: Ball) -> bool:
    certain = not ball.rad.any()
    return certain and bool(((ball.mid == np.rint(ball.mid)) & (np.abs(ball.mid) < 2.0**24)).all())


class Undetermined(Exception):  # noqa: N818 (no failure: the sample decides nothing)
    """Rounding may turn a branch or a loop the other way, so that nothing can be said about what follows."""


def _conditions(nodes: Sequence[Node]) -> Iterator[str]:
    """Names of the blobs that branches and loops decide by."""
    for node in flat(nodes):
        if node.kind == "branch":
            yield from node.inputs
        elif node.kind == "loop":
            yield from (*node.inputs, node.params.conditionVar)


@dataclass(frozen=True)
class _Variant(Node):
    """A node whose weights are changed as they are decoded."""

    change: Callable[[str, Doubles], Doubles] = field(default=lambda _, values: values)

    def weights(self, field_name: str, shape: Any, *, channel_axis: int = 0, message: Any = None) -> Any:
        """As the node's own, changed."""
        values: Any = super().weights(field_name, shape, channel_axis=channel_axis, message=message)
        return self.change(field_name, values)


@dataclass(frozen=True)
class Layer:
    """What a rule sees: the layer, the arithmetic, and how far its constants may be off."""

    step: Step
    rounding: Rounding
    constants: Constants
    variants: dict[str, Op]

    @property
    def params(self) -> Any:
        """The layer's message."""
        return self.step.node.params

    def run(self, *arrays: Any) -> Any:
        """The layer itself."""
        return self.step.op.run(*arrays)  # type: ignore[misc]

    def run_variant(self, name: str, change: Callable[[str, Doubles], Doubles], *arrays: Any) -> Any:
        """The layer with changed weights; prepared once for each name."""
        if name not in self.variants:
            node = self.step.node
            variant = _Variant(**{f.name: getattr(node, f.name) for f in fields(Node)}, change=change)
            self.variants[name] = LAYERS[node.kind].prepare(variant)
        return self.variants[name].run(*arrays)  # type: ignore[misc]

    def scalar(self, name: str, default: float = 0.0) -> Ball:
        """A plain number of the message; a value of 0 stands for the default."""
        return self.constants.scalar(float(getattr(self.params, name)) or default)

    def weights(self, name: str, shape: Sequence[int], message: Any = None) -> Ball:
        """Decoded weights, as far as they are known."""
        values: Any = self.step.node.weights(name, tuple(shape), message=message)
        return Ball(values, self.constants.radius(values))


Rule: TypeAlias = Callable[[Layer, list[Ball], list[Any]], Sequence[Any]]

RULES: dict[str, Rule] = {}


def rule(*kinds: str) -> Callable[[Rule], Rule]:
    """Registers the rule of some layers."""

    def register(function: Rule) -> Rule:
        for kind in kinds:
            if kind in RULES or kind not in LAYERS:
                raise ValueError(f"{kind!r} has a rule, or is no layer")
            RULES[kind] = function
        return function

    return register


def _ends(layer: Layer, balls: Sequence[Ball], count: int) -> list[Doubles]:
    """How far each output moves when all inputs move to either end; the first ``count`` inputs hold values."""

    def at(sign: float) -> tuple[Any, ...]:
        moved = [ball.mid + sign * ball.rad if sign and i < count else ball.mid for i, ball in enumerate(balls)]
        outputs = layer.run(*moved)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    if all(not ball.rad.any() for ball in balls[:count]):
        return [np.zeros(np.shape(output)) for output in at(0)]
    return [farther(middle, low, high) for middle, low, high in zip(at(0), at(-1), at(1), strict=True)]


@rule(
    *("reshape", "flatten", "permute", "concat", "split", "sequenceRepeat", "slice", "crop", "copy"),
    *("reshapeStatic", "rankPreservingReshape", "flattenTo2D", "expandDims", "squeeze", "transpose"),
    *("concatND", "stack", "splitND", "tile", "broadcastToStatic", "sliceStatic", "slidingWindows", "reverse"),
    *("reorganizeData", "matrixBandPart", "lowerTriangular", "upperTriangular"),
    *("reduceMax", "reduceMin", "max", "min", "maxBroadcastable", "minBroadcastable", "clip", "ceil", "floor", "round"),
    *("sign", "globalPooling3d"),
)
def _values(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Values moved about, chosen by size or rounded to whole numbers: no new rounding."""
    if layer.step.kind == "clip":
        low, high = layer.scalar("minVal"), layer.scalar("maxVal")
        return [_ends(layer, balls, 1)[0] + np.maximum(low.rad, high.rad)]
    if layer.step.kind == "globalPooling3d":
        return _pooled(layer, balls, results)
    return _ends(layer, balls, len(balls))


@rule(
    *("reshapeLike", "reshapeDynamic", "broadcastToLike", "broadcastToDynamic", "sliceDynamic", "sliceBySize"),
    *("gather", "gatherND", "gatherAlongAxis", "reverseSeq"),
)
def _values_at(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Values moved about according to shapes or indices, which must be certain."""
    if any((ball.rad >= 0.5).any() for ball in balls[1:]):
        return [np.inf] * len(results)
    return _ends(layer, balls, 1)


@rule("constantPad")
def _constant_pad(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Values moved about, and a number put around them."""
    return [_ends(layer, balls, 1)[0] + layer.scalar("value").rad]


@rule("padding")
def _padding(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Values moved about, and a number put around them."""
    rad = layer.constants.scalar(layer.params.constant.value).rad if layer.params.HasField("constant") else 0.0
    return [_ends(layer, balls, 1)[0] + rad]


@rule("scatter", "scatterND", "scatterAlongAxis")
def _scattered(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Updates at certain places; sums round, products have no rule."""
    container, indices, updates = balls
    mode = layer.params.DESCRIPTOR.fields_by_name["mode"].enum_type.values_by_number[layer.params.mode].name
    if (indices.rad >= 0.5).any() or mode not in ("SCATTER_UPDATE", "SCATTER_ADD", "SCATTER_SUB"):
        return [np.inf]
    high = [layer.run(ball, indices.mid, update) for ball, update in _corners(container, updates)]
    rad = farther(np.asarray(results[0], np.float64), *high)
    count = 0 if mode == "SCATTER_UPDATE" else indices.mid.size
    size = np.abs(container.mid).max(initial=0) + count * updates.size.max(initial=0)
    return [rad + count * layer.rounding.unit * size]


def _corners(a: Ball, b: Ball) -> Iterator[tuple[Doubles, Doubles]]:
    for s in (-1, 1):
        for t in (-1, 1):
            yield a.mid + s * a.rad, b.mid + t * b.rad


@rule(
    *("getShape", "fillLike", "fillStatic", "fillDynamic", "rangeStatic", "rangeDynamic"),
    *("loadConstant", "loadConstantND"),
)
def _constant(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Numbers of the model, or made of shapes."""
    kind = layer.step.kind
    if kind.startswith("load"):
        return [layer.run_variant("radius", lambda _, values: layer.constants.radius(values))]
    if kind.startswith("fill"):
        return [layer.scalar("value").rad]
    if kind == "getShape":
        return [0.0]
    values = np.asarray(results[0], np.float64)
    return [0.0 if (values == np.rint(values)).all() else 4 * max(layer.rounding.unit, UNIT32) * np.abs(values)]


@rule("reduceSum", "reduceMean", "cumSum", "average", "add", "addBroadcastable")
def _sum(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Sums, which rise in all of their terms; n roundings of the sum of absolute values."""
    if layer.step.kind == "add" and len(balls) == 1:
        return [layer.rounding.add(balls[0], layer.scalar("alpha")).rad]
    if layer.step.kind == "cumSum" and len(balls) > 1 and (balls[1].rad >= 0.5).any():
        return [np.inf]
    values = 1 if layer.step.kind == "cumSum" else len(balls)
    count = max(ball.mid.size for ball in balls[:values]) // max(1, results[0].size) + len(balls) + 1
    if layer.step.kind == "cumSum":
        count = max(balls[0].mid.shape)
    size = layer.run(*(ball.size if i < values else ball.mid for i, ball in enumerate(balls)))
    return [_ends(layer, balls, values)[0] + count * layer.rounding.unit * size]


@rule("subtractBroadcastable")
def _difference(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    return [layer.rounding.subtract(*balls).rad]


@rule("multiply", "multiplyBroadcastable")
def _product(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    product, *others = balls if len(balls) > 1 else [balls[0], layer.scalar("alpha")]
    for ball in others:
        product = layer.rounding.multiply(product, ball)
    return [product.rad]


@rule("divideBroadcastable")
def _quotient(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    return [layer.rounding.divide(*balls).rad]


@rule("floorDivBroadcastable")
def _floored(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Floor of a quotient: certain where both ends have the same one."""
    return [_floor(layer, *balls).rad]


def _floor(layer: Layer, a: Ball, b: Ball) -> Ball:
    if not (a.rad.any() or b.rad.any()):
        return Ball.exact(np.floor_divide(a.mid, b.mid))
    quotient = layer.rounding.divide(a, b)
    return Ball(np.floor(a.mid / b.mid), ends(np.floor, Ball(a.mid / b.mid, quotient.rad)))


@rule("modBroadcastable")
def _remainder(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """A - b * floor(a / b); the floor of exact numbers is certain, fmod is exact up to one addition."""
    a, b = balls
    if not (a.rad.any() or b.rad.any()):
        return [layer.rounding.unit * np.abs(b.mid) + np.zeros(results[0].shape)]
    return [layer.rounding.subtract(a, layer.rounding.multiply(b, _floor(layer, a, b))).rad]


@rule("powBroadcastable")
def _power(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    return [_power_radius(layer, *balls)]


def _power_radius(layer: Layer, a: Ball, b: Ball) -> Doubles:
    """Positive bases: x^y = e^(y ln x) is greatest and least at corners. Others: whole, certain exponents >= 0 only,

    where | |x + r|^n - |x|^n | bounds the change.
    """
    middle = np.power(a.mid, b.mid)
    positive = a.mid - a.rad > 0
    corners = farther(middle, *(np.power(x, y) for x, y in _corners(a, b)))
    size = np.abs(a.mid)
    whole = (b.rad == 0) & (b.mid == np.rint(b.mid)) & (b.mid >= 0)
    grown = np.power(size + a.rad, b.mid) - np.power(size, b.mid)
    rad = np.where(positive, corners, np.where(whole, grown, np.inf))
    return layer.rounding.rounded(Ball(middle, rad), FUNCTION).rad


_RISING = {
    **dict.fromkeys(("exp2", "erf", "atan", "sinh", "tanh", "asinh"), True),
    **dict.fromkeys(("asin", "acos", "atanh", "acosh", "tan"), False),
}


@rule(*_RISING)
def _function(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Functions that rise (or fall) on the interval; those with a domain are undetermined when it is left."""
    (x,) = balls
    rad = _ends(layer, balls, 1)[0]
    if layer.step.kind == "tan":  # rises between its poles
        rad = np.where(np.floor((x.mid - x.rad) / np.pi + 0.5) == np.floor((x.mid + x.rad) / np.pi + 0.5), rad, np.inf)
    return [layer.rounding.rounded(Ball(results[0], rad), FUNCTION).rad]


#: Layers whose function changes by at most this factor times the change of its argument.
_LIPSCHITZ = {"sin": 1.0, "cos": 1.0, "gelu": 1.2}


@rule(*_LIPSCHITZ)
def _lipschitz(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    rad = _LIPSCHITZ[layer.step.kind] * balls[0].rad
    # A gate computed beside the argument rounds in terms of the argument, too.
    size = np.abs(results[0]) + (0.0 if layer.step.kind == "gelu" else rad)
    return [layer.rounding.rounded(Ball(results[0], rad), FUNCTION, size + rad).rad]


@rule("cosh")
def _even(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    size = np.abs(balls[0].mid)
    return [layer.rounding.rounded(Ball(results[0], np.cosh(size + balls[0].rad) - np.cosh(size)), FUNCTION).rad]


@rule("unary")
def _unary(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    params, rounding = layer.params, layer.rounding
    name = params.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[params.type].name
    x = balls[0]
    if (params.scale or 1.0) != 1 or params.shift != 0:
        x = rounding.affine(x, layer.scalar("scale", 1.0), layer.scalar("shift"))
    if name == "ABS":
        return [x.rad]
    if name == "THRESHOLD":
        return [np.maximum(x.rad, layer.scalar("alpha").rad)]
    if name == "POWER":
        return [_power_radius(layer, x, layer.scalar("alpha"))]
    if name == "EXP":
        return [rounding.monotone(x, np.exp).rad]
    if name == "SQRT":
        inside = Ball(x.mid, np.where(x.mid - x.rad >= 0, x.rad, np.minimum(x.rad, np.abs(x.mid) + x.rad)))
        return [rounding.monotone(inside, lambda v: np.sqrt(np.maximum(v, 0))).rad]
    x = rounding.add(x, layer.scalar("epsilon", 0.0 if name == "LOG" else 1e-6))
    if name == "LOG":
        return [rounding.rounded(rounding.monotone(x, np.log), FUNCTION, np.abs(results[0])).rad]
    return [rounding.reciprocal(rounding.root(x) if name == "RSQRT" else x).rad]


@rule("activation", "clampedReLU")
def _activation(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Rising functions at both ends; affine ones by balls; slopes of a ReLU by the greater of 1 and |alpha|."""
    (x,), rounding = balls, layer.rounding
    if layer.step.kind == "clampedReLU":
        alpha, beta = layer.scalar("alpha"), layer.scalar("beta")
        rad = np.maximum(1.0, alpha.size) * x.rad + np.abs(x.mid) * alpha.rad + beta.rad
        return [rounding.rounded(Ball(results[0], rad)).rad]
    name = layer.params.WhichOneof("NonlinearityType")
    message = getattr(layer.params, name)
    if name == "linear":
        return [rounding.affine(x, *(layer.constants.scalar(v) for v in (message.alpha, message.beta))).rad]
    if name == "ReLU":
        return [np.where(np.abs(x.mid) <= x.rad, np.maximum(x.mid, 0) + x.rad, np.where(x.mid > 0, x.rad, 0.0))]
    if name == "thresholdedReLU":  # jumps from 0 to alpha
        alpha = layer.constants.scalar(message.alpha)
        crosses = np.abs(x.mid - alpha.mid) <= x.rad + alpha.rad
        crosses &= (x.rad + alpha.rad) > 0
        return [np.where(crosses, alpha.size + 2 * x.rad, np.where(x.mid > alpha.mid, x.rad, 0.0))]
    if name == "leakyReLU":
        alpha = layer.constants.scalar(message.alpha)
        rad = np.maximum(1.0, alpha.size) * x.rad + np.maximum(-x.mid, 0) * alpha.rad
        return [rounding.rounded(Ball(results[0], rad)).rad]
    if name == "PReLU":
        steepest = layer.run_variant("abs", lambda _, values: np.maximum(np.abs(values), 1.0), -x.rad)
        off = layer.run_variant("radius", lambda _, values: layer.constants.radius(values), -np.abs(x.mid))
        return [rounding.rounded(Ball(results[0], np.abs(steepest) + np.abs(off))).rad]
    numbers = [layer.constants.scalar(getattr(message, f)) for f in ("alpha", "beta") if hasattr(message, f)]
    if name in ("sigmoidHard", "scaledTanh"):
        inner = rounding.multiply(x, numbers[name == "scaledTanh"])
        inner = rounding.add(inner, numbers[1]) if name == "sigmoidHard" else inner
        if name == "sigmoidHard":
            return [inner.rad]
        return [rounding.multiply(rounding.monotone(inner, np.tanh), numbers[0]).rad]
    if name in ("tanh", "sigmoid", "softsign", "softplus", "ELU"):
        rad = _ends(layer, balls, 1)[0] + (numbers[0].rad if numbers else 0.0)
        size = np.abs(results[0]) + rad
        if name == "softplus":  # torch and others switch to x where it is large: log(1 + e^-20) is 2.1e-9
            rad = rad + np.where(x.mid + x.rad > 20, 2.1e-9, 0.0)
        return [rounding.rounded(Ball(results[0], rad), FUNCTION, size).rad]
    return [np.inf]


def _absolute(layer: Layer, x: Ball, terms: int) -> Doubles:
    """The radius of W x + b: |W| r + dW (|x| + r) + n u (|W| (|x| + r) + |b|)."""

    def bias(name: str) -> bool:
        return name.startswith("bias")

    moved = layer.run_variant("linear", lambda name, w: np.zeros_like(w) if bias(name) else np.abs(w), x.rad)
    size = layer.run_variant("absolute", lambda _, w: np.abs(w), x.size)
    off = layer.run_variant("radius", lambda _, w: layer.constants.radius(w), x.size)
    if _is_counting(x) and not off.any():  # whole numbers times whole numbers, as a selection or a shift has them
        fractions = layer.run_variant("fraction", lambda _, w: np.abs(w - np.rint(w)), np.ones_like(x.mid))
        if not fractions.any() and size.max(initial=0) < 2.0**24:
            return np.zeros_like(size)
    return np.asarray(moved + off + terms * layer.rounding.unit * size)


@rule("convolution", "convolution3d", "innerProduct", "batchedMatmul", "scale", "bias", "dot")
def _linear(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    kind, params = layer.step.kind, layer.params
    if len(balls) == 2:
        return [_bilinear(layer, *balls)]
    if kind == "convolution":
        terms = params.kernelChannels * int(np.prod(params.kernelSize or (3, 3)))
    elif kind == "convolution3d":
        terms = balls[0].mid.shape[-4] * params.kernelDepth * params.kernelHeight * params.kernelWidth
    elif kind == "innerProduct":
        terms = params.inputChannels
    else:
        terms = params.weightMatrixFirstDimension if kind == "batchedMatmul" else 1
    return [_absolute(layer, balls[0], terms + 2)]


def _bilinear(layer: Layer, a: Ball, b: Ball) -> Doubles:
    """|a| db + da |b| + da db + n u |a| |b|, each by the layer itself; a stored bias only widens the bound."""
    if layer.step.kind == "dot":
        return np.full((), np.inf)
    size_a, size_b = np.abs(a.mid), np.abs(b.mid)
    if layer.step.kind == "batchedMatmul":
        terms = a.mid.shape[-2 if layer.params.transposeA and a.mid.ndim > 1 else -1]
    else:
        terms = int(np.prod(b.mid.shape[1:]))

    if _is_counting(a) and _is_counting(b) and terms * size_a.max(initial=0) * size_b.max(initial=0) < 2.0**24:
        return np.zeros(())

    def run(x: Doubles, y: Doubles) -> Any:
        return layer.run_variant("absolute", lambda _, w: np.abs(w), x, y)

    rad = run(size_a, b.rad) + run(a.rad, size_b + b.rad)
    return np.asarray(rad + (terms + 2) * layer.rounding.unit * run(a.size, b.size))


@rule("embedding", "embeddingND")
def _embedding(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Rows of a table at certain places."""
    if (balls[0].rad >= 0.5).any():
        return [np.inf]
    rad = layer.run_variant("radius", lambda _, w: layer.constants.radius(w), balls[0].mid)
    return [rad + (layer.rounding.unit * np.abs(results[0]) if layer.params.hasBias else 0.0)]


@rule("pooling", "pooling3d")
def _pooled(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Maxima move values; means are sums of at most as many terms as a channel has values; L2 is a root of one."""
    (x,), params, rounding = balls, layer.params, layer.rounding
    names = params.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number
    kind = names[params.type].name
    if kind == "MAX":
        return _ends(layer, balls, 1)
    terms = int(np.prod(x.mid.shape[-2 if layer.step.kind == "pooling" else -3 :])) + 2
    size = layer.run(x.size)
    if kind == "L2":  # sqrt(sum x^2) is a norm: it changes by at most the norm of the change
        return [layer.run(x.rad) + terms * rounding.unit * size]
    return [_ends(layer, balls, 1)[0] + terms * rounding.unit * size]


@rule("upsample", "resizeBilinear")
def _resized(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Interpolation: rises in all pixels; twice y = a + w (b - a), each with 4 roundings, w itself rounded.

    The rounding of w counts against |b - a|, not above twice the greatest neighbour, so that all is bounded by the
    greatest pixel of the channel. A source in single precision rounds its w as well, even if it works in double.
    """
    x = balls[0]
    rad = _ends(layer, balls, 1)[0]
    if layer.step.kind == "upsample" and layer.params.mode == layer.params.NN:
        return [rad]
    size = x.size.max(axis=(-1, -2), keepdims=True)
    return [rad + 16 * layer.rounding.unit * size]


@rule("softmax", "softmaxND")
def _softmax(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    axis = layer.params.axis if layer.step.kind == "softmaxND" else (-3 if balls[0].mid.ndim >= 4 else -1)
    return [layer.rounding.softmax(balls[0], axis).rad]


@rule("batchnorm")
def _batchnorm(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    (x,), params, rounding = balls, layer.params, layer.rounding
    axis = channel_axis(x.mid.ndim)
    shape = (-1, *(1,) * (-1 - axis))
    gamma, beta = (
        layer.weights(name, (params.channels,)).map(lambda v: v.reshape(shape)) for name in ("gamma", "beta")
    )
    epsilon = layer.scalar("epsilon", 1e-5)
    if params.computeMeanVar:
        leading = () if params.instanceNormalization else tuple(range(-x.mid.ndim, axis))
        return [rounding.affine(rounding.standardize(x, (*leading, *range(axis + 1, 0)), epsilon), gamma, beta).rad]
    mean, variance = (
        layer.weights(name, (params.channels,)).map(lambda v: v.reshape(shape)) for name in ("mean", "variance")
    )
    factor = rounding.divide(gamma, rounding.root(rounding.add(variance, epsilon)))
    return [rounding.affine(rounding.subtract(x, mean), factor, beta).rad]


@rule("mvn")
def _mvn(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    (x,), rounding = balls, layer.rounding
    axes = (-3, -2, -1) if layer.params.acrossChannels else (-2, -1)
    if layer.params.normalizeVariance:
        return [rounding.standardize(x, axes, layer.scalar("epsilon", 1e-6)).rad]
    return [rounding.subtract(x, rounding.mean(x, axes)).rad]


@rule("layerNormalization")
def _layer_norm(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    shape = tuple(layer.params.normalizedShape)
    y = layer.rounding.standardize(balls[0], tuple(range(-len(shape), 0)), layer.scalar("eps"))
    return [layer.rounding.affine(y, layer.weights("gamma", shape), layer.weights("beta", shape)).rad]


@rule("l2normalize")
def _l2_normalize(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    (x,), rounding = balls, layer.rounding
    total = rounding.add(rounding.sum(rounding.square(x), (-3, -2, -1)), layer.scalar("epsilon", 1e-6))
    return [rounding.divide(x, rounding.root(total)).rad]


@rule("lrn")
def _lrn(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    (x,), rounding, params = balls, layer.rounding, layer.params
    size = int(params.localSize)
    squares = rounding.square(x)
    channels = x.mid.shape[-3]

    def windows(values: Doubles) -> Doubles:
        moved = np.moveaxis(values, -3, 0)
        sums = [moved[max(0, c - size // 2) : c + (size - 1) // 2 + 1].sum(0) for c in range(channels)]
        return np.moveaxis(np.stack(sums), 0, -3)

    total = rounding.rounded(squares.map(windows), size, windows(squares.size))
    scaled = rounding.affine(
        total, rounding.divide(layer.scalar("alpha"), Ball.exact(float(size))), layer.scalar("k", 1.0)
    )
    power = Ball(np.power(scaled.mid, params.beta), _power_radius(layer, scaled, layer.scalar("beta")))
    return [rounding.divide(x, power).rad]


@rule("reduceL1", "reduceL2", "reduceSumSquare", "reduceProd", "reduceLogSum", "reduceLogSumExp", "reduce")
def _reduced(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    (x,), rounding, kind = balls, layer.rounding, layer.step.kind
    if kind == "reduce":
        return [np.inf]
    terms = x.mid.size // max(1, results[0].size) + 2
    y = Ball(np.asarray(results[0], np.float64), np.zeros(results[0].shape))
    if kind in ("reduceL1", "reduceL2"):  # norms: they change by at most the norm of the change
        return [rounding.rounded(Ball(y.mid, layer.run(x.rad)), terms).rad]
    if kind == "reduceSumSquare":
        grown = layer.run(x.size) - layer.run(np.abs(x.mid))
        return [rounding.rounded(Ball(y.mid, grown), terms).rad]
    if kind == "reduceProd":  # prod (|x| + r) - prod |x|
        grown = layer.run(x.size) - layer.run(np.abs(x.mid))
        return [rounding.rounded(Ball(y.mid, grown), terms, layer.run(x.size)).rad]
    if kind == "reduceLogSumExp":  # changes by at most the greatest change of a term
        greatest = np.broadcast_to(x.rad.max(), y.mid.shape)
        return [rounding.rounded(Ball(y.mid, greatest), terms + FUNCTION, np.abs(y.mid) + x.size.max() + 1).rad]
    # The logarithm of a sum of positive terms: their relative errors are absolute ones of the logarithm.
    rad = np.where((x.mid - x.rad).min() > 0, _ends(layer, balls, 1)[0] + terms * rounding.unit, np.inf)
    return [rounding.rounded(Ball(y.mid, rad), FUNCTION).rad]


@rule("equal", "notEqual", "lessThan", "lessEqual", "greaterThan", "greaterEqual")
def _compared(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    a, b = balls if len(balls) == 2 else (balls[0], layer.scalar("alpha"))
    rad = a.rad + b.rad
    return [np.where((rad > 0) & (np.abs(a.mid - b.mid) <= rad), 1.0, 0.0)]


@rule("logicalAnd", "logicalOr", "logicalXor", "logicalNot", "oneHot", "whereNonZero")
def _logical(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Certain inputs give certain outputs."""
    certain = all((ball.rad < 0.5).all() for ball in balls)
    if layer.step.kind == "whereNonZero":
        certain = not (balls[0].rad > 0).any()
    return [0.0 if certain else np.inf]


@rule("whereBroadcastable")
def _where(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    condition, a, b = balls
    certain = np.where(condition.mid != 0, a.rad, b.rad)
    return [np.where(condition.rad >= 0.5, np.abs(a.mid - b.mid) + np.maximum(a.rad, b.rad), certain)]


@rule("argMax", "argMin", "argSort", "topK")
def _ordered(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    """Places are certain where neighbours in the order cannot change places (equal exact values keep their order)."""
    x, params = balls[0], layer.params
    axis = params.axis
    order = np.argsort(x.mid, axis, kind="stable")
    values, radii = (np.take_along_axis(array, order, axis) for array in (x.mid, x.rad))
    first = np.take(values, range(values.shape[axis] - 1), axis), np.take(radii, range(values.shape[axis] - 1), axis)
    second = np.take(values, range(1, values.shape[axis]), axis), np.take(radii, range(1, values.shape[axis]), axis)
    reach = first[1] + second[1]
    clear = (second[0] - first[0] > reach) | (reach == 0)
    if layer.step.kind in ("argMax", "argMin"):  # only the winner counts
        best = x.mid.max(axis, keepdims=True) if layer.step.kind == "argMax" else x.mid.min(axis, keepdims=True)
        winner = np.expand_dims(x.mid.argmax(axis) if layer.step.kind == "argMax" else x.mid.argmin(axis), axis)
        reach = x.rad + np.take_along_axis(x.rad, winner, axis)
        beaten = (np.abs(best - x.mid) > reach) | (reach == 0)
        np.put_along_axis(beaten, winner, True, axis)
        certain = beaten.all(axis, keepdims=not getattr(params, "removeDim", False))
        return [np.where(certain, 0.0, np.inf).reshape(results[0].shape)]
    certain = np.broadcast_to(clear.all(axis, keepdims=True), results[-1].shape)
    places = np.where(certain, 0.0, np.inf)
    if layer.step.kind == "argSort":
        return [places]
    return [np.broadcast_to(x.rad.max(axis, keepdims=True), results[0].shape), places]


def _recurrent_weights(layer: Layer, message: Any, gates: Sequence[str], biases: bool) -> tuple[Ball, Ball, Ball]:
    """W [G, H, I], R [G, H, H], b [G, H] of some gates."""
    inputs, hidden = int(layer.params.inputVectorSize), int(layer.params.outputVectorSize)

    def stacked(suffix: str, *shape: int) -> Ball:
        names = [f"{gate}{suffix}" if gate else suffix[0].lower() + suffix[1:] for gate in gates]
        found = [layer.weights(name, shape, message=message) for name in names]
        return Ball(np.stack([ball.mid for ball in found]), np.stack([ball.rad for ball in found]))

    bias = stacked("BiasVector", hidden) if biases else Ball.exact(np.zeros((len(gates), hidden)))
    return stacked("WeightMatrix", hidden, inputs), stacked("RecursionMatrix", hidden, hidden), bias


class _Cell:
    """Balls through one step of a recurrent layer."""

    def __init__(self, layer: Layer, message: Any, gates: Sequence[str], biases: bool) -> None:
        self.rounding, self.gates = layer.rounding, gates
        self.weights, self.recursion, self.bias = _recurrent_weights(layer, message, gates, biases)

    def gate(self, name: str, x: Ball, h: Ball, extra: Ball | None = None) -> Ball:
        """clip(W x + R h + b [+ extra]) of one gate; x [Batch, I], h [Batch, H]."""
        i, r = self.gates.index(name), self.rounding

        def times(v: Ball, w: Ball) -> Ball:
            return r.matmul(v, Ball(w.mid[i].T, w.rad[i].T))

        total = r.add(r.add(times(x, self.weights), times(h, self.recursion)), self.bias.map(lambda b: b[i]))
        total = total if extra is None else r.add(total, extra)
        return Ball(np.clip(total.mid, -50, 50), total.rad)

    def apply(self, function: Any, x: Ball) -> Ball:
        """A recurrent activation, all of which rise."""
        return self.rounding.monotone(x, lambda v: np.asarray(function(v)))


def _states(layer: Layer, balls: list[Ball]) -> tuple[Ball, list[Ball]]:
    """X [Seq, Batch, I] and the states [Batch, H] that were given."""
    x, hidden = balls[0].map(lambda v: v[..., 0, 0]), int(layer.params.outputVectorSize)
    batch = (x.mid.shape[1], hidden)
    return x, [ball.map(lambda v: np.broadcast_to(v.reshape(-1, hidden), batch)) for ball in balls[1:]]


def _over_time(
    x: Ball, step: Callable[[Ball, tuple[Ball, ...]], tuple[Ball, ...]], states: tuple[Ball, ...], reverse: bool
) -> tuple[list[Doubles], tuple[Ball, ...]]:
    radii, times = [], range(len(x.mid))
    for time in reversed(times) if reverse else times:
        states = step(Ball(x.mid[time], x.rad[time]), states)
        radii.append(states[0].rad)
    return radii, states


def _shaped(radii: list[Doubles], states: Sequence[Ball], sequence: bool) -> list[Doubles]:
    y = np.stack(radii if sequence else radii[-1:])
    return [y[..., None, None], *(state.rad[None, ..., None, None] for state in states)]


@rule("simpleRecurrent")
def _simple_recurrent(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    (f,) = recurrent_functions(layer.step.node)
    x, (h, *_) = _states(layer, balls)
    cell = _Cell(layer, layer.params, [""], layer.params.hasBiasVector)
    run = _over_time(x, lambda v, s: (cell.apply(f, cell.gate("", v, s[0])),), (h,), layer.params.reverseInput)
    return _shaped(*run, layer.params.sequenceOutput)


@rule("gru")
def _gru(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    f, g = recurrent_functions(layer.step.node)
    x, states = _states(layer, balls)
    h = states[0] if states else Ball.exact(np.zeros((x.mid.shape[1], layer.params.outputVectorSize)))
    cell = _Cell(layer, layer.params, ["updateGate", "resetGate", "outputGate"], layer.params.hasBiasVectors)
    r = layer.rounding

    def step(v: Ball, s: tuple[Ball, ...]) -> tuple[Ball, ...]:
        update, reset = (cell.apply(f, cell.gate(name, v, s[0])) for name in ("updateGate", "resetGate"))
        output = cell.apply(g, cell.gate("outputGate", v, r.multiply(reset, s[0])))
        kept = r.multiply(update, s[0])
        return (r.add(r.multiply(r.subtract(Ball.exact(1.0), update), output), kept),)

    return _shaped(*_over_time(x, step, (h,), layer.params.reverseInput), layer.params.sequenceOutput)


def _lstm_direction(
    layer: Layer, message: Any, functions: Sequence[Any], x: Ball, states: Sequence[Ball], reverse: bool
) -> tuple[list[Doubles], tuple[Ball, ...]]:
    params, r = layer.params.params, layer.rounding
    f, g, activate = functions
    gates = ["inputGate", "forgetGate", "outputGate", "blockInput"]
    if params.coupledInputAndForgetGate:
        gates.remove("forgetGate")
    cell = _Cell(layer, message, gates, params.hasBiasVectors)
    hidden, limit = int(layer.params.outputVectorSize), params.cellClipThreshold or 50.0
    peepholes = {
        gate: layer.weights(f"{gate}PeepholeVector", (hidden,), message=message)
        for gate in gates[:-1]
        if params.hasPeepholeVectors
    }

    def gated(name: str, v: Ball, h: Ball, c: Ball) -> Ball:
        extra = r.multiply(peepholes[name], c) if peepholes else None
        return cell.apply(f, cell.gate(name, v, h, extra))

    def step(v: Ball, s: tuple[Ball, ...]) -> tuple[Ball, ...]:
        h, c = s
        i = gated("inputGate", v, h, c)
        forget = gated("forgetGate", v, h, c) if "forgetGate" in gates else r.subtract(Ball.exact(1.0), i)
        z = cell.apply(g, cell.gate("blockInput", v, h))
        c = r.add(r.multiply(forget, c), r.multiply(i, z))
        c = Ball(np.clip(c.mid, -limit, limit), c.rad)
        return r.multiply(gated("outputGate", v, h, c), cell.apply(activate, c)), c

    zeros = [Ball.exact(np.zeros((x.mid.shape[1], hidden)))] * (2 - len(states))
    start = tuple([*states, *zeros])
    return _over_time(x, step, start, reverse)


@rule("uniDirectionalLSTM")
def _lstm(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    x, states = _states(layer, balls)
    functions = recurrent_functions(layer.step.node)
    run = _lstm_direction(layer, layer.params.weightParams, functions, x, states, layer.params.reverseInput)
    return _shaped(*run, layer.params.params.sequenceOutput)


@rule("biDirectionalLSTM")
def _bidirectional(layer: Layer, balls: list[Ball], results: list[Any]) -> Sequence[Any]:
    x, states = _states(layer, balls)
    functions = recurrent_functions(layer.step.node)
    runs = [
        _lstm_direction(
            layer, layer.params.weightParams[i], functions[3 * i : 3 * i + 3], x, states[2 * i : 2 * i + 2], bool(i)
        )
        for i in (0, 1)
    ]
    (forward, *last), (backward, *last_backward) = (_shaped(*run, layer.params.params.sequenceOutput) for run in runs)
    return [recurrent.both_directions(forward[..., 0, 0], backward[..., 0, 0])[..., None, None], *last, *last_backward]
