"""The runner of Apple's tests: which run, and what is recorded of each, also of those that hang or end the process."""

from __future__ import annotations

import importlib.util
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support import assert_identical

from refcoreml import build

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="the runner needs Python 3.11")

APPLE = Path(__file__).resolve().parents[2] / "conformance" / "apple"

TESTS = """
import os, time, unittest
import numpy as np
import pytest

@pytest.mark.parametrize("number", range(40))
def test_passes(number):
    assert np.random.randint(1000) == 265  # the seed is set before each test

@pytest.mark.parametrize("number", range(2))
def test_draws_the_same_without_a_seed(number):
    from numpy.random import PCG64, Generator
    from refcoreml import ops
    def draw(seed):
        return float(ops.RandomUniform(seed=seed, dtype=np.float64, shape=(), low=0, high=1).run([]))
    first, second = Generator(PCG64(10)).random(2)
    assert [draw(-1), draw(3), draw(-1)] == [first, Generator(PCG64(3)).random(), second]

def test_fails():
    raise ValueError("as it should")

def test_skips():
    pytest.skip("here")

def test_wants_torchvision():
    import torchvision
    torchvision.models

@pytest.mark.xfail(strict=False)
def test_fails_by_apple():
    assert False

def test_takes_long():
    time.sleep(60)

class TestCase(unittest.TestCase):
    def test_takes_long_too(self):
        time.sleep(60)

def test_ends_the_process():
    os._exit(17)

def test_comes_after():
    pass
"""


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(APPLE)
    names = ("processes", "suites", "run", "halves")
    import processes

    yield processes
    for name in names:
        sys.modules.pop(name, None)


def run(apple: Any, monkeypatch: pytest.MonkeyPatch, folder: Path, **selection: Any) -> dict[str, Any]:
    (folder / "coremltools").mkdir(parents=True, exist_ok=True)
    (folder / "coremltools" / "test_broken.py").write_text("import nothing_of_this_name", encoding="utf-8")
    (folder / "coremltools" / "test_it.py").write_text(TESTS, encoding="utf-8")
    monkeypatch.setattr(apple, "site_packages", lambda: folder)
    monkeypatch.setattr(apple, "RUNTIME", ())  # no test predicts
    suite = apple.Suite(("coremltools",), {})
    records = apple.run(suite, apple.Selection(limit=1, **selection), folder / "records")
    return {record["id"].partition("::")[2]: record for record in records}


