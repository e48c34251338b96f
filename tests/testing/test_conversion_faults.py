"""Kinds of faults of converters that a judge once missed or blamed on another operation, and right conversions."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refcoreml
from refcoreml import build
from refcoreml.testing import EquivalenceError, assert_equivalent
from refcoreml.testing.counterparts import Counterparts
from refcoreml.testing.folding import Derived
from refcoreml.testing.rounding import Constants
from refcoreml.testing.stored import Stored
from refcoreml.testing.verification import verify

torch: Any = pytest.importorskip("torch", reason="needs torch, of the extra oracles")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ct: Any = pytest.importorskip("coremltools", reason="needs coremltools, of the extra oracles")

from campaigns.converter import convert, convert_model  # noqa: E402
from refcoreml.testing.torch_modules import Recorded  # noqa: E402

nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore")  # of coremltools and torch, whose versions are not ours to choose

RANDOM = np.random.default_rng(11)


#: A pass that makes a known defect.
WITHOUT = ("common::fuse_elementwise_to_batchnorm",)


def network(module: Any, x: np.ndarray) -> Any:
    return refcoreml.load(convert(module, [torch.from_numpy(x)], without=WITHOUT))


def program(module: Any, x: np.ndarray) -> Any:
    options = {"minimum_deployment_target": ct.target.iOS16, "compute_precision": ct.precision.FLOAT32}
    made = convert_model(module, [torch.from_numpy(x)], without=WITHOUT, convert_to="mlprogram", **options)
    return refcoreml.load(made)


DIALECTS: dict[str, Callable[[Any, np.ndarray], Any]] = {"network": network, "program": program}


@pytest.fixture(params=DIALECTS)
def converted(request: pytest.FixtureRequest) -> Callable[[Any, np.ndarray], Any]:
    return DIALECTS[request.param]


def refused(model: Any, module: Any, x: np.ndarray) -> EquivalenceError:
    with pytest.raises(EquivalenceError) as caught:
        assert_equivalent(model, module, {"x0": x})
    return caught.value


def kinds(model: Any, x: np.ndarray) -> dict[str, str]:
    """Return the kinds of a model's operations by name."""
    return {step.name: step.kind for step in model.trace({"x0": x})}


# ---- Numbers at other places ----


