"""Reference outputs with proven tolerances: `oracle` computes a network in double precision, with a bound per number.

    answers = oracle("Net.mlmodel", {"x": x}, profile="fp16/acc32")
    abs(y - answers["y"].value) <= answers["y"].bound        # of every conforming implementation y of the profile

The formulas are derived in docs/oracle.md.
"""

from refcoreml.oracle.answers import Answer, LayerAnswer, OpenDecisionError, blob_answers, layer_answers, oracle
from refcoreml.oracle.profiles import PROFILES, Profile
from refcoreml.oracle.rules import CHECKS, CLASSES

__all__ = [
    "CHECKS",
    "CLASSES",
    "PROFILES",
    "Answer",
    "LayerAnswer",
    "OpenDecisionError",
    "Profile",
    "blob_answers",
    "layer_answers",
    "oracle",
]
