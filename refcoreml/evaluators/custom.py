"""Custom models: a class of the user's own in place of a model type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import RLock
from typing import Any

from refcoreml.custom import ModelDescription, model_lines, parameter_values, what_to_write
from refcoreml.errors import CallbackError, InputError, InvalidModelError, UnsupportedModelError, found_by, within
from refcoreml.evaluators.base import Check, Evaluator, Finish, Settings
from refcoreml.execution.engine import Observer
from refcoreml.features import read_features
from refcoreml.spec import schema


class CustomModelEvaluator(Evaluator):
    """y = className(description, parameters).predict(x), with the code that is registered for the class name.

    The code gets checked inputs in the form in which people pass them (colour images as PIL images of mode RGB, absent
    optional ones left out), and gives all outputs in that form; they are checked like inputs. Arithmetic is the code's
    own, whatever the precision.

    Source: ``CustomModel``.

    Raises:
        UnsupportedModelError: no code is registered; says what to write.
        CallbackError: the code fails, or returns something that is not what the model declares.
    """

    def __init__(self, spec: schema.Model, settings: Settings) -> None:
        message, problems = spec.customModel, settings.problems
        self._where = f"customModel of class {message.className!r}"
        with problems.part("custom.class"):
            if not message.className:
                raise InvalidModelError("has no className, so that its code is unknown", where="customModel")
        description = ModelDescription(
            read_features(spec.description.input, "inputs", self._where, problems),
            read_features(spec.description.output, "outputs", self._where, problems),
            spec.description.predictedFeatureName,
            spec.description.predictedProbabilitiesName,
            message.description,
        )
        parameters: dict[str, Any] = {}
        with problems.part("custom.parameters"):
            parameters = parameter_values(message.parameters, self._where)
        problems.need_sound()
        with found_by("custom.class"):
            if message.className not in settings.custom_models:
                raise UnsupportedModelError(
                    "needs code that is not registered",
                    where=self._where,
                    remedy=what_to_write([model_lines(message, description)]),
                )
        self._inputs = {feature.name: feature for feature in description.inputs}
        self._outputs = {feature.name: feature for feature in description.outputs}
        code = settings.custom_models[message.className]
        self._made = self._call("__init__", code, description, parameters)
        safe = getattr(self._made, "thread_safe", False)
        self._turns: AbstractContextManager[Any] = nullcontext() if safe else RLock()
        self._takes_batches = callable(getattr(self._made, "predict_batch", None))

    def _call(self, method: str, code: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return code(*arguments)
        except Exception as error:
            raise self._failure(f"{method} raised {type(error).__name__}: {error}") from error

    def _failure(self, problem: str, remedy: str = "") -> CallbackError:
        return CallbackError(problem, where=self._where, remedy=remedy)

    def predict(self, inputs: Mapping[str, Any], observe: Observer | None = None) -> dict[str, Any]:
        """Compute the outputs by feature name from checked inputs."""
        with self._turns:
            results = self._call("predict", self._made.predict, self._given(inputs))
        return self._checked("predict", results)

    def predict_batch(self, batch: Sequence[Mapping[str, Any]], check: Check, finish: Finish) -> list[dict[str, Any]]:
        """Compute several samples at once, by code that has ``predict_batch``; one by one otherwise."""
        if not self._takes_batches:
            return super().predict_batch(batch, check, finish)
        given = []
        for index, inputs in enumerate(batch):
            with within(f"sample {index}"):
                checked = check(inputs)
            given.append(self._given(checked))
        with self._turns:
            results = self._call("predict_batch", self._made.predict_batch, given)
        if not isinstance(results, Sequence) or len(results) != len(batch):
            got = f"{len(results)} results" if isinstance(results, Sequence) else f"a {type(results).__name__}"
            raise self._failure(f"predict_batch returned {got} for {len(batch)} samples")
        return [finish(computed) for computed in [self._checked("predict_batch", one) for one in results]]

    def _given(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._inputs[name].as_passed(value) for name, value in inputs.items()}

    def _checked(self, method: str, results: Any) -> dict[str, Any]:
        if not isinstance(results, Mapping):
            raise self._failure(f"{method} returned a {type(results).__name__}, expected a dict of outputs by name")
        missing, unknown = self._outputs.keys() - results.keys(), results.keys() - self._outputs.keys()
        missing -= {name for name in missing if self._outputs[name].optional}
        if missing or unknown:
            problems = [f"lacks {', '.join(map(repr, sorted(missing)))}"] if missing else []
            problems += [f"has {', '.join(sorted(map(repr, unknown)))}"] if unknown else []
            declared = ", ".join(map(repr, self._outputs))
            raise self._failure(f"the result of {method} {' and '.join(problems)}; the outputs are {declared}")
        return {name: self._value(method, name, value) for name, value in results.items()}

    def _value(self, method: str, name: str, value: Any) -> Any:
        feature = self._outputs[name]
        try:
            return feature.check_returned(value)
        except InputError as error:
            problem = f"{method} returned for output {name!r}, {feature.describe()}: {error.problem}"
            raise self._failure(problem, error.remedy) from error
