"""refcoreml: the executable specification of Core ML.

Loads Core ML models on any operating system and computes, in NumPy, what the specification says::

    import refcoreml

    model = refcoreml.load("MyModel.mlmodel")
    outputs = model.predict({"image": Image.open("photo.jpg")})
"""

from __future__ import annotations

from refcoreml.comparison import compare_layers, compare_models
from refcoreml.errors import (
    CallbackError,
    InputError,
    InternalError,
    InvalidModelError,
    MalformedModelError,
    ModelNotFoundError,
    RefCoreMLError,
    UnsupportedModelError,
    UsageError,
)
from refcoreml.features import RefCoreMLWarning
from refcoreml.inspection import Summary, inspect
from refcoreml.model import LayerTrace, Model, load
from refcoreml.quantization import dequantize_weights, quantize_weights
from refcoreml.studies import Study, study

__version__ = "0.1.0"

__all__ = [
    "CallbackError",
    "InputError",
    "InternalError",
    "InvalidModelError",
    "LayerTrace",
    "MalformedModelError",
    "Model",
    "ModelNotFoundError",
    "RefCoreMLError",
    "RefCoreMLWarning",
    "Study",
    "Summary",
    "UnsupportedModelError",
    "UsageError",
    "compare_layers",
    "compare_models",
    "dequantize_weights",
    "inspect",
    "load",
    "quantize_weights",
    "study",
]
