"""The campaign of odd inputs: it finds what is planted, and a fixed sample of it finds nothing."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest

import refcoreml
from campaigns import fuzz_inputs
from campaigns.fuzz_inputs import Inputs, Tally
from campaigns.odd_values import OddValues, disguised
from refcoreml.errors import InternalError, UsageError

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="limits of time are those of POSIX"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def inputs(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    monkeypatch.chdir(tmp_path)
    return Inputs("test", tmp_path)


def outcome(inputs: Inputs, index: int = 0) -> Tally:
    tally = Tally()
    inputs.check(index, tally)
    return tally


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("planted"), "shapes: KeyError"),
        (InternalError("planted"), "InternalError is not the user's fault"),
        (UsageError("planted\x1b[2J"), ""),
        (UsageError(""), "a message that steers"),
        (UsageError("planted" * 10_000), ""),
        (RecursionError("planted"), "shapes: RecursionError"),
    ],
)
def test_errors_that_are_none_of_the_users_are_found(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(inputs, "_functions", ["shapes"])
    monkeypatch.setattr(refcoreml.Model, "shapes", fail)
    tally = outcome(inputs)
    assert [words in signature for signature in tally.found] == ([True] if words else [])
    assert tally.outcomes == Counter([("shapes", "finding" if words else type(error).__name__)])


def test_what_takes_long_or_is_wrong_is_found(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any) -> None:
        while True:
            time.process_time()

    monkeypatch.setattr(fuzz_inputs, "SECONDS", 0.05)
    monkeypatch.setattr(inputs, "_functions", ["shapes"])
    monkeypatch.setattr(refcoreml.Model, "shapes", slow)
    assert [signature.split(" in ")[0] for signature in outcome(inputs).found] == ["shapes: TimeUp"]
    monkeypatch.setattr(inputs, "_functions", ["predict"])
    monkeypatch.setattr(refcoreml.Model, "predict", lambda *_: {"y": np.zeros((2, 3))})
    found: Counter[str] = Counter()
    for index in range(60):
        found.update(outcome(inputs, index).counts)
    assert found["predict: AssertionError in fuzz_inputs.py:_predicted"] > 0


def test_a_number_always_makes_the_same_call(inputs: Inputs) -> None:
    for index in range(40):
        assert outcome(inputs, index).outcomes == outcome(inputs, index).outcomes


def test_the_same_array_in_another_form_is_the_same() -> None:
    import random

    array = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
    for seed in range(60):
        made = disguised(random.Random(seed), array)
        if not isinstance(made, np.ndarray) or made.strides[0]:
            np.testing.assert_array_equal(np.array(list(map(list, made)) if isinstance(made, list) else made), array)


def test_odd_values_are_many_kinds() -> None:
    import random

    odd = OddValues(random.Random(1))
    kinds = {type(odd.any()).__name__[:20] for _ in range(1500)}
    assert len(kinds) > 60


def test_a_run_that_tries_too_little_does_not_look_good() -> None:
    tally = Tally(1000, Counter({("predict", "InputError"): 990, ("predict", "returned"): 10}))
    assert fuzz_inputs.shortcomings(tally) == [
        "only 10 of 1000 calls of all functions return",
        "only 10 of 1000 calls of predict return",
    ]


def test_a_sample_finds_nothing(inputs: Inputs) -> None:
    tally = Tally()
    for index in range(800):
        inputs.check(index, tally)
    assert not tally.found, "\n".join(finding.detail for _, finding in tally.found.values())
    assert fuzz_inputs.shortcomings(tally) == []
    assert {function for function, _ in tally.outcomes} == Inputs.SHARES.keys()
