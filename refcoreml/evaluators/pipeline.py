"""Pipelines: models in a row, which hand features on by their names."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from refcoreml.errors import (
    InputError,
    InvalidModelError,
    RefCoreMLError,
    RefCoreMLWarning,
    UnsupportedModelError,
    found_by,
    within,
)
from refcoreml.evaluators.base import Evaluator, Settings, Trace, make_evaluator, what_to_do
from refcoreml.execution.engine import Observer
from refcoreml.execution.steps import Step
from refcoreml.features import ArrayFeature, Feature, read_features
from refcoreml.features.classifier import named_output
from refcoreml.spec import schema
from refcoreml.spec.files import check_model
from refcoreml.types import Shape

#: How deep pipelines may lie within one another.
DEEPEST_NESTING = 16


def inner_models(spec: schema.Model) -> list[tuple[str, schema.Model]]:
    """Return the names and messages of the models in a pipeline; none for models of other types.

    Models without names are called ``model0``, ``model1`` and so on.
    """
    kind = str(spec.WhichOneof("Type"))
    if not kind.startswith("pipeline"):
        return []
    message = getattr(spec, kind)
    pipeline = message if kind == "pipeline" else message.pipeline
    names = list(pipeline.names) or [f"model{index}" for index in range(len(pipeline.models))]
    names += [""] * (len(pipeline.models) - len(names))
    return list(zip(names, pipeline.models, strict=False))


@dataclass(frozen=True)
class _Stage:
    """A model in a pipeline, prepared; ``handed`` names the inputs that the models before it make."""

    name: str
    where: str
    evaluator: Evaluator
    inputs: list[Feature]
    outputs: list[Feature]
    handed: frozenset[str]

    @property
    def made(self) -> frozenset[str]:
        """The names of what it makes."""
        return frozenset(feature.name for feature in self.outputs)

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Blame the pipeline for shapes that do not fit where its models made all of them."""
        try:
            yield
        except InputError as error:
            if error.shapes and len(self.handed) == len(self.inputs):
                raise _of_models(error) from error
            raise


