"""What a custom layer written as a NumPy function costs beyond the bare call of the function.

    python benchmarks/custom.py [--json]

A network of many custom layers in a row and one of a single one, both predicted as users predict: the difference,
divided by the number of layers, is what one layer costs; the bare call is timed beside it, on an array of the same
size. Promised: at most 20 microseconds beyond the bare call.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import refcoreml
from refcoreml import build

LAYERS, REPEATS, LIMIT = 21, 1000, 20.0


def swish(x: Any, beta: float) -> Any:
    return x / (1 + np.exp(-beta * x))


class Swish:
    def __init__(self, parameters: dict[str, Any]) -> None:
        self.beta = parameters["beta"]

    def output_shapes(self, input_shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        return input_shapes

    def evaluate(self, inputs: list[Any]) -> list[Any]:
        return [swish(inputs[0], self.beta)]


def network(layers: int, shape: tuple[int, ...], code: Any) -> refcoreml.Model:
    net = build.Network({"x": shape}, ["y"], exact=True)
    for index in range(layers):
        last = {"outputs": "y"} if index == layers - 1 else {}
        net.add("custom", class_name="Swish", parameters={"beta": 0.5}, **last)
    return net.model(custom_layers={"Swish": code})


def microseconds(*calls: Callable[[], Any]) -> list[float]:
    """Return the least of many runs, the calls in turns: what others do on the machine cannot make a run shorter."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(REPEATS):
        for call, taken in zip(calls, times, strict=True):
            started = time.perf_counter()
            call()
            taken.append(1e6 * (time.perf_counter() - started))
    return [min(taken) for taken in times]


def measured(shape: tuple[int, ...], name: str, code: Any) -> dict[str, Any]:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    many, one = network(LAYERS, shape, code), network(1, shape, code)

    def bare() -> None:
        y = x
        with np.errstate(all="ignore"):
            for _ in range(LAYERS - 1):
                y = swish(y, 0.5)

    whole, single, called = microseconds(lambda: many.predict({"x": x}), lambda: one.predict({"x": x}), bare)
    layer, call = (whole - single) / (LAYERS - 1), called / (LAYERS - 1)
    row = {"shape": shape, "code": name, "layer_us": layer, "bare_call_us": call, "beyond_us": layer - call}
    return {**row, "limit_us": LIMIT, "met": layer - call <= LIMIT}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the cost of a custom layer.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    as_json = parser.parse_args().json
    rows = [
        measured(shape, name, code)
        for shape in ((10,), (16, 28, 28))
        for name, code in (("function", swish), ("class", Swish))
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        size = "x".join(map(str, row["shape"]))
        print(
            f"{size:>9}  {row['code']:<8}  layer {row['layer_us']:6.1f} us  bare call {row['bare_call_us']:6.1f} us  "
            f"beyond it {row['beyond_us']:5.1f} us (allowed {LIMIT:.0f}): {'met' if row['met'] else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
