"""refcoreml itself with blobs and weights in half precision, and sums in single.

refcoreml conformance run --python conformance/sessions/refcoreml_float16.py --profile fp16/acc32
"""

from custom_layers import LAYERS

import refcoreml

PRECISION = "float16"


def prepare(model):
    try:
        loaded = refcoreml.load(model, precision=PRECISION, custom_layers=LAYERS)
    except refcoreml.UnsupportedModelError as error:
        raise NotImplementedError(str(error)) from error
    except (refcoreml.MalformedModelError, refcoreml.InvalidModelError, refcoreml.CallbackError) as error:
        raise ValueError(str(error)) from error

    def session(inputs):
        try:
            return loaded.predict(inputs)
        except (refcoreml.InvalidModelError, refcoreml.CallbackError) as error:
            raise ValueError(str(error)) from error

    return session
