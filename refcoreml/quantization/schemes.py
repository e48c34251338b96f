"""How to store one tensor: a `Scheme` turns values into a ``WeightParams`` message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from refcoreml import values as given
from refcoreml.errors import CallbackError, RefCoreMLError, UsageError
from refcoreml.kernels import half, kmeans
from refcoreml.kernels import quantization as kernels
from refcoreml.kernels.bits import packed_size
from refcoreml.quantization import _coremltools
from refcoreml.quantization.tensors import WeightTensor
from refcoreml.spec import schema
from refcoreml.spec.weights import encode_floats, encode_linear, encode_table
from refcoreml.types import Array
from refcoreml.values import argument, unmasked

MODES = ("linear", "linear_symmetric", "linear_lut", "kmeans", "custom_lut")

#: A user's table: from the bits and the weights, in their shape, to 2^bits numbers and a code for each weight.
LutFunction: TypeAlias = Callable[[int, Array], tuple[Any, Any]]
Codes: TypeAlias = NDArray[np.uint8]
#: How linear modes choose the range: ``minmax``, ``mse``, or ``("percentile", p)`` with 50 < p <= 100.
Fit: TypeAlias = str | tuple[str, float]


@dataclass(frozen=True)
class Scheme:
    """How to store a tensor.

    Attributes:
        bits: 1 to 8, 16 (half precision) or 32.
        mode: one of `MODES`; not read for 16 and 32 bits.
        fit: how linear modes choose the range of the levels.
        lut_function: the function of mode ``custom_lut``.
        compatible: empty, or ``coremltools`` for that package's own numbers.
    """

    bits: int
    mode: str = "linear"
    fit: Fit = "minmax"
    lut_function: LutFunction | None = None
    compatible: str = ""

    def __post_init__(self) -> None:
        """Raise `UsageError` unless all parts make sense together."""
        given.integer(self.bits, given.argument("bits"))
        if self.bits not in (*range(1, 9), 16, 32):
            raise UsageError(f"{self.bits} bits, expected 1 to 8, 16 (half precision) or 32 (single precision)")
        if not given.is_a(self.mode, str) or self.mode not in MODES:
            raise UsageError(f"unknown mode {given.quoted(self.mode)}, expected one of {', '.join(MODES)}")
        _check_fit(self.fit)
        if self.mode == "linear_symmetric" and self.bits == 1:
            raise UsageError("mode linear_symmetric takes 2 to 8 bits", remedy="With one bit no level would be left")
        if (self.mode == "custom_lut") != (self.lut_function is not None):
            raise UsageError(f"mode {self.mode} {'needs a' if self.lut_function is None else 'takes no'} lut_function")
        if self.lut_function is not None and not callable(self.lut_function):
            raise UsageError(f"lut_function is {type(self.lut_function).__name__}, expected a function")
        if not given.is_a(self.compatible, str) or self.compatible not in ("", "coremltools"):
            raise UsageError(f"cannot be compatible with {given.quoted(self.compatible)}, only with 'coremltools'")
        if self.compatible and self.bits < 16:
            if self.mode not in ("linear", "linear_symmetric", "linear_lut") or self.fit != "minmax":
                raise UsageError(
                    f"mode {self.mode} with fit {self.fit!r} cannot be compatible with coremltools",
                    remedy="Only its linear modes with fit 'minmax' can be reproduced bit for bit",
                )
            if self.mode == "linear_symmetric" and self.bits != 8:
                raise UsageError("coremltools has mode linear_symmetric with 8 bits only")

    def encode(
        self, tensor: WeightTensor, sensitivity: Array | None = None, lost: list[str] | None = None
    ) -> schema.WeightParams:
        """Return the tensor's values in a new message.

        Args:
            tensor: the values.
            sensitivity: for ``kmeans``, how much the square of each weight's error counts.
            lost: gets a line if numbers become 0 in half precision.

        Raises:
            InvalidModelError: values are missing, NaN or infinite.
            UsageError: a value does not fit half precision.
            CallbackError: the user's function failed, or its table or codes make no sense.
        """
        values = tensor.values()
        if self.bits == 32:
            return encode_floats(values)
        if self.bits == 16:
            return encode_floats(_halves(values, tensor, [] if lost is None else lost))
        if self.compatible:
            return _coremltools.encode(values, self.bits, self.mode, tensor)
        match self.mode:
            case "linear" | "linear_symmetric":
                rows = _channel_rows(values, tensor)
                scale, bias, least = self._parameters(rows)
                codes = kernels.quantize_linear(rows, scale, bias, self.bits, least=least)
                return encode_linear(_from_rows(codes, tensor), self.bits, scale, bias)
            case "linear_lut":
                rows = values.reshape(1, -1)
                scale, bias, least = self._parameters(rows)
                codes = kernels.quantize_linear(rows, scale, bias, self.bits, least=least)
                levels = np.arange(1 << self.bits, dtype=np.float64) * scale.astype(np.float64) + bias.astype(
                    np.float64
                )
                return encode_table(codes, self.bits, levels)
            case "kmeans":
                return self._clustered(values, sensitivity)
        table, codes = _custom_table(self, values, tensor)
        return encode_table(codes, self.bits, table)

    def _parameters(self, rows: Array) -> tuple[Array, Array, int]:
        """Return scale and bias of each row, and the smallest code."""
        symmetric = self.mode == "linear_symmetric"
        least = int(symmetric)
        if self.fit == "mse":
            return *kernels.least_squares_parameters(rows, self.bits, symmetric=symmetric), least
        if isinstance(self.fit, tuple):
            low, high = kernels.percentile_ranges(rows, self.fit[1])
        else:
            low, high = kernels.row_ranges(rows)
        if symmetric:
            return *kernels.symmetric_parameters(np.maximum(np.abs(low), np.abs(high)), self.bits), least
        return *kernels.range_parameters(low, high, self.bits), least

    def _clustered(self, values: Array, sensitivity: Array | None) -> schema.WeightParams:
        found = kmeans.cluster(values, 1 << self.bits, sensitivity)
        table = found.centres.astype(np.float32)
        # What is left of the table is never used; it repeats the last centre.
        table = np.append(table, np.full((1 << self.bits) - len(table), table[-1]))
        return encode_table(kmeans.assign(values, found.centres.astype(np.float32)), self.bits, table)

    def encoded_bytes(self, tensor: WeightTensor) -> int:
        """Return the approximate size of the message of `encode` in a file: values, scales and tables."""
        if self.bits >= 16:
            return tensor.count * self.bits // 8
        codes = packed_size(tensor.count, self.bits)
        if self.mode in ("linear", "linear_symmetric"):
            return codes + 8 * (tensor.channels if tensor.channel_scales else 1)
        return codes + (4 << self.bits)


def _check_fit(fit: Fit) -> None:
    if given.is_a(fit, str):
        known = fit in ("minmax", "mse")
    else:
        name, percent = fit if type(fit) is tuple and len(fit) == 2 else (None, None)
        known = (
            given.is_a(name, str) and name == "percentile" and 50 < given.number(percent, given.argument("fit")) <= 100
        )
    if known:
        return
    raise UsageError(
        f"unknown fit {given.quoted(fit)}",
        remedy="Write 'minmax', 'mse' or ('percentile', 99.9), a number above 50 up to 100",
    )


def _halves(values: Array, tensor: WeightTensor, lost: list[str]) -> NDArray[np.float16]:
    halves = half.to_half(values)
    found = half.losses(values, halves)
    if found.overflowed:
        remedy = "Leave the layer out with a selector, or store it in another way"
        raise UsageError(str(found), where=tensor.where, remedy=remedy)
    if found:
        lost.append(f"{tensor.where}: {found}")
    return halves


def _channel_rows(values: Array, tensor: WeightTensor) -> Array:
    """Return the values as [C, L], one row for each scale that they may have."""
    if not tensor.channel_scales:
        return values.reshape(1, -1)
    return np.moveaxis(values, tensor.channel_axis, 0).reshape(tensor.channels, -1)


def _from_rows(codes: Codes, tensor: WeightTensor) -> Codes:
    if not tensor.channel_scales:
        return codes.reshape(tensor.shape)
    axis = tensor.channel_axis
    others = tensor.shape[:axis] + tensor.shape[axis + 1 :]
    return np.moveaxis(codes.reshape(tensor.channels, *others), 0, axis)


def _custom_table(scheme: Scheme, values: Array, tensor: WeightTensor) -> tuple[Array, Codes]:
    """Return the table and the codes of the user's function, checked."""
    assert scheme.lut_function is not None
    remedy = "It is called as lut_function(nbits, weights) and returns (table, codes)"
    try:
        table, codes = scheme.lut_function(scheme.bits, values)
    except RefCoreMLError:
        raise
    except Exception as error:
        raise CallbackError(f"lut_function failed: {given.reason(error)}", where=tensor.where, remedy=remedy) from error

    def require(condition: bool, problem: str) -> None:
        if not condition:
            raise CallbackError(f"lut_function returned {problem}", where=tensor.where, remedy=remedy)

    entries = 1 << scheme.bits
    levels: Array
    try:
        levels, numbers = (unmasked(part, argument()) for part in (table, codes))
        levels = levels.astype(np.float64).reshape(-1)
    except (TypeError, ValueError, UsageError) as error:
        raise CallbackError(f"lut_function returned no arrays: {error}", where=tensor.where, remedy=remedy) from error
    require(levels.size == entries, f"a table of {levels.size} numbers, {scheme.bits} bits need {entries}")
    with np.errstate(over="ignore"):
        levels = levels.astype(np.float32)
    require(bool(np.isfinite(levels).all()), "a table with numbers that are not finite in float32")
    require(numbers.size == tensor.count, f"{numbers.size} codes for {tensor.count} weights")
    require(numbers.dtype.kind in "uif", f"codes of type {numbers.dtype}, expected integers")
    require(bool(np.all((numbers >= 0) & (numbers < entries))), f"codes outside [0, {entries - 1}]")
    integers = numbers.astype(np.uint8)
    require(bool(np.array_equal(integers, numbers)), "codes that are not integers")
    return levels, integers
