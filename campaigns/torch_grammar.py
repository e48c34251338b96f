"""Random networks in torch: a grammar of operators and of network shapes, for Hypothesis.

`torch_networks` draws a `TorchNetwork`: a module, inputs that suit it, and the text of its program, so that a failure
that Hypothesis has shrunk can be read. `OPERATORS` and `SHAPES` are the grammar; each is a small function that anybody
can extend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from campaigns.scripted_modules import Branches, CountedLoop, LoopWithBranch, WhileLoop
from refcoreml.testing.draws import Draws, HypothesisDraws, RandomDraws
from refcoreml.testing.extras import hypothesis, torch

__all__ = ["OPERATORS", "SHAPES", "Draws", "Operator", "TorchNetwork", "random_network", "torch_networks"]

Tensor: TypeAlias = Any
F: Any = torch.nn.functional


@dataclass(frozen=True)
class Operator:
    """An entry of the grammar.

    Attributes:
        name: what it is called in the text of a program.
        make: from choices and a sample of the argument to (text of the parameters, module or function).
        takes: whether it can be applied to a tensor of this shape.
        keeps: whether the result has the shape of the argument.
    """

    name: str
    make: Callable[[Draws, Tensor], tuple[str, Any]]
    takes: Callable[[tuple[int, ...]], bool]
    keeps: bool


#: All operators of one argument by name.
OPERATORS: dict[str, Operator] = {}


def operator(
    name: str, ranks: Sequence[int] = (2, 3, 4), *, keeps: bool = True, when: Callable[..., bool] = lambda shape: True
) -> Callable[[Any], Any]:
    """Register ``(draws, x) -> (text, function)`` under a name."""

    def register(make: Any) -> Any:
        assert name not in OPERATORS, name
        OPERATORS[name] = Operator(name, make, lambda shape: len(shape) in ranks and when(shape), keeps)
        return make

    return register


def _function(name: str, function: Callable[[Tensor], Tensor], **options: Any) -> None:
    """Register a function without parameters."""
    operator(name, **options)(lambda draws, x: ("", function))


def _families() -> None:
    """Register elementwise functions, each on its domain."""
    for name in (
        *("relu", "sigmoid", "tanh", "abs", "neg", "exp", "sin", "cos", "atan", "erf", "floor", "ceil", "round"),
        *("square", "sign", "sinh", "cosh"),
    ):
        _function(name, getattr(torch, name))
    for name in (
        *("relu6", "elu", "gelu", "silu", "softplus", "softsign", "hardtanh", "hardsigmoid", "hardswish", "mish"),
        *("selu", "tanhshrink"),
    ):
        _function(name, getattr(F, name))
    _function("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"))
    _function("sqrt", lambda x: torch.sqrt(x.abs() + 0.25))
    _function("rsqrt", lambda x: torch.rsqrt(x.abs() + 0.25))
    _function("log", lambda x: torch.log(x.abs() + 0.25))
    _function("log1p", lambda x: torch.log1p(x.abs()))
    _function("exp2", lambda x: torch.exp2(torch.tanh(x)))
    _function("expm1", lambda x: torch.expm1(x * 0.5))
    _function("reciprocal", lambda x: torch.reciprocal(x.abs() + 0.5))
    _function("asin", lambda x: torch.asin(torch.tanh(x) * 0.75))
    _function("acos", lambda x: torch.acos(torch.tanh(x) * 0.75))
    _function("atanh", lambda x: torch.atanh(torch.tanh(x) * 0.75))
    _function("tan", lambda x: torch.tan(torch.tanh(x)))
    _function("maximum_self", lambda x: torch.maximum(x, -x * 0.5))
    _function("minimum_self", lambda x: torch.minimum(x, x * x))
    _function("where_greater", lambda x: torch.where(x > 0.25, x, -x))
    _function("where_less", lambda x: torch.where(x < 0.25, x * 2, x + 1))
    _function("masked_fill", lambda x: x.masked_fill(x >= 1, -0.5))
    _function("logical", lambda x: torch.where(torch.logical_and(x > -1, x <= 1), x, x * 0.5))
    _function("logical_or", lambda x: torch.where(torch.logical_or(x < -1, torch.logical_not(x < 0.5)), x, x - 1))
    _function("equal_to_itself", lambda x: x * torch.eq(x, x).float())
    _function("not_equal", lambda x: x + torch.ne(x, 0).to(x.dtype))
    _function("zeros_like", lambda x: x + torch.zeros_like(x))
    _function("ones_like", lambda x: x - torch.ones_like(x) * 0.5)
    _function("full_like", lambda x: x * torch.full_like(x, 0.75))
    _function("rsub", lambda x: 1.5 - x)
    _function("divided", lambda x: 1.5 / (x.abs() + 1))
    _function("quotient", lambda x: x / (1 + x.abs()))
    _function("clone", lambda x: x.clone() * 1.25)
    _function("glu_like", lambda x: x * torch.sigmoid(x) + x)
    _function("floor_divide", lambda x: torch.floor_divide(x, 0.5) + x)
    _function("remainder", lambda x: torch.remainder(x, 1.5))


_families()


@operator("leaky_relu")
def _leaky_relu(draws: Draws, x: Tensor) -> tuple[str, Any]:
    slope = draws.choice([0.01, 0.2, 0.5])
    return f"{slope}", lambda x: F.leaky_relu(x, slope)


@operator("prelu", [2, 4])
def _prelu(draws: Draws, x: Tensor) -> tuple[str, Any]:
    module = torch.nn.PReLU(draws.choice([1, x.shape[1]]))
    with torch.no_grad():
        module.weight.uniform_(0.1, 0.9)
    return f"{module.weight.numel()}", module


@operator("elu_alpha")
def _elu(draws: Draws, x: Tensor) -> tuple[str, Any]:
    alpha = draws.choice([0.5, 1.5])
    return f"{alpha}", lambda x: F.elu(x, alpha)


@operator("clamp")
def _clamp(draws: Draws, x: Tensor) -> tuple[str, Any]:
    low, high = draws.choice([(-1.0, 1.0), (-0.3, 0.7), (0.0, 6.0), (None, 0.5), (-0.5, None)])
    return f"{low}, {high}", lambda x: torch.clamp(x, low, high)


@operator("pow")
def _pow(draws: Draws, x: Tensor) -> tuple[str, Any]:
    exponent = draws.choice([2, 3, 0.5, 1.5, -1.0])
    if exponent in (2, 3):
        return f"{exponent}", lambda x: torch.pow(x, exponent)
    return f"|x| + 0.5, {exponent}", lambda x: torch.pow(x.abs() + 0.5, exponent)


@operator("add_scalar")
def _add_scalar(draws: Draws, x: Tensor) -> tuple[str, Any]:
    value = draws.choice([1.0, 0.1, -0.7])
    return f"{value}", lambda x: x + value


@operator("mul_scalar")
def _mul_scalar(draws: Draws, x: Tensor) -> tuple[str, Any]:
    value = draws.choice([2.0, 0.1, -0.7])
    return f"{value}", lambda x: x * value


class _Affine(torch.nn.Module):  # type: ignore[misc]
    """x * scale + shift with parameters that broadcast."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.rand(*shape) + 0.5)
        self.shift = torch.nn.Parameter(torch.randn(*shape) * 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


@operator("affine")
def _affine(draws: Draws, x: Tensor) -> tuple[str, Any]:
    rank = x.dim()
    shapes = [tuple(x.shape[i] if i == axis else 1 for i in range(rank)) for axis in range(1, rank)]
    shape = draws.choice([*shapes, tuple(x.shape[1:]), (1,)])
    return f"{shape}", _Affine(shape)


@operator("softmax")
def _softmax(draws: Draws, x: Tensor) -> tuple[str, Any]:
    axis = draws.choice([-1, 1])
    return f"{axis}", lambda x: F.softmax(x, axis)


@operator("log_softmax")
def _log_softmax(draws: Draws, x: Tensor) -> tuple[str, Any]:
    axis = draws.choice([-1, 1])
    return f"{axis}", lambda x: F.log_softmax(x, axis)


@operator("softmin")
def _softmin(draws: Draws, x: Tensor) -> tuple[str, Any]:
    axis = draws.choice([-1, 1])
    return f"{axis}", lambda x: F.softmin(x, axis)


@operator("layer_norm")
def _layer_norm(draws: Draws, x: Tensor) -> tuple[str, Any]:
    count = draws.integer(1, min(2, x.dim() - 1))
    module = torch.nn.LayerNorm(list(x.shape[-count:]), eps=draws.choice([1e-5, 1e-3]))
    return f"{count} axes, eps {module.eps}", _stirred(module)


@operator("batch_norm", when=lambda shape: shape[1] > 1)
def _batch_norm(draws: Draws, x: Tensor) -> tuple[str, Any]:
    kinds = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}
    module = kinds[x.dim()](x.shape[1], eps=draws.choice([1e-5, 1e-3]), affine=draws.choice([True, False]))
    return f"eps {module.eps}", _stirred(module)


