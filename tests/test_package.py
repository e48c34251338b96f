"""The package's public names, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import refcoreml


def test_every_public_name_is_there() -> None:
    for name in refcoreml.__all__:
        assert getattr(refcoreml, name) is not None
        assert name in dir(refcoreml)
    assert refcoreml.quantization.bounds.__name__ == "refcoreml.quantization.bounds"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        refcoreml.nothing  # noqa: B018


def test_importing_it_leaves_the_rest_for_later() -> None:
    later = ["rich", "matplotlib", "hypothesis", *(f"refcoreml.{room}" for room in ("cli", *refcoreml._LATER.values()))]
    code = f"import sys, refcoreml; print([name for name in {later} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
