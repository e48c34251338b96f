"""Small networks of many kinds, with parameters as after training, and inputs for them.

Each is made from its own seed. Statistics of batch norms are those of random inputs, so that values keep their scale
through the depth and differ by channel; scales, shifts and biases are drawn, and none is 0. What a fault may change has
a name of its own: functions are modules, too.
"""
# mypy: allow-untyped-defs, allow-untyped-calls, allow-subclassing-any

from __future__ import annotations

import copy
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from refcoreml.testing import extras

__all__ = ["NETWORKS", "Network", "reseed"]

#: The package itself, since classes derive from its `Module`.
torch: Any = extras.torch.load()
nn: Any = torch.nn
F: Any = torch.nn.functional
Tensor: TypeAlias = Any

#: So many batches are drawn for the statistics of batch norms.
_BATCHES = 4

#: What `reseed` adds to the seeds of all networks.
_added = [0]


def reseed(number: int) -> None:
    """Draw other parameters and inputs of all networks that are made from now on."""
    _added[0] = number


@dataclass(frozen=True)
class Tokens:
    """An input of integers below a size."""

    shape: tuple[int, ...]
    size: int


@dataclass(frozen=True)
class Network:
    """A network and its inputs.

    Attributes:
        name: what it is called.
        make: makes the module, with parameters of the current seed.
        takes: shapes of its inputs, or `Tokens`.
        without: passes of the converter that are left out, since they are known to change results.
    """

    name: str
    make: Callable[[], Any]
    takes: tuple[Any, ...]
    without: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        """A number that is the same in every process."""
        return zlib.crc32(self.name.encode()) + _added[0]

    @cached_property
    def _trained(self) -> Any:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(self.seed)
            module = self.make()
            _train(module, [self._drawn(np.random.default_rng([self.seed, 9, n]), 0) for n in range(_BATCHES)])
        return module.eval()

    def module(self) -> Any:
        """Return the module in evaluation mode; each call returns another copy."""
        return copy.deepcopy(self._trained)

    def inputs(self, number: int = 0) -> tuple[Any, ...]:
        """Return inputs: 0 around 0, 1 of both signs and four times as large, 2 positive with many zeros."""
        return self._drawn(np.random.default_rng([self.seed, number]), number % 3)

    def _drawn(self, random: np.random.Generator, kind: int) -> tuple[Any, ...]:
        return tuple(torch.from_numpy(_draw(random, takes, kind)) for takes in self.takes)


def _draw(random: np.random.Generator, takes: Any, kind: int) -> Any:
    if isinstance(takes, Tokens):
        return random.integers(0, takes.size, takes.shape).astype(np.int32)
    values = random.standard_normal(takes)
    if kind == 1:
        values = 4 * values + 0.5
    if kind == 2:
        values = np.maximum(values, 0.3) - 0.3
    return values.astype(np.float32)


def _train(module: Any, batches: Sequence[Sequence[Any]]) -> None:
    """Give a module parameters and statistics as training leaves them."""
    for part in module.modules():
        _draw_parameters(part)
    norms = [part for part in module.modules() if isinstance(part, _BATCH_NORMS)]
    for norm in norms:
        norm.momentum = None  # the mean of all batches
    for batch in batches if norms else ():
        # Statistics need several images, of which no two are alike.
        module.train()(*(torch.cat([x, x.flip(-1), -0.5 * x, x.roll(1, -1) + 0.3]) for x in batch))
    for norm in norms:
        norm.running_mean.add_(0.1 * torch.randn_like(norm.running_mean))
        norm.running_var.mul_(torch.exp(0.2 * torch.randn_like(norm.running_var)))


