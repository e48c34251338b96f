"""What commands show at every width: numbers are whole, lines fit; texts of models fill no screens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refcoreml
from refcoreml import build
from refcoreml.spec import schema

WIDTHS = (60, 80, 140)
LONG = "block_" + 30 * "very_" + "long_name_17"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Long names, wide numbers, a NaN: the log of a negative number."""
    net = build.Network({"x": (3,)}, ["y"])
    net.add("activation", name=LONG, linear={"alpha": -1234.567, "beta": 0.001234567})
    net.add("unary", name=f"log_{LONG}", outputs="y", type="LOG", epsilon=0.0)
    path = tmp_path / "model.mlmodel"
    net.model().save(path)
    return path


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_trace_keeps_its_numbers(
    run: Any, monkeypatch: pytest.MonkeyPatch, model: Path, width: int, precision: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, _ = run("trace", model, "-i", "x=1,2,3", "--precision", precision)
    assert code == 1
    table = out[: out.index("\nfirst bad layer")]
    header = ["min", "max", "mean", "NaN", "Inf", "headroom"]
    assert header == [word for word in table.split() if word in header]
    assert max(map(len, table.splitlines())) <= width
    lowest = -3703.7 if precision == "float32" else -3704
    assert f"{lowest:.4g}" in table
    assert table.split("1x1x3x1x1")[2].split()[3] == "3"  # min, max and mean of nothing but NaN, then their count


@pytest.mark.parametrize("width", WIDTHS)
def test_every_table_fits_the_width(
    run: Any, monkeypatch: pytest.MonkeyPatch, model: Path, tmp_path: Path, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    net = build.Network({"x": (30,)}, ["y"], exact=True)
    net.add(
        "innerProduct",
        name=LONG,
        outputs="y",
        inputChannels=30,
        outputChannels=7,
        weights=np.arange(210).reshape(7, 30) / 210,
    )
    net.model().save(tmp_path / "weighted.mlmodel")
    np.save(tmp_path / "x.npy", np.ones(30, np.float32))
    np.savez(tmp_path / "x.npz", x=np.ones((5, 30), np.float32))
    weighted, small = tmp_path / "weighted.mlmodel", tmp_path / "small.mlmodel"
    for command, numbers in (
        (("inspect", weighted), ("outputChannels=7", "840 B", "float32")),
        (("quantize", weighted, "--bits", "8", "-o", small), ("7x30", "210", "843 B", "linear 8")),
        (("oracle", weighted, "-i", tmp_path / "x.npy"), ("27.7857", "none")),
        (("predict", weighted, "-i", tmp_path / "x.npy"), ("float32 7", "2.071")),
        (("inspect", model), ("1x1x3x1x1", "-1235")),
        (
            ("compare", weighted, small, "--data", tmp_path / "x.npz", "--layers"),
            ("accum. error", "0 (", "1.000"),
        ),
    ):
        code, out, err = run(*command)
        assert code == 0, err
        sentences = (str(tmp_path), "runs on", "most error of their own")
        table = [line for line in out.splitlines() if not any(text in line for text in sentences)]
        assert max(map(len, table)) <= width, command
        assert LONG not in out
        assert any("..." in line for line in table) or command[0] in ("predict", "oracle")
        assert all(number in out for number in numbers), command


def test_a_pipe_without_columns_has_room(run: Any, monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    for columns, most in ((None, 160), ("0", 160), ("wide", 160), ("70", 70)):
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns is not None:
            monkeypatch.setenv("COLUMNS", columns)
        _, out, _ = run("trace", model, "-i", "x=1,2,3")
        widest = max(map(len, out[: out.index("\nfirst bad")].splitlines()))
        assert most - 12 < widest <= most


# --- metadata ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def talkative(tmp_path: Path) -> Path:
    """Metadata that would be taken for facts, and that would fill screens."""
    net = build.Network({"x": (3,)}, ["y"])
    net.add("activation", name="n" * 240_000, outputs="y", ReLU={})
    spec = net.spec()
    spec.description.metadata.author = "the author " * 20_000
    spec.description.input[0].shortDescription = "d" * 240_000
    for name in ("type", "weights", "author", "runs on", "specification"):
        spec.description.metadata.userDefined[name] = f"false {name}"
    for index in range(500):
        spec.description.metadata.userDefined[f"key{index}"] = "v" * 10_000
    path = tmp_path / "talkative.mlmodel"
    path.write_bytes(spec.SerializeToString())
    return path


def test_metadata_neither_replace_facts_nor_fill_screens(run: Any, talkative: Path) -> None:
    code, out, _ = run("inspect", talkative)
    assert code == 0
    assert len(out) < 40_000
    assert re.search(r"^type +neuralNetwork$", out, re.MULTILINE)
    assert re.search(r"^author +the author", out, re.MULTILINE)
    assert "and 485 more; --json prints all" in out
    found = json.loads(run("inspect", talkative, "--json")[1])
    assert found["metadata"]["author"].startswith("the author the author")
    assert found["user_defined"]["author"] == "false author"
    assert len(found["user_defined"]) == 505


def test_a_layer_with_a_thousand_outputs_takes_a_line(run: Any, tmp_path: Path) -> None:
    names = [f"y{index}" for index in range(1000)]
    net = build.Network({"x": (4000,)}, names)
    net.add("split", outputs=names, nOutputs=1000)
    (tmp_path / "split.mlmodel").write_bytes(net.spec().SerializeToString())
    layers = run("inspect", tmp_path / "split.mlmodel")[1].split("output shape")[1]
    assert "1x1x4x1x1, 1x1x4x1x1, and 998 more" in layers


def test_inspect_takes_what_load_takes(tmp_path: Path) -> None:
    net = build.Network({"x": (3,)}, ["y"])
    net.add("activation", outputs="y", ReLU={})
    path = tmp_path / "relu.mlmodel"
    net.model().save(path)
    expected = refcoreml.inspect(refcoreml.load(path))

    class Converted:
        def get_spec(self) -> schema.Model:
            return net.spec()

    for source in (path, str(path), path.read_bytes(), net.spec(), Converted(), path.open("rb")):
        assert refcoreml.inspect(source) == expected


def test_trace_names_the_outputs_of_a_layer_with_several(run: Any, tmp_path: Path) -> None:
    net = build.Network({"x": (4, 1, 1)}, ["y", "z"])
    net.add("split", name="halves", outputs=["y", "z"], nOutputs=2)
    net.model().save(tmp_path / "split.mlmodel")
    arguments = ("trace", tmp_path / "split.mlmodel", "-i", "x=[[[1]],[[2]],[[3]],[[4]]]")
    assert [line.split()[1] for line in run(*arguments)[1].splitlines()] == ["layer", "y", "z"]
    assert [row["layer"] for row in json.loads(run(*arguments, "--json")[1])["layers"]] == ["halves", "halves"]
