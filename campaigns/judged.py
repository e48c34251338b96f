"""The judge of conversions and of recorded outputs that `campaigns.judging.score` measures: `refcoreml.verdicts`."""

from __future__ import annotations

from typing import Any

from refcoreml.errors import RefCoreMLError
from refcoreml.model import as_model
from refcoreml.verdicts import FP16, FP32, UNDETERMINED, conversion
from refcoreml.verdicts import judge as judge_recorded

__all__ = ["judge"]


def judge(case: Any) -> tuple[str, str]:
    """Return the verdict on a case, and the operation at fault, empty if none is named.

    Args:
        case: a model, its inputs, its source with arguments, and what a device returned; see `campaigns.judging`.

    Returns:
        Without recorded outputs ``equal``, ``different`` or ``undetermined``; with them ``rounding``, ``converter``,
        ``device`` or ``undetermined``.
    """
    try:
        return _conversion(case) if case.outputs is None else _recording(case)
    except RefCoreMLError:
        return "undetermined", ""


def _conversion(case: Any) -> tuple[str, str]:
    found = conversion(as_model(case.model), case.source, case.inputs, list(case.arguments))
    return found.answer, found.operation


def _recording(case: Any) -> tuple[str, str]:
    arguments = list(case.arguments) if case.source is not None else None
    verdict = judge_recorded(
        as_model(case.model),
        case.inputs,
        case.outputs,
        intermediates=case.intermediates or None,
        source=case.source,
        source_inputs=arguments,
        proven=False,
    )
    without_source = {UNDETERMINED: "undetermined", FP32: "rounding", FP16: "rounding"}.get(verdict.answer, "device")
    return verdict.cause or without_source, verdict.operation
