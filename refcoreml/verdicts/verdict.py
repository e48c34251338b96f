"""What is found of recorded outputs: `Verdict`, of each value `Compared`, of a conversion `Conversion`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from refcoreml.reporting.results import Result
from refcoreml.reporting.tables import Table

__all__ = [
    "FP16",
    "FP32",
    "NOT_EXPLAINED",
    "SUSPICIOUS",
    "UNDETERMINED",
    "Compared",
    "Conversion",
    "Verdict",
    "worst_first",
]

FP32 = "within rounding of fp32"
FP16 = "within rounding of fp16"
UNDETERMINED = "undetermined"
SUSPICIOUS = "suspicious"
NOT_EXPLAINED = "not explained by rounding"

#: What can be found, the worst first.
_ORDER = (NOT_EXPLAINED, SUSPICIOUS, UNDETERMINED, FP16, FP32)


@dataclass(frozen=True)
class Compared:
    """A recorded value beside its likely bound.

    Attributes:
        sample: the sample that it belongs to.
        name: the output, or the value inside the model.
        output: whether it is an output.
        operation, kind: what made it; empty for an output that is made of several values.
        answer: what was found of it.
        reason: why it is undetermined, or what is outside.
        size: how many numbers it has.
        compared: how many of them have a bound that could show something.
        outside: how many are outside of it.
        error: how far the number is away whose error takes most of its bound; NaN if it is none.
        bound: the bound there.
        place: its place.
        used: error / bound there; infinite beside a bound of 0.
        width: how sharp the comparison was: the bound relative to the size of the numbers, which three quarters of them
            do not exceed.
        segment: the operations between the recorded values before and this one, this one's included.
        suspect: the last of them that computes numbers, and does not only move or choose some.
    """

    sample: str
    name: str
    output: bool
    operation: str
    kind: str
    answer: str
    reason: str
    size: int
    compared: int
    outside: int
    error: float
    bound: float
    place: tuple[int, ...]
    used: float
    width: float
    segment: tuple[str, ...] = ()
    suspect: str = ""

    @property
    def explained(self) -> bool:
        """Whether rounding explains it."""
        return self.answer in (FP32, FP16)

    @property
    def rank(self) -> tuple[int, float]:
        """How bad it is: by its answer, then by its largest error in terms of bounds; larger is worse."""
        return -_ORDER.index(self.answer), self.used if self.used >= 0 else 0.0

    @property
    def refused(self) -> bool:
        """Whether rounding is not likely to explain it."""
        return self.answer in (SUSPICIOUS, NOT_EXPLAINED)


@dataclass(frozen=True)
class Conversion:
    """What is found of the conversion of a source to the model.

    Attributes:
        answer: ``equal``, ``different`` or ``undetermined``.
        reason: what differs, or why nothing was shown.
        operations: the first operation that differs, or those among which it is.
        values: how many values both sides have and were compared.
        widest: the widest bound of all of them, relative to their numbers.
        operation: the most likely of the operations.
    """

    answer: str
    reason: str = ""
    operations: tuple[str, ...] = ()
    values: int = 0
    widest: float = 0.0
    operation: str = ""


@dataclass(frozen=True)
class Verdict(Result):
    """What is found of recorded outputs.

    Attributes:
        answer: ``within rounding of fp32``, ``within rounding of fp16``, ``suspicious`` (outside of the likely bounds,
            inside proven ones), ``not explained by rounding``, or ``undetermined``.
        cause: with a source ``converter``, ``rounding``, ``device`` or ``undetermined``; else empty.
        reason: why, in a sentence.
        operation: the operation at fault; of several among which it is, of a device the last that computes, of a
            conversion the most likely; empty if none is known.
        segment: those among which it is.
        profile: the coarsest arithmetic that was tried.
        probability: how often an honest recording would be refused.
        values: all that was compared, in order.
        conversion: what is found of the conversion; None without a source.
    """

    answer: str
    cause: str
    reason: str
    operation: str
    segment: tuple[str, ...]
    profile: str
    probability: float
    values: tuple[Compared, ...] = ()
    conversion: Conversion | None = None

    @property
    def explained(self) -> bool:
        """Whether rounding explains what was recorded, and with a source that the conversion is right."""
        return self.answer in (FP32, FP16) and self.cause in ("", "rounding")

    @property
    def headline(self) -> str:
        """The verdict in a line."""
        if self.cause == "converter":
            return f"converter: the conversion differs; what was recorded is {self.answer}"
        cause = f"{self.cause}: " if self.cause not in ("", UNDETERMINED) else ""
        return f"{cause}{UNDETERMINED if self.cause == UNDETERMINED else self.answer}"

    def rows(self) -> list[dict[str, Any]]:
        """Return what was compared, one row for each value."""
        names = ("sample", "name", "operation", "kind", "answer", "reason", "size", "compared", "outside")
        numbers = ("error", "bound", "used", "width")
        return [{name: getattr(each, name) for name in (*names, *numbers)} for each in self.values]

    def table(self, width: int = sys.maxsize) -> str:
        """Return the values that were compared as a table; of several samples with those first that are worst."""
        several = len({each.sample for each in self.values}) > 1
        numbers = ("numbers", "outside", "error", "bound", "error/bound", "sharpness")
        table = Table(*("sample",) * several, "value", "operation", "answer", *numbers, right=numbers)
        for each in worst_first(self.values) if several else self.values:
            cells = [each.name, each.kind, each.answer, f"{each.compared} of {each.size}", str(each.outside)]
            cells += [f"{number:.3g}" for number in (each.error, each.bound, each.used, each.width)]
            table.add_row(*[each.sample] * several, *cells)
        return table.render(width)


def worst_first(values: Sequence[Compared]) -> list[Compared]:
    """Return values with the worst samples first, each in the order in which the model makes them."""
    worst: dict[str, tuple[int, float]] = {}
    for each in values:
        worst[each.sample] = max(each.rank, worst.get(each.sample, each.rank))
    return sorted(values, key=lambda each: worst[each.sample], reverse=True)
