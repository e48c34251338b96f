"""A small classifier, data for it, a record, and a study that can be started as a program."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace

import numpy as np

import refcoreml
from refcoreml import build
from refcoreml.studies import Configuration, Record

LABELS = ["ant", "bee", "cow", "dog"]
NAMES = ["first", "second", "last"]


def classifier():
    """Three weighted layers of different shapes."""
    generator = np.random.default_rng(0)
    net = build.Network({"x": (30,)}, ["scores"], classes=LABELS)
    sizes = [30, 40, 50, 4]
    for name, width, height in zip(NAMES, sizes, sizes[1:], strict=False):
        weights = generator.normal(size=(height, width)).astype(np.float32)
        outputs = "scores" if name == "last" else name
        net.add(
            "innerProduct", name=name, outputs=outputs, weights=weights, input_channels=width, output_channels=height
        )
        if name != "last":
            net.add("activation", ReLU={})
    return net.model()


def samples(count=24):
    generator = np.random.default_rng(1)
    return [{"x": generator.normal(size=30)} for _ in range(count)]


def record(**changes):
    """A record with infinite numbers and a plan; some fields changed."""
    plain = Record(
        configuration=Configuration("plan", plan=(("a", 4, "linear"), ("b", 2, "kmeans"))),
        size=123,
        ratio=0.25,
        weight_snr=math.inf,
        weight_max_error=0.1,
        bounds=((0.5, 0.25), (0.0, 0.0)),
        snr=-math.inf,
        psnr=12.5,
        snr_by_output={"y": -math.inf, "z": 3.0},
        agreement=0.5,
        agreement_tied=0.25,
        top_agreement={"1": 0.5, "5": 1.0},
        accuracy=None,
        full_accuracy=None,
        samples=4,
        quantize_seconds=0.5,
        predict_seconds=0.01,
    )
    return replace(plain, **changes)


if __name__ == "__main__":

    def slowly(done, total):
        print(done, total, flush=True)
        time.sleep(0.05)

    refcoreml.study(classifier(), samples(), sensitivity=(4,), directory=sys.argv[1], progress=slowly)
