"""Times refcoreml against torch, onnxruntime and ONNX's ReferenceEvaluator on the same networks; checks its promises.

Run ``python benchmarks/compare.py --help``. See README.md in this folder for what is measured and how.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from measuring import PAUSE, THREADS, chosen, table  # isort: skip

import networks
import numpy as np

from refcoreml import build
from refcoreml.model import load
from refcoreml.neuralnetwork.network import Network
from refcoreml.spec import schema
from refcoreml.spec.weights import decode_weights, encode_floats

#: The most that refcoreml may take, as a multiple of what another runtime takes.
ALLOWED = {
    "squeezenet": {"torch": 1.0, "onnxruntime": 1.6},
    "resnet50": {"torch": 1.0, "onnxruntime": 1.6},
    "mobilenet": {"onnxruntime": 4.0},
}

Run = Callable[[np.ndarray], np.ndarray]


def runtimes(description: networks.Description) -> dict[str, Run]:
    """Return the network in each runtime, as a function from [1, 3, 224, 224] to [1, 1000]."""
    import onnxruntime
    import torch

    torch.set_num_threads(THREADS)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(networks.onnx(description), options, providers=["CPUExecutionProvider"])
    model = load(networks.coreml(description))
    return {
        "refcoreml": lambda image: model.predict({networks.INPUT: image[0]})[networks.OUTPUT].reshape(1, -1),
        "onnxruntime": lambda image: session.run(None, {networks.INPUT: image})[0],
        "torch": networks.torch(description),
    }


def reference_evaluator(description: networks.Description) -> Run:
    """Return the network in ONNX's own interpreter, which is written in NumPy as well."""
    from onnx import load_from_string
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(load_from_string(networks.onnx(description)))
    return lambda image: session.run(None, {networks.INPUT: image})[0]


def compare(name: str, rounds: int, slow: bool) -> dict[str, Any]:
    """Run all runtimes in turns; return medians in milliseconds, ratios, and the largest difference of outputs."""
    description = networks.NETWORKS[name]()
    image = np.random.default_rng(1).normal(size=(1, *networks.SHAPE)).astype(np.float32)
    runs = runtimes(description)
    outputs = {runtime: run(image) for runtime, run in runs.items()}
    times: dict[str, list[float]] = {runtime: [] for runtime in runs}
    for _ in range(rounds):
        for runtime, run in runs.items():
            time.sleep(PAUSE)
            run(image)
            for _ in range(3):
                start = time.perf_counter()
                run(image)
                times[runtime].append(1e3 * (time.perf_counter() - start))
    if slow:
        run = reference_evaluator(description)
        start = time.perf_counter()
        outputs["ReferenceEvaluator"] = run(image)
        times["ReferenceEvaluator"] = [1e3 * (time.perf_counter() - start)]
    medians = {runtime: median(values) for runtime, values in times.items()}
    expected = outputs["onnxruntime"]
    return {
        "milliseconds": medians,
        "fastest": {runtime: min(values) for runtime, values in times.items()},
        "refcoreml_to": {runtime: medians["refcoreml"] / value for runtime, value in medians.items()},
        "allowed": ALLOWED[name],
        "difference": max(float(abs(output - expected).max() / expected.max()) for output in outputs.values()),
    }


def memory(name: str) -> dict[str, float]:
    """Megabytes that one prediction takes beyond the loaded model, and how many it may take."""
    spec = networks.coreml(networks.NETWORKS[name]())
    model = load(spec)
    network = Network(spec.neuralNetwork.layers, inputs=[networks.INPUT], outputs=[networks.OUTPUT], rank5=True)
    image = np.zeros(networks.SHAPE, np.float32)
    shapes = network.shapes({networks.INPUT: (1, 1, *networks.SHAPE)})
    pair = max(
        4 * sum(int(np.prod(shapes[blob])) for blob in (*layer.input, *layer.output))
        for layer in spec.neuralNetwork.layers
    )
    tracemalloc.start()
    model.predict({networks.INPUT: image})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"peak": peak / 1e6, "allowed": (4 * pair + (64 << 20)) / 1e6}


def tiny() -> dict[str, float]:
    """Microseconds of a network of two small layers: what a prediction costs besides arithmetic."""
    net = build.Network({"x": (4,)}, ["y"])
    weights = np.ones((3, 4), np.float32)
    net.add("innerProduct", weights=weights, inputChannels=4, outputChannels=3)
    net.add("activation", ReLU={}, outputs="y")
    model, x = net.model(), np.ones(4, np.float32)
    times = []
    for _ in range(300):
        start = time.perf_counter()
        model.predict({"x": x})
        times.append(1e6 * (time.perf_counter() - start))
    return {"microseconds": median(times)}


