"""Generalized linear models: a weighted sum of the features, and a link function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from refcoreml.errors import InputError, InvalidModelError
from refcoreml.evaluators.base import Evaluator, Settings
from refcoreml.execution.engine import Observer
from refcoreml.features import Feature, read_features
from refcoreml.kernels import activation, special
from refcoreml.spec import schema
from refcoreml.spec.enums import undefined_enum
from refcoreml.types import Array


class LinearRegressor(Evaluator):
    """y_i = f(sum over j of w_ij x_j + offset_i), in double precision whatever the arithmetic.

    x holds the inputs in the order of their declaration: numbers, and arrays row by row. f is the identity, the
    logistic function (``Logit``) or the normal distribution's (``Probit``).

    Source: ``GLMRegressor``. Its weights are stored as doubles, and Apple's tests compare with double precision.

    Raises:
        InvalidModelError: no weights, rows of different lengths, another number of offsets, or an unknown function;
            inputs of another number than weights; an output that cannot hold the numbers, or a second one.
    """

    def __init__(self, spec: schema.Model, settings: Settings) -> None:
        message, problems = spec.glmRegressor, settings.problems
        self._where = "glmRegressor"
        self._weights = self._offset = np.empty((0, 0))  # so it stays where the weights have a problem
        with problems.part("glm.weights"):
            self._weights, self._offset = self._read_weights(message)
        with problems.part("glm.link"):
            self._link = self._read_link(message)
        self._inputs = read_features(spec.description.input, "inputs", self._where, problems)
        if len(self._inputs) == len(spec.description.input):
            with problems.part("glm.inputs"):
                self._check_inputs()
        outputs = read_features(spec.description.output, "outputs", self._where, problems)
        if len(outputs) == len(spec.description.output):
            with problems.part("glm.output"):
                self._output = self._predicted(spec.description, outputs)

    def _read_weights(self, message: schema.GLMRegressor) -> tuple[Array, Array]:
        rows = [tuple(row.value) for row in message.weights]
        self._require(bool(rows) and bool(rows[0]), "has no weights")
        self._require(len({len(row) for row in rows}) == 1, f"has rows of {sorted(map(len, rows))} weights")
        self._require(len(message.offset) == len(rows), f"has {len(message.offset)} offsets for {len(rows)} rows")
        return np.array(rows, np.float64), np.array(message.offset, np.float64)

    def _read_link(self, message: schema.GLMRegressor) -> Callable[[Array], Array] | None:
        problem = undefined_enum(message)
        self._require(not problem, problem)
        transforms = schema.GLMRegressor.PostEvaluationTransform
        links = {transforms.Value("NoTransform"): None, transforms.Value("Logit"): activation.sigmoid}
        links[transforms.Value("Probit")] = special.normal_cdf
        return links[message.postEvaluationTransform]

    def _require(self, condition: bool, problem: str) -> None:
        if not condition:
            raise InvalidModelError(problem, where=self._where)

    def _check_inputs(self) -> None:
        self._require(bool(self._inputs), "has no inputs")
        counts = []
        for feature in self._inputs:
            taken = feature.numeric and not feature.optional
            self._require(taken, f"has the input {feature.name!r}, expected a number or an array that is not optional")
            counts.append(feature.count)
        if None not in counts and self._weights.size:
            weights, features = self._weights.shape[1], sum(filter(None, counts))
            self._require(weights == features, f"has {weights} weights for {features} features")

    def _predicted(self, description: schema.ModelDescription, outputs: Sequence[Feature]) -> Feature:
        """Return the only output, which must be able to hold what is computed: as many fractions as rows of weights."""
        name, rows = description.predictedFeatureName, len(self._weights)
        names = [feature.name for feature in outputs]
        self._require(name in names, f"predicts {name!r}, which is not among the outputs {names}")
        self._require(len(outputs) == 1, f"declares the outputs {names}, but computes {name!r} alone")
        output = outputs[0]
        self._require(
            output.holds_fractions,
            f"computes fractions, but the output {name!r} is {output.describe()}, not Double or an array of floats",
        )
        fits = not rows or output.count in (None, rows)
        self._require(fits, f"computes {rows} numbers, but the output {name!r} is {output.describe()}")
        return output

    def predict(self, inputs: Mapping[str, Any], observe: Observer | None = None) -> dict[str, Any]:
        """Compute the predicted feature: a number for one row of weights, else an array."""
        x = np.concatenate([np.ravel(np.asarray(inputs[feature.name], np.float64)) for feature in self._inputs])
        weights = self._weights.shape[1]
        if x.size != weights:  # shapes that the model does not fix; others were checked when it was loaded
            error = InputError(f"has {weights} weights for {x.size} features", where=self._where)
            error.shapes = {feature.name: np.shape(inputs[feature.name]) for feature in self._inputs}
            raise error
        with np.errstate(all="ignore"):
            y: Array = self._weights @ x + self._offset
            if self._link is not None:
                y = self._link(y)
        return {self._output.name: y if self._output.count is None else y.reshape(self._output.default_shape)}
