"""Cases of ML Programs: the catalogue, the format, runs of several steps, packages and functions."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from profiles import THOROUGH

from conformance import generate, programs
from conformance.catalogue.data import Source
from conformance.catalogue.programs import LEAST, PENDING, plan, plans
from conformance.catalogue.programs.plan import C, X, drawn, op, program
from refcoreml import errors
from refcoreml.cli.main import main
from refcoreml.conformance.cases import CaseError, find_cases, read_case
from refcoreml.conformance.runner import PROGRAM_SMOKE, Command, PythonSession, run_cases
from refcoreml.conformance.verify import judge, storage_of
from refcoreml.mil.registry import OPERATIONS
from refcoreml.model import load
from refcoreml.spec import schema

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it

ROOT = Path(__file__).resolve().parents[2] / "conformance"
CASES = ROOT / "cases"
SESSIONS = ROOT / "sessions"
PLANS = list(plans())
#: What refusing a program or its inputs is.
REFUSED = (errors.InvalidModelError, errors.MalformedModelError, errors.InputError)
#: Nobody can say what it computes.
UNKNOWN = {"conv_quantized"}


def written(folder, made):
    """Write cases below a folder; return the folder of the first one."""
    made = list(made)
    for item in made:
        generate.write(item, folder / item.id)
    return folder / made[0].id


# ---- The catalogue ----


def test_every_operation_has_cases():
    counts = Counter(item.id.split("/")[1] for item in PLANS if item.verdict == "returns")
    few = {kind for kind in OPERATIONS if counts[kind] < LEAST} - UNKNOWN
    assert few == PENDING
    assert set(counts) <= {*OPERATIONS, "package", "program"}


def test_claims_are_about_clauses_that_a_case_can_show():
    tables = [
        tomllib.loads(path.read_text(encoding="utf-8")) for path in (ROOT.parent / "docs/clauses/programs").glob("*")
    ]
    known = {f"mil.{kind}.{label}" for table in tables for kind, found in table.items() for label in found}
    claimed = [(label, item.verdict) for item in PLANS for label in item.clauses]
    assert {label for label, _ in claimed} <= known
    assert {(label.rpartition(".")[2][0], verdict) for label, verdict in claimed} == {
        ("S", "returns"),
        ("C", "invalid"),
    }


def test_ids_differ_also_where_case_does_not_count():
    names = [item.id.lower() for item in PLANS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("family", sorted({item.family for item in PLANS}))
def test_refused_programs_are_refused_where_they_break_the_rule(family):
    for item in PLANS:
        if item.verdict == "invalid" and item.family == family:
            with programs.model_of(item) as path, pytest.raises(REFUSED) as raised:
                load(path).predict(item.steps[0])
            kind = item.id.split("/")[1]
            assert kind in ("package", "program") or f"({kind})" in str(raised.value), item.id


def test_inputs_and_outputs_are_of_types_that_models_have():
    for item in PLANS:
        for inputs in item.steps:
            for array in inputs.values():
                assert str(array.dtype) in ("float32", "float16", "int32", "int8")
                assert item.opset != "CoreML5" or array.dtype != np.float16


def test_kinds_of_numbers():
    source = Source("kinds")
    assert set(drawn(source, "uint2", "full", (99,))) == {0, 1, 2, 3}
    assert set(drawn(source, "int4", "full", (999,))) == set(range(-8, 8))
    assert set(drawn(source, "uint1", "integers", (99,))) == {0, 1}
    assert set(drawn(source, "int32", "integers", (99,))) == set(range(-4, 5))
    assert np.abs(drawn(source, "int32", "full", (99,))).max() > 2**30
    assert drawn(source, "bool", "bits", (9,)).dtype == bool


def test_constants_are_free_of_special_numbers_and_in_their_type():
    (item,) = op("linear", "here", kinds="fp16:special", x=X(3, 6), weight=C(2, 6), bias=C(2))
    (block,) = schema.Model.FromString(item.model).mlProgram.functions["main"].block_specializations.values()
    weights = next(operation for operation in block.operations if operation.outputs[0].name == "result_weight")
    values = np.frombuffer(weights.attributes["val"].immediateValue.tensor.bytes.values, np.float16)
    assert values.size == 12
    assert np.isfinite(values).all()
    assert not np.isfinite(item.steps[0]["x"]).all()


# ---- The format ----


def test_a_program_can_be_read(tmp_path):
    folder = written(tmp_path, op("relu", "here", kinds="fp16:integers", x=X(3, 4), opset="CoreML5 CoreML6"))
    case = read_case(folder)
    assert (case.format, case.opset, case.operations, case.layers) == (2, "CoreML5", ["cast", "relu"], [])
    (output,) = case.outputs
    assert (output.place, output.dtype, output.storage) == ("output", "float32", "float16")
    assert [storage_of(output, profile) for profile in ("fp32", "declared")] == ["fp32", "fp16"]
    assert case.supports("declared")
    assert not case.supports("fp16/acc32")
    newer = read_case(tmp_path / "mil/relu/here-CoreML6/fp16-integers")
    assert (newer.opset, newer.operations, newer.outputs[0].dtype) == ("CoreML6", ["relu"], "float16")
    assert [storage_of(newer.outputs[0], profile) for profile in ("fp32", "declared")] == ["fp16", "fp16"]


def test_integers_have_no_leniency(tmp_path):
    case = read_case(written(tmp_path, op("argsort", "here", kinds="integers", x=X(5))))
    right = case.outputs[0].profiles["declared"].reference.read()
    assert storage_of(case.outputs[0], "declared") == "integer"
    assert judge(case, "returned", lambda place: right.astype(np.int32), "declared").status == "pass"
    assert judge(case, "returned", lambda place: np.zeros(5, np.int32), "declared").status == "fail"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"steps": []}, "to run 0 times"),
        ({"steps": [{"inputs": [], "outputs": []}] * 10}, "to run 10 times"),
        ({"steps": 3}, "cannot be read"),
        ({"opset": None}, "printable text"),
        ({"operations": [["conv"]]}, "printable text"),
        ({"model": {"file": "model.mlpackage", "files": {"../x": ""}}}, "a path of file names"),
        ({"model": {"file": "model.mlpackage", "files": {"/x": ""}}}, "a path of file names"),
        ({"model": {"file": "model.mlpackage", "files": 3}}, "cannot be read"),
    ],
)
def test_damaged_descriptions_are_told(tmp_path, change, problem):
    path = shutil.copytree(PROGRAM_SMOKE, tmp_path / "case") / "case.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CaseError, match=problem):
        read_case(path.parent)


@pytest.mark.parametrize(("field", "value"), [("dtype", "complex64"), ("shape", [0]), ("shape", [1] * 6)])
def test_damaged_inputs_and_outputs_are_told(tmp_path, field, value):
    path = shutil.copytree(PROGRAM_SMOKE, tmp_path / "case") / "case.json"
    for group in ("inputs", "outputs"):
        text = json.loads((PROGRAM_SMOKE / "case.json").read_text())
        text["steps"][0][group][0][field] = value
        path.write_text(json.dumps(text))
        with pytest.raises(CaseError, match=r"has the type|0 to 5 lengths"):
            read_case(path.parent)


def test_a_package_holds_the_files_that_are_listed_and_no_others(tmp_path):
    folder = written(tmp_path, (item for item in PLANS if item.id == "mil/package/codes-3/integers"))
    case = read_case(folder)
    assert case.check_model() == folder / "model.mlpackage"
    more = folder / "model.mlpackage" / "more.bin"
    more.write_bytes(b"")
    with pytest.raises(CaseError, match=r"more\.bin"):
        case.check_model()
    more.unlink()
    weights = folder / "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CaseError, match="damaged"):
        case.check_model()
    weights.unlink()
    with pytest.raises(CaseError, match="not the files"):
        case.check_model()
    weights.symlink_to("/dev/zero")
    with pytest.raises(CaseError, match="is a link"):
        case.check_model()


def test_packages_are_the_same_in_every_run():
    again = {item.id: item for item in plan.program("package", "x", _linear, {"x": X(3, 6)}, packed=True)}
    first = {item.id: item for item in plan.program("package", "x", _linear, {"x": X(3, 6)}, packed=True)}
    assert [item.files for item in again.values()] == [item.files for item in first.values()]


def _linear(p):
    return p.add("linear", x=p["x"], weight=C(4, 6), bias=C(4))


def test_the_program_smoke_case_is_one_of_the_suite():
    files = {path.name: path.read_bytes() for path in PROGRAM_SMOKE.iterdir()}
    assert files == {path.name: path.read_bytes() for path in (CASES / "mil/relu/plain/integers").iterdir()}


# ---- Runs ----


def summed(p):
    total = p.add("add", x=p.add("read_state", input=p["s"]), y=p["x"])
    p.add("write_state", input=p["s"], data=total)
    return total


@pytest.fixture
def sums(tmp_path):
    """A case of three steps with a state."""
    states = {"s": ("fp16", (3, 4))}
    made = program("write_state", "sums", summed, {"x": X(3, 4)}, kinds="fp16:integers", states=states, steps=3)
    return written(tmp_path / "cases", made)


#: Adds up what it is given, from the step on that it is told; as a session, and as a command.
SESSION = """
import numpy as np
def prepare(model):
    total = 0
    def session(inputs):
        nonlocal total
        total = total + inputs["x"]
        return {{"add_1": total{fault}}}
    return session
