"""A transformer encoder and a decoder with a cache, with random weights: as ML Programs and as torch functions.

Each is written twice, side by side, with the same weights: operation by operation as converters write it, and with the
functions of torch that a torch program would call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refcoreml import build
from refcoreml.model import Model

Arrays = dict[str, np.ndarray]
Step = Callable[[int, int], np.ndarray]

LAYERS, WIDTH, HEADS, TOKENS = 6, 384, 6, 128
DECODER_LAYERS, DECODER_WIDTH, DECODER_HEADS, CACHE, VOCABULARY = 12, 768, 12, 512, 8192


def normal(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Weights that keep the size of what they are applied to."""
    return random.normal(0, shape[-1] ** -0.5, shape).astype(np.float32)


def block_weights(random: np.random.Generator, width: int) -> Arrays:
    """Return the weights of attention (query, key and value in one) and of a feed-forward network, of one layer."""
    shapes = {"qkv": (3 * width, width), "out": (width, width), "up": (4 * width, width), "down": (width, 4 * width)}
    found = {name: normal(random, *shape) for name, shape in shapes.items()}
    biases = {f"{name}_bias": 0.1 * random.normal(size=len(w)).astype(np.float32) for name, w in found.items()}
    norms = {f"norm{i}": 1 + 0.1 * random.normal(size=width).astype(np.float32) for i in (1, 2)}
    return {**found, **biases, **norms, "beta": 0.1 * random.normal(size=width).astype(np.float32)}


# ---- The encoder ----


def encoder_weights() -> list[Arrays]:
    """Return the weights of each layer of the encoder: 10.6 million numbers."""
    random = np.random.default_rng(0)
    return [block_weights(random, WIDTH) for _ in range(LAYERS)]


def encoder(weights: list[Arrays], element: str = "fp32") -> Model:
    """Return the encoder as a program of an element type, from x [1, 128, 384] to y of the same shape."""
    program = build.Program({"x": (element, (1, TOKENS, WIDTH))}, opset="CoreML7")
    kind = np.float16 if element == "fp16" else np.float32
    x, size = program["x"], WIDTH // HEADS
    for arrays in weights:
        w = {name: array.astype(kind) for name, array in arrays.items()}
        y = program.add("layer_norm", x=x, axes=[-1], gamma=w["norm1"], beta=w["beta"], epsilon=kind(1e-5))
        y = program.add("linear", x=y, weight=w["qkv"], bias=w["qkv_bias"])
        y = program.add("reshape", x=y, shape=np.array([1, TOKENS, 3, HEADS, size], np.int32))
        y = program.add("transpose", x=y, perm=[2, 0, 3, 1, 4])
        query, key, value = program.add("split", x=y, num_splits=3, axis=0)
        query, key, value = (program.add("squeeze", x=part, axes=[0]) for part in (query, key, value))
        query = program.add("mul", x=query, y=kind(size**-0.5))
        scores = program.add("matmul", x=query, y=key, transpose_y=True)
        y = program.add("matmul", x=program.add("softmax", x=scores, axis=-1), y=value)
        y = program.add("transpose", x=y, perm=[0, 2, 1, 3])
        y = program.add("reshape", x=y, shape=np.array([1, TOKENS, WIDTH], np.int32))
        x = program.add("add", x=x, y=program.add("linear", x=y, weight=w["out"], bias=w["out_bias"]))
        y = program.add("layer_norm", x=x, axes=[-1], gamma=w["norm2"], beta=w["beta"], epsilon=kind(1e-5))
        y = program.add("gelu", x=program.add("linear", x=y, weight=w["up"], bias=w["up_bias"]), mode="EXACT")
        x = program.add("add", x=x, y=program.add("linear", x=y, weight=w["down"], bias=w["down_bias"]))
    program.output(program.add("identity", x=x, name="y"))
    return program.model()


