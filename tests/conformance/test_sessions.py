"""What the sessions that translate single layers share."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from refcoreml import build
from refcoreml.conformance import Rejected

SESSIONS = Path(__file__).resolve().parents[2] / "conformance" / "sessions"


@pytest.fixture(scope="module")
def only_layer():
    return runpy.run_path(str(SESSIONS / "one_layer.py"))["only_layer"]


def network(*kinds: str) -> build.Network:
    net = build.Network({"x": (2, 3)}, ["y"], exact=True)
    for number, kind in enumerate(kinds, 1):
        net.add(kind, outputs="y" if number == len(kinds) else f"t{number}")
    return net


def test_the_only_layer_of_a_network(only_layer, tmp_path):
    network("tanh").model().save(tmp_path / "one.mlmodel")
    spec, layer = only_layer(str(tmp_path / "one.mlmodel"))
    assert layer.WhichOneof("layer") == "tanh"
    assert [feature.name for feature in spec.description.output] == ["y"]


def test_more_layers_are_not_supported_and_no_model_is_rejected(only_layer, tmp_path):
    network("tanh", "erf").model().save(tmp_path / "two.mlmodel")
    with pytest.raises(NotImplementedError, match="one layer"):
        only_layer(str(tmp_path / "two.mlmodel"))
    (tmp_path / "none.mlmodel").write_bytes(b"no message")
    with pytest.raises(Rejected):
        only_layer(str(tmp_path / "none.mlmodel"))


@pytest.mark.parametrize("name", ["torch_layers", "onnxruntime_layers"])
def test_both_sessions_use_it(name):
    text = (SESSIONS / f"{name}.py").read_text(encoding="utf-8")
    assert "only_layer(model)" in text
    assert "read_model" not in text
