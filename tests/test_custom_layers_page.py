"""The examples on docs/custom-layers.md run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from refcoreml import build, custom
from refcoreml.spec import schema

PAGE = Path(__file__).resolve().parents[1] / "docs" / "custom-layers.md"


def models():
    swish = build.Network({"x": (3,)}, {"y": (3,)}, exact=True)
    swish.add("custom", outputs="y", class_name="Swish", parameters={"beta": 1.0})
    scale = build.Network({"x": (2, 3)}, {"y": (2, 3)}, exact=True)
    scale.add("custom", outputs="y", class_name="Scale", parameters={"axis": 1}, weights=[np.array([2, 4, 8])])
    ranker = schema.Model(specificationVersion=3)
    ranker.description.input.add(name="stars").type.int64Type.SetInParent()
    ranker.description.output.add(name="score").type.doubleType.SetInParent()
    build.fill(ranker.customModel, {"className": "Ranker", "parameters": {"weight": 2.5}}, "customModel")
    return {"swish_model": swish.spec(), "scale_model": scale.spec(), "ranker_model": ranker}


def test_the_examples_run():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    printed = []
    names = {**models(), "print": printed.append}
    with custom.scope():
        for block in blocks:
            exec(block, names)
    swish, scale, score = printed
    x = np.array([-1.0, 0.0, 2.0])
    np.testing.assert_allclose(swish, x / (1 + np.exp(-x)), rtol=8 * 2.0**-24)
    np.testing.assert_array_equal(scale, [[2, 4, 8]] * 2)
    assert score == 10
