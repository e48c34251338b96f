"""What judges are measured by: networks that stay the same, faults that are real and named, devices that are honest."""

from __future__ import annotations

import gc
import warnings
from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch, of the extra oracles")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("coremltools", reason="needs coremltools, of the extra oracles")

from campaigns.judging import baseline  # noqa: E402
from campaigns.judging.cases import Case, Expected, Prepared  # noqa: E402
from campaigns.judging.conversions import SHOWS, effect, faulty, given, right  # noqa: E402
from campaigns.judging.converted import converted  # noqa: E402
from campaigns.judging.device import Device, Failure, run  # noqa: E402
from campaigns.judging.faults import FAULTS  # noqa: E402
from campaigns.judging.networks import NETWORKS, reseed  # noqa: E402
from campaigns.judging.recorded import BROKEN, distance, recorded  # noqa: E402
from campaigns.judging.score import main, score  # noqa: E402
from refcoreml import load  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Small networks want one thread; and the converter collects garbage after each, of which there is less so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    torch.set_num_threads(threads)


def named(cases: list[Prepared], name: str) -> Prepared:
    (found,) = [case for case in cases if case.name == name]
    return found


def test_there_is_enough_of_everything_and_each_has_a_name() -> None:
    cases = right(), faulty(), recorded()
    assert len(right()) >= 200
    assert len(faulty()) >= 200
    assert Counter(case.kind for case in recorded()) == {"rounding": 20, "converter": 20, "device": 20}
    assert set(FAULTS) == set(NETWORKS)
    for group in cases:
        names = [case.name for case in group]
        assert len(set(names)) == len(names)


def test_networks_are_the_same_each_time() -> None:
    network = NETWORKS["plain"]
    network.__dict__.pop("_trained", None)
    before, inputs = network.module().state_dict(), network.inputs(1)
    torch.manual_seed(5)
    del network.__dict__["_trained"]
    for name, tensor in network.module().state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert torch.equal(network.inputs(1)[0], inputs[0])
    assert not torch.equal(network.inputs(2)[0], inputs[0])
    variances = network.module()[0][1].running_var
    assert variances.max() > 2 * variances.min()


