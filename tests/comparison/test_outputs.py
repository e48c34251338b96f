"""Comparing outputs of whole models."""

from __future__ import annotations

import json
import math
import tracemalloc
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import refcoreml
from refcoreml import build
from refcoreml.errors import UsageError

LABELS = ["ant", "bee", "cow", "dog", "eel", "fox", "gnu"]


def linear(weights, name="x", output="y", **options):
    """y = W x."""
    net = build.Network({name: (weights.shape[1],)}, [output], **options)
    net.add(
        "innerProduct",
        outputs=output,
        weights=weights,
        input_channels=weights.shape[1],
        output_channels=weights.shape[0],
    )
    return net.model()


def weights(rows=7, columns=5, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


def data(count=40, columns=5, seed=3):
    generator = np.random.default_rng(seed)
    return [{"x": generator.normal(size=columns).astype(np.float32)} for _ in range(count)]


def noisy(w, scale=0.3):
    return w + np.random.default_rng(9).normal(scale=scale, size=w.shape).astype(np.float32)


def test_a_classifier_against_loops():
    w, q = weights(), noisy(weights())
    full, other = linear(w, classes=LABELS), linear(q, classes=LABELS)
    truth = [LABELS[i % 7] for i in range(40)]
    found = refcoreml.compare_models(full, other, data(), labels=truth, top=(3, 7))
    scores, label = found.outputs
    s = np.array([list(full.predict(sample)["y"].values()) for sample in data()])
    r = np.array([list(other.predict(sample)["y"].values()) for sample in data()])
    for k in (1, 3):
        best = np.argsort(-r, axis=1)[:, :k]
        assert scores.agreement[k].agreed == sum(int(a) in row for a, row in zip(s.argmax(1), best, strict=True))
        right = [LABELS.index(name) in row for name, row in zip(truth, best, strict=True)]
        assert scores.accuracy_candidate[k].agreed == sum(right)
    assert set(scores.agreement) == {1, 3}, "top-7 of 7 classes always holds"
    assert label.agreement[1] == scores.agreement[1] == found.agreement
    assert 0 < found.agreement.rate < 1
    noise = ((r - s) ** 2).sum()
    # 280 terms: 280 * 1.1e-16 relative, times 10 / ln(10), over about 5 dB.
    assert scores.difference.snr == pytest.approx(10 * math.log10((s**2).sum() / noise), rel=1e-12)
    assert found.snr == scores.difference.snr


def test_integer_labels_as_text():
    w = weights()
    full = linear(w, classes=list(range(10, 17)))
    truth = [str(full.predict(sample)["classLabel"]) for sample in data()]
    found = refcoreml.compare_models(full, full, data(), labels=truth)
    assert found.outputs[0].accuracy_reference[1].agreed == 40
    assert found.outputs[1].accuracy_candidate[1].agreed == 40


def test_ties_are_ties():
    """Two equal rows of weights: their classes always tie."""
    w = weights()
    w[2] = w[4] = 0
    w[2, 0] = w[4, 0] = 100
    positive = [{"x": np.abs(sample["x"]) + 1} for sample in data()]
    found = refcoreml.compare_models(linear(w, classes=LABELS), linear(w, classes=LABELS), positive)
    scores, label = found.outputs
    assert (scores.agreement[1].agreed, scores.agreement[1].tied) == (0, 40)
    assert label.agreement[1].agreed == 40, "the label that is returned is the first of the best"
    assert "40 tied" in str(found)


def test_arrays_as_scores():
    w = weights()
    truth = [int((w @ sample["x"]).argmax()) for sample in data()]
    full, other = linear(w), linear(noisy(w))
    found = refcoreml.compare_models(full, other, data(), labels=truth, scores=["y"])
    assert found.outputs[0].accuracy_reference[1].agreed == 40
    agreed = found.outputs[0].agreement[1].agreed
    assert agreed == found.outputs[0].accuracy_candidate[1].agreed < 40
    assert refcoreml.compare_models(full, other, data()).agreement is None
    with pytest.raises(UsageError, match=r"labels: there are true labels, but no output has classes.*--scores, of 'y'"):
        refcoreml.compare_models(full, other, data(), labels=truth)
    with pytest.raises(UsageError, match="no array output 'z'"):
        refcoreml.compare_models(full, other, data(), scores=["z"])


@pytest.mark.parametrize("label", ["cat", 7, "ANT"])
def test_labels_that_no_class_has(label):
    model = linear(weights(), classes=LABELS)
    with pytest.raises(UsageError, match=f"sample '0'.*{label!r} is none of the model's 7 classes"):
        refcoreml.compare_models(model, model, data(), labels=[label] * 40)


def image_model(offset, kind="RGB"):
    net = build.Network({"image": build.image(6, 4, kind)}, {"y": build.image(6, 4, kind)})
    net.add("activation", outputs="y", linear={"alpha": 1.0, "beta": float(offset)})
    return net.model()


@pytest.mark.parametrize("kind", ["RGB", "GRAYSCALE"])
def test_images_are_numbers(kind):
    """A constant error of 16 gray levels is 20 log10(255 / 16) dB of PSNR, whichever model is the brighter one."""
    mode = "RGB" if kind == "RGB" else "L"
    samples = [{"image": Image.new(mode, (6, 4), tone)} for tone in ("#646464", "#c8c8c8")]
    for one, other in ((0, 16), (16, 0)):
        found = (
            refcoreml.compare_models(image_model(one, kind), image_model(other, kind), samples).outputs[0].difference
        )
        assert found.max_error == found.mean_error == 16
        assert found.psnr == pytest.approx(20 * math.log10(255 / 16), rel=1e-14)
        assert found.count == 2 * 24 * (3 if mode == "RGB" else 1), "alpha is no part of the picture"


def two_outputs(names, scale=1.0):
    net = build.Network({"x": (5,)}, list(names))
    for position, name in enumerate(names):
        net.add("activation", inputs="x", outputs=name, linear={"alpha": scale + position})
    return net.model()


def test_several_outputs_and_outputs_of_one_model_only():
    found = refcoreml.compare_models(two_outputs(["y", "z"]), two_outputs(["z", "w"], 2.0), data())
    assert [output.name for output in found.outputs] == ["z"]
    assert (found.only_in_reference, found.only_in_candidate) == (["y"], ["w"])
    assert found.outputs[0].difference.noiseless
    assert "only the reference has them: y" in str(found)
    whole = [{"x": np.round(sample["x"] * 8)} for sample in data()]  # so that every product is exact
    both = refcoreml.compare_models(two_outputs(["y", "z"]), two_outputs(["y", "z"], 1.5), whole)
    assert [output.difference.snr for output in both.outputs] == [
        pytest.approx(20 * math.log10(2), rel=1e-13),
        pytest.approx(20 * math.log10(4), rel=1e-13),
    ]
    assert both.snr == both.outputs[0].difference.snr


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (linear(weights()), linear(weights(), name="z"), "inputs differ"),
        (linear(weights()), linear(weights(), output="z"), "share no output"),
        (linear(weights()), linear(weights(), classes=LABELS), "types differ"),
        (image_model(0), image_model(0, "GRAYSCALE"), "inputs differ: Image"),
        (linear(weights(), classes=LABELS), linear(weights(), classes=[*LABELS[:6], "hen"]), "the labels differ"),
    ],
)
def test_models_that_cannot_be_compared(one, other, message):
    samples = data() if one.inputs[0].kind == "array" else [{"image": Image.new("RGB", (6, 4))}]
    with pytest.raises(UsageError, match=message):
        refcoreml.compare_models(one, other, samples)


