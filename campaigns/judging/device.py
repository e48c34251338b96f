"""A simulated device: runs ML Programs in torch, stores few bits, adds in any order, and may fail at an operation.

It has nothing from refcoreml but the reader of messages. Numbers are held in single precision and rounded to what the
device stores; sums are cut into pieces, in some order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from campaigns.judging.graphs import ProgramGraph
from refcoreml.testing import extras

__all__ = ["KINDS", "Device", "run"]

torch: Any = extras.torch.load()
F: Any = torch.nn.functional
Tensor: TypeAlias = Any


@dataclass(frozen=True)
class Device:
    """How a device computes.

    Attributes:
        stored: the type in which it stores results: ``float16`` or ``float32``.
        short: whether partial sums lose the last 16 bits of single precision, as where bfloat16 is cut off.
        pieces: into how many pieces sums are cut.
        shuffled: the seed by which terms are ordered; None for their own order.
        fused: whether a product goes into the activation, sum or norm that reads it without being stored.
    """

    stored: str = "float32"
    short: bool = False
    pieces: int = 1
    shuffled: int | None = None
    fused: bool = False

    def store(self, values: Tensor) -> Tensor:
        """Return values as they are stored."""
        return values.to(getattr(torch, self.stored)).float() if values.is_floating_point() else values

    def parts(self, length: int) -> Iterator[Tensor]:
        """Yield the places of terms that are added before the others."""
        places = torch.arange(length)
        if self.shuffled is not None:
            places = torch.randperm(length, generator=torch.Generator().manual_seed(self.shuffled))
        yield from places.chunk(min(self.pieces, length))

    def total(self, sums: Iterator[Tensor]) -> Tensor:
        """Return the sum of partial sums."""
        result = self._kept(next(sums))
        for other in sums:
            result = self._kept(result + other)
        return result

    def _kept(self, values: Tensor) -> Tensor:
        return (values.view(torch.int32) & -0x10000).view(torch.float32) if self.short else values

    def product(self, x: Tensor, w: Tensor) -> Tensor:
        """Return the matrix product x w."""
        return self.total(torch.matmul(x[..., part], w[..., part, :]) for part in self.parts(x.shape[-1]))


@dataclass
class Arguments:
    """The arguments of an operation, constants as tensors or Python's values."""

    values: Mapping[str, Any]

    def __getitem__(self, role: str) -> Any:
        return self.values[role]

    def get(self, role: str, default: Any = None) -> Any:
        """Return an argument, or what it is by default."""
        return self.values.get(role, default)

    def numbers(self, role: str, default: Any = None) -> Any:
        """Return integers as a list."""
        found = self.values.get(role, default)
        return found.reshape(-1).tolist() if isinstance(found, torch.Tensor) else found

    def number(self, role: str, default: Any = None) -> Any:
        """Return one number."""
        found = self.values.get(role, default)
        return found.item() if isinstance(found, torch.Tensor) else found


#: What runs each kind of operation: of a device and arguments.
KINDS: dict[str, Callable[[Device, Arguments], Any]] = {}


def kind(*names: str) -> Callable[[Any], Any]:
    """Register what runs operations."""

    def register(function: Any) -> Any:
        KINDS.update(dict.fromkeys(names, function))
        return function

    return register


def _simple(**functions: Callable[..., Tensor]) -> None:
    for name, function in functions.items():
        kind(name)(lambda device, a, function=function: function(a["x"]))


_simple(
    relu=torch.relu,
    relu6=F.relu6,
    sigmoid=torch.sigmoid,
    tanh=torch.tanh,
    silu=F.silu,
    softsign=F.softsign,
    exp=torch.exp,
    sqrt=torch.sqrt,
    square=torch.square,
    abs=torch.abs,
    erf=torch.erf,
    identity=lambda x: x,
    logical_not=torch.logical_not,
    softplus=F.softplus,
)


def _pairs(**functions: Callable[..., Tensor]) -> None:
    for name, function in functions.items():
        kind(name)(lambda device, a, function=function: function(a["x"], a["y"]))


_pairs(
    add=torch.add,
    sub=torch.sub,
    mul=torch.mul,
    real_div=torch.div,
    maximum=torch.maximum,
    minimum=torch.minimum,
    pow=torch.pow,
    less=torch.lt,
    less_equal=torch.le,
    greater=torch.gt,
    greater_equal=torch.ge,
    equal=torch.eq,
    not_equal=torch.ne,
    logical_and=torch.logical_and,
    logical_or=torch.logical_or,
)


