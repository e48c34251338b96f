"""Constants that a converter folded are computed again from the source's parameters."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refcoreml
from refcoreml.testing import EquivalenceError, assert_equivalent

torch: Any = pytest.importorskip("torch", reason="needs torch, of the extra oracles")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ct: Any = pytest.importorskip("coremltools", reason="needs coremltools, of the extra oracles")

from campaigns.converter import convert  # noqa: E402
from refcoreml.testing.defects import DEFECTS  # noqa: E402
from refcoreml.testing.folding import Derived, derived_constants  # noqa: E402
from refcoreml.testing.rounding import Constants  # noqa: E402
from refcoreml.testing.stored import Stored  # noqa: E402
from refcoreml.testing.torch_modules import in_double, record_torch  # noqa: E402
from refcoreml.testing.verification import verify  # noqa: E402

nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore")  # of coremltools and torch, whose versions are not ours to choose


class Picture(nn.Module):  # type: ignore[misc]
    """Convolutions of all kinds, each with a batch norm, and a linear layer.

    The converter folds wrongly into a transposed convolution in groups, so that it has one.
    """

    def __init__(self, groups: int = 1) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.parts = nn.Sequential(
            *(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU()),
            *(nn.Conv2d(6, 6, (3, 1), groups=3), nn.BatchNorm2d(6), nn.ReLU()),
            *(nn.ConvTranspose2d(6, 8, 2, groups=groups), nn.BatchNorm2d(8), nn.ReLU()),
        )
        self.head = nn.Linear(8, 5)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.weight.data.uniform_(0.5, 1.5)
                part.bias.data.normal_()
                part.running_mean.normal_()
                part.running_var.uniform_(0.1, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.parts(x).mean((2, 3)))


X = np.random.default_rng(2).normal(size=(1, 3, 9, 7)).astype(np.float32)
MODULE = Picture().eval()


def network() -> Any:
    return convert(MODULE, [torch.from_numpy(X)])


def program(precision: str, module: Any = MODULE, x: np.ndarray = X) -> Any:
    made = ct.convert(
        torch.jit.trace(module, torch.from_numpy(x), check_trace=False),
        inputs=[ct.TensorType("x0", x.shape, dtype=np.float32)],
        outputs=[ct.TensorType("y", dtype=np.float32)],
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=getattr(ct.precision, precision),
        skip_model_load=True,
    )
    return refcoreml.load(made)


MODELS: dict[str, Callable[[], Any]] = {
    "network": network,
    "single": lambda: program("FLOAT32"),
    "half": lambda: program("FLOAT16"),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]()


def blame(model: Any, module: Any) -> str:
    with pytest.raises(EquivalenceError) as caught:
        assert_equivalent(model, module, {"x0": X})
    return caught.value.divergence


def test_folded_constants_are_known_so_that_nothing_but_double_precision_is_allowed(model: Any) -> None:
    found = assert_equivalent(model, MODULE, {"x0": X})
    assert found.widest < 1e-10
    assert found.values >= 8


def changed(change: Callable[[Any], None]) -> Any:
    module = copy.deepcopy(MODULE)
    with torch.no_grad():
        change(module)
    return module


def set_weight(module: Any) -> None:
    module.parts[3].weight[2, 1, 1, 0] += 2e-3


def set_mean(module: Any) -> None:
    module.parts[7].running_mean[3] += 2e-3


def set_bias(module: Any) -> None:
    module.parts[1].bias[4] += 2e-3


@pytest.mark.parametrize(
    ("change", "field", "where"),
    [
        (set_weight, "weight", "parts.3.weight and parts.4"),
        (set_mean, "bias", "parts.6.weight and parts.7"),
        (set_bias, "bias", "parts.0.weight and parts.1"),
    ],
)
def test_a_parameter_that_is_off_by_a_thousandth_is_named(model: Any, change: Any, field: str, where: str) -> None:
    found = blame(model, changed(change))
    assert found.startswith("first divergent ")
    assert f"as in {field}" in found
    assert f"of {where}, off by " in found


def test_an_epsilon_is_found_where_it_is(model: Any) -> None:
    """Each number of the weights is another one, so that the values tell."""
    module = changed(lambda module: setattr(module.parts[1], "eps", 1e-2))
    assert "first divergent" in blame(model, module)
    assert "conv" in blame(model, module)


def test_what_is_derived_is_what_the_operators_compute() -> None:
    """Of a transposed convolution in groups the factor goes along the second axis, group by group."""
    module, (x,) = in_double(Picture(groups=2).eval(), [torch.from_numpy(X)])
    found = [each for each in derived_constants(record_torch(module, [x])) if not each.defect]
    derived = {each.label: each.values for each in found}
    weights, bias = (torch.from_numpy(derived[f"{what} of parts.6.weight and parts.7"]) for what in ("weights", "bias"))
    with torch.no_grad():
        given = module.parts[:6](x)
        folded = nn.functional.conv_transpose2d(given, weights, bias, groups=2)
        np.testing.assert_allclose(folded.numpy(), module.parts[6:8](given).numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dialect", ["neuralnetwork", "mlprogram"])
def test_a_known_defect_of_folding_is_named(dialect: str) -> None:
    name = "transposed convolution in groups"
    module, x = DEFECTS[name].example()
    model = convert(module, [x]) if dialect == "neuralnetwork" else program("FLOAT32", module, x.numpy())
    with pytest.raises(EquivalenceError) as caught:
        assert_equivalent(model, module, {"x0": x.numpy()})
    assert f"known defect of the converter, {name}: {DEFECTS[name].title}" in caught.value.divergence


class Scaled(nn.Module):  # type: ignore[misc]
    """A product times and plus numbers of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.product = nn.Linear(4, 3)
        self.scale, self.shift = nn.Parameter(torch.rand(3) + 0.5), nn.Parameter(torch.rand(3))

    def forward(self, x: Any) -> Any:
        return self.shift + self.product(x) * self.scale - 0.25


