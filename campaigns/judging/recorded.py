"""Outputs recorded on a device: ``python -m campaigns.judging.recorded --out FOLDER`` writes them as files.

There are 60 cases: 20 in which the device is honest, 20 in which it honestly runs a faulty conversion, and 20 in which
one operation goes wrong on it. Devices are simulated by `campaigns.judging.device`, and in some cases are torch itself.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from campaigns.judging.cases import Case, Expected, Prepared
from campaigns.judging.conversions import given, make_faulty, operations_at
from campaigns.judging.converted import converted, quicken
from campaigns.judging.device import Device, Failure, run
from campaigns.judging.edits import Edit
from campaigns.judging.faults import FAULTS
from campaigns.judging.graphs import ProgramGraph, graph_of, names_of
from campaigns.judging.networks import NETWORKS
from refcoreml.model import load
from refcoreml.storage.arrays import write_npz
from refcoreml.storage.writing import write_file
from refcoreml.testing.extras import torch
from refcoreml.types import Array

__all__ = ["recorded"]

#: Devices: single precision, or half with sums in single, in several orders.
SINGLE = Device()
SHUFFLED = Device(pieces=3, shuffled=1)
HALF = Device("float16")
PIECES = Device("float16", pieces=4)
BACKWARDS = Device("float16", pieces=5, shuffled=7)
FUSED = Device("float16", fused=True)
FUSED_PIECES = Device("float16", pieces=2, shuffled=3, fused=True)


@dataclass(frozen=True)
class Recording:
    """How a case was recorded.

    Attributes:
        network: the network.
        form: what was converted; a network is recorded by the program of the same module.
        device: what ran it; None for torch's own kernels in half precision.
        inputs: the number of its inputs.
        source: whether the judge is given the module.
        inside: whether values inside were recorded.
        fault: the number of the fault of the conversion.
        at: the module, and the kind of operation, that goes wrong on the device, and how.
    """

    network: str
    form: str = "program"
    device: Device | None = HALF
    inputs: int = 0
    source: bool = True
    inside: bool = False
    fault: str = ""
    at: str = ""
    kind: str = ""
    how: str = ""

    @property
    def title(self) -> str:
        """What it is, in words."""
        numbers = self.device.stored if self.device else "torch half"
        parts = [self.network, self.form, numbers, "with intermediates" if self.inside else "", self.fault]
        parts.append(f"{self.how} at {self.kind} of {self.at}" if self.how else "")
        return "/".join(part for part in parts if part)


R = Recording
HONEST = [
    R("plain"),
    R("plain", "network", FUSED),
    R("residual", device=PIECES, inside=True),
    R("residual", "half", FUSED_PIECES, inputs=1),
    R("mobile", device=None),
    R("u-net", device=BACKWARDS, inside=True),
    R("dilated", "network", HALF, source=False),
    R("pooling", device=FUSED, source=False, inside=True),
    R("upsample", "half", HALF, inside=True),
    R("inception", device=None, source=False),
    R("squeeze", device=BACKWARDS),
    R("autoencoder", "network", PIECES, inputs=2),
    R("norms", device=HALF, inside=True),
    R("lstm", device=PIECES),
    R("bilstm", "half", HALF, source=False),
    R("encoder", device=FUSED, inside=True),
    R("decoder", "half", PIECES, inputs=1),
    R("padded", "network", BACKWARDS),
    R("audio", device=SHUFFLED, inside=True),
    R("patches", device=HALF, source=False, inside=True),
]
CONVERTED = [
    R("plain", fault="epsilon eps=0.001"),
    R("plain", "network", FUSED, fault="bias negated"),
    R("residual", device=PIECES, inside=True, fault="statistics of another norm"),
    R("residual", device=SINGLE, fault="weight off 0.001 at 2.conv1"),
    R("mobile", device=BACKWARDS, fault="padding shifted"),
    R("u-net", "network", HALF, fault="concat order order=(1,0) at join1"),
    R("dilated", device=FUSED, inside=True, fault="dilation"),
    R("pooling", device=SHUFFLED, fault="count_include_pad count_include_pad=True"),
    R("upsample", device=HALF, fault="alignment corners=True"),
    R("inception", device=FUSED_PIECES, inside=True, fault="branches swapped"),
    R("squeeze", "network", HALF, fault="activation sigmoid"),
    R("dense", device=SINGLE, inside=True, fault="parameter off 0.001 weight"),
    R("norms", device=HALF, fault="activation approximate=tanh"),
    R("perceptron", device=HALF, fault="weights transposed"),
    R("lstm", device=PIECES, inside=True, fault="gate order 1023"),
    R("bilstm", "network", HALF, fault="bias dropped"),
    R("encoder", device=FUSED, inside=True, fault="axis dim=-2"),
    R("decoder", device=HALF, fault="mask one further"),
    R("affinity", device=BACKWARDS, fault="keepdims"),
    R("quantized", "network", HALF, fault="wrong scale 0.1"),
]
BROKEN = [
    R("plain", at="1.0", kind="conv", how="stale buffer", inside=True),
    R("plain", "network", FUSED, at="0.0", kind="conv", how="stale tile"),
    R("residual", device=PIECES, at="2.conv2", kind="conv", how="channels exchanged", inside=True),
    R("residual", device=HALF, source=False, at="1.plus", kind="add", how="tile of zeros"),
    R("mobile", device=HALF, at="2.filter.0", kind="conv", how="row off by one", inside=True),
    R("u-net", device=BACKWARDS, at="up1", kind="conv_transpose", how="tile of zeros", inside=True),
    R("u-net", "network", HALF, at="join1", kind="concat", how="channels exchanged"),
    R("dilated", device=FUSED, source=False, at="square", kind="conv", how="sums saturated", inside=True),
    R("pooling", device=HALF, at="without", kind="avg_pool", how="row off by one"),
    R("squeeze", device=HALF, at="0.2", kind="silu", how="small numbers flushed", inside=True),
    R("contrast", "half", PIECES, at="2", kind="conv", how="transposed", inside=True),
    R("contrast", device=SINGLE, at="2", kind="conv", how="stored in 5 bits", inside=True),
    R("perceptron", device=HALF, at="3", kind="linear", how="stale buffer"),
    R("lstm", device=SINGLE, source=False, at="loop", kind="lstm", how="sums in bfloat16", inside=True),
    R("encoder", device=PIECES, at="1.attention.soft", kind="softmax", how="small numbers flushed", inside=True),
    R("encoder", device=HALF, at="0.attention", kind="matmul", how="transposed"),
    R("decoder", device=FUSED, source=False, at="two.up", kind="linear", how="channels exchanged", inside=True),
    R("decoder", device=SINGLE, at="one.down", kind="linear", how="sums in bfloat16", inside=True),
    R("audio", device=HALF, at="1.0", kind="conv", how="stale tile", inside=True),
    R("patches", device=HALF, at="one.norm1", kind="layer_norm", how="sums saturated", inside=True),
]

# What goes wrong: from a result, and what the same operation gave for other inputs, to another result.


def _tile(values: Any) -> Any:
    """Return a view of a block of a result: half of its last axes, from a quarter on."""
    for axis in range(1 if values.ndim > 2 else 0, values.ndim):
        length = values.shape[axis]
        values = values.narrow(axis, length // 4, max(1, length // 2))
    return values


def _stale_tile(result: Any, stale: Any) -> Any:
    mixed = result.clone()
    _tile(mixed).copy_(_tile(stale))
    return mixed


def _zeros(result: Any, stale: Any) -> Any:
    mixed = result.clone()
    _tile(mixed).zero_()
    return mixed


def _exchanged(result: Any, stale: Any) -> Any:
    axis = 1 if result.ndim == 4 else result.ndim - 1
    order = torch.arange(result.shape[axis])
    order[[1, 2]] = order[[2, 1]]
    return result.index_select(axis, order)


def _saturated(result: Any, stale: Any) -> Any:
    most = float(result.abs().max()) / 2
    return result.clamp(-most, most)


HOW: Mapping[str, Callable[[Any, Any], Any]] = {
    "stale buffer": lambda result, stale: stale,
    "stale tile": _stale_tile,
    "tile of zeros": _zeros,
    "channels exchanged": _exchanged,
    "row off by one": lambda result, stale: result.roll(1, -2),
    "transposed": lambda result, stale: result.mT.reshape(result.shape),
    "sums saturated": _saturated,
    "small numbers flushed": lambda result, stale: result.where(result.abs() >= 0.125, 0.0),
    "stored in 5 bits": lambda result, stale: torch.round(result * 15 / result.abs().max()) * result.abs().max() / 15,
    "sums in bfloat16": lambda result, stale: result,
}


def recorded() -> list[Prepared]:
    """Return the cases."""
    found = []
    for verdict, recordings in (("rounding", HONEST), ("converter", CONVERTED), ("device", BROKEN)):
        for number, recording in enumerate(recordings):
            name = f"{verdict} {number:02}: {recording.title}"
            form = f"{recording.form}{', intermediates' if recording.inside else ''}"
            found.append(Prepared(name, verdict, None, recording.network, form, partial(make, recording)))
    return found


def _edit(recording: Recording) -> Edit:
    return next(edit for edit in FAULTS[recording.network] if edit.name.startswith(recording.fault))


def _graph(recording: Recording) -> ProgramGraph:
    """Return the program that the device runs."""
    form = recording.form if recording.form != "network" else "program"
    if recording.fault:
        graph = make_faulty(recording.network, form, _edit(recording))[0].graph()
    else:
        graph = converted(recording.network, form).graph()
    assert isinstance(graph, ProgramGraph)
    return graph


def make(recording: Recording) -> tuple[Case, Expected]:
    """Return a case."""
    network, form = NETWORKS[recording.network], recording.form
    arguments = network.inputs(recording.inputs)
    expected, model = Expected("rounding"), converted(network.name, form)
    if recording.fault:
        model, found = make_faulty(network.name, form, _edit(recording))
        expected = replace(found, verdict="converter")
    values, broken = _values(recording)
    if broken:
        # Outputs alone show that the device is wrong, but not where.
        expected = Expected("device", *((broken, (recording.at,)) if recording.inside else ()))
    outputs = {"y0": values.pop("y0")}
    source = network.module() if recording.source else None
    inside = values if recording.inside else {}
    return Case(model.spec(), given(network.name, recording.inputs), source, arguments, outputs, inside), expected


def _values(recording: Recording) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Return what the device stores, and the names of the operation that went wrong."""
    network = NETWORKS[recording.network]
    if recording.device is None:
        with torch.no_grad():
            module, arguments = network.module().half(), network.inputs(recording.inputs)
            return {"y0": module(*(x.half() if x.is_floating_point() else x for x in arguments)).float().numpy()}, ()
    graph = _graph(recording)
    inputs = given(network.name, recording.inputs)
    if not recording.how:
        return run(graph, inputs, recording.device), ()
    found = converted(network.name, "program" if recording.form == "network" else recording.form)
    operation = graph.operation(operations_at(network.name, found, recording.at, recording.kind)[0])
    before = run(graph, given(network.name, recording.inputs + 3), replace(recording.device, fused=False))
    stale = torch.from_numpy(before[operation.outputs[0]])
    failure = Failure(lambda result: HOW[recording.how](result, stale) if result.shape == stale.shape else result)
    if recording.how == "sums in bfloat16":
        failure = Failure(device=replace(recording.device, short=True, pieces=64))
    return run(graph, inputs, recording.device, {operation.name: failure}), tuple(names_of(operation))


