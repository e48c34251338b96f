"""Write a study down: tables, figures, and one HTML file that holds them all and needs nothing else."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from refcoreml.errors import UsageError
from refcoreml.features import ImageFeature
from refcoreml.reporting.pages import html_figure, html_table, html_text, page
from refcoreml.reporting.plots import png, require_matplotlib
from refcoreml.reporting.results import to_json, write_text
from refcoreml.storage.writing import write_file
from refcoreml.studies import figures as draw
from refcoreml.studies.evaluate import how
from refcoreml.studies.measurements import Measurements
from refcoreml.studies.records import Record, decibels
from refcoreml.studies.sheet import contact_sheet

__all__ = ["write_report"]

_DPI = 150


#: One of them is in every folder that a study has written to, before all else.
_OURS = ("records.jsonl", "study.json")
_FILES = ("study.csv", "plan.json", "report.html")


def check_folder(folder: Path) -> Path:
    """Return the folder of a study; refuses one with files that `write_report` would replace and did not write.

    Raises:
        UsageError: it holds such files, or is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError("is no folder", where=str(folder))
    if any((folder / name).exists() for name in _OURS):
        return folder
    names = (*_FILES, *(f"{name}.png" for name in _CAPTIONS))
    found = [name for name in names if os.path.lexists(folder / name)]
    if found:
        raise UsageError(
            f"holds {', '.join(found)}, which no study has written",
            where=str(folder),
            remedy="Choose another folder, or move what is in this one",
        )
    return folder


def write_report(study: Measurements, folder: Path) -> list[Path]:
    """Write the report, see `Study.write`."""
    require_matplotlib()
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot be written: {error}", where=str(folder)) from error
    study.to_json(folder / "study.json")  # first, see `check_folder`
    study.to_csv(folder / "study.csv")
    written = [folder / "study.json", folder / "study.csv"]
    if study.plan is not None:
        plan = {layer: [bits, how(mode)[0]] for layer, bits, mode in study.plan.configuration.plan}
        to_json(plan, folder / "plan.json")
        written.append(folder / "plan.json")
    figures: dict[str, bytes] = {}
    for name, drawn in _figures(study).items():
        content = drawn()
        if content is not None:
            figures[name] = content
            write_file(content, folder / f"{name}.png")
            written.append(folder / f"{name}.png")
    write_text(html(study, figures), folder / "report.html")
    return [*written, folder / "report.html"]


def _figures(study: Measurements) -> dict[str, Callable[[], bytes | None]]:
    return {
        "size": lambda: _png(draw.size_figure(study)),
        "sensitivity": lambda: _png(draw.sensitivity_figure(study)),
        "plan": lambda: _png(draw.plan_figure(study)),
        "weights": lambda: _png(draw.weights_figure(study)),
        "bounds": lambda: _png(draw.bounds_figure(study)),
        "sheet": lambda: _sheet(study),
    }


def _png(figure: Any) -> bytes | None:
    return None if figure is None else png(figure, _DPI)


def _sheet(study: Measurements) -> bytes | None:
    if not any(isinstance(feature, ImageFeature) for feature in study.model.outputs):
        return None
    sweep = [record.configuration for record in study.of_kind("sweep")]
    modes = list(dict.fromkeys(c.mode for c in sweep if c.mode))
    mode = "kmeans" if "kmeans" in modes else modes[0] if modes else "linear"
    bits = [32, *sorted({c.bits for c in sweep if c.bits < 32 and c.mode in (mode, "")}, reverse=True)]
    buffer = io.BytesIO()
    contact_sheet(study.model, study.source, bits, mode, select=study.select).save(buffer, "PNG")
    return buffer.getvalue()


_CAPTIONS = {
    "size": "Size against what is kept. Each mark is a model with all weights stored alike; numbers are bits.",
    "sensitivity": "Output noise when one layer alone is quantized (filled), and when all but that layer are (hollow; a"
    " low mark there means that the layer causes much of the noise).",
    "plan": "The bits of each layer in the plan.",
    "weights": "Weights of the largest layers (gray) and the levels that they are stored as. Where each channel has"
    " levels of its own, the marks are quantiles of all of them.",
    "bounds": "Error of a weight against its proven bound: of each array the weight that is closest to its bound. No"
    " mark may lie above the line.",
    "sheet": "Outputs at several numbers of bits, and how far they are from those of the model as given.",
}

_TERMS = {
    "size": "bytes of the .mlmodel file, metadata and layers without weights included",
    "SNR": "10 log10(sum of squares of the reference / sum of squares of the error) in decibels, over all elements of"
    " all samples, in float64; nothing is added to the noise. 20 dB is an error of a tenth, 40 dB of a hundredth. Of"
    " several outputs, the least",
    "agreement": "how often the quantized model's best label is that of the model as given. A tie for the best place"
    " counts as neither; ties are listed apart",
    "accuracy": "how often the best label is the true one",
    "quantize": "seconds that it took to quantize; depends on the machine and on what else it did",
}


