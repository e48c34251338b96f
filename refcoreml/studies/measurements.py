"""What a study has measured, as data: what its tables, figures and report show."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

from refcoreml.errors import UsageError
from refcoreml.model import Model
from refcoreml.reporting.results import Result, plain
from refcoreml.reporting.samples import Source
from refcoreml.reporting.tables import Text
from refcoreml.studies.evaluate import quantized_as
from refcoreml.studies.records import Record, decibels

__all__ = ["Measurements"]


@dataclass(frozen=True)
class Measurements(Result):
    """What a study has measured.

    Attributes:
        name: the model's file name, or kind of source.
        size: bytes of the model as it was given.
        samples: how many samples it was measured on.
        skipped: files that could not be read and were left out on request.
        layers: the layers that quantization makes smaller, in the network's order.
        records: what was measured.
        plan: the record of the plan that was searched for, if any; no point of the sweep meets the demand better.
        select: which weights were quantized, see `study`.
        model, source: what was studied; not part of JSON.
    """

    name: str
    size: int
    samples: int
    skipped: list[str]
    layers: list[str]
    records: list[Record]
    plan: Record | None
    select: list[str]
    model: Model = field(repr=False, compare=False)
    source: Source = field(repr=False, compare=False)

    def of_kind(self, kind: str) -> list[Record]:
        """Return the records of one kind: ``sweep``, ``only``, ``except`` or ``plan``."""
        return [record for record in self.records if record.configuration.kind == kind]

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each record, for CSV."""
        return [record.row() for record in self.records]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        names = ("name", "size", "samples", "skipped", "layers", "select", "records", "plan")
        return {name: plain(getattr(self, name)) for name in names}

    def table(self, width: int = sys.maxsize) -> str:
        """Return the sweep, and the plan if there is one, as text for people, in a table of at most ``width``."""
        text = Text()
        for record in [*self.of_kind("sweep"), *([self.plan] if self.plan else [])]:
            text.add(cells(record))
        return f"{text.render(width)}\n\n{self.name}: {self.size:,} bytes; {self.samples} samples"

    def planned_model(self) -> Model:
        """Return the model quantized as the plan says.

        Raises:
            UsageError: no plan was searched for.
        """
        if self.plan is None:
            raise UsageError("the study has no plan", remedy="Give a budget or a floor")
        return quantized_as(self.model, self.plan.configuration, self.select)


def cells(record: Record) -> dict[str, str]:
    """Return a record as cells of a table of text; a column without any value is left out by who draws it."""
    c = record.configuration
    return {
        "bits": str(c.bits) if c.bits else "mixed",
        "mode": c.mode or {"plan": "plan"}.get(c.kind, "float"),
        **({"layer": c.layer} if c.layer else {}),
        "size": f"{record.size:,}",
        "of full": f"{record.ratio:.1%}",
        "weight SNR dB": decibels(record.weight_snr),
        "output SNR dB": decibels(record.snr),
        **({"agreement": _percent(record.agreement, record.agreement_tied)} if record.agreement is not None else {}),
        **({"accuracy": f"{record.accuracy:.2%}"} if record.accuracy is not None else {}),
        "quantize s": f"{record.quantize_seconds:.2f}",
    }


def _percent(rate: float, tied: float) -> str:
    return f"{rate:.2%} (+{tied:.2%} tied)" if tied else f"{rate:.2%}"