# How large they are


@dataclass(frozen=True)
class Distance:
    """How far recorded values are from the model that was converted rightly, in double precision.

    Attributes:
        outputs: in units of the largest error there of an honest device in half precision.
        inside: likewise at the operation that went wrong on the device, if values inside were recorded.
    """

    outputs: float
    inside: float


def distance(recording: Recording) -> Distance:
    """Measure a case."""
    form = "program" if recording.form == "network" else recording.form
    graph = converted(recording.network, form).graph()
    assert isinstance(graph, ProgramGraph)
    inputs = given(recording.network, recording.inputs)
    exact = {
        name: np.array(value, np.float64)
        for step in load(graph.spec, precision="float64").trace(inputs)
        for name, value in step.outputs.items()
    }
    honest = run(graph, inputs, HALF)
    values, broken = _values(recording)

    def times(name: str) -> float:
        noise = float(np.abs(honest[name] - exact[name]).max())
        return float(np.abs(values[name] - exact[name]).max()) / (noise or sys.float_info.min)

    return Distance(times("y0"), max((times(name) for name in broken if name in values), default=0.0))


def write(folder: Path, prepared: Prepared, number: int) -> Expected:
    """Write a case: a model, inputs, recorded values, and the source where the judge is given it."""
    case, expected = prepared.make()
    place = folder / f"{number:02}"
    place.mkdir(parents=True, exist_ok=True)
    kind = graph_of(case.model)
    load(case.model).save(place / ("model.mlpackage" if isinstance(kind, ProgramGraph) else "model.mlmodel"))
    write_npz(case.inputs, place / "x.npz")
    write_npz({**(case.outputs or {}), **case.intermediates}, place / "device.npz")
    if case.source is not None:
        torch.save(case.source, place / "source.pt")
    return expected


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or measure the cases, and return an exit code."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.judging.recorded", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write each case there, and expected.json")
    parser.add_argument("--measure", action="store_true", help="print how far the recorded values are from right ones")
    options = parser.parse_args(arguments)
    quicken()
    everything = dict(zip([case.name for case in recorded()], [*HONEST, *CONVERTED, *BROKEN], strict=True))
    found = {}
    for number, prepared in enumerate(recorded()):
        if options.measure:
            far = distance(everything[prepared.name])
            print(f"{far.outputs:10.3g} {far.inside:10.3g}  {prepared.name}", flush=True)
        if options.out:
            found[f"{number:02}"] = {"case": prepared.name, **asdict(write(options.out, prepared, number))}
    if options.out:
        write_file(f"{json.dumps(found, indent=1)}\n".encode(), options.out / "expected.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
