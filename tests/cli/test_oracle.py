"""``refcoreml oracle``, run in the process: what it says of numbers that nothing is known of."""

from __future__ import annotations

import json

import numpy as np
import pytest

from refcoreml import build


@pytest.fixture
def model(tmp_path):
    """tan(x) and sqrt(e^x - e^0.5) of four numbers."""
    net = build.Network({"x": (4,)}, ["y", "z"], exact=True)
    net.add("tan", inputs="x", outputs="y")
    net.add("unary", inputs="x", outputs="t", type="EXP")
    net.add("activation", inputs="t", outputs="u", linear={"alpha": 1.0, "beta": -float(np.exp(0.5))})
    net.add("unary", inputs="u", outputs="z", type="SQRT")
    net.model().save(tmp_path / "net.mlmodel")

    def given(*numbers):
        np.save(tmp_path / "x.npy", np.float32(numbers))
        return str(tmp_path / "net.mlmodel"), "--input", f"x={tmp_path / 'x.npy'}"

    return given


def rows(out):
    return {line.split()[0]: line.split() for line in out.splitlines()[1:]}


#: Near pi / 2 the tangent may have any sign in half precision, and near 0.5 the root is that of a rounding error.
POLE, ZERO = np.pi / 2, 0.5


def test_an_output_without_any_known_number_has_no_greatest_one(run, model, tmp_path):
    code, out, err = run("oracle", *model(ZERO, ZERO, ZERO, ZERO))
    assert code == 0, err
    assert rows(out)["z"][-4:] == ["-", "-", "all", "4"]
    assert rows(out)["y"][-1] == "none"
    assert float(rows(out)["y"][-3]) == pytest.approx(np.tan(0.5), rel=1e-5)


def test_known_numbers_count_beside_others(run, model):
    code, out, err = run("oracle", *model(ZERO, 2.0, 3.0, ZERO))
    assert code == 0, err
    assert rows(out)["z"][-1] == "2"
    assert float(rows(out)["z"][-3]) == pytest.approx(np.sqrt(np.exp(3) - np.exp(0.5)), rel=1e-5)


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_nothing_known_at_all_is_said_and_is_no_success(run, tmp_path, more):
    net = build.Network({"x": (2,)}, ["y"], exact=True)
    net.add("multiply", inputs="x", outputs="t", alpha=2.0)
    net.add("tan", inputs="t", outputs="y")
    net.model().save(tmp_path / "net.mlmodel")
    np.save(tmp_path / "x.npy", np.float32([POLE / 2, -POLE / 2]))
    arguments = (tmp_path / "net.mlmodel", "--input", f"x={tmp_path / 'x.npy'}", "-o", tmp_path / "answers.npz")
    code, out, err = run("oracle", *arguments, "--profile", "fp16/acc16", *more)
    assert code == 1
    assert "everything is undetermined: in fp16/acc16" in " ".join(err.split())
    if more:
        assert json.loads(out)["y"]["check"] == "composite"
    else:
        assert rows(out)["y"][-4:] == ["-", "-", "all", "2"]
    with np.load(tmp_path / "answers.npz") as answers:
        assert np.isinf(answers["y.bound"]).all()
