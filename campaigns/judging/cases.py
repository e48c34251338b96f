"""What a judge is given, and what it should say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from refcoreml.spec import schema
from refcoreml.types import Array

__all__ = ["Case", "Expected", "Prepared"]


@dataclass(frozen=True)
class Case:
    """What a judge is given.

    Attributes:
        model: the converted model, which `refcoreml.load` takes.
        inputs: its inputs by name.
        source: the torch module that it was converted from; None where there is none to be had.
        arguments: the arguments of the module.
        outputs: what a device returned for the inputs; None where a conversion is judged, not a device.
        intermediates: values inside the model that the device recorded, by their names in the model.
    """

    model: schema.Model
    inputs: Mapping[str, Array]
    source: Any = None
    arguments: tuple[Any, ...] = ()
    outputs: Mapping[str, Array] | None = None
    intermediates: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Expected:
    """What is right.

    Attributes:
        verdict: of a conversion ``equal`` or ``different``; of recorded outputs ``rounding``, ``converter`` or
            ``device``.
        operations: what the operation at fault may be called: names of operations and of their results in the model.
            Empty where none is at fault, or where nothing shows which.
        sources: likewise, its path in the module.
    """

    verdict: str
    operations: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def blames(self, operation: str) -> bool:
        """Return whether an operation is one of those at fault."""
        return operation in self.operations or operation in self.sources


@dataclass(frozen=True)
class Prepared:
    """A case that is made when it is needed.

    Attributes:
        name: the same in every run.
        kind: what was done to it.
        size: how large a change of a number is, relative to the others; None where that has no meaning.
        network, form: what it was made of.
        make: makes it.
    """

    name: str
    kind: str
    size: float | None
    network: str
    form: str
    make: Callable[[], tuple[Case, Expected]] = field(repr=False)
