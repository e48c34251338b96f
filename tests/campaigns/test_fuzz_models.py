"""The campaign of mutated models: it finds what is planted, and a fixed sample of it finds nothing."""

import os
import random
import sys
import warnings
from collections import Counter

import numpy as np
import pytest
import unruly_work

import refcoreml
from campaigns import checks, fuzz_models, mutations, seeds, workers
from refcoreml.spec import schema

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits of time and memory are those of POSIX")


@pytest.fixture(scope="module")
def collected():
    return seeds.collect()


def found_in(model, inputs=(), thorough=True):
    check = checks.Check(model, dict(inputs), random.Random("a"), thorough=thorough)
    check.run()
    return [finding.signature for finding in check.findings]


def case(collected, name):
    return next(schema.Model.FromString(seed.data) for seed in collected.small if seed.name.startswith(name))


def test_a_number_always_makes_the_same_model_and_all_mutations_are_made(collected):
    done = Counter()
    for index in range(3000):
        model, mutator = fuzz_models.make_model(collected, "s", index)
        done.update(way for way, _ in mutator.touched)
        if index % 50 == 0:
            again, _ = fuzz_models.make_model(collected, "s", index)
            assert model.SerializeToString(deterministic=True) == again.SerializeToString(deterministic=True)
    ways = [*mutations._WAYS, *mutations._COMPOSITIONS]
    assert done.keys() == {way.__name__ for way in ways}


def test_a_sound_model_shows_nothing(collected):
    assert found_in(case(collected, "pooling/")) == []
    assert found_in(case(collected, "pipeline")) == []


def test_a_bare_exception_is_found_made_smaller_and_replayed(collected, monkeypatch, tmp_path):
    right = refcoreml.inspect

    def wrong(model):
        if len(model.spec.description.output) > 1:
            raise KeyError("planted")
        return right(model)

    monkeypatch.setattr(refcoreml, "inspect", wrong)
    model = case(collected, "topK/")
    data = model.SerializeToString()
    check = checks.Check(model, {}, random.Random("a"))
    check.run()
    (finding,) = check.findings
    assert finding.signature == "inspect: KeyError in outside"
    report = fuzz_models.Report()
    report.note(fuzz_models.Found(finding, 0, data, "", "a"))
    said = []
    fuzz_models.save(report, tmp_path, collected, said.append)
    (path,) = tmp_path.glob("*.mlmodel")
    small = schema.Model.FromString(path.read_bytes())
    assert len(path.read_bytes()) < len(data) / 3
    assert len(small.description.output) == 2
    assert small.WhichOneof("Type")
    assert fuzz_models.replay(path, collected, said.append)
    monkeypatch.undo()
    assert not fuzz_models.replay(path, collected, said.append)


@pytest.mark.parametrize(
    ("name", "signature"),
    [("observe", "observe: numbers differ from predict's"), ("trace", "trace: numbers differ from observe's")],
)
def test_a_disagreement_is_found(collected, monkeypatch, name, signature):
    right = getattr(refcoreml.Model, name)

    def observe(self, inputs, observer):
        return {key: np.nextafter(value, np.inf) for key, value in right(self, inputs, observer).items()}

    def trace(self, inputs):
        yield from list(right(self, inputs))[1:]

    monkeypatch.setattr(refcoreml.Model, name, {"observe": observe, "trace": trace}[name])
    assert signature in found_in(case(collected, "pooling/"))


def test_a_hang_is_found(collected, monkeypatch):
    def endless(model):
        while True:
            pass

    monkeypatch.setattr(checks, "SECONDS", 0.05)
    monkeypatch.setattr(refcoreml, "inspect", endless)
    assert any(signature.startswith("inspect: TimeUp") for signature in found_in(case(collected, "pooling/")))


def test_results_are_compared_in_every_bit():
    nan, zero = np.float32(np.nan), np.float32(0)
    assert checks.same({"y": np.array([nan, zero])}, {"y": np.array([-nan, zero])})
    assert not checks.same({"y": np.array([zero])}, {"y": np.array([-zero])})
    assert not checks.same(np.zeros(2, np.float32), np.zeros(2, np.float64))
    assert not checks.same(np.zeros((1, 2)), np.zeros(2))
    assert not checks.same([1, 2], [1, 3])


@pytest.mark.skipif(sys.platform == "win32", reason="the workers use signals of POSIX")
def test_workers_that_die_or_hang_are_known_and_the_rest_is_done():
    found = list(workers.run(unruly_work.make_work, 9, 1, patience=2))
    ended = {part.index: part for part in found if isinstance(part, workers.Ended)}
    assert ended.keys() == {3, 6}
    assert "exit code 7" in ended[3].how
    assert "hung" in ended[6].how
    assert "in work" in ended[6].detail  # its stack
    done = sorted(index for part in found if isinstance(part, range) for index in part)
    assert done == [0, 1, 2, 4, 5, 7, 8]


def test_a_run_that_tried_nothing_does_not_pass():
    tally = checks.Tally(models=3000)
    assert len(fuzz_models.shortcomings(tally)) == 2 + len(fuzz_models.MUST_HAPPEN)
    tally.loaded[("all", "all")] = tally.predicted[("all", "all")] = 1000
    tally.outcomes.update({(name, "ok"): 1 for name in fuzz_models.MUST_HAPPEN})
    assert fuzz_models.shortcomings(tally) == []


def test_a_fixed_sample_shows_nothing(monkeypatch):
    for name, value in checks.LIMITS.items():
        monkeypatch.setenv(name, value)  # and so removed afterwards
    with warnings.catch_warnings():
        report = fuzz_models.make_work("sample", None)(range(400), lambda index: None)
    assert {signature: found.finding.detail for signature, found in report.found.items()} == {}
    assert report.tally.models == 400
    assert fuzz_models.shortcomings(report.tally) == []


@pytest.mark.parametrize("size", [2**63 - 1, 2**62 + 1, 2**30, 0, -1, -(2**63)])
def test_shapes_of_any_size_can_be_mutated(collected, size):
    for number in range(60):
        spec = schema.Model()
        spec.description.input.add(name="x").type.multiArrayType.shape.extend([3, size])
        mutations.Mutator(collected, random.Random(number)).shape(spec)
