"""Comparing two models on data: outputs (`compare_models`), and layer by layer (`compare_layers`)."""

from refcoreml.comparison.differences import LayerDifference, OutputComparison
from refcoreml.comparison.layers import LayerComparison, compare_layers
from refcoreml.comparison.metrics import Difference, Rate
from refcoreml.comparison.outputs import Comparison, compare_models
from refcoreml.reporting.samples import Sample, Source

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
