"""Padding with a constant along any axes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import integers, one_layer, run_layer

from refcoreml.errors import InputError, InvalidModelError

run_layer = partial(run_layer, rank5=False)

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)


def _both_ways(x, amounts, **fields):
    """From the parameter, and from an input, which wins over the parameter."""
    y = run_layer("constantPad", x, padAmounts=amounts, **fields)
    z = run_layer("constantPad", x, amounts, static=False, padAmounts=[9, 9], **fields)
    np.testing.assert_array_equal(y, z)
    return y


@pytest.mark.clause("constantPad.S1", "constantPad.S3")
@settings(max_examples=50)
@given(SHAPES, st.data(), st.sampled_from(["float32", "float64"]))
def test_amounts(shape, data, precision):
    amounts = data.draw(st.lists(st.integers(0, 3), min_size=2 * len(shape), max_size=2 * len(shape)))
    x = integers(shape)
    y = _both_ways(x, amounts, value=7.25, precision=precision)
    pairs = list(zip(amounts[::2], amounts[1::2], strict=True))
    np.testing.assert_array_equal(y, np.pad(x, pairs, constant_values=7.25))


@pytest.mark.clause("constantPad.S2", "constantPad.S4", "constantPad.S5")
@settings(max_examples=50)
@given(SHAPES, st.data())
def test_given_output_size(shape, data):
    wanted = [data.draw(st.integers(0, 7)) for _ in shape]
    before = [data.draw(st.booleans()) for _ in shape]
    amounts = [n for size, first in zip(wanted, before, strict=True) for n in ((size, 0) if first else (0, size))]
    x = integers(shape)
    y = _both_ways(x, amounts, padToGivenOutputSizeMode=True)
    missing = [max(size - n, 0) for size, n in zip(wanted, shape, strict=True)]
    pairs = [(n, 0) if first else (0, n) for n, first in zip(missing, before, strict=True)]
    np.testing.assert_array_equal(y, np.pad(x, pairs))


@pytest.mark.clause("constantPad.S1", "constantPad.S2")
def test_as_the_specification_shows_it():
    assert _both_ways(np.ones((20, 10)), [0, 1, 4, 0]).shape == (21, 14)
    assert _both_ways(np.ones((20, 10, 5)), [0, 0, 3, 4, 0, 9]).shape == (20, 17, 14)
    y = _both_ways(np.ones((20, 10)), [0, 21, 14, 0], padToGivenOutputSizeMode=True)
    assert y.shape == (21, 14)
    assert y[20].max() == 0
    assert y[:, :4].max() == 0
    assert _both_ways(np.ones((20, 10, 5)), [0, 0, 17, 0, 0, 14], padToGivenOutputSizeMode=True).shape == (20, 17, 14)


@pytest.mark.clause("constantPad.S3")
def test_amounts_in_any_shape():
    x = integers((2, 3))
    y = run_layer("constantPad", x, [[0, 1], [2, 0]], static=False)
    np.testing.assert_array_equal(y, np.pad(x, [(0, 1), (2, 0)]))


@pytest.mark.clause("constantPad.U2")
def test_fractions_of_amounts_are_cut_off():
    y = run_layer("constantPad", [[5, 6]], [0.9, 1.5, 2.99, 0], static=False)
    assert y.tolist() == [[0, 0, 5, 6], [0, 0, 0, 0]]


@pytest.mark.clause("constantPad.C1", "constantPad.C2", "constantPad.C3")
def test_errors():
    x = np.ones((2, 3))
    for amounts in [], [1, 2], [1, 2, 3], [1] * 6:
        with pytest.raises(InvalidModelError, match=r"\(constantPad\).*expected 4 numbers, two per axis of \(2, 3\)"):
            run_layer("constantPad", x, padAmounts=amounts)
    with pytest.raises(InvalidModelError, match="expected 4 element"):
        run_layer("constantPad", x, [1, 2])
    with pytest.raises(InputError, match="expected none below 0"):
        run_layer("constantPad", x, [1, 2, -1, 0])
    with pytest.raises(InputError, match=r"amounts holds .*nan"):
        run_layer("constantPad", x, [1, 2, np.nan, 0])
    with pytest.raises(InvalidModelError, match=r"the amounts \(3, 4\) pad on both sides"):
        run_layer("constantPad", x, padAmounts=[3, 4, 0, 0], padToGivenOutputSizeMode=True)
    with pytest.raises(InputError, match=r"the amounts \(3, 4\) pad on both sides"):
        run_layer("constantPad", x, [3, 4, 0, 0], padToGivenOutputSizeMode=True)


@pytest.mark.clause("constantPad.C3")
def test_hostile_amounts():
    with pytest.raises(InvalidModelError, match="bytes, limit"):
        run_layer("constantPad", np.ones((2, 3)), padAmounts=[2**63, 2**63, 2**63, 0])
    with pytest.raises(InputError, match="bytes, limit"):
        run_layer("constantPad", np.ones((2, 3)), [2.0**30, 2.0**30, 2.0**30, 0])
    one_layer("constantPad", padAmounts=[2**63], rank5=False)
