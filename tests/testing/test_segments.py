"""assert_equivalent of torch modules compares every value that both sides have, and goes on from there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refcoreml import build
from refcoreml.execution.engine import Engine
from refcoreml.testing import EquivalenceError, UndeterminedError, assert_equivalent, shaking
from refcoreml.testing.counterparts import Counterparts

torch: Any = pytest.importorskip("torch", reason="needs torch, of the extra oracles")

from refcoreml.testing.torch_modules import Recorded  # noqa: E402

GENERATOR = np.random.default_rng(7)
DEPTH = 12
#: Matrices that lengthen most vectors: a relative error of one number grows 1e4 times until the end.
WEIGHTS = [(GENERATOR.normal(size=(5, 5)) * 1.5).astype(np.float32) for _ in range(DEPTH)]
X = GENERATOR.normal(size=(3, 5)).astype(np.float32)


class Deep(torch.nn.Module):  # type: ignore[misc]
    """Products with matrices that the converter has computed from others, and sines, which forget large numbers."""

    def __init__(self) -> None:
        super().__init__()
        factors = [GENERATOR.uniform(0.5, 2, (5, 1)) for _ in WEIGHTS]
        self.factors = [torch.from_numpy(factor) for factor in factors]
        self.parts = torch.nn.ParameterList(
            torch.nn.Parameter(torch.from_numpy(w / factor)) for w, factor in zip(WEIGHTS, factors, strict=True)
        )

    def forward(self, x: Any) -> Any:
        for part, factor in zip(self.parts, self.factors, strict=True):
            x = torch.sin((x @ part.T) * factor.T)
        return x


MODULE = Deep().eval()


def network(fault: int | None = None, size: float = 0.0) -> Any:
    net = build.Network({"x": (3, 5)}, [f"y{DEPTH - 1}"], exact=True)
    name = "x"
    for number, weights in enumerate(WEIGHTS):
        changed = weights.copy()
        if number == fault:
            changed[1, 2] += size
        sizes = {"weightMatrixFirstDimension": 5, "weightMatrixSecondDimension": 5}
        net.add("batchedMatmul", name=f"product {number}", inputs=name, outputs=f"t{number}", weights=changed, **sizes)
        net.add("sin", name=f"sine {number}", outputs=f"y{number}")
        name = f"y{number}"
    return net.spec()


def program(fault: int | None = None, size: float = 0.0) -> Any:
    made = build.Program({"x": (3, 5)}, opset="CoreML7")
    y = made["x"]
    for number, weights in enumerate(WEIGHTS):
        changed = weights.copy()
        if number == fault:
            changed[1, 2] += size
        product = made.add("linear", x=y, weight=changed, bias=np.zeros(5, np.float32), name=f"product_{number}")
        y = made.add("sin", x=product, name=f"sine_{number}")
    made.output(y)
    return made.model()


DIALECTS = {"network": (network, "product {} "), "program": (program, "product_{}")}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_values_inside_are_compared_so_that_bounds_stay_narrow(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = DIALECTS[dialect][0]()
    found = assert_equivalent(model, MODULE, {"x": X})
    assert found.values == 2 * DEPTH + 1, "and the output once more"
    assert found.segment == 1
    assert found.widest < 1e-4
    monkeypatch.setattr("refcoreml.testing.shaking.Reached.replace", lambda *_: None)
    wide = assert_equivalent(model, MODULE, {"x": X}, widest=np.inf)
    assert wide.double is not None
    assert found.double is not None
    assert wide.double > 100 * found.double, "without going on from counterparts errors grow"


@pytest.mark.parametrize("fault", [0, 5, DEPTH - 1])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_number_that_is_off_by_a_thousandth_is_found_at_any_depth(dialect: str, fault: int) -> None:
    make, name = DIALECTS[dialect]
    with pytest.raises(EquivalenceError) as caught:
        assert_equivalent(make(fault, 1e-3), MODULE, {"x": X})
    assert f"{name.format(fault).strip()}' (" in caught.value.divergence
    assert "first divergent" in caught.value.divergence


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_model_is_predicted_ten_times_at_most(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = DIALECTS[dialect][0]()
    started: list[Engine] = []
    start = Engine._start

    def noted(engine: Engine, *given: Any, **options: Any) -> Any:
        started.append(engine)
        return start(engine, *given, **options)

    monkeypatch.setattr(Engine, "_start", noted)
    assert_equivalent(model, MODULE, {"x": X})
    assert 5 < len(started) <= 10


def test_what_has_wide_bounds_is_not_replaced() -> None:
    """A difference that cancels: replaced by what it should be, it would hide any fault before."""

    class Small(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return ((x + 2.0**40 / 3) - 2.0**40 / 3) * 3

    net = build.Network({"x": (3, 5)}, ["y"], exact=True)
    third = float(np.float32(2.0**40 / 3))
    net.add("activation", inputs="x", outputs="t", linear={"alpha": 1.0, "beta": third})
    net.add("activation", inputs="t", outputs="u", linear={"alpha": 1.0, "beta": -third})
    net.add("activation", inputs="u", outputs="y", linear={"alpha": 3.0})
    with pytest.raises(UndeterminedError, match="undetermined: nothing differs"):
        assert_equivalent(net.spec(), Small().eval(), {"x": X})


def test_integers_that_are_added_up_are_exact() -> None:
    """As in a loop that counts: moved, 3 would be no 3."""

    class Three(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return (torch.ceil(x) == 2).double()

    net = build.Network({"x": (4,)}, ["y"], exact=True)
    net.add("ceil", inputs="x", outputs="t")
    net.add("add", inputs="t", outputs="u", alpha=1.0)
    net.add("equal", inputs="u", outputs="y", alpha=3.0)
    assert assert_equivalent(net.spec(), Three().eval(), {"x": np.float32([0.5, 1.5, 1.25, 2.5])}).double == 0


def test_of_several_counterparts_the_nearest_is_taken() -> None:
    """As in a loop that converges, whose rounds are all within the bounds of one."""

    class Near(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            _, y = x * (0.1 - 5e-9), x * 0.1
            return y * 2

    net = build.Network({"x": (3, 5)}, ["y"], exact=True)
    net.add("activation", inputs="x", outputs="t", linear={"alpha": 0.1})
    net.add("activation", inputs="t", outputs="y", linear={"alpha": 2.0})
    found = assert_equivalent(net.spec(), Near().eval(), {"x": X})
    assert found.values == 3


# ---- Counterparts ----


@pytest.fixture
def values() -> np.ndarray:
    return GENERATOR.normal(size=(2, 3, 5))


def found(values: np.ndarray, recorded: np.ndarray, radius: float = 1e-9, **options: Any) -> list[np.ndarray]:
    return [each.values for each in Counterparts([Recorded("op", recorded)]).find(values, np.array(radius), **options)]


def test_counterparts_have_their_numbers_where_the_model_has_them(values: np.ndarray) -> None:
    off = values + 1e-10
    forms = {
        "the same": off,
        "with more axes": off[None, :, None],
        "flat": off.reshape(-1),
        "turned": off.transpose(2, 0, 1),
        "in another order": np.random.default_rng(0).permutation(off.reshape(-1)),
    }
    for name, recorded in forms.items():
        (got,) = found(values, recorded)
        np.testing.assert_array_equal(got, off, err_msg=name)


def test_one_number_too_far_away_is_no_counterpart(values: np.ndarray) -> None:
    other = values.copy()
    other[1, 2, 4] += 1e-8
    assert not found(values, other)
    assert not found(values, other.transpose(2, 0, 1))
    assert len(found(values, other, 2e-8)) == 1


def test_parameters_are_no_counterparts_of_what_depends_on_the_inputs(values: np.ndarray) -> None:
    recorded = [Recorded("t", values, computed=False)]
    assert not list(Counterparts(recorded).find(values, np.zeros(())))
    assert len(list(Counterparts(recorded).find(values, np.zeros(()), computed=False))) == 1


def test_infinities_and_nan_are_compared() -> None:
    odd = np.array([np.nan, np.inf, 1.5, -np.inf])
    assert len(found(odd, odd.copy())) == 1
    assert not found(odd, np.array([np.nan, np.inf, 1.5, 0.25]))


# ---- Noise ----


def test_what_a_row_has_in_common_is_moved_in_common() -> None:
    """A factor that was folded into a row is off for all of it: sums of equal terms move as far as one does."""
    noise = shaking._Noise(None, np.random.default_rng(0))
    ones = np.ones((7, 4096))
    sums = (noise.constant(ones, 1.0) - ones).mean(1)
    assert np.abs(sums).max() > 0.1


def test_of_few_runs_bounds_are_as_wide_as_chance_requires() -> None:
    """Numbers whose errors differ in size: of a thousand some scatter little in two runs, and are off by more then."""
    random = np.random.default_rng(1)
    base, sizes = np.ones(1000), 10.0 ** random.uniform(-2, 0, 1000)
    outside = 0
    for _ in range(40):
        arrays = [base + sizes * random.normal(size=1000) for _ in range(2)]
        outside += int((np.abs(sizes * random.normal(size=1000)) > shaking._radius(base, arrays)).sum())
    assert outside == 0
