"""A verdict as one page of HTML: the verdict, what was compared, and error / bound over the depth of the model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from refcoreml.errors import UsageError
from refcoreml.reporting.pages import html_figure, html_table, html_text, page
from refcoreml.reporting.plots import COLORS, beside, new_figure, png, require_matplotlib, styled
from refcoreml.reporting.tables import count_text
from refcoreml.verdicts.verdict import (
    FP16,
    FP32,
    NOT_EXPLAINED,
    SUSPICIOUS,
    UNDETERMINED,
    Compared,
    Verdict,
    worst_first,
)

__all__ = ["ratio_figure", "verdict_page"]

_STYLE = """
.verdict { border-left: 6px solid var(--accent); padding: 8px 16px; margin: 16px 0; background: #f6f8fa; }
.verdict b { font-size: 20px; } .refused { border-color: #d55e00; } .open { border-color: #e69f00; }
"""

#: How answers are drawn; by their shape, too, for print.
_MARKS = {FP32: ("o", 2), FP16: ("s", 0), UNDETERMINED: ("D", 4), SUSPICIOUS: ("^", 3), NOT_EXPLAINED: ("X", 1)}
#: Where ratios begin that are 0 or unknown, and where they end that are infinite.
_LEAST, _MOST = 1e-4, 1e6
#: So many values of a model are in a table.
_LISTED = 500

_MEANINGS = (
    (
        "error / bound",
        "the largest error of a value in terms of its likely bound: above 1 rounding does not explain it",
    ),
    ("sharpness", "the bound relative to the size of the numbers: smaller faults are not seen"),
    (SUSPICIOUS, "outside of the likely bound, inside of the proven one"),
    (UNDETERMINED, "rounding would explain almost anything there, or there was nothing to compare"),
)


def verdict_page(verdict: Verdict, name: str) -> str:
    """Return the page; without matplotlib it has no figure.

    Args:
        verdict: the verdict.
        name: the model.
    """
    return page(f"Verdict on {name}", _parts(verdict, name), _STYLE)


def _parts(verdict: Verdict, name: str) -> Iterator[str]:
    kind = "" if verdict.explained else " open" if UNDETERMINED in (verdict.answer, verdict.cause) else " refused"
    samples = count_text(len({each.sample for each in verdict.values}), "sample")
    yield f"<h1>Recorded outputs of {html_text(name)}</h1>"
    compared = count_text(len(verdict.values), "value")
    yield f'<p class="sub">{samples} &middot; {compared} compared, up to {html_text(verdict.profile)}</p>'
    operation = f"<br>Operation: {html_text(verdict.operation)}" if verdict.operation else ""
    if len(verdict.segment) > 1:
        operation += f", among {html_text(', '.join(verdict.segment))}"
    reason = html_text(verdict.reason).replace("\n", "<br>")
    yield f'<div class="verdict{kind}"><b>{html_text(verdict.headline)}</b><br>{reason}{operation}</div>'
    yield _cards(verdict)
    found = verdict.conversion
    if found is not None:
        yield "<h2>Conversion</h2>"
        shown = f"{found.values} values were compared, within {found.widest:.2g} of their numbers"
        said = found.reason or shown
        yield f"<p>{html_text(found.answer)}: {html_text(said).replace(chr(10), '<br>')}</p>"
    if verdict.values:
        yield "<h2>Error / bound along the model</h2>"
        yield _picture(verdict)
        yield "<h2>Values</h2>"
        yield _table(verdict)
        terms = "".join(f"<dt>{html_text(term)}</dt><dd>{html_text(meaning)}</dd>" for term, meaning in _MEANINGS)
        yield f"<details><summary>What the words mean</summary><dl>{terms}</dl></details>"


def _cards(verdict: Verdict) -> str:
    ratios = [each.used for each in verdict.values if each.used >= 0]
    widths = [each.width for each in verdict.values if each.output]
    cards = [
        (f"{sum(each.explained for each in verdict.values)} of {len(verdict.values)}", "values explained"),
        (f"{max(ratios):.3g}" if ratios else "-", "largest error / bound"),
        (f"{max(widths):.2g}" if widths else "-", "sharpness at the outputs"),
        (f"{verdict.probability:g}", "honest recordings refused"),
    ]
    inner = "".join(f'<div class="card"><b>{html_text(b)}</b><span>{html_text(text)}</span></div>' for b, text in cards)
    return f'<div class="cards">{inner}</div>'


def _picture(verdict: Verdict) -> str:
    try:
        require_matplotlib()
    except UsageError as error:
        return f'<p class="note">No figure: {html_text(str(error))}</p>'
    caption = "The largest error of each recorded value in terms of its likely bound, in the order in which the model"
    return html_figure(png(ratio_figure(verdict.values), 200), f"{caption} makes them.", 0.5)


def ratio_figure(values: Sequence[Compared]) -> Any:
    """Plot error / bound of values in order; those of several samples lie above each other."""
    names = list(dict.fromkeys(each.name for each in values))
    with styled():
        figure, axes = new_figure(9.0, 3.2)
        axis = axes[0, 0]
        for answer, (marker, color) in _MARKS.items():
            shown = [each for each in values if each.answer == answer]
            if shown:
                heights = [min(max(each.used if each.used >= 0 else 0.0, _LEAST), _MOST) for each in shown]
                places = [names.index(each.name) for each in shown]
                axis.plot(places, heights, marker, color=COLORS[color], markersize=5, label=answer)
        axis.axhline(1.0, color="#888888", linewidth=0.8, linestyle="--")
        axis.set_yscale("log")
        axis.set_ylabel("error / bound")
        every = math.ceil(len(names) / 24)
        axis.set_xticks(range(0, len(names), every), [_short(name) for name in names[::every]], rotation=60, ha="right")
        beside(axis)
        return figure


def _short(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:8]}...{name[-7:]}"


def _table(verdict: Verdict) -> str:
    several = len({each.sample for each in verdict.values}) > 1
    values = worst_first(verdict.values) if several else list(verdict.values)
    first = next((each for each in values if each.refused), None)
    text = ("sample", "value", "operation", "type", "answer", "reason")
    numbers = ("compared", "outside", "error", "bound", "error / bound", "sharpness")
    head = [*["sample"] * several, "value", "operation", "type", "answer", *numbers, "reason"]

    def cells(each: Compared) -> list[str]:
        words = [each.name, each.operation, each.kind, each.answer]
        counts = [f"{each.compared} of {each.size}", str(each.outside)]
        found = [f"{number:.3g}" for number in (each.error, each.bound, each.used, each.width)]
        return [*[each.sample] * several, *words, *counts, *found, each.reason]

    rows = [(cells(each), each is first) for each in values[:_LISTED]]
    rest = f'<p class="note">and {len(values) - _LISTED} more</p>' if len(values) > _LISTED else ""
    return html_table(head, rows, text) + rest
