"""Whole studies: figures, executors, going on after a kill."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from study_example import NAMES, classifier, samples

import refcoreml
from refcoreml.errors import UsageError
from refcoreml.studies import run as run_module


@pytest.fixture(scope="module")
def model():
    return classifier()


def same(records):
    """Records without their times."""
    return [{**r.row(), "quantize_seconds": 0, "predict_seconds": 0} for r in records]


def test_the_sweep_is_what_one_gets_by_hand(model):
    found = refcoreml.study(
        model, samples(), bits=(4, 32, 2, 16), modes=("kmeans", "linear_symmetric"), labels=["cow"] * 24
    )
    assert [(r.configuration.bits, r.configuration.mode) for r in found.of_kind("sweep")] == [
        (32, ""),
        (16, ""),
        (4, "kmeans"),
        (4, "linear_symmetric"),
        (2, "kmeans"),
        (2, "linear_symmetric"),
    ]
    assert found.layers == NAMES
    for record in found.of_kind("sweep")[1:]:
        bits, mode = record.configuration.bits, record.configuration.mode or "linear"
        quantized = refcoreml.quantize_weights(model, bits, mode)
        compared = refcoreml.compare_models(model, quantized, samples(), labels=["cow"] * 24)
        scores = compared.outputs[0]
        assert record.size == quantized.spec.ByteSize()
        assert record.snr == scores.difference.snr == record.snr_by_output["scores"]
        assert record.agreement == scores.agreement[1].rate
        assert record.accuracy == scores.accuracy_candidate[1].rate
        assert record.full_accuracy == scores.accuracy_reference[1].rate
        before = [np.array(layer.innerProduct.weights.floatValue, np.float64) for layer in dense(model)]
        after = [
            np.array(layer.innerProduct.weights.floatValue, np.float64)
            for layer in dense(refcoreml.dequantize_weights(quantized))
        ]
        signal = sum((w**2).sum() for w in before)
        noise = sum(((q - w) ** 2).sum() for w, q in zip(before, after, strict=True))
        # 3400 squares summed in float64.
        assert record.weight_snr == pytest.approx(10 * np.log10(signal / noise), rel=1e-10)
        assert record.weight_max_error == max(np.abs(q - w).max() for w, q in zip(before, after, strict=True))
    whole = found.records[0]
    assert (whole.size, whole.ratio, whole.agreement) == (found.size, 1.0, 1.0)
    assert whole.snr == whole.weight_snr == np.inf


def dense(model):
    return [layer for layer in model.spec.neuralNetworkClassifier.layers if layer.WhichOneof("layer") == "innerProduct"]


def test_one_layer_at_a_time_and_all_but_one(model):
    found = refcoreml.study(model, samples(), bits=(3,), modes=("linear",), sensitivity=(3,))
    only = {r.configuration.layer: r for r in found.of_kind("only")}
    others = {r.configuration.layer: r for r in found.of_kind("except")}
    assert list(only) == list(others) == NAMES
    everything = found.of_kind("sweep")[0]
    for name in NAMES:
        alone = refcoreml.quantize_weights(model, plan={name: (3, "linear")})
        assert only[name].size == alone.spec.ByteSize()
        # What one layer saves and what the others save is what all save, but for a few lengths.
        assert (
            abs((found.size - only[name].size) + (found.size - others[name].size) - (found.size - everything.size)) < 16
        )
        assert only[name].snr > everything.snr


def test_fitted_ranges_are_a_mode(model):
    found = refcoreml.study(model, samples(), bits=(2,), modes=("linear", "linear:mse"))
    plain, fitted = found.of_kind("sweep")
    assert plain.size == fitted.size
    assert fitted.weight_snr > plain.weight_snr


def test_only_selected_weights_are_quantized(model):
    found = refcoreml.study(model, samples(), bits=(4, 2), modes=("linear",), select=["name!=last"], sensitivity=(4,))
    assert found.layers == NAMES[:2]
    plan = {name: (4, "linear") for name in NAMES[:2]}
    assert found.records[0].size == refcoreml.quantize_weights(model, plan=plan).spec.ByteSize()
    others = {record.configuration.layer: record for record in found.of_kind("except")}
    alone = {record.configuration.layer: record for record in found.of_kind("only")}
    assert others["first"].size == alone["second"].size
    assert others["first"].snr == alone["second"].snr
    with pytest.raises(UsageError, match="cannot read the selector"):
        refcoreml.study(model, samples(), select=["everything else"])


@pytest.mark.parametrize("mode", ["linear", "linear:mse"])
def test_a_plan_under_a_budget(model, mode):
    found = refcoreml.study(model, samples(), bits=(8, 4, 2), modes=(mode,), budget=0.2)
    assert found.plan.size <= 0.2 * found.size
    smallest = found.of_kind("sweep")[-1]
    assert smallest.configuration.bits == 2
    assert found.plan.snr > smallest.snr, "the room that the budget leaves is used"
    again = refcoreml.study(model, samples(), bits=(8, 4, 2), modes=(mode,), budget=int(0.2 * found.size))
    assert same([again.plan]) == same([found.plan])
    with pytest.raises(UsageError, match=r"no plan has a size of 100 bytes or less; the smallest"):
        refcoreml.study(model, samples(), bits=(2,), modes=(mode,), budget=100)


def test_a_plan_is_no_worse_than_a_smaller_point_of_its_own_sweep():
    """y = x + W x - W x: stored alike, the errors of the two layers cancel, which no layer alone can tell."""
    weights = np.random.default_rng(3).normal(size=(30, 30)).astype(np.float32)
    net = refcoreml.build.Network({"x": (30,)}, ["y"])
    for name in ("a", "b"):
        net.add(
            "innerProduct", name=name, inputs="x", outputs=name, weights=weights, input_channels=30, output_channels=30
        )
    net.add("activation", inputs="b", outputs="minus", linear={"alpha": -1.0})
    net.add("add", inputs=["x", "a", "minus"], outputs="y")
    found = refcoreml.study(net.model(), samples(), bits=(8, 6, 4, 2), modes=("linear",), budget=0.25)
    assert found.plan.size <= 0.25 * found.size
    for point in found.of_kind("sweep"):
        if point.size <= 0.25 * found.size:
            assert found.plan.noise <= point.noise
    assert found.plan.configuration.kind == "plan"
    assert found.planned_model().spec.ByteSize() == found.plan.size
    assert {layer for layer, _, _ in found.plan.configuration.plan} == {"a", "b"}


def array_model():
    net = refcoreml.build.Network({"x": (30,)}, ["y", "z"])
    weights = np.random.default_rng(3).normal(size=(4, 30)).astype(np.float32)
    net.add("innerProduct", inputs="x", outputs="y", weights=weights, input_channels=30, output_channels=4)
    net.add("activation", inputs="y", outputs="z", sigmoid={})
    return net.model()


@pytest.mark.parametrize("pairs", [False, True])
def test_labels_that_no_output_can_use_are_refused(pairs, tmp_path):
    labels = [number % 4 for number in range(24)]
    given = list(zip(samples(), labels, strict=True)) if pairs else samples()
    options = {"bits": (8,), "modes": ("linear",), "directory": tmp_path, **({} if pairs else {"labels": labels})}
    with pytest.raises(UsageError, match=r"labels: there are true labels, but no output has classes.*'y', 'z'"):
        refcoreml.study(array_model(), given, **options)
    assert not (tmp_path / "records.jsonl").exists(), "before anything is measured"
    found = refcoreml.study(array_model(), given, scores=["y"], **options)
    assert 0 <= found.records[0].full_accuracy <= 1


def test_a_plan_above_a_floor(model):
    truth = [model.predict(sample)["classLabel"] for sample in samples()]
    for options in ({"labels": truth}, {}):
        found = refcoreml.study(model, samples(), bits=(8, 4, 2, 1), modes=("linear",), floor=0.7, **options)
        assert found.plan.agreement >= 0.7
        assert (found.plan.accuracy is not None) == bool(options)
        assert found.plan.size < found.of_kind("sweep")[0].size


def test_memory_of_the_given_models_outputs_changes_nothing(model, monkeypatch):
    kept = refcoreml.study(model, samples(), bits=(4,), modes=("linear",))
    monkeypatch.setattr("refcoreml.studies.evaluate.REFERENCE_LIMIT", 0)
    monkeypatch.setattr("refcoreml.studies.evaluate._kept", {})
    computed = refcoreml.study(model, samples(), bits=(4,), modes=("linear",))
    assert same(computed.records) == same(kept.records)


# --- executors -------------------------------------------------------------------------------------------------------


def spawned(workers):
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, spawned])
def test_any_executor_gives_the_same_records(model, pool):
    options = {"bits": (4, 2), "modes": ("linear", "kmeans"), "sensitivity": (4,)}
    here = refcoreml.study(model, samples(), **options)
    with pool(2) as executor:
        there = refcoreml.study(model, samples(), executor=executor, **options)
    assert same(there.records) == same(here.records)


def test_a_cluster_gives_the_same_records(model, tmp_path):
    """dask.distributed with workers that are processes of their own, on this machine."""
    distributed = pytest.importorskip("distributed", reason="needs dask.distributed, of the extra oracles")
    np.savez(tmp_path / "x.npz", x=np.stack([sample["x"] for sample in samples()]))
    options = {"bits": (4, 2), "modes": ("linear",), "budget": 0.3}
    here = refcoreml.study(model, tmp_path / "x.npz", **options)
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=str(tmp_path)
    )
    with cluster, distributed.Client(cluster) as client:
        there = refcoreml.study(model, tmp_path / "x.npz", executor=client.get_executor(), **options)
    assert same(there.records) == same(here.records)
    assert same([there.plan]) == same([here.plan])


def test_an_error_in_another_process_comes_here(model, tmp_path):
    """The data is gone when the workers look for it."""
    np.savez(tmp_path / "x.npz", x=np.stack([sample["x"] for sample in samples()]))

    def remove(done, total):
        (tmp_path / "x.npz").unlink(missing_ok=True)

    with spawned(1) as executor, pytest.raises(UsageError, match="No such file"):
        refcoreml.study(model, tmp_path / "x.npz", bits=(4,), executor=executor, progress=remove)


# --- going on --------------------------------------------------------------------------------------------------------


@pytest.fixture
def evaluated(monkeypatch):
    """The configurations that are evaluated."""
    seen, evaluate = [], run_module.evaluate
    monkeypatch.setattr(run_module, "evaluate", lambda task: seen.append(str(task.configuration)) or evaluate(task))
    return seen


def test_a_killed_study_goes_on(model, tmp_path, evaluated):
    """Kills a real process in the middle, tears its last line, and goes on."""
    journal = tmp_path / "records.jsonl"
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    child = subprocess.Popen(
        [sys.executable, root / "tests" / "study_example.py", tmp_path],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            if journal.exists() and journal.read_bytes().count(b"\n") >= 3:
                break
            assert child.poll() is None, "the study ended before it was killed"
            time.sleep(0.1)
    finally:
        child.kill()
        child.wait()
    content = journal.read_bytes()
    done = content.count(b"\n")
    assert 3 <= done < 18
    journal.write_bytes(content + content[: len(content) // done // 2])
    found = refcoreml.study(model, samples(), sensitivity=(4,), directory=tmp_path)
    assert len(evaluated) == 18 - done
    assert same(found.records) == same(refcoreml.study(model, samples(), sensitivity=(4,)).records)
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert len({line["id"] for line in lines}) == len(lines) == 18


def test_what_is_known_is_not_measured_again(model, tmp_path, evaluated):
    refcoreml.study(model, samples(), bits=(4, 2), modes=("linear",), directory=tmp_path)
    assert len(evaluated) == 2
    refcoreml.study(model, iter(samples()), bits=(4, 3, 2), modes=("linear",), directory=tmp_path)
    assert evaluated[2:] == ["3 bits linear"]
    refcoreml.study(model, samples(23), bits=(4,), modes=("linear",), directory=tmp_path)
    assert len(evaluated) == 4, "other data"
    refcoreml.study(model, samples(), bits=(4,), modes=("linear",), labels=["cow"] * 24, directory=tmp_path)
    assert len(evaluated) == 5, "other labels"
    half = refcoreml.load(model.spec, precision="float16")
    refcoreml.study(half, samples(), bits=(4,), modes=("linear",), directory=tmp_path)
    assert len(evaluated) == 6, "another arithmetic"


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": ()}, "at least one number of bits"),
        ({"bits": (9,)}, "bits: 9 is not 1 to 8, 16 or 32"),
        ({"bits": (0,)}, "bits: 0 is not"),
        ({"sensitivity": (32,)}, "sensitivity: 32 is not"),
        ({"modes": ()}, "at least one mode"),
        ({"modes": ("cubic",)}, "unknown mode 'cubic'"),
        ({"modes": ("custom_lut",)}, "unknown mode 'custom_lut'"),
        ({"modes": ("kmeans:mse",)}, "unknown mode 'kmeans:mse'"),
        ({"budget": 0.5, "floor": 0.5}, "not both"),
        ({"budget": -1}, "must be positive"),
        ({"floor": 1.5}, "floor: must be a rate"),
        ({"floor": float("nan")}, "floor: must be a rate"),
        ({"budget": 1.5}, "budget: must be a number of bytes, or a fraction of at most 1"),
        ({"budget": float("inf")}, "budget: must be a number of bytes"),
        ({"labels": ["cow"]}, "1 labels, but more samples"),
        ({"labels": ["cat"] * 24}, "none of the model's 4 classes"),
    ],
)
def test_settings_that_make_no_sense(model, options, message):
    with pytest.raises(UsageError, match=message):
        refcoreml.study(model, samples(), **options)


def test_no_data_and_no_weights(model):
    with pytest.raises(UsageError, match="no samples"):
        refcoreml.study(model, [])
    with pytest.raises(UsageError, match="cannot take samples from int"):
        refcoreml.study(model, 3)
    net = refcoreml.build.Network({"x": (3,)}, ["y"])
    net.add("activation", outputs="y", ReLU={})
    with pytest.raises(UsageError, match="no weights"):
        refcoreml.study(net.model(), [{"x": np.zeros(3)}])
