"""What run.py runs: tests inside coremltools, with the backends that they are for; which of them are known to fail."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tomllib

EXPECTED = Path(__file__).resolve().parent / "expected_failures.toml"

NETWORKS = {"PYMIL_TEST_TARGETS": "neuralnetwork"}
#: Single precision, too: in half precision most tests allow 0.5, with which wrong results pass.
PROGRAMS = {"PYMIL_TEST_TARGETS": "mlprogram", "INCLUDE_MIL_FP32_UNIT_TESTS": "1"}
BOTH = PROGRAMS | {"PYMIL_TEST_TARGETS": "mlprogram,neuralnetwork"}

_CONVERTERS = "coremltools/converters/mil"


@dataclass(frozen=True)
class Suite:
    """Folders or files of tests, with the environment that chooses their backends.

    Attributes:
        paths: where they are in the installed packages.
        environment: what the tests read when they are collected.
        programs: whether ML Programs are what it is about.
    """

    paths: tuple[str, ...]
    environment: Mapping[str, str]
    programs: bool = True


SUITES = {
    "neural_network": Suite(("coremltools/test/neural_network",), NETWORKS, programs=False),
    "mil": Suite((f"{_CONVERTERS}/mil/ops/tests",), NETWORKS, programs=False),
    "mil-mlprogram": Suite((f"{_CONVERTERS}/mil/ops/tests",), PROGRAMS),
    "ml_program": Suite(("coremltools/test/ml_program",), PROGRAMS),
    "stateful": Suite((f"{_CONVERTERS}/frontend/torch/test/test_torch_stateful_model.py",), PROGRAMS),
    "api": Suite(tuple(f"coremltools/test/{name}" for name in ("api", "blob", "modelpackage", "pipeline")), PROGRAMS),
    "optimize": Suite(("coremltools/test/optimize/coreml", "coremltools/optimize/coreml"), PROGRAMS),
    "passes": Suite(
        tuple(
            f"{_CONVERTERS}/{name}" for name in ("mil/passes/tests", "mil/tests", "backend/mil", "frontend/milproto")
        ),
        PROGRAMS,
    ),
    "torch": Suite((f"{_CONVERTERS}/frontend/torch/test",), BOTH),
}


@dataclass(frozen=True)
class Expectation:
    """Tests that are known to fail, and why.

    Attributes:
        reason: why.
        tests: their names; one without parameters stands for all of its parameters.
        containing: texts that the name must contain, all of them.
        saying: a text that the failure's message must contain.
        at_most: the largest difference, in absolute value, that the reason explains; None where none is the reason.
        sometimes: whether a test may also pass, as those with differences may, which depend on the numbers.
        as_written: whether they fail only as they are written, and not as halves.py lets them run.
    """

    reason: str
    tests: tuple[str, ...]
    containing: tuple[str, ...] = ()
    saying: str = ""
    at_most: float | None = None
    sometimes: bool = False
    as_written: bool = False

    def is_about(self, test: str) -> bool:
        """Return whether a test is one of those."""
        named = test in self.tests or test.partition("[")[0] in self.tests
        return named and all(text in test for text in self.containing)

    def explains(self, test: str, message: str) -> bool:
        """Return whether a failure with a message is one of those."""
        found = re.search(r"Max absolute difference[a-z ]*: (\S+)", message)
        small = self.at_most is None or (found is not None and float(found[1]) <= self.at_most)
        return small and self.saying in message and self.is_about(test)


def expectations(as_written: bool = False) -> list[Expectation]:
    """Return what is known to fail; also what fails only if tests of half precision are left as they are."""
    listed = tomllib.loads(EXPECTED.read_text(encoding="utf-8"))["failure"]
    return [
        Expectation(
            entry["reason"],
            tuple(entry["tests"]),
            tuple(entry.get("containing", ())),
            entry.get("saying", ""),
            entry.get("at_most"),
            "at_most" in entry or entry.get("sometimes", False),
            entry.get("as_written", False),
        )
        for entry in listed
        if as_written or not entry.get("as_written", False)
    ]
