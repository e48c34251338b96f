"""Borders around the last axes, with amounts that are integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.types import TensorType

X = np.arange(2 * 4 * 5).reshape(2, 4, 5)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
def test_the_last_axes_are_padded(mode: Any, dtype: Any) -> None:
    x = X.astype(dtype)
    options: Any = {"constant_values": 7} if mode == "constant" else {}
    expected = np.pad(x, [(0, 0), (1, 3), (4, 0)], mode, **options)
    constant = ops.Pad(((1, 3), (4, 0)), mode, 7.0)
    at_run = ops.Pad(None, mode, 7.0), np.array([0, 0, 1, 3, 4, 0], np.int32)
    assert constant.infer(TensorType.of(x)) == at_run[0].infer_from(x, at_run[1]) == TensorType.of(expected)
    np.testing.assert_array_equal(constant.run(x), expected)
    np.testing.assert_array_equal(at_run[0].run(x, at_run[1]), expected)


def test_borders_that_do_not_fit() -> None:
    x = X.astype(np.int32)
    with pytest.raises(InvalidModelError, match=r"amounts are \[1, -2\], expected none below 0"):
        ops.Pad(((1, -2),)).infer(TensorType.of(x))
    with pytest.raises(InputError, match=r"amounts are \[0, 0, 0, -1, 0, 0\], expected none below 0"):
        ops.Pad(None).run(x, np.array([0, 0, 0, -1, 0, 0], np.int32))
    with pytest.raises(InvalidModelError, match="reflects 5 elements along axis 2, expected fewer than its 5"):
        ops.Pad(((5, 0),), "reflect").infer(TensorType.of(x))
    with pytest.raises(InvalidModelError, match=r"the value of the border is 0\.5, which int32 cannot represent"):
        ops.Pad(((1, 1),), value=0.5).infer(TensorType.of(x))
