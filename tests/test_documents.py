"""Every command and every snippet of the README and the other pages runs as it is written."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import write_files

import refcoreml
from refcoreml import build, cli, custom
from refcoreml.cli.main import parser

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "benchmarks/README.md")),
    *(ROOT / name for name in ("campaigns/README.md", "conformance/apple/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
#: What a command line can begin with. Text in backticks counts when it has arguments.
PROGRAMS = r"(?:refcoreml|python[0-9.]*|pip|pytest|\S*bin/\w+|\.) "
#: Commands that only a person should start: they call what is not here, or take long. Their arguments are checked.
NOT_RUN = {
    "myimpl": "names an implementation of the reader's own",
    "mine.py": "names a session of the reader's own",
}
#: Words that say less than the field's own, with these.
BANNED = {
    r"\bt(ell|ells|elling|old)\b[^.\n]{0,30} apart\b": "distinguish",
    r"\blen(d|ds|t)\b": "provide",
    r"\bwhole (numbers?|ones)\b": "integer",
    r"\bask(s|ed|ing)? for\b": "request, require",
    r"(?<!\")\bgreatest\b": "largest, maximum",
    r"\bcame\b": "got, is newer than",
    r"\b(N-D|rank-5) worlds?\b": "N-D networks, rank-5 networks",
    r"\b(a|one) ((number|slope|scale|rule|class|line) )?a (channel|layer|kind|row|tensor)\b": "per channel",
}
#: Folders whose text the test of words reads, besides the pages.
WRITTEN = ("refcoreml", "campaigns", "conformance", "benchmarks", "docs", "examples")
#: What the names mean that a page leaves to its reader.
PACKAGES = {"torch": "torch", "coremltools": "coremltools", "dask": "distributed"}


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands(page: Path) -> list[str]:
    """Return the command lines of a page: in blocks, fenced or indented, and in backticks."""
    text = _text(page)
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines += re.findall(rf"^    ({PROGRAMS}.*)$", outside, re.MULTILINE)
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", outside)]
    lines += [code for code in inline if re.match(PROGRAMS, code)]
    return [part for line in lines for part in re.sub(r"\s\s+#.*", "", line).split(" && ") if part]


#: The guide's own script is run by tests/test_contributing.py.
COMMANDS = [(page, line) for page in PAGES for line in commands(page) if line != "python tent.py"]
SNIPPETS = [page for page in PAGES if "```python\n" in _text(page) and page.name != "CONTRIBUTING.md"]


def _named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _words(line: str) -> list[str]:
    return shlex.split(line.partition(" > ")[0], comments=True)


def _check_refcoreml(words: list[str]) -> None:
    if all(re.fullmatch(r"[A-Z]+|-h|--help|[a-z]+", word) for word in words[1:]):  # such as `refcoreml COMMAND --help`
        return
    parser().parse_args(words[1:])


def _check_python(words: list[str]) -> None:
    if words[1] == "-m" and words[2] in ("venv", "pytest", "refcoreml"):
        return
    if words[1] == "-m":
        script, arguments = ROOT / (words[2].replace(".", "/") + ".py"), words[3:]
    else:
        script, arguments = ROOT / words[1], words[2:]
    assert script.is_file(), f"there is no {script.relative_to(ROOT)}"
    source = script.read_text(encoding="utf-8")
    if "workers.arguments(" in source:  # those that campaigns share
        source += (ROOT / "campaigns" / "workers.py").read_text(encoding="utf-8")
    for argument in arguments:
        if argument.startswith("--"):
            assert f'"{argument}"' in source or f"'{argument}'" in source, f"{words[1]} does not know {argument}"
        elif "/" in argument and not argument.endswith(("/", "*.mlmodel")):
            assert (ROOT / argument).exists(), f"there is no {argument}"


def _check_pip(words: list[str]) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for word in words[2:]:
        assert not word.startswith("refcoreml"), "it is not on PyPI yet"
        for extra in re.findall(r"\[(.*)\]", word):
            for name in extra.split(","):
                assert re.search(rf"^{name} = \[", project, re.MULTILINE), f"there is no extra {name}"


def _check_pytest(words: list[str]) -> None:
    for word in words[1:]:
        assert word in ("-q", "-n", "auto", "--coreml-runtime=refcoreml") or (ROOT / word).exists(), word


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "refcoreml": _check_refcoreml,
    "python": _check_python,
    "pip": _check_pip,
    "pytest": _check_pytest,
    ".": lambda words: None,
}


@pytest.mark.parametrize(("page", "line"), [pytest.param(*i, id=f"{_named(i[0])}: {i[1]}") for i in COMMANDS])
def test_the_arguments_of_every_command_exist(page: Path, line: str) -> None:
    words = _words(line)
    program = re.sub(r"^(\.venv|apple)/bin/(?=.)", "", words[0])
    CHECKS[re.sub(r"[0-9.]+$", "", program) or program](words)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run_all(lines: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    count = 0
    for line in lines:
        words = _words(line)
        mentioned = len(words) == 2 or re.search(r" [A-Z]+\b(?!\.)", line)  # without arguments, or with a placeholder
        if words[0] != "refcoreml" or mentioned or any(word in line for word in NOT_RUN):
            continue
        with custom.scope():
            code = cli.main(words[1:])
        assert code == 0, f"{line}\n{capsys.readouterr().err}"
        count += 1
    return count


def test_the_commands_of_the_readme_run(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for line in commands(ROOT / "README.md") if "study" not in line]
    assert _run_all(lines, capsys) >= 8
    for name in ("styled.png", "y.npz", "MobileNet8.mlmodel", "overlay.png"):
        assert (files / name).stat().st_size > 0


def test_the_study_of_the_readme_runs(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, the extra plot")
    assert (
        _run_all([line for line in commands(ROOT / "README.md") if line.startswith("refcoreml study D")], capsys) == 1
    )
    assert (files / "study" / "report.html").exists()


@pytest.mark.parametrize("page", sorted((ROOT / "examples").glob("*/README.md")), ids=_named)
def test_the_commands_of_the_examples_run(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the root of a clone, as the pages say."""
    shutil.copytree(page.parent, tmp_path / "examples" / page.parent.name)
    monkeypatch.chdir(tmp_path)
    lines = [line for line in commands(page) if line.startswith("refcoreml ")]
    assert _run_all(lines, capsys) == len(lines)