def _draw_parameters(part: Any) -> None:
    if isinstance(part, _WITH_KERNELS):
        fan = (part.weight[:, 0] if isinstance(part, _TRANSPOSED) else part.weight[0]).numel()
        fan = 1 if isinstance(part, nn.Embedding) else fan
        scales = torch.exp(0.3 * torch.randn(part.weight.shape[0])).reshape(-1, *[1] * (part.weight.ndim - 1))
        part.weight.copy_(torch.randn_like(part.weight) * scales * math.sqrt(1.6 / fan))
    if isinstance(part, nn.PReLU):
        part.weight.copy_(0.1 + 0.3 * torch.rand_like(part.weight))
    if isinstance(part, OnGrid):
        codes, scales = part.codes()
        part.weight.copy_(codes * scales.reshape(-1, 1, 1, 1))
    if isinstance(part, (nn.LSTM, nn.GRU)):
        for parameter in part.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
    if isinstance(getattr(part, "bias", None), nn.Parameter):
        part.bias.copy_(0.2 * torch.randn_like(part.bias))
    if isinstance(part, _NORMS) and part.weight is not None:
        part.weight.copy_(0.6 + 0.8 * torch.rand_like(part.weight))


_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)
_WITH_KERNELS = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.Embedding, *_TRANSPOSED)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_NORMS = (*_BATCH_NORMS, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm2d)

#: All networks by name.
NETWORKS: dict[str, Network] = {}


def network(name: str, *takes: Any, without: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """Register what makes a network."""

    def register(make: Any) -> Any:
        NETWORKS[name] = Network(name, make, takes, without)
        return make

    return register


# Parts


def sizes(x):
    """Return lengths as numbers, which are constants of a trace."""
    return [int(length) for length in x.shape]


class Join(nn.Module):
    """Concatenation, in an order."""

    def __init__(self, axis=1, order=None):
        super().__init__()
        self.axis, self.order = axis, order

    def forward(self, *parts):
        return torch.cat([parts[place] for place in self.order or range(len(parts))], self.axis)


class Plus(nn.Module):
    """x + y."""

    def forward(self, x, y):
        return x + y


class Minus(nn.Module):
    """x - y, or y - x where it is swapped."""

    swapped = False

    def forward(self, x, y):
        return y - x if self.swapped else x - y


class Times(nn.Module):
    """x * y."""

    def forward(self, x, y):
        return x * y


class Mean(nn.Module):
    """The mean along axes."""

    def __init__(self, axes, keep=False):
        super().__init__()
        self.axes, self.keep = axes, keep

    def forward(self, x):
        return x.mean(self.axes, keepdim=self.keep)


class Resize(nn.Module):
    """Resampling by a factor."""

    def __init__(self, factor: int, mode: str, corners: bool | None = None) -> None:
        super().__init__()
        self.factor, self.mode, self.corners = factor, mode, corners

    def forward(self, x):
        return F.interpolate(x, scale_factor=self.factor, mode=self.mode, align_corners=self.corners)


class Swap(nn.Module):
    """The two last axes exchanged."""

    def forward(self, x):
        return x.transpose(-1, -2)


def block(inside, outside, length=3, stride=1, act=nn.ReLU, **more):
    """Convolution, batch norm and activation."""
    more.setdefault("padding", length // 2)
    conv = nn.Conv2d(inside, outside, length, stride, **more)
    return nn.Sequential(conv, nn.BatchNorm2d(outside), act())


# Images


@network("plain", (1, 3, 22, 26))
def plain():
    """Convolutions, batch norms, pooling, and a dense layer."""
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    return nn.Sequential(block(3, 8), block(8, 12, stride=2), nn.MaxPool2d(2), block(12, 16), *head)


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inside, outside, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1, self.relu1 = nn.BatchNorm2d(outside), nn.ReLU()
        self.conv2, self.bn2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside)
        plain = inside == outside and stride == 1
        short = (nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))
        self.short = nn.Identity() if plain else nn.Sequential(*short)
        self.plus, self.relu2 = Plus(), nn.ReLU()

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(self.plus(y, self.short(x)))


@network("residual", (1, 3, 20, 24))
def residual():
    """Four residual blocks."""
    blocks = (Residual(10, 10), Residual(10, 14, 2), Residual(14, 14), Residual(14, 14))
    return nn.Sequential(block(3, 10), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(14, 9))