def both(name: str, form: str, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return what a model and its source compute in double precision."""
    network = NETWORKS[name]
    with torch.no_grad():
        exact = network.module().double()(*(x.double() for x in network.inputs(number))).numpy()
    return load(converted(name, form).spec(), precision="float64").predict(given(name, number))["y0"], exact


@pytest.mark.parametrize(("name", "form"), [("perceptron", "network"), ("perceptron", "program"), ("lstm", "program")])
def test_right_conversions_are_right(name: str, form: str) -> None:
    values, exact = both(name, form)
    np.testing.assert_allclose(values, exact, atol=2e-6 * np.abs(exact).max())


@pytest.mark.parametrize(
    ("name", "operation", "source"),
    [
        ("perceptron/network/weight off 0.001 at 0", "innerProduct", "0"),
        ("perceptron/program/weight off 0.001 at 0", "linear", "0"),
        ("perceptron/program/axis dim=0 at 9", "softmax", "9"),
        ("lstm/program/gate order 1023_l0 at loop", "lstm", "loop"),
        ("lstm/program/operation missing at act", "linear", "head"),
        ("gru/network/parameter off 0.001 weight_ih_l0 at loop", "innerProduct", "loop"),
    ],
)
def test_faults_show_and_their_operation_is_named(name: str, operation: str, source: str) -> None:
    prepared = named(faulty(), name)
    assert effect(prepared).times > SHOWS
    case, expected = prepared.make()
    kinds = {step.name: step.kind for step in load(case.model).trace(case.inputs)}
    assert operation in {kinds[each] for each in expected.operations if each in kinds}
    assert expected.verdict == "different"
    assert expected.blames(source)
    assert not expected.blames("8")
    assert len(expected.operations) <= 6


def test_a_device_in_single_precision_computes_what_torch_does_in_any_order() -> None:
    network = NETWORKS["perceptron"]
    with torch.no_grad():
        exact = network.module()(*network.inputs()).numpy()
    graph = converted("perceptron", "program").graph()
    plain, shuffled = (run(graph, given("perceptron", 0), Device(pieces=n, shuffled=n)) for n in (1, 5))
    np.testing.assert_allclose(plain["y0"], exact, atol=1e-6)
    np.testing.assert_allclose(shuffled["y0"], exact, atol=1e-6)
    assert any((plain[name] != shuffled[name]).any() for name in plain)


def test_a_device_in_half_precision_stores_halves_and_hides_what_it_fuses() -> None:
    graph = converted("perceptron", "program").graph()
    inputs = given("perceptron", 0)
    half, fused = (run(graph, inputs, Device("float16", fused=fuse)) for fuse in (False, True))
    for name, values in half.items():
        assert (values.astype(np.float16) == values).all(), name
    assert set(fused) < set(half)
    exact = run(graph, inputs, Device())["y0"]
    assert 0 < np.abs(half["y0"] - exact).max() < 0.01


def test_a_failure_changes_what_follows_and_nothing_before() -> None:
    found, graph = converted("perceptron", "program"), converted("perceptron", "program").graph()
    (name,) = found.at("3")
    inputs, device = given("perceptron", 0), Device()
    good, bad = run(graph, inputs, device), run(graph, inputs, device, {name: Failure(lambda result: result * 0)})
    after = False
    for operation in graph.operations():
        after = after or operation.name == name
        assert (good[operation.outputs[0]] != bad[operation.outputs[0]]).any() == after, operation.name


def test_recorded_values_of_a_broken_device_are_far_from_right_where_it_broke() -> None:
    recording = next(recording for recording in BROKEN if recording.how == "sums in bfloat16")
    assert distance(recording).inside > 30
    (prepared,) = [case for case in recorded() if recording.title in case.name]
    case, expected = prepared.make()
    assert expected.verdict == "device"
    assert expected.blames("loop")
    assert set(case.outputs) == {"y0"}
    traced = {name for step in load(case.model).trace(case.inputs) for name in step.outputs}
    assert set(case.intermediates) <= traced
    assert set(expected.operations) & set(case.intermediates)


def some() -> list[Prepared]:
    """Return a right and a faulty conversion, and two recordings, that cost nothing to make."""
    blamed = {"different": (("a",), ("m",)), "device": (("b",), ())}
    model = converted("perceptron", "program").spec()
    found = []
    for number, verdict in enumerate(["equal", "different", "rounding", "device"]):
        case = Case(model, {"n": number}, outputs=None if number < 2 else {})
        expected = Expected(verdict, *blamed.get(verdict, ()))
        found.append(Prepared(str(number), verdict, None, "", "", lambda both=(case, expected): both))
    return found


@pytest.mark.parametrize(
    ("verdicts", "operations", "holds"),
    [
        (["equal", "different", "rounding", "device"], "m", True),
        (["equal", "different", "rounding", "device"], "other", False),
        (["undetermined", "different", "rounding", "device"], "m", False),
        (["equal", "equal", "rounding", "device"], "m", False),
        (["equal", "different", "device", "device"], "m", False),
    ],
)
def test_only_a_good_judge_scores(verdicts: list[str], operations: str, holds: bool) -> None:
    found = score(lambda case: (verdicts[case.inputs["n"]], operations), some())
    assert found.holds() is holds


def test_a_judge_that_raises_is_wrong_and_the_others_are_judged() -> None:
    def broken(case: Case) -> tuple[str, str]:
        raise ZeroDivisionError("by a judge")

    found = score(broken, some())
    assert [answer.verdict for answer in found.answers] == ["ZeroDivisionError: by a judge"] * 4
    assert not found.holds()


def test_the_command_scores_the_judge_there_was(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--judge", f"{baseline.__name__}:judge", "--only", "perceptron/network/"]
    assert main([*arguments, "--group", "right"]) == 0
    assert main([*arguments, "--group", "faulty", "--share", "3"]) in (0, 1)
    assert "all: different" in capsys.readouterr().out


def test_another_seed_draws_other_parameters_and_inputs():
    network = NETWORKS["plain"]
    before, x = network.module(), network.inputs()[0]
    reseed(5)
    try:
        other = type(network)(network.name, network.make, network.takes, network.without)
        after, y = other.module(), other.inputs()[0]
        pairs = list(zip(before.parameters(), after.parameters(), strict=True))
        assert pairs
        assert all((one != two).any() for one, two in pairs)
        assert (np.asarray(x) != np.asarray(y)).any()
    finally:
        reseed(0)
    assert (np.asarray(network.inputs()[0]) == np.asarray(x)).all()