def test_a_sentence_is_completed_and_without_one_the_usage_is_shown() -> None:
    script = ROOT / "examples" / "completion" / "complete.py"
    (line,) = [line for line in commands(script.parent / "README.md") if "complete.py" in line]
    command = [sys.executable, *_words(line)[1:]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "a bird sings in the old tree .\n"
    model = command[2]
    for arguments in ([], [model], [model, "zebra"], ["missing.mlmodel", "a"]):
        command = [sys.executable, str(script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 2
        assert done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.filterwarnings("ignore")
def test_the_snippets_of_the_readme_run_as_one_session(files: Path) -> None:
    page = ROOT / "README.md"
    refcoreml.quantize_weights("MobileNet.mlmodel", 8).save("MobileNet8.mlmodel")  # as the command above does
    shutil.copytree(
        ROOT / "examples" / "completion" / "decoder.mlpackage", files / "examples/completion/decoder.mlpackage"
    )
    names: dict[str, Any] = {}
    ran = 0
    for block in re.findall(r"```python\n(.*?)```", _text(page), re.DOTALL):
        if _missing(block):
            continue
        with custom.scope():
            exec(compile(block, _named(page), "exec"), names)
        ran += 1
    assert ran >= 6


def _missing(block: str) -> bool:
    """Whether a snippet needs a package that is not installed."""
    needed = [package for name, package in PACKAGES.items() if re.search(rf"^(import|from) .*\b{name}\b", block, re.M)]
    needed += ["matplotlib"] if "study" in block else []
    for package in needed:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                __import__(package)
        except ImportError:
            return True
    return False


def test_the_snippet_about_the_oracle_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = build.Network({"x": (3,)}, ["y"])
    net.add("activation", outputs="y", sigmoidHard={"alpha": 0.25, "beta": 0.5})
    net.model().save("Net.mlmodel")
    (block,) = re.findall(r"```python\n(.*?)```", _text(ROOT / "docs" / "oracle.md"), re.DOTALL)
    names: dict[str, Any] = {"x": np.array([1.0, -2.0, 0.5], np.float32)}
    exec(block, names)
    np.testing.assert_allclose(names["answers"]["y"].value, [0.75, 0, 0.625])


def test_the_worked_example_of_a_verdict_runs_and_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", _text(ROOT / "docs" / "judge.md"), re.DOTALL)
    exec(block, {})
    printed = capsys.readouterr().out.splitlines()
    expected = re.findall(r"^print\(verdict\..*#\s*(.*)$", block, re.MULTILINE)
    assert len(expected) == 2
    assert printed[:2] == expected


@pytest.mark.parametrize("page", SNIPPETS, ids=_named)
def test_every_snippet_is_python_and_names_what_there_is(page: Path) -> None:
    """Names that are imported from refcoreml exist, and so do those that are used as ``refcoreml.NAME``."""
    for block in re.findall(r"```python\n(.*?)```", _text(page), re.DOTALL):
        compile(block, _named(page), "exec")
        for module, imported in re.findall(r"^from (refcoreml[\w.]*) import (.*)$", block, re.MULTILINE):
            for name in imported.split(", "):
                exec(f"from {module} import {name}", {})
        for name in re.findall(r"\brefcoreml\.([A-Za-z]\w*)(?!\w*\.)", block):
            assert hasattr(refcoreml, name), name


def test_the_examples_of_every_command_can_be_parsed() -> None:
    """Those that ``--help`` shows."""
    waiting, lines = [parser()], []
    while waiting:
        one = waiting.pop()
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()
        lines += re.findall(r"^  (refcoreml .*?)(?:\s\s+\(.*)?$", one.epilog or "", re.MULTILINE)
    assert len(lines) > 15
    for line in lines:
        parser().parse_args(_words(line.partition(" | ")[0])[1:])


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", re.sub(r"```.*?```", "", _text(page), flags=re.DOTALL)):
        assert "://" in target or (page.parent / target).exists(), target
    for anchor in re.findall(r"\]\(#([^)]+)\)", _text(page)):
        titles = re.findall(r"^#+ (.*)$", _text(page), re.MULTILINE)
        assert anchor in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], anchor


def test_the_first_screen_says_what_does_not_run_and_how_to_begin() -> None:
    first = "\n".join(_text(ROOT / "README.md").splitlines()[:45])
    assert re.search(r"runs.*ML Programs.*does not run.*<!-- demo -->.*refcoreml\.load\(.*predict\(", first, re.DOTALL)
    install = re.search(r"<!-- demo -->\n```sh\n(.*)\n```\n<!-- end -->", first)
    assert install
    assert install[1].startswith("python3 -m venv .venv")


def test_the_readme_counts_the_cases() -> None:
    (said,) = re.findall(r"\[([0-9,]+) conformance cases\]", _text(ROOT / "README.md"))
    assert int(said.replace(",", "")) == sum(1 for _ in (ROOT / "conformance" / "cases").rglob("case.json"))


def test_what_the_extras_must_have() -> None:
    """coremltools 9.0 fails with NumPy 2.4 (arrays of one element as numbers); the tests run in parallel."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (oracles,) = re.findall(r"^oracles = .*$", project, re.MULTILINE)
    (test,) = re.findall(r"^test = .*$", project, re.MULTILINE)
    assert '"coremltools==9.0"' in oracles
    assert '"numpy<2.4"' in oracles
    assert "pytest-xdist" in test
    assert any("pytest" in line and "-n auto" in line for line in commands(ROOT / "README.md"))


def _texts() -> list[Path]:
    """Return the pages, the clauses, and the sources with their docstrings, comments and messages."""
    found = [
        *PAGES,
        *(ROOT / "docs").glob("*/**/*.md"),
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs" / "clauses").rglob("*.toml"),
    ]
    found += [path for folder in WRITTEN for path in (ROOT / folder).rglob("*.py")]
    return found


def _lines_with(pattern: str) -> list[str]:
    paths = _texts()
    assert len(paths) > 300
    lines = [(path, line) for path in paths for line in _text(path).splitlines() if re.search(pattern, line)]
    return [f"{_named(path)}: {line.strip()}" for path, line in lines]


@pytest.mark.parametrize(("pattern", "better"), BANNED.items(), ids=BANNED.values())
def test_the_words_are_those_of_the_field(pattern: str, better: str) -> None:
    assert _lines_with(pattern) == [], f"say {better}"


def test_formulas_keep_their_case() -> None:
    """``y = ...`` where the name is y, also at the beginning of a docstring."""
    assert _lines_with(r'"""[XYZ](, \.\.\.)?(\[.*\])? [=~] ') == []
