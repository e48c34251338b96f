"""``refcoreml oracle``, run in the process: numbers that nothing is known of, layers, programs."""

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


@pytest.fixture
def program(tmp_path):
    """Half of x, in half precision, and the largest one, by a function of the name ``main``."""
    made = build.Program({"x": ("fp16", (2, 3))})
    y = made.add("mul", x=made["x"], y=np.float16(0.3), name="y")
    made.output(y, made.add("topk", x=y, k=np.int32(1), name=["largest", "place"])[1])
    made.save(tmp_path / "net.mlpackage")
    return str(tmp_path / "net.mlpackage"), "--input", "x=[[1,2,3],[6,5,4]]"


def test_programs_are_answered_as_they_declare(run, program):
    code, out, err = run("oracle", *program)
    assert code == 0, err
    assert out.split()[0] == "declared"
    assert rows(out)["y"][1:3] == ["2x3", "ulp"]
    assert float(rows(out)["y"][-2]) == pytest.approx(1.8 * 2**-11, rel=0.01)
    assert rows(out)["place"][1:] == ["2x1", "composite", "2", "0", "none"]
    code, out, _ = run("oracle", *program, "--function", "main", "--profile", "fp32")
    assert (code, out.split()[0]) == (0, "fp32")


def test_layers_are_answered_by_themselves(run, program, model):
    code, out, err = run("oracle", *program, "--layers")
    assert code == 0, err
    assert [line.split()[:4] for line in out.splitlines()] == [
        ["declared", "type", "shape", "check"],
        ["y", "mul", "2x3", "ulp"],
        ["largest", "topk", "2x1", "either"],
        ["place", "topk", "2x1", "either"],
    ]
    assert rows(out)["largest"][-2] == "0"
    code, out, err = run("oracle", *model(ZERO, 2.0, 3.0, ZERO), "--layers", "--json")
    assert code == 0, err
    layers = json.loads(out)["layers"]
    assert [layer["type"] for layer in layers] == ["tan", "unary", "activation", "unary"]
    np.testing.assert_allclose(layers[1]["outputs"]["t"]["value"], np.exp([0.5, 2, 3, 0.5]))
    assert layers[2]["inputs"] == [[float(np.float32(x)) for x in layers[1]["outputs"]["t"]["value"]]]


def test_layers_are_not_written_to_a_file(run, program, tmp_path):
    code, _, err = run("oracle", *program, "--layers", "-o", tmp_path / "answers.npz")
    assert code == 2
    assert "--json prints the numbers of layers" in err
    assert not (tmp_path / "answers.npz").exists()
