"""Writes the lists of docs/equivalence.md: ``python docs/equivalence.py``; needs torch."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

PAGE = Path(__file__).resolve().parent / "equivalence.md"


def lists() -> str:
    """Return what the grammar has, and what is known to go wrong."""
    from campaigns.converter import REFUSALS
    from campaigns.torch_grammar import OPERATORS, SHAPES
    from refcoreml.testing.defects import DEFECTS

    lines = [f"{len(SHAPES)} network shapes: {', '.join(SHAPES)}.", ""]
    lines += [f"{len(OPERATORS)} operators: {', '.join(f'`{name}`' for name in sorted(OPERATORS))}.", ""]
    lines += ["| defect | cause |", "|---|---|"]
    lines += [f"| {entry.title} | {entry.why} |" for entry in DEFECTS.values()]
    lines += ["", "It refuses: " + "; ".join(REFUSALS.values()) + "."]
    return "\n".join(lines)


def page() -> str:
    """Return the page as it should be."""
    text = PAGE.read_text(encoding="utf-8")
    return re.sub(r"(<!-- lists -->\n).*(\n<!-- end -->)", lambda m: m[1] + lists() + m[2], text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
