"""Networks of torch converted by coremltools, weights compressed by it, and how far roundings can move a result."""

from __future__ import annotations

import copy
import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mil.converted import networks
from mil.stored import stored_weights

import refcoreml
from refcoreml.types import Array

torch: Any = pytest.importorskip("torch", reason="torch has the networks")
ct: Any = pytest.importorskip("coremltools", reason="coremltools converts them")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

torch.set_num_threads(1)  # networks are so small that several would wait for each other

#: What systems a program is for, and the types of its numbers.
TARGETS = ("iOS15", "iOS16", "iOS17", "iOS18", "iOS26")
PRECISIONS = ("FLOAT32", "FLOAT16")
#: The largest relative error of one rounding.
ROUNDING = {"FLOAT32": 2**-24, "FLOAT16": 2**-11}
#: So much of the output's scale may roundings make, or the network is too sensitive to test anything.
LARGEST = {"FLOAT32": 1e-4, "FLOAT16": 0.25}
#: How many times as far as the disturbed runs of torch a result may be: they are a sample, and torch has one operation
#: where a program has up to ten, or rounds a constant besides.
MARGIN = 4

#: Weights of so few numbers are not compressed.
SMALL = 40

#: Takes how an input is declared; anything of coremltools.
Type = Callable[..., Any]


@dataclass(frozen=True)
class Network:
    """A network and its inputs.

    Attributes:
        make: makes it.
        inputs: by name what to give, of the shape and kind that is declared.
        outputs: their names.
        holds: operations that must occur in its program.
        declared: by name how an input is declared, where it is more than its shape.
    """

    make: Callable[[], Any]
    inputs: Mapping[str, Array]
    outputs: Sequence[str]
    holds: frozenset[str]
    declared: Mapping[str, Type] = field(default_factory=dict)


def normal(*shape: int) -> Array:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def integers(high: int, *shape: int) -> Array:
    return np.random.default_rng(4).integers(0, high, shape).astype(np.int32)


def past() -> Array:
    """Keys or values of five tokens."""
    return normal(networks.Step.LAYERS, networks.Step.HEADS, 5, networks.Step.SIZE)


def open_past(name: str) -> Any:
    shape = (2, 4, ct.RangeDim(1, networks.Step.LONGEST - 1, default=3), 6)
    return ct.TensorType(name, shape)


NETWORKS = {
    "images": Network(
        networks.Images,
        {"x": normal(2, 3, 33, 26)},
        ["y"],
        frozenset({"conv", "conv_transpose", "max_pool", "avg_pool", "instance_norm", "linear"}),
    ),
    "sequences": Network(
        networks.Sequences, {"x": normal(2, 8, 5)}, ["y"], frozenset({"lstm", "while_loop", "linear"})
    ),
    "listener": Network(
        networks.Listener, {"mel": normal(1, 10, 26)}, ["heard"], frozenset({"conv", "gelu", "layer_norm", "linear"})
    ),
    "speaker": Network(
        networks.Speaker,
        {"tokens": integers(19, 1, 7), "heard": normal(1, 13, 24)},
        ["logits"],
        frozenset({"gather", "gelu", "layer_norm", "linear"}),
    ),
    "patches": Network(
        networks.Patches, {"image": normal(1, 3, 20, 30)}, ["p"], frozenset({"conv", "concat", "softmax", "linear"})
    ),
    "noise": Network(
        networks.Noise,
        {"x": normal(1, 4, 12, 20), "step": np.float32([3.5])},
        ["y"],
        frozenset({"conv", "conv_transpose", "cos", "sin", "upsample_bilinear", "silu"}),
    ),
    "detector": Network(
        networks.Detector,
        {"image": normal(1, 3, 48, 64)},
        ["boxes", "scores"],
        frozenset({"conv", "silu", "max_pool", "upsample_nearest_neighbor", "split", "softmax", "sigmoid"}),
    ),
    "growing": Network(
        networks.Growing,
        {"token": integers(19, 1, 1), "position": np.int32([5]), "keys": past(), "values": -past()},
        ["logits", "new_keys", "new_values"],
        frozenset({"gather", "concat", "silu", "rsqrt"}),
        {"keys": open_past, "values": open_past},
    ),
}
#: Networks that keep something; from iOS18 on.
STATEFUL = Network(
    networks.Stateful,
    {"token": integers(19, 1, 1), "position": np.int32([0])},
    ["logits"],
    frozenset({"read_state", "slice_update", "gather", "silu"}),
)


