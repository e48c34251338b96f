"""Random numbers of shapes that inputs hold: seeds, types, and what distributions are known by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.types import TensorType

FLOAT = np.dtype(np.float32)
DRAWS: list[Any] = [
    (ops.RandomNormal, {"mean": 2.0, "deviation": 0.5}),
    (ops.RandomUniform, {"low": -1.0, "high": 3.0}),
    (ops.RandomBernoulli, {"probability": 0.25}),
]


@pytest.mark.parametrize(("kind", "given"), DRAWS)
@pytest.mark.parametrize("shape_type", [np.int16, np.int32])
def test_seeds_and_shapes(kind: Any, given: Any, shape_type: Any) -> None:
    shape = np.array([3, 50, 7], shape_type)
    op = kind(shape=None, seed=5, dtype=FLOAT, **given)
    found = op.run(shape)
    assert op.infer_from(shape) == TensorType.of(found) == TensorType(FLOAT, (3, 50, 7))
    np.testing.assert_array_equal(op.run(shape), found)
    np.testing.assert_array_equal(kind(shape=(3, 50, 7), seed=5, dtype=FLOAT, **given).run(), found)
    assert (kind(shape=None, seed=6, dtype=FLOAT, **given).run(shape) != found).any()
    unseeded = kind(shape=None, seed=-1, dtype=FLOAT, **given)
    assert (unseeded.run(shape) != unseeded.run(shape)).any()  # the same 1,050 numbers twice: never


@pytest.mark.parametrize(("kind", "given"), DRAWS)
def test_means_and_deviations(kind: Any, given: Any) -> None:
    """Within six standard errors, for a fixed seed."""
    mean, deviation = {
        ops.RandomNormal: (2.0, 0.5),
        ops.RandomUniform: (1.0, 4 / 12**0.5),
        ops.RandomBernoulli: (0.25, (0.25 * 0.75) ** 0.5),
    }[kind]
    y = kind(shape=(100, 100), seed=0, dtype=FLOAT, **given).run()
    assert abs(y.mean(dtype=np.float64) - mean) < 6 * deviation / 100
    assert abs(y.std(dtype=np.float64) - deviation) < 6 * deviation / 100
    if kind is ops.RandomBernoulli:
        assert set(np.unique(y)) == {0.0, 1.0}


@pytest.mark.parametrize("logits", [False, True])
def test_classes_are_drawn_by_their_probabilities(logits: bool) -> None:
    p = np.array([[0.5, 0.0, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0]], np.float32)
    with np.errstate(divide="ignore"):
        x = np.log(p) if logits else p
        op = ops.RandomCategorical(4000, 3, logits, epsilon=0.0, result=FLOAT)
        y = op.run(x)
    assert op.infer(TensorType.of(x)) == TensorType.of(y) == TensorType(FLOAT, (2, 4000))
    shares = np.array([[(row == c).mean() for c in range(4)] for row in y])
    assert (shares[p == 0] == 0).all()
    assert np.abs(shares - p).max() < 6 * 0.5 / 4000**0.5
