"""torch and onnxruntime in single precision stay within the bounds of ``fp32``, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_examples import EXAMPLES, Source

from refcoreml.oracle import oracle

torch = pytest.importorskip("torch", reason="needs torch")
F = torch.nn.functional


def _activation(x: Any, f: dict[str, Any]) -> Any:
    ((name, numbers),) = f.items()
    a, b = numbers.get("alpha"), numbers.get("beta")
    channels = {"PReLU", "parametricSoftplus"}
    if name in channels:
        a, b = (torch.as_tensor(v)[:, None, None] if v is not None else None for v in (a, b))
    functions: dict[str, Callable[[], Any]] = {
        "linear": lambda: a * x + b,
        "ReLU": lambda: F.relu(x),
        "leakyReLU": lambda: F.leaky_relu(x, a),
        "thresholdedReLU": lambda: torch.where(x >= np.float32(a), x, 0),
        "PReLU": lambda: torch.where(x >= 0, x, a * x),
        "tanh": lambda: torch.tanh(x),
        "scaledTanh": lambda: a * torch.tanh(b * x),
        "sigmoid": lambda: torch.sigmoid(x),
        "sigmoidHard": lambda: torch.clamp(a * x + b, 0, 1),
        "ELU": lambda: F.elu(x, a),
        "softsign": lambda: F.softsign(x),
        "softplus": lambda: F.softplus(x),
        "parametricSoftplus": lambda: a * F.softplus(b * x),
    }
    return functions[name]()


def _unary(x: Any, f: dict[str, Any]) -> Any:
    x = x * f.get("scale", 1.0) + f.get("shift", 0.0) if "scale" in f else x
    epsilon, alpha = f.get("epsilon", 1e-6), f["alpha"]
    functions: dict[str, Callable[[], Any]] = {
        "SQRT": lambda: torch.sqrt(x),
        "RSQRT": lambda: torch.rsqrt(x + epsilon),
        "INVERSE": lambda: torch.reciprocal(x + epsilon),
        "POWER": lambda: torch.pow(x, np.float32(alpha).item()),
        "EXP": lambda: torch.exp(x),
        "LOG": lambda: torch.log(x + epsilon),
        "ABS": lambda: torch.abs(x),
        "THRESHOLD": lambda: torch.clamp(x, min=alpha),
    }
    return functions[f["type"]]()


def _convolution(x: Any, f: dict[str, Any]) -> Any:
    function = F.conv_transpose2d if f.get("isDeconvolution") else F.conv2d
    bias = torch.as_tensor(f["bias"]) if f["hasBias"] else None
    return function(x, torch.as_tensor(f["weights"]), bias, stride=f["stride"])


def _reduced(name: str) -> Callable[[Any, dict[str, Any]], Any]:
    functions = {
        "Sum": torch.sum,
        "Mean": torch.mean,
        "Max": torch.amax,
        "Min": torch.amin,
        "L1": lambda x, d, keepdim: x.abs().sum(d, keepdim=keepdim),
        "L2": lambda x, d, keepdim: torch.linalg.vector_norm(x, dim=d, keepdim=keepdim),
        "SumSquare": lambda x, d, keepdim: (x * x).sum(d, keepdim=keepdim),
        "LogSumExp": torch.logsumexp,
        "LogSum": lambda x, d, keepdim: x.sum(d, keepdim=keepdim).log(),
    }
    return lambda x, f: functions[name](x, f["axes"], keepdim=f["keepDims"])


def _normalized(x: Any, axes: Any, epsilon: float) -> Any:
    return (x - x.mean(axes, keepdim=True)) * torch.rsqrt(x.var(axes, unbiased=False, keepdim=True) + epsilon)


def _batchnorm(x: Any, f: dict[str, Any]) -> Any:
    gamma, beta = torch.as_tensor(f["gamma"]), torch.as_tensor(f["beta"])
    if "mean" not in f:
        return F.instance_norm(x[None], weight=gamma, bias=beta, eps=f["epsilon"])[0]
    mean, variance = torch.as_tensor(f["mean"]), torch.as_tensor(f["variance"])
    return F.batch_norm(x[None], mean, variance, gamma, beta, eps=f["epsilon"])[0]


def _gru(x: Any, h: Any, f: dict[str, Any]) -> Any:
    """Core ML's output gate sees the reset state before the product; torch's does not, so cell by cell."""

    def gate(name: str, v: Any, s: Any) -> Any:
        w, r, b = (torch.as_tensor(f[f"{name}{part}"]) for part in ("WeightMatrix", "RecursionMatrix", "BiasVector"))
        return v @ w.T + s @ r.T + b

    x, h, found = x[..., 0, 0], h[0, ..., 0, 0], []
    for v in x.flip(0) if f["reverseInput"] else x:
        update, reset = (torch.sigmoid(gate(name, v, h)) for name in ("updateGate", "resetGate"))
        output = torch.tanh(gate("outputGate", v, reset * h))
        h = (1 - update) * output + update * h
        found.append(h)
    return torch.stack(found)[..., None, None]


def _lstm(x: Any, h: Any, c: Any, f: dict[str, Any]) -> Any:
    """torch's own LSTM, with its order of gates."""
    w, order = f["weightParams"], ("inputGate", "forgetGate", "blockInput", "outputGate")
    cell = torch.nn.LSTM(4, 3)
    parts = {"weight_ih_l0": "WeightMatrix", "weight_hh_l0": "RecursionMatrix", "bias_ih_l0": "BiasVector"}
    state = {name: torch.as_tensor(np.concatenate([w[gate + part] for gate in order])) for name, part in parts.items()}
    cell.load_state_dict({**state, "bias_hh_l0": torch.zeros(12)})
    with torch.no_grad():
        y, _ = cell(x[..., 0, 0], (h[..., 0, 0], c[..., 0, 0]))
    return y[..., None, None]


