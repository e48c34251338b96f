"""Honest computations of random ML Programs stay within their bounds: three implementations, in three profiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from oracle.operations import normal, positive, program_of, run_bounds
from oracle.test_operations import assert_within

from refcoreml.build.program import Program as Builder
from refcoreml.build.program import Result
from refcoreml.mil.precision import PRECISIONS, Precision
from refcoreml.types import Array, Form

SHAPE = (2, 3, 5)
SMOOTH = ("relu", "sigmoid", "tanh", "silu", "gelu", "softplus", "erf", "abs", "sin")


@dataclass(frozen=True)
class Rounded(Precision):
    """An implementation without errors of its own: exact results, each rounded once to its declared type."""

    def form(self, declared: np.dtype[Any]) -> Form | None:
        def rounded(x: Array, /, *, out: Array | None = None) -> Array:
            y = np.asarray(x).astype(declared).astype(np.float64)
            if out is None:
                return y
            out[...] = y
            return out

        return rounded if declared.kind == "f" else None


#: Single-precision sums; correctly rounded results.
IMPLEMENTATIONS = {
    "declared": PRECISIONS["declared"],
    "rounded": Rounded("declared", PRECISIONS["float64"].held, True),
}


class Chain:
    """A random program whose values are all of one shape, some of half precision."""

    def __init__(self, seed: int, length: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.builder = Builder({"x": SHAPE, "h": ("fp16", SHAPE)}, opset="CoreML8")
        self.values = [(self.builder["x"], False), (self.builder["h"], True)]
        for _ in range(length):
            x, half = self.values[-1] if self.rng.random() < 0.7 else self.pick()
            self.values.append((self.step(x, half), half))
            if self.rng.random() < 0.25:
                self.values.append(self.cast(*self.values[-1]))

    def pick(self) -> tuple[Result, bool]:
        return self.values[self.rng.integers(len(self.values))]

    def add(self, kind: str, half: bool, **parameters: Any) -> Any:
        dtype = np.float16 if half else np.float32
        given = {
            name: value.astype(dtype)
            if isinstance(value, np.ndarray | np.floating) and value.dtype.kind == "f"
            else value
            for name, value in parameters.items()
        }
        return self.builder.add(kind, **given)

    def cast(self, x: Result, half: bool) -> tuple[Result, bool]:
        return self.builder.add("cast", x=x, dtype="fp32" if half else "fp16"), not half

    def other(self, half: bool) -> Result:
        """Return a value of a type."""
        x, own = self.pick()
        return x if own == half else self.cast(x, own)[0]

    def number(self, low: float = 0.25, high: float = 1.5) -> Any:
        return np.float32([self.rng.uniform(low, high)])

    def step(self, x: Result, half: bool) -> Result:
        """Add an operation, or a few."""
        weights = normal(5, 5, seed=int(self.rng.integers(1000)), scale=0.5)

        def op(kind: str, **parameters: Any) -> Any:
            return self.add(kind, half, **{"x": x, **parameters})

        choices: list[Callable[[], Result]] = [
            *(lambda kind=kind: op(kind) for kind in SMOOTH),
            lambda: op("square", x=op("tanh")),
            lambda: op("exp", x=op("softsign")),
            lambda: op("log", x=op("add", x=op("abs"), y=self.number())),
            lambda: op("sqrt", x=op("add", x=op("square", x=op("tanh")), y=self.number())),
            *(lambda kind=kind: op(kind, y=self.other(half)) for kind in ("add", "sub", "mul", "maximum")),
            lambda: op("real_div", y=op("add", x=op("abs", x=self.other(half)), y=self.number())),
            lambda: op("linear", weight=weights, bias=normal(5)),
            lambda: op("matmul", y=weights),
            lambda: op("softmax", axis=np.int32(1)),
            lambda: op("layer_norm", axes=np.int32([-1]), gamma=positive(5), beta=normal(5)),
            lambda: op("cumsum", axis=np.int32(2)),
            lambda: op("add", y=op("reduce_mean", axes=np.int32([1]), keep_dims=True)),
            lambda: op("sub", y=op("reduce_max", axes=np.int32([0, 2]), keep_dims=True)),
            lambda: op(
                "mul",
                y=op("rsqrt", x=op("reduce_sum_square", axes=np.int32([2]), keep_dims=True), epsilon=self.number()[0]),
            ),
            lambda: op("transpose", x=op("transpose", perm=np.int32([0, 2, 1])), perm=np.int32([0, 2, 1])),
            lambda: self.builder.add(
                "concat",
                values=list(op("split", split_sizes=np.int32([2, 3]), axis=np.int32(2)))[::-1],
                axis=np.int32(2),
            ),
            lambda: self.builder.add("scaled_dot_product_attention", query=x, key=self.other(half), value=x),
            lambda: op("clip", alpha=np.float32(-0.5), beta=np.float32(1.25)),
            lambda: self.builder.add(
                "select", cond=op("greater", x=self.other(half), y=op("mul", y=self.number())), a=x, b=self.other(half)
            ),
        ]
        return choices[self.rng.integers(len(choices))]()


@pytest.mark.parametrize("seed", range(12))
def test_honest_programs_stay_within_their_bounds(seed: int) -> None:
    chain = Chain(seed, 9)
    results = [value for value, _ in chain.values[2:]]
    inputs = {"x": normal(*SHAPE, seed=seed), "h": normal(*SHAPE, seed=seed + 100).astype(np.float16)}
    found = run_bounds(chain.builder, results, inputs)
    for precision in IMPLEMENTATIONS.values():
        program = program_of(chain.builder, *results, precision=precision)
        made = program.run({name: precision.hold(x) for name, x in inputs.items()})
        for result in results:
            assert_within(made[result.name], found[result.name])
    assert np.isfinite([bound.radius.max() for bound in found.values()]).mean() > 0.5
