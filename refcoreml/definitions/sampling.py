"""Images read at positions that are given. Positions are exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from refcoreml.types import Array

HALF = Fraction(1, 2)


def position(x: Fraction, length: int, coordinates: str, align_corners: bool) -> Fraction:
    """p = where a coordinate x lies along an axis of so many pixels L.

    PIXELS: x. ZERO_TO_ONE: x L - 1/2, or x (L - 1) with aligned corners. MINUS_ONE_TO_ONE: the same of (x + 1) / 2.
    """
    if coordinates == "PIXELS":
        return x
    if coordinates == "MINUS_ONE_TO_ONE":
        x = (x + 1) / 2
    return x * (length - 1) if align_corners else x * length - HALF


def padded(p: Fraction, length: int, padding: str) -> Fraction:
    """q = the place within an axis of L pixels that stands for p, which itself does for CONSTANT.

    EDGE: the nearest in [0, L - 1]. REFLECTION: the mirror image, with mirrors at 0 and L - 1. SYMMETRIC: with mirrors
    at -1/2 and L - 1/2, and of that the nearest in [0, L - 1].
    """
    low, high = (-HALF, length - HALF) if padding == "SYMMETRIC" else (Fraction(0), Fraction(length - 1))
    if padding in ("SYMMETRIC", "REFLECTION"):
        span = high - low
        rest = (p - low) % (2 * span) if span else Fraction(0)
        p = low + min(rest, 2 * span - rest)
    return p if padding == "CONSTANT" else min(max(p, Fraction(0)), Fraction(length - 1))


def neighbours(p: Fraction, nearest: bool) -> list[tuple[int, float]]:
    """w = the weights of the pixels floor(p) and floor(p) + 1, or 1 of the nearest, halves to even; none of 0."""
    k, w = (round(p), Fraction(0)) if nearest else divmod(p, 1)
    return [(pixel, float(weight)) for pixel, weight in ((k, 1 - w), (k + 1, w)) if weight]


def resample(
    x: Array, coordinates: Array, kind: str, align_corners: bool, padding: str, value: float, nearest: bool
) -> Array:
    """y[b, c, i, j] = sum over (r, u) and (s, v) of u v x[b, c, r, s], the value in the place of pixels that x lacks.

    (r, u) are `neighbours` of the position that coordinates[b, i, j, 1] means, (s, v) those of coordinates[b, i, j, 0].
    x [B, C, H, W]; coordinates [B, H', W', 2], columns first.
    """
    (_, channels, *extent), (batch, height, width, _) = x.shape, coordinates.shape
    y = np.empty((batch, channels, height, width))
    for b, i, j in np.ndindex(batch, height, width):
        found = [
            position(Fraction(coordinate), length, kind, align_corners)
            for coordinate, length in zip(coordinates[b, i, j, ::-1], extent, strict=True)
        ]
        rows, columns = (
            neighbours(padded(p, length, padding), nearest) for p, length in zip(found, extent, strict=True)
        )
        total = np.zeros(channels)
        for (r, u), (s, v) in [(row, column) for row in rows for column in columns]:
            inside = 0 <= r < extent[0] and 0 <= s < extent[1]
            total += u * v * (x[b, :, r, s] if inside else value)
        y[b, :, i, j] = total
    return y


def warp_affine(x: Array, matrix: Array, size: tuple[int, int], align_corners: bool, value: float) -> Array:
    """y[b, c, i, j] = x[b, c] read at (a_0 s + a_1 t + a_2, a_3 s + a_4 t + a_5), (s, t) the coordinates of (j, i).

    Coordinates run from -1 to 1, columns first: with aligned corners s = 2 j / (W' - 1) - 1, or 0 for W' = 1, else s =
    (2 j + 1) / W' - 1. x [B, C, H, W]; matrix [B, 6] or [1, 6]; beyond the edges x is the value, see `resample`.
    """

    def coordinate(i: int, length: int) -> Fraction:
        if not align_corners:
            return Fraction(2 * i + 1, length) - 1
        return Fraction(2 * i, length - 1) - 1 if length > 1 else Fraction(0)

    points = np.empty((len(x), *size, 2), object)
    for b, i, j in np.ndindex(*points.shape[:3]):
        a = [Fraction(float(number)) for number in matrix[b % len(matrix)]]
        s, t = coordinate(j, size[1]), coordinate(i, size[0])
        points[b, i, j] = a[0] * s + a[1] * t + a[2], a[3] * s + a[4] * t + a[5]
    return resample(x, points, "MINUS_ONE_TO_ONE", align_corners, "CONSTANT", value, False)
