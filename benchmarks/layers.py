"""Times single layers of refcoreml against torch, and non-maximum suppression against vectorised NumPy.

Run ``python benchmarks/layers.py --help``. See README.md in this folder for what is measured and how.
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from measuring import THREADS, chosen, in_turns, table  # isort: skip

import numpy as np

from refcoreml import build
from refcoreml.neuralnetwork.network import Network

BOXES, CLASSES, MOST = 10_000, 80, 300
IOU_THRESHOLD = 0.45


@dataclass
class Case:
    """A network of one layer, what it runs on, and the other program that does the same.

    ``other`` returns the first output in the shape that the layer gives it. ``allowed`` is the most that refcoreml may
    take, as a multiple of what the other takes.
    """

    shapes: str
    network: Network
    blobs: dict[str, np.ndarray]
    other_name: str
    other: Callable[[], np.ndarray]
    allowed: float
    memory_allowed: float | None = None

    def run(self) -> np.ndarray:
        """Return the layer's first output."""
        return self.network.run(self.blobs)[self.network.outputs[0]]


def one_layer(kind: str, inputs: int, outputs: int = 1, *, rank5: bool = False, **fields: Any) -> Network:
    """Return a network of one layer, from x0, x1, ... to y0, y1, ..."""
    given, made = [f"x{i}" for i in range(inputs)], [f"y{i}" for i in range(outputs)]
    net = build.Network({name: () for name in given}, made)
    net.add(kind, inputs=given, outputs=made, **fields)
    return Network(net.layers, inputs=given, outputs=made, rank5=rank5)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Random numbers in single precision."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def lstm(steps: int = 128, units: int = 512) -> Case:
    """As many inputs as units, biases, no peepholes, no initial states, the whole sequence as output."""
    import torch

    gates = ("input", "forget", "blockInput", "output")
    scale = np.float32(units**-0.5)
    weights, recursion = (scale * normal(4, units, units, seed=seed) for seed in (1, 2))
    bias = scale * normal(4, units, seed=3)
    parts = {}
    for i, gate in enumerate(gates):
        prefix = gate if gate == "blockInput" else f"{gate}Gate"
        parts |= {
            f"{prefix}WeightMatrix": weights[i],
            f"{prefix}RecursionMatrix": recursion[i],
            f"{prefix}BiasVector": bias[i],
        }
    network = one_layer(
        "uniDirectionalLSTM",
        inputs=1,
        outputs=3,
        rank5=True,
        inputVectorSize=units,
        outputVectorSize=units,
        activations=[{"sigmoid": {}}, {"tanh": {}}, {"tanh": {}}],
        params={"sequenceOutput": True, "hasBiasVectors": True},
        weightParams=parts,
    )
    module = torch.nn.LSTM(units, units)
    # torch has the gates in the same order: input, forget, cell, output.
    for name, value in (("weight_ih_l0", weights), ("weight_hh_l0", recursion), ("bias_ih_l0", bias)):
        getattr(module, name).data = torch.from_numpy(value.reshape(4 * units, *value.shape[2:]))
    module.bias_hh_l0.data.zero_()
    x = normal(steps, 1, units)

    def other() -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(x))[0].numpy()[..., None, None]

    shapes = f"[{steps}, 1, {units}], {units} units"
    return Case(shapes, network, {"x0": x[..., None, None]}, "torch", other, allowed=3.0)


def matmul() -> Case:
    """Keys times values as in attention."""
    import torch

    a, b = normal(4, 12, 256, 64), normal(4, 12, 64, 256, seed=1)
    return Case(
        "[4, 12, 256, 64] x [4, 12, 64, 256]",
        one_layer("batchedMatmul", inputs=2),
        {"x0": a, "x1": b},
        "torch",
        lambda: torch.matmul(torch.from_numpy(a), torch.from_numpy(b)).numpy(),
        allowed=2.5,
    )


def softmax(kind: str, axis: int, *shape: int) -> Case:
    """Along one axis, which is the channels' for the kind ``softmax``."""
    import torch

    fields = {"axis": axis} if kind == "softmaxND" else {}
    x = normal(*shape)
    return Case(
        f"{list(shape)}, axis {axis}",
        one_layer(kind, inputs=1, **fields),
        {"x0": x},
        "torch",
        lambda: torch.softmax(torch.from_numpy(x), axis).numpy(),
        allowed=1.5,
    )


def layer_norm(*shape: int) -> Case:
    """Over the last axis."""
    import torch

    x, gamma, beta = normal(*shape), normal(shape[-1], seed=1), normal(shape[-1], seed=2)
    fields = {"normalizedShape": [shape[-1]], "gamma": gamma, "beta": beta, "eps": 1e-5}
    tensors = [torch.from_numpy(array) for array in (gamma, beta)]
    return Case(
        f"{list(shape)}, last axis",
        one_layer("layerNormalization", inputs=1, **fields),
        {"x0": x},
        "torch",
        lambda: torch.nn.functional.layer_norm(torch.from_numpy(x), [shape[-1]], *tensors).numpy(),
        allowed=1.5,
    )