def network(name: str) -> Network:
    return STATEFUL if name == "stateful" else NETWORKS[name]


_NORMS = (torch.nn.BatchNorm2d, torch.nn.GroupNorm, torch.nn.InstanceNorm2d, torch.nn.LayerNorm)


@functools.cache
def _made(name: str) -> Any:
    torch.manual_seed(7)
    made = network(name).make()
    for module in made.modules():
        if isinstance(module, _NORMS):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.3)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return made.eval()


def made(name: str) -> Any:
    """Return the network with weights, and statistics of batches, that are the same at each call."""
    return copy.deepcopy(_made(name))


def declaration(name: str, inputs: Mapping[str, Array], declared: Mapping[str, Type]) -> Any:
    array = inputs[name]
    return declared[name](name) if name in declared else ct.TensorType(name, array.shape, dtype=array.dtype.type)


@functools.cache
def converted(name: str, precision: str, target: str) -> Any:
    """Return coremltools' model."""
    given = network(name)
    states = {}
    if name == "stateful":
        shape = (1, networks.Step.HEADS, networks.Step.LONGEST, networks.Step.SIZE)
        kept = ct.TensorType(shape=shape, dtype=np.float16)
        states = {"states": [ct.StateType(wrapped_type=kept, name=cell) for cell in networks.Stateful.cells()]}
    inputs = tuple(torch.from_numpy(array) for array in given.inputs.values())
    return ct.convert(
        torch.jit.trace(made(name), inputs, check_trace=False),
        inputs=[declaration(key, given.inputs, given.declared) for key in given.inputs],
        outputs=[ct.TensorType(key, dtype=np.float32) for key in given.outputs],
        convert_to="mlprogram",
        minimum_deployment_target=getattr(ct.target, target),
        compute_precision=getattr(ct.precision, precision),
        skip_model_load=True,
        **states,
    )


# ---- Compressed ----


def _options(kind: str, options: dict[str, Any]) -> Any:
    """Return a configuration of coremltools: all weights but the smallest."""
    config = getattr(ct.optimize.coreml, kind)(weight_threshold=SMALL, **options)
    return ct.optimize.coreml.OptimizationConfig(global_config=config)


def _quantized(model: Any, joint: bool = False, **options: Any) -> Any:
    return ct.optimize.coreml.linear_quantize_weights(model, _options("OpLinearQuantizerConfig", options), joint)


def _palettized(model: Any, joint: bool = False, **options: Any) -> Any:
    return ct.optimize.coreml.palettize_weights(model, _options("OpPalettizerConfig", options), joint)


def _pruned(model: Any, joint: bool = False, **options: Any) -> Any:
    return ct.optimize.coreml.prune_weights(model, _options("OpMagnitudePrunerConfig", options), joint)


def _half_pruned(model: Any) -> Any:
    return _pruned(model, target_sparsity=0.5)


