"""Judges what an implementation made of a case.

Needs NumPy alone, and imports nothing of refcoreml (the names of types apart), so that it can be copied into any
project, see ``cases.py``. The whole rule, for an output y with reference r and bound b, element by element:

1. y has the shape of r (where the case says so, up to dimensions of length 1) and holds real numbers;
2. where b is infinite, anything goes;
3. where r is NaN, y is NaN; where r is infinite, y is the same infinity;
4. elsewhere abs(y - r) <= b, where two things count as within the bound: an infinity with the sign of r, if abs(r) + b
   exceeds the largest number of the type in which it is stored; and 0, if abs(r) is below its smallest normal number.

So 0 and -0 are equal. A bound of 0 demands the very number; but if integer products are inexact and within the bound
``rounded``, as with fast algorithms that have fractional constants, the case is `suspicious` but does not fail.

Where all bounds of a case are infinite, nothing was compared but shapes: what does not fail is `undetermined`, no pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from refcoreml.conformance.cases import Case, Output

#: What an implementation did with a case, by the exit code of its command; any other code is a ``crash``.
OUTCOMES = {0: "returned", 1: "rejected", 2: "unsupported"}

#: (smallest normal number, largest number) of a type in which numbers are stored; integers have no such leniency.
_STORAGE = {
    "fp32": (2.0**-126, (2 - 2.0**-23) * 2.0**127),
    "fp16": (2.0**-14, 65504.0),
    "integer": (0.0, np.inf),
}


@dataclass(frozen=True)
class Judgement:
    """What became of a case, or of one output.

    Attributes:
        status: ``pass``, ``suspicious``, ``undetermined``, ``fail``, ``unsupported``, ``timeout``, ``crash``; from the
            runner also ``damaged``.
        message: why it did not pass.
        worst, where: the largest abs(y - r) / b, infinite where a bound of 0 is missed; its output and index.
    """

    status: str
    message: str = ""
    worst: float = 0.0
    where: str = ""


def judge(case: Case, outcome: str, read_output: Callable[[str], Any], profile: str) -> Judgement:
    """Judge a case by what the implementation did and, if it returned, by its outputs.

    Args:
        case: the case.
        outcome: one of `OUTCOMES`, or ``crash`` or ``timeout``.
        read_output: gives the array of an output by its `Output.place`, which is its name, with the number of the step
            before it if there are several; whatever it raises is the implementation's failure.
        profile: the arithmetic that the implementation claims.

    Raises:
        CaseError: a file of the case is damaged.
    """
    if outcome in ("crash", "timeout"):
        return Judgement(outcome)
    if case.verdict == "unsupported-ok" and outcome != "returned":
        return Judgement("pass")
    if outcome == "unsupported":
        return Judgement("unsupported")
    if case.verdict in ("malformed", "invalid"):
        if outcome == "rejected":
            return Judgement("pass")
        rule = f": {case.rule}" if case.rule else ""
        return Judgement("fail", f"returned something for a model that is {case.verdict}{rule}")
    if outcome == "rejected":
        return Judgement("fail", "rejected a valid model or valid inputs")
    results = [_judge_output(output, read_output, profile) for output in case.outputs]
    order = ("undetermined", "pass", "suspicious", "fail")
    nothing = Judgement("undetermined", "no output is listed, so that no number was compared")
    return max(results, key=lambda result: (order.index(result.status), result.worst), default=nothing)


def _judge_output(output: Output, read_output: Callable[[str], Any], profile: str) -> Judgement:
    expected = output.profiles[profile]
    reference = expected.reference.read().astype(np.float64)
    bound = expected.bound if isinstance(expected.bound, float) else expected.bound.read()
    try:
        y = np.asarray(read_output(output.place))
    except Exception as error:
        return Judgement("fail", f"output {output.place!r}: {error}", np.inf, output.place)
    storage = storage_of(output, profile)
    result = compare(y, reference, bound, storage, free_ones=output.free_ones)
    if result.status == "fail" and expected.rounded is not None:
        wider = compare(y, reference, expected.rounded.read(), storage, free_ones=output.free_ones)
        if wider.status == "pass":
            result = replace(result, status="suspicious", message=f"integers are rounded: {result.message}")
    for power, expected_mean, tolerance in output.moments if result.status == "pass" else ():
        mean = float(np.mean(y.astype(np.float64) ** power))
        if not abs(mean - expected_mean) <= tolerance:
            what = f"the mean of its values to the power {power} is {mean:.6g}, expected {expected_mean:.6g}"
            result = Judgement("fail", f"{what} +- {tolerance:.2g}", np.inf)
    if result.status == "pass" and not output.moments and np.isinf(bound).all():
        result = Judgement("undetermined", f"every bound in {profile} is infinite, so that no number was compared")
    where = f"{output.place}{result.where}"
    return Judgement(result.status, result.message and f"output {where}: {result.message}", result.worst, where)


def storage_of(output: Output, profile: str) -> str:
    """Return in which type an output was stored on its way: ``fp32``, ``fp16`` or ``integer``."""
    if output.dtype.startswith("int"):
        return "integer"
    if output.dtype == "float16" or (profile == "declared" and output.storage == "float16"):
        return "fp16"
    return "fp32" if profile == "declared" else profile.split("/")[0]


def compare(
    y: NDArray[Any], reference: NDArray[Any], bound: NDArray[Any] | float, storage: str, *, free_ones: bool = False
) -> Judgement:
    """Compare an array with its reference; see the head of this file for the rule.

    Args:
        y: any real type, any byte order.
        reference: float64.
        bound: float64 of the same shape, or one number.
        storage: the type in which it was stored: ``fp32``, ``fp16`` or ``integer``.
        free_ones: whether dimensions of length 1 may be more or fewer.
    """
    if y.dtype.kind not in "fiub":
        return Judgement("fail", f"is of type {y.dtype}, expected real numbers", np.inf)
    if y.shape != reference.shape:
        if not free_ones or _without_ones(y.shape) != _without_ones(reference.shape):
            return Judgement("fail", f"has the shape {y.shape}, expected {reference.shape}", np.inf)
        y = y.reshape(reference.shape)
    y, bound = y.astype(np.float64), np.broadcast_to(np.asarray(bound, np.float64), reference.shape)
    smallest, largest = _STORAGE[storage]
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(y - reference)
        special = ~np.isfinite(reference)
        met = np.isnan(y) & np.isnan(reference) | (y == reference)
        flushed = (y == 0) & (np.abs(reference) < smallest)
        overflow = np.isinf(y) & (np.sign(y) == np.sign(reference)) & (np.abs(reference) + bound > largest)
        good = np.isinf(bound) | np.where(special, met, (distance <= bound) | flushed | overflow)
    ratio = np.where(good, 0.0, np.inf)
    np.divide(distance, bound, out=ratio, where=(bound > 0) & np.isfinite(bound) & np.isfinite(distance))
    ratio = np.where(good, np.minimum(ratio, 1), np.maximum(ratio, 1))
    worst = int(np.argmax(np.where(good, ratio, ratio + 1)))
    where = f"[{', '.join(str(int(i)) for i in np.unravel_index(worst, y.shape))}]"
    if good.all():
        return Judgement("pass", "", float(ratio.flat[worst]), where)
    message = (
        f"got {y.flat[worst]:.9g}, expected {reference.flat[worst]:.9g} +- {bound.flat[worst]:.3g}"
        f" ({int((~good).sum())} of {y.size} elements are out of bounds)"
    )
    return Judgement("fail", message, float(ratio.flat[worst]), where)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)
