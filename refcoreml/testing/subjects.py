"""Models that are compared with a source: how networks and ML Programs run for that, with which bounds."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np

from refcoreml.execution.steps import walk
from refcoreml.features import ImageFeature
from refcoreml.features.classifier import Label
from refcoreml.judge import noise
from refcoreml.model import Model
from refcoreml.oracle.balls import Doubles
from refcoreml.oracle.bounds import BlobBound
from refcoreml.spec.weights import weight_encoding, weight_fields
from refcoreml.testing.agreement import WIDEST
from refcoreml.testing.rounding import UNIT32, UNIT64, Constants, Undetermined, blob_bounds
from refcoreml.testing.shaking import labels_of, measured_bounds, output_values, program_results
from refcoreml.testing.stored import half_constants, half_radius, has_compressed_constants, layered
from refcoreml.testing.torch_modules import Source

__all__ = ["NetworkSubject", "ProgramSubject", "Subject"]

#: A model to run, and what gives the bounds for that.
Run: TypeAlias = "tuple[Model, Callable[[], dict[str, BlobBound]]]"

#: How many moved runs tell how much single precision scatters where double precision has been compared: two beside the
#: one that is not moved. With six for the segments and the one that is judged a model is predicted ten times.
FEW = 2

#: Within wider bounds a program whose weights the converter computed and stored in half precision shows nothing: 32
#: units, eight standard deviations of sixteen independent roundings.
WIDEST_HALF = 2.0**-6


class Subject(ABC):
    """A model that is compared with its source.

    Attributes:
        double: the model in double precision.
        single: as it is meant to run.
    """

    single: Model

    def __init__(self, double: Model) -> None:
        self.double = double

    def given(self, inputs: Mapping[str, Any], checked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the source is given for inputs, which have been checked."""
        return inputs

    def adapt(self, source: Source) -> None:
        """Change the parameters of the source to those that the model stores, where it merely rounds them."""
        return

    def widest(self, constants: Constants) -> float:
        """Return the widest bound within which agreement counts."""
        return WIDEST

    @abstractmethod
    def compressed(self) -> bool:
        """Return whether weights are stored in a way that is more than rounding to the model's precision."""

    @abstractmethod
    def labels(self, inputs: Mapping[str, Any]) -> Mapping[str, Sequence[Label]]:
        """Return the labels of outputs by label, in order."""

    @abstractmethod
    def runs(self, inputs: Mapping[str, Any], constants: Constants, exact: bool) -> Iterator[Run]:
        """Yield the model as it is to be run, with its bounds; ``exact``: the reference is in double precision."""

    def whole_run(self, inputs: Mapping[str, Any], constants: Constants) -> Run:
        """Return the model as it is meant to run, with measured bounds, of few runs since sharper ones are at hand."""
        return self.single, partial(measured_bounds, self.double, inputs, unit=None, constants=constants, runs=FEW)

    @abstractmethod
    def values(self, run: Model, inputs: Mapping[str, Any], names: Sequence[str]) -> dict[str, Doubles]:
        """Return the outputs of a run as the last layers leave them."""