class Joined(nn.Module):  # type: ignore[misc]
    """Two values, joined, of which each is in the source in either order."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.last = last
        self.weights = nn.Parameter(torch.from_numpy(RANDOM.normal(size=(2, 6)).astype(np.float32)))

    def forward(self, x: Any) -> Any:
        y = torch.cat([torch.sin(x), torch.exp(x)], 1)
        return y if self.last else y @ self.weights.T


@pytest.mark.parametrize("last", [True, False])
def test_parts_joined_in_another_order_are_blamed_on_what_joins_them(last: bool) -> None:
    x, module = RANDOM.normal(size=(4, 3)).astype(np.float32), Joined(last).eval()

    def model(*parts: str) -> Any:
        net = build.Network({"x0": (4, 3)}, ["y"], exact=True)
        net.add("sin", inputs="x0", outputs="sine")
        net.add("unary", inputs="x0", outputs="exponential", type="EXP")
        net.add("concatND", name="joined", inputs=list(parts), outputs="y" if last else "both", axis=1)
        if not last:
            weights = module.weights.detach().numpy()
            sizes = {"weightMatrixFirstDimension": 6, "weightMatrixSecondDimension": 2}
            net.add("batchedMatmul", name="product", inputs="both", outputs="y", weights=weights, **sizes)
        return net.spec()

    assert assert_equivalent(model("sine", "exponential"), module, {"x0": x}).double is not None
    error = refused(model("exponential", "sine"), module, x)
    assert error.operation == "joined"
    assert "the numbers of aten.cat.default at other places" in error.divergence


def test_only_sharp_values_are_compared_in_any_order() -> None:
    """A thousand numbers in ascending order are near those of any other value with the same distribution."""
    values = RANDOM.normal(size=1000)
    other = values[RANDOM.permutation(1000)] + 1e-10
    for radius, count in ((1e-9, 1), (1e-5, 0)):
        assert len(list(Counterparts([Recorded("op", other)]).find(values, np.array(radius)))) == count


# ---- Values of which a right one depends, and which are wrong ----


def test_a_negated_value_whose_square_is_right_is_blamed() -> None:
    class Length(nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            y = x - 0.375
            return y / torch.sqrt((y * y).mean(1, keepdim=True))

    x = RANDOM.normal(size=(2, 5)).astype(np.float32)
    net = build.Network({"x0": (2, 5)}, ["y"], exact=True)
    net.add("activation", name="negated", inputs="x0", outputs="t", linear={"alpha": -1.0, "beta": 0.375})
    net.add("multiplyBroadcastable", name="square", inputs=["t", "t"], outputs="s")
    net.add("reduceMean", inputs="s", outputs="m", axes=[1], keepDims=True)
    net.add("unary", inputs="m", outputs="r", type="SQRT")
    net.add("divideBroadcastable", name="quotient", inputs=["t", "r"], outputs="y")
    assert refused(net.spec(), Length().eval(), x).operation == "negated"


# ---- Plain numbers ----


def test_an_epsilon_is_known_and_a_wrong_one_is_blamed_among_several_operations(
    converted: Callable[[Any, np.ndarray], Any],
) -> None:
    """A group norm becomes several operations, and only the numbers that they store show which one is wrong."""
    torch.manual_seed(3)
    module = nn.Sequential(nn.Conv2d(3, 6, 1), nn.GroupNorm(2, 6, eps=1e-5), nn.Conv2d(6, 2, 1)).eval()
    with torch.no_grad():
        module[1].weight.uniform_(0.5, 1.5)
        module[1].bias.normal_()
    x = RANDOM.normal(size=(1, 3, 4, 5)).astype(np.float32)
    right = converted(module, x)
    assert assert_equivalent(right, module, {"x0": x}).widest < 1e-9
    other = copy.deepcopy(module)
    other[1].eps = 1e-3
    error = refused(right, other, x)
    assert kinds(right, x)[error.operation] == "add"
    assert "does not follow from the source" in error.divergence


# ---- Recurrent layers ----


def recurrent(kind: Any) -> Any:
    class Steps(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(4)
            self.loop, self.head = kind(4, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, x: Any) -> Any:
            return self.head(self.loop(x)[0])

    return Steps().eval()


STEPS = RANDOM.normal(size=(1, 6, 4)).astype(np.float32)


def test_parameters_of_a_recurrent_layer_are_known_in_any_arrangement_and_one_that_is_off_is_named(
    converted: Callable[[Any, np.ndarray], Any],
) -> None:
    module = recurrent(nn.LSTM)
    model = converted(module, STEPS)
    assert assert_equivalent(model, module, {"x0": STEPS}).widest < 1e-9, "sums of two biases are known, too"
    other = copy.deepcopy(module)
    stored = float(other.loop.weight_hh_l0[7, 2])
    with torch.no_grad():
        other.loop.weight_hh_l0[7, 2] += 1e-5
    error = refused(model, other, STEPS)
    assert "lstm" in kinds(model, STEPS)[error.operation].lower()
    assert f"is {stored:.9g}, expected " in error.divergence


def test_faults_in_a_loop_are_blamed_on_operations_of_the_loop(converted: Callable[[Any, np.ndarray], Any]) -> None:
    module = recurrent(nn.GRU)
    model = converted(module, STEPS)
    products = ("linear", "innerProduct", "mul", "multiply", "multiplyBroadcastable")
    inside = {name for name, kind in kinds(model, STEPS).items() if kind in products}
    assert assert_equivalent(model, module, {"x0": STEPS}).widest < 1e-6
    exchanged, negated = copy.deepcopy(module), copy.deepcopy(module)
    with torch.no_grad():
        reset, update, new = (part.clone() for part in module.loop.weight_ih_l0.chunk(3))
        exchanged.loop.weight_ih_l0.copy_(torch.cat([update, reset, new]))
        negated.loop.bias_hh_l0.neg_()
    assert refused(model, exchanged, STEPS).operation in inside
    error = refused(model, negated, STEPS)
    assert error.operation in inside
    assert "bias does not follow from the source" in error.divergence


# ---- Numbers of constants ----


def verified(values: np.ndarray, known: np.ndarray, *derived: Derived, **more: Any) -> Any:
    constants = Constants(np.unique(np.append(known, 0)))
    return verify([Stored("op", "lstm", "weights", np.asarray(values, np.float64), **more)], derived, constants)


def test_numbers_in_any_arrangement_are_a_copy_unless_there_are_so_many_that_it_would_be_chance() -> None:
    known = RANDOM.normal(size=600).astype(np.float32).astype(np.float64)
    copied = RANDOM.permutation(known)[:48].reshape(6, 8)
    copied[3, 5] += 1e-3
    (finding,) = verified(copied, known).findings
    assert finding.operation == "op"
    assert f"weights at [3, 5] is {copied[3, 5]:.9g}" in finding.text
    assert "(1 of 48 numbers)" in finding.text
    assert not verified(RANDOM.normal(size=(6, 8)), known).findings
    dense = np.arange(2**20) * 2.0**-20 + 2.0**-22  # from 1/2 to 1 every 16th number of single precision
    assert not verified(dense[-48:] + np.where(np.arange(48) == 7, 2.0**-21, 0), dense).findings


def test_sums_of_biases_stand_for_themselves_in_double_precision() -> None:
    one, other = RANDOM.normal(size=(2, 12))
    known = np.concatenate([one, other])
    sums = Derived("b + c", one + other, abs(one) + abs(other), scattered=True)
    stored = (one + other)[::-1].astype(np.float32).astype(np.float64)
    found = verified(stored, known, sums)
    np.testing.assert_array_equal(found.constants.standing_for(stored), (one + other)[::-1])


def test_faulty_copies_are_found_beside_compressed_ones() -> None:
    known = RANDOM.normal(size=(4, 5))
    wrong = known + np.where(np.arange(20).reshape(4, 5) == 13, 1e-3, 0)
    whole = Derived("w", known, abs(known))
    assert len(verified(wrong, known, whole).findings) == 1
    assert not verified(wrong, known, whole, compressed=True).findings


# ---- Right conversions ----


def test_what_torch_leaves_out_of_a_softplus_is_no_difference() -> None:
    """2e-9 of 20, which single precision does not see."""
    x = np.array([[19.0, 20.0625, 21.0, 30.0, -3.0]], np.float32)
    net = build.Network({"x0": (1, 5)}, ["y"], exact=True)
    net.add("activation", inputs="x0", outputs="t", softplus={})
    net.add("activation", name="twice", inputs="t", outputs="y", linear={"alpha": 2.0})

    class Soft(nn.Module):  # type: ignore[misc]
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: Any) -> Any:
            return nn.functional.softplus(x) * self.factor

    assert assert_equivalent(net.spec(), Soft(2.0).eval(), {"x0": x}).values >= 2
    assert refused(net.spec(), Soft(2 + 2**-20).eval(), x).operation == "twice"


def test_infinite_masks_leave_bounds_narrow() -> None:
    mask = np.triu(np.full((4, 4), -np.inf, np.float32), 1)

    class Masked(nn.Module):  # type: ignore[misc]
        def __init__(self, above: int) -> None:
            super().__init__()
            self.register_buffer("mask", torch.from_numpy(np.triu(np.full((4, 4), -np.inf, np.float32), above)))

        def forward(self, x: Any) -> Any:
            return torch.softmax(x + self.mask, -1)

    x = RANDOM.normal(size=(2, 4, 4)).astype(np.float32)
    made = build.Program({"x0": (2, 4, 4)}, opset="CoreML7")
    scores = made.add("add", x=made["x0"], y=mask, name="masked")
    made.output(made.add("softmax", x=scores, axis=-1, name="weights"))
    found = assert_equivalent(made.model(), Masked(1).eval(), {"x0": x})
    assert found.double is not None
    assert 0 < found.double < 1e-10
    assert not math.isnan(found.widest)
    assert refused(made.model(), Masked(2).eval(), x).operation == "masked"
