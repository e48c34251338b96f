"""Compressed constants: in pieces, in half precision, in little memory, and as documented."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from ops.examples import Example
from ops.examples.compression import EXAMPLES
from support import assert_identical, integers

from refcoreml import ops
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.kernels import compression as kernels
from refcoreml.kernels.threads import thread_count
from refcoreml.types import TensorType


@pytest.mark.parametrize("piece", [1, 2, 7, 24, 60])
def test_pieces_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(kernels, "_PIECE", piece)
    for example in EXAMPLES:
        found, expected = example.op.run(*example.inputs), example.op.define(*example.inputs)
        pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
        for y, z in pairs:
            np.testing.assert_array_equal(y, z, err_msg=str(example))


@pytest.mark.parametrize("data", ["int8", "uint8"])
def test_half_precision_rounds_the_product_once(data: str) -> None:
    """The difference of integers is exact, up to 383, and its product has 9 + 11 bits: double precision holds it."""
    rng = np.random.default_rng(1)
    codes = rng.integers(-128, 128, (64, 96)).astype(data)
    scale = rng.normal(size=(4, 1)).astype(np.float16)
    offset = rng.integers(-128, 128, (4, 1)).astype(np.int8)
    difference = codes.astype(np.float64) - np.repeat(offset, 16, axis=0)
    expected = (difference * np.repeat(scale, 16, axis=0)).astype(np.float16)
    found = ops.BlockwiseShiftScale().run(codes, scale, offset)
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, expected)
    mask = rng.random((64, 96)) < 0.5
    _, sparse = ops.SparseBlockwiseShiftScale().run(mask, codes[mask], scale, offset)
    np.testing.assert_array_equal(sparse, expected[mask])


def test_differences_of_floats_are_rounded_to_the_widest_type() -> None:
    rng = np.random.default_rng(2)
    data, scale, offset = (rng.normal(size=n).astype(np.float16) for n in (999, 1, 1))
    found = ops.BlockwiseShiftScale().run(data, scale, offset)
    np.testing.assert_array_equal(found, (data - offset) * scale)  # halves throughout
    wide = offset.astype(np.float32) + np.float32(1e-5)
    found = ops.BlockwiseShiftScale().run(data, scale, wide)
    np.testing.assert_array_equal(found, ((data - wide) * scale).astype(np.float16))
    codes = rng.integers(-128, 128, 999).astype(np.int8)
    found = ops.Dequantize().run(codes, scale[0], np.array(0.3, np.float32))
    np.testing.assert_array_equal(found, ((codes - np.float32(0.3)) * scale.astype(np.float32)).astype(np.float16))


@pytest.mark.parametrize(
    ("op", "rest"),
    [
        (ops.BlockwiseShiftScale(), (np.ones((8, 32), np.float16), np.ones((8, 32), np.uint8))),
        (ops.LutToDense(), (np.ones((8, 1, 256, 1), np.float16),)),
        (ops.Dequantize(1), (np.ones(1024, np.float32),)),
    ],
)
def test_decoding_needs_little_beside_the_result(op: ops.Op, rest: tuple[Any, ...]) -> None:
    codes = np.arange(1 << 20, dtype=np.uint8).reshape(1024, 1024)
    op.run(codes, *rest)
    tracemalloc.start()
    try:
        found = op.run(codes, *rest)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(found, np.ndarray)
    # Two arrays of up to 8 bytes an element of a piece, on each thread, and the list of the pieces.
    assert peak < found.nbytes + thread_count() * 2 * 8 * kernels._PIECE + 100_000


# ---- As documented ----

A, B = [1, 2, 3], [4, 5, 6]


def test_tables_by_group_as_documented() -> None:
    indices = np.array([[2, 3], [3, 0], [1, 0], [3, 0], [2, 1], [0, 3]], np.uint8)
    lut = np.array([1, 5, 9, 13, 2, 10, 18, 26], np.float16).reshape(2, 1, 4, 1)
    expected = np.array([[9, 13], [13, 1], [5, 1], [26, 2], [18, 10], [2, 26]], np.float16)
    assert_identical(ops.LutToDense().run(indices, lut), expected)


def test_tables_of_vectors_as_documented() -> None:
    indices = np.array([[[0, 0], [1, 0]], [[1, 1], [0, 0]]], np.uint8)
    lut = np.array([A, B], np.int8).reshape(1, 1, 1, 2, 3)
    middle = [[*zip(A, A, strict=True), *zip(B, A, strict=True)], [*zip(B, B, strict=True), *zip(A, A, strict=True)]]
    assert_identical(ops.LutToDense(1).run(indices, lut), np.array(middle, np.int8))
    last = [[A + A, B + A], [B + B, A + A]]
    for axis in (2, -1):
        assert_identical(ops.LutToDense(axis).run(indices, lut), np.array(last, np.int8))


def test_sparse_tables_as_documented() -> None:
    mask = np.array([[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 1], [0, 1, 1, 0, 1, 0], [0, 0, 0, 1, 0, 0]], np.uint8)
    indices = np.array([0, 1, 1, 0, 1, 1, 0, 0, 1], np.uint8)
    lut = np.array([2, 3], np.float16).reshape(1, 1, 2, 1)
    same, numbers = ops.LutToSparse().run(mask, indices, lut)
    np.testing.assert_array_equal(same, mask)
    assert_identical(numbers, np.array([2, 3, 3, 2, 3, 3, 2, 2, 3], np.float16))
    expanded, vectors = ops.LutToSparse(0).run(mask, indices, np.repeat(lut, 2, axis=-1))
    np.testing.assert_array_equal(expanded, mask.repeat(2, axis=0))
    dense = ops.SparseToDense().run(vectors, expanded)
    rows = [[2, 3, 0, 0, 0, 0], [3, 2, 0, 0, 0, 3], [0, 3, 2, 0, 2, 0], [0, 0, 0, 3, 0, 0]]
    assert_identical(dense, np.repeat(np.array(rows, np.float16), 2, axis=0))


def test_sparse_blocks_as_documented() -> None:
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]], bool)
    data = np.array([10, 11, 3, 4, 5, 6, 7, 8, 9], np.int8)
    scale, offset = np.array([[0.1, 0.2, 0.3, 0.4]]), np.array([[1, 2, 3, 4]], np.int8)
    same, numbers = ops.SparseBlockwiseShiftScale().run(mask, data, scale, offset)
    assert same is mask
    expected = [0.9, 1.8, 0.2, 0.4, 0.6, 0.9, 1.2, 0.7, 1.4]
    np.testing.assert_allclose(numbers, expected, rtol=2 * 2.0**-53)  # of the decimal, of the product


def test_numbers_are_quantized_to_even() -> None:
    x, scale = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 200, -200]), np.array(1.0)
    signed = ops.Quantize(np.dtype(np.int8)).run(x, scale, np.array(1, np.int8))
    assert_identical(signed, np.array([-1, -1, 1, 1, 3, 3, 127, -128], np.int8))
    unsigned = ops.Quantize(np.dtype(np.uint8)).run(x, scale)
    assert_identical(unsigned, np.array([0, 0, 0, 0, 2, 2, 200, 0], np.uint8))


# ---- What does not fit ----


def _type(dtype: str, *shape: int) -> TensorType:
    return TensorType(np.dtype(dtype), shape)


F, INT, M = "float32", "int8", "bool"
QUANTIZE = ops.Quantize(np.dtype(np.int8), 1)


@pytest.mark.parametrize(
    ("op", "types", "words"),
    [
        (ops.Dequantize(), [_type(F, 4), _type(F)], "takes integers or unsigned integers, got float32"),
        (ops.Dequantize(), [_type(INT, 4), _type(INT)], "takes floats, got int8"),
        (ops.Dequantize(), [_type(INT, 4), _type(F, 4)], r"the scale is a vector \(4,\), but no axis"),
        (
            ops.Dequantize(0),
            [_type(INT, 4, 3), _type(F, 3)],
            r"the scale has the shape \(3,\), expected \(\) or \(4,\)",
        ),
        (ops.Dequantize(1), [_type(INT, 4, 3), _type(F, 3), _type(INT, 4)], "the zero point has the shape"),
        (ops.Dequantize(2), [_type(INT, 4, 3), _type(F, 3)], "axis is 2, expected -2 to 1"),
        (QUANTIZE, [_type(INT, 4, 3), _type(F)], "takes floats, got int8"),
        (QUANTIZE, [_type(F, 4, 3), _type(F), _type("uint8")], r"the zero point is uint8 \(\), expected int8"),
        (
            ops.BlockwiseShiftScale(),
            [_type(INT, 4, 6), _type(F, 6)],
            r"the scale has the shape \(6,\), expected the rank",
        ),
        (ops.BlockwiseShiftScale(), [_type(INT, 4, 6), _type(F, 4, 5)], "lengths that divide"),
        (ops.BlockwiseShiftScale(), [_type(INT, 4, 6), _type(F, 4, 0)], "lengths that divide"),
        (
            ops.BlockwiseShiftScale(),
            [_type(INT, 4, 6), _type(F, 4, 3), _type(INT, 4, 1)],
            r"the offset is int8 \(4, 1\)",
        ),
        (ops.BlockwiseShiftScale(), [_type(M, 4), _type(F, 4)], "got bool"),
        (ops.SparseToDense(), [_type(F, 4, 1), _type(M, 3, 2)], r"expected a vector .*, got \(4, 1\)"),
        (ops.SparseToDense(), [_type(F, 4), _type(F, 3, 2)], "takes booleans or integers"),
        (ops.SparseBlockwiseShiftScale(), [_type(M, 3, 2), _type(INT, 4), _type(F, 4)], "expected the rank of"),
        (ops.LutToDense(), [_type(F, 4), _type(F, 1, 2, 1)], "got float32"),
        (ops.LutToDense(), [_type(INT), _type(F, 2, 1)], "rank 1 or more, got a scalar"),
        (ops.LutToDense(), [_type(INT, 4, 6), _type(F, 1, 2, 1)], r"\(1, 2, 1\), expected 4 axes"),
        (ops.LutToDense(), [_type(INT, 4, 6), _type(F, 1, 4, 2, 1)], "lengths that divide"),
        (ops.LutToDense(), [_type(INT, 4, 6), _type(F, 1, 1, 2, 3)], "entries of 3 elements, but no vector axis"),
        (ops.LutToDense(2), [_type(INT, 4, 6), _type(F, 1, 1, 2, 3)], "vector axis is 2, expected -2 to 1"),
        (ops.LutToSparse(), [_type(M, 4, 6), _type(INT, 5), _type(F, 1, 5, 2, 1)], "lengths that divide"),
    ],
)
def test_types_that_do_not_fit(op: ops.Op, types: list[TensorType], words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        op.infer(*types)


TABLE = np.ones((1, 4, 1))


@pytest.mark.parametrize(
    ("op", "inputs", "words"),
    [
        (ops.LutToDense(), (np.array([0, 4], np.uint8), TABLE), "indices are 0 to 4, but the table has 4 entries"),
        (ops.LutToDense(), (np.array([0, -1], np.int8), TABLE), "indices are -1 to 0"),
        (ops.LutToSparse(), (np.ones(2, bool), np.array([0, 9], np.uint8), TABLE), "indices are 0 to 9"),
        (ops.LutToSparse(), (np.ones(2, bool), np.array([0], np.uint8), TABLE), "keeps 2 of its 2 elements, but 1"),
        (ops.SparseToDense(), (np.ones(3), np.array([1, 0, 1, 0])), "keeps 2 of its 4 elements, but 3 are given"),
        (ops.SparseBlockwiseShiftScale(), (np.ones(4, bool), np.ones(5), np.ones(1)), "keeps 4 of its 4 elements"),
    ],
)
def test_values_that_do_not_fit(op: ops.Op, inputs: tuple[Any, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        op.run(*inputs)


# ---- Second opinions ----


def _opinion(example: Example, defs: Any) -> Any:
    """What coremltools' conversion computes, which takes attributes as arguments."""
    op, inputs = example.op, example.inputs
    if isinstance(op, ops.BlockwiseShiftScale):
        return defs.constexpr_blockwise_shift_scale.decompress(*inputs, *[None] * (3 - len(inputs)))
    if isinstance(op, ops.SparseBlockwiseShiftScale):
        return defs.constexpr_sparse_blockwise_shift_scale.decompress(*inputs, *[None] * (4 - len(inputs)))
    if isinstance(op, ops.LutToDense):
        return defs.constexpr_lut_to_dense.decompress(*inputs, op.vector_axis)
    if isinstance(op, ops.LutToSparse):
        return defs.constexpr_lut_to_sparse.decompress(*inputs, op.vector_axis)
    if isinstance(op, ops.SparseToDense):
        return defs.constexpr_sparse_to_dense.decompress(*inputs)
    return None


def test_coremltools_decodes_the_same() -> None:
    pytest.importorskip("coremltools", reason="coremltools decodes constants in its own way")
    from coremltools.converters.mil.mil.ops.defs.iOS18 import compression as defs
    from coremltools.optimize import _utils as utils

    judged = 0
    for example in EXAMPLES:
        expected = _opinion(example, defs)
        if expected is None:
            continue
        found = example.op.run(*example.inputs)
        pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
        for y, z in pairs:
            np.testing.assert_array_equal(y, z, err_msg=str(example))
        judged += 1
    assert judged > 40
    scale, zero = integers((6, 1), 3, 1, 9) / 4, integers((6, 1), 4, -128, 128).astype(np.int8)
    x = integers((6, 7), 5, -400, 400) / 4
    codes = ops.Quantize(np.dtype(np.int8), 0).run(x, scale[:, 0], zero[:, 0])
    np.testing.assert_array_equal(codes, utils.quantize_by_scale_and_zp(x, scale, zero, "int8"))
    back = ops.Dequantize(0).run(codes, scale[:, 0], zero[:, 0])
    np.testing.assert_array_equal(back, utils.dequantize_by_scale_and_zp(codes, scale, zero))
