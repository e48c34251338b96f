"""refcoreml: the executable specification of Core ML.

Loads Core ML models on any operating system and computes, in NumPy, what the specification says::

    import refcoreml

    model = refcoreml.load("MyModel.mlmodel")
    outputs = model.predict({"image": Image.open("photo.jpg")})
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from refcoreml.errors import (
    CallbackError,
    InputError,
    InternalError,
    InvalidModelError,
    LimitError,
    MalformedModelError,
    ModelNotFoundError,
    RefCoreMLError,
    RefCoreMLWarning,
    UnsupportedModelError,
    UsageError,
)
from refcoreml.version import VERSION

if TYPE_CHECKING:
    from refcoreml.comparison import compare_layers, compare_models
    from refcoreml.custom import CustomLayer, CustomModel, custom_layer, custom_model
    from refcoreml.evaluators.state import State
    from refcoreml.execution.limits import Limits
    from refcoreml.inspection import Summary, inspect
    from refcoreml.model import LayerTrace, Model, load
    from refcoreml.quantization import dequantize_weights, quantize_weights
    from refcoreml.studies import Study, study

__version__ = VERSION

__all__ = [
    "CallbackError",
    "CustomLayer",
    "CustomModel",
    "InputError",
    "InternalError",
    "InvalidModelError",
    "LayerTrace",
    "LimitError",
    "Limits",
    "MalformedModelError",
    "Model",
    "ModelNotFoundError",
    "RefCoreMLError",
    "RefCoreMLWarning",
    "State",
    "Study",
    "Summary",
    "UnsupportedModelError",
    "UsageError",
    "compare_layers",
    "compare_models",
    "custom_layer",
    "custom_model",
    "dequantize_weights",
    "inspect",
    "load",
    "quantize_weights",
    "study",
]

#: Names that are imported when they are first used, and the rooms they come from: who only predicts need not wait, and
#: operations and kernels need not have protobuf.
_LATER = {
    "CustomLayer": "custom",
    "CustomModel": "custom",
    "LayerTrace": "model",
    "Limits": "execution.limits",
    "Model": "model",
    "State": "evaluators.state",
    "Study": "studies",
    "Summary": "inspection",
    "compare_layers": "comparison",
    "compare_models": "comparison",
    "custom_layer": "custom",
    "custom_model": "custom",
    "dequantize_weights": "quantization",
    "inspect": "inspection",
    "load": "model",
    "quantize_weights": "quantization",
    "study": "studies",
}
#: Rooms that can be named without an import of their own.
_ROOMS = {*(room.partition(".")[0] for room in _LATER.values()), "build", "demo", "errors", "features", "spec"}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f"refcoreml.{_LATER[name]}"), name)
    if name in _ROOMS:
        return import_module(f"refcoreml.{name}")
    raise AttributeError(f"module 'refcoreml' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_LATER.values()})
