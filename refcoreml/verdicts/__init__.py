"""Verdicts on outputs that were recorded elsewhere: is it rounding, the device, or the converter?

    verdict = judge("Net.mlmodel", {"x": x}, {"y": y_of_a_phone})
    verdict.answer      # "within rounding of fp16"

The rules are in docs/judge.md.
"""

from refcoreml.verdicts.judging import conversion, judge
from refcoreml.verdicts.verdict import (
    FP16,
    FP32,
    NOT_EXPLAINED,
    SUSPICIOUS,
    UNDETERMINED,
    Compared,
    Conversion,
    Verdict,
)

__all__ = [
    "FP16",
    "FP32",
    "NOT_EXPLAINED",
    "SUSPICIOUS",
    "UNDETERMINED",
    "Compared",
    "Conversion",
    "Verdict",
    "conversion",
    "judge",
]
