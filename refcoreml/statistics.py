"""Figures about an array: range, mean, NaN and infinities, distance to the ends of half precision."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from refcoreml.kernels import half
from refcoreml.types import Array, Shape


@dataclass(frozen=True)
class BlobStatistics:
    """Figures of one array; minimum, maximum and mean are those of its finite values (NaN if there are none).

    Texts have no figures but the shape; of booleans, true counts 1.

    Attributes:
        shape: the array's shape.
        minimum, maximum, mean: of the finite values, the mean in float64.
        nans, infinities: how many of each.
        headroom: 65504 / max |finite value|: by how much the values could grow within half precision.
        vanished: how many other than 0 became 0 when they were rounded to half precision.
        subnormal: how many lost bits by that because they are subnormal there.
    """

    shape: Shape
    minimum: float
    maximum: float
    mean: float
    nans: int
    infinities: int
    headroom: float
    vanished: int = 0
    subnormal: int = 0

    @property
    def bad(self) -> bool:
        """Whether there is a NaN or an infinity."""
        return bool(self.nans or self.infinities)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return asdict(self)


def blob_statistics(values: Array, computed: Array | None = None) -> BlobStatistics:
    """Compute the figures of an array.

    Args:
        values: the array.
        computed: what it was before it was rounded to half precision, if it was.
    """
    rounding = half.Losses() if computed is None or computed is values else half.losses(computed, values)
    finite: Any = values if values.dtype.kind in "biuf" else np.empty(0)
    nans = infinities = 0
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)
    if finite.size and not (np.isfinite(low) and np.isfinite(high)):
        nans, infinities = int(np.isnan(values).sum()), int(np.isinf(values).sum())
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)
    largest = max(abs(low), abs(high))
    return BlobStatistics(
        shape=values.shape,
        minimum=low,
        maximum=high,
        mean=float(finite.mean(dtype=np.float64)) if finite.size else np.nan,
        nans=nans,
        infinities=infinities,
        headroom=half.LARGEST / largest if largest > 0 else np.inf,
        vanished=rounding.vanished,
        subnormal=rounding.subnormal,
    )
