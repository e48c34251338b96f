"""Attention."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

OP = ops.ScaledDotProductAttention()
#: Values are positive, so that a sum of their products with weights is as large as its terms together. With widths of
#: 4 and 1, scores are exact.
QUERY, KEY, VALUE = integers((2, 3, 5, 4), 1), integers((2, 3, 7, 4), 2), integers((2, 3, 7, 6), 3, 1, 9)
FLAGS, NUMBERS = integers((3, 5, 7), 4, -1, 3) > 0, integers((5, 7), 5)
FLAGS[..., 3] = True


def roundings(keys: int) -> int:
    """The roundings of a weight: the difference, the function, the sum and the quotient; of the product, of the sum.

    The other result of the function goes into the sum.
    """
    return 1 + 2 * 4 + keys + 1 + 1 + keys


EXAMPLES = [
    Example(OP, (QUERY, KEY, VALUE), roundings(7)),
    Example(OP, (QUERY, KEY, VALUE, FLAGS), roundings(7)),
    Example(OP, (QUERY, KEY, VALUE, NUMBERS), roundings(7)),
    Example(OP, (QUERY, KEY, VALUE, np.array(-3.0)), roundings(7)),
    Example(OP, (integers((2, 1, 1)), integers((2, 3, 1)), integers((2, 3, 4), 3, 1, 9)), roundings(3)),
    Example(OP, (100 * QUERY[0], 100 * KEY[0], VALUE[0], FLAGS[:, :1]), roundings(7)),
]
