"""Draws the pictures of the README from what the commands print: ``python docs/pictures.py``."""

from __future__ import annotations

import re
from pathlib import Path

from rich.console import Console

from refcoreml.cli import console, demo, main

HERE = Path(__file__).resolve().parent


def draw(name: str, width: int, *arguments: str) -> None:
    """Run a command and keep what it prints as an SVG that asks the network for nothing."""
    recorder = Console(record=True, width=width, file=console.out.file, force_terminal=True)
    demo.out = recorder
    main(list(arguments))
    svg = recorder.export_svg(title=f"refcoreml {' '.join(arguments)}", unique_id=name)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "Menlo, Consolas, monospace")
    (HERE / f"{name}.svg").write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    draw("demo", 88, "demo")
