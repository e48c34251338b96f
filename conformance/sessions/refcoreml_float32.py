"""refcoreml itself in single precision.

refcoreml conformance run --python conformance/sessions/refcoreml_float32.py --profile fp32
"""

from custom_layers import LAYERS

import refcoreml
from refcoreml.conformance import Rejected

PRECISION = "float32"


def prepare(model, function=""):
    try:
        loaded = refcoreml.load(model, precision=PRECISION, custom_layers=LAYERS, function=function)
    except refcoreml.UnsupportedModelError as error:
        raise NotImplementedError(str(error)) from error
    except (refcoreml.MalformedModelError, refcoreml.InvalidModelError, refcoreml.CallbackError) as error:
        raise Rejected(str(error)) from error
    state = []  # one for all steps of a case

    def session(inputs):
        try:
            if loaded.states and not state:
                state.append(loaded.make_state())
            return loaded.predict(inputs, *state)
        except (refcoreml.InvalidModelError, refcoreml.InputError, refcoreml.CallbackError) as error:
            raise Rejected(str(error)) from error

    return session
