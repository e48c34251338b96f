"""What run.py runs: tests inside coremltools, with the backends that they are for; which of them are known to fail."""

from __future__ import annotations

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


def expectations() -> dict[str, str]:
    """Return reasons by test; a name without parameters stands for all of its parameters."""
    listed = tomllib.loads(EXPECTED.read_text(encoding="utf-8"))["failure"]
    return {test: entry["reason"] for entry in listed for test in entry["tests"]}


def reason(test: str, expected: Mapping[str, str]) -> str:
    """Return why a test is expected to fail; an empty text if it is not."""
    return expected.get(test) or expected.get(test.partition("[")[0], "")