@kind("rsqrt")
def _(device: Device, a: Arguments) -> Tensor:
    return 1 / torch.sqrt(a["x"] + a.number("epsilon", 1e-12))


@kind("leaky_relu")
def _(device: Device, a: Arguments) -> Tensor:
    return torch.where(a["x"] >= 0, a["x"], a["alpha"] * a["x"])


@kind("thresholded_relu")
def _(device: Device, a: Arguments) -> Tensor:
    return torch.where(a["x"] >= a.number("alpha", 1.0), a["x"], torch.zeros(()))


@kind("prelu")
def _(device: Device, a: Arguments) -> Tensor:
    slope = a["alpha"].reshape(-1, *[1] * (a["x"].ndim - 2))
    return torch.where(a["x"] >= 0, a["x"], slope * a["x"])


@kind("elu")
def _(device: Device, a: Arguments) -> Tensor:
    return F.elu(a["x"], a.number("alpha", 1.0))


@kind("sigmoid_hard")
def _(device: Device, a: Arguments) -> Tensor:
    return torch.clamp(a["alpha"] * a["x"] + a["beta"], 0, 1)


@kind("clip")
def _(device: Device, a: Arguments) -> Tensor:
    return torch.clamp(a["x"], a.number("alpha"), a.number("beta"))


@kind("gelu")
def _(device: Device, a: Arguments) -> Tensor:
    mode = a.get("mode", "EXACT")
    return F.gelu(a["x"], approximate="none" if mode == "EXACT" else "tanh")


@kind("softmax")
def _(device: Device, a: Arguments) -> Tensor:
    return torch.softmax(a["x"], int(a.number("axis", -1)))


@kind("select")
def _(device: Device, a: Arguments) -> Tensor:
    return torch.where(a["cond"], a["a"], a["b"])


@kind("cast")
def _(device: Device, a: Arguments) -> Tensor:
    types = {"fp16": torch.float32, "fp32": torch.float32, "int32": torch.int64, "bool": torch.bool}
    types.update({name: torch.int64 for name in ("int16", "uint16", "int8", "uint8")})
    return a["x"].to(types[a["dtype"]])


# Products


@kind("linear")
def _(device: Device, a: Arguments) -> Tensor:
    y = device.product(a["x"], a["weight"].mT)
    return y + a["bias"] if "bias" in a.values else y


@kind("matmul")
def _(device: Device, a: Arguments) -> Tensor:
    x = a["x"].mT if a.number("transpose_x", False) else a["x"]
    y = a["y"].mT if a.number("transpose_y", False) else a["y"]
    return device.product(x, y)


@kind("scaled_dot_product_attention")
def _(device: Device, a: Arguments) -> Tensor:
    scores = device.product(a["query"], a["key"].mT) / math.sqrt(a["query"].shape[-1])
    scores = scores + a["attn_mask"] if "attn_mask" in a.values else scores
    return device.product(torch.softmax(scores, -1), a["value"])


