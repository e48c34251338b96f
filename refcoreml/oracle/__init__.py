"""Reference outputs with proven tolerances: `oracle` computes a model in double precision, with a bound per number.

    answers = oracle("Net.mlmodel", {"x": x}, profile="fp16/acc32")
    abs(y - answers["y"].value) <= answers["y"].bound        # of every conforming implementation y of the profile

The formulas are derived in docs/oracle.md.
"""

from refcoreml.oracle.answers import (
    Answer,
    LayerAnswer,
    OpenDecisionError,
    Prediction,
    blob_answers,
    layer_answers,
    oracle,
    predictions,
)
from refcoreml.oracle.profiles import DECLARED, PROFILES, Profile
from refcoreml.oracle.rules import CHECKS, CLASSES

__all__ = [
    "CHECKS",
    "CLASSES",
    "DECLARED",
    "PROFILES",
    "Answer",
    "LayerAnswer",
    "OpenDecisionError",
    "Prediction",
    "Profile",
    "blob_answers",
    "layer_answers",
    "oracle",
    "predictions",
]
