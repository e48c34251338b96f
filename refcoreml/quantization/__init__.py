"""Smaller weights: quantizing, what it costs, and how large the error can be.

`quantize_weights` and `dequantize_weights` make new models; `weight_tensors` lists what can be quantized; `selectors`
choose among it; `weight_changes` tells what was done to each tensor; `bounds` holds the error bounds.
"""

from refcoreml.quantization import selectors
from refcoreml.quantization.changes import WeightChange, weight_changes
from refcoreml.quantization.quantize import dequantize_weights, quantize_weights
from refcoreml.quantization.schemes import MODES, Scheme
from refcoreml.quantization.tensors import WeightTensor, weight_tensors

__all__ = [
    "MODES",
    "Scheme",
    "WeightChange",
    "WeightTensor",
    "dequantize_weights",
    "quantize_weights",
    "selectors",
    "weight_changes",
    "weight_tensors",
]
