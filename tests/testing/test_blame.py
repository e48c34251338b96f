"""Blame: the layer that diverges, or the stretch that holds it; in-place modules; what the reference has beside."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch, of the extra oracles")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("coremltools", reason="needs coremltools, of the extra oracles")

from campaigns.converter import convert  # noqa: E402
from refcoreml import build  # noqa: E402
from refcoreml.testing import EquivalenceError, assert_equivalent  # noqa: E402
from refcoreml.testing.defects import DEFECTS  # noqa: E402
from refcoreml.testing.torch_modules import record_torch  # noqa: E402

X = np.array([[0.3, -0.7, 1.1]], np.float32)


class Net(torch.nn.Module):
    """What a function does, with a linear layer before and behind it."""

    def __init__(self, middle):
        super().__init__()
        torch.manual_seed(3)
        self.first, self.last, self.middle = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2), middle

    def forward(self, x):
        return self.last(self.middle(self.first(x)))


def plus_one(x):
    x += 1
    return x


def clamped(x):
    return torch.relu_(x).mul_(0.5)


IN_PLACE = {
    "LeakyReLU": torch.nn.LeakyReLU(0.2, inplace=True),
    "ReLU6": torch.nn.ReLU6(inplace=True),
    "+=": plus_one,
    "relu_ and mul_": clamped,
}


def layers(spec, kind):
    return [layer for layer in spec.neuralNetwork.layers if layer.WhichOneof("layer") == kind]


def blame(spec, module, x=X):
    with pytest.raises(EquivalenceError) as caught:
        assert_equivalent(spec, module, {"x0": x})
    return caught.value.divergence


@pytest.mark.parametrize("name", IN_PLACE)
def test_modules_that_work_in_place_agree_and_the_faulty_layer_gets_the_blame(name):
    module = Net(IN_PLACE[name]).eval()
    spec = convert(module, [torch.from_numpy(X)])
    assert assert_equivalent(spec, module, {"x0": X}).double < 1e-5
    for number in (0, -1):
        fault = layers(spec, "innerProduct")[number]
        weights = fault.innerProduct.weights.floatValue
        kept = list(weights)
        weights[:] = [1.5 * weight for weight in kept]
        assert f"first divergent layer: {fault.name!r} (innerProduct)" in blame(spec, module)
        weights[:] = kept


def test_recorded_values_are_those_of_their_time():
    def forward(x):
        y = x * 2
        y += 1
        return y.neg_()

    class Module(torch.nn.Module):
        def forward(self, x):
            return forward(x)

    found = [(item.name.split(".")[1], item.values.tolist()) for item in record_torch(Module(), [torch.ones(2)])]
    assert found == [("mul", [2, 2]), ("add_", [3, 3]), ("neg_", [-3, -3])]


def test_what_is_written_through_a_view_is_recorded():
    class Module(torch.nn.Module):
        def forward(self, x):
            y = x * 2
            y[0] = 7
            return y + 1

    found = [item.values.tolist() for item in record_torch(Module(), [torch.ones(2)])]
    assert [7, 2] in found
    assert found[-1] == [8, 3]


# ---- The caller's arrays ----


def eaten(x):
    """A reference that changes its own input."""
    y = 2.0 * x
    x *= 0
    return y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_function_may_change_its_inputs_and_the_caller_keeps_his(dtype):
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("activation", inputs="x", outputs="y", linear={"alpha": 2.0})
    x = np.array([1.0, 2.0, 3.0], dtype)
    assert_equivalent(net.spec(), lambda v: eaten(np.asarray(v)), {"x": x})
    assert x.tolist() == [1, 2, 3]
    given = [np.array([1.0, 2.0, 3.0], dtype)]
    assert_equivalent(net.spec(), eaten, {"x": x}, reference_inputs=given)
    assert given[0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_module_may_change_its_inputs_and_itself(dtype):
    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            self.calls += 1
            y = torch.tanh(x * self.calls)
            x.zero_()
            return y * 3

    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("tanh", name="right", inputs="x", outputs="t")
    net.add("activation", name="last", inputs="t", outputs="y", linear={"alpha": 3.0})
    x, module = torch.tensor([0.25, -0.75, 1.125], dtype=dtype), Module().eval()
    assert_equivalent(net.spec(), module, {"x": x.numpy()}, reference_inputs=[x])
    wrong = net.spec()
    wrong.neuralNetwork.layers[1].activation.linear.alpha = 3.5
    with pytest.raises(EquivalenceError, match=r"first divergent layer: 'last' \(activation\), after 't' = aten.tanh"):
        assert_equivalent(wrong, module, {"x": x.numpy()}, reference_inputs=[x])
    assert x.tolist() == torch.tensor([0.25, -0.75, 1.125], dtype=dtype).tolist()
    assert module.calls.item() == 0


# ---- A stretch without counterparts ----


class Gelu(torch.nn.Module):
    """One operator of torch, several layers of Core ML."""

    def forward(self, x):
        return torch.nn.functional.gelu(x).sin() * 2


def gelu(inner=0.5, outer=2.0):
    """0.5 x (1 + erf(x / sqrt 2)) in single layers, sin, times 2."""
    net = build.Network({"x0": (1, 3)}, ["y"], exact=True)
    net.add("activation", name="scaled", inputs="x0", outputs="a", linear={"alpha": float(np.sqrt(0.5))})
    net.add("erf", name="gate", inputs="a", outputs="b")
    net.add("activation", name="shifted", inputs="b", outputs="c", linear={"alpha": inner, "beta": 0.5})
    net.add("multiplyBroadcastable", name="product", inputs=["x0", "c"], outputs="d")
    net.add("sin", name="wave", inputs="d", outputs="e")
    net.add("activation", name="double", inputs="e", outputs="y", linear={"alpha": outer})
    return net.spec()


def test_a_stretch_is_named_by_both_ends():
    assert assert_equivalent(gelu(), Gelu().eval(), {"x0": X}).double < 1e-6
    assert (
        "the first divergent layer is somewhere between 'scaled' (activation), after 'x0' = input, and 'product' "
        "(multiplyBroadcastable)"
    ) in blame(gelu(inner=0.55), Gelu().eval())
    assert "first divergent layer: 'double' (activation), after 'e' = aten.sin" in blame(gelu(outer=2.1), Gelu().eval())


# ---- What the reference has beside ----


class More(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)

    def forward(self, x):
        return (torch.tanh(self.linear(x)).exp() + 1).log()


def test_operations_of_the_reference_without_counterpart_are_named():
    module = More().eval()
    net = build.Network({"x0": (1, 3)}, ["y"], exact=True)
    net.add(
        "innerProduct",
        inputs="x0",
        outputs="t",
        inputChannels=3,
        outputChannels=2,
        weights=module.linear.weight.detach().numpy(),
        hasBias=True,
        bias=module.linear.bias.detach().numpy(),
    )
    net.add("tanh", outputs="y")
    message = blame(net.spec(), module)
    assert "the reference, which computes more: aten.exp.default, aten.add.Tensor, aten.log.default" in message
    assert "exchanged" not in message


def test_exchanged_outputs_are_still_called_so():
    class Two(torch.nn.Module):
        def forward(self, x):
            return torch.sin(x), torch.cos(x)

    net = build.Network({"x0": (1, 3)}, ["y", "z"], exact=True)
    net.add("cos", inputs="x0", outputs="y")
    net.add("sin", inputs="x0", outputs="z")
    assert "the outputs are exchanged" in blame(net.spec(), Two().eval())


# ---- Known defects ----


@pytest.mark.parametrize("name", [name for name, defect in DEFECTS.items() if defect.mend is not None])
def test_a_known_defect_is_named(name):
    module, x = DEFECTS[name].example()
    message = blame(convert(module, [x]), module, x.numpy())
    assert f"known defect of the converter, {name}: {DEFECTS[name].title}" in message


def test_a_layer_that_looks_like_a_defect_and_is_not_it_is_not_called_so():
    """A batch norm of mean 0, variance 1 and epsilon 1e-5 that torch has as well; the fault is its scale."""
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.ReLU(), torch.nn.BatchNorm2d(3)).eval()
    x = torch.randn(1, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    spec = convert(module, [x])
    (norm,) = layers(spec, "batchnorm")
    assert set(norm.batchnorm.variance.floatValue) == {1.0}
    norm.batchnorm.gamma.floatValue[1] = 1.5
    message = blame(spec, module, x.numpy())
    assert "(batchnorm)" in message
    assert "known defect" not in message


# ---- Bounds that batch norms, folded into weights, have made too wide ----


class Deep(torch.nn.Module):
    """Residual blocks whose batch norms divide by small deviations, as trained ones do, and a last layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.blocks = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.Conv2d(5, 5, 3, padding=1, bias=False), torch.nn.BatchNorm2d(5))
            for _ in range(8)
        )
        for block in self.blocks:
            block[1].running_var.copy_(torch.rand(5) * 0.02 + 0.01)
            block[1].running_mean.copy_(torch.randn(5))
        self.last = torch.nn.Linear(5, 3)

    def forward(self, x):
        for block in self.blocks:
            x = torch.relu(x + block(x))
        return self.last(x.mean((2, 3)))


def test_a_last_layer_that_is_ten_percent_off_is_refused_by_name():
    """Over the whole network the bounds would be a tenth of the outputs."""
    module = Deep().eval()
    x = torch.randn(1, 5, 6, 7)
    spec = convert(module, [x])
    assert not layers(spec, "batchnorm"), "all are folded"
    found = assert_equivalent(spec, module, {"x0": x.numpy()})
    assert found.double < 1e-6
    assert found.widest < 2**-10
    last = layers(spec, "innerProduct")[-1]
    weights = last.innerProduct.weights.floatValue
    for factor in (1.1, 0.0):
        kept = list(weights)
        weights[:] = [factor * weight for weight in weights]
        assert f"first divergent layer: {last.name!r} (innerProduct)" in blame(spec, module, x.numpy())
        weights[:] = kept
