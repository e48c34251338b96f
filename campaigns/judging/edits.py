"""Faults that a converter may make, as changes of the module before it is converted, or of the converted model."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from campaigns.judging.graphs import Graph, NetworkGraph, ProgramGraph
from refcoreml.testing.extras import torch
from refcoreml.types import Array

__all__ = ["Edit"]


@dataclass(frozen=True)
class Edit:
    """A fault.

    Attributes:
        kind: what goes wrong.
        at: the path of the module at fault.
        module: changes the module that is converted, or
        model: changes the converted model, given the names of the operations from the path;
            None for both if the converter itself makes the fault.
        size: of a wrong number, relative to the root mean square of those beside it.
        also: other paths that it is right to blame.
        detail: distinguishes faults of one kind at one place.
        operation: the kind of operation, where several are from the path; in networks and in programs.
        forms: what a network is converted to for it.
    """

    kind: str
    at: str
    module: Callable[[Any], None] | None = None
    model: Callable[[Graph, str], None] | None = None
    size: float | None = None
    also: tuple[str, ...] = ()
    detail: str = ""
    operation: tuple[str, ...] = ()
    forms: tuple[str, ...] = ("network", "program")

    @property
    def name(self) -> str:
        """The fault in a word."""
        size = "" if self.size is None else f" {self.size:g}"
        return f"{self.kind}{size}{f' {self.detail}' if self.detail else ''} at {self.at or 'the top'}"


# Changes of the converted model


def _off(values: Array, size: float, key: str) -> Array:
    """Return numbers of which one is off; which one follows from the key."""
    values = np.array(values)
    place = zlib.crc32(key.encode()) % values.size
    scale = float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
    flat = values.reshape(-1)
    flat[place] = flat[place] + size * scale
    return values


_PRODUCTS = ("convolution", "innerProduct", "batchedMatmul", "conv", "conv_transpose", "linear", "matmul")


def weight(at: str, size: float, **more: Any) -> Edit:
    """Return a fault: one stored weight is off."""

    def apply(graph: Graph, name: str) -> None:
        graph.set_parameter(name, "weight", _off(graph.parameter(name, "weight"), size, at))

    return Edit("weight off", at, model=apply, size=size, operation=_PRODUCTS, **more)


def no_bias(at: str, **more: Any) -> Edit:
    """Return a fault: the stored bias is 0."""

    def apply(graph: Graph, name: str) -> None:
        graph.set_parameter(name, "bias", np.zeros_like(graph.parameter(name, "bias")))

    return Edit("bias dropped", at, model=apply, operation=_PRODUCTS, **more)


def bias_sign(at: str, **more: Any) -> Edit:
    """Return a fault: the stored bias is negated."""

    def apply(graph: Graph, name: str) -> None:
        graph.set_parameter(name, "bias", -graph.parameter(name, "bias"))

    return Edit("bias negated", at, model=apply, operation=_PRODUCTS, **more)


def transposed(at: str, **more: Any) -> Edit:
    """Return a fault: square weights are transposed."""

    def apply(graph: Graph, name: str) -> None:
        graph.set_parameter(name, "weight", np.swapaxes(graph.parameter(name, "weight"), 0, 1).copy())

    return Edit("weights transposed", at, model=apply, operation=_PRODUCTS, **more)


def channels(at: str, **more: Any) -> Edit:
    """Return a fault: weights in the reverse order of input channels, as if red and blue were exchanged."""

    def apply(graph: Graph, name: str) -> None:
        graph.set_parameter(name, "weight", graph.parameter(name, "weight")[:, ::-1].copy())

    return Edit("channel order", at, model=apply, operation=_PRODUCTS, **more)


def padding(at: str, **more: Any) -> Edit:
    """Return a fault: padding is one place further to the end of the last axis."""

    def apply(graph: Graph, name: str) -> None:
        if isinstance(graph, NetworkGraph):
            edges = graph.parameters(name).valid.paddingAmounts.borderAmounts[-1]
            edges.startEdgeSize, edges.endEdgeSize = edges.startEdgeSize - 1, edges.endEdgeSize + 1
        else:
            pad = graph.parameter(name, "pad")
            pad[-2:] += [-1, 1]
            graph.set_parameter(name, "pad", pad)

    return Edit("padding shifted", at, model=apply, operation=_PRODUCTS, **more)


def missing(at: str, **more: Any) -> Edit:
    """Return a fault: the operation is left out."""
    return Edit("operation missing", at, model=lambda graph, name: graph.remove(name), **more)


def scale(at: str, factor: float, channel: int | None = None) -> Edit:
    """Return a fault: scales of stored 8-bit weights are wrong, of one channel or of all."""

    def apply(graph: Graph, name: str) -> None:
        wrong = slice(None) if channel is None else channel
        if isinstance(graph, NetworkGraph):
            stored = graph.parameters(name).weights.quantization.linearQuantization
            for numbers in stored.scale, stored.bias:
                values = np.array(numbers, np.float32)
                values[wrong] *= np.float32(factor)
                del numbers[:]
                numbers.extend(values.tolist())
        else:
            assert isinstance(graph, ProgramGraph)
            values = graph.attribute(name, "scale")
            values[wrong] *= np.float32(factor)
            graph.set_attribute(name, "scale", values)

    which = "all" if channel is None else f"channel {channel}"
    return Edit("wrong scale", at, model=apply, size=round(abs(factor - 1), 6), detail=which, operation=_PRODUCTS)


def code(at: str) -> Edit:
    """Return a fault: one stored 8-bit weight is off by one."""

    def apply(graph: Graph, name: str) -> None:
        if isinstance(graph, NetworkGraph):
            weights = graph.parameters(name).weights
            codes = np.frombuffer(weights.rawValue, np.uint8).copy()
            codes[5] = codes[5] + 1 if codes[5] < 255 else 254
            weights.rawValue = codes.tobytes()
        else:
            assert isinstance(graph, ProgramGraph)
            values = graph.attribute(name, "quantized_data")
            flat = values.reshape(-1)
            flat[5] = flat[5] + 1 if flat[5] < 127 else 126
            graph.set_attribute(name, "quantized_data", values)

    return Edit("wrong code", at, model=apply, size=0.008, operation=_PRODUCTS)


# Changes of the module


def part_of(root: Any, path: str) -> Any:
    """Return a module inside another one."""
    return root.get_submodule(path) if path else root


def setting(at: str, kind: str, detail: str = "", **attributes: Any) -> Edit:
    """Return a fault: attributes of a module have other values."""

    def apply(root: Any) -> None:
        for name, value in attributes.items():
            setattr(part_of(root, at), name, value)

    return Edit(kind, at, module=apply, detail=detail or ", ".join(_plain(k, v) for k, v in attributes.items()))


def _plain(name: str, value: Any) -> str:
    return f"{name}={value}".replace(" ", "")


def epsilon(at: str, value: float = 1e-3) -> Edit:
    """Return a fault: another epsilon."""
    return setting(at, "epsilon", eps=value)


def replaced(at: str, kind: str, make: Callable[[], Any], detail: str = "", **more: Any) -> Edit:
    """Return a fault: another module is in the place of one."""

    def apply(root: Any) -> None:
        parent, _, name = at.rpartition(".")
        setattr(part_of(root, parent), name, make())

    return Edit(kind, at, module=apply, detail=detail, **more)


def exchanged(one: str, other: str, kind: str = "branches swapped") -> Edit:
    """Return a fault: two modules are in each other's place."""

    def apply(root: Any) -> None:
        parts = part_of(root, one), part_of(root, other)
        for path, part in zip((other, one), parts, strict=True):
            parent, _, name = path.rpartition(".")
            setattr(part_of(root, parent), name, part)

    return Edit(kind, one, module=apply, detail=f"with {other}", also=(other,))


