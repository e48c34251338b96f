"""Figures of studies. Needs matplotlib, the extra ``plot``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refcoreml import quantization
from refcoreml.reporting.plots import COLORS, beside, new_figure, styled
from refcoreml.studies.evaluate import quantized_as
from refcoreml.studies.measurements import Measurements
from refcoreml.studies.records import Record

__all__ = ["bounds_figure", "plan_figure", "sensitivity_figure", "size_figure", "weights_figure"]

_MARKERS = "osD^v"


def size_figure(study: Measurements) -> Any:
    """Plot size against agreement (and accuracy), and against output SNR."""
    sweep = study.of_kind("sweep")
    panels: list[tuple[str, str, float]] = []
    if any(record.agreement is not None for record in sweep):
        panels.append(("agreement", "top-1 agreement (%)", 100))
    if any(record.accuracy is not None for record in sweep):
        panels.append(("accuracy", "top-1 accuracy (%)", 100))
    if any(_finite(record.snr) for record in sweep):
        panels.append(("snr", "output SNR (dB)", 1))
    if not panels:
        return None
    with styled():
        figure, axes = new_figure(3.2 * len(panels) + 1.0, 3.0, len(panels))
        for axis, (name, label, factor) in zip(axes[0], panels, strict=True):
            _draw_sweep(axis, study, sweep, name, factor)
            if name == "accuracy":
                given = next(record.full_accuracy for record in sweep if record.full_accuracy is not None)
                axis.axhline(factor * given, color="#888888", linewidth=0.8, linestyle="--", label="as given")
            axis.set_xlabel("size (% of the model as given)")
            axis.set_ylabel(label)
        beside(axes[0, -1])
        if len(panels) > 1 and panels[1][0] == "accuracy":
            handles, labels = axes[0, 1].get_legend_handles_labels()
            axes[0, -1].legend(handles, labels, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def _draw_sweep(axis: Any, study: Measurements, sweep: list[Record], name: str, factor: float) -> None:
    floats = [record for record in sweep if not record.configuration.mode]
    modes = list(dict.fromkeys(record.configuration.mode for record in sweep if record.configuration.mode))
    for mode, color, marker in zip(modes, COLORS, _MARKERS, strict=False):
        records = [record for record in sweep if record.configuration.mode == mode] + floats
        points = [
            (100 * record.ratio, factor * getattr(record, name), record.configuration.bits)
            for record in records
            if _finite(getattr(record, name))
        ]
        points.sort()
        if not points:
            continue
        x, y, bits = zip(*points, strict=True)
        axis.plot(x, y, color=color, marker=marker, markersize=4.5, linewidth=1.2, label=mode)
        if mode == modes[-1]:  # where the others are is plain then, and numbers would lie on one another
            for at, up, number in zip(x, y, bits, strict=True):
                axis.annotate(str(number), (at, up), (0, 5), textcoords="offset points", ha="center", fontsize=7)
    if study.plan is not None and _finite(getattr(study.plan, name)):
        plan = (100 * study.plan.ratio, factor * getattr(study.plan, name))
        axis.plot(*plan, color=COLORS[6], marker="*", markersize=11, linestyle="", label="plan by layer")
    axis.set_xscale("log")
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100) if tick >= 50 * min(record.ratio for record in sweep)]
    axis.set_xticks(ticks, [f"{tick}" for tick in ticks])
    axis.minorticks_off()
    axis.margins(y=0.12)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def sensitivity_figure(study: Measurements) -> Any:
    """Plot output noise by layer, for each number of bits that was measured one layer at a time."""
    records = [*study.of_kind("only"), *study.of_kind("except")]
    # The search for a plan may have measured another mode, which would look like a contradiction here.
    modes = {record.configuration.mode for record in study.of_kind("except")}
    if modes:
        records = [record for record in records if record.configuration.mode in modes]
    if not any(_finite(record.snr) for record in records):
        return None
    bits = sorted({record.configuration.bits for record in records}, reverse=True)
    positions = {layer: position for position, layer in enumerate(study.layers)}
    with styled():
        figure, axes = new_figure(min(max(5.0, 0.17 * len(study.layers) + 1.5), 11), 3.4)
        axis = axes[0, 0]
        for number, color, marker in zip(bits, COLORS * 2, _MARKERS * 3, strict=False):
            for kind, filled in (("only", True), ("except", False)):
                found = [
                    (positions[record.configuration.layer], -record.snr)
                    for record in records
                    if record.configuration.bits == number
                    and record.configuration.kind == kind
                    and record.snr is not None
                    and math.isfinite(record.snr)
                ]
                if found:
                    x, y = zip(*sorted(found), strict=True)
                    axis.plot(
                        x,
                        y,
                        linestyle="",
                        marker=marker,
                        markersize=5 if len(positions) <= 60 else 3.5,
                        color=color,
                        markerfacecolor=color if filled else "none",
                        label=f"{number} bits, {'only this layer' if filled else 'all but this layer'}",
                    )
        _layer_ticks(axis, study.layers)
        axis.set_ylabel("output noise / signal (dB)")
        beside(axis)
        return figure


def _layer_ticks(axis: Any, layers: list[str]) -> None:
    if len(layers) <= 60:
        axis.set_xticks(range(len(layers)), [_short(layer) for layer in layers], rotation=90, fontsize=6.5)
    else:
        axis.set_xlabel("layer with weights, in the network's order")
    axis.set_xlim(-0.7, len(layers) - 0.3)


def _short(name: str, most: int = 24) -> str:
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-most // 2 :]}"


def plan_figure(study: Measurements) -> Any:
    """Plot the bits of each layer in the plan."""
    if study.plan is None:
        return None
    chosen = {layer: bits for layer, bits, _ in study.plan.configuration.plan}
    with styled():
        figure, axes = new_figure(min(max(5.0, 0.17 * len(study.layers) + 1.5), 11), 2.6)
        axis = axes[0, 0]
        bits = [chosen.get(layer, 0) for layer in study.layers]
        axis.bar(range(len(bits)), bits, color=COLORS[0])
        for position, number in enumerate(bits):
            if not number:
                axis.annotate(
                    "float",
                    (position, 0),
                    (0, 2),
                    textcoords="offset points",
                    ha="center",
                    rotation=90,
                    fontsize=6.5,
                    color="#555555",
                )
        _layer_ticks(axis, study.layers)
        axis.grid(axis="x", visible=False)
        axis.set_ylabel("bits")
        return figure


def weights_figure(study: Measurements, most: int = 6) -> Any:
    """Plot histograms of the largest arrays of weights, with the levels of up to 4 bits."""
    configurations = [
        record.configuration
        for record in study.of_kind("sweep")
        if record.configuration.mode and record.configuration.bits <= 4
    ]
    if not configurations:
        return None
    number = max(configuration.bits for configuration in configurations)
    configurations = [configuration for configuration in configurations if configuration.bits == number]
    configurations = list(dict.fromkeys([configurations[0], configurations[-1]]))
    full = list(quantization.weight_tensors(study.model))
    largest = sorted(sorted(range(len(full)), key=lambda i: -math.prod(full[i].shape))[:most])
    stored = [list(quantization.weight_tensors(quantized_as(study.model, c, study.select))) for c in configurations]
    with styled():
        columns = min(3, len(largest))
        rows = -(-len(largest) // columns)
        figure, axes = new_figure(3.3 * columns, 2.3 * rows + 0.3, columns, rows)
        for axis in axes.flat[len(largest) :]:
            axis.set_visible(False)
        for axis, index in zip(axes.flat, largest, strict=False):
            values = np.asarray(full[index].values(), np.float64).reshape(-1)
            axis.hist(values, 80, color="#b8bec6")
            axis.set_yscale("log")
            axis.grid(axis="x", visible=False)
            top = axis.get_ylim()[1]
            axis.set_ylim(0.7, top * (3 if len(stored) > 1 else 1.8))
            for row, (tensors, configuration) in enumerate(zip(stored, configurations, strict=True)):
                levels = np.unique(tensors[index].values())
                if len(levels) > 2**number:  # a level for each channel: show where they are dense
                    levels = np.quantile(levels, np.linspace(0, 1, 2**number))
                height = top * (1.5 if row == 0 else 2.4)
                axis.plot(
                    levels, np.full(len(levels), height), "|", color=COLORS[row], markersize=7, label=configuration.mode
                )
            field = full[index].field.rpartition(".")[2]
            name = _short(full[index].layer) + (f" {field}" if field != "weights" else "")
            axis.set_title(f"{name} ({values.size:,})", fontsize=7)
            axis.tick_params(labelsize=7)
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, [f"{label}, {number} bits" for label in labels], loc="outside upper right", ncols=2)
        return figure


def bounds_figure(study: Measurements) -> Any:
    """Plot the error closest to its bound in each array of weights, over the sweep."""
    points = [
        (record.configuration, bound, error)
        for record in study.of_kind("sweep")
        for bound, error in record.bounds
        if bound > 0
    ]
    if not points:
        return None
    with styled():
        figure, axes = new_figure(4.6, 3.4)
        axis = axes[0, 0]
        most = [bound for _, bound, _ in points]
        line = [min(most) / 2, max(most) * 2]
        axis.plot(line, line, color="#888888", linewidth=0.8, label="error = bound")
        modes = list(dict.fromkeys(configuration.mode or "half precision" for configuration, _, _ in points))
        for mode, color, marker in zip(modes, COLORS, _MARKERS, strict=False):
            found = [(b, e) for configuration, b, e in points if (configuration.mode or "half precision") == mode and e]
            if found:
                x, y = zip(*found, strict=True)
                axis.plot(x, y, linestyle="", marker=marker, markersize=3, alpha=0.6, color=color, label=mode)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("bound of a weight's error")
        axis.set_ylabel("error")
        beside(axis)
        return figure
