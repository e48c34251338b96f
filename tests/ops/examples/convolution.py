"""Convolution and deconvolution."""

from __future__ import annotations

from ops.examples.example import Example
from support import integers

from refcoreml import ops
from refcoreml.ops.convolution import Pixels, Same

X = integers((2, 6, 9, 8), 1)
BIAS = integers((4,), 3)
LINE, VOLUME = integers((2, 6, 9), 5), integers((2, 6, 5, 4, 7), 6)
EDGES = Pixels(((1, 2), (0, 3)))

EXAMPLES = [
    *(
        Example(
            ops.Convolution(integers((4, 6 // groups, 3, 2), 2), bias, stride, dilation, groups, padding=padding), (X,)
        )
        for bias, stride, dilation, groups, padding in [
            (None, (1, 1), (1, 1), 1, Pixels(((0, 0), (0, 0)))),
            (BIAS, (2, 3), (1, 1), 1, EDGES),
            (BIAS, (1, 2), (3, 2), 2, EDGES),
            (BIAS, (2, 1), (1, 2), 1, Same()),
            (BIAS, (3, 2), (2, 1), 2, Same(heavy_begin=True)),
        ]
    ),
    Example(ops.Convolution(integers((6, 1, 2, 3), 2), None, (2, 1), (1, 1), 6, padding=EDGES), (X,)),
    Example(ops.Convolution(integers((3, 40, 3, 2), 2), integers((3,), 4), padding=EDGES), (integers((2, 40, 5, 7)),)),
    Example(ops.Convolution(None, BIAS, (1, 2), padding=Same()), (X, integers((4, 6, 2, 3), 2))),
    Example(ops.Convolution(None, None, (2,), (1,), 2, padding=Same()), (LINE, integers((4, 3, 5), 2), BIAS)),
    Example(ops.Convolution(None, None, (1, 2, 1), (1, 1, 1)), (VOLUME, integers((4, 6, 2, 1, 3), 2))),
    Example(ops.Deconvolution(None, None, (2, 3), groups=2), (X, integers((6, 2, 3, 2), 2), BIAS)),
    Example(ops.Deconvolution(None, BIAS, (2,), (3,), crop=Pixels(((1, 2),))), (LINE, integers((6, 4, 3), 2))),
    *(
        Example(
            ops.Deconvolution(integers((6, 4, 3, 2), 2), BIAS, (2, 3), crop=crop, output_shape=made, keep_begin=True),
            (X,),
        )
        for crop, made in [
            (Pixels(((1, 0), (2, 1))), (18, 20)),
            (Pixels(((1, 1), (0, 0))), (17, 24)),
            (Pixels(((2, 1), (1, 2))), (20, 26)),
            (None, (17, 22)),
            (Same(), (18, 24)),
        ]
    ),
    *(
        Example(
            ops.Deconvolution(integers((6, 4 // groups, 3, 2), 2), bias, stride, dilation, groups, crop, output_shape),
            (X,),
        )
        for bias, stride, dilation, groups, crop, output_shape in [
            (None, (1, 1), (1, 1), 1, Pixels(((0, 0), (0, 0))), None),
            (BIAS, (2, 3), (1, 1), 1, Pixels(((1, 0), (2, 1))), None),
            (BIAS, (3, 4), (1, 2), 2, Same(), None),
            (BIAS, (2, 3), (2, 1), 1, Same(heavy_begin=True), None),
            (BIAS, (2, 3), (1, 1), 2, Pixels(((0, 0), (0, 0))), (18, 23)),
            (BIAS, (2, 4), (1, 1), 1, Pixels(((0, -1), (-2, 0))), None),
        ]
    ),
    *(
        Example(
            ops.Convolution(integers((4, 6 // groups, *kernel), 2), bias, stride, dilation, groups, padding=padding),
            (x,),
        )
        for x, kernel, bias, stride, dilation, groups, padding in [
            (LINE, (3,), None, (2,), (1,), 1, Pixels(((1, 2),))),
            (LINE, (2,), BIAS, (3,), (2,), 2, Same()),
            (VOLUME, (2, 3, 1), BIAS, (1, 2, 3), (2, 1, 1), 2, Pixels(((0, 1), (2, 0), (1, 3)))),
            (VOLUME, (3, 2, 4), None, (2, 1, 1), (1, 3, 1), 1, Same()),
        ]
    ),
    *(
        Example(
            ops.Deconvolution(integers((6, 4 // groups, *kernel), 2), bias, stride, dilation, groups, crop, made), (x,)
        )
        for x, kernel, bias, stride, dilation, groups, crop, made in [
            (LINE, (3,), None, (2,), (1,), 1, Pixels(((1, 0),)), None),
            (LINE, (2,), BIAS, (3,), (2,), 2, Same(), (24,)),
            (VOLUME, (2, 3, 1), BIAS, (1, 2, 3), (2, 1, 1), 2, Pixels(((0, 1), (2, 0), (1, 0))), None),
            (VOLUME, (3, 2, 4), None, (2, 1, 1), (1, 3, 1), 1, Same(), None),
        ]
    ),
]
