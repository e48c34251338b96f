"""Files that commands write: names of outputs that NumPy cannot take, full disks, links, permissions."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from refcoreml import build

Run = Callable[..., tuple[int, str, str]]


def model(folder: Path, *outputs: str) -> Path:
    net = build.Network({"x": (3,)}, list(outputs))
    for index, name in enumerate(outputs):
        net.add("activation", inputs="x", outputs=name, linear={"alpha": index + 2.0, "beta": 0.0})
    net.model().save(folder / "model.mlmodel")
    return folder / "model.mlmodel"


def picture_model(folder: Path) -> Path:
    net = build.Network({"image": build.image(6, 4)}, {"styled": build.image(6, 4)})
    net.add("activation", outputs="styled", linear={"alpha": 1.0, "beta": 0.0})
    net.model().save(folder / "picture.mlmodel")
    Image.fromarray(np.arange(72, dtype=np.uint8).reshape(4, 6, 3)).save(folder / "photo.png")
    return folder / "picture.mlmodel"


@pytest.mark.parametrize("command", ["predict", "oracle"])
def test_outputs_called_like_arguments_of_numpy(run: Run, tmp_path: Path, command: str) -> None:
    names = ("file", "allow_pickle", "args", "kwds")
    target = tmp_path / "y.npz"
    code, _, errors = run(command, model(tmp_path, *names), "-i", "1,2,3", "-o", target)
    assert (code, errors) == (0, "")
    with np.load(target, allow_pickle=False) as found:
        for index, name in enumerate(names):
            np.testing.assert_array_equal(found[name], np.float32([1, 2, 3]) * (index + 2))


@pytest.mark.parametrize(
    ("command", "names"), [("predict", ("y", "y.npy")), ("oracle", ("y", "y.bound")), ("predict", ("y\0z",))]
)
def test_outputs_that_one_archive_cannot_hold(run: Run, tmp_path: Path, command: str, names: tuple[str, ...]) -> None:
    target = tmp_path / "y.npz"
    target.write_bytes(b"old")
    code, _, errors = run(command, model(tmp_path, *names), "-i", "1,2,3", "-o", target)
    assert code == 2
    assert "cannot be stored as .npz" in errors
    assert target.read_bytes() == b"old"


def commands(folder: Path) -> dict[str, tuple[Any, ...]]:
    net, pictures = model(folder, "y"), picture_model(folder)
    np.savez(folder / "samples.npz", x=np.arange(12.0).reshape(4, 3))
    cases = Path(__file__).resolve().parents[2] / "conformance" / "cases"
    session = cases.parent / "sessions" / "refcoreml_float32.py"
    return {
        "predict.npz": ("predict", net, "-i", "1,2,3", "-o"),
        "predict.png": ("predict", pictures, "-i", folder / "photo.png", "-o"),
        "oracle.npz": ("oracle", net, "-i", "1,2,3", "-o"),
        "preview.jpg": ("preview", pictures, "-i", folder / "photo.png", "-o"),
        "quantize.mlmodel": ("quantize", weighted(folder), "--bits", "8", "-o"),
        "compare.csv": ("compare", net, net, "--data", folder / "samples.npz", "--csv"),
        "report.json": ("conformance", "run", "--cases", cases, "--python", session, "ceil/plain/halves", "--json"),
    }


def weighted(folder: Path) -> Path:
    net = build.Network({"x": (3,)}, ["y"])
    net.add("innerProduct", outputs="y", inputChannels=3, outputChannels=5, weights=np.arange(15.0).reshape(5, 3))
    net.model().save(folder / "weighted.mlmodel")
    return folder / "weighted.mlmodel"


WRITTEN = ["predict.npz", "predict.png", "oracle.npz", "preview.jpg", "quantize.mlmodel", "compare.csv", "report.json"]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_full_disk_leaves_the_old_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    command = commands(tmp_path)[name]
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / name
    target.write_bytes(b"old")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        code, _, errors = run(*command, target)
    assert code == 2
    assert "No space left on device" in errors
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path / "out") == [name]
    target.chmod(0o600)
    assert run(*command, target)[0] == 0
    assert target.read_bytes() != b"old"
    assert target.stat().st_mode & 0o777 == 0o600 or os.name == "nt"
    assert os.listdir(tmp_path / "out") == [name]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_link_stays_a_link(run: Run, tmp_path: Path, name: str) -> None:
    command = commands(tmp_path)[name]
    (tmp_path / "away").mkdir()
    target = tmp_path / name
    try:
        target.symlink_to(tmp_path / "away" / name)
    except OSError as error:
        pytest.skip(f"this system makes no symbolic links here: {error}")
    assert run(*command, target)[0] == 0
    assert target.is_symlink()
    assert os.listdir(tmp_path / "away") == [name]


@pytest.mark.parametrize("command", ["predict", "oracle"])
def test_a_command_says_what_it_has_written(run: Run, tmp_path: Path, command: str) -> None:
    arguments = (command, model(tmp_path, "y"), "-i", "1,2,3", "-o", tmp_path / "y.npz")
    assert run(*arguments)[1].endswith(f"written to {tmp_path / 'y.npz'}\n")
    json.loads(run(*arguments, "--json")[1])
