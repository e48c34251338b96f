"""Pooling, against loops over windows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from mil.support import run
from support import integers

from refcoreml.errors import InvalidModelError

SIZES, KERNEL, STRIDES = (9, 7, 8), (3, 2, 4), (2, 3, 1)
PAD = (1, 0, 1, 1, 0, 2)
POOLS = {"max_pool": 3, "avg_pool": 3, "l2_pool": 2}
CASES = [(kind, space) for kind, most in POOLS.items() for space in range(1, most + 1)]
#: Of fp16 results a last rounding of 11 bits, of fp32 ones of a division or a root.
LIMITS = {np.float16: 2**-11, np.float32: 2**-22}


def pooled(kind: str, x: Any, kernel: Any, strides: Any, edges: Any, counts: Any, *, exclude: bool = False) -> Any:
    """A number for each window, from the places of x that it covers and from how many it has."""
    y = np.zeros((*x.shape[:2], *counts))
    for n, c, *place in np.ndindex(*y.shape):
        starts = [i * s - begin for i, s, (begin, _) in zip(place, strides, edges, strict=True)]
        inside = tuple(slice(max(b, 0), max(b + k, 0)) for b, k in zip(starts, kernel, strict=True))
        window = x[(n, c, *inside)]
        if kind == "max_pool":
            y[(n, c, *place)] = window.max(initial=-np.inf)
        elif kind == "avg_pool":
            y[(n, c, *place)] = window.sum() / (window.size if exclude else math.prod(kernel))
        else:
            y[(n, c, *place)] = math.sqrt((window**2).sum())
    return y


def check(kind: str, x: Any, expected: Any, dtype: Any = np.float32, opset: str = "CoreML8", **parameters: Any) -> None:
    found = run(kind, {"x": x.astype(dtype)}, opset=opset, **parameters)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=LIMITS[dtype])


def floor_counts(kernel: Any, strides: Any, edges: Any) -> list[int]:
    axes = zip(SIZES, kernel, strides, edges, strict=False)
    return [(n + sum(pair) - k) // s + 1 for n, k, s, pair in axes]


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize(("kind", "space"), CASES)
@pytest.mark.clause(
    "mil.max_pool.S1",
    "mil.max_pool.S2",
    "mil.max_pool.S5",
    "mil.avg_pool.S1",
    "mil.avg_pool.S5",
    "mil.l2_pool.S1",
    "mil.l2_pool.S2",
)
def test_valid(kind: str, space: int, dtype: Any) -> None:
    x, kernel, none = integers((2, 3, *SIZES[:space]), space), KERNEL[:space], [(0, 0)] * space
    ones = (1,) * space
    expected = pooled(kind, x, kernel, ones, none, floor_counts(kernel, ones, none))
    for opset in ("CoreML5", "CoreML8"):
        check(kind, x, expected, dtype, opset, kernel_sizes=list(kernel), pad_type="valid", pad=list(PAD[: 2 * space]))


@pytest.mark.parametrize("exclude", [None, False, True])
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize(("kind", "space"), CASES)
@pytest.mark.clause(
    "mil.max_pool.S1",
    "mil.max_pool.S2",
    "mil.avg_pool.S1",
    "mil.avg_pool.S2",
    "mil.avg_pool.S3",
    "mil.l2_pool.S1",
    "mil.l2_pool.S2",
)
def test_custom_padding(kind: str, space: int, dtype: Any, exclude: bool | None) -> None:
    x, kernel, strides = integers((2, 3, *SIZES[:space]), space), KERNEL[:space], STRIDES[:space]
    edges = list(zip(PAD[: 2 * space : 2], PAD[1 : 2 * space : 2], strict=True))
    more = {} if exclude is None or kind != "avg_pool" else {"exclude_padding_from_average": exclude}
    expected = pooled(kind, x, kernel, strides, edges, floor_counts(kernel, strides, edges), exclude=bool(exclude))
    check(
        kind, x, expected, dtype, kernel_sizes=list(kernel), strides=list(strides), pad_type="custom",
        pad=list(PAD[: 2 * space]), **more,
    )  # fmt: skip


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize(("kind", "space"), CASES)
@pytest.mark.clause("mil.max_pool.S3", "mil.avg_pool.S3", "mil.l2_pool.S2")
def test_same(kind: str, space: int, lower: bool) -> None:
    x, kernel, strides = integers((2, 3, *SIZES[:space]), space), (4, 2, 3)[:space], (1, 2, 2)[:space]
    edges, counts = [], []
    for n, k, s in zip(SIZES, kernel, strides, strict=False):
        counts.append(-(-n // s))
        total = max((counts[-1] - 1) * s + k - n, 0)
        edges.append((total - total // 2, total // 2) if lower else (total // 2, total - total // 2))
    assert any(begin != end for begin, end in edges)
    expected = pooled(kind, x, kernel, strides, edges, counts)
    pad_type = "same_lower" if lower else "same"
    check(kind, x, expected, kernel_sizes=list(kernel), strides=list(strides), pad_type=pad_type)


@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize(("kind", "space"), [case for case in CASES if case[1] < 3])
@pytest.mark.parametrize("pad", [None, (0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.clause("programs.U21")
@pytest.mark.clause("mil.max_pool.S4", "mil.avg_pool.S3", "mil.avg_pool.S4", "mil.l2_pool.S2")
def test_the_last_window_may_reach_beyond_the_padding(
    pad: tuple[int, int] | None, kind: str, space: int, exclude: bool
) -> None:
    """Unless it would begin beyond x and its first padding, as that at 9 of 7 + 1 places."""
    x, kernel, strides = integers((2, 3, *SIZES[:space]), space, 1, 5), (3, 2)[:space], (4, 3)[:space]
    amounts = (pad or (0, 0))[:space]
    edges = [(p, p) for p in amounts]
    counts = []
    for n, p, k, s in zip(SIZES, amounts, kernel, strides, strict=False):
        count = math.ceil((n + 2 * p - k) / s) + 1
        counts.append(count - (p > 0 and (count - 1) * s >= n + p))
    assert counts == [3, 3][:space]
    more = {"exclude_padding_from_average": exclude} if kind == "avg_pool" else {}
    if pad is not None:
        more |= {"pad": [p for p in amounts for _ in range(2)]}
    expected = pooled(kind, x, kernel, strides, edges, counts, exclude=exclude)
    check(
        kind, x, expected, kernel_sizes=list(kernel), strides=list(strides), ceil_mode=True,
        pad_type="valid" if pad is None else "custom", **more,
    )  # fmt: skip


@pytest.mark.clause("mil.avg_pool.S4")
def test_what_lies_beyond_counts_as_padding() -> None:
    """Apple's runtime gives 4.75, not 9.5: half of the last window lies beyond x."""
    x = np.array([[[1, 2, 9.5]]], np.float32)
    parameters: dict[str, Any] = {"kernel_sizes": [2], "strides": [2], "pad_type": "valid", "ceil_mode": True}
    assert run("avg_pool", {"x": x}, **parameters).tolist() == [[[1.5, 4.75]]]
    assert run("avg_pool", {"x": x}, **parameters, exclude_padding_from_average=True).tolist() == [[[1.5, 9.5]]]
    assert run("avg_pool", {"x": x}, **{**parameters, "ceil_mode": False}).tolist() == [[[1.5]]]


