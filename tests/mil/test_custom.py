"""Custom layers of programs: what the user's code is given, and what becomes of what it does wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import assert_identical

import refcoreml
from refcoreml.build.program import Program as Builder
from refcoreml.errors import CallbackError, InvalidModelError, UnsupportedModelError
from refcoreml.mil.precision import PRECISIONS
from refcoreml.mil.program import Program
from refcoreml.spec import schema

X = np.array([[1, 2, 3], [-1, 0, 4]], np.float32)


def program_of(
    code: Any, *, shape: Any = (2, 3), outputs: Any = None, change: Any = None, **parameters: Any
) -> Program:
    """A program of one custom layer of class Mine, with an output in the shape of its input unless others are given."""
    options = {name: parameters.pop(name) for name in ("precision",) if name in parameters}
    builder = Builder({"x": shape})
    given = {"class_name": "Mine", "input_order": ["x"], "description": "mine", "x": builder["x"], **parameters}
    made = builder.add("custom_layer", name="y", outputs=outputs or [builder["x"].type], **given)
    builder.output(*(made if isinstance(made, tuple) else (made,)))
    message = schema.MILSpec.Program(version=1)
    message.functions["main"].CopyFrom(builder.function())
    if change is not None:
        change(message.functions["main"].block_specializations[builder.opset].operations[-1])
    return Program(message, "main", custom_layers={} if code is None else {"Mine": code}, **options)


def result(*given: Any, **parameters: Any) -> Any:
    (found,) = program_of(*given, **parameters).run({"x": X}).values()
    return found


@pytest.mark.clause("mil.custom_layer.S1", "mil.custom_layer.S2")
def test_functions_get_parameters_as_keyword_arguments() -> None:
    seen: dict[str, Any] = {}

    def swish(x: Any, **others: Any) -> Any:
        seen.update(others)
        return x / (1 + np.exp(-others["beta"] * x))

    given = {"beta": np.float32(1.5), "n": np.int32(-3), "on": True, "mode": "fast", "sizes": np.int32([4, 5])}
    y = result(swish, parameters=list(given), **given)
    np.testing.assert_allclose(y, X / (1 + np.exp(-1.5 * X)), rtol=1e-6)
    assert {name: type(value) for name, value in seen.items()} == {
        "beta": float,
        "n": int,
        "on": bool,
        "mode": str,
        "sizes": np.ndarray,
    }
    assert seen.pop("sizes").tolist() == [4, 5]
    assert seen == {"beta": 1.5, "n": -3, "on": True, "mode": "fast"}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.clause("mil.custom_layer.S1", "mil.custom_layer.S2", "programs.U60")
def test_classes_are_made_once_and_get_weights_in_their_shapes(precision: str) -> None:
    made: list[Any] = []

    class Mine:
        def __init__(self, parameters: dict[str, Any]) -> None:
            made.append(self)
            self.parameters = parameters

        def set_weights(self, weights: list[Any]) -> None:
            self.weights = weights

        def evaluate(self, inputs: list[Any]) -> list[Any]:
            (x,) = inputs
            with pytest.raises(ValueError, match="read-only"):
                x[0] = 1
            product = x @ self.weights[0] + self.weights[1]
            return [product.astype(np.float64), product.sum() > self.parameters["least"]]

    w, b = np.arange(12, dtype=np.float16).reshape(3, 4) / 8, np.float32([1, 2, 3, 4])
    held = PRECISIONS[precision]
    program = program_of(
        Mine,
        outputs=[("fp16", (2, 4)), ("bool", ())],
        precision=held,
        parameters=["least"],
        weights=["w", "b"],
        least=np.float32(0),
        w=w,
        b=b,
    )
    program.check()
    assert not made
    for _ in range(2):
        y, large = program.run({"x": held.hold(X)}).values()
        np.testing.assert_array_equal(y, X @ w.astype(np.float64) + b)
        assert y.dtype == held.dtype(np.dtype(np.float16))
        assert large.dtype == bool
        assert large.shape == ()
        assert large
    (only,) = made
    assert [(a.shape, a.dtype) for a in only.weights] == [((3, 4), y.dtype), ((4,), held.dtype(np.dtype(np.float32)))]


@pytest.mark.clause("mil.custom_layer.S1")
def test_half_precision_is_rounded_where_it_is_declared() -> None:
    third = result(lambda x: x / 3, outputs=[("fp16", (2, 3))])
    assert_identical(third, (X / 3).astype(np.float16).astype(np.float32))


@pytest.mark.clause("mil.custom_layer.S4")
def test_a_description_has_no_effect() -> None:
    for description in ("", "what it does", None):
        np.testing.assert_array_equal(result(lambda x, **more: x + len(more), description=description), X)


@pytest.mark.clause("mil.custom_layer.S1")
def test_inputs_come_in_the_order_that_is_written() -> None:
    y = result(lambda a, b: a - b, input_order=["b", "x"], b=np.full((2, 3), 7, np.float32))
    np.testing.assert_array_equal(y, 7 - X)


def test_open_shapes_are_known_after_a_run() -> None:
    program = program_of(lambda x: x[:, :1], shape=(None, 3), outputs=[("fp32", (None, 1))])
    for rows in (1, 2):
        assert next(iter(program.run({"x": X[:rows]}).values())).shape == (rows, 1)


def test_models_take_code_by_registration_and_by_argument() -> None:
    builder = Builder({"x": (2, 3)})
    y = builder.add("custom_layer", outputs=[("fp32", (2, 3))], class_name="Double", input_order=["x"], x=builder["x"])
    builder.output(y)
    model = builder.model(custom_layers={"Double": lambda x: 2 * x})
    np.testing.assert_array_equal(model.predict({"x": X})[y.name], 2 * X)
    with refcoreml.custom.scope():
        refcoreml.custom_layer("Double")(lambda x: 3 * x)
        np.testing.assert_array_equal(builder.model().predict({"x": X})[y.name], 3 * X)


@pytest.mark.clause("mil.custom_layer.C3")
def test_code_that_is_missing_is_requested_with_the_lines_to_write() -> None:
    program = program_of(None, parameters=["beta"], weights=["w"], beta=np.float32(1.5), w=np.ones(3, np.float32))
    with pytest.raises(UnsupportedModelError, match=r"\(custom_layer\): needs code .* class 'Mine'") as caught:
        program.check()
    lines = caught.value.remedy.split("\n\n", 1)[1]
    assert "# parameters: {'beta': 1.5}" in lines
    assert "def set_weights(self, weights):  # 1" in lines
    assert "return a list of 1" in lines
    with refcoreml.custom.scope():
        exec(lines, {})  # what is to be completed runs as it is
        assert "Mine" in refcoreml.custom.LAYERS.entries


@pytest.mark.clause("mil.custom_layer.C3")
def test_all_missing_classes_are_named_at_once() -> None:
    builder = Builder({"x": (2, 3)})
    y = builder["x"]
    for name in ("One", "Two", "One"):
        y = builder.add("custom_layer", outputs=[("fp32", (2, 3))], class_name=name, input_order=["x"], x=y)
    builder.output(y)
    words = r"'custom_layer_\d+' \(custom_layer\): .* class 'One' \(2 x\), class 'Two' \(1 x\)"
    with pytest.raises(UnsupportedModelError, match=words) as caught:
        builder.model()
    assert caught.value.remedy.count("@refcoreml.custom_layer") == 2


class Weightless:
    def __init__(self, parameters: Any) -> None:
        pass

    def evaluate(self, inputs: Any) -> Any:
        return inputs


class Lying(Weightless):
    def output_shapes(self, shapes: Any) -> Any:
        return [(9,)]


@pytest.mark.parametrize(
    ("code", "given", "words"),
    [
        (lambda x: 1 / 0, {}, "raised ZeroDivisionError"),
        (lambda x: [x, x], {}, r"returned a list of 2, but the layer has 1 output\(s\)"),
        (
            lambda x: x[0],
            {},
            r"returned the shape \(3,\) for outputs\[0\], but the program declares tensor<fp32, \[2, 3",
        ),
        (lambda x: x[0], {"shape": (None, 3)}, r"returned the shape \(3,\) for outputs\[0\]"),
        (lambda x: "no", {}, r"for output 'outputs\[0\]', expected an array of real numbers"),
        (lambda x: x, {"parameters": ["beta"], "beta": 1}, "to be called with 1 input.* beta"),
        (Weightless, {"weights": ["w"], "w": np.ones(3, np.float32)}, "class 'Mine' has no method set_weights"),
        (Lying, {}, r"returned the shape \(2, 3\) for output 'outputs\[0\]', but declared \(9,\)"),
        (lambda x: np.ones((2,) * 6), {}, "has at most 5 dimensions"),
    ],
)
@pytest.mark.clause("mil.custom_layer.S3")
def test_what_code_does_wrong_is_its_fault(code: Any, given: Any, words: str) -> None:
    with pytest.raises(CallbackError, match=words) as caught:
        result(code, **given)
    assert "(custom_layer)" in caught.value.where


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"class_name": None}, "parameter 'class_name' is missing"),
        ({"input_order": ["x", "z"]}, "parameter 'z' is missing"),
        ({"input_order": ["beta"], "beta": "text"}, "'beta' is of type"),
        ({"parameters": ["beta"]}, "parameter 'beta' is missing"),
        ({"parameters": ["x"]}, "'x' must be a constant"),
        ({"weights": ["w"], "w": "text"}, "'w' is of type"),
    ],
)
@pytest.mark.clause("mil.custom_layer.C1", "mil.custom_layer.C2")
def test_what_is_wrong_with_the_program(given: Any, words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        result(Weightless, **given)


def test_what_coremltools_writes(tmp_path: Path) -> None:
    tools = pytest.importorskip("coremltools", reason="coremltools writes the model")
    mil = pytest.importorskip("coremltools.converters.mil.mil")
    inputs = pytest.importorskip("coremltools.converters.mil.mil.input_type")
    register = pytest.importorskip("coremltools.converters.mil.mil.ops.defs._op_reqs").register_op

    def tensor(kind: Any) -> Any:
        return inputs.TensorInputType(const=True, type_domain=kind)

    class refcoreml_scaled(mil.Operation):  # type: ignore[misc, name-defined]
        input_spec = inputs.InputSpec(
            x=inputs.TensorInputType(type_domain=mil.types.fp32),
            alpha=tensor(mil.types.fp32),
            mode=tensor(mil.types.str),
            w=tensor(mil.types.fp32),
        )
        bindings = {  # noqa: RUF012 (coremltools has it so)
            "class_name": "Mine",
            "input_order": ["x"],
            "parameters": ["alpha", "mode"],
            "weights": ["w"],
            "description": "scaled",
        }

        def type_inference(self) -> Any:
            return mil.types.tensor(self.x.dtype, self.x.shape)

    register(is_custom_op=True)(refcoreml_scaled)
    weight = np.arange(32, dtype=np.float32)
    system = tools.target.iOS15
    program = mil.Builder.program(input_specs=[mil.Builder.TensorSpec((3, 32))], opset_version=system)(
        lambda x: mil.Builder.refcoreml_scaled(x=x, alpha=np.float32(1.5), mode="fast", w=weight)
    )
    tools.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=system,
        compute_precision=tools.precision.FLOAT32,
        skip_model_load=True,
    ).save(str(tmp_path / "custom.mlpackage"))
    seen: list[Any] = []

    def mine(x: Any, alpha: float, mode: str, weights: list[Any]) -> Any:
        seen.append(mode)
        return alpha * x + weights[0]

    model = refcoreml.load(tmp_path / "custom.mlpackage", custom_layers={"Mine": mine})
    (found,) = model.predict({"x": np.ones((3, 32), np.float32)}).values()
    np.testing.assert_array_equal(found, np.tile(1.5 + weight, (3, 1)))
    assert seen == ["fast"]
