"""Every operation of ML Programs in the oracle: has a rule, honest results lie within its bounds, which are narrow."""

from __future__ import annotations

import numpy as np
import pytest
from oracle.operations import EXAMPLES, Example, bounds, run

from refcoreml.mil.registry import OPERATIONS
from refcoreml.oracle.bounds import BlobBound
from refcoreml.types import Array

#: Operations that no example runs, and why.
ELSEWHERE = {
    **dict.fromkeys(
        ("random_bernoulli", "random_categorical", "random_normal", "random_uniform"),
        "only the distribution is specified: refused, see test_programs",
    ),
    "custom_layer": "nobody knows the rounding errors of code: refused, see test_programs",
    "conv_quantized": "refused wherever it occurs",
    **dict.fromkeys(("cond", "while_loop"), "control flow: see test_programs"),
    **dict.fromkeys(
        ("make_list", "list_write", "list_scatter", "list_read", "list_gather", "list_length"),
        "lists: see test_programs",
    ),
    **dict.fromkeys(("read_state", "write_state"), "states: see test_programs"),
    "classify": "labels: see test_programs",
}
#: How many units of the largest number a bound is at most where the input is exact, in single and in half precision.
#: Half precision computes in single: what remains is the rounding of the result, half a unit in the last place.
WIDEST = {
    "exact": (0, 0),
    "ulp": (3, 1.01),
    "dot": (300, 1.1),
    "func": (120, 1.1),
    "interval": (0, 0),
    "either": (0, 0),
    "composite": (240, 1.1),
}


def test_each_operation_of_each_operation_set_has_an_example() -> None:
    known = {(kind, entry.since) for kind in OPERATIONS for _, entry in OPERATIONS.versions(kind)}
    expected = {(kind, since) for kind, since in known if kind not in ELSEWHERE and not kind.startswith("constexpr_")}
    assert {(example.kind, example.opset) for example in EXAMPLES} >= expected
    assert not {example.kind for example in EXAMPLES} & set(ELSEWHERE)


def rounded(values: Array, half: bool) -> Array:
    """Return what an implementation without any error of its own would store."""
    return np.asarray(values).astype(np.float16 if half else np.float32).astype(np.float64)


def assert_within(found: Array, bound: BlobBound) -> None:
    y = np.asarray(found, np.float64)
    with np.errstate(invalid="ignore"):
        right = (y == bound.value) | (np.abs(y - bound.value) <= bound.radius)
    assert right.all(), f"{bound.kind}: {y[~right][:3]} where {bound.value[~right][:3]} +- {bound.radius[~right][:3]}"


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_honest_results_lie_within_narrow_bounds(example: Example) -> None:
    found = bounds(example)
    for bound, computed, exact in zip(found, run(example), run(example, "float64"), strict=True):
        assert_within(computed, bound)
        if np.asarray(exact).dtype.kind == "f":
            assert_within(rounded(exact, np.asarray(computed).dtype == np.float32 and example.half), bound)
            np.testing.assert_array_equal(bound.value, exact)
        assert np.isfinite(bound.radius).all()