@pytest.mark.clause("mil.max_pool.S4")
def test_a_window_that_would_begin_in_the_padding_at_the_end_is_left_out() -> None:
    """5 + 2 * 1 places, windows of 2, steps of 3: at 0, 3 and, left out, at 6 = 5 + 1."""
    x = np.arange(1, 6, dtype=np.float32).reshape(1, 1, 5)
    given: dict[str, Any] = {"strides": [3], "ceil_mode": True, "pad_type": "custom"}
    assert run("max_pool", {"x": x}, kernel_sizes=[2], pad=[1, 1], **given).tolist() == [[[1, 4]]]
    # Along an axis without padding, the other one's does not count: a window that holds nothing stays.
    both = x.reshape(1, 1, 5, 1)
    given = {"strides": [6, 1], "ceil_mode": True, "pad_type": "custom"}
    found = run("max_pool", {"x": both}, kernel_sizes=[2, 1], pad=[0, 0, 1, 1], **given)
    assert found.tolist() == [[[[-np.inf, 2], [-np.inf] * 2]]]


@pytest.mark.clause("mil.max_pool.S6")
def test_not_a_number_and_infinities() -> None:
    x = np.array([[[np.nan, 1, 2, np.inf, -np.inf]]], np.float32)
    assert np.isnan(run("max_pool", {"x": x}, kernel_sizes=[2], pad_type="valid")).tolist() == [[[True] + [False] * 3]]
    found = run("avg_pool", {"x": x}, kernel_sizes=[2], pad_type="valid")
    np.testing.assert_array_equal(found, [[[np.nan, 1.5, np.inf, np.nan]]])


def test_half_precision() -> None:
    x = np.full((1, 1, 3), 60000, np.float16)  # whose sum half precision does not hold
    assert run("avg_pool", {"x": x}, kernel_sizes=[3], pad_type="valid").tolist() == [[[60000]]]
    assert run("l2_pool", {"x": x}, kernel_sizes=[3], pad_type="valid").tolist() == [[[np.inf]]]


def test_open_shapes() -> None:
    x = integers((2, 3, 9, 7), 2).astype(np.float32)
    given: dict[str, Any] = {"kernel_sizes": [3, 2], "pad_type": "same", "strides": [2, 3]}
    found = run("avg_pool", {"x": x}, open_shapes=True, outputs=[("fp32", (None,) * 4)], **given)
    np.testing.assert_array_equal(found, run("avg_pool", {"x": x}, **given))


