"""Times ML Programs against torch and against networks, counts what an operation costs, and measures memory.

Run ``python benchmarks/programs.py --help``. See README.md in this folder for what is measured and how.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median

from measuring import THREADS, chosen, in_turns, table  # isort: skip

import networks
import numpy as np
import transformers

from refcoreml import build
from refcoreml.kernels.elementwise import combine
from refcoreml.kernels.linear import batched_matmul
from refcoreml.mil.program import Program
from refcoreml.model import Model, load
from refcoreml.types import TensorType

#: A figure: its name, what was measured, what is allowed at most, and its unit.
Figure = tuple[str, float, float, str]
Runs = Mapping[str, Callable[[], np.ndarray]]

#: Operations of the program that shows what one costs, as many as those of a speech encoder.
OPERATIONS = 3351
#: Megabytes of weights of the model that is loaded.
WEIGHTS = 1000
#: Queries, as many keys, and heads of the attention.
QUERIES, HEADS, SIZE = 4096, 8, 64


def measured(runs: Runs, rounds: int) -> dict[str, float]:
    """Run all in turns; return medians in milliseconds, and print how far their results are apart."""
    outputs = {name: run() for name, run in runs.items()}
    first = next(iter(outputs.values()))
    apart = {name: float(abs(y - first).max() / abs(first).max()) for name, y in outputs.items()}
    print(
        "  largest difference, of the largest number:",
        ", ".join(f"{n} {d:.0e}" for n, d in apart.items() if d),
        file=sys.stderr,
    )
    times = in_turns(runs, rounds)
    medians = {name: median(values) for name, values in times.items()}
    print("  milliseconds:", ", ".join(f"{name} {value:.1f}" for name, value in medians.items()), file=sys.stderr)
    return medians


def limit_torch() -> None:
    """Give torch as many threads as all others."""
    import torch

    torch.set_num_threads(THREADS)


def ratio(what: str, times: Mapping[str, float], one: str, other: str, allowed: float) -> Figure:
    """Return how many times as long one takes as the other."""
    return f"{what}: {one} / {other}", times[one] / times[other], allowed, ""


def resnet50(rounds: int) -> list[Figure]:
    """An image classifier as a program, in fp32 and fp16, as a network, and in torch."""
    limit_torch()
    description = networks.resnet50()
    image = np.random.default_rng(1).normal(size=(1, *networks.SHAPE)).astype(np.float32)
    network, single, half = (
        load(networks.coreml(description)),
        networks.program(description),
        networks.program(description, "fp16"),
    )
    torch = networks.torch(description)

    def result(model: Model, x: np.ndarray) -> np.ndarray:
        y: np.ndarray = model.predict({networks.INPUT: x})[networks.OUTPUT].reshape(1, -1)
        return y

    times = measured(
        {
            "torch": lambda: torch(image),
            "fp32": lambda: result(single, image),
            "network": lambda: result(network, image[0]),
            "fp16": lambda: result(half, image),
        },
        rounds,
    )
    name = "ResNet-50"
    return [
        ratio(name, times, "fp32", "network", 1.0),
        ratio(name, times, "fp32", "torch", 1.2),
        ratio(name, times, "fp16", "fp32", 1.6),
    ]


def encoder(rounds: int) -> list[Figure]:
    """A transformer encoder as a program, in fp32 and fp16, and in torch."""
    limit_torch()
    weights = transformers.encoder_weights()
    shape = (1, transformers.TOKENS, transformers.WIDTH)
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    single, half = transformers.encoder(weights), transformers.encoder(weights, "fp16")
    torch = transformers.torch_encoder(weights)
    times = measured(
        {
            "torch": lambda: torch(x),
            "fp32": lambda: single.predict({"x": x})["y"],
            "fp16": lambda: half.predict({"x": x})["y"],
        },
        rounds,
    )
    products = median(in_turns({"products": lambda: transformers.encoder_products(weights, x)}, rounds)["products"])
    print(f"  NumPy's products with the weights alone: {products / times['torch']:.2f} of torch", file=sys.stderr)
    return [ratio("encoder", times, "fp32", "torch", 1.3), ratio("encoder", times, "fp16", "fp32", 1.6)]


def decoder(rounds: int) -> list[Figure]:
    """A decoder with 4-bit weights and a cache as a program of half precision, and in torch in float32, by token."""
    limit_torch()
    layers, tokens = transformers.decoder_weights()
    model, torch = transformers.decoder(layers, tokens), transformers.torch_decoder(layers, tokens)
    state, positions = model.make_state(), {"program": 0, "torch": 0}

    def position(who: str) -> int:
        positions[who] += 1
        return positions[who] - 1

    def step() -> np.ndarray:
        at = position("program")
        inputs = {"token": [at % transformers.VOCABULARY], "position": [at]}
        y: np.ndarray = model.predict(inputs, state=state)["scores"].reshape(1, -1)
        return y

    def other() -> np.ndarray:
        at = position("torch")
        return torch(at % transformers.VOCABULARY, at)

    times = measured({"torch": other, "program": step}, rounds)
    return [ratio("decoder, a token", times, "program", "torch", 1.5)]


# ---- What an operation costs ----


def operations(rounds: int) -> list[Figure]:
    """What an operation costs beyond its kernel: a program of many small ones beside the same kernels in a loop."""
    found: list[Figure] = []
    x = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0].astype(np.float32)
    for element in ("fp32", "fp16"):
        model = small_operations(element)
        times = measured({"program": partial(_result, model, x), "kernels": partial(kernels, x)}, rounds)
        cost = 1e3 * (times["program"] - times["kernels"]) / OPERATIONS
        found.append((f"{element}: an operation beyond its kernel", cost, 4.0, "microseconds"))
        found.append((f"{element}: {OPERATIONS} small operations", times["program"] / 1e3, 0.2, "s"))
    return found


def _result(model: Model, x: np.ndarray) -> np.ndarray:
    y: np.ndarray = model.predict({"x": x})["y"]
    return y


def small_operations(element: str) -> Model:
    """Return a program of operations on [6, 6], in turns three, none of which can run inside another one."""
    program = build.Program({"x": (element, (6, 6))}, opset="CoreML7")
    x = y = program["x"]
    for index in range(OPERATIONS):
        fields = {"name": "y"} if index == OPERATIONS - 1 else {}
        match index % 3:
            case 0:
                y = program.add("transpose", x=y, perm=[1, 0], **fields)
            case 1:
                y = program.add("matmul", x=x, y=y, **fields)
            case _:
                y = program.add("sub", x=x, y=y, **fields)
    program.output(y)
    return program.model()


def kernels(x: np.ndarray) -> np.ndarray:
    """Call the kernels of these operations."""
    y = x
    for index in range(OPERATIONS):
        match index % 3:
            case 0:
                y = np.transpose(y, (1, 0))
            case 1:
                y = batched_matmul(x, y)
            case _:
                y = combine(np.subtract, (x, y))
    return y


# ---- Memory, each in a process of its own ----


def memory(rounds: int) -> list[Figure]:
    """Time and memory of loading many weights, and memory of predictions."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "large.mlpackage")
        print(f"  {in_new_process('write', path)['megabytes']:.0f} MB of weights", file=sys.stderr)
        loaded = in_new_process("load", path)
    figures: list[Figure] = [
        ("loading: time", loaded["seconds"], 1.0, "s"),
        ("loading: memory of the process before the first prediction", loaded["megabytes"], 150, "MB"),
    ]
    scores = in_new_process("attention")["megabytes"]
    figures.append((f"attention, {QUERIES} tokens, {HEADS} heads: memory of the process", scores, 1000, "MB"))
    for element in ("fp32", "fp16"):
        taken = in_new_process("prediction", element)
        what = f"first prediction, ResNet-50 in {element}: its peak"
        figures.append((what, taken["megabytes"], taken["allowed"], "MB"))
    return figures


