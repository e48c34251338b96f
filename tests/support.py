"""What many tests need: one layer, run on its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refcoreml import build
from refcoreml.execution.arithmetic import arithmetic
from refcoreml.neuralnetwork.network import Network


def one_layer(
    kind: str, inputs: int = 1, outputs: int = 1, *, rank5: bool = True, precision: str = "float32", **fields: Any
) -> Network:
    """A network of one layer with blobs ``x0, x1, ...`` and ``y0, y1, ...``."""
    given, made = [f"x{i}" for i in range(inputs)], [f"y{i}" for i in range(outputs)]
    net = build.Network({name: () for name in given}, made)
    net.add(kind, inputs=given, outputs=made, **fields)
    return Network(net.layers, inputs=given, outputs=made, rank5=rank5, arithmetic=arithmetic(precision))


def run_layer(kind: str, *arrays: Any, outputs: int = 1, static: bool = True, **options: Any) -> Any:
    """Runs a network of one layer on blobs and returns its output (a list of them for several).

    Also checks what holds for every layer: inputs stay as they were, static shapes agree with the run, the type is
    kept, and an Op's in-place or fused form gives the same bits.
    """
    network = one_layer(kind, len(arrays), outputs, **options)
    dtype = network.arithmetic.dtype
    blobs = {f"x{i}": np.array(a, dtype) for i, a in enumerate(arrays)}
    before = {name: blob.copy() for name, blob in blobs.items()}
    results = network.run(blobs)
    for name, blob in blobs.items():
        np.testing.assert_array_equal(blob, before[name], err_msg=f"the layer wrote to its input {name}")
    shapes = network.shapes({name: blob.shape for name, blob in blobs.items()})
    for name, result in results.items():
        assert result.dtype == dtype, f"{name} is {result.dtype}, the arithmetic is {dtype}"
        if static or name in shapes:
            assert shapes.get(name) == result.shape, f"static shape {shapes.get(name)}, ran to {result.shape}"
    op = network.steps[0].op
    if op.inplace is not None and len(arrays) <= 2:
        for index in range(len(arrays)):  # of two inputs either may be overwritten
            block, *others = (_channels_first(blob.copy()) for blob in _rotated(list(blobs.values()), index))
            if any(other.shape != block.shape for other in others):
                break
            op.inplace(block, slice(0, len(block)), *others)
            np.testing.assert_array_equal(block, _channels_first(results["y0"]), err_msg="the in-place form differs")
            half = len(block) // 2
            if half:
                block, *others = (_channels_first(blob.copy())[half:] for blob in _rotated(list(blobs.values()), index))
                op.inplace(block, slice(half, half + len(block)), *others)
                expected = _channels_first(results["y0"])[half:]
                np.testing.assert_array_equal(block, expected, err_msg="in-place on a block differs")
    listed = [results[f"y{i}"] for i in range(outputs)]
    return listed[0] if outputs == 1 else listed


def _rotated(items: list[Any], count: int) -> list[Any]:
    return items[count:] + items[:count]


def _channels_first(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.moveaxis(x, -3 if x.ndim >= 3 else -1, 0)


def assert_identical(found: Any, expected: Any) -> None:
    """Hold an array against another one, type and shape included, as ``strict`` does in newer versions of NumPy."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)


def integers(shape: Sequence[int], seed: int = 0, low: int = -4, high: int = 5) -> np.ndarray[Any, Any]:
    """Small integers as float64: sums of their products are exact in every order and type."""
    return np.random.default_rng(seed).integers(low, high, tuple(shape)).astype(np.float64)


def shared_model(name: str) -> Path:
    """A file of the collection of real models, such as ``nn/gesture_lstm_turi.mlmodel``; skips the test without it.

    The collection is too large for this repository. It is looked for in the folder that the environment variable
    ``REFCOREML_MODELS`` names, else in ``shared/models`` beside the repository.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "models"
    path = Path(os.environ.get("REFCOREML_MODELS") or beside) / name
    if not path.exists():
        pytest.skip(f"needs the real model {name}: set REFCOREML_MODELS to the folder of the collection")
    return path
