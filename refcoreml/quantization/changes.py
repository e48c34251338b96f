"""What quantization did to each tensor: `weight_changes`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from refcoreml.errors import UsageError
from refcoreml.model import Model, as_model
from refcoreml.quantization.tensors import weight_tensors
from refcoreml.types import Shape


@dataclass(frozen=True)
class WeightChange:
    """A tensor before and after.

    Attributes:
        layer, kind, field, shape: which tensor, see `WeightTensor`.
        before, after: kind of encoding.
        bits_before, bits_after: storage bits of a weight.
        bytes_before, bytes_after: bytes in the file, with scales and tables.
        signal: mean of w^2 before.
        noise: mean of (w after - w before)^2.
        largest_error: largest absolute error.
    """

    layer: str
    kind: str
    field: str
    shape: Shape
    before: str
    after: str
    bits_before: int
    bits_after: int
    bytes_before: int
    bytes_after: int
    signal: float
    noise: float
    largest_error: float

    @property
    def count(self) -> int:
        """The number of weights."""
        return int(np.prod(self.shape))

    @property
    def snr(self) -> float:
        """Signal-to-noise ratio of the weights in dB: 10 log10(signal / noise); infinite without noise."""
        if self.noise == 0:
            return float("inf")
        return float(10 * np.log10(self.signal / self.noise)) if self.signal else float("-inf")

    def as_dict(self) -> dict[str, Any]:
        """Return the fields and the SNR, for tables and JSON."""
        return {**asdict(self), "snr": self.snr}


def weight_changes(before: Any, after: Any) -> list[WeightChange]:
    """Compare the weights of a model with those of the model that quantization made of it, tensor by tensor.

    Values are compared as they decode to float32, in double precision.

    Args:
        before, after: models, or anything that `refcoreml.load` takes.

    Raises:
        UsageError: the models do not have the same tensors.
    """
    return list(_changes(as_model(before, prepare=False), as_model(after, prepare=False)))


def _changes(before: Model, after: Model) -> Iterator[WeightChange]:
    olds, news = weight_tensors(before), weight_tensors(after)
    if [(old.where, old.shape) for old in olds] != [(new.where, new.shape) for new in news]:
        raise UsageError("the two models have other layers or weights of other shapes")
    for old, new in zip(olds, news, strict=True):
        values, decoded = old.values(), new.values()
        signal = noise = largest = 0.0
        for start in range(0, old.count, 1 << 16):
            part = slice(start, start + (1 << 16))
            exact = values.reshape(-1)[part].astype(np.float64)
            error = decoded.reshape(-1)[part] - exact
            signal += float(exact @ exact)
            noise += float(error @ error)
            largest = max(largest, float(np.abs(error).max()))
        yield WeightChange(
            layer=old.layer,
            kind=old.kind,
            field=old.field,
            shape=old.shape,
            before=old.encoding.kind,
            after=new.encoding.kind,
            bits_before=old.encoding.bits,
            bits_after=new.encoding.bits,
            bytes_before=old.stored_bytes,
            bytes_after=new.stored_bytes,
            signal=signal / old.count,
            noise=noise / old.count,
            largest_error=largest,
        )