GELU = {
    "EXACT": lambda x: F.gelu(x),
    "TANH_APPROXIMATION": lambda x: F.gelu(x, approximate="tanh"),
    "SIGMOID_APPROXIMATION": lambda x: x * torch.sigmoid(1.702 * x),
}

#: From inputs and fields to the first output.
TORCH: dict[str, Callable[..., Any]] = {
    **{
        kind: lambda x, f, kind=kind: getattr(torch, kind)(x)
        for kind in ("ceil", "floor", "round", "sign", "erf", "exp2")
    },
    **{kind: lambda x, f, kind=kind: getattr(torch, kind)(x) for kind in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{
        kind: lambda x, f, kind=kind: getattr(torch, kind)(x)
        for kind in ("asin", "acos", "atan", "asinh", "acosh", "atanh")
    },
    **{
        f"reduce{name}": _reduced(name)
        for name in ("Sum", "Mean", "Max", "Min", "L1", "L2", "SumSquare", "LogSumExp", "LogSum")
    },
    "activation": _activation,
    "unary": _unary,
    "gelu": lambda x, f: GELU[f["mode"]](x),
    "clip": lambda x, f: torch.clamp(x, f["minVal"], f["maxVal"]),
    "addBroadcastable": lambda a, b, f: a + b,
    "subtractBroadcastable": lambda a, b, f: a - b,
    "multiplyBroadcastable": lambda a, b, f: a * b,
    "divideBroadcastable": lambda a, b, f: a / b,
    "floorDivBroadcastable": lambda a, b, f: torch.floor(a / b),
    "modBroadcastable": lambda a, b, f: torch.remainder(a, b),
    "powBroadcastable": lambda a, b, f: torch.pow(a, b),
    "convolution": _convolution,
    "convolution3d": lambda x, f: F.conv3d(x, torch.as_tensor(f["weights"])),
    "innerProduct": lambda x, f: F.linear(x, torch.as_tensor(f["weights"]), torch.as_tensor(f["bias"])),
    "batchedMatmul": lambda *a: a[0] @ a[1] if len(a) == 3 else a[0] @ torch.as_tensor(a[1]["weights"]).T,
    "cumSum": lambda x, f: torch.cumsum(x, f["axis"]) if not (f["reverse"] or f["excludeFinalSum"]) else None,
    "softmax": lambda x, f: torch.softmax(x, -1),
    "softmaxND": lambda x, f: torch.softmax(x, f["axis"]),
    "batchnorm": _batchnorm,
    "layerNormalization": lambda x, f: F.layer_norm(
        x, f["normalizedShape"], torch.as_tensor(f["gamma"]), torch.as_tensor(f["beta"]), f["eps"]
    ),
    "mvn": lambda x, f: (
        _normalized(x, (-3, -2, -1) if f["acrossChannels"] else (-2, -1), f["epsilon"])
        if f["normalizeVariance"]
        else None
    ),
    "lrn": lambda x, f: F.local_response_norm(x[None], f["localSize"], f["alpha"], f["beta"], f["k"])[0],
    "l2normalize": lambda x, f: x / torch.sqrt((x * x).sum() + f["epsilon"]),
    "argMax": lambda x, f: torch.argmax(x, f["axis"], not f["removeDim"]),
    "topK": lambda x, f: torch.topk(x, f["K"], f["axis"], not f["useBottomK"])[0],
    "gru": _gru,
    "uniDirectionalLSTM": _lstm,
    "upsample": lambda x, f: (
        F.interpolate(x[None], scale_factor=(2, 3), mode="nearest")[0] if f["mode"] == "NN" else None
    ),
}


def within(actual: Any, answer: Any) -> None:
    y = np.asarray(actual, np.float64)
    assert y.size == answer.value.size
    off = np.abs(y.reshape(answer.value.shape) - answer.value)
    bad = ~(off <= answer.bound) & np.isfinite(answer.value)
    assert not bad.any(), (y.reshape(answer.value.shape)[bad], answer.value[bad], answer.bound[bad])


@pytest.mark.parametrize("kind", TORCH)
@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), style=st.sampled_from(Source.STYLES))
def test_torch(kind, seed, style):
    # Core ML limits gates to 50 before they are squashed, which torch does not.
    example = EXAMPLES[kind](Source(seed, "normal" if kind == "uniDirectionalLSTM" else style))
    actual = TORCH[kind](*map(torch.as_tensor, example.inputs), example.fields)
    if actual is not None:  # fields that torch has not
        within(actual.numpy(), oracle(example.model(), example.features())["y0"])