def test_outputs_of_another_shape():
    with pytest.raises(refcoreml.InputError, match=r"output 'y' of sample '0': the shapes differ: \(7,\) and \(6,\)"):
        refcoreml.compare_models(linear(weights()), linear(weights(6)), data())


def test_nan_is_reported_not_averaged():
    net = build.Network({"x": (5,)}, ["y"])
    net.add("unary", outputs="y", type="LOG")
    model = net.model()
    found = refcoreml.compare_models(model, two_outputs(["y"]), [{"x": np.array([1.0, -1, 2, -3, 4])}])
    assert found.outputs[0].difference.nonfinite == 2
    assert found.outputs[0].difference.nonfinite_differing == 2
    assert found.outputs[0].difference.count == 3
    assert "y: 2 elements are NaN or infinite" in str(found)


def test_an_output_without_finite_numbers_is_the_worst():
    """The first output is fine, the second all NaN."""
    net = build.Network({"x": (5,)}, ["y", "z"])
    net.add("activation", inputs="x", outputs="y", linear={"alpha": 2.0})
    net.add("unary", inputs="x", outputs="z", type="LOG")
    found = refcoreml.compare_models(two_outputs(["y", "z"]), net.model(), [{"x": -np.arange(1.0, 6)}])
    assert found.outputs[0].difference.snr == 0
    assert math.isnan(found.snr)


