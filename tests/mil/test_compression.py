"""Compressed constants and quantized numbers: each form in each operation set, chains of them, and what is refused."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mil.support import run
from support import assert_identical

import refcoreml
from refcoreml.build.program import Known
from refcoreml.build.program import Program as Builder
from refcoreml.errors import InvalidModelError, LimitError, UnsupportedModelError
from refcoreml.execution.limits import Budget, Limits
from refcoreml.kernels import compression as kernels
from refcoreml.mil.precision import PRECISIONS
from refcoreml.mil.program import Program
from refcoreml.spec import schema
from refcoreml.spec.mil_types import DataType
from refcoreml.types import Array

FLOATS = pytest.mark.parametrize("dtype", [np.float16, np.float32])
WIDTHS = pytest.mark.parametrize("bits", [1, 2, 4, 6, 8])


def prepared(builder: Builder) -> Program:
    message = schema.MILSpec.Program(version=1)
    message.functions["main"].CopyFrom(builder.function())
    return Program(message, "main")


def decoded(kind: str, *, opset: str = "CoreML8", outputs: Any = None, **parameters: Any) -> Any:
    """Return what a constant is decoded to; a list if there are several."""
    builder = Builder({}, opset=opset)
    made = builder.add(kind, outputs=outputs, **parameters)
    results = made if isinstance(made, tuple) else (made,)
    builder.output(*results)
    found = prepared(builder).run({})
    listed = [found[result.name] for result in results]
    return listed if len(listed) > 1 else listed[0]


def packed(codes: Array, bits: int) -> Array:
    """Pack by arithmetic of long integers: the first code is the least significant."""
    flat = codes.reshape(-1).tolist()
    total = sum(code << bits * index for index, code in enumerate(flat))
    return np.frombuffer(total.to_bytes(-(-bits * len(flat) // 8), "little"), np.uint8)


def draw(seed: int, *shape: int, low: int = 0, high: int = 256) -> Array:
    return np.random.default_rng(seed).integers(low, high, shape)


def uint(array: Any) -> Array:
    return np.asarray(array, np.uint32)


# ---- CoreML6: parameters are attributes ----


@pytest.mark.clause("mil.constexpr_affine_dequantize.S2", "mil.constexpr_cast.S2")
def test_parameters_are_attributes_before_coreml8() -> None:
    for opset in ("CoreML6", "CoreML7", "CoreML8"):
        builder = Builder({}, opset=opset)
        builder.output(builder.add("constexpr_cast", source_val=np.ones(3, np.float16), output_dtype="fp32"))
        operation = builder.function().block_specializations[opset].operations[-1]
        assert ("source_val" in operation.attributes) == (opset != "CoreML8")
        assert ("source_val" in operation.inputs) == (opset == "CoreML8")
        builder = Builder({}, opset=opset)
        builder.output(builder.add("constexpr_affine_dequantize", **AFFINE))
        operation = builder.function().block_specializations[opset].operations[-1]
        named = {"quantized_data", "scale", "zero_point", "axis"}
        assert set(operation.attributes) - {"name"} == (set() if opset == "CoreML8" else named)
        assert set(operation.inputs) == (named if opset == "CoreML8" else set())
        found = prepared(builder).run({})
        np.testing.assert_array_equal(next(iter(found.values())), np.ones((2, 3)))


@pytest.mark.parametrize("opset", ["CoreML6", "CoreML7", "CoreML8"])
@FLOATS
@pytest.mark.clause("mil.constexpr_affine_dequantize.S1")
def test_affine(opset: str, dtype: Any) -> None:
    """Two scales and zero points along an axis: scale * (data - zero point) = 1 * (3 - 2), 1 * (5 - 2), ..."""
    found = decoded(
        "constexpr_affine_dequantize",
        opset=opset,
        quantized_data=np.array([[3, 5, 9], [5, 6, 255]], np.uint8),
        scale=np.array([1, 2], dtype),
        zero_point=np.array([2, 4], np.uint8),
        axis=-2,
    )
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[1, 3, 7], [2, 4, 502]])


@pytest.mark.parametrize(
    "zero_point", [np.int8(-3), np.uint8(200), np.float32(0.5), np.float16(0.5), np.arange(4, dtype=np.int8)]
)
@pytest.mark.parametrize("scale", [np.float32(0.25), np.array([0.5, 1, -2, 4], np.float32)])
@pytest.mark.clause(
    "mil.constexpr_affine_dequantize.C1",
    "mil.constexpr_affine_dequantize.C2",
    "programs.U55",
)
def test_affine_parameters_are_numbers_or_vectors_each(scale: Any, zero_point: Any) -> None:
    data = draw(1, 3, 4, 2, low=-128, high=128).astype(np.int8)
    given = {"quantized_data": data, "scale": scale, "zero_point": zero_point, "axis": 1}
    column = [np.reshape(x, (-1, 1)) if np.ndim(x) else x for x in (scale, zero_point)]
    expected = np.float64(column[0]) * (data.astype(np.float64) - np.float64(column[1]))
    np.testing.assert_array_equal(decoded("constexpr_affine_dequantize", opset="CoreML6", **given), expected)


@pytest.mark.clause("mil.constexpr_lut_to_dense.S2")
def test_lut_is_packed_from_the_least_significant_bit() -> None:
    """The codes 0, 3, 2, 1, 3 of two bits are the bytes 01 10 11 00 and 11."""
    found = decoded(
        "constexpr_lut_to_dense",
        opset="CoreML6",
        indices=np.array([0b01101100, 0b11], np.uint8),
        lut=np.array([10, 20, 30, 40], np.float16),
        shape=uint([5]),
    )
    assert_identical(found, np.array([10, 40, 30, 20, 40], np.float32))


@pytest.mark.parametrize("opset", ["CoreML6", "CoreML7"])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float16, np.float32])
@WIDTHS
@pytest.mark.clause("mil.constexpr_lut_to_dense.C3", "mil.constexpr_lut_to_dense.S1", "mil.constexpr_lut_to_dense.S2")
def test_lut_of_each_width(bits: int, dtype: Any, opset: str) -> None:
    codes, lut = draw(bits, 3, 5, 7, high=1 << bits), draw(9, 1 << bits, high=128).astype(dtype)
    found = decoded(
        "constexpr_lut_to_dense", opset=opset, indices=packed(codes, bits), lut=lut, shape=uint(codes.shape)
    )
    np.testing.assert_array_equal(found, lut[codes])


@pytest.mark.parametrize("opset", ["CoreML6", "CoreML7"])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float16, np.float32])
@pytest.mark.clause(
    "mil.constexpr_sparse_to_dense.C1",
    "mil.constexpr_sparse_to_dense.S1",
    "mil.constexpr_sparse_to_dense.S2",
)
def test_sparse(dtype: Any, opset: str) -> None:
    mask = draw(2, 3, 5, 7, high=2)
    data = draw(3, int(mask.sum()), low=1, high=100).astype(dtype)
    expected = np.zeros(mask.shape)
    expected.reshape(-1)[np.flatnonzero(mask)] = data
    given = {"nonzero_data": data, "mask": packed(mask, 1), "shape": uint(mask.shape)}
    np.testing.assert_array_equal(decoded("constexpr_sparse_to_dense", opset=opset, **given), expected)


@pytest.mark.clause("mil.constexpr_sparse_to_dense.S2", "programs.U56")
def test_sparse_as_documented() -> None:
    """The mask xxx01100 of five elements keeps the third and the fourth, whatever x is."""
    for mask in (0b01100, 0b11101100):
        given = {"nonzero_data": np.array([7, 8], np.float32), "mask": np.array([mask], np.uint8), "shape": uint([5])}
        np.testing.assert_array_equal(decoded("constexpr_sparse_to_dense", opset="CoreML6", **given), [0, 0, 7, 8, 0])


@pytest.mark.parametrize("opset", ["CoreML6", "CoreML8"])
@pytest.mark.clause("mil.constexpr_cast.S1")
def test_cast(opset: str) -> None:
    x = np.array([[1.5, -2, 65504]], np.float16)
    found = decoded("constexpr_cast", opset=opset, source_val=x, output_dtype="fp32")
    assert_identical(found, x.astype(np.float32))


# ---- CoreML8: parameters are inputs ----


@pytest.mark.parametrize("groups", [(1, 1, 1), (4, 1, 1), (2, 3, 1), (1, 2, 5), (4, 6, 5)])
@pytest.mark.parametrize("element", ["int4", "uint4", "int8", "uint8", "fp16", "fp32"])
@FLOATS
@pytest.mark.clause("programs.U25")
@pytest.mark.clause("mil.constexpr_blockwise_shift_scale.C1", "mil.constexpr_blockwise_shift_scale.S1")
def test_blocks_of_each_type(element: str, groups: tuple[int, ...], dtype: Any) -> None:
    low, high = {"int4": (-8, 8), "uint4": (0, 16), "int8": (-128, 128)}.get(element, (0, 256))
    data, offset = draw(1, 4, 6, 5, low=low, high=high), draw(2, *groups, low=low, high=high)
    scale = (draw(3, *groups, low=-9, high=9) / 4).astype(dtype)
    expected = np.empty(data.shape)
    for i, j, k in np.ndindex(data.shape):
        group = i * groups[0] // 4, j * groups[1] // 6, k * groups[2] // 5
        expected[i, j, k] = float(scale[group]) * (data[i, j, k] - offset[group])
    for kind in {element, "fp16", "fp32"}:
        found = decoded(
            "constexpr_blockwise_shift_scale", data=Known(data, element), scale=scale, offset=Known(offset, kind)
        )
        assert_identical(found, expected.astype(dtype).astype(np.float32))


@pytest.mark.clause("mil.constexpr_blockwise_shift_scale.S1", "mil.constexpr_blockwise_shift_scale.S2")
def test_blocks_without_an_offset() -> None:
    data = np.array([[1, 2, 3, 4], [5, 6, 7, -8]], np.int8)
    found = decoded("constexpr_blockwise_shift_scale", data=Known(data, "int4"), scale=np.float32([[1, 10], [0.5, -1]]))
    np.testing.assert_array_equal(found, [[1, 2, 30, 40], [2.5, 3, -7, 8]])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float16, np.float32])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8])
@pytest.mark.clause("mil.constexpr_lut_to_dense.C2", "mil.constexpr_lut_to_dense.C3", "mil.constexpr_lut_to_dense.S3")
def test_tables_by_group(bits: int, dtype: Any) -> None:
    codes, lut = draw(bits, 4, 6, 5, high=1 << bits), draw(7, 2, 3, 1, 1 << bits, 1, high=128).astype(dtype)
    expected = np.empty(codes.shape)
    for i, j, k in np.ndindex(codes.shape):
        expected[i, j, k] = lut[i // 2, j // 2, 0, codes[i, j, k], 0]
    found = decoded("constexpr_lut_to_dense", indices=Known(codes, f"uint{bits}"), lut=lut)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.clause("programs.U18")
@pytest.mark.clause("mil.constexpr_lut_to_dense.S4")
def test_tables_of_vectors(axis: int) -> None:
    """A negative axis counts from the last one."""
    codes, lut = draw(1, 2, 4, 3, high=4), draw(2, 1, 2, 1, 4, 5, high=128).astype(np.float16)
    expected = np.concatenate(
        [np.stack([lut[0, j // 2, 0, codes[:, j, :], k] for j in range(4)], axis=1)[..., None] for k in range(5)],
        axis=-1,
    )  # the elements of each vector last
    shape = list(codes.shape)
    shape[axis] *= 5
    expected = np.moveaxis(expected, -1, axis % 3 + 1).reshape(shape)
    found = decoded("constexpr_lut_to_dense", indices=Known(codes, "uint2"), lut=lut, vector_axis=axis)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6])
@pytest.mark.clause("mil.constexpr_lut_to_dense.S5")
def test_indices_are_stored_as_one_stream_of_bits(bits: int) -> None:
    codes = draw(bits, 3, 5, high=1 << bits)
    builder = Builder({}, opset="CoreML8")
    lut = np.arange(1 << bits, dtype=np.float32).reshape(1, 1, -1, 1)
    y = builder.add("constexpr_lut_to_dense", indices=Known(codes, f"uint{bits}"), lut=lut)
    builder.output(y)
    stored = builder.function().block_specializations["CoreML8"].operations[0]
    assert stored.attributes["val"].immediateValue.tensor.bytes.values == packed(codes, bits).tobytes()
    np.testing.assert_array_equal(prepared(builder).run({})[y.name], codes)


@pytest.mark.parametrize("element", ["int4", "uint4", "int8", "uint8", "fp16", "fp32"])
@pytest.mark.clause(
    "mil.constexpr_sparse_to_dense.C1",
    "mil.constexpr_sparse_to_dense.S1",
    "mil.constexpr_sparse_to_dense.S3",
)
def test_sparse_of_each_type(element: str) -> None:
    mask = draw(2, 3, 5, 7, high=2)
    data = draw(3, int(mask.sum()), high=8)
    expected = np.zeros(mask.shape)
    expected.reshape(-1)[np.flatnonzero(mask)] = data
    found = decoded(
        "constexpr_sparse_to_dense",
        outputs=[(element, mask.shape)],
        nonzero_data=Known(data, element),
        mask=Known(mask, "uint1"),
    )
    np.testing.assert_array_equal(found, expected)


MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]], np.uint8)


@pytest.mark.clause("mil.constexpr_sparse_blockwise_shift_scale.S1", "mil.constexpr_sparse_blockwise_shift_scale.S2")
def test_sparse_blocks_as_documented() -> None:
    """Of 10 and 11 in the first row, scale 0.1 and offset 1 make 0.9, 0.2 and 2 make 1.8, and so on."""
    data = np.array([10, 11, 3, 4, 5, 6, 7, 8, 9], np.int8)
    mask, numbers = decoded(
        "constexpr_sparse_blockwise_shift_scale",
        outputs=[("uint1", MASK.shape), ("fp32", (9,))],
        data_mask=Known(MASK, "uint1"),
        nonzero_data=data,
        scale=np.float32([[0.1, 0.2, 0.3, 0.4]]),
        offset=np.int8([[1, 2, 3, 4]]),
    )
    np.testing.assert_array_equal(mask, MASK)
    np.testing.assert_allclose(numbers, [0.9, 1.8, 0.2, 0.4, 0.6, 0.9, 1.2, 0.7, 1.4], rtol=2 * 2.0**-24)


# ---- Chains ----


@pytest.mark.clause("mil.constexpr_blockwise_shift_scale.S3")
def test_palettized_with_scales() -> None:
    codes, table = draw(1, 6, 8, high=16), draw(2, 1, 1, 16, 1, low=-128, high=128).astype(np.int8)
    scale = (draw(3, 6, 1, low=1, high=9) / 8).astype(np.float16)
    builder = Builder({}, opset="CoreML8")
    numbers = builder.add("constexpr_lut_to_dense", indices=Known(codes, "uint4"), lut=table)
    y = builder.add("constexpr_blockwise_shift_scale", data=numbers, scale=scale)
    builder.output(y)
    found = prepared(builder).run({})[y.name]
    exact = table.reshape(-1)[codes] * scale.astype(np.float64)
    assert_identical(found, exact.astype(np.float16).astype(np.float32))


@pytest.mark.clause("mil.constexpr_lut_to_sparse.S3")
def test_the_table_of_a_sparse_index_follows_from_its_place() -> None:
    """Tables for the rows 0 and 1, 2 and 3; the mask keeps five numbers of the first and four of the second."""
    codes, table = np.array([0, 1, 1, 0, 1, 1, 0, 0, 1]), np.arange(1, 5, dtype=np.int8).reshape(2, 1, 2, 1)
    mask, numbers = decoded(
        "constexpr_lut_to_sparse",
        outputs=[("uint1", MASK.shape), ("int8", (9,))],
        indices_mask=Known(MASK, "uint1"),
        indices_nonzero_data=Known(codes, "uint1"),
        lut=table,
    )
    np.testing.assert_array_equal(mask, MASK)
    np.testing.assert_array_equal(numbers, [1, 2, 2, 1, 2, 4, 3, 3, 4])


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.clause("mil.constexpr_lut_to_sparse.S1", "mil.constexpr_lut_to_sparse.S2")
def test_sparse_and_palettized(size: int) -> None:
    codes, table = draw(1, 9, high=2), np.float32([2, 3, 20, 30]).reshape(2, 2).T[:, :size]
    builder = Builder({}, opset="CoreML8")
    shape = (4 * size, 4)
    mask, numbers = builder.add(
        "constexpr_lut_to_sparse",
        outputs=[("uint1", shape), ("fp32", (9 * size,))],
        indices_mask=Known(MASK, "uint1"),
        indices_nonzero_data=Known(codes, "uint1"),
        lut=table.reshape(1, 1, 2, size),
        vector_axis=0 if size > 1 else None,
    )
    y = builder.add("constexpr_sparse_to_dense", nonzero_data=numbers, mask=mask)
    builder.output(y)
    expected, places = np.zeros((4, size, 4)), np.argwhere(MASK)
    for code, (i, j) in zip(codes, places, strict=True):
        expected[i, :, j] = table[code]
    found = prepared(builder).run({})[y.name]
    np.testing.assert_array_equal(found, expected.reshape(shape))


def test_a_sparse_chain_is_decoded_once_for_each_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask and numbers are two results of one operation, which runs for both together."""
    calls: list[str] = []
    for name in ("lut_to_sparse", "sparse_shift_scale", "sparse_to_dense"):
        kernel = getattr(kernels, name)
        monkeypatch.setattr(kernels, name, lambda *given, n=name, k=kernel: (calls.append(n), k(*given))[1])
    codes = draw(1, 9, high=2)
    builder = Builder({"x": (4, 4)}, opset="CoreML8")
    mask, numbers = builder.add(
        "constexpr_lut_to_sparse",
        outputs=[("uint1", (4, 4)), ("int8", (9,))],
        indices_mask=Known(MASK, "uint1"),
        indices_nonzero_data=Known(codes, "uint1"),
        lut=np.array([5, -7], np.int8).reshape(1, 1, 2, 1),
    )
    mask, numbers = builder.add(
        "constexpr_sparse_blockwise_shift_scale",
        outputs=[("uint1", (4, 4)), ("fp32", (9,))],
        data_mask=mask,
        nonzero_data=numbers,
        scale=np.float32([[1], [2], [3], [4]]),
    )
    weight = builder.add("constexpr_sparse_to_dense", nonzero_data=numbers, mask=mask)
    y = builder.add("add", x=builder["x"], y=weight)
    builder.output(y)
    program = prepared(builder)
    assert not calls
    x = np.zeros((4, 4), np.float32)
    found = program.run({"x": x})[y.name]
    assert sorted(calls) == ["lut_to_sparse", "sparse_shift_scale", "sparse_to_dense"]
    program.run({"x": x})
    assert len(calls) == 3
    expected = np.zeros((4, 4))
    expected[MASK != 0] = np.where(codes, -7, 5)
    np.testing.assert_array_equal(found, expected * [[1], [2], [3], [4]])


