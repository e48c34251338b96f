"""The runner against implementations that are right, wrong, slow, dead, or mad."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from profiles import THOROUGH

from refcoreml.cli import conformance as cli
from refcoreml.cli.console import SafeConsole
from refcoreml.cli.main import main
from refcoreml.conformance import report
from refcoreml.conformance.cases import find_cases
from refcoreml.conformance.expectations import Expectation, expected, read_expectations
from refcoreml.conformance.runner import SMOKE, Command, PythonSession, Result, run_cases
from refcoreml.errors import UsageError

ROOT = Path(__file__).resolve().parents[2] / "conformance"
CASES = ROOT / "cases"
CEIL = CASES / "ceil/plain/halves"

#: Acts on what it is told; computes ceil.
ACTOR = """
import os, sys, time
import numpy as np
act, case, inputs, out = sys.argv[1:]
x = np.load(os.path.join(inputs, "x0.npy"))
y = os.path.join(out, "y0.npy")
def save(value): np.save(y, value)
print("garbage \\x00 \\xff" * 1000)
{
    "right": lambda: save(np.ceil(x)),
    "wrong": lambda: save(np.ceil(x) + 1),
    "shape": lambda: save(np.ceil(x)[0]),
    "text": lambda: save(np.ceil(x).astype(str)),
    "pickle": lambda: np.save(y, np.array([{}]), allow_pickle=True),
    "nothing": lambda: None,
    "bytes": lambda: open(y, "wb").write(b"\\x93NUMPY garbage"),
    "folder": lambda: os.mkdir(y),
    "hang": lambda: time.sleep(600),
    "reject": lambda: sys.exit(1),
    "unsupported": lambda: sys.exit(2),
    "crash": lambda: sys.exit(77),
    "abort": lambda: os.abort(),
}[act]()
"""

STATUSES = {
    "right": ("pass", ""),
    "wrong": ("fail", "out of bounds"),
    "shape": ("fail", "has the shape"),
    "text": ("fail", "numbers"),
    "pickle": ("fail", "y0"),
    "nothing": ("fail", "was not written"),
    "bytes": ("fail", "y0"),
    "folder": ("fail", "y0"),
    "reject": ("fail", "rejected a valid model"),
    "unsupported": ("unsupported", ""),
    "crash": ("crash", "exit code 77"),
    "abort": ("crash", "exit code"),
}


@pytest.fixture
def actor(tmp_path):
    path = tmp_path / "actor.py"
    path.write_text(ACTOR)
    return lambda act: f'"{sys.executable}" "{path}" {act} {{case}} {{inputs}} {{out}}'.replace("\\", "/")


@pytest.mark.parametrize("act", STATUSES)
def test_commands(actor, act):
    (result,) = run_cases([CEIL], lambda: Command(actor(act)), "fp32")
    status, message = STATUSES[act]
    assert result.status == status
    assert message in result.message
    assert len(result.message) < 5000
    assert result.bad == (act not in ("right", "unsupported"))


def test_what_hangs_is_ended_and_the_run_goes_on(actor, tmp_path):
    for make in (
        lambda: Command(actor("hang")),
        lambda: PythonSession(session(tmp_path, "import time; time.sleep(600)")),
    ):
        results = list(run_cases([CEIL, CASES / "ceil/plain/wide"], make, "fp32", timeout=2, jobs=2))
        assert [result.status for result in results] == ["timeout"] * 2
        assert all(result.seconds < 300 for result in results)  # also on a busy machine


def test_a_command_that_does_not_exist():
    (result,) = run_cases([CEIL], lambda: Command("/no/such/program {case} {out}"), "fp32")
    assert (result.status, "cannot be started" in result.message) == ("crash", True)
    with pytest.raises(UsageError, match="case"):
        Command("myimpl")
    with pytest.raises(UsageError, match="No closing quotation"):
        Command("'myimpl {case}")


def session(folder, line, prepare=""):
    """A session in Python that runs a line before it computes ceil."""
    path = folder / "session.py"
    path.write_text(
        "import os, subprocess, sys, time, numpy as np\n"
        "from refcoreml.conformance import Rejected\n"
        "def prepare(model):\n"
        f"    {prepare or 'pass'}\n"
        "    def session(inputs):\n"
        f"        {line}\n"
        "        return {'y0': np.ceil(inputs['x0'])}\n"
        "    return session\n"
    )
    return str(path)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("pass", "pass"),
        ('print(\'{"outcome": "returned"}\')', "pass"),
        ("os.write(1, b'garbage\\n')", "pass"),
        ("raise NotImplementedError('not yet')", "unsupported"),
        ("raise ValueError('a mistake')", "crash"),
        ("raise Rejected('refused')", "fail"),
        ("raise KeyError('oops')", "crash"),
        ("return {}", "fail"),
        ("return {'y0': 'text'}", "fail"),
        ("return {'y0': [[1, 2], [3]]}", "fail"),
        ("return None", "crash"),
        ("return {'../y0': inputs['x0']}", "fail"),
        ("inputs['x0'] = inputs['x0'] + 1", "fail"),
        ("os._exit(3)", "crash"),
        ("sys.exit(0)", "crash"),
        ("os.abort()", "crash"),
    ],
)
def test_sessions(tmp_path, line, status):
    name = session(tmp_path, line)
    results = list(run_cases([CEIL, CASES / "ceil/plain/wide"], lambda: PythonSession(name), "fp32", jobs=1))
    assert [result.status for result in results] == [status] * 2


def test_a_session_that_cannot_be_imported(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("import no_such_module_anywhere\n")
    (result,) = run_cases([CEIL], lambda: PythonSession(str(path)), "fp32")
    assert result.status == "crash"


def test_a_session_cannot_write_elsewhere_by_the_name_of_an_output(tmp_path):
    name = session(tmp_path, "return {'../' + os.path.basename(model) + 'stray': inputs['x0']}", prepare="global os")
    (result,) = run_cases([CEIL], lambda: PythonSession(name), "fp32")
    assert result.message == "output 'y0': was not written"
    assert not list(Path(tempfile.gettempdir()).glob("*stray*"))


def test_a_damaged_case_is_told_and_the_run_goes_on(tmp_path):
    for name in ("json", "arrays"):
        shutil.copytree(CEIL, tmp_path / name)
    (tmp_path / "json/case.json").write_text("{")
    (tmp_path / "arrays/arrays.npy").write_bytes(b"")
    name = session(tmp_path, "pass")
    folders = [tmp_path / "json", tmp_path / "arrays", CEIL]
    statuses = sorted(r.status for r in run_cases(folders, lambda: PythonSession(name), "fp32"))
    assert statuses == ["damaged", "damaged", "pass"]


def spoiled(folder, **fields):
    """A copy of a case with other fields; a function makes a field from the one that is there."""
    shutil.copytree(CEIL, folder)
    path = folder / "case.json"
    case = json.loads(path.read_text())
    case.update({key: value(case[key]) if callable(value) else value for key, value in fields.items()})
    path.write_text(json.dumps(case))
    return folder


@pytest.mark.parametrize("kind", ["session", "command"])
def test_a_case_cannot_write_elsewhere_nor_end_the_run(actor, tmp_path, kind):
    victim = tmp_path / "victim"
    renamed = [str(victim), "../x0", "scope/x0", "x\0", "", "x\ud800", "x" * 300]

    def power(outputs):
        return [{**outputs[0], "moments": [{"power": 10**30, "reference": 0, "bound": 1}]}]

    folders = [
        *(
            spoiled(tmp_path / str(number), inputs=lambda i, name=name: [{**i[0], "name": name}])
            for number, name in enumerate(renamed)
        ),
        spoiled(tmp_path / "id", id="half/\ud800"),
        spoiled(tmp_path / "at", inputs=lambda inputs: [{**inputs[0], "values": {"at": -1}}]),
        spoiled(tmp_path / "model", model={"file": "model\0.mlmodel", "sha256": ""}),
        spoiled(tmp_path / "moment", outputs=power),
        tmp_path / "missing",
    ]
    name = session(tmp_path, "pass")
    make = {"session": lambda: PythonSession(name), "command": lambda: Command(actor("right"))}[kind]
    before = sorted(Path(tempfile.gettempdir()).glob("*.npy"))
    results = list(run_cases([*folders, CEIL], make, "fp32", timeout=60))
    assert sorted(result.status for result in results) == ["damaged"] * len(folders) + ["pass"]
    assert not list(tmp_path.rglob("victim*"))
    assert sorted(Path(tempfile.gettempdir()).glob("*.npy")) == before
    assert all(result.bad and result.message for result in results if result.status == "damaged")


@pytest.mark.skipif(os.name == "nt", reason="names with such characters, and pipes, are those of POSIX systems")
def test_folders_of_any_name_and_pipes(tmp_path, capsys):
    root = tmp_path / "cases"
    for name in ("tab\tand\nline", "plain"):
        shutil.copytree(CEIL, root / name)
    odd = os.fsencode(root) + b"/\xff\x1b[2J"
    os.mkdir(odd)
    os.mkfifo(odd + b"/case.json")
    reports = [f"--{kind}={tmp_path / kind}" for kind in ("json", "junit", "html")]
    arguments = ["--cases", str(root), "--smoke", "plain", "--python", session(tmp_path, "pass"), *reports]
    assert main(["conformance", "run", *arguments]) == 1
    statuses = [case["status"] for case in json.loads((tmp_path / "json").read_text())["cases"]]
    assert sorted(statuses) == ["damaged", "pass", "pass"]
    ElementTree.parse(tmp_path / "junit")
    said = capsys.readouterr()
    assert "\x1b" not in said.err + said.out + (tmp_path / "html").read_text()
    assert "is a pipe, expected a regular file" in said.err


# ---- Cases that ask for several runs, and for custom layers ----

#: A session in Python that remembers: it adds what it got before.
REMEMBERS = """
from refcoreml import load
def prepare(model):
    loaded, kept = load(model), []
    def session(inputs):
        outputs = loaded.predict(inputs)
        {line}
        kept.append(outputs)
        return outputs
    return session
