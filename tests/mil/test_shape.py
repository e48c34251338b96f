"""Shapes, order, joining, dividing and repeating, fills and ranges, in all operation sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mil.support import ALL, LARGE, check_types, run

from refcoreml import build
from refcoreml.errors import InputError, InvalidModelError, UsageError
from refcoreml.mil.program import Program
from refcoreml.spec import schema

OPSETS = ["CoreML5", "CoreML6", "CoreML7", "CoreML8", "CoreML9"]
FLOATS = [np.float16, np.float32]
VALUES = [*FLOATS, np.int32, np.bool_]
SMALL = [np.int8, np.uint8, np.int16, np.uint16]
NAMES = {"float16": "fp16", "float32": "fp32"}
X = np.arange(60).reshape(3, 4, 5)


def tensor(dtype: Any, *shape: int | None) -> Any:
    name = np.dtype(dtype).name
    return [(NAMES.get(name, name), shape)]


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def of(dtype: Any, x: np.ndarray = X) -> np.ndarray:
    return (x % 3 == 0) if dtype is np.bool_ else x.astype(dtype)


def check(kind: str, expected: np.ndarray, x: np.ndarray, opset: str = "CoreML8", **parameters: Any) -> None:
    y = run(kind, {"x": x}, opset=opset, **parameters)
    held = np.float32 if expected.dtype == np.float16 else expected.dtype
    assert (y.dtype, y.shape) == (held, expected.shape)
    np.testing.assert_array_equal(y, expected)


# ---- Types ----

ONES = np.ones((1, 1, 1, 1), np.float32)
INT32, IMAGES = {"CoreML5": {"int32"}}, {"CoreML5": {"fp16", "fp32"}}
SINCE_5, GROWING = {"CoreML5": LARGE}, {"CoreML5": LARGE, "CoreML7": ALL}


@pytest.mark.parametrize(
    ("kind", "names", "inputs", "constants", "taken"),
    [
        ("reshape", ["x"], dict(x=ONES), dict(shape=[1]), GROWING),
        ("reshape", ["shape"], dict(x=ONES), dict(shape=[1]), INT32 | {"CoreML7": {"int32", "int16", "int8"}}),
        (
            "reshape_like",
            ["x"],
            dict(x=ONES, ref_tensors=[ONES[0]]),
            dict(begins=0, ends=0, end_masks=True),
            {"CoreML6": LARGE, "CoreML7": ALL},
        ),
        (
            "reshape_like",
            ["ref_tensors"],
            dict(x=ONES, ref_tensors=[ONES[0], ONES]),
            dict(begins=[0, 0], ends=[1, 1], end_masks=[False, False]),
            {"CoreML6": LARGE, "CoreML7": ALL},
        ),
        ("expand_dims", ["x"], dict(x=ONES), dict(axes=[0]), GROWING),
        ("squeeze", ["x"], dict(x=ONES), dict(axes=[0]), GROWING),
        ("flatten2d", ["x"], dict(x=ONES), {}, SINCE_5),
        ("shape", ["x"], dict(x=ONES), {}, SINCE_5),
        ("transpose", ["x"], dict(x=ONES), dict(perm=[3, 1, 2, 0]), GROWING),
        ("depth_to_space", ["x"], dict(x=ONES), dict(block_size=1), IMAGES),
        ("space_to_depth", ["x"], dict(x=ONES), dict(block_size=1), IMAGES),
        ("pixel_shuffle", ["x"], dict(x=ONES), dict(upscale_factor=1), IMAGES),
        ("pixel_unshuffle", ["x"], dict(x=ONES), dict(downscale_factor=1), {"CoreML6": {"fp16", "fp32"}}),
        (
            "space_to_batch",
            ["x"],
            dict(x=ONES),
            dict(block_shape=[1, 1], paddings=[[0, 0], [0, 0]]),
            IMAGES,
        ),
        ("batch_to_space", ["x"], dict(x=ONES), dict(block_shape=[1, 1], crops=[[0, 0], [0, 0]]), IMAGES),
        ("concat", ["values"], dict(values=[ONES, ONES]), dict(axis=0), {"CoreML5": ALL}),
        ("stack", ["values"], dict(values=[ONES, ONES]), dict(axis=0), {"CoreML5": ALL}),
        ("split", ["x"], dict(x=ONES), dict(axis=0, num_splits=1), SINCE_5),
        ("tile", ["x"], dict(x=ONES), dict(reps=[1, 1, 1, 1]), SINCE_5),
        ("tile", ["reps"], dict(x=ONES), dict(reps=[1, 1, 1, 1]), INT32),
        ("fill", ["shape"], {}, dict(shape=[1]), INT32),
        ("fill", ["value"], {}, dict(shape=[1], value=1), SINCE_5),
        ("fill_like", ["ref_tensor"], dict(ref_tensor=ONES), dict(value=1), {"CoreML6": LARGE}),
        ("fill_like", ["value"], dict(ref_tensor=ONES), dict(value=1), {"CoreML6": LARGE}),
        (
            "range_1d",
            ["end", "start", "step"],
            {},
            dict(end=1, start=0, step=1),
            {"CoreML5": {"fp16", "fp32", "int32"}},
        ),
        ("band_part", ["x"], dict(x=ONES), {}, SINCE_5),
    ],
)
@pytest.mark.clause(
    "mil.reshape.C1",
    "mil.reshape_like.C1",
    "mil.expand_dims.C1",
    "mil.squeeze.C1",
    "mil.flatten2d.C1",
    "mil.shape.C1",
    "mil.transpose.C1",
    "mil.depth_to_space.C1",
    "mil.space_to_depth.C1",
    "mil.pixel_shuffle.C1",
    "mil.pixel_unshuffle.C1",
    "mil.space_to_batch.C1",
    "mil.batch_to_space.C1",
    "programs.U64",
    "mil.split.C1",
    "mil.tile.C1",
    "mil.fill.C1",
    "mil.fill_like.C1",
    "mil.range_1d.C1",
    "mil.band_part.C1",
)
def test_types_of_elements(
    kind: str, names: list[str], inputs: dict[str, Any], constants: dict[str, Any], taken: dict[str, set[str]]
) -> None:
    check_types(kind, names, inputs, constants, taken)


# ---- The same order, another shape ----

SHAPES = {
    "known": ((6, 10), (6, 10)),
    "rest": ((2, -1, 3), (2, 10, 3)),
    "kept": ((0, 2, -1), (3, 2, 10)),
    "all kept": ((0, 0, 0), (3, 4, 5)),
    "vector": ((-1,), (60,)),
}


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.clause("mil.reshape.S1", "mil.reshape.S2", "mil.reshape.S3")
def test_reshape(case: str, opset: str, computed: bool) -> None:
    target, shape = SHAPES[case]
    for dtype in VALUES + SMALL * (opset in OPSETS[2:]):
        x = of(dtype)
        given = {"x": x, "shape": ints(*target)} if computed else {"x": x}
        rest = {"outputs": tensor(dtype, *(None,) * len(shape))} if computed else {"shape": ints(*target)}
        y = run("reshape", given, opset=opset, **rest)
        np.testing.assert_array_equal(y, x.reshape(shape))


@pytest.mark.clause("mil.reshape.S4", "programs.U61")
def test_zeros_in_a_shape_are_counted_from_the_last_axis_since_core_ml_7() -> None:
    x = np.arange(100, dtype=np.float32).reshape(2, 50)
    for opset in OPSETS[2:]:  # the example of coremltools
        y = run("reshape", {"x": x}, shape=[1, 0, -1, 0], opset=opset)
        np.testing.assert_array_equal(y, x.reshape(1, 1, 2, 50))
        y = run("reshape", {"x": of(np.int8)}, shape=[0, -1], opset=opset)
        np.testing.assert_array_equal(y, X.reshape(4, 15))
    np.testing.assert_array_equal(run("reshape", {"x": of(np.int32)}, shape=[0, -1], opset="CoreML6"), X.reshape(3, 20))
    with pytest.raises(InvalidModelError, match=r"made.*\(reshape\).*the shape \(1, 0, -1, 0\) is requested"):
        run("reshape", {"x": x}, shape=[1, 0, -1, 0], opset="CoreML6")


@pytest.mark.clause("mil.reshape.S2", "mil.squeeze.S2")
def test_a_number_has_no_axes() -> None:
    x = np.array([[7.0]], np.float32)
    np.testing.assert_array_equal(run("reshape", {"x": x}, shape=np.zeros(0, np.int32)), 7.0)
    np.testing.assert_array_equal(run("reshape", {"x": x[0, 0]}, shape=[1, -1]), [[7.0]])
    assert run("squeeze", {"x": x}).shape == ()
    assert run("expand_dims", {"x": x[0, 0]}, axes=[0, 1]).shape == (1, 1)


@pytest.mark.parametrize("target", [(7, -1), (61,), (-1, -1), (-2, 30)])
@pytest.mark.clause("mil.reshape.C2")
def test_shapes_that_do_not_fit(target: tuple[int, ...]) -> None:
    with pytest.raises(InvalidModelError, match=r"made.*\(reshape\).*is requested"):
        run("reshape", {"x": of(np.float32)}, shape=ints(*target))
    outputs = tensor(np.float32, *(None,) * len(target))
    with pytest.raises(InputError, match=r"made.*\(reshape\).*is requested"):
        run("reshape", {"x": of(np.float32), "shape": ints(*target)}, outputs=outputs)


@pytest.mark.clause("mil.reshape.C1", "mil.reshape.C2")
def test_shapes_are_vectors() -> None:
    with pytest.raises(InvalidModelError, match=r"'shape' is of type tensor<int32, \[1, 2\]>, expected integers"):
        run("reshape", {"x": of(np.float32)}, shape=[[6, 10]])
    six = [1, 1, 1, 3, 4, 5]
    with pytest.raises(InvalidModelError, match=r"\(reshape\).*is requested, expected 1 to 5 numbers"):
        run("reshape", {"x": of(np.float32)}, shape=six)
    with pytest.raises(InvalidModelError, match=r"\(reshape\).*shape \(6,\), expected a vector of 1 to 5 numbers"):
        run("reshape", {"x": of(np.float32), "shape": ints(*six)}, outputs=tensor(np.float32, *[None] * 6))


@pytest.mark.clause("programs.U61")
def test_zeros_without_an_axis_until_core_ml_6() -> None:
    for opset in OPSETS[:2]:
        check("reshape", X.reshape(3, 20).astype(np.int32), of(np.int32), opset, shape=[0, 20])
        check("reshape", X.reshape(12, 1, 5).astype(np.int32)[None], of(np.int32), opset, shape=[1, 12, 1, 5])
        with pytest.raises(InvalidModelError, match=r"made.*\(reshape\).*the shape \(3, 4, 5, 0\) is requested"):
            run("reshape", {"x": of(np.float32)}, shape=[3, 4, 5, 0], opset=opset)


@pytest.mark.parametrize("opset", OPSETS[1:])
@pytest.mark.clause("mil.reshape_like.S1", "mil.reshape_like.S2")
def test_reshape_like_puts_shapes_together(opset: str) -> None:
    x = np.arange(180, dtype=np.float32)
    program = build.Program({"x": (180,), "a": (2, 3, 4), "b": ("int32", (1, 5, 6))}, opset=opset)
    each: dict[str, Any] = {
        name: [program.constant(value) for value in listed]
        for name, listed in [("begins", [0, 1]), ("ends", [2, 0]), ("end_masks", [False, True])]
    }
    y = program.add("reshape_like", x=program["x"], ref_tensors=[program["a"], program["b"]], **each)
    program.output(y)
    message = schema.MILSpec.Program(version=1)
    message.functions["main"].CopyFrom(program.function())
    found = Program(message, "main").run({"x": x, "a": np.zeros((2, 3, 4), "f"), "b": np.zeros((1, 5, 6), "i")})
    np.testing.assert_array_equal(found[y.name], x.reshape(2, 3, 5, 6))  # the example of coremltools


@pytest.mark.parametrize(
    ("begin", "end", "masked", "shape"),
    [(-2, 0, True, (4, 5)), (0, -1, False, (3, 4)), (1, 9, False, (4, 5)), (-9, 2, False, (3, 4))],
)
@pytest.mark.clause("mil.reshape_like.S1", "mil.reshape_like.S2")
def test_parts_of_shapes_are_those_of_python(begin: int, end: int, masked: bool, shape: tuple[int, int]) -> None:
    x = np.arange(shape[0] * shape[1], dtype=np.float32)
    like = np.zeros((3, 4, 5), np.float32)
    y = run("reshape_like", {"x": x, "ref_tensors": [like]}, begins=begin, ends=end, end_masks=masked)
    np.testing.assert_array_equal(y, x.reshape(shape))


@pytest.mark.clause("mil.reshape_like.C1", "mil.reshape_like.C2")
def test_reshape_like_of_tensors_that_do_not_fit() -> None:
    parameters = dict(begins=0, ends=0, end_masks=True)
    for dtype in VALUES + SMALL:
        y = run("reshape_like", {"x": of(dtype), "ref_tensors": [np.zeros((10, 6), dtype)]}, **parameters)
        np.testing.assert_array_equal(y, of(dtype).reshape(10, 6))
    with pytest.raises(InvalidModelError, match=r"made.*\(reshape_like\).*\(7, 6\) is requested"):
        run("reshape_like", {"x": of(np.float32), "ref_tensors": [np.zeros((7, 6), np.float32)]}, **parameters)
    with pytest.raises(InvalidModelError, match="'begins' has 1 values for 2 ref_tensors"):
        run("reshape_like", {"x": of(np.float32), "ref_tensors": [np.zeros((7, 6), np.float32)] * 2}, **parameters)
    with pytest.raises(InvalidModelError, match=r"'ends' holds .*, expected an integer"):
        run(
            "reshape_like",
            {"x": of(np.float32), "ref_tensors": [np.zeros((7, 6), np.float32)]},
            begins=0,
            ends=1.5,
            end_masks=True,
        )


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.clause("mil.expand_dims.S1", "mil.squeeze.S1", "mil.squeeze.S2", "mil.transpose.S1")
def test_axes_of_length_1_and_order(opset: str) -> None:
    for dtype in VALUES + SMALL * (opset in OPSETS[2:]):
        x = of(dtype)
        check("expand_dims", x[:, None, :, :, None], x, opset, axes=[1, -1])
        wide = x[None, :, :, None]
        check("squeeze", wide[0], wide, opset, axes=[0])
        check("squeeze", x, wide, opset, axes=[-2, 0])
        check("squeeze", x, wide, opset)
        check("transpose", x.transpose(2, 0, 1), x, opset, perm=[-1, 0, 1])


@pytest.mark.parametrize("opset", ["CoreML5", "CoreML7"])
@pytest.mark.clause("programs.U62")
def test_axes_of_another_length_stay_where_programs_are_not_run_strictly(opset: str) -> None:
    wide = of(np.float32)[None]
    with pytest.raises(InvalidModelError, match=r"axis 2 of .* has the length 4, only one of 1 can be squeezed"):
        run("squeeze", {"x": wide}, axes=[0, 2], opset=opset)
    y = run("squeeze", {"x": wide}, axes=[0, 2], opset=opset, strict=False, outputs=tensor(np.float32, 3, 4, 5))
    np.testing.assert_array_equal(y, wide[0])


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.clause("mil.flatten2d.S1", "mil.flatten2d.S2", "mil.shape.S1")
def test_matrices_and_shapes(opset: str) -> None:
    for dtype in VALUES:
        x = of(dtype)
        check("flatten2d", x.reshape(3, 20), x, opset)
        for axis, shape in [(0, (1, 60)), (2, (12, 5)), (3, (60, 1)), (-1, (12, 5))]:
            check("flatten2d", x.reshape(shape), x, opset, axis=axis)
        check("shape", ints(3, 4, 5), x, opset)


@pytest.mark.clause("mil.shape.S1")
def test_a_shape_is_known_when_the_program_runs_only() -> None:
    y = run("shape", {"x": of(np.float32)}, open_shapes=True, outputs=tensor(np.int32, 3))
    np.testing.assert_array_equal(y, [3, 4, 5])
    y = run("expand_dims", {"x": of(np.float32)}, open_shapes=True, outputs=tensor(np.float32, *(None,) * 4), axes=[1])
    assert y.shape == (3, 1, 4, 5)


# ---- Blocks ----


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.clause("mil.depth_to_space.S1", "mil.space_to_depth.S1", "mil.pixel_shuffle.S1", "mil.pixel_unshuffle.S1")
def test_blocks_of_pixels_and_channels(opset: str, dtype: Any) -> None:
    b, (n, c, h, w) = 2, (1, 3, 5, 7)
    small = np.arange(n * b * b * c * h * w).reshape(n, b * b * c, h, w).astype(dtype)
    large, shuffled = np.zeros((n, c, h * b, w * b), dtype), np.zeros((n, c, h * b, w * b), dtype)
    for k, i, j in np.ndindex(c, b, b):
        large[:, k, i::b, j::b] = small[:, (i * b + j) * c + k]
        shuffled[:, k, i::b, j::b] = small[:, k * b * b + i * b + j]
    check("depth_to_space", large, small, opset, block_size=b)
    check("space_to_depth", small, large, opset, block_size=b)
    check("pixel_shuffle", shuffled, small, opset, upscale_factor=b)
    if opset != "CoreML5":
        check("pixel_unshuffle", small, shuffled, opset, downscale_factor=np.uint32(b))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.clause("mil.space_to_batch.S1", "mil.batch_to_space.S1")
def test_blocks_of_pixels_and_the_batch(opset: str, dtype: Any) -> None:
    (p, q), (n, c, h, w), ((top, bottom), (left, right)) = (2, 3), (2, 1, 5, 4), ((1, 2), (0, 5))
    x = np.arange(1, 1 + n * c * h * w).reshape(n, c, h, w).astype(dtype)
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    blocks = np.concatenate([padded[:, :, i::p, j::q] for i in range(p) for j in range(q)])
    margins = np.array([[top, bottom], [left, right]], np.int32)
    check("space_to_batch", blocks, x, opset, block_shape=[p, q], paddings=margins)
    check("batch_to_space", x, blocks, opset, block_shape=[p, q], crops=margins)


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        ("depth_to_space", dict(block_size=2), "3 channels cannot be divided into blocks of 2"),
        ("space_to_depth", dict(block_size=2), "blocks of 2 do not divide H and W"),
        ("pixel_shuffle", dict(upscale_factor=0), "the block is 0, expected a number of at least 1"),
        ("pixel_unshuffle", dict(downscale_factor=-1), "the block is -1, expected"),
        ("space_to_batch", dict(block_shape=[2, 2], paddings=[[0, 0], [0, 0]]), "do not divide the .4, 5. pixels"),
        ("space_to_batch", dict(block_shape=[2, 2], paddings=[0, 0]), "'paddings' is of type .*, expected integers"),
        (
            "space_to_batch",
            dict(block_shape=[2], paddings=[[0, 0], [0, 0]]),
            "'block_shape' has 1 elements, expected 2",
        ),
        ("batch_to_space", dict(block_shape=[0, 2], crops=[[0, 0], [0, 0]]), "the block is .0, 2."),
        ("batch_to_space", dict(block_shape=[2, 1], crops=[[0, -1], [0, 0]]), "expected numbers of at least 0"),
    ],
)
@pytest.mark.clause(
    "mil.depth_to_space.C1",
    "mil.space_to_depth.C1",
    "mil.pixel_shuffle.C1",
    "mil.pixel_unshuffle.C1",
    "mil.space_to_batch.C1",
    "mil.batch_to_space.C1",
)
def test_blocks_that_do_not_fit(kind: str, parameters: dict[str, Any], words: str) -> None:
    x = np.zeros((2, 3, 4, 5), np.float32)
    with pytest.raises(InvalidModelError, match=rf"made.*\({kind}\).*{words}"):
        run(kind, {"x": x}, **parameters)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("depth_to_space", dict(block_size=1)),
        ("space_to_depth", dict(block_size=1)),
        ("pixel_shuffle", dict(upscale_factor=1)),
        ("pixel_unshuffle", dict(downscale_factor=1)),
        ("space_to_batch", dict(block_shape=[1, 1], paddings=[[0, 0], [0, 0]])),
        ("batch_to_space", dict(block_shape=[1, 1], crops=[[0, 0], [0, 0]])),
    ],
)
@pytest.mark.clause(
    "mil.depth_to_space.C1",
    "programs.U63",
    "mil.space_to_depth.C1",
    "mil.pixel_shuffle.C1",
    "mil.pixel_unshuffle.C1",
    "mil.space_to_batch.C1",
    "mil.batch_to_space.C1",
)
def test_blocks_are_of_images_of_floats(kind: str, parameters: dict[str, Any]) -> None:
    x = np.zeros((2, 3, 4, 5), np.float32)
    check(kind, x, x, **parameters)
    with pytest.raises(InvalidModelError, match=r"'x' has elements of type int32, expected fp16, fp32\."):
        run(kind, {"x": x.astype(np.int32)}, **parameters)
    for wrong in (x[0], x[None]):
        with pytest.raises(InvalidModelError, match=rf"'x' has rank {wrong.ndim}, expected 4, \[N, C, H, W\]"):
            run(kind, {"x": wrong}, **parameters)


# ---- Joined, divided, repeated ----


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dtype", VALUES)
@pytest.mark.clause("mil.concat.S1", "mil.concat.S2", "mil.stack.S1")
def test_joining(opset: str, dtype: Any) -> None:
    a, b = of(dtype), of(dtype, X[:, ::-1])
    parts = [a[:, :1], b, a[:, 1:3]]
    y = run("concat", {"values": parts}, axis=-2, opset=opset)
    np.testing.assert_array_equal(y, np.concatenate(parts, 1))
    y = run("concat", {"values": [a, b]}, axis=1, interleave=True, opset=opset)
    np.testing.assert_array_equal(y, np.stack([a, b], 2).reshape(3, 8, 5))
    y = run("stack", {"values": [a, b]}, axis=-1, opset=opset)
    np.testing.assert_array_equal(y, np.stack([a, b], -1))


@pytest.mark.clause("mil.concat.S1", "mil.concat.S3")
def test_numbers_are_joined_to_a_shape_with_constants_among_them() -> None:
    program = build.Program({"n": ("int32", ()), "x": (4, 6)}, opset="CoreML5")
    shape = program.add("concat", values=[program["n"], 3, -1], axis=0)
    assert str(shape.type) == "tensor<int32, [3]>"
    y = program.add("reshape", x=program["x"], shape=shape, outputs=tensor(np.float32, None, None, None))
    program.output(y)
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    found = Program(program.spec().mlProgram, "main").run({"n": np.array(2, np.int32), "x": x})
    np.testing.assert_array_equal(found[y.name], x.reshape(2, 3, 4))


@pytest.mark.clause("mil.concat.C1", "mil.stack.C1")
def test_what_cannot_be_joined() -> None:
    a = of(np.float32)
    with pytest.raises(InvalidModelError, match=r"made.*\(concat\).*cannot join inputs of the types float32, float16"):
        run("concat", {"values": [a, a.astype(np.float16)]}, axis=0)
    with pytest.raises(InvalidModelError, match=r"cannot join .*expected shapes that differ along axis 0 only"):
        run("concat", {"values": [a, a[:, :2]]}, axis=0)
    with pytest.raises(InvalidModelError, match="axis is 3, expected -3 to 2"):
        run("concat", {"values": [a, a]}, axis=3)
    with pytest.raises(InvalidModelError, match="axis is -5, expected -4 to 3"):
        run("stack", {"values": [a, a]}, axis=-5)
    with pytest.raises(InvalidModelError, match=r"made.*\(stack\).*cannot join inputs of the types float32, int32"):
        run("stack", {"values": [a, a.astype(np.int32)]}, axis=0)
    with pytest.raises(InvalidModelError, match="none may have a rank above 5"):
        run("stack", {"values": [a[None, None]] * 2}, axis=0)
    with pytest.raises(InvalidModelError, match="cannot interleave"):
        run("concat", {"values": [a, a[:2]]}, axis=0, interleave=True)
    with pytest.raises(InvalidModelError, match=r"made.*\(stack\).*cannot stack"):
        run("stack", {"values": [a, a[:2]]}, axis=0)
    for kind in ("concat", "stack"):
        with pytest.raises(InvalidModelError, match="parameter 'axis' is missing"):
            run(kind, {"values": [a, a]})


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dtype", VALUES)
@pytest.mark.clause("mil.split.S1", "mil.split.S2", "mil.tile.S1")
def test_dividing_and_repeating(opset: str, dtype: Any) -> None:
    x = of(dtype)
    for parameters, sizes in [
        (dict(num_splits=2), (2, 2)),
        (dict(split_sizes=[1, 3]), (1, 3)),
        (dict(split_sizes=[2, 1, 1], num_splits=3), (2, 1, 1)),
    ]:
        parts = run("split", {"x": x}, axis=-2, opset=opset, **parameters)
        expected = np.split(x, np.cumsum(sizes)[:-1], 1)
        assert [part.shape for part in parts] == [part.shape for part in expected]
        for part, wanted in zip(parts, expected, strict=True):
            np.testing.assert_array_equal(part, wanted)
    check("split", x, x, opset, axis=0, num_splits=1)
    check("tile", np.tile(x, (2, 1, 3)), x, opset, reps=[2, 1, 3])
    y = run("tile", {"x": x, "reps": ints(2, 1, 3)}, opset=opset, outputs=tensor(dtype, None, None, None))
    np.testing.assert_array_equal(y, np.tile(x, (2, 1, 3)))


@pytest.mark.clause("mil.tile.C1")
def test_repetitions_that_are_computed_out_of_range() -> None:
    given = {"x": of(np.float32), "reps": ints(2, 0, 1)}
    with pytest.raises(
        InputError, match=r"made.*\(tile\).*repetitions are \(2, 0, 1\), expected numbers of at least 1"
    ):
        run("tile", given, outputs=tensor(np.float32, None, None, None))
    with pytest.raises(InvalidModelError, match=r"made.*\(tile\).*expected 1 to 0, the rank of \(\)"):
        run("tile", {"x": np.float32(3)}, reps=np.zeros(0, np.int32))


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        ("split", dict(axis=1, num_splits=3), "an axis of 4 cannot be divided into 3 equal parts"),
        ("split", dict(axis=1, num_splits=0), "0 parts are requested"),
        ("split", dict(axis=1, split_sizes=[1, 2]), "the parts .1, 2. do not divide an axis of 4"),
        ("split", dict(axis=1, split_sizes=np.zeros(0, np.int32)), "the parts .. do not divide an axis of 4"),
        ("split", dict(axis=1, split_sizes=[1, 3], num_splits=3), "num_splits is 3, but split_sizes is .1, 3."),
        ("split", dict(axis=1), "'num_splits' and 'split_sizes' are both missing"),
        ("split", dict(axis=3, num_splits=2), "axis is 3, expected -3 to 2"),
        ("split", dict(axis=1, split_sizes=[4, 0]), "the parts .4, 0. do not divide an axis of 4"),
        ("tile", dict(reps=[2, 1]), "parameter 'reps' has 2 elements, expected 3"),
        ("tile", dict(reps=[2, 1, 0]), "repetitions are .2, 1, 0., expected numbers of at least 1"),
        ("squeeze", dict(axes=[1]), "axis 1 of .* has the length 4, only one of 1 can be squeezed"),
        ("squeeze", dict(axes=[0, -3]), "names an axis of 3 twice"),
        ("squeeze", dict(axes=[3]), "axes is .3,., expected -3 to 2 each"),
        ("squeeze", dict(axes=np.zeros(0, np.int32)), "axes is empty"),
        ("expand_dims", dict(axes=[4]), "axes is .4,., expected -4 to 3 each"),
        ("expand_dims", dict(axes=np.zeros(0, np.int32)), "axes is empty"),
        ("expand_dims", dict(axes=[0, 0]), "names an axis of 5 twice"),
        ("expand_dims", dict(axes=[0, 1, 2]), "none may have a rank above 5"),
        ("transpose", dict(perm=[0, 1, 1]), "expected a permutation"),
        ("transpose", dict(perm=[0, -3, 1]), "expected a permutation"),
        ("transpose", dict(perm=[1, 0]), "expected a permutation"),
        ("flatten2d", dict(axis=4), "axis is 4, expected -3 to 3"),
    ],
)
@pytest.mark.clause(
    "mil.split.C1",
    "mil.split.C2",
    "mil.tile.C1",
    "mil.squeeze.C2",
    "mil.expand_dims.C2",
    "mil.transpose.C2",
    "mil.flatten2d.C1",
)
def test_parameters_out_of_range(kind: str, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidModelError, match=rf"made.*\({kind}\).*{words}"):
        run(kind, {"x": of(np.float32)}, **parameters)


@pytest.mark.parametrize("kind", ["expand_dims", "squeeze", "transpose", "reshape"])
def test_small_integers_until_core_ml_6(kind: str) -> None:
    parameters = {"expand_dims": dict(axes=[0]), "transpose": dict(perm=[0, 2, 1]), "reshape": dict(shape=[60])}
    with pytest.raises(InvalidModelError, match=r"'x' has elements of type int16, expected fp16, fp32, int32, bool\."):
        run(kind, {"x": of(np.int16)}, opset="CoreML6", **parameters.get(kind, {}))


# ---- Fills, ranges, bands ----

FILLS = [
    (np.float16(1.5), np.float32),
    (np.float32(-2), np.float32),
    (np.int32(7), np.int32),
    (np.bool_(True), np.bool_),
]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(("value", "held"), FILLS)
@pytest.mark.clause("mil.fill.S1", "mil.fill_like.S1")
def test_fills_have_the_type_of_the_value(opset: str, value: Any, held: Any) -> None:
    for y in (
        run("fill", {}, shape=[2, 3], value=value, opset=opset),
        run("fill", {"shape": ints(2, 3)}, value=value, opset=opset, outputs=tensor(value.dtype, None, None)),
        *(
            [run("fill_like", {"ref_tensor": of(np.bool_, X[0, :2, :3])}, value=value, opset=opset)]
            if opset != "CoreML5"
            else []
        ),
    ):
        assert y.dtype == held
        np.testing.assert_array_equal(y, np.full((2, 3), value))


@pytest.mark.clause("mil.fill.S2", "mil.fill_like.S2")
def test_fills_are_0_of_fp32_by_default() -> None:
    for y in (run("fill", {}, shape=[2, 3]), run("fill_like", {"ref_tensor": X[0, :2, :3].astype(np.int32)})):
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, np.zeros((2, 3)))


@pytest.mark.clause("mil.fill.C1")
def test_fills_of_a_rank_above_5() -> None:
    with pytest.raises(InvalidModelError, match=r"made.*\(fill\).*none may have a rank above 5"):
        run("fill", {}, shape=[1] * 6)
    with pytest.raises(InvalidModelError, match=r"'value' is of type tensor<fp32, \[2\]>, expected one number"):
        run("fill", {}, shape=[2], value=np.zeros(2, np.float32))


@pytest.mark.parametrize("shape", [(2, 0), (2, -1)])
@pytest.mark.clause("mil.fill.C1")
def test_fills_without_elements(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"made.*\(fill\).*shape requests the shape"):
        run("fill", {"shape": ints(*shape)}, outputs=tensor(np.float32, None, None))
    with pytest.raises(InvalidModelError, match=r"made.*\(fill\).*is requested, expected numbers of at least 1"):
        run("fill", {}, shape=ints(*shape))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("computed", [(), ("end",), ("start", "step"), ("end", "start", "step")])
@pytest.mark.parametrize("dtype", [*FLOATS, np.int32])
@pytest.mark.clause("mil.range_1d.S1")
def test_ranges(opset: str, computed: tuple[str, ...], dtype: Any) -> None:
    for start, end, step, expected in [(2, 9, 3, [2, 5, 8]), (4, -3, -2, [4, 2, 0, -2]), (0, 1, 4, [0])]:
        numbers: dict[str, Any] = {"start": dtype(start), "end": dtype(end), "step": dtype(step)}
        given = {name: numbers.pop(name) for name in computed}
        outputs = tensor(dtype, None) if computed else None
        y = run("range_1d", given, opset=opset, outputs=outputs, **numbers)
        assert y.dtype == (np.float32 if dtype is np.float16 else dtype)
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("precision", ["declared", "float32", "float64"])
@pytest.mark.clause("mil.range_1d.S2", "programs.U65")
def test_how_many_numbers_a_range_has_does_not_depend_on_the_precision(precision: str) -> None:
    # In half precision 2047 / 0.1 would be 20480, in double 0.3f / 0.1f is more than 3.
    numbers = dict(start=np.float16(0), end=np.float16(2047), step=np.float16(0.1))
    count = int(np.ceil(np.float32(2047) / np.float32(np.float16(0.1))))
    assert run("range_1d", {}, precision=precision, **numbers).shape == (count,)
    assert run("range_1d", {}, precision=precision, start=0.0, end=0.3, step=0.1).shape == (3,)
    y = run(
        "range_1d", {"end": np.float32(0.3)}, precision=precision, start=0.0, step=0.1, outputs=tensor(np.float32, 3)
    )
    assert y.shape == (3,)


@pytest.mark.clause("mil.range_1d.C1", "mil.range_1d.C2")
def test_ranges_that_do_not_exist() -> None:
    with pytest.raises(InvalidModelError, match=r"made.*\(range_1d\).*holds no numbers"):
        run("range_1d", {}, start=1, end=1, step=1)
    with pytest.raises(InputError, match=r"made.*\(range_1d\).*holds no numbers, or infinitely many"):
        run("range_1d", {"step": np.int32(0)}, start=1, end=3, outputs=tensor(np.int32, None))
    with pytest.raises(InvalidModelError, match=r"made.*\(range_1d\).*infinitely many"):
        run("range_1d", {}, start=0.0, end=np.float32(np.inf), step=1.0)
    with pytest.raises(InvalidModelError, match="have elements of types fp32, int32, int32, expected one"):
        run("range_1d", {}, start=1, end=3.0, step=1)


@pytest.mark.clause("mil.range_1d.S2")
def test_steps_of_a_range_do_not_add_up_their_errors() -> None:
    step, expected = np.float32(0.1), []
    for i in range(1000):
        expected.append(np.float32(i * float(step)))
    y = run("range_1d", {}, start=np.float32(0), end=np.float32(99.95), step=step)
    np.testing.assert_array_equal(y, expected)
    assert y[-1] != np.cumsum(np.full(1000, step))[-2]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("bounds", [{}, dict(lower=0), dict(upper=0), dict(lower=1, upper=2), dict(lower=-7, upper=-7)])
@pytest.mark.clause("mil.band_part.S1", "mil.band_part.S2", "mil.band_part.S3")
def test_bands(opset: str, bounds: dict[str, int]) -> None:
    lower, upper = bounds.get("lower", -1), bounds.get("upper", -1)
    m, n = np.mgrid[:4, :5]
    band = ((lower < 0) | (m - n <= lower)) & ((upper < 0) | (n - m <= upper))
    for dtype in VALUES:
        x = of(dtype, X + 1)
        check("band_part", np.where(band, x, np.zeros((), dtype)), x, opset, **bounds)
    for odd in (-np.inf, np.nan):
        x = np.full((4, 5), odd, np.float32)
        check("band_part", np.where(band, x, np.float32(0)), x, opset, **bounds)


@pytest.mark.clause("mil.band_part.C1")
def test_bands_are_of_matrices() -> None:
    with pytest.raises(
        InvalidModelError, match=r"made.*\(band_part\).*expected an input of rank 2 or more, got \(5,\)"
    ):
        run("band_part", {"x": np.zeros(5, np.float32)})


def test_operations_that_are_newer_than_the_operation_set() -> None:
    for kind in ("reshape_like", "pixel_unshuffle", "fill_like"):
        with pytest.raises(UsageError, match="CoreML5 has no such operation"):
            run(kind, {"x": of(np.float32)}, opset="CoreML5")
