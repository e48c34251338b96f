"""What products say about themselves: terms of their sums, work of a run; and that weights are held once."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from ops.examples.recurrent import gates
from support import integers

from refcoreml import ops
from refcoreml.errors import InvalidModelError
from refcoreml.ops.convolution import Pixels
from refcoreml.ops.pooling import Complete
from refcoreml.types import TensorType

GRU = ops.GRU(gates(3, 1), ops.Sigmoid(), ops.Tanh())
DOUBLE = np.dtype(np.float64)

#: Operations, shapes of inputs, terms of a sum, multiplications.
COSTS = [
    (ops.Linear(np.ones((5, 24))), [(7, 24)], 24, 7 * 24 * 5),
    (ops.Linear(np.ones((5, 24)), axes=3), [(7, 2, 3, 4)], 24, 7 * 24 * 5),
    (ops.MatMul(), [(6, 2, 3), (3, 5)], 3, 6 * 2 * 5 * 3),
    (ops.MatMul(transpose_x=True), [(6, 3, 2), (3, 5)], 3, 6 * 2 * 5 * 3),
    (ops.MatMul(), [(3,), (6, 3, 5)], 3, 6 * 5 * 3),
    (ops.Convolution(np.ones((6, 2, 3)), stride=(1,), dilation=(1,), groups=2), [(2, 4, 9)], 2 * 3, 2 * 6 * 7 * 2 * 3),
    (
        ops.Convolution(np.ones((6, 2, 3, 2, 1)), stride=(1, 1, 1), dilation=(1, 1, 1), groups=2),
        [(1, 4, 5, 7, 8)],
        2 * 3 * 2,
        6 * 3 * 6 * 8 * 2 * 3 * 2,
    ),
    (
        ops.Deconvolution(np.ones((4, 3, 3, 2, 1)), stride=(1, 1, 1), dilation=(1, 1, 1), groups=2),
        [(1, 4, 5, 7, 8)],
        4 * 3 * 2,
        4 * 5 * 7 * 8 * 3 * 3 * 2,
    ),
    (ops.Pooling("average", (3, 2)), [(1, 4, 5, 7)], 6, 0),
    (ops.Pooling("average", (None, 2)), [(1, 4, 5, 7)], 10, 0),
    (ops.Pooling("max", (3, 2)), [(1, 4, 5, 7)], None, 0),
    (GRU, [(7, 2, 5)], None, 7 * 2 * 3 * 4 * (5 + 4)),
]


@pytest.mark.parametrize(("op", "shapes", "terms", "work"), COSTS, ids=lambda value: type(value).__name__)
def test_terms_and_work(op, shapes, terms, work):
    types = [TensorType(DOUBLE, shape) for shape in shapes]
    made = op.infer(*types)
    made = made if isinstance(made, tuple) else (made,)
    assert op.terms(types) == terms
    assert op.work(shapes, [found.shape for found in made]) == work


@pytest.mark.parametrize("kind", [ops.Convolution, ops.Deconvolution])
@pytest.mark.parametrize("kernel", [(3,), (3, 2), (2, 3, 1)])
def test_weights_are_held_once(kind, kernel):
    """The matrix of the kernel takes the place of the array that was given."""
    weights, ones = integers((6, 4, *kernel), 1), (1,) * len(kernel)
    given, values = weakref.ref(weights), weights.copy()
    op = kind(weights, stride=ones, dilation=ones)
    del weights
    op.run(integers((2, 6 if kind is ops.Deconvolution else 4, 5, 7, 8)[: 2 + len(kernel)]))
    assert given() is None
    np.testing.assert_array_equal(op.weights, values)


def test_only_planes_take_an_epilogue():
    fused = [
        ops.Convolution(np.ones((2, 3, *ones)), stride=ones, dilation=ones).fused is not None
        for ones in ((1,), (1, 1), (1, 1, 1))
    ]
    assert fused == [False, True, False]


@pytest.mark.parametrize(
    ("op", "shapes", "problem"),
    [
        (ops.Linear(np.ones((5, 24)), axes=3), [(2, 12)], "too few axes, expected at least 3"),
        (ops.Linear(np.ones((5, 24))), [(2, 12)], r"\(2, 12\) has 12 values a row, the weights are for 24"),
        (ops.MatMul(), [(), (2, 3)], "got a scalar"),
        (ops.MatMul(), [(2, 3), (4, 5)], r"cannot multiply \(2, 3\) by \(4, 5\)"),
        (ops.MatMul(), [(1, 2, 3, 4, 5, 6), (6, 7)], "rank above 5"),
        (ops.DotProduct(2), [(2, 3), (2, 3)], "axis is 2, expected -2 to 1"),
        (ops.DotProduct(0), [(2, 3), (3, 2)], r"got \(2, 3\) and \(3, 2\)"),
        (ops.Embedding(np.ones((6, 4))), [(3, 2)], "of length 1 along axis -1"),
        (ops.Pooling("max", (2,)), [(3, 5)], r"\[\*, C, W\] of rank 3 or more"),
        (ops.Pooling("max", (9, 2)), [(1, 3, 5, 7)], "a window of 9 does not fit into the 5 pixels along H"),
        (GRU, [(7, 2, 6)], r"expected x \[Seq, Batch, 5\]"),
        (
            GRU,
            [(7, 3, 5), (2, 4)],
            r"hidden state has .*, expected \(3, 4\)",
        ),
    ],
    ids=str,
)
def test_types_that_do_not_fit(op, shapes, problem):
    with pytest.raises(InvalidModelError, match=problem):
        op.infer(*(TensorType(DOUBLE, shape) for shape in shapes))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"stride": (1, 1, 1)}, r"stride \(1, 1, 1\) and dilation \(1, 1\)"),
        ({"stride": (1,) * 4, "dilation": (1,) * 4}, "1 to 3 axes"),
        ({"stride": (1,), "dilation": (1,)}, "does not fit weights of rank 4, expected 3"),
    ],
)
@pytest.mark.parametrize("kind", [ops.Convolution, ops.Deconvolution])
def test_numbers_for_other_axes(kind, options, problem):
    with pytest.raises(InvalidModelError, match=problem):
        kind(np.ones((6, 4, 3, 2)), **options)


def test_padding_for_other_axes():
    x = TensorType(DOUBLE, (1, 4, 5, 7))
    with pytest.raises(InvalidModelError, match="are not pixels along 2 axes"):
        ops.Convolution(np.ones((6, 4, 3, 2)), padding=Pixels(((1, 1),))).infer(x)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("mean", (3, 2)), "mode is mean, expected max, average, l2"),
        (("max", (3, 2), (1,)), r"stride \(1,\) is not for the 2 axes of the kernel"),
        (("max", (3, 2), None, Pixels(((1, 1),))), "is not for the 2 axes of the kernel"),
        (("max", (3, 2), None, Complete((1, 0, 1))), "is not for the 2 axes of the kernel"),
        (("max", (1, 1, 1, 1)), "1 to 3 axes"),
    ],
)
def test_pooling_that_is_none(arguments, problem):
    with pytest.raises(InvalidModelError, match=problem):
        ops.Pooling(*arguments)