#: By name what makes the variant, the first target for which it can be made, and what stores the weights then.
VARIANTS: dict[str, tuple[Callable[[Any], Any], str, frozenset[str]]] = {
    "int8": (_quantized, "iOS16", frozenset({"affine_dequantize|blockwise_shift_scale"})),
    "uint8 with zero points": (
        lambda model: _quantized(model, mode="linear", dtype="uint8", granularity="per_tensor"),
        "iOS16",
        frozenset({"affine_dequantize|blockwise_shift_scale"}),
    ),
    "palettized": (lambda model: _palettized(model, nbits=4), "iOS16", frozenset({"lut_to_dense"})),
    "palettized in equal steps": (
        lambda model: _palettized(model, nbits=6, mode="uniform"),
        "iOS16",
        frozenset({"lut_to_dense"}),
    ),
    "pruned": (_half_pruned, "iOS16", frozenset({"sparse_to_dense"})),
    "pruned 2 of 3": (lambda model: _pruned(model, n_m_ratio=(2, 3)), "iOS16", frozenset({"sparse_to_dense"})),
    "int4 by blocks": (
        lambda model: _quantized(model, dtype="int4", granularity="per_block", block_size=2),
        "iOS18",
        frozenset({"blockwise_shift_scale"}),
    ),
    "uint4 with zero points by blocks": (
        lambda model: _quantized(model, mode="linear", dtype="uint4", granularity="per_block", block_size=2),
        "iOS18",
        frozenset({"blockwise_shift_scale"}),
    ),
    "palettized by groups": (
        lambda model: _palettized(model, nbits=3, granularity="per_grouped_channel", group_size=2),
        "iOS18",
        frozenset({"lut_to_dense"}),
    ),
    "palettized with scales": (
        lambda model: _palettized(model, nbits=4, enable_per_channel_scale=True),
        "iOS18",
        frozenset({"lut_to_dense", "blockwise_shift_scale"}),
    ),
    "palettized vectors": (
        lambda model: _palettized(model, nbits=4, cluster_dim=2),
        "iOS18",
        frozenset({"lut_to_dense"}),
    ),
    "pruned and int8": (
        lambda model: _quantized(_half_pruned(model), joint=True),
        "iOS18",
        frozenset({"sparse_blockwise_shift_scale", "sparse_to_dense"}),
    ),
    "pruned and palettized": (
        lambda model: _palettized(_half_pruned(model), joint=True, nbits=4),
        "iOS18",
        frozenset({"lut_to_sparse", "sparse_to_dense"}),
    ),
    "palettized to int8": (
        lambda model: _quantized(_palettized(model, nbits=4), joint=True, granularity="per_tensor"),
        "iOS18",
        frozenset({"lut_to_dense", "blockwise_shift_scale"}),
    ),
}


def weights(model: Any) -> dict[str, Array]:
    """Return all constants of a model by name, decompressed by coremltools."""
    return stored_weights(Path(ct.optimize.coreml.decompress_weights(model).package_path))


#: What coremltools appends to the name of a weight that it stores in another way.
_SUFFIX = "(_to_fp16)?(_(quantized|palettized|sparsified|pcs))*"


def with_weights(module: Any, found: Mapping[str, Array], precision: str) -> Any:
    """Return a copy of a network of torch, in double precision, with the weights that a converted model has.

    Those that conversion moved into others are small, so that they were not compressed: they are rounded.
    """
    module = copy.deepcopy(module)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        pattern = re.compile(re.escape(name.replace(".", "_")) + _SUFFIX)
        values = [array for key, array in found.items() if pattern.fullmatch(key)]
        if values:
            tensor.data = torch.from_numpy(values[0].astype(np.float64)).reshape(tensor.shape)
        elif tensor.is_floating_point():
            assert tensor.numel() <= SMALL, f"{name} is not in the model"
            tensor.data = tensor.half().double() if precision == "FLOAT16" else tensor.double()
    return module


# ---- Against torch ----


class Disturbed(TorchDispatchMode):
    """Moves each number that an operation computes by a random part of it, as roundings do; views stay as they are."""

    def __init__(self, rounding: float, seed: int) -> None:
        super().__init__()
        self.rounding, self.generator = rounding, torch.Generator().manual_seed(seed)

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = op(*args, **(kwargs or {}))
        if op.is_view or op._schema.is_mutable:
            return found
        return type(found)(map(self.moved, found)) if isinstance(found, (list, tuple)) else self.moved(found)

    def moved(self, x: Any) -> Any:
        if not isinstance(x, torch.Tensor) or not x.is_floating_point():
            return x
        random = torch.rand(x.shape, generator=self.generator, dtype=x.dtype)
        return x * (1 + self.rounding * (2 * random - 1))


