"""Every operation of ML Programs with inputs, in single and in half precision: `EXAMPLES`; and one as a program.

Numbers are rounded to half precision, so that both have the same. All dimensions differ pairwise where they can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refcoreml.build.program import Program as Builder
from refcoreml.build.program import Result
from refcoreml.mil.precision import PRECISIONS, Precision
from refcoreml.mil.program import Program
from refcoreml.mil.registry import OPERATIONS, OPSETS
from refcoreml.oracle.balls import Ball
from refcoreml.oracle.bounds import BlobBound, trace_bounds
from refcoreml.oracle.inputs import stored_values
from refcoreml.oracle.models import Stored
from refcoreml.oracle.profiles import profile_named
from refcoreml.oracle.subjects import ProgramSubject
from refcoreml.spec import schema
from refcoreml.spec.mil_types import DataType
from refcoreml.types import Array


@dataclass(frozen=True, eq=False)
class Example:
    """An operation and what it takes.

    Attributes:
        kind: its name.
        inputs: by parameter an array, or a list of arrays, given at run time.
        constants: the other parameters.
        opset: the operation set.
        half: whether floats are of half precision.
        outputs: the types of results that do not follow.
    """

    kind: str
    inputs: Mapping[str, Any]
    constants: Mapping[str, Any] = field(default_factory=dict)
    opset: str = "CoreML8"
    half: bool = False
    outputs: Any = None

    def __str__(self) -> str:
        return f"{self.kind}-{self.opset}-{'fp16' if self.half else 'fp32'}"

    @property
    def values(self) -> dict[str, Array]:
        """The inputs of the program, in declared types."""
        return {
            f"{name}_{index}": self.declared(array)
            for name, given in self.inputs.items()
            for index, array in enumerate(given if isinstance(given, list) else [given])
        }

    def declared(self, value: Any) -> Any:
        """Return a number or array in the float type of the example."""
        if isinstance(value, float):
            value = np.float32(value)
        if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "f":
            return value.astype(np.float16 if self.half else np.float32)
        return value

    def program(self, precision: Precision) -> Program:
        """Return it as a program."""
        types = {name: (str(DataType.of(x.dtype)), x.shape) for name, x in self.values.items()}
        builder = Builder(types, opset=self.opset)
        given: dict[str, Any] = {
            name: [builder[f"{name}_{i}"] for i in range(len(x))] if isinstance(x, list) else builder[f"{name}_0"]
            for name, x in self.inputs.items()
        }
        constants = {name: self.declared(value) for name, value in self.constants.items()}
        made = builder.add(self.kind, name="made", outputs=self.outputs, **given, **constants)
        return program_of(builder, *(made if isinstance(made, tuple) else (made,)), precision=precision)


def program_of(builder: Builder, *results: Result, precision: Precision) -> Program:
    """Return a program that need not be described, since features are of few types."""
    message = schema.MILSpec.Program(version=1)
    function = message.functions["main"]
    function.CopyFrom(builder.function())
    function.block_specializations[function.opset].outputs[:] = [result.name for result in results]
    return Program(message, "main", precision=precision)


def run(example: Example, precision: str = "declared") -> list[Any]:
    """Return the results as refcoreml computes them."""
    held = PRECISIONS[precision]
    program = example.program(held)
    found = program.run({name: held.hold(x) for name, x in example.values.items()})
    return list(found.values())


def bounds(example: Example, profile: str = "declared", radius: float = 0.0) -> list[BlobBound]:
    """Return the bounds of the results; floats of the inputs are off by so much, relative to their magnitude."""
    return list(_bounds(example.program, example.values, profile, radius).values())


def run_bounds(
    builder: Builder, results: Sequence[Result], inputs: Mapping[str, Array], profile: str = "declared"
) -> dict[str, BlobBound]:
    """Return the bounds of the results of a program, of inputs of the declared types."""
    return _bounds(lambda precision: program_of(builder, *results, precision=precision), inputs, profile)


def _bounds(
    make: Callable[[Precision], Program], inputs: Mapping[str, Array], profile: str, radius: float = 0.0
) -> dict[str, BlobBound]:
    chosen, double = profile_named(profile), PRECISIONS["float64"]
    program = make(Stored("float64", double.held, False, chosen))
    values = {name: double.hold(x) for name, x in inputs.items()}
    balls = stored_values(program.inputs, values, chosen)
    for name, ball in balls.items():
        if ball.mid.dtype.kind == "f":
            balls[name] = Ball(ball.mid, ball.rad + radius * np.abs(ball.mid))
    return final(ProgramSubject(program, chosen), balls)


def final(subject: ProgramSubject, inputs: Mapping[str, Ball]) -> dict[str, BlobBound]:
    """Return the bounds of what a program returns."""
    traced = trace_bounds(subject, inputs)
    while True:
        try:
            next(traced)
        except StopIteration as end:
            found: dict[str, BlobBound] = end.value
            return found


# ---- Numbers ----


def normal(*shape: int, seed: int = 1, scale: float = 1.0) -> Array:
    """Normal numbers that half precision holds."""
    found: Array = (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float16).astype(np.float32)
    return found


def positive(*shape: int, seed: int = 2) -> Array:
    """Numbers from 1/4 on."""
    return np.abs(normal(*shape, seed=seed)) + np.float32(0.25)


def unit(*shape: int, seed: int = 3) -> Array:
    """Numbers between -1 and 1."""
    found: Array = np.random.default_rng(seed).uniform(-0.9, 0.9, shape).astype(np.float16).astype(np.float32)
    return found


def whole(*shape: int, seed: int = 4, low: int = -7, high: int = 8) -> Array:
    """Small integers, int32."""
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.int32)


X, Y, V = normal(2, 3, 5), normal(3, 1, seed=5), normal(7)
IMAGE = normal(2, 3, 5, 4, seed=6)
INTS, MORE = whole(3, 5), whole(3, 5, seed=7)
FLAGS, OTHERS = whole(3, 5) > 0, whole(3, 5, seed=7) > 0
CHANNELS = {"mean": normal(3), "variance": positive(3), "gamma": normal(3, seed=8), "beta": normal(3, seed=9)}
I4 = np.int32([1, 2, 3, 4])


def _made() -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any], str]]:
    """Yield kinds, inputs, constants, and the operation sets: a space-separated list of numbers, all if it is empty."""

    def of(kinds: str, inputs: Mapping[str, Any], opsets: str = "", **constants: Any) -> Iterator[Any]:
        for kind in kinds.split():
            yield kind, inputs, constants, opsets

    # Functions of one number.
    yield from of("abs sign square ceil floor round exp exp2 erf sin cos tan atan sinh cosh", {"x": X})
    yield from of("relu relu6 sigmoid tanh silu softsign softplus", {"x": X * 2})
    yield from of("asin acos atanh", {"x": unit(2, 3, 5)})
    yield from of("sqrt log rsqrt inverse", {"x": positive(2, 3, 5)})
    yield from of("abs sign square exp2", {"x": INTS})
    yield from of("threshold", {"x": X}, alpha=0.25)
    yield from of("threshold", {"x": INTS}, alpha=np.int32(2))
    yield from of("clip", {"x": X}, alpha=-0.5, beta=0.75)
    yield from of("leaky_relu elu thresholded_relu", {"x": X}, alpha=0.3)
    yield from of("clamped_relu sigmoid_hard scaled_tanh linear_activation", {"x": X}, alpha=0.3, beta=0.7)
    for mode in ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"):
        yield from of("gelu", {"x": X}, mode=mode)
    yield from of("prelu", {"x": IMAGE}, alpha=normal(3))
    yield from of("softplus_parametric", {"x": IMAGE}, alpha=normal(3), beta=positive(3))
    yield from of("cast", {"x": X * 3}, dtype="int32")
    yield from of("cast", {"x": X}, dtype="fp16")
    yield from of("cast", {"x": X}, dtype="fp32")
    yield from of("cast", {"x": np.round(X)}, dtype="bool")
    yield from of("cast", {"x": INTS}, dtype="fp16")
    yield from of("cast", {"x": FLAGS}, dtype="int32")
    yield from of("cast", {"x": INTS}, "7", dtype="int8")
    yield from of("identity", {"x": X})
    # Arithmetic.
    yield from of("add sub mul maximum minimum real_div floor_div mod", {"x": X, "y": Y})
    yield from of("pow", {"x": positive(2, 3, 5), "y": Y})
    yield from of("add sub mul maximum minimum real_div floor_div mod", {"x": X}, y=np.float32(0.75))
    yield from of("add sub mul maximum minimum real_div floor_div mod", {"x": INTS, "y": np.where(MORE, MORE, 3)})
    yield from of("pow", {"x": INTS}, y=np.int32(3))
    yield from of("equal not_equal less less_equal greater greater_equal", {"x": X, "y": np.round(X)})
    yield from of("equal not_equal less less_equal greater greater_equal", {"x": INTS, "y": MORE})
    yield from of("logical_and logical_or logical_xor", {"x": FLAGS, "y": OTHERS})
    yield from of("logical_not", {"x": FLAGS})
    yield from of("select", {"cond": FLAGS, "a": normal(3, 5), "b": normal(3, 5, seed=5)})
    # Products.
    yield from of("matmul", {"x": X, "y": normal(2, 5, 4)})
    yield from of("matmul", {"x": X}, y=normal(4, 5), transpose_y=True)
    yield from of("matmul", {"x": INTS, "y": whole(5, 4)})
    yield from of("linear", {"x": X}, weight=normal(4, 5), bias=normal(4))
    yield from of("einsum", {"values": [normal(2, 3, 4), normal(2, 4, 5)]}, equation="bik,bkj->bij")
    yield from of(
        "scaled_dot_product_attention",
        {"query": X, "key": normal(2, 4, 5), "value": normal(2, 4, 7), "attn_mask": normal(3, 4)},
    )
    yield from of(
        "scaled_dot_product_attention",
        {"query": X, "key": normal(2, 4, 5), "value": normal(2, 4, 7), "attn_mask": whole(3, 4, low=-3) > -3},
    )
    weight = normal(4, 3, 3, 2)
    yield from of("conv", {"x": IMAGE}, weight=weight, bias=normal(4), pad_type="same", strides=I4[:2])
    yield from of("conv", {"x": IMAGE, "weight": weight})
    yield from of("conv", {"x": IMAGE, "weight": weight, "bias": normal(4)}, "7")
    yield from of("conv_transpose", {"x": IMAGE}, weight=normal(3, 4, 3, 2), bias=normal(4))
    # Reductions.
    sums = "reduce_sum reduce_mean reduce_prod reduce_max reduce_min"
    norms = "reduce_l1_norm reduce_l2_norm reduce_sum_square reduce_log_sum_exp"
    yield from of(f"{sums} {norms}", {"x": X}, axes=np.int32([1, -1]))
    yield from of(sums, {"x": INTS}, axes=np.int32([0]), keep_dims=True)
    yield from of("reduce_log_sum", {"x": positive(2, 3, 5)})
    yield from of("reduce_argmax reduce_argmin", {"x": X}, axis=np.int32(1))
    yield from of("cumsum", {"x": X}, axis=np.int32(2), exclusive=True)
    yield from of("argsort", {"x": X}, axis=np.int32(1))
    yield from of("topk", {"x": X}, k=np.int32(2), axis=np.int32(1))
    yield from of("topk", {"x": X}, "6 7", k=np.int32(2), return_indices=False)
    yield from of("non_zero", {"x": np.round(X)}, outputs=[("int32", (None, 3))])
    # Pooling and normalization.
    pooled = {"kernel_sizes": np.int32([3, 2]), "pad_type": "same", "strides": np.int32([2, 1])}
    yield from of("max_pool avg_pool l2_pool", {"x": IMAGE}, **pooled)
    yield from of("avg_pool", {"x": IMAGE}, **pooled, exclude_padding_from_average=True)
    yield from of("softmax", {"x": X}, axis=np.int32(1))
    yield from of("batch_norm", {"x": IMAGE}, **CHANNELS)
    yield from of("batch_norm", {"x": IMAGE}, mean=CHANNELS["mean"], variance=CHANNELS["variance"])
    yield from of("instance_norm", {"x": IMAGE}, gamma=CHANNELS["gamma"], beta=CHANNELS["beta"])
    yield from of("instance_norm l2_norm", {"x": IMAGE})
    yield from of("layer_norm", {"x": X}, axes=np.int32([-1]), beta=normal(5))
    yield from of("layer_norm", {"x": X}, axes=np.int32([1, 2]))
    yield from of("local_response_norm", {"x": IMAGE}, size=np.int32(3))
    # Shapes.
    yield from of("reshape", {"x": X}, shape=np.int32([5, -1]))
    yield from of("reshape", {"x": X, "shape": np.int32([5, 6])}, outputs=[("float", (5, 6))])
    yield from of(
        "reshape_like",
        {"x": X, "ref_tensors": [normal(6), normal(5)]},
        begins=[np.int32(0)] * 2,
        ends=[np.int32(1)] * 2,
        end_masks=[False] * 2,
    )
    yield from of("expand_dims", {"x": X}, axes=np.int32([1]))
    yield from of("squeeze", {"x": normal(2, 1, 5)})
    yield from of("flatten2d", {"x": X})
    yield from of("shape", {"x": X})
    yield from of("transpose", {"x": X}, perm=np.int32([2, 0, 1]))
    yield from of("depth_to_space", {"x": normal(1, 4, 3, 2)}, block_size=np.int32(2))
    yield from of("space_to_depth", {"x": normal(1, 3, 4, 2)}, block_size=np.int32(2))
    yield from of("pixel_shuffle", {"x": normal(1, 4, 3, 2)}, upscale_factor=np.int32(2))
    yield from of("pixel_unshuffle", {"x": normal(1, 3, 4, 2)}, downscale_factor=np.uint32(2))
    blocks = {"block_shape": np.int32([2, 2])}
    yield from of("space_to_batch", {"x": normal(1, 3, 4, 5)}, **blocks, paddings=np.int32([[0, 0], [0, 1]]))
    yield from of("batch_to_space", {"x": normal(4, 3, 2, 5)}, **blocks, crops=np.int32([[0, 1], [1, 0]]))
    yield from of("concat", {"values": [X, normal(2, 3, 4)]}, axis=np.int32(-1))
    yield from of("stack", {"values": [X, X + 1]}, axis=np.int32(1))
    yield from of("split", {"x": X}, split_sizes=np.int32([2, 3]), axis=np.int32(2))
    yield from of("tile", {"x": X}, reps=np.int32([2, 1, 3]))
    yield from of("fill", {"shape": np.int32([2, 3])}, value=0.3, outputs=[("float", (2, 3))])
    yield from of("fill_like", {"ref_tensor": INTS}, value=0.3)
    yield from of("range_1d", {"end": np.float32(2.5)}, start=0.5, step=0.75, outputs=[("float", (None,))])
    yield from of("range_1d", {"end": np.int32(7)}, start=np.int32(1), step=np.int32(2), outputs=[("int32", (None,))])
    yield from of("band_part", {"x": X}, lower=np.int32(1), upper=np.int32(0))
    yield from of(
        "one_hot", {"indices": np.int32([0, 2, 1])}, one_hot_vector_size=np.int32(4), on_value=0.3, off_value=0.1
    )
    yield from of("pad", {"x": X}, pad=np.int32([1, 0, 0, 2]), constant_val=0.3)
    yield from of("crop", {"x": IMAGE}, crop_height=np.int32([1, 1]), crop_width=np.int32([0, 1]))
    # Slices and places.
    cut = {"begin": np.int32([0, 1, -4]), "end": np.int32([2, 3, 5]), "stride": np.int32([1, 2, 2])}
    yield from of("slice_by_index", {"x": X}, **cut)
    yield from of("slice_update", {"x": X, "update": normal(2, 1, 2)}, **cut)
    yield from of(
        "slice_by_size",
        {"x": X, "begin": np.int32([0, 1, 2])},
        size=np.int32([2, 1, -1]),
        outputs=[("float", (2, 1, None))],
    )
    yield from of("sliding_windows", {"x": X}, axis=np.int32(2), size=np.int32(3))
    yield from of("reverse", {"x": X}, axes=np.int32([2]))
    yield from of(
        "reverse_sequence", {"x": X, "lengths": np.int32([1, 3])}, batch_axis=np.int32(0), seq_axis=np.int32(1)
    )
    places = np.int32([2, 0])
    yield from of("gather", {"x": X, "indices": places}, axis=np.int32(1))
    yield from of("gather", {"indices": places}, x=normal(4, 3))
    yield from of("gather_along_axis", {"x": V, "indices": places})
    yield from of("gather_nd", {"x": normal(4, 3), "indices": np.int32([[2, 0], [1, 1]])})
    for mode in ("add", "update", "mul", "max"):
        yield from of("scatter", {"data": normal(4, 3), "indices": places, "updates": normal(2, 3)}, mode=mode)
    yield from of("scatter_along_axis", {"data": V, "indices": places, "updates": normal(2)})
    yield from of("scatter_nd", {"data": normal(4, 3), "indices": np.int32([[2, 0], [1, 1]]), "updates": normal(2)})
    # Recurrent networks: x [S, B, I], two directions of H = 4.
    steps = {"x": normal(3, 2, 5, seed=11), "initial_h": normal(2, 4, seed=12)}
    cell = {"initial_c": normal(2, 4, seed=13)}

    def gates(count: int, suffix: str = "", seed: int = 14) -> dict[str, Array]:
        shapes = {"weight_ih": (4 * count, 5), "weight_hh": (4 * count, 4), "bias": (4 * count,)}
        return {f"{name}{suffix}": normal(*shape, seed=seed, scale=0.5) for name, shape in shapes.items()}

    yield from of("lstm", {**steps, **cell}, **gates(4), output_sequence=True, peephole=normal(12), clip=1.5)
    both = {name: np.concatenate([x, x], -1) for name, x in {"initial_h": steps["initial_h"], **cell}.items()}
    sides = {**gates(4), **gates(4, "_back", 15), "direction": "bidirectional"}
    yield from of("lstm", {"x": steps["x"], **both}, **sides, output_sequence=True)
    yield from of("gru", steps, **gates(3), output_sequence=True)
    yield from of("gru", steps, "8", **gates(3), input_bias=normal(12, scale=0.5), reset_after=True)
    yield from of("rnn", steps, **gates(1), direction="reverse")
    # Images.
    yield from of(
        "upsample_nearest_neighbor", {"x": IMAGE}, scale_factor_height=np.int32(2), scale_factor_width=np.int32(3)
    )
    yield from of("upsample_bilinear", {"x": IMAGE}, scale_factor_height=np.int32(2), align_corners=False)
    target = {"target_size_height": np.int32(7), "target_size_width": np.int32(3)}
    yield from of("resize_bilinear resize_nearest_neighbor", {"x": IMAGE}, **target)
    for mode in ("LINEAR", "NEAREST_NEIGHBOR"):
        yield from of("resize", {"x": X}, shape=np.int32([4, 7]), resized_dims=np.uint32(2), interpolation_mode=mode)
    box = np.float32([[0.5, 0.25, 3.25, 2.75]])
    cropped = {"target_height": np.int32(3), "target_width": np.int32(2)}
    yield from of("crop_resize", {"x": IMAGE}, "5 6", roi=box.reshape(1, 1, 4, 1, 1), **cropped)
    yield from of("crop_resize", {"x": IMAGE, "boxes": np.repeat(box, 2, 0)}, "7", **cropped)
    how = {"padding_value": 0.5, "sampling_mode": "bilinear", "padding_mode": "constant", "align_corners": True}
    normalized = "normalized_minus_one_to_one"
    yield from of(
        "affine",
        {"x": IMAGE, "transform_matrix": np.float32([[0.75, 0.25, 0.125, -0.25, 0.5, 0.25]])},
        **how,
        coordinates_mode=normalized,
        output_height=np.int32(3),
        output_width=np.int32(4),
    )
    coordinates = unit(2, 3, 6, 2, seed=16)
    for padding in ("constant", "border", "reflection", "symmetric"):
        settings = {**how, "padding_mode": padding, "coordinates_mode": normalized}
        yield from of("resample", {"x": IMAGE, "coordinates": coordinates}, "6 7", **settings)
    settings = {**how, "coordinates_mode": "unnormalized", "sampling_mode": "nearest"}
    yield from of("resample", {"x": IMAGE, "coordinates": whole(2, 3, 6, 2, low=-1, high=6)}, **settings)
    # Boxes.
    boxes = np.concatenate([positive(2, 6, 2), positive(2, 6, 2, seed=17)], -1) * 2
    found = {"iou_threshold": 0.25, "max_boxes": np.int32(3), "per_class_suppression": False}
    scores = positive(2, 6, 3)
    yield from of("non_maximum_suppression", {"boxes": boxes, "scores": scores}, "5", **found, score_threshold=0.5)
    last = {"boxes": boxes.swapaxes(1, 2), "scores": scores.swapaxes(1, 2)}
    yield from of("non_maximum_suppression", last, "7", **found)
    # Numbers of few bits.
    scales = {"scale": np.float32([0.25, 0.5, 0.75]), "axis": np.int32(1)}
    yield from of("quantize", {"input": X * 8}, **scales, output_dtype="int8", zero_point=np.int8([1, 2, 3]))
    codes = whole(2, 3, 5).astype(np.int8)
    yield from of("dequantize", {"input": codes}, **scales, zero_point=np.int8([1, 2, 3]))


#: Single precision only, in the operation sets of these numbers.
_SINGLE = {"lstm": "5", "gru": "5", "rnn": "5"}


def _expanded() -> Iterator[Example]:
    for kind, inputs, parameters, opsets in _made():
        constants = {name: value for name, value in parameters.items() if name != "outputs"}
        outputs = parameters.get("outputs")
        own = {entry.since for _, entry in OPERATIONS.versions(kind)}
        floats = [np.asarray(x).dtype.kind == "f" for x in (*_listed(inputs), *_listed(constants))]
        for opset in OPSETS:
            if opset[-1] in opsets.split() if opsets else opset in own:
                for half in (False, True) if any(floats) and opset[-1] not in _SINGLE.get(kind, "") else (False,):
                    yield Example(kind, inputs, constants, opset, half, _types(outputs, half))


def _types(outputs: Any, half: bool) -> Any:
    """Return types of results, where "float" stands for the type of the example."""
    return outputs and [
        ("fp16" if half else "fp32", shape) if kind == "float" else (kind, shape) for kind, shape in outputs
    ]


def _listed(given: Mapping[str, Any]) -> list[Any]:
    return [x for value in given.values() for x in (value if isinstance(value, list) else [value])]


EXAMPLES = list(_expanded())
