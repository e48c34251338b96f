"""Figures about arrays that are not what most are: none, text, booleans, no number that is finite."""

from __future__ import annotations

import math

import numpy as np
import pytest

from refcoreml.statistics import blob_statistics


@pytest.mark.parametrize("values", [np.zeros((0, 3), np.float32), np.array("label", object), np.array(["a", "b"])])
def test_what_holds_no_numbers_has_no_range(values: np.ndarray) -> None:
    found = blob_statistics(values)
    assert found.shape == values.shape
    assert all(map(math.isnan, (found.minimum, found.maximum, found.mean)))
    assert (found.nans, found.infinities, found.headroom, found.bad) == (0, 0, math.inf, False)


def test_true_counts_one() -> None:
    found = blob_statistics(np.array([True, False, False, True]))
    assert (found.minimum, found.maximum, found.mean) == (0, 1, 0.5)


def test_integers_have_headroom_too() -> None:
    assert blob_statistics(np.int32([-131008, 5])).headroom == 0.5


def test_only_finite_values_make_a_range() -> None:
    found = blob_statistics(np.float32([np.nan, -3, np.inf, 5, -np.inf]))
    assert (found.minimum, found.maximum, found.mean, found.nans, found.infinities) == (-3, 5, 1, 1, 2)
    nothing = blob_statistics(np.float32([np.nan, np.inf]))
    assert math.isnan(nothing.maximum)
    assert (nothing.nans, nothing.infinities) == (1, 1)
