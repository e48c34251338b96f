"""Generalized linear models: a weighted sum of the features, and a link function."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from refcoreml.errors import InvalidModelError
from refcoreml.evaluators.base import Settings, Trace
from refcoreml.kernels import activation, special
from refcoreml.kernels._types import Array, Shape
from refcoreml.neuralnetwork.network import Observer
from refcoreml.spec import schema
from refcoreml.spec.enums import undefined_enum


class LinearRegressor:
    """y_i = f(sum over j of w_ij x_j + offset_i), in double precision whatever the arithmetic.

    x holds the inputs in the order of their declaration: numbers, and arrays row by row. f is the identity, the
    logistic function (``Logit``) or the normal distribution's (``Probit``).

    Source: ``GLMRegressor``. Its weights are stored as doubles, and Apple's tests compare with double precision.

    Raises:
        InvalidModelError: no weights, rows of different lengths, another number of offsets, or an unknown function; at
            a prediction, inputs of another number than weights.
    """

    legacy_ranks = False

    def __init__(self, spec: schema.Model, settings: Settings | None = None) -> None:
        message = spec.glmRegressor
        self._where = "glmRegressor"
        self._output = spec.description.predictedFeatureName
        rows = [tuple(row.value) for row in message.weights]
        self._require(bool(rows) and bool(rows[0]), "has no weights")
        self._require(len({len(row) for row in rows}) == 1, f"has rows of {sorted(map(len, rows))} weights")
        self._require(len(message.offset) == len(rows), f"has {len(message.offset)} offsets for {len(rows)} rows")
        self._weights, self._offset = np.array(rows, np.float64), np.array(message.offset, np.float64)
        problem = undefined_enum(message)
        self._require(not problem, problem)
        transforms = schema.GLMRegressor.PostEvaluationTransform
        links = {transforms.Value("NoTransform"): None, transforms.Value("Logit"): activation.sigmoid}
        links[transforms.Value("Probit")] = special.normal_cdf
        self._link = links[message.postEvaluationTransform]
        self._inputs = [feature.name for feature in spec.description.input]
        self._require(bool(self._inputs), "has no inputs")
        for feature in spec.description.input:
            member = feature.type.WhichOneof("Type")
            taken = member in ("doubleType", "int64Type", "multiArrayType") and not feature.type.isOptional
            self._require(taken, f"has the input {feature.name!r}, expected a number or an array that is not optional")
        outputs = [feature.name for feature in spec.description.output]
        self._require(self._output in outputs, f"predicts {self._output!r}, which is not among the outputs {outputs}")

    def _require(self, condition: bool, problem: str) -> None:
        if not condition:
            raise InvalidModelError(problem, where=self._where)

    def predict(self, inputs: Mapping[str, Any], observe: Observer | None = None) -> dict[str, Any]:
        """Computes the predicted feature: a number for one row of weights, else an array."""
        x = np.concatenate([np.ravel(np.asarray(inputs[name], np.float64)) for name in self._inputs])
        self._require(x.size == self._weights.shape[1], f"has {self._weights.shape[1]} weights for {x.size} features")
        y: Array = self._weights @ x + self._offset
        return {self._output: y if self._link is None else self._link(y)}

    def trace(self, inputs: Mapping[str, Any]) -> Trace:
        """Nothing: the model has no layers."""
        yield from ()
        return partial(self.predict, inputs)

    def shapes(self, inputs: Mapping[str, Shape] | None = None) -> dict[str, Shape]:
        """Nothing: the model has no blobs."""
        return {}