"""


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("pass", "pass", ""),
        ("outputs = {name: y + sum(o[name] for o in kept) for name, y in outputs.items()}", "fail", "out of bounds"),
        ("outputs = {} if not kept else outputs", "pass", ""),  # the last run counts
        ("assert not kept, 'only once'", "crash", "only once"),
        ("inputs.clear()", "pass", ""),  # each run has inputs of its own
    ],
)
def test_a_session_is_called_for_each_run(tmp_path, line, status, message):
    path = tmp_path / "remembers.py"
    path.write_text(REMEMBERS.replace("{line}", line))
    (result,) = run_cases([CASES / "gru/no-state/zero-mean"], lambda: PythonSession(str(path)), "fp32")
    assert (result.status, message in result.message) == (status, True)


def test_a_session_may_import_a_file_of_its_folder(tmp_path):
    (tmp_path / "my_neighbour.py").write_text("import numpy as np\nround_up = np.ceil\n")
    path = tmp_path / "mine.py"
    path.write_text(
        "from my_neighbour import round_up\n"
        "def prepare(model):\n"
        "    return lambda inputs: {'y0': round_up(inputs['x0'])}\n"
    )
    (result,) = run_cases([CEIL], lambda: PythonSession(str(path)), "fp32")
    assert result.status == "pass"


def test_without_code_for_custom_layers_their_cases_are_unsupported(tmp_path):
    source = (ROOT / "sessions/refcoreml_float32.py").read_text()
    path = tmp_path / "without.py"
    path.write_text(source.replace("from custom_layers import LAYERS", "LAYERS = {}"))
    results = list(run_cases(find_cases(CASES, ["custom"]), lambda: PythonSession(str(path)), "fp32"))
    rejected = {result.id for result in results if result.status == "pass"}
    assert rejected == {"custom/invalid-no-class/integers", "custom/invalid-no-value/integers"}
    assert {result.status for result in results if result.id not in rejected} == {"unsupported"}
    assert len(results) > 25


# ---- Known failures ----


def test_the_list_of_known_failures_is_strict(tmp_path):
    path = tmp_path / "known.txt"
    path.write_text("# ours\n\nceil/plain/w* | rounds wrongly, https://example.org/1\nceil/plain/halves|also\n")
    known = read_expectations(path)
    assert known == [
        Expectation("ceil/plain/w*", "rounds wrongly, https://example.org/1"),
        Expectation("ceil/plain/halves", "also"),
    ]
    assert expected("ceil/plain/wide", known) is known[0]
    assert expected("floor/plain/wide", known) is None
    good, bad = session(tmp_path, "pass"), "inputs['x0'] = inputs['x0'] + 1"
    (result,) = run_cases([CEIL], lambda: PythonSession(good), "fp32", expectations=known)
    assert (result.status, result.bad) == ("unexpected pass", True)
    wrong = session(tmp_path, bad)
    (result,) = run_cases([CEIL], lambda: PythonSession(wrong), "fp32", expectations=known)
    assert (result.status, result.bad) == ("expected failure", False)
    assert result.message.startswith("also (")


@pytest.mark.parametrize("line", ["ceil", "ceil |", "| why"])
def test_lines_that_are_none(tmp_path, line):
    (tmp_path / "known.txt").write_text(line)
    with pytest.raises(UsageError, match="line 1"):
        read_expectations(tmp_path / "known.txt")
    with pytest.raises(UsageError, match="cannot be read"):
        read_expectations(tmp_path / "missing.txt")


# ---- The command line and its reports ----


def run(*arguments):
    """The command, for implementations that know ceil."""
    smoke = [] if "--smoke" in arguments else ["--smoke", "ceil/plain/halves"]
    return main(["conformance", "run", "--cases", str(CASES), *smoke, *map(str, arguments)])


def test_a_run_with_all_reports(tmp_path, capsys):
    name = session(tmp_path, "inputs['x0'] = inputs['x0'] + (inputs['x0'].max() > 30)")
    files = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html")}
    code = run("ceil/plain", "--python", name, *(part for kind, path in files.items() for part in (f"--{kind}", path)))
    assert code == 1
    table = capsys.readouterr()
    assert "functions" in table.out
    assert "fail: ceil/plain/special" in table.err
    report = json.loads(files["json"].read_text())
    statuses = {case["id"].split("/")[-1]: case["status"] for case in report["cases"]}
    assert statuses == {"halves": "pass", "integers": "pass", "special": "fail", "wide": "fail", "zero-mean": "pass"}
    assert report["families"][-1]["pass"] == 3
    assert report["profile"] == "fp32"
    suite = ElementTree.parse(files["junit"]).getroot().find("testsuite")
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("functions", "5", "2")
    page = files["html"].read_text()
    assert "ceil/plain/wide" in page
    assert page.count("<table") == page.count("</table>") == 3


def test_a_run_by_command(actor, capsys):
    assert run("ceil/plain/halves", "--command", actor("right"), "--profile", "fp16/acc32") == 0
    assert "1 cases: 1 pass, 0 fail; 1 returned outputs" in capsys.readouterr().out


# ---- Runs that prove nothing ----

SMOKE_FAILED = 6


@pytest.mark.parametrize("act", [act for act in STATUSES if act != "right"])
def test_what_does_not_return_the_smoke_case_runs_nothing_else(actor, act, capsys, tmp_path):
    assert run("floor", "--command", actor(act), "--json", tmp_path / "r.json") == SMOKE_FAILED
    said = capsys.readouterr()
    assert f"ceil/plain/halves was not returned correctly, so nothing else was run: {STATUSES[act][0]}" in said.err
    assert said.out == ""
    written = json.loads((tmp_path / "r.json").read_text())
    assert [case["id"] for case in written["cases"]] == ["ceil/plain/halves"]
    assert "nothing else was run" in written["complaints"][0]


def test_a_mistyped_command_is_an_error_at_once(capsys, tmp_path):
    for command, reason in (
        ("/no/such/program {case} {out}", "cannot be started"),
        (f'"{sys.executable}" no_such_file.py {{case}}'.replace("\\", "/"), "no_such_file.py"),  # which exits with 2
    ):
        assert main(["conformance", "run", "--cases", str(CASES), "--command", command]) == SMOKE_FAILED
        assert reason in capsys.readouterr().err
    (tmp_path / "mistyped.py").write_text("import no_such_module\n")
    arguments = ["--cases", str(CASES), "--python", str(tmp_path / "mistyped.py")]
    assert main(["conformance", "run", *arguments]) == SMOKE_FAILED
    assert "no_such_module" in capsys.readouterr().err


def test_a_session_that_always_raises_does_not_pass_invalid_cases(tmp_path, capsys):
    name = session(tmp_path, "pass", prepare="raise ValueError('any mistake')")
    results = list(run_cases(find_cases(CASES, ["*/invalid-*"])[:9], lambda: PythonSession(name), "fp32"))
    assert {result.status for result in results} == {"crash"}
    assert "refcoreml.conformance.Rejected" in results[0].message
    assert main(["conformance", "run", "--cases", str(CASES), "*/invalid-*", "--python", name]) == SMOKE_FAILED
    assert "any mistake" in capsys.readouterr().err


def test_rejections_pass_where_they_are_right(tmp_path):
    name = session(tmp_path, "raise Rejected('not this one')")
    folders = [CEIL, *find_cases(CASES, ["*/invalid-*"])[:5]]
    results = sorted(run_cases(folders, lambda: PythonSession(name), "fp32"), key=lambda result: result.id)
    assert [result.status == "pass" for result in results] == [result.verdict == "invalid" for result in results]
    assert {result.outcome for result in results} == {"rejected"}


def test_the_smoke_case_of_the_package_is_one_of_the_suite():
    files = {path.name: path.read_bytes() for path in SMOKE.iterdir()}
    assert files == {path.name: path.read_bytes() for path in (CASES / "activation/ReLU/integers").iterdir()}


@pytest.mark.parametrize("smoke", ["nothing/fits", "ceil/plain", "activation/invalid-none/*"])
def test_a_smoke_case_is_one_that_is_returned(actor, smoke, capsys):
    assert run("ceil", "--command", actor("right"), "--smoke", smoke) == 2
    assert smoke in capsys.readouterr().err


def only(folder, condition):
    """A session that knows ceil where the condition on the model holds, and nothing else."""
    return session(folder, "pass", prepare=f"if not ({condition}): raise NotImplementedError('later')")


def test_a_run_that_returns_nothing_fails(tmp_path, capsys):
    name = only(tmp_path, "'ceil' in model")
    assert run("ceil/plain", "--python", name) == 0
    capsys.readouterr()
    junit, page = tmp_path / "r.xml", tmp_path / "r.html"
    assert run("floor", "--python", name, "--junit", junit, "--html", page) == 1
    assert "nothing was returned" in capsys.readouterr().err
    assert "nothing was returned" in page.read_text()
    failures = [suite.get("failures") for suite in ElementTree.parse(junit).getroot()]
    assert failures == ["1", "0"]  # of the run itself, and of its cases
    # Models that must be rejected, and of which nobody can say more than that they are not supported.
    assert run("activation/invalid-*", "--python", name) == 1
    assert "none of 2 cases passed" in capsys.readouterr().err


@pytest.mark.parametrize(("least", "code"), [("2", 0), ("3", 1), ("40%", 0), ("40.1%", 1), ("0", 0), ("100%", 1)])
def test_at_least_so_many_must_pass(tmp_path, least, code, capsys):
    name = only(tmp_path, "'halves' in model or 'wide' in model")
    assert run("ceil/plain", "--python", name, "--min-pass", least) == code
    assert ("2 of 5 cases passed, at least" in capsys.readouterr().err) == bool(code)


@pytest.mark.parametrize("least", ["6", "101%", "-1", "many", "nan", "50 %", "1e1", "", "%"])
def test_shares_and_numbers_that_are_none(actor, least, capsys):
    assert run("ceil/plain", "--command", actor("right"), f"--min-pass={least}") == 2
    assert "--min-pass" in capsys.readouterr().err


# ---- What is printed ----


@pytest.mark.parametrize("width", [60, 80, 140, 160])
def test_counts_are_shown_at_every_width(width, monkeypatch):
    def result(number, status):
        name = "a family with a name of over forty letters" if number % 2 else "joining and slicing"
        return Result(str(number), name, "wide", [], "returns", "returned", status, "", 0.12345, "", 1.0)

    statuses = ["pass"] * 12346 + ["fail"] * 2346 + ["unsupported"] * 346
    statuses += [status for status in report.STATUSES if status not in statuses]
    text = io.StringIO()
    for name in ("out", "errors"):
        monkeypatch.setattr(cli, name, SafeConsole(file=text, width=width))
    cli._show([result(number, status) for number, status in enumerate(statuses)], "fp16/acc16", [])
    rows = [line.split() for line in text.getvalue().splitlines()]
    total = next(row for row in rows if row[:1] == ["all"])
    assert total[1:4] == ["12346", "2346", "0.123"]
    assert sum(row[-1] in ("...", "…") or "12…" in row for row in rows) == 0
    summary = " ".join(next(line for line in text.getvalue().splitlines() if "cases:" in line).split())
    assert "12346 pass, 2346 fail" in summary
    assert sum(" 6173 " in line and " 1173 " in line for line in text.getvalue().splitlines()) == 2  # the families


def test_messages_with_anything_in_them_make_valid_reports(tmp_path):
    line = "raise Rejected('<b>\\x00\\x1b & \\ud800]]>')"
    name = session(tmp_path, "if 'wide' in model: " + line)
    assert run("ceil/plain/wide", "--python", name, "--junit", tmp_path / "r.xml", "--html", tmp_path / "r.html") == 1
    ElementTree.parse(tmp_path / "r.xml")
    assert "<b>\x00" not in (tmp_path / "r.html").read_text(errors="replace")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing-fits", "--command", "x {case}"],
        ["--command", "no placeholder"],
        ["--python", "missing.py"],
        ["--command", "x {case}", "--jobs", "0"],
        ["--command", "x {case}", "--jobs", "1000000"],
        ["--command", "x {case}", "--timeout", "nan"],
        ["--command", "x {case}", "--timeout", "inf"],
        ["--command", "x {case}", "--expected", "missing.txt"],
        ["--command", "x {case}", "--json", "no/such/folder/r.json"],
    ],
)
def test_wrong_arguments(arguments):
    assert run(*arguments) == 2


def test_a_folder_of_cases_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["conformance", "run", "--command", "x {case}"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "conformance/cases: there is no such folder. Cases come with the repository" in said.replace("\\", "/")
    (tmp_path / "empty").mkdir()
    assert main(["conformance", "run", "--command", "x {case}", "--cases", "empty"]) == 2
    assert "empty: no case. Cases come" in " ".join(capsys.readouterr().err.split())


def test_a_known_failure_that_fits_no_case_fails_a_whole_run(tmp_path, capsys):
    folder = tmp_path / "cases/one"
    folder.parent.mkdir()
    shutil.copytree(CEIL, folder)
    (tmp_path / "known.txt").write_text("gone/* | was removed\n")
    arguments = ["--cases", str(tmp_path / "cases"), "--smoke", "one", "--python", session(tmp_path, "pass")]
    assert main(["conformance", "run", *arguments]) == 0
    assert main(["conformance", "run", *arguments, "--expected", str(tmp_path / "known.txt")]) == 1
    assert "gone/*" in capsys.readouterr().err


def test_cases_that_show_nothing_are_counted_apart(tmp_path, capsys):
    """The session computes no batch norm."""
    name = session(tmp_path, "if 'tiny' in model: return {'y0': np.full_like(inputs['x0'], 12345.0)}")
    files = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html")}
    case, given = "batchnorm/tiny-variance", (part for kind, path in files.items() for part in (f"--{kind}", path))
    assert run(case, "--python", name, "--profile", "fp16/acc16", *given) == 0
    assert "1 cases: 0 pass, 0 fail, 1 undetermined;" in capsys.readouterr().out
    report = json.loads(files["json"].read_text())
    assert [one["status"] for one in report["cases"]] == ["undetermined"]
    assert (report["families"][-1]["pass"], report["families"][-1]["undetermined"]) == (0, 1)
    suite = ElementTree.parse(files["junit"]).getroot().find("testsuite")
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")
    assert "undetermined" in suite.find("testcase/skipped").get("message")
    assert "<th>undetermined</th>" in files["html"].read_text()
    assert run(case, "--python", name, "--profile", "fp16/acc16", "--min-pass", "1") == 1
    assert "0 of 1 cases passed" in capsys.readouterr().err


def test_a_smoke_case_that_shows_nothing_is_refused(tmp_path, capsys):
    name = session(tmp_path, "pass")
    smoke = "batchnorm/tiny-variance/zero-mean"
    assert run("ceil/plain", "--python", name, "--profile", "fp16/acc16", "--smoke", smoke) == 2
    assert "shows nothing: output y0" in capsys.readouterr().err


# ---- Honest implementations ----

#: The cases whose bounds in half precision with sums in it are all infinite.
UNDETERMINED = {
    "batchnorm/instance-default-epsilon/zero-mean",
    "batchnorm/tiny-variance/zero-mean",
    "innerProduct/deep/cancellation",
    "l2normalize/default-epsilon/zero-mean",
    "layerNormalization/no-epsilon-small/zero-mean",
    "mvn/default-epsilon/zero-mean",
    "reduce/logsum-default-epsilon/integers",
    "unary/inverse-default-epsilon/integers",
    "unary/rsqrt-default-epsilon/integers",
}


@pytest.mark.parametrize(
    ("name", "profile"),
    [("refcoreml_float32", "fp32"), ("refcoreml_float16", "fp16/acc32"), ("refcoreml_float16", "fp16/acc16")],
)
def test_refcoreml_passes_the_whole_suite(name, profile, tmp_path):
    """In half precision a third of it, unless thorough, and in single precision networks; see also test_programs.py."""
    session = ROOT / "sessions" / f"{name}.py"
    whole = THOROUGH or profile == "fp32"
    which = ["[a-d]*/*", "pooling/*", "softmax/*"]
    if whole:
        which = [] if THOROUGH else ["--without", "mil"]
    assert run("--python", session, "--profile", profile, "--json", tmp_path / "r.json", *which) == 0
    cases = json.loads((tmp_path / "r.json").read_text())["cases"]
    assert {case["id"]: case["status"] for case in cases if case["status"] != "pass"} == {
        case["id"]: "undetermined" for case in cases if profile == "fp16/acc16" and case["id"] in UNDETERMINED
    }
    assert len(cases) > (1500 if whole else 300)


@pytest.mark.parametrize(("name", "module", "least"), [("torch", "torch", 300), ("onnxruntime", "onnxruntime", 270)])
def test_others_pass_what_they_share(name, module, least, tmp_path):
    pytest.importorskip(module)
    if name == "onnxruntime":
        pytest.importorskip("onnx")
    session = ROOT / "sessions" / f"{name}_layers.py"
    assert run("--python", session, "--json", tmp_path / "r.json", "--timeout", 120) == 0
    statuses = [case["status"] for case in json.loads((tmp_path / "r.json").read_text())["cases"]]
    assert set(statuses) == {"pass", "unsupported"}
    assert statuses.count("pass") >= least


HALF = """
import numpy as np
from refcoreml.spec.files import read_model

