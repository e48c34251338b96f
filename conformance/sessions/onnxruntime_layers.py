"""ONNX Runtime, for some of the layers that it shares with Core ML: an example of a session that translates.

refcoreml conformance run --python conformance/sessions/onnxruntime_layers.py --profile fp32
"""

import numpy as np
import onnxruntime
from one_layer import only_layer
from onnx import TensorProto, helper, numpy_helper

from refcoreml.conformance import Rejected

#: Layers without parameters and without a rule that ONNX does not have, too.
SAME = {
    "ceil": "Ceil", "floor": "Floor", "round": "Round", "sign": "Sign", "sin": "Sin", "cos": "Cos", "tan": "Tan",
    "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh", "asinh": "Asinh",
    "acosh": "Acosh", "atanh": "Atanh", "erf": "Erf", "addBroadcastable": "Add", "subtractBroadcastable": "Sub",
    "multiplyBroadcastable": "Mul", "divideBroadcastable": "Div", "powBroadcastable": "Pow", "maxBroadcastable": "Max",
    "minBroadcastable": "Min",
}  # fmt: skip
REDUCTIONS = {
    "reduceSum": "ReduceSum", "reduceMean": "ReduceMean", "reduceMax": "ReduceMax", "reduceMin": "ReduceMin",
    "reduceProd": "ReduceProd", "reduceL1": "ReduceL1", "reduceL2": "ReduceL2", "reduceSumSquare": "ReduceSumSquare",
    "reduceLogSum": "ReduceLogSum", "reduceLogSumExp": "ReduceLogSumExp",
}  # fmt: skip


def prepare(model):
    spec, layer = only_layer(model)
    if len(layer.input) != len(spec.description.input):
        raise NotImplementedError("inputs that the layer does not read")
    kind = layer.WhichOneof("layer")
    p, constants, attributes = getattr(layer, kind or "copy"), [], {}
    operator = SAME.get(kind, "")
    if kind in REDUCTIONS:
        operator = REDUCTIONS[kind]
        attributes = {"keepdims": int(p.keepDims)}
        rank = len(spec.description.input[0].type.multiArrayType.shape)
        if not p.reduceAll and len({axis % rank for axis in p.axes}) != len(p.axes):
            raise Rejected("an axis is named twice")  # which ONNX Runtime does not mind
        if not p.reduceAll:
            constants = [("axes", np.array(p.axes, np.int64))]
    elif kind == "activation" and p.WhichOneof("NonlinearityType") == "ReLU":
        operator = "Relu"
    elif kind == "softmaxND":
        operator, attributes = "Softmax", {"axis": p.axis}
    elif kind == "transpose":
        operator, attributes = "Transpose", {"perm": list(p.axes)}
    elif kind == "concatND" and not p.interleave:
        operator, attributes = "Concat", {"axis": p.axis}
    elif kind == "cumSum" and len(layer.input) == 1:
        operator, attributes = "CumSum", {"exclusive": int(p.excludeFinalSum), "reverse": int(p.reverse)}
        constants = [("axis", np.array(p.axis, np.int64))]
    elif kind == "innerProduct" and not p.hasBias and p.weights.floatValue:
        operator = "MatMul"
        weights = np.array(p.weights.floatValue, np.float32)
        if weights.size != p.inputChannels * p.outputChannels:
            raise Rejected("the number of weights does not fit")
        constants = [("weights", weights.reshape(p.outputChannels, p.inputChannels).T.copy())]
    if not operator:
        raise NotImplementedError(kind or "a layer without a type")
    shapes = {feature.name: list(feature.type.multiArrayType.shape) for feature in spec.description.input}
    if any(name not in shapes for name in layer.input):
        raise Rejected("an input does not exist")
    if [feature.name for feature in spec.description.output] != list(layer.output):
        raise Rejected("nothing produces an output")
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in layer.input]
    node = helper.make_node(operator, [*layer.input, *(name for name, _ in constants)], layer.output, **attributes)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in layer.output]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants]
    graph = helper.make_graph([node], "one", inputs, outputs, initializers)
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4

    def session(given):
        if kind == "innerProduct" and any(x.ndim > 2 for x in given.values()):
            raise NotImplementedError("blobs of higher rank")
        try:
            runtime = onnxruntime.InferenceSession(
                content.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            results = runtime.run(None, given)
        except Exception as error:
            raise Rejected(str(error)) from error
        return {name: y.reshape(1) if y.ndim == 0 else y for name, y in zip(layer.output, results, strict=True)}

    return session
