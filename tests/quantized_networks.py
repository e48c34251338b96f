"""Networks with every kind of weighted layer, for tests of quantization."""

from __future__ import annotations

import numpy as np

from refcoreml import build
from refcoreml.spec import schema


def w(*shape, scale=1.0, kind=np.float32):
    return (scale * np.random.default_rng(sum(shape)).standard_normal(shape)).astype(kind)


def body(*layers):
    net = build.Network({}, [])
    for kind, name, inputs, outputs, fields in layers:
        net.add(kind, name=name, inputs=inputs, outputs=outputs, **fields)
    return schema.NeuralNetwork(layers=net.layers)


def dense(inputs, outputs, kind=np.float32, **more):
    fields = {"inputChannels": inputs, "outputChannels": outputs, "weights": w(outputs, inputs, kind=kind)}
    return {**fields, "hasBias": True, "bias": w(outputs, kind=kind), **more}


def pictures():
    """Rank 5: convolution, grouped deconvolution, normalization, scale, bias, constant, activation, dense."""
    net = build.Network({"x": (8, 13, 11)}, ["y"])
    net.add(
        "convolution", name="conv", outputChannels=12, kernelChannels=4, nGroups=2, kernelSize=[3, 5],
        weights=w(12, 4, 3, 5), hasBias=True, bias=w(12), same={},
    )  # fmt: skip
    net.add("batchnorm", name="norm", channels=12, gamma=w(12), beta=w(12), mean=w(12), variance=np.abs(w(12)))
    net.add(
        "convolution", name="up", isDeconvolution=True, outputChannels=10, kernelChannels=12, nGroups=2,
        kernelSize=[2, 3], weights=w(12, 5, 2, 3), valid={},
    )  # fmt: skip
    net.add("scale", name="scale", shapeScale=[10], scale=w(10), hasBias=True, shapeBias=[10], bias=w(10))
    net.add("bias", name="bias", shape=[10, 14, 13], bias=w(10, 14, 13))
    net.add("activation", name="prelu", outputs="z", PReLU={"alpha": w(10)})
    net.add("loadConstant", name="constant", inputs=[], outputs="c", shape=[10, 14, 13], data=w(10, 14, 13))
    net.add("add", inputs=["z", "c"], outputs="s")
    net.add("innerProduct", name="dense", outputs="y", **dense(10 * 14 * 13, 17))
    return net.model()


def vectors():
    """N-D: matmul, embeddingND, constant, layer normalization; a branch and a loop with weights inside."""
    net = build.Network({"x": (7, 40)}, ["y"], exact=True)
    net.add(
        "batchedMatmul", name="matmul", weightMatrixFirstDimension=40, weightMatrixSecondDimension=40,
        weights=w(40, 40), hasBias=True, bias=w(40), outputs="m",
    )  # fmt: skip
    net.add("layerNormalization", name="ln", normalizedShape=[40], eps=1e-5, gamma=w(40), beta=w(40), outputs="n")
    net.add("loadConstantND", name="constant", inputs=[], outputs="c", shape=[7, 40], data=w(7, 40))
    net.add("add", name="add", inputs=["n", "c"], outputs="a")
    net.add("copy", name="start", inputs="a", outputs="y")
    inner = body(("innerProduct", "inner", ["y"], ["t"], dense(40, 40)), ("copy", "back", ["t"], ["y"], {}))
    net.add("loop", name="loop", inputs=[], outputs=[], bodyNetwork=inner, maxLoopIterations=2)
    return net.model()


def sequences():
    """Recurrent layers of every kind."""
    size, hidden = 24, 20

    def gates(names, biases=True):
        made = {}
        for gate in names:
            made |= {f"{gate}WeightMatrix": w(hidden, size), f"{gate}RecursionMatrix": w(hidden, hidden)}
            made |= {f"{gate}BiasVector": w(hidden)} if biases else {}
        return made

    lstm = gates(["inputGate", "forgetGate", "blockInput", "outputGate"])
    functions = [{"sigmoid": {}}, {"tanh": {}}, {"tanh": {}}]
    shape = {"inputVectorSize": size, "outputVectorSize": hidden}
    net = build.Network({"x": (size,), "h": (hidden,), "c": (hidden,), "h2": (hidden,), "c2": (hidden,)}, ["y"])
    net.add(
        "simpleRecurrent", name="rnn", inputs=["x", "h"], outputs=["r", "rh"], activation={"tanh": {}},
        weightMatrix=w(hidden, size), recursionMatrix=w(hidden, hidden), hasBiasVector=True, biasVector=w(hidden),
        **shape,
    )  # fmt: skip
    net.add(
        "gru", name="gru", inputs=["x", "h"], outputs=["g", "gh"], activations=functions[:2], hasBiasVectors=True,
        **gates(["updateGate", "resetGate", "outputGate"]), **shape,
    )  # fmt: skip
    states = ["h", "c", "h2", "c2"]
    net.add(
        "biDirectionalLSTM", name="lstm", inputs=["x", *states], outputs=["l", "a", "b", "d", "e"],
        activationsForwardLSTM=functions, activationsBackwardLSTM=functions, params={"hasBiasVectors": True},
        weightParams=[lstm, lstm], **shape,
    )  # fmt: skip
    net.add("concat", name="join", inputs=["r", "g", "l"], outputs="y")
    return net.model()
