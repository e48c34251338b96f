"""Building ML Programs: images, optional inputs, several shapes, classifiers, lists; what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import refcoreml
from refcoreml import build
from refcoreml.errors import UsageError

PIXELS = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


@pytest.mark.parametrize("element", ["", "fp16"])
@pytest.mark.parametrize("colors", ["RGB", "BGR"])
def test_pictures_in_and_out(element: str, colors: str, tmp_path: Path) -> None:
    given = build.image(7, 5, colors)
    program = build.Program({"photo": (element, given) if element else given}, opset="CoreML7")
    white = np.float16(255) if element else np.float32(255)
    program.output(program.add("sub", x=white, y=program["photo"], name="negative"), colors=colors)
    program.save(tmp_path / "negative.mlpackage")
    model = refcoreml.load(tmp_path / "negative.mlpackage")
    assert [feature.describe() for feature in (*model.inputs, *model.outputs)] == [f"Image ({colors} 7 x 5)"] * 2
    negative = model.predict({"photo": Image.fromarray(PIXELS)})["negative"]
    np.testing.assert_array_equal(np.asarray(negative)[..., :3], 255 - PIXELS)


def test_gray_pictures_of_half_precision() -> None:
    program = build.Program({"depth": build.image(7, 5, "GRAYSCALE_FLOAT16")}, opset="CoreML7")
    half = program.add("mul", x=program["depth"], y=np.float16(0.5), name="half")
    program.output(half, colors="GRAYSCALE_FLOAT16")
    assert str(program["depth"].type) == "tensor<fp16, [1, 1, 5, 7]>"
    depth = np.arange(35, dtype=np.float32).reshape(5, 7)
    found = program.model().predict({"depth": Image.fromarray(depth)})["half"]
    np.testing.assert_array_equal(np.asarray(found), depth / 2)


def test_optional_inputs() -> None:
    given = {"x": (3,), "gain": build.array(1, optional=True, default=2), "mask": build.array(3, optional=True)}
    program = build.Program(given, opset="CoreML7")
    y = program.add("mul", x=program["x"], y=program["gain"])
    program.output(program.add("add", x=y, y=program["mask"], name="y"))
    model = program.model()
    x = np.float32([1, 2, 5])
    np.testing.assert_array_equal(model.predict({"x": x})["y"], 2 * x)
    np.testing.assert_array_equal(model.predict({"x": x, "gain": [3], "mask": x})["y"], 4 * x)


def test_several_shapes() -> None:
    choices = build.array(2, 3, choices=[(2, 3), (4, 3)])
    ranges = build.array(2, 3, ranges=[(1, 6), (3, 3)], data_type="FLOAT16")
    endless = build.Program({"x": build.array(1, 3, ranges=[(1, -1), (3, 3)])})
    assert str(endless["x"].type) == "tensor<fp32, [?, 3]>"
    for feature, element, admitted, refused in (
        (choices, "fp32", (4, 3), (5, 3)),
        (ranges, "fp16", (6, 3), (7, 3)),
    ):
        program = build.Program({"x": feature}, opset="CoreML7")
        assert str(program["x"].type) == f"tensor<{element}, [?, 3]>"
        program.output(program.add("relu", x=program["x"], name="y", outputs=[(element, (None, 3))]))
        model = program.model()
        assert model.predict({"x": np.ones(admitted)})["y"].shape == admitted
        assert model.shapes() == {"x": (2, 3), "y": (2, 3)}
        with pytest.raises(refcoreml.InputError):
            model.predict({"x": np.ones(refused)})


def test_results_have_names() -> None:
    program = build.Program({"x": (1, 3)}, opset="CoreML7")
    label, scores = program.add(
        "classify", probabilities=program["x"], classes=["a", "b", "c"], name=["label", "scores"]
    )
    program.output(label, scores)
    found = program.model().predict({"x": [[0.25, 0.5, 0.125]]})
    assert found == {"label": "b", "scores": {"a": 0.25, "b": 0.5, "c": 0.125}}
    with pytest.raises(UsageError, match="got 3 names for 2 results"):
        program.add("classify", probabilities=program["x"], classes=["a", "b", "c"], name=["p", "q", "r"])


def test_a_written_list_has_the_type_of_the_list() -> None:
    program = build.Program({"x": (3,)}, opset="CoreML7")
    made = program.add("make_list", init_length=np.int32(2), elem_shape=np.int32([3]), dtype="fp32")
    assert str(made.type) == "list<tensor<fp32, [3]>, ?>"
    written = program.add("list_write", ls=made, index=np.int32(1), value=program["x"])
    assert written.type == made.type


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: build.array(3, data_type="INT8", default=1), "INT8 has no default value"),
        (lambda: build.Program({"x": build.array()}), "feature 'x'.*has no shape"),
        (lambda: build.Program({"x": build.array(2, choices=[(2,), (2, 3)])}), "shapes of several ranks"),
        (lambda: build.Program({"x": refcoreml.spec.schema.FeatureType(stringType={})}), "programs take arrays"),
        (lambda: build.Program({"x": ("fp16", None)}), r"inputs\['x'\]: got None.*, expected a shape"),
        (lambda: build.Program({"x": (2, -3)}), r"inputs\['x'\]: "),
        (lambda: flat().add("relu", x=flat()["x"], outputs=[("int32", "2")]), "outputs: got str, expected a shape"),
        (lambda: flat().output(flat()["x"], colors="RGB"), r"output 'x': tensor<fp32, \[2, 3\]> is no picture"),
    ],
)
def test_what_no_program_can_have(make: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


def flat() -> build.Program:
    return build.Program({"x": (2, 3)})


@pytest.mark.parametrize("element", ["int4", "uint4", "int8", "fp16"])
def test_constants_keep_the_elements_that_numpy_lacks(element: str) -> None:
    """Results are declared with the types of parameters, so that one operation takes what another one made."""
    mask, codes = build.program.Known(np.array([[1, 0], [1, 1]]), "uint1"), np.array([1, 0, 1])
    program = build.Program({}, opset="CoreML8")
    dense = program.add("constexpr_sparse_to_dense", nonzero_data=build.program.Known(codes, element), mask=mask)
    assert str(dense.type) == f"tensor<{element}, [2, 2]>"
    lut = np.arange(1, 3, dtype=np.int8).reshape(1, 1, 2, 1)
    indices = build.program.Known(codes, "uint1")
    kept, numbers = program.add("constexpr_lut_to_sparse", indices_mask=mask, indices_nonzero_data=indices, lut=lut)
    assert [str(result.type) for result in (kept, numbers)] == ["tensor<uint1, [2, 2]>", "tensor<int8, [3]>"]
    scale = np.full((1, 1), 0.5, np.float32)
    again, scaled = program.add(
        "constexpr_sparse_blockwise_shift_scale", data_mask=kept, nonzero_data=numbers, scale=scale
    )
    assert [str(result.type) for result in (again, scaled)] == ["tensor<uint1, [2, 2]>", "tensor<fp32, [3]>"]
    program.output(program.add("constexpr_sparse_to_dense", nonzero_data=scaled, mask=again, name="y"))
    np.testing.assert_array_equal(program.model().predict({})["y"], [[1, 0], [0.5, 1]])
