"""The custom layers of cases, in Python: what ``custom_layers`` in case.json says in words.

An implementation with an interface for code of the application registers the like.
"""

import numpy as np


class Scale:
    def __init__(self, parameters):
        self.factor, self.channels = parameters["factor"], parameters["channels"]

    def weight_shapes(self):
        return [(self.channels,)]

    def set_weights(self, weights):
        (self.shift,) = weights

    def output_shapes(self, input_shapes):
        return input_shapes

    def evaluate(self, inputs):
        return inputs[0] * inputs[0].dtype.type(self.factor) + self.shift[:, None, None]


def parameters(x, shift, factor, operation, negate, offset):
    y = np.roll(x, shift, axis=-1) * x.dtype.type(factor)
    y = {"add": np.add, "subtract": np.subtract}[operation](y, x)
    return (-y if negate else y) + offset % 7


def outputs(a, b):
    return [a.T, b[:, None] + a.sum(axis=0)]


def positive(x):
    return x[x > 0]


def total(x):
    return x.sum()


def writes(x):
    y = x.copy()
    if x.flags.writeable:
        x[...] = 0
    return y


def fails(x):
    raise RuntimeError("this layer fails")


class WrongShape:
    def __init__(self, parameters):
        pass

    def output_shapes(self, input_shapes):
        return input_shapes

    def evaluate(self, inputs):
        return np.append(inputs[0], 0)


LAYERS = {
    "ConformanceScale": Scale,
    "ConformanceParameters": parameters,
    "ConformanceOutputs": outputs,
    "ConformancePositive": positive,
    "ConformanceTotal": total,
    "ConformanceWrites": writes,
    "ConformanceFails": fails,
    "ConformanceWrongShape": WrongShape,
}
