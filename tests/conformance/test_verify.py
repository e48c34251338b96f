"""The verifier's rule, clause by clause."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from refcoreml.conformance.cases import read_case
from refcoreml.conformance.verify import compare, judge

CASES = Path(__file__).resolve().parents[2] / "conformance/cases"
NAN, INF = np.nan, np.inf
TOP32, TOP16 = 3.4028234663852886e38, 65504.0


@pytest.mark.parametrize(
    ("y", "reference", "bound", "profile", "good"),
    [
        (1.5, 1.0, 0.5, "fp32", True),
        (1.5000001, 1.0, 0.5, "fp32", False),
        (1.0, 1.0, 0.0, "fp32", True),
        (1.0000001, 1.0, 0.0, "fp32", False),
        (-0.0, 0.0, 0.0, "fp32", True),
        (NAN, 1.0, 0.5, "fp32", False),
        (NAN, NAN, 0.0, "fp32", True),
        (1.0, NAN, 0.0, "fp32", False),
        (INF, NAN, 0.0, "fp32", False),
        (INF, INF, 0.0, "fp32", True),
        (-INF, INF, 0.0, "fp32", False),
        (TOP32, INF, 0.0, "fp32", False),
        (NAN, 1.0, INF, "fp32", True),
        (-7.0, NAN, INF, "fp32", True),
        # an infinity for what may overflow, with the right sign only
        (INF, TOP32, 1e32, "fp32", True),
        (-INF, TOP32, 1e32, "fp32", False),
        (INF, 1e38, 1e30, "fp32", False),
        (INF, 65500.0, 32.0, "fp16/acc32", True),
        (INF, 65500.0, 32.0, "fp32", False),
        (INF, 60000.0, 32.0, "fp16/acc16", False),
        # zero for what is subnormal
        (0.0, 1e-39, 0.0, "fp32", True),
        (0.0, 2e-38, 0.0, "fp32", False),
        (0.0, 6e-5, 0.0, "fp16/acc16", True),
        (0.0, 6e-5, 0.0, "fp32", False),
        (2e-39, 1e-39, 0.0, "fp32", False),
    ],
)
def test_one_element(y, reference, bound, profile, good):
    around = np.array([1.0, 2.0])
    judgement = compare(np.append(around, y), np.append(around, reference), np.append(np.zeros(2), bound), profile)
    assert (judgement.status == "pass") == good
    if not good:
        assert judgement.where == "[2]"
        assert judgement.worst >= 1


def test_worst_is_in_bounds():
    judgement = compare(np.array([[1.0, 2.3], [3.1, 4.0]]), np.array([[1.0, 2.0], [3.0, 4.0]]), 0.5, "fp32")
    assert judgement.status == "pass"
    assert judgement.where == "[0, 1]"
    assert judgement.worst == pytest.approx(0.6)


def test_shapes_and_types():
    reference = np.arange(6.0).reshape(1, 2, 3)
    assert (
        compare(reference.reshape(2, 3), reference, 0.0, "fp32").message == "has the shape (2, 3), expected (1, 2, 3)"
    )
    assert compare(reference.reshape(2, 3, 1), reference, 0.0, "fp32", free_ones=True).status == "pass"
    assert compare(reference.reshape(3, 2), reference, 0.0, "fp32", free_ones=True).status == "fail"
    assert "type" in compare(reference.astype(str), reference, 0.0, "fp32").message
    assert "type" in compare(reference.astype(complex), reference, 0.0, "fp32").message
    for dtype in (np.int8, np.float16, np.uint32, ">f8"):
        assert compare(reference.astype(dtype), reference, 0.0, "fp32").status == "pass"


@pytest.mark.parametrize(
    ("case", "outcome", "status"),
    [
        ("files/empty", "rejected", "pass"),
        ("files/empty", "returned", "fail"),
        ("files/empty", "unsupported", "unsupported"),
        ("files/empty", "crash", "crash"),
        ("files/custom-layer", "unsupported", "pass"),
        ("files/custom-layer", "rejected", "pass"),
        ("files/custom-layer", "timeout", "timeout"),
        ("pooling/invalid-window/integers", "rejected", "pass"),
        ("pooling/invalid-window/integers", "returned", "fail"),
        ("ceil/plain/halves", "rejected", "fail"),
        ("ceil/plain/halves", "unsupported", "unsupported"),
        ("ceil/plain/halves", "crash", "crash"),
    ],
)
def test_outcomes(case, outcome, status):
    judgement = judge(read_case(CASES / case), outcome, lambda name: 1 / 0, "fp32")
    assert judgement.status == status
    if case.startswith("pooling") and status == "fail":
        assert "the window must fit" in judgement.message


def test_an_output_that_cannot_be_read_is_a_failure():
    def nothing(name):
        raise ValueError("was not written")

    judgement = judge(read_case(CASES / "ceil/plain/halves"), "returned", nothing, "fp32")
    assert (judgement.status, judgement.message) == ("fail", "output 'y0': was not written")


def test_moments_of_random_numbers():
    case = read_case(CASES / "randomUniformStatic/moments/zero-mean")
    shape = case.outputs[0].shape
    even = np.linspace(-1, 3, int(np.prod(shape))).reshape(shape)
    assert judge(case, "returned", lambda name: even, "fp32").status == "pass"
    assert "power 1" in judge(case, "returned", lambda name: np.maximum(even, 1), "fp32").message
    assert "power 2" in judge(case, "returned", lambda name: np.ones(shape), "fp32").message


def test_runs_with_one_seed_are_the_same_bit_by_bit():
    case = read_case(CASES / "randomUniformStatic/seed/zero-mean")
    shape = case.outputs[0].shape
    even = np.linspace(-2, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    even.flat[7] = 0

    def judged(*again):
        return judge(case, "returned", lambda name: even, "fp32", *[lambda name, y=y: y for y in again])

    assert judged(even.copy()).status == "pass"
    negative_zero = even.copy()
    negative_zero.flat[7] = -0.0
    for other in (negative_zero, np.nextafter(even, np.float32(3)), even.astype(np.float64), even.reshape(-1)):
        assert judged(other).status == "fail"
        assert "not the same when the model is run again" in judged(other).message
    assert judged().message == "ran 1 times, the case asks for 2"
    assert judged(even, even).status == "fail"

    def nothing(name):
        raise ValueError("was not written")

    assert judge(case, "returned", lambda name: even, "fp32", nothing).message == "output 'y0': was not written"
