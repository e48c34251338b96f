"""refcoreml itself in single precision.

refcoreml conformance run --python conformance/sessions/refcoreml_float32.py --profile fp32
"""

from custom_layers import LAYERS

import refcoreml
from refcoreml.conformance import Rejected

PRECISION = "float32"


def prepare(model):
    try:
        loaded = refcoreml.load(model, precision=PRECISION, custom_layers=LAYERS)
    except refcoreml.UnsupportedModelError as error:
        raise NotImplementedError(str(error)) from error
    except (refcoreml.MalformedModelError, refcoreml.InvalidModelError, refcoreml.CallbackError) as error:
        raise Rejected(str(error)) from error

    def session(inputs):
        try:
            return loaded.predict(inputs)
        except (refcoreml.InvalidModelError, refcoreml.InputError, refcoreml.CallbackError) as error:
            raise Rejected(str(error)) from error

    return session