def prepare(model):
    layers = read_model(model).spec.neuralNetwork.layers
    if len(layers) != 1 or layers[0].WhichOneof("layer") != "innerProduct":
        raise NotImplementedError
    p = layers[0].innerProduct
    if not p.weights.floatValue or p.hasBias:
        raise NotImplementedError
    w = np.array(p.weights.floatValue, np.float16).reshape(p.outputChannels, p.inputChannels)

    def session(inputs):
        x = inputs["x0"].astype(np.float16)
        if x.shape[-1] != p.inputChannels:
            raise NotImplementedError
        y = np.zeros((*x.shape[:-1], p.outputChannels), np.float16)
        for k in range(p.inputChannels - DROPPED):
            y = y + x[..., k, None] * w[:, k]
        return {"y0": y}

    return session
"""


@pytest.mark.parametrize("dropped", [0, 1])
def test_sums_in_half_precision(tmp_path, dropped):
    # Products and sums one after the other in float16: honest, and with the last product forgotten.
    path = tmp_path / "half.py"
    path.write_text(HALF.replace("DROPPED", str(dropped)))
    folders = [folder for kind in ("vector", "deep") for folder in sorted((CASES / "innerProduct" / kind).iterdir())]
    results = list(run_cases(folders, lambda: PythonSession(str(path)), "fp16/acc16"))
    statuses = {result.id: result.status for result in results}
    assert len(statuses) == 7
    if not dropped:
        assert {name for name, status in statuses.items() if status != "pass"} == {"innerProduct/deep/cancellation"}
        assert statuses["innerProduct/deep/cancellation"] == "undetermined"
        assert max(result.worst for result in results) > 0
    else:
        assert statuses["innerProduct/vector/integers"] == statuses["innerProduct/deep/integers"] == "fail"


#: A matrix product whose sums run from the first term to the last in half precision, and may forget one.
PRODUCT = """
import numpy as np
def prepare(model):
    def session(inputs):
        a, b = (inputs[name].astype(np.float16) for name in ("x0", "x1"))
        y = np.zeros((a.shape[0], b.shape[1]), np.float16)
        for k in range(a.shape[1]):
            if k != {forgotten}:
                y += a[:, k : k + 1] * b[k]
        return {{"y0": y}}
    return session
"""


@pytest.mark.parametrize(("forgotten", "status"), [(None, "pass"), (123, "suspicious")])
def test_a_forgotten_term_that_hides_in_the_bounds_is_suspicious(forgotten, status, tmp_path):
    path = tmp_path / "product.py"
    path.write_text(PRODUCT.format(forgotten=forgotten))
    folder = CASES / "batchedMatmul/many/zero-mean"
    (result,) = run_cases([folder], lambda: PythonSession(str(path)), "fp16/acc16")
    assert (result.status, result.worst <= 1, result.bad) == (status, True, False)
    assert ("standard deviations of rounding" in result.message) == (status == "suspicious")
    (known,) = run_cases(
        [folder], lambda: PythonSession(str(path)), "fp16/acc16", expectations=[Expectation("*", "why")]
    )
    assert known.status == "unexpected pass"
    about = report.About("product", "fp16/acc16")
    assert ("suspicious: " in report.as_junit([result], about)) == (status == "suspicious")
    assert ("<h2>Suspicious</h2>" in report.as_html([result], about)) == (status == "suspicious")