@operator("instance_norm", [4], when=lambda shape: shape[2] * shape[3] > 3)
def _instance_norm(draws: Draws, x: Tensor) -> tuple[str, Any]:
    module = torch.nn.InstanceNorm2d(x.shape[1], affine=draws.choice([True, False]))
    return f"affine {module.affine}", _stirred(module)


@operator("group_norm", [4], when=lambda shape: shape[1] % 2 == 0 and shape[1] > 2)
def _group_norm(draws: Draws, x: Tensor) -> tuple[str, Any]:
    return "2 groups", _stirred(torch.nn.GroupNorm(2, x.shape[1]))


@operator("local_response_norm", [4])
def _local_response_norm(draws: Draws, x: Tensor) -> tuple[str, Any]:
    size = draws.integer(2, 3)
    return f"{size}", torch.nn.LocalResponseNorm(size, alpha=0.25, beta=0.75, k=1.0)


@operator("normalize")
def _normalize(draws: Draws, x: Tensor) -> tuple[str, Any]:
    return "", lambda x: F.normalize(x, dim=1)


def _stirred(module: Any) -> Any:
    """Return a module with parameters and statistics that are no longer 0 and 1, but within [-1, 1] and [0.5, 1.5]."""
    with torch.no_grad():
        for name, values in (*module.named_parameters(), *module.named_buffers()):
            if name in ("weight", "running_var"):
                values.uniform_(0.5, 1.5)
            elif name in ("bias", "running_mean"):
                values.uniform_(-1, 1)
    return module


@operator("dropout")
def _dropout(draws: Draws, x: Tensor) -> tuple[str, Any]:
    return "0.5", torch.nn.Dropout(0.5)


@operator("transpose", [3, 4], keeps=False)
def _transpose(draws: Draws, x: Tensor) -> tuple[str, Any]:
    a, b = draws.choice([(1, 2), (-1, -2)])
    return f"{a}, {b}", lambda x: x.transpose(a, b)


@operator("permute", [3, 4], keeps=False)
def _permute(draws: Draws, x: Tensor) -> tuple[str, Any]:
    orders = [(0, 2, 1)] if x.dim() == 3 else [(0, 2, 3, 1), (0, 3, 1, 2), (0, 1, 3, 2)]
    order = draws.choice(orders)
    return f"{order}", lambda x: x.permute(order)


@operator("narrow", when=lambda shape: shape[1] > 1, keeps=False)
def _narrow(draws: Draws, x: Tensor) -> tuple[str, Any]:
    length = draws.integer(1, x.shape[1] - 1)
    return f"1, 1, {length}", lambda x: x.narrow(1, 1, length)


@operator("slice", when=lambda shape: shape[-1] > 2, keeps=False)
def _slice(draws: Draws, x: Tensor) -> tuple[str, Any]:
    start, stop, step = draws.choice([(1, None, 1), (0, -1, 1), (0, None, 2), (1, -1, 1), (-2, None, 1)])
    return f"..., {start}:{stop}:{step}", lambda x: x[..., start:stop:step]


