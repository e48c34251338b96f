"""Times this checkout of refcoreml against another one, such as that of the commit before.

    git worktree add ../before 97e99a92
    python benchmarks/commits.py ../before
    python benchmarks/commits.py ../before tiny lstm resnet50

Each checkout works in a process of its own; both are asked in turns for a few runs of the same case, so that a busy
machine slows both. The ratio of medians is this one's time / the other's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from measuring import PAUSE, THREADS, table

#: So long at least takes what is timed at once, in seconds.
TURN = 0.02


class Checkout:
    """A process that runs cases with the package and the benchmarks of a checkout."""

    def __init__(self, root: Path) -> None:
        command = [sys.executable, __file__, "--work", str(root.resolve())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *question: Any) -> Any:
        """Return the answer of the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            sys.exit("a checkout has failed, see above")
        return json.loads(line)


def work(root: str) -> None:
    """Answer questions: the names of all cases; a case, to be made; or how many runs of it are to be timed."""
    sys.path[:0] = [root, f"{root}/benchmarks"]
    made = cases()
    run: Callable[[], Any] = list
    for line in sys.stdin:
        match json.loads(line):
            case ["names"]:
                answer: Any = list(made)
            case ["make", name]:
                run = made[name]()
                run()
                answer = _seconds(run, 1)
            case ["time", int(count)]:
                run()  # wakes its threads
                answer = _seconds(run, count)
        print(json.dumps(answer), flush=True)


def _seconds(run: Callable[[], Any], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) / count


def cases() -> dict[str, Callable[[], Callable[[], Any]]]:
    """Return what is timed: functions that make what runs."""
    import layers
    import networks
    import numpy as np
    import torch

    import refcoreml
    from refcoreml import build

    torch.set_num_threads(THREADS)
    image = np.random.default_rng(1).normal(size=networks.SHAPE).astype(np.float32)

    def network(description: Any) -> Callable[[], Any]:
        model = refcoreml.load(networks.coreml(description()))
        return lambda: model.predict({networks.INPUT: image})

    def layer(case: Callable[[], Any]) -> Callable[[], Any]:
        return case().run  # type: ignore[no-any-return]

    def tiny() -> Callable[[], Any]:
        net = build.Network({"x": (4,)}, ["y"])
        net.add("innerProduct", weights=np.ones((3, 4), np.float32), inputChannels=4, outputChannels=3)
        net.add("activation", ReLU={}, outputs="y")
        model, x = net.model(), np.ones(4, np.float32)
        return lambda: model.predict({"x": x})

    def loading() -> Callable[[], Any]:
        net = build.Network({"x": (1, 8, 9, 9)}, ["y"], exact=True)
        for index in range(250):
            sizes = {"kernel_size": [1, 1], "output_channels": 8, "kernel_channels": 8, "n_groups": 1}
            weights = np.full((8, 8, 1, 1), 0.25, np.float32)
            net.add("convolution", weights=weights, bias=np.zeros(8, np.float32), has_bias=True, valid={}, **sizes)
            net.add("activation", ReLU={}, **({"outputs": "y"} if index == 249 else {}))
        data = net.spec().SerializeToString()
        return lambda: refcoreml.load(data)

    def quantizing(bits: int, mode: Any) -> Callable[[], Any]:
        net = build.Network({"x": (256, 9, 9)}, ["y"])
        weights = np.random.default_rng(0).standard_normal((256, 256, 3, 3)).astype(np.float32)
        sizes = {"kernel_size": [3, 3], "output_channels": 256, "kernel_channels": 256, "n_groups": 1}
        net.add("convolution", weights=weights, valid={}, outputs="y", **sizes)
        model = net.model()
        return lambda: refcoreml.quantize_weights(model, bits, mode)

    return {
        "tiny": tiny,
        "loading 500 layers": loading,
        "8 bits, linear": lambda: quantizing(8, "linear"),
        "8 bits, k-means": lambda: quantizing(8, "kmeans"),
        "4 bits, k-means": lambda: quantizing(4, "kmeans"),
        **{name: lambda made=made: network(made) for name, made in networks.NETWORKS.items()},  # type: ignore[misc]
        **{name: lambda made=made: layer(made) for name, made in layers.CASES.items()},  # type: ignore[misc]
    }


def compare(here: Checkout, there: Checkout, name: str, rounds: int) -> list[str]:
    """Time a case in both checkouts in turns; return a row of the table."""
    both = here, there
    made = []
    for checkout in both:
        time.sleep(PAUSE)
        made.append(checkout.ask("make", name))
    count = max(1, round(TURN / max(made)))
    times: tuple[list[float], list[float]] = ([], [])
    for index in range(rounds):
        for place in (0, 1) if index % 2 else (1, 0):
            time.sleep(PAUSE)  # until the threads of the other one sleep
            times[place].append(both[place].ask("time", count))
    ours, others = map(median, times)
    fastest = min(times[0]) / min(times[1])
    return [name, f"{1e3 * ours:.3f}", f"{1e3 * others:.3f}", f"{ours / others:.3f}", f"{fastest:.3f}"]


def main() -> None:
    """Compare two checkouts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("checkout", type=Path, nargs="?", help="the other checkout")
    parser.add_argument("cases", nargs="*", help="names of cases; all by default")
    parser.add_argument("--rounds", type=int, default=25, help="turns of each checkout (default 25)")
    parser.add_argument("--one-thread", action="store_true", help="compute on one thread: less noise than on two")
    parser.add_argument("--work", metavar="ROOT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    if options.checkout is None:
        parser.error("name the other checkout")
    if options.one_thread:
        os.environ["BENCHMARK_THREADS"] = "1"
    here, there = Checkout(Path(__file__).resolve().parents[1]), Checkout(options.checkout)
    names = here.ask("names")
    if unknown := sorted(set(options.cases) - set(names)):
        parser.error(f"unknown case {', '.join(unknown)}; there are {', '.join(names)}")
    rows = [["milliseconds", "here", "there", "ratio", "of fastest"]]
    for name in options.cases or names:
        rows.append(compare(here, there, name, options.rounds))
        print(f"\r{name}\033[K", end="", file=sys.stderr)
    print("\r\033[K", end="", file=sys.stderr)
    print(table(rows))


if __name__ == "__main__":
    main()
