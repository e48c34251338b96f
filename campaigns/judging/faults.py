"""Which faults each network gets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from campaigns.judging.edits import (
    Edit,
    bias_sign,
    changed_parameter,
    channels,
    code,
    epsilon,
    exchanged,
    from_converter,
    gates,
    missing,
    no_bias,
    number,
    padding,
    replaced,
    scale,
    setting,
    statistics,
    transposed,
    weight,
)
from campaigns.judging.networks import Resize, causal
from refcoreml.testing import extras

__all__ = ["FAULTS"]

torch: Any = extras.torch.load()
nn: Any = torch.nn


class First(nn.Module):  # type: ignore[misc]
    """The first of two."""

    def forward(self, x: Any, y: Any) -> Any:
        """Return it."""
        return x


class Halves(nn.Module):  # type: ignore[misc]
    """A gated linear unit with its halves exchanged."""

    def forward(self, x: Any) -> Any:
        """Return sigmoid(a) * b."""
        a, b = x.chunk(2, 1)
        return torch.sigmoid(a) * b


def shortcut(at: str) -> Edit:
    """Return a fault that forgets what is added."""
    return replaced(at, "operation missing", First)


def activation(at: str, make: Any, detail: str) -> Edit:
    """Return a fault that applies another function."""
    return replaced(at, "activation", make, detail)


def tanh_gelu(at: str, other: str = "tanh") -> Edit:
    """Return a fault that takes one kind of GELU for the other."""
    return setting(at, "activation", approximate=other)


#: The faults of each network. Those of one weight are changes of what is stored, after norms were folded.
FAULTS: Mapping[str, Sequence[Edit]] = {
    "plain": [
        weight("0.0", 1e-3),
        weight("3.0", 1e-2),
        weight("6", 0.1),
        epsilon("1.1"),
        no_bias("0.0"),
        bias_sign("6"),
        padding("1.0"),
        channels("0.0"),
        missing("3.2"),
        number("1.1", "weight", 1e-2),
    ],
    "residual": [
        weight("2.conv1", 1e-3),
        weight("4.conv2", 1e-3),
        weight("7", 1e-3),
        statistics("3.bn1", "3.bn2"),
        epsilon("4.bn2", 2e-5),
        missing("2.relu1"),
        shortcut("3.plus"),
        transposed("3.conv2"),
        number("1.bn1", "bias", 1e-2),
        padding("3.conv1"),
    ],
    "mobile": [
        weight("1.filter.0", 1e-2),
        weight("3.widen.0", 1e-3),
        activation("4", nn.SiLU, "SiLU"),
        epsilon("2.widen.1"),
        statistics("3.widen.1", "3.filter.1"),
        padding("1.filter.0"),
        missing("2.filter.2"),
        no_bias("7"),
        shortcut("3.plus"),
    ],
    "u-net": [
        weight("up2", 1e-3),
        weight("in2.0", 1e-3),
        setting("join1", "concat order", order=(1, 0)),
        setting("join2", "concat order", order=(1, 0)),
        missing("out2.2"),
        bias_sign("up1"),
        replaced("pool1", "pooling", lambda: nn.AvgPool2d(2), "average"),
        epsilon("low.1"),
    ],
    "dilated": [
        setting("middle.0", "dilation", dilation=(1, 1), padding=(1, 1)),
        transposed("square"),
        setting("join", "concat order", order=(0, 2, 1)),
        setting("act", "activation", negative_slope=0.01),
        weight("far.0", 1e-3),
        no_bias("last"),
        padding("far.0"),
        exchanged("near", "middle"),
    ],
    "pooling": [
        setting("without", "count_include_pad", count_include_pad=True),
        setting("counted", "count_include_pad", count_include_pad=False),
        weight("second.0", 1e-3),
        epsilon("third.1"),
        replaced("most", "pooling", lambda: nn.AvgPool2d(3, 2, 1), "average"),
        missing("third.2"),
        number("first.1", "running_mean", 1e-2),
    ],
    "upsample": [
        setting("centers", "alignment", corners=True),
        setting("corners", "alignment", corners=False),
        replaced("nearest", "alignment", lambda: Resize(2, "bilinear", False), "bilinear"),
        weight("last", 1e-3),
        bias_sign("last"),
        number("second.1", "running_var", 1e-2),
        missing("third.2"),
    ],
    "inception": [
        setting("join", "concat order", order=(0, 2, 1, 3)),
        exchanged("one.1", "three.1"),
        weight("five.1.0", 1e-3),
        no_bias("three.0"),
        statistics("one.1", "three.1"),
        replaced("pool.0", "pooling", lambda: nn.AvgPool2d(3, 1, 1), "average"),
        padding("five.1.0"),
    ],
    "squeeze": [
        activation("3.gate", nn.Sigmoid, "sigmoid"),
        activation("1.gate", nn.Hardsigmoid, "hard sigmoid"),
        activation("0.2", nn.ReLU, "ReLU"),
        weight("1.down", 1e-2),
        weight("4", 1e-3),
        no_bias("3.up"),
        missing("1.act"),
    ],
    "dense": [
        epsilon("2.bn"),
        epsilon("3.bn", 2e-5),
        setting("2.join", "concat order", order=(1, 0)),
        number("1.bn", "weight", 1e-3),
        number("2.bn", "running_mean", 1e-3),
        weight("3.conv", 1e-3),
        missing("3.act"),
        bias_sign("0"),
    ],
    "autoencoder": [
        weight("2", 1e-3),
        weight("5", 1e-2),
        setting("4", "activation", alpha=0.5),
        setting("7", "activation", negative_slope=0.1),
        epsilon("6"),
        activation("9", nn.Hardtanh, "hard tanh"),
        no_bias("8"),
        number("3", "running_var", 1e-2),
    ],
    "shuffle": [
        setting("1", "channel order", groups=4),
        setting("4", "channel order", groups=3),
        weight("0.0", 1e-3),
        weight("2.0", 1e-2),
        padding("2.0"),
        epsilon("3.1"),
    ],
    "norms": [
        epsilon("1"),
        epsilon("4"),
        epsilon("6"),
        setting("1", "channel order", num_groups=4),
        tanh_gelu("5"),
        weight("3", 1e-3),
        number("6", "weight", 1e-3),
        number("4", "bias", 1e-3),
        from_converter("1", "scale of a group norm"),
    ],
    "detector": [
        setting("join", "concat order", order=(1, 0)),
        missing("sigmoid"),
        padding("boxes"),
        statistics("second.1", "third.1"),
        bias_sign("scores"),
        weight("boxes", 1e-3),
        epsilon("first.1"),
    ],
    "modulated": [
        exchanged("scale", "shift"),
        weight("scale", 1e-3),
        changed_parameter("act", "weight", "activation", lambda slopes: 1.01 * slopes, "slopes 1 % off"),
        shortcut("plus"),
        no_bias("shift"),
        weight("first.0", 1e-2),
        epsilon("first.1"),
    ],
    "contrast": [
        setting("1", "epsilon", floor=1e-3),
        setting("1.mean", "axis", axes=(1, 2)),
        setting("1.minus", "branches swapped", swapped=True),
        weight("2", 1e-3),
        transposed("2"),
        activation("3", nn.ReLU, "ReLU"),
    ],
    "perceptron": [
        setting("9", "axis", dim=0),
        transposed("3"),
        weight("0", 1e-3),
        weight("5", 0.1),
        epsilon("1"),
        setting("4", "activation", negative_slope=0.01),
        activation("7", nn.Hardsigmoid, "hard sigmoid"),
        no_bias("8"),
        number("6", "bias", 1e-3),
    ],
    "lstm": [
        gates("loop", (1, 0, 2, 3)),
        gates("loop", (0, 1, 3, 2)),
        number("loop", "weight_hh_l0", 1e-2),
        number("loop", "weight_ih_l0", 1e-3),
        changed_parameter("loop", "bias_hh_l0", "bias dropped", torch.zeros_like),
        missing("act"),
        weight("head", 0.1),
    ],
    "gru": [
        gates("loop", (1, 0, 2)),
        number("loop", "weight_hh_l0", 1e-2),
        number("loop", "weight_ih_l0", 1e-3),
        changed_parameter("loop", "bias_ih_l0", "bias dropped", torch.zeros_like),
        changed_parameter("loop", "bias_hh_l0", "bias negated", torch.neg),
        missing("act"),
    ],
    "bilstm": [
        gates("loop", (1, 0, 2, 3), "_l0_reverse"),
        gates("loop", (0, 1, 3, 2), "_l0"),
        number("loop", "weight_hh_l0_reverse", 1e-2),
        changed_parameter("loop", "bias_ih_l0_reverse", "bias dropped", torch.zeros_like),
        weight("head", 1e-3),
        missing("act"),
    ],
    "deep-lstm": [
        gates("loop", (1, 0, 2, 3), "_l1"),
        number("loop", "weight_hh_l1", 1e-2),
        number("loop", "weight_ih_l0", 1e-3),
        changed_parameter(
            "loop", "weight_hh_l0", "weights transposed", lambda w: w.reshape(4, 12, 12).mT.reshape(48, 12)
        ),
        bias_sign("head"),
    ],
    "reader": [
        weight("second.0", 1e-3),
        gates("loop", (0, 2, 1, 3)),
        epsilon("first.1"),
        no_bias("second.0"),
        missing("second.2"),
        weight("head", 1e-3),
    ],
    "encoder": [
        setting("1.attention.soft", "axis", dim=-2),
        setting("0.attention", "constant", scale=1 / math.sqrt(20)),
        transposed("1.attention.query"),
        tanh_gelu("2.act"),
        epsilon("1.norm1"),
        epsilon("3", 1e-4),
        weight("2.up", 1e-3),
        weight("0.attention.value", 1e-3),
        no_bias("1.attention.out"),
        exchanged("2.attention.query", "2.attention.key"),
        number("2.norm2", "weight", 1e-3),
    ],
    "decoder": [
        changed_parameter("one.attention", "mask", "mask", lambda _: causal(10, -math.inf).triu(2), "one further"),
        changed_parameter("two.attention", "mask", "mask", lambda mask: mask.mT, "transposed"),
        changed_parameter("three.attention", "mask", "mask", torch.zeros_like, "forgotten"),
        changed_parameter("three.attention", "mask", "mask", lambda mask: mask * 1e-9, "too weak"),
        number("words", "weight", 1e-2),
        weight("head", 1e-3),
        epsilon("norm"),
        transposed("two.attention.key"),
        no_bias("one.up"),
        shortcut("two.plus1"),
        tanh_gelu("one.act"),
    ],
    "padded": [
        setting("padded", "mask", limit=9),
        setting("padded", "mask", low=-1.0),
        setting("one.attention.soft", "axis", dim=-2),
        weight("two.down", 1e-3),
        activation("two.act", nn.ReLU, "ReLU"),
        transposed("two.attention.out"),
        epsilon("two.norm1"),
    ],
    "embedding": [
        changed_parameter("words", "weight", "channel order", lambda w: w.roll(1, 0), "rows shifted"),
        weight("up", 1e-3),
        missing("act"),
        no_bias("up"),
        bias_sign("head"),
    ],
    "audio": [
        padding("0.0"),
        weight("1.0", 1e-3),
        weight("0.0", 1e-2),
        epsilon("3.1"),
        replaced("2", "pooling", lambda: nn.AvgPool1d(2), "average"),
        no_bias("6"),
        missing("1.2"),
    ],
    "gated": [
        exchanged("1.tanh", "1.sigmoid"),
        setting("2.a", "dilation", dilation=(1,), padding=(1,)),
        weight("3.mix", 1e-3),
        transposed("1.mix"),
        replaced("5", "branches swapped", Halves, "halves"),
        no_bias("2.b"),
        shortcut("3.plus"),
    ],
    "affinity": [
        setting("1", "keepdims", keep=False),
        transposed("1.query"),
        weight("3.value", 1e-3),
        weight("0", 1e-2),
        activation("1.soft", nn.ReLU, "ReLU"),
        missing("2"),
        exchanged("3.query", "3.key"),
    ],
    "mixer": [
        tanh_gelu("0.act", "none"),
        transposed("0.steps"),
        transposed("1.steps"),
        epsilon("1.norm2"),
        weight("1.down", 1e-3),
        no_bias("0.up"),
        shortcut("1.plus1"),
    ],
    "patches": [
        weight("patches", 1e-3),
        changed_parameter("", "places", "channel order", lambda places: places.roll(1, 1), "places shifted"),
        channels("patches"),
        epsilon("one.norm1"),
        tanh_gelu("two.act"),
        transposed("two.attention.out"),
        replaced("plus", "operation missing", First),
    ],
    "quantized": [
        scale("0", 1.01),
        scale("2", 1.001, 3),
        scale("4", 1.1, 5),
        code("2"),
        no_bias("6"),
        weight("6", 1e-3),
        activation("5", nn.ReLU, "ReLU"),
    ],
}
