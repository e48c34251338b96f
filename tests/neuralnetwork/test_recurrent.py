"""Recurrent layers: field names, flags, shapes, states, errors. Numbers against `recurrent_loops`."""

from __future__ import annotations

import numpy as np
import pytest
import recurrent_loops as loops
from hypothesis import given
from hypothesis import strategies as st
from support import one_layer, run_layer

from refcoreml.errors import InvalidModelError
from refcoreml.kernels.bits import pack_codes
from refcoreml.spec import schema

LENGTH, BATCH, INPUTS, HIDDEN = 4, 2, 5, 3

#: Inputs, outputs, number of activations.
KINDS = {
    "simpleRecurrent": (2, 2, 1),
    "gru": (2, 2, 2),
    "uniDirectionalLSTM": (3, 3, 3),
    "biDirectionalLSTM": (5, 5, 3),
}


def messages(names):
    return [{name: {}} for name in names]


def fields_of(kind, weights, functions, *, sequence=True, reverse=False, **lstm):
    """The fields of a layer from weights as `loops` takes them (for two directions: a pair of both)."""
    fields = {"inputVectorSize": INPUTS, "outputVectorSize": HIDDEN}
    if kind == "simpleRecurrent":
        names = {"WeightMatrix": "weightMatrix", "RecursionMatrix": "recursionMatrix", "BiasVector": "biasVector"}
        fields.update({names[name]: value for name, value in weights.items()})
        return {
            **fields,
            "activation": messages(functions)[0],
            "hasBiasVector": "BiasVector" in weights,
            "sequenceOutput": sequence,
            "reverseInput": reverse,
        }
    if kind == "gru":
        return {
            **fields,
            **weights,
            "activations": messages(functions),
            "hasBiasVectors": "updateGateBiasVector" in weights,
            "sequenceOutput": sequence,
            "reverseInput": reverse,
        }
    both = kind == "biDirectionalLSTM"
    some = weights[0] if both else weights
    fields["params"] = {
        "sequenceOutput": sequence,
        "hasBiasVectors": "inputGateBiasVector" in some,
        "hasPeepholeVectors": "inputGatePeepholeVector" in some,
        **lstm,
    }
    fields["weightParams"] = weights
    if both:
        return {
            **fields,
            "activationsForwardLSTM": messages(functions[0]),
            "activationsBackwardLSTM": messages(functions[1]),
        }
    return {**fields, "activations": messages(functions), "reverseInput": reverse}


def draw(kind, rng, *, biases=True, peepholes=False, how=loops.integers):
    if kind == "biDirectionalLSTM":
        return [draw("uniDirectionalLSTM", rng, biases=biases, peepholes=peepholes, how=how) for _ in range(2)]
    gates = {"simpleRecurrent": [""], "gru": loops.GRU_GATES}.get(kind, loops.LSTM_GATES)
    return loops.draw_weights(rng, gates, INPUTS, HIDDEN, biases=biases, peepholes=peepholes, draw=how)


def arrays_of(rng, states, how=loops.integers, length=LENGTH):
    return how(rng, (length, BATCH, INPUTS)), [how(rng, (BATCH, HIDDEN)) for _ in range(states)]


def blob(array):
    """[Seq, Batch, C] or [Batch, C] as a blob of rank 5."""
    return array[(None,) * (3 - array.ndim)][..., None, None]


def expect(actual, expected):
    assert len(actual) == len(expected)
    for got, wanted in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(got, blob(np.asarray(wanted)))


