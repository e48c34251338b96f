"""Trains the demo's classifier of handwritten digits and writes it as a Core ML model, without Core ML.

    pip install -e ".[train]"
    python examples/digits/train.py [folder]

In about a minute on one core: scikit-learn's 1797 digits are split, a small convolutional network is trained in
PyTorch, its weights are written with `refcoreml.build`, and refcoreml's predictions are compared with PyTorch's, where
the largest allowed difference is derived from the network's own weights. Into the folder (``digits`` unless told
otherwise) go ``digits.mlmodel``, ``samples/*.png``, ``samples.json`` and ``held_out.npz``; the folder
``refcoreml/demo`` holds what one run of this script wrote.

The data: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
https://doi.org/10.24432/C50P49, licensed under Creative Commons Attribution 4.0 (CC BY 4.0). scikit-learn carries its
test part: 13 people wrote it, NIST's programs normalized it. The samples and the held-out digits written here are parts
of it; the samples are interpolated to 32 x 32 pixels.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import refcoreml
from refcoreml import build
from refcoreml.demo import IMAGE_SIZE, digit_image
from refcoreml.spec import schema

sys.path.append(str(Path(__file__).resolve().parents[1]))
from digit_networks import SCALE, carried, compare, describe, digits_split, parameter, softmax_error

TRAINING_SEED = 0
EPOCHS, BATCH = 40, 64


def pixels(counts: NDArray[Any]) -> Tensor:
    """Return the images of digits as float32 [N, 1, 32, 32], from 0 to 255."""
    return torch.from_numpy(np.stack([np.array(digit_image(digit), np.float32) for digit in counts]))[:, None]


def make_network() -> nn.Sequential:
    """About 23,000 weights; takes pixels times `SCALE`, gives ten logits."""
    return nn.Sequential(
        nn.Conv2d(1, 12, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24 * (IMAGE_SIZE // 4) ** 2, 10),
    )


def moved(images: Tensor) -> Tensor:
    """Return the images, each rotated by up to 12 degrees, scaled by up to 10 % and shifted by up to three pixels."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape) * 2 - 1

    count = len(images)
    angle, scale = uniform(count) * math.radians(12), 1 + uniform(count) * 0.1
    shift = uniform(count, 2) * (3 * 2 / IMAGE_SIZE)
    rows = [
        torch.stack([angle.cos() * scale, -angle.sin() * scale, shift[:, 0]], 1),
        torch.stack([angle.sin() * scale, angle.cos() * scale, shift[:, 1]], 1),
    ]
    grid = nn.functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images, grid, align_corners=False)


