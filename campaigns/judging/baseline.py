"""The judge before there was one: `refcoreml.testing.assert_equivalent` of conversions, no verdict on devices."""

from __future__ import annotations

from campaigns.judging.cases import Case
from refcoreml.errors import RefCoreMLError
from refcoreml.testing.equivalence import EquivalenceError, UndeterminedError, assert_equivalent

__all__ = ["judge"]


def judge(case: Case) -> tuple[str, str]:
    """Return a verdict, and the operation that is named first."""
    if case.outputs is not None:
        return "undetermined", ""
    try:
        assert_equivalent(case.model, case.source, case.inputs)
    except EquivalenceError as error:
        return "different", error.operation
    except (UndeterminedError, RefCoreMLError):
        return "undetermined", ""
    return "equal", ""
