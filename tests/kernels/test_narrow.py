"""Floats that NumPy lacks, against ml_dtypes, and against numbers of their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from refcoreml.kernels.narrow import float8_table, from_bfloat16, from_float8, to_bfloat16, to_float8

KINDS = {"fp8e4m3fn": "float8_e4m3fn", "fp8e5m2": "float8_e5m2"}


def same(actual, expected):
    """Equal numbers, signs of zeros among them, and NaN in the same places."""
    np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(np.signbit(actual)[expected == 0], np.signbit(expected)[expected == 0])


@pytest.mark.parametrize("kind", KINDS)
def test_all_codes_of_8_bits_against_ml_dtypes(kind):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    codes = np.arange(256, dtype=np.uint8)
    same(from_float8(codes, kind), codes.view(getattr(ml_dtypes, KINDS[kind])).astype(np.float32))


def test_all_codes_of_bfloat16_against_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    codes = np.arange(65536, dtype=np.uint16)
    same(from_bfloat16(codes), codes.view(ml_dtypes.bfloat16).astype(np.float32))


def test_numbers_of_the_definitions():
    """Largest, smallest normal and smallest number, from the papers that define the two kinds."""
    e4m3, e5m2 = float8_table("fp8e4m3fn"), float8_table("fp8e5m2")
    assert (e4m3[0x7E], e4m3[0x08], e4m3[0x01], e4m3[0xB8]) == (448.0, 2.0**-6, 2.0**-9, -1.0)
    assert np.isnan(e4m3[[0x7F, 0xFF]]).all()
    assert np.isnan(e4m3).sum() == 2
    assert (e5m2[0x7B], e5m2[0x04], e5m2[0x01], e5m2[0xFC]) == (57344.0, 2.0**-14, 2.0**-16, -np.inf)
    assert np.isnan(e5m2).sum() == 6
    assert from_bfloat16(np.array([0x3F80, 0xC040, 0x7F80], np.uint16)).tolist() == [1.0, -3.0, np.inf]


@pytest.mark.parametrize("kind", KINDS)
def test_8_bits_there_and_back(kind):
    table = float8_table(kind)
    same(from_float8(to_float8(table, kind), kind), table)


def test_bfloat16_there_and_back():
    codes = np.arange(65536, dtype=np.uint16)
    numbers = from_bfloat16(codes)
    same(from_bfloat16(to_bfloat16(numbers)), numbers)
    # A NaN whose payload is in the lower half does not become an infinity.
    assert np.isnan(from_bfloat16(to_bfloat16(np.array([0x7F800001], np.uint32).view(np.float32)))).all()


def test_nothing_is_rounded_in_silence():
    for kind, number in (("fp8e4m3fn", 449.0), ("fp8e5m2", 57345.0), ("fp8e4m3fn", np.inf), ("fp8e5m2", 0.3)):
        with pytest.raises(ValueError, match=f"is no number of type {kind}"):
            to_float8(np.array([1.0, number], np.float32), kind)
    with pytest.raises(ValueError, match=r"1\.001 is no number of type bfloat16"):
        to_bfloat16(np.array([1.001], np.float32))