def test_what_only_feeds_constants_may_have_more_axes() -> None:
    codes = draw(1, 2, 1, 3, 1, 2, high=4)
    table = draw(2, *(1,) * 5, 4, 1, high=99).astype(np.int8)
    builder = Builder({}, opset="CoreML8")
    lut = builder.add("constexpr_blockwise_shift_scale", data=table, scale=np.full((1,) * 7, 0.5, np.float32))
    y = builder.add("constexpr_lut_to_dense", indices=Known(codes, "uint2"), lut=lut)
    builder.output(y)
    np.testing.assert_array_equal(prepared(builder).run({})[y.name], table.reshape(-1)[codes] / 2)
    builder.output(lut)
    with pytest.raises(InvalidModelError, match="has 7 dimensions, but no value has more than 5"):
        prepared(builder).run({})


def test_chains_that_are_too_long_are_refused() -> None:
    builder = Builder({}, opset="CoreML8")
    y: Any = np.ones((2, 3), np.float32)
    for _ in range(40):
        y = builder.add("constexpr_blockwise_shift_scale", data=y, scale=np.ones((1, 1), np.float32))
    builder.output(y)
    with pytest.raises(
        InvalidModelError, match="constants that operations make are made of one another more than 16 deep"
    ):
        prepared(builder)


