"""coremltools' converter against torch: random networks, every operator alone, known defects, injected faults."""

from __future__ import annotations

import copy
import gc
import random
import warnings

import numpy as np
import pytest
from hypothesis import Phase, given, seed, settings

torch = pytest.importorskip("torch", reason="needs torch, of the extra oracles")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("coremltools", reason="needs coremltools, of the extra oracles")

from campaigns import conversion_runs, conversions, converter, torch_grammar  # noqa: E402
from campaigns.converter import check, convert, mended  # noqa: E402
from campaigns.torch_grammar import OPERATORS, SHAPES, Builder, RandomDraws, TorchNetwork  # noqa: E402
from refcoreml.testing.defects import DEFECTS  # noqa: E402

#: Together 300 networks, and every operator alone.
RUNS, EACH = 10, 30


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


@pytest.mark.parametrize("run", range(RUNS))
def test_random_networks_convert_to_equals(run):
    kinds = []

    @seed(run)
    @settings(max_examples=EACH, derandomize=False, database=None, phases=[Phase.generate, Phase.shrink])
    @given(torch_grammar.torch_networks())
    def examine(network):
        outcome = check(network)
        kinds.append(outcome.kind)
        assert outcome.kind not in ("differs", "failed"), f"{network}\n{outcome.message}"

    examine()
    assert kinds.count("agrees") > len(kinds) / 2


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_alone(name):
    outcome, network = None, None
    for number in range(40):
        draws = RandomDraws(random.Random(number))
        torch.manual_seed(number)
        builder = Builder(draws)
        shape = draws.choice([(1, 4), (1, 4, 6), (1, 4, 5, 6), (1, 4, 4, 4)])
        if OPERATORS[name].takes(shape):
            value = builder.input(*shape)
            result = builder.apply(name, value)
            if builder.used == [name]:
                program = builder.finish(result)
                network = TorchNetwork(name, program, False, (builder.values[0],), (name,), program.text())
                outcome = check(network)
                break
    assert outcome is not None, "nothing suits the operator"
    assert outcome.kind in ("agrees", "known"), f"{network}\n{outcome.message}"
    assert outcome.tightness[0] < 1e-3, "so wide a bound shows nothing"


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape(name):
    kinds = [check(torch_grammar.random_network(number, [name])).kind for number in range(3)]
    assert not {"differs", "failed"} & set(kinds)
    assert {"agrees", "known"} & set(kinds)


def single(module, x):
    return TorchNetwork("one", module, False, (x,), (), repr(module))


@pytest.mark.parametrize("name", DEFECTS)
def test_known_defects_are_there_and_are_what_is_said(name):
    """Torch and the converted model differ; without the defect they agree."""
    module, x = DEFECTS[name].example()
    network = single(module, x)
    outcome = check(network)
    assert (outcome.kind, outcome.message) == ("known", name)
    assert check(network, convert(module, [x])).kind == "differs"
    assert check(network, mended(network, [name])).kind == "agrees"


def layer(spec, kind):
    return next(entry for entry in spec.neuralNetwork.layers if entry.WhichOneof("layer") == kind)


