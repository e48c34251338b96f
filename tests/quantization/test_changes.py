"""What `weight_changes` takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import refcoreml
from refcoreml import build
from refcoreml.quantization import weight_changes


def test_weight_changes_take_what_load_takes(tmp_path: Path) -> None:
    net = build.Network({"x": (30,)}, ["y"], exact=True)
    weights = np.arange(210).reshape(7, 30) / 210
    net.add("innerProduct", name="dense", outputs="y", inputChannels=30, outputChannels=7, weights=weights)
    before, after = tmp_path / "net.mlmodel", tmp_path / "small.mlmodel"
    net.model().save(before)
    refcoreml.quantize_weights(before, 8).save(after)
    expected = weight_changes(refcoreml.load(before), refcoreml.load(after))
    assert [change.bits_after for change in expected] == [8]
    assert weight_changes(before, str(after)) == expected
    assert weight_changes(before.read_bytes(), refcoreml.load(after).spec) == expected
    assert weight_changes(before.open("rb"), after) == expected