flags = st.booleans()
seeds = st.integers(0, 2**32 - 1)
functions_of_integers = st.sampled_from(["linear", "ReLU"])


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("rank5", [True, False])
class TestNumbers:
    """Small integers, so that results are exact: what `loops` computes must come out."""

    @given(seeds, flags, flags, flags, functions_of_integers)
    @pytest.mark.clause("simpleRecurrent.S1", "simpleRecurrent.S2", "simpleRecurrent.S3", "simpleRecurrent.U1")
    def test_simple_recurrent(self, precision, rank5, seed, biases, sequence, reverse, f):
        rng = np.random.default_rng(seed)
        weights = draw("simpleRecurrent", rng, biases=biases)
        x, (h,) = arrays_of(rng, 1)
        fields = fields_of("simpleRecurrent", weights, [f], sequence=sequence, reverse=reverse)
        actual = run_layer("simpleRecurrent", blob(x), blob(h), outputs=2, rank5=rank5, precision=precision, **fields)
        expect(actual, loops.simple_recurrent(x, h, weights, f, sequence=sequence, reverse=reverse))

    @given(seeds, flags, flags, flags, flags, functions_of_integers, functions_of_integers)
    @pytest.mark.clause("gru.S1", "gru.S2", "gru.S3", "gru.S4", "gru.U1")
    def test_gru(self, precision, rank5, seed, biases, sequence, reverse, given_state, f, g):
        rng = np.random.default_rng(seed)
        weights = draw("gru", rng, biases=biases)
        x, states = arrays_of(rng, 1, length=3)
        if not given_state:
            states = [np.zeros((BATCH, HIDDEN))]
        blobs = [blob(x), *(blob(state) for state in states if given_state)]
        fields = fields_of("gru", weights, [f, g], sequence=sequence, reverse=reverse)
        actual = run_layer("gru", *blobs, outputs=2, rank5=rank5, precision=precision, **fields)
        expect(actual, loops.gru(x, *states, weights, (f, g), sequence=sequence, reverse=reverse))

    @given(
        seeds,
        st.fixed_dictionaries({"biases": flags, "peepholes": flags}),
        st.fixed_dictionaries({"coupled": flags, "cell_clip": st.sampled_from([0.0, 3.0, 50.0]), "sequence": flags}),
        flags,
        flags,
        st.integers(0, 2),
        st.tuples(*[functions_of_integers] * 3),
    )
    @pytest.mark.clause(
        "uniDirectionalLSTM.S1",
        "uniDirectionalLSTM.S2",
        "uniDirectionalLSTM.S3",
        "uniDirectionalLSTM.S4",
        "uniDirectionalLSTM.S5",
        "uniDirectionalLSTM.S6",
        "uniDirectionalLSTM.U1",
        "uniDirectionalLSTM.U4",
    )
    def test_unidirectional_lstm(
        self, precision, rank5, seed, parts, options, reverse, forget_bias, given_states, names
    ):
        rng = np.random.default_rng(seed)
        weights = draw("uniDirectionalLSTM", rng, **parts)
        x, states = arrays_of(rng, 2)
        states[given_states:] = [np.zeros((BATCH, HIDDEN))] * (2 - given_states)
        fields = fields_of(
            "uniDirectionalLSTM",
            weights,
            names,
            sequence=options["sequence"],
            reverse=reverse,
            coupledInputAndForgetGate=options["coupled"],
            cellClipThreshold=options["cell_clip"],
            forgetBias=forget_bias,  # changes nothing
        )
        blobs = [blob(x), *(blob(state) for state in states[:given_states])]
        actual = run_layer("uniDirectionalLSTM", *blobs, outputs=3, rank5=rank5, precision=precision, **fields)
        options["cell_clip"] = options["cell_clip"] or 50.0
        expect(actual, loops.lstm(x, *states, weights, names, reverse=reverse, **options))

    @given(
        seeds,
        st.fixed_dictionaries({"biases": flags, "peepholes": flags}),
        st.fixed_dictionaries({"coupled": flags, "cell_clip": st.sampled_from([0.0, 3.0]), "sequence": flags}),
        flags,
        st.integers(0, 4),
        st.tuples(*[functions_of_integers] * 3),
        st.tuples(*[functions_of_integers] * 3),
    )
    @pytest.mark.clause(
        "biDirectionalLSTM.S1",
        "biDirectionalLSTM.S2",
        "biDirectionalLSTM.S3",
        "biDirectionalLSTM.S4",
        "biDirectionalLSTM.U1",
        "biDirectionalLSTM.U4",
        "biDirectionalLSTM.U5",
    )
    def test_bidirectional_lstm(
        self, precision, rank5, seed, parts, options, forget_bias, given_states, names, names_back
    ):
        rng = np.random.default_rng(seed)
        weights = draw("biDirectionalLSTM", rng, **parts)
        x, states = arrays_of(rng, 4)
        states[given_states:] = [np.zeros((BATCH, HIDDEN))] * (4 - given_states)
        fields = fields_of(
            "biDirectionalLSTM",
            weights,
            [names, names_back],
            sequence=options["sequence"],
            coupledInputAndForgetGate=options["coupled"],
            cellClipThreshold=options["cell_clip"],
            forgetBias=forget_bias,
        )
        blobs = [blob(x), *(blob(state) for state in states[:given_states])]
        actual = run_layer("biDirectionalLSTM", *blobs, outputs=5, rank5=rank5, precision=precision, **fields)
        options["cell_clip"] = options["cell_clip"] or 50.0
        y, h, c = loops.lstm(x, *states[:2], weights[0], names, **options)
        y_back, h_back, c_back = loops.lstm(x[::-1], *states[2:], weights[1], names_back, **options)
        if options["sequence"]:
            y_back = y_back[::-1]  # from the order of processing to that of time
        expect(actual, [np.concatenate([y, y_back], axis=2), h, c, h_back, c_back])


