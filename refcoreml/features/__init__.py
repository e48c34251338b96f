"""Features: what a model takes and gives, as Python values, one class per kind.

`Feature` reads the declaration of one input or output, `check_inputs` turns what a user passes into the values that an
evaluator computes on, `finish_output` turns what it computed into the types that Core ML returns in Python,
`prepare_image` brings any picture to the mode and size that an image input wants, and `Classifier` makes labels and
scores by label of the scores that a classifier computes.

============ ==================================================== ==============================================
kind         taken                                                given back
============ ==================================================== ==============================================
int64        int                                                  int
double       int, float                                           float
string       str                                                  str
image        PIL image of the declared mode and size, or an array PIL image: RGBA (colour), L (gray), F (float16)
array        whatever NumPy reads as an array of numbers          array of the declared type, FLOAT16 as float32
dictionary   dict of int or str to number                         dict of int or str to float
sequence     list of int or str                                   list of int or str
============ ==================================================== ==============================================
"""

from __future__ import annotations

from refcoreml.errors import RefCoreMLWarning
from refcoreml.features.array import ArrayFeature
from refcoreml.features.base import ELEMENT_LIMIT, Feature, read_features
from refcoreml.features.classifier import Classifier
from refcoreml.features.dictionary import DictionaryFeature
from refcoreml.features.image import ImageFeature, Resize, prepare_image
from refcoreml.features.inputs import check_inputs, finish_output
from refcoreml.features.numbers import convert
from refcoreml.features.scalars import DoubleFeature, Int64Feature, NumberFeature, ScalarFeature, StringFeature
from refcoreml.features.sequence import SequenceFeature
from refcoreml.features.shapes import Shapes, elements, rank5_shape
from refcoreml.features.state import StateFeature

__all__ = [
    "ELEMENT_LIMIT",
    "ArrayFeature",
    "Classifier",
    "DictionaryFeature",
    "DoubleFeature",
    "Feature",
    "ImageFeature",
    "Int64Feature",
    "NumberFeature",
    "RefCoreMLWarning",
    "Resize",
    "ScalarFeature",
    "SequenceFeature",
    "Shapes",
    "StateFeature",
    "StringFeature",
    "check_inputs",
    "convert",
    "elements",
    "finish_output",
    "prepare_image",
    "rank5_shape",
    "read_features",
]
