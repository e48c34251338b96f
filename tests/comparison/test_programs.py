"""Comparing ML Programs: precisions of one program, two packages, states, lists, control flow, casts of a converter."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import refcoreml
from refcoreml import build
from refcoreml.comparison.matching import source_name
from refcoreml.errors import UsageError

W = np.array([[3, -1, 2], [0.5, 4, -2], [1, 1, 7], [0, -3, 1]], np.float32) / 7
X = np.array([[0.1, -0.7, 1.3], [2.2, 0.3, -0.4]], np.float32)


def half(x: Any) -> np.ndarray:
    return np.asarray(x, np.float16).astype(np.float64)


def perceptron(element: str, weight: np.ndarray = W) -> build.Program:
    program = build.Program({"x": (element, (2, 3))}, opset="CoreML7")
    y = program.add("linear", x=program["x"], weight=weight.astype("f2" if element == "fp16" else "f4"), name="product")
    program.output(program.add("relu", x=y, name="y"))
    return program


def rows(found: refcoreml.comparison.LayerComparison) -> dict[str, refcoreml.comparison.LayerDifference]:
    return {row.blob: row for row in found.layers}


def test_two_precisions_of_one_program() -> None:
    """Own error: the reference's values rounded to half, the operation, its result rounded; accumulated: the run."""
    spec = perceptron("fp16").spec()
    reference, candidate = (refcoreml.load(spec, precision=precision) for precision in ("float32", "declared"))
    found = rows(refcoreml.compare_layers(reference, candidate, [{"x": X}]))
    assert [(row.kind, row.changed) for row in found.values()] == [("linear", True), ("relu", True)]
    exact = half(X) @ half(W).T
    rounded = half(exact)
    assert found["product"].own == found["product"].accumulated
    assert found["product"].own.max_error == pytest.approx(np.abs(rounded - exact).max(), rel=1e-3)
    relu = np.maximum(exact, 0)
    assert found["y"].own.max_error == pytest.approx(np.abs(half(relu) - relu).max(), rel=1e-3)


def test_equal_programs_are_exact_and_a_changed_weight_is_found() -> None:
    same, other = perceptron("fp32"), perceptron("fp32", W + np.float32(0.5))
    found = rows(refcoreml.compare_layers(same.model(), perceptron("fp32").model(), [{"x": X}]))
    assert not any(row.changed for row in found.values())
    assert all(row.own.noiseless and row.accumulated.noiseless for row in found.values())
    found = rows(refcoreml.compare_layers(same.model(), other.model(), [{"x": X}]))
    assert {name: row.changed for name, row in found.items()} == {"product": True, "y": False}
    error = X.astype(np.float64) @ (W + np.float32(0.5)).T.astype(np.float64) - X.astype(np.float64) @ W.T
    assert found["product"].own.max_error == pytest.approx(np.abs(error).max(), rel=1e-5)
    assert found["y"].own.noiseless
    assert not found["y"].accumulated.noiseless


def converted_to_half() -> build.Program:
    """As a converter makes a program in half precision of one in single: casts around it, other names."""
    program = build.Program({"x": (2, 3)}, opset="CoreML7")
    x = program.add("cast", x=program["x"], dtype="fp16", name="x_to_fp16")
    y = program.add("linear", x=x, weight=W.astype(np.float16), name="product_cast_fp16")
    y = program.add("relu", x=y, name="y_cast_fp16")
    program.output(program.add("cast", x=y, dtype="fp32", name="y"))
    return program


def test_operations_have_source_names() -> None:
    assert source_name("x_12_cast_fp16_0") == "x_12_0"
    found = refcoreml.compare_layers(perceptron("fp32").model(), converted_to_half().model(), [{"x": X}])
    assert [(row.blob, row.kind) for row in found.layers] == [("product", "linear"), ("y", "relu")]
    assert found.unmatched == ["x_to_fp16", "y"]
    exact = X.astype(np.float64) @ W.astype(np.float64).T
    expected = half(half(X) @ half(W).T)
    assert rows(found)["product"].own.max_error == pytest.approx(np.abs(expected - exact).max(), rel=1e-3)
    assert rows(found)["y"].own is not None


