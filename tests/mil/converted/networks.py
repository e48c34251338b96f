"""Small networks of the kinds that people convert, in torch: all their dimensions differ."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch", reason="torch has the networks")

nn, f = torch.nn, torch.nn.functional


# ---- Parts ----


class Block(nn.Module):
    """Two convolutions beside a shortcut, as in ResNet."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, groups=2), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Any) -> Any:
        return f.relu(self.second(f.relu(self.first(x))) + self.shortcut(x))


class Attention(nn.Module):
    """Attention of several heads, to the sequence itself or to another one.

    torch's own module does not convert with every NumPy.
    """

    def __init__(self, width: int, heads: int, *, masked: bool = False) -> None:
        super().__init__()
        self.heads, self.size, self.masked = heads, width // heads, masked
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def split(self, x: Any) -> Any:
        return x.reshape(x.shape[0], -1, self.heads, self.size).transpose(1, 2)

    def forward(self, x: Any, other: Any = None) -> Any:
        other = x if other is None else other
        parts = self.split(self.query(x)), self.split(self.key(other)), self.split(self.value(other))
        y = f.scaled_dot_product_attention(*parts, is_causal=self.masked)
        return self.out(y.transpose(1, 2).reshape(x.shape[0], -1, self.heads * self.size))


class Layer(nn.Module):
    """A layer of a transformer: attention, attention to another sequence, two linear maps; each after normalization."""

    def __init__(self, width: int, heads: int, hidden: int, *, masked: bool = False, crossed: bool = False) -> None:
        super().__init__()
        self.attend, self.before = Attention(width, heads, masked=masked), nn.LayerNorm(width)
        if crossed:
            self.cross, self.between = Attention(width, heads), nn.LayerNorm(width)
        self.think = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Any, other: Any = None) -> Any:
        x = x + self.attend(self.before(x))
        if other is not None:
            x = x + self.cross(self.between(x), other)
        return x + self.think(x)


# ---- Networks ----


class Images(nn.Module):
    """Convolutions, pooling, an upsampling branch, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 5, 2, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.blocks = nn.Sequential(Block(6, 8, 1), Block(8, 10, 2))
        self.up = nn.ConvTranspose2d(10, 4, 3, 2, 1)
        self.norm = nn.InstanceNorm2d(4, affine=True)
        self.head = nn.Linear(14, 7)

    def forward(self, x: Any) -> Any:
        y = self.blocks(self.stem(x))
        up = f.avg_pool2d(self.norm(self.up(y)), 3, 2, 1, count_include_pad=False)
        return f.softmax(self.head(torch.cat([y.mean((2, 3)), up.amax((2, 3))], 1)), -1)


class Sequences(nn.Module):
    """An LSTM in both directions, and a GRU, which is converted to a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 6, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(12, 7, batch_first=True)
        self.head = nn.Linear(7, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.gru(self.lstm(x)[0])[0])


class Listener(nn.Module):
    """An encoder as Whisper has it: two convolutions over time, the second of which halves it, then a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(10, 24, 3, padding=1), nn.Conv1d(24, 24, 3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.randn(13, 24))
        self.layers = nn.ModuleList([Layer(24, 4, 40), Layer(24, 3, 36)])
        self.norm = nn.LayerNorm(24)

    def forward(self, mel: Any) -> Any:
        x = f.gelu(self.second(f.gelu(self.first(mel)))).transpose(1, 2) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class Speaker(nn.Module):
    """A decoder as Whisper has it: tokens look back, and at what was heard; the table of tokens is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(19, 24)
        self.positions = nn.Parameter(torch.randn(7, 24))
        self.layers = nn.ModuleList([Layer(24, 4, 40, masked=True, crossed=True) for _ in range(2)])
        self.norm = nn.LayerNorm(24)

    def forward(self, tokens: Any, heard: Any) -> Any:
        x = self.table(tokens) + self.positions
        for layer in self.layers:
            x = layer(x, heard)
        return f.linear(self.norm(x), self.table.weight)


