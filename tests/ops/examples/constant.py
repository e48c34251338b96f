"""Numbers that are known before any input."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

EXAMPLES = [
    Example(ops.Constant(integers((3, 2, 5))), ()),
    Example(ops.Constant(np.array(7, np.int32)), ()),
    Example(ops.Constant(np.array([True, False])), ()),
]
