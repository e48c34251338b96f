"""Samples from folders, archives, lists and iterators; what is broken is named."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from refcoreml import build
from refcoreml.errors import InputError, UsageError
from refcoreml.reporting.samples import Source, fingerprint, read_image, read_labels


@pytest.fixture
def pictures_model():
    net = build.Network({"image": build.image(6, 4)}, {"y": build.image(6, 4)})
    net.add("activation", outputs="y", linear={"alpha": 1.0})
    return net.model()


@pytest.fixture
def pair_model():
    """Two inputs, [3] and [2, 4, 5]."""
    net = build.Network({"a": (3,), "b": (2, 4, 5)}, ["y"])
    net.add("flatten", inputs="b", outputs="flat", mode="CHANNEL_FIRST")
    net.add("concat", inputs=["a", "flat"], outputs="y")
    return net.model()


@pytest.fixture
def folder(tmp_path):
    """A picture in each of two classes, one in capitals, and a file that is no picture."""
    for number, name in enumerate(["cat/b.png", "cat/a.PNG", "dog/c.png"]):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), (number, 0, 0)).save(path)
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    return tmp_path / "pictures"


def test_a_folder_in_the_order_of_names(pictures_model, folder):
    samples = list(Source(folder).samples(pictures_model))
    assert [sample.name for sample in samples] == ["cat/a.PNG", "cat/b.png", "dog/c.png"]
    assert [np.asarray(sample.inputs["image"])[0, 0, 0] for sample in samples] == [1, 0, 2]
    assert [sample.label for sample in samples] == [None] * 3


@pytest.mark.parametrize(
    "labels",
    ["folders", ["cat", "cat", "dog"], {"cat/a.PNG": "cat", "b.png": "cat", "dog/c.png": "dog"}],
)
def test_labels_of_a_folder(pictures_model, folder, labels):
    assert [sample.label for sample in Source(folder, labels).samples(pictures_model)] == ["cat", "cat", "dog"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["cat"], "1 labels, but more samples"),
        (["cat"] * 4, "4 labels for 3 samples"),
        ({"a.PNG": "cat"}, "cat/b.png: there is no label"),
        ("label", "an array of an .npz, but these are pictures"),
    ],
)
def test_labels_that_do_not_match(pictures_model, folder, labels, message):
    with pytest.raises(UsageError, match=message):
        list(Source(folder, labels).samples(pictures_model))


def test_broken_pictures_are_named_and_skipped_only_on_request(pictures_model, folder):
    whole = (folder / "dog" / "c.png").read_bytes()
    (folder / "dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "dog" / "empty.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match=r"cut.png: cannot be read as a picture"):
        list(Source(folder).samples(pictures_model))
    skipped = []
    samples = list(Source(folder, skip_broken=True).samples(pictures_model, skipped))
    assert len(samples) == 3
    assert skipped == ["dog/cut.png", "dog/empty.jpg"]


def test_a_picture_of_another_size_is_not_broken(pictures_model, folder):
    Image.new("L", (9, 9)).save(folder / "big.png")
    for skip in (False, True):
        with pytest.raises(UsageError, match=r"big.png.*9 x 9.*Add --resize"):
            list(Source(folder, skip_broken=skip).samples(pictures_model))
    samples = list(Source(folder, resize="fill").samples(pictures_model))
    assert {sample.inputs["image"].size for sample in samples} == {(6, 4)}
    assert {sample.inputs["image"].mode for sample in samples} == {"RGB"}


def test_hidden_files_are_left_out(pictures_model, folder):
    """Such as those that macOS writes beside files on foreign disks."""
    (folder / "cat" / "._a.PNG").write_bytes(b"no picture")
    assert len(list(Source(folder).samples(pictures_model))) == 3


def test_options_beside_a_source_count(folder):
    source = Source(folder, "folders", "fit")
    assert Source.of(source, labels=None, resize="crop", skip_broken=False) == Source(folder, "folders", "crop")
    assert Source.of(source, labels=["a"], resize=None, skip_broken=True) == Source(folder, ["a"], "fit", True)


def test_only_broken_pictures_are_no_data(pictures_model, tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"no samples.*1 files were skipped"):
        list(Source(tmp_path, skip_broken=True).samples(pictures_model, []))


def test_a_folder_suits_one_image_input(pair_model, folder):
    with pytest.raises(UsageError, match="a folder of pictures suits models with one image input"):
        list(Source(folder).samples(pair_model))


def test_empty_data(pair_model, tmp_path):
    for data, message in [
        ([], "no samples"),
        (tmp_path, "neither pictures nor .npz"),
        (tmp_path / "missing", "no such file"),
        ({"a": 1}, "cannot take samples from dict"),
        (3, "cannot take samples from int"),
        ([3], "expected a dict"),
    ]:
        with pytest.raises(UsageError, match=message):
            list(Source(data).samples(pair_model))


def stack(count=5):
    generator = np.random.default_rng(0)
    return {"a": generator.normal(size=(count, 3)), "b": generator.normal(size=(count, 2, 4, 5))}


def test_an_archive_holds_samples_first(pair_model, tmp_path):
    arrays = stack()
    np.savez(tmp_path / "x.npz", **arrays, kind=np.arange(10, 15))
    samples = list(Source(tmp_path / "x.npz", "kind").samples(pair_model))
    assert [sample.label for sample in samples] == [10, 11, 12, 13, 14]
    assert isinstance(samples[0].label, int)
    np.testing.assert_array_equal(samples[3].inputs["b"], arrays["b"][3])


def test_an_archive_of_one_sample_and_a_folder_of_archives(pair_model, tmp_path):
    arrays = stack(2)
    for number in range(2):
        np.savez(tmp_path / f"{number}.npz", **{name: array[number] for name, array in arrays.items()})
    samples = list(Source(tmp_path).samples(pair_model))
    assert [sample.name for sample in samples] == ["0.npz 0", "1.npz 0"]
    np.testing.assert_array_equal(samples[1].inputs["a"], arrays["a"][1])
    (tmp_path / "2.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(UsageError, match=r"2.npz: cannot be read"):
        list(Source(tmp_path).samples(pair_model))
    skipped = []
    assert len(list(Source(tmp_path, skip_broken=True).samples(pair_model, skipped))) == 2
    assert skipped == ["2.npz"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros((5, 3))}, "but the model's inputs are a, b"),
        ({"a": np.zeros((5, 3)), "b": np.zeros((4, 2, 4, 5))}, "differ in their number of samples"),
        ({"a": np.zeros(3), "b": np.zeros((4, 2, 4, 5))}, "some arrays hold several samples and some one"),
    ],
)
def test_archives_that_do_not_fit(pair_model, tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(UsageError, match=message):
        list(Source(tmp_path / "x.npz").samples(pair_model))


def test_bytes_of_pictures_in_an_archive(pictures_model, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", any_name=pixels)
    samples = list(Source(tmp_path / "x.npz").samples(pictures_model))
    np.testing.assert_array_equal(np.asarray(samples[1].inputs["image"]), pixels[1])
    np.savez(tmp_path / "gray.npz", image=pixels[..., 0])
    samples = list(Source(tmp_path / "gray.npz").samples(pictures_model))
    assert len(samples) == 2
    assert samples[0].inputs["image"].mode == "RGB"


def test_labels_as_an_array(pair_model):
    data = [{"a": np.zeros(3), "b": np.zeros((2, 4, 5))}] * 2
    labels = [sample.label for sample in Source(data, np.array([4, 5])).samples(pair_model)]
    assert labels == [4, 5]
    assert all(type(label) is int for label in labels)


def test_an_iterator_is_read_one_at_a_time(pair_model):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield {"a": np.zeros(3), "b": np.zeros((2, 4, 5))}, len(taken)

    samples = Source(endless()).samples(pair_model)
    assert next(samples).label == 1
    assert next(samples).label == 2
    assert len(taken) == 2


def test_label_files(tmp_path):
    (tmp_path / "l.json").write_text(json.dumps([3, "a"]))
    (tmp_path / "o.json").write_text(json.dumps({"x.png": 7}))
    (tmp_path / "l.csv").write_text("x.png,cat\ny.png,dog\n")
    (tmp_path / "l.txt").write_text("cat\n\ndog\n")
    np.save(tmp_path / "l.npy", np.array([4, 5]))
    assert read_labels(tmp_path / "l.json") == [3, "a"]
    assert read_labels(tmp_path / "o.json") == {"x.png": 7}
    assert read_labels(tmp_path / "l.csv") == {"x.png": "cat", "y.png": "dog"}
    assert read_labels(tmp_path / "l.txt") == ["cat", "dog"]
    assert read_labels(tmp_path / "l.npy") == [4, 5]


@pytest.mark.parametrize(
    ("name", "text"), [("x.json", "{"), ("x.json", "3"), ("x.json", "[0.5]"), ("x.csv", "a,b,c"), ("x.npy", "no")]
)
def test_label_files_that_are_none(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=name):
        read_labels(tmp_path / name)


def test_fingerprints_tell_data_apart(pair_model):
    def digest(data, labels=None):
        return fingerprint(Source(data, labels).samples(pair_model))

    data = [{"a": np.zeros(3), "b": np.zeros((2, 4, 5))}]
    changed = [{"a": np.array([0, 0, 1e-30]), "b": np.zeros((2, 4, 5))}]
    assert digest(data) == digest([dict(data[0])])
    assert len({digest(data), digest(changed), digest(data, [1]), digest(data * 2)}) == 4


def test_a_source_can_be_sent(folder):
    assert pickle.loads(pickle.dumps(Source(folder, "folders", "fill"))) == Source(folder, "folders", "fill")


def test_a_sample_that_does_not_fit_is_an_input_error(pictures_model, tmp_path):
    np.savez(tmp_path / "x.npz", image=np.zeros((2, 1, 1, 2, 3, 4), np.uint8))
    with pytest.raises(InputError, match="is no picture"):
        list(Source(tmp_path / "x.npz").samples(pictures_model))


def test_a_file_of_arrays_is_no_picture(pictures_model, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(UsageError, match=r"x\.npy: is a file of arrays, but an image input takes a picture$"):
        read_image(pictures_model.inputs[0], tmp_path / "x.npy", None)


def test_a_single_array_is_to_be_stored_with_its_input_s_name(pair_model, tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(
        UsageError, match=r"neither a folder nor an \.npz\. .*np\.savez\('data\.npz', \*\*{'a': array}\)"
    ):
        list(Source(tmp_path / "a.npy").samples(pair_model))