#: The operator's name, and from inputs and fields to its inputs and attributes; None where it has no such operator.
ONNX: dict[str, tuple[str, Callable[..., Any]]] = {
    **{kind: (kind.capitalize(), lambda x, f: ([x], {})) for kind in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{
        kind: (kind.capitalize(), lambda x, f: ([x], {}))
        for kind in ("asin", "acos", "atan", "asinh", "acosh", "atanh")
    },
    **{kind: (kind.capitalize(), lambda x, f: ([x], {})) for kind in ("ceil", "floor", "round", "sign", "erf")},
    **{
        f"{kind}Broadcastable": (name, lambda a, b, f: ([a, b], {}))
        for kind, name in (("add", "Add"), ("subtract", "Sub"), ("multiply", "Mul"), ("divide", "Div"), ("pow", "Pow"))
    },
    "convolution": (
        "Conv",
        lambda x, f: (
            None
            if f.get("isDeconvolution")
            else ([x, f["weights"], *([f["bias"]] if f["hasBias"] else [])], {"strides": f["stride"]})
        ),
    ),
    "convolution3d": ("Conv", lambda x, f: ([x, f["weights"]], {})),
    "batchedMatmul": ("MatMul", lambda *a: ([a[0], a[1] if len(a) == 3 else a[1]["weights"].T], {})),
    "softmaxND": ("Softmax", lambda x, f: ([x], {"axis": f["axis"]})),
    "layerNormalization": (
        "LayerNormalization",
        lambda x, f: ([x, f["gamma"], f["beta"]], {"axis": 1, "epsilon": f["eps"]}),
    ),
    "lrn": ("LRN", lambda x, f: ([x[None]], {"size": 3, "alpha": f["alpha"], "beta": f["beta"], "bias": f["k"]})),
    "gelu": ("Gelu", lambda x, f: ([x], {}) if f["mode"] == "EXACT" else None),
    "reduceSum": ("ReduceSum", lambda x, f: ([x, np.array(f["axes"])], {"keepdims": int(f["keepDims"])})),
    "reduceMean": ("ReduceMean", lambda x, f: ([x, np.array(f["axes"])], {"keepdims": int(f["keepDims"])})),
    "reduceProd": ("ReduceProd", lambda x, f: ([x, np.array(f["axes"])], {"keepdims": int(f["keepDims"])})),
    "reduceLogSumExp": ("ReduceLogSumExp", lambda x, f: ([x, np.array(f["axes"])], {"keepdims": int(f["keepDims"])})),
}


@pytest.mark.parametrize("kind", ONNX)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), style=st.sampled_from(Source.STYLES))
def test_onnxruntime(kind, seed, style):
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    example = EXAMPLES[kind](Source(seed, style))
    name, translate = ONNX[kind]
    translated = translate(*example.inputs, example.fields)
    if translated is None:
        return
    arrays, attributes = translated
    given_names = [f"x{i}" for i in range(len(arrays))]
    node = onnx.helper.make_node(name, given_names, ["y"], **attributes)
    values = [
        onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in zip(given_names, arrays, strict=True)
    ]
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", values, [output]),
        opset_imports=[onnx.helper.make_opsetid("", 20)],
        ir_version=9,
    )
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (actual,) = session.run(None, {n: np.ascontiguousarray(a) for n, a in zip(given_names, arrays, strict=True)})
    within(actual, oracle(example.model(), example.features())["y0"])
