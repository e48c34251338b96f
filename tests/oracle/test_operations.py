"""Every operation of ML Programs in the oracle: has a rule, honest results lie within its bounds, which are narrow."""

from __future__ import annotations

import numpy as np
import pytest
from oracle.operations import EXAMPLES, Example, bounds, run

from refcoreml import ops
from refcoreml.errors import InputError
from refcoreml.execution.control import Checked, Choice, Loop
from refcoreml.mil.operations import lists, state
from refcoreml.mil.operations.classify import Classify
from refcoreml.mil.operations.custom import CustomOperation
from refcoreml.mil.precision import PRECISIONS
from refcoreml.mil.registry import OPERATIONS
from refcoreml.oracle import CHECKS
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
#: How many units of the largest number a bound is at most where the inputs are exact, by class. In half precision it is
#: one: operations compute in single precision, and what remains is the rounding of the result.
WIDEST = {"exact": 0, "ulp": 4, "dot": 300, "func": 120, "interval": 0, "either": 0}
COMPOSITE = 240
#: Floats that are off by so much, relative to themselves.
OFF = 2.0**-10


def test_each_operation_of_each_operation_set_has_an_example() -> None:
    known = {(kind, entry.since) for kind in OPERATIONS for _, entry in OPERATIONS.versions(kind)}
    expected = {(kind, since) for kind, since in known if kind not in ELSEWHERE and not kind.startswith("constexpr_")}
    assert {(example.kind, example.opset) for example in EXAMPLES} >= expected
    assert not {example.kind for example in EXAMPLES} & set(ELSEWHERE)
    assert set(ELSEWHERE) <= set(OPERATIONS)


def test_operations_that_examples_do_not_run_have_a_rule_or_are_refused() -> None:
    sparse = (ops.SparseBlockwiseShiftScale, ops.SparseToDense, ops.LutToSparse)
    exact = (ops.BlockwiseShiftScale, ops.LutToDense, *sparse, state.ReadState, state.WriteState, Classify)
    of_lists = (lists.MakeList, lists.ListWrite, lists.ListScatter, lists.ListRead, lists.ListGather, lists.ListLength)
    assert {CHECKS[kind] for kind in (*exact, *of_lists)} == {"exact"}
    drawn = (ops.RandomBernoulli, ops.RandomCategorical, ops.RandomNormal, ops.RandomUniform)
    assert {CHECKS[kind] for kind in drawn} == {"random"}
    assert {CHECKS[kind] for kind in (Checked, Choice, Loop)} == {"control"}
    assert CustomOperation not in CHECKS


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


#: Each as the newest operation set has it.
NEWEST = list(
    {(example.kind, id(example.inputs), str(example.constants), example.half): example for example in EXAMPLES}.values()
)


@pytest.mark.parametrize("example", NEWEST, ids=str)
def test_bounds_of_exact_inputs_are_a_few_units(example: Example) -> None:
    unit, tiny = (2.0**-11, 2.0**-14) if example.half else (2.0**-24, 2.0**-126)
    for bound, computed in zip(bounds(example), run(example), strict=True):
        if np.asarray(computed).dtype.kind != "f":
            assert not bound.radius.any()
        elif not (example.kind == "mod" or (example.kind == "cast" and not example.half)):  # stored in another type
            most = 1.001 if example.half else WIDEST.get(bound.check, COMPOSITE)
            largest = np.abs(bound.value[np.isfinite(bound.value)]).max(initial=0)
            assert bound.radius.max() <= most * (unit * largest + tiny)


@pytest.mark.parametrize("example", [each for each in NEWEST if not each.half], ids=str)
def test_what_is_made_of_inputs_within_their_radii_lies_within_the_bounds(example: Example) -> None:
    found, rng = bounds(example, radius=OFF), np.random.default_rng(3)
    program = example.program(PRECISIONS["float64"])
    for _ in range(2):
        given = {name: PRECISIONS["float64"].hold(x) for name, x in example.values.items()}
        for name, x in given.items():
            if x.dtype.kind == "f":
                given[name] = x + OFF * np.abs(x) * rng.choice([-1.0, 0.3, 1.0], x.shape)
        try:
            made = program.run(given)
        except InputError:
            continue  # settings that inputs hold, such as the end of a range
        for bound, y in zip(found, made.values(), strict=True):
            if y.shape == bound.value.shape:
                assert_within(y, bound)
            else:
                assert np.isinf(bound.radius).all()