@operator("select_and_add")
def _select(draws: Draws, x: Tensor) -> tuple[str, Any]:
    index = draws.choice([0, -1])
    return f"x + x[:, {index}]", lambda x: x + x[:, index : index + 1 if index == 0 else None]


@operator("select", [3, 4], keeps=False)
def _select_axis(draws: Draws, x: Tensor) -> tuple[str, Any]:
    axis = draws.integer(1, x.dim() - 1)
    return f"{axis}, 0", lambda x: x.select(axis, 0)


@operator("index_select", keeps=False)
def _index_select(draws: Draws, x: Tensor) -> tuple[str, Any]:
    axis = draws.integer(1, x.dim() - 1)
    places = [x.shape[axis] - 1, 0]
    index = torch.tensor(places)
    return f"{axis}, {places}", lambda x: x.index_select(axis, index)


@operator("gather", [2, 3], keeps=False)
def _gather(draws: Draws, x: Tensor) -> tuple[str, Any]:
    axis = x.dim() - 1
    index = torch.zeros_like(x, dtype=torch.int64) + x.shape[axis] - 1
    return f"{axis}, all the last", lambda x: x.gather(axis, index)


@operator("flip")
def _flip(draws: Draws, x: Tensor) -> tuple[str, Any]:
    axis = draws.integer(1, x.dim() - 1)
    return f"{axis}", lambda x: torch.flip(x, [axis])


@operator("roll")
def _roll(draws: Draws, x: Tensor) -> tuple[str, Any]:
    axis = draws.integer(1, x.dim() - 1)
    return f"1, {axis}", lambda x: torch.roll(x, 1, axis)


@operator("split_swap", when=lambda shape: shape[1] > 1)
def _split(draws: Draws, x: Tensor) -> tuple[str, Any]:
    first = draws.integer(1, x.shape[1] - 1)
    sizes = [first, x.shape[1] - first]
    return f"cat(split(x, {sizes}) turned round)", lambda x: torch.cat(torch.split(x, sizes, 1)[::-1], 1)


@operator("chunk_add", when=lambda shape: shape[1] % 2 == 0, keeps=False)
def _chunk(draws: Draws, x: Tensor) -> tuple[str, Any]:
    def run(x: Tensor) -> Tensor:
        a, b = torch.chunk(x, 2, 1)
        return a * 0.5 + b

    return "a * 0.5 + b", run


@operator("glu", when=lambda shape: shape[1] % 2 == 0, keeps=False)
def _glu(draws: Draws, x: Tensor) -> tuple[str, Any]:
    return "1", lambda x: F.glu(x, 1)


@operator("unbind_add", [3, 4], when=lambda shape: 1 < shape[1] < 5, keeps=False)
def _unbind(draws: Draws, x: Tensor) -> tuple[str, Any]:
    def run(x: Tensor) -> Tensor:
        parts = torch.unbind(x, 1)
        return parts[0] - parts[-1]

    return "first - last", run


@operator("stack", [2, 3], keeps=False)
def _stack(draws: Draws, x: Tensor) -> tuple[str, Any]:
    axis = draws.integer(1, x.dim())
    return f"(x, -x), {axis}", lambda x: torch.stack([x, -x], axis)


@operator("cat_self", keeps=False)
def _cat(draws: Draws, x: Tensor) -> tuple[str, Any]:
    axis = draws.integer(1, x.dim() - 1)
    return f"(x, x * 0.5), {axis}", lambda x: torch.cat([x, x * 0.5], axis)


@operator("repeat", keeps=False, when=lambda shape: shape[-1] < 8)
def _repeat(draws: Draws, x: Tensor) -> tuple[str, Any]:
    counts = [1] * (x.dim() - 1) + [2]
    return f"{counts}", lambda x: x.repeat(counts)


@operator("expand")
def _expand(draws: Draws, x: Tensor) -> tuple[str, Any]:
    shape = [*x.shape[:-1], x.shape[-1]]
    return "mean over the last axis, expanded", lambda x: x - x.mean(-1, keepdim=True).expand(shape)


@operator("squeeze_unsqueeze")
def _squeeze(draws: Draws, x: Tensor) -> tuple[str, Any]:
    axis = draws.integer(1, x.dim())
    return f"{axis}", lambda x: torch.relu(x.unsqueeze(axis)).squeeze(axis)


@operator("reshape", [3, 4], keeps=False)
def _reshape(draws: Draws, x: Tensor) -> tuple[str, Any]:
    if x.dim() == 3:
        shape = [x.shape[0], 1, x.shape[1], x.shape[2]]
    else:
        shape = [x.shape[0], x.shape[1], x.shape[2] * x.shape[3]]
    return f"{shape}", lambda x: x.reshape(shape)


@operator("flatten", [3, 4], keeps=False)
def _flatten(draws: Draws, x: Tensor) -> tuple[str, Any]:
    return "1", lambda x: torch.flatten(x, 1)


@operator("tril", [3], when=lambda shape: shape[1] > 1)
def _tril(draws: Draws, x: Tensor) -> tuple[str, Any]:
    diagonal = draws.choice([0, 1, -1])
    return f"{diagonal}", lambda x: torch.tril(x, diagonal)


@operator("triu", [3], when=lambda shape: shape[1] > 1)
def _triu(draws: Draws, x: Tensor) -> tuple[str, Any]:
    diagonal = draws.choice([0, 1, -1])
    return f"{diagonal}", lambda x: torch.triu(x, diagonal)


def _reduction(name: str, function: Callable[..., Tensor]) -> None:
    @operator(name, [3, 4], keeps=False)
    def _(draws: Draws, x: Tensor) -> tuple[str, Any]:
        axis = draws.choice([-1, 1])
        keep = draws.choice([False, True])
        return f"{axis}, keepdim {keep}", lambda x: function(x, axis, keep)


