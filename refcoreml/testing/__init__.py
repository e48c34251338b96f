"""Tools for tests: is a converted model what its source is, and does refcoreml keep its own promises?

::

    from refcoreml.testing import assert_equivalent

    def test_conversion():
        assert_equivalent("Net.mlmodel", torch_module, {"x": x})

`torch_networks` and `networks` are Hypothesis strategies for random networks; ``python -m refcoreml.testing`` runs
many. Everything here beyond `assert_equivalent` needs the extra ``testing`` and, for torch networks, ``oracles``;
packages are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refcoreml.testing.bounds import BlobBound, Constants, blob_bounds
from refcoreml.testing.equivalence import Equivalence, EquivalenceError, UndeterminedError, assert_equivalent

if TYPE_CHECKING:
    from refcoreml.testing.conversion import Outcome, check
    from refcoreml.testing.spec_grammar import SpecNetwork, check_network, networks
    from refcoreml.testing.torch_grammar import TorchNetwork, torch_networks

__all__ = [
    "BlobBound",
    "Constants",
    "Equivalence",
    "EquivalenceError",
    "Outcome",
    "SpecNetwork",
    "TorchNetwork",
    "UndeterminedError",
    "assert_equivalent",
    "blob_bounds",
    "check",
    "check_network",
    "networks",
    "torch_networks",
]

_LAZY = {
    "Outcome": "conversion",
    "check": "conversion",
    "SpecNetwork": "spec_grammar",
    "check_network": "spec_grammar",
    "networks": "spec_grammar",
    "TorchNetwork": "torch_grammar",
    "torch_networks": "torch_grammar",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"refcoreml.testing.{_LAZY[name]}"), name)
