"""How often verdicts on recorded outputs are right: honest recordings, and devices with one faulty operation.

    python -m campaigns.verdicts

The models and implementations are those of `campaigns.honest`. Each recording is judged with and without the values
inside the model. A faulty device is honest but for one operation, chosen at random among those that compute: a part of
its result is 3 % too large, moved by one place, or off by a wave of 3 % of its size.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from campaigns.honest_networks import Case, cases
from campaigns.honest_runs import IMPLEMENTATIONS
from refcoreml.execution.steps import Step
from refcoreml.judge.subjects import subject_of
from refcoreml.types import Array
from refcoreml.verdicts import judge

__all__ = ["main"]

#: The implementations that are recorded.
_HONEST = ("kernels", "fused", "shuffled", "blocks of 8")


def _scaled(y: Array, rng: np.random.Generator) -> Array:
    """Return numbers of which one slice along the longest axis but one is 3 % too large."""
    axis = int(np.argsort(y.shape)[-2]) if y.ndim > 1 else 0
    made = y.copy()
    made[(slice(None),) * axis + (int(rng.integers(y.shape[axis])),)] *= 1.03
    return made


def _moved(y: Array, rng: np.random.Generator) -> Array:
    return np.roll(y, 1, int(np.argmax(y.shape)))


def _waved(y: Array, rng: np.random.Generator) -> Array:
    size = np.sqrt(np.mean(np.square(y, where=np.isfinite(y), out=np.zeros(y.shape)))) or 1.0
    return (y + 0.03 * size * np.sin(9 * y / size)).astype(y.dtype)


FAULTS: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "scaled": _scaled,
    "moved": _moved,
    "waved": _waved,
}


def _values(case: Case, inputs: dict[str, Any], profile: str, implementation: str, fault: Any = None) -> dict[str, Any]:
    """Return all values of a run, with a fault (step, change) if there is one."""
    made = IMPLEMENTATIONS[implementation]
    found: dict[str, Any] = {}
    trace = made.trace(case.model, inputs, profile, fault) if fault else made.trace(case.model, inputs, profile)
    for event in trace:
        found.update(
            (name, value)
            for name, value in zip(event.step.outputs, event.outputs, strict=True)
            if isinstance(value, np.ndarray)
        )
    return found


def _judged(case: Case, inputs: dict[str, Any], values: dict[str, Any], profile: str) -> Iterator[tuple[str, Any]]:
    sources = subject_of(case.model, profile).sources
    outputs = {name: values[source] for name, source in sources.items() if source in values}
    inside = {name: value for name, value in values.items() if name not in sources.values()}
    for kind, inner in (("outputs", None), ("values inside", inside)):
        yield kind, judge(case.model, inputs, outputs, intermediates=inner, proven=False)


def _faulty(steps: list[Step], rng: np.random.Generator) -> tuple[Step, str]:
    computing = [step for step in steps if step.outputs and not step.op.moves]
    return computing[int(rng.integers(len(computing)))], str(rng.choice(list(FAULTS)))


def main() -> None:
    """Judge all recordings, and print how many verdicts are which."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth model only")
    options = parser.parse_args()
    counts: Counter[tuple[str, ...]] = Counter()
    for number, case in enumerate(cases()):
        if number % options.every:
            continue
        for profile in ("declared",) if case.model.kind == "mlProgram" else ("fp32", "fp16/acc32"):
            rng = np.random.default_rng(number)
            inputs = case.inputs(rng)
            for implementation in _HONEST:
                values = _values(case, inputs, profile, implementation)
                for kind, verdict in _judged(case, inputs, values, profile):
                    counts["honest", profile, kind, verdict.answer] += 1
                    if not verdict.explained:
                        print(f"honest: {case.name}, {profile}, {implementation}, {kind}: {verdict.reason}", flush=True)
            _faults(case, inputs, profile, rng, counts)
    for key, count in sorted(counts.items()):
        print(f"{count:6}  {', '.join(key)}")


def _faults(
    case: Case, inputs: dict[str, Any], profile: str, rng: np.random.Generator, counts: Counter[tuple[str, ...]]
) -> None:
    right = _values(case, inputs, profile, "kernels")
    for _ in range(3):
        steps = list(subject_of(case.model, profile).steps)
        step, kind_of_fault = _faulty(steps, rng)

        def fault(other: Step, y: Array, at: str = step.where, change: Any = FAULTS[kind_of_fault]) -> Array:
            same = other.where == at and y.dtype.kind == "f" and y.size > 1
            return change(y, np.random.default_rng(0)) if same else y

        values = _values(case, inputs, profile, "kernels", fault)
        if all(np.array_equal(values[name], right[name], equal_nan=True) for name in step.outputs if name in right):
            continue  # zeros are as they were
        for kind, verdict in _judged(case, inputs, values, profile):
            named = "named" if verdict.operation == step.name else "another named" if verdict.operation else "not named"
            counts[f"fault {kind_of_fault}", profile, kind, verdict.answer, named] += 1
            if kind != "outputs" and (verdict.explained or verdict.operation != step.name):
                print(
                    f"{kind_of_fault}: {case.name}, {profile}, {step.name} ({step.kind}): {verdict.answer}, "
                    f"{verdict.operation}",
                    flush=True,
                )


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
