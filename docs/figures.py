"""Draws the figures of the specification from what the layers themselves compute.

python docs/figures.py             # writes docs/specification/figures/*.svg
python docs/figures.py --check     # fails if that would change them
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refcoreml import build
from refcoreml.kernels.pool import complete_windows, same_windows, valid_windows

FOLDER = Path(__file__).resolve().parent / "specification" / "figures"
INK, PALE, GREY, BLUE, RED = "#1f2933", "#e8f1fa", "#d5d9de", "#2f6fb0", "#c2410c"
CELL = 34
TIMES = "\N{MULTIPLICATION SIGN}"


def text(x: float, y: float, words: str, *, size: int = 13, anchor: str = "middle", color: str = INK) -> str:
    """Return words around a point."""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" fill="{color}">{words}</text>'


def box(x: float, y: float, width: float, height: float, fill: str = PALE, stroke: str = INK) -> str:
    """Return a rectangle."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}" stroke="{stroke}"/>'


def line(points: Sequence[tuple[float, float]], *, color: str = INK, dashed: bool = False, arrow: bool = False) -> str:
    """Return a path through points."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    more = ' stroke-dasharray="5 4"' * dashed + ' marker-end="url(#tip)"' * arrow
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"{more}/>'


def dot(x: float, y: float, words: str = "", radius: float = 4, fill: str = RED) -> str:
    """Return a disc, with a sign in it."""
    disc = f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}" stroke="{INK if words else fill}"/>'
    return disc + (text(x, y + 5, words, size=15) if words else "")


def picture(width: float, height: float, parts: Sequence[str]) -> str:
    """Return the whole file."""
    tip = f'<path d="M0,0 L8,4 L0,8 z" fill="{INK}"/>'
    size = f'width="{width:g}" height="{height:g}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="Helvetica, Arial, sans-serif">',
            f'<marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">{tip}</marker>',
            f'<rect {size} fill="white"/>',
            *parts,
            "</svg>\n",
        ]
    )


def computed(kind: str, values: Sequence[float], **fields: Any) -> list[float]:
    """Return what a layer makes of one row of pixels."""
    net = build.Network({"x": (1, 1, len(values))}, ["y"], exact=True)
    net.add(kind, outputs="y", **fields)
    return [float(value) for value in net.model().predict({"x": np.reshape(values, (1, 1, -1))})["y"].ravel()]


def padding() -> str:
    """Return a row for each kind of padding."""
    amounts = {"border_amounts": [{}, {"start_edge_size": 3, "end_edge_size": 3}]}
    parts: list[str] = []
    for row, kind in enumerate(("constant", "reflection", "replication")):
        y = 14 + row * (CELL + 16)
        parts.append(text(104, y + 22, kind, anchor="end"))
        for i, value in enumerate(computed("padding", [1, 2, 3, 4], padding_amounts=amounts, **{kind: {}})):
            x = 120 + i * CELL
            parts += [box(x, y, CELL, CELL, PALE if 3 <= i < 7 else GREY), text(x + CELL / 2, y + 22, f"{value:g}")]
    return picture(130 + 10 * CELL, 20 + 3 * (CELL + 16), parts)


def pooling() -> str:
    """Return a row of pixels and its windows for each kind of padding."""
    kinds = {
        "valid, no padding": valid_windows(6, 3, 2),
        "same, BOTTOM_RIGHT_HEAVY": same_windows(6, 3, 2),
        "same, TOP_LEFT_HEAVY": same_windows(6, 3, 2, heavy_begin=True),
        "includeLastPixel, p = 0": complete_windows(6, 3, 2, 0, trim=False),
        "includeLastPixel, p = 1": complete_windows(6, 3, 2, 1, trim=True),
    }
    parts, y = [], 14.0
    for name, windows in kinds.items():
        first = [i * windows.stride - windows.begin for i in range(windows.count)]
        parts.append(text(214, y + 22, name, anchor="end"))
        for i in range(min(0, *first), max(6, first[-1] + windows.kernel)):
            x = 264 + i * CELL
            inside = 0 <= i < 6
            parts.append(box(x, y, CELL, CELL, PALE if inside else GREY))
            parts += [text(x + CELL / 2, y + 22, str(i))] if inside else []
        for number, start in enumerate(first):
            below = y + CELL + 8 + 8 * (number % 2)
            ends = [(264 + start * CELL + 3, below), (264 + (start + windows.kernel) * CELL - 3, below)]
            parts.append(line(ends, color=(BLUE, RED)[number % 2]))
        y += CELL + 32
    return picture(264 + 8 * CELL, y, parts)


def grid(rows: dict[str, list[float]], pixels: int) -> str:
    """Return positions on a line of pixels, one line for each way to choose them."""
    step, left = 90, 250
    parts = [text(left + i * step, 24, f"x[{i}]") for i in range(pixels)]
    y = 50.0
    for name, positions in rows.items():
        parts += [text(left - 26, y + 5, name, anchor="end"), line([(left, y), (left + (pixels - 1) * step, y)])]
        parts += [line([(left + i * step, y - 7), (left + i * step, y + 7)]) for i in range(pixels)]
        seen: dict[float, int] = {}
        for position in positions:
            place = seen[position] = seen.get(position, 0) + 1
            parts.append(dot(left + position * step, y - 9 * (place - 1)))
        y += 40
    return picture(left + (pixels - 1) * step + 40, y - 5, parts)


def upsampling() -> str:
    """Read off a ramp, whose value at a place is the place."""
    modes = ("DEFAULT", "ALIGN_CORNERS_TRUE", "ALIGN_CORNERS_FALSE")
    fields = {"mode": "BILINEAR", "scaling_factor": [1, 3]}
    return grid({m: places(computed("upsample", range(3), linear_upsample_mode=m, **fields)) for m in modes}, 3)


def resizing() -> str:
    """Read off a ramp, whose value at a place is the place."""
    rows = {}
    for count in 3, 1:
        for mode in ("STRICT_ALIGN_ENDPOINTS", "ALIGN_ENDPOINTS", "UPSAMPLE", "ROI_ALIGN"):
            fields = {"target_size": [1, count], "mode": {"sampling_method": f"{mode}_MODE"}}
            rows[f"{mode}, {count}"] = places(computed("resizeBilinear", range(4), **fields))
    return grid(rows, 4)


def places(values: Sequence[float]) -> list[float]:
    """Return positions without their last digits, which differ between machines."""
    return [round(value, 4) for value in values]


def gate(x: float, y: float, name: str, function: str) -> Iterator[str]:
    """Yield a box for a gate, fed from the line of x and h below."""
    yield box(x - 26, y - 18, 52, 36)
    yield text(x, y - 1, name, size=14)
    yield text(x, y + 13, function, size=11, color=BLUE)


def sub(letter: str, index: str) -> str:
    """Return a letter with an index."""
    return f'{letter}<tspan dy="4" font-size="9">{index}</tspan><tspan dy="-4">&#8203;</tspan>'


def lstm() -> str:
    """Return one step of an LSTM."""
    cell, middle, gates, feed = 50, 120, 200, 262
    parts = [
        text(14, cell + 5, sub("c", "t-1"), anchor="start"),
        text(14, feed + 5, sub("x", "t") + sub(", h", "t-1"), anchor="start"),
        line([(44, cell), (606, cell)], arrow=True),
        line([(70, feed), (500, feed)]),
        line([(150, gates - 18), (150, cell + 12)], arrow=True),
        line([(260, gates - 18), (260, middle), (298, middle)], arrow=True),
        line([(360, gates - 18), (360, middle), (322, middle)], arrow=True),
        line([(310, middle - 12), (310, cell + 12)], arrow=True),
        line([(500, gates - 18), (500, middle + 12)], arrow=True),
        line([(500, cell), (500, middle - 12)], arrow=True),
        line([(512, middle), (606, middle)], arrow=True),
        line([(90, cell), (90, gates), (122, gates)], dashed=True, arrow=True),
        line([(220, cell), (220, gates), (232, gates)], dashed=True, arrow=True),
        line([(440, cell), (440, gates), (472, gates)], dashed=True, arrow=True),
        dot(150, cell, TIMES, 12, "white"),
        dot(310, cell, "+", 12, "white"),
        dot(310, middle, TIMES, 12, "white"),
        dot(500, middle, TIMES, 12, "white"),
        text(384, cell - 8, "clip", size=11, color=BLUE),
        text(514, 88, "h", size=12, color=BLUE),
        text(612, cell + 5, sub("c", "t"), anchor="start"),
        text(612, middle + 5, sub("h", "t"), anchor="start"),
    ]
    for x, name, function in ((150, "forget", "f"), (260, "i", "f"), (360, "z", "g"), (500, "o", "f")):
        parts += [line([(x, feed), (x, gates + 18)], arrow=True), *gate(x, gates, name, function)]
    return picture(640, 285, parts)


def gru() -> str:
    """Return one step of a GRU."""
    state, middle, gates, feed = 50, 120, 200, 262
    parts = [
        text(14, state + 5, sub("h", "t-1"), anchor="start"),
        text(14, feed + 5, sub("x", "t"), anchor="start"),
        line([(44, state), (606, state)], arrow=True),
        line([(34, feed), (460, feed)]),
        line([(90, state), (90, gates), (102, gates)], arrow=True),
        line([(130, gates - 18), (130, middle), (198, middle)], arrow=True),
        line([(210, state), (210, middle - 12)], arrow=True),
        line([(210, middle + 12), (210, gates), (252, gates)], arrow=True),
        line([(280, gates - 18), (280, middle), (448, middle)], arrow=True),
        line([(460, middle - 12), (460, 85), (540, 85), (540, state + 12)], arrow=True),
        line([(350, state), (350, gates), (432, gates)], arrow=True),
        line([(460, gates - 18), (460, middle + 12)], arrow=True),
        line([(400, 160), (400, state + 12)], arrow=True),
        line([(460, 160), (400, 160)]),
        dot(210, middle, TIMES, 12, "white"),
        dot(400, state, TIMES, 12, "white"),
        dot(460, middle, TIMES, 12, "white"),
        dot(540, state, "+", 12, "white"),
        text(476, 150, "1 - z", size=12, anchor="start", color=BLUE),
        text(388, 150, "z", size=12, anchor="end", color=BLUE),
        text(612, state + 5, sub("h", "t"), anchor="start"),
    ]
    for x, name, function in ((130, "r", "f"), (280, "o", "g"), (460, "z", "f")):
        parts += [line([(x, feed), (x, gates + 18)], arrow=True), *gate(x, gates, name, function)]
    return picture(640, 285, parts)


FIGURES = {figure.__name__: figure for figure in (padding, pooling, upsampling, resizing, lstm, gru)}


def stale() -> list[str]:
    """Return the figures that are not what is on disk."""
    paths = {name: FOLDER / f"{name}.svg" for name in FIGURES}
    return [
        f"specification/figures/{name}.svg is stale: run python docs/figures.py"
        for name, path in paths.items()
        if not path.exists() or path.read_text(encoding="utf-8") != FIGURES[name]()
    ]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Draws docs/specification/figures/*.svg.")
    parser.add_argument("--check", action="store_true", help="only say which are not current")
    if not parser.parse_args().check:
        FOLDER.mkdir(exist_ok=True)
        for name, figure in FIGURES.items():
            (FOLDER / f"{name}.svg").write_text(figure(), encoding="utf-8", newline="\n")
    problems = stale()
    print("\n".join(problems) or "All figures are current.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
