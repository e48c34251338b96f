"""Core ML itself on a Mac, on whatever units it chooses; the GPU and the neural engine compute in half precision.

refcoreml conformance run --python conformance/sessions/coremltools_all.py --profile fp16/acc32 --timeout 60
"""

import importlib.util
import pathlib

import coremltools

_path = pathlib.Path(__file__).with_name("coremltools_cpu.py")
_spec = importlib.util.spec_from_file_location("coremltools_cpu", _path)
_cpu = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_cpu)
_cpu.UNITS = coremltools.ComputeUnit.ALL

prepare = _cpu.prepare
