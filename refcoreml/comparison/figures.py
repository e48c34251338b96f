"""Figures of comparisons. Needs matplotlib, the extra ``plot``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refcoreml.comparison.differences import LayerDifference, OutputComparison
from refcoreml.reporting.plots import COLORS, beside, new_figure, patch, save, styled

__all__ = ["layers_figure", "outputs_figure"]


def outputs_figure(outputs: Sequence[OutputComparison], path: str | Path | None) -> Any:
    """Plot agreement (and accuracy) by k, and SNR and PSNR by output."""
    with styled():
        rated = [output for output in outputs if output.agreement]
        rated = [output for output in rated if output.difference is not None] or rated
        numeric = [output for output in outputs if output.difference is not None]
        figure, axes = new_figure(4.4 * bool(rated) + 3.4 * bool(numeric), 2.6, bool(rated) + bool(numeric))
        if rated:
            _draw_rates(axes[0, 0], rated)
        if numeric:
            _draw_noise(axes[0, -1], numeric)
        return save(figure, path)


def _draw_rates(axis: Any, outputs: Sequence[OutputComparison]) -> None:
    bars = [
        (f"{output.name}\ntop-{k}", title, rates[k])
        for output in outputs
        for k in output.agreement
        for title, rates in (
            ("agreement", output.agreement),
            ("accuracy, reference", output.accuracy_reference),
            ("accuracy, candidate", output.accuracy_candidate),
        )
        if k in rates
    ]
    groups, titles = list(dict.fromkeys(bar[0] for bar in bars)), list(dict.fromkeys(bar[1] for bar in bars))
    width = 0.8 / len(titles)
    for group, title, rate in bars:
        column = titles.index(title)
        x = groups.index(group) + (column - (len(titles) - 1) / 2) * width
        axis.bar(x, 100 * rate.rate, width, color=COLORS[column])
        axis.bar(x, 100 * (rate.upper - rate.rate), width, 100 * rate.rate, color=COLORS[column], alpha=0.35)
    axis.set_xticks(range(len(groups)), groups)
    axis.set_ylim(0, 100)
    axis.set_ylabel("% of samples")
    axis.grid(axis="x", visible=False)
    handles = [patch(color, title) for color, title in zip(COLORS, titles, strict=False)]
    if any(rate.tied for _, _, rate in bars):
        handles.append(patch("#bbbbbb", "tied"))
    beside(axis, handles=handles)
    axis.set_title("Labels")


def _draw_noise(axis: Any, outputs: Sequence[OutputComparison]) -> None:
    positions = np.arange(len(outputs))
    for offset, name, color in ((-0.2, "snr", COLORS[0]), (0.2, "psnr", COLORS[5])):
        values = np.array([getattr(output.difference, name) for output in outputs])
        finite = np.where(np.isfinite(values), values, 0)
        axis.bar(positions + offset, finite, 0.4, color=color, label=name.upper())
        for x, value, height in zip(positions + offset, values, finite, strict=True):
            text = f"{value:.1f}" if np.isfinite(value) else "exact" if value > 0 else str(value)
            axis.annotate(text, (x, max(height, 0)), (0, 2), textcoords="offset points", ha="center", fontsize=7)
    axis.set_xticks(positions, [output.name for output in outputs])
    axis.set_ylabel("dB")
    axis.grid(axis="x", visible=False)
    axis.margins(y=0.15)
    beside(axis)
    axis.set_title("Numbers")


def layers_figure(rows: Sequence[LayerDifference], path: str | Path | None) -> Any:
    """Plot noise relative to the signal, own and accumulated, layer by layer."""
    with styled():
        figure, axes = new_figure(min(max(4.5, 0.12 * len(rows)), 11), 3.2)
        axis = axes[0, 0]
        x = np.arange(len(rows))
        own = np.array([row.own.snr if row.own is not None else np.nan for row in rows])
        accumulated = np.array([row.accumulated.snr for row in rows])
        for values, color, label, options in (
            (accumulated, COLORS[1], "accumulated", {"linestyle": "-", "linewidth": 1.2}),
            (own, COLORS[0], "own", {"linestyle": "", "marker": "o", "markersize": 4}),
        ):
            axis.plot(x, np.where(np.isfinite(values), -values, np.nan), color=color, label=label, **options)
        if len(rows) <= 40:
            axis.set_xticks(x, [row.layer for row in rows], rotation=90, fontsize=7)
        else:
            axis.set_xlabel("layer")
        axis.set_ylabel("noise / signal (dB)")
        beside(axis)
        axis.set_title("Error by layer (none where there is no mark)")
        return save(figure, path)