def test_operations_are_known_by_their_own_names_where_results_have_others() -> None:
    """As a converter has it: an output of the model has the name that the user gave it, the operation its own."""

    def program(element: str, name: str | list[str]) -> refcoreml.Model:
        made = build.Program({"x": (element, (2, 3))}, opset="CoreML7")
        weight = W.astype(np.float16 if element == "fp16" else np.float32)
        y = made.add("linear", x=made["x"], weight=weight, name=name)
        made.output(made.add("relu", x=y, name="y"))
        return made.model()

    single = program("fp32", ["hidden"])
    own_name = next(single.trace({"x": X})).name
    assert own_name != "hidden"
    found = refcoreml.compare_layers(single, program("fp16", f"{own_name}_cast_fp16"), [{"x": X}])
    assert [(row.layer, row.blob) for row in found.layers] == [(own_name, "hidden"), ("y", "y")]
    assert found.unmatched == []
    assert all(row.own is not None for row in found.layers)
    found = refcoreml.compare_layers(program("fp32", "hidden"), program("fp16", ["hidden_cast_fp16"]), [{"x": X}])
    assert [row.blob for row in found.layers] == ["hidden", "y"]


def test_constants_are_each_program_s_own() -> None:
    def shifted(shift: np.ndarray) -> refcoreml.Model:
        program = build.Program({"x": (2, 3)}, opset="CoreML7")
        program.output(program.add("add", x=program["x"], y=shift, name="y"))
        model = program.model()
        assert len(model.prepare().steps[0].inputs) == 2, "a constant that is a value while the program runs"
        return model

    found = rows(refcoreml.compare_layers(shifted(X), shifted(X + np.float32(0.5)), [{"x": X}]))
    assert found["y"].own.max_error == pytest.approx(0.5, rel=1e-6)


def test_a_network_and_a_program() -> None:
    network = build.Network({"x": (2, 3)}, ["y"], exact=True)
    network.add("innerProduct", inputs="x", outputs="product", inputChannels=3, outputChannels=4, weights=W)
    network.add("activation", outputs="y", ReLU={})
    found = rows(refcoreml.compare_layers(network.model(), perceptron("fp32").model(), [{"x": X}]))
    assert list(found) == ["product", "y"]
    assert all(row.own is None and row.accumulated.snr > 120 for row in found.values())


def total(element: str = "fp16") -> build.Program:
    program = build.Program({"x": (element, (3,))}, states={"sum": (element, (3,))}, opset="CoreML8")
    y = program.add("add", x=program.add("read_state", input=program["sum"], name="before"), y=program["x"], name="y")
    program.add("write_state", input=program["sum"], data=y)
    program.output(y)
    return program


#: Sums of these are rounded in half precision.
STEPS = [{"x": np.float32([1024, 3, 7])}, {"x": np.float32([0.5, 2, 5])}, {"x": np.float32([0.5, 1, 9])}]


def test_states_begin_anew_or_are_kept() -> None:
    spec = total().spec()
    pair = [refcoreml.load(spec, precision=precision) for precision in ("float32", "declared")]
    assert refcoreml.compare_models(*pair, STEPS).outputs[0].difference.noiseless
    found = refcoreml.compare_models(*pair, STEPS, sequence=True).outputs[0].difference
    # 1024.5 becomes 1024, and stays there: one less than the right sum, as which 1025 can be returned.
    assert found.max_error == 1
    layers = rows(refcoreml.compare_layers(*pair, STEPS, sequence=True))
    assert layers["before"].accumulated.max_error == 0.5
    assert layers["before"].own.max_error == 0.5, "fed with 1024.5, which a state of half precision holds as 1024"
    assert layers["y"].accumulated.max_error == 1
    assert layers["y"].own.max_error == 1, "fed with 1024 and 0.5"
    anew = rows(refcoreml.compare_layers(*pair, STEPS))
    assert set(anew) == {"before", "y"}
    assert all(row.own.noiseless and row.accumulated.noiseless for row in anew.values())


def test_a_state_is_read_as_it_was_when_it_was_read() -> None:
    """One program has written it by the time the other one reads it."""

    def program(first: bool) -> refcoreml.Model:
        made = build.Program({"x": (3,)}, states={"sum": (3,)}, opset="CoreML8")

        def others() -> None:
            for name in ("a", "b"):
                made.output(made.add("relu", x=made["x"], name=name))

        if first:
            others()
        total = made.add("add", x=made.add("read_state", input=made["sum"], name="before"), y=made["x"], name="total")
        made.add("write_state", input=made["sum"], data=total)
        if not first:
            others()
        return made.model()

    pair = program(first=False), program(first=True).with_precision("float64")
    found = rows(refcoreml.compare_layers(*pair, STEPS[:1]))
    assert set(found) == {"before", "total", "a", "b"}
    assert all(row.own.noiseless for row in found.values())


def test_a_comparison_leaves_no_state_behind() -> None:
    model = total("fp32").model()
    for compare in (refcoreml.compare_models, refcoreml.compare_layers):
        for _ in range(2):
            compare(model, model.with_precision("float64"), STEPS, sequence=True)
    state = model.make_state()
    np.testing.assert_array_equal(state.read("sum"), np.zeros(3))


