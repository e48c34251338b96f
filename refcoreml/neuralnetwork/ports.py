"""Ports: how each kind of feature enters a network as a blob and leaves it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from refcoreml.errors import InputError, InvalidModelError, UnsupportedModelError
from refcoreml.features import (
    ArrayFeature,
    DoubleFeature,
    Feature,
    ImageFeature,
    Int64Feature,
    StateFeature,
    convert,
    elements,
    rank5_shape,
)
from refcoreml.neuralnetwork.preprocessing import Preprocessing
from refcoreml.neuralnetwork.registry import MAX_RANK
from refcoreml.types import Array, Shape, without_ones

__all__ = ["ArrayPort", "ImagePort", "Layout", "NumberPort", "Port", "input_port", "output_port"]

F = TypeVar("F", bound=Feature)


@dataclass(frozen=True)
class Layout:
    """How the blobs of a network look.

    Attributes:
        rank5: whether all blobs are static ``[Seq, Batch, C, H, W]``.
        image_rank: the dimensions of an image: 4 or 5.
        dtype: the type of the numbers.
    """

    rank5: bool
    image_rank: int
    dtype: type[np.floating[Any]]


class Port(ABC, Generic[F]):
    """How one feature becomes a blob, or a blob the feature.

    Attributes:
        feature: the feature.
        preprocessing: what happens to the pixels of an image, step by step.
    """

    preprocessing: Sequence[Preprocessing] = ()

    def __init__(self, feature: F, layout: Layout) -> None:
        self.feature, self._layout = feature, layout

    @property
    @abstractmethod
    def default_shape(self) -> Shape | None:
        """The shape of the blob for a value of the declared default shape; None if the model does not declare one."""

    @property
    def is_open(self) -> bool:
        """Whether an input may have other shapes than the default one, which then need not be one that fits."""
        return bool(self.feature.shapes.ranges)

    def check_declared(self) -> None:
        """Raise `InvalidModelError` for an input whose declaration no blob can have."""
        return

    @abstractmethod
    def to_blob(self, value: Any) -> Array:
        """Return the blob of a checked value."""

    def absent(self, batch: int) -> Array:
        """Return the blob of an absent optional input: zeros, in rank-5 networks with the Batch of the others."""
        shape = self.default_shape
        if shape is None:
            raise self._unknown()
        return np.zeros((shape[0], batch, *shape[2:]) if self._layout.rank5 else shape, self._layout.dtype)

    def _unknown(self) -> InputError:
        return self.feature.refuse("is absent, and refcoreml does not know what stands for it", "Pass a value")

    @abstractmethod
    def from_blob(self, blob: Array) -> Array:
        """Return the output that a blob becomes, in its shape; see `Interface.from_blobs`."""

    def explains(self, shape: Shape) -> bool:
        """Return whether the declaration of an output gives the lengths of its blob, see `Interface.check_outputs`."""
        return True


class NumberPort(Port[Int64Feature | DoubleFeature]):
    """A number: the only element of a blob."""

    @property
    def default_shape(self) -> Shape:
        return (1,) * 5 if self._layout.rank5 else (1,)

    def to_blob(self, value: Any) -> Array:
        array: Array = convert(np.asarray(value), self._layout.dtype, self.feature.refuse)
        return array.reshape(self.default_shape)

    def from_blob(self, blob: Array) -> Array:
        return np.atleast_1d(blob)


class ImagePort(Port[ImageFeature]):
    """An image: [C, H, W] as the last dimensions of a blob, all others being 1."""

    def __init__(self, feature: ImageFeature, layout: Layout) -> None:
        super().__init__(feature, layout)
        self.preprocessing: list[Preprocessing] = []

    @property
    def default_shape(self) -> Shape | None:
        shape = self.feature.default_shape
        return None if shape is None else self._ones + shape

    @property
    def _ones(self) -> Shape:
        return (1,) * (self._layout.image_rank - 3)

    def to_blob(self, value: Any) -> Array:
        image: Array = np.asarray(value, self._layout.dtype)
        with np.errstate(all="ignore"):  # as in layers, numbers beyond the range become infinite
            for step in self.preprocessing:
                image = step.apply(image, self.feature)
        return image.reshape(self._ones + image.shape)

    def absent(self, batch: int) -> Array:
        raise self._unknown()

    def from_blob(self, blob: Array) -> Array:
        if blob.ndim < 3 or math.prod(blob.shape[:-3]) != 1:
            raise InvalidModelError(
                f"blob of shape {blob.shape} is not one image",
                where=f"output {self.feature.name!r}, {self.feature.describe()}",
            )
        return blob.reshape(blob.shape[-3:])


class ArrayPort(Port[ArrayFeature]):
    """An array: in N-D networks the blob itself, in rank-5 networks see `features.rank5_shape`."""

    def check_declared(self) -> None:
        where = f"input {self.feature.name!r}, {self.feature.describe()}"
        shapes = self.feature.shapes
        ranks = {len(shape) for shape in (shapes.default, *shapes.listed) if shape is not None}
        if max((*ranks, len(shapes.ranges))) > MAX_RANK:
            raise InvalidModelError(f"a blob has at most {MAX_RANK} dimensions", where=where)
        if self._layout.rank5 and not ranks <= {1, 3}:
            raise InvalidModelError(
                "an array input of a network with rank-5 blobs must have 1 or 3 dimensions",
                where=where,
                remedy="Networks of specification version 4 and later may use EXACT_ARRAY_MAPPING",
            )

    @property
    def default_shape(self) -> Shape | None:
        shape = self.feature.default_shape
        return rank5_shape(self.feature.shapes, shape) if shape is not None and self._layout.rank5 else shape

    @property
    def is_open(self) -> bool:
        return self._layout.rank5 or super().is_open  # in rank 5 it may have the dimensions Seq and Batch

    def to_blob(self, value: Any) -> Array:
        array: Array = convert(np.asarray(value), self._layout.dtype, self.feature.refuse)
        if not self._layout.rank5:
            if array.ndim > MAX_RANK:
                problem = f"shape {array.shape} has {array.ndim} dimensions, a blob at most {MAX_RANK}"
                raise self.feature.refuse(problem)
            return array
        shape = rank5_shape(self.feature.shapes, array.shape)
        if shape is None:
            raise self.feature.refuse(f"shape {array.shape} cannot become [Seq, Batch, C, H, W]")
        return array.reshape(shape)

    def from_blob(self, blob: Array) -> Array:
        if self._layout.rank5:
            return blob.reshape(self._legacy_shape(blob.shape))
        declared = self.feature.shapes.default
        same = declared is not None and without_ones(declared) == without_ones(blob.shape)
        return blob.reshape(declared) if declared is not None and same else np.atleast_1d(blob)

    def _legacy_shape(self, shape: Shape) -> Shape:
        """Return the shape in which a rank-5 blob is returned."""
        declared = self.feature.shapes.default
        if declared is not None and elements(declared, math.prod(shape)) == math.prod(shape):
            return declared
        if shape[:2] != (1, 1):
            return shape
        return shape[2:3] if shape[3:] == (1, 1) else shape[2:]

    def explains(self, shape: Shape) -> bool:
        """Return whether the declaration gives all lengths of a blob but those of 1, and in rank 5 Seq and Batch."""
        shapes, rank5 = self.feature.shapes, self._layout.rank5
        if shapes.default is None or not shapes.problem(shape):
            return True
        if rank5 and elements(shapes.default, math.prod(shape)) == math.prod(shape):
            return True  # it is returned in the declared shape
        lengths = without_ones(shape[2:] if rank5 else shape)
        allowed = (shapes.default, *shapes.listed)
        if rank5 and shapes.ranges:
            allowed = (*allowed, *(part for part in (shape[2:], shape[2:3]) if not shapes.problem(part)))
        return lengths in map(without_ones, allowed)


#: The port of each kind of feature that a blob can be.
_PORTS: dict[type[Feature], type[Port[Any]]] = {
    ImageFeature: ImagePort,
    ArrayFeature: ArrayPort,
    Int64Feature: NumberPort,
    DoubleFeature: NumberPort,
}


def input_port(feature: Feature, layout: Layout) -> Port[Any]:
    """Return the port of an input.

    Raises:
        UnsupportedModelError: it is a state.
        InvalidModelError: it is of a kind that no blob can be, or declares what no blob can have.
    """
    where = f"input {feature.name!r}, {feature.describe()}"
    if isinstance(feature, StateFeature):
        raise UnsupportedModelError("networks with states cannot be run", where=where)
    if type(feature) not in _PORTS:
        raise InvalidModelError("a network's inputs must be images or arrays", where=where)
    port = _PORTS[type(feature)](feature, layout)
    port.check_declared()
    return port


def output_port(feature: Feature, layout: Layout) -> Port[Any]:
    """Return the port of an output; raise `InvalidModelError` for a kind that no blob can be."""
    if type(feature) not in _PORTS:
        where = f"output {feature.name!r}, {feature.describe()}"
        raise InvalidModelError("a network's outputs must be images or arrays", where=where)
    return _PORTS[type(feature)](feature, layout)