def test_scales_and_shifts_are_derived() -> None:
    module, (x,) = in_double(Scaled().eval(), [torch.rand(2, 4)])
    found = [each for each in derived_constants(record_torch(module, [x])) if not each.defect]
    derived = {each.label: each.values for each in found}
    label = "product.weight and scale and shift and a number"
    with torch.no_grad():
        expected = module(x).numpy()
    got = x.numpy() @ derived[f"weights of {label}"].T + derived[f"bias of {label}"]
    np.testing.assert_allclose(got, expected, rtol=1e-12)


class Centred(nn.Module):  # type: ignore[misc]
    """A convolution from which a number of each channel is subtracted."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(8)
        self.product, self.mean = nn.Conv2d(3, 4, 1), nn.Parameter(torch.randn(1, 4, 1, 1))

    def forward(self, x: Any) -> Any:
        return self.product(x) - self.mean


NAME = "convolution minus constant"


@pytest.mark.parametrize("dialect", ["neuralnetwork", "mlprogram"])
@pytest.mark.parametrize("example", [True, False])
def test_a_constant_that_was_added_instead_of_subtracted_is_a_known_defect(dialect: str, example: bool) -> None:
    module, x = DEFECTS[NAME].example() if example else (Centred().eval(), torch.from_numpy(X))
    model = convert(module, [x]) if dialect == "neuralnetwork" else program("FLOAT32", module, x.numpy())
    with pytest.raises(EquivalenceError) as caught:
        assert_equivalent(model, module, {"x0": x.numpy()})
    assert f"known defect of the converter, {NAME}: {DEFECTS[NAME].title}" in caught.value.divergence
    assert "(conv" in caught.value.divergence


def test_another_fault_of_such_a_convolution_is_not_called_so() -> None:
    module = Centred().eval()
    right = convert(module, [torch.from_numpy(X)], without=[str(DEFECTS[NAME].converter_pass)])
    assert assert_equivalent(right, module, {"x0": X}).double is not None
    other = copy.deepcopy(module)
    with torch.no_grad():
        other.mean.mul_(1.5)
    with pytest.raises(EquivalenceError) as caught:
        assert_equivalent(right, other, {"x0": X})
    assert "known defect" not in caught.value.divergence


def test_zeros_and_ones_are_right_by_chance_and_make_no_copy() -> None:
    """A mask beside parameters that are mostly zeros, and a true copy with one number off."""
    mask, other = np.zeros(40), np.zeros(40)
    mask[3:6], other[30:34] = 0.3, 0.7
    copied = np.arange(1, 41) / 7
    wrong = copied.copy()
    wrong[11] += 0.01
    for values, made, count in ((mask, other, 0), (wrong, copied, 1)):
        stored, derived = Stored("op", "mul", "y", values), Derived("a parameter", made, np.abs(made))
        assert len(verify([stored], [derived], Constants(np.unique(made))).findings) == count
