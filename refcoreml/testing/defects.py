"""What is known to go wrong between torch and the neural networks that coremltools 9.0 writes.

A difference counts as known only if it vanishes when exactly the named defect is taken away: the model is mended, or
converted again without the pass of the converter that is at fault, and must then agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from refcoreml.testing.extras import torch

__all__ = ["DEFECTS", "Defect", "known"]


@dataclass(frozen=True)
class Defect:
    """A defect of the converter.

    Attributes:
        title: what goes wrong, in a line.
        why: where it comes from.
        example: a minimal module and its input, made anew at each call.
        converter_pass: the pass to leave out.
        mend: changes the message of a layer into what it should have been, if it looks like the defect; returns
            whether it does. A layer may look so and be right: what counts is whether the network agrees afterwards.
    """

    title: str
    why: str
    example: Callable[[], tuple[Any, Any]]
    converter_pass: str = ""
    mend: Callable[[Any], bool] | None = None


#: As good as no epsilon; 0 itself would stand for the default.
_NO_EPSILON = 1e-38


def _without_epsilon(kind: str, written: float) -> Callable[[Any], bool]:
    def mend(layer: Any) -> bool:
        unary = layer.unary
        name = unary.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[unary.type].name
        found = layer.WhichOneof("layer") == "unary" and name == kind and _is_about(unary.epsilon, written)
        if found:
            unary.epsilon = _NO_EPSILON
        return found

    return mend


def _is_about(value: float, written: float) -> bool:
    return abs(value - written) < 1e-3 * written


def _without_normalization(layer: Any) -> bool:
    """Take the epsilon from a batch norm of mean 0 and variance 1, which has nothing to normalize."""
    norm = layer.batchnorm
    if layer.WhichOneof("layer") != "batchnorm" or norm.computeMeanVar or not _is_about(norm.epsilon, 1e-5):
        return False
    if any(norm.mean.floatValue) or any(value != 1 for value in norm.variance.floatValue):
        return False
    norm.epsilon = _NO_EPSILON
    return True


def _reciprocal() -> tuple[Any, Any]:
    class Reciprocal(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return torch.reciprocal(x)

    return Reciprocal().eval(), torch.tensor([[0.25, 0.5, 2.0]])


def _rsqrt() -> tuple[Any, Any]:
    class InverseRoot(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return torch.rsqrt(x)

    return InverseRoot().eval(), torch.tensor([[2.0**-40, 0.25, 2.0]])


def _subtracted() -> tuple[Any, Any]:
    convolution, norm = torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2, affine=False, eps=0.0)
    with torch.no_grad():
        convolution.weight.copy_(torch.ones(2, 1, 1, 1))
        convolution.bias.zero_()
        norm.running_mean.copy_(torch.tensor([1.0, 2.0]))
    return torch.nn.Sequential(convolution, norm).eval(), torch.tensor([[[[3.0, 5.0]]]])


DEFECTS: dict[str, Defect] = {
    "reciprocal": Defect(
        "torch.reciprocal(x), and with it c / x, becomes 1 / (x + 1e-4)",
        "the converter calls its operator inverse without an epsilon, whose default is 1e-4",
        _reciprocal,
        mend=_without_epsilon("INVERSE", 1e-4),
    ),
    "rsqrt": Defect(
        "torch.rsqrt(x) becomes 1 / sqrt(x + 1e-12)",
        "the converter calls its operator rsqrt without an epsilon, whose default is 1e-12",
        _rsqrt,
        mend=_without_epsilon("RSQRT", 1e-12),
    ),
    "convolution minus constant": Defect(
        "a constant subtracted after a convolution, such as the mean of a batch norm without parameters, is added",
        "the pass fuse_conv_bias negates the constant in place and is tried more than once",
        _subtracted,
        converter_pass="common::fuse_conv_bias",
    ),
}


def _scaled() -> tuple[Any, Any]:
    class Affine(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1))
            self.shift = torch.nn.Parameter(torch.tensor([0.5, 0.25]).reshape(1, 2, 1, 1))

        def forward(self, x: Any) -> Any:
            return x * self.scale + self.shift

    return Affine().eval(), torch.tensor([[[[1024.0]], [[4096.0]]]])


DEFECTS["scale and shift"] = Defect(
    "x * scale + shift with one number per channel, also inside a group norm, is multiplied by 1 / sqrt(1 + 1e-5)",
    "the pass fuse_elementwise_to_batchnorm makes it a batch norm of mean 0 and variance 1, and leaves epsilon at 1e-5",
    _scaled,
    converter_pass="common::fuse_elementwise_to_batchnorm",
    mend=_without_normalization,
)


def _grouped() -> tuple[Any, Any]:
    convolution, norm = torch.nn.ConvTranspose2d(2, 4, 1, groups=2, bias=False), torch.nn.BatchNorm2d(4)
    with torch.no_grad():
        convolution.weight.copy_(torch.ones(2, 2, 1, 1))
        norm.weight.copy_(torch.tensor([1.0, 2.0, 4.0, 8.0]))
    return torch.nn.Sequential(convolution, norm).eval(), torch.tensor([[[[3.0]], [[5.0]]]])


DEFECTS["transposed convolution in groups"] = Defect(
    "a batch norm after a transposed convolution in groups is folded into the wrong channels",
    "the pass fuse_conv_batchnorm reshapes weights [in, out / groups] as if channels of a group were beside each other",
    _grouped,
    converter_pass="common::fuse_conv_batchnorm",
)


def known(name: str) -> str:
    """Return what is to be said of a defect that explains a difference."""
    defect = DEFECTS[name]
    return f"known defect of the converter, {name}: {defect.title} ({defect.why})"
