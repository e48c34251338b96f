"""Products: of vectors as NumPy has them, of integers, and of whatever an equation names."""

from __future__ import annotations

import string
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcoreml import ops
from refcoreml.errors import InvalidModelError
from refcoreml.types import TensorType

INT = np.dtype(np.int32)


def small(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((5,), (5,)),
        ((5,), (2, 3, 5, 4)),
        ((2, 3, 4, 5), (5,)),
        ((5,), (5, 3)),
        ((2, 3), (3, 4)),
        ((7, 1, 2, 3), (6, 3, 4)),
    ],
)
def test_vectors_lose_their_axis_as_in_numpy(x: tuple[int, ...], y: tuple[int, ...], dtype: Any) -> None:
    a, b = small(x, dtype), small(y, dtype, 1)
    op = ops.MatMul(drop=True)
    found = op.run(a, b)
    assert isinstance(found, np.ndarray)
    assert op.infer(TensorType.of(a), TensorType.of(b)) == TensorType.of(found)
    expected = np.matmul(a, b)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


def test_transposed_integers_wrap_around() -> None:
    x, y = np.full((3, 2), 2**30, np.int32), np.full((4, 3), 2, np.int32)
    found = ops.MatMul(True, True).run(x, y)
    assert found.dtype == INT
    assert found.tolist() == [[-(2**31)] * 4] * 2  # 3 * 2^31


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 3, 6)])
def test_linear_of_ranks_1_to_3(shape: tuple[int, ...]) -> None:
    x, weights, bias = small(shape, np.float32), small((5, 6), np.float32, 1), small((5,), np.float32, 2)
    op = ops.Linear(weights, bias)
    found = op.run(x)
    assert op.infer(TensorType.of(x)) == TensorType.of(found)
    np.testing.assert_array_equal(found, x @ weights.T + bias)


def test_weights_by_columns_are_the_same_numbers_held_once() -> None:
    x, weights, bias = small((4, 6), np.float32), small((5, 6), np.float32, 1), small((5,), np.float32, 2)
    op = ops.Linear(weights, bias, by_columns=True)
    op.prepare()
    laid_out = op.weights
    op.prepare()
    assert op.weights is laid_out
    assert laid_out.T.flags.c_contiguous
    np.testing.assert_array_equal(laid_out, weights)
    np.testing.assert_array_equal(op.run(x), x @ weights.T + bias)  # small integers: exact in any order


@st.composite
def equations(draw: Any) -> tuple[str, list[tuple[int, ...]]]:
    """An equation without broadcasting, and shapes of its inputs."""
    letters = string.ascii_letters[: draw(st.integers(1, 5))]
    lengths = dict(zip(letters, draw(st.permutations([2, 3, 4, 5, 1])), strict=False))
    terms = draw(st.lists(st.text(letters, max_size=3), min_size=1, max_size=3))
    used = sorted(set("".join(terms)))
    result = "".join(draw(st.permutations(used))[: draw(st.integers(0, len(used)))])
    return f"{','.join(terms)}->{result}", [tuple(lengths[letter] for letter in term) for term in terms]


@given(equations(), st.sampled_from([np.float32, np.int32]))
def test_equations_say_what_numpy_says(case: tuple[str, list[tuple[int, ...]]], dtype: Any) -> None:
    equation, shapes = case
    inputs = [small(shape, dtype, seed) for seed, shape in enumerate(shapes)]
    op = ops.Einsum(equation)
    found = op.run(*inputs)
    assert isinstance(found, np.ndarray)
    assert op.infer(*map(TensorType.of, inputs)) == TensorType.of(found)
    np.testing.assert_array_equal(found, np.einsum(equation, *inputs))  # sums of small integers are exact
    assert not any(np.shares_memory(found, x) for x in inputs)


def test_both_patterns_of_programs_broadcast() -> None:
    x, y = small((2, 3, 1, 5), np.float32), small((1, 5, 4, 6), np.float32, 1)
    found = ops.Einsum("nchw,nwhu->nchu").run(x, y)
    for n, h in np.ndindex(2, 4):
        np.testing.assert_array_equal(found[n, :, h], x[n, :, 0] @ y[0, :, h])
    x, y = small((3, 4, 5), np.float32), small((5, 1, 2), np.float32, 1)
    found = ops.Einsum("chw,whr->chr").run(x, y)
    for h in range(4):
        np.testing.assert_array_equal(found[:, h], x[:, h] @ y[:, 0])


@pytest.mark.parametrize(
    ("equation", "shapes", "words"),
    [
        ("ij,jk->ik", [(2, 3)], "is for 2 inputs, got 1"),
        ("ij,jk->ik", [(2, 3), (3,)], r"'jk' of 'ij,jk->ik' does not fit an input of the shape \(3,\)"),
        ("ij,jk->ik", [(2, 3), (4, 5)], "the letter j of 'ij,jk->ik' stands for lengths of 3 and 4"),
        ("ii->i", [(3, 1)], "the letter i of 'ii->i' stands for lengths of 3 and 1"),
        ("ij->ii", [(2, 3)], "names a letter of the result twice, or in no input"),
        ("ij->k", [(2, 3)], "names a letter of the result twice, or in no input"),
        ("i...->i", [(2, 3)], "holds other characters than letters, commas and one arrow"),
        ("i->j->i", [(2,)], "holds other characters"),
        ("abc,def->abcdef", [(1, 1, 1)] * 2, "none may have a rank above 5"),
    ],
)
def test_equations_that_do_not_fit(equation: str, shapes: list[tuple[int, ...]], words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        ops.Einsum(equation).infer(*(TensorType(INT, shape) for shape in shapes))


def test_the_cost_of_an_equation() -> None:
    shapes = [(2, 3, 4, 5), (2, 5, 4, 6)]
    op = ops.Einsum("nchw,nwhu->nchu")
    assert op.terms([TensorType(INT, shape) for shape in shapes]) == 5
    assert op.work(shapes, [(2, 3, 4, 6)]) == 2 * 3 * 4 * 5 * 6


def test_linear_keeps_the_type_of_x_and_checks_the_bias() -> None:
    op = ops.Linear(small((5, 6), np.float32), small((5,), np.float32))
    assert op.infer(TensorType(np.dtype(np.float16), (2, 6))) == TensorType(np.dtype(np.float16), (2, 5))
    with pytest.raises(InvalidModelError, match=r"expected a bias of the shape \(5,\), got \(6,\)"):
        ops.Linear(small((5, 6), np.float32), small((6,), np.float32))


def test_a_product_of_two_types_needs_to_say_its_own() -> None:
    x, y = small((3, 5), np.float32), small((5, 4), np.float64)
    types = TensorType.of(x), TensorType.of(y)
    with pytest.raises(InvalidModelError, match="inputs of types float32 and float64 do not fit together"):
        ops.MatMul().infer(*types)
    op = ops.MatMul(result=np.dtype(np.float32))
    assert op.infer(*types) == TensorType.of(op.run(x, y)) == TensorType(np.dtype(np.float32), (3, 4))
    np.testing.assert_array_equal(op.run(x, y), op.define(x, y))
