"""Other shapes and orders."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

X = integers((2, 3, 5), 1)
SCALAR = np.array(7.0)
IMAGES = integers((3, 8, 2, 5), 2)
SEQUENCE = integers((4, 3, 2, 6, 5), 3)

EXAMPLES = [
    *(Example(ops.Reshape(target), (X,)) for target in [(5, 6), (-1,), (1, 3, -1, 2), (30, 1, 1)]),
    *(Example(ops.Reshape(target, zero_keeps=True), (X,)) for target in [(0, 5, 3), (3, -1, 0), (0, 0, 0)]),
    *(
        Example(ops.Reshape(target, zero_keeps=True, from_last=True), (X,))
        for target in [(0, -1, 3, 0), (6, 0), (-1, 0, 0), (0, 0, 0), (0, 0, 2, 0, 0)]
    ),
    Example(ops.Reshape(None, zero_keeps=True, from_last=True), (X, np.array([0, 2, 3, -1], np.int8))),
    *(Example(ops.Reshape(()), (x,)) for x in (SCALAR, np.array([[7.0]]))),
    Example(ops.Reshape((1, -1)), (SCALAR,)),
    Example(ops.Reshape(None), (X, np.array([3.9, -1.0]))),
    Example(ops.Reshape(None, zero_keeps=True), (X, np.array([0, -1, 15]))),
    Example(ops.ReshapeLike(), (X, integers((6, 5)))),
    Example(ops.ReshapeLike(), (SCALAR, integers((1, 1)))),
    *(Example(ops.Flatten2D(axis), (X,)) for axis in (0, 1, 2, 3, -1, -3)),
    Example(ops.Flatten2D(0), (SCALAR,)),
    *(Example(ops.ExpandDims(axes), (X,)) for axes in [(0,), (-1,), (3, 0), (-5, 1)]),
    Example(ops.ExpandDims((1, 0)), (SCALAR,)),
    *(Example(ops.Squeeze(axes), (X[None, :, None],)) for axes in [(0,), (-3,), (2, 0), None]),
    Example(ops.Squeeze((0, 1, 2), strict=False), (X[None, :, None],)),
    Example(ops.Squeeze((0,)), (np.array([7.0]),)),
    *(Example(ops.Transpose(axes), (X,)) for axes in [(0, 1, 2), (2, 0, 1), (1, 0, 2), (-1, 0, -2)]),
    Example(ops.Transpose(()), (SCALAR,)),
    *(Example(ops.FlattenImage(last), (x,)) for last in (False, True) for x in (IMAGES, IMAGES[0])),
    *(
        Example(ops.ReshapeSequence(target, last), (SEQUENCE,))
        for target in [(5, 3, 4), (2, 4, 6, 5)]
        for last in (False, True)
    ),
    Example(ops.SpaceToDepth(3), (integers((2, 6, 9), 4),)),
    Example(ops.SpaceToDepth(2), (integers((1, 3, 4, 6), 5),)),
    *(Example(operation(2), (IMAGES,)) for operation in (ops.DepthToSpace, ops.PixelShuffle)),
    Example(ops.PixelShuffle(2), (IMAGES[0],)),
    *(Example(ops.Identity(), (x,)) for x in (X, SCALAR)),
    Example(ops.ReshapeLike(((0, 2), (-1, None))), (X, integers((2, 3, 7)), integers((4, 5)))),
    Example(ops.ReshapeLike(((1, None), (3, 9), (0, -1))), (X, integers((7, 2, 3)), SCALAR, integers((5, 4)))),
    Example(ops.ReshapeLike(((0, 0),)), (SCALAR, X)),
    Example(ops.PixelUnshuffle(3), (integers((2, 6, 9), 4),)),
    Example(ops.PixelUnshuffle(2), (integers((1, 3, 4, 6), 5),)),
    *(Example(ops.SpaceToBatch(block), (integers((5, 3, 4, 6), 6),)) for block in [(1, 1), (2, 3), (4, 1)]),
    Example(ops.SpaceToBatch((2, 3), ((1, 0), (2, 1))), (integers((4, 2, 5, 3), 7),)),
    *(Example(ops.BatchToSpace(block), (integers((12, 3, 4, 5), 8),)) for block in [(1, 1), (2, 3), (4, 1)]),
    Example(ops.BatchToSpace((2, 3), ((1, 0), (2, 1))), (integers((12, 1, 4, 5), 9),)),
]
