"""A segmentation network from torch to Core ML: it returns a dictionary, takes a picture, and is previewed.

pip install -e ".[oracles]"
python examples/segmentation/train.py            # writes to ./segmentation, takes two or three minutes
refcoreml preview segmentation/shapes.mlmodel --input segmentation/scene.png -o overlay.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import nn

import refcoreml
from refcoreml.spec import schema
from refcoreml.testing import assert_equivalent

SIZE = 64
LABELS = ["background", "disc", "square", "triangle"]
#: The widest bound that is accepted, relative to a score. The scale of pixels, 1 / 127.5, is rounded in the model file,
#: which the network amplifies some thousand times. With batch norms folded into the weights the bounds would be wider
#: than the scores: what folding does is measured instead.
WIDEST = 2.0**-8
COLORS = ["#000000", "#e8590c", "#1971c2", "#2f9e44"]


def scene(rng: np.random.Generator, size: int = SIZE) -> tuple[Image.Image, np.ndarray]:
    """Return a picture of one to three shapes on a blurred, noisy background, and the class of every pixel."""
    low = rng.integers(60, 200, (4, 4, 3)).astype(np.uint8)
    picture = Image.fromarray(low).resize((size, size), Image.Resampling.BICUBIC)
    mask = Image.new("L", (size, size), 0)
    for _ in range(rng.integers(1, 4)):
        kind = int(rng.integers(1, 4))
        radius = float(rng.uniform(0.12, 0.24)) * size
        x, y = rng.uniform(radius, size - radius, 2)
        color = tuple(int(v) for v in rng.choice([rng.integers(0, 70, 3), rng.integers(190, 256, 3)]))
        for canvas, fill in ((ImageDraw.Draw(picture), color), (ImageDraw.Draw(mask), kind)):
            box = (x - radius, y - radius, x + radius, y + radius)
            if kind == 1:
                canvas.ellipse(box, fill=fill)
            elif kind == 2:
                canvas.rectangle(box, fill=fill)
            else:
                canvas.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=fill)
    noisy = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.4)), np.float64) + rng.normal(0, 6, (size, size, 3))
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)), np.asarray(mask)


def block(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU()
    )


class Segmenter(nn.Module):
    """An encoder, a decoder with a connection across, and a dictionary as the result, like torchvision's networks."""

    def __init__(self) -> None:
        super().__init__()
        self.top, self.middle, self.bottom = block(3, 12), block(12, 24, 2), block(24, 32, 2)
        self.context = block(32, 32)
        self.up = nn.ConvTranspose2d(32, 24, 2, 2)
        self.merge, self.head, self.auxiliary = block(48, 24), nn.Conv2d(24, 4, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        middle = self.middle(self.top(x))
        bottom = self.context(self.bottom(middle))
        merged = self.merge(torch.cat([self.up(bottom), middle], 1))
        scores = nn.functional.interpolate(self.head(merged), scale_factor=2, mode="bilinear", align_corners=False)
        return {"out": scores, "aux": self.auxiliary(bottom)}


class Scores(nn.Module):
    """A traced network cannot return a dictionary: this picks the entry that the model is for."""

    def __init__(self, network: Segmenter) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x)["out"]


def prepared(picture: Image.Image) -> torch.Tensor:
    """Return what the network sees of a picture, [1, 3, H, W] in [-1, 1]; the model does the same inside."""
    return torch.from_numpy(np.asarray(picture, np.float64).transpose(2, 0, 1)[None] / 127.5 - 1)


def train(steps: int, seed: int = 0) -> Segmenter:
    torch.manual_seed(seed)
    rng, network = np.random.default_rng(seed), Segmenter()
    optimizer = torch.optim.Adam(network.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    for _ in range(steps):
        scenes = [scene(rng) for _ in range(8)]
        x = torch.cat([prepared(picture) for picture, _ in scenes]).float()
        target = torch.from_numpy(np.stack([mask for _, mask in scenes])).long()
        results = network(x)
        coarse = target[:, 2::4, 2::4]
        loss = nn.functional.cross_entropy(results["out"], target)
        loss = loss + 0.3 * nn.functional.cross_entropy(results["aux"], coarse)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def convert(network: Segmenter, fold: bool = True) -> schema.Model:
    """Return the network as Core ML, with the preprocessing of pictures and what a preview wants to know.

    With batch norms folded into the convolutions before them, as the converter does, or as layers of their own.
    """
    import coremltools as ct

    traced = torch.jit.trace(Scores(network).eval(), torch.zeros(1, 3, SIZE, SIZE))
    image = ct.ImageType(name="image", shape=(1, 3, SIZE, SIZE), scale=1 / 127.5, bias=[-1, -1, -1])
    passes = ct.PassPipeline.DEFAULT
    if not fold:
        passes.remove_passes({"common::fuse_conv_batchnorm"})
    outputs = [ct.TensorType(name="scores")]
    converted = ct.convert(traced, convert_to="neuralnetwork", inputs=[image], outputs=outputs, pass_pipeline=passes)
    spec = refcoreml.load(converted).spec
    metadata = spec.description.metadata
    metadata.shortDescription = "Finds discs, squares and triangles."
    metadata.userDefined["com.apple.coreml.model.preview.type"] = "imageSegmenter"
    parameters = json.dumps({"labels": LABELS, "colors": COLORS})
    metadata.userDefined["com.apple.coreml.model.preview.parameters"] = parameters
    return spec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("segmentation"))
    parser.add_argument("--steps", type=int, default=700)
    options = parser.parse_args()
    network = train(options.steps)
    spec = convert(network)
    folded, plain = (refcoreml.load(convert(network, fold), precision="float64") for fold in (True, False))
    rng = np.random.default_rng(12345)
    right = total = 0
    widest, moved, largest = 0.0, 0.0, 0.0
    for _ in range(40):
        picture, mask = scene(rng)
        scores = refcoreml.load(spec).predict({"image": picture})["scores"]
        right += int((scores[0].argmax(0) == mask).sum())
        total += mask.size
        report = assert_equivalent(
            plain, Scores(network), {"image": picture}, reference_inputs=[prepared(picture)], widest=WIDEST
        )
        widest = max(widest, report.double)
        one, other = (model.predict({"image": picture})["scores"] for model in (folded, plain))
        moved, largest = max(moved, float(np.abs(one - other).max())), max(largest, float(np.abs(other).max()))
    print(f"{right / total:.1%} of the pixels of 40 unseen scenes are right")
    print(f"with batch norms as layers, each score agrees with torch in double precision, within {widest:.1e} of it")
    print(f"folding them into the weights moves a score by {moved:.1e} at most; the largest is {largest:.3g}")
    options.folder.mkdir(parents=True, exist_ok=True)
    refcoreml.load(spec).save(options.folder / "shapes.mlmodel")
    for seed in range(1000):  # a scene in which all shapes occur
        picture, mask = scene(np.random.default_rng(seed))
        if all((mask == kind).mean() > 0.04 for kind in (1, 2, 3)):
            break
    picture.save(options.folder / "scene.png")
    Image.fromarray(mask).save(options.folder / "scene-classes.png")


if __name__ == "__main__":
    main()