def test_models_whose_layers_differ():
    """W x + b as one layer and as two."""
    w = weights()
    one = build.Network({"x": (5,)}, ["y"])
    one.add("innerProduct", outputs="y", weights=w, bias=w[:, 0], has_bias=True, input_channels=5, output_channels=7)
    two = build.Network({"x": (5,)}, ["y"])
    two.add("innerProduct", outputs="p", weights=w, input_channels=5, output_channels=7)
    two.add("bias", inputs="p", outputs="y", bias=w[:, 0], shape=[7])
    found = refcoreml.compare_models(one.model(), two.model(), data())
    # A dot product of 5 terms and a sum, in float32: 6 roundings in each model, of numbers below 16.
    assert found.outputs[0].difference.max_error <= 2 * 6 * 2**-24 * 16


def test_sources_agree(tmp_path):
    full, other = linear(weights(), classes=LABELS), linear(noisy(weights()), classes=LABELS)
    np.savez(tmp_path / "x.npz", x=np.stack([sample["x"] for sample in data()]))
    expected = refcoreml.compare_models(full, other, data())
    for given in (tmp_path / "x.npz", str(tmp_path), iter(data())):
        found = refcoreml.compare_models(full, other, given)
        assert found.agreement == expected.agreement
        assert found.outputs[0].difference.snr == expected.outputs[0].difference.snr


def test_paths_of_models(tmp_path):
    linear(weights()).save(tmp_path / "a.mlmodel")
    found = refcoreml.compare_models(tmp_path / "a.mlmodel", str(tmp_path / "a.mlmodel"), data())
    assert found.outputs[0].difference.noiseless


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_any_executor_gives_the_same_bits(pool):
    full, other = linear(weights(), classes=LABELS), linear(noisy(weights()), classes=LABELS)
    here = refcoreml.compare_models(full, other, data())
    done = []
    with pool(2) as executor:
        there = refcoreml.compare_models(full, other, data(), executor=executor, progress=done.append)
    assert there == here
    assert done[-1] == 40


def test_memory_does_not_grow_with_samples():
    full, other = two_outputs(["y"]), two_outputs(["y"], 2.0)

    def peak(count):
        tracemalloc.start()
        generator = np.random.default_rng(0)
        samples = ({"x": generator.normal(size=(200, 1, 5))} for _ in range(count))
        refcoreml.compare_models(full, other, samples)
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    peak(20)
    # The data of 2000 samples alone would take 16 MB.
    assert peak(2000) < peak(20) + 500_000


def test_json_csv_and_plot(tmp_path):
    full, other = linear(weights(), classes=LABELS), linear(noisy(weights()), classes=LABELS)
    found = refcoreml.compare_models(full, other, data(), labels=["ant"] * 40)
    loaded = json.loads(found.to_json(tmp_path / "r.json"))
    assert json.loads((tmp_path / "r.json").read_text()) == loaded
    assert loaded["outputs"][0]["agreement"]["1"]["agreed"] == found.agreement.agreed
    lines = found.to_csv(tmp_path / "r.csv").splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("output,type,samples,count,snr")
    same = refcoreml.compare_models(full, full, data())
    assert json.loads(same.to_json())["outputs"][0]["difference"]["snr"] == "inf"
    assert "exact" in same.table()
    assert "inf" not in same.table()
    with pytest.raises(UsageError, match="cannot be written"):
        found.to_csv(tmp_path / "none" / "r.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.csv", "r.json"]
    pytest.importorskip("matplotlib", reason="needs matplotlib, the extra plot")
    with pytest.raises(UsageError, match=r"must end in \.png, \.svg or \.pdf"):
        found.plot(tmp_path / "r.gif")
    for result in (found, same):
        result.plot(tmp_path / "r.png")
        with Image.open(tmp_path / "r.png") as picture:
            assert min(picture.size) > 200