for _name, _reduce in {
    "mean": lambda x, axis, keep: x.mean(axis, keepdim=keep),
    "sum": lambda x, axis, keep: x.sum(axis, keepdim=keep),
    "amax": lambda x, axis, keep: torch.amax(x, axis, keep),
    "amin": lambda x, axis, keep: torch.amin(x, axis, keep),
    "max_values": lambda x, axis, keep: torch.max(x, axis, keepdim=keep)[0],
    "min_values": lambda x, axis, keep: torch.min(x, axis, keepdim=keep)[0],
    "logsumexp": lambda x, axis, keep: torch.logsumexp(x, axis, keep),
    "norm": lambda x, axis, keep: torch.norm(x, 2, axis, keep),
    "norm1": lambda x, axis, keep: torch.norm(x, 1, axis, keep),
    "std": lambda x, axis, keep: torch.std(
        x * 2 + torch.arange(x.shape[axis]).sum(), axis, unbiased=False, keepdim=keep
    ),
    "var": lambda x, axis, keep: torch.var(x, axis, unbiased=False, keepdim=keep),
    "argmax": lambda x, axis, keep: torch.argmax(x, axis, keep).to(x.dtype) * 0.5,
    "argmin": lambda x, axis, keep: torch.argmin(x, axis, keep).to(x.dtype) * 0.5,
}.items():
    _reduction(_name, _reduce)


@operator("center")
def _center(draws: Draws, x: Tensor) -> tuple[str, Any]:
    return "x - mean(x)", lambda x: x - x.mean(dim=-1, keepdim=True)


@operator("cumsum")
def _cumsum(draws: Draws, x: Tensor) -> tuple[str, Any]:
    axis = draws.integer(1, x.dim() - 1)
    return f"{axis}", lambda x: torch.cumsum(x, axis)


@operator("topk", [2, 3], keeps=False)
def _topk(draws: Draws, x: Tensor) -> tuple[str, Any]:
    count = draws.integer(1, x.shape[-1])

    def run(x: Tensor) -> Tensor:
        values, indices = torch.topk(x, count, -1)
        return values + indices.to(x.dtype)

    return f"{count}: values + indices", run


@operator("sort", [2, 3])
def _sort(draws: Draws, x: Tensor) -> tuple[str, Any]:
    descending = draws.choice([False, True])
    return f"descending {descending}", lambda x: torch.sort(x, -1, descending)[0]


@operator("argsort", [2, 3])
def _argsort(draws: Draws, x: Tensor) -> tuple[str, Any]:
    return "", lambda x: torch.argsort(x, -1).to(x.dtype) * 0.25


# Layers with weights.


@operator("linear", [2, 3], keeps=False)
def _linear(draws: Draws, x: Tensor) -> tuple[str, Any]:
    size, bias = draws.integer(2, 8), draws.choice([True, False])
    return f"{size}, bias {bias}", torch.nn.Linear(x.shape[-1], size, bias=bias)


@operator("conv2d", [4], keeps=False)
def _conv2d(draws: Draws, x: Tensor) -> tuple[str, Any]:
    size, kernel = draws.integer(1, 6), (draws.integer(1, 3), draws.integer(1, 3))
    stride, dilation = draws.integer(1, 2), draws.choice([1, 1, 2])
    padding, bias = (draws.integer(0, 2), draws.integer(0, 1)), draws.choice([True, False])
    text = f"{size}, kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation}, bias {bias}"
    return text, torch.nn.Conv2d(x.shape[1], size, kernel, stride, padding, dilation, bias=bias)


@operator("conv2d_same", [4], keeps=False)
def _conv2d_same(draws: Draws, x: Tensor) -> tuple[str, Any]:
    size, kernel = draws.integer(1, 6), draws.choice([1, 3, 2])
    return f"{size}, kernel {kernel}", torch.nn.Conv2d(x.shape[1], size, kernel, padding="same")


@operator("conv2d_depthwise", [4], keeps=False)
def _depthwise(draws: Draws, x: Tensor) -> tuple[str, Any]:
    stride, times = draws.integer(1, 2), draws.integer(1, 2)
    module = torch.nn.Conv2d(x.shape[1], x.shape[1] * times, 3, stride, 1, groups=x.shape[1])
    return f"3 x 3, stride {stride}, {times} each", module


@operator("conv2d_groups", [4], when=lambda shape: shape[1] % 2 == 0, keeps=False)
def _grouped(draws: Draws, x: Tensor) -> tuple[str, Any]:
    return "4 in 2 groups", torch.nn.Conv2d(x.shape[1], 4, 3, padding=1, groups=2)


@operator("conv2d_padding_mode", [4], when=lambda shape: min(shape[2:]) > 2, keeps=False)
def _conv2d_mode(draws: Draws, x: Tensor) -> tuple[str, Any]:
    mode = draws.choice(["reflect", "replicate"])
    return mode, torch.nn.Conv2d(x.shape[1], 3, 3, padding=1, padding_mode=mode)


@operator("conv_transpose2d", [4], when=lambda shape: max(shape[2:]) < 9, keeps=False)
def _conv_transpose2d(draws: Draws, x: Tensor) -> tuple[str, Any]:
    size, kernel, stride = draws.integer(1, 4), draws.integer(2, 3), draws.integer(1, 2)
    padding = draws.integer(0, 1)
    extra = draws.integer(0, stride - 1)
    module = torch.nn.ConvTranspose2d(x.shape[1], size, kernel, stride, padding, extra)
    return f"{size}, kernel {kernel}, stride {stride}, padding {padding}, output_padding {extra}", module


@operator("conv1d", [3], keeps=False)
def _conv1d(draws: Draws, x: Tensor) -> tuple[str, Any]:
    size, kernel, stride, padding = (draws.integer(*pair) for pair in ((1, 6), (1, 3), (1, 2), (0, 2)))
    dilation = draws.choice([1, 2])
    text = f"{size}, kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation}"
    return text, torch.nn.Conv1d(x.shape[1], size, kernel, stride, padding, dilation)


