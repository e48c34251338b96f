"""Products and attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from mil.support import run
from support import integers

from refcoreml.build.program import Program as Builder
from refcoreml.errors import InvalidModelError
from refcoreml.mil.precision import PRECISIONS
from refcoreml.mil.program import Program
from refcoreml.spec import schema

TYPES = (np.float16, np.float32)
HELD = {np.float16: np.float32}


# ---- linear ----


@pytest.mark.parametrize("opset", ["CoreML5", "CoreML7"])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (2, 4, 3, 5)])
@pytest.mark.clause("mil.linear.S1", "mil.linear.S2", "programs.U36")
def test_linear(shape: tuple[int, ...], dtype: Any, opset: str) -> None:
    x, weight, bias = integers(shape, 1), integers((6, 5), 2), integers((6,), 3)
    expected = np.zeros((*shape[:-1], 6))
    for *place, o in np.ndindex(*expected.shape):
        expected[(*place, o)] = sum(weight[o, i] * x[(*place, i)] for i in range(5))
    inputs = {"x": x.astype(dtype)}
    found = run("linear", inputs, opset=opset, weight=weight.astype(dtype))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    found = run("linear", inputs, opset=opset, weight=weight.astype(dtype), bias=bias.astype(dtype))
    np.testing.assert_array_equal(found, expected + bias)


@pytest.mark.clause("mil.linear.C2", "programs.U33")
def test_since_coreml7_weights_may_be_of_the_other_float_type() -> None:
    x, weight, bias = integers((3, 5), 1), integers((6, 5), 2) / 4, integers((6,), 3)
    for dtype, other in (TYPES, TYPES[::-1]):
        constants = {"weight": weight.astype(other), "bias": bias.astype(other)}
        np.testing.assert_array_equal(run("linear", {"x": x.astype(dtype)}, **constants), x @ weight.T + bias)
        mixed = {"weight": weight.astype(dtype), "bias": bias.astype(other)}
        np.testing.assert_array_equal(run("linear", {"x": x.astype(dtype)}, **mixed), x @ weight.T + bias)
        with pytest.raises(InvalidModelError, match=r"have elements of types .*, expected one"):
            run("linear", {"x": x.astype(dtype)}, opset="CoreML6", **constants)


@pytest.mark.clause("mil.linear.S3")
def test_half_precision_is_rounded_once_and_weights_of_fp32_stay_what_they_are() -> None:
    x = np.array([1024, 1024, 1], np.float16)
    # 2049.25 lies between 2048 and 2050; had 1024 + 1024 + 1 been rounded before the bias, 2048 would be the result.
    found = run("linear", {"x": x}, weight=np.ones((1, 3), np.float16), bias=np.array([0.25], np.float16))
    assert found.tolist() == [2050]
    # Half precision holds 1 in the place of 1 + 2^-11, and near 3 numbers that are multiples of 2^-9.
    x, weight = np.ones(3, np.float16), np.full((1, 3), 1 + 2**-11, np.float32)
    assert run("linear", {"x": x}, weight=weight).tolist() == [3 + 2**-9]
    assert run("linear", {"x": x}, weight=weight.astype(np.float16)).tolist() == [3]
    assert run("linear", {"x": x}, weight=weight, precision="float32").tolist() == [3 + 3 * 2**-11]


X, WEIGHT, BIAS = (integers(shape).astype(np.float32) for shape in [(3, 5), (6, 5), (6,)])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weight": None}, "'weight' is missing"),
        ({"weight": WEIGHT[0]}, r"'weight' has the shape \(5,\), expected rank 2"),
        ({"weight": WEIGHT[:, 1:]}, "has 5 values a row, the weights are for 4"),
        ({"bias": BIAS[1:]}, r"expected a bias of the shape \(6,\), got \(5,\)"),
        ({"weight": WEIGHT > 0}, "expected fp16, fp32, int32"),
        ({"weight": WEIGHT.astype(np.int32), "opset": "CoreML6"}, "expected fp16, fp32"),
    ],
)
@pytest.mark.clause("mil.linear.C1", "mil.linear.C2")
def test_linear_parameters_that_do_not_fit(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        run("linear", {"x": X}, **{"weight": WEIGHT, "bias": BIAS, **changed})


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.clause("mil.linear.C2")
def test_since_coreml7_linear_takes_weights_of_integers(dtype: Any) -> None:
    found = run("linear", {"x": X.astype(dtype)}, weight=WEIGHT.astype(np.int32), bias=BIAS.astype(np.int32))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, X @ WEIGHT.T + BIAS)


@pytest.mark.clause("mil.linear.C1", "programs.U35")
def test_linear_refuses_integers_and_weights_that_a_run_computes() -> None:
    with pytest.raises(InvalidModelError, match="'x' has elements of type int32, expected fp16, fp32"):
        run("linear", {"x": X.astype(np.int32)}, weight=WEIGHT.astype(np.int32))
    with pytest.raises(InvalidModelError, match="'weight' must be a constant"):
        run("linear", {"x": X, "weight": WEIGHT})


# ---- matmul ----

SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((3, 5), (5, 4)),
    ((2, 3, 5), (5, 4)),
    ((3, 5), (2, 5, 4)),
    ((7, 1, 3, 5), (2, 5, 4)),
    ((5,), (5,)),
    ((5,), (2, 5, 4)),
    ((2, 3, 5), (5,)),
]


@pytest.mark.parametrize("opset", ["CoreML5", "CoreML7"])
@pytest.mark.parametrize("dtype", [*TYPES, np.int32])
@pytest.mark.parametrize(("x_shape", "y_shape"), SHAPES)
@pytest.mark.clause("mil.matmul.S1", "mil.matmul.S3")
def test_matmul(x_shape: tuple[int, ...], y_shape: tuple[int, ...], dtype: Any, opset: str) -> None:
    x, y = integers(x_shape, 1).astype(dtype), integers(y_shape, 2).astype(dtype)
    expected = np.matmul(x.astype(np.float64), y.astype(np.float64))
    for inputs, constants in [({"x": x, "y": y}, {}), ({"x": x}, {"y": y}), ({"y": y}, {"x": x})]:
        found = run("matmul", inputs, opset=opset, **constants)
        assert (found.dtype, found.shape) == (HELD.get(dtype, dtype), expected.shape)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [*TYPES, np.int32])
@pytest.mark.parametrize("transpose_x", [False, True])
@pytest.mark.parametrize("transpose_y", [False, True])
@pytest.mark.clause("mil.matmul.S2")
def test_transposed(transpose_x: bool, transpose_y: bool, dtype: Any) -> None:
    x, y = integers((2, 3, 5), 1), integers((2, 5, 4), 2)
    inputs = {
        "x": (x.swapaxes(1, 2) if transpose_x else x).astype(dtype),
        "y": (y.swapaxes(1, 2) if transpose_y else y).astype(dtype),
    }
    np.testing.assert_array_equal(run("matmul", inputs, transpose_x=transpose_x, transpose_y=transpose_y), x @ y)


@pytest.mark.clause("programs.U37")
def test_a_vector_is_not_transposed() -> None:
    x, y = integers((5,), 1).astype(np.float32), integers((4, 5), 2).astype(np.float32)
    np.testing.assert_array_equal(run("matmul", {"x": x, "y": y}, transpose_x=True, transpose_y=True), x @ y.T)
    np.testing.assert_array_equal(run("matmul", {"x": y, "y": x}, transpose_y=True), y @ x)


@pytest.mark.clause("mil.matmul.S4")
def test_integers_wrap_around() -> None:
    x = np.full((1, 3), 2**30, np.int32)
    assert run("matmul", {"x": x, "y": np.full((3, 1), 2, np.int32)}).tolist() == [[-(2**31)]]


@pytest.mark.clause("mil.matmul.C2", "mil.matmul.S5")
def test_since_coreml7_one_constant_may_be_of_the_other_float_type() -> None:
    x, y = integers((3, 5), 1), integers((5, 4), 2) + 2**-11  # which half precision does not hold beside 4 and 3
    for dtype, other in (TYPES, TYPES[::-1]):
        exact = x @ y.astype(other).astype(np.float64)
        expected = exact.astype(dtype).astype(np.float64) if dtype is np.float16 else exact
        np.testing.assert_array_equal(run("matmul", {"x": x.astype(dtype)}, y=y.astype(other)), expected)
        swapped = run("matmul", {"y": x.T.astype(dtype)}, x=y.T.astype(other))
        np.testing.assert_array_equal(swapped, expected.T)
        for precision, held in (("float32", np.float32), ("float64", np.float64)):
            found = run("matmul", {"x": x.astype(dtype)}, y=y.astype(other), precision=precision)
            assert found.dtype == held
        np.testing.assert_array_equal(found, exact)
        with pytest.raises(InvalidModelError, match=r"have elements of types .*, expected one"):
            run("matmul", {"x": x.astype(dtype)}, y=y.astype(other), opset="CoreML6")
        with pytest.raises(InvalidModelError, match=r"have elements of types .*, expected one"):
            run("matmul", {"x": x.astype(dtype), "y": y.astype(other)})


@pytest.mark.clause("programs.U27")
@pytest.mark.clause("mil.matmul.C2", "mil.matmul.S5")
def test_since_coreml7_one_constant_may_be_integers_beside_floats_and_floats_beside_integers() -> None:
    x, y = integers((3, 5), 1), integers((5, 4), 2)
    whole, halves = y.astype(np.int32), (y + 0.5).astype(np.float32)
    np.testing.assert_array_equal(run("matmul", {"x": x.astype(np.float32)}, y=whole), x @ y)
    np.testing.assert_array_equal(run("matmul", {"y": y.astype(np.float16)}, x=x.astype(np.int32)), x @ y)
    found = run("matmul", {"x": x.astype(np.int32)}, y=halves)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, np.trunc(x @ (y + 0.5)))
    found = run("matmul", {"x": np.array([[1, 1]], np.int32)}, y=np.float32([[2**31], [2**31]]))
    assert found.tolist() == [[2**31 - 1]]


@pytest.mark.clause("mil.matmul.C1", "mil.matmul.C2")
def test_matmul_inputs_that_do_not_fit() -> None:
    x = integers((3, 5), 1)
    stacks = {"x": np.ones((2, 3, 5), np.float32), "y": np.ones((4, 5, 6), np.float32)}
    with pytest.raises(InvalidModelError, match=r"cannot multiply|broadcast"):
        run("matmul", stacks)
    with pytest.raises(InvalidModelError, match=r"cannot multiply \(3, 5\) by \(3, 5\)"):
        run("matmul", {"x": x.astype(np.float32), "y": x.astype(np.float32)})
    with pytest.raises(InvalidModelError, match="expected fp16, fp32, int32"):
        run("matmul", {"x": x.astype(np.float32)}, y=x.T > 0)
    with pytest.raises(InvalidModelError, match="expected fp16, fp32, int32"):
        run("matmul", {"x": x.astype(np.int8), "y": x.T.astype(np.int8)})


# ---- einsum ----


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.clause("mil.einsum.S1", "mil.einsum.S2", "mil.einsum.S3")
def test_einsum(dtype: Any) -> None:
    x, y = integers((2, 3, 4, 5), 1), integers((2, 5, 4, 6), 2)
    expected = np.zeros((2, 3, 4, 6))
    for n, c, h, u in np.ndindex(*expected.shape):
        expected[n, c, h, u] = sum(x[n, c, h, w] * y[n, w, h, u] for w in range(5))
    for equation in ("nchw,nwhu->nchu", "abcd, adce -> abce"):
        found = run("einsum", {"values": [x.astype(dtype), y.astype(dtype)]}, equation=equation)
        np.testing.assert_array_equal(found, expected)
    found = run("einsum", {"values": [x[0].astype(dtype), y[0].astype(dtype)]}, equation="chw,whr->chr")
    np.testing.assert_array_equal(found, expected[0])
    found = run("einsum", {"values": [x[:1, :, :1].astype(dtype), y.astype(dtype)]}, equation="nchw,nwhu->nchu")
    np.testing.assert_array_equal(found, np.einsum("chw,nwyu->ncyu", x[0, :, :1], y))


@pytest.mark.clause("mil.einsum.S1", "programs.U38")
def test_other_equations() -> None:
    x, y, z = integers((2, 3), 1), integers((3, 4), 2), integers((4, 2), 3)
    given = [array.astype(np.float32) for array in (x, y, z)]
    np.testing.assert_array_equal(run("einsum", {"values": given}, equation="ab,bc,ca->"), np.trace(x @ y @ z))
    np.testing.assert_array_equal(run("einsum", {"values": given[:2]}, equation="ab,bc"), x @ y)


@pytest.mark.clause("mil.einsum.C1", "mil.einsum.C2")
def test_values_that_do_not_fit() -> None:
    x = X.astype(np.float32)
    for values, equation, message in [
        ([x, x], "ab,bc->ac", "the letter b of 'ab,bc->ac' stands for lengths of 5 and 3"),
        ([x, x], "ab,ab->a1", "holds other characters than letters"),
        ([x, x.astype(np.float16)], "ab,ab->a", "inputs have several types"),
        ([x.astype(np.int32), x.astype(np.int32)], "ab,ab->a", r"expected tensors of fp16 or fp32"),
    ]:
        with pytest.raises(InvalidModelError, match=message):
            run("einsum", {"values": values}, equation=equation)


# ---- Attention ----


def attention(query: Any, key: Any, value: Any, mask: Any) -> Any:
    y = np.zeros((*query.shape[:-1], value.shape[-1]))
    mask = np.broadcast_to(mask, (*query.shape[:-1], key.shape[-2]))
    for *batch, row in np.ndindex(*query.shape[:-1]):
        b = tuple(batch)
        scores = [
            float(query[(*b, row)] @ key[(*b, s)]) / math.sqrt(query.shape[-1]) + mask[(*b, row, s)]
            for s in range(key.shape[-2])
        ]
        weights = [math.exp(score - max(scores)) for score in scores]
        y[(*b, row)] = sum(w * value[(*b, s)] for s, w in enumerate(weights)) / sum(weights)
    return y


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("batch", [(2,), (2, 3)])
@pytest.mark.clause(
    "mil.scaled_dot_product_attention.S1",
    "mil.scaled_dot_product_attention.S2",
    "mil.scaled_dot_product_attention.S3",
    "mil.scaled_dot_product_attention.C2",
)
def test_attention(batch: tuple[int, ...], dtype: Any) -> None:
    rng = np.random.default_rng(5)
    query, key, value = (
        rng.normal(size=(*batch, *shape)).astype(dtype).astype(np.float64) for shape in [(4, 6), (5, 6), (5, 7)]
    )
    booleans, numbers = rng.random((4, 5)) < 0.7, rng.integers(-3, 3, (*batch, 1, 5)).astype(np.float64)
    assert booleans.any(1).all()
    inputs = {"query": query.astype(dtype), "key": key.astype(dtype), "value": value.astype(dtype)}
    # Numbers below 4, of 11 bits; in single precision some tens of roundings.
    limit = 2**-10 if dtype is np.float16 else 2**-18
    for mask, added in [(None, 0.0), (booleans, np.where(booleans, 0, -np.inf)), (numbers.astype(dtype), numbers)]:
        given = inputs if mask is None else {**inputs, "attn_mask": mask}
        found = run("scaled_dot_product_attention", given)
        np.testing.assert_allclose(found, attention(query, key, value, added), rtol=0, atol=limit)
    found = [run("scaled_dot_product_attention", {**inputs, "attn_mask": numbers.astype(other)}) for other in TYPES]
    np.testing.assert_array_equal(*found)
    constant = run("scaled_dot_product_attention", inputs, attn_mask=booleans)
    np.testing.assert_array_equal(constant, run("scaled_dot_product_attention", {**inputs, "attn_mask": booleans}))


@pytest.mark.clause("programs.U14")
@pytest.mark.parametrize("mask", [[[True, False], [False, False], [True, True]], [[0, -np.inf], [-np.inf] * 2, [0, 0]]])
def test_a_query_without_keys_is_not_a_number(mask: Any) -> None:
    query, key = np.ones((1, 3, 4), np.float32), np.ones((1, 2, 4), np.float32)
    value = np.array([[[1], [2]]], np.float32)
    given = np.array(mask, np.bool_ if mask[0][0] is True else np.float32)
    y = run("scaled_dot_product_attention", {"query": query, "key": key, "value": value, "attn_mask": given})
    np.testing.assert_array_equal(y, [[[1], [np.nan], [1.5]]])


@pytest.mark.clause(
    "mil.scaled_dot_product_attention.C1",
    "mil.scaled_dot_product_attention.C2",
    "mil.scaled_dot_product_attention.C3",
)
def test_attention_that_does_not_fit() -> None:
    query, key = np.zeros((2, 4, 6), np.float32), np.zeros((2, 5, 6), np.float32)
    kind = "scaled_dot_product_attention"
    with pytest.raises(InvalidModelError, match="with equal"):
        run(kind, {"query": query, "key": key[:1], "value": key[:1]})
    with pytest.raises(InvalidModelError, match=r"have elements of types .*, expected one"):
        run(kind, {"query": query, "key": key, "value": key.astype(np.float16)})
    with pytest.raises(InvalidModelError, match="expected fp16, fp32, bool"):
        run(kind, {"query": query, "key": key, "value": key, "attn_mask": np.zeros((4, 5), np.int32)})
    alone = run(kind, {"query": query, "key": key, "value": key, "attn_mask": np.zeros((4, 5), bool)})
    assert np.isnan(alone).all()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4, 6), (5, 6), (5, 7)), "not empty"),
        (((2, 4, 6), (2, 5, 3), (2, 5, 7)), "rows of equal length E"),
        (((2, 4, 6), (2, 5, 6), (2, 3, 7)), "as many keys as values"),
        (((1, 4, 6), (2, 5, 6), (2, 5, 7)), "with equal"),
        (((2, 4, 6), (2, 5, 6), (2, 5, 7), (3, 5)), r"mask \(3, 5\) does not broadcast to .* \(2, 4, 5\)"),
        (((2, 4, 6), (2, 5, 6), (2, 5, 7), (3, 2, 4, 5)), r"mask \(3, 2, 4, 5\) does not broadcast"),
    ],
)
@pytest.mark.clause("mil.scaled_dot_product_attention.C1", "mil.scaled_dot_product_attention.C3")
def test_shapes_of_attention_that_do_not_fit(shapes: Any, message: str) -> None:
    names = ("query", "key", "value", "attn_mask")
    given = {name: np.zeros(shape, np.float32) for name, shape in zip(names, shapes, strict=False)}
    with pytest.raises(InvalidModelError, match=message):
        run("scaled_dot_product_attention", given)


@pytest.mark.clause("programs.U39")
def test_a_mask_of_one_key_counts_for_all() -> None:
    query, key, value = (integers(shape, 1).astype(np.float32) for shape in [(2, 3, 5), (2, 4, 5), (2, 4, 6)])
    inputs, mask = {"query": query, "key": key, "value": value}, np.array([[True], [False], [True]])
    found = run("scaled_dot_product_attention", {**inputs, "attn_mask": mask})
    assert np.isnan(found[:, 1]).all()
    np.testing.assert_array_equal(found[:, ::2], run("scaled_dot_product_attention", inputs)[:, ::2])


def test_torch() -> None:
    torch: Any = pytest.importorskip("torch", reason="torch is the second opinion")
    rng = np.random.default_rng(6)
    query, key, value = (rng.normal(size=(2, 3, *shape)).astype(np.float32) for shape in [(4, 6), (5, 6), (5, 7)])
    mask = np.tri(4, 5, 1, dtype=bool)
    expected = torch.nn.functional.scaled_dot_product_attention(*map(torch.from_numpy, (query, key, value, mask)))
    inputs = {"query": query, "key": key, "value": value, "attn_mask": mask}
    np.testing.assert_allclose(run("scaled_dot_product_attention", inputs), expected.numpy(), rtol=0, atol=2**-18)


def test_weights_for_many_vectors_are_laid_out_by_columns() -> None:
    """One vector, as of a decoder, is multiplied fastest by weights as they are: rows that may stay in their file."""
    for rows, columns in ((1, False), (128, True), (None, True)):
        program = Builder({"x": ("fp32", (rows, 3))}, opset="CoreML7")
        weight, made = np.ones((5, 3), np.float32), [("fp32", (rows, 5))]
        program.output(program.add("linear", x=program["x"], weight=weight, name="y", outputs=made))
        message = schema.MILSpec.Program(version=1)
        message.functions["main"].CopyFrom(program.function())
        (step,) = Program(message, "main").engine.steps
        weights: Any = vars(vars(step.op)["op"])["weights"]
        assert weights.T.flags.c_contiguous is columns


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_that_begin_anywhere_in_a_message_are_moved(precision):
    """NumPy leaves BLAS out where numbers begin at odd addresses: a product took fifty times as long."""
    weight = np.arange(15, dtype=np.float32).reshape(3, 5)
    odd = np.frombuffer(b"." + weight.tobytes(), np.float32, 15, 1).reshape(3, 5)
    assert not odd.flags.aligned
    held = PRECISIONS[precision].hold(odd)
    assert held.flags.aligned
    np.testing.assert_array_equal(held, weight)
    assert np.shares_memory(PRECISIONS["float32"].hold(weight), weight)