def _edges(a: Arguments, axes: int, lengths: Sequence[int], strides: Sequence[int], steps: Sequence[int]) -> list[int]:
    """Return how far each axis is padded, before and after."""
    match a.get("pad_type", "valid"):
        case "custom":
            return [int(n) for n in a.numbers("pad")]
        case "valid":
            return [0] * 2 * axes
    found = []
    for axis in range(axes):
        length = a["x"].shape[2 + axis]
        reach = (math.ceil(length / strides[axis]) - 1) * strides[axis] + (lengths[axis] - 1) * steps[axis] + 1
        most = max(0, reach - length)
        found += [most // 2, most - most // 2]
    return found


def _padded(x: Tensor, edges: Sequence[int], value: float = 0.0) -> Tensor:
    pairs = [edges[n : n + 2] for n in range(0, len(edges), 2)]
    return F.pad(x, [n for pair in pairs[::-1] for n in pair], value=value)


def _ones(axes: int) -> list[int]:
    return [1] * axes


@kind("conv")
def _(device: Device, a: Arguments) -> Tensor:
    x, w, axes = a["x"], a["weight"], a["x"].ndim - 2
    strides, steps = a.numbers("strides", _ones(axes)), a.numbers("dilations", _ones(axes))
    groups = int(a.number("groups", 1))
    x = _padded(x, _edges(a, axes, w.shape[2:], strides, steps))
    function = (F.conv1d, F.conv2d)[axes - 1]
    grouped = x.reshape(x.shape[0], groups, -1, *x.shape[2:])

    def parts() -> Iterator[Tensor]:
        for part in device.parts(w.shape[1]):
            given = grouped[:, :, part].reshape(x.shape[0], -1, *x.shape[2:])
            yield function(given, w[:, part], None, strides, 0, steps, groups)

    y = device.total(parts())
    return y + a["bias"].reshape(-1, *_ones(axes)) if "bias" in a.values else y


@kind("conv_transpose")
def _(device: Device, a: Arguments) -> Tensor:
    x, w, axes = a["x"], a["weight"], a["x"].ndim - 2
    strides, groups = a.numbers("strides", _ones(axes)), int(a.number("groups", 1))
    assert groups == 1, "transposed convolutions in groups"
    function = (F.conv_transpose1d, F.conv_transpose2d)[axes - 1]
    y = device.total(function(x[:, part], w[part], None, strides) for part in device.parts(w.shape[0]))
    edges = (
        [int(n) for n in a.numbers("pad", [0] * 2 * axes)] if a.get("pad_type", "valid") == "custom" else [0, 0] * axes
    )
    shape = a.numbers("output_shape")
    for axis in range(axes):
        length = shape[2 + axis] if shape else y.shape[2 + axis] - edges[2 * axis] - edges[2 * axis + 1]
        lacks = edges[2 * axis] + length - y.shape[2 + axis]
        if lacks > 0:
            y = _padded(y, [0, 0] * axis + [0, lacks] + [0, 0] * (axes - axis - 1))
        y = y.narrow(2 + axis, edges[2 * axis], length)
    return y + a["bias"].reshape(-1, *_ones(axes)) if "bias" in a.values else y


# Norms, sums, pooling


@kind("batch_norm")
def _(device: Device, a: Arguments) -> Tensor:
    shape = (-1, *_ones(a["x"].ndim - 2))
    factor = a.get("gamma", torch.ones(1)) / torch.sqrt(a["variance"] + a.number("epsilon", 1e-5))
    return (a["x"] - a["mean"].reshape(shape)) * factor.reshape(shape) + a.get("beta", torch.zeros(1)).reshape(shape)


@kind("instance_norm")
def _(device: Device, a: Arguments) -> Tensor:
    return F.instance_norm(a["x"], weight=a.get("gamma"), bias=a.get("beta"), eps=a.number("epsilon", 1e-5))


@kind("layer_norm")
def _(device: Device, a: Arguments) -> Tensor:
    axes = [int(n) % a["x"].ndim for n in a.numbers("axes", range(a["x"].ndim))]
    shape = [a["x"].shape[axis] for axis in axes]
    assert axes == list(range(a["x"].ndim - len(axes), a["x"].ndim)), "norms along inner axes"
    return F.layer_norm(a["x"], shape, a.get("gamma"), a.get("beta"), a.number("epsilon", 1e-5))


def _reduction(name: str, function: Callable[..., Tensor]) -> None:
    def apply(device: Device, a: Arguments) -> Tensor:
        axes = [int(n) for n in a.numbers("axes", range(a["x"].ndim))]
        return function(a["x"], axes, keepdim=bool(a.number("keep_dims", False)))

    kind(name)(apply)


_reduction("reduce_mean", torch.mean)
_reduction("reduce_sum", torch.sum)
_reduction("reduce_max", torch.amax)
_reduction("reduce_sum_square", lambda x, axes, keepdim: torch.sum(x * x, axes, keepdim=keepdim))


@kind("max_pool")
def _(device: Device, a: Arguments) -> Tensor:
    lengths, strides, edges, axes = _window(a)
    x = _padded(a["x"], edges, -math.inf)
    return (F.max_pool1d, F.max_pool2d)[axes - 1](x, lengths, strides)


@kind("avg_pool")
def _(device: Device, a: Arguments) -> Tensor:
    lengths, strides, edges, axes = _window(a)
    function = (F.avg_pool1d, F.avg_pool2d)[axes - 1]
    y = function(_padded(a["x"], edges), lengths, strides)
    if a.number("exclude_padding_from_average", False):
        y = y / function(_padded(torch.ones_like(a["x"]), edges), lengths, strides)
    return y


def _window(a: Arguments) -> tuple[list[int], list[int], list[int], int]:
    lengths = a.numbers("kernel_sizes")
    axes = len(lengths)
    strides = a.numbers("strides", _ones(axes))
    assert not a.number("ceil_mode", False), "pooling with a window that is not full"
    return lengths, strides, _edges(a, axes, lengths, strides, _ones(axes)), axes


# Recurrent layers


@kind("lstm")
def _(device: Device, a: Arguments) -> tuple[Tensor, ...]:
    h, c = a["initial_h"], a["initial_c"]
    direction = a.get("direction", "forward")
    if direction != "bidirectional":
        steps, h, c = _lstm(device, a, h, c, "", direction == "reverse")
    else:
        both = [
            _lstm(device, a, h.chunk(2, -1)[number], c.chunk(2, -1)[number], suffix, bool(number))
            for number, suffix in enumerate(("", "_back"))
        ]
        steps, h, c = (torch.cat(parts, -1) for parts in zip(*both, strict=True))
    return steps if a.number("output_sequence", False) else steps[-1:], h, c


def _lstm(device: Device, a: Arguments, h: Tensor, c: Tensor, suffix: str, back: bool) -> tuple[Tensor, Tensor, Tensor]:
    w, u, bias = a[f"weight_ih{suffix}"].mT, a[f"weight_hh{suffix}"].mT, a.get(f"bias{suffix}", torch.zeros(1))
    x = a["x"].flip(0) if back else a["x"]
    found = []
    for step in x:
        i, f, o, g = device.store(device.product(step, w) + device.product(h, u) + bias).chunk(4, -1)
        c = device.store(torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g))
        h = device.store(torch.sigmoid(o) * torch.tanh(c))
        found.append(h)
    steps = torch.stack(found)
    return steps.flip(0) if back else steps, h, c


