"""Core ML itself on a Mac, on whatever units it chooses; the GPU and the neural engine compute in half precision.

refcoreml conformance run --python conformance/sessions/coremltools_all.py --profile fp16/acc32 --timeout 60
"""

import coremltools
import coremltools_cpu

coremltools_cpu.UNITS = coremltools.ComputeUnit.ALL
prepare = coremltools_cpu.prepare
