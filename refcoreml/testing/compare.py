"""Compares outputs within bounds, and finds the first layer that diverges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcoreml.model import Model
from refcoreml.oracle.balls import Doubles
from refcoreml.testing._extras import torch
from refcoreml.testing.bounds import UNIT64, Constants, Undetermined, trace_bounds

__all__ = ["Difference", "Recorded", "compare_outputs", "first_divergence", "record_torch"]


@dataclass(frozen=True)
class Difference:
    """An output that is farther away than rounding explains.

    Attributes:
        name: the output.
        place: where it is worst.
        actual, expected: the values there.
        bound: what was allowed there.
        count, size: how many values are too far away, of how many.
    """

    name: str
    place: tuple[int, ...]
    actual: float
    expected: float
    bound: float
    count: int
    size: int
    shapes: str = ""

    @property
    def message(self) -> str:
        """All of it in a line."""
        if self.shapes:
            return f"output {self.name!r} {self.shapes}"
        return (
            f"output {self.name!r} at {list(self.place)} is {self.actual:.9g}, expected {self.expected:.9g}, off by "
            f"{abs(self.actual - self.expected):.3g}, allowed {self.bound:.3g} ({self.count} of {self.size} values)"
        )


def without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without its dimensions of 1."""
    return tuple(length for length in shape if length != 1)


def compare_outputs(
    names: Sequence[str], actual: Mapping[str, Any], expected: Sequence[Any], radii: Mapping[str, Doubles]
) -> tuple[Difference | None, float, float]:
    """The first output that differs; how wide the bounds are (relative to the greatest value); the part of them used.

    NaN equals NaN and an infinity itself, at the same places. Shapes may differ by dimensions of 1, since Core ML has
    no blobs of rank 0 and keeps some dimensions that torch drops.
    """
    width = part = 0.0
    for name, wanted in zip(names, expected, strict=True):
        wanted = np.asarray(wanted, np.float64)
        if name not in actual:
            return Difference(name, (), 0, 0, 0, 0, 0, "is missing"), width, part
        got = np.asarray(actual[name], np.float64)
        if without_ones(got.shape) != without_ones(wanted.shape):
            shapes = f"has the shape {got.shape}, expected {wanted.shape}"
            return Difference(name, (), 0, 0, 0, 0, 0, shapes), width, part
        got = got.reshape(wanted.shape)
        radius = np.broadcast_to(radii[name], np.shape(radii[name]) or wanted.shape).reshape(wanted.shape)
        with np.errstate(invalid="ignore"):
            off = np.where((got == wanted) | (np.isnan(got) & np.isnan(wanted)), 0.0, np.abs(got - wanted))
        off = np.where(np.isnan(off), np.inf, off)
        bad = off > radius
        if bad.any():
            with np.errstate(invalid="ignore", divide="ignore"):
                excess = np.where(bad, np.where(np.isfinite(off), off - radius, np.inf), -np.inf)
            place = np.unravel_index(int(excess.argmax()), excess.shape) if excess.ndim else ()
            found = Difference(
                name,
                tuple(map(int, place)),
                float(got[place]),
                float(wanted[place]),
                float(radius[place]),
                int(bad.sum()),
                bad.size,
            )
            return found, width, part
        finite = wanted[np.isfinite(wanted)]
        greatest = float(np.abs(finite).max(initial=0)) or 1.0
        width = max(width, float(radius.max(initial=0)) / greatest)
        with np.errstate(invalid="ignore", divide="ignore"):
            part = max(part, float(np.where(radius > 0, off / radius, 0.0).max(initial=0)))
    return None, width, part


#: Layers that only move what they get, so that they are as right as their inputs.
MOVES = {"expandDims", "squeeze", "reshapeStatic", "transpose", "copy", "flattenTo2D", "rankPreservingReshape"}


@dataclass(frozen=True)
class Recorded:
    """A value inside a reference, with the name of what made it."""

    name: str
    values: Doubles


def record_torch(module: Any, inputs: Sequence[Any]) -> list[Recorded]:
    """The results of all operators that a module runs, in order."""
    from torch.utils._python_dispatch import TorchDispatchMode

    found: list[Recorded] = []

    mode: Any = TorchDispatchMode

    class Recorder(mode):  # type: ignore[misc]
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            for value in result if isinstance(result, (tuple, list)) else (result,):
                if isinstance(value, torch.Tensor):
                    found.append(Recorded(str(function), np.asarray(value.detach().double().numpy())))
            return result

    recorder: Any = Recorder
    with torch.no_grad(), recorder():
        module(*inputs)
    return found


def first_divergence(
    model: Model, inputs: Mapping[str, Any], recorded: Sequence[Recorded], constants: Constants
) -> str:
    """Names the first layer whose output matches no value of the reference, while all of its inputs do.

    A blob matches a recorded value if both hold the same numbers in any order, within the blob's bound: layers may be
    stored transposed. Layers that a converter has made of one operator match nothing although they are right; so a
    layer counts only if nothing behind it matches either.
    """
    matches: dict[str, str] = dict.fromkeys(inputs, "input")
    layers: list[tuple[str, str, str, tuple[str, ...]]] = []
    plain: set[str] = set()
    by_size: dict[int, list[tuple[str, Doubles]]] = {}
    for item in recorded:
        by_size.setdefault(item.values.size, []).append((item.name, np.sort(item.values.reshape(-1))))
    try:
        for blob, bound, step in trace_bounds(model, inputs, unit=UNIT64, constants=constants):
            values, allowed = np.sort(bound.value.reshape(-1)), float(bound.radius.max(initial=0))
            for name, candidate in by_size.get(values.size, []):
                if np.array_equal(values, candidate) or bool((np.abs(values - candidate) <= allowed).all()):
                    matches[blob] = name
                    break
            else:
                matches.pop(blob, None)
            if np.isin(values, (0, 1)).all():
                plain.add(blob)
            if blob not in matches:
                if bound.kind.startswith("loadConstant"):
                    matches[blob] = "constant"
                elif bound.kind in MOVES and all(source in matches for source in step.inputs):
                    matches[blob] = f"{matches[step.inputs[0]]}, moved"
            layers.append((bound.layer, bound.kind, blob, step.inputs))
    except Undetermined:
        pass
    readers: dict[str, list[str]] = {}
    for _, _, blob, sources in layers:
        for source in sources:
            readers.setdefault(source, []).append(blob)
    # Blobs that are right, or that something right comes from. Ones and zeros may be right by chance.
    rejoins: set[str] = set()
    for _, _, blob, _ in reversed(layers):
        if (blob in matches and blob not in plain) or any(reader in rejoins for reader in readers.get(blob, [])):
            rejoins.add(blob)
    for layer, kind, blob, sources in layers:
        if sources and blob not in rejoins and blob not in matches and all(source in matches for source in sources):
            before = ", ".join(f"{source!r} = {matches[source]}" for source in sources)
            return f"first divergent layer: {layer!r} ({kind}), after {before}"
    for layer, kind, blob, sources in layers:
        if sources and blob not in rejoins and blob not in matches:
            return f"first divergent layer: {layer!r} ({kind}), whose inputs are not in the reference either"
    return "every blob has a counterpart in the reference: the outputs are exchanged, or rounded on the way out"
