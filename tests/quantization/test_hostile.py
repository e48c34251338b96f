"""Models that break a rule: weights are listed and quantized only after the graph and the stored counts are checked."""

import numpy as np
import pytest

import refcoreml
from refcoreml import build
from refcoreml.errors import InvalidModelError
from refcoreml.quantization import weight_tensors
from refcoreml.spec import schema


def network(*layers):
    """A network of (kind, inputs, outputs, fields), written as given."""
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("innerProduct", outputs="y", input_channels=3, output_channels=2, weights=np.ones((2, 3), np.float32))
    spec = net.spec()
    for kind, taken, made, fields in layers:
        layer = spec.neuralNetwork.layers.add(name=kind, input=taken, output=made)
        build.fill(getattr(layer, kind), fields, kind)
        getattr(layer, kind).SetInParent()
    return spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (network(("copy", ["y"], [], {})), r"'copy' \(copy\): has 0 outputs, expected 1"),
        (network(("copy", [], ["z"], {})), r"'copy' \(copy\): has 0 inputs, expected 1"),
        (network(("branch", [], [], {"if_branch": {"layers": [{"copy": {}}]}})), r"has 0 inputs, expected 1"),
        (network(("softmax", ["nowhere"], ["z"], {})), "uses blob 'nowhere', which neither"),
        (network(("softmax", ["x"], ["y"], {})), "produces blob 'y' a second time"),
    ],
)
@pytest.mark.parametrize(
    "use", [weight_tensors, refcoreml.dequantize_weights, lambda m: refcoreml.quantize_weights(m, 8)]
)
def test_a_broken_graph_is_refused_as_by_load(spec, message, use):
    with pytest.raises(InvalidModelError, match=message):
        refcoreml.load(spec)
    with pytest.raises(InvalidModelError, match=message):
        use(refcoreml.load(spec, prepare=False))


def embedding(**fields):
    net = build.Network({"x": (1, 1, 1)}, ["y"])
    net.add("embedding", outputs="y", weights=np.ones(6, np.float32), **fields)
    return net.spec()


def lstm(size):
    net = build.Network({"x": (3,)}, ["y"])
    gates = {
        f"{gate}Gate{kind}Matrix": np.ones(2, np.float32)
        for gate in ("input", "forget", "output")
        for kind in ("Weight", "Recursion")
    }
    net.add(
        "uniDirectionalLSTM",
        inputs=["x"],
        outputs=["y", "h", "c"],
        input_vector_size=size,
        output_vector_size=size,
        weight_params=gates,
        activations=[{"sigmoid": {}}, {"tanh": {}}, {"tanh": {}}],
    )
    return net.spec()


@pytest.mark.parametrize(
    "spec",
    [
        embedding(input_dim=2**20, output_channels=2**40),
        embedding(input_dim=2**24, output_channels=2**64 - 1),
        embedding(input_dim=7, output_channels=5),
    ],
)
def test_more_weights_than_are_stored_are_refused_without_memory(spec):
    with pytest.raises(InvalidModelError, match="holds 6 values, the declared shape"):
        weight_tensors(refcoreml.load(spec, prepare=False))
    with pytest.raises(InvalidModelError, match="holds 6 values, the declared shape"):
        refcoreml.quantize_weights(spec, 8)


def test_a_recurrent_layer_of_any_size_is_refused_without_memory():
    spec = lstm(2**16)
    with pytest.raises(InvalidModelError, match=r"holds \d values, the declared shape 65536 x 65536"):
        weight_tensors(refcoreml.load(spec, prepare=False))


def test_scales_and_tables_that_do_not_fit_are_refused():
    spec = embedding(input_dim=2, output_channels=3)
    weights = spec.neuralNetwork.layers[0].embedding.weights
    weights.Clear()
    weights.rawValue = bytes(6)
    weights.quantization.numberOfBits = 8
    weights.quantization.linearQuantization.scale.extend([1, 2])
    with pytest.raises(InvalidModelError, match="has 2 scales, expected 1 or 3"):
        weight_tensors(refcoreml.load(spec, prepare=False))


@pytest.mark.parametrize("kind", ["pipeline", "pipelineClassifier", "pipelineRegressor"])
def test_a_model_without_a_type_in_a_pipeline_is_refused(kind):
    spec = schema.Model(specificationVersion=3)
    message = getattr(spec, kind)
    (message if kind == "pipeline" else message.pipeline).models.add()
    with pytest.raises(InvalidModelError, match=rf"{kind}.models\[0\]: the model has no type"):
        weight_tensors(refcoreml.load(spec, prepare=False))


def test_custom_layers_are_left_out_but_their_graph_is_checked():
    spec = network(("custom", ["x"], ["z"], {"class_name": "Absent"}))
    assert [tensor.kind for tensor in weight_tensors(refcoreml.load(spec, prepare=False))] == ["innerProduct"]
    spec.neuralNetwork.layers[-1].input[0] = "nowhere"
    with pytest.raises(InvalidModelError, match="uses blob 'nowhere'"):
        weight_tensors(refcoreml.load(spec, prepare=False))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("scale", [np.inf, np.nan, 3e38])
def test_scales_that_are_no_numbers_cause_no_warning(scale):
    spec = embedding(input_dim=2, output_channels=3)
    weights = spec.neuralNetwork.layers[0].embedding.weights
    weights.Clear()
    weights.rawValue = bytes([0, 1, 2, 3, 4, 5])
    weights.quantization.numberOfBits = 8
    weights.quantization.linearQuantization.scale.append(scale)
    (tensor,) = weight_tensors(refcoreml.load(spec))
    with pytest.raises(InvalidModelError, match="that are not finite"):
        tensor.values()


def test_int8_codes_of_a_layer_that_does_not_quantize_its_input_become_float32():
    spec = embedding(input_dim=2, output_channels=3)
    weights = spec.neuralNetwork.layers[0].embedding.weights
    weights.Clear()
    weights.int8RawValue = np.array([0, 1, -2, 3, 4, -5], np.int8).tobytes()
    weights.quantization.linearQuantization.scale.append(0.5)
    (tensor,) = weight_tensors(refcoreml.dequantize_weights(spec))
    assert tensor.encoding.kind == "float32"
    np.testing.assert_array_equal(tensor.values().reshape(-1), [0, 0.5, -1, 1.5, 2, -2.5])
    x = {"x": np.ones((1, 1, 1))}
    before, after = (refcoreml.load(model).predict(x)["y"] for model in (spec, refcoreml.dequantize_weights(spec).spec))
    assert before.tobytes() == after.tobytes()