def encoder_products(weights: list[Arrays], x: np.ndarray) -> np.ndarray:
    """Multiply by the weights of the encoder, in their order, and do nothing else: no NumPy program is faster."""
    for w in weights:
        y: np.ndarray = x @ w["qkv"].T
        y = y[..., :WIDTH] @ w["out"].T
        x = (y @ w["up"].T) @ w["down"].T
    return x


def torch_encoder(weights: list[Arrays]) -> Callable[[np.ndarray], np.ndarray]:
    """Return the encoder as a function over torch tensors of float32."""
    import torch
    from torch.nn import functional

    layers = [{name: torch.from_numpy(array) for name, array in arrays.items()} for arrays in weights]

    def run(array: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            x = torch.from_numpy(array)
            for w in layers:
                y = functional.layer_norm(x, [WIDTH], w["norm1"], w["beta"])
                y = functional.linear(y, w["qkv"], w["qkv_bias"]).reshape(1, TOKENS, 3, HEADS, -1)
                y = functional.scaled_dot_product_attention(*y.permute(2, 0, 3, 1, 4))
                y = y.transpose(1, 2).reshape(1, TOKENS, WIDTH)
                x = x + functional.linear(y, w["out"], w["out_bias"])
                y = functional.layer_norm(x, [WIDTH], w["norm2"], w["beta"])
                y = functional.gelu(functional.linear(y, w["up"], w["up_bias"]))
                x = x + functional.linear(y, w["down"], w["down_bias"])
            return x.numpy()

    return run


# ---- The decoder ----


def decoder_weights() -> tuple[list[Arrays], np.ndarray]:
    """Return the weights of each layer of the decoder, and its table of tokens: 91 million numbers of half precision.

    Those of matrices have 16 values, so that 4 bits name one.
    """
    random = np.random.default_rng(0)
    layers = [block_weights(random, DECODER_WIDTH) for _ in range(DECODER_LAYERS)]
    for arrays in layers:
        for name, array in arrays.items():
            values = palettized(array)[1] if array.ndim == 2 else array.astype(np.float16)
            arrays[name] = values.astype(np.float32)
    return layers, random.normal(0, 0.05, (VOCABULARY, DECODER_WIDTH)).astype(np.float16).astype(np.float32)


def palettized(array: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return codes of 4 bits, what they stand for in half precision, and the 16 values, which are evenly spaced."""
    low, high = np.float16(array.min()), np.float16(array.max())
    table = np.linspace(low, high, 16).astype(np.float16)
    codes = np.rint((np.clip(array, low, high) - low) * (15 / (high - low))).astype(np.uint8)
    return codes, table[codes], table


def decoder(layers: list[Arrays], tokens: np.ndarray) -> Model:
    """Return the decoder as a program of half precision, from a token and its position to the scores of the next one.

    Keys and values of all positions are states; weights are palettized, in 4 bits each.
    """
    heads, size, width = DECODER_HEADS, DECODER_WIDTH // DECODER_HEADS, DECODER_WIDTH
    cache = {f"{part}{i}": ("fp16", (1, heads, CACHE, size)) for i in range(len(layers)) for part in ("k", "v")}
    inputs = {"token": ("int32", (1,)), "position": ("int32", (1,))}
    program = build.Program(inputs, states=cache, opset="CoreML8")
    position = program["position"]
    begin = program.add("concat", values=[np.zeros(2, np.int32), position, np.zeros(1, np.int32)], axis=0)
    after = program.add("add", x=position, y=np.int32(1))
    end = program.add("concat", values=[np.array([1, heads], np.int32), after, np.array([size], np.int32)], axis=0)
    seen = program.add("less_equal", x=np.arange(CACHE, dtype=np.int32), y=position)
    mask = program.add("reshape", x=seen, shape=np.array([1, 1, 1, CACHE], np.int32))
    table = tokens.astype(np.float16)
    x = program.add("gather", x=table, indices=program["token"], axis=0)
    x = program.add("reshape", x=x, shape=np.array([1, 1, width], np.int32))
    for i, arrays in enumerate(layers):
        w = {name: array.astype(np.float16) for name, array in arrays.items() if array.ndim == 1}
        matrices = {name: _lookup(program, array) for name, array in arrays.items() if array.ndim == 2}
        y = program.add("layer_norm", x=x, axes=[-1], gamma=w["norm1"], beta=w["beta"], epsilon=np.float16(1e-5))
        y = program.add("linear", x=y, weight=matrices["qkv"], bias=w["qkv_bias"])
        y = program.add("reshape", x=y, shape=np.array([1, 3, heads, size], np.int32))
        y = program.add("transpose", x=y, perm=[1, 2, 0, 3])
        query, *parts = program.add("split", x=y, num_splits=3, axis=0)
        kept = []
        for name, part in zip((f"k{i}", f"v{i}"), parts, strict=True):
            old = program.add("read_state", input=program[name])
            new = program.add("slice_update", x=old, update=part, begin=begin, end=end)
            program.add("write_state", input=program[name], data=new)
            kept.append(program.add("read_state", input=program[name]))
        y = program.add("scaled_dot_product_attention", query=query, key=kept[0], value=kept[1], attn_mask=mask)
        y = program.add("transpose", x=y, perm=[0, 2, 1, 3])
        y = program.add("reshape", x=y, shape=np.array([1, 1, width], np.int32))
        x = program.add("add", x=x, y=program.add("linear", x=y, weight=matrices["out"], bias=w["out_bias"]))
        y = program.add("layer_norm", x=x, axes=[-1], gamma=w["norm2"], beta=w["beta"], epsilon=np.float16(1e-5))
        y = program.add("linear", x=y, weight=matrices["up"], bias=w["up_bias"])
        y = program.add("gelu", x=y, mode="TANH_APPROXIMATION")
        x = program.add("add", x=x, y=program.add("linear", x=y, weight=matrices["down"], bias=w["down_bias"]))
    program.output(program.add("linear", x=x, weight=table, name="scores"))
    return program.model()


def _lookup(program: build.Program, array: np.ndarray) -> Any:
    codes, _, table = palettized(array)
    lut = table.reshape(1, 1, 16, 1)
    return program.add("constexpr_lut_to_dense", indices=build.Known(codes, "uint4"), lut=lut)


def torch_decoder(layers: list[Arrays], tokens: np.ndarray) -> Step:
    """Return the decoder as a function over torch tensors of float32, which keeps its cache."""
    import torch
    from torch.nn import functional

    listed = [{name: torch.from_numpy(array) for name, array in arrays.items()} for arrays in layers]
    table, size = torch.from_numpy(tokens), DECODER_WIDTH // DECODER_HEADS
    cache = torch.zeros(len(layers), 2, DECODER_HEADS, CACHE, size)

    def run(token: int, position: int) -> np.ndarray:
        with torch.inference_mode():
            x = table[token].reshape(1, DECODER_WIDTH)
            mask = (torch.arange(CACHE) <= position).reshape(1, 1, CACHE)
            for w, kept in zip(listed, cache, strict=True):
                y = functional.layer_norm(x, [DECODER_WIDTH], w["norm1"], w["beta"])
                y = functional.linear(y, w["qkv"], w["qkv_bias"]).reshape(3, DECODER_HEADS, size)
                kept[:, :, position] = y[1:]
                y = functional.scaled_dot_product_attention(y[0, :, None], kept[0], kept[1], mask)
                x = x + functional.linear(y.reshape(1, DECODER_WIDTH), w["out"], w["out_bias"])
                y = functional.layer_norm(x, [DECODER_WIDTH], w["norm2"], w["beta"])
                y = functional.gelu(functional.linear(y, w["up"], w["up_bias"]), approximate="tanh")
                x = x + functional.linear(y, w["down"], w["down_bias"])
            return functional.linear(x, table).numpy()

    return run
