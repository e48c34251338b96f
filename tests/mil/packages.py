"""Packages as converters write them, made without one: compressed weights, states, loops over lists, functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from refcoreml import build
from refcoreml.build.program import Known, functions
from refcoreml.spec.mil_types import DATA_TYPES, DeclaredList, DeclaredTensor
from refcoreml.types import Array


def floats(*shape: int, dtype: Any = np.float32) -> Array:
    return ((np.arange(np.prod(shape)) % 7 - 3) / 4).astype(dtype).reshape(shape)


def codes(high: int, *shape: int) -> Array:
    return (np.arange(np.prod(shape)) * 5 % high).reshape(shape)


def classifier(path: Path) -> None:
    """Convolutions in half precision, with a weight in each form that CoreML8 has."""
    net = build.Program({"x": ("fp16", (1, 3, 9, 10))}, opset="CoreML8")
    half = np.float16
    blocks = net.add(
        "constexpr_blockwise_shift_scale",
        data=Known(codes(16, 4, 6, 3, 2), "uint4"),
        scale=floats(4, 2, 1, 1, dtype=half),
        offset=Known(codes(16, 4, 2, 1, 1), "uint4"),
    )
    tables = net.add(
        "constexpr_lut_to_dense",
        indices=Known(codes(8, 8, 4), "uint3"),
        lut=floats(2, 1, 8, 1, dtype=half),
    )
    mask = (codes(3, 5, 8) > 0).astype(np.uint8)
    mask, numbers = net.add(
        "constexpr_lut_to_sparse",
        outputs=[("uint1", (5, 8)), ("fp16", (int(mask.sum()),))],
        indices_mask=Known(mask, "uint1"),
        indices_nonzero_data=Known(codes(4, int(mask.sum())), "uint2"),
        lut=floats(1, 1, 4, 1, dtype=half),
    )
    sparse = net.add("constexpr_sparse_to_dense", nonzero_data=numbers, mask=mask)
    y = net.add("conv", x=net["x"], weight=floats(6, 3, 3, 3, dtype=half), pad_type="same", strides=[1, 2])
    y = net.add("batch_norm", x=y, mean=floats(6, dtype=half), variance=floats(6, dtype=half) ** 2, epsilon=half(0.01))
    y = net.add("relu", x=y)
    y = net.add("conv", x=y, weight=blocks, bias=floats(4, dtype=half), pad_type="valid")
    y = net.add("max_pool", x=y, kernel_sizes=[2, 2], strides=[2, 1], pad_type="valid")
    y = net.add("reduce_mean", x=y, axes=[2, 3], keep_dims=False)
    y = net.add("linear", x=y, weight=tables, bias=floats(8, dtype=half))
    y = net.add("linear", x=y, weight=sparse)
    y = net.add("cast", x=net.add("softmax", x=y, axis=-1), dtype="fp32")
    net.output(*net.add("classify", probabilities=y, classes=["a", "b", "c", "d", "e"]))
    net.save(path)


def older(path: Path) -> None:
    """The forms of CoreML6, whose parameters are attributes; an input of open length."""
    net = build.Program({"x": ("fp32", (None, 6))}, opset="CoreML6")
    affine = net.add(
        "constexpr_affine_dequantize",
        quantized_data=codes(256, 7, 6).astype(np.uint8),
        zero_point=np.uint8(8),
        scale=floats(7) + 1,
        axis=0,
    )
    table = net.add(
        "constexpr_lut_to_dense",
        indices=codes(256, 5 * 7 * 2 // 8 + 1).astype(np.uint8),
        lut=floats(4),
        shape=np.array([5, 7], np.uint32),
    )
    sparse = net.add(
        "constexpr_sparse_to_dense",
        nonzero_data=floats(10, dtype=np.float16),
        mask=np.array([0b10110101, 0b1011101], np.uint8),
        shape=np.array([3, 5], np.uint32),
    )
    rows = {length: [("fp32", (None, length))] for length in (3, 5, 7)}
    y = net.add("linear", x=net["x"], weight=affine, bias=floats(7), outputs=rows[7])
    scale = {"gamma": floats(7) + 1, "beta": floats(7), "epsilon": np.float32(1e-4)}
    y = net.add("layer_norm", x=y, axes=[-1], **scale, outputs=rows[7])
    y = net.add("gelu", x=y, mode="EXACT", outputs=rows[7])
    y = net.add("linear", x=y, weight=table, outputs=rows[5])
    y = net.add("cast", x=y, dtype="fp16", outputs=[("fp16", (None, 5))])
    y = net.add("matmul", x=y, y=sparse, transpose_y=True, outputs=[("fp16", (None, 3))])
    net.output(net.add("cast", x=y, dtype="fp32", name="y", outputs=rows[3]))
    net.save(path)


def decoder(path: Path) -> None:
    """A token after those whose keys and values are states."""
    kept = {name: ("fp16", (1, 3, 8, 4)) for name in ("keys", "values")}
    net = build.Program({"token": ("int32", (1, 1)), "at": ("int32", (1,))}, states=kept, opset="CoreML8")
    half = np.float16
    table = net.constant(floats(9, 12, dtype=half), "table")
    x = net.add("gather", x=table, indices=net["token"], axis=0)
    heads = {}
    for name in ("queries", "keys", "values"):
        y = net.add("linear", x=x, weight=floats(12, 12, dtype=half))
        y = net.add("reshape", x=y, shape=[1, 1, 3, 4])
        heads[name] = net.add("transpose", x=y, perm=[0, 2, 1, 3])
    end = net.add("add", x=net["at"], y=np.int32([1]))
    zero, rest = np.int32([0]), (np.int32([3]), np.int32([4]))
    begin = net.add("concat", values=[zero, zero, net["at"], zero], axis=0, interleave=False)
    end = net.add("concat", values=[np.int32([1]), rest[0], end, rest[1]], axis=0, interleave=False)
    seen = {}
    for name in ("keys", "values"):
        before = net.add("read_state", input=net[name])
        seen[name] = net.add("slice_update", x=before, update=heads[name], begin=begin, end=end, outputs=[kept[name]])
        net.add("write_state", input=net[name], data=seen[name])
    mask = net.add("less_equal", x=np.arange(8, dtype=np.int32), y=net["at"])
    mask = net.add("expand_dims", x=mask, axes=[0])
    y = net.add(
        "scaled_dot_product_attention",
        query=heads["queries"],
        key=seen["keys"],
        value=seen["values"],
        attn_mask=net.add("expand_dims", x=mask, axes=[0, 1]),
    )
    y = net.add("reshape", x=net.add("transpose", x=y, perm=[0, 2, 1, 3]), shape=[1, 1, 12])
    net.output(net.add("linear", x=y, weight=table, name="logits"))
    net.save(path)


def recurrent(path: Path) -> None:
    """An LSTM, a GRU, a loop that writes a list, and a choice."""
    net = build.Program({"x": (5, 2, 3), "h": (2, 4)}, opset="CoreML5")
    size = {"lstm": 16, "gru": 12}
    both = floats(2, 8)
    y, _, _ = net.add(
        "lstm", x=net["x"], initial_h=both, initial_c=both, direction="bidirectional", output_sequence=True,
        weight_ih=floats(16, 3), weight_hh=floats(16, 4), bias=floats(16),
        weight_ih_back=floats(16, 3), weight_hh_back=floats(16, 4), bias_back=floats(16),
    )  # fmt: skip
    _, last = net.add(
        "gru", x=y, initial_h=net["h"], output_sequence=False,
        weight_ih=floats(size["gru"], 8), weight_hh=floats(size["gru"], 4), bias=floats(size["gru"]),
    )  # fmt: skip
    listed = DeclaredList(DeclaredTensor(DATA_TYPES["fp32"], (2, 4)), 1)
    made = net.add("make_list", init_length=np.int32(3), elem_shape=np.int32([2, 4]), dtype="fp32", outputs=[listed])

    def goes_on(index: Any, values: Any, h: Any) -> Any:
        return net.add("less", x=index, y=np.int32(3))

    def body(index: Any, values: Any, h: Any) -> Any:
        h = net.add("tanh", x=net.add("linear", x=h, weight=floats(4, 4)))
        values = net.add("list_write", ls=values, index=index, value=h, outputs=[listed])
        return [net.add("add", x=index, y=np.int32(1)), values, h]

    _, values, h = net.add("while_loop", loop_vars=[np.int32(0), made, last], blocks=[goes_on, body])
    gathered = net.add("list_gather", ls=values, indices=np.int32([2, 0]), outputs=[("fp32", (2, 2, 4))])
    total = net.add("reduce_sum", x=gathered, keep_dims=False)
    above = net.add("greater", x=total, y=np.float32(0))
    chosen = net.add(
        "cond", pred=above, blocks=[lambda: net.add("relu", x=h), lambda: net.add("square", x=h)], name="y"
    )
    net.output(chosen, net.add("identity", x=gathered, name="steps"))
    net.save(path)


def tasks(path: Path) -> None:
    """Two functions that share a matrix, each with one of its own."""
    programs = {}
    for index, task in enumerate(("first", "second")):
        net = build.Program({"x": (2, 5)}, opset="CoreML8")
        y = net.add("linear", x=net["x"], weight=floats(11, 5), bias=floats(11))
        y = net.add("linear", x=net.add("silu", x=y), weight=floats(4 + index, 11) * (index + 1))
        net.output(net.add("softmax", x=y, axis=-1, name="y"))
        programs[task] = net
    functions(programs, default="second", path=path)


PACKAGES: dict[str, Callable[[Path], None]] = {
    "classifier": classifier,
    "older": older,
    "decoder": decoder,
    "recurrent": recurrent,
    "tasks": tasks,
}