class Inverted(nn.Module):
    """Widened, filtered channel by channel, and narrowed again."""

    def __init__(self, inside, wide, outside, stride=1):
        super().__init__()
        self.widen = block(inside, wide, 1, act=nn.ReLU6)
        self.filter = block(wide, wide, 3, stride, act=nn.ReLU6, groups=wide)
        self.narrow = nn.Sequential(nn.Conv2d(wide, outside, 1, bias=False), nn.BatchNorm2d(outside))
        self.plus = Plus() if inside == outside and stride == 1 else None

    def forward(self, x):
        y = self.narrow(self.filter(self.widen(x)))
        return y if self.plus is None else self.plus(x, y)


@network("mobile", (1, 3, 18, 22))
def mobile():
    """Depthwise separable convolutions."""
    blocks = (Inverted(8, 24, 8), Inverted(8, 32, 12, 2), Inverted(12, 40, 12))
    head = (nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 7))
    return nn.Sequential(block(3, 8, act=nn.ReLU6), *blocks, *head)


@network("u-net", (1, 2, 16, 24))
class UNet(nn.Module):
    """Down and up again, with what is passed across."""

    def __init__(self):
        super().__init__()
        self.in1, self.in2, self.low = block(2, 6), block(6, 10), block(10, 14)
        self.pool1, self.pool2 = nn.MaxPool2d(2), nn.MaxPool2d(2)
        self.up2, self.join2, self.out2 = nn.ConvTranspose2d(14, 10, 2, 2), Join(), block(20, 10)
        self.up1, self.join1, self.out1 = nn.ConvTranspose2d(10, 6, 4, 2, 1), Join(), block(12, 8)
        self.last = nn.Conv2d(8, 3, 1)

    def forward(self, x):
        a = self.in1(x)
        b = self.in2(self.pool1(a))
        y = self.low(self.pool2(b))
        y = self.out2(self.join2(b, self.up2(y)))
        return self.last(self.out1(self.join1(a, self.up1(y))))


@network("dilated", (1, 4, 15, 21))
class Dilated(nn.Module):
    """Branches that look ever further, as for segmentation."""

    def __init__(self):
        super().__init__()
        self.first = block(4, 9)
        self.near, self.middle = block(9, 6), block(9, 6, padding=2, dilation=2)
        self.far, self.square = block(9, 6, padding=3, dilation=3), nn.Conv2d(18, 18, 1)
        self.join, self.act, self.last = Join(), nn.LeakyReLU(0.1), nn.Conv2d(18, 5, 1)

    def forward(self, x):
        x = self.first(x)
        return self.last(self.act(self.square(self.join(self.near(x), self.middle(x), self.far(x)))))


@network("pooling", (1, 5, 17, 23))
class Pooling(nn.Module):
    """Averages that count the padding and that do not, and maxima."""

    def __init__(self):
        super().__init__()
        self.first = block(5, 9)
        self.without = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
        self.second, self.counted = block(9, 8), nn.AvgPool2d(3, 1, 1, count_include_pad=True)
        self.third, self.most = block(8, 7), nn.MaxPool2d(3, 2, 1)
        self.last = nn.Conv2d(7, 4, 1)

    def forward(self, x):
        x = self.counted(self.second(self.without(self.first(x))))
        return self.last(self.most(self.third(x)))


@network("upsample", (1, 6, 7, 9))
class Upsample(nn.Module):
    """Bilinear resampling of both kinds, and nearest."""

    def __init__(self):
        super().__init__()
        self.first, self.centers = block(6, 10), Resize(2, "bilinear", False)
        self.second, self.nearest = block(10, 7), Resize(2, "nearest")
        self.third, self.corners = block(7, 5), Resize(2, "bilinear", True)
        self.last = nn.Conv2d(5, 3, 3, padding=1)

    def forward(self, x):
        x = self.nearest(self.second(self.centers(self.first(x))))
        return self.last(self.corners(self.third(x)))


@network("inception", (1, 3, 14, 18))
class Inception(nn.Module):
    """Branches of different lengths, joined."""

    def __init__(self):
        super().__init__()
        self.first = block(3, 8)
        self.one, self.three, self.five = block(8, 6, 1), block(8, 6), nn.Sequential(block(8, 4, 1), block(4, 6, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), block(8, 6, 1))
        self.join, self.last = Join(), nn.Conv2d(24, 5, 3)

    def forward(self, x):
        x = self.first(x)
        return self.last(self.join(self.one(x), self.three(x), self.five(x), self.pool(x)))