def decoding(count: int = 25_000_000) -> dict[str, float]:
    """Time to decode weights of each kind, as a multiple of one float32 multiplication of as many numbers."""
    random = np.random.default_rng(0)
    values = random.normal(size=count).astype(np.float32)
    shape = (1000, count // 1000)
    messages = {"float32": encode_floats(values), "float16": encode_floats(values.astype(np.float16))}
    for bits in (8, 4, 2, 1):
        codes = random.integers(0, 256, count * bits // 8, dtype=np.uint8).tobytes()
        for kind in ("linear", "table"):
            message = schema.WeightParams(rawValue=codes)
            message.quantization.numberOfBits = bits
            if kind == "linear":
                message.quantization.linearQuantization.scale.extend(random.random(shape[0]))
                message.quantization.linearQuantization.bias.extend(random.random(shape[0]))
            else:
                message.quantization.lookupTableQuantization.floatValue.extend(random.random(1 << bits))
            messages[f"{kind}, {bits} bits"] = message
    times: dict[str, list[float]] = {"": [], **{kind: [] for kind in messages}}
    for _ in range(5):
        start = time.perf_counter()
        _ = values * np.float32(3)
        times[""].append(time.perf_counter() - start)
        for kind, message in messages.items():
            start = time.perf_counter()
            decode_weights(message, shape)
            times[kind].append(time.perf_counter() - start)
    return {kind: median(values) / median(times[""]) for kind, values in times.items() if kind}


def import_time() -> dict[str, float]:
    """Milliseconds of ``import refcoreml`` in a new process, and of what it must import anyway."""

    def measure(statement: str) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True, cwd=Path(__file__).resolve().parents[1])
            times.append(1e3 * (time.perf_counter() - start))
        return median(times)

    bare = measure("pass")
    return {
        "refcoreml": measure("import refcoreml") - bare,
        "numpy and protobuf": measure("import numpy, google.protobuf.message") - bare,
    }


def in_new_process(name: str) -> dict[str, float]:
    """`memory` where no other runtime has been at work."""
    command = [sys.executable, __file__, "--memory", name]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result


def show(report: dict[str, Any]) -> None:
    """Print the report for people."""
    columns = ["refcoreml", "onnxruntime", "torch", "ReferenceEvaluator"]
    rows = [["milliseconds (median)", *columns, "difference"]]
    ratios = [["refcoreml takes", *(f"/ {column}" for column in columns[1:]), "allowed", "MB", "MB allowed"]]
    for name, result in report["networks"].items():
        times, ratio, used = result["milliseconds"], result["refcoreml_to"], report["memory"][name]
        rows.append([name, *(f"{times[c]:.1f}" if c in times else "" for c in columns), f"{result['difference']:.0e}"])
        allowed = ", ".join(f"{limit} {runtime}" for runtime, limit in result["allowed"].items())
        numbers = [f"{ratio[c]:.2f}" if c in ratio else "" for c in columns[1:]]
        ratios.append([name, *numbers, allowed, f"{used['peak']:.0f}", f"{used['allowed']:.0f}"])
    print(table(rows))
    print(table(ratios))
    print(f"a tiny network: {report['tiny']['microseconds']:.0f} microseconds\n")
    kinds = [["decoding 25 million weights", "multiplications"]]
    print(table(kinds + [[kind, f"{ratio:.1f}"] for kind, ratio in report["decoding"].items()]))
    imports = report["import"]
    print(
        f"import refcoreml: {imports['refcoreml']:.0f} ms, {imports['numpy and protobuf']:.0f} of them numpy, protobuf"
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", help=f"any of {', '.join(networks.NETWORKS)}; all by default")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each runtime, 3 timed runs each (default 15)")
    parser.add_argument("--fast", action="store_true", help="leave out ONNX's ReferenceEvaluator, which takes seconds")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--memory", metavar="NETWORK", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print(json.dumps(memory(options.memory)))
        return
    names = chosen(parser, "networks", options.networks, networks.NETWORKS)
    report = {
        "networks": {name: compare(name, options.rounds, not options.fast) for name in names},
        "memory": {name: in_new_process(name) for name in names},
        "tiny": tiny(),
        "decoding": decoding(),
        "import": import_time(),
    }
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        show(report)


if __name__ == "__main__":
    main()