@operator("conv_transpose1d", [3], when=lambda shape: shape[2] < 12, keeps=False)
def _conv_transpose1d(draws: Draws, x: Tensor) -> tuple[str, Any]:
    size, kernel, stride = draws.integer(1, 4), draws.integer(2, 3), draws.integer(1, 2)
    return f"{size}, kernel {kernel}, stride {stride}", torch.nn.ConvTranspose1d(x.shape[1], size, kernel, stride)


@operator("max_pool2d", [4], when=lambda shape: min(shape[2:]) > 2, keeps=False)
def _max_pool2d(draws: Draws, x: Tensor) -> tuple[str, Any]:
    kernel, stride = draws.integer(2, 3), draws.integer(1, 2)
    padding, ceil = draws.integer(0, 1), draws.choice([False, True])
    text = f"{kernel}, stride {stride}, padding {padding}, ceil {ceil}"
    return text, lambda x: F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil)


@operator("avg_pool2d", [4], when=lambda shape: min(shape[2:]) > 2, keeps=False)
def _avg_pool2d(draws: Draws, x: Tensor) -> tuple[str, Any]:
    kernel, stride = draws.integer(2, 3), draws.integer(1, 2)
    padding, counts = draws.integer(0, 1), draws.choice([True, False])
    text = f"{kernel}, stride {stride}, padding {padding}, count_include_pad {counts}"
    return text, lambda x: F.avg_pool2d(x, kernel, stride, padding, count_include_pad=counts)


@operator("max_pool1d", [3], when=lambda shape: shape[2] > 2, keeps=False)
def _max_pool1d(draws: Draws, x: Tensor) -> tuple[str, Any]:
    stride = draws.integer(1, 2)
    return f"2, stride {stride}", lambda x: F.max_pool1d(x, 2, stride)


@operator("avg_pool1d", [3], when=lambda shape: shape[2] > 2, keeps=False)
def _avg_pool1d(draws: Draws, x: Tensor) -> tuple[str, Any]:
    stride, padding = draws.integer(1, 2), draws.integer(0, 1)
    return f"3, stride {stride}, padding {padding}", lambda x: F.avg_pool1d(x, 3, stride, padding)


@operator("adaptive_avg_pool2d", [4], keeps=False)
def _adaptive_avg(draws: Draws, x: Tensor) -> tuple[str, Any]:
    sizes = [n for n in range(1, x.shape[2] + 1) if x.shape[2] % n == 0 and x.shape[3] % n == 0]
    size = draws.choice(sizes)
    return f"{size}", lambda x: F.adaptive_avg_pool2d(x, size)


@operator("adaptive_max_pool2d", [4], keeps=False)
def _adaptive_max(draws: Draws, x: Tensor) -> tuple[str, Any]:
    return "1", lambda x: F.adaptive_max_pool2d(x, 1)


@operator("upsample_nearest", [4], when=lambda shape: max(shape[2:]) < 9, keeps=False)
def _nearest(draws: Draws, x: Tensor) -> tuple[str, Any]:
    return "2", lambda x: F.interpolate(x, scale_factor=2, mode="nearest")


@operator("upsample_bilinear", [4], when=lambda shape: max(shape[2:]) < 9, keeps=False)
def _bilinear(draws: Draws, x: Tensor) -> tuple[str, Any]:
    corners = draws.choice([True, False])
    text = f"2, align_corners {corners}"
    return text, lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=corners)


@operator("pixel_shuffle", [4], when=lambda shape: shape[1] % 4 == 0, keeps=False)
def _pixel_shuffle(draws: Draws, x: Tensor) -> tuple[str, Any]:
    return "2", lambda x: F.pixel_shuffle(x, 2)


@operator("pad_constant", [3, 4], keeps=False)
def _pad_constant(draws: Draws, x: Tensor) -> tuple[str, Any]:
    amounts, value = draws.choice([(1, 2), (1, 0, 2, 1)]), draws.choice([0.0, 0.3])
    amounts = amounts if x.dim() == 4 else amounts[:2]
    return f"{amounts}, {value}", lambda x: F.pad(x, amounts, value=value)


@operator("pad_mode", [4], when=lambda shape: min(shape[2:]) > 2, keeps=False)
def _pad_mode(draws: Draws, x: Tensor) -> tuple[str, Any]:
    mode = draws.choice(["reflect", "replicate"])
    return f"(1, 2, 2, 1), {mode}", lambda x: F.pad(x, (1, 2, 2, 1), mode=mode)