class Squeeze(nn.Module):
    """Channels weighted by what is in all of them."""

    def __init__(self, channels, gate):
        super().__init__()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.down, self.act, self.up = nn.Conv2d(channels, 4, 1), nn.ReLU(), nn.Conv2d(4, channels, 1)
        self.gate, self.times = gate, Times()

    def forward(self, x):
        return self.times(x, self.gate(self.up(self.act(self.down(self.mean(x))))))


@network("squeeze", (1, 3, 13, 19))
def squeeze():
    """Squeeze and excite."""
    one, two = Squeeze(10, nn.Sigmoid()), Squeeze(12, nn.Hardsigmoid())
    return nn.Sequential(block(3, 10, act=nn.SiLU), one, block(10, 12, stride=2), two, nn.Conv2d(12, 6, 3))


class Grown(nn.Module):
    """New channels beside the old ones."""

    def __init__(self, inside, new):
        super().__init__()
        self.bn, self.act, self.conv = nn.BatchNorm2d(inside), nn.ReLU(), nn.Conv2d(inside, new, 3, padding=1)
        self.join = Join()

    def forward(self, x):
        return self.join(x, self.conv(self.act(self.bn(x))))


@network("dense", (1, 3, 12, 16))
def dense():
    """Dense connections, whose batch norms precede convolutions and cannot be folded."""
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), Grown(8, 5), Grown(13, 6), Grown(19, 7), nn.Conv2d(26, 4, 1))


@network("autoencoder", (1, 3, 16, 20))
def autoencoder():
    """Down by strides, up by transposed convolutions with batch norms."""
    up = (nn.ConvTranspose2d(14, 9, 4, 2, 1), nn.BatchNorm2d(9), nn.ELU())
    more = (nn.ConvTranspose2d(9, 6, 3, 2, 1, output_padding=1), nn.BatchNorm2d(6), nn.LeakyReLU(0.2))
    return nn.Sequential(block(3, 9, stride=2), block(9, 14, stride=2), *up, *more, nn.Conv2d(6, 3, 1), nn.Tanh())


class Shuffle(nn.Module):
    """Channels of groups interleaved."""

    def __init__(self, groups):
        super().__init__()
        self.groups = groups

    def forward(self, x):
        n, c, h, w = sizes(x)
        return x.reshape(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w)


@network("shuffle", (1, 6, 11, 15))
def shuffle():
    """Convolutions in groups, and channels that are shuffled between them."""
    first, second = block(6, 12, 1, groups=3), block(12, 12, 3, groups=12)
    return nn.Sequential(first, Shuffle(3), second, block(12, 18, 1, groups=2), Shuffle(2), nn.Conv2d(18, 7, 3))


@network("norms", (1, 4, 10, 14), without=("common::fuse_elementwise_to_batchnorm",))
def norms():
    """Norms of groups, instances and layers."""
    group, instance = nn.GroupNorm(3, 12), nn.InstanceNorm2d(9, affine=True)
    first, second = nn.Conv2d(4, 12, 3, padding=1), nn.Conv2d(12, 9, 3, padding=1)
    last = (nn.LayerNorm(14), nn.Conv2d(9, 5, 1), nn.BatchNorm2d(5))
    return nn.Sequential(first, group, nn.ReLU(), second, instance, nn.GELU(), *last)


