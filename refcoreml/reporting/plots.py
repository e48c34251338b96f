"""The style of all figures, one that goes into a paper. Needs matplotlib, the extra ``plot``."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refcoreml.errors import UsageError
from refcoreml.storage.writing import write_file

__all__ = ["COLORS", "beside", "new_figure", "patch", "png", "require_matplotlib", "save", "styled"]

#: Colours that stay apart for people who are colour-blind and in print (Okabe and Ito, 2008).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

_STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "savefig.bbox": "tight",
    "svg.fonttype": "none",
    "text.parse_math": False,  # a layer's name may hold anything
    "svg.hashsalt": "refcoreml",
}


def require_matplotlib() -> None:
    """Raise `UsageError` that names the extra if matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError("plots need matplotlib, which is not installed", remedy="pip install matplotlib") from error


@contextmanager
def styled() -> Iterator[None]:
    """Set the style of all figures for a while; that of the caller stays as it was."""
    require_matplotlib()
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def new_figure(width: float, height: float, columns: int = 1, rows: int = 1, **options: Any) -> tuple[Any, Any]:
    """Return a figure of so many inches and its axes, without any window."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def beside(axis: Any, **options: Any) -> None:
    """Put a legend on the right of the axes, where it covers nothing."""
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), **options)


def save(figure: Any, path: str | Path | None) -> Any:
    """Write the figure if there is a path, and return it."""
    if path is not None:
        kind = Path(path).suffix.lower().lstrip(".")
        if kind not in ("png", "svg", "pdf"):
            raise UsageError("the name must end in .png, .svg or .pdf", where=str(path))
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind)
        write_file(buffer.getvalue(), path)
    return figure


def png(figure: Any, dpi: int) -> bytes:
    """Return the figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def patch(color: str, label: str) -> Any:
    """Return a mark of one colour, for a legend."""
    from matplotlib.patches import Patch

    return Patch(color=color, label=label)