"""
COMMAND = """
import pathlib, sys
import numpy as np
inputs, out, forgotten = sys.argv[1:]
total = 0
for number, step in enumerate(sorted(pathlib.Path(inputs).iterdir())):
    total = total * (str(number) != forgotten) + np.load(step / "x.npy")
    np.save(pathlib.Path(out) / step.name / "add_1.npy", total)
"""


@pytest.mark.parametrize(("fault", "status", "where"), [("", "pass", ""), (" * 0 + inputs['x']", "fail", "1/add_1")])
def test_sessions_keep_the_state_of_a_sequence(sums, tmp_path, fault, status, where):
    path = tmp_path / "session.py"
    name = read_case(sums).outputs[0].name
    path.write_text(SESSION.format(fault=fault).replace("add_1", name))
    (result,) = run_cases([sums], lambda: PythonSession(str(path)), "declared")
    assert result.status == status, result.message
    assert where.replace("add_1", name) in result.message


@pytest.mark.parametrize(("forgotten", "status"), [("none", "pass"), ("2", "fail")])
def test_commands_are_given_a_folder_for_each_step(sums, tmp_path, forgotten, status):
    path = tmp_path / "command.py"
    path.write_text(COMMAND.replace("add_1", read_case(sums).outputs[0].name))
    command = f'"{sys.executable}" "{path}" {{inputs}} {{out}} {forgotten} {{model}}'.replace("\\", "/")
    path.write_text(path.read_text().replace("sys.argv[1:]", "sys.argv[1:4]"))
    (result,) = run_cases([sums], lambda: Command(command), "declared")
    assert result.status == status, result.message
    assert ("2/" in result.message) == (status == "fail")


def test_an_output_of_a_later_step_that_is_missing_is_a_failure(sums, tmp_path):
    path = tmp_path / "session.py"
    name = read_case(sums).outputs[0].name
    session = SESSION.format(fault="").replace("total = 0", "total, seen = 0, []")
    session = session.replace("        return {", "        seen.append(0)\n        return {} if len(seen) == 2 else {")
    path.write_text(session.replace("add_1", name))
    (result,) = run_cases([sums], lambda: PythonSession(str(path)), "declared")
    assert result.status == "fail"
    assert f"'1/{name}': was not written" in result.message


def test_sessions_are_told_which_function_predicts(tmp_path):
    chosen = [item for item in PLANS if item.id.startswith("mil/package/functions-")]
    written(tmp_path / "cases", chosen)
    folders = find_cases(tmp_path / "cases")
    results = list(run_cases(folders, lambda: PythonSession(str(SESSIONS / "refcoreml_float32.py")), "fp32"))
    assert [result.status for result in results] == ["pass"] * len(chosen) == ["pass"] * 3
    path = tmp_path / "session.py"
    path.write_text("def prepare(model):\n    raise SystemError('never asked')\n")
    of_all = {result.id: result for result in run_cases(folders, lambda: PythonSession(str(path)), "fp32")}
    assert [of_all[f"mil/package/functions-{name}/integers"].status for name in ("default", "second")] == [
        "crash",
        "unsupported",
    ]
    command = Command(f'"{sys.executable}" -c "import sys; sys.exit(5)" {{model}}'.replace("\\", "/"))
    of_all = {result.id: result for result in run_cases(folders, lambda: command, "fp32")}
    assert of_all["mil/package/functions-second/integers"].status == "unsupported"
    told = f'"{sys.executable}" -c "import sys; sys.exit(sys.argv[1] == \'second\')" {{function}} {{model}}'
    of_all = {result.id: result for result in run_cases(folders, lambda: Command(told.replace("\\", "/")), "fp32")}
    assert "rejected" in of_all["mil/package/functions-second/integers"].message


def test_classifiers_return_labels_as_places(tmp_path):
    def classified(p):
        p.labels = ["cat", "dog", "owl"]
        return list(p.program.add("classify", probabilities=p["x"], classes=p.labels))

    folder = written(tmp_path / "cases", program("classify", "here", classified, {"x": X(3)}, kinds="integers"))
    case = read_case(folder)
    assert [output.labels for output in case.outputs] == [["cat", "dog", "owl"]] * 2
    path = tmp_path / "session.py"
    label, scores = (output.name for output in case.outputs)
    for order in (1, -1):
        path.write_text(
            "LABELS = ['cat', 'dog', 'owl']\ndef prepare(model):\n    def session(inputs):\n        x = inputs['x']\n"
            f"        return {{'{label}': LABELS[{order} * int(x.argmax())],\n"
            f"                '{scores}': dict(zip(LABELS, x[::{order}]))}}\n"
            "    return session\n"
        )
        (result,) = run_cases([folder], lambda: PythonSession(str(path)), "fp32")
        assert result.status == ("pass" if order == 1 else "fail"), result.message


def test_refcoreml_passes_all_programs_as_they_declare(tmp_path):
    """In single precision they are part of the whole suite, see `test_runner`. A third of them, unless thorough."""
    which = ["mil"] if THOROUGH else ["mil/[a-f]*"]
    session = SESSIONS / "refcoreml_declared.py"
    arguments = ["--python", str(session), "--profile", "declared", "--json", str(tmp_path / "r.json")]
    assert main(["conformance", "run", "--cases", str(CASES), *which, *arguments]) == 0
    results = json.loads((tmp_path / "r.json").read_text())["cases"]
    assert {item["id"]: item["status"] for item in results if item["status"] != "pass"} == {}
    assert {item["id"] for item in results} == {
        folder.relative_to(CASES).as_posix() for folder in find_cases(CASES, which)
    }


def test_the_profile_of_programs_leaves_networks_out(tmp_path, capsys):
    arguments = ["--python", str(SESSIONS / "refcoreml_declared.py"), "--json", str(tmp_path / "r.json")]
    chosen = ["ceil/plain", "mil/relu/plain"]
    assert main(["conformance", "run", "--cases", str(CASES), *chosen, "--profile", "declared", *arguments]) == 0
    assert {item["id"].split("/")[0] for item in json.loads((tmp_path / "r.json").read_text())["cases"]} == {"mil"}
    assert (
        main(
            [
                "conformance",
                "run",
                "--cases",
                str(CASES),
                *chosen,
                "--without",
                "mil",
                "--profile",
                "declared",
                *arguments,
            ]
        )
        == 2
    )
    assert "declared" in capsys.readouterr().err


def test_reports_link_clauses(tmp_path):
    case = shutil.copytree(PROGRAM_SMOKE, tmp_path / "cases/mil/relu/plain/integers") / "case.json"
    case.write_text(json.dumps({**json.loads(case.read_text()), "clauses": ["mil.relu.S1"]}))
    path = tmp_path / "session.py"
    path.write_text(
        "import numpy as np\ndef prepare(model):\n    wrong = 'mil' in model\n"
        "    return lambda inputs: {'result': np.maximum(inputs['x'], 0) + wrong}\n"
    )
    reports = {kind: tmp_path / f"r.{kind}" for kind in ("json", "junit", "html")}
    arguments = [f"--{kind}={report}" for kind, report in reports.items()]
    command = ["conformance", "run", f"--cases={tmp_path / 'cases'}", f"--python={path}", "--specification=https://s/"]
    assert main([*command, *arguments]) == 1
    link = "https://s/programs/relu.md"
    assert f'<a href="{link}">mil.relu.S1</a>' in reports["html"].read_text()
    assert json.loads(reports["json"].read_text())["cases"][0]["clauses"] == {"mil.relu.S1": link}
    assert f"mil.relu.S1 {link}" in reports["junit"].read_text()
