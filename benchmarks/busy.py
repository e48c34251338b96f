"""Times networks beside busy programs: with refcoreml's own choice of threads against one thread.

    python benchmarks/busy.py MODEL [MODEL ...]       # beside one busy loop per processor
    python benchmarks/busy.py --idle MODEL [MODEL ...]

A row per model: medians in milliseconds, and their ratio. At most 2 is promised beside busy loops, and about 1 at most
on an idle machine. Each figure is that of several processes in turns, since a process chooses its threads once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PROMISED = 2.0


def random_inputs(model: Any) -> dict[str, Any]:
    """Return a random value for each input that must be there."""
    from PIL import Image

    random = np.random.default_rng(0)
    values: dict[str, Any] = {}
    for feature in model.inputs:
        if feature.optional:
            continue
        shape = feature.default_shape
        if feature.kind == "image":
            pixels = random.integers(0, 256, (*shape[1:], shape[0]), np.uint8)
            values[feature.name] = Image.fromarray(pixels.squeeze())
        elif feature.kind == "array":
            values[feature.name] = random.normal(size=shape)
        else:
            values[feature.name] = 1
    return values


def time_here(path: str, seconds: float) -> None:
    """Print the seconds of each of several predictions."""
    from refcoreml import load

    warnings.simplefilter("ignore")
    model = load(path)
    inputs = random_inputs(model)
    model.predict(inputs)
    end = time.perf_counter() + seconds
    for _ in range(25):
        start = time.perf_counter()
        model.predict(inputs)
        print(time.perf_counter() - start)
        if time.perf_counter() > end:
            break


def time_in_process(path: str, threads: str, seconds: float) -> list[float]:
    """Return the same in a process of its own; ``threads`` is a number, or empty for refcoreml's own choice."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "REFCOREML_THREADS": threads}
    command = [sys.executable, __file__, "--child", str(seconds), path]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [float(line) for line in said.stdout.split()]


def compare(path: str, rounds: int, seconds: float) -> tuple[float, float]:
    """Medians with one thread, and with refcoreml's own choice."""
    one: list[float] = []
    own: list[float] = []
    for _ in range(rounds):
        one += time_in_process(path, "1", seconds)
        own += time_in_process(path, "", seconds)
    return median(one), median(own)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="files of networks that need no custom code")
    parser.add_argument("--idle", action="store_true", help="start no busy loops")
    parser.add_argument("--rounds", type=int, default=3, help="processes per figure (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each runs (default: %(default)s)")
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        time_here(arguments.models[0], arguments.child)
        return 0
    count = 0 if arguments.idle else os.cpu_count() or 1
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    worst = 0.0
    try:
        print(
            f"{'beside ' + str(count) + ' busy loops' if count else 'idle':40} {'one ms':>9} {'own ms':>9} {'ratio':>6}"
        )
        for path in arguments.models:
            try:
                one, own = compare(path, arguments.rounds, arguments.seconds)
            except subprocess.CalledProcessError as error:
                print(f"{Path(path).name[:40]:40} not run: {error.stderr.strip().splitlines()[-1][:100]}")
                continue
            worst = max(worst, own / one)
            print(f"{Path(path).name[:40]:40} {1e3 * one:9.2f} {1e3 * own:9.2f} {own / one:6.2f}", flush=True)
    finally:
        for loop in loops:
            loop.kill()
    print(f"worst ratio {worst:.2f}, promised {PROMISED}" if worst else "no model was compared")
    return int(not 0 < worst <= PROMISED)


if __name__ == "__main__":
    sys.exit(main())
