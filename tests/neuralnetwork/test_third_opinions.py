"""What torch says of every layer that it has a function for: all ranks, negative axes, axes of length 1.

Where a layer only selects, compares or adds small integers, both must agree exactly. Layers whose families ask torch,
onnxruntime or others in files of their own are in `ELSEWHERE`; those for which there is nobody to ask, in `NOBODY`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support import integers, run_layer

from refcoreml.neuralnetwork.registry import LAYERS

torch = pytest.importorskip("torch", reason="torch is the third opinion")
F = torch.nn.functional

#: Shapes of ranks 1 to 5, all lengths different but for the ones.
RANKS = [(5,), (1, 4), (3, 1, 5), (2, 4, 3, 5), (2, 1, 4, 3, 5)]
U = 2.0**-53
Case = tuple[list[np.ndarray[Any, Any]], dict[str, Any], Callable[..., Any], float]


def reals(shape: tuple[int, ...], low: float, high: float, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).uniform(low, high, shape)


def distinct(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    size = int(np.prod(shape))
    return np.random.default_rng(1).permutation(size).reshape(shape).astype(np.float64) - size // 2


def case(xs: Any, function: Callable[..., Any], tolerance: float = 0.0, **fields: Any) -> Case:
    return (xs if isinstance(xs, list) else [xs]), fields, function, tolerance


def axes_of_ranks() -> list[tuple[tuple[int, ...], int]]:
    return [(shape, axis) for shape in RANKS for axis in (0, -1, -len(shape), len(shape) - 1)]


# Two roundings on either side, of functions that are within 2 ulp each.
NEAR = 8 * U

UNARY = {
    "ceil": (torch.ceil, (-3, 3), 0.0),
    "floor": (torch.floor, (-3, 3), 0.0),
    "sign": (torch.sign, (-3, 3), 0.0),
    "round": (torch.round, (-3, 3), 0.0),
    "exp2": (torch.exp2, (-3, 3), NEAR),
    "sin": (torch.sin, (-1.5, 1.5), NEAR),
    "cos": (torch.cos, (-1.5, 1.5), NEAR),
    "tan": (torch.tan, (-1.5, 1.5), NEAR),
    "asin": (torch.asin, (-1, 1), NEAR),
    "acos": (torch.acos, (-1, 0.9), NEAR),
    "atan": (torch.atan, (-9, 9), NEAR),
    "sinh": (torch.sinh, (-3, 3), NEAR),
    "cosh": (torch.cosh, (-3, 3), NEAR),
    "tanh": (torch.tanh, (-3, 3), NEAR),
    "asinh": (torch.asinh, (-9, 9), NEAR),
    "acosh": (torch.acosh, (1.5, 9), NEAR),
    "atanh": (torch.atanh, (-0.9, 0.9), NEAR),
    "erf": (torch.erf, (-3, 3), NEAR),
}
BINARY = {
    "addBroadcastable": torch.add,
    "subtractBroadcastable": torch.sub,
    "multiplyBroadcastable": torch.mul,
    "divideBroadcastable": torch.div,
    "floorDivBroadcastable": lambda a, b: torch.div(a, b, rounding_mode="floor"),
    "modBroadcastable": torch.remainder,
    "maxBroadcastable": torch.maximum,
    "minBroadcastable": torch.minimum,
    "equal": torch.eq,
    "notEqual": torch.ne,
    "lessThan": torch.lt,
    "lessEqual": torch.le,
    "greaterThan": torch.gt,
    "greaterEqual": torch.ge,
    "logicalAnd": torch.logical_and,
    "logicalOr": torch.logical_or,
    "logicalXor": torch.logical_xor,
    "add": torch.add,
    "multiply": torch.mul,
    "max": torch.maximum,
    "min": torch.minimum,
    "average": lambda a, b: (a + b) / 2,
}
REDUCTIONS = {
    "reduceSum": (torch.sum, 0.0),
    "reduceMean": (torch.mean, 2 * U),
    "reduceMin": (torch.amin, 0.0),
    "reduceMax": (torch.amax, 0.0),
    "reduceSumSquare": (lambda x, **how: x.square().sum(**how), 0.0),
    "reduceL1": (lambda x, **how: x.abs().sum(**how), 0.0),
    "reduceL2": (lambda x, **how: x.square().sum(**how).sqrt(), 2 * U),
    "reduceLogSum": (lambda x, **how: x.sum(**how).log(), NEAR),
    "reduceLogSumExp": (torch.logsumexp, 2 * 15 * U),
    "reduceProd": (torch.prod, 0.0),
}


def cases() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for kind, (function, (low, high), tolerance) in UNARY.items():
        found[kind] = [case(reals(shape, low, high), function, tolerance) for shape in RANKS]
    found["round"].append(case(np.arange(-9, 10) / 2, torch.round))  # halves
    a, b = integers((2, 4, 1, 5)), integers((4, 3, 1), seed=1)
    b[b == 0] = 4
    for kind, function in BINARY.items():
        # The legacy layers align blobs of equal rank only.
        found[kind] = [case([a, b if kind.endswith("Broadcastable") else b[None]], function, U)]
    found["powBroadcastable"] = [case([np.abs(a) + 1, b], torch.pow, NEAR)]
    for kind, (function, tolerance) in REDUCTIONS.items():
        found[kind] = []
        for shape, axis in axes_of_ranks():
            for keep in (True, False):
                if kind == "reduceProd":  # torch's takes one axis
                    found[kind].append(one_reduction(shape, axis, keep, function, tolerance))
                else:
                    found[kind].append(one_reduction(shape, [axis], keep, function, tolerance))
        if kind != "reduceProd":
            found[kind].append(one_reduction((2, 4, 1, 5), [-1, 0, 2], True, function, tolerance))
    along = axes_of_ranks()
    found |= {
        "softmaxND": [case(reals(s, -2, 2), lambda x, a=a: torch.softmax(x, a), 30 * U, axis=a) for s, a in along],
        "softmax": [case(reals(RANKS[3], -2, 2), lambda x: torch.softmax(x, -3), 30 * U)],
        "cumSum": [case([integers(s)], lambda x, a=a: torch.cumsum(x, a), axis=a) for s, a in along],
        "argMax": [case(distinct(s), lambda x, a=a: torch.argmax(x, a, keepdim=True), axis=a) for s, a in along],
        "argMin": [case(distinct(s), lambda x, a=a: torch.argmin(x, a, keepdim=True), axis=a) for s, a in along],
        "argSort": [case(distinct(s), lambda x, a=a: torch.argsort(x, a), axis=a) for s, a in along if a >= 0],
        "concatND": [
            case([integers(s), integers(s, 1)], lambda x, y, a=a: torch.cat([x, y], a), axis=a) for s, a in along
        ],
        "stack": [
            case([integers(s), integers(s, 1)], lambda x, y, a=a: torch.stack([x, y], a), axis=a) for s, a in along[:-4]
        ],
        "flattenTo2D": [
            case(integers((2, 4, 3)), lambda x, a=a: x.reshape(int(np.prod(x.shape[:a])), -1), axis=a)
            for a in (0, 1, 2, -1, -2)
        ],
        "reverse": [case(integers((2, 4, 3)), lambda x: torch.flip(x, (0, 2)), reverse_dim=[True, False, True])],
        "tile": [case(integers((2, 1, 3)), lambda x: torch.tile(x, (2, 3, 1)), reps=[2, 3, 1])],
        "transpose": [case(integers((2, 4, 3, 5)), lambda x: x.permute(2, 0, 3, 1), axes=[2, 0, 3, 1])],
        "permute": [case(integers((2, 1, 4, 3, 5)), lambda x: x.permute(2, 1, 4, 0, 3), axis=[1, 3, 0, 2])],
        "squeeze": [case(integers((1, 4, 1, 5)), lambda x: x.squeeze(2).squeeze(0), axes=[0, -2])],
        "expandDims": [case(integers((4, 5)), lambda x: x[None, :, None], axes=[0, -2])],
        "reshapeStatic": [case(integers((4, 3, 5)), lambda x: x.reshape(6, -1), target_shape=[6, -1])],
        "broadcastToStatic": [
            case(integers((4, 1)), lambda x: torch.broadcast_to(x, (3, 4, 5)), target_shape=[3, 4, 5])
        ],
        "constantPad": [
            case(integers((4, 3)), lambda x: F.pad(x, (3, 1, 0, 2), value=7.0), value=7.0, pad_amounts=[0, 2, 3, 1])
        ],
        "slidingWindows": [
            case(integers((7, 3)), lambda x: x.unfold(0, 3, 2).movedim(-1, 1), axis=0, window_size=3, step=2)
        ],
        "whereNonZero": [case(integers((4, 3, 5), low=-1, high=2), torch.nonzero)],
        "whereBroadcastable": [
            case(
                [integers((4, 1), low=0, high=2), integers((4, 3), 1), integers((3,), 2)],
                lambda c, x, y: torch.where(c != 0, x, y),
            )
        ],
        "lowerTriangular": [case(integers((2, 4, 5)), lambda x, k=k: torch.tril(x, k), k=k) for k in (-1, 0, 2)],
        "upperTriangular": [case(integers((2, 4, 5)), lambda x, k=k: torch.triu(x, k), k=k) for k in (-1, 0, 2)],
        "oneHot": [
            case(
                integers((4, 3), low=0), lambda x: F.one_hot(x.long(), 5), one_hot_vector_size=5, axis=-1, on_value=1.0
            )
        ],
        "clip": [case(integers((4, 3)), lambda x: x.clamp(-2, 3), min_val=-2.0, max_val=3.0)],
        "logicalNot": [case(integers((4, 3), low=-1, high=2), torch.logical_not)],
        "batchedMatmul": [
            case([integers((2, 1, 4, 3)), integers((6, 3, 5), 1)], torch.matmul),
            case(
                [integers((2, 3, 4)), integers((2, 5, 3), 1)],
                lambda x, y: torch.bmm(x.mT, y.mT),
                transpose_a=True,
                transpose_b=True,
            ),
        ],
        "innerProduct": [
            case(
                integers((2, 4, 3)),
                lambda x: F.linear(x, torch.from_numpy(integers((5, 3), 1)), torch.from_numpy(integers((5,), 2))),
                input_channels=3,
                output_channels=5,
                weights=integers((5, 3), 1),
                has_bias=True,
                bias=integers((5,), 2),
            )
        ],
        "embeddingND": [
            case(
                integers((4, 3, 1), low=0, high=6),
                lambda x: F.embedding(x[..., 0].long(), torch.from_numpy(integers((5, 6), 1).T.copy())),
                vocab_size=6,
                embedding_size=5,
                weights=integers((5, 6), 1),
            )
        ],
        "batchnorm": [
            case(
                integers((2, 3, 4, 5)),
                lambda x: F.batch_norm(
                    x,
                    torch.from_numpy(integers((3,), 1)),
                    torch.tensor([3.0, 15.0, 8.0]).double(),
                    *(torch.from_numpy(integers((3,), seed)) for seed in (2, 3)),
                    eps=1.0,
                ),
                # (x - mean) * gamma / root + beta, numbers below 32, in another order there.
                -32 * 6 * U,
                channels=3,
                mean=integers((3,), 1),
                variance=[3, 15, 8],
                gamma=integers((3,), 2),
                beta=integers((3,), 3),
                epsilon=1.0,
            )
        ],
        "mvn": [
            case(
                integers((2, 3, 4, 5)),
                lambda x: F.instance_norm(x, eps=0.25),
                # Sums of 20 terms, a root, a quotient; results are below 4.
                -4 * 30 * U,
                normalize_variance=True,
                epsilon=0.25,
            )
        ],
        "unary": [
            case(reals((3, 4, 5), 0.5, 4), function, NEAR, type=name, **fields)
            for name, function, fields in (
                ("SQRT", torch.sqrt, {}),
                ("RSQRT", lambda x: torch.rsqrt(x + 0.25), {"epsilon": 0.25}),
                ("INVERSE", lambda x: torch.reciprocal(x + 0.25), {"epsilon": 0.25}),
                ("POWER", lambda x: torch.pow(x, 1.5), {"alpha": 1.5}),
                ("EXP", torch.exp, {}),
                ("LOG", lambda x: torch.log(x + 1), {"epsilon": 1.0}),
                ("ABS", torch.abs, {}),
                ("THRESHOLD", lambda x: x.clamp(min=2.0), {"alpha": 2.0}),
            )
        ],
        "reduce": [
            case(integers((2, 3, 4, 5), low=1), function, NEAR, mode=mode, axis=axis)
            for axis, dims in (("CHW", (-3, -2, -1)), ("HW", (-2, -1)), ("C", (-3,)), ("H", (-2,)), ("W", (-1,)))
            for mode, function in (
                ("SUM", lambda x, d=dims: x.sum(d, keepdim=True)),
                ("AVG", lambda x, d=dims: x.mean(d, keepdim=True)),
                ("MAX", lambda x, d=dims: x.amax(d, keepdim=True)),
                ("MIN", lambda x, d=dims: x.amin(d, keepdim=True)),
                ("SUMSQUARE", lambda x, d=dims: x.square().sum(d, keepdim=True)),
                ("L1", lambda x, d=dims: x.abs().sum(d, keepdim=True)),
                ("L2", lambda x, d=dims: torch.linalg.vector_norm(x, dim=d, keepdim=True)),
            )
        ],
        "l2normalize": [
            # eps 2^-60 is nothing beside a sum of squares of at least 1.
            case(
                integers((2, 3, 4, 5)),
                lambda x: F.normalize(x.reshape(2, -1)).reshape(x.shape),
                NEAR,
                epsilon=2.0**-60,
            )
        ],
        "dot": [
            case([integers((2, 5, 1, 1)), integers((2, 5, 1, 1), 1)], lambda x, y: (x * y).sum(1, keepdim=True)),
            case(
                [integers((2, 5, 1, 1), low=1), integers((2, 5, 1, 1), 1, low=1)],
                lambda x, y: F.cosine_similarity(x, y, 1)[:, None],
                NEAR,
                cosine_similarity=True,
            ),
        ],
        "concat": [
            case([integers((2, 3, 4, 5)), integers((2, 1, 4, 5), 1)], lambda x, y: torch.cat([x, y], -3)),
        ],
        "crop": [
            case(
                integers((2, 3, 6, 7)),
                lambda x: F.pad(x, (-1, -3, -2, 0)),
                crop_amounts={"border_amounts": [{"start_edge_size": 2}, {"start_edge_size": 1, "end_edge_size": 3}]},
            )
        ],
        "flatten": [case(integers((2, 3, 4, 5)), lambda x: x.flatten(1)[..., None, None])],
        "rankPreservingReshape": [
            case(integers((2, 3, 4)), lambda x: x.reshape(2, 6, 2), target_shape=[0, 6, -1]),
        ],
        "sliceStatic": [
            case(
                integers((4, 5, 7)),
                lambda x: x[1:4:2, :-1].flip(2)[:, :, ::3],
                begin_ids=[1, 0, -1],
                begin_masks=[False, True, True],
                end_ids=[4, -1, 0],
                end_masks=[False, False, True],
                strides=[2, 1, -3],
                squeeze_masks=[False] * 3,
            )
        ],
        "globalPooling3d": [case(distinct((2, 3, 4, 5, 7)), lambda x: x.amax((2, 3, 4), keepdim=True), type="MAX")],
    }
    return found


def one_reduction(
    shape: tuple[int, ...], axes: Any, keep: bool, function: Callable[..., Any], tolerance: float
) -> Case:
    x = integers(shape, low=1, high=5)
    listed = axes if isinstance(axes, list) else [axes]
    return case(
        x, lambda t: function(t, dim=axes, keepdim=keep), tolerance, axes=listed, keep_dims=keep, reduce_all=False
    )


CASES = cases()

#: Layers whose families ask others in files of their own.
ELSEWHERE = {
    "test_activation.py, test_special.py": {"activation", "gelu", "clampedReLU"},
    "test_conv.py, test_conv3d.py, test_volume.py": {"convolution", "convolution3d", "pooling3d"},
    "test_pool.py, test_pooling.py": {"pooling"},
    "test_resize.py": {"upsample", "resizeBilinear", "cropResize"},
    "test_shape.py": {"reorganizeData"},
    "test_padding.py": {"padding"},
    "test_gather.py": {"gather", "gatherAlongAxis", "gatherND", "scatter", "scatterAlongAxis", "scatterND"},
    "test_sort.py": {"topK"},
    "test_normalization.py, test_normalization_nd.py": {"lrn", "layerNormalization"},
    "test_recurrent.py": {"simpleRecurrent", "gru", "uniDirectionalLSTM", "biDirectionalLSTM"},
    "test_mask.py": {"matrixBandPart"},
}

#: Layers for which torch has no function: they run networks, draw random numbers, tell or hold shapes and constants, or
#: find their counterpart in another layer of this list, with the parameters as inputs or the blobs of another world.
NOBODY = {
    "control": {"copy", "branch", "loop", "loopBreak", "loopContinue"},
    "code of the user's own": {"custom"},
    "random numbers": {
        *(
            f"random{family}{form}"
            for family in ("Normal", "Uniform", "Bernoulli")
            for form in ("Static", "Like", "Dynamic")
        ),
        "categoricalDistribution",
    },
    "shapes and constants": {
        *("getShape", "loadConstant", "loadConstantND", "fillStatic", "fillLike", "fillDynamic"),
        *("rangeStatic", "rangeDynamic", "reshape", "sequenceRepeat"),
    },
    "another form of a layer above": {
        *("broadcastToLike", "broadcastToDynamic", "reshapeLike", "reshapeDynamic", "sliceDynamic", "sliceBySize"),
        *("slice", "split", "splitND", "embedding", "scale", "bias", "reverseSeq"),
    },
    "torchvision has one, with classes apart": {"NonMaximumSuppression"},
}


@pytest.mark.parametrize(
    ("kind", "which"),
    [pytest.param(kind, i, id=f"{kind}-{i}") for kind, found in CASES.items() for i in range(len(found))],
)
def test_torch_agrees(kind: str, which: int) -> None:
    xs, fields, function, tolerance = CASES[kind][which]
    ours = run_layer(kind, *xs, rank5=False, precision="float64", static=kind != "whereNonZero", **fields)
    theirs = function(*map(torch.from_numpy, map(np.ascontiguousarray, xs))).numpy().astype(np.float64)
    theirs = theirs if theirs.ndim else theirs.reshape(1)  # Core ML has no rank 0
    assert ours.shape == theirs.shape
    # A positive tolerance is relative, a negative one absolute.
    np.testing.assert_allclose(ours, theirs, rtol=max(tolerance, 0), atol=max(-tolerance, 0))


def test_every_layer_is_somewhere() -> None:
    listed = [*CASES, *(kind for group in (ELSEWHERE, NOBODY) for kinds in group.values() for kind in kinds)]
    assert sorted(listed) == sorted(LAYERS)
