"""Writing models in Python: networks (`Network`) and ML Programs (`Program`)."""

from refcoreml.build.features import array, image
from refcoreml.build.fields import fill
from refcoreml.build.network import Network
from refcoreml.build.program import Known, Program, Result, functions

__all__ = ["Known", "Network", "Program", "Result", "array", "fill", "functions", "image"]