def listed(found: Any) -> list[Array]:
    return [tensor.numpy().copy() for tensor in (found if isinstance(found, tuple) else (found,))]


def doubles(inputs: Mapping[str, Array]) -> list[Any]:
    tensors = [torch.from_numpy(array) for array in inputs.values()]
    return [tensor.double() if tensor.is_floating_point() else tensor for tensor in tensors]


def computed(module: Any, inputs: Mapping[str, Array]) -> list[Array]:
    """Return what torch computes in double precision."""
    with torch.no_grad():
        return listed(module(*doubles(inputs)))


def spread(
    run: Callable[[], list[Array]], module: Any, rounding: float, *, stored: bool, samples: int = 8
) -> list[float]:
    """Return how far roundings move each output of a network in double precision, the largest of some samples.

    Args:
        run: runs it.
        module: the network, for its weights.
        rounding: the largest relative error of one rounding. A uniform error up to it is put on each result of each
            operation.
        stored: whether the weights are rounded too.
        samples: how many.
    """
    wanted, exact = run(), {name: tensor.clone() for name, tensor in module.named_parameters()}
    largest = [0.0] * len(wanted)
    with torch.no_grad(), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        for seed in range(samples):
            disturbed = Disturbed(rounding, seed)
            for name, parameter in module.named_parameters() if stored else ():
                parameter.copy_(disturbed.moved(exact[name]))
            with disturbed:
                found = run()
            largest = [max(old, abs(x - y).max()) for old, x, y in zip(largest, found, wanted, strict=True)]
    for name, parameter in module.named_parameters():
        parameter.data = exact[name]
    return largest


def as_converted(module: Any) -> Any:
    """Return a network with what conversion makes of it.

    The scale and shift after a normalization of groups become a batch_norm of variance 1, whose epsilon makes the
    result 5e-6 smaller.
    """
    module = copy.deepcopy(module)
    for part in module.modules():
        if isinstance(part, torch.nn.GroupNorm):
            part.weight.data /= math.sqrt(1 + 1e-5)
    return module


def check(name: str, model: Any, module: Any, precision: str, *, stored: bool) -> None:
    """Compare refcoreml in three precisions with torch; print the differences as parts of the outputs' scales.

    In double and in single precision throughout, the program computes the same formulas, but with weights and constants
    as it stores them; as declared, with a rounding after each operation too. So each must be as near to torch's result
    as roundings of all of these leave it (`MARGIN` times the largest of the disturbed runs), and what is declared must
    be so near to the run in single precision too.
    """
    given, module = network(name), as_converted(module)
    inputs = given.inputs
    wanted = computed(module, inputs)
    bounds = spread(lambda: computed(module, inputs), module, ROUNDING[precision], stored=stored)
    found = {
        kind: refcoreml.load(model, precision=kind).predict(dict(inputs)) for kind in ("float64", "float32", "declared")
    }
    figures = dict.fromkeys(found, 0.0)
    for key, expected, moved in zip(given.outputs, wanted, bounds, strict=True):
        scale = abs(expected).max()
        bound = MARGIN * max(moved, 2**-24 * scale)
        assert bound < LARGEST[precision] * scale, "roundings alone may change so much that nothing is tested"
        for kind, outputs in found.items():
            assert outputs[key].shape == expected.shape
            difference = abs(outputs[key] - expected).max()
            assert difference <= bound, (
                f"{key}, {kind}: {difference / scale:.2g} of the scale, bound {bound / scale:.2g}"
            )
            figures[kind] = max(figures[kind], difference / scale)
        assert abs(found["declared"][key] - found["float32"][key]).max() <= bound
    print(name, precision, ", ".join(f"{kind} {figure:.1e}" for kind, figure in figures.items()))
