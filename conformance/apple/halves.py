"""How tests run that use half precision and judge single precision.

Some tests run operations on half-precision tensors in programs of their single-precision variant, and allow 1e-4. They
draw random numbers, compute what they expect, and round what the program is given to half precision; or they expect
results of single precision of operations whose results the program declares in half. No runtime passes such a test,
whichever way it computes: it is given other numbers than those of which the results are expected. So in these tests

* random numbers are multiples of 1/256, which half precision holds, so that both are of the same numbers;
* one unit of half precision is allowed, beside what the test allows, if an operation's results are declared in it.

All other tests run as they are written.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np

from refcoreml.spec.mil_types import DATA_TYPES

#: Every multiple below 8 is a number of half precision, and so are sums and products by powers of two.
STEP = 1 / 256
#: A unit of half precision, relative to a number: half of it for the result, half for what is expected.
UNIT = float(np.finfo(np.float16).eps)
#: Where operations' tests compare outputs with what they expect.
COMPARING = "coremltools.converters.mil.mil.ops.tests.testing_utils"

_FLOAT16 = DATA_TYPES["fp16"].number

_SINGLE = re.compile(r"'mlprogram', (precision=)?'fp32'")
_HALF = re.compile(r"float16|(?<!precision=')\bfp16\b|=fp16")


def is_about(test: str) -> bool:
    """Return whether a test, by its name, has half-precision tensors in a program of its single-precision variant."""
    return bool(_SINGLE.search(test) and _HALF.search(test))


@contextmanager
def judged(test: str) -> Iterator[None]:
    """Let a test that is about them, and no other, draw and compare as this module says."""
    with ExitStack() as stack:
        if is_about(test):
            stack.enter_context(exact_draws())
            stack.enter_context(allowed_unit())
        yield


@contextmanager
def exact_draws() -> Iterator[None]:
    """Let NumPy and PyTorch draw multiples of `STEP` only."""
    sources: list[tuple[Any, tuple[str, ...]]] = [(np.random, ("rand", "randn", "normal", "uniform"))]
    torch = sys.modules.get("torch")
    if torch is not None:
        sources.append((torch, ("rand", "randn")))
        sources.append((torch.Tensor, ("normal_", "uniform_")))  # weights of modules are drawn so
    with ExitStack() as stack:
        for source, names in sources:
            for name in names:
                stack.enter_context(mock.patch.object(source, name, _stepped(getattr(source, name))))
        yield


def _stepped(draw: Callable[..., Any]) -> Callable[..., Any]:
    def stepped(*arguments: Any, **options: Any) -> Any:
        drawn = draw(*arguments, **options)
        if isinstance(drawn, (float, np.ndarray)):
            return np.round(drawn / STEP) * STEP
        with sys.modules["torch"].no_grad():
            return drawn.div_(STEP).round_().mul_(STEP) if drawn.is_floating_point() else drawn

    return stepped


@contextmanager
def allowed_unit() -> Iterator[None]:
    """Allow `UNIT` of what is expected of programs in which an operation has results in half precision."""
    comparing = importlib.import_module(COMPARING)
    compare = comparing.compare_backend

    def compare_backend(mlmodel: Any, *arguments: Any, **options: Any) -> Any:
        if has_half_results(mlmodel.get_spec().mlProgram):
            options["rtol"] = max(options["rtol"], UNIT)
        return compare(mlmodel, *arguments, **options)

    with mock.patch.object(comparing, "compare_backend", compare_backend):
        yield


def has_half_results(program: Any) -> bool:
    """Return whether an operation of a program, but for those that make constants, has results in half precision."""
    blocks = [block for main in program.functions.values() for block in main.block_specializations.values()]
    return any(
        output.type.tensorType.dataType == _FLOAT16
        for block in blocks
        for operation in block.operations
        if not operation.type.startswith("const")
        for output in operation.outputs
    )