X = integers((2, 3, 9, 7), 2).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        ("max_pool", {"pad_type": None}, "'pad_type' is missing"),
        ("max_pool", {"kernel_sizes": None}, "'kernel_sizes' is missing"),
        ("max_pool", {"kernel_sizes": [3]}, "'kernel_sizes' has 1 elements, expected 2"),
        ("max_pool", {"kernel_sizes": [3, 0]}, r"kernel is \(3, 0\)"),
        ("avg_pool", {"strides": [0, 1]}, r"stride \(0, 1\)"),
        ("avg_pool", {"pad": [1, 1]}, "'pad' has 2 elements, expected 4"),
        ("avg_pool", {"kernel_sizes": [10, 1]}, "a window of 10 does not fit into the 9 pixels along H"),
        ("avg_pool", {"pad_type": "same", "ceil_mode": True}, "has ceil_mode, which does not go with pad_type 'same'"),
        ("l2_pool", {"pad_type": "custom", "pad": [1, 1, 0, 1], "ceil_mode": True}, "pad differs at begin and end"),
    ],
)
@pytest.mark.clause("mil.max_pool.C1", "mil.max_pool.C2", "mil.avg_pool.C1", "mil.avg_pool.C3", "mil.l2_pool.C3")
def test_parameters_that_do_not_fit(kind: str, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        run(kind, {"x": X}, **{"kernel_sizes": [3, 2], "pad_type": "valid", **changed})


@pytest.mark.clause("mil.max_pool.C1", "mil.max_pool.C3", "mil.l2_pool.C1")
def test_inputs_that_do_not_fit() -> None:
    given: dict[str, Any] = {"kernel_sizes": [1, 1, 1], "pad_type": "valid"}
    with pytest.raises(InvalidModelError, match="'x' is of rank 5, expected at most 4"):
        run("l2_pool", {"x": X[..., None]}, **given)
    with pytest.raises(InvalidModelError, match="has ceil_mode for 3 axes in space, expected at most 2"):
        run("max_pool", {"x": X[..., None]}, **given, ceil_mode=True)
    with pytest.raises(InvalidModelError, match="'x' is of rank 2, expected 3 to 5"):
        run("max_pool", {"x": X[0, 0]}, **given)
    with pytest.raises(InvalidModelError, match="expected fp16, fp32"):
        run("max_pool", {"x": X.astype(np.int32)}, kernel_sizes=[1, 1], pad_type="valid")


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.clause(
    "mil.max_pool.C1", "mil.max_pool.C2", "mil.max_pool.C3", "mil.avg_pool.C1", "mil.avg_pool.C2", "mil.avg_pool.C3",
    "mil.l2_pool.C1", "mil.l2_pool.C2", "mil.l2_pool.C3",
)  # fmt: skip
def test_what_all_pools_refuse(kind: str) -> None:
    given: dict[str, Any] = {"kernel_sizes": [3, 2], "pad_type": "valid"}
    for changed, opset, message in [
        ({"pad_type": None}, "CoreML8", "'pad_type' is missing"),
        ({"pad_type": "full"}, "CoreML8", "'pad_type' is 'full', expected one of"),
        ({"pad_type": "same_lower"}, "CoreML5", "'pad_type' is 'same_lower', expected one of"),
        ({"kernel_sizes": [3]}, "CoreML8", "'kernel_sizes' has 1 elements, expected 2"),
        ({"strides": [1, 0]}, "CoreML8", r"stride \(1, 0\)"),
        ({"pad": [0, 0, -1, 0]}, "CoreML8", "expected numbers of at least 0"),
        ({"kernel_sizes": [3, 8]}, "CoreML8", "a window of 8 does not fit into the 7 pixels along W"),
        ({"pad_type": "same_lower", "ceil_mode": True}, "CoreML8", "ceil_mode, which does not go with pad_type 'same'"),
        ({"pad_type": "custom", "pad": [1, 1, 0, 1], "ceil_mode": True}, "CoreML8", "pad differs at begin and end"),
    ]:
        with pytest.raises(InvalidModelError, match=message):
            run(kind, {"x": X}, opset=opset, **{**given, **changed})
    with pytest.raises(InvalidModelError, match="expected fp16, fp32"):
        run(kind, {"x": X.astype(np.int32)}, **given)


# ---- A second opinion ----


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("space", [1, 2])
def test_torch(space: int, ceil_mode: bool) -> None:
    torch: Any = pytest.importorskip("torch", reason="torch is the second opinion")
    x = integers((2, 3, *SIZES[:space]), space)
    tensor, f = torch.from_numpy(x), torch.nn.functional
    kernel, strides, padding = [3, 4][:space], [2, 3][:space], [1, 2][:space]
    given: dict[str, Any] = {
        "kernel_sizes": kernel, "strides": strides, "pad_type": "custom", "ceil_mode": ceil_mode,
        "pad": [p for p in padding for _ in range(2)],
    }  # fmt: skip
    expected = getattr(f, f"max_pool{space}d")(tensor, kernel, strides, padding, ceil_mode=ceil_mode)
    check("max_pool", x, expected.numpy(), **given)
    for exclude in (False, True):
        if ceil_mode and not exclude:  # torch divides by fewer places where a window reaches beyond the padding
            continue
        expected = getattr(f, f"avg_pool{space}d")(tensor, kernel, strides, padding, ceil_mode, not exclude)
        check("avg_pool", x, expected.numpy(), **given, exclude_padding_from_average=exclude)
