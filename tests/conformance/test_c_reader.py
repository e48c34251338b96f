"""The reader in C: the format needs no Python."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from profiles import THOROUGH

from conformance.sessions.custom_layers import LAYERS
from refcoreml.conformance.cases import find_cases, read_case
from refcoreml.conformance.exchange import step_folders, write_outputs
from refcoreml.model import load, state_of

ROOT = Path(__file__).resolve().parents[2] / "conformance"
CASES = ROOT / "cases"


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("needs a C compiler: cc, gcc or clang")
    program = tmp_path_factory.mktemp("reader") / "reader"
    source = ROOT / "readers/reader.c"
    subprocess.run([compiler, "-std=c99", "-Wall", "-Werror", "-O1", "-o", program, source, "-lm"], check=True)

    def run(case, out, profile="fp32"):
        return subprocess.run([program, case, out, profile], capture_output=True, text=True, check=False)

    return run


def outputs(case, folder, precision="float32", change=lambda y: y):
    model = load(str(case.model), precision=precision, custom_layers=LAYERS, function=case.function)
    state = state_of(model)
    for step, place in zip(case.steps, step_folders(case, folder), strict=True):
        place.mkdir(parents=True, exist_ok=True)
        made = model.predict(step.read_inputs(), state)
        write_outputs(step, {name: change(y) if isinstance(y, np.ndarray) else y for name, y in made.items()}, place)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_it_agrees_with_the_verifier_on_many_cases(reader, tmp_path):
    count = 0
    for number, folder in enumerate(find_cases(CASES)):
        case = read_case(folder)
        if number % (7 if THOROUGH else 20) or case.verdict != "returns":
            continue
        count += 1
        for precision, profile in (("float32", "fp32"), ("float16", "fp16/acc32"), ("declared", "declared")):
            if case.supports(profile):
                outputs(case, tmp_path / "out", precision)
                done = reader(folder, tmp_path / "out", profile)
                assert done.returncode == 0, f"{case.id}: {done.stdout}{done.stderr}"
                assert done.stdout.count("pass") == len(case.outputs)
        shutil.rmtree(tmp_path / "out")
    assert count > 150


def test_it_says_where_nothing_was_compared(reader, tmp_path):
    case = read_case(CASES / "batchnorm/tiny-variance/zero-mean")
    np.save(tmp_path / "y0.npy", np.full(case.outputs[0].shape, 12345.0))
    done = reader(case.folder, tmp_path, "fp16/acc16")
    assert (done.returncode, done.stdout) == (0, "undetermined y0: every bound is infinite\n")
    assert reader(case.folder, tmp_path, "fp16/acc32").stdout.startswith("fail y0")


@pytest.mark.parametrize("name", ["ceil/plain/halves", "mil/write_state/sum/fp16-integers"])
def test_a_case_without_outputs_is_refused(reader, tmp_path, name):
    folder = tmp_path / "case"
    shutil.copytree(CASES / name, folder)
    text = json.loads((folder / "case.json").read_text())
    for step in text.get("steps", [text]):
        step["outputs"] = []
    (folder / "case.json").write_text(json.dumps(text))
    done = reader(folder, tmp_path, "fp32")
    assert done.returncode not in (0, 1)
    assert "no output is listed" in done.stderr + done.stdout


def test_it_reads_several_steps_of_a_program(reader, tmp_path):
    case = read_case(CASES / "mil/write_state/sum/fp16-integers")
    assert len(case.steps) == 4
    outputs(case, tmp_path / "out", "declared")
    done = reader(case.folder, tmp_path / "out", "declared")
    assert (done.returncode, done.stdout.splitlines()) == (0, [f"pass {output.place}" for output in case.outputs])
    path = tmp_path / "out" / f"{case.outputs[2].place}.npy"
    np.save(path, np.load(path) + np.float32(1))
    done = reader(case.folder, tmp_path / "out", "declared")
    assert (done.returncode, [line[:6] for line in done.stdout.splitlines()][2]) == (1, "fail 2")


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", "<i2", "<i8", "|i1"])
def test_it_reads_the_types_of_outputs(reader, tmp_path, dtype):
    case = read_case(CASES / "ceil/plain/halves")
    outputs(case, tmp_path / "out", change=lambda y: y.astype(dtype))
    assert reader(case.folder, tmp_path / "out").returncode == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y + (np.arange(y.size).reshape(y.shape) == 7), "1 of 60, element 7"),
        (lambda y: y[0], "shape"),
        (lambda y: y.astype(complex), "no array"),
        (lambda y: y.astype(">f4"), "no array"),
        (lambda y: y * np.nan, "60 of 60"),
    ],
)
def test_it_sees_faults(reader, tmp_path, change, message):
    case = read_case(CASES / "ceil/plain/halves")
    outputs(case, tmp_path / "out", change=change)
    done = reader(case.folder, tmp_path / "out")
    assert (done.returncode, message in done.stdout) == (1, True)


def test_it_reads_special_values_and_bounds(reader, tmp_path):
    case = read_case(CASES / "batchnorm/stored/zero-mean")
    outputs(case, tmp_path / "out", change=lambda y: y * np.float32(1 + 2e-5))
    assert reader(case.folder, tmp_path / "out", "fp32").returncode == 1
    assert reader(case.folder, tmp_path / "out", "fp16/acc16").returncode == 0
    case = read_case(CASES / "divideBroadcastable/special/nan")
    outputs(case, tmp_path / "out")
    assert reader(case.folder, tmp_path / "out").returncode == 0
    outputs(case, tmp_path / "out", change=np.nan_to_num)
    assert reader(case.folder, tmp_path / "out").returncode == 1


def test_what_cannot_be_read(reader, tmp_path):
    assert reader(tmp_path, tmp_path).returncode == 3
    (tmp_path / "case.json").write_text('{"format": 9')
    assert reader(tmp_path, tmp_path).returncode == 3
    (tmp_path / "out").mkdir()
    done = reader(CASES / "ceil/plain/halves", tmp_path / "out")
    assert (done.returncode, "no array was written" in done.stdout) == (1, True)
    assert reader(CASES / "ceil/plain/halves", tmp_path / "out", "fp8").returncode == 3
