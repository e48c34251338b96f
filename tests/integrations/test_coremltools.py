"""The contract of coremltools' predict, with refcoreml behind it. test_predict_contract.py lists it fact by fact."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import refcoreml
from refcoreml import build, custom
from refcoreml.errors import UsageError
from refcoreml.features import Feature
from refcoreml.integrations import coremltools as integration
from refcoreml.spec import schema

coremltools = pytest.importorskip("coremltools", reason="the runtime of coremltools is tested where that is installed")
models = coremltools.models


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    integration.enable()
    yield
    integration.disable()


def mlmodel(net: build.Network | schema.Model, **options: Any) -> Any:
    spec = net.spec() if isinstance(net, build.Network) else net
    return models.MLModel(coremltools.proto.Model_pb2.Model.FromString(spec.SerializeToString()), **options)


def identity(feature: schema.FeatureType, made: schema.FeatureType | None = None, **options: Any) -> Any:
    """A model that gives back its input x as y, the latter of another type if wished."""
    net = build.Network({"x": feature}, {"y": made or feature}, **options)
    net.add("activation", outputs="y", linear={"alpha": 1.0})
    return mlmodel(net)


def classifier(*labels: Any) -> Any:
    net = build.Network({"x": (len(labels),)}, ["scores"], classes=list(labels))
    net.add("softmax", outputs="scores")
    return mlmodel(net)


VALUES = np.array([[[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]]])


class TestArrays:
    @pytest.mark.parametrize("given", ["float32", "float64", "int32", "int8", "float16"])
    @pytest.mark.parametrize(
        ("declared", "returned"),
        [("DOUBLE", np.float64), ("FLOAT32", np.float32), ("FLOAT16", np.float32), ("INT32", np.int32)],
    )
    def test_types_go_in_whatever_is_declared_and_come_out_as_declared(self, given, declared, returned):
        model = identity(build.array(1, 2, 3, data_type=declared))
        result = model.predict({"x": VALUES.astype(given)})["y"]
        assert type(result) is np.ndarray
        assert result.dtype == returned
        np.testing.assert_array_equal(result, VALUES)

    def test_int8_comes_out(self):
        net = build.Network({"x": build.array(3)}, {"y": build.array(3, data_type="INT8")})
        net.add("activation", outputs="y", linear={"alpha": 1.0})
        spec = net.spec()
        spec.specificationVersion = 10
        result = mlmodel(spec).predict({"x": np.array([1.0, -2.0, 127.0])})["y"]
        assert result.dtype == np.int8
        np.testing.assert_array_equal(result, [1, -2, 127])

    def test_values_of_a_double_output_are_float32_widened(self):
        result = identity(build.array(1, data_type="DOUBLE")).predict({"x": np.array([0.1])})["y"]
        assert result.tolist() == [float(np.float32(0.1))]

    def test_values_of_a_half_output_are_rounded(self):
        result = identity(build.array(1), build.array(1, data_type="FLOAT16")).predict({"x": np.array([0.1])})["y"]
        assert result.tolist() == [float(np.float16(0.1))]

    def test_fractions_are_cast_to_integers_as_c_does(self):
        result = identity(build.array(3, data_type="INT32")).predict({"x": np.array([1.75, -1.75, 2.0])})["y"]
        np.testing.assert_array_equal(result, [1, -1, 2])

    @pytest.mark.parametrize("dtype", ["int64", "uint8", "int16", "bool", "uint32", "complex64", "object"])
    def test_other_types_are_refused(self, dtype):
        with pytest.raises(RuntimeError, match=f"value type not convertible: input 'x' is an array of {dtype}"):
            identity(build.array(3)).predict({"x": np.array([1, 0, 1], dtype)})

    def test_a_list_of_integers_is_an_array_of_int64_and_refused(self):
        model = identity(build.array(3))
        with pytest.raises(RuntimeError, match=r"value type not convertible: .*int64"):
            model.predict({"x": [1, 2, 3]})
        np.testing.assert_array_equal(model.predict({"x": [1.0, 2.0, 3.0]})["y"], [1, 2, 3])

    @pytest.mark.parametrize("value", [np.array(1.0), np.float32(1.0), np.float64(1.0), 1.0, 1, None])
    def test_arrays_without_dimensions_are_refused(self, value):
        with pytest.raises(RuntimeError, match="value type not convertible"):
            identity(build.array(1)).predict({"x": value})

    def test_read_only_arrays_are_refused(self):
        value = np.ones(3)
        value.flags.writeable = False
        with pytest.raises(RuntimeError, match=r"value type not convertible: .*read-only"):
            identity(build.array(3)).predict({"x": value})

    def test_strided_arrays_are_taken(self):
        value = np.arange(12.0).reshape(4, 3)[::2, ::-1].T
        np.testing.assert_array_equal(identity(build.array(1, 3, 2)).predict({"x": value[None]})["y"], value[None])

    def test_an_output_of_rank_0_has_rank_1(self):
        net = build.Network({"x": (2, 3)}, {"y": build.array(1)}, exact=True)
        net.add("reduceSum", outputs="y", reduce_all=True)
        result = mlmodel(net).predict({"x": np.ones((2, 3))})["y"]
        assert result.shape == (1,)
        assert result[0] == 6

    def test_outputs_belong_to_the_caller(self):
        net = build.Network({"x": (2, 3, 4)}, {"y": build.array(4, 3, 2)}, exact=True)
        net.add("transpose", outputs="y", axes=[2, 1, 0])
        model, value = mlmodel(net), np.arange(24.0).reshape(2, 3, 4)
        first = model.predict({"x": value})["y"]
        assert first.flags.c_contiguous
        first[:] = 7
        np.testing.assert_array_equal(value, np.arange(24.0).reshape(2, 3, 4))
        np.testing.assert_array_equal(model.predict({"x": value})["y"], value.transpose(2, 1, 0))
        assert (first == 7).all()

    def test_torch_tensors(self):
        torch = pytest.importorskip("torch", reason="MLModel takes tensors where torch is installed")
        model = identity(build.array(1, 2, 3))
        np.testing.assert_array_equal(model.predict({"x": torch.tensor(VALUES)})["y"], VALUES)
        with pytest.raises(RuntimeError, match="value type not convertible"):
            model.predict({"x": torch.ones((1, 2, 3), dtype=torch.int64)})


class TestShapes:
    def test_a_size_out_of_range_in_the_words_of_core_ml(self):
        feature = build.array(3, 29, 29)
        sizes = [{"lowerBound": 3, "upperBound": 5}, {"lowerBound": 29, "upperBound": 99}] * 2
        build.fill(feature.multiArrayType, {"shapeRange": {"sizeRanges": [*sizes[:2], sizes[1]]}}, "x")
        model = identity(feature)
        assert model.predict({"x": np.zeros((5, 29, 31))})["y"].shape == (5, 29, 31)
        with pytest.raises(RuntimeError, match=r"Size \(99\) of dimension \(0\) is not in allowed range \(3\.\.5\)"):
            model.predict({"x": np.zeros((99, 29, 29))})

    def test_a_shape_not_listed_in_the_words_of_core_ml(self):
        feature = build.array(1, 3, 2, 4)
        build.fill(
            feature.multiArrayType,
            {"enumeratedShapes": {"shapes": [{"shape": (1, 3, 2, 4)}, {"shape": (1, 3, 5, 6)}]}},
            "x",
        )
        model = identity(feature, exact=True)
        assert model.predict({"x": np.zeros((1, 3, 5, 6))})["y"].shape == (1, 3, 5, 6)
        message = r"MultiArray Shape \(1 x 3 x 29 x 29\) was not in enumerated set of allowed shapes"
        with pytest.raises(RuntimeError, match=message):
            model.predict({"x": np.zeros((1, 3, 29, 29))})

    def test_another_shape_than_declared(self):
        with pytest.raises(RuntimeError, match=r"MultiArray Shape \(4\)"):
            identity(build.array(3)).predict({"x": np.zeros(4)})

    def test_custom_shapes_of_the_rank_5_world(self):
        model = identity(build.array(3))
        value = np.arange(24.0).reshape(4, 2, 3, 1, 1)
        np.testing.assert_array_equal(model.predict({"x": value})["y"].ravel(), value.ravel())


class TestImages:
    PIXELS = np.random.default_rng(1).integers(0, 256, (5, 4, 3), np.uint8)

    @pytest.mark.parametrize("colors", ["RGB", "BGR"])
    def test_colour_comes_back_as_rgba(self, colors):
        model = identity(build.image(4, 5, colors))
        result = model.predict({"x": Image.fromarray(self.PIXELS)})["y"]
        assert (result.mode, result.size) == ("RGBA", (4, 5))
        np.testing.assert_array_equal(np.asarray(result)[..., :3], self.PIXELS)
        assert (np.asarray(result)[..., 3] == 255).all()

    @pytest.mark.parametrize(("colors", "first"), [("RGB", 0), ("BGR", 2)])
    def test_channels_come_in_the_declared_order(self, colors, first):
        model = identity(build.image(4, 5, colors), build.array(3, 5, 4))
        result = model.predict({"x": Image.fromarray(self.PIXELS)})["y"]
        np.testing.assert_array_equal(result[0], self.PIXELS[..., first])

    def test_gray(self):
        model = identity(build.image(4, 5, "GRAYSCALE"))
        result = model.predict({"x": Image.fromarray(self.PIXELS[..., 0])})["y"]
        assert result.mode == "L"
        np.testing.assert_array_equal(np.asarray(result), self.PIXELS[..., 0])

    def test_half_gray_is_rounded_on_its_way(self):
        values = np.array([[0.1, 200.3], [-5.7, 1000.25], [3.0, 1.0]], np.float32)
        spec = build.Network({"x": build.image(2, 3, "GRAYSCALE_FLOAT16")}, {"y": build.array(1, 3, 2)})
        spec.add("activation", outputs="y", linear={"alpha": 1.0})
        result = mlmodel(spec).predict({"x": Image.fromarray(values)})["y"]
        np.testing.assert_array_equal(result[0], values.astype(np.float16).astype(np.float32))
        back = identity(build.image(2, 3, "GRAYSCALE_FLOAT16")).predict({"x": Image.fromarray(values)})["y"]
        assert back.mode == "F"
        np.testing.assert_array_equal(np.asarray(back), values.astype(np.float16).astype(np.float32))

    @pytest.mark.parametrize(
        ("colors", "mode"),
        [
            ("RGB", "L"),
            ("RGB", "RGBA"),
            ("BGR", "RGBA"),
            ("BGR", "L"),
            ("GRAYSCALE", "RGB"),
            ("GRAYSCALE_FLOAT16", "L"),
        ],
    )
    def test_other_modes_are_refused(self, colors, mode):
        with pytest.raises(TypeError, match=r"must be of type PIL.Image.Image with mode=="):
            identity(build.image(4, 5, colors)).predict({"x": Image.new(mode, (4, 5))})

    def test_the_size_is_not_changed(self):
        with pytest.raises(RuntimeError, match="Image size"):
            identity(build.image(4, 5)).predict({"x": Image.new("RGB", (5, 4))})


class TestOtherFeatures:
    def test_classifier_with_strings(self):
        result = classifier("cat", "dog").predict({"x": np.array([0.0, 1.0])})
        assert result["classLabel"] == "dog"
        assert type(result["classLabel"]) is str
        assert [(type(key), type(value)) for key, value in result["scores"].items()] == [(str, float)] * 2
        assert result["scores"]["cat"] + result["scores"]["dog"] == pytest.approx(1)

    def test_classifier_with_integers(self):
        result = classifier(7, 5, 3).predict({"x": np.array([0.0, 2.0, 1.0])})
        assert result["classLabel"] == 5
        assert type(result["classLabel"]) is int
        assert [(key, type(key), type(value)) for key, value in result["scores"].items()] == [
            (7, int, float),
            (5, int, float),
            (3, int, float),
        ]

    def test_double_and_int64(self):
        net = build.Network(
            {"x": (1,)}, {"y": schema.FeatureType(doubleType={}), "z": schema.FeatureType(int64Type={})}
        )
        net.add("activation", outputs="y", linear={"alpha": 2.0})
        net.add("activation", inputs="x", outputs="z", linear={"alpha": 3.0})
        result = mlmodel(net).predict({"x": np.array([2.0])})
        assert result == {"y": 4.0, "z": 6}
        assert (type(result["y"]), type(result["z"])) == (float, int)

    @pytest.mark.parametrize(
        ("feature", "value", "expected"),
        [
            ({"int64Type": {}}, 3, 3),
            ({"int64Type": {}}, True, 1),
            ({"int64Type": {}}, np.int16(3), 3),
            ({"doubleType": {}}, 0.5, 0.5),
            ({"doubleType": {}}, np.float64(0.5), 0.5),
            ({"doubleType": {}}, 3, 3),
            ({"stringType": {}}, "ä", "ä"),
            ({"stringType": {}}, "ä".encode(), "ä"),
            ({"dictionaryType": {"int64KeyType": {}}}, {1: 2, np.int8(3): 4}, {1: 2, 3: 4}),
            ({"dictionaryType": {"stringKeyType": {}}}, {"a": 0.5, "b": 1}, {"a": 0.5, "b": 1}),
            ({"dictionaryType": {"stringKeyType": {}}}, {}, {}),
            ({"sequenceType": {"int64Type": {}}}, [1, 2], [1, 2]),
        ],
    )
    def test_taken(self, feature, value, expected):
        assert taken(feature, value) == expected

    @pytest.mark.parametrize(
        ("feature", "value", "message"),
        [
            ({"int64Type": {}}, 0.5, "input 'x' is a float, but the model declares Int64"),
            ({"doubleType": {}}, np.float32(0.5), "value type not convertible: input 'x' is a float32"),
            ({"doubleType": {}}, "0.5", "is a str, but the model declares Double"),
            ({"doubleType": {}}, np.array([0.5]), "is an array of float64 and shape (1,), but the model declares"),
            ({"dictionaryType": {"stringKeyType": {}}}, {"a": 1, "b": 0.5}, "value type not convertible"),
            ({"dictionaryType": {"stringKeyType": {}}}, {"a": 1.0, 2: 0.5}, "value type not convertible"),
            ({"dictionaryType": {"stringKeyType": {}}}, {"a": np.float32(1)}, "value type not convertible"),
            ({"multiArrayType": {"shape": [3], "dataType": schema.ArrayFeatureType.FLOAT32}}, [1.0], "is a list"),
            ({"multiArrayType": {"dataType": schema.ArrayFeatureType.FLOAT32}}, Image.new("L", (1, 1)), "is a Image"),
            ({"doubleType": {}}, object(), "value type not convertible: input 'x' is a object"),
        ],
    )
    def test_refused(self, feature, value, message):
        with pytest.raises(RuntimeError) as caught:
            taken(feature, value)
        assert message in str(caught.value)


def taken(feature: dict[str, Any], value: Any) -> Any:
    """What the binding hands on of the value for a feature that no network declares."""
    description = build.fill(schema.FeatureDescription(name="x"), {"type": feature}, "x")
    return integration._taken("x", value, Feature.of(description))


class TestCalls:
    def test_a_batch_is_a_list_of_dicts(self):
        model = identity(build.array(2))
        results = model.predict([{"x": np.array([i, -i], float)} for i in range(5)])
        assert type(results) is list
        assert [type(result) for result in results] == [dict] * 5
        assert [result["y"].tolist() for result in results] == [[i, -i] for i in range(5)]
        assert model.predict([]) == []

    def test_no_states_in_batches(self):
        model = identity(build.array(2))
        state = model.make_state()
        assert model.predict({"x": np.ones(2)}, state)["y"].tolist() == [1, 1]
        with pytest.raises(AssertionError, match="unbatched"):
            model.predict([{"x": np.ones(2)}], state)
        with pytest.raises(RuntimeError, match="no state 'a'"):
            state.__proxy__.read_state("a")
        with pytest.raises(RuntimeError, match="no state 'a'"):
            state.__proxy__.write_state("a", np.ones(2))

    def test_an_unknown_name(self):
        with pytest.raises(KeyError, match="does not match any of the model input name"):
            identity(build.array(2)).predict({"x": np.ones(2), "z": np.ones(2)})

    def test_an_unknown_name_that_reaches_the_runtime(self):
        with pytest.raises(RuntimeError, match="no input 'z'"):
            identity(build.array(2)).__proxy__.predict({"x": np.ones(2), "z": 1})

    def test_a_missing_input(self):
        with pytest.raises(RuntimeError, match="'x' is missing"):
            identity(build.array(2)).predict({})

    def test_what_fails_inside_is_a_runtime_error(self):
        net = build.Network({"x": (3,)}, {"y": build.array(1)}, exact=True)
        net.add("loadConstantND", inputs=[], outputs="c", shape=[2], data=np.ones(2))
        net.add("gather", inputs=["c", "x"], outputs="y", axis=0)
        with pytest.raises(RuntimeError, match=r"gather.*5"):
            mlmodel(net).predict({"x": np.array([0.0, 1.0, 5.0])})

    def test_durations(self):
        model = identity(build.array(2))
        assert model.load_duration_in_nano_seconds > 0
        assert model.last_predict_duration_in_nano_seconds is None
        model.predict({"x": np.ones(2)})
        assert model.last_predict_duration_in_nano_seconds > 0


class TestCustomCode:
    """coremltools itself refuses to predict with models that have custom layers, on a Mac, too."""

    def test_registered_layers_run(self):
        net = build.Network({"x": (2, 3)}, {"y": (2, 3)}, exact=True)
        net.add("custom", outputs="y", class_name="AddOne", parameters={"times": 2})
        with custom.scope():
            with pytest.warns(RuntimeWarning, match=r"@refcoreml.custom_layer\('AddOne'\)"):
                unmet = mlmodel(net)
            with pytest.raises(Exception, match="custom neural network layer"):
                unmet.predict({"x": np.zeros((2, 3))})
            refcoreml.custom_layer("AddOne")(lambda x, times: x + times)
            values = np.arange(6.0).reshape(2, 3)
            np.testing.assert_array_equal(mlmodel(net).predict({"x": values})["y"], values + 2)

    def test_registered_models_run(self):
        spec = schema.Model(specificationVersion=3)
        spec.description.input.add(name="x").type.CopyFrom(build.array(3))
        spec.description.output.add(name="y").type.CopyFrom(build.array(3))
        spec.customModel.className = "Negate"

        class Negate(refcoreml.CustomModel):
            def predict(self, inputs):
                return {"y": -inputs["x"]}

        with custom.scope():
            refcoreml.custom_model("Negate")(Negate)
            outputs = mlmodel(spec).predict({"x": np.array([1.0, 2.0, 3.0])})
        np.testing.assert_array_equal(outputs["y"], [-1, -2, -3])


class TestLoading:
    def broken(self) -> build.Network:
        net = build.Network({"x": (3,)}, ["y"])
        net.add("innerProduct", outputs="y", input_channels=3, output_channels=2, weights=np.ones(5))
        return net

    def test_a_failure_warns_and_is_raised_at_predict(self):
        with pytest.warns(RuntimeWarning, match="not be able to run predict.*Error compiling model.*innerProduct"):
            model = mlmodel(self.broken())
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"Error compiling model.*innerProduct"):
                model.predict({"x": np.ones(3)})

    def test_a_model_from_the_future_is_not_loaded(self):
        net = build.Network({"x": (3,)}, ["y"])
        net.add("activation", outputs="y", linear={})
        spec = net.spec()
        spec.specificationVersion = 1000
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = mlmodel(spec)
        with pytest.raises(Exception, match="only supports Core ML model specification version 10 or older"):
            model.predict({"x": np.ones(3)})

    def test_skipped_on_request(self):
        net = build.Network({"x": (3,)}, ["y"])
        net.add("activation", outputs="y", linear={})
        model = mlmodel(net, skip_model_load=True)
        with pytest.raises(Exception, match="Cannot make predictions"):
            model.predict({"x": np.ones(3)})

    @pytest.mark.parametrize("suffix", [".mlmodel", ".mlpackage"])
    def test_from_files(self, tmp_path, suffix):
        net = build.Network({"x": (3,)}, ["y"])
        net.add("activation", outputs="y", linear={"alpha": 2.0})
        path = tmp_path / f"model{suffix}"
        net.model().save(path)
        assert models.MLModel(str(path)).predict({"x": np.ones(3)})["y"].tolist() == [2, 2, 2]

    def test_a_function_that_is_not_there(self, tmp_path):
        net = build.Network({"x": (3,)}, ["y"])
        net.add("softmax", outputs="y")
        net.model().save(tmp_path / "m.mlmodel")
        with pytest.raises(RuntimeError, match="no function 'other'"):
            integration.ModelProxy(str(tmp_path / "m.mlmodel"), "ALL", "other", {})

    @pytest.mark.parametrize("unit", list(coremltools.ComputeUnit))
    def test_compute_units_change_nothing(self, unit):
        net = build.Network({"x": (3,)}, ["y"])
        net.add("activation", outputs="y", linear={"alpha": 2.0})
        assert mlmodel(net, compute_units=unit).predict({"x": np.ones(3)})["y"].tolist() == [2, 2, 2]

    def test_a_model_converted_from_torch(self):
        torch = pytest.importorskip("torch", reason="converts a torch module")
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, (3, 2)), torch.nn.ReLU()).eval()
        x = torch.randn(1, 2, 5, 7)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = coremltools.convert(
                torch.jit.trace(module, x), inputs=[coremltools.TensorType("x", x.shape)], convert_to="neuralnetwork"
            )
        (result,) = model.predict({"x": x}).values()
        # 12 products a sum, each below 8 in magnitude.
        np.testing.assert_allclose(result, module(x).detach().numpy(), rtol=0, atol=12 * 8 * 2.0**-23)


class TestCompiled:
    def test_compile_and_load(self, tmp_path):
        net = build.Network({"x": (3,)}, ["y"])
        net.add("activation", outputs="y", linear={"alpha": 2.0})
        net.model().save(tmp_path / "m.mlmodel")
        compiled = models.utils.compile_model(str(tmp_path / "m.mlmodel"), str(tmp_path / "m.mlmodelc"))
        model = models.CompiledMLModel(compiled)
        assert model.predict({"x": np.ones(3)})["y"].tolist() == [2, 2, 2]
        assert model._proxy.get_compiled_model_path() == compiled
        asset = models.model.MLModelAsset.from_path(compiled)
        assert models.CompiledMLModel.from_asset(asset).predict({"x": np.ones(3)})["y"].tolist() == [2, 2, 2]

    def test_the_path_of_a_loaded_model_lives_as_long_as_the_model(self, tmp_path):
        model = identity(build.array(3))
        path = model.get_compiled_model_path()
        assert path == model.get_compiled_model_path()
        shutil.copytree(path, tmp_path / "copy.mlmodelc")
        del model
        assert not Path(path).exists()
        copy = models.CompiledMLModel(str(tmp_path / "copy.mlmodelc"))
        assert copy.predict({"x": np.ones(3)})["y"].tolist() == [1, 1, 1]

    def test_a_model_with_weight_files(self, tmp_path):
        net = build.Network({"x": (3,)}, ["y"])
        net.add("activation", outputs="y", linear={"alpha": 2.0})
        net.model().save(tmp_path / "m.mlpackage")
        weights = tmp_path / "m.mlpackage" / "Data" / "com.apple.CoreML" / "weights"
        weights.mkdir()
        (weights / "weight.bin").write_bytes(b"12345")
        manifest = tmp_path / "m.mlpackage" / "Manifest.json"
        entries = json.loads(manifest.read_text())
        entries["itemInfoEntries"]["7"] = {
            "author": "com.apple.CoreML",
            "description": "",
            "name": "weights",
            "path": "com.apple.CoreML/weights",
        }
        manifest.write_text(json.dumps(entries))
        compiled = integration.ModelProxy.compileModel(str(tmp_path / "m.mlpackage"))
        proxy = integration.ModelProxy(compiled, "ALL", "", {})
        assert proxy.predict({"x": np.ones(3)})["y"].tolist() == [2, 2, 2]
        assert [path.read_bytes() for path in Path(compiled).rglob("weight.bin")] == [b"12345"]
        asset = integration.ModelProxy.create_model_asset_from_path(compiled)
        assert models.CompiledMLModel.from_asset(asset).predict({"x": np.ones(3)})["y"].tolist() == [2, 2, 2]
        shutil.rmtree(compiled)

    def test_from_memory(self):
        net = build.Network({"x": (3,)}, ["y"])
        net.add("activation", outputs="y", linear={"alpha": 2.0})
        data = net.spec().SerializeToString()
        asset = models.model.MLModelAsset.from_memory(data)
        assert models.CompiledMLModel.from_asset(asset).predict({"x": np.ones(3)})["y"].tolist() == [2, 2, 2]
        with pytest.raises(RuntimeError, match="not a Core ML model"):
            models.model.MLModelAsset.from_memory(b"12345")

    def test_failures_are_runtime_errors(self, tmp_path):
        (tmp_path / "a.mlmodelc").mkdir()
        (tmp_path / "a.mlmodelc" / "coremldata.bin").write_bytes(b"")
        (tmp_path / "bad.mlmodel").write_bytes(b"\xff" * 9)
        with pytest.raises(RuntimeError, match="compiled model"):
            models.CompiledMLModel(str(tmp_path / "a.mlmodelc"))
        with pytest.raises(RuntimeError, match="not a Core ML model"):
            models.utils.compile_model(str(tmp_path / "bad.mlmodel"))
        with pytest.raises(RuntimeError):
            models.model.MLModelAsset.from_path(str(tmp_path / "a.mlmodelc"))
        with pytest.raises(RuntimeError, match="compute plans"):
            models.compute_plan.MLComputePlan.load_from_path(str(tmp_path))
        with pytest.raises(RuntimeError, match="structure"):
            models.compute_plan.MLModelStructure.load_from_path(str(tmp_path))

    def test_the_processor_is_the_only_device(self):
        device = models.compute_device
        for devices in (
            models.MLModel.get_available_compute_devices(),
            device.MLComputeDevice.get_all_compute_devices(),
        ):
            (only,) = devices
            assert type(only) is device.MLCPUComputeDevice


def held() -> dict[str, Any]:
    """All that coremltools' modules hold under the names that `enable` may replace."""
    names = ("_MLModelProxy", "_MLModelAssetProxy", "_MLCPUComputeDeviceProxy", "_is_macos", "_macos_version")
    names += ("_IS_MACOS", "libcoremlpython")
    return {
        f"{module_name}.{name}": vars(module)[name]
        for module_name, module in list(sys.modules.items())
        if module_name.split(".")[0] == "coremltools"
        for name in names
        if name in vars(module)
    }


