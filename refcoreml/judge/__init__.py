"""Judging whole models: likely bounds, which hold for honest rounding with a stated probability.

    bounds = likely_bounds("Net.mlmodel", {"x": x}, profile="fp16/acc32")
    bounds["y"].explains(y_of_a_phone).all()

Proven bounds, of `refcoreml.oracle`, grow along a network as the worst case does; these grow as roundings do. The
method is in docs/judge.md.
"""

from refcoreml.judge.likely import PROBABILITY, Ensemble, LikelyBound, likely_bounds

__all__ = ["PROBABILITY", "Ensemble", "LikelyBound", "likely_bounds"]
