"""Core ML itself on a Mac's CPU, which computes in single precision, through coremltools.

refcoreml conformance run --python conformance/sessions/coremltools_cpu.py --profile fp32 --timeout 60
"""

import contextlib
import json
import pathlib
import tempfile

import coremltools

from refcoreml.conformance import Rejected
from refcoreml.errors import MalformedModelError
from refcoreml.spec.files import read_model, write_model

UNITS = coremltools.ComputeUnit.CPU_ONLY


def prepare(model, function=""):
    case = json.loads(pathlib.Path(model).with_name("case.json").read_text(encoding="utf-8"))
    if "custom_layers" in case["requires"]:
        raise NotImplementedError("custom layers, which the framework wants as compiled classes of this process")
    # The framework takes ML Programs as packages only; most cases have one file.
    with tempfile.TemporaryDirectory() as folder:
        if case["format"] > 1 and model.endswith(".mlmodel"):
            with contextlib.suppress(MalformedModelError):  # of no model at all the framework gets the file
                packed = str(pathlib.Path(folder) / "model.mlpackage")
                write_model(read_model(model), packed)
                model = packed
        loaded = _load(model, function)
    states = []  # one for all steps of a case

    def session(inputs):
        try:
            if case["format"] == 1 or not loaded.get_spec().description.state:
                return loaded.predict(inputs)
            if not states:
                states.append(loaded.make_state())
            return loaded.predict(inputs, state=states[0])
        except RuntimeError as error:
            raise Rejected(str(error)) from error

    return session


def _load(model, function):
    try:
        options = {"function_name": function} if function else {}
        loaded = coremltools.models.MLModel(model, compute_units=UNITS, **options)
    except Exception as error:  # coremltools says no more than that compilation failed
        raise Rejected(str(error)) from error
    if loaded.__proxy__ is None:
        # A model that does not compile gives a warning only, and no proxy to the framework.
        raise Rejected("the framework did not load the model")
    return loaded
