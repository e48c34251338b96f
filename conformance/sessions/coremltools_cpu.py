"""Core ML itself on a Mac's CPU, which computes in single precision, through coremltools.

refcoreml conformance run --python conformance/sessions/coremltools_cpu.py --profile fp32 --timeout 60
"""

import coremltools

UNITS = coremltools.ComputeUnit.CPU_ONLY


def prepare(model):
    try:
        loaded = coremltools.models.MLModel(model, compute_units=UNITS)
    except Exception as error:  # coremltools says no more than that compilation failed
        raise ValueError(str(error)) from error
    if loaded.__proxy__ is None:
        # A model that does not compile gives a warning only, and no proxy to the framework.
        raise ValueError("the framework did not load the model")

    def session(inputs):
        try:
            return loaded.predict(inputs)
        except RuntimeError as error:
            raise ValueError(str(error)) from error

    return session