@network("detector", (1, 3, 16, 20))
class Detector(nn.Module):
    """Boxes and scores for each place."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = block(3, 8, stride=2), block(8, 12), block(12, 12)
        self.boxes, self.scores = nn.Conv2d(12, 8, 3, padding=1), nn.Conv2d(12, 6, 3, padding=1)
        self.sigmoid, self.join = nn.Sigmoid(), Join()

    def forward(self, x):
        x = self.third(self.second(self.first(x)))
        return self.join(self.boxes(x), self.sigmoid(self.scores(x)))


class Modulated(nn.Module):
    """Channels that a vector scales and shifts."""

    def __init__(self):
        super().__init__()
        self.first, self.scale, self.shift = block(3, 8), nn.Linear(5, 8), nn.Linear(5, 8)
        self.times, self.plus = Times(), Plus()
        self.act, self.last = nn.PReLU(8), nn.Conv2d(8, 4, 3)

    def forward(self, x, v):
        scale, shift = self.scale(v)[:, :, None, None], self.shift(v)[:, :, None, None]
        return self.last(self.act(self.plus(self.times(self.first(x), scale), shift)))


network("modulated", (1, 3, 9, 13), (1, 5))(Modulated)


class Contrast(nn.Module):
    """x without the mean of its channel, by its length along channels."""

    def __init__(self):
        super().__init__()
        self.mean, self.minus = Mean((2, 3), True), Minus()
        self.power, self.floor = 2, 1e-2

    def forward(self, x):
        y = self.minus(x, self.mean(x))
        return y / torch.sqrt((y * y).mean(1, keepdim=True) + self.floor)


@network("contrast", (1, 3, 12, 12))
def contrast():
    """Square images, normalized by parts."""
    return nn.Sequential(block(3, 9), Contrast(), nn.Conv2d(9, 9, 3, padding=1), nn.Softplus(), nn.Conv2d(9, 4, 1))


# Vectors and sequences


@network("perceptron", (3, 17))
def perceptron():
    """Dense layers, and a softmax."""
    one = (nn.Linear(17, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 24), nn.LeakyReLU(0.05))
    return nn.Sequential(*one, nn.Linear(24, 20), nn.BatchNorm1d(20), nn.Sigmoid(), nn.Linear(20, 6), nn.Softmax(-1))


class Recurrent(nn.Module):
    """A recurrent layer, and a dense one on its last or its mean step."""

    def __init__(self, loop, width, last):
        super().__init__()
        self.loop, self.act, self.head, self.last = loop, nn.Tanh(), nn.Linear(width, 5), last

    def forward(self, x):
        steps = self.loop(x)[0]
        return self.head(self.act(steps[:, -1] if self.last else steps.mean(1)))


network("lstm", (1, 7, 9))(lambda: Recurrent(nn.LSTM(9, 13, batch_first=True), 13, True))
network("gru", (1, 8, 6))(lambda: Recurrent(nn.GRU(6, 11, batch_first=True), 11, True))
network("bilstm", (1, 6, 8))(lambda: Recurrent(nn.LSTM(8, 10, batch_first=True, bidirectional=True), 20, False))
network("deep-lstm", (1, 5, 7))(lambda: Recurrent(nn.LSTM(7, 12, 2, batch_first=True), 12, True))


@network("reader", (1, 1, 12, 20))
class Reader(nn.Module):
    """Convolutions, then a recurrent layer along the width, as for lines of text."""

    def __init__(self):
        super().__init__()
        self.first, self.pool, self.second = block(1, 6), nn.MaxPool2d(2), block(6, 9)
        self.mean, self.swap, self.loop = Mean(2), Swap(), nn.LSTM(9, 8, batch_first=True)
        self.head = nn.Linear(8, 6)

    def forward(self, x):
        return self.head(self.loop(self.swap(self.mean(self.second(self.pool(self.first(x))))))[0])


class Attention(nn.Module):
    """Attention of several heads, with a mask that is added."""

    def __init__(self, width, heads, mask=None):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.soft, self.out, self.heads = nn.Softmax(-1), nn.Linear(width, width), heads
        self.scale = 1 / math.sqrt(width // heads)
        if mask is not None:
            self.register_buffer("mask", mask)
        self.masked = mask is not None

    def split(self, x):
        n, t, c = sizes(x)
        return x.reshape(n, t, self.heads, c // self.heads).transpose(1, 2)

    def forward(self, x, mask=None):
        n, t, c = sizes(x)
        query, key, value = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = torch.matmul(query, key.transpose(2, 3)) * self.scale
        if self.masked:
            scores = scores + self.mask
        if mask is not None:
            scores = scores + mask
        return self.out(torch.matmul(self.soft(scores), value).transpose(1, 2).reshape(n, t, c))


class Layer(nn.Module):
    """Attention and two dense layers, each with a norm before it and a sum after it."""

    def __init__(self, width, heads, wide, mask=None, act=nn.GELU):
        super().__init__()
        self.norm1, self.attention, self.plus1 = nn.LayerNorm(width), Attention(width, heads, mask), Plus()
        self.norm2, self.up, self.act = nn.LayerNorm(width), nn.Linear(width, wide), act()
        self.down, self.plus2 = nn.Linear(wide, width), Plus()

    def forward(self, x, mask=None):
        x = self.plus1(x, self.attention(self.norm1(x), mask))
        return self.plus2(x, self.down(self.act(self.up(self.norm2(x)))))


@network("encoder", (1, 9, 20))
def encoder():
    """Three layers of a transformer."""
    return nn.Sequential(Layer(20, 4, 36), Layer(20, 4, 36), Layer(20, 4, 36), nn.LayerNorm(20), nn.Linear(20, 7))


def causal(length: int, low: float) -> Tensor:
    """Return the mask that lets each step see no later one."""
    return torch.triu(torch.full((length, length), low), 1)


@network("decoder", Tokens((1, 10), 30))
class Decoder(nn.Module):
    """Words to scores of next words, each from those before it."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(30, 24), nn.Parameter(0.5 * torch.randn(1, 10, 24))
        lows = (-math.inf, torch.finfo(torch.float32).min, -1e9)
        self.one, self.two, self.three = (Layer(24, 3, 40, causal(10, low)) for low in lows)
        self.plus, self.norm, self.head = Plus(), nn.LayerNorm(24), nn.Linear(24, 30)

    def forward(self, tokens):
        x = self.plus(self.words(tokens), self.places)
        return self.head(self.norm(self.three(self.two(self.one(x)))))