class Stack(torch.nn.Module):
    """Enough layers that a fault in the middle has something before and behind it."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.InstanceNorm2d(4, affine=True)
        self.second, self.third = torch.nn.Conv2d(4, 3, 3, 2, 1), torch.nn.Conv2d(3, 2, 1)

    def forward(self, x):
        return self.third(torch.relu(self.second(torch.sigmoid(self.norm(self.first(x))))))


class Lstm(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.out = torch.nn.LSTM(3, 4), torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.out(torch.tanh(self.lstm(x)[0]))


def wrong_epsilon(spec):
    layer(spec, "batchnorm").batchnorm.epsilon *= 1.5


def shifted_padding(spec):
    edges = [entry for entry in spec.neuralNetwork.layers if entry.WhichOneof("layer") == "convolution"][1]
    height = edges.convolution.valid.paddingAmounts.borderAmounts[0]
    height.startEdgeSize, height.endEdgeSize = height.startEdgeSize - 1, height.endEdgeSize + 1


def wrong_weight(spec):
    weights = layer(spec, "convolution").convolution.weights.floatValue
    weights[5] *= 1.01  # far beyond the 8 roundings, 5e-7, that a folded weight is allowed


def other_activation(spec):
    entry = [e for e in spec.neuralNetwork.layers if e.WhichOneof("layer") == "activation"][-1]
    entry.activation.leakyReLU.alpha = 1e-6


def swapped_gates(spec):
    weights = layer(spec, "uniDirectionalLSTM").uniDirectionalLSTM.weightParams
    kept = copy.deepcopy(weights.inputGateWeightMatrix)
    weights.inputGateWeightMatrix.CopyFrom(weights.forgetGateWeightMatrix)
    weights.forgetGateWeightMatrix.CopyFrom(kept)


@pytest.mark.parametrize(
    ("fault", "kind", "where"),
    [
        (wrong_epsilon, Stack, "batchnorm"),
        (shifted_padding, Stack, "convolution"),
        (wrong_weight, Stack, "convolution"),
        (other_activation, Stack, "activation"),
        (swapped_gates, Lstm, "uniDirectionalLSTM"),
    ],
)
def test_an_injected_fault_is_caught_and_its_layer_named(fault, kind, where):
    torch.manual_seed(3)
    module = kind().eval()
    x = torch.randn(1, 2, 6, 7) if kind is Stack else torch.randn(5, 1, 3)
    network = single(module, x)
    spec = convert(module, [x])
    assert check(network, spec).kind == "agrees"
    fault(spec)
    outcome = check(network, spec)
    assert outcome.kind == "differs"
    faulty = [line for line in spec.neuralNetwork.layers if line.WhichOneof("layer") == where]
    assert f"({where}" in outcome.message.partition("first divergent layer")[2], outcome.message
    assert any(repr(entry.name) in outcome.message for entry in faulty)


def test_a_failure_shrinks_to_the_smallest_network(monkeypatch):
    """With a converter that forgets every ReLU, the smallest failing network is a ReLU alone (or nearly)."""
    honest = converter.convert

    def forgetful(*args, **kwargs):
        spec = honest(*args, **kwargs)
        for entry in spec.neuralNetwork.layers:
            if entry.WhichOneof("layer") == "activation" and entry.activation.WhichOneof("NonlinearityType") == "ReLU":
                entry.activation.linear.alpha = 1.0
        return spec

    monkeypatch.setattr(converter, "convert", forgetful)

    @seed(1)
    @settings(max_examples=60, derandomize=False, database=None, report_multiple_bugs=False)
    @given(torch_grammar.torch_networks(["operators on a vector", "perceptron"]))
    def examine(network):
        outcome = check(network)
        assert outcome.kind != "differs", f"{len(network.text.splitlines())} lines; {network} {outcome.message}"

    with pytest.raises(AssertionError, match=r"first divergent layer: .*activation") as caught:
        examine()
    assert int(str(caught.value).split(" lines")[0]) <= 3


def test_networks_are_reproducible():
    a, b = (torch_grammar.random_network(7) for _ in range(2))
    assert repr(a) == repr(b)
    for x, y in zip(a.inputs, b.inputs, strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_command_counts_and_explains(capsys, tmp_path):
    out = tmp_path / "report.json"
    assert conversions.main(["--networks", "12", "--shape", "perceptron", "--json", str(out)]) == 0
    assert "12 networks: 12 agrees" in capsys.readouterr().out
    assert '"perceptron"' in out.read_text()
    assert conversions.main(["--networks", "2", "--shape", "spiral"]) == 2
    assert "no shape 'spiral'" in capsys.readouterr().err


def test_a_run_in_which_nothing_is_compared_is_no_success(capsys, monkeypatch):
    arguments = ["--networks", "2", "--shape", "perceptron"]
    for kind in ("undetermined", "refused"):
        monkeypatch.setattr(conversion_runs, "check", lambda network, kind=kind: converter.Outcome(kind, "a reason"))
        assert conversions.main(arguments) == 1
        assert "no network was compared" in capsys.readouterr().out


def test_agreement_within_a_wide_bound_is_undetermined():
    """(x + 2^60) - 2^60 is x within 2^60 u, in double precision too."""

    class Shifted(torch.nn.Module):
        def forward(self, x):
            return torch.tanh(x) + 2.0**60 - 2.0**60

    outcome = check(single(Shifted(), torch.tensor([[0.5, -0.25, 1.5]])))
    assert outcome.kind == "undetermined"
    assert outcome.tightness[0] > 1
    assert "output" in outcome.message


def test_a_defect_is_known_only_if_something_is_compared_without_it(monkeypatch):
    """Without the defect nothing can be said: then it explains nothing."""
    module, x = DEFECTS["reciprocal"].example()
    network, examine = single(module, x), converter._check

    def unsure(network, spec):
        found = examine(network, spec)
        return found if found.kind == "differs" else converter.Outcome("undetermined", "a branch hangs on rounding")

    monkeypatch.setattr(converter, "_check", unsure)
    outcome = check(network)
    assert outcome.kind == "undetermined"
    assert "differs, but without reciprocal nothing can be said: a branch hangs on rounding" in outcome.message
