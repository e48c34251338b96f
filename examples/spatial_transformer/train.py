"""Trains a spatial transformer on distorted digits and writes it as a Core ML model with a custom layer.

    pip install -e ".[train]"
    python examples/spatial_transformer/train.py [folder]

In two and a half minutes on one core: a network that finds the digit and looks at it through a grid is trained, and for
comparison its classifier alone. The digits of scikit-learn are shrunk, turned and put anywhere in a larger picture,
among fragments of other digits. Into the folder (``spatial_transformer`` unless told otherwise) go
``spatial_transformer.mlmodel`` and ``expected.npz``, what PyTorch computes for some held-out pictures; the folder of
this script holds what one run of it wrote.

The network: M. Jaderberg et al. (2015), Spatial Transformer Networks, https://arxiv.org/abs/1506.02025.
The data: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
https://doi.org/10.24432/C50P49, licensed under Creative Commons Attribution 4.0 (CC BY 4.0).
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grid_sampler  # noqa: F401 (registers the custom layer)
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

import refcoreml
from refcoreml import build
from refcoreml.spec import schema

sys.path.append(str(Path(__file__).resolve().parents[1]))
from digit_networks import HELD_OUT, SCALE, carried, compare, describe, digits_split, parameter, softmax_error

TRAINING_SEED, TEST_SEED = 1, 2
#: The picture, and what the classifier of the transformer sees of it.
SIZE, LOOK = 40, 20
FRAGMENTS = 4
EPOCHS, BATCH = 100, 64
#: So many held-out pictures are kept with what PyTorch computes for them.
KEPT, KEPT_LOOKS = 40, 3


class SpatialTransformer(nn.Module):
    """Finds where to look, looks there, and tells what it is. About 34,000 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.find = nn.Sequential(
            nn.Conv2d(1, 8, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * 7 * 7, 24),
            nn.ReLU(),
            nn.Linear(24, 6),
        )
        self.tell = make_classifier(LOOK)
        last = self.find[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():  # at first, look at the middle
            last.weight.zero_()
            last.bias.copy_(torch.tensor([0.7, 0, 0, 0, 0.7, 0]))
        self.register_buffer("base", base_grid())
        self.base: Tensor

    def grid(self, x: Tensor) -> Tensor:
        """Where it looks in pictures [N, 1, 40, 40]: [N, 20, 20, 2], x and y from -1 to 1."""
        places = self.find(x).reshape(-1, 2, 3) @ self.base
        return places.reshape(-1, 2, LOOK, LOOK).permute(0, 2, 3, 1)

    def look(self, x: Tensor) -> Tensor:
        """Return what it sees there: [N, 1, 20, 20]."""
        return functional.grid_sample(x, self.grid(x), align_corners=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.tell(self.look(x))
        return logits


def make_classifier(size: int) -> nn.Sequential:
    """Tells digits apart in pictures [N, 1, size, size]."""
    return nn.Sequential(
        nn.Conv2d(1, 12, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 20, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(20 * (size // 4) ** 2, 10),
    )


def base_grid() -> Tensor:
    """Return the middles of the pixels of the look: [3, 400], x, y and 1, from -1 to 1."""
    middles = (torch.arange(LOOK) * 2 + 1) / LOOK - 1
    y, x = torch.meshgrid(middles, middles, indexing="ij")
    return torch.stack([x.reshape(-1), y.reshape(-1), torch.ones(LOOK * LOOK)])


# --- the data --------------------------------------------------------------------------------------------------------


def digit_tensors() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Digits [N, 1, 8, 8], 0 to 1, for training and for the test, then the labels of both."""
    *counts, labels, test_labels = digits_split()
    images, test_images = (torch.from_numpy((part / 16).astype(np.float32)[:, None]) for part in counts)
    return images, test_images, torch.from_numpy(labels), torch.from_numpy(test_labels)


def distorted(digits: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures [N, 1, 40, 40] of whole gray levels 0 to 255: each digit shrunk, turned and shifted, among fragments."""
    return gray_levels(digits, generator).round()


def gray_levels(digits: Tensor, generator: torch.Generator) -> Tensor:
    """Return the pictures before their gray levels are rounded."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator) * 2 - 1

    def placed(images: Tensor, side: Tensor, angle: Tensor) -> Tensor:
        """Return the images, in squares of a given side in pixels, turned, anywhere in the picture."""
        zoom = SIZE / side
        shift = uniform(len(images), 2) * (1 - side / SIZE)[:, None]
        rows = torch.stack(
            [
                torch.stack([angle.cos(), angle.sin()], 1) * zoom[:, None],
                torch.stack([-angle.sin(), angle.cos()], 1) * zoom[:, None],
            ],
            1,
        )
        affine = torch.cat([rows, -(rows @ shift[:, :, None])], 2)
        grid = functional.affine_grid(affine, [len(images), 1, SIZE, SIZE], align_corners=False)
        return functional.grid_sample(images, grid, align_corners=False)

    count = len(digits)
    picture = placed(digits, 19 + 3 * uniform(count), uniform(count) * math.radians(40))
    for _ in range(FRAGMENTS):
        others = digits[torch.randperm(count, generator=generator)]
        row, column = (int(torch.randint(0, 6, (1,), generator=generator)) for _ in range(2))
        fragment = others[:, :, row : row + 3, column : column + 3]
        picture = torch.maximum(picture, placed(fragment, torch.full((count,), 7.0), uniform(count) * math.pi))
    return picture.clamp(0, 1) * 255


def held_out() -> tuple[Tensor, Tensor]:
    """Return the test: distorted pictures of digits that training never saw, and their labels."""
    levels, labels = held_out_levels()
    return levels.round(), labels


def held_out_levels() -> tuple[Tensor, Tensor]:
    """Return the test before its gray levels are rounded."""
    _, digits, _, labels = digit_tensors()
    return gray_levels(digits, torch.Generator().manual_seed(TEST_SEED)), labels


# --- training --------------------------------------------------------------------------------------------------------


def train(network: nn.Module, digits: Tensor, labels: Tensor) -> None:
    """Fits a network, with another distortion of every digit in every epoch."""
    generator = torch.Generator().manual_seed(TRAINING_SEED)
    batches = -(-len(digits) // BATCH)
    optimizer = torch.optim.Adam(network.parameters(), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=EPOCHS * batches)
    for epoch in range(1, EPOCHS + 1):
        losses = []
        pictures = distorted(digits, generator) * SCALE
        for batch in torch.randperm(len(digits), generator=generator).split(BATCH):
            loss = functional.cross_entropy(network(pictures[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        if epoch % 25 == 0:
            print(f"  epoch {epoch}: mean loss {np.mean(losses):.3f}", flush=True)


def accuracy(network: nn.Module, pictures: Tensor, labels: Tensor) -> float:
    """Return which part of the pictures PyTorch gets right."""
    with torch.no_grad():
        return float((network(pictures * SCALE).argmax(1) == labels).float().mean())


# --- the Core ML model -----------------------------------------------------------------------------------------------


def to_core_ml(network: SpatialTransformer) -> schema.Model:
    """Return the network as a Core ML classifier of grayscale images; the sampler is a custom layer."""
    net = build.Network(
        {"image": build.image(SIZE, SIZE, "GRAYSCALE")}, ["probabilities"], classes=list(range(10)), exact=True
    )
    net.preprocess("image", channel_scale=SCALE)
    theta = add_layers(net, network.find, "find", "image")
    net.add("reshapeStatic", name="theta", inputs=theta, target_shape=[1, 2, 3])
    base = network.base.numpy()[None]
    net.add("loadConstantND", name="base", inputs=[], shape=base.shape, data=base)
    net.add("batchedMatmul", name="places", inputs=["theta", "base"])
    net.add("reshapeStatic", name="planes", target_shape=[1, 2, LOOK, LOOK])
    net.add("transpose", name="grid", axes=[0, 2, 3, 1])
    net.add(
        "custom",
        name="look",
        inputs=["image", "grid"],
        class_name="GridSampler",
        description="Bilinear samples of an image [N, C, H, W] through a grid [N, H', W', 2] of x and y from -1 to 1",
        parameters={"align_corners": False},
    )
    logits = add_layers(net, network.tell, "tell", "look")
    net.add("softmaxND", name="softmax", inputs=logits, outputs="probabilities", axis=-1)
    spec = net.spec()
    describe(
        spec.description,
        "One digit, light on black, somewhere among fragments of others",
        "Finds a distorted digit, looks at it through a grid, and tells which it is",
    )
    return spec


def add_layers(net: build.Network, layers: nn.Sequential, prefix: str, blob: str) -> str:
    """Add the layers of a torch.nn.Sequential; return the name of their output."""
    for index, layer in enumerate(layers):
        name = f"{prefix}{index}"
        if isinstance(layer, nn.Conv2d):
            (pad, _) = layer.padding
            blob = net.add(
                "convolution",
                name=name,
                inputs=blob,
                kernel_size=layer.kernel_size,
                kernel_channels=layer.in_channels,
                output_channels=layer.out_channels,
                n_groups=1,
                has_bias=True,
                weights=layer.weight.detach().numpy(),
                bias=parameter(layer.bias),
                **({"same": {}} if pad else {"valid": {}}),
            )
        elif isinstance(layer, nn.Linear):
            blob = net.add(
                "innerProduct",
                name=name,
                inputs=blob,
                input_channels=layer.in_features,
                output_channels=layer.out_features,
                has_bias=True,
                weights=layer.weight.detach().numpy(),
                bias=parameter(layer.bias),
            )
        elif isinstance(layer, nn.MaxPool2d):
            size = [layer.kernel_size, layer.kernel_size]
            blob = net.add("pooling", name=name, inputs=blob, type="MAX", kernel_size=size, stride=size, valid={})
        elif isinstance(layer, nn.Flatten):
            blob = net.add("flattenTo2D", name=name, inputs=blob, axis=1)
        else:
            blob = net.add("activation", name=name, inputs=blob, ReLU={})
    return blob


def from_core_ml(spec: schema.Model) -> SpatialTransformer:
    """Return the network with the weights of a model that `to_core_ml` wrote."""
    network = SpatialTransformer()
    layers = {layer.name: layer for layer in spec.neuralNetworkClassifier.layers}
    for prefix, part in (("find", network.find), ("tell", network.tell)):
        for index, module in enumerate(part):
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                kind = "convolution" if isinstance(module, nn.Conv2d) else "innerProduct"
                message = getattr(layers[f"{prefix}{index}"], kind)
                for values, stored in ((module.weight, message.weights), (module.bias, message.bias)):
                    assert values is not None
                    values.data = torch.tensor(stored.floatValue).reshape(values.shape)
    return network


# --- PyTorch's word ---------------------------------------------------------------------------------------------------


def probabilities(network: SpatialTransformer, pictures: Tensor) -> NDArray[Any]:
    """Return what PyTorch computes, in the type of the pictures."""
    with torch.no_grad():
        return np.asarray(copy.deepcopy(network).to(pictures.dtype)(pictures * SCALE).softmax(1).numpy())


def rounding_bounds(
    network: SpatialTransformer, pictures: Tensor, roundoff: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return how far two computations may differ, both with that unit roundoff, summing in any order.

    Of the places of the grid [N], of what is seen there [N], and of the probabilities [N, 10].

    A sum of n terms is off by at most g(n) * (sum(|w| * |x|) + |b|), g(n) = n u / (1 - n u); errors of x pass through
    |w|; ReLU and maximum add none. The sampler turns errors dx, dy of a place, in pixels (half the size times those of
    the grid, plus a few roundoffs of the size), into at most Sx dx + Sy dy, S being the largest difference of
    neighbouring pixels (one of which may be outside, 0), and its own eleven operations add theirs. Softmax turns an
    error d of the logits into a factor of exp(2 d), to which its own operations add theirs. Two computations differ by
    at most twice the error of one.
    """
    network = copy.deepcopy(network).double()
    with torch.no_grad():
        x = pictures.double() * SCALE
        image_error = roundoff * x
        theta, theta_error = carried(network.find, x, image_error, roundoff)
        theta, theta_error = theta.reshape(-1, 2, 3), theta_error.reshape(-1, 2, 3)
        base = network.base.abs()
        step = 4 * roundoff / (1 - 4 * roundoff)
        grid_error = (theta_error @ base) + step * ((theta.abs() + theta_error) @ base)
        extent = (theta.abs() + theta_error) @ base + 1
        place_error = (grid_error + 4 * roundoff * extent) * (SIZE / 2) + 4 * roundoff * SIZE
        place_error = place_error.amax(2)
        border = functional.pad(x, (1, 1, 1, 1))
        slopes = torch.stack([border.diff(dim=axis).abs().amax((1, 2, 3)) for axis in (3, 2)], 1)
        seen_error = (slopes * place_error).sum(1) + image_error.amax((1, 2, 3)) + 11 * roundoff * x.amax((1, 2, 3))
        seen = network.look(x)
        logits, error = carried(network.tell, seen, seen_error[:, None, None, None].expand_as(seen), roundoff)
        bounds = 2 * grid_error.amax((1, 2)), 2 * seen_error, softmax_error(logits, error, roundoff)
        places, seen_bound, probability = (np.asarray(bound.numpy()) for bound in bounds)
        return places, seen_bound, probability


def judge(network: SpatialTransformer, model: Path, pictures: Tensor) -> None:
    """Compare refcoreml's probabilities with PyTorch's."""
    compare(
        model,
        [Image.fromarray(picture[0].numpy().astype(np.uint8)) for picture in pictures],
        lambda dtype: probabilities(network, pictures.to(dtype)),
        lambda roundoff: rounding_bounds(network, pictures, roundoff)[2],
    )


def expected(network: SpatialTransformer, pictures: Tensor, labels: Tensor) -> dict[str, NDArray[Any]]:
    """Return what PyTorch computes in double precision, and how far another computation in it may be from that."""
    double, roundoff = copy.deepcopy(network).double(), float(np.finfo(np.float64).eps) / 2
    with torch.no_grad():
        grid, seen = (f(pictures[:KEPT_LOOKS].double() * SCALE).numpy() for f in (double.grid, double.look))
    grid_bound, seen_bound, bound = rounding_bounds(network, pictures, roundoff)
    return {
        "pictures": pictures.numpy().astype(np.uint8)[:, 0],
        "labels": labels.numpy().astype(np.uint8),
        "probabilities": probabilities(network, pictures.double()),
        "probabilities_bound": bound,
        "grid": grid,
        "grid_bound": grid_bound[:KEPT_LOOKS],
        "seen": seen,
        "seen_bound": seen_bound[:KEPT_LOOKS],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains both networks, writes, compares, tells."""
    parser = argparse.ArgumentParser(description="Train the spatial transformer.")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("spatial_transformer"), help="where to write (spatial_transformer)"
    )
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # the same order of every sum in every run
    digits, _, labels, _ = digit_tensors()
    pictures, test_labels = held_out()
    right = {}
    for name, make in (("with", SpatialTransformer), ("without", lambda: make_classifier(SIZE))):
        torch.manual_seed(TRAINING_SEED)
        network = make()
        print(f"{name} sampler: {sum(values.numel() for values in network.parameters()):,} weights")
        started = time.perf_counter()
        train(network, digits, labels)
        right[name] = accuracy(network, pictures, test_labels)
        print(f"  {right[name]:.1%} of {HELD_OUT} held-out digits, trained in {time.perf_counter() - started:.0f} s")
        if name == "with":
            model = folder / "spatial_transformer.mlmodel"
            refcoreml.load(to_core_ml(network)).save(model)
            judge(network, model, pictures)
            np.savez_compressed(folder / "expected.npz", **expected(network, pictures[:KEPT], test_labels[:KEPT]))
            print(f"wrote {model}, {model.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
