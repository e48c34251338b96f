"""The verifier's rule, clause by clause."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from refcoreml.conformance.cases import Step, read_case
from refcoreml.conformance.verify import compare, judge
from refcoreml.spec import schema

CASES = Path(__file__).resolve().parents[2] / "conformance/cases"
NAN, INF = np.nan, np.inf
TOP32, TOP16 = 3.4028234663852886e38, 65504.0


@pytest.mark.parametrize(
    ("y", "reference", "bound", "storage", "good"),
    [
        (1.5, 1.0, 0.5, "fp32", True),
        (0.0, 1.0, 0.0, "integer", False),
        (INF, 2.0**31, 1.0, "integer", False),
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
        (INF, 65500.0, 32.0, "fp16", True),
        (INF, 65500.0, 32.0, "fp32", False),
        (INF, 60000.0, 32.0, "fp16", False),
        # zero for what is subnormal
        (0.0, 1e-39, 0.0, "fp32", True),
        (0.0, 2e-38, 0.0, "fp32", False),
        (0.0, 6e-5, 0.0, "fp16", True),
        (0.0, 6e-5, 0.0, "fp32", False),
        (2e-39, 1e-39, 0.0, "fp32", False),
    ],
)
def test_one_element(y, reference, bound, storage, good):
    around = np.array([1.0, 2.0])
    judgement = compare(np.append(around, y), np.append(around, reference), np.append(np.zeros(2), bound), storage)
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


def test_nothing_to_compare_is_no_pass():
    case = replace(read_case(CASES / "ceil/plain/halves"), steps=[Step([], [])])
    assert judge(case, "returned", lambda name: 1 / 0, "fp32").status == "undetermined"


def test_an_output_that_cannot_be_read_is_a_failure():
    def nothing(name):
        raise ValueError("was not written")

    judgement = judge(read_case(CASES / "ceil/plain/halves"), "returned", nothing, "fp32")
    assert (judgement.status, judgement.message) == ("fail", "output 'y0': was not written")


@pytest.mark.parametrize(
    ("name", "profile", "status"),
    [
        ("batchnorm/tiny-variance/zero-mean", "fp16/acc16", "undetermined"),
        ("batchnorm/tiny-variance/zero-mean", "fp16/acc32", "fail"),
        ("unary/rsqrt-default-epsilon/integers", "fp16/acc16", "undetermined"),
        ("unary/rsqrt-default-epsilon/integers", "fp32", "fail"),
    ],
)
def test_where_every_bound_is_infinite_nothing_is_shown(name, profile, status):
    case = read_case(CASES / name)
    wrong = np.full(case.outputs[0].shape, 12345.0)
    judgement = judge(case, "returned", lambda name: wrong, profile)
    assert judgement.status == status
    if status == "undetermined":
        assert judgement.message.endswith("every bound in fp16/acc16 is infinite, so that no number was compared")
        assert judge(case, "returned", lambda name: wrong[..., None, :1], profile).status == "fail"  # the shape


def test_one_output_that_is_compared_is_enough():
    case = read_case(CASES / "batchnorm/tiny-variance/zero-mean")
    open_one = case.outputs[0]
    profile = open_one.profiles["fp16/acc16"]
    closed = replace(open_one, name="y1", profiles={"fp16/acc16": replace(profile, bound=1e9)})
    both = replace(case, steps=[replace(case.steps[0], outputs=[open_one, closed])])
    assert judge(both, "returned", lambda name: np.zeros(open_one.shape), "fp16/acc16").status == "pass"
    assert judge(both, "returned", lambda name: np.full(open_one.shape, 1e12), "fp16/acc16").status == "fail"


def test_moments_of_random_numbers():
    case = read_case(CASES / "randomUniformStatic/moments/zero-mean")
    shape = case.outputs[0].shape
    even = np.linspace(-1, 3, int(np.prod(shape))).reshape(shape)
    assert judge(case, "returned", lambda name: even, "fp32").status == "pass"
    assert "power 1" in judge(case, "returned", lambda name: np.maximum(even, 1), "fp32").message
    assert "power 2" in judge(case, "returned", lambda name: np.ones(shape), "fp32").message


def winograd(x, weights):
    """A convolution with kernels of width 3 by Winograd's F(4, 3) along the width, in single precision.

    The matrices are those of Lavin and Gray (2015), with the fractions 1/6 and 1/24.
    """
    to_input = [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0]]
    to_input += [[0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]]
    to_kernel = [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]
    to_output = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
    one = np.float32
    rows, columns = x.shape[1] - weights.shape[2] + 1, x.shape[2] - 2
    kernels = np.einsum("ij,mcpj->mcpi", np.array(to_kernel, one) / one(24), weights)
    x = np.pad(x, ((0, 0), (0, 0), (0, -columns % 4)))
    tiles = np.lib.stride_tricks.sliding_window_view(x, 6, axis=2)[:, :, ::4]
    tiles = np.einsum("ij,chtj->chti", np.array(to_input, one), tiles)
    tiles = np.lib.stride_tricks.sliding_window_view(tiles, weights.shape[2], axis=1)[:, :rows]
    y = np.einsum("mcpi,chtip->mhti", kernels, tiles) @ np.array(to_output, one).T
    return y.reshape(len(weights), rows, -1)[..., :columns]


def test_a_fast_algorithm_may_round_whole_numbers():
    def judged(data, change=lambda y: y):
        case = read_case(CASES / "convolution/valid" / data)
        params = schema.Model.FromString(case.model.read_bytes()).neuralNetwork.layers[0].convolution
        shape = params.outputChannels, params.kernelChannels, *params.kernelSize
        y = winograd(case.read_inputs()["x0"], np.array(params.weights.floatValue, np.float32).reshape(shape))
        y += np.array(params.bias.floatValue, np.float32)[:, None, None] if params.hasBias else 0
        return judge(case, "returned", lambda name: change(y), "fp32")

    assert judged("zero-mean").status == "pass"
    found = judged("integers")
    assert (found.status, found.where[:2]) == ("suspicious", "y0")
    assert "integers are rounded: got" in found.message
    assert judged("integers", np.rint).status == "pass"
    assert judged("integers", lambda y: y + np.float32(0.01)).status == "fail"
    assert judged("integers", lambda y: y[..., 1:]).status == "fail"
