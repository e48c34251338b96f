"""Converted networks whose weights coremltools compresses, against torch with the weights that it decompresses."""

from __future__ import annotations

from typing import Any

import pytest
from mil.converted import conversion
from profiles import THOROUGH

import refcoreml

pytestmark = pytest.mark.filterwarnings("ignore")  # of coremltools and torch, whose versions are not ours to choose

#: Whose weights have the names of torch's.
NAMES = ("listener", "speaker", "patches", "noise", "detector", "growing")
#: Those that have matrices only: with the weights of convolutions coremltools fails to quantize tables.
MATRICES = {"palettized to int8": ("speaker", "growing")}


def cases() -> list[Any]:
    """Return each variant for each target that can have it, and both precisions, with the networks in turn.

    When not thorough, one case of each variant.
    """
    found: list[Any] = []
    for index, (variant, (_, first, _)) in enumerate(conversion.VARIANTS.items()):
        targets = conversion.TARGETS[conversion.TARGETS.index(first) :]
        pairs = [(precision, target) for target in targets for precision in conversion.PRECISIONS]
        for place, (precision, target) in enumerate(pairs):
            names = MATRICES.get(variant, NAMES)
            if THOROUGH or place == 3 * index % len(pairs):
                found.append((names[(index + place) % len(names)], variant, precision, target))
    return found


@pytest.mark.parametrize(("name", "variant", "precision", "target"), cases())
def test_compressed_networks_compute_what_torch_computes(name: str, variant: str, precision: str, target: str) -> None:
    compress, _, kinds = conversion.VARIANTS[variant]
    model = compress(conversion.converted(name, precision, target))
    function = refcoreml.load(model).spec.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    made = {operation.type.removeprefix("constexpr_") for operation in block.operations}
    assert all(made.intersection(kind.split("|")) for kind in kinds)
    module = conversion.with_weights(conversion.made(name), conversion.weights(model), precision)
    conversion.check(name, model, module, precision, stored=False)