@pytest.mark.clause("simpleRecurrent.S4")
def test_empty_messages_of_functions_mean_the_supported_numbers():
    """What converters write: sigmoidHard, scaledTanh and linear without their numbers."""
    rng = np.random.default_rng(0)
    x, (h,) = arrays_of(rng, 1, loops.small)
    weights = draw("simpleRecurrent", rng, how=loops.small)
    for name, numbers in {
        "sigmoidHard": {"alpha": 0.2, "beta": 0.5},
        "scaledTanh": {"alpha": 1.0, "beta": 1.0},
        "linear": {"alpha": 1.0},
    }.items():
        results = []
        for message in ({}, numbers):
            fields = {**fields_of("simpleRecurrent", weights, ["tanh"]), "activation": {name: message}}
            results.append(run_layer("simpleRecurrent", blob(x), blob(h), outputs=2, precision="float64", **fields))
        for empty, full in zip(*results, strict=True):
            np.testing.assert_array_equal(empty, full)
        expected = loops.simple_recurrent(x, h, weights, name, sequence=True)
        bound = 2 * loops.error_bound(2.0**-53, LENGTH, INPUTS + HIDDEN + 1, 1.0)
        # The numbers are stored as float32, each off by 2 ** -24 of itself; slopes below 1.2 repeat this every step.
        bound += 2.0**-24 * 2 * sum(1.2**t for t in range(LENGTH))
        for got, wanted in zip(results[0], expected, strict=True):
            assert (np.abs(got - blob(wanted)) <= bound).all()


def with_functions(kind, fields, functions):
    """Sets as many of the functions as the layer takes, the same in each direction."""
    for name in [name for name in fields if name.startswith("activation")]:
        fields[name] = functions[0] if name == "activation" else functions[: KINDS[kind][2]]


