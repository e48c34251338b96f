"""Recurrent kernels against `recurrent_loops`, torch and onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
import recurrent_loops as loops
from hypothesis import given
from hypothesis import strategies as st

from refcoreml.kernels import activation, recurrent
from refcoreml.kernels.elementwise import affine
from refcoreml.kernels.recurrent import GateWeights


def hard_sigmoid(x, out):
    return activation.hard_sigmoid(x, 0.2, 0.5, out=out)


KERNELS = {
    "linear": lambda x, out: affine(x, 1.0, 0.0, out=out),
    "sigmoid": activation.sigmoid,
    "tanh": activation.tanh,
    "ReLU": activation.relu,
    "scaledTanh": lambda x, out: activation.scaled_tanh(x, 1.0, 1.0, out=out),
    "sigmoidHard": hard_sigmoid,
}


def stack(weights, gates, dtype):
    def field(suffix):
        return [np.asarray(weights[gate + suffix], dtype) for gate in gates]

    biases = field("BiasVector") if f"{gates[0]}BiasVector" in weights else None
    return GateWeights.stack(field("WeightMatrix"), field("RecursionMatrix"), biases)


def run_simple(x, h, weights, f, **options):
    return recurrent.simple_recurrent(x, h, stack(weights, [""], x.dtype), KERNELS[f], **options)


def run_gru(x, h, weights, functions, **options):
    return recurrent.gru(x, h, stack(weights, loops.GRU_GATES, x.dtype), *(KERNELS[f] for f in functions), **options)


def run_lstm(x, h, c, weights, functions, *, coupled=False, **options):
    gates = ["inputGate", "forgetGate", "outputGate", "blockInput"]
    if coupled:
        gates.remove("forgetGate")
    peepholes = [
        np.asarray(weights[f"{gate}PeepholeVector"], x.dtype)
        for gate in ("inputGate", "forgetGate", "outputGate")
        if gate in gates and f"{gate}PeepholeVector" in weights
    ]
    return recurrent.lstm(
        x,
        h,
        c,
        stack(weights, gates, x.dtype),
        [KERNELS[f] for f in functions],
        peepholes=peepholes or None,
        coupled=coupled,
        **options,
    )


@st.composite
def sizes(draw):
    """Length, batch, inputs, hidden: pairwise different; batches on both sides of where the kind of product changes."""
    length, inputs, hidden = draw(st.permutations([2, 3, 4, 5]))[:3]
    return length, draw(st.sampled_from([1, 6, recurrent._BATCH_FOR_MATRIX_PRODUCT + 1])), inputs, hidden


flags = st.booleans()
seeds = st.integers(0, 2**32 - 1)


def same_numbers(actual, expected, dtype):
    for got, wanted in zip(actual, expected, strict=True):
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, wanted)


def within(actual, expected, bound):
    for got, wanted in zip(actual, expected, strict=True):
        assert got.shape == wanted.shape
        assert (np.abs(got - wanted) <= bound).all(), f"off by {np.abs(got - wanted).max()}, allowed {bound}"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
class TestIntegers:
    """Integer weights and functions that keep integers: every order of summation is exact, clips included."""

    @given(sizes(), seeds, flags, flags, flags, st.sampled_from(["linear", "ReLU"]))
    def test_simple_recurrent(self, dtype, size, seed, biases, sequence, reverse, f):
        length, batch, inputs, hidden = size
        rng = np.random.default_rng(seed)
        weights = loops.draw_weights(rng, [""], inputs, hidden, biases=biases, draw=loops.integers)
        x, h = loops.integers(rng, (length, batch, inputs)), loops.integers(rng, (batch, hidden))
        expected = loops.simple_recurrent(x, h, weights, f, sequence=sequence, reverse=reverse)
        actual = run_simple(x.astype(dtype), h.astype(dtype), weights, f, sequence=sequence, reverse=reverse)
        same_numbers(actual, expected, dtype)

    @given(sizes(), seeds, flags, flags, flags, st.tuples(*[st.sampled_from(["linear", "ReLU"])] * 2))
    def test_gru(self, dtype, size, seed, biases, sequence, reverse, functions):
        length, batch, inputs, hidden = size
        length = min(length, 3)  # h grows fiftyfold a step; three steps stay within 24 bits only with small x
        rng = np.random.default_rng(seed)
        weights = loops.draw_weights(rng, loops.GRU_GATES, inputs, hidden, biases=biases, draw=loops.integers)
        x, h = loops.integers(rng, (length, batch, inputs)), loops.integers(rng, (batch, hidden))
        expected = loops.gru(x, h, weights, functions, sequence=sequence, reverse=reverse)
        actual = run_gru(x.astype(dtype), h.astype(dtype), weights, functions, sequence=sequence, reverse=reverse)
        same_numbers(actual, expected, dtype)

    @given(
        sizes(),
        seeds,
        flags,
        flags,
        flags,
        flags,
        flags,
        st.tuples(*[st.sampled_from(["linear", "ReLU"])] * 3),
        st.sampled_from([1.0, 7.0, 50.0, 50000.0, float("inf")]),
    )
    def test_lstm(self, dtype, size, seed, biases, peepholes, coupled, sequence, reverse, functions, cell_clip):
        length, batch, inputs, hidden = size
        if cell_clip > 50:
            length = 2  # a free cell grows fiftyfold a step
        rng = np.random.default_rng(seed)
        weights = loops.draw_weights(
            rng, loops.LSTM_GATES, inputs, hidden, biases=biases, peepholes=peepholes, draw=loops.integers
        )
        x, h, c = (loops.integers(rng, s) for s in [(length, batch, inputs), (batch, hidden), (batch, hidden)])
        options = {"coupled": coupled, "cell_clip": cell_clip, "sequence": sequence, "reverse": reverse}
        expected = loops.lstm(x, h, c, weights, functions, **options)
        actual = run_lstm(x.astype(dtype), h.astype(dtype), c.astype(dtype), weights, functions, **options)
        same_numbers(actual, expected, dtype)


bounded = st.sampled_from(["sigmoid", "tanh", "sigmoidHard"])


def small_case(size, seed, gates, biases, peepholes=False):
    length, batch, inputs, hidden = size
    rng = np.random.default_rng(seed)
    weights = loops.draw_weights(rng, gates, inputs, hidden, biases=biases, peepholes=peepholes, draw=loops.small)
    x = 8 * loops.small(rng, (length, batch, inputs))
    return weights, x, 8 * loops.small(rng, (batch, hidden)), 8 * loops.small(rng, (batch, hidden))


def bound_of(dtype, size, top=1.0):
    length, _, inputs, hidden = size
    # The transcription has an error, too.
    return sum(loops.error_bound(u, length, inputs + hidden + 2, top) for u in (np.finfo(dtype).eps / 2, 2.0**-53))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
class TestRealNumbers:
    @given(sizes(), seeds, flags, flags, flags, st.sampled_from(["sigmoid", "tanh", "sigmoidHard", "scaledTanh"]))
    def test_simple_recurrent(self, dtype, size, seed, biases, sequence, reverse, f):
        weights, x, h, _ = small_case(size, seed, [""], biases)
        expected = loops.simple_recurrent(x, h, weights, f, sequence=sequence, reverse=reverse)
        actual = run_simple(x.astype(dtype), h.astype(dtype), weights, f, sequence=sequence, reverse=reverse)
        within(actual, expected, bound_of(dtype, size, 1.0))

    @given(sizes(), seeds, flags, flags, flags, bounded, bounded)
    def test_gru(self, dtype, size, seed, biases, sequence, reverse, f, g):
        weights, x, h, _ = small_case(size, seed, loops.GRU_GATES, biases)
        expected = loops.gru(x, h, weights, (f, g), sequence=sequence, reverse=reverse)
        actual = run_gru(x.astype(dtype), h.astype(dtype), weights, (f, g), sequence=sequence, reverse=reverse)
        within(actual, expected, bound_of(dtype, size))

    @given(sizes(), seeds, flags, flags, flags, flags, flags, bounded, bounded, bounded)
    def test_lstm(self, dtype, size, seed, biases, peepholes, coupled, sequence, reverse, f, g, output):
        weights, x, h, c = small_case(size, seed, loops.LSTM_GATES, biases, peepholes)
        options = {"coupled": coupled, "sequence": sequence, "reverse": reverse}
        expected = loops.lstm(x, h, c, weights, (f, g, output), **options)
        actual = run_lstm(x.astype(dtype), h.astype(dtype), c.astype(dtype), weights, (f, g, output), **options)
        within(actual, expected, bound_of(dtype, size))


SIZE = (5, 3, 4, 2)


@pytest.fixture(params=["simple", "gru", "lstm"])
def case(request):
    """A function of x, h, c and options, and arrays for it in float32."""
    gates = {"simple": [""], "gru": loops.GRU_GATES, "lstm": loops.LSTM_GATES}[request.param]
    weights, *arrays = small_case(SIZE, 1, gates, biases=True, peepholes=request.param == "lstm")

    def run(x, h, c, **options):
        if request.param == "simple":
            return run_simple(x, h, weights, "tanh", **options)
        if request.param == "gru":
            return run_gru(x, h, weights, ("sigmoid", "tanh"), **options)
        return run_lstm(x, h, c, weights, ("sigmoid", "tanh", "tanh"), **options)

    return run, [array.astype(np.float32) for array in arrays]


@pytest.mark.parametrize("sequence", [False, True])
def test_arguments_are_not_written_and_results_are_apart(case, sequence):
    run, arrays = case
    before = [array.copy() for array in arrays]
    results = run(*arrays, sequence=sequence)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    everything = [*results, *arrays]
    for index, first in enumerate(everything):
        for second in everything[index + 1 :]:
            assert not np.shares_memory(first, second)


@pytest.mark.parametrize("reverse", [False, True])
def test_long_sequences_run_in_parts(case, reverse, monkeypatch):
    """Parts of two steps (the last of one) give what one part gives, but for the order of summation in BLAS."""
    run, arrays = case
    whole = run(*arrays, sequence=True, reverse=reverse)
    monkeypatch.setattr(recurrent, "_PRODUCTS_AT_ONCE", 2 * SIZE[1] * 4 * SIZE[3] + 1)
    within(run(*arrays, sequence=True, reverse=reverse), whole, 2 * bound_of(np.float32, SIZE))


def test_half_precision_is_kept(case):
    run, arrays = case
    halves = [array.astype(np.float16) for array in arrays]
    for result, exact in zip(run(*halves, sequence=True), run(*arrays, sequence=True), strict=True):
        assert result.dtype == np.float16
        # Rounding x, h, c and the weights to half precision counts like one more rounding in each sum.
        assert (np.abs(result - exact) <= 2 * bound_of(np.float16, SIZE)).all()


def test_one_state_for_the_whole_batch_and_strides(case):
    """States that were broadcast, and an x of which the memory has gaps."""
    run, (x, h, c) = case
    spread = [np.broadcast_to(state[:1], state.shape) for state in (h, c)]
    gaps = np.repeat(x, 2, axis=-1)[..., ::2]
    expected = run(x, *(state.copy() for state in spread), sequence=True)
    same_numbers(run(gaps, *spread, sequence=True), expected, np.float32)


@pytest.mark.clause("simpleRecurrent.S1")
def test_pre_activations_are_clipped_before_the_function():
    """sigmoid(-50) is still a number of its own; sigmoid(-60) is smaller."""
    x, h, one = np.array([[[60.0]]]), np.zeros((1, 1)), np.ones((1, 1))
    weights = GateWeights(-one, one)
    y, _ = recurrent.simple_recurrent(x, h, weights, activation.sigmoid, sequence=True)
    np.testing.assert_array_equal(y, activation.sigmoid(np.full((1, 1, 1), -50.0)))


def test_nan_stays(case):
    run, (x, h, c) = case
    x = x.copy()
    x[2, 1, 0] = np.nan
    y = run(x, h, c, sequence=True)[0]
    assert np.isnan(y[2:, 1]).all()
    assert np.isfinite(y[:2]).all()
    assert np.isfinite(y[:, [0, 2]]).all()


def test_both_directions():
    forward, backward = np.arange(12.0).reshape(3, 2, 2), -np.arange(12.0).reshape(3, 2, 2)
    joined = recurrent.both_directions(forward, backward)
    assert joined.shape == (3, 2, 4)
    for t in range(3):
        np.testing.assert_array_equal(joined[t, :, :2], forward[t])
        np.testing.assert_array_equal(joined[t, :, 2:], backward[2 - t])


class TestTorch:
    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch", reason="torch is a third opinion on recurrent networks")

    def fields(self, module, gates, suffix=""):
        """torch's stacked parameters by gate; its two biases are added."""
        w, r, b, b_r = (
            getattr(module, f"{name}_l0{suffix}").detach().numpy()
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        result = {}
        for index, gate in enumerate(gates):
            rows = slice(index * len(r.T), (index + 1) * len(r.T))
            result[f"{gate}WeightMatrix"], result[f"{gate}RecursionMatrix"] = w[rows], r[rows]
            result[f"{gate}BiasVector"] = b[rows] + b_r[rows]
        return result

    def random(self, torch, module):
        generator = torch.Generator().manual_seed(3)
        for parameter in module.parameters():
            # Two biases of 1 / 16 at most add up to 1 / 8.
            bound = 1 / 8 if parameter.ndim == 2 else 1 / 16
            torch.nn.init.uniform_(parameter, -bound, bound, generator=generator)
        return module.double()

    def arrays(self, states):
        _, x, h, c = small_case(SIZE, 4, [""], biases=False)
        return (x, h, c)[: 1 + states]

    def test_lstm(self, torch):
        _, _, inputs, hidden = SIZE
        module = self.random(torch, torch.nn.LSTM(inputs, hidden, bidirectional=True))
        x, h, c = self.arrays(2)
        ours = []
        for suffix, reverse in ("", False), ("_reverse", True):
            weights = self.fields(module, ("inputGate", "forgetGate", "blockInput", "outputGate"), suffix)
            ours.append(run_lstm(x, h, c, weights, ("sigmoid", "tanh", "tanh"), sequence=True, reverse=reverse))
        states = tuple(torch.from_numpy(np.stack([s, s])) for s in (h, c))
        y, (h_last, c_last) = module(torch.from_numpy(x), states)
        (y_forward, *states_forward), (y_backward, *states_backward) = ours
        joined = recurrent.both_directions(y_forward, y_backward)
        actual = [joined, *(np.stack(pair) for pair in zip(states_forward, states_backward, strict=True))]
        expected = [part.detach().numpy() for part in (y, h_last, c_last)]
        within(actual, expected, 2 * bound_of(np.float64, SIZE))

    @pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
    def test_simple_recurrent(self, torch, nonlinearity):
        _, _, inputs, hidden = SIZE
        module = self.random(torch, torch.nn.RNN(inputs, hidden, nonlinearity=nonlinearity))
        x, h = self.arrays(1)
        y, h_last = module(torch.from_numpy(x), torch.from_numpy(h[None]))
        f = {"tanh": "tanh", "relu": "ReLU"}[nonlinearity]
        actual = run_simple(x, h, self.fields(module, [""]), f, sequence=True)
        # Sums of 4 x and 2 h with weights of at most 1 / 8 keep |h| below 1, so that ReLU is bounded, too.
        within(actual, [y.detach().numpy(), h_last[0].detach().numpy()], 2 * bound_of(np.float64, SIZE))


class TestOnnxRuntime:
    """ONNX's operators have peepholes, coupled gates, directions, and GRU's reset before the product."""

    @pytest.fixture
    def run(self):
        ort = pytest.importorskip("onnxruntime", reason="onnxruntime is a third opinion on recurrent networks")
        onnx = pytest.importorskip("onnx", reason="onnx builds the graphs for onnxruntime")

        def run(kind, feeds, outputs, **attributes):
            names = [f"i{index}" if feed is not None else "" for index, feed in enumerate(feeds)]
            given = {name: feed for name, feed in zip(names, feeds, strict=True) if name}
            made = [f"o{index}" for index in range(outputs)]
            node = onnx.helper.make_node(kind, names, made, **attributes)
            tensor = onnx.TensorProto.FLOAT
            graph = onnx.helper.make_graph(
                [node],
                kind,
                [onnx.helper.make_tensor_value_info(name, tensor, feed.shape) for name, feed in given.items()],
                [onnx.helper.make_tensor_value_info(name, tensor, None) for name in made],
            )
            model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
            options = ort.SessionOptions()
            options.intra_op_num_threads = 1
            session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
            return session.run(None, given)

        return run

    def stacked(self, weights, gates):
        def field(suffix):
            return np.concatenate([weights[gate + suffix] for gate in gates])[None].astype(np.float32)

        bias = field("BiasVector") if f"{gates[0]}BiasVector" in weights else None
        if bias is not None:
            bias = np.concatenate([bias, np.zeros_like(bias)], axis=1)
        return field("WeightMatrix"), field("RecursionMatrix"), bias

    def attributes(self, functions, hidden, reverse):
        names = {"sigmoid": "Sigmoid", "tanh": "Tanh", "sigmoidHard": "HardSigmoid", "ReLU": "Relu"}
        numbers = {"sigmoidHard": (0.2, 0.5)}
        pairs = [numbers.get(f, (0.0, 0.0)) for f in functions]
        return {
            "activations": [names[f] for f in functions],
            "activation_alpha": [alpha for alpha, _ in pairs],
            "activation_beta": [beta for _, beta in pairs],
            "hidden_size": hidden,
            "direction": "reverse" if reverse else "forward",
            "clip": 50.0,
        }

    def compare(self, results, actual, reverse):
        y, *last = results
        y = y[:, 0]  # one direction
        expected = [y[::-1] if reverse else y, *(state[0] for state in last)]
        within(actual, expected, 2 * bound_of(np.float32, SIZE))

    @pytest.mark.parametrize("reverse", [False, True])
    @pytest.mark.parametrize("coupled", [False, True])
    @pytest.mark.parametrize("peepholes", [False, True])
    @pytest.mark.parametrize("biases", [False, True])
    @pytest.mark.parametrize("functions", [("sigmoid", "tanh", "tanh"), ("sigmoidHard", "sigmoid", "tanh")])
    def test_lstm(self, run, biases, peepholes, coupled, reverse, functions):
        weights, *arrays = small_case(SIZE, 5, loops.LSTM_GATES, biases, peepholes)
        x, h, c = (array.astype(np.float32) for array in arrays)
        w, r, b = self.stacked(weights, ("inputGate", "outputGate", "forgetGate", "blockInput"))
        p = None
        if peepholes:
            fields = [weights[f"{gate}PeepholeVector"] for gate in ("inputGate", "outputGate", "forgetGate")]
            p = np.concatenate(fields)[None].astype(np.float32)
        attributes = self.attributes(functions, SIZE[3], reverse)
        results = run("LSTM", [x, w, r, b, None, h[None], c[None], p], 3, input_forget=int(coupled), **attributes)
        actual = run_lstm(x, h, c, weights, functions, coupled=coupled, sequence=True, reverse=reverse)
        self.compare(results, actual, reverse)

    @pytest.mark.parametrize("reverse", [False, True])
    @pytest.mark.parametrize("biases", [False, True])
    @pytest.mark.parametrize("functions", [("sigmoid", "tanh"), ("sigmoidHard", "tanh")])
    def test_gru(self, run, biases, reverse, functions):
        weights, *arrays = small_case(SIZE, 6, loops.GRU_GATES, biases)
        x, h, _ = (array.astype(np.float32) for array in arrays)
        w, r, b = self.stacked(weights, loops.GRU_GATES)
        attributes = self.attributes(functions, SIZE[3], reverse)
        results = run("GRU", [x, w, r, b, None, h[None]], 2, linear_before_reset=0, **attributes)
        self.compare(results, run_gru(x, h, weights, functions, sequence=True, reverse=reverse), reverse)

    @pytest.mark.parametrize("reverse", [False, True])
    @pytest.mark.parametrize("biases", [False, True])
    @pytest.mark.parametrize("f", ["tanh", "sigmoid", "ReLU", "sigmoidHard"])
    def test_simple_recurrent(self, run, biases, reverse, f):
        weights, *arrays = small_case(SIZE, 7, [""], biases)
        x, h, _ = (array.astype(np.float32) for array in arrays)
        w, r, b = self.stacked(weights, [""])
        results = run("RNN", [x, w, r, b, None, h[None]], 2, **self.attributes([f], SIZE[3], reverse))
        self.compare(results, run_simple(x, h, weights, f, sequence=True, reverse=reverse), reverse)

    @pytest.mark.parametrize("sign", [-1, 1])
    def test_clip(self, run, sign):
        """Pre-activations far beyond 50; ReLU and sigmoid show where the clip is."""
        weights = {"WeightMatrix": np.ones((1, 2)), "RecursionMatrix": np.zeros((1, 1))}
        x = np.full((3, 1, 2), 40.0 * sign, np.float32)
        w, r, b = self.stacked(weights, [""])
        h = np.zeros((1, 1), np.float32)
        (y,) = run("RNN", [x, w, r, b, None, h[None]], 1, **self.attributes(["ReLU"], 1, False))
        actual, _ = run_simple(x, h, weights, "ReLU", sequence=True)
        np.testing.assert_array_equal(actual, y[:, 0])
        np.testing.assert_array_equal(actual, np.full((3, 1, 1), 50.0 if sign > 0 else 0.0))
