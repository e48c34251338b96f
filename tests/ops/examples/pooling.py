"""Pooling."""

from __future__ import annotations

from ops.examples.example import Example
from support import integers

from refcoreml import ops
from refcoreml.ops.convolution import Pixels, Same
from refcoreml.ops.pooling import Complete

LINE, PLANES, VOLUMES = integers((2, 3, 19)), integers((2, 3, 7, 11)), integers((2, 3, 4, 5, 6))
ALL_MODES = [("max", False), ("average", False), ("average", True), ("l2", False)]

EXAMPLES = [
    # One rounding: of the quotient, or of the root.
    Example(ops.Pooling(mode, kernel, stride, padding, exclude), (x,), roundings=int(mode != "max"))
    for mode, exclude in ALL_MODES
    for x, kernel, stride, padding in [
        (LINE, (17,), None, None),
        (LINE, (3,), (2,), Complete((0,))),
        (PLANES, (2, 3), (3, 2), None),
        (PLANES, (4, 3), (1, 2), Pixels(((3, 2), (0, 2)))),
        (PLANES, (4, 3), (2, 3), Same()),
        (PLANES, (4, 3), (2, 3), Same(heavy_begin=True)),
        (PLANES, (2, 4), (4, 3), Complete((1, 0))),
        (PLANES, (2, 3), (3, 4), Complete((1, 0), each_axis=True)),
        (PLANES, (3, 2), (2, 3), Complete((1, 1), each_axis=True)),
        (PLANES, (None, None), None, None),
        (PLANES, (None, 2), (1, 3), None),
        (VOLUMES, (2, 3, 4), (1, 2, 3), Same()),
        (VOLUMES, (2, 3, 1), (1, 2, 3), Pixels(((0, 1), (2, 0), (0, 0)))),
        (VOLUMES, (None, None, None), None, None),
    ]
]
