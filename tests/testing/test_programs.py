"""assert_equivalent of ML Programs whose sources are functions: what agrees, what differs, what shows nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

import refcoreml
from refcoreml import build
from refcoreml.errors import InputError, UsageError
from refcoreml.testing import EquivalenceError, UndeterminedError, assert_equivalent
from refcoreml.testing.rounding import Constants
from refcoreml.testing.stored import half_radius

GENERATOR = np.random.default_rng(5)
W = GENERATOR.normal(size=(4, 3)).astype(np.float32)
B = GENERATOR.normal(size=4).astype(np.float32)
X = GENERATOR.normal(size=(2, 3)).astype(np.float32)


def perceptron(element: str = "fp32", weight: np.ndarray = W, **options: Any) -> refcoreml.Model:
    dtype = np.float16 if element == "fp16" else np.float32
    program = build.Program({"x": (element, (2, 3))}, opset="CoreML7")
    y = program.add("linear", x=program["x"], weight=weight.astype(dtype), bias=B.astype(dtype), name="product")
    program.output(program.add("softmax", x=y, axis=-1, name="p"))
    return program.model(**options)


def source(x: Any, weight: np.ndarray = W, bias: np.ndarray = B) -> np.ndarray:
    z = np.asarray(x, np.float64) @ weight.T.astype(np.float64) + bias.astype(np.float64)
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def rounded(x: Any) -> np.ndarray:
    return source(x, W.astype(np.float16), B.astype(np.float16))


def test_single_precision_agrees_within_sharp_bounds() -> None:
    found = assert_equivalent(perceptron(), source, {"x": X})
    assert found.outputs == ("p",)
    assert found.double is not None
    assert 0 < found.double < 1e-12
    assert found.single is not None
    assert 0 < found.single < 1e-4


def test_a_weight_that_is_off_by_a_millionth_differs() -> None:
    wrong = W.copy()
    wrong[1, 2] *= np.float32(1 + 1e-6)
    with pytest.raises(EquivalenceError, match="in float64, output 'p'"):
        assert_equivalent(perceptron(weight=wrong), source, {"x": X})


def normed(element: type[np.floating[Any]]) -> refcoreml.Model:
    program = build.Program({"x": ("fp16" if element is np.float16 else "fp32", (2, 3))}, opset="CoreML7")
    program.output(program.add("layer_norm", x=program["x"], axes=[1], epsilon=element(1e-3), name="y"))
    return program.model()


def standardized(epsilon: float) -> Any:
    def norm(x: Any) -> np.ndarray:
        z = np.float64(x) - np.float64(x).mean(1, keepdims=True)
        return z / np.sqrt((z**2).mean(1, keepdims=True) + epsilon)

    return norm


def test_an_epsilon_was_rounded_to_single_precision() -> None:
    """That of the source is a number of Python; how it differs is seen in double precision, and the next is not it."""
    found = assert_equivalent(normed(np.float32), standardized(1e-3), {"x": X})
    assert found.double is not None
    assert 2**-45 < found.double < 2**-30
    with pytest.raises(EquivalenceError, match=r"the reference is no torch module.*pass the torch module, or folded=0"):
        assert_equivalent(normed(np.float32), standardized(1e-3 * (1 + 1e-5)), {"x": X})


def test_what_to_do_when_a_function_differs() -> None:
    """Not when the number of elements differs, nor when parameters were allowed to be rounded."""
    with pytest.raises(EquivalenceError, match="or folded=0"):
        assert_equivalent(perceptron("fp16"), source, {"x": X})
    for given, options in ((source(X) + 1, {"folded": 0}), (source(X)[:, :3], {})):
        with pytest.raises(EquivalenceError) as caught:
            assert_equivalent(perceptron("fp16"), given, {"x": X}, **options)
        assert "folded" not in str(caught.value)


def test_what_to_do_when_half_precision_shows_nothing() -> None:
    single = rounded(X).astype(np.float32)
    with pytest.raises(UndeterminedError, match=r"in declared.*pass the torch module itself"):
        assert_equivalent(perceptron("fp16"), single, {"x": X}, widest=2**-20)


def test_compressed_weights_are_named_as_the_reason() -> None:
    program = build.Program({"x": (2, 3)}, opset="CoreML8")
    scale = np.abs(W).max() / 7
    codes = build.Known(np.rint(W / scale).astype(np.int8), "int4")
    parts = {"data": codes, "scale": np.full((4, 1), scale, np.float32)}
    weight = program.add("constexpr_blockwise_shift_scale", **parts, outputs=[("fp32", (4, 3))])
    y = program.add("linear", x=program["x"], weight=weight, bias=B)
    program.output(program.add("softmax", x=y, axis=-1, name="p"))
    with pytest.raises(EquivalenceError, match=r"weights are compressed.*measure it by compare_models"):
        assert_equivalent(program.model(), source, {"x": X})


def test_half_precision_is_compared_with_what_it_stores() -> None:
    """Inputs of half precision are rounded before the source gets them; its weights it must round itself."""
    found = assert_equivalent(perceptron("fp16"), rounded, {"x": X})
    assert found.double is not None
    assert found.double < 1e-12
    assert found.single is not None
    assert 1e-4 < found.single < 2e-2
    with pytest.raises(EquivalenceError):
        assert_equivalent(perceptron("fp16"), source, {"x": X})
    allowed = assert_equivalent(perceptron("fp16"), source, {"x": X}, folded=0)
    assert allowed.double is not None
    assert 2**-11 < allowed.double < 2**-6


def scaled(factor: float) -> refcoreml.Model:
    program = build.Program({"x": ("fp16", (5, 7))}, opset="CoreML7")
    program.output(program.add("mul", x=program["x"], y=np.float16(factor), name="y"))
    return program.model()


def test_most_numbers_of_half_precision_were_rounded() -> None:
    """1 / 6**0.5 in half precision is 418 / 1024, which is no reason to take it for exact; a half is one."""
    x = GENERATOR.uniform(1, 2, (5, 7)).astype(np.float16).astype(np.float32)
    found = assert_equivalent(scaled(6**-0.5), lambda x: np.float64(x) / 6**0.5, {"x": x}, folded=0)
    assert found.double is not None
    assert 2**-11 < found.double < 2**-7
    with pytest.raises(EquivalenceError):
        assert_equivalent(scaled(6**-0.5), lambda x: np.float64(x) / 6**0.5 * 1.01, {"x": x}, folded=0)
    assert_equivalent(scaled(100.3), lambda x: np.float64(x) * 100.3, {"x": x}, folded=0)
    found = assert_equivalent(scaled(0.5), lambda x: np.float64(x) / 2, {"x": x}, folded=0)
    assert found.double is not None
    assert found.double < 2**-40


def test_a_number_of_half_precision_is_no_parameter_by_chance() -> None:
    """1 / 32**0.5 limits the weights that torch draws for 32 inputs, and scales the scores of as many channels."""
    number = np.float64(np.float16(32**-0.5))
    constants = Constants(np.array([0.0, number]))
    assert half_radius(np.asarray(number), constants) >= abs(number - 32**-0.5) > 0
    assert half_radius(np.asarray(0.5), constants) == 0
    assert half_radius(np.full(7, number), constants).tolist() == [0.0] * 7


def test_a_reference_in_single_precision_is_compared_with_the_declared_run() -> None:
    found = assert_equivalent(perceptron(), source(X).astype(np.float32), {"x": X})
    assert found.double is None
    assert found.single is not None


def test_overflow_in_the_declared_types_is_found() -> None:
    program = build.Program({"x": ("fp16", (3,))}, opset="CoreML7")
    large = program.add("mul", x=program["x"], y=np.float16(2**15))
    program.output(program.add("mul", x=large, y=np.float16(2**-15), name="y"))
    assert_equivalent(program.model(), lambda x: np.float64(x), {"x": np.float32([0.5, 1, -1.5])})
    with pytest.raises(EquivalenceError, match=r"in declared, output 'y' at.* is -?inf"):
        assert_equivalent(program.model(), lambda x: np.float64(x), {"x": np.float32([0.5, 4, -1.5])})


def test_what_rounding_decides_is_undetermined() -> None:
    """The difference of numbers that are equal but for rounding."""
    program = build.Program({"x": (1, 5)}, opset="CoreML7")
    same = program.add("mul", x=program.add("mul", x=program["x"], y=np.float32(3)), y=np.float32(1 / 3))
    shifted = program.add("sub", x=same, y=program["x"])
    program.output(program.add("mul", x=shifted, y=np.float32(1e7), name="y"))
    x = np.float32([[0.1, 0.7, 0.3, 0.9, 0.2]])
    with pytest.raises(UndeterminedError, match="undetermined: nothing differs"):
        assert_equivalent(program.model(), lambda x: np.zeros((1, 5)), {"x": x}, folded=0)


def test_integers_and_truths_are_exact() -> None:
    program = build.Program({"x": (2, 5)}, opset="CoreML7")
    program.output(program.add("reduce_argmax", x=program["x"], axis=1, keep_dims=False, name="best"))
    x = GENERATOR.normal(size=(2, 5)).astype(np.float32)
    assert_equivalent(program.model(), lambda x: x.argmax(1), {"x": x})
    with pytest.raises(EquivalenceError, match="output 'best'"):
        assert_equivalent(program.model(), lambda x: x.argmin(1), {"x": x})


def test_scores_by_label() -> None:
    program = build.Program({"x": (1, 3)}, opset="CoreML7")
    scores = program.add("softmax", x=program["x"], axis=-1)
    program.output(*program.add("classify", probabilities=scores, classes=["a", "b", "c"], name=["label", "scores"]))
    x = np.float32([[0.25, 3, -1]])
    exact = (np.exp(np.float64(x)) / np.exp(np.float64(x)).sum())[0]
    for given in ({"scores": exact}, {"scores": {"c": exact[2], "a": exact[0], "b": exact[1]}}):
        assert assert_equivalent(program.model(), given, {"x": x}).outputs == ("scores",)
    with pytest.raises(EquivalenceError, match="labels"):
        assert_equivalent(program.model(), {"scores": {"a": 1.0, "b": 0.0, "d": 0.0}}, {"x": x})


def test_of_pictures_the_source_gets_what_it_is_given() -> None:
    program = build.Program({"photo": build.image(5, 4), "gain": build.array(1, optional=True, default=2)})
    scaled = program.add("mul", x=program["photo"], y=np.float32(1 / 255))
    program.output(program.add("mul", x=scaled, y=program["gain"], name="y"))
    pixels = GENERATOR.integers(0, 256, (4, 5, 3)).astype(np.uint8)
    planes = pixels.transpose(2, 0, 1)[None].astype(np.float64)
    photo = {"photo": Image.fromarray(pixels)}
    with pytest.raises(UsageError, match=r"Give reference_inputs=\[array\].*picture / 255"):
        assert_equivalent(program.model(), lambda x: 2 * x / 255, photo)
    with pytest.raises(UsageError, match=r"got dict, expected a list of arguments. Write \[array\]"):
        assert_equivalent(program.model(), lambda x: 2 * x / 255, photo, reference_inputs={"photo": planes})
    inputs = {"reference_inputs": [planes], "folded": 0}
    found = assert_equivalent(program.model(), lambda x: 2 * x / 255, photo, **inputs)
    assert found.double is not None
    assert 2**-24 < found.double < 2**-18, "1 / 255 was rounded"
    with pytest.raises(EquivalenceError, match="in float64, output 'y'"):
        assert_equivalent(program.model(), lambda x: 2 * x / 254, photo, **inputs)


def test_states_begin_with_zeros() -> None:
    program = build.Program({"x": (3,)}, states={"s": (3,)}, opset="CoreML8")
    total = program.add("add", x=program.add("read_state", input=program["s"]), y=program["x"], name="y")
    program.add("write_state", input=program["s"], data=total)
    program.output(total)
    model = program.model()
    for _ in range(2):
        assert_equivalent(model, lambda x: np.float64(x), {"x": X[0]})


def test_models_of_other_types_and_wrong_inputs_are_refused() -> None:
    spec = refcoreml.spec.schema.Model(specificationVersion=4)
    network = build.Network({"x": (3,)}, ["y"], exact=True)
    network.add("copy", outputs="y")
    spec.description.CopyFrom(network.spec().description)
    spec.pipeline.models.add().CopyFrom(network.spec())
    with pytest.raises(UsageError, match="neural networks and ML Programs, this model is a pipeline"):
        assert_equivalent(spec, X, {"x": X})
    with pytest.raises(InputError):
        assert_equivalent(perceptron(), source, {"x": X[:1]})
