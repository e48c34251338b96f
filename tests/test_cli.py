"""The command line, run in the process; one test starts the installed command."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import refcoreml
from refcoreml import build, demo
from refcoreml.cli import main
from refcoreml.quantization import weight_tensors
from refcoreml.spec import schema


@pytest.fixture
def linear(tmp_path):
    """y = 2 a + b - 1, two inputs of three numbers."""
    net = build.Network({"a": (3,), "b": (3,)}, ["y"])
    net.add("activation", inputs="a", outputs="doubled", linear={"alpha": 2.0, "beta": -1.0})
    net.add("add", inputs=["doubled", "b"], outputs="y")
    path = tmp_path / "linear.mlmodel"
    net.model().save(path)
    return path


@pytest.fixture
def picture_model(tmp_path):
    """An image in, the same image out."""
    net = build.Network({"image": build.image(6, 4)}, {"styled": build.image(6, 4)})
    net.add("activation", outputs="styled", linear={"alpha": 1.0, "beta": 0.0})
    path = tmp_path / "picture.mlmodel"
    net.model().save(path)
    return path


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def test_literal_numbers_in_and_json_out(run, linear):
    code, out, _ = run("predict", linear, "-i", "a=1,2,3", "-i", "b=[10, 20, 30]", "--json")
    assert code == 0
    assert json.loads(out) == {"y": [11.0, 23.0, 35.0]}


def test_arrays_from_npy_npz_and_json(run, linear, tmp_path):
    np.save(tmp_path / "a.npy", np.array([1.0, 2.0, 3.0]))
    np.savez(tmp_path / "both.npz", a=np.array([1.0, 2.0, 3.0]), b=np.array([10.0, 20.0, 30.0]))
    (tmp_path / "b.json").write_text("[10, 20, 30]")
    (tmp_path / "both.json").write_text('{"a": [1, 2, 3], "b": [10, 20, 30]}')
    for given in (
        ("-i", f"a={tmp_path / 'a.npy'}", "-i", f"b={tmp_path / 'b.json'}"),
        ("-i", f"a={tmp_path / 'both.npz'}", "-i", f"b={tmp_path / 'both.npz'}"),
        ("-i", tmp_path / "both.npz"),
        ("-i", tmp_path / "both.json"),
    ):
        code, out, err = run("predict", linear, *given, "--json")
        assert (code, json.loads(out)) == (0, {"y": [11.0, 23.0, 35.0]}), err


def test_outputs_go_to_npz(run, linear, tmp_path):
    code, _, _ = run("predict", linear, "-i", "a=1,2,3", "-i", "b=1,1,1", "-o", tmp_path / "y.npz")
    assert code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["y"], np.array([2, 4, 6], np.float32))


def test_precision_reaches_the_model(run, linear):
    _, out, _ = run("predict", linear, "-i", "a=0.33333,0,0", "-i", "b=0,0,0", "--precision", "float16", "--json")
    third = np.float32(np.float16(0.33333))
    assert json.loads(out)["y"][0] == float(np.float16(2 * third - 1))


def test_a_picture_goes_in_and_out(run, picture_model, photo, tmp_path):
    target = tmp_path / "styled.png"
    code, _, err = run("predict", picture_model, "--input", photo, "--output", target)
    assert code == 0, err
    np.testing.assert_array_equal(np.asarray(Image.open(target)), np.asarray(Image.open(photo)))


@pytest.mark.parametrize("resize", ["fill", "fit", "crop"])
def test_a_picture_of_another_size_is_resized_on_request(run, picture_model, tmp_path, resize):
    Image.new("RGBA", (31, 17), (200, 10, 10, 255)).save(tmp_path / "big.png")
    code, _, err = run("predict", picture_model, "-i", f"image={tmp_path / 'big.png'}")
    assert code == 2
    assert "Add --resize fill, fit or crop" in err
    target = tmp_path / "out.png"
    assert (
        run("predict", picture_model, "-i", f"image={tmp_path / 'big.png'}", "--resize", resize, "-o", target)[0] == 0
    )
    borders = {tuple(map(int, pixel)) for pixel in np.asarray(Image.open(target)).reshape(-1, 3)}
    assert ((0, 0, 0) in borders) == (resize == "fit")
    assert (200, 10, 10) in borders


def test_top_limits_the_classes(run):
    sample = demo.samples()[0][0]
    model = demo.digits_model_path()
    code, out, _ = run("predict", model, "--top", "2", "-i", _saved(sample))
    assert code == 0
    assert "and 8 more" in out
    assert "and 5 more" in run("predict", model, "-i", _saved(sample))[1]
    with pytest.raises(SystemExit) as stop:
        run("predict", model, "--top", "0", "-i", _saved(sample))
    assert stop.value.code == 2


def _saved(picture):
    import tempfile

    path = tempfile.mkdtemp() + "/sample.png"
    picture.save(path)
    return path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["-i", "q=1"], "the model has no input 'q'"),
        (["-i", "a=1,2,3"], "b"),
        (["-i", "a=1,2", "-i", "b=1,2,3"], "input 'a'"),
        (["-i", "a=one", "-i", "b=1,2,3"], "neither a number, a list, JSON nor a file"),
        (["-i", "a=missing.npy", "-i", "b=1,2,3"], "missing.npy: cannot be read: No such file or directory\n"),
        (["-i", "1,2,3"], "no input is named for '1,2,3'"),
        (["-i", "a=1,2,3", "-i", "a=4,5,6", "-i", "b=1,2,3"], "input 'a': is given twice"),
        (["-i", "a=1,2,3", "-i", "b=1,2,3", "-o", "y.txt"], "must end in .npz, .png, .jpg or .jpeg"),
        (["-i", "a=1,2,3", "-i", "b=1,2,3", "-o", "/nowhere/y.npz"], "no such folder"),
        (["-i", "a=1,2,3", "-i", "b=1,2,3", "-o", "y.png"], "0 image outputs"),
    ],
)
def test_wrong_inputs_say_why_and_exit_with_2(run, linear, given, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("predict", linear, *given)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_a_mistyped_name_of_an_input(run, picture_model):
    code, _, err = run("predict", picture_model, "-i", "IMGAE=photo.png")
    assert (code, "has no input 'IMGAE'. Did you mean 'image'? Its inputs are image" in err) == (2, True), err


def test_a_missing_picture_is_named_once(run, picture_model, tmp_path):
    code, _, err = run("predict", picture_model, "-i", tmp_path / "none.png")
    assert code == 2
    assert err.count("none.png") == 1
    assert err.endswith("cannot be read as a picture: No such file or directory\n")


def test_a_file_that_is_no_picture(run, picture_model, tmp_path):
    (tmp_path / "text.png").write_text("hello")
    code, _, err = run("predict", picture_model, "-i", tmp_path / "text.png")
    assert code == 2
    assert "cannot be read as a picture" in err


def test_exit_codes_tell_whose_fault_it_is(run, tmp_path):
    assert run("inspect", tmp_path / "missing.mlmodel")[0] == 2
    (tmp_path / "empty.mlmodel").write_bytes(b"")
    assert run("predict", tmp_path / "empty.mlmodel")[0] == 3
    spec = schema.Model(specificationVersion=1)
    spec.scaler.shiftValue.append(1.0)
    (tmp_path / "scaler.mlmodel").write_bytes(spec.SerializeToString())
    assert run("predict", tmp_path / "scaler.mlmodel")[0] == 4


def test_inspect_shows_features_layers_and_storage(run):
    code, out, _ = run("inspect", demo.digits_model_path())
    assert code == 0
    for text in ("neuralNetworkClassifier", "Grayscale", "convolution", "softmax", "runs on", "license", "gray = "):
        assert text in out
    assert "convolution" not in run("inspect", demo.digits_model_path(), "--no-layers")[1]


def test_inspect_as_json_holds_shapes_and_weights(run, linear):
    _, out, _ = run("inspect", linear, "--json")
    found = json.loads(out)
    assert [layer["kind"] for layer in found["layers"]] == ["activation", "add"]
    assert found["layers"][1]["output_shapes"] == [[1, 1, 3, 1, 1]]
    assert found["layers"][0]["parameters"] == {"linear": {"alpha": 2.0, "beta": -1.0}}
    assert found["problem"] == ""


def test_inspect_works_for_a_model_that_cannot_run(run, tmp_path):
    net = build.Network({"x": (3,)}, ["y"])
    net.add("custom", outputs="y", class_name="GridSampler", description="samples a grid")
    (tmp_path / "custom.mlmodel").write_bytes(net.spec().SerializeToString())
    code, out, _ = run("inspect", tmp_path / "custom.mlmodel")
    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith("custom layer (1 x)"))
    assert "GridSampler" in row
    assert "samples a grid" in row
    assert row.rstrip().endswith("missing")
    assert "cannot run this model" in out


def test_trace_names_the_first_layer_that_goes_bad(run, tmp_path):
    net = build.Network({"x": (3,)}, ["y"])
    net.add("activation", name="big", linear={"alpha": 1e6, "beta": 0.0})
    net.add("activation", outputs="y", ReLU={})
    path = tmp_path / "big.mlmodel"
    net.model().save(path)
    code, out, _ = run("trace", path, "-i", "x=1,2,3")
    assert code == 0
    assert "'big' exceeds the largest half precision number" in out
    code, out, _ = run("trace", path, "-i", "x=1,2,3", "--precision", "float16")
    assert code == 1
    assert "first bad layer: 0 'big' (activation) makes 0 NaN and 3 Inf" in out
    code, out, _ = run("trace", path, "-i", "x=1,2,3", "--precision", "float16", "--json")
    assert json.loads(out)["first_bad"]["layer"] == "big"


def test_trace_counts_what_rounding_to_half_precision_makes_zero_or_subnormal(run, tmp_path):
    """Of 1, 1e-5 and 0 times 1e-3, 1e-8 is below 2^-25 and becomes 0; a product that is 0 was 0 before.

    1e-5 and 0 are subnormal and 0; so are they after the ReLU, but it changes no number, so that nothing is lost there.
    """
    net = build.Network({"x": (4,)}, ["y"])
    net.add("activation", name="small", linear={"alpha": 1e-3, "beta": 0.0})
    net.add("activation", name="same", outputs="y", ReLU={})
    path = tmp_path / "small.mlmodel"
    net.model().save(path)
    command = "trace", path, "-i", "x=1,0.01,0.00001,0"
    code, out, _ = run(*command, "--precision", "float16", "--json")
    assert code == 0
    small, same = json.loads(out)["layers"]
    assert (small["vanished"], small["subnormal"]) == (1, 1)
    assert (same["vanished"], same["subnormal"]) == (0, 0)
    code, out, _ = run(*command, "--precision", "float16")
    assert out.splitlines()[0].split()[-3:] == ["to", "0", "subnormal"]
    assert out.splitlines()[1].split()[-2:] == ["1", "1"]
    assert "half precision loses most in layer 0 'small' (activation): 1 of 4 numbers became 0" in " ".join(out.split())
    code, out, _ = run(*command, "--json")
    assert [(row["vanished"], row["subnormal"]) for row in json.loads(out)["layers"]] == [(0, 0), (0, 0)]
    code, out, _ = run(*command)
    assert "subnormal" not in out


def test_demo_shows_every_sample(run):
    code, out, _ = run("demo")
    assert code == 0
    assert f"{len(demo.samples())} of {len(demo.samples())} right" in out
    code, out, _ = run("demo", "--json")
    assert len(json.loads(out)) == len(demo.samples())


def test_help_shows_examples_and_exit_codes(capsys):
    for arguments, text in (
        (["--help"], "exit codes"),
        (["predict", "--help"], "examples"),
        (["trace", "--help"], "half"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
        assert text in capsys.readouterr().out


def test_interrupting_is_quiet(run, monkeypatch, linear):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("refcoreml.cli.inspect.load", interrupted)
    code, _, err = run("inspect", linear)
    assert (code, err.strip()) == (130, "interrupted")


def test_warnings_are_one_line(run, tmp_path):
    net = build.Network({"image": build.image(5, 3)}, ["y"])
    net.preprocess("image", red_bias=1.0)
    net.add("softmax", outputs="y")
    (tmp_path / "zero.mlmodel").write_bytes(net.spec().SerializeToString())
    _, _, err = run("inspect", tmp_path / "zero.mlmodel")
    assert err.startswith("warning: ")
    assert "channelScale" in err


def test_the_installed_command_runs():
    found = subprocess.run(
        [sys.executable, "-m", "refcoreml", "--version"], capture_output=True, text=True, check=True, timeout=120
    )
    assert found.stdout.startswith("refcoreml ")


# --- code of the user's own -------------------------------------------------------------------------------------------


@pytest.fixture
def doubled(tmp_path):
    """A model with a custom layer, and the file that computes it."""
    net = build.Network({"x": (3,)}, ["y"])
    net.add("custom", name="twice", outputs="y", class_name="Times", parameters={"factor": 2}, weights=[[0.5, 1, 2]])
    (tmp_path / "net.mlmodel").write_bytes(net.spec().SerializeToString())
    (tmp_path / "mine.py").write_text(
        "import refcoreml\n\n\n"
        '@refcoreml.custom_layer("Times")\n'
        "def times(x, factor, weights):\n"
        "    return factor * x\n"
    )
    return tmp_path


def test_custom_layers_come_from_a_file(run, doubled):
    command = (doubled / "net.mlmodel", "--input", "x=1,2,3", "--custom", doubled / "mine.py")
    code, out, _ = run("predict", *command, "--json")
    assert code == 0
    assert json.loads(out) == {"y": [2, 4, 6]}
    code, out, _ = run("trace", *command)
    assert code == 0
    assert "twice" in out
    code, out, _ = run("inspect", doubled / "net.mlmodel", "--custom", doubled / "mine.py")
    row = next(line for line in out.splitlines() if line.startswith("custom layer"))
    assert code == 0
    assert "factor=2" in row
    assert "float32 32 bits x 3" in row
    assert row.rstrip().endswith("registered")


def test_what_a_file_registers_is_forgotten_afterwards(run, doubled):
    command = ("predict", doubled / "net.mlmodel", "--input", "x=1,2,3")
    for _ in range(2):
        assert run(*command, "--custom", doubled / "mine.py")[0] == 0
    code, _, err = run(*command)
    assert code == 4
    assert "@refcoreml.custom_layer('Times')" in err
    assert "--custom FILE" in err


def test_no_code_is_imported_because_a_model_names_it(run, doubled, monkeypatch):
    """Not even from the working directory, where the class and file are called as the model says."""
    monkeypatch.chdir(doubled)
    (doubled / "Times.py").write_text("raise SystemExit(77)\n")
    net = build.Network({"x": (3,)}, ["y"])
    net.add("custom", outputs="y", class_name="Times.evaluate")
    (doubled / "other.mlmodel").write_bytes(net.spec().SerializeToString())
    for command in (("predict", "other.mlmodel", "--input", "x=1,2,3"), ("inspect", "other.mlmodel")):
        assert run(*command)[0] == (4 if command[0] == "predict" else 0)
    assert "Times" not in sys.modules


@pytest.mark.parametrize(
    ("text", "exit_code", "message"),
    [
        (None, 2, "bad.py: there is no such file"),
        ("1 / 0", 5, "bad.py: raised ZeroDivisionError: division by zero"),
        ("def f(:", 5, "bad.py: raised SyntaxError"),
        ("raise SystemExit(0)", 5, "bad.py: raised SystemExit"),
        ("import refcoreml", 2, "bad.py: registers nothing. Mark classes"),
        ("import refcoreml\nrefcoreml.custom_layer('Times')(len)", 2, "'Times' is registered already"),
    ],
)
def test_files_of_code_that_fail_are_told(run, doubled, text, exit_code, message):
    if text is not None:
        (doubled / "bad.py").write_text(text)
    files = ("--custom", doubled / "mine.py", "--custom", doubled / "bad.py")
    code, _, err = run("predict", doubled / "net.mlmodel", "--input", "x=1,2,3", *files)
    assert code == exit_code
    assert message in err
    assert "--custom" in err


def test_names_that_look_like_markup_are_shown_as_they_are(run, tmp_path):
    net = build.Network({"x": (3,)}, ["[/y]"])
    net.add("custom", name="[/bold]", outputs="[/y]", class_name="[/c]", description="[red]samples[/d]")
    (tmp_path / "net.mlmodel").write_bytes(net.spec().SerializeToString())
    (tmp_path / "mine.py").write_text("import refcoreml\nrefcoreml.custom_layer('[/c]')(lambda x: x)\n")
    command = (tmp_path / "net.mlmodel", "--custom", tmp_path / "mine.py")
    code, out, _ = run("inspect", *command)
    assert code == 0
    assert all(text in out for text in ("[/bold]", "[/y]", "[/c]", "[red]samples[/d]"))
    for name in ("predict", "trace"):
        code, out, _ = run(name, *command, "--input", "x=1,2,3")
        assert code == 0
        assert ("[/bold]" if name == "trace" else "[/y]") in out


def test_pipelines_name_the_models_of_their_layers(run, linear, tmp_path):
    """2 a + b - 1, then that times 3."""
    net = build.Network({"y": (3,)}, ["z"])
    net.add("activation", name="triple", outputs="z", linear={"alpha": 3.0})
    first = schema.Model.FromString(linear.read_bytes())
    spec = schema.Model(specificationVersion=3)
    spec.description.input.extend(first.description.input)
    spec.description.output.add(name="z").type.CopyFrom(build.array(3))
    spec.pipeline.models.extend([first, net.spec()])
    spec.pipeline.names.extend(["sum", "product"])
    (tmp_path / "two.mlmodel").write_bytes(spec.SerializeToString())
    inputs = ("--input", "a=1,2,3", "--input", "b=1,0,-1")
    code, out, _ = run("predict", tmp_path / "two.mlmodel", *inputs, "--json")
    assert code == 0
    assert json.loads(out) == {"z": [6, 9, 12]}
    code, out, _ = run("trace", tmp_path / "two.mlmodel", *inputs)
    assert code == 0
    assert "product/triple" in out
    code, out, _ = run("inspect", tmp_path / "two.mlmodel")
    assert code == 0
    assert out.index("contains sum") < out.index("contains product") < out.index("triple")


# --- quantize ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def weighted(tmp_path):
    """Two layers with weights, `first` of 20 x 30 and `second` of 10 x 20."""
    rng = np.random.default_rng(0)
    net = build.Network({"x": (30,)}, ["y"], exact=True)
    for name, inputs, outputs in ("first", 30, 20), ("second", 20, 10):
        weights = rng.standard_normal((outputs, inputs)).astype(np.float32)
        made = "y" if name == "second" else name
        net.add("innerProduct", name=name, outputs=made, inputChannels=inputs, outputChannels=outputs, weights=weights)
    path = tmp_path / "weighted.mlmodel"
    net.model().save(path)
    return path


def test_quantize_writes_a_smaller_model_and_shows_each_layer(run, weighted, tmp_path):
    code, out, err = run("quantize", weighted, "--bits", "3", "--mode", "kmeans", "-o", tmp_path / "small.mlmodel")
    assert code == 0
    assert err == ""  # no bar, nor a line for one, where no terminal shows it
    assert "lookup table 3" in out
    assert "20x30" in out
    small = refcoreml.load(tmp_path / "small.mlmodel")
    assert [tensor.encoding.bits for tensor in weight_tensors(small)] == [3, 3]
    size = (tmp_path / "small.mlmodel").stat().st_size
    assert f"{100 * size / weighted.stat().st_size:.1f} %" in out


def test_quantize_with_a_plan_a_selector_and_json(run, weighted, tmp_path):
    (tmp_path / "plan.json").write_text('{"second": [4, "kmeans"]}')
    arguments = ["--plan", tmp_path / "plan.json", "--bits", "8", "--select", "count<=500", "--json"]
    code, out, _ = run("quantize", weighted, *arguments, "-o", tmp_path / "small.mlmodel")
    assert code == 0
    rows = json.loads(out)["weights"]
    assert [(row["layer"], row["after"], row["bits_after"]) for row in rows] == [
        ("first", "float32", 32),
        ("second", "lookup table", 4),
    ]
    assert rows[0]["snr"] == "inf"
    assert 15 < rows[1]["snr"] < 25


def test_quantize_to_32_bits_gives_the_decoded_weights_back(run, weighted, tmp_path):
    small, full = tmp_path / "small.mlmodel", tmp_path / "full.mlmodel"
    assert run("quantize", weighted, "--bits", "5", "--fit", "mse", "-o", small)[0] == 0
    assert run("quantize", small, "--bits", "32", "-o", full)[0] == 0
    one, other = refcoreml.load(small), refcoreml.load(full)
    assert {tensor.encoding.kind for tensor in weight_tensors(other)} == {"float32"}
    x = {"x": np.arange(30, dtype=np.float32)}
    np.testing.assert_array_equal(one.predict(x)["y"], other.predict(x)["y"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bits", "9"], "9 bits"),
        ([], "--bits"),
        (["--bits", "4", "--fit", "best"], "unknown fit"),
        (["--bits", "4", "--select", "colour=red"], "cannot read the selector"),
        (["--plan", "missing.json"], "cannot read the plan"),
    ],
)
def test_quantize_refuses_what_makes_no_sense(run, weighted, tmp_path, arguments, words):
    code, _, err = run("quantize", weighted, *arguments, "-o", tmp_path / "small.mlmodel")
    assert code == 2
    assert words in err
    assert not (tmp_path / "small.mlmodel").exists()


def test_oracle(run, linear, tmp_path):
    given = ("oracle", linear, "-i", "a=1,2,3", "-i", "b=0.1,0.2,0.3")
    code, out, _ = run(*given, "-o", tmp_path / "answers.npz")
    assert code == 0
    assert "composite" in out
    with np.load(tmp_path / "answers.npz") as answers:
        assert set(answers) == {"y", "y.bound", "y.check"}
        np.testing.assert_allclose(answers["y"], [1.1, 3.2, 5.3], rtol=1e-6)
        assert (answers["y.bound"] > 0).all()
        assert (answers["y.bound"] < 1e-6).all()
    found = json.loads(run(*given, "--profile", "fp16/acc32", "--json")[1])["y"]
    assert 1e-4 < max(found["bound"]) < 1e-2


def test_oracle_refuses(run, linear, tmp_path):
    given = ("oracle", linear, "-i", "a=1,2,3", "-i", "b=1,1,1")
    assert "must end in .npz" in run(*given, "-o", tmp_path / "answers.json")[2]
    code, _, err = run(*given, "-o", tmp_path / "missing" / "answers.npz")
    assert code == 2
    assert "no such folder" in err


@pytest.mark.parametrize(
    ("command", "name"),
    [("quantize", "x.mlmodel"), ("oracle", "x.npz"), ("preview", "x.png"), ("predict", "x.npz")],
)
def test_where_to_write_is_checked_before_any_work(run, tmp_path, command, name):
    """Even before the model is read, which is none here."""
    (tmp_path / "none.mlmodel").write_bytes(b"")
    more = ["--bits", "8"] if command == "quantize" else ["-i", "x=1"]
    for target, words in ((tmp_path / "nowhere" / name, "no such folder"), (tmp_path / "x.txt", "must end in")):
        code, _, err = run(command, tmp_path / "none.mlmodel", *more, "-o", target)
        assert code == 2
        assert words in err
