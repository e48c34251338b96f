"""Recorded arrays in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from refcoreml import build
from refcoreml.errors import UsageError
from refcoreml.verdicts.files import recorded_arrays


def test_one_file_is_of_one_input(tmp_path: Path) -> None:
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("activation", inputs=["x"], outputs="y", ReLU={})
    np.savez(tmp_path / "cat.npz", y=np.ones(3, np.float32))
    np.savez(tmp_path / "dog.npz", y=np.zeros(3, np.float32))
    found = recorded_arrays(tmp_path, net.model(), ["cat.jpg", "dog.png"])
    assert [each["y"].tolist() for each in found] == [[1, 1, 1], [0, 0, 0]]
    with pytest.raises(UsageError, match=r"cat\.npz: is of both 'cat\.jpg' and 'cat\.png'"):
        recorded_arrays(tmp_path, net.model(), ["cat.jpg", "cat.png"])
