"""A second opinion: what coremltools makes of operations on constants, in its converter.

It is computed with NumPy, in other code, and has faults of its own; so what it is wrong about is not asked.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from mil.support import run
from support import integers

FINE = integers((2, 3, 4), 1, -9, 10) / 4 + 0.0625
POSITIVE, INSIDE = abs(FINE) + 0.25, FINE / 4
WHOLE, DIVISORS = integers((2, 3, 4), 2, -9, 10), integers((3, 1), 3, 1, 5)
DISTINCT = np.random.default_rng(4).permutation(24).reshape(2, 3, 4) - 12
TRUTH = WHOLE > 0

PLACES, ROW = np.array([[2, 0, 3], [1, 1, 2]]), np.arange(4)
BEGINS = [(1, 0, 2), (-1, 1, -3)]

#: Name, inputs, parameters.
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    *((name, {"x": FINE, "y": DIVISORS / 2}, {}) for name in ("add", "sub", "mul", "real_div", "floor_div", "mod")),
    *((name, {"x": FINE, "y": DIVISORS / 2}, {}) for name in ("maximum", "minimum", "equal", "less", "greater_equal")),
    ("pow", {"x": POSITIVE, "y": DIVISORS / 2}, {}),
    *((name, {"x": WHOLE, "y": DIVISORS}, {}) for name in ("add", "sub", "mul", "floor_div", "mod", "not_equal")),
    *((name, {"x": WHOLE, "y": DIVISORS}, {}) for name in ("maximum", "minimum", "greater", "less_equal")),
    *((name, {"x": TRUTH, "y": TRUTH[:, :1]}, {}) for name in ("logical_and", "logical_or", "logical_xor")),
    ("logical_not", {"x": TRUTH}, {}),
    ("select", {"cond": TRUTH, "a": FINE, "b": WHOLE / 2}, {}),
    *((name, {"x": FINE}, {}) for name in ("abs", "sign", "square", "exp2", "ceil", "floor", "round", "exp", "erf")),
    *((name, {"x": FINE}, {}) for name in ("sin", "cos", "tan", "atan", "sinh", "cosh", "tanh")),
    *((name, {"x": INSIDE}, {}) for name in ("asin", "acos", "atanh")),
    *((name, {"x": POSITIVE}, {}) for name in ("sqrt", "log", "rsqrt", "inverse")),
    *((name, {"x": POSITIVE}, {"epsilon": 0.5}) for name in ("log", "rsqrt", "inverse")),
    ("threshold", {"x": FINE}, {"alpha": 0.5}),
    ("clip", {"x": FINE}, {"alpha": -0.5, "beta": 0.75}),
    *(("cast", {"x": FINE}, {"dtype": dtype}) for dtype in ("int32", "bool", "fp16", "int8")),
    *(("cast", {"x": WHOLE}, {"dtype": dtype}) for dtype in ("fp32", "bool", "int16")),
    *((name, {"x": FINE}, {}) for name in ("relu", "relu6", "sigmoid", "softsign", "softplus", "gelu")),
    *(("gelu", {"x": FINE}, {"mode": mode}) for mode in ("TANH_APPROXIMATION", "SIGMOID_APPROXIMATION")),
    *((name, {"x": FINE}, {"alpha": 0.75}) for name in ("leaky_relu", "elu")),
    *(
        (name, {"x": FINE}, {"alpha": 0.75, "beta": 0.5})
        for name in ("clamped_relu", "sigmoid_hard", "linear_activation", "scaled_tanh")
    ),
    ("prelu", {"x": FINE[..., None]}, {"alpha": np.array([0.5, -2, 0.25])}),
    ("softplus_parametric", {"x": FINE}, {"alpha": np.array([0.5, -2, 0.25]), "beta": np.array([1, 0.5, -1])}),
    *(
        (f"reduce_{name}", {"x": POSITIVE}, {"axes": np.array([0, -1], np.int32), "keep_dims": keep})
        for name in ("max", "mean", "sum", "prod", "l1_norm", "l2_norm", "log_sum", "log_sum_exp", "sum_square")
        for keep in (False, True)
    ),
    *((name, {"x": DISTINCT}, {"axis": 1}) for name in ("reduce_argmax", "reduce_argmin", "argsort")),
    *(("argsort", {"x": DISTINCT / 2}, {"ascending": ascending}) for ascending in (False, True)),
    *(
        ("topk", {"x": DISTINCT / 2}, {"k": 2, "axis": axis, "ascending": up})
        for axis in (0, -1)
        for up in (False, True)
    ),
    ("gather", {"x": WHOLE, "indices": PLACES}, {"axis": 2}),
    ("gather_along_axis", {"x": FINE, "indices": PLACES[:, :, None].repeat(4, 2) % 3}, {"axis": 1}),
    (
        "slice_by_index",
        {"x": WHOLE},
        {
            "begin": ROW[:3],
            "end": np.array([1, -1, 1]),
            "stride": np.array([1, 1, 2]),
            "begin_mask": [True, False, False],
        }
        | {"end_mask": [True, False, True], "squeeze_mask": [False, True, False]},
    ),
    *(("slice_by_size", {"x": WHOLE}, {"begin": np.array(begin), "size": np.array([1, -1, 2])}) for begin in BEGINS),
    *(("reshape", {"x": FINE}, {"shape": np.array(target)}) for target in [(4, -1), (0, -1, 0), (1, 0, -1, 0), (0, 8)]),
    ("expand_dims", {"x": WHOLE}, {"axes": np.array([-1, 1])}),
    ("squeeze", {"x": WHOLE[:, None, :, None]}, {"axes": np.array([-2])}),
    ("transpose", {"x": FINE}, {"perm": np.array([1, -1, 0])}),
    *(("flatten2d", {"x": WHOLE}, {"axis": axis}) for axis in (1, 2, -1)),
    ("shape", {"x": WHOLE}, {}),
    *(("concat", {"values": [WHOLE, WHOLE[:, 1:]]}, {"axis": axis}) for axis in (1, -2)),
    ("stack", {"values": [WHOLE, -WHOLE]}, {"axis": 2}),
    *(("split", {"x": FINE}, {"axis": 2} | sizes) for sizes in ({"num_splits": 2}, {"split_sizes": np.array([1, 3])})),
    ("tile", {"x": WHOLE}, {"reps": np.array([2, 1, 3])}),
    *(
        ("pad", {"x": FINE}, {"pad": np.array([1, 2, 0, 3]), "mode": mode})
        for mode in ("constant", "reflect", "replicate")
    ),
    ("pad", {"x": FINE}, {"pad": np.array([1, 2]), "constant_val": 0.5}),
    *(("band_part", {"x": FINE}, {"lower": lower, "upper": upper}) for lower in (-1, 0, 1) for upper in (-1, 0, 2)),
    *(("reverse", {"x": WHOLE}, {"axes": np.array(axes)}) for axes in ([1], [0, -1])),
    ("fill", {}, {"shape": np.array([2, 3]), "value": 1.5}),
    ("fill_like", {"ref_tensor": WHOLE}, {"value": 3}),
    *(("range_1d", {}, {"start": a, "end": b, "step": c}) for a, b, c in [(2, 9, 3), (0.5, -2.0, -0.75)]),
    *(("cumsum", {"x": WHOLE / 4}, {"axis": axis, "reverse": back}) for axis in (0, 2) for back in (False, True)),
]


def in_type(value: Any) -> Any:
    """Return fractions as fp32, integers as int32."""
    if isinstance(value, list) and isinstance(value[0], np.ndarray):
        return [in_type(each) for each in value]
    if isinstance(value, (float, np.ndarray)):
        array = np.asarray(value)
        return array.astype({"f": np.float32, "i": np.int32}.get(array.dtype.kind, array.dtype))
    return value


@pytest.fixture(scope="module")
def coremltools() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("coremltools", reason="coremltools gives the second opinion")


@pytest.mark.parametrize("index", range(len(CASES)), ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_of_the_same_opinion(coremltools: Any, index: int) -> None:
    name, inputs, parameters = CASES[index]
    given = {key: in_type(value) for key, value in inputs.items()}
    chosen = {key: in_type(value) for key, value in parameters.items()}
    mil = coremltools.converters.mil.mil
    with mil.Function({}, opset_version=coremltools.target.iOS17):
        made = getattr(mil.Builder, name)(**given, **chosen)
    expected = [each.val for each in made] if isinstance(made, (tuple, list)) else [made.val]
    found = run(name, given, opset="CoreML7", **chosen)
    for y, e in zip(found if isinstance(found, list) else [found], expected, strict=True):
        dtype = np.asarray(e).dtype
        assert y.dtype.kind == dtype.kind
        # Up to two dozen roundings of theirs, in the single precision in which they compute
        exact, limit = dtype.kind != "f", 2**-10 if dtype == np.float16 else 2**-18
        np.testing.assert_allclose(y, e, rtol=0 if exact else limit, atol=0 if exact else 2**-20)
