"""Core ML itself on a Mac's CPU, which computes in single precision, through coremltools.

refcoreml conformance run --python conformance/sessions/coremltools_cpu.py --profile fp32 --timeout 60
"""

import json
import pathlib

import coremltools

from refcoreml.conformance import Rejected

UNITS = coremltools.ComputeUnit.CPU_ONLY


def prepare(model):
    case = json.loads(pathlib.Path(model).with_name("case.json").read_text(encoding="utf-8"))
    if "custom_layers" in case["requires"]:
        raise NotImplementedError("custom layers, which the framework wants as compiled classes of this process")
    try:
        loaded = coremltools.models.MLModel(model, compute_units=UNITS)
    except Exception as error:  # coremltools says no more than that compilation failed
        raise Rejected(str(error)) from error
    if loaded.__proxy__ is None:
        # A model that does not compile gives a warning only, and no proxy to the framework.
        raise Rejected("the framework did not load the model")

    def session(inputs):
        try:
            return loaded.predict(inputs)
        except RuntimeError as error:
            raise Rejected(str(error)) from error

    return session