class Patches(nn.Module):
    """A ViT: patches and a token of their own through a transformer; probabilities of classes."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 18, 5, 5)
        self.token, self.positions = nn.Parameter(torch.randn(1, 1, 18)), nn.Parameter(torch.randn(25, 18))
        self.layers = nn.ModuleList([Layer(18, 3, 32), Layer(18, 2, 28)])
        self.norm, self.head = nn.LayerNorm(18), nn.Linear(18, 7)

    def forward(self, image: Any) -> Any:
        x = self.patch(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.token, x], 1) + self.positions
        for layer in self.layers:
            x = layer(x)
        return f.softmax(self.head(self.norm(x)[:, 0]), -1)


class Residual(nn.Module):
    """Two convolutions after normalization of groups, with what the time adds to each channel."""

    def __init__(self, inputs: int, outputs: int, groups: tuple[int, int]) -> None:
        super().__init__()
        self.before, self.first = nn.GroupNorm(groups[0], inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(14, outputs)
        self.between, self.second = nn.GroupNorm(groups[1], outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Any, time: Any) -> Any:
        y = self.first(f.silu(self.before(x))) + self.time(f.silu(time))[:, :, None, None]
        return self.second(f.silu(self.between(y))) + self.shortcut(x)


class Noise(nn.Module):
    """A U-Net as in diffusion: down twice, attention in the middle, up twice beside what was there on the way down."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("waves", torch.exp(torch.arange(7) * (-math.log(100) / 7)))
        self.time = nn.Sequential(nn.Linear(14, 14), nn.SiLU(), nn.Linear(14, 14))
        self.entry = nn.Conv2d(4, 6, 3, padding=1)
        self.down = nn.ModuleList([Residual(6, 8, (2, 4)), Residual(8, 10, (4, 5))])
        self.middle, self.norm = Attention(10, 2), nn.LayerNorm(10)
        self.up = nn.ModuleList([Residual(18, 9, (3, 3)), Residual(15, 6, (5, 2))])
        self.grow = nn.ConvTranspose2d(10, 10, 2, 2)
        self.exit = nn.Conv2d(6, 4, 3, padding=1)

    def forward(self, x: Any, step: Any) -> Any:
        angles = step[:, None] * self.waves[None]
        time = self.time(torch.cat([angles.cos(), angles.sin()], -1))
        first = self.entry(x)
        second = self.down[0](f.avg_pool2d(first, 2), time)
        y = self.down[1](f.max_pool2d(second, 2), time)
        flat = self.norm(y.flatten(2).transpose(1, 2))
        y = y + self.middle(flat).transpose(1, 2).reshape(1, 10, 3, 5)
        y = self.up[0](torch.cat([self.grow(y), second], 1), time)
        y = f.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.exit(f.silu(self.up[1](torch.cat([y, first], 1), time)))


