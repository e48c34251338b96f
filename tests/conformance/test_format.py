"""The case format: the committed cases, the reader, and what it says of damaged ones."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from profiles import THOROUGH

from conformance.catalogue.custom import DEFINITIONS
from conformance.sessions.custom_layers import LAYERS as CUSTOM_LAYERS
from refcoreml.conformance import cases as reader
from refcoreml.conformance.cases import CaseError, find_cases, read_case
from refcoreml.neuralnetwork import network  # noqa: F401 (fills the table of layers)
from refcoreml.neuralnetwork.graph import walk_layers
from refcoreml.neuralnetwork.registry import LAYERS
from refcoreml.spec import schema

ROOT = Path(__file__).resolve().parents[2] / "conformance"
CASES = ROOT / "cases"
FOLDERS = find_cases(CASES)
NETWORKS = find_cases(CASES, without=["mil"])


@pytest.fixture
def case(tmp_path):
    """A copy of a case, to be spoiled."""
    return Path(shutil.copytree(CASES / "convolution/valid/wide", tmp_path / "case"))


def change(folder, **fields):
    path = folder / "case.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_every_case_fits_the_schema():
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads((ROOT / "case.schema.json").read_text()))
    for folder in FOLDERS[:: 1 if THOROUGH else 5]:
        errors = list(validator.iter_errors(json.loads((folder / "case.json").read_text())))
        assert not errors, f"{folder}: {errors[0].message}"


def test_every_case_can_be_read_whole_and_is_named_by_its_folder():
    assert len(FOLDERS) > 1500
    for folder in FOLDERS:
        case = read_case(folder)
        assert case.id == folder.relative_to(CASES).as_posix()
        case.check_model()
        for step in case.steps:
            step.read_inputs()
        for output in case.outputs:
            for expected in output.profiles.values():
                reference = expected.reference.read()
                bound = expected.bound if isinstance(expected.bound, float) else expected.bound.read()
                assert np.all(np.asarray(bound) >= 0), case.id
                assert reference.shape == output.shape


def test_no_case_leaves_everything_open():
    for folder in FOLDERS:
        case = read_case(folder)
        bounds = [output.profiles["fp32"].bound for output in case.outputs]
        if case.verdict == "returns":
            assert all(np.isfinite(b if isinstance(b, float) else b.read()).any() for b in bounds), case.id


def test_every_layer_has_at_least_four_cases_that_return():
    counts = Counter(kind for folder in NETWORKS for kind in _returning(folder))
    assert set(counts) == set(LAYERS)
    assert {kind: count for kind, count in counts.items() if count < 4} == {}


def _returning(folder):
    description = json.loads((folder / "case.json").read_text())
    return set(description["layers"]) if description["verdict"] == "returns" else set()


#: Activations that recurrent layers do not take.
_NOT_RECURRENT = {"leakyReLU", "thresholdedReLU", "PReLU", "ELU", "softsign", "softplus", "parametricSoftplus"}


def test_every_enum_value_flag_and_choice_of_every_layer_is_seen():
    seen = defaultdict(set)
    for folder in NETWORKS:
        if _returning(folder):
            model = schema.Model.FromString((folder / "model.mlmodel").read_bytes())
            for layer in walk_layers(model.neuralNetwork.layers):
                kind = layer.WhichOneof("layer")
                _note(getattr(layer, kind), kind, seen)
    missing = {}
    for field in schema.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields:
        missing |= {
            place: values - seen[place]
            for place, values in _possible(field.message_type, field.name)
            if values - seen[place] - (_NOT_RECURRENT if "activation" in place.split(".", 1)[-1] else set())
        }
    assert missing == {}


def _note(message, place, seen):
    """Adds the values of enums, flags and choices of a message and those in it."""
    for field in message.DESCRIPTOR.fields:
        if field.enum_type is not None or field.cpp_type == field.CPPTYPE_BOOL:
            value = getattr(message, field.name)
            seen[f"{place}.{field.name}"] |= {int(value)} if isinstance(value, (int, bool)) else set(map(int, value))
    for oneof in message.DESCRIPTOR.oneofs:
        seen[f"{place}.{oneof.name}"].add(message.WhichOneof(oneof.name))
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.name not in ("WeightParams", "NeuralNetwork"):
            if hasattr(value, "keys"):  # a map
                items, here = value.values(), f"{place}.{field.name}.value"
            else:
                items, here = [value] if hasattr(value, "DESCRIPTOR") else value, f"{place}.{field.name}"
            for item in items:
                _note(item, here, seen)


def _possible(descriptor, place):
    """(place, values) of enums, flags and choices of a message type and those in it."""
    for field in descriptor.fields:
        here = f"{place}.{field.name}"
        if field.enum_type is not None:
            yield here, {value.number for value in field.enum_type.values}
        elif field.cpp_type == field.CPPTYPE_BOOL:
            yield here, {0, 1}
        elif field.message_type is not None and field.message_type.name not in ("WeightParams", "NeuralNetwork"):
            yield from _possible(field.message_type, here)
    for oneof in descriptor.oneofs:
        yield f"{place}.{oneof.name}", {field.name for field in oneof.fields}


def test_cases_say_what_their_custom_layers_compute():
    used = set()
    for folder in NETWORKS:
        case = read_case(folder)
        if case.verdict in ("returns", "invalid"):
            model = schema.Model.FromString((folder / "model.mlmodel").read_bytes())
            names = {layer.custom.className for layer in walk_layers(model.neuralNetwork.layers)} - {""}
            assert set(case.custom_layers) == names, case.id
            assert case.custom_layers == {name: DEFINITIONS[name] for name in names}
            used |= names
    assert used == set(DEFINITIONS) == set(CUSTOM_LAYERS)


def test_weights_of_every_width_and_scheme_are_seen():
    features = {feature for folder in FOLDERS for feature in read_case(folder).features}
    for bits in range(1, 9):
        assert {f"linear quantization, {bits} bits", f"lookup table, {bits} bits"} <= features
    assert {"float16 weights", "int8 weights"} <= features


def test_dimensions_of_inputs_differ_but_for_ones():
    # Two axes of one length could be exchanged without notice. Networks have the shapes that they have; some operations
    # of programs want such shapes, such as those on boxes, whose numbers then differ.
    same = []
    for folder in FOLDERS:
        case = read_case(folder)
        for item in case.steps[0].inputs:
            x = item.values.read()
            axes = [axis for axis in range(x.ndim) if x.shape[axis] != 1]
            pairs = [(i, j) for i, j in itertools.combinations(axes, 2) if x.shape[i] == x.shape[j]]
            if case.verdict != "returns" or case.family == "networks":
                continue
            if pairs if folder in NETWORKS else any(np.array_equal(x, x.swapaxes(*pair)) for pair in pairs):
                same.append((case.id, x.shape))
    assert same == []


def test_most_layers_have_cases_that_are_exact_in_any_order():
    exact, kinds = set(), set()
    for folder in NETWORKS:
        description = json.loads((folder / "case.json").read_text())
        if description["verdict"] == "returns" and len(description["layers"]) == 1:
            kinds |= set(description["layers"])
            if description["outputs"] and all(output["check"] == "exact" for output in description["outputs"]):
                exact |= set(description["layers"])
    sums = {"convolution", "convolution3d", "innerProduct", "batchedMatmul", "dot", "reduceSum", "pooling", "reduce"}
    assert sums <= exact
    assert len(exact) > 110


def test_the_committed_set_is_small():
    files = [path for path in CASES.rglob("*") if path.is_file()]
    assert len(files) < 15_000
    assert sum(path.stat().st_size for path in files) < 40e6


def test_reader_and_verifier_are_short_and_need_numpy_alone(tmp_path):
    folder = Path(reader.__file__).parent
    files = [folder / "cases.py", folder / "verify.py"]
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) < 550
    for path in [*files, folder.parent / "storage/reading.py"]:
        text = path.read_text(encoding="utf-8")
        (tmp_path / path.name).write_text(text.replace("from refcoreml.storage.reading", "from reading"))
    code = (
        "import sys, pathlib, numpy as np, cases, verify\n"
        f"case = cases.read_case(pathlib.Path({str(CASES / 'ceil/plain/halves')!r}))\n"
        "x = case.read_inputs()['x0']\n"
        "print(verify.judge(case, 'returned', lambda name: np.ceil(x), 'fp32').status)\n"
        "print(verify.judge(case, 'returned', lambda name: np.floor(x), 'fp32').status)\n"
        "print(sorted(m for m in sys.modules if m.startswith(('refcoreml', 'google'))))\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["pass", "fail", "[]"]


INPUT = {"name": "x0", "dtype": "float32", "shape": [3, 7, 9], "values": {"at": 0}}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"format": 3}, "format"),
        ({"verdict": "perhaps"}, "verdict"),
        ({"repeat": 0}, "to run 0 times"),
        ({"repeat": 10**9}, "to run 1000000000 times"),
        ({"repeat": "often"}, "cannot be read"),
        ({"requires": {"specification": 4, "features": [], "custom_layers": ["Mine"]}}, "cannot be read"),
        ({"inputs": 3}, "cannot be read"),
        ({"inputs": [{"name": "x"}]}, "cannot be read"),
        ({"model": {"file": "../model.mlmodel", "sha256": ""}}, "expected a file name"),
        ({"model": {"file": "/etc/passwd", "sha256": ""}}, "expected a file name"),
        ({"model": {"file": "..", "sha256": ""}}, "expected a file name"),
        ({"model": {"file": "model\0", "sha256": ""}}, "expected a file name"),
        ({"id": "half/\ud800"}, "names of letters"),
        ({"id": 3}, "names of letters"),
        ({"id": "clear/\x1b[2J"}, "names of letters"),
        ({"family": "half \ud800"}, "printable text"),
        ({"rule": "bell \a"}, "printable text"),
        ({"inputs": [{**INPUT, "name": "/home/u/x"}]}, "a name of letters"),
        ({"inputs": [{**INPUT, "name": "../x"}]}, "a name of letters"),
        ({"inputs": [{**INPUT, "name": "scope/x"}]}, "a name of letters"),
        ({"inputs": [{**INPUT, "name": "x\0"}]}, "a name of letters"),
        ({"inputs": [{**INPUT, "name": ""}]}, "a name of letters"),
        ({"inputs": [INPUT, {**INPUT, "name": "X0"}]}, "differ in case alone"),
        ({"inputs": [{**INPUT, "shape": []}]}, "1 to 5 lengths"),
        ({"inputs": [{**INPUT, "shape": [3, -1, 7]}]}, "1 to 5 lengths"),
        ({"inputs": [{**INPUT, "shape": [3, float("inf"), 7]}]}, "cannot be read"),
        ({"outputs": []}, "nothing would be compared"),
        ({"outputs": [{"name": "y0", "shape": [4], "check": "dot", "profiles": {"fp32": {}}}]}, "cannot be read"),
    ],
)
def test_a_damaged_description_is_told(case, fields, problem):
    change(case, **fields)
    with pytest.raises(CaseError, match=problem):
        read_case(case)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["case.json", "model.mlmodel", "arrays.npy"])
@pytest.mark.parametrize("kind", ["link", "pipe", "device", "sparse"])
def test_files_that_are_not_the_case_s_own_are_refused(case, tmp_path, name, kind):
    path = case / name
    path.rename(tmp_path / "away")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "sparse":
        with path.open("wb") as stream:
            stream.truncate(2**35)
    else:
        path.symlink_to(tmp_path / "away" if kind == "link" else "/dev/zero")
    with pytest.raises(CaseError, match="at most" if kind == "sparse" else "is a (link|pipe)"):
        read_all(case)


def read_all(folder):
    found = read_case(folder)
    found.check_model()
    found.read_inputs()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_a_description_that_is_none_is_told(case, text):
    (case / "case.json").write_text(text)
    with pytest.raises(CaseError, match="cannot be read"):
        read_case(case)


def test_damaged_files_are_told(case):
    model, arrays = case / "model.mlmodel", case / "arrays.npy"
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(CaseError, match="damaged"):
        read_case(case).check_model()
    model.unlink()
    with pytest.raises(CaseError, match="cannot be read"):
        read_case(case).check_model()
    arrays.write_bytes(arrays.read_bytes()[:-1])
    with pytest.raises(CaseError, match="damaged"):
        read_case(case).read_inputs()


def test_a_wrong_offset_or_shape_is_told(case):
    inputs = json.loads((case / "case.json").read_text())["inputs"]
    change(case, inputs=[{**inputs[0], "values": {"at": 5}}])
    with pytest.raises(CaseError, match="no array at 5"):
        read_case(case).read_inputs()
    for offset in (-1, 10**30):
        change(case, inputs=[{**inputs[0], "values": {"at": offset}}])
        with pytest.raises(CaseError, match="no array at"):
            read_case(case).read_inputs()
    change(case, inputs=[{**inputs[0], "shape": [7, 3, 9]}])
    with pytest.raises(CaseError, match="holds"):
        read_case(case).read_inputs()


def test_patterns_choose_cases():
    assert len(find_cases(CASES, ["convolution/valid"])) == 4
    assert [path.name for path in find_cases(CASES, ["convolution/valid/w*"])] == ["wide"]
    assert find_cases(CASES, ["nothing"]) == []
