"""What sessions share that translate networks of one layer: reading a case, and refusing what is no such network."""

from refcoreml.conformance import Rejected
from refcoreml.errors import MalformedModelError
from refcoreml.spec.files import read_model


def only_layer(model):
    """Return the model's message and its only layer; raises `Rejected` for a file that is none."""
    try:
        spec = read_model(model).spec
    except MalformedModelError as error:
        raise Rejected(str(error)) from error
    if len(spec.neuralNetwork.layers) != 1:
        raise NotImplementedError("networks of one layer")
    return spec, spec.neuralNetwork.layers[0]