class Split(nn.Module):
    """Half of the channels pass through further convolutions, and all that was made is joined, as in YOLO."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.first, self.inner = nn.Conv2d(inputs, 2 * half, 1), nn.Conv2d(half, half, 3, padding=1)
        self.last = nn.Conv2d(3 * half, outputs, 1)

    def forward(self, x: Any) -> Any:
        first, second = f.silu(self.first(x)).chunk(2, 1)
        return f.silu(self.last(torch.cat([first, second, second + f.silu(self.inner(second))], 1)))


class Detector(nn.Module):
    """Boxes and scores of classes at two scales, as in YOLO: sides of boxes are expectations over 5 lengths."""

    SIZES = ((6, 8), (3, 4))
    STRIDES = (8, 16)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 6, 4, 1), nn.SiLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.SiLU())
        self.fine, self.small = Split(8, 10), nn.Conv2d(10, 12, 3, 2, 1)
        self.pool = nn.Sequential(nn.Conv2d(12, 7, 1), nn.SiLU())
        self.coarse, self.merged = nn.Conv2d(28, 14, 1), Split(24, 16)
        self.boxes = nn.ModuleList([nn.Conv2d(16, 20, 1), nn.Conv2d(14, 20, 1)])
        self.scores = nn.ModuleList([nn.Conv2d(16, 9, 1), nn.Conv2d(14, 9, 1)])
        self.register_buffer("lengths", torch.arange(5.0).reshape(1, 1, 5, 1))
        grids = [torch.meshgrid(torch.arange(w) + 0.5, torch.arange(h) + 0.5, indexing="xy") for h, w in self.SIZES]
        self.register_buffer("centres", torch.cat([torch.stack([x.ravel(), y.ravel()]) for x, y in grids], 1)[None])
        strides = [torch.full((h * w,), float(s)) for (h, w), s in zip(self.SIZES, self.STRIDES, strict=True)]
        self.register_buffer("strides", torch.cat(strides))

    def forward(self, image: Any) -> Any:
        fine = self.fine(self.stem(image))
        coarse = [self.pool(f.silu(self.small(fine)))]
        for _ in range(3):
            coarse.append(f.max_pool2d(coarse[-1], 5, 1, 2))
        low = f.silu(self.coarse(torch.cat(coarse, 1)))
        high = self.merged(torch.cat([f.interpolate(low, scale_factor=2.0, mode="nearest"), fine], 1))
        levels = [
            torch.cat([boxes(x), scores(x)], 1).flatten(2)
            for boxes, scores, x in zip(self.boxes, self.scores, (high, low), strict=True)
        ]
        sides, scores = torch.cat(levels, 2).split((20, 9), 1)
        sides = (f.softmax(sides.reshape(1, 4, 5, 60), 2) * self.lengths).sum(2)
        start, end = self.centres - sides[:, :2], self.centres + sides[:, 2:]
        boxes = torch.cat([(start + end) / 2, end - start], 1) * self.strides
        return boxes.transpose(1, 2), torch.sigmoid(scores).transpose(1, 2)


class Step(nn.Module):
    """One token of a small language model, after those whose keys and values are given; shared by both decoders.

    Normalized by root mean squares, with turned queries and keys and a gate, as today's models are.
    """

    LAYERS, HEADS, SIZE, WIDTH, TOKENS, LONGEST = 2, 4, 6, 24, 19, 11

    def __init__(self) -> None:
        super().__init__()
        width = self.WIDTH
        self.table = nn.Embedding(self.TOKENS, width)
        self.scales = nn.ParameterList([nn.Parameter(torch.rand(width) + 0.5) for _ in range(2 * self.LAYERS + 1)])
        self.queries, self.keys, self.values, self.outs = (
            nn.ModuleList([nn.Linear(width, width, bias=False) for _ in range(self.LAYERS)]) for _ in range(4)
        )
        self.gates, self.ups = (nn.ModuleList([nn.Linear(width, 30, bias=False) for _ in range(2)]) for _ in range(2))
        self.downs = nn.ModuleList([nn.Linear(30, width, bias=False) for _ in range(2)])
        self.head = nn.Linear(width, self.TOKENS, bias=False)
        angles = torch.arange(self.LONGEST)[:, None] * torch.tensor([1.0, 0.3, 0.1])
        self.register_buffer("cosines", torch.cat([angles.cos()] * 2, 1))
        self.register_buffer("sines", torch.cat([angles.sin()] * 2, 1))

    def normalized(self, x: Any, index: int) -> Any:
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-3) * self.scales[index]

    def turned(self, x: Any, position: Any) -> Any:
        first, second = x.chunk(2, -1)
        return x * self.cosines[position] + torch.cat([-second, first], -1) * self.sines[position]

    def heads(self, x: Any) -> Any:
        return x.reshape(1, 1, self.HEADS, self.SIZE).transpose(1, 2)

    def step(self, token: Any, position: Any, remember: Any, mask: Any) -> Any:
        """Return logits; ``remember(layer, key, value)`` gives all keys and values there are."""
        x = self.table(token)
        for layer in range(self.LAYERS):
            y = self.normalized(x, 2 * layer)
            query = self.turned(self.heads(self.queries[layer](y)), position)
            key = self.turned(self.heads(self.keys[layer](y)), position)
            all_keys, all_values = remember(layer, key, self.heads(self.values[layer](y)))
            y = f.scaled_dot_product_attention(query, all_keys, all_values, attn_mask=mask)
            x = x + self.outs[layer](y.transpose(1, 2).reshape(1, 1, self.WIDTH))
            y = self.normalized(x, 2 * layer + 1)
            x = x + self.downs[layer](f.silu(self.gates[layer](y)) * self.ups[layer](y))
        return self.head(self.normalized(x, 2 * self.LAYERS))


class Growing(Step):
    """The keys and values of earlier tokens are inputs, and those with the new one are outputs."""

    def forward(self, token: Any, position: Any, keys: Any, values: Any) -> Any:
        grown: tuple[list[Any], list[Any]] = [], []

        def remember(layer: int, key: Any, value: Any) -> Any:
            for all_of_them, old, new in zip(grown, (keys, values), (key, value), strict=True):
                all_of_them.append(torch.cat([old[layer : layer + 1], new], 2))
            return grown[0][-1], grown[1][-1]

        logits = self.step(token, position, remember, None)
        return logits, torch.cat(grown[0], 0), torch.cat(grown[1], 0)


class Stateful(Step):
    """The keys and values are states, of which each step writes one place.

    Attributes:
        halves: whether what is written is rounded to half precision, as states of programs are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.halves = False
        for name in self.cells():
            self.register_buffer(name, torch.zeros(1, self.HEADS, self.LONGEST, self.SIZE))

    @classmethod
    def cells(cls) -> list[str]:
        return [f"{kind}_{layer}" for kind in ("kept_keys", "kept_values") for layer in range(cls.LAYERS)]

    def forward(self, token: Any, position: Any) -> Any:
        places = torch.arange(self.LONGEST)
        mask = torch.where(places <= position, 0.0, -1e4).reshape(1, 1, 1, -1)

        def remember(layer: int, key: Any, value: Any) -> Any:
            keys, values = getattr(self, f"kept_keys_{layer}"), getattr(self, f"kept_values_{layer}")
            keys[:, :, position : position + 1] = key.half().to(key.dtype) if self.halves else key
            values[:, :, position : position + 1] = value.half().to(value.dtype) if self.halves else value
            return keys, values

        return self.step(token, position, remember, mask.to(self.cosines.dtype))


class Adapted(nn.Module):
    """A small network whose first linear map has an adapter of low rank; the others are common to all adapters."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(20, 26), nn.Linear(26, 9)
        self.down, self.up = nn.Linear(20, 3, bias=False), nn.Linear(3, 26, bias=False)

    def forward(self, x: Any) -> Any:
        return self.second(f.gelu(self.first(x) + self.up(self.down(x))))
