"""Runs the tests that ship inside coremltools with refcoreml as the runtime, and holds them against expectations.

    python conformance/apple/run.py                      all of them
    python conformance/apple/run.py neural_network       one suite
    python conformance/apple/run.py mil --quarter        a fixed quarter of the other
    python conformance/apple/run.py --zeros              how many pass although every number that comes back is zero
    python conformance/apple/run.py mil --only test_conv tests whose name contains a text
    python conformance/apple/run.py --coverage           all of them, and docs/apple-coverage.json

See README.md for the environment that it wants.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import tomllib

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
EXPECTED = HERE / "expected_failures.toml"
COVERAGE = ROOT / "docs" / "apple-coverage.json"
SUITES = {
    "neural_network": "coremltools/test/neural_network",
    "mil": "coremltools/converters/mil/mil/ops/tests",
}
VERSIONS = ("coremltools", "numpy", "scikit-learn", "torch", "refcoreml")
COLUMNS = ("collected", "reached", "passed", "failed", "expected", "skipped", "unreached")


def main() -> int:
    parser = argparse.ArgumentParser(description="Apple's own tests against refcoreml.")
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"of {', '.join(SUITES)}; all by default")
    parser.add_argument("--quarter", action="store_true", help="a fixed quarter of the tests")
    parser.add_argument("--zeros", action="store_true", help="answer zeros and count the tests that pass all the same")
    parser.add_argument("--only", metavar="TEXT", help="tests whose name contains this (pytest -k)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument("--coverage", action="store_true", help="write how many tests reach each layer, for the page")
    arguments = parser.parse_args()
    suites = arguments.suites or list(SUITES)
    if unknown := [name for name in suites if name not in SUITES]:
        parser.error(f"no suite {unknown[0]!r}, only {', '.join(SUITES)}")
    whole = not (arguments.quarter or arguments.only)
    if arguments.coverage and (arguments.zeros or not whole or set(suites) != set(SUITES)):
        parser.error("--coverage is of all tests: name no suite, and leave out --quarter, --only and --zeros")
    tests = [test for name in suites for test in run(name, arguments)]
    report = {
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
        "quarter": arguments.quarter,
        "zeros": arguments.zeros,
        "files": by_file(tests),
        "tests": tests,
    }
    if not arguments.zeros:
        report["surprises"] = surprises(tests, expectations(), [SUITES[name] for name in suites] if whole else [])
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if arguments.coverage:
        lines = [f"{json.dumps(kind)}: {count}" for kind, count in sorted(by_layer(tests).items())]
        COVERAGE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8", newline="\n")
    show(report)
    return 1 if report.get("surprises") or not tests else 0


def run(suite: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one suite, in a process of its own; a record per test."""
    package = importlib.util.find_spec("coremltools")
    if package is None or package.origin is None:
        raise SystemExit("coremltools is not installed here; see README.md")
    site = Path(package.origin).parent.parent
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "tests.jsonl"
        (Path(folder) / "pytest.ini").write_text("[pytest]\n")
        command = [sys.executable, "-m", "pytest", str(site / SUITES[suite]), "-q", "--no-header", "--tb=no", "-rN"]
        command += ["--disable-warnings", "--durations=10", "-p", "no:cacheprovider"]
        command += ["--coreml-runtime=refcoreml", "-p", "probe", f"--probe-out={out}"]
        command += [f"--rootdir={site}", f"-c{folder}/pytest.ini"]
        command += ["--quarter"] * arguments.quarter + ["--zeros"] * arguments.zeros
        command += ["-k", arguments.only] if arguments.only else []
        paths = os.pathsep.join(filter(None, [str(HERE), str(ROOT / "tests"), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PYTHONPATH": paths, "PYMIL_TEST_TARGETS": "neuralnetwork"}
        status = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
        if status not in (0, 1, 5):  # passed, some tests failed, none selected
            raise SystemExit(f"pytest ended with status {status} in suite {suite}")
        lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    expected = expectations()
    records = [json.loads(line) for line in lines]
    for record in records:
        record["expected"] = reason(record["id"], expected)
    return records


def expectations() -> dict[str, str]:
    """Reasons by test; a name without parameters stands for all of its parameters."""
    listed = tomllib.loads(EXPECTED.read_text(encoding="utf-8"))["failure"]
    return {test: entry["reason"] for entry in listed for test in entry["tests"]}


def reason(test: str, expected: dict[str, str]) -> str:
    return expected.get(test) or expected.get(test.partition("[")[0], "")


def surprises(tests: list[dict[str, Any]], expected: dict[str, str], folders: list[str]) -> list[str]:
    """Return what is not as listed. Folders: where all tests have run, so that no entry may be left over."""
    found = []
    for test in tests:
        if test["outcome"] == "failed" and not test["expected"]:
            found.append(f"failed: {test['id']}: {test['message']}")
        if test["outcome"] != "failed" and test["expected"]:
            found.append(f"{test['outcome']}, though listed as a failure: {test['id']}")
    names = {name for test in tests for name in (test["id"], test["id"].partition("[")[0])}
    left = [name for name in expected if name not in names and name.startswith(tuple(folders))] if folders else []
    return found + [f"listed as a failure, but there is no such test: {name}" for name in left]


def by_file(tests: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Count by test file; passed and failed are of the tests that reached a prediction, unreached passed without."""
    files: dict[str, Counter[str]] = {}
    for test in tests:
        counts = files.setdefault(test["id"].partition("::")[0], Counter())
        reached, outcome = test["predictions"] > 0, test["outcome"]
        counts["collected"] += 1
        counts["reached"] += reached
        counts["passed"] += reached and outcome == "passed"
        counts["failed"] += outcome == "failed"
        counts["expected"] += outcome == "failed" and bool(test["expected"])
        counts["skipped"] += outcome in ("skipped", "xfailed")
        counts["unreached"] += not reached and outcome == "passed"
    return {name: {column: counts[column] for column in COLUMNS} for name, counts in sorted(files.items())}


def by_layer(tests: list[dict[str, Any]]) -> Counter[str]:
    """Return how many tests that passed with a prediction ran each layer."""
    reached = [test for test in tests if test["predictions"] > 0 and test["outcome"] == "passed"]
    return Counter(kind for test in reached for kind in test["layers"])


def show(report: dict[str, Any]) -> None:
    rows = dict(report["files"])
    rows["all"] = {column: sum(counts[column] for counts in rows.values()) for column in COLUMNS}
    width = max(map(len, rows))
    print("\n" + " ".join(f"{name} {version}" for name, version in report["versions"].items()))
    print(" " * width, *(f"{column:>9}" for column in COLUMNS))
    for name, counts in rows.items():
        print(f"{name:{width}}", *(f"{counts[column]:9}" for column in COLUMNS))
    if report["zeros"]:
        print(f"\nEvery number was zero, and {rows['all']['passed']} of {rows['all']['reached']} tests passed.")
    for line in report.get("surprises", []):
        print("SURPRISE", line)


if __name__ == "__main__":
    sys.exit(main())
