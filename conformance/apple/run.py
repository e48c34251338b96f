"""Runs the tests that ship inside coremltools with refcoreml as the runtime, and holds them against expectations.

    python conformance/apple/run.py neural_network           one suite
    python conformance/apple/run.py mil-mlprogram --share 8  a fixed eighth of another
    python conformance/apple/run.py mil --only test_conv     tests whose name contains a text
    python conformance/apple/run.py mil --zeros              how many pass although all numbers are zero
    python conformance/apple/run.py mil --coverage           one, and what it says in docs/apple-coverage.json
    python conformance/apple/run.py                          all of them, for hours

See README.md for the environment that it wants.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from processes import ROOT, Selection, run
from suites import SUITES, Expectation, expectations

COVERAGE = ROOT / "docs" / "apple-coverage.json"
VERSIONS = ("coremltools", "numpy", "scikit-learn", "torch", "refcoreml")
COLUMNS = ("collected", "reached", "passed", "failed", "expected", "skipped", "unreached")


def main() -> int:
    parser = argparse.ArgumentParser(description="Apple's own tests against refcoreml.")
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"of {', '.join(SUITES)}; all by default")
    parser.add_argument("--share", type=int, default=1, metavar="N", help="one test of N, always the same ones")
    parser.add_argument("--zeros", action="store_true", help="answer zeros and count the tests that pass all the same")
    parser.add_argument("--as-written", action="store_true", help="tests of half precision as they are, see halves.py")
    parser.add_argument("--only", default="", metavar="TEXT", help="tests whose name contains this (pytest -k)")
    parser.add_argument("--older", action="store_true", help="each operation with all newer operation sets, too")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that share the tests")
    parser.add_argument("--limit", type=int, default=300, metavar="SECONDS", help="of one test; 300 by default")
    parser.add_argument("--records", type=Path, metavar="FOLDER", help="where records are; those that exist are kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument("--coverage", action="store_true", help="write how many tests reach what, for the page")
    arguments = parser.parse_args()
    suites = arguments.suites or list(SUITES)
    if unknown := [name for name in suites if name not in SUITES]:
        parser.error(f"no suite {unknown[0]!r}, only {', '.join(SUITES)}")
    whole = arguments.share == 1 and not arguments.only
    if arguments.coverage and (arguments.zeros or arguments.only):
        parser.error("--coverage is of what suites reach: leave out --only and --zeros")
    names = ("share", "only", "zeros", "as_written", "limit", "older", "workers")
    selection = Selection(**{name: getattr(arguments, name) for name in names})
    with tempfile.TemporaryDirectory() as folder:
        records = arguments.records or Path(folder)
        results = {name: run(SUITES[name], selection, (records / name).resolve()) for name in suites}
    expected = expectations(arguments.as_written)
    tests = [record | {"suite": name} for name, listed in results.items() for record in listed]
    for test in tests:
        failed = test["outcome"] == "failed"
        reasons = (entry.reason for entry in expected if failed and entry.explains(test["id"], test["message"]))
        test["expected"] = next(reasons, "")
    report = {
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
        "share": arguments.share,
        "zeros": arguments.zeros,
        "files": {name: by_file([test for test in tests if test["suite"] == name]) for name in suites},
        "tests": tests,
    }
    if not arguments.zeros:
        folders = [path for name in suites for path in SUITES[name].paths] if whole else []
        report["surprises"] = surprises(tests, expected, folders)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if arguments.coverage:
        write_coverage(tests, suites, arguments.share)
    show(report)
    return 1 if report.get("surprises") or not tests else 0


def surprises(tests: list[dict[str, Any]], expected: Sequence[Expectation], folders: Sequence[str]) -> list[str]:
    """Return what is not as listed. Folders: where all tests have run, so that no entry may be left over."""
    found = []
    for test in tests:
        listed = any(not entry.sometimes and entry.is_about(test["id"]) for entry in expected)
        if test["outcome"] == "failed" and not test["expected"]:
            found.append(f"failed: {test['id']}: {test['message']}")
        if test["outcome"] != "failed" and listed:
            found.append(f"{test['outcome']}, though listed as a failure: {test['id']}")
    names = {name for test in tests for name in (test["id"], test["id"].partition("[")[0])}
    listed_here = (name for entry in expected for name in entry.tests if folders and name.startswith(tuple(folders)))
    return found + [
        f"listed as a failure, but there is no such test: {name}" for name in listed_here if name not in names
    ]


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


def count(tests: list[dict[str, Any]], field: str) -> Counter[str]:
    """Return how many tests that passed with a prediction ran each layer, or had each operation in their programs."""
    reached = [test for test in tests if test["predictions"] > 0 and test["outcome"] == "passed"]
    return Counter(kind for test in reached for kind in test[field])


def write_coverage(tests: list[dict[str, Any]], suites: Sequence[str], share: int) -> None:
    """Write counts of layers and operations, those that the suites which ran are about, and of which share they are."""
    counts = json.loads(COVERAGE.read_text(encoding="utf-8"))
    for field, programs in (("layers", False), ("operations", True)):
        about = {name for name in suites if SUITES[name].programs == programs}
        if about:
            counts[f"share of {field}"] = share
            counts[field] = dict(sorted(count([test for test in tests if test["suite"] in about], field).items()))
    COVERAGE.write_text(json.dumps(counts, indent=0) + "\n", encoding="utf-8", newline="\n")


def show(report: dict[str, Any]) -> None:
    """Print the table of counts, and what is not as listed."""
    rows = [(name, counts) for files in report["files"].values() for name, counts in files.items()]
    for suite, files in report["files"].items():
        total = {column: sum(counts[column] for counts in files.values()) for column in COLUMNS}
        rows.append((f"all of {suite}", total))
    width = max(len(name) for name, _ in rows)
    print("\n" + " ".join(f"{name} {version}" for name, version in report["versions"].items()))
    print(" " * width, *(f"{column:>9}" for column in COLUMNS))
    for name, counts in rows:
        print(f"{name:{width}}", *(f"{counts[column]:9}" for column in COLUMNS))
    if report["zeros"]:
        print("\nEvery number was zero; what passed all the same proves nothing.")
    for line in report.get("surprises", []):
        print("SURPRISE", line)


if __name__ == "__main__":
    sys.exit(main())
