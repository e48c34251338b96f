"""Cases of ML Programs from their plans: references and bounds by the oracle, and ``case.json``."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conformance.catalogue.programs.plan import Made, ProgramPlan
from conformance.stored import Array, Arrays, narrow, rounded_up
from refcoreml.model import load
from refcoreml.oracle import OpenDecisionError, predictions
from refcoreml.spec import schema

#: The profiles of programs.
PROFILES = ("fp32", "declared")
#: Reference, bound and class of each output, by output and profile.
Answers = dict[str, dict[str, tuple[Array, Array, str]]]


def answers_of(plan: ProgramPlan) -> list[Answers]:
    """Return what is expected of each step.

    Raises:
        UnsupportedModelError: the oracle does not know the bounds.
    """
    if plan.verdict != "returns":
        return [{} for _ in plan.steps]
    if plan.expected:
        expected: Answers = {
            name: {profile: (value, radius, "random") for profile in PROFILES}
            for name, (value, radius, _) in plan.expected.items()
        }
        return [expected for _ in plan.steps]
    steps: list[Answers] = [{} for _ in plan.steps]
    for profile in PROFILES:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = _answered(plan, profile)
        except OpenDecisionError:
            continue
        for answers, outputs in zip(steps, found, strict=True):
            for name, answer in outputs.items():
                answers.setdefault(name, {})[profile] = answer
    return steps


def _answered(plan: ProgramPlan, profile: str) -> list[dict[str, tuple[Array, Array, str]]]:
    """Return value, bound and class of the outputs of each step."""
    with model_of(plan) as path:
        model = load(schema.Model.FromString(plan.twin) if plan.twin else path, function=plan.function)
        found = list(predictions(model, plan.steps, profile))
    return [{name: (a.value, a.bound, a.check) for name, a in step.outputs.items()} for step in found]


@contextmanager
def model_of(plan: ProgramPlan) -> Iterator[str]:
    """Give the path of the model, written somewhere."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in plan.contents.items():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_bytes(content)
        yield str(Path(folder) / next(iter(plan.contents)).partition("/")[0])


def described(plan: ProgramPlan) -> tuple[dict[str, Any], bytes]:
    """Return ``case.json`` and the file of arrays."""
    arrays = Arrays()
    steps = [
        {
            "inputs": [
                {"name": name, "dtype": str(array.dtype), "shape": list(array.shape), "values": arrays.add(array)}
                for name, array in inputs.items()
            ],
            "outputs": [_output(plan, name, profiles, arrays) for name, profiles in answers.items()],
        }
        for inputs, answers in zip(plan.steps, answers_of(plan), strict=True)
    ]
    content = arrays.content.getvalue()
    return {
        "format": 2,
        "id": plan.id,
        "family": plan.family,
        "operations": plan.operations,
        "opset": plan.opset,
        **({"function": plan.function} if plan.function else {}),
        "data": plan.data,
        "clauses": plan.clauses,
        "requires": {
            "specification": plan.specification,
            "features": plan.features,
            **({"custom_layers": plan.custom_layers} if plan.custom_layers else {}),
        },
        "verdict": plan.verdict,
        **({"rule": plan.rule} if plan.rule else {}),
        "model": _model(plan),
        **({"arrays": {"file": "arrays.npy", "sha256": hashlib.sha256(content).hexdigest()}} if content else {}),
        "steps": steps,
    }, content


def _model(plan: ProgramPlan) -> dict[str, Any]:
    checksums = {path: hashlib.sha256(content).hexdigest() for path, content in plan.contents.items()}
    if not plan.files:
        return {"file": "model.mlmodel", "sha256": checksums["model.mlmodel"]}
    return {"file": "model.mlpackage", "files": {path.partition("/")[2]: sum_ for path, sum_ in checksums.items()}}


def _output(
    plan: ProgramPlan, name: str, profiles: Mapping[str, tuple[Array, Array, str]], arrays: Arrays
) -> dict[str, Any]:
    made: Made = plan.made[name]
    exact = not any(radius.any() for _, radius, _ in profiles.values())
    item: dict[str, Any] = {
        "name": name,
        "dtype": made.dtype,
        **({"storage": made.storage} if made.storage else {}),
        "shape": list(next(iter(profiles.values()))[0].shape),
        **({"free_ones": True} if made.free_ones else {}),
        **({"labels": [x if isinstance(x, str) else int(x) for x in made.labels]} if made.labels else {}),
        "check": "exact" if exact else min(check for _, _, check in profiles.values()),
    }
    if plan.expected and plan.expected[name][2]:
        item["moments"] = [
            {"power": power, "reference": value, "bound": bound} for power, value, bound in plan.expected[name][2]
        ]
    item["profiles"] = {
        profile: {
            "reference": arrays.add(narrow(value)),
            "bound": arrays.add(rounded_up(radius)) if radius.any() else 0,
        }
        for profile, (value, radius, _) in profiles.items()
    }
    return item
