"""What a comparison finds about one output, and about one blob of a layer."""

from __future__ import annotations

from dataclasses import dataclass

from refcoreml.comparison.metrics import Difference, Rate

__all__ = ["LayerDifference", "OutputComparison"]


@dataclass(frozen=True)
class OutputComparison:
    """What is found about one output.

    Attributes:
        name: its name.
        type: its type in short.
        difference: figures about its numbers, None for labels.
        agreement: of scores of classes, how often the reference's best label is among the k best, by k; of labels, how
            often they are equal, under 1. Empty for other outputs.
        accuracy_reference, accuracy_candidate: how often the true label is among the k best, by k; empty if it is
            unknown.
    """

    name: str
    type: str
    difference: Difference | None
    agreement: dict[int, Rate]
    accuracy_reference: dict[int, Rate]
    accuracy_candidate: dict[int, Rate]


@dataclass(frozen=True)
class LayerDifference:
    """One blob, as both networks compute it.

    Attributes:
        index: the layer's position in the reference; of one inside a branch or loop, within that.
        layer, kind: its name and type in the reference.
        blob: the output.
        changed: whether the layer is stored or computed in another way, so that it may add error of its own.
        own: the error that the layer adds on its own, fed with the reference's inputs; None where the two networks have
            layers of another type or other inputs there, or a branch or loop went differently.
        accumulated: the error of the layer's output with all error of the layers before.
    """

    index: int
    layer: str
    kind: str
    blob: str
    changed: bool
    own: Difference | None
    accumulated: Difference