def html(study: Measurements, figures: dict[str, bytes]) -> str:
    """Return the report as one page without references to anything outside it."""
    parts = [
        f"<h1>Quantization of {html_text(study.name)}</h1>",
        f'<p class="sub">{html_text(study.model.kind)} &middot; {len(study.layers)} layers to quantize &middot; '
        f"{study.samples:,} samples"
        + (f" &middot; weights: {html_text(', '.join(study.select))}" if study.select else "")
        + (f" &middot; {len(study.skipped)} broken files skipped" if study.skipped else "")
        + "</p>",
        _cards(study),
        "<h2>All layers alike</h2>",
        _table(study.of_kind("sweep"), best=_recommended(study)),
        _figure("size", figures),
    ]
    if study.plan is not None:
        parts += [
            "<h2>Each layer its own number of bits</h2>",
            _table([study.plan]),
            _figure("plan", figures),
            f"<details><summary>Bits by layer</summary>{_plan_table(study.plan)}</details>",
        ]
    if "sensitivity" in figures:
        parts += ["<h2>Which layers matter</h2>", _figure("sensitivity", figures), _sensitive(study)]
    if "sheet" in figures:
        parts += ["<h2>Outputs</h2>", _figure("sheet", figures)]
    if "weights" in figures:
        parts += ["<h2>Weights and their levels</h2>", _figure("weights", figures)]
    if "bounds" in figures:
        parts += ["<h2>Errors and their bounds</h2>", _figure("bounds", figures)]
    terms = "".join(f"<dt>{html_text(name)}</dt><dd>{html_text(text)}.</dd>" for name, text in _TERMS.items())
    parts += ["<h2>What the numbers mean</h2>", f"<dl>{terms}</dl>"]
    if study.skipped:
        parts.append(f'<p class="note">Skipped as broken: {html_text(", ".join(study.skipped))}</p>')
    return page(f"Quantization of {study.name}", parts)


def _figure(name: str, figures: dict[str, bytes]) -> str:
    if name not in figures:
        return ""
    # Plots are shown at a size that makes their text as large as the page's.
    return html_figure(figures[name], _CAPTIONS[name], 1.0 if name == "sheet" else 1.25 * 96 / _DPI)


def _recommended(study: Measurements) -> Record | None:
    """Return the smallest model of the sweep with 99 % of the agreement, or 30 dB where there are no labels."""
    kept = [
        record
        for record in study.of_kind("sweep")
        if record.configuration.bits < 32
        and (record.agreement >= 0.99 if record.agreement is not None else (record.snr or -math.inf) >= 30)
    ]
    return min(kept, key=lambda record: (record.size, -(record.snr or 0)), default=None)


def _cards(study: Measurements) -> str:
    full_accuracy = next((record.full_accuracy for record in study.records if record.full_accuracy is not None), None)
    facts = [(f"{study.size / 1000:,.0f} kB", "as given")]
    if full_accuracy is not None:
        facts.append((f"{full_accuracy:.2%}", "accuracy as given"))
    best = _recommended(study)
    if best is not None:
        kept = "99 % agreement" if best.agreement is not None else "30 dB SNR"
        how = f"{best.configuration.bits} bits {best.configuration.mode}"
        facts.append((f"{best.size / 1000:,.0f} kB", f"smallest with {kept}: {how}"))
    if study.plan is not None:
        facts.append((f"{study.plan.size / 1000:,.0f} kB", "with a plan by layer"))
    cards = "".join(
        f'<div class="card"><b>{html_text(value)}</b><span>{html_text(text)}</span></div>' for value, text in facts
    )
    return f'<div class="cards">{cards}</div>'


def _table(records: Sequence[Record], best: Record | None = None) -> str:
    labelled = any(record.agreement is not None for record in records)
    judged = any(record.accuracy is not None for record in records)
    tied = any(record.agreement_tied for record in records)
    head = ["bits", "mode", "size", "of full", "weight SNR", "output SNR"]
    head += ["agreement"] * labelled + ["tied"] * tied + ["accuracy"] * judged + ["quantize"]
    rows = []
    for record in records:
        c = record.configuration
        cells = [str(c.bits) if c.bits else "mixed", c.mode or ("plan" if c.kind == "plan" else "float")]
        cells += [f"{record.size:,}", f"{record.ratio:.1%}", _decibel(record.weight_snr), _decibel(record.snr)]
        cells += [f"{record.agreement:.2%}" if record.agreement is not None else ""] * labelled
        cells += [f"{record.agreement_tied:.2%}"] * tied
        cells += [f"{record.accuracy:.2%}" if record.accuracy is not None else ""] * judged
        cells += [f"{record.quantize_seconds:.2f} s"]
        rows.append((cells, record is best))
    note = '<p class="note">Marked: the smallest that keeps nearly all.</p>' if best is not None else ""
    return html_table(head, rows, text=("mode",)) + note


def _decibel(value: float | None) -> str:
    text = decibels(value)
    return text if text in ("", "exact", "not finite") else f"{text} dB"


def _plan_table(record: Record) -> str:
    rows = [((layer, str(bits), mode), False) for layer, bits, mode in record.configuration.plan]
    return html_table(("layer", "bits", "mode"), rows, text=("layer", "mode"))


def _sensitive(study: Measurements) -> str:
    """Return the layers by the noise that each adds alone."""
    records = sorted(study.of_kind("only"), key=lambda record: -record.noise)
    rows = []
    for record in records:
        c = record.configuration
        saved = study.size - record.size
        cells = (c.layer, str(c.bits), c.mode, f"{saved:,}", _decibel(record.snr), _decibel(record.weight_snr))
        rows.append((cells, False))
    table = html_table(
        ("layer", "bits", "mode", "bytes saved", "output SNR", "weight SNR"), rows, text=("layer", "mode")
    )
    return f"<details><summary>One layer at a time, the most sensitive first ({len(rows)})</summary>{table}</details>"