# ---- What does not fit ----

LUT = {"indices": np.array([1], np.uint8), "lut": np.ones(4, np.float32), "shape": uint([2, 2])}
SPARSE = {"nonzero_data": np.ones(2, np.float32), "mask": np.array([6], np.uint8), "shape": uint([5])}
AFFINE = {"quantized_data": np.ones((2, 3), np.int8), "scale": np.float32(1), "zero_point": np.int8(0), "axis": 0}
BLOCKS = {"data": np.ones((4, 6), np.int8), "scale": np.ones((2, 3), np.float32)}
TABLES = {"indices": Known(np.ones((4, 6)), "uint2"), "lut": np.ones((1, 1, 4, 1), np.float32)}
THREE = np.array([[1, 0], [1, 1]])
SPARSE_TABLES = {
    "indices_mask": Known(THREE, "uint1"),
    "indices_nonzero_data": Known(np.ones(3), "uint1"),
    "lut": np.ones((1, 1, 2, 1), np.float32),
}
SPARSE_BLOCKS = {
    "data_mask": Known(THREE, "uint1"),
    "nonzero_data": np.ones(3, np.int8),
    "scale": np.ones((1, 2), np.float32),
}


@pytest.mark.parametrize(
    ("kind", "opset", "given", "words"),
    [
        ("lut_to_dense", 6, {**LUT, "indices": np.ones(2, np.uint8)}, r"expected 1 bytes for the shape \(2, 2\) in 2"),
        ("lut_to_dense", 6, {**LUT, "indices": np.ones(1, np.int8)}, "'indices' has elements of type int8"),
        ("lut_to_dense", 6, {**LUT, "lut": np.ones(5, np.float32)}, "a vector of 2 or 4 or 16 or 64 or 256 elements"),
        ("lut_to_dense", 6, {**LUT, "lut": np.ones((4, 1), np.float32)}, "expected a vector"),
        ("lut_to_dense", 6, {**LUT, "lut": np.ones(4, np.int32)}, "'lut' has elements of type int32"),
        ("lut_to_dense", 6, {**LUT, "shape": uint([4, 0])}, r"'shape' is \(4, 0\), expected lengths of 1 or more"),
        ("lut_to_dense", 6, {**LUT, "shape": None}, "parameter 'shape' is missing"),
        ("sparse_to_dense", 6, {**SPARSE, "mask": np.ones(2, np.uint8)}, r"expected 1 bytes for the shape \(5,\)"),
        ("sparse_to_dense", 6, {**SPARSE, "nonzero_data": np.ones(2, np.int32)}, "elements of type int32"),
        ("sparse_to_dense", 6, {**SPARSE, "nonzero_data": np.ones((2, 1), np.int8)}, "expected a vector"),
        ("sparse_to_dense", 8, {**SPARSE, "shape": None}, "'mask' has elements of type uint8, expected uint1"),
        ("affine_dequantize", 6, {**AFFINE, "axis": 2}, "'axis' is 2, expected an axis of rank 2"),
        ("affine_dequantize", 6, {**AFFINE, "axis": None}, "'axis' is missing"),
        ("affine_dequantize", 6, {**AFFINE, "scale": np.ones(3, np.float32)}, r"shape \(3,\), expected \(\) or \(2,\)"),
        ("affine_dequantize", 6, {**AFFINE, "zero_point": np.int32(0)}, "'zero_point' has elements of type int32"),
        ("affine_dequantize", 6, {**AFFINE, "quantized_data": np.ones(2, np.int32)}, "of type int32, expected int8"),
        ("blockwise_shift_scale", 8, {**BLOCKS, "scale": np.ones((3, 3), np.float32)}, "lengths that divide those"),
        ("blockwise_shift_scale", 8, {**BLOCKS, "scale": np.ones(3, np.float32)}, "expected the rank"),
        ("blockwise_shift_scale", 8, {**BLOCKS, "offset": np.ones((2, 3), np.uint8)}, "expected int8 or fp16 or fp32"),
        ("blockwise_shift_scale", 8, {**BLOCKS, "offset": np.ones((2, 1), np.int8)}, r"expected the shape \(2, 3\)"),
        ("blockwise_shift_scale", 8, {**BLOCKS, "data": np.ones((4, 6), np.int32)}, "of type int32"),
        ("lut_to_dense", 8, {**TABLES, "indices": Known(np.ones((4, 6)), "uint3")}, "4 entries, expected 8 .* uint3"),
        ("lut_to_dense", 8, {**TABLES, "indices": Known(np.ones((4, 6)), "int4")}, "of type int4"),
        ("lut_to_dense", 8, {**TABLES, "lut": np.ones((1, 1, 4, 2), np.float32)}, "no vector axis is given"),
        ("lut_to_dense", 8, {**TABLES, "lut": np.ones((1, 4, 4, 1), np.float32)}, "lengths that divide those"),
        ("lut_to_dense", 8, {**TABLES, "vector_axis": 2}, "vector axis is 2, expected -2 to 1"),
        (
            "lut_to_sparse",
            8,
            {**SPARSE_TABLES, "indices_mask": np.ones((2, 2), np.uint8)},
            "type uint8, expected uint1",
        ),
        (
            "lut_to_sparse",
            8,
            {**SPARSE_TABLES, "indices_nonzero_data": Known(np.ones(3), "uint2")},
            "2 entries, expected 4",
        ),
        ("lut_to_sparse", 8, {**SPARSE_TABLES, "indices_nonzero_data": Known(np.ones((3, 1)), "uint1")}, "a vector"),
        ("lut_to_sparse", 8, {**SPARSE_TABLES, "indices_nonzero_data": Known(np.ones(2), "uint1")}, "keeps 3 of its 4"),
        ("lut_to_sparse", 8, {**SPARSE_TABLES, "lut": np.ones((1, 1, 2, 3), np.float32)}, "no vector axis is given"),
        ("lut_to_sparse", 8, {**SPARSE_TABLES, "lut": np.ones((2, 2, 1), np.float32)}, "expected 4 axes"),
        ("lut_to_sparse", 8, {**SPARSE_TABLES, "lut": np.ones((1, 1, 2, 1), np.int32)}, "of type int32"),
        (
            "sparse_blockwise_shift_scale",
            8,
            {**SPARSE_BLOCKS, "data_mask": np.ones((2, 2), np.uint8)},
            "expected uint1",
        ),
        ("sparse_blockwise_shift_scale", 8, {**SPARSE_BLOCKS, "nonzero_data": np.ones(3, np.int32)}, "of type int32"),
        ("sparse_blockwise_shift_scale", 8, {**SPARSE_BLOCKS, "nonzero_data": np.ones(4, np.int8)}, "keeps 3 of its 4"),
        ("sparse_blockwise_shift_scale", 8, {**SPARSE_BLOCKS, "nonzero_data": np.ones((3, 1), np.int8)}, "a vector"),
        (
            "sparse_blockwise_shift_scale",
            8,
            {**SPARSE_BLOCKS, "scale": np.ones((3, 1), np.float32)},
            "that divide those",
        ),
        (
            "sparse_blockwise_shift_scale",
            8,
            {**SPARSE_BLOCKS, "offset": np.ones((2, 1), np.int8)},
            "expected the shape",
        ),
        ("cast", 8, {"source_val": np.ones(2, np.float32), "output_dtype": "fp32"}, "of type fp32, expected fp16"),
        (
            "cast",
            8,
            {"source_val": np.ones(2, np.float16), "output_dtype": "fp16"},
            "is 'fp16', expected one of 'fp32'",
        ),
    ],
)
@pytest.mark.clause(
    "mil.constexpr_affine_dequantize.C1",
    "mil.constexpr_affine_dequantize.C2",
    "mil.constexpr_blockwise_shift_scale.C1",
    "mil.constexpr_blockwise_shift_scale.C2",
    "mil.constexpr_cast.C1",
    "mil.constexpr_lut_to_dense.C1",
    "mil.constexpr_lut_to_dense.C2",
    "mil.constexpr_lut_to_dense.C3",
    "mil.constexpr_lut_to_sparse.C1",
    "mil.constexpr_lut_to_sparse.C2",
    "mil.constexpr_sparse_blockwise_shift_scale.C1",
    "mil.constexpr_sparse_blockwise_shift_scale.C2",
    "mil.constexpr_sparse_to_dense.C1",
    "mil.constexpr_sparse_to_dense.C2",
)
def test_what_does_not_fit_is_refused(kind: str, opset: int, given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        decoded(f"constexpr_{kind}", opset=f"CoreML{opset}", **given)


@pytest.mark.clause("mil.constexpr_sparse_to_dense.C1")
def test_masks_must_keep_as_many_as_there_are() -> None:
    with pytest.raises(
        InvalidModelError, match=r"constexpr_sparse_to_dense.*keeps 3 of its 5 elements, but 2 are given"
    ):
        decoded("constexpr_sparse_to_dense", opset="CoreML6", **{**SPARSE, "mask": np.array([7], np.uint8)})


@pytest.mark.parametrize("outputs", [("fp16", (2, 2)), ("fp32", (2, 3)), ("fp32", (4,))])
def test_what_is_decoded_must_be_as_declared(outputs: Any) -> None:
    words = r"constexpr_lut_to_dense.*computes float32 \(2, 2\), but an output is declared as tensor"
    with pytest.raises(InvalidModelError, match=words):
        decoded("constexpr_lut_to_dense", opset="CoreML6", outputs=[outputs], **LUT)


@pytest.mark.parametrize("first", ["check", "run"])
def test_results_must_be_as_many_as_there_are(first: str) -> None:
    builder = Builder({}, opset="CoreML8")
    y = builder.add("constexpr_blockwise_shift_scale", **BLOCKS)
    builder.output(y)
    message = schema.MILSpec.Program(version=1)
    message.functions["main"].CopyFrom(builder.function())
    outputs = message.functions["main"].block_specializations["CoreML8"].operations[-1].outputs
    outputs.add().CopyFrom(outputs[0])
    outputs[1].name = "more"
    program = Program(message, "main")
    with pytest.raises(InvalidModelError, match=r"constexpr_blockwise_shift_scale.*has 2 outputs, expected 1"):
        program.check() if first == "check" else program.run({})


def test_constants_that_are_too_large_are_not_decoded() -> None:
    """A table of 2 vectors of 100,000 elements makes of 80 bits 32 megabytes, which feed another constant only."""
    builder = Builder({}, opset="CoreML8")
    given = {"indices": Known(np.ones((8, 10)), "uint1"), "lut": np.ones((1, 1, 2, 100_000), np.float32)}
    large = builder.add("constexpr_lut_to_dense", outputs=[("fp32", (8, 1_000_000))], vector_axis=1, **given)
    y = builder.add(
        "constexpr_blockwise_shift_scale",
        outputs=[("fp32", (8, 1_000_000))],
        data=large,
        scale=np.ones((1, 1), np.float32),
    )
    builder.output(builder.add("reduce_sum", outputs=[("fp32", ())], x=y, keep_dims=False))
    message = schema.MILSpec.Program(version=1)
    message.functions["main"].CopyFrom(builder.function())
    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match=r"8, 1000000"):
            Program(message, "main", budget=Budget(Limits(memory=10_000_000))).run({})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.clause("mil.constexpr_blockwise_shift_scale.C1")
