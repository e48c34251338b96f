"""docs/coverage.md says what docs/coverage.json and the layers say, and both say that everything is tested."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coverage_recorder import Recorder, values_of
from support import run_layer

from refcoreml import build
from refcoreml.errors import InvalidModelError
from refcoreml.neuralnetwork.registry import LAYERS
from refcoreml.spec import schema

PATH = Path(__file__).resolve().parents[1] / "docs" / "coverage.py"


@pytest.fixture(scope="module")
def coverage() -> Any:
    spec = importlib.util.spec_from_file_location("docs_coverage", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recorded(coverage: Any) -> Any:
    return coverage.read(coverage.RECORDED)


@pytest.fixture(scope="module")
def rows(coverage: Any) -> dict[str, list[str]]:
    lines = [line for line in coverage.PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert {len(row) for row in cells} == {len(coverage.HEADER)}
    return {row[0]: row[1:] for row in cells}


def test_the_page_is_what_the_generator_writes(coverage: Any, recorded: Any) -> None:
    apple = coverage.read(coverage.APPLE)["layers"] if coverage.APPLE.exists() else None
    assert coverage.page(recorded, apple) == coverage.PAGE.read_text(encoding="utf-8"), "run python docs/coverage.py"


def test_every_layer_of_the_schema_has_a_row(rows: Any) -> None:
    assert list(rows) == [field.name for field in schema.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields]


def test_every_layer_that_runs_is_reached_by_a_test(recorded: Any, rows: Any) -> None:
    assert sorted(recorded) == sorted(LAYERS), "record anew: see docs/coverage.py"
    assert all(record["tests"] > 0 for record in recorded.values())
    assert [kind for kind, row in rows.items() if row[3] == "no"] == [kind for kind in rows if kind not in LAYERS]


def test_versions_come_from_the_schema(coverage: Any) -> None:
    versions = coverage.since()
    assert {kind: versions[kind] for kind in ("convolution", "cropResize", "custom", "biDirectionalLSTM")} == {
        "convolution": "1",
        "cropResize": "3",
        "custom": "2",
        "biDirectionalLSTM": "1",
    }
    # Apple's schema separates the versions by these field numbers.
    for field in schema.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields:
        expected = "5" if field.number >= 1450 else "4" if field.number > 500 else "123"
        assert versions[field.name] in expected


def test_kernels_are_found_through_helpers_and_tables(coverage: Any) -> None:
    def kernels(kind: str) -> str:
        return str(coverage.kernels(coverage.reached(LAYERS[kind].prepare)))

    assert kernels("ceil") == "numpy: ceil"
    assert kernels("gelu") == "activation: gelu, gelu_sigmoid, gelu_tanh"
    assert kernels("reduceSum") == "reduce: total"
    assert "scale" not in kernels("unary").split(", "), "a local name is not the layer of that name"
    assert re.search(r"activation: .*\bsoftsign\b", kernels("activation"))


def test_what_a_layer_leaves_open_comes_from_its_docstring(coverage: Any) -> None:
    def prepare() -> None:
        """Y = x. Chosen: x, as
        somebody said. Errors: none. Source: nowhere."""

    assert coverage.choices(prepare, [prepare]) == ["x, as somebody said."]


def test_settings_without_a_test_are_listed(coverage: Any) -> None:
    fields = {"type": "L2", "kernelSize": [2, 3], "same": {"asymmetryMode": "TOP_LEFT_HEAVY"}}
    params = build.fill(schema.PoolingLayerParams(), fields, "here")
    seen: dict[str, list[str]] = {}
    for path, value in values_of(params):
        seen.setdefault(path, []).append(value)
    assert seen == {
        "type": ["L2"],
        "kernelSize": ["set", "set"],
        "same": ["set"],
        "same.asymmetryMode": ["TOP_LEFT_HEAVY"],
        "avgPoolExcludePadding": ["false"],
        "globalPooling": ["false"],
    }
    assert coverage.unreached(params.DESCRIPTOR, seen) == [
        "`type` = `MAX`",
        "`type` = `AVERAGE`",
        "`stride`",
        "`valid`",
        "`same.asymmetryMode` = `BOTTOM_RIGHT_HEAVY`",
        "`includeLastPixel`",
        "`avgPoolExcludePadding` = `true`",
        "`globalPooling` = `true`",
    ]


def test_more_than_was_recorded_is_fine_and_less_is_not(coverage: Any) -> None:
    def record(tests: int, ranks: list[str], axis: list[str]) -> Any:
        return {"tile": {"tests": tests, "ranks": ranks, "fields": {"axis": axis}}}

    before = record(2, ["1", "2"], ["set"])
    assert coverage.lost(before, record(3, ["1", "2", "3"], ["set", "unset"]) | {"stack": {}}) == []
    assert coverage.lost(before, record(1, ["2"], [])) == [
        "tile: 1 tests instead of 2",
        "tile: rank 1",
        "tile: axis set",
    ]
    assert coverage.lost(before, {})


def test_the_recorder_counts_what_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(Path())
    recorder.watch(monkeypatch)
    weights = np.ones((3, 2), np.float16)
    with pytest.raises(InvalidModelError):
        run_layer("innerProduct", np.ones(5), rank5=False, inputChannels=2, outputChannels=3, weights=weights)
    assert not recorder.running
    run_layer("innerProduct", np.ones((4, 2)), rank5=False, inputChannels=2, outputChannels=3, weights=weights)
    assert recorder.running == {
        ("innerProduct", "", "2"),
        ("innerProduct", "inputChannels", "set"),
        ("innerProduct", "outputChannels", "set"),
        ("innerProduct", "hasBias", "false"),
        ("innerProduct", "weights", "float16"),
        ("innerProduct", "int8DynamicQuantize", "false"),
    }