class Padded(nn.Module):
    """The mask of words that are padding, by a number."""

    def __init__(self, low):
        super().__init__()
        self.low, self.limit = low, 4

    def forward(self, tokens):
        return torch.where(tokens < self.limit, self.low, 0.0)[:, None, None, :]


@network("padded", Tokens((1, 11), 26))
class PaddedEncoder(nn.Module):
    """Attention that does not see padding."""

    def __init__(self):
        super().__init__()
        self.words, self.padded = nn.Embedding(26, 18), Padded(-1e4)
        self.one, self.two = Layer(18, 3, 30, act=nn.ReLU), Layer(18, 3, 30, act=nn.SiLU)
        self.head = nn.Linear(18, 8)

    def forward(self, tokens):
        mask = self.padded(tokens)
        return self.head(self.two(self.one(self.words(tokens), mask), mask))


@network("embedding", Tokens((1, 12), 40))
class Bag(nn.Module):
    """The mean of words, and a classifier."""

    def __init__(self):
        super().__init__()
        self.words, self.mean = nn.Embedding(40, 16), Mean(1)
        self.up, self.act, self.head = nn.Linear(16, 22), nn.ReLU(), nn.Linear(22, 5)

    def forward(self, tokens):
        return self.head(self.act(self.up(self.mean(self.words(tokens)))))


def heard(inside, outside, length, stride, **more):
    """Convolution along time, batch norm and activation."""
    conv = nn.Conv1d(inside, outside, length, stride, padding=length // 2, **more)
    return nn.Sequential(conv, nn.BatchNorm1d(outside), nn.ReLU())


@network("audio", (1, 2, 90))
def audio():
    """Convolutions along time."""
    blocks = (heard(2, 8, 9, 2), heard(8, 12, 5, 2), nn.MaxPool1d(2), heard(12, 16, 3, 1))
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 6))


