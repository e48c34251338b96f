"""Torch modules as references: what they compute, in double precision, operator by operator."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from refcoreml.oracle.balls import Doubles
from refcoreml.testing.extras import torch
from refcoreml.testing.rounding import UNIT64, Constants

__all__ = [
    "Parameter",
    "Recorded",
    "Result",
    "Source",
    "TorchSource",
    "in_double",
    "record_torch",
    "round_parameters",
    "run_torch",
    "source_constants",
]


def source_constants(module: Any) -> Constants:
    """Return how far the constants of a converted network may be from the parameters of its source (see `Constants`).

    A bias that a batch norm was folded into is (b - mean) * f + beta, f = weight / sqrt(variance + eps): its terms are
    below 2 * P * F + P, P the largest parameter, F the largest f.
    """
    tensors = [t.detach().double().reshape(-1).numpy() for t in module.state_dict().values() if t.is_floating_point()]
    known: Doubles = np.unique(np.concatenate([np.zeros(1), *tensors]))
    largest, factor = float(np.abs(known).max()), 1.0
    for part in module.modules():
        variance = getattr(part, "running_var", None)
        if variance is not None:
            weight = getattr(part, "weight", None)
            epsilon = getattr(part, "eps", 0.0)  # exported modules have none
            scale: Any = (weight.detach().abs().max() if weight is not None else 1.0) / (
                variance.min() + epsilon
            ) ** 0.5
            factor = max(factor, float(scale))
    return Constants(known, terms=2 * largest * factor + largest)


def in_double(module: Any, inputs: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
    """Copy of the module and its inputs in double precision."""
    arguments = tuple(x.detach().clone() for x in inputs)
    return copy.deepcopy(module).double().eval(), tuple(x.double() if x.is_floating_point() else x for x in arguments)


def round_parameters(module: Any, stored: Sequence[Doubles]) -> None:
    """Round those parameters of a module to half precision whose numbers are then among those of stored arrays."""
    known = np.unique(np.concatenate([np.zeros(1), *(array.reshape(-1) for array in stored)]))
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                rounded = tensor.half().double()
                if np.isin(rounded.cpu().numpy(), known).all():
                    tensor.copy_(rounded)


@dataclass(frozen=True)
class Result:
    """An argument that is another value of the reference: which of the recorded ones."""

    place: int


@dataclass(frozen=True)
class Parameter:
    """An argument that does not depend on the inputs; its name is empty if it is no parameter of the module."""

    name: str
    values: Doubles


@dataclass(frozen=True)
class Recorded:
    """A value inside a reference.

    Attributes:
        name: the operator that computed it.
        values: a copy, since operators may change their arguments in place.
        computed: whether it depends on the inputs, unlike a transposed weight.
        arguments: what the operator was given: each a `Result`, a `Parameter`, or no tensor.
    """

    name: str
    values: Doubles
    computed: bool = True
    arguments: Sequence[object] = ()


class Source(Protocol):
    """What a model was converted from, with its arguments, in double precision: it can be looked into."""

    @property
    def unit(self) -> float:
        """How far a computation in double precision may be off, relative to a result."""

    def outputs(self) -> Any:
        """Return what it returns."""

    def record(self) -> list[Recorded]:
        """Return all values that it computes, in order."""

    def constants(self) -> Constants:
        """Return how far the constants of a converted network may be from its parameters."""

    def round_parameters(self, stored: Sequence[Doubles]) -> None:
        """Round those parameters to half precision whose numbers are then among those of stored arrays."""


@dataclass(frozen=True)
class TorchSource:
    """A torch module in double precision, and its arguments."""

    module: Any
    arguments: Sequence[Any]
    unit: float = UNIT64

    def outputs(self) -> Any:
        """Return what the module returns; see `run_torch`."""
        return run_torch(self.module, self.arguments)

    def record(self) -> list[Recorded]:
        """Return the results of its operators; see `record_torch`."""
        return record_torch(self.module, self.arguments)

    def constants(self) -> Constants:
        """Return what `source_constants` does."""
        return source_constants(self.module)

    def round_parameters(self, stored: Sequence[Doubles]) -> None:
        """Round parameters; see `round_parameters`."""
        round_parameters(self.module, stored)


def run_torch(module: Any, inputs: Sequence[Any]) -> Any:
    """Return what a module returns. Neither it nor its inputs change, even if it works in place."""
    with torch.no_grad():
        return copy.deepcopy(module)(*_clones(inputs))


def _clones(inputs: Sequence[Any]) -> list[Any]:
    return [value.detach().clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value) for value in inputs]


def record_torch(module: Any, inputs: Sequence[Any]) -> list[Recorded]:
    """Return the results of all operators that a module runs, in order; see `run_torch`."""
    from torch.utils._python_dispatch import TorchDispatchMode

    found: list[Recorded] = []
    given = _clones(inputs)
    # By identity, which is unique as long as the tensors are kept.
    computed = {id(value): value for value in given}
    places: dict[int, int] = {}
    used = copy.deepcopy(module)
    names = {value.untyped_storage().data_ptr(): name for name, value in used.state_dict().items()}

    def argument(value: Any) -> object:
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) in computed:
            return Result(places.get(id(value), -1))
        if not value.is_floating_point():
            return None
        return Parameter(names.get(value.untyped_storage().data_ptr(), ""), value.detach().cpu().double().numpy())

    mode: Any = TorchDispatchMode

    class Recorder(mode):  # type: ignore[misc]
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            depends = any(id(value) in computed for value in _tensors((args, kwargs)))
            arguments = tuple(map(argument, args)) if not kwargs else ()
            result = function(*args, **(kwargs or {}))
            results = list(_tensors(result))
            if depends:
                computed.update({id(value): value for value in results})
            if function._schema.is_mutable:  # what it wrote through a view has changed in other tensors, too
                stores = {value.untyped_storage().data_ptr() for value in results}
                owners = [value for value in computed.values() if value.untyped_storage().data_ptr() in stores]
                results += [value for value in owners if all(value is not other for other in results)]
            for value in results:
                values = np.array(value.detach().cpu().double().numpy())
                places[id(value)] = len(found)
                found.append(Recorded(str(function), values, id(value) in computed, arguments))
            return result

    recorder: Any = Recorder
    with torch.no_grad(), recorder():
        used(*given)
    return found


def _tensors(value: Any) -> Iterator[Any]:
    """Yield all tensors within lists, tuples and dictionaries."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)
