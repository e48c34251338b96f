"""Tools for tests: is a converted model what its source is, and does refcoreml keep its own promises?

::

    from refcoreml.testing import assert_equivalent

    def test_conversion():
        assert_equivalent("Net.mlmodel", torch_module, {"x": x})

`networks` is a Hypothesis strategy for random Core ML networks, and `check_network` says what must hold for each; both
need the extra ``testing``, which is imported when they are first used.
"""

from __future__ import annotations

from refcoreml.testing.equivalence import Equivalence, EquivalenceError, UndeterminedError, assert_equivalent
from refcoreml.testing.rounding import BlobBound, Constants, blob_bounds
from refcoreml.testing.spec_grammar import SpecNetwork, check_network, networks

__all__ = [
    "BlobBound",
    "Constants",
    "Equivalence",
    "EquivalenceError",
    "SpecNetwork",
    "UndeterminedError",
    "assert_equivalent",
    "blob_bounds",
    "check_network",
    "networks",
]
