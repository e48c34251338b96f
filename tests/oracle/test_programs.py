"""ML Programs in the oracle: types, constants, control flow, lists, states over predictions, labels, images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oracle.operations import final, normal, positive, program_of
from oracle.test_operations import assert_within

from refcoreml import build
from refcoreml.build.program import Known
from refcoreml.build.program import Program as Builder
from refcoreml.errors import InputError, UnsupportedModelError, UsageError
from refcoreml.mil.precision import PRECISIONS
from refcoreml.oracle import Answer, OpenDecisionError, blob_answers, layer_answers, oracle, predictions
from refcoreml.oracle.models import Stored
from refcoreml.oracle.profiles import DECLARED
from refcoreml.oracle.subjects import ProgramSubject

SINGLE, HALF = 2.0**-24, 2.0**-11
X = normal(2, 3)
CODES, MASK = np.int8([[3, -4, 5], [0, 1, -7]]), np.uint8([[1, 0, 1], [0, 1, 0]])
TABLE = np.float16([0.3, -0.7, 1.1, 2.3]).reshape(1, 1, 4, 1)


def assert_right(found: Any, answer: Answer) -> None:
    y = np.asarray(found, np.float64)
    with np.errstate(invalid="ignore"):
        assert ((y == answer.value) | (np.abs(y - answer.value) <= answer.bound)).all()


def bounds_of(builder: Builder, *results: Any, **given: Any) -> list[Any]:
    """Return the bounds of results; inputs are balls."""
    program = program_of(builder, *results, precision=Stored("float64", PRECISIONS["float64"].held, False, DECLARED))
    found = final(ProgramSubject(program, DECLARED), given)
    return [found[result.name] for result in results]


# ---- Types ----


def test_constants_that_are_subnormal_may_count_as_0() -> None:
    """Weights and operands of half precision, below 2^-14, times numbers that make their products matter."""
    tiny = np.float16([[2.0**-16, 3 * 2.0**-17, 2.0**-20]])
    program = Builder({"x": ("fp16", (2, 3))}, opset="CoreML7")
    y = program.add("linear", x=program["x"], weight=tiny, bias=np.float16([0]), name="linear")
    z = program.add("mul", x=program["x"], y=tiny, name="mul")
    program.output(y, z)
    x = np.float16([[1024, 512, 2048], [4096, 256, 128]])
    found = blob_answers(program.model(), {"x": x})
    products = np.float64(x) * np.float64(tiny)
    assert (found["linear"].radius >= products.sum(1, keepdims=True)).all()
    assert (found["mul"].radius >= products).all()


def mixed() -> Builder:
    """Return a program of both float types and integers."""
    program = Builder({"x": (2, 3)})
    y = program.add("mul", x=program["x"], y=np.float32(0.3), name="single")
    y = program.add("cast", x=y, dtype="fp16", name="half")
    y = program.add("exp", x=y, name="exp")
    z = program.add("cast", x=y, dtype="fp32", name="wide")
    z = program.add("add", x=z, y=np.float32(0.7), name="sum")
    program.output(z, y)
    return program


def test_each_value_is_rounded_as_it_is_declared() -> None:
    found = blob_answers(mixed().model(), {"x": X})
    size = {name: np.abs(bound.value) for name, bound in found.items()}
    assert not found["x"].radius.any()
    np.testing.assert_allclose(found["single"].radius, SINGLE * size["single"], rtol=1e-6)
    half = found["half"].radius
    assert (half >= HALF * size["half"]).all()
    assert (half < 1.001 * HALF * size["half"] + SINGLE * size["half"]).all()
    np.testing.assert_array_equal(found["wide"].radius, found["exp"].radius)  # half precision fits into single
    assert (found["exp"].radius < HALF * size["exp"] + 1.02 * half * size["exp"] + 1e-5).all()
    assert (found["sum"].radius <= found["wide"].radius + SINGLE * (size["sum"] + 0.01)).all()
    assert [found[name].check for name in ("single", "half", "exp", "sum")] == ["ulp", *["composite"] * 3]


#: How values declared as single and as half precision are stored.
UNITS = {"declared": (SINGLE, HALF), "fp32": (SINGLE, SINGLE), "fp16/acc32": (HALF, HALF), "fp16/acc16": (HALF, HALF)}


@pytest.mark.parametrize("profile", UNITS)
@pytest.mark.parametrize("element", ["fp32", "fp16"])
def test_profiles_say_how_values_are_stored(profile: str, element: str) -> None:
    dtype, unit = (np.float16, UNITS[profile][1]) if element == "fp16" else (np.float32, UNITS[profile][0])
    weight = normal(4, 3).astype(np.float16).astype(dtype) * dtype(1.1)
    program = Builder({"x": (element, (2, 3))})
    y = program.add("mul", x=program["x"], y=dtype(0.3), name="y")
    program.output(y, program.add("linear", x=program["x"], weight=weight, name="z"))
    model = program.model()
    found = blob_answers(model, {"x": X}, profile)
    size = np.abs(found["y"].value)
    plain = HALF * size if profile == "fp16/acc16" and element == "fp32" else 0.0  # 0.3 itself is rounded
    exact = element == "fp16" and unit == SINGLE  # 11 bits times 11
    np.testing.assert_allclose(found["y"].radius, 0 * size if exact else unit * size + plain, rtol=2e-3)
    stored = weight.astype(np.float16 if unit == HALF else np.float32).astype(np.float64)
    np.testing.assert_allclose(found["z"].value, X.astype(np.float64) @ stored.T, rtol=1e-14)


@pytest.mark.parametrize("operation", ["gather", "gather_nd", "gather_along_axis"])
@pytest.mark.parametrize("profile", UNITS)
def test_tables_are_stored_like_other_constants(profile: str, operation: str) -> None:
    """Only what is taken from a table is converted, which must not leave out that it is rounded."""
    table = np.random.default_rng(5).normal(size=(5, 3)).astype(np.float32)
    assert (table.astype(np.float16) != table).all()
    indices = {"gather": [4, 0], "gather_nd": [[4], [0]], "gather_along_axis": [[4, 1, 2], [0, 2, 3]]}[operation]
    program = Builder({"i": ("int32", np.shape(indices))}, opset="CoreML7")
    axis = {} if operation == "gather_nd" else {"axis": 0}
    program.output(program.add(operation, x=table, indices=program["i"], name="y", **axis))
    found = blob_answers(program.model(), {"i": np.int32(indices)}, profile)["y"]
    stored = table.astype(np.float16 if UNITS[profile][0] == HALF else np.float32).astype(np.float64)
    taken = stored[indices, range(3)] if operation == "gather_along_axis" else stored[[4, 0]]
    np.testing.assert_array_equal(found.value, taken)
    assert not found.radius.any()


def test_sums_of_half_precision_may_be_computed_in_half() -> None:
    program = Builder({"x": ("fp16", (2, 3, 64))})
    program.output(program.add("reduce_sum", x=program["x"], axes=np.int32([2]), name="y"))
    x = positive(2, 3, 64)
    model = program.model()
    narrow, wide = (oracle(model, {"x": x}, profile)["y"] for profile in ("declared", "fp16/acc16"))
    assert narrow.bound.max() < 1.01 * HALF * np.abs(narrow.value).max()
    total = np.zeros((2, 3), np.float16)
    for i in range(64):
        total = total + x[..., i].astype(np.float16)
    assert_right(total, wide)
    with pytest.raises(AssertionError):
        assert_right(total, narrow)


def test_integers_are_exact_until_they_are_uncertain() -> None:
    program = Builder({"x": (4,)})
    place = program.add("reduce_argmax", x=program["x"], name="place")
    y = program.add("add", x=program.add("mul", x=place, y=np.int32(3)), y=np.int32(16_777_217), name="y")
    z = program.add("floor_div", x=y, y=np.int32(2), name="z")
    program.output(place, y, z)
    model = program.model()
    found = oracle(model, {"x": np.float32([1, 5, 2, 4])})
    assert [found[name].value.item() for name in ("place", "y", "z")] == [1, 16_777_220, 8_388_610]
    assert not any(answer.bound.any() for answer in found.values())
    found = oracle(model, {"x": np.float32([5, 1, 2, 5])})  # equal ones: either place
    assert [found[name].bound.item() for name in ("place", "y")] == [3, 9]
    assert 4.5 <= found["z"].bound.item() <= 6
    assert found["place"].check == "either"


def test_constants_made_of_constants_are_exact() -> None:
    codes, scale = np.int8([[3, -4, 5]]), np.float16([[0.3]])
    program = Builder({"x": ("fp16", (2, 3))}, opset="CoreML8")
    weight = program.add(
        "constexpr_blockwise_shift_scale", data=Known(codes, "int8"), scale=scale, offset=np.int8([[1]])
    )
    program.output(program.add("linear", x=program["x"], weight=weight, name="y"))
    decoded = (scale * np.float16(codes - 1)).astype(np.float64)  # rounded once, to the type of the scale
    answer = oracle(program.model(), {"x": X})["y"]
    np.testing.assert_array_equal(answer.value, X.astype(np.float64) @ decoded.T)
    assert answer.bound.max() < 1.01 * HALF * np.abs(answer.value).max()


# ---- Models ----


def test_images_go_in_and_out() -> None:
    program = Builder({"x": build.image(4, 3, "RGB")})
    y = program.add("mul", x=program["x"], y=np.float32(0.5), name="y")
    program.output(y, colors="RGB")
    pixels = np.random.default_rng(1).integers(0, 256, (3, 4, 3)).astype(np.uint8)
    answer = oracle(program.model(), {"x": pixels})["y"]
    np.testing.assert_array_equal(answer.value, np.rint(pixels.transpose(2, 0, 1) / 2))
    assert not answer.bound.any()


@pytest.mark.parametrize("labels", [["cat", "dog", "cow"], [7, 5, 9]])
def test_labels_and_scores(labels: list[Any]) -> None:
    program = Builder({"x": (3,)})
    scores = program.add("softmax", x=program["x"], axis=np.int32(0))
    label, by_label = program.add(
        "classify", probabilities=scores, classes=[np.int64(x) if type(x) is int else x for x in labels]
    )
    program.output(label, by_label)
    model = program.model()
    x = np.float32([1, 3, 2])
    found = oracle(model, {"x": x})
    best, probabilities = found[label.name], found[by_label.name]
    predicted = model.predict({"x": x})
    assert best.labels[int(best.value)] == predicted[label.name] == labels[1]
    assert (best.bound, best.check) == (0, "either")
    assert probabilities.labels == tuple(labels)
    assert probabilities.check == "softmax"
    assert_right(list(predicted[by_label.name].values()), probabilities)
    assert oracle(model, {"x": np.float32([3, 1, 3])})[label.name].bound == 2


def test_layers_by_themselves_do_not_add_up() -> None:
    model = mixed().model()
    layers = {layer.name: layer for layer in layer_answers(model, {"x": X})}
    assert list(layers) == ["single", "half", "exp", "wide", "sum"]
    (given,) = layers["exp"].inputs
    np.testing.assert_array_equal(given, given.astype(np.float16))
    assert not layers["wide"].outputs["wide"].radius.any()
    traced = {layer.name: layer for layer in model.trace({"x": X})}
    for name, layer in layers.items():
        if name in ("single", "half"):  # others are given what rounding has changed
            assert_within(traced[name].outputs[name], layer.outputs[name])
        assert layer.outputs[name].radius.max() <= HALF * np.abs(layer.outputs[name].value).max() * 1.01


def network() -> build.Network:
    found = build.Network({"x": (3,)}, "y")
    found.add("activation", outputs="y", ReLU={})
    return found


def test_what_is_refused() -> None:
    drawn = Builder({"x": (2, 3)})
    drawn.output(drawn.add("add", x=drawn["x"], y=drawn.add("random_normal", shape=np.int32([2, 3]))))
    with pytest.raises(UnsupportedModelError, match=r"random_normal.*draws random numbers"):
        oracle(drawn.model(), {"x": X})
    own = Builder({"x": (2, 3)})
    own.output(
        own.add(
            "custom_layer", outputs=[(2, 3)], class_name="Own", input_order="x", parameters="", weights="", x=own["x"]
        )
    )
    with pytest.raises(UnsupportedModelError, match=r"custom_layer.*nobody knows"):
        oracle(own.model(custom_layers={"Own": lambda x: x}), {"x": X})
    with pytest.raises(InputError, match="no states"):
        next(predictions(network().spec(), [], state={"s": X}), None)


# ---- Control flow ----


def chosen(threshold: float) -> Builder:
    """Return a program that squares x if its sum, times 0.1, is above a threshold."""
    program = Builder({"x": (2, 3)})
    x = program["x"]
    total = program.add("reduce_sum", x=program.add("mul", x=x, y=np.float32(0.1)))
    y = program.add(
        "cond",
        pred=program.add("greater", x=total, y=np.float32(threshold)),
        blocks=[lambda: program.add("square", x=x), lambda: program.add("exp", x=x)],
        name="y",
    )
    program.output(y)
    return program


def test_a_choice_is_decided_or_open() -> None:
    x = np.ones((2, 3), np.float32)
    for threshold, expected in ((0.5, x), (0.7, np.exp(x))):
        model = chosen(threshold).model()
        answer = oracle(model, {"x": x})["y"]
        assert_right(model.predict({"x": x})["y"], answer)
        np.testing.assert_allclose(answer.value, expected, rtol=1e-6)
    with pytest.raises(OpenDecisionError, match=r"(?s)greater.*rounding may change this decision"):
        oracle(chosen(np.float32(0.6)).model(), {"x": x})


def looped(limit: float, handed: bool = False) -> Builder:
    """Return a program that multiplies x by 1.1 until its sum is above a limit; the condition may be handed on."""
    program = Builder({"x": (2, 3)})

    def below(x: Any) -> Any:
        return program.add("less", x=program.add("reduce_sum", x=x), y=np.float32(limit))

    def body(x: Any, *rest: Any) -> Any:
        y = program.add("mul", x=x, y=np.float32(1.1))
        return [y, below(y)] if handed else y

    first = [program["x"], below(program["x"])] if handed else [program["x"]]
    condition = (lambda x, more: more) if handed else below
    found = program.add("while_loop", loop_vars=first, blocks=[condition, body], name=["y", "more"][: len(first)])
    program.output((found if handed else [found])[0])
    return program


@pytest.mark.parametrize("handed", [False, True])
def test_loops_run_as_often_as_is_certain(handed: bool) -> None:
    x = np.ones((2, 3), np.float32)
    model = looped(8.5, handed).model()  # 6, 6.6, 7.26, 7.986, 8.7846
    answer = oracle(model, {"x": x})["y"]
    np.testing.assert_allclose(answer.value, np.full((2, 3), np.float64(np.float32(1.1)) ** 4), rtol=1e-12)
    assert_right(model.predict({"x": x})["y"], answer)
    assert 3 * SINGLE < answer.bound.max() < 8 * SINGLE
    with pytest.raises(OpenDecisionError):
        oracle(looped(np.float32(7.26), handed).model(), {"x": x})


def test_blocks_return_constants_and_inputs() -> None:
    program = Builder({"x": (2, 3), "p": (1,)})
    x = program["x"]
    pred = program.add("cast", x=program["p"], dtype="bool")
    program.output(program.add("cond", pred=pred, blocks=[lambda: x, lambda: program.constant(X)], name="y"))
    model = program.model()
    for p, expected in ((1, X + 1), (0, X)):
        answer = oracle(model, {"x": X + 1, "p": [p]})["y"]
        np.testing.assert_array_equal(answer.value, expected)
        assert not answer.bound.any()


# ---- Lists ----


def test_lists_keep_the_radii_of_their_elements() -> None:
    program = Builder({"x": (2, 3)})
    ls = program.add("make_list", elem_shape=[np.int32(2), np.int32(3)], init_length=np.int32(1))
    inexact = program.add("mul", x=program["x"], y=np.float32(0.3))
    ls = program.add("list_write", ls=ls, index=np.int32(0), value=program["x"])
    ls = program.add("list_write", ls=ls, index=np.int32(2), value=inexact)
    several = program.add("stack", values=[program["x"], inexact], axis=np.int32(0))
    ls = program.add("list_scatter", ls=ls, indices=np.int32([3, 1]), value=several)
    read = program.add("list_read", ls=ls, index=np.int32(2), name="read", outputs=[("fp32", (2, 3))])
    gathered = program.add("list_gather", ls=ls, indices=np.int32([0, 3, 1]), outputs=[("fp32", (3, 2, 3))], name="y")
    length = program.add("list_length", ls=ls, name="length", outputs=[("int32", ())])
    program.output(read, gathered, length)
    model = program.model()
    found = oracle(model, {"x": X})
    predicted = model.predict({"x": X})
    for name, answer in found.items():
        assert_right(predicted[name], answer)
    assert found["read"].bound.all()
    assert not found["y"].bound[:2].any()
    np.testing.assert_allclose(found["y"].bound[2], found["read"].bound, rtol=1e-8)
    assert (found["length"].value, found["length"].bound) == (4, 0)
    listed = next(layer for layer in layer_answers(model, {"x": X}) if layer.name == "y")
    assert listed.inputs[0].shape == (4, 2, 3)


# ---- States ----


def counting(element: str = "fp16") -> Builder:
    """Return a program that adds a tenth of x to what it keeps, and returns that."""
    program = Builder({"x": (element, (2, 3))}, states={"s": (element, (2, 3))}, opset="CoreML8")
    dtype = np.float16 if element == "fp16" else np.float32
    before = program.add("read_state", input=program["s"])
    after = program.add("add", x=before, y=program.add("mul", x=program["x"], y=dtype(0.1)), name="y")
    program.add("write_state", input=program["s"], data=after)
    program.output(after)
    return program


@pytest.mark.parametrize("element", ["fp16", "fp32"])
def test_states_carry_their_radii_from_one_prediction_to_the_next(element: str) -> None:
    model = counting(element).model()
    state, samples = model.make_state(), [{"x": X}, {"x": X + 1}, {"x": X * 2}]
    wide: list[float] = []
    for sample, found in zip(samples, predictions(model, samples), strict=True):
        y = model.predict(sample, state=state)["y"]
        assert_right(y, found.outputs["y"])
        assert_right(state.read("s"), found.states["s"])
        np.testing.assert_array_equal(found.outputs["y"].bound, found.states["s"].bound)
        wide.append(float(found.outputs["y"].bound.mean()))
    assert wide[0] < wide[1] < wide[2]
    assert wide[2] < 12 * (HALF if element == "fp16" else SINGLE)
    np.testing.assert_array_equal(
        oracle(model, samples[0])["y"].value, next(predictions(model, samples)).outputs["y"].value
    )


def test_states_begin_with_what_is_given() -> None:
    model = counting().model()
    begin = normal(2, 3, seed=9)
    (found,) = predictions(model, [{"x": 0 * X}], state={"s": begin})
    np.testing.assert_array_equal(found.outputs["y"].value, begin)
    assert not found.outputs["y"].bound.any()
    with pytest.raises(InputError, match="no state 't'"):
        next(predictions(model, [{"x": X}], state={"t": begin}))


def test_a_layer_by_itself_leaves_the_states_of_the_run_alone() -> None:
    model = counting().model()
    layers = {layer.kind: layer for layer in layer_answers(model, {"x": X})}
    assert list(layers) == ["read_state", "mul", "add", "write_state"]
    assert layers["write_state"].outputs == {}
    np.testing.assert_array_equal(layers["read_state"].inputs[0], np.zeros((2, 3)))


def test_rules_see_which_inputs_are_integers_or_booleans() -> None:
    program = Builder({"n": ("int32", (3,))})
    program.output(program.add("cast", x=program["n"], dtype="fp32", name="y"))
    answer = oracle(program.model(), {"n": np.array([2**30 + 1, 2**24 + 1, 5], np.int32)})["y"]
    assert (answer.bound[:2] >= 1).all()
    assert answer.bound[2] == 0
    mask = np.array([[True, False], [False, True]])
    program = Builder({name: (1, 2, 3) for name in ("q", "k", "v")}, opset="CoreML8")
    y = program.add(
        "scaled_dot_product_attention", query=program["q"], key=program["k"], value=program["v"], attn_mask=mask
    )
    program.output(y)
    given = {"q": 1e6 * np.ones((1, 2, 3), np.float32), "k": normal(1, 2, 3), "v": normal(1, 2, 3)}
    # Each query sees one key, whatever the others are, so that only one product is off.
    bound = oracle(program.model(), given)[y.name].bound
    assert (bound <= 1e-5).all()


FORMS = {
    "constexpr_affine_dequantize": (
        "CoreML6",
        {"quantized_data": CODES, "scale": np.float16(0.3), "zero_point": np.int8(1), "axis": np.int32(0)},
    ),
    "constexpr_lut_to_dense": ("CoreML8", {"indices": Known(np.uint8([[0, 3, 1], [2, 2, 0]]), "uint2"), "lut": TABLE}),
    "constexpr_sparse_to_dense": ("CoreML8", {"nonzero_data": TABLE.reshape(-1)[:3], "mask": Known(MASK, "uint1")}),
    "constexpr_cast": ("CoreML8", {"source_val": TABLE.reshape(-1)[:3], "output_dtype": "fp32"}),
}


@pytest.mark.parametrize("kind", FORMS)
def test_all_forms_of_constants_are_exact(kind: str) -> None:
    opset, given = FORMS[kind]
    element = "fp32" if kind == "constexpr_cast" else "fp16"
    program = Builder({"x": (element, (2, 3))}, opset=opset)
    y = program.add("maximum", x=program["x"], y=program.add(kind, **given), name="y")
    program.output(y)
    model = program.model()
    x = np.full((2, 3), -100, np.float32)
    answer = oracle(model, {"x": x})["y"]
    np.testing.assert_array_equal(answer.value, model.predict({"x": x})["y"])
    assert (answer.bound.any(), answer.check) == (False, "exact")


@pytest.mark.parametrize("samples", [None, 3, {"x": X}, "x"])
def test_samples_are_several_inputs(samples: Any) -> None:
    with pytest.raises(UsageError, match="samples"):
        list(predictions(mixed().model(), samples))