def test_all_that_makes_a_constant_is_constant() -> None:
    builder = Builder({"x": (4, 6)}, opset="CoreML8")
    builder.output(builder.add("constexpr_blockwise_shift_scale", **BLOCKS))
    message = builder.function()
    message.block_specializations["CoreML8"].operations[-1].inputs["data"].arguments[0].name = "x"
    program = schema.MILSpec.Program(version=1)
    program.functions["main"].CopyFrom(message)
    with pytest.raises(InvalidModelError, match="'data' must be a constant"):
        Program(program, "main")


# ---- Activations ----


@pytest.mark.parametrize("opset", ["CoreML7", "CoreML8"])
@pytest.mark.parametrize("output", ["int8", "uint8"])
@FLOATS
@pytest.mark.clause("mil.quantize.S1", "mil.quantize.S2", "mil.quantize.S3")
def test_quantize(output: str, dtype: Any, opset: str) -> None:
    x = (draw(1, 3, 4, 5, low=-600, high=600) / 4).astype(dtype)
    x[0, 0, :4] = [np.inf, -np.inf, 1e4, -1e4]
    limits = np.iinfo(output)
    for axis, shape in ((None, ()), (1, (4,)), (-1, (5,))):
        scale = (2.0 ** draw(2, *shape, low=-2, high=3)).astype(dtype)
        zero = draw(3, *shape, low=0, high=9).astype(output)
        for zero_point in (None, zero):
            found = run(
                "quantize",
                {"input": x},
                opset=opset,
                scale=scale,
                zero_point=zero_point,
                axis=axis,
                output_dtype=output,
            )
            along = [1, 1, 1]
            if axis is not None:
                along[axis] = -1
            rounded = np.round(x.astype(np.float64) / scale.astype(np.float64).reshape(along))
            rounded += 0 if zero_point is None else zero_point.reshape(along)
            assert_identical(found, np.clip(rounded, limits.min, limits.max).astype(output))


