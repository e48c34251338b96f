"""Figures about the difference of two outputs, gathered sample by sample in constant memory.

All sums are in float64. With s the reference and q what is compared with it, over all elements of all samples:

========== ============================================================================================================
figure     definition
========== ============================================================================================================
SNR        10 log10(sum s^2 / sum (q - s)^2) dB; infinite where all are equal. Nothing is added to the noise
PSNR       10 log10(peak^2 / mean (q - s)^2) dB; the peak is 255 for images of bytes, else max abs s over all samples
cosine     sum s q / sqrt(sum s^2 sum q^2); 1 where both are 0 throughout, NaN where only one is
max error  max abs (q - s)
mean error mean abs (q - s)
RMS error  sqrt(mean (q - s)^2)
========== ============================================================================================================

**Agreement and ties.** A score ties if other labels have the very same one; then no order of them is better than
another, and what a program returns is an accident. With G labels scored above label a and E equal to it (itself
included), a *is* among the k best if G + E <= k, is *not* if G >= k, and *ties* in between. Two predictions agree at k
if the reference's best label is among the k best of the other; if the reference has several best labels, they agree if
all are, differ if none is, and tie else. So ``agreed / total`` and ``(agreed + tied) / total`` bound what any way to
break ties gives. Scores with a NaN agree with nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refcoreml.errors import UsageError
from refcoreml.types import Array

__all__ = ["Difference", "DifferenceSums", "Rate", "RateCount", "among_best", "best_among_best"]


@dataclass(frozen=True)
class Difference:
    """How far arrays are from their references; see the module's table.

    Attributes:
        count: the compared elements: those that are finite in both.
        snr, psnr: in dB.
        cosine, max_error, mean_error, rms_error: as defined above.
        nonfinite: elements that are NaN or infinite in one or both, which the figures leave out.
        nonfinite_differing: those of them that are not the same in both.
        worst_snr, worst_sample: the least SNR of a single sample, and its name.
    """

    count: int
    snr: float
    psnr: float
    cosine: float
    max_error: float
    mean_error: float
    rms_error: float
    nonfinite: int
    nonfinite_differing: int
    worst_snr: float
    worst_sample: str

    @property
    def noiseless(self) -> bool:
        """Whether all compared elements are equal."""
        return self.count > 0 and self.max_error == 0 and not self.nonfinite_differing


@dataclass
class DifferenceSums:
    """Gathers a `Difference`; two of them add up."""

    peak: float | None = None
    count: int = 0
    signal: float = 0.0
    other: float = 0.0
    product: float = 0.0
    noise: float = 0.0
    absolute: float = 0.0
    largest: float = 0.0
    magnitude: float = 0.0
    nonfinite: int = 0
    nonfinite_differing: int = 0
    worst_snr: float = math.inf
    worst_sample: str | None = None

    def add(self, reference: Any, compared: Any, sample: str = "") -> None:
        """Add one sample; the arrays must have the same shape."""
        s = np.asarray(reference).astype(np.float64).reshape(-1)
        q = np.asarray(compared).astype(np.float64).reshape(-1)
        finite = np.isfinite(s) & np.isfinite(q)
        if not finite.all():
            same = (s == q) | (np.isnan(s) & np.isnan(q))
            self.nonfinite += int((~finite).sum())
            self.nonfinite_differing += int((~finite & ~same).sum())
            s, q = s[finite], q[finite]
        error = q - s
        signal, noise = float(s @ s), float(error @ error)
        self.count += s.size
        self.signal += signal
        self.other += float(q @ q)
        self.product += float(s @ q)
        self.noise += noise
        np.abs(error, out=error)
        self.absolute += float(error.sum())
        if s.size:
            self.largest = max(self.largest, float(error.max()))
            self.magnitude = max(self.magnitude, float(np.abs(s).max()))
        snr = decibel(signal, noise)
        if self.worst_sample is None or snr < self.worst_snr:
            self.worst_snr, self.worst_sample = snr, sample

    def merge(self, later: DifferenceSums) -> None:
        """Add the samples of another, which follow."""
        for name in ("count", "signal", "other", "product", "noise", "absolute", "nonfinite", "nonfinite_differing"):
            setattr(self, name, getattr(self, name) + getattr(later, name))
        self.largest, self.magnitude = max(self.largest, later.largest), max(self.magnitude, later.magnitude)
        if later.worst_sample is not None and (self.worst_sample is None or later.worst_snr < self.worst_snr):
            self.worst_snr, self.worst_sample = later.worst_snr, later.worst_sample

    def result(self) -> Difference:
        """Return the figures so far; NaN where there is no element."""
        count = self.count or math.nan
        peak = self.peak if self.peak is not None else self.magnitude
        norms = math.sqrt(self.signal) * math.sqrt(self.other)
        equal = self.noise == 0 and self.count > 0
        return Difference(
            count=self.count,
            snr=decibel(self.signal, self.noise) if self.count else math.nan,
            psnr=decibel(peak * peak, self.noise / count) if self.count else math.nan,
            cosine=1.0 if equal else min(1.0, max(-1.0, self.product / norms)) if norms else math.nan,
            max_error=self.largest if self.count else math.nan,
            mean_error=self.absolute / count,
            rms_error=math.sqrt(self.noise / count) if self.count else math.nan,
            nonfinite=self.nonfinite,
            nonfinite_differing=self.nonfinite_differing,
            worst_snr=self.worst_snr,
            worst_sample=self.worst_sample or "",
        )


def decibel(signal: float, noise: float) -> float:
    """10 log10(signal / noise): infinite without noise, minus infinite with noise alone."""
    if noise == 0:
        return math.inf
    # Not the logarithm of the quotient, which may be too small for a float.
    return 10 * (math.log10(signal) - math.log10(noise)) if signal > 0 else -math.inf


@dataclass(frozen=True)
class Rate:
    """How often something held: ``agreed`` times for sure, ``tied`` times for one way to break ties, of ``total``."""

    agreed: int
    tied: int
    total: int

    @property
    def rate(self) -> float:
        """``agreed / total``, a lower bound of the rate for any way to break ties; NaN without samples."""
        return self.agreed / self.total if self.total else math.nan

    @property
    def upper(self) -> float:
        """``(agreed + tied) / total``."""
        return (self.agreed + self.tied) / self.total if self.total else math.nan

    def __str__(self) -> str:
        text = f"{self.rate:.2%} ({self.agreed} of {self.total})"
        return f"{text[:-1]}, {self.tied} tied)" if self.tied else text


def check_rate(rate: float, where: str) -> None:
    """Raise `UsageError` if a number is no rate, such as 99 for 99 %."""
    if not 0 <= rate <= 1:
        raise UsageError(f"must be a rate from 0 to 1, such as 0.99 for 99 %, got {rate:g}", where=where)


@dataclass
class RateCount:
    """Gathers a `Rate`; two of them add up."""

    counts: list[int] = field(default_factory=lambda: [0, 0, 0])

    def add(self, holds: bool | None) -> None:
        """Add a sample: True, False, or None for a tie."""
        self.counts[0] += holds is True
        self.counts[1] += holds is None
        self.counts[2] += 1

    def merge(self, later: RateCount) -> None:
        """Add the samples of another."""
        self.counts = [mine + other for mine, other in zip(self.counts, later.counts, strict=True)]

    def result(self) -> Rate:
        """Return the rate so far."""
        return Rate(*self.counts)


def among_best(scores: Array, label: int, k: int) -> bool | None:
    """Return whether a label's score is among the k best; None if that depends on how ties are broken."""
    score = scores[label]
    if np.isnan(scores).any():
        return False
    above, equal = int((scores > score).sum()), int((scores == score).sum())
    return True if above + equal <= k else False if above >= k else None


def best_among_best(reference: Array, scores: Array, k: int) -> bool | None:
    """Return whether the best label of ``reference`` is among the k best of ``scores``; None for a tie."""
    if np.isnan(reference).any():
        return False
    best: Sequence[int] = np.flatnonzero(reference == reference.max()).tolist()
    found = {among_best(scores, label, k) for label in best}
    return found.pop() if len(found) == 1 else None