def statistics(at: str, other: str) -> Edit:
    """Return a fault: a batch norm has mean and variance of another one."""

    def apply(root: Any) -> None:
        mine, theirs = part_of(root, at), part_of(root, other)
        mine.running_mean.copy_(theirs.running_mean)
        mine.running_var.copy_(theirs.running_var)

    return Edit("statistics of another norm", at, module=apply, detail=f"of {other}")


def number(at: str, name: str, size: float) -> Edit:
    """Return a fault: one number of a parameter is off."""

    def apply(root: Any) -> None:
        tensor = getattr(part_of(root, at), name)
        tensor.copy_(torch.from_numpy(_off(tensor.numpy(), size, at)))

    return Edit("parameter off", at, module=apply, size=size, detail=name)


def changed_parameter(at: str, name: str, kind: str, change: Callable[[Any], Any], detail: str = "") -> Edit:
    """Return a fault: a parameter or buffer has other values."""

    def apply(root: Any) -> None:
        tensor = getattr(part_of(root, at), name)
        tensor.copy_(change(tensor.clone()))

    return Edit(kind, at, module=apply, detail=detail or name)


def gates(at: str, order: Sequence[int], suffix: str = "_l0") -> Edit:
    """Return a fault: gates of a recurrent layer are in another order."""

    def apply(root: Any) -> None:
        for name, tensor in part_of(root, at).named_parameters():
            if name.endswith(suffix):
                parts = tensor.chunk(len(order))
                tensor.copy_(torch.cat([parts[place] for place in order]))

    return Edit("gate order", at, module=apply, detail=f"{''.join(map(str, order))}{suffix}")


def from_converter(at: str, detail: str) -> Edit:
    """Return a fault: what a pass of the converter does that is known to change results."""
    return Edit("known defect", at, detail=detail)
