"""The oracle: outputs in double precision, with an error bound for each number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refcoreml import features
from refcoreml.errors import InputError, UnsupportedModelError
from refcoreml.evaluators.base import Settings
from refcoreml.evaluators.network import NeuralNetworkEvaluator
from refcoreml.execution.engine import existing
from refcoreml.execution.limits import Budget, Limits
from refcoreml.features import ArrayFeature, DictionaryFeature, Feature, NumberFeature
from refcoreml.model import Model
from refcoreml.neuralnetwork.graph import make_nodes, walk_layers
from refcoreml.oracle.balls import Ball, Doubles, Rounding, ends
from refcoreml.oracle.bounds import BlobBound, Undetermined, trace_bounds, trace_layers
from refcoreml.oracle.inputs import stored_inputs
from refcoreml.oracle.profiles import Profile, profile_named
from refcoreml.oracle.rules.order import extreme_place
from refcoreml.oracle.storage import round_weights
from refcoreml.spec import schema
from refcoreml.spec.files import read_model

__all__ = ["Answer", "LayerAnswer", "blob_answers", "layer_answers", "oracle"]


class OpenDecisionError(InputError):
    """Rounding may turn a branch or loop either way, so that nothing can be said of what comes after it."""


@dataclass(frozen=True)
class Answer:
    """One output.

    An implementation y of the profile is right where y == value (infinities and NaN included) or
    |y - value| <= bound.

    Attributes:
        value: in double precision, from inputs and weights in the profile's storage type. Arrays have the shape of the
            output; images are [C, H, W] with channels as declared; numbers have no dimensions; dictionaries are the
            scores in the order of ``labels``; a predicted label is its place among them.
        bound: of the same shape; 0: exact; infinite: undetermined.
        check: the class of the bound: ``exact``, ``ulp``, ``dot``, ``func``, ``interval``, ``either``, the name of a
            layer that is a composite, or ``composite`` where several inexact layers follow one another.
        labels: the classes, of dictionaries of scores and predicted labels.
        deviation: of sums of exact numbers the standard deviation of the rounding error, for the statistical criterion
            by `refcoreml.oracle.deviation.spread` where the bound is too wide; else None.
    """

    value: Doubles
    bound: Doubles
    check: str
    labels: tuple[str | int, ...] = ()
    deviation: Doubles | None = None


def oracle(model: Any, inputs: Mapping[str, Any], profile: str | Profile = "fp32") -> dict[str, Answer]:
    """Compute each output of a network with a bound on what rounding may change.

    Args:
        model: anything that `refcoreml.load` takes, or a loaded model.
        inputs: as for `refcoreml.Model.predict`; they are rounded to the profile's storage type first.
        profile: the name of one of `PROFILES`, or a profile of your own.

    Returns:
        Answers by output name.

    Raises:
        UnsupportedModelError: no network, or one that draws random numbers or has custom layers.
        InputError: inputs that do not fit.
        OpenDecisionError: inputs at which rounding may turn a branch or loop either way.
        InvalidModelError: the model breaks a rule, or an output does not have the form that it declares.
    """
    spec = _spec(model)
    chosen = profile_named(profile)
    evaluator = _evaluator(model, spec, chosen)
    bounds = _blobs(spec, evaluator, inputs, chosen, evaluator.network.outputs)
    outputs = [Feature.of(feature) for feature in spec.description.output]
    _check_outputs(outputs, evaluator, bounds)
    return {feature.name: _answer(feature, evaluator, bounds) for feature in outputs}


def blob_answers(model: Any, inputs: Mapping[str, Any], profile: str | Profile = "fp32") -> dict[str, BlobBound]:
    """Return the answers of `oracle` for every blob; for a blob written several times, those of the last time."""
    spec, chosen = _spec(model), profile_named(profile)
    return _blobs(spec, _evaluator(model, spec, chosen), inputs, chosen)


@dataclass(frozen=True)
class LayerAnswer:
    """A layer by itself.

    Attributes:
        name, kind: the layer and its type.
        inputs: what to give it, in the order of its inputs: the reference's blobs in the profile's storage type.
        outputs: bounds by the name of the blob.
    """

    name: str
    kind: str
    inputs: list[Doubles]
    outputs: dict[str, BlobBound]


def layer_answers(model: Any, inputs: Mapping[str, Any], profile: str | Profile = "fp32") -> Iterator[LayerAnswer]:
    """Yield each layer as it runs, with inputs of its own: to judge a network layer by layer.

    The bounds of `oracle` grow along a network as the worst case does; these do not. Arguments and errors are those of
    `oracle`.
    """
    spec, chosen = _spec(model), profile_named(profile)
    evaluator = _evaluator(model, spec, chosen)
    given = _given(spec, evaluator, inputs, chosen)
    traced = trace_layers(evaluator.network, given, chosen.arithmetic, chosen, chosen.narrow_storage)
    for step, arguments, bounds in traced:
        yield LayerAnswer(step.name, step.kind, arguments, dict(zip(step.outputs, bounds, strict=True)))


def _spec(model: Any) -> schema.Model:
    return model.spec if isinstance(model, Model) else read_model(model).spec


def _evaluator(model: Any, spec: schema.Model, profile: Profile) -> NeuralNetworkEvaluator:
    kind = str(spec.WhichOneof("Type"))
    if kind not in ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor"):
        remedy = ""
        if kind == "mlProgram":
            remedy = (
                "To measure what rounding changes, compare the program with itself: refcoreml compare MODEL MODEL "
                "--precision float64 --precision-second declared, or compare_models in Python"
            )
        raise UnsupportedModelError(f"bounds are known for networks, not for models of type {kind}", remedy=remedy)
    for node in walk_layers(make_nodes(getattr(spec, kind).layers, kind)):
        if node.kind == "custom":  # registered or not
            problem = f"runs the code of {node.params.className!r}, whose rounding errors nobody knows"
            remedy = "Bounds are known where every layer is one of Core ML's own"
            raise UnsupportedModelError(problem, where=node.where, remedy=remedy)
    if profile.storage.format != np.float32:
        spec = schema.Model.FromString(spec.SerializeToString())
        round_weights(getattr(spec, kind), profile.storage)
    budget = Budget(model.limits if isinstance(model, Model) else Limits.of_environment())
    return NeuralNetworkEvaluator(spec, Settings("float64", budget=budget))


def _given(
    spec: schema.Model, evaluator: NeuralNetworkEvaluator, inputs: Mapping[str, Any], profile: Profile
) -> dict[str, Ball]:
    declared = [Feature.of(feature) for feature in spec.description.input]
    checked = features.check_inputs(declared, inputs, legacy_ranks=evaluator.legacy_ranks)
    return stored_inputs(evaluator.interface, checked, profile)


def _blobs(
    spec: schema.Model,
    evaluator: NeuralNetworkEvaluator,
    inputs: Mapping[str, Any],
    profile: Profile,
    wanted: Sequence[str] | None = None,
) -> dict[str, BlobBound]:
    given = _given(spec, evaluator, inputs, profile)
    bounds = {name: BlobBound("", "", ball.mid, ball.rad) for name, ball in given.items()}
    try:
        traced = trace_bounds(evaluator.network, given, profile.arithmetic, profile, profile.narrow_storage)
        for name, bound, _ in traced:
            if wanted is None or name in wanted:
                bounds[name] = bound
    except Undetermined as error:
        raise OpenDecisionError(
            "rounding may change this decision, so that all results after it are undetermined",
            where=str(error),
            remedy="Choose inputs for which the decision is certain",
        ) from None
    return bounds


def _check_outputs(
    outputs: Sequence[Feature], evaluator: NeuralNetworkEvaluator, bounds: Mapping[str, BlobBound]
) -> None:
    """Refuse what a prediction refuses: outputs that are missing, or not of the form that they declare."""
    blobs = {name: existing(bounds, name, evaluator.network.where).value for name in evaluator.network.outputs}
    made = evaluator.interface.from_blobs(blobs)
    for feature in outputs:
        features.finish_output(feature, made[feature.name])


def _answer(feature: Feature, evaluator: NeuralNetworkEvaluator, bounds: Mapping[str, BlobBound]) -> Answer:
    interface = evaluator.interface
    blob, labels = interface.source_of(feature)
    bound = bounds[blob]
    if labels:
        ball = Ball(bound.value.reshape(-1), bound.radius.reshape(-1))
        if isinstance(feature, (DictionaryFeature, ArrayFeature)):
            return Answer(ball.mid, ball.rad, bound.check, labels)
        place = np.asarray(float(ball.mid.argmax()))
        return Answer(place, extreme_place(ball, 0, False).reshape(()), "either", labels)
    value, radius = (interface.from_blob(feature, values) for values in (bound.value, bound.radius))
    ball = Ball(np.asarray(value, np.float64), np.asarray(radius, np.float64))
    answer = _finished(feature, ball, bound.check)
    if bound.deviation is None or answer.check != bound.check:
        return answer
    return replace(answer, deviation=np.reshape(bound.deviation, answer.value.shape))


def _finished(feature: Feature, ball: Ball, check: str) -> Answer:
    """Return what the conversion to the output's type makes of the interval."""
    shape = () if isinstance(feature, NumberFeature) else ball.mid.shape or (1,)
    ball = ball.map(lambda v: v.reshape(shape))
    cut = feature.cut
    if cut is not None:
        return Answer(cut(ball.mid), ends(cut, ball), "interval" if check != "exact" or ball.rad.any() else check)
    if feature.half:
        ball = Rounding.of(np.float16).stored(ball)
    return Answer(ball.mid, ball.rad, check)
