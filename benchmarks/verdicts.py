"""What a verdict on a whole network costs: ResNet-18 at 224 x 224, converted by coremltools from torch.

    python benchmarks/verdicts.py [--json]

The module has batch normalizations with statistics of their own, which the converter folds into its convolutions. It is
judged by `assert_equivalent`, then what torch computes is judged as if a device had recorded it. Promised: a verdict in
less than 20 seconds on two cores.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

from measuring import THREADS, table  # isort: skip

import coremltools
import numpy as np
import torch
from torch import nn

from refcoreml.model import load
from refcoreml.testing import assert_equivalent
from refcoreml.verdicts import FP32, judge

LIMIT = 20.0
SHAPE = (1, 3, 224, 224)


class Block(nn.Module):
    """Two convolutions with batch normalizations, beside a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.straight = nn.Sequential(
            nn.Conv2d(inputs, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        same = stride == 1 and inputs == width
        shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.shortcut = nn.Identity() if same else shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.straight(x) + self.shortcut(x))


def resnet18() -> nn.Module:
    """Return ResNet-18 with random weights and statistics: 3.6 GFLOP, 11.7 million weights."""
    torch.manual_seed(0)
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    widths = [64, 64, 128, 256, 512]
    blocks = [
        Block(widths[stage] if not index else widths[stage + 1], widths[stage + 1], 2 if stage and not index else 1)
        for stage in range(4)
        for index in range(2)
    ]
    module = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.normal_(part.running_mean, std=0.1)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.1)
    return module.eval()


def converted(module: nn.Module) -> Any:
    """Return coremltools' conversion of the module to an ML Program in single precision."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, torch.zeros(SHAPE))
        return coremltools.convert(
            traced,
            inputs=[coremltools.TensorType("x", SHAPE)],
            outputs=[coremltools.TensorType("y")],
            minimum_deployment_target=coremltools.target.iOS16,
            compute_precision=coremltools.precision.FLOAT32,
        )


def timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what a call returns, its seconds, and those of the processors."""
    wall, processors = time.perf_counter(), time.process_time()
    result = run()
    return result, time.perf_counter() - wall, time.process_time() - processors


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what a verdict on ResNet-18 costs.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    as_json = parser.parse_args().json
    torch.set_num_threads(THREADS)
    module = resnet18()
    model = load(converted(module))
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    with torch.inference_mode():
        recorded = module(torch.from_numpy(x)).numpy()
    rows = []
    _, seconds, processors = timed(lambda: model.predict({"x": x}))
    rows.append({"what": "a prediction", "answer": "", "seconds": seconds, "processors": processors, "allowed": None})
    _, seconds, processors = timed(lambda: assert_equivalent(model, module, {"x": x}))
    rows.append(
        {"what": "assert_equivalent", "answer": "equal", "seconds": seconds, "processors": processors, "allowed": LIMIT}
    )
    verdict, seconds, processors = timed(lambda: judge(model, {"x": x}, {"y": recorded}))
    rows.append(
        {"what": "judge", "answer": verdict.answer, "seconds": seconds, "processors": processors, "allowed": LIMIT}
    )
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        shown = [["", "answer", "seconds", "of processors", "allowed", ""]]
        for row in rows:
            allowed, missed = row["allowed"], row["allowed"] is not None and row["seconds"] > row["allowed"]
            figures = [f"{row[name]:.2f}" for name in ("seconds", "processors")]
            limit = "" if allowed is None else f"{allowed:.0f}"
            shown.append([row["what"], row["answer"], *figures, limit, "MISSED" if missed else ""])
        print(table(shown))
    assert verdict.answer == FP32, verdict


if __name__ == "__main__":
    main()
