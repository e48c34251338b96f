"""What a study measures, and the file that it grows in."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

from refcoreml.errors import UsageError
from refcoreml.reporting import results
from refcoreml.storage.writing import append, open_to_append

__all__ = ["Configuration", "Journal", "Record", "identity"]

#: Changes whenever the meaning of a record does, so that old journals are not taken for new ones.
_FORMAT = 1

Kind = Literal["sweep", "only", "except", "plan"]


@dataclass(frozen=True)
class Configuration:
    """One way to quantize a model.

    Attributes:
        kind: ``sweep`` (every layer alike), ``only`` (one layer), ``except`` (all but one), ``plan`` (each in its way).
        bits: the bits of each weight; 32 leaves all as it is. 0 for plans.
        mode: as `quantize_weights` takes it; empty for 16 and 32 bits and for plans.
        layer: the one layer that is quantized, or not; empty for the other kinds.
        plan: (layer, bits, mode) of each layer that a plan quantizes.
    """

    kind: Kind
    bits: int = 0
    mode: str = ""
    layer: str = ""
    plan: tuple[tuple[str, int, str], ...] = ()

    def __str__(self) -> str:
        how = f"{self.bits} bits {self.mode}".strip()
        return {
            "sweep": how,
            "only": f"{how}, only {self.layer}",
            "except": f"{how}, all but {self.layer}",
            "plan": "plan " + ", ".join(f"{layer} {bits}" for layer, bits, _ in self.plan),
        }[self.kind]


@dataclass(frozen=True)
class Record:
    """The result of one configuration.

    Attributes:
        configuration: how the model was quantized.
        size: bytes of the quantized model's message, which is the size of its ``.mlmodel`` file.
        ratio: ``size`` relative to the model as it was given.
        weight_snr: of the quantized weights, in dB: 10 log10(sum w^2 / sum error^2).
        weight_max_error: max abs error of a weight.
        bounds: of a sweep, for each array of weights that is stored anew, bound and error of the weight that is closest
            to its bound (see `refcoreml.quantization.bounds`).
        snr: the least output SNR in dB, NaN if an output has no finite number; None if no output has numbers.
        psnr: the PSNR of the same output.
        snr_by_output: the SNR of each output that has numbers.
        agreement: top-1 agreement with the model as it was given, ties not counted; None without labels.
        agreement_tied: the share of ties, to be added to get the largest agreement.
        top_agreement: top-k agreement by k (as text).
        accuracy, full_accuracy: top-1 accuracy of the quantized model and of the given one; None without true labels.
        samples: how many samples were predicted.
        quantize_seconds: the time that quantization took.
        predict_seconds: the time that a prediction took, in a batch. Depends on what else the machine does.
    """

    configuration: Configuration
    size: int
    ratio: float
    weight_snr: float
    weight_max_error: float
    bounds: tuple[tuple[float, float], ...]
    snr: float | None
    psnr: float | None
    snr_by_output: dict[str, float]
    agreement: float | None
    agreement_tied: float
    top_agreement: dict[str, float]
    accuracy: float | None
    full_accuracy: float | None
    samples: int
    quantize_seconds: float
    predict_seconds: float

    @property
    def noise(self) -> float:
        """Output noise relative to the signal: 10^(-snr / 10); infinite if no number of the output is finite."""
        if self.snr is None:
            return 0.0
        # Beyond what a float can hold, which 1 bit has been seen to reach.
        return 10 ** (-self.snr / 10) if self.snr > -3000 else math.inf

    def row(self) -> dict[str, Any]:
        """Return a flat row for CSV."""
        row: dict[str, Any] = {
            "kind": self.configuration.kind,
            "bits": self.configuration.bits or "",
            "mode": self.configuration.mode,
            "layer": self.configuration.layer,
        }
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "snr_by_output":
                row.update({f"snr {name}": number for name, number in value.items()})
            elif item.name == "top_agreement":
                row.update({f"agreement_top{k}": number for k, number in value.items()})
            elif item.name == "bounds":
                row["error_to_bound"] = max((error / bound for bound, error in value if bound > 0), default="")
            elif item.name != "configuration":
                row[item.name] = "" if value is None else value
        row["plan"] = " ".join(f"{layer}={bits}:{mode}" for layer, bits, mode in self.configuration.plan)
        return row

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Record:
        """Return the record that `results.plain` has turned into plain values."""
        given = dict(values)
        configuration = dict(given.pop("configuration"))
        configuration["plan"] = tuple((layer, bits, mode) for layer, bits, mode in configuration["plan"])
        bounds = tuple((float(bound), float(error)) for bound, error in given.pop("bounds"))
        numbers = {name: _number(value) for name, value in given.items()}
        return cls(Configuration(**configuration), bounds=bounds, **numbers)


def _number(value: Any) -> Any:
    """Return a number from JSON, where infinite and NaN numbers are strings."""
    if isinstance(value, dict):
        return {name: _number(item) for name, item in value.items()}
    return float(value) if isinstance(value, str) else value


def identity(configuration: Configuration, context: Mapping[str, Any]) -> str:
    """Return a digest that tells whether a record was made from this model, data and configuration by this version."""
    text = json.dumps([_FORMAT, asdict(configuration), dict(context)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Journal:
    """Records as they come, a line of JSON each, on disk if there is a path.

    A process can be killed at any moment: lines are only ever appended, each is on the disk before the next one is
    begun, and a last line that was torn is dropped when the file is opened again. Lines about other models, data or
    configurations are kept and ignored.
    """

    path: Path | None
    found: dict[str, Record] = field(default_factory=dict)
    _file: BinaryIO | None = None

    def __enter__(self) -> Journal:
        """Open the file, and read what is in it."""
        if self.path is not None:
            self._file = open_to_append(self.path)
            self._read(self._file)
        return self

    def _read(self, file: BinaryIO) -> None:
        file.seek(0)
        content = file.read()  # of our own making, so without a limit
        whole = content.rfind(b"\n") + 1
        if whole < len(content):  # torn
            file.truncate(whole)
        for number, line in enumerate(content[:whole].splitlines(), 1):
            try:
                entry = json.loads(line)
                self.found[entry["id"]] = Record.read(entry["record"])
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise UsageError(
                    f"line {number} is not a record of a study: {error}",
                    where=str(self.path),
                    remedy="Remove the line or choose another folder",
                ) from error

    def add(self, key: str, record: Record) -> None:
        """Note a record, and return when it is on the disk."""
        self.found[key] = record
        if self._file is not None:
            line = json.dumps({"id": key, "record": results.plain(record)}, allow_nan=False)
            append(self._file, line.encode() + b"\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def decibels(value: float | None) -> str:
    """Return an SNR as text."""
    if value is None:
        return ""
    if math.isnan(value):
        return "not finite"
    return "exact" if value == math.inf else f"{value:.1f}"
