"""The last step of a classifier."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.catalogue.programs.plan import ProgramPlan, X, op, refused
from conformance.catalogue.programs.reduction import distinct
from refcoreml.spec.mil_types import DATA_TYPES, DeclaredDictionary, DeclaredTensor, DeclaredType


def plans() -> Iterator[ProgramPlan]:
    names = ["cat", "dog", "owl", "emu"]
    yield from op("classify", "texts", kinds="integers zero-mean", probabilities=distinct((4,)), classes=names)
    yield from op(
        "classify",
        "integers",
        kinds="integers zero-mean",
        probabilities=distinct((4,)),
        classes=[np.int64(n) for n in (7, -3, 0, 12)],
    )
    yield from op(
        "classify", "matrix", kinds="integers", probabilities=distinct((2, 3)), classes=[*names, "fly", "bee"]
    )
    yield from refused(
        "classify",
        "count",
        "there is a probability for each class",
        probabilities=X(5),
        classes=names,
        results=_results(),
    )


def _results() -> list[DeclaredType]:
    text = DeclaredTensor(DATA_TYPES["string"], ())
    return [text, DeclaredDictionary(text, DeclaredTensor(DATA_TYPES["fp64"], ()))]