class _Recurrent(torch.nn.Module):  # type: ignore[misc]
    """A recurrent layer, its sequence of outputs."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


def _recurrent(name: str, kind: Any, **fixed: Any) -> None:
    @operator(name, [3], keeps=False)
    def _(draws: Draws, x: Tensor) -> tuple[str, Any]:
        size, bias = draws.integer(1, 5), draws.choice([True, False])
        layer = kind(x.shape[2], size, bias=bias, batch_first=draws.choice([True, False]), **fixed)
        return f"{size}, bias {bias}, batch_first {layer.batch_first}", _Recurrent(layer)


_recurrent("lstm", torch.nn.LSTM)
_recurrent("lstm_bidirectional", torch.nn.LSTM, bidirectional=True)
_recurrent("gru", torch.nn.GRU)
_recurrent("rnn_tanh", torch.nn.RNN)
_recurrent("rnn_relu", torch.nn.RNN, nonlinearity="relu")
_recurrent("lstm_two_layers", torch.nn.LSTM, num_layers=2)


class _Attention(torch.nn.Module):  # type: ignore[misc]
    """Self-attention of one or several heads, written with matmul and softmax or with torch's own function."""

    def __init__(self, size: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.query, self.key, self.value = (torch.nn.Linear(size, size) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        def split(t: Tensor) -> Tensor:
            return t.reshape(t.shape[0], t.shape[1], self.heads, -1).permute(0, 2, 1, 3)

        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = torch.softmax(q @ k.transpose(-1, -2) / float(q.shape[-1]) ** 0.5, -1) @ v
        return y.permute(0, 2, 1, 3).reshape(x.shape)


@operator("attention", [3])
def _attention(draws: Draws, x: Tensor) -> tuple[str, Any]:
    heads = draws.choice([n for n in (1, 2) if x.shape[2] % n == 0])
    fused = draws.choice([False, True])
    return f"{heads} heads, fused {fused}", _Attention(x.shape[2], heads, fused)


@operator("bmm_self", [3], keeps=False)
def _bmm(draws: Draws, x: Tensor) -> tuple[str, Any]:
    return "x, x^T", lambda x: torch.bmm(x, x.transpose(1, 2)) * 0.25


@operator("einsum", [3], keeps=False)
def _einsum(draws: Draws, x: Tensor) -> tuple[str, Any]:
    rule = draws.choice(["bij,bkj->bik", "bij,bik->bjk"])
    return rule, lambda x: torch.einsum(rule, x, x) * 0.25


class _WeightedMatmul(torch.nn.Module):  # type: ignore[misc]
    """x @ w of a bare parameter."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(rows, columns) / rows**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.matmul(x, self.weight)


@operator("matmul_weight", keeps=False)
def _matmul(draws: Draws, x: Tensor) -> tuple[str, Any]:
    size = draws.integer(1, 6)
    return f"{size}", _WeightedMatmul(x.shape[-1], size)


class _AddMatmul(torch.nn.Module):  # type: ignore[misc]
    """addmm with alpha and beta."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(rows, columns) / rows**0.5)
        self.bias = torch.nn.Parameter(torch.randn(columns))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)


@operator("addmm", [2], keeps=False)
def _addmm(draws: Draws, x: Tensor) -> tuple[str, Any]:
    return "4", _AddMatmul(x.shape[-1], 4)


# Programs.

_ACTIVATIONS = (
    *("relu", "sigmoid", "tanh", "leaky_relu", "gelu", "silu", "relu6", "elu", "softplus", "hardswish", "mish"),
    *("softsign", "gelu_tanh", "prelu", "clamp", "selu"),
)


@dataclass(frozen=True)
class _Step:
    text: str
    function: Any
    arguments: tuple[int, ...]


class Program(torch.nn.Module):  # type: ignore[misc]
    """A list of steps over numbered values; the inputs come first."""

    def __init__(self, steps: Sequence[_Step], inputs: int, outputs: Sequence[int]) -> None:
        super().__init__()
        self.steps, self.inputs, self.outputs = list(steps), inputs, list(outputs)
        self.parts = torch.nn.ModuleList(s.function for s in steps if isinstance(s.function, torch.nn.Module))

    def forward(self, *inputs: Tensor) -> Any:
        values = list(inputs)
        for step in self.steps:
            values.append(step.function(*(values[i] for i in step.arguments)))
        results = tuple(values[i] for i in self.outputs)
        return results[0] if len(results) == 1 else results

    def text(self, indent: str = "") -> str:
        """Return the program, one line per step."""
        lines = [
            f"{indent}v{self.inputs + i} = {step.text}({', '.join(f'v{a}' for a in step.arguments)})"
            for i, step in enumerate(self.steps)
        ]
        return "\n".join([*lines, f"{indent}return {', '.join(f'v{i}' for i in self.outputs)}"])


@dataclass
class Builder:
    """Writes a program, running each step on the sample inputs as it is added."""

    draws: Draws
    values: list[Tensor] = field(default_factory=list)
    steps: list[_Step] = field(default_factory=list)
    used: list[str] = field(default_factory=list)

    def input(self, *shape: int) -> int:
        """Add an input of random numbers."""
        self.values.append(torch.randn(*shape))
        return len(self.values) - 1

    def shape(self, value: int) -> tuple[int, ...]:
        """Return the shape of a value."""
        return tuple(self.values[value].shape)

    def call(self, text: str, function: Any, *arguments: int) -> int:
        """Add a step with a function of one's own."""
        module = function.eval() if isinstance(function, torch.nn.Module) else function
        with torch.no_grad():
            result = module(*(self.values[i] for i in arguments))
        self.values.append(result)
        self.steps.append(_Step(text, module, arguments))
        return len(self.values) - 1

    def apply(self, name: str, value: int) -> int:
        """Add an operator of the grammar; where its result is empty or goes out of bounds, tanh instead."""
        entry = OPERATORS[name]
        text, function = entry.make(self.draws, self.values[value])
        module = function.eval() if isinstance(function, torch.nn.Module) else function
        try:
            with torch.no_grad():
                result = module(self.values[value])
            good = result.numel() > 0 and bool(torch.isfinite(result).all()) and float(result.abs().max()) < 100
        except RuntimeError:  # a kernel that does not fit, or padding that is too large
            good = False
        if not good:
            return self.apply("tanh", value) if name != "tanh" else value
        self.used.append(name)
        self.values.append(result)
        self.steps.append(_Step(f"{name}[{text}]" if text else name, module, (value,)))
        return len(self.values) - 1

    def some(self, value: int, most: int, *, keeps: bool = False, least: int = 0) -> int:
        """Add a few random operators in a row; with ``keeps`` only such that keep the shape."""
        for _ in range(self.draws.integer(least, most)):
            shape = self.shape(value)
            fitting = [op.name for op in OPERATORS.values() if op.takes(shape) and (op.keeps or not keeps)]
            if not fitting:
                break
            value = self.apply(self.draws.choice(fitting), value)
        return value

    def activation(self, value: int) -> int:
        """Return one of the usual activations."""
        shape = self.shape(value)
        return self.apply(self.draws.choice([name for name in _ACTIVATIONS if OPERATORS[name].takes(shape)]), value)

    def module(self, text: str, module: Any, value: int) -> int:
        """Add a layer with weights, stirred."""
        return self.call(text, _stirred(module), value)

    def convolution(self, value: int, size: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> int:
        """Add a padded convolution."""
        channels = self.shape(value)[1]
        module = torch.nn.Conv2d(channels, size, kernel, stride, kernel // 2, groups=groups)
        return self.call(f"conv2d[{size}, kernel {kernel}, stride {stride}, groups {groups}]", module, value)

    def add(self, a: int, b: int) -> int:
        """Add a + b."""
        return self.call("add", torch.add, a, b)

    def cat(self, *values: int) -> int:
        """Join along the channels."""
        return self.call("cat", lambda *xs: torch.cat(xs, 1), *values)

    def finish(self, *outputs: int) -> Program:
        """Return the program."""
        inputs = len(self.values) - len(self.steps)
        program = Program(self.steps, inputs, outputs)
        program.eval()
        return program


@dataclass
class TorchNetwork:
    """A random network.

    Attributes:
        shape: which network shape it has.
        module: the network, in evaluation mode.
        scripted: whether it must be scripted rather than traced.
        inputs: tensors that suit it.
        operators: the operators of the grammar that it uses.
        text: its program.
    """

    shape: str
    module: Any
    scripted: bool
    inputs: tuple[Tensor, ...]
    operators: tuple[str, ...]
    text: str

    def __repr__(self) -> str:
        shapes = ", ".join(f"v{i} {tuple(x.shape)}" for i, x in enumerate(self.inputs))
        return f"<{self.shape}({shapes})\n{self.text}>"


#: From a builder to (module, whether it must be scripted).
Shape: TypeAlias = Callable[[Builder], "tuple[Any, bool]"]
SHAPES: dict[str, Shape] = {}


def shape(name: str) -> Callable[[Callable[[Builder], Any]], Callable[[Builder], Any]]:
    """Register a network shape: a function from a builder to the numbers of its outputs, or to a scripted module."""

    def register(write: Callable[[Builder], Any]) -> Callable[[Builder], Any]:
        def build(builder: Builder) -> tuple[Any, bool]:
            result = write(builder)
            if isinstance(result, torch.nn.Module):
                return result, True
            return builder.finish(*(result if isinstance(result, tuple) else (result,))), False

        SHAPES[name] = build
        return write

    return register


def _image(b: Builder) -> int:
    return b.input(1, b.draws.choice([3, 1, 2, 4]), b.draws.integer(4, 9), b.draws.integer(4, 9))


def _sequence(b: Builder) -> int:
    return b.input(b.draws.choice([1, 2]), b.draws.integer(2, 6), b.draws.choice([4, 2, 3, 6]))


@shape("operators on a vector")
def _vector(b: Builder) -> int:
    return b.some(b.input(b.draws.choice([1, 2]), b.draws.integer(2, 6)), 4, least=1)


@shape("operators on a sequence")
def _on_sequence(b: Builder) -> int:
    return b.some(_sequence(b), 4, least=1)


@shape("operators on an image")
def _on_image(b: Builder) -> int:
    return b.some(_image(b), 4, least=1)


@shape("perceptron")
def _perceptron(b: Builder) -> int:
    x = b.input(b.draws.choice([1, 3]), b.draws.integer(2, 8))
    for _ in range(b.draws.integer(1, 3)):
        x = b.apply("linear", x)
        x = b.activation(x)
    return b.apply("softmax", x) if b.draws.choice([False, True]) else x


@shape("plain convolutional")
def _convolutional(b: Builder) -> int:
    x = _image(b)
    for _ in range(b.draws.integer(1, 2)):
        x = b.apply("conv2d", x)
        x = b.apply("batch_norm", x) if b.shape(x)[1] > 1 and b.draws.choice([False, True]) else x
        x = b.activation(x)
        x = b.apply("max_pool2d", x) if min(b.shape(x)[2:]) > 2 and b.draws.choice([False, True]) else x
    return b.apply("linear", b.apply("flatten", x))


@shape("residual")
def _residual(b: Builder) -> int:
    x = b.convolution(_image(b), 4)
    for _ in range(b.draws.integer(1, 2)):
        y = b.some(b.activation(b.convolution(x, 4)), 2, keeps=True)
        x = b.activation(b.add(x, b.convolution(y, 4)))
    return x


@shape("inception")
def _inception(b: Builder) -> int:
    x = _image(b)
    branches = [b.convolution(x, b.draws.integer(1, 3), kernel) for kernel in (1, 3, 5)]
    pooled = b.call("max_pool2d[3, stride 1, padding 1]", lambda v: F.max_pool2d(v, 3, 1, 1), x)
    y = b.cat(*(b.activation(branch) for branch in branches), pooled)
    return b.some(y, 2)


@shape("depthwise separable")
def _separable(b: Builder) -> int:
    x = _image(b)
    for _ in range(b.draws.integer(1, 2)):
        channels = b.shape(x)[1]
        x = b.convolution(x, channels, 3, b.draws.integer(1, 2), groups=channels)
        x = b.apply("batch_norm", x) if channels > 1 else x
        x = b.apply("relu6", x)
        x = b.activation(b.convolution(x, b.draws.integer(2, 5), 1))
    return b.some(x, 1)


@shape("U-Net")
def _u_net(b: Builder) -> int:
    side = 4 * b.draws.integer(1, 2)
    x = b.input(1, b.draws.integer(1, 3), side, 2 * side)
    top = b.activation(b.convolution(x, 3))
    down = b.activation(b.convolution(top, 4, 3, 2))
    bottom = b.some(down, 1, keeps=True)
    way = b.draws.choice(["upsample_nearest", "upsample_bilinear"])
    up = b.apply(way, bottom)
    if b.shape(up)[2:] != b.shape(top)[2:]:
        return up
    return b.convolution(b.activation(b.convolution(b.cat(top, up), 3)), 2, 1)


@shape("autoencoder")
def _autoencoder(b: Builder) -> int:
    x = b.input(1, b.draws.integer(1, 2), 8, 4)
    code = b.activation(b.convolution(x, 3, 3, 2))
    code = b.some(code, 1, keeps=True)
    channels = b.shape(code)[1]
    y = b.call("conv_transpose2d[2, kernel 2, stride 2]", torch.nn.ConvTranspose2d(channels, 2, 2, 2), code)
    return b.activation(y)


@shape("dense connections")
def _dense(b: Builder) -> int:
    features = [_image(b)]
    for _ in range(b.draws.integer(2, 3)):
        joined = b.cat(*features) if len(features) > 1 else features[0]
        features.append(b.activation(b.convolution(joined, 2)))
    return b.cat(*features)


@shape("squeeze and excite")
def _squeeze_excite(b: Builder) -> int:
    x = b.activation(b.convolution(_image(b), 4))
    s = b.apply("relu", b.convolution(b.call("mean[(2, 3)]", lambda v: v.mean((2, 3), keepdim=True), x), 2, 1))
    s = b.apply(b.draws.choice(["sigmoid", "hardsigmoid"]), b.convolution(s, 4, 1))
    return b.some(b.call("mul", torch.mul, x, s), 1)


@shape("recurrent")
def _recurrent_net(b: Builder) -> int:
    x = _sequence(b)
    names = ["rnn_tanh", "lstm", "gru", "lstm_bidirectional", "rnn_relu", "lstm_two_layers"]
    x = b.apply(b.draws.choice(names), x)
    x = b.some(x, 1, keeps=True)
    return b.apply("linear", x)


@shape("attention")
def _attention_net(b: Builder) -> int:
    x = b.input(1, b.draws.integer(2, 5), b.draws.choice([4, 6]))
    for _ in range(b.draws.integer(1, 2)):
        x = b.add(x, b.apply("attention", b.apply("layer_norm", x)))
    size = b.shape(x)[2]
    y = b.call("linear[8]", torch.nn.Linear(size, 8), x)
    return b.add(x, b.call(f"linear[{size}]", torch.nn.Linear(8, size), b.activation(y)))


@shape("sequence convolution")
def _sequence_convolution(b: Builder) -> int:
    x = _sequence(b)
    for _ in range(b.draws.integer(1, 3)):
        x = b.activation(b.apply("conv1d", x))
    return b.some(x, 1)


@shape("two inputs, two outputs")
def _two(b: Builder) -> tuple[int, int]:
    size = b.draws.integer(2, 5)
    x, y = b.input(1, size), b.input(1, size)
    how = b.draws.choice([torch.sub, torch.mul, torch.maximum, torch.minimum])
    joined = b.call(how.__name__, how, x, y)
    return b.some(joined, 2, least=1, keeps=True), b.apply("linear", b.add(joined, y))


@shape("embedding")
def _embedding(b: Builder) -> int:
    words, length = b.draws.integer(3, 9), b.draws.integer(2, 5)
    b.values.append(torch.randint(0, words, (1, length), dtype=torch.int32))
    x = b.call(f"embedding[{words}, 4]", torch.nn.Embedding(words, 4), len(b.values) - 1)
    return b.some(x, 2, least=1)


def _body(b: Builder) -> tuple[Builder, Program]:
    """Return a program that keeps the shape of a vector [1, N]."""
    inner = Builder(b.draws)
    size = b.shape(0)[1]
    inner.values.append(b.values[0])
    x = inner.activation(inner.call(f"linear[{size}]", torch.nn.Linear(size, size), 0))
    x = inner.apply(inner.draws.choice(["tanh", "sigmoid", "softsign"]), inner.some(x, 2, keeps=True))
    return inner, inner.finish(x)


def _scripted(b: Builder, kind: Any, bodies: int, *numbers: int) -> Any:
    made = [_body(b) for _ in range(bodies)]
    for inner, program in made:
        b.used.extend(inner.used)
        b.steps.append(_Step(f"{kind.__name__}{list(numbers)} of\n{program.text('    ')}\n", None, (0,)))
    return kind(*(program for _, program in made), *numbers).eval()


@shape("branch")
def _branch(b: Builder) -> Any:
    b.input(1, b.draws.integer(2, 5))
    return _scripted(b, Branches, 2)


@shape("counted loop")
def _counted(b: Builder) -> Any:
    b.input(1, b.draws.integer(2, 5))
    return _scripted(b, CountedLoop, 1, b.draws.integer(1, 4))


@shape("while loop")
def _while(b: Builder) -> Any:
    b.input(1, b.draws.integer(2, 5))
    return _scripted(b, WhileLoop, 1)


@shape("branch in a loop")
def _branch_in_loop(b: Builder) -> Any:
    b.input(1, b.draws.integer(2, 5))
    return _scripted(b, LoopWithBranch, 1, b.draws.integer(1, 3))


def build(draws: Draws, shapes: Sequence[str] = ()) -> TorchNetwork:
    """Return a network from choices."""
    # Most operators occur in these three shapes only, so that they are drawn more often.
    mixed = [name for name in SHAPES if name.startswith("operators on")]
    name = draws.choice(list(shapes) or [*SHAPES, *mixed * 4])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draws.integer(0, 2**16))
        builder = Builder(draws)
        module, scripted = SHAPES[name](builder)
    count = len(builder.values) - len([s for s in builder.steps if s.function is not None])
    text = "\n".join(s.text for s in builder.steps) if scripted else module.text()
    return TorchNetwork(name, module, scripted, tuple(builder.values[:count]), tuple(builder.used), text)


def random_network(seed: int, shapes: Sequence[str] = ()) -> TorchNetwork:
    """Return the network that belongs to a number."""
    import random

    return build(RandomDraws(random.Random(seed)), shapes)


def torch_networks(shapes: Sequence[str] = ()) -> Any:
    """Return a Hypothesis strategy for `TorchNetwork`.

    Args:
        shapes: names of `SHAPES`; all by default.
    """

    @hypothesis.strategies.composite  # type: ignore[untyped-decorator]
    def strategy(draw: Any) -> TorchNetwork:
        return build(HypothesisDraws(draw), shapes)

    return strategy()
