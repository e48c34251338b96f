"""Quantization beside coremltools: speed, error, memory.

    python benchmarks/quantization.py layer                  one layer of 512 x 512 x 3 x 3 weights
    python benchmarks/quantization.py network                ResNet-50 in shape, 25 million weights
    python benchmarks/quantization.py models FOLDER          every tensor of real models, 1, 2, 4, 6 and 8 bits
    python benchmarks/quantization.py fits FOLDER            what the fits of linear gain on real models

`layer` and `models` need coremltools and scikit-learn. Ratios are coremltools / refcoreml: above 1 is better here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import refcoreml
from refcoreml.kernels import kmeans
from refcoreml.quantization import WeightTensor, weight_changes, weight_tensors

BITS = (1, 2, 4, 6, 8)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def ours(values: np.ndarray, bits: int) -> np.ndarray:
    """Return what the weights decode to after k-means here."""
    table = kmeans.cluster(values, 1 << bits).centres.astype(np.float32)
    return table[kmeans.assign(values, table)]


def theirs(values: np.ndarray, bits: int) -> np.ndarray:
    """Return what the weights decode to after coremltools' k-means, its table rounded to the float32 of the format."""
    from coremltools.models.neural_network import quantization_utils

    warnings.simplefilter("ignore")  # of scikit-learn, about tables that it cannot fill
    table, codes = quantization_utils._get_kmeans_lookup_table_and_weight(bits, values)
    return table.reshape(-1).astype(np.float32)[codes.reshape(values.shape)]


def error(values: np.ndarray, decoded: np.ndarray) -> float:
    return float(np.mean((decoded.astype(np.float64) - values) ** 2))


def layer() -> None:
    values = np.random.default_rng(0).standard_normal((512, 512, 3, 3)).astype(np.float32)
    here, decoded = min((timed(lambda: ours(values, 8)) for _ in range(3)), key=lambda run: run[0])
    found = kmeans.cluster(values, 256)
    there, reference = timed(lambda: theirs(values, 8))
    print("8-bit k-means of 512 x 512 x 3 x 3 weights")
    print(f"  time   {there / here:.1f} x  ({here:.2f} s here, {there:.2f} s there)")
    print(f"  MSE    {error(values, reference) / error(values, decoded):.4f} x")
    print(f"  proven within {found.factor:.4f} of the least error")


def network() -> None:
    from networks import coreml, resnet50

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "resnet50.mlmodel")
        refcoreml.load(coreml(resnet50()), prepare=False).save(path)
        print("ResNet-50 in shape; each line in a process of its own, the model read before")
        for bits, mode in ((8, "linear"), (8, "linear_symmetric"), (16, "linear"), (8, "kmeans"), (4, "kmeans")):
            subprocess.run([sys.executable, __file__, "one", str(path), str(bits), mode], check=True)


def one(path: str, bits: int, mode: str) -> None:
    model = refcoreml.load(path, prepare=False)
    size = 4 * sum(tensor.count for tensor in weight_tensors(model))
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of reading the model
    before = memory("VmRSS")
    started = time.process_time()
    took, _ = timed(partial(refcoreml.quantize_weights, model, bits, mode))
    cpu = time.process_time() - started
    grown = memory("VmHWM") - before
    print(
        f"  {bits:2d} bits {mode:16s} {took:6.2f} s ({cpu:.2f} s of processor time), {grown / size:.2f} x the"
        f" {size / 1e6:.0f} MB of weights beyond the model itself at the peak",
        flush=True,
    )


def memory(which: str) -> int:
    """Bytes that the process holds (VmRSS), or held at most (VmHWM). Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(which)).split()[1])


def float_tensors(folder: Path) -> list[tuple[str, WeightTensor]]:
    found = []
    for path in sorted(folder.glob("*.mlmodel")):
        for tensor in weight_tensors(refcoreml.load(path, prepare=False)):
            if tensor.encoding.kind in ("float32", "float16") and tensor.count > 1:
                found.append((path.stem, tensor))
    return found


def models(folder: Path) -> None:
    tensors = float_tensors(folder)
    print(f"k-means of {len(tensors)} tensors, {sum(t.count for _, t in tensors) / 1e6:.2f} million weights")
    print("bits  MSE there / here: min, median, max          tensors worse here   time there / here")
    for bits in BITS:
        ratios, worse, here, there = [], [], 0.0, 0.0
        for name, tensor in tensors:
            values = tensor.values()
            took, decoded = timed(partial(ours, values, bits))
            here += took
            took, reference = timed(partial(theirs, values, bits))
            there += took
            mine, other = error(values, decoded), error(values, reference)
            if mine > 0:
                ratios.append(other / mine)
            # A table of float32 numbers moves the best centres by up to half a unit in the last place.
            if mine > other * (1 + 1e-6) + 1e-14 * float(np.mean(values.astype(np.float64) ** 2)):
                worse.append((name, tensor.name, mine, other))
        low, middle, high = (np.min(ratios), np.median(ratios), np.max(ratios)) if ratios else (1.0,) * 3
        print(f"{bits:4d}  {low:.6f}  {middle:.4f}  {high:.4g}   {len(worse)}   {there / here:.1f}", flush=True)
        for row in worse[:5]:
            print("      worse:", *row)


def fits(folder: Path) -> None:
    print("SNR of all weights in dB, linear, one scale per channel")
    print(f"{'model':32s}{'bits':>5s}{'minmax':>9s}{'mse':>9s}{'99.9 %':>9s}{'99 %':>9s}{'k-means':>9s}")
    for path in sorted(folder.glob("*.mlmodel")):
        model = refcoreml.load(path, prepare=False)
        if sum(tensor.count for tensor in weight_tensors(model)) < 50_000 or model.spec.isUpdatable:
            continue
        for bits in (8, 6, 4, 3, 2, 1):
            row = []
            options: list[tuple[str, Any]] = [("linear", "minmax"), ("linear", "mse"), ("linear", ("percentile", 99.9))]
            for mode, fit in (*options, ("linear", ("percentile", 99.0)), ("kmeans", "minmax")):
                changes = weight_changes(model, refcoreml.quantize_weights(model, bits, mode, fit=fit))
                signal, noise = (sum(getattr(c, part) * c.count for c in changes) for part in ("signal", "noise"))
                row.append(10 * np.log10(signal / noise) if noise else float("inf"))
            print(f"{path.stem:32s}{bits:5d}" + "".join(f"{snr:9.2f}" for snr in row), flush=True)


def main() -> int:
    if sys.argv[1:2] == ["one"]:
        one(sys.argv[2], int(sys.argv[3]), sys.argv[4])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["layer", "network", "models", "fits"])
    parser.add_argument("folder", nargs="?", type=Path)
    options = parser.parse_args()
    if options.what in ("models", "fits"):
        if options.folder is None:
            parser.error(f"{options.what} needs a folder of models")
        {"models": models, "fits": fits}[options.what](options.folder)
    else:
        {"layer": layer, "network": network}[options.what]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