@pytest.mark.parametrize("kind", ["gru", "uniDirectionalLSTM", "biDirectionalLSTM"])
@pytest.mark.clause("gru.S5", "uniDirectionalLSTM.S7", "biDirectionalLSTM.S1")
def test_empty_messages_mean_the_same_in_every_layer(kind):
    full = [
        {"sigmoidHard": {"alpha": 0.2, "beta": 0.5}},
        {"scaledTanh": {"alpha": 1, "beta": 1}},
        {"linear": {"alpha": 1}},
    ]
    empty = [{name: {} for name in message} for message in full]
    fields, x, states = case(kind)
    for turn in range(3):
        results = []
        for functions in empty, full:
            with_functions(kind, fields, [*functions[turn:], *functions[:turn]])
            results.append(run_layer(kind, blob(x), *map(blob, states), outputs=KINDS[kind][1], **fields))
        for got, wanted in zip(*results, strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.clause("simpleRecurrent.U4", "gru.U4", "uniDirectionalLSTM.U6", "biDirectionalLSTM.S1")
def test_other_numbers_of_functions_are_taken_as_written(kind):
    """A function that is 3 whatever its argument: alpha is 0 where only beta is set."""
    fields, x, states = case(kind)
    with_functions(kind, fields, [{"linear": {"beta": 3.0}}] * 3)
    y, *_ = run_layer(kind, blob(x), *(blob(0 * state) for state in states), outputs=KINDS[kind][1], **fields)
    # One step from zeros: h = 3; (1 - 3) * 3 + 3 * 0; 3 * 3.
    first = {"simpleRecurrent": 3.0, "gru": -6.0}.get(kind, 9.0)
    np.testing.assert_array_equal(y[0], np.full(y[0].shape, first))


@pytest.mark.clause("uniDirectionalLSTM.S4", "uniDirectionalLSTM.U5", "biDirectionalLSTM.S1")
def test_coupled_gates_need_no_forget_gate():
    rng = np.random.default_rng(0)
    weights = draw("uniDirectionalLSTM", rng, peepholes=True)
    x, states = arrays_of(rng, 2)
    names = ["ReLU", "linear", "linear"]
    kept = {name: value for name, value in weights.items() if not name.startswith("forgetGate")}
    fields = fields_of("uniDirectionalLSTM", kept, names, coupledInputAndForgetGate=True)
    actual = run_layer("uniDirectionalLSTM", blob(x), *map(blob, states), outputs=3, **fields)
    expect(actual, loops.lstm(x, *states, weights, names, coupled=True, sequence=True))


@pytest.mark.clause("uniDirectionalLSTM.S3")
def test_vectors_are_read_with_their_flag_only():
    rng = np.random.default_rng(0)
    weights = draw("uniDirectionalLSTM", rng, peepholes=True)
    x, states = arrays_of(rng, 2)
    names = ["linear", "ReLU", "linear"]
    fields = fields_of("uniDirectionalLSTM", weights, names, hasBiasVectors=False, hasPeepholeVectors=False)
    actual = run_layer("uniDirectionalLSTM", blob(x), *map(blob, states), outputs=3, **fields)
    matrices = {name: value for name, value in weights.items() if name.endswith("Matrix")}
    expect(actual, loops.lstm(x, *states, matrices, names, sequence=True))


def case(kind, seed=0, **options):
    """Fields, x and states of an example of each layer."""
    rng = np.random.default_rng(seed)
    inputs, _, functions = KINDS[kind]
    names = ["sigmoid", "tanh", "tanh"][-functions:]
    weights = draw(kind, rng, how=loops.small)
    x, states = arrays_of(rng, inputs - 1, loops.small)
    return fields_of(kind, weights, [names, names] if kind == "biDirectionalLSTM" else names, **options), x, states


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.clause("simpleRecurrent.U2", "gru.U2", "uniDirectionalLSTM.U2", "biDirectionalLSTM.U2")
def test_a_state_of_batch_one_serves_every_item(kind):
    fields, x, states = case(kind)
    outputs = KINDS[kind][1]
    one = [blob(state[:1]) for state in states]
    repeated = [np.repeat(state, BATCH, axis=1) for state in one]
    for got, wanted in zip(
        run_layer(kind, blob(x), *one, outputs=outputs, **fields),
        run_layer(kind, blob(x), *repeated, outputs=outputs, **fields),
        strict=True,
    ):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("kind", ["simpleRecurrent", "gru", "uniDirectionalLSTM"])
@pytest.mark.clause("simpleRecurrent.S2", "gru.S3", "uniDirectionalLSTM.S5")
def test_states_carry_a_sequence_over_its_parts(kind):
    """Running a sequence in two parts, the second with the states of the first, equals one run."""
    fields, x, states = case(kind)
    outputs = KINDS[kind][1]
    y, *last = run_layer(kind, blob(x), *map(blob, states), outputs=outputs, precision="float64", **fields)
    y1, *between = run_layer(kind, blob(x[:1]), *map(blob, states), outputs=outputs, precision="float64", **fields)
    y2, *end = run_layer(kind, blob(x[1:]), *between, outputs=outputs, precision="float64", **fields)
    bound = 2 * loops.error_bound(2.0**-53, LENGTH, INPUTS + HIDDEN + 1)
    for got, wanted in zip([np.concatenate([y1, y2]), *end], [y, *last], strict=True):
        assert (np.abs(got - wanted) <= bound).all()


@pytest.mark.parametrize("kind", KINDS)
def test_items_of_a_batch_do_not_touch(kind):
    fields, x, states = case(kind)
    outputs = KINDS[kind][1]
    whole = run_layer(kind, blob(x), *map(blob, states), outputs=outputs, precision="float64", **fields)
    bound = 2 * loops.error_bound(2.0**-53, LENGTH, INPUTS + HIDDEN + 1)
    for item in range(BATCH):
        part = slice(item, item + 1)
        alone = run_layer(
            kind, blob(x[:, part]), *(blob(s[part]) for s in states), outputs=outputs, precision="float64", **fields
        )
        for got, wanted in zip(alone, whole, strict=True):
            assert (np.abs(got - wanted[:, part]) <= bound).all()


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_storage(kind):
    """Blobs and weights are halves, the sums inside are not."""
    fields, x, states = case(kind)
    results = run_layer(kind, blob(x), *map(blob, states), outputs=KINDS[kind][1], precision="float16", **fields)
    exact = run_layer(kind, blob(x), *map(blob, states), outputs=KINDS[kind][1], precision="float64", **fields)
    bound = loops.error_bound(2.0**-11, LENGTH, INPUTS + HIDDEN + 1)
    for result, other in zip(results, exact, strict=True):
        np.testing.assert_array_equal(result, result.astype(np.float16))
        assert (np.abs(result - other) <= bound).all()


def refused(kind, match, *blobs, outputs=None, rank5=True, **fields):
    given = blobs or [blob(array) for array in (case(kind)[1], *case(kind)[2])]
    with pytest.raises(InvalidModelError, match=match) as caught:
        run_layer(kind, *given, outputs=outputs or KINDS[kind][1], rank5=rank5, **fields)
    assert caught.value.where.startswith(f"neuralNetwork.layers[0] '{kind}0' ({kind})")
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
class TestErrors:
    @pytest.mark.parametrize("field", ["inputVectorSize", "outputVectorSize"])
    @pytest.mark.parametrize("size", [0, 1, 2**31, 2**60, 2**64 - 1])
    @pytest.mark.clause("simpleRecurrent.C1", "gru.C1", "uniDirectionalLSTM.C1", "biDirectionalLSTM.C1")
    def test_sizes(self, kind, field, size):
        fields = {**case(kind)[0], field: size}
        message = f"{field} is 0, expected 1 or more" if size == 0 else r"holds \d+ values, the declared shape .* needs"
        refused(kind, message, **fields)

    @pytest.mark.parametrize("count", [0, 1, 2, 4])
    @pytest.mark.clause("simpleRecurrent.C2", "gru.C2", "uniDirectionalLSTM.C2", "biDirectionalLSTM.C2")
    def test_number_of_activations(self, kind, count):
        fields = case(kind)[0]
        if kind == "simpleRecurrent":
            del fields["activation"]
            refused(kind, "activation is not set, recurrent layers take linear, sigmoid, tanh", **fields)
        elif count != KINDS[kind][2]:
            for name in [name for name in fields if name.startswith("activations")]:
                wrong = {**fields, name: messages(["tanh"] * count)}
                refused(kind, f"has {count} {name}, expected {KINDS[kind][2]}: f, g", **wrong)

    @pytest.mark.parametrize("name", ["softsign", "leakyReLU", "PReLU", None])
    @pytest.mark.clause("simpleRecurrent.C2", "gru.C2", "uniDirectionalLSTM.C2", "biDirectionalLSTM.C2")
    def test_other_activations(self, kind, name):
        fields = case(kind)[0]
        wrong = {name: {}} if name else {}
        for field in [field for field in fields if field.startswith("activation")]:
            many = field != "activation"
            value = [*fields[field][:-1], wrong] if many else wrong
            place = rf"{field}\[{KINDS[kind][2] - 1}\]" if many else field
            refused(kind, f"{place} is {name or 'not set'}, recurrent layers take", **{**fields, field: value})

    @pytest.mark.clause(
        "simpleRecurrent.C3",
        "gru.C3",
        "uniDirectionalLSTM.C3",
        "biDirectionalLSTM.C3",
        "simpleRecurrent.U1",
        "gru.U1",
        "uniDirectionalLSTM.U1",
        "biDirectionalLSTM.U1",
    )
    def test_shape_of_x(self, kind):
        fields, _, states = case(kind)
        for shape in [
            (LENGTH, BATCH, INPUTS),
            (LENGTH, BATCH, INPUTS, 1),
            (LENGTH, BATCH, INPUTS + 1, 1, 1),
            (LENGTH, BATCH, 1, INPUTS, 1),
            (LENGTH, BATCH, INPUTS, 2, 1),
            (LENGTH, BATCH, INPUTS, 1, 2),
        ]:
            match = rf"input 'x0' has the shape .*, expected \[Seq, Batch, {INPUTS}, 1, 1\]"
            refused(kind, match, np.zeros(shape), *map(blob, states), rank5=False, **fields)

    @pytest.mark.clause("simpleRecurrent.C3", "gru.C3", "uniDirectionalLSTM.C3", "biDirectionalLSTM.C3")
    def test_shape_of_states(self, kind):
        fields, x, states = case(kind)
        for index in range(len(states)):
            for shape in [
                (BATCH, HIDDEN),
                (1, BATCH, HIDDEN + 1, 1, 1),
                (1, BATCH + 1, HIDDEN, 1, 1),
                (2, BATCH, HIDDEN, 1, 1),
                (1, BATCH, 1, HIDDEN, 1),
            ]:
                blobs = [blob(state) for state in states]
                blobs[index] = np.zeros(shape)
                match = rf"input 'x{index + 1}', the \w+ state.*, expected \(1, {BATCH}, {HIDDEN}, 1, 1\)"
                refused(kind, match, blob(x), *blobs, rank5=False, **fields)

    @pytest.mark.clause("simpleRecurrent.C3", "gru.C3", "uniDirectionalLSTM.C3", "biDirectionalLSTM.C3")
    def test_counts(self, kind):
        fields = case(kind)[0]
        inputs, outputs, _ = KINDS[kind]
        for given_inputs, given_outputs in [
            (inputs + 1, outputs),
            (0, outputs),
            (inputs, outputs - 1),
            (inputs, outputs + 1),
        ]:
            with pytest.raises(InvalidModelError, match=r"has \d (inputs|outputs), expected"):
                one_layer(kind, given_inputs, given_outputs, **fields)

    @pytest.mark.clause("simpleRecurrent.C1", "gru.C1", "uniDirectionalLSTM.C1", "biDirectionalLSTM.C1")
    def test_every_weight_field_is_read_and_checked(self, kind):
        """Each array, one number too long, is refused at its own place."""
        fields = case(kind)[0]
        if kind == "biDirectionalLSTM":
            for index in range(2):
                for name, value in fields["weightParams"][index].items():
                    both = [dict(one) for one in fields["weightParams"]]
                    both[index][name] = np.append(value, 0)
                    error = refused(kind, "the declared shape", **{**fields, "weightParams": both})
                    assert error.where.endswith(f".weightParams[{index}].{name}")
            return
        weights = fields.get("weightParams", fields)
        for name, value in list(weights.items()):
            if isinstance(value, np.ndarray):
                wrong = {**weights, name: np.append(value, 0)}
                wrong = {**fields, "weightParams": wrong} if kind == "uniDirectionalLSTM" else wrong
                error = refused(kind, "the declared shape", **wrong)
                assert error.where.endswith(f".weightParams.{name}" if kind == "uniDirectionalLSTM" else f".{name}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.clause("simpleRecurrent.U3", "gru.U3", "uniDirectionalLSTM.U3", "biDirectionalLSTM.U3")
def test_a_state_may_have_its_batch_first(kind):
    """[Batch, H, 1, 1, 1], as converters leave it, is read like [1, Batch, H, 1, 1]."""
    fields, x, states = case(kind)
    outputs = KINDS[kind][1]
    usual = run_layer(kind, blob(x), *map(blob, states), outputs=outputs, **fields)
    turned = [state[:, :, None, None, None] for state in states]
    for got, wanted in zip(run_layer(kind, blob(x), *turned, outputs=outputs, **fields), usual, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.clause("simpleRecurrent.C3")
def test_a_simple_recurrent_layer_must_have_its_state():
    with pytest.raises(InvalidModelError, match="has 1 inputs, expected 2"):
        one_layer("simpleRecurrent", 1, 2, **case("simpleRecurrent")[0])


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.clause("biDirectionalLSTM.C1")
def test_number_of_directions(count):
    fields = case("biDirectionalLSTM")[0]
    fields["weightParams"] = [fields["weightParams"][0]] * count
    refused("biDirectionalLSTM", f"has {count} weightParams, expected 2", **fields)


@pytest.mark.parametrize("kind", ["uniDirectionalLSTM", "biDirectionalLSTM"])
@pytest.mark.parametrize("limit", [-1.0, float("nan"), -float("inf")])
@pytest.mark.clause("uniDirectionalLSTM.C1", "biDirectionalLSTM.C1")
def test_cell_clip(kind, limit):
    refused(kind, "cellClipThreshold is .*, expected 0 or more", **case(kind, cellClipThreshold=limit)[0])


@pytest.mark.clause("uniDirectionalLSTM.C1")
def test_peepholes_must_be_stored_where_promised():
    error = refused("uniDirectionalLSTM", "holds 0 values", **case("uniDirectionalLSTM", hasPeepholeVectors=True)[0])
    assert error.where.endswith(".weightParams.inputGatePeepholeVector")


@pytest.mark.parametrize("kind", ["gru", "uniDirectionalLSTM", "biDirectionalLSTM"])
@pytest.mark.clause("gru.S6", "uniDirectionalLSTM.S8", "biDirectionalLSTM.S1")
def test_quantized_matrices_of_gates_have_a_scale_a_row(kind):
    """Each matrix in turn, stored as codes of 2 bits with H scales, gives what the same numbers as floats give."""
    rng = np.random.default_rng(0)
    fields, x, states = case(kind)
    holder = {"gru": fields, "uniDirectionalLSTM": fields.get("weightParams")}.get(kind)
    holder = fields["weightParams"][1] if holder is None else holder
    for name in [name for name in holder if name.endswith("Matrix")]:
        codes, scale = rng.integers(0, 4, holder[name].shape), [0.125, 0.25, 0.5]
        stored = schema.WeightParams(rawValue=pack_codes(codes, 2))
        stored.quantization.numberOfBits = 2
        stored.quantization.linearQuantization.scale.extend(scale)
        results = []
        for value in stored, codes * np.array(scale)[:, None]:
            before, holder[name] = holder[name], value
            results.append(run_layer(kind, blob(x), *map(blob, states), outputs=KINDS[kind][1], **fields))
            holder[name] = before
        for got, wanted in zip(*results, strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.clause("gru.U5")
def test_the_reset_state_of_a_gru_is_not_bounded():
    """z = 0, r = 1, o = r * h / 2: from h = 80 comes 40, and not the half of 50."""
    gates = ("updateGate", "resetGate", "outputGate")
    weights = {f"{gate}{kind}Matrix": np.zeros((1, 1)) for gate in gates for kind in ("Weight", "Recursion")}
    weights |= {f"{gate}BiasVector": np.full(1, float(gate == "resetGate")) for gate in gates}
    weights["outputGateRecursionMatrix"] = np.full((1, 1), 0.5)
    sizes = {"inputVectorSize": 1, "outputVectorSize": 1, "hasBiasVectors": True}
    state = np.full((1, 1, 1, 1, 1), 80.0)
    y, _ = run_layer("gru", 0 * state, state, outputs=2, activations=messages(["linear"] * 2), **sizes, **weights)
    assert y.item() == 40


@pytest.mark.clause("biDirectionalLSTM.U6")
def test_both_directions_run_any_number_of_steps():
    """Counted with gates of 1: c adds 1 a step. Integers up to 10001 are exact."""
    gates = ("inputGate", "forgetGate", "blockInput", "outputGate")
    weights = {f"{gate}{kind}Matrix": np.zeros((1, 1)) for gate in gates for kind in ("Weight", "Recursion")}
    weights |= {f"{gate}BiasVector": np.ones(1) for gate in gates}
    params = {"hasBiasVectors": True, "cellClipThreshold": 1e6}
    functions = messages(["linear"] * 3)
    fields = {"inputVectorSize": 1, "outputVectorSize": 1, "params": params, "weightParams": [weights, weights]}
    fields |= {"activationsForwardLSTM": functions, "activationsBackwardLSTM": functions}
    y, *_ = run_layer("biDirectionalLSTM", np.zeros((10001, 1, 1, 1, 1)), outputs=5, **fields)
    np.testing.assert_array_equal(y.ravel(), [10001, 10001])


@pytest.mark.clause("simpleRecurrent.S5")
def test_quantized_matrices_have_a_scale_a_row():
    """Linear quantization runs along the output units: [H, I] and [H, H] have H scales."""
    rng = np.random.default_rng(0)
    codes, scale = rng.integers(0, 4, (HIDDEN, INPUTS)), [1.0, 2.0, 4.0]
    stored = schema.WeightParams(rawValue=pack_codes(codes, 2))
    stored.quantization.numberOfBits = 2
    stored.quantization.linearQuantization.scale.extend(scale)
    weights = draw("simpleRecurrent", rng)
    x, (h,) = arrays_of(rng, 1)
    weights["WeightMatrix"] = stored
    actual = run_layer(
        "simpleRecurrent", blob(x), blob(h), outputs=2, **fields_of("simpleRecurrent", weights, ["ReLU"])
    )
    weights["WeightMatrix"] = codes * np.array(scale)[:, None]
    expect(actual, loops.simple_recurrent(x, h, weights, "ReLU", sequence=True))