@pytest.mark.parametrize("open_shapes", [False, True])
@pytest.mark.parametrize("source", [np.int8, np.uint8])
@FLOATS
@pytest.mark.clause("mil.dequantize.S1", "mil.dequantize.S2")
def test_dequantize(source: Any, dtype: Any, open_shapes: bool) -> None:
    x = draw(1, 3, 4, 5).astype(np.uint8).view(source)
    for axis, shape in ((None, ()), (0, (3,)), (-2, (4,))):
        scale, zero = (draw(2, *shape, low=-99, high=99) / 8).astype(dtype), draw(3, *shape, high=99).astype(source)
        along = [1, 1, 1]
        if axis is not None:
            along[axis] = -1
        for zero_point in (None, zero):
            found = run(
                "dequantize",
                {"input": x},
                outputs=[(str(DataType.of(dtype)), (None, None, None))] if open_shapes else None,
                open_shapes=open_shapes,
                scale=scale,
                zero_point=zero_point,
                axis=axis,
            )
            shifted = x.astype(np.float64) - (0 if zero_point is None else zero_point.reshape(along))
            exact = scale.astype(np.float64).reshape(along) * shifted
            assert_identical(found, exact.astype(dtype).astype(np.float32))


QUANTIZE = {"scale": np.float32(1), "output_dtype": "int8"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({**QUANTIZE, "output_dtype": "int16"}, "'output_dtype' is 'int16', expected one of 'int8', 'uint8'"),
        ({**QUANTIZE, "scale": np.float16(1)}, "'input', 'scale' have elements of types fp32, fp16, expected one"),
        ({**QUANTIZE, "zero_point": np.uint8(1)}, "zero point is uint8 .*, expected int8"),
        ({**QUANTIZE, "scale": np.ones(3, np.float32)}, "scale is a vector .*, but no axis is given"),
        ({**QUANTIZE, "scale": np.ones(3, np.float32), "axis": 1}, r"shape \(3,\), expected \(\) or \(4,\)"),
        ({**QUANTIZE, "axis": 2}, "'axis' is 2, expected an axis of rank 2"),
        ({"output_dtype": "int8"}, "'scale' is missing"),
    ],
)
@pytest.mark.clause("mil.quantize.C1", "mil.quantize.C2")
def test_quantize_refuses(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        run("quantize", {"input": np.ones((3, 4), np.float32)}, outputs=[("int8", (3, 4))], **given)


@pytest.mark.clause("mil.dequantize.C1", "mil.dequantize.C2")
def test_dequantize_refuses() -> None:
    for given, words in (
        ({"zero_point": np.uint8(1)}, "'input', 'zero_point' have elements of types int8, uint8, expected one"),
        ({"scale": np.int8(1)}, "'scale' has elements of type int8"),
        ({"scale": np.ones(3, np.float32)}, "scale is a vector .*, but no axis is given"),
        ({"scale": np.ones(2, np.float32), "axis": 0}, r"shape \(2,\), expected \(\) or \(3,\)"),
        ({"zero_point": np.ones(3, np.int8), "axis": 1}, "'axis' is 1, expected an axis of rank 1"),
    ):
        with pytest.raises(InvalidModelError, match=words):
            run("dequantize", {"input": np.ones(3, np.int8)}, **{"scale": np.float32(1), **given})


@pytest.mark.clause("programs.U57")
def test_what_is_not_a_number_is_quantized_to_0() -> None:
    x = np.array([np.nan, 0, 2, -2], np.float32)
    found = [
        run("quantize", {"input": x}, scale=np.float32(s), zero_point=np.int8(3), output_dtype="int8") for s in (1, 0)
    ]
    np.testing.assert_array_equal(found, [[0, 3, 5, 1], [0, 0, 127, -128]])


@pytest.mark.clause("programs.U58", "programs.U58")
def test_a_number_beside_a_vector_counts_for_all_places() -> None:
    x, halves, ones = np.array([[1, 2, 3], [4, 5, 6]]), np.full(3, 0.5, np.float32), np.ones(3, np.int8)
    for scale, zero_point in ((halves, ones[0]), (halves[0], ones), (halves[0], ones[0])):
        given = {"scale": scale, "zero_point": zero_point, "axis": 1}
        found = run("quantize", {"input": x.astype(np.float32)}, output_dtype="int8", **given)
        np.testing.assert_array_equal(found, 2 * x + 1)
        np.testing.assert_array_equal(run("dequantize", {"input": x.astype(np.int8)}, **given), (x - 1) / 2)


@pytest.mark.clause("mil.conv_quantized.C1")
def test_conv_quantized_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match=r"conv_quantized.*experimental.*not specified"):
        run("conv_quantized", {"x": np.ones((1, 2, 5, 5), np.float32)}, outputs=[("fp32", (1, 3, 5, 5))])


