"""Reports: pages of HTML that need nothing outside them."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

from refcoreml.errors import harmless

__all__ = ["html_figure", "html_table", "html_text", "page"]

_STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --dim: #5b6570; --line: #dfe3e8; --accent: #0072b2; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; color: var(--ink); margin: 0 auto;
  max-width: 1080px; padding: 32px 24px 64px; background: #fff; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 40px 0 8px; }
p.sub { color: var(--dim); margin: 0 0 24px; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 0 0 8px; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 10px 16px; min-width: 150px; }
.card b { display: block; font-size: 20px; } .card span { color: var(--dim); font-size: 13px; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: 5px 10px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--dim); font-weight: 600; } td.text, th.text { text-align: left; white-space: normal; }
tr.best td { background: #eef6fb; font-weight: 600; }
.wide { overflow-x: auto; }
figure { margin: 12px 0 0; } figure img { max-width: 100%; height: auto; }
figcaption, .note { color: var(--dim); font-size: 13.5px; margin-top: 4px; }
details { margin-top: 8px; } summary { cursor: pointer; color: var(--accent); }
dt { font-weight: 600; margin-top: 8px; } dd { margin: 0; }
"""


def html_text(text: str) -> str:
    """Return text as it can stand in a page."""
    return html.escape(harmless(text, keep="\n"))


def page(title: str, body: Iterable[str], style: str = "") -> str:
    """Return a page of HTML in the style of all reports, and in one of its own; parts that are empty are left out."""
    parts = "\n".join(filter(None, body))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html_text(title)}</title><style>{_STYLE}{style}</style></head>\n"
        f"<body>\n{parts}\n</body></html>\n"
    )


def html_table(head: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]], text: Sequence[str] = ()) -> str:
    """Return a table of HTML.

    Args:
        head: the titles of the columns.
        rows: cells, and whether the row is marked as the best.
        text: the columns that hold words rather than numbers.
    """

    def row(tag: str, cells: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=text' if title in text else ''}>{html_text(cell)}</{tag}>"
            for title, cell in zip(head, cells, strict=True)
        )

    body = "".join(f"<tr{' class=best' if best else ''}>{row('td', cells)}</tr>" for cells, best in rows)
    return f'<div class="wide"><table><thead><tr>{row("th", head)}</tr></thead><tbody>{body}</tbody></table></div>'


def html_figure(content: bytes, caption: str, scale: float = 1.0) -> str:
    """Return a PNG, held by the page itself, with its caption; its pixels are shown larger or smaller by the scale."""
    text = html_text(caption)
    width = int.from_bytes(content[16:20], "big") * scale  # a PNG's width is at byte 16
    data = base64.b64encode(content).decode()
    image = f'<img alt="{text}" width="{width:.0f}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"