class Gated(nn.Module):
    """tanh(a) * sigmoid(b) of two convolutions, beside a shortcut."""

    def __init__(self, channels, dilation):
        super().__init__()
        more = {"dilation": dilation, "padding": dilation}
        self.a, self.b = nn.Conv1d(channels, channels, 3, **more), nn.Conv1d(channels, channels, 3, **more)
        self.tanh, self.sigmoid, self.times = nn.Tanh(), nn.Sigmoid(), Times()
        self.mix, self.bn, self.plus = nn.Conv1d(channels, channels, 1), nn.BatchNorm1d(channels), Plus()

    def forward(self, x):
        return self.plus(x, self.bn(self.mix(self.times(self.tanh(self.a(x)), self.sigmoid(self.b(x))))))


@network("gated", (1, 3, 33))
def gated():
    """Gated convolutions that look ever further, and a gated linear unit."""
    blocks = (nn.Conv1d(3, 8, 1), Gated(8, 1), Gated(8, 2), Gated(8, 4))
    return nn.Sequential(*blocks, nn.Conv1d(8, 10, 1), nn.GLU(1), nn.Conv1d(5, 4, 3))


class Affinity(nn.Module):
    """Steps mixed by weights whose sum is 1."""

    def __init__(self, width):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.soft, self.keep = nn.Softplus(), True

    def forward(self, x):
        weights = self.soft(torch.matmul(self.query(x), self.key(x).transpose(1, 2)))
        return torch.matmul(weights / weights.sum(-1, keepdim=self.keep), self.value(x))


@network("affinity", (1, 10, 14))
def affinity():
    """Weights that are normalized by their sums."""
    return nn.Sequential(nn.Linear(14, 14), Affinity(14), nn.Tanh(), Affinity(14), nn.Linear(14, 5))


class Mixed(nn.Module):
    """Dense layers along steps, then along channels."""

    def __init__(self, steps, width):
        super().__init__()
        self.norm1, self.steps, self.plus1 = nn.LayerNorm(width), nn.Linear(steps, steps), Plus()
        self.norm2, self.up, self.act = nn.LayerNorm(width), nn.Linear(width, 26), nn.GELU(approximate="tanh")
        self.down, self.plus2 = nn.Linear(26, width), Plus()

    def forward(self, x):
        x = self.plus1(x, self.steps(self.norm1(x).transpose(1, 2)).transpose(1, 2))
        return self.plus2(x, self.down(self.act(self.up(self.norm2(x)))))


@network("mixer", (1, 12, 16))
def mixer():
    """Dense layers along both axes in turns."""
    return nn.Sequential(Mixed(12, 16), Mixed(12, 16), nn.LayerNorm(16), Mean(1), nn.Linear(16, 9))


@network("patches", (1, 3, 16, 20))
class Patches(nn.Module):
    """A transformer over patches of an image."""

    def __init__(self):
        super().__init__()
        self.patches, self.bn = nn.Conv2d(3, 18, 4, 4), nn.BatchNorm2d(18)
        self.places = nn.Parameter(0.5 * torch.randn(1, 20, 18))
        self.plus, self.one, self.two = Plus(), Layer(18, 2, 28), Layer(18, 2, 28)
        self.mean, self.head = Mean(1), nn.Linear(18, 8)

    def forward(self, x):
        x = self.plus(self.bn(self.patches(x)).flatten(2).transpose(1, 2), self.places)
        return self.head(self.mean(self.two(self.one(x))))


class OnGrid(nn.Conv2d):
    """A convolution whose weights are 8-bit numbers times a number per channel, so that they can be stored as such."""

    def codes(self) -> tuple[Tensor, Tensor]:
        """Return (codes, scales); a scale has few bits, so that its products are exact in single precision."""
        weight = self.weight.detach().double()
        most = weight.abs().amax((1, 2, 3))
        unit = torch.exp2(torch.floor(torch.log2(most)) - 16)
        scales = torch.ceil(most / 127 / unit) * unit
        return torch.round(weight / scales.reshape(-1, 1, 1, 1)).to(torch.int8), scales.float()


@network("quantized", (1, 3, 15, 17))
def quantized():
    """Convolutions whose weights are stored in 8 bits."""
    first, second = OnGrid(3, 10, 3, padding=1), OnGrid(10, 12, 3, 2)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), OnGrid(12, 8, 1), nn.SiLU(), nn.Conv2d(8, 4, 3))
