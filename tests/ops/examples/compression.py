"""Compressed constants, quantized numbers."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

INT8, UINT8 = np.dtype(np.int8), np.dtype(np.uint8)
CODES, BYTES = integers((4, 6, 5), 1, -128, 128).astype(INT8), integers((4, 6, 5), 2, 0, 256).astype(UINT8)
#: With scales of few bits all products are exact.
SCALES, ZEROS = integers((6,), 3, -9, 9) / 4, integers((6,), 4, -128, 128).astype(INT8)
MASK = integers((4, 6, 5), 5, 0, 2).astype(UINT8)
KEPT = int(MASK.sum())
GROUPS = [(1, 1, 1), (4, 6, 5), (2, 3, 1), (1, 2, 5), (4, 1, 1)]


def tables(groups: tuple[int, ...], entries: int, size: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return integers((*groups, entries, size), 6, -99, 99)


EXAMPLES = [
    *(Example(ops.Dequantize(), (x, np.array(0.75))) for x in (CODES, BYTES, CODES[0, 0, 0])),
    Example(ops.Dequantize(), (BYTES, np.array(-0.75), np.array(255, UINT8))),
    Example(ops.Dequantize(1), (CODES, SCALES)),
    Example(ops.Dequantize(-2), (CODES, SCALES, ZEROS)),
    Example(ops.Dequantize(1), (CODES, np.array(0.5), ZEROS)),
    Example(ops.Dequantize(1), (BYTES, SCALES, np.array(2.5))),
    Example(ops.Dequantize(0), (BYTES.reshape(-1), integers((120,), 7))),
    *(Example(ops.Quantize(dtype), (integers((3, 5), 8, -400, 400) / 4, np.array(0.5))) for dtype in (INT8, UINT8)),
    Example(ops.Quantize(INT8), (np.array(2.5), np.array(1.0), np.array(-3, INT8))),
    Example(ops.Quantize(INT8, 0), (integers((6, 7), 9, -400, 400), np.array([1.0, 2, 4, 0, -1, 8]), ZEROS)),
    Example(ops.Quantize(UINT8, -1), (np.array([[np.inf, -np.inf, np.nan, 0, 9]]), np.array([1.0, 1, 1, 0, 0]))),
    *(Example(ops.BlockwiseShiftScale(), (CODES, integers(groups, 10) / 8)) for groups in GROUPS),
    *(
        Example(
            ops.BlockwiseShiftScale(), (BYTES, integers(groups, 11) / 8, integers(groups, 12, 0, 256).astype(UINT8))
        )
        for groups in GROUPS
    ),
    Example(ops.BlockwiseShiftScale(), (integers((4, 6), 13), integers((2, 3), 14), integers((2, 3), 15) / 2)),
    *(Example(ops.LutToDense(), (BYTES % 4, tables(groups, 4))) for groups in GROUPS),
    *(Example(ops.LutToDense(axis), (BYTES % 8, tables(groups, 8, 3))) for groups in GROUPS for axis in (0, 1, -1)),
    Example(ops.LutToDense(1), (BYTES % 2, tables((1, 3, 1), 2))),
    Example(ops.SparseToDense(), (integers((KEPT,), 16), MASK)),
    Example(ops.SparseToDense(), (integers((0,), 16), np.zeros((2, 3), bool))),
    *(
        Example(ops.LutToSparse(axis), (MASK, integers((KEPT,), 17, 0, 4).astype(UINT8), tables(groups, 4, size)))
        for groups in GROUPS
        for axis, size in [(None, 1), (1, 1), (0, 2), (1, 3), (-1, 2)]
    ),
    *(
        Example(ops.SparseBlockwiseShiftScale(), (MASK, CODES.reshape(-1)[:KEPT], integers(groups, 18) / 8, *offset))
        for groups in GROUPS
        for offset in [(), (integers(groups, 19, -128, 128).astype(INT8),)]
    ),
]