def train(network: nn.Sequential, images: Tensor, labels: Tensor) -> None:
    """Fits the network, with another movement of every image in every epoch."""
    batches = -(-len(images) // BATCH)
    optimizer = torch.optim.Adam(network.parameters(), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=EPOCHS * batches)
    for epoch in range(1, EPOCHS + 1):
        losses = []
        for batch in torch.randperm(len(images)).split(BATCH):
            loss = nn.functional.cross_entropy(network(moved(images[batch]) * SCALE), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        if epoch % 10 == 0:
            print(f"epoch {epoch}: mean loss {np.mean(losses):.4f}")


def to_core_ml(network: nn.Sequential) -> schema.Model:
    """Return the network with image input, preprocessing and softmax as a Core ML classifier."""
    net = build.Network(
        {"image": build.image(IMAGE_SIZE, IMAGE_SIZE, "GRAYSCALE")}, ["probabilities"], classes=list(range(10))
    )
    net.preprocess("image", channel_scale=SCALE)
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    for number, layer in enumerate(convolutions, 1):
        net.add(
            "convolution",
            name=f"conv{number}",
            kernel_size=layer.kernel_size,
            kernel_channels=layer.in_channels,
            output_channels=layer.out_channels,
            n_groups=1,
            same={},
            has_bias=True,
            weights=layer.weight.detach().numpy(),
            bias=parameter(layer.bias),
        )
        net.add("activation", name=f"relu{number}", ReLU={})
        net.add("pooling", name=f"pool{number}", type="MAX", kernel_size=[2, 2], stride=[2, 2], valid={})
    net.add("flatten", name="flat", mode="CHANNEL_FIRST")
    (last,) = (layer for layer in network if isinstance(layer, nn.Linear))
    net.add(
        "innerProduct",
        name="logits",
        input_channels=last.in_features,
        output_channels=last.out_features,
        has_bias=True,
        weights=last.weight.detach().numpy(),
        bias=parameter(last.bias),
    )
    net.add("softmax", name="softmax", outputs="probabilities")
    spec = net.spec()
    describe(
        spec.description,
        "One digit, light on black, 32 x 32, about filling the height",
        "Tells handwritten digits apart, with 23,000 weights",
    )
    return spec


def probabilities(network: nn.Sequential, images: Tensor) -> NDArray[Any]:
    """Return what PyTorch computes, in the type of the images."""
    with torch.no_grad():
        return np.asarray(network.to(images.dtype)(images * SCALE).softmax(1).numpy())


def rounding_bound(network: nn.Sequential, images: Tensor, roundoff: float) -> NDArray[Any]:
    """Return the largest difference of two computations of the probabilities with that unit roundoff, in any order.

    A sum of n terms is off by at most g(n) * (sum(|w| * |x|) + |b|), g(n) = n u / (1 - n u); errors of x pass through
    |w|; ReLU and maximum add none; for softmax see `softmax_error`.
    """
    x = images.double() * SCALE
    with torch.no_grad():
        logits, error = carried(network.double(), x, roundoff * x, roundoff)
        return np.asarray(softmax_error(logits, error, roundoff).numpy())


def write_samples(folder: Path, counts: NDArray[Any], labels: NDArray[Any], confidence: NDArray[Any]) -> None:
    """Write the held-out digits, the first of each class as an image, and the two least certain ones."""
    np.savez_compressed(folder / "held_out.npz", counts=counts, labels=labels.astype(np.uint8))
    chosen = {f"{digit}.png": int(np.flatnonzero(labels == digit)[0]) for digit in range(10)}
    chosen |= {f"hard-{rank}.png": int(index) for rank, index in enumerate(confidence.argsort()[:2], 1)}
    (folder / "samples").mkdir(exist_ok=True)
    for name, index in chosen.items():
        digit_image(counts[index]).save(folder / "samples" / name, optimize=True)
    entries = [{"file": name, "label": int(labels[index]), "held_out": index} for name, index in chosen.items()]
    listed = ",\n".join(f"  {json.dumps(entry)}" for entry in entries)
    (folder / "samples.json").write_text(f"[\n{listed}\n]\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, writes, compares, tells."""
    parser = argparse.ArgumentParser(description="Train the classifier of handwritten digits.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("digits"), help="where to write (default: digits)")
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(TRAINING_SEED)
    torch.set_num_threads(1)  # the same order of every sum in every run
    train_counts, test_counts, train_labels, test_labels = digits_split()
    network = make_network()
    train(network, pixels(train_counts), torch.from_numpy(train_labels))

    model = folder / "digits.mlmodel"
    refcoreml.load(to_core_ml(network)).save(model)
    images = pixels(test_counts)
    compare(
        model,
        [digit_image(digit) for digit in test_counts],
        lambda dtype: probabilities(network, images.to(dtype)),
        lambda roundoff: rounding_bound(network, images, roundoff),
    )

    outputs = refcoreml.load(model).predict([{"image": digit_image(digit)} for digit in test_counts])
    right = sum(output["classLabel"] == label for output, label in zip(outputs, test_labels, strict=True))
    confidence = np.array([o["probabilities"][int(label)] for o, label in zip(outputs, test_labels, strict=True)])
    write_samples(folder, test_counts, test_labels, confidence)
    print(f"{right} of {len(outputs)} held-out digits are right: {right / len(outputs):.2%}")
    print(f"wrote {model}, {model.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
