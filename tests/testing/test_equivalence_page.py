"""The page about equivalence lists what there is."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_is_current():
    pytest.importorskip("torch", reason="needs torch, of the extra oracles")
    page = runpy.run_path(str(DOCS / "equivalence.py"))["page"]()
    assert page == (DOCS / "equivalence.md").read_text(encoding="utf-8"), "run python docs/equivalence.py"