class TestSwitch:
    def test_disable_undoes_it_all(self):
        integration.disable()
        before, binding = held(), sys.modules.get("coremltools.libcoremlpython")
        integration.enable()
        integration.enable()
        assert models.model._MLModelProxy is models._compiled_model._MLModelProxy is integration.ModelProxy
        assert (models.utils._is_macos(), models.utils._macos_version()) == (True, integration.MACOS)
        assert coremltools._deps._IS_MACOS is True
        # A module that coremltools imports in between.
        late = sys.modules["coremltools.late"] = type(sys)("coremltools.late")
        late._MLModelProxy = integration.ModelProxy
        assert held() != before
        integration.disable()
        del sys.modules["coremltools.late"]
        assert late._MLModelProxy is before["coremltools.models.model._MLModelProxy"]
        assert held() == before
        assert sys.modules.get("coremltools.libcoremlpython") is binding
        integration.disable()

    def test_a_model_keeps_its_runtime(self):
        model = identity(build.array(2))
        integration.disable()
        assert model.predict({"x": np.ones(2)})["y"].tolist() == [1, 1]

    def test_what_raises_for_it_is_hidden_from_tracebacks(self):
        with pytest.raises(RuntimeError) as caught:
            identity(build.array(2)).predict({"x": np.ones(3)})
        (raising,) = [entry for entry in caught.traceback if entry.name == "_runtime_errors"]
        assert raising.frame.f_locals["__tracebackhide__"]

    @pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has a runtime")
    def test_a_model_made_before_has_none(self):
        integration.disable()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = identity(build.array(2))
        integration.enable()
        with pytest.raises(Exception, match=r"Unable to load CoreML\.framework"):
            model.predict({"x": np.ones(2)})

    @pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has a runtime")
    def test_without_it_there_is_no_prediction(self):
        integration.disable()
        with pytest.raises(Exception, match="only supported on macOS"):
            identity(build.array(2)).predict({"x": np.ones(2)})

    @pytest.mark.parametrize("first", ["coremltools", "refcoreml.integrations.coremltools"])
    def test_either_import_order(self, first):
        code = f"""
import importlib, sys
importlib.import_module({first!r})
from refcoreml.integrations.coremltools import disable, enable
enable()
import coremltools, numpy as np
builder = coremltools.models.neural_network.NeuralNetworkBuilder(
    [("x", coremltools.models.datatypes.Array(3))], [("y", coremltools.models.datatypes.Array(3))])
builder.add_activation("a", "LINEAR", "x", "y", [2.0, 1.0])
print(coremltools.models.MLModel(builder.spec).predict({{"x": np.ones(3)}})["y"].tolist())
disable()
"""
        path = str(Path(__file__).resolve().parents[2])
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=path, check=False)
        assert run.stdout == "[3.0, 3.0, 3.0]\n", run.stderr

    def test_without_coremltools(self, monkeypatch):
        integration.disable()
        monkeypatch.setitem(sys.modules, "coremltools.models.model", None)
        with pytest.raises(UsageError, match="coremltools cannot be imported"):
            integration.enable()
