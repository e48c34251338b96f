"""The last step of a classifier: scores by label, and the label of the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcoreml.features.classifier import best_label, warn_of_doubles
from refcoreml.mil.domains import expect
from refcoreml.mil.node import Node
from refcoreml.mil.registry import operation
from refcoreml.mil.values import Dictionary, DictionaryType
from refcoreml.ops.base import Op, require
from refcoreml.types import Array, TensorType


@dataclass(frozen=True, eq=False)
class Classify(Op):
    """Both the label with the largest score, a text or integer of rank 0, and the scores by label.

    x [*D], a score for each label, in row-major order. Of equal scores the first label is the predicted one.

    Attributes:
        labels: texts, or integers.
        where: the place of the operation, for warnings.
    """

    labels: Sequence[str] | Sequence[int]
    where: str

    fresh = True

    def infer(self, x: TensorType) -> tuple[Any, ...]:
        """Return the types of a label and of a dictionary."""
        count = math.prod(x.shape)
        require(
            count == len(self.labels), f"has {len(self.labels)} classes for probabilities {x.shape}, {count} of them"
        )
        return TensorType(self._dtype, ()), DictionaryType(self._dtype.kind == "O")

    @property
    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(object if isinstance(self.labels[0], str) else np.int64)

    def run(self, x: Array) -> tuple[Any, ...]:
        """Return the label and the scores."""
        scores = x.reshape(-1).astype(np.float64)
        label = best_label(self.labels, scores, self.where)
        return np.array(label, self._dtype), Dictionary(self.labels, scores)


@operation("classify", "probabilities")
def classify(node: Node) -> Op:
    """Results: the label whose probability is the largest, and a dictionary of the probabilities, fp64, by label.

    probabilities: fp32, as many in row-major order as there are ``classes``, texts or integers (int64). Of equal labels
    the dictionary holds the last.

    Open: equal probabilities. Chosen: the first.
    """
    expect(node, ("fp32",), "probabilities")
    node.value("classes")
    labels = node.items("classes")
    kinds = {type(label) for label in labels}
    node.require(kinds in ({str}, {int}), f"classes are {node.value('classes').type}, expected texts or integers")
    warn_of_doubles(labels, node.where)
    return Classify(labels, node.where)