def in_new_process(*arguments: str) -> dict[str, float]:
    """Return what one of `CHILDREN` measures."""
    command = [sys.executable, __file__, "--child", *arguments]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def resident() -> float:
    """Return the most megabytes of memory that this process has taken."""
    status = Path("/proc/self/status")  # on Linux, since the other number may be that of the process that started it
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def large_model(path: str) -> dict[str, float]:
    """Write a model with many weights; return how many megabytes they are."""
    width, count = 4096, WEIGHTS * 1_000_000 // (4 * 4096 * 4096) + 1
    program = build.Program({"x": (1, width)}, opset="CoreML7")
    x, weights = program["x"], np.zeros((width, width), np.float32)
    for index in range(count):
        x = program.add("linear", x=x, weight=weights + np.float32(index))  # equal ones would be stored once
    program.output(x)
    program.save(path)
    return {"megabytes": count * weights.nbytes / 1e6}


def loading(path: str) -> dict[str, float]:
    """Load a model."""
    start = time.perf_counter()
    load(path)
    return {"seconds": time.perf_counter() - start, "megabytes": resident()}


def attention() -> dict[str, float]:
    """Run one attention."""
    shape = (1, HEADS, QUERIES, SIZE)
    program = build.Program({name: shape for name in ("query", "key", "value")}, opset="CoreML8")
    operands = {name: program[name] for name in ("query", "key", "value")}
    program.output(program.add("scaled_dot_product_attention", name="y", **operands))
    model, random = program.model(), np.random.default_rng(0)
    model.predict({name: random.normal(size=shape).astype(np.float32) for name in operands})
    return {"megabytes": resident()}