# Movement


@kind("reshape")
def _(device: Device, a: Arguments) -> Tensor:
    return a["x"].reshape([int(n) for n in a.numbers("shape")])


@kind("transpose")
def _(device: Device, a: Arguments) -> Tensor:
    return a["x"].permute([int(n) for n in a.numbers("perm")])


@kind("expand_dims")
def _(device: Device, a: Arguments) -> Tensor:
    x = a["x"]
    axes = a.numbers("axes")
    for axis in sorted(int(n) % (x.ndim + len(axes)) for n in axes):
        x = x.unsqueeze(axis)
    return x


@kind("squeeze")
def _(device: Device, a: Arguments) -> Tensor:
    axes = a.numbers("axes")
    return a["x"].squeeze([int(n) for n in axes]) if axes is not None else a["x"].squeeze()


@kind("concat")
def _(device: Device, a: Arguments) -> Tensor:
    values = a["values"] if isinstance(a["values"], list) else [a["values"]]
    return torch.cat(values, int(a.number("axis")))


@kind("stack")
def _(device: Device, a: Arguments) -> Tensor:
    return torch.stack(a["values"], int(a.number("axis")))


@kind("split")
def _(device: Device, a: Arguments) -> tuple[Tensor, ...]:
    axis = int(a.number("axis"))
    sizes = a.numbers("split_sizes")
    if sizes is None:
        return tuple(a["x"].chunk(int(a.number("num_splits")), axis))
    return tuple(a["x"].split([int(n) for n in sizes], axis))


@kind("tile")
def _(device: Device, a: Arguments) -> Tensor:
    return a["x"].repeat([int(n) for n in a.numbers("reps")])


@kind("gather")
def _(device: Device, a: Arguments) -> Tensor:
    x, axis, indices = a["x"], int(a.number("axis", 0)), a["indices"].long()
    found = x.index_select(axis % x.ndim, indices.reshape(-1))
    axis %= x.ndim
    return found.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@kind("slice_by_index")
def _(device: Device, a: Arguments) -> Tensor:
    x = a["x"]
    begin, end = a.numbers("begin"), a.numbers("end")
    count = len(begin)
    strides = a.numbers("stride", _ones(count))
    open_begin, open_end, single = (
        a.numbers(role, [False] * count) for role in ("begin_mask", "end_mask", "squeeze_mask")
    )
    for axis in range(count):
        length = x.shape[axis]
        if single[axis]:
            x = x.narrow(axis, begin[axis] % length, 1)
            continue
        start = 0 if open_begin[axis] else begin[axis] % length if begin[axis] < 0 else begin[axis]
        stop = length if open_end[axis] else end[axis] % length if end[axis] < 0 else min(end[axis], length)
        x = x.index_select(axis, torch.arange(start, stop, strides[axis]))
    return x.squeeze([axis for axis in range(count) if single[axis]])


