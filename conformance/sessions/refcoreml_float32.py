"""refcoreml itself in single precision.

refcoreml conformance run --python conformance/sessions/refcoreml_float32.py --profile fp32
"""

import refcoreml

PRECISION = "float32"


def prepare(model):
    try:
        loaded = refcoreml.load(model, precision=PRECISION)
    except refcoreml.UnsupportedModelError as error:
        raise NotImplementedError(str(error)) from error
    except (refcoreml.MalformedModelError, refcoreml.InvalidModelError) as error:
        raise ValueError(str(error)) from error

    def session(inputs):
        try:
            return loaded.predict(inputs)
        except refcoreml.InvalidModelError as error:
            raise ValueError(str(error)) from error

    return session