def prediction(element: str) -> dict[str, float]:
    """Run the first prediction of an image classifier, which decodes its weights."""
    description = networks.resnet50()
    weights = sum(array.size for layer in description.layers for array in layer.weights)
    model = networks.program(description, element)
    image = {networks.INPUT: np.zeros((1, *networks.SHAPE), np.float32)}
    tracemalloc.start()
    model.predict(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"megabytes": peak / 1e6, "allowed": (4 * weights + 2 * largest_live_set(model, image)) / 1e6}


def largest_live_set(model: Model, inputs: Mapping[str, np.ndarray]) -> int:
    """Return the most bytes that values take which a program needs at the same time."""
    engine = Program(model.spec.mlProgram, "main", model.weight_files).engine
    types = engine.types({name: TensorType.of(array) for name, array in inputs.items()})
    live, largest = set(inputs), 0
    for step in engine.steps:
        live.update(step.outputs)
        largest = max(largest, sum(types[name].nbytes for name in live))
        live.difference_update(step.last_uses)
    return largest


CHILDREN: dict[str, Callable[..., dict[str, float]]] = {
    "write": large_model,
    "load": loading,
    "attention": attention,
    "prediction": prediction,
}

# ---- The command line ----

MEASUREMENTS: dict[str, Callable[[int], list[Figure]]] = {
    "resnet50": resnet50,
    "encoder": encoder,
    "decoder": decoder,
    "operations": operations,
    "memory": memory,
}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"any of {', '.join(MEASUREMENTS)}; all by default")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each program, 3 timed runs each (default 15)")
    parser.add_argument("--quick", action="store_true", help="3 turns")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--child", nargs="+", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, *arguments = options.child
        print(json.dumps(CHILDREN[name](*arguments)))
        return
    figures = []
    for name in chosen(parser, "measurements", options.names, MEASUREMENTS):
        print(name, file=sys.stderr)
        figures += MEASUREMENTS[name](3 if options.quick else options.rounds)
    if options.json:
        print(json.dumps([dict(zip(("what", "measured", "allowed", "unit"), f, strict=True)) for f in figures]))
        return
    rows = [["", "measured", "allowed", "", ""]]
    for what, value, allowed, unit in figures:
        rows.append([what, f"{value:.3g}", f"{allowed:.4g}", unit, "" if value <= allowed else "MISSED"])
    print(table(rows))


if __name__ == "__main__":
    main()