class NetworkSubject(Subject):
    """A neural network, with bounds by rules, or measured ones where those show nothing."""

    def __init__(self, double: Model) -> None:
        super().__init__(double)
        self.single = double.with_precision("float32")

    def compressed(self) -> bool:
        """Return whether weights have fewer bits than single precision."""
        return any(0 < weight_encoding(weights).bits < 32 for _, weights in weight_fields(self.double.spec))

    def labels(self, inputs: Mapping[str, Any]) -> Mapping[str, Sequence[Label]]:
        """Return those that the interface knows."""
        layered = self.double.prepare().layered
        if layered is None:
            return {}
        return {feature.name: layered.interface.source_of(feature)[1] for feature in self.double.outputs}

    def runs(self, inputs: Mapping[str, Any], constants: Constants, exact: bool) -> Iterator[Run]:
        """Yield the network in double and in single precision."""
        if exact:
            yield self.double, partial(self._bounds, inputs, constants, UNIT64, UNIT64)
        yield self.single, partial(self._bounds, inputs, constants, UNIT32 if exact else 2 * UNIT32, None)

    def _bounds(
        self, inputs: Mapping[str, Any], constants: Constants, unit: float, moved: float | None
    ) -> dict[str, BlobBound]:
        """Return proven bounds, and measured ones of outputs for which those are too wide: deep networks.

        Where anything is decided, such as an order, the proven ones stand: they know what rounding may exchange.
        """
        found = blob_bounds(self.double, inputs, unit=unit, constants=constants)
        outputs = {name: found[name] for name in output_values(self.double) if name in found}
        wide = any(map(_is_too_wide, outputs.values()))
        if wide and not any(map(noise.decides, walk(layered(self.double).network.steps))):
            with contextlib.suppress(Undetermined):  # the proven ones stand
                measured = measured_bounds(self.double, inputs, unit=moved, constants=constants)
                found.update((name, measured[name]) for name, bound in outputs.items() if _is_too_wide(bound))
        return found

    def values(self, run: Model, inputs: Mapping[str, Any], names: Sequence[str]) -> dict[str, Doubles]:
        """Return the blobs."""
        blobs: dict[str, Doubles] = {}
        for layer in run.trace(inputs):
            blobs.update({name: np.array(value, np.float64) for name, value in layer.outputs.items() if name in names})
        return blobs


def _is_too_wide(bound: BlobBound) -> bool:
    """Return whether all numbers have bounds, and any is wider than counts as agreement."""
    size = np.abs(bound.value).max(initial=0.0, where=np.isfinite(bound.value))
    return bool(np.isfinite(bound.radius).all() and (bound.radius > WIDEST * size).any())


class ProgramSubject(Subject):
    """An ML Program, with bounds by rounding at random."""

    def __init__(self, double: Model) -> None:
        super().__init__(double)
        self.single = double.with_precision("declared")
        self._made: tuple[Mapping[str, Any], dict[str, Any]] | None = None

    @cached_property
    def _halves(self) -> list[Doubles]:
        return [array.astype(np.float64) for array in half_constants(self.double)]

    def given(self, inputs: Mapping[str, Any], checked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return arrays as the program takes them: an input of half precision is rounded."""
        pictures = {feature.name for feature in self.double.inputs if isinstance(feature, ImageFeature)}
        return {name: given if name in pictures else checked[name] for name, given in inputs.items()}

    def adapt(self, source: Source) -> None:
        """Round parameters that the program stores in half precision."""
        source.round_parameters(self._halves)

    def widest(self, constants: Constants) -> float:
        """Return more if weights of half precision are none of the source's."""
        return WIDEST_HALF if any(half_radius(array, constants).any() for array in self._halves) else WIDEST

    def compressed(self) -> bool:
        """Return whether operations make constants of others (``constexpr_...``)."""
        return has_compressed_constants(self.double)

    def labels(self, inputs: Mapping[str, Any]) -> Mapping[str, Sequence[Label]]:
        """Return those that `classify` gives."""
        return labels_of(self._results(inputs))

    def _results(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the results of the program as it is meant to run, which runs once."""
        if self._made is None or self._made[0] is not inputs:
            self._made = inputs, program_results(self.single, inputs)
        return self._made[1]

    def runs(self, inputs: Mapping[str, Any], constants: Constants, exact: bool) -> Iterator[Run]:
        """Yield the program in double precision and in what it declares."""
        bounds = partial(measured_bounds, self.double, inputs, constants=constants)
        if exact:
            yield self.double, partial(bounds, unit=UNIT64)
        yield self.single, partial(bounds, unit=None)

    def values(self, run: Model, inputs: Mapping[str, Any], names: Sequence[str]) -> dict[str, Doubles]:
        """Return the results of the function."""
        found = self._results(inputs) if run is self.single else program_results(run, inputs)
        return {name: np.asarray(getattr(found[name], "array", found[name]), np.float64) for name in names}
