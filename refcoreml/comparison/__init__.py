"""Comparing two models on data: outputs (`compare_models`), and layer by layer (`compare_layers`)."""

from refcoreml.comparison.compare import Comparison, OutputComparison, compare_models
from refcoreml.comparison.data import Sample, Source
from refcoreml.comparison.layers import LayerComparison, LayerDifference, compare_layers
from refcoreml.comparison.metrics import Difference, Rate

__all__ = [
    "Comparison",
    "Difference",
    "LayerComparison",
    "LayerDifference",
    "OutputComparison",
    "Rate",
    "Sample",
    "Source",
    "compare_layers",
    "compare_models",
]