def test_a_sequence_runs_here() -> None:
    model = total().model()
    with ThreadPoolExecutor(1) as executor:
        for compare in (refcoreml.compare_models, refcoreml.compare_layers):
            with pytest.raises(UsageError, match="samples of a sequence run one after another"):
                compare(model, model, STEPS, sequence=True, executor=executor)
            compare(model, model, STEPS, executor=executor)


def loop(factor: float, length: int = 2) -> build.Program:
    """Write the rows of x, times a factor each round, to a list of some length; return two of them."""
    program = build.Program({"x": (4, 3)}, opset="CoreML7")
    made = program.add(
        "make_list",
        init_length=np.int32(length),
        dynamic_length=True,
        elem_shape=np.int32([3]),
        dtype="fp32",
        name="list",
    )

    def more(i: Any, rows: Any) -> Any:
        return program.add("less", x=i, y=np.int32(4))

    def body(i: Any, rows: Any) -> list[Any]:
        row = program.add("gather", x=program["x"], indices=i, axis=np.int32(0), name="row")
        row = program.add("mul", x=row, y=np.float32(factor), name="scaled")
        return [
            program.add("add", x=i, y=np.int32(1)),
            program.add("list_write", ls=rows, index=i, value=row, name="written"),
        ]

    _, rows = program.add("while_loop", loop_vars=[program.constant(np.int32(0)), made], blocks=[more, body])
    y = program.add("list_gather", ls=rows, indices=np.int32([3, 1]), outputs=[("fp32", (2, 3))], name="y")
    program.output(y)
    return program


def test_lists_and_rounds_of_loops() -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = rows(refcoreml.compare_layers(loop(2).model(), loop(3).model(), [{"x": x}]))
    assert {"list", "row", "scaled", "written", "y"} <= set(found)
    assert (found["scaled"].own.count, found["scaled"].own.max_error) == (12, 11)
    assert found["row"].own.noiseless
    # What the list holds in all rounds: 2, 2, 3 and 4 elements.
    assert found["written"].accumulated.count == 3 * (2 + 2 + 3 + 4)
    assert found["written"].own.noiseless
    assert found["written"].accumulated.max_error == 11
    single = loop(2).model(precision="float64")
    found = rows(refcoreml.compare_layers(single, single.with_precision("declared"), [{"x": x}]))
    assert all(row.own.noiseless for row in found.values())


def test_an_empty_list_is_no_row() -> None:
    found = refcoreml.compare_layers(loop(2, 0).model(), loop(3, 0).model(), [{"x": np.ones((4, 3))}])
    assert "list" not in rows(found)
    assert "list" not in found.unmatched
    assert found.table().split("\n\n")[1].startswith("1 sample\n")


def test_of_an_operation_with_several_results_each_has_a_row() -> None:
    def halves(element: str) -> refcoreml.Model:
        program = build.Program({"x": (element, (2, 3))}, opset="CoreML7")
        names = ["first", "second", "third"]
        program.output(*program.add("split", x=program["x"], num_splits=3, axis=-1, name=names))
        return program.model()

    found = refcoreml.compare_layers(halves("fp32"), halves("fp16"), [{"x": X}])
    assert [line.split()[1] for line in found.table().splitlines()[1:4]] == ["first", "second", "third"]
    assert [row.own.max_error for row in found.layers] == list(np.abs(X - half(X)).max(0))


def test_functions_are_compared_by_name(tmp_path: Any) -> None:
    path = tmp_path / "two.mlpackage"
    build.functions({"a": perceptron("fp16"), "b": perceptron("fp16", -W)}, default="a", path=path)
    one, other = (refcoreml.load(path, function=name) for name in "ab")
    found = rows(refcoreml.compare_layers(one, other, [{"x": X}]))
    assert found["product"].changed
    assert not found["y"].changed
    assert found["product"].own.max_error == pytest.approx(2 * np.abs(half(half(X) @ half(W).T)).max(), rel=1e-6)


def test_programs_of_other_shapes_have_no_error_of_their_own() -> None:
    """The second program computes three of the four columns."""
    found = refcoreml.compare_layers(perceptron("fp32").model(), perceptron("fp32", W[:3]).model(), [{"x": X}])
    assert found.layers == []
    assert found.unmatched == ["product", "y"]


def test_a_pipeline_is_compared_model_by_model() -> None:
    network = build.Network({"x": (2, 3)}, ["y"], exact=True)
    network.add("activation", outputs="y", ReLU={})
    spec = refcoreml.spec.schema.Model(specificationVersion=4)
    spec.description.CopyFrom(network.spec().description)
    spec.pipeline.models.add().CopyFrom(network.spec())
    model = refcoreml.load(spec)
    with pytest.raises(UsageError, match=r"no layers that could be compared.*Compare its models"):
        refcoreml.compare_layers(model, model, [{"x": X}])
