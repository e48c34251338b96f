"""Prints what quantization does to a collection of real models: model x bits x mode, as a Markdown table.

    python examples/quantization_study/table.py MODELS -o study/

MODELS is the folder of the collection that the tests use too (see tests/support.py); models that it lacks are left out.
Each model is studied with `refcoreml.study` on the data that suits it; ``study/<model>/`` gets its report. What is
measured already is not measured again, so that the script can be stopped and started.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import refcoreml
from refcoreml.comparison.tasks import processes

BITS = (16, 8, 6, 4, 3, 2, 1)
MODES = ("linear", "linear:mse", "kmeans")
PORTRAITS = ("portrait_orig.jpg", "person.jpg")
PHOTOS = ("dog.jpg", "person.jpg", "eagle.jpg", "horses.jpg")


def digits(folder: Path, name: str, scale: Any = None) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield a thousand digits of MNIST's test set, with their labels."""
    with np.load(folder / "recorded/mnist/mnist_t10k_first1000.npz") as archive:
        for image, label in zip(archive["images"], archive["labels"].tolist(), strict=True):
            yield {name: Image.fromarray(image) if scale is None else image.reshape(-1) * scale}, label


def gestures(folder: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Windows of 20 rows of sensor data that hold one gesture, each from a fresh state."""
    with np.load(folder / "recorded/gesture/gesture_test_u05.npz") as archive:
        features, session, activity = archive["features"], archive["session"], archive["activity"]
        names = archive["activity_names"]
    for start in range(0, len(features) - 20, 20):
        part = slice(start, start + 20)
        if len(set(session[part])) == len(set(activity[part])) == 1:
            yield {"features": features[part][None]}, str(names[activity[start]])


def photos(
    folder: Path, name: str, width: int, height: int, *, array: Any = None, files: Sequence[str] = PHOTOS
) -> Iterator[dict[str, Any]]:
    """Photos as pictures, or as an array [3, H, W] of 0 to 1 that ``array`` finishes."""
    for file in files:
        with Image.open(folder / "images" / file) as picture:
            resized = picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        yield {name: resized if array is None else array(np.asarray(resized).transpose(2, 0, 1) / 255)}


def portrait(x: Any) -> Any:
    """Return the input of the portrait network: blue first, less the mean of its training data, and scaled."""
    mean, deviation = np.array([102.890434, 111.25247, 126.91212]), np.array([62.93292, 62.82138, 66.355705])
    return ((255 * x[::-1] - mean[:, None, None]) / deviation[:, None, None] / 255)[None]


def unlabelled(samples: Iterator[tuple[dict[str, Any], int]]) -> Iterator[dict[str, Any]]:
    """Return the inputs alone."""
    return (inputs for inputs, _ in samples)


def portraits(folder: Path) -> Iterator[dict[str, Any]]:
    """Photos as the portrait network wants them."""
    return photos(folder, "input.54", 320, 320, array=portrait, files=PORTRAITS)


#: Model, what is made of the folder, and what else `refcoreml.study` is to know.
STUDIES: list[tuple[str, Any, dict[str, Any]]] = [
    ("mnist_r4ghu_cnn_380k", lambda folder: digits(folder, "image"), {}),
    ("mnist_mlp_784", lambda folder: digits(folder, "input1", 1 / 255), {"scores": ["output1"]}),
    ("gesture_lstm_turi", gestures, {}),
    ("tiny_drawing_embedding", lambda folder: unlabelled(digits(folder, "drawing")), {}),
    ("style_fritz_starry_night_025", lambda folder: photos(folder, "image", 480, 640), {}),
    ("seg_sinet_portrait", portraits, {}),
    ("seg_sinet_portrait", portraits, {"select": ["matrices"]}),
    ("waifu2x_anime_noise0", lambda folder: photos(folder, "input", 142, 142, array=lambda x: x), {}),
    ("waifu2x_up_photo_scale2x", lambda folder: photos(folder, "input", 156, 156, array=lambda x: x), {}),
    ("pose_cpm", lambda folder: photos(folder, "image__0", 192, 192), {}),
]


def main() -> None:
    """Run the studies and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("study"))
    parser.add_argument("--only", help="names of models, with commas")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    print("| model | bits | mode | size | of full | weight SNR | output SNR | agreement | accuracy |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for name, data, settings in STUDIES:
        path = options.models / "nn" / f"{name}.mlmodel"
        if not path.exists() or (options.only and name not in options.only.split(",")):
            continue
        label = " ".join([name, *settings.get("select", ())])
        with processes(options.jobs) as executor:
            found = refcoreml.study(
                path,
                data(options.models),
                bits=(32, *BITS),
                modes=MODES,
                directory=options.output / label,
                executor=executor if options.jobs > 1 else None,
                **settings,
            )
        found.write(options.output / label)
        for record in found.of_kind("sweep"):
            print(f"| {label} | {' | '.join(cells(record))} |", flush=True)


def cells(record: refcoreml.studies.Record) -> list[str]:
    """Return a record as cells of the table."""
    c = record.configuration

    def decibels(value: float | None) -> str:
        return "" if value is None else "exact" if value == np.inf else f"{value:.1f} dB"  # NaN: nothing finite

    def rate(value: float | None) -> str:
        return "" if value is None else f"{value:.1%}"

    return [
        str(c.bits),
        c.mode or "float",
        f"{record.size:,}",
        f"{record.ratio:.1%}",
        decibels(record.weight_snr),
        decibels(record.snr),
        rate(record.agreement),
        rate(record.accuracy),
    ]


if __name__ == "__main__":
    main()