# ---- As weights ----


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_are_decoded_when_the_program_first_runs(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    kernel = kernels.lut_to_dense
    monkeypatch.setattr(kernels, "lut_to_dense", lambda *given: (calls.append(1), kernel(*given))[1])
    codes, lut = draw(1, 64, 96, high=16), draw(2, 1, 1, 16, 1, low=-9, high=9).astype(np.float16)
    builder = Builder({"x": ("fp16", (64, 96))}, opset="CoreML8")
    weight = builder.add("constexpr_lut_to_dense", indices=Known(codes, "uint4"), lut=lut)
    y = builder.add("mul", x=builder["x"], y=weight)
    builder.output(y)
    message = schema.MILSpec.Program(version=1)
    message.functions["main"].CopyFrom(builder.function())
    program, held = Program(message, "main", precision=PRECISIONS[precision]), PRECISIONS[precision]
    assert not calls
    x = draw(3, 64, 96, low=-9, high=9).astype(np.float16)
    for _ in range(2):
        found = program.run({"x": held.hold(x)})[y.name]
        assert found.dtype == held.dtype(np.dtype(np.float16))
        np.testing.assert_array_equal(found, x * lut.reshape(-1)[codes])
        assert len(calls) == 1


# ---- coremltools ----


@pytest.fixture(scope="module")
def tools() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("coremltools", reason="coremltools compresses the models")


#: By name the operation set, and what is done one after another: the configuration's class, and its options.
COMPRESSIONS: dict[str, tuple[str, list[tuple[str, dict[str, Any]]]]] = {
    "int8": ("iOS16", [("OpLinearQuantizerConfig", {"mode": "linear_symmetric"})]),
    "uint8": ("iOS16", [("OpLinearQuantizerConfig", {"mode": "linear", "dtype": "uint8"})]),
    "lut2": ("iOS16", [("OpPalettizerConfig", {"mode": "uniform", "nbits": 2})]),
    "lut6": ("iOS16", [("OpPalettizerConfig", {"mode": "uniform", "nbits": 6})]),
    "sparse": ("iOS16", [("OpMagnitudePrunerConfig", {"target_sparsity": 0.6})]),
    "int4 blocks": (
        "iOS18",
        [("OpLinearQuantizerConfig", {"mode": "linear", "dtype": "int4", "granularity": "per_block", "block_size": 8})],
    ),
    "uint4 channels": (
        "iOS18",
        [("OpLinearQuantizerConfig", {"mode": "linear", "dtype": "uint4", "granularity": "per_channel"})],
    ),
    "lut3 groups": (
        "iOS18",
        [
            (
                "OpPalettizerConfig",
                {"mode": "kmeans", "nbits": 3, "granularity": "per_grouped_channel", "group_size": 4},
            )
        ],
    ),
    "lut4 scales": (
        "iOS18",
        [("OpPalettizerConfig", {"mode": "kmeans", "nbits": 4, "enable_per_channel_scale": True})],
    ),
    "lut4 vectors": ("iOS18", [("OpPalettizerConfig", {"mode": "kmeans", "nbits": 4, "cluster_dim": 4})]),
    "sparse, int8": (
        "iOS18",
        [
            ("OpMagnitudePrunerConfig", {"target_sparsity": 0.5}),
            ("OpLinearQuantizerConfig", {"mode": "linear_symmetric"}),
        ],
    ),
    "sparse, lut4": (
        "iOS18",
        [
            ("OpMagnitudePrunerConfig", {"target_sparsity": 0.5}),
            ("OpPalettizerConfig", {"mode": "uniform", "nbits": 4}),
        ],
    ),
    "lut4, int8 tables": (
        "iOS18",
        [
            ("OpPalettizerConfig", {"mode": "uniform", "nbits": 4}),
            ("OpLinearQuantizerConfig", {"mode": "linear_symmetric", "granularity": "per_tensor"}),
        ],
    ),
}


@pytest.mark.parametrize("precision", ["FLOAT16", "FLOAT32"])
@pytest.mark.parametrize("name", COMPRESSIONS)
def test_what_coremltools_compresses(tools: Any, name: str, precision: str, tmp_path: Path) -> None:
    """A second opinion: coremltools decodes the same weights itself, and its differences are exact, too."""
    target, steps = COMPRESSIONS[name]
    weight = np.random.default_rng(1).normal(size=(16, 32)).astype(np.float32)
    mil = pytest.importorskip("coremltools.converters.mil").Builder

    def build(x: Any) -> Any:
        return mil.linear(x=x, weight=weight, bias=np.zeros(16, np.float32))

    system = getattr(tools.target, target)
    program = mil.program(input_specs=[mil.TensorSpec((3, 32))], opset_version=system)(build)
    optimize = pytest.importorskip("coremltools.optimize.coreml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = tools.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=system,
            compute_precision=getattr(tools.precision, precision),
            skip_model_load=True,
        )
        for index, (kind, options) in enumerate(steps):
            given = getattr(optimize, kind)(**options, weight_threshold=0)
            compress = {
                "OpLinearQuantizerConfig": optimize.linear_quantize_weights,
                "OpPalettizerConfig": optimize.palettize_weights,
                "OpMagnitudePrunerConfig": optimize.prune_weights,
            }[kind]
            joint = {"joint_compression": True} if index else {}
            model = compress(model, optimize.OptimizationConfig(global_config=given), **joint)
        model.save(str(tmp_path / "compressed.mlpackage"))
        optimize.decompress_weights(model).save(str(tmp_path / "plain.mlpackage"))
    kinds = {operation.type for operation in _operations(model.get_spec())}
    assert any(kind.startswith("constexpr_") for kind in kinds)
    files = tmp_path / "compressed.mlpackage", tmp_path / "plain.mlpackage"
    found, plain = (_weights(refcoreml.load(file)) for file in files)
    assert np.any(found != weight.T)
    np.testing.assert_array_equal(found, plain)


def _weights(model: Any) -> Array:
    """Return the products with the rows of the unit matrix."""
    (name,) = (feature.name for feature in model.outputs)
    return np.concatenate(
        [model.predict({"x": rows})[name] for rows in np.eye(33, 32, dtype=np.float32).reshape(-1, 3, 32)]
    )[:32]


def _operations(spec: Any) -> Any:
    for function in spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            yield from block.operations