def test_a_record_is_written_for_each_test(apple: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = run(apple, monkeypatch, tmp_path)
    outcomes = {name: record["outcome"] for name, record in found.items()}
    assert outcomes == {
        **{f"test_passes[{number}]": "passed" for number in range(40)},
        **{f"test_draws_the_same_without_a_seed[{number}]": "passed" for number in range(2)},
        "test_fails": "failed",
        "test_skips": "skipped",
        "test_wants_torchvision": "passed" if importlib.util.find_spec("torchvision") else "skipped",
        "test_fails_by_apple": "xfailed",
        "test_takes_long": "failed",
        "TestCase::test_takes_long_too": "failed",
        "test_ends_the_process": "failed",
        "test_comes_after": "passed",
        "": "failed",
    }
    assert "nothing_of_this_name" in found[""]["message"]
    if not importlib.util.find_spec("torchvision"):
        assert "torchvision is not installed" in found["test_wants_torchvision"]["message"]
    assert found["test_fails"]["message"] == "ValueError: as it should"
    assert found["test_takes_long"]["message"] == "Failed: took more than 1 seconds"
    assert found["test_ends_the_process"]["message"] == "the process ended with status 17"


def test_workers_run_a_fixed_share_of_the_tests_and_what_is_recorded_does_not_run_again(
    apple: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = run(apple, monkeypatch, tmp_path, only="test_passes", share=2, workers=2)
    files = {path: path.read_text(encoding="utf-8") for path in sorted((tmp_path / "records").glob("*.jsonl"))}
    names = [[json.loads(line)["id"].partition("::")[2] for line in text.splitlines()] for text in files.values()]
    assert all(len(listed) > 1 for listed in names)  # of the broken file and of tests
    assert len(names) == 2
    assert sorted({*names[0], *names[1]}) == list(found)
    assert list(found)[1:] == sorted(
        name
        for name in (f"test_passes[{number}]" for number in range(40))
        if zlib.crc32(f"coremltools/test_it.py::{name}".encode()) % 2 == 0
    )
    assert run(apple, monkeypatch, tmp_path, only="test_passes", share=2) == found
    again = {path: path.read_text(encoding="utf-8") for path in files}
    assert all(text.count("test_passes") == again[path].count("test_passes") for path, text in files.items())


def test_what_is_not_as_listed_is_a_surprise(apple: Any) -> None:
    from run import surprises
    from suites import Expectation

    def record(name: str, outcome: str, expected: str = "") -> dict[str, Any]:
        return {"id": name, "outcome": outcome, "expected": expected, "message": "why"}

    tests = [record("a::x", "failed"), record("a::y", "passed"), record("a::z[1]", "failed", "known")]
    listed = [Expectation("known", ("a::y", "a::z", "a::gone", "b::other"))]
    assert surprises(tests, listed, ["a"]) == [
        "failed: a::x: why",
        "passed, though listed as a failure: a::y",
        "listed as a failure, but there is no such test: a::gone",
    ]
    assert surprises(tests, listed, [])[2:] == []
    assert surprises(tests[1:2], [Expectation("known", ("a::y",), sometimes=True)], ["a"]) == []


def test_a_bounded_expectation_explains_small_differences_of_some_parameters(apple: Any) -> None:
    from suites import Expectation

    entry = Expectation("rounding", ("a::x",), ("fp32", "float16"), at_most=0.002)
    message = "Not equal to tolerance Mismatched elements: 1 / 4 (25%) Max absolute difference: {} Max relative"
    assert entry.explains("a::x[fp32-float16]", message.format(0.002))
    assert entry.explains("a::x[fp32-float16]", message.replace("difference", "difference among all").format(1e-3))
    assert not entry.explains("a::x[fp32-float16]", message.format(0.0021))
    assert not entry.explains("a::x[fp32-float16]", message.format("nan"))
    assert not entry.explains("a::x[fp32-float32]", message.format(0.001))
    assert not entry.explains("a::x[fp32-float16]", "RuntimeError: no")


BACKEND = "backend=BackendConfig(backend='mlprogram', precision='{}', opset_version=<AvailableTarget.iOS17: 8>)"


@pytest.mark.parametrize(
    ("precision", "rest", "about"),
    [
        ("fp32", "dtype=<class 'numpy.float16'>", True),
        ("fp32", "nbits=8-lut_dtype=fp16", True),
        ("fp32", "dtype=<class 'numpy.float32'>", False),
        ("fp16", "dtype=<class 'numpy.float16'>", False),
        ("fp16", "dtype=<class 'numpy.float32'>", False),
    ],
)
def test_which_tests_hold_half_precision_in_single_precision(
    apple: Any, precision: str, rest: str, about: bool
) -> None:
    from halves import is_about

    name = f"a.py::TestIt::test_it[{BACKEND.format(precision)}-{rest}]"
    assert is_about(name) is about
    assert not is_about(name.replace("mlprogram", "neuralnetwork"))


def test_draws_are_numbers_of_half_precision_in_those_tests_and_no_others(apple: Any) -> None:
    from halves import exact_draws, judged

    def draw() -> list[Any]:
        np.random.seed(3)
        drawn = np.random.rand(4, 5), np.random.randn(50), np.random.uniform(-7, 7, 50), np.random.normal(1, 2, (3,))
        return [*drawn, np.array(np.random.rand())]

    before = draw()
    with judged("a.py::test_it[fp32]"):
        for drawn, was in zip(draw(), before, strict=True):
            assert_identical(drawn, was)
    with exact_draws():
        for drawn, was in zip(draw(), before, strict=True):
            assert_identical(drawn.astype(np.float16).astype(np.float64), drawn)
            assert_identical((2 * drawn - 1).astype(np.float16).astype(np.float64), 2 * drawn - 1)
            assert 0 < abs(drawn - was).max() <= 1 / 512
    assert_identical(draw()[0], before[0])


def test_torch_draws_such_weights_too(apple: Any) -> None:
    torch = pytest.importorskip("torch")
    from halves import exact_draws

    with exact_draws():
        module = torch.nn.LSTM(3, 4)
        drawn = [*module.parameters(), torch.randn(5, 7), torch.rand(30)]
        assert module.weight_ih_l0.requires_grad
        assert torch.randint(9, (3,)).dtype == torch.int64
    assert len(drawn) == 6
    for tensor in drawn:
        assert tensor.abs().max() > 0
        assert bool((tensor.half().float() == tensor).all())
    assert not bool((torch.rand(30) * 256 % 1 == 0).all())


@pytest.mark.parametrize(("dtype", "allowed"), [("fp16", 2**-10), ("fp32", 1e-5)])
def test_a_unit_is_allowed_where_an_operation_has_results_of_half_precision(
    apple: Any, monkeypatch: pytest.MonkeyPatch, dtype: str, allowed: float
) -> None:
    from halves import COMPARING, allowed_unit

    program = build.Program({"x": ("fp32", (3,))})
    halved = program.add("cast", x=program["x"], dtype=dtype)
    program.output(program.add("cast", x=halved, dtype="fp32", name="y"))
    spec = program.spec()
    seen = []
    comparing = SimpleNamespace(compare_backend=lambda model, **options: seen.append(options["rtol"]))
    monkeypatch.setitem(sys.modules, COMPARING, comparing)
    with allowed_unit():
        comparing.compare_backend(SimpleNamespace(get_spec=lambda: spec), rtol=1e-5)
        comparing.compare_backend(SimpleNamespace(get_spec=lambda: spec), rtol=0.5)
    assert seen == [allowed, 0.5]


def test_some_failures_are_listed_only_for_tests_as_they_are_written(apple: Any) -> None:
    from suites import expectations

    assert all(not entry.as_written for entry in expectations())
    assert {entry.as_written for entry in expectations(as_written=True)} == {False, True}


def test_an_expectation_may_be_of_a_message(apple: Any) -> None:
    from suites import Expectation

    entry = Expectation("written for half precision", ("a::x",), saying="'cast'", sometimes=True)
    assert entry.explains("a::x[1]", "assert ['conv'] == ['cast', 'conv']")
    assert not entry.explains("a::x[1]", "assert ['conv'] == ['conv', 'conv']")


def test_every_listed_failure_has_a_reason_and_is_in_a_suite(apple: Any) -> None:
    from suites import SUITES, expectations

    paths = tuple(path for suite in SUITES.values() for path in suite.paths)
    for entry in expectations(as_written=True):
        assert len(entry.reason.split()) >= 5, entry
        assert all(test.startswith(paths) for test in entry.tests), entry
