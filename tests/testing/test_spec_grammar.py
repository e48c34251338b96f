"""What the strategy for random networks writes."""

from __future__ import annotations

import random

import numpy as np
import pytest

from refcoreml.testing.draws import RandomDraws
from refcoreml.testing.spec_grammar import _Writer


@pytest.mark.parametrize(("exact", "shape"), [(False, (2, 3, 5)), (True, (7, 2, 3, 5))])
def test_a_layer_that_does_not_fit_is_left_out(exact: bool, shape: tuple[int, ...]) -> None:
    writer = _Writer(RandomDraws(random.Random(0)), np.random.default_rng(0), {"x": shape}, exact)
    fields = {"type": "MAX", "stride": [1, 1], "valid": {}}
    assert not writer.add("pooling", "x", kernelSize=[4, 6], **fields)
    assert writer.add("pooling", "x", kernelSize=[2, 4], **fields)
    assert [list(layer.pooling.kernelSize) for layer in writer.net.layers] == [[2, 4]]
    assert writer.shape("b1")[-3:] == (2, 2, 2)