@kind("crop")
def _(device: Device, a: Arguments) -> Tensor:
    x = a["x"]
    for axis, role in (-2, "crop_height"), (-1, "crop_width"):
        before, after = a.numbers(role)
        x = x.narrow(axis, before, x.shape[axis] - before - after)
    return x


@kind("pad")
def _(device: Device, a: Arguments) -> Tensor:
    edges = [int(n) for n in a.numbers("pad")]
    assert a.get("mode", "constant") == "constant", "padding by reflection"
    return _padded(a["x"], edges, float(a.number("constant_val", 0.0)))


@kind("upsample_nearest_neighbor")
def _(device: Device, a: Arguments) -> Tensor:
    rows, columns = (int(a.number(f"scale_factor_{axis}", 1)) for axis in ("height", "width"))
    return a["x"].repeat_interleave(rows, -2).repeat_interleave(columns, -1)


@kind("upsample_bilinear")
def _(device: Device, a: Arguments) -> Tensor:
    factors = [float(a.number(f"scale_factor_{axis}", 1)) for axis in ("height", "width")]
    size = [int(length * factor) for length, factor in zip(a["x"].shape[-2:], factors, strict=True)]
    return F.interpolate(a["x"], size, mode="bilinear", align_corners=bool(a.number("align_corners", True)))


# Running


#: What takes a product without its being stored, where a device fuses.
_PRODUCTS = ("conv", "conv_transpose", "linear", "matmul")
_FOLLOWERS = (
    *("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", "add", "batch_norm", "clip", "prelu"),
)


@dataclass(frozen=True)
class Failure:
    """An operation that goes wrong.

    Attributes:
        change: from its result to what is stored instead.
        device: how it computes, if not as the others do.
    """

    change: Callable[[Tensor], Tensor] = field(default=lambda result: result)
    device: Device | None = None


def run(
    graph: ProgramGraph, inputs: Mapping[str, Any], device: Device, failures: Mapping[str, Failure] | None = None
) -> dict[str, Any]:
    """Return all values that a device stores, as arrays by name, the outputs included."""
    values: dict[str, Tensor] = {}
    for name, array in inputs.items():
        tensor = torch.from_numpy(np.array(array))
        values[name] = device.store(tensor.float()) if tensor.is_floating_point() else tensor.long()
    hidden: set[str] = set()
    operations = graph.operations()
    for operation in operations:
        failure = (failures or {}).get(operation.name, Failure())
        own = failure.device or device
        arguments = Arguments(
            {role: _argument(found, values, own) for role, found in graph.arguments(operation.name).items()}
        )
        if operation.kind == "constexpr_affine_dequantize":
            results: tuple[Tensor, ...] = (own.store(_dequantized(graph, operation.name)),)
        else:
            found = KINDS[operation.kind](own, arguments)
            results = found if isinstance(found, tuple) else (found,)
        readers = [reader for reader in operations if set(operation.outputs) & set(reader.inputs)]
        fuses = operation.kind in _PRODUCTS and len(readers) == 1 and readers[0].kind in _FOLLOWERS
        for name, result in zip(operation.outputs, results, strict=True):
            if device.fused and fuses and operation.name not in (failures or {}):
                hidden.add(name)
                values[name] = result
            else:
                values[name] = own.store(failure.change(own.store(result)))
    shown = {name: value.numpy() for name, value in values.items() if name not in hidden and name not in inputs}
    return {name: value.astype(np.float32) if value.dtype.kind == "f" else value for name, value in shown.items()}


def _argument(found: Sequence[Any], values: Mapping[str, Tensor], device: Device) -> Any:
    each = [values[item] if isinstance(item, str) else _constant(item[0], device) for item in found]
    return each[0] if len(each) == 1 else each


def _constant(value: Any, device: Device) -> Any:
    array = np.array(value)
    if array.dtype.kind in "OU":
        return str(array.item()) if array.ndim == 0 else array.tolist()
    tensor = torch.from_numpy(array.astype(np.float32) if array.dtype.kind == "f" else array)
    return (
        device.store(tensor) if tensor.is_floating_point() else tensor if tensor.dtype == torch.bool else tensor.long()
    )


def _dequantized(graph: ProgramGraph, name: str) -> Tensor:
    made = {role: torch.from_numpy(array) for role, array in graph.attributes(name).items()}
    codes = made["quantized_data"].float() - made["zero_point"].float()
    return codes * made["scale"].reshape(-1, *_ones(codes.ndim - 1))
