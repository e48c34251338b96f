"""The shapes that a feature allows, and what becomes of them under ``RANK5_ARRAY_MAPPING``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from refcoreml.errors import InvalidModelError
from refcoreml.spec import schema
from refcoreml.types import Shape

__all__ = ["Shapes", "checked_shapes", "elements", "rank5_shape", "size_range", "span", "times"]


#: The most dimensions of an array, as in all versions of NumPy.
MOST_DIMENSIONS = 32


@dataclass(frozen=True)
class Shapes:
    """The shapes that a feature allows: of an array as it is, of an image (width, height).

    Attributes:
        default: the declared or implied default; None if the model declares nothing, so that every shape will do.
        listed: the enumerated shapes, if the feature enumerates them.
        ranges: minimum and maximum length of each dimension, None for no upper limit, if the feature gives ranges.
    """

    default: Shape | None = None
    listed: tuple[Shape, ...] = ()
    ranges: tuple[tuple[int, int | None], ...] = ()

    def problem(self, shape: Shape, noun: str = "MultiArray Shape") -> str:
        """Return why the shape is not allowed, in the words of Core ML where they are known; empty if it is allowed."""
        if self.listed:
            if shape in self.listed:
                return ""
            return f"{noun} ({times(shape)}) was not in enumerated set of allowed shapes: {self}"
        if self.ranges:
            if len(shape) != len(self.ranges):
                return f"{noun} ({times(shape)}) has {len(shape)} dimensions, expected {len(self.ranges)}: {self}"
            for axis, (size, (least, most)) in enumerate(zip(shape, self.ranges, strict=True)):
                if size < least or (most is not None and size > most):
                    return f"Size ({size}) of dimension ({axis}) is not in allowed range ({span(least, most)})"
            return ""
        if self.default is None or shape == self.default:
            return ""
        return f"{noun} ({times(shape)}) does not match the shape ({self}) specified in the model description"

    def __str__(self) -> str:
        if self.listed:
            return " | ".join(map(times, self.listed))
        if self.ranges:
            return " x ".join(span(least, most) for least, most in self.ranges)
        return times(self.default or ())


def elements(shape: Shape, most: int) -> int:
    """Return the number of elements, or a number above ``most`` if there are more: a file may state any lengths.

    The product of a hundred thousand large lengths would take minutes.
    """
    if 0 in shape:
        return 0
    count = 1
    for length in shape:
        count *= length
        if count > most:
            break
    return count


def times(shape: Iterable[int]) -> str:
    """Return a shape in short: ``2 x 3``."""
    return " x ".join(map(str, shape))


def span(least: int, most: int | None) -> str:
    """Return a range in short: ``1..5``, ``1..``, or ``3``."""
    return str(least) if least == most else f"{least}..{'' if most is None else most}"


def size_range(message: schema.SizeRange, where: str) -> tuple[int, int | None]:
    """Return the bounds of a range; an upper bound of 0, which would allow nothing, is unset: no limit."""
    least, most = message.lowerBound, message.upperBound
    if 0 < most < least:
        raise InvalidModelError(f"size range ({least}, {most}) is empty", where=where)
    return least, most if most > 0 else None


def checked_shapes(shapes: Shapes, where: str) -> Shapes:
    """Return the shapes; raise `InvalidModelError` for a negative size, too many, or a default that is not allowed."""
    most = max(map(len, (shapes.default or (), shapes.ranges, *shapes.listed)))
    if most > MOST_DIMENSIONS:
        raise InvalidModelError(f"a shape has {most} dimensions, expected at most {MOST_DIMENSIONS}", where=where)
    for shape in filter(None, (shapes.default, *shapes.listed)):
        if any(size < 0 for size in shape):
            raise InvalidModelError(f"shape ({times(shape)}) has a negative size", where=where)
    if shapes.default is not None and shapes.problem(shapes.default):
        raise InvalidModelError(f"the default shape is not allowed: {shapes.problem(shapes.default)}", where=where)
    return shapes


def rank5_shape(shapes: Shapes, shape: Shape) -> Shape | None:
    """Return the blob [Seq, Batch, C, H, W] that an array becomes by ``RANK5_ARRAY_MAPPING``; None if not allowed.

    =========== =============== ===============
    declared    given           blob
    =========== =============== ===============
    [C]         [C]             [1, 1, C, 1, 1]
    [C]         [S, B, C]       [S, B, C, 1, 1]
    [C]         [S, B, C, 1, 1] [S, B, C, 1, 1]
    [C, H, W]   [C, H, W]       [1, 1, C, H, W]
    [C, H, W]   [S, B, C, H, W] [S, B, C, H, W]
    =========== =============== ===============

    Without a declared shape, three dimensions are [C, H, W].

    Source: NeuralNetworkMultiArrayShapeMapping; that three dimensions mean (Seq, Batch, C) where one is declared:
    apple/coremltools#303, #164; that there are 1, 3 or 5 dimensions: apple/coremltools#329.
    """
    if len(shape) == 5:
        image, vector = shape[2:], shape[2:3]
        fits = not shapes.problem(image) or (shape[3:] == (1, 1) and not shapes.problem(vector))
        return shape if fits else None
    if len(shape) not in (1, 3):
        return None
    if not shapes.problem(shape):
        return (1, 1, *shape) if len(shape) == 3 else (1, 1, *shape, 1, 1)
    if len(shape) == 3 and not shapes.problem(shape[2:]):
        return (*shape, 1, 1)
    return None