def suppression(score_threshold: float, most: int) -> Case:
    """Boxes around 500 objects in an image, suppressed class by class."""
    random = np.random.default_rng(0)
    centers = random.random((500, 4))[random.integers(0, 500, BOXES)] + random.normal(0, 0.02, (BOXES, 4))
    boxes = np.concatenate([centers[:, :2], 0.02 + 0.2 * np.abs(centers[:, 2:])], 1).astype(np.float32)
    scores = (random.random((BOXES, CLASSES)) ** 40).astype(np.float32)
    network = one_layer(
        "NonMaximumSuppression",
        inputs=2,
        outputs=4,
        iouThreshold=IOU_THRESHOLD,
        scoreThreshold=score_threshold,
        maxBoxes=most,
        perClassSuppression=True,
    )

    def other() -> np.ndarray:
        kept = batched_nms(boxes, scores.max(1), scores.argmax(1), score_threshold)[:most]
        result = np.zeros((1, most, 4), np.float32)
        result[0, : len(kept)] = boxes[kept]
        return result

    shapes = f"{BOXES} boxes x {CLASSES} classes, scores above {score_threshold:g}, up to {most}"
    # Boxes and scores once over, and 100 numbers a box: a table of all pairs would take 400 MB.
    limit = 4e-6 * BOXES * (4 + CLASSES + 100)
    blobs = {"x0": boxes[None], "x1": scores[None]}
    return Case(shapes, network, blobs, "NumPy", other, allowed=2.0, memory_allowed=limit)


def batched_nms(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, score_threshold: float) -> np.ndarray:
    """As torchvision does it for many boxes: class by class, the best box against all that are left, and so on."""
    passing = np.flatnonzero(scores > score_threshold)
    boxes, scores, classes = boxes[passing], scores[passing], classes[passing]
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    areas = (high - low).prod(1)
    kept: list[int] = []
    for kind in np.unique(classes):
        order = np.flatnonzero(classes == kind)
        order = order[np.argsort(-scores[order], kind="stable")]
        while len(order):
            best, rest = order[0], order[1:]
            kept.append(best)
            extent = np.maximum(0, np.minimum(high[best], high[rest]) - np.maximum(low[best], low[rest]))
            common = extent.prod(1)
            order = rest[common / (areas[best] + areas[rest] - common) <= IOU_THRESHOLD]
    sorted_kept = np.sort(np.array(kept, int))
    return passing[sorted_kept[np.argsort(-scores[sorted_kept], kind="stable")]]


CASES: dict[str, Callable[[], Case]] = {
    "lstm": lstm,
    "matmul": matmul,
    "softmax attention": lambda: softmax("softmaxND", -1, 4, 12, 256, 256),
    "softmax classes": lambda: softmax("softmaxND", -1, 512, 1000),
    "softmax pixels": lambda: softmax("softmax", -3, 1, 21, 513, 513),
    "layer norm": lambda: layer_norm(32, 512, 1024),
    "layer norm small": lambda: layer_norm(8, 256, 768),
    "nms": lambda: suppression(0.05, MOST),
    "nms all": lambda: suppression(0.0, BOXES),
}


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Both programs in turns; returns medians in milliseconds, their ratio, and how far the results differ."""
    runs = {"refcoreml": case.run, case.other_name: case.other}
    ours, theirs = (run() for run in runs.values())
    times = in_turns(runs, rounds)
    medians = {name: median(values) for name, values in times.items()}
    result = {
        "shapes": case.shapes,
        "other": case.other_name,
        "milliseconds": medians["refcoreml"],
        "milliseconds_other": medians[case.other_name],
        "ratio": medians["refcoreml"] / medians[case.other_name],
        "ratio_of_fastest": min(times["refcoreml"]) / min(times[case.other_name]),
        "allowed": case.allowed,
        "difference": float(abs(ours - theirs).max() / abs(theirs).max()),
    }
    if case.memory_allowed is not None:
        tracemalloc.start()
        case.run()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        result |= {"megabytes": peak / 1e6, "megabytes_allowed": case.memory_allowed}
    return result


def exponentials(count: int = 4 * 12 * 256 * 256) -> dict[str, float]:
    """Milliseconds of torch's whole softmax and of NumPy's exp alone, of as many numbers, on one thread each."""
    import torch

    x = normal(count // 256, 256)
    y, threads = np.empty_like(x), torch.get_num_threads()
    torch.set_num_threads(1)
    times: dict[str, list[float]] = {"torch softmax": [], "numpy exp": []}
    for _ in range(30):
        start = time.perf_counter()
        torch.softmax(torch.from_numpy(x), -1)
        times["torch softmax"].append(1e3 * (time.perf_counter() - start))
        start = time.perf_counter()
        np.exp(x, out=y)
        times["numpy exp"].append(1e3 * (time.perf_counter() - start))
    torch.set_num_threads(threads)
    return {name: median(values) for name, values in times.items()}


def show(report: dict[str, Any]) -> None:
    """Print the report for people."""
    rows = [["layer", "ms", "against", "ms", "ratio", "of fastest", "allowed", "difference", "MB", "MB allowed"]]
    for name, result in report["layers"].items():
        memory = [f"{result[key]:.1f}" if key in result else "" for key in ("megabytes", "megabytes_allowed")]
        times = [f"{result['milliseconds']:.2f}", result["other"], f"{result['milliseconds_other']:.2f}"]
        ratios = [f"{result[key]:.2f}" for key in ("ratio", "ratio_of_fastest", "allowed")]
        rows.append([name, *times, *ratios, f"{result['difference']:.0e}", *memory])
    print(table(rows))
    print(table([["layer", ""], *([name, result["shapes"]] for name, result in report["layers"].items())]))
    if times := report.get("exponentials"):
        ratio = times["numpy exp"] / times["torch softmax"]
        print(f"On one thread, NumPy's exp alone takes {ratio:.2f} times as long as torch's softmax (attention).")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layers", nargs="*", metavar="layer", help=f"any of: {', '.join(CASES)}; all by default")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each program, 3 timed runs each (default 10)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    names = chosen(parser, "layers", options.layers, CASES)
    import torch

    torch.set_num_threads(THREADS)
    report: dict[str, Any] = {"layers": {name: measure(CASES[name](), options.rounds) for name in names}}
    if any(name.startswith("softmax") for name in names):
        report["exponentials"] = exponentials()
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        show(report)


if __name__ == "__main__":
    main()
