"""What an operation calls a new array is one: otherwise a layer after it would overwrite an input of the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refcoreml import load
from refcoreml.conformance.cases import find_cases, read_case

CASES = Path(__file__).parents[2] / "conformance" / "cases"
FAMILIES: dict[str, list[Path]] = {}
for folder in find_cases(CASES, without=["mil"]):
    FAMILIES.setdefault(folder.relative_to(CASES).parts[0], []).append(folder)


@pytest.mark.filterwarnings("ignore::refcoreml.errors.RefCoreMLWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_no_layer_of_a_case_returns_a_view_where_it_calls_its_results_new(family: str) -> None:
    cases = [read_case(folder) for folder in FAMILIES[family]]
    views: list[object] = []
    seen = 0

    def look(step: Any, inputs: Sequence[np.ndarray[Any, Any]], outputs: Sequence[np.ndarray[Any, Any]]) -> None:
        nonlocal seen
        seen += 1
        if step.op.fresh and any(np.shares_memory(x, y) for x in inputs for y in outputs):
            views.append(step)

    runnable = [case for case in cases if case.verdict == "returns" and not case.custom_layers]
    for case in runnable:
        load(case.model).observe(case.read_inputs(), look)
    assert not views
    assert seen or not runnable