class Pipeline(Evaluator):
    """Runs models of any type one after the other, each on the features that exist by then.

    A model takes its inputs by name from the pipeline's inputs and the outputs of the models before it; of several
    features of one name the latest counts. At each border a feature has its declared type, as if the models were run by
    hand: arrays are rounded to it (to float32 where FLOAT32 is declared, also under precision ``float64``), images to
    bytes. The next model's declaration must be of the same kind; arrays are converted to its data type as inputs are,
    so that a fraction never becomes an integer, and images to its order of colours.

    Source: ``Pipeline``; that kinds must agree and the latest counts: PipelineValidator.cpp of coremltools (which wants
    equal types altogether).

    Raises:
        InvalidModelError: no models, names that are not one for each, a feature that nobody makes or of another kind.
        MalformedModelError: one of the models has no type or no specification version.
        UnsupportedModelError: some of the models cannot be run, or are of a newer specification; or pipelines in
            pipelines more than `DEEPEST_NESTING` deep.
    """

    def __init__(self, spec: schema.Model, settings: Settings) -> None:
        self._where, problems = str(spec.WhichOneof("Type")), settings.problems
        with found_by("pipeline.nesting"):
            if settings.depth >= DEEPEST_NESTING:
                raise UnsupportedModelError(f"pipelines lie more than {DEEPEST_NESTING} deep in one another")
        models = inner_models(spec)
        with problems.part("pipeline.names"):
            self._check_names(spec, models)
        if not models:
            problems.need_sound()
        description = spec.description
        self._inputs = {
            feature.name: feature for feature in read_features(description.input, "inputs", self._where, problems)
        }
        self._outputs = read_features(description.output, "outputs", self._where, problems)
        prefix = self._where if self._where == "pipeline" else f"{self._where}.pipeline"
        inner = replace(settings, depth=settings.depth + 1)
        places = [f"{prefix}.models[{index}] {name!r}" for index, (name, _) in enumerate(models)]
        for place, (_, message) in zip(places, models, strict=True):
            with problems.part("model.type", place):
                check_model(message, place)
        with problems.part("model.type"):
            self._refuse_unknown_types(dict(zip(places, models, strict=True)), settings)
        self._stages: list[_Stage] = []
        known, made = dict(self._inputs), set[str]()
        self._unread = _unread(description.input, self._inputs.values())
        for where, (name, message) in zip(places, models, strict=True):
            inside = problems.inside(where)
            outputs: list[Feature] = []
            with problems.part("pipeline.models", where), _inside_model(name, where):
                inputs = read_features(message.description.input, "inputs", "", inside)
                outputs = read_features(message.description.output, "outputs", "", inside)
                for feature in inputs:
                    with inside.part("pipeline.links"):
                        self._check_source(feature, f"input {feature.name!r}", known)
                if problems.sound(where):
                    evaluator = make_evaluator(message, replace(inner, problems=inside))
                    if evaluator.states:
                        raise UnsupportedModelError("models with states cannot be run inside a pipeline")
                    handed = frozenset(feature.name for feature in inputs if feature.name in made)
                    self._stages.append(_Stage(name, where, evaluator, inputs, outputs, handed))
            known.update({feature.name: feature for feature in outputs})
            made.update(feature.name for feature in outputs)
            self._unread |= _unread(message.description.output, outputs)
        if len(self._outputs) == len(description.output):
            with problems.part("pipeline.outputs"):
                self._check_predicted(description)
        for feature in self._outputs:
            with problems.part("pipeline.links"), within(self._where):
                self._check_source(feature, f"output {feature.name!r}", known)
            self._check_shape(feature, known.get(feature.name))
        self._made = {feature.name: known[feature.name] for feature in self._outputs if feature.name in known}
        self.inner = [stage.evaluator for stage in self._stages]
        self.legacy_ranks = any(
            stage.evaluator.legacy_ranks and any(feature.name in self._inputs for feature in stage.inputs)
            for stage in self._stages
        )

    def _check_names(self, spec: schema.Model, models: list[tuple[str, schema.Model]]) -> None:
        if not models:
            raise InvalidModelError("holds no models", where=self._where)
        message = getattr(spec, self._where)
        count = len((message if self._where == "pipeline" else message.pipeline).names)
        if count and count != len(models):
            raise InvalidModelError(f"has {count} names for {len(models)} models", where=self._where)
        names = [name for name, _ in models]
        repeated = [name for name, times in Counter(names).items() if times > 1]
        if repeated:
            raise InvalidModelError(f"several models have the name {repeated[0]!r}", where=self._where)

    def _refuse_unknown_types(self, models: Mapping[str, tuple[str, schema.Model]], settings: Settings) -> None:
        """Refuse models, by their places, of types that have no evaluator."""
        sound = settings.problems.sound
        kinds = {place: str(message.WhichOneof("Type")) for place, (_, message) in models.items() if sound(place)}
        missing = {place: kind for place, kind in kinds.items() if kind not in settings.evaluators}
        if missing:
            settings.problems.skip(missing)
            listed = ", ".join(f"{models[place][0]!r} ({kind})" for place, kind in missing.items())
            raise UnsupportedModelError(
                f"{len(missing)} of {len(models)} models can be inspected, but not run yet: {listed}",
                where=self._where,
                remedy=what_to_do(settings),
            )

    def _check_predicted(self, description: schema.ModelDescription) -> None:
        """Refuse a predicted feature that is no output, as Core ML does when it predicts; nothing else is insisted on.

        Apple's validator leaves the interface of pipelines that classify or regress alone.
        """
        predicted, scores = description.predictedFeatureName, description.predictedProbabilitiesName
        if self._where == "pipeline":
            return
        if predicted:
            named_output(self._outputs, "predictedFeatureName", predicted, (), self._where)
        if self._where == "pipelineClassifier" and scores and scores not in {output.name for output in self._outputs}:
            warnings.warn(
                f"{self._where}: predictedProbabilitiesName {scores!r} is not among the outputs",
                RefCoreMLWarning,
                stacklevel=4,
            )

    def _check_source(self, feature: Feature, what: str, known: Mapping[str, Feature]) -> None:
        source = known.get(feature.name)
        if feature.name in self._unread:
            return
        if source is None and not feature.optional:
            raise InvalidModelError(f"{what} is neither an input of the pipeline nor an output of a model before")
        if source is not None and not feature.accepts(source):
            raise InvalidModelError(f"{what} is {feature.describe()}, got {source.describe()}")

    def _check_shape(self, output: Feature, source: Feature | None) -> None:
        """Warn of an output whose declared shape is not its model's, as `Interface.check_outputs` does for networks."""
        if not isinstance(output, ArrayFeature) or not isinstance(source, ArrayFeature):
            return
        declared, made = (feature.shapes for feature in (output, source))
        flexible = any(shapes.listed or shapes.ranges for shapes in (declared, made))
        if flexible or declared.default is None or made.default is None:
            return
        if [n for n in declared.default if n != 1] != [n for n in made.default if n != 1]:
            warnings.warn(
                f"{self._where}: output {output.name!r} is declared as {output.describe()}, but the model that "
                f"makes it declares {source.describe()}; the pipeline's shape is not insisted on",
                RefCoreMLWarning,
                stacklevel=4,
            )

    def predict(self, inputs: Mapping[str, Any], observe: Observer | None = None) -> dict[str, Any]:
        """Compute the outputs by feature name from checked inputs."""
        values = self._given(inputs)
        for stage in self._stages:
            with _inside_model(stage.name, stage.where), stage.blamed():
                computed = stage.evaluator.predict(self._taken(stage, values), _renamed_observer(stage, observe))
                self._hand_on(stage, computed, values)
        return self._results(values)

    def trace(self, inputs: Mapping[str, Any]) -> Trace:
        """Compute layer by layer, model after model."""
        values = self._given(inputs)
        for stage in self._stages:
            with _inside_model(stage.name, stage.where), stage.blamed():
                events = stage.evaluator.trace(self._taken(stage, values))
                finish = yield from _renamed(stage, events)
                self._hand_on(stage, finish(), values)
        return partial(self._results, values)

    def shapes(self, inputs: Mapping[str, Shape] | None = None) -> dict[str, Shape]:
        """Return the shapes of the blobs as ``model/blob``, from those of the inputs, by default the declared ones."""
        found: dict[str, Shape] = {}
        made: set[str] = set()
        for stage in self._stages:
            given = {
                feature.name: inputs[feature.name]
                for feature in stage.inputs
                if inputs and feature.name in inputs and feature.name not in made
            }
            try:
                with _inside_model(stage.name, stage.where):
                    shapes = stage.evaluator.shapes(given)
            except RefCoreMLError as error:
                error.shapes = {**found, **error.shapes}
                raise
            found.update(_in_model(stage.name, shapes))
            made.update(stage.made)
        return found

    # --- features on their way, in the form in which people pass them ------------------------------------------------

    def _given(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._inputs[name].as_passed(value) for name, value in inputs.items()}

    def _taken(self, stage: _Stage, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the checked inputs of a model; blame the pipeline for results of models before that do not fit."""
        taken: dict[str, Any] = {}
        for handed in (False, True):
            features = [feature for feature in stage.inputs if (feature.name in stage.handed) == handed]
            present = {feature.name: values[feature.name] for feature in features if feature.name in values}
            try:
                taken.update(stage.evaluator.check_inputs(features, present))
            except InputError as error:
                if handed:
                    raise _of_models(error) from error
                raise
        return taken

    def _hand_on(self, stage: _Stage, computed: Mapping[str, Any], values: dict[str, Any]) -> None:
        for feature in stage.outputs:
            if feature.name in computed:
                values[feature.name] = feature.as_passed(computed[feature.name])

    def _results(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the pipeline's own outputs in their types; as with networks, shapes of arrays are not insisted on.

        A model's output already has the type that the model declares. So what does not fit is the fault of the
        pipeline, which declares another one; Apple's validator refuses such pipelines altogether.
        """
        return {
            output.name: self._own(output, values[output.name]) for output in self._outputs if output.name in values
        }

    def _own(self, output: Feature, value: Any) -> Any:
        try:
            return output.converted(value)
        except InputError as error:
            stage = next((stage for stage in reversed(self._stages) if output.name in stage.made), None)
            maker = f"{stage.where}, which makes it," if stage else "the input that it is"
            raise InvalidModelError(
                f"{error.problem}; {maker} declares {self._made[output.name].describe()}",
                where=f"{self._where}, output {output.name!r}, {output.describe()}",
                remedy="Declare the pipeline's output as it is declared there",
            ) from error


def _unread(descriptions: Iterable[schema.FeatureDescription], features: Iterable[Feature]) -> set[str]:
    """Return the names of declarations that have a problem, about which nothing more is to be said."""
    return {description.name for description in descriptions} - {feature.name for feature in features}


@contextmanager
def _inside_model(name: str, where: str) -> Iterator[None]:
    """Add the model to the place of errors raised inside, and name its blobs as `Pipeline.shapes` does."""
    with within(where):
        try:
            yield
        except RefCoreMLError as error:
            error.shapes = _in_model(name, error.shapes)
            raise


def _in_model(name: str, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    return {f"{name}/{blob}": shape for blob, shape in shapes.items()}


def _of_models(error: InputError) -> InvalidModelError:
    """Return the same problem, as one of models that do not fit together."""
    made = InvalidModelError(f"the models do not fit together: {error.problem}", where=error.where)
    made.shapes = error.shapes
    return made


def _inside(stage: _Stage, step: Step) -> Step:
    """Return the step as one of a model in the pipeline."""
    return replace(step, model=f"{stage.name}/{step.model}" if step.model else stage.name)


def _renamed(stage: _Stage, events: Trace) -> Trace:
    while True:
        try:
            event = next(events)
        except StopIteration as stop:
            finish: Callable[[], dict[str, Any]] = stop.value
            return finish
        yield event._replace(step=_inside(stage, event.step))


def _renamed_observer(stage: _Stage, observe: Observer | None) -> Observer | None:
    if observe is None:
        return None
    seen = observe  # for the closure
    return lambda step, arguments, results: seen(_inside(stage, step), arguments, results)
